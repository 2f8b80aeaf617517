#include <criterion/criterion.h>
#include <string.h>

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/adapters/kafka/connection.h"
#include "tidemark/adapters/kafka/membership.h"

static tm_kafka_config plain(const tm_kafka_property *properties, uint32_t count)
{
    return (tm_kafka_config){
        .brokers = "127.0.0.1:1",
        .group = "g",
        .instance = "i",
        .worker = 3,
        .inputs = {"usage", "accounts"},
        .properties = properties,
        .property_count = count,
    };
}

Test(kafka_config, accepts_what_is_right)
{
    const tm_kafka_property properties[] = {{"session.timeout.ms", "9000"}, {"linger.ms", "5"}};
    tm_kafka_config config = plain(properties, 2);
    tm_error error;
    char id[TM_KAFKA_ID_MAX + 1];
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_kafka_worker_id(&config, id, &error), TM_OK);
    cr_assert_str_eq(id, "g-i-3");
    config.inputs[TM_INPUT_ACCOUNTS] = NULL;
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_OK, "%s", error.what);
}

Test(kafka_config, refuses_and_names_the_property)
{
    static const tm_kafka_property wrong[] = {
        {"isolation.level", "read_uncommitted"},
        {"transactional.id", "x"},
        {"enable.auto.commit", "true"},
        {"partition.assignment.strategy", "roundrobin"},
        {"bootstrap.servers", "elsewhere:9092"},
        {"retry.backoff.ms", "10"},
        {"no.such.property", "1"},
        {"session.timeout.ms", "long"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        tm_kafka_config config = plain(&wrong[i], 1);
        tm_error error;
        cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT, "%s", wrong[i].name);
        cr_assert(strstr(error.what, wrong[i].name) != NULL, "%s", error.what);
    }
}

Test(kafka_config, refuses_names_that_cannot_be)
{
    char name[TM_KAFKA_ID_MAX + 1];
    tm_error error;
    tm_kafka_config config = plain(NULL, 0);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    config.group = name;
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    config.group = "";
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    config = plain(NULL, 0);
    config.instance = NULL;
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    config = plain(NULL, 0);
    config.brokers = "";
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    config = plain(NULL, 0);
    config.inputs[TM_INPUT_ACCOUNTS] = "usage";
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    config = plain(NULL, 0);
    config.outputs[TM_TOPIC_HEALTH] = "usage";
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
}

Test(kafka_config, keeps_secrets)
{
    const tm_kafka_property properties[] = {{"sasl.password", "hunter2"}, {"sasl.username", "me"}};
    const tm_kafka_property wrong[] = {{"ssl.key.password", "hunter2"}, {"security.protocol", "hunter2"}};
    tm_kafka_config config = plain(properties, 2);
    tm_error error;
    char text[] = "me: hunter2, hunter2hunter2";
    tm_kafka_redact(&config, text);
    cr_assert_str_eq(text, "me: *******, **************");
    config = plain(wrong, 2); /* the second value is refused, and librdkafka's own words would quote it */
    cr_assert_eq(tm_kafka_config_check(&config, &error), TM_REJECT);
    cr_assert(strstr(error.what, "security.protocol") != NULL && strstr(error.what, "hunter2") == NULL, "%s",
              error.what);
}

Test(kafka_membership, finds_the_generation)
{
    int64_t place = tm_kafka_generation_place();
    cr_assert_geq(place, 0);
    for (int32_t generation = 0; generation < 100000; generation = generation * 7 + 1) {
        rd_kafka_consumer_group_metadata_t *membership =
            rd_kafka_consumer_group_metadata_new_with_genid("a longer group", generation, "some member", NULL);
        cr_assert_eq(tm_kafka_generation_read(membership, place), generation);
        cr_assert_eq(tm_kafka_generation_read(membership, -1), -1);
        cr_assert_eq(tm_kafka_generation_read(membership, 10000), -1);
        rd_kafka_consumer_group_metadata_destroy(membership);
    }
}

Test(kafka_membership, writes_positions_as_offsets)
{
    const int32_t partitions[] = {4, 5};
    const tm_position positions[] = {{{10, 20}, 7}, {{-1, 3}, 1234567890123, 98765432109}};
    tm_kafka_config config = plain(NULL, 0);
    rd_kafka_topic_partition_list_t *list = tm_kafka_offsets_of(&config, partitions, positions, 2);
    cr_assert_eq(list->cnt, 3);
    cr_assert_str_eq(list->elems[0].topic, "usage");
    cr_assert_eq(list->elems[0].partition, 4);
    cr_assert_eq(list->elems[0].offset, 10);
    cr_assert_eq(list->elems[0].metadata_size, 1);
    cr_assert_eq(memcmp(list->elems[0].metadata, "7", 1), 0);
    cr_assert_str_eq(list->elems[2].topic, "accounts");
    cr_assert_eq(list->elems[2].offset, 3);
    cr_assert_eq(list->elems[2].metadata_size, 25);
    cr_assert_eq(memcmp(list->elems[2].metadata, "1234567890123 98765432109", 25), 0);
    rd_kafka_topic_partition_list_destroy(list);
    config.inputs[TM_INPUT_ACCOUNTS] = NULL;
    list = tm_kafka_offsets_of(&config, partitions, positions, 2);
    cr_assert_eq(list->cnt, 1);
    rd_kafka_topic_partition_list_destroy(list);
}
