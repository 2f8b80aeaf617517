/* Where an account stands, step by step: its scores, its stage, and what late data overturn. The scores themselves are
   in scorecards_test.c, what is kept of them in scores_test.c. */
#include "support/feed.h"
#include "tidemark/core/judge.h"

static const char rules[] = "version: 1\n"
                            "stages:\n"
                            "  - {name: trial, enter: seats > 0}\n"
                            "  - {name: live, enter: mrr > 0, stay: 3d}\n"
                            "  - {name: great, enter: seats > 50}\n"
                            "scorecards:\n"
                            "  main: {seats: {value: seats, map: [[0, 0], [100, 100]], weight: 3},\n"
                            "         money: {value: mrr, map: [[0, 0], [100, 100]], weight: 1},\n"
                            "         size: {value: attributes.size, map: [[0, 0], [1, 100]], weight: 1}}\n"
                            "rules:\n"
                            "  - {name: fell, kind: churn_risk, when: 'health - health[7d ago] <= -15'}\n"
                            "  - {name: red, kind: churn_risk, when: \"band == 'red'\"}\n"
                            "  - {name: many, kind: expansion, when: seats >= 50, value: seats}\n";

static tm_pack *pack;
static tm_heap *heap;
static tm_account *account;
static tm_evaluator *evaluator;
static tm_moment now;
static tm_environment environment;

static void set_up(void)
{
    pack = feed_pack(rules);
    heap = tm_heap_new(0);
    account = tm_account_new(heap, pack, TM_SLICE_LITERAL("a"));
    evaluator = tm_evaluator_new(heap, &pack->program);
    environment = (tm_environment){.pack = pack, .now = &now};
    cr_assert(account && evaluator);
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
    tm_pack_free(pack);
}

TestSuite(standing, .init = set_up, .fini = tear_down);

/* Noon of a day, with so many seats and so much money (negative: none); the evaluator has begun. */
static void noon(int day, int seats, int mrr)
{
    static tm_facts_draft draft;
    tm_day_span span = {0};
    tm_facts_draft_init(&draft);
    draft.seats = seats < 0 ? TM_FIXED_NONE : seats * TM_FIXED_ONE;
    draft.mrr = mrr < 0 ? TM_FIXED_NONE : mrr * TM_FIXED_ONE;
    cr_assert_eq(tm_account_set_facts(account, heap, &draft), TM_OK);
    tm_moment_at(&now, tm_zone_utc(), FEED_START + day * TM_DAY + 12 * TM_HOUR, &span);
    tm_evaluator_begin(evaluator, &environment, account, NULL);
}

static uint64_t stirred;
static tm_time due;
static bool told;

static void step(uint64_t stage, bool changes)
{
    bool changed = !changes;
    stirred = 0;
    cr_assert_eq(tm_tracks_step(&account->tracks, heap, pack, stage, &now, evaluator, &stirred, &due, &told, &changed),
                 TM_OK);
    cr_assert_eq(changed, changes);
}

static const tm_track *health(void)
{
    return tm_tracks_find(&account->tracks, pack->health->identity);
}

/* Days 100 to 102: 50, 103 and 104: 60, 105: null, 106 on: 40. Today is day 110. */
Test(standing, days_asked_for)
{
    tm_tracks tracks = {0};
    tm_track *track = tm_tracks_make(&tracks, heap, 1);
    track->reach = 40;
    bool changed;
    static const struct {
        tm_op op;
        int32_t length;
        double value; /* negative: null */
        bool moves;
    } table[] = {
        {TM_OP_SCORE_AGO, 1, 40, false},
        {TM_OP_SCORE_AGO, 4, 40, false},
        {TM_OP_SCORE_AGO, 5, -1, true}, /* null then */
        {TM_OP_SCORE_AGO, 6, 60, true},
        {TM_OP_SCORE_AGO, 10, 50, true},
        {TM_OP_SCORE_AGO, 11, -1, true}, /* not known yet, and tomorrow it is */
        {TM_OP_SCORE_LEAST, 1, 40, false},
        {TM_OP_SCORE_LEAST, 5, 40, false},
        {TM_OP_SCORE_LEAST, 11, 40, true},
        {TM_OP_SCORE_GREATEST, 7, 60, true},
        {TM_OP_SCORE_GREATEST, 6, 40, true},
        {TM_OP_SCORE_GREATEST, 12, -1, true},
        {TM_OP_SCORE_MEAN, 11, (3 * 50 + 2 * 60 + 5 * 40) / 10.0, true},
        {TM_OP_SCORE_MEAN, 7, (60 + 5 * 40) / 6.0, true},
    };
    tm_node node = {.op = TM_OP_SCORE_AGO, .window = {TM_WINDOW_DAYS, 1, 0}};
    bool moves = true;
    cr_assert(tm_value_is_null(tm_track_value(track, &node, 110, &moves)));
    cr_assert_not(moves, "where nothing is known time alone changes nothing");
    tm_tenure tenure = {.card = 1, .version = 1, .day = 100};
    cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    static const int16_t scores[][2] = {{100, 500}, {103, 600}, {105, TM_SCORE_NULL}, {106, 400}};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(tm_track_put(track, heap, scores[i][0], scores[i][1], &changed), TM_OK);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        node.op = (uint8_t)table[i].op;
        node.window.length = table[i].length;
        tm_value value = tm_track_value(track, &node, 110, &moves);
        cr_assert_eq(tm_value_is_null(value), table[i].value < 0, "row %zu", i);
        if (table[i].value >= 0)
            cr_assert_float_eq(value.as.number, table[i].value, 1e-12, "row %zu: %f", i, value.as.number);
        cr_assert_eq(moves, table[i].moves, "row %zu", i);
    }
    tenure.version = 2; /* another version: what was before cannot be compared */
    tenure.day = 108;
    cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    node = (tm_node){.op = TM_OP_SCORE_AGO, .window = {TM_WINDOW_DAYS, 3, 0}};
    cr_assert(tm_value_is_null(tm_track_value(track, &node, 110, &moves)));
    node.window.length = 2;
    cr_assert_eq(tm_track_value(track, &node, 110, &moves).as.number, 40);
    tm_tracks_free(&tracks, heap);
}

