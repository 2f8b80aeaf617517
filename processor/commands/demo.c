#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/adapters/kafka/loader.h"
#include "tidemark/adapters/kafka/mock.h"
#include "tidemark/adapters/kafka/tap.h"
#include "tidemark/adapters/redis/server.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/log.h"
#include "tidemark/adapters/system/signals.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/embedded.h"
#include "tidemark/commands/population.h"
#include "tidemark/commands/service.h"

enum {
    PARTITIONS = 4,
    AHEAD_MAX = 20000,  /* records sent that the processor has not taken yet: the in-process broker keeps few */
    LIVE_MS = 250,      /* between two live events */
    LINE_MAX = 100,     /* bytes of a summary shown */
    SHOWN_HISTORY = 40, /* signals of the past shown in full; after them every tenth */
};

static const char *const topics[] = {"usage",      "accounts", "churn-risk", "expansion",
                                     "advisories", "health",   "usage-dlq",  "tidemark-journal"};

typedef struct demo {
    const tm_command *command;
    tm_clock clock;  /* the system's */
    tm_clock staged; /* what the processor is told: the history's time while it is sent, then the system's */
    _Atomic int64_t staged_wall; /* 0: the system's */
    tm_log log;
    tm_kafka_mock *mock;
    tm_redis_server *redis;
    char folder[64];
    tm_setup setup;
    tm_service service;
    tm_kafka_loader *loader;
    tm_kafka_tap *tap;
    tm_population *population;
    tm_time latest;
    uint64_t sent, seen[TM_KINDS][4], shown;
    int64_t open[TM_KINDS];
    bool colour, json;
    tm_error error;
} demo;

static void silent(void *context, tm_log_level level, const char *event, const char *message,
                   const tm_log_field *fields, uint32_t count)
{
    (void)context;
    (void)event;
    (void)fields;
    (void)count;
    if (level == TM_LOG_ERROR)
        fprintf(stderr, "tidemark demo: %s\n", message);
}

static tm_time staged_wall(void *context)
{
    demo *d = context;
    int64_t wall = atomic_load(&d->staged_wall);
    return wall ? wall : d->clock.wall(d->clock.context);
}

static int64_t staged_steady(void *context)
{
    demo *d = context;
    return d->clock.steady(d->clock.context);
}

static void staged_pause(void *context, int64_t ms)
{
    demo *d = context;
    d->clock.pause(d->clock.context, ms);
}

/* --- what a subscriber sees --- */

static const char *colour_of(const demo *d, const char *state, const char *kind)
{
    if (!d->colour)
        return "";
    if (strcmp(state, "cleared") == 0)
        return "\033[32m";
    return strcmp(kind, "expansion") == 0 ? "\033[36m" : "\033[31m";
}

static void show_signal(demo *d, const tm_tapped *record)
{
    json_error_t problem;
    json_t *signal = json_loadb(record->value.data, record->value.length, 0, &problem);
    const json_t *data = json_object_get(signal, "data");
    const char *state = json_string_value(json_object_get(data, "state"));
    const char *kind = json_string_value(json_object_get(data, "kind"));
    const char *rule = json_string_value(json_object_get(data, "rule"));
    const char *account = json_string_value(json_object_get(data, "account"));
    const char *summary = json_string_value(json_object_get(data, "summary"));
    const char *severity = json_string_value(json_object_get(data, "severity"));
    const char *time = json_string_value(json_object_get(signal, "time"));
    tm_kind which;
    if (state && kind && rule && account && time && tm_kind_parse(tm_slice_of(kind), &which)) {
        tm_signal_state at = strcmp(state, "raised") == 0    ? TM_SIGNAL_RAISED
                             : strcmp(state, "cleared") == 0 ? TM_SIGNAL_CLEARED
                                                             : TM_SIGNAL_UPDATED;
        d->seen[which][at]++;
        d->open[which] += (at == TM_SIGNAL_RAISED) - (at == TM_SIGNAL_CLEARED);
        if (d->json)
            printf("%.*s\n", (int)record->value.length, record->value.data);
        else if (atomic_load(&d->staged_wall) == 0 ||
                 (which != TM_KIND_ADVISORY && (d->shown++ < SHOWN_HISTORY || d->shown % 10 == 0)))
            printf("%.16s  %s%-8s%s %-10s %-8s %-18s %-11s %.*s\n", time, colour_of(d, state, kind), state,
                   d->colour ? "\033[0m" : "", kind, severity ? severity : "", rule, account, LINE_MAX,
                   summary ? summary : "");
        fflush(stdout);
    }
    json_decref(signal);
}

