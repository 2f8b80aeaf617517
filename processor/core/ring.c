#include "tidemark/core/ring.h"

#include <string.h>

#include "tidemark/base/check.h"
#include "tidemark/base/limits.h"
#include "tidemark/core/bits.h"

typedef __int128 wide;

enum { LENGTH_MAX = TM_REACH_HOURS_MAX + TM_BUCKETS_AHEAD, GRANULE = 16 };

_Static_assert((int)TM_REACH_DAYS_MAX <= (int)TM_REACH_HOURS_MAX, "the longest ring is one of hours");

static uint8_t width_of(wide value)
{
    if (value >= 0 && value <= UINT8_MAX)
        return 1;
    if (value >= INT16_MIN && value <= INT16_MAX)
        return 2;
    if (value >= INT32_MIN && value <= INT32_MAX)
        return 4;
    if (value >= INT64_MIN && value <= INT64_MAX)
        return 8;
    return 16;
}

static wide cell(const tm_ring *ring, size_t i)
{
    switch (ring->width) {
    case 1:
        return ((const uint8_t *)ring->cells)[i];
    case 2:
        return ((const int16_t *)ring->cells)[i];
    case 4:
        return ((const int32_t *)ring->cells)[i];
    case 8:
        return ((const int64_t *)ring->cells)[i];
    default:
        return ((const wide *)ring->cells)[i];
    }
}

static void set_cell(tm_ring *ring, size_t i, wide value)
{
    switch (ring->width) {
    case 1:
        ((uint8_t *)ring->cells)[i] = (uint8_t)value;
        break;
    case 2:
        ((int16_t *)ring->cells)[i] = (int16_t)value;
        break;
    case 4:
        ((int32_t *)ring->cells)[i] = (int32_t)value;
        break;
    case 8:
        ((int64_t *)ring->cells)[i] = (int64_t)value;
        break;
    default:
        ((wide *)ring->cells)[i] = value;
    }
}

size_t tm_ring_memory(const tm_ring *ring)
{
    return (size_t)ring->capacity * ring->width;
}

void tm_ring_done(tm_ring *ring, tm_heap *heap)
{
    tm_heap_give(heap, ring->cells, tm_ring_memory(ring));
    *ring = (tm_ring){0};
}

/* Cells for `length` buckets: a little more, up to the granule of the heap and never more than can be used. */
static uint16_t capacity_for(int64_t length, uint8_t width, int64_t most)
{
    int64_t capacity = length + length / 8;
    if (capacity > most)
        capacity = most;
    int64_t granule = GRANULE / width;
    return (uint16_t)((capacity + granule - 1) / granule * granule);
}

/* Lays the kept cells out from `base` on for `length` buckets of at least `width`. */
static tm_status rebuild(tm_ring *ring, tm_heap *heap, int64_t oldest, int64_t base, int64_t length, uint8_t width,
                         int64_t most)
{
    int64_t kept_from = ring->base > oldest ? ring->base : oldest;
    int64_t kept = (int64_t)ring->base + ring->length - kept_from;
    if (kept < 0)
        kept = 0;
    if (width == ring->width && length <= ring->capacity) {
        char *cells = ring->cells;
        size_t to = kept ? (size_t)(kept_from - base) : 0;
        if (kept)
            memmove(cells + to * width, cells + (size_t)(kept_from - ring->base) * width, (size_t)kept * width);
        memset(cells, 0, to * width);
        memset(cells + (to + (size_t)kept) * width, 0, (ring->capacity - to - (size_t)kept) * width);
    } else {
        tm_ring wider = {.width = width, .capacity = capacity_for(length, width, most)};
        wider.cells = tm_heap_take(heap, tm_ring_memory(&wider));
        if (!wider.cells)
            return TM_FATAL;
        for (int64_t i = 0; i < kept; i++)
            set_cell(&wider, (size_t)(kept_from - base + i), cell(ring, (size_t)(kept_from - ring->base + i)));
        tm_ring_done(ring, heap);
        *ring = wider;
    }
    ring->base = (int32_t)base;
    ring->length = (uint16_t)length;
    return TM_OK;
}

