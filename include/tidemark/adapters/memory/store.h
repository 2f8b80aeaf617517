/* The store port in memory: for replay, demo and tests. The state outlives the stores opened on it, as Redis outlives a
   worker; several stores may be open on one state, in several threads. */
#ifndef TIDEMARK_ADAPTERS_MEMORY_STORE_H
#define TIDEMARK_ADAPTERS_MEMORY_STORE_H

#include "tidemark/ports/store.h"

typedef struct tm_memory_state tm_memory_state;

tm_memory_state *tm_memory_state_new(void); /* NULL without memory */
/* Frees the state; every store on it must be closed before. NULL is allowed. */
void tm_memory_state_free(tm_memory_state *state);
/* A deep copy: a snapshot to go back to, as after a fail-over that lost the tail. NULL without memory. */
tm_memory_state *tm_memory_state_copy(tm_memory_state *state);
/* The state becomes what `snapshot` is, under the stores that are open on it: a fail-over to a replica that lagged. The
   snapshot stays the caller's. TM_OK; TM_FATAL without memory, and nothing is changed. */
tm_status tm_memory_state_restore(tm_memory_state *state, tm_memory_state *snapshot);
/* While not reachable, every call of every store on it answers TM_RETRY and does nothing. */
void tm_memory_state_set_reachable(tm_memory_state *state, bool reachable);

/* A store on the state. TM_OK: closed with its close(). TM_FATAL without memory. */
tm_status tm_memory_store_open(tm_memory_state *state, tm_store *ret_store, tm_error *error);

#endif
