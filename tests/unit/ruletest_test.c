#include "tidemark/rules/ruletest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/system/zone.h"
#include "tidemark/codec/signal.h"

static tm_testfile *file;
static tm_ruletest *tests;
static tm_ruletest_result result;
static tm_error error;
static tm_diagnostics found;
static tm_buffer text;
static const tm_zone *loaded;

static tm_status zone(void *context, tm_slice name, const tm_zone **ret_zone, tm_error *problem)
{
    (void)context;
    if (tm_slice_equal_text(name, "Nowhere"))
        return tm_fail(problem, TM_REJECT, "no such zone");
    tm_status status = tm_zone_load(name, &loaded, problem);
    *ret_zone = loaded;
    return status;
}

static tm_ruletest_world world = {NULL, zone, tm_summary_render};

static const char rules[] =
    "version: 1\n"
    "metrics:\n"
    "  events: {count: '*'}\n"
    "  users: {distinct: user}\n"
    "  level: {last: value}\n"
    "  champion: {count: '*', where: user in champions}\n"
    "  ok: {count: '*', where: properties.ok == true}\n"
    "rules:\n"
    "  - name: many\n"
    "    kind: expansion\n"
    "    severity: if(events[1d] >= 10, 'high', 'warn')\n"
    "    when: events[1d] >= 5\n"
    "    for: 1h\n"
    "    summary: '{{events[1d] | number}} events'\n"
    "    play: {high: Call, default: Write}\n"
    "    route: {queue: sales, responsible: csm, informed: lead}\n"
    "  - {name: silent, kind: churn_risk, when: age(events) >= 2d, update_change: 1000}\n"
    "  - {name: text, kind: advisory, when: plan == 'free', value: plan, threshold: \"'free'\"}\n";

static tm_status load(const char *tests_text)
{
    found = (tm_diagnostics){0};
    tm_status status = tm_testfile_parse(tm_slice_of(tests_text), "t.yaml", &found, &file, &error);
    cr_assert_eq(status, TM_OK, "%s: %s", error.where, error.what);
    return tm_ruletest_new(file, tm_slice_of(rules), "rules.yaml", &world, &found, &tests, &error);
}

#define HEAD "tests:\n- {name: n, start: 2026-01-05T00:00:00Z, until: 10d,\n  "

/* Runs the one test and gives its differences as people see them. */
static const char *run(const char *part)
{
    char all[4096];
    snprintf(all, sizeof all, HEAD "%s}\n", part);
    cr_assert_eq(load(all), TM_OK, "%s: %s", error.where, error.what);
    cr_assert_eq(tm_ruletest_run(tests, 0, &result, &error), TM_OK, "%s", error.what);
    tm_buffer_init(&text, 1 << 20);
    tm_ruletest_describe(&result, &text);
    return tm_buffer_text(&text);
}

static void done(void)
{
    tm_buffer_done(&text);
    tm_ruletest_result_free(&result);
    tm_ruletest_free(tests);
    tm_testfile_free(file);
    tm_zone_unload(loaded);
    loaded = NULL;
}

#define EXPECT(part, ...)                                                                                              \
    do {                                                                                                               \
        const char *shown = run(part);                                                                                 \
        cr_assert_str_eq(shown, __VA_ARGS__);                                                                          \
        done();                                                                                                        \
    } while (0)

