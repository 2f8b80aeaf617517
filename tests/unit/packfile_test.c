/* Long because: a table of every wrong file and what is said of it. */
#include "tidemark/rules/packfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"

static tm_pack *pack;
static tm_error error;
static tm_diagnostics all;

static void parse(const char *text)
{
    tm_packfile_options options = {.diagnostics = &all};
    all = (tm_diagnostics){0};
    tm_status status = tm_packfile_parse(tm_slice_of(text), "rules.yaml", &options, &pack, &error);
    cr_assert_eq(status, TM_OK, "%s: %s", error.where, error.what);
    cr_assert_eq(all.count, 0);
}

static const char *text_of(uint32_t node)
{
    static char text[8][512];
    static int next;
    next = (next + 1) % 8;
    if (node == TM_NODE_NONE) {
        return "none";
    }
    tm_slice slice = pack->program.nodes[node].text;
    snprintf(text[next], sizeof text[next], "%.*s", (int)slice.length, slice.data);
    return text[next];
}

#define METRICS                                                                                                        \
    "metrics:\n"                                                                                                       \
    "  events: {count: '*'}\n"                                                                                         \
    "  users: {distinct: user}\n"

Test(packfile, reads_the_example)
{
    parse("version: 7\n"
          "metrics:\n"
          "  events:       {count: \"*\"}\n"
          "  key_actions:  {count: [report_viewed, export_*], where: 'properties.ok == true'}\n"
          "  active_users: {distinct: user}\n"
          "  purchases:    {sum: value, event: purchase, keep: 90d}\n"
          "  nps:          {last: value, event: [nps_response], keep: 48h}\n"
          "  biggest:      {max: properties.amount}\n"
          "  start:        {first: value}\n"
          "  features:     {distinct: event, keep: 2w}\n"
          "  days:         {distinct: day}\n"
          "  countries:    {distinct: properties.country}\n"
          "rules:\n"
          "  - name: usage_drop\n"
          "    description: 'ignored'\n"
          "    kind: churn_risk\n"
          "    severity: high\n"
          "    when:  ratio(events[7d offset 1d], events[7d offset 8d]) <= 0.5 and events[7d offset 8d] >= 50\n"
          "    for: 24h\n"
          "    clear: ratio(events[7d offset 1d], events[7d offset 8d]) > 0.8\n"
          "    clear_for: 48h\n"
          "    cooldown: 7d\n"
          "    inhibited_by: [silent_account]      # defined further down\n"
          "    inhibit_tail: 7d\n"
          "    summary: 'Usage fell to {{ratio(events[7d offset 1d], events[7d offset 8d]) | percent}} of it'\n"
          "    play: {high: 'Call the champion', low: 'Send it', default: 'Wait'}\n"
          "    route: {queue: cs, responsible: owners.csm, informed: sales}\n"
          "  - name: silent_account\n"
          "    kind: churn_risk\n"
          "    when: 3d <= age(events)\n"
          "    cooldown: once\n"
          "    for: 0\n"
          "    play: Call\n"
          "    update_change: 0.5\n");
    cr_assert_eq(pack->version, 7);
    cr_assert_eq(pack->metric_count, 10);
    cr_assert_eq(pack->hash, tm_hash(pack->text));
    const tm_metric *m = pack->metrics;
    cr_assert(m[0].kind == TM_METRIC_COUNT && m[0].pattern_count == 1 && m[0].patterns[0].prefix);
    cr_assert_eq(m[0].patterns[0].text.length, 0);
    cr_assert(m[1].pattern_count == 2 && !m[1].patterns[0].prefix && m[1].patterns[1].prefix);
    cr_assert(tm_slice_equal_text(m[1].patterns[1].text, "export_"));
    cr_assert_str_eq(text_of(m[1].where), "properties.ok == true");
    cr_assert(m[2].kind == TM_METRIC_DISTINCT && m[2].of == TM_OF_USER && m[2].where == TM_NODE_NONE);
    cr_assert(m[3].kind == TM_METRIC_SUM && m[3].of == TM_OF_VALUE && m[3].reach_days == 90);
    cr_assert(m[4].kind == TM_METRIC_LAST && m[4].reach_hours == 48 && m[4].reach_days == 0);
    cr_assert(m[5].kind == TM_METRIC_MAX && m[5].of == TM_OF_PROPERTY);
    cr_assert(tm_slice_equal_text(m[5].property, "amount"));
    cr_assert(m[6].kind == TM_METRIC_FIRST && m[7].of == TM_OF_EVENT && m[7].reach_days == 14);
    cr_assert(m[8].of == TM_OF_DAY && m[9].of == TM_OF_PROPERTY);
    cr_assert_eq(m[0].reach_days, 15);

    const tm_rule *drop = &pack->rules[0];
    cr_assert(drop->kind == TM_KIND_CHURN_RISK && drop->severity == TM_SEVERITY_HIGH && !drop->has_severity_by_tier);
    cr_assert_str_eq(text_of(drop->value), "ratio(events[7d offset 1d], events[7d offset 8d])");
    cr_assert_str_eq(text_of(drop->threshold), "0.5");
    cr_assert_str_eq(text_of(drop->clear_threshold), "0.8");
    cr_assert_str_eq(text_of(drop->scope), "coalesce(status, 'active') == 'active'");
    cr_assert_eq(drop->evidence_count, 3);
    cr_assert_str_eq(text_of(drop->evidence[2]), "events[7d offset 8d]");
    cr_assert(drop->for_ms == TM_DAY && drop->clear_for_ms == 2 * TM_DAY && drop->cooldown_ms == 7 * TM_DAY);
    cr_assert(drop->inhibit_tail_ms == 7 * TM_DAY && drop->update_change == 0.2 && !drop->cooldown_once);
    cr_assert(drop->inhibitor_count == 1 && drop->inhibitors[0] == 1);
    cr_assert_eq(drop->summary_count, 2);
    cr_assert(tm_slice_equal_text(drop->summary[0].text, "Usage fell to "));
    cr_assert_eq(drop->summary[0].format, TM_FORMAT_PERCENT);
    cr_assert_str_eq(text_of(drop->summary[0].node), "ratio(events[7d offset 1d], events[7d offset 8d])");
    cr_assert(tm_slice_equal_text(drop->summary[1].text, " of it") && drop->summary[1].node == TM_NODE_NONE);
    cr_assert_eq(drop->plays[0].text.choice_count, 2);
    cr_assert(tm_slice_equal_text(drop->plays[0].text.choices[1].tier, "low"));
    cr_assert(tm_slice_equal_text(drop->plays[0].text.otherwise, "Wait"));
    cr_assert(tm_slice_equal_text(drop->routes[0].queue, "cs") &&
              tm_slice_equal_text(drop->routes[0].informed, "sales"));

    const tm_rule *silent = &pack->rules[1];
    cr_assert_str_eq(text_of(silent->clear), "not 3d <= age(events)");
    cr_assert_str_eq(text_of(silent->value), "age(events)", "what moves is the value");
    cr_assert_str_eq(text_of(silent->threshold), "3d");
    cr_assert_str_eq(text_of(silent->clear_threshold), "3d");
    cr_assert(silent->cooldown_once && silent->update_change == 0.5 && silent->severity == TM_SEVERITY_WARN);
    cr_assert(tm_slice_equal_text(silent->plays[0].text.otherwise, "Call") && silent->plays[0].text.choice_count == 0);
    cr_assert(pack->order[0] == 1 && pack->order[1] == 0);
    cr_assert(pack->moves_hourly);
    tm_pack_free(pack);
}

