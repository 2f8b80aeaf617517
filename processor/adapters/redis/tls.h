/* TLS for a connection, where this build's hiredis can do it. */
#ifndef TIDEMARK_PROCESSOR_REDIS_TLS_H
#define TIDEMARK_PROCESSOR_REDIS_TLS_H

#include <hiredis/hiredis.h>

#include "tidemark/base/status.h"

typedef struct tm_redis_tls tm_redis_tls;

/* Begins TLS on a connected context, and checks that the certificate is signed by `ca_file` (NULL: one the system
   trusts) and made out to `host`, a name or an address. *secrets is made at the first call and kept for the next.
   TM_OK; TM_RETRY: the handshake failed; TM_REJECT: ca_file cannot be read, or this build has no TLS. */
tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host, const char *ca_file,
                             tm_error *error);
void tm_redis_tls_free(tm_redis_tls *secrets); /* NULL is allowed */

#endif
