/* Port: the outputs, published in transactions together with the group's offsets. One object a worker. */
#ifndef TIDEMARK_PORTS_PUBLISHER_H
#define TIDEMARK_PORTS_PUBLISHER_H

#include "tidemark/ports/position.h"

typedef enum tm_topic {
    TM_TOPIC_CHURN_RISK,
    TM_TOPIC_EXPANSION,
    TM_TOPIC_ADVISORIES,
    TM_TOPIC_HEALTH,
    TM_TOPIC_DEAD_LETTERS,
    TM_TOPIC_JOURNAL,
    TM_TOPICS
} tm_topic;

/* One record to publish. The publisher copies what it needs during the call. */
typedef struct tm_output {
    tm_topic topic;
    int32_t partition; /* -1: chosen by the key */
    tm_slice key;      /* absent: data == NULL */
    tm_slice value;    /* absent: a tombstone */
    tm_time timestamp; /* of the record */
    /* Headers as name, value pairs; at most 8. */
    struct {
        const char *name;
        tm_slice value;
    } headers[8];
    uint32_t header_count;
} tm_output;

typedef struct tm_publisher {
    void *context;
    /* (Re)initialises the producer: fences older ones of the same id and ends their open transaction. To be called at
       start, and after commit returned TM_RETRY. TM_OK, TM_RETRY, TM_FATAL. */
    tm_status (*initialise)(void *context, tm_error *error);
    tm_status (*begin)(void *context, tm_error *error);
    /* Adds a record to the open transaction. TM_OK; TM_RETRY: the transaction has to be aborted; TM_REJECT: the record
       is larger than what its topic is known to take, the transaction is unharmed (a dead letter can be cut; what
       cannot be cut has to wait, with the transaction aborted); TM_FATAL. */
    tm_status (*send)(void *context, const tm_output *output, tm_error *error);
    /* Commits the transaction with the group's offsets: C := positions (metadata: n and claim). TM_OK: done, certainly.
       TM_REJECT: aborted, certainly nothing of it is visible, and this member is no longer the owner (fenced by group
       membership). TM_RETRY: uncertain or aborted for an outside reason: initialise again, then read C. TM_FATAL:
       fenced by another producer of this id: leave. */
    tm_status (*commit)(void *context, const int32_t *partitions, const tm_position *positions, uint32_t count,
                        tm_error *error);
    /* Aborts. TM_OK, or TM_RETRY: initialise again. */
    tm_status (*abort)(void *context, tm_error *error);
    void (*close)(void *context);
} tm_publisher;

#endif
