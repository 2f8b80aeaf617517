/* Offsets of a transaction while the group's coordinator is away, over librdkafka's own brokers. */
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
/* after the one above */
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>

#include "tidemark/adapters/kafka/offsets.h"

static rd_kafka_t *producer(const char *brokers, const char *id)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    if (brokers)
        (void)rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    if (id)
        (void)rd_kafka_conf_set(conf, "transactional.id", id, text, sizeof text);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    cr_assert_not_null(handle, "%s", text);
    return handle;
}

static rd_kafka_error_t *try_sending(rd_kafka_t *handle, int timeout_ms, tm_kafka_sending **left)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "usage", 0)->offset = 12;
    return tm_kafka_send_offsets(handle, list, rd_kafka_consumer_group_metadata_new("g"), timeout_ms, left);
}

Test(kafka_offsets, a_coordinator_that_is_away_keeps_nobody)
{
    rd_kafka_t *host = producer(NULL, NULL);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 2);
    /* Newer versions of it take offsets of topics that are there, and ask for others until the time is up. */
    cr_assert_eq(rd_kafka_mock_topic_create(cluster, "usage", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_mock_coordinator_set(cluster, "transaction", "t", 1);
    rd_kafka_mock_coordinator_set(cluster, "group", "g", 2);
    rd_kafka_t *handle = producer(rd_kafka_mock_cluster_bootstraps(cluster), "t");
    cr_assert_null(rd_kafka_init_transactions(handle, 60000));
    cr_assert_null(rd_kafka_begin_transaction(handle));
    tm_kafka_sending *left;
    cr_assert_null(try_sending(handle, 60000, &left));
    cr_assert_null(left);
    rd_kafka_mock_broker_set_down(cluster, 2);
    rd_kafka_error_t *failure = try_sending(handle, 100, &left);
    cr_assert_not_null(failure);
    cr_assert_eq(rd_kafka_error_code(failure), RD_KAFKA_RESP_ERR__TIMED_OUT);
    rd_kafka_error_destroy(failure);
    cr_assert_not_null(left);
    rd_kafka_mock_broker_set_up(cluster, 2);
    while (!tm_kafka_sending_over(left))
        (void)poll(NULL, 0, 20);
    cr_assert(tm_kafka_sending_over(NULL));
    rd_kafka_destroy(handle);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}
