/* Memory that ends at any moment: whatever a shard was doing, it says TM_FATAL, and all it holds can be given back. */
#include "support/feed.h"

static const char later_rules[] = "version: 2\n"
                                  "metrics:\n"
                                  "  events: {count: '*', keep: 90d}\n"
                                  "  amount: {sum: value, event: buy}\n"
                                  "rules:\n"
                                  "  - {name: spend, kind: expansion, when: 'amount[40h] >= 20'}\n"
                                  "  - {name: any, kind: advisory, when: 'events[70h] >= 1'}\n";

static tm_status refuse_nothing(void *context, const tm_signal *signal)
{
    (void)signal;
    ++*(uint32_t *)context;
    return TM_OK;
}

static tm_status some_events(tm_shard *shard)
{
    static char keys[40][8];
    for (int i = 0; i < 240; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%d", i);
        snprintf(keys[i % 40], sizeof keys[0], "a%d", i % 40);
        tm_event event = {.id = tm_slice_of(id),
                          .account = tm_slice_of(keys[i % 40]),
                          .name = TM_SLICE_LITERAL("buy"),
                          .user_key = (uint64_t)i * 7919 + 1,
                          .at = FEED_START + i * TM_MINUTE,
                          .value = 9000000};
        tm_record record = {.timestamp = event.at, .offset = i, .kind = TM_RECORD_EVENT, .event = &event};
        tm_outcome outcome;
        tm_status status = tm_shard_apply(shard, &record, &outcome);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

/* Everything a shard does that takes memory, one after the other, to the first that has none left. */
static tm_status live(tm_shard *shard, const tm_pack *later)
{
    tm_record erase = {.input = TM_INPUT_ACCOUNTS,
                       .timestamp = FEED_START + 12 * TM_HOUR,
                       .kind = TM_RECORD_ERASE,
                       .account = TM_SLICE_LITERAL("a3")};
    tm_outcome outcome;
    tm_status status = some_events(shard);
    if (status == TM_OK)
        status = tm_shard_advance(shard, FEED_START + 12 * TM_HOUR);
    if (status == TM_OK)
        status = tm_shard_apply(shard, &erase, &outcome);
    if (status == TM_OK)
        status = tm_shard_mute(shard, true);
    for (int i = 0; i < 200 && status == TM_OK; i++) {
        char key[8];
        snprintf(key, sizeof key, "b%d", i);
        status = tm_shard_impose(shard, tm_slice_of(key), TM_SLICE_LITERAL("spend"), TM_KIND_EXPANSION,
                                 TM_SEVERITY_HIGH, TM_SIGNAL_RAISED, FEED_START, FEED_START, 1);
    }
    if (status == TM_OK)
        status = tm_shard_mute(shard, false);
    if (status == TM_OK)
        status = tm_shard_touch_all(shard);
    if (status == TM_OK)
        tm_shard_settled(shard);
    if (status == TM_OK)
        status = tm_shard_adopt(shard, later);
    if (status == TM_OK)
        status = tm_shard_advance(shard, FEED_START + 3 * TM_DAY);
    return status;
}

Test(shardmemory, may_end_at_any_moment)
{
    tm_pack *pack = feed_pack(feed_rules), *later = feed_pack(later_rules);
    tm_shard_settings settings = feed_settings();
    uint32_t signals = 0, unborn = 0, cut = 0;
    tm_status status = TM_FATAL;
    for (size_t limit = 1024; status != TM_OK; limit += limit / 200 + 16) {
        cr_assert(limit < (size_t)64 << 20, "more than 64 MiB for 240 accounts");
        settings.memory_limit = limit;
        tm_shard *shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
        if (!shard) {
            unborn++;
            continue;
        }
        tm_shard_set_sink(shard, refuse_nothing, &signals);
        tm_shard_begin(shard, TM_TIME_NEVER);
        tm_shard_start(shard, FEED_START);
        status = live(shard, later);
        cr_assert(status == TM_OK || status == TM_FATAL, "status %d with %zu bytes", (int)status, limit);
        cut += status != TM_OK;
        tm_shard_free(shard);
    }
    cr_assert(unborn > 5 && cut > 50 && signals > 0, "%u without a shard, %u cut short", unborn, cut);
    tm_pack_free(pack);
    tm_pack_free(later);
}

/* --- the same in the smallest steps, over a life small enough for that --- */

typedef struct donor {
    tm_buffer blob; /* an account, as it is kept */
    tm_slice key;
    tm_account_record *facts;
} donor;

static tm_status event_of(tm_shard *shard, const char *account, const char *id, int64_t minute)
{
    tm_event event = {.id = tm_slice_of(id),
                      .account = tm_slice_of(account),
                      .name = TM_SLICE_LITERAL("buy"),
                      .user_key = (uint64_t)minute + 1,
                      .at = FEED_START + minute * TM_MINUTE,
                      .value = 30000000};
    tm_record record = {.timestamp = event.at, .offset = minute, .kind = TM_RECORD_EVENT, .event = &event};
    tm_outcome outcome;
    return tm_shard_apply(shard, &record, &outcome);
}

static tm_status facts_of(tm_shard *shard, const donor *from, const char *account, int64_t minute)
{
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .timestamp = FEED_START + minute * TM_MINUTE,
                        .kind = TM_RECORD_FACTS,
                        .facts = &from->facts->facts,
                        .account = tm_slice_of(account)};
    tm_outcome outcome;
    return tm_shard_apply(shard, &record, &outcome);
}

static tm_status erasure_of(tm_shard *shard, const char *account, int64_t minute)
{
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .timestamp = FEED_START + minute * TM_MINUTE,
                        .kind = TM_RECORD_ERASE,
                        .account = tm_slice_of(account)};
    tm_outcome outcome;
    return tm_shard_apply(shard, &record, &outcome);
}

