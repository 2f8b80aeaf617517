/* Stream time, duplicates, erasure and collisions of the pure machine; what its signals are is in
 * property/shard_test.c. */
#include "support/feed.h"

static tm_pack *pack;
static tm_shard *shard;
static feed_out out;

static void set_up(void)
{
    pack = feed_pack(feed_rules);
    tm_shard_settings settings = feed_settings();
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    cr_assert_not_null(shard);
    tm_shard_set_sink(shard, feed_sink, &out);
    tm_shard_begin(shard, TM_TIME_NEVER);
}

static void tear_down(void)
{
    tm_shard_free(shard);
    tm_shard_free(NULL);
    tm_pack_free(pack);
    feed_out_done(&out);
}

TestSuite(shard_unit, .init = set_up, .fini = tear_down);

static tm_outcome apply(tm_record_kind kind, const char *account, const char *id, tm_time timestamp, tm_time at)
{
    static tm_event event;
    static tm_facts_draft facts;
    tm_facts_draft_init(&facts);
    facts.seats = 5 * 1000000;
    event = (tm_event){.id = tm_slice_of(id),
                       .account = tm_slice_of(account),
                       .name = TM_SLICE_LITERAL("buy"),
                       .at = at,
                       .value = 30 * 1000000};
    tm_record record = {.timestamp = timestamp,
                        .offset = 3,
                        .kind = kind,
                        .event = &event,
                        .facts = &facts,
                        .account = tm_slice_of(account),
                        .input = kind == TM_RECORD_EVENT ? TM_INPUT_USAGE : TM_INPUT_ACCOUNTS};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    return outcome;
}

static tm_outcome event(const char *account, const char *id, tm_time t)
{
    return apply(TM_RECORD_EVENT, account, id, t, t);
}

enum { M = 60000 };
#define T0 (FEED_START + 6 * TM_HOUR)

Test(shard_unit, effective_times)
{
    cr_assert_eq(tm_shard_time(shard), TM_TIME_NONE);
    tm_shard_start(shard, T0);
    tm_shard_start(shard, T0 + 1);
    cr_assert_eq(tm_shard_time(shard), T0, "it starts once");
    cr_assert_eq(tm_shard_effective(shard, T0 - 1), T0, "never back");
    cr_assert_eq(tm_shard_effective(shard, TM_TIME_NONE), T0, "a missing timestamp counts as T");
    cr_assert_eq(tm_shard_effective(shard, T0), T0, "the grid instant T is not judged yet");
    tm_shard_begin(shard, T0 + 500);
    cr_assert_eq(tm_shard_effective(shard, T0 + 499), T0 + 499);
    cr_assert_eq(tm_shard_effective(shard, T0 + 501), T0 + 500, "not beyond the commit's clock");
    tm_shard_begin(shard, T0 - 500);
    cr_assert_eq(tm_shard_effective(shard, T0 + 501), T0, "nor back with it");
    tm_shard_begin(shard, TM_TIME_NEVER);
    cr_assert_eq(tm_shard_advance(shard, T0 + M), TM_OK);
    cr_assert(tm_shard_judged(shard) && tm_shard_time(shard) == T0 + M);
    cr_assert_eq(tm_shard_effective(shard, T0 + M), T0 + M + 1, "a judged instant has seen all it will see");
    cr_assert_eq(tm_shard_effective(shard, TM_TIME_NONE), T0 + M + 1);
    tm_shard_begin(shard, T0);
    cr_assert_eq(tm_shard_effective(shard, T0 + 5 * M), T0 + M + 1);
    tm_shard_begin(shard, TM_TIME_NEVER);
    cr_assert_eq(tm_shard_advance(shard, T0), TM_OK);
    cr_assert_eq(tm_shard_time(shard), T0 + M);
    event("a", "1", T0);
    cr_assert_eq(tm_shard_time(shard), T0 + M + 1);
    cr_assert_not(tm_shard_judged(shard));
    cr_assert_eq(tm_shard_advance(shard, T0 + 2 * M - 1), TM_OK);
    cr_assert_not(tm_shard_judged(shard), "not on the grid");
    cr_assert_eq(apply(TM_RECORD_UNUSABLE, "", "", T0 + 3 * M, 0), TM_OUTCOME_UNUSABLE);
    cr_assert_eq(tm_shard_time(shard), T0 + 3 * M, "every record moves T");
}

