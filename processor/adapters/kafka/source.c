#include "tidemark/adapters/kafka/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/kafka/lanes.h"
#include "tidemark/adapters/kafka/membership.h"
#include "tidemark/adapters/kafka/settings.h"
#include "tidemark/base/crashpoint.h"

enum {
    BATCH = 1000,          /* messages taken from librdkafka at a time */
    RENEW_EVERY_MS = 1000, /* between attempts to join anew */
    PARTITIONS_MS = 1000   /* a question that is asked again soon */
};

struct tm_kafka_source {
    tm_kafka_connection connection;
    tm_source_listener listener;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[TM_INPUTS];
    tm_kafka_lanes lanes;
    uint64_t rebalances;
    tm_status pending; /* what the next poll has to return before anything else */
    tm_error pending_error;
    bool renew;           /* this member came to an end through no other process: a new one joins in its place */
    bool let_go;          /* what the old member had was revoked */
    int64_t joined_at;    /* last attempt to join anew */
    uint64_t outstanding; /* records given out and not yet released: they belong to the handle */
    int64_t generation_place;
    rd_kafka_message_t *batch[BATCH];
};

rd_kafka_consumer_group_metadata_t *tm_kafka_source_membership(const tm_kafka_source *source)
{
    return source->connection.handle != NULL ? rd_kafka_consumer_group_metadata(source->connection.handle) : NULL;
}

int64_t tm_kafka_source_generation(const tm_kafka_source *source)
{
    rd_kafka_consumer_group_metadata_t *membership = tm_kafka_source_membership(source);
    int64_t generation = -1;
    if (membership != NULL) {
        generation = tm_kafka_generation_read(membership, source->generation_place);
        rd_kafka_consumer_group_metadata_destroy(membership);
    }
    return generation;
}

/* ---- How many partitions ---- */

static uint32_t source_partitions(void *context)
{
    const tm_kafka_source *source = context;
    const char *const *names = source->connection.config->inputs;
    uint32_t counts[TM_INPUTS] = {0, 0};
    tm_error ignored;
    for (uint32_t i = 0; i < source->lanes.inputs; i++) {
        if (source->renew ||
            tm_kafka_partitions(source->connection.handle, names[i], PARTITIONS_MS, &counts[i], &ignored) != TM_OK)
            return 0;
    }
    return source->lanes.inputs < TM_INPUTS || counts[0] == counts[1] ? counts[0] : 0;
}

/* ---- Rebalances ---- */

static void on_assigned(tm_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    tm_error error;
    if (tm_kafka_lanes_take(&source->lanes, list, &error) != TM_OK) {
        /* A topic that is being made anew, or is given more partitions, is ahead of the other one for a while. */
        source->pending = source_partitions(source) == 0 ? TM_RETRY : TM_FATAL;
        source->pending_error = error;
    } else { /* none, for a member more than there are partitions, is a word too */
        source->listener.assigned(source->listener.context, source->lanes.owned, source->lanes.owned_count);
    }
    TM_CRASH_POINT("kafka_assign");
    tm_kafka_lanes_assign(&source->lanes);
    TM_CRASH_POINT("kafka_assigned");
}

static void on_revoked(tm_kafka_source *source, bool lost)
{
    if (source->listener.revoked)
        source->listener.revoked(source->listener.context, source->lanes.owned, source->lanes.owned_count, lost);
    TM_CRASH_POINT("kafka_unassign");
    tm_kafka_lanes_drop(&source->lanes);
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                         void *opaque)
{
    tm_kafka_source *source = (tm_kafka_source *)opaque; /* the connection is its first member */
    source->rebalances++;
    TM_CRASH_POINT("kafka_rebalance");
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        source->connection.down = source->connection.unwelcome = false;
        on_assigned(source, list);
    } else {
        if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
            tm_kafka_log(&source->connection, TM_LOG_WARNING, "rebalance_failed", rd_kafka_err2str(code));
        }
        on_revoked(source, rd_kafka_assignment_lost(handle) != 0);
    }
}

/* ---- Joining ---- */

