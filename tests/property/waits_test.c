/* Whom a worker waits for, as its gauges and its log tell it, while one thing after the other does not answer. */
#include "support/stage.h"

static feed f;
static stage s;

typedef struct told {
    uint32_t waiting[TM_WAITINGS], going_on[TM_WAITINGS];
    char error[600];
    tm_slice partition;
} told;

static told log_of[2];

static void count(void *context, tm_log_level level, const char *event, const char *message, const tm_log_field *fields,
                  uint32_t field_count)
{
    told *t = context;
    (void)level;
    (void)message;
    for (int what = 1; what < TM_WAITINGS && field_count > 0; what++) {
        if (strcmp(fields[0].name, "what") != 0 ||
            !tm_slice_equal_text(fields[0].text, tm_waiting_name((tm_waiting)what)))
            continue;
        t->waiting[what] += strcmp(event, "waiting") == 0;
        t->going_on[what] += strcmp(event, "going_on") == 0;
        if (strcmp(event, "waiting") == 0 && field_count > 2)
            snprintf(t->error, sizeof t->error, "%.*s", (int)fields[2].text.length, fields[2].text.data);
    }
}

static void event(int32_t partition, int64_t minute, const char *id)
{
    stage_buy(&s, &f, partition, minute, id, "");
}

static void set_up(void)
{
    f = (feed){.partitions = 2, .greatest = FEED_START};
    memset(log_of, 0, sizeof log_of);
    stage_init(&s, 2, feed_rules);
    s.base = STAGE_MORNING + TM_HOUR;
    for (int32_t p = 0; p < 2; p++) {
        event(p, 1, "1");
        event(p, 2, "2");
    }
}

static void tear_down(void)
{
    stage_done(&s);
    feed_done(&f);
}

TestSuite(waits, .init = set_up, .fini = tear_down);

static actor *hire(const char *instance)
{
    actor *a = stage_hire(&s, instance);
    a->ports.log = (tm_log){&log_of[a->number], count};
    return a;
}

static void steps(actor *a, int count)
{
    while (count-- > 0)
        stage_step(&s, a);
}

/* Lets the worker go on until what it waits for is just this. */
static void until(actor *a, uint32_t waiting)
{
    for (int i = 0; i < 5000 && atomic_load(&a->gauges.waiting) != waiting; i++)
        stage_step(&s, a);
    cr_assert_eq(atomic_load(&a->gauges.waiting), waiting, "%x", atomic_load(&a->gauges.waiting));
}

