#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/redis/connection.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/log.h"
#include "tidemark/adapters/system/notify.h"
#include "tidemark/adapters/system/signals.h"
#include "tidemark/base/crashpoint.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/monitor.h"
#include "tidemark/commands/service.h"

enum { TICK = 200, STATUS_EVERY = 60000, FIRST_STATUS = 10000 };

static void log_start(const tm_service *service, const tm_setup *setup)
{
    const tm_pipeline_settings *s = &service->settings;
    char hash[32], pack[32], start[TM_TIME_TEXT] = "complete";
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->configuration_hash);
    snprintf(pack, sizeof pack, "%016llx", (unsigned long long)s->pack->hash);
    if (s->counting_start != TM_TIME_NONE)
        tm_time_format(s->counting_start, start);
    tm_log_field fields[] = {tm_log_text("version", TIDEMARK_VERSION),
                             tm_log_text("librdkafka", tm_kafka_library_version()),
                             tm_log_text("redis_client", tm_redis_build()),
                             tm_log_text("group", setup->configuration->group),
                             tm_log_text("instance", setup->configuration->instance),
                             tm_log_integer("workers", setup->configuration->workers),
                             tm_log_integer("partitions", s->partitions),
                             tm_log_integer("rules_version", s->pack->version),
                             tm_log_text("rules", pack),
                             tm_log_text("configuration", hash),
                             tm_log_text("timezone", setup->configuration->timezone),
                             tm_log_text("counting_start", start)};
    service->log.write(service->log.context, TM_LOG_INFO, "start", "tidemark starts", fields,
                       sizeof fields / sizeof *fields);
}

/* From when on each rule can answer: a line a rule, so that whoever reads the log as records finds them too. */
static void log_answers(const tm_service *service, const tm_setup *setup)
{
    for (uint32_t i = 0; i < setup->pack->rule_count; i++) {
        const tm_rule *rule = &setup->pack->rules[i];
        tm_time from = tm_setup_answers_from(setup, rule->when, service->settings.counting_start);
        char day[TM_TIME_TEXT] = "always";
        if (from != TM_TIME_NONE)
            tm_day_format(tm_zone_day(setup->zone, from), day);
        tm_log_field fields[] = {tm_log_slice("rule", rule->name), tm_log_text("from", day)};
        service->log.write(service->log.context, TM_LOG_INFO, "rule_answers", "From when on the rule can answer",
                           fields, sizeof fields / sizeof *fields);
    }
}

static void log_status(const tm_service *service, const tm_service_sum *before, int64_t elapsed)
{
    tm_service_sum now;
    tm_service_look(service, &now);
    char time[TM_TIME_TEXT] = "none";
    if (now.time != TM_TIME_NONE)
        tm_time_format(now.time, time);
    double seconds = elapsed > 0 ? (double)elapsed / 1000 : 1;
    /* How far stream time is behind the clock: the grace when everything is drained. */
    tm_time wall = service->clock.wall(service->clock.context);
    tm_log_field fields[] = {
        tm_log_number("records_per_second", (double)(now.records - before->records) / seconds),
        tm_log_integer("records", (int64_t)now.records),
        tm_log_integer("duplicates", (int64_t)now.duplicates),
        tm_log_integer("late", (int64_t)now.late),
        tm_log_integer("dead_letters", (int64_t)now.dead_letters),
        tm_log_integer("dedup_shed", (int64_t)now.shed),
        tm_log_integer("signals", (int64_t)now.signals),
        tm_log_integer("open_churn_risk", now.open[TM_KIND_CHURN_RISK]),
        tm_log_integer("open_expansion", now.open[TM_KIND_EXPANSION]),
        tm_log_integer("open_advisory", now.open[TM_KIND_ADVISORY]),
        tm_log_integer("accounts", now.accounts),
        tm_log_integer("memory_bytes", now.memory),
        tm_log_integer("shards", now.shards),
        tm_log_integer("halted", now.halted),
        tm_log_text("stream_time", time),
        tm_log_integer("lag_records", now.lag),
        tm_log_integer("lag_seconds", now.time == TM_TIME_NONE ? -1 : (wall - now.time) / 1000),
        tm_log_text("waiting", now.waiting ? "true" : "false"),
    };
    service->log.write(service->log.context, TM_LOG_INFO, "status", "Where it stands", fields,
                       sizeof fields / sizeof *fields);
}

