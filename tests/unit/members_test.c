#include "tidemark/core/members.h"

#include <criterion/criterion.h>

#include "tidemark/base/limits.h"

static tm_members_reach on_day(int64_t day, int32_t length)
{
    return (tm_members_reach){{day, length}, {day * 24, 0}};
}

static uint64_t count(const tm_members *members, tm_members_reach reach, bool *ret_approximate)
{
    return tm_members_count(members, &reach, false, tm_reach_oldest(reach.days), reach.days.now, ret_approximate);
}

static void add(tm_members *members, tm_heap *heap, tm_members_reach reach, uint64_t key)
{
    bool changed;
    cr_assert_eq(tm_members_add(members, heap, &reach, key, true, reach.days.now, false, 0, &changed), TM_OK);
}

Test(members, are_exact_up_to_the_cap_and_not_one_more)
{
    tm_heap *heap = tm_heap_new(0);
    tm_members members;
    bool approximate;
    tm_members_init(&members, 7, 0);
    for (uint64_t key = 1; key <= TM_DISTINCT_CAP; key++) {
        add(&members, heap, on_day(100, 7), key * 3);
        add(&members, heap, on_day(100, 7), key * 3);
    }
    cr_assert_eq(count(&members, on_day(100, 7), &approximate), TM_DISTINCT_CAP);
    cr_assert(!approximate);
    cr_assert_eq(members.level, 0);
    add(&members, heap, on_day(100, 7), 3 * TM_DISTINCT_CAP + 1);
    cr_assert_eq(members.level, 1);
    uint64_t estimate = count(&members, on_day(100, 7), &approximate);
    cr_assert(approximate);
    cr_assert(estimate > 3700 && estimate < 4500, "%llu", (unsigned long long)estimate);
    tm_members_done(&members, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(members, who_is_out_of_reach_makes_room_first)
{
    tm_heap *heap = tm_heap_new(0);
    tm_members members;
    bool approximate;
    tm_members_init(&members, 7, 0);
    for (uint64_t key = 1; key <= TM_DISTINCT_CAP; key++)
        add(&members, heap, on_day(key <= 96 ? 100 : 104, 7), key);
    for (uint64_t key = 5001; key <= 5096; key++)
        add(&members, heap, on_day(107, 7), key);
    cr_assert_eq(count(&members, on_day(107, 7), &approximate), TM_DISTINCT_CAP);
    cr_assert(!approximate);
    add(&members, heap, on_day(107, 7), 6000);
    cr_assert_eq(members.level, 1);
    tm_heap_free_all(heap);
}

Test(members, an_estimate_is_near_and_fades)
{
    tm_heap *heap = tm_heap_new(0);
    tm_members members;
    bool approximate;
    tm_members_init(&members, 7, 0);
    for (uint64_t key = 1; key <= 100000; key++)
        add(&members, heap, on_day(100, 7), key);
    double estimate = (double)count(&members, on_day(100, 7), &approximate);
    cr_assert(approximate);
    cr_assert(estimate > 93000 && estimate < 107000, "%f", estimate);
    cr_assert_leq(members.count, TM_DISTINCT_CAP);
    tm_members_reach later = on_day(106, 7), gone = on_day(107, 7);
    cr_assert(tm_members_any(&members, &later, false));
    cr_assert(!tm_members_any(&members, &gone, false));
    cr_assert_eq(count(&members, gone, &approximate), 0);
    cr_assert(!approximate);
    add(&members, heap, gone, 1);
    add(&members, heap, gone, 2);
    add(&members, heap, gone, 3);
    cr_assert_eq(count(&members, gone, &approximate), 3);
    cr_assert(!approximate);
    tm_heap_free_all(heap);
}

Test(members, only_48_bits_tell_them_apart)
{
    tm_heap *heap = tm_heap_new(0);
    tm_members members;
    bool approximate;
    tm_members_init(&members, 7, 0);
    add(&members, heap, on_day(1, 7), 5);
    add(&members, heap, on_day(1, 7), 5 | UINT64_C(1) << 48);
    add(&members, heap, on_day(1, 7), 5 | UINT64_C(1) << 47);
    cr_assert_eq(count(&members, on_day(1, 7), &approximate), 2);
    tm_heap_free_all(heap);
}

Test(members, bytes_that_are_no_members_are_refused)
{
    /* count + 1, level, days: span + 1 and newest, hours: none, then keys and rows */
    const struct {
        uint64_t count, span;
        int64_t newest;
        unsigned char level, bytes[16];
        int length;
    } cases[] = {
        {TM_DISTINCT_CAP + 2, 2, 0, 0, {0}, 0},  {2, 2, 0, 41, {1, 0, 0, 0, 0, 0, 1}, 7},
        {2, 66, 0, 0, {1, 0, 0, 0, 0, 0, 1}, 7}, {2, 2, 2000000000, 0, {1, 0, 0, 0, 0, 0, 1}, 7},
        {2, 2, 0, 0, {1, 0, 0, 0, 0, 0}, 6},     {3, 2, 0, 0, {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3}, 13},
    };
    tm_heap *heap = tm_heap_new(0);
    for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
        tm_buffer bytes;
        tm_reader in;
        tm_members members;
        tm_buffer_init(&bytes, 1 << 16);
        if (i < sizeof cases / sizeof *cases) {
            tm_buffer_put_varint(&bytes, cases[i].count);
            tm_buffer_put_u8(&bytes, cases[i].level);
            tm_buffer_put_varint(&bytes, cases[i].span);
            tm_buffer_put_signed(&bytes, cases[i].newest);
            tm_buffer_put_varint(&bytes, 0);
            tm_buffer_append(&bytes, cases[i].bytes, (size_t)cases[i].length);
        }
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_members_load(heap, 7, 0, 0, 0, &in, &members), TM_REJECT, "case %zu", i);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_buffer_done(&bytes);
    }
    tm_heap_free_all(heap);
}

