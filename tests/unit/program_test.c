#include "tidemark/core/program.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_arena *arena;
static tm_program program;

static void setup(void)
{
    arena = tm_arena_new(64 << 20);
    tm_program_init(&program, arena);
}

static void teardown(void)
{
    tm_arena_free_all(arena);
}

TestSuite(program, .init = setup, .fini = teardown);

static uint32_t add(const tm_node *node, const uint32_t *arguments)
{
    uint32_t added = UINT32_MAX;
    cr_assert_eq(tm_program_add(&program, node, arguments, &added), TM_OK);
    return added;
}

static uint32_t constant(tm_value value)
{
    return add(&(tm_node){.op = TM_OP_CONSTANT, .type = value.type, .constant = value}, NULL);
}

static uint32_t operation(tm_op op, uint32_t a, uint32_t b)
{
    uint32_t arguments[2] = {a, b};
    return add(&(tm_node){.op = (uint8_t)op, .argument_count = 2, .text = TM_SLICE_LITERAL("given")}, arguments);
}

static bool reads(uint32_t node, const char *text)
{
    return tm_slice_equal_text(program.nodes[node].text, text);
}

Test(program, constants_write_themselves)
{
    cr_assert(reads(constant(tm_value_number(0.5)), "0.5"));
    cr_assert(reads(constant(tm_value_number(-0.0)), "0"));
    cr_assert(reads(constant(tm_value_number(-12)), "-12"));
    cr_assert(reads(constant(tm_value_duration(36 * TM_HOUR)), "36h"));
    cr_assert(reads(constant(tm_value_duration(-7 * TM_DAY)), "-7d"));
    cr_assert(reads(constant(tm_value_boolean(true)), "true"));
    cr_assert(reads(constant(tm_value_boolean(false)), "false"));
    cr_assert(reads(constant(tm_value_null()), "null"));
    cr_assert(reads(constant(tm_value_string(TM_SLICE_LITERAL("it's \\ a\n\tb"))), "'it\\'s \\\\ a\\n\\tb'"));
    cr_assert(reads(constant(tm_value_string(TM_SLICE_LITERAL(""))), "''"));
}

Test(program, equal_nodes_are_one)
{
    tm_node window = {.op = TM_OP_WINDOW, .metric = 3, .window = {TM_WINDOW_DAYS, 7, 1}};
    tm_node other = window;
    uint32_t a = add(&window, NULL);
    cr_assert_eq(add(&window, NULL), a);
    other.window.offset = 2;
    cr_assert_neq(add(&other, NULL), a);
    other = window;
    other.window.unit = TM_WINDOW_HOURS;
    cr_assert_neq(add(&other, NULL), a);
    other = window;
    other.metric = 4;
    cr_assert_neq(add(&other, NULL), a);
    tm_node baseline = {
        .op = TM_OP_CUSUM, .metric = 3, .window = {TM_WINDOW_DAYS, 7, 1}, .periods = 8, .parameter = 0.5};
    uint32_t sum = add(&baseline, NULL);
    cr_assert_eq(add(&baseline, NULL), sum);
    tm_node changed[] = {baseline, baseline, baseline, baseline, baseline, baseline};
    changed[0].metric = 4;
    changed[1].window.length = 6;
    changed[2].window.offset = 2;
    changed[3].periods = 7;
    changed[4].parameter = 1;
    changed[5].op = TM_OP_ZSCORE;
    for (int i = 0; i < 6; i++)
        cr_assert_neq(add(&changed[i], NULL), sum, "%d", i);
    uint32_t one = constant(tm_value_number(1));
    cr_assert_eq(constant(tm_value_number(1)), one);
    cr_assert_neq(constant(tm_value_duration(1)), one);
    uint32_t less = operation(TM_OP_LESS, a, one);
    cr_assert_eq(operation(TM_OP_LESS, a, one), less);
    cr_assert_neq(operation(TM_OP_LESS, one, a), less);
    cr_assert(reads(less, "given"));
    uint32_t age = add(&(tm_node){.op = TM_OP_AGE, .metric = 3}, NULL);
    cr_assert_eq(add(&(tm_node){.op = TM_OP_AGE, .metric = 3}, NULL), age);
    cr_assert_neq(add(&(tm_node){.op = TM_OP_FIRST, .metric = 3}, NULL), age);
    char name[] = "region";
    tm_node fact = {.op = TM_OP_FACT, .field = TM_FACT_ATTRIBUTE, .name = tm_slice_of(name)};
    uint32_t region = add(&fact, NULL);
    name[0] = 'x'; /* the program has its own copy */
    fact.name = TM_SLICE_LITERAL("region");
    cr_assert_eq(add(&fact, NULL), region);
    fact.field = TM_FACT_GOAL;
    cr_assert_neq(add(&fact, NULL), region);
    tm_node property = {.op = TM_OP_EVENT_PROPERTY, .name = TM_SLICE_LITERAL("a")};
    uint32_t a_property = add(&property, NULL);
    cr_assert_eq(add(&property, NULL), a_property);
    property.name = TM_SLICE_LITERAL("b");
    cr_assert_neq(add(&property, NULL), a_property);
    uint32_t text = constant(tm_value_string(TM_SLICE_LITERAL("s")));
    cr_assert_eq(constant(tm_value_string(TM_SLICE_LITERAL("s"))), text);
    cr_assert_eq(constant(tm_value_null()), constant(tm_value_null()));
    cr_assert_eq(constant(tm_value_boolean(true)), constant(tm_value_boolean(true)));
}

