#include "tidemark/adapters/redis/connection.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tls.h"

enum {
    ELEMENTS_MAX = 1 << 22, /* of an array that is built in memory */
    PAIR_KEY_MAX = 1024,    /* bytes of a key handed over by tm_redis_receive_pairs */
    PIPELINE_KEEP = 8 << 20 /* bytes of the pipeline's memory kept between commands */
};

struct tm_redis_connection {
    redisContext *context; /* NULL: not connected */
    tm_buffer pipeline;
    tm_redis_address address;
    tm_redis_tls_files files;
    int64_t connect_timeout_ms, command_timeout_ms;
    uint32_t commands;    /* in the pipeline */
    uint32_t outstanding; /* replies sent for and not yet received */
    redisReplyObjectFunctions *original;
    redisReplyObjectFunctions bounded;
    tm_redis_tls *secrets; /* of rediss:// */
};

#ifdef TIDEMARK_REDIS_TLS
#define TLS_TEXT "with TLS"
#else
#define TLS_TEXT "without TLS"
#endif
#define TEXT_OF_(value) #value
#define TEXT_OF(value) TEXT_OF_(value)

const char *tm_redis_build(void)
{
    return "hiredis " TEXT_OF(HIREDIS_MAJOR) "." TEXT_OF(HIREDIS_MINOR) "." TEXT_OF(HIREDIS_PATCH) " " TLS_TEXT;
}

/* What of TLS is asked for, against what this build and the URL can do. */
static tm_status check_tls(const tm_redis_connection *connection, const tm_redis_options *options, tm_error *error)
{
    const char *key = options->ca_file != NULL     ? "redis.ca_file"
                      : options->cert_file != NULL ? "redis.cert_file"
                      : options->key_file != NULL  ? "redis.key_file"
                                                   : NULL;
#ifndef TIDEMARK_REDIS_TLS
    if (connection->address.tls || key != NULL) {
        tm_status status = tm_fail(error, TM_REJECT, "%s asks for TLS, which this build cannot do (%s)",
                                   connection->address.tls ? "rediss://" : key, tm_redis_build());
        tm_error_hint(error, "build with hiredis 1.0 or later and its hiredis_ssl (Debian 13), or use redis:// through "
                             "a tunnel");
        return status;
    }
#endif
    if (key != NULL && !connection->address.tls) {
        tm_status status =
            tm_fail(error, TM_REJECT, "%s is for TLS, but the Redis URL does not begin with rediss://", key);
        tm_error_hint(error, "write redis.url: rediss://…, or leave the key out");
        return status;
    }
    if ((options->cert_file == NULL) != (options->key_file == NULL)) {
        return tm_fail(error, TM_REJECT, "redis.cert_file and redis.key_file have to be given together");
    }
    return TM_OK;
}

/* A copy in place of what was there; false without memory. */
static bool replace_secret(char **text, const char *with)
{
    if (with == NULL) {
        return true;
    }
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
    }
    *text = strdup(with);
    return *text != NULL;
}

tm_status tm_redis_connection_new(const tm_redis_options *options, tm_redis_connection **ret_connection,
                                  tm_error *error)
{
    tm_status status = TM_OK;
    tm_redis_connection *connection = calloc(1, sizeof(*connection));
    *ret_connection = NULL;
    if (connection == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    tm_buffer_init(&connection->pipeline, TM_REDIS_REQUEST_MAX);
    connection->connect_timeout_ms =
        options->connect_timeout_ms > 0 ? options->connect_timeout_ms : TM_REDIS_TIMEOUT_DEFAULT;
    connection->command_timeout_ms =
        options->command_timeout_ms > 0 ? options->command_timeout_ms : TM_REDIS_TIMEOUT_DEFAULT;
    status = tm_redis_address_parse(options->url, &connection->address, error);
    if (status != TM_OK) {
        goto out;
    }
    status = check_tls(connection, options, error);
    if (status != TM_OK) {
        goto out;
    }
    bool copied = replace_secret(&connection->address.user, options->user) &&
                  replace_secret(&connection->address.password, options->password) &&
                  replace_secret(&connection->files.ca, options->ca_file) &&
                  replace_secret(&connection->files.certificate, options->cert_file) &&
                  replace_secret(&connection->files.key, options->key_file);
    if (!copied) {
        status = tm_fail(error, TM_FATAL, "out of memory");
    } else if (connection->address.user != NULL && connection->address.password == NULL) {
        status = tm_fail(error, TM_REJECT, "a Redis user is named, but no password");
        tm_error_hint(error, "write redis.password: !file PATH; a user without a password takes any");
    }
out:
    if (status != TM_OK) {
        tm_redis_connection_free(connection);
        connection = NULL;
    }
    *ret_connection = connection;
    return status;
}

void tm_redis_connection_free(tm_redis_connection *connection)
{
    if (connection == NULL) {
        return;
    }
    tm_redis_disconnect(connection);
    tm_redis_tls_free(connection->secrets);
    tm_buffer_done(&connection->pipeline);
    tm_redis_address_done(&connection->address);
    free(connection->files.ca);
    free(connection->files.certificate);
    free(connection->files.key);
    free(connection);
}

const char *tm_redis_connection_name(const tm_redis_connection *connection)
{
    return connection->address.name;
}

/* ---- Commands as bytes (the RESP protocol: an array of bulk strings) ---- */

static void put_command(tm_buffer *buffer, uint32_t arguments)
{
    tm_buffer_append_format(buffer, "*%" PRIu32 "\r\n", arguments);
}

static void put_argument(tm_buffer *buffer, tm_slice argument)
{
    char head[24];
    char *at = head + sizeof(head);
    size_t length = argument.length;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + length % 10);
        length /= 10;
    } while (length > 0);
    *--at = '$';
    tm_buffer_append(buffer, at, (size_t)(head + sizeof(head) - at));
    tm_buffer_append(buffer, argument.data, argument.length);
    tm_buffer_append(buffer, "\r\n", 2);
}

