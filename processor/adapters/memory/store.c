#include "tidemark/adapters/memory/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"

typedef struct store {
    tm_memory_state *state;
    tm_bytes answer; /* what the last call's slices point into */
} store;

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
static tm_status describe(store *self, const tm_shard_kept *found, tm_store_state *ret_state, tm_error *error)
{
    *ret_state = (tm_store_state){.position = {.next = {-1, -1}}};
    tm_bytes_free(&self->answer);
    if (found == NULL) {
        return TM_OK;
    }
    if (!tm_bytes_copy(tm_bytes_slice(found->meta), &self->answer)) {
        return out_of_memory(error);
    }
    ret_state->present = found->present;
    ret_state->position = found->position;
    ret_state->epoch = found->epoch;
    ret_state->meta = tm_bytes_slice(self->answer);
    return TM_OK;
}

static tm_status memory_claim(void *context, int32_t partition, int64_t generation, int64_t raise,
                              tm_store_state *ret_state, tm_error *error)
{
    store *self = context;
    *ret_state = (tm_store_state){0};
    if (raise < 1 || raise > TM_EPOCH_RAISE_MAX)
        return tm_fail(error, TM_FATAL, "a claim raises the epoch by at least one");
    tm_status status = enter(self, error);
    if (status != TM_OK) {
        return status;
    }
    tm_shard_kept *found = tm_shard_kept_find(self->state, partition);
    if (found == NULL) {
        found = tm_shard_kept_add(self->state, partition);
    }
    if (found == NULL) {
        return leave(self, out_of_memory(error));
    }
    if (generation >= 0 && found->generation > generation) {
        return leave(self, tm_fail(error, TM_REJECT,
                                   "shard %" PRId32 " was claimed in generation %" PRId64
                                   " of the group, and ours is %" PRId64,
                                   partition, found->generation, generation));
    }
    if (found->epoch > INT64_MAX - raise)
        return leave(self, tm_fail(error, TM_FATAL, "the epoch of shard %" PRId32 " is at its end", partition));
    if (generation >= 0 || generation == TM_GENERATION_ANEW)
        found->generation = generation >= 0 ? generation : -1;
    found->epoch += raise;
    return leave(self, describe(self, found, ret_state, error));
}

static tm_status memory_read(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error)
{
    store *self = context;
    *ret_state = (tm_store_state){0};
    tm_status status = enter(self, error);
    return status != TM_OK ? status
                           : leave(self, describe(self, tm_shard_kept_find(self->state, partition), ret_state, error));
}

/* Takes back what a commit added before its memory was refused: the shard is as it was. */
static void take_back(tm_shard_kept *found, uint32_t accounts, size_t fingerprints, size_t outputs)
{
    while (found->account_count > accounts) {
        /* Nothing to grow: this cannot fail. */
        (void)tm_shard_kept_account_drop(found, &found->accounts[found->account_count - 1]);
    }
    while (found->fingerprints.count > fingerprints) {
        tm_bytes_free(&found->fingerprints.items[--found->fingerprints.count].content);
    }
    while (found->outbox.count > outputs) {
        tm_bytes_free(&found->outbox.items[--found->outbox.count].content);
    }
}

/* Everything of a commit that needs memory: entries of new accounts, copies of the blobs and the meta, the lists. */
static bool prepare(tm_shard_kept *found, const tm_store_commit *commit, tm_bytes *blobs, tm_bytes *ret_meta)
{
    *ret_meta = (tm_bytes){0};
    for (uint32_t i = 0; i < commit->write_count; i++) {
        const tm_store_write *write = &commit->writes[i];
        if (write->blob.data != NULL &&
            (tm_shard_kept_account_make(found, write->account) == NULL || !tm_bytes_copy(write->blob, &blobs[i]))) {
            return false;
        }
    }
    if (commit->fingerprints.length > 0 &&
        !tm_entries_append(&found->fingerprints, commit->position.commit, commit->fingerprints)) {
        return false;
    }
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        if (!tm_entries_append(&found->outbox, commit->position.commit, commit->outbox[i])) {
            return false;
        }
    }
    return tm_bytes_copy(commit->meta.data != NULL ? commit->meta : TM_SLICE_LITERAL(""), ret_meta);
}

