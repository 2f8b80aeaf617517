/* The producer's life:

     none ── initialise ──► ready ── begin ──► open ── commit, abort ──► ready
      ▲                                                    │
      └───────────────── initialise ◄── spent ◄────────────┘  whatever is not certain

   `spent`: something may still be on its way in this producer's name, so it is never used again. A new producer of the
   same transactional.id gets a newer epoch, and the broker refuses what comes late from the old one. Which errors lead
   where is in `settle_failure`. */
#include "tidemark/adapters/kafka/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/kafka/membership.h"
#include "tidemark/adapters/kafka/offsets.h"
#include "tidemark/adapters/kafka/settings.h"
#include "tidemark/base/crashpoint.h"

enum {
    HEADERS_MAX = sizeof(((tm_output *)0)->headers) / sizeof(((tm_output *)0)->headers[0]),
    RECORD_MAX =
        1040000,       /* key and value; 1,048,588 is what topics take unless told otherwise, with frame and headers */
    FULL_WAIT_MS = 50, /* between attempts while the local queue is full */
    /* From this long on, the request that ended the transaction may have been sent twice: librdkafka 2.3 and later take
       up to a fifth off the time before they repeat it. */
    SUSPECT_MS = TM_KAFKA_BACKOFF_MS * 9 / 10,
    SUSPECT_JITTER_MS = TM_KAFKA_BACKOFF_MS * 7 / 10,
    JITTER_SINCE = 0x02030000,
    LEFT_MS = 300000 /* so long a call may be away, before a new process is the better way on */
};

typedef enum producer_state { NONE, READY, OPEN, SPENT } producer_state;

struct tm_kafka_publisher {
    tm_kafka_connection connection;
    const tm_kafka_source *source;
    rd_kafka_topic_t *topics[TM_TOPICS];
    producer_state state;
    int64_t opened_at;
    tm_kafka_sending *left; /* a call that has not come back: its producer cannot be let go of */
    int64_t left_at;        /* steady ms */
    bool single;            /* a topic took no batch: one record each */
    size_t letters_max;     /* bytes of key and value that the dead letters' topic is known to take */
    /* The first record of the transaction that a broker refused. */
    rd_kafka_resp_err_t refused;
    size_t refused_size;
    char refused_topic[TM_KAFKA_ID_MAX + 1];
};

/* ---- What an error means ---- */

