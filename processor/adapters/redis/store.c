#include "tidemark/adapters/redis/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"
#include "tidemark/adapters/redis/condition.h"
#include "tidemark/base/hash.h"

enum {
    ANSWER_SHOWN = 160, /* bytes of an error answer: what to do about it has to fit behind it */
    NAME_MAX_BYTES = 64,
    CLAIM_ATTEMPTS = 16 /* others that claim at the same instant; each of them got through once */
};

/* ---- Keys and answers ---- */

void tm_redis_argument_key(tm_redis_store *store, int32_t partition, const char *suffix)
{
    char key[TM_REDIS_KEY_MAX];
    int length = snprintf(key, sizeof(key), "%s:{%s/%" PRId32 "}:%s", store->prefix, store->group, partition, suffix);
    tm_redis_argument(store->connection, (tm_slice){key, (size_t)length});
}

void tm_redis_argument_bucket(tm_redis_store *store, int32_t partition, uint32_t bucket)
{
    char suffix[24];
    snprintf(suffix, sizeof(suffix), "a:%" PRIu32, bucket);
    tm_redis_argument_key(store, partition, suffix);
}

bool tm_redis_integer(tm_slice text, int64_t *ret_value)
{
    uint64_t value = 0;
    bool negative = text.length > 0 && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    if (text.data == NULL || i == text.length || text.length - i > 19) {
        return false;
    }
    for (; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0'); /* 19 digits fit 64 bits */
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    /* INT64_MIN counts: it is how "no instant" is written. */
    *ret_value = (int64_t)(negative ? 0 - value : value);
    return true;
}

tm_status tm_redis_refused(tm_redis_store *store, tm_slice answer, const char *doing, tm_error *error)
{
    const tm_redis_condition *condition = tm_redis_condition_of(answer);
    tm_status status = tm_fail(error, condition->status, "Redis at %s answers %s with: %.*s",
                               tm_redis_connection_name(store->connection), doing,
                               (int)(answer.length < ANSWER_SHOWN ? answer.length : ANSWER_SHOWN), answer.data);
    if (condition->hint != NULL) {
        tm_error_hint(error, "%s", condition->hint);
    }
    if (strcmp(condition->word, "MOVED") == 0) {
        tm_redis_cluster_moved(store, answer);
    }
    if (condition->leave) {
        tm_redis_disconnect(store->connection);
    }
    return status;
}

tm_status tm_redis_strange(tm_redis_store *store, const char *doing, tm_error *error)
{
    tm_redis_disconnect(store->connection);
    return tm_fail(error, TM_RETRY, "Redis at %s answers %s with something that this command never answers",
                   tm_redis_connection_name(store->connection), doing);
}

tm_status tm_redis_patient(tm_status status)
{
    return status == TM_REJECT ? TM_RETRY : status;
}

tm_status tm_redis_ask(tm_redis_store *store, const char *doing, tm_redis_reply **ret_reply, tm_error *error)
{
    tm_status status = tm_redis_send(store->connection, error);
    *ret_reply = NULL;
    if (status == TM_OK) {
        status = tm_redis_receive(store->connection, ret_reply, error);
    }
    if (status == TM_OK && tm_redis_reply_type(*ret_reply) == TM_REDIS_ERROR) {
        status = tm_redis_refused(store, tm_redis_reply_text(*ret_reply), doing, error);
        tm_redis_reply_free(*ret_reply);
        *ret_reply = NULL;
    }
    return status;
}

static void forget_kept(tm_redis_store *store)
{
    tm_redis_reply_free(store->kept);
    store->kept = NULL;
}

/* ---- Buckets ---- */

uint32_t tm_redis_bucket_of(tm_slice account, uint32_t buckets)
{
    return (uint32_t)(tm_hash(account) & (buckets - 1));
}

tm_redis_shard *tm_redis_shard_of(tm_redis_store *store, int32_t partition)
{
    for (uint32_t i = 0; i < store->shard_count; i++) {
        if (store->shards[i].partition == partition) {
            return &store->shards[i];
        }
    }
    return NULL;
}

bool tm_redis_shard_known(tm_redis_store *store, int32_t partition, uint32_t *ret_buckets)
{
    const tm_redis_shard *found = tm_redis_shard_of(store, partition);
    *ret_buckets = found != NULL ? found->buckets : 0;
    return *ret_buckets != 0;
}

tm_status tm_redis_shard_remember(tm_redis_store *store, int32_t partition, uint32_t buckets, tm_error *error)
{
    tm_redis_shard *found = tm_redis_shard_of(store, partition);
    if (found != NULL) {
        if (found->buckets != buckets) {
            tm_redis_held_forget(found);
        }
        found->buckets = buckets;
        return TM_OK;
    }
    if (store->shard_count == store->shard_capacity) {
        uint32_t capacity = store->shard_capacity == 0 ? 16 : store->shard_capacity * 2;
        tm_redis_shard *shards = reallocarray(store->shards, capacity, sizeof(*shards));
        if (shards == NULL) {
            return tm_fail(error, TM_FATAL, "out of memory");
        }
        store->shards = shards;
        store->shard_capacity = capacity;
    }
    store->shards[store->shard_count++] = (tm_redis_shard){.partition = partition, .buckets = buckets};
    return TM_OK;
}

bool tm_redis_buckets_valid(int64_t buckets)
{
    return buckets > 0 && buckets <= TM_REDIS_BUCKETS_MAX && (buckets & (buckets - 1)) == 0;
}

/* ---- What is kept of a shard ---- */

enum { META_FIELDS = 5 }; /* of meta: position, epoch, generation, buckets, meta */

static void put_read(tm_redis_store *store, int32_t partition)
{
    static const char *const fields[META_FIELDS] = {"position", "epoch", "generation", "buckets", "meta"};
    tm_redis_command(store->connection, 2 + META_FIELDS);
    tm_redis_argument_text(store->connection, "HMGET");
    tm_redis_argument_key(store, partition, "meta");
    for (size_t i = 0; i < META_FIELDS; i++) {
        tm_redis_argument_text(store->connection, fields[i]);
    }
}

static bool parse_position(tm_slice text, tm_position *ret_position)
{
    const char *end = text.data + text.length;
    const char *first = memchr(text.data, ':', text.length);
    const char *second = first != NULL ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    return second != NULL &&
           tm_redis_integer((tm_slice){text.data, (size_t)(first - text.data)}, &ret_position->next[TM_INPUT_USAGE]) &&
           tm_redis_integer((tm_slice){first + 1, (size_t)(second - first - 1)},
                            &ret_position->next[TM_INPUT_ACCOUNTS]) &&
           tm_redis_integer((tm_slice){second + 1, (size_t)(end - second - 1)}, &ret_position->commit);
}

typedef struct shard_meta {
    tm_store_state state;
    int64_t generation;
    uint32_t buckets; /* 0: the shard was never claimed */
} shard_meta;

/* Reads the answer of put_read, which stays the caller's. */
static tm_status parse_meta(tm_redis_store *store, int32_t partition, const tm_redis_reply *reply, shard_meta *ret_meta,
                            tm_error *error)
{
    *ret_meta = (shard_meta){.state = {.position = {.next = {-1, -1}}}, .generation = -1};
    if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        return tm_redis_refused(store, tm_redis_reply_text(reply), "HMGET", error);
    }
    if (tm_redis_reply_count(reply) != META_FIELDS) {
        return tm_redis_strange(store, "HMGET", error);
    }
    tm_slice field[META_FIELDS];
    for (uint32_t i = 0; i < META_FIELDS; i++) {
        field[i] = tm_redis_reply_text(tm_redis_reply_at(reply, i));
    }
    int64_t buckets = 0;
    bool readable =
        (field[1].data == NULL || tm_redis_integer(field[1], &ret_meta->state.epoch)) &&
        (field[2].data == NULL || tm_redis_integer(field[2], &ret_meta->generation)) &&
        (field[3].data == NULL || (tm_redis_integer(field[3], &buckets) && tm_redis_buckets_valid(buckets)));
    if (field[0].data != NULL) {
        ret_meta->state.present = true;
        readable = readable && buckets > 0 && parse_position(field[0], &ret_meta->state.position);
    }
    if (!readable) {
        tm_fail(error, TM_FATAL, "what Redis at %s keeps of shard %" PRId32 " is damaged: meta cannot be read",
                tm_redis_connection_name(store->connection), partition);
        tm_error_hint(error, "restore Redis from its file, or remove the shard so that it is rebuilt from the log");
        return TM_FATAL;
    }
    ret_meta->buckets = (uint32_t)buckets;
    ret_meta->state.meta = field[4];
    return TM_OK;
}

