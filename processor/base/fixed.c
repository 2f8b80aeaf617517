#include "tidemark/base/fixed.h"

#include <math.h>

#include "tidemark/base/limits.h"

tm_status tm_fixed_from(double number, tm_fixed *ret_fixed)
{
    if (!(fabs(number) <= TM_NUMBER_MAX)) { /* not a number, too */
        return TM_REJECT;
    }
    *ret_fixed = (tm_fixed)nearbyint(number * 1e6);
    return TM_OK;
}

double tm_fixed_number(tm_fixed fixed)
{
    return (double)fixed / 1e6;
}

double tm_fixed_sum_number(__int128 sum)
{
    return (double)sum / 1e6;
}
