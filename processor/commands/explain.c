#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/codec/signal.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/feed.h"
#include "tidemark/commands/live.h"
#include "tidemark/commands/setup.h"

enum { TREE_DEPTH_MAX = 64 };

/* One account at one instant, explained into a buffer. */
typedef struct explanation {
    const tm_setup *setup;
    tm_shard *shard;
    tm_slice account;
    tm_time at;
    tm_time counting; /* TM_TIME_NONE: history is complete */
    const char *rule; /* only this one; NULL: all */
    bool json;
    tm_buffer out;
} explanation;

static const char *const state_names[] = {"inactive", "pending", "raised", "clearing"};

static tm_value value_of(const explanation *e, uint32_t node)
{
    return tm_shard_evaluate(e->shard, e->account, e->at, node);
}

static void put_value(explanation *e, tm_value value)
{
    char duration[TM_TIME_TEXT];
    if (value.type == TM_TYPE_DURATION && !e->json) {
        tm_duration_format((int64_t)value.as.number, duration);
        tm_buffer_append_text(&e->out, duration);
    } else {
        tm_value_encode(value, &e->out);
    }
    if (value.approximate && !e->json)
        tm_buffer_append_text(&e->out, " (approximate)");
}

static void put_time(explanation *e, tm_time t)
{
    char text[TM_TIME_TEXT];
    if (t == TM_TIME_NONE || t == TM_TIME_NEVER) {
        tm_buffer_append_text(&e->out, e->json ? "null" : t == TM_TIME_NONE ? "-" : "never");
        return;
    }
    tm_time_format(t, text);
    tm_buffer_append_format(&e->out, e->json ? "\"%s\"" : "%s", text);
}

/* --- facts --- */

static void put_fact(explanation *e, const char *prefix, tm_slice name, const char *suffix, tm_value value, bool *first)
{
    if (tm_value_is_null(value))
        return;
    if (!e->json) {
        tm_buffer_append_format(&e->out, "  %s%.*s%s = ", prefix, (int)name.length, name.data, suffix);
        put_value(e, value);
        tm_buffer_append_char(&e->out, '\n');
        return;
    }
    tm_buffer_append_text(&e->out, *first ? "\"" : ",\"");
    tm_buffer_append_json_text(&e->out, tm_slice_of(prefix));
    tm_buffer_append_json_text(&e->out, name);
    tm_buffer_append_json_text(&e->out, tm_slice_of(suffix));
    tm_buffer_append_text(&e->out, "\":");
    put_value(e, value);
    *first = false;
}

static tm_value of_fixed(tm_fixed fixed)
{
    return fixed == TM_FIXED_NONE ? tm_value_null() : tm_value_number(tm_fixed_number(fixed));
}

static void put_facts(explanation *e, const tm_account *account)
{
    static const struct {
        const char *name;
        tm_fact_field field;
    } fields[] = {{"name", TM_FACT_NAME},
                  {"plan", TM_FACT_PLAN},
                  {"tier", TM_FACT_TIER},
                  {"status", TM_FACT_STATUS},
                  {"success_plan", TM_FACT_SUCCESS_PLAN},
                  {"seats", TM_FACT_SEATS},
                  {"mrr", TM_FACT_MRR},
                  {"currency", TM_FACT_CURRENCY},
                  {"term_months", TM_FACT_TERM_MONTHS},
                  {"contract_start", TM_FACT_CONTRACT_START},
                  {"renewal_at", TM_FACT_RENEWAL_AT},
                  {"first_term", TM_FACT_FIRST_TERM},
                  {"contract_age", TM_FACT_CONTRACT_AGE},
                  {"days_to_renewal", TM_FACT_DAYS_TO_RENEWAL}};
    tm_moment moment;
    tm_day_span span = {0};
    tm_moment_at(&moment, e->setup->zone, e->at, &span);
    bool first = true;
    tm_buffer_append_text(&e->out, e->json ? ",\"facts\":{" : "\nfacts\n");
    if (account && account->facts) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            put_fact(e, "", tm_slice_of(fields[i].name), "",
                     tm_facts_value(account->facts, fields[i].field, (tm_slice){0}, &moment), &first);
        tm_facts_draft *draft = calloc(1, sizeof *draft);
        if (draft) {
            tm_facts_read(account->facts, draft);
            for (uint32_t i = 0; i < draft->owner_count; i++)
                put_fact(e, "owners.", draft->owners[i].name, "", draft->owners[i].value, &first);
            for (uint32_t i = 0; i < draft->goal_count; i++)
                put_fact(e, "goals.", draft->goals[i].name, "", draft->goals[i].value, &first);
            for (uint32_t i = 0; i < draft->attribute_count; i++)
                put_fact(e, "attributes.", draft->attributes[i].name, "", draft->attributes[i].value, &first);
            for (uint32_t i = 0; i < draft->product_count; i++) {
                put_fact(e, "products.", draft->products[i].name, ".seats", of_fixed(draft->products[i].seats), &first);
                put_fact(e, "products.", draft->products[i].name, ".mrr", of_fixed(draft->products[i].mrr), &first);
            }
            if (draft->champion_count)
                put_fact(e, "", tm_slice_of("champions"), " (count)", tm_value_number(draft->champion_count), &first);
        }
        free(draft);
    } else if (!e->json) {
        tm_buffer_append_text(&e->out, "  no account record yet\n");
    }
    if (e->json)
        tm_buffer_append_char(&e->out, '}');
}

