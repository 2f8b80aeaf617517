/* The HTTP server over real sockets: what it answers, and what strangers can and cannot do to it. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tidemark/adapters/http/server.h"

#define TOKEN "0123456789abcdefXYZ="

static _Atomic int served;

static void serve(void *context, bool trusted, tm_http_answer *answer)
{
    atomic_fetch_add(&served, 1);
    tm_buffer_append_format(&answer->body, "%s %s\n", (const char *)context, trusted ? "trusted" : "stranger");
}

static void serve_large(void *context, bool trusted, tm_http_answer *answer)
{
    (void)context;
    (void)trusted;
    answer->status = 503;
    answer->content_type = "application/json";
    for (int i = 0; i < 400000; i++)
        tm_buffer_append_text(&answer->body, "0123456789");
}

static void serve_too_much(void *context, bool trusted, tm_http_answer *answer)
{
    for (int i = 0; i < 2; i++)
        serve_large(context, trusted, answer);
}

static char open_name[] = "open", closed_name[] = "closed";
static const tm_http_route routes[] = {{"/open", true, serve, open_name},
                                       {"/closed", false, serve, closed_name},
                                       {"/large", false, serve_large, NULL},
                                       {"/toomuch", false, serve_too_much, NULL}};

static tm_http_server *start(const char *token)
{
    tm_http_options options = {
        .address = "127.0.0.1:0", .token = tm_slice_of(token), .routes = routes, .route_count = 4};
    tm_http_server *server;
    tm_error error;
    cr_assert_eq(tm_http_server_start(&options, &server, &error), TM_OK, "%s", error.what);
    cr_assert_neq(tm_http_server_port(server), 0);
    return server;
}

static int dial(const tm_http_server *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(tm_http_server_port(server))};
    struct timeval patience = {.tv_sec = 60};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(s, 0);
    cr_assert_eq(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    cr_assert_eq(connect(s, (struct sockaddr *)&to, sizeof to), 0);
    return s;
}

static void say(int s, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t sent = send(s, at, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* it hung up: what it answered is what counts */
        at += sent;
        length -= (size_t)sent;
    }
}

/* Everything until the server hangs up. */
static size_t hear(int s, char *out, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = recv(s, out + length, size - 1 - length, 0)) > 0)
        length += (size_t)got;
    out[length] = 0;
    close(s);
    return length;
}

static char reply[8 << 20];

static int ask_bytes(const tm_http_server *server, const void *request, size_t length)
{
    int s = dial(server);
    say(s, request, length);
    shutdown(s, SHUT_WR);
    (void)hear(s, reply, sizeof reply);
    int status = 0;
    const char *number = strncmp(reply, "HTTP/1.", 7) == 0 && strlen(reply) > 12 ? reply + 9 : "";
    for (int i = 0; i < 3 && number[i] >= '0' && number[i] <= '9'; i++)
        status = status * 10 + (number[i] - '0');
    return status;
}

static int ask(const tm_http_server *server, const char *request)
{
    return ask_bytes(server, request, strlen(request));
}

static int get(const tm_http_server *server, const char *path, const char *headers)
{
    char request[1024];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    return ask(server, request);
}

static const char *body(void)
{
    const char *blank = strstr(reply, "\r\n\r\n");
    return blank ? blank + 4 : "";
}

