/* Estimates with their uncertainty: proportions, medians, ranking. Every interval is one of 95 %. */
#ifndef TIDEMARK_BASE_STATISTICS_H
#define TIDEMARK_BASE_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/* The normal distribution's 97.5 % point: half the width of an interval of 95 %, in standard deviations. */
#define TM_NORMAL_975 1.959963984540054

/* What was found, and between what the truth lies. Without anything to estimate from (`of` 0) all three are NaN; an end
   that cannot be told is NaN alone. */
typedef struct tm_estimate {
    double value, low, high;
    uint64_t of; /* how many it was estimated from */
} tm_estimate;

/* `hits` of `trials`, hits <= trials. Wilson's score interval (E. B. Wilson, 1927): it stays within 0 and 1, and says
   something sensible of 0 of 5. */
tm_estimate tm_estimate_proportion(uint64_t hits, uint64_t trials);

/* A rate: `count` events in `exposure` (of any unit), with Byar's approximation to the limits of a Poisson count (N. E.
   Breslow and N. E. Day, Statistical Methods in Cancer Research II, 1987). NaN without exposure; `of` is the count. */
tm_estimate tm_estimate_rate(uint64_t count, double exposure);

/* The median (of an even number the mean of the middle two), with the order statistics nearest to
   n/2 ± 1.96 √n/2 as its ends (W. J. Conover, Practical Nonparametric Statistics): no distribution is supposed. With
   fewer than six values the ends cannot be told. Sorts `values`. */
tm_estimate tm_estimate_median(double *values, size_t count);

/* The q-quantile (0 to 1) of values in ascending order, the nearest rank. NaN for none. */
double tm_quantile(const double *sorted, size_t count, double q);

/* One ranked case: a score, and whether what is to be foretold came true. */
typedef struct tm_ranked {
    double score;
    uint32_t cluster; /* cases of one account go together: they are not independent */
    uint32_t came;    /* 0 or 1 */
} tm_ranked;

typedef struct tm_ranking {
    tm_estimate
        area; /* AUC: the chance that a case that came true has the lower score than one that did not, ties half */
    tm_estimate lift; /* of the tenth of the cases with the lowest scores: its rate over that of all; ties shared out */
    uint64_t came;
    uint32_t resamples; /* clusters drawn anew that often for the intervals (bootstrap percentile, B. Efron 1979) */
} tm_ranking;

/* The area alone, for cases that are independent of each other: the chance that a case that came true has the lower
   score, with the interval of J. A. Hanley and B. J. McNeil (1982), cut to 0 and 1. `of`: all cases. Sorts `cases`. */
tm_estimate tm_estimate_area(tm_ranked *cases, size_t count);

/* Sorts `cases` by score. `clusters`: how many there are, numbered from 0. `weights` has room for one a cluster.
   Deterministic: the same cases give the same intervals. Estimates are NaN when no case came true, or all did. */
tm_ranking tm_estimate_ranking(tm_ranked *cases, size_t count, uint32_t clusters, uint32_t *weights);

/* By how much the AUC of `after` is greater than that of `before`, the same cases with two scores: both areas, and
   their difference over the same resamples, since what two scores make of one case hangs together. Sorts both; the rest
   as above. */
typedef struct tm_gain {
    tm_estimate before, after, gain;
    uint64_t came;
} tm_gain;
tm_gain tm_estimate_gain(tm_ranked *before, tm_ranked *after, size_t count, uint32_t clusters, uint32_t *weights);

#endif
