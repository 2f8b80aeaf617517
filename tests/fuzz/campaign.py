#!/usr/bin/env python3
"""Fuzzes for hours, every target in turn up to so many executions, and goes on where it stopped.

    tests/fuzz/campaign.py [--seconds S] [--slice S] [--sanitized] [--goal N] [NAME[=N]...]
    tests/fuzz/campaign.py --summary            the table of docs/fuzzing.md, from the log
    tests/fuzz/campaign.py --merge [NAME...]   what is new into tests/fuzz/corpus, minimised

Without --sanitized the targets of preset fuzz-fast run (the goal is 100 million executions each, 1,000 million for the event
reader, and 10 million for the large files that an operator writes), with it those of preset fuzz (1 million each). A target runs in slices of a minute; each adds a line to
log.ndjson in the folder of the campaign (--work, build/fuzz-campaign), which keeps what was found new as well, so that it
may be stopped at any moment. A target that finds something is left and the others go on; the exit status is then 1."""
import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FUZZ = ROOT / "tests/fuzz"
# The required ones first, cheap ones before dear ones; then the others, and the event reader, which goes on longest.
ORDER = ["outbox", "state", "http", "accountrecord", "mapping", "redisreply", "expression", "journal", "yaml", "event",
         "meta", "configfile", "packfile", "testfile"]
LENGTHS = {"configfile": 2560, "packfile": 2048, "testfile": 2048, "event": 1024, "accountrecord": 1024, "journal": 1024,
           "yaml": 1024, "state": 1024}  # else 512
GOALS = {"event": 10**9, "configfile": 10**7, "packfile": 10**7, "testfile": 10**7}  # else 10**8
CORPUS_MOST = 3 << 20  # bytes of all saved corpora


def read_log(work):
    path = work / "log.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def total(log, name, build, field="executions"):
    return sum(entry.get(field, 0) for entry in log if entry["target"] == name and entry["build"] == build)


def commit():
    result = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() or "unknown"


def programs(work, build):
    """Copies of the programs: the tree may be built anew meanwhile."""
    preset, prefix = ("fuzz", "fuzz_") if build == "sanitized" else ("fuzz-fast", "fast_")
    folder = work / f"bin-{build}"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((ROOT / "build" / preset / "tests/fuzz").glob(prefix + "*")):
        if source.is_file() and os.access(source, os.X_OK):
            copy = folder / (source.name + ".new")
            shutil.copy2(source, copy)
            copy.rename(folder / source.name.removeprefix(prefix))  # one that still runs stays as it is
    if not any(folder.iterdir()):
        sys.exit(f"campaign.py: build the preset {preset} first")
    return folder


def dictionary(name, option):
    path = FUZZ / f"{name}.dict"
    return [option + str(path)] if path.exists() else []


def fast_command(program, name, state, slice_seconds, runs, seed):
    words = dictionary(name, "")
    return [program, "--runs", str(runs), "--seconds", str(slice_seconds), "--seed", str(seed),
            "--max-len", str(LENGTHS.get(name, 512)), *(["--dict", *words] if words else []),
            "--new", state / "new", "--sketch", state / "sketch", "--failures", f"{state}/found-",
            FUZZ / "corpus" / name, state / "new"]


def sanitized_command(program, name, state, slice_seconds, runs, seed):
    return [program, f"-runs={runs}", f"-max_total_time={slice_seconds}", f"-seed={seed % 2**31}", "-timeout=30",
            "-rss_limit_mb=2048", "-len_control=100", "-print_final_stats=1", f"-artifact_prefix={state}/found-",
            *dictionary(name, "-dict="), state / "new", FUZZ / "corpus" / name]


def result_of(build, output):
    if build == "fast":
        last = output.strip().splitlines()[-1:]
        return json.loads(last[0]) if last and last[0].startswith("{") else {}
    found = {}
    for field, pattern in (("executions", r"stat::number_of_executed_units:\s*(\d+)"),
                           ("new", r"stat::new_units_added:\s*(\d+)"), ("edges", r"cov: (\d+)")):
        numbers = re.findall(pattern, output)
        if numbers:
            found[field] = int(numbers[-1])
    return found


