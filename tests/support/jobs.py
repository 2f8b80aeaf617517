"""What the tests of the whole program share: populations, configurations, signals read back, and how they are compared.

    class Something(jobs.TestCase):             # a harness.TestCase with more words
        def test_it(self):
            files = self.population(accounts=50, days=30)
            topics = self.create_topics()
            self.load(topics, files)
            config = self.write_config(topics, rules=jobs.RULES)
            self.tidemark.run("run", "--config", config, "--once")
            self.assert_same_signals(self.signals(topics), self.replayed(files, config))
"""

import collections
import json
import subprocess
from datetime import datetime, timezone

import harness

RULES = harness.ROOT / "deploy" / "rules.yaml"
SIGNAL_ROLES = ("churn_risk", "expansion", "advisories")
SCHEMA_OF = {"churn_risk": "signal", "expansion": "signal", "advisories": "signal", "journal": "journal",
             "dead_letters": "dead-letter", "health": "health-record"}
KIND_OF = {"churn_risk": "churn_risk", "expansion": "expansion", "advisories": "advisory"}

Files = collections.namedtuple("Files", "usage accounts")


def comparable(signal):
    """A signal without the two fields in which `run` and `replay` differ."""
    signal = json.loads(json.dumps(signal))
    del signal["source"], signal["data"]["input"]
    return signal


def order(signal):
    return signal["time"], signal["data"]["account"], signal["data"]["rule"], signal["data"]["sequence"]


def short(signal):
    d = signal["data"]
    return f"{signal['time']} {d['episode']} {d['state']} {d['sequence']} {d['reason'] if 'reason' in d else ''}".rstrip()


def murmur2(key):
    """Kafka's default hash of a key, from the published algorithm."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i:i + 4], "little") * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = key[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def epoch_ms(at):
    """`at` of a record, text or milliseconds, as milliseconds since 1970."""
    if isinstance(at, int):
        return at
    return round(datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() * 1000)


def timeline(files):
    """All records of both files in merged order, as dicts for Kafka.produce with their role beside them. Timestamps are
    each file's running maximum, as every loader sets them."""
    rows = []
    for role, path in (("accounts", files.accounts), ("usage", files.usage)):
        latest = 0
        for n, line in enumerate(path.read_text().splitlines()):
            record = json.loads(line)
            latest = max(latest, epoch_ms(record["at"]))
            value = None if record.get("erase") else line
            rows.append((latest, role, n, {"key": record["account"], "timestamp": latest, "value": value}))
    return [(role, row) for _, role, _, row in sorted(rows, key=lambda r: r[:3])]


def parts(rows, count, random, least=0.5):
    """Cuts a timeline into `count` parts at random points between two instants: what comes later with the same timestamp
    as an end that was judged already would, rightly, count a millisecond later than in one piece. least: the share of an
    even part that each has at least, where every part has to have something for everybody."""
    places = [i for i in range(1, len(rows)) if rows[i][1]["timestamp"] > rows[i - 1][1]["timestamp"]]
    apart = int(len(places) * least / count)
    chosen = sorted(random.sample(range(len(places) - count * apart), count - 1))
    cuts = [0, *(places[at + (n + 1) * apart] for n, at in enumerate(chosen)), len(rows)]
    return [rows[a:b] for a, b in zip(cuts, cuts[1:])]


def partition_of(account, partitions):
    return murmur2(account.encode()) % partitions


