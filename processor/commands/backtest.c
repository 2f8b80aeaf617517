#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/base/hash.h"
#include "tidemark/commands/backtestreport.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/outcomes.h"
#include "tidemark/commands/weeks.h"

enum { WEEKS_OF_USE = 4, EXPRESSIONS = 3 };

/* One pack over the whole archive. */
typedef struct trial {
    const tm_setup *setup;
    tm_backtest *backtest;
    tm_plays *plays;
    tm_error *error;
    tm_slice owner_role;
    uint32_t score, use, alike; /* nodes; TM_NODE_NONE: none */
} trial;

static tm_status out_of_memory(const trial *t)
{
    return tm_fail(t->error, TM_FATAL, "out of memory");
}

static tm_status take_signal(void *context, const tm_signal *signal)
{
    trial *t = context;
    uint32_t account = tm_backtest_account(t->backtest, signal->account->key);
    uint32_t rule = tm_backtest_rule(t->backtest, signal->rule_name, signal->kind);
    if (account == UINT32_MAX || rule == UINT32_MAX)
        return out_of_memory(t);
    if (signal->state == TM_SIGNAL_CLEARED) {
        tm_backtest_cleared(t->backtest, account, rule, signal->time);
        return TM_OK;
    }
    if (signal->state == TM_SIGNAL_UPDATED) {
        tm_backtest_updated(t->backtest, account, rule, signal->severity);
        return TM_OK;
    }
    static const tm_moment nowhen; /* an owner does not depend on the instant */
    tm_value owner = tm_facts_value(signal->facts, TM_FACT_OWNER, t->owner_role, &nowhen);
    uint32_t number =
        tm_backtest_owner(t->backtest, owner.type == TM_TYPE_STRING ? owner.as.string : TM_SLICE_LITERAL(""));
    if (number == UINT32_MAX ||
        tm_backtest_raised(t->backtest, account, rule, number, signal->severity, signal->time) != TM_OK)
        return out_of_memory(t);
    return TM_OK;
}

static tm_value value_of(tm_shard *shard, const tm_account *account, tm_time at, uint32_t node)
{
    return node == TM_NODE_NONE ? tm_value_null() : tm_shard_evaluate(shard, account->key, at, node);
}

static double number_of(tm_value value)
{
    return value.type == TM_TYPE_NUMBER || value.type == TM_TYPE_DURATION ? value.as.number : NAN;
}

static uint64_t hash_of(tm_value value)
{
    if (value.type == TM_TYPE_STRING)
        return tm_hash(value.as.string);
    if (value.type == TM_TYPE_BOOLEAN)
        return 1 + value.as.boolean;
    double number = number_of(value);
    return isnan(number) ? 0 : tm_hash((tm_slice){(const char *)&number, sizeof number});
}

/* Every account as it stands at `at`, which every record up to it has reached. */
static tm_status snapshot(void *context, tm_shard *shard, tm_time at)
{
    trial *t = context;
    tm_status status = TM_OK;
    static const tm_moment nowhen;
    for (uint32_t i = 0; status == TM_OK && i < tm_shard_account_count(shard); i++) {
        const tm_account *account = tm_shard_account_at(shard, i);
        uint32_t number = tm_backtest_account(t->backtest, account->key);
        if (number == UINT32_MAX)
            return out_of_memory(t);
        double score = number_of(value_of(shard, account, at, t->score));
        tm_value mrr = tm_facts_value(account->facts, TM_FACT_MRR, (tm_slice){0}, &nowhen);
        status = tm_backtest_snapshot(t->backtest, number, at, score, number_of(mrr));
        if (status == TM_OK)
            status = tm_plays_week(t->plays, number, at, score, number_of(value_of(shard, account, at, t->use)),
                                   hash_of(value_of(shard, account, at, t->alike)));
    }
    return status == TM_OK ? TM_OK : out_of_memory(t);
}

