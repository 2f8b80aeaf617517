/* The running processor: checks at start, one thread a worker, and what they show. Used by `run` and by `demo`. */
#ifndef TIDEMARK_COMMANDS_SERVICE_H
#define TIDEMARK_COMMANDS_SERVICE_H

#include <pthread.h>

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/kafka/journal.h"
#include "tidemark/commands/setup.h"
#include "tidemark/pipeline/worker.h"

typedef struct tm_service_options {
    bool once;
    bool dry_run;          /* joins no group, writes nothing, prints the signals on standard output */
    tm_time until;         /* TM_TIME_NEVER: none */
    const tm_clock *clock; /* NULL: the system's */
    uint32_t partitions;   /* of topics that the caller made itself: nothing of Kafka is checked; 0: look and check */
} tm_service_options;

typedef struct tm_service_worker {
    pthread_t thread;
    bool started;
    atomic_bool finished;
    struct tm_service *service;
    tm_kafka_config kafka;
    tm_worker_ports ports;
    tm_kafka_journal *journal;
    tm_worker_gauges gauges;
    tm_status status;
    tm_error error;
} tm_service_worker;

typedef struct tm_service {
    const tm_command *command;
    const tm_setup *setup;
    tm_service_options options;
    tm_log log;
    tm_clock clock;
    tm_kafka_config kafka;
    tm_kafka_property *properties;
    tm_pipeline_settings settings;
    _Atomic(const tm_pack *) reloaded; /* the newest rules; NULL: those of the setup */
    _Atomic uint32_t retries;          /* how often halted shards were to be claimed again */
    int64_t *ends[TM_INPUTS];
    tm_service_worker *workers;
    uint32_t worker_count;
    atomic_bool stop;
    void *dry_state; /* of a dry run: the store's memory */
} tm_service;

/* What all workers show together. */
typedef struct tm_service_sum {
    uint64_t records, applied, duplicates, late, dead_letters, judged, signals, commits, publications, shed;
    int64_t open[TM_KINDS], accounts, memory, time;
    int64_t lag; /* records waiting in the inputs; -1: not known */
    uint32_t shards, halted;
    bool waiting;
} tm_service_sum;

/* Checks brokers, topics and Redis, finds the counting start and the ends. Everything handed in outlives the service.
   Returns 0, or an exit status after saying why: EX_UNAVAILABLE when something does not answer, EX_CONFIG when it is
   not as it has to be. */
int tm_service_prepare(tm_service *service, const tm_command *command, const tm_setup *setup, const tm_log *log,
                       const tm_service_options *options);
/* Starts the workers. 0 or an exit status. */
int tm_service_start(tm_service *service);
/* True when every worker has ended. */
bool tm_service_finished(const tm_service *service);
void tm_service_look(const tm_service *service, tm_service_sum *ret_sum);
/* Asks the workers to settle and leave, waits for them; 0, or the exit status of the first that failed (said on
 * standard error). */
int tm_service_stop(tm_service *service);
void tm_service_done(tm_service *service);

#endif