static uint64_t watch(demo *d, int64_t wait)
{
    uint64_t count = 0;
    tm_tapped record;
    while (tm_kafka_tap_next(d->tap, count ? 0 : wait, &record)) {
        if (record.value.data)
            show_signal(d, &record);
        count++;
    }
    return count;
}

/* --- the parts --- */

static tm_status write_file(const demo *d, const char *name, tm_slice text, tm_error *error)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", d->folder, name);
    FILE *file = fopen(path, "w");
    bool good = file && fwrite(text.data, 1, text.length, file) == text.length;
    if (file && fclose(file) != 0)
        good = false;
    return good ? TM_OK : tm_fail(error, TM_REJECT, "%s cannot be written", path);
}

static tm_status write_configuration(demo *d, tm_error *error)
{
    tm_buffer text;
    tm_buffer_init(&text, 4096);
    tm_buffer_append_format(&text,
                            "group: demo\ninstance: demo\nworkers: 1\nrules: rules.yaml\nkafka:\n  "
                            "brokers: %s\nredis:\n  url: %s\n"
                            "commit_interval: 500ms\nuser_key: a key of the demonstration only\n",
                            tm_kafka_mock_brokers(d->mock), tm_redis_server_url(d->redis));
    tm_status status = text.overflowed ? tm_fail(error, TM_FATAL, "out of memory")
                                       : write_file(d, "tidemark.yaml", tm_buffer_slice(&text), error);
    tm_buffer_done(&text);
    const tm_embedded *rules = NULL;
    for (uint32_t i = 0; (rules = tm_embedded_at(i)) && strcmp(rules->name, "deploy/rules.yaml") != 0; i++)
        ;
    if (status == TM_OK && !rules)
        return tm_fail(error, TM_FATAL, "this program was built without the default rules");
    return status == TM_OK ? write_file(d, "rules.yaml", rules->text, error) : status;
}

static int begin(demo *d, const char *rules)
{
    tm_status status = tm_redis_server_start(&d->redis, &d->error);
    if (status == TM_OK)
        status = tm_kafka_mock_new(topics, sizeof topics / sizeof *topics, PARTITIONS, &d->mock, &d->error);
    snprintf(d->folder, sizeof d->folder, "/tmp/tidemark-demo-XXXXXX");
    if (status == TM_OK && !mkdtemp(d->folder)) {
        d->folder[0] = 0;
        status = tm_fail(&d->error, TM_REJECT, "no folder can be made in /tmp");
    }
    if (status == TM_OK)
        status = write_configuration(d, &d->error);
    if (status != TM_OK)
        return tm_cli_fail(d->command, status, &d->error);
    char path[128];
    snprintf(path, sizeof path, "%s/tidemark.yaml", d->folder);
    tm_setup_options wanted = {.configuration = path, .rules = rules};
    int code = tm_setup_load(d->command, &wanted, &d->setup);
    d->staged = (tm_clock){d, staged_wall, staged_steady, staged_pause};
    tm_service_options options = {.until = TM_TIME_NEVER, .partitions = PARTITIONS, .clock = &d->staged};
    if (code == 0)
        code = tm_service_prepare(&d->service, d->command, &d->setup, &d->log, &options);
    if (code == 0)
        code = tm_service_start(&d->service);
    if (code != 0)
        return code;
    static const tm_topic watched[] = {TM_TOPIC_CHURN_RISK, TM_TOPIC_EXPANSION, TM_TOPIC_ADVISORIES};
    status = tm_kafka_loader_new(&d->service.kafka, &d->loader, &d->error);
    if (status == TM_OK)
        status = tm_kafka_tap_new(&d->service.kafka, watched, 3, &d->tap, &d->error);
    return status == TM_OK ? 0 : tm_cli_fail(d->command, status, &d->error);
}

