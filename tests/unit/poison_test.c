/* Whom a check that trips is put down to, decision by decision; tests/property/poison_test.c has whole lives. */
#include "tidemark/pipeline/poison.h"

#include "support/solo.h"

static stage s;
static solo a;
static tm_holding *h;

static void set_up(void)
{
    tm_error error;
    stage_init(&s, 1, feed_rules);
    solo_open(&a, &s, "a");
    h = a.holding;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    tm_holding_begin(h, SOLO_WALL);
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(poison_rules, .init = set_up, .fini = tear_down);

static tm_source_record record_at(tm_input input, int64_t offset)
{
    return (tm_source_record){.input = input, .offset = offset, .timestamp = SOLO_MORNING};
}

static void blame(tm_input input, int64_t offset)
{
    tm_error error;
    tm_source_record record = record_at(input, offset);
    cr_assert_eq(tm_poison_blame(h, &record, true, &error), TM_BROKEN);
    cr_assert_eq(h->suspect.offset, offset);
}

static bool passes(tm_input input, int64_t offset)
{
    tm_slice check;
    tm_source_record record = record_at(input, offset);
    return tm_poison_passes(h, &record, &check);
}

static void applied(tm_input input, int64_t offset)
{
    tm_source_record record = record_at(input, offset);
    tm_poison_applied(h, &record);
}

Test(poison_rules, a_check_without_a_name_is_said_to_be_so)
{
    tm_error error;
    cr_assert_eq(tm_poison_tripped(h, "nothing was done", &error), TM_BROKEN);
    cr_assert_not_null(strstr(error.what, "unnamed"), "%s", error.what);
    cr_assert_not_null(strstr(error.what, "nothing was done"));
    cr_assert_str_eq(error.where, "shard 0");
    cr_assert(error.hint[0]);
    cr_assert_not(h->blamed);
}

/* Poison is the same record that trips twice, the second time with nothing before it in its commit. */
Test(poison_rules, only_the_same_record_alone_is_poison)
{
    blame(TM_INPUT_USAGE, 7);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_TRIPPED);
    blame(TM_INPUT_ACCOUNTS, 7);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_TRIPPED, "of another input");
    blame(TM_INPUT_ACCOUNTS, 8);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_TRIPPED, "another record");
    h->records = 1;
    blame(TM_INPUT_ACCOUNTS, 8);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_TRIPPED, "in company");
    h->records = 0;
    blame(TM_INPUT_ACCOUNTS, 8);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_POISON);
    cr_assert(passes(TM_INPUT_ACCOUNTS, 8));
    cr_assert_not(passes(TM_INPUT_USAGE, 8));
    cr_assert_not(passes(TM_INPUT_ACCOUNTS, 9));
}

Test(poison_rules, what_is_replayed_is_decided_by_the_journal)
{
    blame(TM_INPUT_USAGE, 7);
    h->publishing = false;
    cr_assert_not(tm_poison_decide(h), "only its line says what was passed over");
    h->publishing = true;
    cr_assert(tm_poison_decide(h));
    cr_assert_eq(h->trips, 1);
    const tm_journal_skip told[] = {{TM_INPUT_USAGE, 3, TM_SLICE_LITERAL("one")},
                                    {TM_INPUT_ACCOUNTS, 5, TM_SLICE_LITERAL("other")}};
    h->told = told;
    h->told_count = 2;
    tm_slice check = {0};
    tm_source_record record = record_at(TM_INPUT_ACCOUNTS, 5);
    cr_assert(tm_poison_passes(h, &record, &check));
    cr_assert(tm_slice_equal_text(check, "other"));
    cr_assert(passes(TM_INPUT_USAGE, 3));
    cr_assert_not(passes(TM_INPUT_USAGE, 5));
    cr_assert_not(passes(TM_INPUT_ACCOUNTS, 3));
    h->told_count = 0;
}

Test(poison_rules, trips_and_poison_have_an_end)
{
    blame(TM_INPUT_USAGE, 7);
    for (int i = 0; i < TM_TRIPS_MAX; i++)
        cr_assert(tm_poison_decide(h), "%d", i);
    cr_assert_not(tm_poison_decide(h), "so many claims without a commit between them");
    blame(TM_INPUT_USAGE, 7);
    for (int i = 0; i < TM_POISON_MAX; i++)
        cr_assert(tm_poison_decide(h), "%d", i);
    cr_assert_not(tm_poison_decide(h), "so many records are no records' fault");
}

Test(poison_rules, the_suspect_is_alone_in_its_commit)
{
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING, "{\"account\":\"a0\",\"seats\":5}");
    solo_buy(&s, 1, "1");
    solo_poll(&a);
    tm_shard_start(h->shard, SOLO_MORNING);
    h->suspect = (tm_suspect){.state = TM_SUSPECT_TRIPPED, .input = TM_INPUT_USAGE, .offset = 0};
    cr_assert_not(tm_poison_apart(h), "nothing is before it");
    h->records = 1;
    cr_assert_not(tm_poison_apart(h), "a record of the other input comes next");
    h->suspect = (tm_suspect){.state = TM_SUSPECT_TRIPPED, .input = TM_INPUT_ACCOUNTS, .offset = 4};
    cr_assert_not(tm_poison_apart(h), "an earlier record comes next");
    h->suspect.offset = 0;
    h->publishing = false;
    cr_assert_not(tm_poison_apart(h), "a past commit is as it was");
    h->publishing = true;
    cr_assert(tm_poison_apart(h));
    cr_assert(tm_holding_full(h), "what comes before it is committed first");
    cr_assert(tm_poison_apart(h), "and it stays so");
}

Test(poison_rules, applied_well_it_is_acquitted)
{
    h->suspect = (tm_suspect){.state = TM_SUSPECT_TRIPPED, .input = TM_INPUT_USAGE, .offset = 4};
    applied(TM_INPUT_ACCOUNTS, 4);
    applied(TM_INPUT_USAGE, 3);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_TRIPPED, "those are others");
    cr_assert_not(h->apart);
    applied(TM_INPUT_USAGE, 4);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_ACQUITTED);
    cr_assert(h->apart, "its commit ends with it");
    h->apart = false;
    h->suspect.state = TM_SUSPECT_POISON;
    applied(TM_INPUT_USAGE, 4);
    cr_assert_eq(h->suspect.state, TM_SUSPECT_POISON, "it was passed over, not applied");
    cr_assert(h->apart);
}

Test(poison_rules, skips_stay_in_order_as_they_grow)
{
    char name[16];
    for (int64_t i = 0; i < 9; i++) {
        tm_source_record record = record_at(i % 2 ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE, i);
        snprintf(name, sizeof name, "check%d", (int)i);
        cr_assert_eq(tm_poison_note(h, &record, tm_slice_of(name)), TM_OK);
    }
    cr_assert_eq(h->skip_count, 9);
    for (int64_t i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "check%d", (int)i);
        cr_assert_eq(h->skips[i].offset, i);
        cr_assert_eq(h->skips[i].input, i % 2 ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE);
        cr_assert(tm_slice_equal_text(h->skips[i].check, name), "its own copy");
    }
}
