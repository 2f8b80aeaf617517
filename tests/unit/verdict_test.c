/* The take-over table as a table: what is found, and the row it is. */
#include "tidemark/pipeline/verdict.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_shard_meta meta;
static tm_evidence e;

static void set_up(void)
{
    meta = (tm_shard_meta){.partitions = 4, .rules_version = 7, .configuration_hash = 99};
    meta.marks[0] = (tm_record_mark){.offset = 9, .timestamp = 1000, .key_hash = 5};
    meta.marks[1] = (tm_record_mark){.offset = -1};
    e = (tm_evidence){.committed = {{10, 2}, 5},
                      .present = true,
                      .stored = {{10, 2}, 5},
                      .meta = &meta,
                      .topics = {TM_SLICE_LITERAL("usage"), TM_SLICE_LITERAL("accounts")},
                      .end = {-1, -1},
                      .partitions = 4,
                      .rules_version = 7,
                      .configuration_hash = 99};
}

TestSuite(verdict, .init = set_up);

static void is(tm_row row)
{
    tm_verdict verdict;
    tm_verdict_of(&e, 3, &verdict);
    cr_assert_eq(verdict.row, row, "%s, not %s: %s", tm_row_name(verdict.row), tm_row_name(row), verdict.why.what);
    cr_assert_eq(verdict.halt, TM_HALT_NONE);
}

static void halts(tm_halt halt, const char *command)
{
    tm_verdict verdict;
    tm_verdict_of(&e, 3, &verdict);
    cr_assert_eq(verdict.row, TM_ROW_HALT, "%s", tm_row_name(verdict.row));
    cr_assert_str_eq(tm_halt_code(verdict.halt), tm_halt_code(halt));
    cr_assert(verdict.why.what[0]);
    cr_assert_str_eq(verdict.why.where, "shard 3");
    cr_assert_not_null(strstr(verdict.why.hint, command), "%s", verdict.why.hint);
}

/* Of the same number, and of two claims. */
Test(verdict, a_commit_of_another_history_halts)
{
    e.committed.claim = 77;
    is(TM_ROW_CLEAN); /* not known whose the state is: an older form */
    meta.claim = 77;
    is(TM_ROW_CLEAN);
    meta.claim = 78;
    halts(TM_HALT_STATE_FOREIGN, "tidemark shard rebuild 3");
    e.stored.next[0] = 12; /* sooner than that somebody moved the offsets */
    halts(TM_HALT_STATE_FOREIGN, "tidemark shard rebuild 3");
    e.committed.claim = 0;
    e.stored.next[0] = 10;
    is(TM_ROW_CLEAN); /* not known whose C is: an operator set it */
    e.committed = (tm_position){{8, 2}, 4, 77};
    is(TM_ROW_UNPUBLISHED); /* of commit 4 the state says nothing */
    meta.published = 4;
    meta.published_claim = 77;
    is(TM_ROW_UNPUBLISHED);
    meta.published_claim = 76;
    halts(TM_HALT_STATE_FOREIGN, "tidemark shard rebuild 3");
    e.committed = (tm_position){{12, 2}, 6, 79};
    is(TM_ROW_TAIL_LOST); /* the journal's line of commit 5 tells */
    e.committed = (tm_position){{-1, -1}, 0, 0};
    meta.published = 0;
    is(TM_ROW_UNPUBLISHED);
}

Test(verdict, rows_that_go_on)
{
    is(TM_ROW_CLEAN);
    e.committed = (tm_position){{8, 2}, 4};
    is(TM_ROW_UNPUBLISHED);
    e.outbox_known = true;
    e.outbox = (tm_outbox_extent){5, 5, false};
    is(TM_ROW_UNPUBLISHED);
    e.committed = (tm_position){{12, 2}, 6};
    is(TM_ROW_TAIL_LOST);
    e.committed = (tm_position){{-1, -1}, 0};
    e.outbox = (tm_outbox_extent){0};
    is(TM_ROW_OFFSETS_ABSENT);
    e.outbox = (tm_outbox_extent){1, 5, false}; /* a crash before the very first publication */
    is(TM_ROW_UNPUBLISHED);
    e.present = false;
    e.meta = NULL;
    e.stored = (tm_position){{-1, -1}, 0};
    is(TM_ROW_FIRST_START);
    e.committed = (tm_position){{12, 2}, 6};
    is(TM_ROW_STORE_EMPTY);
}

Test(verdict, offsets_that_cannot_be_believed)
{
    e.committed.next[1] = 3;
    halts(TM_HALT_OFFSETS_MOVED, "tidemark shard resume 3");
    e.committed = (tm_position){{-1, 2}, 5};
    halts(TM_HALT_TOPIC_RECREATED, "tidemark shard reset 3");
    e.topics[0] = (tm_slice){0}; /* switched off */
    halts(TM_HALT_OFFSETS_MOVED, "tidemark shard resume 3");
    e.topics[0] = TM_SLICE_LITERAL("usage");
    e.committed = (tm_position){{10, 2}, -1};
    halts(TM_HALT_OFFSETS_FOREIGN, "tidemark shard resume 3");
    e.committed = (tm_position){{4, 0}, 2};
    e.outbox_known = true;
    e.outbox = (tm_outbox_extent){5, 5, false};
    halts(TM_HALT_OFFSETS_OLDER, "--outbox publish");
    e.outbox = (tm_outbox_extent){3, 5, true};
    halts(TM_HALT_OFFSETS_OLDER, "--outbox discard");
    e.committed = (tm_position){{-1, -1}, 0};
    e.outbox = (tm_outbox_extent){5, 5, false};
    halts(TM_HALT_OFFSETS_EXPIRED, "tidemark shard resume 3 --outbox publish");
}