Test(ruletest, passes_and_counts)
{
    const char *shown = run(
        "accounts: [{account: a, tier: high, champions: [kim]}], events: [\n"
        "   {account: a, event: x, user: kim, at: 10h, count: 5, value: 2.5, properties: {ok: true}},\n"
        "   {account: a, event: x, users: 6, at: 12h}],\n"
        "  rules: [many], expect: [\n"
        "   {account: a, rule: many, state: raised, at: 11h, severity: warn, kind: expansion, value: 5, threshold: 5,\n"
        "    clear_threshold: 5, summary: 5 events, play: Call, sequence: 1, raised_at: 11h, reason: ~, queue: sales,\n"
        "    responsible: csm, informed: lead},\n"
        "   {account: a, rule: many, state: cleared, at: 1d, reason: condition, raised_at: 11h},\n"
        "   {account: a, rule: many, state: updated, at: 12h, severity: high, value: 11, sequence: 2}],\n"
        "  values: [{account: a, at: 12h, are: {'events[1d]': 11, 'users[1d]': 7, level: 2.5, 'champion[1d]': 5,\n"
        "     'ok[1d]': 5, age(events): 0h, plan: null, tier: high, age(champion): 2h}},\n"
        "   {account: a, at: 11h, are: {'events[1d]': 5}}, {account: b, at: 0, are: {'events[1d]': 0}},\n"
        "   {account: a, at: 10d, are: {'events[7d]': 0, 'ratio(events[11d], 7)': 1.571429, \"tier == 'high'\": "
        "true}}]");
    cr_assert_str_eq(shown, "");
    cr_assert(result.difference_count == 0 && result.expected == 3 && result.signals == 3 && result.checks == 14);
    cr_assert(tm_slice_equal_text(result.name, "n") && result.line == 2);
    done();
}

Test(ruletest, shows_what_differs)
{
    const char *shown = run(
        "accounts: [{account: b, plan: free}], events: [{account: a, event: x, at: 10h, count: 5}], expect: [\n"
        "   {account: a, rule: many, state: raised, at: 11h, severity: high, value: 6, play: ~, summary: x,\n"
        "    raised_at: 10h, reason: condition},\n"
        "   {account: a, rule: many, state: cleared, at: 2d}, {account: b, rule: text, state: raised, at: 0, value: "
        "f}],\n"
        "  values: [{account: a, at: 3d, are: {'events[4d]': 4, age(events): 1h, plan: free, 'plan == null': false}}]");
    cr_assert_str_eq(shown, "    2026-01-05T00:00:00.000Z  b  text raised  (line 6)\n"
                            "    - value: \"f\"\n"
                            "    + value: \"free\"\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - severity: \"high\"\n"
                            "    + severity: \"warn\"\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - value: 6\n"
                            "    + value: 5\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - summary: \"x\"\n"
                            "    + summary: \"5 events\"\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - reason: \"condition\"\n"
                            "    + reason: null\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - play: null\n"
                            "    + play: \"Write\"\n"
                            "    2026-01-05T11:00:00.000Z  a  many raised  (line 4)\n"
                            "    - raised_at: 2026-01-05T10:00:00.000Z\n"
                            "    + raised_at: 2026-01-05T11:00:00.000Z\n"
                            "  + 2026-01-06T00:00:00.000Z  a  many cleared  warn: 0 events\n"
                            "  - 2026-01-07T00:00:00.000Z  a  many cleared  (line 6)\n"
                            "  + 2026-01-07T10:00:00.000Z  a  silent raised  warn\n"
                            "    2026-01-08T00:00:00.000Z  a  (line 7)\n"
                            "    - events[4d]: 4\n"
                            "    + events[4d]: 5\n"
                            "    2026-01-08T00:00:00.000Z  a  (line 7)\n"
                            "    - age(events): 1h\n"
                            "    + age(events): 62h\n"
                            "    2026-01-08T00:00:00.000Z  a  (line 7)\n"
                            "    - plan: \"free\"\n"
                            "    + plan: null\n"
                            "    2026-01-08T00:00:00.000Z  a  (line 7)\n"
                            "    - plan == null: false\n"
                            "    + plan == null: true\n");
    cr_assert_eq(result.differences[0].kind, TM_DIFFERENCE_FIELD);
    cr_assert_eq(result.differences[result.difference_count - 1].kind, TM_DIFFERENCE_VALUE);
    cr_assert_str_eq(tm_difference_kind_name(TM_DIFFERENCE_UNEXPECTED), "unexpected");
    done();
}

