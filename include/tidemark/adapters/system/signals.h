/* What the operating system asks of the process: stop (SIGTERM, SIGINT) and reload (SIGHUP). The flags are the
   process's; all functions may be called from any thread. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_SIGNALS_H
#define TIDEMARK_ADAPTERS_SYSTEM_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/status.h"

/* Installs the handlers and ignores SIGPIPE. A second SIGINT ends the process at once, for a person who does not want
   to wait. Call it before threads begin. TM_OK or TM_FATAL. */
tm_status tm_signals_install(tm_error *error);
/* Puts the former handlers back and clears the flags. */
void tm_signals_restore(void);

/* True once the process was asked to stop. */
bool tm_signals_stopping(void);
/* Asks as a SIGTERM would. */
void tm_signals_stop(void);
/* True once for each time (or several at once) a reload was asked for. */
bool tm_signals_take_reload(void);
/* A descriptor that is readable from the stop on; never read from it. -1 before install. */
int tm_signals_descriptor(void);
/* Waits `ms`, or until the stop. Returns tm_signals_stopping(). */
bool tm_signals_wait(int64_t ms);

#endif
