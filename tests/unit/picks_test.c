#include "tidemark/core/picks.h"

#include <criterion/criterion.h>

Test(picks, the_better_of_two)
{
    tm_pick none = {TM_FIXED_NONE, 5}, a = {10, 5}, same_time = {7, 5}, later = {3, 6};
    cr_assert_eq(tm_pick_better(TM_METRIC_LAST, none, a).value, 10);
    cr_assert_eq(tm_pick_better(TM_METRIC_LAST, a, none).value, 10);
    cr_assert_eq(tm_pick_better(TM_METRIC_LAST, a, same_time).value, 7);
    cr_assert_eq(tm_pick_better(TM_METRIC_LAST, a, later).value, 3);
    cr_assert_eq(tm_pick_better(TM_METRIC_LAST, later, a).value, 3);
    cr_assert_eq(tm_pick_better(TM_METRIC_FIRST, a, same_time).value, 10);
    cr_assert_eq(tm_pick_better(TM_METRIC_FIRST, later, a).value, 10);
    cr_assert_eq(tm_pick_better(TM_METRIC_MAX, later, a).value, 10);
    cr_assert_eq(tm_pick_better(TM_METRIC_MAX, a, later).value, 10);
}

Test(picks, are_bounded_by_the_reach)
{
    tm_heap *heap = tm_heap_new(0);
    tm_picks picks = {0};
    for (int day = 0; day < 1000; day++) {
        tm_reach reach = {day, 7};
        cr_assert_eq(tm_picks_reserve(&picks, heap, reach, day), TM_OK);
        tm_picks_put(&picks, TM_METRIC_MAX, day, (tm_pick){day, day * TM_DAY});
        cr_assert_leq(picks.count, 16);
        cr_assert_eq(tm_picks_best(&picks, TM_METRIC_MAX, day - 6, day - 1).value,
                     day ? day - 1 : (tm_fixed)TM_FIXED_NONE);
    }
    cr_assert_eq(tm_picks_reserve(&picks, heap, (tm_reach){999, 7}, 992), TM_REJECT);
    cr_assert(tm_picks_any(&picks, 999));
    cr_assert(!tm_picks_any(&picks, 1000));
    tm_picks_done(&picks, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

/* The longest list there can be: full, it still takes what has its bucket, and nothing else. */
Test(picks, a_full_list_takes_no_new_bucket)
{
    tm_heap *heap = tm_heap_new(0);
    tm_picks picks = {0};
    tm_reach reach = {5000, TM_REACH_HOURS_MAX};
    for (int64_t hour = tm_reach_oldest(reach); hour <= 5000 + TM_BUCKETS_AHEAD; hour++) {
        cr_assert_eq(tm_picks_reserve(&picks, heap, reach, hour), TM_OK);
        tm_picks_put(&picks, TM_METRIC_LAST, hour, (tm_pick){1, hour * TM_HOUR});
    }
    cr_assert_eq(tm_picks_reserve(&picks, heap, reach, 5000), TM_OK);
    tm_picks_put(&picks, TM_METRIC_LAST, 5000, (tm_pick){2, 5000 * TM_HOUR});
    cr_assert_eq(tm_picks_best(&picks, TM_METRIC_LAST, 0, 5000).value, 2);
    while (picks.count < picks.capacity) { /* as only damaged state can fill it */
        picks.entries[picks.count] = (tm_bucket_pick){{1, 0}, 6000 + picks.count};
        picks.count++;
    }
    cr_assert_eq(tm_picks_reserve(&picks, heap, (tm_reach){5500, 2000}, 5500), TM_REJECT);
    cr_assert_eq(tm_picks_reserve(&picks, heap, (tm_reach){5500, 1000}, 5501), TM_OK, "room by what has aged");
    tm_heap_free_all(heap);
}

Test(picks, bytes_that_are_no_picks_are_refused)
{
    tm_heap *heap = tm_heap_new(0);
    const int64_t cases[][3] = {
        {2000000000, 3, 0}, {5, 0, 0}, {5, 3, 4 * TM_DAY}, {5, 3, -4 * TM_DAY}, {0, 3, 0} /* the second one */};
    for (size_t i = 0; i < 7; i++) {
        tm_buffer bytes;
        tm_reader in;
        tm_picks picks;
        tm_buffer_init(&bytes, 1 << 16);
        tm_buffer_put_varint(&bytes, i == 5 ? 5000 : 2);
        tm_buffer_put_signed(&bytes, 1);
        tm_buffer_put_varint(&bytes, 3);
        tm_buffer_put_signed(&bytes, 1);
        if (i < 5) {
            tm_buffer_put_signed(&bytes, cases[i][0]);
            tm_buffer_put_varint(&bytes, (uint64_t)cases[i][1]);
            tm_buffer_put_signed(&bytes, cases[i][2]);
        }
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_picks_load(heap, 7, 0, TM_DAY, &in, &picks), TM_REJECT, "case %zu", i);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_buffer_done(&bytes);
    }
    tm_heap_free_all(heap);
}

static void put(tm_picks *picks, tm_heap *heap, int64_t day)
{
    cr_assert_eq(tm_picks_reserve(picks, heap, (tm_reach){day, 100}, day), TM_OK);
    tm_picks_put(picks, TM_METRIC_LAST, day, (tm_pick){-day * 7, day * TM_DAY + day});
}

Test(picks, are_read_back_as_they_were_saved)
{
    tm_heap *heap = tm_heap_new(0);
    tm_picks picks = {0}, loaded;
    tm_buffer bytes;
    tm_reader in;
    cr_assert_eq(tm_picks_memory(&picks), 0);
    for (int64_t day = 100; day < 120; day += 3)
        put(&picks, heap, day);
    size_t memory = tm_picks_memory(&picks), used = tm_heap_used(heap);
    cr_assert_geq(memory, 7 * sizeof(tm_bucket_pick));
    cr_assert(memory <= used && used <= memory + memory / 8 + 16, "%zu of %zu", memory, used);
    tm_buffer_init(&bytes, 1 << 16);
    for (int64_t oldest = 99; oldest <= 120; oldest++) {
        tm_buffer_reset(&bytes);
        tm_picks_save(&picks, oldest, 110, TM_DAY, &bytes);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_picks_load(heap, 100, 110, TM_DAY, &in, &loaded), TM_OK);
        cr_assert(tm_reader_at_end(&in));
        uint16_t kept = 0;
        for (uint16_t i = 0; i < picks.count; i++) {
            const tm_bucket_pick *was = &picks.entries[i];
            if (was->bucket < oldest)
                continue;
            cr_assert_lt(kept, loaded.count);
            const tm_bucket_pick *is = &loaded.entries[kept++];
            cr_assert_eq(is->bucket, was->bucket);
            cr_assert_eq(is->pick.value, was->pick.value);
            cr_assert_eq(is->pick.at, was->pick.at);
        }
        cr_assert_eq(loaded.count, kept, "oldest %d", (int)oldest);
        tm_picks_done(&loaded, heap);
        cr_assert_eq(tm_picks_memory(&loaded), 0);
    }
    cr_assert_eq(bytes.length, 1, "none left: a zero");
    tm_buffer_done(&bytes);
    tm_picks_done(&picks, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}
