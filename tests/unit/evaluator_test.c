/* What evaluation adds to operations: the account's terms, the event's, and the horizon. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tidemark/core/account.h"
#include "tidemark/core/pack.h"
#include "tidemark/rules/expression.h"

enum { METRICS = 3 };

static tm_heap *heap;
static tm_arena *arena;
static tm_metric metrics[METRICS];
static tm_pack pack;
static tm_series *series[METRICS];
static tm_account account;
static int32_t counting_days[METRICS];
static tm_moment now;
static tm_environment environment;
static tm_evaluator *evaluator;

/* 2024-03-01 10:20 UTC */
static const tm_time start = INT64_C(1709288400000);

static void at(tm_time t)
{
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), t, &span);
}

static void setup(void)
{
    heap = tm_heap_new(0);
    arena = tm_arena_new(0);
    static const char *const names[] = {"events", "seen", "score"};
    static const tm_metric_kind kinds[] = {TM_METRIC_COUNT, TM_METRIC_DISTINCT, TM_METRIC_LAST};
    for (int i = 0; i < METRICS; i++) {
        metrics[i] = (tm_metric){.name = tm_slice_of(names[i]),
                                 .kind = kinds[i],
                                 .of = i == 0 ? TM_OF_NOTHING : TM_OF_VALUE,
                                 .where = TM_NODE_NONE,
                                 .reach_days = 30,
                                 .reach_hours = 72};
        series[i] = NULL;
        counting_days[i] = INT32_MIN;
    }
    pack = (tm_pack){.arena = arena, .metrics = metrics, .metric_count = METRICS};
    tm_program_init(&pack.program, arena);
    account = (tm_account){.series = series, .series_count = METRICS};
    environment = (tm_environment){.pack = &pack, .now = &now, .counting_days = counting_days};
    at(start);
}

static void teardown(void)
{
    tm_heap_free_all(heap);
    tm_arena_free_all(arena);
}

TestSuite(evaluator, .init = setup, .fini = teardown);

static void count_event(int metric, tm_time when, double value)
{
    tm_sample sample = {.at = when,
                        .hour = tm_hour_of(when),
                        .day = tm_zone_day(tm_zone_utc(), when),
                        .value = (tm_fixed)(value * 1e6),
                        .member = 7};
    tm_counted counted;
    cr_assert_eq(tm_series_apply(&series[metric], heap, &metrics[metric], &now, &sample, &counted, NULL), TM_OK);
}

static tm_value value_for(const char *text, const tm_account *whom, const tm_event *event)
{
    tm_expression_scope scope = {.metrics = metrics, .metric_count = METRICS, .where = event != NULL};
    tm_expression_error error;
    uint32_t node = 0;
    tm_status status =
        tm_expression_compile(&pack.program, &scope, tm_slice_of(text), TM_TYPE_ANY, &node, NULL, &error);
    cr_assert_eq(status, TM_OK, "%s: %s", text, error.message);
    tm_evaluator_free(heap, evaluator);
    evaluator = tm_evaluator_new(heap, &pack.program);
    tm_evaluator_begin(evaluator, &environment, whom, event);
    tm_value value = tm_evaluator_value(evaluator, node);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), value));
    return value;
}

static void expect(const char *text, tm_value expected, tm_time horizon)
{
    tm_value value = value_for(text, &account, NULL);
    cr_assert(tm_value_same(value, expected), "%s is %s %g", text, tm_type_name(value.type), value.as.number);
    cr_assert_eq(tm_evaluator_horizon(evaluator), horizon, "%s: horizon %lld, not %lld", text,
                 (long long)tm_evaluator_horizon(evaluator), (long long)horizon);
}

#define NUMBER(x) tm_value_number(x)
#define HOURS(x) tm_value_duration((x) * (double)TM_HOUR)
#define YES tm_value_boolean(true)
#define NO tm_value_boolean(false)
#define NIL tm_value_null()

