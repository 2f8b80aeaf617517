/* Port `publisher` on Kafka: a transactional producer that commits outputs and the group's offsets together.

   What it adds to the port:
   - nothing of a commit is guessed: a commit that failed, timed out, saw a socket close or took so long that the end of
     the transaction may have been sent twice gives TM_RETRY although it may well have succeeded; `initialise` then
   takes a new producer, which fences whatever of the old one is still on its way, and C says what happened;
   - every call returns within its time-out (10 s at most each step), broker or no broker;
   - a producer that is fenced after a broken connection may be so by a late request of its own: TM_RETRY. Without that
   it is another process: TM_FATAL;
   - a transaction that the broker ended because it was open too long gives TM_RETRY: nothing of it is visible. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_PUBLISHER_H
#define TIDEMARK_ADAPTERS_KAFKA_PUBLISHER_H

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/adapters/kafka/source.h"

typedef struct tm_kafka_publisher tm_kafka_publisher;

/* Makes a publisher; nothing is sent before `initialise`. `source` gives the group membership that commits are bound to
   and must be there as long as commits are made; NULL: commits with no positions only. TM_OK; TM_REJECT: the
   configuration is at fault; TM_FATAL: out of memory. Freed by its port's `close` (after the source's `leave`). */
tm_status tm_kafka_publisher_new(const tm_kafka_config *config, const tm_kafka_source *source,
                                 tm_kafka_publisher **ret_publisher, tm_error *error);
tm_publisher tm_kafka_publisher_port(tm_kafka_publisher *publisher);

#endif
