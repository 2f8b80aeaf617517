/* The expression language: text to typed nodes of a program, with errors that point. The grammar and the functions are
   written down in docs/expressions.md. */
#ifndef TIDEMARK_RULES_EXPRESSION_H
#define TIDEMARK_RULES_EXPRESSION_H

#include "tidemark/core/pack.h"
#include "tidemark/rules/diagnostics.h"

/* Where an expression stands, since not everything is known everywhere. */
typedef enum tm_expression_place {
    TM_PLACE_RULE,   /* a rule, or what is asked of an account */
    TM_PLACE_CARD,   /* for whom a scorecard is: no scores */
    TM_PLACE_FACTOR, /* what it measures: scores of earlier days alone */
    TM_PLACE_ENTER   /* the condition of a stage: nothing that follows from stages */
} tm_expression_place;

/* What names mean where the expression stands. */
typedef struct tm_expression_scope {
    const tm_metric *metrics; /* name and kind are read; indices become those of the nodes */
    uint32_t metric_count;
    const tm_score *scores; /* those of the file */
    uint32_t score_count;
    const tm_stage *stages; /* those of the file */
    uint32_t stage_count;
    bool has_first_value; /* the file names the metric of first value … */
    uint32_t first_value; /* … this one */
    tm_expression_place place;
    bool where; /* a metric's `where`: the event's fields are known, metrics are not */
} tm_expression_scope;

typedef struct tm_expression_error {
    size_t offset, length; /* bytes of the text that are at fault */
    char message[320];
    char hint[200]; /* empty: none */
} tm_expression_error;

/* What a rule wants to know of its condition besides the value. */
typedef struct tm_expression_outline {
    /* The sides of the comparison whose operator comes first in the text; TM_NODE_NONE: there is none, or that side is
       `null` or a list. */
    uint32_t left, right;
    /* Metric, age and fact terms and the sides of comparisons, constants left out: in the order in which they begin in
       the text (the longer first where two begin together), each once; the first TM_EVIDENCE_MAX. */
    uint32_t evidence[TM_EVIDENCE_MAX];
    uint32_t evidence_count;
} tm_expression_outline;

/* Compiles `text` into `program`. The value must be of type `wanted` (TM_TYPE_ANY: whatever); what is only known when
   it is read (an attribute, a property) and `null` fit everywhere. `ret_outline` may be NULL.
   TM_OK; TM_REJECT with `ret_error` filled in (nodes may have been added: the program is not to be used further);
   TM_FATAL without memory. */
tm_status tm_expression_compile(tm_program *program, const tm_expression_scope *scope, tm_slice text, tm_type wanted,
                                uint32_t *ret_node, tm_expression_outline *ret_outline, tm_expression_error *ret_error);

/* The node `not (…)` of a boolean one. TM_OK, TM_REJECT when the program is full, TM_FATAL without memory. */
tm_status tm_expression_not(tm_program *program, uint32_t node, uint32_t *ret_node);

/* Whether a name has a meaning of its own in expressions (a fact or a word of the grammar), so that no metric can have
   it. */
bool tm_expression_reserved(tm_slice name);
/* Whether `name` is a letter or '_', then letters, digits and '_': what can stand in an expression unquoted. */
bool tm_expression_is_name(tm_slice name);

#endif
