#include "tidemark/core/duplicates.h"

#include <string.h>

#include "tidemark/base/check.h"

enum { FIRST_CAPACITY = 1024 };
#define SLOT_EMPTY UINT32_MAX

typedef struct accepted {
    tm_fingerprint fingerprint;
    tm_time at;
} accepted;

/* A ring of what was accepted, oldest first, and an open-addressing table (twice as many slots as the ring has places)
   from fingerprints to places in the ring. Deletion shifts back, so that look-ups stay short for ever. */
struct tm_duplicates {
    tm_heap *heap;
    int64_t window;
    uint32_t entries_max;
    accepted *ring;
    uint32_t *slots;
    uint32_t capacity; /* a power of two */
    uint32_t head, count;
};

static uint32_t slot_mask(const tm_duplicates *d)
{
    return d->capacity * 2 - 1;
}

static bool same(tm_fingerprint a, tm_fingerprint b)
{
    return a.low == b.low && a.high == b.high;
}

/* The slot that holds the fingerprint, or the empty one where it would go. */
static uint32_t slot_of(const tm_duplicates *d, tm_fingerprint fingerprint)
{
    uint32_t mask = slot_mask(d);
    uint32_t slot = (uint32_t)fingerprint.low & mask;
    while (d->slots[slot] != SLOT_EMPTY && !same(d->ring[d->slots[slot]].fingerprint, fingerprint))
        slot = (slot + 1) & mask;
    return slot;
}

static void empty_slot(tm_duplicates *d, uint32_t hole)
{
    uint32_t mask = slot_mask(d);
    uint32_t slot = hole;
    for (;;) {
        slot = (slot + 1) & mask;
        if (d->slots[slot] == SLOT_EMPTY)
            break;
        uint32_t home = (uint32_t)d->ring[d->slots[slot]].fingerprint.low & mask;
        /* An entry may move back into the hole only if that is not before its home. */
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            d->slots[hole] = d->slots[slot];
            hole = slot;
        }
    }
    d->slots[hole] = SLOT_EMPTY;
}

static void forget_oldest(tm_duplicates *d)
{
    empty_slot(d, slot_of(d, d->ring[d->head].fingerprint));
    d->head = (d->head + 1) & (d->capacity - 1);
    d->count--;
}

static tm_status set_capacity(tm_duplicates *d, uint32_t capacity)
{
    accepted *ring = tm_heap_take(d->heap, sizeof *ring * capacity);
    uint32_t *slots = tm_heap_take(d->heap, sizeof *slots * capacity * 2);
    if (!ring || !slots) {
        tm_heap_give(d->heap, ring, sizeof *ring * capacity);
        tm_heap_give(d->heap, slots, sizeof *slots * capacity * 2);
        return TM_FATAL;
    }
    for (uint32_t i = 0; i < d->count; i++)
        ring[i] = d->ring[(d->head + i) & (d->capacity - 1)];
    tm_heap_give(d->heap, d->ring, sizeof *d->ring * d->capacity);
    tm_heap_give(d->heap, d->slots, sizeof *d->slots * d->capacity * 2);
    d->ring = ring;
    d->slots = slots;
    d->capacity = capacity;
    d->head = 0;
    memset(slots, 0xff, sizeof *slots * capacity * 2);
    for (uint32_t i = 0; i < d->count; i++)
        slots[slot_of(d, ring[i].fingerprint)] = i;
    return TM_OK;
}

tm_duplicates *tm_duplicates_new(tm_heap *heap, int64_t window, uint32_t entries_max)
{
    tm_duplicates *d = tm_heap_take(heap, sizeof *d);
    if (!d)
        return NULL;
    d->heap = heap;
    d->window = window;
    d->entries_max = entries_max ? entries_max : 1;
    if (set_capacity(d, FIRST_CAPACITY) != TM_OK) {
        tm_heap_give(heap, d, sizeof *d);
        return NULL;
    }
    return d;
}

void tm_duplicates_free(tm_duplicates *d)
{
    if (!d)
        return;
    tm_heap_give(d->heap, d->ring, sizeof *d->ring * d->capacity);
    tm_heap_give(d->heap, d->slots, sizeof *d->slots * d->capacity * 2);
    tm_heap_give(d->heap, d, sizeof *d);
}

static void forget_old(tm_duplicates *d, tm_time now)
{
    while (d->count > 0 && d->ring[d->head].at <= now - d->window)
        forget_oldest(d);
}

bool tm_duplicates_seen(tm_duplicates *d, tm_fingerprint fingerprint, tm_time now)
{
    forget_old(d, now);
    return d->slots[slot_of(d, fingerprint)] != SLOT_EMPTY;
}

tm_status tm_duplicates_add(tm_duplicates *d, tm_fingerprint fingerprint, tm_time now, bool *ret_shed)
{
    *ret_shed = false;
    TM_CHECK(d->heap, d->count <= d->capacity && d->head < d->capacity, "duplicates_shape");
    forget_old(d, now); /* one accepted again after its window must not be taken for the one before */
    uint32_t slot = slot_of(d, fingerprint);
    if (d->slots[slot] != SLOT_EMPTY)
        return TM_OK; /* a duplicate does not extend the window */
    if (d->count >= d->entries_max) {
        forget_oldest(d);
        *ret_shed = true;
        slot = slot_of(d, fingerprint);
    }
    if (d->count == d->capacity) {
        tm_status status = set_capacity(d, d->capacity * 2);
        if (status != TM_OK)
            return status;
        slot = slot_of(d, fingerprint);
    }
    uint32_t place = (d->head + d->count) & (d->capacity - 1);
    TM_CHECK(d->heap, d->count == 0 || d->ring[(place - 1) & (d->capacity - 1)].at <= now, "duplicates_in_order");
    d->ring[place] = (accepted){fingerprint, now};
    d->slots[slot] = place;
    d->count++;
    return TM_OK;
}

void tm_duplicates_change(tm_duplicates *d, int64_t window, uint32_t entries_max, tm_time now)
{
    forget_old(d, now);
    d->window = window;
    d->entries_max = entries_max ? entries_max : 1;
    forget_old(d, now);
    while (d->count > d->entries_max)
        forget_oldest(d);
}

uint32_t tm_duplicates_count(const tm_duplicates *d)
{
    return d->count;
}

tm_time tm_duplicates_oldest(const tm_duplicates *d)
{
    return d->count ? d->ring[d->head].at : TM_TIME_NEVER;
}

void tm_duplicates_at(const tm_duplicates *d, uint32_t index, tm_fingerprint *ret_fingerprint, tm_time *ret_at)
{
    const accepted *entry = &d->ring[(d->head + index) & (d->capacity - 1)];
    *ret_fingerprint = entry->fingerprint;
    *ret_at = entry->at;
}
