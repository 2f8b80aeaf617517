/* The one value picked a bucket by `last`, `max` and `first`: sparse, since such events are rare. */
#ifndef TIDEMARK_CORE_PICKS_H
#define TIDEMARK_CORE_PICKS_H

#include "tidemark/base/calendar.h"
#include "tidemark/base/fixed.h"
#include "tidemark/core/metric.h"
#include "tidemark/core/ring.h"

typedef struct tm_pick {
    tm_fixed value; /* TM_FIXED_NONE: none */
    tm_time at;
} tm_pick;

typedef struct tm_bucket_pick {
    tm_pick pick;
    int64_t bucket;
} tm_bucket_pick;

/* Ascending by bucket. Zero-initialise. */
typedef struct tm_picks {
    tm_bucket_pick *entries;
    uint16_t count, capacity;
} tm_picks;

void tm_picks_done(tm_picks *picks, tm_heap *heap);
size_t tm_picks_memory(const tm_picks *picks);

/* The better of two, by kind: last: the greatest `at`, of equals `later`; first: the least, of equals `earlier`; max:
   the greatest value. One without a value never wins. `later` was applied after `earlier`. */
tm_pick tm_pick_better(tm_metric_kind kind, tm_pick earlier, tm_pick later);

/* Room for one more entry in `bucket`; see tm_ring_reserve. */
tm_status tm_picks_reserve(tm_picks *picks, tm_heap *heap, tm_reach reach, int64_t bucket);
/* Puts a pick into its bucket, for which room was reserved. False when there is none, or the buckets do not ascend. */
bool tm_picks_put(tm_picks *picks, tm_metric_kind kind, int64_t bucket, tm_pick pick);
/* The best over buckets from..to. */
tm_pick tm_picks_best(const tm_picks *picks, tm_metric_kind kind, int64_t from, int64_t to);
bool tm_picks_any(const tm_picks *picks, int64_t oldest);

/* State form; see tm_ring_save and tm_ring_load for the terms. A bucket lasts about `span` ms. */
void tm_picks_save(const tm_picks *picks, int64_t oldest, int64_t origin, tm_time span, tm_buffer *out);
tm_status tm_picks_load(tm_heap *heap, int32_t reach, int64_t origin, tm_time span, tm_reader *in, tm_picks *ret_picks);

#endif
