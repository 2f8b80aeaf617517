/* The merge of the two inputs, and what an input that shows nothing means. */
#include "tidemark/pipeline/intake.h"

#include <criterion/criterion.h>

#include "support/feed.h"

/* A source that says what the test set. */
typedef struct script {
    int64_t end[TM_INPUTS], reached[TM_INPUTS];
    bool silent[TM_INPUTS], refuse_pause;
    int paused[TM_INPUTS], resumed[TM_INPUTS], asked, released;
} script;

static script told;
static tm_pack *pack;
static tm_shard *shard;
static tm_intake intake;
static tm_source source;

static tm_status on_bounds(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                           int64_t *reached, tm_error *error)
{
    script *s = context;
    cr_assert_eq(partition, 4);
    s->asked++;
    if (s->silent[input])
        return tm_fail(error, TM_RETRY, "no answer");
    *first = 0;
    *end = s->end[input];
    *reached = s->reached[input];
    return TM_OK;
}

static tm_status on_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    script *s = context;
    (void)partition;
    if (s->refuse_pause)
        return tm_fail(error, TM_RETRY, "no answer");
    *(paused ? &s->paused[input] : &s->resumed[input]) += 1;
    return TM_OK;
}

static void on_release(void *context, tm_source_record *record)
{
    (void)record;
    ((script *)context)->released++;
}

static void set_up(void)
{
    told = (script){0};
    source = (tm_source){.context = &told, .bounds = on_bounds, .pause = on_pause, .release = on_release};
    pack = feed_pack("version: 1\n");
    tm_shard_settings settings = feed_settings();
    shard = tm_shard_new(&settings, pack, TM_TIME_NONE, NULL, 0);
    tm_shard_start(shard, 0);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_intake_init(&intake, &source, 4, true);
    tm_intake_begin(&intake);
}

static void tear_down(void)
{
    tm_intake_done(&intake);
    tm_shard_free(shard);
    tm_pack_free(pack);
}

TestSuite(intake, .init = set_up, .fini = tear_down);

static void push(tm_input input, int64_t offset, tm_time timestamp, size_t length)
{
    static const char byte;
    tm_source_record record = {
        .input = input, .partition = 4, .offset = offset, .timestamp = timestamp, .value = {&byte, length}};
    cr_assert_eq(tm_intake_push(&intake, &record), TM_OK);
}

static void expect(tm_input input, int64_t offset)
{
    tm_source_record record;
    cr_assert_eq(tm_intake_take(&intake, shard, &record), TM_INTAKE_RECORD);
    cr_assert(record.input == input && record.offset == offset, "%d:%d", (int)record.input, (int)record.offset);
    cr_assert_eq(intake.lanes[input].next, offset + 1);
    tm_record unusable = {.input = input, .timestamp = record.timestamp, .kind = TM_RECORD_UNUSABLE};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &unusable, &outcome), TM_OK);
}

static void expect_none(tm_intake_answer why)
{
    tm_source_record record;
    cr_assert_eq(tm_intake_take(&intake, shard, &record), why);
}

static void confirm(void)
{
    tm_error error;
    cr_assert_eq(tm_intake_confirm(&intake, &error), TM_OK);
}

#define U TM_INPUT_USAGE
#define A TM_INPUT_ACCOUNTS

Test(intake, by_effective_time_accounts_first_on_a_tie)
{
    push(U, 0, 10, 1);
    push(U, 1, 20, 1);
    push(U, 2, 5, 1); /* late: 20, and before what the other input has for 20? No: accounts first */
    push(U, 3, TM_TIME_NONE, 1);
    push(A, 0, 10, 1);
    push(A, 1, 20, 1);
    push(A, 2, 21, 1);
    push(A, 3, 22, 1);
    expect(A, 0);
    expect(U, 0);
    expect(A, 1);
    expect(U, 1);
    expect(U, 2);
    expect(U, 3);
    expect_none(TM_INTAKE_UNKNOWN); /* usage shows nothing and is not known to be drained */
    told.end[U] = told.reached[U] = 4;
    confirm();
    expect(A, 2);
    expect(A, 3);
}

