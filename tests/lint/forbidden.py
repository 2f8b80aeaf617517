#!/usr/bin/env python3
"""No function that writes without knowing its room or parses without telling; the clock and chance only in adapters/system."""
import re

import lint

UNSAFE = ["strcpy", "stpcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi", "atol", "atoll", "atof", "alloca"]
WORLD = ["time", "gettimeofday", "clock_gettime", "clock", "rand", "srand", "rand_r", "random", "srandom", "drand48",
         "localtime", "localtime_r", "mktime", "tzset"]
CALL = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(UNSAFE + WORLD) + r")\s*\(")


def check(root):
    problems = []
    for path in lint.files(root, ["processor", "include"], (".c", ".cc", ".h")):
        for number, line in enumerate(lint.code_only(lint.read(root, path)).split("\n"), 1):
            for found in CALL.finditer(line):
                name = found.group(1)
                if name in UNSAFE:
                    problems.append(f"{path}:{number}: {name}() is forbidden")
                elif not path.startswith("processor/adapters/system/"):
                    problems.append(f"{path}:{number}: {name}() outside adapters/system: time and chance come in as arguments")
    return problems


def plant(root):
    for name in UNSAFE + ["time", "gettimeofday", "clock_gettime", "rand"]:
        path = f"processor/pipeline/planted_{name}.c"
        lint.write(root, path, f'/* {name}() in a comment and a "text" is none. */\nvoid f(void)\n{{\n    (void){name}(0);\n}}\n')
        yield f"{name} in {path}"


if __name__ == "__main__":
    lint.main(check, plant)
