/* What a source has assigned, over librdkafka's own broker. */
#include <criterion/criterion.h>

#include "tidemark/adapters/kafka/lanes.h"
#include "tidemark/adapters/kafka/mock.h"
#include "tidemark/adapters/system/clock.h"

enum { PARTITIONS = 4, ROUNDS = 300 };

static rd_kafka_topic_partition_list_t *everything(const char *const *topics)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2 * PARTITIONS);
    for (int i = 0; i < 2 * PARTITIONS; i++)
        (void)rd_kafka_topic_partition_list_add(list, topics[i % 2], i / 2);
    return list;
}

/* As when shards are claimed one soon after the other. Without the wait in between, librdkafka ends the process within
   the first of these rounds. */
Test(kafka_lanes, an_assignment_may_follow_another_at_once)
{
    static const char *const topics[] = {"usage", "accounts"};
    static const tm_kafka_setting settings[] = {
        {"group.id", "g", false}, {"fetch.wait.max.ms", "5", false}, {"log_level", "0", false}, {NULL, NULL, false}};
    static const tm_kafka_setting none[] = {{NULL, NULL, false}};
    tm_error error;
    tm_kafka_mock *mock;
    cr_assert_eq(tm_kafka_mock_new(topics, 2, PARTITIONS, &mock, &error), TM_OK, "%s", error.what);
    const tm_clock clock = tm_system_clock();
    tm_kafka_config config = {.brokers = tm_kafka_mock_brokers(mock),
                              .group = "g",
                              .instance = "one",
                              .inputs = {topics[0], topics[1]},
                              .clock = &clock};
    tm_kafka_connection connection = {.config = &config, .role = "source"};
    rd_kafka_conf_t *conf;
    cr_assert_eq(tm_kafka_conf_new(&connection, settings, none, &conf, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_kafka_connection_open(&connection, RD_KAFKA_CONSUMER, conf, &error), TM_OK, "%s", error.what);
    (void)rd_kafka_poll_set_consumer(connection.handle);
    tm_kafka_lanes lanes;
    tm_kafka_lanes_init(&lanes, &connection);
    for (int round = 0; round < ROUNDS; round++) {
        rd_kafka_topic_partition_list_t *list = everything(topics);
        cr_assert_eq(tm_kafka_lanes_take(&lanes, list, &error), TM_OK, "%s", error.what);
        rd_kafka_topic_partition_list_destroy(list);
        for (int32_t p = 0; p < PARTITIONS; p++) {
            tm_kafka_lanes_find(&lanes, TM_INPUT_USAGE, p)->started = true;
            tm_kafka_lanes_find(&lanes, TM_INPUT_ACCOUNTS, p)->started = true;
            tm_kafka_lanes_assign(&lanes);
            cr_assert_not(lanes.reassign);
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(connection.handle, 1);
        if (message != NULL)
            rd_kafka_message_destroy(message);
        tm_kafka_lanes_drop(&lanes);
    }
    tm_kafka_lanes_done(&lanes);
    cr_assert(tm_kafka_connection_close(&connection, TM_KAFKA_LEAVE_MS));
    tm_kafka_mock_free(mock);
}