Test(ruletest, repeats_by_the_local_calendar)
{
    /* Berlin: 23:30 UTC on Sunday is Monday there. Every half hour of two days, on Mondays. */
    const char *shown = run("timezone: Europe/Berlin, rules: [many], events: [\n"
                            "   {account: [a, b], event: x, at: 5d 12h, every: 30m, for: 4d, weekdays: mon}],\n"
                            "  values: [{account: a, at: 10d, are: {'events[10d]': 48}},\n"
                            "   {account: b, at: 6d 23h 30m, are: {'events[24h]': 2}}],\n"
                            "  expect: [{account: a, rule: many, state: raised, at: 7d 2h},\n"
                            "   {account: a, rule: many, state: updated, at: 7d 3h 30m, severity: high},\n"
                            "   {account: a, rule: many, state: cleared, at: 7d 23h},\n"
                            "   {account: b, rule: many, state: raised, at: 7d 2h},\n"
                            "   {account: b, rule: many, state: updated, at: 7d 3h 30m},\n"
                            "   {account: b, rule: many, state: cleared, at: 7d 23h}]");
    cr_assert_str_eq(shown, "");
    done();
}

Test(ruletest, time_and_records)
{
    /* What arrives late counts in its own bucket; one id is one event; what is after the end is not read. */
    EXPECT("rules: [many], events: [{account: a, event: x, at: 1d, arrives_after: 3d, count: 2},\n"
           "   {account: a, event: x, id: i, at: 4d, every: 10m, for: 1h, count: 2},\n"
           "   {account: a, event: x, at: 9d 23h, arrives_after: 2h},\n"
           "   {account: a, event: x, at: 9d, every: 1d, for: 5d}],\n"
           "  accounts: [{account: a, at: 11d, seats: 1}, {account: a, at: 4d, seats: 2}],\n"
           "  values: [{account: a, at: 3d 23h, are: {'events[7d]': null, 'events[3d]': 0, seats: null}},\n"
           "   {account: a, at: 4d, are: {'events[4d]': 3, seats: 2}}, {account: a, at: 10d, are: {'events[10d]': 5}}]",
           "");
    /* Complete history: windows before the start are 0; a start given: null before it. */
    EXPECT("history: complete, rules: [many], values: [{account: a, at: 0, are: {'events[60d]': 0}}]", "");
    EXPECT("history: 2026-01-01T00:00:00Z, rules: [many],\n"
           "  values: [{account: a, at: 0, are: {'events[5d]': 0, 'events[6d]': null}}]",
           "");
    /* Erased: the signal has its reason, and a new account begins. */
    EXPECT("rules: [silent], events: [{account: a, event: x, at: 0}], accounts: [{account: a, at: 3d, erase: true}],\n"
           "  expect: [{account: a, rule: silent, state: raised, at: 2d},\n"
           "   {account: a, rule: silent, state: cleared, at: 3d, reason: erased, summary: ~}],\n"
           "  values: [{account: a, at: 3d, are: {age(events): null}}]",
           "");
}

Test(ruletest, errors_in_the_rules_and_the_tests)
{
    cr_assert_eq(load(HEAD "rules: [mny], expect: [{account: a, rule: slient, state: raised, at: 0}]}\n"), TM_REJECT);
    cr_assert_eq(found.count, 2);
    cr_assert_str_eq(found.items[0].message, "the rules have no rule 'mny'");
    cr_assert(found.items[0].line == 3 && found.items[0].column == 10);
    cr_assert_not_null(strstr(found.items[1].hint, "'silent'"));
    cr_assert(found.items[1].line == 3 && found.items[1].column == 45, "%u", found.items[1].column);
    cr_assert_null(tests);
    tm_testfile_free(file);
    /* An expression that is none points into the test file. */
    cr_assert_eq(load(HEAD "values: [{account: a, at: 0, are: {seats: 1, 'events[7d] + evnts[7d]': 1}}]}\n"),
                 TM_REJECT);
    cr_assert_eq(found.count, 1);
    cr_assert(strstr(found.items[0].message, "evnts") && strcmp(found.items[0].file, "t.yaml") == 0);
    cr_assert(found.items[0].line == 3 && found.items[0].column == 62, "%u", found.items[0].column);
    tm_testfile_free(file);
    /* Rules that are wrong are told as they are. */
    found = (tm_diagnostics){0};
    cr_assert_eq(tm_testfile_parse(TM_SLICE_LITERAL(HEAD "}"), "t.yaml", &found, &file, &error), TM_OK);
    tm_slice wrong = TM_SLICE_LITERAL("version: 1\nrule: []\n");
    cr_assert_eq(tm_ruletest_new(file, wrong, "r.yaml", &world, &found, &tests, &error), TM_REJECT);
    cr_assert(strcmp(found.items[0].file, "r.yaml") == 0 && found.items[0].line == 2);
    /* A list of errors that is full counts the rest. */
    found.count = TM_DIAGNOSTICS_MAX;
    cr_assert_eq(tm_ruletest_new(file, wrong, "expression 1", &world, &found, &tests, &error), TM_REJECT);
    cr_assert_eq(found.dropped, 1);
    tm_testfile_free(file);
    tm_ruletest_free(NULL);
}

