#include "tidemark/core/members.h"

#include <string.h>

#include "tidemark/base/check.h"
#include "tidemark/base/limits.h"
#include "tidemark/core/bits.h"

enum { WORD = 32, LEVEL_MAX = 40, BUCKET_MAX = 1000000000 };
enum {
    DAY_WORDS_MAX = (TM_REACH_DISTINCT_DAYS_MAX + TM_BUCKETS_AHEAD + WORD - 1) / WORD,
    HOUR_WORDS_MAX = (TM_REACH_HOURS_MAX + TM_BUCKETS_AHEAD + WORD - 1) / WORD,
    ROW_WORDS_MAX = DAY_WORDS_MAX + HOUR_WORDS_MAX
};

#define KEY_MASK ((UINT64_C(1) << TM_MEMBER_KEY_BITS) - 1)
enum { KEY_BYTES = TM_MEMBER_KEY_BITS / 8 };

/* A selection of bits of a whole row. */
typedef struct row_mask {
    uint32_t words[ROW_WORDS_MAX];
} row_mask;

static uint8_t words_for(int32_t reach, int32_t most)
{
    if (reach <= 0)
        return 0;
    return (uint8_t)(((reach < most ? reach : most) + TM_BUCKETS_AHEAD + WORD - 1) / WORD);
}

void tm_members_init(tm_members *members, int32_t reach_days, int32_t reach_hours)
{
    *members = (tm_members){.newest_day = INT32_MIN,
                            .newest_hour = INT32_MIN,
                            .day_words = words_for(reach_days, TM_REACH_DISTINCT_DAYS_MAX),
                            .hour_words = words_for(reach_hours, TM_REACH_HOURS_MAX)};
}

bool tm_members_fit(const tm_members *members, int32_t reach_days, int32_t reach_hours)
{
    return members->day_words == words_for(reach_days, TM_REACH_DISTINCT_DAYS_MAX) &&
           members->hour_words == words_for(reach_hours, TM_REACH_HOURS_MAX);
}

static size_t row_words(const tm_members *members)
{
    return (size_t)members->day_words + members->hour_words;
}

static size_t block_size(const tm_members *members, uint32_t capacity)
{
    return capacity * (sizeof(uint64_t) + row_words(members) * sizeof(uint32_t));
}

static uint64_t *keys_of(const tm_members *members)
{
    return members->block;
}

static uint32_t *rows_of(const tm_members *members)
{
    return (uint32_t *)(void *)(keys_of(members) + members->capacity);
}

static uint32_t *row_of(const tm_members *members, size_t i)
{
    return rows_of(members) + i * row_words(members);
}

size_t tm_members_memory(const tm_members *members)
{
    return block_size(members, members->capacity);
}

void tm_members_done(tm_members *members, tm_heap *heap)
{
    tm_heap_give(heap, members->block, tm_members_memory(members));
    members->block = NULL;
    members->count = members->capacity = 0;
}

static tm_status set_capacity(tm_members *members, tm_heap *heap, uint32_t capacity)
{
    tm_members wider = *members;
    wider.block = tm_heap_take(heap, block_size(members, capacity));
    if (!wider.block)
        return TM_FATAL;
    wider.capacity = capacity;
    if (members->count) {
        memcpy(keys_of(&wider), keys_of(members), members->count * sizeof(uint64_t));
        memcpy(rows_of(&wider), rows_of(members), members->count * row_words(members) * sizeof(uint32_t));
    }
    tm_heap_give(heap, members->block, tm_members_memory(members));
    *members = wider;
    return TM_OK;
}

/* Sets `count` bits of a circular mask of `words` words, from the bit of `bucket` on. */
static void select_bits(uint32_t *mask, size_t words, int64_t bucket, int64_t count)
{
    int64_t bits = (int64_t)words * WORD, bit = ((bucket % bits) + bits) % bits;
    while (count > 0) {
        int64_t in_word = WORD - bit % WORD, take = in_word < count ? in_word : count;
        mask[bit / WORD] |= (uint32_t)((UINT64_C(1) << take) - 1) << bit % WORD;
        count -= take;
        bit = (bit + take) % bits;
    }
}

