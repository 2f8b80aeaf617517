/* The log port on a stream, a line an event:

     time=2024-05-02T14:37:21.500Z level=info event=shard_claimed message="Shard 3 is ours" shard=3 epoch=12
     {"time":"2024-05-02T14:37:21.500Z","level":"info","event":"shard_claimed","message":"…","shard":3,"epoch":12} */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_LOG_H
#define TIDEMARK_ADAPTERS_SYSTEM_LOG_H

#include <stdio.h>

#include "tidemark/ports/clock.h"
#include "tidemark/ports/log.h"

typedef enum tm_log_format { TM_LOG_KEY_VALUE, TM_LOG_JSON } tm_log_format;

enum { TM_LOG_LINE_MAX = 65536 }; /* bytes; a longer line is replaced by one that says so */

/* A log that writes events of `least` and above to `stream`, which stays the caller's. The clock is copied. A line is
   written in one call and flushed. TM_OK: `ret_log` is freed with tm_system_log_done. TM_FATAL without memory. */
tm_status tm_system_log_init(FILE *stream, tm_log_format format, tm_log_level least, tm_clock clock, tm_log *ret_log,
                             tm_error *error);
void tm_system_log_done(tm_log *log); /* all zero is allowed */

/* "debug", "info", "warning", "error"; static storage. */
const char *tm_log_level_name(tm_log_level level);
/* The level of a name. TM_OK or TM_REJECT. */
tm_status tm_log_level_parse(tm_slice name, tm_log_level *ret_level);

#endif
