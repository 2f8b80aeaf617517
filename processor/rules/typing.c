#include "tidemark/rules/typing.h"

#include <stdarg.h>
#include <stdio.h>

#include "tidemark/rules/vocabulary.h"

const char *tm_type_phrase(tm_type type)
{
    switch (type) {
    case TM_TYPE_NUMBER:
        return "a number";
    case TM_TYPE_DURATION:
        return "a duration";
    case TM_TYPE_STRING:
        return "a string";
    case TM_TYPE_BOOLEAN:
        return "true or false";
    case TM_TYPE_NULL:
        return "null";
    default:
        return "of a type known only when it is read";
    }
}

__attribute__((format(printf, 4, 5))) static bool fail(tm_typing_problem *problem, uint32_t argument, const char *hint,
                                                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->message, sizeof problem->message, format, arguments);
    va_end(arguments);
    problem->argument = argument;
    problem->hint = hint;
    return false;
}

static bool is_quantity(tm_type type)
{
    return type == TM_TYPE_NUMBER || type == TM_TYPE_DURATION || type == TM_TYPE_ANY;
}

static bool need_quantities(tm_op op, const tm_type *types, uint32_t count, tm_typing_problem *problem)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!is_quantity(types[i])) {
            return fail(problem, i, types[i] == TM_TYPE_NULL ? "null makes the whole null" : NULL,
                        "'%s' needs numbers or durations, this is %s", tm_operation_word(op), tm_type_phrase(types[i]));
        }
    }
    return true;
}

static bool need_conditions(tm_op op, const tm_type *types, uint32_t count, tm_typing_problem *problem)
{
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] != TM_TYPE_BOOLEAN && types[i] != TM_TYPE_ANY && types[i] != TM_TYPE_NULL) {
            return fail(problem, i, "compare it with something", "'%s' needs a condition, this is %s",
                        tm_operation_word(op), tm_type_phrase(types[i]));
        }
    }
    return true;
}

static bool mismatch(tm_op op, const tm_type *types, uint32_t a, uint32_t b, tm_typing_problem *problem)
{
    bool unit_missing = is_quantity(types[a]) && is_quantity(types[b]) && types[a] != types[b];
    return fail(problem, b, unit_missing ? "a duration has a unit: 7d, 24h, 90m" : NULL,
                "'%s': %s and %s do not go together", tm_operation_word(op), tm_type_phrase(types[a]),
                tm_type_phrase(types[b]));
}

/* One type for the arguments from `from` on; the literal null fits any. */
static bool unify(tm_op op, const tm_type *types, uint32_t from, uint32_t count, tm_type *ret_known, bool *ret_any,
                  tm_typing_problem *problem)
{
    uint32_t known = UINT32_MAX;
    *ret_any = false;
    for (uint32_t i = from; i < count; i++) {
        if (types[i] == TM_TYPE_ANY) {
            *ret_any = true;
        } else if (types[i] != TM_TYPE_NULL && known == UINT32_MAX) {
            known = i;
        } else if (types[i] != TM_TYPE_NULL && types[i] != types[known]) {
            return mismatch(op, types, known, i, problem);
        }
    }
    *ret_known = known == UINT32_MAX ? TM_TYPE_ANY : types[known];
    return true;
}

/* min, max, clamp, abs, ratio: quantities of one type, where null is allowed but makes the whole null. */
static bool same_quantities(tm_op op, const tm_type *types, uint32_t count, tm_type *ret_type,
                            tm_typing_problem *problem)
{
    bool any;
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] != TM_TYPE_NULL && !need_quantities(op, &types[i], 1, problem)) {
            problem->argument = i;
            return false;
        }
    }
    return unify(op, types, 0, count, ret_type, &any, problem);
}

/* coalesce and if: any one type; where it may turn out to be another, it is not known. */
static bool same_types(tm_op op, const tm_type *types, uint32_t from, uint32_t count, tm_type *ret_type,
                       tm_typing_problem *problem)
{
    bool any;
    if (!unify(op, types, from, count, ret_type, &any, problem)) {
        return false;
    }
    *ret_type = any ? TM_TYPE_ANY : *ret_type;
    return true;
}

