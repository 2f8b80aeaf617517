/* Baselines on cases computed by hand (the constants with Python's statistics module); random ones against the model
   are in property/test_replay_model.py. */
#include "tidemark/core/baseline.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static tm_heap *heap;
static tm_metric metric;
static tm_series *series;
static tm_moment now;
static int32_t counting;
static tm_derived kept;

static void move_to(tm_time t)
{
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), t, &span);
}

static void setup(void)
{
    heap = tm_heap_new(1 << 20);
    metric = (tm_metric){.kind = TM_METRIC_COUNT, .reach_days = 400};
    series = NULL;
    counting = INT32_MIN;
    kept = (tm_derived){0};
    move_to(INT64_C(1710072000000)); /* noon of 2024-03-10, a Sunday */
}

static void teardown(void)
{
    tm_heap_free_all(heap);
}

TestSuite(baseline, .init = setup, .fini = teardown);

/* `count` events, or one of that value, so many days ago. */
static void put(int ago, int count)
{
    tm_time at = now.t - ago * TM_DAY;
    tm_sample sample = {
        .at = at, .hour = tm_hour_of(at), .day = now.day - ago, .value = (tm_fixed)count * TM_FIXED_ONE};
    tm_counted counted;
    int times = metric.kind == TM_METRIC_COUNT ? count : 1;
    for (int i = 0; i < times; i++) {
        sample.member = (uint64_t)i + 1;
        cr_assert_eq(tm_series_apply(&series, heap, &metric, &now, &sample, &counted, NULL), TM_OK);
    }
}

static void put_each(int from, int to, int count)
{
    for (int ago = from; ago >= to; ago--)
        put(ago, count);
}

static tm_node windowed(tm_op op, int length, int offset, int periods)
{
    return (tm_node){.op = (uint8_t)op, .window = {TM_WINDOW_DAYS, length, offset}, .periods = (uint16_t)periods};
}

static tm_node plain(tm_op op, int periods, double parameter)
{
    return (tm_node){
        .op = (uint8_t)op, .window = {TM_WINDOW_DAYS, 1, 0}, .periods = (uint16_t)periods, .parameter = parameter};
}

static tm_value value_of(tm_node node)
{
    bool still;
    tm_value value = tm_baseline_value(&node, &metric, series, &now, counting, NULL, &still);
    tm_value again = tm_baseline_value(&node, &metric, series, &now, counting, NULL, NULL);
    cr_assert(tm_value_same(value, again));
    return value;
}

static void expect(tm_node node, double expected)
{
    tm_value value = value_of(node);
    cr_assert_eq(value.type, TM_TYPE_NUMBER, "null, not %g", expected);
    cr_assert(fabs(value.as.number - expected) < 1e-12, "%.17g, not %.17g", value.as.number, expected);
}

static void expect_null(tm_node node)
{
    cr_assert(tm_value_is_null(value_of(node)), "%g, not null", value_of(node).as.number);
}

static bool is_still(tm_node node)
{
    bool still;
    (void)tm_baseline_value(&node, &metric, series, &now, counting, NULL, &still);
    return still;
}

Test(baseline, of_nothing_is_null_and_stays_so)
{
    for (int op = TM_OP_ZSCORE; op <= TM_OP_GAP; op++) {
        cr_assert(tm_baseline_is((uint8_t)op));
        expect_null(windowed((tm_op)op, 7, 0, 8));
        cr_assert(is_still(windowed((tm_op)op, 7, 0, 8)));
    }
    cr_assert_not(tm_baseline_is(TM_OP_WINDOW));
    cr_assert_not(tm_baseline_is(TM_OP_NOT));
}

Test(baseline, reaches_and_waits)
{
    const struct {
        tm_node node;
        int reach, wait;
    } cases[] = {{windowed(TM_OP_ZSCORE, 14, 1, 8), 127, 70},
                 {windowed(TM_OP_ZSCORE, 14, 0, 3), 56, 55},
                 {windowed(TM_OP_ZSCORE, 2, 0, 7), 16, 9},
                 {windowed(TM_OP_GROWTH, 28, 1, 12), 365, 112},
                 {windowed(TM_OP_GROWTH, 7, 0, 3), 28, 27},
                 {windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 8), 57, 28},
                 {windowed(TM_OP_MEDIAN_WEEKDAY, 1, 3, 8), 60, 31},
                 {plain(TM_OP_CUSUM, 8, 0.5), 85, 56},
                 {plain(TM_OP_GAP, 95, 0), 91, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(tm_baseline_reach(&cases[i].node), cases[i].reach, "%zu", i);
        cr_assert_eq(tm_baseline_wait(&cases[i].node), cases[i].wait, "%zu", i);
    }
}

