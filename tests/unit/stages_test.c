/* Stages of an account, and rules that are on their changes. */
#include "support/feed.h"
#include "tidemark/core/stages.h"

static tm_pack *pack;
static tm_shard *shard;
static feed_out out;
static int number;

static const char rules[] =
    "version: 1\n"
    "first_value: report\n"
    "metrics:\n"
    "  login:  {count: login}\n"
    "  report: {count: report}\n"
    "stages:\n"
    "  - {name: new, enter: 'login[1h] >= 1', stay: 30m}\n"
    "  - {name: busy, enter: 'login[1h] >= 3'}\n"
    "  - {name: paying, enter: mrr > 0, stay: 2h}\n"
    "rules:\n"
    "  - {name: muted, kind: advisory, on: stage_changed, inhibited_by: moved, inhibit_tail: 2h}\n"
    "  - {name: moved, kind: advisory, on: stage_changed, when: previous_stage != null, cooldown: 10m, value: "
    "stage_age}\n"
    "  - {name: in_new, kind: churn_risk, when: 'login[1h] >= 1', stages: new}\n"
    "  - {name: high, kind: churn_risk, when: 'login[1h] >= 1', stages: [new, busy], tiers: [high, \"o'low\\\\\"]}\n"
    "  - {name: old, kind: churn_risk, when: stage_age >= 3h and stage != 'new'}\n";

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

TestSuite(stages, .fini = tear_down);

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
}

static void facts(int64_t mrr, const char *tier, tm_time t)
{
    static tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.mrr = mrr * TM_FIXED_ONE;
    draft.tier = tm_slice_of(tier);
    draft.contract_start = (tm_contract_date){.text = TM_SLICE_LITERAL("2024-03-08"), .day = 19790};
    tm_record record = {
        .timestamp = t, .kind = TM_RECORD_FACTS, .account = TM_SLICE_LITERAL("a"), .facts = &draft, .offset = 7};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
}

static const tm_account *account(void)
{
    return tm_shard_account(shard, TM_SLICE_LITERAL("a"));
}

static void is_in(const char *stage, tm_time since)
{
    const tm_stage_change *present = tm_stage_present(&account()->stages);
    cr_assert(present && tm_slice_equal_text(tm_stage_name(pack, present), stage) && present->at == since,
              "%.*s since T0 + %" PRId64 " min", (int)tm_stage_name(pack, present).length,
              tm_stage_name(pack, present).data, present ? (present->at - T0) / TM_MINUTE : 0);
}

static void until(tm_time t)
{
    cr_assert_eq(tm_shard_advance(shard, t), TM_OK);
}

static uint32_t signals(const char *rule, const char *state)
{
    uint32_t count = 0;
    char part[80], said[80];
    snprintf(part, sizeof part, "a/%s/", rule);
    snprintf(said, sizeof said, " %s at ", state);
    for (uint32_t i = 0; i < out.count; i++)
        count += strstr(out.lines[i], part) && strstr(out.lines[i], said);
    return count;
}

Test(stages, the_last_of_the_file_that_is_true_once_the_stay_is_over)
{
    begin(rules);
    send("report", T0 + 1);
    until(T0 + TM_MINUTE);
    cr_assert_null(tm_stage_present(&account()->stages), "no condition was ever true");
    send("login", T0 + TM_MINUTE + 1);
    until(T0 + 2 * TM_MINUTE);
    is_in("new", T0 + 2 * TM_MINUTE);
    send("login", T0 + 2 * TM_MINUTE + 1);
    send("login", T0 + 2 * TM_MINUTE + 2);
    until(T0 + 32 * TM_MINUTE - 1);
    is_in("new", T0 + 2 * TM_MINUTE);
    until(T0 + 32 * TM_MINUTE);
    is_in("busy", T0 + 32 * TM_MINUTE);
    until(T0 + 2 * TM_HOUR); /* the hour of the log-ins is over: nothing is true, and the account stays */
    is_in("busy", T0 + 32 * TM_MINUTE);
    facts(5, "high", T0 + 2 * TM_HOUR + 1);
    facts(0, "high", T0 + 2 * TM_HOUR + TM_MINUTE + 1);
    send("login", T0 + 3 * TM_HOUR);
    until(T0 + 4 * TM_HOUR);
    is_in("paying", T0 + 2 * TM_HOUR + TM_MINUTE);
    send("login", T0 + 4 * TM_HOUR + 1);
    until(T0 + 4 * TM_HOUR + TM_MINUTE);
    is_in("new", T0 + 4 * TM_HOUR + TM_MINUTE);
    cr_assert_eq(account()->stages.count, 4);
}

