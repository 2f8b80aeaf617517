/* The one way a compiled expression is written: single blanks, no bracket that changes nothing. Read again it gives the
   same node. */
#ifndef TIDEMARK_RULES_CANONICAL_H
#define TIDEMARK_RULES_CANONICAL_H

#include "tidemark/core/program.h"

/* Appends the text of an operation, made of the texts its arguments have in the program. */
void tm_canonical_operation(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments,
                            uint32_t count);
/* Appends a text in single quotes, with what an expression escapes escaped. */
void tm_canonical_quoted(tm_buffer *text, tm_slice string);
/* Appends `.name` or, where the name is not one, `['any text']`. */
void tm_canonical_member(tm_buffer *text, tm_slice name);
/* Whether `name` is a letter or '_', then letters, digits and '_': what can stand in an expression unquoted. */
bool tm_canonical_is_name(tm_slice name);

/* `m[7d offset 1d]`. */
void tm_canonical_window(tm_buffer *text, tm_slice metric, const tm_window *window);
/* `zscore(m[14d], 8)` and the like: a baseline node of that metric. */
void tm_canonical_baseline(tm_buffer *text, tm_slice metric, const tm_node *node);
/* The allowance of a CUSUM that need not be written. */
#define TM_CUSUM_ALLOWANCE 0.5

#endif
