/* The table of semantics.md, row by row, with every duration at its last and first millisecond. */
#include "tidemark/core/account.h"

#include <criterion/criterion.h>

/* Nodes of the imagined program. */
enum { WHEN, CLEAR, SCOPE, VALUE, SEVERITY, NODES };

static tm_value answers[NODES];
static uint32_t asked[NODES];
static tm_time held_until;
static tm_slice tier;
static tm_rule rule;
static tm_episode e;
static tm_step step;

static tm_value answer(void *context, uint32_t node)
{
    (void)context;
    asked[node]++;
    return answers[node];
}

static tm_time answer_held(void *context, const tm_rule *of)
{
    (void)context;
    cr_assert_eq(of, &rule);
    return held_until;
}

static tm_slice answer_tier(void *context)
{
    (void)context;
    return tier;
}

static void set_up(void)
{
    rule = (tm_rule){.name = TM_SLICE_LITERAL("r"),
                     .kind = TM_KIND_EXPANSION,
                     .when = WHEN,
                     .clear = CLEAR,
                     .scope = SCOPE,
                     .severity = TM_SEVERITY_HIGH,
                     .severity_node = TM_NODE_NONE,
                     .value = VALUE,
                     .threshold = TM_NODE_NONE,
                     .clear_threshold = TM_NODE_NONE,
                     .update_change = 0.2,
                     .identity = 99};
    e = (tm_episode){.rule = 99, .cleared_at = TM_TIME_NONE};
    answers[WHEN] = answers[SCOPE] = tm_value_boolean(true);
    answers[CLEAR] = tm_value_boolean(false);
    answers[VALUE] = tm_value_number(10);
    answers[SEVERITY] = tm_value_null();
    held_until = TM_TIME_NONE;
    tier = (tm_slice){0};
}

TestSuite(episode, .init = set_up);

static void at(tm_time now)
{
    tm_questions questions = {NULL, answer, answer_held, answer_tier};
    tm_episode before = e;
    tm_episode_step(&e, &rule, now, &questions, &step);
    bool same = before.state == e.state && before.since == e.since && before.sequence == e.sequence &&
                before.severity == e.severity && before.cleared_at == e.cleared_at;
    cr_assert(same || step.changed, "a change is told at %d", (int)now);
    cr_assert(step.due > now);
}

static void expect(tm_episode_state state, tm_signal_state signal, tm_time due)
{
    cr_assert_eq(e.state, (uint8_t)state, "state %d", e.state);
    cr_assert_eq(step.signal, signal, "signal %d", step.signal);
    cr_assert_eq(step.due, due, "due %lld", (long long)step.due);
}

static void raise_at(tm_time now)
{
    at(now);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_RAISED, now + 1);
}

Test(episode, inactive_while_when_is_not_true)
{
    answers[WHEN] = tm_value_boolean(false);
    at(100);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[WHEN] = tm_value_null();
    at(101);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    cr_assert_not(step.changed);
    cr_assert_eq(asked[VALUE], 0, "asked only when needed");
}

Test(episode, raised_at_once_without_durations)
{
    raise_at(100);
    cr_assert(e.raised_at == 100 && e.sequence == 1 && e.signalled_at == 100 && e.kind == TM_KIND_EXPANSION);
    cr_assert_eq(e.published_severity, TM_SEVERITY_HIGH);
    cr_assert_eq(e.published_value, 10);
    cr_assert_eq(step.value.as.number, 10);
    cr_assert_eq(step.reason, TM_REASON_NONE);
    cr_assert_eq(step.value.type, TM_TYPE_NUMBER);
}

/* An episode raised and cleared at once. */
static void come_and_go(tm_time now, tm_heap *heap)
{
    raise_at(now);
    cr_assert_eq(tm_episode_note_raise(&e, heap, &rule, now), TM_OK);
    answers[CLEAR] = tm_value_boolean(true);
    at(now + 1);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, now + 2);
    answers[CLEAR] = tm_value_boolean(false);
}

