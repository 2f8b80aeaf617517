"""Reading the two files: bytes -> events and account records, each with its timestamp, merged into one order."""

import gzip
import json
import subprocess
import sys

import zone

LIMIT = 9e9
TEXT_FACTS = ("name", "plan", "currency", "tier", "status", "success_plan")
NUMBER_FACTS = ("seats", "mrr", "term_months")
DAY_FACTS = (("contract_start", "_start_day"), ("renewal_at", "_renewal_day"))
EVENT_KEYS = {"id", "account", "event", "at", "user", "source", "value", "properties"}
ACCOUNT_KEYS = {"account", "at", "erase", "owners", "champions", "products", "goals", "attributes"}
ACCOUNT_KEYS |= set(TEXT_FACTS) | set(NUMBER_FACTS) | {k for k, _ in DAY_FACTS}


class Bad(Exception):
    """An unusable record; args[0] is the reason."""


def lines_of(path):
    """The lines of a file as bytes, without line ends; .zst and .gz by name, '-' for standard input."""
    if path is None:
        return
    if isinstance(path, list):  # lines at hand, for tests
        yield from _split(path)
    elif path == "-":
        yield from _split(sys.stdin.buffer)
    elif path.endswith(".zst"):
        with subprocess.Popen(["zstdcat", path], stdout=subprocess.PIPE) as p:
            yield from _split(p.stdout)
            p.stdout.read()
        if p.returncode:
            raise OSError(f"zstdcat {path} failed")
    elif path.endswith(".gz"):
        with gzip.open(path, "rb") as f:
            yield from _split(f)
    else:
        with open(path, "rb") as f:
            yield from _split(f)


def _split(f):
    for line in f:
        line = line.strip(b" \t\r\n")
        if line:
            yield line


class _Dup(dict):
    """An object in which keys came twice."""

    keys_twice = ()


def _hook(pairs):
    d = dict(pairs)
    if len(d) == len(pairs):
        return d
    seen, twice = set(), set()
    for k, _ in pairs:
        (twice if k in seen else seen).add(k)
    d = _Dup(d)
    d.keys_twice = twice
    return d


def _no_constant(name):
    raise ValueError(name)


_decode = json.JSONDecoder(object_pairs_hook=_hook, parse_constant=_no_constant).decode


