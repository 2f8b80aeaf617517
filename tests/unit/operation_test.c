#include "tidemark/core/operation.h"

#include <criterion/criterion.h>
#include <math.h>

#define N(x)                                                                                                           \
    {                                                                                                                  \
        .type = TM_TYPE_NUMBER, .as.number = (x)                                                                       \
    }
#define D(x)                                                                                                           \
    {                                                                                                                  \
        .type = TM_TYPE_DURATION, .as.number = (x)                                                                     \
    }
#define B(x)                                                                                                           \
    {                                                                                                                  \
        .type = TM_TYPE_BOOLEAN, .as.boolean = (x)                                                                     \
    }
#define S(x)                                                                                                           \
    {                                                                                                                  \
        .type = TM_TYPE_STRING, .as.string = {(x), sizeof(x) - 1 }                                                     \
    }
#define NIL                                                                                                            \
    {                                                                                                                  \
        .type = TM_TYPE_NULL                                                                                           \
    }

typedef struct line {
    tm_op op;
    uint32_t count;
    tm_value arguments[4];
    tm_value expected;
} line;

static const line lines[] = {
    /* three-valued logic */
    {TM_OP_AND, 2, {B(true), B(true)}, B(true)},
    {TM_OP_AND, 2, {B(true), B(false)}, B(false)},
    {TM_OP_AND, 2, {NIL, B(false)}, B(false)},
    {TM_OP_AND, 2, {NIL, B(true)}, NIL},
    {TM_OP_AND, 3, {B(true), N(1), B(true)}, NIL},
    {TM_OP_OR, 2, {B(false), B(false)}, B(false)},
    {TM_OP_OR, 2, {NIL, B(true)}, B(true)},
    {TM_OP_OR, 2, {NIL, B(false)}, NIL},
    {TM_OP_NOT, 1, {B(true)}, B(false)},
    {TM_OP_NOT, 1, {B(false)}, B(true)},
    {TM_OP_NOT, 1, {NIL}, NIL},
    /* null tests are never null */
    {TM_OP_IS_NULL, 1, {NIL}, B(true)},
    {TM_OP_IS_NULL, 1, {N(0)}, B(false)},
    {TM_OP_IS_NOT_NULL, 1, {NIL}, B(false)},
    {TM_OP_IS_NOT_NULL, 1, {S("")}, B(true)},
    /* comparisons */
    {TM_OP_EQUAL, 2, {N(1), N(1)}, B(true)},
    {TM_OP_EQUAL, 2, {N(1), D(1)}, NIL},
    {TM_OP_EQUAL, 2, {D(1), D(1)}, B(true)},
    {TM_OP_EQUAL, 2, {S("a"), S("a")}, B(true)},
    {TM_OP_NOT_EQUAL, 2, {S("a"), S("b")}, B(true)},
    {TM_OP_NOT_EQUAL, 2, {B(true), B(true)}, B(false)},
    {TM_OP_EQUAL, 2, {NIL, NIL}, NIL},
    {TM_OP_LESS, 2, {N(1), N(2)}, B(true)},
    {TM_OP_LESS, 2, {N(2), N(2)}, B(false)},
    {TM_OP_LESS_EQUAL, 2, {D(2), D(2)}, B(true)},
    {TM_OP_GREATER, 2, {N(3), N(2)}, B(true)},
    {TM_OP_GREATER_EQUAL, 2, {N(1), N(2)}, B(false)},
    {TM_OP_LESS, 2, {S("a"), S("b")}, NIL},
    {TM_OP_LESS, 2, {NIL, N(1)}, NIL},
    /* arithmetic and its types */
    {TM_OP_ADD, 2, {N(1), N(2)}, N(3)},
    {TM_OP_ADD, 2, {D(1), D(2)}, D(3)},
    {TM_OP_ADD, 2, {N(1), D(2)}, NIL},
    {TM_OP_SUBTRACT, 2, {D(1), D(2)}, D(-1)},
    {TM_OP_SUBTRACT, 2, {S("a"), S("b")}, NIL},
    {TM_OP_MULTIPLY, 2, {N(2), D(3)}, D(6)},
    {TM_OP_MULTIPLY, 2, {D(2), N(3)}, D(6)},
    {TM_OP_MULTIPLY, 2, {D(2), D(3)}, NIL},
    {TM_OP_MULTIPLY, 2, {N(1e200), N(1e200)}, NIL},
    {TM_OP_DIVIDE, 2, {N(6), N(3)}, N(2)},
    {TM_OP_DIVIDE, 2, {D(6), D(3)}, N(2)},
    {TM_OP_DIVIDE, 2, {D(6), N(3)}, D(2)},
    {TM_OP_DIVIDE, 2, {N(6), D(3)}, NIL},
    {TM_OP_DIVIDE, 2, {N(6), N(0)}, NIL},
    {TM_OP_RATIO, 2, {N(1), N(4)}, N(0.25)},
    {TM_OP_RATIO, 2, {D(1), D(4)}, N(0.25)},
    {TM_OP_RATIO, 2, {D(1), N(4)}, NIL},
    {TM_OP_RATIO, 2, {N(1), N(0)}, NIL},
    {TM_OP_RATIO, 2, {N(1), NIL}, NIL},
    {TM_OP_NEGATE, 1, {N(3)}, N(-3)},
    {TM_OP_NEGATE, 1, {D(3)}, D(-3)},
    {TM_OP_NEGATE, 1, {B(true)}, NIL},
    /* functions */
    {TM_OP_MINIMUM, 3, {N(3), N(1), N(2)}, N(1)},
    {TM_OP_MAXIMUM, 3, {D(3), D(1), D(4)}, D(4)},
    {TM_OP_MAXIMUM, 2, {N(3), NIL}, NIL},
    {TM_OP_MINIMUM, 2, {N(3), D(1)}, NIL},
    {TM_OP_ABSOLUTE, 1, {N(-3)}, N(3)},
    {TM_OP_ABSOLUTE, 1, {S("x")}, NIL},
    {TM_OP_CLAMP, 3, {N(5), N(0), N(3)}, N(3)},
    {TM_OP_CLAMP, 3, {N(-5), N(0), N(3)}, N(0)},
    {TM_OP_CLAMP, 3, {N(1), N(0), N(3)}, N(1)},
    {TM_OP_CLAMP, 3, {N(1), NIL, N(3)}, NIL},
    {TM_OP_COALESCE, 3, {NIL, N(2), N(3)}, N(2)},
    {TM_OP_COALESCE, 2, {NIL, NIL}, NIL},
    {TM_OP_IF, 3, {B(true), N(1), N(2)}, N(1)},
    {TM_OP_IF, 3, {B(false), N(1), N(2)}, N(2)},
    {TM_OP_IF, 3, {NIL, N(1), N(2)}, NIL},
    {TM_OP_LOG, 1, {N(1)}, N(0)},
    {TM_OP_LOG, 1, {N(0)}, NIL},
    {TM_OP_LOG, 1, {N(-1)}, NIL},
    {TM_OP_LOG, 1, {D(1)}, NIL},
    {TM_OP_WINDOW, 1, {N(1)}, NIL},
};

Test(operation, table)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        tm_value result = tm_operation_apply(lines[i].op, lines[i].arguments, lines[i].count);
        cr_assert(tm_value_same(result, lines[i].expected), "line %zu: type %d number %g", i, result.type,
                  result.as.number);
    }
}

Test(operation, minus_zero_and_approximation)
{
    tm_value zero = tm_value_number(0);
    tm_value negative = tm_operation_apply(TM_OP_NEGATE, &zero, 1);
    cr_assert_not(signbit(negative.as.number));
    tm_value sides[2] = {tm_value_number(1), tm_value_number(2)};
    sides[1].approximate = true;
    cr_assert(tm_operation_apply(TM_OP_ADD, sides, 2).approximate);
    sides[1].approximate = false;
    cr_assert_not(tm_operation_apply(TM_OP_ADD, sides, 2).approximate);
    cr_assert_eq(tm_operation_truth(tm_value_number(1)), -1);
    cr_assert_eq(tm_operation_truth(tm_value_boolean(true)), 1);
    cr_assert_eq(tm_operation_truth(tm_value_boolean(false)), 0);
}
