#include <math.h>

#include "tidemark/core/account.h"
#include "tidemark/core/operation.h"
#include "tidemark/core/pack.h"
#include "tidemark/core/program.h"

typedef struct memo {
    tm_value value;
    uint32_t stamp; /* the evaluation it belongs to */
} memo;

struct tm_evaluator {
    const tm_program *program;
    const tm_environment *environment;
    const tm_account *account;
    const tm_event *event;
    tm_time horizon;
    uint32_t stamp;
    uint32_t capacity;
    memo memos[];
};

static size_t evaluator_size(uint32_t capacity)
{
    return sizeof(tm_evaluator) + capacity * sizeof(memo);
}

tm_evaluator *tm_evaluator_new(tm_heap *heap, const tm_program *program)
{
    tm_evaluator *evaluator = tm_heap_take(heap, evaluator_size(program->node_count));
    if (evaluator) {
        evaluator->program = program;
        evaluator->capacity = program->node_count;
        evaluator->horizon = TM_TIME_NEVER;
    }
    return evaluator;
}

void tm_evaluator_free(tm_heap *heap, tm_evaluator *evaluator)
{
    if (evaluator) {
        tm_heap_give(heap, evaluator, evaluator_size(evaluator->capacity));
    }
}

void tm_evaluator_begin(tm_evaluator *evaluator, const tm_environment *environment, const tm_account *account,
                        const tm_event *event)
{
    evaluator->environment = environment;
    evaluator->account = account;
    evaluator->event = event;
    evaluator->horizon = TM_TIME_NEVER;
    if (++evaluator->stamp == 0) {
        /* The stamp went round: what is remembered under old ones must not look fresh. */
        for (uint32_t i = 0; i < evaluator->capacity; i++) {
            evaluator->memos[i].stamp = 0;
        }
        evaluator->stamp = 1;
    }
}

tm_time tm_evaluator_horizon(const tm_evaluator *evaluator)
{
    return evaluator->horizon;
}

static void charge(tm_evaluator *evaluator, tm_time instant)
{
    if (instant < evaluator->horizon) {
        evaluator->horizon = instant;
    }
}

static const tm_series *series_of(const tm_evaluator *evaluator, uint32_t metric)
{
    const tm_account *account = evaluator->account;
    return account && metric < account->series_count ? account->series[metric] : NULL;
}

/* Whether an hour begins before the local day `day`. The zone is asked only where its offset can matter. */
static bool hour_before_day(const tm_moment *now, int64_t hour, int32_t day)
{
    int64_t utc_day = (hour >= 0 ? hour : hour - 23) / 24;
    if (utc_day - 2 >= day) {
        return false;
    }
    if (utc_day + 2 < day || hour < 0) {
        return true;
    }
    return tm_zone_day(now->zone, hour * TM_HOUR) < day;
}

static tm_value window_value(tm_evaluator *evaluator, const tm_node *node)
{
    const tm_environment *environment = evaluator->environment;
    const tm_moment *now = environment->now;
    const tm_window *window = &node->window;
    bool days = window->unit == TM_WINDOW_DAYS;
    tm_time next = days ? now->next_midnight : now->next_hour;
    int32_t counting = environment->counting_days[node->metric];
    if (counting != INT32_MIN) {
        int64_t back = (int64_t)window->offset + window->length - 1;
        bool early = days ? now->day - back < counting : hour_before_day(now, now->hour - back, counting);
        if (early) {
            charge(evaluator, next);
            return tm_value_null();
        }
    }
    /* Where the account is to be judged by then anyway, whether the window is quiet need not be found out. */
    bool quiet = evaluator->horizon <= next;
    const tm_metric *metric = &environment->pack->metrics[node->metric];
    tm_value value = tm_series_window(series_of(evaluator, node->metric), metric, window, now, quiet ? NULL : &quiet);
    if (!quiet) {
        charge(evaluator, next);
    }
    return value;
}

static const tm_stage_change *stage_of(const tm_evaluator *evaluator)
{
    const tm_stage_change *stage = evaluator->account ? tm_stage_present(&evaluator->account->stages) : NULL;
    return stage && stage->stage ? stage : NULL;
}

/* age(), first() and stage_age: the UTC hour they count from; false when the metric has no event, or there is no stage.
 */
