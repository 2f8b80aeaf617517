#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/commands.h"
#include "tidemark/commands/feed.h"
#include "tidemark/commands/live.h"
#include "tidemark/commands/sheet.h"

typedef enum order { BY_RISK, BY_MRR, BY_RENEWAL, BY_HEALTH, BY_NAME, ORDERS } order;
static const char *const order_names[ORDERS] = {"risk", "mrr", "renewal", "health", "name"};

/* An account as it stands; NaN and absent slices for what is not known. */
typedef struct row {
    tm_slice account, name, tier, stage, owner, currency, band, open, open_json;
    double health, mrr, days_to_renewal;
    double weight; /* of the gravest open churn_risk: info 1, warn 2, high 3, critical 4; none 0 */
    tm_time last;  /* the UTC hour of its last event that a metric counts */
} row;

typedef struct roster {
    const tm_setup *setup;
    const char *tier, *stage, *owner, *currency, *owner_role;
    bool every; /* those too that are no customers now */
    order sort;
    tm_time at;             /* TM_TIME_NEVER: where each shard stands */
    const tm_score *health; /* NULL: the rules have no score */
    tm_arena *texts;
    row *rows;
    size_t count, capacity;
    tm_error *error;
} roster;

static tm_slice keep(roster *r, tm_slice text, bool *short_of_memory)
{
    char *copy = text.data ? tm_arena_copy(r->texts, text.data, text.length) : NULL;
    *short_of_memory = *short_of_memory || (text.data && !copy);
    return (tm_slice){copy, copy ? text.length : 0};
}

static double number_of(tm_value value)
{
    return value.type == TM_TYPE_NUMBER || value.type == TM_TYPE_DURATION ? value.as.number : NAN;
}

static tm_slice text_of(tm_value value)
{
    return value.type == TM_TYPE_STRING ? value.as.string : (tm_slice){0};
}

static bool wanted(const char *word, tm_slice text)
{
    return !word || tm_slice_equal_text(text, word) || (!word[0] && !text.data);
}

static const char *rule_kind(const tm_episode *episode)
{
    return tm_kind_name((tm_kind)episode->kind);
}

static int graver(const void *a, const void *b)
{
    const tm_episode *x = *(const tm_episode *const *)a;
    const tm_episode *y = *(const tm_episode *const *)b;
    if (x->published_severity != y->published_severity)
        return x->published_severity > y->published_severity ? -1 : 1;
    return tm_slice_compare(x->rule_name, y->rule_name);
}

/* The open signals, the gravest first: "rule:severity …", and the same for programs. */
static bool list_open(roster *r, const tm_account *account, row *made)
{
    const tm_episode **open = calloc((size_t)account->episode_count + 1, sizeof(const tm_episode *));
    tm_buffer text;
    tm_buffer json;
    tm_buffer_init(&text, SIZE_MAX / 4);
    tm_buffer_init(&json, SIZE_MAX / 4);
    uint32_t count = 0;
    for (uint32_t i = 0; open && i < account->episode_count; i++)
        if (tm_episode_open(&account->episodes[i]))
            open[count++] = &account->episodes[i];
    if (count > 1)
        qsort(open, count, sizeof(const tm_episode *), graver);
    tm_buffer_append_char(&json, '[');
    for (uint32_t i = 0; i < count; i++) {
        char raised[TM_TIME_TEXT];
        const char *severity = tm_severity_name((tm_severity)open[i]->published_severity);
        tm_time_format(open[i]->raised_at, raised);
        tm_buffer_append_format(&text, "%s%.*s:%s", i ? " " : "", (int)open[i]->rule_name.length,
                                open[i]->rule_name.data, severity);
        tm_buffer_append_text(&json, i ? ",{\"rule\":" : "{\"rule\":");
        tm_buffer_append_json_string(&json, open[i]->rule_name);
        tm_buffer_append_format(&json, ",\"kind\":\"%s\",\"severity\":\"%s\",\"raised_at\":\"%s\"}", rule_kind(open[i]),
                                severity, raised);
        if (open[i]->kind == TM_KIND_CHURN_RISK)
            made->weight = fmax(made->weight, 1.0 + open[i]->published_severity);
    }
    tm_buffer_append_char(&json, ']');
    bool failed = !open || text.overflowed || json.overflowed;
    if (count)
        made->open = keep(r, tm_buffer_slice(&text), &failed);
    made->open_json = keep(r, tm_buffer_slice(&json), &failed);
    tm_buffer_done(&text);
    tm_buffer_done(&json);
    free(open);
    return !failed;
}

