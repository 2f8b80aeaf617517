#include "tidemark/adapters/kafka/config.h"

#include <stdio.h>
#include <string.h>

#include "tidemark/adapters/kafka/connection.h"

/* The protocol's own, and those with a key of their own in the configuration. */
static const char *const reserved[] = {
    /* Where and who */
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "transactional.id",
    /* Positions are told, never taken from librdkafka's own bookkeeping */
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "offset.store.method",
    "offset.store.path",
    "enable.partition.eof",
    /* What is read, and by whom */
    "isolation.level",
    "partition.assignment.strategy",
    "group.protocol",
    "group.remote.assignor",
    /* What is written is written once, in order, where a Java client would put it */
    "enable.idempotence",
    "enable.gapless.guarantee",
    "acks",
    "request.required.acks",
    "partitioner",
    "delivery.report.only.error",
    /* The rule for a commit that may have been sent twice is measured in these */
    "transaction.timeout.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
};

bool tm_kafka_property_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcmp(reserved[i], name) == 0) {
            return true;
        }
    }
    return false;
}

tm_status tm_kafka_worker_id(const tm_kafka_config *config, char ret_id[static TM_KAFKA_ID_MAX + 1], tm_error *error)
{
    int length;
    if (config->group == NULL || config->group[0] == '\0') {
        return tm_fail(error, TM_REJECT, "the consumer group has no name");
    }
    if (config->instance == NULL || config->instance[0] == '\0') {
        tm_status status = tm_fail(error, TM_REJECT, "the instance has no name");
        tm_error_hint(error, "give every process a name that is its own and stays the same over restarts");
        return status;
    }
    length = snprintf(ret_id, TM_KAFKA_ID_MAX + 1, "%s-%s-%u", config->group, config->instance, config->worker);
    if (length < 0 || length > TM_KAFKA_ID_MAX) {
        tm_status status = tm_fail(error, TM_REJECT, "group and instance are %d bytes long together, at most %d fit",
                                   length, (int)TM_KAFKA_ID_MAX);
        tm_error_hint(error, "shorten the group's or the instance's name");
        return status;
    }
    return TM_OK;
}

static tm_status check_names(const tm_kafka_config *config, tm_error *error)
{
    if (config->brokers == NULL || config->brokers[0] == '\0') {
        return tm_fail(error, TM_REJECT, "no Kafka broker is named");
    }
    if (config->inputs[TM_INPUT_USAGE] == NULL || config->inputs[TM_INPUT_USAGE][0] == '\0') {
        return tm_fail(error, TM_REJECT, "the input topic 'usage' has no name");
    }
    if (config->inputs[TM_INPUT_ACCOUNTS] != NULL &&
        strcmp(config->inputs[TM_INPUT_ACCOUNTS], config->inputs[TM_INPUT_USAGE]) == 0) {
        return tm_fail(error, TM_REJECT, "both inputs are the same topic '%s'", config->inputs[TM_INPUT_USAGE]);
    }
    for (int i = 0; i < TM_TOPICS; i++) {
        for (int j = 0; j < TM_INPUTS; j++) {
            if (config->outputs[i] != NULL && config->inputs[j] != NULL &&
                strcmp(config->outputs[i], config->inputs[j]) == 0) {
                return tm_fail(error, TM_REJECT, "topic '%s' is an input and an output", config->inputs[j]);
            }
        }
    }
    return TM_OK;
}

tm_status tm_kafka_config_check(const tm_kafka_config *config, tm_error *error)
{
    static const tm_kafka_setting none[] = {{NULL, NULL, false}};
    tm_kafka_connection connection = {.config = config, .role = "check"};
    rd_kafka_conf_t *conf = NULL;
    tm_status status = check_names(config, error);
    if (status == TM_OK) {
        status = tm_kafka_worker_id(config, connection.id, error);
    }
    if (status == TM_OK) {
        status = tm_kafka_conf_new(&connection, none, none, &conf, error);
    }
    if (status == TM_OK) {
        rd_kafka_conf_destroy(conf);
    }
    return status;
}

tm_status tm_kafka_property_check(const tm_kafka_property *property, tm_error *error)
{
    const tm_kafka_config alone = {.brokers = "localhost",
                                   .group = "group",
                                   .instance = "instance",
                                   .inputs = {[TM_INPUT_USAGE] = "usage"},
                                   .properties = property,
                                   .property_count = 1};
    return tm_kafka_config_check(&alone, error);
}

const char *tm_kafka_library_version(void)
{
    return rd_kafka_version_str();
}
