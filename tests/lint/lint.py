"""What the lint checks share. A check is a function from the root of a source tree to a list of problems, each
"path:line: what is wrong". Every check also has a `plant` that puts one violation of its kind into a tree; with --self-test
it is planted in a copy, and the check must then report something it did not report before.
"""
import functools
import os
import shutil
import sys
import tempfile

SKIPPED = {".git", "build", "node_modules", ".venv", "__pycache__", ".cache"}
SKIP = 77  # the status that ctest shows as "skipped"


def files(root, folders, endings):
    """Paths relative to root of the files with one of the endings under the folders, sorted."""
    found = []
    for folder in folders:
        for here, below, names in os.walk(os.path.join(root, folder)):
            below[:] = [name for name in below if name not in SKIPPED]
            found += [os.path.relpath(os.path.join(here, name), root) for name in names if name.endswith(endings)]
    return sorted(set(found))


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


@functools.cache  # a self-test looks at the same tree again after each violation
def code_only(text):
    """C or C++ with comments, texts and characters blanked; line breaks stay."""
    out = []
    at = 0
    while at < len(text):
        two = text[at:at + 2]
        if two in ("//", "/*"):
            end = text.find("\n" if two == "//" else "*/", at + 2)
            end = len(text) if end < 0 else end + (0 if two == "//" else 2)
            out.append("".join("\n" if c == "\n" else " " for c in text[at:end]))
            at = end
        elif text[at] == '"' or (text[at] == "'" and not (at > 0 and text[at - 1].isalnum())):
            end = at + 1
            while end < len(text) and text[end] not in (text[at], "\n"):
                end += 2 if text[end] == "\\" else 1
            out.append(text[at] + " " * (end - at - 1) + text[at])
            at = end + 1
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def copy_tree(root):
    target = tempfile.mkdtemp(prefix="tidemark-lint-")
    shutil.copytree(root, target, dirs_exist_ok=True, symlinks=True,
                    ignore=lambda _, names: [name for name in names if name in SKIPPED | {"corpus"}])
    return target


def main(check, plant):
    """check(root) gives problems, or None where it cannot be made here; plant(root) spoils a copy, in one or more ways
    one after the other: it yields after each, and each must be caught."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    root = os.path.abspath(arguments[0]) if arguments else os.getcwd()
    if "--self-test" not in sys.argv:
        problems = check(root)
        if problems is None:
            sys.exit(SKIP)
        for problem in problems:
            print(problem)
        print(f"{len(problems)} problem(s)")
        sys.exit(1 if problems else 0)
    copy = copy_tree(root)
    try:
        known = check(copy)
        if known is None:
            sys.exit(SKIP)
        planted = 0
        for what in plant(copy):
            planted += 1
            problems = check(copy)
            if not set(problems) - set(known):
                print(f"not caught: {what}")
                sys.exit(1)
            print(f"caught: {what}: {sorted(set(problems) - set(known))[0]}")
            known = problems
        sys.exit(0 if planted else 1)
    finally:
        shutil.rmtree(copy)
