/* What is learned of populations whose relation is known. */
#include "tidemark/insight/tuning.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS = 260, WEEKS = 20, FACTORS = 3 };
static const tm_time START = INT64_C(1767225600000); /* 2026-01-01 */

static uint64_t state;

static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 11) * 0x1p-53;
}

/* An account's values stay; each week it may be lost. */
static double traits[ACCOUNTS][FACTORS];
static tm_tuning_account accounts[ACCOUNTS];
static char names[ACCOUNTS][16];
static tm_tuning_settings settings;
static const tm_tuning_factor factors[FACTORS] = {
    {false, 10, {{0, 10}, {0, 100}, 2}}, {false, 20, {{0, 10}, {0, 100}, 2}}, {false, 70, {{0, 10}, {0, 100}, 2}}};

static void populate(uint64_t seed, double first, double second)
{
    state = seed * 1000003 + 7;
    settings = (tm_tuning_settings){
        .horizon = 28 * TM_DAY, .tenure = 0, .cut = START + 15 * 7 * TM_DAY, .folds = 4, .only = UINT32_MAX};
    for (int a = 0; a < ACCOUNTS; a++) {
        snprintf(names[a], sizeof names[a], "a%d", (int)(uniform() * 1e6) * 1000 + a);
        accounts[a] = (tm_tuning_account){tm_slice_of(names[a]), START, TM_TIME_NEVER};
        for (int f = 0; f < FACTORS; f++)
            traits[a][f] = floor(10 * uniform());
        double logit = -3.2 - first * (traits[a][0] - 4.5) - second * (traits[a][1] - 4.5);
        for (int w = 1; w < WEEKS && accounts[a].lost == TM_TIME_NEVER; w++)
            if (uniform() < 1 / (1 + exp(-logit)))
                accounts[a].lost = START + w * 7 * TM_DAY - TM_DAY;
    }
}

static tm_tuning *collect(bool backwards)
{
    tm_tuning *tuning = tm_tuning_new();
    cr_assert_eq(tm_tuning_card(tuning, factors, FACTORS), 0);
    for (int w = 0; w < WEEKS; w++)
        for (int i = 0; i < ACCOUNTS; i++) {
            int a = backwards ? ACCOUNTS - 1 - i : i;
            double values[FACTORS];
            memcpy(values, traits[a], sizeof values);
            if ((a + w) % 10 == 0)
                values[1] = NAN; /* now and then no answer */
            cr_assert_eq(tm_tuning_case(tuning, (uint32_t)a, START + w * 7 * TM_DAY, 0, values), TM_OK);
        }
    return tuning;
}

static tm_tuned_card learned(tm_gain *ret_gain)
{
    tm_tuned_card card;
    tm_tuning *tuning = collect(false);
    cr_assert_eq(tm_tuning_learn(tuning, &settings, accounts, ACCOUNTS, &card), TM_OK);
    if (ret_gain)
        cr_assert_eq(
            tm_tuning_judge(tuning, &settings, accounts, ACCOUNTS, &card, START + WEEKS * 7 * TM_DAY, ret_gain), TM_OK);
    tm_tuning_free(tuning);
    return card;
}

static bool same(const tm_tuned_card *a, const tm_tuned_card *b)
{
    bool equal = a->verdict == b->verdict && a->cases == b->cases && a->lost == b->lost && a->penalty == b->penalty &&
                 a->coefficients == b->coefficients &&
                 memcmp(&a->validation, &b->validation, sizeof a->validation) == 0;
    for (int f = 0; f < FACTORS; f++) {
        const tm_tuned_factor *x = &a->factors[f];
        const tm_tuned_factor *y = &b->factors[f];
        equal = equal && x->lesson == y->lesson && x->weight == y->weight && x->map.points == y->map.points &&
                memcmp(x->map.x, y->map.x, x->map.points * sizeof(double)) == 0 &&
                memcmp(x->map.y, y->map.y, x->map.points * sizeof(double)) == 0 && x->low.value == y->low.value;
    }
    return equal;
}

