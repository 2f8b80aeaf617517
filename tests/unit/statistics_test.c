#include "tidemark/base/statistics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

Test(statistics, nothing_estimates_nothing)
{
    tm_estimate none = tm_estimate_proportion(0, 0);
    cr_assert(isnan(none.value) && isnan(none.low) && isnan(none.high) && none.of == 0);
    none = tm_estimate_median(NULL, 0);
    cr_assert(isnan(none.value) && isnan(none.low) && isnan(none.high) && none.of == 0);
    cr_assert(isnan(tm_quantile(NULL, 0, 0.5)));
    tm_ranking ranking = tm_estimate_ranking(NULL, 0, 0, NULL);
    cr_assert(isnan(ranking.area.value) && isnan(ranking.lift.value) && ranking.came == 0 && ranking.resamples == 0);
}

/* The example of R's binom.confint(8, 10, method = "wilson"), and both ends. */
Test(statistics, proportions_are_wilsons)
{
    tm_estimate e = tm_estimate_proportion(8, 10);
    cr_assert(near(e.value, 0.8));
    cr_assert(fabs(e.low - 0.4901625) < 1e-6, "%.9f", e.low);
    cr_assert(fabs(e.high - 0.9433178) < 1e-6, "%.9f", e.high);
    e = tm_estimate_proportion(0, 5);
    cr_assert(e.value == 0 && e.low == 0 && e.high > 0.4 && e.high < 0.5);
    e = tm_estimate_proportion(5, 5);
    cr_assert(e.value == 1 && e.high == 1 && e.low > 0.5 && e.low < 0.6);
}

/* Ten events: by the exact Poisson limits 4.795 to 18.39, which Byar's come near; none at all: 0 to 3.7 or so. */
Test(statistics, rates_are_byars)
{
    tm_estimate e = tm_estimate_rate(10, 2);
    cr_assert(near(e.value, 5) && e.of == 10);
    cr_assert(fabs(2 * e.low - 4.795) < 0.02 && fabs(2 * e.high - 18.39) < 0.01, "%g %g", e.low, e.high);
    e = tm_estimate_rate(0, 1);
    cr_assert(e.value == 0 && e.low == 0 && fabs(e.high - 3.689) < 0.05, "%g", e.high);
    cr_assert(isnan(tm_estimate_rate(3, 0).value));
}

/* By hand: q1 = 7/9, q2 = 0.81667, so a standard error of 0.20771. */
Test(statistics, areas_are_hanleys_and_mcneils)
{
    tm_ranked cases[] = {{2, 0, 1}, {1, 1, 1}, {3, 2, 0}, {2, 3, 0}};
    tm_estimate e = tm_estimate_area(cases, 4);
    cr_assert(near(e.value, 3.5 / 4) && e.of == 4 && e.high == 1);
    cr_assert(fabs(e.low - 0.467901) < 1e-4, "%g", e.low);
    cr_assert(isnan(tm_estimate_area(cases, 2).value)); /* both came true */
    cr_assert(isnan(tm_estimate_area(NULL, 0).value));
}

Test(statistics, medians_and_what_they_lie_between)
{
    double five[] = {5, 1, 4, 2, 3};
    tm_estimate e = tm_estimate_median(five, 5);
    cr_assert(e.value == 3 && isnan(e.low) && isnan(e.high) && e.of == 5);
    double four[] = {4, 1, 3, 2};
    cr_assert(tm_estimate_median(four, 4).value == 2.5);
    double hundred[100];
    for (int i = 0; i < 100; i++)
        hundred[i] = 100 - i;
    e = tm_estimate_median(hundred, 100);
    /* The 40th and the 61st, as tables of order statistics have it. */
    cr_assert(e.value == 50.5 && e.low == 40 && e.high == 61, "%g %g", e.low, e.high);
    double six[] = {6, 5, 4, 3, 2, 1};
    e = tm_estimate_median(six, 6);
    cr_assert(e.low == 1 && e.high == 6);
    cr_assert(tm_quantile(six, 6, 0) == 1 && tm_quantile(six, 6, 0.5) == 3 && tm_quantile(six, 6, 1) == 6);
}

