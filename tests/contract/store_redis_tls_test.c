#include "tidemark/adapters/redis/store.h"

#include <netinet/in.h>

#include "contract/store_contract.h"
#include "support/redis_server.h"

#ifdef TIDEMARK_REDIS_TLS

typedef struct tls_server {
    redis_server server;
    char url[64]; /* over TLS; server.url stays the Unix socket */
    char name[64];
    char certificate[96], key[96], settings[96];
} tls_server;

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* A server with a certificate of its own making, which is made out to 127.0.0.1 and to no name. */
static void tls_server_start(tls_server *tls)
{
    char command[512];
    redis_server_place(&tls->server);
    snprintf(tls->certificate, sizeof(tls->certificate), "%s/crt", tls->server.directory);
    snprintf(tls->key, sizeof(tls->key), "%s/key", tls->server.directory);
    snprintf(tls->settings, sizeof(tls->settings), "%s/conf", tls->server.directory);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test "
             "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
             tls->key, tls->certificate);
    cr_assert_eq(system(command), 0, "%s", command);
    int port = free_port();
    snprintf(tls->url, sizeof(tls->url), "rediss://127.0.0.1:%d", port);
    snprintf(tls->name, sizeof(tls->name), "rediss://localhost:%d", port);
    FILE *file = fopen(tls->settings, "w");
    cr_assert_not_null(file);
    fprintf(file, "bind 127.0.0.1\ntls-port %d\ntls-cert-file %s\ntls-key-file %s\ntls-auth-clients no\n", port,
            tls->certificate, tls->key);
    fclose(file);
    redis_server_launch(&tls->server, "--include", tls->settings);
}

static void tls_server_stop(tls_server *tls)
{
    unlink(tls->certificate);
    unlink(tls->key);
    unlink(tls->settings);
    redis_server_stop(&tls->server);
}

static tm_store open_tls_as(const char *url, const char *ca_file, const char *cert_file, const char *key_file)
{
    tm_error error = {0};
    tm_store store;
    tm_redis_store_options options = {.redis = {.url = url,
                                                .ca_file = ca_file,
                                                .cert_file = cert_file,
                                                .key_file = key_file,
                                                .command_timeout_ms = 3000},
                                      .group = "g"};
    cr_assert_eq(tm_redis_store_open(&options, &store, &error), TM_OK, "%s", error.what);
    return store;
}

static tm_store open_tls(const char *url, const char *ca_file)
{
    return open_tls_as(url, ca_file, NULL, NULL);
}

Test(store_redis_tls, a_server_may_ask_for_our_certificate)
{
    tls_server tls;
    tm_error error = {0};
    tls_server_start(&tls);
    tm_redis_connection *plain = redis_server_open(tls.server.url);
    redis_do(plain, "CONFIG", "SET", "tls-ca-cert-file", tls.certificate, "tls-auth-clients", "yes");
    /* the server's certificate signs itself, so it is its own CA and may stand for a client's as well */
    tm_store with = open_tls_as(tls.url, tls.certificate, tls.certificate, tls.key);
    cr_assert_eq(with.check(with.context, &error), TM_OK, "%s", error.what);
    with.close(with.context);
    tm_store without = open_tls(tls.url, tls.certificate);
    cr_assert_eq(without.check(without.context, &error), TM_RETRY);
    without.close(without.context);
    const struct {
        const char *certificate, *key;
    } unreadable[] = {{"/nowhere/crt", tls.key}, {tls.certificate, "/nowhere/key"}, {tls.certificate, tls.certificate}};
    for (size_t i = 0; i < 3; i++) {
        tm_store store = open_tls_as(tls.url, tls.certificate, unreadable[i].certificate, unreadable[i].key);
        cr_assert_eq(store.check(store.context, &error), TM_REJECT, "%zu: %s", i, error.what);
        cr_assert_not_null(strstr(error.what, i == 1 ? unreadable[i].key : unreadable[i].certificate), "%s",
                           error.what);
        store.close(store.context);
    }
    tm_redis_connection_free(plain);
    tls_server_stop(&tls);
}

