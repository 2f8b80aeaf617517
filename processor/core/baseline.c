#include "tidemark/core/baseline.h"

#include <math.h>

/* States of a tm_derived. */
enum { NOTHING, IS_NULL, IS_WHOLE, IS_PART };

enum { VALUES_MAX = TM_REACH_DAYS_MAX, WEEK = 7 };

/* A normal deviation for the median absolute one: 1 / quantile(3/4) of the standard normal (Hampel 1974). */
#define MAD_TO_SIGMA 1.4826
/* No day counts for more than this many spreads, either way. */
#define RESIDUAL_MAX 3.0

/* What is asked, and the least day whose bucket may be used: of the counting start, and of the first event. */
typedef struct question {
    const tm_node *node;
    const tm_metric *metric;
    const tm_series *series;
    const tm_moment *now;
    int64_t counted_from, begun;
    bool approximate;
} question;

int32_t tm_baseline_reach(const tm_node *node)
{
    const tm_window *window = &node->window;
    switch ((tm_op)node->op) {
    case TM_OP_MEDIAN_WEEKDAY:
        return WEEK * node->periods + window->offset + 1;
    case TM_OP_CUSUM:
        return WEEK * node->periods + TM_BASELINE_CUSUM_DAYS + 1;
    case TM_OP_GAP:
        return TM_BASELINE_GAP_DAYS + 1;
    default:
        return window->length * (node->periods + 1) + window->offset;
    }
}

/* Earlier windows that must be there: at least half of those asked for. */
static int32_t windows_needed(const tm_node *node)
{
    int32_t half = node->op == TM_OP_ZSCORE ? (node->periods + 1) / 2 : 0;
    return half > TM_BASELINE_WINDOWS_MIN ? half : TM_BASELINE_WINDOWS_MIN;
}

int32_t tm_baseline_wait(const tm_node *node)
{
    const tm_window *window = &node->window;
    switch ((tm_op)node->op) {
    case TM_OP_MEDIAN_WEEKDAY:
        return WEEK * TM_BASELINE_WEEKS_MIN + window->offset;
    case TM_OP_CUSUM:
        return WEEK * TM_BASELINE_WEEKS_MIN + TM_BASELINE_CUSUM_DAYS;
    case TM_OP_GAP:
        return TM_BASELINE_GAPS_MIN + 1;
    default:
        return window->length * (windows_needed(node) + 1) + window->offset - 1;
    }
}

/* The series over `length` days that end `offset` days ago. */
static double window(question *q, int32_t length, int64_t offset)
{
    tm_window asked = {TM_WINDOW_DAYS, length, (int32_t)offset};
    tm_value value = tm_series_window(q->series, q->metric, &asked, q->now, NULL);
    q->approximate = q->approximate || value.approximate;
    return value.as.number;
}

/* Ascending. Shell's method: there are at most 400, and no memory to take. */
static void sort(double *values, int32_t count)
{
    static const int32_t steps[] = {132, 57, 23, 10, 4, 1};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        for (int32_t i = steps[s]; i < count; i++) {
            double moving = values[i];
            int32_t to = i;
            for (; to >= steps[s] && values[to - steps[s]] > moving; to -= steps[s])
                values[to] = values[to - steps[s]];
            values[to] = moving;
        }
    }
}

