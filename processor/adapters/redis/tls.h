/* TLS for a connection, where this build's hiredis can do it. */
#ifndef TIDEMARK_PROCESSOR_REDIS_TLS_H
#define TIDEMARK_PROCESSOR_REDIS_TLS_H

#include <hiredis/hiredis.h>

#include "tidemark/base/status.h"

typedef struct tm_redis_tls tm_redis_tls;

typedef struct tm_redis_tls_files {
    char *ca;                /* who signs the server's certificate; NULL: whom the system trusts */
    char *certificate, *key; /* ours, in PEM; NULL: none is shown */
} tm_redis_tls_files;

/* Begins TLS on a connected context, and checks that the certificate is signed by the CA and made out to `host`, a name
   or an address. *secrets is made at the first call, from the files, and kept for the next. TM_OK; TM_RETRY: the
   handshake failed; TM_REJECT: a file cannot be read, the key is not the certificate's, or this build has no TLS. */
tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host,
                             const tm_redis_tls_files *files, tm_error *error);
void tm_redis_tls_free(tm_redis_tls *secrets); /* NULL is allowed */

#endif
