/* A series that comes under a pack with another reach; windows over random streams are in property/series_test.c. */
#include "tidemark/core/series.h"

#include <criterion/criterion.h>

static tm_moment now;
static tm_heap *heap;

static void set_up(void)
{
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), INT64_C(1710050400000), &span);
    heap = tm_heap_new(1 << 20);
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
}

TestSuite(series, .init = set_up, .fini = tear_down);

static tm_series *filled(const tm_metric *metric)
{
    tm_series *series = NULL;
    for (int i = 0; i < 5; i++) { /* one a day, the last two hours ago */
        tm_sample sample = {.at = now.t - 2 * TM_HOUR - i * TM_DAY,
                            .hour = now.hour - 2 - i * 24,
                            .day = now.day - i,
                            .value = (i + 1) * TM_FIXED_ONE,
                            .member = (uint64_t)i + 1};
        tm_counted counted;
        cr_assert_eq(tm_series_apply(&series, heap, metric, &now, &sample, &counted, NULL), TM_OK);
    }
    return series;
}

static double window(const tm_series *series, const tm_metric *metric, tm_window_unit unit, int32_t length)
{
    tm_window w = {unit, length, 0};
    return tm_series_window(series, metric, &w, &now, NULL).as.number;
}

static const tm_metric_kind kinds[] = {TM_METRIC_COUNT, TM_METRIC_SUM, TM_METRIC_DISTINCT,
                                       TM_METRIC_LAST,  TM_METRIC_MAX, TM_METRIC_FIRST};

Test(series, nothing_fits_everything)
{
    tm_series *series = NULL;
    tm_metric metric = {.kind = TM_METRIC_SUM, .reach_days = 7};
    cr_assert_eq(tm_series_fit(&series, heap, &metric), TM_OK);
    cr_assert_null(series);
}

Test(series, keeps_its_days_when_hours_come_and_go)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        tm_metric days = {.kind = kinds[k], .of = TM_OF_VALUE, .reach_days = 7}, both = days;
        both.reach_days = 62;
        both.reach_hours = 48;
        tm_series *series = filled(&days), *before = series;
        double four = window(series, &days, TM_WINDOW_DAYS, 4);
        tm_time first = tm_series_first_at(series), last = tm_series_last_at(series);
        cr_assert_eq(tm_series_fit(&series, heap, &days), TM_OK);
        cr_assert_eq(series, before, "it fits already");
        cr_assert_eq(tm_series_fit(&series, heap, &both), TM_OK);
        cr_assert_eq(window(series, &both, TM_WINDOW_DAYS, 4), four);
        tm_window hours = {TM_WINDOW_HOURS, 48, 0};
        tm_value value = tm_series_window(series, &both, &hours, &now, NULL);
        cr_assert(value.type == TM_TYPE_NULL || value.as.number == 0, "hours begin empty");
        tm_counted counted;
        tm_sample sample = {.at = now.t, .hour = now.hour, .day = now.day, .value = TM_FIXED_ONE, .member = 9};
        cr_assert_eq(tm_series_apply(&series, heap, &both, &now, &sample, &counted, NULL), TM_OK);
        cr_assert_eq(window(series, &both, TM_WINDOW_HOURS, 48), 1, "kind %zu", k);
        cr_assert_eq(tm_series_first_at(series), first);
        cr_assert_geq(tm_series_last_at(series), last);
        four = window(series, &both, TM_WINDOW_DAYS, 4);
        cr_assert_eq(tm_series_fit(&series, heap, &days), TM_OK);
        cr_assert_eq(window(series, &days, TM_WINDOW_DAYS, 4), four);
        size_t memory = tm_series_memory(series), used = tm_heap_used(heap);
        cr_assert(memory <= used && used <= memory + memory / 8 + 48, "%zu of %zu", memory, used);
        tm_series_free(heap, series);
        cr_assert_eq(tm_heap_used(heap), 0, "what it was before is freed");
    }
}