/* Selects the buckets from..to of a unit as far as they have bits. */
static void select_range(uint32_t *mask, size_t words, int64_t newest, int64_t from, int64_t to)
{
    int64_t oldest = newest - (int64_t)words * WORD + 1;
    if (from < oldest)
        from = oldest;
    if (to > newest)
        to = newest;
    if (words && newest != INT32_MIN && from <= to)
        select_bits(mask, words, from, to - from + 1);
}

static void select_days(const tm_members *members, row_mask *mask, int64_t from, int64_t to)
{
    select_range(mask->words, members->day_words, members->newest_day, from, to);
}

static void select_hours(const tm_members *members, row_mask *mask, int64_t from, int64_t to)
{
    select_range(mask->words + members->day_words, members->hour_words, members->newest_hour, from, to);
}

/* Everything within reach, in both units. */
static void select_live(const tm_members *members, const tm_members_reach *reach, row_mask *mask)
{
    memset(mask, 0, sizeof *mask);
    select_days(members, mask, tm_reach_oldest(reach->days), members->newest_day);
    select_hours(members, mask, tm_reach_oldest(reach->hours), members->newest_hour);
}

static bool row_meets(const uint32_t *row, const row_mask *mask, size_t words)
{
    uint32_t met = 0;
    for (size_t w = 0; w < words; w++)
        met |= row[w] & mask->words[w];
    return met != 0;
}

/* Members' keys are hashes, but a person's is handed in from outside: mixed once more (the finaliser of SplitMix64),
   so that sampling is even whatever they are. */
static bool sampled_in(uint64_t key, uint8_t level)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    key ^= key >> 31;
    return level == 0 || key >> (64 - level) == 0;
}

/* Keeps members that `mask` meets (NULL: all) and that are sampled in at the level. */
static void keep_only(tm_members *members, const row_mask *mask)
{
    size_t words = row_words(members);
    uint64_t *keys = keys_of(members);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        if ((mask && !row_meets(row_of(members, i), mask, words)) || !sampled_in(keys[i], members->level))
            continue;
        if (kept != i) {
            keys[kept] = keys[i];
            memcpy(row_of(members, kept), row_of(members, i), words * sizeof(uint32_t));
        }
        kept++;
    }
    members->count = kept;
}

/* No mark of any unit is within reach: what was sampled is forgotten. */
static bool faded(const tm_members *members, const tm_members_reach *reach)
{
    return (!members->day_words || members->newest_day < tm_reach_oldest(reach->days)) &&
           (!members->hour_words || members->newest_hour < tm_reach_oldest(reach->hours));
}

/* Index of the first key not below `key`. */
static uint32_t lower_bound(const tm_members *members, uint64_t key)
{
    const uint64_t *keys = keys_of(members);
    uint32_t at = 0, count = members->count;
    while (count) {
        uint32_t half = count / 2;
        bool below = keys[at + half] < key;
        at = below ? at + half + 1 : at;
        count = below ? count - half - 1 : half;
    }
    return at;
}

/* Bits that come to stand for newer buckets are cleared in every row. Those were out of reach: masks are wider than
   the reach by what may lie ahead. */
static void advance(tm_members *members, size_t offset, size_t words, int32_t *newest, int64_t bucket)
{
    if (bucket <= *newest)
        return;
    int64_t bits = (int64_t)words * WORD;
    int64_t fresh = *newest == INT32_MIN || bucket - *newest > bits ? bits : bucket - *newest;
    row_mask stale = {{0}};
    select_bits(stale.words, words, bucket - fresh + 1, fresh);
    for (uint32_t i = 0; i < members->count; i++)
        for (size_t w = 0; w < words; w++)
            row_of(members, i)[offset + w] &= ~stale.words[w];
    *newest = (int32_t)bucket;
}

/* Sets one bit, unless the bucket is so old that it has none (not possible for one within reach). Says whether the bit
   was not set. */
static bool mark(tm_members *members, uint32_t i, size_t offset, size_t words, int64_t newest, int64_t bucket)
{
    int64_t bits = (int64_t)words * WORD, bit = ((bucket % bits) + bits) % bits;
    if (bucket <= newest - bits)
        return false;
    uint32_t *word = row_of(members, i) + offset + bit / WORD, before = *word;
    *word |= UINT32_C(1) << bit % WORD;
    return *word != before;
}

