#include "tidemark/adapters/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, DIGEST = 32, SERVE_TURNS = 200 };

/* A connection that is open; `number` grows, so the least is the oldest. */
typedef struct open_connection {
    struct MHD_Connection *connection;
    uint64_t number;
    int descriptor;
} open_connection;

struct tm_http_server {
    struct MHD_Daemon *daemon;
    const tm_http_route *routes;
    uint32_t route_count;
    bool has_token;
    unsigned char token[DIGEST]; /* BLAKE2b of it: the token itself is not kept */
    uint16_t port;
    uint64_t connections; /* so far */
    open_connection open[TM_HTTP_CONNECTIONS];
};

/* --- addresses and tokens --- */

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

static bool parse_port(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits])
        return false;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (uint32_t)(text[i] - '0');
    *ret_port = (uint16_t)port;
    return port <= UINT16_MAX;
}

static tm_status parse_address(const char *text, socket_address *ret_address, socklen_t *ret_length, tm_error *error)
{
    char host[INET6_ADDRSTRLEN + 1];
    bool bracketed = text[0] == '[';
    const char *from = bracketed ? text + 1 : text;
    const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
    const char *colon = end && bracketed ? end + 1 : end;
    size_t length = end ? (size_t)(end - from) : sizeof host;
    uint16_t port;
    memset(ret_address, 0, sizeof *ret_address);
    if (length == 0 || length >= sizeof host || *colon != ':' || !parse_port(colon + 1, &port))
        goto none;
    memcpy(host, from, length);
    host[length] = 0;
    if (bracketed) {
        ret_address->v6.sin6_family = AF_INET6;
        ret_address->v6.sin6_port = htons(port);
        *ret_length = sizeof ret_address->v6;
        if (inet_pton(AF_INET6, host, &ret_address->v6.sin6_addr) == 1)
            return TM_OK;
    } else {
        ret_address->v4.sin_family = AF_INET;
        ret_address->v4.sin_port = htons(port);
        *ret_length = sizeof ret_address->v4;
        if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &ret_address->v4.sin_addr) == 1)
            return TM_OK;
    }
none:
    (void)tm_fail(error, TM_REJECT, "'%.100s' is no address to listen on", text);
    tm_error_hint(error, "write 127.0.0.1:9464, [::1]:9464, or 0.0.0.0:9464 for every network of the machine");
    return TM_REJECT;
}

static bool is_loopback(const socket_address *address)
{
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
}

tm_status tm_http_address_check(const char *address, bool *ret_loopback, tm_error *error)
{
    socket_address parsed;
    socklen_t length;
    tm_status status = parse_address(address, &parsed, &length, error);
    *ret_loopback = status == TM_OK && is_loopback(&parsed);
    return status;
}

tm_status tm_http_token_check(tm_slice token, tm_error *error)
{
    bool good = token.length >= TM_HTTP_TOKEN_LEAST && token.length <= TM_HTTP_TOKEN_MOST;
    for (size_t i = 0; i < token.length && good; i++)
        good = token.data[i] > ' ' && token.data[i] < 127;
    if (good)
        return TM_OK;
    (void)tm_fail(error, TM_REJECT, "the token is not %d to %d printable ASCII characters without blanks",
                  TM_HTTP_TOKEN_LEAST, TM_HTTP_TOKEN_MOST);
    tm_error_hint(error, "make one: head -c 32 /dev/urandom | base64 > http.token");
    return TM_REJECT;
}

static void digest(tm_slice token, unsigned char out[DIGEST])
{
    (void)crypto_generichash(out, DIGEST, (const unsigned char *)token.data, token.length, NULL, 0);
}

/* --- requests --- */

typedef enum access { ACCESS_NONE, ACCESS_WRONG, ACCESS_RIGHT } access_kind;