/* The group's word that this member may no longer commit for it. */
static bool is_membership(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

static bool is_refusal(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

static bool is_fencing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

static void hint_refusal(rd_kafka_resp_err_t code, tm_error *error)
{
    tm_error_hint(error, "%s",
                  code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                      ? "allow this user Write on the transactional id: `tidemark check --permissions`"
                  : code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                      ? "allow this user Write on the output topic that librdkafka's line names"
                  : code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                      ? "allow this user Read on the group: `tidemark check --permissions`"
                      : "`tidemark check --permissions` lists what is needed; brokers of 2.5 or later");
}

/* The code that made the producer unusable, or `code` when it still is usable. */
static rd_kafka_resp_err_t root_of(const tm_kafka_publisher *publisher, rd_kafka_resp_err_t code)
{
    char text[16];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(publisher->connection.handle, text, sizeof(text));
    return fatal != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal : code;
}

/* The producer is spent: TM_FATAL when another one of its id took over, or the brokers cannot do what is needed;
   TM_RETRY otherwise, also when it was fenced by the broker itself for a transaction open longer than it may be, or
   after a broken connection: then a late initialisation of its own may have done it. A refusal may be taken back. */
static tm_status spend(tm_kafka_publisher *publisher, const char *what, rd_kafka_resp_err_t code, const char *text,
                       tm_error *error)
{
    bool open_too_long = publisher->state == OPEN && tm_kafka_steady(&publisher->connection) - publisher->opened_at >=
                                                         (int64_t)TM_KAFKA_TRANSACTION_MS * 9 / 10;
    tm_status status = TM_RETRY;
    code = root_of(publisher, code);
    publisher->state = SPENT;
    if ((is_fencing(code) && !open_too_long && !tm_kafka_troubled(&publisher->connection)) ||
        code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) {
        status = TM_FATAL;
    }
    (void)tm_fail(error, status, "%s: %s (%s)", what, text, rd_kafka_err2name(code));
    tm_error_where(error, "producer %s", publisher->connection.id);
    if (is_fencing(code)) {
        tm_error_hint(error, status == TM_FATAL ? "another process runs with the same instance name; give each its own"
                             : open_too_long    ? "the transaction was open too long and the broker ended it"
                                                : "after a broken connection: a new producer takes its place");
    } else if (is_refusal(code)) {
        hint_refusal(code, error);
    }
    return status;
}

/* Takes `failure`, frees it. */
static tm_status spend_error(tm_kafka_publisher *publisher, const char *what, rd_kafka_error_t *failure,
                             tm_error *error)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    (void)snprintf(text, sizeof(text), "%s", rd_kafka_error_string(failure));
    rd_kafka_error_destroy(failure);
    tm_kafka_redact(publisher->connection.config, text);
    return spend(publisher, what, code, text, error);
}

/* ---- What a broker refused ---- */

/* Called from within flush and poll, for records that failed alone. */
static void on_failed_record(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    tm_kafka_publisher *publisher = opaque; /* the connection is its first member */
    const char *letters = publisher->connection.config->outputs[TM_TOPIC_DEAD_LETTERS];
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";
    size_t size = message->key_len + message->len;
    (void)handle;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        return;
    }
    if (publisher->refused == RD_KAFKA_RESP_ERR_NO_ERROR) {
        publisher->refused = message->err;
        publisher->refused_size = size;
        (void)snprintf(publisher->refused_topic, sizeof(publisher->refused_topic), "%s", topic);
    }
    if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && publisher->single && letters != NULL &&
        strcmp(topic, letters) == 0 && size * 3 / 4 < publisher->letters_max) {
        publisher->letters_max = size * 3 / 4;
    }
}

/* Names what was refused instead of what followed from it. A topic's limit is one of batches: the next producer sends
   each record alone, and what is refused then is too large by itself. */
static tm_status name_refusal(tm_kafka_publisher *publisher, tm_error *error)
{
    bool size = publisher->refused == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    (void)tm_fail(error, TM_RETRY, "topic '%s' refuses %s of %zu bytes: %s; aborted", publisher->refused_topic,
                  size && !publisher->single ? "a batch with a record" : "a record", publisher->refused_size,
                  rd_kafka_err2str(publisher->refused));
    tm_error_where(error, "producer %s", publisher->connection.id);
    if (size) {
        tm_error_hint(error, "raise its max.message.bytes: nothing is left out, so it is tried until that was done");
    } else if (is_refusal(publisher->refused)) {
        tm_error_hint(error, "this user needs WRITE on the topic");
    }
    publisher->single = publisher->single || size;
    publisher->state = SPENT;
    return TM_RETRY;
}

/* ---- The end of a transaction ---- */

typedef struct watch {
    unsigned long long sockets;
    int64_t since;
} watch;

static watch watch_begin(tm_kafka_publisher *publisher)
{
    return (watch){atomic_load(&publisher->connection.sockets_closed), tm_kafka_steady(&publisher->connection)};
}

/* librdkafka repeats the request that ends a transaction silently. A first copy that was merely delayed would end the
   next transaction half-way; that can only be when a socket was closed or the time for a repeat had come. */
static bool is_suspect(tm_kafka_publisher *publisher, watch begun)
{
    return atomic_load(&publisher->connection.sockets_closed) != begun.sockets ||
           tm_kafka_steady(&publisher->connection) - begun.since >=
               (rd_kafka_version() >= JITTER_SINCE ? SUSPECT_JITTER_MS : SUSPECT_MS);
}