static void is_well_formed(const tm_tuned_card *card)
{
    double sum = 0;
    for (int f = 0; f < FACTORS; f++) {
        const tm_tuning_map *map = &card->factors[f].map;
        int rises = 0, falls = 0;
        sum += card->factors[f].weight;
        cr_assert(card->factors[f].weight >= 1 && card->factors[f].weight == rint(card->factors[f].weight));
        cr_assert(map->points >= 2 && map->points <= 5);
        for (uint32_t i = 0; i < map->points; i++) {
            cr_assert(map->y[i] >= 0 && map->y[i] <= 100 && map->y[i] == rint(map->y[i]), "%g", map->y[i]);
            cr_assert(i == 0 || map->x[i] > map->x[i - 1]);
            rises += i && map->y[i] > map->y[i - 1];
            falls += i && map->y[i] < map->y[i - 1];
        }
        cr_assert(rises == 0 || falls == 0, "a map that goes up and down");
    }
    cr_assert_eq(sum, 100);
}

Test(tuning, finds_what_is_there)
{
    tm_gain gain;
    populate(1, 0.3, 0.15);
    tm_tuned_card card = learned(&gain);
    cr_assert_eq(card.verdict, TM_VERDICT_CHANGED);
    is_well_formed(&card);
    cr_assert(card.factors[0].weight > card.factors[1].weight && card.factors[1].weight > card.factors[2].weight,
              "%g %g %g", card.factors[0].weight, card.factors[1].weight, card.factors[2].weight);
    cr_assert(card.validation.gain.low > 0 && gain.gain.value > 0, "%g", gain.gain.value);
    /* As many stand below an edge as before. */
    tm_tuning *tuning = collect(false);
    double last = -1;
    for (double edge = 0; edge <= 100; edge += 20) {
        double moved = tm_tuning_edge(tuning, &settings, accounts, ACCOUNTS, 0, &card, edge);
        cr_assert(moved >= last && moved >= 0 && moved <= 100, "%g to %g", edge, moved);
        last = moved;
    }
    tm_tuning_free(tuning);
    cr_assert(card.factors[0].lesson == TM_LESSON_LEARNED && card.factors[0].low.value > card.factors[0].high.value);
}

Test(tuning, maps_are_monotone_and_weights_whole_whatever_comes)
{
    int changed = 0;
    for (uint64_t seed = 2; seed < 6; seed++) {
        populate(seed, (double)(seed % 5) * 0.15 - 0.3, (double)(seed % 3) * 0.2 - 0.2);
        tm_tuned_card card = learned(NULL);
        if (card.verdict == TM_VERDICT_CHANGED) {
            is_well_formed(&card);
            changed++;
        } else {
            for (int f = 0; f < FACTORS; f++)
                cr_assert(card.factors[f].weight == factors[f].weight && card.factors[f].map.y[1] == 100, "kept");
        }
    }
    cr_assert_geq(changed, 1);
}

Test(tuning, turns_round_only_when_it_may)
{
    populate(3, -0.3, 0);
    tm_tuned_card card = learned(NULL);
    cr_assert_eq(card.verdict, TM_VERDICT_CHANGED);
    cr_assert_eq(card.factors[0].lesson, TM_LESSON_TURNED);
    cr_assert(card.factors[0].map.y[0] > card.factors[0].map.y[card.factors[0].map.points - 1]);
    settings.keep_directions = true;
    card = learned(NULL);
    for (int f = 0; f < FACTORS; f++)
        cr_assert_neq(card.factors[f].lesson, TM_LESSON_TURNED);
}

Test(tuning, sees_nothing_after_the_cut)
{
    populate(4, 0.3, 0.1);
    tm_tuned_card before = learned(NULL);
    cr_assert_eq(before.verdict, TM_VERDICT_CHANGED);
    for (int a = 0; a < ACCOUNTS; a++)
        if (accounts[a].lost > settings.cut)
            accounts[a].lost = a % 2 ? settings.cut + 1 : TM_TIME_NEVER;
    tm_tuned_card after = learned(NULL);
    cr_assert(same(&before, &after));
    for (int a = 0; a < ACCOUNTS; a++)
        if (accounts[a].lost == settings.cut + 1 && a % 4 == 1)
            accounts[a].lost = settings.cut; /* known then: this one it sees */
    after = learned(NULL);
    cr_assert(!same(&before, &after));
}

