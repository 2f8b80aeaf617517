"""The fault proxy itself: what it does to frames, seen from a client that writes them by hand and from Apache's own."""

import pathlib
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
from proxy import kafka as proxies  # noqa: E402

VERSIONS, METADATA, COORDINATOR = 18, 3, 10


class Client:
    """Frames by hand over one socket."""

    def __init__(self, bootstrap, name="by-hand", timeout=60.0):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.name, self.sent = name.encode(), 0

    def close(self):
        self.socket.close()

    def send(self, api=VERSIONS, version=0, body=b""):
        self.sent += 1
        frame = struct.pack(">hhih", api, version, self.sent, len(self.name)) + self.name + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        return self.sent

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def answer(self):
        """The correlation id of the next answer, and its body."""
        frame = self.exactly(struct.unpack(">i", self.exactly(4))[0])
        return struct.unpack_from(">i", frame)[0], frame[4:]

    def ask(self, **request):
        number = self.send(**request)
        got, body = self.answer()
        assert got == number, f"answer {got} to request {number}"
        return body

    def is_silent(self, seconds=0.3):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(60)

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


class KafkaProxy(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.proxy = proxies.Proxy(self.broker.bootstrap)
        self.addCleanup(self.proxy.close)

    def client(self, **more):
        client = Client(self.proxy.bootstrap, **more)
        self.addCleanup(client.close)
        return client

    def test_addresses_lead_back_to_it(self):
        topic = self.prefix + "-t"
        self.kafka.create_topics([topic])
        for ask, name in ((dict(api=METADATA, version=4, body=struct.pack(">i", -1) + b"\0"), "Metadata"),
                          (dict(api=COORDINATOR, version=2, body=struct.pack(">h", 1) + b"g\0"), "FindCoordinator")):
            body = harness.wait_until(f"an answer to {name}", lambda ask=ask: self.addressed(ask), interval=0.1)
            self.assertNotIn(struct.pack(">i", self.broker.port), body, name)
        # Newer forms of both, and a whole day's work, with Apache's own clients: they know no other address.
        through = harness.Kafka(self.proxy.bootstrap)
        self.addCleanup(through.close)
        through.produce(topic, [{"key": "k", "value": str(i)} for i in range(5)], transactional_id=self.prefix, end="commit")
        self.assertEqual([r.value for r in through.read(topic)], list("01234"))
        self.assertGreaterEqual(len(self.proxy.seen("EndTxn")), 1)
        self.assertTrue(any(s.version >= 9 for s in self.proxy.seen("Metadata")))
        self.assertTrue(any(s.version >= 3 for s in self.proxy.seen("FindCoordinator")))

    def addressed(self, ask):
        client = self.client()
        body = client.ask(**ask)
        client.close()
        ports = [struct.pack(">i", port) for port in self.proxy._ports.values()]
        return body if any(p in body for p in ports) else None

    def test_requests_and_answers_that_do_not_come(self):
        client = self.client()
        self.proxy.fault("ApiVersions", "swallow")
        dropped = self.proxy.fault("ApiVersions", "drop_answer")
        client.send()
        client.send()
        dropped.wait()
        self.assertEqual(client.ask()[:2], b"\0\0")
        self.assertEqual(client.sent, 3)
        self.assertEqual(len(dropped.answers), 1)
        self.assertEqual([s.action for s in self.proxy.seen("ApiVersions")], ["swallow", "drop_answer", None])

    def test_doubled_delayed_and_gated(self):
        client = self.client()
        double = self.proxy.fault("ApiVersions", "double")
        client.ask()
        double._wait("second answer", lambda: len(double.answers) == 2, 60)
        client.ask()
        for action in ("delay", "delay_answer"):
            self.proxy.fault("ApiVersions", action, seconds=0.2)
            begun = time.monotonic()
            client.ask()
            self.assertGreaterEqual(time.monotonic() - begun, 0.2, action)
        gate = self.proxy.fault("ApiVersions", "gate")
        sent = [client.send(), client.send()]
        gate.wait()
        self.assertTrue(client.is_silent())
        gate.release()
        self.assertEqual([client.answer()[0] for _ in sent], sent)

    def test_closed_before_and_after(self):
        for action, arrives in (("close_before", 0), ("close_after", 1)):
            client = self.client()
            fault = self.proxy.fault("ApiVersions", action)
            client.send()
            self.assertTrue(client.is_closed(), action)
            self.assertEqual(len(fault.answers), arrives, action)
            self.client().ask()

    def test_a_ghost_arrives_after_its_client_is_gone(self):
        client = self.client()
        ghost = self.proxy.fault("ApiVersions", "hold")
        client.send()
        self.assertTrue(client.is_closed())
        self.client().ask()
        self.assertEqual(ghost.answers, [])
        ghost.release(answers=1)
        self.assertEqual(ghost.answers[0][4:6], b"\0\0")

    def test_half_open_frozen_refused(self):
        client, other = self.client(), self.client(name="other")
        self.proxy.fault("ApiVersions", "half_open", client="by-hand")
        client.send()
        client.send()
        self.assertTrue(client.is_silent())
        other.ask()
        self.proxy.freeze()
        other.send()
        self.assertTrue(other.is_silent())
        self.proxy.freeze(False)
        other.answer()
        self.proxy.refuse()
        self.assertTrue(other.is_closed())
        with self.assertRaises(ConnectionRefusedError):
            self.client()
        self.proxy.refuse(False)
        self.client().ask()

    def test_only_some(self):
        one, two = self.client(name="group-one-0"), self.client(name="group-two-0")
        fault = self.proxy.fault(["ApiVersions", "EndTxn"], "close_before", client="-one-", skip=1, count=1,
                                 where=lambda request: request.version == 0)
        one.ask()
        two.ask()
        one.send()
        self.assertTrue(one.is_closed())
        two.ask()
        self.client(name="group-one-0").ask()
        self.assertEqual(fault.hits, 1)
        self.proxy.cut("-two-")
        self.assertTrue(two.is_closed())

    def test_command_line(self):
        child = harness.Child([sys.executable, proxies.__file__, self.broker.bootstrap, "--fault",
                               "ApiVersions close_before count=1"], stdin=-1)
        self.addCleanup(child.kill)
        bootstrap = child.wait_for_line(r"^127\.0\.0\.1:\d+$", which="stdout").group()
        client = Client(bootstrap)
        client.send()
        self.assertTrue(client.is_closed())
        client = Client(bootstrap)
        client.ask()
        for line, shown in (("fault any swallow", "ok"), ("seen", "1 ApiVersions close_before"), ("nonsense", "no command")):
            child.process.stdin.write(line.encode() + b"\n")
            child.process.stdin.flush()
            child.wait_for_line(shown, which="stdout")
        client.send()
        self.assertTrue(client.is_silent())
        client.close()
        child.process.stdin.close()
        self.assertEqual(child.wait(), 0)


if __name__ == "__main__":
    unittest.main()
