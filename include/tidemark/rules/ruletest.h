/* Runs the tests of a file against its rules: the shard itself, on made-up records and a made-up clock. */
#ifndef TIDEMARK_RULES_RULETEST_H
#define TIDEMARK_RULES_RULETEST_H

#include "tidemark/core/pack.h"
#include "tidemark/core/signal.h"
#include "tidemark/rules/testfile.h"

typedef enum tm_difference_kind {
    TM_DIFFERENCE_MISSING,    /* an expected signal that did not come */
    TM_DIFFERENCE_UNEXPECTED, /* a signal that nobody expected */
    TM_DIFFERENCE_FIELD,      /* a signal came, but a field differs */
    TM_DIFFERENCE_VALUE       /* an expression had another value */
} tm_difference_kind;
const char *tm_difference_kind_name(tm_difference_kind kind); /* missing, unexpected, field, value */

typedef struct tm_difference {
    tm_difference_kind kind;
    uint32_t line; /* of what was expected, in the test file; 0: nothing was */
    tm_time at;
    tm_slice account;
    tm_slice rule; /* absent for a value */
    tm_signal_state state;
    tm_slice subject;       /* the field's name, or the expression; else absent */
    tm_slice expected, got; /* as text; of an unexpected signal, `got` is its severity and summary */
} tm_difference;

typedef struct tm_ruletest_result {
    tm_arena *arena; /* everything below */
    tm_slice name;
    uint32_t line;
    uint32_t expected, signals, checks; /* signals expected and compared, values checked */
    tm_difference *differences;         /* by time, account, rule; values last. None: the test has passed */
    uint32_t difference_count;
} tm_ruletest_result;

/* What running asks of the world. */
typedef struct tm_ruletest_world {
    void *context;
    /* A zone by name, valid as long as the tests are. TM_OK, TM_REJECT (no such zone), TM_FATAL. */
    tm_status (*zone)(void *context, tm_slice name, const tm_zone **ret_zone, tm_error *error);
    /* Appends a signal's summary with its values; NULL: summaries are not known and count as null. */
    void (*summary)(const tm_signal *signal, tm_buffer *out);
} tm_ruletest_world;

typedef struct tm_ruletest tm_ruletest;

/* Compiles the rules with the tests' expressions and looks up every rule they name. `file` and `world` outlive the
   tests. TM_OK; TM_REJECT: errors in the rules or in the test file, all in `diagnostics` (zeroed by the caller), the
   first in `error`; TM_FATAL without memory. */
tm_status tm_ruletest_new(const tm_testfile *file, tm_slice rules_text, const char *rules_name,
                          const tm_ruletest_world *world, tm_diagnostics *diagnostics, tm_ruletest **ret_tests,
                          tm_error *error);
void tm_ruletest_free(tm_ruletest *tests); /* NULL is allowed */

/* Runs the index-th test of the file. TM_OK, passed or not; TM_REJECT: its zone is not known; TM_FATAL without memory.
   A result is freed with tm_ruletest_result_free, whatever was returned. */
tm_status tm_ruletest_run(tm_ruletest *tests, uint32_t index, tm_ruletest_result *ret_result, tm_error *error);
void tm_ruletest_result_free(tm_ruletest_result *result);

/* Appends the differences for people, a line or three each: '-' what was expected, '+' what came. */
void tm_ruletest_describe(const tm_ruletest_result *result, tm_buffer *out);

#endif
