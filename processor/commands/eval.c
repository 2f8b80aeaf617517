#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/codec/signal.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/feed.h"
#include "tidemark/commands/live.h"
#include "tidemark/commands/points.h"
#include "tidemark/commands/setup.h"

/* One evaluation's question and answers. Every answer is text at once: a value may point into an account. */
typedef struct evaluation {
    const tm_command *command;
    const tm_setup *setup;
    tm_points points; /* in order of time while answers are found */
    const char *const *texts;
    uint32_t text_count;
    const uint32_t *nodes;
    bool json;
    tm_buffer answers; /* the cells one after the other */
    size_t *cells;     /* text_count + 1 a point in the order given: where each begins, and where the last ends */
    tm_time *at;       /* a point in the order given: the instant it was answered for */
} evaluation;

/* Before a cell of JSON, which never begins with it. */
#define APPROXIMATE '~'

static void show_value(tm_value value, tm_buffer *out)
{
    char duration[TM_TIME_TEXT];
    if (value.type == TM_TYPE_STRING) {
        tm_buffer_append_slice(out, value.as.string);
    } else if (value.type == TM_TYPE_DURATION) {
        tm_duration_format((int64_t)value.as.number, duration);
        tm_buffer_append_text(out, duration);
    } else {
        tm_value_encode(value, out);
    }
    if (value.approximate)
        tm_buffer_append_text(out, " (approximate)");
}

static tm_status answer(evaluation *e, tm_shard *shard, const tm_point *point, tm_time at, tm_error *error)
{
    /* An account's stage, and the band of its score, follow from every instant before. */
    if (e->setup->pack->has_standing) {
        tm_status status = tm_shard_advance(shard, at);
        if (status != TM_OK)
            return tm_fail(error, status, "out of memory");
    }
    size_t *cells = &e->cells[point->order * (e->text_count + 1)];
    e->at[point->order] = at;
    for (uint32_t i = 0; i < e->text_count; i++) {
        tm_value value = tm_shard_evaluate(shard, tm_slice_of(point->account), at, e->nodes[i]);
        cells[i] = e->answers.length;
        if (e->json) {
            if (value.approximate)
                tm_buffer_append_char(&e->answers, APPROXIMATE);
            tm_value_encode(value, &e->answers);
        } else
            show_value(value, &e->answers);
    }
    cells[e->text_count] = e->answers.length;
    return e->answers.overflowed ? tm_fail(error, TM_FATAL, "out of memory") : TM_OK;
}

/* --- out of files --- */

static tm_status eval_files(evaluation *e, tm_feed_options *files, tm_error *error)
{
    tm_feed *feed;
    tm_status status = tm_feed_open(files, &feed, error);
    if (status != TM_OK)
        return status;
    tm_time counting = tm_setup_counting_start(e->setup, tm_feed_first_usage(feed), TM_TIME_MAX);
    tm_shard *shard = tm_shard_new(&e->setup->shard, e->setup->pack, counting, NULL, 0);
    if (!shard)
        status = tm_fail(error, TM_FATAL, "out of memory");
    size_t next = 0;
    tm_time first = shard ? tm_feed_first(feed) : TM_TIME_NONE;
    if (first != TM_TIME_NONE)
        tm_shard_start(shard, first);
    if (shard)
        tm_shard_begin(shard, TM_TIME_NEVER);
    while (status == TM_OK && next < e->points.count) {
        tm_record record;
        bool end;
        status = tm_feed_next(feed, &record, &end, error);
        if (status != TM_OK)
            break;
        while (status == TM_OK && next < e->points.count && (end || record.timestamp > e->points.items[next].at)) {
            status = answer(e, shard, &e->points.items[next], e->points.items[next].at, error);
            next++;
        }
        if (status != TM_OK || end)
            break;
        status = tm_feed_apply(feed, shard, &record, "eval, bytes", error);
    }
    tm_cli_progress_end();
    if (status == TM_OK && tm_feed_dead_all(feed))
        fprintf(stderr, "tidemark eval: %llu records could not be used\n", (unsigned long long)tm_feed_dead_all(feed));
    tm_shard_free(shard);
    tm_status closed = tm_feed_close(feed, error);
    return status == TM_OK ? closed : status;
}

/* --- out of Redis --- */

