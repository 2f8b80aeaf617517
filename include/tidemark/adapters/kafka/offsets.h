/* Offsets sent as part of a transaction, by a call that comes back. librdkafka's own waits, whatever its time-out, for
   as long as the coordinator of the group is away (confluentinc/librdkafka#5456; all versions known), and now and then
   beyond: a worker in it would neither poll nor say why. Not for use outside adapters/kafka. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_OFFSETS_H
#define TIDEMARK_ADAPTERS_KAFKA_OFFSETS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* A call that was left alone in its thread. */
typedef struct tm_kafka_sending tm_kafka_sending;

/* As rd_kafka_send_offsets_to_transaction, but takes both objects, and comes back `timeout_ms` and a second after at
   the latest. Then it is a time-out, and *ret_left the call that goes on: until tm_kafka_sending_over() is true, the
   handle has to stay, and makes no transaction. Otherwise *ret_left is NULL. */
rd_kafka_error_t *tm_kafka_send_offsets(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list,
                                        rd_kafka_consumer_group_metadata_t *membership, int timeout_ms,
                                        tm_kafka_sending **ret_left);
/* Whether it has come back; then it is freed. NULL is over. */
bool tm_kafka_sending_over(tm_kafka_sending *sending);

#endif
