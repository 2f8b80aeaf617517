"""What is shipped has no crash points: neither their code nor their names nor their variables."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lint"))

import crashpoints  # noqa: E402

RELEASE = ROOT / "build" / "release" / "tidemark"
CRASH = ROOT / "build" / "crash" / "tidemark"
LEAST = 60


def names():
    return {argument.strip('"') for _, _, argument in crashpoints.points(ROOT)}


def traces(binary):
    """What of the points is in a binary: names as whole texts, variables, symbols."""
    with tempfile.NamedTemporaryFile() as section:  # constants; a function may well be called like a point
        subprocess.run(["objcopy", "-O", "binary", "--only-section=.rodata", binary, section.name], check=True)
        constants = pathlib.Path(section.name).read_bytes()
    wanted = names() | {"TIDEMARK_CRASH", "TIDEMARK_STOP", "TIDEMARK_CRASH_LIST"}
    found = {name for name in wanted if re.search(rb"(?<![A-Z0-9_])" + name.encode() + rb"\0", constants)}
    symbols = subprocess.run(["nm", "-a", binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    return found | set(re.findall(r"\btm_crash_\w+", symbols))


class Points(unittest.TestCase):
    def test_there_are_enough(self):
        self.assertGreaterEqual(len(names()), LEAST)

    def test_what_is_shipped_has_none(self):
        self.assertEqual(traces(RELEASE), set())

    @unittest.skipUnless(CRASH.exists(), "no build with the points")
    def test_the_build_for_the_tests_has_them_all(self):
        found = traces(CRASH)
        self.assertEqual(names() - found, set())
        self.assertIn("tm_crash_pass", found)


if __name__ == "__main__":
    unittest.main()
