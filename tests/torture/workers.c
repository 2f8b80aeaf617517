/* A worker over the memory world, over a small feed, with one thing refused: it may go on by itself or end with a word.
   Another worker, whom nothing is refused, then comes to the end, and everything is as if nothing had been: each signal
   once, the same letters, the same state. */
#include "torture.h"

#include "support/stage.h"

static feed records;
static feed_out expected_signals, expected_kept;
static int64_t expected_letters, expected_tombstones;
static bool known;

static stage s;

static void make_feed(void)
{
    if (!records.count)
        feed_make(&records, 3, 2, 5, 60, 2);
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
        stage_kept(&s, (int32_t)p, records.greatest, &kept);
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

/* The worker something is refused to, and after it one to whom nothing is. */
static const char *work(bool ports)
{
    actor *a = stage_hire(&s, "tortured");
    if (ports)
        torture_ports(a);
    else
        s.on_worker = arm;
    tm_status status = stage_finish(&s, a);
    s.on_worker = NULL;
    const char *wrong = NULL;
    bool refused = ports ? torture_call_refused() != NULL : torture_refused() > 0;
    if (!refused && status != TM_OK)
        wrong = torture_say("nothing was refused: %s %s", tm_status_name(status), a->error.what);
    else if (status != TM_OK && !a->error.what[0])
        wrong = torture_say("%s without a word", tm_status_name(status));
    else if (status == TM_BROKEN || s.broken)
        wrong = torture_say("an internal check tripped: %.200s", s.report);
    if (wrong || status == TM_OK)
        return wrong;
    a = stage_hire(&s, "another");
    status = stage_finish(&s, a);
    return status == TM_OK ? NULL : torture_say("the other ended with %s: %s", tm_status_name(status), a->error.what);
}

static const char *live(bool ports)
{
    open_stage();
    const char *wrong = work(ports);
    wrong = wrong ? wrong : compare();
    stage_done(&s);
    return wrong;
}

/* Everything was done once; then the store is empty, or back where it was some commits before. */
static const char *rebuild(bool ports, bool tail)
{
    open_stage();
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
        wrong = work(ports);
    }
    wrong = wrong ? wrong : compare();
    stage_done(&s);
    return wrong;
}

static const char *run_worker(void)
{
    return live(false);
}

static const char *run_rebuild(void)
{
    return rebuild(false, false);
}

static const char *run_replayed_tail(void)
{
    return rebuild(false, true);
}

static const char *run_worker_ports(void)
{
    return live(true);
}

static const char *run_rebuild_ports(void)
{
    return rebuild(true, false);
}

static const char *run_tail_ports(void)
{
    return rebuild(true, true);
}

const torture_scenario torture_workers[] = {
    {"worker", "a worker from the first record to the end", false, make_feed, run_worker},
    {"rebuild", "a shard rebuilt from the journal", false, make_feed, run_rebuild},
    {"tail", "a lost tail replayed from the journal", false, make_feed, run_replayed_tail},
    {"worker-ports", "a worker from the first record to the end", true, make_feed, run_worker_ports},
    {"rebuild-ports", "a shard rebuilt from the journal", true, make_feed, run_rebuild_ports},
    {"tail-ports", "a lost tail replayed from the journal", true, make_feed, run_tail_ports},
};
const uint32_t torture_workers_count = sizeof torture_workers / sizeof *torture_workers;
