/* A shard that this worker holds: the pure machine, what has arrived for it, where both ledgers stand, and the commit
   under way.

   unowned ──assigned──> claiming ──clean──────────────> live ──revoked──> settling ──> unowned
                            │  └──store empty──> replaying ──┘
                            └──what must not be guessed──> halted (this shard alone, until an operator chooses) */
#ifndef TIDEMARK_PIPELINE_HOLDING_H
#define TIDEMARK_PIPELINE_HOLDING_H

#include "tidemark/base/check.h"
#include "tidemark/codec/journal.h"
#include "tidemark/pipeline/halts.h"
#include "tidemark/pipeline/intake.h"
#include "tidemark/pipeline/meta.h"
#include "tidemark/pipeline/outbox.h"
#include "tidemark/pipeline/settings.h"

typedef enum tm_holding_state {
    TM_HOLDING_CLAIMING,
    TM_HOLDING_REPLAYING,
    TM_HOLDING_LIVE,
    TM_HOLDING_HALTED,
    TM_HOLDING_LOST
} tm_holding_state;

const char *tm_holding_state_name(tm_holding_state state);

/* What a worker's holdings share: the readers and buffers of one thread. */
typedef struct tm_reading {
    tm_event_reader *events;
    tm_account_record_reader *accounts;
    tm_account_record *record; /* room for one decoded account record */
    tm_event *event;
    tm_buffer text; /* of one output */
} tm_reading;

tm_status tm_reading_init(tm_reading *reading, const tm_event_options *options);
void tm_reading_done(tm_reading *reading);

/* Commits and their last accepted fingerprint, so that old ones are forgotten in the store too. */
typedef struct tm_fingerprint_span {
    int64_t commit;
    tm_time last;
} tm_fingerprint_span;

/* A record that tripped a check: see pipeline/poison.h. */
typedef enum tm_suspicion {
    TM_SUSPECT_NONE,
    TM_SUSPECT_TRIPPED,   /* once: it is applied again, alone */
    TM_SUSPECT_ACQUITTED, /* … and that went well: to be told */
    TM_SUSPECT_POISON     /* … and that tripped too: it is passed over */
} tm_suspicion;

typedef struct tm_suspect {
    tm_suspicion state;
    tm_input input;
    int64_t offset;
    const tm_check *check;
} tm_suspect;

/* Bytes kept of the last journal line, for a report. */
enum { TM_LAST_LINE = 1024 };

typedef struct tm_holding {
    const tm_pipeline_settings *settings;
    const tm_pack *pack; /* the rules in force here: the settings' at first, then what a reload brought */
    tm_reading *reading;
    int32_t partition;
    tm_holding_state state;
    tm_halt halt;    /* its name, when it is */
    tm_error halted; /* … and the sentence */
    int64_t epoch;
    uint32_t refused;      /* claims, one after the other, because of a newer generation */
    tm_position stored;    /* R and n */
    tm_position published; /* C and n */
    tm_shard *shard;
    tm_shard_settings semantics; /* it is under: the settings', or, while the past comes back, those of that time */
    tm_intake intake;
    tm_outbox outbox; /* outputs beyond `published` */
    tm_record_mark marks[TM_INPUTS];
    tm_record_mark expected[TM_INPUTS]; /* the record at R - 1 as the store remembers it, until it was seen again;
                                           offset -1: nothing to see */
    tm_time counting_start;
    bool gap; /* records of usage were gone before they were read: nothing is judged before it is known from when on
                 metrics count */
    tm_time count_from;      /* … which the next commit tells; 0: nothing to tell */
    bool configuration_told; /* the journal has the pack and configuration in force */
    tm_fingerprint_span *spans;
    uint32_t span_count, span_capacity;

    /* What tripped; all of it outlives a drop. */
    const tm_check *broken; /* the last check that did */
    bool blamed;            /* … by a record's own doing */
    tm_suspect suspect;
    uint32_t poisoned, trips;     /* records passed over since it is held; claims because of trips since a commit */
    char last_line[TM_LAST_LINE]; /* the journal's, of the last commit written here; cut */

    /* The commit under way. */
    bool open;
    int64_t from[TM_INPUTS];
    tm_time clock_begin, t_before;
    uint32_t records; /* applied in it */
    tm_arena *arena;  /* texts of the two lists below */
    tm_journal_signal *signals;
    uint32_t signal_count, signal_capacity;
    tm_journal_erasure *erasures;
    uint32_t erasure_count, erasure_capacity;
    bool sealed;      /* its end is decided: journal line, positions and fingerprints stand; only the write is left */
    tm_position next; /* R after it */
    uint32_t letter_count;  /* dead letters */
    uint32_t health_count;  /* records of scores */
    tm_journal_skip *skips; /* records passed over */
    uint32_t skip_count, skip_capacity;
    const tm_journal_skip *told; /* of the journal line that is replayed: records to be passed over */
    uint32_t told_count;
    bool apart;      /* it ends here: the suspect comes next, or was the last */
    bool publishing; /* false while a past commit is replayed: nothing goes to the outbox */
    bool done;       /* a run with an end came to it, and all is committed */
} tm_holding;