/* On the day that `check` names, with events on every day since the counting start, there is a value; not before. */
Test(baseline, answers_from_the_day_it_says)
{
    const tm_node nodes[] = {windowed(TM_OP_ZSCORE, 3, 0, 8),
                             windowed(TM_OP_ZSCORE, 3, 2, 8),
                             windowed(TM_OP_ZSCORE, 2, 1, 3),
                             windowed(TM_OP_ZSCORE, 2, 0, 7),
                             windowed(TM_OP_GROWTH, 4, 1, 12),
                             windowed(TM_OP_GROWTH, 4, 0, 12),
                             windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 8),
                             windowed(TM_OP_MEDIAN_WEEKDAY, 1, 2, 8),
                             plain(TM_OP_CUSUM, 8, 0.5),
                             plain(TM_OP_GAP, 95, 0)};
    put_each(120, 0, 3);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        counting = now.day - tm_baseline_wait(&nodes[i]);
        cr_assert_not(tm_value_is_null(value_of(nodes[i])), "%zu", i);
        counting++;
        cr_assert(tm_value_is_null(value_of(nodes[i])), "%zu", i);
    }
}

Test(baseline, zscore_of_a_steady_account_has_the_floor_of_a_count)
{
    put_each(28, 8, 10);
    put_each(7, 1, 5);
    expect(windowed(TM_OP_ZSCORE, 7, 1, 3), -5.682268088976057); /* ln(36/71) * sqrt(70) */
    put(29, 1);
    put_each(0, 0, 3);
    expect(windowed(TM_OP_ZSCORE, 7, 1, 3), -5.682268088976057); /* what lies outside changes nothing */
}

Test(baseline, zscore_has_the_sample_deviation_of_logarithms)
{
    put(4, 1);
    put(3, 10);
    put(2, 100);
    put(1, 1000);
    put(0, 5);
    expect(windowed(TM_OP_ZSCORE, 1, 0, 4), -0.6897505160211816);
    expect(windowed(TM_OP_ZSCORE, 1, 0, 3), -1.263038448399892);
}

Test(baseline, zscore_leaves_out_windows_before_the_first_event_and_the_counting_start)
{
    put(5, 1); /* five days ago began with it */
    put(3, 10);
    put(2, 100);
    put(1, 1000);
    put(0, 5);
    tm_value five = value_of(windowed(TM_OP_ZSCORE, 1, 0, 5));
    tm_value eight = value_of(windowed(TM_OP_ZSCORE, 1, 0, 8));
    cr_assert(tm_value_same(five, eight));
    expect_null(windowed(TM_OP_ZSCORE, 1, 0, 11)); /* five of eleven are less than half */
    cr_assert_not(tm_value_is_null(value_of(windowed(TM_OP_ZSCORE, 1, 0, 10))));
    counting = now.day - 3;
    expect(windowed(TM_OP_ZSCORE, 1, 0, 6), -1.263038448399892);
    counting = now.day - 2;
    expect_null(windowed(TM_OP_ZSCORE, 1, 0, 3));
}

Test(baseline, zscore_of_sums_has_no_logarithm_below_zero)
{
    metric.kind = TM_METRIC_SUM;
    put_each(4, 1, 10);
    put(0, -1);
    expect_null(windowed(TM_OP_ZSCORE, 1, 0, 3));
    put(0, 1);
    expect(windowed(TM_OP_ZSCORE, 1, 0, 3), -log(11) * sqrt(10));
    put(1, -11);
    expect_null(windowed(TM_OP_ZSCORE, 1, 1, 3)); /* the window itself, of past days */
    expect_null(windowed(TM_OP_ZSCORE, 1, 0, 3)); /* an earlier one */
    expect(windowed(TM_OP_GROWTH, 1, 1, 3), -1 / 10.0);
    put(0, 19);
    expect(windowed(TM_OP_GROWTH, 1, 0, 3), 19 / (19 / 3.0));
}