def parse(line):
    """bytes -> dict, or Bad('bad_json')."""
    try:
        d = _decode(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Bad("bad_json") from None
    if not isinstance(d, dict):
        raise Bad("bad_json")
    return d


def number(x):
    """JSON number -> the double that stands for its millionths."""
    if type(x) not in (int, float):
        raise Bad("wrong_type")
    try:
        x = float(x)
    except OverflowError:
        raise Bad("number_out_of_range") from None
    if not -LIMIT <= x <= LIMIT:
        raise Bad("number_out_of_range")
    return float(round(x * 1e6)) / 1e6


def micros(x):
    """The integer number of millionths a number() stands for."""
    return round(x * 1e6)


def text(x, limit=None, empty=True):
    if type(x) is not str:
        raise Bad("wrong_type")
    if not x.isascii():
        try:
            size = len(x.encode())
        except UnicodeEncodeError:  # half a surrogate pair, written as \\udXXX
            raise Bad("bad_json") from None
    else:
        size = len(x)
    if limit is not None and size > limit:
        raise Bad("too_long")
    if not empty and not x:
        raise Bad("missing_field")
    return x


def instant(x):
    if type(x) is int:
        at = x
    elif type(x) is str:
        at = zone.parse_time(x)
        if at is None:
            raise Bad("bad_time")
    else:
        raise Bad("wrong_type")
    if not 0 <= at <= zone.AT_MAX:
        raise Bad("at_out_of_range")
    return at


def scalar(v):
    t = type(v)
    if t is bool or t is str:
        return text(v) if t is str else v
    return number(v)


def flat(x, check):
    """A flat object without its nulls."""
    if not isinstance(x, dict):
        raise Bad("wrong_type")
    if type(x) is _Dup:
        raise Bad("duplicate_key")
    return {k: check(v) for k, v in x.items() if v is not None}


def _once(d, keys):
    if type(d) is _Dup and d.keys_twice & keys:
        raise Bad("duplicate_key")


def read_at(d):
    """The timestamp of a parsed line, or None if it has none that can be read."""
    x = d.get("at")
    if type(d) is _Dup and "at" in d.keys_twice:
        return None
    try:
        return None if x is None else instant(x)
    except Bad:
        return None


def read_event(d):
    _once(d, EVENT_KEYS)
    for key in ("id", "account", "event", "at"):
        if d.get(key) is None:
            raise Bad("missing_field")
    get = d.get
    user, source, value, props = get("user"), get("source"), get("value"), get("properties")
    return {
        "id": text(d["id"], 128, False),
        "account": sys.intern(text(d["account"], 128, False)),
        "event": sys.intern(text(d["event"], 64, False)),
        "at": instant(d["at"]),
        "user": None if user is None else sys.intern(text(user, 128)),
        "source": None if source is None else sys.intern(text(source, 128)),
        "value": None if value is None else number(value),
        "properties": {} if props is None else flat(props, scalar),
    }


def read_account(d, tz):
    """-> (account, facts dict, or None for an erasure)"""
    _once(d, ACCOUNT_KEYS)
    if d.get("account") is None:
        raise Bad("missing_field")
    account = sys.intern(text(d["account"], 128, False))
    if d.get("at") is not None:
        instant(d["at"])
    if d.get("erase") is not None:
        if d["erase"] is not True:
            raise Bad("wrong_type")
        if d.get("at") is None:
            raise Bad("missing_field")
        return account, None
    f = {}
    for k in TEXT_FACTS:
        if d.get(k) is not None:
            f[k] = text(d[k])
    for k in NUMBER_FACTS:
        if d.get(k) is not None:
            f[k] = number(d[k])
    for k, key in DAY_FACTS:
        v = d.get(k)
        if v is not None:
            day = zone.date_day(v) if type(v) is str else None
            if day is None:
                day = tz.day(instant(v))
            f[key] = day
            f[k] = zone.day_text(day)
    for k, check in (("owners", text), ("goals", number), ("attributes", scalar)):
        if d.get(k) is not None:
            f[k] = flat(d[k], check)
    if d.get("champions") is not None:
        if type(d["champions"]) is not list:
            raise Bad("wrong_type")
        f["champions"] = frozenset(text(u, 128) for u in d["champions"])
    if d.get("products") is not None:
        if type(d["products"]) is not list:
            raise Bad("wrong_type")
        f["products"] = {}
        for p in d["products"]:
            if not isinstance(p, dict) or p.get("name") is None:
                raise Bad("wrong_type")
            f["products"][text(p["name"])] = {k: number(p[k]) for k in ("seats", "mrr") if p.get(k) is not None}
    return account, f


USAGE, ACCOUNTS = 1, 0


class Input:
    """One file: yields (timestamp or None while none was seen, which, parsed dict or Bad)."""

    def __init__(self, path, which):
        self.path, self.which = path, which

    def __iter__(self):
        clock = None
        for line in lines_of(self.path):
            try:
                d = parse(line)
            except Bad as e:
                d, at = e, None
            else:
                at = read_at(d)
            if at is not None and (clock is None or at > clock):
                clock = at
            yield clock, self.which, d


def merged(events, accounts, until=None):
    """Both inputs as (timestamp, which, record) in merged order; accounts first on ties.

    Leading lines without a timestamp count as the least timestamp of the first records of both inputs that have one.
    Returns (start or None, first timestamp of usage or None, iterator)."""
    heads, starts = [], []
    for path, which in ((accounts, ACCOUNTS), (events, USAGE)):
        it = iter(Input(path, which))
        held, first = [], None
        for r in it:
            held.append(r)
            if r[0] is not None:
                first = r[0]
                break
        heads.append((held, it))
        starts.append(first)
    known = [s for s in starts if s is not None]
    start = min(known) if known else None

    def stream(held, it):
        for ts, which, d in held:
            yield (start if ts is None else ts), which, d
        yield from it

    def both():
        if start is None:
            return
        a, b = (stream(*h) for h in heads)
        x, y = next(a, None), next(b, None)
        while x is not None or y is not None:
            if y is None or (x is not None and x[0] <= y[0]):
                r, x = x, next(a, None)
            else:
                r, y = y, next(b, None)
            if until is not None and r[0] > until:
                return
            yield r

    return start, starts[1], both()