tm_status tm_redis_buckets(tm_redis_store *store, int32_t partition, uint32_t *ret_buckets, tm_error *error)
{
    shard_meta meta = {0};
    tm_redis_reply *reply = NULL;
    *ret_buckets = 0;
    tm_redis_begin(store->connection);
    put_read(store, partition);
    tm_status status = tm_redis_ask(store, "HMGET", &reply, error);
    if (status == TM_OK) {
        status = parse_meta(store, partition, reply, &meta, error);
    }
    if (status == TM_OK) {
        *ret_buckets = meta.buckets;
        if (meta.buckets > 0) {
            status = tm_redis_shard_remember(store, partition, meta.buckets, error);
        }
    }
    tm_redis_reply_free(reply);
    return status;
}

/* Touches meta, which an EXEC of ours that is still on its way watches: from here on it can only fail, and what is read
   next stays true. */
static tm_status end_doubt(tm_redis_store *store, tm_redis_shard *shard, tm_error *error)
{
    tm_redis_reply *reply = NULL;
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 4);
    tm_redis_argument_text(store->connection, "HINCRBY");
    tm_redis_argument_key(store, shard->partition, "meta");
    tm_redis_argument_text(store->connection, "settled");
    tm_redis_argument_text(store->connection, "1");
    tm_status status = tm_redis_ask(store, "HINCRBY", &reply, error);
    tm_redis_reply_free(reply);
    TM_CRASH_POINT("redis_doubt_ended");
    shard->in_doubt = status != TM_OK;
    return status;
}

