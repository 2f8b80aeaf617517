/* librdkafka's in-process broker, for `demo`: no installation, nothing kept. It forgets transactional offsets and shows
   aborted records, so it is never evidence of exactly-once. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_MOCK_H
#define TIDEMARK_ADAPTERS_KAFKA_MOCK_H

#include <stdint.h>

#include "tidemark/base/status.h"

typedef struct tm_kafka_mock tm_kafka_mock;

/* A broker in this process on a port of its own, with the named topics. TM_OK or TM_FATAL. */
tm_status tm_kafka_mock_new(const char *const *topics, uint32_t count, uint32_t partitions, tm_kafka_mock **ret_mock,
                            tm_error *error);
const char *tm_kafka_mock_brokers(const tm_kafka_mock *mock); /* host:port */
void tm_kafka_mock_free(tm_kafka_mock *mock);                 /* NULL is allowed */

#endif