Test(store_redis_tls, files_of_tls_need_a_tls_url_and_each_other)
{
    tm_error error = {0};
    tm_store store;
    const struct {
        tm_redis_options redis;
        const char *says;
    } cases[] = {{{.url = "redis://h", .ca_file = "x"}, "redis.ca_file"},
                 {{.url = "unix:///x", .cert_file = "x", .key_file = "y"}, "redis.cert_file"},
                 {{.url = "rediss://h", .cert_file = "x"}, "together"},
                 {{.url = "rediss://h", .key_file = "x"}, "together"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const tm_redis_store_options options = {.redis = cases[i].redis, .group = "g"};
        cr_assert_eq(tm_redis_store_open(&options, &store, &error), TM_REJECT);
        cr_assert_not_null(strstr(error.what, cases[i].says), "%s", error.what);
    }
}

Test(store_redis_tls, keeps_the_contract_over_tls)
{
    tls_server tls;
    tls_server_start(&tls);
    tm_store a = open_tls(tls.url, tls.certificate);
    tm_store b = open_tls(tls.url, tls.certificate);
    store_contract(&a, &b);
    a.close(a.context);
    b.close(b.context);
    tls_server_stop(&tls);
}

Test(store_redis_tls, a_certificate_has_to_be_trusted_and_made_out_to_the_host)
{
    tls_server tls;
    tm_error error = {0};
    tm_store_state state;
    tls_server_start(&tls);
    const struct {
        const char *url, *ca_file, *says;
        tm_status status;
    } cases[] = {
        {tls.url, NULL, "certificate verify failed", TM_RETRY},
        {tls.name, tls.certificate, "certificate verify failed", TM_RETRY},
        {tls.url, "/nowhere/crt", "/nowhere/crt", TM_REJECT},
        {tls.url, tls.key, tls.key, TM_REJECT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_store store = open_tls(cases[i].url, cases[i].ca_file);
        cr_assert_eq(store.check(store.context, &error), cases[i].status, "%zu: %s", i, error.what);
        cr_assert_not_null(strstr(error.what, cases[i].says), "%zu: %s", i, error.what);
        store.close(store.context);
    }
    /* no TLS where it is spoken */
    char plain[64];
    snprintf(plain, sizeof(plain), "redis://%s", tls.url + strlen("rediss://"));
    tm_store store = open_tls(plain, NULL);
    cr_assert_neq(store.read(store.context, 1, &state, &error), TM_OK);
    store.close(store.context);
    tls_server_stop(&tls);
}

Test(store_redis_tls, a_tls_server_that_goes_or_hangs_is_found_again)
{
    tls_server tls;
    sc_commit made;
    tm_error error = {0};
    tm_store_state state;
    tls_server_start(&tls);
    tm_store a = open_tls(tls.url, tls.certificate);
    tm_redis_connection *plain = redis_server_open(tls.server.url);
    int64_t epoch = sc_claim(&a, 1, 1);
    redis_do(plain, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    redis_server_kill(&tls.server);
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 2), &error), TM_RETRY);
    redis_server_launch(&tls.server, "--include", tls.settings);
    SC(a.read(a.context, 1, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    kill(tls.server.pid, SIGSTOP);
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "no answer in time"), "%s", error.what);
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY); /* in the handshake now */
    cr_assert_not_null(strstr(error.what, "TLS"), "%s", error.what);
    kill(tls.server.pid, SIGCONT);
    SC(a.read(a.context, 1, &state, SC_ERROR), TM_OK);
    a.close(a.context);
    tm_redis_connection_free(plain);
    tls_server_stop(&tls);
}

#else

Test(store_redis_tls, tls_is_refused_by_a_build_without)
{
    tm_error error = {0};
    tm_store store;
    const tm_redis_store_options options = {.redis = {.url = "rediss://127.0.0.1:1"}, .group = "g"};
    cr_assert_eq(tm_redis_store_open(&options, &store, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "this build cannot do"), "%s", error.what);
    const tm_redis_options files[] = {{.url = "redis://127.0.0.1:1", .ca_file = "x"},
                                      {.url = "redis://127.0.0.1:1", .cert_file = "x"},
                                      {.url = "redis://127.0.0.1:1", .key_file = "x"}};
    static const char *const keys[] = {"redis.ca_file", "redis.cert_file", "redis.key_file"};
    for (size_t i = 0; i < 3; i++) {
        const tm_redis_store_options with = {.redis = files[i], .group = "g"};
        cr_assert_eq(tm_redis_store_open(&with, &store, &error), TM_REJECT);
        cr_assert_not_null(strstr(error.what, keys[i]), "%s", error.what);
        cr_assert_not_null(strstr(error.what, "this build cannot do"), "%s", error.what);
    }
    cr_assert_not_null(strstr(tm_redis_build(), "without TLS"));
}

#endif
