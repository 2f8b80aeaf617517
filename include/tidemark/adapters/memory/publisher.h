/* The publisher port on a memory world: one transactional producer. */
#ifndef TIDEMARK_ADAPTERS_MEMORY_PUBLISHER_H
#define TIDEMARK_ADAPTERS_MEMORY_PUBLISHER_H

#include "tidemark/adapters/memory/world.h"

/* A publisher of this transactional id (copied). `member`: the source in whose name offsets are committed: a commit is
   refused (TM_REJECT) once that source is no member of the present generation. NULL: offsets are committed unchecked.
   The publisher may outlive the source. TM_OK: freed by its close(). TM_FATAL without memory. */
tm_status tm_memory_publisher_new(tm_world *world, const char *transactional_id, const tm_source *member,
                                  tm_publisher *ret_publisher, tm_error *error);

#endif
