#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shape.h"

enum {
    SCAN_AHEAD = 4,      /* buckets asked for before the first is read: the server reads one while we take another */
    STREAM_PAGE = 64,    /* entries of a stream asked for at once */
    STREAM_ID_TEXT = 64, /* "n-index" */
};

typedef struct account_visit {
    tm_store_visit visit;
    void *context;
    uint32_t count; /* of the bucket at hand */
} account_visit;

static tm_status visit_account(void *context, tm_slice key, tm_slice value)
{
    account_visit *wanted = context;
    wanted->count++;
    return wanted->visit(wanted->context, 0, key, value);
}

static tm_status ask_bucket(tm_redis_store *store, int32_t partition, uint32_t bucket, tm_error *error)
{
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 2);
    tm_redis_argument_text(store->connection, "HGETALL");
    tm_redis_argument_bucket(store, partition, bucket);
    return bucket == 0 ? tm_redis_send(store->connection, error) : tm_redis_send_more(store->connection, error);
}

/* HGETALL bucket by bucket: a bucket is read whole at one instant, so no account comes twice as it may with HSCAN, and
   the server is held up for one bucket at a time. */
tm_status tm_redis_scan_accounts(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                 tm_error *error)
{
    tm_redis_store *store = context;
    account_visit wanted = {.visit = visit, .context = visit_context};
    uint32_t buckets = 0;
    uint32_t asked = 0;
    tm_status status = tm_redis_buckets(store, partition, &buckets, error);
    if (status != TM_OK || buckets == 0) {
        return tm_redis_patient(status);
    }
    for (uint32_t read = 0; read < buckets; read++) {
        while (asked < buckets && asked < read + SCAN_AHEAD) {
            status = ask_bucket(store, partition, asked, error);
            if (status != TM_OK) {
                tm_redis_disconnect(store->connection);
                return tm_redis_patient(status);
            }
            asked++;
        }
        wanted.count = 0;
        status = tm_redis_receive_pairs(store->connection, visit_account, &wanted, error);
        TM_CRASH_POINT("redis_scan_bucket");
        if (status != TM_OK) {
            tm_slice refusal = tm_redis_refusal(store->connection);
            if (status == TM_RETRY && refusal.data != NULL) {
                status = tm_redis_refused(store, refusal, "HGETALL", error);
            }
            tm_redis_disconnect(store->connection); /* with the answers still on their way */
            return status;
        }
        tm_redis_held_note(store, tm_redis_shard_of(store, partition), read, wanted.count > 0);
    }
    return tm_redis_cluster_alone(store, partition, error); /* an empty bucket may be elsewhere */
}

/* Takes an entry [id, [field, bytes]] apart. */
static bool parse_entry(const tm_redis_reply *entry, tm_slice *ret_id, int64_t *ret_commit, tm_slice *ret_bytes)
{
    if (entry == NULL || tm_redis_reply_count(entry) != 2) {
        return false;
    }
    const tm_redis_reply *fields = tm_redis_reply_at(entry, 1);
    *ret_id = tm_redis_reply_text(tm_redis_reply_at(entry, 0));
    if (ret_id->data == NULL || ret_id->length >= STREAM_ID_TEXT || tm_redis_reply_count(fields) != 2) {
        return false;
    }
    const char *dash = memchr(ret_id->data, '-', ret_id->length);
    *ret_bytes = tm_redis_reply_text(tm_redis_reply_at(fields, 1));
    return dash != NULL && ret_bytes->data != NULL &&
           tm_redis_integer((tm_slice){ret_id->data, (size_t)(dash - ret_id->data)}, ret_commit);
}

