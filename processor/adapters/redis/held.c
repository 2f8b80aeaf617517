/* In a cluster: that a shard's keys are all where its slot is.

   A slot whose move is broken off by hand (SETSLOT STABLE, before its keys were brought back) has an owner that answers
   without a redirection, and does not have the keys: here alone would "nothing there" be a lie. So
   - whatever is found missing at a claim, or by a whole scan, is believed only when no other primary has a key of the
     slot (tm_redis_cluster_alone);
   - a commit writes to keys that this worker knows to be there only while they are: otherwise it would make a second
   one beside the one elsewhere. What it knows is a bit a key, set by its own commits and scans. Part of the room
   `store`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"

static uint32_t bits_of(uint32_t buckets)
{
    return buckets + TM_REDIS_STREAMS;
}

void tm_redis_held_forget(tm_redis_shard *shard)
{
    free(shard->held);
    shard->held = NULL;
}

void tm_redis_held_note(const tm_redis_store *store, tm_redis_shard *shard, uint32_t key, bool there)
{
    if (store->cluster == NULL || shard == NULL || shard->buckets == 0 || key >= bits_of(shard->buckets)) {
        return;
    }
    if (shard->held == NULL) { /* without memory nothing is known, and so nothing is missed */
        shard->held = there ? calloc(1, (size_t)(bits_of(shard->buckets) + 7) / 8) : NULL;
    }
    if (shard->held != NULL) {
        uint8_t bit = (uint8_t)(1u << (key & 7));
        shard->held[key / 8] = (uint8_t)(there ? shard->held[key / 8] | bit : shard->held[key / 8] & (uint8_t)~bit);
    }
}

bool tm_redis_held(const tm_redis_shard *shard, uint32_t key)
{
    return shard != NULL && shard->held != NULL && key < bits_of(shard->buckets) &&
           (shard->held[key / 8] & (1u << (key & 7))) != 0;
}

void tm_redis_argument_held(tm_redis_store *store, int32_t partition, uint32_t buckets, uint32_t key)
{
    if (key < buckets) {
        tm_redis_argument_bucket(store, partition, key);
    } else {
        tm_redis_argument_key(store, partition, key == buckets + TM_REDIS_OUT ? "out" : "dup");
    }
}
