#include "tidemark/insight/plays.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t WEEK = 7 * TM_DAY;
static const tm_time BEGIN = 20000 * TM_DAY;

static const tm_plays_settings four_weeks = {.within = 28 * TM_DAY, .weeks = 4};

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

static tm_plays *empty(void)
{
    tm_plays *p = tm_plays_new(&four_weeks);
    cr_assert_not_null(p);
    cr_assert_eq(tm_plays_number(p, TM_SLICE_LITERAL("call")), 0);
    return p;
}

static tm_play_figures figures_of(const tm_plays *p, uint32_t play)
{
    tm_play_figures figures;
    cr_assert_eq(tm_plays_figures_of(p, play, &figures), TM_OK);
    return figures;
}

static void stand(tm_plays *p, uint32_t account, int week, double score, double use, uint64_t alike)
{
    cr_assert_eq(tm_plays_week(p, account, BEGIN + week * WEEK, score, use, alike), TM_OK);
}

static void start(tm_plays *p, uint32_t account, uint32_t play, tm_time t)
{
    cr_assert_eq(tm_plays_started(p, account, play, t), TM_OK);
}

static void churn(tm_plays *p, uint32_t account, tm_time t)
{
    cr_assert_eq(tm_plays_churned(p, account, t), TM_OK);
}

Test(plays, names_have_numbers_from_zero)
{
    tm_plays *p = empty();
    char name[] = "onboarding";
    cr_assert_eq(tm_plays_number(p, tm_slice_of(name)), 1);
    name[0] = 'x';
    cr_assert_eq(tm_plays_number(p, TM_SLICE_LITERAL("onboarding")), 1, "a copy of its own");
    cr_assert_eq(tm_plays_number(p, TM_SLICE_LITERAL("onboard")), 2);
    cr_assert_eq(tm_plays_number(p, TM_SLICE_LITERAL("")), 3);
    cr_assert_eq(tm_plays_number(p, TM_SLICE_LITERAL("call")), 0);
    cr_assert_eq(tm_plays_count(p), 4);
    cr_assert(tm_slice_equal_text(tm_plays_name(p, 1), "onboarding"));
    cr_assert(tm_slice_equal_text(tm_plays_name(p, 3), ""));
    for (uint32_t i = 4; i < 500; i++) {
        char many[16];
        cr_assert_eq(tm_plays_number(p, (tm_slice){many, (size_t)snprintf(many, sizeof many, "p%u", i)}), i);
    }
    cr_assert(tm_slice_equal_text(tm_plays_name(p, 250), "p250"));
    tm_plays_free(p);
    tm_plays_free(NULL);
}

Test(plays, without_anything_to_compare_figures_are_nan)
{
    tm_plays *p = empty();
    start(p, 3, 0, BEGIN);
    start(p, 3, 0, BEGIN + 1);
    tm_plays_done(p, 0);
    cr_assert_eq(tm_plays_judge(p, BEGIN + 100 * TM_DAY), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.started, 2);
    cr_assert_eq(f.done, 1);
    cr_assert_eq(f.with, 0);
    cr_assert_eq(f.without, 0);
    cr_assert(isnan(f.went_on) && isnan(f.went_on_else));
    cr_assert(isnan(f.difference.value) && isnan(f.difference.low) && isnan(f.difference.high));
    cr_assert(isnan(f.use.value) && isnan(f.use.low) && isnan(f.use.high));
    cr_assert_eq(f.difference.of + f.use.of, 0);
    tm_plays_free(p);
}

/* One stratum: 3 of 4 with the play went on, 4 of the 6 others.
   W = 24/10; difference 3/4 - 4/6 = 1/12;
   P = (16·4 - 36·3 + 24·(6-4)/2) / 100 = -0.2; Q = (3·2 + 4·1) / 20 = 0.5; variance (-0.2/12 + 0.5) / 2.4². */
Test(plays, a_difference_of_risks_worked_by_hand)
{
    tm_plays *p = empty();
    for (uint32_t a = 0; a < 10; a++)
        stand(p, a, 0, 50, NAN, 1);
    for (uint32_t a = 0; a < 4; a++)
        start(p, a, 0, BEGIN + a * TM_DAY);
    churn(p, 0, BEGIN + 10 * TM_DAY);
    churn(p, 4, BEGIN + 28 * TM_DAY); /* to the day: it did not go on for that long */
    churn(p, 5, BEGIN + 20 * TM_DAY);
    churn(p, 5, BEGIN + 60 * TM_DAY); /* the first counts */
    cr_assert_eq(tm_plays_judge(p, BEGIN + 28 * TM_DAY), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.started, 4);
    cr_assert_eq(f.with, 4);
    cr_assert_eq(f.without, 6);
    cr_assert(near(f.went_on, 0.75));
    cr_assert(near(f.went_on_else, 4.0 / 6));
    cr_assert(near(f.difference.value, 1.0 / 12));
    double half = TM_NORMAL_975 * sqrt((-0.2 / 12 + 0.5) / (2.4 * 2.4));
    cr_assert(near(f.difference.low, 1.0 / 12 - half), "%.9f", f.difference.low);
    cr_assert(near(f.difference.high, 1.0 / 12 + half));
    cr_assert_eq(f.difference.of, 4);
    tm_plays_free(p);
}

