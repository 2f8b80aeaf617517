/* The source port on a memory world: a member of its group. */
#ifndef TIDEMARK_ADAPTERS_MEMORY_SOURCE_H
#define TIDEMARK_ADAPTERS_MEMORY_SOURCE_H

#include "tidemark/adapters/memory/world.h"

/* A source that is no member yet. `instance`: its static membership (copied); a second member that joins with the same
   one takes the first one's place, and the first is told TM_FATAL. NULL: no static membership. TM_OK: freed by its
   leave(). TM_FATAL without memory. */
tm_status tm_memory_source_new(tm_world *world, const char *instance, tm_source *ret_source, tm_error *error);

/* The group's generation as this member last saw it, for the store's claim(); -1 when it is no member. */
int64_t tm_memory_source_generation(const tm_source *port);

#endif
