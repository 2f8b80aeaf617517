#include "tidemark/adapters/kafka/solo.h"

#include <stdlib.h>

#include "tidemark/adapters/kafka/reader.h"

typedef struct solo_lane {
    tm_kafka_reader reader;
    int64_t first; /* least offset kept when it was started */
    bool started, paused;
} solo_lane;

typedef struct solo {
    tm_kafka_connection connection;
    tm_source_listener listener;
    uint32_t partitions;
    bool assigned;
    solo_lane *lanes; /* one an input and partition */
} solo;

static solo_lane *lane_of(solo *s, tm_input input, int32_t partition)
{
    return &s->lanes[(size_t)input * s->partitions + (size_t)partition];
}

static tm_status join(void *context, const tm_source_listener *listener, tm_error *error)
{
    solo *s = context;
    s->listener = *listener;
    return tm_kafka_reader_connect(&s->connection, error);
}

static tm_status assign(solo *s, tm_error *error)
{
    int32_t *partitions = calloc(s->partitions, sizeof *partitions);
    if (!partitions)
        return tm_fail(error, TM_FATAL, "no memory to name %u partitions", (unsigned)s->partitions);
    for (uint32_t p = 0; p < s->partitions; p++)
        partitions[p] = (int32_t)p;
    s->assigned = true;
    s->listener.assigned(s->listener.context, partitions, s->partitions);
    free(partitions);
    return TM_OK;
}

static tm_status poll(void *context, int64_t wait_ms, tm_source_record *records, uint32_t capacity, uint32_t *ret_count,
                      tm_error *error)
{
    solo *s = context;
    *ret_count = 0;
    if (!s->assigned)
        return assign(s, error);
    int64_t until = tm_kafka_steady(&s->connection) + wait_ms;
    do {
        bool reading = false;
        for (size_t i = 0; i < (size_t)s->partitions * TM_INPUTS; i++) {
            solo_lane *lane = &s->lanes[i];
            while (*ret_count < capacity && lane->started && !lane->paused && lane->reader.next < lane->reader.end) {
                const rd_kafka_message_t *found = NULL;
                tm_status status = tm_kafka_reader_next(&lane->reader, 1, &found, error);
                reading = true;
                if (status == TM_REJECT)
                    return TM_FATAL;
                if (status != TM_OK || !found)
                    break;
                rd_kafka_message_t *message = lane->reader.message;
                lane->reader.message = NULL; /* it is the record's now */
                records[(*ret_count)++] = (tm_source_record){.input = (tm_input)(i / s->partitions),
                                                             .partition = message->partition,
                                                             .offset = message->offset,
                                                             .timestamp = tm_kafka_message_time(message),
                                                             .key = {message->key, message->key_len},
                                                             .value = {message->payload, message->len},
                                                             .handle = message};
            }
        }
        if (!reading)
            return TM_OK;
    } while (*ret_count == 0 && tm_kafka_steady(&s->connection) < until);
    return TM_OK;
}

static void release(void *context, tm_source_record *record)
{
    (void)context;
    rd_kafka_message_destroy(record->handle);
}

static uint32_t headers(void *context, const tm_source_record *record, tm_source_header found[TM_SOURCE_HEADERS_MAX])
{
    (void)context;
    rd_kafka_headers_t *list = NULL;
    uint32_t count = 0;
    if (rd_kafka_message_headers(record->handle, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    const char *name;
    const void *value;
    size_t size;
    while (count < TM_SOURCE_HEADERS_MAX &&
           rd_kafka_header_get_all(list, count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        found[count++] = (tm_source_header){tm_slice_of(name), {value, size}};
    return count;
}

static tm_status bounds(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                        int64_t *ret_reached, tm_error *error)
{
    solo *s = context;
    const solo_lane *lane = lane_of(s, input, partition);
    *ret_reached = lane->started ? lane->reader.next : -1;
    if (lane->started) { /* its end was fixed when it was started: nothing has to be asked */
        *ret_first = lane->first;
        *ret_end = lane->reader.end;
        return TM_OK;
    }
    return tm_kafka_reader_bounds(&s->connection, s->connection.config->inputs[input], partition, TM_KAFKA_ASK_MS,
                                  ret_first, ret_end, error);
}

static tm_status start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    solo *s = context;
    solo_lane *lane = lane_of(s, input, partition);
    int64_t first, end;
    const char *topic = s->connection.config->inputs[input];
    tm_status status = tm_kafka_reader_bounds(&s->connection, topic, partition, TM_KAFKA_ASK_MS, &first, &end, error);
    if (status != TM_OK)
        return status;
    if (lane->started)
        tm_kafka_reader_end(&lane->reader);
    status = tm_kafka_reader_begin(&lane->reader, &s->connection, topic, partition, offset, end, error);
    lane->first = first;
    lane->started = status == TM_OK;
    return status;
}

static tm_status pause_lane(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    (void)error;
    lane_of(context, input, partition)->paused = paused;
    return TM_OK;
}

static tm_status committed(void *context, const int32_t *partitions, uint32_t count, tm_position *ret_positions,
                           tm_error *error)
{
    (void)context;
    (void)partitions;
    (void)error;
    for (uint32_t i = 0; i < count; i++)
        ret_positions[i] = (tm_position){{-1, -1}, 0};
    return TM_OK;
}

static void leave(void *context)
{
    solo *s = context;
    for (size_t i = 0; i < (size_t)s->partitions * TM_INPUTS; i++) {
        if (s->lanes[i].started)
            tm_kafka_reader_end(&s->lanes[i].reader);
    }
    free(s->lanes);
    s->lanes = NULL;
    if (!s->connection.handle || tm_kafka_connection_close(&s->connection, TM_KAFKA_LEAVE_MS))
        free(s);
}

tm_status tm_kafka_solo_new(const tm_kafka_config *config, uint32_t partitions, tm_source *ret_source, tm_error *error)
{
    solo *s = calloc(1, sizeof *s);
    solo_lane *lanes = calloc((size_t)partitions * TM_INPUTS, sizeof *lanes);
    if (!s || !lanes) {
        free(s);
        free(lanes);
        return tm_fail(error, TM_FATAL, "no memory for a source of %u partitions", (unsigned)partitions);
    }
    *s = (solo){.connection = {.config = config, .role = "solo"}, .partitions = partitions, .lanes = lanes};
    *ret_source = (tm_source){s, join, poll, release, headers, start, pause_lane, bounds, committed, leave, NULL};
    return TM_OK;
}
