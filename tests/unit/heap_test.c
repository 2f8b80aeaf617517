#include "tidemark/base/heap.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static bool all(const unsigned char *bytes, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

/* Every size to beyond the largest class: aligned, zeroed (again after reuse), not overlapping, counted within 1/8th.
 */
Test(heap, every_size_is_zeroed_aligned_and_counted)
{
    enum { SIZES = 5000 };
    static unsigned char *blocks[SIZES + 1];
    tm_heap *heap = tm_heap_new(0);
    cr_assert_eq(tm_heap_used(heap), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size <= SIZES; size++) {
            size_t before = tm_heap_used(heap);
            blocks[size] = tm_heap_take(heap, size);
            cr_assert_not_null(blocks[size]);
            cr_assert_eq((uintptr_t)blocks[size] % 16, 0);
            cr_assert(all(blocks[size], size, 0), "size %zu round %d", size, round);
            memset(blocks[size], (int)(size % 251) + 1, size);
            size_t charged = tm_heap_used(heap) - before;
            cr_assert_geq(charged, size);
            cr_assert_leq(charged, size + (size / 8 > 15 ? size / 8 : 15), "size %zu costs %zu", size, charged);
        }
        for (size_t size = 1; size <= SIZES; size++) {
            cr_assert(all(blocks[size], size, (unsigned char)(size % 251 + 1)), "size %zu was overwritten", size);
            tm_heap_give(heap, blocks[size], size);
        }
        cr_assert_eq(tm_heap_used(heap), 0);
    }
    tm_heap_free_all(heap);
}

Test(heap, given_blocks_are_used_again)
{
    tm_heap *heap = tm_heap_new(0);
    size_t reserved = 0;
    for (int round = 0; round < 1000; round++) {
        void *a = tm_heap_take(heap, 100);
        void *b = tm_heap_take(heap, 3000);
        void *c = tm_heap_take(heap, 100000);
        tm_heap_give(heap, b, 3000);
        tm_heap_give(heap, c, 100000);
        tm_heap_give(heap, a, 100);
        if (round == 0) {
            reserved = tm_heap_reserved(heap);
        }
        cr_assert_eq(tm_heap_reserved(heap), reserved);
    }
    cr_assert_gt(reserved, 0);
    tm_heap_free_all(heap);
}