Test(packfile, severities_scopes_and_sides)
{
    parse("version: 1\nscope: plan != 'free'\nstages: []\nscorecards:\n" METRICS "rules:\n"
          "  - {name: a, kind: expansion, when: first_term, severity: {high: critical, default: info}, value: mrr,\n"
          "     threshold: '100'}\n"
          "  - {name: b, kind: advisory, when: age(users) == null, severity: \"if(seats > 9, 'high', 'warn')\",\n"
          "     scope: 'true', clear: 'seats >= mrr', inhibited_by: a}\n"
          "  - {name: c, kind: advisory, when: \"tier in ['high', 'low']\", severity: tier, inhibited_by: []}\n"
          "  - {name: d, kind: advisory, when: seats < mrr}\n");
    const tm_rule *r = pack->rules;
    cr_assert(r[0].has_severity_by_tier && tm_slice_equal_text(r[0].severity_by_tier.otherwise, "info"));
    cr_assert(tm_slice_equal_text(r[0].severity_by_tier.choices[0].text, "critical"));
    cr_assert_str_eq(text_of(r[0].scope), "plan != 'free'");
    cr_assert_str_eq(text_of(r[0].value), "mrr");
    cr_assert_str_eq(text_of(r[0].threshold), "100");
    cr_assert_str_eq(text_of(r[1].severity_node), "if(seats > 9, 'high', 'warn')");
    cr_assert_str_eq(text_of(r[1].scope), "true");
    cr_assert_str_eq(text_of(r[1].value), "age(users)");
    cr_assert_str_eq(text_of(r[1].threshold), "none");
    cr_assert_str_eq(text_of(r[1].clear_threshold), "mrr");
    cr_assert_str_eq(text_of(r[2].severity_node), "tier");
    cr_assert_str_eq(text_of(r[2].value), "tier");
    cr_assert_str_eq(text_of(r[2].threshold), "none");
    cr_assert_str_eq(text_of(r[3].value), "seats");
    cr_assert_str_eq(text_of(r[3].threshold), "mrr");
    tm_pack_free(pack);
}

Test(packfile, the_least_and_what_eval_asks)
{
    parse("version: 1\n");
    cr_assert(pack->metric_count == 0 && pack->rule_count == 0);
    tm_pack_free(pack);
    parse("version: 1\nmetrics: {}\nrules: []\nbudget: ~\n");
    tm_pack_free(pack);
    tm_slice asked[] = {TM_SLICE_LITERAL("events[30d] / 2"), TM_SLICE_LITERAL("plan")};
    uint32_t nodes[2];
    tm_packfile_options options = {.expressions = asked, .expression_count = 2, .ret_nodes = nodes};
    tm_slice text = TM_SLICE_LITERAL("version: 1\n" METRICS);
    cr_assert_eq(tm_packfile_parse(text, "f", &options, &pack, &error), TM_OK);
    cr_assert_eq(pack->metrics[0].reach_days, 30);
    cr_assert_str_eq(text_of(nodes[0]), "events[30d] / 2");
    cr_assert_str_eq(text_of(nodes[1]), "plan");
    tm_pack_free(pack);
    asked[1] = TM_SLICE_LITERAL("plaan");
    cr_assert_eq(tm_packfile_parse(text, "f", &options, &pack, &error), TM_REJECT);
    cr_assert_null(pack);
    cr_assert_str_eq(error.where, "expression 2:1:1");
    cr_assert_str_eq(error.hint, "did you mean 'plan'?");
    cr_assert_eq(tm_packfile_parse(text, "f", NULL, &pack, &error), TM_OK);
    tm_pack_free(pack);
}

