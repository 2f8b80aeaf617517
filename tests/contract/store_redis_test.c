#include "tidemark/adapters/redis/store.h"

#include "contract/store_contract.h"
#include "support/redis_server.h"

static tm_store open_store(const char *url, uint32_t buckets)
{
    tm_error error = {0};
    tm_store store;
    tm_redis_store_options options = {.redis = {.url = url}, .group = "g", .buckets = buckets};
    cr_assert_eq(tm_redis_store_open(&options, &store, &error), TM_OK, "%s", error.what);
    return store;
}

static void expect_text(tm_redis_connection *connection, const char *key, const char *field, const char *text)
{
    tm_redis_reply *reply = redis_say(connection, "HGET", key, field, (const char *)NULL);
    tm_slice found = tm_redis_reply_text(reply);
    cr_assert(tm_slice_equal_text(found, text), "%s %s is %.*s", key, field, (int)found.length, found.data);
    tm_redis_reply_free(reply);
}

static int64_t ask_integer(tm_redis_connection *connection, const char *command, const char *argument)
{
    tm_redis_reply *reply = redis_say(connection, command, argument, (const char *)NULL);
    int64_t value = tm_redis_reply_integer(reply);
    tm_redis_reply_free(reply);
    return value;
}

Test(store_redis, keeps_the_contract)
{
    redis_server server;
    redis_server_start(&server, NULL, NULL);
    static const uint32_t buckets[] = {0, 1, 8};
    for (size_t i = 0; i < 3; i++) {
        tm_store a = open_store(server.url, buckets[i]);
        tm_store b = open_store(server.url, 0); /* the number is the shard's, not the store's */
        store_contract(&a, &b);
        cr_assert_str_eq(
            tm_redis_store_warnings(&a),
            "appendonly is off: after a crash of Redis, what came since its last save is replayed from Kafka");
        a.close(a.context);
        b.close(b.context);
        tm_redis_connection *plain = redis_server_open(server.url);
        redis_do(plain, "FLUSHALL");
        tm_redis_connection_free(plain);
    }
    redis_server_stop(&server);
}

Test(store_redis, lies_in_redis_as_documented)
{
    redis_server server;
    sc_commit made;
    const tm_slice outputs[] = {sc_text("output")};
    redis_server_start(&server, NULL, NULL);
    tm_store a = open_store(server.url, 4);
    tm_redis_connection *plain = redis_server_open(server.url);
    char names[40][16];
    tm_store_write writes[40];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "a%d", i);
        writes[i] = (tm_store_write){sc_text(names[i]), sc_text("blob")};
    }
    tm_store_commit *commit = sc_next(&made, 3, sc_claim(&a, 3, 9), 1);
    commit->writes = writes;
    commit->write_count = 40;
    commit->outbox = outputs;
    commit->outbox_count = 1;
    commit->fingerprints = sc_text("prints");
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    expect_text(plain, "tm:{g/3}:meta", "position", "10:1:1");
    expect_text(plain, "tm:{g/3}:meta", "epoch", "1");
    expect_text(plain, "tm:{g/3}:meta", "generation", "9");
    expect_text(plain, "tm:{g/3}:meta", "buckets", "4");
    expect_text(plain, "tm:{g/3}:meta", "meta", "meta 1");
    int64_t accounts = 0;
    for (int b = 0; b < 4; b++) {
        char key[32];
        snprintf(key, sizeof(key), "tm:{g/3}:a:%d", b);
        accounts += ask_integer(plain, "HLEN", key);
    }
    cr_assert_eq(accounts, 40);
    cr_assert_eq(ask_integer(plain, "XLEN", "tm:{g/3}:out"), 1);
    cr_assert_eq(ask_integer(plain, "XLEN", "tm:{g/3}:dup"), 1);
    /* nothing without a limit of its own, nothing beside it, and nothing left of it */
    cr_assert_eq(ask_integer(plain, "TTL", "tm:{g/3}:meta"), -1);
    SC(a.remove(a.context, 3, SC_ERROR), TM_OK);
    tm_redis_reply *size = redis_say(plain, "DBSIZE", (const char *)NULL);
    cr_assert_eq(tm_redis_reply_integer(size), 0);
    tm_redis_reply_free(size);
    /* another store made it anew with other buckets: noticed before anything is written, and right the next time */
    tm_store b = open_store(server.url, 16);
    int64_t epoch = sc_claim(&b, 3, 9);
    commit = sc_next(&made, 3, epoch, 1);
    commit->writes = writes;
    commit->write_count = 40;
    SC(a.commit(a.context, commit, SC_ERROR), TM_RETRY);
    cr_assert_eq(sc_stored_commit(&b, 3), 0);
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    tm_slice blob;
    SC(b.get_account(b.context, 3, sc_text("a7"), &blob, SC_ERROR), TM_OK);
    cr_assert(tm_slice_equal_text(blob, "blob"));
    tm_redis_connection_free(plain);
    a.close(a.context);
    b.close(b.context);
    redis_server_stop(&server);
}

