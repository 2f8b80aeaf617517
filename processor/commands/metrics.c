#include "tidemark/commands/metrics.h"

#include "tidemark/adapters/kafka/config.h"
#include "tidemark/adapters/redis/connection.h"
#include "tidemark/adapters/system/usage.h"
#include "tidemark/core/episode.h"

typedef enum family {
    BUILD,
    CONFIGURATION,
    RULES,
    RULES_VERSION,
    READY,
    RECORDS,
    APPLIED,
    DUPLICATES,
    LATE,
    DEAD_LETTERS,
    ERASURES,
    JUDGED,
    SHED,
    COMMITS,
    PUBLICATIONS,
    SIGNALS,
    EPISODES,
    SHARDS,
    HALTED_SHARDS,
    HALTED,
    ACCOUNTS,
    MEMORY,
    LAG_RECORDS,
    LAG_SECONDS,
    STREAM_TIME,
    WAITING,
    WAITING_SECONDS,
    SILENCE,
    COMMIT_SECONDS,
    PUBLISH_SECONDS,
    CPU,
    RESIDENT,
    VIRTUAL,
    THREADS,
    DESCRIPTORS,
    DESCRIPTORS_MOST,
    STARTED
} family;

static const struct {
    const char *name, *type, *help;
} families[] = {
    [BUILD] = {"tidemark_build_info", "gauge", "Versions; always 1."},
    [CONFIGURATION] = {"tidemark_configuration_info", "gauge", "Group, instance and configuration hash; always 1."},
    [RULES] = {"tidemark_rules_info", "gauge", "Hash of the rules in force; always 1."},
    [RULES_VERSION] = {"tidemark_rules_version", "gauge", "Version of the rules in force."},
    [READY] = {"tidemark_ready", "gauge", "1 when /readyz answers 200."},
    [RECORDS] = {"tidemark_records_total", "counter", "Records committed, of both inputs."},
    [APPLIED] = {"tidemark_applied_total", "counter", "Events that were counted."},
    [DUPLICATES] = {"tidemark_duplicates_total", "counter", "Events dropped as duplicates."},
    [LATE] = {"tidemark_late_total", "counter", "Events counted in an earlier bucket than the current one."},
    [DEAD_LETTERS] = {"tidemark_dead_letters_total", "counter", "Records that could not be used."},
    [ERASURES] = {"tidemark_erasures_total", "counter", "Accounts erased."},
    [JUDGED] = {"tidemark_judged_total", "counter", "Judgements of an account."},
    [SHED] = {"tidemark_dedup_shed_total", "counter", "Event ids forgotten before the window's end."},
    [COMMITS] = {"tidemark_commits_total", "counter", "Commits of shards."},
    [PUBLICATIONS] = {"tidemark_publications_total", "counter", "Kafka transactions committed."},
    [SIGNALS] = {"tidemark_signals_total", "counter", "Signals, by kind and state."},
    [EPISODES] = {"tidemark_open_episodes", "gauge", "Open episodes, by kind."},
    [SHARDS] = {"tidemark_shards", "gauge", "Shards held that are not halted."},
    [HALTED_SHARDS] = {"tidemark_halted_shards", "gauge", "Shards held that are halted."},
    [HALTED] = {"tidemark_halted", "gauge", "1 for each halted shard, with the code of its reason."},
    [ACCOUNTS] = {"tidemark_accounts", "gauge", "Accounts in memory."},
    [MEMORY] = {"tidemark_memory_bytes", "gauge", "Memory of the shards."},
    [LAG_RECORDS] = {"tidemark_lag_records", "gauge", "Records that wait in the inputs; absent while not known."},
    [LAG_SECONDS] = {"tidemark_lag_seconds", "gauge", "How far the slowest shard's stream time is behind the clock."},
    [STREAM_TIME] = {"tidemark_stream_time_seconds", "gauge", "The slowest shard's stream time, since 1970."},
    [WAITING] = {"tidemark_waiting", "gauge", "1 while the worker waits for it."},
    [WAITING_SECONDS] = {"tidemark_waiting_seconds", "gauge", "For how long the worker has been waiting for it."},
    [SILENCE] = {"tidemark_heartbeat_age_seconds", "gauge", "Since the worker's last sign of life."},
    [COMMIT_SECONDS] = {"tidemark_commit_seconds", "histogram", "Time of a commit of a shard, waits included."},
    [PUBLISH_SECONDS] = {"tidemark_publish_seconds", "histogram", "Time of a publication, waits included."},
    [CPU] = {"process_cpu_seconds_total", "counter", "CPU time, user and system."},
    [RESIDENT] = {"process_resident_memory_bytes", "gauge", "Resident memory."},
    [VIRTUAL] = {"process_virtual_memory_bytes", "gauge", "Virtual memory."},
    [THREADS] = {"process_threads", "gauge", "Threads."},
    [DESCRIPTORS] = {"process_open_fds", "gauge", "Open file descriptors."},
    [DESCRIPTORS_MOST] = {"process_max_fds", "gauge", "File descriptors that may be open."},
    [STARTED] = {"process_start_time_seconds", "gauge", "Start of the process, since 1970."},
};

