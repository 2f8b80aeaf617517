/* The protocol: commit, publication, take-over and settlement of the two ledgers, and nothing else.

   The store has R and n, Kafka has C and n. A commit moves R; a publication moves C up to R together with the outputs.
   C.n <= R.n always, unless the store lost what it had promised. */
#ifndef TIDEMARK_PIPELINE_LEDGER_H
#define TIDEMARK_PIPELINE_LEDGER_H

#include "tidemark/pipeline/holding.h"
#include "tidemark/pipeline/waiting.h"

typedef struct tm_ledger {
    const tm_store *store;
    const tm_publisher *publisher;
    const tm_source *source;
    const tm_log *log;
    const tm_clock *clock;
    const tm_journal_source *journal;    /* set by who has one; NULL: it is not asked */
    bool journal_taken;                  /* a replay is reading it */
    tm_buffer blobs, meta, fingerprints; /* room for one commit */
    tm_buffer letter;                    /* a dead letter cut to what its topic takes */
    tm_store_write *writes;
    uint32_t write_capacity;
    bool must_initialise;  /* the producer is to be made anew before the next publication */
    uint64_t seed, claims; /* by what claims raise the epoch */
    tm_waiting asked;      /* whom the call that did not succeed asked last: for whom to wait after TM_RETRY */
} tm_ledger;

/* `seed`: another for each worker of every process. */
void tm_ledger_init(tm_ledger *ledger, const tm_store *store, const tm_publisher *publisher, const tm_source *source,
                    const tm_log *log, const tm_clock *clock, uint64_t seed);
void tm_ledger_done(tm_ledger *ledger);

/* Takes over a shard, as the table of ARCHITECTURE.md: after TM_OK the holding is live (what has to be published is in
   its outbox), replaying, or halted with a reason. TM_RETRY: an outside thing did not answer; try again. `generation`
   of the group. */
tm_status tm_ledger_claim(tm_ledger *ledger, tm_holding *holding, int64_t generation, tm_error *error);

/* Halts the shard and says so in the log (`shard_halted`, with the halt's name and `why`): the others go on. */
void tm_ledger_halt(tm_ledger *ledger, tm_holding *holding, tm_halt halt, const tm_error *why);

/* Ends the open commit: journal line, state, outputs, in one atomic write. `advance_to` is T after the idle advance or
   end, TM_TIME_NONE when there is none. `clock_end` is the second reading. TM_OK: R moved. TM_RETRY: not written as far
   as is known; call again with the same arguments (the commit stays as it was). TM_REJECT: the shard is another's, or
   must be claimed anew: drop it. TM_FATAL: halt it. TM_BROKEN: a check tripped, tm_report_broken. */
tm_status tm_ledger_commit(tm_ledger *ledger, tm_holding *holding, tm_time clock_end, tm_time advance_to,
                           tm_error *error);

/* Writes a rebuilt shard as a whole at `position` (C): nothing to publish, no journal line. Statuses as
 * tm_ledger_commit. */
tm_status tm_ledger_install(tm_ledger *ledger, tm_holding *holding, tm_position position, tm_error *error);

/* Publishes what the holdings' outboxes have beyond C, in one transaction with the positions. TM_OK: C = R for every
   live holding. TM_RETRY: not settled; call again. TM_REJECT: membership was lost: drop the holdings. TM_FATAL: this
   worker was fenced. */
tm_status tm_ledger_publish(tm_ledger *ledger, tm_holding *const *holdings, uint32_t count, tm_error *error);

#endif
