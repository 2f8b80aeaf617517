/* Long because: running a test and telling what differs from it share one state. */
#include "tidemark/rules/ruletest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/check.h"
#include "tidemark/base/limits.h"
#include "tidemark/core/shard.h"
#include "tidemark/rules/packfile.h"

#define RESULT_MAX ((size_t)1 << 30)
enum { ID_TEXT = 24, USER_TEXT = 16, DEDUP_WINDOW_HOURS = 1 };
/* Expected numbers are written by people, with six digits or so. */
static const double tolerance = 1e-6;

struct tm_ruletest {
    const tm_testfile *file;
    const tm_ruletest_world *world;
    tm_pack *pack;
    uint32_t *nodes; /* of the file's expressions */
    tm_user_key user_key;
};

static const char *const difference_names[] = {"missing", "unexpected", "field", "value"};

const char *tm_difference_kind_name(tm_difference_kind kind)
{
    return difference_names[kind];
}

/* --- the rules --- */

/* Which expression a diagnostic is about; UINT32_MAX: it is one of the rules file. */
static uint32_t expression_of(const tm_testfile *file, const tm_diagnostic *diagnostic)
{
    static const char word[] = "expression ";
    if (strncmp(diagnostic->file, word, sizeof word - 1) != 0)
        return UINT32_MAX;
    unsigned long number = strtoul(diagnostic->file + sizeof word - 1, NULL, 10);
    return number >= 1 && number <= file->expression_count ? (uint32_t)(number - 1) : UINT32_MAX;
}

/* Hands the errors on; those in expressions point at the test file, where the expressions stand. */
static void place_errors(const tm_testfile *file, const char *rules_name, const tm_diagnostics *found,
                         tm_diagnostics *out)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const tm_diagnostic *one = &found->items[i];
        uint32_t index = strcmp(one->file, rules_name) == 0 ? UINT32_MAX : expression_of(file, one);
        if (index == UINT32_MAX) {
            if (out->count < TM_DIAGNOSTICS_MAX)
                out->items[out->count++] = *one;
            else
                out->dropped++;
            continue;
        }
        tm_document expression = {.name = one->file, .text = file->expressions[index]};
        size_t offset = tm_document_offset(&expression, one->line, one->column);
        offset = tm_yaml_offset(&file->document, file->expression_nodes[index], offset);
        tm_diagnostics_add(out, &file->document, offset, "%s", one->message);
        tm_diagnostics_hint(out, "%s", one->hint);
    }
    out->dropped += found->dropped;
}

static void need_rule(const tm_ruletest *tests, tm_slice name, size_t offset, tm_diagnostics *diagnostics)
{
    if (tm_pack_rule(tests->pack, name) != UINT32_MAX)
        return;
    tm_nearest nearest;
    tm_nearest_init(&nearest, name);
    for (uint32_t i = 0; i < tests->pack->rule_count; i++)
        tm_nearest_offer(&nearest, tests->pack->rules[i].name);
    int shown = name.length > TM_NAME_MAX ? TM_NAME_MAX : (int)name.length;
    tm_diagnostics_add(diagnostics, &tests->file->document, offset, "the rules have no rule '%.*s'", shown, name.data);
    tm_diagnostics_suggest(diagnostics, &nearest);
}

static void need_rules(const tm_ruletest *tests, tm_diagnostics *diagnostics)
{
    for (uint32_t t = 0; t < tests->file->test_count; t++) {
        const tm_test *test = &tests->file->tests[t];
        for (uint32_t i = 0; i < test->rule_count; i++)
            need_rule(tests, test->rules[i], test->rules_at, diagnostics);
        for (uint32_t i = 0; i < test->expected_count; i++)
            need_rule(tests, test->expected[i].rule, test->expected[i].rule_at, diagnostics);
    }
}