static const char *const kinds[TM_KINDS] = {"churn_risk", "expansion", "advisory"};

static void begin(tm_buffer *out, family f)
{
    tm_buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", families[f].name, families[f].help, families[f].name,
                            families[f].type);
}

static void append_label(tm_buffer *out, const char *separator, const char *name, const char *value)
{
    tm_buffer_append_format(out, "%s%s=\"", separator, name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            tm_buffer_append_char(out, '\\');
        if (*value == '\n')
            tm_buffer_append_text(out, "\\n");
        else
            tm_buffer_append_char(out, *value);
    }
    tm_buffer_append_char(out, '"');
}

static void append_number(tm_buffer *out, double value)
{
    tm_buffer_append_char(out, ' ');
    tm_buffer_append_json_number(out, value);
    tm_buffer_append_char(out, '\n');
}

/* A family of one sample. */
static void tell(tm_buffer *out, family f, double value)
{
    begin(out, f);
    tm_buffer_append_text(out, families[f].name);
    append_number(out, value);
}

/* `labels` as "name=\"value\"", all of them the program's own words; "" for none beside the worker. */
static void tell_worker(tm_buffer *out, family f, uint32_t worker, const char *labels, double value)
{
    tm_buffer_append_format(out, "%s{worker=\"%u\"%s%s}", families[f].name, worker, labels[0] ? "," : "", labels);
    append_number(out, value);
}

/* --- what it is --- */

static void tell_build(tm_buffer *out)
{
    begin(out, BUILD);
    tm_buffer_append_text(out, families[BUILD].name);
    append_label(out, "{", "version", TIDEMARK_VERSION);
    append_label(out, ",", "librdkafka", tm_kafka_library_version());
    append_label(out, ",", "redis_client", tm_redis_build());
    tm_buffer_append_text(out, "} 1\n");
}

static void tell_configuration(const tm_service *service, tm_buffer *out)
{
    const tm_configuration *c = service->setup->configuration;
    const tm_pack *pack = atomic_load(&service->reloaded);
    char hash[20];
    pack = pack ? pack : service->settings.pack;
    begin(out, CONFIGURATION);
    tm_buffer_append_text(out, families[CONFIGURATION].name);
    append_label(out, "{", "group", c->group);
    append_label(out, ",", "instance", c->instance);
    append_label(out, ",", "timezone", c->timezone);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)service->settings.configuration_hash);
    append_label(out, ",", "hash", hash);
    tm_buffer_append_text(out, "} 1\n");
    begin(out, RULES);
    tm_buffer_append_text(out, families[RULES].name);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)pack->hash);
    append_label(out, "{", "hash", hash);
    tm_buffer_append_text(out, "} 1\n");
    tell(out, RULES_VERSION, (double)pack->version);
}

/* --- what the workers show --- */

static const tm_worker_gauges *gauges_of(const tm_service *service, uint32_t worker)
{
    return &service->workers[worker].gauges;
}