Test(standing, a_step_keeps_the_day_and_stirs_who_looks_at_it)
{
    uint64_t fell = UINT64_C(1) << tm_pack_rule(pack, TM_SLICE_LITERAL("fell"));
    uint64_t red = UINT64_C(1) << tm_pack_rule(pack, TM_SLICE_LITERAL("red"));
    uint64_t many = UINT64_C(1) << tm_pack_rule(pack, TM_SLICE_LITERAL("many"));
    noon(0, 90, 90);
    step(1, true);
    cr_assert_not_null(health());
    cr_assert_eq(health()->band, TM_BAND_GREEN);
    cr_assert_eq(tm_track_since(health()), now.day);
    step(1, false);
    cr_assert_eq(stirred, 0);

    noon(1, 90, 90); /* another day, the same */
    step(1, false);
    cr_assert_eq(due, TM_TIME_NEVER);

    noon(2, 10, 10);
    step(1, true);
    cr_assert_eq(health()->band, TM_BAND_RED);
    cr_assert(stirred & fell && stirred & red && !(stirred & many));
    cr_assert_eq(due, now.next_midnight, "what it was today may be looked at from midnight on");
    cr_assert_eq(health()->runs[tm_track_at(health(), now.day)].tenths, 100);
    cr_assert_eq(health()->runs[tm_track_at(health(), now.day - 1)].tenths, 900);

    noon(3, 10, 10); /* another stage gives the score otherwise, as far as anybody knows */
    step(2, true);
    cr_assert_eq(tm_track_since(health()), now.day);

    noon(4, -1, -1); /* no answer: no score, and no band */
    step(2, true);
    cr_assert_eq(health()->band, TM_BAND_NONE);
    cr_assert_eq(health()->runs[tm_track_at(health(), now.day)].tenths, TM_SCORE_NULL);
}

Test(standing, without_memory_a_step_says_so)
{
    noon(0, 90, 90);
    tm_heap *none = tm_heap_new(1);
    bool changed;
    cr_assert_eq(tm_tracks_step(&account->tracks, none, pack, 1, &now, evaluator, &stirred, &due, &told, &changed),
                 TM_FATAL);
    tm_heap_free_all(none);
}

/* Seats weigh 3 and come to 40, money weighs 1 and comes to 90, size is not known: (3·40 + 90) / 4 = 52.5 by 4/5 of the
   weight. Seats cost 45, money 2.5. */
Test(standing, what_health_is_made_of)
{
    tm_health h;
    noon(0, 90, 90);
    tm_health_find(&h, &account->tracks, pack, &now, evaluator);
    cr_assert_null(h.card, "before the first step");
    step(1, true);
    noon(7, 40, 90);
    step(1, true);
    tm_health_find(&h, &account->tracks, pack, &now, evaluator);
    cr_assert(tm_slice_equal_text(h.card->name, "main"));
    cr_assert_eq(h.score.as.number, 52.5);
    cr_assert_float_eq(h.coverage, 0.8, 1e-12);
    cr_assert_eq(h.band, (tm_band)health()->band);
    cr_assert_eq(h.change_week.as.number, -37.5);
    cr_assert(tm_value_is_null(h.change_month));
    cr_assert_eq(h.factor_count, 3);
    static const struct {
        const char *name;
        double value, points, weight, contribution;
    } wanted[] = {{"seats", 40, 40, 75, 30}, {"money", 90, 90, 25, 22.5}};
    for (int i = 0; i < 2; i++) {
        const tm_health_factor *f = &h.factors[i];
        cr_assert(tm_slice_equal_text(f->factor->name, wanted[i].name));
        cr_assert_eq(f->value.as.number, wanted[i].value);
        cr_assert_eq(f->points.as.number, wanted[i].points);
        cr_assert_eq(f->weight, wanted[i].weight);
        cr_assert_eq(f->contribution, wanted[i].contribution);
    }
    cr_assert(tm_slice_equal_text(h.factors[2].factor->name, "size"));
    cr_assert(tm_value_is_null(h.factors[2].points));
    noon(28, -1, -1);
    step(1, true);
    tm_health_find(&h, &account->tracks, pack, &now, evaluator);
    cr_assert(tm_value_is_null(h.score) && tm_value_is_null(h.change_month));
    cr_assert_eq(h.coverage, 0);
}

