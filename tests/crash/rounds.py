"""What the crash tests stand on: a broker, a Redis, a data set fed in portions, and the judge.

A round is one data set: a seeded population with its rules, its topics, its group and its Redis. It is fed portion by
portion; every blow falls on a processor that works on a portion, and is followed by a restart. When all is consumed, the
judge compares what a foreign read_committed client sees with `tidemark replay` of the same records as files and with the
brute-force model, signal for signal; every dead letter has to be there once; and `tidemark eval` out of Redis has to say
of every account what it says out of the files.
"""

import collections
import contextlib
import io
import itertools
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("support/model", "support", "lint")]

import harness  # noqa: E402
import jobs  # noqa: E402
import model  # noqa: E402
import pack as packs  # noqa: E402
import population  # noqa: E402
import records  # noqa: E402
import world as worlds  # noqa: E402

SESSION_MS = 1500
HOLD_MS = 6 * 3600 * 1000  # how long an open transaction may stand behind an input
BROKER_NICE = 5
PARTITIONS = 4
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
BUSY = 69, 75  # the outside did not answer: what the next start finds is judged, not this


class Verdict(Exception):
    """Tidemark was wrong. The text says how."""


def crash_binary():
    return os.environ.get("TIDEMARK") or ROOT / "build" / "crash" / "tidemark"


class Ground:
    """The broker and its foreign client, shared by the rounds."""

    def __init__(self):
        # What a process that is gone left open is ended when its time is up, and not up to 10 s later.
        # A transaction that stands open behind an input stands as long as a campaign lasts.
        self.broker = harness.Broker({"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
                                      "transaction.max.timeout.ms": str(HOLD_MS)})
        self.start_broker()
        self.kafka = harness.Kafka(self.broker.bootstrap)

    def restart_broker(self, wait=0.0):
        """kill -9, and up again on the same data."""
        self.broker.kill()
        time.sleep(wait)
        self.start_broker()

    def start_broker(self):
        """However little of the machine the tests are to take, a broker that gets none answers nobody: it inherits more."""
        own = os.getpriority(os.PRIO_PROCESS, 0)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, min(own, BROKER_NICE))
        try:
            self.broker.start()
        finally:
            os.setpriority(os.PRIO_PROCESS, 0, own)

    def close(self):
        self.kafka.close()
        self.broker.kill()


