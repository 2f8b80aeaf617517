/* The judge by itself, called as a shard calls it: what it hands over, when it wants to look again, what it leaves.
   Rules against each other over time are in judge_test.c. */
#include "support/feed.h"

#define T0 (FEED_START + 6 * TM_HOUR)

static const char rules[] = "version: 1\n"
                            "metrics:\n"
                            "  low:  {count: low}\n"
                            "  high: {count: high}\n"
                            "rules:\n"
                            "  - {name: minor, kind: advisory, when: 'low[3h] >= 1', inhibited_by: [major]}\n"
                            "  - {name: slow, kind: advisory, when: 'low[3h] >= 1', for: 150s}\n"
                            "  - {name: major, kind: churn_risk, when: 'high[1h] >= 1', value: 'high[1h]'}\n"
                            "  - {name: third, kind: expansion, when: 'low[3h] >= 1'}\n";

typedef struct handed {
    char rule[16];
    bool has_rule, has_facts;
    tm_signal signal; /* as handed over: what it points at may be gone */
} handed;

static handed seen[16];
static uint32_t count;
static tm_status answer; /* of the sink */
static tm_heap *heap;
static tm_pack *pack;
static tm_account *account;
static tm_judge judge;
static uint64_t counted[TM_KINDS][4];
static const int32_t since_ever[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

static tm_status sink(void *context, const tm_signal *signal)
{
    cr_assert_eq(context, seen);
    cr_assert_lt(count, 16);
    handed *h = &seen[count++];
    *h = (handed){.has_rule = signal->rule, .has_facts = signal->facts, .signal = *signal};
    snprintf(h->rule, sizeof h->rule, "%.*s", (int)signal->rule_name.length, signal->rule_name.data);
    return answer;
}

static void set_up(void)
{
    heap = tm_heap_new(0);
    pack = feed_pack(rules);
    account = tm_account_new(heap, pack, TM_SLICE_LITERAL("a"));
    judge = (tm_judge){.pack = pack,
                       .heap = heap,
                       .evaluator = tm_evaluator_new(heap, &pack->program),
                       .sink_context = seen,
                       .sink = sink,
                       .signals = counted};
    cr_assert(account && judge.evaluator);
    answer = TM_OK;
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
    tm_pack_free(pack);
}

TestSuite(judgement, .init = set_up, .fini = tear_down);

static tm_environment at(tm_time t, tm_moment *moment)
{
    tm_day_span span = {0};
    tm_moment_at(moment, tm_zone_utc(), t, &span);
    return (tm_environment){judge.pack, moment, since_ever};
}

static void apply(const char *name, tm_time t)
{
    tm_moment now;
    tm_environment environment = at(t, &now);
    tm_selector *selector = tm_selector_new(heap, judge.pack);
    tm_event event = {.id = TM_SLICE_LITERAL("1"),
                      .account = TM_SLICE_LITERAL("a"),
                      .name = tm_slice_of(name),
                      .at = t,
                      .value = TM_FIXED_NONE};
    tm_applied applied;
    cr_assert_eq(tm_account_apply(account, heap, &event, now.day, &environment, selector, judge.evaluator, &applied),
                 TM_OK);
    cr_assert_eq(applied.counted, 1);
    tm_selector_free(selector);
}

static tm_status judged(tm_time t, tm_time *ret_due)
{
    tm_moment now;
    tm_environment environment = at(t, &now);
    return tm_judge_account(&judge, &environment, account, TM_MINUTE, ret_due);
}

static tm_time judge_at(tm_time t)
{
    tm_time due;
    cr_assert_eq(judged(t, &due), TM_OK);
    return due;
}

static tm_status erase_at(tm_time t)
{
    tm_moment now;
    tm_environment environment = at(t, &now);
    return tm_judge_erase(&judge, &environment, account);
}

static tm_episode_state state_of(const char *rule)
{
    uint32_t i = 0;
    while (i < pack->rule_count && !tm_slice_equal_text(pack->rules[i].name, rule))
        i++;
    cr_assert_lt(i, pack->rule_count, "no rule %s", rule);
    const tm_episode *episode = tm_account_episode(account, pack->rules[i].identity);
    return episode ? (tm_episode_state)episode->state : TM_EPISODE_INACTIVE;
}

static void expect(uint32_t index, const char *rule, tm_signal_state state, tm_reason reason, tm_time t)
{
    cr_assert_lt(index, count, "%u signals", count);
    cr_assert_str_eq(seen[index].rule, rule);
    cr_assert_eq(seen[index].signal.state, state, "%s", rule);
    cr_assert_eq(seen[index].signal.reason, reason, "%s", rule);
    cr_assert_eq(seen[index].signal.time, t, "%s", rule);
}

static void give_facts(void)
{
    static tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.tier = TM_SLICE_LITERAL("gold");
    cr_assert_eq(tm_account_set_facts(account, heap, &draft), TM_OK);
}

Test(judgement, nothing_ever_counted_is_never_due)
{
    cr_assert_eq(judge_at(T0), TM_TIME_NEVER);
    cr_assert_eq(count, 0);
    cr_assert_eq(account->episode_count, 0);
    cr_assert(!account->changed);
}

Test(judgement, an_inhibitor_is_judged_before_whom_it_inhibits)
{
    give_facts();
    apply("low", T0 + 1);
    apply("high", T0 + 2);
    account->changed = false;
    judge_at(T0 + TM_MINUTE);
    cr_assert_eq(count, 2);
    expect(0, "major", TM_SIGNAL_RAISED, TM_REASON_NONE, T0 + TM_MINUTE);
    expect(1, "third", TM_SIGNAL_RAISED, TM_REASON_NONE, T0 + TM_MINUTE);
    cr_assert(seen[0].has_rule && seen[0].has_facts);
    cr_assert_eq(seen[0].signal.value.as.number, 1);
    cr_assert_eq(seen[0].signal.tier.length, 4);
    cr_assert_eq(state_of("minor"), TM_EPISODE_PENDING);
    cr_assert(account->changed);
    cr_assert_eq(judge.open[TM_KIND_CHURN_RISK], 1);
    cr_assert_eq(judge.open[TM_KIND_EXPANSION], 1);
    cr_assert_eq(judge.open[TM_KIND_ADVISORY], 0);
    cr_assert_eq(counted[TM_KIND_CHURN_RISK][TM_SIGNAL_RAISED], 1);
}

Test(judgement, due_is_the_next_instant_of_the_grid_at_which_time_alone_tells)
{
    apply("low", T0 + 1);
    cr_assert_eq(judge_at(T0 + TM_MINUTE), T0 + 2 * TM_MINUTE, "what was raised may be over at once");
    cr_assert_eq(count, 2);
    cr_assert_eq(judge_at(T0 + 2 * TM_MINUTE), T0 + 4 * TM_MINUTE, "150 s after the first, on the grid");
    cr_assert_eq(judge_at(T0 + 3 * TM_MINUTE), T0 + 4 * TM_MINUTE, "what was found stands");
    cr_assert_eq(count, 2);
    apply("high", T0 + 3 * TM_MINUTE + 1);
    cr_assert_eq(judge_at(T0 + 4 * TM_MINUTE), T0 + 5 * TM_MINUTE);
    cr_assert_eq(count, 4);
    cr_assert_eq(judge_at(T0 + 5 * TM_MINUTE), T0 + TM_HOUR, "the window of `high` moves on");
    cr_assert_eq(count, 4);
    tm_time due = T0 + TM_HOUR;
    for (int i = 0; i < 10 && due != TM_TIME_NEVER; i++)
        due = judge_at(due);
    cr_assert_eq(due, TM_TIME_NEVER, "all windows are empty");
    cr_assert_eq(count, 8, "%u", count);
    expect(4, "major", TM_SIGNAL_CLEARED, TM_REASON_CONDITION, T0 + TM_HOUR);
    expect(7, "third", TM_SIGNAL_CLEARED, TM_REASON_CONDITION, T0 + 3 * TM_HOUR);
}

Test(judgement, what_the_sink_returned_ends_it)
{
    const tm_status answers[] = {TM_RETRY, TM_REJECT, TM_FATAL};
    apply("low", T0 + 1);
    apply("high", T0 + 2);
    for (uint32_t i = 0; i < 3; i++) {
        tm_time due;
        answer = answers[i];
        cr_assert_eq(judged(T0 + TM_MINUTE, &due), answers[i]);
        cr_assert_eq(count, i + 1, "one signal a judgement");
        cr_assert_eq(account->stands_until, TM_TIME_NONE, "to be made anew as a whole");
    }
}

Test(judgement, without_a_sink_it_goes_on)
{
    judge.sink = NULL;
    judge.signals = NULL;
    apply("high", T0 + 2);
    judge_at(T0 + TM_MINUTE);
    cr_assert_eq(judge.open[TM_KIND_CHURN_RISK], 1);
}

static void to_fewer_rules(void)
{
    tm_pack *fewer = feed_pack("version: 2\nmetrics:\n  low: {count: low}\nrules:\n"
                               "  - {name: third, kind: expansion, when: 'low[3h] >= 1'}\n");
    cr_assert_eq(tm_account_adopt(account, heap, pack, fewer), TM_OK);
    tm_evaluator_free(heap, judge.evaluator);
    judge.evaluator = tm_evaluator_new(heap, &fewer->program);
    judge.pack = fewer;
    tm_pack_free(pack);
    pack = fewer;
}

Test(judgement, what_removed_rules_left_is_ended)
{
    give_facts();
    apply("low", T0 + 1);
    judge_at(T0 + TM_MINUTE);
    cr_assert_eq(count, 2);
    cr_assert_eq(state_of("slow"), TM_EPISODE_PENDING);
    to_fewer_rules();
    account->changed = false;
    judge_at(T0 + 2 * TM_MINUTE);
    cr_assert_eq(count, 3, "nothing is said of one that was pending");
    expect(2, "minor", TM_SIGNAL_CLEARED, TM_REASON_RULE_REMOVED, T0 + 2 * TM_MINUTE);
    cr_assert(!seen[2].has_rule);
    cr_assert(seen[2].has_facts);
    cr_assert_eq(seen[2].signal.value.type, TM_TYPE_NULL);
    cr_assert_eq(seen[2].signal.raised_at, T0 + TM_MINUTE);
    cr_assert_eq(seen[2].signal.sequence, 2);
    cr_assert_eq(seen[2].signal.rules_version, 2);
    cr_assert_eq(account->episode_count, 1);
    cr_assert_eq(state_of("third"), TM_EPISODE_RAISED);
    cr_assert(account->changed);
    cr_assert_eq(judge.open[TM_KIND_ADVISORY], 0);
}

static void expect_erased(uint32_t index, const char *rule, tm_time t)
{
    expect(index, rule, TM_SIGNAL_CLEARED, TM_REASON_ERASED, t);
    cr_assert(!seen[index].has_facts, "%s", rule);
    cr_assert_null(seen[index].signal.tier.data, "%s", rule);
    cr_assert_eq(seen[index].signal.value.type, TM_TYPE_NULL, "%s", rule);
    cr_assert_eq(seen[index].signal.sequence, 2, "%s", rule);
}

Test(judgement, erasing_ends_what_is_open_in_the_order_of_judgement)
{
    give_facts();
    apply("low", T0 + 1);
    judge_at(T0 + TM_MINUTE);
    apply("high", T0 + TM_MINUTE + 1);
    judge_at(T0 + 2 * TM_MINUTE);
    cr_assert_eq(count, 3);
    cr_assert_eq(state_of("slow"), TM_EPISODE_PENDING);
    cr_assert_eq(erase_at(T0 + 130001), TM_OK);
    cr_assert_eq(count, 6, "nothing is said of one that was pending");
    expect_erased(3, "major", T0 + 130001);
    expect_erased(4, "minor", T0 + 130001);
    expect_erased(5, "third", T0 + 130001);
    cr_assert(seen[3].has_rule);
    for (int k = 0; k < TM_KINDS; k++)
        cr_assert_eq(judge.open[k], 0);
    cr_assert_eq(erase_at(T0 + 130002), TM_OK);
    cr_assert_eq(count, 6, "nothing is open any more");
}

Test(judgement, erasing_ends_what_removed_rules_left_last)
{
    give_facts();
    apply("low", T0 + 1);
    judge_at(T0 + TM_MINUTE);
    to_fewer_rules();
    cr_assert_eq(erase_at(T0 + 2 * TM_MINUTE), TM_OK);
    cr_assert_eq(count, 4);
    expect_erased(2, "third", T0 + 2 * TM_MINUTE);
    expect_erased(3, "minor", T0 + 2 * TM_MINUTE);
    cr_assert(seen[2].has_rule && !seen[3].has_rule);
}

Test(judgement, erasing_ends_with_what_the_sink_returned)
{
    apply("low", T0 + 1);
    judge_at(T0 + TM_MINUTE);
    answer = TM_RETRY;
    cr_assert_eq(erase_at(T0 + 2 * TM_MINUTE), TM_RETRY);
    cr_assert_eq(count, 3);
}
