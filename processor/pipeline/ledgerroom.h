/* What take-over and rebuild share: reading back what the store has of a claimed shard. */
#ifndef TIDEMARK_PROCESSOR_PIPELINE_LEDGERROOM_H
#define TIDEMARK_PROCESSOR_PIPELINE_LEDGERROOM_H

#include "tidemark/pipeline/ledger.h"
#include "tidemark/pipeline/verdict.h"

/* The meta of a shard that this worker has claimed. TM_OK; TM_RETRY; TM_REJECT: the store is at another position or
   epoch than the holding, or the meta cannot be read: claim again. */
tm_status tm_ledger_read_meta(tm_ledger *ledger, const tm_holding *holding, tm_shard_meta *ret_meta, tm_error *error);

/* Makes the holding's shard under `pack` and loads accounts and fingerprints, and the outbox when ret_extent is not
   NULL. TM_OK; TM_RETRY; TM_REJECT or TM_FATAL: what is kept cannot be read: halt. */
tm_status tm_ledger_load(tm_ledger *ledger, tm_holding *holding, const tm_pack *pack, const tm_shard_meta *meta,
                         tm_outbox_extent *ret_extent, tm_error *error);

#endif
