#include "tidemark/adapters/kafka/mock.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct tm_kafka_mock {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
};

tm_status tm_kafka_mock_new(const char *const *topics, uint32_t count, uint32_t partitions, tm_kafka_mock **ret_mock,
                            tm_error *error)
{
    char text[256] = "";
    tm_kafka_mock *mock = calloc(1, sizeof *mock);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!mock)
        goto failed;
    (void)rd_kafka_conf_set(conf, "client.id", "tidemark-demo", text, sizeof text);
    (void)rd_kafka_conf_set(conf, "log_level", "3", text, sizeof text);
    mock->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!mock->handle)
        goto failed;
    conf = NULL;
    mock->cluster = rd_kafka_mock_cluster_new(mock->handle, 1);
    if (!mock->cluster)
        goto failed;
    for (uint32_t i = 0; i < count; i++) {
        if (rd_kafka_mock_topic_create(mock->cluster, topics[i], (int)partitions, 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
            goto failed;
    }
    *ret_mock = mock;
    return TM_OK;
failed:
    if (conf)
        rd_kafka_conf_destroy(conf);
    tm_kafka_mock_free(mock);
    return tm_fail(error, TM_FATAL, "librdkafka's in-process broker cannot be started%s%s", text[0] ? ": " : "", text);
}

const char *tm_kafka_mock_brokers(const tm_kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

void tm_kafka_mock_free(tm_kafka_mock *mock)
{
    if (!mock)
        return;
    if (mock->cluster)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->handle)
        rd_kafka_destroy(mock->handle);
    free(mock);
}
