/* Outcomes: every function that can fail returns one of five classes, and an error record says what, where and what to
 * do. */
#ifndef TIDEMARK_BASE_STATUS_H
#define TIDEMARK_BASE_STATUS_H

#include <stddef.h>

typedef enum tm_status {
    TM_OK = 0, /* done */
    TM_RETRY,  /* nothing was done; the same call may succeed later (an outside thing did not answer) */
    TM_REJECT, /* the input is at fault; the caller drops it, reports it and goes on */
    TM_FATAL, /* a resource is at its end, or something outside can never be had; the caller stops this shard or process
               */
    TM_BROKEN /* a check inside found nonsense (base/check.h): what the call worked on is not to be used any more */
} tm_status;

/* What went wrong, in three parts, each cut to its size and always terminated; empty strings where nothing is known. */
typedef struct tm_error {
    char what[768];  /* the fact: "topic 'usage' has 6 partitions, 'accounts' has 4" */
    char where[256]; /* file:line:column, topic:partition:offset, or a key */
    char hint[512];  /* what to do about it */
} tm_error;

/* "ok", "retry", "reject", "fatal" or "broken"; static storage. */
const char *tm_status_name(tm_status status);

/* Clears all three parts. `error` may be NULL in this and the following three. */
void tm_error_clear(tm_error *error);

/* Sets `what` (printf form), clears `where` and `hint`. Returns `status`, so that a caller can write
   `return tm_fail(error, TM_REJECT, "...")`. */
tm_status tm_fail(tm_error *error, tm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Sets `where` or `hint` (printf form) of an error already filled in. */
void tm_error_where(tm_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tm_error_hint(tm_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes "where: what (hint)" without the absent parts into `text` of `size` bytes, cut and terminated. */
void tm_error_text(const tm_error *error, char *text, size_t size);

#endif