/* Rules read again at SIGHUP. What was read stays until the end: workers may still judge by it. */
typedef struct reloads {
    tm_setup_options wanted;
    tm_setup *items;
    uint32_t count;
} reloads;

static void say_reload(const tm_service *service, tm_log_level level, const char *event, const char *message,
                       const tm_pack *pack)
{
    tm_log_field fields[] = {tm_log_integer("rules_version", pack->version)};
    service->log.write(service->log.context, level, event, message, fields, 1);
}

static void reload(tm_service *service, reloads *r)
{
    const tm_pack *current = atomic_load(&service->reloaded) ? atomic_load(&service->reloaded) : service->settings.pack;
    TM_CRASH_POINT("run_reload");
    tm_setup fresh;
    if (tm_setup_load(service->command, &r->wanted, &fresh) != 0) { /* which has printed what is wrong */
        say_reload(service, TM_LOG_ERROR, "reload_refused", "The new rules have errors: the old ones stay in force",
                   current);
        return;
    }
    tm_setup *items = NULL;
    if (fresh.pack->hash == current->hash) {
        say_reload(service, TM_LOG_INFO, "reloaded", "The rules are the same", current);
    } else if (fresh.pack->version <= current->version) {
        say_reload(service, TM_LOG_ERROR, "reload_refused",
                   "The new rules need a version above the present one, which stays in force", current);
    } else if ((items = realloc(r->items, sizeof *items * (r->count + 1)))) {
        r->items = items;
        r->items[r->count] = fresh;
        atomic_store(&service->reloaded, r->items[r->count++].pack);
        TM_CRASH_POINT("run_reloaded");
        say_reload(service, TM_LOG_INFO, "reloaded", "New rules act from the next grid instant on", fresh.pack);
        return;
    }
    tm_setup_done(&fresh);
}

static void forget_reloads(reloads *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        tm_setup_done(&r->items[i]);
    free(r->items);
}

/* `bounded`: it ends by itself, and whoever sits before a terminal waits for that. */
static int supervise(tm_service *service, tm_monitor *monitor, reloads *r, bool bounded)
{
    int64_t start = service->clock.steady(service->clock.context);
    int64_t next = start + FIRST_STATUS, last = start;
    tm_service_sum before = {0};
    tm_notify("READY=1");
    TM_CRASH_POINT("run_ready");
    while (!tm_service_finished(service) && !tm_signals_wait(TICK)) {
        int64_t now = service->clock.steady(service->clock.context);
        if (tm_monitor_alive(service, NULL)) /* a worker that hangs is the watchdog's to end */
            tm_notify("WATCHDOG=1");
        if (tm_signals_take_reload()) {
            reload(service, r);
            (void)atomic_fetch_add(&service->retries, 1);
        }
        if (bounded) {
            tm_service_sum sum;
            tm_service_look(service, &sum);
            if (sum.records > 0)
                tm_cli_progress("run, records", sum.records, 0);
        }
        if (now < next)
            continue;
        tm_cli_progress_end();
        log_status(service, &before, now - last);
        tm_service_look(service, &before);
        last = now;
        next = now + STATUS_EVERY;
    }
    tm_cli_progress_end();
    tm_notify("STOPPING=1");
    tm_monitor_leave(monitor);
    TM_CRASH_POINT("run_stop");
    int code = tm_service_stop(service);
    TM_CRASH_POINT("run_stopped");
    log_status(service, &(tm_service_sum){0}, service->clock.steady(service->clock.context) - start);
    service->log.write(service->log.context, TM_LOG_INFO, "stop",
                       code ? "tidemark stops after an error" : "tidemark stops", NULL, 0);
    return code;
}

