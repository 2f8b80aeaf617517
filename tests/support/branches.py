"""Branch coverage of core and pipeline, held to a list of explanations.

    branches.py BUILD [--least PER_CENT] [--explained FILE] [--all]

Reads what gcov counted in the objects of the floors under BUILD, after the tests ran. A branch is an edge out of a
decision as gcov sees it in code that was not optimised: each side of an `if`, of `&&`, `||` and `?:`, each case of a
`switch`. Floors core and pipeline have to reach the least share; codec and rules are told for information.

Left out of the count, by one rule and no marks in the code: the branches of a TM_CHECK statement. Its failing side is a
mistake of the program by definition; tests/unit/check_test.c and the poison tests trip them through a hook.

Each branch of core and pipeline that no test takes has to be explained in FILE (its head says how), found by file,
function and text of the line, so that it survives other edits. Unexplained: a failure. Explained, but taken: told.
Ends with 1 on a failure. The last line counts."""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELD, TOLD = ("core", "pipeline"), ("codec", "rules")


def rooms_of(floor):
    return (f"processor/{floor}/", f"include/tidemark/{floor}/") + (("include/tidemark/ports/",) if floor == "pipeline" else ())


def checks(lines):
    """Numbers of the lines that TM_CHECK statements take up."""
    inside, depth = set(), 0
    for number, line in enumerate(lines, 1):
        if depth == 0 and not re.match(r"\s*TM_CHECK\(", line):
            continue
        inside.add(number)
        text = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        depth += text.count("(") - text.count(")")
    return inside


class Floor:
    def __init__(self, name):
        self.name, self.lines, self.branches, self.functions = name, {}, {}, {}

    def add(self, file, line):
        at = (file, line["line_number"])
        self.lines[at] = self.lines.get(at, 0) + line["count"]
        self.functions[at] = line.get("function_name", "")
        counts = [branch["count"] for branch in line["branches"]]
        if not counts:
            return
        known = self.branches.get(at)
        # An inline function of a header is in several objects: a branch is taken when it is taken in one of them.
        if known and len(known) == len(counts):
            counts = [a + b for a, b in zip(known, counts)]
        elif known and sum(map(bool, known)) >= sum(map(bool, counts)):
            counts = known
        self.branches[at] = counts

    def figures(self):
        taken = sum(1 for counts in self.branches.values() for count in counts if count)
        every = sum(len(counts) for counts in self.branches.values())
        run = sum(1 for count in self.lines.values() if count)
        return run, len(self.lines), taken, every

    def missing(self):
        """(file, function, text of the line) -> [how many are not taken, line numbers]"""
        found = collections.OrderedDict()
        for (file, number), counts in sorted(self.branches.items()):
            lost = sum(1 for count in counts if not count)
            if lost:
                entry = found.setdefault((file, self.functions[file, number], source(file)[number - 1].strip()), [0, []])
                entry[0] += lost
                entry[1].append(number)
        return found


texts = {}


def source(file):
    if file not in texts:
        texts[file] = (ROOT / file).read_text().splitlines()
    return texts[file]


def measure(build, floor):
    result = Floor(floor)
    objects = sorted((build / "CMakeFiles" / f"tidemark_{floor}.dir").rglob("*.gcno"))
    if not objects:
        sys.exit(f"branches.py: no counters of {floor} under {build}")
    asked = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *map(str, objects)],
                           cwd=build, capture_output=True, text=True)
    if asked.returncode != 0:
        sys.exit(f"branches.py: gcov refuses the counters of {floor}; are they of another build? {asked.stderr[-400:]}")
    excluded = {}
    for report in asked.stdout.splitlines():
        data = json.loads(report)
        for part in data["files"]:
            path = pathlib.Path(data["current_working_directory"], part["file"]).resolve()
            if not path.is_relative_to(ROOT) or not str(path.relative_to(ROOT)).startswith(rooms_of(floor)):
                continue
            file = str(path.relative_to(ROOT))
            if file not in excluded:
                excluded[file] = checks(source(file))
            for line in part["lines"]:
                if line["line_number"] in excluded[file]:
                    line["branches"] = []
                result.add(file, line)
    return result


def explanations(path):
    """Blocks of the file: a line 'file function [n]', the line of source, and why, each further in than the one before."""
    found, place = collections.OrderedDict(), None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            words = line.split()
            if len(words) not in (2, 3):
                sys.exit(f"{path}:{number}: 'file function [how many]' is wanted")
            place, count = words[:2], int(words[2]) if len(words) == 3 else 1
            key = None
        elif place and key is None:
            key = (place[0], place[1], line.strip())
            found[key] = [count, "", number]
        elif place:
            found[key][1] += (" " if found[key][1] else "") + line.strip()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--least", type=float, default=95)
    parser.add_argument("--explained", type=pathlib.Path, default=ROOT / "tests/support/uncovered.txt")
    parser.add_argument("--all", action="store_true", help="the explained ones too")
    options = parser.parse_args()
    build = options.build.resolve()
    explained = explanations(options.explained)
    used, bad = set(), 0
    for name in HELD + TOLD:
        floor = measure(build, name)
        run, lines, taken, every = floor.figures()
        share = 100 * taken / every
        print(f"{name}: {taken} of {every} branches ({share:.1f} %), {run} of {lines} lines ({100 * run / lines:.1f} %)")
        if name not in HELD:
            continue
        if share < options.least:
            print(f"FAIL {name}: {options.least:g} % of the branches are wanted")
            bad += 1
        for key, (lost, numbers) in floor.missing().items():
            file, function, text = key
            known = explained.get(key)
            used.add(key)
            enough = known is not None and known[1] and lost <= known[0]
            if known and lost < known[0]:
                print(f"NOTE {options.explained.name}:{known[2]}: {known[0]} are explained, {lost} are not taken")
            if not enough or options.all:
                at = ",".join(map(str, numbers))
                print(f"{'explained ' if enough else 'FAIL '}{file}:{at}: {function}: {lost} not taken: {text}")
                bad += not enough
    for key, (_, _, number) in explained.items():
        if key not in used:
            print(f"NOTE {options.explained.name}:{number}: taken, or gone: {key[0]} {key[1]}: {key[2]}")
    print(f"{len(used)} places explained or told, {bad} failures")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