/* TM_OK: aborted for certain, and nothing of it is on its way. */
static tm_status abort_open(tm_kafka_publisher *publisher, tm_error *error)
{
    watch begun = watch_begin(publisher);
    TM_CRASH_POINT("kafka_abort_before");
    rd_kafka_error_t *failure = rd_kafka_abort_transaction(publisher->connection.handle, TM_KAFKA_FINISH_MS);
    TM_CRASH_POINT("kafka_aborted");
    if (failure != NULL) {
        return spend_error(publisher, "the transaction could not be aborted", failure, error);
    }
    if (is_suspect(publisher, begun)) {
        publisher->state = SPENT;
        return tm_fail(error, TM_RETRY, "the transaction was aborted over a slow or broken connection");
    }
    publisher->state = READY;
    return TM_OK;
}

/* A step of a commit failed before its end: abort where that is possible. Takes `failure`, frees it. */
static tm_status settle_failure(tm_kafka_publisher *publisher, const char *what, rd_kafka_error_t *failure,
                                tm_error *error)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    tm_status status;
    if (rd_kafka_error_is_fatal(failure)) {
        return spend_error(publisher, what, failure, error);
    }
    (void)snprintf(text, sizeof(text), "%s", rd_kafka_error_string(failure));
    rd_kafka_error_destroy(failure);
    tm_kafka_redact(publisher->connection.config, text);
    status = abort_open(publisher, error);
    if (publisher->refused != RD_KAFKA_RESP_ERR_NO_ERROR && !is_membership(code) && status != TM_FATAL) {
        return name_refusal(publisher, error);
    }
    if (status == TM_RETRY) { /* what began it is said, not what followed */
        (void)tm_fail(error, TM_RETRY, "%s: %s (%s); whether it was aborted is not known", what, text,
                      rd_kafka_err2name(code));
        tm_error_where(error, "producer %s", publisher->connection.id);
    }
    if (status != TM_OK) {
        if (is_refusal(code)) { /* which says more than that there was nothing to abort */
            (void)tm_fail(error, status, "%s: %s (%s)", what, text, rd_kafka_err2name(code));
            tm_error_where(error, "producer %s", publisher->connection.id);
            hint_refusal(code, error);
        }
        return status;
    }
    if (is_refusal(code)) {
        return spend(publisher, what, code, text, error);
    }
    status = is_membership(code) ? TM_REJECT : TM_RETRY;
    if (status == TM_RETRY) {
        publisher->state = SPENT;
    }
    (void)tm_fail(error, status, "%s: %s (%s); aborted", what, text, rd_kafka_err2name(code));
    tm_error_where(error, "producer %s", publisher->connection.id);
    return status;
}

/* ---- The port ---- */

static void forget_topics(tm_kafka_publisher *publisher)
{
    for (int i = 0; i < TM_TOPICS; i++) {
        if (publisher->topics[i] != NULL) {
            rd_kafka_topic_destroy(publisher->topics[i]);
            publisher->topics[i] = NULL;
        }
    }
}

/* The first transaction would otherwise wait about a second for the topics' metadata. */
static tm_status learn_topics(tm_kafka_publisher *publisher, tm_error *error)
{
    for (int i = 0; i < TM_TOPICS; i++) {
        const char *name = publisher->connection.config->outputs[i];
        uint32_t partitions = 0;
        tm_status status;
        if (name == NULL) {
            continue;
        }
        publisher->topics[i] = rd_kafka_topic_new(publisher->connection.handle, name, NULL);
        if (publisher->topics[i] == NULL) {
            return tm_fail(error, TM_RETRY, "topic '%s': %s", name, rd_kafka_err2str(rd_kafka_last_error()));
        }
        status = tm_kafka_partitions(publisher->connection.handle, name, TM_KAFKA_ASK_MS, &partitions, error);
        if (status != TM_OK) {
            return TM_RETRY; /* a refusal too: it may be taken back */
        }
        if (partitions == 0) {
            (void)tm_fail(error, TM_RETRY, "there is no topic '%s'", name);
            tm_error_hint(error, "create it, or correct its name in the configuration");
            return TM_RETRY;
        }
    }
    return TM_OK;
}