Test(waits, first_for_the_group_then_for_nothing)
{
    tm_world_set_reachable(s.world, false);
    actor *a = hire("only");
    steps(a, 5);
    cr_assert_eq(atomic_load(&a->gauges.waiting), 1u << TM_WAITING_GROUP);
    cr_assert_eq(log_of[0].waiting[TM_WAITING_GROUP], 1, "said once, however often it is tried");
    cr_assert_gt(atomic_load(&a->gauges.beat), 0);
    tm_world_set_reachable(s.world, true);
    until(a, 0);
    cr_assert_eq(log_of[0].going_on[TM_WAITING_GROUP], 1);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

Test(waits, an_assignment_that_comes_at_once_is_not_worth_a_line)
{
    actor *a = hire("only");
    until(a, 0);
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    for (int what = 1; what < TM_WAITINGS; what++) {
        cr_assert_eq(log_of[0].waiting[what], 0, "%s", tm_waiting_name((tm_waiting)what));
        cr_assert_eq(log_of[0].going_on[what], 0);
    }
}

Test(waits, for_the_store_with_a_line_each_half_minute)
{
    actor *a = hire("only");
    steps(a, 60);
    until(a, 0);
    tm_memory_state_set_reachable(s.state, false);
    event(0, 61, "x");
    s.now += 2 * TM_MINUTE;
    until(a, 1u << TM_WAITING_STORE);
    int64_t since = atomic_load(&a->gauges.waiting_since[TM_WAITING_STORE]);
    char why[TM_NOTE_MAX];
    int64_t partition;
    cr_assert(tm_note_read(&a->gauges.waiting_why[TM_WAITING_STORE], &partition, why));
    cr_assert_str_not_empty(why);
    cr_assert(partition == 0 || partition == 1);
    cr_assert_str_not_empty(log_of[0].error);
    int64_t begun = s.now;
    while (s.now - begun < 100000)
        stage_step(&s, a);
    cr_assert_eq(atomic_load(&a->gauges.waiting), 1u << TM_WAITING_STORE);
    cr_assert_eq(atomic_load(&a->gauges.waiting_since[TM_WAITING_STORE]), since, "one wait, not one a try");
    cr_assert_lt(s.now - atomic_load(&a->gauges.beat), 1000, "it lives while it waits");
    uint32_t said = log_of[0].waiting[TM_WAITING_STORE]; /* at a try at or after 0, 30, 60, and perhaps 90 s */
    cr_assert(said == 3 || said == 4, "%u times", said);
    cr_assert_eq(log_of[0].going_on[TM_WAITING_STORE], 0);
    tm_memory_state_set_reachable(s.state, true);
    until(a, 0);
    cr_assert_eq(log_of[0].going_on[TM_WAITING_STORE], 1);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

Test(waits, for_the_store_at_a_take_over)
{
    tm_memory_state_set_reachable(s.state, false);
    actor *a = hire("only");
    until(a, 1u << TM_WAITING_STORE);
    cr_assert_eq(log_of[0].waiting[TM_WAITING_STORE], 1);
    tm_memory_state_set_reachable(s.state, true);
    until(a, 0);
    cr_assert_eq(log_of[0].going_on[TM_WAITING_STORE], 1);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

Test(waits, for_the_brokers)
{
    actor *a = hire("only");
    steps(a, 60);
    until(a, 0);
    tm_world_set_reachable(s.world, false);
    for (int i = 0; i < 3000 && atomic_load(&a->gauges.waiting) == 0; i++)
        stage_step(&s, a);
    uint32_t waiting = atomic_load(&a->gauges.waiting);
    cr_assert(waiting & (1u << TM_WAITING_INPUT | 1u << TM_WAITING_PUBLISHER), "%x", waiting);
    cr_assert_not(waiting & 1u << TM_WAITING_STORE);
    steps(a, 50);
    cr_assert_neq(atomic_load(&a->gauges.waiting), 0);
    tm_world_set_reachable(s.world, true);
    until(a, 0);
    cr_assert_eq(log_of[0].waiting[TM_WAITING_INPUT], log_of[0].going_on[TM_WAITING_INPUT], "%u %u",
                 log_of[0].waiting[TM_WAITING_INPUT], log_of[0].going_on[TM_WAITING_INPUT]);
    cr_assert_eq(log_of[0].waiting[TM_WAITING_PUBLISHER], log_of[0].going_on[TM_WAITING_PUBLISHER]);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

/* What is waited for on behalf of shards ends when they are another's. */
Test(waits, a_shard_that_was_lost_is_not_waited_for)
{
    actor *a = hire("first");
    steps(a, 60);
    until(a, 0);
    tm_memory_state_set_reachable(s.state, false);
    event(0, 61, "x");
    event(1, 61, "x");
    s.now += 2 * TM_MINUTE;
    until(a, 1u << TM_WAITING_STORE);
    tm_world_expel(s.world, &a->inner);
    actor *b = hire("second");
    for (int i = 0; i < 20; i++)
        stage_step(&s, b);
    tm_memory_state_set_reachable(s.state, true);
    for (int i = 0; i < 3000 && (atomic_load(&a->gauges.waiting) || atomic_load(&b->gauges.waiting)); i++) {
        stage_step(&s, a);
        stage_step(&s, b);
    }
    cr_assert_eq(atomic_load(&a->gauges.waiting), 0, "%x", atomic_load(&a->gauges.waiting));
    cr_assert_eq(atomic_load(&b->gauges.waiting), 0, "%x", atomic_load(&b->gauges.waiting));
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_stop(&s, b), TM_OK, "%s", b->error.what);
}

/* A member for whom there is no partition has joined, waits for nothing, and a run with an end ends for it. */
Test(waits, a_member_without_partitions)
{
    actor *more[3];
    for (int i = 0; i < 2; i++)
        more[i] = hire(i ? "second" : "first");
    more[2] = stage_hire(&s, "third");
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < 3; k++)
            stage_step(&s, more[k]);
    }
    uint32_t shards = 0;
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(atomic_load(&more[k]->gauges.waiting), 0, "worker %d: %x", k,
                     atomic_load(&more[k]->gauges.waiting));
        shards += atomic_load(&more[k]->gauges.shards);
    }
    cr_assert_eq(shards, 2);
    for (int k = 0; k < 3; k++)
        cr_assert_eq(stage_stop(&s, more[k]), TM_OK, "%s", more[k]->error.what);
}

/* Counters name what was committed, once: not again when it is read again. */
Test(waits, counters_only_grow)
{
    actor *a = hire("first");
    steps(a, 60);
    cr_assert_eq(a->gauges.records, 4);
    cr_assert_eq(a->gauges.applied, 4);
    event(0, 61, "x");
    tm_memory_state_set_reachable(s.state, false);
    s.now += 2 * TM_MINUTE;
    until(a, 1u << TM_WAITING_STORE);
    cr_assert_eq(a->gauges.records, 4, "not yet committed");
    tm_world_expel(s.world, &a->inner); /* dropped, and taken over again */
    tm_memory_state_set_reachable(s.state, true);
    for (int i = 0; i < 3000; i++)
        stage_step(&s, a);
    cr_assert_eq(a->gauges.records, 5);
    uint64_t commits = 0;
    for (int i = 0; i < TM_DURATION_BUCKETS; i++)
        commits += a->gauges.commit_times.buckets[i];
    cr_assert_eq(commits, a->gauges.commits);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

/* Two workers whom the same store fails at the same moment do not come back at the same moments. */
Test(waits, seeds_tell_workers_apart)
{
    int64_t pauses[2][12];
    for (int w = 0; w < 2; w++) {
        if (w) {
            tear_down();
            set_up();
        }
        tm_memory_state_set_reachable(s.state, false);
        actor *a = stage_hire(&s, "only");
        a->ports.seed = w ? UINT64_C(0x9e3779b97f4a7c15) : 7;
        /* Each attempt at a claim is a line of the log. */
        int seen = 0;
        while (seen < 12) {
            int64_t before = atomic_load(&a->gauges.waiting_why[TM_WAITING_STORE].turn);
            stage_step(&s, a);
            if (atomic_load(&a->gauges.waiting_why[TM_WAITING_STORE].turn) != before)
                pauses[w][seen++] = s.now;
        }
        tm_memory_state_set_reachable(s.state, true);
        cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    }
    cr_assert_neq(memcmp(pauses[0], pauses[1], sizeof pauses[0]), 0);
}