static void tell_counters(const tm_service *service, tm_buffer *out)
{
    static const struct {
        family family;
        size_t at;
    } counters[] = {
        {RECORDS, offsetof(tm_worker_gauges, records)},
        {APPLIED, offsetof(tm_worker_gauges, applied)},
        {DUPLICATES, offsetof(tm_worker_gauges, duplicates)},
        {LATE, offsetof(tm_worker_gauges, late)},
        {DEAD_LETTERS, offsetof(tm_worker_gauges, dead_letters)},
        {ERASURES, offsetof(tm_worker_gauges, erasures)},
        {JUDGED, offsetof(tm_worker_gauges, judged)},
        {SHED, offsetof(tm_worker_gauges, shed)},
        {COMMITS, offsetof(tm_worker_gauges, commits)},
        {PUBLICATIONS, offsetof(tm_worker_gauges, publications)},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        begin(out, counters[i].family);
        for (uint32_t w = 0; w < service->worker_count; w++) {
            const char *at = (const char *)gauges_of(service, w) + counters[i].at;
            tell_worker(out, counters[i].family, w, "",
                        (double)atomic_load((const _Atomic uint64_t *)(const void *)at));
        }
    }
}

static void tell_signals(const tm_service *service, tm_buffer *out)
{
    char labels[80];
    begin(out, SIGNALS);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        for (int k = 0; k < TM_KINDS; k++) {
            for (int s = 1; s < 4; s++) {
                snprintf(labels, sizeof labels, "kind=\"%s\",state=\"%s\"", kinds[k],
                         tm_signal_state_name((tm_signal_state)s));
                tell_worker(out, SIGNALS, w, labels, (double)atomic_load(&gauges_of(service, w)->signals[k][s]));
            }
        }
    }
    begin(out, EPISODES);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        for (int k = 0; k < TM_KINDS; k++) {
            snprintf(labels, sizeof labels, "kind=\"%s\"", kinds[k]);
            tell_worker(out, EPISODES, w, labels, (double)atomic_load(&gauges_of(service, w)->open[k]));
        }
    }
}

static void tell_shards(const tm_service *service, tm_buffer *out)
{
    begin(out, SHARDS);
    for (uint32_t w = 0; w < service->worker_count; w++)
        tell_worker(out, SHARDS, w, "", atomic_load(&gauges_of(service, w)->shards));
    begin(out, HALTED_SHARDS);
    for (uint32_t w = 0; w < service->worker_count; w++)
        tell_worker(out, HALTED_SHARDS, w, "", atomic_load(&gauges_of(service, w)->halted));
    begin(out, HALTED);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        const tm_worker_gauges *g = gauges_of(service, w);
        uint32_t count = atomic_load(&g->halted);
        for (uint32_t i = 0; i < count && i < TM_WORKER_HALTS; i++) {
            char labels[120];
            snprintf(labels, sizeof labels, "partition=\"%d\",code=\"%s\"", atomic_load(&g->halts[i].partition),
                     tm_halt_code((tm_halt)atomic_load(&g->halts[i].halt)));
            tell_worker(out, HALTED, w, labels, 1);
        }
    }
    begin(out, ACCOUNTS);
    for (uint32_t w = 0; w < service->worker_count; w++)
        tell_worker(out, ACCOUNTS, w, "", (double)atomic_load(&gauges_of(service, w)->accounts));
    begin(out, MEMORY);
    for (uint32_t w = 0; w < service->worker_count; w++)
        tell_worker(out, MEMORY, w, "", (double)atomic_load(&gauges_of(service, w)->memory));
}

static void tell_times(const tm_service *service, tm_buffer *out)
{
    tm_time wall = service->clock.wall(service->clock.context);
    begin(out, LAG_RECORDS);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        int64_t lag = atomic_load(&gauges_of(service, w)->lag);
        if (lag >= 0)
            tell_worker(out, LAG_RECORDS, w, "", (double)lag);
    }
    begin(out, LAG_SECONDS);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        tm_time time = atomic_load(&gauges_of(service, w)->time);
        if (time > 0)
            tell_worker(out, LAG_SECONDS, w, "", (double)(wall - time) / 1000);
    }
    begin(out, STREAM_TIME);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        tm_time time = atomic_load(&gauges_of(service, w)->time);
        if (time > 0)
            tell_worker(out, STREAM_TIME, w, "", (double)time / 1000);
    }
}

