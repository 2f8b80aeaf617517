"""Windows against SQL: generated events in zones with daylight saving and with odd offsets, counted by SQLite over the raw
events and by `tidemark eval` from files. Which day and which hour an event belongs to, which records an instant sees, which
are duplicates and which windows are null is all decided in SQL here, from what the IANA database says of the zone.

WINDOWS_SEED (1) is the first seed. A failure names its seed and zone; KEEP=1 keeps the files.
"""

import datetime as dt
import json
import os
import pathlib
import random
import sqlite3
import sys
import unittest
import zoneinfo

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import harness  # noqa: E402

HOUR = 3_600_000
DAY = 24 * HOUR
DEDUP = HOUR
SEED = int(os.environ.get("WINDOWS_SEED", "1"))
# Where the clocks change: Europe on the last Sunday of March and October, New York on 10 March and 3 November 2024.
SEASONS = (dt.date(2024, 2, 28), dt.date(2024, 10, 10))
DAYS = 40
ACCOUNTS = 8

RULES = """version: 1
metrics:
  events:  {count: "*"}
  good:    {count: [view, export], where: 'properties.ok == true'}
  spent:   {sum: value}
  paid:    {sum: value, event: "pay_*"}
  users:   {distinct: user}
  kinds:   {distinct: event}
  days:    {distinct: day}
  letters: {distinct: properties.letter, event: view}
"""

# What a metric counts, as SQL over the rows that an instant sees.
COUNTED = {
    "events": ("count(*)", "1"),
    "good": ("count(*)", "event in ('view', 'export') and ok = 1"),
    "spent": ("coalesce(sum(micros), 0) / 1e6", "1"),
    "paid": ("coalesce(sum(micros), 0) / 1e6", "event like 'pay\\_%' escape '\\'"),
    "users": ("count(distinct user)", "1"),
    "kinds": ("count(distinct event)", "1"),
    "days": ("count(distinct day)", "1"),
    "letters": ("count(distinct letter)", "event = 'view'"),
}

TABLES = """
create table zone (since integer primary key, shift integer);     -- UTC instant from which, milliseconds east of UTC
create table raw (line integer primary key, account text, source text, id text, event text, at integer,
                  user text, micros integer, ok integer, letter text);
"""

# A record is seen once the file's running maximum has reached its instant; a second one of the same key is dropped when
# it comes within the window. No key comes more than twice, so the one before it was accepted.
VIEWS = f"""
create table seen as
  select *, max(at) over (order by line rows unbounded preceding) as stamp,
         (at + (select shift from zone where since <= at order by since desc limit 1)) / {DAY} as day, at / {HOUR} as hour
  from raw;
create index seen_key on seen (account, source, id);
create table counted as
  select * from seen s where not exists (
    select 1 from seen b where b.account = s.account and b.source = s.source and b.id = s.id
                           and b.line < s.line and b.stamp > s.stamp - {DEDUP});
create index counted_account on counted (account, at);
"""


def shifts(zone, begin, end):
    """The zone's offsets between two instants, found by asking for every hour's."""
    known = None
    for t in range(begin - begin % HOUR, end, HOUR):
        shift = dt.datetime.fromtimestamp(t / 1000, zone).utcoffset() // dt.timedelta(milliseconds=1)
        if shift != known:
            yield t, shift
            known = shift


def ms(moment):
    return round(moment.timestamp() * 1000)


