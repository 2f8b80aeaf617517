/* The brute-force judge: what a shard's records mean, computed from the records themselves at every grid instant, with
   nothing kept but lists. It shares no code with what it judges. */
#ifndef TIDEMARK_TESTS_SIMULATION_MODEL_H
#define TIDEMARK_TESTS_SIMULATION_MODEL_H

#include "sim.h"

typedef enum model_state { MODEL_RAISED = 1, MODEL_UPDATED, MODEL_CLEARED } model_state;
typedef enum model_reason {
    MODEL_NONE,
    MODEL_CONDITION,
    MODEL_OUT_OF_SCOPE,
    MODEL_ERASED,
    MODEL_RULE_REMOVED,
    MODEL_REVISED
} model_reason;

enum { INFO, WARN, HIGH, CRITICAL };

typedef struct model_signal {
    int account, rule; /* numbers */
    int state, reason, severity;
    uint32_t sequence;
    tm_time raised_at, time;
    bool has_value;
    double value;
    int input; /* the last applied record */
    int64_t offset;
    bool found;
} model_signal;

typedef struct model_episode {
    int state; /* inactive, pending, raised, clearing */
    tm_time since, raised_at, cleared_at, signalled_at;
    uint32_t sequence;
    int severity; /* last published */
    bool has_value;
    double value;                      /* last published */
    bool revised_raise, revised_value; /* what late data overturned */
} model_episode;

/* A record as it was taken. */
typedef struct model_seen {
    const sim_record *record;
    tm_time at; /* effective */
} model_seen;

typedef struct model_account {
    bool exists;
    model_seen *seen; /* accepted since it began */
    uint32_t count, capacity;
    model_episode episodes[SIM_REACH];
    int input;
    int64_t offset;
} model_account;

typedef struct model {
    sim *s;
    const sim_rules *rules;
    tm_time counting_start;
    int64_t grid;
    model_account accounts[SIM_ACCOUNTS];
    model_signal *signals;
    uint32_t count, capacity;
} model;

typedef struct model_value {
    bool null;
    double v;
} model_value;

typedef struct model_rule {
    const char *name;
    int severity;                                          /* where there is no function */
    int64_t for_ms, clear_for, cooldown, tail;             /* cooldown -1: once */
    bool absent;                                           /* not in this version of the pack */
    bool inhibited;                                        /* by the pack's first */
    double update_change;                                  /* 0: 0.2 */
    int (*when)(const model_account *account, tm_time t);  /* 1, 0, -1: null */
    int (*clear)(const model_account *account, tm_time t); /* NULL: not when */
    int (*scope)(const model_account *account, tm_time t);
    model_value (*value)(const model_account *account, tm_time t);
    int (*severity_now)(const model_account *account, tm_time t, int former);
} model_rule;

struct sim_rules {
    int count;
    model_rule rules[SIM_REACH]; /* in order of judgement */
};

void model_init(model *m, sim *s);
/* An accepted record of an account. */
void model_accept(model *m, const sim_record *record, tm_time at);
/* An erasure: what stands open is cleared. */
void model_erase(model *m, const sim_record *record, tm_time at);
/* Every account of a partition at a grid instant. */
void model_instant(model *m, int32_t partition, tm_time t);

#endif
