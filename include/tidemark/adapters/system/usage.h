/* What this process uses of the machine. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_USAGE_H
#define TIDEMARK_ADAPTERS_SYSTEM_USAGE_H

#include <stdint.h>

/* What could not be found out is -1. */
typedef struct tm_usage {
    double cpu_seconds;                    /* user and system, of all threads */
    int64_t resident_bytes, virtual_bytes; /* memory */
    int64_t open_descriptors, most_descriptors;
    int64_t threads;
} tm_usage;

void tm_usage_look(tm_usage *ret_usage);

#endif
