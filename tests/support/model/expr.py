"""Expressions: text -> tree -> Python closure. Three-valued logic as semantics.md says.

Values: None, bool, float (numbers), Dur (durations in ms), str, frozenset (champions).
A compiled expression is called with a context that offers
    t, day, facts            the instant, its local day, the account's facts (dict, maybe empty)
    window(i, n, k, unit)    metric i over [n unit offset k unit]
    whole(i)                 metric i (last, max, first) without a window
    age(i), since_first(i)   durations or None
    begun(i)                 the local day of metric i's first event, or None
    score_ago(name, k)       the score k days ago, or None
    score_over(f, name, n)   min, max or mean of the last n days' scores, or None
    band(name)               the band that the score was found in, or None
    event                    (in `where` only) the event: dict with event, user, value, source, properties
"""

import calendar
import math
import re

import baselines
import zone


class ExprError(ValueError):
    pass


class Dur(float):
    """A duration in milliseconds."""

    __slots__ = ()


NAMES_STAGE = ("stage", "stage_age", "previous_stage", "previous_stage_time")
NAMES_TEXT = ("name", "plan", "currency", "tier", "status", "success_plan", "contract_start", "renewal_at")
NAMES_NUMBER = ("seats", "mrr", "term_months")
EVENT_FIELDS = ("event", "user", "value", "source")
KEYWORDS = {"and", "or", "not", "in", "true", "false", "null", "offset"}

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<dur>\d+(?:\.\d+)?(?:ms|s|m|h|d|w)(?![A-Za-z0-9_]))
    | (?P<num>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![A-Za-z0-9_]))
    | (?P<str>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<op>==|!=|<=|>=|[<>=+\-*/()\[\],.|])
    )""",
    re.X | re.S,
)


class Node:
    __slots__ = ("kind", "args", "a", "b")

    def __init__(self, kind, args, a, b):
        self.kind, self.args, self.a, self.b = kind, args, a, b


class Parser:
    def __init__(self, text):
        self.text = text
        self.toks = []
        pos = 0
        while pos < len(text):
            if text[pos:].isspace():
                break
            m = _TOKEN.match(text, pos)
            if not m:
                raise ExprError(f"cannot read {text[pos:pos + 12]!r} at column {pos + 1} of {text!r}")
            kind = m.lastgroup
            self.toks.append((kind, m[kind], m.start(kind), m.end(kind)))
            pos = m.end()
        self.toks.append(("end", "", len(text), len(text)))
        self.i = 0

    def peek(self):
        return self.toks[self.i][1] if self.toks[self.i][0] in ("op", "name") else None

    def take(self):
        t = self.toks[self.i]
        self.i += 1
        return t

    def accept(self, word):
        if self.peek() == word:
            return self.take()
        return None

    def expect(self, word):
        t = self.accept(word)
        if not t:
            raise ExprError(f"expected {word!r} at column {self.toks[self.i][2] + 1} of {self.text!r}")
        return t

    def end(self):
        return self.toks[self.i - 1][3]

    def expression(self):
        n = self.conj()
        while self.accept("or"):
            r = self.conj()
            n = Node("or", (n, r), n.a, self.end())
        return n

    def conj(self):
        n = self.negation()
        while self.accept("and"):
            r = self.negation()
            n = Node("and", (n, r), n.a, self.end())
        return n

    def negation(self):
        t = self.accept("not")
        if t:
            n = self.negation()
            return Node("not", (n,), t[2], self.end())
        return self.comparison()

    def comparison(self):
        n = self.additive()
        op = self.peek()
        if op in ("=", "==", "!=", "<", "<=", ">", ">="):
            self.take()
            r = self.additive()
            n = Node("cmp", ("==" if op == "=" else op, n, r), n.a, self.end())
        elif op == "in":
            self.take()
            r = self.listing()
            n = Node("in", (n, r), n.a, self.end())
        else:
            return n
        if self.peek() in ("=", "==", "!=", "<", "<=", ">", ">=", "in"):
            raise ExprError(f"comparisons do not chain: {self.text!r}")
        return n

    def listing(self):
        t = self.accept("[") or self.accept("(")
        if not t:
            return self.postfix()
        close = "]" if t[1] == "[" else ")"
        items = [self.additive()]
        while self.accept(","):
            items.append(self.additive())
        self.expect(close)
        return Node("list", items, t[2], self.end())

    def additive(self):
        n = self.term()
        while self.peek() in ("+", "-"):
            op = self.take()[1]
            r = self.term()
            n = Node("arith", (op, n, r), n.a, self.end())
        return n

    def term(self):
        n = self.unary()
        while self.peek() in ("*", "/"):
            op = self.take()[1]
            r = self.unary()
            n = Node("arith", (op, n, r), n.a, self.end())
        return n

    def unary(self):
        t = self.accept("-")
        if t:
            n = self.unary()
            return Node("neg", (n,), t[2], self.end())
        return self.postfix()

    def postfix(self):
        kind, text, a, b = self.take()
        if kind == "num":
            return Node("lit", (float(text),), a, b)
        if kind == "dur":
            m = re.match(r"([\d.]+)([a-z]+)", text)
            return Node("lit", (Dur(float(m[1]) * zone.UNITS[m[2]]),), a, b)
        if kind == "str":
            return Node("lit", (re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.S),), a, b)
        if kind == "op" and text == "(":
            n = self.expression()
            self.expect(")")
            return Node(n.kind, n.args, a, self.end()) if n.kind != "cmp" else n
        if kind == "name":
            if text in ("true", "false", "null"):
                return Node("lit", ({"true": True, "false": False, "null": None}[text],), a, b)
            if text not in KEYWORDS:
                return self.name(text, a)
        raise ExprError(f"unexpected {text or 'end'!r} at column {a + 1} of {self.text!r}")

    def name(self, text, a):
        if text in baselines.FUNCTIONS and self.accept("("):
            return self.baseline(text, a)
        if self.accept("("):
            args = []
            if not self.accept(")"):
                args.append(self.expression())
                while self.accept(","):
                    args.append(self.expression())
                self.expect(")")
            return Node("call", (text, args), a, self.end())
        if self.accept("["):
            n = self.span()
            k = ("0", n[1])
            if self.accept("ago"):
                self.expect("]")
                return Node("ago", (text, int(n[0])), a, self.end())
            if self.accept("offset"):
                k = self.span()
            self.expect("]")
            if k[1] != n[1]:
                raise ExprError(f"window and offset have different units in {self.text!r}")
            if int(n[0]) < 1:
                raise ExprError(f"an empty window in {self.text!r}")
            return Node("window", (text, int(n[0]), int(k[0]), n[1]), a, self.end())
        path = [text]
        while self.accept("."):
            t = self.take()
            # `x.7d` cuts into a duration token; names after a dot may be any word.
            if t[0] not in ("name", "num", "dur"):
                raise ExprError(f"expected a name after '.' in {self.text!r}")
            path.append(t[1])
        return Node("name", tuple(path), a, self.end())

    def baseline(self, fn, a):
        metric, length, offset, k = self.take()[1], 1, 0, 0.5
        if fn in ("zscore", "growth"):
            self.expect("[")
            n = self.span()
            if self.accept("offset"):
                offset = int(self.span()[0])
            self.expect("]")
            if n[1] != "d":
                raise ExprError(f"{fn} compares windows of days: {self.text!r}")
            length = int(n[0])
        self.expect(",")
        count = self.take()[1]
        if fn in ("median_weekday", "cusum"):
            if not re.match(r"[0-9]+w\Z", count):
                raise ExprError(f"{fn} takes whole weeks: {self.text!r}")
            count = count[:-1]
        if fn == "median_weekday" and self.accept("offset"):
            offset = int(self.span()[0])
        if fn == "cusum" and self.accept(","):
            k = float(self.take()[1])
        self.expect(")")
        return Node("base", (fn, metric, length, offset, int(count), k), a, self.end())

    def span(self):
        t = self.take()
        m = re.match(r"(\d+)([dh])\Z", t[1]) if t[0] == "dur" else None
        if not m:
            raise ExprError(f"a window is whole days or hours, not {t[1]!r} in {self.text!r}")
        return m[1], m[2]


def parse(text):
    p = Parser(text)
    n = p.expression()
    if p.toks[p.i][0] != "end":
        raise ExprError(f"unexpected {p.toks[p.i][1]!r} at column {p.toks[p.i][2] + 1} of {text!r}")
    return n


def parse_placeholder(text):
    """'expr | format' -> (node, format or None)"""
    p = Parser(text)
    n = p.expression()
    fmt = None
    if p.accept("|"):
        fmt = p.take()[1]
        if fmt not in ("percent", "number", "duration", "date"):
            raise ExprError(f"unknown format {fmt!r}")
    if p.toks[p.i][0] != "end":
        raise ExprError(f"unexpected {p.toks[p.i][1]!r} in {text!r}")
    return n, fmt


def walk(node):
    """The nodes, outermost first, left to right."""
    yield node
    for x in node.args:
        if isinstance(x, Node):
            yield from walk(x)
        elif isinstance(x, list):
            for y in x:
                yield from walk(y)


def first_comparison(node):
    for n in walk(node):
        if n.kind == "cmp":
            return n
    return None


# --- evaluation -------------------------------------------------------------------------------------------------


def finite(x):
    return x if math.isfinite(x) else None



_ORDER = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def compare(op, a, b):
    if a is None or b is None:
        return None
    ta = type(a)
    if ta is not type(b):
        return None
    if ta in (bool, str) and op not in ("==", "!="):
        return None
    return _ORDER[op](a, b)


def arith(op, a, b):
    if a is None or b is None:
        return None
    ta, tb = type(a), type(b)
    if ta not in (float, Dur) or tb not in (float, Dur):
        return None
    x, y = float(a), float(b)
    if op in "+-":
        if ta is not tb:
            return None
        r = finite(x + y if op == "+" else x - y)
        return r if r is None or ta is float else Dur(r)
    if op == "*":
        if ta is Dur and tb is Dur:
            return None
        r = finite(x * y)
        return r if r is None or ta is tb else Dur(r)
    if y == 0 or (ta is float and tb is Dur):
        return None
    r = finite(x / y)
    return r if r is None or ta is tb else Dur(r)


def tv_and(a, b):
    if a is False or b is False:
        return False
    return True if a is True and b is True else None


def tv_or(a, b):
    if a is True or b is True:
        return True
    return False if a is False and b is False else None


def tv_not(a):
    return None if type(a) is not bool else not a


def extreme(pick, values):
    if any(v is None for v in values):
        return None
    kind = type(values[0])
    if kind not in (float, Dur) or any(type(v) is not kind for v in values):
        return None
    return pick(values)


def fn_log(x):
    return finite(math.log(x)) if type(x) is float and x > 0 else None


def fn_abs(x):
    return type(x)(abs(x)) if type(x) in (float, Dur) else None


def first_term(c):
    f = c.facts
    start, months, renewal = f.get("_start_day"), f.get("term_months"), f.get("_renewal_day")
    if start is None or months is None or renewal is None or months != int(months) or not 0 <= months <= 12000:
        return None
    d = zone.day_date(start)
    m = d.month - 1 + int(months)
    y, m = d.year + m // 12, m % 12 + 1
    if not 1 <= y <= 9999:
        return None
    end = d.replace(year=y, month=m, day=min(d.day, calendar.monthrange(y, m)[1]))
    return renewal <= end.toordinal() - zone._EPOCH


def contract_age(c):
    s = c.facts.get("_start_day")
    return None if s is None else Dur(max(0, c.day - s) * zone.DAY)


def days_to_renewal(c):
    s = c.facts.get("_renewal_day")
    return None if s is None else float(s - c.day)


DERIVED = {"contract_age": contract_age, "days_to_renewal": days_to_renewal, "first_term": first_term}


class Env:
    """What names mean. metrics: name -> object with .index, .kind and the flags need_d, need_h, need_w that this sets."""

    FACTS, HOUR, DAY, STAGE, BAND, TRACK = 1, 2, 4, 8, 16, 32

    def __init__(self, metrics, where=False, stages=(), first_value=None):
        self.metrics = metrics
        self.where = where
        self.stages = stages  # names; what follows from stages is known only where there are any
        self.first_value = first_value  # the metric whose first event is the first value
        self.kept = set()  # names of scores of which more is asked than what they are now
        self.scores = {}  # name -> what answers .value(c), .coverage(c), .card(c) and has .deps

    def metric(self, name):
        if self.where:
            raise ExprError(f"`where` looks at one event; metric {name!r} has no place in it")
        if name not in self.metrics:
            raise ExprError(f"no metric {name!r}")
        return self.metrics[name]


class Compiled:
    __slots__ = ("node", "text", "fn", "deps", "days")

    def __init__(self, node, text, env):
        self.node, self.text, self.deps, self.days = node, text, 0, False
        self.fn = self._compile(node, env)

    def source(self, node=None):
        n = node or self.node
        return self.text[n.a : n.b]

    def _compile(self, n, env):
        k, g = n.kind, n.args
        sub = lambda x: self._compile(x, env)
        if k == "lit":
            v = g[0]
            return lambda c: v
        if k in ("and", "or"):
            l, r = sub(g[0]), sub(g[1])
            # The second side is always computed too: there are no side effects, and short cuts hide mistakes.
            f = tv_and if k == "and" else tv_or
            return lambda c: f(l(c), r(c))
        if k == "not":
            x = sub(g[0])
            return lambda c: tv_not(x(c))
        if k == "neg":
            x = sub(g[0])

            def neg(c):
                v = x(c)
                return type(v)(-v) if type(v) in (float, Dur) else None

            return neg
        if k == "cmp":
            op, a, b = g
            isnull = lambda x: x.kind == "lit" and x.args[0] is None
            if isnull(a) or isnull(b):
                if op not in ("==", "!="):
                    return lambda c: None
                x = sub(b if isnull(a) else a)
                want = op == "=="
                return lambda c: (x(c) is None) is want
            l, r = sub(a), sub(b)
            return lambda c: compare(op, l(c), r(c))
        if k == "in":
            x = sub(g[0])
            if g[1].kind == "list":
                items = [sub(y) for y in g[1].args]

                def among(c):
                    v = x(c)
                    result = False
                    for y in items:
                        result = tv_or(result, compare("==", v, y(c)))
                    return result

                return among
            y = sub(g[1])

            def member(c):
                v, s = x(c), y(c)
                if v is None or not isinstance(s, frozenset):
                    return None
                return v in s

            return member
        if k == "list":
            raise ExprError(f"a list belongs after `in`: {self.text!r}")
        if k == "arith":
            op, l, r = g[0], sub(g[1]), sub(g[2])
            return lambda c: arith(op, l(c), r(c))
        if k == "window":
            name, cnt, off, unit = g
            m = env.metric(name)
            m.use(cnt, off, unit)
            self.deps |= m.bit | (env.DAY if unit == "d" else env.HOUR)
            i = m.index
            return lambda c: c.window(i, cnt, off, unit)
        if k == "ago":
            name, back = g
            env.kept.add(name)
            self.days = True
            self.deps |= env.DAY | env.TRACK
            return lambda c: c.score_ago(name, back)
        if k == "base":
            fn, name, length, off, count, param = g
            m = env.metric(name)
            m.use(baselines.reach(fn, length, off, count), 0, "d")
            m.need_w = True
            self.deps |= m.bit | env.DAY
            i, f = m.index, baselines.FUNCTIONS[fn]
            kind = Dur if fn == "gap" else float

            def base(c):
                v = f(c, i, length, off, count, param)
                return None if v is None else finite(kind(v))

            return base
        if k == "name":
            return self._name(g, env)
        if k == "call":
            return self._call(g[0], g[1], env)
        raise AssertionError(k)

    def _name(self, path, env):
        head = path[0]
        if env.where and head in EVENT_FIELDS and len(path) == 1:
            return lambda c: c.event[head]
        if env.where and head == "properties" and len(path) == 2:
            key = path[1]
            return lambda c: c.event["properties"].get(key)
        if len(path) == 1 and head in env.metrics and not env.where:
            m = env.metric(head)
            if m.kind not in ("last", "max", "first"):
                raise ExprError(f"metric {head!r} ({m.kind}) needs a window in {self.text!r}")
            m.need_w = True
            self.deps |= m.bit
            i = m.index
            return lambda c: c.whole(i)
        if len(path) == 1 and head in DERIVED:
            self.deps |= env.FACTS | env.DAY
            return DERIVED[head]
        if len(path) == 1 and head in env.scores and not env.where:
            self.deps |= env.scores[head].deps
            return env.scores[head].value
        if len(path) == 1 and head == "band" and not env.where:
            return self._band("health", env)
        if len(path) == 1 and head in NAMES_STAGE:
            if not env.stages or env.where:
                raise ExprError(f"{head!r} means nothing here: {self.text!r}")
            self.deps |= env.STAGE | (env.HOUR if head == "stage_age" else 0)
            return lambda c: getattr(c, head)()
        if len(path) == 1 and head == "time_to_first_value":
            if env.first_value is None or env.where:
                raise ExprError(f"no first value is named: {self.text!r}")
            m = env.metric(env.first_value)
            m.need_w = True
            self.deps |= m.bit | env.FACTS
            i = m.index
            return lambda c: c.time_to_first_value(i)
        self.deps |= env.FACTS
        if len(path) == 1 and head in NAMES_TEXT + NAMES_NUMBER + ("champions",):
            return lambda c: c.facts.get(head)
        if len(path) == 2 and head in ("owners", "goals", "attributes"):
            key = path[1]
            return lambda c: (c.facts.get(head) or {}).get(key)
        if len(path) == 3 and head == "products" and path[2] in ("seats", "mrr"):
            return lambda c: (c.facts.get("products") or {}).get(path[1], {}).get(path[2])
        raise ExprError(f"unknown name {'.'.join(path)!r} in {self.text!r}")

    def _band(self, name, env):
        if name not in env.scores:
            raise ExprError(f"no score {name!r}: {self.text!r}")
        env.kept.add(name)
        self.deps |= env.BAND
        return lambda c: c.band(name)

    def _call(self, name, args, env):
        def arity(lo, hi=None):
            if len(args) < lo or (hi is not None and len(args) > hi):
                raise ExprError(f"{name} takes {lo}{'' if hi == lo else ' or more'} arguments: {self.text!r}")

        if name in ("coverage", "card", "band"):
            arity(1, 1)
            of = args[0].args[0] if args[0].kind == "name" else None
            if of not in env.scores or env.where:
                raise ExprError(f"no score {of!r}: {self.text!r}")
            if name == "band":
                return self._band(of, env)
            self.deps |= env.scores[of].deps
            return getattr(env.scores[of], name)
        if name in ("age", "first"):
            arity(1, 1)
            if args[0].kind != "name" or len(args[0].args) != 1:
                raise ExprError(f"{name} takes the name of a metric: {self.text!r}")
            m = env.metric(args[0].args[0])
            m.need_w = True
            self.deps |= m.bit | env.HOUR
            i = m.index
            return (lambda c: c.age(i)) if name == "age" else (lambda c: c.since_first(i))
        if name in DERIVED or name == "tier":
            arity(0, 0)
            return self._name((name,), env)
        if name in ("min", "max", "mean") and len(args) == 1 and args[0].kind == "window" and args[0].args[0] in env.scores:
            of, days, off, unit = args[0].args
            if unit != "d" or off:
                raise ExprError(f"a score has days: {self.text!r}")
            env.kept.add(of)
            self.deps |= env.DAY | env.TRACK
            return lambda c: c.score_over(name, of, days)
        fs = [self._compile(x, env) for x in args]
        if name == "ratio":
            arity(2, 2)
            a, b = fs
            return lambda c: arith("/", a(c), b(c))
        if name == "mean":
            raise ExprError(f"mean takes the days of a score: {self.text!r}")
        if name in ("min", "max"):
            arity(1)
            pick = min if name == "min" else max
            return lambda c: extreme(pick, [f(c) for f in fs])
        if name == "clamp":
            arity(3, 3)

            def clamp(c):
                x, lo, hi = (f(c) for f in fs)
                return extreme(min, [extreme(max, [x, lo]), hi])

            return clamp
        if name == "coalesce":
            arity(1)

            def coalesce(c):
                for f in fs:
                    v = f(c)
                    if v is not None:
                        return v
                return None

            return coalesce
        if name == "if":
            arity(3, 3)

            def cond(c):
                v = fs[0](c)
                return fs[1](c) if v is True else fs[2](c) if v is False else None

            return cond
        if name in ("log", "abs"):
            arity(1, 1)
            f, x = (fn_log if name == "log" else fn_abs), fs[0]
            return lambda c: f(x(c))
        raise ExprError(f"unknown function {name!r} in {self.text!r}")


def compile_text(text, env):
    return Compiled(parse(text), text, env)