Test(episode, flapping_is_the_one_too_many_and_held_until_calm)
{
    tm_heap *heap = tm_heap_new(0);
    rule.flapping_episodes = 3;
    rule.flapping_ms = 1000;
    rule.calm_ms = 500;
    answers[VALUE] = tm_value_null();
    come_and_go(100, heap);
    come_and_go(400, heap);
    come_and_go(1100, heap); /* the first is 1000 ago: no longer of them */
    cr_assert_eq(e.notes->raise_count, 2);
    raise_at(1399);
    cr_assert(step.reason == TM_REASON_FLAPPING && e.marks == TM_EPISODE_FLAPPING);
    cr_assert_eq(tm_episode_note_raise(&e, heap, &rule, 1399), TM_OK);
    answers[CLEAR] = tm_value_boolean(true);
    at(1400);
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, 1900);
    answers[CLEAR] = tm_value_boolean(false);
    at(1899);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 1900);
    /* A day after its last signal it would be updated, were it calm; a worse severity is told at once. */
    rule.severity = TM_SEVERITY_WARN;
    at(1399 + TM_DAY - 100);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 1399 + TM_DAY);
    answers[CLEAR] = tm_value_boolean(true);
    at(1399 + TM_DAY - 90);
    answers[CLEAR] = tm_value_boolean(false);
    at(1399 + TM_DAY - 80);
    at(1399 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 1399 + TM_DAY + 420);
    rule.severity = TM_SEVERITY_CRITICAL;
    at(1399 + TM_DAY + 1);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 1399 + TM_DAY + 2);
    answers[CLEAR] = tm_value_boolean(true);
    at((7 * TM_DAY));
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, (7 * TM_DAY) + 500);
    at((7 * TM_DAY) + 500);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, (7 * TM_DAY) + 501);
    cr_assert(step.reason == TM_REASON_CONDITION && e.marks == 0);
    tm_heap_free_all(heap);
}

static unsigned verdict(void)
{
    tm_questions questions = {NULL, answer, answer_held, answer_tier};
    return tm_episode_verdict(&e, &rule, &questions);
}

Test(episode, late_data_overturns_the_raise_and_no_cooldown_begins)
{
    rule.cooldown_ms = 1000;
    rule.clear_for_ms = 500;
    raise_at(100);
    cr_assert_eq(verdict(), TM_VERDICT_HOLDS);
    answers[WHEN] = tm_value_boolean(false);
    cr_assert_eq(verdict(), 0);
    cr_assert_not(tm_episode_revise(&e, 100, TM_VERDICT_HOLDS, 0), "an event of the raise's own instant");
    cr_assert_not(tm_episode_revise(&e, 99, 0, 0));
    cr_assert_not(tm_episode_revise(&e, 99, 0, TM_VERDICT_HOLDS));
    cr_assert(tm_episode_revise(&e, 99, TM_VERDICT_HOLDS, 0));
    answers[WHEN] = tm_value_boolean(true);
    at(110); /* true again: nothing comes of it */
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    cr_assert(step.changed && e.marks == 0);
    cr_assert(tm_episode_revise(&e, 99, TM_VERDICT_HOLDS, 0));
    answers[WHEN] = tm_value_null();
    at(120);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 121);
    cr_assert(step.reason == TM_REASON_REVISED && e.marks == 0 && e.cleared_at == TM_TIME_NONE);
    answers[WHEN] = tm_value_boolean(true);
    raise_at(121);
}

Test(episode, late_data_makes_an_update_due)
{
    raise_at(100);
    answers[VALUE] = tm_value_number(13);
    cr_assert_eq(verdict(), TM_VERDICT_HOLDS | TM_VERDICT_MOVED);
    cr_assert_not(tm_episode_revise(&e, 100, TM_VERDICT_HOLDS, TM_VERDICT_HOLDS | TM_VERDICT_MOVED));
    cr_assert(tm_episode_revise(&e, 99, TM_VERDICT_HOLDS, TM_VERDICT_HOLDS | TM_VERDICT_MOVED));
    at(110);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 100 + TM_DAY);
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 101 + TM_DAY);
    cr_assert(step.reason == TM_REASON_REVISED && e.marks == 0);
    cr_assert(tm_episode_revise(&e, 99, 0, TM_VERDICT_MOVED));
    at(110 + TM_DAY); /* back where it was */
    cr_assert(step.changed && e.marks == 0);
    answers[VALUE] = tm_value_number(20);
    at(100 + 2 * TM_DAY);
    cr_assert(step.signal == TM_SIGNAL_UPDATED && step.reason == TM_REASON_NONE);
}

