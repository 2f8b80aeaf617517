#include "tidemark/core/account.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/codec/state.h"

static tm_pattern all = {{"", 0}, true}, key_action = {{"report_", 7}, true}, record = {{"record_saved", 12}, false},
                  insight = {{"dashboard", 9}, true}, ticket = {{"ticket_opened", 13}, false},
                  nps = {{"nps_response", 12}, false};

/* The metrics of a usual pack: eight, 90 days where they count. */
enum { METRICS = 8 };

static void fill_metrics(tm_metric metrics[METRICS])
{
    const tm_metric declared[METRICS] = {
        {.kind = TM_METRIC_COUNT, .patterns = &all, .reach_days = 90},
        {.kind = TM_METRIC_COUNT, .patterns = &key_action, .reach_days = 90},
        {.kind = TM_METRIC_COUNT, .patterns = &record, .reach_days = 90},
        {.kind = TM_METRIC_COUNT, .patterns = &insight, .reach_days = 90},
        {.kind = TM_METRIC_COUNT, .patterns = &ticket, .reach_days = 90},
        {.kind = TM_METRIC_DISTINCT, .of = TM_OF_USER, .patterns = &all, .reach_days = 28},
        {.kind = TM_METRIC_DISTINCT, .of = TM_OF_EVENT, .patterns = &all, .reach_days = 28},
        {.kind = TM_METRIC_LAST, .of = TM_OF_VALUE, .patterns = &nps, .reach_days = 90},
    };
    for (int i = 0; i < METRICS; i++) {
        metrics[i] = declared[i];
        metrics[i].pattern_count = 1;
        metrics[i].where = TM_NODE_NONE;
        metrics[i].identity = 1000 + (uint64_t)i;
    }
}

typedef struct world {
    tm_heap *heap;
    tm_arena *arena;
    tm_pack pack;
    tm_metric metrics[METRICS];
    tm_moment now;
    tm_day_span span;
    tm_environment environment;
    int32_t counting[METRICS]; /* local days; INT32_MIN: complete */
    tm_selector *selector;
    tm_evaluator *evaluator;
    uint64_t random;
} world;

static void start(world *w)
{
    memset(w, 0, sizeof *w);
    w->heap = tm_heap_new(0);
    w->arena = tm_arena_new(0);
    fill_metrics(w->metrics);
    w->pack.metrics = w->metrics;
    w->pack.metric_count = METRICS;
    tm_program_init(&w->pack.program, w->arena);
    for (int i = 0; i < METRICS; i++)
        w->counting[i] = INT32_MIN;
    w->environment = (tm_environment){.pack = &w->pack, .now = &w->now, .counting_days = w->counting};
    tm_moment_at(&w->now, tm_zone_utc(), INT64_C(1700000000000), &w->span);
}

static void ready(world *w)
{
    w->selector = tm_selector_new(w->heap, &w->pack);
    w->evaluator = tm_evaluator_new(w->heap, &w->pack.program);
}

static void stop(world *w)
{
    tm_selector_free(w->selector);
    tm_evaluator_free(w->heap, w->evaluator);
    cr_assert_eq(tm_heap_used(w->heap), 0);
    tm_heap_free_all(w->heap);
    tm_arena_free_all(w->arena);
}

static uint32_t below(world *w, uint32_t n)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(w->random >> 33) % n;
}

static tm_applied apply(world *w, tm_account *account, const tm_event *event)
{
    tm_applied applied;
    cr_assert_eq(
        tm_account_apply(account, w->heap, event, w->now.day, &w->environment, w->selector, w->evaluator, &applied),
        TM_OK);
    return applied;
}

static double count_of(world *w, const tm_account *account, uint32_t metric)
{
    bool quiet;
    tm_window window = {TM_WINDOW_DAYS, 28, 0};
    return tm_series_window(account->series[metric], &w->pack.metrics[metric], &window, &w->now, &quiet).as.number;
}

