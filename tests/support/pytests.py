"""Runs unittest files and ends with one plain line: 'N passed, N failed, N skipped'.

    pytests.py [-k TEXT]... [--fail-fast] [--lanes N] FILE_OR_DIRECTORY...

A directory stands for every test_*.py below it; a file named twice runs once, so what takes longest can be named first.
-k keeps the tests whose full name contains TEXT. The files run in one process, so that they share what is costly to
start; with --lanes in N of them, each taking the next file as it is done with one.

A test whose only troubles are waits that ran out (ground.TimedOut, subprocess.TimeoutExpired) is run once more, alone,
after all others; that time counts. Any other failure is a verdict and never tried again, and neither is anything when
more than LATE_MAX tests were late, which is no chance. The last lines name what failed, so that they are seen where only
the end of a long output is kept.
"""

import argparse
import contextlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import threading
import time
import unittest

import ground

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED_DIRECTORIES = {".cache", "node_modules", "__pycache__"}
COUNTS = ("passed", "failed", "skipped")
WAITS = (ground.TimedOut, subprocess.TimeoutExpired)
LATE_MAX = 6
LINE_MAX = 300


def essence(error):
    """Where in a test's file an error was raised, its class, and the first line of what it says."""
    kind, value, trace = error
    where = ""
    while trace is not None:
        path = pathlib.Path(trace.tb_frame.f_code.co_filename)
        if path.name.startswith("test_"):
            where = f"{path.name}:{trace.tb_lineno}: "
        trace = trace.tb_next
    said = (str(value).strip().splitlines() or [""])[0]
    return f"{where}{kind.__name__}: {said}"[:LINE_MAX]


class Result(unittest.TestResult):
    """Counts each test once, however many of its sub-tests fail, and shows its name and duration as it ends. Tests that
    were late are not counted but listed, each as what to run again: `setUpClass (CLASS)` stands for the whole class."""

    def __init__(self, say):
        super().__init__()
        self._say = say  # takes a text of whole lines
        self.counts = dict.fromkeys(COUNTS, 0)
        self.failed = []  # [name, line]
        self.late = []  # [name, line]
        self._begun = 0.0
        self._troubles = []  # (test, text, essence, whether a wait ran out)
        self._skipped = None

    def startTest(self, test):
        super().startTest(test)
        self._begun, self._troubles, self._skipped = time.monotonic(), [], None

    def _trouble(self, test, error):
        trouble = (test, self._exc_info_to_string(error, test), essence(error), issubclass(error[0], WAITS))
        if isinstance(test, unittest.TestCase):
            self._troubles.append(trouble)
        else:  # setUpClass, tearDownClass, a module's fixture: no test was started
            self._judge(str(test), [trouble])
            self._say(f"{'LATE' if trouble[3] else 'FAIL'} {test}\n{trouble[1]}")

    def _judge(self, name, troubles):
        if all(late for _, _, _, late in troubles) and not name.startswith("tearDown"):  # by then its tests are counted
            self.late.append([name, troubles[0][2]])
        else:
            self.counts["failed"] += 1
            self.failed.append([name, next(line for _, _, line, late in troubles if not late)])

    def addError(self, test, err):
        super().addError(test, err)
        self._trouble(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._troubles.append((subtest, self._exc_info_to_string(err, test), essence(err), issubclass(err[0], WAITS)))

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        words = "passed although it was expected to fail"
        self._troubles.append((test, words + "\n", words, False))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._skipped = reason
        if not self._begun:  # a class skipped as a whole
            self.counts["skipped"] += 1
            self._say(f"skip {test}: {reason}")

    def stopTest(self, test):
        super().stopTest(test)
        seconds, self._begun = time.monotonic() - self._begun, 0.0
        if self._troubles:
            shown = "LATE" if all(late for _, _, _, late in self._troubles) else "FAIL"
            self._judge(test.id(), self._troubles)
        else:
            word = "passed" if self._skipped is None else "skipped"
            shown = {"passed": "ok  ", "skipped": "skip"}[word]
            self.counts[word] += 1
        text = f"{shown} {test.id()} ({seconds:.1f} s){': ' + self._skipped if self._skipped else ''}"
        self._say("\n".join([text, *(f"--- {which}\n{trouble}" for which, trouble, _, _ in self._troubles)]))


def files_of(places):
    for place in map(pathlib.Path, places):
        if place.is_file():
            yield place.resolve()
        elif place.is_dir():
            yield from (f.resolve() for f in sorted(place.rglob("test_*.py"))
                        if not SKIPPED_DIRECTORIES.intersection(f.relative_to(place).parts))
        else:
            raise SystemExit(f"no such file or directory: {place}")


def load(path):
    """Loads a file under a name of its own (two directories may hold files of the same name), its directory first on
    the path as when it is run alone."""
    name = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)[:-3].replace("/", ".").replace("-", "_")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def keep(suite, fits):
    kept = unittest.TestSuite()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            inner = keep(item, fits)
            if inner.countTestCases():
                kept.addTest(inner)
        elif fits(item.id()):
            kept.addTest(item)
    return kept