Test(heap, limit_is_kept)
{
    tm_heap *heap = tm_heap_new(1000);
    void *a = tm_heap_take(heap, 496);
    cr_assert_not_null(a);
    void *b = tm_heap_take(heap, 480);
    cr_assert_not_null(b);
    cr_assert_null(tm_heap_take(heap, 64));
    cr_assert_null(tm_heap_take(heap, 8192));
    cr_assert_null(tm_heap_resize(heap, b, 480, 900));
    tm_heap_give(heap, a, 496);
    b = tm_heap_resize(heap, b, 480, 900); /* only the difference counts */
    cr_assert_not_null(b);
    cr_assert_eq(tm_heap_used(heap), 960);
    tm_heap_give(heap, b, 900);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(heap, refuses_nonsense)
{
    tm_heap *heap = tm_heap_new(0);
    cr_assert_null(tm_heap_take(heap, 0));
    cr_assert_null(tm_heap_take(heap, SIZE_MAX));
    cr_assert_null(tm_heap_take(heap, SIZE_MAX / 2 + 1));
    void *block = tm_heap_take(heap, 10);
    cr_assert_null(tm_heap_resize(heap, block, 10, SIZE_MAX));
    cr_assert_null(tm_heap_resize(heap, block, 10, 0));
    tm_heap_give(heap, block, 10);
    tm_heap_give(heap, NULL, 10);
    tm_heap_free_all(heap);
    tm_heap_free_all(NULL);
}

Test(heap, resize_keeps_the_start_and_clears_the_rest)
{
    static const size_t sizes[] = {1, 10, 16, 17, 100, 4000, 4096, 4097, 10000, 300000, 5000, 4100, 200, 8, 9, 7};
    tm_heap *heap = tm_heap_new(0);
    size_t size = 12;
    unsigned char *neighbour = tm_heap_take(heap, 6000);
    unsigned char *block = tm_heap_resize(heap, NULL, 0, size);
    unsigned char *other = tm_heap_take(heap, 6000);
    memset(block, 7, size);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t kept = size < sizes[i] ? size : sizes[i];
        block = tm_heap_resize(heap, block, size, sizes[i]);
        cr_assert_not_null(block);
        cr_assert(all(block, kept, 7), "to %zu", sizes[i]);
        cr_assert(all(block + kept, sizes[i] - kept, 0), "to %zu", sizes[i]);
        size = sizes[i];
        memset(block, 7, size);
    }
    tm_heap_give(heap, neighbour, 6000);
    tm_heap_give(heap, block, size);
    tm_heap_give(heap, other, 6000);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(heap, an_array_grows_by_its_items)
{
    tm_heap *heap = tm_heap_new(0);
    uint64_t *items = NULL;
    size_t room = 0;
    for (size_t count = 0; count < 10000; count++) {
        cr_assert(tm_heap_grow(heap, &items, count, &room, sizeof *items));
        cr_assert_gt(room, count);
        cr_assert(all((const unsigned char *)(items + count), (room - count) * sizeof *items, 0), "room is zeroed");
        items[count] = count * count + 1;
    }
    for (size_t i = 0; i < 10000; i++)
        cr_assert_eq(items[i], i * i + 1);
    uint64_t *before = items;
    size_t before_room = room;
    cr_assert(tm_heap_grow(heap, &items, 5, &room, sizeof *items));
    cr_assert(items == before && room == before_room, "where there is room nothing moves");
    tm_heap_give(heap, items, room * sizeof *items);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(heap, an_array_that_cannot_grow_is_as_it_was)
{
    typedef struct item {
        unsigned char bytes[24];
    } item;
    tm_heap *heap = tm_heap_new(20000);
    item *items = NULL;
    size_t room = 0;
    size_t count = 0;
    for (; tm_heap_grow(heap, &items, count, &room, sizeof *items); count++)
        memset(&items[count], (int)(count & 127) + 1, sizeof *items);
    cr_assert_gt(count, 60);
    cr_assert_eq(count, room);
    size_t used = tm_heap_used(heap);
    cr_assert_not(tm_heap_grow(heap, &items, count, &room, sizeof *items));
    cr_assert(tm_heap_used(heap) == used && room == count);
    for (size_t i = 0; i < count; i++)
        cr_assert(all(items[i].bytes, sizeof *items, (unsigned char)((i & 127) + 1)));
    tm_heap *none = tm_heap_new(16);
    item *nothing = NULL;
    size_t no_room = 0;
    cr_assert_not(tm_heap_grow(none, &nothing, 0, &no_room, sizeof *nothing));
    cr_assert(nothing == NULL && no_room == 0);
    tm_heap_free_all(none);
    tm_heap_free_all(heap);
}

/* Random takes, resizes and gives against plain bookkeeping. */
Test(heap, random_use)
{
    enum { BLOCKS = 300 };
    unsigned char *blocks[BLOCKS] = {NULL};
    size_t sizes[BLOCKS] = {0};
    uint32_t state = 1;
    tm_heap *heap = tm_heap_new(0);
    for (int round = 0; round < 50000; round++) {
        state = state * 1664525u + 1013904223u;
        size_t i = (state >> 8) % BLOCKS;
        size_t size = (state >> 16) % (round % 50 == 0 ? 20000 : 600) + 1;
        unsigned char mark = (unsigned char)(i % 255 + 1);
        cr_assert(blocks[i] == NULL || all(blocks[i], sizes[i], mark));
        if (blocks[i] == NULL) {
            blocks[i] = tm_heap_take(heap, size);
            cr_assert(all(blocks[i], size, 0));
        } else if (state & 0x80) {
            tm_heap_give(heap, blocks[i], sizes[i]);
            blocks[i] = NULL;
            continue;
        } else {
            blocks[i] = tm_heap_resize(heap, blocks[i], sizes[i], size);
        }
        sizes[i] = size;
        memset(blocks[i], mark, size);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        tm_heap_give(heap, blocks[i], sizes[i]);
    }
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

#if !defined(__SANITIZE_ADDRESS__) /* it speaks up about a malloc that fails */
Test(heap, the_machines_end_is_no_crash)
{
    tm_heap *heap = tm_heap_new(0);
    tm_arena *arena = tm_arena_new(0);
    char *block = tm_heap_take(heap, 5000);
    block[4999] = 'x';
    cr_assert_null(tm_heap_take(heap, SIZE_MAX / 4));
    cr_assert_null(tm_heap_resize(heap, block, 5000, SIZE_MAX / 4));
    cr_assert_eq(block[4999], 'x');
    cr_assert_null(tm_arena_take(arena, SIZE_MAX / 4));
    tm_arena_free_all(arena);
    tm_heap_free_all(heap);
}
#endif

#if defined(__SANITIZE_ADDRESS__)
Test(heap, address_sanitizer_sees_overruns_and_late_uses)
{
    tm_heap *heap = tm_heap_new(0);
    char *small = tm_heap_take(heap, 32);
    char *large = tm_heap_take(heap, 5001);
    cr_assert_not(__asan_address_is_poisoned(small + 31));
    cr_assert(__asan_address_is_poisoned(small + 32));
    cr_assert(__asan_address_is_poisoned(large + 5001));
    small = tm_heap_resize(heap, small, 32, 30);
    cr_assert(__asan_address_is_poisoned(small + 30));
    large = tm_heap_resize(heap, large, 5001, 6001);
    cr_assert_not(__asan_address_is_poisoned(large + 6000));
    cr_assert(__asan_address_is_poisoned(large + 6001));
    tm_heap_give(heap, small, 30);
    cr_assert(__asan_address_is_poisoned(small));
    tm_arena *arena = tm_arena_new(0);
    char *text = tm_arena_copy(arena, "abc", 3);
    cr_assert(__asan_address_is_poisoned(text + 4));
    tm_arena_reset(arena);
    cr_assert(__asan_address_is_poisoned(text));
    tm_arena_free_all(arena);
    tm_heap_free_all(heap);
}
#endif

Test(arena, gives_zeroed_aligned_memory_and_reuses_it)
{
    tm_arena *arena = tm_arena_new(0);
    void *firsts[3];
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 3000; size += 7) {
            unsigned char *block = tm_arena_take(arena, size);
            cr_assert_eq((uintptr_t)block % 16, 0);
            cr_assert(all(block, size, 0));
            memset(block, 0xAA, size);
            if (size == 1) {
                firsts[round] = block;
            }
        }
        unsigned char *big = tm_arena_take(arena, 3000000);
        cr_assert(all(big, 3000000, 0));
        memset(big, 1, 3000000);
        char *copy = tm_arena_copy(arena, "hello world", 5);
        cr_assert_str_eq(copy, "hello");
        cr_assert_str_eq(tm_arena_copy(arena, NULL, 0), "");
        tm_arena_reset(arena);
    }
    cr_assert_eq(firsts[0], firsts[1]);
    cr_assert_eq(firsts[0], firsts[2]);
    tm_arena_free_all(arena);
    tm_arena_free_all(NULL);
}

/* After a reset another order of sizes finds the chunks that are there, the big one included. */
Test(arena, finds_a_chunk_further_down)
{
    tm_arena *arena = tm_arena_new(0);
    (void)tm_arena_take(arena, 10000);
    (void)tm_arena_take(arena, 10000);
    char *big = tm_arena_take(arena, 500000);
    tm_arena_reset(arena);
    (void)tm_arena_take(arena, 10000);
    cr_assert_eq((char *)tm_arena_take(arena, 500000), big);
    cr_assert_not_null(tm_arena_take(arena, 10000));
    tm_arena_free_all(arena);
}

Test(arena, limit_is_kept)
{
    tm_arena *arena = tm_arena_new(64);
    cr_assert_null(tm_arena_take(arena, 0));
    cr_assert_null(tm_arena_take(arena, SIZE_MAX));
    cr_assert_null(tm_arena_copy(arena, "", SIZE_MAX));
    cr_assert_not_null(tm_arena_take(arena, 48));
    cr_assert_null(tm_arena_take(arena, 17));
    cr_assert_not_null(tm_arena_take(arena, 16));
    cr_assert_null(tm_arena_copy(arena, "x", 1));
    tm_arena_reset(arena);
    cr_assert_not_null(tm_arena_take(arena, 64));
    tm_arena_free_all(arena);
}

/* Takes all chunks apart, also those that a reset left poisoned. */
Test(arena, is_wiped_as_a_whole)
{
    tm_arena_wipe_all(NULL);
    tm_arena *arena = tm_arena_new(0);
    for (int i = 0; i < 100; i++) {
        (void)memset(tm_arena_take(arena, 5000), 'x', 5000);
    }
    tm_arena_reset(arena);
    (void)tm_arena_take(arena, 10);
    tm_arena_wipe_all(arena);
}
