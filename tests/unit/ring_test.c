#include "tidemark/core/ring.h"

#include <criterion/criterion.h>

#include "tidemark/core/bits.h"

static void add(tm_ring *ring, tm_heap *heap, tm_reach reach, int64_t bucket, __int128 amount)
{
    cr_assert_eq(tm_ring_reserve(ring, heap, reach, bucket, amount), TM_OK);
    tm_ring_add(ring, bucket, amount);
}

Test(ring, a_reach_takes_its_buckets_and_two_ahead)
{
    tm_reach reach = {.now = 100, .length = 7};
    cr_assert_eq(tm_reach_oldest(reach), 94);
    for (int64_t bucket = 80; bucket < 120; bucket++)
        cr_assert_eq(tm_reach_takes(reach, bucket), bucket >= 94 && bucket <= 100 + TM_BUCKETS_AHEAD, "%d",
                     (int)bucket);
    cr_assert_not(tm_reach_takes((tm_reach){.now = 100, .length = 0}, 100), "no reach, no bucket");
    cr_assert(tm_reach_takes((tm_reach){.now = 100, .length = 1}, 100));
    cr_assert_not(tm_reach_takes((tm_reach){.now = 100, .length = 1}, 99));
}

Test(ring, cells_grow_wider_when_a_sum_needs_it)
{
    tm_heap *heap = tm_heap_new(0);
    tm_ring ring = {0};
    tm_reach reach = {10, 5};
    const struct {
        __int128 amount;
        int width;
    } steps[] = {{200, 1}, {55, 1},        {1, 2},          {32511, 2},
                 {1, 4},   {INT32_MAX, 8}, {INT64_MAX, 16}, {(__int128)INT64_MAX << 20, 16}};
    __int128 sum = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        add(&ring, heap, reach, 10, steps[i].amount);
        sum += steps[i].amount;
        cr_assert_eq(ring.width, steps[i].width, "step %zu: %d", i, ring.width);
        cr_assert(tm_ring_sum(&ring, 10, 10) == sum);
    }
    tm_ring_done(&ring, heap);
    add(&ring, heap, reach, 9, -1); /* one byte holds no negative number */
    cr_assert_eq(ring.width, 2);
    add(&ring, heap, reach, 8, INT64_MIN);
    add(&ring, heap, reach, 7, INT64_MIN);
    cr_assert_eq(ring.width, 8);
    cr_assert(tm_ring_sum(&ring, 0, 20) == 2 * (__int128)INT64_MIN - 1, "sums of wide cells do not overflow");
    tm_ring_done(&ring, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(ring, counts_of_one_bucket_go_on_and_on)
{
    tm_heap *heap = tm_heap_new(0);
    tm_ring ring = {0};
    tm_reach reach = {-3, 2}; /* days before 1970 are days too */
    for (int i = 1; i <= 70000; i++) {
        add(&ring, heap, reach, -3, 1);
        if (i % 97 == 0 || i < 300)
            cr_assert(tm_ring_sum(&ring, -4, -3) == i);
    }
    tm_heap_free_all(heap);
}

Test(ring, grows_only_as_far_back_as_needed)
{
    tm_heap *heap = tm_heap_new(0);
    tm_ring ring = {0};
    tm_reach reach = {1000, 400};
    add(&ring, heap, reach, 1000, 1);
    cr_assert_eq(tm_ring_memory(&ring), 16);
    add(&ring, heap, reach, 601, 0);
    cr_assert_eq(tm_ring_memory(&ring), 16, "nothing is no bucket");
    add(&ring, heap, reach, 980, 1);
    cr_assert_leq(tm_ring_memory(&ring), 32);
    add(&ring, heap, reach, 601, 1);
    cr_assert_leq(tm_ring_memory(&ring), 416);
    cr_assert(tm_ring_sum(&ring, 601, 1002) == 3);
    cr_assert(tm_ring_sum(&ring, 602, 999) == 1);
    cr_assert(tm_ring_sum(&ring, 700, 600) == 0);
    cr_assert_eq(tm_ring_reserve(&ring, heap, reach, 600, 1), TM_REJECT);
    cr_assert_eq(tm_ring_reserve(&ring, heap, reach, 1003, 1), TM_REJECT);
    cr_assert_eq(tm_ring_reserve(&ring, heap, (tm_reach){1000, 0}, 1000, 1), TM_REJECT);
    reach.now = 1500; /* everything is old: the ring starts again */
    add(&ring, heap, reach, 1500, 5);
    cr_assert(tm_ring_sum(&ring, 0, 2000) == 5);
    cr_assert_eq(ring.length, 1);
    /* A ring that is ahead of the present, as only damaged state can be. */
    cr_assert_eq(tm_ring_reserve(&ring, heap, (tm_reach){100, 5}, 100, 1), TM_REJECT);
    tm_heap_free_all(heap);
}

Test(ring, memory_stays_while_days_go_by)
{
    tm_heap *heap = tm_heap_new(0);
    tm_ring ring = {0};
    size_t most = 0;
    for (int day = 0; day < 2000; day++) {
        tm_reach reach = {day, 90};
        add(&ring, heap, reach, day, 100);
        if (day > 90)
            cr_assert(tm_ring_sum(&ring, day - 89, day) == 9000);
        most = tm_ring_memory(&ring) > most ? tm_ring_memory(&ring) : most;
    }
    cr_assert_leq(most, 96);
    cr_assert(tm_ring_any(&ring, 1999));
    cr_assert(!tm_ring_any(&ring, 2000));
    tm_heap_free_all(heap);
}

Test(ring, what_is_loaded_is_what_was_saved_within_reach)
{
    const __int128 amounts[] = {1, 300, -7, (__int128)1 << 90, 5000000, 70000};
    tm_heap *heap = tm_heap_new(0);
    for (int i = 0; i < 6; i++) {
        tm_ring ring = {0}, loaded;
        tm_buffer bytes, again;
        tm_reader in;
        tm_reach reach = {50, 40};
        for (int day = 15; day <= 45; day += 6)
            add(&ring, heap, reach, day, amounts[i] * (day % 5));
        tm_buffer_init(&bytes, 1 << 16);
        tm_buffer_init(&again, 1 << 16);
        tm_ring_save(&ring, 20, 1000, &bytes);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_ring_load(heap, 40, 1000, &in, &loaded), TM_OK);
        cr_assert(tm_reader_at_end(&in));
        for (int day = 10; day < 60; day++)
            cr_assert(tm_ring_sum(&loaded, day, day) == (day < 20 ? 0 : tm_ring_sum(&ring, day, day)));
        tm_ring_save(&loaded, 0, 1000, &again);
        cr_assert(tm_slice_equal(tm_buffer_slice(&bytes), tm_buffer_slice(&again)));
        tm_ring_done(&loaded, heap);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_ring_load(heap, 5, 1000, &in, &loaded), TM_OK); /* a shorter reach */
        cr_assert(loaded.length <= 7);
        cr_assert(tm_ring_sum(&loaded, 39, 60) == tm_ring_sum(&ring, 39, 60));
        tm_ring_done(&loaded, heap);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_ring_load(heap, 0, 1000, &in, &loaded), TM_OK); /* none */
        cr_assert_eq(tm_ring_memory(&loaded), 0);
        tm_ring_done(&ring, heap);
        tm_buffer_done(&bytes);
        tm_buffer_done(&again);
    }
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(ring, bytes_that_are_no_ring_are_refused)
{
    const struct {
        uint64_t head;
        int64_t after;
        int bits, length;
    } cases[] = {{7 << 1, 0, 0, 1},
                 {7 << 1, 0, 107, 20},
                 {7 << 1, 2000000000, 1, 1},
                 {7 << 1, -2000000000, 1, 1},
                 {2000 * 7 << 1, 0, 1, 300},
                 {7 << 1, 0, 9, 1},
                 {1, 0, 8, 1},
                 {UINT64_MAX, 0, 8, 1}};
    tm_heap *heap = tm_heap_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_buffer bytes;
        tm_reader in;
        tm_ring ring;
        tm_buffer_init(&bytes, 1 << 16);
        tm_buffer_put_varint(&bytes, cases[i].head);
        tm_buffer_put_signed(&bytes, cases[i].after);
        tm_buffer_put_u8(&bytes, (uint8_t)cases[i].bits);
        for (int j = 0; j < cases[i].length; j++)
            tm_buffer_put_u8(&bytes, 1);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_ring_load(heap, 40, 0, &in, &ring), TM_REJECT, "case %zu", i);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_buffer_done(&bytes);
    }
    tm_heap_free_all(heap);
}

