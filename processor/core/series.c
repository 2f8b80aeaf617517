#include "tidemark/core/series.h"

#include "tidemark/base/check.h"
#include "tidemark/core/bits.h"
#include "tidemark/core/members.h"
#include "tidemark/core/picks.h"
#include "tidemark/core/ring.h"

typedef enum series_form { FORM_RINGS, FORM_MEMBERS, FORM_PICKS } series_form;

/* The head of one block; what follows it depends on the form: a ring for each unit kept, or members, or the pick of
   all events and one list for each unit kept. */
#define NO_HOUR INT32_MIN

struct tm_series {
    _Alignas(8) int32_t first_hour; /* of UTC; NO_HOUR before the first event. Aligned for what follows the head */
    int32_t last_hour;
    uint8_t form; /* series_form */
    bool days, hours;
};

typedef struct pick_part {
    tm_pick all; /* over every event, whatever the reach */
    tm_picks lists[];
} pick_part;

static series_form form_of(const tm_metric *metric)
{
    switch (metric->kind) {
    case TM_METRIC_COUNT:
    case TM_METRIC_SUM:
        return FORM_RINGS;
    case TM_METRIC_DISTINCT:
        return FORM_MEMBERS;
    default:
        return FORM_PICKS;
    }
}

static size_t size_of(series_form form, bool days, bool hours)
{
    size_t units = (size_t)days + hours;
    switch (form) {
    case FORM_RINGS:
        return sizeof(tm_series) + units * sizeof(tm_ring);
    case FORM_MEMBERS:
        return sizeof(tm_series) + (units ? sizeof(tm_members) : 0);
    default:
        return sizeof(tm_series) + sizeof(pick_part) + units * sizeof(tm_picks);
    }
}

static tm_ring *ring_of(const tm_series *series, tm_window_unit unit)
{
    tm_ring *rings = (tm_ring *)(uintptr_t)(series + 1);
    return rings + (unit == TM_WINDOW_HOURS && series->days);
}

static tm_members *members_of(const tm_series *series)
{
    return (tm_members *)(uintptr_t)(series + 1);
}

static pick_part *picks_of(const tm_series *series)
{
    return (pick_part *)(uintptr_t)(series + 1);
}

static tm_picks *list_of(const tm_series *series, tm_window_unit unit)
{
    return picks_of(series)->lists + (unit == TM_WINDOW_HOURS && series->days);
}

static bool keeps(const tm_series *series, tm_window_unit unit)
{
    return unit == TM_WINDOW_DAYS ? series->days : series->hours;
}

static tm_series *series_new(tm_heap *heap, const tm_metric *metric)
{
    series_form form = form_of(metric);
    bool days = metric->reach_days > 0, hours = metric->reach_hours > 0;
    tm_series *series = tm_heap_take(heap, size_of(form, days, hours));
    if (!series)
        return NULL;
    series->first_hour = series->last_hour = NO_HOUR;
    series->form = (uint8_t)form;
    series->days = days;
    series->hours = hours;
    if (form == FORM_PICKS)
        picks_of(series)->all = (tm_pick){TM_FIXED_NONE, 0};
    else if (form == FORM_MEMBERS && (days || hours))
        tm_members_init(members_of(series), metric->reach_days, metric->reach_hours);
    return series;
}

static size_t own_size(const tm_series *series)
{
    return size_of((series_form)series->form, series->days, series->hours);
}

void tm_series_free(tm_heap *heap, tm_series *series)
{
    if (!series)
        return;
    if (series->form == FORM_MEMBERS && (series->days || series->hours))
        tm_members_done(members_of(series), heap);
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!keeps(series, (tm_window_unit)unit))
            continue;
        if (series->form == FORM_RINGS)
            tm_ring_done(ring_of(series, (tm_window_unit)unit), heap);
        else if (series->form == FORM_PICKS)
            tm_picks_done(list_of(series, (tm_window_unit)unit), heap);
    }
    tm_heap_give(heap, series, own_size(series));
}

