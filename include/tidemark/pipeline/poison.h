/* A record whose application trips a check inside, and what is done about it without losing another record:

   none ──a check trips──> suspected ──trips alone, on the kept state──> poison ──its commit is written──> none
                               └──applied well──> acquitted ──> none

   Each arrow but the last begins with the shard dropped and claimed again, for a check that tripped leaves it half
   changed. What came before the suspect is committed first, so that the second attempt has the kept state and this one
   record; and the commit with the suspect ends after it. Poison moves stream time, goes to the dead letters once, and
   is named in the journal line of its commit, so that whoever replays the line passes over it too. */
#ifndef TIDEMARK_PIPELINE_POISON_H
#define TIDEMARK_PIPELINE_POISON_H

#include "tidemark/pipeline/holding.h"

enum {
    TM_POISON_MAX = 16, /* records that a shard passes over before it halts instead: then it is not the records */
    TM_TRIPS_MAX = 8    /* claims in a row, without a commit between them */
};

/* Fills in the error from the check that tripped over the shard's memory and remembers it in the holding: "… while
   DOING". Returns TM_BROKEN. */
tm_status tm_poison_tripped(tm_holding *holding, const char *doing, tm_error *error);
/* The same, of a record; `own`: it was the record's own application, and so the record is the suspect. */
tm_status tm_poison_blame(tm_holding *holding, const tm_source_record *record, bool own, tm_error *error);

/* After TM_BROKEN: true when the shard is to be dropped and claimed again, for a record is suspected or found to be
   poison; false when the shard is to be halted. */
bool tm_poison_decide(tm_holding *holding);

/* True when the commit under way has to end first, since the suspect comes next and is to be alone. */
bool tm_poison_apart(tm_holding *holding);
/* Whether the record is to be passed over: it is poison, or the journal line that is replayed says so. *ret_check names
   the check. */
bool tm_poison_passes(const tm_holding *holding, const tm_source_record *record, tm_slice *ret_check);
/* The record was applied, or passed over: if it was the suspect, the commit ends after it. */
void tm_poison_applied(tm_holding *holding, const tm_source_record *record);
/* Notes in the commit under way that the record was passed over. TM_OK or TM_FATAL. */
tm_status tm_poison_note(tm_holding *holding, const tm_source_record *record, tm_slice check);

#endif