Test(bits, numbers_of_any_width_follow_each_other)
{
    tm_buffer out;
    tm_buffer_init(&out, 1 << 16);
    tm_bit_writer writer = {.out = &out};
    size_t position = 0;
    unsigned __int128 all = ~(unsigned __int128)0, odd = (unsigned __int128)UINT64_C(0x123456789abcdef1) << 63 | 5;
    for (unsigned bits = 0; bits <= 128; bits++)
        tm_bits_put(&writer, bits % 2 ? all : odd, bits);
    tm_bits_end(&writer);
    tm_bits_end(&writer);
    cr_assert_eq(out.length, (128 * 129 / 2 + 7) / 8);
    for (unsigned bits = 0; bits <= 128; bits++) {
        unsigned __int128 mask = bits == 128 ? all : ((unsigned __int128)1 << bits) - 1;
        cr_assert(tm_bits_get((const uint8_t *)out.data, position, bits) == ((bits % 2 ? all : odd) & mask));
        position += bits;
    }
    cr_assert_eq(tm_bits_of(0), 0);
    cr_assert_eq(tm_bits_of(1), 1);
    cr_assert_eq(tm_bits_of(255), 8);
    cr_assert_eq(tm_bits_of((unsigned __int128)1 << 64), 65);
    cr_assert_eq(tm_bits_of(all), 128);
    tm_buffer_done(&out);
}

Test(bits, fixed_numbers_are_kept_exactly)
{
    const tm_fixed numbers[] = {0,
                                1,
                                -1,
                                TM_FIXED_ONE,
                                -TM_FIXED_ONE,
                                1500000,
                                INT64_C(9000000000000000),
                                -INT64_C(9000000000000000),
                                INT64_C(8999999999999999),
                                TM_FIXED_NONE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        tm_buffer out;
        tm_reader in;
        tm_buffer_init(&out, 64);
        tm_fixed_put(&out, numbers[i]);
        tm_reader_init(&in, tm_buffer_slice(&out));
        cr_assert_eq(tm_fixed_get(&in), numbers[i]);
        cr_assert(tm_reader_at_end(&in));
        tm_buffer_reset(&out);
        tm_buffer_put_varint(&out, UINT64_MAX - i);
        tm_reader_init(&in, tm_buffer_slice(&out));
        tm_fixed_get(&in);
        cr_assert(in.failed, "beyond any number");
        tm_buffer_done(&out);
    }
}
