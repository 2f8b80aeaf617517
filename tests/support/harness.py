"""What the integration tests stand on: a real Kafka broker, a real Redis, a foreign Kafka client, and tidemark itself.

Only the standard library is used. Everything runs on loopback ports chosen by the system and in temporary directories,
is bounded by deadlines, and ends with the test process, however that ends.

    class Something(harness.TestCase):          # self.broker and self.kafka are shared by the whole run,
        def test_it(self):                      # self.redis, self.dir and self.prefix are the test's own
            topics = self.create_topics(partitions=6)
            config = self.write_config(topics, rules="version: 1\n")
            self.kafka.produce_records(topics["usage"], "events.ndjson")
            done = self.tidemark.run("run", "--config", config, "--once")
"""

import atexit
import base64
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from ground import PATIENCE, HarnessError, TimedOut, free_port, wait_until  # noqa: F401 (the last is for the tests)

SUPPORT = pathlib.Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
CACHE = ROOT / "tests" / ".cache"
DAY_MS = 86_400_000
START_ATTEMPTS = 4  # of a server, each at ports of its own: between asking for a free one and binding it, another may

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """In a new child: be killed when the thread that started it ends (so start servers from the main thread)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def temp_dir(prefix="tidemark-test-"):
    """A directory that is removed when the tests end (kept, and named, with KEEP=1)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    if os.environ.get("KEEP"):
        print(f"keeping {path}", flush=True)
    else:
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _tail(path, lines=20):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


class Child:
    """A child process whose output lines are collected and can be waited for."""

    def __init__(self, argv, *, cwd=None, env=None, stdin=None, name=None):
        self.argv = [str(a) for a in argv]
        self.name = name or pathlib.Path(self.argv[0]).name
        self._changed = threading.Condition()
        self._lines = {"stdout": [], "stderr": []}
        self.process = subprocess.Popen(
            self.argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
        self._readers = [threading.Thread(target=self._collect, args=(which,), daemon=True)
                         for which in ("stdout", "stderr")]
        for reader in self._readers:
            reader.start()
        atexit.register(self.kill)

    def _collect(self, which):
        with getattr(self.process, which) as pipe:
            for line in pipe:
                with self._changed:
                    self._lines[which].append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self):
        return self.process.pid

    @property
    def returncode(self):
        return self.process.poll()

    def lines(self, which="stderr"):
        with self._changed:
            return list(self._lines[which])

    @property
    def stdout(self):
        return "\n".join(self.lines("stdout"))

    @property
    def stderr(self):
        return "\n".join(self.lines("stderr"))

    def wait_for_line(self, pattern, timeout=PATIENCE, which=("stderr", "stdout"), skip=0):
        """The match of the first line that `pattern` is found in, after `skip` of them. Fails at once when the
        process has ended without it, and with the last lines when the deadline passes."""
        regex = re.compile(pattern)
        which = (which,) if isinstance(which, str) else which
        deadline = time.monotonic() + timeout
        seen = {w: 0 for w in which}
        left = skip
        with self._changed:
            while True:
                for w in which:
                    for line in self._lines[w][seen[w]:]:
                        seen[w] += 1
                        match = regex.search(line)
                        if match and left == 0:
                            return match
                        left -= bool(match)
                ended = not any(r.is_alive() for r in self._readers)
                rest = deadline - time.monotonic()
                if ended or rest <= 0:
                    why = f"ended with {self.process.poll()}" if ended else f"{timeout:g} s passed"
                    last = "\n".join(self._lines["stderr"][-20:])
                    kind = HarnessError if ended else TimedOut
                    raise kind(f"{self.name}: {why} before a line with {pattern!r}; last lines:\n{last}")
                # A reader's last notification can come while its thread still counts as alive: hence at most 0.1 s.
                self._changed.wait(min(rest, 0.1))

    def wait(self, timeout=PATIENCE):
        """The exit status; TimedOut (and the child killed) when it does not end in time."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            last = "\n".join(self.lines()[-20:])
            self.kill()
            raise TimedOut(f"{self.name} did not end within {timeout:g} s; last lines:\n{last}") from None
        for reader in self._readers:
            reader.join(5)
        return status

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def terminate(self, timeout=PATIENCE):
        """SIGTERM, then the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL, now; also what happens to a child left over."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        atexit.unregister(self.kill)


