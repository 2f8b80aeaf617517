/* Checks trip where they stand, say so, and leave the rest alone: nonsense planted in what the core touches. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tidemark/base/check.h"
#include "tidemark/core/duplicates.h"
#include "tidemark/core/members.h"
#include "tidemark/core/picks.h"
#include "tidemark/core/ring.h"
#include "tidemark/core/shard.h"
#include "tidemark/rules/packfile.h"

static tm_heap *heap;

static void set_up(void)
{
    heap = tm_heap_new(0);
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
}

TestSuite(check, .init = set_up, .fini = tear_down);

static tm_status looks_at(int a, int b)
{
    TM_CHECK(heap, a < b, "in_order");
    return TM_OK;
}

static tm_status looks_again(void)
{
    TM_CHECK(heap, false, "never");
    return TM_OK;
}

static const char *tripped(tm_heap *of)
{
    return tm_heap_tripped(of) ? tm_heap_tripped(of)->name : "";
}

Test(check, the_first_that_trips_is_kept)
{
    cr_assert_eq(looks_at(1, 2), TM_OK);
    cr_assert_null(tm_heap_tripped(heap));
    cr_assert_eq(looks_at(2, 2), TM_BROKEN);
    cr_assert_str_eq(tm_heap_tripped(heap)->name, "in_order");
    cr_assert_str_eq(tm_heap_tripped(heap)->file, "check_test.c");
    cr_assert_gt(tm_heap_tripped(heap)->line, 20);
    cr_assert_eq(looks_again(), TM_BROKEN);
    cr_assert_str_eq(tripped(heap), "in_order");
    cr_assert_str_eq(tm_status_name(TM_BROKEN), "broken");
}

Test(check, rings)
{
    tm_reach reach = {100, 30};
    tm_ring ring = {0};
    cr_assert_eq(tm_ring_reserve(&ring, heap, reach, 100, 1), TM_OK);
    cr_assert(tm_ring_has(&ring, 100));
    cr_assert(tm_ring_add(&ring, 100, 1) == 1);
    cr_assert(tm_ring_add(&ring, 100, 4) == 5);
    cr_assert_not(tm_ring_has(&ring, 99));
    tm_ring longer = ring;
    longer.length = (uint16_t)(ring.capacity + 1);
    cr_assert_eq(tm_ring_reserve(&longer, heap, reach, 100, 1), TM_BROKEN);
    cr_assert_str_eq(tripped(heap), "ring_shape");
    longer = ring;
    longer.width = 32;
    cr_assert_eq(tm_ring_reserve(&longer, heap, reach, 100, 1), TM_BROKEN);
    tm_ring_done(&ring, heap);
}

Test(check, picks)
{
    tm_reach reach = {100, 30};
    tm_picks picks = {0};
    cr_assert_eq(tm_picks_reserve(&picks, heap, reach, 100), TM_OK);
    cr_assert(tm_picks_put(&picks, TM_METRIC_LAST, 100, (tm_pick){5, 1}));
    tm_picks full = picks;
    full.count = full.capacity;
    cr_assert_not(tm_picks_put(&full, TM_METRIC_LAST, 101, (tm_pick){5, 1}), "no room was reserved");
    tm_picks longer = picks;
    longer.count = (uint16_t)(picks.capacity + 1);
    cr_assert_eq(tm_picks_reserve(&longer, heap, reach, 100), TM_BROKEN);
    cr_assert_str_eq(tripped(heap), "picks_shape");
    tm_picks_done(&picks, heap);
}

Test(check, members)
{
    tm_members_reach reach = {{100, 30}, {0, 0}};
    tm_members members;
    bool changed;
    tm_members_init(&members, 30, 0);
    cr_assert_eq(tm_members_add(&members, heap, &reach, 7, true, 100, false, 0, &changed), TM_OK);
    cr_assert_eq(tm_members_add(&members, heap, &reach, 9, true, 100, false, 0, &changed), TM_OK);
    tm_members longer = members;
    longer.count = members.capacity + 1;
    cr_assert_eq(tm_members_add(&longer, heap, &reach, 8, true, 100, false, 0, &changed), TM_BROKEN);
    cr_assert_str_eq(tripped(heap), "members_shape");
    tm_members_done(&members, heap);
}

Test(check, duplicates)
{
    tm_duplicates *duplicates = tm_duplicates_new(heap, TM_HOUR, 100);
    bool shed;
    cr_assert_eq(tm_duplicates_add(duplicates, (tm_fingerprint){1, 1}, TM_DAY, &shed), TM_OK);
    cr_assert_eq(tm_duplicates_add(duplicates, (tm_fingerprint){2, 2}, TM_DAY - 1, &shed), TM_BROKEN);
    cr_assert_str_eq(tripped(heap), "duplicates_in_order");
    tm_duplicates_free(duplicates);
}

/* --- a shard --- */

