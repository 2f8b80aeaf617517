#include "tidemark/adapters/kafka/permissions.h"

#include <stdio.h>
#include <string.h>

const char *tm_kafka_resource_name(tm_kafka_resource resource)
{
    static const char *const names[] = {
        [TM_KAFKA_TOPIC] = "topic", [TM_KAFKA_GROUP] = "group", [TM_KAFKA_TRANSACTIONAL_ID] = "transactional-id"};
    return names[resource];
}

static tm_kafka_permission *add(tm_kafka_permission *list, uint32_t *count, tm_kafka_resource resource,
                                const char *name)
{
    tm_kafka_permission *one = &list[(*count)++];
    *one = (tm_kafka_permission){.resource = resource};
    (void)snprintf(one->name, sizeof(one->name), "%s", name);
    return one;
}

static void allow(tm_kafka_permission *one, const char *operation)
{
    for (int i = 0; i < TM_KAFKA_OPERATIONS_MAX; i++) {
        if (one->operations[i] == NULL) {
            one->operations[i] = operation;
            return;
        }
    }
}

uint32_t tm_kafka_permissions(const tm_kafka_config *config,
                              tm_kafka_permission ret_list[static TM_KAFKA_PERMISSIONS_MAX])
{
    uint32_t count = 0;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (config->inputs[i] != NULL) {
            tm_kafka_permission *one = add(ret_list, &count, TM_KAFKA_TOPIC, config->inputs[i]);
            allow(one, "Read");
            allow(one, "DescribeConfigs");
        }
    }
    for (int i = 0; i < TM_TOPICS; i++) {
        if (config->outputs[i] != NULL) {
            tm_kafka_permission *one = add(ret_list, &count, TM_KAFKA_TOPIC, config->outputs[i]);
            allow(one, "Write");
            allow(one, "DescribeConfigs");
            if (i == TM_TOPIC_JOURNAL) { /* made where it is not there, and read when a shard is rebuilt */
                allow(one, "Read");
                allow(one, "Create");
            }
        }
    }
    allow(add(ret_list, &count, TM_KAFKA_GROUP, config->group), "Read");
    tm_kafka_permission *ids = add(ret_list, &count, TM_KAFKA_TRANSACTIONAL_ID, config->group);
    size_t length = strlen(ids->name);
    if (length < TM_KAFKA_ID_MAX) { /* "<group>-<instance>-<worker>" */
        ids->name[length] = '-';
        ids->name[length + 1] = '\0';
    }
    ids->prefixed = true;
    allow(ids, "Write");
    uint32_t running = count;
    for (uint32_t i = 0; i < running; i++) {
        bool created = ret_list[i].resource == TM_KAFKA_TOPIC &&
                       (config->outputs[TM_TOPIC_JOURNAL] == NULL ||
                        strcmp(ret_list[i].name, config->outputs[TM_TOPIC_JOURNAL]) != 0);
        if (created) {
            tm_kafka_permission *one = add(ret_list, &count, TM_KAFKA_TOPIC, ret_list[i].name);
            one->only_init = true;
            allow(one, "Create");
        }
    }
    return count;
}
