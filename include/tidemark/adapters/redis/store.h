/* The store port on Redis: all keys of a shard under one hash tag, written in one transaction a commit. Redis is a
   single server, whichever server its sentinels call the master, or a cluster, in which each shard has one slot and so
   one node.

     PREFIX:{GROUP/P}:meta       hash   position "usage:accounts:n", epoch, generation, buckets, meta (opaque bytes);
                                         settled: how often an unanswered commit had to be settled
     PREFIX:{GROUP/P}:a:BUCKET   hash   account -> state blob; BUCKET = tm_hash(account) mod buckets
     PREFIX:{GROUP/P}:out        stream outputs, entry id n-index
     PREFIX:{GROUP/P}:dup        stream fingerprints, entry id n-1
     PREFIX:{GROUP}:NAME         string a value of the whole group, written once

   A commit is WATCH meta, HMGET meta position epoch buckets, MULTI and the writes in one pipeline; only when the answer
   has been read, agrees, and every write was queued, EXEC is sent. A foreign change of meta in between makes EXEC
   answer nil. So nothing can be written unchecked, whatever else goes wrong before EXEC, and an answer that is lost
   before EXEC was sent is certainly no commit. After a commit whose EXEC was not answered, read() first touches meta:
   an EXEC that comes late, out of the buffers of a server that was held up, then fails, and what was read stays true.
 */
#ifndef TIDEMARK_ADAPTERS_REDIS_STORE_H
#define TIDEMARK_ADAPTERS_REDIS_STORE_H

#include "tidemark/adapters/redis/connection.h"
#include "tidemark/ports/store.h"

enum {
    TM_REDIS_BUCKETS_DEFAULT = 256,
    TM_REDIS_BUCKETS_MAX = 65536,
    TM_REDIS_FIELDS_MAX = 500, /* fields of one HSET: larger ones stall the server without being faster */
};

typedef struct tm_redis_store_options {
    tm_redis_options redis;
    const char *prefix; /* NULL: "tm" */
    const char *group;  /* the consumer group; not empty, without '{' or '}' */
    uint32_t buckets;   /* a power of two, at most TM_REDIS_BUCKETS_MAX; 0: TM_REDIS_BUCKETS_DEFAULT. Fixed for a shard
                           when it is first claimed */
} tm_redis_store_options;

/* Checks the options; connects at the first call. TM_OK: *ret_store is closed with its close(). TM_REJECT: the options
   are wrong. TM_FATAL without memory. */
tm_status tm_redis_store_open(const tm_redis_store_options *options, tm_store *ret_store, tm_error *error);

/* The slot that a key has in a cluster: of its hash tag, where it has one. */
uint32_t tm_redis_slot(tm_slice key);

/* The permissions of ACL SETUSER that the store needs, one by one ("+watch"); NULL beyond the last. */
const char *tm_redis_permission_at(uint32_t index);
/* The rules of ACL SETUSER that allow these and nothing else, on keys under `prefix` (NULL: "tm"), appended to `out`.
 */
void tm_redis_permissions(const char *prefix, tm_buffer *out);

/* What check() could not verify or advises, one sentence a line, "" when nothing; lives until the next check(). */
const char *tm_redis_store_warnings(const tm_store *store);

#endif