/* What the rules alone keep: windows that only the asked expressions reach were never counted. */
static tm_status check_reach(const evaluation *e, const tm_setup *kept, tm_error *error)
{
    for (uint32_t m = 0; m < e->setup->pack->metric_count; m++) {
        const tm_metric *asked = &e->setup->pack->metrics[m];
        const tm_metric *has = &kept->pack->metrics[m];
        if (asked->reach_days <= has->reach_days && asked->reach_hours <= has->reach_hours)
            continue;
        bool days = asked->reach_days > has->reach_days;
        (void)tm_fail(error, TM_REJECT, "metric '%.*s' is kept for %d %s, %d are asked for", (int)asked->name.length,
                      asked->name.data, days ? has->reach_days : has->reach_hours, days ? "days" : "hours",
                      days ? asked->reach_days : asked->reach_hours);
        tm_error_hint(error, "a `keep:` of the metric lengthens it from the next reload on; --events reads files");
        return TM_REJECT;
    }
    return TM_OK;
}

static tm_status eval_live(evaluation *e, tm_error *error)
{
    tm_live *live = NULL;
    tm_status status = tm_live_open(e->setup, &live, error);
    bool warned = false;
    for (size_t i = 0; status == TM_OK && i < e->points.count; i++) {
        const tm_point *point = &e->points.items[i];
        tm_shard *shard;
        status = tm_live_account(live, tm_slice_of(point->account), &shard, error);
        if (status != TM_OK)
            break;
        if (tm_live_rules_differ(live) && !warned) {
            warned = true;
            fprintf(stderr, "tidemark eval: the rules read here are not those the workers run\n");
        }
        tm_time now = tm_shard_time(shard);
        tm_time at = point->at == TM_TIME_NONE ? now : point->at;
        if (at < now) {
            char asked[TM_TIME_TEXT], stands[TM_TIME_TEXT];
            tm_time_format(at, asked);
            tm_time_format(now, stands);
            status = tm_fail(error, TM_REJECT, "%s lies before %s, where the account's shard stands", asked, stands);
            tm_error_where(error, "account %.128s", point->account);
            tm_error_hint(error, "what was before is no longer kept: --events reads files");
            break;
        }
        status = answer(e, shard, point, at, error);
    }
    tm_live_close(live);
    return status;
}

/* --- showing --- */

static tm_slice cell_of(const evaluation *e, size_t point, uint32_t i)
{
    const size_t *cells = &e->cells[point * (e->text_count + 1)];
    return (tm_slice){e->answers.data + cells[i], cells[i + 1] - cells[i]};
}

/* Characters, not bytes, so that columns stand under each other. */
static int width_of(tm_slice text)
{
    int width = 0;
    for (size_t i = 0; i < text.length; i++)
        width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return width;
}

static void print_padded(tm_slice text, int width)
{
    printf("%.*s%*s", (int)text.length, text.data, width > width_of(text) ? width - width_of(text) : 0, "");
}

/* False without memory. */
static bool print_table(const evaluation *e, const char *const *accounts)
{
    char at[TM_TIME_TEXT];
    if (e->points.count == 1) {
        int width = 0;
        for (uint32_t i = 0; i < e->text_count; i++)
            width = width_of(tm_slice_of(e->texts[i])) > width ? width_of(tm_slice_of(e->texts[i])) : width;
        tm_time_format(e->at[0], at);
        printf("%s at %s\n", accounts[0], at);
        for (uint32_t i = 0; i < e->text_count; i++) {
            printf("  ");
            print_padded(tm_slice_of(e->texts[i]), width);
            tm_slice value = cell_of(e, 0, i);
            printf("  %.*s\n", (int)value.length, value.data);
        }
        return true;
    }
    int account_width = 7;
    for (size_t p = 0; p < e->points.count; p++) {
        int width = width_of(tm_slice_of(accounts[p]));
        account_width = width > account_width ? width : account_width;
    }
    int *widths = calloc(e->text_count, sizeof *widths);
    if (!widths)
        return false;
    for (uint32_t i = 0; i < e->text_count; i++) {
        widths[i] = width_of(tm_slice_of(e->texts[i]));
        for (size_t p = 0; p < e->points.count; p++)
            widths[i] = width_of(cell_of(e, p, i)) > widths[i] ? width_of(cell_of(e, p, i)) : widths[i];
    }
    print_padded(tm_slice_of("account"), account_width);
    printf("  %-24s", "at");
    for (uint32_t i = 0; i < e->text_count; i++) {
        printf("  ");
        print_padded(tm_slice_of(e->texts[i]), i + 1 < e->text_count ? widths[i] : 0);
    }
    printf("\n");
    for (size_t p = 0; p < e->points.count; p++) {
        tm_time_format(e->at[p], at);
        print_padded(tm_slice_of(accounts[p]), account_width);
        printf("  %s", at);
        for (uint32_t i = 0; i < e->text_count; i++) {
            printf("  ");
            print_padded(cell_of(e, p, i), i + 1 < e->text_count ? widths[i] : 0);
        }
        printf("\n");
    }
    free(widths);
    return true;
}