Test(shard_unit, an_instant_sees_the_records_up_to_and_including_it)
{
    tm_shard_start(shard, T0);
    event("a", "1", T0 + M); /* on the grid: seen at T0 + M, where spend raises */
    cr_assert_eq(out.count, 0);
    event("a", "2", T0 + M);
    cr_assert_eq(out.count, 0, "the instant waits for all records that have it");
    event("b", "3", T0 + M + 1);
    cr_assert_eq(out.count, 2);
    char at[40];
    snprintf(at, sizeof at, "at %" PRId64 " ", T0 + M);
    cr_assert_not_null(strstr(out.lines[0], at));
    cr_assert(strstr(out.lines[0], "value 2 ") == NULL);
}

Test(shard_unit, future_and_duplicates)
{
    tm_shard_start(shard, T0);
    cr_assert_eq(apply(TM_RECORD_EVENT, "a", "1", T0, T0 + 5 * M), TM_OUTCOME_APPLIED, "max_skew itself is not beyond");
    cr_assert_eq(apply(TM_RECORD_EVENT, "a", "2", T0, T0 + 5 * M + 1), TM_OUTCOME_FUTURE);
    cr_assert_eq(event("a", "2", T0 + M), TM_OUTCOME_APPLIED, "what was refused was not accepted");
    cr_assert_eq(event("a", "1", T0 + TM_HOUR - 1), TM_OUTCOME_DUPLICATE);
    cr_assert_eq(event("b", "1", T0 + TM_HOUR - 1), TM_OUTCOME_APPLIED, "another account's");
    cr_assert_eq(event("a", "1", T0 + TM_HOUR), TM_OUTCOME_APPLIED, "accepted at T - window: no longer one");
    cr_assert_eq(event("a", "2", T0 + TM_HOUR), TM_OUTCOME_DUPLICATE);
    const tm_shard_counts *counts = tm_shard_counted(shard);
    cr_assert(counts->records == 7 && counts->applied == 4 && counts->duplicates == 2 && counts->future == 1);
    cr_assert_eq(tm_shard_accepted_count(shard), 4);
    tm_fingerprint last;
    tm_time at;
    tm_shard_accepted(shard, 3, &last, &at);
    cr_assert_eq(at, T0 + TM_HOUR);
    tm_shard_settled(shard);
    cr_assert_eq(tm_shard_accepted_count(shard), 0);
}

/* --- erasure --- */

/* Newer sanitizers keep the variables of functions in memory of their own to notice their use after the return. The
   search below could not tell that from a heap, as it can tell the stack. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_stack_use_after_return=0";
}

/* Reads what no program may read by itself: not for the sanitizers' eyes. */
__attribute__((no_sanitize("address", "undefined"))) static bool holds(const volatile char *memory, size_t size,
                                                                       const char *wanted, size_t length)
{
    for (size_t i = 0; i + length <= size; i++) {
        size_t same = 0;
        while (same < length && memory[i + same] == wanted[same])
            same++;
        if (same == length && (const char *)(uintptr_t)(memory + i) != wanted)
            return true;
    }
    return false;
}

/* Whether a text stands anywhere in this process' writable memory that a heap could be in. The text is put together
   here only, from two halves, so that the search does not find itself. */
static bool in_memory(const char *first, const char *second)
{
    char wanted[32];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    cr_assert_not_null(maps);
    snprintf(wanted, sizeof wanted, "%s%s", first, second);
    size_t length = strlen(wanted);
    char line[512];
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[8], rest[256] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &from, &to, mode, rest) < 3 || strncmp(mode, "rw", 2) != 0)
            continue;
        if (strstr(rest, "stack") || rest[0] == '/' || to - from > (256ul << 20))
            continue;
        found = holds((const volatile char *)from, to - from, wanted, length);
    }
    fclose(maps);
    memset(wanted, 0, sizeof wanted);
    return found;
}

static void erased_account(void)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", "EraseMe", "FromMemoryAltogetherWithEveryLastByte");
    event(key, "1", T0);
    event("other", "1", T0);
    apply(TM_RECORD_FACTS, key, "", T0, 0);
    cr_assert_eq(tm_shard_advance(shard, T0 + M), TM_OK);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_EXPANSION), 2);
    tm_shard_settled(shard);
    apply(TM_RECORD_ERASE, key, "", T0 + 90000, 0);
    memset(key, 0, sizeof key);
}

