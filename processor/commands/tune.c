#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/base/heap.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/tunereport.h"
#include "tidemark/commands/weeks.h"

enum { FOLDS_MAX = 50, REPORT_MAX = 16 << 20 };

/* The archive, collected. */
typedef struct lessons {
    const tm_setup *setup;
    const tm_score *score;
    tm_tuning *tuning;
    tm_tuning_factor (*factors)[TM_FACTORS_MAX]; /* a card */
    tm_backtest *outcomes;                       /* numbers the accounts, and reads what became of them */
    tm_tuning_account *accounts;
    size_t account_room;
    tm_arena *names;
    tm_error *error;
} lessons;

static tm_status out_of_memory(const lessons *l)
{
    return tm_fail(l->error, TM_FATAL, "out of memory");
}

/* --- the cards as they are --- */

static void describe(const tm_program *program, const tm_factor *factor, tm_tuning_factor *ret_factor)
{
    const tm_node *node = &program->nodes[factor->points];
    const uint32_t *arguments = program->argument_list + node->arguments;
    ret_factor->weight = factor->weight;
    ret_factor->duration = program->nodes[arguments[1]].type == TM_TYPE_DURATION;
    ret_factor->map.points = 0;
    for (uint32_t i = 1; i + 1 < node->argument_count; i += 2) {
        uint32_t at = ret_factor->map.points++;
        ret_factor->map.x[at] = program->nodes[arguments[i]].constant.as.number;
        ret_factor->map.y[at] = program->nodes[arguments[i + 1]].constant.as.number;
    }
}

static tm_status take_cards(lessons *l)
{
    l->tuning = tm_tuning_new();
    l->factors = calloc((size_t)l->score->card_count + 1, sizeof *l->factors);
    if (!l->tuning || !l->factors)
        return out_of_memory(l);
    for (uint32_t c = 0; c < l->score->card_count; c++) {
        const tm_card *card = &l->score->cards[c];
        for (uint32_t f = 0; f < card->factor_count; f++)
            describe(&l->setup->pack->program, &card->factors[f], &l->factors[c][f]);
        if (tm_tuning_card(l->tuning, l->factors[c], card->factor_count) == UINT32_MAX)
            return out_of_memory(l);
    }
    return TM_OK;
}

/* --- the archive --- */

/* The number of an account, which has an entry then; UINT32_MAX without memory. */
static uint32_t account_of(lessons *l, tm_slice key)
{
    uint32_t before = tm_backtest_account_count(l->outcomes);
    uint32_t number = tm_backtest_account(l->outcomes, key);
    if (number == UINT32_MAX || number < before)
        return number;
    if (number >= l->account_room) {
        size_t wanted = l->account_room ? 2 * l->account_room : 1024;
        tm_tuning_account *bigger = reallocarray(l->accounts, wanted, sizeof *bigger);
        if (!bigger)
            return UINT32_MAX;
        l->accounts = bigger;
        l->account_room = wanted;
    }
    char *name = tm_arena_copy(l->names, key.data, key.length);
    l->accounts[number] = (tm_tuning_account){{name, key.length}, TM_TIME_NONE, TM_TIME_NEVER};
    return name ? number : UINT32_MAX;
}

static tm_status meet(void *context, const tm_record *record)
{
    lessons *l = context;
    tm_slice account = record->kind == TM_RECORD_EVENT   ? record->event->account
                       : record->kind == TM_RECORD_FACTS ? record->account
                                                         : (tm_slice){0};
    if (!account.data)
        return TM_OK;
    uint32_t number = account_of(l, account);
    if (number == UINT32_MAX)
        return out_of_memory(l);
    if (l->accounts[number].met == TM_TIME_NONE)
        l->accounts[number].met = record->timestamp;
    return TM_OK;
}

static uint32_t card_named(const tm_score *score, tm_slice name)
{
    for (uint32_t c = 0; c < score->card_count; c++)
        if (tm_slice_equal(score->cards[c].name, name))
            return c;
    return UINT32_MAX;
}