/* --- metrics --- */

static bool is_metric_term(tm_op op)
{
    return op == TM_OP_WINDOW || op == TM_OP_VALUE || op == TM_OP_AGE || op == TM_OP_FIRST ||
           tm_baseline_is((uint8_t)op);
}

static void put_metrics(explanation *e)
{
    const tm_program *program = &e->setup->pack->program;
    bool first = true;
    tm_buffer_append_text(&e->out, e->json ? ",\"metrics\":{" : "\nmetrics, as the rules read them\n");
    for (uint32_t m = 0; m < e->setup->pack->metric_count; m++) {
        for (uint32_t i = 0; i < program->node_count; i++) {
            const tm_node *node = &program->nodes[i];
            if (is_metric_term((tm_op)node->op) && node->metric == m)
                put_fact(e, "", node->text, "", value_of(e, i), &first);
            if (is_metric_term((tm_op)node->op) && node->metric == m && tm_value_is_null(value_of(e, i)) && !e->json)
                tm_buffer_append_format(&e->out, "  %.*s = null\n", (int)node->text.length, node->text.data);
        }
    }
    if (e->json)
        tm_buffer_append_char(&e->out, '}');
}

/* --- stages --- */

static void put_stages(explanation *e, const tm_account *account)
{
    const tm_pack *pack = e->setup->pack;
    const tm_stage_path *path = account ? &account->stages : &(tm_stage_path){0};
    if (pack->stage_count == 0)
        return;
    if (e->json) {
        tm_buffer_append_text(&e->out, ",\"stage\":");
        tm_buffer_append_json_string(&e->out, tm_stage_name(pack, tm_stage_present(path)));
        tm_buffer_append_text(&e->out, ",\"stages\":[");
        for (uint32_t i = 0; i < path->count; i++) {
            tm_buffer_append_text(&e->out, i ? ",{\"stage\":" : "{\"stage\":");
            tm_buffer_append_json_string(&e->out, tm_stage_name(pack, &path->changes[i]));
            tm_buffer_append_text(&e->out, ",\"entered\":");
            put_time(e, path->changes[i].at);
            tm_buffer_append_char(&e->out, '}');
        }
        tm_buffer_append_char(&e->out, ']');
        return;
    }
    tm_buffer_append_text(&e->out, path->count ? "\nstages, the present one first\n" : "\nno stage entered yet\n");
    for (uint32_t i = path->count; i-- > 0;) {
        tm_slice name = tm_stage_name(pack, &path->changes[i]);
        tm_buffer_append_text(&e->out, "  ");
        tm_buffer_append_slice(&e->out, name.data ? name : TM_SLICE_LITERAL("(none, or none of these rules)"));
        tm_buffer_append_text(&e->out, " since ");
        put_time(e, path->changes[i].at);
        tm_buffer_append_char(&e->out, '\n');
    }
}

/* --- rules --- */

