/* What the sources of the room `shard` share: shard.c (time and commits), shardaccounts.c (which accounts there are,
   and what a commit changed), shardrestore.c (what was kept, and other rules). */
#ifndef TIDEMARK_PROCESSOR_CORE_SHARDROOM_H
#define TIDEMARK_PROCESSOR_CORE_SHARDROOM_H

#include "tidemark/base/check.h"
#include "tidemark/base/table.h"
#include "tidemark/core/agenda.h"
#include "tidemark/core/shard.h"

typedef struct accepted_event {
    tm_fingerprint fingerprint;
    tm_time at;
} accepted_event;

typedef struct erased_key {
    char *key;
    size_t length;
} erased_key;

struct tm_shard {
    tm_shard_settings settings;
    tm_heap *heap;
    const tm_pack *pack;
    tm_judge judge;
    tm_selector *selector;
    tm_duplicates *duplicates;
    tm_agenda *agenda;

    tm_time *counting_starts; /* one a metric of the pack */
    int32_t *counting_days;   /* the same as local days, as evaluation wants them */
    tm_time counting_start;   /* of metrics the shard was created with */

    tm_account **accounts;
    uint32_t account_count, account_capacity;
    tm_table by_hash;  /* account hash → index; when two keys share a hash, the first */
    uint32_t collided; /* accounts that by_hash cannot find because another has their hash */

    bool started, judged, muted;
    tm_time now;  /* T */
    tm_time wall; /* of the commit; TM_TIME_NEVER: none */
    tm_day_span now_span, at_span, any_span;
    tm_moment moment; /* of T when moment.t == now */

    tm_account **changed;
    uint32_t changed_count, changed_capacity;
    erased_key *erased;
    uint32_t erased_count, erased_capacity;
    accepted_event *accepted;
    uint32_t accepted_count, accepted_capacity;

    tm_shard_counts counts;
};

/* Makes room for one more element of a list in the shard's heap. */
tm_status tm_shard_grow(tm_heap *heap, void **list, size_t element, uint32_t count, uint32_t *capacity);
/* Says from when the metrics of `pack` count: as `counting` knows, `others` for the rest. */
tm_status tm_shard_set_counting(tm_shard *shard, const tm_pack *pack, tm_time others, const tm_counting *counting,
                                uint32_t counting_count);
/* The index of an account, or TM_TABLE_NONE. */
uint32_t tm_shard_index_of(const tm_shard *shard, uint64_t hash, tm_slice key);
/* Adds an account that is not there; frees one that is. */
tm_status tm_shard_take_in(tm_shard *shard, tm_account *account);
void tm_shard_release(tm_shard *shard, uint32_t index);
/* Marks an account that was not marked. */
tm_status tm_shard_note_changed(tm_shard *shard, tm_account *account);
/* An erased account has come back. */
void tm_shard_forget_erased(tm_shard *shard, tm_slice key);
/* Finds or makes the account, marked as changed. */
tm_status tm_shard_account_for_change(tm_shard *shard, tm_slice key, tm_account **ret_account);
/* The first grid instant that is still to be judged. */
tm_time tm_shard_next_instant(const tm_shard *shard);

#endif
