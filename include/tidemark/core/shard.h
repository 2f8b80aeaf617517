/* The pure machine: accounts, agenda, duplicates and stream time of one shard. Takes records and clock readings, gives
   signals. A commit is a function of its state and what it is given between begin and end; nothing else.

   begin(wall) → apply(record)* → advance(T)? → the changed accounts are written → settled() */
#ifndef TIDEMARK_CORE_SHARD_H
#define TIDEMARK_CORE_SHARD_H

#include "tidemark/core/duplicates.h"
#include "tidemark/core/judge.h"

typedef struct tm_shard_settings {
    const tm_zone *zone;
    int64_t evaluate_every; /* the grid, ms; divides one hour */
    int64_t max_skew;       /* ms; negative: no event is ever refused as future (files) */
    int64_t dedup_window;   /* ms */
    uint32_t dedup_entries;
    size_t memory_limit; /* bytes; 0: none */
    bool every_instant;  /* judge every account at every grid instant: the definition itself, for tests */
} tm_shard_settings;

/* From which instant a metric is counted: metrics are known by identity. */
typedef struct tm_counting {
    uint64_t identity;
    tm_time start;                   /* TM_TIME_NONE: history is complete */
    int32_t reach_days, reach_hours; /* buckets kept so far: a longer reach begins at the oldest of them */
} tm_counting;

typedef enum tm_record_kind { TM_RECORD_EVENT, TM_RECORD_FACTS, TM_RECORD_ERASE, TM_RECORD_UNUSABLE } tm_record_kind;

/* One decoded record. */
typedef struct tm_record {
    tm_input input;
    int64_t offset;
    tm_time timestamp; /* TM_TIME_NONE: none */
    tm_record_kind kind;
    const tm_event *event;       /* TM_RECORD_EVENT */
    const tm_facts_draft *facts; /* TM_RECORD_FACTS */
    tm_slice account;            /* TM_RECORD_FACTS, TM_RECORD_ERASE */
} tm_record;

/* What became of a record. */
typedef enum tm_outcome {
    TM_OUTCOME_APPLIED,
    TM_OUTCOME_DUPLICATE,
    TM_OUTCOME_FUTURE,   /* to be a dead letter: the event is later than stream time + max_skew */
    TM_OUTCOME_UNUSABLE, /* stream time moved, nothing else */
    TM_OUTCOME_BROKEN    /* with TM_BROKEN: it was the record's own application that tripped a check */
} tm_outcome;

typedef struct tm_shard_counts {
    uint64_t records, applied, duplicates, future, late, beyond, unusable, facts, erasures, judged, shed;
    uint64_t signals[TM_KINDS][4]; /* by tm_signal_state */
} tm_shard_counts;

typedef struct tm_shard tm_shard;

/* A shard without accounts. `pack` outlives it. `counting` (one a metric of the pack, by identity; others of the pack
   count from `counting_start`). NULL without memory. */
tm_shard *tm_shard_new(const tm_shard_settings *settings, const tm_pack *pack, tm_time counting_start,
                       const tm_counting *counting, uint32_t counting_count);
void tm_shard_free(tm_shard *shard); /* NULL is allowed */
void tm_shard_set_sink(tm_shard *shard, tm_signal_sink sink, void *context);
/* Who gets the records of scores, with the same context; NULL: nobody. */
void tm_shard_set_health_sink(tm_shard *shard, tm_health_sink sink);

/* --- restoring what a store kept --- */
/* Stream time, and whether the grid instant T was judged already. */
void tm_shard_restore_time(tm_shard *shard, tm_time t, bool judged);
/* Takes an account decoded with tm_shard_heap's heap; it will be judged at the next grid instant. TM_OK; TM_REJECT: the
   shard has that account already; TM_FATAL. */
tm_status tm_shard_restore_account(tm_shard *shard, tm_account *account);
tm_status tm_shard_restore_fingerprint(tm_shard *shard, tm_fingerprint fingerprint, tm_time at);
tm_heap *tm_shard_heap(tm_shard *shard);

/* --- stream time --- */
/* T; TM_TIME_NONE before the shard was started. */
tm_time tm_shard_time(const tm_shard *shard);
bool tm_shard_judged(const tm_shard *shard); /* the grid instant T was judged */
/* The first T of a shard that never had one: the least timestamp of the first records of both inputs. */
void tm_shard_start(tm_shard *shard, tm_time t);
/* The effective time a record with this timestamp would have if it were applied next: never before T, never after the
   wall clock of the commit, T + 1 ms where T was judged; T for a missing timestamp. */
tm_time tm_shard_effective(const tm_shard *shard, tm_time timestamp);
/* The next instant at which some account is to be judged; TM_TIME_NEVER: none. */
tm_time tm_shard_next_due(const tm_shard *shard);