/* A condition and below it each part with its value; constants say nothing. */
static void put_tree(explanation *e, uint32_t index, int depth, bool *first)
{
    const tm_program *program = &e->setup->pack->program;
    const tm_node *node = &program->nodes[index];
    if (node->op == TM_OP_CONSTANT || depth > TREE_DEPTH_MAX)
        return;
    if (e->json) {
        tm_buffer_append_format(&e->out, "%s{\"depth\":%d,\"text\":", *first ? "" : ",", depth);
        tm_buffer_append_json_string(&e->out, node->text);
        tm_buffer_append_text(&e->out, ",\"value\":");
        put_value(e, value_of(e, index));
        tm_buffer_append_text(&e->out, value_of(e, index).approximate ? ",\"approximate\":true}" : "}");
        *first = false;
    } else {
        tm_buffer_append_format(&e->out, "    %*s%.*s = ", 2 * depth, "", (int)node->text.length, node->text.data);
        put_value(e, value_of(e, index));
        tm_buffer_append_char(&e->out, '\n');
    }
    for (uint32_t i = 0; i < node->argument_count; i++)
        put_tree(e, program->argument_list[node->arguments + i], depth + 1, first);
}

/* One sentence: what has to happen for the rule to move on. */
static void put_waiting(const explanation *e, const tm_account *account, const tm_rule *rule, const tm_episode *episode,
                        tm_buffer *out)
{
    tm_episode_state state = episode ? (tm_episode_state)episode->state : TM_EPISODE_INACTIVE;
    char time[TM_TIME_TEXT];
    tm_value when = value_of(e, rule->when);
    tm_time free_at = TM_TIME_NONE;
    if (episode && episode->cleared_at != TM_TIME_NONE)
        free_at = rule->cooldown_once ? TM_TIME_NEVER : episode->cleared_at + rule->cooldown_ms;
    if (state == TM_EPISODE_INACTIVE || state == TM_EPISODE_PENDING) {
        if (rule->scope != TM_NODE_NONE && !tm_value_is_true(value_of(e, rule->scope))) {
            tm_buffer_append_text(out, "the account is out of scope");
            return;
        }
        if (free_at == TM_TIME_NEVER) {
            tm_buffer_append_text(out, "was raised once, and is never raised again");
            return;
        }
    }
    switch (state) {
    case TM_EPISODE_INACTIVE: {
        if (rule->on_stage) {
            tm_buffer_append_text(out, "waits for a change of stage");
            break;
        }
        tm_time from = tm_setup_answers_from(e->setup, rule->when, e->counting);
        if (tm_value_is_null(when) && from != TM_TIME_NONE && from > e->at) {
            tm_day_format(tm_zone_day(e->setup->zone, from), time);
            tm_buffer_append_format(out, "cannot answer before %s", time);
        } else {
            tm_buffer_append_text(out, tm_value_is_null(when) ? "its condition is null: something it needs is not known"
                                       : tm_value_is_true(when) ? "its condition has just become true"
                                                                : "its condition is false");
        }
        break;
    }
    case TM_EPISODE_PENDING:
        tm_time_format(episode->since + rule->for_ms, time);
        tm_buffer_append_format(out, "holds until %s", time);
        if (free_at != TM_TIME_NONE && free_at > episode->since + rule->for_ms) {
            tm_time_format(free_at, time);
            tm_buffer_append_format(out, ", cooldown until %s", time);
        }
        for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
            const tm_rule *inhibitor = &e->setup->pack->rules[rule->inhibitors[i]];
            const tm_episode *other = account ? tm_account_episode(account, inhibitor->identity) : NULL;
            if (!other)
                continue;
            if (tm_episode_open(other)) {
                tm_buffer_append_format(out, ", held back by %.*s", (int)inhibitor->name.length, inhibitor->name.data);
            } else if (other->cleared_at != TM_TIME_NONE && other->cleared_at + rule->inhibit_tail_ms > e->at) {
                tm_time_format(other->cleared_at + rule->inhibit_tail_ms, time);
                tm_buffer_append_format(out, ", held back by the end of %.*s until %s", (int)inhibitor->name.length,
                                        inhibitor->name.data, time);
            }
        }
        break;
    case TM_EPISODE_RAISED:
        tm_buffer_append_text(out, "open until it clears");
        break;
    case TM_EPISODE_CLEARING:
        tm_time_format(episode->since + rule->clear_for_ms, time);
        tm_buffer_append_format(out, "clears at %s unless its clear condition ends", time);
        break;
    }
}