Test(statistics, ranking_of_a_few)
{
    uint32_t weights[4];
    /* 1 < 2 = 2 < 3: of the four pairs two are won, one is a tie, one is lost. */
    tm_ranked cases[] = {{2, 0, 1}, {1, 1, 1}, {3, 2, 0}, {2, 3, 0}};
    tm_ranking r = tm_estimate_ranking(cases, 4, 4, weights);
    cr_assert(near(r.area.value, 3.5 / 4), "%g", r.area.value);
    cr_assert(r.came == 2 && r.area.of == 4);
    /* The lowest tenth is a part of the lowest case, which came true: twice the rate of all. */
    cr_assert(near(r.lift.value, 2));
    cr_assert(r.area.low <= r.area.value && r.area.high >= r.area.value && r.resamples > 0);
    tm_ranked all_came[] = {{1, 0, 1}, {2, 1, 1}};
    r = tm_estimate_ranking(all_came, 2, 2, weights);
    cr_assert(isnan(r.area.value) && r.came == 2);
}

/* A hundred cases of one account are one account: the interval of the whole stays wide. */
Test(statistics, cases_of_one_cluster_are_not_independent)
{
    enum { CASES = 400, CLUSTERS = 8 };
    static tm_ranked cases[CASES], apart[CASES];
    static uint32_t weights[CASES];
    for (uint32_t i = 0; i < CASES; i++) {
        uint32_t cluster = i % CLUSTERS;
        double score = (double)(cluster * 5 % CLUSTERS * 10 + i % 7);
        cases[i] = (tm_ranked){score, cluster, cluster % 2};
        apart[i] = (tm_ranked){score, i, cluster % 2};
    }
    tm_ranking together = tm_estimate_ranking(cases, CASES, CLUSTERS, weights);
    tm_ranking alone = tm_estimate_ranking(apart, CASES, CASES, weights);
    cr_assert(near(together.area.value, alone.area.value));
    cr_assert_gt(together.area.high - together.area.low, alone.area.high - alone.area.low);
    tm_ranking again = tm_estimate_ranking(cases, CASES, CLUSTERS, weights);
    cr_assert(again.area.low == together.area.low && again.lift.high == together.lift.high);
}

Test(statistics, gains_are_differences_of_the_same_cases)
{
    enum { CASES = 400, CLUSTERS = 40 };
    tm_ranked before[CASES], after[CASES], both[2][CASES];
    uint32_t weights[CLUSTERS];
    for (uint32_t i = 0; i < CASES; i++) {
        uint32_t cluster = i % CLUSTERS;
        uint32_t came = cluster % 4 == 0;
        before[i] = (tm_ranked){(double)(i * 7 % 31), cluster, came};
        after[i] = (tm_ranked){(double)(i * 7 % 31) - 12.0 * came, cluster, came};
    }
    memcpy(both[0], before, sizeof before);
    memcpy(both[1], after, sizeof after);
    tm_gain gain = tm_estimate_gain(before, after, CASES, CLUSTERS, weights);
    for (int k = 0; k < 2; k++) {
        tm_estimate alone = tm_estimate_ranking(both[k], CASES, CLUSTERS, weights).area;
        tm_estimate found = k ? gain.after : gain.before;
        cr_assert(near(found.value, alone.value) && near(found.low, alone.low) && near(found.high, alone.high));
    }
    cr_assert(near(gain.gain.value, gain.after.value - gain.before.value));
    cr_assert(gain.gain.low > 0 && gain.gain.low < gain.gain.value && gain.gain.value < gain.gain.high);
    cr_assert_eq(gain.came, 100);
    gain = tm_estimate_gain(both[0], both[0], CASES, CLUSTERS, weights);
    cr_assert(gain.gain.value == 0 && gain.gain.low == 0 && gain.gain.high == 0, "a score against itself");
    cr_assert(isnan(tm_estimate_gain(NULL, NULL, 0, 0, NULL).gain.value));
}