Test(baseline, growth_is_the_window_over_the_mean_of_the_earlier_ones)
{
    put(8, 4);
    put(6, 8);
    put(5, 0);
    put(3, 6);
    put(0, 3);
    expect(windowed(TM_OP_GROWTH, 2, 0, 3), 3 / ((8 + 0 + 6) / 3.0)); /* days 1-0 over 7-6, 5-4 and 3-2 */
}

Test(baseline, growth_over_nothing_is_null)
{
    put(9, 1);
    put(0, 3);
    expect_null(windowed(TM_OP_GROWTH, 1, 0, 8));
    expect(windowed(TM_OP_GROWTH, 1, 0, 12), 3 * 9);
    put(0, 3);
    expect(windowed(TM_OP_GROWTH, 1, 0, 9), 6 * 9);
    expect(windowed(TM_OP_GROWTH, 1, 1, 8), 0);
    expect_null(windowed(TM_OP_GROWTH, 3, 0, 12)); /* two earlier ones only */
}

Test(baseline, median_weekday_takes_the_same_day_of_the_weeks_before)
{
    static const int values[] = {3, 50, 4, 10, 6};
    for (int i = 0; i < 5; i++)
        put(7 * (i + 1), values[i]);
    put(0, 99);
    put(6, 77);
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 8), 6);
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 5), 6);
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 4), 7);
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 7, 4), 8);
    expect_null(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 14, 4)); /* three weeks since the first event */
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 6, 4), 0);
    counting = now.day - 28;
    expect(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 8), 7);
    counting = now.day - 27;
    expect_null(windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 8));
}

Test(baseline, cusum_of_a_steady_account_runs_from_the_day_it_fell)
{
    put_each(84, 1, 10);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 0);
    series = NULL;
    put_each(84, 8, 10);
    put_each(7, 1, 5);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 9.917387974610328); /* 7 * (ln(11/6) * sqrt(10) - 0.5) */
    put(0, 100);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 9.917387974610328);
    series = NULL;
    put_each(84, 8, 10);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 7 * 2.5); /* no day is more than three spreads, */
    series = NULL;
    put_each(84, 9, 10);
    put_each(8, 2, 5);
    put(1, 1000);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 9.917387974610328 - 3.5); /* either way */
}

Test(baseline, cusum_knows_weekdays_and_the_spread_of_the_account)
{
    static const int weeks[] = {2, 30, 10, 5, 20, 10, 3, 25};
    for (int ago = 84; ago >= 1; ago--) {
        int day = (84 - ago) % 7, week = (84 - ago) / 7;
        put(ago, day >= 5 ? 0 : week < 8 ? weeks[week] : 1);
    }
    expect(plain(TM_OP_CUSUM, 8, 0.5), 16.523364503737444);
    expect(plain(TM_OP_CUSUM, 8, 1), 2.523364503737449);
}

Test(baseline, cusum_asks_for_four_weeks_before_its_own)
{
    put_each(56, 1, 10);
    expect(plain(TM_OP_CUSUM, 8, 0.5), 0);
    counting = now.day - 55;
    expect_null(plain(TM_OP_CUSUM, 8, 0.5));
    counting = INT32_MIN;
    series = NULL;
    put_each(55, 1, 10);
    expect_null(plain(TM_OP_CUSUM, 4, 0.5));
}

Test(baseline, cusum_of_days_that_were_usually_empty_never_falls)
{
    put(84, 1);
    put(40, 5);
    put(3, 5);
    expect(plain(TM_OP_CUSUM, 8, 0), 0);
    metric.kind = TM_METRIC_SUM;
    put(20, -1);
    metric.kind = TM_METRIC_COUNT;
    expect_null(plain(TM_OP_CUSUM, 8, 0));
}

Test(baseline, gap_is_the_nearest_rank_among_days_between_activity)
{
    static const int active[] = {91, 90, 80, 78, 77, 70, 66, 0};
    for (int i = 0; i < 8; i++)
        put(active[i], 1);
    /* from 90 on: 10, 2, 1, 7, 4; today's is none yet */
    const int sorted[] = {1, 2, 4, 7, 10};
    for (int p = 1; p <= 100; p++) {
        tm_value value = value_of(plain(TM_OP_GAP, p, 0));
        cr_assert_eq(value.type, TM_TYPE_DURATION);
        cr_assert_eq(value.as.number, sorted[(p - 1) / 20] * (double)TM_DAY, "%d", p);
    }
    counting = now.day - 90;
    cr_assert_not(tm_value_is_null(value_of(plain(TM_OP_GAP, 95, 0))));
    counting = now.day - 89;
    expect_null(plain(TM_OP_GAP, 95, 0));
}

