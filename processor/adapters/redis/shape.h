/* What the parts of the Redis store share: its struct, its keys, its way of reading answers. */
#ifndef TIDEMARK_PROCESSOR_REDIS_SHAPE_H
#define TIDEMARK_PROCESSOR_REDIS_SHAPE_H

#include "tidemark/adapters/redis/store.h"
#include "tidemark/base/crashpoint.h"

enum { TM_REDIS_KEY_MAX = 512 };

typedef struct tm_redis_shard {
    int32_t partition;
    uint32_t buckets; /* 0: not known (any more) */
    bool in_doubt;    /* an EXEC was sent and not answered: it may still be on its way */
    uint8_t *held;    /* in a cluster: a bit for each key that is known to be there; NULL: for none */
} tm_redis_shard;

/* The keys of a shard beside meta, as numbers: its buckets, and behind them these. */
enum { TM_REDIS_OUT, TM_REDIS_DUP, TM_REDIS_STREAMS };

typedef struct tm_redis_cluster tm_redis_cluster;

typedef struct tm_redis_store {
    tm_redis_connection *connection; /* to the server that the call at hand is for */
    tm_redis_connection *home;       /* to the one of the options; the same, but in a cluster */
    tm_redis_cluster *cluster;       /* NULL: a single server, or the master that sentinels know */
    bool moved;                      /* the call at hand was told of another server: nothing was done */
    bool visited;                    /* the scan at hand has handed something over */
    char *prefix, *group;
    uint32_t buckets;       /* of shards claimed for the first time */
    tm_redis_reply *kept;   /* holds what the last answer's slices point into */
    tm_redis_shard *shards; /* whose number of buckets is known */
    uint32_t shard_count, shard_capacity;
    uint32_t *order, *starts; /* a commit's writes by bucket */
    uint32_t order_capacity, starts_capacity;
    tm_buffer warnings;
} tm_redis_store;

typedef tm_status (*tm_redis_node_visit)(tm_redis_store *store, void *context, tm_error *error);

/* One argument of a command: the key PREFIX:{GROUP/PARTITION}:suffix, or :a:bucket. */
void tm_redis_argument_key(tm_redis_store *store, int32_t partition, const char *suffix);
void tm_redis_argument_bucket(tm_redis_store *store, int32_t partition, uint32_t bucket);

/* Text as a whole decimal number. */
bool tm_redis_integer(tm_slice text, int64_t *ret_value);

/* An answer that is an error, told in the port's classes by the table of condition.h; the connection is dropped where
   that says so, and in a cluster another server may be noted. */
tm_status tm_redis_refused(tm_redis_store *store, tm_slice answer, const char *doing, tm_error *error);
/* An answer of a shape that the command never has: TM_RETRY, and the connection is dropped. */
tm_status tm_redis_strange(tm_redis_store *store, const char *doing, tm_error *error);
/* Sends the pipeline and waits for the one answer of its one command; an error answer is told as above. */
tm_status tm_redis_ask(tm_redis_store *store, const char *doing, tm_redis_reply **ret_reply, tm_error *error);
/* Outside claim and check nobody expects TM_REJECT of a connection: what an operator may repair is tried again. */
tm_status tm_redis_patient(tm_status status);

/* The shard's number of buckets as it is stored; 0: nothing is kept of the shard. */
tm_status tm_redis_buckets(tm_redis_store *store, int32_t partition, uint32_t *ret_buckets, tm_error *error);
tm_redis_shard *tm_redis_shard_of(tm_redis_store *store, int32_t partition); /* NULL: never met */
bool tm_redis_shard_known(tm_redis_store *store, int32_t partition, uint32_t *ret_buckets);
tm_status tm_redis_shard_remember(tm_redis_store *store, int32_t partition, uint32_t buckets, tm_error *error);
uint32_t tm_redis_bucket_of(tm_slice account, uint32_t buckets);
bool tm_redis_buckets_valid(int64_t buckets);
/* UNLINK of all keys of a shard but meta. Returns the number of commands. */
uint32_t tm_redis_put_unlink(tm_redis_store *store, int32_t partition, uint32_t buckets);

/* ---- What of a shard is known to be there (nothing, but in a cluster) ---- */

void tm_redis_held_note(const tm_redis_store *store, tm_redis_shard *shard, uint32_t key, bool there);
bool tm_redis_held(const tm_redis_shard *shard, uint32_t key);
void tm_redis_held_forget(tm_redis_shard *shard);
void tm_redis_argument_held(tm_redis_store *store, int32_t partition, uint32_t buckets, uint32_t key);

/* ---- The server that holds a shard ---- */

enum { TM_REDIS_GROUP = -1 }; /* instead of a partition: the values of the whole group */

/* Makes the connection to the server of this shard the store's. TM_OK (a single server: always); TM_RETRY: nobody tells
   where it is, or it is nowhere; TM_REJECT as tm_redis_connect; TM_FATAL. */
tm_status tm_redis_route(tm_redis_store *store, int32_t partition, tm_error *error);
/* Whether nobody else has keys of this shard's slot: only then is what the store's server does not have nowhere. TM_OK
   (a single server: always); TM_RETRY: another has some, or cannot be asked. Keeps the connection's WATCH. */
tm_status tm_redis_cluster_alone(tm_redis_store *store, int32_t partition, tm_error *error);
/* Notes the answer MOVED. A single server that gives it turns out to be a cluster's. */
void tm_redis_cluster_moved(tm_redis_store *store, tm_slice answer);
/* Whatever failed may have been the map: it is asked for again before it is used. */
void tm_redis_cluster_doubt(tm_redis_store *store);
/* Visits every node that has slots, its connection the store's; stops at what is not TM_OK. TM_RETRY as well where
   slots belong to nobody. */
tm_status tm_redis_cluster_each(tm_redis_store *store, tm_redis_node_visit visit, void *context, tm_error *error);
tm_status tm_redis_cluster_new(tm_redis_store *store, tm_error *error); /* the URL's servers are its first nodes */
void tm_redis_cluster_free(tm_redis_cluster *cluster);                  /* NULL is allowed */

/* The port's functions, one file each group, at the server that tm_redis_route chose. */
tm_status tm_redis_claim(void *context, int32_t partition, int64_t generation, int64_t raise, tm_store_state *ret_state,
                         tm_error *error);
tm_status tm_redis_read(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error);
tm_status tm_redis_remove(void *context, int32_t partition, tm_error *error);
tm_status tm_redis_settle_group(void *context, const char *name, int64_t proposal, int64_t *ret_value, tm_error *error);
tm_status tm_redis_commit(void *context, const tm_store_commit *commit, tm_error *error);
tm_status tm_redis_scan_accounts(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                 tm_error *error);
tm_status tm_redis_scan_fingerprints(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                     tm_error *error);
tm_status tm_redis_scan_outbox(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                               void *visit_context, tm_error *error);
tm_status tm_redis_get_account(void *context, int32_t partition, tm_slice account, tm_slice *ret_blob, tm_error *error);
tm_status tm_redis_check(void *context, tm_error *error);

#endif