/* Parses a file that is wrong in one place. */
static void wrong(const char *text, uint32_t line, uint32_t column, const char *message, const char *hint)
{
    tm_packfile_options options = {.diagnostics = &all};
    all = (tm_diagnostics){0};
    tm_status status = tm_packfile_parse(tm_slice_of(text), "rules.yaml", &options, &pack, &error);
    cr_assert_eq(status, TM_REJECT, "%s\nis taken", text);
    cr_assert_null(pack);
    cr_assert_eq(all.count, 1, "%s\n%u errors: %s; %s", text, all.count, all.items[0].message, all.items[1].message);
    cr_assert(strstr(all.items[0].message, message), "%s\n%s", text, all.items[0].message);
    cr_assert(all.items[0].line == line && all.items[0].column == column, "%s\n%s at %u:%u", text, all.items[0].message,
              all.items[0].line, all.items[0].column);
    cr_assert_str_eq(all.items[0].hint, hint, "%s\n%s", text, all.items[0].hint);
}

#define WITH "version: 1\n" METRICS "rules:\n - name: r\n   kind: advisory\n   when: events[7d] > 1\n"

Test(packfile, points_at_what_is_wrong_in_the_file)
{
    wrong("", 1, 1, "the file is empty", "the least is 'version: 1'");
    wrong("[1]", 1, 1, "must be a map", "");
    wrong("rules: []\n", 1, 1, "needs a 'version'", "version: 1, raised with every change");
    wrong("version: 0\n", 1, 10, "whole number from 1", "");
    wrong("version: 1.5\n", 1, 10, "whole number from 1", "");
    wrong("version: 1234567890123456\n", 1, 10, "whole number from 1", "");
    wrong("version: [1]\n", 1, 10, "must be one text, not a list", "");
    wrong("version: !x 1\n", 1, 13, "knows no tags", "");
    wrong("version:\n", 1, 8, "'version' is empty", "");
    wrong("version: 1\nrulez: []\n", 2, 1, "unknown key 'rulez'", "did you mean 'rules'?");
    wrong("version: 1\nbudget: {a: {}}\n", 2, 1, "'budget' is not supported by this version", "");
    wrong("version: 1\nflapping: [4]\n", 2, 11, "'flapping' must be a map", "");
    wrong("version: 1\nflapping: {episodes: 4}\n", 2, 1, "needs both", "flapping: {episodes: 4, within: 21d}");
    wrong("version: 1\nflapping: {episodes: 1, within: 1d}\n", 2, 22, "whole number from 2 to 8", "");
    wrong("version: 1\nflapping: {episodes: 4, within: 0}\n", 2, 33, "longer than 0", "");
    wrong("version: 1\nflapping: {episodes: 4, within: 1d, hold: 2d}\n", 2, 37, "unknown key 'hold'", "");
    wrong("version: 1\nstages: x\n", 2, 9, "'stages' must be a list", "begin each stage with '- name: ...'");
    wrong("version: 1\nscope: sttus == 'x'\n", 2, 8, "unknown name", "did you mean 'status'?");
    wrong("version: 1\nmetrics: [a]\n", 2, 10, "must be a map", "");
    wrong("version: 1\nrules: {a: b}\n", 2, 9, "'rules' must be a list", "begin each rule with '- name: ...'");
    wrong("version: 1\nrules: [a]\n", 2, 9, "a rule must be a map", "");
}

#define STAGES "version: 1\n" METRICS "stages: [{name: new, enter: seats > 1}, {name: late, enter: 'true', stay: 7d}]\n"

Test(packfile, reads_stages)
{
    parse("first_value: users\n" STAGES "rules:\n"
          " - {name: a, kind: advisory, when: \"stage == 'new'\", stages: new, tiers: [high, low]}\n"
          " - {name: b, kind: advisory, on: stage_changed, when: stage_age < 1h and time_to_first_value > 1d}\n"
          " - {name: c, kind: advisory, on: stage_changed, inhibit_tail: 1d, scope: 'true', stages: [new, late]}\n");
    cr_assert_eq(pack->stage_count, 2);
    cr_assert(tm_slice_equal_text(pack->stages[1].name, "late") && pack->stages[1].stay_ms == 7 * TM_DAY);
    cr_assert_str_eq(text_of(pack->stages[0].enter), "seats > 1");
    cr_assert_neq(pack->stages[0].identity, pack->stages[1].identity);
    const tm_rule *r = pack->rules;
    cr_assert_str_eq(text_of(r[0].scope),
                     "coalesce(status, 'active') == 'active' and stage == 'new' and (tier == 'high' or tier == 'low')");
    cr_assert(!r[0].on_stage && r[1].on_stage && r[2].on_stage);
    cr_assert_eq(r[1].evidence_count, 5);
    cr_assert_str_eq(text_of(r[1].evidence[0]), "previous_stage");
    cr_assert_str_eq(text_of(r[1].evidence[4]), "time_to_first_value");
    cr_assert_str_eq(text_of(r[2].when), "true");
    cr_assert_str_eq(text_of(r[2].scope), "true and (stage == 'new' or stage == 'late')");
    cr_assert(r[2].evidence_count == 3 && r[2].value == TM_NODE_NONE && r[2].threshold == TM_NODE_NONE);
    cr_assert_eq(pack->stage_stirs, 7);
    tm_pack_free(pack);
}