static tm_status take_week(void *context, tm_shard *shard, tm_time at)
{
    lessons *l = context;
    const tm_program *program = &l->setup->pack->program;
    for (uint32_t i = 0; i < tm_shard_account_count(shard); i++) {
        tm_slice key = tm_shard_account_at(shard, i)->key;
        tm_value name = tm_shard_evaluate(shard, key, at, l->score->card);
        uint32_t card = name.type == TM_TYPE_STRING ? card_named(l->score, name.as.string) : UINT32_MAX;
        if (card == UINT32_MAX)
            continue;
        double values[TM_FACTORS_MAX];
        for (uint32_t f = 0; f < l->score->cards[card].factor_count; f++) {
            const tm_factor *factor = &l->score->cards[card].factors[f];
            const tm_node *points = &program->nodes[factor->points];
            tm_value value = tm_shard_evaluate(shard, key, at, factor->value);
            /* As the map does: what is of another type than its points is null. */
            bool fits = value.type == program->nodes[program->argument_list[points->arguments + 1]].type;
            values[f] = fits ? value.as.number : NAN;
        }
        uint32_t number = account_of(l, key);
        if (number == UINT32_MAX || tm_tuning_case(l->tuning, number, at, card, values) != TM_OK)
            return out_of_memory(l);
    }
    return TM_OK;
}

/* What became of them, after everything else was read. */
static tm_status take_outcomes(lessons *l, const char *path, tm_outcomes_read *ret_read)
{
    tm_status status = tm_outcomes_read_file(path, l->setup->zone, l->outcomes, ret_read, l->error);
    if (status != TM_OK)
        return status;
    if (tm_backtest_judge(l->outcomes) != TM_OK)
        return out_of_memory(l);
    for (size_t i = 0; i < tm_backtest_outcome_count(l->outcomes, TM_ENDING_CHURNED); i++) {
        tm_backtest_outcome outcome = tm_backtest_outcome_at(l->outcomes, TM_ENDING_CHURNED, i);
        tm_tuning_account *account = &l->accounts[tm_backtest_account(l->outcomes, outcome.account)];
        if (outcome.t < account->lost)
            account->lost = outcome.t;
    }
    return TM_OK;
}

/* Two thirds of the time between the first record and the end, at the begin of a local day. */
static tm_time two_thirds(const lessons *l, tm_time until)
{
    tm_time first = until;
    for (uint32_t i = 0; i < tm_backtest_account_count(l->outcomes); i++)
        if (l->accounts[i].met != TM_TIME_NONE && l->accounts[i].met < first)
            first = l->accounts[i].met;
    return tm_zone_day_start(l->setup->zone, tm_zone_day(l->setup->zone, first + (until - first) / 3 * 2));
}

/* --- the command --- */

typedef struct request {
    const char *outcomes, *card, *out;
    tm_tuning_settings settings;
    bool json;
} request;

static int write_file(const tm_command *command, const char *path, tm_slice text)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return tm_cli_say(command, EX_CANTCREAT, "%s cannot be created: %s", path, strerror(errno));
    bool written = fwrite(text.data, 1, text.length, file) == text.length;
    if (fclose(file) != 0 || !written)
        return tm_cli_say(command, EX_IOERR, "%s cannot be written: %s", path, strerror(errno));
    return EX_OK;
}

/* The report, and the tuned rules where some card was changed. */
static int tell(const tm_command *command, const request *asked, const tm_tune_findings *findings,
                const char *rules_name)
{
    tm_buffer text;
    tm_buffer_init(&text, REPORT_MAX);
    tm_tune_report(findings, asked->json, &text);
    int status = text.overflowed ? tm_cli_say(command, EX_OSERR, "out of memory") : EX_OK;
    if (status == EX_OK &&
        (fwrite(text.data, 1, text.length, stdout) != text.length || fflush(stdout) != 0 || ferror(stdout)))
        status = tm_cli_say(command, EX_IOERR, "standard output cannot be written");
    tm_buffer_reset(&text);
    if (status == EX_OK && tm_tune_changed(findings) == 0)
        status = tm_cli_say(command, EX_DATAERR, "no card could be learned: nothing was written");
    if (status == EX_OK && asked->out) {
        tm_error error;
        tm_error_clear(&error);
        tm_status made = tm_tune_write(findings, rules_name, &text, &error);
        status = made == TM_OK ? write_file(command, asked->out, tm_buffer_slice(&text))
                               : tm_cli_fail(command, made, &error);
    }
    tm_buffer_done(&text);
    return status;
}

