/* Any bytes as what an HTTP client sends, through the library, over a socket in memory: nothing but what knows the
   token is served behind it, every answer is one, and every connection ends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sockets.h"
#include "tidemark/adapters/http/server.h"

#define TOKEN "0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_http_server *server;
static int served_closed;

static void serve_open(void *context, bool trusted, tm_http_answer *answer)
{
    (void)context;
    tm_buffer_append_text(&answer->body, trusted ? "trusted" : "stranger");
}

static void serve_closed(void *context, bool trusted, tm_http_answer *answer)
{
    (void)context;
    if (!trusted)
        abort();
    served_closed++;
    tm_buffer_append_text(&answer->body, "closed");
}

static const tm_http_route routes[] = {{"/livez", true, serve_open, NULL}, {"/metrics", false, serve_closed, NULL}};

static void start(void)
{
    const tm_http_options options = {.token = TM_SLICE_LITERAL(TOKEN), .routes = routes, .route_count = 2};
    tm_error error;
    if (tm_http_server_open(&options, &server, &error) != TM_OK)
        abort();
}

/* The bytes as an address and as a token: one of them is what it is said to be, or refused. */
static void try_words(const uint8_t *data, size_t size)
{
    char text[64];
    size_t length = size < sizeof text - 1 ? size : sizeof text - 1;
    tm_error error;
    bool loopback;
    memcpy(text, data, length);
    text[length] = 0;
    if (tm_http_address_check(text, &loopback, &error) == TM_OK && !strchr(text, ':'))
        abort();
    if (tm_http_token_check((tm_slice){(const char *)data, size}, &error) == TM_OK &&
        (size < TM_HTTP_TOKEN_LEAST || memchr(data, ' ', size)))
        abort();
}

/* Has the bytes served; what was answered. The connection has to have ended. */
static const char *exchange(const uint8_t *data, size_t size, size_t *ret_length)
{
    memory_sockets_say(data, size);
    tm_http_server_serve(server, memory_sockets_open());
    if (memory_sockets_count() != 0)
        abort();
    return memory_sockets_heard(ret_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;
    if (!server)
        start();
    try_words(data, size);
    if (size > 60000)
        return -1;
    served_closed = 0;
    const char *answer = exchange(data, size, &length);
    if (length > 0 && (length < 12 || memcmp(answer, "HTTP/1.", 7) != 0))
        abort();
    if (served_closed && !memmem(data, size, TOKEN, sizeof TOKEN - 1))
        abort();
    return 0;
}