static void end(demo *d)
{
    tm_kafka_tap_free(d->tap);
    tm_kafka_loader_free(d->loader);
    tm_service_done(&d->service);
    tm_setup_done(&d->setup);
    tm_kafka_mock_free(d->mock);
    tm_redis_server_stop(d->redis);
    tm_population_free(d->population);
    if (d->folder[0]) {
        static const char *const files[] = {"tidemark.yaml", "rules.yaml"};
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            char path[128];
            snprintf(path, sizeof path, "%s/%s", d->folder, files[i]);
            (void)unlink(path);
        }
        (void)rmdir(d->folder);
    }
}

static tm_status send_one(void *context, const tm_generated *generated)
{
    demo *d = context;
    if (generated->at > d->clock.wall(d->clock.context))
        return TM_OK; /* today is not over: nothing comes from the future */
    if (generated->at > d->latest) {
        d->latest = generated->at;
        atomic_store(&d->staged_wall, d->latest);
    }
    d->sent++;
    tm_input input = generated->account_record ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE;
    return tm_kafka_loader_send(d->loader, input, generated->account,
                                generated->erase ? (tm_slice){0} : generated->text, d->latest, &d->error);
}

static bool over(demo *d, int64_t until)
{
    return tm_signals_stopping() || tm_service_finished(&d->service) ||
           (until && d->clock.steady(d->clock.context) >= until);
}

static uint64_t taken(demo *d)
{
    tm_service_sum sum;
    tm_service_look(&d->service, &sum);
    return sum.records;
}

static int history(demo *d, const tm_population_options *options, int64_t until)
{
    for (uint32_t day = 0; day < options->days && !over(d, until); day++) {
        tm_status status = tm_population_day(d->population, day, send_one, d);
        if (status == TM_OK)
            status = tm_kafka_loader_flush(d->loader, &d->error);
        if (status != TM_OK)
            return tm_cli_fail(d->command, status, &d->error);
        while (d->sent - taken(d) > AHEAD_MAX && !over(d, until))
            (void)watch(d, 20);
        (void)watch(d, 0);
        tm_cli_progress("days of history", day + 1, options->days);
    }
    while (taken(d) < d->sent && !over(d, until))
        (void)watch(d, 50);
    /* The last commits, and what they raised. */
    for (int quiet = 0; quiet < 20 && !over(d, until); quiet = watch(d, 100) ? 0 : quiet + 1)
        ;
    tm_cli_progress_end();
    atomic_store(&d->staged_wall, 0);
    return 0;
}

static void live_event(demo *d, uint32_t accounts, uint64_t number)
{
    static const char *const names[] = {"session_started", "record_created", "report_viewed", "search_run"};
    char account[32], text[256], when[TM_TIME_TEXT];
    tm_time onset, now = d->clock.wall(d->clock.context);
    uint32_t index = (uint32_t)((number * 2654435761u) % accounts);
    tm_fate fate = tm_population_truth(d->population, index, account, &onset);
    if (fate == TM_FATE_SILENCE || fate == TM_FATE_ERASED)
        return;
    tm_time_format(now, when);
    int length =
        snprintf(text, sizeof text,
                 "{\"id\":\"live-%llu\",\"account\":\"%s\",\"event\":\"%s\",\"at\":\"%s\",\"user\":\"u%u@%s\","
                 "\"properties\":{\"ok\":true}}",
                 (unsigned long long)number, account, names[number % 4], when, (unsigned)(number % 3), account);
    (void)tm_kafka_loader_send(d->loader, TM_INPUT_USAGE, tm_slice_of(account), (tm_slice){text, (size_t)length}, now,
                               &d->error);
    d->sent++;
}

static void live(demo *d, uint32_t accounts, int64_t until)
{
    uint64_t number = 0;
    int64_t told = 0;
    while (!over(d, until)) {
        live_event(d, accounts, number++);
        (void)watch(d, LIVE_MS);
        int64_t now = d->clock.steady(d->clock.context);
        if (d->json || now - told < 5000)
            continue;
        told = now;
        tm_service_sum sum;
        tm_service_look(&d->service, &sum);
        char time[TM_TIME_TEXT] = "";
        if (sum.time != TM_TIME_NONE)
            tm_time_format(sum.time, time);
        printf("-- live: stream time %s, %llu records, %lld accounts; open: %lld churn risks, %lld expansions, %lld "
               "advisories (Ctrl-C ends)\n",
               time, (unsigned long long)sum.records, (long long)sum.accounts, (long long)sum.open[TM_KIND_CHURN_RISK],
               (long long)sum.open[TM_KIND_EXPANSION], (long long)sum.open[TM_KIND_ADVISORY]);
        fflush(stdout);
    }
}

