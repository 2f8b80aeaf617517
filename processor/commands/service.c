#include "tidemark/commands/service.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/file/publisher.h"
#include "tidemark/adapters/kafka/journal.h"
#include "tidemark/adapters/kafka/publisher.h"
#include "tidemark/adapters/kafka/solo.h"
#include "tidemark/adapters/kafka/source.h"
#include "tidemark/adapters/memory/store.h"
#include "tidemark/adapters/redis/store.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/random.h"
#include "tidemark/base/crashpoint.h"

enum {
    CONNECT_MS = 15000,
    EDGES_MS = 60000,
    COMMIT_RECORDS = 2000000,
    COMMIT_ACCOUNTS = 200000,
    FRAME_MAX = 4096,
    MESSAGE_MAX = 1000000, /* Kafka's default max.message.bytes is 1,048,588 with the record's frame */
};
/* How long a store that lost its tail can be repaired bit for bit: account records must not be compacted before. */
#define COMPACTION_LAG TM_HOUR

static void report_finding(void *context, bool fatal, const tm_error *finding)
{
    tm_service *service = context;
    tm_log_field fields[] = {tm_log_text("where", finding->where), tm_log_text("hint", finding->hint)};
    service->log.write(service->log.context, fatal ? TM_LOG_ERROR : TM_LOG_WARNING, "check", finding->what, fields, 2);
    if (fatal)
        (void)tm_cli_fail(service->command, TM_REJECT, finding);
}

static void report_advice(void *context, const tm_error *advice)
{
    report_finding(context, false, advice);
}

static int fail(const tm_service *service, tm_status status, const tm_error *error)
{
    int code = tm_cli_fail(service->command, status, error);
    return status == TM_RETRY ? EX_UNAVAILABLE : status == TM_REJECT ? EX_CONFIG : code;
}

static tm_status open_store(tm_service *service, tm_store *ret_store, tm_error *error)
{
    if (service->options.dry_run)
        return tm_memory_store_open(service->dry_state, ret_store, error);
    tm_redis_store_options options = tm_setup_store(service->setup);
    return tm_redis_store_open(&options, ret_store, error);
}

static int name_parts(tm_service *service)
{
    const tm_configuration *c = service->setup->configuration;
    service->properties = calloc(c->property_count + 1, sizeof *service->properties);
    if (!service->properties)
        return tm_cli_say(service->command, EX_OSERR, "no memory");
    for (uint32_t i = 0; i < c->property_count; i++)
        service->properties[i] = (tm_kafka_property){c->properties[i].name, c->properties[i].value};
    service->kafka = (tm_kafka_config){
        .brokers = c->brokers,
        .group = c->group,
        .instance = c->instance,
        .inputs = {c->usage, c->accounts},
        .outputs = {c->churn_risk, c->expansion, c->advisories, c->health, c->dead_letters, c->journal},
        .properties = service->properties,
        .property_count = c->property_count,
        .clock = &service->clock,
        .log = &service->log};
    tm_error error;
    tm_status status = tm_kafka_config_check(&service->kafka, &error);
    return status == TM_OK ? 0 : fail(service, status, &error);
}

/* The ends of both inputs as they are now, and the greatest timestamp over all partitions. */
static int find_ends(tm_service *service, tm_kafka_admin *admin, tm_time *ret_first)
{
    const tm_configuration *c = service->setup->configuration;
    tm_pipeline_settings *s = &service->settings;
    const char *topics[TM_INPUTS] = {c->usage, c->accounts};
    *ret_first = TM_TIME_NONE;
    s->final_time = TM_TIME_NONE;
    int code = 0;
    tm_kafka_edge *edges = calloc(s->partitions, sizeof *edges);
    for (int i = 0; i < TM_INPUTS && edges && code == 0; i++) {
        if (!topics[i])
            continue;
        tm_error error;
        tm_status status = tm_kafka_admin_edges(admin, topics[i], s->partitions, EDGES_MS, edges, &error);
        if (status != TM_OK) {
            code = fail(service, status, &error);
            break;
        }
        service->ends[i] = calloc(s->partitions, sizeof *service->ends[i]);
        for (uint32_t p = 0; p < s->partitions && service->ends[i]; p++) {
            service->ends[i][p] = edges[p].end;
            if (edges[p].greatest != TM_TIME_NONE && edges[p].greatest > s->final_time)
                s->final_time = edges[p].greatest;
            if (i == TM_INPUT_USAGE && edges[p].earliest != TM_TIME_NONE &&
                (*ret_first == TM_TIME_NONE || edges[p].earliest < *ret_first))
                *ret_first = edges[p].earliest;
        }
        if (service->options.once)
            s->ends[i] = service->ends[i];
    }
    if (!edges)
        code = tm_cli_say(service->command, EX_OSERR, "no memory");
    free(edges);
    return code;
}