Test(ruletest, a_zone_that_is_not_known)
{
    cr_assert_eq(load(HEAD "timezone: Nowhere}\n"), TM_OK);
    cr_assert_eq(tm_ruletest_run(tests, 0, &result, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "no such zone");
    tm_ruletest_result_free(&result);
    tm_ruletest_free(tests);
    tm_testfile_free(file);
}

Test(ruletest, without_summaries)
{
    world.summary = NULL;
    EXPECT("rules: [many], events: [{account: a, event: x, at: 10h, count: 5}]",
           "  + 2026-01-05T11:00:00.000Z  a  many raised  warn\n"
           "  + 2026-01-06T00:00:00.000Z  a  many cleared  warn\n");
    world.summary = tm_summary_render;
}

/* As many differences as it takes to grow every list. */
Test(ruletest, many_signals)
{
    tm_buffer all;
    tm_buffer_init(&all, 1 << 20);
    tm_buffer_append_text(&all, HEAD "events: [{account: [");
    for (int i = 0; i < 100; i++)
        tm_buffer_append_format(&all, "a%02d, ", i);
    tm_buffer_append_text(&all, "z], event: x, at: 0}]}\n");
    cr_assert_eq(load(tm_buffer_text(&all)), TM_OK);
    cr_assert_eq(tm_ruletest_run(tests, 0, &result, &error), TM_OK);
    cr_assert(result.difference_count == 101 && result.signals == 101);
    cr_assert(tm_slice_equal_text(result.differences[0].account, "a00"));
    cr_assert(tm_slice_equal_text(result.differences[100].account, "z"));
    tm_ruletest_result_free(&result);
    tm_ruletest_free(tests);
    tm_testfile_free(file);
    tm_buffer_done(&all);
}

static char *read_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    cr_assert_not_null(stream, "%s", path);
    char *bytes = calloc(1, 1 << 20);
    bytes[fread(bytes, 1, (1 << 20) - 1, stream)] = 0;
    fclose(stream);
    return bytes;
}

/* The example of the documentation passes against the default rules. */
Test(ruletest, the_example_of_the_documentation)
{
    char *page = read_file(TIDEMARK_SOURCE_DIR "/docs/rules.md");
    char *pack = read_file(TIDEMARK_SOURCE_DIR "/deploy/rules.yaml");
    char *begin = strstr(page, "```yaml\nrules: ../rules.yaml");
    cr_assert_not_null(begin);
    begin += strlen("```yaml\n");
    *strstr(begin, "```") = 0;
    found = (tm_diagnostics){0};
    cr_assert_eq(tm_testfile_parse(tm_slice_of(begin), "rules.md", &found, &file, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_ruletest_new(file, tm_slice_of(pack), "rules.yaml", &world, &found, &tests, &error), TM_OK);
    cr_assert_eq(tm_ruletest_run(tests, 0, &result, &error), TM_OK);
    cr_assert_eq(result.difference_count, 0);
    cr_assert(result.signals == 1 && result.checks == 2);
    tm_ruletest_result_free(&result);
    tm_ruletest_free(tests);
    tm_testfile_free(file);
    free(page);
    free(pack);
}
