#include "tidemark/core/moment.h"

void tm_moment_at(tm_moment *ret_moment, const tm_zone *zone, tm_time t, tm_day_span *span)
{
    ret_moment->t = t;
    ret_moment->hour = tm_hour_of(t);
    ret_moment->day = tm_zone_day_cached(zone, t, span);
    ret_moment->next_hour = (ret_moment->hour + 1) * TM_HOUR;
    ret_moment->next_midnight = span->end;
    ret_moment->zone = zone;
}