/* False without memory: the line that did not fit is not printed, nor is what comes after it. */
static bool print_json(const evaluation *e, const char *const *accounts)
{
    tm_buffer line;
    tm_buffer_init(&line, SIZE_MAX / 4);
    char at[TM_TIME_TEXT];
    bool complete = true;
    for (size_t p = 0; p < e->points.count && complete; p++) {
        tm_buffer_reset(&line);
        tm_buffer_append_text(&line, "{\"account\":");
        tm_buffer_append_json_string(&line, tm_slice_of(accounts[p]));
        tm_time_format(e->at[p], at);
        tm_buffer_append_format(&line, ",\"at\":\"%s\",\"values\":{", at);
        for (uint32_t i = 0; i < e->text_count; i++) {
            if (i)
                tm_buffer_append_char(&line, ',');
            tm_buffer_append_json_string(&line, tm_slice_of(e->texts[i]));
            tm_buffer_append_char(&line, ':');
            tm_slice cell = cell_of(e, p, i);
            bool marked = cell.length > 0 && cell.data[0] == APPROXIMATE;
            tm_buffer_append_slice(&line, marked ? (tm_slice){cell.data + 1, cell.length - 1} : cell);
        }
        tm_buffer_append_char(&line, '}');
        bool any = false;
        for (uint32_t i = 0; i < e->text_count; i++) {
            tm_slice cell = cell_of(e, p, i);
            if (cell.length == 0 || cell.data[0] != APPROXIMATE)
                continue;
            tm_buffer_append_text(&line, any ? "," : ",\"approximate\":[");
            tm_buffer_append_json_string(&line, tm_slice_of(e->texts[i]));
            any = true;
        }
        tm_buffer_append_text(&line, any ? "]}" : "}");
        (void)tm_buffer_text(&line); /* takes a byte, too */
        complete = !line.overflowed;
        if (complete)
            puts(tm_buffer_text(&line));
    }
    tm_buffer_done(&line);
    return complete;
}

static int show(const evaluation *e)
{
    const char **accounts = calloc(e->points.count + 1, sizeof *accounts);
    if (!accounts)
        return tm_cli_say(e->command, EX_OSERR, "out of memory");
    for (size_t p = 0; p < e->points.count; p++)
        accounts[e->points.items[p].order] = e->points.items[p].account;
    bool complete = e->json ? print_json(e, accounts) : print_table(e, accounts);
    free(accounts);
    if (!complete)
        return tm_cli_say(e->command, EX_OSERR, "out of memory");
    if (fflush(stdout) != 0 || ferror(stdout))
        return tm_cli_say(e->command, EX_IOERR, "standard output cannot be written");
    return EX_OK;
}

/* --- the command --- */

static int exit_for(const tm_command *command, tm_status status, const tm_error *error, int rejected)
{
    int said = tm_cli_fail(command, status, error);
    return status == TM_RETRY ? EX_UNAVAILABLE : status == TM_REJECT ? rejected : said;
}

static int evaluate(evaluation *e, tm_setup_options *options, tm_feed_options *files)
{
    tm_error error;
    tm_error_clear(&error);
    tm_buffer_init(&e->answers, SIZE_MAX / 4);
    e->cells = calloc(e->points.count * (e->text_count + 1) + 1, sizeof *e->cells);
    e->at = calloc(e->points.count + 1, sizeof *e->at);
    if (!e->cells || !e->at)
        return tm_cli_say(e->command, EX_OSERR, "out of memory");
    tm_points_sort(&e->points);
    if (files->events) {
        files->until = e->points.count ? e->points.items[e->points.count - 1].at : TM_TIME_NEVER;
        files->reading = tm_setup_reading(e->setup, true);
        tm_status status = eval_files(e, files, &error);
        return status == TM_OK ? show(e) : exit_for(e->command, status, &error, EX_NOINPUT);
    }
    tm_setup_options alone = *options;
    alone.expressions = NULL;
    alone.expression_count = 0;
    alone.ret_nodes = NULL;
    tm_setup kept;
    int failed = tm_setup_load(e->command, &alone, &kept);
    if (failed)
        return failed;
    tm_status status = check_reach(e, &kept, &error);
    tm_setup_done(&kept);
    if (status == TM_OK)
        status = eval_live(e, &error);
    return status == TM_OK ? show(e) : exit_for(e->command, status, &error, EX_DATAERR);
}

