"""What the documents say is there is there: links, commands and their options, keys, log events, headers; and the manual page."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TIDEMARK", ROOT / "build" / "release" / "tidemark"))
DOCUMENTS = sorted(p for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "bench/*.md", "schemas/*.md") for p in ROOT.glob(pattern))
# Words behind `tidemark` in running text that are no command.
NOT_COMMANDS = {"COMMAND"}
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(work|shared|root|Users|tmp/\w)|/home/\w+/")


def text_of(path):
    return path.read_text(encoding="utf-8")


def name_of(path):
    return str(path.relative_to(ROOT))


def anchors(text):
    """GitHub's names of the headings."""
    names = set()
    for heading in re.findall(r"^#+ +(.*?) *#*$", without_code(text), re.M):
        heading = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        names.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    return names


def without_code(text):
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.M | re.S)


def code_of(text):
    """Fenced blocks and code spans, where commands are quoted."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
    return blocks + re.findall(r"`([^`\n]+)`", without_code(text))


def help_of(*command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout


def known_commands():
    commands = re.findall(r"^  ([a-z][a-z-]*) +\S", help_of(), re.M)
    return {name: set(re.findall(r"^  (--[a-z][a-z-]*)", help_of(name), re.M)) for name in commands}


def quoted_commands(text):
    """(command, options) of every `tidemark …` in code, a continued line as one, each part of a pipe by itself."""
    for code in code_of(text):
        for line in re.sub(r"\\\n\s*", " ", code).split("\n"):
            for part in re.split(r"[|;&]+", line.split(" #")[0]):
                found = re.search(r"(?:^|[\s/$(])tidemark((?: +--?[a-z-]+)*) +([a-z][a-z-]*)(.*)$", part)
                if found and not part.strip().startswith(("cmake", "ninja", "FROM", "COPY", "image")):
                    yield found.group(2), re.findall(r"(?<=\s)(--[a-z][a-z-]*)", found.group(3)), line.strip()


def broken_links(path, text):
    for label, target in re.findall(r"\[([^\]\n]*)\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists():
            yield f"{name_of(path)}: [{label}]({target}) leads nowhere"
        elif anchor and place.suffix == ".md" and anchor not in anchors(text_of(place) if file else text):
            yield f"{name_of(path)}: [{label}]({target}): no such heading"


def unknown_commands(path, text, known):
    for command, options, line in quoted_commands(text):
        if command not in known:
            if command not in NOT_COMMANDS:
                yield f"{name_of(path)}: there is no command '{command}': {line}"
            continue
        for option in options:
            if option not in known[command]:
                yield f"{name_of(path)}: '{command}' has no option {option}: {line}"


def configuration_keys():
    """The table of the configuration's reader is the truth."""
    source = text_of(ROOT / "processor" / "rules" / "configfile.c")
    return set(re.findall(r'^\s*\{\{"([a-z][a-z_.]*)", "', source, re.M))


def log_events():
    """Names of log events, as the sources write them."""
    events = set()
    for path in (ROOT / "processor").rglob("*.c"):
        text = text_of(path)
        events |= set(re.findall(r'TM_LOG_(?:DEBUG|INFO|WARNING|ERROR)[^,;"]*,\s*"([a-z_]+)"', text))
        events |= set(re.findall(r'wait_to_retry\([^"]*"([a-z_]+)"', text))
    return events