Test(intake, nothing_is_taken_past_an_input_that_may_have_more)
{
    push(U, 0, 10, 1);
    expect_none(TM_INTAKE_UNKNOWN);
    told.end[A] = 7;
    told.reached[A] = 6;
    confirm();
    expect_none(TM_INTAKE_UNKNOWN);
    told.silent[A] = true;
    tm_error error;
    cr_assert_eq(tm_intake_confirm(&intake, &error), TM_RETRY);
    expect_none(TM_INTAKE_UNKNOWN);
    told.silent[A] = false;
    told.reached[A] = 7;
    confirm();
    cr_assert_not(tm_intake_drained(&intake), "usage has one waiting");
    expect(U, 0);
    told.end[U] = told.reached[U] = 1;
    confirm();
    cr_assert(tm_intake_drained(&intake));
}

Test(intake, who_was_passed_waits_for_the_next_commit)
{
    told.end[A] = told.reached[A] = 0;
    push(U, 0, 10, 1);
    push(U, 1, 30, 1);
    confirm();
    expect(U, 0);
    push(A, 0, 20, 1); /* too late for this commit: it was said to be empty */
    expect(U, 1);
    told.end[U] = told.reached[U] = 2;
    confirm();
    expect_none(TM_INTAKE_EMPTY);
    cr_assert_not(tm_intake_drained(&intake));
    tm_intake_begin(&intake);
    expect_none(TM_INTAKE_UNKNOWN);
    confirm();
    expect(A, 0);
}

Test(intake, what_arrives_after_the_word_is_not_drained)
{
    confirm();
    cr_assert(tm_intake_drained(&intake));
    push(A, 0, 10, 1);
    cr_assert_not(tm_intake_drained(&intake));
    expect(A, 0);
    cr_assert_not(tm_intake_drained(&intake), "it has to be asked again");
    tm_intake_begin(&intake);
    cr_assert_not(tm_intake_drained(&intake), "and so has each commit");
}

Test(intake, it_ends_at_an_offset)
{
    intake.lanes[U].end = 2;
    intake.lanes[A].end = 0;
    push(U, 0, 10, 1);
    push(U, 1, 11, 1);
    push(U, 2, 12, 1);
    cr_assert_eq(tm_intake_first_time(&intake), 10);
    expect_none(TM_INTAKE_UNKNOWN);
    confirm();
    cr_assert(intake.lanes[A].finished);
    expect(U, 0);
    expect(U, 1);
    cr_assert_not(tm_intake_finished(&intake));
    expect_none(TM_INTAKE_EMPTY);
    cr_assert(tm_intake_finished(&intake));
    cr_assert(tm_intake_drained(&intake), "what lies beyond the end does not wait");
    cr_assert_eq(intake.lanes[U].next, 2);
}

Test(intake, it_ends_at_a_time)
{
    intake.lanes[U].until = intake.lanes[A].until = 20;
    push(U, 0, 20, 1);
    push(U, 1, 21, 1);
    push(A, 0, 21, 1);
    cr_assert_eq(tm_intake_first_time(&intake), 20);
    cr_assert(tm_intake_waiting(&intake, shard));
    expect(U, 0);
    expect_none(TM_INTAKE_EMPTY);
    cr_assert(tm_intake_finished(&intake));
    cr_assert_not(tm_intake_waiting(&intake, shard));
}

Test(intake, first_time_is_of_records_that_will_be_taken)
{
    cr_assert_eq(tm_intake_first_time(&intake), TM_TIME_NONE);
    push(U, 0, TM_TIME_NONE, 1);
    cr_assert_eq(tm_intake_first_time(&intake), TM_TIME_NONE);
    push(U, 1, 50, 1);
    push(A, 0, 60, 1);
    cr_assert_eq(tm_intake_first_time(&intake), 50);
    intake.lanes[U].end = 1;
    cr_assert_eq(tm_intake_first_time(&intake), 60);
    intake.lanes[A].until = 59;
    cr_assert_eq(tm_intake_first_time(&intake), TM_TIME_NONE);
}

Test(intake, an_input_that_is_off_is_not_asked)
{
    tm_intake_done(&intake);
    tm_intake_init(&intake, &source, 4, false);
    tm_intake_begin(&intake);
    told.silent[A] = true;
    push(U, 0, 10, 1);
    expect(U, 0);
    confirm();
    cr_assert(tm_intake_drained(&intake));
    cr_assert_eq(told.asked, 1);
}