/* What people said to it, and that it comes and goes. */
static void put_notes(explanation *e, const tm_episode *episode)
{
    const tm_episode_notes *notes = episode->notes;
    if (episode->marks & TM_EPISODE_FLAPPING)
        tm_buffer_append_text(&e->out, ", flapping");
    if (notes->acknowledged_at != TM_TIME_NONE) {
        tm_buffer_append_text(&e->out, ", acknowledged ");
        put_time(e, notes->acknowledged_at);
        tm_buffer_append_text(&e->out, notes->acknowledged_by.data ? " by " : "");
        tm_buffer_append_slice(&e->out, notes->acknowledged_by);
    }
    if (notes->snoozed_until != TM_TIME_NONE && notes->snoozed_until > e->at) {
        tm_buffer_append_text(&e->out, ", snoozed until ");
        put_time(e, notes->snoozed_until);
    }
}

static void put_rule_people(explanation *e, const tm_rule *rule, const tm_episode *episode, tm_slice waiting)
{
    const char *state = state_names[episode ? episode->state : TM_EPISODE_INACTIVE];
    tm_buffer_append_format(&e->out, "\n  %.*s (%s): %s", (int)rule->name.length, rule->name.data,
                            tm_kind_name(rule->kind), state);
    if (episode && episode->state != TM_EPISODE_INACTIVE) {
        bool raised = episode->state == TM_EPISODE_RAISED;
        tm_buffer_append_text(&e->out, " since ");
        put_time(e, raised ? episode->raised_at : episode->since);
        if (tm_episode_open(episode))
            tm_buffer_append_format(&e->out, ", severity %s, %u signals",
                                    tm_severity_name((tm_severity)episode->published_severity), episode->sequence);
    }
    if (episode && episode->notes)
        put_notes(e, episode);
    tm_buffer_append_format(&e->out, "\n    %.*s\n", (int)waiting.length, waiting.data);
    tm_time from = tm_setup_answers_from(e->setup, rule->when, e->counting);
    if (from != TM_TIME_NONE && from <= e->at) {
        char day[TM_TIME_TEXT];
        tm_day_format(tm_zone_day(e->setup->zone, from), day);
        tm_buffer_append_format(&e->out, "    can answer from %s\n", day);
    }
    bool first = true;
    put_tree(e, rule->when, 0, &first);
    if (episode && tm_episode_open(episode)) {
        tm_buffer_append_text(&e->out, "    to clear:\n");
        put_tree(e, rule->clear, 1, &first);
    }
}

static void put_rule_json(explanation *e, const tm_rule *rule, const tm_episode *episode, tm_slice waiting)
{
    tm_buffer_append_text(&e->out, "{\"name\":");
    tm_buffer_append_json_string(&e->out, rule->name);
    tm_buffer_append_format(&e->out, ",\"kind\":\"%s\",\"state\":\"%s\",\"since\":", tm_kind_name(rule->kind),
                            state_names[episode ? episode->state : TM_EPISODE_INACTIVE]);
    bool timed = episode && (episode->state == TM_EPISODE_PENDING || episode->state == TM_EPISODE_CLEARING);
    put_time(e, timed ? episode->since : episode && tm_episode_open(episode) ? episode->raised_at : TM_TIME_NONE);
    bool open = episode && tm_episode_open(episode);
    tm_buffer_append_text(&e->out, ",\"raised_at\":");
    put_time(e, open ? episode->raised_at : TM_TIME_NONE);
    tm_buffer_append_text(&e->out, ",\"cleared_at\":");
    put_time(e, episode ? episode->cleared_at : TM_TIME_NONE);
    tm_buffer_append_format(&e->out, ",\"sequence\":%u,\"severity\":", open ? episode->sequence : 0);
    tm_buffer_append_json_string(&e->out, open ? tm_slice_of(tm_severity_name((tm_severity)episode->published_severity))
                                               : (tm_slice){0});
    tm_buffer_append_text(&e->out, ",\"answers_from\":");
    put_time(e, tm_setup_answers_from(e->setup, rule->when, e->counting));
    tm_buffer_append_text(&e->out, ",\"waiting\":");
    tm_buffer_append_json_string(&e->out, waiting);
    bool first = true;
    tm_buffer_append_text(&e->out, ",\"when\":[");
    put_tree(e, rule->when, 0, &first);
    first = true;
    tm_buffer_append_text(&e->out, "],\"clear\":[");
    put_tree(e, rule->clear, 0, &first);
    tm_buffer_append_text(&e->out, "]}");
}

