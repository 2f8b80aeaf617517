"""What the harness, the proxies and the runner of tests stand on: ports, and waiting.

A wait ends on its condition, so a generous one costs nothing where the condition comes; on a machine with two cores and
five JVMs on them, whole seconds go by in which a process does not get to run at all.
"""

import asyncio
import random
import socket
import time

PATIENCE = 120.0  # seconds


class HarnessError(Exception):
    """The ground gave way: a server did not start, a deadline passed. Never a verdict about tidemark."""


class TimedOut(HarnessError):
    """A wait ran out. A test whose only trouble is this is tried once more, alone (pytests.py)."""


def wait_until(what, condition, timeout=PATIENCE, interval=0.02):
    """Polls condition() until it is truthy and returns that; TimedOut naming `what` when `timeout` s have passed."""
    deadline = time.monotonic() + timeout
    while True:
        # Read before: a condition that was asked after the deadline has had its last chance.
        over = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if over:
            raise TimedOut(f"waited {timeout:g} s for {what}")
        time.sleep(interval)


def free_port():
    """A loopback port free at this moment, below those that the system gives to outgoing connections: one of those may
    be taken by anybody's client while its server restarts, even by the client that tries to reach it, which is then
    connected with itself. Whoever binds it must be ready to find it taken all the same, and ask again."""
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.SystemRandom().randrange(10_000, 32_000)))
            except OSError:
                continue
            return s.getsockname()[1]


async def listen(take, port, limit):
    """asyncio.start_server on a loopback port; port 0: a free one, which stays free for it while it does not listen."""
    for attempt in range(20):
        try:
            return await asyncio.start_server(take, "127.0.0.1", port or free_port(), limit=limit)
        except OSError:
            if attempt == 19:
                raise
            await asyncio.sleep(0.1 if port else 0)