size_t tm_series_memory(const tm_series *series)
{
    if (!series)
        return 0;
    size_t size = own_size(series);
    if (series->form == FORM_MEMBERS && (series->days || series->hours))
        size += tm_members_memory(members_of(series));
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!keeps(series, (tm_window_unit)unit))
            continue;
        if (series->form == FORM_RINGS)
            size += tm_ring_memory(ring_of(series, (tm_window_unit)unit));
        else if (series->form == FORM_PICKS)
            size += tm_picks_memory(list_of(series, (tm_window_unit)unit));
    }
    return size;
}

static tm_reach reach_of(const tm_metric *metric, const tm_moment *now, tm_window_unit unit)
{
    if (unit == TM_WINDOW_DAYS)
        return (tm_reach){now->day, metric->reach_days};
    return (tm_reach){now->hour, metric->reach_hours};
}

/* Where a sample goes: its bucket in each unit, and whether that is kept. */
typedef struct placement {
    tm_reach reach[2];
    int64_t bucket[2];
    bool taken[2];
    bool changed; /* some bucket got other content */
} placement;

static tm_status apply_rings(tm_series *series, tm_heap *heap, placement *to, __int128 amount, bool counts)
{
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!to->taken[unit])
            continue;
        tm_status status =
            tm_ring_reserve(ring_of(series, (tm_window_unit)unit), heap, to->reach[unit], to->bucket[unit], amount);
        if (status > TM_REJECT)
            return status;
        to->taken[unit] = status == TM_OK;
    }
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!to->taken[unit] || amount == 0)
            continue;
        tm_ring *ring = ring_of(series, (tm_window_unit)unit);
        TM_CHECK(heap, tm_ring_has(ring, to->bucket[unit]), "ring_bucket_reserved");
        __int128 sum = tm_ring_add(ring, to->bucket[unit], amount);
        TM_CHECK(heap, sum > 0 || !counts, "count_above_zero");
    }
    return TM_OK;
}

static tm_status apply_picks(tm_series *series, tm_heap *heap, placement *to, const tm_metric *metric, tm_pick pick)
{
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!to->taken[unit])
            continue;
        tm_status status =
            tm_picks_reserve(list_of(series, (tm_window_unit)unit), heap, to->reach[unit], to->bucket[unit]);
        if (status > TM_REJECT)
            return status;
        to->taken[unit] = status == TM_OK;
    }
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!to->taken[unit])
            continue;
        bool ordered = tm_picks_put(list_of(series, (tm_window_unit)unit), metric->kind, to->bucket[unit], pick);
        TM_CHECK(heap, ordered, "picks_ascend");
    }
    picks_of(series)->all = tm_pick_better(metric->kind, picks_of(series)->all, pick);
    return TM_OK;
}

static tm_status apply_members(tm_series *series, tm_heap *heap, placement *to, uint64_t member)
{
    tm_members_reach reach = {to->reach[TM_WINDOW_DAYS], to->reach[TM_WINDOW_HOURS]};
    if (!series->days && !series->hours)
        return TM_OK;
    return tm_members_add(members_of(series), heap, &reach, member, to->taken[TM_WINDOW_DAYS],
                          to->bucket[TM_WINDOW_DAYS], to->taken[TM_WINDOW_HOURS], to->bucket[TM_WINDOW_HOURS],
                          &to->changed);
}

static bool is_sampled(const tm_series *series)
{
    return series->form == FORM_MEMBERS && (series->days || series->hours) && members_of(series)->level > 0;
}

static bool has_content(const tm_metric *metric, const tm_sample *sample)
{
    switch (metric->kind) {
    case TM_METRIC_COUNT:
        return true;
    case TM_METRIC_DISTINCT:
        return sample->member != 0;
    default:
        return sample->value != TM_FIXED_NONE;
    }
}

static tm_status apply_content(tm_series *series, tm_heap *heap, const tm_metric *metric, const tm_sample *sample,
                               placement *to)
{
    switch (metric->kind) {
    case TM_METRIC_COUNT:
        return apply_rings(series, heap, to, 1, true);
    case TM_METRIC_SUM:
        return apply_rings(series, heap, to, sample->value, false);
    case TM_METRIC_DISTINCT:
        return apply_members(series, heap, to, sample->member);
    default:
        return apply_picks(series, heap, to, metric, (tm_pick){sample->value, sample->at});
    }
}