class TestCase(harness.TestCase):
    # --- records in ---

    def population(self, *options, name="population", **named):
        """Files of a generated population: options of `tidemark generate`, as words or as accounts=50."""
        words = [w for key, value in named.items() for w in ("--" + key.replace("_", "-"), str(value))]
        out = self.dir / name
        self.tidemark.run("generate", "--out", out, *options, *words)
        return Files(out / "usage.ndjson", out / "accounts.ndjson")

    def files(self, usage, accounts=(), name="records"):
        """Files of records given as objects (or as text, where they are to be no JSON)."""
        out = self.dir / name
        out.mkdir(exist_ok=True)
        for records, path in ((usage, out / "usage.ndjson"), (accounts, out / "accounts.ndjson")):
            path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
        return Files(out / "usage.ndjson", out / "accounts.ndjson")

    def load(self, topics, files):
        self.kafka.produce_records(topics["usage"], files.usage)
        if files.accounts.stat().st_size:
            self.kafka.produce_records(topics["accounts"], files.accounts)

    def produce(self, topics, rows):
        """Rows of a timeline."""
        for role in ("accounts", "usage"):
            records = [row for r, row in rows if r == role]
            if records:
                self.kafka.produce(topics[role], records)

    def erasures_added(self, files, accounts, at):
        """The files with some accounts erased at an instant; what they do afterwards makes them new accounts."""
        lines = files.accounts.read_text().splitlines()
        lines += [json.dumps({"account": a, "at": at, "erase": True}) for a in accounts]
        # Sorting is stable: at one instant, the erasure comes last.
        lines.sort(key=lambda line: epoch_ms(json.loads(line)["at"]))
        files.accounts.write_text("".join(line + "\n" for line in lines))

    # --- signals out ---

    def records(self, topics, roles=SIGNAL_ROLES):
        """The committed records of some topics, by role."""
        names = {topics[role]: role for role in roles}
        found = {role: [] for role in roles}
        for record in self.kafka.read(list(names)):
            found[names[record.topic]].append(record)
        return found

    def signals(self, topics):
        """All committed signals in order of time, account, rule, after looking at how they lie in their topics."""
        signals = []
        for role, records in self.records(topics).items():
            open_until = {}
            for r in records:
                s = r.json()
                d = s["data"]
                where = f"{r.topic}:{r.partition}:{r.offset}"
                self.assertEqual(r.key, d["account"], where)
                self.assertEqual(d["kind"], KIND_OF[role], where)
                self.assertEqual(dict(r.headers)["tidemark-kind"], d["kind"], where)
                self.assertEqual({k: v for k, v in r.headers if k.startswith("tidemark-")},
                                 {f"tidemark-{k}": d[k] for k in ("kind", "rule", "state", "severity")}, where)
                # A subscriber sees an episode's signals in their order.
                self.assertEqual(d["sequence"], open_until.get(d["episode"], 0) + 1, f"{where}: {short(s)}")
                open_until[d["episode"]] = d["sequence"]
                signals.append(s)
        return sorted(signals, key=order)

    def replayed(self, files, config, *options):
        """The signals of `tidemark replay` on files, with the configuration's zone, grid and rules."""
        out = self.dir / "replayed.ndjson"
        self.tidemark.run("replay", "--events", files.usage, "--accounts", files.accounts, "--config", config,
                          "--signals", out, *options, timeout=300)
        return read_ndjson(out)

    def assert_same_signals(self, got, expected, minimum=1):
        """Field for field but `source` and `input`; none twice. Says which are missing, too many, or other."""
        self.assertGreaterEqual(len(expected), minimum, "the comparison would say little")
        twice = [i for i, n in collections.Counter(s["id"] for s in got).items() if n > 1]
        left = {s["id"]: comparable(s) for s in got}
        right = {s["id"]: comparable(s) for s in expected}
        lost = sorted((right[i] for i in right.keys() - left.keys()), key=order)
        new = sorted((left[i] for i in left.keys() - right.keys()), key=order)
        other = [i for i in left.keys() & right.keys() if left[i] != right[i]]
        if not (twice or lost or new or other):
            return
        lines = [f"{len(got)} signals, {len(expected)} expected: {len(lost)} missing, {len(new)} too many, "
                 f"{len(other)} other, {len(twice)} twice"]
        lines += [f"  missing  {short(s)}" for s in lost[:10]] + [f"  too many {short(s)}" for s in new[:10]]
        lines += [f"  twice    {short(left[i])}" for i in twice[:10]]
        for i in other[:10]:
            lines.append(f"  other    {short(left[i])}")
            for where in ("", "data"):
                a, b = (left[i][where], right[i][where]) if where else (left[i], right[i])
                lines += [f"             {k}: {json.dumps(a.get(k))} instead of {json.dumps(b.get(k))}"
                          for k in sorted(a.keys() | b.keys()) if k != "data" and a.get(k) != b.get(k)]
        self.fail("\n".join(lines))

    def assert_valid(self, topics, roles=tuple(SCHEMA_OF), minimum=None):
        """Every committed record of these topics holds to its schema, and has no field the schema does not name."""
        by_schema = collections.defaultdict(list)
        for role, records in self.records(topics, roles).items():
            values = [r.value for r in records if r.value is not None]
            self.assertGreaterEqual(len(values), (minimum or {}).get(role, 0), role)
            by_schema[SCHEMA_OF[role]] += values
        for schema, values in by_schema.items():
            if values:
                validate(schema, values)


def read_ndjson(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def validate(schema, values):
    """Holds JSON texts to one of the schemas of schemas/ with ajv; AssertionError with what it says."""
    folder = harness.ROOT / "tests" / "schemas"
    if not (folder / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True,
                       stdin=subprocess.DEVNULL, timeout=300)
    done = subprocess.run(["node", str(folder / "validate.mjs"), "--closed", "--min", str(len(values)), schema, "-"],
                          input="".join(v + "\n" for v in values).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stdout.decode("utf-8", "replace")[-4000:])


def instant(text):
    """RFC 3339 UTC with three decimals, as tidemark writes it, to ms since 1970."""
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return round(at.timestamp() * 1000)


