#include "tidemark/adapters/kafka/tap.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/kafka/reader.h"

struct tm_kafka_tap {
    tm_kafka_connection connection;
    tm_topic topics[TM_TOPICS];
    uint32_t count;
    rd_kafka_message_t *message;
};

tm_status tm_kafka_tap_new(const tm_kafka_config *config, const tm_topic *topics, uint32_t count,
                           tm_kafka_tap **ret_tap, tm_error *error)
{
    tm_kafka_tap *tap = calloc(1, sizeof *tap);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    if (!tap || !list) {
        free(tap);
        if (list)
            rd_kafka_topic_partition_list_destroy(list);
        return tm_fail(error, TM_FATAL, "no memory to follow topics");
    }
    tap->connection = (tm_kafka_connection){.config = config, .role = "tap"};
    const tm_kafka_setting defaults[] = {{"fetch.wait.max.ms", "50", false}, {NULL, NULL, false}};
    const tm_kafka_setting fixed[] = {{"group.id", "tidemark-tap", false}, /* librdkafka wants one; none is joined */
                                      {"isolation.level", "read_committed", false},
                                      {"enable.auto.commit", "false", false},
                                      {"auto.offset.reset", "earliest", false},
                                      {NULL, NULL, false}};
    rd_kafka_conf_t *conf = NULL;
    tm_status status = tm_kafka_conf_new(&tap->connection, defaults, fixed, &conf, error);
    if (status == TM_OK)
        status = tm_kafka_connection_open(&tap->connection, RD_KAFKA_CONSUMER, conf, error);
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        const char *name = config->outputs[topics[i]];
        uint32_t partitions = 0;
        status = tm_kafka_partitions(tap->connection.handle, name, TM_KAFKA_ASK_MS, &partitions, error);
        if (status == TM_OK && partitions == 0)
            status = tm_fail(error, TM_REJECT, "there is no topic '%s'", name);
        for (uint32_t p = 0; p < partitions && status == TM_OK; p++)
            rd_kafka_topic_partition_list_add(list, name, (int32_t)p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        tap->topics[tap->count++] = topics[i];
    }
    if (status == TM_OK) {
        (void)rd_kafka_poll_set_consumer(tap->connection.handle);
        if (rd_kafka_assign(tap->connection.handle, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = tm_fail(error, TM_RETRY, "the topics cannot be followed");
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (status != TM_OK) {
        tm_kafka_tap_free(tap);
        return status;
    }
    *ret_tap = tap;
    return TM_OK;
}

bool tm_kafka_tap_next(tm_kafka_tap *tap, int64_t wait_ms, tm_tapped *ret_record)
{
    if (tap->message)
        rd_kafka_message_destroy(tap->message);
    tap->message = rd_kafka_consumer_poll(tap->connection.handle, (int)wait_ms);
    if (!tap->message || tap->message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    const rd_kafka_message_t *m = tap->message;
    const char *name = rd_kafka_topic_name(m->rkt);
    *ret_record = (tm_tapped){.topic = TM_TOPICS,
                              .partition = m->partition,
                              .offset = m->offset,
                              .timestamp = tm_kafka_message_time(m),
                              .key = {m->key, m->key_len},
                              .value = {m->payload, m->len}};
    for (uint32_t i = 0; i < tap->count; i++) {
        if (strcmp(name, tap->connection.config->outputs[tap->topics[i]]) == 0)
            ret_record->topic = tap->topics[i];
    }
    return true;
}

void tm_kafka_tap_free(tm_kafka_tap *tap)
{
    if (!tap)
        return;
    if (tap->message)
        rd_kafka_message_destroy(tap->message);
    if (!tap->connection.handle || tm_kafka_connection_close(&tap->connection, TM_KAFKA_LEAVE_MS))
        free(tap);
}
