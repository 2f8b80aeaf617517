#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/commands.h"
#include "tidemark/commands/reportcollect.h"

static int split_by(const tm_command *command, tm_report *r, char *by)
{
    r->dimensions[TM_REPORT_CHANNEL].name = "attributes.channel";
    r->dimensions[TM_REPORT_TIER].name = "tier";
    r->dimension_count = TM_REPORT_GROUPED;
    for (char *at = by; at;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = 0;
        if (!*at)
            return tm_cli_say(command, EX_USAGE,
                              "--by takes names with commas between, such as region,plan,attributes.x");
        if (r->dimension_count == TM_REPORT_DIMENSIONS_MAX)
            return tm_cli_say(command, EX_USAGE, "--by takes %d names at most",
                              TM_REPORT_DIMENSIONS_MAX - TM_REPORT_GROUPED);
        r->dimensions[r->dimension_count++] = (tm_report_dimension){.name = at, .product = strcmp(at, "product") == 0};
        at = comma ? comma + 1 : NULL;
    }
    return EX_OK;
}

static int make(const tm_command *command, tm_report *report, const tm_report_request *asked, tm_report_form form,
                const char *page)
{
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_report_collect(report, asked, &error);
    int failed = EX_OK;
    if (status != TM_OK) {
        int said = tm_cli_fail(command, status, &error);
        failed = status == TM_REJECT ? EX_NOINPUT : said;
    }
    if (!failed)
        failed = tm_report_print(command, report, form, page);
    tm_report_done(report);
    return failed;
}

/* The rules, with the time to first value when they say what that is. */
static int load(const tm_command *command, tm_setup_options options, tm_setup *setup, uint32_t *ret_node)
{
    static const tm_slice text = {"time_to_first_value", sizeof "time_to_first_value" - 1};
    tm_diagnostics *unheard = calloc(1, sizeof *unheard);
    if (!unheard)
        return tm_cli_say(command, EX_OSERR, "out of memory");
    tm_setup_options with = options;
    with.expressions = &text;
    with.expression_count = 1;
    with.ret_nodes = ret_node;
    with.diagnostics = unheard;
    int status = tm_setup_load(command, &with, setup);
    free(unheard);
    if (status == EX_OK)
        return EX_OK;
    *ret_node = TM_NODE_NONE;
    return status == EX_CONFIG ? tm_setup_load(command, &options, setup) : status;
}

