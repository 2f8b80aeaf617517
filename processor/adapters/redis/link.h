/* What the parts of a connection share. */
#ifndef TIDEMARK_PROCESSOR_REDIS_LINK_H
#define TIDEMARK_PROCESSOR_REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "tidemark/adapters/redis/connection.h"
#include "tls.h"

struct tm_redis_connection {
    redisContext *context; /* NULL: not connected */
    tm_buffer pipeline;
    tm_redis_address address;
    tm_redis_host place; /* the server that it leads to; no host: to be found when connecting */
    char *name;          /* of that server, or of the address where it is not known yet */
    tm_redis_tls_files files;
    int64_t connect_timeout_ms, command_timeout_ms;
    uint32_t commands;    /* in the pipeline */
    uint32_t outstanding; /* replies sent for and not yet received */
    redisReplyObjectFunctions *original;
    redisReplyObjectFunctions bounded;
    tm_redis_tls *secrets; /* of rediss:// */
    size_t refusal_length; /* of what the server answered instead of pairs */
    char refusal[400];
};

#if HIREDIS_MAJOR >= 1
typedef size_t tm_redis_elements;
#else
typedef int tm_redis_elements;
#endif

/* A command as bytes (the RESP protocol: an array of bulk strings). */
void tm_redis_put_command(tm_buffer *buffer, uint32_t arguments);
void tm_redis_put_argument(tm_buffer *buffer, tm_slice argument);

/* Writes everything. False: the context knows why, for tm_redis_broken. */
bool tm_redis_send_all(tm_redis_connection *connection, const tm_buffer *bytes);
/* Drops the connection and reports why, with what hiredis and errno know. Returns TM_RETRY. */
tm_status tm_redis_broken(tm_redis_connection *connection, const char *doing, tm_error *error);

/* Asks the sentinels of the address, one after the other, which server is the master, and points the connection there.
   TM_OK; TM_RETRY: none answered, or none knows one (now); TM_FATAL without memory. */
tm_status tm_redis_sentinel_find(tm_redis_connection *connection, tm_error *error);

#endif
