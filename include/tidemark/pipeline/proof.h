/* What must hold of a commit before it is written: the counts agree, nothing goes back, and what was encoded decodes to
   what was encoded. Each proof returns TM_OK, or TM_BROKEN with the check noted in the shard's heap. */
#ifndef TIDEMARK_PIPELINE_PROOF_H
#define TIDEMARK_PIPELINE_PROOF_H

#include "tidemark/pipeline/holding.h"

/* Of one record that was applied: T and the counts were `t` and `records` before. */
tm_status tm_proof_record(const tm_holding *holding, const tm_source_record *record, tm_time t, uint64_t records);
/* Of the end that was decided: positions, number, time, outputs, fingerprints. `configuration`: the commit tells it. */
tm_status tm_proof_seal(const tm_holding *holding, bool configuration);
/* Of the accounts as they are to be written: the first `changed` of `writes` are blobs. One of them, another each time,
   is decoded again; `scratch` is room for it. */
tm_status tm_proof_writes(const tm_holding *holding, const tm_store_write *writes, uint32_t changed,
                          const tm_moment *now, tm_buffer *scratch);
tm_status tm_proof_meta(const tm_holding *holding, const tm_shard_meta *meta, tm_slice bytes);
/* Of a commit that was written. */
tm_status tm_proof_settled(const tm_holding *holding);

#endif
