#include "tidemark/base/statistics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double Z = TM_NORMAL_975;

enum { RESAMPLES_MAX = 1000, RESAMPLES_MIN = 200 };
/* Steps that all resamples together may take: some seconds. */
static const double STEPS = 1e9;

static tm_estimate nothing(void)
{
    return (tm_estimate){NAN, NAN, NAN, 0};
}

tm_estimate tm_estimate_proportion(uint64_t hits, uint64_t trials)
{
    if (trials == 0)
        return nothing();
    double n = (double)trials;
    double p = (double)hits / n;
    double middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n);
    double half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n));
    return (tm_estimate){p, hits == 0 ? 0 : middle - half, hits == trials ? 1 : middle + half, trials};
}

tm_estimate tm_estimate_rate(uint64_t count, double exposure)
{
    if (!(exposure > 0))
        return nothing();
    double k = (double)count;
    double below = count ? 1 - 1 / (9 * k) - Z / (3 * sqrt(k)) : 0;
    double above = 1 - 1 / (9 * (k + 1)) + Z / (3 * sqrt(k + 1));
    return (tm_estimate){k / exposure, below > 0 ? k * below * below * below / exposure : 0,
                         (k + 1) * above * above * above / exposure, count};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

tm_estimate tm_estimate_median(double *values, size_t count)
{
    if (count == 0)
        return nothing();
    qsort(values, count, sizeof *values, ascending);
    double n = (double)count;
    tm_estimate median = {(values[(count - 1) / 2] + values[count / 2]) / 2, NAN, NAN, count};
    /* Ranks from 1; below six values even the least and the greatest are less than 95 % apart. */
    double low = floor(n / 2 - Z * sqrt(n) / 2);
    double high = ceil(n / 2 + 1 + Z * sqrt(n) / 2);
    if (count >= 6) {
        median.low = values[low < 1 ? 0 : (size_t)low - 1];
        median.high = values[high > n ? count - 1 : (size_t)high - 1];
    }
    return median;
}

double tm_quantile(const double *sorted, size_t count, double q)
{
    if (count == 0)
        return NAN;
    double rank = ceil(q * (double)count);
    return sorted[rank < 1 ? 0 : rank > (double)count ? count - 1 : (size_t)rank - 1];
}

/* --- ranking --- */

static int by_score(const void *a, const void *b)
{
    const tm_ranked *x = a;
    const tm_ranked *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    if (x->cluster != y->cluster)
        return x->cluster < y->cluster ? -1 : 1;
    return (x->came > y->came) - (x->came < y->came);
}

tm_estimate tm_estimate_area(tm_ranked *cases, size_t count)
{
    double came = 0;
    for (size_t i = 0; i < count; i++)
        came += cases[i].came;
    double others = (double)count - came;
    if (came == 0 || others == 0)
        return (tm_estimate){NAN, NAN, NAN, count};
    qsort(cases, count, sizeof *cases, by_score);
    double area = 0;
    double above = others; /* of those that did not come true */
    for (size_t i = 0; i < count;) {
        double tied[2] = {0, 0};
        size_t next = i;
        for (; next < count && cases[next].score == cases[i].score; next++)
            tied[cases[next].came]++;
        above -= tied[0];
        area += tied[1] * (above + tied[0] / 2);
        i = next;
    }
    area /= came * others;
    double q1 = area / (2 - area);
    double q2 = 2 * area * area / (1 + area);
    double half = Z * sqrt((area * (1 - area) + (came - 1) * (q1 - area * area) + (others - 1) * (q2 - area * area)) /
                           (came * others));
    return (tm_estimate){area, fmax(0, area - half), fmin(1, area + half), count};
}

typedef struct measured {
    double area, lift;
    bool known;
} measured;

/* Both figures of the cases, each counted as often as its cluster was drawn. */
static measured measure(const tm_ranked *cases, size_t count, const uint32_t *weights)
{
    double all = 0;
    double came = 0;
    for (size_t i = 0; i < count; i++) {
        all += weights[cases[i].cluster];
        came += cases[i].came ? weights[cases[i].cluster] : 0;
    }
    double stayed = all - came;
    if (came == 0 || stayed == 0)
        return (measured){0};
    double won = 0;
    double stayed_above = stayed;
    double tenth = all / 10;
    double passed = 0;
    double came_in_tenth = 0;
    for (size_t i = 0; i < count;) {
        double came_here = 0;
        double stayed_here = 0;
        for (double score = cases[i].score; i < count && cases[i].score == score; i++) {
            double weight = weights[cases[i].cluster];
            came_here += cases[i].came ? weight : 0;
            stayed_here += cases[i].came ? 0 : weight;
        }
        stayed_above -= stayed_here;
        won += came_here * (stayed_above + stayed_here / 2);
        double here = came_here + stayed_here;
        double share = passed >= tenth || here == 0 ? 0 : passed + here <= tenth ? 1 : (tenth - passed) / here;
        came_in_tenth += came_here * share;
        passed += here;
    }
    return (measured){won / (came * stayed), (came_in_tenth / tenth) / (came / all), true};
}

/* SplitMix64 (G. Steele et al., 2014). */
static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void interval(tm_estimate *estimate, double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    estimate->low = tm_quantile(values, count, 0.025);
    estimate->high = tm_quantile(values, count, 0.975);
}

static uint32_t resamples_for(size_t steps)
{
    double affordable = STEPS / (double)steps;
    return affordable > RESAMPLES_MAX   ? RESAMPLES_MAX
           : affordable < RESAMPLES_MIN ? RESAMPLES_MIN
                                        : (uint32_t)affordable;
}

static void resample(uint32_t clusters, uint32_t *weights, uint64_t *random)
{
    memset(weights, 0, clusters * sizeof *weights);
    for (uint32_t c = 0; c < clusters; c++)
        weights[draw(random) % clusters]++;
}

tm_ranking tm_estimate_ranking(tm_ranked *cases, size_t count, uint32_t clusters, uint32_t *weights)
{
    tm_ranking ranking = {.area = nothing(), .lift = nothing()};
    if (count)
        qsort(cases, count, sizeof *cases, by_score);
    for (size_t i = 0; i < count; i++)
        ranking.came += cases[i].came;
    for (uint32_t c = 0; c < clusters; c++)
        weights[c] = 1;
    measured whole = measure(cases, count, weights);
    if (!whole.known)
        return ranking;
    ranking.area.value = whole.area;
    ranking.lift.value = whole.lift;
    ranking.area.of = ranking.lift.of = count;
    uint32_t wanted = resamples_for(count + clusters);
    double areas[RESAMPLES_MAX];
    double lifts[RESAMPLES_MAX];
    uint64_t random = 1;
    for (uint32_t i = 0; i < wanted; i++) {
        resample(clusters, weights, &random);
        measured again = measure(cases, count, weights);
        if (!again.known)
            continue;
        areas[ranking.resamples] = again.area;
        lifts[ranking.resamples++] = again.lift;
    }
    interval(&ranking.area, areas, ranking.resamples);
    interval(&ranking.lift, lifts, ranking.resamples);
    return ranking;
}

tm_gain tm_estimate_gain(tm_ranked *before, tm_ranked *after, size_t count, uint32_t clusters, uint32_t *weights)
{
    tm_gain gain = {nothing(), nothing(), nothing(), 0};
    if (count) {
        qsort(before, count, sizeof *before, by_score);
        qsort(after, count, sizeof *after, by_score);
    }
    for (size_t i = 0; i < count; i++)
        gain.came += before[i].came;
    for (uint32_t c = 0; c < clusters; c++)
        weights[c] = 1;
    measured whole[2] = {measure(before, count, weights), measure(after, count, weights)};
    if (!whole[0].known)
        return gain;
    gain.before.value = whole[0].area;
    gain.after.value = whole[1].area;
    gain.gain.value = whole[1].area - whole[0].area;
    gain.before.of = gain.after.of = gain.gain.of = count;
    uint32_t wanted = resamples_for(2 * count + clusters);
    double areas[2][RESAMPLES_MAX];
    double gains[RESAMPLES_MAX];
    uint32_t done = 0;
    uint64_t random = 1;
    for (uint32_t i = 0; i < wanted; i++) {
        resample(clusters, weights, &random);
        measured again[2] = {measure(before, count, weights), measure(after, count, weights)};
        if (!again[0].known)
            continue;
        areas[0][done] = again[0].area;
        areas[1][done] = again[1].area;
        gains[done++] = again[1].area - again[0].area;
    }
    interval(&gain.before, areas[0], done);
    interval(&gain.after, areas[1], done);
    interval(&gain.gain, gains, done);
    return gain;
}