static tm_status insert(tm_members *members, tm_heap *heap, uint32_t at, uint64_t key)
{
    if (members->count == members->capacity) {
        uint32_t capacity = members->count + members->count / 8 + 2;
        if (set_capacity(members, heap, capacity < TM_DISTINCT_CAP ? capacity : TM_DISTINCT_CAP) != TM_OK)
            return TM_FATAL;
    }
    size_t words = row_words(members), after = members->count - at;
    memmove(keys_of(members) + at + 1, keys_of(members) + at, after * sizeof(uint64_t));
    memmove(row_of(members, at + 1), row_of(members, at), after * words * sizeof(uint32_t));
    keys_of(members)[at] = key;
    memset(row_of(members, at), 0, words * sizeof(uint32_t));
    members->count++;
    return TM_OK;
}

/* Below the cap afterwards: first without those out of reach, then by halving the sample. */
static void make_room(tm_members *members, const tm_members_reach *reach)
{
    row_mask live;
    select_live(members, reach, &live);
    keep_only(members, &live);
    while (members->count >= TM_DISTINCT_CAP && members->level < LEVEL_MAX) {
        members->level++;
        keep_only(members, NULL);
    }
}

tm_status tm_members_add(tm_members *members, tm_heap *heap, const tm_members_reach *reach, uint64_t key, bool in_days,
                         int64_t day, bool in_hours, int64_t hour, bool *ret_changed)
{
    *ret_changed = false;
    in_days = in_days && members->day_words;
    in_hours = in_hours && members->hour_words;
    if (!in_days && !in_hours)
        return TM_OK;
    TM_CHECK(heap,
             members->count <= members->capacity && members->capacity <= TM_DISTINCT_CAP &&
                 members->level <= LEVEL_MAX && (members->block != NULL || members->capacity == 0),
             "members_shape");
    key &= KEY_MASK;
    if (members->level && faded(members, reach)) {
        members->level = 0;
        members->count = 0;
        *ret_changed = true;
    }
    if (!sampled_in(key, members->level))
        return TM_OK;
    uint32_t at = lower_bound(members, key);
    if (at == members->count || keys_of(members)[at] != key) {
        *ret_changed = true;
        if (members->count >= TM_DISTINCT_CAP) {
            make_room(members, reach);
            if (members->count >= TM_DISTINCT_CAP || !sampled_in(key, members->level))
                return TM_OK;
            at = lower_bound(members, key);
        }
        if (insert(members, heap, at, key) != TM_OK)
            return TM_FATAL;
        TM_CHECK(heap,
                 (at == 0 || keys_of(members)[at - 1] < key) &&
                     (at + 1 == members->count || keys_of(members)[at + 1] > key),
                 "members_ascend");
    }
    if (in_days) {
        advance(members, 0, members->day_words, &members->newest_day, day);
        *ret_changed |= mark(members, at, 0, members->day_words, members->newest_day, day);
    }
    if (in_hours) {
        advance(members, members->day_words, members->hour_words, &members->newest_hour, hour);
        *ret_changed |= mark(members, at, members->day_words, members->hour_words, members->newest_hour, hour);
    }
    return TM_OK;
}

uint64_t tm_members_count(const tm_members *members, const tm_members_reach *reach, bool hours, int64_t from,
                          int64_t to, bool *ret_approximate)
{
    row_mask mask = {{0}};
    if (hours)
        select_hours(members, &mask, from, to);
    else
        select_days(members, &mask, from, to);
    *ret_approximate = members->level && !faded(members, reach);
    uint64_t count = 0;
    size_t words = row_words(members);
    if (words == 1) {
        const uint32_t *rows = rows_of(members);
        uint32_t one = mask.words[0];
        for (uint32_t i = 0; i < members->count; i++)
            count += (rows[i] & one) != 0;
    } else if (words == 2) {
        /* Days beyond one word, the usual case: both words of a row at once. */
        const uint32_t *rows = rows_of(members);
        uint64_t both, row;
        memcpy(&both, mask.words, sizeof both);
        for (uint32_t i = 0; i < members->count; i++) {
            memcpy(&row, rows + (size_t)i * 2, sizeof row);
            count += (row & both) != 0;
        }
    } else {
        for (uint32_t i = 0; i < members->count; i++)
            count += row_meets(row_of(members, i), &mask, words);
    }
    return count << members->level;
}