Test(episode, snoozed_nothing_is_told_but_the_end)
{
    tm_heap *heap = tm_heap_new(0);
    tm_episode_notes *notes = tm_episode_notes_make(&e, heap);
    notes->snoozed_until = 200;
    at(100);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 200);
    raise_at(200);
    cr_assert_eq(notes->snoozed_until, TM_TIME_NONE);
    notes->snoozed_until = 3 * TM_DAY;
    rule.severity = TM_SEVERITY_CRITICAL;
    at(201);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 3 * TM_DAY);
    rule.severity = TM_SEVERITY_WARN;
    at(2 * TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 3 * TM_DAY);
    at(3 * TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 3 * TM_DAY + 1);
    notes->snoozed_until = 9 * TM_DAY;
    answers[CLEAR] = tm_value_boolean(true);
    at(4 * TM_DAY);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 4 * TM_DAY + 1);
    cr_assert_eq(notes->snoozed_until, 9 * TM_DAY, "it outlives the episode");
    tm_heap_free_all(heap);
}

Test(episode, without_flapping_nothing_is_noted)
{
    tm_heap *heap = tm_heap_new(0);
    for (tm_time t = 100; t < 200; t += 10) {
        come_and_go(t, heap);
        cr_assert_null(e.notes);
    }
    tm_heap_free_all(heap);
}

Test(episode, for_ends_to_the_millisecond)
{
    rule.for_ms = 1000;
    at(100);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1100);
    at(1099);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1100);
    cr_assert_not(step.changed);
    raise_at(1100);
    cr_assert_eq(e.raised_at, 1100);
}

Test(episode, pending_ends_with_false_or_null_and_begins_anew)
{
    rule.for_ms = 1000;
    at(100);
    answers[WHEN] = tm_value_null();
    at(500);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[WHEN] = tm_value_boolean(true);
    at(600);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1600);
    answers[WHEN] = tm_value_boolean(false);
    at(1600);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
}

Test(episode, an_inhibitor_holds_back_and_its_tail)
{
    uint16_t one = 0;
    rule.inhibitors = &one;
    rule.inhibitor_count = 1;
    held_until = TM_TIME_NEVER;
    at(100);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, TM_TIME_NEVER);
    held_until = 700;
    at(200);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 700);
    at(699);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 700);
    raise_at(700);
    held_until = TM_TIME_NEVER;
    at(701);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
}

Test(episode, the_latest_of_for_cooldown_and_inhibitor_counts)
{
    uint16_t one = 0;
    rule.inhibitors = &one;
    rule.inhibitor_count = 1;
    rule.for_ms = 100;
    rule.cooldown_ms = 1000;
    e.cleared_at = 50;
    held_until = 500;
    at(100);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1050);
    held_until = 2000;
    at(101);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 2000);
    held_until = TM_TIME_NONE;
    at(1049);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1050);
    raise_at(1050);
}

Test(episode, once_is_once)
{
    rule.cooldown_once = true;
    raise_at(100);
    answers[CLEAR] = tm_value_boolean(true);
    at(101);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 102);
    at(102);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, TM_TIME_NEVER);
    at(INT64_C(1) << 50);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, TM_TIME_NEVER);
}

Test(episode, durations_beyond_all_time_never_end)
{
    rule.for_ms = INT64_MAX;
    at(100);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, TM_TIME_NEVER);
}

Test(episode, clear_for_ends_to_the_millisecond_and_cleared_is_judged_one_instant_later)
{
    rule.clear_for_ms = 1000;
    raise_at(100);
    answers[CLEAR] = tm_value_boolean(true);
    at(200);
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, 1200);
    cr_assert(tm_episode_open(&e));
    at(1199);
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, 1200);
    at(1200);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 1201);
    cr_assert(e.sequence == 2 && e.cleared_at == 1200 && step.reason == TM_REASON_CONDITION);
    cr_assert_eq(e.raised_at, 100, "the signal still names its episode");
    cr_assert_not(tm_episode_open(&e));
    at(1201);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_RAISED, 1202);
    cr_assert(e.sequence == 1 && e.raised_at == 1201);
}

Test(episode, clearing_falls_back_without_a_signal)
{
    rule.clear_for_ms = 1000;
    raise_at(100);
    answers[CLEAR] = tm_value_boolean(true);
    at(200);
    answers[CLEAR] = tm_value_null();
    answers[VALUE] = tm_value_number(1000);
    at(300);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 301);
    answers[CLEAR] = tm_value_boolean(true);
    at(301);
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, 1301);
}

