/* What a worker's three Kafka objects (source, publisher, admin) are told: where, as whom, and which topics. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_CONFIG_H
#define TIDEMARK_ADAPTERS_KAFKA_CONFIG_H

#include "tidemark/ports/clock.h"
#include "tidemark/ports/log.h"
#include "tidemark/ports/publisher.h"

/* One librdkafka property as the user wrote it, e.g. "sasl.password", "…". */
typedef struct tm_kafka_property {
    const char *name;
    const char *value;
} tm_kafka_property;

/* Borrowed as a whole: everything it points at must outlive the objects made with it. */
typedef struct tm_kafka_config {
    const char *brokers;                 /* host:port, several separated by commas */
    const char *group;                   /* consumer group */
    const char *instance;                /* unique and stable per process */
    uint32_t worker;                     /* number of the worker in its process, from 0 */
    const char *inputs[TM_INPUTS];       /* topic names; inputs[TM_INPUT_ACCOUNTS] NULL: accounts are switched off */
    const char *outputs[TM_TOPICS];      /* topic names; NULL: this worker publishes nothing there */
    const tm_kafka_property *properties; /* passed through; applied before the ones the protocol needs */
    uint32_t property_count;
    const tm_clock *clock; /* its steady time tells how long a call took, and ends what waits; any thread */
    const tm_log *log;     /* NULL: silent. Receives librdkafka's own lines too, without secrets */
} tm_kafka_config;

enum { TM_KAFKA_ID_MAX = 249 }; /* bytes of "<group>-<instance>-<worker>" */

/* The one identity of a worker, "<group>-<instance>-<worker>": group.instance.id of its consumer and transactional.id
   of its producer, so that whoever takes one over fences the other. TM_OK, or TM_REJECT when it is too long or a part
   is empty. */
tm_status tm_kafka_worker_id(const tm_kafka_config *config, char ret_id[static TM_KAFKA_ID_MAX + 1], tm_error *error);

/* True when the protocol's correctness rests on this property (isolation.level, transactional.id, …) or when it has a
   key of its own in the configuration (bootstrap.servers): it cannot be passed through. */
bool tm_kafka_property_reserved(const char *name);

/* Checks everything that can be checked without a broker: names present, identity short enough, no reserved property,
   each property known to the librdkafka in use and its value acceptable to it. TM_OK, or TM_REJECT naming the property;
   values of secret properties are never in the error. For `check`, and done again by every _new. */
tm_status tm_kafka_config_check(const tm_kafka_config *config, tm_error *error);

/* The same of one property alone, so that an error can point at its line. */
tm_status tm_kafka_property_check(const tm_kafka_property *property, tm_error *error);

/* Version of librdkafka in use, e.g. "2.0.2"; static storage. */
const char *tm_kafka_library_version(void);

#endif
