#include "tidemark/core/duplicates.h"

#include <criterion/criterion.h>

static tm_heap *heap;
static tm_duplicates *d;

static void tear_down(void)
{
    tm_duplicates_free(d);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

static void begin(int64_t window, uint32_t most)
{
    heap = tm_heap_new(0);
    d = tm_duplicates_new(heap, window, most);
    cr_assert_not_null(d);
}

static tm_fingerprint print_of(uint64_t n)
{
    return (tm_fingerprint){n * UINT64_C(0x9e3779b97f4a7c15), n};
}

static bool add(uint64_t n, tm_time now)
{
    bool shed = false;
    cr_assert_eq(tm_duplicates_add(d, print_of(n), now, &shed), TM_OK);
    return shed;
}

Test(duplicates, the_window_is_open_at_its_old_end, .fini = tear_down)
{
    begin(1000, 100);
    add(1, 5000);
    cr_assert(tm_duplicates_seen(d, print_of(1), 5000));
    cr_assert(tm_duplicates_seen(d, print_of(1), 5999));
    cr_assert_not(tm_duplicates_seen(d, print_of(2), 5999));
    cr_assert_eq(tm_duplicates_oldest(d), 5000);
    cr_assert_not(tm_duplicates_seen(d, print_of(1), 6000), "accepted at T - window is too old");
    cr_assert_eq(tm_duplicates_count(d), 0);
    cr_assert_eq(tm_duplicates_oldest(d), TM_TIME_NEVER);
}

Test(duplicates, a_duplicate_does_not_extend, .fini = tear_down)
{
    begin(1000, 100);
    add(1, 0);
    add(1, 900);
    cr_assert_eq(tm_duplicates_count(d), 1);
    cr_assert(tm_duplicates_seen(d, print_of(1), 999));
    cr_assert_not(tm_duplicates_seen(d, print_of(1), 1000));
}

/* As a restore does: one accepted again after its window, the first still in the list. */
Test(duplicates, what_is_accepted_again_counts_from_then, .fini = tear_down)
{
    begin(1000, 100);
    add(1, 0);
    add(2, 900);
    add(1, 1500);
    cr_assert(tm_duplicates_seen(d, print_of(1), 1600));
    cr_assert(tm_duplicates_seen(d, print_of(1), 2499));
    cr_assert_not(tm_duplicates_seen(d, print_of(1), 2500));
}

Test(duplicates, the_oldest_is_shed_at_the_bound_and_told, .fini = tear_down)
{
    begin(1000000, 3);
    cr_assert_not(add(1, 10));
    cr_assert_not(add(2, 11));
    cr_assert_not(add(3, 12));
    cr_assert_not(add(3, 12), "one that is there needs no room");
    cr_assert(add(4, 13));
    cr_assert_eq(tm_duplicates_count(d), 3);
    cr_assert_not(tm_duplicates_seen(d, print_of(1), 14));
    for (uint64_t n = 2; n <= 4; n++)
        cr_assert(tm_duplicates_seen(d, print_of(n), 14));
}

/* Against a plain list, through growth, wrap-around and the shifting back of slots that share a home. */
Test(duplicates, like_a_list, .fini = tear_down)
{
    enum { MOST = 5000, KINDS = 6000 };
    static tm_time accepted[KINDS];
    uint64_t z = 7;
    begin(100000, MOST);
    for (int i = 0; i < KINDS; i++)
        accepted[i] = TM_TIME_NONE;
    tm_time now = 0;
    uint32_t most = 0;
    for (int i = 0; i < 60000; i++) {
        z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t n = (z >> 33) % KINDS;
        now += (z >> 20) % (i < 30000 ? 30 : 90);
        /* Few homes, so that runs are long. */
        tm_fingerprint print = {n % 64, n};
        bool expected = accepted[n] != TM_TIME_NONE && accepted[n] > now - 100000;
        cr_assert_eq(tm_duplicates_seen(d, print, now), expected, "at %d", i);
        if (!expected) {
            bool shed;
            cr_assert_eq(tm_duplicates_add(d, print, now, &shed), TM_OK);
            cr_assert_not(shed);
            accepted[n] = now;
        }
        most = tm_duplicates_count(d) > most ? tm_duplicates_count(d) : most;
    }
    cr_assert(most > 2048, "it grew: %u", most);
    tm_time before = 0;
    for (uint32_t i = 0; i < tm_duplicates_count(d); i++) {
        tm_fingerprint print;
        tm_time at;
        tm_duplicates_at(d, i, &print, &at);
        cr_assert(at >= before && accepted[print.high] == at);
        before = at;
    }
}

Test(duplicates, without_memory)
{
    heap = tm_heap_new(1);
    cr_assert_null(tm_duplicates_new(heap, 1000, 100));
    tm_heap_free_all(heap);
    heap = tm_heap_new(100000);
    d = tm_duplicates_new(heap, 1000, 1000000);
    cr_assert_not_null(d);
    tm_status status = TM_OK;
    uint64_t n = 0;
    bool shed;
    while (status == TM_OK)
        status = tm_duplicates_add(d, print_of(++n), 1, &shed);
    cr_assert_eq(status, TM_FATAL);
    for (uint64_t i = 1; i < n; i++)
        cr_assert(tm_duplicates_seen(d, print_of(i), 2), "what was there stays");
    tm_heap_free_all(heap);
}

Test(duplicates, none_is_as_few_as_one, .fini = tear_down)
{
    begin(1000, 0);
    add(1, 5000);
    cr_assert(tm_duplicates_seen(d, print_of(1), 5000));
    cr_assert(add(2, 5001), "the first had to go");
    cr_assert_not(tm_duplicates_seen(d, print_of(1), 5001));
    tm_duplicates_change(d, 1000, 0, 5002);
    cr_assert(tm_duplicates_seen(d, print_of(2), 5002));
    tm_duplicates_free(NULL);
}
