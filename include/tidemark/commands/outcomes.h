/* What became of accounts, out of a CSV file: read only after everything else was, so that nothing can know it early.
 */
#ifndef TIDEMARK_COMMANDS_OUTCOMES_H
#define TIDEMARK_COMMANDS_OUTCOMES_H

#include "tidemark/base/calendar.h"
#include "tidemark/insight/backtest.h"

typedef struct tm_outcomes_read {
    uint64_t taken;   /* rows handed over */
    uint64_t strange; /* rows of accounts that the data do not have */
    uint64_t other;   /* rows whose outcome is none of ours, such as active */
} tm_outcomes_read;

/* One row: TM_REJECT when it is of an account that the data do not have, TM_FATAL without memory, else TM_OK. */
typedef tm_status (*tm_outcome_take)(void *context, tm_slice account, tm_ending ending, tm_time t, tm_slice reason);

/* As the next, handing each outcome to `take`. */
tm_status tm_outcomes_each(const char *path, const tm_zone *zone, tm_outcome_take take, void *context,
                           tm_outcomes_read *ret_read, tm_error *error);
/* Reads a file, "-" for standard input: a header with the columns `account`, `outcome` and `at` (or `date`), perhaps
   `reason` (or `churn_kind`); other columns are ignored. An outcome is churned, renewed, expanded (upsold, upgraded) or
   contracted (downsold, downgraded); other words are counted. `at` is RFC 3339, milliseconds, or a day YYYY-MM-DD,
   which stands for its first instant in `zone`. TM_OK; TM_REJECT with an error that names file and line; TM_FATAL. */
tm_status tm_outcomes_read_file(const char *path, const tm_zone *zone, tm_backtest *backtest,
                                tm_outcomes_read *ret_read, tm_error *error);

#endif