/* ---- Others in between, and answers that are lost ---- */

static void claim_meanwhile(void *context)
{
    const tm_store *other = context;
    tm_store_state state;
    tm_error error;
    if (other->claim(other->context, 1, 1, 1, &state, &error) != TM_OK) {
        abort();
    }
}

Test(store_redis, a_claim_between_check_and_exec_wins)
{
    redis_server server;
    redis_proxy proxy;
    sc_commit made;
    tm_slice blob;
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("stale")}};
    redis_server_start(&server, NULL, NULL);
    redis_proxy_start(&proxy, &server);
    tm_store a = open_store(proxy.url, 0);
    tm_store b = open_store(server.url, 0);
    int64_t epoch = sc_claim(&a, 1, 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    proxy.context = &b;
    proxy.before_exec = claim_meanwhile;
    tm_store_commit *commit = sc_next(&made, 1, epoch, 2);
    commit->writes = writes;
    commit->write_count = 1;
    SC(a.commit(a.context, commit, SC_ERROR), TM_REJECT);
    SC(b.get_account(b.context, 1, sc_text("acme"), &blob, SC_ERROR), TM_OK);
    cr_assert_null(blob.data);
    cr_assert_eq(sc_stored_commit(&b, 1), 1);
    /* two claims at once: both get through, one after the other, with epochs of their own */
    proxy.context = &b;
    proxy.before_exec = claim_meanwhile;
    tm_store_state state;
    SC(a.claim(a.context, 1, 1, 1, &state, SC_ERROR), TM_OK);
    cr_assert_eq(state.epoch, epoch + 3);
    SC(a.commit(a.context, sc_next(&made, 1, state.epoch, 2), SC_ERROR), TM_OK);
    a.close(a.context);
    b.close(b.context);
    redis_proxy_stop(&proxy);
    redis_server_stop(&server);
}