def run(paths, fits, fail_fast, say):
    """-> {"counts": {...}, "failed": [[name, line]], "late": [[name, line]]}"""
    suite = keep(unittest.TestSuite(load(path) for path in paths), fits)
    result = Result(say)
    result.failfast = fail_fast
    suite.run(result)
    return {"counts": result.counts, "failed": result.failed, "late": result.late}


def named(texts):
    return lambda name: not texts or any(text in name for text in texts)


def again(name):
    """Which tests a name of Result.late stands for."""
    fixture = re.fullmatch(r"setUp(?:Class|Module) \((.*)\)", name)
    return (lambda each: each.startswith(fixture[1] + ".")) if fixture else (lambda each: each == name)


def lane(args):
    """Runs the files whose names come in, in lines of JSON; answers likewise, since what a test says has several lines."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a test prints must not be taken for an answer

    def answer(kind, content):
        print(json.dumps({kind: content}), file=answers, flush=True)

    for line in sys.stdin:
        asked = json.loads(line)
        fits = again(asked["again"]) if "again" in asked else named(args.k)
        answer("done", run([pathlib.Path(asked["path"])], fits, args.fail_fast, lambda text: answer("text", text)))


class Total:
    """What all runs came to."""

    def __init__(self):
        self.counts = dict.fromkeys(COUNTS, 0)
        self.failed, self.late, self.second = [], [], []  # [name, line]; late ones with their path before

    def add(self, path, done):
        for word, number in done["counts"].items():
            self.counts[word] += number
        self.failed += done["failed"]
        self.late += [[path, *each] for each in done["late"]]

    def fail(self, name, line):
        self.counts["failed"] += 1
        self.failed.append([name, line])


class Lane:
    """A process that runs files, and what it said of each."""

    def __init__(self, args):
        command = [sys.executable, __file__, "--lane", *(f"-k{text}" for text in args.k),
                   *(["--fail-fast"] if args.fail_fast else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, say, path, **more):
        """What run() returned there; None when the process ended first."""
        try:
            self.process.stdin.write(json.dumps({"path": str(path), **more}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in self.process.stdout:
            message = json.loads(line)
            if "done" in message:
                return message["done"]
            say(message["text"])
        return None

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait()
        self.process.stdout.close()
        return status


def run_lanes(paths, args, total, say):
    """Runs all files in args.lanes processes."""
    waiting, lock = list(paths), threading.Lock()

    def serve():
        process = Lane(args)
        while True:
            with lock:
                if not waiting or (args.fail_fast and total.counts["failed"]):
                    break
                path = waiting.pop(0)
            done = process.run(say, path)
            with lock:
                if done is None:
                    line = f"its process ended with {process.close()}"
                    total.fail(str(path), line)
                    say(f"FAIL {path}: {line}")
                    return
                total.add(path, done)
        process.close()

    lanes = [threading.Thread(target=serve) for _ in range(args.lanes)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    for path in waiting if not args.fail_fast else ():  # every lane broke off
        total.fail(str(path), "no process was left to run it")
        say(f"FAIL {path}: no process was left to run it")


def run_again(args, total, say):
    """Each test that was late, in a process of its own, with nothing beside it."""
    late, total.late = total.late, []
    if len(late) > LATE_MAX:
        say(f"{len(late)} tests were late, and none is tried again: so many are no chance")
        for _, name, line in late:
            total.fail(name, line)
        return
    for path, name, line in late:
        say(f"again, alone: {name}")
        process = Lane(args)
        done = process.run(say, path, again=name)
        process.close()
        if done is None or done["late"] or done["failed"] or not any(done["counts"].values()):
            now = [each for _, each in (done["failed"] + done["late"] if done else ())]
            total.fail(name, f"{line}; and again: {now[0]}" if now else f"{line}; and no answer when tried again")
        else:
            total.add(path, done)
            total.second.append([name, line])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", action="append", metavar="TEXT", default=[])
    parser.add_argument("--fail-fast", action="store_true")
    parser.add_argument("--lanes", type=int, default=1, metavar="N")
    parser.add_argument("--lane", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("places", nargs="*", metavar="FILE_OR_DIRECTORY")
    args = parser.parse_args()
    if args.lane:
        return lane(args)
    paths, total = list(dict.fromkeys(files_of(args.places))), Total()
    printing = threading.Lock()

    def say(text):
        with printing:
            print(text, flush=True)

    if args.lanes > 1:
        run_lanes(paths, args, total, say)
    else:
        for path in paths:
            total.add(path, run([path], named(args.k), args.fail_fast, say))
            if args.fail_fast and (total.failed or total.late):
                break
    run_again(args, total, say)
    for name, line in total.second:
        say(f"ok again {name} (first: {line})")
    if total.second:
        say(f"{len(total.second)} of those that passed were late first, and passed when tried again, alone")
    for name, line in total.failed:
        say(f"FAILED {name}: {line}")
    say(", ".join(f"{number} {word}" for word, number in total.counts.items()))
    if not any(total.counts.values()):
        print("no test was found", file=sys.stderr)
        return 1
    return 1 if total.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
