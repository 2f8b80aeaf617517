/* A rule's life for one account: the table of semantics.md as a pure step from state and verdict to state and signal.

   inactive --when--> pending --for, no inhibitor, past cooldown--> raised --clear--> clearing --clear_for--> inactive
                 <--not when--                                       ^------not clear--' */
#ifndef TIDEMARK_CORE_EPISODE_H
#define TIDEMARK_CORE_EPISODE_H

#include "tidemark/core/pack.h"

typedef enum tm_episode_state {
    TM_EPISODE_INACTIVE,
    TM_EPISODE_PENDING,
    TM_EPISODE_RAISED,
    TM_EPISODE_CLEARING
} tm_episode_state;

typedef enum tm_signal_state { TM_SIGNAL_NONE, TM_SIGNAL_RAISED, TM_SIGNAL_UPDATED, TM_SIGNAL_CLEARED } tm_signal_state;

typedef enum tm_reason {
    TM_REASON_NONE,
    TM_REASON_CONDITION,
    TM_REASON_RULE_REMOVED,
    TM_REASON_OUT_OF_SCOPE,
    TM_REASON_ERASED,
    TM_REASON_REVISED,
    TM_REASON_FLAPPING, /* of a `raised`: the account comes and goes, and this episode stands for what follows */
    TM_REASONS
} tm_reason;

const char *tm_signal_state_name(tm_signal_state state); /* raised, updated, cleared; "none" */
const char *tm_reason_name(tm_reason reason);            /* condition, rule_removed, …; NULL for none */

/* What few episodes have beside their state. */
typedef struct tm_episode_notes {
    tm_time snoozed_until;    /* TM_TIME_NONE: it is not */
    tm_time acknowledged_at;  /* of the open episode; TM_TIME_NONE: it is not */
    tm_slice acknowledged_by; /* owned; absent: nobody said who */
    uint8_t raise_count;      /* instants at which the rule's last episodes were raised, oldest first */
    tm_time raises[TM_FLAPPING_MAX - 1];
} tm_episode_notes;

/* tm_episode.marks, and all of them. Late data: made `when` untrue; made an update due. */
enum { TM_EPISODE_FLAPPING = 1, TM_EPISODE_REVISED_RAISE = 2, TM_EPISODE_REVISED_VALUE = 4, TM_EPISODE_MARKS = 7 };

typedef struct tm_episode {
    uint64_t rule;              /* tm_rule.identity */
    uint8_t state;              /* tm_episode_state */
    uint8_t severity;           /* of the episode, or the last known: "null keeps the former" */
    bool severity_known;        /* a severity was ever computed */
    uint8_t published_severity; /* of the episode's last signal */
    uint8_t published_type; /* tm_type of published_value: null, number or duration; anything else is kept as null */
    uint8_t kind;           /* tm_kind, kept so that a removed rule's episode can be cleared */
    uint8_t marks;          /* of the open episode: a set of TM_EPISODE_… */
    tm_time since;          /* pending, raised (from pending or again) or clearing since */
    tm_time raised_at;
    tm_time signalled_at; /* the episode's last signal */
    tm_time cleared_at; /* end of the rule's last episode; TM_TIME_NONE: never. The cooldown and inhibit_tail count from
                           it */
    uint32_t sequence;  /* signals of the episode so far */
    double published_value;
    tm_slice rule_name;      /* owned by the account's heap while the episode is open, else absent */
    tm_episode_notes *notes; /* owned by the account's heap; NULL: nothing noted */
} tm_episode;

static inline bool tm_episode_open(const tm_episode *episode)
{
    return episode->state == TM_EPISODE_RAISED || episode->state == TM_EPISODE_CLEARING;
}

/* Whether an episode of the rule raised at `t` is flapping: one too many after those noted. */
bool tm_episode_comes_and_goes(const tm_episode *episode, const tm_rule *rule, tm_time t);

/* What the step asks the outside: expressions are evaluated only when the row needs them. */
typedef struct tm_questions {
    void *context;
    tm_value (*value)(void *context, uint32_t node);
    /* The greatest instant until which an inhibitor holds a raise of the rule back: TM_TIME_NEVER while one is open,
       cleared_at + inhibit_tail of those that were, TM_TIME_NONE otherwise. */
    tm_time (*held_until)(void *context, const tm_rule *rule);
    /* The account's tier as text, absent when null. */
    tm_slice (*tier)(void *context);
} tm_questions;

typedef struct tm_step {
    tm_signal_state signal;
    tm_reason reason;
    tm_time due;    /* earliest later instant at which time alone may move the episode; TM_TIME_NEVER if none */
    bool changed;   /* the episode differs from before */
    tm_value value; /* of the rule's `value`, when a signal was made */
} tm_step;

/* One judgement of `rule` at `now`. The caller makes the signal (and stores rule_name when it opened). */
void tm_episode_step(tm_episode *episode, const tm_rule *rule, tm_time now, const tm_questions *questions,
                     tm_step *ret_step);

/* What late data can overturn of an open episode of `rule`, as things stand: a set of these. */
enum { TM_VERDICT_HOLDS = 1, TM_VERDICT_MOVED = 2 };
unsigned tm_episode_verdict(const tm_episode *episode, const tm_rule *rule, const tm_questions *questions);
/* Notes what an event of `at`, applied between two verdicts, overturned. Returns whether it did. */
bool tm_episode_revise(tm_episode *episode, tm_time at, unsigned before, unsigned after);

/* A rule that waits for nothing (tm_rule.on_stage), at an instant at which what it is on has happened: where scope,
   `when`, inhibitors and cooldown let it, it is raised, and its episode is over at once, without a signal that says so.
 */
void tm_episode_moment(tm_episode *episode, const tm_rule *rule, tm_time now, const tm_questions *questions,
                       tm_step *ret_step);

/* Ends an open episode for a reason other than its condition (erased, rule removed). `ret_step->signal` is
   TM_SIGNAL_CLEARED if it was open, TM_SIGNAL_NONE otherwise; pending becomes inactive. */
void tm_episode_end(tm_episode *episode, tm_time now, tm_reason reason, tm_step *ret_step);

#endif