Test(series, without_memory_it_is_as_before)
{
    tm_metric days = {.kind = TM_METRIC_DISTINCT, .of = TM_OF_USER, .reach_days = 7}, more = days;
    more.reach_days = 62;
    tm_series *series = filled(&days), *before = series;
    const size_t sizes[] = {4096, 512, 64, 16};
    for (size_t i = 0; i < 4; i++)
        while (tm_heap_take(heap, sizes[i]))
            ;
    cr_assert_eq(tm_series_fit(&series, heap, &more), TM_FATAL);
    cr_assert_eq(series, before);
    cr_assert_eq(window(series, &days, TM_WINDOW_DAYS, 4), 4);
}

Test(series, bytes_that_cannot_be_are_refused)
{
    static const struct {
        uint8_t saved;
        int64_t last, since;
        uint64_t before;
        tm_metric_kind kind;
    } cases[] = {
        {8, 1, 0, 0, TM_METRIC_LAST},
        {0, -100000001, 0, 0, TM_METRIC_LAST},
        {0, 100000001, 0, 0, TM_METRIC_LAST},
        {0, 1, 0, 100000001, TM_METRIC_LAST},
        {4, 1, 0, 0, TM_METRIC_SUM},
        {4, 1, 2 * TM_TIME_MAX + 1, 0, TM_METRIC_LAST},
        {4, 1, -2 * TM_TIME_MAX - 1, 0, TM_METRIC_LAST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_metric metric = {.kind = cases[i].kind, .of = TM_OF_VALUE, .reach_days = 7};
        tm_buffer bytes;
        tm_reader in;
        tm_series *series = NULL;
        tm_buffer_init(&bytes, 1 << 10);
        tm_buffer_put_u8(&bytes, cases[i].saved);
        tm_buffer_put_signed(&bytes, cases[i].last);
        tm_buffer_put_varint(&bytes, cases[i].before);
        if (cases[i].saved & 4) {
            tm_buffer_put_signed(&bytes, 5);
            tm_buffer_put_signed(&bytes, cases[i].since);
        }
        tm_buffer_put_u64(&bytes, 0);
        tm_reader_init(&in, tm_buffer_slice(&bytes));
        cr_assert_eq(tm_series_load(heap, &metric, &in, &series), TM_REJECT, "%zu", i);
        cr_assert_null(series);
        cr_assert_eq(tm_heap_used(heap), 0, "%zu: nothing is left of it", i);
        tm_buffer_done(&bytes);
    }
}

/* Members that no window reads: only the hours of the first and last are kept. */
Test(series, one_that_no_window_reads_fits_as_it_is)
{
    tm_metric metric = {.kind = TM_METRIC_DISTINCT, .of = TM_OF_USER};
    tm_series *series = filled(&metric), *before = series;
    cr_assert_eq(tm_series_fit(&series, heap, &metric), TM_OK);
    cr_assert_eq(series, before);
    cr_assert_gt(tm_series_memory(series), 0);
    cr_assert_gt(tm_series_last_at(series), 0);
    tm_series_free(heap, series);
    cr_assert_eq(tm_heap_used(heap), 0);
}

/* Five days of events, kept for seven: quiet once all of them are out of reach. */
Test(series, is_quiet_when_its_days_are_empty)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        tm_metric metric = {.kind = kinds[k], .of = TM_OF_VALUE, .reach_days = 7};
        cr_assert(tm_series_quiet(NULL, &metric, &now), "nothing ever counted");
        tm_series *series = filled(&metric);
        for (int days = 0; days < 12; days++) {
            tm_moment later;
            tm_day_span span = {0};
            tm_moment_at(&later, tm_zone_utc(), now.t + days * TM_DAY, &span);
            cr_assert_eq(tm_series_quiet(series, &metric, &later), days >= 7, "kind %zu, %d days later", k, days);
        }
        tm_series_free(heap, series);
    }
}