/* Sorts what it is given. */
static double median(double *values, int32_t count)
{
    sort(values, count);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double at_least_one(double value)
{
    return value > 1 ? value : 1;
}

static tm_derived null_of(bool settled)
{
    return (tm_derived){.state = IS_NULL, .settled = settled};
}

/* --- zscore and growth: a window against the account's own earlier windows of the same length --- */

static double with_present(const tm_node *node, double present, double first, double second)
{
    return node->op == TM_OP_ZSCORE ? (log(1 + present) - first) / second : present / first;
}

/* x_i = ln(1 + W_i); z = (x_0 - mean) / max(s, floor) over the earlier x_i, oldest first, s their sample deviation,
   floor = 1/sqrt(max(1, mean of the earlier W_i)): what the logarithm of a Poisson count scatters by (delta method),
   so that a steady account does not alarm over its last digit. growth = W_0 / mean of the earlier W_i. */
static tm_derived against_windows(question *q)
{
    const tm_node *node = q->node;
    int32_t length = node->window.length, offset = node->window.offset;
    int64_t begun = q->begun > q->counted_from ? q->begun : q->counted_from;
    int64_t whole = (q->now->day - offset + 1 - begun) / length - 1;
    int32_t there = whole > node->periods ? node->periods : (int32_t)whole;
    double sum = 0, sum_of_logs = 0, logs[VALUES_MAX];
    tm_derived derived = null_of(there == node->periods);
    if (whole < windows_needed(node))
        return derived;
    for (int32_t i = there; i >= 1; i--) {
        double earlier = window(q, length, offset + (int64_t)length * i);
        if (earlier <= -1 && node->op == TM_OP_ZSCORE)
            return derived; /* a sum below zero has no logarithm */
        sum += earlier;
        if (node->op == TM_OP_GROWTH)
            continue;
        logs[i - 1] = log(1 + earlier);
        sum_of_logs += logs[i - 1];
    }
    derived.first = sum / there;
    if (node->op == TM_OP_GROWTH && derived.first == 0)
        return derived;
    if (node->op == TM_OP_ZSCORE) {
        double least = 1 / sqrt(at_least_one(derived.first)), squares = 0;
        derived.first = sum_of_logs / there;
        for (int32_t i = there; i >= 1; i--)
            squares += (logs[i - 1] - derived.first) * (logs[i - 1] - derived.first);
        double deviation = sqrt(squares / (there - 1));
        derived.second = deviation > least ? deviation : least;
    }
    derived.state = IS_PART;
    return derived;
}

/* --- median_weekday --- */

/* The median of the same weekday in the weeks before the day asked about. */
static tm_derived of_weekday(question *q)
{
    int32_t weeks = q->node->periods, offset = q->node->window.offset;
    int64_t begun = q->begun > q->counted_from ? q->begun : q->counted_from;
    int64_t whole = (q->now->day - offset - begun) / WEEK;
    int32_t there = whole > weeks ? weeks : (int32_t)whole;
    double values[VALUES_MAX];
    tm_derived derived = null_of(there == weeks);
    if (whole < TM_BASELINE_WEEKS_MIN)
        return derived;
    for (int32_t i = 0; i < there; i++)
        values[i] = window(q, 1, offset + (int64_t)WEEK * (i + 1));
    derived.first = median(values, there);
    derived.state = IS_WHOLE;
    return derived;
}

/* --- cusum --- */

/* The lower cumulative sum of Page (1954) over the last 28 full days, S = max(0, S - r_d - k), from zero. The weeks
   before those 28 days are the reference: of each weekday their median m, and of all their days with m > 0 the spread
   of u = (ln(1 + x) - ln(1 + m)) * sqrt(max(1, m)), robustly: phi = max(1, 1.4826 * median |u|). u is the residual in
   units of a Poisson count's scatter, so that a quiet Sunday is not measured with a Tuesday's precision; phi is how
   much more than that the account scatters by habit. r_d = u_d / phi, cut to -3 ... 3 (as in robust CUSUMs, Lucas &
   Crosier 1982), so that no single day is a change. */
static tm_derived cumulative(question *q)
{
    enum { DAYS = TM_BASELINE_CUSUM_DAYS };
    int32_t reference = WEEK * q->node->periods;
    int64_t begun = q->begun > q->counted_from ? q->begun : q->counted_from;
    int64_t there = q->now->day - DAYS - begun; /* days of the reference */
    double values[VALUES_MAX] = {0}, logs[VALUES_MAX], medians[WEEK], spreads[VALUES_MAX];
    tm_derived derived = null_of(there >= reference);
    if (there < (int64_t)WEEK * TM_BASELINE_WEEKS_MIN)
        return derived;
    reference = there > reference ? reference : (int32_t)there;
    int32_t all = reference + DAYS, spread_count = 0;
    for (int32_t i = 0; i < all; i++) {
        values[i] = window(q, 1, all - i);
        if (values[i] <= -1)
            return derived;
        logs[i] = log(1 + values[i]);
    }
    for (int32_t weekday = 0; weekday < WEEK; weekday++) {
        double same[VALUES_MAX];
        int32_t count = 0;
        for (int32_t i = weekday; i < reference; i += WEEK)
            same[count++] = values[i];
        medians[weekday] = median(same, count);
    }
    for (int32_t i = 0; i < reference; i++) {
        double usual = medians[i % WEEK];
        if (usual > 0)
            spreads[spread_count++] = fabs(logs[i] - log(1 + usual)) * sqrt(at_least_one(usual));
    }
    double phi = spread_count ? at_least_one(MAD_TO_SIGMA * median(spreads, spread_count)) : 1, s = 0;
    for (int32_t i = reference; i < all; i++) {
        double usual = medians[i % WEEK];
        double r = (logs[i] - log(1 + usual)) * sqrt(at_least_one(usual)) / phi;
        r = r < -RESIDUAL_MAX ? -RESIDUAL_MAX : r > RESIDUAL_MAX ? RESIDUAL_MAX : r;
        s = s - r - q->node->parameter;
        s = s > 0 ? s : 0;
    }
    derived.first = s;
    derived.state = IS_WHOLE;
    return derived;
}

/* --- gap --- */

/* The nearest-rank percentile of the days from one active day to the next, among the last 90 full days. */
static tm_derived between_days(question *q)
{
    double gaps[TM_BASELINE_GAP_DAYS];
    int32_t count = 0, former = 0, from = TM_BASELINE_GAP_DAYS;
    tm_derived derived = null_of(true); /* of a series without an active day nothing can come */
    if (q->now->day - q->counted_from < from)
        from = (int32_t)(q->now->day - q->counted_from);
    for (int32_t ago = from; ago >= 1; ago--) {
        if (window(q, 1, ago) == 0)
            continue;
        if (former)
            gaps[count++] = former - ago;
        former = ago;
    }
    if (count < TM_BASELINE_GAPS_MIN)
        return derived;
    sort(gaps, count);
    derived.first = gaps[(q->node->periods * count + 99) / 100 - 1] * (double)TM_DAY;
    derived.state = IS_WHOLE;
    return derived;
}

static tm_derived derive(question *q)
{
    tm_derived derived;
    switch ((tm_op)q->node->op) {
    case TM_OP_MEDIAN_WEEKDAY:
        derived = of_weekday(q);
        break;
    case TM_OP_CUSUM:
        derived = cumulative(q);
        break;
    case TM_OP_GAP:
        derived = between_days(q);
        break;
    default:
        derived = against_windows(q);
    }
    derived.day = q->now->day;
    derived.approximate = q->approximate;
    return derived;
}

tm_value tm_baseline_value(const tm_node *node, const tm_metric *metric, const tm_series *series, const tm_moment *now,
                           int32_t counting_day, tm_derived *kept, bool *ret_still)
{
    if (ret_still)
        *ret_still = true;
    if (!series)
        return tm_value_null();
    question q = {.node = node, .metric = metric, .series = series, .now = now, .counted_from = counting_day};
    tm_derived derived;
    if (kept && kept->state != NOTHING && kept->day == now->day) {
        derived = *kept;
    } else {
        q.begun = tm_zone_day(now->zone, tm_series_first_at(series));
        derived = derive(&q);
        /* A window that ends before today is as settled as what it is measured with. */
        if (derived.state == IS_PART && node->window.offset > 0) {
            double present = window(&q, node->window.length, node->window.offset);
            bool defined = node->op == TM_OP_GROWTH || present > -1;
            derived.state = defined ? IS_WHOLE : IS_NULL;
            derived.first = defined ? with_present(node, present, derived.first, derived.second) : 0;
            derived.approximate = q.approximate;
        }
        if (kept)
            *kept = derived;
    }
    if (ret_still)
        *ret_still = derived.settled && tm_series_quiet(series, metric, now);
    double number = derived.first;
    if (derived.state == IS_PART) {
        q.approximate = derived.approximate;
        double present = window(&q, node->window.length, 0);
        if (node->op == TM_OP_ZSCORE && present <= -1)
            derived.state = IS_NULL;
        else
            number = with_present(node, present, derived.first, derived.second);
        derived.approximate = q.approximate;
    }
    tm_value value = {.type = node->op == TM_OP_GAP ? TM_TYPE_DURATION : TM_TYPE_NUMBER};
    value.as.number = number + 0.0;
    if (derived.state == IS_NULL) /* the others are finite: floors are above zero, sums below 10^39 */
        value = tm_value_null();
    value.approximate = derived.approximate;
    return value;
}
