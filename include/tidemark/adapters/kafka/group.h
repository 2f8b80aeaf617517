/* The consumer group and the log from outside, by an operator's word: where the group stands, who is in it, and, while
   nobody is, setting or forgetting its offsets. For `doctor` and `shard`; workers never use it. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_GROUP_H
#define TIDEMARK_ADAPTERS_KAFKA_GROUP_H

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/ports/position.h"

typedef struct tm_kafka_group tm_kafka_group;

/* Uses `brokers`, `group`, `properties`, `inputs`, `log` and the journal's name of the configuration, which is
   borrowed. Does not join. TM_OK; TM_REJECT (configuration); TM_FATAL (out of memory). */
tm_status tm_kafka_group_new(const tm_kafka_config *config, tm_kafka_group **ret_group, tm_error *error);
void tm_kafka_group_free(tm_kafka_group *group); /* NULL is allowed */

typedef struct tm_kafka_member {
    char id[160]; /* the instance's name, or what the broker called it */
    char host[80];
} tm_kafka_member;

/* The first `capacity` members; *ret_count says how many there are. A static member that was stopped counts until its
   session ends. TM_OK; TM_RETRY: no answer; TM_REJECT: refused. */
tm_status tm_kafka_group_members(tm_kafka_group *group, tm_kafka_member *ret_members, uint32_t capacity,
                                 uint32_t *ret_count, tm_error *error);
/* C of a partition, as port `source`, committed(). */
tm_status tm_kafka_group_committed(tm_kafka_group *group, int32_t partition, tm_position *ret_position,
                                   tm_error *error);

/* Sets C: offsets of both inputs with n as metadata. TM_OK; TM_RETRY: no answer; TM_REJECT: refused, as while the group
   has members. */
tm_status tm_kafka_group_set(tm_kafka_group *group, int32_t partition, tm_position position, tm_error *error);
/* The partition's offsets of both inputs are forgotten; none there is no error. Statuses as tm_kafka_group_set. */
tm_status tm_kafka_group_forget(tm_kafka_group *group, int32_t partition, tm_error *error);
/* Every line of the partition's journal is deleted. Statuses as tm_kafka_group_set. */
tm_status tm_kafka_group_cut_journal(tm_kafka_group *group, int32_t partition, tm_error *error);

/* ---- The log ---- */

/* Least offset kept and last stable offset of an input's partition. TM_OK; TM_RETRY; TM_REJECT: no such partition. */
tm_status tm_kafka_group_bounds(tm_kafka_group *group, tm_input input, int32_t partition, int64_t *ret_first,
                                int64_t *ret_end, tm_error *error);
/* The record at an offset, or the first one after it that is kept: what tells it from another. *ret_offset -1: there
   is none up to the end. TM_OK; TM_RETRY. */
tm_status tm_kafka_group_record(tm_kafka_group *group, tm_input input, int32_t partition, int64_t offset,
                                int64_t *ret_offset, tm_time *ret_timestamp, uint64_t *ret_key_hash, tm_error *error);

#endif