static tm_status take_over(tm_shard *shard, const tm_pack *pack, const donor *from)
{
    tm_account *account;
    tm_error error;
    tm_fingerprint fingerprint = tm_fingerprint_of(from->key, (tm_slice){0}, TM_SLICE_LITERAL("kept"));
    tm_status status =
        tm_state_decode(tm_shard_heap(shard), pack, from->key, tm_buffer_slice(&from->blob), &account, &error);
    if (status == TM_OK)
        status = tm_shard_restore_account(shard, account);
    return status == TM_OK ? tm_shard_restore_fingerprint(shard, fingerprint, FEED_START) : status;
}

typedef struct refuser {
    uint32_t seen, refused;
} refuser;

static tm_status refuse_one(void *context, const tm_signal *signal)
{
    (void)signal;
    refuser *r = context;
    return ++r->seen == r->refused ? TM_FATAL : TM_OK;
}

/* What is said of memory does not depend on who asks for it: each step of the list may be the one. */
static tm_status small_life(tm_shard *shard, const tm_pack *pack, const tm_pack *later, const donor *from)
{
    tm_status status = take_over(shard, pack, from);
    if (status == TM_OK)
        status = facts_of(shard, from, "plain", 1);
    for (int64_t minute = 2; minute < 8 && status == TM_OK; minute++) {
        char id[8];
        snprintf(id, sizeof id, "%d", (int)minute);
        status = event_of(shard, minute % 2 ? "a" : "b", id, minute);
    }
    if (status == TM_OK)
        status = facts_of(shard, from, "a", 10);
    if (status == TM_OK)
        status = tm_shard_advance(shard, FEED_START + 5 * TM_HOUR);
    if (status == TM_OK)
        status = erasure_of(shard, "a", 301);
    if (status == TM_OK)
        status = erasure_of(shard, "plain", 302);
    if (status == TM_OK)
        status = tm_shard_touch_all(shard);
    if (status == TM_OK) {
        tm_shard_settled(shard);
        status = tm_shard_touch_all(shard);
    }
    if (status == TM_OK) {
        tm_shard_settled(shard);
        status = tm_shard_adopt(shard, later);
    }
    if (status == TM_OK)
        status = tm_shard_advance(shard, FEED_START + 2 * TM_DAY);
    if (status == TM_OK)
        status = tm_shard_mute(shard, true);
    if (status == TM_OK)
        status = tm_shard_impose(shard, TM_SLICE_LITERAL("c"), TM_SLICE_LITERAL("spend"), TM_KIND_EXPANSION,
                                 TM_SEVERITY_HIGH, TM_SIGNAL_RAISED, FEED_START, FEED_START, 1);
    return status == TM_OK ? tm_shard_mute(shard, false) : status;
}

