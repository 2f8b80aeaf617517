/* Port: what the pipeline asks of time. Only adapters/system knows a real clock. */
#ifndef TIDEMARK_PORTS_CLOCK_H
#define TIDEMARK_PORTS_CLOCK_H

#include "tidemark/base/calendar.h"

typedef struct tm_clock {
    void *context;
    tm_time (*wall)(void *context);           /* ms since 1970, may jump */
    int64_t (*steady)(void *context);         /* ms from any start, never backwards */
    void (*pause)(void *context, int64_t ms); /* sleeps; returns early when the process is asked to stop */
} tm_clock;

#endif