/* What the dead-letter topic takes, less the room for a record's frame and key. */
static tm_status find_message_max(tm_service *service, tm_kafka_admin *admin, tm_error *error)
{
    tm_kafka_topic topic;
    tm_status status = tm_kafka_admin_describe(admin, &service->kafka.outputs[TM_TOPIC_DEAD_LETTERS], 1, &topic, error);
    if (status == TM_OK && topic.configured && topic.message_max > (int64_t)2 * FRAME_MAX)
        service->settings.message_max = (size_t)(topic.message_max - FRAME_MAX);
    return status;
}

static int check_kafka(tm_service *service, tm_time *ret_first)
{
    tm_error error;
    tm_error_clear(&error);
    tm_kafka_admin *admin = NULL;
    int code = 0;
    tm_status status = tm_kafka_admin_new(&service->kafka, &admin, &error);
    if (status == TM_OK)
        status = tm_kafka_admin_connect(admin, CONNECT_MS, &error);
    TM_CRASH_POINT("run_kafka_connected");
    if (status == TM_OK)
        status = tm_kafka_admin_check(admin, COMPACTION_LAG, !service->options.dry_run, report_finding, service,
                                      &service->settings.partitions, &error);
    if (status == TM_OK)
        status = find_message_max(service, admin, &error);
    TM_CRASH_POINT("run_kafka_checked");
    if (status == TM_REJECT && error.what[0] == 0)
        code = EX_CONFIG;
    else if (status != TM_OK)
        code = fail(service, status, &error);
    else
        code = find_ends(service, admin, ret_first);
    tm_kafka_admin_free(admin);
    return code;
}

/* The group's counting start: found once, by whoever starts first, and kept in the store. */
static int settle_start(tm_service *service, tm_time first)
{
    tm_error error;
    tm_store store;
    tm_status status = open_store(service, &store, &error);
    if (status != TM_OK)
        return fail(service, status, &error);
    status = store.check(store.context, &error);
    if (status == TM_OK && !service->options.dry_run && tm_redis_store_warnings(&store)[0])
        service->log.write(service->log.context, TM_LOG_WARNING, "check", tm_redis_store_warnings(&store), NULL, 0);
    TM_CRASH_POINT("run_store_checked");
    tm_time start = tm_setup_counting_start(service->setup, first, service->clock.wall(service->clock.context));
    if (status == TM_OK)
        status = store.settle_group(store.context, "counting_start", start, &service->settings.counting_start, &error);
    store.close(store.context);
    return status == TM_OK ? 0 : fail(service, status, &error);
}

