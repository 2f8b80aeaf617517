/* Any bytes as what a Redis server answers, over sockets in memory, for every call of the store port: no crash, no
   leak, one of the statuses that the port allows, and every connection closed. The first byte chooses the call. A store
   is opened for each input, so that an answer can also come where a connection is made. */
#include <stdint.h>
#include <stdlib.h>

#include "sockets.h"
#include "tidemark/adapters/redis/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 1 << 16 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static tm_status look(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    uint64_t *sum = context;
    *sum += (uint64_t)commit + key.length + bytes.length;
    for (size_t i = 0; i < bytes.length; i++)
        *sum += (unsigned char)bytes.data[i];
    return TM_OK;
}

static tm_status call(const tm_store *store, uint8_t which)
{
    static const tm_slice blob = TM_SLICE_LITERAL("blob");
    static const tm_store_write writes[] = {{TM_SLICE_LITERAL("acme"), TM_SLICE_LITERAL("state")},
                                            {TM_SLICE_LITERAL("gone"), {NULL, 0}}};
    tm_store_state state;
    tm_slice found;
    tm_error error;
    uint64_t sum = 0;
    int64_t value;
    tm_store_commit commit = {.partition = 1,
                              .epoch = 2,
                              .expected = {{10, 20}, 7},
                              .position = {{11, 20}, 8},
                              .meta = TM_SLICE_LITERAL("meta"),
                              .writes = writes,
                              .write_count = 2,
                              .fingerprints = TM_SLICE_LITERAL("fp"),
                              .fingerprints_from = 3,
                              .outbox = &blob,
                              .outbox_count = 1,
                              .outbox_published = 6};
    switch (which % 10) {
    case 0:
        return store->claim(store->context, 1, 5, 1, &state, &error);
    case 1:
        return store->read(store->context, 1, &state, &error);
    case 2: {
        tm_status status = store->commit(store->context, &commit, &error);
        return status == TM_RETRY ? store->read(store->context, 1, &state, &error) : status;
    }
    case 3:
        return store->scan_accounts(store->context, 1, look, &sum, &error);
    case 4:
        return store->scan_fingerprints(store->context, 1, look, &sum, &error);
    case 5:
        return store->scan_outbox(store->context, 1, 3, look, &sum, &error);
    case 6:
        return store->get_account(store->context, 1, TM_SLICE_LITERAL("acme"), &found, &error);
    case 7:
        return store->remove(store->context, 1, &error);
    case 8:
        return store->settle_group(store->context, "counting_start", 5, &value, &error);
    default:
        return store->check(store->context, &error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > ANSWER_MAX)
        return 0;
    memory_sockets_say(data + 1, size - 1);
    tm_redis_store_options options = {.redis = {.url = "unix:///memory"}, .group = "g", .buckets = 4};
    tm_store store;
    tm_error error;
    check(tm_redis_store_open(&options, &store, &error) == TM_OK);
    tm_status status = call(&store, data[0]);
    check(status == TM_OK || status == TM_RETRY || status == TM_REJECT || status == TM_FATAL);
    store.close(store.context);
    check(memory_sockets_count() == 0);
    return 0;
}
