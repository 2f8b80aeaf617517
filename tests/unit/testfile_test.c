#include "tidemark/rules/testfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tm_testfile *file;
static tm_error error;
static tm_diagnostics found;

static tm_status parse(const char *text)
{
    found = (tm_diagnostics){0};
    return tm_testfile_parse(tm_slice_of(text), "t.yaml", &found, &file, &error);
}

static void good(const char *text)
{
    cr_assert_eq(parse(text), TM_OK, "%s: %s in\n%s", error.where, error.what, text);
}

/* Exactly one error, at a line and column. */
static void bad(const char *text, uint32_t line, uint32_t column, const char *message)
{
    cr_assert_eq(parse(text), TM_REJECT, "taken: %s", text);
    cr_assert_null(file);
    const tm_diagnostic *d = &found.items[0];
    cr_assert_eq(found.count, 1, "%u errors, the first: %s in\n%s", found.count, d->message, text);
    cr_assert_not_null(strstr(d->message, message), "%s in\n%s", d->message, text);
    cr_assert(d->line == line && d->column == column, "at %u:%u (%s) in\n%s", d->line, d->column, d->message, text);
}

/* A file of one test; what is added stands from line 3, column 3 on. */
#define HEAD "tests:\n- {name: n, start: 2026-01-05T00:00:00Z, until: 10d,\n  "
static void bad_part(const char *part, uint32_t column, const char *message)
{
    char text[4096];
    snprintf(text, sizeof text, HEAD "%s}\n", part);
    bad(text, 3, column, message);
}

static const tm_test *good_part(const char *part)
{
    char text[4096];
    snprintf(text, sizeof text, HEAD "%s}\n", part);
    good(text);
    return &file->tests[0];
}

static const tm_time start = INT64_C(1767571200000); /* 2026-01-05T00:00:00Z, a Monday */

