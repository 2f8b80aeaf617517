/* Which server is the master, by the word of the sentinels. They are asked before every connection: a word of theirs is
   good for a moment only, and the server itself is asked (ROLE) whether it still holds. Part of the room `connection`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

static bool port_of(tm_slice text, int *ret_port)
{
    int port = 0;
    if (text.length == 0 || text.length > 5) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        port = port * 10 + (text.data[i] - '0');
    }
    *ret_port = port;
    return port > 0 && port <= 65535;
}

/* Reads [host, port]. */
static tm_status take_place(tm_redis_connection *connection, const tm_redis_connection *sentinel,
                            const tm_redis_reply *reply, tm_error *error)
{
    int port = 0;
    tm_slice text = tm_redis_reply_text(reply);
    if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        return tm_fail(error, TM_RETRY, "the sentinel at %s answers with: %.*s", sentinel->name,
                       (int)(text.length < 160 ? text.length : 160), text.data);
    }
    if (tm_redis_reply_type(reply) == TM_REDIS_NIL) {
        tm_fail(error, TM_RETRY, "the sentinel at %s knows no master '%s'", sentinel->name, connection->address.master);
        tm_error_hint(error, "the name in redis.url has to be that of 'sentinel monitor' in the sentinels' files");
        return TM_RETRY;
    }
    tm_slice host = tm_redis_reply_count(reply) == 2 ? tm_redis_reply_text(tm_redis_reply_at(reply, 0)) : (tm_slice){0};
    if (host.data == NULL || host.length == 0 || memchr(host.data, '\0', host.length) != NULL ||
        !port_of(tm_redis_reply_text(tm_redis_reply_at(reply, 1)), &port)) {
        return tm_fail(error, TM_RETRY, "the sentinel at %s names no host and port", sentinel->name);
    }
    return tm_redis_connection_point(connection, host, port, error);
}

static tm_status ask(tm_redis_connection *connection, const tm_redis_host *host, tm_error *error)
{
    tm_redis_connection *sentinel = NULL;
    tm_redis_reply *reply = NULL;
    tm_status status = tm_redis_connection_beside(connection, TM_REDIS_TO_SENTINEL, tm_slice_of(host->host), host->port,
                                                  &sentinel, error);
    if (status != TM_OK) {
        return status;
    }
    tm_redis_begin(sentinel);
    tm_redis_command(sentinel, 3);
    tm_redis_argument_text(sentinel, "SENTINEL");
    tm_redis_argument_text(sentinel, "get-master-addr-by-name");
    tm_redis_argument_text(sentinel, connection->address.master);
    status = tm_redis_send(sentinel, error);
    if (status == TM_OK) {
        status = tm_redis_receive(sentinel, &reply, error);
    }
    if (status == TM_OK) {
        status = take_place(connection, sentinel, reply, error);
    }
    tm_redis_reply_free(reply);
    tm_redis_connection_free(sentinel);
    return status == TM_REJECT ? TM_RETRY : status; /* another may know our password */
}

tm_status tm_redis_sentinel_find(tm_redis_connection *connection, tm_error *error)
{
    tm_redis_address *address = &connection->address;
    tm_error last;
    tm_error_clear(&last);
    for (uint32_t i = 0; i < address->host_count; i++) {
        tm_status status = ask(connection, &address->hosts[i], &last);
        if (status == TM_OK) { /* who answered is asked first the next time */
            tm_redis_host found = address->hosts[i];
            memmove(&address->hosts[1], &address->hosts[0], i * sizeof(found));
            address->hosts[0] = found;
            return TM_OK;
        }
        if (status == TM_FATAL) {
            if (error != NULL) {
                *error = last;
            }
            return status;
        }
    }
    tm_fail(error, TM_RETRY, "no sentinel of %s tells its master; the last one: %.300s", address->name, last.what);
    if (last.hint[0] != '\0') {
        tm_error_hint(error, "%s", last.hint);
    }
    return TM_RETRY;
}
