#include "tidemark/commands/live.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/redis/store.h"
#include "tidemark/codec/state.h"

struct tm_live {
    const tm_setup *setup;
    tm_store store;
    tm_shard_meta meta; /* of the account's shard, or of the group's first */
    uint32_t partitions;
    tm_shard *shard;
};

int32_t tm_live_partition(tm_slice key, uint32_t partitions)
{
    /* MurmurHash2, 32 bits, with the seed of Kafka's Utils.murmur2. */
    const uint32_t m = 0x5bd1e995u;
    const unsigned char *at = (const unsigned char *)key.data;
    size_t left = key.length;
    uint32_t h = 0x9747b28cu ^ (uint32_t)left;
    for (; left >= 4; at += 4, left -= 4) {
        uint32_t k = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (left) {
        for (size_t i = left; i-- > 0;)
            h ^= (uint32_t)at[i] << (8 * i);
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return (int32_t)((h & 0x7fffffffu) % partitions);
}

/* The meta record of a shard; *ret_present false when nothing is kept of it. */
static tm_status read_meta(tm_live *live, int32_t partition, bool *ret_present, tm_error *error)
{
    tm_store_state state;
    tm_status status = live->store.read(live->store.context, partition, &state, error);
    if (status != TM_OK)
        return status;
    *ret_present = state.present && state.meta.length > 0;
    return *ret_present ? tm_meta_decode(state.meta, &live->meta, error) : TM_OK;
}

tm_status tm_live_open(const tm_setup *setup, tm_live **ret_live, tm_error *error)
{
    tm_live *live = calloc(1, sizeof *live);
    if (!live)
        return tm_fail(error, TM_FATAL, "out of memory");
    live->setup = setup;
    const tm_configuration *c = setup->configuration;
    tm_redis_store_options options = tm_setup_store(setup);
    tm_status status = tm_redis_store_open(&options, &live->store, error);
    if (status != TM_OK) {
        free(live);
        return status;
    }
    bool present = false;
    status = read_meta(live, 0, &present, error);
    if (status == TM_OK && (!present || live->meta.partitions == 0)) {
        status = tm_fail(error, TM_REJECT, "nothing is kept of group '%s' yet", c->group);
        tm_error_where(error, "Redis");
        tm_error_hint(error, "was `tidemark run` started with this configuration? --events reads files instead");
    }
    if (status != TM_OK) {
        tm_live_close(live);
        return status;
    }
    live->partitions = live->meta.partitions;
    *ret_live = live;
    return TM_OK;
}

void tm_live_close(tm_live *live)
{
    if (!live)
        return;
    tm_shard_free(live->shard);
    live->store.close(live->store.context);
    free(live);
}

/* A metric that is not counted there would look empty, which it is not. */
static tm_status check_metrics(const tm_live *live, tm_error *error)
{
    const tm_pack *pack = live->setup->pack;
    for (uint32_t m = 0; m < pack->metric_count; m++) {
        bool kept = false;
        for (uint32_t i = 0; i < live->meta.counting_count && !kept; i++)
            kept = live->meta.counting[i].identity == pack->metrics[m].identity;
        if (kept)
            continue;
        (void)tm_fail(error, TM_REJECT, "metric '%.*s' is not counted by the running workers",
                      (int)pack->metrics[m].name.length, pack->metrics[m].name.data);
        tm_error_hint(error, "let them take these rules over first, or name the rules they run with --rules");
        return TM_REJECT;
    }
    return TM_OK;
}

/* Finds where the account is kept: where Kafka's partitioner puts it, or, should its producer do otherwise, anywhere.
 */
static tm_status find_account(tm_live *live, tm_slice account, tm_slice *ret_blob, tm_error *error)
{
    int32_t usual = tm_live_partition(account, live->partitions);
    for (uint32_t i = 0; i < live->partitions; i++) {
        int32_t partition = (int32_t)(((uint32_t)usual + i) % live->partitions);
        tm_status status = live->store.get_account(live->store.context, partition, account, ret_blob, error);
        if (status != TM_OK)
            return status;
        if (!ret_blob->data)
            continue;
        bool present;
        /* Reading the meta record would end the life of the blob: it is read again behind it. */
        status = read_meta(live, partition, &present, error);
        if (status != TM_OK)
            return status;
        return live->store.get_account(live->store.context, partition, account, ret_blob, error);
    }
    bool present;
    tm_status status = read_meta(live, usual, &present, error);
    if (status == TM_OK && !present)
        status = read_meta(live, 0, &present, error);
    *ret_blob = (tm_slice){0};
    return status;
}

/* A shard that stands where the one whose meta was read stands, without accounts yet; in live->shard. */
static tm_status new_shard(tm_live *live, size_t memory_limit, tm_error *error)
{
    tm_shard_settings settings = live->setup->shard;
    settings.memory_limit = memory_limit;
    tm_shard_free(live->shard);
    live->shard = tm_shard_new(&settings, live->setup->pack, live->meta.counting_start, live->meta.counting,
                               live->meta.counting_count);
    if (!live->shard)
        return tm_fail(error, TM_FATAL, "out of memory");
    tm_shard_restore_time(live->shard, live->meta.time, live->meta.judged);
    return TM_OK;
}

tm_status tm_live_account(tm_live *live, tm_slice account, tm_shard **ret_shard, tm_error *error)
{
    tm_slice blob;
    tm_status status = find_account(live, account, &blob, error);
    if (status == TM_OK)
        status = check_metrics(live, error);
    if (status != TM_OK)
        return status;
    status = new_shard(live, live->setup->shard.memory_limit, error);
    if (status != TM_OK)
        return status;
    if (blob.data) {
        tm_account *kept;
        status = tm_state_decode(tm_shard_heap(live->shard), live->setup->pack, account, blob, &kept, error);
        if (status == TM_OK)
            status = tm_shard_restore_account(live->shard, kept);
        if (status != TM_OK)
            return status;
    }
    *ret_shard = live->shard;
    return TM_OK;
}

typedef struct restoring {
    tm_live *live;
    tm_error *error;
} restoring;

static tm_status restore(void *context, int64_t commit, tm_slice key, tm_slice blob)
{
    (void)commit;
    const restoring *r = context;
    tm_shard *shard = r->live->shard;
    tm_account *kept;
    tm_status status = tm_state_decode(tm_shard_heap(shard), r->live->setup->pack, key, blob, &kept, r->error);
    return status == TM_OK ? tm_shard_restore_account(shard, kept) : status;
}

tm_status tm_live_each(tm_live *live, tm_live_visit visit, void *context, tm_error *error)
{
    for (uint32_t i = 0; i < live->partitions; i++) {
        bool present;
        tm_status status = read_meta(live, (int32_t)i, &present, error);
        if (status == TM_OK && !present)
            continue;
        if (status == TM_OK)
            status = check_metrics(live, error);
        if (status == TM_OK)
            status = new_shard(live, 0, error); /* all of its accounts, which workers need not have in memory at once */
        if (status == TM_OK)
            status =
                live->store.scan_accounts(live->store.context, (int32_t)i, restore, &(restoring){live, error}, error);
        /* Workers go on while it is read: what was kept last is not later than where the shard stands after that. */
        if (status == TM_OK)
            status = read_meta(live, (int32_t)i, &present, error);
        if (status == TM_OK && present)
            tm_shard_restore_time(live->shard, live->meta.time, live->meta.judged);
        if (status == TM_OK)
            status = visit(context, live->shard);
        if (status != TM_OK)
            return error->what[0] ? status : tm_fail(error, status, "out of memory");
    }
    return TM_OK;
}

bool tm_live_rules_differ(const tm_live *live)
{
    return live->meta.pack_hash != live->setup->pack->hash;
}

tm_time tm_live_counting_start(const tm_live *live)
{
    return live->meta.counting_start;
}