static int run(const tm_command *command, int argc, char **argv)
{
    const char *rules = NULL;
    int64_t accounts = 150, days = 75, seconds = 0, seed = 7;
    bool json = false;
    const tm_option table[] = {
        {"accounts", "N", "accounts of the population (default 150)", TM_OPTION_COUNT, &accounts},
        {"days", "N", "days of history before the live view (default 75)", TM_OPTION_COUNT, &days},
        {"seed", "N", "another population (default 7)", TM_OPTION_COUNT, &seed},
        {"rules", "FILE", "rules instead of the default pack", TM_OPTION_TEXT, &rules},
        {"seconds", "N", "end after so many seconds (default: at Ctrl-C)", TM_OPTION_COUNT, &seconds},
        {"json", NULL, "print the signals as they are published", TM_OPTION_FLAG, &json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof *table, argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "unexpected argument '%s'", argv[1]);
    if (accounts < 1 || accounts > 2000 || days < 1 || days > 400)
        return tm_cli_say(command, EX_USAGE, "--accounts is 1 to 2000, --days 1 to 400");

    demo d = {.command = command,
              .clock = tm_system_clock(),
              .log = {NULL, silent},
              .latest = 0,
              .json = json,
              .colour = tm_cli_colour(stdout)};
    int64_t until = seconds ? d.clock.steady(d.clock.context) + seconds * 1000 : 0;
    tm_time now = d.clock.wall(d.clock.context);
    tm_population_options options = {.seed = (uint64_t)seed,
                                     .accounts = (uint32_t)accounts,
                                     .days = (uint32_t)days + 1,
                                     .start = tm_time_floor(now, TM_DAY) - (tm_time)days * TM_DAY,
                                     .intensity = 3,
                                     .disorder = 20,
                                     .duplicates = 5,
                                     .erasures = true};
    d.population = tm_population_new(&options);
    if (!d.population || tm_signals_install(&d.error) != TM_OK)
        return tm_cli_say(command, EX_OSERR, "no memory for the demonstration");
    if (!json)
        printf("tidemark demo: a private Redis, librdkafka's in-process broker, %lld accounts and %lld days of "
               "history, %u partitions\n",
               (long long)accounts, (long long)days, (unsigned)PARTITIONS);
    atomic_store(&d.staged_wall, options.start);
    int code = begin(&d, rules);
    if (code == 0)
        code = history(&d, &options, until);
    if (code == 0 && !json) {
        printf("-- history done: %llu records; churn risks %llu raised, %llu cleared; expansions %llu raised, %llu "
               "cleared\n",
               (unsigned long long)d.sent, (unsigned long long)d.seen[TM_KIND_CHURN_RISK][TM_SIGNAL_RAISED],
               (unsigned long long)d.seen[TM_KIND_CHURN_RISK][TM_SIGNAL_CLEARED],
               (unsigned long long)d.seen[TM_KIND_EXPANSION][TM_SIGNAL_RAISED],
               (unsigned long long)d.seen[TM_KIND_EXPANSION][TM_SIGNAL_CLEARED]);
        fflush(stdout);
    }
    if (code == 0)
        live(&d, (uint32_t)accounts, until);
    int stopped = tm_service_stop(&d.service);
    end(&d);
    tm_signals_restore();
    return code ? code : stopped;
}

const tm_command tm_command_demo = {
    "demo", "see it work: private Redis, in-process broker, a made population", "",
    "Starts a private Redis server and librdkafka's in-process broker, sends a made population's history through the\n"
    "processor, prints the signals as a subscriber sees them, then goes on live until Ctrl-C. Needs redis-server; "
    "keeps\n"
    "nothing. The in-process broker does not keep transactions: this shows signals, it proves nothing of exactly-once.",
    run};
