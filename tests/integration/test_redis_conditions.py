"""Everything that a Redis can refuse or leave open, one after the other under one run that has load all the time: it
waits, says what Redis said, stays in its group, goes on by itself, and in the end the signals and the state are exactly
those of a run that nothing happened to."""

import contextlib
import json
import os
import pathlib
import random
import re
import resource
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import live  # noqa: E402
from proxy import redis as proxies  # noqa: E402

PASSWORD = "a-password-for-tests"


class Conditions(live.TestCase):
    """A Redis with an append-only file, and the proxy before it."""

    def setUp(self):
        super().setUp()
        self.server = harness.Redis({"appendonly": "yes", "appendfsync": "everysec", "busy-reply-threshold": "50",
                                     "loading-process-events-interval-bytes": "1024", "requirepass": PASSWORD})
        self.server.password = PASSWORD
        self.server.start()
        self.addCleanup(self.server.kill)
        self.proxy = proxies.Proxy(self.server.port).start()
        self.addCleanup(self.proxy.close)

    def ask(self, *words):
        return self.server.command(*words)

    def lines(self, says):
        pattern = re.compile(rf"event=waiting .*what=store.*{says}")
        return sum(bool(pattern.search(line)) for line in self.run_.lines())

    def condition(self, name, says, begin, end):
        """Begins it, feeds, sees that the run waits and says why, ends it, and sees that all is taken."""
        said, claims = self.lines(says), self.claims()
        begin()
        try:
            self.feed()
            self.run_.wait_for_line(rf"event=waiting .*what=store.*{says}", skip=said)
            self.feed()
            harness.wait_until(f"/readyz to say '{says}'", lambda: re.search(says, self.not_ready()), interval=0.1)
        except harness.HarnessError as error:
            raise type(error)(f"{name}: {error}") from None
        finally:
            end()
        self.caught_up()
        return self.claims() - claims

    def not_ready(self):
        """What /readyz says is waited for of the store; fails when it says that all is well."""
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=60)
        with refused.exception as answer:
            self.assertEqual(answer.status, 503)
            told = json.load(answer)
        return " ".join(json.dumps(wait) for worker in told["workers"] for wait in worker["waiting"] if wait["for"] == "store")

    def claims(self):
        return sum("event=shard_claimed" in line for line in self.run_.lines())

    def test_whatever_redis_refuses(self):
        self.http = harness.free_port()
        self.begin(redis={"url": f"redis://:{PASSWORD}@127.0.0.1:{self.proxy.port}/0"},
                   http={"listen": f"127.0.0.1:{self.http}"})
        self.caught_up()
        ask, again = self.ask, 0

        def configure(**settings):
            for name, value in settings.items():
                ask("CONFIG", "SET", name.replace("_", "-"), value)

        again += self.condition("OOM", "OOM command not allowed.*raise it", lambda: configure(maxmemory=1),
                                lambda: configure(maxmemory=0))
        again += self.condition("NOREPLICAS", "NOREPLICAS.*min-replicas-to-write",
                                lambda: configure(min_replicas_to_write=1), lambda: configure(min_replicas_to_write=0))
        again += self.condition("READONLY", "READONLY.*replica: point redis.url",
                                lambda: ask("REPLICAOF", "127.0.0.1", 1), lambda: ask("REPLICAOF", "NO", "ONE"))
        again += self.condition("BUSY", "BUSY.*SCRIPT KILL", self.loop_a_script, self.kill_the_script)
        again += self.condition("MISCONF, snapshot", "MISCONF.*cannot save its snapshot", self.break_snapshots,
                                self.mend_snapshots)
        again += self.condition("MISCONF, disk full", "MISCONF.*cannot write its append-only file", self.fill_the_disk,
                                self.empty_the_disk)
        again += self.condition("WRONGPASS", "WRONGPASS.*user or password", self.change_the_password,
                                lambda: configure(requirepass=PASSWORD))
        again += self.condition("refused", "Connection refused", self.proxy.refuse, self.proxy.accept)
        self.assertEqual(again, 0, "no shard is another's: nothing had to be claimed again")
        # Killed, and back with what it had, which it says it has to load first.
        self.condition("LOADING", "LOADING", self.restart_slowly, lambda: configure(key_load_delay=0))
        members = self.kafka.describe_group(self.prefix)["members"]
        self.assertEqual([len(m["partitions"]) for m in members], [2 * self.partitions], "it left its group meanwhile")
        self.finish(minimum=100)

    def loop_a_script(self):
        other = harness.Redis()
        other.port, other.password = self.server.port, PASSWORD

        def loop():
            with contextlib.suppress(harness.RedisError, OSError):
                other.command("EVAL", "while true do end", 0)
        self.looping = threading.Thread(target=loop, daemon=True)
        self.looping.start()

    def kill_the_script(self):
        self.ask("SCRIPT", "KILL")
        self.looping.join(10)

    def break_snapshots(self):
        (self.server.dir / "dump.rdb").unlink(missing_ok=True)
        (self.server.dir / "dump.rdb").mkdir()
        self.ask("CONFIG", "SET", "save", "3600 1")
        self.snapshot("err")

    def mend_snapshots(self):
        (self.server.dir / "dump.rdb").rmdir()
        self.snapshot("ok")
        self.ask("CONFIG", "SET", "save", "")

    def snapshot(self, outcome):
        self.ask("BGSAVE")
        harness.wait_until("the snapshot", lambda: "rdb_bgsave_in_progress:0" in self.ask("INFO", "persistence") and
                           f"rdb_last_bgsave_status:{outcome}" in self.ask("INFO", "persistence"), interval=0.01)

    def fill_the_disk(self):
        """No file may grow any more: what write() says then is another error than that of a full disk, and Redis does
        the same."""
        self.limit(max(f.stat().st_size for f in self.server.dir.glob("appendonlydir/*.aof")))

    def empty_the_disk(self):
        self.limit(resource.RLIM_INFINITY)

    def limit(self, size):
        hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def change_the_password(self):
        self.ask("CONFIG", "SET", "requirepass", "another")
        self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def restart_slowly(self):
        """The base of the append-only file is a snapshot, and each key of it takes its time, until it is told otherwise."""
        self.ask("BGREWRITEAOF")
        harness.wait_until("the rewrite", lambda: "aof_rewrite_in_progress:0" in self.ask("INFO", "persistence") and
                           "aof_rewrite_scheduled:0" in self.ask("INFO", "persistence"), interval=0.01)
        keys = self.ask("DBSIZE")
        self.server.kill()
        self.server.options["key-load-delay"] = str(60_000_000 // keys)  # microseconds
        self.server.start(loaded=False)
        self.assertIn("loading:1", self.ask("INFO", "persistence"))

    def test_whatever_stays_open(self):
        """Answers that do not come, from a server that has or has not done what it was asked, or does it later."""
        self.begin(redis={"url": f"redis://:{PASSWORD}@127.0.0.1:{self.proxy.port}/0"})
        self.caught_up()
        commit = proxies.commit_of()

        def after(action, says="", **more):
            """One commit meets this, and then all is well."""
            rule = self.proxy.on(commit, action, **more)
            self.feed()
            rule.wait(count=more.get("times", 1))
            if says:
                self.run_.wait_for_line(rf"event=waiting .*what=store.*{says}")
            return rule

        after(proxies.Close(), times=3)                     # not executed
        self.caught_up()
        after(proxies.Close(after=True), times=3)           # executed
        self.caught_up()
        late = after(proxies.Hold(), times=3)               # executed when all of it was done again: three times refused
        self.caught_up()
        self.proxy.call(late._release)
        self.assertEqual(late.answered(count=3), [b"*-1\r\n"] * 3)
        quick = after(proxies.Late(0.02), times=5)          # and now at the same moment as that
        self.caught_up()
        self.assertEqual(len(quick.answered(count=5)), 5)
        after(proxies.Answer(b"-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > "
                             b"'maxmemory'."), "OOM")
        self.caught_up()
        # Nothing is closed, and nothing comes: it gives up after five seconds, and asks what became of it.
        after(proxies.Swallow())
        self.caught_up()
        self.ask("CLIENT", "PAUSE", 5500, "WRITE")          # the server holds the EXEC back
        self.feed()
        self.caught_up()
        connections = self.proxy.accepted
        self.server.freeze()                                # it stands still, and then does all of it at once
        self.feed()
        harness.wait_until("it to give up", lambda: self.proxy.accepted > connections)
        self.server.thaw()
        self.caught_up()
        said = self.lines("no answer in time")
        self.proxy.freeze()                                 # half open, in the middle of whatever it was
        self.feed()
        self.run_.wait_for_line("event=waiting .*what=store.*no answer in time", skip=said)
        self.proxy.thaw()
        self.caught_up()
        self.finish(minimum=100)

    def test_a_storm(self):
        """Anything at any command, by chance: STORM_SECONDS of it, from SEED."""
        seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        chance = random.Random(seed)
        errors = (b"-BUSY Redis is busy running a script.", b"-LOADING Redis is loading the dataset in memory",
                  b"-READONLY You can't write against a read only replica.", b"-ERR max number of clients reached",
                  b"-TRYAGAIN Multiple keys request during rehashing of slot")
        discarded = b"-EXECABORT Transaction discarded because of: "
        with self.subTest(seed=seed):
            self.begin(redis={"url": f"redis://:{PASSWORD}@127.0.0.1:{self.proxy.port}/0"}, workers=2)
            self.caught_up()
            begun, seconds = time.monotonic(), float(os.environ.get("STORM_SECONDS", 5))
            held = []

            def hits():
                return sum(len(rule.hits) for rule in self.proxy.rules)
            while time.monotonic() < begun + seconds or hits() <= 10 and time.monotonic() < begun + seconds + harness.PATIENCE:
                word = chance.choice(("EXEC", "EXEC", "EXEC", "WATCH", "HMGET", "MULTI", "HSET", "XADD", "AUTH", "HINCRBY"))
                action = chance.choice((
                    proxies.Close(), proxies.Close(after=True), proxies.Delay(chance.uniform(0, 0.2)),
                    proxies.Late(chance.uniform(0, 0.5)), proxies.Hold(),
                    proxies.Answer(discarded + chance.choice(errors)[1:] if word == "EXEC" else chance.choice(errors))))
                rule = self.proxy.on(word, action, skip=chance.randrange(4), times=chance.randrange(1, 3))
                held += [rule] if isinstance(action, proxies.Hold) else []
                self.feed(count=chance.randrange(1, 20))
                while len(held) > 3:
                    self.proxy.call(held.pop(0)._release)
            self.assertGreater(hits(), 10)
            self.proxy.clear()
            self.feed(count=60)  # however few there were in that time
            self.caught_up()
            self.finish(minimum=60)


if __name__ == "__main__":
    unittest.main()
