/* Rebuilding a shard whose store is empty: the journal says what each commit depended on, the log still has the
 * records. */
#ifndef TIDEMARK_PIPELINE_REBUILD_H
#define TIDEMARK_PIPELINE_REBUILD_H

#include "tidemark/pipeline/ledger.h"

typedef struct tm_rebuild tm_rebuild;

/* Begins for a replaying holding: opens the journal and starts the inputs at the least offset kept. TM_OK; TM_RETRY; a
 * holding that cannot be rebuilt is halted (TM_OK). */
tm_status tm_rebuild_new(tm_ledger *ledger, const tm_journal_source *journal, tm_holding *holding,
                         tm_rebuild **ret_rebuild, tm_error *error);
void tm_rebuild_free(tm_rebuild *rebuild); /* NULL is allowed */
/* Goes on with what has arrived in the holding's intake. *ret_waiting: more records are needed. When the journal is at
   C the state is written and the holding is live. TM_OK, TM_RETRY, or TM_FATAL (it was halted). */
tm_status tm_rebuild_step(tm_rebuild *rebuild, bool *ret_waiting, tm_error *error);

#endif
