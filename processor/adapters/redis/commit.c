/* The commit: three exchanges, of which only the last can write.

     1  WATCH meta · HMGET meta position epoch buckets · MULTI     R, n and epoch as expected? MULTI taken?
     2  writes …                                                   every one queued?
     3  EXEC                                                       nil -> meta was touched: TM_REJECT

   What is not as it should be after 1 or 2: DISCARD or a closed connection, TM_REJECT or TM_RETRY. Writes are not sent
   in one piece with MULTI: where it is refused and they are not (a user without the right, a script that ends just
   then), each would be executed by itself.
   An answer lost in 1 or 2 is certainly no commit; an answer lost in 3 is unknown, and the EXEC may even still lie
   unread before a server that was held up: read() touches meta first, so that it fails if it comes after. A check by
   script in the same exchange as EXEC would save round trips, but whatever keeps the script from running (busy, not
   permitted, unknown after a restart) would let EXEC write unchecked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"

/* Sorts the writes by bucket: order[starts[b] .. starts[b + 1]) are those of bucket b, as given. */
static tm_status sort_writes(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets, tm_error *error)
{
    if (store->order_capacity < commit->write_count) {
        uint32_t *order = reallocarray(NULL, commit->write_count, 2 * sizeof(*order));
        if (order == NULL) {
            return tm_fail(error, TM_FATAL, "out of memory");
        }
        free(store->order);
        store->order = order;
        store->order_capacity = commit->write_count;
    }
    if (store->starts_capacity < buckets + 1) {
        uint32_t *starts = reallocarray(NULL, (size_t)buckets + 1, sizeof(*starts));
        if (starts == NULL) {
            return tm_fail(error, TM_FATAL, "out of memory");
        }
        free(store->starts);
        store->starts = starts;
        store->starts_capacity = buckets + 1;
    }
    uint32_t *starts = store->starts;
    uint32_t *bucket_of = store->order + commit->write_count;
    memset(starts, 0, ((size_t)buckets + 1) * sizeof(*starts));
    for (uint32_t i = 0; i < commit->write_count; i++) {
        bucket_of[i] = tm_redis_bucket_of(commit->writes[i].account, buckets);
        starts[bucket_of[i]]++;
    }
    uint32_t sum = 0;
    for (uint32_t b = 0; b < buckets; b++) {
        sum += starts[b];
        starts[b] = sum;
    }
    starts[buckets] = sum;
    for (uint32_t i = commit->write_count; i-- > 0;) {
        store->order[--starts[bucket_of[i]]] = i;
    }
    return TM_OK;
}

/* HSET or HDEL of one bucket's writes, at most TM_REDIS_FIELDS_MAX a command. Returns the number of commands. */
static uint32_t put_bucket(tm_redis_store *store, const tm_store_commit *commit, uint32_t bucket, bool removals)
{
    tm_redis_connection *connection = store->connection;
    uint32_t commands = 0;
    uint32_t at = store->starts[bucket];
    uint32_t end = store->starts[bucket + 1];
    while (at < end) {
        uint32_t fields = 0;
        uint32_t stop = at;
        for (; stop < end && fields < TM_REDIS_FIELDS_MAX; stop++) {
            fields += (commit->writes[store->order[stop]].blob.data == NULL) == removals ? 1 : 0;
        }
        if (fields > 0) {
            tm_redis_command(connection, 2 + fields * (removals ? 1 : 2));
            tm_redis_argument_text(connection, removals ? "HDEL" : "HSET");
            tm_redis_argument_bucket(store, commit->partition, bucket);
            commands++;
        }
        for (; at < stop; at++) {
            const tm_store_write *write = &commit->writes[store->order[at]];
            if ((write->blob.data == NULL) == removals) {
                tm_redis_argument(connection, write->account);
                if (!removals) {
                    tm_redis_argument(connection, write->blob);
                }
            }
        }
    }
    return commands;
}

