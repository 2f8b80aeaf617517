/* The journal: a line a commit, and the configuration at first use and on every change (schemas/journal.schema.json).
   What a line says, together with the records of its intervals, is all a commit depended on. */
#ifndef TIDEMARK_CODEC_JOURNAL_H
#define TIDEMARK_CODEC_JOURNAL_H

#include "tidemark/core/shard.h"

typedef struct tm_journal_signal {
    tm_slice account, rule;
    tm_time raised_at;
    tm_signal_state state;
    uint32_t sequence;
    tm_kind kind;
    tm_severity severity;
    tm_time time;
} tm_journal_signal;

typedef struct tm_journal_erasure {
    tm_slice account;
    tm_time at;
} tm_journal_erasure;

/* A record of the commit's intervals that was passed over: it moved T and did nothing else. */
typedef struct tm_journal_skip {
    tm_input input;
    int64_t offset;
    tm_slice check; /* the name of the check that applying it trips */
} tm_journal_skip;

typedef struct tm_journal_commit {
    tm_slice group;
    int32_t partition;
    int64_t commit; /* n */
    int64_t epoch;
    int64_t from[TM_INPUTS], to[TM_INPUTS]; /* [from, to) of each input; [0, 0) for an input that is switched off */
    tm_time clock_begin, clock_end;         /* both readings; TM_TIME_NONE: null */
    bool drained;                           /* and so T made an advance at the end of the commit, to t_after */
    tm_time t_before, t_after;              /* TM_TIME_NONE: null, T had not begun */
    bool judged;                            /* the grid instant t_after was judged, for every account (judged_at_t) */
    int64_t rules_version;
    uint64_t pack_hash;
    tm_time
        count_from; /* records before it were gone unread: since this commit metrics count from it on; 0: nothing new */
    const tm_journal_signal *signals;
    uint32_t signal_count;
    const tm_journal_erasure *erasures;
    uint32_t erasure_count;
    const tm_journal_skip *skips; /* in the order passed */
    uint32_t skip_count;
} tm_journal_commit;

/* What the meaning of records depends on besides the pack. Text fields are the configuration's own. */
typedef struct tm_journal_configuration {
    tm_slice group;
    int32_t partition;
    int64_t commit; /* n: in force from this commit on; 0 at first use */
    tm_slice core_version;
    int64_t rules_version;
    uint64_t pack_hash;
    tm_slice rules; /* the whole text of rules.yaml */
    tm_slice timezone;
    int64_t evaluate_every, grace, max_skew, dedup_window;
    int64_t dedup_entries, distinct_cap;
    tm_slice key_mismatch;       /* reject or accept */
    tm_slice mapping;            /* the mapping's name or text; absent: null */
    tm_time counting_start;      /* TM_TIME_NONE: null, history is complete */
    const tm_counting *counting; /* one a metric, by identity; at most TM_METRICS_MAX */
    uint32_t counting_count;
} tm_journal_configuration;

/* Each appends one JSON object, without a newline. A value of `tm_journal_signal` is written with its episode's key. */
void tm_journal_encode_commit(const tm_journal_commit *line, tm_buffer *out);
void tm_journal_encode_configuration(const tm_journal_configuration *line, tm_buffer *out);

/* A line read back; owns its memory. Exactly one of `commit` and `configuration` is set. */
typedef struct tm_journal_line {
    const tm_journal_commit *commit;
    const tm_journal_configuration *configuration;
} tm_journal_line;

/* Bytes may be anything, up to TM_JOURNAL_LINE_MAX; fields that no schema knows are ignored. *ret_line is set with
   TM_OK only, and freed with tm_journal_line_free. TM_OK; TM_REJECT for bytes that are no journal line (error says
   what), TM_FATAL without memory. */
tm_status tm_journal_decode(tm_slice bytes, tm_journal_line **ret_line, tm_error *error);
void tm_journal_line_free(tm_journal_line *line); /* NULL is allowed */

#endif
