#!/usr/bin/env python3
"""Shows that the judge can fail: plants a bug, builds the program with it, and sees how many blows it takes until it is caught.

    bugs.py [--seed N] [--blows N] [NAME...]

Each bug is a replacement in one source; where the source has changed so that it fits no longer, that is an error. Builds in
build/bugs. Without a name all of BUGS; those of HARMLESS, which look like bugs and are none, only by name. Ends with 0 only
when every bug was caught, and nothing harmless was.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import campaign as campaigns  # noqa: E402
import rounds  # noqa: E402

LEDGER, COMMIT, PUBLISHER = "processor/pipeline/ledger.c", "processor/adapters/redis/commit.c", "processor/adapters/kafka/publisher.c"

BUGS = {  # name: (what it does, the kinds of blow it is tried with, file, what stands there, what stands there instead)
    "c_unread": (
        "C is not read after the producer was renewed", {"proxies": 1}, LEDGER,
        "        if (holding->state != TM_HOLDING_LIVE)\n            continue;\n        tm_position committed;",
        "        if (holding->state != TM_HOLDING_LIVE || holding->partition >= 0)\n            continue;\n        tm_position committed;"),
    "r_unchecked": (
        "R, n and epoch are not compared before a commit", {"stops": 1}, COMMIT,
        "    if (!position_agrees || !tm_slice_equal_text(stored_epoch, epoch)) {",
        "    if (!position_agrees && !tm_slice_equal_text(stored_epoch, epoch) && position.data == NULL && commit->epoch < 0) {"),
    "outbox_unkept": (
        "outputs are not kept in Redis until they are published", {"points": 1, "random": 1}, LEDGER,
        ".outbox_count = outbox_count,", ".outbox_count = 0,"),
    "fingerprints_lost": (
        "the fingerprints of accepted events are not written", {"points": 1, "random": 1}, COMMIT,
        "    if (commit->fingerprints.length > 0) {", "    if (commit->fingerprints.length > 0 && commit->partition < 0) {"),
    "outbox_unpublished": (
        "what take-over finds in the outbox is not published", {"points": 1, "random": 1}, "processor/pipeline/takeover.c",
        "    tm_status status = tm_outbox_add_bytes(&l->holding->outbox, commit, bytes);",
        "    tm_status status = commit >= 0 ? TM_OK : tm_outbox_add_bytes(&l->holding->outbox, commit, bytes);"),
    "offsets_apart": (
        "the group's offsets are committed in a transaction of their own, after that of the outputs", {"points": 1, "random": 1}, PUBLISHER,
        "        failure = send_offsets(publisher, partitions, positions, count);",
        "        (void)rd_kafka_commit_transaction(publisher->connection.handle, TM_KAFKA_FINISH_MS);\n"
        "        (void)rd_kafka_begin_transaction(publisher->connection.handle);\n"
        "        failure = send_offsets(publisher, partitions, positions, count);"),
    "n_uncompared": (
        "take-over takes a C behind R for one that is equal", {"points": 1, "random": 1}, "processor/pipeline/takeover.c",
        "    holding->published = committed;\n    holding->stored",
        "    if (state.present && committed.commit > 0 && committed.commit < state.position.commit)\n"
        "        committed = state.position;\n"
        "    holding->published = committed;\n    holding->stored"),
    "journal_unwritten": (
        "every fourth commit has no journal line", {"points": 1, "random": 1}, LEDGER,
        "    return holding->publishing ? tm_outbox_add(",
        "    return holding->publishing && holding->next.commit % 4 != 3 ? tm_outbox_add("),
    "membership_unsaid": (
        "the offsets are sent without saying as which member of the group", {"stops": 1}, PUBLISHER,
        "        publisher->source != NULL ? tm_kafka_source_membership(publisher->source) : NULL;",
        "        rd_kafka_consumer_group_metadata_new(publisher->connection.config->group);"),
    "ghost_trusted": (
        "a commit over a connection that broke is taken for done, without a new producer", {"proxies": 1}, PUBLISHER,
        "    return atomic_load(&publisher->connection.sockets_closed) != begun.sockets ||",
        "    return publisher->state != SPENT ? false : atomic_load(&publisher->connection.sockets_closed) != begun.sockets ||"),
    "doubt_left": (
        "an EXEC without an answer may still come late, after R was read", {"proxies": 1}, COMMIT,
        "->in_doubt = true; /*", "->in_doubt = false; /*"),
}

HARMLESS = {  # the same: why the protocol does without is in docs/crash-campaign.md
    "outbox_early": (
        "outputs of the commit before are forgotten, published or not", {"points": 3, "random": 2, "proxies": 1}, LEDGER,
        ".outbox_published = holding->published.commit};", ".outbox_published = holding->stored.commit};"),
    "exec_trusted": (
        "an EXEC without an answer is taken for executed", {"proxies": 3, "points": 1}, COMMIT,
        "->in_doubt = true; /* perhaps it is not even executed yet */",
        "->in_doubt = false;\n        status = TM_OK;"),
}

ALL = {**BUGS, **HARMLESS}


def build(name):
    """The program with the bug in it."""
    _, _, path, there, instead = ALL[name]
    source = rounds.ROOT / "build" / "bugs" / "source"
    for part in ("processor", "include", "cmake", "schemas", "deploy"):
        shutil.rmtree(source / part, ignore_errors=True)
        # Younger than what was built: where the bug before this one was, the source has to be compiled again.
        shutil.copytree(rounds.ROOT / part, source / part, copy_function=shutil.copy)
    for part in ("CMakeLists.txt", "CMakePresets.json"):
        shutil.copy(rounds.ROOT / part, source / part)
    text = (source / path).read_text()
    if text.count(there) != 1:
        sys.exit(f"{name}: what it replaces is {text.count(there)} times in {path}")
    (source / path).write_text(text.replace(there, instead))
    target = rounds.ROOT / "build" / "bugs" / "crash"
    for command in (["cmake", "-S", source, "-B", target, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTIDEMARK_CRASH_POINTS=ON"],
                    ["cmake", "--build", target, "--target", "tidemark"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{name}: it does not build:\n{done.stdout[-3000:]}")
    binary = rounds.ROOT / "build" / "bugs" / f"tidemark-{name}"
    shutil.copy2(target / "tidemark", binary)
    return binary


def hunt(name, seed, most):
    """Rounds until one is bad: (blows, rounds, what was said); blows None when it was not caught."""
    os.environ["TIDEMARK"] = str(build(name))
    campaign = campaigns.Campaign(rounds.ROOT / "build" / "bugs" / f"{name}.log", quiet=True)
    campaign.log.unlink(missing_ok=True)
    mix = ALL[name][1]
    try:
        while sum(campaign.blows.values()) < most:
            good = campaign.round(seed, mix=mix, until=lambda: sum(campaign.blows.values()) >= most)
            if not good:
                return sum(campaign.blows.values()), campaign.rounds.total(), campaign.why
            seed += 1
        return None, campaign.rounds.total(), ""
    finally:
        campaign.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blows", type=int, default=300)
    parser.add_argument("names", nargs="*", metavar="NAME")
    o = parser.parse_args()
    wrong = 0
    for name in o.names or BUGS:
        begun = time.monotonic()
        blows, tried, why = hunt(name, o.seed, o.blows)
        wrong += (blows is None) == (name in BUGS)
        seconds = time.monotonic() - begun
        if blows is None:
            print(f"{name}: NOT caught in {tried} rounds, {o.blows} blows, {seconds:.0f} s", flush=True)
        else:
            print(f"{name}: caught after {blows} blows in {tried} rounds, {seconds:.0f} s: {why.splitlines()[0][:200]}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