/* Bands go with the scores of a card that was changed. */
static void find_edges(const lessons *l, const tm_tune_findings *f)
{
    for (uint32_t c = 0; c < l->score->card_count; c++) {
        const tm_card *card = &l->score->cards[c];
        const double was[2] = {card->green / 10.0, card->yellow / 10.0};
        bool changed = f->cards[c].verdict == TM_VERDICT_CHANGED;
        for (int i = 0; i < 2; i++)
            f->edges[c][i] =
                changed ? tm_tuning_edge(l->tuning, &f->settings, l->accounts, f->accounts, c, &f->cards[c], was[i])
                        : was[i];
        if (isnan(f->edges[c][0]) || isnan(f->edges[c][1])) {
            f->edges[c][0] = was[0];
            f->edges[c][1] = was[1];
        } else if (f->edges[c][0] <= f->edges[c][1]) { /* nobody stood between them */
            double between = f->edges[c][1] < 100 ? f->edges[c][1] : f->edges[c][0] - 0.1;
            f->edges[c][1] = rint(between * 10) / 10;
            f->edges[c][0] = rint(between * 10 + 1) / 10;
        }
    }
}

static tm_status learn(lessons *l, const request *asked, tm_feed_options *files, tm_tune_findings *findings,
                       tm_tuned_card *cards)
{
    tm_weeks weeks = {
        .setup = l->setup, .files = files, .command = "tune", .context = l, .record = meet, .week = take_week};
    tm_status status = take_cards(l);
    if (status == TM_OK)
        status = tm_weeks_feed(&weeks, &findings->until, l->error);
    if (status == TM_OK && findings->until == TM_TIME_NONE)
        return tm_fail(l->error, TM_REJECT, "there is no record");
    tm_backtest_seen_until(l->outcomes, findings->until);
    if (status == TM_OK)
        status = take_outcomes(l, asked->outcomes, &findings->read);
    if (status != TM_OK)
        return status;
    findings->accounts = tm_backtest_account_count(l->outcomes);
    if (findings->settings.cut == TM_TIME_NONE)
        findings->settings.cut = two_thirds(l, findings->until);
    status = tm_tuning_learn(l->tuning, &findings->settings, l->accounts, findings->accounts, cards);
    if (status == TM_OK)
        status = tm_tuning_judge(l->tuning, &findings->settings, l->accounts, findings->accounts, cards,
                                 findings->until, &findings->held_out);
    if (status != TM_OK)
        return out_of_memory(l);
    find_edges(l, findings);
    return TM_OK;
}

/* The score that is learned: that of --card, else health, else the first. */
static const tm_score *choose(const tm_pack *pack, const char *card, uint32_t *ret_only)
{
    const tm_score *chosen = NULL;
    *ret_only = UINT32_MAX;
    for (uint32_t i = 0; i < pack->score_count; i++) {
        const tm_score *score = &pack->scores[i];
        uint32_t own = card ? card_named(score, tm_slice_of(card)) : UINT32_MAX;
        if (own != UINT32_MAX) {
            *ret_only = own;
            return score;
        }
        if (!card && (!chosen || tm_slice_equal_text(score->name, "health")))
            chosen = score;
    }
    return chosen;
}

static int tune(const tm_command *command, request *asked, const tm_setup_options *options, tm_feed_options *files)
{
    tm_setup setup = {0};
    tm_error error;
    tm_error_clear(&error);
    int status = tm_setup_load(command, options, &setup);
    lessons l = {.setup = &setup, .error = &error};
    tm_tuned_card *cards = NULL;
    double(*edges)[2] = NULL;
    if (status != EX_OK)
        goto out;
    l.score = choose(setup.pack, asked->card, &asked->settings.only);
    if (!l.score) {
        status = asked->card ? tm_cli_say(command, EX_DATAERR, "the rules have no card '%s'", asked->card)
                             : tm_cli_say(command, EX_DATAERR, "the rules have no scorecards");
        goto out;
    }
    setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
    files->reading = tm_setup_reading(&setup, true);
    l.outcomes = tm_backtest_new(&(tm_backtest_settings){asked->settings.horizon, asked->settings.horizon,
                                                         asked->settings.tenure, TM_TIME_NONE});
    l.names = tm_arena_new(0);
    cards = calloc((size_t)l.score->card_count + 1, sizeof *cards);
    edges = calloc((size_t)l.score->card_count + 1, sizeof *edges);
    tm_tune_findings findings = {
        .pack = setup.pack, .score = l.score, .cards = cards, .settings = asked->settings, .edges = edges};
    tm_status done =
        l.outcomes && l.names && cards && edges ? learn(&l, asked, files, &findings, cards) : out_of_memory(&l);
    findings.factors = (const tm_tuning_factor(*)[TM_FACTORS_MAX])l.factors;
    if (done == TM_OK) {
        status = tell(command, asked, &findings, options->rules ? options->rules : "rules.yaml");
    } else {
        status = tm_cli_fail(command, done, &error);
        status = done == TM_REJECT ? EX_NOINPUT : status;
    }
out:
    tm_tuning_free(l.tuning);
    tm_backtest_free(l.outcomes);
    tm_arena_free_all(l.names);
    free(l.accounts);
    free(l.factors);
    free(edges);
    free(cards);
    tm_setup_done(&setup);
    return status;
}

