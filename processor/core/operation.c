#include "tidemark/core/operation.h"

#include <math.h>

int tm_operation_truth(tm_value value)
{
    if (value.type != TM_TYPE_BOOLEAN) {
        return -1;
    }
    return value.as.boolean ? 1 : 0;
}

static bool is_quantity(tm_value value)
{
    return value.type == TM_TYPE_NUMBER || value.type == TM_TYPE_DURATION;
}

/* A result that is not finite is null; adding zero turns minus zero into zero, so that it never shows. */
static tm_value quantity(uint8_t type, double number)
{
    if (!isfinite(number)) {
        return tm_value_null();
    }
    return (tm_value){.type = type, .as.number = number + 0.0};
}

static tm_value negated(tm_value value)
{
    return is_quantity(value) ? quantity(value.type, -value.as.number) : tm_value_null();
}

static tm_value absolute(tm_value value)
{
    return is_quantity(value) ? quantity(value.type, fabs(value.as.number)) : tm_value_null();
}

static tm_value logarithm(tm_value value)
{
    if (value.type != TM_TYPE_NUMBER || value.as.number <= 0) {
        return tm_value_null();
    }
    return quantity(TM_TYPE_NUMBER, log(value.as.number));
}

/* SQL's three-valued logic; `decides` is the truth that settles it whatever the others are. */
static tm_value connective(const tm_value *arguments, uint32_t count, bool decides)
{
    bool unknown = false;
    for (uint32_t i = 0; i < count; i++) {
        int truth = tm_operation_truth(arguments[i]);
        if (truth == (decides ? 1 : 0)) {
            return tm_value_boolean(decides);
        }
        unknown = unknown || truth < 0;
    }
    return unknown ? tm_value_null() : tm_value_boolean(!decides);
}

static tm_value equality(tm_value a, tm_value b, bool wanted)
{
    if (a.type != b.type) {
        return tm_value_null();
    }
    bool equal;
    switch (a.type) {
    case TM_TYPE_NUMBER:
    case TM_TYPE_DURATION:
        equal = a.as.number == b.as.number;
        break;
    case TM_TYPE_STRING:
        equal = tm_slice_equal(a.as.string, b.as.string);
        break;
    case TM_TYPE_BOOLEAN:
        equal = a.as.boolean == b.as.boolean;
        break;
    default:
        return tm_value_null();
    }
    return tm_value_boolean(equal == wanted);
}

static tm_value ordering(tm_op op, tm_value a, tm_value b)
{
    if (a.type != b.type || !is_quantity(a)) {
        return tm_value_null();
    }
    double x = a.as.number;
    double y = b.as.number;
    switch (op) {
    case TM_OP_LESS:
        return tm_value_boolean(x < y);
    case TM_OP_LESS_EQUAL:
        return tm_value_boolean(x <= y);
    case TM_OP_GREATER:
        return tm_value_boolean(x > y);
    default:
        return tm_value_boolean(x >= y);
    }
}

static tm_value sum(tm_value a, tm_value b, double sign)
{
    if (a.type != b.type || !is_quantity(a)) {
        return tm_value_null();
    }
    return quantity(a.type, a.as.number + sign * b.as.number);
}

static tm_value product(tm_value a, tm_value b)
{
    if (!is_quantity(a) || !is_quantity(b) || (a.type == TM_TYPE_DURATION && b.type == TM_TYPE_DURATION)) {
        return tm_value_null();
    }
    bool duration = a.type == TM_TYPE_DURATION || b.type == TM_TYPE_DURATION;
    return quantity(duration ? TM_TYPE_DURATION : TM_TYPE_NUMBER, a.as.number * b.as.number);
}

static tm_value quotient(tm_value a, tm_value b, bool same_types_only)
{
    if (!is_quantity(a) || !is_quantity(b) || b.as.number == 0) {
        return tm_value_null();
    }
    if (a.type != b.type && (same_types_only || a.type == TM_TYPE_NUMBER)) {
        return tm_value_null();
    }
    return quantity(a.type == b.type ? TM_TYPE_NUMBER : TM_TYPE_DURATION, a.as.number / b.as.number);
}

static tm_value extreme(const tm_value *arguments, uint32_t count, bool greatest)
{
    tm_value best = arguments[0];
    for (uint32_t i = 0; i < count; i++) {
        if (!is_quantity(arguments[i]) || arguments[i].type != best.type) {
            return tm_value_null();
        }
        if (greatest ? arguments[i].as.number > best.as.number : arguments[i].as.number < best.as.number) {
            best = arguments[i];
        }
    }
    return best;
}

static tm_value clamped(const tm_value *arguments)
{
    tm_value raised = extreme((const tm_value[]){arguments[0], arguments[1]}, 2, true);
    return extreme((const tm_value[]){raised, arguments[2]}, 2, false);
}

static tm_value choice(const tm_value *arguments)
{
    int truth = tm_operation_truth(arguments[0]);
    return truth < 0 ? tm_value_null() : arguments[truth == 1 ? 1 : 2];
}

static tm_value first_present(const tm_value *arguments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!tm_value_is_null(arguments[i])) {
            return arguments[i];
        }
    }
    return tm_value_null();
}

static tm_value operate(tm_op op, const tm_value *arguments, uint32_t count)
{
    switch (op) {
    case TM_OP_NOT: {
        int truth = tm_operation_truth(arguments[0]);
        return truth < 0 ? tm_value_null() : tm_value_boolean(truth == 0);
    }
    case TM_OP_NEGATE:
        return negated(arguments[0]);
    case TM_OP_AND:
        return connective(arguments, count, false);
    case TM_OP_OR:
        return connective(arguments, count, true);
    case TM_OP_EQUAL:
        return equality(arguments[0], arguments[1], true);
    case TM_OP_NOT_EQUAL:
        return equality(arguments[0], arguments[1], false);
    case TM_OP_LESS:
    case TM_OP_LESS_EQUAL:
    case TM_OP_GREATER:
    case TM_OP_GREATER_EQUAL:
        return ordering(op, arguments[0], arguments[1]);
    case TM_OP_IS_NULL:
        return tm_value_boolean(tm_value_is_null(arguments[0]));
    case TM_OP_IS_NOT_NULL:
        return tm_value_boolean(!tm_value_is_null(arguments[0]));
    case TM_OP_ADD:
        return sum(arguments[0], arguments[1], 1);
    case TM_OP_SUBTRACT:
        return sum(arguments[0], arguments[1], -1);
    case TM_OP_MULTIPLY:
        return product(arguments[0], arguments[1]);
    case TM_OP_DIVIDE:
        return quotient(arguments[0], arguments[1], false);
    case TM_OP_RATIO:
        return quotient(arguments[0], arguments[1], true);
    case TM_OP_MINIMUM:
        return extreme(arguments, count, false);
    case TM_OP_MAXIMUM:
        return extreme(arguments, count, true);
    case TM_OP_ABSOLUTE:
        return absolute(arguments[0]);
    case TM_OP_CLAMP:
        return clamped(arguments);
    case TM_OP_COALESCE:
        return first_present(arguments, count);
    case TM_OP_IF:
        return choice(arguments);
    case TM_OP_LOG:
        return logarithm(arguments[0]);
    default:
        return tm_value_null();
    }
}

tm_value tm_operation_apply(tm_op op, const tm_value *arguments, uint32_t count)
{
    tm_value result = operate(op, arguments, count);
    bool approximate = false;
    for (uint32_t i = 0; i < count; i++) {
        approximate = approximate || arguments[i].approximate;
    }
    result.approximate = approximate;
    return result;
}
