#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/redis/store.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/commands/check.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/permissions.h"
#include "tidemark/commands/setup.h"

enum { CONNECT_MS = 15000, EDGES_MS = 60000, PARTITIONS_MAX = 100000 };
#define COMPACTION_LAG TM_HOUR

typedef enum finding_level { FINDING_GOOD, FINDING_WARNING, FINDING_ERROR } finding_level;

/* Everything that was found, in the order found; written when all is known. */
typedef struct checking {
    const tm_command *command;
    bool json;
    tm_buffer findings; /* JSON objects with commas between, or lines for people */
    uint32_t count;
    bool only_problems;
    bool wrong;       /* something is not as it has to be */
    bool unavailable; /* something did not answer */
} checking;

static void find(checking *c, finding_level level, const tm_error *what)
{
    static const char *const names[] = {"good", "warning", "error"};
    tm_buffer *out = &c->findings;
    if (level == FINDING_ERROR)
        c->wrong = true;
    if (level == FINDING_GOOD && c->only_problems)
        return;
    if (c->json) {
        tm_buffer_append_format(out, "%s{\"level\":\"%s\",\"where\":", c->count++ ? "," : "", names[level]);
        tm_buffer_append_json_string(out, what->where[0] ? tm_slice_of(what->where) : (tm_slice){0});
        tm_buffer_append_text(out, ",\"what\":");
        tm_buffer_append_json_string(out, tm_slice_of(what->what));
        tm_buffer_append_text(out, ",\"hint\":");
        tm_buffer_append_json_string(out, what->hint[0] ? tm_slice_of(what->hint) : (tm_slice){0});
        tm_buffer_append_char(out, '}');
        return;
    }
    c->count++;
    tm_buffer_append_format(out, "%s: %s%s%s\n", names[level], what->where, what->where[0] ? ": " : "", what->what);
    if (what->hint[0])
        tm_buffer_append_format(out, "  %s\n", what->hint);
}

static void find_status(checking *c, tm_status status, const tm_error *what)
{
    if (status == TM_RETRY)
        c->unavailable = true;
    find(c, FINDING_ERROR, what);
}

static void take_kafka_finding(void *context, bool fatal, const tm_error *finding)
{
    find(context, fatal ? FINDING_ERROR : FINDING_WARNING, finding);
}

static void take_advice(void *context, const tm_error *advice)
{
    find(context, FINDING_WARNING, advice);
}

/* --- what can be said without a server --- */

static void mark_metrics(const tm_setup *setup, uint8_t *used)
{
    const tm_program *program = &setup->pack->program;
    for (uint32_t i = 0; i < program->node_count; i++) {
        tm_op op = (tm_op)program->nodes[i].op;
        if (op == TM_OP_WINDOW || op == TM_OP_VALUE || op == TM_OP_AGE || op == TM_OP_FIRST ||
            tm_baseline_is(program->nodes[i].op))
            used[program->nodes[i].metric] = 1;
    }
}

static void check_pack(checking *c, const tm_setup *setup, bool with_configuration)
{
    tm_error warning;
    if (setup->user_key_is_default && with_configuration) {
        (void)tm_fail(&warning, TM_OK,
                      "no user_key is set: whoever reads the state can test whether a person is in it");
        tm_error_hint(&warning, "put 32 random bytes into a file and write: user_key: !file user.key");
        find(c, FINDING_WARNING, &warning);
    }
    tm_setup_advice(setup, take_advice, c);
    uint8_t used[TM_METRICS_MAX] = {0};
    mark_metrics(setup, used);
    for (uint32_t m = 0; m < setup->pack->metric_count; m++) {
        const tm_metric *metric = &setup->pack->metrics[m];
        if (used[m])
            continue;
        (void)tm_fail(&warning, TM_OK, "metric '%.*s' is not used by any rule", (int)metric->name.length,
                      metric->name.data);
        tm_error_hint(&warning, "it is counted all the same, for `eval`, as far back as its `keep:`");
        find(c, FINDING_WARNING, &warning);
    }
    if (setup->pack->rule_count == 0) {
        (void)tm_fail(&warning, TM_OK, "there are no rules: no signal will ever be raised");
        find(c, FINDING_WARNING, &warning);
    }
}

/* --- what the servers say --- */

