/* What the sources of the room `worker` share: worker.c (the loop and the group's word) and workercommit.c (commits and
   publications). */
#ifndef TIDEMARK_PROCESSOR_PIPELINE_WORKERROOM_H
#define TIDEMARK_PROCESSOR_PIPELINE_WORKERROOM_H

#include "tidemark/base/crashpoint.h"
#include "tidemark/pipeline/ledger.h"
#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/rebuild.h"
#include "tidemark/pipeline/report.h"
#include "tidemark/pipeline/worker.h"

enum {
    POLL_RECORDS = 5000,  /* taken from the source at once */
    APPLY_RECORDS = 5000, /* applied of one shard before the next has its turn */
    CONFIRM_EVERY = 50,   /* ms between questions to the broker whether an input is drained */
    IDLE_COMMIT = 30000,  /* ms of stream time after which an idle shard commits its T, even if nobody is due */
    BACKOFF_FIRST = 50,   /* ms; doubled at each failure, with jitter */
    BACKOFF_LAST = 5000,
    SAY_EVERY = 30000,     /* ms between log lines about the same wait */
    LAG_EVERY = 10000,     /* ms between looks at how far the inputs are ahead */
    SETTLE_TRIES = 3,      /* inside a revocation the group waits for us */
    STOP_DEADLINE = 10000, /* ms a stop may take while something outside does not answer */
};

typedef struct held {
    tm_holding *holding;
    tm_rebuild *rebuild;
    int64_t claim_at; /* steady ms of the next attempt */
    int64_t backoff;
    int64_t confirmed_at;
    tm_waiting waits_for;    /* what did not answer when something was tried for this shard */
    uint32_t silent;         /* with TM_WAITING_INPUT: the inputs of which nothing was heard since, 1 << input each */
    tm_shard_counts counted; /* what the gauges have of the shard's counts */
} held;

typedef struct worker {
    const tm_pipeline_settings *settings;
    tm_worker_ports *ports;
    const atomic_bool *stop;
    tm_worker_gauges *gauges;
    tm_ledger ledger;
    tm_reading reading;
    held **shards;
    uint32_t count, capacity;
    tm_source_record *batch;
    bool assigned;                /* an assignment came since the last revocation */
    uint32_t lacks;               /* what the worker itself waits for, as in gauges->waiting; each shard has its own */
    int64_t said_at[TM_WAITINGS]; /* steady ms of the last log line about it; 0: none of this wait */
    bool in_callback;             /* the source's callback is running: it must not be polled */
    bool inside;                  /* a commit or publication is being tried: a revocation only marks */
    uint32_t retried;             /* of settings->retries */
    int64_t next_round;
    uint32_t partitions; /* of the inputs, as last told: another number than at the start halts every shard */
    int64_t lag_at;      /* steady ms of the next look at how far the inputs are ahead */
    int64_t stop_since;  /* steady ms when the stop was seen; 0: not yet */
    uint32_t random;
    tm_error fatal;
    bool failed;
    bool unsettled; /* a commit was given up: what it had taken is read again */
} worker;

static inline int64_t steady(worker *w)
{
    return w->ports->clock.steady(w->ports->clock.context);
}

static inline tm_time wall(worker *w)
{
    return w->ports->clock.wall(w->ports->clock.context);
}

static inline int64_t doubled(int64_t backoff)
{
    int64_t next = backoff ? backoff * 2 : BACKOFF_FIRST;
    return next < BACKOFF_LAST ? next : BACKOFF_LAST;
}

/* A worker reads one journal at a time: the others wait for their turn. */
static inline bool rebuilding(const worker *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->shards[i]->rebuild)
            return true;
    }
    return false;
}

/* A sign of life: everything that may take long lies between two of them. */
static inline void tm_worker_beat(worker *w)
{
    atomic_store(&w->gauges->beat, steady(w));
}

void tm_worker_say(worker *w, tm_log_level level, const char *event, const char *message, int32_t partition,
                   const tm_error *error);
void tm_worker_fail(worker *w, const tm_error *error);
/* The shard's state here is not to be relied on: it is claimed again, later each time. */
void tm_worker_claim_again(worker *w, held *h);
/* A check tripped (TM_BROKEN): the shard is claimed again because of a record, or halted with a report. */
void tm_worker_broken(worker *w, held *h, const tm_error *why);
/* Lets go of shards that were lost while a commit or publication was tried. */
void tm_worker_sweep(worker *w);
/* Notes that `what` does not answer, for a shard or (h == NULL) for the worker itself: gauges and log. */
void tm_worker_lack(worker *w, held *h, tm_waiting what, const tm_error *error);
/* What is no longer waited for, since it answered or since nobody asks any more; and what is waited for without an
   error is said once it lasts. Called every turn. */
void tm_worker_look_at_waits(worker *w);
/* What `what` was asked for succeeded. */
void tm_worker_answered(worker *w, held *h, tm_waiting what);
/* Asks the brokers for the ends of the shard's inputs where that is to be known. TM_OK, TM_RETRY. */
tm_status tm_worker_confirm(worker *w, held *h);
/* Whether new rules changed so many accounts between two commits that the shard is full before it began: what they
   changed has to be written before it takes a record. */
bool tm_worker_owes(const tm_holding *holding);
/* Waits before a call is tried again, as a member of the group. False when there is no more time, or no more
 * membership. */
bool tm_worker_wait(worker *w, int64_t *backoff);
/* What the shard counted since the last call becomes part of the gauges: it was committed. */
void tm_worker_count(worker *w, held *h);
/* The gauges of what stands now. */
void tm_worker_show(worker *w);
/* How many records of the shards held have not been taken, by the broker's word; asked now and then. */
void tm_worker_look_at_lag(worker *w);
/* Ends the open commits of all shards, or of the full ones. */
void tm_worker_commit_all(worker *w, bool full_only);
/* Moves C up to R, in at most `tries` attempts (0: until there is no more time). False when that could not be done. */
bool tm_worker_publish(worker *w, uint32_t tries);
/* Asks how many partitions the inputs have, now and then: with another number than at the start, accounts have moved
   between shards, and every shard halts. */
void tm_worker_look_at_partitions(worker *w);
/* Halts a shard when that is so. True: it is halted. */
bool tm_worker_moved(worker *w, held *h);
/* Where an operator asked for it, halted shards are to be claimed again. */
void tm_worker_retry_halted(worker *w);

#endif
