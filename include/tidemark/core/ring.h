/* Day or hour buckets of one series: contiguous counts or sums of adaptive width that slide exactly. */
#ifndef TIDEMARK_CORE_RING_H
#define TIDEMARK_CORE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/heap.h"
#include "tidemark/base/status.h"

/* Buckets beyond the present one that are kept: events may be ahead of stream time by the allowed skew, which is at
   most an hour and so reaches at most the next day or the next hour but one. */
enum { TM_BUCKETS_AHEAD = 2 };

/* The bucket of the present and how many buckets up to it count. reach 0: none. */
typedef struct tm_reach {
    int64_t now;
    int32_t length;
} tm_reach;

static inline int64_t tm_reach_oldest(tm_reach reach)
{
    return reach.now - reach.length + 1;
}
/* Whether a bucket is kept at all. */
static inline bool tm_reach_takes(tm_reach reach, int64_t bucket)
{
    return reach.length > 0 && bucket >= tm_reach_oldest(reach) && bucket <= reach.now + TM_BUCKETS_AHEAD;
}

/* Bucket base + i stands in cell i. Zero-initialise. Cells beyond `length` are zero. */
typedef struct tm_ring {
    void *cells;
    int32_t base;
    uint16_t length;
    uint16_t capacity;
    uint8_t
        width; /* bytes of a cell: 1 (unsigned: most daily counts fit) or 2, 4, 8, 16 (signed); 0 before the first */
} tm_ring;

void tm_ring_done(tm_ring *ring, tm_heap *heap);
size_t tm_ring_memory(const tm_ring *ring);

/* Makes room for `amount` more in `bucket`, forgetting what is out of reach; no window changes by it. TM_OK; TM_REJECT
   when the bucket is not kept; TM_FATAL without memory (nothing changed); TM_BROKEN. */
tm_status tm_ring_reserve(tm_ring *ring, tm_heap *heap, tm_reach reach, int64_t bucket, __int128 amount);
/* Whether the ring has that bucket. */
static inline bool tm_ring_has(const tm_ring *ring, int64_t bucket)
{
    return bucket >= ring->base && bucket < (int64_t)ring->base + ring->length;
}
/* Adds what was reserved. Returns what the bucket has now; 0 for an amount of 0. */
__int128 tm_ring_add(tm_ring *ring, int64_t bucket, __int128 amount);

/* The sum over buckets from..to, inclusive. */
__int128 tm_ring_sum(const tm_ring *ring, int64_t from, int64_t to);
/* Whether any bucket from `oldest` on, future ones too, is other than zero. */
bool tm_ring_any(const tm_ring *ring, int64_t oldest);

/* State form: the buckets from `oldest` on between the first and the last that are not zero, in as many bits each as
   the greatest needs, without the decimal zeros they share. Buckets are numbered from `origin`, which is within ± 2^30
   and known when reading. */
void tm_ring_save(const tm_ring *ring, int64_t oldest, int64_t origin, tm_buffer *out);
/* Reads it back, keeping at most the newest `reach` + TM_BUCKETS_AHEAD buckets (none for 0). TM_OK; TM_REJECT for bytes
   that are no ring; TM_FATAL without memory. `ret_ring` is empty unless TM_OK. */
tm_status tm_ring_load(tm_heap *heap, int32_t reach, int64_t origin, tm_reader *in, tm_ring *ret_ring);

#endif
