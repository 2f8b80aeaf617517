/* What `tune` learned: as a report for people and programs, and as the tuned rules file. */
#ifndef TIDEMARK_COMMANDS_TUNEREPORT_H
#define TIDEMARK_COMMANDS_TUNEREPORT_H

#include "tidemark/commands/outcomes.h"
#include "tidemark/core/pack.h"
#include "tidemark/insight/tuning.h"

/* Everything is borrowed. */
typedef struct tm_tune_findings {
    const tm_pack *pack;
    const tm_score *score;
    const tm_tuning_factor (*factors)[TM_FACTORS_MAX]; /* a card of the score */
    const tm_tuned_card *cards;                        /* likewise */
    tm_tuning_settings settings;
    tm_time until; /* nothing later was seen */
    uint32_t accounts;
    tm_outcomes_read read;
    tm_gain held_out;
    double (*edges)[2]; /* where green and yellow begin on a card now */
} tm_tune_findings;

/* How many cards were changed. */
uint32_t tm_tune_changed(const tm_tune_findings *findings);
/* The rules' text with the changed cards in it, and its version one more. TM_OK; TM_REJECT: the text cannot be edited
   as it is written; TM_FATAL without memory. */
tm_status tm_tune_write(const tm_tune_findings *findings, const char *rules_name, tm_buffer *out, tm_error *error);
/* Tables for people, or one JSON object. */
void tm_tune_report(const tm_tune_findings *findings, bool json, tm_buffer *out);

#endif
