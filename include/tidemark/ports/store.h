/* Port: the shards' state, committed atomically. One object a worker. */
#ifndef TIDEMARK_PORTS_STORE_H
#define TIDEMARK_PORTS_STORE_H

#include "tidemark/ports/position.h"

/* What a claim finds. `meta` is the pipeline's own bytes (stream time, counting starts, …), opaque to the store; valid
 * until the next call. */
typedef struct tm_store_state {
    bool present;         /* false: nothing is kept of this shard */
    tm_position position; /* R and n */
    int64_t epoch;
    tm_slice meta;
} tm_store_state;

/* For claim(): see there. */
enum { TM_GENERATION_ANEW = -2 };
#define TM_EPOCH_RAISE_MAX (INT64_C(1) << 32)

typedef struct tm_store_write {
    tm_slice account;
    tm_slice blob; /* absent (data == NULL): remove the account */
} tm_store_write;

typedef struct tm_store_commit {
    int32_t partition;
    int64_t epoch;
    tm_position expected; /* R and n as last written by this worker; commit 0: the shard is not there yet */
    tm_position position; /* the new R and n */
    tm_slice meta;
    const tm_store_write *writes;
    uint32_t write_count;
    tm_slice fingerprints;     /* of this commit, opaque, may be empty; kept under n */
    int64_t fingerprints_from; /* forget those of commits below this n */
    const tm_slice *outbox;    /* outputs of this commit, opaque, in order; kept under n */
    uint32_t outbox_count;
    int64_t outbox_published; /* forget outputs of commits up to and including this n */
} tm_store_commit;

/* Receives accounts, fingerprints and outputs one at a time; a return other than TM_OK ends the scan with it. */
typedef tm_status (*tm_store_visit)(void *context, int64_t commit, tm_slice key, tm_slice bytes);

typedef struct tm_store {
    void *context;
    /* Takes ownership: raises the shard's epoch by `raise` (1 to TM_EPOCH_RAISE_MAX, drawn by chance), unless a newer
       `generation` (of the group; negative: not known, and then not compared) raised it before (TM_REJECT). Returns
       what is kept. TM_OK, TM_RETRY, TM_REJECT, TM_FATAL. Why by chance: a store may be put back to what it was before,
       or come back empty, and its epoch goes back with it. Raised by one each time, two claims with other commits
       behind them would have the same epoch. As it is, R, n and the epoch together name one content: an epoch belongs
       to one claim, and who claimed writes each n once. TM_GENERATION_ANEW: the group was made anew and counts from 1
       again; the former generation is forgotten. */
    tm_status (*claim)(void *context, int32_t partition, int64_t generation, int64_t raise, tm_store_state *ret_state,
                       tm_error *error);
    /* Reads without claiming: settles a commit whose answer was lost; `eval` and `explain`. */
    tm_status (*read)(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error);
    /* All at once or nothing, only if R, n and the epoch are as expected. TM_OK: written. TM_REJECT: refused, the shard
       is another's: nothing was written. TM_RETRY: certainly not written, or unknown: read() tells. TM_FATAL. */
    tm_status (*commit)(void *context, const tm_store_commit *commit, tm_error *error);
    /* Every account of the shard (visit: commit 0, key, blob), in no order; fingerprints in order of commit (key
     * absent); outputs beyond `published` in order of commit and position. */
    tm_status (*scan_accounts)(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                               tm_error *error);
    tm_status (*scan_fingerprints)(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                   tm_error *error);
    tm_status (*scan_outbox)(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                             void *visit_context, tm_error *error);
    /* One account's blob, absent when not kept; valid until the next call. */
    tm_status (*get_account)(void *context, int32_t partition, tm_slice account, tm_slice *ret_blob, tm_error *error);
    /* Removes everything of a shard (an operator's choice, never the pipeline's). */
    tm_status (*remove)(void *context, int32_t partition, tm_error *error);
    /* A value of the whole group, written once: the first proposal wins; returns what holds. Counting start, partition
     * count. */
    tm_status (*settle_group)(void *context, const char *name, int64_t proposal, int64_t *ret_value, tm_error *error);
    /* Checks at start: reachable, noeviction, version; each problem is named. TM_OK, TM_RETRY, TM_REJECT. */
    tm_status (*check)(void *context, tm_error *error);
    void (*close)(void *context);
} tm_store;

#endif