static void put_rules(explanation *e, const tm_account *account)
{
    tm_buffer_append_text(&e->out, e->json ? ",\"rules\":[" : "\nrules\n");
    bool first = true;
    tm_buffer waiting;
    tm_buffer_init(&waiting, 1 << 16);
    for (uint32_t i = 0; i < e->setup->pack->rule_count; i++) {
        const tm_rule *rule = &e->setup->pack->rules[i];
        if (e->rule && !tm_slice_equal_text(rule->name, e->rule))
            continue;
        const tm_episode *episode = account ? tm_account_episode(account, rule->identity) : NULL;
        tm_buffer_reset(&waiting);
        put_waiting(e, account, rule, episode, &waiting);
        e->out.overflowed |= waiting.overflowed;
        if (e->json && !first)
            tm_buffer_append_char(&e->out, ',');
        first = false;
        if (e->json)
            put_rule_json(e, rule, episode, tm_buffer_slice(&waiting));
        else
            put_rule_people(e, rule, episode, tm_buffer_slice(&waiting));
    }
    tm_buffer_done(&waiting);
    if (e->json)
        tm_buffer_append_char(&e->out, ']');
}

static int explain(const tm_command *command, explanation *e)
{
    const tm_account *account = tm_shard_account(e->shard, e->account);
    tm_buffer_init(&e->out, 256 << 20);
    if (e->json) {
        tm_buffer_append_text(&e->out, "{\"account\":");
        tm_buffer_append_json_string(&e->out, e->account);
        tm_buffer_append_text(&e->out, ",\"at\":");
        put_time(e, e->at);
        tm_buffer_append_format(&e->out,
                                ",\"timezone\":\"%s\",\"known\":%s,\"counting_start\":", tm_zone_name(e->setup->zone),
                                account ? "true" : "false");
        put_time(e, e->counting);
    } else {
        tm_buffer_append_slice(&e->out, e->account);
        tm_buffer_append_text(&e->out, " at ");
        put_time(e, e->at);
        tm_buffer_append_format(&e->out, " (days in %s)%s\n", tm_zone_name(e->setup->zone),
                                account ? "" : ": never seen");
    }
    put_facts(e, account);
    put_stages(e, account);
    put_metrics(e);
    put_rules(e, account);
    if (e->json)
        tm_buffer_append_text(&e->out, "}\n");
    int status = e->out.overflowed ? tm_cli_say(command, EX_OSERR, "out of memory") : EX_OK;
    if (!status) {
        fwrite(e->out.data, 1, e->out.length, stdout);
        if (fflush(stdout) != 0)
            status = tm_cli_say(command, EX_IOERR, "standard output cannot be written");
    }
    tm_buffer_done(&e->out);
    return status;
}

/* --- where the account comes from --- */

static int explain_files(const tm_command *command, explanation *e, tm_feed_options *files)
{
    tm_error error;
    tm_error_clear(&error);
    files->reading = tm_setup_reading(e->setup, true);
    tm_feed *feed = NULL;
    tm_status status = tm_feed_open(files, &feed, &error);
    tm_time last = TM_TIME_NONE;
    if (status == TM_OK) {
        e->counting = tm_setup_counting_start(e->setup, tm_feed_first_usage(feed), TM_TIME_MAX);
        e->shard = tm_shard_new(&e->setup->shard, e->setup->pack, e->counting, NULL, 0);
        if (!e->shard)
            status = tm_fail(&error, TM_FATAL, "out of memory");
    }
    if (status == TM_OK) {
        tm_shard_begin(e->shard, TM_TIME_NEVER);
        if (tm_feed_first(feed) != TM_TIME_NONE)
            tm_shard_start(e->shard, tm_feed_first(feed));
    }
    while (status == TM_OK) {
        tm_record record;
        bool end;
        status = tm_feed_next(feed, &record, &end, &error);
        if (status != TM_OK || end)
            break;
        status = tm_feed_apply(feed, e->shard, &record, NULL, &error);
        last = record.timestamp;
    }
    if (status == TM_OK) {
        e->at = files->until == TM_TIME_NEVER ? last : files->until;
        if (e->at == TM_TIME_NONE)
            status = tm_fail(&error, TM_REJECT, "no record of the files has a time: --at is needed");
        else
            status = tm_feed_refused(e->shard, NULL, tm_shard_advance(e->shard, e->at), &error);
    }
    (void)tm_feed_close(feed, NULL);
    if (status != TM_OK) {
        if (!error.what[0])
            (void)tm_fail(&error, status, "out of memory");
        int said = tm_cli_fail(command, status, &error);
        tm_shard_free(e->shard);
        return status == TM_REJECT ? EX_NOINPUT : said;
    }
    int failed = explain(command, e);
    tm_shard_free(e->shard);
    return failed;
}

