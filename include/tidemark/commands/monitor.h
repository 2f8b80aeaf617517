/* What the running processor tells probes and scrapers over HTTP: /livez, /readyz, /metrics (docs/operations.md). */
#ifndef TIDEMARK_COMMANDS_MONITOR_H
#define TIDEMARK_COMMANDS_MONITOR_H

#include "tidemark/adapters/http/server.h"
#include "tidemark/commands/service.h"

enum { TM_MONITOR_ROUTES = 3 };

/* In place and not moved while its server runs. All zero: off. */
typedef struct tm_monitor {
    tm_http_server *server;
    tm_http_route routes[TM_MONITOR_ROUTES];
    _Atomic(const tm_service *) service; /* NULL: it is being prepared */
    atomic_bool stopping;
    tm_time started; /* wall clock */
} tm_monitor;

/* Starts the server where the configuration has http.listen; before a service is shown it says that it is starting.
   0, or an exit status after saying why. */
int tm_monitor_start(tm_monitor *monitor, const tm_command *command, const tm_configuration *configuration,
                     const tm_log *log);
/* From here on, what is told is of this service, whose workers run; it outlives the monitor's stop. */
void tm_monitor_show(tm_monitor *monitor, const tm_service *service);
/* The service leaves: alive, not ready. */
void tm_monitor_leave(tm_monitor *monitor);
void tm_monitor_stop(tm_monitor *monitor);

/* Whether every worker shows signs of life; `out` (may be NULL) gets a sentence. NULL: it is being prepared. */
bool tm_monitor_alive(const tm_service *service, tm_buffer *out);
/* Whether the service does its work: every worker has its assignment and waits for nothing outside, none has ended or
   hangs, and not every shard it holds is halted. */
bool tm_monitor_ready(const tm_service *service);
/* What /readyz answers, as JSON: to the trusted with details. */
void tm_monitor_tell(const tm_service *service, bool stopping, bool trusted, tm_buffer *out);

#endif
