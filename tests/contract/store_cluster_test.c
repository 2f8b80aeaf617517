/* The store on a cluster of three nodes, and behind sentinels and nodes that answer anything at all. */
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "contract/store_contract.h"
#include "support/redis_server.h"

/* ---- A cluster ---- */

enum { NODES = 3, SLOTS = 16384 };

typedef struct cluster {
    redis_server server[NODES];
    tm_redis_connection *plain[NODES]; /* to each, over its socket */
    char id[NODES][48];
    int port[NODES], bus[NODES];
    char url[160]; /* redis+cluster:// with all of them */
} cluster;

/* A port that was free a moment ago, below those that the system gives to anybody's outgoing connections. */
static int free_port(int *ret_socket)
{
    static unsigned chance = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    chance = chance != 0 ? chance : (unsigned)getpid();
    *ret_socket = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(*ret_socket, 0);
    do {
        address.sin_port = htons((uint16_t)(10000 + rand_r(&chance) % 22000));
    } while (bind(*ret_socket, (const struct sockaddr *)&address, sizeof(address)) != 0);
    return ntohs(address.sin_port);
}

static void number(char *text, size_t size, int value)
{
    snprintf(text, size, "%d", value);
}

static bool says(tm_redis_connection *connection, const char *text)
{
    tm_redis_reply *reply = redis_say(connection, "CLUSTER", "INFO", (const char *)NULL);
    tm_slice info = tm_redis_reply_text(reply);
    bool found = memmem(info.data, info.length, text, strlen(text)) != NULL;
    tm_redis_reply_free(reply);
    return found;
}

static void cluster_start(cluster *c)
{
    int sockets[2 * NODES];
    for (int i = 0; i < NODES; i++) {
        c->port[i] = free_port(&sockets[2 * i]);
        c->bus[i] = free_port(&sockets[2 * i + 1]);
    }
    for (int i = 0; i < 2 * NODES; i++) {
        close(sockets[i]);
    }
    for (int i = 0; i < NODES; i++) {
        char settings[128], first[16], last[16], epoch[16];
        redis_server_place(&c->server[i]);
        snprintf(settings, sizeof(settings), "%s/conf", c->server[i].directory);
        FILE *file = fopen(settings, "w");
        cr_assert_not_null(file);
        fprintf(file, "bind 127.0.0.1\nport %d\ncluster-enabled yes\ncluster-port %d\ncluster-node-timeout 5000\n",
                c->port[i], c->bus[i]);
        fclose(file);
        redis_server_launch(&c->server[i], "--include", settings);
        c->plain[i] = redis_server_open(c->server[i].url);
        tm_redis_reply *id = redis_say(c->plain[i], "CLUSTER", "MYID", (const char *)NULL);
        snprintf(c->id[i], sizeof(c->id[i]), "%.*s", (int)tm_redis_reply_text(id).length, tm_redis_reply_text(id).data);
        tm_redis_reply_free(id);
        number(first, sizeof(first), SLOTS * i / NODES);
        number(last, sizeof(last), SLOTS * (i + 1) / NODES - 1);
        number(epoch, sizeof(epoch), i + 1);
        redis_do(c->plain[i], "CLUSTER", "SET-CONFIG-EPOCH", epoch);
        redis_do(c->plain[i], "CLUSTER", "ADDSLOTSRANGE", first, last);
    }
    for (int i = 1; i < NODES; i++) {
        char port[16], bus[16];
        number(port, sizeof(port), c->port[0]);
        number(bus, sizeof(bus), c->bus[0]);
        redis_do(c->plain[i], "CLUSTER", "MEET", "127.0.0.1", port, bus);
    }
    for (int i = 0; i < NODES; i++) {
        while (!says(c->plain[i], "cluster_state:ok") || !says(c->plain[i], "cluster_known_nodes:3")) {
            poll(NULL, 0, 5);
        }
    }
    snprintf(c->url, sizeof(c->url), "redis+cluster://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", c->port[0], c->port[1],
             c->port[2]);
}

