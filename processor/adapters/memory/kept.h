/* What the memory store keeps: shards with their accounts, fingerprints and outputs. All of it is guarded by the
   state's mutex. */
#ifndef TIDEMARK_PROCESSOR_MEMORY_KEPT_H
#define TIDEMARK_PROCESSOR_MEMORY_KEPT_H

#include <pthread.h>

#include "tidemark/adapters/memory/store.h"
#include "tidemark/base/table.h"

enum { TM_GROUP_NAME_MAX = 64 };

typedef struct tm_bytes {
    char *data; /* NULL: absent */
    size_t length;
} tm_bytes;

typedef struct tm_kept_account {
    tm_bytes key, blob;
    uint32_t next; /* another account with the same hash, or TM_TABLE_NONE */
} tm_kept_account;

typedef struct tm_kept_entry {
    int64_t commit;
    tm_bytes content;
} tm_kept_entry;

/* Entries in order of commit; those before `first` are forgotten. */
typedef struct tm_entries {
    tm_kept_entry *items;
    size_t first, count, capacity;
} tm_entries;

typedef struct tm_shard_kept {
    int32_t partition;
    bool present;
    tm_position position;
    int64_t epoch, generation;
    tm_bytes meta;
    tm_table index; /* hash of the key -> account */
    tm_kept_account *accounts;
    uint32_t account_count, account_capacity;
    tm_entries fingerprints, outbox;
} tm_shard_kept;

typedef struct tm_settled {
    char name[TM_GROUP_NAME_MAX + 1];
    int64_t value;
} tm_settled;

struct tm_memory_state {
    pthread_mutex_t mutex;
    tm_heap *heap; /* of the tables */
    bool reachable;
    tm_shard_kept **shards;
    size_t shard_count, shard_capacity;
    tm_settled *group;
    size_t group_count, group_capacity;
};

static inline tm_slice tm_bytes_slice(tm_bytes content)
{
    return (tm_slice){content.data, content.length};
}

/* A copy, absent for an absent slice. False without memory. */
bool tm_bytes_copy(tm_slice from, tm_bytes *ret_bytes);
void tm_bytes_free(tm_bytes *content);
/* Room for one more item of `size` bytes; false without memory. */
bool tm_memory_make_room(void **items, size_t count, size_t *capacity, size_t size);

tm_shard_kept *tm_shard_kept_find(const tm_memory_state *state, int32_t partition); /* NULL: not there */
tm_shard_kept *tm_shard_kept_add(tm_memory_state *state, int32_t partition);        /* NULL without memory */
void tm_shard_kept_free(tm_shard_kept *gone);
tm_kept_account *tm_shard_kept_account(const tm_shard_kept *where, tm_slice key); /* NULL: not there */
/* The account's entry, made with no blob when it is not there; NULL without memory. */
tm_kept_account *tm_shard_kept_account_make(tm_shard_kept *where, tm_slice key);
bool tm_shard_kept_account_drop(tm_shard_kept *where, tm_kept_account *account); /* false without memory */
bool tm_entries_append(tm_entries *list, int64_t commit, tm_slice content);      /* false without memory */
void tm_entries_forget(tm_entries *list, int64_t below);

#endif
