/* Signals held against what happened in the end. First everything that was seen is handed in, in order of time; then
   the outcomes, which nothing before may know; then questions.

   An *alarm* is one episode that was raised. It is a *hit* when the outcome that its kind foretells (churn_risk:
   churned, expansion: expanded) came within `within` after it; a *miss* when that time passed without it, or the
   account ended otherwise; else *undecided*, because the data end before. An alarm after the account ended is none. An
   outcome is *foreseen* when such an alarm was open at some moment of the time `within` before it. */
#ifndef TIDEMARK_INSIGHT_BACKTEST_H
#define TIDEMARK_INSIGHT_BACKTEST_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/calendar.h"
#include "tidemark/base/heap.h"
#include "tidemark/base/statistics.h"
#include "tidemark/core/pack.h"

/* What happened in the end. */
typedef enum tm_ending {
    TM_ENDING_CHURNED,
    TM_ENDING_RENEWED,
    TM_ENDING_EXPANDED,
    TM_ENDING_CONTRACTED,
    TM_ENDINGS
} tm_ending;

/* "churned", "renewed", "expanded", "contracted"; static storage. */
const char *tm_ending_name(tm_ending ending);

typedef struct tm_backtest_settings {
    int64_t within; /* ms after an alarm, and before an outcome, in which one belongs to the other */
    int64_t loss;   /* ms after a snapshot in which churn counts for the ranking */
    int64_t tenure; /* ms since an account's first record before which no outcome of it counts and it is not ranked */
    tm_time since;  /* snapshots, alarms and outcomes before it do not count; TM_TIME_NONE: all do */
} tm_backtest_settings;

typedef struct tm_backtest tm_backtest;

/* Empty. NULL without memory. */
tm_backtest *tm_backtest_new(const tm_backtest_settings *settings);
void tm_backtest_free(tm_backtest *backtest); /* NULL is allowed */

/* --- what was seen --- */
/* The number of an account, a rule, an owner: the same for the same text, from 0. UINT32_MAX without memory. */
uint32_t tm_backtest_account(tm_backtest *backtest, tm_slice account);
uint32_t tm_backtest_rule(tm_backtest *backtest, tm_slice rule, tm_kind kind);
uint32_t tm_backtest_owner(tm_backtest *backtest, tm_slice owner);
/* The account has its first record at `t`; later calls for it change nothing. */
void tm_backtest_met(tm_backtest *backtest, uint32_t account, tm_time t);
/* An episode was raised. `mrr`: NaN when unknown. TM_OK or TM_FATAL without memory. */
tm_status tm_backtest_raised(tm_backtest *backtest, uint32_t account, uint32_t rule, uint32_t owner,
                             tm_severity severity, tm_time t);
/* The open episode of this account and rule has this severity from now on (the greatest counts), or was cleared. */
void tm_backtest_updated(tm_backtest *backtest, uint32_t account, uint32_t rule, tm_severity severity);
void tm_backtest_cleared(tm_backtest *backtest, uint32_t account, uint32_t rule, tm_time t);
/* How an account stands at `t`. `score`: the greater the safer, NaN when there is none; `mrr` likewise NaN. TM_OK or
   TM_FATAL without memory. */
tm_status tm_backtest_snapshot(tm_backtest *backtest, uint32_t account, tm_time t, double score, double mrr);

/* --- what happened --- */
/* Nothing after `until` was seen; to be said before the judging. */
void tm_backtest_seen_until(tm_backtest *backtest, tm_time until);
tm_time tm_backtest_until(const tm_backtest *backtest);
/* TM_OK; TM_REJECT: nothing is known of that account; TM_FATAL without memory. */
tm_status tm_backtest_ended(tm_backtest *backtest, tm_slice account, tm_ending ending, tm_time t, tm_slice reason);
/* To be called once after the last outcome, before the first question. TM_OK or TM_FATAL without memory. */
tm_status tm_backtest_judge(tm_backtest *backtest);

/* --- questions --- */
typedef struct tm_backtest_figures {
    uint64_t alarms, hits, misses, undecided;
    uint64_t accounts; /* that had an alarm */
    tm_estimate precision;
    tm_estimate recall;     /* of the outcomes that could have been foreseen */
    tm_estimate lead;       /* median, ms, from the first alarm within the time before the outcome to the outcome */
    double chance;          /* the precision of alarms at random, from the snapshots; NaN: none */
    double false_per_month; /* misses per account and 30 days of those accounts that did not come to that outcome */
} tm_backtest_figures;

/* Which alarms: of one rule, or (rule UINT32_MAX) all of a kind from a severity on. TM_OK or TM_FATAL without memory.
 */
typedef struct tm_backtest_choice {
    uint32_t rule;
    tm_kind kind;
    tm_severity severity; /* at least; with a rule: ignored */
} tm_backtest_choice;
tm_status tm_backtest_figures_of(const tm_backtest *backtest, const tm_backtest_choice *choice,
                                 tm_backtest_figures *ret_figures);

/* Signals raised (of all kinds, and whatever became of the account) per owner and whole week between the first and the
   last: mean, median, the 95th percentile and the greatest, over all pairs of an owner and a week, those without a
   signal too. Accounts without an owner count as one owner. */
typedef struct tm_backtest_load {
    double mean, median, often, most;
    uint32_t owners, weeks;
} tm_backtest_load;
tm_status tm_backtest_load_of(const tm_backtest *backtest, tm_backtest_load *ret_load);

/* How well the scores of the snapshots rank accounts by whether they churned within `loss`; snapshots for which that is
   not over by the end are left out, since of those only the losses could be known. */
tm_status tm_backtest_ranking_of(const tm_backtest *backtest, tm_ranking *ret_ranking, uint64_t *ret_without_score);

/* Outcomes of a kind, in order of time, and whether any alarm of that kind foresaw them. */
typedef struct tm_backtest_outcome {
    tm_slice account, reason; /* until the backtest is freed; reason absent when there is none */
    tm_time t;
    double mrr;          /* of the last snapshot before that has one; NaN: unknown */
    uint32_t first_rule; /* that foresaw it; UINT32_MAX: none */
    bool counts;         /* the account was known long enough */
} tm_backtest_outcome;
size_t tm_backtest_outcome_count(const tm_backtest *backtest, tm_ending ending);
tm_backtest_outcome tm_backtest_outcome_at(const tm_backtest *backtest, tm_ending ending, size_t index);

uint32_t tm_backtest_rule_count(const tm_backtest *backtest);
tm_slice tm_backtest_rule_name(const tm_backtest *backtest, uint32_t rule);
tm_kind tm_backtest_rule_kind(const tm_backtest *backtest, uint32_t rule);
uint32_t tm_backtest_account_count(const tm_backtest *backtest);

#endif
