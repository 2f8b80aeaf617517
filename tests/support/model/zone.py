"""Instants, local days and durations for the model. All instants are integer milliseconds since 1970 UTC."""

import datetime as dt
import re
import zoneinfo

HOUR = 3_600_000
DAY = 24 * HOUR
QUARTER = 900_000
AT_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)\Z")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))\Z", re.ASCII
)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z", re.ASCII)
_EPOCH = dt.date(1970, 1, 1).toordinal()


def parse_duration(text):
    """'90m' -> milliseconds; a bare 0 is a duration too."""
    text = str(text).strip()
    if text == "0":
        return 0
    m = _DURATION.match(text)
    if not m:
        raise ValueError(f"not a duration: {text!r}")
    ms = float(m[1]) * UNITS[m[2]]
    if ms != int(ms):
        raise ValueError(f"finer than a millisecond: {text!r}")
    return int(ms)


def date_day(text):
    """'2024-05-02' -> days since 1970, or None if it is no date."""
    m = _DATE.match(text)
    if not m:
        return None
    try:
        return dt.date(int(m[1]), int(m[2]), int(m[3])).toordinal() - _EPOCH
    except ValueError:
        return None


def day_text(day):
    return dt.date.fromordinal(day + _EPOCH).isoformat()


def day_date(day):
    return dt.date.fromordinal(day + _EPOCH)


def parse_time(text):
    """RFC 3339 -> milliseconds, or None. Digits beyond the millisecond are cut off; 23:59:60 UTC is the next midnight."""
    m = _TIME.match(text)
    if not m:
        return None
    day = date_day(text[:10])
    hh, mm, ss = int(m[4]), int(m[5]), int(m[6])
    if day is None or hh > 23 or mm > 59 or ss > 60:
        return None
    ms = int(((m[7] or "") + "000")[:3])
    offset = 0
    if m[9]:
        if int(m[10]) > 23 or int(m[11]) > 59:
            return None
        offset = (int(m[10]) * 60 + int(m[11])) * 60_000
        if m[9] == "-":
            offset = -offset
    minute = day * DAY + hh * HOUR + mm * 60_000 - offset
    if ss == 60 and minute % DAY != DAY - 60_000:
        return None
    return minute + ss * 1000 + ms


def format_time(ms):
    s, milli = divmod(ms, 1000)
    t = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=s)
    return f"{t.year:04d}-{t.month:02d}-{t.day:02d}T{t.hour:02d}:{t.minute:02d}:{t.second:02d}.{milli:03d}Z"


class Zone:
    """Local days of one IANA zone."""

    def __init__(self, name="UTC"):
        self.name = name
        self.info = zoneinfo.ZoneInfo(name)
        self._offsets = {}

    def _exact(self, ms):
        s = dt.datetime.fromtimestamp(ms // 1000, self.info).utcoffset()
        return (s.days * 86400 + s.seconds) * 1000

    def offset(self, ms):
        bucket = ms // QUARTER
        known = self._offsets.get(bucket)
        if known is None:
            a = self._exact(bucket * QUARTER)
            b = self._exact(bucket * QUARTER + QUARTER - 1)
            known = self._offsets[bucket] = a if a == b else "mixed"
        return self._exact(ms) if known == "mixed" else known

    def day(self, ms):
        """The local calendar day of an instant, as days since 1970."""
        return (ms + self.offset(ms)) // DAY

    def day_changes(self, a, b):
        """Every instant in (a, b] whose local day differs from that of the millisecond before it."""
        out = []
        t = a
        while t < b:
            end = min((t // QUARTER + 1) * QUARTER, b)
            if self.offset(t) == self.offset(end):  # a quarter of an hour on one offset: one midnight at most
                if self.day(t) != self.day(end):
                    out.append(self.day(end) * DAY - self.offset(end))
            else:
                last = self.day(t)
                for s in range((t // 1000 + 1) * 1000, end + 1, 1000):
                    d = self.day(s)
                    if d != last:
                        out.append(s)
                        last = d
            t = end
        return out