static bool origin_hour(const tm_evaluator *evaluator, const tm_node *node, int64_t *ret_hour)
{
    if (node->op == TM_OP_STAGE_AGE) {
        const tm_stage_change *stage = stage_of(evaluator);
        *ret_hour = stage ? tm_hour_of(stage->at) : 0;
        return stage != NULL;
    }
    const tm_series *series = series_of(evaluator, node->metric);
    if (!series) {
        return false;
    }
    tm_time at = node->op == TM_OP_AGE ? tm_series_last_at(series) : tm_series_first_at(series);
    if (at == TM_TIME_NONE) {
        return false;
    }
    *ret_hour = tm_hour_of(at);
    return true;
}

static double hours_since(const tm_evaluator *evaluator, int64_t origin)
{
    int64_t hours = evaluator->environment->now->hour - origin;
    return hours > 0 ? (double)hours : 0;
}

/* The instant at which age() or first() next grows: an origin ahead of now holds them at zero until its hour is over.
 */
static tm_time next_growth(const tm_evaluator *evaluator, int64_t origin)
{
    int64_t now = evaluator->environment->now->hour;
    return origin > now ? (origin + 1) * TM_HOUR : evaluator->environment->now->next_hour;
}

static tm_value age_value(tm_evaluator *evaluator, const tm_node *node)
{
    int64_t origin;
    if (!origin_hour(evaluator, node, &origin)) {
        return tm_value_null();
    }
    charge(evaluator, next_growth(evaluator, origin));
    return tm_value_duration(hours_since(evaluator, origin) * (double)TM_HOUR);
}

static tm_value baseline_value(tm_evaluator *evaluator, const tm_node *node)
{
    const tm_environment *environment = evaluator->environment;
    const tm_moment *now = environment->now;
    const tm_account *account = evaluator->account;
    bool keeps = account && node->slot > 0 && node->slot <= account->derived_count;
    bool still = evaluator->horizon <= now->next_midnight; /* asked only where the answer matters */
    tm_value value =
        tm_baseline_value(node, &environment->pack->metrics[node->metric], series_of(evaluator, node->metric), now,
                          environment->counting_days[node->metric], keeps ? &account->derived[node->slot - 1] : NULL,
                          still ? NULL : &still);
    if (!still) {
        charge(evaluator, now->next_midnight);
    }
    return value;
}

static tm_value stage_name(const tm_evaluator *evaluator, const tm_stage_change *stage)
{
    tm_slice name = tm_stage_name(evaluator->environment->pack, stage);
    return name.data ? tm_value_string(name) : tm_value_null();
}

static tm_value stage_value(const tm_evaluator *evaluator, tm_op op)
{
    if (op == TM_OP_STAGE)
        return stage_name(evaluator, stage_of(evaluator));
    const tm_stage_change *previous = evaluator->account ? tm_stage_previous(&evaluator->account->stages) : NULL;
    if (!previous || !previous->stage)
        return tm_value_null();
    if (op == TM_OP_PREVIOUS_STAGE)
        return stage_name(evaluator, previous);
    return tm_value_duration((double)(previous[1].at - previous->at));
}

/* The band that the last look at the scores found: it changes there, and nowhere else. */
static tm_value band_value(const tm_evaluator *evaluator, const tm_node *node)
{
    const tm_score *score = &evaluator->environment->pack->scores[node->metric];
    const tm_account *account = evaluator->account;
    const tm_track *track = account ? tm_tracks_find(&account->tracks, score->identity) : NULL;
    const char *name = track ? tm_band_name((tm_band)track->band) : NULL;
    return name ? tm_value_string(tm_slice_of(name)) : tm_value_null();
}

static tm_value days_value(tm_evaluator *evaluator, const tm_node *node)
{
    const tm_moment *now = evaluator->environment->now;
    const tm_account *account = evaluator->account;
    uint64_t identity = evaluator->environment->pack->scores[node->metric].identity;
    const tm_track *track = account ? tm_tracks_find(&account->tracks, identity) : NULL;
    bool moves = false;
    tm_value value = track ? tm_track_value(track, node, now->day, &moves) : tm_value_null();
    if (moves) {
        charge(evaluator, now->next_midnight);
    }
    return value;
}

/* How old the contract was when the metric's first event came. Both only a record can change. */
static tm_value first_value(tm_evaluator *evaluator, const tm_node *node)
{
    const tm_series *series = series_of(evaluator, node->metric);
    tm_time at = series ? tm_series_first_at(series) : TM_TIME_NONE;
    if (at == TM_TIME_NONE)
        return tm_value_null();
    const tm_zone *zone = evaluator->environment->now->zone;
    tm_moment then = {.t = at, .day = tm_zone_day(zone, at), .zone = zone};
    return tm_facts_value(evaluator->account->facts, TM_FACT_CONTRACT_AGE, (tm_slice){0}, &then);
}