Test(shard_unit, erase_clears_without_facts_and_forgets)
{
    tm_shard_start(shard, T0);
    erased_account();
    cr_assert_eq(tm_shard_open(shard, TM_KIND_EXPANSION), 1);
    cr_assert_eq(tm_shard_account_count(shard), 1);
    cr_assert_eq(tm_shard_erased_count(shard), 1);
    cr_assert_not_null(strstr(out.lines[out.count - 1], "cleared"));
    cr_assert_not_null(strstr(out.lines[out.count - 1], "reason 4 value null"));
    char at[40];
    snprintf(at, sizeof at, "at %" PRId64 " ", T0 + 90000);
    cr_assert_not_null(strstr(out.lines[out.count - 1], at), "the record's own time");
    tm_slice erased = tm_shard_erased(shard, 0);
    cr_assert_eq(erased.length, 44);
    tm_shard_settled(shard);
    cr_assert_eq(tm_shard_erased_count(shard), 0);
    cr_assert_eq(tm_shard_advance(shard, T0 + TM_DAY), TM_OK, "nothing of it comes up again");
}

Test(shard_unit, an_erased_account_comes_back_as_new)
{
    tm_shard_start(shard, T0);
    event("a", "1", T0);
    apply(TM_RECORD_ERASE, "a", "", T0 + 1, 0);
    apply(TM_RECORD_ERASE, "never seen", "", T0 + 1, 0);
    cr_assert_eq(tm_shard_changed_count(shard), 0);
    cr_assert_eq(tm_shard_erased_count(shard), 2, "what is not known here may be in the store");
    cr_assert_eq(event("a", "1", T0 + 2), TM_OUTCOME_DUPLICATE, "fingerprints run out by themselves");
    cr_assert_eq(event("a", "2", T0 + 2), TM_OUTCOME_APPLIED);
    cr_assert_eq(tm_shard_erased_count(shard), 1);
    cr_assert_eq(tm_shard_changed_count(shard), 1);
    cr_assert_eq(tm_shard_counted(shard)->erasures, 2);
}

Test(shard_unit, nothing_of_an_erased_key_is_left_in_memory)
{
    feed_out_done(&out);
    tm_shard_set_sink(shard, NULL, NULL);
    tm_shard_start(shard, T0);
    erased_account();
    cr_assert(in_memory("Altogether", "WithEvery"), "until it is settled, the store must be told");
    tm_shard_settled(shard);
    cr_assert_not(in_memory("Altogether", "WithEvery"));
}

/* --- accounts that share a hash --- */

static tm_account *forged(const char *key, uint64_t hash)
{
    tm_account *account = tm_account_new(tm_shard_heap(shard), pack, tm_slice_of(key));
    account->hash = hash;
    return account;
}

Test(shard_unit, accounts_that_share_a_hash)
{
    tm_shard_start(shard, T0);
    uint64_t hash = tm_hash(TM_SLICE_LITERAL("real"));
    cr_assert_eq(tm_shard_restore_account(shard, forged("x", hash)), TM_OK);
    cr_assert_eq(tm_shard_restore_account(shard, forged("y", hash)), TM_OK);
    event("real", "1", T0);
    event("other", "1", T0);
    const tm_account *real = tm_shard_account(shard, TM_SLICE_LITERAL("real"));
    cr_assert(real && tm_slice_equal_text(real->key, "real"));
    cr_assert_eq(tm_shard_account_count(shard), 4);
    tm_account *twice = forged("x", hash);
    cr_assert_eq(tm_shard_restore_account(shard, twice), TM_REJECT, "that one is there already");
    tm_account_free(tm_shard_heap(shard), twice);
    apply(TM_RECORD_ERASE, "real", "", T0 + 1, 0);
    cr_assert_null(tm_shard_account(shard, TM_SLICE_LITERAL("real")));
    event("real", "2", T0 + 1);
    cr_assert_not_null(tm_shard_account(shard, TM_SLICE_LITERAL("real")));
    cr_assert_not_null(tm_shard_account(shard, TM_SLICE_LITERAL("other")));
    cr_assert_eq(tm_shard_advance(shard, T0 + TM_HOUR), TM_OK);
    cr_assert_eq(tm_shard_account_count(shard), 4);
}

