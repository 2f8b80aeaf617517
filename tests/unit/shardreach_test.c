/* A longer window over a metric that was kept: null until it has its days, never too small. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/core/shard.h"
#include "tidemark/pipeline/meta.h"
#include "tidemark/rules/packfile.h"

static const tm_time start = INT64_C(1767225600000); /* 2026-01-01T00:00:00Z, a Thursday */

static tm_pack *pack_with(const char *window, uint32_t *ret_node)
{
    tm_slice expression = tm_slice_of(window);
    tm_packfile_options options = {.expressions = &expression, .expression_count = 1, .ret_nodes = ret_node};
    tm_pack *pack = NULL;
    tm_error error;
    cr_assert_eq(tm_packfile_parse(TM_SLICE_LITERAL("version: 1\nmetrics:\n  events: {count: '*'}\n"), "rules.yaml",
                                   &options, &pack, &error),
                 TM_OK, "%s", error.what);
    return pack;
}

static void a_day(tm_shard *shard, int32_t day)
{
    static tm_event event;
    char id[32];
    snprintf(id, sizeof id, "e%d", day);
    event = (tm_event){.id = tm_slice_of(id),
                       .account = TM_SLICE_LITERAL("a"),
                       .name = TM_SLICE_LITERAL("x"),
                       .at = start + day * TM_DAY,
                       .value = TM_FIXED_NONE};
    tm_record record = {
        .input = TM_INPUT_USAGE, .offset = day, .timestamp = event.at, .kind = TM_RECORD_EVENT, .event = &event};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    cr_assert_eq(outcome, TM_OUTCOME_APPLIED);
}

static tm_value answer(tm_shard *shard, uint32_t node)
{
    return tm_shard_evaluate(shard, TM_SLICE_LITERAL("a"), tm_shard_time(shard), node);
}

static const tm_shard_settings *settings(void)
{
    static tm_shard_settings s;
    s = (tm_shard_settings){.zone = tm_zone_utc(),
                            .evaluate_every = TM_MINUTE,
                            .max_skew = -1,
                            .dedup_window = TM_HOUR,
                            .dedup_entries = 1000};
    return &s;
}

Test(shardreach, a_longer_window_waits_for_its_days_after_new_rules)
{
    uint32_t shorter, longer;
    tm_pack *seven = pack_with("events[7d]", &shorter), *thirty = pack_with("events[30d]", &longer);
    tm_shard *shard = tm_shard_new(settings(), seven, TM_TIME_NONE, NULL, 0);
    tm_shard_begin(shard, TM_TIME_NEVER);
    for (int32_t day = 0; day < 40; day++)
        a_day(shard, day);
    cr_assert_eq(answer(shard, shorter).as.number, 7);
    cr_assert_eq(tm_shard_adopt(shard, thirty), TM_OK);
    /* Seven days were kept, the oldest is day 33: thirty days from there end on day 62. */
    for (int32_t day = 40; day < 62; day++) {
        a_day(shard, day);
        cr_assert_eq(answer(shard, longer).type, TM_TYPE_NULL, "day %d", day);
    }
    a_day(shard, 62);
    cr_assert_eq(answer(shard, longer).as.number, 30);
    /* And back to the shorter: nothing has to wait. */
    cr_assert_eq(tm_shard_adopt(shard, seven), TM_OK);
    cr_assert_eq(answer(shard, shorter).as.number, 7);
    tm_shard_free(shard);
    tm_pack_free(seven);
    tm_pack_free(thirty);
}

Test(shardreach, the_same_over_a_restart)
{
    uint32_t shorter, longer;
    tm_pack *seven = pack_with("events[7d]", &shorter), *thirty = pack_with("events[30d]", &longer);
    tm_shard *before = tm_shard_new(settings(), seven, TM_TIME_NONE, NULL, 0);
    tm_shard_meta meta = {.time = start + 39 * TM_DAY, .counting_count = 1}, read;
    meta.counting[0] = tm_shard_counting(before, 0);
    cr_assert_eq(meta.counting[0].reach_days, 7);
    tm_buffer bytes;
    tm_buffer_init(&bytes, 4096);
    tm_meta_encode(&meta, &bytes);
    tm_error error;
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &read, &error), TM_OK, "%s", error.what);
    tm_shard *after = tm_shard_new(settings(), thirty, read.time, read.counting, read.counting_count);
    cr_assert_eq(tm_shard_counting(after, 0).start, start + 33 * TM_DAY);
    cr_assert_eq(tm_shard_counting(after, 0).reach_days, 30);
    tm_shard *same = tm_shard_new(settings(), seven, read.time, read.counting, read.counting_count);
    cr_assert_eq(tm_shard_counting(same, 0).start, TM_TIME_NONE);
    tm_buffer_done(&bytes);
    tm_shard_free(before);
    tm_shard_free(after);
    tm_shard_free(same);
    tm_pack_free(seven);
    tm_pack_free(thirty);
}

Test(shardreach, counted_from_only_ever_moves_forward)
{
    uint32_t seven;
    tm_pack *pack = pack_with("events[7d]", &seven), *longer = pack_with("events[30d]", &seven);
    tm_shard *shard = tm_shard_new(settings(), pack, start, NULL, 0);
    tm_shard_count_from(shard, start + 3 * TM_DAY);
    cr_assert_eq(tm_shard_counting(shard, 0).start, start + 3 * TM_DAY);
    tm_shard_count_from(shard, start + TM_DAY);
    cr_assert_eq(tm_shard_counting(shard, 0).start, start + 3 * TM_DAY);
    /* In the middle of a day only its rest is known: the next day is the first whole one. */
    tm_shard_count_from(shard, start + 4 * TM_DAY + 1);
    cr_assert_eq(tm_shard_counting(shard, 0).start, start + 5 * TM_DAY);
    /* Where no time is known yet, a longer reach cannot be told from when it holds: what was kept stands. */
    tm_counting kept = tm_shard_counting(shard, 0);
    tm_shard *fresh = tm_shard_new(settings(), longer, TM_TIME_NONE, &kept, 1);
    cr_assert_eq(tm_shard_counting(fresh, 0).start, start + 5 * TM_DAY);
    tm_shard_free(shard);
    tm_shard_free(fresh);
    tm_pack_free(pack);
    tm_pack_free(longer);
}