/* The events play_started and play_done name their play in the property `play`. */
static tm_status note_play(const trial *t, uint32_t account, const tm_event *event)
{
    bool started = tm_slice_equal_text(event->name, "play_started");
    if (!started && !tm_slice_equal_text(event->name, "play_done"))
        return TM_OK;
    tm_value name = tm_event_property(event, TM_SLICE_LITERAL("play"));
    if (name.type != TM_TYPE_STRING)
        return TM_OK;
    uint32_t play = tm_plays_number(t->plays, name.as.string);
    if (play == UINT32_MAX || (started && tm_plays_started(t->plays, account, play, event->at) != TM_OK))
        return out_of_memory(t);
    if (!started)
        tm_plays_done(t->plays, play);
    return TM_OK;
}

static tm_status meet(void *context, const tm_record *record)
{
    trial *t = context;
    tm_slice account = record->kind == TM_RECORD_EVENT   ? record->event->account
                       : record->kind == TM_RECORD_FACTS ? record->account
                                                         : (tm_slice){0};
    if (!account.data)
        return TM_OK;
    uint32_t number = tm_backtest_account(t->backtest, account);
    if (number == UINT32_MAX)
        return out_of_memory(t);
    tm_backtest_met(t->backtest, number, record->timestamp);
    return record->kind == TM_RECORD_EVENT ? note_play(t, number, record->event) : TM_OK;
}

/* TM_REJECT: a file cannot be read. */
static tm_status try_pack(trial *t, const tm_feed_options *files, const tm_backtest_settings *settings)
{
    t->backtest = tm_backtest_new(settings);
    t->plays = tm_plays_new(&(tm_plays_settings){settings->within, WEEKS_OF_USE});
    if (!t->backtest || !t->plays)
        return out_of_memory(t);
    tm_weeks weeks = {.setup = t->setup,
                      .files = files,
                      .command = "backtest",
                      .context = t,
                      .signal = take_signal,
                      .record = meet,
                      .week = snapshot};
    tm_time until;
    tm_status status = tm_weeks_feed(&weeks, &until, t->error);
    tm_backtest_seen_until(t->backtest, until);
    return status;
}

typedef struct request {
    const char *outcomes, *against, *owner_role, *page;
    const char *expressions[EXPRESSIONS]; /* score, use, alike */
    tm_backtest_settings settings;
    bool json;
} request;

/* The outcomes come last: whoever judged is done by now. */
static tm_status judge(trial *t, const request *asked, tm_outcomes_read *ret_read, tm_error *error)
{
    tm_status status = tm_outcomes_read_file(asked->outcomes, t->setup->zone, t->backtest, ret_read, error);
    if (status != TM_OK)
        return status;
    if (tm_backtest_judge(t->backtest) != TM_OK)
        return tm_fail(error, TM_FATAL, "out of memory");
    for (size_t i = 0; i < tm_backtest_outcome_count(t->backtest, TM_ENDING_CHURNED); i++) {
        tm_backtest_outcome outcome = tm_backtest_outcome_at(t->backtest, TM_ENDING_CHURNED, i);
        if (tm_plays_churned(t->plays, tm_backtest_account(t->backtest, outcome.account), outcome.t) != TM_OK)
            return tm_fail(error, TM_FATAL, "out of memory");
    }
    return tm_plays_judge(t->plays, tm_backtest_until(t->backtest)) == TM_OK
               ? TM_OK
               : tm_fail(error, TM_FATAL, "out of memory");
}