void tm_redis_begin(tm_redis_connection *connection)
{
    /* A peak is not kept for ever. */
    if (connection->pipeline.capacity > PIPELINE_KEEP) {
        tm_buffer_done(&connection->pipeline);
    }
    tm_buffer_reset(&connection->pipeline);
    connection->commands = 0;
}

void tm_redis_command(tm_redis_connection *connection, uint32_t arguments)
{
    put_command(&connection->pipeline, arguments);
    connection->commands++;
}

void tm_redis_argument(tm_redis_connection *connection, tm_slice argument)
{
    put_argument(&connection->pipeline, argument);
}

void tm_redis_argument_text(tm_redis_connection *connection, const char *argument)
{
    put_argument(&connection->pipeline, tm_slice_of(argument));
}

void tm_redis_argument_integer(tm_redis_connection *connection, int64_t argument)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, argument);
    tm_redis_argument_text(connection, text);
}

/* ---- The connection ---- */

/* Drops the connection and reports why, with what hiredis knows. */
static tm_status broken(tm_redis_connection *connection, const char *doing, tm_error *error)
{
    const redisContext *context = connection->context;
    const char *why = "out of memory";
    if (context != NULL) {
        why = context->errstr;
        if (context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT)) {
            why = "no answer in time";
        }
    }
    tm_fail(error, TM_RETRY, "Redis at %s: %s: %s", connection->address.name, doing, why);
    tm_redis_disconnect(connection);
    return TM_RETRY;
}

/* Writes everything, without the SIGPIPE that hiredis' own writing may raise. */
static bool send_all(tm_redis_connection *connection, const tm_buffer *bytes)
{
    redisContext *context = connection->context;
    size_t sent = 0;
    if (connection->address.tls) {
        int done = 0;
        if (redisAppendFormattedCommand(context, bytes->data, bytes->length) != REDIS_OK) {
            return false;
        }
        while (done == 0) {
            if (redisBufferWrite(context, &done) != REDIS_OK) {
                return false;
            }
        }
        return true;
    }
    while (sent < bytes->length) {
        ssize_t n = send(context->fd, bytes->data + sent, bytes->length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            context->err = REDIS_ERR_IO;
            snprintf(context->errstr, sizeof(context->errstr), "%s", strerror(errno));
            return false;
        }
        sent += (size_t)n;
    }
    return true;
}

#if HIREDIS_MAJOR >= 1
typedef size_t elements_count;
#else
typedef int elements_count;
#endif

/* hiredis' own, but for the size of an array, which it would believe. */
static void *create_bounded_array(const redisReadTask *task, elements_count elements)
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

/* Whether what the server refuses may pass by itself. */
static bool is_passing(tm_slice text)
{
    static const char *const passing[] = {"LOADING", "BUSY", "MASTERDOWN", "ERR max number of clients"};
    bool found = false;
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        found = found || tm_slice_has_prefix(text, tm_slice_of(passing[i]));
    }
    return found;
}

