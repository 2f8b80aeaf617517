/* The port's table: each call goes to the server that holds the shard, and once more where that has just changed. Part
   of the room `store`. */
#include <stdlib.h>
#include <string.h>

#include "shape.h"

enum { REDIRECTS_MAX = 5 }; /* of one call: two nodes that each call the other the owner have to end somewhere */

/* After a call: whether it is to be made again, at the server that the last one named. Nothing was done then. */
static bool again(tm_redis_store *store, tm_status status, int *redirects)
{
    if (status != TM_RETRY) {
        return false;
    }
    if (store->moved && ++*redirects < REDIRECTS_MAX) {
        return true;
    }
    tm_redis_cluster_doubt(store);
    return false;
}

/* Runs `call` where `partition` is, until it is not moved any more. */
#define ROUTED(partition, call)                                                                                        \
    do {                                                                                                               \
        tm_redis_store *routed_ = context;                                                                             \
        int redirects_ = 0;                                                                                            \
        tm_status status_;                                                                                             \
        do {                                                                                                           \
            status_ = tm_redis_patient(tm_redis_route(routed_, (partition), error));                                   \
            if (status_ == TM_OK) {                                                                                    \
                status_ = (call);                                                                                      \
            }                                                                                                          \
        } while (again(routed_, status_, &redirects_));                                                                \
        return status_;                                                                                                \
    } while (0)

static tm_status port_claim(void *context, int32_t partition, int64_t generation, int64_t raise,
                            tm_store_state *ret_state, tm_error *error)
{
    ROUTED(partition, tm_redis_claim(context, partition, generation, raise, ret_state, error));
}

static tm_status port_read(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error)
{
    ROUTED(partition, tm_redis_read(context, partition, ret_state, error));
}

static tm_status port_commit(void *context, const tm_store_commit *commit, tm_error *error)
{
    ROUTED(commit->partition, tm_redis_commit(context, commit, error));
}

/* A scan that has handed something over is not made again here: its visitor would see it twice. */
typedef struct scan {
    tm_store_visit visit;
    void *context;
    tm_redis_store *store;
} scan;

static tm_status count_visit(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    scan *wanted = context;
    wanted->store->visited = true;
    return wanted->visit(wanted->context, commit, key, bytes);
}

static tm_status begun(tm_redis_store *store, tm_status status)
{
    store->moved = store->moved && !store->visited;
    store->visited = false;
    return status;
}

static tm_status port_scan_accounts(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                    tm_error *error)
{
    scan wanted = {visit, visit_context, context};
    ROUTED(partition, begun(context, tm_redis_scan_accounts(context, partition, count_visit, &wanted, error)));
}

static tm_status port_scan_fingerprints(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                        tm_error *error)
{
    scan wanted = {visit, visit_context, context};
    ROUTED(partition, begun(context, tm_redis_scan_fingerprints(context, partition, count_visit, &wanted, error)));
}

static tm_status port_scan_outbox(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                                  void *visit_context, tm_error *error)
{
    scan wanted = {visit, visit_context, context};
    ROUTED(partition, begun(context, tm_redis_scan_outbox(context, partition, published, count_visit, &wanted, error)));
}

static tm_status port_get_account(void *context, int32_t partition, tm_slice account, tm_slice *ret_blob,
                                  tm_error *error)
{
    ROUTED(partition, tm_redis_get_account(context, partition, account, ret_blob, error));
}

static tm_status port_remove(void *context, int32_t partition, tm_error *error)
{
    ROUTED(partition, tm_redis_remove(context, partition, error));
}

static tm_status port_settle_group(void *context, const char *name, int64_t proposal, int64_t *ret_value,
                                   tm_error *error)
{
    ROUTED(TM_REDIS_GROUP, tm_redis_settle_group(context, name, proposal, ret_value, error));
}

static void port_close(void *context)
{
    tm_redis_store *store = context;
    if (store == NULL) {
        return;
    }
    tm_redis_reply_free(store->kept);
    tm_redis_cluster_free(store->cluster);
    tm_redis_connection_free(store->home);
    tm_buffer_done(&store->warnings);
    for (uint32_t i = 0; i < store->shard_count; i++) {
        tm_redis_held_forget(&store->shards[i]);
    }
    free(store->shards);
    free(store->order);
    free(store->starts);
    free(store->prefix);
    free(store->group);
    free(store);
}

/* True when `text` can stand in a key: not empty, not too long, nothing that would end or move the hash tag. */
static bool key_part_valid(const char *text, size_t maximum)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= maximum && strpbrk(text, "{}") == NULL;
}

tm_status tm_redis_store_open(const tm_redis_store_options *options, tm_store *ret_store, tm_error *error)
{
    enum { PREFIX_MAX = 64, GROUP_MAX = 255 };
    const char *prefix = options->prefix != NULL ? options->prefix : "tm";
    uint32_t buckets = options->buckets != 0 ? options->buckets : TM_REDIS_BUCKETS_DEFAULT;
    tm_status status = TM_OK;
    *ret_store = (tm_store){0};
    if (!key_part_valid(prefix, PREFIX_MAX)) {
        return tm_fail(error, TM_REJECT, "the prefix of Redis keys has to be 1 to %d bytes without braces", PREFIX_MAX);
    }
    if (!key_part_valid(options->group, GROUP_MAX)) {
        return tm_fail(error, TM_REJECT, "the group has to be 1 to %d bytes without braces, as Redis keys need it",
                       GROUP_MAX);
    }
    if (!tm_redis_buckets_valid(buckets)) {
        return tm_fail(error, TM_REJECT, "the number of buckets has to be a power of two up to %d, not %u",
                       TM_REDIS_BUCKETS_MAX, (unsigned)buckets);
    }
    tm_redis_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    tm_buffer_init(&store->warnings, 4096);
    store->buckets = buckets;
    store->prefix = strdup(prefix);
    store->group = strdup(options->group);
    status = tm_redis_connection_new(&options->redis, &store->home, error);
    store->connection = store->home;
    if (status == TM_OK && (store->prefix == NULL || store->group == NULL)) {
        status = tm_fail(error, TM_FATAL, "out of memory");
    }
    if (status == TM_OK && tm_redis_connection_address(store->home)->kind == TM_REDIS_CLUSTER) {
        status = tm_redis_cluster_new(store, error);
    }
    if (status != TM_OK) {
        port_close(store);
        return status;
    }
    *ret_store = (tm_store){.context = store,
                            .claim = port_claim,
                            .read = port_read,
                            .commit = port_commit,
                            .scan_accounts = port_scan_accounts,
                            .scan_fingerprints = port_scan_fingerprints,
                            .scan_outbox = port_scan_outbox,
                            .get_account = port_get_account,
                            .remove = port_remove,
                            .settle_group = port_settle_group,
                            .check = tm_redis_check,
                            .close = port_close};
    return TM_OK;
}

const char *tm_redis_store_warnings(const tm_store *store)
{
    return tm_buffer_text(&((tm_redis_store *)store->context)->warnings);
}