static void typical_facts(tm_facts_draft *draft)
{
    tm_facts_draft_init(draft);
    draft->name = TM_SLICE_LITERAL("Example Industries");
    draft->plan = TM_SLICE_LITERAL("business");
    draft->currency = TM_SLICE_LITERAL("EUR");
    draft->tier = TM_SLICE_LITERAL("low");
    draft->seats = 40 * TM_FIXED_ONE;
    draft->mrr = 1200 * TM_FIXED_ONE;
    draft->term_months = 12 * TM_FIXED_ONE;
    draft->contract_start = (tm_contract_date){.text = TM_SLICE_LITERAL("2023-02-01"), .day = 19389};
    draft->renewal_at = (tm_contract_date){.text = TM_SLICE_LITERAL("2024-02-01"), .day = 19754};
    draft->owner_count = 1;
    draft->owners[0] = (tm_fact_entry){TM_SLICE_LITERAL("csm"), tm_value_string(TM_SLICE_LITERAL("ann"))};
    draft->attribute_count = 2;
    draft->attributes[0] = (tm_fact_entry){TM_SLICE_LITERAL("region"), tm_value_string(TM_SLICE_LITERAL("emea"))};
    draft->attributes[1] = (tm_fact_entry){TM_SLICE_LITERAL("industry"), tm_value_string(TM_SLICE_LITERAL("retail"))};
    draft->champion_count = 1;
    draft->champions[0] = 77;
}

/* 30 users, 12 kinds of events, 90 days with quiet weekends: what the budgets are stated for. */
static tm_account *typical(world *w)
{
    static const char *const names[] = {"login",     "record_saved", "record_saved",  "record_saved",
                                        "search",    "report_view",  "report_export", "dashboard_open",
                                        "page_view", "comment",      "file_uploaded", "settings"};
    tm_account *account = tm_account_new(w->heap, &w->pack, TM_SLICE_LITERAL("account-000123"));
    static tm_facts_draft facts;
    typical_facts(&facts);
    cr_assert_eq(tm_account_set_facts(account, w->heap, &facts), TM_OK);
    for (int day = 0; day < 90; day++) {
        tm_time midnight = INT64_C(1692316800000) + day * TM_DAY;
        int events = day % 7 >= 5 ? 20 : 150 + (int)below(w, 100);
        for (int i = 0; i < events; i++) {
            tm_event event = {.name = tm_slice_of(names[below(w, 12)]),
                              .at = midnight + 8 * TM_HOUR + i * TM_MINUTE,
                              .value = TM_FIXED_NONE,
                              .user_key = (1 + below(w, 30)) * UINT64_C(0x9e3779b97f4a7c15)};
            if (below(w, 600) == 0)
                event.name = TM_SLICE_LITERAL("ticket_opened");
            if (below(w, 3000) == 0) {
                event.name = TM_SLICE_LITERAL("nps_response");
                event.value = (tm_fixed)below(w, 11) * TM_FIXED_ONE;
            }
            tm_moment_at(&w->now, tm_zone_utc(), event.at, &w->span);
            apply(w, account, &event);
        }
    }
    return account;
}

Test(account, a_typical_one_stays_within_its_budgets)
{
    world w;
    start(&w);
    ready(&w);
    size_t before = tm_heap_used(w.heap);
    tm_account *account = typical(&w);
    cr_assert_eq(count_of(&w, account, 5), 30);
    size_t used = tm_heap_used(w.heap) - before; /* the selector's names are in it too */
    size_t memory = tm_account_memory(account);
    tm_buffer blob;
    tm_buffer_init(&blob, 1 << 20);
    tm_state_encode(account, &w.pack, &w.now, &blob);
    fprintf(stderr, "typical account: %zu bytes of memory, %zu bytes of state\n", memory, blob.length);
    cr_assert_leq(memory, used);
    cr_assert_leq(memory, 2048);
    cr_assert_leq(blob.length, 1024);
    tm_buffer_done(&blob);
    tm_account_free(w.heap, account);
    stop(&w);
}

Test(account, steady_counting_takes_no_memory)
{
    world w;
    start(&w);
    ready(&w);
    tm_account *account = typical(&w);
    tm_event event = {
        .name = TM_SLICE_LITERAL("report_view"), .value = TM_FIXED_NONE, .user_key = UINT64_C(0x9e3779b97f4a7c15)};
    size_t used = tm_heap_used(w.heap);
    for (int i = 0; i < 20; i++) {
        event.at = w.now.t;
        apply(&w, account, &event);
    }
    cr_assert_eq(tm_heap_used(w.heap), used);
    tm_account_free(w.heap, account);
    stop(&w);
}

