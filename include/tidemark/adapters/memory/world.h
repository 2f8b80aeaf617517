/* The world that memory sources and publishers share: the logs of the inputs and outputs, the group and its committed
   offsets, the transactional ids. It behaves as a broker with one group under eager range assignment: a member that
   joins or leaves makes all others give up their partitions at their next poll; when the last has, a new generation
   begins. Thread-safe; records are kept until the world is freed. */
#ifndef TIDEMARK_ADAPTERS_MEMORY_WORLD_H
#define TIDEMARK_ADAPTERS_MEMORY_WORLD_H

#include "tidemark/ports/publisher.h"
#include "tidemark/ports/source.h"

typedef struct tm_world tm_world;

enum { TM_WORLD_PARTITIONS_MAX = 4096 };

typedef struct tm_world_record {
    tm_slice key;      /* absent: data == NULL */
    tm_slice value;    /* absent: a tombstone */
    tm_time timestamp; /* TM_TIME_NONE: none */
    const tm_source_header *headers;
    uint32_t header_count; /* at most TM_SOURCE_HEADERS_MAX */
} tm_world_record;

/* A world whose inputs and outputs have `partitions` partitions each (1 to TM_WORLD_PARTITIONS_MAX). NULL without
 * memory or beyond. */
tm_world *tm_world_new(uint32_t partitions);
/* Every source must have left and every publisher be closed before. NULL is allowed. */
void tm_world_free(tm_world *world);
uint32_t tm_world_partitions(const tm_world *world);

/* Appends a copy of the record to an input, as a producer would; wakes who waits for it. Returns TM_OK, TM_REJECT (no
   such partition, too many headers) or TM_FATAL without memory. ret_offset may be NULL. */
tm_status tm_world_append(tm_world *world, tm_input input, int32_t partition, const tm_world_record *record,
                          int64_t *ret_offset);
/* The committed records of an output topic: how many, and one of them (slices live as long as the world). False beyond
   the end. */
int64_t tm_world_output_count(tm_world *world, tm_topic topic, int32_t partition);
bool tm_world_output(tm_world *world, tm_topic topic, int32_t partition, int64_t offset, tm_world_record *ret_record);
/* The partition that a key is published to when none is named. */
int32_t tm_world_partition_of(const tm_world *world, tm_slice key);

/* What a test does to a broker. */
/* open: an upstream transaction puts one record into the partition and stays open, so that nothing from there on is
   stable. Otherwise it is aborted: its record is never delivered. TM_OK, TM_REJECT (open already, or not), TM_FATAL. */
tm_status tm_world_hold(tm_world *world, tm_input input, int32_t partition, bool open);
/* Retention: records before `first` are gone. */
void tm_world_trim(tm_world *world, tm_input input, int32_t partition, int64_t first);
/* While not reachable, every call of sources and publishers that needs the broker answers TM_RETRY. */
void tm_world_set_reachable(tm_world *world, bool reachable);
/* The next commit of any publisher is done, but answered with TM_RETRY, as when the answer was lost. */
void tm_world_lose_answer(tm_world *world);
/* Session time-out: the member is out of the group and learns it at its next poll, which joins again. */
void tm_world_expel(tm_world *world, const tm_source *source);
/* Moves a partition's committed offsets by hand. */
void tm_world_set_committed(tm_world *world, int32_t partition, tm_position position);

#endif