Test(testfile, everything)
{
    good("rules: my.yaml\n"
         "evaluate_every: 5m\n"
         "tests:\n"
         "- name: one\n"
         "  timezone: Europe/Berlin\n"
         "  start: 2026-01-05T00:00:00Z\n"
         "  until: 2026-02-01T00:00:00Z\n"
         "  history: complete\n"
         "  accounts:\n"
         "  - {account: a, name: A, plan: p, seats: 10, mrr: -5.5, currency: EUR, contract_start: 2025-01-31,\n"
         "     renewal_at: 2026-01-31T10:00:00Z, term_months: 12, tier: high, status: active, success_plan: s,\n"
         "     owners: {csm: kim, sales: ~}, champions: [kim, ravi], goals: {records: 40},\n"
         "     attributes: {region: emea, size: 3, vip: true, since: 3d, quoted: '7'},\n"
         "     products: [{name: core, seats: 3, mrr: 7}, {name: extra}]}\n"
         "  - {account: b, at: 3d 2h, erase: true}\n"
         "  events:\n"
         "  - {account: [a, b], event: x, users: 3, at: 1d 10h, every: 1h, for: 2h, weekdays: [mon-wed, sat], count: "
         "2}\n"
         "  - {account: a, event: y, user: kim, source: app, id: i1, at: 2026-01-06T00:00:00Z, every: 1d, until: 3d,\n"
         "     arrives_after: 2h, value: 3.5, properties: {ok: true, n: 2, s: text, d: 3d, none: ~, q: '1'}}\n"
         "  rules: [r, s]\n"
         "  expect:\n"
         "  - {account: a, rule: r, state: raised, at: 4d, kind: churn_risk, severity: high, value: 0.5, threshold: "
         "3d,\n"
         "     clear_threshold: true, summary: '7', reason: ~, play: P, sequence: 1, raised_at: 4d, queue: q,\n"
         "     responsible: csm, informed: sales, acknowledged_by: ann}\n"
         "  values:\n"
         "  - account: a\n"
         "    at: 5d\n"
         "    are: {'events[7d]': 3, age(events): 3h}\n"
         "  - {account: b, at: 10d, are: {seats: null}}\n"
         "- {name: two, start: 2026-01-05T00:00:00Z, until: 1h, history: 2025-12-01T00:00:00Z, rules: r, events: ~}\n");
    cr_assert(tm_slice_equal_text(file->rules, "my.yaml") && file->evaluate_every == 5 * TM_MINUTE);
    cr_assert_eq(file->test_count, 2);
    const tm_test *t = &file->tests[0];
    cr_assert(tm_slice_equal_text(t->name, "one") && tm_slice_equal_text(t->timezone, "Europe/Berlin"));
    cr_assert(t->start == start && t->until == start + 27 * TM_DAY && t->counting_start == TM_TIME_NONE &&
              t->line == 4);
    cr_assert(t->facts_count == 2 && t->event_count == 2 && t->rule_count == 2 && t->expected_count == 1);
    const tm_facts_draft *d = t->facts[0].draft;
    cr_assert(t->facts[0].at == start && !t->facts[0].erase);
    cr_assert(d->seats == 10 * TM_FIXED_ONE && d->mrr == -5500000 && d->term_months == 12 * TM_FIXED_ONE);
    cr_assert(tm_slice_equal_text(d->name, "A") && tm_slice_equal_text(d->success_plan, "s"));
    cr_assert(!d->contract_start.is_instant && d->contract_start.day == 20119);
    cr_assert(d->renewal_at.is_instant && d->renewal_at.instant == start + 26 * TM_DAY + 10 * TM_HOUR);
    cr_assert(d->owner_count == 1 && d->champion_count == 2 && d->goal_count == 1 && d->attribute_count == 5);
    tm_user_key key = tm_test_user_key();
    cr_assert_eq(d->champions[1], tm_hash_user(TM_SLICE_LITERAL("ravi"), &key));
    cr_assert(d->attributes[0].value.type == TM_TYPE_STRING && d->attributes[1].value.type == TM_TYPE_NUMBER);
    cr_assert(d->attributes[2].value.type == TM_TYPE_BOOLEAN && d->attributes[3].value.type == TM_TYPE_STRING);
    cr_assert_eq(d->attributes[4].value.type, TM_TYPE_STRING);
    cr_assert(d->product_count == 2 && d->products[0].mrr == 7 * TM_FIXED_ONE && d->products[1].seats == TM_FIXED_NONE);
    cr_assert(t->facts[1].erase && t->facts[1].at == start + 74 * TM_HOUR);
    const tm_test_events *e = t->events;
    cr_assert(e[0].account_count == 2 && e[0].users == 3 && e[0].count == 2 && e[0].weekdays == 0x27);
    cr_assert(e[0].at == start + 34 * TM_HOUR && e[0].every == TM_HOUR && e[0].end == e[0].at + 2 * TM_HOUR);
    cr_assert(e[0].value == TM_FIXED_NONE && !e[0].user.data && !e[0].id.data);
    cr_assert(e[1].at == start + TM_DAY && e[1].end == start + 3 * TM_DAY && e[1].delay == 2 * TM_HOUR);
    cr_assert(e[1].value == 3500000 && e[1].weekdays == 0x7f && e[1].count == 1);
    cr_assert_eq(e[1].property_count, 5);
    cr_assert(e[1].properties[0].value.type == TM_TYPE_BOOLEAN && e[1].properties[1].value.type == TM_TYPE_NUMBER);
    cr_assert(e[1].properties[3].value.type == TM_TYPE_STRING && e[1].properties[4].value.type == TM_TYPE_STRING);
    const tm_test_expected *x = t->expected;
    cr_assert(x->state == TM_SIGNAL_RAISED && x->at == start + 4 * TM_DAY && x->given == (1U << TM_TEST_FIELDS) - 1);
    cr_assert(x->fields[TM_TEST_VALUE].as.number == 0.5 && x->fields[TM_TEST_THRESHOLD].type == TM_TYPE_DURATION);
    cr_assert(tm_value_is_true(x->fields[TM_TEST_CLEAR_THRESHOLD]) && tm_value_is_null(x->fields[TM_TEST_REASON]));
    cr_assert(tm_slice_equal_text(x->fields[TM_TEST_SUMMARY].as.string, "7"));
    cr_assert_eq(x->fields[TM_TEST_RAISED_AT].as.number, (double)(start + 4 * TM_DAY));
    cr_assert(t->check_count == 3 && file->expression_count == 3);
    cr_assert(tm_slice_equal_text(file->expressions[1], "age(events)") && t->checks[1].expression == 1);
    cr_assert(t->checks[1].value.type == TM_TYPE_DURATION && t->checks[1].at == start + 5 * TM_DAY);
    cr_assert(tm_value_is_null(t->checks[2].value) && tm_slice_equal_text(t->checks[2].account, "b"));
    t = &file->tests[1];
    cr_assert(t->until == start + TM_HOUR && t->counting_start == start - 35 * TM_DAY && t->event_count == 0);
    cr_assert(t->rule_count == 1 && tm_slice_equal_text(t->timezone, "UTC"));
    tm_testfile_free(file);
    tm_testfile_free(NULL);
    cr_assert_str_eq(tm_test_field_name(TM_TEST_INFORMED), "informed");
}

