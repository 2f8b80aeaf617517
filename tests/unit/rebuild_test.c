/* A shard whose store was emptied: the journal and the log bring it back, or it halts and says why. */
#include "tidemark/pipeline/rebuild.h"

#include "support/solo.h"

static stage s;
static solo a;
static tm_memory_journal lines;
static tm_journal_source journal;

static void set_up(void)
{
    stage_init(&s, 1, feed_rules);
    journal = tm_memory_journal_port(&lines, s.world);
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING, "{\"account\":\"a0\",\"seats\":5}");
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_open(&a, &s, "a");
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(rebuild, .init = set_up, .fini = tear_down);

static void commit_and_publish(tm_time wall)
{
    tm_error error;
    (void)solo_apply(&a, wall);
    cr_assert_eq(solo_commit(&a, wall, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

/* Two commits, published; then the store is emptied and the shard is claimed again. `ret_kept`: what it had. */
static void lose(feed_out *ret_kept)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    commit_and_publish(SOLO_MORNING + 20 * TM_MINUTE);
    solo_buy(&s, 30, "3");
    commit_and_publish(SOLO_WALL);
    stage_kept(&s, 0, SOLO_WALL, ret_kept);
    cr_assert_eq(ret_kept->count, 1);
    cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
}

static void claim_replaying(void)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING);
}

/* Steps with what arrives in between, until it is live or says something else than TM_OK. */
static tm_status run(tm_rebuild *rebuild, tm_error *error)
{
    for (int i = 0; i < 100; i++) {
        bool waiting;
        tm_status status = tm_rebuild_step(rebuild, &waiting, error);
        if (status != TM_OK || a.holding->state != TM_HOLDING_REPLAYING)
            return status;
        if (waiting)
            solo_poll(&a);
    }
    cr_assert_fail("the rebuild did not come to its end");
    return TM_FATAL;
}

Test(rebuild, an_emptied_store_comes_back_as_it_was)
{
    feed_out before = {0}, after = {0};
    lose(&before);
    uint32_t signals = solo_signals(&s);
    int64_t told = tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0);
    tm_position c = solo_committed(&a);
    cr_assert_eq(c.commit, 2);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_not_null(rebuild);
    cr_assert_not(a.holding->publishing, "what was published is not published again");
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    cr_assert(waiting, "nothing has arrived yet");
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    tm_rebuild_free(rebuild);

    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s", a.holding->halted.what);
    cr_assert_eq(a.rebuilt, 1);
    cr_assert_eq(a.differs, 0);
    cr_assert(a.holding->publishing);
    cr_assert(tm_position_equal(a.holding->stored, c));
    cr_assert(tm_position_equal(a.holding->published, c));
    cr_assert(tm_position_equal(stage_position(&s, 0, NULL), c));
    stage_kept(&s, 0, SOLO_WALL, &after);
    feed_out_same(&before, &after, "kept accounts");
    feed_out_done(&before), feed_out_done(&after);
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    cr_assert_eq(solo_signals(&s), signals);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0), told);

    /* It goes on where it was: a duplicate is still known, a new event counts. */
    solo_buy(&s, 61, "3");
    solo_buy(&s, 62, "4");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + 5 * TM_MINUTE), 2);
    cr_assert_eq(tm_shard_accepted_count(a.holding->shard), 1);
    cr_assert_eq(solo_commit(&a, SOLO_WALL + 5 * TM_MINUTE, &error), TM_OK, "%s", error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 3);
}

Test(rebuild, a_journal_that_does_not_answer_is_waited_for)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    tm_world_set_reachable(s.world, false);
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_RETRY);
    cr_assert_null(rebuild);
    tm_world_set_reachable(s.world, true);
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    tm_world_set_reachable(s.world, false);
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_RETRY);
    tm_world_set_reachable(s.world, true);
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(run(rebuild, &error), TM_RETRY, "the store is asked at the end");
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING);
    tm_memory_state_set_reachable(s.state, true);
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE);
    tm_rebuild_free(rebuild);
}

Test(rebuild, offsets_beyond_the_input_halt_at_once)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    claim_replaying();
    a.holding->published.next[0] = 9; /* the topic was cut after the claim */
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    cr_assert_null(rebuild);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_eq(a.holding->halt, TM_HALT_TOPIC_CUT);
    cr_assert_not_null(strstr(a.holding->halted.what, "beyond the end"), "%s", a.holding->halted.what);
    cr_assert_eq(a.halts, 1);
}

Test(rebuild, a_journal_that_leads_elsewhere_halts)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    tm_position c = solo_committed(&a);
    c.commit = 50;
    tm_world_set_committed(s.world, 0, c);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_not_null(strstr(a.holding->halted.what, "does not lead to the commit"), "%s", a.holding->halted.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "nothing was written");
    tm_rebuild_free(rebuild);
}

Test(rebuild, free_takes_null)
{
    tm_rebuild_free(NULL);
}