class World:
    def __init__(self, seed, zone_name, first_day):
        self.rng = random.Random(f"windows {seed} {zone_name} {first_day}")
        self.zone_name, self.zone = zone_name, zoneinfo.ZoneInfo(zone_name)
        self.begin = ms(dt.datetime.combine(first_day, dt.time(9, 17, 3), self.zone))
        self.end = self.begin + DAYS * DAY
        self.changes = [t for t, _ in shifts(self.zone, self.begin, self.end)][1:]
        self.folder = harness.temp_dir()
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(TABLES)
        self.db.executemany("insert into zone values (?, ?)", shifts(self.zone, self.begin - 100 * DAY, self.end + 10 * DAY))
        self.generate()
        self.db.executescript(VIEWS)
        (self.folder / "rules.yaml").write_text(RULES)

    def near_an_edge(self):
        """An instant close to a local midnight or to a change of the clocks, or on such a day."""
        if self.changes and self.rng.random() < 0.5:
            return self.rng.choice(self.changes) + self.rng.randrange(-26 * HOUR, 26 * HOUR)
        day = dt.datetime.fromtimestamp(self.rng.randrange(self.begin, self.end) / 1000, self.zone)
        return ms(day.replace(hour=0, minute=0, second=0, microsecond=0)) + self.rng.randrange(-3, 4) * self.rng.randrange(1, HOUR)

    def generate(self):
        rng, lines, rows = self.rng, [], []
        instants = [self.begin] + sorted(rng.randrange(self.begin, self.end) for _ in range(1800))
        instants += [t for t in (self.near_an_edge() for _ in range(900)) if self.begin < t < self.end]
        instants[1:] = sorted(instants[1:])
        events = []
        for number, at in enumerate(instants):
            if number and rng.random() < 0.05:
                at -= rng.randrange(1, 3 * DAY)  # late: counts in its own bucket
            at += at % 60_000 == 0  # never on the grid itself
            event = {"id": f"e{number}", "account": f"acct-{rng.randrange(ACCOUNTS)}", "at": at,
                     "event": rng.choice(("view", "view", "export", "pay_card", "pay_bill", "payroll"))}
            if rng.random() < 0.8:
                event["user"] = f"u{rng.randrange(30)}"
            if rng.random() < 0.2:
                event["source"] = rng.choice(("web", "app"))
            if rng.random() < 0.5:
                event["value"] = rng.randrange(-5_000_000, 50_000_000) / 1000
            properties = {}
            if rng.random() < 0.7:
                properties["ok"] = rng.random() < 0.6
            if rng.random() < 0.7:
                properties["letter"] = rng.choice("abcdefghij")
            if properties:
                event["properties"] = properties
            events.append(event)
        # Again after a while, within the window or long after it; and the same id from another account is another event.
        again = [(min(position + rng.choice((1, 2, 3, 150)), len(events)), event) for position, event in enumerate(events)
                 if rng.random() < 0.06]
        for position, event in sorted(again, key=lambda pair: -pair[0]):
            events.insert(position, event)
        for line, event in enumerate(events):
            text = dict(event)
            if rng.random() < 0.5:  # the same instant, written in the zone's own time
                local = dt.datetime.fromtimestamp(event["at"] // 1000, self.zone).replace(microsecond=event["at"] % 1000 * 1000)
                text["at"] = local.isoformat(timespec="milliseconds")
            lines.append(json.dumps(text))
            value, properties = event.get("value"), event.get("properties", {})
            rows.append((line, event["account"], event.get("source", ""), event["id"], event["event"], event["at"],
                         event.get("user"), None if value is None else round(value * 1_000_000),
                         properties.get("ok"), properties.get("letter")))
        (self.folder / "usage.ndjson").write_text("\n".join(lines) + "\n")
        self.db.executemany("insert into raw values (?,?,?,?,?,?,?,?,?,?)", rows)

    def expressions(self):
        rng, out = self.rng, {}
        for name in list(COUNTED) * 2:
            unit = rng.choice("ddh")
            length = rng.randrange(1, 15 if unit == "d" else 60)
            offset = rng.choice((0, 0, 1, rng.randrange(2, 20)))
            text = f"{name}[{length}{unit}{f' offset {offset}{unit}' if offset else ''}]"
            out[text] = (name, unit, length, offset)
        return out

    def points(self):
        out = [(f"acct-{self.rng.randrange(ACCOUNTS + 1)}", self.near_an_edge()) for _ in range(45)]
        out += [(f"acct-{self.rng.randrange(ACCOUNTS)}", self.rng.randrange(self.begin, self.end)) for _ in range(15)]
        return [(account, at + (at % 60_000 == 0)) for account, at in out if at >= self.begin]

    def answer(self, account, at, name, unit, length, offset, history):
        what, where = COUNTED[name]
        bucket = "day" if unit == "d" else "hour"
        local = f"(({{0}}) + (select shift from zone where since <= ({{0}}) order by since desc limit 1)) / {DAY}"
        day, = self.db.execute(f"select {local.format('?1')}", (at,)).fetchone()
        last = (day if unit == "d" else at // HOUR) - offset
        first = last - length + 1
        if history == "first-record":
            begun, = self.db.execute(f"select {local.format('(select at from raw where line = 0)')}").fetchone()
            from_day = first if unit == "d" else self.db.execute(f"select {local.format('?1')}", (first * HOUR,)).fetchone()[0]
            if from_day < begun:
                return None
        return self.db.execute(f"select {what} from counted where account = ? and stamp <= ? and {bucket} between ? and ? and {where}",
                               (account, at, first, last)).fetchone()[0]


class WindowsAgainstSql(unittest.TestCase):
    def setUp(self):
        self.tidemark = harness.Tidemark()

    def compare(self, zone_name):
        values = nulls = nonzero = 0
        for number, first_day in enumerate(SEASONS):
            world = World(SEED, zone_name, first_day)
            history = ("complete", "first-record")[number]
            expressions, points = world.expressions(), world.points()
            table = world.folder / "points.csv"
            table.write_text("account,at\n" + "".join(f"{account},{at}\n" for account, at in points))
            done = self.tidemark.run("eval", "--events", world.folder / "usage.ndjson", "--rules", world.folder / "rules.yaml",
                                     "--timezone", zone_name, "--history", history, "--points", table, "--json", *expressions)
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(len(answers), len(points))
            for (account, at), answer in zip(points, answers):
                stamp = dt.datetime.fromtimestamp(at // 1000, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{at % 1000:03}Z"
                self.assertEqual((answer["account"], answer["at"]), (account, stamp))
                for text, parts in expressions.items():
                    expected, found = world.answer(account, at, *parts, history), answer["values"][text]
                    same = found is None if expected is None else found is not None and abs(found - expected) <= 1e-6
                    self.assertTrue(same, f"seed {SEED}, {zone_name}, in {world.folder}: {text} of {account} at {stamp}: "
                                          f"SQL says {expected}, tidemark {found}")
                    values, nulls, nonzero = values + 1, nulls + (expected is None), nonzero + bool(expected)
        print(f"  {zone_name}: {values} values, {nonzero} not 0, {nulls} null", flush=True)
        self.assertGreater(nonzero, values / 4)
        self.assertGreater(nulls, 0)

    def test_europe_berlin(self):
        self.compare("Europe/Berlin")

    def test_america_new_york(self):
        self.compare("America/New_York")

    def test_asia_kathmandu(self):
        self.compare("Asia/Kathmandu")

    def test_australia_lord_howe(self):
        self.compare("Australia/Lord_Howe")  # the clocks move by half an hour


if __name__ == "__main__":
    unittest.main()
