/* Port: the journal read back, to rebuild a shard. */
#ifndef TIDEMARK_PORTS_JOURNAL_H
#define TIDEMARK_PORTS_JOURNAL_H

#include "tidemark/base/bytes.h"

typedef struct tm_journal_source {
    void *context;
    /* Begins reading a shard's partition, whatever was read before: at most `back` records before its end, or, with
       `back` negative, at the first line kept. The end is the last stable offset found now. *ret_whole: no line is kept
       before the one it begins with. TM_OK, TM_RETRY. */
    tm_status (*open)(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error);
    /* The next line, valid until the next call; absent (data == NULL) at the end. TM_OK, TM_RETRY (the same call may
     * succeed). */
    tm_status (*next)(void *context, tm_slice *ret_line, tm_error *error);
    void (*close)(void *context); /* ends the reading; open() may follow */
} tm_journal_source;

#endif
