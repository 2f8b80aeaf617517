#!/usr/bin/env python3
"""What is not there is simply not there: no marks of unfinished work, and no path of somebody's machine."""
import os
import re

import lint

FOLDERS = ["processor", "include", "tests", "bench", "deploy", "schemas", "cmake", "docs", ".github"]
ENDINGS = (".c", ".cc", ".h", ".py", ".sh", ".js", ".mjs", ".md", ".txt", ".cmake", ".json", ".yaml", ".yml", ".in", ".service", ".java")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK|TBD)\b|\b[Ss]tub(s|bed)?\b|\bSTUB\b")
PATHS = re.compile(r"(?<![\w.])/(work|shared|root|Users|home/\w+)/|\.\./shared\b")


def check(root):
    problems = []
    top = [name for name in os.listdir(root) if name.endswith(ENDINGS) and os.path.isfile(os.path.join(root, name))]
    for path in sorted(top) + lint.files(root, FOLDERS, ENDINGS):
        if path.startswith(("tests/lint/marks.py", "tests/data/")) or path.endswith("package-lock.json"):
            continue
        for number, line in enumerate(lint.read(root, path).split("\n"), 1):
            found = MARKS.search(line)
            if found:
                problems.append(f"{path}:{number}: '{found.group(0)}': finish it, or leave it out")
            found = PATHS.search(line)
            if found:
                problems.append(f"{path}:{number}: '{found.group(0)}' is a path of one machine")
    return problems


def plant(root):
    for number, text in enumerate(["TODO: later", "FIXME", "XXX", "a stub", "see /home/me/notes", "cd /work/x"]):
        path = f"processor/core/planted_{number}.c"
        lint.write(root, path, f"/* {text} */\n")
        yield text


if __name__ == "__main__":
    lint.main(check, plant)
