"""Runs unittest files and ends with one plain line: 'N passed, N failed, N skipped'.

    pytests.py [-k TEXT]... [--fail-fast] [--lanes N] FILE_OR_DIRECTORY...

A directory stands for every test_*.py below it; a file named twice runs once, so what takes longest can be named first.
-k keeps the tests whose full name contains TEXT. The files run in one process, so that they share what is costly to
start; with --lanes in N of them, each taking the next file as it is done with one.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED_DIRECTORIES = {".cache", "node_modules", "__pycache__"}


class Result(unittest.TestResult):
    """Counts each test once, however many of its sub-tests fail, and shows its name and duration as it ends."""

    def __init__(self, say):
        super().__init__()
        self._say = say  # takes a text of whole lines
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self._begun = 0.0
        self._troubles = []
        self._skipped = None

    def startTest(self, test):
        super().startTest(test)
        self._begun, self._troubles, self._skipped = time.monotonic(), [], None

    def _trouble(self, test, error):
        text = self._exc_info_to_string(error, test)
        if isinstance(test, unittest.TestCase):
            self._troubles.append((test, text))
        else:  # setUpClass, tearDownClass, a module's fixture: no test was started
            self.counts["failed"] += 1
            self._say(f"FAIL {test}\n{text}")

    def addError(self, test, err):
        super().addError(test, err)
        self._trouble(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._troubles.append((subtest, self._exc_info_to_string(err, test)))

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._troubles.append((test, "passed although it was expected to fail\n"))

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
            word = "failed"
        else:
            word = "passed" if self._skipped is None else "skipped"
        self.counts[word] += 1
        shown = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[word]
        text = f"{shown} {test.id()} ({seconds:.1f} s){': ' + self._skipped if self._skipped else ''}"
        self._say("\n".join([text, *(f"--- {which}\n{trouble}" for which, trouble in self._troubles)]))


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


def keep(suite, texts):
    kept = unittest.TestSuite()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            inner = keep(item, texts)
            if inner.countTestCases():
                kept.addTest(inner)
        elif any(text in item.id() for text in texts):
            kept.addTest(item)
    return kept


def run(paths, texts, fail_fast, say):
    suite = unittest.TestSuite(load(path) for path in paths)
    if texts:
        suite = keep(suite, texts)
    result = Result(say)
    result.failfast = fail_fast
    suite.run(result)
    return result.counts


def lane(args):
    """Runs the files whose names come in, a line each; answers in lines of JSON, since what a test says has several."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a test prints must not be taken for an answer

    def answer(kind, content):
        print(json.dumps({kind: content}), file=answers, flush=True)

    for line in sys.stdin:
        answer("counts", run([pathlib.Path(line.rstrip("\n"))], args.k, args.fail_fast, lambda t: answer("text", t)))


def run_lanes(paths, args):
    """The counts of all files, run in args.lanes processes."""
    waiting, counts, lock = list(paths), {"passed": 0, "failed": 0, "skipped": 0}, threading.Lock()

    def add(more):
        for word, number in more.items():
            counts[word] += number

    def serve():
        command = [sys.executable, __file__, "--lane", *(f"-k{text}" for text in args.k),
                   *(["--fail-fast"] if args.fail_fast else [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            while True:
                with lock:
                    if not waiting or (args.fail_fast and counts["failed"]):
                        break
                    path = waiting.pop(0)
                process.stdin.write(f"{path}\n")
                process.stdin.flush()
                for line in process.stdout:
                    message = json.loads(line)
                    with lock:
                        if "counts" in message:
                            add(message["counts"])
                            break
                        print(message["text"], flush=True)
                else:
                    with lock:
                        add({"failed": 1})
                        print(f"FAIL {path}: its process ended with {process.wait()}", flush=True)
                    return
            process.stdin.close()

    lanes = [threading.Thread(target=serve) for _ in range(args.lanes)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    for path in waiting if not args.fail_fast else ():  # every lane broke off
        add({"failed": 1})
        print(f"FAIL {path}: no process was left to run it", flush=True)
    return counts


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
    paths = list(dict.fromkeys(files_of(args.places)))
    if args.lanes > 1:
        counts = run_lanes(paths, args)
    else:
        counts = run(paths, args.k, args.fail_fast, lambda text: print(text, flush=True))
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    if not any(counts.values()):
        print("no test was found", file=sys.stderr)
        return 1
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
