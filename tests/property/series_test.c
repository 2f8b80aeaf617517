/* Every kind of metric over random streams (late, slightly future, null and repeated values, long silences, days of 23
   and 25 hours) against a list of samples that is searched by brute force; with saves and loads in between. */
#include "tidemark/core/series.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rng {
    uint64_t state;
} rng;

static uint64_t next(rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t below(rng *r, int64_t n)
{
    return (int64_t)(next(r) % (uint64_t)n);
}

enum { SAMPLES = 600 };

typedef struct model {
    tm_sample samples[SAMPLES];
    bool in_days[SAMPLES], in_hours[SAMPLES]; /* within reach when applied */
    int count;
} model;

/* A value as the law says, by looking at every sample. */
static tm_value expected(const model *m, const tm_metric *metric, const tm_window *window, const tm_moment *now)
{
    bool days = window && window->unit == TM_WINDOW_DAYS;
    int64_t to = window ? (days ? now->day : now->hour) - window->offset : 0,
            from = window ? to - window->length + 1 : 0;
    double count = 0;
    __int128 sum = 0;
    const tm_sample *best = NULL;
    for (int i = 0; i < m->count; i++) {
        const tm_sample *s = &m->samples[i];
        int64_t bucket = days ? s->day : s->hour;
        if (window && (bucket < from || bucket > to || !(days ? m->in_days[i] : m->in_hours[i])))
            continue;
        if (metric->kind == TM_METRIC_COUNT) {
            count++;
        } else if (metric->kind == TM_METRIC_DISTINCT) {
            bool seen = s->member == 0;
            for (int j = 0; j < i && !seen; j++) {
                int64_t other = days ? m->samples[j].day : m->samples[j].hour;
                seen = m->samples[j].member == s->member && other >= from && other <= to &&
                       (days ? m->in_days[j] : m->in_hours[j]);
            }
            count += !seen;
        } else if (s->value != TM_FIXED_NONE) {
            sum += s->value;
            if (!best || (metric->kind == TM_METRIC_LAST && s->at >= best->at) ||
                (metric->kind == TM_METRIC_FIRST && s->at < best->at) ||
                (metric->kind == TM_METRIC_MAX && s->value > best->value))
                best = s;
        }
    }
    switch (metric->kind) {
    case TM_METRIC_COUNT:
    case TM_METRIC_DISTINCT:
        return tm_value_number(count);
    case TM_METRIC_SUM:
        return tm_value_number((double)sum / 1e6);
    default:
        return best ? tm_value_number((double)best->value / 1e6) : tm_value_null();
    }
}

static const tm_zone *berlin(void)
{
    static tm_zone *zone;
    static char bytes[8192];
    FILE *file = zone ? NULL : fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    if (zone)
        return zone;
    cr_assert_not_null(file);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    tm_error error;
    fclose(file);
    cr_assert_eq(tm_zone_parse((tm_slice){bytes, length}, "Europe/Berlin", &zone, &error), TM_OK);
    return zone;
}

typedef struct run {
    rng random;
    tm_heap *heap;
    tm_metric metric;
    tm_series *series, *restored; /* the second goes through bytes after every few samples */
    const tm_zone *zone;
    tm_day_span span, span_at;
    tm_moment now;
    model model;
} run;

static tm_fixed random_value(rng *r)
{
    switch (below(r, 8)) {
    case 0:
        return TM_FIXED_NONE;
    case 1:
        return 0;
    case 2:
        return below(r, 2) ? INT64_C(9000000000000000) : -INT64_C(9000000000000000);
    case 3:
        return -below(r, 1000) * TM_FIXED_ONE;
    case 4:
        return below(r, 100000) * 10000;
    case 5:
        return below(r, 1000000000);
    default:
        return below(r, 100) * TM_FIXED_ONE;
    }
}

static void start(run *r, uint64_t seed, tm_metric_kind kind)
{
    memset(r, 0, sizeof *r);
    r->random.state = seed;
    r->heap = tm_heap_new(0);
    r->metric.kind = kind;
    int32_t days[] = {0, 1, 2, 7, 30, 31, 62, 90}, hours[] = {0, 0, 1, 24, 29, 30, 31, 100, 1488};
    r->metric.reach_days = days[below(&r->random, kind == TM_METRIC_DISTINCT ? 7 : 8)];
    r->metric.reach_hours = hours[below(&r->random, 9)];
    r->zone = below(&r->random, 2) ? berlin() : tm_zone_utc();
    /* Around a change of the clocks in spring or autumn, or the year 1970 itself. */
    tm_time starts[] = {INT64_C(1711753200000), INT64_C(1729893600000), INT64_C(1600000000000), 3 * TM_HOUR};
    tm_moment_at(&r->now, r->zone, starts[below(&r->random, 4)], &r->span);
}

static tm_series *through_bytes(run *r, tm_series *series)
{
    tm_buffer first, second;
    tm_reader in;
    tm_series *loaded;
    if (!series)
        return NULL;
    tm_buffer_init(&first, 1 << 24);
    tm_buffer_init(&second, 1 << 24);
    tm_series_save(series, &r->metric, &r->now, &first);
    tm_reader_init(&in, tm_buffer_slice(&first));
    cr_assert_eq(tm_series_load(r->heap, &r->metric, &in, &loaded), TM_OK);
    cr_assert(tm_reader_at_end(&in));
    tm_series_save(loaded, &r->metric, &r->now, &second);
    cr_assert(tm_slice_equal(tm_buffer_slice(&first), tm_buffer_slice(&second)));
    tm_series_free(r->heap, series);
    tm_buffer_done(&first);
    tm_buffer_done(&second);
    return loaded;
}

static void step(run *r)
{
    rng *random = &r->random;
    int64_t pauses[] = {0, 1, TM_MINUTE, 20 * TM_MINUTE, TM_HOUR, 5 * TM_HOUR, TM_DAY, 40 * TM_DAY};
    int64_t pause = below(random, pauses[below(random, below(random, 20) ? 7 : 8)] + 1);
    tm_moment_at(&r->now, r->zone, r->now.t + pause, &r->span);
    int64_t lateness[] = {-5 * TM_MINUTE, 0, 0, TM_HOUR, 3 * TM_DAY, 100 * TM_DAY};
    int64_t late = lateness[below(random, 6)];
    tm_time at = late < 0 ? r->now.t + below(random, -late + 1) : r->now.t - below(random, late + 1);
    if (below(random, 4) == 0 && r->model.count) /* the very instant of another one: ties */
        at = r->model.samples[r->model.count - 1].at;
    if (at < 0)
        at = 0;
    tm_sample sample = {.at = at,
                        .hour = tm_hour_of(at),
                        .day = tm_zone_day_cached(r->zone, at, &r->span_at),
                        .value = random_value(random),
                        .member = next(random) >> 61 ? (uint64_t)below(random, 40) * UINT64_C(0x123456789abcdef) : 0};
    bool in_days = r->metric.reach_days && sample.day > r->now.day - r->metric.reach_days;
    bool in_hours = r->metric.reach_hours && sample.hour > r->now.hour - r->metric.reach_hours;
    bool content = r->metric.kind == TM_METRIC_COUNT ||
                   (r->metric.kind == TM_METRIC_DISTINCT ? sample.member != 0 : sample.value != TM_FIXED_NONE);
    tm_counted outcome = TM_COUNTED_BEYOND, counted, again;
    if (!content)
        outcome = TM_COUNTED_NOT;
    else if (in_days || in_hours || !(r->metric.reach_days || r->metric.reach_hours))
        outcome =
            (r->metric.reach_days && sample.day < r->now.day) || (r->metric.reach_hours && sample.hour < r->now.hour)
                ? TM_COUNTED_LATE
                : TM_COUNTED;
    cr_assert_eq(tm_series_apply(&r->series, r->heap, &r->metric, &r->now, &sample, &counted, NULL), TM_OK);
    cr_assert_eq(tm_series_apply(&r->restored, r->heap, &r->metric, &r->now, &sample, &again, NULL), TM_OK);
    cr_assert_eq(counted, outcome);
    cr_assert_eq(again, outcome);
    r->model.samples[r->model.count] = sample;
    r->model.in_days[r->model.count] = in_days;
    r->model.in_hours[r->model.count] = in_hours;
    r->model.count++;
    if (below(random, 8) == 0)
        r->restored = through_bytes(r, r->restored);
}

static void compare(run *r, const tm_series *series)
{
    for (int unit = 0; unit < 2; unit++) {
        int32_t reach = unit == TM_WINDOW_DAYS ? r->metric.reach_days : r->metric.reach_hours;
        if (!reach)
            continue;
        bool quiet = true, any = false;
        tm_window window = {.unit = (tm_window_unit)unit};
        for (int i = 0; i < 4; i++) {
            window.length = i ? 1 + (int32_t)below(&r->random, reach) : reach;
            window.offset = (int32_t)below(&r->random, reach - window.length + 1);
            tm_value want = expected(&r->model, &r->metric, &window, &r->now);
            tm_value got = tm_series_window(series, &r->metric, &window, &r->now, &quiet);
            cr_assert(tm_value_same(got, want), "kind %d unit %d [%d offset %d]: %f, not %f", r->metric.kind, unit,
                      window.length, window.offset, got.as.number, want.as.number);
            cr_assert(!got.approximate);
            any = any || (!tm_value_is_null(want) && want.as.number != 0);
        }
        cr_assert(!(quiet && any), "what is not empty is not quiet");
        /* Quiet means: the same at every later moment. */
        tm_moment later;
        tm_day_span span = {0};
        tm_value still = tm_series_window(series, &r->metric, &window, &r->now, &quiet);
        for (int i = 0; quiet && i < 3; i++) {
            bool ignored;
            tm_moment_at(&later, r->zone, r->now.t + below(&r->random, 3 * TM_DAY), &span);
            cr_assert(tm_value_same(tm_series_window(series, &r->metric, &window, &later, &ignored), still));
        }
    }
    if (r->metric.kind == TM_METRIC_LAST || r->metric.kind == TM_METRIC_MAX || r->metric.kind == TM_METRIC_FIRST)
        cr_assert(tm_value_same(tm_series_value(series, &r->metric), expected(&r->model, &r->metric, NULL, &r->now)));
    else
        cr_assert(tm_value_is_null(tm_series_value(series, &r->metric)));
    tm_time first = INT64_MAX, last = INT64_MIN;
    for (int i = 0; i < r->model.count; i++) {
        first = r->model.samples[i].at < first ? r->model.samples[i].at : first;
        last = r->model.samples[i].at > last ? r->model.samples[i].at : last;
    }
    cr_assert_eq(tm_series_first_at(series), first - first % TM_HOUR);
    cr_assert_eq(tm_series_last_at(series), last - last % TM_HOUR);
}

static void finish(run *r)
{
    tm_series_free(r->heap, r->series);
    tm_series_free(r->heap, r->restored);
    cr_assert_eq(tm_heap_used(r->heap), 0, "all memory is given back");
    tm_heap_free_all(r->heap);
}

Test(series, windows_equal_those_of_a_list_of_all_samples)
{
    static run r;
    for (uint64_t seed = 1; seed <= 360; seed++) {
        start(&r, seed, (tm_metric_kind)(seed % 6));
        int samples = 20 + (int)below(&r.random, SAMPLES - 20) / (seed % 5 ? 6 : 1);
        while (r.model.count < samples) {
            step(&r);
            if (below(&r.random, 6) == 0) {
                compare(&r, r.series);
                compare(&r, r.restored);
                /* and later, with nothing new */
                tm_moment_at(&r.now, r.zone, r.now.t + below(&r.random, 2 * TM_DAY), &r.span);
                compare(&r, r.series);
                compare(&r, r.restored);
            }
        }
        finish(&r);
    }
}

/* What is resident and what went through bytes stay equal, byte for byte, beyond the cap too. */
Test(series, sampling_depends_on_the_samples_alone)
{
    static run r;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        start(&r, seed, TM_METRIC_DISTINCT);
        r.metric.reach_days = 7;
        r.metric.reach_hours = seed == 2 ? 24 : 0;
        bool was_approximate = false, was_exact_again = false, approximate = false;
        int users = 20000;
        for (int i = 0; i < 90000; i++) {
            if (i == 60000) { /* a silence longer than the reach: exact afterwards */
                tm_moment_at(&r.now, r.zone, r.now.t + 10 * TM_DAY, &r.span);
                users = 100;
            }
            tm_moment_at(&r.now, r.zone, r.now.t + below(&r.random, 5000), &r.span);
            tm_sample sample = {
                .at = r.now.t, .hour = r.now.hour, .day = r.now.day, .member = 1 + (uint64_t)below(&r.random, users)};
            tm_counted counted;
            cr_assert_eq(tm_series_apply(&r.series, r.heap, &r.metric, &r.now, &sample, &counted, NULL), TM_OK);
            cr_assert_eq(tm_series_apply(&r.restored, r.heap, &r.metric, &r.now, &sample, &counted, NULL), TM_OK);
            if (i % 5000 == 4999)
                r.restored = through_bytes(&r, r.restored);
            if (i % 10000 == 9999) {
                bool quiet;
                tm_window window = {TM_WINDOW_DAYS, 7, 0};
                tm_value value = tm_series_window(r.series, &r.metric, &window, &r.now, &quiet);
                tm_value other = tm_series_window(r.restored, &r.metric, &window, &r.now, &quiet);
                cr_assert(tm_value_same(value, other));
                cr_assert_eq(value.approximate, other.approximate);
                approximate = value.approximate;
                was_approximate = was_approximate || approximate;
                was_exact_again = was_approximate && !approximate;
                if (i == 59999)
                    cr_assert(value.as.number > 17000 && value.as.number < 21000, "%f", value.as.number);
                if (i == 89999)
                    cr_assert_eq(value.as.number, 100);
            }
        }
        cr_assert(was_approximate && was_exact_again);
        cr_assert_lt(tm_series_memory(r.series), 4096 * (8 + 8) + 256);
        finish(&r);
    }
}