static tm_status check_partitions(tm_kafka_source *source, tm_error *error)
{
    uint32_t counts[TM_INPUTS] = {0, 0};
    const tm_kafka_config *config = source->connection.config;
    for (uint32_t input = 0; input < source->lanes.inputs; input++) {
        tm_status status = tm_kafka_partitions(source->connection.handle, config->inputs[input], TM_KAFKA_ASK_MS,
                                               &counts[input], error);
        if (status != TM_OK)
            return TM_RETRY; /* a refusal too: it may be taken back */
        if (counts[input] == 0) {
            (void)tm_fail(error, TM_RETRY, "there is no topic '%s'", config->inputs[input]);
            tm_error_hint(error, "create it, or correct its name in the configuration");
            return TM_RETRY;
        }
    }
    if (source->lanes.inputs == TM_INPUTS && counts[0] != counts[1]) {
        (void)tm_fail(error, TM_FATAL, "topic '%s' has %u partitions, '%s' has %u", config->inputs[TM_INPUT_USAGE],
                      counts[0], config->inputs[TM_INPUT_ACCOUNTS], counts[1]);
        tm_error_hint(error, "give both as many partitions as each other, keyed alike");
        return TM_FATAL;
    }
    return tm_kafka_lanes_grow(&source->lanes, counts[TM_INPUT_USAGE], error);
}

/* Frees what join took. False: librdkafka hangs, and the source must stay in memory. */
static bool close_handle(tm_kafka_source *source)
{
    for (int input = 0; input < TM_INPUTS; input++) {
        if (source->topics[input] != NULL) {
            rd_kafka_topic_destroy(source->topics[input]);
            source->topics[input] = NULL;
        }
    }
    if (source->queue != NULL) {
        rd_kafka_queue_destroy(source->queue);
        source->queue = NULL;
    }
    return tm_kafka_connection_close(&source->connection, TM_KAFKA_LEAVE_MS / 2);
}

static tm_status open_consumer(tm_kafka_source *source, tm_error *error)
{
    rd_kafka_conf_t *conf = NULL;
    tm_status status = tm_kafka_consumer_conf(&source->connection, &conf, error);
    if (status == TM_OK) {
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        status = tm_kafka_connection_open(&source->connection, RD_KAFKA_CONSUMER, conf, error);
    }
    return status == TM_REJECT ? TM_FATAL : status;
}

static tm_status source_join(void *context, const tm_source_listener *listener, tm_error *error)
{
    tm_kafka_source *source = context;
    rd_kafka_topic_partition_list_t *topics = NULL;
    rd_kafka_resp_err_t code;
    tm_status status;
    TM_CRASH_POINT("kafka_join");
    source->listener = *listener;
    status = open_consumer(source, error);
    if (status != TM_OK)
        return status;
    (void)rd_kafka_poll_set_consumer(source->connection.handle);
    source->queue = rd_kafka_queue_get_consumer(source->connection.handle);
    status = check_partitions(source, error);
    if (status != TM_OK) {
        goto out;
    }
    topics = rd_kafka_topic_partition_list_new(TM_INPUTS);
    for (uint32_t input = 0; input < source->lanes.inputs; input++) {
        const char *name = source->connection.config->inputs[input];
        source->topics[input] = rd_kafka_topic_new(source->connection.handle, name, NULL);
        (void)rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
    }
    code = rd_kafka_subscribe(source->connection.handle, topics);
    TM_CRASH_POINT("kafka_subscribed");
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = tm_fail(error, TM_FATAL, "cannot subscribe: %s", rd_kafka_err2str(code));
    }
out:
    if (topics != NULL) {
        rd_kafka_topic_partition_list_destroy(topics);
    }
    if (status != TM_OK && !close_handle(source)) {
        status = TM_FATAL; /* it may not be opened again on top of what hangs */
    }
    return status;
}

/* ---- Polling ---- */

/* Keeps what went wrong for the next poll, so that records already taken are delivered first. The gravest wins. */
static void postpone(tm_kafka_source *source, tm_status status, const tm_error *error)
{
    if (status > source->pending) {
        source->pending = status;
        source->pending_error = *error;
    }
}

/* The lane that a message belongs to; NULL where it is none of ours. */
static tm_kafka_lane *lane_of(const tm_kafka_source *source, const rd_kafka_message_t *message, tm_input *ret_input)
{
    const char *const *names = source->connection.config->inputs;
    for (uint32_t input = 0; input < source->lanes.inputs && message->rkt != NULL; input++) {
        if (message->rkt == source->topics[input] || strcmp(rd_kafka_topic_name(message->rkt), names[input]) == 0) {
            *ret_input = (tm_input)input;
            return tm_kafka_lanes_find(&source->lanes, (tm_input)input, message->partition);
        }
    }
    return NULL;
}

static bool is_open(const tm_kafka_lane *lane)
{
    return lane != NULL && lane->started && !lane->paused && !lane->seek;
}