Test(account, events_go_to_the_metrics_that_select_them)
{
    world w;
    start(&w);
    /* metric 1 counts only when the value is greater than 5 */
    tm_node value = {.op = TM_OP_EVENT_VALUE, .type = TM_TYPE_NUMBER};
    tm_node five = {.op = TM_OP_CONSTANT, .type = TM_TYPE_NUMBER, .constant = tm_value_number(5)};
    tm_node greater = {.op = TM_OP_GREATER, .type = TM_TYPE_BOOLEAN, .argument_count = 2};
    uint32_t arguments[2];
    cr_assert_eq(tm_program_add(&w.pack.program, &value, NULL, &arguments[0]), TM_OK);
    cr_assert_eq(tm_program_add(&w.pack.program, &five, NULL, &arguments[1]), TM_OK);
    cr_assert_eq(tm_program_add(&w.pack.program, &greater, arguments, &w.metrics[1].where), TM_OK);
    w.metrics[3].patterns = &key_action;
    w.metrics[3].where = w.metrics[1].where;
    ready(&w);
    tm_account *account = tm_account_new(w.heap, &w.pack, TM_SLICE_LITERAL("a"));
    cr_assert(!account->changed);
    cr_assert_eq(account->input_offset, -1);
    cr_assert_eq(account->judge_at, TM_TIME_NEVER);
    tm_event event = {.name = TM_SLICE_LITERAL("report_view"), .at = w.now.t, .value = 6 * TM_FIXED_ONE};
    tm_applied applied = apply(&w, account, &event);
    cr_assert_eq(applied.counted, 4, "%u", applied.counted); /* events, key actions twice, features; no user */
    cr_assert_eq(applied.late, 0);
    cr_assert_eq(applied.beyond, 0);
    cr_assert(account->changed);
    event.value = 5 * TM_FIXED_ONE;
    cr_assert_eq(apply(&w, account, &event).counted, 2);
    event.value = TM_FIXED_NONE;
    cr_assert_eq(apply(&w, account, &event).counted, 2, "null is not true");
    cr_assert_eq(count_of(&w, account, 0), 3);
    cr_assert_eq(count_of(&w, account, 1), 1);
    cr_assert_eq(count_of(&w, account, 3), 1);
    cr_assert_null(account->series[2]);
    event.at -= 40 * TM_DAY;
    tm_applied late;
    cr_assert_eq(
        tm_account_apply(account, w.heap, &event, w.now.day - 40, &w.environment, w.selector, w.evaluator, &late),
        TM_OK);
    cr_assert_eq(late.counted, 1);
    cr_assert_eq(late.late, 1);
    cr_assert_eq(late.beyond, 1); /* features reach 28 days */
    tm_account_free(w.heap, account);
    stop(&w);
}

Test(account, episodes_stand_in_order)
{
    world w;
    start(&w);
    tm_account *account = tm_account_new(w.heap, &w.pack, TM_SLICE_LITERAL(""));
    const uint64_t rules[] = {50, 10, 90, 70, 30, 20, 10, 90};
    for (int i = 0; i < 8; i++)
        cr_assert_eq(tm_account_episode_make(account, w.heap, rules[i])->rule, rules[i]);
    cr_assert_eq(account->episode_count, 6);
    for (uint32_t i = 1; i < account->episode_count; i++)
        cr_assert_lt(account->episodes[i - 1].rule, account->episodes[i].rule);
    tm_episode *episode = tm_account_episode(account, 30);
    cr_assert_eq(episode->state, TM_EPISODE_INACTIVE);
    cr_assert_eq(episode->cleared_at, TM_TIME_NONE);
    cr_assert_eq(episode->severity, TM_SEVERITY_WARN);
    cr_assert(!episode->severity_known);
    cr_assert_eq(tm_episode_set_name(episode, w.heap, TM_SLICE_LITERAL("usage_drop")), TM_OK);
    cr_assert_eq(tm_episode_set_name(episode, w.heap, TM_SLICE_LITERAL("usage_fall")), TM_OK);
    cr_assert(tm_slice_equal_text(episode->rule_name, "usage_fall"));
    size_t named = tm_account_memory(account);
    cr_assert_eq(tm_episode_set_name(episode, w.heap, (tm_slice){NULL, 0}), TM_OK);
    cr_assert_null(episode->rule_name.data);
    cr_assert_eq(tm_account_memory(account), named - 10);
    cr_assert_eq(tm_episode_set_name(tm_account_episode(account, 20), w.heap, TM_SLICE_LITERAL("")), TM_OK);
    tm_account_episode_drop(account, w.heap, 20);
    tm_account_episode_drop(account, w.heap, 21);
    cr_assert_eq(account->episode_count, 5);
    cr_assert_null(tm_account_episode(account, 20));
    cr_assert_null(tm_account_episode(account, 95));
    cr_assert_not_null(tm_account_episode(account, 90));
    cr_assert_eq(tm_episode_set_name(tm_account_episode(account, 90), w.heap, TM_SLICE_LITERAL("kept")), TM_OK);
    tm_account_free(w.heap, account);
    tm_account_free(w.heap, NULL);
    stop(&w);
}

