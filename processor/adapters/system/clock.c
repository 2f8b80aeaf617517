#include "tidemark/adapters/system/clock.h"

#include <time.h>

#include "tidemark/adapters/system/signals.h"

static int64_t read_clock(clockid_t which)
{
    struct timespec now;
    if (clock_gettime(which, &now) != 0) {
        return 0; /* these two clocks are always there */
    }
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static tm_time clock_wall(void *context)
{
    (void)context;
    return read_clock(CLOCK_REALTIME);
}

static int64_t clock_steady(void *context)
{
    (void)context;
    return read_clock(CLOCK_MONOTONIC);
}

static void clock_pause(void *context, int64_t ms)
{
    (void)context;
    tm_signals_wait(ms);
}

tm_clock tm_system_clock(void)
{
    return (tm_clock){.context = NULL, .wall = clock_wall, .steady = clock_steady, .pause = clock_pause};
}