static void tell_waits(const tm_service *service, tm_buffer *out)
{
    int64_t now = service->clock.steady(service->clock.context);
    for (int seconds = 0; seconds < 2; seconds++) {
        family f = seconds ? WAITING_SECONDS : WAITING;
        begin(out, f);
        for (uint32_t w = 0; w < service->worker_count; w++) {
            const tm_worker_gauges *g = gauges_of(service, w);
            uint32_t waiting = atomic_load(&g->waiting);
            for (int what = 1; what < TM_WAITINGS; what++) {
                char labels[40];
                bool is = waiting & 1u << what;
                snprintf(labels, sizeof labels, "for=\"%s\"", tm_waiting_name((tm_waiting)what));
                double since = is ? (double)(now - atomic_load(&g->waiting_since[what])) / 1000 : 0;
                tell_worker(out, f, w, labels, seconds ? since : is);
            }
        }
    }
    begin(out, SILENCE);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        int64_t beat = atomic_load(&gauges_of(service, w)->beat);
        if (beat > 0)
            tell_worker(out, SILENCE, w, "", (double)(now - beat) / 1000);
    }
}

static void tell_durations(const tm_service *service, family f, size_t at, tm_buffer *out)
{
    static const int bounds[TM_DURATION_BUCKETS - 1] = TM_DURATION_BOUNDS;
    begin(out, f);
    for (uint32_t w = 0; w < service->worker_count; w++) {
        const char *place = (const char *)gauges_of(service, w) + at;
        const tm_durations *d = (const tm_durations *)(const void *)place;
        uint64_t count = 0;
        /* The sum first: it may be of fewer than are counted, never of more. */
        double sum = (double)atomic_load(&d->sum) / 1000;
        for (int i = 0; i < TM_DURATION_BUCKETS; i++) {
            tm_buffer_append_format(out, "%s_bucket{worker=\"%u\",le=\"", families[f].name, w);
            if (i < TM_DURATION_BUCKETS - 1)
                tm_buffer_append_json_number(out, bounds[i] / 1000.0);
            else
                tm_buffer_append_text(out, "+Inf");
            count += atomic_load(&d->buckets[i]);
            tm_buffer_append_format(out, "\"} %llu\n", (unsigned long long)count);
        }
        tm_buffer_append_format(out, "%s_sum{worker=\"%u\"}", families[f].name, w);
        append_number(out, sum);
        tm_buffer_append_format(out, "%s_count{worker=\"%u\"} %llu\n", families[f].name, w, (unsigned long long)count);
    }
}

/* --- what the process uses --- */

static void tell_usage(tm_time started, tm_buffer *out)
{
    tm_usage usage;
    tm_usage_look(&usage);
    if (usage.cpu_seconds >= 0)
        tell(out, CPU, usage.cpu_seconds);
    const struct {
        family family;
        int64_t value;
    } gauges[] = {{RESIDENT, usage.resident_bytes},
                  {VIRTUAL, usage.virtual_bytes},
                  {THREADS, usage.threads},
                  {DESCRIPTORS, usage.open_descriptors},
                  {DESCRIPTORS_MOST, usage.most_descriptors}};
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        if (gauges[i].value >= 0)
            tell(out, gauges[i].family, (double)gauges[i].value);
    }
    tell(out, STARTED, (double)started / 1000);
}

void tm_metrics_write(const tm_service *service, bool ready, tm_time started, tm_buffer *out)
{
    tell_build(out);
    tell(out, READY, ready);
    if (service) {
        tell_configuration(service, out);
        tell_counters(service, out);
        tell_signals(service, out);
        tell_shards(service, out);
        tell_times(service, out);
        tell_waits(service, out);
        tell_durations(service, COMMIT_SECONDS, offsetof(tm_worker_gauges, commit_times), out);
        tell_durations(service, PUBLISH_SECONDS, offsetof(tm_worker_gauges, publish_times), out);
    }
    tell_usage(started, out);
}
