"""Runs unittest files and ends with one plain line: 'N passed, N failed, N skipped'.

    pytests.py [-k TEXT]... [--fail-fast] FILE_OR_DIRECTORY...

A directory stands for every test_*.py below it. -k keeps the tests whose full name contains TEXT. The files run in one
process, so that they share what is costly to start.
"""

import argparse
import importlib.util
import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED_DIRECTORIES = {".cache", "node_modules", "__pycache__"}


class Result(unittest.TestResult):
    """Counts each test once, however many of its sub-tests fail, and shows its name and duration as it ends."""

    def __init__(self):
        super().__init__()
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
            print(f"FAIL {test}\n{text}", flush=True)

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
            print(f"skip {test}: {reason}", flush=True)

    def stopTest(self, test):
        super().stopTest(test)
        seconds, self._begun = time.monotonic() - self._begun, 0.0
        if self._troubles:
            word = "failed"
        else:
            word = "passed" if self._skipped is None else "skipped"
        self.counts[word] += 1
        shown = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[word]
        print(f"{shown} {test.id()} ({seconds:.1f} s){': ' + self._skipped if self._skipped else ''}", flush=True)
        for which, text in self._troubles:
            print(f"--- {which}\n{text}", flush=True)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", action="append", metavar="TEXT", default=[])
    parser.add_argument("--fail-fast", action="store_true")
    parser.add_argument("places", nargs="+", metavar="FILE_OR_DIRECTORY")
    args = parser.parse_args()
    suite = unittest.TestSuite(load(path) for path in files_of(args.places))
    if args.k:
        suite = keep(suite, args.k)
    result = Result()
    result.failfast = args.fail_fast
    suite.run(result)
    counts = result.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    if not any(counts.values()):
        print("no test was found", file=sys.stderr)
        return 1
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
