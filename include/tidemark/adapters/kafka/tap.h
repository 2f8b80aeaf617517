/* Following topics as a subscriber does: all partitions, committed records, no group. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_TAP_H
#define TIDEMARK_ADAPTERS_KAFKA_TAP_H

#include "tidemark/adapters/kafka/config.h"

typedef struct tm_kafka_tap tm_kafka_tap;

typedef struct tm_tapped {
    tm_topic topic;
    int32_t partition;
    int64_t offset;
    tm_time timestamp;
    tm_slice key, value; /* absent: data == NULL */
} tm_tapped;

/* Follows the given output topics of `config` from their beginning. TM_OK; TM_RETRY: no broker answers; TM_REJECT: a
   topic is not there; TM_FATAL: out of memory. */
tm_status tm_kafka_tap_new(const tm_kafka_config *config, const tm_topic *topics, uint32_t count,
                           tm_kafka_tap **ret_tap, tm_error *error);
/* Waits at most `wait_ms` for the next record; it is valid until the next call. False: none came. */
bool tm_kafka_tap_next(tm_kafka_tap *tap, int64_t wait_ms, tm_tapped *ret_record);
void tm_kafka_tap_free(tm_kafka_tap *tap); /* NULL is allowed */

#endif
