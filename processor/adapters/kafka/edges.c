#include "tidemark/adapters/kafka/edges.h"

#include <inttypes.h>

#include "tidemark/adapters/kafka/reader.h"

enum {
    AGAIN_MS = 50,    /* between questions that were not answered */
    LOOK_BACK = 8,    /* records looked at before an end, first; then this many times as many */
    OUTLIERS_MAX = 64 /* questions for a greater timestamp before the rest is read instead */
};

typedef struct probe {
    const tm_kafka_connection *connection;
    const char *topic;
    int32_t partition;
    int64_t until; /* steady clock */
} probe;

static int64_t left_of(const probe *at)
{
    int64_t left = at->until - tm_kafka_steady(at->connection);
    return left > 1 ? left : 1;
}

typedef struct scan {
    bool found; /* at least one record */
    tm_time first, last, greatest;
    int64_t first_offset;
} scan;

static void scan_take(scan *seen, const rd_kafka_message_t *message)
{
    tm_time time = tm_kafka_message_time(message);
    if (!seen->found) {
        seen->found = true;
        seen->first_offset = message->offset;
    }
    if (time != TM_TIME_NONE) {
        seen->first = seen->first == TM_TIME_NONE ? time : seen->first;
        seen->last = time;
    }
    seen->greatest = time > seen->greatest ? time : seen->greatest; /* TM_TIME_NONE is the least of all */
}

/* Reads [from, end), or up to and including the first record later than `beyond`. */
static tm_status scan_range(const probe *at, int64_t from, int64_t end, tm_time beyond, scan *ret_scan, tm_error *error)
{
    tm_kafka_reader reader;
    const rd_kafka_message_t *message = NULL;
    tm_status status = tm_kafka_reader_begin(&reader, at->connection, at->topic, at->partition, from, end, error);
    *ret_scan = (scan){.first = TM_TIME_NONE, .last = TM_TIME_NONE, .greatest = TM_TIME_NONE};
    if (status != TM_OK) {
        return status;
    }
    do {
        status = tm_kafka_reader_next(&reader, left_of(at), &message, error);
        if (message != NULL) {
            scan_take(ret_scan, message);
        }
    } while (status == TM_OK && message != NULL && ret_scan->greatest <= beyond);
    tm_kafka_reader_end(&reader);
    return status;
}

/* The first offset whose record, or transaction marker, has a timestamp later than `time`; -1: none before `end`. */
static tm_status find_later(const probe *at, tm_time time, int64_t end, int64_t *ret_offset, tm_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *part = rd_kafka_topic_partition_list_add(list, at->topic, at->partition);
    rd_kafka_resp_err_t code;
    tm_status status = TM_OK;
    part->offset = time + 1;
    code = rd_kafka_offsets_for_times(at->connection->handle, list, (int)left_of(at));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = list->elems[0].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = tm_fail(error, TM_RETRY, "the broker did not find records by their time: %s", rd_kafka_err2str(code));
        tm_error_where(error, "%s:%" PRId32, at->topic, at->partition);
    }
    *ret_offset = list->elems[0].offset >= 0 && list->elems[0].offset < end ? list->elems[0].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* The greatest timestamp, from the last record's upwards: as long as the broker finds a later one. Where what it found
   is a marker, which bears the coordinator's clock, everything from there on is read instead. */
static tm_status find_greatest(const probe *at, tm_kafka_edge *edge, tm_error *error)
{
    tm_status status = TM_OK;
    for (int i = 0; status == TM_OK; i++) {
        int64_t offset = -1;
        scan seen;
        status = find_later(at, edge->greatest == TM_TIME_NONE ? -1 : edge->greatest, edge->end, &offset, error);
        if (status != TM_OK || offset < 0) {
            break;
        }
        status = scan_range(at, offset, edge->end, i < OUTLIERS_MAX ? edge->greatest : TM_TIME_MAX, &seen, error);
        if (status == TM_OK && seen.found && seen.first_offset > offset) {
            status = scan_range(at, offset, edge->end, TM_TIME_NEVER, &seen, error);
            i = OUTLIERS_MAX;
        }
        if (status != TM_OK || !seen.found || seen.greatest <= edge->greatest) {
            break;
        }
        edge->greatest = seen.greatest;
        if (i >= OUTLIERS_MAX) {
            break;
        }
    }
    return status;
}

static tm_status probe_edge(const probe *at, tm_kafka_edge *edge, tm_error *error)
{
    scan seen;
    int64_t span = LOOK_BACK;
    tm_status status;
    *edge = (tm_kafka_edge){.earliest = TM_TIME_NONE, .latest = TM_TIME_NONE, .greatest = TM_TIME_NONE};
    for (;;) { /* a partition just made, or moved, has no leader for a moment */
        status = tm_kafka_reader_bounds(at->connection, at->topic, at->partition, (int)left_of(at), &edge->first,
                                        &edge->end, error);
        if (status != TM_RETRY || tm_kafka_steady(at->connection) >= at->until) {
            break;
        }
        (void)rd_kafka_poll(at->connection->handle, AGAIN_MS);
    }
    if (status != TM_OK || edge->first >= edge->end) {
        return status;
    }
    /* TM_TIME_NONE is less than every time: stops after the first record that has one … */
    status = scan_range(at, edge->first, edge->end, TM_TIME_NONE, &seen, error);
    if (status != TM_OK || !seen.found) {
        return status;
    }
    edge->earliest = seen.first;
    edge->greatest = seen.greatest;
    for (;;) { /* … and from the end backwards until a window has a record */
        int64_t from = edge->end - span > edge->first ? edge->end - span : edge->first;
        status = scan_range(at, from, edge->end, TM_TIME_NEVER, &seen, error);
        if (status != TM_OK || seen.found || from == edge->first) {
            break;
        }
        span *= LOOK_BACK;
    }
    if (status == TM_OK) {
        edge->latest = seen.last;
        edge->greatest = seen.greatest > edge->greatest ? seen.greatest : edge->greatest;
        status = find_greatest(at, edge, error);
    }
    return status;
}

tm_status tm_kafka_edges(const tm_kafka_connection *connection, const char *topic, uint32_t count, int64_t timeout_ms,
                         tm_kafka_edge *ret_edges, tm_error *error)
{
    probe at = {.connection = connection, .topic = topic, .until = tm_kafka_steady(connection) + timeout_ms};
    for (uint32_t p = 0; p < count; p++) {
        tm_status status;
        at.partition = (int32_t)p;
        status = probe_edge(&at, &ret_edges[p], error);
        if (status != TM_OK) {
            return status;
        }
    }
    return TM_OK;
}
