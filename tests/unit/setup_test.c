#include "tidemark/commands/setup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const tm_command command = {.name = "probe", .summary = "", .arguments = "", .text = ""};
static char shown[8192];
static char path[64];
static tm_setup setup;

static const char *file(const char *text)
{
    snprintf(path, sizeof path, "/tmp/tidemark-setup-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

/* Loads; what is written to standard error ends in `shown`. */
static int load(const tm_setup_options *options)
{
    FILE *said = tmpfile();
    cr_assert_not_null(said);
    fflush(NULL);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(said), STDERR_FILENO);
    int failed = tm_setup_load(&command, options, &setup);
    fflush(NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(said);
    shown[fread(shown, 1, sizeof shown - 1, said)] = 0;
    fclose(said);
    return failed;
}

static tm_time instant(const char *text)
{
    tm_time t;
    cr_assert_eq(tm_time_parse(tm_slice_of(text), &t), TM_OK);
    return t;
}

Test(setup, an_instant_is_a_text_or_milliseconds)
{
    tm_time t;
    cr_assert_eq(tm_setup_time("0", &t), TM_OK);
    cr_assert_eq(t, 0);
    cr_assert_eq(tm_setup_time("253402300799999", &t), TM_OK);
    cr_assert_eq(t, TM_TIME_MAX);
    cr_assert_eq(tm_setup_time("2026-01-31T09:00:00+01:00", &t), TM_OK);
    cr_assert_eq(t, INT64_C(1769846400000));
    static const char *const bad[] = {"",    "-1",  "253402300800000", "99999999999999999999",
                                      "12x", "1.5", "yesterday",       "2026-02-29T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(tm_setup_time(bad[i], &t), TM_REJECT, "%s", bad[i]);
}

Test(setup, counting_starts_by_the_history)
{
    static const struct {
        const char *history;
        tm_time with_record, without;
    } cases[] = {{"first-record", 500, 900},
                 {"complete", TM_TIME_NONE, TM_TIME_NONE},
                 {"2026-07-01", INT64_C(1782856800000), INT64_C(1782856800000)}};
    cr_assert_eq(instant("2026-06-30T22:00:00Z"), cases[2].without);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_setup_options options = {
            .without_rules = true, .offline = true, .timezone = "Europe/Berlin", .history = cases[i].history};
        cr_assert_eq(load(&options), 0, "%s", shown);
        cr_assert_eq(tm_setup_counting_start(&setup, 500, 900), cases[i].with_record, "%s", cases[i].history);
        cr_assert_eq(tm_setup_counting_start(&setup, TM_TIME_NONE, 900), cases[i].without, "%s", cases[i].history);
        tm_setup_done(&setup);
    }
}

/* Counting begins at a local midnight, so that the first day is a whole one; the clocks change on the way. */
Test(setup, a_window_answers_when_it_is_full)
{
    static const struct {
        const char *expression, *from;
        int32_t days;
    } cases[] = {{"logins[1d]", "2026-03-24T23:00:00Z", 0},
                 {"logins[7d]", "2026-03-30T22:00:00Z", 6},
                 {"logins[7d offset 2d] + logins[1d]", "2026-04-01T22:00:00Z", 8},
                 {"logins[24h offset 24h]", "2026-03-26T22:00:00Z", 2},
                 {"logins[2d] + logins[24h offset 24h]", "2026-03-26T22:00:00Z", 2},
                 {"zscore(logins[7d], 8)", "2026-04-27T22:00:00Z", 34},
                 {"cusum(logins, 8w) + logins[7d offset 1d]", "2026-05-19T22:00:00Z", 56},
                 {"seats", NULL, 0}};
    enum { CASES = sizeof cases / sizeof *cases };
    tm_slice expressions[CASES];
    uint32_t nodes[CASES];
    for (size_t i = 0; i < CASES; i++)
        expressions[i] = tm_slice_of(cases[i].expression);
    tm_setup_options options = {.rules = file("version: 1\nmetrics:\n  logins: {count: login}\n"),
                                .offline = true,
                                .timezone = "Europe/Berlin",
                                .expressions = expressions,
                                .expression_count = CASES,
                                .ret_nodes = nodes};
    int failed = load(&options);
    unlink(path);
    cr_assert_eq(failed, 0, "%s", shown);
    tm_time start = instant("2026-03-24T23:00:00Z");
    for (size_t i = 0; i < CASES; i++) {
        tm_time from = cases[i].from ? instant(cases[i].from) : TM_TIME_NONE;
        tm_time got = tm_setup_answers_from(&setup, nodes[i], start);
        cr_assert_eq(got, from, "%s: %lld, not %lld", cases[i].expression, (long long)got, (long long)from);
        cr_assert_eq(tm_setup_answers_from(&setup, nodes[i], TM_TIME_NONE), TM_TIME_NONE);
        cr_assert_eq(tm_setup_answers_after_days(&setup, nodes[i]), cases[i].days, "%s", cases[i].expression);
    }
    tm_setup_done(&setup);
}

Test(setup, mistakes_are_told_apart)
{
    static const struct {
        tm_setup_options options;
        int status;
        const char *named;
    } cases[] = {
        {{.configuration = "/nonexistent/tidemark.yaml"}, EX_NOINPUT, "/nonexistent/tidemark.yaml"},
        {{.rules = "/nonexistent/rules.yaml", .offline = true}, EX_NOINPUT, "/nonexistent/rules.yaml"},
        {{.without_rules = true, .offline = true, .history = "always"}, EX_USAGE, "not 'always'"},
        {{.without_rules = true, .offline = true, .evaluate_every = "7m"}, EX_USAGE, "not '7m'"},
        {{.without_rules = true, .offline = true, .dedup_window = "long"}, EX_USAGE, "not 'long'"},
        {{.without_rules = true, .offline = true, .timezone = "Nowhere/Land"}, EX_USAGE, "Nowhere/Land"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(load(&cases[i].options), cases[i].status, "%d: %s", (int)i, shown);
        cr_assert_not_null(strstr(shown, cases[i].named), "%d: %s", (int)i, shown);
        cr_assert_null(setup.configuration, "nothing is left to free");
    }
    tm_setup_options options = {.rules = file("version: 1\nmetrics: 3\n"), .offline = true};
    cr_assert_eq(load(&options), EX_CONFIG);
    cr_assert_not_null(strstr(shown, path), "%s", shown);
    cr_assert_not_null(strstr(shown, ":2:"), "%s", shown);
    unlink(path);
}

/* Errors behind the reader point too, and never show the token. */
Test(setup, where_http_is_answered)
{
    static const struct {
        const char *text, *said;
        bool open;
    } cases[] = {{"http: {listen: 127.0.0.1:9464}\n", NULL, false},
                 {"http: {listen: 0.0.0.0:9464}\n", NULL, true},
                 {"http: {listen: 0.0.0.0:9464, token: 0123456789abcdef}\n", NULL, false},
                 {"http: {token: 0123456789abcdef}\n", NULL, false},
                 {"http: {listen: nowhere:1}\n", "'nowhere:1' is no address", false},
                 {"http: {token: a secret with blanks}\n", "the token is not", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_setup_options options = {.configuration = file(cases[i].text), .offline = true, .without_rules = true};
        cr_assert_eq(load(&options), cases[i].said ? EX_CONFIG : 0, "%s: %s", cases[i].text, shown);
        cr_assert_eq(setup.http_is_open, cases[i].open, "%s", cases[i].text);
        if (cases[i].said) {
            cr_assert_not_null(strstr(shown, cases[i].said), "%s", shown);
            cr_assert_not_null(strstr(shown, ":1:"), "%s", shown);
            cr_assert_null(strstr(shown, "a secret"), "%s", shown);
        } else {
            tm_setup_done(&setup);
        }
        unlink(path);
    }
}

Test(setup, the_command_line_goes_over_the_defaults)
{
    tm_setup_options options = {.without_rules = true, .offline = true, .evaluate_every = "15m", .dedup_window = "2h"};
    cr_assert_eq(load(&options), 0, "%s", shown);
    cr_assert_eq(setup.shard.evaluate_every, 15 * TM_MINUTE);
    cr_assert_eq(setup.shard.dedup_window, 2 * TM_HOUR);
    cr_assert(setup.user_key_is_default);
    cr_assert_eq(tm_setup_reading(&setup, true).key_policy, TM_KEY_IGNORE);
    cr_assert_eq(tm_setup_reading(&setup, true).mapping, setup.mapping);
    tm_setup_done(&setup);
}
