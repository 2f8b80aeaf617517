/* A declared aggregate: what it selects, what it keeps and how far back it reaches. */
#ifndef TIDEMARK_CORE_METRIC_H
#define TIDEMARK_CORE_METRIC_H

#include "tidemark/base/limits.h"
#include "tidemark/core/event.h"
#include "tidemark/core/moment.h"

typedef enum tm_metric_kind {
    TM_METRIC_COUNT,
    TM_METRIC_SUM,
    TM_METRIC_DISTINCT,
    TM_METRIC_LAST,
    TM_METRIC_MAX,
    TM_METRIC_FIRST
} tm_metric_kind;

/* What a sum, distinct, last, max or first is taken of. */
typedef enum tm_metric_of {
    TM_OF_NOTHING,
    TM_OF_VALUE,
    TM_OF_USER,
    TM_OF_EVENT,
    TM_OF_DAY,
    TM_OF_PROPERTY
} tm_metric_of;

typedef enum tm_window_unit { TM_WINDOW_DAYS, TM_WINDOW_HOURS } tm_window_unit;

/* `[7d offset 8d]`: local days D-offset-length+1 … D-offset of a moment on day D; hours likewise. */
typedef struct tm_window {
    tm_window_unit unit;
    int32_t length; /* >= 1 */
    int32_t offset; /* >= 0 */
} tm_window;

/* One event pattern: an exact name, or a prefix when the text ended in '*' ("*" alone is the empty prefix). */
typedef struct tm_pattern {
    tm_slice text; /* without the '*' */
    bool prefix;
} tm_pattern;

/* What an applied event can change of what expressions read of a series: */
typedef enum tm_aspect {
    TM_ASPECT_PRESENT, /* the bucket of the present, or one ahead of it */
    TM_ASPECT_PAST,    /* an older bucket */
    TM_ASPECT_LAST,    /* the hour that age() counts from */
    TM_ASPECT_FIRST,   /* the hour that first() counts from */
    TM_ASPECT_VALUE,   /* last, max or first without a window */
    TM_ASPECTS
} tm_aspect;
#define TM_ASPECT_BIT(aspect) ((uint8_t)(1U << (aspect)))

#define TM_NODE_NONE UINT32_MAX /* "no expression" wherever a node of a program is named */

/* Everything points into the pack's memory. */
typedef struct tm_metric {
    tm_slice name;
    tm_metric_kind kind;
    tm_metric_of of;
    tm_slice property; /* of TM_OF_PROPERTY */
    tm_pattern *patterns;
    uint32_t pattern_count; /* at least 1 */
    uint32_t where;         /* node of the pack's program, or TM_NODE_NONE */
    /* Buckets kept: the longest window + offset over all expressions, or `keep`. 0 = no window of that unit is read. */
    int32_t reach_days;
    int32_t reach_hours;
    /* Hash of the definition without name and reach: two metrics defined alike are one series, a renamed metric keeps
       its history, a changed definition starts empty. */
    uint64_t identity;
    /* Which rules have to be judged again when an aspect of the series changed: rule i is bit i mod 64. */
    uint64_t stirs[TM_ASPECTS];
    bool read_daily;          /* a rule reads a window of days: what enters any bucket may show at the next midnight */
    bool read_derived;        /* a baseline reads it: what accounts keep of that ends with a change of its past */
    uint8_t standing_aspects; /* those that the account's stage is found with */
    uint8_t score_aspects;    /* those that tracked scores are found with */
} tm_metric;

/* Whether an event name matches one of the patterns (`where` is not looked at). */
bool tm_metric_selects(const tm_metric *metric, tm_slice event_name);

/* What one accepted event is for a metric. TM_METRIC_COUNT takes neither; the others skip an event that has none. */
typedef struct tm_sample {
    tm_time at;
    int64_t hour;    /* of `at` */
    int32_t day;     /* local day of `at` */
    tm_fixed value;  /* sum, last, max, first: TM_FIXED_NONE when absent */
    uint64_t member; /* distinct: 0 when absent. A person's is the keyed hash; others are XXH3 of type and content */
} tm_sample;

/* Takes the value or member the metric wants out of an event whose `at` falls on `at_day`. */
void tm_metric_sample(const tm_metric *metric, const tm_event *event, int32_t at_day, tm_sample *ret_sample);

#endif