static tm_status publisher_initialise(void *context, tm_error *error)
{
    tm_kafka_publisher *publisher = context;
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_error_t *failure;
    tm_status status;
    if (!tm_kafka_sending_over(publisher->left)) {
        bool hangs = tm_kafka_steady(&publisher->connection) - publisher->left_at > LEFT_MS;
        return tm_fail(error, hangs ? TM_FATAL : TM_RETRY,
                       "the coordinator of the group does not answer: the last offsets are still being sent");
    }
    publisher->left = NULL;
    forget_topics(publisher);
    publisher->state = NONE;
    if (!tm_kafka_connection_close(&publisher->connection, TM_KAFKA_LEAVE_MS)) {
        return tm_fail(error, TM_FATAL, "the old producer does not end");
    }
    status = tm_kafka_producer_conf(&publisher->connection, publisher->single, &conf, error);
    if (status == TM_OK) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_failed_record);
        status = tm_kafka_connection_open(&publisher->connection, RD_KAFKA_PRODUCER, conf, error);
    }
    if (status != TM_OK) {
        return status == TM_REJECT ? TM_FATAL : status;
    }
    TM_CRASH_POINT("kafka_init_before");
    failure = rd_kafka_init_transactions(publisher->connection.handle, TM_KAFKA_SETTLE_MS);
    TM_CRASH_POINT("kafka_initialised");
    if (failure != NULL) {
        return spend_error(publisher, "the producer could not be initialised", failure, error);
    }
    status = learn_topics(publisher, error);
    publisher->state = status == TM_OK ? READY : SPENT;
    TM_CRASH_POINT("kafka_topics_learnt");
    return status;
}

static tm_status publisher_begin(void *context, tm_error *error)
{
    tm_kafka_publisher *publisher = context;
    rd_kafka_error_t *failure;
    if (publisher->state != READY) {
        return tm_fail(error, TM_RETRY, "the producer has to be initialised first");
    }
    (void)rd_kafka_poll(publisher->connection.handle, 0);
    failure = rd_kafka_begin_transaction(publisher->connection.handle);
    TM_CRASH_POINT("kafka_begun");
    if (failure != NULL) {
        return spend_error(publisher, "no transaction could be begun", failure, error);
    }
    publisher->state = OPEN;
    publisher->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    publisher->opened_at = tm_kafka_steady(&publisher->connection);
    return TM_OK;
}