static void cluster_stop(cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        char path[128];
        tm_redis_connection_free(c->plain[i]);
        static const char *const files[] = {"conf", "nodes.conf"};
        for (size_t k = 0; k < 2; k++) {
            snprintf(path, sizeof(path), "%s/%s", c->server[i].directory, files[k]);
            unlink(path);
        }
        redis_server_stop(&c->server[i]);
    }
}

static tm_store open_store(const char *url)
{
    tm_error error = {0};
    tm_store store;
    tm_redis_store_options options = {
        .redis = {.url = url, .connect_timeout_ms = 10000, .command_timeout_ms = 10000}, .group = "g", .buckets = 4};
    cr_assert_eq(tm_redis_store_open(&options, &store, &error), TM_OK, "%s", error.what);
    return store;
}

/* The slot of a shard, where it is by ADDSLOTSRANGE above, and the shard's keys there. */
static int place_of(int partition, char *slot, size_t size)
{
    char key[32];
    snprintf(key, sizeof(key), "{g/%d}", partition);
    uint32_t value = tm_redis_slot(tm_slice_of(key));
    snprintf(slot, size, "%u", (unsigned)value);
    for (int i = 0; i < NODES; i++) {
        if (value < (uint32_t)(SLOTS * (i + 1) / NODES)) {
            return i;
        }
    }
    return -1;
}

/* Takes all keys of the slot from one node to another. */
static void carry(const cluster *c, const char *slot, int from, int to)
{
    char port[16];
    number(port, sizeof(port), c->port[to]);
    for (;;) {
        tm_redis_reply *keys = redis_say(c->plain[from], "CLUSTER", "GETKEYSINSLOT", slot, "1", (const char *)NULL);
        if (tm_redis_reply_count(keys) == 0) {
            tm_redis_reply_free(keys);
            return;
        }
        char key[64];
        tm_slice name = tm_redis_reply_text(tm_redis_reply_at(keys, 0));
        snprintf(key, sizeof(key), "%.*s", (int)name.length, name.data);
        redis_do(c->plain[from], "MIGRATE", "127.0.0.1", port, key, "0", "5000");
        tm_redis_reply_free(keys);
    }
}

Test(store_cluster, keeps_the_contract)
{
    cluster c;
    char url[64];
    cluster_start(&c);
    tm_store a = open_store(c.url);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", c.port[1]); /* one node leads to the others */
    tm_store b = open_store(url);
    store_contract(&a, &b);
    a.close(a.context);
    b.close(b.context);
    cluster_stop(&c);
}

Test(store_cluster, a_slot_that_moves)
{
    cluster c;
    sc_commit made;
    tm_error error = {0};
    tm_store_state state;
    tm_slice blob;
    char slot[16];
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("blob")}};
    cluster_start(&c);
    tm_store a = open_store(c.url);
    tm_store b = open_store(c.url);
    int from = place_of(1, slot, sizeof(slot));
    int to = (from + 1) % NODES;
    int64_t epoch = sc_claim(&a, 1, 1);
    const tm_slice outputs[] = {sc_text("output")};
    tm_store_commit *commit = sc_next(&made, 1, epoch, 1);
    commit->writes = writes;
    commit->write_count = 1;
    commit->outbox = outputs;
    commit->outbox_count = 1;
    commit->fingerprints = sc_text("prints");
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    redis_do(c.plain[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id[from]);
    redis_do(c.plain[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id[to]);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK); /* all is still there */
    carry(&c, slot, from, to);
    /* nowhere, as long as the slot is not given over */
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 3), &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "ASK"), "%s", error.what);
    cr_assert_not_null(strstr(error.hint, "moved to another node"), "%s", error.hint);
    cr_assert_eq(b.claim(b.context, 1, 1, 1, &state, &error), TM_RETRY);
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY);
    cr_assert_eq(a.get_account(a.context, 1, sc_text("acme"), &blob, &error), TM_RETRY);
    cr_assert_eq(a.remove(a.context, 1, &error), TM_RETRY);
    /* forgotten there: the owner has nothing, and says so without a redirection */
    redis_do(c.plain[from], "CLUSTER", "SETSLOT", slot, "STABLE");
    cr_assert_eq(b.claim(b.context, 1, 1, 1, &state, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "has keys of slot"), "%s", error.what);
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 3), &error), TM_REJECT);
    redis_do(c.plain[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id[to]);
    /* given over: followed at once, by who knew it otherwise, in every call */
    redis_do(c.plain[to], "CLUSTER", "SETSLOT", slot, "NODE", c.id[to]);
    redis_do(c.plain[from], "CLUSTER", "SETSLOT", slot, "NODE", c.id[to]);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 3), SC_ERROR), TM_OK);
    cr_assert_eq(sc_count_accounts(&b, 1), 1);
    SC(b.get_account(b.context, 1, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "blob"));
    SC(b.claim(b.context, 1, 1, 1, &state, SC_ERROR), TM_OK);
    cr_assert_eq(state.epoch, epoch + 1);
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 4), &error), TM_REJECT, "it is another's");
    a.close(a.context);
    b.close(b.context);
    cluster_stop(&c);
}

