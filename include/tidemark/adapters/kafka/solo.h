/* Port `source` on Kafka without a group: all partitions, committed records, up to the ends as they are when reading
 * starts. For dry runs. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_SOLO_H
#define TIDEMARK_ADAPTERS_KAFKA_SOLO_H

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/ports/source.h"

/* A source that assigns itself partitions 0 … partitions - 1 at the first poll. Nothing was ever committed, as far as
   it tells. `config` is borrowed. TM_OK; TM_FATAL: out of memory. Freed by its leave(). */
tm_status tm_kafka_solo_new(const tm_kafka_config *config, uint32_t partitions, tm_source *ret_source, tm_error *error);

#endif