Test(plays, who_counts_as_with_and_who_as_without)
{
    tm_plays *p = empty();
    uint32_t other = tm_plays_number(p, TM_SLICE_LITERAL("mail"));
    for (uint32_t a = 0; a < 8; a++)
        stand(p, a, 10, 50, NAN, 1);
    tm_time week = BEGIN + 10 * WEEK;
    start(p, 0, 0, week);                   /* with: its first instant */
    start(p, 1, 0, week + WEEK - 1);        /* with: its last */
    start(p, 2, 0, week + WEEK);            /* without: later, which nobody knows */
    start(p, 3, 0, week - 28 * TM_DAY);     /* neither: within the time before */
    start(p, 4, 0, week - 28 * TM_DAY - 1); /* without */
    start(p, 5, other, week);               /* without: another play */
    start(p, 6, 0, week - TM_DAY);          /* with, whatever was before */
    start(p, 6, 0, week + TM_DAY);
    churn(p, 7, week); /* over when the week begins: not there */
    cr_assert_eq(tm_plays_judge(p, week + 28 * TM_DAY), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.started, 7);
    cr_assert_eq(f.with, 3);
    cr_assert_eq(f.without, 3);
    f = figures_of(p, other);
    cr_assert_eq(f.started, 1);
    cr_assert_eq(f.with, 1);
    cr_assert_eq(f.without, 6);
    tm_plays_free(p);
}

Test(plays, what_the_data_do_not_reach_is_not_known)
{
    tm_plays *p = empty();
    for (uint32_t a = 0; a < 4; a++)
        stand(p, a, 0, 50, NAN, 1);
    start(p, 0, 0, BEGIN);
    start(p, 1, 0, BEGIN);
    churn(p, 0, BEGIN + 10 * TM_DAY);
    churn(p, 2, BEGIN + 20 * TM_DAY);
    churn(p, 3, BEGIN + 28 * TM_DAY); /* after the end of what was seen: not known to anybody */
    cr_assert_eq(tm_plays_judge(p, BEGIN + 28 * TM_DAY - 1), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.with, 1, "only losses are known by then");
    cr_assert_eq(f.without, 1);
    cr_assert_eq(f.went_on, 0);
    cr_assert_eq(f.went_on_else, 0);
    tm_plays_free(p);
}

Test(plays, only_those_of_the_same_week_kind_and_tenth_are_alike)
{
    /* Twenty accounts with scores 0 … 19: two a tenth. The play goes to one of the lowest tenth, all in one stage. */
    tm_plays *p = empty();
    for (uint32_t a = 0; a < 20; a++)
        stand(p, a, 0, a, NAN, 1);
    for (uint32_t a = 0; a < 20; a++)
        stand(p, a, 1, a, NAN, a); /* nobody is like another */
    for (uint32_t a = 0; a < 20; a++)
        stand(p, a, 20, a < 19 ? 5 : NAN, NAN, 1); /* equal scores: one tenth; without one: apart */
    start(p, 1, 0, BEGIN);
    start(p, 2, 0, BEGIN + WEEK);
    start(p, 19, 0, BEGIN + 20 * WEEK);
    cr_assert_eq(tm_plays_judge(p, BEGIN + 100 * WEEK), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.with, 1);
    cr_assert_eq(f.without, 1);
    tm_plays_free(p);
}

Test(plays, accounts_that_are_over_take_no_place_among_the_tenths)
{
    /* Of twenty, the ten lowest are gone: the others fill the ten tenths, one each, so nobody has a like. */
    tm_plays *p = empty();
    for (uint32_t a = 0; a < 20; a++)
        stand(p, a, 0, a, NAN, 1);
    for (uint32_t a = 0; a < 10; a++)
        churn(p, a, BEGIN);
    start(p, 10, 0, BEGIN);
    cr_assert_eq(tm_plays_judge(p, BEGIN + 100 * WEEK), TM_OK);
    cr_assert_eq(figures_of(p, 0).with, 0);
    tm_plays_free(p);
}