Test(store_cluster, accounts_that_are_elsewhere_are_not_written_again)
{
    cluster c;
    sc_commit made;
    tm_error error = {0};
    tm_store_state state;
    char slot[16], port[16], key[32];
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("blob")}};
    const tm_store_write removal[] = {{sc_text("acme"), {NULL, 0}}};
    cluster_start(&c);
    tm_store a = open_store(c.url);
    int from = place_of(1, slot, sizeof(slot));
    int to = (from + 1) % NODES;
    int64_t epoch = sc_claim(&a, 1, 1);
    tm_store_commit *commit = sc_next(&made, 1, epoch, 1);
    commit->writes = writes;
    commit->write_count = 1;
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    tm_redis_reply *keys = redis_say(c.plain[from], "KEYS", "tm:{g/1}:a:*", (const char *)NULL);
    cr_assert_eq(tm_redis_reply_count(keys), 1);
    tm_slice name = tm_redis_reply_text(tm_redis_reply_at(keys, 0));
    snprintf(key, sizeof(key), "%.*s", (int)name.length, name.data);
    tm_redis_reply_free(keys);
    redis_do(c.plain[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id[from]);
    number(port, sizeof(port), c.port[to]);
    redis_do(c.plain[from], "MIGRATE", "127.0.0.1", port, key, "0", "5000");
    commit = sc_next(&made, 1, epoch, 2);
    commit->writes = writes;
    commit->write_count = 1;
    cr_assert_eq(a.commit(a.context, commit, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "written before"), "%s", error.what);
    cr_assert_eq(sc_stored_commit(&a, 1), 1);
    tm_store b = open_store(c.url);
    cr_assert_eq(b.claim(b.context, 1, 1, 1, &state, &error), TM_RETRY);
    number(port, sizeof(port), c.port[from]);
    redis_do(c.plain[to], "MIGRATE", "127.0.0.1", port, key, "0", "5000");
    redis_do(c.plain[to], "CLUSTER", "SETSLOT", slot, "STABLE");
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    /* the last account of a bucket takes its key along: that is no loss */
    commit = sc_next(&made, 1, epoch, 3);
    commit->writes = removal;
    commit->write_count = 1;
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    commit = sc_next(&made, 1, epoch, 4);
    commit->writes = writes;
    commit->write_count = 1;
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    a.close(a.context);
    b.close(b.context);
    cluster_stop(&c);
}

Test(store_cluster, what_is_left_of_a_shard_without_meta_is_removed)
{
    redis_server server;
    sc_commit made;
    redis_server_start(&server, NULL, NULL);
    tm_redis_connection *plain = redis_server_open(server.url);
    tm_store a = open_store(server.url);
    redis_do(plain, "HSET", "tm:{g/1}:a:0", "old", "blob");
    redis_do(plain, "XADD", "tm:{g/1}:out", "99-1", "b", "output");
    redis_do(plain, "XADD", "tm:{g/1}:dup", "99-1", "b", "prints");
    int64_t epoch = sc_claim(&a, 1, 1);
    const tm_slice outputs[] = {sc_text("output")};
    tm_store_commit *commit = sc_next(&made, 1, epoch, 1);
    commit->outbox = outputs;
    commit->outbox_count = 1;
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    cr_assert_eq(sc_count_accounts(&a, 1), 0);
    tm_redis_reply *left = redis_say(plain, "EXISTS", "tm:{g/1}:dup", "tm:{g/1}:a:0", (const char *)NULL);
    cr_assert_eq(tm_redis_reply_integer(left), 0);
    tm_redis_reply_free(left);
    tm_redis_connection_free(plain);
    a.close(a.context);
    redis_server_stop(&server);
}