def run_slice(work, folder, build, name, slice_seconds, goal_left):
    state = work / name
    (state / "new").mkdir(parents=True, exist_ok=True)
    make = sanitized_command if build == "sanitized" else fast_command
    seed = time.time_ns() // 1000
    command = make(folder / name, name, state, slice_seconds, goal_left, seed)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    process = subprocess.run([str(part) for part in command], cwd=work, capture_output=True, text=True, errors="replace",
                             timeout=slice_seconds * 10 + 600, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    entry = {"target": name, "build": build, "commit": commit(),
             "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)), "status": process.returncode,
             **result_of(build, process.stdout + process.stderr), "wall_s": round(time.time() - started, 1),
             "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1), "seed": seed}
    if -process.returncode in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        sys.exit(f"campaign.py: {name} was ended")
    if process.returncode != 0:
        entry["said"] = process.stderr[-2000:]
        print(f"FOUND in {name}:\n{process.stderr[-2000:]}", flush=True)
    with open(work / "log.ndjson", "a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    return entry


def run(arguments):
    work, build = arguments.work, "sanitized" if arguments.sanitized else "fast"
    folder = programs(work, build)
    goals = {}
    for word in arguments.names or ORDER:
        name, _, goal = word.partition("=")
        if not (folder / name).exists():
            sys.exit(f"campaign.py: no target {name}")
        usual = 10**6 if arguments.sanitized else GOALS.get(name, 10**8)
        goals[name] = int(float(goal)) if goal else arguments.goal or usual
    end = time.monotonic() + arguments.seconds if arguments.seconds else None
    found = []
    for name, goal in goals.items():
        while (left := goal - total(read_log(work), name, build)) > 0:
            slice_seconds = arguments.slice if end is None else min(arguments.slice, int(end - time.monotonic()))
            if slice_seconds <= 0:
                break
            entry = run_slice(work, folder, build, name, slice_seconds, left)
            if entry["status"] != 0:
                found.append(name)
                break
            print(f"{name}: {entry['executions']} more, {goal - left + entry['executions']} of {goal}", flush=True)
    if found:
        print("found something: " + ", ".join(found))
    return 1 if found else 0


def edges_of(log, name, build):
    return max((entry.get("edges", 0) for entry in log if entry["target"] == name and entry["build"] == build), default=0)


def summary(work):
    log = read_log(work)
    print("| target | executions, fast build | different inputs | CPU minutes | executions, sanitizers | CPU minutes | edges |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in ORDER:
        fast = [entry for entry in log if entry["target"] == name and entry["build"] == "fast" and "distinct" in entry]
        distinct = fast[-1]["distinct"] if fast else 0
        print(f"| {name} | {total(log, name, 'fast'):,} | {distinct:,.0f} | {total(log, name, 'fast', 'cpu_s') / 60:.1f} | "
              f"{total(log, name, 'sanitized'):,} | {total(log, name, 'sanitized', 'cpu_s') / 60:.1f} | "
              f"{edges_of(log, name, 'fast'):,} |")
    judged = total(log, "event", "fast", "judged")
    print(f"\nOf the event reader's inputs in the fast build {judged:,} were read by both readers.")
    return 0


def merge(work, names):
    """Keeps the fewest inputs that reach what all of them reach, and those with a name of their own: they are findings,
    or were written by hand."""
    folder = programs(work, "sanitized")
    size = 0
    for name in ORDER:
        corpus, new = FUZZ / "corpus" / name, work / name / "new"
        with tempfile.TemporaryDirectory() as scratch:
            out, copies = pathlib.Path(scratch) / "out", pathlib.Path(scratch) / "new"
            if name in names and new.exists() and any(new.iterdir()):
                out.mkdir()
                copies.mkdir()
                for path in new.iterdir():
                    with contextlib.suppress(FileNotFoundError):  # a run that goes on may take a shorter one for it
                        shutil.copy(path, copies)
                process = subprocess.run([folder / name, "-merge=1", "-timeout=30", out, corpus, copies], cwd=scratch,
                                         capture_output=True, text=True, errors="replace", check=False)
                if process.returncode != 0:
                    sys.exit(f"campaign.py: merging {name}:\n{process.stderr[-2000:]}")
                for path in corpus.iterdir():
                    if re.fullmatch("[0-9a-f]{40}", path.name):
                        path.unlink()
                for path in out.iterdir():
                    if re.fullmatch("[0-9a-f]{40}", path.name):
                        shutil.copy(path, corpus / path.name)
        sizes = [path.stat().st_size for path in corpus.iterdir()]
        size += sum(sizes)
        print(f"{name}: {len(sizes)} inputs, {sum(sizes)} bytes")
    print(f"{size} bytes in all" + ("" if size <= CORPUS_MOST else f": more than {CORPUS_MOST}, too much for the repository"))
    return 0 if size <= CORPUS_MOST else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME[=N]")
    parser.add_argument("--seconds", type=int, help="end after so many")
    parser.add_argument("--slice", type=int, default=60, help="seconds of one run of a target")
    parser.add_argument("--goal", type=lambda text: int(float(text)), help="executions of each target")
    parser.add_argument("--sanitized", action="store_true", help="the libFuzzer targets under sanitizers")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/fuzz-campaign", help="the campaign's folder")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--merge", action="store_true")
    arguments = parser.parse_args()
    arguments.work = arguments.work.resolve()
    arguments.work.mkdir(parents=True, exist_ok=True)
    return summary(arguments.work) if arguments.summary else merge(arguments.work, arguments.names or ORDER) if arguments.merge else run(arguments)


if __name__ == "__main__":
    sys.exit(main())