/* The one that the table finds goes: the next of its hash takes its place, wherever it stands. */
Test(shard_unit, the_first_of_a_hash_goes)
{
    tm_shard_start(shard, T0);
    event("real", "1", T0);
    uint64_t hash = tm_hash(TM_SLICE_LITERAL("real"));
    cr_assert_eq(tm_shard_restore_account(shard, forged("x", hash)), TM_OK);
    event("other", "1", T0);
    cr_assert_eq(tm_shard_restore_account(shard, forged("y", hash)), TM_OK);
    apply(TM_RECORD_ERASE, "real", "", T0 + 1, 0);
    cr_assert_null(tm_shard_account(shard, TM_SLICE_LITERAL("real")));
    cr_assert_not_null(tm_shard_account(shard, TM_SLICE_LITERAL("other")));
    event("real", "2", T0 + 1);
    cr_assert_not_null(tm_shard_account(shard, TM_SLICE_LITERAL("real")));
    apply(TM_RECORD_ERASE, "other", "", T0 + 2, 0);
    cr_assert_not_null(tm_shard_account(shard, TM_SLICE_LITERAL("real")));
    cr_assert_eq(tm_shard_account_count(shard), 3);
}

/* --- muted, imposed, without memory --- */

Test(shard_unit, an_imposed_episode_is_the_journal_s)
{
    tm_shard_start(shard, T0);
    tm_shard_mute(shard, true);
    event("a", "1", T0);
    cr_assert_eq(tm_shard_impose(shard, TM_SLICE_LITERAL("a"), TM_SLICE_LITERAL("spend"), TM_KIND_EXPANSION,
                                 TM_SEVERITY_HIGH, TM_SIGNAL_RAISED, T0 - M, T0 - M, 1),
                 TM_OK);
    cr_assert_eq(tm_shard_impose(shard, TM_SLICE_LITERAL("b"), TM_SLICE_LITERAL("quiet"), TM_KIND_CHURN_RISK,
                                 TM_SEVERITY_WARN, TM_SIGNAL_CLEARED, T0 - 2 * M, T0 - M, 4),
                 TM_OK);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_EXPANSION), 1);
    cr_assert_eq(tm_shard_advance(shard, T0 + 2 * TM_HOUR), TM_OK);
    cr_assert_eq(out.count, 0, "muted");
    cr_assert_eq(tm_shard_mute(shard, false), TM_OK);
    cr_assert_eq(tm_shard_next_due(shard), T0 + 2 * TM_HOUR + M, "not at instants that are past");
    cr_assert_eq(tm_shard_advance(shard, T0 + 8 * TM_HOUR), TM_OK);
    char cleared[80];
    snprintf(cleared, sizeof cleared, "a/spend/%" PRId64 " 2 cleared", T0 - M);
    bool found = false;
    for (uint32_t i = 0; i < out.count; i++)
        found |= strstr(out.lines[i], cleared) != NULL;
    cr_assert(found, "the episode goes on under its key");
}

Test(shard_unit, without_memory)
{
    tm_shard_settings settings = feed_settings();
    settings.memory_limit = 1000;
    cr_assert_null(tm_shard_new(&settings, pack, FEED_START, NULL, 0));
    settings.memory_limit = 600000;
    tm_shard_free(shard);
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    cr_assert_not_null(shard);
    tm_status status = TM_OK;
    tm_outcome outcome;
    for (int i = 0; i < 100000 && status == TM_OK; i++) {
        char key[16];
        snprintf(key, sizeof key, "a%d", i);
        tm_event one = {
            .id = tm_slice_of(key), .account = tm_slice_of(key), .name = TM_SLICE_LITERAL("buy"), .at = T0, .value = 1};
        tm_record record = {.timestamp = T0, .kind = TM_RECORD_EVENT, .event = &one};
        status = tm_shard_apply(shard, &record, &outcome);
    }
    cr_assert_eq(status, TM_FATAL);
    cr_assert(tm_shard_memory(shard) > 0);
}

