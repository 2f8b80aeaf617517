"""rules.yaml and tidemark.yaml as the model sees them."""

import os
import re

import yaml

import expr
import zone

SEVERITIES = ("info", "warn", "high", "critical")
RANK = {s: i for i, s in enumerate(SEVERITIES)}
DEFAULT_SCOPE = "coalesce(status, 'active') == 'active'"
MAX_DAYS, MAX_DISTINCT_DAYS, MAX_HOUR_DAYS = 400, 62, 62
FIRST_METRIC_BIT = 128
REPLIES = ("signal_acknowledged", "signal_snoozed")


class PackError(ValueError):
    pass


class Loader(yaml.BaseLoader):
    """Every scalar stays text; tags such as !file are read as plain text."""


def _any_tag(loader, suffix, node):
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


Loader.add_multi_constructor("!", _any_tag)


def load_yaml(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()

    def env(m):
        return os.environ.get(m[1], m[3] or "")

    text = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}", env, text)
    return yaml.load(text, Loader=Loader) or {}


def as_list(x):
    return x if isinstance(x, list) else [x]


def matcher(patterns):
    """'*', 'billing.*' (any name that begins with 'billing.') or an exact name; a list matches if one does."""
    exact = {p for p in patterns if not p.endswith("*")}
    prefixes = tuple(p[:-1] for p in patterns if p.endswith("*"))
    if any("*" in p for p in exact) or any("*" in p for p in prefixes):
        raise PackError(f"only a trailing * is a pattern: {patterns}")
    return lambda name: name in exact or (bool(prefixes) and name.startswith(prefixes) and name not in REPLIES)


