/* Every promise of the port `store`, as functions over stores. A test file of an adapter opens two stores on the same
   state, `a` and `b` (two workers), and calls store_contract with them. The shards used are 1 to 40; they have to be
   empty. */
#ifndef TIDEMARK_CONTRACT_STORE_H
#define TIDEMARK_CONTRACT_STORE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/ports/store.h"

/* ---- Small things ---- */

static inline tm_slice sc_text(const char *text)
{
    return tm_slice_of(text);
}

static inline void sc_expect(tm_status status, tm_status wanted, const tm_error *error, int line)
{
    cr_assert_eq(status, wanted, "line %d: %s instead of %s: %s", line, tm_status_name(status), tm_status_name(wanted),
                 error->what);
}
/* A call, its error in SC_ERROR, and the status it has to return. */
static tm_error sc_error;
#define SC_ERROR (&sc_error)
#define SC(call, wanted) sc_expect((call), (wanted), SC_ERROR, __LINE__)

static inline tm_position sc_position(int64_t usage, int64_t accounts, int64_t commit)
{
    return (tm_position){.next = {usage, accounts}, .commit = commit};
}

/* A scan's findings, in order of arrival. */
typedef struct sc_found {
    uint32_t count;
    struct {
        int64_t commit;
        char key[160];
        char bytes[64];
        size_t length;
        bool key_absent;
    } items[512];
    uint32_t stop_after; /* 0: never */
} sc_found;

static inline tm_status sc_visit(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    sc_found *found = context;
    cr_assert_lt(found->count, 512);
    cr_assert_lt(key.length, 160);
    memset(&found->items[found->count], 0, sizeof(found->items[0]));
    found->items[found->count].commit = commit;
    found->items[found->count].key_absent = key.data == NULL;
    if (key.data != NULL) {
        memcpy(found->items[found->count].key, key.data, key.length);
    }
    found->items[found->count].length = bytes.length;
    memcpy(found->items[found->count].bytes, bytes.data, bytes.length < 64 ? bytes.length : 64);
    found->count++;
    return found->count == found->stop_after ? TM_REJECT : TM_OK;
}

static inline sc_found *sc_found_new(void)
{
    sc_found *found = calloc(1, sizeof(*found));
    cr_assert_not_null(found);
    return found;
}

static inline bool sc_has(const sc_found *found, const char *key, const char *bytes)
{
    for (uint32_t i = 0; i < found->count; i++) {
        if (strcmp(found->items[i].key, key) == 0 && strncmp(found->items[i].bytes, bytes, 64) == 0) {
            return true;
        }
    }
    return false;
}

/* A commit from `n - 1` to `n` with positions 10n and n, and meta "meta n". */
typedef struct sc_commit {
    tm_store_commit commit;
    char meta[32];
} sc_commit;

static inline tm_store_commit *sc_next(sc_commit *made, int32_t partition, int64_t epoch, int64_t n)
{
    memset(made, 0, sizeof(*made));
    snprintf(made->meta, sizeof(made->meta), "meta %lld", (long long)n);
    made->commit =
        (tm_store_commit){.partition = partition,
                          .epoch = epoch,
                          .expected = n == 1 ? sc_position(-1, -1, 0) : sc_position(10 * (n - 1), n - 1, n - 1),
                          .position = sc_position(10 * n, n, n),
                          .meta = sc_text(made->meta),
                          .outbox_published = -1};
    return &made->commit;
}

static inline int64_t sc_claim(const tm_store *store, int32_t partition, int64_t generation)
{
    tm_store_state state;
    SC(store->claim(store->context, partition, generation, 1, &state, SC_ERROR), TM_OK);
    return state.epoch;
}

static inline int64_t sc_stored_commit(const tm_store *store, int32_t partition)
{
    tm_store_state state;
    SC(store->read(store->context, partition, &state, SC_ERROR), TM_OK);
    return state.position.commit;
}

static inline uint32_t sc_count_accounts(const tm_store *store, int32_t partition)
{
    sc_found *found = sc_found_new();
    SC(store->scan_accounts(store->context, partition, sc_visit, found, SC_ERROR), TM_OK);
    uint32_t count = found->count;
    free(found);
    return count;
}

/* ---- The promises ---- */

