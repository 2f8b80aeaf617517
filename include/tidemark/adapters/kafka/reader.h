/* Reading one partition of a topic outside any group, committed records only, from an offset to an end fixed at the
   beginning: probes of the admin, and the journal read back. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_READER_H
#define TIDEMARK_ADAPTERS_KAFKA_READER_H

#include "tidemark/adapters/kafka/connection.h"

typedef struct tm_kafka_reader {
    const tm_kafka_connection *connection; /* of tm_kafka_reader_connect; borrowed */
    rd_kafka_topic_t *topic;
    int32_t partition;
    int64_t next; /* all records before it were given */
    int64_t end;  /* nothing from here on is given */
    rd_kafka_message_t *message;
} tm_kafka_reader;

/* Opens connection->handle as such a consumer (no group). TM_OK, or TM_REJECT as tm_kafka_connection_open. */
tm_status tm_kafka_reader_connect(tm_kafka_connection *connection, tm_error *error);

/* Least offset kept and last stable offset. TM_OK; TM_RETRY: no answer; TM_REJECT: no such topic or partition. */
tm_status tm_kafka_reader_bounds(const tm_kafka_connection *connection, const char *topic, int32_t partition,
                                 int timeout_ms, int64_t *ret_first, int64_t *ret_end, tm_error *error);

/* Begins reading [from, end). TM_OK or TM_RETRY. */
tm_status tm_kafka_reader_begin(tm_kafka_reader *reader, const tm_kafka_connection *connection, const char *topic,
                                int32_t partition, int64_t from, int64_t end, tm_error *error);

/* The next record, valid until the next call; NULL at the end. TM_OK; TM_RETRY: none came within `wait_ms`, the same
   call may succeed; TM_REJECT: the position is gone (cut by retention while reading). */
tm_status tm_kafka_reader_next(tm_kafka_reader *reader, int64_t wait_ms, const rd_kafka_message_t **ret_message,
                               tm_error *error);

/* Ends the reading; the reader may begin another. */
void tm_kafka_reader_end(tm_kafka_reader *reader);

/* Timestamp of a message, TM_TIME_NONE where it has none. */
tm_time tm_kafka_message_time(const rd_kafka_message_t *message);

#endif
