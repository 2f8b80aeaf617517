#include "tidemark/adapters/redis/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

enum {
    GUIDE_TIMEOUT_MS = 2000, /* of a server that is only asked where another one is: there are more to ask */
    PAIR_KEY_MAX = 1024,     /* bytes of a key handed over by tm_redis_receive_pairs */
    PIPELINE_KEEP = 8 << 20  /* bytes of the pipeline's memory kept between commands */
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
            tm_fail(error, TM_REJECT, "%s is for TLS, but the Redis URL does not begin with rediss", key);
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

/* The name of the server that the connection leads to, for messages; where there is none yet, that of the address. */
static tm_status name_place(tm_redis_connection *connection, tm_error *error)
{
    const tm_redis_address *address = &connection->address;
    const tm_redis_host *place = &connection->place;
    char *name = NULL;
    if (place->host == NULL || address->kind == TM_REDIS_SINGLE) {
        name = strdup(address->name);
    } else {
        bool brackets = strchr(place->host, ':') != NULL;
        if (asprintf(&name, "%s://%s%s%s:%d/%d", address->tls ? "rediss" : "redis", brackets ? "[" : "", place->host,
                     brackets ? "]" : "", place->port, address->database) < 0) {
            name = NULL;
        }
    }
    if (name == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    free(connection->name);
    connection->name = name;
    return TM_OK;
}

tm_status tm_redis_connection_point(tm_redis_connection *connection, tm_slice host, int port, tm_error *error)
{
    if (connection->place.host != NULL && tm_slice_equal_text(host, connection->place.host) &&
        connection->place.port == port) {
        return TM_OK;
    }
    char *copy = strndup(host.data, host.length);
    if (copy == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    tm_redis_disconnect(connection);
    free(connection->place.host);
    connection->place = (tm_redis_host){copy, port};
    return name_place(connection, error);
}

/* Where it leads when it is made; a master that sentinels know is found when connecting. */
static tm_status first_place(tm_redis_connection *connection, tm_error *error)
{
    const tm_redis_address *address = &connection->address;
    switch (address->kind) {
    case TM_REDIS_SENTINEL:
        return name_place(connection, error);
    case TM_REDIS_CLUSTER:
        return tm_redis_connection_point(connection, tm_slice_of(address->hosts[0].host), address->hosts[0].port,
                                         error);
    case TM_REDIS_SINGLE:
    default:
        return tm_redis_connection_point(connection, tm_slice_of(address->host), address->port, error);
    }
}

static tm_status take_options(tm_redis_connection *connection, const tm_redis_options *options, tm_error *error)
{
    bool copied = replace_secret(&connection->address.user, options->user) &&
                  replace_secret(&connection->address.password, options->password) &&
                  replace_secret(&connection->files.ca, options->ca_file) &&
                  replace_secret(&connection->files.certificate, options->cert_file) &&
                  replace_secret(&connection->files.key, options->key_file);
    if (!copied) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    if (connection->address.user != NULL && connection->address.password == NULL) {
        tm_fail(error, TM_REJECT, "a Redis user is named, but no password");
        tm_error_hint(error, "write redis.password: !file PATH; a user without a password takes any");
        return TM_REJECT;
    }
    return TM_OK;
}

tm_status tm_redis_connection_new(const tm_redis_options *options, tm_redis_connection **ret_connection,
                                  tm_error *error)
{
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
    tm_status status = tm_redis_address_parse(options->url, &connection->address, error);
    if (status == TM_OK) {
        status = check_tls(connection, options, error);
    }
    if (status == TM_OK) {
        status = take_options(connection, options, error);
    }
    if (status == TM_OK) {
        status = first_place(connection, error);
    }
    if (status != TM_OK) {
        tm_redis_connection_free(connection);
        return status;
    }
    *ret_connection = connection;
    return TM_OK;
}

tm_status tm_redis_connection_beside(const tm_redis_connection *model, tm_redis_beside purpose, tm_slice host, int port,
                                     tm_redis_connection **ret_connection, tm_error *error)
{
    const tm_redis_address *from = &model->address;
    bool sentinel = purpose == TM_REDIS_TO_SENTINEL;
    tm_redis_connection *connection = calloc(1, sizeof(*connection));
    *ret_connection = NULL;
    if (connection == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    tm_redis_address *to = &connection->address;
    tm_buffer_init(&connection->pipeline, TM_REDIS_REQUEST_MAX);
    connection->connect_timeout_ms = model->connect_timeout_ms;
    connection->command_timeout_ms = model->command_timeout_ms;
    if (purpose != TM_REDIS_TO_NODE && model->connect_timeout_ms > GUIDE_TIMEOUT_MS) {
        connection->connect_timeout_ms = connection->command_timeout_ms = GUIDE_TIMEOUT_MS;
    }
    to->kind = TM_REDIS_CLUSTER; /* it is named by its place, and nobody is asked where that is */
    to->tls = from->tls;
    bool copied = replace_secret(&to->user, sentinel ? from->sentinel_user : from->user) &&
                  replace_secret(&to->password, sentinel ? from->sentinel_password : from->password) &&
                  replace_secret(&to->name, from->name) && replace_secret(&connection->files.ca, model->files.ca) &&
                  replace_secret(&connection->files.certificate, model->files.certificate) &&
                  replace_secret(&connection->files.key, model->files.key);
    tm_status status =
        copied ? tm_redis_connection_point(connection, host, port, error) : tm_fail(error, TM_FATAL, "out of memory");
    if (status != TM_OK) {
        tm_redis_connection_free(connection);
        return status;
    }
    *ret_connection = connection;
    return TM_OK;
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
    free(connection->place.host);
    free(connection->name);
    free(connection->files.ca);
    free(connection->files.certificate);
    free(connection->files.key);
    free(connection);
}

const tm_redis_address *tm_redis_connection_address(const tm_redis_connection *connection)
{
    return &connection->address;
}

const char *tm_redis_connection_name(const tm_redis_connection *connection)
{
    return connection->name;
}

/* ---- Commands as bytes (the RESP protocol: an array of bulk strings) ---- */

void tm_redis_put_command(tm_buffer *buffer, uint32_t arguments)
{
    tm_buffer_append_format(buffer, "*%" PRIu32 "\r\n", arguments);
}

void tm_redis_put_argument(tm_buffer *buffer, tm_slice argument)
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
    tm_redis_put_command(&connection->pipeline, arguments);
    connection->commands++;
}

void tm_redis_argument(tm_redis_connection *connection, tm_slice argument)
{
    tm_redis_put_argument(&connection->pipeline, argument);
}

void tm_redis_argument_text(tm_redis_connection *connection, const char *argument)
{
    tm_redis_put_argument(&connection->pipeline, tm_slice_of(argument));
}

void tm_redis_argument_integer(tm_redis_connection *connection, int64_t argument)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, argument);
    tm_redis_argument_text(connection, text);
}

/* ---- The connection ---- */

tm_status tm_redis_broken(tm_redis_connection *connection, const char *doing, tm_error *error)
{
    const redisContext *context = connection->context;
    const char *why = "out of memory";
    if (context != NULL) {
        why = context->errstr;
        if (context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT)) {
            why = "no answer in time";
        }
    }
    tm_fail(error, TM_RETRY, "Redis at %s: %s: %s", connection->name, doing, why);
    tm_redis_disconnect(connection);
    return TM_RETRY;
}