static tm_status take(roster *r, tm_shard *shard, const tm_account *account, const tm_moment *now)
{
    const tm_facts *facts = account->facts;
    tm_slice tier = text_of(tm_facts_value(facts, TM_FACT_TIER, (tm_slice){0}, now));
    tm_slice stage = tm_stage_name(r->setup->pack, tm_stage_present(&account->stages));
    tm_slice owner = text_of(tm_facts_value(facts, TM_FACT_OWNER, tm_slice_of(r->owner_role), now));
    tm_slice currency = text_of(tm_facts_value(facts, TM_FACT_CURRENCY, (tm_slice){0}, now));
    tm_slice status = text_of(tm_facts_value(facts, TM_FACT_STATUS, (tm_slice){0}, now));
    if (!wanted(r->tier, tier) || !wanted(r->stage, stage) || !wanted(r->owner, owner) ||
        !wanted(r->currency, currency) || (!r->every && status.data && !tm_slice_equal_text(status, "active")))
        return TM_OK;
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 256;
        row *rows = reallocarray(r->rows, capacity, sizeof *rows);
        if (!rows)
            return TM_FATAL;
        r->rows = rows;
        r->capacity = capacity;
    }
    bool failed = false;
    row *made = &r->rows[r->count];
    *made = (row){.account = keep(r, account->key, &failed),
                  .name = keep(r, text_of(tm_facts_value(facts, TM_FACT_NAME, (tm_slice){0}, now)), &failed),
                  .tier = keep(r, tier, &failed),
                  .stage = keep(r, stage, &failed),
                  .owner = keep(r, owner, &failed),
                  .currency = keep(r, currency, &failed),
                  .mrr = number_of(tm_facts_value(facts, TM_FACT_MRR, (tm_slice){0}, now)),
                  .days_to_renewal = number_of(tm_facts_value(facts, TM_FACT_DAYS_TO_RENEWAL, (tm_slice){0}, now)),
                  .health = NAN,
                  .last = TM_TIME_NONE};
    if (failed || !list_open(r, account, made))
        return TM_FATAL;
    if (r->health) {
        const tm_track *track = tm_tracks_find(&account->tracks, r->health->identity);
        made->health = number_of(tm_shard_evaluate(shard, account->key, now->t, r->health->value));
        made->band = tm_slice_of(track ? tm_band_name((tm_band)track->band) : NULL);
    }
    for (uint32_t i = 0; i < account->series_count; i++) {
        tm_time last = account->series[i] ? tm_series_last_at(account->series[i]) : TM_TIME_NONE;
        made->last = last > made->last ? last : made->last;
    }
    r->count++;
    return TM_OK;
}