/* All entries of a stream from commit `least` on, page by page. */
static tm_status scan_stream(tm_redis_store *store, int32_t partition, const char *suffix, int64_t least,
                             tm_store_visit visit, void *visit_context, tm_error *error)
{
    char from[STREAM_ID_TEXT + 1];
    tm_status status = TM_OK;
    bool more = true;
    snprintf(from, sizeof(from), "%" PRId64, least > 0 ? least : 0);
    while (more && status == TM_OK) {
        tm_redis_reply *page = NULL;
        tm_redis_begin(store->connection);
        tm_redis_command(store->connection, 6);
        tm_redis_argument_text(store->connection, "XRANGE");
        tm_redis_argument_key(store, partition, suffix);
        tm_redis_argument_text(store->connection, from);
        tm_redis_argument_text(store->connection, "+");
        tm_redis_argument_text(store->connection, "COUNT");
        tm_redis_argument_integer(store->connection, STREAM_PAGE);
        status = tm_redis_patient(tm_redis_ask(store, "XRANGE", &page, error));
        if (status != TM_OK) {
            break;
        }
        uint32_t count = tm_redis_reply_count(page);
        TM_CRASH_POINT("redis_scan_page");
        for (uint32_t i = 0; i < count && status == TM_OK; i++) {
            tm_slice id = {NULL, 0};
            tm_slice bytes = {NULL, 0};
            int64_t commit = 0;
            if (!parse_entry(tm_redis_reply_at(page, i), &id, &commit, &bytes)) {
                status = tm_redis_strange(store, "XRANGE", error);
                break;
            }
            status = visit(visit_context, commit, (tm_slice){NULL, 0}, bytes);
            snprintf(from, sizeof(from), "(%.*s", (int)id.length, id.data);
        }
        more = count == STREAM_PAGE;
        tm_redis_reply_free(page);
    }
    return status;
}

tm_status tm_redis_scan_fingerprints(void *context, int32_t partition, tm_store_visit visit, void *visit_context,
                                     tm_error *error)
{
    return scan_stream(context, partition, "dup", 0, visit, visit_context, error);
}

tm_status tm_redis_scan_outbox(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                               void *visit_context, tm_error *error)
{
    if (published == INT64_MAX) {
        return TM_OK;
    }
    return scan_stream(context, partition, "out", published + 1, visit, visit_context, error);
}

/* Asks the bucket that the account is in as far as we know, and whether we know right, in one exchange. */
tm_status tm_redis_get_account(void *context, int32_t partition, tm_slice account, tm_slice *ret_blob, tm_error *error)
{
    tm_redis_store *store = context;
    tm_redis_connection *connection = store->connection;
    tm_redis_reply *stored = NULL;
    uint32_t buckets = 0;
    tm_status status = TM_OK;
    *ret_blob = (tm_slice){NULL, 0};
    tm_redis_reply_free(store->kept);
    store->kept = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt > 0 || !tm_redis_shard_known(store, partition, &buckets)) {
            status = tm_redis_buckets(store, partition, &buckets, error);
            if (status != TM_OK || buckets == 0) {
                return tm_redis_patient(status);
            }
        }
        tm_redis_begin(connection);
        tm_redis_command(connection, 3);
        tm_redis_argument_text(connection, "HGET");
        tm_redis_argument_key(store, partition, "meta");
        tm_redis_argument_text(connection, "buckets");
        tm_redis_command(connection, 3);
        tm_redis_argument_text(connection, "HGET");
        tm_redis_argument_bucket(store, partition, tm_redis_bucket_of(account, buckets));
        tm_redis_argument(connection, account);
        status = tm_redis_ask(store, "HGET", &stored, error);
        if (status != TM_OK) {
            tm_redis_disconnect(connection);
            return tm_redis_patient(status);
        }
        int64_t value = 0;
        bool right = tm_redis_integer(tm_redis_reply_text(stored), &value) && value == (int64_t)buckets;
        tm_redis_reply_free(stored);
        status = tm_redis_receive(connection, &store->kept, error);
        if (status != TM_OK) {
            return status;
        }
        if (right) {
            break;
        }
        tm_redis_reply_free(store->kept);
        store->kept = NULL;
    }
    if (store->kept == NULL) {
        return tm_fail(error, TM_RETRY, "shard %" PRId32 " is being removed or made anew at this moment", partition);
    }
    if (tm_redis_reply_type(store->kept) == TM_REDIS_ERROR) {
        return tm_redis_patient(tm_redis_refused(store, tm_redis_reply_text(store->kept), "HGET", error));
    }
    *ret_blob = tm_redis_reply_text(store->kept);
    return TM_OK;
}