/* clear before updated: the row of an instant is one. */
Test(episode, clear_comes_before_updated)
{
    raise_at(100);
    answers[CLEAR] = tm_value_boolean(true);
    answers[VALUE] = tm_value_number(1000);
    at(100 + TM_DAY);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 101 + TM_DAY);
}

Test(episode, a_moved_value_is_held_for_a_day)
{
    raise_at(100);
    answers[VALUE] = tm_value_number(12); /* exactly a fifth */
    at(200);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 100 + TM_DAY);
    answers[VALUE] = tm_value_number(11.999);
    at(300);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[VALUE] = tm_value_number(8);
    at(99 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 100 + TM_DAY);
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 101 + TM_DAY);
    cr_assert(e.sequence == 2 && e.published_value == 8 && e.raised_at == 100);
    at(101 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[VALUE] = tm_value_number(9.7);
    at(102 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 100 + 2 * TM_DAY);
}

Test(episode, values_that_never_update)
{
    raise_at(100);
    answers[VALUE] = tm_value_null();
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[VALUE] = tm_value_string(TM_SLICE_LITERAL("x"));
    at(200 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[VALUE] = tm_value_duration(1000);
    at(300 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    set_up();
    answers[VALUE] = tm_value_null();
    raise_at(100);
    answers[VALUE] = tm_value_number(5);
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    set_up();
    rule.update_change = 0;
    answers[VALUE] = tm_value_number(0);
    raise_at(100);
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[VALUE] = tm_value_number(-1e-6); /* from zero any move is one */
    at(101 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 102 + TM_DAY);
}

Test(episode, a_risen_severity_is_told_at_once_a_fallen_one_after_a_day)
{
    rule.severity_node = SEVERITY;
    raise_at(100);
    cr_assert_eq(e.published_severity, TM_SEVERITY_WARN, "null, at first warn");
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("critical"));
    at(101);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 102);
    cr_assert(e.published_severity == TM_SEVERITY_CRITICAL && e.sequence == 2);
    answers[SEVERITY] = tm_value_null();
    at(102);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("info"));
    at(103);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 101 + TM_DAY);
    at(100 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 101 + TM_DAY);
    answers[SEVERITY] = tm_value_null(); /* keeps the former, which is the published one */
    at(101 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("info"));
    at(102 + TM_DAY);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 103 + TM_DAY);
    cr_assert_eq(e.published_severity, TM_SEVERITY_INFO);
}

Test(episode, a_severity_that_came_back_is_not_told)
{
    rule.severity_node = SEVERITY;
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("high"));
    raise_at(100);
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("warn"));
    at(200);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, 100 + TM_DAY);
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("high"));
    at(300);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
    answers[SEVERITY] = tm_value_string(TM_SLICE_LITERAL("dreadful")); /* none we know: as null */
    at(400);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_NONE, TM_TIME_NEVER);
}

Test(episode, severity_by_tier)
{
    rule.has_severity_by_tier = true;
    rule.severity_by_tier = (tm_by_tier){.otherwise = TM_SLICE_LITERAL("info"), .choice_count = 1};
    rule.severity_by_tier.choices[0].tier = TM_SLICE_LITERAL("high");
    rule.severity_by_tier.choices[0].text = TM_SLICE_LITERAL("critical");
    raise_at(100);
    cr_assert_eq(e.published_severity, TM_SEVERITY_INFO);
    tier = TM_SLICE_LITERAL("high");
    at(200);
    expect(TM_EPISODE_RAISED, TM_SIGNAL_UPDATED, 201);
    cr_assert_eq(e.published_severity, TM_SEVERITY_CRITICAL);
}

