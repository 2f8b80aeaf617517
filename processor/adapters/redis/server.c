#include "tidemark/adapters/redis/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 500, TRY_MS = 20, NAME_MAX_BYTES = 96 };

struct tm_redis_server {
    pid_t child;
    char folder[NAME_MAX_BYTES];
    char socket[NAME_MAX_BYTES + 16];
    char url[NAME_MAX_BYTES + 32];
};

static void become_server(const tm_redis_server *server)
{
    /* It must not outlive us, nor take our Ctrl-C, nor write on our screen. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--dir", server->folder,
           "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--daemonize", "no", (char *)NULL);
    _exit(127);
}

static bool answers(const tm_redis_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, server->socket, strlen(server->socket) + 1);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = descriptor >= 0 && connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return there;
}

tm_status tm_redis_server_start(tm_redis_server **ret_server, tm_error *error)
{
    tm_redis_server *server = calloc(1, sizeof *server);
    if (!server)
        return tm_fail(error, TM_FATAL, "no memory for a Redis server");
    snprintf(server->folder, sizeof server->folder, "/tmp/tidemark-demo-XXXXXX");
    if (!mkdtemp(server->folder)) {
        free(server);
        return tm_fail(error, TM_REJECT, "no folder can be made in /tmp");
    }
    snprintf(server->socket, sizeof server->socket, "%s/redis.sock", server->folder);
    snprintf(server->url, sizeof server->url, "unix://%s", server->socket);
    server->child = fork();
    if (server->child == 0)
        become_server(server);
    for (int i = 0; server->child > 0 && i < TRIES; i++) {
        int ended;
        if (answers(server)) {
            *ret_server = server;
            return TM_OK;
        }
        if (waitpid(server->child, &ended, WNOHANG) == server->child) {
            server->child = 0;
            break;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    tm_redis_server_stop(server);
    tm_fail(error, TM_REJECT, "redis-server cannot be started");
    tm_error_hint(error, "install it: apt-get install redis-server");
    return TM_REJECT;
}

const char *tm_redis_server_url(const tm_redis_server *server)
{
    return server->url;
}

void tm_redis_server_stop(tm_redis_server *server)
{
    if (!server)
        return;
    if (server->child > 0) {
        (void)kill(server->child, SIGTERM);
        (void)waitpid(server->child, NULL, 0);
    }
    (void)unlink(server->socket);
    (void)rmdir(server->folder);
    free(server);
}
