#!/usr/bin/env python3
"""Every C and C++ file is laid out as .clang-format says (clang-format 14: other versions differ in details)."""
import os
import re
import shutil
import subprocess

import lint


def check(root):
    tool = shutil.which("clang-format-14")
    if tool is None:
        print("clang-format-14 is not installed")
        return None
    paths = lint.files(root, ["processor", "include", "tests", "bench"], (".c", ".cc", ".h"))
    result = subprocess.run([tool, "--dry-run", "--ferror-limit=1", "--style=file"] + paths, cwd=root, text=True, capture_output=True,
                            check=False)
    found = re.findall(r"^(\S+?:\d+):\d+: (?:warning|error): (.*)$", result.stderr, re.M)
    if result.returncode != 0 and not found:
        return [f".clang-format:1: {result.stderr[:300]}"]
    return [f"{os.path.normpath(where)}: {what} (clang-format-14 -i)" for where, what in found]


def plant(root):
    lint.write(root, "processor/base/planted.c", "int  planted ( void )\n{ return 1 ; }\n")
    yield "a file out of shape"


if __name__ == "__main__":
    lint.main(check, plant)