static tm_status take_shard(void *context, tm_shard *shard)
{
    roster *r = context;
    tm_time stands = tm_shard_time(shard);
    if (stands == TM_TIME_NONE)
        return TM_OK;
    if (r->at != TM_TIME_NEVER && r->at < stands) {
        char text[TM_TIME_TEXT];
        tm_time_format(stands, text);
        return tm_fail(r->error, TM_REJECT, "--at lies before %s, where a shard stands", text);
    }
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, r->setup->zone, r->at == TM_TIME_NEVER ? stands : r->at, &span);
    for (uint32_t i = 0; i < tm_shard_account_count(shard); i++) {
        tm_status status = take(r, shard, tm_shard_account_at(shard, i), &now);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

/* --- in order --- */

/* Greater first, what is not known last. */
static int descending(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (int)isnan(a) - (int)isnan(b);
    return (a < b) - (a > b);
}

static double risk_of(const row *x)
{
    return isnan(x->mrr) ? 0 : x->weight * x->mrr;
}

static int compare(const void *a, const void *b, void *context)
{
    const row *x = a;
    const row *y = b;
    int found = 0;
    switch (*(const enum order *)context) {
    case BY_RISK:
        found = descending(risk_of(x), risk_of(y));
        if (found == 0)
            found = descending(x->weight, y->weight);
        break;
    case BY_MRR:
        found = descending(x->mrr, y->mrr);
        break;
    case BY_RENEWAL:
        found = descending(-x->days_to_renewal, -y->days_to_renewal);
        break;
    case BY_HEALTH:
        found = descending(-x->health, -y->health);
        break;
    case BY_NAME:
        found = tm_slice_compare(x->name.data ? x->name : x->account, y->name.data ? y->name : y->account);
        break;
    case ORDERS:
        break;
    }
    return found ? found : tm_slice_compare(x->account, y->account);
}

static const tm_sheet_column columns[] = {
    {"account", "account", TM_SHEET_TEXT},   {"name", "name", TM_SHEET_TEXT},
    {"tier", "tier", TM_SHEET_TEXT},         {"stage", "stage", TM_SHEET_TEXT},
    {"owner", "owner", TM_SHEET_TEXT},       {"health", "health", TM_SHEET_NUMBER},
    {"band", "band", TM_SHEET_TEXT},         {"mrr", "MRR", TM_SHEET_AMOUNT},
    {"currency", "", TM_SHEET_TEXT},         {"days_to_renewal", "renewal, days", TM_SHEET_COUNT},
    {"risk", "risk", TM_SHEET_AMOUNT},       {"last_event", "last event", TM_SHEET_TEXT},
    {"open", "open signals", TM_SHEET_TEXT},
};

static bool fill(const roster *r, size_t limit, tm_sheet *sheet)
{
    for (size_t i = 0; i < r->count && i < limit; i++) {
        const row *x = &r->rows[i];
        char last[TM_TIME_TEXT] = "";
        if (x->last != TM_TIME_NONE)
            tm_time_format(x->last, last);
        tm_sheet_text(sheet, x->account);
        tm_sheet_text(sheet, x->name);
        tm_sheet_text(sheet, x->tier);
        tm_sheet_text(sheet, x->stage);
        tm_sheet_text(sheet, x->owner);
        tm_sheet_number(sheet, x->health);
        tm_sheet_text(sheet, x->band);
        tm_sheet_number(sheet, x->mrr);
        tm_sheet_text(sheet, x->currency);
        tm_sheet_number(sheet, x->days_to_renewal);
        tm_sheet_number(sheet, isnan(x->mrr) ? NAN : risk_of(x));
        tm_sheet_text(sheet, last[0] ? tm_slice_of(last) : (tm_slice){0});
        tm_sheet_told(sheet, x->open, x->open_json);
    }
    return !sheet->failed;
}

typedef enum form { FOR_PEOPLE, AS_JSON, AS_CSV } form;

static int print(const tm_command *command, roster *r, size_t limit, form shown)
{
    tm_sheet sheet;
    tm_buffer out;
    tm_buffer_init(&out, SIZE_MAX / 4);
    if (r->count)
        qsort_r(r->rows, r->count, sizeof *r->rows, compare, &r->sort);
    bool whole = tm_sheet_init(&sheet, "accounts", "Accounts", columns, sizeof columns / sizeof columns[0]) == TM_OK &&
                 fill(r, limit, &sheet);
    if (whole && shown == FOR_PEOPLE)
        tm_sheet_print(&sheet, stdout);
    for (size_t i = 0; whole && shown == AS_JSON && i < tm_sheet_rows(&sheet); i++) {
        tm_sheet_json(&sheet, i, &out);
        tm_buffer_append_char(&out, '\n');
    }
    if (whole && shown == AS_CSV)
        tm_sheet_csv(&sheet, &out);
    int status = !whole || out.overflowed ? tm_cli_say(command, EX_OSERR, "out of memory") : EX_OK;
    if (!status && out.length)
        (void)fwrite(out.data, 1, out.length, stdout);
    if (!status && whole && shown == FOR_PEOPLE && r->count > limit)
        printf("and %zu more\n", r->count - limit);
    if (!status && (fflush(stdout) != 0 || ferror(stdout)))
        status = tm_cli_say(command, EX_IOERR, "standard output cannot be written");
    tm_sheet_done(&sheet);
    tm_buffer_done(&out);
    return status;
}

/* --- where they come from --- */

static tm_status read_files(roster *r, tm_feed_options *files)
{
    tm_feed *feed = NULL;
    files->reading = tm_setup_reading(r->setup, true);
    files->until = r->at;
    tm_status status = tm_feed_open(files, &feed, r->error);
    if (status != TM_OK)
        return status;
    tm_time first = tm_feed_first(feed);
    tm_time last = first;
    tm_time counting = tm_setup_counting_start(r->setup, tm_feed_first_usage(feed), TM_TIME_MAX);
    tm_shard *shard = tm_shard_new(&r->setup->shard, r->setup->pack, counting, NULL, 0);
    if (!shard)
        status = tm_fail(r->error, TM_FATAL, "out of memory");
    if (status == TM_OK && first != TM_TIME_NONE && first <= r->at) {
        tm_shard_begin(shard, TM_TIME_NEVER);
        tm_shard_start(shard, first);
    }
    while (status == TM_OK) {
        tm_record record;
        bool end;
        status = tm_feed_next(feed, &record, &end, r->error);
        if (status != TM_OK || end)
            break;
        status = tm_feed_apply(feed, shard, &record, "accounts, bytes", r->error);
        last = record.timestamp;
    }
    tm_cli_progress_end();
    if (status == TM_OK && last != TM_TIME_NONE && first <= r->at)
        status = tm_feed_refused(shard, NULL, tm_shard_advance(shard, r->at == TM_TIME_NEVER ? last : r->at), r->error);
    if (status == TM_OK)
        status = take_shard(r, shard);
    tm_shard_free(shard);
    tm_status closed = tm_feed_close(feed, r->error);
    return status == TM_OK ? closed : status;
}

static tm_status read_store(const tm_command *command, roster *r)
{
    tm_live *live = NULL;
    tm_status status = tm_live_open(r->setup, &live, r->error);
    if (status != TM_OK)
        return status;
    if (tm_live_rules_differ(live))
        fprintf(stderr, "tidemark %s: the rules read here are not those the workers run\n", command->name);
    status = tm_live_each(live, take_shard, r, r->error);
    tm_live_close(live);
    return status;
}

static int show(const tm_command *command, roster *r, tm_feed_options *files, size_t limit, form shown)
{
    tm_error error;
    tm_error_clear(&error);
    r->error = &error;
    const tm_pack *pack = r->setup->pack;
    r->health = pack->score_count ? &pack->scores[0] : NULL;
    for (uint32_t i = 0; i < pack->score_count; i++)
        if (tm_slice_equal_text(pack->scores[i].name, "health"))
            r->health = &pack->scores[i];
    r->texts = tm_arena_new(0);
    tm_status status = r->texts ? TM_OK : tm_fail(&error, TM_FATAL, "out of memory");
    if (status == TM_OK)
        status = files->events || files->accounts ? read_files(r, files) : read_store(command, r);
    if (status != TM_OK && !error.what[0])
        (void)tm_fail(&error, status, "out of memory");
    int failed = status == TM_OK ? print(command, r, limit, shown) : tm_cli_fail(command, status, &error);
    if (status == TM_REJECT && (files->events || files->accounts))
        failed = EX_NOINPUT;
    if (status == TM_RETRY)
        failed = EX_UNAVAILABLE;
    free(r->rows);
    tm_arena_free_all(r->texts);
    r->error = NULL;
    return failed;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {0};
    tm_feed_options files = {0};
    roster r = {.owner_role = "csm", .at = TM_TIME_NEVER};
    const char *sort = "risk";
    const char *at = NULL;
    int64_t limit = INT64_MAX;
    bool json = false;
    bool csv = false;
    const tm_option table[] = {
        {"sort", "WHAT", "risk (default), mrr, renewal, health or name", TM_OPTION_TEXT, &sort},
        {"tier", "TIER", "only accounts of this tier; '' for those without", TM_OPTION_TEXT, &r.tier},
        {"owner", "OWNER", "only accounts of this owner", TM_OPTION_TEXT, &r.owner},
        {"owner-role", "ROLE", "which of an account's owners is meant (csm)", TM_OPTION_TEXT, &r.owner_role},
        {"stage", "STAGE", "only accounts in this stage", TM_OPTION_TEXT, &r.stage},
        {"currency", "CURRENCY", "only accounts that pay in it", TM_OPTION_TEXT, &r.currency},
        {"all", NULL, "those too whose status is not active", TM_OPTION_FLAG, &r.every},
        {"limit", "COUNT", "so many at most", TM_OPTION_COUNT, &limit},
        {"config", "FILE", "tidemark.yaml; without files, the accounts come out of its Redis", TM_OPTION_TEXT,
         &options.configuration},
        {"events", "FILE", "usage events: out of files", TM_OPTION_TEXT, &files.events},
        {"accounts", "FILE", "account records, likewise", TM_OPTION_TEXT, &files.accounts},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"at", "TIME", "when (default: the end of the files, or where each shard stands)", TM_OPTION_TEXT, &at},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"json", NULL, "one JSON object for each account", TM_OPTION_FLAG, &json},
        {"csv", NULL, "CSV with a header", TM_OPTION_FLAG, &csv},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here", argv[1]);
    while (r.sort < ORDERS && strcmp(order_names[r.sort], sort) != 0)
        r.sort++;
    if (r.sort == ORDERS)
        return tm_cli_say(command, EX_USAGE, "--sort takes risk, mrr, renewal, health or name, not '%s'", sort);
    if (json && csv)
        return tm_cli_say(command, EX_USAGE, "--json and --csv exclude each other");
    bool from_files = files.events || files.accounts;
    if (!from_files && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--config is needed to read Redis, or --events and --accounts for files");
    if (!options.rules && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--rules is needed, or a --config that names them");
    if (at && tm_setup_time(at, &r.at) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--at takes a time such as 2026-01-31T08:00:00Z, not '%s'", at);
    options.offline = from_files;
    tm_setup setup;
    status = tm_setup_load(command, &options, &setup);
    if (status)
        return status;
    if (from_files)
        setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
    r.setup = &setup;
    status = show(command, &r, &files, (size_t)limit, json ? AS_JSON : csv ? AS_CSV : FOR_PEOPLE);
    tm_setup_done(&setup);
    return status;
}

const tm_command tm_command_accounts = {
    .name = "accounts",
    .summary = "the accounts as they stand: who is at risk, and for how much",
    .arguments = "",
    .text =
        "One row an account, out of Redis as the running workers left it, or out of files: tier, stage, owner, "
        "health,\n"
        "MRR, days to renewal, open signals, last event. Risk is the weight of the gravest open churn_risk signal\n"
        "(info 1, warn 2, high 3, critical 4) times MRR; amounts of different currencies are compared as they are,\n"
        "--currency keeps them apart. The last event is that which a metric of the rules counts, to its hour.\n\n"
        "  tidemark accounts --config tidemark.yaml --sort renewal --tier high --limit 20\n\n"
        "Exit status: 0 done, 64 wrong usage, 65 nothing is kept of the group or of the time asked for, 66 a file\n"
        "is not there or cannot be read, 69 Redis does not answer, 78 the configuration or the rules are wrong.",
    .run = run,
};
