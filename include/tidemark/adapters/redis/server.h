/* A private Redis server as a child process, for `demo`: on a socket in a folder of its own, nothing written to disk.
 */
#ifndef TIDEMARK_ADAPTERS_REDIS_SERVER_H
#define TIDEMARK_ADAPTERS_REDIS_SERVER_H

#include "tidemark/base/status.h"

typedef struct tm_redis_server tm_redis_server;

/* Starts redis-server and waits until its socket is there. TM_OK; TM_REJECT: it is not installed, or ended at once
 * (hint). */
tm_status tm_redis_server_start(tm_redis_server **ret_server, tm_error *error);
const char *tm_redis_server_url(const tm_redis_server *server); /* unix:///… */
/* Ends it and removes its folder. NULL is allowed. */
void tm_redis_server_stop(tm_redis_server *server);

#endif