tm_status tm_redis_read(void *context, int32_t partition, tm_store_state *ret_state, tm_error *error)
{
    tm_redis_store *store = context;
    shard_meta meta = {0};
    *ret_state = (tm_store_state){0};
    forget_kept(store);
    tm_redis_shard *shard = tm_redis_shard_of(store, partition);
    tm_status status = shard != NULL && shard->in_doubt ? end_doubt(store, shard, error) : TM_OK;
    if (status == TM_OK) {
        tm_redis_begin(store->connection);
        put_read(store, partition);
        status = tm_redis_ask(store, "HMGET", &store->kept, error);
    }
    if (status == TM_OK) {
        status = parse_meta(store, partition, store->kept, &meta, error);
    }
    if (status == TM_OK && meta.buckets > 0) {
        status = tm_redis_shard_remember(store, partition, meta.buckets, error);
    }
    if (status == TM_OK) {
        TM_CRASH_POINT("redis_read");
        *ret_state = meta.state;
    }
    return tm_redis_patient(status);
}

/* ---- Claim ---- */

/* Reads under WATCH. */
static tm_status claim_read(tm_redis_store *store, int32_t partition, shard_meta *ret_meta, tm_error *error)
{
    tm_redis_reply *watched = NULL;
    forget_kept(store);
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 2);
    tm_redis_argument_text(store->connection, "WATCH");
    tm_redis_argument_key(store, partition, "meta");
    put_read(store, partition);
    tm_status status = tm_redis_ask(store, "WATCH", &watched, error);
    tm_redis_reply_free(watched);
    if (status != TM_OK) {
        tm_redis_disconnect(store->connection); /* the second answer is not waited for */
        return status;
    }
    status = tm_redis_receive(store->connection, &store->kept, error);
    return status != TM_OK ? status : parse_meta(store, partition, store->kept, ret_meta, error);
}

