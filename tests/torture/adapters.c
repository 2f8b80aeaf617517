/* The adapters themselves, against real servers: a Redis of our own, HTTP on the loopback. What is answered is right,
   or it is said that something went wrong; afterwards everything is as it should be. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include "torture.h"

#include "contract/store_contract.h"
#include "support/redis_server.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/log.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/monitor.h"

static bool any_refused(void)
{
    return torture_refused() > 0 || torture_system_refused();
}

/* --- the store on Redis, call by call --- */

static redis_server server;
static bool served;

static void make_redis(void)
{
    if (!served)
        redis_server_start(&server, NULL, NULL);
    served = true;
}

static tm_status open_store(const char *group, tm_store *store, tm_error *error)
{
    tm_redis_store_options options = {.redis = {.url = server.url}, .group = group, .buckets = 4};
    return tm_redis_store_open(&options, store, error);
}

/* A call that something may be refused to: TM_OK or TM_RETRY or TM_FATAL with a word, and refused what only then. */
static tm_status tried(tm_status status, const tm_error *error, const char **wrong)
{
    torture_arm(false);
    if (*wrong)
        return status;
    if (status != TM_OK && !any_refused())
        *wrong = torture_say("nothing was refused: %s", error->what);
    else if (status != TM_OK && status != TM_RETRY && status != TM_FATAL)
        *wrong = torture_say("%s: %s", tm_status_name(status), error->what);
    else if (status != TM_OK && !error->what[0])
        *wrong = torture_say("%s without a word", tm_status_name(status));
    return status;
}

/* Until it succeeds: what is refused is refused once, or five times in a row. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        tm_status tried_ = TM_RETRY;                                                                                   \
        for (int i_ = 0; i_ < 12 && tried_ != TM_OK && !wrong; i_++) {                                                 \
            torture_arm(true);                                                                                         \
            tried_ = tried((call), &error, &wrong);                                                                    \
        }                                                                                                              \
        if (!wrong && tried_ != TM_OK)                                                                                 \
            wrong = torture_say("it does not recover: %s", error.what);                                                \
    } while (0)

typedef struct gathered {
    uint32_t count;
    uint64_t bytes;
} gathered;

static tm_status gather(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    gathered *g = context;
    g->count++;
    g->bytes += (uint64_t)commit + key.length + bytes.length;
    return TM_OK;
}

/* A commit whose outcome is uncertain is settled as the pipeline does it. */
static tm_status commit_or_settle(const tm_store *store, const tm_store_commit *commit, tm_error *error)
{
    tm_store_state state;
    tm_status status = store->commit(store->context, commit, error);
    if (status != TM_RETRY)
        return status;
    tm_error reading = {0};
    if (store->read(store->context, commit->partition, &state, &reading) != TM_OK)
        return TM_RETRY;
    if (tm_position_equal(state.position, commit->position))
        return TM_OK;
    return state.present && !tm_position_equal(state.position, commit->expected) && commit->expected.commit > 0
               ? tm_fail(error, TM_REJECT, "the store is somewhere else")
               : TM_RETRY;
}

