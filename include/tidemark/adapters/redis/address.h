/* Where Redis is and who we are there: a URL taken apart. */
#ifndef TIDEMARK_ADAPTERS_REDIS_ADDRESS_H
#define TIDEMARK_ADAPTERS_REDIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/status.h"

enum {
    TM_REDIS_URL_MAX = 2048, /* bytes */
    TM_REDIS_HOSTS_MAX = 16  /* servers that a URL may name */
};

typedef enum tm_redis_kind {
    TM_REDIS_SINGLE,   /* the one server named */
    TM_REDIS_SENTINEL, /* whichever server the named sentinels call the master */
    TM_REDIS_CLUSTER   /* the nodes of a cluster, of which some are named */
} tm_redis_kind;

typedef struct tm_redis_host {
    char *host;
    int port;
} tm_redis_host;

typedef struct tm_redis_address {
    tm_redis_kind kind;
    char *host;            /* of a single server: its host, or the path of a Unix socket; otherwise NULL */
    char *user, *password; /* of the Redis servers; NULL: none */
    char *name;            /* the URL without users and passwords, for messages */
    tm_redis_host hosts[TM_REDIS_HOSTS_MAX]; /* sentinels, or nodes of the cluster */
    uint32_t host_count;
    char *master;                            /* as the sentinels call it */
    char *sentinel_user, *sentinel_password; /* of the sentinels themselves; NULL: none */
    int port;
    int database;
    bool unix_socket, tls;
} tm_redis_address;

/* Takes apart
     redis://[[user]:password@]host[:port][/db]                   a single server
     unix://[[user]:password@]/path[?db=n]                        the same, on a socket of this machine
     redis+sentinel://[[user]:password@]host[:port],…/MASTER[/db][?sentinel_user=…&sentinel_password=…]
     redis+cluster://[[user]:password@]host[:port],…
   and rediss://, rediss+sentinel://, rediss+cluster:// likewise, over TLS. Names and passwords may hold %xx, the host
   of a single server may be empty (127.0.0.1), any host [v6]. Ports are 6379 where none is named, of sentinels 26379.
   TM_OK: released with tm_redis_address_done. TM_REJECT: malformed; the error shows no part of the URL, since it may
   hold a password. TM_FATAL without memory. */
tm_status tm_redis_address_parse(const char *url, tm_redis_address *ret_address, tm_error *error);
void tm_redis_address_done(tm_redis_address *address); /* wipes the passwords; all zero is allowed */

#endif