Test(http_server, paths_and_methods)
{
    tm_http_server *server = start(NULL);
    cr_assert_eq(get(server, "/open", ""), 200);
    cr_assert_str_eq(body(), "open trusted\n");
    cr_assert_not_null(strcasestr(reply, "Content-Type: text/plain; charset=utf-8\r\n"));
    cr_assert_not_null(strcasestr(reply, "Connection: close\r\n"));
    cr_assert_not_null(strcasestr(reply, "Cache-Control: no-store\r\n"));
    cr_assert_eq(get(server, "/closed?a=b", ""), 200);
    cr_assert_str_eq(body(), "closed trusted\n");
    cr_assert_eq(ask(server, "HEAD /open HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    cr_assert_str_empty(body());
    cr_assert_not_null(strcasestr(reply, "Content-Length: 13\r\n"));
    const char *others[] = {"/", "/open/", "/Open", "/open%00", "/%6fpen", "//open", "/../open", "*", "/openx", "/ope"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int status = get(server, others[i], "");
        cr_assert(status == 404 || status == 400, "%s: %d", others[i], status);
    }
    const char *methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char request[128];
        snprintf(request, sizeof request, "%s /open HTTP/1.1\r\nHost: x\r\n\r\n", methods[i]);
        cr_assert_eq(ask(server, request), 405, "%s: %.60s", methods[i], reply);
        cr_assert_not_null(strcasestr(reply, "Allow: GET, HEAD\r\n"));
    }
    tm_http_server_stop(server);
}

Test(http_server, a_large_answer_comes_whole_and_one_beyond_the_bound_is_an_error)
{
    tm_http_server *server = start(NULL);
    cr_assert_eq(get(server, "/large", ""), 503);
    cr_assert_not_null(strcasestr(reply, "Content-Type: application/json\r\n"));
    cr_assert_eq(strlen(body()), 4000000);
    cr_assert_eq(get(server, "/toomuch", ""), 500);
    cr_assert_lt(strlen(body()), 100);
    tm_http_server_stop(server);
}

Test(http_server, the_token_opens)
{
    tm_http_server *server = start(TOKEN);
    cr_assert_eq(get(server, "/open", ""), 200);
    cr_assert_str_eq(body(), "open stranger\n");
    cr_assert_eq(get(server, "/closed", ""), 401);
    cr_assert_not_null(strcasestr(reply, "WWW-Authenticate: Bearer realm="));
    cr_assert_eq(get(server, "/closed", "Authorization: Bearer " TOKEN "\r\n"), 200);
    cr_assert_str_eq(body(), "closed trusted\n");
    cr_assert_eq(get(server, "/open", "authorization: bearer  " TOKEN "\r\n"), 200);
    cr_assert_str_eq(body(), "open trusted\n");
    const char *wrong[] = {"Bearer 0123456789abcdefXYZ",
                           "Bearer 0123456789abcdefXYZ==",
                           "Bearer 0123456789abcdefXYZ+",
                           "Bearer",
                           "Bearer ",
                           "Basic " TOKEN,
                           TOKEN,
                           "",
                           "Bearer " TOKEN " " TOKEN,
                           "Bearer\t" TOKEN};
    int before = atomic_load(&served);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char header[256];
        snprintf(header, sizeof header, "Authorization: %s\r\n", wrong[i]);
        cr_assert_eq(get(server, "/closed", header), 401, "%s", wrong[i]);
        cr_assert_eq(get(server, "/open", header), 401, "a wrong one is said: %s", wrong[i]);
    }
    cr_assert_eq(atomic_load(&served), before);
    cr_assert_eq(get(server, "/nowhere", ""), 404);
    tm_http_server_stop(server);
}