/* One attempt. The headers are copied anew by each, since librdkafka takes them. */
static rd_kafka_resp_err_t produce(tm_kafka_publisher *publisher, const tm_output *output)
{
    rd_kafka_vu_t words[8];
    size_t count = 0;
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_error_t *failure;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    memset(words, 0, sizeof(words));
    words[count].vtype = RD_KAFKA_VTYPE_RKT;
    words[count++].u.rkt = publisher->topics[output->topic];
    words[count].vtype = RD_KAFKA_VTYPE_PARTITION;
    words[count++].u.i32 = output->partition >= 0 ? output->partition : RD_KAFKA_PARTITION_UA;
    words[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    words[count++].u.i = RD_KAFKA_MSG_F_COPY;
    words[count].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    words[count++].u.i64 = output->timestamp;
    words[count].vtype = RD_KAFKA_VTYPE_KEY;
    words[count].u.mem.ptr = (void *)(uintptr_t)output->key.data; /* copied, not written to */
    words[count++].u.mem.size = output->key.length;
    words[count].vtype = RD_KAFKA_VTYPE_VALUE;
    words[count].u.mem.ptr = (void *)(uintptr_t)output->value.data;
    words[count++].u.mem.size = output->value.length;
    if (output->header_count > 0) {
        headers = rd_kafka_headers_new(output->header_count);
        for (uint32_t i = 0; i < output->header_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            code = rd_kafka_header_add(headers, output->headers[i].name, -1, output->headers[i].value.data,
                                       (ssize_t)output->headers[i].value.length);
        }
        words[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        words[count++].u.headers = headers;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        failure = rd_kafka_produceva(publisher->connection.handle, words, count);
        code = failure != NULL ? rd_kafka_error_code(failure) : RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_error_destroy(failure);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

/* What a broker refuses spoils the transaction, each time it is tried: where it can be known it is refused here.
   Signals and health records are far smaller than what topics take unless told otherwise. */
static size_t largest(const tm_kafka_publisher *publisher, tm_topic topic)
{
    if (topic == TM_TOPIC_DEAD_LETTERS)
        return publisher->letters_max;
    return topic == TM_TOPIC_JOURNAL ? SIZE_MAX : RECORD_MAX;
}

static tm_status publisher_send(void *context, const tm_output *output, tm_error *error)
{
    tm_kafka_publisher *publisher = context;
    int64_t until = tm_kafka_steady(&publisher->connection) + TM_KAFKA_SETTLE_MS;
    const char *name;
    rd_kafka_resp_err_t code;
    tm_status status;
    if (publisher->state != OPEN) {
        return tm_fail(error, TM_RETRY, "no transaction is open");
    }
    if ((unsigned)output->topic >= TM_TOPICS || publisher->topics[output->topic] == NULL ||
        output->header_count > HEADERS_MAX) {
        return tm_fail(error, TM_FATAL, "an output for a topic that this worker does not publish to");
    }
    name = publisher->connection.config->outputs[output->topic];
    code = output->key.length + output->value.length > largest(publisher, output->topic)
               ? RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
               : produce(publisher, output);
    while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && tm_kafka_steady(&publisher->connection) < until) {
        (void)rd_kafka_poll(publisher->connection.handle, FULL_WAIT_MS);
        code = produce(publisher, output);
    }
    TM_CRASH_POINT("kafka_produced");
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return TM_OK;
    }
    code = root_of(publisher, code);
    if (is_fencing(code)) {
        return spend(publisher, "the record was not taken", code, rd_kafka_err2str(code), error);
    }
    status = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? TM_REJECT : TM_RETRY;
    (void)tm_fail(error, status, "a record of %zu bytes was not taken: %s", output->key.length + output->value.length,
                  rd_kafka_err2str(code));
    tm_error_where(error, "%s:%" PRId32 ", key %.*s", name, output->partition,
                   (int)(output->key.length < 128 ? output->key.length : 128),
                   output->key.data != NULL ? output->key.data : "");
    if (status == TM_REJECT) {
        tm_error_hint(error, "raise max.message.bytes of the topic, or shorten the rule's texts");
    }
    return status;
}

/* NULL, or why the group's offsets are not part of the transaction. */
static rd_kafka_error_t *send_offsets(tm_kafka_publisher *publisher, const int32_t *partitions,
                                      const tm_position *positions, uint32_t count)
{
    int64_t until = tm_kafka_steady(&publisher->connection) + TM_KAFKA_SETTLE_MS;
    rd_kafka_topic_partition_list_t *list =
        tm_kafka_offsets_of(publisher->connection.config, partitions, positions, count);
    rd_kafka_error_t *failure = NULL;
    int64_t left = until - tm_kafka_steady(&publisher->connection);
    if (list == NULL) {
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR__INVALID_ARG, "out of memory");
    }
    do { /* what is retriable is the same call again, within the same time */
        rd_kafka_consumer_group_metadata_t *membership =
            publisher->source != NULL ? tm_kafka_source_membership(publisher->source) : NULL;
        rd_kafka_error_destroy(failure);
        failure = NULL;
        if (membership == NULL) {
            failure = rd_kafka_error_new(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "not a member of the group");
        } else if (list->cnt == 0) {
            rd_kafka_consumer_group_metadata_destroy(membership);
        } else {
            failure = tm_kafka_send_offsets(publisher->connection.handle, rd_kafka_topic_partition_list_copy(list),
                                            membership, left > 1 ? (int)left : 1, &publisher->left);
        }
        left = until - tm_kafka_steady(&publisher->connection);
    } while (failure != NULL && rd_kafka_error_is_retriable(failure) && !rd_kafka_error_txn_requires_abort(failure) &&
             !rd_kafka_error_is_fatal(failure) && left > TM_KAFKA_BACKOFF_MS &&
             (rd_kafka_poll(publisher->connection.handle, TM_KAFKA_BACKOFF_MS / 2), true));
    publisher->left_at = tm_kafka_steady(&publisher->connection);
    rd_kafka_topic_partition_list_destroy(list);
    return failure;
}

static tm_status publisher_commit(void *context, const int32_t *partitions, const tm_position *positions,
                                  uint32_t count, tm_error *error)
{
    tm_kafka_publisher *publisher = context;
    rd_kafka_error_t *failure = NULL;
    unsigned long long sockets;
    rd_kafka_resp_err_t code;
    watch begun;
    if (publisher->state != OPEN) {
        return tm_fail(error, TM_RETRY, "no transaction is open");
    }
    sockets = atomic_load(&publisher->connection.sockets_closed);
    /* First, so that the time of the commit below is that of its last request alone. */
    TM_CRASH_POINT("kafka_flush");
    code = rd_kafka_flush(publisher->connection.handle, TM_KAFKA_SETTLE_MS);
    TM_CRASH_POINT("kafka_flushed");
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        failure = rd_kafka_error_new(code, "the outputs were not delivered in time");
    } else if (count > 0) {
        failure = send_offsets(publisher, partitions, positions, count);
        TM_CRASH_POINT("kafka_offsets_sent");
    }
    if (failure != NULL) {
        return settle_failure(publisher, "the commit failed", failure, error);
    }
    begun = watch_begin(publisher);
    begun.sockets = sockets;
    TM_CRASH_POINT("kafka_commit_before");
    failure = rd_kafka_commit_transaction(publisher->connection.handle, TM_KAFKA_FINISH_MS);
    TM_CRASH_POINT("kafka_committed");
    if (failure != NULL) {
        if (rd_kafka_error_txn_requires_abort(failure)) {
            return settle_failure(publisher, "the commit failed", failure, error);
        }
        return spend_error(publisher, "the outcome of the commit is not known", failure, error);
    }
    if (is_suspect(publisher, begun)) {
        publisher->state = SPENT;
        (void)tm_fail(error, TM_RETRY,
                      "the commit went over a slow or broken connection (%" PRId64 " ms); it is read back",
                      tm_kafka_steady(&publisher->connection) - begun.since);
        return TM_RETRY;
    }
    publisher->state = READY;
    return TM_OK;
}