tm_status tm_ruletest_new(const tm_testfile *file, tm_slice rules_text, const char *rules_name,
                          const tm_ruletest_world *world, tm_diagnostics *diagnostics, tm_ruletest **ret_tests,
                          tm_error *error)
{
    *ret_tests = NULL;
    tm_error_clear(error);
    tm_ruletest *tests = calloc(1, sizeof *tests);
    tm_diagnostics *found = calloc(1, sizeof *found);
    uint32_t *nodes = calloc(file->expression_count + 1, sizeof *nodes);
    tm_status status;
    if (!tests || !found || !nodes) {
        status = tm_fail(error, TM_FATAL, "out of memory for the tests of %s", file->document.name);
        goto out;
    }
    *tests = (tm_ruletest){.file = file, .world = world, .nodes = nodes, .user_key = tm_test_user_key()};
    nodes = NULL;
    tm_packfile_options options = {file->expressions, file->expression_count, tests->nodes, found};
    status = tm_packfile_parse(rules_text, rules_name, &options, &tests->pack, error);
    if (status == TM_REJECT)
        place_errors(file, rules_name, found, diagnostics);
    else if (status == TM_OK)
        need_rules(tests, diagnostics);
    if (status != TM_FATAL)
        status = tm_diagnostics_status(diagnostics, error);
    if (status == TM_OK) {
        *ret_tests = tests;
        tests = NULL;
    }
out:
    tm_ruletest_free(tests);
    free(nodes);
    free(found);
    return status;
}

void tm_ruletest_free(tm_ruletest *tests)
{
    if (!tests)
        return;
    tm_pack_free(tests->pack);
    free(tests->nodes);
    free(tests);
}

/* --- the run --- */

/* A signal as it came, copied. */
typedef struct caught {
    tm_slice account, rule;
    tm_signal_state state;
    tm_time at;
    tm_value fields[TM_TEST_FIELDS];
} caught;

/* One record to come. */
typedef struct occurrence {
    tm_time arrives, at;
    bool is_event;
    uint32_t entry, account, user, number;
} occurrence;

typedef struct run {
    tm_ruletest *tests;
    const tm_test *test;
    const tm_zone *zone;
    tm_shard *shard;
    tm_ruletest_result *result;
    occurrence *occurrences;
    uint32_t occurrence_count, occurrence_capacity;
    caught *caught;
    uint32_t caught_count, caught_capacity;
    uint32_t difference_capacity;
    tm_buffer text;
    bool lost; /* something did not fit into memory: nothing is told of it */
} run;

static bool grow(void **list, size_t size, uint32_t count, uint32_t *capacity)
{
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *bigger = realloc(*list, size * wanted);
    if (!bigger)
        return false;
    *list = bigger;
    *capacity = wanted;
    return true;
}

/* Without memory the run is lost, and what is returned is never shown. */
static tm_slice copy(run *r, tm_slice text)
{
    char *bytes = text.data ? tm_arena_copy(r->result->arena, text.data, text.length) : NULL;
    r->lost |= text.data && !bytes;
    return (tm_slice){bytes, bytes ? text.length : 0};
}

static tm_value text_value(run *r, tm_slice text)
{
    return text.data ? tm_value_string(copy(r, text)) : tm_value_null();
}

static tm_value copy_value(run *r, tm_value value)
{
    return value.type == TM_TYPE_STRING ? text_value(r, value.as.string) : value;
}

static tm_slice by_tier(const tm_by_tier *texts, tm_slice tier)
{
    for (uint32_t i = 0; i < texts->choice_count; i++)
        if (tier.data && tm_slice_equal(texts->choices[i].tier, tier))
            return texts->choices[i].text;
    return texts->otherwise;
}

static bool is_compared(const tm_test *test, tm_slice rule)
{
    bool named = test->rule_count == 0;
    for (uint32_t i = 0; i < test->rule_count && !named; i++)
        named = tm_slice_equal(test->rules[i], rule);
    return named;
}