Test(http_server, no_body_is_taken)
{
    tm_http_server *server = start(NULL);
    int before = atomic_load(&served);
    cr_assert_eq(ask(server, "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"), 413);
    cr_assert_eq(
        ask(server, "GET /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 413);
    cr_assert_eq(ask(server, "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"), 413,
                 "%.40s", reply);
    cr_assert_eq(atomic_load(&served), before);
    cr_assert_eq(ask(server, "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 200);
    tm_http_server_stop(server);
}

Test(http_server, versions_and_pipelines)
{
    tm_http_server *server = start(NULL);
    cr_assert_eq(ask(server, "GET /open HTTP/1.0\r\n\r\n"), 200);
    cr_assert_eq(ask(server, "GET /open HTTP/1.1\r\n\r\n"), 400, "1.1 asks for a Host: %.30s", reply);
    int before = atomic_load(&served);
    cr_assert_eq(ask(server, "GET /open HTTP/1.1\r\nHost: x\r\n\r\nGET /closed HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    cr_assert_eq(atomic_load(&served), before + 1, "one request a connection");
    cr_assert_null(strstr(body(), "HTTP/1.1"));
    cr_assert_neq(ask(server, "GET /open HTTP/9.7\r\nHost: x\r\n\r\n"), 200);
    cr_assert_neq(ask(server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 200);
    tm_http_server_stop(server);
}

/* Nothing of this is answered with 200, and afterwards the server answers as before. */
Test(http_server, nonsense)
{
    tm_http_server *server = start(TOKEN);
    static char large[100000];
    int before = atomic_load(&served);
    memset(large, 'a', sizeof large);
    memcpy(large, "GET /", 5);
    cr_assert_neq(ask_bytes(server, large, sizeof large), 200, "an endless path");
    int head = snprintf(large, sizeof large, "GET /open HTTP/1.1\r\nHost: x\r\nX: ");
    memset(large + head, 'b', sizeof large - (size_t)head);
    cr_assert_neq(ask_bytes(server, large, sizeof large), 200, "an endless header");
    head = snprintf(large, sizeof large, "GET /open HTTP/1.1\r\nHost: x\r\n");
    for (size_t at = (size_t)head; at + 8 < sizeof large; at += 6)
        memcpy(large + at, "y: z\r\n", 6);
    cr_assert_neq(ask_bytes(server, large, sizeof large), 200, "endless headers");
    static const char nul[] = "GET /closed\0 HTTP/1.1\r\nHost: x\r\n\r\n",
                      nul_header[] =
                          "GET /closed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef\0XYZ=\r\n\r\n";
    cr_assert_neq(ask_bytes(server, nul, sizeof nul - 1), 200);
    cr_assert_neq(ask_bytes(server, nul_header, sizeof nul_header - 1), 200, "%.200s", reply);
    for (int seed = 0; seed < 300; seed++) {
        unsigned char noise[700];
        uint32_t x = (uint32_t)seed * 2654435761u + 1;
        for (size_t i = 0; i < sizeof noise; i++) {
            x = x * 1664525u + 1013904223u;
            noise[i] = (unsigned char)(x >> 24);
        }
        if (seed % 2)
            memcpy(noise, "GET /closed HTTP/1.1\r\nHost: ", 28);
        cr_assert_neq(ask_bytes(server, noise, sizeof noise), 200);
    }
    cr_assert_eq(ask_bytes(server, "", 0), 0);
    cr_assert_eq(atomic_load(&served), before);
    cr_assert_eq(get(server, "/open", ""), 200);
    tm_http_server_stop(server);
}

/* More clients than there are connections, none of which ever ends its request: whoever comes next is answered. */
Test(http_server, idle_and_slow_clients_keep_nobody_out)
{
    tm_http_server *server = start(NULL);
    enum { CLIENTS = 5 * TM_HTTP_CONNECTIONS };
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = dial(server);
        if (i % 2)
            say(clients[i], "GET /open HT", 12);
        if (i % 40 == 39) {
            cr_assert_eq(get(server, "/open", ""), 200, "after %d", i);
        }
    }
    cr_assert_eq(get(server, "/open", ""), 200);
    /* The first of them was let go for the later ones. */
    char nothing[1000];
    (void)hear(clients[0], nothing, sizeof nothing);
    for (int i = 1; i < CLIENTS; i++)
        close(clients[i]);
    cr_assert_eq(get(server, "/open", ""), 200);
    tm_http_server_stop(server);
}

Test(http_server, clients_that_do_not_read_are_left)
{
    tm_http_server *server = start(NULL);
    enum { CLIENTS = 2 * TM_HTTP_CONNECTIONS };
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        static const char request[] = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
        clients[i] = dial(server);
        say(clients[i], request, sizeof request - 1);
    }
    cr_assert_eq(get(server, "/open", ""), 200);
    tm_http_server_stop(server);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

Test(http_server, stops_with_clients_connected)
{
    tm_http_server *server = start(NULL);
    int s = dial(server);
    say(s, "GET", 3);
    tm_http_server_stop(server);
    char nothing[100];
    (void)hear(s, nothing, sizeof nothing);
    tm_http_server_stop(NULL);
}

Test(http_server, a_port_that_is_taken_is_named)
{
    tm_http_server *server = start(NULL), *second;
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%u", tm_http_server_port(server));
    tm_http_options options = {.address = address, .routes = routes, .route_count = 1};
    tm_error error;
    cr_assert_eq(tm_http_server_start(&options, &second, &error), TM_REJECT);
    cr_assert_null(second);
    cr_assert_not_null(strstr(error.what, address));
    cr_assert_not_null(strstr(error.what, "in use"));
    tm_http_server_stop(server);
    cr_assert_eq(tm_http_server_start(&options, &second, &error), TM_OK, "free again at once: %s", error.what);
    tm_http_server_stop(second);
}

Test(http_server, addresses)
{
    static const struct {
        const char *text;
        bool good, loopback;
    } cases[] = {{"127.0.0.1:9464", true, true},
                 {"localhost:1", true, true},
                 {"127.255.0.9:65535", true, true},
                 {"[::1]:9464", true, true},
                 {"0.0.0.0:9464", true, false},
                 {"[::]:9464", true, false},
                 {"10.1.2.3:80", true, false},
                 {"[fe80::1]:80", true, false},
                 {"128.0.0.1:80", true, false},
                 {"127.0.0.1:0", true, true},
                 {"", false, false},
                 {":9464", false, false},
                 {"9464", false, false},
                 {"127.0.0.1", false, false},
                 {"127.0.0.1:", false, false},
                 {"127.0.0.1:65536", false, false},
                 {"127.0.0.1:123456", false, false},
                 {"127.0.0.1:12x", false, false},
                 {"::1:9464", false, false},
                 {"[::1]", false, false},
                 {"[::1]9464", false, false},
                 {"[::1:9464", false, false},
                 {"[127.0.0.1]:80", false, false},
                 {"127.1:80", false, false},
                 {"host.example:80", false, false},
                 {"*:80", false, false},
                 {" 127.0.0.1:80", false, false},
                 {"127.0.0.1:+1", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool loopback = !cases[i].loopback;
        tm_error error;
        tm_status status = tm_http_address_check(cases[i].text, &loopback, &error);
        cr_assert_eq(status == TM_OK, cases[i].good, "'%s'", cases[i].text);
        cr_assert_eq(loopback, cases[i].loopback, "'%s'", cases[i].text);
        if (!cases[i].good)
            cr_assert_str_not_empty(error.hint);
    }
    char long_host[400];
    memset(long_host, '1', sizeof long_host);
    long_host[398] = ':';
    long_host[399] = 0;
    tm_error error;
    bool loopback;
    cr_assert_eq(tm_http_address_check(long_host, &loopback, &error), TM_REJECT);
}

Test(http_server, tokens)
{
    tm_error error;
    char token[TM_HTTP_TOKEN_MOST + 1];
    memset(token, 'k', sizeof token);
    cr_assert_eq(tm_http_token_check((tm_slice){token, 16}, &error), TM_OK);
    cr_assert_eq(tm_http_token_check((tm_slice){token, TM_HTTP_TOKEN_MOST}, &error), TM_OK);
    cr_assert_eq(tm_http_token_check((tm_slice){token, 15}, &error), TM_REJECT);
    cr_assert_eq(tm_http_token_check((tm_slice){token, sizeof token}, &error), TM_REJECT);
    static const char bad[] = {' ', '\t', '\n', 0, 127, (char)0xc3};
    for (size_t i = 0; i < sizeof bad; i++) {
        token[7] = bad[i];
        cr_assert_eq(tm_http_token_check((tm_slice){token, 32}, &error), TM_REJECT);
        cr_assert_null(strstr(error.what, "kkk"), "it is not shown");
    }
    tm_http_options options = {.address = "127.0.0.1:0", .token = TM_SLICE_LITERAL("short"), .routes = routes};
    tm_http_server *server;
    cr_assert_eq(tm_http_server_start(&options, &server, &error), TM_REJECT);
    options = (tm_http_options){.address = "nowhere", .routes = routes};
    cr_assert_eq(tm_http_server_start(&options, &server, &error), TM_REJECT);
    cr_assert_null(server);
}

/* The way the fuzz target feeds it. */
Test(http_server, serves_a_socket_that_is_handed_over)
{
    tm_http_options options = {.token = TM_SLICE_LITERAL(TOKEN), .routes = routes, .route_count = 4};
    tm_http_server *server;
    tm_error error;
    cr_assert_eq(tm_http_server_open(&options, &server, &error), TM_OK, "%s", error.what);
    static const char *const requests[] = {"GET /open HTTP/1.1\r\nHost: x\r\n\r\n", "GET /open HT", "", "\r\n\r\n\r\n"};
    for (int round = 0; round < 100; round++) {
        const char *request = requests[round % 4];
        int pair[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        cr_assert_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
        say(pair[0], request, strlen(request));
        shutdown(pair[0], SHUT_WR);
        tm_http_server_serve(server, pair[1]);
        cr_assert_eq(fcntl(pair[1], F_GETFD), -1, "it was closed");
        (void)hear(pair[0], reply, sizeof reply);
        if (round % 4 == 0)
            cr_assert_str_eq(body(), "open stranger\n");
        else
            cr_assert_null(strstr(reply, " 200 "));
    }
    tm_http_server_stop(server);
}