Test(packfile, points_at_what_is_wrong_in_stages)
{
    static const char none[] = "metrics, facts and durations can; 'stay' keeps an account in a stage for a time";
    wrong("version: 1\nstages: [x]\n", 2, 10, "a stage must be a map", "");
    wrong("version: 1\nstages: [{enter: seats > 1}]\n", 2, 11, "a stage needs a 'name'", "");
    wrong("version: 1\nstages: [{name: [], enter: seats > 1}]\n", 2, 17, "must be one text, not a list", "");
    wrong("version: 1\nstages: [{name: A, enter: seats > 1}]\n", 2, 17, "a stage's name is lower-case", "");
    wrong("version: 1\nstages: [{name: a}]\n", 2, 11, "a stage needs 'enter'", "");
    wrong("version: 1\nstages: [{name: a, enter: seats > 1, sty: 1d}]\n", 2, 38, "unknown key 'sty'",
          "did you mean 'stay'?");
    wrong("version: 1\nstages: [{name: a, enter: seats > 1, stay: 7}]\n", 2, 44, "'7' is no duration",
          "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d");
    wrong("version: 1\nstages: [{name: a, enter: 'true'}, {name: a, enter: 'true'}]\n", 2, 43,
          "two stages are named 'a'", "");
    wrong("version: 1\nstages: [{name: a, enter: stage_age > 1d}]\n", 2, 27, "'stage_age' cannot decide about a stage",
          none);
    wrong("version: 1\nstages: [{name: a, enter: time_to_first_value > 1d}]\n", 2, 27, "what the first value is",
          "first_value: METRIC at the file's top names the metric whose first event it is");
    wrong("version: 1\nscope: stage == 'a'\n", 2, 8, "'stage' means nothing: the file has no stages",
          "stages: [{name: ..., enter: ...}]");
    wrong("version: 1\nmetrics: {a: {count: '*', where: stage == 'a'}}\n", 2, 34, "cannot be read in 'where'", "");
    wrong("version: 1\nmetrics: {stage: {count: '*'}}\n", 2, 11, "a word of the expression language",
          "give the metric another name");
    wrong("version: 1\n" METRICS "first_value: evnts\n", 5, 14, "'first_value' names no metric: 'evnts'",
          "did you mean 'events'?");
    wrong("version: 1\n" METRICS "first_value: []\n", 5, 14, "must be one text, not a list", "");
    wrong(STAGES "rules: [{name: r, kind: advisory, when: 'true', stages: [nw]}]\n", 6, 58, "unknown stage 'nw'",
          "did you mean 'new'?");
    wrong(STAGES "rules: [{name: r, kind: advisory, when: 'true', stages: []}]\n", 6, 57,
          "an empty list allows nothing", "");
    wrong(STAGES "rules: [{name: r, kind: advisory, when: 'true', tiers: {}}]\n", 6, 56, "must be one text, not a map",
          "");
    wrong(STAGES "rules: [{name: r, kind: advisory, on: renewal}]\n", 6, 39, "'on' knows nothing but stage_changed",
          "");
    wrong(STAGES "rules: [{name: r, kind: advisory, on: stage_changed, for: 1d}]\n", 6, 54,
          "'for' means nothing beside 'on'", "");
    wrong(WITH "   on: stage_changed\n", 9, 8, "the file has no 'stages' that could change", "");
}

#define FACTOR "f: {value: seats, map: [[0, 0], [1, 100]], weight: 1}"

Test(packfile, reads_scorecards)
{
    parse(STAGES
          "scorecards:\n"
          "  late: {" FACTOR ", g: {value: contract_age, map: [[0, 1.5], [7d, 20], [2w, 0]], weight: 0.5}}\n"
          "  other: {card: {score: approach, when: mrr > 1, version: 12, bands: {green: 60.5, yellow: 0, margin: "
          "0.5}}, " FACTOR "}\n"
          "  rest: {card: {stages: [new, late], tiers: high}, h: {value: attributes.x, map: [[-1.5, 0], [0, 9]], "
          "weight: 3}}\n"
          "rules:\n"
          " - {name: a, kind: advisory, when: health <= 50 and coverage(health) >= 0.6}\n"
          " - {name: b, kind: advisory, when: approach > health and card(approach) == 'other'}\n"
          " - {name: c, kind: advisory, when: band == 'red' or band(health) == band(approach)}\n"
          " - {name: d, kind: advisory, when: 'health[2w ago] > max(health[90d]) and max(health[3d ago], 5) > 3'}\n");
    cr_assert_eq(pack->score_count, 2);
    const tm_score *health = &pack->scores[0];
    cr_assert(tm_slice_equal_text(health->name, "health") && health->card_count == 2);
    cr_assert_str_eq(text_of(health->cards[0].when), "stage == 'late'");
    cr_assert_str_eq(text_of(health->cards[1].when), "true and (stage == 'new' or stage == 'late') and tier == 'high'");
    cr_assert_str_eq(text_of(health->cards[0].score), "score(late)");
    cr_assert_str_eq(text_of(health->cards[0].factors[1].points), "map(contract_age, 0s: 1.5, 7d: 20, 14d: 0)");
    cr_assert(health->cards[0].factor_count == 2 && health->cards[0].factors[1].weight == 0.5);
    cr_assert_str_eq(text_of(pack->scores[1].cards[0].when), "mrr > 1");
    cr_assert_str_eq(text_of(pack->scores[1].card), "card(approach)");
    const tm_rule *r = pack->rules;
    cr_assert_str_eq(text_of(r[0].when), "health <= 50 and coverage(health) >= 0.6");
    cr_assert_str_eq(text_of(r[0].value), "health");
    cr_assert_eq(r[0].evidence_count, 2);
    cr_assert_str_eq(text_of(r[1].when), "approach > health and card(approach) == 'other'");
    cr_assert_str_eq(text_of(r[2].when), "band(health) == 'red' or band(health) == band(approach)");
    cr_assert_str_eq(text_of(r[3].when), "health[14d ago] > max(health[90d]) and max(health[3d ago], 5) > 3");
    cr_assert(health->reach_days == 90 && health->days_read && health->day_stirs == 8);
    cr_assert(pack->scores[1].reach_days == 0 && !pack->scores[1].days_read);
    cr_assert(health->tracked && pack->scores[1].tracked && health->stirs == 4);
    cr_assert(health->cards[0].green == 750 && health->cards[0].yellow == 500 && health->cards[0].margin == 30);
    const tm_card *other = &pack->scores[1].cards[0];
    cr_assert(other->green == 605 && other->yellow == 0 && other->margin == 5 && other->version == 12);
    cr_assert_eq(health->cards[0].version, 1);
    tm_pack_free(pack);
}