static tm_counted counted_of(const tm_series *series, const placement *to)
{
    bool late = false, taken = false, kept = false;
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!keeps(series, (tm_window_unit)unit))
            continue;
        kept = true;
        taken = taken || to->taken[unit];
        late = late || to->bucket[unit] < to->reach[unit].now;
    }
    if (kept && !taken)
        return TM_COUNTED_BEYOND;
    return late ? TM_COUNTED_LATE : TM_COUNTED;
}

tm_status tm_series_apply(tm_series **series, tm_heap *heap, const tm_metric *metric, const tm_moment *now,
                          const tm_sample *sample, tm_counted *ret_counted, uint8_t *ret_aspects)
{
    tm_series *own = *series;
    if (!own) {
        own = series_new(heap, metric);
        if (!own)
            return TM_FATAL;
    }
    TM_CHECK(heap,
             own->form == form_of(metric) && own->days == (metric->reach_days > 0) &&
                 own->hours == (metric->reach_hours > 0),
             "series_form");
    TM_CHECK(heap, own->first_hour <= own->last_hour, "series_hours");
    placement to;
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        to.reach[unit] = reach_of(metric, now, (tm_window_unit)unit);
        to.bucket[unit] = unit == TM_WINDOW_DAYS ? sample->day : sample->hour;
        to.taken[unit] = keeps(own, (tm_window_unit)unit) && tm_reach_takes(to.reach[unit], to.bucket[unit]);
    }
    to.changed = metric->kind != TM_METRIC_DISTINCT; /* members see for themselves */
    uint8_t aspects = 0;
    *ret_counted = TM_COUNTED_NOT;
    if (has_content(metric, sample)) {
        tm_status status = apply_content(own, heap, metric, sample, &to);
        if (status != TM_OK) {
            if (!*series && status != TM_BROKEN) /* what is broken goes with its heap */
                tm_series_free(heap, own);
            return status;
        }
        *ret_counted = counted_of(own, &to);
        aspects = TM_ASPECT_BIT(TM_ASPECT_VALUE);
        if (to.changed)
            aspects |= TM_ASPECT_BIT(TM_ASPECT_PRESENT);
        /* A sample of members that was thinned out changes every count. */
        if (to.changed && (*ret_counted == TM_COUNTED_LATE || is_sampled(own)))
            aspects |= TM_ASPECT_BIT(TM_ASPECT_PAST);
    }
    int32_t hour = (int32_t)sample->hour;
    if (own->first_hour == NO_HOUR || hour < own->first_hour) {
        own->first_hour = hour;
        aspects |= TM_ASPECT_BIT(TM_ASPECT_FIRST);
    }
    if (hour > own->last_hour) {
        own->last_hour = hour;
        aspects |= TM_ASPECT_BIT(TM_ASPECT_LAST);
    }
    *series = own;
    if (ret_aspects)
        *ret_aspects = aspects;
    return TM_OK;
}

static tm_value value_of(tm_pick pick)
{
    return pick.value == TM_FIXED_NONE ? tm_value_null() : tm_value_number(tm_fixed_number(pick.value));
}

/* What a window gives where nothing is kept. */
static tm_value nothing(const tm_metric *metric)
{
    return form_of(metric) == FORM_PICKS ? tm_value_null() : tm_value_number(0);
}

tm_value tm_series_window(const tm_series *series, const tm_metric *metric, const tm_window *window,
                          const tm_moment *now, bool *ret_quiet)
{
    if (ret_quiet)
        *ret_quiet = true;
    if (!series || !keeps(series, window->unit))
        return nothing(metric);
    tm_reach reach = reach_of(metric, now, window->unit);
    int64_t to = reach.now - window->offset, from = to - window->length + 1, oldest = tm_reach_oldest(reach);
    if (series->form == FORM_RINGS) {
        const tm_ring *ring = ring_of(series, window->unit);
        if (ret_quiet)
            *ret_quiet = !tm_ring_any(ring, oldest);
        __int128 sum = tm_ring_sum(ring, from, to);
        return tm_value_number(metric->kind == TM_METRIC_SUM ? tm_fixed_sum_number(sum) : (double)sum);
    }
    if (series->form == FORM_MEMBERS) {
        tm_members_reach both = {reach_of(metric, now, TM_WINDOW_DAYS), reach_of(metric, now, TM_WINDOW_HOURS)};
        bool approximate, hours = window->unit == TM_WINDOW_HOURS;
        uint64_t count = tm_members_count(members_of(series), &both, hours, from, to, &approximate);
        tm_value value = tm_value_number((double)count);
        value.approximate = approximate;
        /* A sample says nothing about members left out: only when it fades is the answer sure to stay. */
        if (ret_quiet)
            *ret_quiet = !approximate && !tm_members_any(members_of(series), &both, hours);
        return value;
    }
    const tm_picks *list = list_of(series, window->unit);
    if (ret_quiet)
        *ret_quiet = !tm_picks_any(list, oldest);
    return value_of(tm_picks_best(list, metric->kind, from, to));
}