Test(account, series_follow_their_metric_into_another_pack)
{
    world w;
    start(&w);
    ready(&w);
    tm_account *account = typical(&w);
    double events = count_of(&w, account, 0), users = count_of(&w, account, 5), features = count_of(&w, account, 6);
    tm_metric changed[3] = {w.metrics[5], w.metrics[0], w.metrics[1]};
    changed[0].reach_days = 40;  /* longer masks */
    changed[0].reach_hours = 24; /* and hours, from now on */
    changed[1].reach_hours = 24;
    changed[2].identity = 5; /* another definition */
    tm_pack to = {.metrics = changed, .metric_count = 3};
    account->changed = false;
    cr_assert_eq(tm_account_adopt(account, w.heap, &w.pack, &to), TM_OK);
    cr_assert(account->changed);
    cr_assert_eq(account->series_count, 3);
    tm_pack from = w.pack;
    w.pack = to;
    cr_assert_eq(count_of(&w, account, 0), users);
    cr_assert_eq(count_of(&w, account, 1), events);
    cr_assert_null(account->series[2]);
    cr_assert(features > 0);
    bool quiet;
    tm_window hours = {TM_WINDOW_HOURS, 24, 0};
    cr_assert_eq(tm_series_window(account->series[1], &changed[1], &hours, &w.now, &quiet).as.number, 0);
    tm_event event = {.name = TM_SLICE_LITERAL("x"), .at = w.now.t, .value = TM_FIXED_NONE, .user_key = 3};
    tm_selector *selector = tm_selector_new(w.heap, &to);
    tm_applied applied;
    cr_assert_eq(tm_account_apply(account, w.heap, &event, w.now.day, &w.environment, selector, w.evaluator, &applied),
                 TM_OK);
    cr_assert_eq(tm_series_window(account->series[1], &changed[1], &hours, &w.now, &quiet).as.number, 1);
    cr_assert_eq(count_of(&w, account, 0), users + 1);
    tm_selector_free(selector);
    /* and back: what was removed is empty */
    cr_assert_eq(tm_account_adopt(account, w.heap, &to, &from), TM_OK);
    w.pack = from;
    cr_assert_eq(count_of(&w, account, 0), events + 1);
    cr_assert_null(account->series[6]);
    tm_pack none = {0};
    cr_assert_eq(tm_account_adopt(account, w.heap, &from, &none), TM_OK);
    cr_assert_eq(account->series_count, 0);
    tm_account_free(w.heap, account);
    stop(&w);
}

/* A metric knows nothing from before the day on which it began to count: no first, no last, no bucket. */
Test(account, a_metric_begins_at_its_counting_start)
{
    world w;
    start(&w);
    ready(&w);
    w.counting[0] = w.now.day + 1;
    tm_account *account = tm_account_new(w.heap, &w.pack, TM_SLICE_LITERAL("k"));
    tm_event event = {.name = TM_SLICE_LITERAL("login"), .at = w.now.t, .value = TM_FIXED_NONE, .user_key = 3};
    apply(&w, account, &event);
    cr_assert_null(account->series[0]);
    cr_assert_not_null(account->series[5]);
    tm_moment_at(&w.now, tm_zone_utc(), w.now.next_midnight, &w.span);
    apply(&w, account, &event);
    cr_assert_not_null(account->series[0]);
    cr_assert_eq(tm_series_first_at(account->series[0]), tm_time_floor(event.at, TM_HOUR));
    tm_account_free(w.heap, account);
    stop(&w);
}