Test(store_redis, a_lost_answer_is_settled_by_reading)
{
    redis_server server;
    redis_proxy proxy;
    sc_commit made;
    redis_server_start(&server, NULL, NULL);
    redis_proxy_start(&proxy, &server);
    tm_store a = open_store(proxy.url, 0);
    int64_t epoch = sc_claim(&a, 1, 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    /* lost on the way there: not written */
    proxy.mode = PROXY_LOSE_REQUEST;
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_RETRY);
    cr_assert_eq(sc_stored_commit(&a, 1), 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK);
    /* lost on the way back: written */
    proxy.mode = PROXY_LOSE_ANSWER;
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 3), SC_ERROR), TM_RETRY);
    cr_assert_eq(sc_stored_commit(&a, 1), 3);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 3), SC_ERROR), TM_REJECT);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 4), SC_ERROR), TM_OK);
    /* a claim whose answer is lost is made again */
    proxy.mode = PROXY_LOSE_ANSWER;
    tm_store_state state;
    SC(a.claim(a.context, 1, 1, 1, &state, SC_ERROR), TM_RETRY);
    SC(a.claim(a.context, 1, 1, 1, &state, SC_ERROR), TM_OK);
    cr_assert_eq(state.epoch, epoch + 2);
    /* every other call meets a connection that closes on it, says so, and works the next time */
    int64_t value;
    tm_slice blob;
    sc_found *found = sc_found_new();
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.read(a.context, 1, &state, SC_ERROR), TM_RETRY);
    SC(a.read(a.context, 1, &state, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.scan_accounts(a.context, 1, sc_visit, found, SC_ERROR), TM_RETRY);
    SC(a.scan_accounts(a.context, 1, sc_visit, found, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.scan_outbox(a.context, 1, 0, sc_visit, found, SC_ERROR), TM_RETRY);
    SC(a.scan_outbox(a.context, 1, 0, sc_visit, found, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.scan_fingerprints(a.context, 1, sc_visit, found, SC_ERROR), TM_RETRY);
    SC(a.scan_fingerprints(a.context, 1, sc_visit, found, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.get_account(a.context, 1, sc_text("x"), &blob, SC_ERROR), TM_RETRY);
    SC(a.get_account(a.context, 1, sc_text("x"), &blob, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.settle_group(a.context, "x", 1, &value, SC_ERROR), TM_RETRY);
    SC(a.settle_group(a.context, "x", 1, &value, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.check(a.context, SC_ERROR), TM_RETRY);
    SC(a.check(a.context, SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.commit(a.context, sc_next(&made, 1, epoch + 2, 5), SC_ERROR), TM_RETRY);
    SC(a.commit(a.context, sc_next(&made, 1, epoch + 2, 5), SC_ERROR), TM_OK);
    proxy.mode = PROXY_LOSE_ALL;
    SC(a.remove(a.context, 1, SC_ERROR), TM_RETRY);
    SC(a.remove(a.context, 1, SC_ERROR), TM_OK);
    free(found);
    a.close(a.context);
    redis_proxy_stop(&proxy);
    redis_server_stop(&server);
}

Test(store_redis, what_was_read_stays_true_when_an_exec_comes_late)
{
    redis_server server;
    redis_proxy proxy;
    sc_commit made;
    redis_server_start(&server, NULL, NULL);
    redis_proxy_start(&proxy, &server);
    tm_store a = open_store(proxy.url, 0);
    int64_t epoch = sc_claim(&a, 1, 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    proxy.mode = PROXY_HOLD_REQUEST;
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_RETRY);
    cr_assert_eq(sc_stored_commit(&a, 1), 1, "not written, says read");
    cr_assert(redis_proxy_deliver(&proxy, "*-1\r\n"), "and so it stays");
    cr_assert_eq(sc_stored_commit(&a, 1), 1);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK);
    /* it comes while the same commit is made again without reading: one of them is refused */
    proxy.mode = PROXY_HOLD_REQUEST;
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 3), SC_ERROR), TM_RETRY);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 3), SC_ERROR), TM_OK);
    cr_assert(redis_proxy_deliver(&proxy, "*-1\r\n"));
    /* or before: then reading says so */
    proxy.mode = PROXY_HOLD_REQUEST;
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 4), SC_ERROR), TM_RETRY);
    cr_assert(redis_proxy_deliver(&proxy, "*"));
    cr_assert_eq(sc_stored_commit(&a, 1), 4);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 5), SC_ERROR), TM_OK);
    a.close(a.context);
    redis_proxy_stop(&proxy);
    redis_server_stop(&server);
}

