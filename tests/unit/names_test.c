#include "tidemark/insight/names.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static tm_slice text_of(int number, char text[static 16])
{
    int length = snprintf(text, 16, "account-%d", number);
    return (tm_slice){text, (size_t)length};
}

Test(names, numbers_run_from_zero_in_the_order_in_which_texts_are_met)
{
    tm_heap *heap = tm_heap_new(0);
    tm_names names;
    cr_assert_eq(tm_names_init(&names, heap), TM_OK);
    cr_assert_eq(names.count, 0);
    cr_assert_eq(tm_names_find(&names, TM_SLICE_LITERAL("b")), TM_NAMES_NONE);
    cr_assert_eq(tm_names_number(&names, TM_SLICE_LITERAL("b")), 0);
    cr_assert_eq(tm_names_number(&names, TM_SLICE_LITERAL("a")), 1);
    cr_assert_eq(tm_names_number(&names, TM_SLICE_LITERAL("b")), 0);
    cr_assert_eq(names.count, 2);
    cr_assert_eq(tm_names_find(&names, TM_SLICE_LITERAL("a")), 1);
    cr_assert_eq(tm_names_find(&names, TM_SLICE_LITERAL("c")), TM_NAMES_NONE, "looking makes no name");
    cr_assert_eq(names.count, 2);
    tm_heap_free_all(heap);
}

Test(names, an_absent_text_and_an_empty_one_are_two)
{
    tm_heap *heap = tm_heap_new(0);
    tm_names names;
    cr_assert_eq(tm_names_init(&names, heap), TM_OK);
    cr_assert_eq(tm_names_number(&names, TM_SLICE_LITERAL("")), 0);
    cr_assert_eq(tm_names_find(&names, (tm_slice){0}), TM_NAMES_NONE);
    cr_assert_eq(tm_names_number(&names, (tm_slice){0}), 1);
    cr_assert_eq(tm_names_number(&names, TM_SLICE_LITERAL("")), 0);
    cr_assert_eq(tm_names_number(&names, (tm_slice){0}), 1);
    cr_assert_not_null(names.items[0].data);
    cr_assert_null(names.items[1].data);
    tm_heap_free_all(heap);
}

Test(names, texts_are_copied_and_found_byte_by_byte)
{
    tm_heap *heap = tm_heap_new(0);
    tm_names names;
    cr_assert_eq(tm_names_init(&names, heap), TM_OK);
    char buffer[4] = {'a', 0, 'b', 'c'};
    cr_assert_eq(tm_names_number(&names, (tm_slice){buffer, 3}), 0);
    cr_assert_eq(tm_names_number(&names, (tm_slice){buffer, 1}), 1, "a text is as long as it is, whatever follows");
    memset(buffer, 'x', sizeof buffer);
    cr_assert_eq(names.items[0].length, 3);
    cr_assert(memcmp(names.items[0].data, "a\0b", 3) == 0, "its own copy");
    cr_assert_eq(tm_names_find(&names, TM_SLICE_LITERAL("a")), 1);
    tm_heap_free_all(heap);
}

Test(names, thousands_keep_their_numbers)
{
    enum { MANY = 20000 };
    tm_heap *heap = tm_heap_new(0);
    tm_names names;
    cr_assert_eq(tm_names_init(&names, heap), TM_OK);
    char text[16];
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(tm_names_number(&names, text_of(i, text)), (uint32_t)i);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(tm_names_find(&names, text_of(i, text)), (uint32_t)i);
        cr_assert(tm_slice_equal_text(names.items[i], text));
    }
    cr_assert_eq(tm_names_find(&names, text_of(MANY, text)), TM_NAMES_NONE);
    tm_heap_free_all(heap);
}

Test(names, without_memory_no_number_and_no_harm)
{
    tm_heap *none = tm_heap_new(16);
    tm_names names;
    cr_assert_eq(tm_names_init(&names, none), TM_FATAL);
    tm_heap_free_all(none);

    tm_heap *heap = tm_heap_new(64 << 10);
    cr_assert_eq(tm_names_init(&names, heap), TM_OK);
    char text[16];
    int known = 0;
    while (tm_names_number(&names, text_of(known, text)) != TM_NAMES_NONE)
        known++;
    cr_assert_gt(known, 100);
    cr_assert_eq(names.count, (uint32_t)known);
    cr_assert_eq(tm_names_find(&names, text_of(known, text)), TM_NAMES_NONE, "what was refused is not there");
    for (int i = 0; i < known; i++) {
        cr_assert_eq(tm_names_find(&names, text_of(i, text)), (uint32_t)i);
        cr_assert_eq(tm_names_number(&names, text_of(i, text)), (uint32_t)i, "a known one needs no memory");
    }
    tm_heap_free_all(heap);
}
