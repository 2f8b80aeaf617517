/* A compiled set of metrics and rules, with identities and version. Immutable once finished; shared between threads. */
#ifndef TIDEMARK_CORE_PACK_H
#define TIDEMARK_CORE_PACK_H

#include "tidemark/core/metric.h"
#include "tidemark/core/program.h"

typedef enum tm_kind { TM_KIND_CHURN_RISK, TM_KIND_EXPANSION, TM_KIND_ADVISORY, TM_KINDS } tm_kind;
typedef enum tm_severity {
    TM_SEVERITY_INFO,
    TM_SEVERITY_WARN,
    TM_SEVERITY_HIGH,
    TM_SEVERITY_CRITICAL,
    TM_SEVERITIES
} tm_severity;

typedef enum tm_band { TM_BAND_NONE, TM_BAND_RED, TM_BAND_YELLOW, TM_BAND_GREEN, TM_BANDS } tm_band;

const char *tm_kind_name(tm_kind kind);             /* churn_risk, expansion, advisory */
const char *tm_severity_name(tm_severity severity); /* info, warn, high, critical */
const char *tm_band_name(tm_band band);             /* red, yellow, green; NULL for none */
bool tm_severity_parse(tm_slice text, tm_severity *ret_severity);
bool tm_kind_parse(tm_slice text, tm_kind *ret_kind);

/* How a summary shows a value. */
typedef enum tm_format {
    TM_FORMAT_PLAIN,
    TM_FORMAT_PERCENT,
    TM_FORMAT_NUMBER,
    TM_FORMAT_DURATION,
    TM_FORMAT_DATE
} tm_format;

/* A piece of a summary template: fixed text, then a value (node TM_NODE_NONE: none). */
typedef struct tm_summary_part {
    tm_slice text;
    uint32_t node;
    tm_format format;
} tm_summary_part;

/* A text by touch tier: the account's tier picks; any other tier, or none, gets `otherwise` (absent: null). */
typedef struct tm_by_tier {
    tm_slice otherwise;
    struct {
        tm_slice tier, text;
    } choices[8];
    uint32_t choice_count;
} tm_by_tier;

/* Where a signal goes, and what to do about it, under a condition (TM_NODE_NONE: always). */
typedef struct tm_route {
    uint32_t when;
    tm_slice queue, responsible, informed; /* the last two are roles of owners; absent: null */
} tm_route;

typedef struct tm_play {
    uint32_t when;
    tm_by_tier text;
} tm_play;

/* A lifecycle stage. */
typedef struct tm_stage {
    tm_slice name;
    uint64_t identity; /* hash of the name, never 0 */
    uint32_t enter;    /* a condition */
    int64_t stay_ms;   /* minimum stay */
} tm_stage;

typedef struct tm_factor {
    tm_slice name;
    uint32_t value, points; /* what it measures, and that on its map */
    double weight;
} tm_factor;

/* Where a card's bands begin unless it says otherwise, and how far beyond its edge a band is left; in tenths. */
enum { TM_BAND_GREEN_TENTHS = 750, TM_BAND_YELLOW_TENTHS = 500, TM_BAND_MARGIN_TENTHS = 30 };

typedef struct tm_card {
    tm_slice name;
    uint64_t identity; /* hash of the name, never 0 */
    uint32_t version;
    uint32_t when;                 /* a condition */
    int16_t green, yellow, margin; /* in tenths: where the bands begin, and how far beyond an edge a band is left */
    uint32_t score, coverage;
    tm_factor *factors; /* in the file's order */
    uint32_t factor_count;
} tm_card;

/* A score: of its cards the first whose condition is true gives it. Nodes: number, number, name of that card. */
typedef struct tm_score {
    tm_slice name;
    uint64_t identity; /* hash of the name, never 0 */
    uint32_t value, coverage, card;
    bool tracked;       /* more of it is kept than is found anew: it is looked at whenever it may move */
    bool days_read;     /* an expression reads what it was on other days */
    int32_t reach_days; /* days before today that are kept: as far as expressions look, or `keep`. 0: none */
    uint64_t stirs;     /* rules that a change of its band is one for, as in tm_metric */
    uint64_t day_stirs; /* rules that a change of today's score or of what gives it is one for */
    tm_card *cards;     /* in the file's order */
    uint32_t card_count;
} tm_score;