static tm_value fact_value(tm_evaluator *evaluator, const tm_node *node)
{
    const tm_moment *now = evaluator->environment->now;
    const tm_facts *facts = evaluator->account ? evaluator->account->facts : NULL;
    tm_value value = tm_facts_value(facts, node->field, node->name, now);
    if (tm_fact_moves(node->field) && !tm_value_is_null(value)) {
        charge(evaluator, now->next_midnight);
    }
    return value;
}

static tm_value event_value(const tm_evaluator *evaluator, const tm_node *node)
{
    const tm_event *event = evaluator->event;
    if (!event) {
        return tm_value_null();
    }
    switch ((tm_op)node->op) {
    case TM_OP_EVENT_NAME:
        return tm_value_string(event->name);
    case TM_OP_EVENT_USER:
        return event->user.data ? tm_value_string(event->user) : tm_value_null();
    case TM_OP_EVENT_SOURCE:
        return event->source.data ? tm_value_string(event->source) : tm_value_null();
    case TM_OP_EVENT_VALUE:
        return event->value == TM_FIXED_NONE ? tm_value_null() : tm_value_number(tm_fixed_number(event->value));
    case TM_OP_EVENT_PROPERTY:
        return tm_event_property(event, node->name);
    default: /* TM_OP_USER_IS_CHAMPION: an event without a user is nobody's, which is known to be no champion's */
        return tm_value_boolean(evaluator->account && tm_facts_champion(evaluator->account->facts, event->user_key));
    }
}

static bool is_age(const tm_node *node)
{
    return node->op == TM_OP_AGE || node->op == TM_OP_FIRST || node->op == TM_OP_STAGE_AGE;
}

static tm_op mirrored(tm_op op)
{
    switch (op) {
    case TM_OP_LESS:
        return TM_OP_GREATER;
    case TM_OP_LESS_EQUAL:
        return TM_OP_GREATER_EQUAL;
    case TM_OP_GREATER:
        return TM_OP_LESS;
    case TM_OP_GREATER_EQUAL:
        return TM_OP_LESS_EQUAL;
    default:
        return op;
    }
}

static bool compare_hours(tm_op op, double hours, double limit_ms)
{
    tm_value sides[2] = {tm_value_duration(hours * (double)TM_HOUR), tm_value_duration(limit_ms)};
    return tm_value_is_true(tm_operation_apply(op, sides, 2));
}

/* A comparison of an age with a limit that stands as long as its own horizon says. The age is a whole number of hours
   that only grows, so the result can change only at the first whole hour at or above the limit, or the first above it.
 */
static tm_value compare_age(tm_evaluator *evaluator, tm_op op, const tm_node *age, double limit_ms)
{
    int64_t origin;
    if (!origin_hour(evaluator, age, &origin)) {
        return tm_value_null();
    }
    double hours = hours_since(evaluator, origin);
    bool result = compare_hours(op, hours, limit_ms);
    double limit = limit_ms / (double)TM_HOUR;
    double candidates[2] = {ceil(limit), floor(limit) + 1};
    for (int i = 0; i < 2; i++) {
        /* Beyond any representable instant nothing changes any more. */
        if (candidates[i] > hours && candidates[i] < (double)(TM_TIME_MAX / TM_HOUR) &&
            compare_hours(op, candidates[i], limit_ms) != result) {
            charge(evaluator, (origin + (int64_t)candidates[i]) * TM_HOUR);
            break;
        }
    }
    return tm_value_boolean(result);
}

/* Two ages grow together: the result stands unless one of them is still held at zero by an event ahead of now. */
static tm_value compare_ages(tm_evaluator *evaluator, tm_op op, const tm_node *a, const tm_node *b)
{
    int64_t origins[2];
    if (!origin_hour(evaluator, a, &origins[0]) || !origin_hour(evaluator, b, &origins[1])) {
        return tm_value_null();
    }
    int64_t now = evaluator->environment->now->hour;
    for (int i = 0; i < 2; i++) {
        if (origins[i] > now) {
            charge(evaluator, next_growth(evaluator, origins[0]));
            charge(evaluator, next_growth(evaluator, origins[1]));
            break;
        }
    }
    return tm_value_boolean(
        compare_hours(op, hours_since(evaluator, origins[0]), hours_since(evaluator, origins[1]) * (double)TM_HOUR));
}