Test(baseline, is_still_when_nothing_is_left_that_could_move)
{
    tm_node node = windowed(TM_OP_ZSCORE, 7, 0, 3), gap = plain(TM_OP_GAP, 95, 0);
    tm_node weekday = windowed(TM_OP_MEDIAN_WEEKDAY, 1, 0, 4), cusum = plain(TM_OP_CUSUM, 8, 0.5);
    metric.reach_days = 85;
    put_each(27, 21, 1);
    cr_assert_not(is_still(node));
    cr_assert_not(is_still(gap));
    move_to(now.t + 63 * TM_DAY); /* the last of them is 84 days old: today is the last that sees it */
    cr_assert_not(is_still(node));
    cr_assert_not(is_still(cusum));
    move_to(now.t + TM_DAY);
    cr_assert(is_still(node));
    cr_assert(is_still(gap));
    cr_assert(is_still(cusum));
    expect(node, 0);
    expect(weekday, 0);
    counting = now.day - 26; /* a window comes into sight: null becomes 0 tomorrow */
    expect_null(node);
    cr_assert_not(is_still(node));
    cr_assert_not(is_still(weekday));
    cr_assert_not(is_still(cusum));
}

Test(baseline, members_beyond_the_cap_are_approximate)
{
    metric = (tm_metric){.kind = TM_METRIC_DISTINCT, .of = TM_OF_USER, .reach_days = 62};
    for (int ago = 4; ago >= 0; ago--) {
        for (uint64_t i = 1; i <= 5000; i++) {
            tm_sample sample = {.at = now.t - ago * TM_DAY,
                                .hour = now.hour - ago * 24,
                                .day = now.day - ago,
                                .member = i * UINT64_C(0x9e3779b97f4a7c15)};
            tm_counted counted;
            cr_assert_eq(tm_series_apply(&series, heap, &metric, &now, &sample, &counted, NULL), TM_OK);
        }
    }
    tm_node node = windowed(TM_OP_GROWTH, 1, 0, 3);
    for (int i = 0; i < 2; i++) {
        tm_value value = tm_baseline_value(&node, &metric, series, &now, counting, &kept, NULL);
        cr_assert(value.approximate);
        cr_assert_eq(value.as.number, 1);
        cr_assert(kept.approximate);
    }
    node.window.offset = 1;
    kept = (tm_derived){0};
    cr_assert(tm_baseline_value(&node, &metric, series, &now, counting, &kept, NULL).approximate);
}

static double kept_value(tm_node node)
{
    tm_value value = tm_baseline_value(&node, &metric, series, &now, counting, &kept, NULL);
    cr_assert_eq(value.type, TM_TYPE_NUMBER);
    return value.as.number;
}

Test(baseline, keeps_what_past_days_gave_until_the_day_ends)
{
    tm_node present = windowed(TM_OP_GROWTH, 1, 0, 3), past = windowed(TM_OP_GROWTH, 1, 1, 3);
    put_each(4, 1, 2);
    put(0, 4);
    cr_assert_eq(kept_value(present), 2);
    cr_assert_eq(kept.day, now.day);
    put(0, 2);
    cr_assert_eq(kept_value(present), 3); /* today is read anew */
    put_each(3, 1, 2);
    cr_assert_eq(kept_value(present), 3); /* the past is not, until its owner says so */
    kept = (tm_derived){0};
    cr_assert_eq(kept_value(present), 1.5);
    kept = (tm_derived){0};
    cr_assert_eq(kept_value(past), 4 / (10 / 3.0));
    cr_assert_eq(kept_value(past), 4 / (10 / 3.0));
    move_to(now.t + TM_DAY);
    cr_assert_eq(kept_value(past), 1.5);
    /* Null is kept too. */
    counting = now.day;
    kept = (tm_derived){0};
    cr_assert(tm_value_is_null(tm_baseline_value(&past, &metric, series, &now, counting, &kept, NULL)));
    counting = INT32_MIN;
    cr_assert(tm_value_is_null(tm_baseline_value(&past, &metric, series, &now, counting, &kept, NULL)));
}