Test(evaluator, an_account_never_seen_is_one_without_events)
{
    expect("events[7d]", NUMBER(0), TM_TIME_NEVER);
    expect("score", NIL, TM_TIME_NEVER);
    expect("score[7d]", NIL, TM_TIME_NEVER);
    expect("age(events)", NIL, TM_TIME_NEVER);
    expect("age(events) > 3d", NIL, TM_TIME_NEVER);
    expect("age(events) == null", YES, TM_TIME_NEVER);
    expect("seats", NIL, TM_TIME_NEVER);
    cr_assert(tm_value_same(value_for("events[7d]", NULL, NULL), NUMBER(0)));
    cr_assert(tm_value_same(value_for("coalesce(status, 'active') == 'active'", NULL, NULL), YES));
    cr_assert(tm_value_is_null(value_for("first(events) > 1h", NULL, NULL)));
}

Test(evaluator, windows_end_at_midnight_and_at_the_hour)
{
    count_event(0, start - 2 * TM_DAY, 0);
    count_event(0, start, 0);
    expect("events[7d]", NUMBER(2), now.next_midnight);
    expect("events[7d offset 1d]", NUMBER(1), now.next_midnight);
    expect("events[1h]", NUMBER(1), now.next_hour);
    expect("events[7d] + events[1h]", NUMBER(3), now.next_hour);
    expect("1 + 1", NUMBER(2), TM_TIME_NEVER);
}

Test(evaluator, a_window_before_the_counting_start_is_null)
{
    count_event(0, start, 0);
    counting_days[0] = now.day - 6;
    expect("events[7d]", NUMBER(1), now.next_midnight);
    expect("events[8d]", NIL, now.next_midnight);
    expect("events[7d offset 1d]", NIL, now.next_midnight);
    counting_days[0] = now.day;
    expect("events[11h]", NUMBER(1), now.next_hour); /* begins at 00:00 of the day */
    expect("events[12h]", NIL, now.next_hour);
    expect("events[72h]", NIL, now.next_hour);
    counting_days[0] = now.day - 10;
    expect("events[72h]", NUMBER(1), now.next_hour);
    at(TM_HOUR / 2); /* hours before 1970 */
    counting_days[0] = 0;
    expect("events[2h]", NIL, now.next_hour);
    counting_days[0] = -1;
    expect("events[2h]", NIL, now.next_hour);
}

Test(evaluator, ages_are_whole_hours_and_grow_with_the_hour)
{
    count_event(0, start - 30 * TM_HOUR, 0);
    count_event(0, start - 5 * TM_HOUR - 21 * TM_MINUTE, 0); /* in the hour before */
    expect("age(events)", HOURS(6), now.next_hour);
    expect("first(events)", HOURS(30), now.next_hour);
    expect("coalesce(age(events), 9d) > 1d", NO, now.next_hour);
    expect("age(events) != null", YES, TM_TIME_NEVER);
    expect("first(events) == null", NO, TM_TIME_NEVER);
}

Test(evaluator, a_comparison_of_an_age_knows_its_crossing)
{
    count_event(0, start - 5 * TM_HOUR, 0);
    tm_time origin = tm_time_floor(start, TM_HOUR) - 5 * TM_HOUR;
    expect("age(events) > 3d", NO, origin + 73 * TM_HOUR);
    expect("age(events) >= 3d", NO, origin + 72 * TM_HOUR);
    expect("age(events) < 3d", YES, origin + 72 * TM_HOUR);
    expect("age(events) <= 3d", YES, origin + 73 * TM_HOUR);
    expect("3d < age(events)", NO, origin + 73 * TM_HOUR);
    expect("3d <= age(events)", NO, origin + 72 * TM_HOUR);
    expect("3d > age(events)", YES, origin + 72 * TM_HOUR);
    expect("3d >= age(events)", YES, origin + 73 * TM_HOUR);
    expect("3d == age(events)", NO, origin + 72 * TM_HOUR);
    expect("age(events) == 5h", YES, origin + 6 * TM_HOUR);
    expect("age(events) != 5h", NO, origin + 6 * TM_HOUR);
    expect("age(events) == 4h", NO, TM_TIME_NEVER);
    expect("age(events) == 330m", NO, TM_TIME_NEVER);
    expect("age(events) > 330m", NO, origin + 6 * TM_HOUR);
    expect("age(events) >= 330m", NO, origin + 6 * TM_HOUR);
    expect("age(events) > 4h", YES, TM_TIME_NEVER);
    expect("age(events) > -1h", YES, TM_TIME_NEVER);
    expect("age(events) < 1h", NO, TM_TIME_NEVER);
    /* asked for itself as well, the age moves with the hour */
    expect("age(events) > 3d or age(events) == null or age(events) + 1h > 9d", NO, now.next_hour);
}