static tm_value compare(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    const tm_node *nodes = evaluator->program->nodes;
    const tm_node *left = &nodes[arguments[0]];
    const tm_node *right = &nodes[arguments[1]];
    tm_op op = (tm_op)node->op;
    if (is_age(left) && is_age(right)) {
        return compare_ages(evaluator, op, left, right);
    }
    if (is_age(left) || is_age(right)) {
        tm_value limit = tm_evaluator_value(evaluator, arguments[is_age(left) ? 1 : 0]);
        tm_value result = tm_value_null(); /* what is no duration gives null whatever the age */
        if (limit.type == TM_TYPE_DURATION) {
            result = is_age(left) ? compare_age(evaluator, op, left, limit.as.number)
                                  : compare_age(evaluator, mirrored(op), right, limit.as.number);
        }
        result.approximate = limit.approximate;
        return result;
    }
    tm_value sides[2] = {tm_evaluator_value(evaluator, arguments[0]), tm_evaluator_value(evaluator, arguments[1])};
    return tm_operation_apply(op, sides, 2);
}

/* Whether an age is null is not a matter of time, so the question alone costs no waking. */
static tm_value null_test(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    const tm_node *argument = &evaluator->program->nodes[arguments[0]];
    if (is_age(argument)) {
        int64_t origin;
        bool null = !origin_hour(evaluator, argument, &origin);
        return tm_value_boolean(null == (node->op == TM_OP_IS_NULL));
    }
    tm_value value = tm_evaluator_value(evaluator, arguments[0]);
    return tm_operation_apply((tm_op)node->op, &value, 1);
}

static tm_value connective(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    int decides = node->op == TM_OP_OR ? 1 : 0;
    bool unknown = false;
    bool approximate = false;
    for (uint32_t i = 0; i < node->argument_count; i++) {
        tm_value value = tm_evaluator_value(evaluator, arguments[i]);
        int truth = tm_operation_truth(value);
        if (truth == decides) {
            return value;
        }
        unknown = unknown || truth < 0;
        approximate = approximate || value.approximate;
    }
    tm_value result = unknown ? tm_value_null() : tm_value_boolean(decides == 0);
    result.approximate = approximate;
    return result;
}

static tm_value first_present(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    tm_value value = tm_value_null();
    for (uint32_t i = 0; i < node->argument_count && tm_value_is_null(value); i++) {
        value = tm_evaluator_value(evaluator, arguments[i]);
    }
    return value;
}

static tm_value choice(tm_evaluator *evaluator, const uint32_t *arguments)
{
    tm_value condition = tm_evaluator_value(evaluator, arguments[0]);
    int truth = tm_operation_truth(condition);
    tm_value value = truth < 0 ? tm_value_null() : tm_evaluator_value(evaluator, arguments[truth == 1 ? 1 : 2]);
    value.approximate = value.approximate || condition.approximate;
    return value;
}

static tm_value pick(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    for (uint32_t i = 0; i + 1 < node->argument_count; i += 2) {
        if (tm_value_is_true(tm_evaluator_value(evaluator, arguments[i])))
            return tm_evaluator_value(evaluator, arguments[i + 1]);
    }
    return tm_value_null();
}

static double constant_of(const tm_evaluator *evaluator, uint32_t node)
{
    return evaluator->program->nodes[node].constant.as.number;
}

static tm_value piecewise(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    tm_value value = tm_evaluator_value(evaluator, arguments[0]);
    if (value.type != evaluator->program->nodes[arguments[1]].type)
        return tm_value_null(); /* null, or an attribute of another type */
    uint32_t at = 1, last = node->argument_count - 2U;
    double x = value.as.number;
    while (at < last && x > constant_of(evaluator, arguments[at]))
        at += 2;
    /* `at` is the first point not below the value, or the last one. */
    double right = constant_of(evaluator, arguments[at]), y = constant_of(evaluator, arguments[at + 1]);
    if (at > 1 && x < right) {
        double left = constant_of(evaluator, arguments[at - 2]), from = constant_of(evaluator, arguments[at - 1]);
        y = from + (y - from) * ((x - left) / (right - left));
    }
    tm_value points = tm_value_number(y);
    points.approximate = value.approximate;
    return points;
}