/* A day stands for its first instant. NULL leaves what is there. */
static bool read_time(const char *text, const tm_zone *zone, tm_time *ret_time)
{
    int32_t day;
    if (!text)
        return true;
    if (tm_day_parse(tm_slice_of(text), &day) == TM_OK) {
        *ret_time = tm_zone_day_start(zone, day);
        return true;
    }
    return tm_setup_time(text, ret_time) == TM_OK;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.offline = true};
    tm_report report = {.from = TM_TIME_NONE, .margin = 1, .feature = "feature"};
    tm_report_request asked = {.files = {.until = TM_TIME_NEVER}, .owner_role = "csm"};
    const char *page = NULL;
    const char *at = NULL;
    const char *from = NULL;
    const char *by = "owner";
    const char *margin = NULL;
    bool json = false;
    bool csv = false;
    const tm_option table[] = {
        {"accounts", "FILE", "account records, a JSON object a line; .gz and .zst by name", TM_OPTION_TEXT,
         &asked.files.accounts},
        {"events", "FILE", "usage events, likewise", TM_OPTION_TEXT, &asked.files.events},
        {"outcomes", "FILE", "what became of the accounts: CSV with account, outcome, at (or date), perhaps reason",
         TM_OPTION_TEXT, &asked.outcomes},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"config", "FILE", "tidemark.yaml: time zone, mapping and limits; no server is used", TM_OPTION_TEXT,
         &options.configuration},
        {"at", "TIME", "the end of the period (default: the end of the files)", TM_OPTION_TEXT, &at},
        {"from", "TIME", "its beginning (default: a year before, or where the files begin)", TM_OPTION_TEXT, &from},
        {"by", "NAMES",
         "groups, with commas between: owner (default), plan, product, tier, stage, region, attributes.x",
         TM_OPTION_TEXT, &by},
        {"owner-role", "ROLE", "which of an account's owners is meant (csm)", TM_OPTION_TEXT, &asked.owner_role},
        {"margin", "SHARE", "of revenue that counts in the lifetime value, above 0 to 1 (1)", TM_OPTION_TEXT, &margin},
        {"feature", "PROPERTY", "of ticket events: what the ticket is about (feature)", TM_OPTION_TEXT,
         &report.feature},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"html", "FILE", "a page with tables and charts that needs nothing else", TM_OPTION_TEXT, &page},
        {"json", NULL, "one JSON object instead of tables", TM_OPTION_FLAG, &json},
        {"csv", NULL, "CSV, a figure a line", TM_OPTION_FLAG, &csv},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here: files are named by options", argv[1]);
    if (!asked.files.accounts)
        return tm_cli_say(command, EX_USAGE,
                          "--accounts is needed: what changed over time is in the account records. `tidemark accounts` "
                          "shows what the running workers know of the present");
    if (strcmp(asked.files.accounts, "-") == 0 || (asked.files.events && strcmp(asked.files.events, "-") == 0))
        return tm_cli_say(command, EX_USAGE, "the files are read more than once, and standard input cannot be");
    if (!options.rules && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--rules is needed, or a --config that names them");
    if (json && csv)
        return tm_cli_say(command, EX_USAGE, "--json and --csv exclude each other");
    tm_report_form form = json ? TM_REPORT_JSON : csv ? TM_REPORT_CSV : TM_REPORT_TABLES;
    asked.at_is_known = at != NULL;
    if (margin) {
        char *end;
        report.margin = strtod(margin, &end);
        if (*end || !(report.margin > 0 && report.margin <= 1))
            return tm_cli_say(command, EX_USAGE, "--margin takes a number above 0, at most 1, not '%s'", margin);
    }
    tm_setup setup = {0};
    status = load(command, options, &setup, &asked.value_node);
    if (status)
        return status;
    setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
    asked.files.reading = tm_setup_reading(&setup, true);
    asked.setup = &setup;
    if (!read_time(at, setup.zone, &report.at) || !read_time(from, setup.zone, &report.from)) {
        tm_setup_done(&setup);
        return tm_cli_say(command, EX_USAGE, "--from and --at take a day, or a time such as 2026-01-31T08:00:00Z");
    }
    char *words = strdup(by);
    status = words ? split_by(command, &report, words) : tm_cli_say(command, EX_OSERR, "out of memory");
    if (!status)
        status = make(command, &report, &asked, form, page);
    free(words);
    tm_setup_done(&setup);
    return status;
}

const tm_command tm_command_report = {
    .name = "report",
    .summary = "the book of business: recurring revenue, retention, churn and what goes with it",
    .arguments = "",
    .text =
        "Out of an archive of account records, events and outcomes, for the period from --from to --at: MRR and ARR,\n"
        "customers and revenue kept, renewed, won, expanded, contracted and lost, and for which reasons; lifetime\n"
        "value, time to first value, use, tickets by feature, churn in the first term by acquisition channel, and\n"
        "the factors of the scorecards that told early who would leave. By any attribute; each currency by itself.\n"
        "Every figure is explained in docs/report.md. Nothing later than --at is looked at.\n\n"
        "  tidemark report --accounts accounts.ndjson --events usage.ndjson.zst --outcomes outcomes.csv \\\n"
        "    --rules rules.yaml --at 2024-07-01T00:00:00Z --by region,plan,product --html book.html\n\n"
        "Exit status: 0 done, 64 wrong usage, 66 a file is not there or cannot be read, 73 the page cannot be\n"
        "created, 74 an output cannot be written, 78 the configuration or the rules are wrong.",
    .run = run,
};