/* The limit's own horizon and the crossing, whichever comes first. */
Test(evaluator, a_comparison_of_an_age_with_what_is_computed_knows_its_crossing)
{
    for (int day = 10; day > 0; day--) /* a gap of two days each time */
        count_event(0, start - 2 * day * TM_DAY, 0);
    tm_time origin = tm_time_floor(start, TM_HOUR) - 2 * TM_DAY;
    metrics[0].reach_days = 91;
    expect("gap(events, 95)", HOURS(48), now.next_midnight);
    expect("age(events) >= gap(events, 95) + 1h", NO, origin + 49 * TM_HOUR);
    expect("gap(events, 95) + 1h <= age(events)", NO, origin + 49 * TM_HOUR);
    expect("age(events) >= gap(events, 95)", YES, now.next_midnight);
    expect("age(events) >= 3 * gap(events, 95)", NO, now.next_midnight);
    expect("age(events) >= cusum(seen, 4w) * 1d", NIL, TM_TIME_NEVER);
    expect("age(seen) >= gap(events, 95)", NIL, now.next_midnight);
    expect("age(events) >= attributes.x", NIL, TM_TIME_NEVER);
    expect("age(events) >= age(events) * 2 - 1h", NO, now.next_hour);
}

Test(evaluator, baselines_move_at_midnight)
{
    counting_days[0] = now.day - 12;
    for (int day = 12; day >= 0; day--)
        count_event(0, start - day * TM_DAY, 0);
    expect("growth(events[3d], 3)", NUMBER(1), now.next_midnight);
    expect("growth(events[3d], 4)", NUMBER(1), now.next_midnight);
    expect("zscore(events[3d offset 2d], 3)", NIL, now.next_midnight);
    expect("growth(events[3d offset 1d], 3) == 1 and growth(events[3d], 3) == 1", YES, now.next_midnight);
    expect("median_weekday(events, 4w)", NIL, now.next_midnight);
    expect("cusum(seen, 4w)", NIL, TM_TIME_NEVER);
}

/* What an account keeps of its past is found again by everything that changes it. */
Test(evaluator, baselines_are_kept_by_the_account)
{
    tm_derived derived[1] = {{0}};
    account.derived = derived;
    account.derived_count = 1;
    for (int day = 9; day >= 0; day--)
        count_event(0, start - day * TM_DAY, 0);
    (void)value_for("growth(events[1d], 8)", &account, NULL);
    uint32_t node = pack.program.node_count - 1;
    pack.program.nodes[node].slot = 1;
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(1)));
    cr_assert_eq(derived[0].day, now.day);
    derived[0].first = 0.5;
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(2)));
    pack.program.nodes[node].slot = 2; /* one of a pack that came later */
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(1)));
    pack.program.nodes[node].slot = 1;
    tm_account_forget_derived(&account);
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(1)));
}

Test(evaluator, two_ages_grow_together)
{
    count_event(0, start - 5 * TM_HOUR, 0);
    count_event(1, start - 8 * TM_HOUR, 1);
    expect("age(events) <= age(seen)", YES, TM_TIME_NEVER);
    expect("age(events) > age(score)", NIL, TM_TIME_NEVER);
    expect("first(seen) == age(seen)", YES, TM_TIME_NEVER);
}

Test(evaluator, an_event_ahead_of_now_holds_the_age_at_zero)
{
    at(start + 38 * TM_MINUTE);
    count_event(0, now.t + 4 * TM_MINUTE, 0); /* 11:02, judged at 10:58 */
    count_event(1, now.t, 1);
    tm_time eleven = now.next_hour;
    expect("age(events)", HOURS(0), eleven + TM_HOUR);
    expect("age(events) >= 1h", NO, eleven + TM_HOUR);
    expect("age(events) == age(seen)", YES, eleven);
}

