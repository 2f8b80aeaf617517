/* Who was active when: 64-bit member keys with a mask of days and one of hours each; exact to TM_DISTINCT_CAP members,
   sampled beyond. */
#ifndef TIDEMARK_CORE_MEMBERS_H
#define TIDEMARK_CORE_MEMBERS_H

#include "tidemark/core/ring.h"

/* Members are told apart by this many low bits of their keys: two of 4,096 coincide once in thirty million accounts,
   and a state blob is an eighth smaller for it. */
enum { TM_MEMBER_KEY_BITS = 48 };

/* Keys ascend. A mask is circular: bucket b has bit b mod (32 × words), and only buckets down to
   newest - 32 × words + 1 have one. */
typedef struct tm_members {
    void *block; /* `capacity` keys of 64 bits, then as many rows of day_words + hour_words words of 32 bits */
    uint32_t count, capacity;
    int32_t newest_day, newest_hour;
    uint8_t day_words, hour_words;
    /* Members are kept only when their mixed key begins with this many zero bits: each stands for 2^level. */
    uint8_t level;
} tm_members;

/* The present in both units. A unit with length 0 is not kept. */
typedef struct tm_members_reach {
    tm_reach days, hours;
} tm_members_reach;

/* Empty, for masks of these reaches (0 to TM_REACH_DISTINCT_DAYS_MAX and TM_REACH_HOURS_MAX; more is cut). */
void tm_members_init(tm_members *members, int32_t reach_days, int32_t reach_hours);
void tm_members_done(tm_members *members, tm_heap *heap);
size_t tm_members_memory(const tm_members *members);
/* Whether the masks are those that init would give: if not, the members move by save and load. */
bool tm_members_fit(const tm_members *members, int32_t reach_days, int32_t reach_hours);

/* Marks `key` in the bucket of each unit; the caller has checked with tm_reach_takes, a unit for which that was false
   has `in_days` or `in_hours` false. At the cap, members without a mark within reach go first; if that is not enough
   the level rises. When no mark of any unit is within reach any more the level falls to 0. *ret_changed is false when
   all was marked before, so that every count stays. TM_OK, or TM_FATAL without memory (nothing changed). */
tm_status tm_members_add(tm_members *members, tm_heap *heap, const tm_members_reach *reach, uint64_t key, bool in_days,
                         int64_t day, bool in_hours, int64_t hour, bool *ret_changed);

/* Members with a mark in days (or hours) from..to, times 2^level. `*ret_approximate` tells whether that is an
   estimate. */
uint64_t tm_members_count(const tm_members *members, const tm_members_reach *reach, bool hours, int64_t from,
                          int64_t to, bool *ret_approximate);
/* Whether any member has a mark in days (or hours) within reach, future ones included. */
bool tm_members_any(const tm_members *members, const tm_members_reach *reach, bool hours);

/* State form, without what is out of reach; see tm_ring_save and tm_ring_load for the terms. */
void tm_members_save(const tm_members *members, const tm_members_reach *reach, int64_t day_origin, int64_t hour_origin,
                     tm_buffer *out);
tm_status tm_members_load(tm_heap *heap, int32_t reach_days, int32_t reach_hours, int64_t day_origin,
                          int64_t hour_origin, tm_reader *in, tm_members *ret_members);

#endif