static void describe(tm_service *service)
{
    const tm_configuration *c = service->setup->configuration;
    tm_pipeline_settings *s = &service->settings;
    s->group = tm_slice_of(c->group);
    s->topics[TM_INPUT_USAGE] = tm_slice_of(c->usage);
    s->topics[TM_INPUT_ACCOUNTS] = tm_slice_of(c->accounts);
    s->accounts_on = c->accounts != NULL;
    s->shard = service->setup->shard;
    s->grace = c->grace;
    s->commit_interval = c->commit_interval;
    s->commit_records = COMMIT_RECORDS;
    s->commit_accounts = COMMIT_ACCOUNTS;
    s->message_max = MESSAGE_MAX;
    s->reading =
        (tm_event_options){.mapping = service->setup->mapping,
                           .user_key = service->setup->user_key,
                           .key_policy = strcmp(c->key_mismatch, "ignore") == 0 ? TM_KEY_IGNORE : TM_KEY_REFUSE};
    s->pack = service->setup->pack;
    s->reloaded = &service->reloaded;
    s->retries = &service->retries;
    s->timezone = tm_slice_of(c->timezone);
    s->key_mismatch = tm_slice_of(c->key_mismatch);
    s->mapping = tm_slice_of(c->mapping);
    s->version = TIDEMARK_VERSION;
    s->once = service->options.once || service->options.dry_run;
    s->until = service->options.until;
    s->configuration_hash = tm_setup_configuration_hash(service->setup);
}

int tm_service_prepare(tm_service *service, const tm_command *command, const tm_setup *setup, const tm_log *log,
                       const tm_service_options *options)
{
    *service = (tm_service){.command = command,
                            .setup = setup,
                            .options = *options,
                            .log = *log,
                            .clock = options->clock ? *options->clock : tm_system_clock()};
    if (options->dry_run)
        service->options.once = true;
    tm_setup_advice(setup, report_advice, service);
    describe(service);
    if (options->dry_run && !(service->dry_state = tm_memory_state_new()))
        return tm_cli_say(command, EX_OSERR, "no memory");
    tm_time first = TM_TIME_NONE;
    service->settings.partitions = options->partitions;
    int code = name_parts(service);
    if (code == 0 && options->partitions == 0)
        code = check_kafka(service, &first);
    if (code == 0)
        code = settle_start(service, first);
    return code;
}

static int64_t generation(void *context)
{
    return tm_kafka_source_generation(context);
}

/* --- a dry run's journal is empty --- */

static tm_status no_journal(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    (void)context;
    (void)partition;
    (void)back;
    (void)error;
    *ret_whole = true;
    return TM_OK;
}

static tm_status no_line(void *context, tm_slice *ret_line, tm_error *error)
{
    (void)context;
    (void)error;
    *ret_line = (tm_slice){0};
    return TM_OK;
}

static void nothing(void *context)
{
    (void)context;
}

static tm_status open_ports(tm_service_worker *w, tm_error *error)
{
    tm_service *service = w->service;
    w->ports = (tm_worker_ports){.clock = service->clock, .log = service->log};
    w->ports.seed = tm_random_below(UINT64_MAX);
    tm_status status = open_store(service, &w->ports.store, error);
    if (status != TM_OK)
        return status;
    if (service->options.dry_run) {
        w->ports.journal = (tm_journal_source){NULL, no_journal, no_line, nothing};
        status = tm_kafka_solo_new(&w->kafka, service->settings.partitions, &w->ports.source, error);
        return status == TM_OK ? tm_file_publisher_new("-", &w->ports.publisher, error) : status;
    }
    tm_kafka_source *source = NULL;
    tm_kafka_publisher *publisher = NULL;
    status = tm_kafka_source_new(&w->kafka, &source, error);
    if (status == TM_OK) {
        w->ports.source = tm_kafka_source_port(source);
        w->ports.generation = generation;
        w->ports.generation_context = source;
        status = tm_kafka_publisher_new(&w->kafka, source, &publisher, error);
    }
    if (status == TM_OK) {
        w->ports.publisher = tm_kafka_publisher_port(publisher);
        status = tm_kafka_journal_new(&w->kafka, &w->journal, error);
    }
    if (status == TM_OK)
        w->ports.journal = tm_kafka_journal_port(w->journal);
    return status;
}

static void close_ports(tm_service_worker *w)
{
    if (w->ports.source.leave)
        w->ports.source.leave(w->ports.source.context);
    if (w->ports.publisher.close)
        w->ports.publisher.close(w->ports.publisher.context);
    if (w->ports.store.close)
        w->ports.store.close(w->ports.store.context);
}