Test(stages, a_rule_on_a_change_is_raised_and_over)
{
    begin(rules);
    send("login", T0 + 1);
    send("login", T0 + 2);
    send("login", T0 + 3);
    until(T0 + TM_MINUTE);
    is_in("busy", T0 + TM_MINUTE);
    cr_assert_eq(signals("moved", "raised"), 0, "no stage before it");
    cr_assert_eq(signals("muted", "raised"), 1);
    facts(5, "high", T0 + TM_MINUTE + 1);
    until(T0 + 2 * TM_MINUTE);
    cr_assert_eq(signals("moved", "raised"), 1);
    cr_assert_eq(signals("muted", "raised"), 1, "held back by the one before it in the order");
    cr_assert_eq(signals("moved", "cleared"), 0);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_ADVISORY), 0, "nothing stays open");
    facts(0, "high", T0 + 2 * TM_MINUTE + 1);
    send("login", T0 + 2 * TM_HOUR + TM_MINUTE + 1); /* the stay of `paying` ends a minute later */
    until(T0 + 2 * TM_HOUR + 2 * TM_MINUTE);
    is_in("new", T0 + 2 * TM_HOUR + 2 * TM_MINUTE);
    cr_assert_eq(signals("moved", "raised"), 2);
    cr_assert_eq(signals("muted", "raised"), 1);
}

Test(stages, a_cooldown_holds_for_rules_on_changes)
{
    begin(
        "version: 1\nmetrics: {login: {count: login}}\n"
        "stages: [{name: a, enter: 'login[1h] >= 1'}, {name: b, enter: 'login[1h] >= 2'}, {name: c, enter: 'login[1h] "
        ">= 3'}]\nrules:\n - {name: moved, kind: expansion, on: stage_changed, cooldown: 10m}\n"
        " - {name: once, kind: expansion, on: stage_changed, cooldown: once}\n"
        " - {name: none, kind: expansion, on: stage_changed, scope: seats > 1}\n"
        " - {name: seen, kind: expansion, on: stage_changed, when: seats > 1}\n");
    for (int i = 0; i < 3; i++)
        send("login", T0 + i * TM_MINUTE + 1);
    until(T0 + 5 * TM_MINUTE);
    is_in("c", T0 + 3 * TM_MINUTE);
    cr_assert_eq(signals("moved", "raised"), 1);
    cr_assert_eq(signals("once", "raised"), 1);
    cr_assert_eq(out.count, 2);
}

Test(stages, outside_its_stages_or_tiers_a_rule_is_out_of_scope)
{
    begin(rules);
    send("login", T0 + 1);
    until(T0 + TM_MINUTE);
    cr_assert_eq(signals("in_new", "raised"), 1);
    cr_assert_eq(signals("high", "raised"), 0);
    facts(0, "o'low\\", T0 + TM_MINUTE + 1);
    until(T0 + 2 * TM_MINUTE);
    cr_assert_eq(signals("high", "raised"), 1);
    facts(1, "o'low\\", T0 + 2 * TM_MINUTE + 1);
    until(T0 + 40 * TM_MINUTE);
    is_in("paying", T0 + 31 * TM_MINUTE);
    cr_assert_eq(signals("in_new", "cleared"), 1);
    cr_assert_eq(signals("high", "cleared"), 1);
    cr_assert(strstr(out.lines[out.count - 1], "reason 3"), "out of scope: %s", out.lines[out.count - 1]);
    until(T0 + 3 * TM_HOUR - 1);
    cr_assert_eq(signals("old", "raised"), 0);
    until(T0 + 3 * TM_HOUR); /* whole hours: entered within the hour of T0 */
    cr_assert_eq(signals("old", "raised"), 1);
}

static tm_value value(tm_pack *asking, uint32_t node, tm_time t)
{
    (void)asking;
    return tm_shard_evaluate(shard, TM_SLICE_LITERAL("a"), t, node);
}

