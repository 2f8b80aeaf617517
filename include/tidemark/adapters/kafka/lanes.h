/* The partitions that the group gave to a source, and how librdkafka is told what to read of them. A lane is one
   partition of one input. Not for use outside adapters/kafka.

   Whatever changes between polls (start, pause) only sets marks; `arrange` brings librdkafka in line at the beginning
   of the next poll, all lanes at once: by a seek where the lane is fetching, else by assigning everything anew at
   explicit offsets, which is also what is done when a seek fails. Both set up a barrier inside librdkafka behind which
   nothing fetched earlier is delivered. A lane that is not fetching is never held. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_LANES_H
#define TIDEMARK_ADAPTERS_KAFKA_LANES_H

#include "tidemark/adapters/kafka/connection.h"

typedef struct tm_kafka_lane {
    bool started;   /* the pipeline has named an offset */
    bool paused;    /* as the pipeline wants it */
    bool fetching;  /* it is in librdkafka's assignment */
    bool held;      /* it is paused inside librdkafka */
    bool seek;      /* librdkafka's position is to be set to `next` */
    int64_t next;   /* least offset that may be delivered: all below were, or never will be */
    int64_t end;    /* what the broker said of its end at `end_at`, when all lanes were asked together */
    int64_t end_at; /* steady ms; 0: not asked, or the answer was given out */
} tm_kafka_lane;

typedef struct tm_kafka_lanes {
    tm_kafka_connection *connection;
    uint32_t inputs; /* 1: accounts are switched off */
    tm_kafka_lane *of[TM_INPUTS];
    bool *owned_flags;
    uint32_t capacity; /* partitions that `of`, `owned` and `owned_flags` have room for */
    int32_t *owned;    /* ascending; both inputs of each */
    uint32_t owned_count;
    bool changed;  /* a mark was set since the last arrange */
    bool reassign; /* librdkafka's assignment has to be set anew */
} tm_kafka_lanes;

void tm_kafka_lanes_init(tm_kafka_lanes *lanes, tm_kafka_connection *connection);
void tm_kafka_lanes_done(tm_kafka_lanes *lanes);

/* Room for `partitions`. TM_OK or TM_FATAL (out of memory). */
tm_status tm_kafka_lanes_grow(tm_kafka_lanes *lanes, uint32_t partitions, tm_error *error);

/* Takes over the partitions of an assignment, none of them started. TM_FATAL, with none taken, unless every input has
   the same ones. */
tm_status tm_kafka_lanes_take(tm_kafka_lanes *lanes, const rd_kafka_topic_partition_list_t *list, tm_error *error);

/* Gives everything back: nothing is owned, librdkafka's assignment is empty. */
void tm_kafka_lanes_drop(tm_kafka_lanes *lanes);

/* Assigns every lane that is started and not paused at exactly its next offset, and no other. */
void tm_kafka_lanes_assign(tm_kafka_lanes *lanes);

/* Brings librdkafka in line with the marks. */
void tm_kafka_lanes_arrange(tm_kafka_lanes *lanes);

/* The lane of an owned partition of an input that is read; NULL where it is not. */
tm_kafka_lane *tm_kafka_lanes_find(const tm_kafka_lanes *lanes, tm_input input, int32_t partition);

/* Port `source`, bounds(). NO_ERROR, or why the broker did not answer. */
rd_kafka_resp_err_t tm_kafka_lanes_bounds(tm_kafka_lanes *lanes, tm_input input, int32_t partition, int64_t *ret_first,
                                          int64_t *ret_end, int64_t *ret_reached);

#endif