static void put_entry(tm_redis_store *store, int32_t partition, const char *suffix, int64_t commit, uint32_t index,
                      tm_slice bytes)
{
    tm_redis_connection *connection = store->connection;
    char id[48];
    snprintf(id, sizeof(id), "%" PRId64 "-%" PRIu32, commit, index);
    tm_redis_command(connection, 5);
    tm_redis_argument_text(connection, "XADD");
    tm_redis_argument_key(store, partition, suffix);
    tm_redis_argument_text(connection, id);
    tm_redis_argument_text(connection, "b");
    tm_redis_argument(connection, bytes);
}

static void put_trim(tm_redis_store *store, int32_t partition, const char *suffix, int64_t least)
{
    tm_redis_connection *connection = store->connection;
    tm_redis_command(connection, 5);
    tm_redis_argument_text(connection, "XTRIM");
    tm_redis_argument_key(store, partition, suffix);
    tm_redis_argument_text(connection, "MINID");
    tm_redis_argument_text(connection, "=");
    tm_redis_argument_integer(connection, least > 0 ? least : 0);
}

static void format_position(tm_position position, char *text, size_t size)
{
    snprintf(text, size, "%" PRId64 ":%" PRId64 ":%" PRId64, position.next[TM_INPUT_USAGE],
             position.next[TM_INPUT_ACCOUNTS], position.commit);
}

enum { POSITION_TEXT = 80 };

/* Whether the commit writes to this key, beside removals of accounts. */
static bool touches(const tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets, uint32_t key)
{
    if (key == buckets + TM_REDIS_OUT) {
        return commit->outbox_count > 0;
    }
    if (key == buckets + TM_REDIS_DUP) {
        return commit->fingerprints.length > 0;
    }
    return store->starts[key] != store->starts[key + 1];
}

/* EXISTS of what it touches and knows to be there. Returns how many keys these are. */
static uint32_t put_exists(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets)
{
    const tm_redis_shard *shard = tm_redis_shard_of(store, commit->partition);
    uint32_t count = 0;
    for (int put = 0; put < 2; put++) {
        if (put != 0 && count > 0) {
            tm_redis_command(store->connection, 1 + count);
            tm_redis_argument_text(store->connection, "EXISTS");
        }
        for (uint32_t key = 0; key < buckets + TM_REDIS_STREAMS; key++) {
            if (!tm_redis_held(shard, key) || !touches(store, commit, buckets, key)) {
                continue;
            }
            if (put == 0) {
                count++;
            } else {
                tm_redis_argument_held(store, commit->partition, buckets, key);
            }
        }
    }
    return count;
}

/* What the commit leaves there: before it is tried, only what it may take away is noted; then what it put. */
static void note_held(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets, bool done)
{
    tm_redis_shard *shard = tm_redis_shard_of(store, commit->partition);
    for (uint32_t key = 0; store->cluster != NULL && key < buckets + TM_REDIS_STREAMS; key++) {
        bool puts = touches(store, commit, buckets, key);
        if (!puts) {
            continue;
        }
        if (key < buckets) {
            puts = false;
            for (uint32_t i = store->starts[key]; i < store->starts[key + 1]; i++) {
                puts = puts || commit->writes[store->order[i]].blob.data != NULL;
            }
        }
        if (puts == done) {
            tm_redis_held_note(store, shard, key, puts);
        }
    }
}

/* The first exchange; returns how many keys have to be there. */
static uint32_t put_check(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets)
{
    tm_redis_connection *connection = store->connection;
    int32_t partition = commit->partition;
    tm_redis_begin(connection);
    tm_redis_command(connection, 2);
    tm_redis_argument_text(connection, "WATCH");
    tm_redis_argument_key(store, partition, "meta");
    tm_redis_command(connection, 5);
    tm_redis_argument_text(connection, "HMGET");
    tm_redis_argument_key(store, partition, "meta");
    tm_redis_argument_text(connection, "position");
    tm_redis_argument_text(connection, "epoch");
    tm_redis_argument_text(connection, "buckets");
    uint32_t held = put_exists(store, commit, buckets);
    tm_redis_command(connection, 1);
    tm_redis_argument_text(connection, "MULTI");
    return held;
}

