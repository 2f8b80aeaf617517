/* What the group knows: its generation, and the positions committed to it. A position becomes offsets of both inputs
   with the commit number n as their metadata, and after a space the epoch of the claim that made it where that is
   known, both in decimal, and comes back from them. Not for use outside adapters/kafka. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_MEMBERSHIP_H
#define TIDEMARK_ADAPTERS_KAFKA_MEMBERSHIP_H

#include "tidemark/adapters/kafka/connection.h"

/* Where a generation lies in the written form of a membership; -1 where this librdkafka does not show it. */
int64_t tm_kafka_generation_place(void);

/* The generation in a membership, `place` as found above; -1: none. */
int64_t tm_kafka_generation_read(const rd_kafka_consumer_group_metadata_t *membership, int64_t place);

/* Offsets to commit. An input whose next is negative, or that is switched off, is left out. NULL: out of memory. */
rd_kafka_topic_partition_list_t *tm_kafka_offsets_of(const tm_kafka_config *config, const int32_t *partitions,
                                                     const tm_position *positions, uint32_t count);

/* Port `source`, committed(). */
tm_status tm_kafka_committed(const tm_kafka_connection *connection, const int32_t *partitions, uint32_t count,
                             tm_position *ret_positions, tm_error *error);

#endif
