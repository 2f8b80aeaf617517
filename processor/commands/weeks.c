#include "tidemark/commands/weeks.h"

#include <stdio.h>

static tm_status feed_all(const tm_weeks *w, tm_feed *feed, tm_shard *shard, tm_time first, tm_time *ret_until,
                          tm_error *error)
{
    char what[48];
    (void)snprintf(what, sizeof what, "%s, bytes", w->command);
    tm_time until = w->files->until;
    tm_time last = first;
    int32_t day = tm_zone_day(w->setup->zone, first) + 7;
    for (;;) {
        tm_record record;
        bool end;
        tm_status status = tm_feed_next(feed, &record, &end, error);
        tm_time reached = end ? (until == TM_TIME_NEVER ? last : until) : record.timestamp;
        for (; status == TM_OK; day += 7) {
            tm_time week = tm_zone_day_start(w->setup->zone, day);
            if (week > reached || (week == reached && !end)) /* records of that instant belong to it */
                break;
            status = tm_feed_refused(shard, NULL, tm_shard_advance(shard, week), error);
            if (status == TM_OK)
                status = w->week(w->context, shard, week);
        }
        if (status != TM_OK)
            return status;
        if (end) {
            *ret_until = reached;
            return tm_feed_refused(shard, NULL, tm_shard_advance(shard, reached), error);
        }
        last = record.timestamp;
        status = w->record ? w->record(w->context, &record) : TM_OK;
        if (status == TM_OK)
            status = tm_feed_apply(feed, shard, &record, what, error);
        if (status != TM_OK)
            return status;
    }
}

tm_status tm_weeks_feed(const tm_weeks *weeks, tm_time *ret_until, tm_error *error)
{
    tm_feed *feed = NULL;
    *ret_until = TM_TIME_NONE;
    tm_status status = tm_feed_open(weeks->files, &feed, error);
    if (status != TM_OK)
        return status;
    tm_time first = tm_feed_first(feed);
    tm_time counting = tm_setup_counting_start(weeks->setup, tm_feed_first_usage(feed), TM_TIME_MAX);
    tm_shard *shard = tm_shard_new(&weeks->setup->shard, weeks->setup->pack, counting, NULL, 0);
    if (!shard)
        status = tm_fail(error, TM_FATAL, "out of memory");
    if (status == TM_OK && first != TM_TIME_NONE && first <= weeks->files->until) {
        if (weeks->signal)
            tm_shard_set_sink(shard, weeks->signal, weeks->context);
        tm_shard_begin(shard, TM_TIME_NEVER);
        tm_shard_start(shard, first);
        status = feed_all(weeks, feed, shard, first, ret_until, error);
    }
    tm_cli_progress_end();
    if (status == TM_OK && tm_feed_dead_all(feed))
        fprintf(stderr, "tidemark %s: %llu records could not be used\n", weeks->command,
                (unsigned long long)tm_feed_dead_all(feed));
    tm_shard_free(shard);
    tm_status closed = tm_feed_close(feed, error);
    return status == TM_OK ? closed : status;
}
