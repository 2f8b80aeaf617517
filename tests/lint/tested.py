#!/usr/bin/env python3
"""Every public function of the floors below the adapters is named in a unit, property or contract test."""
import re

import lint

FLOORS = ["base", "core", "codec", "rules", "insight", "pipeline"]
TESTS = ["tests/unit", "tests/property", "tests/contract"]

# What is tested without its name in a test, and how.
EXCEPTIONS = {
    "tm_worker_run": "tests/support/stage.h runs the workers of unit/worker_test and of the property tests",
}

FUNCTION = re.compile(r"\b(tm_\w+)\(")


def check(root):
    named = set()
    for path in lint.files(root, TESTS, (".c", ".h")):
        named |= set(re.findall(r"\btm_\w+", lint.code_only(lint.read(root, path))))
    problems = []
    declared = set()
    for path in lint.files(root, ["include/tidemark/" + floor for floor in FLOORS], (".h",)):
        for number, line in enumerate(lint.code_only(lint.read(root, path)).split("\n"), 1):
            for name in FUNCTION.findall(line):
                if name in declared:
                    continue
                declared.add(name)
                if name not in named and name not in EXCEPTIONS:
                    problems.append(f"{path}:{number}: {name} is named in no unit, property or contract test; where only its "
                                    "own room calls it, it is not public")
    for name in sorted(set(EXCEPTIONS) & named):
        problems.append(f"tests/lint/tested.py:1: {name} is named in a test: it is no exception")
    for name in sorted(set(EXCEPTIONS) - declared):
        problems.append(f"tests/lint/tested.py:1: {name} is no function any more")
    return problems


def plant(root):
    path = "include/tidemark/base/hash.h"
    header = lint.read(root, path)
    lint.write(root, path, header.replace("\n#endif\n", "\nvoid tm_planted(void);\n#endif\n"))
    yield "a function without a test"
    lint.write(root, path, header)
    path = "tests/unit/names_test.c"
    lint.write(root, path, lint.read(root, path).replace("tm_names_find(", "/* tm_names_find */ find("))
    yield "a function that only a comment of a test names"
    lint.write(root, "tests/unit/planted_test.c", "int main(void) { return tm_worker_run(); }\n")
    yield "an exception that is none"


if __name__ == "__main__":
    lint.main(check, plant)
