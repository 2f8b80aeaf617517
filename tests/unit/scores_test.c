/* What is kept of a score day by day, and of who gave it: a track by itself, without rules and judgements. */
#include "tidemark/core/scores.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_heap *heap;
static tm_tracks tracks;
static tm_track *track;

static void set_up(void)
{
    heap = tm_heap_new(0);
    tracks = (tm_tracks){0};
    track = tm_tracks_make(&tracks, heap, 1);
    cr_assert_not_null(track);
    track->reach = 5;
}

static void tear_down(void)
{
    tm_tracks_free(&tracks, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

TestSuite(scores, .init = set_up, .fini = tear_down);

static bool put(int32_t day, int16_t tenths)
{
    bool changed = false;
    cr_assert_eq(tm_track_put(track, heap, day, tenths, &changed), TM_OK);
    return changed;
}

static bool tenure(uint64_t card, int32_t day)
{
    bool changed = false;
    const tm_tenure next = {.card = card, .day = day};
    cr_assert_eq(tm_track_tenure(track, heap, &next, &changed), TM_OK);
    return changed;
}

static tm_value value(tm_op op, int32_t days, int32_t today, bool *ret_moves)
{
    const tm_node node = {.op = (uint8_t)op, .window = {.length = days}};
    return tm_track_value(track, &node, today, ret_moves);
}

Test(scores, one_a_score)
{
    cr_assert_eq(tm_tracks_make(&tracks, heap, 1), track);
    size_t one = tm_tracks_memory(&tracks);
    cr_assert_not_null(tm_tracks_make(&tracks, heap, 2));
    cr_assert_eq(tm_tracks_find(&tracks, 2)->score, 2);
    cr_assert_null(tm_tracks_find(&tracks, 3));
    cr_assert_gt(tm_tracks_memory(&tracks), one);
}

Test(scores, nothing_is_comparable_before_it_is_known_who_gave_it)
{
    bool moves;
    cr_assert_eq(tm_track_since(track), INT32_MAX);
    cr_assert(tm_value_is_null(value(TM_OP_SCORE_AGO, 1, 10, &moves)));
    cr_assert_not(moves, "nothing will be tomorrow either");
    cr_assert(put(10, 500));
    cr_assert_eq(tm_track_since(track), INT32_MAX);
    cr_assert(tenure(7, 9));
    cr_assert_eq(tm_track_since(track), 10);
    cr_assert(tm_value_is_null(value(TM_OP_SCORE_AGO, 1, 10, &moves)));
    cr_assert(moves, "tomorrow there is a yesterday");
}

Test(scores, least_greatest_and_mean_of_days)
{
    bool moves;
    cr_assert(tenure(7, 1));
    cr_assert(put(1, 300));
    cr_assert(put(2, TM_SCORE_NULL));
    cr_assert(tm_value_is_null(value(TM_OP_SCORE_MEAN, 1, 2, &moves)), "the only day is null");
    cr_assert(put(3, 500));
    cr_assert_not(put(4, 500));
    cr_assert_eq(value(TM_OP_SCORE_LEAST, 4, 4, &moves).as.number, 30);
    cr_assert_eq(value(TM_OP_SCORE_GREATEST, 4, 4, &moves).as.number, 50);
    cr_assert_float_eq(value(TM_OP_SCORE_MEAN, 4, 4, &moves).as.number, 130.0 / 3, 1e-9);
    /* A day that is over counts as it ended: 200, and back to what the day before had. */
    cr_assert(put(5, 200));
    cr_assert(put(5, 500));
    cr_assert_eq(track->run_count, 3);
    cr_assert(put(6, 100));
    cr_assert_eq(value(TM_OP_SCORE_AGO, 1, 6, &moves).as.number, 50);
    cr_assert_eq(value(TM_OP_SCORE_MEAN, 2, 5, &moves).as.number, 50, "what came later is not of those days");
}

Test(scores, days_beyond_the_reach_go)
{
    cr_assert(tenure(7, 1));
    cr_assert(put(1, 100));
    cr_assert(tenure(8, 3));
    cr_assert(put(3, 200));
    cr_assert(put(6, 300));
    cr_assert_eq(track->run_count, 3, "the oldest is just kept");
    cr_assert(put(8, 400));
    cr_assert_eq(track->origin, 3);
    cr_assert_eq(track->run_count, 3);
    cr_assert_eq(track->tenure_count, 1);
    cr_assert(put(7, 450), "never before the last");
    cr_assert_eq(track->run_count, 3);
    cr_assert_eq(track->runs[2].tenths, 450);
}

Test(scores, who_gave_it_is_remembered_by_days)
{
    cr_assert(tenure(1, 5));
    cr_assert_not(tenure(1, 6));
    cr_assert(tenure(2, 6));
    cr_assert(tenure(3, 6), "of a day the last counts");
    cr_assert_eq(track->tenure_count, 2);
    cr_assert(tenure(1, 6), "back to what was: one again, comparable from today on");
    cr_assert_eq(track->tenure_count, 1);
    cr_assert_eq(track->tenures[0].day, 6);
    cr_assert(tenure(4, 2), "a day before the last is the last");
    cr_assert_eq(track->tenures[track->tenure_count - 1].day, 6);
    for (int32_t day = 7; day < 7 + TM_TENURES_MAX + 3; day++)
        cr_assert(tenure(10 + (uint64_t)day, day));
    cr_assert_eq(track->tenure_count, TM_TENURES_MAX, "the oldest go");
    track->reach = 0;
    uint32_t before = track->tenure_count;
    cr_assert(tenure(99, 100));
    cr_assert_eq(track->tenure_count, before, "where no days are kept, the last gives way");
}

/* Whatever the memory is enough for. */
Test(scores, memory_at_its_end_is_said)
{
    int refused = 0;
    bool all = false;
    for (size_t limit = 16; !all; limit += 16) {
        cr_assert_lt(limit, 1 << 16);
        tm_heap *small = tm_heap_new(limit);
        tm_tracks some = {0};
        tm_track *one = tm_tracks_make(&some, small, 1);
        all = one != NULL;
        for (int32_t day = 1; all && day < 20; day++) {
            bool changed;
            const tm_tenure next = {.card = (uint64_t)day, .day = day};
            one->reach = 100;
            all = tm_track_tenure(one, small, &next, &changed) == TM_OK &&
                  tm_track_put(one, small, day, (int16_t)day, &changed) == TM_OK;
        }
        refused += !all;
        tm_tracks_free(&some, small);
        cr_assert_eq(tm_heap_used(small), 0);
        tm_heap_free_all(small);
    }
    cr_assert_gt(refused, 3);
}
