#include "tidemark/core/pack.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static tm_arena *arena;
static tm_pack pack;
static tm_metric metrics[3];
static tm_rule rules[5];
static tm_pattern patterns[2];
static tm_error error;

static void setup(void)
{
    arena = tm_arena_new(1 << 20);
    pack = (tm_pack){.arena = arena, .metrics = metrics, .metric_count = 2, .rules = rules};
    memset(metrics, 0, sizeof metrics);
    memset(rules, 0, sizeof rules);
    tm_program_init(&pack.program, arena);
    patterns[0] = (tm_pattern){TM_SLICE_LITERAL("a"), false};
    patterns[1] = (tm_pattern){TM_SLICE_LITERAL("b"), true};
    metrics[0] = (tm_metric){
        .name = TM_SLICE_LITERAL("events"), .patterns = patterns, .pattern_count = 2, .where = TM_NODE_NONE};
    metrics[1] = (tm_metric){.name = TM_SLICE_LITERAL("users"),
                             .kind = TM_METRIC_DISTINCT,
                             .of = TM_OF_USER,
                             .patterns = patterns,
                             .pattern_count = 1,
                             .where = TM_NODE_NONE};
}

static void teardown(void)
{
    tm_arena_free_all(arena);
}

TestSuite(pack, .init = setup, .fini = teardown);

static void window(uint32_t metric, tm_window_unit unit, int32_t length, int32_t offset)
{
    uint32_t added;
    tm_node node = {
        .op = TM_OP_WINDOW, .metric = metric, .window = {unit, length, offset}, .text = TM_SLICE_LITERAL("text")};
    cr_assert_eq(tm_program_add(&pack.program, &node, NULL, &added), TM_OK);
}

Test(pack, names)
{
    tm_severity severity;
    tm_kind kind;
    for (int i = 0; i < TM_SEVERITIES; i++) {
        cr_assert(tm_severity_parse(tm_slice_of(tm_severity_name((tm_severity)i)), &severity));
        cr_assert_eq(severity, (tm_severity)i);
    }
    for (int i = 0; i < TM_KINDS; i++) {
        cr_assert(tm_kind_parse(tm_slice_of(tm_kind_name((tm_kind)i)), &kind));
        cr_assert_eq(kind, (tm_kind)i);
    }
    cr_assert_not(tm_severity_parse(TM_SLICE_LITERAL("High"), &severity));
    cr_assert_not(tm_kind_parse(TM_SLICE_LITERAL(""), &kind));
    cr_assert_str_eq(tm_kind_name(TM_KINDS), "unknown");
    cr_assert_str_eq(tm_severity_name(TM_SEVERITIES), "unknown");
    cr_assert_str_eq(tm_severity_name(TM_SEVERITY_WARN), "warn");
    cr_assert_str_eq(tm_kind_name(TM_KIND_CHURN_RISK), "churn_risk");
}

Test(pack, reach_is_the_longest_window)
{
    window(0, TM_WINDOW_DAYS, 7, 8);
    window(0, TM_WINDOW_DAYS, 14, 0);
    window(1, TM_WINDOW_DAYS, 62, 0);
    metrics[0].reach_hours = 5;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert_eq(metrics[0].reach_days, 15);
    cr_assert_eq(metrics[0].reach_hours, 5);
    cr_assert_eq(metrics[1].reach_days, 62);
    cr_assert_not(pack.moves_hourly);
    window(0, TM_WINDOW_HOURS, 24, 1);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert_eq(metrics[0].reach_hours, 25);
    cr_assert(pack.moves_hourly);
}