Test(packfile, points_at_what_is_wrong_in_scorecards)
{
    static const struct {
        const char *text;
        uint32_t column;
        const char *message, *hint;
    } table[] = {
        {"[a]", 13, "'scorecards' must be a map", ""},
        {"{a: [b]}", 17, "a scorecard must be a map", ""},
        {"{a: {}}", 17, "a scorecard takes 1 to 32 factors, this has 0", ""},
        {"{A: {" FACTOR "}}", 14, "a scorecard's name is lower-case", ""},
        {"{a: {F: {value: seats, map: [[0, 0], [1, 1]], weight: 1}}}", 18, "a factor's name is lower-case", ""},
        {"{a: {f: 1}}", 21, "a factor must be a map", ""},
        {"{a: {f: {value: seats, map: [[0, 0], [1, 1]]}}}", 22, "a factor needs 'weight'", ""},
        {"{a: {f: {value: plan, map: [[0, 0], [1, 1]], weight: 1}}}", 29, "must be a number or a duration", ""},
        {"{a: {f: {value: seats, map: percentile, weight: 1}}}", 41, "'map' must be a list of points",
         "comparing an account with others (percentile) is not there yet"},
        {"{a: {f: {value: seats, map: [[0, 0]], weight: 1}}}", 41, "a list of 2 to 32 points", ""},
        {"{a: {f: {value: seats, map: [[0, 0], [1]], weight: 1}}}", 50, "a point of a map is a list of two", ""},
        {"{a: {f: {value: seats, map: [[0, 0], [0, 1]], weight: 1}}}", 50, "must rise from point to point", ""},
        {"{a: {f: {value: seats, map: [[0, 0], [1, 101]], weight: 1}}}", 54, "no number of points from 0 to 100", ""},
        {"{a: {f: {value: seats, map: [[1d, 0], [2d, 10]], weight: 1}}}", 43, "'1d' is no value", ""},
        {"{a: {f: {value: contract_age, map: [[0, 0], [1, 10]], weight: 1}}}", 58, "'1' is no duration",
         "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d"},
        {"{a: {f: {value: seats, map: [[0, 0], [1, 10]], weight: 0}}}", 68, "a weight must be above 0", ""},
        {"{a: {f: {value: seats, map: [[0, 0], [1, 10]], weight: 0x1}}}", 68, "no weight from 0 to 1000", ""},
        {"{a: {card: 1, " FACTOR "}}", 24, "'card' must be a map", ""},
        {"{a: {card: {whn: 'true'}, " FACTOR "}}", 25, "unknown key 'whn'", "did you mean 'when'?"},
        {"{a: {card: {score: Up}, " FACTOR "}}", 32, "a score's name is lower-case", ""},
        {"{a: {card: {score: seats}, " FACTOR "}}", 32, "'seats' is a word of the expression language, a fact", ""},
        {"{a: {card: {score: events}, " FACTOR "}}", 32, "'events' is a word of the expression language, a fact", ""},
        {"{a: {card: {stages: old}, " FACTOR "}}", 33, "unknown stage 'old'", ""},
        {"{a: {card: {version: 1.5}, " FACTOR "}}", 34, "a card's version is a whole number", ""},
        {"{a: {card: {version: 0}, " FACTOR "}}", 34, "'0' is no version from 1 to 1000000", ""},
        {"{a: {card: {bands: 75}, " FACTOR "}}", 32, "'bands' must be a map", ""},
        {"{a: {card: {bands: {gren: 7}}, " FACTOR "}}", 33, "unknown key 'gren'", "did you mean 'green'?"},
        {"{a: {card: {bands: {green: 75.25}}, " FACTOR "}}", 40, "scores have one decimal", ""},
        {"{a: {card: {bands: {green: 101}}, " FACTOR "}}", 40, "no score from 0 to 100", ""},
        {"{a: {card: {bands: {margin: 51}}, " FACTOR "}}", 41, "no margin from 0 to 50", ""},
        {"{a: {card: {bands: {green: 50}}, " FACTOR "}}", 33, "'yellow' must begin below 'green'",
         "without a key it is green: 75, yellow: 50, margin: 3"},
        {"{a: {card: {keep: 36h}, " FACTOR "}}", 31, "'keep' of a score is whole days, from 1d to 400d", ""},
        {"{a: {card: {keep: 401d}, " FACTOR "}}", 31, "'keep' of a score is whole days", ""},
        {"{a: {card: {when: 'health[1d ago] > 3'}, " FACTOR "}}", 32, "'health' is a score, and cannot be read in", ""},
        {"{a: {f: {value: 'min(health[3d])', map: [[0, 0], [1, 10]], weight: 1}}}", 34,
         "'health' is a score, and cannot be read in", ""},
        {"{a: {card: {score: band}, " FACTOR "}}", 32, "'band' is a word of the expression language", ""},
    };
    char text[512];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        snprintf(text, sizeof text, "version: 1\n" METRICS "scorecards: %s\n", table[i].text);
        wrong(text, 5, table[i].column, table[i].message, table[i].hint);
    }
    wrong("version: 1\nmetrics: {health: {count: '*'}}\nscorecards: {a: {" FACTOR "}}\n", 3, 1,
          "a metric is named 'health'", "");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: coverage(helth) > 1\n", 3, 17, "there is no score 'helth'",
          "did you mean 'health'?");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: card(1) == 'a'\n", 3, 13, "the name of a score", "");
    wrong("version: 1\nscope: band == 'red'\n", 2, 8, "and the file has no such score",
          "scorecards: {NAME: {FACTOR: {value: ..., map: ..., weight: ...}}}");
    wrong("version: 1\nscorecards: {a: {card: {score: b}, " FACTOR "}}\nscope: band == 'red'\n", 3, 8,
          "'band' is that of the score 'health'", "name the score: band(b)");
    wrong("version: 1\nscorecards: {a: {card: {when: \"band == 'red'\"}, " FACTOR "}}\n", 2, 32,
          "'band' is a score, and cannot be read in a stage or a scorecard", "");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nmetrics: {m: {count: x, where: \"band == 'red'\"}}\n", 3, 33,
          "'band' is a score, and cannot be read in 'where'", "");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: health[3d] > 1\n", 3, 8,
          "a score over days needs min(), max() or mean()",
          "min(health[90d]); the score of one day is health[90d ago]");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: health[3h ago] > 1\n", 3, 15,
          "'3h' is no number of days up to 400", "scores are kept by local days: health[14d ago]");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: max(health[401d]) > 1\n", 3, 19,
          "'401d' is no number of days", "scores are kept by local days: health[14d ago]");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: mean(health) > 1\n", 3, 13,
          "mean takes the days of a score, such as mean(health[28d])", "");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: min(health[9d], 3) > 1\n", 3, 22,
          "stands where ')' should", "");
    wrong("version: 1\nscorecards: {a: {" FACTOR "}}\nscope: helth > 1\n", 3, 8, "unknown name 'helth'",
          "did you mean 'health'?");
}

