#include <criterion/criterion.h>
#include <stdio.h>

#include "tidemark/core/pack.h"

static tm_pattern login = {{"login", 5}, false}, all = {{"", 0}, true}, reports = {{"report_", 7}, true};

static void make_pack(tm_pack *pack, tm_metric metrics[3])
{
    metrics[0] = (tm_metric){.patterns = &login, .pattern_count = 1};
    metrics[1] = (tm_metric){.patterns = &all, .pattern_count = 1};
    metrics[2] = (tm_metric){.patterns = &reports, .pattern_count = 1};
    *pack = (tm_pack){.metrics = metrics, .metric_count = 3};
}

Test(selector, finds_the_metrics_of_a_name_again_and_again)
{
    tm_heap *heap = tm_heap_new(0);
    tm_metric metrics[3];
    tm_pack pack;
    make_pack(&pack, metrics);
    tm_selector *selector = tm_selector_new(heap, &pack);
    for (int i = 0; i < 3; i++) {
        uint32_t count;
        const uint16_t *found = tm_selector_find(selector, TM_SLICE_LITERAL("login"), &count);
        cr_assert_eq(count, 2);
        cr_assert_eq(found[0], 0);
        cr_assert_eq(found[1], 1);
        found = tm_selector_find(selector, TM_SLICE_LITERAL("report_x"), &count);
        cr_assert_eq(count, 2);
        cr_assert_eq(found[0], 1);
        cr_assert_eq(found[1], 2);
        found = tm_selector_find(selector, TM_SLICE_LITERAL(""), &count);
        cr_assert_eq(count, 1);
        cr_assert_eq(found[0], 1);
    }
    tm_selector_free(selector);
    tm_selector_free(NULL);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(selector, forgets_when_there_are_too_many_names_and_stays_bounded)
{
    tm_heap *heap = tm_heap_new(0);
    tm_metric metrics[3];
    tm_pack pack;
    make_pack(&pack, metrics);
    tm_selector *selector = tm_selector_new(heap, &pack);
    size_t most = 0;
    for (int i = 0; i < 20000; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, i % 2 ? "report_%d" : "event_%d", i);
        uint32_t count;
        tm_selector_find(selector, (tm_slice){name, (size_t)length}, &count);
        cr_assert_eq(count, i % 2 ? 2 : 1);
        if (tm_heap_used(heap) > most)
            most = tm_heap_used(heap);
    }
    cr_assert_lt(most, 4096 * (32 + 32 + 16 + 64));
    tm_selector_free(selector);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(selector, answers_rightly_without_memory_to_remember)
{
    tm_metric metrics[3];
    tm_pack pack;
    make_pack(&pack, metrics);
    bool made = false;
    for (size_t limit = 16; limit < 4096; limit += 16) {
        tm_heap *heap = tm_heap_new(limit);
        tm_selector *selector = tm_selector_new(heap, &pack);
        for (int i = 0; selector && i < 40; i++) {
            char name[32];
            int length = snprintf(name, sizeof name, "event_%d", i);
            uint32_t count;
            cr_assert_eq(tm_selector_find(selector, (tm_slice){name, (size_t)length}, &count)[0], 1);
            cr_assert_eq(count, 1);
            made = true;
        }
        tm_selector_free(selector);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_heap_free_all(heap);
    }
    cr_assert(made);
}

Test(selector, a_pack_without_metrics_selects_nothing)
{
    tm_heap *heap = tm_heap_new(0);
    tm_pack pack = {0};
    tm_selector *selector = tm_selector_new(heap, &pack);
    uint32_t count = 7;
    tm_selector_find(selector, TM_SLICE_LITERAL("x"), &count);
    tm_selector_find(selector, TM_SLICE_LITERAL("x"), &count);
    cr_assert_eq(count, 0);
    tm_selector_free(selector);
    tm_heap_free_all(heap);
}
