/* What is told of a shard whose invariant broke, and the hash of what is kept of it. */
#include "tidemark/pipeline/report.h"

#include "support/solo.h"
#include "tidemark/pipeline/poison.h"

static stage s;
static solo a;
static tm_store real;
static tm_status scan_answer;

static void set_up(void)
{
    tm_error error;
    stage_init(&s, 1, feed_rules);
    solo_open(&a, &s, "a");
    real = a.store;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
}

static void tear_down(void)
{
    a.store = real;
    solo_close(&a);
    stage_done(&s);
}

TestSuite(report, .init = set_up, .fini = tear_down);

static tm_status hash(uint64_t *ret_hash, uint64_t *ret_accounts, tm_error *error)
{
    tm_shard_meta meta;
    return tm_report_hash(&a.store, a.holding, ret_hash, ret_accounts, &meta, error);
}

static void commit(tm_time wall)
{
    tm_error error;
    (void)solo_apply(&a, wall);
    cr_assert_eq(solo_commit(&a, wall, &error), TM_OK, "%s", error.what);
}

/* A store whose accounts, or meta, are nonsense. */
static tm_status scan_damaged(void *context, int32_t partition, tm_store_visit visit, void *visited, tm_error *error)
{
    (void)context, (void)partition, (void)error;
    return visit(visited, 0, TM_SLICE_LITERAL("a0"), TM_SLICE_LITERAL("nonsense"));
}

static tm_status scan_answers(void *context, int32_t partition, tm_store_visit visit, void *visited, tm_error *error)
{
    (void)context, (void)partition, (void)visit, (void)visited;
    return tm_fail(error, scan_answer, "for a test");
}

static tm_status read_damaged(void *context, int32_t partition, tm_store_state *state, tm_error *error)
{
    tm_status status = real.read(context, partition, state, error);
    state->meta = TM_SLICE_LITERAL("nonsense");
    return status;
}

Test(report, the_hash_is_of_the_state_and_not_of_how_it_came)
{
    uint64_t sum, accounts, again;
    tm_error error;
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    commit(SOLO_WALL);
    cr_assert_eq(hash(&sum, &accounts, &error), TM_OK, "%s", error.what);
    cr_assert_eq(accounts, 1);
    cr_assert_eq(hash(&again, &accounts, &error), TM_OK);
    cr_assert_eq(again, sum);
    solo_buy(&s, 70, "3");
    commit(SOLO_WALL + 20 * TM_MINUTE);
    cr_assert_eq(hash(&again, &accounts, &error), TM_OK);
    cr_assert_neq(again, sum);
}

Test(report, a_shard_without_a_time_has_a_hash_too)
{
    uint64_t sum, accounts;
    tm_error error;
    cr_assert_eq(hash(&sum, &accounts, &error), TM_REJECT, "there is no shard");
    tm_holding_begin(a.holding, SOLO_WALL);
    cr_assert_eq(tm_ledger_commit(&a.ledger, a.holding, SOLO_WALL, TM_TIME_NONE, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_shard_time(a.holding->shard), TM_TIME_NONE);
    cr_assert_eq(hash(&sum, &accounts, &error), TM_OK, "%s", error.what);
    cr_assert(sum == 0 && accounts == 0);
}

Test(report, the_hash_says_why_there_is_none)
{
    uint64_t sum, accounts;
    tm_error error;
    solo_buy(&s, 1, "1");
    commit(SOLO_WALL);
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(hash(&sum, &accounts, &error), TM_RETRY);
    tm_memory_state_set_reachable(s.state, true);
    a.store.read = read_damaged;
    cr_assert_eq(hash(&sum, &accounts, &error), TM_REJECT);
    cr_assert(error.what[0]);
    a.store = real;
    a.store.scan_accounts = scan_damaged;
    cr_assert_eq(hash(&sum, &accounts, &error), TM_REJECT, "an account cannot be read");
    cr_assert(error.what[0]);
    cr_assert_eq(accounts, 0);
    a.store.scan_accounts = scan_answers;
    scan_answer = TM_RETRY;
    cr_assert_eq(hash(&sum, &accounts, &error), TM_RETRY);
    scan_answer = TM_FATAL;
    cr_assert_eq(hash(&sum, &accounts, &error), TM_REJECT);
}

/* The log's fields of shard_broken. */
static char report[4096];

static void log_report(void *context, tm_log_level level, const char *event, const char *message,
                       const tm_log_field *fields, uint32_t count)
{
    (void)context, (void)level, (void)message;
    if (strcmp(event, "shard_broken") != 0)
        return;
    size_t at = 0;
    for (uint32_t i = 0; i < count && at < sizeof report; i++) {
        int wrote =
            fields[i].type == TM_LOG_INTEGER
                ? snprintf(report + at, sizeof report - at, "%s=%" PRId64 "\n", fields[i].name, fields[i].integer)
                : snprintf(report + at, sizeof report - at, "%s=%.*s\n", fields[i].name, (int)fields[i].text.length,
                           fields[i].text.data);
        at += (size_t)wrote;
    }
}

Test(report, what_the_store_does_not_answer_is_left_out_and_the_shard_halts)
{
    tm_error error;
    solo_buy(&s, 1, "1");
    commit(SOLO_WALL);
    a.log.write = log_report;
    cr_assert_eq(tm_poison_tripped(a.holding, "it was tried", &error), TM_BROKEN);
    tm_memory_state_set_reachable(s.state, false);
    tm_report_broken(&a.ledger, a.holding, &error);
    tm_memory_state_set_reachable(s.state, true);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_eq(a.holding->halt, TM_HALT_INVARIANT);
    cr_assert_not_null(strstr(a.holding->halted.what, "it was tried"));
    cr_assert_null(a.holding->shard);
    cr_assert_not_null(strstr(report, "state_hash=\n"), "%s", report);
    cr_assert_not_null(strstr(report, "\ntime=\n"), "%s", report);
    cr_assert_null(strstr(report, "time_broken=\n"), "T of the shard itself is known: %s", report);
    cr_assert_not_null(strstr(report, "commit=1\n"));
}
