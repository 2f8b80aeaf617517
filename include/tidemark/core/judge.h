/* Judges one account at one instant: programs → episodes → signals, and when to look again. */
#ifndef TIDEMARK_CORE_JUDGE_H
#define TIDEMARK_CORE_JUDGE_H

#include "tidemark/core/signal.h"

typedef tm_status (*tm_signal_sink)(void *context, const tm_signal *signal);

typedef tm_status (*tm_health_sink)(void *context, const tm_health_record *record);

typedef struct tm_judge {
    const tm_pack *pack;
    tm_heap *heap;
    tm_evaluator *evaluator;
    void *sink_context;
    tm_signal_sink sink;        /* called in order of judgement; a return other than TM_OK ends the judgement with it */
    tm_health_sink health_sink; /* likewise, with the same context; of an instant it comes before its signals */
    int64_t open[TM_KINDS];     /* open episodes, kept up to date */
    uint64_t (*signals)[4];     /* counted by kind and tm_signal_state; NULL: not counted */
} tm_judge;

/* Judges `account` by the rules of the pack at environment->now, which is a grid instant: by all of them when the
   account's last judgement stands no longer, else by those that what was applied since has stirred, directly or through
   an inhibitor; the others would come to what they came to then. `grid` is evaluate_every in ms. *ret_due is the next
   grid instant at which anything can differ without a record (TM_TIME_NEVER: none). account->changed is set when an
   episode changed. TM_OK, TM_FATAL, TM_BROKEN, or what the sink returned. */
tm_status tm_judge_account(tm_judge *judge, const tm_environment *environment, tm_account *account, int64_t grid,
                           tm_time *ret_due);

/* Late data can overturn a verdict: whether an event of `at` comes after a signal of an open episode that it is dated
   before; if so, the verdicts to be compared before it is applied and after. `verdicts`: one a rule of the pack. */
bool tm_judge_concerned(const tm_account *account, tm_time at);
void tm_judge_verdicts(tm_judge *judge, const tm_environment *environment, tm_account *account, tm_time at,
                       uint8_t verdicts[static TM_RULES_MAX]);
/* Notes what was overturned; the account is then judged as a whole. */
void tm_judge_revise(tm_judge *judge, const tm_environment *environment, tm_account *account, tm_time at,
                     const uint8_t before[static TM_RULES_MAX]);

/* Ends every open episode (reason erased) at `now`, without facts. */
tm_status tm_judge_erase(tm_judge *judge, const tm_environment *environment, tm_account *account);

#endif
