/* Usage and account records out of files, as one stream in merged order: what Kafka's two inputs are to `run`. */
#ifndef TIDEMARK_COMMANDS_FEED_H
#define TIDEMARK_COMMANDS_FEED_H

#include "tidemark/codec/accountrecord.h"
#include "tidemark/codec/event.h"
#include "tidemark/core/shard.h"

/* A record's timestamp is its `at`; each file keeps its running maximum, and a line whose `at` cannot be read counts
   with it. Lines before the first that has one count as the least first timestamp of both files. The files are merged
   by timestamp, accounts before usage on ties. Empty lines are no records. One line of each file is ahead; only account
   lines before the first that has a timestamp are kept in memory, at most TM_FEED_HELD_MAX bytes of them. */
enum { TM_FEED_HELD_MAX = 256 << 20 };

typedef struct tm_feed tm_feed;

typedef struct tm_feed_options {
    const char *events;         /* NULL: no usage; "-": standard input */
    const char *accounts;       /* NULL: no account records */
    tm_event_options reading;   /* its mapping must outlive the feed */
    tm_time until;              /* no record later than this is handed over; TM_TIME_NEVER: all are */
    const char *dead_letters;   /* a file for the records that could not be used; NULL: they are only counted */
    const char *const *account; /* only records of these accounts are handed over; NULL: all */
    uint32_t account_count;
} tm_feed_options;

/* TM_OK: closed with tm_feed_close. TM_REJECT: a file cannot be opened or read. TM_FATAL without memory. */
tm_status tm_feed_open(const tm_feed_options *options, tm_feed **ret_feed, tm_error *error);
/* The first timestamp of usage, and the least of both files: where stream time begins. TM_TIME_NONE: there is none. */
tm_time tm_feed_first_usage(const tm_feed *feed);
tm_time tm_feed_first(const tm_feed *feed);
/* The next record, decoded; valid until the next call. One that cannot be used comes as TM_RECORD_UNUSABLE and is
   counted (and written) as a dead letter here. *ret_end: there are no more. TM_OK; TM_REJECT: a file cannot be read on,
   or a dead letter cannot be written; TM_FATAL without memory. */
tm_status tm_feed_next(tm_feed *feed, tm_record *ret_record, bool *ret_end, tm_error *error);
/* Dead letters so far, of one reason, and all. */
uint64_t tm_feed_dead(const tm_feed *feed, tm_dead_reason reason);
uint64_t tm_feed_dead_all(const tm_feed *feed);
/* Bytes read of both files as they lie on disk, and their sizes; 0 when unknown. */
void tm_feed_progress(const tm_feed *feed, uint64_t *ret_done, uint64_t *ret_size);
/* Finishes the dead letters and frees. TM_OK or TM_REJECT: they could not be written. NULL is allowed. */
tm_status tm_feed_close(tm_feed *feed, tm_error *error);

/* Applies a record of the feed: keeps the shard's lists of what changed short (nobody writes them), and shows how far
   it is under `what`; NULL: silently. TM_OK, or what tm_feed_refused says. */
tm_status tm_feed_apply(const tm_feed *feed, tm_shard *shard, const tm_record *record, const char *what,
                        tm_error *error);
/* Why the shard did not take `record` (NULL: did not come to its end): no memory, or an internal check that tripped.
   What is filled in already stays. Returns `status`. */
tm_status tm_feed_refused(tm_shard *shard, const tm_record *record, tm_status status, tm_error *error);

#endif