Test(store_redis, a_server_that_went_away_while_idle_is_not_noticed)
{
    redis_server server;
    sc_commit made;
    redis_server_start(&server, NULL, NULL);
    tm_store a = open_store(server.url, 0);
    tm_redis_connection *plain = redis_server_open(server.url);
    int64_t epoch = sc_claim(&a, 1, 1);
    redis_do(plain, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    /* gone for good: said each time, until another is there, which is empty */
    redis_server_kill(&server);
    tm_error error = {0};
    tm_store_state state;
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 2), &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, server.socket), "%s", error.what);
    cr_assert_eq(a.check(a.context, &error), TM_RETRY);
    redis_server_launch(&server, NULL, NULL);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_REJECT);
    SC(a.read(a.context, 1, &state, SC_ERROR), TM_OK);
    cr_assert_not(state.present);
    tm_redis_connection_free(plain);
    a.close(a.context);
    redis_server_stop(&server);
}

Test(store_redis, a_server_that_does_not_answer_is_left)
{
    redis_server server;
    tm_error error = {0};
    tm_store a;
    tm_store_state state;
    redis_server_start(&server, NULL, NULL);
    tm_redis_store_options options = {.redis = {.url = server.url, .command_timeout_ms = 2000}, .group = "g"};
    cr_assert_eq(tm_redis_store_open(&options, &a, &error), TM_OK);
    SC(a.check(a.context, SC_ERROR), TM_OK);
    kill(server.pid, SIGSTOP);
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "no answer in time"), "%s", error.what);
    kill(server.pid, SIGCONT);
    a.close(a.context);
    redis_server_stop(&server);
}

/* ---- What the server refuses ---- */

Test(store_redis, what_the_server_refuses_is_not_written)
{
    redis_server server;
    sc_commit made;
    tm_error error = {0};
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("blob")}};
    redis_server_start(&server, NULL, NULL);
    tm_redis_connection *plain = redis_server_open(server.url);
    tm_store a = open_store(server.url, 1);
    int64_t epoch = sc_claim(&a, 1, 1);
    tm_store_commit *commit = sc_next(&made, 1, epoch, 1);
    commit->writes = writes;
    commit->write_count = 1;
    /* out of memory: when the writes are queued */
    redis_do(plain, "CONFIG", "SET", "maxmemory", "1");
    cr_assert_eq(a.commit(a.context, commit, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "OOM"), "%s", error.what);
    redis_do(plain, "CONFIG", "SET", "maxmemory", "0");
    /* a replica */
    redis_do(plain, "REPLICAOF", "127.0.0.1", "1");
    cr_assert_eq(a.commit(a.context, commit, &error), TM_RETRY);
    cr_assert_eq(a.check(a.context, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "it is a slave"), "%s", error.what);
    redis_do(plain, "REPLICAOF", "NO", "ONE");
    /* too few replicas */
    redis_do(plain, "CONFIG", "SET", "min-replicas-to-write", "1");
    cr_assert_eq(a.commit(a.context, commit, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "NOREPLICAS"), "%s", error.what);
    redis_do(plain, "CONFIG", "SET", "min-replicas-to-write", "0");
    cr_assert_eq(sc_stored_commit(&a, 1), 0);
    cr_assert_eq(sc_count_accounts(&a, 1), 0);
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    /* policy */
    redis_do(plain, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    cr_assert_eq(a.check(a.context, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "allkeys-lru"), "%s", error.what);
    redis_do(plain, "CONFIG", "SET", "maxmemory-policy", "noeviction");
    SC(a.check(a.context, SC_ERROR), TM_OK);
    /* a key of another type only shows when EXEC runs, and Redis does not roll back */
    redis_do(plain, "DEL", "tm:{g/1}:a:0");
    redis_do(plain, "SET", "tm:{g/1}:a:0", "somebody's");
    commit = sc_next(&made, 1, epoch, 2);
    commit->writes = writes;
    commit->write_count = 1;
    cr_assert_eq(a.commit(a.context, commit, &error), TM_FATAL);
    cr_assert_not_null(strstr(error.what, "WRONGTYPE"), "%s", error.what);
    /* damaged meta is not guessed at */
    tm_store_state state;
    static const char *const damaged[] = {"1:2", "1:2:x", ":1:2", "", "1:2:3:4", "99999999999999999999:1:1", "1:1:-"};
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        redis_do(plain, "HSET", "tm:{g/1}:meta", "position", damaged[i]);
        cr_assert_eq(a.read(a.context, 1, &state, &error), TM_FATAL, "%s", damaged[i]);
        cr_assert_eq(a.claim(a.context, 1, 1, 1, &state, &error), TM_FATAL, "%s", damaged[i]);
    }
    redis_do(plain, "HSET", "tm:{g/1}:meta", "position", "1:2:3", "buckets", "3");
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_FATAL);
    redis_do(plain, "DEL", "tm:{g/1}:meta");
    redis_do(plain, "SET", "tm:{g/1}:meta", "somebody's");
    cr_assert_eq(a.read(a.context, 1, &state, &error), TM_FATAL);
    SC(a.remove(a.context, 1, SC_ERROR), TM_OK);
    redis_do(plain, "SET", "tm:{g}:start", "text");
    int64_t value;
    cr_assert_eq(a.settle_group(a.context, "start", 1, &value, &error), TM_FATAL);
    tm_redis_connection_free(plain);
    a.close(a.context);
    redis_server_stop(&server);
}

