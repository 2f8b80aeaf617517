#include "tidemark/adapters/kafka/settings.h"

tm_status tm_kafka_consumer_conf(tm_kafka_connection *connection, rd_kafka_conf_t **ret_conf, tm_error *error)
{
    const tm_kafka_setting defaults[] = {
        {"session.timeout.ms", "6000", false},
        {"heartbeat.interval.ms", "1000", false},
        /* Over a dead worker's transaction, the broker's sweep, and settling one's own. */
        {"max.poll.interval.ms", "120000", false},
        {"socket.timeout.ms", "10000", false},
        /* Going over the queue's bound makes librdkafka sleep up to a second: room for a second of peak. */
        {"queued.min.messages", "400000", false},
        {"queued.max.messages.kbytes", "131072", false},
        {"fetch.queue.backoff.ms", "10", true},
        {"fetch.min.bytes", "100000", false},
        {"fetch.wait.max.ms", "50", false},
        {NULL, NULL, false},
    };
    const tm_kafka_setting fixed[] = {
        {"group.id", connection->config->group, false},
        {"group.instance.id", connection->id, false},
        {"group.protocol", "classic", true},
        {"partition.assignment.strategy", "range", false},
        {"enable.auto.commit", "false", false},
        {"enable.auto.offset.store", "false", false},
        {"auto.offset.reset", "error", false},   /* a position that is gone is an error, never another position */
        {"enable.partition.eof", "true", false}, /* how far reading has come past the last record */
        {"isolation.level", "read_committed", false},
        {NULL, NULL, false},
    };
    return tm_kafka_conf_new(connection, defaults, fixed, ret_conf, error);
}

tm_status tm_kafka_producer_conf(tm_kafka_connection *connection, bool single, rd_kafka_conf_t **ret_conf,
                                 tm_error *error)
{
    const tm_kafka_setting defaults[] = {
        {"linger.ms", "0", false},
        {"socket.timeout.ms", "5000", false},
        {"queue.buffering.max.messages", "1000000", false},
        {"message.max.bytes", "34603008", false}, /* a journal line of TM_JOURNAL_LINE_MAX with its frame */
        {NULL, NULL, false},
    };
    const tm_kafka_setting fixed[] = {
        {"transactional.id", connection->id, false},
        {"delivery.report.only.error", "true", false}, /* what is refused is named; what succeeds costs nothing */
        {"transaction.timeout.ms", "10000", false},    /* TM_KAFKA_TRANSACTION_MS */
        {"retry.backoff.ms", "100", false},            /* TM_KAFKA_BACKOFF_MS */
        {"retry.backoff.max.ms", "100", true},         /* where backing off grows, it must not */
        {"partitioner", "murmur2_random", false},      /* where a Java producer would put the same key */
        {single ? "batch.size" : NULL, "1", false},    /* each record alone */
        {NULL, NULL, false},
    };
    return tm_kafka_conf_new(connection, defaults, fixed, ret_conf, error);
}