/* Writes epoch, generation and buckets, and nothing if meta was changed since claim_read (*ret_done false). */
static tm_status claim_write(tm_redis_store *store, int32_t partition, const shard_meta *meta, bool *ret_done,
                             tm_error *error)
{
    static const char *const names[3] = {"epoch", "generation", "buckets"};
    const int64_t values[3] = {meta->state.epoch, meta->generation, meta->buckets};
    tm_redis_connection *connection = store->connection;
    tm_redis_reply *reply = NULL;
    tm_status status;
    *ret_done = false;
    tm_redis_begin(connection);
    tm_redis_command(connection, 1);
    tm_redis_argument_text(connection, "MULTI");
    tm_redis_command(connection, 8);
    tm_redis_argument_text(connection, "HSET");
    tm_redis_argument_key(store, partition, "meta");
    for (size_t i = 0; i < 3; i++) {
        tm_redis_argument_text(connection, names[i]);
        tm_redis_argument_integer(connection, values[i]);
    }
    tm_redis_command(connection, 1);
    tm_redis_argument_text(connection, "EXEC");
    TM_CRASH_POINT("redis_epoch_before");
    status = tm_redis_send_more(connection, error); /* a new connection would know nothing of the WATCH */
    TM_CRASH_POINT("redis_epoch_sent");
    for (int i = 0; i < 3 && status == TM_OK; i++) {
        tm_redis_reply_free(reply);
        status = tm_redis_receive(connection, &reply, error);
        if (status == TM_OK && tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
            status = tm_redis_refused(store, tm_redis_reply_text(reply), "MULTI, HSET, EXEC", error);
            tm_redis_disconnect(connection);
        }
    }
    if (status == TM_OK) {
        *ret_done = tm_redis_reply_type(reply) == TM_REDIS_ARRAY;
        const tm_redis_reply *written = tm_redis_reply_at(reply, 0);
        if (written != NULL && tm_redis_reply_type(written) == TM_REDIS_ERROR) {
            status = tm_redis_refused(store, tm_redis_reply_text(written), "HSET", error);
        }
    }
    tm_redis_reply_free(reply);
    return status;
}

tm_status tm_redis_claim(void *context, int32_t partition, int64_t generation, int64_t raise, tm_store_state *ret_state,
                         tm_error *error)
{
    tm_redis_store *store = context;
    *ret_state = (tm_store_state){0};
    if (raise < 1 || raise > TM_EPOCH_RAISE_MAX) {
        return tm_fail(error, TM_FATAL, "a claim raises the epoch by at least one");
    }
    for (int attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
        shard_meta meta = {0};
        bool done = false;
        tm_status status = claim_read(store, partition, &meta, error);
        if (status == TM_OK && generation >= 0 && meta.generation > generation) {
            tm_redis_disconnect(store->connection); /* and with it the WATCH */
            tm_fail(error, TM_REJECT,
                    "shard %" PRId32 " was claimed in generation %" PRId64 " of the group, and ours is %" PRId64,
                    partition, meta.generation, generation);
            tm_error_hint(error,
                          "a newer member owns it; should that be wrong, remove "
                          "the field 'generation' of %s:{%s/%" PRId32 "}:meta",
                          store->prefix, store->group, partition);
            return TM_REJECT;
        }
        if (status == TM_OK) { /* what is not there may be elsewhere */
            status = tm_redis_cluster_alone(store, partition, error);
            if (status != TM_OK) {
                tm_redis_disconnect(store->connection); /* and with it the WATCH */
            }
        }
        if (status == TM_OK && meta.state.epoch > INT64_MAX - raise) {
            status = tm_fail(error, TM_FATAL, "the epoch of shard %" PRId32 " is at its end", partition);
        }
        if (status == TM_OK) {
            meta.state.epoch += raise;
            if (generation >= 0 || generation == TM_GENERATION_ANEW)
                meta.generation = generation >= 0 ? generation : -1;
            meta.buckets = meta.buckets != 0 ? meta.buckets : store->buckets;
            TM_CRASH_POINT("redis_epoch_watched");
            status = claim_write(store, partition, &meta, &done, error);
        }
        if (status != TM_OK) {
            return tm_redis_patient(status);
        }
        if (done) {
            TM_CRASH_POINT("redis_epoch_raised");
            status = tm_redis_shard_remember(store, partition, meta.buckets, error);
            if (status == TM_OK) {
                tm_redis_held_forget(tm_redis_shard_of(store, partition)); /* others may have written since */
                *ret_state = meta.state;
            }
            return status;
        }
    }
    return tm_fail(error, TM_RETRY, "shard %" PRId32 " is being claimed by others at this moment", partition);
}

/* ---- The rest ---- */