static const char rules[] =
    "version: 1\n"
    "metrics:\n"
    "  events: {count: '*'}\n"
    "  users: {distinct: user}\n"
    "  mood: {last: value}\n"
    "rules:\n"
    "  - {name: seen, kind: advisory, when: 'events[1d] >= 1 and users[1d] >= 0 and mood[1d] != "
    "null', clear: 'events[1d] < 1'}\n";

static tm_pack *pack;
static tm_shard *shard;
static tm_event event;

static void shard_up(void)
{
    tm_error error;
    tm_shard_settings settings = {.zone = tm_zone_utc(),
                                  .evaluate_every = TM_MINUTE,
                                  .max_skew = 5 * TM_MINUTE,
                                  .dedup_window = TM_HOUR,
                                  .dedup_entries = 1000};
    cr_assert_eq(tm_packfile_parse(tm_slice_of(rules), "rules.yaml", NULL, &pack, &error), TM_OK, "%s", error.what);
    shard = tm_shard_new(&settings, pack, 0, NULL, 0);
    tm_shard_begin(shard, TM_TIME_NEVER);
}

static void shard_down(void)
{
    tm_shard_free(shard);
    tm_pack_free(pack);
}

TestSuite(check_shard, .init = shard_up, .fini = shard_down);

static tm_status apply(int number, tm_time at, tm_outcome *ret_outcome)
{
    static char id[16];
    snprintf(id, sizeof id, "%d", number);
    event.id = tm_slice_of(id);
    event.account = TM_SLICE_LITERAL("acme");
    event.name = TM_SLICE_LITERAL("seen");
    event.at = at;
    event.value = 5;
    event.user_key = 77;
    tm_record record = {.offset = number, .timestamp = at, .kind = TM_RECORD_EVENT, .event = &event};
    return tm_shard_apply(shard, &record, ret_outcome);
}

static tm_account *acme(void)
{
    return (tm_account *)(uintptr_t)tm_shard_account(shard, TM_SLICE_LITERAL("acme"));
}

static void begin(void)
{
    tm_outcome outcome;
    cr_assert_eq(apply(1, TM_DAY, &outcome), TM_OK);
    cr_assert_eq(apply(2, TM_DAY + 2 * TM_MINUTE, &outcome), TM_OK);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_ADVISORY), 1);
}

/* The next event of the account is the suspect, and `name` is what it trips. */
static void blamed(const char *name)
{
    tm_outcome outcome;
    cr_assert_eq(apply(3, TM_DAY + 2 * TM_MINUTE, &outcome), TM_BROKEN);
    cr_assert_eq(outcome, TM_OUTCOME_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), name);
}

/* No record is: time alone comes upon it. */
static void nobodys_fault(const char *name)
{
    tm_outcome outcome;
    cr_assert_eq(apply(3, TM_DAY + TM_HOUR, &outcome), TM_BROKEN);
    cr_assert_neq(outcome, TM_OUTCOME_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), name);
    cr_assert_eq(tm_shard_advance(shard, TM_DAY + TM_HOUR), TM_BROKEN);
}

