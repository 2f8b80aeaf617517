"""Several Redis servers that belong together: a cluster, or a primary with replicas and the sentinels that watch it."""

import atexit
import shutil
import subprocess
import time

import harness

SLOTS = 16384


def slot_of(key):
    """The slot of a key: CRC-16/XMODEM of its hash tag, from the cluster specification."""
    key = key.encode()
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1:end]
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % SLOTS


def role(server):
    """What ROLE says; a server that changes its role closes its connections."""
    try:
        return server.command("ROLE")
    except OSError:
        return [None, None, []]


class Cluster:
    """Primaries that share the slots evenly, each with so many replicas."""

    def __init__(self, primaries=3, replicas=0, options=None):
        self.nodes = []
        for _ in range(primaries * (1 + replicas)):
            self.nodes.append(harness.Redis({
                "cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-port": harness.free_port(),
                "appendonly": "yes", "repl-diskless-sync-delay": "0", **(options or {})}))
        self.primaries = primaries

    @property
    def url(self):
        return "redis+cluster://tidemark:limited@" + ",".join(f"127.0.0.1:{n.port}" for n in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
            node.id = node.command("CLUSTER", "MYID")
        for i, node in enumerate(self.nodes[:self.primaries]):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            first = SLOTS * i // self.primaries
            node.command("CLUSTER", "ADDSLOTSRANGE", first, SLOTS * (i + 1) // self.primaries - 1)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].options["cluster-port"])
        for i, node in enumerate(self.nodes[self.primaries:]):
            of = self.nodes[i % self.primaries]
            harness.wait_until("the nodes to meet", lambda: of.id in node.command("CLUSTER", "NODES"))
            node.command("CLUSTER", "REPLICATE", of.id)
        harness.wait_until("the cluster", lambda: all(
            "cluster_state:ok" in n.command("CLUSTER", "INFO") and
            f"cluster_known_nodes:{len(self.nodes)}" in n.command("CLUSTER", "INFO") for n in self.nodes))
        return self

    def kill(self):
        for node in self.nodes:
            node.kill()

    def owner(self, slot):
        """The node that says itself that the slot is its own."""
        for node in self.nodes:
            if node.process.poll() is None:
                for first, last, primary, *_ in node.command("CLUSTER", "SLOTS"):
                    if first <= slot <= last and primary[2] == node.id:
                        return node
        raise harness.HarnessError(f"slot {slot} is nobody's")

    def open(self, slot, to):
        """Begins to move a slot as redis-cli and its like do; carry() takes keys, and finish() ends it."""
        source = self.owner(slot)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        return source

    def carry(self, slot, source, to, most=None):
        """Takes keys over, one by one; at most so many. True while there may be more."""
        while most is None or most > 0:
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1)
            if not keys:
                return False
            source.command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
            most = None if most is None else most - 1
        return True

    def move(self, slot, to):
        source = self.owner(slot)
        if source is not to:
            self.open(slot, to)
            self.carry(slot, source, to)
            self.finish(slot, source, to)

    def finish(self, slot, source, to):
        for node in (to, source, *self.nodes[:self.primaries]):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", to.id)
        # Moves that follow faster than the nodes talk make two of them take the same epoch.
        harness.wait_until("the nodes to agree", self.agree)

    def agree(self):
        epochs = {line for n in self.nodes for line in n.command("CLUSTER", "INFO").split("\r\n")
                  if line.startswith("cluster_current_epoch")}
        owners = [sorted((r[0], r[1], r[2][2]) for r in n.command("CLUSTER", "SLOTS")) for n in self.nodes]
        return len(epochs) == 1 and all(o == owners[0] for o in owners)

    def keys(self):
        """Every key, and the nodes that have it."""
        found = {}
        for node in self.nodes:
            for key in node.command("KEYS", "*"):
                found.setdefault(key, []).append(node)
        return found


SENTINEL_PASSWORD = "for-sentinels-alone"


class Sentinel:
    """One sentinel, watching the primary at a port under the name 'main'; it has a password of its own."""

    def __init__(self, port, quorum=2, down_ms=1000):
        self.dir = harness.temp_dir("tidemark-sentinel-")
        self.watched, self.quorum, self.down_ms = port, quorum, down_ms
        self.log = self.dir / "sentinel.log"
        self.client = harness.Redis()  # speaks for it; its own server is never started
        self.client.password = SENTINEL_PASSWORD
        self.process = None

    @property
    def port(self):
        return self.client.port

    def start(self, timeout=harness.PATIENCE):
        for _ in range(5):
            self.client.port = harness.free_port()
            (self.dir / "sentinel.conf").write_text(
                f"bind 127.0.0.1\nport {self.port}\ndir {self.dir}\n"
                f"sentinel monitor main 127.0.0.1 {self.watched} {self.quorum}\n"
                f"sentinel down-after-milliseconds main {self.down_ms}\nsentinel failover-timeout main 5000\n"
                f"sentinel parallel-syncs main 1\n"
                f"requirepass {SENTINEL_PASSWORD}\nsentinel sentinel-pass {SENTINEL_PASSWORD}\n")
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [shutil.which("redis-server"), str(self.dir / "sentinel.conf"), "--sentinel"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=harness._die_with_parent)
            atexit.register(self.kill)
            deadline = time.monotonic() + timeout
            while self.process.poll() is None and time.monotonic() < deadline:
                try:
                    if f"process_id:{self.process.pid}\r\n" in self.client.command("INFO", "server"):
                        return self
                except (OSError, harness.RedisError):
                    pass
                time.sleep(0.02)
        raise harness.HarnessError(f"no sentinel:\n{self.log.read_text()[-2000:]}")

    def command(self, *words):
        return self.client.command(*words)

    def kill(self):
        self.client._disconnect()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        atexit.unregister(self.kill)


class Watched:
    """A primary, its replicas, and three sentinels that agree on who is the primary."""

    def __init__(self, replicas=2, options=None):
        each = {"repl-diskless-sync-delay": "0", "appendonly": "yes", "repl-ping-replica-period": "1", **(options or {})}
        self.servers = [harness.Redis(dict(each)) for _ in range(1 + replicas)]
        self.sentinels = []

    @property
    def url(self):
        return "redis+sentinel://tidemark:limited@" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + (
            f"/main?sentinel_password={SENTINEL_PASSWORD}")

    def start(self):
        first = self.servers[0]
        first.start()
        for server in self.servers[1:]:
            server.start()
            server.command("REPLICAOF", "127.0.0.1", first.port)
        harness.wait_until("the replicas", lambda: all("master_link_status:up" in s.command("INFO", "replication")
                                                       for s in self.servers[1:]))
        self.sentinels = [Sentinel(first.port) for _ in range(3)]
        for sentinel in self.sentinels:
            sentinel.start()
        harness.wait_until("the sentinels to know each other and the replicas", lambda: all(
            self.known(s) == (len(self.servers) - 1, 2) for s in self.sentinels), interval=0.1)
        return self

    @staticmethod
    def known(sentinel):
        return (len(sentinel.command("SENTINEL", "REPLICAS", "main")), len(sentinel.command("SENTINEL", "SENTINELS", "main")))

    def primary(self):
        """Who it is by the sentinels' word; None while they do not agree, or it is none."""
        ports = {int(s.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1]) for s in self.sentinels
                 if s.process.poll() is None}
        [found] = [s for s in self.servers if s.port in ports] if len(ports) == 1 else [None]
        return found if found and found.process.poll() is None and role(found)[0] == "master" else None

    @staticmethod
    def ask_for_another(sentinel):
        """False when it knows of no replica that would do (yet), or is about to change it anyway."""
        try:
            return sentinel.command("SENTINEL", "FAILOVER", "main") == "OK"
        except harness.RedisError:
            return False

    def kill(self):
        for one in (*self.sentinels, *self.servers):
            one.kill()
