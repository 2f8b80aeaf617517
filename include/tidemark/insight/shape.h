/* Bends of a map: where a number's effect may change, at round numbers that people can read. */
#ifndef TIDEMARK_INSIGHT_SHAPE_H
#define TIDEMARK_INSIGHT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TM_SHAPE_POINTS_MAX = 5 };

/* Ascending, different from one another. */
typedef struct tm_shape {
    double x[TM_SHAPE_POINTS_MAX];
    uint32_t points; /* 0: nothing to shape, else at least 2 */
} tm_shape;

/* The number with so many significant digits (1 to 15) that is nearest. A duration (ms) is rounded to whole hours, from
   two days on to whole days, whatever the digits. */
double tm_shape_round(double number, bool duration, int digits);
/* `segments` (1 to TM_SHAPE_POINTS_MAX - 1) between the 5th and the 95th percentile of `sorted` (ascending, finite),
   with the same number of values in each, rounded to two digits, or as many more as keep apart what is apart. Points
   that fall together are one. Where both ends are the same value, between the least and the greatest. */
tm_shape tm_shape_of(const double *sorted, size_t count, uint32_t segments, bool duration);
/* How far `value` has come on each segment, 0 to 1: points - 1 numbers. */
void tm_shape_ramps(const tm_shape *shape, double value, double *ret_ramps);

#endif
