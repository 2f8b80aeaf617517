#!/usr/bin/env python3
"""Every public header compiles alone, and twice: as C17, and as C++17 where it offers itself to C++ (extern "C")."""
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import lint

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-fsyntax-only", "-Iinclude"]


def compile_one(root, path, language):
    name = path[len("include/"):]
    if language == "c":
        command = [os.environ.get("CC", "cc"), "-x", "c", "-std=gnu17"] + WARNINGS
    else:
        command = [os.environ.get("CXX", "c++"), "-x", "c++", "-std=gnu++17"] + [w for w in WARNINGS if "prototypes" not in w]
    result = subprocess.run(command + ["-"], cwd=root, input=f'#include "{name}"\n#include "{name}"\n', text=True,
                            capture_output=True, check=False)
    if result.returncode == 0:
        return None
    first = next((line for line in result.stderr.split("\n") if "error" in line), result.stderr[:200])
    return f"{path}:1: does not compile alone as {language}: {first}"


def check(root):
    jobs = []
    for path in lint.files(root, ["include"], (".h",)):
        jobs.append((path, "c"))
        if 'extern "C"' in lint.read(root, path):
            jobs.append((path, "c++"))
    with ThreadPoolExecutor(2) as pool:
        return [p for p in pool.map(lambda job: compile_one(root, *job), jobs) if p]


def plant(root):
    lint.write(root, "include/tidemark/base/planted.h", "/* Planted. */\nsize_t planted(void);\n")
    yield "a header that uses size_t without its header"
    lint.write(root, "include/tidemark/base/planted_twice.h", "/* Planted. */\nstruct planted { int a; };\n")
    yield "a header without a guard"
    lint.write(root, "include/tidemark/base/planted_cxx.h",
               '#ifndef P\n#define P\n#ifdef __cplusplus\nextern "C" {\n#endif\nint planted(int class);\n#ifdef __cplusplus\n}\n#endif\n#endif\n')
    yield "a header that offers itself to C++ and is none"


if __name__ == "__main__":
    lint.main(check, plant)