/* The second exchange; returns how many writes it has. */
static uint32_t put_writes(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets)
{
    tm_redis_connection *connection = store->connection;
    int32_t partition = commit->partition;
    uint32_t writes = 0;
    char position[POSITION_TEXT];
    tm_redis_begin(connection);
    if (commit->expected.commit == 0) {
        /* The first: what may be left of another, whose meta is gone, is not of this one. */
        writes += tm_redis_put_unlink(store, partition, buckets);
    }
    for (uint32_t b = 0; b < buckets; b++) {
        if (store->starts[b] != store->starts[b + 1]) {
            writes += put_bucket(store, commit, b, false);
            writes += put_bucket(store, commit, b, true);
        }
    }
    if (commit->fingerprints.length > 0) {
        put_entry(store, partition, "dup", commit->position.commit, 1, commit->fingerprints);
        writes++;
    }
    put_trim(store, partition, "dup", commit->fingerprints_from);
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        put_entry(store, partition, "out", commit->position.commit, i + 1, commit->outbox[i]);
        writes++;
    }
    put_trim(store, partition, "out", commit->outbox_published < INT64_MAX ? commit->outbox_published + 1 : INT64_MAX);
    format_position(commit->position, position, sizeof(position));
    tm_redis_command(connection, 8);
    tm_redis_argument_text(connection, "HSET");
    tm_redis_argument_key(store, partition, "meta");
    tm_redis_argument_text(connection, "position");
    tm_redis_argument_text(connection, position);
    tm_redis_argument_text(connection, "epoch");
    tm_redis_argument_integer(connection, commit->epoch);
    tm_redis_argument_text(connection, "meta");
    tm_redis_argument(connection, commit->meta);
    return writes + 3;
}

typedef enum check { GO, NOT_OURS, OTHER_BUCKETS } check;

/* Compares what is stored with what the commit expects. */
static tm_status judge(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets,
                       const tm_redis_reply *reply, check *ret_check, tm_error *error)
{
    char expected[POSITION_TEXT];
    char epoch[24];
    int64_t stored_buckets = 0;
    *ret_check = NOT_OURS;
    if (tm_redis_reply_count(reply) != 3) {
        return tm_redis_strange(store, "HMGET", error);
    }
    tm_slice position = tm_redis_reply_text(tm_redis_reply_at(reply, 0));
    tm_slice stored_epoch = tm_redis_reply_text(tm_redis_reply_at(reply, 1));
    format_position(commit->expected, expected, sizeof(expected));
    snprintf(epoch, sizeof(epoch), "%" PRId64, commit->epoch);
    bool position_agrees =
        commit->expected.commit == 0 ? position.data == NULL : tm_slice_equal_text(position, expected);
    if (!position_agrees || !tm_slice_equal_text(stored_epoch, epoch)) {
        tm_fail(error, TM_REJECT,
                "shard %" PRId32 ": Redis holds position %.*s and epoch %.*s, this worker expected %s and %s",
                commit->partition, position.data != NULL ? (int)position.length : 4,
                position.data != NULL ? position.data : "none",
                stored_epoch.data != NULL ? (int)stored_epoch.length : 4,
                stored_epoch.data != NULL ? stored_epoch.data : "none",
                commit->expected.commit == 0 ? "none" : expected, epoch);
        return TM_OK;
    }
    bool readable = tm_redis_integer(tm_redis_reply_text(tm_redis_reply_at(reply, 2)), &stored_buckets);
    *ret_check = readable && stored_buckets == (int64_t)buckets ? GO : OTHER_BUCKETS;
    return TM_OK;
}

/* Keys that this worker put there are not there, and meta is: they are elsewhere. */
static tm_status judge_held(tm_redis_store *store, const tm_store_commit *commit, uint32_t held,
                            const tm_redis_reply *reply, tm_error *error)
{
    if (tm_redis_reply_type(reply) == TM_REDIS_INTEGER && tm_redis_reply_integer(reply) == held) {
        return TM_OK;
    }
    tm_fail(error, TM_RETRY,
            "shard %" PRId32 ": of %" PRIu32 " keys that were written before, Redis at %s has %" PRId64
            ": a move of their slot was broken off",
            commit->partition, held, tm_redis_connection_name(store->connection), tm_redis_reply_integer(reply));
    tm_error_hint(error, "bring the keys to where their slot is: redis-cli --cluster fix");
    return TM_RETRY;
}

