/* The journal port on a memory world: the lines that its publishers committed. */
#ifndef TIDEMARK_ADAPTERS_MEMORY_JOURNAL_H
#define TIDEMARK_ADAPTERS_MEMORY_JOURNAL_H

#include "tidemark/adapters/memory/world.h"
#include "tidemark/ports/journal.h"

typedef struct tm_memory_journal {
    tm_world *world;
    int32_t partition;
    int64_t next, end;
} tm_memory_journal;

/* The port on `journal`, which the caller keeps and which must outlive it. Like a broker, it answers TM_RETRY while the
   world is not reachable. */
tm_journal_source tm_memory_journal_port(tm_memory_journal *journal, tm_world *world);

#endif
