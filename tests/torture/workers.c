/* A worker over the memory world, over a small feed, with one thing refused: it may go on by itself or end with a word.
   Another worker, whom nothing is refused, then comes to the end, and everything is as if nothing had been: each signal
   once, the same letters, the same state. The store is memory, or a real Redis, whose client is refused things too. */
#include "torture.h"

#include "support/redis_server.h"
#include "support/stage.h"

static feed records;
static feed_out expected_signals, expected_kept;
static int64_t expected_letters, expected_tombstones;
static bool known;

static stage s;

/* Where the store is a real Redis: the server, and this run's group on it. */
static redis_server server;
static bool on_redis, served;
static char group[40];

static void make_feed(void)
{
    if (!records.count)
        feed_make(&records, 3, 2, 5, 60, 2);
}

static void make_redis(void)
{
    make_feed();
    if (!served)
        redis_server_start(&server, NULL, NULL);
    served = true;
}

static tm_status open_store(tm_store *store, tm_error *error)
{
    tm_redis_store_options options = {.redis = {.url = server.url}, .group = group, .buckets = 4};
    return on_redis ? tm_redis_store_open(&options, store, error) : tm_memory_store_open(s.state, store, error);
}

/* As stage_kept, of either store. */
static void kept_of(int32_t partition, feed_out *lines)
{
    tm_store store;
    tm_error error;
    struct {
        const tm_pack *pack;
        tm_time t;
        feed_out *lines;
    } context = {s.pack, records.greatest, lines};
    cr_assert_eq(open_store(&store, &error), TM_OK, "%s", error.what);
    cr_assert_eq(store.scan_accounts(store.context, partition, stage_kept_account, &context, &error), TM_OK, "%s",
                 error.what);
    store.close(store.context);
}

static void arm(bool on)
{
    torture_arm(on);
}

static void open_stage(void)
{
    stage_init(&s, records.partitions, feed_rules);
    s.settings.commit_records = 12;
    for (uint32_t i = 0; i < records.count; i++)
        stage_append(&s, &records.records[i]);
    stage_once(&s, &records);
}

static const char *same_lines(feed_out *a, feed_out *b, const char *what)
{
    if (a->count)
        qsort(a->lines, a->count, sizeof *a->lines, feed_compare);
    for (uint32_t i = 1; i < a->count; i++)
        if (strcmp(a->lines[i - 1], a->lines[i]) == 0)
            return torture_say("%s: twice: %s", what, a->lines[i]);
    if (a->count != b->count)
        return torture_say("%u %s instead of %u", a->count, what, b->count);
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->lines[i], b->lines[i]) != 0)
            return torture_say("%s: %s instead of %s", what, a->lines[i], b->lines[i]);
    return NULL;
}

/* What is published and kept, against what is expected; the first time it is what is expected. */
static const char *compare(void)
{
    feed_out signals = {0}, kept = {0};
    int64_t letters, tombstones;
    const char *wrong = NULL;
    stage_signals(&s, &signals, &tombstones, &letters);
    for (uint32_t p = 0; p < records.partitions; p++)
        kept_of((int32_t)p, &kept);
    if (!known) {
        expected_signals = signals;
        expected_kept = kept;
        expected_letters = letters;
        expected_tombstones = tombstones;
        feed_out_sort(&expected_signals, "signals");
        feed_out_sort(&expected_kept, "accounts");
        known = true;
        return expected_signals.count > 5 ? NULL : "the feed says little";
    }
    wrong = same_lines(&signals, &expected_signals, "signals");
    if (!wrong)
        wrong = same_lines(&kept, &expected_kept, "accounts");
    if (!wrong && letters != expected_letters)
        wrong = torture_say("%d dead letters instead of %d", (int)letters, (int)expected_letters);
    if (!wrong && tombstones != expected_tombstones)
        wrong = torture_say("%d tombstones instead of %d", (int)tombstones, (int)expected_tombstones);
    feed_out_done(&signals);
    feed_out_done(&kept);
    return wrong;
}

/* A worker over the store of this run; NULL: the store cannot be opened. */
static actor *hire(const char *instance, bool tortured, tm_error *error)
{
    tm_store store;
    if (on_redis) {
        torture_arm(tortured);
        tm_status status = open_store(&store, error);
        torture_arm(false);
        if (status != TM_OK)
            return NULL;
    }
    actor *a = stage_hire(&s, instance);
    if (on_redis) {
        a->ports.store.close(a->ports.store.context);
        a->ports.store = store;
    }
    return a;
}

static bool any_refused(void)
{
    return torture_refused() > 0 || torture_call_refused() || torture_system_refused();
}

