#include "kept.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"

/* ---- Bytes ---- */

bool tm_bytes_copy(tm_slice from, tm_bytes *ret_bytes)
{
    *ret_bytes = (tm_bytes){NULL, from.length};
    if (from.data == NULL) {
        return true;
    }
    ret_bytes->data = malloc(from.length + 1);
    if (ret_bytes->data == NULL) {
        return false;
    }
    memcpy(ret_bytes->data, from.data, from.length);
    ret_bytes->data[from.length] = '\0';
    return true;
}

void tm_bytes_free(tm_bytes *content)
{
    free(content->data);
    *content = (tm_bytes){NULL, 0};
}

/* Room for one more item in an array; false without memory. */
bool tm_memory_make_room(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = reallocarray(*items, wanted, size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}

/* ---- Shards ---- */

void tm_entries_forget(tm_entries *list, int64_t below)
{
    while (list->first < list->count && list->items[list->first].commit < below) {
        tm_bytes_free(&list->items[list->first].content);
        list->first++;
    }
    if (list->first > 64 && list->first > list->count / 2) {
        memmove(list->items, list->items + list->first, (list->count - list->first) * sizeof(*list->items));
        list->count -= list->first;
        list->first = 0;
    }
}

static void free_entries(tm_entries *list)
{
    for (size_t i = list->first; i < list->count; i++) {
        tm_bytes_free(&list->items[i].content);
    }
    free(list->items);
    *list = (tm_entries){0};
}

void tm_shard_kept_free(tm_shard_kept *gone)
{
    if (gone == NULL) {
        return;
    }
    for (uint32_t i = 0; i < gone->account_count; i++) {
        tm_bytes_free(&gone->accounts[i].key);
        tm_bytes_free(&gone->accounts[i].blob);
    }
    free(gone->accounts);
    free_entries(&gone->fingerprints);
    free_entries(&gone->outbox);
    tm_bytes_free(&gone->meta);
    tm_table_done(&gone->index);
    free(gone);
}

tm_shard_kept *tm_shard_kept_find(const tm_memory_state *state, int32_t partition)
{
    for (size_t i = 0; i < state->shard_count; i++) {
        if (state->shards[i]->partition == partition) {
            return state->shards[i];
        }
    }
    return NULL;
}

tm_shard_kept *tm_shard_kept_add(tm_memory_state *state, int32_t partition)
{
    tm_shard_kept *made = calloc(1, sizeof(*made));
    void *shards = state->shards;
    if (made == NULL || tm_table_init(&made->index, state->heap, 0) != TM_OK) {
        free(made);
        return NULL;
    }
    if (!tm_memory_make_room(&shards, state->shard_count, &state->shard_capacity, sizeof(void *))) {
        tm_shard_kept_free(made);
        return NULL;
    }
    state->shards = shards;
    made->partition = partition;
    made->generation = -1;
    made->position = (tm_position){.next = {-1, -1}};
    state->shards[state->shard_count++] = made;
    return made;
}

tm_kept_account *tm_shard_kept_account(const tm_shard_kept *where, tm_slice key)
{
    uint32_t at = tm_table_find(&where->index, tm_hash(key));
    while (at != TM_TABLE_NONE && !tm_slice_equal(tm_bytes_slice(where->accounts[at].key), key)) {
        at = where->accounts[at].next;
    }
    return at != TM_TABLE_NONE ? &where->accounts[at] : NULL;
}

/* The account's entry, made with no blob when it is not there; NULL without memory. */
tm_kept_account *tm_shard_kept_account_make(tm_shard_kept *where, tm_slice key)
{
    tm_kept_account *found = tm_shard_kept_account(where, key);
    if (found != NULL) {
        return found;
    }
    void *accounts = where->accounts;
    size_t capacity = where->account_capacity;
    tm_bytes copy;
    if (!tm_memory_make_room(&accounts, where->account_count, &capacity, sizeof(*where->accounts))) {
        return NULL;
    }
    where->accounts = accounts;
    where->account_capacity = (uint32_t)capacity;
    if (!tm_bytes_copy(key, &copy)) {
        return NULL;
    }
    uint32_t former = tm_table_find(&where->index, tm_hash(key));
    if (tm_table_put(&where->index, tm_hash(key), where->account_count) != TM_OK) {
        tm_bytes_free(&copy);
        return NULL;
    }
    found = &where->accounts[where->account_count++];
    *found = (tm_kept_account){.key = copy, .next = former};
    return found;
}

/* Makes whatever leads to account `from` (the index, or another of the same hash) lead to `to`. */
static bool redirect(tm_shard_kept *where, uint32_t from, uint32_t to)
{
    uint64_t hash = tm_hash(tm_bytes_slice(where->accounts[from].key));
    uint32_t at = tm_table_find(&where->index, hash);
    if (at == from) {
        if (to == TM_TABLE_NONE) {
            tm_table_remove(&where->index, hash);
            return true;
        }
        return tm_table_put(&where->index, hash, to) == TM_OK;
    }
    while (where->accounts[at].next != from) {
        at = where->accounts[at].next;
    }
    where->accounts[at].next = to;
    return true;
}

/* Nothing of an erased account stays, its key neither: the last account takes its place. */
bool tm_shard_kept_account_drop(tm_shard_kept *where, tm_kept_account *account)
{
    uint32_t hole = (uint32_t)(account - where->accounts);
    uint32_t last = where->account_count - 1;
    if (!redirect(where, hole, account->next) || (hole != last && !redirect(where, last, hole))) {
        return false;
    }
    tm_bytes_free(&account->key);
    tm_bytes_free(&account->blob);
    where->accounts[hole] = where->accounts[last];
    where->account_count--;
    return true;
}

bool tm_entries_append(tm_entries *list, int64_t commit, tm_slice content)
{
    void *items = list->items;
    if (!tm_memory_make_room(&items, list->count, &list->capacity, sizeof(*list->items))) {
        return false;
    }
    list->items = items;
    if (!tm_bytes_copy(content, &list->items[list->count].content)) {
        return false;
    }
    list->items[list->count++].commit = commit;
    return true;
}

/* ---- The state ---- */

tm_memory_state *tm_memory_state_new(void)
{
    tm_memory_state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        return NULL;
    }
    state->reachable = true;
    state->heap = tm_heap_new(0);
    if (state->heap == NULL || pthread_mutex_init(&state->mutex, NULL) != 0) {
        tm_heap_free_all(state->heap);
        free(state);
        return NULL;
    }
    return state;
}

