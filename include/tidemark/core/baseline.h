/* An account measured against itself: what zscore, growth, median_weekday, cusum and gap compute from the day buckets
   of one series. All that depends on days before today is kept until the day ends (tm_derived). */
#ifndef TIDEMARK_CORE_BASELINE_H
#define TIDEMARK_CORE_BASELINE_H

#include "tidemark/core/program.h"
#include "tidemark/core/series.h"

enum {
    TM_BASELINE_WINDOWS_MIN = 3,   /* earlier windows without which there is no spread to speak of */
    TM_BASELINE_WEEKS_MIN = 4,     /* weeks without which a weekday has no median worth the name */
    TM_BASELINE_CUSUM_DAYS = 28,   /* full days that a CUSUM runs over */
    TM_BASELINE_GAP_DAYS = 90,     /* full days in which gaps are looked for */
    TM_BASELINE_GAPS_MIN = 5,      /* gaps without which there is no percentile */
    TM_BASELINE_PARAMETER_MAX = 10 /* of the allowance of a CUSUM */
};

/* What one baseline of one account came to on a local day: the whole value, or all of it but the present window's part.
   Zeroed: nothing is kept. */
typedef struct tm_derived {
    double first, second;
    int32_t day;
    uint8_t state; /* 0: nothing kept */
    bool approximate;
    bool settled; /* every earlier window, week or day it asks for was there: the passing of time alone adds none */
} tm_derived;

/* Whether an operation is one of this room. */
static inline bool tm_baseline_is(uint8_t op)
{
    return op >= TM_OP_ZSCORE && op <= TM_OP_GAP;
}
/* Day buckets that the node reads, today's included: the reach its metric needs. */
int32_t tm_baseline_reach(const tm_node *node);
/* Days before today that have to be counted before the node can give a value at all. */
int32_t tm_baseline_wait(const tm_node *node);

/* The value of a baseline node at `now`; `series` may be NULL (nothing ever counted: null). `counting_day` as in
   tm_environment. `kept` (NULL: nothing is kept) is used when it is of today and filled otherwise; its owner zeroes it
   when a past day of the series, its first event or the counting start changed. *ret_still (NULL: not asked for): the
   answer can not change as time passes without events. Formulas and their sources stand in the source. */
tm_value tm_baseline_value(const tm_node *node, const tm_metric *metric, const tm_series *series, const tm_moment *now,
                           int32_t counting_day, tm_derived *kept, bool *ret_still);

#endif