class Metric:
    def __init__(self, index, name, spec):
        self.index, self.name, self.bit = index, name, FIRST_METRIC_BIT << index
        kinds = [k for k in ("count", "sum", "distinct", "last", "max", "first") if k in spec]
        if len(kinds) != 1:
            raise PackError(f"metric {name}: exactly one of count, sum, distinct, last, max, first")
        self.kind = kinds[0]
        if self.kind == "count":
            patterns = as_list(spec["count"])
            self.of = None
        else:
            patterns = as_list(spec.get("event", "*"))
            self.of = spec[self.kind]
            ok = ("value",) if self.kind != "distinct" else ("user", "event", "day")
            if self.of not in ok and not self.of.startswith("properties."):
                raise PackError(f"metric {name}: {self.kind} of {self.of!r} is not known")
        self.selects = matcher(patterns)
        self.prop = self.of[len("properties.") :] if self.of and self.of.startswith("properties.") else None
        self.where = expr.compile_text(spec["where"], expr.Env({}, where=True)) if "where" in spec else None
        self.need_d = self.need_h = self.need_w = False
        self.keep = zone.parse_duration(spec["keep"]) if "keep" in spec else 0
        self.check_reach(self.keep // zone.DAY, spec.get("keep", "d")[-1])

    def check_reach(self, days, unit):
        limit = MAX_DISTINCT_DAYS if self.kind == "distinct" else MAX_DAYS if unit != "h" else MAX_HOUR_DAYS
        if days > limit:
            raise PackError(f"metric {self.name}: more than {limit} days cannot be kept")

    def use(self, n, k, unit):
        """A window of n units, shifted by k, is read somewhere."""
        if unit == "d":
            self.need_d = True
            self.check_reach(n + k, "d")
        else:
            self.need_h = True
            self.check_reach((n + k + 23) // 24, "h")

    def member(self, event, day):
        """What the event adds to the metric: a number, a member, or None."""
        if self.kind == "count":
            return True
        if self.of == "day":
            return day
        v = event["properties"].get(self.prop) if self.prop is not None else event[self.of]
        if self.kind in ("sum", "max"):
            return v if type(v) is float else None
        if self.kind == "distinct" and v is not None:
            return (type(v).__name__, v)  # True, 1 and '1' are three members
        return v


class Template:
    def __init__(self, text, env):
        self.parts = []
        for i, piece in enumerate(re.split(r"\{\{(.*?)\}\}", text, flags=re.S)):
            if i % 2 == 0:
                self.parts.append(piece)
            else:
                node, fmt = expr.parse_placeholder(piece)
                self.parts.append((expr.Compiled(node, piece, env), fmt))

    def render(self, c):
        return "".join(p if isinstance(p, str) else show(p[0].fn(c), p[1], c) for p in self.parts)


def _trim(text):
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def show_duration(ms):
    sign = "-" if ms < 0 else ""
    s = int(abs(ms) // 1000)
    parts = [(s // 86400, "d"), (s // 3600 % 24, "h"), (s // 60 % 60, "m"), (s % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    text = " ".join(f"{n}{u}" for n, u in parts[:2] if n) or "0s"
    return sign + text if text != "0s" else text


def show(v, fmt, c):
    if v is None:
        return "n/a"
    if fmt == "percent" and type(v) is float:
        p = v * 100
        return _trim("%.0f" % p if abs(p) >= 10 else "%.1f" % p) + "%"
    if fmt == "duration" and isinstance(v, float) or type(v) is expr.Dur and fmt is None:
        return show_duration(float(v))
    if fmt == "date" and type(v) is float:
        return zone.day_text(c.zone.day(int(v)))
    if type(v) is bool:
        return "true" if v else "false"
    if isinstance(v, float):
        return _trim("%.0f" % v if v == int(v) else "%.2f" % v)
    return str(v)


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def limited(text, spec):
    """A condition, and that stage and tier are among those of `stages` and `tiers`."""
    for key, word in (("stages", "stage"), ("tiers", "tier")):
        if key in spec:
            text = f"({text}) and {word} in [{', '.join(quoted(x) for x in as_list(spec[key]))}]"
    return text


class Stage:
    def __init__(self, spec, pack):
        self.name = spec["name"]
        self.enter = expr.compile_text(str(spec["enter"]), expr.Env(pack.by_name, first_value=pack.first_value))
        self.stay = zone.parse_duration(spec.get("stay", "0"))


class Card:
    def __init__(self, name, spec, pack):
        self.name = name
        settings = spec.get("card") or {}
        self.score = settings.get("score", "health")
        self.version = int(settings.get("version", 1))
        self.keep = settings.get("keep")
        bands = settings.get("bands") or {}
        self.green, self.yellow, self.margin = (tenths(bands.get(key, usual)) for key, usual in
                                                (("green", 75), ("yellow", 50), ("margin", 3)))
        staged = name in [s.name for s in pack.stages] and "stages" not in settings
        when = settings.get("when", f"stage == '{name}'" if staged else "true")
        self.when = expr.compile_text(limited(str(when), settings), pack.env)
        self.factors = [(expr.compile_text(str(f["value"]), pack.env), self.line(f["map"]), float(f["weight"]))
                        for key, f in spec.items() if key != "card"]
        self.values = [(key, factor[0]) for key, factor in zip([key for key in spec if key != "card"], self.factors)]

    def band(self, score, former):
        """The band of a score; `former` is that which it comes from, or None."""
        score = tenths(score)
        edges = {"red": (-10**6, self.yellow), "yellow": (self.yellow, self.green), "green": (self.green, 10**6)}
        if former and edges[former][0] - self.margin <= score < edges[former][1] + self.margin:
            return former
        return next(name for name, (low, high) in edges.items() if low <= score < high)

    @staticmethod
    def line(points):
        timed = any(str(x)[-1].isalpha() for x, _ in points)
        return [(expr.Dur(zone.parse_duration(str(x))) if timed else float(x), float(y)) for x, y in points]

    def points(self, c):
        """Per factor: points or None, and weight."""
        for value, line, weight in self.factors:
            x = value.fn(c)
            yield (None if type(x) is not type(line[0][0]) else on_line(x, line)), weight


def tenths(x):
    return round(float(x) * 10)


def on_line(x, line):
    if x <= line[0][0]:
        return line[0][1]
    for (a, y), (b, z) in zip(line, line[1:]):
        if x < b:
            return y + (z - y) * ((float(x) - float(a)) / (float(b) - float(a)))
        if x == b:
            return z
    return line[-1][1]


class Score:
    def __init__(self, cards):
        self.cards = cards
        self.tracked = False
        self.deps = 0
        for card in cards:
            for x in [card.when] + [f[0] for f in card.factors]:
                self.deps |= x.deps
                if x.days:
                    self.deps |= -1  # another score's tenure may end with anything

    def of(self, c):
        return next((card for card in self.cards if card.when.fn(c) is True), None)

    def card(self, c):
        card = self.of(c)
        return card.name if card else None

    def value(self, c):
        card = self.of(c)
        found = [(p, w) for p, w in card.points(c) if p is not None] if card else []
        if not found:
            return None
        total = weights = 0.0
        for p, w in found:
            total += w * p
            weights += w
        return round(total / weights * 10) / 10

    def coverage(self, c):
        card = self.of(c)
        if card is None:
            return None
        there = every = 0.0
        for p, w in card.points(c):
            every += w
            there += w if p is not None else 0.0
        return there / every


class Rule:
    def __init__(self, index, spec, pack):
        env = pack.env
        self.index = index
        self.name = spec["name"]
        self.kind = spec.get("kind", "churn_risk")
        if self.kind not in ("churn_risk", "expansion", "advisory"):
            raise PackError(f"rule {self.name}: kind {self.kind!r}")
        if len(self.name.encode()) > 64:
            raise PackError(f"rule {self.name}: name over 64 bytes")
        comp = lambda text: expr.compile_text(str(text), env)
        self.on = spec.get("on")
        if self.on not in (None, "stage_changed"):
            raise PackError(f"rule {self.name}: on {self.on!r}")
        self.when = comp(spec.get("when", "true") if self.on else spec["when"])
        self.clear = comp(spec["clear"]) if "clear" in spec else None
        self.scope = comp(limited(str(spec.get("scope", pack.scope_text)), spec))
        dur = lambda key: zone.parse_duration(spec.get(key, "0"))
        self.hold, self.clear_hold, self.tail = dur("for"), dur("clear_for"), dur("inhibit_tail")
        self.once = spec.get("cooldown") == "once"
        self.cooldown = 0 if self.once else dur("cooldown")
        self.inhibitor_names = as_list(spec.get("inhibited_by", []))
        self.inhibitors, self.dependents = [], []
        self.update_change = float(spec.get("update_change", "0.2"))

        cmp_ = expr.first_comparison(self.when.node)
        side = lambda i: expr.Compiled(cmp_.args[i], self.when.text, env) if cmp_ else None
        self.value = comp(spec["value"]) if "value" in spec else side(1)
        self.threshold = comp(spec["threshold"]) if "threshold" in spec else side(2)
        if self.clear:
            ccmp = expr.first_comparison(self.clear.node)
            self.clear_threshold = expr.Compiled(ccmp.args[2], self.clear.text, env) if ccmp else None
        else:
            self.clear_threshold = self.threshold
        self.severity = spec.get("severity", "warn")
        sev_expr = None
        if isinstance(self.severity, dict):
            bad = [v for v in self.severity.values() if v not in RANK]
            if bad:
                raise PackError(f"rule {self.name}: severity {bad[0]!r}")
        elif self.severity not in RANK:
            sev_expr = self.severity = comp(self.severity)
        self.summary = Template(spec["summary"], env) if "summary" in spec else None
        cases = lambda x, key: [(comp(c["when"]) if "when" in c else None, c if key is None else c[key]) for c in x]
        play, route = spec.get("play"), spec.get("route", [])
        self.plays = cases(play, "play") if isinstance(play, list) else [(None, play)]
        self.routes = cases(route if isinstance(route, list) else [route], None) + cases(as_list(pack.routes), None)

        self.deps = expr.Env.FACTS  # severity by tier, play by tier, scope: facts always matter
        for x in (self.when, self.clear, self.scope, self.value, self.threshold, sev_expr):
            if x:
                self.deps |= x.deps
        self.parts = [
            (self.when.source(n), expr.Compiled(n, self.when.text, env))
            for n in expr.walk(self.when.node)
            if n.kind in ("window", "call", "name", "base", "ago") and not _score_days(n, env) and n.args != ("champions",) and not _metric_argument(self.when.node, n)
        ]

    def severity_now(self, c):
        """One of SEVERITIES, or None."""
        s = self.severity
        if isinstance(s, str):
            return s
        if isinstance(s, dict):
            return s.get(c.facts.get("tier"))
        v = s.fn(c)
        return v if type(v) is str and v in RANK else None

    def play_now(self, c):
        play = self.first(self.plays, c)
        return play.get(c.facts.get("tier"), play.get("default")) if isinstance(play, dict) else play

    def route_now(self, c):
        route = self.first(self.routes, c)
        if not route or not {"queue", "responsible", "informed"} & set(route):
            return None
        owner = lambda role: c.facts.get("owners", {}).get(route.get(role))
        return {"queue": route.get("queue"), "responsible": owner("responsible"), "informed": owner("informed")}

    @staticmethod
    def first(cases, c):
        return next((x for when, x in cases if when is None or when.fn(c) is True), None)


def _score_days(node, env):
    """True for `health[28d]` inside min, max and mean, which has no value of its own."""
    return node.kind == "window" and node.args[0] in env.scores


def _metric_argument(root, node):
    """True for the bare metric name inside age(m) and first(m), which has no value of its own."""
    for n in expr.walk(root):
        if n.kind == "call" and n.args[0] in ("age", "first") and node in n.args[1]:
            return True
    return False


class Pack:
    def __init__(self, doc, extra=()):
        """doc: the parsed rules file; extra: expressions that are asked for beside it (eval)."""
        try:
            self.version = int(doc.get("version", 0))
            self.metrics = []
            for name, spec in (doc.get("metrics") or {}).items():
                self.metrics.append(Metric(len(self.metrics), name, spec))
            self.by_name = {m.name: m for m in self.metrics}
            self.first_value = doc.get("first_value")
            self.stages = [Stage(spec, self) for spec in doc.get("stages") or []]
            self.stage_deps = 0
            for s in self.stages:
                self.stage_deps |= s.enter.deps
            self.env = expr.Env(self.by_name, stages=[s.name for s in self.stages], first_value=self.first_value)
            cards = [Card(name, spec, self) for name, spec in (doc.get("scorecards") or {}).items()]
            for card in cards:
                self.env.scores.setdefault(card.score, [])
                self.env.scores[card.score].append(card)
            self.env.scores = {name: Score(of) for name, of in self.env.scores.items()}
            self.scope_text = doc.get("scope") or DEFAULT_SCOPE
            f = doc.get("flapping") or None
            self.flapping = f and (int(f["episodes"]), zone.parse_duration(f["within"]))
            self.routes = doc.get("routes") or []
            self.rules = [Rule(i, spec, self) for i, spec in enumerate(doc.get("rules") or [])]
            self.extra = [(text, expr.compile_text(text, self.env)) for text in extra]
            self.env.kept |= {"health"} & set(self.env.scores)
            self.env.kept |= {card.score for card in cards if card.keep}
            for name in self.env.kept:
                self.env.scores[name].tracked = True
        except (expr.ExprError, KeyError, TypeError, AttributeError) as e:
            raise PackError(f"{type(e).__name__}: {e}") from e
        self._order()
        self.interest = {}

    @property
    def judges(self):
        """Whether there is anything that is found at grid instants."""
        return bool(self.rules or self.stages or any(s.tracked for s in self.env.scores.values()))

    def _order(self):
        names = {}
        for r in self.rules:
            if r.name in names:
                raise PackError(f"two rules named {r.name}")
            names[r.name] = r
        for r in self.rules:
            for n in r.inhibitor_names:
                if n not in names:
                    raise PackError(f"rule {r.name}: inhibited_by names no rule: {n}")
                r.inhibitors.append(names[n].index)
                names[n].dependents.append(r.index)
        left, done, self.order = list(self.rules), set(), []
        while left:
            ready = next((r for r in left if all(i in done for i in r.inhibitors)), None)
            if ready is None:
                raise PackError("inhibition goes in a circle: " + ", ".join(r.name for r in left))
            left.remove(ready)
            done.add(ready.index)
            self.order.append(ready)

    def metrics_of(self, event_name):
        """The metrics whose name list takes this event."""
        found = self.interest.get(event_name)
        if found is None:
            found = self.interest[event_name] = [m for m in self.metrics if m.selects(event_name)]
        return found


class Config:
    """timezone, history, evaluate_every, dedup.window: the keys of tidemark.yaml that change what signals there are."""

    def __init__(self, doc=None):
        doc = doc or {}
        dedup = doc.get("dedup") or {}
        self.zone = zone.Zone(doc.get("timezone", "UTC"))
        self.history = doc.get("history", "first-record")
        self.grid = zone.parse_duration(doc.get("evaluate_every", "1m"))
        self.dedup = zone.parse_duration((dedup if isinstance(dedup, dict) else {}).get("window", doc.get("dedup.window", "1h")))
        self.rules = doc.get("rules")
        self.check()

    def check(self):
        if self.grid <= 0 or zone.HOUR % self.grid:
            raise PackError("evaluate_every must divide one hour")
        if self.history not in ("first-record", "complete") and zone.date_day(self.history) is None:
            raise PackError(f"history is first-record, complete or a date, not {self.history!r}")