static bool arithmetic(tm_op op, const tm_type *types, tm_type *ret_type, tm_typing_problem *problem)
{
    tm_type a = types[0];
    tm_type b = types[1];
    bool any = a == TM_TYPE_ANY || b == TM_TYPE_ANY;
    if (!need_quantities(op, types, 2, problem)) {
        return false;
    }
    if (op == TM_OP_ADD || op == TM_OP_SUBTRACT) {
        *ret_type = a == TM_TYPE_ANY ? b : a;
        return a == b || any || mismatch(op, types, 0, 1, problem);
    }
    if (op == TM_OP_MULTIPLY) {
        if (a == TM_TYPE_DURATION && b == TM_TYPE_DURATION) {
            return mismatch(op, types, 0, 1, problem);
        }
        *ret_type = any ? TM_TYPE_ANY : TM_TYPE_NUMBER;
        if (a == TM_TYPE_DURATION || b == TM_TYPE_DURATION) {
            *ret_type = TM_TYPE_DURATION;
        }
        return true;
    }
    if (a == TM_TYPE_NUMBER && b == TM_TYPE_DURATION) {
        return mismatch(op, types, 0, 1, problem);
    }
    if (a == TM_TYPE_NUMBER || b == TM_TYPE_DURATION) {
        *ret_type = TM_TYPE_NUMBER;
    } else {
        *ret_type = any ? TM_TYPE_ANY : TM_TYPE_DURATION;
    }
    return true;
}

static bool equality(tm_op op, const tm_type *types, tm_typing_problem *problem)
{
    return types[0] == types[1] || types[0] == TM_TYPE_ANY || types[1] == TM_TYPE_ANY ||
           mismatch(op, types, 0, 1, problem);
}

static bool ordering(tm_op op, const tm_type *types, tm_typing_problem *problem)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (types[i] == TM_TYPE_NULL) {
            return fail(problem, i, "test for it with '== null' or '!= null'", "null has no order");
        }
    }
    return need_quantities(op, types, 2, problem) && equality(op, types, problem);
}

bool tm_typing_operation(tm_op op, const tm_type *types, uint32_t count, tm_type *ret_type,
                         tm_typing_problem *ret_problem)
{
    *ret_type = TM_TYPE_BOOLEAN;
    switch (op) {
    case TM_OP_NOT:
    case TM_OP_AND:
    case TM_OP_OR:
        return need_conditions(op, types, count, ret_problem);
    case TM_OP_EQUAL:
    case TM_OP_NOT_EQUAL:
        return equality(op, types, ret_problem);
    case TM_OP_LESS:
    case TM_OP_LESS_EQUAL:
    case TM_OP_GREATER:
    case TM_OP_GREATER_EQUAL:
        return ordering(op, types, ret_problem);
    case TM_OP_NEGATE:
        *ret_type = types[0];
        return need_quantities(op, types, 1, ret_problem);
    case TM_OP_ADD:
    case TM_OP_SUBTRACT:
    case TM_OP_MULTIPLY:
    case TM_OP_DIVIDE:
        return arithmetic(op, types, ret_type, ret_problem);
    case TM_OP_COALESCE:
        return same_types(op, types, 0, count, ret_type, ret_problem);
    case TM_OP_IF:
        return need_conditions(op, types, 1, ret_problem) && same_types(op, types, 1, count, ret_type, ret_problem);
    case TM_OP_LOG:
        *ret_type = TM_TYPE_NUMBER;
        if (types[0] == TM_TYPE_DURATION) {
            return fail(ret_problem, 0, "divide it by a duration first", "'log' needs a number, this is a duration");
        }
        return need_quantities(op, types, 1, ret_problem);
    case TM_OP_RATIO: {
        tm_type pair;
        *ret_type = TM_TYPE_NUMBER;
        return same_quantities(op, types, count, &pair, ret_problem);
    }
    default:
        return same_quantities(op, types, count, ret_type, ret_problem);
    }
}