/* What the request's Authorization shows. Digests are compared, in a time that does not depend on what they are. */
static access_kind access_of(const tm_http_server *server, struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    const char *value = NULL;
    size_t length = 0;
    if (!server->has_token)
        return ACCESS_RIGHT;
    if (MHD_lookup_connection_value_n(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION,
                                      strlen(MHD_HTTP_HEADER_AUTHORIZATION), &value, &length) != MHD_YES ||
        value == NULL)
        return ACCESS_NONE;
    if (length < sizeof scheme || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return ACCESS_WRONG;
    tm_slice token = {value + sizeof scheme - 1, length - (sizeof scheme - 1)};
    while (token.length > 0 && token.data[0] == ' ')
        token = (tm_slice){token.data + 1, token.length - 1};
    unsigned char shown[DIGEST];
    digest(token, shown);
    return sodium_memcmp(shown, server->token, DIGEST) == 0 ? ACCESS_RIGHT : ACCESS_WRONG;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && strspn(length, "0") != strlen(length))
        return true;
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, const tm_http_answer *answer,
                                   const char *header_name, const char *header_value)
{
    tm_slice body = tm_buffer_slice(&answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)(uintptr_t)(body.data ? body.data : ""), MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    bool good = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
                MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    if (good && header_name)
        good = MHD_add_response_header(response, header_name, header_value) == MHD_YES;
    enum MHD_Result result = good ? MHD_queue_response(connection, answer->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, uint32_t status, const char *text, const char *name,
                              const char *value)
{
    tm_http_answer answer = {.status = status, .content_type = "text/plain; charset=utf-8"};
    tm_buffer_init(&answer.body, TM_HTTP_ANSWER_MAX);
    tm_buffer_append_text(&answer.body, text);
    enum MHD_Result result = send_answer(connection, &answer, name, value);
    tm_buffer_done(&answer.body);
    return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **request)
{
    const tm_http_server *server = context;
    const tm_http_route *route = NULL;
    (void)version;
    (void)upload;
    (void)request;
    *upload_size = 0; /* nothing is taken */
    for (uint32_t i = 0; i < server->route_count && !route; i++) {
        if (strcmp(server->routes[i].path, url) == 0)
            route = &server->routes[i];
    }
    if (!route)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "not found\n", NULL, NULL);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n", MHD_HTTP_HEADER_ALLOW,
                      "GET, HEAD");
    if (has_body(connection))
        return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "no body is taken\n", NULL, NULL);
    access_kind access = access_of(server, connection);
    if (access == ACCESS_WRONG || (access == ACCESS_NONE && !route->open))
        return refuse(connection, MHD_HTTP_UNAUTHORIZED, "the bearer token is missing or wrong\n",
                      MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"monitoring\"");
    tm_http_answer answer = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    tm_buffer_init(&answer.body, TM_HTTP_ANSWER_MAX);
    route->serve(route->context, access == ACCESS_RIGHT, &answer);
    enum MHD_Result result = answer.body.overflowed
                                 ? refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n", NULL, NULL)
                                 : send_answer(connection, &answer, NULL, NULL);
    tm_buffer_done(&answer.body);
    return result;
}

/* --- connections --- */

static void close_oldest(tm_http_server *server)
{
    open_connection *oldest = NULL;
    for (int i = 0; i < TM_HTTP_CONNECTIONS; i++) {
        open_connection *one = &server->open[i];
        if (!one->connection)
            return; /* there is room */
        if (!oldest || one->number < oldest->number)
            oldest = one;
    }
    /* The library sees the end of the stream, and lets go of the connection. */
    (void)shutdown(oldest->descriptor, SHUT_RDWR);
}

/* Runs in the server's thread, as everything here. */
static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    tm_http_server *server = context;
    (void)socket_context;
    for (int i = 0; i < TM_HTTP_CONNECTIONS; i++) {
        open_connection *one = &server->open[i];
        if (what == MHD_CONNECTION_NOTIFY_CLOSED && one->connection == connection) {
            *one = (open_connection){0};
            return;
        }
        if (what == MHD_CONNECTION_NOTIFY_STARTED && !one->connection) {
            const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
            if (!info)
                return;
            *one = (open_connection){connection, server->connections++, info->connect_fd};
            break;
        }
    }
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        close_oldest(server);
}