Test(episode, out_of_scope)
{
    rule.for_ms = 1000;
    rule.cooldown_ms = 500;
    at(100);
    answers[SCOPE] = tm_value_null();
    at(200);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    at(300);
    cr_assert_not(step.changed);
    answers[SCOPE] = tm_value_boolean(true);
    rule.for_ms = 0;
    raise_at(400);
    answers[SCOPE] = tm_value_boolean(false);
    asked[WHEN] = 0;
    at(500);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 501);
    cr_assert(step.reason == TM_REASON_OUT_OF_SCOPE && e.cleared_at == 500);
    cr_assert_eq(asked[WHEN], 0, "nothing else is judged");
    answers[SCOPE] = tm_value_boolean(true);
    at(999);
    expect(TM_EPISODE_PENDING, TM_SIGNAL_NONE, 1000);
    raise_at(1000);
    rule.clear_for_ms = 1000;
    answers[CLEAR] = tm_value_boolean(true);
    at(1001);
    expect(TM_EPISODE_CLEARING, TM_SIGNAL_NONE, 2001);
    answers[SCOPE] = tm_value_boolean(false);
    at(1002);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, 1003);
}

Test(episode, ended_from_outside)
{
    raise_at(100);
    tm_episode_end(&e, 200, TM_REASON_ERASED, &step);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_CLEARED, TM_TIME_NEVER);
    cr_assert(step.reason == TM_REASON_ERASED && step.changed && tm_value_is_null(step.value) && e.sequence == 2);
    tm_episode_end(&e, 300, TM_REASON_RULE_REMOVED, &step);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    cr_assert_not(step.changed);
    e.state = TM_EPISODE_PENDING;
    tm_episode_end(&e, 400, TM_REASON_RULE_REMOVED, &step);
    expect(TM_EPISODE_INACTIVE, TM_SIGNAL_NONE, TM_TIME_NEVER);
    cr_assert(step.changed);
    cr_assert_eq(e.cleared_at, 200);
}

Test(episode, names)
{
    cr_assert_str_eq(tm_signal_state_name(TM_SIGNAL_RAISED), "raised");
    cr_assert_str_eq(tm_signal_state_name(TM_SIGNAL_UPDATED), "updated");
    cr_assert_str_eq(tm_signal_state_name(TM_SIGNAL_CLEARED), "cleared");
    cr_assert_null(tm_reason_name(TM_REASON_NONE));
    cr_assert_str_eq(tm_reason_name(TM_REASON_REVISED), "revised");
    cr_assert_str_eq(tm_reason_name(TM_REASON_OUT_OF_SCOPE), "out_of_scope");
}

Test(episode, comes_and_goes_when_one_too_many_was_lately)
{
    tm_episode_notes notes = {.raise_count = 2, .raises = {100, 400}};
    rule.flapping_ms = 1000;
    e.notes = &notes;
    cr_assert_not(tm_episode_comes_and_goes(&e, &rule, 500), "the rule does not look");
    rule.flapping_episodes = 3;
    cr_assert(tm_episode_comes_and_goes(&e, &rule, 1099));
    cr_assert_not(tm_episode_comes_and_goes(&e, &rule, 1100), "the first is too long ago");
    notes.raise_count = 1;
    cr_assert_not(tm_episode_comes_and_goes(&e, &rule, 500));
    e.notes = NULL;
    cr_assert_not(tm_episode_comes_and_goes(&e, &rule, 500));
}

Test(episode, a_moment_is_raised_and_over)
{
    rule.cooldown_ms = 100;
    rule.inhibitor_count = 1;
    tm_questions questions = {NULL, answer, answer_held, answer_tier};
    static const struct {
        tm_time now;
        bool when, scope, raised;
        tm_time held;
    } table[] = {{1000, false, true, false, TM_TIME_NONE}, {1000, true, false, false, TM_TIME_NONE},
                 {1000, true, true, false, TM_TIME_NEVER}, {1000, true, true, false, 1001},
                 {1000, true, true, true, 1000},           {1099, true, true, false, TM_TIME_NONE},
                 {1100, true, true, true, TM_TIME_NONE}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        answers[WHEN] = tm_value_boolean(table[i].when);
        answers[SCOPE] = tm_value_boolean(table[i].scope);
        held_until = table[i].held;
        tm_episode_moment(&e, &rule, table[i].now, &questions, &step);
        expect(TM_EPISODE_INACTIVE, table[i].raised ? TM_SIGNAL_RAISED : TM_SIGNAL_NONE, TM_TIME_NEVER);
        cr_assert_eq(step.changed, table[i].raised, "row %zu", i);
        if (table[i].raised)
            cr_assert(e.raised_at == table[i].now && e.cleared_at == table[i].now && e.sequence == 1, "row %zu", i);
    }
}
