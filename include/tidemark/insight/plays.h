/* Plays held against how accounts went on. What is found is an association, never a cause: whoever gets a play was
   chosen by somebody for a reason.

   Once a week every account stands in a *stratum*: the week, what makes accounts alike (their stage, say), and the
   tenth of that week's scores that theirs falls in. An account for which the play was started in the seven days that
   follow is held against those of the same stratum for which it was not, neither then nor within `within` before. A
   play started later does not take an account out: whether it will be is not known in that week. */
#ifndef TIDEMARK_INSIGHT_PLAYS_H
#define TIDEMARK_INSIGHT_PLAYS_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/calendar.h"
#include "tidemark/base/statistics.h"

typedef struct tm_plays_settings {
    int64_t within; /* ms; an account went on when it did not churn for that long */
    uint32_t weeks; /* after so many its use is compared with that of the week itself */
} tm_plays_settings;

typedef struct tm_plays tm_plays;

/* Empty. NULL without memory. */
tm_plays *tm_plays_new(const tm_plays_settings *settings);
void tm_plays_free(tm_plays *plays); /* NULL is allowed */

/* The number of a play: the same for the same name, from 0. UINT32_MAX without memory. */
uint32_t tm_plays_number(tm_plays *plays, tm_slice name);
uint32_t tm_plays_count(const tm_plays *plays);
tm_slice tm_plays_name(const tm_plays *plays, uint32_t play);

/* A play was started, or done, for an account at `t`. TM_OK or TM_FATAL without memory. */
tm_status tm_plays_started(tm_plays *plays, uint32_t account, uint32_t play, tm_time t);
void tm_plays_done(tm_plays *plays, uint32_t play);
/* How an account stands at the begin of a week; weeks in order, each account at most once in one. `score` and `use`:
   NaN when there is none; `alike`: a hash of what makes accounts alike. TM_OK or TM_FATAL without memory. */
tm_status tm_plays_week(tm_plays *plays, uint32_t account, tm_time week, double score, double use, uint64_t alike);

/* --- what happened --- */
/* The account churned at `t`. TM_OK or TM_FATAL without memory. */
tm_status tm_plays_churned(tm_plays *plays, uint32_t account, tm_time t);
/* To be called once, after everything else: nothing after `until` was seen. TM_OK or TM_FATAL without memory. */
tm_status tm_plays_judge(tm_plays *plays, tm_time until);

typedef struct tm_play_figures {
    uint64_t started, done;
    uint64_t with, without;       /* accounts' weeks compared, in strata that have both */
    double went_on, went_on_else; /* shares that went on, strata weighted alike; NaN: nothing to compare */
    /* By how much more of those with the play went on: Mantel and Haenszel's difference of risks with the variance of
       T. Sato (1989). */
    tm_estimate difference;
    /* Their change of use over that of the others, strata weighted likewise: exp of the difference of the mean logs of
       (1 + use later) / (1 + use); 1.1 = a tenth more. `of`: accounts' weeks with the play whose use is known at both
       ends, in strata that have others of the kind. */
    tm_estimate use;
} tm_play_figures;

/* TM_OK or TM_FATAL without memory. */
tm_status tm_plays_figures_of(const tm_plays *plays, uint32_t play, tm_play_figures *ret_figures);

#endif