static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* --- the object --- */

static tm_status new_server(const tm_http_options *options, tm_http_server **ret_server, tm_error *error)
{
    if (options->token.data && tm_http_token_check(options->token, error) != TM_OK)
        return TM_REJECT;
    tm_http_server *server = calloc(1, sizeof *server);
    if (!server) {
        (void)tm_fail(error, TM_FATAL, "no memory for the HTTP server");
        return TM_FATAL;
    }
    server->routes = options->routes;
    server->route_count = options->route_count;
    server->has_token = options->token.data != NULL;
    if (server->has_token)
        digest(options->token, server->token);
    *ret_server = server;
    return TM_OK;
}

static tm_status start_daemon(tm_http_server *server, unsigned flags, int listener, tm_error *error)
{
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_LIMIT, TM_HTTP_CONNECTIONS, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, TM_HTTP_IDLE_SECONDS, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, TM_HTTP_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, 1024, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escaped, NULL},
        {listener >= 0 ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_END, listener, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    return server->daemon ? TM_OK : tm_fail(error, TM_FATAL, "the HTTP server does not start: no memory, or no thread");
}

static tm_status listen_on(const char *text, int *ret_listener, uint16_t *ret_port, tm_error *error)
{
    socket_address address;
    socklen_t length;
    tm_status status = parse_address(text, &address, &length, error);
    if (status != TM_OK)
        return status;
    const int on = 1;
    int listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, &address.any, length) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, &address.any, &length) != 0) {
        int why = errno;
        if (listener >= 0)
            close(listener);
        return tm_fail(error, TM_REJECT, "cannot listen on %s: %s", text, strerror(why));
    }
    *ret_port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    *ret_listener = listener;
    return TM_OK;
}

tm_status tm_http_server_start(const tm_http_options *options, tm_http_server **ret_server, tm_error *error)
{
    int listener = -1;
    tm_http_server *server = NULL;
    *ret_server = NULL;
    tm_status status = new_server(options, &server, error);
    if (status == TM_OK)
        status = listen_on(options->address, &listener, &server->port, error);
    if (status == TM_OK)
        status = start_daemon(server, MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, listener, error);
    if (status != TM_OK) {
        free(server);
        return status;
    }
    *ret_server = server;
    return TM_OK;
}

const char *tm_http_library_version(void)
{
    return MHD_get_version();
}

uint16_t tm_http_server_port(const tm_http_server *server)
{
    return server->port;
}

void tm_http_server_stop(tm_http_server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}

/* --- without a listener --- */

tm_status tm_http_server_open(const tm_http_options *options, tm_http_server **ret_server, tm_error *error)
{
    tm_http_server *server = NULL;
    *ret_server = NULL;
    tm_status status = new_server(options, &server, error);
    if (status == TM_OK)
        status = start_daemon(server, MHD_USE_NO_LISTEN_SOCKET, -1, error);
    if (status != TM_OK) {
        free(server);
        return status;
    }
    *ret_server = server;
    return TM_OK;
}

void tm_http_server_serve(tm_http_server *server, int descriptor)
{
    const struct sockaddr_in nobody = {.sin_family = AF_INET};
    if (MHD_add_connection(server->daemon, descriptor, (const struct sockaddr *)&nobody, sizeof nobody) != MHD_YES)
        return;
    for (int turn = 0; turn < SERVE_TURNS; turn++) {
        bool any = false;
        if (MHD_run(server->daemon) != MHD_YES)
            return;
        for (int i = 0; i < TM_HTTP_CONNECTIONS; i++)
            any |= server->open[i].connection != NULL;
        if (!any)
            return;
    }
}
