/* Port: the two co-partitioned inputs, read as a member of a group. One object a worker, used by its thread alone. */
#ifndef TIDEMARK_PORTS_SOURCE_H
#define TIDEMARK_PORTS_SOURCE_H

#include "tidemark/ports/position.h"

typedef struct tm_source_header {
    tm_slice name, value;
} tm_source_header;

/* One record as it lies in the input. The bytes belong to the source until the record is released. */
typedef struct tm_source_record {
    tm_input input;
    int32_t partition;
    int64_t offset;
    tm_time timestamp; /* the broker's or producer's; TM_TIME_NONE when there is none */
    tm_slice key;      /* absent: data == NULL */
    tm_slice value;    /* absent (null value): data == NULL */
    void *handle;      /* the source's own */
} tm_source_record;

enum { TM_SOURCE_HEADERS_MAX = 64 };

/* Called from inside `poll`, in the worker's thread. A count of 0 is a word too: a member may get nothing. */
typedef struct tm_source_listener {
    void *context;
    /* These partitions (of both inputs) are now this member's. Nothing is read of them until `start` names the offsets,
       during the call or later. */
    void (*assigned)(void *context, const int32_t *partitions, uint32_t count);
    /* They are about to be taken away: settle before returning. `lost`: they are gone already. */
    void (*revoked)(void *context, const int32_t *partitions, uint32_t count, bool lost);
} tm_source_listener;

typedef struct tm_source {
    void *context;
    /* Joins the group. TM_OK, TM_RETRY (not reachable), TM_FATAL. */
    tm_status (*join)(void *context, const tm_source_listener *listener, tm_error *error);
    /* Waits at most `wait_ms` for the first record, then takes what is waiting, at most `capacity`. TM_OK (also with 0
       records); TM_RETRY: the input does not answer; TM_FATAL: this member was fenced or the group refuses it: leave.
     */
    tm_status (*poll)(void *context, int64_t wait_ms, tm_source_record *records, uint32_t capacity, uint32_t *ret_count,
                      tm_error *error);
    void (*release)(void *context, tm_source_record *record);
    /* The record's headers, at most TM_SOURCE_HEADERS_MAX; slices live as long as the record. Returns their number. */
    uint32_t (*headers)(void *context, const tm_source_record *record, tm_source_header headers[TM_SOURCE_HEADERS_MAX]);
    /* Begins (or begins again) reading a partition of an input at `offset`. */
    tm_status (*start)(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error);
    /* Stops and resumes delivery of one partition of an input; after a resume the next record is exactly the one after
     * the last delivered. */
    tm_status (*pause)(void *context, tm_input input, int32_t partition, bool paused, tm_error *error);
    /* Asks the broker now for the least offset kept, and the end: the last stable offset, as a read_committed reader
       sees it, or, while a producer's transaction is open there, an offset beyond it. A TM_OK is the broker's
       confirmation. *ret_reached: up to where this reader has certainly come: every record below it was delivered by
       `poll` or will never be (transaction markers, aborted and compacted records are passed over); the started offset
       at least. An input is drained when reached >= end. -1: nothing was read yet, or, where the least offset kept is
       beyond the next one of this reader, nothing will be: it has to be started anew. TM_RETRY: no answer. */
    tm_status (*bounds)(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                        int64_t *ret_reached, tm_error *error);
    /* The group's committed offsets of these partitions with their metadata (n and claim), waiting for pending
       transactions: next[] -1 and commit 0 where nothing was ever committed, commit -1 where metadata is missing or
       unreadable, claim 0 where it has none.
       TM_RETRY: not settled within the time-out. */
    tm_status (*committed)(void *context, const int32_t *partitions, uint32_t count, tm_position *ret_positions,
                           tm_error *error);
    /* Leaves the group (revokes first) and frees everything within its deadline. */
    void (*leave)(void *context);
    /* How many partitions the inputs have, by the brokers' word of now; 0: not known, or not the same number. NULL: it
     * never changes. */
    uint32_t (*partitions)(void *context);
} tm_source;

#endif
