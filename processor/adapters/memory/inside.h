/* What the parts of the memory world share. Everything is guarded by the world's one mutex; listeners are called
   without it. */
#ifndef TIDEMARK_PROCESSOR_MEMORY_INSIDE_H
#define TIDEMARK_PROCESSOR_MEMORY_INSIDE_H

#include <pthread.h>

#include "tidemark/adapters/memory/world.h"

/* One record and, behind it in the same block, its headers and bytes. */
typedef struct tm_stored {
    tm_world_record view;
    bool hidden; /* of an upstream transaction that was aborted, or is open */
} tm_stored;

/* One partition of a topic: the index is the offset. */
typedef struct tm_log_of_records {
    tm_stored **items;
    int64_t first, count, capacity;
    int64_t held; /* offset of the open upstream transaction, or -1 */
} tm_log_of_records;

/* Where a member stands in one partition of one input. */
typedef struct tm_lane {
    int64_t next; /* -1: not started */
    bool paused;
} tm_lane;

/* A source's place in the group; lives as long as the world, so that a publisher may outlive its source.

     outside --join--> waiting --all wait--> assigned (told at the next poll) --another joins or leaves--> revoking
     (told at the next poll) --> waiting;   expelled --poll--> waiting;   fenced: for ever */
typedef struct tm_world_member {
    struct tm_world_member *following;
    char *instance;                   /* NULL: none */
    bool inside;                      /* counted by the group */
    bool waiting;                     /* has given up what it had, for the next generation */
    bool untold;                      /* has an assignment that its listener was not told of */
    bool fenced;                      /* another took its static membership */
    int64_t generation;               /* as last told */
    uint32_t from, count;             /* of its assignment */
    uint32_t owned_from, owned_count; /* as last told */
    int wake;       /* a descriptor that is readable once the world changed; -1 after the source has left */
    tm_lane *lanes; /* TM_INPUTS * partitions */
} tm_world_member;

/* A transactional id: the greatest epoch given out. */
typedef struct tm_world_producer {
    struct tm_world_producer *following;
    int64_t epoch;
    char id[];
} tm_world_producer;

struct tm_world {
    pthread_mutex_t mutex;
    uint32_t partitions;
    bool reachable, lose_answer;
    tm_log_of_records *inputs;  /* TM_INPUTS * partitions */
    tm_log_of_records *outputs; /* TM_TOPICS * partitions */
    tm_position *committed;     /* by partition */
    tm_world_member *members;   /* in order of making */
    tm_world_producer *producers;
    int64_t generation;
    bool rebalancing;
};

/* A copy of a record; NULL without memory. */
tm_stored *tm_stored_new(const tm_world_record *record);
/* Appends; the log owns the record then. False without memory, with the record still the caller's. */
bool tm_log_append(tm_log_of_records *log, tm_stored *stored);
tm_log_of_records *tm_world_input_log(tm_world *world, tm_input input, int32_t partition); /* NULL: no such */
/* Up to where a read_committed reader sees. */
int64_t tm_log_stable_end(const tm_log_of_records *log);

/* Wakes every member that waits, and takes the wake-up of one back; with the mutex held. */
void tm_world_changed(const tm_world *world);
void tm_member_awake(const tm_world_member *member);

/* The group; all with the mutex held. */
void tm_group_join(tm_world *world, tm_world_member *member);
void tm_group_leave(tm_world *world, tm_world_member *member);
void tm_group_wait(tm_world *world, tm_world_member *member); /* has given up its partitions */

/* The member behind a source; NULL for a source that was never made. */
tm_world_member *tm_memory_source_member(const tm_source *port);

#endif