Test(program, folds_what_has_a_literal)
{
    uint32_t two = constant(tm_value_number(2));
    uint32_t hour = constant(tm_value_duration(TM_HOUR));
    uint32_t five = operation(TM_OP_ADD, two, constant(tm_value_number(3)));
    cr_assert_eq(program.nodes[five].op, TM_OP_CONSTANT);
    cr_assert(reads(five, "5"));
    cr_assert(reads(operation(TM_OP_MULTIPLY, two, hour), "2h"));
    cr_assert(reads(operation(TM_OP_LESS, two, five), "true"));
    /* null, parts of a millisecond and durations beyond what can be written stay operations */
    cr_assert_eq(program.nodes[operation(TM_OP_DIVIDE, two, constant(tm_value_number(0)))].op, TM_OP_DIVIDE);
    cr_assert_eq(program.nodes[operation(TM_OP_DIVIDE, hour, constant(tm_value_number(7)))].op, TM_OP_DIVIDE);
    cr_assert_eq(program.nodes[operation(TM_OP_MULTIPLY, hour, constant(tm_value_number(1e9)))].op, TM_OP_MULTIPLY);
}

Test(program, is_bounded)
{
    for (uint32_t i = 0; i < TM_PROGRAM_NODES_MAX; i++) {
        tm_node node = {.op = TM_OP_AGE, .metric = i};
        uint32_t added;
        cr_assert_eq(tm_program_add(&program, &node, NULL, &added), TM_OK);
        cr_assert_eq(added, i);
    }
    uint32_t added = 7;
    cr_assert_eq(tm_program_add(&program, &(tm_node){.op = TM_OP_FIRST}, NULL, &added), TM_REJECT);
    cr_assert_eq(tm_program_add(&program, &(tm_node){.op = TM_OP_AGE, .metric = 5}, NULL, &added), TM_OK);
    cr_assert_eq(added, 5);
}

Test(program, says_when_memory_is_out)
{
    tm_arena *small = tm_arena_new(8192);
    tm_program tight;
    tm_program_init(&tight, small);
    tm_status status = TM_OK;
    uint32_t added;
    for (uint32_t i = 0; i < 10000 && status == TM_OK; i++) {
        tm_value text = tm_value_string((tm_slice){"0123456789012345678901234567890123456789", 1 + i % 40});
        tm_node node = {.op = TM_OP_CONSTANT, .type = TM_TYPE_STRING, .constant = text};
        status = tm_program_add(&tight, &node, NULL, &added);
        if (status == TM_OK) {
            status = tm_program_add(&tight, &(tm_node){.op = TM_OP_AGE, .metric = i}, NULL, &added);
        }
    }
    cr_assert_eq(status, TM_FATAL);
    tm_arena_free_all(small);
}