/* The account keeps what baselines came to until a past day, or the first event, of a metric they read changes. */
Test(account, what_is_derived_goes_with_the_past_it_came_from)
{
    world w;
    start(&w);
    ready(&w);
    w.pack.derived_count = 2;
    w.metrics[7].read_derived = true;
    tm_account *account = tm_account_new(w.heap, &w.pack, TM_SLICE_LITERAL("a"));
    cr_assert_eq(account->derived_count, 2);
    size_t memory = tm_account_memory(account);
    tm_event event = {.name = TM_SLICE_LITERAL("nps_response"), .at = w.now.t, .value = TM_FIXED_ONE};
    static const struct {
        const char *name;
        int days_ago;
        bool kept;
    } steps[] = {{"nps_response", 0, false}, {"nps_response", 0, true},    {"other", 30, true},
                 {"nps_response", 1, false}, {"nps_response", 120, false}, {"nps_response", 119, true}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        account->derived[1].state = 1;
        event.name = tm_slice_of(steps[i].name);
        event.at = w.now.t - steps[i].days_ago * TM_DAY;
        tm_applied applied;
        cr_assert_eq(tm_account_apply(account, w.heap, &event, w.now.day - steps[i].days_ago, &w.environment,
                                      w.selector, w.evaluator, &applied),
                     TM_OK);
        cr_assert_eq(account->derived[1].state == 1, steps[i].kept, "%zu", i);
    }
    tm_pack to = w.pack;
    to.derived_count = 0;
    cr_assert_eq(tm_account_adopt(account, w.heap, &w.pack, &to), TM_OK);
    cr_assert_null(account->derived);
    tm_account_forget_derived(account);
    cr_assert_eq(tm_account_adopt(account, w.heap, &to, &w.pack), TM_OK);
    cr_assert_eq(account->derived_count, 2);
    cr_assert_eq(account->derived[1].state, 0);
    cr_assert_geq(tm_account_memory(account), memory);
    tm_account_free(w.heap, account);
    stop(&w);
}

/* Every allocation refused in turn: TM_FATAL, nothing lost, nothing leaked, and the same account once there is room. */
Test(account, memory_that_runs_out_harms_nothing)
{
    world w;
    start(&w);
    ready(&w);
    w.pack.derived_count = 3;
    for (int i = 0; i < METRICS; i++)
        w.metrics[i].reach_hours = 24;
    for (size_t limit = 16; limit < 6000; limit += 16) {
        tm_heap *heap = tm_heap_new(limit);
        tm_account *account = tm_account_new(heap, &w.pack, TM_SLICE_LITERAL("k"));
        static tm_facts_draft facts;
        typical_facts(&facts);
        for (int i = 0; account && i < 30; i++) {
            tm_applied applied;
            tm_event event = {.name = TM_SLICE_LITERAL("nps_response"),
                              .at = w.now.t - i * TM_HOUR,
                              .value = TM_FIXED_ONE << i,
                              .user_key = (uint64_t)i + 1};
            double users = count_of(&w, account, 5), last = count_of(&w, account, 7);
            tm_status status =
                tm_account_apply(account, heap, &event, w.now.day, &w.environment, w.selector, w.evaluator, &applied);
            cr_assert(status == TM_OK || status == TM_FATAL);
            cr_assert(count_of(&w, account, 5) == users || count_of(&w, account, 5) == users + 1);
            cr_assert(i == 0 || count_of(&w, account, 7) == last || status == TM_OK);
            tm_account_set_facts(account, heap, &facts);
            tm_episode *episode = tm_account_episode_make(account, heap, (uint64_t)i * 7);
            if (episode)
                tm_episode_set_name(episode, heap, TM_SLICE_LITERAL("a_rule_with_a_long_name"));
        }
        if (account) {
            tm_pack to = w.pack;
            tm_metric metrics[METRICS];
            memcpy(metrics, w.metrics, sizeof metrics);
            to.metrics = metrics;
            metrics[5].reach_days = 62;
            metrics[0].reach_hours = 0;
            to.derived_count = 40;
            double users = count_of(&w, account, 5);
            if (tm_account_adopt(account, heap, &w.pack, &to) == TM_OK)
                cr_assert_eq(count_of(&w, account, 5), users);
        }
        tm_account_free(heap, account);
        cr_assert_eq(tm_heap_used(heap), 0, "limit %zu", limit);
        tm_heap_free_all(heap);
    }
    stop(&w);
}
