/* Random bytes of the operating system. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_RANDOM_H
#define TIDEMARK_ADAPTERS_SYSTEM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "tidemark/base/status.h"

/* Fills `bytes`. TM_OK, or TM_FATAL when the system gives none. */
tm_status tm_random_bytes(void *bytes, size_t length, tm_error *error);
/* A number from 0 to below `bound` (at least 1), each equally likely; for jitter of waits. Falls back to 0. */
uint64_t tm_random_below(uint64_t bound);

#endif