static int run(const tm_command *command, int argc, char **argv)
{
    const char *configuration = "tidemark.yaml", *rules = NULL, *until = NULL;
    tm_service_options options = {.until = TM_TIME_NEVER};
    const tm_option table[] = {
        {"config", "FILE", "configuration (default tidemark.yaml)", TM_OPTION_TEXT, &configuration},
        {"rules", "FILE", "rules file instead of the configuration's", TM_OPTION_TEXT, &rules},
        {"once", NULL, "process up to the inputs' ends as found at the start, commit, exit", TM_OPTION_FLAG,
         &options.once},
        {"until", "TIME", "read no record later than this instant, end exactly there", TM_OPTION_TEXT, &until},
        {"dry-run", NULL, "join no group, write nothing, print the signals", TM_OPTION_FLAG, &options.dry_run},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof *table, argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "unexpected argument '%s'", argv[1]);
    if (until && tm_time_parse(tm_slice_of(until), &options.until) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--until takes an RFC 3339 time such as 2026-01-31T00:00:00Z, not '%s'",
                          until);

    tm_setup setup;
    tm_setup_options wanted = {.configuration = configuration, .rules = rules};
    int code = tm_setup_load(command, &wanted, &setup);
    if (code != 0)
        return code;
    tm_error error;
    tm_log log = {0};
    tm_log_level level = TM_LOG_INFO;
    (void)tm_log_level_parse(tm_slice_of(setup.configuration->log_level), &level);
    tm_log_format format = strcmp(setup.configuration->log_format, "json") == 0 ? TM_LOG_JSON : TM_LOG_KEY_VALUE;
    tm_service service = {0};
    tm_monitor monitor = {0};
    reloads r = {.wanted = wanted};
    if (tm_signals_install(&error) != TM_OK ||
        tm_system_log_init(stderr, format, level, tm_system_clock(), &log, &error) != TM_OK) {
        code = tm_cli_fail(command, TM_FATAL, &error);
        goto out;
    }
    TM_CRASH_POINT("run_prepare");
    /* A run with an end has its place beside the service, under the same configuration: the port is the service's. */
    if (!options.once && !options.dry_run)
        code = tm_monitor_start(&monitor, command, setup.configuration, &log);
    if (code == 0)
        code = tm_service_prepare(&service, command, &setup, &log, &options);
    TM_CRASH_POINT("run_prepared");
    if (code == 0) {
        log_start(&service, &setup);
        log_answers(&service, &setup);
        code = tm_service_start(&service);
        tm_monitor_show(&monitor, &service);
        if (code == 0)
            code = supervise(&service, &monitor, &r, options.once || options.dry_run || until);
        else
            (void)tm_service_stop(&service);
    }
out:
    tm_monitor_stop(&monitor);
    tm_service_done(&service);
    forget_reloads(&r);
    tm_system_log_done(&log);
    tm_signals_restore();
    tm_setup_done(&setup);
    return code;
}

const tm_command tm_command_run = {
    "run", "read usage events, keep aggregates, publish signals", "",
    "Joins the consumer group and processes until it is asked to stop (SIGTERM, SIGINT): then it settles and leaves.\n"
    "SIGHUP reads the rules again: with a greater version they act from the next grid instant on; with errors, or\n"
    "without one, the old ones stay in force. Halted shards are claimed again (`tidemark doctor` says why one is).\n"
    "Logs go to standard error: one line at start, one a minute, and what happens.\n\n"
    "Exit status: 0 stopped or at its end; 64 usage; 66 a file is missing; 69 Kafka or Redis does not answer;\n"
    "70 an invariant is broken, or a shard is halted; 75 stopped while something did not answer (nothing is "
    "lost);\n"
    "78 the configuration, the rules, or what the brokers have is not as it has to be.",
    run};