/* ---- Whoever is asked the way answers anything ---- */

enum { PEERS = 64 };

typedef struct guide {
    pthread_t thread;
    int listener, port;
    int stop[2];
    const char *answer;      /* to the question, whatever it is; a greeting is answered well */
    const char *(*words)[2]; /* or, where these are given: to each word in what was sent, in its order */
} guide;

/* Answers each command by the first word of the list that it holds. */
static void answer_words(const guide *g, int peer, const char *bytes, size_t length)
{
    const char *at = bytes;
    const char *end = bytes + length;
    while (at < end) {
        const char *first = NULL;
        size_t which = 0;
        for (size_t i = 0; g->words[i][0] != NULL; i++) {
            const char *found = memmem(at, (size_t)(end - at), g->words[i][0], strlen(g->words[i][0]));
            if (found != NULL && (first == NULL || found < first)) {
                first = found;
                which = i;
            }
        }
        if (first == NULL) {
            return;
        }
        send(peer, g->words[which][1], strlen(g->words[which][1]), MSG_NOSIGNAL);
        at = first + strlen(g->words[which][0]);
    }
}

static void *guide_run(void *argument)
{
    guide *g = argument;
    struct pollfd wanted[PEERS] = {{.fd = g->stop[0], .events = POLLIN}, {.fd = g->listener, .events = POLLIN}};
    nfds_t count = 2;
    while (poll(wanted, count, -1) > 0 && wanted[0].revents == 0) {
        if (wanted[1].revents != 0 && count < PEERS) {
            wanted[count++] = (struct pollfd){.fd = accept(g->listener, NULL, NULL), .events = POLLIN};
        }
        for (nfds_t i = 2; i < count; i++) {
            char bytes[1024];
            ssize_t n = wanted[i].revents != 0 ? recv(wanted[i].fd, bytes, sizeof(bytes), 0) : -1;
            if (n > 0 && g->words != NULL) {
                answer_words(g, wanted[i].fd, bytes, (size_t)n);
            } else if (n > 0) {
                const char *answer = memmem(bytes, (size_t)n, "PING", 4) != NULL ? "+PONG\r\n" : g->answer;
                send(wanted[i].fd, answer, strlen(answer), MSG_NOSIGNAL);
            } else if (wanted[i].revents != 0) {
                close(wanted[i].fd);
                wanted[i--] = wanted[--count];
            }
        }
    }
    for (nfds_t i = 2; i < count; i++) {
        close(wanted[i].fd);
    }
    return NULL;
}

static void guide_start(guide *g)
{
    cr_assert_eq(pipe(g->stop), 0);
    g->port = free_port(&g->listener);
    cr_assert_eq(listen(g->listener, 16), 0);
    cr_assert_eq(pthread_create(&g->thread, NULL, guide_run, g), 0);
}

static void guide_stop(guide *g)
{
    cr_assert_eq(write(g->stop[1], "x", 1), 1);
    pthread_join(g->thread, NULL);
    close(g->stop[0]);
    close(g->stop[1]);
    close(g->listener);
}

Test(store_cluster, a_map_that_is_none)
{
    static const char *const answers[] = {
        "+OK\r\n",
        "*0\r\n",
        "$-1\r\n",
        "-ERR This instance has cluster support disabled\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "*1\r\n+x\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*0\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n$1\r\n0\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:65536\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n:5\r\n",
        /* a map, but nobody has the slot */
        "*1\r\n*3\r\n:0\r\n:0\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n",
        /* a map, and nobody is there: port 1 of the server asked */
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        guide g = {.answer = answers[i]};
        char url[64];
        tm_store_state state;
        tm_error error = {0};
        guide_start(&g);
        snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%d", g.port);
        tm_store a = open_store(url);
        cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY, "%zu: %s", i, error.what);
        cr_assert_neq(error.what[0], '\0');
        cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY, "%zu: %s", i, error.what);
        cr_assert_eq(a.check(a.context, &error), TM_RETRY, "%zu: %s", i, error.what);
        a.close(a.context);
        guide_stop(&g);
    }
}