void tm_memory_state_free(tm_memory_state *state)
{
    if (state == NULL) {
        return;
    }
    for (size_t i = 0; i < state->shard_count; i++) {
        tm_shard_kept_free(state->shards[i]);
    }
    free(state->shards);
    free(state->group);
    tm_heap_free_all(state->heap);
    pthread_mutex_destroy(&state->mutex);
    free(state);
}

static bool copy_shard(tm_memory_state *to, const tm_shard_kept *from)
{
    tm_shard_kept *made = tm_shard_kept_add(to, from->partition);
    if (made == NULL) {
        return false;
    }
    made->present = from->present;
    made->position = from->position;
    made->epoch = from->epoch;
    made->generation = from->generation;
    bool whole = tm_bytes_copy(tm_bytes_slice(from->meta), &made->meta);
    for (uint32_t i = 0; i < from->account_count && whole; i++) {
        tm_kept_account *account = tm_shard_kept_account_make(made, tm_bytes_slice(from->accounts[i].key));
        whole = account != NULL && tm_bytes_copy(tm_bytes_slice(from->accounts[i].blob), &account->blob);
    }
    for (size_t i = from->fingerprints.first; i < from->fingerprints.count && whole; i++) {
        const tm_kept_entry *entry = &from->fingerprints.items[i];
        whole = tm_entries_append(&made->fingerprints, entry->commit, tm_bytes_slice(entry->content));
    }
    for (size_t i = from->outbox.first; i < from->outbox.count && whole; i++) {
        whole = tm_entries_append(&made->outbox, from->outbox.items[i].commit,
                                  tm_bytes_slice(from->outbox.items[i].content));
    }
    return whole;
}

tm_memory_state *tm_memory_state_copy(tm_memory_state *state)
{
    tm_memory_state *copy = tm_memory_state_new();
    if (copy == NULL) {
        return NULL;
    }
    bool whole = true;
    pthread_mutex_lock(&state->mutex);
    for (size_t i = 0; i < state->shard_count && whole; i++) {
        whole = copy_shard(copy, state->shards[i]);
    }
    if (whole && state->group_count > 0) {
        copy->group = calloc(state->group_count, sizeof(*copy->group));
        whole = copy->group != NULL;
        if (whole) {
            memcpy(copy->group, state->group, state->group_count * sizeof(*copy->group));
            copy->group_count = copy->group_capacity = state->group_count;
        }
    }
    pthread_mutex_unlock(&state->mutex);
    if (!whole) {
        tm_memory_state_free(copy);
        copy = NULL;
    }
    return copy;
}

tm_status tm_memory_state_restore(tm_memory_state *state, tm_memory_state *snapshot)
{
    tm_memory_state *copy = tm_memory_state_copy(snapshot);
    if (copy == NULL) {
        return TM_FATAL;
    }
    pthread_mutex_lock(&state->mutex);
    tm_memory_state before = *state;
    state->heap = copy->heap;
    state->shards = copy->shards;
    state->shard_count = copy->shard_count;
    state->shard_capacity = copy->shard_capacity;
    state->group = copy->group;
    state->group_count = copy->group_count;
    state->group_capacity = copy->group_capacity;
    pthread_mutex_unlock(&state->mutex);
    copy->heap = before.heap;
    copy->shards = before.shards;
    copy->shard_count = before.shard_count;
    copy->shard_capacity = before.shard_capacity;
    copy->group = before.group;
    copy->group_count = before.group_count;
    copy->group_capacity = before.group_capacity;
    tm_memory_state_free(copy);
    return TM_OK;
}

void tm_memory_state_set_reachable(tm_memory_state *state, bool reachable)
{
    pthread_mutex_lock(&state->mutex);
    state->reachable = reachable;
    pthread_mutex_unlock(&state->mutex);
}
