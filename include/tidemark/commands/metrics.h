/* What the running processor counts, in Prometheus' text format 0.0.4. The families are listed in docs/operations.md.
 */
#ifndef TIDEMARK_COMMANDS_METRICS_H
#define TIDEMARK_COMMANDS_METRICS_H

#include "tidemark/commands/service.h"

/* Appends all families. `service` NULL: it is being prepared, only what is known of the process is told. `started`: the
   process' begin, by the wall clock. */
void tm_metrics_write(const tm_service *service, bool ready, tm_time started, tm_buffer *out);

#endif