Test(pack, a_baseline_reaches_as_far_as_it_looks)
{
    tm_node node = {.op = TM_OP_ZSCORE,
                    .window = {TM_WINDOW_DAYS, 14, 1},
                    .periods = 8,
                    .text = TM_SLICE_LITERAL("zscore(events[14d offset 1d], 8)")};
    uint32_t first, second;
    cr_assert_eq(tm_program_add(&pack.program, &node, NULL, &first), TM_OK);
    node.window.offset = 0;
    cr_assert_eq(tm_program_add(&pack.program, &node, NULL, &second), TM_OK);
    for (int i = 0; i < 2; i++) { /* finished again, the same */
        cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
        cr_assert_eq(metrics[0].reach_days, 127);
        cr_assert(metrics[0].read_derived && !metrics[1].read_derived);
        cr_assert_eq(pack.derived_count, 2);
        cr_assert_eq(pack.program.nodes[first].slot, 1);
        cr_assert_eq(pack.program.nodes[second].slot, 2);
    }
    rules[0] = (tm_rule){.name = TM_SLICE_LITERAL("r"),
                         .when = first,
                         .clear = TM_NODE_NONE,
                         .scope = TM_NODE_NONE,
                         .severity_node = TM_NODE_NONE,
                         .value = TM_NODE_NONE};
    pack.rule_count = 1;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert(metrics[0].read_daily);
    cr_assert_eq(metrics[0].stirs[TM_ASPECT_PRESENT], 0);
    cr_assert_eq(metrics[0].stirs[TM_ASPECT_PAST], 1);
    cr_assert_eq(metrics[0].stirs[TM_ASPECT_FIRST], 1);
    rules[0].when = second;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert_eq(metrics[0].stirs[TM_ASPECT_PRESENT], 1);
    node.periods = 28;
    cr_assert_eq(tm_program_add(&pack.program, &node, NULL, &second), TM_OK);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_REJECT);
    cr_assert(strstr(error.what, "406 days"), "%s", error.what);
}

Test(pack, keep_is_not_shortened)
{
    metrics[0].reach_days = 90;
    window(0, TM_WINDOW_DAYS, 7, 0);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert_eq(metrics[0].reach_days, 90);
}

Test(pack, reach_is_limited)
{
    window(0, TM_WINDOW_DAYS, 400, 0);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    window(1, TM_WINDOW_DAYS, 62, 1);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_REJECT);
    cr_assert(strstr(error.what, "'users'") && strstr(error.what, "63 days"), "%s", error.what);
    cr_assert_eq(tm_metric_reach_limit(TM_METRIC_MAX, TM_WINDOW_HOURS), 62 * 24);
}

Test(pack, identity_is_the_definition)
{
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    uint64_t before = metrics[0].identity;
    tm_pattern swapped[2] = {patterns[1], patterns[0]};
    metrics[0].patterns = swapped;
    metrics[0].name = TM_SLICE_LITERAL("renamed");
    metrics[0].reach_days = 99;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    cr_assert_eq(metrics[0].identity, before);
    uint64_t others[6];
    swapped[0].prefix = false;
    tm_pack_finish(&pack, &error);
    others[0] = metrics[0].identity;
    swapped[0].prefix = true;
    metrics[0].kind = TM_METRIC_SUM;
    tm_pack_finish(&pack, &error);
    others[1] = metrics[0].identity;
    metrics[0].of = TM_OF_PROPERTY;
    metrics[0].property = TM_SLICE_LITERAL("x");
    tm_pack_finish(&pack, &error);
    others[2] = metrics[0].identity;
    metrics[0].property = TM_SLICE_LITERAL("y");
    tm_pack_finish(&pack, &error);
    others[3] = metrics[0].identity;
    tm_node where = {.op = TM_OP_EVENT_USER, .text = TM_SLICE_LITERAL("user")};
    cr_assert_eq(tm_program_add(&pack.program, &where, NULL, &metrics[0].where), TM_OK);
    tm_pack_finish(&pack, &error);
    others[4] = metrics[0].identity;
    others[5] = metrics[1].identity;
    for (int i = 0; i < 6; i++) {
        cr_assert_neq(others[i], before);
        for (int k = 0; k < i; k++) {
            cr_assert_neq(others[i], others[k]);
        }
    }
}