/* One pack, from its file to figures; the setup is the caller's to free. */
static int run_trial(const tm_command *command, const request *asked, tm_setup_options options, tm_feed_options *files,
                     tm_setup *setup, tm_report_part *part)
{
    tm_error error;
    tm_error_clear(&error);
    tm_slice texts[EXPRESSIONS];
    uint32_t compiled[EXPRESSIONS];
    uint32_t nodes[EXPRESSIONS] = {TM_NODE_NONE, TM_NODE_NONE, TM_NODE_NONE};
    uint32_t count = 0;
    for (int i = 0; i < EXPRESSIONS; i++)
        if (asked->expressions[i])
            texts[count++] = tm_slice_of(asked->expressions[i]);
    options.expressions = count ? texts : NULL;
    options.expression_count = count;
    options.ret_nodes = compiled;
    int failed = tm_setup_load(command, &options, setup);
    if (failed)
        return failed;
    for (int i = EXPRESSIONS; i-- > 0;)
        if (asked->expressions[i])
            nodes[i] = compiled[--count];
    for (uint32_t i = 0; !asked->expressions[0] && i < setup->pack->score_count; i++)
        if (tm_slice_equal_text(setup->pack->scores[i].name, "health"))
            nodes[0] = setup->pack->scores[i].value;
    part->ranked = nodes[0] != TM_NODE_NONE;
    setup->shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
    files->reading = tm_setup_reading(setup, true);
    trial t = {.setup = setup,
               .error = &error,
               .owner_role = tm_slice_of(asked->owner_role),
               .score = nodes[0],
               .use = nodes[1],
               .alike = nodes[2]};
    tm_status status = try_pack(&t, files, &asked->settings);
    part->backtest = t.backtest;
    part->plays = t.plays;
    part->rules = setup->pack;
    if (status == TM_OK)
        status = judge(&t, asked, &part->read, &error);
    if (status == TM_OK)
        return EX_OK;
    int said = tm_cli_fail(command, status, &error);
    return status == TM_REJECT ? EX_NOINPUT : said;
}