/* With: use 3 → 7 and 0 → 1 (logs of (1 + later)/(1 + now): ln 2, ln 2); without: 1 → 1 and 1 → 3 (0, ln 2).
   Difference ln 2 - ln 2 / 2; squares within: 0 and ln²2 / 2, over 2 degrees of freedom; W = 1, shares 1/2 + 1/2. */
Test(plays, the_change_of_use_worked_by_hand)
{
    static const double now[] = {3, 0, 1, 1, NAN, 5, 2};
    static const double later[] = {7, 1, 1, 3, 8, NAN, 2};
    tm_plays *p = empty();
    for (uint32_t a = 0; a < 7; a++)
        stand(p, a, 0, 50, now[a], 1);
    for (uint32_t a = 0; a < 7; a++)
        stand(p, a, 3, 50, 1000, 1); /* other weeks do not count */
    for (uint32_t a = 0; a < 7; a++) /* the clocks were changed: an hour off */
        cr_assert_eq(tm_plays_week(p, a, BEGIN + 4 * WEEK - TM_HOUR, 50, a == 6 ? 1e6 : later[a], 1), TM_OK);
    start(p, 0, 0, BEGIN);
    start(p, 1, 0, BEGIN);
    start(p, 6, 0, BEGIN - TM_DAY); /* neither */
    cr_assert_eq(tm_plays_judge(p, BEGIN + 5 * WEEK), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    double half = TM_NORMAL_975 * log(2) / 2;
    cr_assert(near(f.use.value, sqrt(2)));
    cr_assert(near(f.use.low, exp(log(2) / 2 - half)), "%.9f", f.use.low);
    cr_assert(near(f.use.high, exp(log(2) / 2 + half)));
    cr_assert_eq(f.use.of, 2);
    tm_plays_free(p);
}

/* Its use is known after four weeks, whether it goes on only after a year. */
Test(plays, use_is_estimated_from_its_own_cases)
{
    tm_plays *p = tm_plays_new(&(tm_plays_settings){.within = 365 * TM_DAY, .weeks = 4});
    (void)tm_plays_number(p, TM_SLICE_LITERAL("call"));
    for (int week = 0; week <= 4; week += 4)
        for (uint32_t a = 0; a < 5; a++)
            stand(p, a, week, 50, week ? 3 : 1, 1);
    start(p, 0, 0, BEGIN);
    start(p, 1, 0, BEGIN);
    start(p, 2, 0, BEGIN);
    cr_assert_eq(tm_plays_judge(p, BEGIN + 5 * WEEK), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert_eq(f.with, 0);
    cr_assert(isnan(f.difference.value));
    cr_assert_eq(f.use.value, 1);
    cr_assert_eq(f.use.of, 3, "%lu", (unsigned long)f.use.of);
    tm_plays_free(p);
}

Test(plays, one_of_each_has_no_spread)
{
    tm_plays *p = empty();
    for (int week = 0; week <= 4; week += 4)
        for (uint32_t a = 0; a < 2; a++)
            stand(p, a, week, 50, week && !a ? 3 : 1, 1);
    start(p, 0, 0, BEGIN);
    cr_assert_eq(tm_plays_judge(p, BEGIN + 5 * WEEK), TM_OK);
    tm_play_figures f = figures_of(p, 0);
    cr_assert(near(f.use.value, 2));
    cr_assert(isnan(f.use.low) && isnan(f.use.high));
    tm_plays_free(p);
}

/* --- against a plainer reckoning --- */

enum { ACCOUNTS = 120, WEEKS = 14, STARTS = 200, PLAYS = 3 };

typedef struct world {
    double score[WEEKS][ACCOUNTS], use[WEEKS][ACCOUNTS];
    uint64_t alike[WEEKS][ACCOUNTS];
    tm_time over[ACCOUNTS], until;
    struct {
        uint32_t account, play;
        tm_time t;
    } starts[STARTS];
} world;

static uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33) % below;
}

static tm_time week_at(int week)
{
    return BEGIN + week * WEEK;
}

static int tenth_of(const world *w, int week, int account)
{
    if (isnan(w->score[week][account]))
        return 10;
    int lower = 0;
    int all = 0;
    for (int a = 0; a < ACCOUNTS; a++)
        if (!isnan(w->score[week][a]) && w->over[a] > week_at(week)) {
            all++;
            lower += w->score[week][a] < w->score[week][account];
        }
    return lower * 10 / all;
}