static void *work(void *context)
{
    tm_service_worker *w = context;
    w->status = tm_worker_run(&w->service->settings, &w->ports, &w->service->stop, &w->gauges, &w->error);
    atomic_store(&w->finished, true);
    return NULL;
}

int tm_service_start(tm_service *service)
{
    uint32_t count = service->options.dry_run ? 1 : (uint32_t)service->setup->configuration->workers;
    service->workers = calloc(count, sizeof *service->workers);
    if (!service->workers)
        return tm_cli_say(service->command, EX_OSERR, "no memory");
    for (uint32_t i = 0; i < count; i++) {
        tm_service_worker *w = &service->workers[i];
        w->service = service;
        w->kafka = service->kafka;
        w->kafka.worker = i;
        service->worker_count = i + 1;
        tm_status status = open_ports(w, &w->error);
        if (status != TM_OK) {
            close_ports(w);
            return fail(service, status, &w->error);
        }
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            close_ports(w);
            return tm_cli_say(service->command, EX_OSERR, "no thread can be started");
        }
        w->started = true;
        TM_CRASH_POINT("run_worker_started");
    }
    return 0;
}

bool tm_service_finished(const tm_service *service)
{
    for (uint32_t i = 0; i < service->worker_count; i++) {
        if (service->workers[i].started && !atomic_load(&service->workers[i].finished))
            return false;
    }
    return true;
}

void tm_service_look(const tm_service *service, tm_service_sum *ret_sum)
{
    *ret_sum = (tm_service_sum){.time = TM_TIME_NONE};
    for (uint32_t i = 0; i < service->worker_count; i++) {
        const tm_worker_gauges *g = &service->workers[i].gauges;
        ret_sum->records += atomic_load(&g->records);
        ret_sum->applied += atomic_load(&g->applied);
        ret_sum->duplicates += atomic_load(&g->duplicates);
        ret_sum->late += atomic_load(&g->late);
        ret_sum->dead_letters += atomic_load(&g->dead_letters);
        ret_sum->judged += atomic_load(&g->judged);
        for (int k = 0; k < TM_KINDS; k++) {
            for (int s = 1; s < 4; s++)
                ret_sum->signals += atomic_load(&g->signals[k][s]);
        }
        ret_sum->commits += atomic_load(&g->commits);
        ret_sum->publications += atomic_load(&g->publications);
        ret_sum->shed += atomic_load(&g->shed);
        for (int k = 0; k < TM_KINDS; k++)
            ret_sum->open[k] += atomic_load(&g->open[k]);
        ret_sum->accounts += atomic_load(&g->accounts);
        ret_sum->memory += atomic_load(&g->memory);
        int64_t lag = atomic_load(&g->lag);
        ret_sum->lag = lag < 0 || ret_sum->lag < 0 ? -1 : ret_sum->lag + lag;
        ret_sum->shards += atomic_load(&g->shards);
        ret_sum->halted += atomic_load(&g->halted);
        ret_sum->waiting |= atomic_load(&g->waiting) != 0;
        int64_t time = atomic_load(&g->time);
        if (time > 0 && (ret_sum->time == TM_TIME_NONE || time < ret_sum->time))
            ret_sum->time = time;
    }
}

int tm_service_stop(tm_service *service)
{
    atomic_store(&service->stop, true);
    int code = 0;
    for (uint32_t i = 0; i < service->worker_count; i++) {
        tm_service_worker *w = &service->workers[i];
        if (!w->started)
            continue;
        pthread_join(w->thread, NULL);
        w->started = false;
        if (w->status != TM_OK && code == 0)
            code = tm_cli_fail(service->command, w->status, &w->error);
    }
    return code;
}

void tm_service_done(tm_service *service)
{
    for (uint32_t i = 0; i < service->worker_count; i++)
        tm_kafka_journal_free(service->workers[i].journal);
    free(service->workers);
    free(service->properties);
    for (int i = 0; i < TM_INPUTS; i++)
        free(service->ends[i]);
    tm_memory_state_free(service->dry_state);
    explicit_bzero(service, sizeof *service); /* the user key among it */
}