Test(testfile, the_file)
{
    bad("", 1, 1, "the file is empty");
    bad("[]", 1, 1, "must be a map");
    bad("a: [", 1, 5, "not YAML");
    bad("test: []\ntests: [{name: n, start: 2026-01-05T00:00:00Z, until: 1h}]\n", 1, 1, "unknown key 'test'");
    bad("rules: r\n", 1, 1, "needs 'tests'");
    bad("tests: {}\n", 1, 8, "'tests' must be a list");
    bad("tests: []\n", 1, 8, "1 to 1024 tests");
    bad("tests: [a]\n", 1, 9, "a test must be a map");
    bad("rules: [r]\n" HEAD "}", 1, 8, "'rules' must be one value, not a list");
    bad("evaluate_every: 7m\n" HEAD "}", 1, 17, "has to divide one hour");
    bad("evaluate_every: 0\n" HEAD "}", 1, 17, "has to divide one hour");
    bad("evaluate_every: soon\n" HEAD "}", 1, 17, "is a duration");
    bad("tests:\n- {start: 2026-01-05T00:00:00Z, until: 1h}\n", 2, 4, "needs 'name'");
    bad("tests:\n- {name: n, until: 1h}\n", 2, 4, "needs 'start'");
    bad("tests:\n- {name: n, start: 2026-01-05T00:00:00Z}\n", 2, 4, "needs 'until'");
    bad("tests:\n- {name: n, start: 3d, until: 1h}\n", 2, 20, "'start' is no time");
    bad("tests:\n- {name: n, start: 2026-01-05T00:00:00Z, until: 0}\n", 2, 49, "'until' is not after the start");
    bad("tests:\n- {name: n, start: 2026-01-05T00:00:00Z, until: 1d 2}\n", 2, 49, "'until' is no time");
}

Test(testfile, parts)
{
    bad_part("evnts: []", 3, "unknown key 'evnts'");
    bad_part("history: yesterday", 12, "'history' is no time");
    bad_part("timezone: ''", 14, "'timezone' is empty");
    bad_part("events: {}", 11, "events must be a list");
    bad_part("rules: []", 10, "'rules' names nothing");
    bad_part("accounts: [a]", 14, "an account record must be a map");
    bad_part("accounts: [{seats: 3}]", 15, "needs 'account'");
    bad_part("accounts: [{account: a, seat: 3}]", 27, "unknown key 'seat'");
    bad_part("accounts: [{account: a, seats: many}]", 34, "'seats' is a number within");
    bad_part("accounts: [{account: a, seats: 1e10}]", 34, "'seats' is a number within");
    bad_part("accounts: [{account: a, seats: 0x10}]", 34, "'seats' is a number within");
    bad_part("accounts: [{account: a, erase: no}]", 34, "'erase' can only be true");
    bad_part("accounts: [{account: a, contract_start: 2026-02-30}]", 43, "'contract_start' is a date");
    bad_part("accounts: [{account: a, renewal_at: [x]}]", 39, "'renewal_at' must be one value");
    bad_part("accounts: [{account: a, owners: kim}]", 35, "owners must be a map");
    bad_part("accounts: [{account: a, owners: {csm: [kim]}}]", 41, "'owners' must be one value");
    bad_part("accounts: [{account: a, goals: {records: many}}]", 44, "'goals' is a number");
    bad_part("accounts: [{account: a, products: {}}]", 37, "'products' must be a list");
    bad_part("accounts: [{account: a, products: [core]}]", 38, "a product must be a map");
    bad_part("accounts: [{account: a, products: [{seats: 3}]}]", 39, "a product needs 'name'");
    bad_part("events: [x]", 12, "an event must be a map");
    bad_part("events: [{event: x, at: 0}]", 13, "an event needs 'account'");
    bad_part("events: [{account: a, at: 0}]", 13, "an event needs 'event'");
    bad_part("events: [{account: a, event: x}]", 13, "an event needs 'at'");
    bad_part("events: [{account: [], event: x, at: 0}]", 22, "'account' names nothing");
    bad_part("events: [{account: a, event: x, at: noon}]", 39, "'at' is no time");
    bad_part("events: [{account: a, event: x, at: 0, usr: k}]", 42, "unknown key 'usr'");
    bad_part("events: [{account: a, event: x, at: 0, users: 0}]", 49, "'users' is a whole number from 1 to 10000");
    bad_part("events: [{account: a, event: x, at: 0, users: 2, user: k}]", 42, "'user' is given too");
    bad_part("events: [{account: a, event: x, at: 0, count: 1.5}]", 49, "'count' is a whole number");
    bad_part("events: [{account: a, event: x, at: 0, count: [1]}]", 49, "'count' must be one value");
    bad_part("events: [{account: a, event: x, at: 0, weekdays: monday}]", 52, "'weekdays' are mon");
    bad_part("events: [{account: a, event: x, at: 0, weekdays: fri-mon}]", 52, "'weekdays' are mon");
    bad_part("events: [{account: a, event: x, at: 0, every: 0, for: 1d}]", 49, "'every' must be at least 1ms");
    bad_part("events: [{account: a, event: x, at: 0, for: 1d}]", 42, "'for' needs an 'every'");
    bad_part("events: [{account: a, event: x, at: 0, until: 1d}]", 42, "'until' needs an 'every'");
    bad_part("events: [{account: a, event: x, at: 0, every: 1h}]", 42, "'every' needs a 'for' or 'until'");
    bad_part("events: [{account: a, event: x, at: 0, every: 1h, for: 1d, until: 1d}]", 62, "say the same");
    bad_part("events: [{account: a, event: x, at: 0, every: 1ms, for: 1d}]", 13, "more than 2000000 events");
    bad_part("events: [{account: a, event: x, at: 0, users: 10000, count: 2000000}]", 13, "more than 2000000 events");
    bad_part("events: [{account: a, event: x, at: 0, properties: [a]}]", 54, "'properties' must be a map");
    bad_part("events: [{account: a, event: x, at: 0, properties: {p: [a]}}]", 58, "a property is a number");
    bad_part("expect: [x]", 12, "an expected signal must be a map");
    bad_part("expect: [{rule: r, state: raised, at: 0}]", 13, "needs 'account'");
    bad_part("expect: [{account: a, rule: r, state: risen, at: 0}]", 41, "'state' is raised, updated or cleared");
    bad_part("expect: [{account: a, rule: r, state: none, at: 0}]", 41, "'state' is raised, updated or cleared");
    bad_part("expect: [{account: a, rule: r, state: raised, at: 0, summary: [x]}]", 65, "'summary' must be one value");
    bad_part("expect: [{account: a, rule: r, state: raised, at: 0, raised_at: x}]", 67, "'raised_at' is no time");
    bad_part("values: [x]", 12, "an entry of 'values' must be a map");
    bad_part("values: [{account: a, at: 0}]", 13, "needs 'are'");
    bad_part("values: [{account: a, at: 0, are: [x]}]", 37, "'are' must be a map");
    bad_part("values: [{account: a, at: 0, are: {seats: [x]}}]", 45, "'are' must be one value");
    bad_part("values: [{account: a, at: 11d, are: {seats: 1}}]", 29, "after the test's end");
    bad_part("values: [{account: a, at: 0, is: {seats: 1}, are: {seats: 1}}]", 32, "unknown key 'is'");
}