bool tm_series_quiet(const tm_series *series, const tm_metric *metric, const tm_moment *now)
{
    bool quiet;
    (void)tm_series_window(series, metric, &(tm_window){TM_WINDOW_DAYS, 1, 0}, now, &quiet);
    return quiet;
}

tm_value tm_series_value(const tm_series *series, const tm_metric *metric)
{
    if (!series || form_of(metric) != FORM_PICKS)
        return tm_value_null();
    return value_of(picks_of(series)->all);
}

tm_time tm_series_last_at(const tm_series *series)
{
    return series ? series->last_hour * TM_HOUR : TM_TIME_NONE;
}

tm_time tm_series_first_at(const tm_series *series)
{
    return series ? series->first_hour * TM_HOUR : TM_TIME_NONE;
}

/* What a saved series holds besides first and last. */
enum { SAVED_DAYS = 1, SAVED_HOURS = 2, SAVED_PICK = 4, SAVED_ALL = 7 };

/* Reaches that forget nothing: moving between masks must not depend on a clock. */
static tm_reach unbounded(void)
{
    return (tm_reach){INT32_MIN / 2, 1};
}

/* Buckets are saved relative to those of the last event, which is mostly the newest. A day's may be one off, as hours
   are those of UTC. */
typedef struct save_base {
    int64_t buckets[2];
} save_base;

static save_base base_of(const tm_series *series)
{
    return (save_base){{series->last_hour / 24, series->last_hour}};
}

static void save(const tm_series *series, tm_reach days, tm_reach hours, tm_buffer *out)
{
    bool pick = series->form == FORM_PICKS && picks_of(series)->all.value != TM_FIXED_NONE;
    bool parts[2] = {series->days, series->hours};
    tm_reach reach[2] = {days, hours};
    tm_buffer_put_u8(
        out, (uint8_t)((series->days ? SAVED_DAYS : 0) | (series->hours ? SAVED_HOURS : 0) | (pick ? SAVED_PICK : 0)));
    tm_buffer_put_signed(out, series->last_hour);
    tm_buffer_put_varint(out, (uint64_t)((int64_t)series->last_hour - series->first_hour));
    if (pick) {
        tm_fixed_put(out, picks_of(series)->all.value);
        tm_buffer_put_signed(out, picks_of(series)->all.at - series->last_hour * TM_HOUR);
    }
    if (series->form == FORM_MEMBERS) {
        tm_members_reach both = {days, hours};
        if (series->days || series->hours)
            tm_members_save(members_of(series), &both, base_of(series).buckets[0], base_of(series).buckets[1], out);
        return;
    }
    for (int unit = TM_WINDOW_DAYS; unit <= TM_WINDOW_HOURS; unit++) {
        if (!parts[unit])
            continue;
        if (series->form == FORM_RINGS)
            tm_ring_save(ring_of(series, (tm_window_unit)unit), tm_reach_oldest(reach[unit]),
                         base_of(series).buckets[unit], out);
        else
            tm_picks_save(list_of(series, (tm_window_unit)unit), tm_reach_oldest(reach[unit]),
                          base_of(series).buckets[unit], unit == TM_WINDOW_DAYS ? TM_DAY : TM_HOUR, out);
    }
}

void tm_series_save(const tm_series *series, const tm_metric *metric, const tm_moment *now, tm_buffer *out)
{
    save(series, reach_of(metric, now, TM_WINDOW_DAYS), reach_of(metric, now, TM_WINDOW_HOURS), out);
}

