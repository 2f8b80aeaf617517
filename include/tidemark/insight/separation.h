/* Which figures tell customers that will renew from those that will be lost, and how early. */
#ifndef TIDEMARK_INSIGHT_SEPARATION_H
#define TIDEMARK_INSIGHT_SEPARATION_H

#include <stdbool.h>

#include "tidemark/base/statistics.h"
#include "tidemark/base/status.h"

enum { TM_SEPARATION_LOOKS_MAX = 8, TM_SEPARATION_LEAST = 5 };

typedef struct tm_separation tm_separation;

/* `factors` figures of each customer, each looked at `looks` times before what became of it. NULL without memory. */
tm_separation *tm_separation_new(uint32_t factors, uint32_t looks);
void tm_separation_free(tm_separation *separation); /* NULL is allowed */
/* A customer that was lost, or renewed; its number, or UINT32_MAX without memory. One customer is one case: cases are
   taken to be independent. */
uint32_t tm_separation_case(tm_separation *separation, uint32_t account, bool lost);
/* The figure at a look; NaN (and what is never told): not known, the case is left out there. Kept in single precision:
   figures alike in their first seven digits are ties. */
void tm_separation_value(tm_separation *separation, uint32_t number, uint32_t look, uint32_t factor, double value);

/* The chance that a lost customer had the lower figure than a renewed one (AUC), of the accounts that `group_of` (NULL:
   of all) puts into `group`. With fewer than TM_SEPARATION_LEAST of either the interval cannot be told. TM_OK or
   TM_FATAL. */
tm_status tm_separation_area(const tm_separation *separation, const uint32_t *group_of, uint32_t group, uint32_t look,
                             uint32_t factor, tm_estimate *ret_area);
/* True when the interval leaves 1/2 out, on either side. */
bool tm_separation_tells(tm_estimate area);

#endif