/* Reads the answers of the first exchange to the last. */
static tm_status read_check(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets, uint32_t held,
                            check *ret_check, tm_error *error)
{
    tm_status status = TM_OK;
    tm_redis_reply *reply = NULL;
    uint32_t exists = held > 0 ? 2 : UINT32_MAX; /* where EXISTS is, if it is */
    uint32_t multi = held > 0 ? 3 : 2;
    *ret_check = NOT_OURS;
    for (uint32_t i = 0; i <= multi && status == TM_OK; i++) {
        status = tm_redis_receive(store->connection, &reply, error);
        if (status != TM_OK) {
            break;
        }
        if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
            const char *doing = i == 0 ? "WATCH" : i == 1 ? "HMGET" : i == multi ? "MULTI" : "EXISTS";
            status = tm_redis_refused(store, tm_redis_reply_text(reply), doing, error);
        } else if (i == 1) {
            status = judge(store, commit, buckets, reply, ret_check, error);
            TM_CRASH_POINT("redis_commit_read");
        } else if (i == exists) {
            status = *ret_check == GO ? judge_held(store, commit, held, reply, error) : TM_OK;
        } else if (tm_redis_reply_type(reply) != TM_REDIS_TEXT ||
                   !tm_slice_equal_text(tm_redis_reply_text(reply), "OK")) {
            status = tm_redis_strange(store, i == 0 ? "WATCH" : "MULTI", error);
        }
        tm_redis_reply_free(reply);
        reply = NULL;
    }
    if (status != TM_OK) {
        tm_redis_disconnect(store->connection); /* and with it the WATCH and what MULTI began */
    }
    return status;
}

/* Sends the writes behind the MULTI that was taken, and reads that each is queued. */
static tm_status queue_writes(tm_redis_store *store, const tm_store_commit *commit, uint32_t buckets,
                              uint32_t *ret_writes, tm_error *error)
{
    tm_redis_reply *reply = NULL;
    *ret_writes = put_writes(store, commit, buckets);
    TM_CRASH_POINT("redis_commit_put");
    tm_status status = tm_redis_send_more(store->connection, error);
    TM_CRASH_POINT("redis_commit_queue_sent");
    for (uint32_t i = 0; i < *ret_writes && status == TM_OK; i++) {
        status = tm_redis_receive(store->connection, &reply, error);
        if (status != TM_OK) {
            break;
        }
        if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
            status = tm_redis_refused(store, tm_redis_reply_text(reply), "a commit", error);
        } else if (tm_redis_reply_type(reply) != TM_REDIS_TEXT ||
                   !tm_slice_equal_text(tm_redis_reply_text(reply), "QUEUED")) {
            status = tm_redis_strange(store, "a commit", error);
        }
        tm_redis_reply_free(reply);
        reply = NULL;
    }
    if (status != TM_OK) {
        tm_redis_disconnect(store->connection); /* discards what is queued */
    }
    return status;
}