Test(check_shard, fewer_series_than_metrics)
{
    begin();
    acme()->series_count--;
    blamed("account_series");
}

Test(check_shard, more_episodes_than_room)
{
    begin();
    acme()->episode_count = acme()->episode_capacity + 1;
    blamed("account_episodes");
}

Test(check_shard, the_series_of_another_metric)
{
    begin();
    tm_series *first = acme()->series[0];
    acme()->series[0] = acme()->series[1];
    acme()->series[1] = first;
    blamed("series_form");
}

Test(check_shard, another_hash)
{
    begin();
    acme()->hash++;
    blamed("account_hash");
}

Test(check_shard, a_mark_without_its_entry)
{
    begin();
    acme()->changed = false;
    blamed("changed_accounts");
}

Test(check_shard, an_event_without_a_name)
{
    begin();
    tm_outcome outcome;
    tm_record record = {.offset = 3, .timestamp = TM_DAY + 2 * TM_MINUTE, .kind = TM_RECORD_EVENT, .event = &event};
    event.name.length = 0;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_BROKEN);
    cr_assert_eq(outcome, TM_OUTCOME_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "event_names");
}

Test(check_shard, an_event_with_too_many_properties)
{
    begin();
    event.property_count = TM_PROPERTIES_MAX + 1;
    blamed("event_values");
    event.property_count = 0;
}

Test(check_shard, facts_that_are_none)
{
    begin();
    tm_outcome outcome;
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .timestamp = TM_DAY + 2 * TM_MINUTE,
                        .kind = TM_RECORD_FACTS,
                        .account = TM_SLICE_LITERAL("acme")};
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_BROKEN);
    cr_assert_eq(outcome, TM_OUTCOME_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "facts_given");
}

Test(check_shard, an_erased_account_with_a_state_that_is_none)
{
    begin();
    acme()->episodes[0].state = 9;
    tm_outcome outcome;
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .timestamp = TM_DAY + 2 * TM_MINUTE,
                        .kind = TM_RECORD_ERASE,
                        .account = TM_SLICE_LITERAL("acme")};
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_BROKEN);
    cr_assert_eq(outcome, TM_OUTCOME_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "erased_episode_state");
}

Test(check_shard, judged_with_a_state_that_is_none)
{
    begin();
    acme()->episodes[0].state = 9;
    nobodys_fault("episode_state");
}

Test(check_shard, judged_with_fewer_series)
{
    begin();
    acme()->series_count--;
    nobodys_fault("judged_series");
}

Test(check_shard, judged_with_an_input_that_is_none)
{
    begin();
    acme()->input = 9;
    nobodys_fault("judged_input");
}

Test(check_shard, an_episode_raised_in_the_future)
{
    begin();
    acme()->episodes[0].raised_at = 9 * TM_DAY;
    tm_outcome outcome;
    cr_assert_eq(tm_shard_advance(shard, 4 * TM_DAY), TM_BROKEN, "it is cleared when the day has passed");
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "signal_sequence");
    cr_assert_eq(apply(4, 5 * TM_DAY, &outcome), TM_BROKEN);
}

Test(check_shard, an_instant_beside_the_grid)
{
    begin();
    acme()->stands_until = TM_TIME_NONE;
    /* An agenda out of order: what it says was to be judged long ago. */
    tm_shard_restore_time(shard, 3 * TM_DAY, true);
    cr_assert_eq(tm_shard_advance(shard, 4 * TM_DAY), TM_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "instant_in_order");
}

Test(check_shard, an_account_restored_under_another_pack)
{
    tm_account *account = tm_account_new(tm_shard_heap(shard), pack, TM_SLICE_LITERAL("x"));
    uint32_t kept = account->series_count;
    account->series_count = 0;
    cr_assert_eq(tm_shard_restore_account(shard, account), TM_BROKEN);
    cr_assert_str_eq(tripped(tm_shard_heap(shard)), "restored_series");
    account->series_count = kept;
}
