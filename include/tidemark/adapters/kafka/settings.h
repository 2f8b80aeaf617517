/* What a worker's consumer and producer are set to; docs/kafka-settings.md says of each why, and a test holds the two
   together. Defaults may be changed under kafka.properties; on what is fixed the protocol rests. Not for use outside
   adapters/kafka. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_SETTINGS_H
#define TIDEMARK_ADAPTERS_KAFKA_SETTINGS_H

#include "tidemark/adapters/kafka/connection.h"

/* The configuration of the connection's member of the group, or of its transactional producer, as tm_kafka_conf_new
   makes it. `single`: the producer sends each record in a batch of its own. TM_OK, or TM_REJECT naming the property.
   The caller owns ret_conf until it has given it to rd_kafka_new. */
tm_status tm_kafka_consumer_conf(tm_kafka_connection *connection, rd_kafka_conf_t **ret_conf, tm_error *error);
tm_status tm_kafka_producer_conf(tm_kafka_connection *connection, bool single, rd_kafka_conf_t **ret_conf,
                                 tm_error *error);

#endif