static void check_kafka(checking *c, const tm_setup *setup, tm_time *ret_first)
{
    const tm_configuration *f = setup->configuration;
    tm_kafka_property *properties = calloc(f->property_count + 1, sizeof *properties);
    tm_kafka_admin *admin = NULL;
    tm_kafka_edge *edges = NULL;
    tm_error error;
    tm_error_clear(&error);
    tm_status status = properties ? TM_OK : tm_fail(&error, TM_FATAL, "out of memory");
    for (uint32_t i = 0; properties && i < f->property_count; i++)
        properties[i] = (tm_kafka_property){f->properties[i].name, f->properties[i].value};
    tm_kafka_config kafka = {
        .brokers = f->brokers,
        .group = f->group,
        .instance = f->instance,
        .inputs = {f->usage, f->accounts},
        .outputs = {f->churn_risk, f->expansion, f->advisories, f->health, f->dead_letters, f->journal},
        .properties = properties,
        .property_count = f->property_count};
    tm_clock clock = tm_system_clock();
    kafka.clock = &clock;
    uint32_t partitions = 0;
    if (status == TM_OK)
        status = tm_kafka_config_check(&kafka, &error);
    if (status == TM_OK)
        status = tm_kafka_admin_new(&kafka, &admin, &error);
    if (status == TM_OK)
        status = tm_kafka_admin_connect(admin, CONNECT_MS, &error);
    if (status == TM_OK) {
        status = tm_kafka_admin_check(admin, COMPACTION_LAG, false, take_kafka_finding, c, &partitions, &error);
        if (status == TM_REJECT) {
            c->wrong = true; /* each was reported */
            goto out;
        }
    }
    if (status == TM_OK && partitions > 0 && partitions <= PARTITIONS_MAX) {
        edges = calloc(partitions, sizeof *edges);
        if (edges)
            status = tm_kafka_admin_edges(admin, f->usage, partitions, EDGES_MS, edges, &error);
        else
            status = tm_fail(&error, TM_FATAL, "out of memory");
        for (uint32_t i = 0; edges && status == TM_OK && i < partitions; i++) {
            if (edges[i].earliest != TM_TIME_NONE && (*ret_first == TM_TIME_NONE || edges[i].earliest < *ret_first))
                *ret_first = edges[i].earliest;
        }
    }
    if (status == TM_OK) {
        (void)tm_fail(&error, TM_OK, "answers, the topics are as they have to be, %u partitions", partitions);
        tm_error_where(&error, "Kafka at %.200s", f->brokers);
        find(c, FINDING_GOOD, &error);
    } else {
        find_status(c, status, &error);
    }
out:
    free(edges);
    tm_kafka_admin_free(admin);
    free(properties);
}

static void check_redis(checking *c, const tm_setup *setup)
{
    tm_redis_store_options options = tm_setup_store(setup);
    tm_store store;
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_redis_store_open(&options, &store, &error);
    if (status != TM_OK) {
        find_status(c, status, &error);
        return;
    }
    status = store.check(store.context, &error);
    if (status != TM_OK) {
        find_status(c, status, &error);
    } else {
        tm_slice rest = tm_slice_of(tm_redis_store_warnings(&store));
        while (rest.length) {
            const char *end = memchr(rest.data, '\n', rest.length);
            size_t length = end ? (size_t)(end - rest.data) : rest.length;
            (void)tm_fail(&error, TM_OK, "%.*s", (int)length, rest.data);
            tm_error_where(&error, "Redis");
            if (length)
                find(c, FINDING_WARNING, &error);
            size_t used = end ? length + 1 : length;
            rest = (tm_slice){rest.data + used, rest.length - used};
        }
        (void)tm_fail(&error, TM_OK, "answers and will keep what it is given");
        tm_error_where(&error, "Redis");
        find(c, FINDING_GOOD, &error);
    }
    store.close(store.context);
}

/* --- showing --- */

static void metric_line(const tm_metric *metric, char text[static 64])
{
    if (metric->reach_days && metric->reach_hours)
        snprintf(text, 64, "%d days, %d hours", metric->reach_days, metric->reach_hours);
    else if (metric->reach_hours)
        snprintf(text, 64, "%d hours", metric->reach_hours);
    else if (metric->reach_days)
        snprintf(text, 64, "%d days", metric->reach_days);
    else
        snprintf(text, 64, "no window");
}