/* Introduces us: AUTH, SELECT, or a PING that shows whether the server wants a password. */
static tm_status greet(tm_redis_connection *connection, tm_error *error)
{
    tm_status status = TM_OK;
    tm_redis_reply *reply = NULL;
    const char *asked[2];
    uint32_t count = 0;
    tm_buffer bytes;
    tm_buffer_init(&bytes, (size_t)4 * TM_REDIS_URL_MAX);
    if (connection->address.password != NULL) {
        put_command(&bytes, connection->address.user != NULL ? 3 : 2);
        put_argument(&bytes, TM_SLICE_LITERAL("AUTH"));
        if (connection->address.user != NULL) {
            put_argument(&bytes, tm_slice_of(connection->address.user));
        }
        put_argument(&bytes, tm_slice_of(connection->address.password));
        asked[count++] = "AUTH";
    }
    if (connection->address.database != 0) {
        char number[16];
        snprintf(number, sizeof(number), "%d", connection->address.database);
        put_command(&bytes, 2);
        put_argument(&bytes, TM_SLICE_LITERAL("SELECT"));
        put_argument(&bytes, tm_slice_of(number));
        asked[count++] = "SELECT";
    } else {
        put_command(&bytes, 1);
        put_argument(&bytes, TM_SLICE_LITERAL("PING"));
        asked[count++] = "PING";
    }
    if (bytes.overflowed || !send_all(connection, &bytes)) {
        status = broken(connection, "greeting", error);
        goto out;
    }
    connection->outstanding = count;
    for (uint32_t i = 0; i < count; i++) {
        status = tm_redis_receive(connection, &reply, error);
        if (status != TM_OK) {
            goto out;
        }
        tm_slice text = tm_redis_reply_text(reply);
        if (tm_redis_reply_type(reply) == TM_REDIS_ERROR && !tm_slice_has_prefix(text, TM_SLICE_LITERAL("NOPERM"))) {
            status =
                tm_fail(error, is_passing(text) ? TM_RETRY : TM_REJECT, "Redis at %s answers %s with: %.*s",
                        connection->address.name, asked[i], (int)(text.length < 300 ? text.length : 300), text.data);
            if (status == TM_REJECT) {
                tm_error_hint(error, "check user, password and database number of the Redis URL");
            }
            tm_redis_disconnect(connection);
            goto out;
        }
        tm_redis_reply_free(reply);
        reply = NULL;
    }
out:
    tm_redis_reply_free(reply);
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
    struct timeval timeout = timeval_of(connection->connect_timeout_ms);
    connection->outstanding = 0;
    errno = 0;
    connection->context = connection->address.unix_socket
                              ? redisConnectUnixWithTimeout(connection->address.host, timeout)
                              : redisConnectWithTimeout(connection->address.host, connection->address.port, timeout);
    if (connection->context == NULL || connection->context->err != 0) {
        return broken(connection, "connecting", error);
    }
    if (redisSetTimeout(connection->context, timeval_of(connection->command_timeout_ms)) != REDIS_OK ||
        (!connection->address.unix_socket && redisEnableKeepAlive(connection->context) != REDIS_OK)) {
        return broken(connection, "connecting", error);
    }
    bound_reader(connection);
    if (connection->address.tls) {
        tm_status status = tm_redis_tls_start(&connection->secrets, connection->context, connection->address.host,
                                              &connection->files, error);
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

/* With no reply on its way, a readable socket can only mean that the server has gone: while we were idle, so that a new
   connection is enough and the caller needs not know. */
static void drop_if_gone(tm_redis_connection *connection)
{
    if (connection->context != NULL && connection->outstanding == 0) {
        struct pollfd wanted = {.fd = connection->context->fd, .events = POLLIN};
        if (poll(&wanted, 1, 0) > 0) {
            tm_redis_disconnect(connection);
        }
    }
}

static tm_status send_pipeline(tm_redis_connection *connection, tm_error *error)
{
    errno = 0;
    if (!send_all(connection, &connection->pipeline)) {
        return broken(connection, "sending", error);
    }
    connection->outstanding += connection->commands;
    return TM_OK;
}

tm_status tm_redis_send(tm_redis_connection *connection, tm_error *error)
{
    if (connection->pipeline.overflowed) {
        return tm_fail(error, TM_FATAL, "a request to Redis at %s is beyond %d bytes, or out of memory",
                       connection->address.name, TM_REDIS_REQUEST_MAX);
    }
    drop_if_gone(connection);
    tm_status status = tm_redis_connect(connection, error);
    return status == TM_OK ? send_pipeline(connection, error) : status;
}

tm_status tm_redis_send_more(tm_redis_connection *connection, tm_error *error)
{
    if (connection->context == NULL) {
        return tm_fail(error, TM_RETRY, "Redis at %s: the connection broke", connection->address.name);
    }
    return connection->pipeline.overflowed ? tm_redis_send(connection, error) : send_pipeline(connection, error);
}

/* ---- Replies ---- */

/* Reads until the reader has one reply. */
static bool read_reply(redisContext *context, void **ret_reply)
{
    *ret_reply = NULL;
    for (;;) {
        errno = 0;
        if (redisGetReplyFromReader(context, ret_reply) != REDIS_OK) {
            return false;
        }
        if (*ret_reply != NULL) {
            return true;
        }
        if (context->reader->len - context->reader->pos > TM_REDIS_REPLY_MAX) {
            context->err = REDIS_ERR_PROTOCOL;
            snprintf(context->errstr, sizeof(context->errstr), "a value is beyond %d bytes", TM_REDIS_REPLY_MAX);
            return false;
        }
        if (redisBufferRead(context) != REDIS_OK) {
            return false;
        }
    }
}

tm_status tm_redis_receive(tm_redis_connection *connection, tm_redis_reply **ret_reply, tm_error *error)
{
    void *reply = NULL;
    *ret_reply = NULL;
    if (connection->context == NULL || connection->outstanding == 0) {
        return tm_fail(error, TM_RETRY, "Redis at %s: there is no answer to wait for", connection->address.name);
    }
    if (!read_reply(connection->context, &reply)) {
        return broken(connection, "waiting for an answer", error);
    }
    connection->outstanding--;
    *ret_reply = reply;
    return TM_OK;
}

/* ---- Pairs, handed over while hiredis reads them ---- */

typedef struct pairs {
    tm_redis_pair visit;
    void *context;
    tm_status status; /* the visit's last */
    bool misshapen;   /* something else than an array of texts came */
    bool is_error;    /* the server answered with an error: its text is in key[] */
    size_t key_length;
    char key[PAIR_KEY_MAX];
} pairs;

/* What hiredis keeps of every part of the reply: nothing. Returning NULL ends the reading. */
static char nothing;

static void *pairs_text(const redisReadTask *task, char *text, size_t length)
{
    pairs *state = task->privdata;
    if (task->parent == NULL || (task->idx % 2) == 0) {
        state->is_error = task->type == REDIS_REPLY_ERROR;
        state->misshapen = state->misshapen || (task->parent == NULL && !state->is_error);
        if (length > sizeof(state->key)) {
            state->misshapen = !state->is_error;
            length = sizeof(state->key);
        }
        memcpy(state->key, text, length);
        state->key_length = length;
        return state->misshapen ? NULL : &nothing;
    }
    state->status = state->visit(state->context, (tm_slice){state->key, state->key_length}, (tm_slice){text, length});
    return state->status == TM_OK ? &nothing : NULL;
}

static void *pairs_array(const redisReadTask *task, elements_count elements)
{
    pairs *state = task->privdata;
    state->misshapen = task->parent != NULL || elements % 2 != 0;
    return state->misshapen ? NULL : &nothing;
}

static void *pairs_integer(const redisReadTask *task, long long integer)
{
    (void)integer;
    ((pairs *)task->privdata)->misshapen = true;
    return NULL;
}

static void *pairs_nil(const redisReadTask *task)
{
    ((pairs *)task->privdata)->misshapen = true;
    return NULL;
}

static void pairs_release(void *object)
{
    (void)object;
}

tm_status tm_redis_receive_pairs(tm_redis_connection *connection, tm_redis_pair visit, void *context, tm_error *error)
{
    static redisReplyObjectFunctions functions = {.createString = pairs_text,
                                                  .createArray = pairs_array,
                                                  .createInteger = pairs_integer,
                                                  .createNil = pairs_nil,
                                                  .freeObject = pairs_release};
    pairs state = {.visit = visit, .context = context, .status = TM_OK};
    void *reply = NULL;
    if (connection->context == NULL || connection->outstanding == 0) {
        return tm_fail(error, TM_RETRY, "Redis at %s: there is no answer to wait for", connection->address.name);
    }
    redisReader *reader = connection->context->reader;
    reader->fn = &functions;
    reader->privdata = &state;
    bool read = read_reply(connection->context, &reply);
    if (read) {
        connection->outstanding--;
        reader->fn = &connection->bounded;
        reader->privdata = connection;
    }
    if (state.status != TM_OK) {
        tm_redis_disconnect(connection);
        return state.status; /* the visit has said why */
    }
    if (state.misshapen) {
        tm_redis_disconnect(connection);
        return tm_fail(error, TM_RETRY, "Redis at %s answers with something else than pairs", connection->address.name);
    }
    if (!read) {
        return broken(connection, "waiting for an answer", error);
    }
    if (state.is_error) {
        return tm_fail(error, TM_RETRY, "Redis at %s: %.*s", connection->address.name,
                       (int)(state.key_length < 300 ? state.key_length : 300), state.key);
    }
    return TM_OK;
}
