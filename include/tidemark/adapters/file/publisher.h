/* The publisher port on a file: signals as lines of JSON, everything else left out. For dry runs. */
#ifndef TIDEMARK_ADAPTERS_FILE_PUBLISHER_H
#define TIDEMARK_ADAPTERS_FILE_PUBLISHER_H

#include "tidemark/ports/publisher.h"

/* Writes the signals of committed transactions to `path` ("-": standard output). Nothing of an aborted one is written.
   TM_OK: freed by close(). TM_REJECT: the file cannot be made; TM_FATAL without memory. */
tm_status tm_file_publisher_new(const char *path, tm_publisher *ret_publisher, tm_error *error);

#endif
