#!/usr/bin/env python3
"""Prints what Python's own zoneinfo says about zones, for tests/unit/calendar_test.c to compare with.

    zone NAME | footer TEXT      what the following lines are about; a footer stands alone in a file without changes
    o SECONDS OFFSET             seconds since 1970, offset east of UTC in force
    d SECONDS DAY                the local day (days since 1970) of an instant
    s DAY SECONDS                the first instant whose local day is DAY or later
"""
import io
import random
import struct
import sys
import zoneinfo
from datetime import date, datetime, timedelta, timezone

ZONES = ["UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
         "America/Nuuk", "Asia/Kathmandu", "Asia/Tokyo", "Asia/Gaza", "Pacific/Apia", "Australia/Lord_Howe",
         "Africa/Casablanca", "Antarctica/Troll"]
FOOTERS = ["UTC0", "<+0545>-5:45", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
           "IST-1GMT0,M10.5.0,M3.5.0/1", "AAA3BBB,J60/0,J300/12:30:15", "<-03>3<-02>,M3.5.0/-1,M10.5.0/-0:30",
           "AAA-12BBB,M1.2.1/0,M12.4.6/24", "XXX3EDT4,0/0,J365/23", "AAA0BBB,M2.3.4/0,M2.5.5/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"]
EPOCH = date(1970, 1, 1).toordinal()
UTC = timezone.utc


def local(zone, seconds):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone)


def offset(zone, seconds):
    return int(local(zone, seconds).utcoffset().total_seconds())


def day(zone, seconds):
    return local(zone, seconds).date().toordinal() - EPOCH


def day_start(zone, wanted):
    """By walking: quarter hours, then seconds back from the first hit."""
    at = wanted * 86400 - 26 * 3600
    while day(zone, at) < wanted:
        at += 900
    low, high = at - 900, at
    while high - low > 1:
        middle = (low + high) // 2
        if day(zone, middle) < wanted:
            low = middle
        else:
            high = middle
    return high


def transitions(zone, first, last):
    found = []
    at, before = first, offset(zone, first)
    while at < last:
        after = offset(zone, at + 86400)
        if after != before:
            low, high = at, at + 86400
            while high - low > 1:
                middle = (low + high) // 2
                if offset(zone, middle) == before:
                    low = middle
                else:
                    high = middle
            found.append(high)
        at, before = at + 86400, after
    return found


def show(zone, chance, first, last, most):
    moments = transitions(zone, first, last)[:most]
    for at in moments:
        for near in (-86400, -3601, -1, 0, 1, 1800, 3599, 3600, 7200, 86400):
            print("o", at + near, offset(zone, at + near))
            print("d", at + near, day(zone, at + near))
        for near in range(-1, 3):
            wanted = at // 86400 + near
            print("s", wanted, day_start(zone, wanted))
    for _ in range(chance):
        at = random.randrange(86400 * 2, 86400 * 365 * 100 if random.random() < 0.5 else 253400000000)
        print("o", at, offset(zone, at))
        print("d", at, day(zone, at))
        print("s", at // 86400, day_start(zone, at // 86400))


def footer_file(text):
    """A version 2 file without changes, whose one type is UTC."""
    def block(version):
        return b"TZif" + version + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return block(b"2") + block(b"2") + b"\n" + text.encode() + b"\n"


def main():
    random.seed(20240502)
    zoneinfo.reset_tzpath(to=[sys.argv[1]])
    for name in ZONES:
        print("zone", name)
        show(zoneinfo.ZoneInfo(name), 60, 631152000, 2871763200, 1000)
    for text in FOOTERS:
        try:
            zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(footer_file(text)), key=text)
        except ValueError:
            continue  # older versions know fewer forms
        print("footer", text)
        show(zone, 60, 1700000000, 1900000000, 12)


main()