/* librdkafka will do nothing more with this member. A join whose answer was lost, and that was sent again, fences
   itself: after a broken connection a new member is made. If it was another process after all, that one is fenced then,
   without any trouble of its own, and leaves. */
static void take_end(tm_kafka_source *source, const char *text)
{
    tm_error error;
    char fatal[512] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(source->connection.handle, fatal, sizeof(fatal));
    bool fenced = code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
                  code == RD_KAFKA_RESP_ERR__FENCED;
    tm_error_clear(&error);
    source->renew = !fenced || tm_kafka_troubled(&source->connection);
    (void)tm_fail(&error, source->renew ? TM_RETRY : TM_FATAL, "member '%s' of group '%s' was fenced: %.250s",
                  source->connection.id, source->connection.config->group, fatal[0] != '\0' ? fatal : text);
    tm_error_hint(&error, source->renew ? "a new member takes its place"
                                        : "another process runs with the same instance name; give each its own");
    if (source->renew) {
        tm_kafka_log(&source->connection, TM_LOG_WARNING, "member_renewed", error.what);
    }
    postpone(source, source->renew ? TM_RETRY : TM_FATAL, &error);
}

/* A message that carries an error instead of a record. */
static void take_error(tm_kafka_source *source, const rd_kafka_message_t *message, tm_kafka_lane *lane)
{
    const tm_kafka_config *config = source->connection.config;
    tm_error error;
    char text[512];
    const char *reason = rd_kafka_message_errstr(message);
    (void)snprintf(text, sizeof(text), "%s", reason != NULL ? reason : rd_kafka_err2str(message->err));
    tm_kafka_redact(config, text);
    tm_error_clear(&error);
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
        tm_kafka_log(&source->connection, TM_LOG_WARNING, "poll_too_late", text);
        return; /* the group took everything away; a revocation follows, then a new assignment */
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        take_end(source, text);
        return;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        (void)tm_fail(&error, TM_RETRY, "the brokers refuse: %s", text);
        tm_error_hint(&error, "this user needs READ on the group and on both input topics");
        postpone(source, TM_RETRY, &error);
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        if (lane != NULL) { /* this partition stands until it is started anew */
            lane->started = false;
        }
        tm_kafka_log(&source->connection, TM_LOG_ERROR, "offset_gone", text);
        return;
    default:
        if (lane != NULL) { /* nothing is skipped: the same offset again */
            lane->seek = true;
            source->lanes.changed = true;
        }
        (void)tm_fail(&error, TM_RETRY, "reading failed: %s", text);
        if (message->rkt != NULL) {
            tm_error_where(&error, "%s:%" PRId32 ":%" PRId64, rd_kafka_topic_name(message->rkt), message->partition,
                           message->offset);
        }
        postpone(source, TM_RETRY, &error);
        return;
    }
}

/* Turns a message into a record, or destroys it. */
static bool take_message(tm_kafka_source *source, rd_kafka_message_t *message, tm_source_record *ret_record)
{
    tm_input input = TM_INPUT_USAGE;
    tm_kafka_lane *lane = lane_of(source, message, &input);
    rd_kafka_timestamp_type_t type;
    int64_t timestamp;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* The end was reached at this offset: what lies before it and was not delivered are transaction markers and
           records that were aborted or compacted. */
        if (is_open(lane) && message->offset > lane->next) {
            lane->next = message->offset;
        }
        goto drop;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_error(source, message, lane);
        goto drop;
    }
    if (!is_open(lane) || message->offset < lane->next) {
        goto drop;
    }
    lane->next = message->offset + 1;
    source->outstanding++;
    timestamp = rd_kafka_message_timestamp(message, &type);
    *ret_record = (tm_source_record){
        .input = input,
        .partition = message->partition,
        .offset = message->offset,
        .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp < 0 ? TM_TIME_NONE : timestamp,
        .key = {message->key, message->key != NULL ? message->key_len : 0},
        .value = {message->payload, message->payload != NULL ? message->len : 0},
        .handle = message,
    };
    return true;
drop:
    rd_kafka_message_destroy(message);
    return false;
}

/* Takes what is waiting. Messages that came in the same call as a rebalance may be from before it or after it: they are
   dropped, and everything is assigned anew at the offsets expected, so that none is lost. */
