/* Rules against each other: the order of judgement, inhibitors and their tails, rules that went, accounts that are
   erased. A rule's own life is in episode_test.c. */
#include "support/feed.h"

static tm_pack *pack;
static tm_shard *shard;
static feed_out out;
static int number;

/* Written against the order of judgement: the inhibited rule stands first in the file. */
static const char rules[] = "version: 1\n"
                            "metrics:\n"
                            "  low:  {count: low}\n"
                            "  high: {count: high}\n"
                            "rules:\n"
                            "  - {name: minor, kind: advisory, when: 'low[3h] >= 1', inhibited_by: [major], "
                            "inhibit_tail: 10m, clear: 'low[3h] == 0'}\n"
                            "  - {name: major, kind: churn_risk, when: 'high[1h] >= 1'}\n"
                            "  - {name: third, kind: expansion, when: 'low[3h] >= 1'}\n";

#define T0 (FEED_START + 6 * TM_HOUR)

static void begin(const char *text)
{
    pack = feed_pack(text);
    tm_shard_settings settings = feed_settings();
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    tm_shard_set_sink(shard, feed_sink, &out);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_shard_start(shard, T0);
}

static void tear_down(void)
{
    tm_shard_free(shard);
    tm_pack_free(pack);
    feed_out_done(&out);
}

TestSuite(judge, .fini = tear_down);

static void send(const char *name, tm_time t)
{
    char id[16];
    snprintf(id, sizeof id, "%d", number++);
    tm_event event = {.id = tm_slice_of(id),
                      .account = TM_SLICE_LITERAL("a"),
                      .name = tm_slice_of(name),
                      .at = t,
                      .value = TM_FIXED_NONE};
    tm_record record = {.timestamp = t, .kind = TM_RECORD_EVENT, .event = &event};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    cr_assert_eq(outcome, TM_OUTCOME_APPLIED);
}

static void until(tm_time t)
{
    cr_assert_eq(tm_shard_advance(shard, t), TM_OK);
}

/* The index-th signal is of this rule, state and instant. */
static void expect(uint32_t index, const char *rule, const char *state, tm_time t)
{
    char part[80], when[80];
    cr_assert_lt(index, out.count, "%u signals", out.count);
    snprintf(part, sizeof part, "a/%s/", rule);
    snprintf(when, sizeof when, " %s at %" PRId64 " ", state, t);
    cr_assert(strstr(out.lines[index], part) && strstr(out.lines[index], when), "%s", out.lines[index] + 37);
}

Test(judge, an_inhibitor_raised_at_an_instant_holds_back_at_it)
{
    begin(rules);
    send("low", T0 + 1);
    send("high", T0 + 2);
    until(T0 + TM_MINUTE);
    cr_assert_eq(out.count, 2);
    expect(0, "major", "raised", T0 + TM_MINUTE);
    expect(1, "third", "raised", T0 + TM_MINUTE);
}

Test(judge, the_tail_holds_to_its_last_instant)
{
    begin(rules);
    send("low", T0 + 1);
    send("high", T0 + 2);
    tm_time cleared = T0 + TM_HOUR; /* the hour of `high` is over */
    until(cleared + 10 * TM_MINUTE - 1);
    cr_assert_eq(out.count, 3);
    expect(2, "major", "cleared", cleared);
    until(cleared + 10 * TM_MINUTE);
    cr_assert_eq(out.count, 4);
    expect(3, "minor", "raised", cleared + 10 * TM_MINUTE);
}

Test(judge, an_inhibitor_never_clears_what_is_open)
{
    begin(rules);
    send("low", T0 + 1);
    until(T0 + TM_MINUTE);
    expect(0, "minor", "raised", T0 + TM_MINUTE);
    send("high", T0 + TM_MINUTE + 1);
    until(T0 + 2 * TM_MINUTE);
    cr_assert_eq(out.count, 3);
    expect(2, "major", "raised", T0 + 2 * TM_MINUTE);
    until(T0 + 4 * TM_HOUR);
    cr_assert_eq(out.count, 6, "each is cleared once, by its own condition");
}

Test(judge, what_a_removed_rule_left_is_cleared_without_a_value)
{
    begin(rules);
    send("low", T0 + 1);
    until(T0 + TM_MINUTE);
    cr_assert_eq(out.count, 2);
    tm_pack *fewer = feed_pack("version: 2\nmetrics:\n  low: {count: low}\nrules:\n"
                               "  - {name: third, kind: expansion, when: 'low[3h] >= 1'}\n");
    tm_shard_settled(shard);
    cr_assert_eq(tm_shard_adopt(shard, fewer), TM_OK);
    until(T0 + 2 * TM_MINUTE);
    cr_assert_eq(out.count, 3);
    expect(2, "minor", "cleared", T0 + 2 * TM_MINUTE);
    cr_assert_not_null(strstr(out.lines[2], "reason 2 value null"));
    cr_assert_eq(tm_shard_open(shard, TM_KIND_ADVISORY), 0);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_EXPANSION), 1);
    cr_assert_eq(tm_shard_changed_count(shard), 1, "it is written");
    tm_shard_free(shard);
    shard = NULL;
    tm_pack_free(fewer);
}

/* A metric that went takes its series along: the account has changed although nothing was judged. */
Test(judge, an_account_that_other_rules_changed_is_written)
{
    begin("version: 1\nmetrics:\n  low: {count: low}\n  high: {count: high}\nrules:\n"
          "  - {name: third, kind: expansion, when: 'low[3h] + high[3h] >= 9'}\n");
    send("low", T0 + 1);
    send("high", T0 + 1);
    until(T0 + TM_MINUTE);
    tm_shard_settled(shard);
    tm_pack *fewer = feed_pack("version: 2\nmetrics:\n  low: {count: low}\nrules:\n"
                               "  - {name: third, kind: expansion, when: 'low[3h] >= 9'}\n");
    cr_assert_eq(tm_shard_adopt(shard, fewer), TM_OK);
    cr_assert_eq(tm_shard_changed_count(shard), 1);
    send("low", T0 + TM_MINUTE + 1);
    cr_assert_eq(tm_shard_changed_count(shard), 1, "once");
    tm_shard_free(shard);
    shard = NULL;
    tm_pack_free(fewer);
}

Test(judge, erased_in_the_order_of_judgement)
{
    begin(rules);
    send("low", T0 + 1);
    until(T0 + TM_MINUTE);
    send("high", T0 + TM_MINUTE + 1);
    until(T0 + 2 * TM_MINUTE);
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .timestamp = T0 + 130000,
                        .kind = TM_RECORD_ERASE,
                        .account = TM_SLICE_LITERAL("a")};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    cr_assert_eq(out.count, 6);
    expect(3, "major", "cleared", T0 + 130000);
    expect(4, "minor", "cleared", T0 + 130000);
    expect(5, "third", "cleared", T0 + 130000);
    for (int k = 0; k < TM_KINDS; k++)
        cr_assert_eq(tm_shard_open(shard, (tm_kind)k), 0);
}

static tm_status refuse(void *context, const tm_signal *signal)
{
    (void)context;
    (void)signal;
    return TM_FATAL;
}

Test(judge, the_sink_s_word_ends_it)
{
    begin(rules);
    send("low", T0 + 1);
    tm_shard_set_sink(shard, refuse, NULL);
    cr_assert_eq(tm_shard_advance(shard, T0 + TM_MINUTE), TM_FATAL);
}