def state_of(pid):
    """The kernel's letter for a process: T is stopped."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def read_list(path):
    """{point: passings} out of TIDEMARK_CRASH_LIST."""
    try:
        lines = path.read_bytes().replace(b"\0", b"").decode().splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, count in (line.split() for line in lines if line)}


Blow = collections.namedtuple("Blow", "point k where status seconds")


class Round:
    numbers = itertools.count()

    def __init__(self, ground, seed, accounts=14, days=12, rate=5.0, rules=10, portion=70, partitions=PARTITIONS, options=None, redis_options=None):
        self.ground, self.seed, self.partitions = ground, seed, partitions
        self.random = random.Random(f"crash {seed}")
        self.dir = harness.temp_dir("tidemark-crash-")
        # Never a name again on one broker: of a topic that is made anew it may tell the former partitions for a while.
        self.prefix = f"c{seed}-{os.getpid():07}-{next(Round.numbers)}"
        self.redis = harness.Redis({"appendonly": "yes", "appendfsync": "always", **(redis_options or {})})
        self.redis.start()
        self.tidemark = harness.Tidemark(crash_binary(), cwd=self.dir)
        self.children, self.said = [], []
        self.passed = collections.Counter()  # greatest number of passings of each point in one process
        self.version = 1
        self.numbers = iter(range(1 << 30))
        self.make_input(accounts, days, rate, rules)
        self.portions = self.cut(portion)
        self.fed = 0
        self.answers = {}  # what `eval` says of the files, by what was fed
        self.ends = {}
        self.exact = True  # offsets count records: no transaction was aborted in the inputs
        self.create_topics()
        self.settings = {"timezone": self.random.choice(ZONES), "evaluate_every": self.random.choice(("1m", "1m", "5m", "1h")),
                         "dedup": {"window": self.random.choice(("1h", "10m", "2d"))}, **(options or {})}
        self.kafka_url, self.redis_url = ground.broker.bootstrap, self.redis.url
        self.write_rules()
        (self.dir / "user.key").write_text("a key for tests, and nothing but tests\n")
        (self.dir / "user.key").chmod(0o600)

    # --- the input ---

    def make_input(self, accounts, days, rate, rules):
        usage, facts = population.generate(self.seed, accounts, days, self.random.choice(("2024-03-20", "2024-10-18", "2024-04-18")),
                                           rate, dirt=True, erased=0.3)
        for i in sorted(self.random.sample(range(len(usage)), len(usage) // 20), reverse=True):
            usage.insert(min(i + self.random.randrange(1, 150), len(usage)), usage[i])  # once more, perhaps after a restart
        self.pack = population.rule_pack(self.seed, rules)
        self.files = jobs.Files(self.dir / "usage.ndjson", self.dir / "accounts.ndjson")
        self.rows, self.unusable = [], collections.Counter()
        self.lines = {}  # of a row, by id: the line of the file
        for role, which, path, lines in (("accounts", records.ACCOUNTS, self.files.accounts, facts), ("usage", records.USAGE, self.files.usage, usage)):
            population.write_lines(path, lines)
            for n, (line, (clock, _, d)) in enumerate(zip(lines, records.Input(lines, which))):
                self.rows.append((clock, role, n, self.row(role, which, line, clock, d)))
                self.lines[id(self.rows[-1][3])] = line
        self.rows = [(role, row) for _, role, _, row in sorted(self.rows, key=lambda r: r[:3])]
        self.final = self.rows[-1][1]["timestamp"]

    def row(self, role, which, line, clock, d):
        """The record that a loader makes of a line; counts it where the model finds it unusable."""
        value, key = line, "nobody"
        if isinstance(d, dict) and isinstance(d.get("account"), str) and d["account"]:
            key = d["account"]
        try:
            if isinstance(d, records.Bad):
                raise d
            if which == records.USAGE:
                records.read_event(d)
            elif records.read_account(d, worlds.zone.Zone("UTC"))[1] is None:
                value = None
        except records.Bad:
            self.unusable[(role, line)] += 1
        try:
            value = None if value is None else value.decode()
        except UnicodeDecodeError:
            pass
        return {"key": key, "timestamp": clock, "value": value}

    def cut(self, size):
        """Portions of about so many records, cut between two instants."""
        places = [i for i in range(1, len(self.rows)) if self.rows[i][1]["timestamp"] > self.rows[i - 1][1]["timestamp"]]
        cuts, last = [0], 0
        for place in places:
            if place - last >= size * self.random.uniform(0.3, 1.7):
                cuts.append(last := place)
        return [self.rows[a:b] for a, b in zip(cuts, [*cuts[1:], len(self.rows)])]

    def create_topics(self):
        names = {role: f"{self.prefix}-{role.replace('_', '-')}" for role in harness.TOPICS}
        compacted = {"accounts": {"cleanup.policy": "compact", "min.compaction.lag.ms": str(36500 * harness.DAY_MS)},
                     "health": {"cleanup.policy": "compact"}}
        self.ground.kafka.create_topics({names[r]: compacted.get(r, {}) for r in harness.TOPICS if r != "journal"}, partitions=self.partitions)
        self.topics = names

    def feed(self):
        """The next portion; False when there is none."""
        if self.fed == len(self.portions):
            return False
        rows = self.portions[self.fed]
        self.fed += 1
        for role in ("accounts", "usage"):
            part = [row for r, row in rows if r == role]
            if part:
                self.ground.kafka.produce(self.topics[role], part)
        for (topic, partition), o in self.ground.kafka.offsets([self.topics["usage"], self.topics["accounts"]]).items():
            self.ends[topic, partition] = o["end"]
        return True

    # --- the processor ---

    def write_rules(self):
        """Whole at every moment: a processor may be reading them."""
        (self.dir / "rules.new").write_text(json.dumps({**self.pack, "version": self.version}, indent=1))
        (self.dir / "rules.new").rename(self.dir / "rules.yaml")

    def config(self, instance="a", workers=None):
        settings = {"group": self.prefix, "instance": instance, "rules": "rules.yaml",
                    "kafka": {"brokers": self.kafka_url,
                              "properties": {"session.timeout.ms": str(SESSION_MS), "heartbeat.interval.ms": "300",
                                             "fetch.wait.max.ms": "10", "fetch.min.bytes": "1"}},
                    "topics": self.topics, "redis": {"url": self.redis_url}, "user_key": harness.Verbatim("!file user.key"),
                    "workers": workers or self.random.choice((1, 1, 2)), "commit_interval": "30ms", **self.settings}
        path = self.dir / f"tidemark-{instance}.yaml"
        new = path.with_suffix(".new")
        new.write_text(harness.yaml(settings))
        return new.rename(path)

    def start(self, instance="a", crash=None, stop=None, workers=None, once=True):
        """A processor; crash and stop: 'point:k'."""
        path = self.dir / f"passed-{next(self.numbers)}"
        env = {"TIDEMARK_CRASH_LIST": str(path)}
        if crash:
            env["TIDEMARK_CRASH"] = crash
        if stop:
            env["TIDEMARK_STOP"] = stop
        child = self.tidemark.start("run", "--config", self.config(instance, workers), *(["--once"] if once else []), env=env)
        child.passed_file = path
        child.begun = time.monotonic()
        self.children.append(child)
        self.said.append(child)
        return child

    def end(self, child, timeout=300.0, also=()):
        """Waits for its end; returns its status and keeps what it passed. `also`: statuses that are right here, too."""
        try:
            child.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Verdict(f"a processor does not end: {self.stacks(child)}\n" + "\n".join(child.lines()[-20:])) from None
        status = child.wait()
        self.note(child)
        if child in self.children:
            self.children.remove(child)
        if status not in (0, -signal.SIGKILL, *BUSY, *also):
            raise Verdict(f"a processor ended with {status}:\n" + "\n".join(child.lines()[-30:]))
        return status

    def stacks(self, child):
        """Where its threads stand, and what it said, before it is killed; returns where that is."""
        place = harness.pathlib.Path(harness.tempfile.mkdtemp(prefix=f"tidemark-crash-evidence-{self.seed}-"))
        with contextlib.suppress(OSError):
            done = subprocess.run(["gdb", "-p", str(child.pid), "-batch", "-ex", "thread apply all bt 25"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            (place / "stacks").write_text(done.stdout)
        (place / "said.log").write_text("\n".join(child.lines()))
        child.kill()
        return f"evidence is in {place}"

    def note(self, child):
        passed = read_list(child.passed_file)
        child.passed = passed
        for name, count in passed.items():
            self.passed[name] = max(self.passed[name], count)
        child.passed_file.unlink(missing_ok=True)

    def kill_all(self):
        for child in list(self.children):
            child.kill()
            self.note(child)
        self.children = []

    def consumed(self):
        """True when Redis has absorbed, and the group's offsets cover, all that was fed."""
        committed = self.ground.kafka.group_offsets(self.prefix)
        for p in range(self.partitions):
            position = self.redis.command("HGET", f"tm:{{{self.prefix}/{p}}}:meta", "position")
            if not position:
                return False
            usage, accounts, n = (int(x) for x in position.split(":"))
            for role, offset in (("usage", usage), ("accounts", accounts)):
                key = (self.topics[role], p)
                published, metadata = committed.get(key, (0, ""))
                if self.exact and offset != self.ends[key] or (published, metadata.split(" ")[0]) != (offset, str(n)):
                    return False
        return True

    def finish_portion(self, tries=8):
        """Runs undisturbed until all that was fed is consumed."""
        for _ in range(tries):
            child = self.start(workers=1)
            # One that had only some of the shards, since others' sessions were not over, did not bring all to the end.
            if self.end(child) == 0 and self.claimed_by(child) == set(range(self.partitions)) and self.consumed():
                return
            time.sleep(SESSION_MS / 3000)  # members that are gone keep their shards until their session ends
        said = "\n".join(self.last_lines())
        raise Verdict(f"after {tries} undisturbed runs not all input is consumed:\n{self.positions()}\n{said}")

    def claimed_by(self, child):
        found = (re.search(r"event=shard_claimed .*partition=(\d+)", line) for line in child.lines())
        return {int(m.group(1)) for m in found if m}

    def last_lines(self):
        child = self.start(workers=1)
        child.wait(60)
        self.note(child)
        return child.lines()[-20:]

    def positions(self):
        return json.dumps({p: self.redis.command("HGETALL", f"tm:{{{self.prefix}/{p}}}:meta") for p in range(self.partitions)}, default=str) + \
            json.dumps({f"{t}:{p}": o for (t, p), o in self.ground.kafka.group_offsets(self.prefix).items()})

    # --- the judge ---

    def read(self, roles):
        names = {self.topics[role]: role for role in roles}
        found = collections.defaultdict(list)
        for record in self.ground.kafka.read(list(names)):
            found[names[record.topic]].append(record)
        return found

    def judge(self):
        """Raises Verdict, or returns how many signals, dead letters and values were compared."""
        problems = []
        got = self.signals(problems)
        replayed = self.replay()
        self.compare_signals(got, replayed, problems)
        self.compare_with_model(replayed, problems)
        letters = self.compare_dead_letters(problems)
        values = self.compare_state(problems)
        if problems:
            raise Verdict("\n".join(problems + [self.evidence()]))
        return {"signals": len(got), "dead_letters": letters, "values": values}

    def signals(self, problems):
        signals = []
        for role, found in self.read(jobs.SIGNAL_ROLES).items():
            last = {}
            for r in found:
                s = r.json()
                d = s["data"]
                if d["sequence"] != last.get(d["episode"], 0) + 1:
                    problems.append(f"{r.topic}:{r.partition}:{r.offset}: {jobs.short(s)} after sequence {last.get(d['episode'], 0)}")
                last[d["episode"]] = d["sequence"]
                signals.append(s)
        return signals

    def arguments(self):
        return ["--events", self.files.usage, "--accounts", self.files.accounts, "--config", self.dir / "tidemark-a.yaml"]

    def replay(self):
        out = self.dir / "replayed.ndjson"
        self.tidemark.run("replay", *self.arguments(), "--signals", out)
        return jobs.read_ndjson(out)

    def comparable(self, s):
        s = jobs.comparable(s)
        del s["data"]["rules_version"]  # a reload in the middle is one of the blows
        return s

    def compare_signals(self, got, expected, problems):
        twice = [i for i, n in collections.Counter(s["id"] for s in got).items() if n > 1]
        left, right = ({s["id"]: self.comparable(s) for s in side} for side in (got, expected))
        for what, some in (("twice", [left[i] for i in twice]), ("missing", [right[i] for i in right.keys() - left.keys()]),
                           ("too many", [left[i] for i in left.keys() - right.keys()])):
            for s in sorted(some, key=jobs.order)[:5]:
                problems.append(f"{what} ({len(some)}): {jobs.short(s)}")
        for i in sorted(i for i in left.keys() & right.keys() if left[i] != right[i])[:5]:
            a, b = left[i], right[i]
            odd = {k: (a["data"].get(k), b["data"].get(k)) for k in a["data"].keys() | b["data"].keys() if a["data"].get(k) != b["data"].get(k)}
            problems.append(f"other: {jobs.short(a)}: {odd or (a, b)}")

    def compare_with_model(self, replayed, problems):
        if not hasattr(self, "expected"):
            w = worlds.World(packs.Pack(self.pack, ()), packs.Config(self.settings))
            self.expected = [model.flatten(s) for s in w.run(str(self.files.usage), str(self.files.accounts))]
        said = io.StringIO()
        if model.compare(self.expected, [model.from_cloudevent(s) for s in replayed], out=said, limit=5):
            problems.append(f"replay and the model differ:\n{said.getvalue()}")

    def compare_dead_letters(self, problems):
        places, values = collections.Counter(), collections.Counter()
        role_of = {self.topics[r]: r for r in ("usage", "accounts")}
        for r in self.read(("dead_letters",))["dead_letters"]:
            d = r.json()
            places[d["topic"], d["partition"], d["offset"]] += 1
            values[role_of[d["topic"]], harness.base64.b64decode(d["value_base64"])] += 1
        problems += [f"dead letter of {place} {n} times" for place, n in places.items() if n > 1][:5]
        for what, some in (("missing", self.unusable - values), ("too many", values - self.unusable)):
            problems += [f"dead letter {what}: {item}" for item in list(some)[:5]]
        return sum(values.values())

    def compare_state(self, problems):
        texts = ["nps", "seats", "plan", "age(events)", "first(events)", "age(champion)", "first(sync)"]
        for rule in self.pack["rules"]:
            texts += re.findall(r"\b[a-z_]+\[[^\]]+\]", rule["when"])
        texts = list(dict.fromkeys(texts))[:16]
        names = sorted({row["key"] for _, row in self.rows} - {"nobody"})
        table = self.dir / "points.csv"
        table.write_text("account,at\n" + "".join(f'"{name}",{self.final}\n' for name in names))
        live = self.tidemark.run("eval", "--config", self.dir / "tidemark-a.yaml", "--points", table, "--json", *texts)
        asked = (self.fed, self.final)
        if asked not in self.answers:
            self.answers[asked] = self.tidemark.run("eval", *self.arguments(), "--points", table, "--json", *texts).json_lines()
        a, b = live.json_lines(), self.answers[asked]
        if len(a) != len(names) or len(b) != len(names):
            problems.append(f"eval answered {len(a)} and {len(b)} of {len(names)} points")
        for x, y in zip(a, b):
            if x != y:
                odd = {k: (x["values"][k], y["values"][k]) for k in x["values"] if x["values"][k] != y["values"][k]}
                problems.append(f"state of {x['account']}: (Redis, files) {odd or (x, y)}")
                if len(problems) > 20:
                    break
        return len(names) * len(texts)

    def evidence(self):
        """What a bad round leaves behind: what the processors said, the journal, the positions; where it is."""
        place = harness.pathlib.Path(harness.tempfile.mkdtemp(prefix=f"tidemark-crash-evidence-{self.seed}-"))
        for n, child in enumerate(self.said[-40:]):
            (place / f"{n:03}.log").write_text(child.stderr)
        (place / "positions.json").write_text(self.positions())
        journal = [r.value for r in self.read(("journal",))["journal"]]
        (place / "journal.ndjson").write_text("".join(str(line) + "\n" for line in journal))
        for path in self.dir.glob("*.*"):
            harness.shutil.copy2(path, place)
        return f"evidence is in {place}"

    def close(self):
        self.kill_all()
        self.redis.kill()
        # Only to keep the broker small: after its deaths the admin client may wait for a broker that is gone.
        for what in ({"tool": "topics", "topics": list(self.topics.values())}, {"tool": "groups", "group": self.prefix}):
            try:
                self.ground.kafka.call(do="delete", within=15, **what)
            except harness.HarnessError:
                pass
        if not os.environ.get("KEEP"):
            harness.shutil.rmtree(self.dir, ignore_errors=True)
