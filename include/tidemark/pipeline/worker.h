/* The loop: source → intake → shard → ledger, with back-off when something outside does not answer, and settling when
   shards are taken away. One thread, one group member, one store connection; nothing is shared but the counters below.
 */
#ifndef TIDEMARK_PIPELINE_WORKER_H
#define TIDEMARK_PIPELINE_WORKER_H

#include <stdatomic.h>

#include "tidemark/pipeline/halts.h"
#include "tidemark/pipeline/settings.h"
#include "tidemark/pipeline/waiting.h"

/* How long something took, in ms: counts by upper bound, as Prometheus' histograms, each only its own. */
#define TM_DURATION_BOUNDS                                                                                             \
    {                                                                                                                  \
        5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000                                                   \
    }
enum { TM_DURATION_BUCKETS = 13 }; /* one for each bound, and one for what is longer */
typedef struct tm_durations {
    _Atomic uint64_t buckets[TM_DURATION_BUCKETS];
    _Atomic uint64_t sum; /* ms */
} tm_durations;

enum {
    TM_WORKER_HALTS = 32, /* halted shards that a worker names; more are only counted */
    /* ms without a sign of life after which a worker hangs: as long as the group waits for it (max.poll.interval.ms),
       and about three times the longest of its calls (a publication with every time-out, 36 s). */
    TM_WORKER_BEAT_MAX = 120000
};

/* What a worker shows to others; written by its thread only, read by any. All zero at first. */
typedef struct tm_worker_gauges {
    /* What was committed since the worker began: these only grow, and name nothing twice. */
    _Atomic uint64_t records, applied, duplicates, late, dead_letters, erasures, judged, shed;
    _Atomic uint64_t signals[TM_KINDS][4]; /* by tm_signal_state */
    _Atomic uint64_t commits, publications;
    tm_durations commit_times, publish_times; /* from the first attempt to the last */
    /* As it stands. */
    _Atomic int64_t open[TM_KINDS];
    _Atomic int64_t accounts, memory,
        lag;              /* lag: records between the last look at the ends and what was taken; -1: not known */
    _Atomic int64_t time; /* least T of the live shards */
    _Atomic uint32_t shards, halted;
    /* The first of the halted: which, and why (a tm_halt). Beyond min(halted, TM_WORKER_HALTS) the entries are old. */
    struct {
        _Atomic int32_t partition;
        _Atomic int halt;
        tm_note why;
    } halts[TM_WORKER_HALTS];
    _Atomic int64_t beat; /* steady ms of the last sign of life; 0: none yet */
    /* What outside does not answer: a bit 1 << tm_waiting each; 0: nothing. It waits for the group from its begin to
       its first assignment (be that empty), and from a revocation to the next. */
    _Atomic uint32_t waiting;
    _Atomic int64_t waiting_since[TM_WAITINGS]; /* steady ms */
    tm_note waiting_why[TM_WAITINGS];           /* the last error; number: the partition, or -1 */
} tm_worker_gauges;

typedef struct tm_worker_ports {
    tm_source source;
    tm_store store;
    tm_publisher publisher;
    tm_journal_source journal;
    tm_clock clock;
    tm_log log;
    /* The group generation for claims; -1: unknown. */
    int64_t (*generation)(void *context);
    void *generation_context;
    /* Of what is left to chance, waits and epochs: another for each worker of every process. */
    uint64_t seed;
} tm_worker_ports;

/* Runs until *stop is set (then it settles and leaves), until a run with an end came to it, or until it cannot go on.
   The ports are left and closed in every case. TM_OK: stopped or at its end, everything committed and published, or
   stopped before it was a member of the group.
   TM_RETRY: stopped while something outside did not answer: what was not committed will be read again. TM_FATAL:
   fenced, refused by the group, or every shard is halted (error). */
tm_status tm_worker_run(const tm_pipeline_settings *settings, tm_worker_ports *ports, const atomic_bool *stop,
                        tm_worker_gauges *gauges, tm_error *error);

#endif