tm_status tm_ring_reserve(tm_ring *ring, tm_heap *heap, tm_reach reach, int64_t bucket, wide amount)
{
    TM_CHECK(heap, ring->length <= ring->capacity && ring->capacity <= LENGTH_MAX + GRANULE && ring->width <= 16,
             "ring_shape");
    int64_t end = (int64_t)ring->base + ring->length; /* exclusive */
    if (!tm_reach_takes(reach, bucket))
        return TM_REJECT;
    if (ring->length && bucket >= ring->base && bucket < end) {
        uint8_t width = width_of(cell(ring, (size_t)(bucket - ring->base)) + amount);
        if (width <= ring->width)
            return TM_OK;
        return rebuild(ring, heap, ring->base, ring->base, ring->length, width, ring->length);
    }
    if (amount == 0)
        return TM_OK; /* an empty bucket need not exist */
    uint8_t width = width_of(amount);
    if (width < ring->width)
        width = ring->width;
    if (ring->length && bucket >= end && bucket < (int64_t)ring->base + ring->capacity && width == ring->width) {
        ring->length = (uint16_t)(bucket - ring->base + 1);
        return TM_OK;
    }
    int64_t oldest = tm_reach_oldest(reach), base = bucket, last = bucket;
    if (ring->length && end > oldest) {
        int64_t kept_from = ring->base > oldest ? ring->base : oldest;
        base = kept_from < bucket ? kept_from : bucket;
        last = end - 1 > bucket ? end - 1 : bucket;
    }
    int64_t most = (int64_t)reach.length + TM_BUCKETS_AHEAD;
    if (last - base + 1 > most || base < INT32_MIN || last > INT32_MAX)
        return TM_REJECT; /* the ring is ahead of the present by more than any record could have put it */
    return rebuild(ring, heap, oldest, base, last - base + 1, width, most);
}

wide tm_ring_add(tm_ring *ring, int64_t bucket, wide amount)
{
    if (amount == 0)
        return 0;
    size_t i = (size_t)(bucket - ring->base);
    wide sum = cell(ring, i) + amount;
    set_cell(ring, i, sum);
    return sum;
}

/* One loop a width, each simple enough for the compiler to vectorise. LENGTH_MAX cells of 16 bits cannot overflow 32,
   nor of 32 bits 64. */
_Static_assert(LENGTH_MAX < 1 << 15, "sums of narrow cells fit their accumulators");

static int64_t sum_8(const uint8_t *cells, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cells[i];
    return sum;
}

static int64_t sum_16(const int16_t *cells, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cells[i];
    return sum;
}

static int64_t sum_32(const int32_t *cells, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cells[i];
    return sum;
}

/* Halves apart, so that no 128-bit arithmetic is in the loop. */
static wide sum_64(const int64_t *cells, size_t count)
{
    int64_t high = 0, low = 0;
    for (size_t i = 0; i < count; i++) {
        high += cells[i] >> 32;
        low += (int64_t)((uint64_t)cells[i] & UINT32_MAX);
    }
    return (wide)high * ((wide)1 << 32) + low;
}

static wide sum_128(const wide *cells, size_t count)
{
    wide sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cells[i];
    return sum;
}

wide tm_ring_sum(const tm_ring *ring, int64_t from, int64_t to)
{
    int64_t last = (int64_t)ring->base + ring->length - 1;
    if (from < ring->base)
        from = ring->base;
    if (to > last)
        to = last;
    if (from > to)
        return 0;
    size_t first = (size_t)(from - ring->base), count = (size_t)(to - from + 1);
    switch (ring->width) {
    case 1:
        return sum_8((const uint8_t *)ring->cells + first, count);
    case 2:
        return sum_16((const int16_t *)ring->cells + first, count);
    case 4:
        return sum_32((const int32_t *)ring->cells + first, count);
    case 8:
        return sum_64((const int64_t *)ring->cells + first, count);
    default:
        return sum_128((const wide *)ring->cells + first, count);
    }
}

bool tm_ring_any(const tm_ring *ring, int64_t oldest)
{
    /* The newest bucket is mostly not empty: look from there. */
    for (int64_t i = (int64_t)ring->length - 1; i >= 0 && ring->base + i >= oldest; i--)
        if (cell(ring, (size_t)i) != 0)
            return true;
    return false;
}

static const int32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

static unsigned __int128 zigzag(wide value)
{
    return ((unsigned __int128)value << 1) ^ (unsigned __int128)(value >> 127);
}

