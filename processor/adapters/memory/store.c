#include "tidemark/adapters/memory/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/base/table.h"

enum { NAME_MAX_BYTES = 64 };

typedef struct bytes {
    char *data; /* NULL: absent */
    size_t length;
} bytes;

typedef struct kept_account {
    bytes key, blob;
    uint32_t next; /* another account with the same hash, or TM_TABLE_NONE */
} kept_account;

typedef struct kept_entry {
    int64_t commit;
    bytes content;
} kept_entry;

/* Entries in order of commit; those before `first` are forgotten. */
typedef struct entries {
    kept_entry *items;
    size_t first, count, capacity;
} entries;

typedef struct shard {
    int32_t partition;
    bool present;
    tm_position position;
    int64_t epoch, generation;
    bytes meta;
    tm_table index; /* hash of the key -> account */
    kept_account *accounts;
    uint32_t account_count, account_capacity;
    entries fingerprints, outbox;
} shard;

typedef struct settled {
    char name[NAME_MAX_BYTES + 1];
    int64_t value;
} settled;

struct tm_memory_state {
    pthread_mutex_t mutex;
    tm_heap *heap; /* of the tables */
    bool reachable;
    shard **shards;
    size_t shard_count, shard_capacity;
    settled *group;
    size_t group_count, group_capacity;
};

typedef struct store {
    tm_memory_state *state;
    bytes answer; /* what the last call's slices point into */
} store;

/* ---- Bytes ---- */

