/* Which events were accepted within the last `window` of stream time: a queue of fingerprints in order of time, and a
   table into it. 32 bytes each while in use. */
#ifndef TIDEMARK_CORE_DUPLICATES_H
#define TIDEMARK_CORE_DUPLICATES_H

#include "tidemark/base/calendar.h"
#include "tidemark/base/hash.h"
#include "tidemark/base/heap.h"

typedef struct tm_duplicates tm_duplicates;

/* Keeps fingerprints for `window` ms, at most `entries_max` of them. NULL without memory. */
tm_duplicates *tm_duplicates_new(tm_heap *heap, int64_t window, uint32_t entries_max);
void tm_duplicates_free(tm_duplicates *duplicates);
/* Whether it was accepted at a time > now - window. Forgets what is older first. */
bool tm_duplicates_seen(tm_duplicates *duplicates, tm_fingerprint fingerprint, tm_time now);
/* Remembers one accepted at `now` (not before any earlier one), forgetting what is older than the window. When
 *entries_max is reached the oldest is forgotten early: ret_shed tells. TM_OK, TM_FATAL without memory, or
   TM_BROKEN. */
tm_status tm_duplicates_add(tm_duplicates *duplicates, tm_fingerprint fingerprint, tm_time now, bool *ret_shed);
/* Another window and bound from `now` on: what the former ones had forgotten by then stays forgotten. */
void tm_duplicates_change(tm_duplicates *duplicates, int64_t window, uint32_t entries_max, tm_time now);
uint32_t tm_duplicates_count(const tm_duplicates *duplicates);
/* Time of the oldest still kept; TM_TIME_NEVER when empty. */
tm_time tm_duplicates_oldest(const tm_duplicates *duplicates);

/* The index-th kept, oldest first; index < count. */
void tm_duplicates_at(const tm_duplicates *duplicates, uint32_t index, tm_fingerprint *ret_fingerprint,
                      tm_time *ret_at);

#endif