static uint32_t take_waiting(tm_kafka_source *source, tm_source_record *records, uint32_t capacity)
{
    uint32_t count = 0;
    while (count < capacity) {
        uint32_t wanted = capacity - count < BATCH ? capacity - count : BATCH;
        uint64_t rebalances = source->rebalances;
        ssize_t got = rd_kafka_consume_batch_queue(source->queue, 0, source->batch, wanted);
        if (got <= 0) {
            break;
        }
        if (source->rebalances != rebalances) {
            for (ssize_t i = 0; i < got; i++) {
                rd_kafka_message_destroy(source->batch[i]);
            }
            source->lanes.reassign = source->lanes.owned_count > 0;
            break;
        }
        for (ssize_t i = 0; i < got; i++) {
            count += take_message(source, source->batch[i], &records[count]) ? 1 : 0;
        }
        if ((uint32_t)got < wanted) {
            break;
        }
    }
    return count;
}

/* Puts a new member in the place of one that came to its end, once every record of the old one was given back: they
   belong to its handle. TM_OK: it has joined. TM_RETRY: not yet. */
static tm_status renew(tm_kafka_source *source, tm_error *error)
{
    tm_source_listener listener = source->listener;
    tm_status status;
    int64_t now = tm_kafka_steady(&source->connection);
    if (!source->let_go) {
        source->let_go = true;
        on_revoked(source, true);
    }
    if (source->outstanding > 0 || (source->joined_at != 0 && now - source->joined_at < RENEW_EVERY_MS)) {
        (void)tm_fail(error, TM_RETRY, "member '%s' joins its group anew", source->connection.id);
        return TM_RETRY;
    }
    if (!close_handle(source)) {
        return tm_fail(error, TM_FATAL, "the old member does not end");
    }
    source->joined_at = now > 0 ? now : 1;
    status = source_join(source, &listener, error);
    source->renew = source->let_go = status != TM_OK;
    if (status == TM_OK) {
        source->pending = TM_OK;
    }
    return status;
}

static tm_status source_poll(void *context, int64_t wait_ms, tm_source_record *records, uint32_t capacity,
                             uint32_t *ret_count, tm_error *error)
{
    tm_kafka_source *source = context;
    rd_kafka_message_t *first;
    uint32_t count = 0;
    *ret_count = 0;
    if (source->renew && source->pending == TM_OK) {
        tm_status status = renew(source, error);
        if (status != TM_OK) {
            return status;
        }
    }
    if (source->connection.handle == NULL)
        return tm_fail(error, TM_FATAL, "poll before join");
    if (source->pending == TM_OK && capacity > 0) {
        tm_kafka_lanes_arrange(&source->lanes);
        wait_ms = wait_ms < 0 ? 0 : wait_ms;
        first = rd_kafka_consumer_poll(source->connection.handle, wait_ms > 60000 ? 60000 : (int)wait_ms);
        if (first != NULL) {
            count = take_message(source, first, &records[0]) ? 1 : 0;
            if (source->pending == TM_OK && !source->lanes.reassign) {
                count += take_waiting(source, records + count, capacity - count);
            }
        }
    }
    *ret_count = count;
    if (count > 0) {
        source->connection.down = source->connection.unwelcome = false;
        return TM_OK;
    }
    if (source->pending != TM_OK) {
        tm_status status = source->pending;
        if (error != NULL) {
            *error = source->pending_error;
        }
        if (status != TM_FATAL) { /* what is fatal stays so */
            source->pending = TM_OK;
        }
        return status;
    }
    return tm_kafka_reachable(&source->connection, error);
}

static void source_release(void *context, tm_source_record *record)
{
    tm_kafka_source *source = context;
    if (record->handle != NULL) {
        rd_kafka_message_destroy(record->handle);
        record->handle = NULL;
        source->outstanding--;
    }
}