class Documents(unittest.TestCase):
    def check(self, problems):
        problems = list(problems)
        self.assertFalse(problems, "\n" + "\n".join(problems))

    def test_relative_links_resolve(self):
        self.assertGreater(len(DOCUMENTS), 8)
        self.check(problem for path in DOCUMENTS for problem in broken_links(path, text_of(path)))

    def test_commands_and_options_exist(self):
        known = known_commands()
        self.check(problem for path in DOCUMENTS for problem in unknown_commands(path, text_of(path), known))

    def test_no_paths_of_one_machine(self):
        self.check(f"{name_of(path)}:{number}: {line.strip()}" for path in DOCUMENTS
                   for number, line in enumerate(text_of(path).split("\n"), 1) if MACHINE_PATHS.search(line))

    def test_configuration_keys(self):
        page = ROOT / "docs" / "configuration.md"
        keys = configuration_keys()
        self.assertIn("kafka.brokers", keys)
        if not page.exists():
            self.skipTest("docs/configuration.md is not there")
        listed = set(re.findall(r"^\| *`([a-z][a-z_.]*)`", text_of(page), re.M))
        tops = {key.split(".")[0] for key in keys}
        spoken_of = {key for key in re.findall(r"`([a-z_]+\.[a-z_]+)`", text_of(page)) if key.split(".")[0] in tops and key.split(".")[1] not in ("yaml", "key", "md")}
        self.check(f"docs/configuration.md: there is no key {key}" for key in sorted(spoken_of - keys) if not key.startswith("kafka.properties"))
        self.check(f"docs/configuration.md: the key {key} is not there" for key in sorted(keys - listed - spoken_of) if f"`{key}`" not in text_of(page))

    def test_keys_named_elsewhere(self):
        """`kafka.…`, `redis.…`, `topics.…`, `dedup.…`, `http.…` and `log.…` in any document are keys of the configuration."""
        keys = configuration_keys()
        self.check(f"{name_of(path)}: there is no key {key}" for path in DOCUMENTS
                   for key in sorted(set(re.findall(r"`((?:kafka|redis|topics|dedup|http|log)\.[a-z_]+)`", text_of(path))) - keys))

    def test_log_events(self):
        """docs/operations.md lists every event of the log, and none that is not written."""
        listed = set()
        page = text_of(ROOT / "docs" / "operations.md")
        table = page[page.index("## The log"):]
        table = table[:table.index("\n## ", 5)]
        for names in re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", table, re.M):
            listed |= set(re.findall(r"`([a-z_]+)`", names))
        written = log_events()
        self.assertIn("shard_halted", written)
        self.assertEqual(sorted(listed), sorted(written))

    def test_metrics(self):
        """docs/operations.md lists every metric with its type, and none that is not told."""
        source = text_of(ROOT / "processor" / "commands" / "metrics.c")
        told = set(re.findall(r'\] = \{"((?:tidemark|process)_[a-z_]+)", "([a-z]+)",', source))
        self.assertIn(("tidemark_records_total", "counter"), told)
        page = text_of(ROOT / "docs" / "operations.md")
        self.assertEqual(sorted(told), sorted(re.findall(r"^\| `((?:tidemark|process)_[a-z_]+)` \| ([a-z]+) \|", page, re.M)))
        names = {name for name, _ in told}
        self.check(f"{name_of(path)}: there is no metric {name}" for path in DOCUMENTS
                   for name in sorted(set(re.findall(r"`(tidemark_[a-z_]+)(?: [=<>]+ [\d.]+)?`", text_of(path))) - names))

    def test_architecture_names_the_headers(self):
        page = text_of(ROOT / "ARCHITECTURE.md")
        headers = [p for floor in ("base", "core", "rules", "codec", "insight", "ports", "pipeline") for p in (ROOT / "include" / "tidemark" / floor).glob("*.h")]
        self.check(f"ARCHITECTURE.md: the book of headers lacks {name_of(p)}" for p in sorted(headers) if name_of(p) not in page)

    def test_permissions(self):
        """The commands in docs/security.md are those that `check --permissions` prints, run by a shell."""
        with tempfile.TemporaryDirectory() as folder:
            at = pathlib.Path(folder)
            (at / "rules.yaml").write_text("version: 1\n")
            (at / "tidemark.yaml").write_text("kafka: {brokers: kafka-1:9093}\nredis: {url: 'redis://h'}\nuser_key: 0123456789abcdef\n")
            printed = json.loads(subprocess.run([BINARY, "check", "--permissions", "--json", "--config", "tidemark.yaml"], cwd=at,
                                                capture_output=True, text=True, check=True, timeout=30).stdout)
        blocks = re.findall(r"^```sh\n(.*?)^```", text_of(ROOT / "docs" / "security.md"), re.M | re.S)
        tools = 'redis-cli() { echo "redis $*"; }\nkafka-acls.sh() { echo "kafka $*"; }\n'
        shown = subprocess.run(["bash", "-c", tools + "".join(blocks)], capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
        [redis] = [line for line in shown if line.startswith("redis ")]
        self.assertEqual(redis, f"redis ACL SETUSER tidemark reset on >PASSWORD {printed['redis']['rules']}")
        rights = set()
        for line in (line for line in shown if line.startswith("kafka ")):
            [(kind, name)] = re.findall(r"--(topic|group|transactional-id) (\S+)", line)
            pattern = "prefixed" if "--resource-pattern-type prefixed" in line else "literal"
            rights |= {(kind, name, pattern, operation) for operation in re.findall(r"--operation (\S+)", line)}
        self.assertEqual(rights, {(r["resource"], r["name"], r["pattern"], r["operation"]) for r in printed["kafka"] if r["for"] == "run"})

    def test_yaml_in_documents_and_deploy_parses(self):
        for path in DOCUMENTS:
            for block in re.findall(r"^```yaml\n(.*?)^```", text_of(path), re.M | re.S):
                with self.subTest(path=name_of(path)):
                    list(yaml.compose_all(block))
        compose = yaml.safe_load(text_of(ROOT / "deploy" / "compose.yaml"))
        for name, service in compose["services"].items():
            self.assertTrue("image" in service or "build" in service, name)
            for other in service.get("depends_on", {}):
                self.assertIn(other, compose["services"], name)
        for volume in compose.get("volumes", {}):
            self.assertTrue(any(str(v).startswith(volume + ":") for s in compose["services"].values() for v in s.get("volumes", [])), volume)


class Catches(unittest.TestCase):
    """Each check is able to fail."""

    PATH = ROOT / "README.md"

    def test_link(self):
        self.assertTrue(list(broken_links(self.PATH, "[a](docs/nowhere.md)")))
        self.assertTrue(list(broken_links(self.PATH, "# A\n[a](#no-such-heading)")))
        self.assertFalse(list(broken_links(self.PATH, "# A `b` c\n[a](#a-b-c) [x](https://example.org/y)\n```\n[n](n)\n```\n")))

    def test_command(self):
        known = {"run": {"--config"}}
        for text in ("`tidemark fly`", "`tidemark run --fast`", "```sh\nx | tidemark run --config a --nothing\n```"):
            self.assertTrue(list(unknown_commands(self.PATH, text, known)), text)
        self.assertFalse(list(unknown_commands(self.PATH, "`tidemark run --config FILE`, tidemark flies", known)))

    def test_path(self):
        for folder in ("home/me", "root", "work"):
            self.assertTrue(MACHINE_PATHS.search(f"see /{folder}/notes"), folder)


class ManualPage(unittest.TestCase):
    def test_renders_and_is_complete(self):
        if not shutil.which("help2man") or not shutil.which("man"):
            self.skipTest("help2man or man is not installed")
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "tidemark.1"
            subprocess.run([sys.executable, "-B", ROOT / "docs" / "man" / "manpage.py", BINARY, page], check=True, timeout=120)
            shown = subprocess.run(["man", "--warnings", "--local-file", page], capture_output=True, text=True, timeout=60,
                                   env={"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MAN_KEEP_FORMATTING": ""})
            self.assertEqual((shown.returncode, shown.stderr), (0, ""))
            text = re.sub(".\b", "", shown.stdout).replace("‐", "-").replace("−", "-")
        for command, options in known_commands().items():
            self.assertIn(f"tidemark {command}", text)
            for option in options:
                self.assertIn(option, text, command)


if __name__ == "__main__":
    unittest.main()
