#!/usr/bin/env python3
"""A source over 600 lines says in its first 15 why it is long ("Long because: …"), or it is split. The tests that are
not in C are outside of it: a harness or a table of cases reads best in one piece."""
import lint

MOST = 600


def check(root):
    problems = []
    for path in lint.files(root, ["processor", "include", "tests", "bench"], (".c", ".cc", ".h")):
        lines = lint.read(root, path).split("\n")
        if len(lines) - 1 > MOST and not any("Long because:" in line for line in lines[:15]):
            problems.append(f"{path}:{MOST + 1}: {len(lines) - 1} lines and no reason given")
    return problems


def plant(root):
    lint.write(root, "processor/base/planted_reason.c", "/* Long because: a table. */\n" + "\n" * 700)
    lint.write(root, "processor/base/planted.c", "/* Long. */\n" + "\n" * MOST)
    yield "601 lines"


if __name__ == "__main__":
    lint.main(check, plant)
