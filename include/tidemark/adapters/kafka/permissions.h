/* What tidemark has to be allowed on a Kafka cluster with an authoriser, and nothing beyond: held by a test that runs
   with exactly these and with each of them missing. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_PERMISSIONS_H
#define TIDEMARK_ADAPTERS_KAFKA_PERMISSIONS_H

#include "tidemark/adapters/kafka/config.h"

typedef enum tm_kafka_resource { TM_KAFKA_TOPIC, TM_KAFKA_GROUP, TM_KAFKA_TRANSACTIONAL_ID } tm_kafka_resource;

enum { TM_KAFKA_OPERATIONS_MAX = 4, TM_KAFKA_PERMISSIONS_MAX = 2 * ((int)TM_INPUTS + (int)TM_TOPICS) + 2 };

typedef struct tm_kafka_permission {
    tm_kafka_resource resource;
    char name[TM_KAFKA_ID_MAX + 1];
    bool prefixed;                                   /* of all names that begin so */
    bool only_init;                                  /* `init --topics` alone needs it */
    const char *operations[TM_KAFKA_OPERATIONS_MAX]; /* as kafka-acls.sh names them; NULL behind the last */
} tm_kafka_permission;

/* Fills in what a service with this configuration needs (first), and what `init --topics` needs; returns how many.
   Read, Write and Create each allow Describe or are allowed it by the broker. */
uint32_t tm_kafka_permissions(const tm_kafka_config *config,
                              tm_kafka_permission ret_list[static TM_KAFKA_PERMISSIONS_MAX]);

/* "topic", "group" or "transactional-id", as the options of kafka-acls.sh. */
const char *tm_kafka_resource_name(tm_kafka_resource resource);

#endif