tm_holding *tm_holding_new(const tm_pipeline_settings *settings, tm_reading *reading, const tm_source *source,
                           int32_t partition);
void tm_holding_free(tm_holding *holding); /* releases what waits; NULL is allowed */

/* Makes the shard afresh (no accounts). `counting_start` and `meta` (NULL: none kept) say from when its metrics count.
 */
tm_status tm_holding_make_shard(tm_holding *holding, const tm_pack *pack, tm_time counting_start,
                                const tm_shard_meta *meta);
/* Grid, skew and dedup window as a meta or a journal line has them, over the settings'; the shard is moved to them, or,
   where there is none yet, will be made under them. TM_OK, TM_FATAL or TM_BROKEN. */
tm_status tm_holding_semantics(tm_holding *holding, int64_t evaluate_every, int64_t max_skew, int64_t dedup_window,
                               int64_t dedup_entries);
/* The same back to the settings'; *ret_changed when they were others. */
tm_status tm_holding_settle_semantics(tm_holding *holding, bool *ret_changed);
/* Over how records are read: mapping and key_mismatch. */
uint64_t tm_holding_reading_hash(const tm_holding *holding);
/* Drops everything resident: the next step is a claim. */
void tm_holding_drop(tm_holding *holding);
/* Stops this shard alone with a reason, without a word in the log: tm_ledger_halt says it too. */
void tm_holding_halt(tm_holding *holding, tm_halt halt, const tm_error *why);

/* Begins a commit unless one is open: `wall` is the clock's reading. */
void tm_holding_begin(tm_holding *holding, tm_time wall);
/* Applies what may be taken, at most `limit` records; *ret_count says how many, *ret_answer why it stopped
 * (TM_INTAKE_RECORD: the limit). TM_OK; TM_FATAL: the shard has to be halted; TM_BROKEN: a check tripped,
 * tm_poison_decide says what is to be done. */
tm_status tm_holding_apply(tm_holding *holding, uint32_t limit, uint32_t *ret_count, tm_intake_answer *ret_answer,
                           tm_error *error);
/* One record that was taken already; `headers` is read from the source. Statuses as above. */
tm_status tm_holding_apply_record(tm_holding *holding, const tm_source_record *record, tm_error *error);
/* Remembers that commit `commit` accepted fingerprints, the last of them at `last`. TM_OK or TM_FATAL. */
tm_status tm_holding_note_span(tm_holding *holding, int64_t commit, tm_time last);
/* True when the commit is as large as it may get. */
bool tm_holding_full(const tm_holding *holding);
/* The meta as of now, for the store. */
void tm_holding_meta(const tm_holding *holding, tm_shard_meta *ret_meta);

#endif