Test(testfile, limits)
{
    tm_buffer text;
    tm_buffer_init(&text, 1 << 22);
    static const struct {
        const char *before, *each, *after, *message;
        int count;
    } lists[] = {
        {"accounts: [{account: a, champions: [", "u%d, ", "x]}]", "'champions' has more than 256", 256},
        {"accounts: [{account: a, goals: {", "g%d: 1, ", "x: 1}}]", "'goals' takes 64 entries", 64},
        {"accounts: [{account: a, products: [", "{name: p%d}, ", "{name: x}]}]", "'products' has more than 64", 64},
        {"events: [{account: a, event: x, at: 0, properties: {", "p%d: 1, ", "x: 1}}]", "'properties' has more than 64",
         64}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        tm_buffer_reset(&text);
        tm_buffer_append_text(&text, HEAD);
        tm_buffer_append_text(&text, lists[i].before);
        for (int k = 0; k < lists[i].count; k++) {
            char part[64];
            const char *number = strchr(lists[i].each, '%');
            snprintf(part, sizeof part, "%.*s%d%s", (int)(number - lists[i].each), lists[i].each, k, number + 2);
            tm_buffer_append_text(&text, part);
        }
        tm_buffer_append_format(&text, "%s}", lists[i].after);
        cr_assert_eq(parse(tm_buffer_text(&text)), TM_REJECT);
        cr_assert_not_null(strstr(found.items[0].message, lists[i].message), "%s", found.items[0].message);
        cr_assert_eq(found.count, 1);
    }
    tm_buffer_reset(&text);
    for (int i = 0; i < 5000; i++)
        tm_buffer_append_char(&text, 'x');
    char *long_text = strdup(tm_buffer_text(&text));
    tm_buffer_reset(&text);
    tm_buffer_append_format(&text, HEAD "events: [{account: %s, event: x, at: 0}]}", long_text);
    cr_assert_eq(parse(tm_buffer_text(&text)), TM_REJECT);
    cr_assert_not_null(strstr(found.items[0].message, "'account' has 5000 bytes, at most 128"));
    tm_buffer_reset(&text);
    tm_buffer_append_text(&text, "#");
    for (int i = 0; i < 300; i++)
        tm_buffer_append_text(&text, long_text);
    cr_assert_eq(parse(tm_buffer_text(&text)), TM_REJECT);
    cr_assert_not_null(strstr(found.items[0].message, "more than 1048576 bytes"));
    free(long_text);
    tm_buffer_done(&text);
    (void)good_part("accounts: [{account: a, goals: {none: ~, x: 1}}]");
    cr_assert_eq(file->tests[0].facts[0].draft->goal_count, 1);
    tm_testfile_free(file);
}