static tm_status catch_signal(void *context, const tm_signal *signal)
{
    run *r = context;
    if (!is_compared(r->test, signal->rule_name))
        return TM_OK;
    if (!grow((void **)&r->caught, sizeof *r->caught, r->caught_count, &r->caught_capacity))
        return TM_FATAL;
    caught *c = &r->caught[r->caught_count++];
    const tm_rule *rule = signal->rule; /* the pack never changes during a test: there is one */
    tm_buffer_reset(&r->text);
    if (r->tests->world->summary)
        r->tests->world->summary(signal, &r->text);
    if (r->text.overflowed)
        return TM_FATAL;
    bool has_summary = r->tests->world->summary && rule->summary_count > 0;
    const char *reason = tm_reason_name(signal->reason);
    static const tm_route nowhere = {.when = TM_NODE_NONE};
    const tm_route *route = signal->route ? signal->route : &nowhere;
    *c = (caught){
        .account = copy(r, signal->account->key),
        .rule = copy(r, signal->rule_name),
        .state = signal->state,
        .at = signal->time,
        .fields = {
            [TM_TEST_KIND] = tm_value_string(tm_slice_of(tm_kind_name(signal->kind))),
            [TM_TEST_SEVERITY] = tm_value_string(tm_slice_of(tm_severity_name(signal->severity))),
            [TM_TEST_VALUE] = copy_value(r, signal->value),
            [TM_TEST_THRESHOLD] = copy_value(r, signal->threshold),
            [TM_TEST_CLEAR_THRESHOLD] = copy_value(r, signal->clear_threshold),
            [TM_TEST_SUMMARY] = has_summary ? text_value(r, tm_buffer_slice(&r->text)) : tm_value_null(),
            [TM_TEST_REASON] = reason ? tm_value_string(tm_slice_of(reason)) : tm_value_null(),
            [TM_TEST_PLAY] = signal->play ? text_value(r, by_tier(signal->play, signal->tier)) : tm_value_null(),
            [TM_TEST_SEQUENCE] = tm_value_number(signal->sequence),
            [TM_TEST_RAISED_AT] = tm_value_number((double)signal->raised_at),
            [TM_TEST_QUEUE] = text_value(r, route->queue),
            [TM_TEST_RESPONSIBLE] = text_value(r, route->responsible),
            [TM_TEST_INFORMED] = text_value(r, route->informed),
            [TM_TEST_ACKNOWLEDGED_BY] = text_value(r, signal->acknowledged_by),
        }};
    return r->lost ? TM_FATAL : TM_OK;
}

/* 1970-01-01 was a Thursday. */
static int weekday(const tm_zone *zone, tm_time t)
{
    return (int)(((int64_t)tm_zone_day(zone, t) % 7 + 7 + 3) % 7);
}

static bool add_occurrence(run *r, occurrence one)
{
    if (!grow((void **)&r->occurrences, sizeof *r->occurrences, r->occurrence_count, &r->occurrence_capacity))
        return false;
    one.number = r->occurrence_count;
    r->occurrences[r->occurrence_count++] = one;
    return true;
}

static bool add_events(run *r, uint32_t entry)
{
    const tm_test_events *e = &r->test->events[entry];
    uint32_t users = e->users ? e->users : 1;
    for (tm_time at = e->at; at < e->end && at + e->delay <= r->test->until; at += e->every) {
        bool today = e->weekdays & (1 << weekday(r->zone, at));
        for (uint32_t i = 0; today && i < e->count * e->account_count * users; i++) {
            occurrence one = {.arrives = at + e->delay, .at = at, .is_event = true, .entry = entry};
            one.account = i % e->account_count;
            one.user = i / e->account_count % users;
            if (!add_occurrence(r, one))
                return false;
        }
        if (!e->every)
            break;
    }
    return true;
}

static int by_arrival(const void *left, const void *right)
{
    const occurrence *a = left, *b = right;
    if (a->arrives != b->arrives)
        return a->arrives < b->arrives ? -1 : 1;
    if (a->is_event != b->is_event)
        return a->is_event ? 1 : -1;
    return a->number < b->number ? -1 : 1;
}

