/* Whole files, bounded. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_FILES_H
#define TIDEMARK_ADAPTERS_SYSTEM_FILES_H

#include <stddef.h>

#include "tidemark/base/status.h"

/* Reads all of `path` ("-": standard input). TM_OK: *ret_bytes holds *ret_length bytes and a NUL behind them, and is
   the caller's to free(). TM_REJECT: cannot be opened or read, is a directory, or is longer than `maximum` bytes.
   TM_FATAL without memory. */
tm_status tm_file_read(const char *path, size_t maximum, char **ret_bytes, size_t *ret_length, tm_error *error);

#endif
