/* The moments `eval` was asked about: account and instant, from the command line or out of a CSV file. */
#ifndef TIDEMARK_COMMANDS_POINTS_H
#define TIDEMARK_COMMANDS_POINTS_H

#include "tidemark/base/calendar.h"

typedef struct tm_point {
    char *account;
    tm_time at;   /* TM_TIME_NONE: as late as is known */
    size_t order; /* as given, from 0 */
} tm_point;

typedef struct tm_points {
    tm_point *items;
    size_t count, room;
} tm_points;

/* Adds one. TM_OK or TM_FATAL without memory. */
tm_status tm_points_add(tm_points *points, tm_slice account, tm_time at);
/* Reads a file, "-" for standard input: a header that has the columns `account` and `at`, then rows; quotes as in RFC
   4180, a row a line; other columns are ignored; `at` is RFC 3339 or milliseconds. TM_OK; TM_REJECT with an error that
   names file and line; TM_FATAL without memory. */
tm_status tm_points_read(tm_points *points, const char *path, tm_error *error);
/* Orders by time, what is equal as given. */
void tm_points_sort(tm_points *points);
void tm_points_done(tm_points *points);

#endif
