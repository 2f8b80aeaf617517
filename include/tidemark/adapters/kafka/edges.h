/* Where the partitions of a topic begin and end, and in which times. Not for use outside adapters/kafka: see
   tm_kafka_admin_edges. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_EDGES_H
#define TIDEMARK_ADAPTERS_KAFKA_EDGES_H

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/kafka/connection.h"

/* As tm_kafka_admin_edges, over a connection of tm_kafka_reader_connect. */
tm_status tm_kafka_edges(const tm_kafka_connection *connection, const char *topic, uint32_t count, int64_t timeout_ms,
                         tm_kafka_edge *ret_edges, tm_error *error);

#endif