Test(members, fit_masks_of_as_many_words)
{
    tm_members members;
    const int32_t reaches[][2] = {{0, 0}, {7, 0}, {0, 24}, {7, 24}, {62, 1488}};
    for (size_t i = 0; i < 5; i++) {
        tm_members_init(&members, reaches[i][0], reaches[i][1]);
        for (size_t k = 0; k < 5; k++)
            cr_assert_eq(tm_members_fit(&members, reaches[k][0], reaches[k][1]), i == k, "%zu %zu", i, k);
    }
    tm_members_init(&members, 7, 24);
    cr_assert(tm_members_fit(&members, 1, 30), "a word holds 30 and those ahead");
    cr_assert(!tm_members_fit(&members, 31, 24));
    cr_assert(!tm_members_fit(&members, 7, 31));
}

/* The key's day and hour, of days 95 to 104. */
static int64_t day_of(uint64_t key)
{
    return 95 + (int64_t)(key % 10);
}

Test(members, are_read_back_as_they_were_saved)
{
    enum { KEYS = 200 };
    tm_heap *heap = tm_heap_new(0);
    tm_members members, loaded;
    tm_members_reach reach = {{104, 7}, {104 * 24 + 5, 24}};
    tm_buffer bytes;
    tm_reader in;
    bool approximate, changed;
    tm_members_init(&members, 7, 24);
    cr_assert_eq(tm_members_memory(&members), 0);
    for (uint64_t key = 1; key <= KEYS; key++) {
        int64_t day = day_of(key);
        tm_members_reach then = {{day, 7}, {day * 24 + 5, 24}};
        cr_assert_eq(
            tm_members_add(&members, heap, &then, key * 977, true, day, true, day * 24 + (int64_t)(key % 6), &changed),
            TM_OK);
        cr_assert(changed);
    }
    size_t memory = tm_members_memory(&members), used = tm_heap_used(heap);
    cr_assert_geq(memory, KEYS * 16);
    cr_assert(memory <= used && used <= memory + memory / 8 + 16, "%zu of %zu", memory, used);
    tm_buffer_init(&bytes, 1 << 16);
    tm_members_save(&members, &reach, 104, 104 * 24, &bytes);
    const int32_t readers[][2] = {{7, 24}, {62, 1488}, {7, 0}, {0, 24}};
    for (size_t i = 0; i < 4; i++) {
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_members_load(heap, readers[i][0], readers[i][1], 104, 104 * 24, &in, &loaded), TM_OK);
        cr_assert(tm_reader_at_end(&in));
        cr_assert(tm_members_fit(&loaded, readers[i][0], readers[i][1]));
        for (int64_t from = 98; from <= 104; from++) {
            uint64_t expected = 0;
            for (uint64_t key = 1; key <= KEYS; key++)
                expected += day_of(key) >= from && readers[i][0];
            cr_assert_eq(tm_members_count(&loaded, &reach, false, from, 104, &approximate), expected);
            cr_assert(!approximate);
        }
        for (int64_t hour = reach.hours.now - 23; hour <= reach.hours.now; hour++) {
            uint64_t expected = 0;
            for (uint64_t key = 1; key <= KEYS; key++)
                expected += day_of(key) * 24 + (int64_t)(key % 6) == hour && readers[i][1];
            cr_assert_eq(tm_members_count(&loaded, &reach, true, hour, hour, &approximate), expected);
        }
        cr_assert_lt(loaded.count, KEYS, "who is out of reach is not written");
        tm_members_done(&loaded, heap);
    }
    tm_members_reach gone = {{200, 7}, {200 * 24, 24}};
    tm_buffer_reset(&bytes);
    tm_members_save(&members, &gone, 200, 200 * 24, &bytes);
    cr_assert_eq(bytes.length, 1, "nobody left: a zero");
    tm_buffer_done(&bytes);
    tm_members_done(&members, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}
