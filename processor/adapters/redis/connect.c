/* Making a connection: finding the server, TLS, AUTH, SELECT. Part of the room `connection`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "link.h"
#include "tidemark/adapters/redis/condition.h"

enum { ELEMENTS_MAX = 1 << 22 }; /* of an array that is built in memory */

/* hiredis' own, but for the size of an array, which it would believe. */
static void *create_bounded_array(const redisReadTask *task, tm_redis_elements elements)
{
    const tm_redis_connection *connection = task->privdata;
    return elements > ELEMENTS_MAX ? NULL : connection->original->createArray(task, elements);
}

static void bound_reader(tm_redis_connection *connection)
{
    redisReader *reader = connection->context->reader;
    connection->original = reader->fn;
    connection->bounded = *reader->fn;
    connection->bounded.createArray = create_bounded_array;
    reader->fn = &connection->bounded;
    reader->privdata = connection;
}

static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

/* What a greeting is answered with when it is an error. Not to be permitted to ask is none, but a refused SELECT would
   have us write into another database. */
static tm_status judge_answer(tm_redis_connection *connection, const char *asked, const tm_redis_reply *reply,
                              tm_error *error)
{
    tm_slice text = tm_redis_reply_text(reply);
    if (tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        if (tm_slice_has_prefix(text, TM_SLICE_LITERAL("NOPERM")) && strcmp(asked, "SELECT") != 0) {
            return TM_OK;
        }
        const tm_redis_condition *condition = tm_redis_condition_of(text);
        tm_status status = tm_fail(error, condition->greeting, "Redis at %s answers %s with: %.*s", connection->name,
                                   asked, (int)(text.length < 160 ? text.length : 160), text.data);
        if (condition->hint != NULL) {
            tm_error_hint(error, "%s", condition->hint);
        } else if (status == TM_REJECT) {
            tm_error_hint(error, "check user, password and database number of the Redis URL");
        }
        return status;
    }
    /* Sentinels may still name a server that was the master a moment ago. */
    if (tm_redis_reply_type(reply) == TM_REDIS_ARRAY &&
        !tm_slice_equal_text(tm_redis_reply_text(tm_redis_reply_at(reply, 0)), "master")) {
        tm_fail(error, TM_RETRY, "Redis at %s is no master, although the sentinels call it one", connection->name);
        return TM_RETRY;
    }
    return TM_OK;
}

/* Introduces us: AUTH, SELECT, or a PING that shows whether the server wants a password; ROLE where it may have lost
   its own. */
static tm_status greet(tm_redis_connection *connection, tm_error *error)
{
    const tm_redis_address *address = &connection->address;
    tm_status status = TM_OK;
    const char *asked[3];
    uint32_t count = 0;
    tm_buffer bytes;
    tm_buffer_init(&bytes, (size_t)4 * TM_REDIS_URL_MAX);
    if (address->password != NULL) {
        tm_redis_put_command(&bytes, address->user != NULL ? 3 : 2);
        tm_redis_put_argument(&bytes, TM_SLICE_LITERAL("AUTH"));
        if (address->user != NULL) {
            tm_redis_put_argument(&bytes, tm_slice_of(address->user));
        }
        tm_redis_put_argument(&bytes, tm_slice_of(address->password));
        asked[count++] = "AUTH";
    }
    if (address->database != 0) {
        char number[16];
        snprintf(number, sizeof(number), "%d", address->database);
        tm_redis_put_command(&bytes, 2);
        tm_redis_put_argument(&bytes, TM_SLICE_LITERAL("SELECT"));
        tm_redis_put_argument(&bytes, tm_slice_of(number));
        asked[count++] = "SELECT";
    } else {
        tm_redis_put_command(&bytes, 1);
        tm_redis_put_argument(&bytes, TM_SLICE_LITERAL("PING"));
        asked[count++] = "PING";
    }
    if (address->kind == TM_REDIS_SENTINEL) {
        tm_redis_put_command(&bytes, 1);
        tm_redis_put_argument(&bytes, TM_SLICE_LITERAL("ROLE"));
        asked[count++] = "ROLE";
    }
    if (bytes.overflowed || !tm_redis_send_all(connection, &bytes)) {
        status = tm_redis_broken(connection, "greeting", error);
        goto out;
    }
    connection->outstanding = count;
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        tm_redis_reply *reply = NULL;
        status = tm_redis_receive(connection, &reply, error);
        if (status == TM_OK) {
            status = judge_answer(connection, asked[i], reply, error);
        }
        tm_redis_reply_free(reply);
    }
    if (status != TM_OK) {
        tm_redis_disconnect(connection);
    }
out:
    if (bytes.data != NULL) {
        explicit_bzero(bytes.data, bytes.capacity);
    }
    tm_buffer_done(&bytes);
    return status;
}

tm_status tm_redis_connect(tm_redis_connection *connection, tm_error *error)
{
    if (connection->context != NULL) {
        return TM_OK;
    }
    if (connection->address.kind == TM_REDIS_SENTINEL) {
        tm_status status = tm_redis_sentinel_find(connection, error);
        if (status != TM_OK) {
            return status;
        }
    }
    const tm_redis_host *place = &connection->place;
    bool unix_socket = connection->address.unix_socket;
    struct timeval timeout = timeval_of(connection->connect_timeout_ms);
    connection->outstanding = 0;
    errno = 0;
    connection->context = unix_socket ? redisConnectUnixWithTimeout(place->host, timeout)
                                      : redisConnectWithTimeout(place->host, place->port, timeout);
    if (connection->context == NULL || connection->context->err != 0) {
        return tm_redis_broken(connection, "connecting", error);
    }
    if (redisSetTimeout(connection->context, timeval_of(connection->command_timeout_ms)) != REDIS_OK ||
        (!unix_socket && redisEnableKeepAlive(connection->context) != REDIS_OK)) {
        return tm_redis_broken(connection, "connecting", error);
    }
    bound_reader(connection);
    if (connection->address.tls) {
        tm_status status =
            tm_redis_tls_start(&connection->secrets, connection->context, place->host, &connection->files, error);
        if (status != TM_OK) {
            tm_redis_disconnect(connection);
            return status;
        }
    }
    return greet(connection, error);
}

void tm_redis_disconnect(tm_redis_connection *connection)
{
    if (connection->context != NULL) {
        redisFree(connection->context);
        connection->context = NULL;
    }
    connection->outstanding = 0;
}