/* --- stages --- */

static bool moved(tm_time *ret_due)
{
    bool changed;
    cr_assert_eq(tm_stage_step(&account->stages, heap, pack, now.t, evaluator, ret_due, &changed), TM_OK);
    return changed;
}

static void stands_in(const char *name)
{
    const tm_stage_change *present = tm_stage_present(&account->stages);
    cr_assert(present && tm_slice_equal_text(tm_stage_name(pack, present), name), "not in %s", name);
}

Test(standing, a_stage_is_the_last_of_the_file_that_lets_in)
{
    tm_time until;
    noon(0, -1, -1);
    cr_assert_not(moved(&until));
    cr_assert_null(tm_stage_present(&account->stages));
    cr_assert_eq(until, TM_TIME_NEVER);
    noon(1, 90, 5);
    cr_assert(moved(&until));
    stands_in("great");
    noon(2, 10, 5);
    cr_assert(moved(&until));
    stands_in("live");
    tm_time entered = now.t;
    cr_assert_eq(tm_stage_present(&account->stages)->at, entered);
    noon(3, 90, 5);
    cr_assert_not(moved(&until), "it stays three days");
    cr_assert_eq(until, entered + 3 * TM_DAY);
    noon(5, 90, 5);
    cr_assert(moved(&until), "to the instant");
    stands_in("great");
    cr_assert_eq(until, TM_TIME_NEVER);
    noon(6, 0, 0);
    cr_assert_not(moved(&until), "of nothing entered the present one remains");
    stands_in("great");
    cr_assert_eq(tm_stage_previous(&account->stages)->at, entered);
    tm_heap *none = tm_heap_new(1);
    tm_stage_path empty = {0};
    bool changed;
    noon(7, 10, 5);
    cr_assert_eq(tm_stage_step(&empty, none, pack, now.t, evaluator, &until, &changed), TM_FATAL);
    cr_assert_eq(empty.count, 0);
    tm_heap_free_all(none);
}

/* --- late data --- */

Test(standing, late_data_overturns_what_was_signalled_after_it)
{
    tm_judge judge = {.pack = pack, .heap = heap, .evaluator = evaluator};
    uint32_t many = tm_pack_rule(pack, TM_SLICE_LITERAL("many"));
    tm_time signalled = FEED_START + TM_DAY;
    cr_assert_not(tm_judge_concerned(account, 0), "nothing is open");
    tm_episode *episode = tm_account_episode_make(account, heap, pack->rules[many].identity);
    episode->state = TM_EPISODE_PENDING;
    episode->raised_at = episode->signalled_at = signalled;
    cr_assert_not(tm_judge_concerned(account, signalled - 1));
    episode->state = TM_EPISODE_RAISED;
    cr_assert(tm_judge_concerned(account, signalled - 1));
    cr_assert_not(tm_judge_concerned(account, signalled), "only what is dated before the signal");
    episode->state = TM_EPISODE_CLEARING;
    cr_assert(tm_judge_concerned(account, signalled - 1), "is open, too");
    episode->state = TM_EPISODE_RAISED;

    uint8_t before[TM_RULES_MAX], after[TM_RULES_MAX];
    noon(2, 60, 5);
    tm_judge_verdicts(&judge, &environment, account, signalled, before);
    for (uint32_t i = 0; i < pack->rule_count; i++)
        cr_assert_eq(before[i], 0, "not of what was signalled then or earlier");
    tm_judge_verdicts(&judge, &environment, account, signalled - 1, before);
    for (uint32_t i = 0; i < pack->rule_count; i++)
        cr_assert_eq((before[i] & TM_VERDICT_HOLDS) != 0, i == many);

    account->changed = false;
    account->stands_until = TM_TIME_NEVER;
    tm_judge_revise(&judge, &environment, account, signalled - 1, before);
    cr_assert(!account->changed && account->stands_until == TM_TIME_NEVER && !episode->marks, "nothing else came out");
    noon(2, 10, 5);
    tm_judge_verdicts(&judge, &environment, account, signalled - 1, after);
    cr_assert_not(after[many] & TM_VERDICT_HOLDS);
    tm_judge_revise(&judge, &environment, account, signalled - 1, before);
    cr_assert(account->changed);
    cr_assert_eq(account->stands_until, TM_TIME_NONE, "it is judged as a whole");
    cr_assert(episode->marks & TM_EPISODE_REVISED_RAISE);
}