Test(packfile, points_at_what_is_wrong_in_a_metric)
{
    static const struct {
        const char *text;
        uint32_t column;
        const char *message, *hint;
    } table[] = {
        {" m: x", 5, "a metric must be a map", ""},
        {" m: {}", 5, "needs one of count, sum", ""},
        {" m: {cont: '*', sum: value}", 6, "unknown key 'cont'", "did you mean 'count'?"},
        {" m: {count: '*', sum: value}", 18, "'count' and 'sum' are both given", ""},
        {" m: {count: 'a*b'}", 14, "'*' stands only at the end", ""},
        {" m: {count: []}", 13, "1 to 64 event patterns, this has 0", ""},
        {" m: {count: [[a]]}", 14, "an entry' must be one text", ""},
        {" m: {count: {a: b}}", 14, "'count' must be one text, not a map", ""},
        {" m: {count: ''}", 14, "'count' is empty", ""},
        {" m: {count: '*', event: x}", 18, "'count' names its events itself", "count: [name, other_name]"},
        {" m: {sum: user}", 11, "'sum' cannot be taken of 'user'", "one of value, properties.NAME"},
        {" m: {distinct: value}", 16, "'distinct' cannot be taken of", "one of user, event, day, properties.NAME"},
        {" m: {last: properties.}", 12, "'last' cannot be taken of", "one of value, properties.NAME"},
        {" m: {last: [value]}", 12, "must be one text, not a list", ""},
        {" m: {max: value, event: 'a*b'}", 26, "'*' stands only at the end", ""},
        {" m: {count: '*', where: properties.x}", 0, "", ""},
        {" m: {count: '*', where: 'value'}", 26, "this should be true or false, it is a number", ""},
        {" m: {count: '*', where: 'events[7d] > 1'}", 26, "unknown metric 'events'", "did you mean 'event'?"},
        {" m: {count: '*', where: 'm[7d] > 1'}", 26, "a metric cannot be read in 'where'", ""},
        {" m: {count: '*', keep: 401d}", 24, "'keep' is at most 400d", ""},
        {" m: {distinct: user, keep: 63d}", 28, "'keep' is at most 62d", ""},
        {" m: {count: '*', keep: 1489h}", 24, "'keep' is at most 1488h", ""},
        {" m: {count: '*', keep: 90m}", 24, "'keep' must be whole days or hours", ""},
        {" m: {count: '*', keep: 0}", 24, "'keep' must be whole days or hours", ""},
        {" m: {count: '*', keep: x}", 24, "'x' is no duration",
         "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d"},
        {" plan: {count: '*'}", 2, "'plan' is a word of the expression language or a fact",
         "give the metric another name"},
        {" a-b: {count: '*'}", 2, "a metric's name is letters", ""},
        {" m: {count: '*'}\n m: {count: a}", 2, "'m' is given twice", ""},
    };
    char text[512];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        snprintf(text, sizeof text, "version: 1\nmetrics:\n%s\n", table[i].text);
        if (table[i].column == 0) {
            parse(text);
            tm_pack_free(pack);
            continue;
        }
        wrong(text, strchr(table[i].text, '\n') ? 4 : 3, table[i].column, table[i].message, table[i].hint);
    }
}