static uint32_t source_headers(void *context, const tm_source_record *record,
                               tm_source_header headers[TM_SOURCE_HEADERS_MAX])
{
    rd_kafka_headers_t *list = NULL;
    uint32_t count = 0;
    (void)context;
    if (rd_kafka_message_headers(record->handle, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    while (count < TM_SOURCE_HEADERS_MAX) {
        const char *name = NULL;
        const void *value = NULL;
        size_t length = 0;
        if (rd_kafka_header_get_all(list, count, &name, &value, &length) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        headers[count].name = tm_slice_of(name);
        headers[count].value = (tm_slice){value, value != NULL ? length : 0};
        count++;
    }
    return count;
}

/* ---- Positions ---- */

static tm_status find_lane(const tm_kafka_source *source, tm_input input, int32_t partition, tm_kafka_lane **ret_lane,
                           tm_error *error)
{
    *ret_lane = tm_kafka_lanes_find(&source->lanes, input, partition);
    if (*ret_lane == NULL) {
        (void)tm_fail(error, TM_REJECT, "this partition is not this member's");
        tm_error_where(error, "%s:%" PRId32, input == TM_INPUT_USAGE ? "usage" : "accounts", partition);
        return TM_REJECT;
    }
    return TM_OK;
}

static tm_status source_start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    tm_kafka_source *source = context;
    tm_kafka_lane *lane = NULL;
    tm_status status = find_lane(source, input, partition, &lane, error);
    if (status == TM_OK && offset < 0) {
        status = tm_fail(error, TM_REJECT, "%" PRId64 " is no offset to start at", offset);
    }
    if (status == TM_OK) {
        TM_CRASH_POINT("kafka_start");
        lane->started = true;
        lane->next = offset;
        lane->seek = true; /* until the seek, or the assignment, nothing of this lane is taken */
        source->lanes.changed = true;
    }
    return status;
}

static tm_status source_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    tm_kafka_source *source = context;
    tm_kafka_lane *lane = NULL;
    tm_status status = find_lane(source, input, partition, &lane, error);
    if (status == TM_OK && lane->paused != paused) {
        lane->paused = paused;
        source->lanes.changed = true;
    }
    return status;
}

static tm_status source_bounds(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                               int64_t *ret_reached, tm_error *error)
{
    tm_kafka_source *source = context;
    if (source->renew)
        return tm_fail(error, TM_RETRY, "the member joins its group anew");
    if (source->connection.handle == NULL || (uint32_t)input >= source->lanes.inputs)
        return tm_fail(error, TM_FATAL, "bounds of an input that is not read");
    rd_kafka_resp_err_t code = tm_kafka_lanes_bounds(&source->lanes, input, partition, ret_first, ret_end, ret_reached);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)tm_fail(error, TM_RETRY, "the broker did not say where the partition ends: %s", rd_kafka_err2str(code));
        tm_error_where(error, "%s:%" PRId32, source->connection.config->inputs[input], partition);
        return TM_RETRY;
    }
    source->connection.down = source->connection.unwelcome = false;
    return TM_OK;
}

static tm_status source_committed(void *context, const int32_t *partitions, uint32_t count, tm_position *ret_positions,
                                  tm_error *error)
{
    tm_kafka_source *source = context;
    TM_CRASH_POINT("kafka_offsets_read");
    if (source->renew)
        return tm_fail(error, TM_RETRY, "the member joins its group anew");
    return tm_kafka_committed(&source->connection, partitions, count, ret_positions, error);
}

/* ---- Leaving ---- */

static void source_leave(void *context)
{
    tm_kafka_source *source = context;
    bool ended = true;
    if (source->connection.handle != NULL) {
        int64_t until;
        TM_CRASH_POINT("kafka_leave");
        on_revoked(source, rd_kafka_assignment_lost(source->connection.handle) != 0);
        until = tm_kafka_steady(&source->connection) + TM_KAFKA_LEAVE_MS / 2;
        tm_kafka_consumer_close(&source->connection, until);
        TM_CRASH_POINT("kafka_left");
        ended = close_handle(source);
    }
    if (!ended) {
        return;
    }
    tm_kafka_lanes_done(&source->lanes);
    free(source);
}

/* ---- The object ---- */

tm_status tm_kafka_source_new(const tm_kafka_config *config, tm_kafka_source **ret_source, tm_error *error)
{
    tm_kafka_source *source;
    tm_status status = tm_kafka_config_check(config, error);
    if (status != TM_OK)
        return status;
    source = calloc(1, sizeof(*source));
    if (source == NULL)
        return tm_fail(error, TM_FATAL, "out of memory");
    source->connection.config = config;
    source->connection.role = "source";
    tm_kafka_lanes_init(&source->lanes, &source->connection);
    (void)tm_kafka_worker_id(config, source->connection.id, NULL);
    source->generation_place = tm_kafka_generation_place();
    *ret_source = source;
    return TM_OK;
}

tm_source tm_kafka_source_port(tm_kafka_source *source)
{
    return (tm_source){
        .context = source,
        .join = source_join,
        .poll = source_poll,
        .release = source_release,
        .headers = source_headers,
        .start = source_start,
        .pause = source_pause,
        .bounds = source_bounds,
        .committed = source_committed,
        .leave = source_leave,
        .partitions = source_partitions,
    };
}
