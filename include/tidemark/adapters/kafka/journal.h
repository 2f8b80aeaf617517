/* Port `journal` on Kafka: the journal topic's partition of a shard, read back outside any group. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_JOURNAL_H
#define TIDEMARK_ADAPTERS_KAFKA_JOURNAL_H

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/ports/journal.h"

/* Connects at the first open(). `config` is borrowed. TM_OK; TM_FATAL: out of memory. Ended with
   tm_kafka_journal_free, after the port's close(). */
typedef struct tm_kafka_journal tm_kafka_journal;
tm_status tm_kafka_journal_new(const tm_kafka_config *config, tm_kafka_journal **ret_journal, tm_error *error);
tm_journal_source tm_kafka_journal_port(tm_kafka_journal *journal);
void tm_kafka_journal_free(tm_kafka_journal *journal); /* NULL is allowed */

#endif
