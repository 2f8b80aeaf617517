/* A private redis-server on a Unix socket in a directory of its own, and a proxy before it that can lose what goes
   through. Nothing here waits by the clock: the server says when it is ready. */
#ifndef TIDEMARK_SUPPORT_REDIS_SERVER_H
#define TIDEMARK_SUPPORT_REDIS_SERVER_H

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tidemark/adapters/redis/store.h"

typedef struct redis_server {
    char directory[64];
    char socket[96];
    char url[160];
    pid_t pid;
} redis_server;

static inline void redis_server_launch(redis_server *server, const char *option, const char *value)
{
    int out[2];
    char seen[8192];
    size_t length = 0;
    cr_assert_eq(pipe(out), 0);
    server->pid = fork();
    cr_assert_geq(server->pid, 0);
    if (server->pid == 0) {
        /* The store's user may do what the documents say that it needs, and nothing else. */
        tm_buffer allowed;
        tm_buffer_init(&allowed, 4096);
        tm_redis_permissions(NULL, &allowed);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        if (chdir(server->directory) != 0) {
            _exit(1);
        }
        execlp("sh", "sh", "-f", "-c",
               "exec redis-server --port 0 --unixsocket \"$1\" --save '' --appendonly no --daemonize no \"$2\" \"$3\" "
               "--user tidemark on '>limited' $4",
               "sh", server->socket, option != NULL ? option : "--loglevel", value != NULL ? value : "notice",
               tm_buffer_text(&allowed), (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    for (;;) {
        ssize_t n = read(out[0], seen + length, sizeof(seen) - 1 - length);
        cr_assert_gt(n, 0, "redis-server did not start (is it installed?)");
        length += (size_t)n;
        seen[length] = '\0';
        if (strcasestr(seen, "ready to accept connections") != NULL) {
            break;
        }
        cr_assert_lt(length, sizeof(seen) - 1);
    }
    close(out[0]);
}

static inline void redis_server_place(redis_server *server)
{
    snprintf(server->directory, sizeof(server->directory), "/tmp/tidemark-redis-XXXXXX");
    cr_assert_not_null(mkdtemp(server->directory));
    snprintf(server->socket, sizeof(server->socket), "%s/s", server->directory);
    snprintf(server->url, sizeof(server->url), "unix://tidemark:limited@%s", server->socket);
}

static inline void redis_server_start(redis_server *server, const char *option, const char *value)
{
    redis_server_place(server);
    redis_server_launch(server, option, value);
}

static inline void redis_server_kill(redis_server *server)
{
    int ignored;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, &ignored, 0);
    unlink(server->socket);
}

/* ---- Plain commands ---- */

/* As one who may do everything, whoever the URL names. */
static inline tm_redis_connection *redis_server_open(const char *url)
{
    tm_error error = {0};
    tm_redis_connection *connection = NULL;
    const char *place = strchr(url, '@');
    char own[160];
    snprintf(own, sizeof(own), "unix://%s", place != NULL ? place + 1 : url + strlen("unix://"));
    tm_redis_options options = {.url = own};
    cr_assert_eq(tm_redis_connection_new(&options, &connection, &error), TM_OK, "%s", error.what);
    return connection;
}

/* A command of texts, ended by NULL; the caller frees the reply. */
static inline tm_redis_reply *redis_say(tm_redis_connection *connection, ...)
{
    tm_error error = {0};
    tm_redis_reply *reply = NULL;
    va_list arguments;
    uint32_t count = 0;
    va_start(arguments, connection);
    while (va_arg(arguments, const char *) != NULL) {
        count++;
    }
    va_end(arguments);
    tm_redis_begin(connection);
    tm_redis_command(connection, count);
    va_start(arguments, connection);
    for (uint32_t i = 0; i < count; i++) {
        tm_redis_argument_text(connection, va_arg(arguments, const char *));
    }
    va_end(arguments);
    cr_assert_eq(tm_redis_send(connection, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_redis_receive(connection, &reply, &error), TM_OK, "%s", error.what);
    return reply;
}

/* The same for who wants no reply but success. */
#define redis_do(connection, ...)                                                                                      \
    do {                                                                                                               \
        tm_redis_reply *done_ = redis_say(connection, __VA_ARGS__, (const char *)NULL);                                \
        cr_assert_neq(tm_redis_reply_type(done_), TM_REDIS_ERROR, "%.*s", (int)tm_redis_reply_text(done_).length,      \
                      tm_redis_reply_text(done_).data);                                                                \
        tm_redis_reply_free(done_);                                                                                    \
    } while (0)

/* Whatever the store's user was refused, it would need: so nothing may be in the log of refusals. */
static inline void redis_server_expect_no_refusals(const redis_server *server)
{
    tm_error error = {0};
    tm_redis_connection *connection = redis_server_open(server->url);
    if (tm_redis_connect(connection, &error) == TM_OK) { /* else a test has shut us out */
        tm_redis_reply *refusals = redis_say(connection, "ACL", "LOG", (const char *)NULL);
        for (uint32_t i = 0; i < tm_redis_reply_count(refusals); i++) {
            char object[64] = "", user[64] = "";
            const tm_redis_reply *one = tm_redis_reply_at(refusals, i);
            for (uint32_t j = 0; j + 1 < tm_redis_reply_count(one); j += 2) {
                tm_slice name = tm_redis_reply_text(tm_redis_reply_at(one, j));
                tm_slice text = tm_redis_reply_text(tm_redis_reply_at(one, j + 1));
                if (tm_slice_equal_text(name, "object")) {
                    snprintf(object, sizeof(object), "%.*s", (int)text.length, text.data);
                } else if (tm_slice_equal_text(name, "username")) {
                    snprintf(user, sizeof(user), "%.*s", (int)text.length, text.data);
                }
            }
            cr_assert_str_neq(user, "tidemark", "Redis refused '%s': name it in adapters/redis/permissions.c", object);
        }
        tm_redis_reply_free(refusals);
    }
    tm_redis_connection_free(connection);
}

static inline void redis_server_stop(redis_server *server)
{
    redis_server_expect_no_refusals(server);
    redis_server_kill(server);
    rmdir(server->directory);
}

/* ---- The proxy ---- */

typedef enum proxy_mode {
    PROXY_PASS,
    PROXY_LOSE_REQUEST, /* on EXEC: closes without passing it on */
    PROXY_LOSE_ANSWER,  /* on EXEC: passes it on, waits for the answer, and closes without passing that on */
    PROXY_HOLD_REQUEST, /* on EXEC: closes, and keeps it for redis_proxy_deliver */
    PROXY_LOSE_ALL      /* closes at whatever comes */
} proxy_mode;

typedef struct redis_proxy {
    char socket[96];
    char url[160];
    const redis_server *server;
    int listener;
    int stop[2];
    pthread_t thread;
    _Atomic proxy_mode mode; /* back to PROXY_PASS once it acted */
    _Atomic int connections;
    char held[4096]; /* what PROXY_HOLD_REQUEST keeps, and the server's end it belongs to */
    size_t held_length;
    int held_upstream;
    void (*before_exec)(void *context); /* once, with EXEC held back; called in the proxy's thread */
    void *context;
} redis_proxy;

static inline int proxy_socket(const char *path, bool listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    const struct sockaddr *name = (const struct sockaddr *)&address;
    int failed = listening ? bind(fd, name, sizeof(address)) != 0 || listen(fd, 16) != 0
                           : connect(fd, name, sizeof(address)) != 0;
    if (failed) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline bool proxy_pass(int from, int to, char *bytes, size_t size, ssize_t *ret_length)
{
    *ret_length = recv(from, bytes, size, 0);
    return *ret_length > 0 && (to < 0 || send(to, bytes, (size_t)*ret_length, MSG_NOSIGNAL) == *ret_length);
}

static inline void *proxy_run(void *argument)
{
    redis_proxy *proxy = argument;
    static const char exec[] = "$4\r\nEXEC\r\n";
    int client = -1, upstream = -1;
    char *bytes = malloc(1 << 20);
    for (;;) {
        /* one client at a time, as a store has one connection */
        struct pollfd wanted[3] = {{.fd = proxy->stop[0], .events = POLLIN},
                                   {.fd = client >= 0 ? client : proxy->listener, .events = POLLIN},
                                   {.fd = upstream, .events = POLLIN}};
        bool open = true;
        ssize_t n = 0;
        if (poll(wanted, 3, -1) < 0 || wanted[0].revents != 0) {
            break;
        }
        if (client < 0) {
            client = accept(proxy->listener, NULL, NULL);
            upstream = proxy_socket(proxy->server->socket, false);
            open = upstream >= 0;
            proxy->connections++;
        } else if (wanted[1].revents != 0) {
            proxy_mode mode = proxy->mode;
            open = proxy_pass(client, -1, bytes, 1 << 20, &n);
            bool is_exec = open && memmem(bytes, (size_t)n, exec, sizeof(exec) - 1) != NULL;
            if (is_exec && proxy->before_exec != NULL) {
                void (*before)(void *) = proxy->before_exec;
                proxy->before_exec = NULL;
                before(proxy->context);
            }
            if (mode == PROXY_LOSE_ALL || (is_exec && mode == PROXY_LOSE_REQUEST)) {
                open = false;
                proxy->mode = PROXY_PASS;
            }
            if (is_exec && mode == PROXY_HOLD_REQUEST) {
                memcpy(proxy->held, bytes, (size_t)n);
                proxy->held_length = (size_t)n;
                proxy->held_upstream = upstream;
                upstream = -1;
                open = false;
                proxy->mode = PROXY_PASS; /* and with it, the rest is told to the test's thread */
            }
            open = open && send(upstream, bytes, (size_t)n, MSG_NOSIGNAL) == n;
            if (open && is_exec && mode == PROXY_LOSE_ANSWER) {
                proxy_pass(upstream, -1, bytes, 1 << 20, &n);
                proxy->mode = PROXY_PASS;
                open = false;
            }
        } else if (wanted[2].revents != 0) {
            open = proxy_pass(upstream, client, bytes, 1 << 20, &n);
        }
        if (!open) {
            close(client);
            if (upstream >= 0) {
                close(upstream);
            }
            client = upstream = -1;
        }
    }
    if (client >= 0) {
        close(client);
        close(upstream);
    }
    free(bytes);
    return NULL;
}

static inline void redis_proxy_start(redis_proxy *proxy, const redis_server *server)
{
    memset(proxy, 0, sizeof(*proxy));
    proxy->server = server;
    snprintf(proxy->socket, sizeof(proxy->socket), "%s/p", server->directory);
    snprintf(proxy->url, sizeof(proxy->url), "unix://tidemark:limited@%s", proxy->socket);
    proxy->listener = proxy_socket(proxy->socket, true);
    cr_assert_geq(proxy->listener, 0);
    cr_assert_eq(pipe(proxy->stop), 0);
    cr_assert_eq(pthread_create(&proxy->thread, NULL, proxy_run, proxy), 0);
}

/* Passes on what was held, and returns whether the answer begins with `answer`. */
static inline bool redis_proxy_deliver(redis_proxy *proxy, const char *answer)
{
    char bytes[256] = "";
    cr_assert_eq(proxy->mode, PROXY_PASS);
    cr_assert_eq(send(proxy->held_upstream, proxy->held, proxy->held_length, MSG_NOSIGNAL),
                 (ssize_t)proxy->held_length);
    cr_assert_gt(recv(proxy->held_upstream, bytes, sizeof(bytes) - 1, 0), 0);
    close(proxy->held_upstream);
    return strncmp(bytes, answer, strlen(answer)) == 0;
}

static inline void redis_proxy_stop(redis_proxy *proxy)
{
    cr_assert_eq(write(proxy->stop[1], "x", 1), 1);
    pthread_join(proxy->thread, NULL);
    close(proxy->stop[0]);
    close(proxy->stop[1]);
    close(proxy->listener);
    unlink(proxy->socket);
}

#endif