static bool write_out(run *r)
{
    for (uint32_t i = 0; i < r->test->facts_count; i++) {
        tm_time at = r->test->facts[i].at;
        if (at <= r->test->until && !add_occurrence(r, (occurrence){.arrives = at, .at = at, .entry = i}))
            return false;
    }
    for (uint32_t i = 0; i < r->test->event_count; i++)
        if (!add_events(r, i))
            return false;
    if (r->occurrence_count)
        qsort(r->occurrences, r->occurrence_count, sizeof *r->occurrences, by_arrival);
    return true;
}

static void make_event(run *r, const occurrence *one, char id[static ID_TEXT], char user[static USER_TEXT],
                       tm_event *event)
{
    const tm_test_events *e = &r->test->events[one->entry];
    event->id = e->id;
    if (!e->id.data) {
        snprintf(id, ID_TEXT, "%u", one->number);
        event->id = tm_slice_of(id);
    }
    event->account = e->accounts[one->account];
    event->name = e->name;
    event->user = e->user;
    if (e->users) {
        snprintf(user, USER_TEXT, "u%u", one->user + 1);
        event->user = tm_slice_of(user);
    }
    event->user_key = event->user.data ? tm_hash_user(event->user, &r->tests->user_key) : 0;
    event->source = e->source;
    event->at = one->at;
    event->value = e->value;
    event->property_count = e->property_count;
    for (uint32_t i = 0; i < e->property_count; i++)
        event->properties[i] = e->properties[i];
}

static tm_status apply(run *r, const occurrence *one, tm_event *event)
{
    char id[ID_TEXT], user[USER_TEXT];
    tm_record record = {.input = TM_INPUT_USAGE, .offset = one->number, .timestamp = one->arrives};
    if (one->is_event) {
        make_event(r, one, id, user, event);
        record.kind = TM_RECORD_EVENT;
        record.event = event;
    } else {
        const tm_test_facts *facts = &r->test->facts[one->entry];
        record.input = TM_INPUT_ACCOUNTS;
        record.kind = facts->erase ? TM_RECORD_ERASE : TM_RECORD_FACTS;
        record.facts = facts->draft;
        record.account = facts->account;
    }
    tm_outcome outcome;
    return tm_shard_apply(r->shard, &record, &outcome);
}

/* --- the differences --- */

static tm_difference *add_difference(run *r)
{
    tm_ruletest_result *result = r->result;
    static tm_difference lost; /* never read: the run ends without memory */
    if (result->difference_count == r->difference_capacity) {
        uint32_t wanted = r->difference_capacity ? r->difference_capacity * 2 : 16;
        tm_difference *bigger = tm_arena_take(result->arena, sizeof *bigger * wanted);
        if (!bigger) {
            r->lost = true;
            return &lost;
        }
        if (result->difference_count)
            memcpy(bigger, result->differences, sizeof *bigger * result->difference_count);
        result->differences = bigger;
        r->difference_capacity = wanted;
    }
    return &result->differences[result->difference_count++];
}

static tm_slice show(run *r, tm_value value)
{
    char text[TM_TIME_TEXT];
    tm_buffer_reset(&r->text);
    switch (value.type) {
    case TM_TYPE_NUMBER:
        tm_buffer_append_json_number(&r->text, value.as.number);
        break;
    case TM_TYPE_DURATION:
        tm_duration_format((int64_t)value.as.number, text);
        tm_buffer_append_text(&r->text, text);
        break;
    case TM_TYPE_STRING:
        tm_buffer_append_json_string(&r->text, value.as.string);
        break;
    case TM_TYPE_BOOLEAN:
        tm_buffer_append_text(&r->text, value.as.boolean ? "true" : "false");
        break;
    default:
        tm_buffer_append_text(&r->text, "null");
    }
    r->lost |= r->text.overflowed;
    return copy(r, tm_buffer_slice(&r->text));
}

