#include "tidemark/core/picks.h"

#include <string.h>

#include "tidemark/base/check.h"
#include "tidemark/core/bits.h"

enum { COUNT_MAX = TM_REACH_HOURS_MAX + TM_BUCKETS_AHEAD, BUCKET_MAX = 1000000000 };

void tm_picks_done(tm_picks *picks, tm_heap *heap)
{
    tm_heap_give(heap, picks->entries, tm_picks_memory(picks));
    *picks = (tm_picks){0};
}

size_t tm_picks_memory(const tm_picks *picks)
{
    return picks->capacity * sizeof *picks->entries;
}

tm_pick tm_pick_better(tm_metric_kind kind, tm_pick earlier, tm_pick later)
{
    if (earlier.value == TM_FIXED_NONE)
        return later;
    if (later.value == TM_FIXED_NONE)
        return earlier;
    switch (kind) {
    case TM_METRIC_LAST:
        return later.at >= earlier.at ? later : earlier;
    case TM_METRIC_FIRST:
        return later.at < earlier.at ? later : earlier;
    default:
        return later.value > earlier.value ? later : earlier;
    }
}

static tm_status set_capacity(tm_picks *picks, tm_heap *heap, uint32_t capacity)
{
    tm_bucket_pick *entries =
        tm_heap_resize(heap, picks->entries, tm_picks_memory(picks), capacity * sizeof *picks->entries);
    if (!entries)
        return TM_FATAL;
    picks->entries = entries;
    picks->capacity = (uint16_t)capacity;
    return TM_OK;
}

/* Index of the first entry not before `bucket`; mostly that is the last or beyond it. */
static uint16_t find(const tm_picks *picks, int64_t bucket)
{
    uint16_t at = picks->count;
    while (at && picks->entries[at - 1].bucket >= bucket)
        at--;
    return at;
}

tm_status tm_picks_reserve(tm_picks *picks, tm_heap *heap, tm_reach reach, int64_t bucket)
{
    TM_CHECK(heap, picks->count <= picks->capacity && (picks->entries != NULL || picks->capacity == 0), "picks_shape");
    if (!tm_reach_takes(reach, bucket))
        return TM_REJECT;
    if (picks->count < picks->capacity)
        return TM_OK;
    uint16_t dead = find(picks, tm_reach_oldest(reach));
    if (dead) {
        picks->count = (uint16_t)(picks->count - dead);
        memmove(picks->entries, picks->entries + dead, picks->count * sizeof *picks->entries);
        return TM_OK;
    }
    uint16_t at = find(picks, bucket);
    if (at < picks->count && picks->entries[at].bucket == bucket)
        return TM_OK;
    if (picks->count >= COUNT_MAX)
        return TM_REJECT; /* ahead of the present by more than any record could have put it */
    return set_capacity(picks, heap, picks->count + picks->count / 8U + 1);
}

bool tm_picks_put(tm_picks *picks, tm_metric_kind kind, int64_t bucket, tm_pick pick)
{
    uint16_t at = find(picks, bucket);
    tm_bucket_pick *entry = picks->entries + at;
    if (at < picks->count && entry->bucket == bucket) {
        entry->pick = tm_pick_better(kind, entry->pick, pick);
        return true;
    }
    if (picks->count >= picks->capacity)
        return false;
    memmove(entry + 1, entry, (size_t)(picks->count - at) * sizeof *entry);
    *entry = (tm_bucket_pick){pick, bucket};
    picks->count++;
    return at + 1 == picks->count || entry[1].bucket > bucket;
}

tm_pick tm_picks_best(const tm_picks *picks, tm_metric_kind kind, int64_t from, int64_t to)
{
    tm_pick best = {TM_FIXED_NONE, 0};
    for (uint16_t i = find(picks, from); i < picks->count && picks->entries[i].bucket <= to; i++)
        best = tm_pick_better(kind, best, picks->entries[i].pick);
    return best;
}

bool tm_picks_any(const tm_picks *picks, int64_t oldest)
{
    return picks->count && picks->entries[picks->count - 1].bucket >= oldest;
}

void tm_picks_save(const tm_picks *picks, int64_t oldest, int64_t origin, tm_time span, tm_buffer *out)
{
    uint16_t from = find(picks, oldest);
    int64_t former = origin;
    tm_buffer_put_varint(out, (uint64_t)(picks->count - from));
    for (uint16_t i = from; i < picks->count; i++) {
        const tm_bucket_pick *entry = picks->entries + i;
        tm_buffer_put_signed(out, entry->bucket - former);
        tm_fixed_put(out, entry->pick.value);
        tm_buffer_put_signed(out, entry->pick.at - entry->bucket * span);
        former = entry->bucket;
    }
}

static bool load_entry(tm_reader *in, tm_time span, int64_t *bucket, bool first, tm_bucket_pick *ret_entry)
{
    int64_t step = tm_reader_signed(in);
    ret_entry->pick.value = tm_fixed_get(in);
    int64_t after = tm_reader_signed(in);
    if (in->failed || step < -BUCKET_MAX || step > BUCKET_MAX || (!first && step <= 0) || after < -3 * TM_DAY ||
        after > 3 * TM_DAY || ret_entry->pick.value == TM_FIXED_NONE)
        return false;
    *bucket += step;
    ret_entry->bucket = *bucket;
    ret_entry->pick.at = *bucket * span + after;
    return *bucket >= -BUCKET_MAX && *bucket <= BUCKET_MAX;
}

tm_status tm_picks_load(tm_heap *heap, int32_t reach, int64_t origin, tm_time span, tm_reader *in, tm_picks *ret_picks)
{
    *ret_picks = (tm_picks){0};
    uint64_t count = tm_reader_varint(in);
    if (in->failed || count > COUNT_MAX)
        return TM_REJECT;
    int64_t bucket = origin;
    for (uint64_t i = 0; i < count; i++) {
        tm_bucket_pick entry;
        if (!load_entry(in, span, &bucket, i == 0, &entry)) {
            tm_picks_done(ret_picks, heap);
            return TM_REJECT;
        }
        if (reach <= 0)
            continue;
        if (ret_picks->count == ret_picks->capacity &&
            set_capacity(ret_picks, heap, ret_picks->count + ret_picks->count / 8U + 1) != TM_OK) {
            tm_picks_done(ret_picks, heap);
            return TM_FATAL;
        }
        ret_picks->entries[ret_picks->count++] = entry;
    }
    uint16_t beyond = ret_picks->count ? find(ret_picks, bucket - reach - TM_BUCKETS_AHEAD + 1) : 0;
    if (beyond) {
        ret_picks->count = (uint16_t)(ret_picks->count - beyond);
        memmove(ret_picks->entries, ret_picks->entries + beyond, ret_picks->count * sizeof *ret_picks->entries);
    }
    return TM_OK;
}