static tm_facts *facts_of(void)
{
    tm_facts_draft *draft = calloc(1, sizeof *draft);
    tm_facts_draft_init(draft);
    draft->plan = TM_SLICE_LITERAL("pro");
    draft->contract_start = (tm_contract_date){.text = TM_SLICE_LITERAL("2024-02-20"), .day = now.day - 10};
    draft->product_count = 1;
    draft->products[0] = (tm_product){TM_SLICE_LITERAL("Big Plan"), 5 * TM_FIXED_ONE, TM_FIXED_NONE};
    draft->champion_count = 1;
    draft->champions[0] = 99;
    tm_facts *facts = tm_facts_new(heap, draft);
    free(draft);
    return facts;
}

Test(evaluator, facts_move_only_where_they_count_days)
{
    account.facts = facts_of();
    expect("plan", tm_value_string(TM_SLICE_LITERAL("pro")), TM_TIME_NEVER);
    expect("contract_age", HOURS(240), now.next_midnight);
    expect("contract_age < 90d", YES, now.next_midnight);
    expect("days_to_renewal < 30", NIL, TM_TIME_NEVER); /* not known: only a record changes it */
    expect("products['Big Plan'].seats", NUMBER(5), TM_TIME_NEVER);
    expect("products['Big Plan'].mrr", NIL, TM_TIME_NEVER);
}

Test(evaluator, short_cuts_do_not_ask_for_more)
{
    count_event(0, start, 0);
    expect("plan == 'x' or true", YES, TM_TIME_NEVER);
    expect("false and events[7d] > 1", NO, TM_TIME_NEVER);
    expect("events[7d] > 1 and plan == 'x'", NO, now.next_midnight);
    expect("if(events[7d] == 1, 5, score)", NUMBER(5), now.next_midnight);
    expect("if(plan == 'x', 1, 2)", NIL, TM_TIME_NEVER);
    expect("coalesce(1, events[1h])", NUMBER(1), TM_TIME_NEVER);
    expect("clamp(events[7d], 2, 3)", NUMBER(2), now.next_midnight);
    expect("score == null and plan != null or not (plan == null)", NO, TM_TIME_NEVER);
    expect("plan == 'x' and events[7d] == 1", NIL, now.next_midnight);
}

Test(evaluator, the_event_of_a_where)
{
    account.facts = facts_of();
    tm_event event = {.name = TM_SLICE_LITERAL("login"), .value = 5 * TM_FIXED_ONE / 2, .user_key = 99};
    event.user = TM_SLICE_LITERAL("ann");
    event.properties[0] = (tm_property){TM_SLICE_LITERAL("ok"), tm_value_boolean(true)};
    event.property_count = 1;
    cr_assert(tm_value_is_true(value_for("event == 'login' and user == 'ann' and value == 2.5", &account, &event)));
    cr_assert(tm_value_is_true(value_for("properties.ok and user in champions and plan == 'pro'", &account, &event)));
    cr_assert(tm_value_is_null(value_for("source == 'x' or properties.other == 1", &account, &event)));
    event.source = TM_SLICE_LITERAL("x");
    cr_assert(tm_value_is_true(value_for("source == 'x'", &account, &event)));
    event.user_key = 98;
    cr_assert(tm_value_same(value_for("user in champions", &account, &event), NO));
    event.user_key = 0;
    event.user = (tm_slice){0};
    cr_assert(tm_value_same(value_for("user in champions", &account, &event), NO));
    cr_assert(tm_value_is_null(value_for("user", &account, &event)));
    cr_assert(tm_value_same(value_for("user in champions", NULL, &event), NO));
    event.value = TM_FIXED_NONE;
    cr_assert(tm_value_is_null(value_for("value", &account, &event)));
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert(tm_value_is_null(tm_evaluator_value(evaluator, pack.program.node_count - 1)));
}

Test(evaluator, an_evaluation_forgets_the_one_before)
{
    tm_value first = value_for("events[7d]", &account, NULL);
    uint32_t node = pack.program.node_count - 1;
    cr_assert(tm_value_same(first, NUMBER(0)));
    count_event(0, start, 0);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(0)), "remembered until the next begin");
    tm_evaluator_begin(evaluator, &environment, &account, NULL);
    cr_assert_eq(tm_evaluator_horizon(evaluator), TM_TIME_NEVER);
    cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), NUMBER(1)));
    tm_evaluator_free(heap, NULL);
    tm_heap *small = tm_heap_new(16);
    cr_assert_null(tm_evaluator_new(small, &pack.program));
    tm_heap_free_all(small);
}