Test(verdict, another_log)
{
    e.end[0] = 10;
    e.end[1] = 2;
    is(TM_ROW_CLEAN);
    e.end[0] = 9;
    halts(TM_HALT_TOPIC_CUT, "tidemark shard reset 3");
    e.topics[0] = (tm_slice){0};
    is(TM_ROW_CLEAN);
    e.topics[0] = TM_SLICE_LITERAL("usage");
    e.end[0] = 11;
    e.stored = (tm_position){{8, 2}, 4}; /* the tail is lost: reading goes up to C */
    is(TM_ROW_TAIL_LOST);
    e.end[0] = 9;
    halts(TM_HALT_TOPIC_CUT, "bring the topic back");

    set_up();
    tm_record_mark same = meta.marks[0], other = same;
    e.beyond[0] = &same;
    is(TM_ROW_CLEAN);
    other.timestamp++;
    e.beyond[0] = &other;
    halts(TM_HALT_TOPIC_RECREATED, "tidemark shard reset 3");
    other = same;
    other.key_hash++;
    halts(TM_HALT_TOPIC_RECREATED, "tidemark shard reset 3");
    other.offset++; /* the one that was read was compacted since */
    is(TM_ROW_CLEAN);
}

Test(verdict, another_configuration)
{
    e.partitions = 5;
    halts(TM_HALT_PARTITIONS_CHANGED, "topics.journal");
    e.partitions = 4;
    e.rules_version = 6;
    halts(TM_HALT_RULES_OLDER, "tidemark run");
    e.rules_version = 8;
    is(TM_ROW_CLEAN);
    e.configuration_hash = 1;
    halts(TM_HALT_CONFIGURATION_CHANGED, "set both back");
    e.meta = NULL; /* not known yet is not judged */
    is(TM_ROW_CLEAN);
    e.partitions_kept = 3;
    e.present = false;
    halts(TM_HALT_PARTITIONS_CHANGED, "new group");
}

Test(verdict, every_halt_says_what_to_do_and_every_row_what_it_is)
{
    for (int h = TM_HALT_NONE + 1; h < TM_HALTS; h++) {
        tm_error error;
        tm_error_clear(&error);
        tm_halt_hint((tm_halt)h, 12, &error);
        cr_assert_not_null(strstr(error.hint, "tidemark"), "%s: %s", tm_halt_code((tm_halt)h), error.hint);
        cr_assert_null(strstr(error.hint, " P "), "%s", error.hint);
        cr_assert_null(strstr(error.hint, " P'"), "%s", error.hint);
        cr_assert_lt(strlen(error.hint), sizeof error.hint - 20, "not cut");
    }
    for (int r = 0; r <= TM_ROW_HALT; r++) {
        cr_assert(tm_row_name((tm_row)r)[0]);
        cr_assert(tm_row_means((tm_row)r)[0]);
    }
}

Test(verdict, the_outboxs_extent)
{
    tm_outbox_extent o = {0};
    static const int64_t dense[] = {4, 4, 5, 6, 6};
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++)
        tm_outbox_note(&o, dense[i]);
    cr_assert(o.oldest == 4 && o.newest == 6 && !o.gap);
    tm_outbox_note(&o, 8);
    cr_assert(o.oldest == 4 && o.newest == 8 && o.gap);
}

Test(verdict, an_outbox_that_does_not_lead_to_r_is_not_published)
{
    e.committed = (tm_position){{8, 2}, 3};
    e.outbox_known = true;
    e.outbox = (tm_outbox_extent){4, 4, false}; /* R is 5 */
    halts(TM_HALT_OFFSETS_OLDER, "--outbox publish");
    e.outbox = (tm_outbox_extent){4, 5, false};
    is(TM_ROW_UNPUBLISHED);
    e.committed = (tm_position){{-1, -1}, 0};
    e.outbox = (tm_outbox_extent){1, 5, false};
    is(TM_ROW_UNPUBLISHED);
}

Test(verdict, what_is_not_known_is_not_compared)
{
    e.rules_version = 0;
    is(TM_ROW_CLEAN);
    e.stored = (tm_position){{10, -1}, 5};
    e.committed = (tm_position){{9, -1}, 5}; /* an input that neither knows says nothing of a topic made anew */
    halts(TM_HALT_OFFSETS_MOVED, "tidemark shard resume 3");
    set_up();
    tm_record_mark found = {.offset = -1, .timestamp = 4};
    e.beyond[1] = &found; /* the state has read nothing of this input yet */
    is(TM_ROW_CLEAN);
}
