/* The journal read from its end backwards: which line is the last of this group's. */
#include "tidemark/pipeline/journalend.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "tidemark/codec/journal.h"

/* A journal of up to so many lines; line i is commit i + 1 of the group, or of the other. */
enum { LINES = 3000 };

typedef struct script {
    bool ours[LINES];
    int64_t count, at;
    int opened, closed;
    int32_t partition;
    int64_t most; /* lines given out by the last reading */
    tm_status open_answer, next_answer;
    tm_slice damaged; /* present: what line 0 is instead */
    tm_buffer line;
} script;

static script told;

static tm_status on_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    script *s = context;
    cr_assert_eq(s->opened, s->closed, "one reading at a time");
    s->opened++;
    s->partition = partition;
    if (s->open_answer != TM_OK)
        return tm_fail(error, s->open_answer, "for a test");
    s->at = back < 0 || back >= s->count ? 0 : s->count - back;
    s->most = s->count - s->at;
    *ret_whole = s->at == 0;
    return TM_OK;
}

static tm_status on_next(void *context, tm_slice *ret_line, tm_error *error)
{
    script *s = context;
    if (s->next_answer != TM_OK)
        return tm_fail(error, s->next_answer, "for a test");
    *ret_line = (tm_slice){0};
    if (s->at == s->count)
        return TM_OK;
    int64_t i = s->at++;
    tm_journal_commit commit = {.group = s->ours[i] ? TM_SLICE_LITERAL("g") : TM_SLICE_LITERAL("other"),
                                .partition = 3,
                                .commit = i + 1,
                                .epoch = 100 + i,
                                .from = {i, 2 * i},
                                .to = {i + 1, 2 * i + 2},
                                .clock_begin = TM_DAY,
                                .clock_end = TM_DAY,
                                .t_before = TM_DAY,
                                .t_after = TM_DAY,
                                .rules_version = 1};
    tm_buffer_reset(&s->line);
    tm_journal_encode_commit(&commit, &s->line);
    *ret_line = i == 0 && s->damaged.data ? s->damaged : tm_buffer_slice(&s->line);
    return TM_OK;
}

static void on_close(void *context)
{
    ((script *)context)->closed++;
}

static void set_up(void)
{
    told = (script){0};
    tm_buffer_init(&told.line, 1 << 16);
}

static void tear_down(void)
{
    cr_assert_eq(told.opened, told.closed, "nothing stays open");
    tm_buffer_done(&told.line);
}

TestSuite(journalend, .init = set_up, .fini = tear_down);

static tm_position found;

static tm_status look(bool accounts_on)
{
    tm_error error;
    const tm_journal_source journal = {&told, on_open, on_next, on_close};
    const bool on[TM_INPUTS] = {true, accounts_on};
    return tm_journal_end(&journal, TM_SLICE_LITERAL("g"), 3, on, &found, &error);
}

Test(journalend, what_a_group_without_offsets_is)
{
    cr_assert(tm_position_unknown((tm_position){{-1, -1}, 0, 0}));
    cr_assert_not(tm_position_unknown((tm_position){{0, -1}, 0, 0}));
    cr_assert_not(tm_position_unknown((tm_position){{-1, 0}, 0, 0}));
    cr_assert_not(tm_position_unknown((tm_position){{-1, -1}, 1, 0}));
    cr_assert_not(tm_position_unknown((tm_position){{5, 7}, -1, 0}), "offsets without a number");
}

Test(journalend, an_empty_journal_or_one_of_others_knows_nothing)
{
    cr_assert_eq(look(true), TM_OK);
    cr_assert(tm_position_unknown(found));
    cr_assert_eq(told.partition, 3);
    told.count = LINES;
    cr_assert_eq(look(true), TM_OK);
    cr_assert(tm_position_unknown(found));
    cr_assert_eq(told.most, LINES, "it was read as a whole");
}

Test(journalend, the_last_line_of_the_group)
{
    told.count = LINES;
    told.ours[4] = told.ours[LINES - 20] = told.ours[LINES - 10] = true;
    cr_assert_eq(look(true), TM_OK);
    cr_assert_eq(found.commit, LINES - 9);
    cr_assert_eq(found.claim, 100 + LINES - 10);
    cr_assert_eq(found.next[TM_INPUT_USAGE], LINES - 9);
    cr_assert_eq(found.next[TM_INPUT_ACCOUNTS], 2 * (LINES - 9));
    cr_assert_lt(told.most, LINES, "no further back than it must");
    cr_assert_eq(look(false), TM_OK);
    cr_assert_eq(found.next[TM_INPUT_USAGE], LINES - 9);
    cr_assert_eq(found.next[TM_INPUT_ACCOUNTS], -1, "an input that is not read has no position");
}

Test(journalend, however_far_back)
{
    told.count = LINES;
    for (int64_t i = 0; i < LINES; i += 137) {
        told.ours[i] = true;
        cr_assert_eq(look(true), TM_OK);
        cr_assert_eq(found.commit, i + 1);
        told.ours[i] = false;
    }
}

Test(journalend, who_does_not_answer_is_asked_again_later)
{
    told.count = 3;
    told.ours[1] = true;
    told.open_answer = TM_RETRY;
    cr_assert_eq(look(true), TM_RETRY);
    told.open_answer = TM_OK;
    told.next_answer = TM_RETRY;
    cr_assert_eq(look(true), TM_RETRY);
    told.next_answer = TM_OK;
    cr_assert_eq(look(true), TM_OK);
    cr_assert_eq(found.commit, 2);
}

Test(journalend, a_line_that_cannot_be_read_is_said)
{
    told.count = 3;
    told.ours[1] = true;
    told.damaged = TM_SLICE_LITERAL("{\"v\":1}");
    cr_assert_eq(look(true), TM_REJECT);
}