/* Weighted mean and coverage, in the order of the file: one order of summation, so one result everywhere. */
static tm_value score(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    double sum = 0, present = 0, all = 0;
    bool approximate = false;
    for (uint32_t i = 0; i + 1 < node->argument_count; i += 2) {
        double weight = constant_of(evaluator, arguments[i + 1]);
        tm_value points = tm_evaluator_value(evaluator, arguments[i]);
        all += weight;
        if (tm_value_is_null(points))
            continue;
        sum += weight * points.as.number;
        present += weight;
        approximate = approximate || points.approximate;
    }
    if (node->op == TM_OP_COVERAGE)
        return tm_value_number(present / all);
    tm_value mean = present > 0 ? tm_value_number(rint(sum / present * 10) / 10) : tm_value_null();
    mean.approximate = approximate;
    return mean;
}

static tm_value strict(tm_evaluator *evaluator, const tm_node *node, const uint32_t *arguments)
{
    tm_value values[TM_ARGUMENTS_MAX];
    for (uint32_t i = 0; i < node->argument_count; i++) {
        values[i] = tm_evaluator_value(evaluator, arguments[i]);
    }
    return tm_operation_apply((tm_op)node->op, values, node->argument_count);
}

static tm_value compute(tm_evaluator *evaluator, const tm_node *node)
{
    /* A program of leaves has no list of arguments to point into. */
    static const uint32_t none = 0;
    const uint32_t *arguments = node->argument_count > 0 ? evaluator->program->argument_list + node->arguments : &none;
    switch ((tm_op)node->op) {
    case TM_OP_CONSTANT:
        return node->constant;
    case TM_OP_WINDOW:
        return window_value(evaluator, node);
    case TM_OP_VALUE: {
        const tm_series *series = series_of(evaluator, node->metric);
        return series ? tm_series_value(series, &evaluator->environment->pack->metrics[node->metric]) : tm_value_null();
    }
    case TM_OP_AGE:
    case TM_OP_FIRST:
    case TM_OP_STAGE_AGE:
        return age_value(evaluator, node);
    case TM_OP_STAGE:
    case TM_OP_PREVIOUS_STAGE:
    case TM_OP_PREVIOUS_STAGE_TIME:
        return stage_value(evaluator, (tm_op)node->op);
    case TM_OP_BAND:
        return band_value(evaluator, node);
    case TM_OP_SCORE_AGO:
    case TM_OP_SCORE_LEAST:
    case TM_OP_SCORE_GREATEST:
    case TM_OP_SCORE_MEAN:
        return days_value(evaluator, node);
    case TM_OP_FIRST_VALUE:
        return first_value(evaluator, node);
    case TM_OP_FACT:
        return fact_value(evaluator, node);
    case TM_OP_ZSCORE:
    case TM_OP_GROWTH:
    case TM_OP_MEDIAN_WEEKDAY:
    case TM_OP_CUSUM:
    case TM_OP_GAP:
        return baseline_value(evaluator, node);
    case TM_OP_EVENT_NAME:
    case TM_OP_EVENT_USER:
    case TM_OP_EVENT_SOURCE:
    case TM_OP_EVENT_VALUE:
    case TM_OP_EVENT_PROPERTY:
    case TM_OP_USER_IS_CHAMPION:
        return event_value(evaluator, node);
    case TM_OP_EQUAL:
    case TM_OP_NOT_EQUAL:
    case TM_OP_LESS:
    case TM_OP_LESS_EQUAL:
    case TM_OP_GREATER:
    case TM_OP_GREATER_EQUAL:
        return compare(evaluator, node, arguments);
    case TM_OP_IS_NULL:
    case TM_OP_IS_NOT_NULL:
        return null_test(evaluator, node, arguments);
    case TM_OP_AND:
    case TM_OP_OR:
        return connective(evaluator, node, arguments);
    case TM_OP_COALESCE:
        return first_present(evaluator, node, arguments);
    case TM_OP_IF:
        return choice(evaluator, arguments);
    case TM_OP_PIECEWISE:
        return piecewise(evaluator, node, arguments);
    case TM_OP_SCORE:
    case TM_OP_COVERAGE:
        return score(evaluator, node, arguments);
    case TM_OP_PICK:
        return pick(evaluator, node, arguments);
    default:
        return strict(evaluator, node, arguments);
    }
}

tm_value tm_evaluator_value(tm_evaluator *evaluator, uint32_t node)
{
    /* A good part of all nodes: nothing to remember. */
    if (evaluator->program->nodes[node].op == TM_OP_CONSTANT) {
        return evaluator->program->nodes[node].constant;
    }
    memo *remembered = &evaluator->memos[node];
    if (remembered->stamp != evaluator->stamp) {
        remembered->value = compute(evaluator, &evaluator->program->nodes[node]);
        remembered->stamp = evaluator->stamp;
    }
    return remembered->value;
}