static const char *run_store(void)
{
    static int number;
    char group[40], names[30][8];
    const char *wrong = NULL;
    tm_error error = {0};
    tm_store store = {0};
    tm_store_state state = {0};
    tm_slice blob = {0};
    int64_t settled = 0;
    sc_commit made;
    tm_store_write writes[30];
    const tm_slice outputs[] = {sc_text("first"), sc_text("second")};
    gathered accounts = {0}, prints = {0}, outbox = {0};
    snprintf(group, sizeof group, "s-%d-%d", (int)getpid(), number++);
    for (int i = 0; i < 30; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        writes[i] = (tm_store_write){sc_text(names[i]), sc_text("a blob")};
    }
    TRY(open_store(group, &store, &error));
    if (wrong)
        return wrong;
    TRY(store.check(store.context, &error));
    TRY(store.settle_group(store.context, "partitions", 4, &settled, &error));
    TRY(store.claim(store.context, 2, 1, 1, &state, &error));
    int64_t epoch = state.epoch;
    if (!wrong && (state.present || settled != 4))
        wrong = "a new shard is not new";
    for (int64_t n = 1; n <= 3 && !wrong; n++) {
        tm_store_commit *commit = sc_next(&made, 2, epoch, n);
        commit->writes = writes + 8 * (n - 1);
        commit->write_count = 10;
        commit->outbox = outputs;
        commit->outbox_count = 2;
        commit->fingerprints = sc_text("prints");
        commit->outbox_published = n - 2;
        TRY(commit_or_settle(&store, commit, &error));
    }
    TRY(store.read(store.context, 2, &state, &error));
    if (!wrong && (!state.present || state.position.commit != 3 || state.epoch != epoch ||
                   !tm_slice_equal_text(state.meta, "meta 3")))
        wrong = torture_say("it is at commit %d of epoch %d", (int)state.position.commit, (int)state.epoch);
    TRY((accounts = (gathered){0}, store.scan_accounts(store.context, 2, gather, &accounts, &error)));
    TRY((prints = (gathered){0}, store.scan_fingerprints(store.context, 2, gather, &prints, &error)));
    TRY((outbox = (gathered){0}, store.scan_outbox(store.context, 2, 1, gather, &outbox, &error)));
    if (!wrong && (accounts.count != 26 || prints.count != 3 || outbox.count != 4))
        wrong = torture_say("%u accounts, %u fingerprints, %u outputs", accounts.count, prints.count, outbox.count);
    TRY(store.get_account(store.context, 2, sc_text("a7"), &blob, &error));
    if (!wrong && !tm_slice_equal_text(blob, "a blob"))
        wrong = "an account that is there is not found";
    TRY(store.remove(store.context, 2, &error));
    TRY(store.read(store.context, 2, &state, &error));
    if (!wrong && state.present)
        wrong = "what was removed is there";
    store.close(store.context);
    return wrong;
}

/* --- HTTP --- */

static tm_service service;
static tm_service_worker workers[2];
static tm_configuration configuration = {
    .group = "t", .instance = "one", .timezone = "UTC", .http_listen = "127.0.0.1:0"};
static tm_setup setup = {.configuration = &configuration};
static tm_pack pack = {.version = 12, .hash = 0xabc};

static void make_service(void)
{
    service = (tm_service){.setup = &setup, .clock = tm_system_clock(), .workers = workers, .worker_count = 2};
    service.settings.pack = &pack;
    for (int i = 0; i < 2; i++) {
        atomic_store(&workers[i].gauges.shards, 3);
        atomic_store(&workers[i].gauges.lag, -1);
        atomic_store(&workers[i].gauges.time, TM_TIME_NONE);
    }
}

static void write_nothing(void *context, tm_log_level level, const char *event, const char *message,
                          const tm_log_field *fields, uint32_t count)
{
    (void)context, (void)level, (void)event, (void)message, (void)fields, (void)count;
}

static char reply[1 << 20];

/* By calls of the system that are not counted: 0 when there was no answer, else the status; -1: half an answer.
   libmicrohttpd asks for memory again and again, without a pause, until it gets what it needs to wait for its sockets:
   where nothing is given any more it never answers, and after a second without a byte that counts as no answer. Where
   nothing was refused yet an answer is waited for. */