typedef struct tm_rule {
    tm_slice name;
    tm_kind kind;
    bool on_stage;  /* judged only at an instant at which the account's stage changes; its episodes end as they begin */
    uint32_t when;  /* nodes of the pack's program */
    uint32_t clear; /* `not when` where the file has none */
    uint32_t scope; /* the rule's own, or the pack's */
    /* Severity: fixed, or a node that gives a string, or by tier. */
    tm_severity severity;
    uint32_t severity_node; /* TM_NODE_NONE: fixed or by tier */
    tm_by_tier severity_by_tier;
    bool has_severity_by_tier;
    uint32_t value, threshold, clear_threshold; /* TM_NODE_NONE: null */
    int64_t for_ms, clear_for_ms, cooldown_ms, inhibit_tail_ms;
    bool cooldown_once;        /* `cooldown: once`: never again for this account */
    uint8_t flapping_episodes; /* so many raised within flapping_ms are flapping, which ends when the last has been calm
                                  for calm_ms; 0: never */
    int64_t flapping_ms, calm_ms;
    double update_change;
    uint16_t *inhibitors; /* indices into the pack's rules */
    uint32_t inhibitor_count;
    uint64_t stirs; /* rules that this one inhibits, as in tm_metric: a change of its episode is one for them */
    tm_summary_part *summary;
    uint32_t summary_count;
    uint32_t *evidence; /* nodes shown in a signal: the metric, age and fact terms of `when`, and the sides of its
                           comparisons, in the order written, each once */
    uint32_t evidence_count;
    tm_play *plays;   /* of both the first whose condition is true */
    tm_route *routes; /* the rule's own, then the file's */
    uint32_t play_count, route_count;
    uint64_t identity; /* hash of the name: an episode belongs to it */
} tm_rule;

typedef struct tm_pack {
    tm_arena *arena; /* everything below */
    int64_t version;
    uint64_t hash; /* of the file's text: which pack produced a commit */
    tm_slice text; /* the file, as the journal keeps it */
    tm_program program;
    tm_metric *metrics;
    uint32_t metric_count;
    tm_score *scores; /* in the order in which the file's cards name them */
    uint32_t score_count;
    const tm_score *health; /* the score of that name, which signals show; NULL: there is none */
    tm_stage *stages;       /* in the file's order */
    uint32_t stage_count;
    uint64_t stage_stirs; /* rules that a change of stage is one for, as in tm_metric */
    tm_rule *rules;       /* in the file's order */
    uint32_t rule_count;
    uint16_t *order;        /* rule indices in the order they are judged: inhibitors first, then the file's order */
    uint16_t derived_count; /* baselines among the nodes: an account keeps what each came to */
    bool has_standing;      /* something of an account besides its episodes is found at every instant: stages, bands */
    bool moves_hourly;      /* some expression can change at a UTC hour without a record */
} tm_pack;

/* Computes what the expressions imply: the identities of metrics and rules, each metric's reach from the windows in the
   program (not below a `keep` already in reach_days/reach_hours), the order of judgement and which rules a change
   stirs. TM_OK; TM_REJECT with an
   error naming the metric or the rules of a cycle; TM_FATAL without memory. */
tm_status tm_pack_finish(tm_pack *pack, tm_error *error);
/* The longest window + offset a metric of that kind may be read over, in days or hours. */
int32_t tm_metric_reach_limit(tm_metric_kind kind, tm_window_unit unit);
/* Frees a pack made by the rules floor, which lives in its own arena. NULL is allowed. */
void tm_pack_free(tm_pack *pack);

/* Whether an operation reads the account's stage or what it was in before. */
bool tm_pack_of_stage(tm_op op);
/* Whether an operation reads what a score was on other days. */
bool tm_pack_of_days(tm_op op);

/* Index of a metric or rule by name, or UINT32_MAX. */
uint32_t tm_pack_metric(const tm_pack *pack, tm_slice name);
uint32_t tm_pack_rule(const tm_pack *pack, tm_slice name);

/* Which metrics an event name selects, remembered a name: one look-up an event instead of one a pattern. */
typedef struct tm_selector tm_selector;
tm_selector *tm_selector_new(tm_heap *heap, const tm_pack *pack); /* NULL without memory */
void tm_selector_free(tm_selector *selector);
/* Metric indices in ascending order; valid until the next call. At most 4,096 names are remembered, then it starts
 * over. */
const uint16_t *tm_selector_find(tm_selector *selector, tm_slice event_name, uint32_t *ret_count);

#endif
