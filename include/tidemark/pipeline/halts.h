/* Why a shard stands until somebody decides: a closed list of short names, the same in the log (`code`), in /readyz, in
   the metrics and in `tidemark doctor`. A name never changes its meaning; docs/operations.md has a row for each. */
#ifndef TIDEMARK_PIPELINE_HALTS_H
#define TIDEMARK_PIPELINE_HALTS_H

typedef enum tm_halt {
    TM_HALT_NONE,
    TM_HALT_OFFSETS_FOREIGN,       /* the group's offsets name no commit */
    TM_HALT_OFFSETS_MOVED,         /* they name the state's commit at another position */
    TM_HALT_OFFSETS_OLDER,         /* they are older than the outputs the store still has */
    TM_HALT_OFFSETS_EXPIRED,       /* there are none, and the store has outputs that wait */
    TM_HALT_TOPIC_RECREATED,       /* the record at R - 1 is another */
    TM_HALT_TOPIC_CUT,             /* R or C is beyond the end of an input */
    TM_HALT_PARTITIONS_CHANGED,    /* accounts have moved between shards */
    TM_HALT_RULES_OLDER,           /* the state was written under a higher rules version */
    TM_HALT_CONFIGURATION_CHANGED, /* … or under another time zone or user key */
    TM_HALT_STATE_DAMAGED,         /* a blob, the meta or an output cannot be read */
    TM_HALT_STATE_FOREIGN,         /* it is of a commit whose number another one was published under */
    TM_HALT_JOURNAL_DAMAGED,       /* a line cannot be read */
    TM_HALT_JOURNAL_SHORT,         /* it does not lead to C */
    TM_HALT_JOURNAL_CONFIGURATION, /* it was written under a configuration that cannot be replayed here */
    TM_HALT_RULES_LOST,            /* the rules it kept cannot be compiled any more */
    TM_HALT_MEMORY,                /* no memory is left for the shard */
    TM_HALT_WRITE_FAILED,          /* the store took a part of a commit, or says that it never can */
    TM_HALT_INVARIANT,             /* what must hold inside does not */
    TM_HALTS
} tm_halt;

/* The name, static text: "offsets_moved"; "" for TM_HALT_NONE and beyond the list. */
const char *tm_halt_code(tm_halt halt);

#endif