static void show_people(const checking *c, const tm_setup *setup, tm_time counting)
{
    const tm_pack *pack = setup->pack;
    printf("rules version %lld: %u metrics, %u rules\n", (long long)pack->version, pack->metric_count,
           pack->rule_count);
    if (pack->metric_count)
        printf("\nmetrics, and how far back each is kept:\n");
    for (uint32_t m = 0; m < pack->metric_count; m++) {
        char reach[64];
        metric_line(&pack->metrics[m], reach);
        printf("  %-28.*s %s\n", (int)pack->metrics[m].name.length, pack->metrics[m].name.data, reach);
    }
    if (pack->stage_count)
        printf("\nstages, in order:\n");
    for (uint32_t s = 0; s < pack->stage_count; s++) {
        char stay[TM_TIME_TEXT];
        const tm_stage *stage = &pack->stages[s];
        tm_slice enter = pack->program.nodes[stage->enter].text;
        tm_duration_format(stage->stay_ms, stay);
        printf("  %-28.*s %.*s%s%s\n", (int)stage->name.length, stage->name.data, (int)enter.length, enter.data,
               stage->stay_ms ? ", for at least " : "", stage->stay_ms ? stay : "");
    }
    if (pack->rule_count) {
        if (counting == TM_TIME_NEVER) {
            printf("\nrules (counting begins at the first record of usage):\n");
        } else if (counting == TM_TIME_NONE) {
            printf("\nrules (history is complete):\n");
        } else {
            char from[TM_TIME_TEXT];
            tm_time_format(counting, from);
            printf("\nrules (counting since %s):\n", from);
        }
        tm_setup_print_answers(setup, counting, stdout);
    }
    if (c->count)
        printf("\n%.*s", (int)c->findings.length, c->findings.data);
    printf("\n%s\n", c->wrong || c->unavailable ? "not good" : "good");
}

/* False without memory: then nothing was printed. */
static bool show_json(checking *c, const tm_setup *setup, tm_time counting)
{
    const tm_pack *pack = setup->pack;
    tm_buffer out;
    tm_buffer_init(&out, 64 << 20);
    tm_buffer_append_format(&out, "{\"good\":%s,\"rules_version\":%lld,\"counting_start\":",
                            c->wrong || c->unavailable ? "false" : "true", (long long)pack->version);
    char text[TM_TIME_TEXT];
    if (counting == TM_TIME_NEVER || counting == TM_TIME_NONE) {
        tm_buffer_append_text(&out, "null");
    } else {
        tm_time_format(counting, text);
        tm_buffer_append_format(&out, "\"%s\"", text);
    }
    tm_buffer_append_text(&out, ",\"metrics\":[");
    for (uint32_t m = 0; m < pack->metric_count; m++) {
        tm_buffer_append_text(&out, m ? ",{\"name\":" : "{\"name\":");
        tm_buffer_append_json_string(&out, pack->metrics[m].name);
        tm_buffer_append_format(&out, ",\"days\":%d,\"hours\":%d}", pack->metrics[m].reach_days,
                                pack->metrics[m].reach_hours);
    }
    tm_buffer_append_text(&out, "],\"stages\":[");
    for (uint32_t s = 0; s < pack->stage_count; s++) {
        tm_buffer_append_text(&out, s ? ",{\"name\":" : "{\"name\":");
        tm_buffer_append_json_string(&out, pack->stages[s].name);
        tm_buffer_append_format(&out, ",\"stay\":%lld,\"answers_after_days\":%d}", (long long)pack->stages[s].stay_ms,
                                tm_setup_answers_after_days(setup, pack->stages[s].enter));
    }
    tm_buffer_append_text(&out, "],\"rules\":[");
    for (uint32_t r = 0; r < pack->rule_count; r++) {
        const tm_rule *rule = &pack->rules[r];
        tm_buffer_append_text(&out, r ? ",{\"name\":" : "{\"name\":");
        tm_buffer_append_json_string(&out, rule->name);
        tm_buffer_append_format(&out, ",\"kind\":\"%s\",\"answers_after_days\":%d,\"answers_from\":",
                                tm_kind_name(rule->kind), tm_setup_answers_after_days(setup, rule->when));
        tm_time from = counting == TM_TIME_NEVER ? TM_TIME_NONE : tm_setup_answers_from(setup, rule->when, counting);
        if (from == TM_TIME_NONE) {
            tm_buffer_append_text(&out, "null}");
            continue;
        }
        tm_time_format(from, text);
        tm_buffer_append_format(&out, "\"%s\"}", text);
    }
    tm_buffer_append_text(&out, "],\"findings\":[");
    tm_buffer_append_slice(&out, tm_buffer_slice(&c->findings));
    tm_buffer_append_text(&out, "]}");
    (void)tm_buffer_text(&out); /* takes a byte, too */
    bool complete = !out.overflowed;
    if (complete)
        puts(tm_buffer_text(&out));
    tm_buffer_done(&out);
    return complete;
}