/* The writes, after the check: all of them or none. */
static tm_status write_commit(tm_shard_kept *found, const tm_store_commit *commit, tm_error *error)
{
    uint32_t accounts = found->account_count;
    size_t fingerprints = found->fingerprints.count, outputs = found->outbox.count;
    tm_bytes meta;
    tm_bytes *blobs = calloc(commit->write_count + 1, sizeof(*blobs));
    if (blobs == NULL || !prepare(found, commit, blobs, &meta)) {
        for (uint32_t i = 0; blobs != NULL && i < commit->write_count; i++) {
            tm_bytes_free(&blobs[i]);
        }
        free(blobs);
        take_back(found, accounts, fingerprints, outputs);
        return out_of_memory(error);
    }
    for (uint32_t i = 0; i < commit->write_count; i++) {
        tm_kept_account *account = tm_shard_kept_account(found, commit->writes[i].account);
        if (commit->writes[i].blob.data != NULL) {
            tm_bytes_free(&account->blob);
            account->blob = blobs[i];
        } else if (account != NULL) {
            (void)tm_shard_kept_account_drop(found, account);
        }
    }
    free(blobs);
    tm_bytes_free(&found->meta);
    found->meta = meta;
    tm_entries_forget(&found->fingerprints, commit->fingerprints_from);
    tm_entries_forget(&found->outbox, commit->outbox_published < INT64_MAX ? commit->outbox_published + 1 : INT64_MAX);
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
    tm_shard_kept *found = tm_shard_kept_find(self->state, commit->partition);
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
    const tm_shard_kept *found = tm_shard_kept_find(self->state, partition);
    for (uint32_t i = 0; found != NULL && i < found->account_count && status == TM_OK; i++) {
        const tm_kept_account *account = &found->accounts[i];
        status = visit(visit_context, 0, tm_bytes_slice(account->key), tm_bytes_slice(account->blob));
    }
    return leave(self, status);
}

static tm_status scan_entries(const tm_entries *list, int64_t least, tm_store_visit visit, void *visit_context)
{
    tm_status status = TM_OK;
    for (size_t i = list->first; i < list->count && status == TM_OK; i++) {
        if (list->items[i].commit >= least) {
            status = visit(visit_context, list->items[i].commit, (tm_slice){NULL, 0},
                           tm_bytes_slice(list->items[i].content));
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
    const tm_shard_kept *found = tm_shard_kept_find(self->state, partition);
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
    const tm_shard_kept *found = tm_shard_kept_find(self->state, partition);
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
    const tm_shard_kept *found = tm_shard_kept_find(self->state, partition);
    const tm_kept_account *kept = found != NULL ? tm_shard_kept_account(found, account) : NULL;
    tm_bytes_free(&self->answer);
    if (kept != NULL && !tm_bytes_copy(tm_bytes_slice(kept->blob), &self->answer)) {
        return leave(self, out_of_memory(error));
    }
    *ret_blob = tm_bytes_slice(self->answer);
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
            tm_shard_kept_free(state->shards[i]);
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
    if (name == NULL || name[0] == '\0' || strlen(name) > TM_GROUP_NAME_MAX) {
        return tm_fail(error, TM_FATAL, "a value of the group needs a name of 1 to %d bytes", TM_GROUP_NAME_MAX);
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
    if (!tm_memory_make_room(&group, state->group_count, &state->group_capacity, sizeof(*state->group))) {
        return leave(self, out_of_memory(error));
    }
    state->group = group;
    tm_settled *made = &state->group[state->group_count++];
    *made = (tm_settled){.value = proposal};
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
        tm_bytes_free(&self->answer);
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