Test(tuning, order_does_not_matter)
{
    populate(5, 0.3, 0.1);
    tm_tuned_card forwards, backwards;
    tm_tuning *tuning = collect(false);
    cr_assert_eq(tm_tuning_learn(tuning, &settings, accounts, ACCOUNTS, &forwards), TM_OK);
    tm_tuning_free(tuning);
    tuning = collect(true);
    cr_assert_eq(tm_tuning_learn(tuning, &settings, accounts, ACCOUNTS, &backwards), TM_OK);
    tm_tuning_free(tuning);
    cr_assert(same(&forwards, &backwards));
    /* Nor does what number an account has. */
    tm_tuning_account turned[ACCOUNTS];
    tuning = tm_tuning_new();
    (void)tm_tuning_card(tuning, factors, FACTORS);
    for (int a = 0; a < ACCOUNTS; a++)
        turned[ACCOUNTS - 1 - a] = accounts[a];
    for (int w = 0; w < WEEKS; w++)
        for (int a = 0; a < ACCOUNTS; a++) {
            double values[FACTORS];
            memcpy(values, traits[a], sizeof values);
            if ((a + w) % 10 == 0)
                values[1] = NAN;
            cr_assert_eq(tm_tuning_case(tuning, (uint32_t)(ACCOUNTS - 1 - a), START + w * 7 * TM_DAY, 0, values),
                         TM_OK);
        }
    cr_assert_eq(tm_tuning_learn(tuning, &settings, turned, ACCOUNTS, &backwards), TM_OK);
    cr_assert(same(&forwards, &backwards));
    tm_tuning_free(tuning);
}

Test(tuning, says_when_there_is_too_little)
{
    populate(6, 0.3, 0.1);
    int left = 0;
    for (int a = 0; a < ACCOUNTS; a++)
        if (accounts[a].lost <= settings.cut && left++ >= TM_TUNING_LOST_MIN - 1)
            accounts[a].lost = TM_TIME_NEVER;
    tm_tuned_card card = learned(NULL);
    cr_assert_eq(card.verdict, TM_VERDICT_TOO_FEW);
    cr_assert(card.lost == TM_TUNING_LOST_MIN - 1 && card.needed == TM_TUNING_LOST_MIN &&
              isnan(card.validation.gain.value));
    for (int a = 0; a < ACCOUNTS; a++)
        accounts[a].lost = TM_TIME_NEVER;
    cr_assert_eq(learned(NULL).verdict, TM_VERDICT_TOO_FEW);
    populate(6, 0.3, 0.1);
    for (int a = 0; a < ACCOUNTS; a++)
        for (int f = 0; f < FACTORS; f++)
            traits[a][f] = f == 1 ? NAN : 3;
    cr_assert_eq(learned(NULL).verdict, TM_VERDICT_SAME);
    settings.only = 1;
    cr_assert_eq(learned(NULL).verdict, TM_VERDICT_NOT_ASKED);
}

Test(tuning, claims_nothing_of_chance)
{
    int claimed = 0;
    for (uint64_t seed = 30; seed < 35; seed++) {
        populate(seed, 0, 0);
        claimed += learned(NULL).verdict == TM_VERDICT_CHANGED;
    }
    cr_assert_leq(claimed, 1, "%d of 5", claimed);
}

Test(tuning, points_lie_on_the_map)
{
    tm_tuning_map map = {{0, 1, 3}, {0, 50, 100}, 3};
    cr_assert(tm_tuning_points(&map, -1) == 0 && tm_tuning_points(&map, 0.5) == 25 && tm_tuning_points(&map, 1) == 50 &&
              tm_tuning_points(&map, 2) == 75 && tm_tuning_points(&map, 9) == 100 &&
              isnan(tm_tuning_points(&map, NAN)));
}
