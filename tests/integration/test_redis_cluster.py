"""A real cluster of three primaries: shards lie on all of them, and their slots move back and forth under load, and stop
half-way. A shard whose keys are on two nodes waits; what it has is never taken for nothing."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import live  # noqa: E402
import redises  # noqa: E402


class ClusterCase(live.TestCase):
    partitions = 4

    def cluster(self, **more):
        cluster = redises.Cluster(**more)
        self.addCleanup(cluster.kill)
        return cluster.start()

    def slot(self, partition):
        return redises.slot_of(f"{{{self.prefix}/{partition}}}")

    def spread(self, cluster):
        """Every shard on a node of its own, as far as there are nodes."""
        for partition in range(self.partitions):
            cluster.move(self.slot(partition), cluster.nodes[partition % cluster.primaries])

    def halted(self):
        return [line for line in self.run_.lines() if "event=shard_halted" in line or "event=rebuil" in line]


class Cluster(ClusterCase):
    MET = re.compile("event=waiting .*what=store")

    def test_slots_move_under_load(self):
        cluster = self.cluster()
        self.spread(cluster)
        self.begin(redis={"url": cluster.url}, workers=2)
        self.caught_up()
        for turn in range(3):
            for partition in range(self.partitions):
                slot = self.slot(partition)
                source = cluster.owner(slot)
                to = cluster.nodes[(cluster.nodes.index(source) + 1) % 3]
                cluster.open(slot, to)
                cluster.carry(slot, source, to, most=3)
                if turn == 0:  # no commit passes it by: the move stands still until one was met
                    harness.wait_until("a commit to meet the move", interval=0.2, condition=lambda: (
                        self.feed(count=10), any(self.MET.search(line) for line in self.run_.lines()))[1])
                while cluster.carry(slot, source, to, most=3):
                    self.feed(count=10)
                if turn == 1:
                    # There and back again before it is done: an owner without keys answers for them meanwhile.
                    source.command("CLUSTER", "SETSLOT", slot, "STABLE")
                    self.feed(count=10)
                    while cluster.carry(slot, to, source, most=3):
                        self.feed(count=10)
                    to.command("CLUSTER", "SETSLOT", slot, "STABLE")
                else:
                    cluster.finish(slot, source, to)
        self.caught_up()
        self.assertEqual(self.halted(), [])
        self.finish(minimum=80)
        twice = {k: n for k, n in cluster.keys().items() if len(n) != 1}
        self.assertEqual(twice, {}, "a key lies on two nodes")

    def test_a_primary_is_lost(self):
        cluster = self.cluster(replicas=1)
        harness.wait_until("the replicas", lambda: all(
            "master_link_status:up" in n.command("INFO", "replication") for n in cluster.nodes[3:]))
        self.begin(redis={"url": cluster.url})
        self.caught_up()
        lost = cluster.owner(self.slot(0))
        replica = next(n for n in cluster.nodes[3:] if redises.role(n)[2] == lost.port)
        replica.freeze()  # so that nobody takes its place before that is noticed
        lost.kill()
        self.feed()
        self.run_.wait_for_line("event=waiting .*what=store")
        replica.thaw()
        self.feed()
        self.caught_up()
        self.assertEqual(self.halted(), [])
        self.finish(minimum=40)

    def test_a_move_that_stops_half_way(self):
        cluster = self.cluster()
        self.spread(cluster)
        # One of its nodes is enough to find the others.
        self.begin(redis={"url": f"redis://tidemark:limited@127.0.0.1:{cluster.nodes[2].port}/0"})
        self.tidemark.run("check", "--config", self.config)
        self.caught_up()
        slot = self.slot(0)
        source, to = cluster.nodes[0], cluster.nodes[1]
        meta = f"tm:{{{self.prefix}/0}}:meta"
        everything = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000)

        def position(node):
            node.command("ASKING")
            return node.command("HGET", meta, "position")

        def carry(keys, source, to):
            source.command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)

        def another_waits(says):
            """A new process, which has to claim the shard as its keys lie now."""
            self.run_.kill()
            self.run_ = self.start()
            self.feed()
            self.run_.wait_for_line(rf"event=waiting .*what=store.*{says}")
            self.assertEqual(self.halted(), [])

        kept = position(source)
        # meta alone has gone: who looks for it is sent on, and does not follow
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        carry([meta], source, to)
        another_waits("ASK ")
        # the owner forgets that it had begun: it has no meta, and nothing tells that it is elsewhere but asking there
        source.command("CLUSTER", "SETSLOT", slot, "STABLE")
        another_waits("has keys of slot")
        self.assertEqual(source.command("EXISTS", meta), 0, "a second one was made")
        self.assertGreaterEqual(position(to), kept)
        # the other way round: meta is there, accounts are not
        carry([meta], to, source)
        buckets = [k for k in everything if ":a:" in k]
        carry(buckets, source, to)
        another_waits("has keys of slot")
        carry(buckets, to, source)
        to.command("CLUSTER", "SETSLOT", slot, "STABLE")
        self.caught_up()
        # and under a worker that has the shard: it writes nothing beside what it wrote before
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        carry(buckets, source, to)
        self.feed(count=200)
        self.run_.wait_for_line("event=waiting .*what=store.*keys that were written before")
        self.assertEqual(source.command("EXISTS", *buckets), 0)
        carry(buckets, to, source)
        to.command("CLUSTER", "SETSLOT", slot, "STABLE")
        self.caught_up()
        self.assertEqual(self.halted(), [])
        self.finish()


if __name__ == "__main__":
    unittest.main()
