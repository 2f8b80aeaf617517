/* Writes lines to a file: plain, or by name .gz and .zst; "-" is standard output, plain. */
#ifndef TIDEMARK_ADAPTERS_FILE_WRITER_H
#define TIDEMARK_ADAPTERS_FILE_WRITER_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

typedef struct tm_writer tm_writer;

/* Creates or empties the file. TM_OK: closed with tm_writer_close. TM_REJECT: it cannot be created. TM_FATAL without
   memory. */
tm_status tm_writer_open(const char *path, tm_writer **ret_writer, tm_error *error);
/* Appends the line and its end. TM_OK; TM_REJECT: it could not be written (disk full, reader gone), or the line holds a
   line end itself. After a failure every later call fails the same way. */
tm_status tm_writer_line(tm_writer *writer, tm_slice line, tm_error *error);
/* Hands what is buffered to the operating system, so that a reader of a pipe sees it. Compressed files too, at some
   cost in size. */
tm_status tm_writer_flush(tm_writer *writer, tm_error *error);
/* Finishes and frees, also after a failure. TM_OK: everything was taken by the operating system. `writer` may be NULL.
 */
tm_status tm_writer_close(tm_writer *writer, tm_error *error);

#endif
