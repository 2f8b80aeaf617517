/* Decimal fixed-point numbers: millionths in 64 bits, sums in 128 (semantics: Numbers). */
#ifndef TIDEMARK_BASE_FIXED_H
#define TIDEMARK_BASE_FIXED_H

#include <stdint.h>

#include "tidemark/base/status.h"

typedef int64_t tm_fixed; /* millionths */
#define TM_FIXED_NONE INT64_MIN
#define TM_FIXED_ONE INT64_C(1000000)

/* number × 10^6 in double precision, rounded half to even. TM_REJECT when it is not finite or beyond ± TM_NUMBER_MAX.
 */
tm_status tm_fixed_from(double number, tm_fixed *ret_fixed);
/* The nearest double of fixed / 10^6, and of a 128-bit sum: the sum is first rounded to a double, then divided. */
double tm_fixed_number(tm_fixed fixed);
double tm_fixed_sum_number(__int128 sum);

#endif
