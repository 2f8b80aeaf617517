/* The clock port on the machine's clocks. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_CLOCK_H
#define TIDEMARK_ADAPTERS_SYSTEM_CLOCK_H

#include "tidemark/ports/clock.h"

/* wall: CLOCK_REALTIME; steady: CLOCK_MONOTONIC; pause: ends early once the process is asked to stop (signals.h). Needs
   no release; usable from any thread. */
tm_clock tm_system_clock(void);

#endif
