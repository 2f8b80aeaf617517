#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/system/files.h"
#include "tidemark/adapters/system/zone.h"
#include "tidemark/base/limits.h"
#include "tidemark/codec/signal.h"
#include "tidemark/commands/commands.h"
#include "tidemark/rules/ruletest.h"

enum { PATH_BYTES = 4096, ZONES_MAX = 64, EXIT_MISMATCH = 1 };

/* Zones stay loaded until the end: results of several tests are made in each. */
typedef struct zones {
    const tm_zone *items[ZONES_MAX];
    uint32_t count;
} zones;

typedef struct testing {
    const tm_command *command;
    const char *rules, *only;
    bool json;
    zones zones;
    tm_buffer out;
    uint32_t passed, failed;
} testing;

static tm_status load_zone(void *context, tm_slice name, const tm_zone **ret_zone, tm_error *error)
{
    zones *known = context;
    for (uint32_t i = 0; i < known->count; i++) {
        *ret_zone = known->items[i];
        if (tm_slice_equal_text(name, tm_zone_name(*ret_zone)))
            return TM_OK;
    }
    if (known->count == ZONES_MAX)
        return tm_fail(error, TM_REJECT, "the tests use more than %d time zones", ZONES_MAX);
    tm_status status = tm_zone_load(name, ret_zone, error);
    if (status == TM_OK)
        known->items[known->count++] = *ret_zone;
    return status;
}

/* --- what is shown --- */

static void show_json(testing *t, const char *file, const tm_ruletest_result *result)
{
    tm_buffer *out = &t->out;
    tm_buffer_append_text(out, t->passed + t->failed > 1 ? ",{\"file\":" : "{\"file\":");
    tm_buffer_append_json_string(out, tm_slice_of(file));
    tm_buffer_append_format(out, ",\"line\":%u,\"name\":", result->line);
    tm_buffer_append_json_string(out, result->name);
    tm_buffer_append_format(out, ",\"passed\":%s,\"expected\":%u,\"signals\":%u,\"values\":%u,\"differences\":[",
                            result->difference_count ? "false" : "true", result->expected, result->signals,
                            result->checks);
    for (uint32_t i = 0; i < result->difference_count; i++) {
        const tm_difference *d = &result->differences[i];
        char at[TM_TIME_TEXT];
        tm_time_format(d->at, at);
        tm_buffer_append_format(out, "%s{\"kind\":\"%s\",\"at\":\"%s\",\"line\":", i ? "," : "",
                                tm_difference_kind_name(d->kind), at);
        if (d->line)
            tm_buffer_append_integer(out, d->line);
        else
            tm_buffer_append_text(out, "null");
        const struct {
            const char *name;
            tm_slice text;
        } texts[] = {{"account", d->account},
                     {"rule", d->rule},
                     {"state", d->rule.data ? tm_slice_of(tm_signal_state_name(d->state)) : (tm_slice){0}},
                     {"subject", d->subject},
                     {"expected", d->expected},
                     {"got", d->got}};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            tm_buffer_append_format(out, ",\"%s\":", texts[k].name);
            tm_buffer_append_json_string(out, texts[k].text);
        }
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_text(out, "]}");
}

static void show_text(testing *t, const char *file, const tm_ruletest_result *result)
{
    bool colour = tm_cli_colour(stdout);
    bool passed = result->difference_count == 0;
    const char *begin = !colour ? "" : passed ? "\033[32m" : "\033[31m";
    tm_buffer_append_format(&t->out, "%s%s%s  %.*s", begin, passed ? "pass" : "FAIL", colour ? "\033[0m" : "",
                            (int)result->name.length, result->name.data);
    if (!passed)
        tm_buffer_append_format(&t->out, "  (%s:%u)", file, result->line);
    tm_buffer_append_char(&t->out, '\n');
    tm_ruletest_describe(result, &t->out);
}

/* EX_OK, or an exit status after saying that something could not be told. */
static int flush(testing *t)
{
    bool complete = !t->out.overflowed;
    if (complete && t->out.length > 0)
        fwrite(t->out.data, 1, t->out.length, stdout);
    tm_buffer_reset(&t->out);
    return complete ? EX_OK : tm_cli_say(t->command, EX_OSERR, "out of memory");
}

static int report(const tm_diagnostics *diagnostics)
{
    tm_buffer text;
    tm_buffer_init(&text, 1 << 20);
    tm_diagnostics_print(diagnostics, &text);
    fputs(text.overflowed ? "out of memory\n" : tm_buffer_text(&text), stderr);
    int status = text.overflowed ? EX_OSERR : EX_CONFIG;
    tm_buffer_done(&text);
    return status;
}

/* --- one file --- */

static int read_text(testing *t, const char *path, char **ret_text, size_t *ret_length)
{
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_file_read(path, TM_PACK_FILE_MAX, ret_text, ret_length, &error);
    if (status == TM_OK)
        return EX_OK;
    (void)tm_cli_fail(t->command, status, &error);
    return status == TM_FATAL ? EX_OSERR : EX_NOINPUT;
}

