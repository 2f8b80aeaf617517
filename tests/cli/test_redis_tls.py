"""The keys of TLS to Redis, through the whole program: with a server that asks for certificates where this build can do
TLS, and refused with a reason where it cannot."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import harness  # noqa: E402
import secured  # noqa: E402

CAN = "without TLS" not in harness.Tidemark().run("version").stdout


class Base(unittest.TestCase):
    def setUp(self):
        self.dir = harness.temp_dir()
        (self.dir / "rules.yaml").write_text("version: 1\n")
        self.tidemark = harness.Tidemark()

    def configure(self, url, **keys):
        path = self.dir / "tidemark.yaml"
        path.write_text(harness.yaml({"kafka": {"brokers": "127.0.0.1:1"}, "redis": {"url": url, **keys},
                                      "user_key": "0123456789abcdef"}))
        return path


@unittest.skipIf(CAN, "this build can do TLS")
class Without(Base):
    def test_is_refused_with_its_reason(self):
        for url, keys, named in (("rediss://h", {}, "rediss://"), ("rediss+sentinel://h/m", {}, "rediss://"),
                                 ("rediss+cluster://h", {}, "rediss://"), ("redis://h", {"ca_file": "x"}, "redis.ca_file"),
                                 ("redis://h", {"cert_file": "x", "key_file": "y"}, "redis.cert_file"),
                                 ("redis://h", {"key_file": "y"}, "redis.key_file")):
            for command in (("check", "--offline"), ("run",)):
                with self.subTest(url=url, keys=keys, command=command):
                    done = self.tidemark.run(*command, "--config", self.configure(url, **keys), status=78)
                    self.assertRegex(done.stderr, rf"tidemark.yaml:\d+:\d+: {named} asks for TLS, which this build cannot do")
                    self.assertIn("hiredis 1.0 or later", done.stderr)


@unittest.skipUnless(CAN, "this build has a hiredis without TLS")
class With(Base):
    def setUp(self):
        super().setUp()
        self.certificates = secured.Certificates(self.dir / "pki")
        self.port = harness.free_port()
        at = self.certificates.dir
        self.redis = harness.Redis(options={
            "tls-port": self.port, "tls-cert-file": at / "server.pem", "tls-key-file": at / "server.pkcs8",
            "tls-ca-cert-file": at / "ca.pem", "tls-auth-clients": "yes"})
        self.addCleanup(self.redis.kill)
        self.redis.start()
        (self.dir / "password").write_text("limited\n")
        (self.dir / "password").chmod(0o600)

    def ask(self, status, host="127.0.0.1", **more):
        """What a question is answered that needs Redis alone. Files are named as seen from the configuration's folder."""
        keys = {"username": "tidemark", "password": harness.Verbatim("!file password"), "ca_file": "pki/ca.pem",
                "cert_file": "pki/client.pem", "key_file": "pki/client.pkcs8", **more}
        config = self.configure(f"rediss://{host}:{self.port}/0", **{k: v for k, v in keys.items() if v is not None})
        done = self.tidemark.run("explain", "--account", "a", "--config", config, status=status)
        self.assertNotIn("limited\n", done.stdout + done.stderr)
        return done.stderr

    def test_all_is_as_it_has_to_be(self):
        self.assertIn("nothing is kept of group", self.ask(None))
        self.assertEqual(self.redis.refusals(), [])
        self.assertTrue(self.redis.command("CLIENT", "LIST"))

    def test_who_is_not_who_they_should_be(self):
        for words, more in (("certificate verify failed", {"ca_file": "pki/stranger.pem"}),
                            ("certificate verify failed", {"ca_file": None}),
                            ("certificate verify failed", {"host": "localhost"}),
                            ("TLS|Server closed|reset|alert", {"cert_file": None, "key_file": None}),
                            ("pki/nowhere.pem", {"ca_file": "pki/nowhere.pem"}),
                            ("pki/server.pkcs8", {"key_file": "pki/server.pkcs8"}),
                            ("WRONGPASS", {"password": "limitless"}),
                            ("together", {"key_file": None})):
            with self.subTest(**more):
                said = self.ask(None, **more)
                self.assertRegex(said, words)
                self.assertNotIn("nothing is kept", said)


if __name__ == "__main__":
    unittest.main()
