/* One connection to one Redis server: where it is, who we are, how long we wait. It is made on the first use and made
   again on the first use after it broke; whatever broke it is reported by the call that met it. Before sentinels, it is
   made to whichever server is the master at that moment. Not thread-safe. */
#ifndef TIDEMARK_ADAPTERS_REDIS_CONNECTION_H
#define TIDEMARK_ADAPTERS_REDIS_CONNECTION_H

#include <stdint.h>

#include "tidemark/adapters/redis/address.h"
#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

enum {
    TM_REDIS_TIMEOUT_DEFAULT = 5000,  /* ms, to connect and for a command */
    TM_REDIS_REPLY_MAX = 128 << 20,   /* bytes of one value the server may send */
    TM_REDIS_REQUEST_MAX = 512 << 20, /* bytes of one pipeline we may send */
};

typedef struct tm_redis_options {
    const char *url;             /* as tm_redis_address_parse takes it; copied */
    int64_t connect_timeout_ms;  /* 0: TM_REDIS_TIMEOUT_DEFAULT */
    int64_t command_timeout_ms;  /* 0: the same; how long the server may be silent while we wait */
    const char *user, *password; /* go over those of the URL; NULL: those of the URL */
    const char *ca_file;         /* of rediss://: who signs the server's certificate; NULL: whom the system trusts */
    const char *cert_file, *key_file; /* of rediss://: our own certificate and its key, both or neither; NULL: none */
} tm_redis_options;

typedef struct tm_redis_connection tm_redis_connection;

/* Checks the options without connecting. TM_OK; TM_REJECT: the URL is malformed, it asks for TLS in a build whose
   hiredis has none, or files of TLS come without rediss://; the error never shows the password. TM_FATAL without
   memory. Freed with tm_redis_connection_free. */
tm_status tm_redis_connection_new(const tm_redis_options *options, tm_redis_connection **ret_connection,
                                  tm_error *error);
void tm_redis_connection_free(tm_redis_connection *connection); /* NULL is allowed */

typedef enum tm_redis_beside {
    TM_REDIS_TO_NODE,    /* as the same user, to work with */
    TM_REDIS_TO_GUIDE,   /* as the same user, to ask where others are: left sooner when it does not answer */
    TM_REDIS_TO_SENTINEL /* likewise, as the user that the address names for sentinels */
} tm_redis_beside;

/* Another connection with the same options, to this host and port. TM_OK: freed with tm_redis_connection_free. TM_FATAL
   without memory. */
tm_status tm_redis_connection_beside(const tm_redis_connection *model, tm_redis_beside purpose, tm_slice host, int port,
                                     tm_redis_connection **ret_connection, tm_error *error);
/* Leads to this host and port from now on; the connection to another is dropped. TM_OK; TM_FATAL without memory. */
tm_status tm_redis_connection_point(tm_redis_connection *connection, tm_slice host, int port, tm_error *error);
const tm_redis_address *tm_redis_connection_address(const tm_redis_connection *connection);

/* The server's URL without the password, for messages; lives until the connection leads elsewhere. */
const char *tm_redis_connection_name(const tm_redis_connection *connection);
/* "hiredis 0.14.1 without TLS": what this build can do, for `version`. Static storage. */
const char *tm_redis_build(void);

/* Connects if there is no connection: AUTH and SELECT included. TM_OK; TM_RETRY: no answer, or the server is not ready;
   TM_REJECT: the server refuses the password, the user or the database number. */
tm_status tm_redis_connect(tm_redis_connection *connection, tm_error *error);
/* Drops the connection, and with it every WATCH and open MULTI. The next use connects again. */
void tm_redis_disconnect(tm_redis_connection *connection);

/* A pipeline is commands put one after the other and sent in one go. Arguments are any bytes. */
void tm_redis_begin(tm_redis_connection *connection); /* empties the pipeline */
void tm_redis_command(tm_redis_connection *connection, uint32_t arguments);
void tm_redis_argument(tm_redis_connection *connection, tm_slice argument);
void tm_redis_argument_text(tm_redis_connection *connection, const char *argument);
void tm_redis_argument_integer(tm_redis_connection *connection, int64_t argument);
/* Connects if need be and sends the pipeline; replies are then read one by one, one for each command. TM_OK; TM_RETRY:
   not sent, or not entirely: the server executed nothing that needs the last command (the connection is dropped);
   TM_REJECT as tm_redis_connect; TM_FATAL: the pipeline is larger than TM_REDIS_REQUEST_MAX, or no memory. */
tm_status tm_redis_send(tm_redis_connection *connection, tm_error *error);
/* The same on the connection as it is, with its WATCH and MULTI: never connects, TM_RETRY when it broke. */
tm_status tm_redis_send_more(tm_redis_connection *connection, tm_error *error);

/* A reply, as the server sent it. */
typedef enum tm_redis_type {
    TM_REDIS_NIL,
    TM_REDIS_TEXT, /* a bulk string or a status */
    TM_REDIS_INTEGER,
    TM_REDIS_ARRAY,
    TM_REDIS_ERROR
} tm_redis_type;

typedef struct tm_redis_reply tm_redis_reply;

/* Waits for the next reply. TM_OK: freed by the caller with tm_redis_reply_free; an error reply of the server is a
   TM_OK of type TM_REDIS_ERROR. TM_RETRY: the connection broke, timed out or sent what is no reply: what was sent may
   or may not have been executed. */
tm_status tm_redis_receive(tm_redis_connection *connection, tm_redis_reply **ret_reply, tm_error *error);
void tm_redis_reply_free(tm_redis_reply *reply); /* NULL is allowed */
/* NULL, which tm_redis_reply_at gives for an element that a server left out, is as good as a nil. */
tm_redis_type tm_redis_reply_type(const tm_redis_reply *reply);
tm_slice tm_redis_reply_text(const tm_redis_reply *reply); /* of a text or an error; otherwise absent */
int64_t tm_redis_reply_integer(const tm_redis_reply *reply);
uint32_t tm_redis_reply_count(const tm_redis_reply *reply); /* elements of an array; otherwise 0 */
const tm_redis_reply *tm_redis_reply_at(const tm_redis_reply *reply, uint32_t index); /* NULL beyond the end */

/* Waits for the next reply, an array of pairs of texts (HGETALL), and hands each pair over as it arrives, without
   building the reply. The slices live during the call, which must not use the connection. A visit that returns other
   than TM_OK is the last one; the status is returned and the connection dropped. An error reply, or another shape,
   gives TM_RETRY with its text; an error reply is then tm_redis_refusal, otherwise absent. */
typedef tm_status (*tm_redis_pair)(void *context, tm_slice key, tm_slice value);
tm_status tm_redis_receive_pairs(tm_redis_connection *connection, tm_redis_pair visit, void *context, tm_error *error);
tm_slice tm_redis_refusal(const tm_redis_connection *connection);

#endif