static int run_tests(testing *t, const tm_testfile *file, tm_ruletest *tests)
{
    for (uint32_t i = 0; i < file->test_count; i++) {
        tm_slice name = file->tests[i].name;
        if (t->only && !memmem(name.data, name.length, t->only, strlen(t->only)))
            continue;
        tm_ruletest_result result;
        tm_error error;
        tm_status status = tm_ruletest_run(tests, i, &result, &error);
        if (status == TM_OK) {
            t->passed += result.difference_count == 0;
            t->failed += result.difference_count != 0;
            (t->json ? show_json : show_text)(t, file->document.name, &result);
        }
        tm_ruletest_result_free(&result);
        if (status != TM_OK) {
            if (!error.where[0])
                tm_error_where(&error, "%s:%u", file->document.name, file->tests[i].line);
            int said = tm_cli_fail(t->command, status, &error);
            return status == TM_BROKEN ? said : status == TM_FATAL ? EX_OSERR : EX_CONFIG;
        }
        int failed = t->json ? EX_OK : flush(t);
        if (failed)
            return failed;
    }
    return EX_OK;
}

/* Where the rules are: as the command line says, else beside the test file as it says. */
static bool rules_path(const testing *t, const tm_testfile *file, char path[static PATH_BYTES])
{
    int length;
    const char *slash = strrchr(file->document.name, '/');
    int folder = slash && file->rules.data && file->rules.data[0] != '/' ? (int)(slash - file->document.name + 1) : 0;
    if (t->rules)
        length = snprintf(path, PATH_BYTES, "%s", t->rules);
    else
        length = snprintf(path, PATH_BYTES, "%.*s%.*s", folder, file->document.name, (int)file->rules.length,
                          file->rules.data);
    return length > 0 && length < PATH_BYTES;
}

static int test_file(testing *t, const char *name)
{
    char path[PATH_BYTES];
    char *text = NULL, *rules = NULL;
    size_t length = 0, rules_length = 0;
    tm_testfile *file = NULL;
    tm_ruletest *tests = NULL;
    tm_error error;
    tm_ruletest_world world = {&t->zones, load_zone, tm_summary_render};
    tm_diagnostics *diagnostics = calloc(1, sizeof *diagnostics);
    if (!diagnostics)
        return tm_cli_say(t->command, EX_OSERR, "out of memory");
    int failed = read_text(t, name, &text, &length);
    if (failed)
        goto out;
    tm_status status = tm_testfile_parse((tm_slice){text, length}, name, diagnostics, &file, &error);
    if (status == TM_OK && !t->rules && !file->rules.data) {
        failed =
            tm_cli_say(t->command, EX_CONFIG, "%s: which rules? Say 'rules: rules.yaml' there, or give --rules", name);
        goto out;
    }
    if (status == TM_OK) {
        if (!rules_path(t, file, path)) {
            failed = tm_cli_say(t->command, EX_CONFIG, "%s: the path of the rules is too long", name);
            goto out;
        }
        failed = read_text(t, path, &rules, &rules_length);
        if (failed)
            goto out;
        status = tm_ruletest_new(file, (tm_slice){rules, rules_length}, path, &world, diagnostics, &tests, &error);
    }
    if (status == TM_REJECT)
        failed = report(diagnostics);
    else if (status == TM_FATAL)
        failed = tm_cli_fail(t->command, status, &error);
    else
        failed = run_tests(t, file, tests);
out:
    tm_ruletest_free(tests);
    tm_testfile_free(file);
    free(rules);
    free(text);
    free(diagnostics);
    return failed;
}

static int run(const tm_command *command, int argc, char **argv)
{
    testing t = {.command = command};
    const tm_option options[] = {
        {"rules", "FILE", "the rules to test, instead of those that the test files name", TM_OPTION_TEXT, &t.rules},
        {"run", "TEXT", "only tests with this in their name", TM_OPTION_TEXT, &t.only},
        {"json", NULL, "one JSON object instead of text", TM_OPTION_FLAG, &t.json},
    };
    int status, count;
    if (!tm_options_parse(command, options, sizeof options / sizeof *options, argc, argv, &count, &status))
        return status;
    if (count < 2)
        return tm_cli_say(command, EX_USAGE, "which files of tests? tidemark test rules-tests/*.yaml");
    tm_buffer_init(&t.out, (size_t)1 << 30);
    if (t.json)
        tm_buffer_append_text(&t.out, "{\"tests\":[");
    int failed = EX_OK;
    for (int i = 1; i < count; i++) {
        int one = test_file(&t, argv[i]);
        failed = failed ? failed : one;
    }
    if (t.json)
        tm_buffer_append_format(&t.out, "],\"passed\":%u,\"failed\":%u}\n", t.passed, t.failed);
    else if (t.passed + t.failed > 0)
        tm_buffer_append_format(&t.out, "%u passed, %u failed\n", t.passed, t.failed);
    if (!t.json || !failed) {
        int unsaid = flush(&t);
        failed = failed ? failed : unsaid;
    }
    if (!failed && t.passed + t.failed == 0)
        failed = tm_cli_say(command, EX_USAGE, "no test has '%s' in its name", t.only ? t.only : "");
    tm_buffer_done(&t.out);
    for (uint32_t i = 0; i < t.zones.count; i++)
        tm_zone_unload(t.zones.items[i]);
    return failed ? failed : t.failed ? EXIT_MISMATCH : EX_OK;
}

const tm_command tm_command_test = {
    .name = "test",
    .summary = "run unit tests of rules",
    .arguments = "FILE…",
    .text =
        "Plays the records of each test to its rules, against a made-up clock, and compares the signals that come "
        "with\n"
        "those expected: every one that differs is shown, '-' what was expected, '+' what came. docs/rules.md has the\n"
        "keys of a test file; `init` writes the tests of the default rules.\n\n"
        "  tidemark test rules-tests/*.yaml\n"
        "  tidemark test --run usage_drop --rules candidate.yaml rules-tests/churn.yaml\n\n"
        "Exit status: 0 all passed, 1 a test failed, 64 nothing to do, 66 no such file, 78 a wrong file.",
    .run = run,
};
