"""docs/kafka-settings.md says what the code sets: each property with its value and whether it may be changed, each time-out."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "processor" / "adapters" / "kafka"
# What is no literal in the code, in the document's words.
SPOKEN = {"group.id": "group", "group.instance.id": "GROUP-INSTANCE-WORKER", "transactional.id": "GROUP-INSTANCE-WORKER",
          "client.id": "GROUP-INSTANCE-WORKER", "bootstrap.servers": "kafka.brokers"}


def settings(source, function):
    """{property: (value, changeable, optional)} of the lists in one function."""
    body = source[re.search(rf"^tm_status {function}\(", source, re.M).start():]
    body = body[:body.index("\n}\n")]
    found = {}
    for which, rows in re.findall(r"tm_kafka_setting (\w+)\[\] = \{\n(.*?)\n    \};", body, re.S):
        for name, value, optional in re.findall(r'^\s*\{(?:\w+ \? )?"([a-z.]+)"(?: : NULL)?, (.*?), (true|false)\}', rows, re.M):
            literal = re.fullmatch(r'"([^"]*)"', value)
            found[name] = (literal.group(1) if literal else SPOKEN[name], which != "fixed", optional == "true")
    return found


def table(text, heading):
    """{property: (value, changeable, optional)} as the document has it; every row has its reasons."""
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)
    found = {}
    for name, value, changeable, why, _ in re.findall(r"^\| (\*?`[a-z.]+`\*?) \| (.*?) \| (yes|no) \| (.*?) \| (.*?) ?\|$", part, re.M):
        assert len(why) > 10 or "key of its own" in why, name
        found[name.strip("*`")] = (value.strip("`"), changeable == "yes", name.startswith("*"))
    return found


class KafkaSettings(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.text = (ROOT / "docs" / "kafka-settings.md").read_text(encoding="utf-8")

    def test_properties(self):
        source = (ADAPTER / "settings.c").read_text(encoding="utf-8")
        common = settings((ADAPTER / "connection.c").read_text(encoding="utf-8"), "tm_kafka_conf_new")
        self.assertGreater(len(common), 2)
        self.assertEqual(table(self.text, "Both"), {"bootstrap.servers": ("kafka.brokers", False, False), **common})
        for heading, function in (("Consumer", "tm_kafka_consumer_conf"), ("Producer", "tm_kafka_producer_conf")):
            expected = settings(source, function)
            self.assertGreater(len(expected), 9)
            self.assertEqual(table(self.text, heading), expected, heading)

    def test_what_may_not_be_changed_is_refused(self):
        source = (ADAPTER / "config.c").read_text(encoding="utf-8")
        reserved = set(re.findall(r'"([a-z.]+)"', source[source.index("reserved[] = {"):source.index("};")]))
        fixed = {name for heading in ("Both", "Consumer", "Producer")
                 for name, (_, changeable, _) in table(self.text, heading).items() if not changeable}
        # The size of batches is fixed only after a refusal.
        self.assertEqual(fixed - reserved, {"batch.size"})

    def test_time_outs(self):
        header = (ROOT / "include" / "tidemark" / "adapters" / "kafka" / "connection.h").read_text(encoding="utf-8")
        expected = dict(re.findall(r"(TM_KAFKA_[A-Z]+_MS) = (\d+)", header))
        self.assertEqual(dict(re.findall(r"^\| `(TM_KAFKA_[A-Z]+_MS)` \| (\d+) \|", self.text, re.M)), expected)


if __name__ == "__main__":
    unittest.main()
