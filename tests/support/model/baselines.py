"""An account against its own past: zscore, growth, median_weekday, cusum, gap, as semantics.md says, from windows alone.

Each takes the context of expr.py (window, begun, day), the metric's index, and what stands in the brackets. Sums go oldest
first, one addition at a time: the last bit counts.
"""

import math
import statistics

import zone

CUSUM_DAYS, GAP_DAYS = 28, 90


def reach(name, length, offset, count):
    """Days that are read, today's included."""
    if name == "median_weekday":
        return 7 * count + offset + 1
    if name == "cusum":
        return 7 * count + CUSUM_DAYS + 1
    if name == "gap":
        return GAP_DAYS + 1
    return length * (count + 1) + offset


def known(c, i, length, offset):
    """A window that is complete: counted, and not begun before the account's first event of the metric."""
    begun = c.begun(i)
    if begun is None or c.day - offset - length + 1 < begun:
        return None
    return c.window(i, length, offset, "d")


def earlier(c, i, length, offset, count):
    """Of the `count` windows before the window, those that are known, oldest first."""
    found = [known(c, i, length, offset + k * length) for k in range(count, 0, -1)]
    return [w for w in found if w is not None]


def total(values):
    s = 0.0
    for v in values:
        s += v
    return s


def zscore(c, i, length, offset, count, _):
    before, now = earlier(c, i, length, offset, count), c.window(i, length, offset, "d")
    if now is None or len(before) < 3 or 2 * len(before) < count or min(before + [now]) <= -1:
        return None
    logs = [math.log(1 + w) for w in before]
    mean = total(logs) / len(logs)
    deviation = math.sqrt(total((x - mean) * (x - mean) for x in logs) / (len(logs) - 1))
    least = 1 / math.sqrt(max(1.0, total(before) / len(before)))
    return (math.log(1 + now) - mean) / max(deviation, least)


def growth(c, i, length, offset, count, _):
    before, now = earlier(c, i, length, offset, count), c.window(i, length, offset, "d")
    if now is None or len(before) < 3:
        return None
    mean = total(before) / len(before)
    return now / mean if mean != 0 else None


def median_weekday(c, i, length, offset, count, _):
    before = [known(c, i, 1, offset + 7 * k) for k in range(1, count + 1)]
    before = [w for w in before if w is not None]
    return statistics.median(before) if len(before) >= 4 else None


def cusum(c, i, length, offset, count, k):
    day = {ago: known(c, i, 1, ago) for ago in range(1, CUSUM_DAYS + 7 * count + 1)}
    reference = [ago for ago in range(CUSUM_DAYS + 1, CUSUM_DAYS + 7 * count + 1) if day[ago] is not None]
    if len(reference) < 28 or any(v is not None and v <= -1 for v in day.values()):
        return None
    usual = {ago: statistics.median(day[x] for x in reference if (x - ago) % 7 == 0) for ago in day}

    def residual(ago):
        return (math.log(1 + day[ago]) - math.log(1 + usual[ago])) * math.sqrt(max(1.0, usual[ago]))

    sizes = [abs(residual(ago)) for ago in reference if usual[ago] > 0]
    phi = max(1.0, 1.4826 * statistics.median(sizes)) if sizes else 1.0
    s = 0.0
    for ago in range(CUSUM_DAYS, 0, -1):
        s = max(0.0, s - min(3.0, max(-3.0, residual(ago) / phi)) - k)
    return s


def gap(c, i, length, offset, count, _):
    """In days; the caller makes a duration of it."""
    active = [ago for ago in range(GAP_DAYS, 0, -1) if c.window(i, 1, ago, "d")]
    gaps = sorted(a - b for a, b in zip(active, active[1:]))
    if len(gaps) < 5:
        return None
    return gaps[math.ceil(count * len(gaps) / 100) - 1] * zone.DAY


def remembered(f, ends_before_today):
    """The same, asked once as long as nothing was added to the days that it reads (the literal model asks always)."""
    def ask(c, i, length, offset, count, k):
        if c.world.literal:
            return f(c, i, length, offset, count, k)
        end = c.day + 1 - (1 if ends_before_today else offset)
        state = (c.day, c.series[i].days_before(end), c.begun(i), c.world.count_day)
        found = c.remembered.get((f, i, length, offset, count, k))
        if found is None or found[0] != state:
            found = c.remembered[(f, i, length, offset, count, k)] = (state, f(c, i, length, offset, count, k))
        return found[1]
    return ask


FUNCTIONS = {f.__name__: remembered(f, f not in (zscore, growth)) for f in (zscore, growth, median_weekday, cusum, gap)}
