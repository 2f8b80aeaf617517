"""A worker whose own thread hangs, while the library's heartbeats go on: it holds up its group for no longer than
max.poll.interval.ms, it writes nothing any more in either ledger, and it is seen from outside."""

import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
import live  # noqa: E402
from proxy import redis as proxies  # noqa: E402
from trickle import Trickle  # noqa: E402

PARTITIONS = 4
POPULATION = {"accounts": 40, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
TRIES = 3
ENOUGH = 120  # seconds without a sign of life that are a hang (TM_WORKER_BEAT_MAX)

# Between the program (not its libraries) and its clock: what is in the file is added, in seconds, to the steady time.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile long *ahead;

__attribute__((constructor)) static void begin(void)
{
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    ahead = mapped == MAP_FAILED ? NULL : mapped;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    static int (*original)(clockid_t, struct timespec *);
    if (!original)
        *(void **)&original = dlsym(RTLD_NEXT, "clock_gettime");
    int status = original(clock, ret);
    Dl_info caller;
    bool own = dladdr(__builtin_return_address(0), &caller) && caller.dli_fname && !strstr(caller.dli_fname, ".so");
    if (clock == CLOCK_MONOTONIC && ahead && own)
        ret->tv_sec += *ahead;
    return status;
}
"""


def claimed(child, since=0):
    return [int(m.group(1)) for m in (re.search(r"event=shard_claimed .*partition=(\d+)", line)
                                      for line in child.lines()[since:]) if m]


class PollThread(jobs.TestCase):
    """The thread that polls, commits and publishes is one, and waits for an answer of Redis that comes byte by byte."""

    def configure(self, instance, redis):
        self.config = self.write_config(
            self.topics, rules=jobs.RULES, name=f"{instance}.yaml", instance=instance, commit_interval="50ms",
            redis={"url": redis},
            kafka={"properties": {"session.timeout.ms": "4000", "max.poll.interval.ms": "4500", "heartbeat.interval.ms": "300"}})
        return self.config

    def position(self, partition):
        return self.redis.command("HGET", f"tm:{{{self.prefix}/{partition}}}:meta", "position")

    def hang(self, proxy, command, refused, trickle, first, second):
        """Whether the hang lasted until it was ended, and whether the ledger in question refused what came after it."""
        mine = set(claimed(first)[-PARTITIONS // 2:])
        since = [len(run.lines()) for run in (first, second)]

        def said(*events):
            return any(f"event={event}" in line for line in first.lines()[since[0]:] for event in events)

        fault = proxy.on(command, proxies.Dribble(1.5))
        trickle.next()
        fault.wait()
        harness.wait_until("the other to take over", lambda: mine <= set(claimed(second, since[1])))
        trickle.wait(runs=[second])
        before = {p: self.position(p) for p in mine}
        lasted = not claimed(first, since[0]) and not said(refused, "poll_too_late")
        fault.release()
        harness.wait_until(f"'{refused}'", lambda: said(refused, "poll_too_late"))
        self.assertEqual({p: self.position(p) for p in mine}, before)
        trickle.next()
        harness.wait_until("it to be a member again", lambda: claimed(first, since[0]))
        self.assertTrue(said("poll_too_late"), first.stderr)
        trickle.wait(runs=[first, second])
        return lasted, said(refused)

    def test_past_its_poll_interval_it_writes_nothing(self):
        seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.input = self.population(**POPULATION, seed=seed % 1000)
        self.topics = self.create_topics(partitions=PARTITIONS)
        proxy = proxies.Proxy(self.redis.port).start()
        self.addCleanup(proxy.stop)
        # What hangs, and which ledger refuses it then.
        moments = [("the reading before a commit", lambda c: c.name == "HMGET" and b"position" in c.words, "commit_refused"),
                   ("the commit, which is done", proxies.commit_of(), "membership_lost")]
        trickle = Trickle(self, self.topics, jobs.parts(jobs.timeline(self.input), 2 * TRIES * len(moments) + 2,
                                                        random.Random(seed)), PARTITIONS)
        trickle.next()
        first = self.start_tidemark("run", "--config", self.configure("a", proxy.url))
        second = self.start_tidemark("run", "--config", self.configure("b", self.redis.url))
        harness.wait_until("both to have shards", lambda: claimed(first) and claimed(second))
        trickle.wait(runs=[first, second])
        met = 0
        for name, command, refused in moments:
            with self.subTest(name, seed=seed):
                # A hang may end before it is ended here (a time-out on a slow machine): that says nothing, either way.
                for _ in range(TRIES):
                    lasted, seen = self.hang(proxy, command, refused, trickle, first, second)
                    met += lasted and seen
                    if lasted:
                        break
                else:
                    raise harness.TimedOut("a hang that lasts until it is ended")
        if not met:
            raise harness.TimedOut("a hang that ends while a ledger still has to refuse")
        while trickle.next():
            trickle.wait(runs=[first, second])
        for run in (first, second):
            self.assertEqual(run.terminate(), 0, run.stderr)
            self.assertNotIn("shard_halted", run.stderr)
        trickle.end()
        self.wait_for_empty_group()
        self.tidemark.run("run", "--config", self.config, "--once")
        self.assert_same_signals(self.signals(self.topics), self.replayed(self.input, self.config), minimum=15)


class Watchdog(live.TestCase):
    """What systemd hears: READY=1, WATCHDOG=1 while every worker shows signs of life, STOPPING=1."""

    def setUp(self):
        super().setUp()
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(str(self.dir / "notify"))
        self.socket.settimeout(0.2)
        self.over = threading.Event()
        listener = threading.Thread(target=self.listen, daemon=True)
        listener.start()
        self.addCleanup(listener.join, 5)
        self.addCleanup(self.over.set)

    def listen(self):
        while not self.over.is_set():
            try:
                self.heard.append((time.monotonic(), self.socket.recv(256).decode()))
            except TimeoutError:
                pass
            except OSError:
                return

    def start(self):
        source, clock = self.dir / "clock.c", self.dir / "clock.so"
        source.write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", clock, source, "-ldl"], check=True)
        self.ahead = self.dir / "ahead"
        self.shift(0)
        return self.start_tidemark("run", "--config", self.config, env={
            "NOTIFY_SOCKET": str(self.dir / "notify"), "LD_PRELOAD": str(clock), "CLOCK_AHEAD": str(self.ahead)})

    def shift(self, seconds):
        mode = "r+b" if self.ahead.exists() else "w+b"  # the same file: it is mapped
        with open(self.ahead, mode) as file:
            file.write(seconds.to_bytes(8, sys.byteorder))

    def barks(self):
        return [at for at, word in list(self.heard) if word == "WATCHDOG=1"]

    def another(self, count=2, timeout=harness.PATIENCE):
        now = len(self.barks())
        try:
            harness.wait_until("signs of life", lambda: len(self.barks()) >= now + count, timeout=timeout)
        except harness.HarnessError as error:
            self.fail(f"{error}: {len(self.barks()) - now} of {count}\n{self.run_.stderr[-3000:]}")

    def test_it_follows_the_workers(self):
        proxy = proxies.Proxy(self.redis.port).start()
        self.addCleanup(proxy.stop)
        run = self.begin(redis={"url": proxy.url})
        harness.wait_until("READY=1", lambda: "READY=1" in [w for _, w in self.heard])
        self.another()
        # Redis away is waited for: the process is well, however long it takes.
        proxy.refuse()
        proxy.cut()
        self.feed()
        run.wait_for_line("event=waiting .*what=store")
        for n in (1, 2):
            self.shift(n * (ENOUGH + 10))
            self.another(count=3)
        proxy.accept()
        self.feed()
        self.caught_up()
        # A worker that hangs is not: nothing is heard any more once it has shown no sign of life for so long.
        fault = proxy.on(proxies.commit_of(), proxies.Dribble(1.5))
        self.feed()
        fault.wait()
        self.another()
        self.shift(3 * (ENOUGH + 10))
        self.another(count=0)
        time.sleep(1.5)  # one may have been on its way; then silence is the thing to be heard
        silent = len(self.barks())
        time.sleep(4)
        self.assertEqual(len(self.barks()), silent, "a worker hangs, and the watchdog is told that all is well")
        fault.release()
        self.another()
        self.caught_up()
        self.finish()
        self.assertEqual(self.heard[-1][1] if self.heard[-1][1] != "WATCHDOG=1" else "", "STOPPING=1")


if __name__ == "__main__":
    unittest.main()