static inline void sc_nothing_is_kept_at_first(const tm_store *a)
{
    tm_store_state state;
    tm_slice blob;
    sc_found *found = sc_found_new();
    SC(a->check(a->context, SC_ERROR), TM_OK);
    SC(a->read(a->context, 1, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    cr_assert_eq(state.position.commit, 0);
    SC(a->scan_accounts(a->context, 1, sc_visit, found, SC_ERROR), TM_OK);
    SC(a->scan_fingerprints(a->context, 1, sc_visit, found, SC_ERROR), TM_OK);
    SC(a->scan_outbox(a->context, 1, -1, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 0);
    SC(a->get_account(a->context, 1, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data);
    /* a claim makes it no more present */
    SC(a->claim(a->context, 1, 5, 1, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    cr_assert_eq(state.position.next[TM_INPUT_USAGE], -1);
    cr_assert_eq(state.position.next[TM_INPUT_ACCOUNTS], -1);
    cr_assert_eq(state.position.commit, 0);
    cr_assert_gt(state.epoch, 0);
    SC(a->read(a->context, 1, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    free(found);
}

static inline void sc_a_commit_is_kept(const tm_store *a, const tm_store *b)
{
    sc_commit made;
    tm_store_state state;
    tm_slice blob;
    sc_found *found = sc_found_new();
    int64_t epoch = sc_claim(a, 2, 1);
    /* keys and blobs are any bytes */
    static const char odd_key[] = "a\r\n\0$7{x}";
    static const char odd_blob[] = "\0\r\n*3\r\n\xFF";
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("blob of acme")},
                                     {sc_text("empty"), sc_text("")},
                                     {{odd_key, sizeof(odd_key) - 1}, {odd_blob, sizeof(odd_blob) - 1}}};
    const tm_slice outputs[] = {sc_text("first"), sc_text("second"), sc_text("")};
    tm_store_commit *commit = sc_next(&made, 2, epoch, 1);
    static const char odd_meta[] = "m\0eta\r\n";
    commit->meta = (tm_slice){odd_meta, sizeof(odd_meta) - 1};
    commit->writes = writes;
    commit->write_count = 3;
    commit->outbox = outputs;
    commit->outbox_count = 3;
    commit->fingerprints = sc_text("prints of 1");
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    /* by the other worker too */
    SC(b->read(b->context, 2, &state, SC_ERROR), TM_OK);
    cr_assert(state.present);
    cr_assert(tm_position_equal(state.position, commit->position));
    cr_assert_eq(state.epoch, epoch);
    cr_assert(tm_slice_equal(state.meta, commit->meta));
    SC(b->get_account(b->context, 2, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "blob of acme"));
    SC(b->get_account(b->context, 2, sc_text("empty"), &blob, SC_ERROR), TM_OK);
    cr_assert_not_null(blob.data);
    cr_assert_eq(blob.length, 0);
    SC(b->get_account(b->context, 2, writes[2].account, &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal(blob, writes[2].blob));
    SC(b->get_account(b->context, 2, sc_text("acm"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data);
    SC(b->get_account(b->context, 3, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data, "shards do not mix");
    SC(b->scan_accounts(b->context, 2, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 3);
    cr_assert(sc_has(found, "acme", "blob of acme"));
    cr_assert(sc_has(found, "empty", ""));
    found->count = 0;
    SC(b->scan_outbox(b->context, 2, 0, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 3);
    cr_assert_str_eq(found->items[0].bytes, "first");
    cr_assert_eq(found->items[2].length, 0);
    cr_assert(found->items[0].key_absent);
    cr_assert_eq(found->items[1].commit, 1);
    found->count = 0;
    SC(b->scan_fingerprints(b->context, 2, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 1);
    cr_assert(found->items[0].key_absent);
    cr_assert_eq(found->items[0].commit, 1);
    cr_assert_eq(strncmp(found->items[0].bytes, "prints of 1", 11), 0);
    free(found);
}

static inline void sc_accounts_are_replaced_and_removed(const tm_store *a)
{
    sc_commit made;
    tm_slice blob;
    int64_t epoch = sc_claim(a, 4, 1);
    const tm_store_write first[] = {
        {sc_text("x"), sc_text("1")}, {sc_text("y"), sc_text("1")}, {sc_text("z"), sc_text("1")}};
    const tm_store_write second[] = {
        {sc_text("x"), {NULL, 0}}, {sc_text("y"), sc_text("2")}, {sc_text("never"), {NULL, 0}}};
    const tm_store_write third[] = {{sc_text("x"), sc_text("3")}};
    tm_store_commit *commit = sc_next(&made, 4, epoch, 1);
    commit->writes = first;
    commit->write_count = 3;
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    commit = sc_next(&made, 4, epoch, 2);
    commit->writes = second;
    commit->write_count = 3;
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    SC(a->get_account(a->context, 4, sc_text("x"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data);
    SC(a->get_account(a->context, 4, sc_text("y"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "2"));
    SC(a->get_account(a->context, 4, sc_text("z"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "1"));
    cr_assert_eq(sc_count_accounts(a, 4), 2);
    commit = sc_next(&made, 4, epoch, 3);
    commit->writes = third;
    commit->write_count = 1;
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    SC(a->get_account(a->context, 4, sc_text("x"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "3"));
}

static inline void sc_outputs_and_fingerprints_are_forgotten(const tm_store *a)
{
    sc_commit made;
    sc_found *found = sc_found_new();
    int64_t epoch = sc_claim(a, 5, 1);
    for (int64_t n = 1; n <= 12; n++) {
        char text[2][24];
        snprintf(text[0], sizeof(text[0]), "%lld/0", (long long)n);
        snprintf(text[1], sizeof(text[1]), "%lld/1", (long long)n);
        const tm_slice outputs[] = {sc_text(text[0]), sc_text(text[1])};
        tm_store_commit *commit = sc_next(&made, 5, epoch, n);
        commit->outbox = outputs;
        commit->outbox_count = n % 3 == 0 ? 0 : 2; /* not every commit has some */
        commit->outbox_published = n - 6;
        commit->fingerprints = n % 4 == 0 ? (tm_slice){NULL, 0} : sc_text(text[0]);
        commit->fingerprints_from = n - 4;
        SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    }
    /* published up to 6: what is left is of 7, 8, 10, 11; 9 and 12 had none */
    SC(a->scan_outbox(a->context, 5, -1, sc_visit, found, SC_ERROR), TM_OK);
    static const char *const left[] = {"7/0", "7/1", "8/0", "8/1", "10/0", "10/1", "11/0", "11/1"};
    cr_assert_eq(found->count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(strncmp(found->items[i].bytes, left[i], strlen(left[i]) + 1), 0, "%s", found->items[i].bytes);
    }
    cr_assert_eq(found->items[4].commit, 10);
    memset(found, 0, sizeof(*found));
    SC(a->scan_outbox(a->context, 5, 8, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 4);
    cr_assert_eq(found->items[0].commit, 10);
    memset(found, 0, sizeof(*found));
    SC(a->scan_outbox(a->context, 5, 12, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 0);
    /* from 8 on: 9, 10, 11 (8 and 12 had none) */
    SC(a->scan_fingerprints(a->context, 5, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(found->items[i].commit, 9 + i);
    }
    /* and all may go */
    tm_store_commit *commit = sc_next(&made, 5, epoch, 13);
    commit->outbox_published = 13;
    commit->fingerprints_from = 14;
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    memset(found, 0, sizeof(*found));
    SC(a->scan_outbox(a->context, 5, -1, sc_visit, found, SC_ERROR), TM_OK);
    SC(a->scan_fingerprints(a->context, 5, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 0);
    free(found);
}

static inline void sc_scans_end_when_told(const tm_store *a)
{
    sc_commit made;
    int64_t epoch = sc_claim(a, 6, 1);
    tm_store_write writes[300];
    char keys[300][16];
    tm_slice outputs[200];
    sc_found *found = sc_found_new();
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(keys[i], sizeof(keys[i]), "account %u", i);
        writes[i] = (tm_store_write){sc_text(keys[i]), sc_text(keys[i])};
        outputs[i % 200] = sc_text(keys[i]);
    }
    tm_store_commit *commit = sc_next(&made, 6, epoch, 1);
    commit->writes = writes;
    commit->write_count = 300;
    commit->outbox = outputs;
    commit->outbox_count = 200;
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    found->stop_after = 7;
    SC(a->scan_accounts(a->context, 6, sc_visit, found, SC_ERROR), TM_REJECT);
    cr_assert_eq(found->count, 7);
    found->count = 0;
    SC(a->scan_outbox(a->context, 6, -1, sc_visit, found, SC_ERROR), TM_REJECT);
    cr_assert_eq(found->count, 7);
    /* and the store goes on as if nothing had been */
    memset(found, 0, sizeof(*found));
    SC(a->scan_accounts(a->context, 6, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 300);
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert(sc_has(found, keys[i], keys[i]), "%s is there", keys[i]);
        cr_assert_eq(found->items[i].commit, 0);
    }
    memset(found, 0, sizeof(*found));
    SC(a->scan_outbox(a->context, 6, -1, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 200);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(strncmp(found->items[i].bytes, outputs[i].data, 64), 0, "in order");
    }
    free(found);
}

static inline void sc_who_lost_the_shard_cannot_write(const tm_store *a, const tm_store *b)
{
    sc_commit made;
    tm_slice blob;
    const tm_store_write stale[] = {{sc_text("acme"), sc_text("stale")}};
    int64_t epoch_a = sc_claim(a, 7, 1);
    SC(a->commit(a->context, sc_next(&made, 7, epoch_a, 1), SC_ERROR), TM_OK);
    int64_t epoch_b = sc_claim(b, 7, 2);
    cr_assert_gt(epoch_b, epoch_a);
    /* the position is as expected, the epoch is not */
    tm_store_commit *commit = sc_next(&made, 7, epoch_a, 2);
    commit->writes = stale;
    commit->write_count = 1;
    SC(a->commit(a->context, commit, SC_ERROR), TM_REJECT);
    cr_assert_eq(sc_stored_commit(a, 7), 1);
    SC(b->commit(b->context, sc_next(&made, 7, epoch_b, 2), SC_ERROR), TM_OK);
    /* neither is */
    commit = sc_next(&made, 7, epoch_a, 2);
    commit->writes = stale;
    commit->write_count = 1;
    SC(a->commit(a->context, commit, SC_ERROR), TM_REJECT);
    /* the epoch is, the position is not: an answer of our own was lost */
    SC(b->commit(b->context, sc_next(&made, 7, epoch_b, 2), SC_ERROR), TM_REJECT);
    SC(b->commit(b->context, sc_next(&made, 7, epoch_b, 4), SC_ERROR), TM_REJECT);
    SC(b->commit(b->context, sc_next(&made, 7, epoch_b, 1), SC_ERROR), TM_REJECT);
    /* one offset of the vector differs, or only n does */
    commit = sc_next(&made, 7, epoch_b, 3);
    commit->expected.next[TM_INPUT_ACCOUNTS]++;
    SC(b->commit(b->context, commit, SC_ERROR), TM_REJECT);
    commit = sc_next(&made, 7, epoch_b, 3);
    commit->expected.next[TM_INPUT_USAGE]--;
    SC(b->commit(b->context, commit, SC_ERROR), TM_REJECT);
    commit = sc_next(&made, 7, epoch_b, 3);
    commit->expected.commit = 1;
    SC(b->commit(b->context, commit, SC_ERROR), TM_REJECT);
    cr_assert_eq(sc_stored_commit(a, 7), 2);
    SC(b->get_account(b->context, 7, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data, "nothing of a refused commit is written");
    /* and after all the refusals the owner goes on */
    SC(b->commit(b->context, sc_next(&made, 7, epoch_b, 3), SC_ERROR), TM_OK);
    /* a shard that is there is not begun again; one that is not is not gone on with; one never claimed is refused */
    commit = sc_next(&made, 7, epoch_b, 5);
    commit->expected = sc_position(-1, -1, 0);
    SC(b->commit(b->context, commit, SC_ERROR), TM_REJECT);
    int64_t epoch = sc_claim(b, 8, 1);
    SC(b->commit(b->context, sc_next(&made, 8, epoch, 2), SC_ERROR), TM_REJECT);
    SC(b->commit(b->context, sc_next(&made, 9, 1, 1), SC_ERROR), TM_REJECT);
    cr_assert_eq(sc_stored_commit(b, 8), 0);
    cr_assert_eq(sc_stored_commit(b, 9), 0);
}

static inline void sc_a_commit_moves_on(const tm_store *a)
{
    sc_commit made;
    int64_t epoch = sc_claim(a, 10, 1);
    SC(a->commit(a->context, sc_next(&made, 10, epoch, 1), SC_ERROR), TM_OK);
    /* the same number again is a mistake of the caller's */
    tm_store_commit *commit = sc_next(&made, 10, epoch, 2);
    commit->position.commit = 1;
    SC(a->commit(a->context, commit, SC_ERROR), TM_FATAL);
    /* time alone may pass: n moves, the offsets do not */
    commit = sc_next(&made, 10, epoch, 2);
    commit->position.next[TM_INPUT_USAGE] = commit->expected.next[TM_INPUT_USAGE];
    commit->position.next[TM_INPUT_ACCOUNTS] = commit->expected.next[TM_INPUT_ACCOUNTS];
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    cr_assert_eq(sc_stored_commit(a, 10), 2);
}

static inline void sc_a_newer_generation_keeps_the_shard(const tm_store *a, const tm_store *b)
{
    tm_store_state state;
    sc_commit made;
    int64_t epoch = sc_claim(a, 11, 7);
    SC(b->claim(b->context, 11, 6, 1, &state, SC_ERROR), TM_REJECT);
    SC(a->commit(a->context, sc_next(&made, 11, epoch, 1), SC_ERROR), TM_OK); /* the refused claim changed nothing */
    /* a static member that restarted has the same generation */
    SC(b->claim(b->context, 11, 7, 1, &state, SC_ERROR), TM_OK);
    cr_assert_gt(state.epoch, epoch);
    cr_assert(state.present);
    cr_assert_eq(state.position.commit, 1);
    cr_assert(tm_slice_equal_text(state.meta, "meta 1"));
    SC(a->claim(a->context, 11, 8, 1, &state, SC_ERROR), TM_OK);
    /* who does not know its generation is not held back by it, and does not make the others forget it */
    SC(a->claim(a->context, 11, -1, 1, &state, SC_ERROR), TM_OK);
    SC(b->claim(b->context, 11, 7, 1, &state, SC_ERROR), TM_REJECT);
    /* the epoch rises by what the claim says, and by no less than one */
    epoch = sc_claim(a, 11, 8);
    SC(a->claim(a->context, 11, 8, TM_EPOCH_RAISE_MAX, &state, SC_ERROR), TM_OK);
    cr_assert_eq(state.epoch, epoch + TM_EPOCH_RAISE_MAX);
    SC(a->claim(a->context, 11, 8, 0, &state, SC_ERROR), TM_FATAL);
    SC(a->claim(a->context, 11, 8, TM_EPOCH_RAISE_MAX + 1, &state, SC_ERROR), TM_FATAL);
    SC(a->read(a->context, 11, &state, SC_ERROR), TM_OK);
    cr_assert_eq(state.epoch, epoch + TM_EPOCH_RAISE_MAX);
    SC(a->commit(a->context, sc_next(&made, 11, epoch, 2), SC_ERROR), TM_REJECT);
    SC(a->commit(a->context, sc_next(&made, 11, state.epoch, 2), SC_ERROR), TM_OK);
    /* a group made anew counts from 1 again: the former generation is forgotten */
    (void)sc_claim(b, 11, TM_GENERATION_ANEW);
    (void)sc_claim(a, 11, 1);
}

static inline void sc_removed_is_removed(const tm_store *a, const tm_store *b)
{
    sc_commit made;
    tm_store_state state;
    tm_slice blob;
    sc_found *found = sc_found_new();
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("blob")}, {sc_text("other"), sc_text("blob")}};
    const tm_slice outputs[] = {sc_text("output")};
    for (int32_t partition = 12; partition <= 13; partition++) {
        tm_store_commit *commit = sc_next(&made, partition, sc_claim(a, partition, 3), 1);
        commit->writes = writes;
        commit->write_count = 2;
        commit->outbox = outputs;
        commit->outbox_count = 1;
        commit->fingerprints = sc_text("prints");
        SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    }
    SC(b->remove(b->context, 12, SC_ERROR), TM_OK);
    SC(b->remove(b->context, 12, SC_ERROR), TM_OK); /* twice is no harm */
    SC(a->read(a->context, 12, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    SC(a->scan_accounts(a->context, 12, sc_visit, found, SC_ERROR), TM_OK);
    SC(a->scan_outbox(a->context, 12, -1, sc_visit, found, SC_ERROR), TM_OK);
    SC(a->scan_fingerprints(a->context, 12, sc_visit, found, SC_ERROR), TM_OK);
    cr_assert_eq(found->count, 0);
    SC(a->get_account(a->context, 12, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data);
    cr_assert_eq(sc_count_accounts(a, 13), 2, "its neighbour is whole");
    /* the owner of before cannot go on; after a claim of any generation it may begin anew, even at a lower n */
    SC(a->commit(a->context, sc_next(&made, 12, 1, 2), SC_ERROR), TM_REJECT);
    int64_t epoch = sc_claim(a, 12, 1);
    tm_store_commit *commit = sc_next(&made, 12, epoch, 1);
    commit->outbox = outputs;
    commit->outbox_count = 1;
    commit->fingerprints = sc_text("prints");
    SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    free(found);
}

static inline void sc_the_group_settles_once(const tm_store *a, const tm_store *b)
{
    int64_t value = 0;
    SC(a->settle_group(a->context, "counting-start", 42, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, 42);
    SC(b->settle_group(b->context, "counting-start", 43, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, 42, "the first proposal wins");
    SC(b->settle_group(b->context, "partitions", -6, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, -6);
    SC(a->settle_group(a->context, "partitions", 0, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, -6);
    SC(a->settle_group(a->context, "least", INT64_MIN + 1, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, INT64_MIN + 1);
    SC(a->settle_group(a->context, "", 1, &value, SC_ERROR), TM_FATAL);
}

/* More accounts than one command of any adapter takes, in commits that replace, remove and add, against a plain array.
 */
static inline void sc_many_accounts(const tm_store *a)
{
    enum { KEYS = 3000, ROUNDS = 6 };
    static int kept[KEYS]; /* the round whose blob is kept, 0: none */
    static char keys[KEYS][16];
    static char blobs[KEYS][80];
    static tm_store_write writes[KEYS];
    uint64_t random = 12345;
    sc_commit made;
    int64_t epoch = sc_claim(a, 14, 1);
    memset(kept, 0, sizeof(kept));
    for (int round = 1; round <= ROUNDS; round++) {
        uint32_t count = 0;
        for (int i = 0; i < KEYS; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            uint32_t dice = (uint32_t)(random >> 60);
            snprintf(keys[i], sizeof(keys[i]), "k%d", i);
            snprintf(blobs[i], sizeof(blobs[i]), "blob of k%d in round %d, and some length to it", i, round);
            if (round == 1 || dice < 6) {
                writes[count++] = (tm_store_write){sc_text(keys[i]), sc_text(blobs[i])};
                kept[i] = round;
            } else if (dice == 6) {
                writes[count++] = (tm_store_write){sc_text(keys[i]), {NULL, 0}};
                kept[i] = 0;
            }
        }
        tm_store_commit *commit = sc_next(&made, 14, epoch, round);
        commit->writes = writes;
        commit->write_count = count;
        SC(a->commit(a->context, commit, SC_ERROR), TM_OK);
    }
    uint32_t left = 0;
    for (int i = 0; i < KEYS; i++) {
        tm_slice blob;
        char wanted[80];
        left += kept[i] != 0 ? 1 : 0;
        if (i % 7 == 0) {
            SC(a->get_account(a->context, 14, sc_text(keys[i]), &blob, SC_ERROR), TM_OK);
            snprintf(wanted, sizeof(wanted), "blob of k%d in round %d, and some length to it", i, kept[i]);
            cr_assert(kept[i] == 0 ? blob.data == NULL : tm_slice_equal_text(blob, wanted), "%s", keys[i]);
        }
    }
    cr_assert_gt(left, 2000);
    cr_assert_lt(left, KEYS);
}

static inline void store_contract(const tm_store *a, const tm_store *b)
{
    sc_nothing_is_kept_at_first(a);
    sc_a_commit_is_kept(a, b);
    sc_accounts_are_replaced_and_removed(a);
    sc_outputs_and_fingerprints_are_forgotten(a);
    sc_scans_end_when_told(a);
    sc_who_lost_the_shard_cannot_write(a, b);
    sc_a_commit_moves_on(a);
    sc_a_newer_generation_keeps_the_shard(a, b);
    sc_removed_is_removed(a, b);
    sc_the_group_settles_once(a, b);
    sc_many_accounts(a);
}

#endif