Test(stages, what_expressions_read)
{
    static const tm_slice texts[] = {TM_SLICE_LITERAL("stage"), TM_SLICE_LITERAL("stage_age"),
                                     TM_SLICE_LITERAL("previous_stage"), TM_SLICE_LITERAL("previous_stage_time"),
                                     TM_SLICE_LITERAL("time_to_first_value")};
    enum { TEXTS = 5 };
    uint32_t n[TEXTS];
    tm_packfile_options options = {.expressions = texts, .expression_count = TEXTS, .ret_nodes = n};
    tm_error error;
    begin(rules);
    tm_shard_free(shard);
    tm_pack_free(pack);
    cr_assert_eq(tm_packfile_parse(tm_slice_of(rules), "rules.yaml", &options, &pack, &error), TM_OK);
    tm_shard_settings settings = feed_settings();
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_shard_start(shard, T0);
    for (int i = 0; i < TEXTS; i++)
        cr_assert(tm_value_is_null(value(pack, n[i], T0)), "an account never seen has none");
    send("login", T0 + 1);
    until(T0 + 70 * TM_MINUTE);
    cr_assert(tm_slice_equal_text(value(pack, n[0], T0 + 70 * TM_MINUTE).as.string, "new"));
    cr_assert_eq(value(pack, n[1], T0 + 70 * TM_MINUTE).as.number, (double)TM_HOUR);
    for (int i = 2; i < TEXTS; i++)
        cr_assert(tm_value_is_null(value(pack, n[i], T0 + 70 * TM_MINUTE)));
    send("report", T0 + 70 * TM_MINUTE + 1);
    cr_assert(tm_value_is_null(value(pack, n[4], T0 + 70 * TM_MINUTE + 1)), "no contract");
    facts(1, "high", T0 + 71 * TM_MINUTE);
    until(T0 + 71 * TM_MINUTE);
    cr_assert(tm_slice_equal_text(value(pack, n[0], T0 + 2 * TM_HOUR).as.string, "paying"));
    cr_assert(tm_slice_equal_text(value(pack, n[2], T0 + 2 * TM_HOUR).as.string, "new"));
    cr_assert_eq(value(pack, n[3], T0 + 2 * TM_HOUR).as.number, 70.0 * TM_MINUTE);
    cr_assert_eq(value(pack, n[4], T0 + 2 * TM_HOUR).as.number, 2.0 * TM_DAY);
}

Test(stages, other_rules)
{
    begin(rules);
    send("login", T0 + 1);
    until(T0 + TM_MINUTE);
    cr_assert_eq(signals("in_new", "raised"), 1);
    tm_pack *fewer = feed_pack("version: 2\nmetrics: {login: {count: login}}\n"
                               "stages: [{name: busy, enter: 'login[1h] >= 3'}]\nrules:\n"
                               " - {name: in_new, kind: churn_risk, on: stage_changed}\n");
    tm_shard_settled(shard);
    cr_assert_eq(tm_shard_adopt(shard, fewer), TM_OK);
    tm_pack_free(pack);
    pack = fewer;
    until(T0 + 2 * TM_MINUTE);
    cr_assert_eq(tm_stage_present(&account()->stages)->stage, 0, "the stage is gone, and no other was entered");
    cr_assert_null(tm_stage_name(pack, tm_stage_present(&account()->stages)).data);
    cr_assert(strstr(out.lines[out.count - 2], "cleared"), "an open episode of the name ends first");
    cr_assert(strstr(out.lines[out.count - 1], "a/in_new/") && strstr(out.lines[out.count - 1], "raised"));
    cr_assert_eq(tm_shard_open(shard, TM_KIND_CHURN_RISK), 0);
    until(T0 + TM_HOUR);
    cr_assert_eq(account()->stages.count, 2, "no stage is no stage, however often it is looked at");
}

Test(stages, a_signal_told_by_the_journal_leaves_nothing_open)
{
    begin(rules);
    cr_assert_eq(tm_shard_impose(shard, TM_SLICE_LITERAL("a"), TM_SLICE_LITERAL("moved"), TM_KIND_ADVISORY,
                                 TM_SEVERITY_WARN, TM_SIGNAL_RAISED, T0, T0, 1),
                 TM_OK);
    const tm_episode *episode = tm_account_episode(account(), tm_hash(TM_SLICE_LITERAL("moved")));
    cr_assert(episode->state == TM_EPISODE_INACTIVE && episode->cleared_at == T0 && !episode->rule_name.data);
    cr_assert_eq(tm_shard_open(shard, TM_KIND_ADVISORY), 0);
}

Test(stages, the_oldest_of_sixteen_changes_goes)
{
    begin(rules);
    tm_stage_path path = {0};
    tm_heap *heap = tm_shard_heap(shard);
    cr_assert_eq(tm_stage_path_memory(&path), 0);
    for (uint64_t i = 1; i <= 20; i++)
        cr_assert_eq(tm_stage_path_add(&path, heap, i, (tm_time)i), TM_OK);
    cr_assert_eq(path.count, TM_STAGE_CHANGES_MAX);
    cr_assert(path.changes[0].stage == 5 && tm_stage_present(&path)->stage == 20 && tm_stage_previous(&path)->at == 19);
    cr_assert_eq(tm_stage_path_memory(&path), 16 * sizeof(tm_stage_change));
    tm_stage_path_free(&path, heap);
    cr_assert(!tm_stage_present(&path) && !tm_stage_previous(&path));
    tm_heap *tight = tm_heap_new(1);
    cr_assert_eq(tm_stage_path_add(&path, tight, 1, 1), TM_FATAL);
    cr_assert_eq(path.count, 0);
    tm_heap_free_all(tight);
}
