"""The Redis fault proxy itself, before a real Redis: what it does to a transaction, seen from the client and the server."""

import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
from proxy import redis as proxies  # noqa: E402


class Client:
    """Writes commands by hand, and reads answers when asked to."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, *commands):
        raw = b""
        for command in commands:
            words = [w.encode() for w in command.split(" ")]
            raw += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(raw)

    def line(self):
        return self.stream.readline().decode().rstrip("\r\n")

    def say(self, command):
        self.send(command)
        return self.line()

    def silent(self, seconds=0.1):
        """True when nothing comes and the connection stays open."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(60)

    def closed(self):
        try:
            return self.stream.read(1) == b""
        except OSError:
            return True


COMMIT = ("MULTI", "HSET tm:{g/3}:meta position 1:1:1", "EXEC")


class RedisProxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = harness.Redis()
        cls.redis.start()
        cls.addClassCleanup(cls.redis.kill)

    def setUp(self):
        self.redis.command("FLUSHALL")
        self.proxy = proxies.Proxy(self.redis.port).start()
        self.addCleanup(self.proxy.close)

    def client(self):
        client = Client(self.proxy.port)
        self.addCleanup(client.close)
        return client

    def stored(self):
        return self.redis.command("HGET", "tm:{g/3}:meta", "position")

    def test_passes_everything_that_no_rule_is_for(self):
        client = self.client()
        client.send("SET a 1", "HGETALL none", "LRANGE none 0 -1", "GET none", "STRLEN a")
        self.assertEqual([client.line() for _ in range(5)], ["+OK", "*0", "*0", "$-1", ":1"])
        client.send(*COMMIT)
        self.assertEqual([client.line() for _ in range(4)], ["+OK", "+QUEUED", "*1", ":1"])
        self.assertEqual(self.stored(), "1:1:1")

    def test_a_rule_knows_the_transaction_and_how_many_to_let_pass(self):
        other = self.proxy.on(proxies.commit_of(4), proxies.Close())
        claim = self.proxy.on("EXEC", proxies.Close(), skip=2)
        third = self.proxy.on(proxies.commit_of(3), proxies.Drop(), skip=1)
        client = self.client()
        client.send("MULTI", "HSET tm:{g/3}:meta epoch 7", "EXEC")  # claim.skip is 1 now, and it is no commit
        self.assertEqual([client.line() for _ in range(4)], ["+OK", "+QUEUED", "*1", ":1"])
        client.send(*COMMIT)
        self.assertEqual([client.line() for _ in range(4)], ["+OK", "+QUEUED", "*1", ":1"])
        third.skip = 0
        claim.end()
        client.send("MULTI", "HSET tm:{g/3}:meta position 2:2:2", "EXEC", "PING")
        self.assertEqual([client.line() for _ in range(2)], ["+OK", "+QUEUED"])
        third.wait()
        self.assertEqual((len(other.hits), self.stored()), (0, "1:1:1"))

    def test_closed_before_and_after(self):
        self.proxy.on(proxies.commit_of(), proxies.Close())
        client = self.client()
        client.send(*COMMIT)
        self.assertEqual([client.line() for _ in range(2)], ["+OK", "+QUEUED"])
        self.assertTrue(client.closed())
        self.assertIsNone(self.stored())
        self.proxy.on(proxies.commit_of(), proxies.Close(after=True))
        client = self.client()
        client.send(*COMMIT)
        self.assertEqual([client.line() for _ in range(2)], ["+OK", "+QUEUED"])
        self.assertTrue(client.closed())
        self.assertEqual(self.stored(), "1:1:1")

    def test_swallowed_delayed_dropped_and_answered_by_itself(self):
        swallowed = self.proxy.on("INCR", proxies.Swallow())
        client = self.client()
        client.send("INCR n")
        swallowed.wait()
        self.assertTrue(client.silent())
        harness.wait_until("the command", lambda: self.redis.command("GET", "n") == "1")
        client = self.client()
        delayed = self.proxy.on("INCR", proxies.Delay())
        client.send("INCR n", "PING")
        delayed.wait()
        self.assertTrue(client.silent())
        harness.wait_until("the command", lambda: self.redis.command("GET", "n") == "2")
        delayed.release()
        self.assertEqual([client.line(), client.line()], [":2", "+PONG"])
        self.proxy.on("INCR", proxies.Drop())
        client.send("INCR n", "PING")
        self.assertEqual((client.line(), self.redis.command("GET", "n")), ("+PONG", "2"))
        self.proxy.on("INCR", proxies.Answer(b"-BUSY with something"))
        client.send("PING", "INCR n", "PING")
        self.assertEqual([client.line() for _ in range(3)], ["+PONG", "-BUSY with something", "+PONG"])
        self.assertEqual(self.redis.command("GET", "n"), "2")

    def test_an_exec_that_comes_late(self):
        late = self.proxy.on(proxies.commit_of(3), proxies.Hold(), times=2)
        client = self.client()
        client.send("WATCH tm:{g/3}:meta", *COMMIT)
        self.assertEqual([client.line() for _ in range(3)], ["+OK", "+OK", "+QUEUED"])
        self.assertTrue(client.closed())
        self.assertIsNone(self.stored())
        self.assertEqual(late.release(), b"*1\r\n:1\r\n")
        self.assertEqual(self.stored(), "1:1:1")
        client = self.client()
        client.send("WATCH tm:{g/3}:meta", "MULTI", "HSET tm:{g/3}:meta position 2:2:2", "EXEC")
        self.assertTrue(client.line() and client.line() and client.line() and client.closed())
        self.redis.command("HINCRBY", "tm:{g/3}:meta", "settled", 1)
        self.proxy.call(late._release)
        self.assertEqual(late.answered(count=2)[-1], b"*-1\r\n")
        self.assertEqual(self.stored(), "1:1:1")
        by_itself = self.proxy.on(proxies.commit_of(3), proxies.Late(0.05))
        client = self.client()
        client.send(*COMMIT)
        self.assertEqual(by_itself.answered(), [b"*1\r\n:0\r\n"])

    def test_half_open_refused_cut_and_pointed_elsewhere(self):
        client = self.client()
        self.assertEqual(client.say("PING"), "+PONG")
        self.proxy.freeze()
        client.send("INCR n")
        second = self.client()
        second.send("INCR n")
        self.assertTrue(client.silent() and second.silent())
        self.assertIsNone(self.redis.command("GET", "n"))
        self.proxy.thaw()
        self.assertEqual(sorted([client.line(), second.line()]), [":1", ":2"])
        frozen = self.proxy.on("INCR", proxies.Freeze())
        client.send("INCR n")
        frozen.wait()
        self.assertTrue(client.silent())
        self.assertEqual(second.say("PING"), "+PONG")
        self.proxy.cut()
        self.assertTrue(client.closed() and second.closed())
        self.proxy.refuse()
        with self.assertRaises(OSError):
            Client(self.proxy.port)
        other = harness.Redis()
        other.start()
        self.addCleanup(other.kill)
        other.command("SET", "n", "elsewhere")
        self.proxy.point(other.port)
        self.proxy.accept()
        client = self.client()
        self.assertEqual((client.say("GET n"), client.line()), ("$9", "elsewhere"))


if __name__ == "__main__":
    unittest.main()