Test(store_cluster, a_node_that_sends_us_in_circles)
{
    /* the map says that all slots are its own, and whatever is asked then is elsewhere: with itself */
    guide g = {.answer = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:1\r\n"};
    static const char *const moved[] = {"-MOVED 1 127.0.0.1:%d\r\n",
                                        "-MOVED x\r\n",
                                        "-MOVED\r\n",
                                        "-MOVED 1 :%d\r\n",
                                        "-MOVED 99999 127.0.0.1:%d\r\n",
                                        "-MOVED 1 127.0.0.1:99999\r\n"};
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        char url[64], answer[64];
        tm_store_state state;
        tm_error error = {0};
        guide_start(&g);
        const char *place = strstr(moved[i], "%d");
        snprintf(answer, sizeof(answer), "%.*s%.*d%s", place != NULL ? (int)(place - moved[i]) : (int)strlen(moved[i]),
                 moved[i], place != NULL ? 1 : 0, place != NULL ? g.port : 0, place != NULL ? place + 2 : "");
        g.answer = answer;
        snprintf(url, sizeof(url), "redis://127.0.0.1:%d", g.port);
        tm_store a = open_store(url);
        cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY, "%s: %s", answer, error.what);
        cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY, "%s: %s", answer, error.what);
        a.close(a.context);
        guide_stop(&g);
    }
}