Test(intake, one_far_ahead_is_paused_and_goes_on)
{
    for (int64_t i = 0; i < 20000; i++)
        push(U, i, i, 100);
    cr_assert_eq(told.paused[U], 1);
    push(U, 20000, 20000, 100);
    cr_assert_eq(told.paused[U], 1, "once");
    confirm(); /* accounts: drained */
    for (int64_t i = 0; i < 15000; i++)
        expect(U, i);
    cr_assert_eq(told.resumed[U], 0);
    told.refuse_pause = true;
    for (int64_t i = 15000; i < 20001; i++)
        expect(U, i);
    cr_assert_eq(told.resumed[U], 0);
    told.refuse_pause = false;
    confirm(); /* nothing waits, and it must not stay paused */
    cr_assert_eq(told.resumed[U], 1);
}

Test(intake, few_but_great_records_pause_too)
{
    for (int64_t i = 0; i < 32; i++)
        push(A, i, i, 1 << 20);
    cr_assert_eq(told.paused[A], 1);
    tm_intake_done(&intake);
    cr_assert_eq(told.released, 32, "what waited is given back");
}

Test(intake, it_is_skipped_forward_only)
{
    for (int64_t i = 3; i < 8; i++)
        push(U, i, i, 1);
    intake.lanes[U].next = 3;
    tm_intake_skip(&intake, U, 5);
    cr_assert_eq(told.released, 2, "what is not wanted is given back");
    cr_assert_eq(intake.lanes[U].count, 3);
    cr_assert_eq(intake.lanes[U].next, 5);
    tm_intake_skip(&intake, U, 4);
    cr_assert_eq(told.released, 2);
    cr_assert_eq(intake.lanes[U].next, 5, "never back");
    tm_intake_skip(&intake, U, 50);
    cr_assert_eq(intake.lanes[U].count, 0);
    cr_assert_eq(intake.lanes[U].next, 50);
}

Test(intake, one_that_cannot_be_resumed_is_tried_again)
{
    for (int64_t i = 0; i < 32; i++)
        push(U, i, i, 1 << 20);
    cr_assert_eq(told.paused[U], 1);
    confirm(); /* accounts: drained */
    for (int64_t i = 0; i < 23; i++)
        expect(U, i);
    cr_assert_eq(told.resumed[U], 0, "few records, but of many bytes");
    told.refuse_pause = true;
    for (int64_t i = 23; i < 32; i++)
        expect(U, i);
    confirm();
    cr_assert(intake.lanes[U].paused, "still");
    told.refuse_pause = false;
    confirm();
    cr_assert_not(intake.lanes[U].paused);
    cr_assert_eq(told.resumed[U], 1);
}

Test(intake, an_input_that_is_off_neither_waits_nor_ends)
{
    tm_intake_done(&intake);
    tm_intake_init(&intake, &source, 4, false);
    tm_intake_begin(&intake);
    intake.lanes[U].end = 1;
    push(U, 0, 10, 1);
    cr_assert(tm_intake_waiting(&intake, shard));
    expect(U, 0);
    push(U, 1, 11, 1);
    cr_assert_not(tm_intake_waiting(&intake, shard), "beyond the end");
    expect_none(TM_INTAKE_EMPTY);
    cr_assert(tm_intake_finished(&intake));
}

Test(intake, who_is_next_is_told_without_taking_it)
{
    tm_input input = U;
    int64_t offset = -7;
    cr_assert_not(tm_intake_next(&intake, shard, &input, &offset), "nothing is known");
    push(U, 3, 20, 1);
    cr_assert_not(tm_intake_next(&intake, shard, &input, &offset), "the other may have an earlier one");
    push(A, 5, 20, 1);
    push(A, 6, 30, 1);
    for (int again = 0; again < 2; again++) {
        cr_assert(tm_intake_next(&intake, shard, &input, &offset));
        cr_assert(input == A && offset == 5, "accounts first on a tie");
    }
    cr_assert_eq(intake.lanes[A].count, 2);
    expect(A, 5);
    cr_assert(tm_intake_next(&intake, shard, &input, &offset));
    cr_assert(input == U && offset == 3);
    expect(U, 3);
    cr_assert_not(tm_intake_next(&intake, shard, &input, &offset));
    told.end[U] = told.reached[U] = 4;
    confirm();
    cr_assert(tm_intake_next(&intake, shard, &input, &offset));
    cr_assert(input == A && offset == 6);
    intake.lanes[A].end = 6;
    cr_assert_not(tm_intake_next(&intake, shard, &input, &offset), "what lies at the end is not taken");
}
