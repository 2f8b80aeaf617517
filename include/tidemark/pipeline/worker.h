/* The loop: source → intake → shard → ledger, with back-off when something outside does not answer, and settling when
   shards are taken away. One thread, one group member, one store connection; nothing is shared but the counters below.
 */
#ifndef TIDEMARK_PIPELINE_WORKER_H
#define TIDEMARK_PIPELINE_WORKER_H

#include <stdatomic.h>

#include "tidemark/pipeline/halts.h"
#include "tidemark/pipeline/settings.h"

/* Halted shards that a worker names; more are only counted. */
enum { TM_WORKER_HALTS = 32 };

/* What a worker shows to others; written by its thread only, read by any. */
typedef struct tm_worker_gauges {
    _Atomic uint64_t records, applied, duplicates, late, dead_letters, erasures, judged, signals, commits, publications,
        shed;
    _Atomic int64_t open[TM_KINDS];
    _Atomic int64_t accounts, memory,
        lag;              /* lag: records between the last look at the ends and what was taken; -1: not known */
    _Atomic int64_t time; /* least T of the live shards */
    _Atomic uint32_t shards, halted;
    /* The first of the halted: which, and why (a tm_halt). Beyond min(halted, TM_WORKER_HALTS) the entries are old. */
    struct {
        _Atomic int32_t partition;
        _Atomic int halt;
    } halts[TM_WORKER_HALTS];
    _Atomic bool waiting; /* something outside does not answer */
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
} tm_worker_ports;

/* Runs until *stop is set (then it settles and leaves), until a run with an end came to it, or until it cannot go on.
   The ports are left and closed in every case. TM_OK: stopped or at its end, everything committed and published.
   TM_RETRY: stopped while something outside did not answer: what was not committed will be read again. TM_FATAL:
   fenced, refused by the group, or every shard is halted (error). */
tm_status tm_worker_run(const tm_pipeline_settings *settings, tm_worker_ports *ports, const atomic_bool *stop,
                        tm_worker_gauges *gauges, tm_error *error);

#endif