static tm_slice show_field(run *r, tm_test_field field, tm_value value)
{
    if (field != TM_TEST_RAISED_AT || value.type != TM_TYPE_NUMBER)
        return show(r, value);
    char text[TM_TIME_TEXT];
    tm_time_format((tm_time)value.as.number, text);
    return copy(r, tm_slice_of(text));
}

static bool equals(tm_value expected, tm_value got)
{
    bool numbers = expected.type == got.type && (got.type == TM_TYPE_NUMBER || got.type == TM_TYPE_DURATION);
    if (!numbers)
        return tm_value_same(expected, got);
    double scale = fmax(1, fmax(fabs(expected.as.number), fabs(got.as.number)));
    return fabs(expected.as.number - got.as.number) <= tolerance * scale;
}

/* By time, account, rule, state. */
static int order_of(tm_time a_at, tm_slice a_account, tm_slice a_rule, tm_signal_state a_state, tm_time b_at,
                    tm_slice b_account, tm_slice b_rule, tm_signal_state b_state)
{
    if (a_at != b_at)
        return a_at < b_at ? -1 : 1;
    int order = tm_slice_compare(a_account, b_account);
    order = order ? order : tm_slice_compare(a_rule, b_rule);
    return order ? order : (int)a_state - (int)b_state;
}

static int order_caught(const void *left, const void *right)
{
    const caught *a = left, *b = right;
    return order_of(a->at, a->account, a->rule, a->state, b->at, b->account, b->rule, b->state);
}