static int gather_points(const tm_command *command, evaluation *e, const char *account, const char *at,
                         const char *path, bool live)
{
    tm_error error;
    tm_error_clear(&error);
    if (path && (account || at))
        return tm_cli_say(command, EX_USAGE, "--points stands for --account and --at: give one or the other");
    if (path) {
        tm_status status = tm_points_read(&e->points, path, &error);
        return status == TM_OK ? EX_OK : exit_for(command, status, &error, EX_DATAERR);
    }
    if (!account)
        return tm_cli_say(command, EX_USAGE, "--account is needed, or --points");
    if (!at && !live)
        return tm_cli_say(command, EX_USAGE, "--at is needed: the instant of which the values are asked");
    tm_time t = TM_TIME_NONE;
    if (at && tm_setup_time(at, &t) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--at takes a time such as 2026-01-31T08:00:00Z, not '%s'", at);
    return tm_points_add(&e->points, tm_slice_of(account), t) == TM_OK ? EX_OK
                                                                       : tm_cli_say(command, EX_OSERR, "out of memory");
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.values_only = true};
    tm_feed_options files = {.until = TM_TIME_NEVER};
    const char *account = NULL;
    const char *at = NULL;
    const char *points = NULL;
    evaluation e = {.command = command};
    const tm_option table[] = {
        {"account", "ACCOUNT", "whose values", TM_OPTION_TEXT, &account},
        {"at", "TIME", "when; out of Redis the default is where the account's shard stands", TM_OPTION_TEXT, &at},
        {"points", "FILE", "many at once: a CSV file with the columns account and at; '-' standard input",
         TM_OPTION_TEXT, &points},
        {"events", "FILE", "usage events: values come out of files; without it, out of Redis", TM_OPTION_TEXT,
         &files.events},
        {"accounts", "FILE", "account records", TM_OPTION_TEXT, &files.accounts},
        {"rules", "FILE", "the metrics (default: the rules the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"config", "FILE", "tidemark.yaml", TM_OPTION_TEXT, &options.configuration},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"dedup-window", "DURATION", "how long an event's id is remembered (1h)", TM_OPTION_TEXT,
         &options.dedup_window},
        {"json", NULL, "one JSON object a point", TM_OPTION_FLAG, &e.json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc < 2)
        return tm_cli_say(command, EX_USAGE, "which expressions? for example 'events[7d]'");
    bool live = !files.events;
    if (live && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--events is needed to read files, or --config to read Redis");
    e.text_count = (uint32_t)argc - 1;
    e.texts = (const char *const *)argv + 1;
    tm_slice *expressions = calloc(e.text_count, sizeof *expressions);
    uint32_t *nodes = calloc(e.text_count, sizeof *nodes);
    tm_setup setup = {0};
    if (!expressions || !nodes)
        status = tm_cli_say(command, EX_OSERR, "out of memory");
    else
        status = gather_points(command, &e, account, at, points, live);
    if (status == EX_OK && expressions) {
        for (uint32_t i = 0; i < e.text_count; i++)
            expressions[i] = tm_slice_of(argv[i + 1]);
        options.offline = !live;
        options.without_rules = !options.rules && !options.configuration;
        options.expressions = expressions;
        options.expression_count = e.text_count;
        options.ret_nodes = nodes;
        status = tm_setup_load(command, &options, &setup);
    }
    if (status == EX_OK && setup.pack) {
        if (!live)
            setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
        if (!setup.pack->has_standing)
            setup.shard.evaluate_every = TM_HOUR; /* nothing is judged: no need to stop every minute */
        e.setup = &setup;
        e.nodes = nodes;
        status = evaluate(&e, &options, &files);
    }
    tm_setup_done(&setup);
    tm_points_done(&e.points);
    tm_buffer_done(&e.answers);
    free(e.cells);
    free(e.at);
    free(expressions);
    free(nodes);
    return status;
}

const tm_command tm_command_eval = {
    .name = "eval",
    .summary = "the value of expressions for an account at an instant, out of files or out of Redis",
    .arguments = "EXPR…",
    .text =
        "Prints the value of each expression for an account at an instant, seeing the records up to and including it.\n"
        "With --events it reads files, otherwise what the running workers keep in Redis.\n\n"
        "  tidemark eval --events usage.ndjson --rules rules.yaml --account acme --at 2026-01-31T08:00:00Z "
        "'events[7d]'\n"
        "  tidemark eval --config tidemark.yaml --account acme 'ratio(users[28d], seats)'\n\n"
        "Exit status: 0 done, 64 wrong usage, 65 out of Redis: a time before the shard's own, or more than is kept,\n"
        "66 a file is not there or cannot be read, 69 Redis does not answer, 78 the configuration, the rules or an\n"
        "expression are wrong.",
    .run = run,
};