Test(store_redis, users_and_what_they_may)
{
    redis_server server;
    sc_commit made;
    tm_error error = {0};
    char url[256];
    redis_server_start(&server, NULL, NULL);
    tm_redis_connection *plain = redis_server_open(server.url);
    redis_do(plain, "ACL", "SETUSER", "few", "on", ">s3cret/@", "~tm:*", "+@all", "-config", "-role", "-info", "-ping");
    redis_do(plain, "ACL", "SETUSER", "noselect", "on", ">s3cret/@", "~tm:*", "+@all", "-select");
    redis_do(plain, "ACL", "SETUSER", "noxtrim", "on", ">s3cret/@", "~tm:*", "+@all", "-xtrim");
    snprintf(url, sizeof(url), "unix://few:s3cret%%2F%%40@%s", server.socket);
    tm_store few = open_store(url, 0);
    tm_status status = few.check(few.context, &error);
    cr_assert_eq(status, TM_OK, "%s", error.what);
    cr_assert_not_null(strstr(tm_redis_store_warnings(&few), "noeviction could not be checked"));
    cr_assert_not_null(strstr(tm_redis_store_warnings(&few), "primary could not be checked"));
    cr_assert_not_null(strstr(tm_redis_store_warnings(&few), "6.2 or newer could not be checked"));
    int64_t epoch = sc_claim(&few, 1, 1);
    SC(few.commit(few.context, sc_next(&made, 1, epoch, 1), SC_ERROR), TM_OK);
    /* a command that may not be used is refused when queued: nothing is written */
    snprintf(url, sizeof(url), "unix://noxtrim:s3cret%%2F%%40@%s", server.socket);
    tm_store noxtrim = open_store(url, 0);
    cr_assert_eq(noxtrim.commit(noxtrim.context, sc_next(&made, 1, epoch, 2), &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "NOPERM"), "%s", error.what);
    cr_assert_not_null(strstr(error.what, "xtrim"), "the command is not named: %s", error.what);
    cr_assert_not_null(strstr(error.hint, "--permissions"), "%s", error.hint);
    cr_assert_eq(sc_stored_commit(&few, 1), 1);
    /* user and password may stand beside the URL, and go over those in it */
    snprintf(url, sizeof(url), "unix://nobody:wr0ng@%s", server.socket);
    const tm_redis_store_options beside = {.redis = {.url = url, .user = "few", .password = "s3cret/@"}, .group = "g"};
    tm_store other_way;
    cr_assert_eq(tm_redis_store_open(&beside, &other_way, &error), TM_OK, "%s", error.what);
    cr_assert_eq(sc_stored_commit(&other_way, 1), 1);
    other_way.close(other_way.context);
    const tm_redis_store_options nameless = {.redis = {.url = "unix:///x", .user = "few"}, .group = "g"};
    cr_assert_eq(tm_redis_store_open(&nameless, &other_way, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "no password"), "%s", error.what);
    /* without, and with a wrong password, which is not shown */
    redis_do(plain, "ACL", "SETUSER", "default", "off");
    static const char *const wrong[] = {"unix://%s", "unix://few:wr0ng@%s", "unix://:wr0ng@%s",
                                        "unix://nobody:wr0ng@%s"};
    for (size_t i = 0; i < 4; i++) {
        tm_store_state state;
        const char *place = strstr(wrong[i], "%s");
        snprintf(url, sizeof(url), "%.*s%s", (int)(place - wrong[i]), wrong[i], server.socket);
        tm_store other = open_store(url, 0);
        cr_assert_eq(other.check(other.context, &error), TM_REJECT, "%s", error.what);
        cr_assert_null(strstr(error.what, "wr0ng"));
        cr_assert_null(strstr(error.where, "wr0ng"));
        cr_assert_null(strstr(error.hint, "wr0ng"));
        cr_assert_eq(other.read(other.context, 1, &state, &error), TM_RETRY, "an operator may repair it");
        other.close(other.context);
    }
    snprintf(url, sizeof(url), "unix://few:s3cret%%2F%%40@%s?db=99", server.socket);
    tm_store far = open_store(url, 0);
    cr_assert_eq(far.check(far.context, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "SELECT"), "%s", error.what);
    far.close(far.context);
    /* another database than 0 is never exchanged for it in silence */
    snprintf(url, sizeof(url), "unix://noselect:s3cret%%2F%%40@%s?db=1", server.socket);
    tm_store noselect = open_store(url, 0);
    cr_assert_eq(noselect.check(noselect.context, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "SELECT"), "%s", error.what);
    noselect.close(noselect.context);
    snprintf(url, sizeof(url), "%s?db=1", server.url);
    tm_store other = open_store(url, 0);
    cr_assert_eq(other.check(other.context, &error), TM_OK, "%s", error.what);
    cr_assert_eq(sc_stored_commit(&other, 1), 0);
    other.close(other.context);
    few.close(few.context);
    noxtrim.close(noxtrim.context);
    tm_redis_connection_free(plain);
    redis_server_stop(&server);
}

