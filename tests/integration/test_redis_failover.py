"""The primary is lost: three sentinels choose another under load, and a replica that lags behind is promoted. Whatever the
old one had promised and the new one does not know is replayed; signals and state are exact."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import live  # noqa: E402
import redises  # noqa: E402
from proxy import redis as proxies  # noqa: E402


class Failover(live.TestCase):
    def halted(self):
        return [line for line in self.run_.lines() if "event=shard_halted" in line]

    def test_sentinels_name_another_under_load(self):
        watched = redises.Watched(options={"min-replicas-to-write": 1, "min-replicas-max-lag": 10})
        self.addCleanup(watched.kill)
        watched.start()
        self.begin(redis={"url": watched.url})
        self.tidemark.run("check", "--config", self.config)
        self.caught_up()
        old = watched.primary()
        old.kill()

        def other():
            self.feed(count=5)
            return watched.primary()
        new = harness.wait_until("another primary", other)
        self.assertIsNot(new, old)
        self.feed()
        self.caught_up()
        self.run_.wait_for_line("event=waiting .*what=store", timeout=1)
        # The old one comes back as what it was, until the sentinels tell it otherwise; nobody is led to it. Its place is
        # taken while the new one only stands still: who writes is told that it is a replica, or not answered.
        old.start()
        harness.wait_until("the old one to follow", lambda: redises.role(old)[0] == "slave")
        watched.sentinels[0].kill()  # and the first to be asked is gone

        def followed():
            """Whoever it is by now: sentinels may have changed their mind on a slow machine."""
            server = watched.primary()
            role = redises.role(server) if server else ["none"]
            return server if role[0] == "master" and len(role[2]) == 2 else None
        new = harness.wait_until("the replicas", followed)
        self.feed()
        asked = 0.0

        def third():
            """Sentinels give up what takes them longer than their failover-timeout: then they are asked again."""
            nonlocal asked
            if time.monotonic() - asked > 20 and watched.ask_for_another(watched.sentinels[1]):
                asked = time.monotonic()
            self.feed(count=5)
            return watched.primary() not in (None, new)
        harness.wait_until("a third", third, interval=0.2)
        self.feed()
        self.caught_up()
        self.assertEqual(self.halted(), [])
        self.finish(minimum=80)

    def test_a_replica_that_lags_is_promoted(self):
        primary, replica = harness.Redis(), harness.Redis({"repl-timeout": "3600"})
        for server in (primary, replica):
            server.start()
            self.addCleanup(server.kill)
        primary.command("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        link, front = proxies.Proxy(primary.port, raw=True).start(), proxies.Proxy(primary.port).start()
        self.addCleanup(link.close)
        self.addCleanup(front.close)
        self.begin(redis={"url": front.url})
        self.caught_up()
        replica.command("REPLICAOF", "127.0.0.1", link.port)
        harness.wait_until("the replica", lambda: "master_link_status:up" in replica.command("INFO", "replication"))
        self.feed()
        self.caught_up()
        self.same(primary, replica)
        link.freeze()
        behind = self.commits(replica)
        for _ in range(3):  # in the old primary and published, and never in the replica
            self.feed()
            self.caught_up()
        ahead = self.commits(primary)
        self.assertTrue(all(ahead[p] > behind[p] for p in ahead), f"{behind} -> {ahead}")
        front.refuse()
        primary.kill()
        replica.command("REPLICAOF", "NO", "ONE")
        self.assertEqual(self.commits(replica), behind)
        self.feed()
        front.point(replica.port)
        front.accept()
        self.caught_up()
        self.assertEqual(self.halted(), [])
        self.assertEqual(sum("event=replayed" in line for line in self.run_.lines()), self.partitions)
        self.finish(minimum=80)

    def commits(self, server):
        """n of each shard."""
        return {p: int(server.command("HGET", f"tm:{{{self.prefix}/{p}}}:meta", "position").split(":")[2])
                for p in range(self.partitions)}

    def same(self, primary, replica):
        harness.wait_until("the replica to have all of it", lambda: self.commits(primary) == self.commits(replica))


if __name__ == "__main__":
    unittest.main()
