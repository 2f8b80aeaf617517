#!/usr/bin/env python3
"""Each floor sees only those below it: base < core < codec, rules, insight < ports < pipeline < adapters < commands < main."""
import re

import lint

BELOW = {
    "base": ["base"],
    "core": ["base", "core"],
    "codec": ["base", "core", "codec"],
    "rules": ["base", "core", "rules"],
    "insight": ["base", "core", "insight"],
    "ports": ["base", "core", "codec", "rules", "ports"],
    "pipeline": ["base", "core", "codec", "rules", "ports", "pipeline"],
    "adapters": ["base", "core", "codec", "rules", "ports", "pipeline"],  # and its own folder
    "commands": ["base", "core", "codec", "rules", "ports", "pipeline", "adapters", "insight",
                 "commands"],
}
# The pure floor: what neither allocates, prints, waits nor asks the clock.
CORE_SYSTEM = {"float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
OUTSIDE = r"librdkafka/|hiredis|hiredis/|s?time\.h$|sys/time\.h$|sys/socket\.h$|sys/epoll\.h$|sys/un\.h$|netinet/|arpa/|netdb\.h$|poll\.h$"
# An outside thing is known to one adapter only.
OWNED = {r"librdkafka/": "kafka", r"hiredis": "redis", r"microhttpd": "http"}


def room_of(path):
    """('adapters', 'kafka') of processor/adapters/kafka/source.c and of include/tidemark/adapters/kafka.h alike."""
    parts = path.replace("include/tidemark/", "", 1).replace("processor/", "", 1).split("/")
    floor = parts[0] if len(parts) > 1 else "main"
    adapter = re.sub(r"\.\w+$", "", parts[1]) if floor == "adapters" else None
    return floor, adapter


def check(root):
    problems = []
    for path in lint.files(root, ["processor", "include"], (".c", ".cc", ".h")):
        floor, adapter = room_of(path)
        if floor != "main" and floor not in BELOW:
            problems.append(f"{path}:1: a folder that is no floor; name it in tests/lint/includes.py")
            continue
        for number, line in enumerate(lint.read(root, path).split("\n"), 1):
            found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not found:
                continue
            name = found.group(2)
            where = f"{path}:{number}: includes {name}"
            if name.startswith("tidemark/"):
                other, other_adapter = room_of("include/" + name)
                if floor == "main":
                    continue
                if other == "adapters" and floor == "adapters" and other_adapter == adapter:
                    continue
                if other not in BELOW[floor]:
                    problems.append(f"{where}: {floor} may see {', '.join(BELOW[floor])}")
            elif ".." in name.split("/"):
                problems.append(f"{where}: a path that climbs out of its room")
            elif found.group(1) == '"' and "/" in name:
                problems.append(f"{where}: neither a public header (tidemark/…) nor one beside the file")
            elif floor == "core" and found.group(1) == "<" and name not in CORE_SYSTEM:
                problems.append(f"{where}: core is pure and may see only {', '.join(sorted(CORE_SYSTEM))}")
            elif floor in ("base", "codec", "rules", "insight", "ports", "pipeline") and re.match(OUTSIDE, name):
                problems.append(f"{where}: the world is reached through ports")
            elif floor == "adapters":
                for pattern, owner in OWNED.items():
                    if re.match(pattern, name) and adapter != owner:
                        problems.append(f"{where}: only adapters/{owner} knows this")
    return problems


def plant(root):
    for path, name in [
        ("processor/base/planted.c", '"tidemark/core/value.h"'),
        ("processor/core/planted.c", '"tidemark/codec/event.h"'),
        ("processor/core/planted_system.c", "<stdio.h>"),
        ("processor/core/planted_clock.c", "<time.h>"),
        ("processor/codec/planted.c", '"tidemark/pipeline/worker.h"'),
        ("include/tidemark/ports/planted.h", '"tidemark/pipeline/worker.h"'),
        ("processor/pipeline/planted.c", "<librdkafka/rdkafka.h>"),
        ("processor/pipeline/planted_clock.c", "<time.h>"),
        ("processor/pipeline/planted_adapter.c", '"tidemark/adapters/redis/store.h"'),
        ("processor/adapters/redis/planted.c", '"tidemark/adapters/kafka/source.h"'),
        ("processor/adapters/file/planted.c", "<hiredis/hiredis.h>"),
        ("processor/rules/planted.c", '"../core/private.h"'),
    ]:
        lint.write(root, path, f"/* Planted. */\n#include {name}\n")
        yield f"{path} includes {name}"


if __name__ == "__main__":
    lint.main(check, plant)