# --- Kafka ----------------------------------------------------------------------------------------------------------

def _java(*args, heap):
    java = shutil.which("java")
    if not java:
        raise HarnessError("no java on PATH; run tests/support/setup.sh test")
    config = f"-Dlog4j2.configurationFile={SUPPORT / 'java' / 'log4j2.properties'}"
    return [java, f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", config, *args]


def _prepare_java():
    done = subprocess.run(["bash", str(SUPPORT / "java" / "build.sh")], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"the Java test clients were not built:\n{done.stdout}")


class Broker:
    """One combined KRaft broker of Apache Kafka. `properties` are laid over the settings below."""

    node = 1

    def __init__(self, properties=None, heap="512m"):
        _prepare_java()
        self.dir = temp_dir("tidemark-kafka-")
        self.log = self.dir / "broker.log"
        self.heap = heap
        self.properties = dict(properties or {})
        self.process = None
        self.port = self._controller_port = 0

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def _write_properties(self):
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.dir / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            # Without this, a restart after kill -9 waits 9 s for its own dead session.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            # The default takes a quarter of this heap for itself.
            "log.cleaner.dedupe.buffer.size": "16777216",
            **self.properties,
        }
        text = "".join(f"{k}={v}\n" for k, v in settings.items())
        (self.dir / "server.properties").write_text(text)

    def _format(self):
        shutil.rmtree(self.dir / "data", ignore_errors=True)
        done = subprocess.run(
            _java("-cp", f"{CACHE}/kafka/libs/*", "kafka.tools.StorageTool", "format", "-t", "tidemark-tests-cluster",
                  "-c", str(self.dir / "server.properties"), heap="128m"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=300)
        if done.returncode != 0:
            raise HarnessError(f"Kafka's storage was not formatted:\n{done.stdout}")

    def start(self, timeout=240.0):
        """Starts it, on the same ports and data when it ran before, and returns the bootstrap address once it answers."""
        first = self.port == 0
        for attempt in range(START_ATTEMPTS):
            if first:
                self.port, self._controller_port = free_port(), free_port()
                self._write_properties()
                self._format()
            before = self.log.stat().st_size if self.log.exists() else 0
            self._launch()
            if self._answers_within(timeout):
                return self.bootstrap
            if "ConfigException" in self.log.read_bytes()[before:].decode("utf-8", "replace"):
                break  # which no other port makes good
            if not first:
                time.sleep(1)  # its own ports may be those of a process that is about to end
        raise HarnessError(f"the broker stopped (status {self.process.poll()}) before it answered; last lines of "
                           f"{self.log}:\n{_tail(self.log)}")

    def _launch(self):
        self._write_properties()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                _java("-cp", f"{CACHE}/kafka/libs/*", "kafka.Kafka", str(self.dir / "server.properties"),
                      heap=self.heap),
                cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent)
        atexit.register(self.kill)

    def _answers_within(self, timeout):
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.kill()
                raise TimedOut(f"the broker did not answer within {timeout:g} s:\n{_tail(self.log)}")
            time.sleep(0.05)
        return False

    def _answers(self):
        """Asks for the API versions (v0); the broker serves its port only once it may be used."""
        client = b"tests"
        request = struct.pack(">hhih", 18, 0, 1, len(client)) + client
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as s:
                s.sendall(struct.pack(">i", len(request)) + request)
                reply = b""
                while len(reply) < 10:
                    piece = s.recv(10 - len(reply))
                    if not piece:
                        return False
                    reply += piece
            _, correlation, error = struct.unpack(">iih", reply)
            return correlation == 1 and error == 0
        except OSError:
            return False

    def stop(self, timeout=PATIENCE):
        """An orderly stop; the data stays for the next start()."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        """kill -9; the data stays for the next start()."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        atexit.unregister(self.kill)

    def freeze(self):
        """SIGSTOP: connections stay open and nothing answers, until thaw()."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    """Small KRaft brokers, each of them a voter too; `replication` of the internal topics, and of others unless told."""

    def __init__(self, count=3, heap="256m", properties=None):
        self.brokers = [Broker(heap=heap) for _ in range(count)]
        for broker in self.brokers:
            broker.port, broker._controller_port = free_port(), free_port()
        voters = ",".join(f"{n}@127.0.0.1:{b._controller_port}" for n, b in enumerate(self.brokers, 1))
        for node, broker in enumerate(self.brokers, 1):
            broker.node = node
            broker.properties = {
                "node.id": str(node), "controller.quorum.voters": voters, "default.replication.factor": str(count),
                "min.insync.replicas": str(count // 2 + 1), "offsets.topic.replication.factor": str(count),
                "transaction.state.log.replication.factor": str(count),
                "transaction.state.log.min.isr": str(count // 2 + 1),
                # Three brokers on a busy machine: no election because one of them was slow.
                "controller.quorum.fetch.timeout.ms": "5000", "controller.quorum.election.timeout.ms": "2000",
                "broker.session.timeout.ms": "9000", **(properties or {})}

    @property
    def bootstrap(self):
        return ",".join(b.bootstrap for b in self.brokers)

    def start(self, timeout=180.0):
        """Starts all of them; none answers before most are there."""
        for broker in self.brokers:
            broker._write_properties()
            broker._format()
        for broker in self.brokers:
            broker._launch()
        for broker in self.brokers:
            if not broker._answers_within(timeout):
                raise HarnessError(f"broker {broker.node} ended; last lines of {broker.log}:\n{_tail(broker.log)}")
        return self.bootstrap

    def kill(self):
        for broker in self.brokers:
            broker.kill()


class Record:
    """One Kafka record as a foreign client read it. key and value are str, bytes (no UTF-8) or None."""

    __slots__ = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")

    def __init__(self, row):
        self.topic, self.partition, self.offset = row["topic"], row["partition"], row["offset"]
        self.timestamp = row["timestamp"]
        self.key, self.value = _bytes_in(row["key"]), _bytes_in(row["value"])
        self.headers = [(name, _bytes_in(value)) for name, value in row["headers"]]

    def json(self):
        return None if self.value is None else json.loads(self.value)

    def __repr__(self):
        return f"{self.topic}:{self.partition}:{self.offset} at {self.timestamp} {self.key!r}={self.value!r}"


def _bytes_in(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _bytes_out(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


class Kafka:
    """Apache's own Java clients, in one long-lived process: a second implementation beside tidemark's librdkafka."""

    def __init__(self, bootstrap):
        _prepare_java()
        self.bootstrap = bootstrap
        self.replication = 1  # of topics created
        self._dir = temp_dir("tidemark-client-")
        self._numbers = itertools.count()
        self._log = open(self._dir / "client.log", "ab")
        self._process = None
        atexit.register(self.close)

    def close(self):
        if self._process and self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process:
            self._process.stdout.close()
        self._process = None
        self._log.close()
        atexit.unregister(self.close)

    def call(self, tool, *, within=300.0, **args):
        """One command of tests/support/java/Serve.java, and its reply; HarnessError with the client's own words, or
        when there is none `within` s (the client is killed then)."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                _java("-cp", f"{CACHE}/java:{CACHE}/kafka/libs/*", "Serve", heap="384m"), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=self._log, text=True, encoding="utf-8", preexec_fn=_die_with_parent)
        self._process.stdin.write(json.dumps({"tool": tool, "bootstrap": self.bootstrap, **args}) + "\n")
        self._process.stdin.flush()
        begun = time.monotonic()
        watchdog = threading.Timer(within, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            kind = TimedOut if time.monotonic() - begun >= within else HarnessError
            raise kind(f"the Java client gave no answer to {tool} {args}:\n{_tail(self._dir / 'client.log')}")
        reply = json.loads(line)
        if not reply["ok"]:
            kind = TimedOut if reply["error"].startswith("TimeoutException") else HarnessError
            raise kind(f"{tool} {args.get('do', '')}: {reply['error']}")
        return reply

    def _ask(self, tool, **args):
        """A question. While a broker goes away, the admin client may wait for one that is no longer in the cluster until
        its time is over; the next question finds the new leader."""
        try:
            return self.call(tool, **args)
        except HarnessError as error:
            if "node assignment" not in str(error):
                raise
            return self.call(tool, **args)

    # Topics and groups ------------------------------------------------------------------------------------------

    def create_topics(self, topics, partitions=1, **configs):
        """topics: names, or {name: {config: value}}. Records keep whatever age they have (retention.ms=-1)."""
        each = topics if isinstance(topics, dict) else {name: {} for name in topics}
        left = [{"name": name, "partitions": partitions, "replication": self.replication,
                 "configs": {"retention.ms": "-1", **configs, **own}} for name, own in each.items()]

        def created():
            """A broker that did not get to run for some seconds counts as fenced until it is heard of again."""
            try:
                self.call("topics", do="create", topics=left)
                return True
            except HarnessError as error:
                if "currently fenced" not in str(error):
                    raise
                there = set(self.topics())
                left[:] = [topic for topic in left if topic["name"] not in there]
                return not left
        wait_until("the broker to be of the cluster again", created, interval=0.2)
        # Said by the controller; the brokers hear of it a moment later.
        wait_until(f"all to be seen: {list(each)}", lambda: all(
            topic["partitions"] == partitions for topic in self._seen(each).values()))

    def _seen(self, names):
        """describe_topics; {name: no partitions} while one of them is not known yet."""
        try:
            return self.describe_topics(names)
        except HarnessError as error:
            if "UnknownTopic" not in str(error):
                raise
            return {name: {"partitions": 0, "configs": {}} for name in names}

    def topics(self):
        return self.call("topics", do="list")["topics"]

    def describe_topics(self, names):
        """{name: {"partitions": n, "configs": {...}}}"""
        return self.call("topics", do="describe", topics=list(names))["topics"]

    def delete_topics(self, names):
        self.call("topics", do="delete", topics=list(names))
        wait_until(f"{names} to be gone", lambda: not set(names) & set(self.topics()))

    def grow_topic(self, name, partitions):
        self.call("topics", do="grow", topic=name, partitions=partitions)
        wait_until(f"{name} to have grown", lambda: self._seen([name])[name]["partitions"] == partitions)

    def configure_topic(self, name, **configs):
        self.call("topics", do="configure", topic=name, configs=configs)
        wait_until(f"{name} to be configured", lambda: configs.items() <= self._seen([name])[name]["configs"].items())

    def cut(self, topic, partition, before):
        """Deletes the records before an offset."""
        self.call("topics", do="cut", topic=topic, partition=partition, before=before)

    def offsets(self, topics):
        """{(topic, partition): {"start", "end", "stable"}}"""
        rows = self._ask("topics", do="offsets", topics=list(topics))["offsets"]
        return {(r["topic"], r["partition"]): r for r in rows}

    def group_offsets(self, group):
        """{(topic, partition): (offset, metadata)} as committed."""
        rows = self._ask("groups", do="offsets", group=group)["offsets"]
        return {(r["topic"], r["partition"]): (r["offset"], r["metadata"]) for r in rows}

    def describe_group(self, group):
        """{"state", "members": [{"instance", "client", "partitions"}]}"""
        return self.call("groups", do="describe", group=group)

    def move_group(self, group, offsets):
        """offsets: {(topic, partition): offset or (offset, metadata)}; the group must have no members."""
        rows = []
        for (topic, partition), wanted in offsets.items():
            offset, metadata = wanted if isinstance(wanted, tuple) else (wanted, "")
            rows.append({"topic": topic, "partition": partition, "offset": offset, "metadata": metadata})
        self.call("groups", do="move", group=group, offsets=rows)

    def delete_group(self, group):
        self.call("groups", do="delete", group=group)

    # Records ----------------------------------------------------------------------------------------------------

    def produce(self, topic, records, **options):
        """records: dicts with partition, key, timestamp, value, headers [(name, value)], all optional; keys and values
        are str, bytes or None. options: transactional_id and end ("commit", "abort", "open"), properties."""
        path = self._dir / f"produce-{next(self._numbers)}.ndjson"
        with open(path, "w", encoding="utf-8") as out:
            for r in records:
                row = dict(r)
                for field in ("key", "value"):
                    if field in row:
                        row[field] = _bytes_out(row[field])
                row["headers"] = [[name, _bytes_out(value)] for name, value in r.get("headers", ())]
                out.write(json.dumps(row) + "\n")
        return self._produce(topic, path, "json", options, remove=True)

    def produce_lines(self, topic, path, **options):
        """A file of lines: partition, key, timestamp, value with tabs between; the first three may be empty."""
        return self._produce(topic, path, "tsv", options)

    def produce_records(self, topic, path, **options):
        """A file of usage or account records (one JSON a line), sent as every loader does: keyed by account, stamped
        with the running maximum of `at`, {"erase": true} as a null value."""
        return self._produce(topic, path, "records", options)

    def _produce(self, topic, path, form, options, remove=False):
        try:
            return self.call("produce", topic=topic, file=str(pathlib.Path(path).resolve()), format=form,
                             **options)["sent"]
        finally:
            if remove:
                path.unlink()

    def end_transaction(self, transactional_id, end):
        """Commits or aborts what produce(..., end="open") left open."""
        self.call("produce", do="end", transactional_id=transactional_id, end=end)

    def transaction_state(self, transactional_id):
        """What its coordinator says of it: "Ongoing", "PrepareCommit", "CompleteCommit", ..."""
        return self.call("produce", do="state", transactional_id=transactional_id)["state"]

    def read(self, topics, isolation="read_committed", records=None, timeout=PATIENCE, properties=None):
        """All records from the beginning to the ends as found at the start, or with `records` until that many have
        come. Ordered by partition and offset. TimedOut when `timeout` s pass first."""
        topics = [topics] if isinstance(topics, str) else list(topics)
        path = self._dir / f"read-{next(self._numbers)}.ndjson"
        extra = {} if records is None else {"records": records}
        try:
            reply = self.call("read", within=timeout + 60, topics=topics, file=str(path), isolation=isolation,
                              timeout_ms=int(timeout * 1000), properties=properties or {}, **extra)
            with open(path, encoding="utf-8") as lines:
                found = [Record(json.loads(line)) for line in lines]
        finally:
            path.unlink(missing_ok=True)
        if reply["timed_out"]:
            raise TimedOut(f"read {len(found)} of {records or 'all'} records of {topics} in {timeout:g} s")
        return sorted(found, key=lambda r: (r.topic, r.partition, r.offset))


# --- Redis ----------------------------------------------------------------------------------------------------------

class RedisError(Exception):
    """Redis answered with an error."""


def store_permissions():
    """The words of ACL SETUSER that allow what the store's adapter says it needs, and nothing else."""
    source = (ROOT / "processor" / "adapters" / "redis" / "permissions.c").read_text()
    return ["resetkeys", "~tm:*", "resetchannels", "-@all", *re.findall(r'"(\+[a-z|]+)"', source)]


def _redis_child():
    """A file that may not grow any more (RLIMIT_FSIZE) is an error of writing, as on a full disk, and not the end."""
    _die_with_parent()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


class Redis:
    """A private redis-server. options: {"appendonly": "yes", ...}; unix=True listens on a socket file instead of a port.

    Its `url` is for a user that may do only what the documents list; command() may do everything."""

    def __init__(self, options=None, unix=False):
        self.dir = temp_dir("tidemark-redis-")
        self.log = self.dir / "redis.log"
        self.options = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction", **(options or {})}
        self.socket = self.dir / "redis.sock" if unix else None
        self.port = 0
        self.process = None
        self.password = None  # of the default user, where the options have one
        self._connection = None

    @property
    def url(self):
        return f"unix://tidemark:limited@{self.socket}" if self.socket else f"redis://tidemark:limited@127.0.0.1:{self.port}/0"

    def start(self, timeout=PATIENCE, loaded=True):
        """Starts it, on the same port and files when it ran before, and returns the URL once it answers, and has loaded
        what it keeps."""
        server = shutil.which("redis-server")
        if not server:
            raise HarnessError("no redis-server on PATH; run tests/support/setup.sh test")
        first = self.port == 0 and not self.socket
        for _ in range(START_ATTEMPTS):
            if first:
                self.port = free_port()
            argv = [server, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.dir), "--daemonize", "no"]
            if self.socket:
                argv += ["--unixsocket", str(self.socket)]
            for name, value in self.options.items():
                argv += [f"--{name}", *([""] if value == "" else str(value).split())]
            argv += ["--user", "tidemark", "on", ">limited", *store_permissions()]
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                                preexec_fn=_redis_child)
            atexit.register(self.kill)
            deadline = time.monotonic() + timeout
            while self.process.poll() is None:
                with contextlib.suppress(OSError, RedisError):
                    # Another server may sit on a port that was taken in between: it has another process id.
                    if f"process_id:{self.process.pid}\r\n" not in self.command("INFO", "server"):
                        self._disconnect()
                    elif not loaded or "loading:0\r\n" in self.command("INFO", "persistence"):
                        return self.url
                if time.monotonic() > deadline:
                    self.kill()
                    raise TimedOut(f"redis-server did not answer within {timeout:g} s:\n{_tail(self.log)}")
                time.sleep(0.01)
            if self.socket:
                break
            time.sleep(0 if first else 1)  # its port may be that of a process that is about to end
        raise HarnessError(f"redis-server ended with {self.process.poll()}:\n{_tail(self.log)}")

    def stop(self, timeout=PATIENCE):
        """SIGTERM: an orderly stop, which saves what the options say."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        """kill -9."""
        self._disconnect()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        atexit.unregister(self.kill)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def _disconnect(self):
        if self._connection:
            self._connection[1].close()
            self._connection[0].close()
            self._connection = None

    def command(self, *words):
        """One command; replies are str (bytes where they are no UTF-8), int, None or lists of these. RedisError."""
        if not self._connection:
            if self.socket:
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(PATIENCE)
                try:
                    s.connect(str(self.socket))
                except OSError:
                    s.close()
                    raise
            else:
                s = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            self._connection = (s, s.makefile("rb"))
            if self.password is not None:
                self.command("AUTH", self.password)
        raw = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        try:
            self._connection[0].sendall(
                b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in raw))
            return self._reply(self._connection[1])
        except OSError:
            self._disconnect()
            raise

    def _reply(self, stream):
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis-server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            data = stream.read(size + 2)[:-2]
            try:
                return data.decode()
            except UnicodeDecodeError:
                return data
        items = []
        for _ in range(size):
            try:
                items.append(self._reply(stream))
            except RedisError as error:
                items.append(error)
        return items

    def refusals(self):
        """What the user of `url` was refused since the start, or since ACL LOG RESET: it would need it."""
        entries = [dict(zip(row[::2], row[1::2])) for row in self.command("ACL", "LOG")]
        return [f"{e['reason']} {e['object']}" for e in entries if e["username"] == "tidemark"]

    def everything(self):
        """Every key with all that is in it, as bytes: what an erasure must leave no trace in."""
        dump = {}
        for key in self.command("KEYS", "*"):
            kind = self.command("TYPE", key)
            read = {"string": ("GET", key), "hash": ("HGETALL", key), "list": ("LRANGE", key, 0, -1),
                    "set": ("SMEMBERS", key), "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
                    "stream": ("XRANGE", key, "-", "+")}[kind]
            dump[key] = self.command(*read)
        return dump


# --- tidemark -------------------------------------------------------------------------------------------------------

class Finished:
    """What a finished run of tidemark left: status, stdout and stderr as text, seconds it took."""

    def __init__(self, argv, status, stdout, stderr, seconds):
        self.argv, self.status, self.stdout, self.stderr, self.seconds = argv, status, stdout, stderr, seconds

    def json_lines(self):
        return [json.loads(line) for line in self.stdout.splitlines() if line]

    def __repr__(self):
        return (f"{' '.join(self.argv)}: status {self.status} after {self.seconds:.1f} s\n"
                f"--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}")


class Hangs(TimedOut):
    """A command of tidemark did not come to its end in time."""


class Tidemark:
    """The program under test: $TIDEMARK, else the release build, else the development build."""

    def __init__(self, binary=None, cwd=None, env=None):
        self.binary = pathlib.Path(binary) if binary else self.find()
        self.cwd = cwd
        self.env = {**os.environ, "NO_COLOR": "1", "TZ": "UTC", **(env or {})}

    @staticmethod
    def find():
        given = os.environ.get("TIDEMARK")
        places = [pathlib.Path(given)] if given else [ROOT / "build" / p / "tidemark" for p in ("release", "dev")]
        for place in places:
            if os.access(place, os.X_OK):
                return place.resolve()
        raise HarnessError(f"no tidemark at {' or '.join(map(str, places))}: build it, or set TIDEMARK")

    def run(self, *args, input=None, timeout=300.0, env=None, status=0):
        """Runs to the end and returns Finished; Hangs. Any other exit status than `status` (None: any) is an
        AssertionError with everything it printed."""
        argv = [str(self.binary), *map(str, args)]
        begun = time.monotonic()
        data = input.encode() if isinstance(input, str) else input
        try:
            done = subprocess.run(argv, cwd=self.cwd, env={**self.env, **(env or {})}, timeout=timeout, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent,
                                  **({"stdin": subprocess.DEVNULL} if data is None else {"input": data}))
        except subprocess.TimeoutExpired as late:
            raise Hangs(f"{' '.join(argv)} did not end within {timeout:g} s\n--- stderr\n"
                                 f"{(late.stderr or b'').decode('utf-8', 'replace')[-4000:]}") from None
        result = Finished(argv, done.returncode, done.stdout.decode("utf-8", "replace"),
                          done.stderr.decode("utf-8", "replace"), time.monotonic() - begun)
        if status is not None and result.status != status:
            raise AssertionError(f"expected exit status {status}\n{result!r}")
        return result

    def start(self, *args, env=None, stdin=None):
        """Starts it and returns the Child."""
        return Child([self.binary, *args], cwd=self.cwd, env={**self.env, **(env or {})}, stdin=stdin, name="tidemark")


class Verbatim(str):
    """A value of write_config that goes into the YAML as it is: Verbatim("!file user.key")."""


def yaml(settings, indent=0):
    """Dicts of settings as block YAML, everything below them as JSON (which YAML includes)."""
    out = []
    for key, value in settings.items():
        name = " " * indent + (key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else json.dumps(key))
        if isinstance(value, dict) and value:
            out.append(f"{name}:\n{yaml(value, indent + 2)}")
        else:
            out.append(f"{name}: {value if isinstance(value, Verbatim) else json.dumps(value)}\n")
    return "".join(out)


# --- Tests ----------------------------------------------------------------------------------------------------------

_shared = {}


def shared_broker():
    """The one broker of this run, started when first asked for."""
    if "broker" not in _shared:
        broker = Broker()
        broker.start()
        _shared["broker"] = broker
    return _shared["broker"]


def shared_kafka():
    if "kafka" not in _shared:
        _shared["kafka"] = Kafka(shared_broker().bootstrap)
    return _shared["kafka"]


TOPICS = ("usage", "accounts", "churn_risk", "expansion", "advisories", "health", "dead_letters", "journal")
_names = itertools.count(1)


class TestCase(unittest.TestCase):
    """A test with the shared broker, and a directory, a name prefix, a Redis and a tidemark of its own."""

    maxDiff = None

    def setUp(self):
        self.dir = temp_dir()
        self.addCleanup(lambda: None if os.environ.get("KEEP") else shutil.rmtree(self.dir, ignore_errors=True))
        self.prefix = f"t{next(_names)}-{os.getpid()}"

    @property
    def broker(self):
        return shared_broker()

    @property
    def kafka(self):
        return shared_kafka()

    @property
    def redis(self):
        if not hasattr(self, "_redis"):
            self._redis = Redis()
            self.addCleanup(self._redis.kill)
            self._redis.start()
            self.addCleanup(self._expect_no_refusals)
        return self._redis

    def _expect_no_refusals(self):
        if self._redis.process and self._redis.process.poll() is None:
            with contextlib.suppress(OSError, RedisError):
                self.assertEqual(self._redis.refusals(), [], "name it in processor/adapters/redis/permissions.c")

    @property
    def tidemark(self):
        if not hasattr(self, "_tidemark"):
            self._tidemark = Tidemark(cwd=self.dir)
        return self._tidemark

    def start_tidemark(self, *args, **more):
        """Starts it; it is killed at the end of the test if it still runs."""
        child = self.tidemark.start(*args, **more)
        self.addCleanup(child.kill)
        return child

    def create_topics(self, partitions=6, without=("journal",), prefix=None):
        """Creates what tidemark expects to find and returns {role: name} for the configuration; the journal is
        tidemark's own to create."""
        names = {role: f"{prefix or self.prefix}-{role.replace('_', '-')}" for role in TOPICS}
        # Records of long ago are old enough to be compacted at once, and segments roll by their records' timestamps.
        lasting = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(36500 * DAY_MS)}
        compacted = {"accounts": lasting, "health": lasting}
        self.kafka.create_topics({names[role]: compacted.get(role, {}) for role in TOPICS if role not in without},
                                 partitions=partitions)
        return names

    def wait_for_empty_group(self):
        """A static member that stopped holds its shards until its session has ended, and a run with an end takes only
        those that it is given: before one that has to take them all under another name."""
        wait_until("the group to be empty", lambda: not self.kafka.describe_group(self.prefix)["members"])

    def write_config(self, topics, rules=None, name="tidemark.yaml", **settings):
        """Writes tidemark.yaml into self.dir and returns its path. rules: the text of a rules.yaml, or the path of
        one. `settings` are laid over the defaults: kafka={"properties": {...}} adds to kafka, workers=3 replaces."""
        (self.dir / "user.key").write_text("a key for tests, and nothing but tests\n")
        (self.dir / "user.key").chmod(0o600)
        if isinstance(rules, str):
            (self.dir / "rules.yaml").write_text(rules)
        rules_file = str(rules.resolve()) if isinstance(rules, pathlib.Path) else "rules.yaml"
        config = {"group": self.prefix, "instance": "one", "rules": rules_file,
                  "kafka": {"brokers": self.broker.bootstrap}, "topics": topics, "redis": {"url": self.redis.url},
                  "user_key": Verbatim("!file user.key")}
        for key, value in settings.items():
            both = isinstance(value, dict) and isinstance(config.get(key), dict)
            config[key] = {**config[key], **value} if both else value
        path = self.dir / name
        path.write_text(yaml(config))
        return path