Test(packfile, points_at_what_is_wrong_in_a_rule)
{
    static const struct {
        const char *text;
        uint32_t column;
        const char *message, *hint;
    } table[] = {
        {"wehn: x", 4, "unknown key 'wehn'", "did you mean 'when'?"},
        {"severity: hihg", 14, "unknown severity 'hihg'", "did you mean 'high'?"},
        {"severity: seats", 14, "this should be a string, it is a number", ""},
        {"severity: {high: hgh}", 21, "unknown severity 'hgh'", "did you mean 'high'?"},
        {"severity: {high: [a]}", 21, "must be one text", ""},
        {"severity: {a: info, b: info, c: info, d: info, e: info, f: info, g: info, h: info, i: info}", 87,
         "at most 8 tiers", ""},
        {"severity: [high]", 14, "must be one text", ""},
        {"for: 24", 9, "'24' is no duration",
         "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d"},
        {"for: {}", 9, "must be one text, not a map", ""},
        {"cooldown: never", 14, "'never' is no duration",
         "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d"},
        {"update_change: -1", 19, "'-1' is no number from 0", ""},
        {"update_change: 0x10", 19, "is no number from 0", ""},
        {"update_change: 1e9", 19, "is no number from 0", ""},
        {"update_change: 5%", 19, "is no number from 0", ""},
        {"update_change: []", 19, "must be one text", ""},
        {"clear: seats", 11, "this should be true or false, it is a number", ""},
        {"clear: [a]", 11, "must be one text", ""},
        {"value: set", 11, "unknown name 'set'", ""},
        {"threshold: 1 +", 18, "ends where a value should follow", ""},
        {"scope: plan", 11, "this should be true or false, it is a string", ""},
        {"inhibited_by: s", 18, "unknown rule 's'", ""},
        {"inhibited_by: [r]", 18, "in a circle: r <- r", "take one of them out of 'inhibited_by'"},
        {"inhibited_by: [[r]]", 19, "must be one text", ""},
        {"inhibited_by: {a: b}", 19, "must be one text", ""},
        {"inhibited_by: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]", 18, "at most 16 inhibitors", ""},
        {"route: x", 11, "'route' must be a map", ""},
        {"route: {quue: x}", 12, "unknown key 'quue'", "did you mean 'queue'?"},
        {"route: {queue: [x]}", 19, "must be one text", ""},
        {"play: {high: [x]}", 17, "must be one text", ""},
        {"play: [x]", 11, "a case of 'play' must be a map", ""},
        {"description: [x]", 17, "must be one text", ""},
        {"summary: 'a {{evnts[7d]}} b'", 18, "unknown metric 'evnts'", "did you mean 'events'?"},
        {"summary: 'it''s {{events[7d] | procent}} b'", 35, "unknown format", "did you mean 'percent'?"},
        {"summary: 'a {{events[7d] | x}} b'", 31, "unknown format", ""},
        {"summary: 'a {{events[7d] | date}} b'", 18, "this should be a string, it is a number", ""},
        {"summary: 'a {{seats'", 16, "'{{' without its '}}'", ""},
        {"summary: [x]", 13, "must be one text", ""},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        snprintf(text, sizeof text, "%s   %s\n", WITH, table[i].text);
        wrong(text, 9, table[i].column, table[i].message, table[i].hint);
    }
}

Test(packfile, needs_a_name_a_kind_and_a_condition)
{
    static const char head[] = "version: 1\nrules:\n - {name: a, kind: advisory, when: true}\n";
    char text[512];
    snprintf(text, sizeof text, "%s - {kind: advisory, when: true}\n", head);
    wrong(text, 4, 5, "a rule needs a 'name'", "");
    snprintf(text, sizeof text, "%s - {name: A, kind: advisory, when: true}\n", head);
    wrong(text, 4, 11, "a rule's name is lower-case", "");
    snprintf(text, sizeof text, "%s - {name: [a], kind: advisory, when: true}\n", head);
    wrong(text, 4, 11, "must be one text", "");
    snprintf(text, sizeof text, "%s - {name: a, kind: advisory, when: true}\n", head);
    wrong(text, 4, 11, "two rules are named 'a'", "");
    snprintf(text, sizeof text, "%s - {name: b, when: true}\n", head);
    wrong(text, 4, 5, "a rule needs a 'kind'", "");
    snprintf(text, sizeof text, "%s - {name: b, kind: churn-risk, when: true}\n", head);
    wrong(text, 4, 20, "unknown kind 'churn-risk'", "did you mean 'churn_risk'?");
    snprintf(text, sizeof text, "%s - {name: b, kind: advisory}\n", head);
    wrong(text, 4, 5, "a rule needs a 'when'", "");
    snprintf(text, sizeof text, "%s - {name: b, kind: advisory, when: true, inhibited_by: [a, a]}\n", head);
    wrong(text, 4, 60, "'a' is named twice", "");
    snprintf(text, sizeof text, "%s - {name: b, kind: advisory, when: seats > 'x'}\n", head);
    wrong(text, 4, 44, "'>' needs numbers or durations, this is a string", "");
}

