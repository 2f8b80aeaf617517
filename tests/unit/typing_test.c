#include "tidemark/rules/typing.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Short, so that a row is a line. */
#define NUL TM_TYPE_NULL
#define NUM TM_TYPE_NUMBER
#define DUR TM_TYPE_DURATION
#define STR TM_TYPE_STRING
#define BOO TM_TYPE_BOOLEAN
#define ANY TM_TYPE_ANY

Test(typing, names_types_for_messages)
{
    static const struct {
        tm_type type;
        const char *phrase;
    } table[] = {{TM_TYPE_NUMBER, "a number"}, {TM_TYPE_DURATION, "a duration"},
                 {TM_TYPE_STRING, "a string"}, {TM_TYPE_BOOLEAN, "true or false"},
                 {TM_TYPE_NULL, "null"},       {TM_TYPE_ANY, "of a type known only when it is read"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_assert_str_eq(tm_type_phrase(table[i].type), table[i].phrase);
    }
}

Test(typing, gives_the_type_of_an_operation)
{
    static const struct {
        tm_op op;
        uint32_t count;
        tm_type types[3];
        tm_type gives;
    } table[] = {
        {TM_OP_NOT, 1, {BOO}, BOO},
        {TM_OP_NOT, 1, {ANY}, BOO},
        {TM_OP_AND, 3, {BOO, ANY, NUL}, BOO},
        {TM_OP_OR, 2, {NUL, NUL}, BOO},
        {TM_OP_EQUAL, 2, {STR, STR}, BOO},
        {TM_OP_EQUAL, 2, {BOO, ANY}, BOO},
        {TM_OP_NOT_EQUAL, 2, {ANY, DUR}, BOO},
        {TM_OP_LESS, 2, {NUM, NUM}, BOO},
        {TM_OP_LESS_EQUAL, 2, {DUR, DUR}, BOO},
        {TM_OP_GREATER, 2, {ANY, DUR}, BOO},
        {TM_OP_GREATER_EQUAL, 2, {ANY, ANY}, BOO},
        {TM_OP_NEGATE, 1, {NUM}, NUM},
        {TM_OP_NEGATE, 1, {DUR}, DUR},
        {TM_OP_NEGATE, 1, {ANY}, ANY},
        {TM_OP_ADD, 2, {NUM, NUM}, NUM},
        {TM_OP_ADD, 2, {DUR, DUR}, DUR},
        {TM_OP_ADD, 2, {ANY, DUR}, DUR},
        {TM_OP_SUBTRACT, 2, {NUM, ANY}, NUM},
        {TM_OP_SUBTRACT, 2, {ANY, ANY}, ANY},
        {TM_OP_MULTIPLY, 2, {NUM, NUM}, NUM},
        {TM_OP_MULTIPLY, 2, {NUM, DUR}, DUR},
        {TM_OP_MULTIPLY, 2, {DUR, NUM}, DUR},
        {TM_OP_MULTIPLY, 2, {ANY, DUR}, DUR},
        {TM_OP_MULTIPLY, 2, {ANY, NUM}, ANY}, /* what is read may be a duration */
        {TM_OP_DIVIDE, 2, {NUM, NUM}, NUM},
        {TM_OP_DIVIDE, 2, {DUR, DUR}, NUM},
        {TM_OP_DIVIDE, 2, {DUR, NUM}, DUR},
        {TM_OP_DIVIDE, 2, {ANY, DUR}, NUM},
        {TM_OP_DIVIDE, 2, {NUM, ANY}, NUM},
        {TM_OP_DIVIDE, 2, {DUR, ANY}, ANY},
        {TM_OP_DIVIDE, 2, {ANY, NUM}, ANY},
        {TM_OP_RATIO, 2, {NUM, NUM}, NUM},
        {TM_OP_RATIO, 2, {DUR, DUR}, NUM},
        {TM_OP_RATIO, 2, {ANY, NUL}, NUM},
        {TM_OP_MINIMUM, 3, {NUM, ANY, NUM}, NUM},
        {TM_OP_MAXIMUM, 2, {NUL, DUR}, DUR},
        {TM_OP_MAXIMUM, 2, {NUL, NUL}, ANY},
        {TM_OP_ABSOLUTE, 1, {DUR}, DUR},
        {TM_OP_ABSOLUTE, 1, {ANY}, ANY},
        {TM_OP_CLAMP, 3, {ANY, NUM, NUM}, NUM},
        {TM_OP_COALESCE, 1, {STR}, STR},
        {TM_OP_COALESCE, 3, {NUL, BOO, BOO}, BOO},
        {TM_OP_COALESCE, 2, {ANY, NUM}, ANY},
        {TM_OP_COALESCE, 2, {NUL, NUL}, ANY},
        {TM_OP_IF, 3, {BOO, STR, STR}, STR},
        {TM_OP_IF, 3, {NUL, NUM, NUL}, NUM},
        {TM_OP_IF, 3, {ANY, NUL, DUR}, DUR},
        {TM_OP_IF, 3, {BOO, ANY, DUR}, ANY},
        {TM_OP_LOG, 1, {NUM}, NUM},
        {TM_OP_LOG, 1, {ANY}, NUM},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        tm_type type = TM_TYPE_NULL;
        tm_typing_problem problem = {.message = ""};
        bool fits = tm_typing_operation(table[i].op, table[i].types, table[i].count, &type, &problem);
        cr_assert(fits, "row %zu: %s", i, problem.message);
        cr_assert_eq(type, table[i].gives, "row %zu: %s", i, tm_type_name(type));
    }
}

Test(typing, says_which_argument_does_not_fit_and_why)
{
    static const char unit[] = "a duration has a unit: 7d, 24h, 90m";
    static const char compare[] = "compare it with something";
    static const struct {
        tm_op op;
        uint32_t count;
        tm_type types[3];
        uint32_t argument;
        const char *message, *hint;
    } table[] = {
        {TM_OP_NOT, 1, {NUM}, 0, "'not' needs a condition, this is a number", compare},
        {TM_OP_AND, 3, {BOO, ANY, STR}, 2, "'and' needs a condition, this is a string", compare},
        {TM_OP_OR, 2, {DUR, BOO}, 0, "'or' needs a condition, this is a duration", compare},
        {TM_OP_EQUAL, 2, {STR, NUM}, 1, "'==': a string and a number do not go together", NULL},
        {TM_OP_NOT_EQUAL, 2, {DUR, NUM}, 1, "'!=': a duration and a number do not go together", unit},
        {TM_OP_LESS, 2, {NUM, DUR}, 1, "'<': a number and a duration do not go together", unit},
        {TM_OP_LESS_EQUAL, 2, {NUL, NUM}, 0, "null has no order", "test for it with '== null' or '!= null'"},
        {TM_OP_GREATER, 2, {STR, NUL}, 1, "null has no order", "test for it with '== null' or '!= null'"},
        {TM_OP_GREATER, 2, {STR, STR}, 0, "'>' needs numbers or durations, this is a string", NULL},
        {TM_OP_GREATER_EQUAL, 2, {ANY, BOO}, 1, "'>=' needs numbers or durations, this is true or false", NULL},
        {TM_OP_NEGATE, 1, {STR}, 0, "'-' needs numbers or durations, this is a string", NULL},
        {TM_OP_ADD, 2, {NUM, DUR}, 1, "'+': a number and a duration do not go together", unit},
        {TM_OP_ADD, 2, {NUM, NUL}, 1, "'+' needs numbers or durations, this is null", "null makes the whole null"},
        {TM_OP_SUBTRACT, 2, {BOO, NUM}, 0, "'-' needs numbers or durations, this is true or false", NULL},
        {TM_OP_MULTIPLY, 2, {DUR, DUR}, 1, "'*': a duration and a duration do not go together", NULL},
        {TM_OP_MULTIPLY, 2, {ANY, STR}, 1, "'*' needs numbers or durations, this is a string", NULL},
        {TM_OP_DIVIDE, 2, {NUM, DUR}, 1, "'/': a number and a duration do not go together", unit},
        {TM_OP_RATIO, 2, {DUR, NUM}, 1, "'ratio': a duration and a number do not go together", unit},
        {TM_OP_RATIO, 2, {ANY, STR}, 1, "'ratio' needs numbers or durations, this is a string", NULL},
        {TM_OP_MINIMUM, 3, {NUM, NUL, DUR}, 2, "'min': a number and a duration do not go together", unit},
        {TM_OP_MAXIMUM, 3, {ANY, NUM, BOO}, 2, "'max' needs numbers or durations, this is true or false", NULL},
        {TM_OP_ABSOLUTE, 1, {STR}, 0, "'abs' needs numbers or durations, this is a string", NULL},
        {TM_OP_CLAMP, 3, {DUR, DUR, NUM}, 2, "'clamp': a duration and a number do not go together", unit},
        {TM_OP_COALESCE, 3, {NUL, STR, BOO}, 2, "'coalesce': a string and true or false do not go together", NULL},
        {TM_OP_IF, 3, {NUM, STR, STR}, 0, "'if' needs a condition, this is a number", compare},
        {TM_OP_IF, 3, {BOO, STR, NUM}, 2, "'if': a string and a number do not go together", NULL},
        {TM_OP_LOG, 1, {DUR}, 0, "'log' needs a number, this is a duration", "divide it by a duration first"},
        {TM_OP_LOG, 1, {BOO}, 0, "'log' needs numbers or durations, this is true or false", NULL},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        tm_type type;
        tm_typing_problem problem = {.argument = UINT32_MAX};
        cr_assert_not(tm_typing_operation(table[i].op, table[i].types, table[i].count, &type, &problem), "row %zu", i);
        cr_assert_str_eq(problem.message, table[i].message);
        cr_assert_eq(problem.argument, table[i].argument, "row %zu: %u", i, problem.argument);
        if (table[i].hint) {
            cr_assert_not_null(problem.hint, "row %zu", i);
            cr_assert_str_eq(problem.hint, table[i].hint);
        } else {
            cr_assert_null(problem.hint, "row %zu: %s", i, problem.hint);
        }
    }
}

/* A type that is only known when it is read must never be the reason to refuse. */
Test(typing, any_fits_everywhere)
{
    static const tm_type types[] = {NUM, DUR, STR, BOO};
    const tm_type anys[3] = {ANY, ANY, ANY};
    for (int op = TM_OP_NOT; op <= TM_OP_LOG; op++) {
        if (op == TM_OP_IS_NULL || op == TM_OP_IS_NOT_NULL) {
            continue;
        }
        uint32_t count = op == TM_OP_IF || op == TM_OP_CLAMP                                                ? 3
                         : op == TM_OP_NOT || op == TM_OP_NEGATE || op == TM_OP_ABSOLUTE || op == TM_OP_LOG ? 1
                                                                                                            : 2;
        tm_type type;
        tm_typing_problem problem = {.message = ""};
        cr_assert(tm_typing_operation((tm_op)op, anys, count, &type, &problem), "%d: %s", op, problem.message);
    }
    for (size_t i = 0; i < COUNT(types); i++) {
        const tm_type pair[2] = {types[i], ANY};
        tm_type type;
        tm_typing_problem problem;
        cr_assert(tm_typing_operation(TM_OP_EQUAL, pair, 2, &type, &problem));
        cr_assert(tm_typing_operation(TM_OP_COALESCE, pair, 2, &type, &problem));
    }
}
