/* One instant as everything in core sees it: with its UTC hour, its local day and when these end. */
#ifndef TIDEMARK_CORE_MOMENT_H
#define TIDEMARK_CORE_MOMENT_H

#include "tidemark/base/calendar.h"

typedef struct tm_moment {
    tm_time t;
    int64_t hour;          /* UTC hours since 1970 */
    int32_t day;           /* local calendar day since 1970 */
    tm_time next_hour;     /* first instant of the next UTC hour */
    tm_time next_midnight; /* first instant of the next local day */
    const tm_zone *zone;
} tm_moment;

/* Fills in a moment for `t`. `span` remembers the local day between calls (zero-initialised at first, one a caller and
 * zone). */
void tm_moment_at(tm_moment *ret_moment, const tm_zone *zone, tm_time t, tm_day_span *span);

#endif
