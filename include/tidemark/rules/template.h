/* A rule's summary: text with {{expression | format}} in it. */
#ifndef TIDEMARK_RULES_TEMPLATE_H
#define TIDEMARK_RULES_TEMPLATE_H

#include "tidemark/core/pack.h"
#include "tidemark/rules/expression.h"

/* Splits `text` into parts taken from `arena` (fixed text is copied), compiling each expression into `program`. A
   format must fit the type of its expression: percent and number a number, duration a duration, date a text. TM_OK;
   TM_REJECT with `ret_error`, its offsets counting in `text`; TM_FATAL without memory. */
tm_status tm_template_parse(tm_program *program, const tm_expression_scope *scope, tm_arena *arena, tm_slice text,
                            tm_summary_part **ret_parts, uint32_t *ret_count, tm_expression_error *ret_error);

#endif
