/* Any bytes as what a Redis server answers, over a real socket, for every call of the store port: no crash, no leak,
   and one of the statuses that the port allows. The first byte chooses the call. A store is opened for each input, so
   that an answer can also come where a connection is made. The fast build has sockets in memory instead. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef TIDEMARK_FUZZ_FAST
#include "fast/sockets.h"
#endif
#include "tidemark/adapters/redis/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 1 << 16 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

#ifdef TIDEMARK_FUZZ_FAST
static const char *start_server(void)
{
    return "unix:///memory";
}

static void answer_with(const uint8_t *bytes, size_t size)
{
    memory_sockets_say(bytes, size);
}

static void check_closed(void)
{
    check(memory_sockets_count() == 0);
}
#else
static struct {
    pthread_mutex_t lock;
    char answer[ANSWER_MAX];
    size_t length;
    int listener;
    char url[128], path[64];
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Says the answer at once, whatever is asked, and takes no notice of the questions. */
static void *serve(void *unused)
{
    static char answer[ANSWER_MAX], ignored[4096];
    for (;;) {
        int peer = accept(server.listener, NULL, NULL);
        if (peer < 0)
            continue;
        check(pthread_mutex_lock(&server.lock) == 0);
        size_t length = server.length;
        memcpy(answer, server.answer, length);
        check(pthread_mutex_unlock(&server.lock) == 0);
        for (size_t sent = 0; sent < length;) {
            ssize_t n = send(peer, answer + sent, length - sent, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            sent += (size_t)n;
        }
        (void)shutdown(peer, SHUT_WR);
        while (read(peer, ignored, sizeof ignored) > 0) {
        }
        (void)close(peer);
    }
    return unused;
}

static void remove_socket(void)
{
    (void)unlink(server.path);
}

static const char *start_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    (void)snprintf(server.path, sizeof server.path, "/tmp/redisreply_fuzz.%ld", (long)getpid());
    (void)snprintf(server.url, sizeof server.url, "unix://%s", server.path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", server.path);
    (void)unlink(server.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    check(server.listener >= 0);
    check(bind(server.listener, (const struct sockaddr *)&address, sizeof address) == 0);
    check(listen(server.listener, 64) == 0 && atexit(remove_socket) == 0);
    check(pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0);
    return server.url;
}

static void answer_with(const uint8_t *bytes, size_t size)
{
    check(pthread_mutex_lock(&server.lock) == 0);
    server.length = size;
    memcpy(server.answer, bytes, size);
    check(pthread_mutex_unlock(&server.lock) == 0);
}

static void check_closed(void) {}
#endif

static tm_status look(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    uint64_t *sum = context;
    *sum += (uint64_t)commit + key.length + bytes.length;
    for (size_t i = 0; i < bytes.length; i++)
        *sum += (unsigned char)bytes.data[i];
    return TM_OK;
}

static tm_status call(const tm_store *store, uint8_t which)
{
    static const tm_slice blob = TM_SLICE_LITERAL("blob");
    static const tm_store_write writes[] = {{TM_SLICE_LITERAL("acme"), TM_SLICE_LITERAL("state")},
                                            {TM_SLICE_LITERAL("gone"), {NULL, 0}}};
    tm_store_state state;
    tm_slice found;
    tm_error error;
    uint64_t sum = 0;
    int64_t value;
    tm_store_commit commit = {.partition = 1,
                              .epoch = 2,
                              .expected = {{10, 20}, 7},
                              .position = {{11, 20}, 8},
                              .meta = TM_SLICE_LITERAL("meta"),
                              .writes = writes,
                              .write_count = 2,
                              .fingerprints = TM_SLICE_LITERAL("fp"),
                              .fingerprints_from = 3,
                              .outbox = &blob,
                              .outbox_count = 1,
                              .outbox_published = 6};
    switch (which % 10) {
    case 0:
        return store->claim(store->context, 1, 5, &state, &error);
    case 1:
        return store->read(store->context, 1, &state, &error);
    case 2: {
        tm_status status = store->commit(store->context, &commit, &error);
        return status == TM_RETRY ? store->read(store->context, 1, &state, &error) : status;
    }
    case 3:
        return store->scan_accounts(store->context, 1, look, &sum, &error);
    case 4:
        return store->scan_fingerprints(store->context, 1, look, &sum, &error);
    case 5:
        return store->scan_outbox(store->context, 1, 3, look, &sum, &error);
    case 6:
        return store->get_account(store->context, 1, TM_SLICE_LITERAL("acme"), &found, &error);
    case 7:
        return store->remove(store->context, 1, &error);
    case 8:
        return store->settle_group(store->context, "counting_start", 5, &value, &error);
    default:
        return store->check(store->context, &error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *url;
    if (!url)
        url = start_server();
    if (size == 0 || size > ANSWER_MAX)
        return 0;
    answer_with(data + 1, size - 1);
    tm_redis_store_options options = {.redis = {.url = url}, .group = "g", .buckets = 4};
    tm_store store;
    tm_error error;
    check(tm_redis_store_open(&options, &store, &error) == TM_OK);
    tm_status status = call(&store, data[0]);
    check(status == TM_OK || status == TM_RETRY || status == TM_REJECT || status == TM_FATAL);
    store.close(store.context);
    check_closed();
    return 0;
}
