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
