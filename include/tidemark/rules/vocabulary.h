/* The words of the expression language: facts, functions, the fields of an event, and the words of the grammar. */
#ifndef TIDEMARK_RULES_VOCABULARY_H
#define TIDEMARK_RULES_VOCABULARY_H

#include "tidemark/core/program.h"

typedef struct tm_fact_word {
    const char *name;
    tm_fact_field field; /* owners, goals, attributes and products take a name behind them; products stand for seats */
} tm_fact_word;

typedef struct tm_function_word {
    const char *name;
    tm_op op;
    uint32_t least, most; /* arguments */
} tm_function_word;

typedef struct tm_event_word {
    const char *name;
    tm_op op;
    tm_type type;
} tm_event_word;

/* Names of what follows from an account's stages. */
typedef struct tm_standing_word {
    const char *name;
    tm_op op;
    tm_type type;
} tm_standing_word;

/* The i-th entry, or NULL behind the last. */
const tm_fact_word *tm_fact_word_at(size_t i);
const tm_function_word *tm_function_word_at(size_t i);
const tm_event_word *tm_event_word_at(size_t i);

const tm_standing_word *tm_standing_word_at(size_t i);

/* Look-ups by name; NULL when there is none. */
const tm_fact_word *tm_fact_word_find(tm_slice name);
const tm_function_word *tm_function_word_find(tm_slice name);
const tm_event_word *tm_event_word_find(tm_slice name);
const tm_standing_word *tm_standing_word_find(tm_slice name);
bool tm_grammar_word(tm_slice name); /* and or not in true false null offset */

/* How an operation is written: the sign or word of an operator ("+", "and"), the name of a function. */
const char *tm_operation_word(tm_op op);

#endif