static void rule(const char *name, uint16_t *inhibitors, uint32_t count)
{
    rules[pack.rule_count++] = (tm_rule){.name = tm_slice_of(name), .inhibitors = inhibitors, .inhibitor_count = count};
}

Test(pack, inhibitors_are_judged_first_then_the_file)
{
    uint16_t of_a[] = {3};
    uint16_t of_d[] = {2};
    rule("a", of_a, 1);
    rule("b", NULL, 0);
    rule("c", NULL, 0);
    rule("d", of_d, 1);
    rule("e", NULL, 0);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_OK);
    static const uint16_t expected[] = {1, 2, 3, 0, 4};
    cr_assert_arr_eq(pack.order, expected, sizeof expected);
    cr_assert_eq(tm_pack_rule(&pack, TM_SLICE_LITERAL("d")), 3);
    cr_assert_eq(tm_pack_rule(&pack, TM_SLICE_LITERAL("x")), UINT32_MAX);
    cr_assert_eq(tm_pack_metric(&pack, TM_SLICE_LITERAL("users")), 1);
    cr_assert_eq(tm_pack_metric(&pack, TM_SLICE_LITERAL("user")), UINT32_MAX);
    cr_assert_neq(rules[0].identity, rules[1].identity);
}

Test(pack, a_circle_is_named)
{
    uint16_t of_a[] = {1};
    uint16_t of_b[] = {4, 2};
    uint16_t of_c[] = {1};
    rule("a", of_a, 1);
    rule("b", of_b, 2);
    rule("c", of_c, 1);
    rule("d", NULL, 0);
    rule("e", NULL, 0);
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "rules inhibit one another in a circle: b <- c <- b");
    cr_assert_str_eq(error.where, "b");
}

Test(pack, counts_are_bounded)
{
    pack.rule_count = TM_RULES_MAX + 1;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_REJECT);
    tm_pack_free(NULL);
}

Test(pack, says_when_memory_is_out)
{
    rule("a", NULL, 0);
    tm_arena *small = tm_arena_new(1);
    pack.arena = small;
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_FATAL);
    tm_arena_free_all(small);
}

Test(pack, a_long_circle_is_said_to_be_one)
{
    enum { LONG = 40 };
    static char names[LONG][60];
    static uint16_t next[LONG];
    static tm_rule many[LONG];
    pack.rules = many;
    for (int i = 0; i < LONG; i++) {
        snprintf(names[i], sizeof names[i], "a_rule_whose_name_takes_some_room_%d", i);
        next[i] = (uint16_t)((i + 1) % LONG);
        many[pack.rule_count++] =
            (tm_rule){.name = tm_slice_of(names[i]), .inhibitors = &next[i], .inhibitor_count = 1};
    }
    cr_assert_eq(tm_pack_finish(&pack, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "rules inhibit one another in a circle: (too long to show)");
    cr_assert_str_eq(error.where, names[0]);
}

Test(pack, bands_have_names)
{
    cr_assert_str_eq(tm_band_name(TM_BAND_RED), "red");
    cr_assert_str_eq(tm_band_name(TM_BAND_YELLOW), "yellow");
    cr_assert_str_eq(tm_band_name(TM_BAND_GREEN), "green");
    cr_assert_null(tm_band_name(TM_BAND_NONE));
}

Test(pack, what_reads_the_stage_and_what_other_days)
{
    for (int op = TM_OP_CONSTANT; op <= TM_OP_PICK; op++) {
        bool stage =
            op == TM_OP_STAGE || op == TM_OP_STAGE_AGE || op == TM_OP_PREVIOUS_STAGE || op == TM_OP_PREVIOUS_STAGE_TIME;
        bool days =
            op == TM_OP_SCORE_AGO || op == TM_OP_SCORE_LEAST || op == TM_OP_SCORE_GREATEST || op == TM_OP_SCORE_MEAN;
        cr_assert_eq(tm_pack_of_stage((tm_op)op), stage, "%d", op);
        cr_assert_eq(tm_pack_of_days((tm_op)op), days, "%d", op);
    }
}