static bool copy_bytes(tm_slice from, bytes *ret_bytes)
{
    *ret_bytes = (bytes){NULL, from.length};
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

static void free_bytes(bytes *content)
{
    free(content->data);
    *content = (bytes){NULL, 0};
}

static tm_slice slice_of(bytes content)
{
    return (tm_slice){content.data, content.length};
}

/* Room for one more item in an array; false without memory. */
static bool make_room(void **items, size_t count, size_t *capacity, size_t size)
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

static void forget_entries(entries *list, int64_t below)
{
    while (list->first < list->count && list->items[list->first].commit < below) {
        free_bytes(&list->items[list->first].content);
        list->first++;
    }
    if (list->first > 64 && list->first > list->count / 2) {
        memmove(list->items, list->items + list->first, (list->count - list->first) * sizeof(*list->items));
        list->count -= list->first;
        list->first = 0;
    }
}

static void free_entries(entries *list)
{
    for (size_t i = list->first; i < list->count; i++) {
        free_bytes(&list->items[i].content);
    }
    free(list->items);
    *list = (entries){0};
}

static void free_shard(shard *gone)
{
    if (gone == NULL) {
        return;
    }
    for (uint32_t i = 0; i < gone->account_count; i++) {
        free_bytes(&gone->accounts[i].key);
        free_bytes(&gone->accounts[i].blob);
    }
    free(gone->accounts);
    free_entries(&gone->fingerprints);
    free_entries(&gone->outbox);
    free_bytes(&gone->meta);
    tm_table_done(&gone->index);
    free(gone);
}

static shard *find_shard(const tm_memory_state *state, int32_t partition)
{
    for (size_t i = 0; i < state->shard_count; i++) {
        if (state->shards[i]->partition == partition) {
            return state->shards[i];
        }
    }
    return NULL;
}

static shard *add_shard(tm_memory_state *state, int32_t partition)
{
    shard *made = calloc(1, sizeof(*made));
    void *shards = state->shards;
    if (made == NULL || tm_table_init(&made->index, state->heap, 0) != TM_OK) {
        free(made);
        return NULL;
    }
    if (!make_room(&shards, state->shard_count, &state->shard_capacity, sizeof(*state->shards))) {
        free_shard(made);
        return NULL;
    }
    state->shards = shards;
    made->partition = partition;
    made->generation = -1;
    made->position = (tm_position){.next = {-1, -1}};
    state->shards[state->shard_count++] = made;
    return made;
}

static kept_account *find_account(const shard *where, tm_slice key)
{
    uint32_t at = tm_table_find(&where->index, tm_hash(key));
    while (at != TM_TABLE_NONE && !tm_slice_equal(slice_of(where->accounts[at].key), key)) {
        at = where->accounts[at].next;
    }
    return at != TM_TABLE_NONE ? &where->accounts[at] : NULL;
}

/* The account's entry, made with no blob when it is not there; NULL without memory. */
static kept_account *make_account(shard *where, tm_slice key)
{
    kept_account *found = find_account(where, key);
    if (found != NULL) {
        return found;
    }
    void *accounts = where->accounts;
    size_t capacity = where->account_capacity;
    bytes copy;
    if (!make_room(&accounts, where->account_count, &capacity, sizeof(*where->accounts))) {
        return NULL;
    }
    where->accounts = accounts;
    where->account_capacity = (uint32_t)capacity;
    if (!copy_bytes(key, &copy)) {
        return NULL;
    }
    uint32_t former = tm_table_find(&where->index, tm_hash(key));
    if (tm_table_put(&where->index, tm_hash(key), where->account_count) != TM_OK) {
        free_bytes(&copy);
        return NULL;
    }
    found = &where->accounts[where->account_count++];
    *found = (kept_account){.key = copy, .next = former};
    return found;
}

/* Makes whatever leads to account `from` (the index, or another of the same hash) lead to `to`. */
static bool redirect(shard *where, uint32_t from, uint32_t to)
{
    uint64_t hash = tm_hash(slice_of(where->accounts[from].key));
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
static bool drop_account(shard *where, kept_account *account)
{
    uint32_t hole = (uint32_t)(account - where->accounts);
    uint32_t last = where->account_count - 1;
    if (!redirect(where, hole, account->next) || (hole != last && !redirect(where, last, hole))) {
        return false;
    }
    free_bytes(&account->key);
    free_bytes(&account->blob);
    where->accounts[hole] = where->accounts[last];
    where->account_count--;
    return true;
}

static bool append_entry(entries *list, int64_t commit, tm_slice content)
{
    void *items = list->items;
    if (!make_room(&items, list->count, &list->capacity, sizeof(*list->items))) {
        return false;
    }
    list->items = items;
    if (!copy_bytes(content, &list->items[list->count].content)) {
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
        free_shard(state->shards[i]);
    }
    free(state->shards);
    free(state->group);
    tm_heap_free_all(state->heap);
    pthread_mutex_destroy(&state->mutex);
    free(state);
}

static bool copy_shard(tm_memory_state *to, const shard *from)
{
    shard *made = add_shard(to, from->partition);
    if (made == NULL) {
        return false;
    }
    made->present = from->present;
    made->position = from->position;
    made->epoch = from->epoch;
    made->generation = from->generation;
    bool whole = copy_bytes(slice_of(from->meta), &made->meta);
    for (uint32_t i = 0; i < from->account_count && whole; i++) {
        kept_account *account = make_account(made, slice_of(from->accounts[i].key));
        whole = account != NULL && copy_bytes(slice_of(from->accounts[i].blob), &account->blob);
    }
    for (size_t i = from->fingerprints.first; i < from->fingerprints.count && whole; i++) {
        const kept_entry *entry = &from->fingerprints.items[i];
        whole = append_entry(&made->fingerprints, entry->commit, slice_of(entry->content));
    }
    for (size_t i = from->outbox.first; i < from->outbox.count && whole; i++) {
        whole = append_entry(&made->outbox, from->outbox.items[i].commit, slice_of(from->outbox.items[i].content));
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

void tm_memory_state_set_reachable(tm_memory_state *state, bool reachable)
{
    pthread_mutex_lock(&state->mutex);
    state->reachable = reachable;
    pthread_mutex_unlock(&state->mutex);
}

/* ---- The port ---- */

/* Locks the state; TM_RETRY, with nothing locked, while it is not reachable. */
static tm_status enter(const store *self, tm_error *error)
{
    pthread_mutex_lock(&self->state->mutex);
    if (!self->state->reachable) {
        pthread_mutex_unlock(&self->state->mutex);
        return tm_fail(error, TM_RETRY, "the state in memory is set not to be reachable");
    }
    return TM_OK;
}

static tm_status leave(const store *self, tm_status status)
{
    pthread_mutex_unlock(&self->state->mutex);
    return status;
}

static tm_status out_of_memory(tm_error *error)
{
    return tm_fail(error, TM_FATAL, "out of memory");
}

/* The state of a shard as the port returns it, with meta copied into the store's answer. */
static tm_status describe(store *self, const shard *found, tm_store_state *ret_state, tm_error *error)
{
    *ret_state = (tm_store_state){.position = {.next = {-1, -1}}};
    free_bytes(&self->answer);
    if (found == NULL) {
        return TM_OK;
    }
    if (!copy_bytes(slice_of(found->meta), &self->answer)) {
        return out_of_memory(error);
    }
    ret_state->present = found->present;
    ret_state->position = found->position;
    ret_state->epoch = found->epoch;
    ret_state->meta = slice_of(self->answer);
    return TM_OK;
}

static tm_status memory_claim(void *context, int32_t partition, int64_t generation, tm_store_state *ret_state,
                              tm_error *error)
{
    store *self = context;
    *ret_state = (tm_store_state){0};
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    shard *found = find_shard(self->state, partition);
    if (found == NULL) {
        found = add_shard(self->state, partition);
    }
    if (found == NULL) {
        return leave(self, out_of_memory(error));
    }
    if (found->generation > generation) {
        return leave(self, tm_fail(error, TM_REJECT,
                                   "shard %" PRId32 " was claimed in generation %" PRId64
                                   " of the group, and ours is %" PRId64,
                                   partition, found->generation, generation));
    }
    found->generation = generation;
    found->epoch++;
    return leave(self, describe(self, found, ret_state, error));
}

static tm_status memory_read(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error)
{
    store *self = context;
    *ret_state = (tm_store_state){0};
    tm_status status = enter(self, error);
    return status != TM_OK ? status : leave(self, describe(self, find_shard(self->state, partition), ret_state, error));
}

/* The writes, after the check. Without memory half of it may be written: as fatal as it is for the whole process. */
static tm_status write_commit(shard *found, const tm_store_commit *commit, tm_error *error)
{
    bytes meta;
    for (uint32_t i = 0; i < commit->write_count; i++) {
        const tm_store_write *write = &commit->writes[i];
        bytes blob;
        if (write->blob.data == NULL) {
            kept_account *gone = find_account(found, write->account);
            if (gone != NULL && !drop_account(found, gone)) {
                return out_of_memory(error);
            }
            continue;
        }
        kept_account *account = make_account(found, write->account);
        if (account == NULL || !copy_bytes(write->blob, &blob)) {
            return out_of_memory(error);
        }
        free_bytes(&account->blob);
        account->blob = blob;
    }
    if (commit->fingerprints.length > 0 &&
        !append_entry(&found->fingerprints, commit->position.commit, commit->fingerprints)) {
        return out_of_memory(error);
    }
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        if (!append_entry(&found->outbox, commit->position.commit, commit->outbox[i])) {
            return out_of_memory(error);
        }
    }
    tm_slice given = commit->meta.data != NULL ? commit->meta : TM_SLICE_LITERAL("");
    if (!copy_bytes(given, &meta)) {
        return out_of_memory(error);
    }
    free_bytes(&found->meta);
    found->meta = meta;
    forget_entries(&found->fingerprints, commit->fingerprints_from);
    forget_entries(&found->outbox, commit->outbox_published < INT64_MAX ? commit->outbox_published + 1 : INT64_MAX);
    found->present = true;
    found->position = commit->position;
    return TM_OK;
}

static tm_status memory_commit(void *context, const tm_store_commit *commit, tm_error *error)
{
    store *self = context;
    if (commit->position.commit <= commit->expected.commit) {
        return tm_fail(error, TM_FATAL, "shard %" PRId32 ": a commit must have a greater number than the one before it",
                       commit->partition);
    }
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    shard *found = find_shard(self->state, commit->partition);
    bool agrees =
        found != NULL && found->epoch == commit->epoch &&
        (commit->expected.commit == 0 ? !found->present
                                      : found->present && tm_position_equal(found->position, commit->expected));
    if (!agrees) {
        return leave(self, tm_fail(error, TM_REJECT,
                                   "shard %" PRId32 ": the state in memory holds commit %" PRId64 " and epoch %" PRId64
                                   ", this worker expected %" PRId64 " and %" PRId64,
                                   commit->partition, found != NULL ? found->position.commit : 0,
                                   found != NULL ? found->epoch : 0, commit->expected.commit, commit->epoch));
    }
    return leave(self, write_commit(found, commit, error));
}

/* The scans hold the lock: what they visit stays as it is, and a visit must not call a store of the same state. */
static tm_status memory_scan_accounts(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                      tm_error *error)
{
    store *self = context;
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    const shard *found = find_shard(self->state, partition);
    for (uint32_t i = 0; found != NULL && i < found->account_count && status == TM_OK; i++) {
        const kept_account *account = &found->accounts[i];
        status = visit(visit_context, 0, slice_of(account->key), slice_of(account->blob));
    }
    return leave(self, status);
}

static tm_status scan_entries(const entries *list, int64_t least, tm_store_visit visit, void *visit_context)
{
    tm_status status = TM_OK;
    for (size_t i = list->first; i < list->count && status == TM_OK; i++) {
        if (list->items[i].commit >= least) {
            status = visit(visit_context, list->items[i].commit, (tm_slice){NULL, 0}, slice_of(list->items[i].content));
        }
    }
    return status;
}

static tm_status memory_scan_fingerprints(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                          tm_error *error)
{
    store *self = context;
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    const shard *found = find_shard(self->state, partition);
    if (found != NULL) {
        status = scan_entries(&found->fingerprints, INT64_MIN, visit, visit_context);
    }
    return leave(self, status);
}

static tm_status memory_scan_outbox(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                                    void *visit_context, tm_error *error)
{
    store *self = context;
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    const shard *found = find_shard(self->state, partition);
    if (found != NULL && published < INT64_MAX) {
        status = scan_entries(&found->outbox, published + 1, visit, visit_context);
    }
    return leave(self, status);
}

static tm_status memory_get_account(void *context, int32_t partition, tm_slice account, tm_slice *ret_blob,
                                    tm_error *error)
{
    store *self = context;
    *ret_blob = (tm_slice){NULL, 0};
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    const shard *found = find_shard(self->state, partition);
    const kept_account *kept = found != NULL ? find_account(found, account) : NULL;
    free_bytes(&self->answer);
    if (kept != NULL && !copy_bytes(slice_of(kept->blob), &self->answer)) {
        return leave(self, out_of_memory(error));
    }
    *ret_blob = slice_of(self->answer);
    return leave(self, TM_OK);
}

static tm_status memory_remove(void *context, int32_t partition, tm_error *error)
{
    store *self = context;
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    tm_memory_state *state = self->state;
    for (size_t i = 0; i < state->shard_count; i++) {
        if (state->shards[i]->partition == partition) {
            free_shard(state->shards[i]);
            state->shards[i] = state->shards[--state->shard_count];
            break;
        }
    }
    return leave(self, TM_OK);
}

static tm_status memory_settle_group(void *context, const char *name, int64_t proposal, int64_t *ret_value,
                                     tm_error *error)
{
    store *self = context;
    *ret_value = 0;
    if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_BYTES) {
        return tm_fail(error, TM_FATAL, "a value of the group needs a name of 1 to %d bytes", NAME_MAX_BYTES);
    }
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    tm_memory_state *state = self->state;
    for (size_t i = 0; i < state->group_count; i++) {
        if (strcmp(state->group[i].name, name) == 0) {
            *ret_value = state->group[i].value;
            return leave(self, TM_OK);
        }
    }
    void *group = state->group;
    if (!make_room(&group, state->group_count, &state->group_capacity, sizeof(*state->group))) {
        return leave(self, out_of_memory(error));
    }
    state->group = group;
    settled *made = &state->group[state->group_count++];
    *made = (settled){.value = proposal};
    memcpy(made->name, name, strlen(name) + 1);
    *ret_value = proposal;
    return leave(self, TM_OK);
}

static tm_status memory_check(void *context, tm_error *error)
{
    const store *self = context;
    tm_status status = enter(self, error);
    return status != TM_OK ? status : leave(self, TM_OK);
}

static void memory_close(void *context)
{
    store *self = context;
    if (self != NULL) {
        free_bytes(&self->answer);
        free(self);
    }
}

tm_status tm_memory_store_open(tm_memory_state *state, tm_store *ret_store, tm_error *error)
{
    store *self = calloc(1, sizeof(*self));
    *ret_store = (tm_store){0};
    if (self == NULL) {
        return out_of_memory(error);
    }
    self->state = state;
    *ret_store = (tm_store){.context = self,
                            .claim = memory_claim,
                            .read = memory_read,
                            .commit = memory_commit,
                            .scan_accounts = memory_scan_accounts,
                            .scan_fingerprints = memory_scan_fingerprints,
                            .scan_outbox = memory_scan_outbox,
                            .get_account = memory_get_account,
                            .remove = memory_remove,
                            .settle_group = memory_settle_group,
                            .check = memory_check,
                            .close = memory_close};
    return TM_OK;
}
