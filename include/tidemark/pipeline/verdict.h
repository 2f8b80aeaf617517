/* Which row of the take-over table a shard is in: one judgement over what both ledgers and the log say, for take-over
   and for `tidemark doctor`. Pure: it asks nobody. */
#ifndef TIDEMARK_PIPELINE_VERDICT_H
#define TIDEMARK_PIPELINE_VERDICT_H

#include "tidemark/pipeline/halts.h"
#include "tidemark/pipeline/meta.h"

typedef enum tm_row {
    TM_ROW_CLEAN,          /* C.n = R.n, offsets equal */
    TM_ROW_UNPUBLISHED,    /* C.n < R.n, the outbox has what lies between */
    TM_ROW_TAIL_LOST,      /* C.n > R.n: the store lost its last commits */
    TM_ROW_STORE_EMPTY,    /* no state, C there: to be rebuilt */
    TM_ROW_FIRST_START,    /* neither */
    TM_ROW_OFFSETS_ABSENT, /* no C, state there, nothing waits in the outbox: the next publication sets C */
    TM_ROW_HALT            /* what must not be guessed */
} tm_row;

/* The outputs that the store still has beyond C, by commit. */
typedef struct tm_outbox_extent {
    int64_t oldest, newest; /* 0: none */
    bool gap;               /* a commit between them has none */
} tm_outbox_extent;

/* One more output of commit `commit` was seen; commits come in ascending order. */
void tm_outbox_note(tm_outbox_extent *extent, int64_t commit);

/* What was found. Take-over learns it step by step, and asks after each: what is not known yet is not judged. */
typedef struct tm_evidence {
    tm_position committed;     /* C; where the group forgot it, as the journal's end has it */
    bool present;              /* the store has a state: */
    tm_position stored;        /* R */
    const tm_shard_meta *meta; /* its meta; NULL: not known */
    bool outbox_known;
    tm_outbox_extent outbox;
    tm_slice topics[TM_INPUTS];               /* names; absent: the input is off */
    int64_t first[TM_INPUTS], end[TM_INPUTS]; /* of the log; end -1: not known */
    const tm_record_mark *beyond[TM_INPUTS];  /* the record found at R - 1; NULL: not looked at, or not there */
    uint32_t partitions;                      /* of the inputs now */
    int64_t partitions_kept;                  /* of the group when it began; 0: not known */
    int64_t rules_version;                    /* of the rules at hand; 0: not compared */
    uint64_t configuration_hash;              /* of time zone and user key at hand */
} tm_evidence;

typedef struct tm_verdict {
    tm_row row;
    tm_halt halt; /* with TM_ROW_HALT */
    tm_error why; /* … and the sentence, with the command that decides as its hint */
} tm_verdict;

/* `partition` names the shard in the error. */
void tm_verdict_of(const tm_evidence *evidence, int32_t partition, tm_verdict *ret_verdict);

/* Short stable names of rows: "clean", "tail_lost"; and what take-over does with one, a sentence without a full stop.
 */
const char *tm_row_name(tm_row row);
const char *tm_row_means(tm_row row);

/* Sets the error's hint to what an operator does about a halt of this shard: the exact command, or the change that is
   needed. */
void tm_halt_hint(tm_halt halt, int32_t partition, tm_error *error);

#endif
