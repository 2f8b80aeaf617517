#include "tidemark/adapters/kafka/reader.h"

#include <inttypes.h>

tm_status tm_kafka_reader_connect(tm_kafka_connection *connection, tm_error *error)
{
    const tm_kafka_setting defaults[] = {
        {"socket.timeout.ms", "10000", false},
        {"fetch.wait.max.ms", "100", false},
        {NULL, NULL, false},
    };
    const tm_kafka_setting fixed[] = {
        {"isolation.level", "read_committed", false},
        {"enable.partition.eof", "true", false},
        {"auto.offset.reset", "error", false},
        {NULL, NULL, false},
    };
    rd_kafka_conf_t *conf = NULL;
    tm_status status = tm_kafka_conf_new(connection, defaults, fixed, &conf, error);
    if (status == TM_OK) {
        status = tm_kafka_connection_open(connection, RD_KAFKA_CONSUMER, conf, error);
    }
    return status;
}

tm_status tm_kafka_reader_bounds(const tm_kafka_connection *connection, const char *topic, int32_t partition,
                                 int timeout_ms, int64_t *ret_first, int64_t *ret_end, tm_error *error)
{
    rd_kafka_resp_err_t code = tm_kafka_bounds(connection->handle, topic, partition, timeout_ms, ret_first, ret_end);
    tm_status status = TM_RETRY;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return TM_OK;
    }
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        status = TM_REJECT;
    }
    (void)tm_fail(error, status, "the broker did not say where the partition begins and ends: %s",
                  rd_kafka_err2str(code));
    tm_error_where(error, "%s:%" PRId32, topic, partition);
    return status;
}

tm_status tm_kafka_reader_begin(tm_kafka_reader *reader, const tm_kafka_connection *connection, const char *topic,
                                int32_t partition, int64_t from, int64_t end, tm_error *error)
{
    *reader = (tm_kafka_reader){.connection = connection, .partition = partition, .next = from, .end = end};
    reader->topic = rd_kafka_topic_new(connection->handle, topic, NULL);
    if (reader->topic == NULL || rd_kafka_consume_start(reader->topic, partition, from) != 0) {
        (void)tm_fail(error, TM_RETRY, "reading cannot begin: %s", rd_kafka_err2str(rd_kafka_last_error()));
        tm_error_where(error, "%s:%" PRId32 ":%" PRId64, topic, partition, from);
        if (reader->topic != NULL) {
            rd_kafka_topic_destroy(reader->topic);
            reader->topic = NULL;
        }
        return TM_RETRY;
    }
    return TM_OK;
}

tm_status tm_kafka_reader_next(tm_kafka_reader *reader, int64_t wait_ms, const rd_kafka_message_t **ret_message,
                               tm_error *error)
{
    int64_t until = tm_kafka_steady(reader->connection) + wait_ms;
    *ret_message = NULL;
    while (reader->next < reader->end) {
        int64_t left = until - tm_kafka_steady(reader->connection);
        rd_kafka_resp_err_t code;
        if (reader->message != NULL) {
            rd_kafka_message_destroy(reader->message);
        }
        (void)rd_kafka_poll(reader->connection->handle, 0);
        reader->message = rd_kafka_consume(reader->topic, reader->partition, left > 0 ? (int)left : 0);
        if (reader->message == NULL) {
            (void)tm_fail(error, TM_RETRY, "no record came within %" PRId64 " ms", wait_ms);
            tm_error_where(error, "%s:%" PRId32 ":%" PRId64, rd_kafka_topic_name(reader->topic), reader->partition,
                           reader->next);
            return TM_RETRY;
        }
        code = reader->message->err;
        if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) { /* past markers and what was aborted or compacted */
            reader->next = reader->message->offset > reader->next ? reader->message->offset : reader->next;
        } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (reader->message->offset >= reader->next) {
                reader->next = reader->message->offset + 1;
                if (reader->message->offset < reader->end) {
                    *ret_message = reader->message;
                    return TM_OK;
                }
            }
        } else {
            bool gone = code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
            (void)tm_fail(error, gone ? TM_REJECT : TM_RETRY, "reading failed: %s",
                          rd_kafka_message_errstr(reader->message));
            tm_error_where(error, "%s:%" PRId32 ":%" PRId64, rd_kafka_topic_name(reader->topic), reader->partition,
                           reader->next);
            return gone ? TM_REJECT : TM_RETRY;
        }
    }
    return TM_OK;
}

void tm_kafka_reader_end(tm_kafka_reader *reader)
{
    if (reader->message != NULL) {
        rd_kafka_message_destroy(reader->message);
        reader->message = NULL;
    }
    if (reader->topic != NULL) {
        (void)rd_kafka_consume_stop(reader->topic, reader->partition);
        rd_kafka_topic_destroy(reader->topic);
        reader->topic = NULL;
    }
}

tm_time tm_kafka_message_time(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp < 0 ? TM_TIME_NONE : timestamp;
}