/* The third exchange. */
static tm_status execute(tm_redis_store *store, const tm_store_commit *commit, uint32_t writes, tm_error *error)
{
    tm_redis_reply *reply = NULL;
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 1);
    tm_redis_argument_text(store->connection, "EXEC");
    TM_CRASH_POINT("redis_exec_before");
    tm_status status = tm_redis_send_more(store->connection, error);
    TM_CRASH_POINT("redis_exec_sent");
    if (status == TM_OK) {
        status = tm_redis_receive(store->connection, &reply, error);
    }
    if (status != TM_OK) {
        tm_redis_shard_of(store, commit->partition)->in_doubt = true; /* perhaps it is not even executed yet */
        goto out;
    }
    if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) { /* nothing was written, and nothing may stay queued */
        status = tm_redis_refused(store, tm_redis_reply_text(reply), "EXEC", error);
        tm_redis_disconnect(store->connection);
        goto out;
    }
    if (tm_redis_reply_type(reply) == TM_REDIS_NIL) {
        status = tm_fail(error, TM_REJECT, "shard %" PRId32 " was claimed or written by another while we committed",
                         commit->partition);
        goto out;
    }
    TM_CRASH_POINT("redis_exec_answered");
    if (tm_redis_reply_count(reply) != writes) {
        status = tm_redis_strange(store, "EXEC", error);
        goto out;
    }
    for (uint32_t i = 0; i < writes; i++) {
        const tm_redis_reply *one = tm_redis_reply_at(reply, i);
        if (tm_redis_reply_type(one) == TM_REDIS_ERROR) {
            /* Redis does not roll back: the rest was written. */
            tm_slice text = tm_redis_reply_text(one);
            status = tm_fail(
                error, TM_FATAL, "shard %" PRId32 ": write %" PRIu32 " of commit %" PRId64 " failed inside EXEC: %.*s",
                commit->partition, i, commit->position.commit, (int)(text.length < 300 ? text.length : 300), text.data);
            tm_error_hint(error,
                          "the shard's state in Redis is not whole: remove the shard, so that it is rebuilt "
                          "from the log, after finding out who else writes under the prefix '%s'",
                          store->prefix);
            break;
        }
    }
out:
    tm_redis_reply_free(reply);
    return status;
}

static void discard(tm_redis_store *store)
{
    tm_redis_reply *reply = NULL;
    TM_CRASH_POINT("redis_discard");
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 1);
    tm_redis_argument_text(store->connection, "DISCARD");
    if (tm_redis_send_more(store->connection, NULL) != TM_OK ||
        tm_redis_receive(store->connection, &reply, NULL) != TM_OK || tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        tm_redis_disconnect(store->connection); /* discards as well */
    }
    tm_redis_reply_free(reply);
}

tm_status tm_redis_commit(void *context, const tm_store_commit *commit, tm_error *error)
{
    tm_redis_store *store = context;
    uint32_t buckets = 0;
    check found = NOT_OURS;
    tm_status status = TM_OK;
    tm_redis_reply_free(store->kept);
    store->kept = NULL;
    if (commit->position.commit <= commit->expected.commit) {
        return tm_fail(error, TM_FATAL, "shard %" PRId32 ": a commit must have a greater number than the one before it",
                       commit->partition);
    }
    if (!tm_redis_shard_known(store, commit->partition, &buckets)) {
        status = tm_redis_buckets(store, commit->partition, &buckets, error);
        if (status == TM_OK && buckets == 0) {
            return tm_fail(error, TM_REJECT, "shard %" PRId32 ": Redis holds no claim of it", commit->partition);
        }
    }
    if (status == TM_OK) {
        status = sort_writes(store, commit, buckets, error);
    }
    if (status != TM_OK) {
        return tm_redis_patient(status);
    }
    uint32_t writes = 0;
    uint32_t held = put_check(store, commit, buckets);
    status = tm_redis_send(store->connection, error);
    if (status == TM_OK) {
        status = read_check(store, commit, buckets, held, &found, error);
    }
    if (status == TM_OK && found == GO) {
        status = queue_writes(store, commit, buckets, &writes, error);
        TM_CRASH_POINT("redis_commit_queued");
    }
    if (status != TM_OK) {
        return tm_redis_patient(status);
    }
    switch (found) {
    case GO:
        note_held(store, commit, buckets, false);
        status = execute(store, commit, writes, error);
        if (status == TM_OK) {
            note_held(store, commit, buckets, true);
        }
        return status;
    case OTHER_BUCKETS: /* removed and claimed again under another configuration: the next attempt asks anew */
        discard(store);
        tm_redis_held_forget(tm_redis_shard_of(store, commit->partition));
        tm_redis_shard_of(store, commit->partition)->buckets = 0;
        return tm_fail(error, TM_RETRY, "shard %" PRId32 " has another number of buckets than before",
                       commit->partition);
    case NOT_OURS:
    default:
        discard(store);
        return TM_REJECT;
    }
}
