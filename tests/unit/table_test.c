#include "tidemark/base/table.h"

#include <criterion/criterion.h>
#include <string.h>

Test(table, puts_finds_and_removes)
{
    tm_heap *heap = tm_heap_new(0);
    tm_table table;
    cr_assert_eq(tm_table_init(&table, heap, 0), TM_OK);
    cr_assert_eq(tm_table_find(&table, 1), TM_TABLE_NONE);
    cr_assert_not(tm_table_remove(&table, 1));
    cr_assert_eq(tm_table_put(&table, 0, 10), TM_OK); /* zero is a key like any other */
    cr_assert_eq(tm_table_put(&table, UINT64_MAX, 20), TM_OK);
    cr_assert_eq(tm_table_find(&table, 0), 10);
    cr_assert_eq(tm_table_find(&table, UINT64_MAX), 20);
    cr_assert_eq(tm_table_put(&table, 0, 11), TM_OK);
    cr_assert_eq(table.count, 2);
    cr_assert_eq(tm_table_find(&table, 0), 11);
    tm_table_prefetch(&table, 5);
    cr_assert_not(tm_table_remove(&table, 5));
    cr_assert(tm_table_remove(&table, 0));
    cr_assert_eq(tm_table_find(&table, 0), TM_TABLE_NONE);
    tm_table_clear(&table);
    cr_assert_eq(table.count, 0);
    cr_assert_eq(tm_table_find(&table, UINT64_MAX), TM_TABLE_NONE);
    cr_assert_eq(tm_table_put(&table, UINT64_MAX, 1), TM_OK);
    tm_table_done(&table);
    cr_assert_eq(tm_heap_used(heap), 0);
    /* a table that was done is an empty one */
    cr_assert_eq(tm_table_find(&table, 1), TM_TABLE_NONE);
    tm_table_prefetch(&table, 1);
    tm_table_clear(&table);
    cr_assert_eq(tm_table_put(&table, 1, 1), TM_OK);
    cr_assert_eq(tm_table_find(&table, 1), 1);
    tm_table_done(&table);
    tm_heap_free_all(heap);
}

Test(table, expected_keys_need_no_growth)
{
    tm_heap *heap = tm_heap_new(0);
    tm_table table;
    cr_assert_eq(tm_table_init(&table, heap, 1000), TM_OK);
    size_t capacity = table.capacity;
    for (uint64_t key = 0; key < 1000; key++) {
        cr_assert_eq(tm_table_put(&table, key * 0x9E3779B97F4A7C15u, (uint32_t)key), TM_OK);
    }
    cr_assert_eq(table.capacity, capacity);
    tm_table_done(&table);
    tm_heap_free_all(heap);
}

/* Against a plain array, with keys that all fight for few slots around the wrap, so that deletion has to shift. */
Test(table, agrees_with_an_array)
{
    enum { KEYS = 400 };
    uint32_t plain[KEYS];
    size_t count = 0;
    uint32_t state = 7;
    tm_heap *heap = tm_heap_new(0);
    tm_table table;
    memset(plain, 0xFF, sizeof(plain));
    cr_assert_eq(tm_table_init(&table, heap, 0), TM_OK);
    for (int round = 0; round < 40000; round++) {
        state = state * 1664525u + 1013904223u;
        uint32_t i = (state >> 8) % KEYS;
        uint64_t key =
            ((uint64_t)i << 40) | ((i % 5 + 1021) & 0x3FF); /* slots 1021, 1022, 1023, 0, 1 of many capacities */
        if ((state >> 24) % 3 > 0 && (round / 5000) % 2 == 0) {
            cr_assert_eq(tm_table_put(&table, key, state & 0xFFFF), TM_OK);
            count += plain[i] == TM_TABLE_NONE;
            plain[i] = state & 0xFFFF;
        } else {
            cr_assert_eq(tm_table_remove(&table, key), plain[i] != TM_TABLE_NONE);
            count -= plain[i] != TM_TABLE_NONE;
            plain[i] = TM_TABLE_NONE;
        }
        cr_assert_eq(table.count, count);
        if (round % 97 == 0) {
            for (uint32_t j = 0; j < KEYS; j++) {
                cr_assert_eq(tm_table_find(&table, ((uint64_t)j << 40) | ((j % 5 + 1021) & 0x3FF)), plain[j]);
            }
        }
    }
    tm_table_done(&table);
    tm_heap_free_all(heap);
}

Test(table, without_memory_stays_as_it_was)
{
    tm_heap *heap = tm_heap_new(1000);
    tm_table table;
    cr_assert_eq(tm_table_init(&table, heap, 1000), TM_FATAL);
    cr_assert_eq(tm_table_init(&table, heap, SIZE_MAX), TM_FATAL);
    cr_assert_eq(tm_heap_used(heap), 0);
    cr_assert_eq(tm_table_init(&table, heap, 24), TM_OK);
    for (uint64_t key = 0; key < 24; key++) {
        cr_assert_eq(tm_table_put(&table, key, (uint32_t)key), TM_OK);
    }
    size_t used = tm_heap_used(heap);
    cr_assert_eq(tm_table_put(&table, 24, 24), TM_FATAL);
    cr_assert_eq(tm_heap_used(heap), used);
    cr_assert_eq(tm_table_put(&table, 23, 99), TM_OK); /* one that is there needs no room */
    cr_assert_eq(tm_table_find(&table, 23), 99);
    cr_assert_eq(tm_table_find(&table, 24), TM_TABLE_NONE);
    for (uint64_t key = 0; key < 23; key++) {
        cr_assert_eq(tm_table_find(&table, key), key);
    }
    tm_table_done(&table);
    tm_heap_free_all(heap);
}
