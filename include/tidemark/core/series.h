/* What one account keeps for one metric: day and hour buckets that slide exactly, members with their days, first and
 * last. */
#ifndef TIDEMARK_CORE_SERIES_H
#define TIDEMARK_CORE_SERIES_H

#include "tidemark/base/heap.h"
#include "tidemark/core/metric.h"
#include "tidemark/core/value.h"

typedef struct tm_series tm_series;

/* What became of a sample. */
typedef enum tm_counted {
    TM_COUNTED,        /* in its bucket(s) */
    TM_COUNTED_LATE,   /* in its bucket, which was not the current day's or hour's */
    TM_COUNTED_BEYOND, /* older than the metric's reach: only first/last knowledge was updated */
    TM_COUNTED_NOT     /* nothing to take from it: no value, no member; first and last instant know it all the same */
} tm_counted;

/* Applies one sample to *series (created when NULL; may move). `now` is the moment the event is applied (its day and
   hour slide the buckets). *ret_aspects (NULL: not asked for) gets the bits of all that may read otherwise now. TM_OK,
   TM_FATAL without memory (the series is unchanged), or TM_BROKEN. */
tm_status tm_series_apply(tm_series **series, tm_heap *heap, const tm_metric *metric, const tm_moment *now,
                          const tm_sample *sample, tm_counted *ret_counted, uint8_t *ret_aspects);
void tm_series_free(tm_heap *heap, tm_series *series);
/* Bytes of heap it holds. */
size_t tm_series_memory(const tm_series *series);

/* A window at `now`; `series` may be NULL (nothing ever counted): 0 for count, sum, distinct, null for the others.
   The caller has checked that the window begins on or after the counting start and is within the reach. Sets
   *ret_quiet (NULL: not asked for) when the answer can not change as time passes without events (all buckets of the
   reach are empty). */
tm_value tm_series_window(const tm_series *series, const tm_metric *metric, const tm_window *window,
                          const tm_moment *now, bool *ret_quiet);
/* Whether no window of days can change as time passes without events: all buckets of the reach are empty. */
bool tm_series_quiet(const tm_series *series, const tm_metric *metric, const tm_moment *now);
/* `last`, `max`, `first` without a window, over every accepted event; null when none had a value. */
tm_value tm_series_value(const tm_series *series, const tm_metric *metric);
/* Greatest and least `at` among all events the metric selected, with a value or member or without, floored to their UTC
   hour, which is all that age() and first() look at; TM_TIME_NONE when there was none. */
tm_time tm_series_last_at(const tm_series *series);
tm_time tm_series_first_at(const tm_series *series);

/* Makes a series kept under another pack's reach ready for this one's; NULL in *series is allowed. To be called before
   anything else when the pack of an account changes. TM_OK, or TM_FATAL without memory (the series is unchanged). */
tm_status tm_series_fit(tm_series **series, tm_heap *heap, const tm_metric *metric);

/* State form: appended to `out`, read back by tm_series_load under a pack whose reach may differ (buckets beyond it are
   dropped). Written relative to `now`, so that buckets out of reach are not written. tm_series_load: TM_REJECT for
   bytes that are no series, TM_FATAL without memory. */
void tm_series_save(const tm_series *series, const tm_metric *metric, const tm_moment *now, tm_buffer *out);
tm_status tm_series_load(tm_heap *heap, const tm_metric *metric, tm_reader *in, tm_series **ret_series);

#endif