Test(shardmemory, may_end_at_any_of_a_small_lifes_steps)
{
    tm_pack *pack = feed_pack(feed_rules), *later = feed_pack(later_rules);
    tm_shard_settings settings = feed_settings();
    settings.dedup_entries = 4;
    feed_reading reading;
    feed_reading_init(&reading);
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    donor from = {.key = TM_SLICE_LITERAL("kept"), .facts = reading.reading.record};
    cr_assert_eq(tm_account_record_read(reading.reading.accounts,
                                        TM_SLICE_LITERAL("{\"account\":\"x\",\"seats\":5,\"plan\":\"a plan with a name "
                                                         "that is long\",\"attributes\":{\"region\":\"north\"}}"),
                                        TM_SLICE_LITERAL("x"), false, from.facts, &reason, detail),
                 TM_OK, "%s", detail);
    uint32_t signals = 0, refused = 0;
    tm_shard *shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    tm_shard_set_sink(shard, refuse_nothing, &signals);
    tm_shard_begin(shard, TM_TIME_NEVER);
    for (int64_t minute = 0; minute < 5; minute++)
        cr_assert_eq(event_of(shard, "kept", "id", minute), TM_OK);
    cr_assert_eq(tm_shard_advance(shard, FEED_START + TM_HOUR), TM_OK);
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), FEED_START + TM_HOUR, &span);
    tm_buffer_init(&from.blob, 1 << 20);
    tm_state_encode(tm_shard_account(shard, from.key), pack, &now, &from.blob);
    tm_shard_free(shard);
    signals = 0;
    uint32_t whole = 0, accounts = 0;
    for (size_t limit = 1024; whole == 0; limit += 16) {
        cr_assert(limit < (size_t)4 << 20);
        settings.memory_limit = limit;
        shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
        if (!shard)
            continue;
        tm_shard_set_sink(shard, refuse_nothing, &signals);
        tm_shard_begin(shard, TM_TIME_NEVER);
        tm_shard_start(shard, FEED_START);
        signals = 0;
        tm_status status = small_life(shard, pack, later, &from);
        cr_assert(status == TM_OK || status == TM_FATAL, "status %d with %zu bytes", (int)status, limit);
        cr_assert_null(tm_heap_tripped(tm_shard_heap(shard)), "with %zu bytes", limit);
        refused += status != TM_OK;
        whole = status == TM_OK ? signals : 0;
        accounts = tm_shard_account_count(shard);
        tm_shard_free(shard);
    }
    cr_assert_gt(refused, 100, "%u", refused);
    cr_assert_eq(accounts, 3, "kept, b and c");
    /* Memory that was enough changes nothing. */
    settings.memory_limit = 0;
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    tm_shard_set_sink(shard, refuse_nothing, &signals);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_shard_start(shard, FEED_START);
    signals = 0;
    cr_assert_eq(small_life(shard, pack, later, &from), TM_OK);
    cr_assert_eq(signals, whole);
    tm_shard_free(shard);
    /* Whoever takes the signals may have none left either: his word ends the call. */
    for (uint32_t n = 1; n <= whole; n++) {
        refuser r = {.refused = n};
        shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
        tm_shard_set_sink(shard, refuse_one, &r);
        tm_shard_begin(shard, TM_TIME_NEVER);
        tm_shard_start(shard, FEED_START);
        cr_assert_eq(small_life(shard, pack, later, &from), TM_FATAL, "signal %u", n);
        cr_assert_eq(r.seen, n, "and no more are given");
        tm_shard_free(shard);
    }
    tm_buffer_done(&from.blob);
    feed_reading_done(&reading);
    tm_pack_free(pack);
    tm_pack_free(later);
}