static tm_status publisher_abort(void *context, tm_error *error)
{
    tm_kafka_publisher *publisher = context;
    if (publisher->state != OPEN) {
        return publisher->state == READY ? TM_OK : tm_fail(error, TM_RETRY, "the producer has to be initialised again");
    }
    /* An abort is never fatal by itself: initialising again says whether this producer may go on. */
    return abort_open(publisher, error) == TM_OK ? TM_OK : TM_RETRY;
}

static void publisher_close(void *context)
{
    tm_kafka_publisher *publisher = context;
    TM_CRASH_POINT("kafka_publisher_close");
    if (!tm_kafka_sending_over(publisher->left)) {
        return; /* whatever it points at stays */
    }
    forget_topics(publisher);
    /* What is open is ended by the next producer of this id, or by the broker in its time. */
    if (tm_kafka_connection_close(&publisher->connection, TM_KAFKA_LEAVE_MS)) {
        free(publisher);
    }
}

tm_status tm_kafka_publisher_new(const tm_kafka_config *config, const tm_kafka_source *source,
                                 tm_kafka_publisher **ret_publisher, tm_error *error)
{
    tm_kafka_publisher *publisher;
    tm_status status = tm_kafka_config_check(config, error);
    if (status != TM_OK) {
        return status;
    }
    publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    publisher->connection.config = config;
    publisher->connection.role = "publisher";
    publisher->source = source;
    publisher->letters_max = SIZE_MAX;
    (void)tm_kafka_worker_id(config, publisher->connection.id, NULL);
    *ret_publisher = publisher;
    return TM_OK;
}

tm_publisher tm_kafka_publisher_port(tm_kafka_publisher *publisher)
{
    return (tm_publisher){
        .context = publisher,
        .initialise = publisher_initialise,
        .begin = publisher_begin,
        .send = publisher_send,
        .commit = publisher_commit,
        .abort = publisher_abort,
        .close = publisher_close,
    };
}