Test(store_cluster, who_else_is_asked_before_nothing_is_believed)
{
    static const struct {
        const char *line; /* of CLUSTER NODES, about another node */
        tm_status status;
        const char *says;
    } cases[] = {
        {"", TM_OK, NULL},
        {"b 127.0.0.1:1@2 master - 0 0 1 connected\n", TM_RETRY, "redis://127.0.0.1:1/0: connecting"},
        {"b 127.0.0.1:1@2,a.name master - 0 0 1 connected\n", TM_RETRY, "redis://127.0.0.1:1/0: connecting"},
        {"b 127.0.0.1:1@2 master,fail? - 0 0 1 connected\n", TM_RETRY, "redis://127.0.0.1:1/0: connecting"},
        {"b 127.0.0.1:1 master - 0 0 1 connected", TM_RETRY, "redis://127.0.0.1:1/0: connecting"},
        {"b ::1:1@2 master - 0 0 1 connected\n", TM_RETRY, "redis://[::1]:1/0: connecting"},
        {"b 127.0.0.1:1@2 slave a 0 0 1 connected\n", TM_OK, NULL},
        {"b 127.0.0.1:1@2 master,fail - 0 0 1 connected\n", TM_OK, NULL},
        {"b :0@0 master,noaddr - 0 0 1 connected\n", TM_OK, NULL},
        {"b 127.0.0.1:99999@2 master - 0 0 1 connected\n", TM_OK, NULL},
        {"b\n\nb 127.0.0.1:1\n b\n", TM_OK, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[64], text[512], nodes[600], slots[128];
        tm_store_state state;
        tm_error error = {0};
        const char *words[][2] = {{"PING", "+PONG\r\n"},
                                  {"SLOTS", slots},
                                  {"NODES", nodes},
                                  {"WATCH", "+OK\r\n"},
                                  {"HMGET", "*5\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"},
                                  {"MULTI", "+OK\r\n"},
                                  {"HSET", "+QUEUED\r\n"},
                                  {"EXEC", "*1\r\n:3\r\n"},
                                  {NULL, NULL}};
        guide g = {.words = words};
        guide_start(&g);
        snprintf(slots, sizeof(slots), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n", g.port);
        int length = snprintf(text, sizeof(text), "a 127.0.0.1:%d@1 myself,master - 0 0 1 connected 0-16383\n%s",
                              g.port, cases[i].line);
        snprintf(nodes, sizeof(nodes), "$%d\r\n%s\r\n", length, text);
        snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%d", g.port);
        tm_store a = open_store(url);
        cr_assert_eq(a.claim(a.context, 1, 1, 1, &state, &error), cases[i].status, "%zu: %s", i, error.what);
        cr_assert(cases[i].says == NULL || strstr(error.what, cases[i].says) != NULL, "%zu: %s", i, error.what);
        /* a list that the node is not on is none */
        snprintf(nodes, sizeof(nodes), "$1\r\n\n\r\n");
        cr_assert_eq(a.claim(a.context, 2, 1, 1, &state, &error), TM_RETRY, "%zu", i);
        snprintf(nodes, sizeof(nodes), "*0\r\n");
        cr_assert_eq(a.claim(a.context, 2, 1, 1, &state, &error), TM_RETRY, "%zu", i);
        a.close(a.context);
        guide_stop(&g);
    }
}

Test(store_cluster, a_sentinel_that_knows_nothing)
{
    static const struct {
        const char *answer, *says;
    } cases[] = {
        {"*-1\r\n", "knows no master 'main'"},
        {"$-1\r\n", "knows no master 'main'"},
        {"-ERR unknown command 'SENTINEL'\r\n", "unknown command"},
        {"-NOAUTH Authentication required.\r\n", "NOAUTH"},
        {"+OK\r\n", "names no host and port"},
        {"*0\r\n", "names no host and port"},
        {"*2\r\n$1\r\na\r\n:1\r\n", "names no host and port"},
        {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", "names no host and port"},
        {"*2\r\n$1\r\na\r\n$1\r\n0\r\n", "names no host and port"},
        {"*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "names no host and port"},
        {"*2\r\n$1\r\na\r\n$2\r\n1x\r\n", "names no host and port"},
        {"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n", "Redis at redis://127.0.0.1:1/2: connecting"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        guide g = {.answer = cases[i].answer};
        char url[64];
        tm_error error = {0};
        guide_start(&g);
        snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%d/main/2", g.port);
        tm_store a = open_store(url);
        for (int again = 0; again < 2; again++) {
            cr_assert_eq(a.check(a.context, &error), TM_RETRY, "%zu: %s", i, error.what);
            cr_assert_not_null(strstr(error.what, cases[i].says), "%zu: %s", i, error.what);
        }
        a.close(a.context);
        guide_stop(&g);
    }
}

Test(store_cluster, a_master_that_is_none_any_more)
{
    redis_server server;
    tm_error error = {0};
    char settings[128], url[160], answer[64];
    int unused;
    guide g = {.answer = answer};
    redis_server_place(&server);
    int port = free_port(&unused);
    close(unused);
    snprintf(settings, sizeof(settings), "%s/conf", server.directory);
    FILE *file = fopen(settings, "w");
    cr_assert_not_null(file);
    fprintf(file, "bind 127.0.0.1\nport %d\n", port);
    fclose(file);
    redis_server_launch(&server, "--include", settings);
    snprintf(answer, sizeof(answer), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n", snprintf(NULL, 0, "%d", port), port);
    guide_start(&g);
    /* the first of the sentinels is not there: the second is asked, and from then on first */
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:1,127.0.0.1:%d/main", g.port);
    tm_store a = open_store(url);
    tm_redis_connection *plain = redis_server_open(server.url);
    SC(a.check(a.context, SC_ERROR), TM_OK);
    sc_commit made;
    int64_t epoch = sc_claim(&a, 1, 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    redis_do(plain, "REPLICAOF", "127.0.0.1", "1");
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 2), &error), TM_RETRY);
    /* dropped: asked again, and the sentinel still names it, but it says itself what it is */
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 2), &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "is no master, although"), "%s", error.what);
    redis_do(plain, "REPLICAOF", "NO", "ONE");
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK);
    tm_redis_connection_free(plain);
    a.close(a.context);
    guide_stop(&g);
    unlink(settings);
    redis_server_stop(&server);
}
