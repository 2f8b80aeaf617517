/* An archive fed once through the core, with a halt at the begin of every week: what looks at accounts in their order
   of time shares it. */
#ifndef TIDEMARK_COMMANDS_WEEKS_H
#define TIDEMARK_COMMANDS_WEEKS_H

#include "tidemark/commands/feed.h"
#include "tidemark/commands/setup.h"

typedef struct tm_weeks {
    const tm_setup *setup;
    const tm_feed_options *files; /* `reading` filled in */
    const char *command;          /* its name, for what is said of progress and dead letters */
    void *context;
    tm_signal_sink signal; /* NULL: nobody wants them */
    /* A record that is about to be applied. NULL: nobody asks. TM_OK, or what ends it all. */
    tm_status (*record)(void *context, const tm_record *record);
    /* A week begins at `at`, with a local day, so that day windows are compared at the same age: every record up to it
       was applied, and accounts are judged. The first is seven days after the first record's day. */
    tm_status (*week)(void *context, tm_shard *shard, tm_time at);
} tm_weeks;

/* Feeds it all. *ret_until: nothing after it was seen (TM_TIME_NONE: there was no record). TM_OK; TM_REJECT: a file
   cannot be read; TM_FATAL; or what a callback returned. */
tm_status tm_weeks_feed(const tm_weeks *weeks, tm_time *ret_until, tm_error *error);

#endif