/* --- a commit --- */
/* `wall`: the clock at the start of the commit; TM_TIME_NEVER: there is no wall clock (files). */
void tm_shard_begin(tm_shard *shard, tm_time wall);
/* Moves T to the record's effective time (judging the instants passed), then applies it. `ret_erased_key`: nothing.
 * TM_OK; TM_FATAL (memory, or the sink's word); TM_BROKEN: a check tripped (tm_heap_tripped of tm_shard_heap says
 * which), and the shard may be half changed: it is to be dropped and restored. With outcome TM_OUTCOME_BROKEN the
 * record is the suspect, else T's way to it. */
tm_status tm_shard_apply(tm_shard *shard, const tm_record *record, tm_outcome *ret_outcome);
/* Moves T to `t` (if later) and judges every grid instant up to and including T: the idle advance of a drained shard,
 * and the end. TM_OK, TM_FATAL or TM_BROKEN as above. */
tm_status tm_shard_advance(tm_shard *shard, tm_time t);

/* Accounts that differ from what the store holds, in no particular order but the same for the same input; and the keys
 * of accounts erased since the last `settled` and not come back. */
uint32_t tm_shard_changed_count(const tm_shard *shard);
const tm_account *tm_shard_changed(const tm_shard *shard, uint32_t index);
uint32_t tm_shard_erased_count(const tm_shard *shard);
tm_slice tm_shard_erased(const tm_shard *shard, uint32_t index);
/* Fingerprints accepted since the last `settled`, in order, with their times. */
uint32_t tm_shard_accepted_count(const tm_shard *shard);
void tm_shard_accepted(const tm_shard *shard, uint32_t index, tm_fingerprint *ret_fingerprint, tm_time *ret_at);
/* Everything above was written: the lists are emptied. */
void tm_shard_settled(tm_shard *shard);

/* --- rebuilding --- */
/* Muted, nothing is judged: records are applied for what they count, signals come from the journal by `impose`. When
   the mute ends, every account is to be judged at the next grid instant. TM_OK or TM_FATAL. */
tm_status tm_shard_mute(tm_shard *shard, bool muted);
/* Sets the episode of a signal that was made before: an account not known is made. `rule` is its name. TM_OK or
 * TM_FATAL. */
tm_status tm_shard_impose(tm_shard *shard, tm_slice key, tm_slice rule, tm_kind kind, tm_severity severity,
                          tm_signal_state state, tm_time raised_at, tm_time time, uint32_t sequence);
/* What was counted before `t` is not complete: windows that begin before the first midnight from `t` on are null from
 * now on. */
void tm_shard_count_from(tm_shard *shard, tm_time t);
/* Marks every account as changed and every remembered fingerprint as accepted: all of it is to be written. TM_OK or
 * TM_FATAL. */
tm_status tm_shard_touch_all(tm_shard *shard);

/* Asks the processor to load what the next events of an account will touch: first where it stands (`near` false), some
   records later the account itself (`near` true). `hash` is tm_hash of the key. Changes nothing. */
void tm_shard_prefetch(const tm_shard *shard, uint64_t hash, bool near);

/* --- looking --- */
const tm_shard_counts *tm_shard_counted(const tm_shard *shard);
int64_t tm_shard_open(const tm_shard *shard, tm_kind kind); /* open episodes */
uint32_t tm_shard_account_count(const tm_shard *shard);
const tm_account *tm_shard_account_at(const tm_shard *shard, uint32_t index); /* index < count, any order */
const tm_account *tm_shard_account(const tm_shard *shard, tm_slice key);      /* NULL: never seen */
/* The value of a pack's node for an account at `t` (not before T), seeing the records applied so far. */
tm_value tm_shard_evaluate(tm_shard *shard, tm_slice account, tm_time t, uint32_t node);
uint32_t tm_shard_counting_count(const tm_shard *shard);
tm_counting tm_shard_counting(const tm_shard *shard,
                              uint32_t index); /* one a metric of the pack, for the store's meta */
size_t tm_shard_memory(const tm_shard *shard);

/* Moves the shard to another grid, skew and dedup window (the zone and the memory limit stay): what was judged and
   forgotten under the former ones stays so, and every account is judged at the next instant of the new grid. TM_OK,
   TM_FATAL or TM_BROKEN. */
tm_status tm_shard_reconfigure(tm_shard *shard, const tm_shard_settings *settings);

/* Moves the shard to another pack from the next grid instant on; metrics it did not have count from T. TM_OK or
 * TM_FATAL. */
tm_status tm_shard_adopt(tm_shard *shard, const tm_pack *pack);

#endif