static int order_expected(const void *left, const void *right)
{
    const tm_test_expected *a = left, *b = right;
    int order = order_of(a->at, a->account, a->rule, a->state, b->at, b->account, b->rule, b->state);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static void compare_fields(run *r, const tm_test_expected *e, const caught *c)
{
    for (int f = 0; f < TM_TEST_FIELDS; f++) {
        bool by_milliseconds = f == TM_TEST_RAISED_AT && e->fields[f].as.number == c->fields[f].as.number;
        if (!(e->given & (1U << f)) || by_milliseconds ||
            (f != TM_TEST_RAISED_AT && equals(e->fields[f], c->fields[f])))
            continue;
        *add_difference(r) = (tm_difference){.kind = TM_DIFFERENCE_FIELD,
                                             .line = e->line,
                                             .at = e->at,
                                             .account = e->account,
                                             .rule = e->rule,
                                             .state = e->state,
                                             .subject = tm_slice_of(tm_test_field_name((tm_test_field)f)),
                                             .expected = show_field(r, (tm_test_field)f, e->fields[f]),
                                             .got = show_field(r, (tm_test_field)f, c->fields[f])};
    }
}

static void unexpected(run *r, const caught *c)
{
    tm_slice severity = c->fields[TM_TEST_SEVERITY].as.string;
    tm_value summary = c->fields[TM_TEST_SUMMARY];
    tm_buffer_reset(&r->text);
    tm_buffer_append_slice(&r->text, severity);
    if (summary.type == TM_TYPE_STRING) {
        tm_buffer_append_text(&r->text, ": ");
        tm_buffer_append_slice(&r->text, summary.as.string);
    }
    r->lost |= r->text.overflowed;
    *add_difference(r) = (tm_difference){.kind = TM_DIFFERENCE_UNEXPECTED,
                                         .at = c->at,
                                         .account = c->account,
                                         .rule = c->rule,
                                         .state = c->state,
                                         .got = copy(r, tm_buffer_slice(&r->text))};
}

static tm_status compare(run *r)
{
    uint32_t count = 0;
    tm_test_expected *sorted = calloc(r->test->expected_count + 1, sizeof *sorted);
    if (!sorted)
        return TM_FATAL;
    for (uint32_t i = 0; i < r->test->expected_count; i++)
        sorted[count++] = r->test->expected[i];
    qsort(sorted, count, sizeof *sorted, order_expected);
    if (r->caught_count)
        qsort(r->caught, r->caught_count, sizeof *r->caught, order_caught);
    for (uint32_t i = 0, k = 0; i < count || k < r->caught_count;) {
        const tm_test_expected *e = &sorted[i];
        int order = i == count ? 1 : -1;
        if (i < count && k < r->caught_count) {
            const caught *c = &r->caught[k];
            order = order_of(e->at, e->account, e->rule, e->state, c->at, c->account, c->rule, c->state);
        }
        if (order == 0) {
            compare_fields(r, e, &r->caught[k]);
        } else if (order < 0) {
            *add_difference(r) = (tm_difference){.kind = TM_DIFFERENCE_MISSING,
                                                 .line = e->line,
                                                 .at = e->at,
                                                 .account = e->account,
                                                 .rule = e->rule,
                                                 .state = e->state};
        } else {
            unexpected(r, &r->caught[k]);
        }
        i += order <= 0;
        k += order >= 0;
    }
    free(sorted);
    return TM_OK;
}

/* --- checks --- */

static const tm_test_check *next_check(const tm_test *test, tm_time after, tm_time before)
{
    const tm_test_check *found = NULL;
    for (uint32_t i = 0; i < test->check_count; i++) {
        const tm_test_check *check = &test->checks[i];
        if (check->at > after && check->at < before && (!found || check->at < found->at))
            found = check;
    }
    return found;
}

/* Every check at one instant, which sees the records up to and including it. */
static tm_status check_at(run *r, tm_time at, run *differences)
{
    tm_status status = tm_shard_advance(r->shard, at);
    for (uint32_t i = 0; i < r->test->check_count && status == TM_OK; i++) {
        const tm_test_check *check = &r->test->checks[i];
        if (check->at != at)
            continue;
        tm_value got = tm_shard_evaluate(r->shard, check->account, at, r->tests->nodes[check->expression]);
        r->result->checks++;
        if (equals(check->value, got))
            continue;
        *add_difference(differences) = (tm_difference){.kind = TM_DIFFERENCE_VALUE,
                                                       .line = check->line,
                                                       .at = at,
                                                       .account = check->account,
                                                       .subject = r->tests->file->expressions[check->expression],
                                                       .expected = show(r, check->value),
                                                       .got = show(r, got)};
    }
    return status;
}

/* Checks later than `after` and before `before`. */
static tm_status check_between(run *r, tm_time after, tm_time before, run *differences)
{
    tm_status status = TM_OK;
    const tm_test_check *check;
    while (status == TM_OK && (check = next_check(r->test, after, before))) {
        after = check->at;
        status = check_at(r, after, differences);
    }
    return status;
}

static tm_status play(run *r, run *values)
{
    tm_event *event = calloc(1, sizeof *event);
    tm_status status = event ? TM_OK : TM_FATAL;
    tm_time now = TM_TIME_NONE;
    if (status == TM_OK)
        tm_shard_start(r->shard, r->test->start);
    tm_shard_begin(r->shard, TM_TIME_NEVER);
    for (uint32_t i = 0; i < r->occurrence_count && status == TM_OK; i++) {
        const occurrence *one = &r->occurrences[i];
        if (r->test->check_count && one->arrives > now)
            status = check_between(r, now - (now > TM_TIME_NONE), one->arrives, values);
        now = one->arrives;
        if (status == TM_OK)
            status = apply(r, one, event);
    }
    if (status == TM_OK)
        status = check_between(r, now - (now > TM_TIME_NONE), TM_TIME_NEVER, values);
    if (status == TM_OK)
        status = tm_shard_advance(r->shard, r->test->until);
    free(event);
    return status;
}

tm_status tm_ruletest_run(tm_ruletest *tests, uint32_t index, tm_ruletest_result *ret_result, tm_error *error)
{
    const tm_test *test = &tests->file->tests[index];
    tm_error_clear(error);
    *ret_result = (tm_ruletest_result){.name = test->name, .line = test->line, .expected = test->expected_count};
    ret_result->arena = tm_arena_new(RESULT_MAX);
    run r = {.tests = tests, .test = test, .result = ret_result};
    /* Differences of values come last: they are gathered apart, in the same arena. */
    tm_ruletest_result value_result = {.arena = ret_result->arena};
    run values = {.tests = tests, .test = test, .result = &value_result};
    tm_buffer_init(&r.text, 1 << 20);
    tm_status status = ret_result->arena ? TM_OK : TM_FATAL;
    if (status == TM_OK)
        status = tests->world->zone(tests->world->context, test->timezone, &r.zone, error);
    if (status != TM_OK)
        goto out;
    tm_shard_settings settings = {.zone = r.zone,
                                  .evaluate_every = tests->file->evaluate_every,
                                  .max_skew = -1,
                                  .dedup_window = DEDUP_WINDOW_HOURS * TM_HOUR,
                                  .dedup_entries = TM_DEDUP_ENTRIES_DEFAULT};
    r.shard = tm_shard_new(&settings, tests->pack, test->counting_start, NULL, 0);
    if (!r.shard || !write_out(&r)) {
        status = TM_FATAL;
        goto out;
    }
    tm_shard_set_sink(r.shard, catch_signal, &r);
    status = play(&r, &values);
    if (status == TM_OK)
        status = compare(&r);
    for (uint32_t i = 0; i < value_result.difference_count && status == TM_OK; i++)
        *add_difference(&r) = value_result.differences[i];
    if (status == TM_OK && (r.lost || values.lost))
        status = TM_FATAL;
    ret_result->signals = r.caught_count;
out:
    if (status == TM_BROKEN) {
        const tm_check *check = tm_heap_tripped(tm_shard_heap(r.shard));
        (void)tm_fail(error, status, "the internal check %s (%s:%d) tripped in test '%.*s': a mistake of tidemark's",
                      check->name, check->file, check->line, (int)test->name.length, test->name.data);
    }
    if (status == TM_FATAL && !error->what[0])
        (void)tm_fail(error, TM_FATAL, "out of memory in test '%.*s'", (int)test->name.length, test->name.data);
    tm_shard_free(r.shard);
    tm_buffer_done(&r.text);
    free(r.occurrences);
    free(r.caught);
    return status;
}

void tm_ruletest_result_free(tm_ruletest_result *result)
{
    tm_arena_free_all(result->arena);
    *result = (tm_ruletest_result){0};
}

void tm_ruletest_describe(const tm_ruletest_result *result, tm_buffer *out)
{
    for (uint32_t i = 0; i < result->difference_count; i++) {
        const tm_difference *d = &result->differences[i];
        char at[TM_TIME_TEXT], line[32] = "";
        tm_time_format(d->at, at);
        if (d->line)
            snprintf(line, sizeof line, "  (line %u)", d->line);
        const char *sign = d->kind == TM_DIFFERENCE_MISSING ? "-" : d->kind == TM_DIFFERENCE_UNEXPECTED ? "+" : " ";
        tm_buffer_append_format(out, "  %s %s  %.*s", sign, at, (int)d->account.length, d->account.data);
        if (d->rule.data)
            tm_buffer_append_format(out, "  %.*s %s", (int)d->rule.length, d->rule.data,
                                    tm_signal_state_name(d->state));
        if (d->kind == TM_DIFFERENCE_UNEXPECTED)
            tm_buffer_append_format(out, "  %.*s", (int)d->got.length, d->got.data);
        tm_buffer_append_format(out, "%s\n", line);
        if (d->subject.data)
            tm_buffer_append_format(out, "    - %.*s: %.*s\n    + %.*s: %.*s\n", (int)d->subject.length,
                                    d->subject.data, (int)d->expected.length, d->expected.data, (int)d->subject.length,
                                    d->subject.data, (int)d->got.length, d->got.data);
    }
}