static int ask(uint16_t port, const char *path, const char **ret_body)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    char request[128];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    int s = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t heard = 0;
    if (syscall(SYS_connect, s, &to, sizeof to) == 0) {
        (void)syscall(SYS_sendto, s, request, (size_t)length, MSG_NOSIGNAL, NULL, 0);
        const struct timeval second = {.tv_sec = 1};
        (void)syscall(SYS_setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
        ssize_t got = 1;
        while (heard + 1 < sizeof reply && got != 0) {
            got = syscall(SYS_recvfrom, s, reply + heard, sizeof reply - 1 - heard, 0, NULL, NULL);
            if (got < 0 && (errno != EAGAIN || torture_refusing()))
                break;
            heard += got > 0 ? (size_t)got : 0;
        }
    }
    close(s);
    reply[heard] = 0;
    *ret_body = "";
    if (heard == 0)
        return 0;
    const char *body = strstr(reply, "\r\n\r\n"), *said = strcasestr(reply, "content-length: ");
    if (!body || !said || strlen(body + 4) != strtoul(said + 16, NULL, 10))
        return -1;
    *ret_body = body + 4;
    return (int)strtol(reply + 9, NULL, 10);
}

/* What an answer has to look like when it is said to be good. */
static const char *judge_answer(const char *path, int status, const char *body)
{
    if (strcmp(path, "/livez") == 0 && (status != 200 || strcmp(body, "ok\n") != 0))
        return torture_say("%s: %d: %.100s", path, status, body);
    if (strcmp(path, "/readyz") == 0 &&
        (status != 200 || !strstr(body, "\"state\":\"running\"") || !strstr(body, "\"halted\":[]}\n")))
        return torture_say("%s: %d: %.300s", path, status, body);
    if (strcmp(path, "/metrics") == 0 &&
        (status != 200 || !strstr(body, "\ntidemark_ready 1\n") || !strstr(body, "\nprocess_start_time_seconds ")))
        return torture_say("%s: %d: %.300s", path, status, body);
    return NULL;
}

static const char *run_http(void)
{
    static const char *const paths[] = {"/livez", "/readyz", "/metrics"};
    const tm_log log = {NULL, write_nothing};
    tm_monitor monitor;
    const char *wrong = NULL;
    int64_t now = service.clock.steady(service.clock.context);
    for (int i = 0; i < 2; i++)
        atomic_store(&workers[i].gauges.beat, now);
    /* What it says on standard error of its own failure is not this test's. */
    int kept = dup(2), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, 2);
    close(null);
    torture_arm_all(true);
    int status = tm_monitor_start(&monitor, &tm_command_run, &configuration, &log);
    torture_arm_all(status == 0);
    dup2(kept, 2);
    close(kept);
    if (status != 0)
        return any_refused() ? NULL : torture_say("it does not start: %d", status);
    tm_monitor_show(&monitor, &service);
    uint16_t port = tm_http_server_port(monitor.server);
    /* Twice, since what was refused to one request must not harm the next; a third time with nothing refused. */
    for (int round = 0; round < 3 && !wrong; round++) {
        if (round == 2)
            torture_arm_all(false);
        for (int i = 0; i < 3 && !wrong; i++) {
            const char *body;
            int code = ask(port, paths[i], &body);
            bool may_fail = any_refused() && round < 2;
            if (code == 200 || (!may_fail && code != 0))
                wrong = judge_answer(paths[i], code, body);
            else if (!may_fail)
                wrong = torture_say("%s: no answer", paths[i]);
            else if (code > 0 && code != 500)
                wrong = torture_say("%s: %d", paths[i], code);
        }
    }
    torture_arm_all(false);
    tm_monitor_stop(&monitor);
    return wrong;
}

const torture_scenario torture_adapters[] = {
    {"store", "every call of the store, on a real Redis", TORTURE_RECOVER, make_redis, run_store},
    {"http", "a server on the loopback, /livez, /readyz and /metrics of it", 0, make_service, run_http},
    {"store-system", "every call of the store, on a real Redis", TORTURE_SYSTEM, make_redis, run_store},
    {"http-system", "a server on the loopback, /livez, /readyz and /metrics of it", TORTURE_SYSTEM, make_service,
     run_http},
};
const uint32_t torture_adapters_count = sizeof torture_adapters / sizeof *torture_adapters;