static int duration_of(const tm_command *command, const char *option, const char *text, int64_t *ret_ms)
{
    if (!text || (tm_duration_parse(tm_slice_of(text), ret_ms) == TM_OK && *ret_ms > 0))
        return EX_OK;
    return tm_cli_say(command, EX_USAGE, "--%s takes a duration such as 90d, not '%s'", option, text);
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.offline = true};
    tm_feed_options files = {.until = TM_TIME_NEVER};
    request asked = {.owner_role = "csm", .settings = {90 * TM_DAY, 30 * TM_DAY, 56 * TM_DAY, TM_TIME_NONE}};
    const char *within = NULL;
    const char *loss = NULL;
    const char *tenure = NULL;
    const char *until = NULL;
    const char *since = NULL;
    const tm_option table[] = {
        {"events", "FILE", "usage events, a JSON object a line; '-' standard input, .gz and .zst by name",
         TM_OPTION_TEXT, &files.events},
        {"accounts", "FILE", "account records, likewise", TM_OPTION_TEXT, &files.accounts},
        {"outcomes", "FILE", "what became of the accounts: CSV with account, outcome, at (or date), perhaps reason",
         TM_OPTION_TEXT, &asked.outcomes},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"against", "FILE", "other rules, tried on the same data beside them", TM_OPTION_TEXT, &asked.against},
        {"config", "FILE", "tidemark.yaml: time zone, grid, mapping and limits; no server is used", TM_OPTION_TEXT,
         &options.configuration},
        {"score", "EXPRESSION",
         "what ranks the accounts each week, the greater the safer (health, where the rules have it)", TM_OPTION_TEXT,
         &asked.expressions[0]},
        {"use", "EXPRESSION", "how much an account uses, whose change four weeks after a play is shown", TM_OPTION_TEXT,
         &asked.expressions[1]},
        {"alike", "EXPRESSION", "accounts are compared for plays when it has the same value, and a like score",
         TM_OPTION_TEXT, &asked.expressions[2]},
        {"within", "DURATION", "how long after an alarm its outcome may come (90d)", TM_OPTION_TEXT, &within},
        {"loss", "DURATION", "how long after a ranking churn counts (30d)", TM_OPTION_TEXT, &loss},
        {"tenure", "DURATION", "accounts known for less are not ranked, their outcomes not asked for (56d)",
         TM_OPTION_TEXT, &tenure},
        {"owner-role", "ROLE", "whose signals are counted a week (csm)", TM_OPTION_TEXT, &asked.owner_role},
        {"since", "TIME", "count no week, alarm and outcome before this; what came earlier is replayed only",
         TM_OPTION_TEXT, &since},
        {"until", "TIME", "read no record later than this and end exactly there", TM_OPTION_TEXT, &until},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"html", "FILE", "a page with tables and charts that needs nothing else", TM_OPTION_TEXT, &asked.page},
        {"json", NULL, "one JSON object instead of tables", TM_OPTION_FLAG, &asked.json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here: files are named by options", argv[1]);
    if (!files.events || !asked.outcomes)
        return tm_cli_say(command, EX_USAGE, "--%s is needed", files.events ? "outcomes" : "events");
    if (!options.rules && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--rules is needed, or a --config that names them");
    if (asked.against && (strcmp(files.events, "-") == 0 || strcmp(asked.outcomes, "-") == 0))
        return tm_cli_say(command, EX_USAGE, "with --against everything is read twice, and standard input cannot be");
    if (until && tm_setup_time(until, &files.until) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--until takes a time such as 2026-01-31T08:00:00Z, not '%s'", until);
    if (since && tm_setup_time(since, &asked.settings.since) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--since takes a time such as 2026-01-31T08:00:00Z, not '%s'", since);
    status = duration_of(command, "within", within, &asked.settings.within);
    if (status == EX_OK)
        status = duration_of(command, "loss", loss, &asked.settings.loss);
    if (status == EX_OK)
        status = duration_of(command, "tenure", tenure, &asked.settings.tenure);
    if (status != EX_OK)
        return status;
    tm_setup setups[2] = {0};
    tm_report_part parts[2] = {0};
    uint32_t count = asked.against ? 2 : 1;
    for (uint32_t i = 0; i < count && status == EX_OK; i++) {
        if (i)
            options.rules = asked.against;
        status = run_trial(command, &asked, options, &files, &setups[i], &parts[i]);
    }
    if (status == EX_OK) {
        tm_report_options shown = {.settings = asked.settings,
                                   .score = asked.expressions[0]                 ? tm_slice_of(asked.expressions[0])
                                            : parts[0].ranked || parts[1].ranked ? TM_SLICE_LITERAL("health")
                                                                                 : (tm_slice){0},
                                   .json = asked.json,
                                   .page = asked.page};
        status = tm_report_backtest(command, &shown, parts, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        tm_backtest_free(parts[i].backtest);
        tm_plays_free(parts[i].plays);
        tm_setup_done(&setups[i]);
    }
    return status;
}

const tm_command tm_command_backtest = {
    .name = "backtest",
    .summary = "replays an archive and holds the signals against what became of the accounts",
    .arguments = "",
    .text = "Replays files as `replay` does and compares the signals with known outcomes: per rule and kind how many\n"
            "alarms came true (precision), how many outcomes were foreseen (recall) and how early (lead), beside\n"
            "what alarms at random would reach; how many signals an owner gets a week; how well a score ranks those\n"
            "who leave; which losses no rule saw; and how accounts\n"
            "went on with and without each play among those alike. Intervals are of 95 %. Outcomes are read after the "
            "last record\n"
            "was judged, so nothing can know them early.\n\n"
            "  tidemark backtest --events usage.ndjson.zst --accounts accounts.ndjson --outcomes outcomes.csv \\\n"
            "    --rules rules.yaml --score 'events[28d]' --against candidate.yaml\n\n"
            "Exit status: 0 done, 64 wrong usage, 66 a file is not there or cannot be read, 73 the page cannot be\n"
            "created, 74 an output cannot be written, 78 the configuration or the rules are wrong.",
    .run = run,
};
