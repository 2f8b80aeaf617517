/* Where a Redis server is and who we are there: a URL taken apart. */
#ifndef TIDEMARK_ADAPTERS_REDIS_ADDRESS_H
#define TIDEMARK_ADAPTERS_REDIS_ADDRESS_H

#include <stdbool.h>

#include "tidemark/base/status.h"

enum { TM_REDIS_URL_MAX = 2048 }; /* bytes */

typedef struct tm_redis_address {
    char *host;            /* or the path of a Unix socket */
    char *user, *password; /* NULL: none */
    char *name;            /* the URL without user and password, for messages */
    int port;
    int database;
    bool unix_socket, tls;
} tm_redis_address;

/* Takes apart redis://[[user]:password@]host[:port][/db], rediss:// likewise, or unix:///path[?db=n]; user, password,
   host and path may hold %xx, the host may be empty (127.0.0.1) or [v6]. TM_OK: released with tm_redis_address_done.
   TM_REJECT: malformed; the error shows no part of the URL, since it may hold a password. TM_FATAL without memory. */
tm_status tm_redis_address_parse(const char *url, tm_redis_address *ret_address, tm_error *error);
void tm_redis_address_done(tm_redis_address *address); /* wipes the password; all zero is allowed */

#endif
