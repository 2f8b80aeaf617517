#!/usr/bin/env python3
"""clang-tidy over processor/, remembering what was clean: a file is looked at again only when its preprocessed text, its
flags, .clang-tidy or the tool changed.

    tidy.py [--self-test] ROOT BUILD [FILE…]     BUILD holds compile_commands.json; the memory is BUILD/tidy-cache
"""
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import lint


def fingerprint(entry, salt):
    words = [word for word in shlex.split(entry["command"]) if os.path.basename(word) != "ccache"]
    at = words.index("-o")
    words = words[:at] + words[at + 2:]
    text = subprocess.run(words + ["-E"], cwd=entry["directory"], capture_output=True, check=False).stdout
    return hashlib.sha256(salt + " ".join(words).encode() + text).hexdigest()


def look(entry, tool, build, cache, salt):
    mark = os.path.join(cache, fingerprint(entry, salt))
    if os.path.exists(mark):
        return None
    # One file a run: the analyzer of version 14 confuses variable argument lists over several.
    result = subprocess.run([tool, "--quiet", "-p", build, entry["file"]], text=True, capture_output=True, check=False)
    if result.returncode == 0:
        with open(mark, "w", encoding="utf-8"):
            return None
    return result.stdout or result.stderr


def check(root, build, only):
    tool = shutil.which("clang-tidy-14")
    commands = os.path.join(build, "compile_commands.json")
    if tool is None or not os.path.exists(commands):
        print("clang-tidy-14 or compile_commands.json is missing")
        return None
    cache = os.path.join(build, "tidy-cache")
    os.makedirs(cache, exist_ok=True)
    salt = lint.read(root, ".clang-tidy").encode() + subprocess.run([tool, "--version"], capture_output=True, check=False).stdout
    with open(commands, encoding="utf-8") as file:
        entries = [entry for entry in json.load(file)
                   if os.path.relpath(entry["file"], root).startswith("processor/") and os.path.exists(entry["file"])
                   and (not only or os.path.relpath(entry["file"], root) in only)]
    with ThreadPoolExecutor(2) as pool:
        return [found for found in pool.map(lambda entry: look(entry, tool, build, cache, salt), entries) if found]


def self_test(root):
    copy = tempfile.mkdtemp(prefix="tidemark-lint-")
    try:
        shutil.copy(os.path.join(root, ".clang-tidy"), copy)
        source = os.path.join(copy, "processor/base/planted.c")
        command = {"directory": copy, "file": source, "command": f"cc -std=gnu17 -c {source} -o planted.o"}
        lint.write(copy, "compile_commands.json", json.dumps([command]))
        for text, bad in [("int planted(int a);\nint planted(int a)\n{\n    return a + 1;\n}\n", False),
                          ("int planted(int a);\nint planted(int a)\n{\n    int *p = 0;\n    return a > 0 ? *p : 0;\n}\n", True),
                          ("int planted(int a);\nint planted(int a)\n{\n    return a + 1;\n}\n", False)]:
            lint.write(copy, "processor/base/planted.c", text)
            for _ in range(2):  # twice: a fault must not be remembered as clean
                problems = check(copy, copy, [])
                if problems is None:
                    return lint.SKIP
                if bool(problems) != bad:
                    print("not caught: a null dereference" if bad else f"caught for nothing: {problems}")
                    return 1
        print("caught: a null dereference")
        return 0
    finally:
        shutil.rmtree(copy)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    root = os.path.abspath(arguments[0])
    if "--self-test" in sys.argv:
        sys.exit(self_test(root))
    problems = check(root, os.path.abspath(arguments[1]), arguments[2:])
    if problems is None:
        sys.exit(lint.SKIP)
    print("\n".join(problems + [f"{len(problems)} file(s) with problems"]))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