/* Reads one unit's ring or list. One that the pack does not keep any more is read and dropped. */
static tm_status load_unit(tm_series *series, tm_heap *heap, tm_window_unit unit, int32_t reach, tm_reader *in)
{
    int64_t base = base_of(series).buckets[unit];
    if (series->form == FORM_RINGS) {
        tm_ring dropped;
        return tm_ring_load(heap, reach, base, in, keeps(series, unit) ? ring_of(series, unit) : &dropped);
    }
    tm_picks dropped;
    return tm_picks_load(heap, reach, base, unit == TM_WINDOW_DAYS ? TM_DAY : TM_HOUR, in,
                         keeps(series, unit) ? list_of(series, unit) : &dropped);
}

static tm_status load_parts(tm_series *series, tm_heap *heap, const tm_metric *metric, uint8_t saved, tm_reader *in)
{
    if (series->form == FORM_MEMBERS) {
        tm_members dropped;
        save_base base = base_of(series);
        if (!(saved & (SAVED_DAYS | SAVED_HOURS)))
            return TM_OK;
        return tm_members_load(heap, metric->reach_days, metric->reach_hours, base.buckets[0], base.buckets[1], in,
                               series->days || series->hours ? members_of(series) : &dropped);
    }
    tm_status status = TM_OK;
    if (saved & SAVED_DAYS)
        status = load_unit(series, heap, TM_WINDOW_DAYS, metric->reach_days, in);
    if (status == TM_OK && saved & SAVED_HOURS)
        status = load_unit(series, heap, TM_WINDOW_HOURS, metric->reach_hours, in);
    return status;
}

tm_status tm_series_load(tm_heap *heap, const tm_metric *metric, tm_reader *in, tm_series **ret_series)
{
    enum { HOUR_MAX = 100000000 }; /* beyond the year 9999 */
    *ret_series = NULL;
    uint8_t saved = tm_reader_u8(in);
    int64_t last_hour = tm_reader_signed(in);
    uint64_t before = tm_reader_varint(in);
    if (in->failed || saved > SAVED_ALL || last_hour < -HOUR_MAX || last_hour > HOUR_MAX || before > HOUR_MAX ||
        (saved & SAVED_PICK && form_of(metric) != FORM_PICKS))
        return TM_REJECT;
    tm_series *series = series_new(heap, metric);
    if (!series)
        return TM_FATAL;
    series->last_hour = (int32_t)last_hour;
    series->first_hour = (int32_t)(last_hour - (int64_t)before);
    if (saved & SAVED_PICK) {
        picks_of(series)->all.value = tm_fixed_get(in);
        int64_t since = tm_reader_signed(in);
        in->failed = in->failed || since < -2 * TM_TIME_MAX || since > TM_TIME_MAX;
        picks_of(series)->all.at = in->failed ? 0 : last_hour * TM_HOUR + since;
    }
    tm_status status = in->failed ? TM_REJECT : load_parts(series, heap, metric, saved, in);
    if (status == TM_OK) {
        *ret_series = series;
        return TM_OK;
    }
    tm_series_free(heap, series);
    return status;
}

tm_status tm_series_fit(tm_series **series, tm_heap *heap, const tm_metric *metric)
{
    tm_series *own = *series;
    bool days = metric->reach_days > 0, hours = metric->reach_hours > 0;
    if (!own || (own->days == days && own->hours == hours &&
                 (own->form != FORM_MEMBERS || !(days || hours) ||
                  tm_members_fit(members_of(own), metric->reach_days, metric->reach_hours))))
        return TM_OK;
    tm_buffer bytes;
    tm_reader in;
    tm_series *fitted = NULL;
    tm_buffer_init(&bytes, SIZE_MAX / 4);
    save(own, unbounded(), unbounded(), &bytes);
    tm_reader_init(&in, tm_buffer_slice(&bytes));
    tm_status status = bytes.overflowed ? TM_FATAL : tm_series_load(heap, metric, &in, &fitted);
    if (status == TM_OK) {
        tm_series_free(heap, own);
        *series = fitted;
    }
    tm_buffer_done(&bytes);
    return status == TM_OK ? TM_OK : TM_FATAL;
}