/* The worker something is refused to, and after it one to whom nothing is. */
static const char *work(unsigned kind)
{
    tm_error error = {0};
    tm_status status = TM_FATAL;
    actor *a = hire("tortured", !(kind & TORTURE_PORTS), &error);
    if (!a && (!any_refused() || !error.what[0]))
        return torture_say("no store: %s", error.what);
    if (!a)
        goto other;
    if (kind & TORTURE_PORTS)
        torture_ports(a);
    else
        s.on_worker = arm;
    status = stage_finish(&s, a);
    s.on_worker = NULL;
    const char *wrong = NULL;
    bool refused = any_refused();
    if (!refused && status != TM_OK)
        wrong = torture_say("nothing was refused: %s %s", tm_status_name(status), a->error.what);
    else if (status != TM_OK && !a->error.what[0])
        wrong = torture_say("%s without a word", tm_status_name(status));
    else if (status == TM_BROKEN || s.broken)
        wrong = torture_say("an internal check tripped: %.200s", s.report);
    if (wrong || status == TM_OK)
        return wrong;
other:
    a = hire("another", false, &error);
    if (!a)
        return torture_say("the other has no store: %s", error.what);
    status = stage_finish(&s, a);
    return status == TM_OK ? NULL : torture_say("the other ended with %s: %s", tm_status_name(status), a->error.what);
}

static const char *live(unsigned kind)
{
    open_stage();
    on_redis = false;
    const char *wrong = work(kind);
    wrong = wrong ? wrong : compare();
    stage_done(&s);
    return wrong;
}

/* As live, the store in Redis, in a group of this run's own. */
static const char *live_on_redis(unsigned kind)
{
    static int number;
    snprintf(group, sizeof group, "t-%d-%d", (int)getpid(), number++);
    open_stage();
    on_redis = true;
    const char *wrong = work(kind);
    wrong = wrong ? wrong : compare();
    stage_done(&s);
    return wrong;
}

/* Everything was done once; then the store is empty, or back where it was some commits before. */
static const char *rebuild(unsigned kind, bool tail)
{
    open_stage();
    on_redis = false;
    actor *a = stage_hire(&s, "first");
    tm_memory_state *old = NULL;
    for (int i = 0; tail && i < 200000 && !old && !a->finished; i++) {
        stage_step(&s, a);
        if (stage_position(&s, 0, NULL).commit >= 1 && stage_position(&s, 1, NULL).commit >= 1)
            old = tm_memory_state_copy(s.state);
    }
    const char *wrong = NULL;
    if (stage_finish(&s, a) != TM_OK || (tail && !old))
        wrong = torture_say("the first life failed: %s", a->error.what);
    if (!wrong) {
        tm_memory_state_free(s.state);
        s.state = tail ? old : tm_memory_state_new();
        wrong = work(kind);
    }
    wrong = wrong ? wrong : compare();
    stage_done(&s);
    return wrong;
}

static const char *run_worker(void)
{
    return live(0);
}

static const char *run_rebuild(void)
{
    return rebuild(0, false);
}

static const char *run_replayed_tail(void)
{
    return rebuild(0, true);
}

static const char *run_worker_ports(void)
{
    return live(TORTURE_PORTS);
}

static const char *run_rebuild_ports(void)
{
    return rebuild(TORTURE_PORTS, false);
}

static const char *run_tail_ports(void)
{
    return rebuild(TORTURE_PORTS, true);
}

static const char *run_redis_worker(void)
{
    return live_on_redis(0);
}

static const char *run_redis_ports(void)
{
    return live_on_redis(TORTURE_PORTS);
}

static const char *run_redis_system(void)
{
    return live_on_redis(TORTURE_SYSTEM);
}

const torture_scenario torture_workers[] = {
    {"worker", "a worker from the first record to the end", 0, make_feed, run_worker},
    {"rebuild", "a shard rebuilt from the journal", 0, make_feed, run_rebuild},
    {"tail", "a lost tail replayed from the journal", 0, make_feed, run_replayed_tail},
    {"redis-worker", "a worker from the first record to the end, its store a real Redis", 0, make_redis,
     run_redis_worker},
    {"worker-ports", "a worker from the first record to the end", TORTURE_PORTS, make_feed, run_worker_ports},
    {"rebuild-ports", "a shard rebuilt from the journal", TORTURE_PORTS, make_feed, run_rebuild_ports},
    {"tail-ports", "a lost tail replayed from the journal", TORTURE_PORTS, make_feed, run_tail_ports},
    {"redis-ports", "a worker from the first record to the end, its store a real Redis", TORTURE_PORTS, make_redis,
     run_redis_ports},
    {"redis-system", "a worker from the first record to the end, its store a real Redis", TORTURE_SYSTEM, make_redis,
     run_redis_system},
};
const uint32_t torture_workers_count = sizeof torture_workers / sizeof *torture_workers;
