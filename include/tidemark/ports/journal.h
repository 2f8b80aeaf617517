/* Port: the journal read back, to rebuild a shard. */
#ifndef TIDEMARK_PORTS_JOURNAL_H
#define TIDEMARK_PORTS_JOURNAL_H

#include "tidemark/base/bytes.h"

typedef struct tm_journal_source {
    void *context;
    /* Begins at the first line kept of a shard's partition; the end is the last stable offset found now. TM_OK,
     * TM_RETRY. */
    tm_status (*open)(void *context, int32_t partition, tm_error *error);
    /* The next line, valid until the next call; absent (data == NULL) at the end. TM_OK, TM_RETRY (the same call may
     * succeed). */
    tm_status (*next)(void *context, tm_slice *ret_line, tm_error *error);
    void (*close)(void *context); /* ends the reading; open() may follow */
} tm_journal_source;

#endif
