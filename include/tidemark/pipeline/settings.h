/* What the pipeline is told once, before it starts: shared by all workers of a process, never changed while they run.
 */
#ifndef TIDEMARK_PIPELINE_SETTINGS_H
#define TIDEMARK_PIPELINE_SETTINGS_H

#include "tidemark/codec/accountrecord.h"
#include "tidemark/codec/event.h"
#include "tidemark/core/shard.h"
#include "tidemark/ports/clock.h"
#include "tidemark/ports/journal.h"
#include "tidemark/ports/log.h"
#include "tidemark/ports/publisher.h"
#include "tidemark/ports/source.h"
#include "tidemark/ports/store.h"

typedef struct tm_pipeline_settings {
    tm_slice group;
    tm_slice topics[TM_INPUTS]; /* names, for dead letters and `input` */
    bool accounts_on;           /* the accounts input is read */
    uint32_t partitions;        /* of each input: an account's shard depends on it */
    tm_shard_settings shard;
    int64_t grace;            /* ms a drained shard's T stays behind the wall clock */
    int64_t commit_interval;  /* ms */
    uint32_t commit_records;  /* a commit ends early after so many records of a shard */
    uint32_t commit_accounts; /* … or so many changed accounts */
    size_t message_max;       /* bytes of one output record */
    tm_time counting_start;   /* of the group */
    tm_event_options reading;
    const tm_pack *pack;
    /* Where a reload puts newer rules: taken between two commits, acting from the next grid instant on. NULL: no
       reloads. A pack put there outlives the workers. */
    _Atomic(const tm_pack *) *reloaded;
    /* How often an operator asked that halted shards be claimed again (after *reloaded was set). NULL: never. */
    const _Atomic uint32_t *retries;
    uint64_t configuration_hash;              /* over everything below that changes what records mean */
    tm_slice timezone, key_mismatch, mapping; /* as the journal keeps them */
    const char *version;                      /* of the program */
    /* How a run ends by itself. */
    bool once;                      /* at `ends`, the input's end as found at the start */
    const int64_t *ends[TM_INPUTS]; /* one a partition */
    tm_time final_time;             /* with once: T moves there at the end; TM_TIME_NONE: it stays */
    tm_time until;                  /* read no record later than this and end exactly there; TM_TIME_NEVER: none */
} tm_pipeline_settings;

#endif