uint32_t tm_redis_put_unlink(tm_redis_store *store, int32_t partition, uint32_t buckets)
{
    tm_redis_connection *connection = store->connection;
    uint32_t commands = 1;
    tm_redis_command(connection, 3);
    tm_redis_argument_text(connection, "UNLINK");
    tm_redis_argument_key(store, partition, "out");
    tm_redis_argument_key(store, partition, "dup");
    for (uint32_t from = 0; from < buckets; from += TM_REDIS_FIELDS_MAX) {
        uint32_t to = buckets - from > TM_REDIS_FIELDS_MAX ? from + TM_REDIS_FIELDS_MAX : buckets;
        tm_redis_command(connection, 1 + to - from);
        tm_redis_argument_text(connection, "UNLINK");
        for (uint32_t bucket = from; bucket < to; bucket++) {
            tm_redis_argument_bucket(store, partition, bucket);
        }
        commands++;
    }
    return commands;
}

/* Deletes all keys of a shard at once: a half-removed shard could be taken for a whole one. */
tm_status tm_redis_remove(void *context, int32_t partition, tm_error *error)
{
    tm_redis_store *store = context;
    tm_redis_connection *connection = store->connection;
    tm_redis_reply *reply = NULL;
    uint32_t buckets = 0;
    uint32_t answers = 3;
    forget_kept(store);
    tm_status status = tm_redis_buckets(store, partition, &buckets, error);
    if (status != TM_OK && status != TM_FATAL) { /* damaged: removing is what is left to do */
        return tm_redis_patient(status);
    }
    buckets = buckets != 0 ? buckets : store->buckets;
    tm_redis_begin(connection);
    tm_redis_command(connection, 1);
    tm_redis_argument_text(connection, "MULTI");
    tm_redis_command(connection, 2);
    tm_redis_argument_text(connection, "UNLINK");
    tm_redis_argument_key(store, partition, "meta");
    answers += tm_redis_put_unlink(store, partition, buckets);
    tm_redis_command(connection, 1);
    tm_redis_argument_text(connection, "EXEC");
    status = tm_redis_send(connection, error);
    for (uint32_t i = 0; i < answers && status == TM_OK; i++) {
        status = tm_redis_receive(connection, &reply, error);
        if (status == TM_OK && tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
            status = tm_redis_refused(store, tm_redis_reply_text(reply), "MULTI, UNLINK, EXEC", error);
            tm_redis_disconnect(connection);
        }
        tm_redis_reply_free(reply);
        reply = NULL;
    }
    return tm_redis_patient(status);
}

tm_status tm_redis_settle_group(void *context, const char *name, int64_t proposal, int64_t *ret_value, tm_error *error)
{
    tm_redis_store *store = context;
    tm_redis_connection *connection = store->connection;
    tm_redis_reply *reply = NULL;
    char key[TM_REDIS_KEY_MAX];
    *ret_value = 0;
    if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_BYTES) {
        return tm_fail(error, TM_FATAL, "a value of the group needs a name of 1 to %d bytes", NAME_MAX_BYTES);
    }
    int length = snprintf(key, sizeof(key), "%s:{%s}:%s", store->prefix, store->group, name);
    forget_kept(store);
    tm_status status = tm_redis_connect(connection, error);
    if (status == TM_OK) { /* or else a second value would be settled beside the first */
        status = tm_redis_cluster_alone(store, TM_REDIS_GROUP, error);
    }
    if (status != TM_OK) {
        tm_redis_disconnect(connection);
        return tm_redis_patient(status);
    }
    tm_redis_begin(connection);
    tm_redis_command(connection, 4);
    tm_redis_argument_text(connection, "SET");
    tm_redis_argument(connection, (tm_slice){key, (size_t)length});
    tm_redis_argument_integer(connection, proposal);
    tm_redis_argument_text(connection, "NX");
    tm_redis_command(connection, 2);
    tm_redis_argument_text(connection, "GET");
    tm_redis_argument(connection, (tm_slice){key, (size_t)length});
    status = tm_redis_ask(store, "SET", &reply, error);
    TM_CRASH_POINT("redis_group_value");
    if (status != TM_OK) {
        tm_redis_disconnect(connection);
        goto out;
    }
    tm_redis_reply_free(reply);
    status = tm_redis_receive(connection, &reply, error);
    if (status == TM_OK && tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        status = tm_redis_refused(store, tm_redis_reply_text(reply), "GET", error);
    } else if (status == TM_OK && !tm_redis_integer(tm_redis_reply_text(reply), ret_value)) {
        status = tm_fail(error, TM_FATAL, "the key %s of Redis at %s holds no whole number", key,
                         tm_redis_connection_name(connection));
    }
out:
    tm_redis_reply_free(reply);
    return tm_redis_patient(status);
}
