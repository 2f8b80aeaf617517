"""How secrets are taken in and kept out of sight, as far as no server is needed for it."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import harness  # noqa: E402


class Secrets(unittest.TestCase):
    def setUp(self):
        self.dir = harness.temp_dir()
        self.tidemark = harness.Tidemark(cwd=self.dir)
        self.write("rules.yaml", "version: 1\n", 0o644)

    def write(self, name, text, mode=0o600):
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def check(self, text, status=0, *more):
        return self.tidemark.run("check", "--offline", "--config", self.write("tidemark.yaml", text), *more, status=status)

    def test_a_file_that_everybody_may_read_is_named(self):
        text = ("kafka: {brokers: '127.0.0.1:1', properties: {sasl.password: !file sasl, ssl.key.location: ssl.key}}\n"
                "redis: {url: 'redis://127.0.0.1:1', username: u, password: !file redis}\nuser_key: !file user.key\n")
        for name in ("sasl", "redis", "user.key", "ssl.key"):
            self.write(name, "a secret of the tests\n")
        self.assertNotIn("may read", self.check(text).stdout)
        for name in ("sasl", "redis", "user.key"):
            with self.subTest(name):
                (self.dir / name).chmod(0o604)
                said = self.check(text).stdout
                self.assertRegex(said, rf"warning: everybody on this machine may read \S*{name}, which holds a secret")
                self.assertNotIn("a secret of the tests", said)
                (self.dir / name).chmod(0o640)
        (self.dir / "ssl.key").chmod(0o644)
        self.assertRegex(self.check(text, 0, "--json").stdout, r'"level":"warning".*everybody on this machine may read ssl.key')

    def test_values_on_a_line_with_an_error_are_hidden(self):
        for line, shown in (("redis: {url: 'redis://u:hunter2@h', prefx: p}", "redis: {url: ***"),
                            ("user_key: hunter2", "user_key: ***"),
                            ("redis: {passwort: hunter2}", "redis: {passwort: ***"),
                            ("kafka: {properties: {ssl.key.pasword: hunter2}}", "kafka: {properties: {ssl.key.pasword: ***")):
            with self.subTest(line):
                done = self.check(f"{line}\nlog: {{format: text}}\n", 78)
                self.assertIn(shown, done.stderr)
                self.assertNotIn("hunter2", done.stderr + done.stdout)
                self.assertNotIn("hunter2", self.check(f"{line}\n", 78, "--json").stdout)

    def test_a_configuration_with_a_password_in_its_url_is_private(self):
        self.tidemark.run("init", "--redis", "redis://:hunter2@h/0", "with")
        self.tidemark.run("init", "without")
        self.assertEqual((self.dir / "with" / "tidemark.yaml").stat().st_mode & 0o077, 0)
        self.assertEqual((self.dir / "with" / "user.key").stat().st_mode & 0o077, 0)
        self.assertNotEqual((self.dir / "without" / "tidemark.yaml").stat().st_mode & 0o044, 0)


if __name__ == "__main__":
    unittest.main()
