/* Instants, UTC hours and local calendar days. A zone is a table handed in (the bytes of a TZif file); the machine's
   own zone is never used. */
#ifndef TIDEMARK_BASE_CALENDAR_H
#define TIDEMARK_BASE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

/* Milliseconds since 1970-01-01T00:00:00Z. Valid instants: year 1970 to 9999. */
typedef int64_t tm_time;

#define TM_TIME_NONE INT64_MIN
#define TM_TIME_NEVER INT64_MAX /* later than every instant */
#define TM_TIME_MAX INT64_C(253402300799999)
#define TM_SECOND INT64_C(1000)
#define TM_MINUTE INT64_C(60000)
#define TM_HOUR INT64_C(3600000)
#define TM_DAY INT64_C(86400000)

typedef struct tm_zone tm_zone;

/* UTC needs no file. Never NULL, never freed by tm_zone_free. */
const tm_zone *tm_zone_utc(void);
/* Parses a TZif file (RFC 8536, version 2 or later, 64-bit data and the POSIX TZ footer for later times). `name` is
   copied. TM_REJECT with an error when the bytes are no such file. The zone is freed with tm_zone_free. */
tm_status tm_zone_parse(tm_slice tzif, const char *name, tm_zone **ret_zone, tm_error *error);
void tm_zone_free(tm_zone *zone);
const char *tm_zone_name(const tm_zone *zone);

/* Seconds east of UTC in force at `t`. */
int32_t tm_zone_offset(const tm_zone *zone, tm_time t);

/* The local calendar day of an instant, as days since 1970-01-01. */
int32_t tm_zone_day(const tm_zone *zone, tm_time t);
/* The first instant whose local day is `day` or later (a midnight that a clock change skips starts at the change; a
   whole skipped day is empty: its start is the next day's). */
tm_time tm_zone_day_start(const tm_zone *zone, int32_t day);

/* UTC hours since 1970 of an instant, floored. */
int64_t tm_hour_of(tm_time t);

/* Remembers (a part of) one local day's span, since neighbours in a stream are mostly on the same day. Zero-initialise.
 */
typedef struct tm_day_span {
    tm_time start; /* inclusive */
    tm_time end;   /* exclusive */
    int32_t day;
} tm_day_span;
int32_t tm_zone_day_cached(const tm_zone *zone, tm_time t, tm_day_span *span);

/* RFC 3339: "2024-05-02T14:37:21.5+02:00", 'T', 't' or a blank between, 'Z' or 'z', any number of fraction digits (cut
   to milliseconds), any offset -23:59..+23:59, second 60 accepted where a leap second may stand (23:59:60 UTC) and read
   as the last millisecond of its minute. Dates are checked (2023-02-29 is refused), the instant is a valid one (1970 to
   9999 in UTC). TM_OK or TM_REJECT. */
tm_status tm_time_parse(tm_slice text, tm_time *ret_time);
/* "YYYY-MM-DD", 1970 to 9999, as days since 1970. TM_OK or TM_REJECT. */
tm_status tm_day_parse(tm_slice text, int32_t *ret_day);
/* RFC 3339 UTC with three decimals, e.g. 2024-05-02T14:37:21.500Z; `text` holds at least TM_TIME_TEXT bytes. */
enum { TM_TIME_TEXT = 32 };
void tm_time_format(tm_time t, char text[static TM_TIME_TEXT]);
void tm_day_format(int32_t day, char text[static TM_TIME_TEXT]); /* YYYY-MM-DD */

/* One number, whole or with decimals ("1.5h"), and one unit of ms, s, m, h, d, w, as the configuration and expressions
   write durations; a whole number of milliseconds, at most 10,000 d. TM_OK or TM_REJECT. */
tm_status tm_duration_parse(tm_slice text, int64_t *ret_ms);
/* The whole number of the largest of d, h, m, s, ms that is exact ("36h", "7d", "1500ms", "0s"). */
void tm_duration_format(int64_t ms, char text[static TM_TIME_TEXT]);

/* Floored and ceiled to a multiple of `step` ms. */
tm_time tm_time_floor(tm_time t, int64_t step);
tm_time tm_time_ceil(tm_time t, int64_t step);

#endif