static int explain_live(const tm_command *command, explanation *e, tm_time at)
{
    tm_error error;
    tm_error_clear(&error);
    tm_live *live = NULL;
    tm_status status = tm_live_open(e->setup, &live, &error);
    if (status == TM_OK)
        status = tm_live_account(live, e->account, &e->shard, &error);
    if (status == TM_OK) {
        tm_time now = tm_shard_time(e->shard);
        e->at = at == TM_TIME_NEVER ? now : at;
        e->counting = tm_live_counting_start(live);
        if (e->at < now) {
            char stands[TM_TIME_TEXT];
            tm_time_format(now, stands);
            status = tm_fail(&error, TM_REJECT, "--at lies before %s, where the account's shard stands", stands);
        }
    }
    int failed;
    if (status == TM_OK) {
        if (tm_live_rules_differ(live))
            fprintf(stderr, "tidemark explain: the rules read here are not those the workers run\n");
        failed = explain(command, e);
    } else {
        int said = tm_cli_fail(command, status, &error);
        failed = status == TM_RETRY ? EX_UNAVAILABLE : said;
    }
    tm_live_close(live);
    return failed;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {0};
    tm_feed_options files = {.until = TM_TIME_NEVER};
    const char *account = NULL;
    const char *at = NULL;
    explanation e = {0};
    const tm_option table[] = {
        {"account", "ACCOUNT", "which account", TM_OPTION_TEXT, &account},
        {"at", "TIME", "when (default: the end of the files, or where the account's shard stands)", TM_OPTION_TEXT,
         &at},
        {"rule", "RULE", "only this rule", TM_OPTION_TEXT, &e.rule},
        {"events", "FILE", "usage events: out of files; without it, out of Redis", TM_OPTION_TEXT, &files.events},
        {"accounts", "FILE", "account records", TM_OPTION_TEXT, &files.accounts},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"config", "FILE", "tidemark.yaml", TM_OPTION_TEXT, &options.configuration},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"json", NULL, "one JSON object", TM_OPTION_FLAG, &e.json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here", argv[1]);
    if (!account)
        return tm_cli_say(command, EX_USAGE, "--account is needed");
    if (!files.events && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--events is needed to read files, or --config to read Redis");
    if (!options.rules && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--rules is needed, or a --config that names them");
    tm_time t = TM_TIME_NEVER;
    if (at && tm_setup_time(at, &t) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--at takes a time such as 2026-01-31T08:00:00Z, not '%s'", at);
    options.offline = files.events != NULL;
    tm_setup setup;
    status = tm_setup_load(command, &options, &setup);
    if (status)
        return status;
    if (e.rule && tm_pack_rule(setup.pack, tm_slice_of(e.rule)) == UINT32_MAX) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, tm_slice_of(e.rule));
        for (uint32_t i = 0; i < setup.pack->rule_count; i++)
            tm_nearest_offer(&nearest, setup.pack->rules[i].name);
        tm_slice found = tm_nearest_found(&nearest);
        status =
            tm_cli_say(command, EX_USAGE, "there is no rule '%s'%s%.*s%s", e.rule, found.data ? ": did you mean '" : "",
                       (int)found.length, found.data ? found.data : "", found.data ? "'?" : "");
        tm_setup_done(&setup);
        return status;
    }
    e.setup = &setup;
    e.account = tm_slice_of(account);
    if (files.events) {
        setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
        files.until = t;
        files.account = &account; /* the others only move the time */
        files.account_count = 1;
        status = explain_files(command, &e, &files);
    } else {
        status = explain_live(command, &e, t);
    }
    tm_setup_done(&setup);
    return status;
}

const tm_command tm_command_explain = {
    .name = "explain",
    .summary = "why an account's rules stand where they stand",
    .arguments = "",
    .text =
        "Shows an account's facts, its metrics as the rules read them, and for each rule its state, its condition\n"
        "with the value of every part, and what it waits for. With --events out of files, otherwise out of Redis.\n\n"
        "  tidemark explain --config tidemark.yaml --account acme --rule usage_drop\n\n"
        "Exit status: 0 done, 64 wrong usage, 65 nothing is kept of the time asked for, 66 a file is not there,\n"
        "69 Redis does not answer, 78 the configuration or the rules are wrong.",
    .run = run,
};
