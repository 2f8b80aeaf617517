/* Port `source` on Kafka: a static member of the consumer group, reading what is committed, from offsets it is told.

   Both inputs are assigned by the `range` assignor, which gives one member the same partition numbers of both topics
   when these have as many partitions as each other; where it did not, `poll` returns TM_FATAL and nothing is read.

   What it adds to the port:
   - a partition's records come strictly in order of offset, from the offset given to `start` on; whatever librdkafka
     delivers of partitions not owned, not started, paused, or before the expected offset is dropped here;
   - an expected offset that the broker no longer has (cut by retention) stops that partition alone, with an error in
     the log: `bounds` then gives a first offset beyond the expected one, and the caller decides;
   - `poll` returns TM_RETRY, once a second at most after it has waited, for as long as no broker answers;
   - a member that is fenced after a broken connection, or after its session ran out, by a late request of its own as
   far as it can know, is renewed: `poll` revokes everything as lost, and joins anew once all records were released;
   without trouble on its connections it is another process, and `poll` returns TM_FATAL;
   - records must be released before `leave`; `leave` calls `revoked`, so the publisher must still be there. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_SOURCE_H
#define TIDEMARK_ADAPTERS_KAFKA_SOURCE_H

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/ports/source.h"

typedef struct tm_kafka_source tm_kafka_source;

/* Makes a source; nothing is sent before `join`. TM_OK; TM_REJECT: the configuration is at fault; TM_FATAL: out of
   memory. The object is freed by its port's `leave`, which must be called even if `join` never was. */
tm_status tm_kafka_source_new(const tm_kafka_config *config, tm_kafka_source **ret_source, tm_error *error);
tm_source tm_kafka_source_port(tm_kafka_source *source);

/* Generation of the group as this member last knew it, for the store's claim; it grows with every rebalance and stays
   the same over a restart of a static member. -1: not a member, or this librdkafka tells it in a form not known here.
 */
int64_t tm_kafka_source_generation(const tm_kafka_source *source);

/* For the publisher: the membership as librdkafka's own object, to be freed with
   rd_kafka_consumer_group_metadata_destroy; NULL when the source has not joined. */
struct rd_kafka_consumer_group_metadata_s *tm_kafka_source_membership(const tm_kafka_source *source);

#endif