Test(packfile, finds_an_expression_in_every_style_of_scalar)
{
    wrong("version: 1\nscope: |\n  plan == 'a'\n    or sets > 1\n", 4, 8, "unknown name 'sets'",
          "did you mean 'seats'?");
    wrong("version: 1\nscope: >\n  plan == 'a'\n  or sets > 1\n", 4, 6, "unknown name 'sets'", "did you mean 'seats'?");
    wrong("version: 1\nscope: 'plan == ''a'' or sets > 1'\n", 2, 26, "unknown name 'sets'", "did you mean 'seats'?");
    wrong("version: 1\nscope: \"plan == \\\"a\\\" or sets > 1\"\n", 2, 26, "unknown name 'sets'",
          "did you mean 'seats'?");
    wrong("version: 1\nscope: plan == 'a'\n  or sets > 1\n", 3, 6, "unknown name 'sets'", "did you mean 'seats'?");
}

Test(packfile, lists_all_errors_in_order)
{
    tm_packfile_options options = {.diagnostics = &all};
    tm_slice text = TM_SLICE_LITERAL("rules:\n - {name: a, kind: x, when: y, for: z}\nmetrics:\n m: {count: 'a*b'}\n");
    cr_assert_eq(tm_packfile_parse(text, "f", &options, &pack, &error), TM_REJECT);
    cr_assert_eq(all.count, 5);
    for (uint32_t i = 1; i < all.count; i++) {
        cr_assert_leq(all.items[i - 1].line, all.items[i].line);
    }
    cr_assert_str_eq(error.what, "a rules file needs a 'version' (and 4 more)");
    cr_assert_str_eq(error.where, "f:1:1");
}

Test(packfile, is_bounded)
{
    tm_buffer text;
    tm_buffer_init(&text, 4 << 20);
    tm_buffer_append_text(&text, "version: 1\nmetrics:\n");
    for (int i = 0; i <= TM_METRICS_MAX; i++) {
        tm_buffer_append_format(&text, " m%d: {count: '*'}\n", i);
    }
    wrong(tm_buffer_text(&text), 3, 2, "257 metrics, at most 256", "");
    tm_buffer_reset(&text);
    tm_buffer_append_text(&text, "version: 1\nrules:\n");
    for (int i = 0; i <= TM_RULES_MAX; i++) {
        tm_buffer_append_format(&text, " - {name: r%d, kind: advisory, when: true}\n", i);
    }
    wrong(tm_buffer_text(&text), 3, 2, "257 rules, at most 256", "");
    tm_buffer_reset(&text);
    tm_buffer_append_text(&text, WITH "   summary: ");
    for (int i = 0; i < 33; i++) {
        tm_buffer_append_text(&text, "x{{seats}}");
    }
    wrong(tm_buffer_text(&text), 9, 13 + 32 * 10, "too many values", "");
    tm_buffer_reset(&text);
    tm_buffer_append_text(&text, WITH "   summary: ");
    for (int i = 0; i < 513; i++) {
        tm_buffer_append_text(&text, "x");
    }
    wrong(tm_buffer_text(&text), 9, 13, "the summary is too long", "");
    tm_buffer_reset(&text);
    tm_buffer_append_text(&text, WITH "   play: ");
    for (int i = 0; i < 1025; i++) {
        tm_buffer_append_text(&text, "x");
    }
    wrong(tm_buffer_text(&text), 9, 10, "'play' has 1025 bytes, at most 1024 are taken", "");
    tm_buffer_reset(&text);
    for (int i = 0; i < TM_PACK_FILE_MAX + 5; i++) {
        tm_buffer_append_char(&text, '#');
    }
    wrong(tm_buffer_text(&text), 1, 1, "more than 1048576 bytes", "");
    tm_buffer_done(&text);
}

Test(packfile, summaries_keep_braces_and_quotes)
{
    parse(WITH
          "   summary: \"{a} {{ if(seats > 1, '}} |', \\\"b\\\") }}{{age(events) | duration}}{{contract_start|date}}"
          "{{seats | number}}\"\n");
    const tm_rule *rule = &pack->rules[0];
    cr_assert_eq(rule->summary_count, 4);
    cr_assert(tm_slice_equal_text(rule->summary[0].text, "{a} "));
    cr_assert_str_eq(text_of(rule->summary[0].node), "if(seats > 1, '}} |', 'b')");
    cr_assert_eq(rule->summary[0].format, TM_FORMAT_PLAIN);
    cr_assert_eq(rule->summary[1].format, TM_FORMAT_DURATION);
    cr_assert_eq(rule->summary[2].format, TM_FORMAT_DATE);
    cr_assert_eq(rule->summary[3].format, TM_FORMAT_NUMBER);
    tm_pack_free(pack);
}
