/* What a shard keeps beside its accounts: stream time, counting starts, and what tells that the input is still the
 * same. */
#ifndef TIDEMARK_PIPELINE_META_H
#define TIDEMARK_PIPELINE_META_H

#include "tidemark/core/shard.h"
#include "tidemark/ports/position.h"

/* Enough of a record to recognise it: tells a recreated topic from the one that was read. offset -1: none was read yet.
 */
typedef struct tm_record_mark {
    int64_t offset;
    tm_time timestamp;
    uint64_t key_hash;
} tm_record_mark;

typedef struct tm_shard_meta {
    tm_time time; /* T; TM_TIME_NONE: not begun */
    bool judged;
    uint32_t partitions;
    int64_t rules_version;
    uint64_t pack_hash;
    uint64_t configuration_hash;
    tm_time counting_start;          /* of the group, when the shard was made */
    tm_record_mark marks[TM_INPUTS]; /* the record at R - 1 */
    int64_t passed[TM_INPUTS];       /* R, or beyond it where it is known that no record lies between (markers of
                                        transactions): what the log lost before it was read. -1: not kept */
    /* In force when it was written: what they are may change at a restart. evaluate_every 0: not kept (an older form).
     */
    int64_t evaluate_every, max_skew, dedup_window, dedup_entries;
    uint64_t reading_hash;     /* of mapping and key_mismatch */
    int64_t fingerprints_from; /* least commit whose fingerprints are kept */
    /* Whose commit it is, as its line of the journal has it, and which one was the last published when it was written,
       and whose that was: two histories may have the same n. 0: not kept (an older form), or not known. */
    int64_t claim, published, published_claim;
    tm_counting counting[TM_METRICS_MAX];
    uint32_t counting_count;
} tm_shard_meta;

void tm_meta_encode(const tm_shard_meta *meta, tm_buffer *out);
/* TM_OK; TM_REJECT: these are no such bytes, or of a later version; the error says which. */
tm_status tm_meta_decode(tm_slice bytes, tm_shard_meta *ret_meta, tm_error *error);

/* Fingerprints accepted by one commit, as the store keeps them: decoded one by one by `visit`, in order of time. */
void tm_fingerprints_encode(const tm_shard *shard, tm_buffer *out);
typedef tm_status (*tm_fingerprint_visit)(void *context, tm_fingerprint fingerprint, tm_time at);
tm_status tm_fingerprints_decode(tm_slice bytes, tm_fingerprint_visit visit, void *context);

#endif
