#!/usr/bin/env python3
"""The core floor needs nothing from outside but what core_symbols.txt names, and keeps no variable of its own.

    purity.py [--self-test] ROOT BUILD     BUILD holds libtidemark_core.a and libtidemark_base.a
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile

# What compilers, sanitizers and coverage add by themselves.
RUNTIME = re.compile(r"__(asan|ubsan|tsan|msan|sanitizer|gcov|llvm|stack_chk|cyg_profile)|_GLOBAL_OFFSET_TABLE_$|__(mem|str)\w+_chk$"
                     r"|__(float|fix|div|udiv|mod|umod|mul)\w*[td]i\w*$|\.L|_Unwind_Resume$")


def run(*command):
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def symbols(archive):
    """(undefined: {symbol: object}, defined: set)."""
    needed, defined, here = {}, set(), "?"
    for line in run("nm", "-g", archive).split("\n"):
        parts = line.split()
        if line.endswith(":"):
            here = line[:-1]
        elif len(parts) == 2 and parts[0] in ("U", "w", "v"):
            needed.setdefault(parts[1], here)
        elif len(parts) == 3:
            defined.add(parts[2])
    return needed, defined


def variables(archive):
    """Symbols in writable sections; what is only written by the loader (.data.rel.ro) is constant."""
    here = "?"
    for line in run("objdump", "-t", archive).split("\n"):
        found = re.match(r"(\S+):\s+file format", line)
        if found:
            here = found.group(1)
        found = re.match(r"[0-9a-f]+ .{7} (\.(?:data|bss|tdata|tbss)\S*|\*COM\*)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
        if found and not found.group(1).startswith(".data.rel.ro") and not RUNTIME.match(found.group(3)):
            if int(found.group(2), 16) > 0:
                yield here, found.group(3)


def check(core, base, allowed):
    problems = []
    needed, own = symbols(core)
    _, below = symbols(base)
    for name, where in sorted(needed.items()):
        if name in own or RUNTIME.match(name):
            continue
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
            problems.append(f"{where}: needs {name}, which core_symbols.txt does not name")
        elif name.startswith("tm_") and name not in below:
            problems.append(f"{where}: needs {name}, which is not of the base floor")
    problems += [f"{where}: keeps the variable {name}" for where, name in variables(core)]
    return problems


def self_test(core, base, allowed):
    folder = tempfile.mkdtemp(prefix="tidemark-lint-")
    plants = [("reads a file", "int fopen(const char *); int p1(void); int p1(void) { return fopen(\"x\"); }"),
              ("takes memory", "void *malloc(unsigned long); void *p2(void); void *p2(void) { return malloc(3); }"),
              ("asks the clock", "long time(long *); long p3(void); long p3(void) { return time(0); }"),
              ("reads a zone's file", "int tm_zone_parse(void); int p4(void); int p4(void) { return tm_zone_parse(); }"),
              ("calls a floor above", "void tm_worker_run(void); void p5(void); void p5(void) { tm_worker_run(); }"),
              ("calls what base has not", "void tm_table_sort(void); void p8(void); void p8(void) { tm_table_sort(); }"),
              ("keeps a variable", "int p6_counter = 1;"),
              ("keeps a static variable", "int p7(void); int p7(void) { static int calls; return ++calls; }")]
    try:
        copy = os.path.join(folder, "core.a")
        if os.path.exists(core):
            shutil.copy(core, copy)
        else:
            run("ar", "cr", copy)
        known = set(check(copy, base, allowed))
        for number, (what, text) in enumerate(plants):
            source = os.path.join(folder, f"planted{number}.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write(text)
            run(os.environ.get("CC", "cc"), "-w", "-fno-builtin", "-c", source, "-o", source + ".o")
            run("ar", "r", copy, source + ".o")
            problems = set(check(copy, base, allowed))
            if not problems - known:
                print(f"not caught: {what}")
                return 1
            print(f"caught: {what}: {sorted(problems - known)[0]}")
            known = problems
        return 0
    finally:
        shutil.rmtree(folder)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    core = os.path.join(arguments[1], "libtidemark_core.a")
    base = os.path.join(arguments[1], "libtidemark_base.a")
    with open(os.path.join(arguments[0], "tests/lint/core_symbols.txt"), encoding="utf-8") as file:
        allowed = [line.split("#")[0].strip() for line in file if line.split("#")[0].strip()]
    if "--self-test" in sys.argv:
        sys.exit(self_test(core, base, allowed))
    problems = check(core, base, allowed)
    print("\n".join(problems + [f"{len(problems)} problem(s)"]))
    sys.exit(1 if problems else 0)


main()
