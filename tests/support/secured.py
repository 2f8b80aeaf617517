"""A Kafka broker that asks who one is and what one may: SASL over TLS, client certificates, KRaft's own authoriser.

    broker = secured.SecuredBroker()
    broker.start()                              # broker.bootstrap stays plain, for the tests' own clients, who may do all
    broker.sasl, broker.tls                     # addresses of the guarded listeners
    broker.certificates                         # ca.pem, and what a client shows: client.pem, client.key (with a passphrase)
"""

import pathlib
import re
import shlex
import subprocess

import harness

PASSPHRASE = "canary-of-the-client-key"
PASSWORD = "canary-of-the-sasl-user"


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise harness.HarnessError(f"openssl {' '.join(map(str, args))}: {done.stdout}")


class Certificates:
    """A CA of its own, another that nobody trusts, a server's certificate for 127.0.0.1 (and no name), a client's."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        for ca in ("ca", "stranger"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN=tests {ca}", "-keyout", self.dir / f"{ca}.key", "-out", self.dir / f"{ca}.pem")
        self._sign("server", "subjectAltName=IP:127.0.0.1")
        self._sign("client", "extendedKeyUsage=clientAuth")
        # PKCS#8 without a passphrase behind the certificate, as Kafka reads it; and one with, for librdkafka.
        (self.dir / "server-store.pem").write_text((self.dir / "server.pkcs8").read_text() + (self.dir / "server.pem").read_text())
        openssl("pkcs8", "-topk8", "-in", self.dir / "client.pkcs8", "-out", self.dir / "client.key", "-v2", "aes256",
                "-passout", f"pass:{PASSPHRASE}")

    def _sign(self, name, extension):
        at = self.dir
        (at / f"{name}.ext").write_text(extension + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                "-keyout", at / f"{name}.pkcs8", "-out", at / f"{name}.csr")
        openssl("x509", "-req", "-days", "2", "-in", at / f"{name}.csr", "-CA", at / "ca.pem", "-CAkey", at / "ca.key",
                "-CAcreateserial", "-extfile", at / f"{name}.ext", "-out", at / f"{name}.pem")

    def __truediv__(self, name):
        return self.dir / name


class SecuredBroker(harness.Broker):
    def __init__(self, users=None, **more):
        """users: {name: password}, known to PLAIN from the start; Acls.add_user makes them known to SCRAM."""
        super().__init__(**more)
        self.users = dict(users or {})
        self.certificates = Certificates(self.dir / "certificates")
        self._more = dict(self.properties)
        self._settled = False
        self.sasl = self.tls = None

    def start(self, timeout=240.0):
        try:
            return super().start(timeout)
        finally:
            self._settled = True

    def _write_properties(self):
        if not self._settled:
            self.sasl, self.tls = (f"127.0.0.1:{harness.free_port()}" for _ in range(2))
        store = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(self.certificates / "server-store.pem"),
                 "ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.certificates / "ca.pem")}
        guarded = {f"listener.name.{name}.{key}": value for name in ("sasl", "tls") for key, value in store.items()}
        self.properties = {
            "listeners": f"PLAINTEXT://{self.bootstrap},SASL://{self.sasl},TLS://{self.tls},"
                         f"CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},SASL://{self.sasl},TLS://{self.tls}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                + " ".join(f'user_{name}="{password}"' for name, password in self.users.items()) + ";",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.tls.ssl.principal.mapping.rules": "RULE:^CN=([^,]*).*$/$1/,DEFAULT",
            **guarded, **self._more,
        }
        super()._write_properties()


_shared = {}


def shared_broker():
    """The one guarded broker of this process, with its clients: (broker, kafka, acls). Its user is `tidemark`."""
    if not _shared:
        broker = SecuredBroker({"tidemark": PASSWORD})
        broker.start()
        kafka = harness.Kafka(broker.bootstrap)
        _shared.update(broker=broker, kafka=kafka, acls=Acls(kafka))
    return _shared["broker"], _shared["kafka"], _shared["acls"]


class Acls:
    """What users may, changed with Kafka's own tool."""

    def __init__(self, kafka):
        self.kafka = kafka
        self.count = 0

    def add_user(self, name, password):
        self.kafka.call("acls", do="user", name=name, password=password)

    def run(self, line):
        """One line of `tidemark check --permissions`, as an administrator runs it (here by the plain listener)."""
        words = shlex.split(line)
        if words[0] != "kafka-acls.sh":
            raise harness.HarnessError(f"no command of kafka-acls.sh: {line}")
        words = words[1:]
        words[words.index("--bootstrap-server") + 1] = self.kafka.bootstrap
        at = words.index("--command-config")
        self.kafka.call("acls", do="command", args=words[:at] + words[at + 2:])
        self.count += words.count("--operation")
        self.kafka.call("acls", do="settle", count=self.count)

    def change(self, one, back):
        """Takes away (or gives back) one right, a row of `check --permissions --json`."""
        self.kafka.call("acls", do="command", args=[
            "--bootstrap-server", self.kafka.bootstrap, *(["--add"] if back else ["--remove", "--force"]),
            "--allow-principal", one["principal"], "--operation", one["operation"], f"--{one['resource']}", one["name"],
            "--resource-pattern-type", one["pattern"]])
        self.count += 1 if back else -1
        self.kafka.call("acls", do="settle", count=self.count)


def commands_of(text):
    """The lines of kafka-acls.sh under each heading of `check --permissions`: [[for run], [for init]]."""
    parts = re.split(r"^# .*$", text, flags=re.M)
    return [lines for lines in ([line for line in part.splitlines() if line.startswith("kafka-acls.sh ")] for part in parts) if lines]
