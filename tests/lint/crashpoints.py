#!/usr/bin/env python3
"""Crash points: each name once, of the form words_with_underscores, and docs/crash-campaign.md lists exactly those there are."""
import re

import lint

POINT = re.compile(r'\bTM_CRASH_POINT\(([^)]*)\)')
NAME = re.compile(r'"([a-z][a-z0-9_]{0,42})"$')
DOCUMENT = "docs/crash-campaign.md"
LISTED = re.compile(r"`([a-z][a-z0-9_]*)`")


def points(root):
    """(path, line, argument as written) of every point in the program."""
    found = []
    for path in lint.files(root, ["processor"], (".c", ".cc", ".h")):
        for number, line in enumerate(lint.read(root, path).split("\n"), 1):
            found += [(path, number, match.group(1)) for match in POINT.finditer(line)]
    return found


def listed(root):
    """The names in the document's section of points."""
    text = lint.read(root, DOCUMENT)
    section = text.split("## The points", 1)[-1].split("\n## ", 1)[0]
    return [name for line in section.split("\n") if line.startswith("|") for name in LISTED.findall(line.split("|")[2])]


def check(root):
    problems = []
    seen = {}
    for path, number, argument in points(root):
        match = NAME.match(argument.strip())
        if not match:
            problems.append(f"{path}:{number}: the name of a crash point is a literal like \"store_commit_before\"")
            continue
        name = match.group(1)
        if name in seen:
            problems.append(f"{path}:{number}: the crash point {name} is at {seen[name]} already")
        seen.setdefault(name, f"{path}:{number}")
    told = listed(root)
    problems += [f"{seen[name]}: {DOCUMENT} does not list the crash point {name}" for name in sorted(seen.keys() - set(told))]
    problems += [f"{DOCUMENT}:1: lists a crash point {name} that is nowhere" for name in sorted(set(told) - seen.keys())]
    problems += [f"{DOCUMENT}:1: lists the crash point {name} twice" for name in sorted(set(told)) if told.count(name) > 1]
    return problems


def plant(root):
    line = 'TM_CRASH_POINT("{}");\n'
    lint.write(root, "processor/pipeline/planted.c", "void f(void);\nvoid f(void)\n{\n    " + line.format("planted_point") + "}\n")
    yield "a point that no document names"
    first = points(root)[0][2].strip('"')
    lint.write(root, "processor/pipeline/planted.c", "void f(void);\nvoid f(void)\n{\n    " + line.format(first) + "}\n")
    yield f"{first} a second time"
    lint.write(root, "processor/pipeline/planted.c", "void f(void);\nvoid f(void)\n{\n    TM_CRASH_POINT(name);\n}\n")
    yield "a name that is no literal"
    lint.write(root, "processor/pipeline/planted.c", "")
    lint.write(root, DOCUMENT, lint.read(root, DOCUMENT).replace(f"`{first}`", "`gone_point`"))
    yield "a name in the document that is nowhere"


if __name__ == "__main__":
    lint.main(check, plant)