Test(store_redis, options_are_checked)
{
    tm_error error = {0};
    tm_store store;
    const char *const url = "redis://127.0.0.1:1";
    const tm_redis_store_options wrong[] = {
        {.redis = {.url = url}, .group = ""},
        {.redis = {.url = url}, .group = "a}b"},
        {.redis = {.url = url}},
        {.redis = {.url = url}, .group = "g", .prefix = "{"},
        {.redis = {.url = url}, .group = "g", .prefix = ""},
        {.redis = {.url = url}, .group = "g", .buckets = 3},
        {.redis = {.url = url}, .group = "g", .buckets = 131072},
        {.redis = {.url = "http://x"}, .group = "g"},
        {.redis = {.url = NULL}, .group = "g"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(tm_redis_store_open(&wrong[i], &store, &error), TM_REJECT, "%zu", i);
        cr_assert_neq(error.what[0], '\0');
    }
    /* nothing is there: said with the address, again and again */
    tm_store a = open_store(url, 0);
    cr_assert_eq(a.check(a.context, &error), TM_RETRY);
    cr_assert_not_null(strstr(error.what, "redis://127.0.0.1:1/0"), "%s", error.what);
    cr_assert_eq(a.check(a.context, &error), TM_RETRY);
    a.close(a.context);
    cr_assert_not_null(strstr(tm_redis_build(), "hiredis "));
}
