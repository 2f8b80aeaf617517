/* A small HTTP/1.1 server for probes and scrapers: GET and HEAD of a few fixed paths, one request a connection, one
   thread. It knows nothing of what it serves: each path has a callback that writes the answer.

   It gives strangers little: TM_HTTP_CONNECTIONS open connections, each with TM_HTTP_MEMORY bytes for its request, for
   at most TM_HTTP_IDLE_SECONDS without a byte; when all are taken the oldest is closed for a new one, so that slow
   clients keep nobody out. No request may have a body. Paths are compared as they were sent, nothing is unescaped;
   a NUL ends one. */
#ifndef TIDEMARK_ADAPTERS_HTTP_SERVER_H
#define TIDEMARK_ADAPTERS_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"

enum {
    TM_HTTP_CONNECTIONS = 32,
    TM_HTTP_IDLE_SECONDS = 5,
    TM_HTTP_MEMORY = 8192,
    TM_HTTP_ANSWER_MAX = 4 << 20, /* bytes of an answer */
    TM_HTTP_TOKEN_LEAST = 16,
    TM_HTTP_TOKEN_MOST = 512
};

typedef struct tm_http_answer {
    uint32_t status;          /* 200 at first */
    const char *content_type; /* static; text/plain at first */
    tm_buffer body;
} tm_http_answer;

typedef struct tm_http_route {
    const char *path; /* "/metrics" */
    bool open;        /* answered without the token too */
    /* Called in the server's thread. `trusted`: the token was right, or none is asked for. */
    void (*serve)(void *context, bool trusted, tm_http_answer *answer);
    void *context;
} tm_http_route;

typedef struct tm_http_options {
    const char *address;         /* "127.0.0.1:9464", "[::1]:9464"; port 0: one that is free */
    tm_slice token;              /* what `Authorization: Bearer` has to bring; absent: nothing is asked for */
    const tm_http_route *routes; /* outlive the server */
    uint32_t route_count;
} tm_http_options;

typedef struct tm_http_server tm_http_server;

/* Whether `address` is one: a numeric host (or "localhost", which is 127.0.0.1; an IPv6 one in brackets), a colon, a
   port. *ret_loopback: only this machine reaches it. TM_OK or TM_REJECT. */
tm_status tm_http_address_check(const char *address, bool *ret_loopback, tm_error *error);
/* Whether a token may be used: TM_HTTP_TOKEN_LEAST to …_MOST printable ASCII characters without blanks. TM_OK or
   TM_REJECT; the error does not show it. */
tm_status tm_http_token_check(tm_slice token, tm_error *error);

/* Listens and starts the thread. The options' texts are not needed afterwards. TM_OK; TM_REJECT: the address or token
   is none, or the address cannot be listened on; TM_FATAL: no memory, no thread. */
tm_status tm_http_server_start(const tm_http_options *options, tm_http_server **ret_server, tm_error *error);
/* Of libmicrohttpd, as loaded. */
const char *tm_http_library_version(void);
/* The port listened on. */
uint16_t tm_http_server_port(const tm_http_server *server);
/* Ends the thread, closes everything, frees. NULL is allowed. */
void tm_http_server_stop(tm_http_server *server);

/* The same without a listener and without a thread: the caller hands over connected sockets. For tests that feed it
   bytes. */
tm_status tm_http_server_open(const tm_http_options *options, tm_http_server **ret_server, tm_error *error);
/* Serves the client of a connected stream socket, which it closes, until it has its answer or sends no more. */
void tm_http_server_serve(tm_http_server *server, int descriptor);

#endif
