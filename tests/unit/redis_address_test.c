#include "tidemark/adapters/redis/address.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

Test(redis_address, is_taken_apart)
{
    static const struct {
        const char *url, *host, *user, *password, *name;
        int port, database;
        bool unix_socket, tls;
    } cases[] = {
        {"redis://", "127.0.0.1", NULL, NULL, "redis://127.0.0.1:6379/0", 6379, 0, false, false},
        {"redis://h", "h", NULL, NULL, "redis://h:6379/0", 6379, 0, false, false},
        {"redis://h:1", "h", NULL, NULL, "redis://h:1/0", 1, 0, false, false},
        {"redis://h:65535/15", "h", NULL, NULL, "redis://h:65535/15", 65535, 15, false, false},
        {"redis://h/", "h", NULL, NULL, "redis://h:6379/0", 6379, 0, false, false},
        {"redis://h/?db=3", "h", NULL, NULL, "redis://h:6379/3", 6379, 3, false, false},
        {"redis://:p@h", "h", NULL, "p", "redis://h:6379/0", 6379, 0, false, false},
        {"redis://u:p@h", "h", "u", "p", "redis://h:6379/0", 6379, 0, false, false},
        {"redis://u:p@q@h", "h", "u", "p@q", "redis://h:6379/0", 6379, 0, false, false},
        {"redis://u:p:q@h", "h", "u", "p:q", "redis://h:6379/0", 6379, 0, false, false},
        {"redis://u%3A:p%2f%40%25@h", "h", "u:", "p/@%", "redis://h:6379/0", 6379, 0, false, false},
        {"redis://[::1]:7/2", "::1", NULL, NULL, "redis://[::1]:7/2", 7, 2, false, false},
        {"redis://u:p@[fe80::1]", "fe80::1", "u", "p", "redis://[fe80::1]:6379/0", 6379, 0, false, false},
        {"rediss://h", "h", NULL, NULL, "rediss://h:6379/0", 6379, 0, false, true},
        {"unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, "unix:///run/redis.sock?db=0", 0, 0, true, false},
        {"unix://u:p@/run/r?db=4", "/run/r", "u", "p", "unix:///run/r?db=4", 0, 4, true, false},
        {"unix:///run/a@b", "/run/a@b", NULL, NULL, "unix:///run/a@b?db=0", 0, 0, true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_redis_address address;
        tm_error error = {0};
        cr_assert_eq(tm_redis_address_parse(cases[i].url, &address, &error), TM_OK, "%s: %s", cases[i].url, error.what);
        cr_assert(same(address.host, cases[i].host), "%s: host %s", cases[i].url, address.host);
        cr_assert(same(address.user, cases[i].user), "%s", cases[i].url);
        cr_assert(same(address.password, cases[i].password), "%s", cases[i].url);
        cr_assert(same(address.name, cases[i].name), "%s: %s", cases[i].url, address.name);
        cr_assert_eq(address.port, cases[i].port, "%s", cases[i].url);
        cr_assert_eq(address.database, cases[i].database, "%s", cases[i].url);
        cr_assert_eq(address.unix_socket, cases[i].unix_socket);
        cr_assert_eq(address.tls, cases[i].tls);
        tm_redis_address_done(&address);
        tm_redis_address_done(&address);
    }
}

Test(redis_address, of_sentinels_and_clusters)
{
    static const struct {
        const char *url, *name, *hosts[3], *user, *password, *master, *sentinel_user, *sentinel_password;
        int ports[3], database;
        tm_redis_kind kind;
        bool tls;
    } cases[] = {
        {.url = "redis+sentinel://a,b:2,[::1]:3/main",
         .name = "redis+sentinel://a:26379,b:2,[::1]:3/main/0",
         .hosts = {"a", "b", "::1"},
         .ports = {26379, 2, 3},
         .master = "main",
         .kind = TM_REDIS_SENTINEL},
        {.url = "rediss+sentinel://u:p@a/m%2Fn/7?sentinel_user=v&sentinel_password=q%40@x",
         .name = "rediss+sentinel://a:26379/m/n/7",
         .hosts = {"a"},
         .ports = {26379},
         .user = "u",
         .password = "p",
         .master = "m/n",
         .sentinel_user = "v",
         .sentinel_password = "q@@x",
         .database = 7,
         .kind = TM_REDIS_SENTINEL,
         .tls = true},
        {.url = "redis+sentinel://a/m?sentinel_password=q&db=3",
         .name = "redis+sentinel://a:26379/m/3",
         .hosts = {"a"},
         .ports = {26379},
         .master = "m",
         .sentinel_password = "q",
         .database = 3,
         .kind = TM_REDIS_SENTINEL},
        {.url = "redis+cluster://:p@a:1,b",
         .name = "redis+cluster://a:1,b:6379",
         .hosts = {"a", "b"},
         .ports = {1, 6379},
         .password = "p",
         .kind = TM_REDIS_CLUSTER},
        {.url = "rediss+cluster://a/0",
         .name = "rediss+cluster://a:6379",
         .hosts = {"a"},
         .ports = {6379},
         .kind = TM_REDIS_CLUSTER,
         .tls = true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_redis_address address;
        tm_error error = {0};
        cr_assert_eq(tm_redis_address_parse(cases[i].url, &address, &error), TM_OK, "%s: %s", cases[i].url, error.what);
        cr_assert_eq(address.kind, cases[i].kind, "%s", cases[i].url);
        cr_assert_null(address.host);
        cr_assert(same(address.name, cases[i].name), "%s: %s", cases[i].url, address.name);
        for (uint32_t k = 0; k < 3; k++) {
            cr_assert_eq(k < address.host_count, cases[i].hosts[k] != NULL, "%s", cases[i].url);
            if (k < address.host_count) {
                cr_assert(same(address.hosts[k].host, cases[i].hosts[k]), "%s", cases[i].url);
                cr_assert_eq(address.hosts[k].port, cases[i].ports[k], "%s", cases[i].url);
            }
        }
        cr_assert(same(address.user, cases[i].user), "%s", cases[i].url);
        cr_assert(same(address.password, cases[i].password), "%s", cases[i].url);
        cr_assert(same(address.master, cases[i].master), "%s", cases[i].url);
        cr_assert(same(address.sentinel_user, cases[i].sentinel_user), "%s", cases[i].url);
        cr_assert(same(address.sentinel_password, cases[i].sentinel_password), "%s", cases[i].url);
        cr_assert_eq(address.database, cases[i].database, "%s", cases[i].url);
        cr_assert_eq(address.tls, cases[i].tls, "%s", cases[i].url);
        tm_redis_address_done(&address);
    }
}

Test(redis_address, what_is_malformed_is_refused_without_showing_it)
{
    static const char *const wrong[] = {
        "redis://a,b:1",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel:///m",
        "redis+sentinel://a,/m",
        "redis+sentinel://,a/m",
        "redis+sentinel://a:0/m",
        "redis+sentinel://a/m/x",
        "redis+sentinel://a/m%",
        "redis+sentinel://a/m?sentinel_password=s3cret%",
        "redis+sentinel://a/m?sentinel_password=s3cret&sentinel_password=s3cret",
        "redis+sentinel://a/m?password=s3cret",
        "redis+sentinel://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/m",
        "redis+cluster://",
        "redis+cluster://a,,b",
        "redis+cluster://a/1",
        "redis+cluster://a/0/m",
        "redis+cluster://a?sentinel_user=s3cret",
        "redis+unix:///p",
        "rediss+tls://a",
        "",
        "redis",
        "redis:/h",
        "http://s3cret@h",
        "REDIS://h",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h:-1",
        "redis://h:",
        "redis://h:1:2",
        "redis://[::1",
        "redis://[::1]x",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h/99999999999",
        "redis://h#f",
        "redis://h?timeout=1",
        "redis://h?db=",
        "redis://:s3cret%@h",
        "redis://:s3cret%4@h",
        "redis://:s3cret%zz@h",
        "redis://:s3cret%00@h",
        "redis://u%:s3cret@h",
        "redis://:s3cret/x@h",
        "redis://:s3cret#x@h",
        "redis://:s3cret?x@h",
        "redis://h%",
        "unix://",
        "unix://path/s3cret",
        "unix:///%",
        "unix:///p?db=x",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        tm_redis_address address;
        tm_error error = {0};
        cr_assert_eq(tm_redis_address_parse(wrong[i], &address, &error), TM_REJECT, "%s", wrong[i]);
        cr_assert_neq(error.what[0], '\0');
        cr_assert_neq(error.hint[0], '\0');
        cr_assert_null(strstr(error.what, "s3cret"), "%s", error.what);
        cr_assert_null(address.host);
        cr_assert_null(address.password);
    }
    tm_redis_address address;
    char *far = malloc(5000);
    memset(far, 'a', 4999);
    far[4999] = '\0';
    memcpy(far, "redis://", 8);
    cr_assert_eq(tm_redis_address_parse(far, &address, NULL), TM_REJECT);
    free(far);
    cr_assert_eq(tm_redis_address_parse(NULL, &address, NULL), TM_REJECT);
}