/* Decimal zeros that all values share, at most six: sums of whole things are whole millions. */
static unsigned shared_zeros(const wide *values, size_t count)
{
    unsigned zeros = 6;
    for (size_t i = 0; i < count && zeros; i++) {
        if (values[i] == (int64_t)values[i])
            while ((int64_t)values[i] % powers[zeros] != 0)
                zeros--;
        else
            while (values[i] % powers[zeros] != 0)
                zeros--;
    }
    return zeros;
}

static void divide(wide *values, size_t count, int32_t divisor)
{
    for (size_t i = 0; i < count && divisor > 1; i++)
        values[i] = values[i] == (int64_t)values[i] ? (int64_t)values[i] / divisor : values[i] / divisor;
}

void tm_ring_save(const tm_ring *ring, int64_t oldest, int64_t origin, tm_buffer *out)
{
    size_t from = oldest > ring->base ? (size_t)(oldest - ring->base) : 0, end = ring->length;
    while (end > from && cell(ring, end - 1) == 0)
        end--;
    while (from < end && cell(ring, from) == 0)
        from++;
    if (from >= end) {
        tm_buffer_put_varint(out, 0);
        return;
    }
    wide values[LENGTH_MAX], signs = 0;
    size_t count = end - from;
    for (size_t i = 0; i < count; i++) {
        values[i] = cell(ring, from + i);
        signs |= values[i];
    }
    unsigned zeros = shared_zeros(values, count);
    bool negative = signs < 0;
    unsigned __int128 all = 0;
    divide(values, count, powers[zeros]);
    for (size_t i = 0; i < count; i++) {
        if (negative)
            values[i] = (wide)zigzag(values[i]);
        all |= (unsigned __int128)values[i];
    }
    unsigned bits = tm_bits_of(all);
    tm_buffer_put_varint(out, (uint64_t)(count * 7 + zeros) << 1 | negative);
    tm_buffer_put_signed(out, (int64_t)ring->base + (int64_t)end - origin);
    tm_buffer_put_u8(out, (uint8_t)bits);
    tm_bit_writer to = {.out = out};
    for (size_t i = 0; i < count; i++)
        tm_bits_put(&to, (unsigned __int128)values[i], bits);
    tm_bits_end(&to);
}

/* Greatest bits of a saved cell: what remains of 128 after sign and the decimal zeros put back. */
enum { CELL_BITS_MAX = 106, BUCKET_MAX = 1000000000 };

tm_status tm_ring_load(tm_heap *heap, int32_t reach, int64_t origin, tm_reader *in, tm_ring *ret_ring)
{
    *ret_ring = (tm_ring){0};
    uint64_t head = tm_reader_varint(in);
    if (in->failed)
        return TM_REJECT;
    if (head == 0)
        return TM_OK;
    bool negative = head & 1;
    uint64_t length = (head >> 1) / 7, zeros = (head >> 1) % 7;
    int64_t after = tm_reader_signed(in);
    unsigned bits = tm_reader_u8(in);
    if (in->failed || length == 0 || length > LENGTH_MAX || bits == 0 || bits > CELL_BITS_MAX || after < -BUCKET_MAX ||
        after > BUCKET_MAX)
        return TM_REJECT;
    int64_t base = origin + after - (int64_t)length;
    tm_slice packed = tm_reader_bytes(in, (length * bits + 7) / 8);
    if (in->failed)
        return TM_REJECT;
    const uint8_t *bytes = (const uint8_t *)packed.data;
    uint64_t most = reach > 0 ? (uint64_t)reach + TM_BUCKETS_AHEAD : 0, skip = length > most ? length - most : 0;
    while (skip < length && tm_bits_get(bytes, skip * bits, bits) == 0)
        skip++;
    uint8_t width = 1;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && rebuild(ret_ring, heap, 0, base + (int64_t)skip, (int64_t)(length - skip), width,
                                 (int64_t)(length - skip)) != TM_OK)
            return TM_FATAL;
        for (uint64_t i = skip; i < length; i++) {
            unsigned __int128 raw = tm_bits_get(bytes, i * bits, bits);
            wide value = negative ? (wide)(raw >> 1) ^ -(wide)(raw & 1) : (wide)raw;
            value *= powers[zeros];
            if (pass == 1)
                set_cell(ret_ring, i - skip, value);
            else if (width_of(value) > width)
                width = width_of(value);
        }
        if (skip == length)
            break;
    }
    return TM_OK;
}
