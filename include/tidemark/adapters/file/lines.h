/* Reads a file line by line: plain, or by name .gz (any number of members) and .zst (any number of frames); "-" is
   standard input, plain. */
#ifndef TIDEMARK_ADAPTERS_FILE_LINES_H
#define TIDEMARK_ADAPTERS_FILE_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/limits.h"
#include "tidemark/base/status.h"

/* Readable bytes after every line, so that a reader that loads words ahead needs no copy. Their content is anything. */
enum { TM_LINES_PADDING = 64 };

typedef struct tm_lines tm_lines;

typedef struct tm_line {
    tm_slice text;   /* without the line's end ("\n" or "\r\n"); lives until the next call */
    uint64_t number; /* from 1 */
    bool too_long;   /* longer than TM_RECORD_MAX bytes: skipped, `text` is empty; the caller reports it */
} tm_line;

/* TM_OK: closed with tm_lines_close. TM_REJECT: cannot be opened, or is a directory. TM_FATAL without memory. A byte
   order mark at the start is skipped. */
tm_status tm_lines_open(const char *path, tm_lines **ret_lines, tm_error *error);
/* The next line; *ret_end is true, and there is no line, after the last one. A last line without an end counts; empty
   lines are lines. TM_OK; TM_REJECT: the file cannot be read on (damaged or cut compression, an error of the device);
   the error names file and line. */
tm_status tm_lines_next(tm_lines *lines, tm_line *ret_line, bool *ret_end, tm_error *error);
/* Of the file as it lies on disk: bytes consumed so far, and its size, 0 when unknown (a pipe). For showing progress.
 */
void tm_lines_progress(const tm_lines *lines, uint64_t *ret_done, uint64_t *ret_size);
/* The path as it was given; "standard input" for "-". */
const char *tm_lines_name(const tm_lines *lines);
void tm_lines_close(tm_lines *lines); /* NULL is allowed */

#endif
