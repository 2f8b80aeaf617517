/* Plain production of records with given timestamps: `generate`, `demo` and load tests. No transactions. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_LOADER_H
#define TIDEMARK_ADAPTERS_KAFKA_LOADER_H

#include "tidemark/adapters/kafka/config.h"

typedef struct tm_kafka_loader tm_kafka_loader;

/* TM_OK; TM_REJECT: the configuration is at fault; TM_FATAL: out of memory. */
tm_status tm_kafka_loader_new(const tm_kafka_config *config, tm_kafka_loader **ret_loader, tm_error *error);
/* Sends one record to the input's topic; the partition follows from the key as a Java producer's would. `value` absent:
   a null value. Waits while the queue is full. TM_OK; TM_RETRY: it was not taken within a minute; TM_REJECT: too large;
   TM_FATAL: a record before it was lost. */
tm_status tm_kafka_loader_send(tm_kafka_loader *loader, tm_input input, tm_slice key, tm_slice value, tm_time timestamp,
                               tm_error *error);
/* Waits until everything was acknowledged. TM_OK, TM_RETRY (not within a minute), TM_FATAL (a record was refused). */
tm_status tm_kafka_loader_flush(tm_kafka_loader *loader, tm_error *error);
void tm_kafka_loader_free(tm_kafka_loader *loader); /* NULL is allowed */

#endif