bool tm_members_any(const tm_members *members, const tm_members_reach *reach, bool hours)
{
    row_mask mask = {{0}};
    if (hours)
        select_hours(members, &mask, tm_reach_oldest(reach->hours), members->newest_hour);
    else
        select_days(members, &mask, tm_reach_oldest(reach->days), members->newest_day);
    for (uint32_t i = 0; i < members->count; i++)
        if (row_meets(row_of(members, i), &mask, row_words(members)))
            return true;
    return false;
}

/* The bits of the `span` buckets up to the newest of one unit of a row, the oldest first. */
static void put_row(tm_bit_writer *to, const uint32_t *row, size_t words, int64_t newest, int64_t span)
{
    if (!words)
        return;
    int64_t bits = (int64_t)words * WORD, bit = (((newest - span + 1) % bits) + bits) % bits;
    while (span > 0) {
        int64_t in_word = WORD - bit % WORD, take = in_word < span ? in_word : span;
        tm_bits_put(to, row[bit / WORD] >> bit % WORD, (unsigned)take);
        span -= take;
        bit = (bit + take) % bits;
    }
}

static void get_row(const uint8_t *bytes, size_t position, int64_t span, uint32_t *row, size_t words, int64_t newest)
{
    int64_t bits = (int64_t)words * WORD;
    if (!words)
        return;
    if (span > bits) { /* the reach became shorter */
        position += (size_t)(span - bits);
        span = bits;
    }
    int64_t bit = (((newest - span + 1) % bits) + bits) % bits;
    while (span > 0) {
        int64_t in_word = WORD - bit % WORD, take = in_word < span ? in_word : span;
        row[bit / WORD] |= (uint32_t)tm_bits_get(bytes, position, (unsigned)take) << bit % WORD;
        position += (size_t)take;
        span -= take;
        bit = (bit + take) % bits;
    }
}

/* How many buckets down from the newest are needed for the oldest mark within reach; 0: there is none. */
static int64_t span_of(const tm_members *members, size_t offset, size_t words, int64_t newest, tm_reach reach)
{
    int64_t span = newest - tm_reach_oldest(reach) + 1;
    if (!words || newest == INT32_MIN || span <= 0)
        return 0;
    if (span > (int64_t)words * WORD)
        span = (int64_t)words * WORD;
    row_mask any = {{0}};
    for (uint32_t i = 0; i < members->count; i++)
        for (size_t w = 0; w < words; w++)
            any.words[w] |= row_of(members, i)[offset + w];
    for (; span > 0; span--) {
        row_mask mask = {{0}};
        select_bits(mask.words, words, newest - span + 1, 1);
        if (row_meets(any.words, &mask, words))
            break;
    }
    return span;
}

static void put_unit(tm_buffer *out, bool kept, int64_t newest, int64_t origin, int64_t span)
{
    tm_buffer_put_varint(out, kept ? (uint64_t)span + 1 : 0);
    if (kept)
        tm_buffer_put_signed(out, newest - origin);
}

void tm_members_save(const tm_members *members, const tm_members_reach *reach, int64_t day_origin, int64_t hour_origin,
                     tm_buffer *out)
{
    size_t days = members->day_words, hours = members->hour_words;
    bool keep_days = days && members->newest_day >= tm_reach_oldest(reach->days);
    bool keep_hours = hours && members->newest_hour >= tm_reach_oldest(reach->hours);
    if (!keep_days && !keep_hours) {
        tm_buffer_put_varint(out, 0);
        return;
    }
    int64_t day_span = span_of(members, 0, days, members->newest_day, reach->days);
    int64_t hour_span = span_of(members, days, hours, members->newest_hour, reach->hours);
    row_mask live;
    uint32_t count = 0;
    select_live(members, reach, &live);
    for (uint32_t i = 0; i < members->count; i++)
        count += row_meets(row_of(members, i), &live, days + hours);
    tm_buffer_put_varint(out, (uint64_t)count + 1);
    tm_buffer_put_u8(out, members->level);
    put_unit(out, keep_days, members->newest_day, day_origin, day_span);
    put_unit(out, keep_hours, members->newest_hour, hour_origin, hour_span);
    tm_bit_writer to = {.out = out};
    for (uint32_t i = 0; i < members->count; i++)
        if (row_meets(row_of(members, i), &live, days + hours))
            tm_bits_put(&to, keys_of(members)[i], TM_MEMBER_KEY_BITS);
    for (uint32_t i = 0; i < members->count; i++) {
        const uint32_t *row = row_of(members, i);
        if (row_meets(row, &live, days + hours)) {
            put_row(&to, row, days, members->newest_day, day_span);
            put_row(&to, row + days, hours, members->newest_hour, hour_span);
        }
    }
    tm_bits_end(&to);
}