static int duration_of(const tm_command *command, const char *option, const char *text, int64_t *ret_ms)
{
    if (!text || (tm_duration_parse(tm_slice_of(text), ret_ms) == TM_OK && *ret_ms > 0))
        return EX_OK;
    return tm_cli_say(command, EX_USAGE, "--%s takes a duration such as 30d, not '%s'", option, text);
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.offline = true, .values_only = true};
    tm_feed_options files = {.until = TM_TIME_NEVER};
    request asked = {.settings = {.horizon = 30 * TM_DAY, .tenure = 56 * TM_DAY, .cut = TM_TIME_NONE}};
    const char *horizon = NULL;
    const char *tenure = NULL;
    const char *until = NULL;
    int64_t folds = 4;
    const tm_option table[] = {
        {"events", "FILE", "usage events, a JSON object a line; '-' standard input, .gz and .zst by name",
         TM_OPTION_TEXT, &files.events},
        {"accounts", "FILE", "account records, likewise", TM_OPTION_TEXT, &files.accounts},
        {"outcomes", "FILE", "what became of the accounts: CSV with account, outcome, at (or date)", TM_OPTION_TEXT,
         &asked.outcomes},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"card", "NAME", "learn this scorecard alone (default: all of the score health)", TM_OPTION_TEXT, &asked.card},
        {"out", "FILE", "write the tuned rules there (default: only say what would be written)", TM_OPTION_TEXT,
         &asked.out},
        {"until", "TIME", "learn from what was known then; the time after it judges (default: after two thirds)",
         TM_OPTION_TEXT, &until},
        {"horizon", "DURATION", "how long after a week's begin a loss counts (30d)", TM_OPTION_TEXT, &horizon},
        {"tenure", "DURATION", "accounts known for less are no cases (56d)", TM_OPTION_TEXT, &tenure},
        {"folds", "N", "spans of the training time that are foretold from those before (4)", TM_OPTION_COUNT, &folds},
        {"keep-directions", NULL, "let no factor's map turn round", TM_OPTION_FLAG, &asked.settings.keep_directions},
        {"config", "FILE", "tidemark.yaml: time zone, grid, mapping and limits; no server is used", TM_OPTION_TEXT,
         &options.configuration},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
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
    if (until && tm_setup_time(until, &asked.settings.cut) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--until takes a time such as 2026-01-31T08:00:00Z, not '%s'", until);
    if (folds < 1 || folds > FOLDS_MAX)
        return tm_cli_say(command, EX_USAGE, "--folds takes a number from 1 to %d", FOLDS_MAX);
    asked.settings.folds = (uint32_t)folds;
    status = duration_of(command, "horizon", horizon, &asked.settings.horizon);
    if (status == EX_OK)
        status = duration_of(command, "tenure", tenure, &asked.settings.tenure);
    return status == EX_OK ? tune(command, &asked, &options, &files) : status;
}

const tm_command tm_command_tune = {
    .name = "tune",
    .summary = "learns scorecards from what became of the accounts, and writes the tuned rules",
    .arguments = "",
    .text =
        "Replays files once, takes every account's factors at each week's begin, and learns from outcomes how much\n"
        "each factor says about a loss within the horizon: weights, and maps of few straight lines, by a\n"
        "regularised logistic regression. Nothing that was not known at --until is used; the time after it says\n"
        "how much better the tuned score ranks. The rules are written as they were, with the numbers of the\n"
        "learned cards replaced, the version raised, and a remark with the evidence at each. A card with too few\n"
        "losses, or without a gain that is more than chance, is left as it is.\n\n"
        "  tidemark tune --events usage.ndjson.zst --accounts accounts.ndjson --outcomes outcomes.csv \\\n"
        "    --rules rules.yaml --out tuned.yaml\n\n"
        "Exit status: 0 done, 64 wrong usage, 65 nothing could be learned (too few losses, no gain, no such\n"
        "card), 66 a file is not there or cannot be read, 73 the rules cannot be created, 74 an output cannot be\n"
        "written, 78 the configuration or the rules are wrong.",
    .run = run,
};
