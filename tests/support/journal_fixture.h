/* A commit and a configuration with every field set to something of its own. */
#ifndef TIDEMARK_TESTS_JOURNAL_FIXTURE_H
#define TIDEMARK_TESTS_JOURNAL_FIXTURE_H

#include "tidemark/codec/journal.h"

static inline tm_journal_commit journal_commit(void)
{
    static const tm_journal_signal signals[] = {
        {TM_SLICE_LITERAL("acme"), TM_SLICE_LITERAL("usage_drop"), INT64_C(1714660680000), TM_SIGNAL_RAISED, 1,
         TM_KIND_CHURN_RISK, TM_SEVERITY_HIGH, INT64_C(1714660680000)},
        {TM_SLICE_LITERAL("a/b \"ü\"\n"), TM_SLICE_LITERAL("seat_saturation"), 0, TM_SIGNAL_UPDATED, UINT32_MAX,
         TM_KIND_EXPANSION, TM_SEVERITY_CRITICAL, TM_TIME_MAX},
        {TM_SLICE_LITERAL("zoe"), TM_SLICE_LITERAL("handover_incomplete"), TM_TIME_MAX, TM_SIGNAL_CLEARED, 2,
         TM_KIND_ADVISORY, TM_SEVERITY_INFO, TM_TIME_MAX},
    };
    static const tm_journal_erasure erasures[] = {{TM_SLICE_LITERAL("gone"), INT64_C(1714660670000)},
                                                  {TM_SLICE_LITERAL("ü"), 0}};
    static const tm_journal_skip skips[] = {{TM_INPUT_USAGE, 81234, TM_SLICE_LITERAL("ring_shape")},
                                            {TM_INPUT_ACCOUNTS, 17, TM_SLICE_LITERAL("facts_given")}};
    return (tm_journal_commit){.group = TM_SLICE_LITERAL("tidemark"),
                               .partition = 3,
                               .commit = 42,
                               .epoch = 5,
                               .from = {81000, 17},
                               .to = {81235, 18},
                               .clock_begin = INT64_C(1714660685012),
                               .clock_end = INT64_C(1714660690040),
                               .drained = true,
                               .t_before = INT64_C(1714660674000),
                               .t_after = INT64_C(1714660680000),
                               .judged = true,
                               .rules_version = 7,
                               .pack_hash = UINT64_C(0x9b2f6a3c51d04e77),
                               .signals = signals,
                               .signal_count = 3,
                               .erasures = erasures,
                               .erasure_count = 2,
                               .skips = skips,
                               .skip_count = 2};
}

static inline tm_journal_configuration journal_configuration(void)
{
    static const tm_counting counting[] = {{UINT64_C(0x5f0c1d9be47a2038), INT64_C(1704067200000), 0, 0},
                                           {UINT64_C(0x00000000000000ab), TM_TIME_NONE, 0, 0}};
    return (tm_journal_configuration){.group = TM_SLICE_LITERAL("tidemark"),
                                      .partition = 3,
                                      .commit = 43,
                                      .core_version = TM_SLICE_LITERAL("0.1.0"),
                                      .rules_version = 7,
                                      .pack_hash = UINT64_C(0x00000000000000ff),
                                      .rules = TM_SLICE_LITERAL("version: 7\nmetrics:\n  events: {count: \"*\"} # ü\n"),
                                      .timezone = TM_SLICE_LITERAL("Europe/Berlin"),
                                      .evaluate_every = 60000,
                                      .grace = 10000,
                                      .max_skew = 300000,
                                      .dedup_window = 3600000,
                                      .dedup_entries = 4000000,
                                      .distinct_cap = 4096,
                                      .key_mismatch = TM_SLICE_LITERAL("reject"),
                                      .mapping = TM_SLICE_LITERAL("segment"),
                                      .counting_start = INT64_C(1704067200000),
                                      .counting = counting,
                                      .counting_count = 2};
}

#endif