typedef struct unit {
    int64_t newest, span;
} unit;

static bool get_unit(tm_reader *in, int64_t most, int64_t origin, unit *ret_unit)
{
    uint64_t head = tm_reader_varint(in);
    *ret_unit = (unit){INT32_MIN, 0};
    if (head == 0)
        return !in->failed;
    int64_t newest = tm_reader_signed(in);
    if (in->failed || head - 1 > (uint64_t)most || newest < -BUCKET_MAX || newest > BUCKET_MAX)
        return false;
    *ret_unit = (unit){origin + newest, (int64_t)(head - 1)};
    return true;
}

static tm_status load_rows(tm_members *members, tm_heap *heap, tm_reader *in, uint32_t count, unit days, unit hours)
{
    size_t row_bits = (size_t)(days.span + hours.span);
    tm_slice keys = tm_reader_bytes(in, (size_t)count * KEY_BYTES);
    tm_slice bits = tm_reader_bytes(in, (count * row_bits + 7) / 8);
    if (in->failed)
        return TM_REJECT;
    if (count && set_capacity(members, heap, count) != TM_OK)
        return TM_FATAL;
    uint64_t former = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key =
            (uint64_t)tm_bits_get((const uint8_t *)keys.data, (size_t)i * TM_MEMBER_KEY_BITS, TM_MEMBER_KEY_BITS);
        if (i && key <= former)
            return TM_REJECT;
        former = key;
        uint32_t *row = row_of(members, members->count);
        size_t position = i * row_bits;
        memset(row, 0, row_words(members) * sizeof *row);
        keys_of(members)[members->count] = key;
        get_row((const uint8_t *)bits.data, position, days.span, row, members->day_words, days.newest);
        get_row((const uint8_t *)bits.data, position + (size_t)days.span, hours.span, row + members->day_words,
                members->hour_words, hours.newest);
        uint32_t any = 0;
        for (size_t w = 0; w < row_words(members); w++)
            any |= row[w];
        members->count += any != 0; /* else all its marks are beyond the masks */
    }
    return TM_OK;
}

tm_status tm_members_load(tm_heap *heap, int32_t reach_days, int32_t reach_hours, int64_t day_origin,
                          int64_t hour_origin, tm_reader *in, tm_members *ret_members)
{
    tm_members_init(ret_members, reach_days, reach_hours);
    uint64_t count = tm_reader_varint(in);
    if (in->failed || count > TM_DISTINCT_CAP + 1)
        return TM_REJECT;
    if (count == 0)
        return TM_OK;
    uint8_t level = tm_reader_u8(in);
    unit days, hours;
    if (!get_unit(in, (int64_t)DAY_WORDS_MAX * WORD, day_origin, &days) ||
        !get_unit(in, (int64_t)HOUR_WORDS_MAX * WORD, hour_origin, &hours) || level > LEVEL_MAX)
        return TM_REJECT;
    ret_members->level = level;
    if (ret_members->day_words)
        ret_members->newest_day = (int32_t)days.newest;
    if (ret_members->hour_words)
        ret_members->newest_hour = (int32_t)hours.newest;
    tm_status status = load_rows(ret_members, heap, in, (uint32_t)(count - 1), days, hours);
    if (status != TM_OK)
        tm_members_done(ret_members, heap);
    return status;
}
