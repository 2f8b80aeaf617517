/* Which types an operation takes and what it gives, known when an expression is compiled. What is only known when it is
   read (an attribute, a property: TM_TYPE_ANY) fits everywhere. TM_TYPE_NULL is the literal null. */
#ifndef TIDEMARK_RULES_TYPING_H
#define TIDEMARK_RULES_TYPING_H

#include "tidemark/core/program.h"

typedef struct tm_typing_problem {
    uint32_t argument; /* which one is at fault */
    char message[200];
    const char *hint; /* NULL: none */
} tm_typing_problem;

/* "a number", "true or false", …; for messages. */
const char *tm_type_phrase(tm_type type);

/* The type of an operation over arguments of the given types, or false and the problem. Tests for null (comparisons
   whose one side is the literal) are the caller's to tell from comparisons. */
bool tm_typing_operation(tm_op op, const tm_type *types, uint32_t count, tm_type *ret_type,
                         tm_typing_problem *ret_problem);

#endif
