/* A signal as the core makes it; codec/signal turns it into bytes. */
#ifndef TIDEMARK_CORE_SIGNAL_H
#define TIDEMARK_CORE_SIGNAL_H

#include "tidemark/core/account.h"

/* Everything points into the account, the pack or the judge's room: valid during the call that hands it over. */
typedef struct tm_signal {
    const tm_account *account;
    const tm_facts *facts; /* NULL when there are none, or when the account is erased */
    const tm_pack *pack;   /* the rule's: knows the text of its nodes */
    const tm_rule *rule;   /* NULL for an episode whose rule is no longer in the pack */
    tm_slice rule_name;
    tm_kind kind;
    tm_signal_state state;
    tm_reason reason;
    tm_severity severity;
    tm_time time;
    tm_time raised_at;
    uint32_t sequence;
    tm_value value, threshold, clear_threshold;
    tm_value evidence[TM_EVIDENCE_MAX];     /* of rule->evidence, in its order */
    tm_value summary[TM_SUMMARY_PARTS_MAX]; /* of rule->summary's nodes; null where a part has none */
    const tm_by_tier *play;                 /* NULL: none of the rule's is for the account */
    const tm_route *route;                  /* the same */
    tm_slice tier;                          /* absent when null */
    tm_slice stage;                         /* the same */
    tm_time acknowledged_at;                /* of the episode; TM_TIME_NONE: it was not */
    tm_slice acknowledged_by;               /* absent: nobody said who */
    tm_health health;                       /* its card is NULL where there is none, and where the account is erased */
    int64_t rules_version;
    const tm_zone *zone; /* for dates in the summary */
} tm_signal;

#endif
