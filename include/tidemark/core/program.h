/* Compiled expressions of a pack: one graph of typed nodes in which equal sub-expressions are one node, and its
   evaluation for one account at one moment. Evaluation takes no memory and never fails: every dubious operation is
   null. */
#ifndef TIDEMARK_CORE_PROGRAM_H
#define TIDEMARK_CORE_PROGRAM_H

#include "tidemark/base/heap.h"
#include "tidemark/core/event.h"
#include "tidemark/core/facts.h"
#include "tidemark/core/metric.h"
#include "tidemark/core/value.h"

struct tm_account;
struct tm_pack;

typedef enum tm_op {
    TM_OP_CONSTANT,
    /* of the account */
    TM_OP_WINDOW, /* metric, window */
    TM_OP_VALUE,  /* metric without a window (last, max, first) */
    TM_OP_AGE,    /* metric: whole UTC hours since its last event, a duration */
    TM_OP_FIRST,  /* metric: the same since its first event */
    TM_OP_FACT,   /* field, name */
    /* of the account against its own past: metric, window, periods, parameter (baseline.h) */
    TM_OP_ZSCORE,         /* window against `periods` earlier ones */
    TM_OP_GROWTH,         /* the same */
    TM_OP_MEDIAN_WEEKDAY, /* `periods` weeks; the window's offset */
    TM_OP_CUSUM,          /* `periods` weeks of reference; parameter: the allowance k */
    TM_OP_GAP,            /* `periods`: the percentile, 1 to 100 */
    /* of the account's stages */
    TM_OP_STAGE,               /* name of the present stage */
    TM_OP_STAGE_AGE,           /* whole UTC hours since it was entered, a duration */
    TM_OP_PREVIOUS_STAGE,      /* name of the one before it */
    TM_OP_PREVIOUS_STAGE_TIME, /* how long the account was in that, a duration */
    TM_OP_FIRST_VALUE,         /* metric: contract_age as of the day of its first event */
    TM_OP_BAND,                /* metric: index of a score: name of the band it is in */
    TM_OP_SCORE_AGO,           /* the same, window.length days ago */
    TM_OP_SCORE_LEAST,         /* over the last window.length days, today with them: */
    TM_OP_SCORE_GREATEST,
    TM_OP_SCORE_MEAN,
    /* of the event a `where` looks at */
    TM_OP_EVENT_NAME,
    TM_OP_EVENT_USER,
    TM_OP_EVENT_SOURCE,
    TM_OP_EVENT_VALUE,
    TM_OP_EVENT_PROPERTY,   /* name */
    TM_OP_USER_IS_CHAMPION, /* `user in champions` */
    /* arguments */
    TM_OP_NOT,
    TM_OP_NEGATE,
    TM_OP_AND,
    TM_OP_OR,
    TM_OP_EQUAL,
    TM_OP_NOT_EQUAL,
    TM_OP_LESS,
    TM_OP_LESS_EQUAL,
    TM_OP_GREATER,
    TM_OP_GREATER_EQUAL,
    TM_OP_IS_NULL,
    TM_OP_IS_NOT_NULL,
    TM_OP_ADD,
    TM_OP_SUBTRACT,
    TM_OP_MULTIPLY,
    TM_OP_DIVIDE,
    TM_OP_RATIO,
    TM_OP_MINIMUM,
    TM_OP_MAXIMUM,
    TM_OP_ABSOLUTE,
    TM_OP_CLAMP,
    TM_OP_COALESCE,
    TM_OP_IF,
    TM_OP_LOG,
    /* of scorecards */
    TM_OP_PIECEWISE, /* value, then x and y of each point, constants, x rising: y at the value, flat beyond the ends */
    TM_OP_SCORE,     /* points and weight of each factor: their weighted mean over those not null, to one decimal */
    TM_OP_COVERAGE,  /* the same arguments: the share of the weight whose points are not null */
    TM_OP_PICK       /* condition and value of each choice: the value of the first whose condition is true */
} tm_op;

typedef struct tm_node {
    uint8_t op;   /* tm_op */
    uint8_t type; /* static tm_type */
    uint16_t argument_count;
    uint32_t arguments; /* index of the first in the program's argument list */
    uint32_t metric;    /* of the operations that read one; the pack's score of those that read what is kept of it */
    tm_window window;
    uint16_t periods; /* of a baseline */
    uint16_t slot;    /* of a baseline: where accounts keep it, from 1; 0: nowhere. Given by tm_pack_finish */
    double parameter; /* of a baseline */
    tm_fact_field field;
    tm_slice name;     /* of a fact or property; the program keeps a copy */
    tm_value constant; /* a string constant is copied likewise */
    tm_slice text;     /* canonical source text, for evidence and explain; copied */
} tm_node;

typedef struct tm_program {
    tm_arena *arena; /* owned by the pack */
    tm_node *nodes;
    uint32_t node_count, node_capacity;
    uint32_t *argument_list;
    uint32_t argument_count, argument_capacity;
} tm_program;

/* An empty program in `arena`. */
void tm_program_init(tm_program *program, tm_arena *arena);

/* Adds a node, or finds the equal one that is there already (text not compared); operations whose arguments are all
   constants are folded into a constant where the result has a literal (null has none: its type would be forgotten).
   The text of a constant is written by the program, in its shortest form. `arguments` holds node->argument_count nodes
   added before. TM_OK; TM_REJECT when the program is full (TM_PROGRAM_NODES_MAX); TM_FATAL without memory. */
tm_status tm_program_add(tm_program *program, const tm_node *node, const uint32_t *arguments, uint32_t *ret_node);

/* What evaluation knows besides the account. */
typedef struct tm_environment {
    const struct tm_pack *pack;
    const tm_moment *now;
    /* A metric's counting start as a local day: windows that begin before that day are null. One a metric of the pack;
     * INT32_MIN: history is complete. */
    const int32_t *counting_days;
} tm_environment;

/* Room for one evaluation, reused: a memo a node. */
typedef struct tm_evaluator tm_evaluator;
tm_evaluator *tm_evaluator_new(tm_heap *heap, const tm_program *program); /* NULL without memory */
void tm_evaluator_free(tm_heap *heap, tm_evaluator *evaluator);

/* Starts an evaluation: forgets all memos. `account` may be NULL (an account never seen), `event` is NULL except for
   `where`. Everything handed in stays unchanged until the next begin. */
void tm_evaluator_begin(tm_evaluator *evaluator, const tm_environment *environment, const struct tm_account *account,
                        const tm_event *event);
/* The value of a node; computed once an evaluation. Ratios and sums are computed in double precision in the order
 * written. */
tm_value tm_evaluator_value(tm_evaluator *evaluator, uint32_t node);
/* The earliest instant after now at which a value asked for since `begin` may differ without a new record:
   TM_TIME_NEVER when none can. Comparisons of age() with a constant know their crossing. */
tm_time tm_evaluator_horizon(const tm_evaluator *evaluator);

#endif