/* False without memory: then nothing was printed. */
static bool show_errors_json(const tm_diagnostics *found)
{
    tm_buffer out;
    tm_buffer_init(&out, 1 << 20);
    tm_buffer_append_text(&out, "{\"good\":false,\"errors\":[");
    for (uint32_t i = 0; i < found->count; i++) {
        const tm_diagnostic *d = &found->items[i];
        tm_buffer_append_text(&out, i ? ",{\"file\":" : "{\"file\":");
        tm_buffer_append_json_string(&out, tm_slice_of(d->file));
        tm_buffer_append_format(&out, ",\"line\":%u,\"column\":%u,\"message\":", d->line, d->column);
        tm_buffer_append_json_string(&out, tm_slice_of(d->message));
        tm_buffer_append_text(&out, ",\"hint\":");
        tm_buffer_append_json_string(&out, d->hint[0] ? tm_slice_of(d->hint) : (tm_slice){0});
        tm_buffer_append_char(&out, '}');
    }
    tm_buffer_append_format(&out, "],\"not_shown\":%u}", found->dropped);
    (void)tm_buffer_text(&out); /* takes a byte, too */
    bool complete = !out.overflowed;
    if (complete)
        puts(tm_buffer_text(&out));
    tm_buffer_done(&out);
    return complete;
}

int tm_check_look(const tm_command *command, const tm_setup *setup, bool json, tm_buffer *out)
{
    checking c = {.command = command, .json = json, .only_problems = true};
    tm_buffer_init(&c.findings, 16 << 20);
    tm_time first = TM_TIME_NONE;
    check_pack(&c, setup, true);
    check_kafka(&c, setup, &first);
    check_redis(&c, setup);
    tm_buffer_append_slice(out, tm_buffer_slice(&c.findings));
    out->overflowed |= c.findings.overflowed;
    tm_buffer_done(&c.findings);
    return c.unavailable ? EX_UNAVAILABLE : c.wrong ? EX_CONFIG : EX_OK;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {0};
    checking c = {.command = command};
    bool offline = false, permissions = false;
    const tm_option table[] = {
        {"config", "FILE", "tidemark.yaml (default: tidemark.yaml here, unless only --rules is given)", TM_OPTION_TEXT,
         &options.configuration},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"offline", NULL, "look at the files only", TM_OPTION_FLAG, &offline},
        {"permissions", NULL, "print what has to be allowed in Kafka and Redis, and ask neither", TM_OPTION_FLAG,
         &permissions},
        {"json", NULL, "one JSON object", TM_OPTION_FLAG, &c.json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here: files are named by options", argv[1]);
    if (!options.configuration && !options.rules)
        options.configuration = "tidemark.yaml";
    bool with_configuration = options.configuration != NULL;
    tm_diagnostics *found = c.json ? calloc(1, sizeof *found) : NULL;
    options.diagnostics = found;
    tm_setup setup;
    status = tm_setup_load(command, &options, &setup);
    if (status) {
        if (found && found->count && !show_errors_json(found))
            status = tm_cli_say(command, EX_OSERR, "out of memory");
        free(found);
        return status;
    }
    free(found);
    tm_buffer_init(&c.findings, 16 << 20);
    if (permissions) {
        tm_permissions_print(&setup, c.json, &c.findings);
        fputs(tm_buffer_text(&c.findings), stdout);
        bool whole = !c.findings.overflowed;
        tm_buffer_done(&c.findings);
        tm_setup_done(&setup);
        return whole ? EX_OK : tm_cli_say(command, EX_OSERR, "out of memory");
    }
    check_pack(&c, &setup, with_configuration);
    tm_time first = TM_TIME_NONE;
    if (with_configuration && !offline) {
        check_kafka(&c, &setup, &first);
        check_redis(&c, &setup);
    }
    tm_time counting = tm_setup_counting_start(&setup, first, TM_TIME_NEVER);
    bool complete = !c.findings.overflowed;
    if (complete && c.json)
        complete = show_json(&c, &setup, counting);
    else if (complete)
        show_people(&c, &setup, counting);
    tm_buffer_done(&c.findings);
    tm_setup_done(&setup);
    if (!complete)
        return tm_cli_say(command, EX_OSERR, "out of memory");
    return c.unavailable ? EX_UNAVAILABLE : c.wrong ? EX_CONFIG : EX_OK;
}

const tm_command tm_command_check = {
    .name = "check",
    .summary = "is everything as it has to be: configuration, rules, Kafka and Redis",
    .arguments = "",
    .text =
        "Reads the configuration and the rules and shows every error with its line. When they are good it asks Kafka\n"
        "and Redis too, and tells how far back each metric is kept and from when on each rule can answer.\n"
        "With --permissions it prints the commands for an administrator of Kafka and Redis that allow what this\n"
        "configuration needs, and nothing beyond.\n\n"
        "Exit status: 0 good, 66 a file is not there, 69 a server does not answer, 78 a file is wrong, or a topic\n"
        "or the Redis server is not as it has to be.",
    .run = run,
};
