"""Figures that PostgreSQL computed from the raw events of a sample of customers, asked of `eval`: out of the events' file,
and out of Redis after a run through Kafka that was told to end at that very instant."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import crm_oracle  # noqa: E402
import harness  # noqa: E402
import jobs  # noqa: E402

SAMPLE = harness.ROOT / "tests" / "data" / "crm_sample"
STOPS = 12  # of the instants asked about; all of them are asked of the file


class Crm(jobs.TestCase):
    def asserted(self, compare, least, **more):
        said = []
        compared, differ = compare(SAMPLE, self.tidemark, say=said.append, **more)
        self.assertEqual(differ, 0, "\n".join(said))
        self.assertGreaterEqual(compared, least)

    def test_out_of_the_file(self):
        self.asserted(crm_oracle.compare, 1000)

    def test_out_of_redis_at_the_instant(self):
        self.asserted(crm_oracle.compare_live, 5 * STOPS, limit=STOPS)


if __name__ == "__main__":
    unittest.main()