Test(shard_unit, asking_ahead_changes_nothing)
{
    const uint64_t hashes[] = {0, 1, UINT64_MAX, tm_hash(TM_SLICE_LITERAL("a")), tm_hash(TM_SLICE_LITERAL("b"))};
    tm_shard_start(shard, T0);
    for (int round = 0; round < 2; round++) {
        feed_out before = {0}, after = {0};
        tm_shard_counts counts = *tm_shard_counted(shard);
        size_t memory = tm_shard_memory(shard);
        tm_time due = tm_shard_next_due(shard);
        uint32_t changed = tm_shard_changed_count(shard);
        feed_shard_lines(shard, pack, T0, &before);
        for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
            for (int near = 0; near < 2; near++)
                tm_shard_prefetch(shard, hashes[i], near);
        feed_shard_lines(shard, pack, T0, &after);
        feed_out_same(&before, &after, "accounts");
        cr_assert_eq(before.count, (uint32_t)round);
        cr_assert_eq(memcmp(&counts, tm_shard_counted(shard), sizeof counts), 0);
        cr_assert_eq(tm_shard_memory(shard), memory);
        cr_assert_eq(tm_shard_next_due(shard), due);
        cr_assert_eq(tm_shard_changed_count(shard), changed);
        cr_assert_null(tm_shard_account(shard, TM_SLICE_LITERAL("b")));
        feed_out_done(&before);
        feed_out_done(&after);
        event("a", round ? "2" : "1", T0);
    }
}

Test(shard_unit, a_first_record_without_a_timestamp_begins_at_zero)
{
    cr_assert_eq(apply(TM_RECORD_UNUSABLE, "a", "1", TM_TIME_NONE, 0), TM_OUTCOME_UNUSABLE);
    cr_assert_eq(tm_shard_time(shard), 0);
}

/* Rules without any metric, and back: what is counted begins when it comes (again). */
Test(shard_unit, rules_without_metrics_come_and_go)
{
    tm_pack *none = feed_pack("version: 2\n");
    cr_assert_eq(tm_shard_adopt(shard, none), TM_OK, "before T has begun");
    cr_assert_eq(tm_shard_counting_count(shard), 0);
    cr_assert_eq(tm_shard_adopt(shard, pack), TM_OK);
    cr_assert_eq(tm_shard_counting(shard, 0).start, FEED_START, "nothing was missed: T had not begun");
    event("a", "1", T0);
    cr_assert_eq(tm_shard_adopt(shard, none), TM_OK);
    cr_assert_eq(tm_shard_adopt(shard, pack), TM_OK);
    cr_assert_eq(tm_shard_counting(shard, 0).start, T0);
    tm_shard_count_from(shard, FEED_START);
    cr_assert_eq(tm_shard_counting(shard, 0).start, T0, "what begins later anyway stays so");
    cr_assert_eq(tm_shard_mute(shard, false), TM_OK, "it was not");
    tm_pack_free(none);
}

Test(shard_unit, another_grid_and_skew_act_from_now_on)
{
    tm_shard_start(shard, T0);
    cr_assert_eq(event("a", "1", T0 + 1), TM_OUTCOME_APPLIED);
    cr_assert_eq(tm_shard_advance(shard, T0 + M), TM_OK);
    uint32_t before = out.count;
    cr_assert_gt(before, 0);
    tm_shard_settled(shard);
    tm_shard_settings settings = feed_settings();
    settings.evaluate_every = 10 * M;
    settings.max_skew = M;
    settings.dedup_window = 2 * M;
    cr_assert_eq(tm_shard_reconfigure(shard, &settings), TM_OK);
    tm_shard_begin(shard, TM_TIME_NEVER);
    cr_assert_eq(event("b", "1", T0 + M + 1), TM_OUTCOME_APPLIED);
    cr_assert_eq(apply(TM_RECORD_EVENT, "b", "2", T0 + M + 2, T0 + M + 2 + M), TM_OUTCOME_APPLIED);
    cr_assert_eq(apply(TM_RECORD_EVENT, "b", "3", T0 + M + 2, T0 + M + 3 + M), TM_OUTCOME_FUTURE, "the new skew");
    cr_assert_eq(apply(TM_RECORD_EVENT, "a", "1", T0 + M + 2, T0 + M), TM_OUTCOME_DUPLICATE);
    cr_assert_eq(apply(TM_RECORD_EVENT, "a", "1", T0 + 4 * M, T0 + M), TM_OUTCOME_APPLIED, "the new window");
    cr_assert_eq(tm_shard_advance(shard, T0 + 10 * M - 1), TM_OK);
    cr_assert_eq(out.count, before, "no instant of the new grid has come");
    cr_assert_eq(tm_shard_advance(shard, T0 + 10 * M), TM_OK);
    cr_assert_gt(out.count, before);
    char when[40];
    snprintf(when, sizeof when, " at %" PRId64 " ", (int64_t)(T0 + 10 * M));
    for (uint32_t i = before; i < out.count; i++)
        cr_assert_not_null(strstr(out.lines[i], when), "%s", out.lines[i]);
}