/* Without the SIGPIPE that hiredis' own writing may raise. */
bool tm_redis_send_all(tm_redis_connection *connection, const tm_buffer *bytes)
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
    if (!tm_redis_send_all(connection, &connection->pipeline)) {
        return tm_redis_broken(connection, "sending", error);
    }
    connection->outstanding += connection->commands;
    return TM_OK;
}

tm_status tm_redis_send(tm_redis_connection *connection, tm_error *error)
{
    if (connection->pipeline.overflowed) {
        return tm_fail(error, TM_FATAL, "a request to Redis at %s is beyond %d bytes, or out of memory",
                       connection->name, TM_REDIS_REQUEST_MAX);
    }
    drop_if_gone(connection);
    tm_status status = tm_redis_connect(connection, error);
    return status == TM_OK ? send_pipeline(connection, error) : status;
}

tm_status tm_redis_send_more(tm_redis_connection *connection, tm_error *error)
{
    if (connection->context == NULL) {
        return tm_fail(error, TM_RETRY, "Redis at %s: the connection broke", connection->name);
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
        return tm_fail(error, TM_RETRY, "Redis at %s: there is no answer to wait for", connection->name);
    }
    if (!read_reply(connection->context, &reply)) {
        return tm_redis_broken(connection, "waiting for an answer", error);
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

static void *pairs_array(const redisReadTask *task, tm_redis_elements elements)
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
    connection->refusal_length = 0;
    if (connection->context == NULL || connection->outstanding == 0) {
        return tm_fail(error, TM_RETRY, "Redis at %s: there is no answer to wait for", connection->name);
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
        return tm_fail(error, TM_RETRY, "Redis at %s answers with something else than pairs", connection->name);
    }
    if (!read) {
        return tm_redis_broken(connection, "waiting for an answer", error);
    }
    if (state.is_error) {
        connection->refusal_length =
            state.key_length < sizeof(connection->refusal) ? state.key_length : sizeof(connection->refusal);
        memcpy(connection->refusal, state.key, connection->refusal_length);
        return tm_fail(error, TM_RETRY, "Redis at %s: %.*s", connection->name,
                       (int)(state.key_length < 300 ? state.key_length : 300), state.key);
    }
    return TM_OK;
}

tm_slice tm_redis_refusal(const tm_redis_connection *connection)
{
    return (tm_slice){connection->refusal_length > 0 ? connection->refusal : NULL, connection->refusal_length};
}