static int with_play(const world *w, int week, int account, uint32_t play)
{
    int word = 0;
    for (int i = 0; i < STARTS; i++) {
        if (w->starts[i].account != (uint32_t)account || w->starts[i].play != play)
            continue;
        tm_time since = w->starts[i].t - week_at(week);
        if (since >= 0 && since < WEEK)
            return 1;
        if (since < 0 && -since <= four_weeks.within)
            word = -1;
    }
    return word;
}

static int went_on(const world *w, int week, int account)
{
    if (w->over[account] <= w->until && w->over[account] - week_at(week) <= four_weeks.within)
        return 0;
    return w->until >= week_at(week) + four_weeks.within ? 1 : -1;
}

/* Mantel and Haenszel's difference: a sum over strata, each found by looking through all accounts. */
static void check_against(const world *w, const tm_plays *p, uint32_t play)
{
    double weights = 0;
    double difference = 0;
    double variance_p = 0;
    double variance_q = 0;
    uint64_t counted[2] = {0, 0};
    for (int week = 0; week < WEEKS; week++)
        for (uint64_t alike = 0; alike < 3; alike++)
            for (int tenth = 0; tenth <= 10; tenth++) {
                double n[2] = {0, 0};
                double y[2] = {0, 0};
                for (int a = 0; a < ACCOUNTS; a++) {
                    if (w->over[a] <= week_at(week) || w->alike[week][a] != alike || tenth_of(w, week, a) != tenth)
                        continue;
                    int with = with_play(w, week, a, play);
                    int on = went_on(w, week, a);
                    if (with < 0 || on < 0)
                        continue;
                    n[with]++;
                    y[with] += on;
                }
                double all = n[0] + n[1];
                if (n[0] == 0 || n[1] == 0)
                    continue;
                counted[0] += (uint64_t)n[0];
                counted[1] += (uint64_t)n[1];
                weights += n[1] * n[0] / all;
                difference += (y[1] * n[0] - y[0] * n[1]) / all;
                variance_p += n[1] / all * n[1] / all * y[0] - n[0] / all * n[0] / all * y[1] +
                              n[1] / all * n[0] / all * (n[0] - n[1]) / 2;
                variance_q += (y[1] * (n[0] - y[0]) + y[0] * (n[1] - y[1])) / all / 2;
            }
    cr_assert_gt(counted[1], 10);
    tm_play_figures f = figures_of(p, play);
    cr_assert_eq(f.with, counted[1]);
    cr_assert_eq(f.without, counted[0]);
    difference /= weights;
    double half = TM_NORMAL_975 * sqrt(difference * variance_p + variance_q) / weights;
    cr_assert(near(f.difference.value, difference), "%.9f, not %.9f", f.difference.value, difference);
    cr_assert(near(f.went_on - f.went_on_else, difference));
    cr_assert(near(f.difference.low, difference - half));
    cr_assert(near(f.difference.high, difference + half));
}

Test(plays, figures_agree_with_looking_through_everything)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t state = seed;
        world *w = calloc(1, sizeof *w);
        tm_plays *p = tm_plays_new(&four_weeks);
        w->until = BEGIN + (WEEKS - 1) * WEEK;
        for (uint32_t play = 0; play < PLAYS; play++) {
            char name = (char)('a' + play);
            cr_assert_eq(tm_plays_number(p, (tm_slice){&name, 1}), play);
        }
        for (uint32_t a = 0; a < ACCOUNTS; a++) {
            w->over[a] = random_below(&state, 2) ? TM_TIME_NEVER : BEGIN + random_below(&state, 120) * TM_DAY;
            if (w->over[a] != TM_TIME_NEVER)
                churn(p, a, w->over[a]);
        }
        for (int week = 0; week < WEEKS; week++)
            for (uint32_t a = 0; a < ACCOUNTS; a++) {
                w->score[week][a] = random_below(&state, 9) ? random_below(&state, 30) : NAN;
                w->alike[week][a] = random_below(&state, 3);
                stand(p, a, week, w->score[week][a], NAN, w->alike[week][a]);
            }
        for (int i = 0; i < STARTS; i++) {
            w->starts[i].account = random_below(&state, ACCOUNTS);
            w->starts[i].play = random_below(&state, PLAYS);
            w->starts[i].t = BEGIN + random_below(&state, WEEKS * 7 * 4) * (6 * TM_HOUR);
            start(p, w->starts[i].account, w->starts[i].play, w->starts[i].t);
        }
        cr_assert_eq(tm_plays_judge(p, w->until), TM_OK);
        for (uint32_t play = 0; play < PLAYS; play++)
            check_against(w, p, play);
        tm_plays_free(p);
        free(w);
    }
}
