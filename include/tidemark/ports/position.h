/* Where a shard stands: the number both ledgers agree on. */
#ifndef TIDEMARK_PORTS_POSITION_H
#define TIDEMARK_PORTS_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/core/account.h"

/* R in the store, C in the group's committed offsets: next offset of each input, and the commit number. */
typedef struct tm_position {
    int64_t next[TM_INPUTS]; /* next offset to read; -1: nothing known of this input */
    int64_t commit; /* n, from 1; 0: before the first commit; -1: unknown (offsets without readable metadata) */
    int64_t claim;  /* the epoch of the claim that made commit n; 0: not known. Of C; a store keeps it in its meta */
} tm_position;

/* Whether both name the same place. Who was there is another question: tm_verdict_of asks it. */
static inline bool tm_position_equal(tm_position a, tm_position b)
{
    return a.commit == b.commit && a.next[TM_INPUT_USAGE] == b.next[TM_INPUT_USAGE] &&
           a.next[TM_INPUT_ACCOUNTS] == b.next[TM_INPUT_ACCOUNTS];
}

#endif
