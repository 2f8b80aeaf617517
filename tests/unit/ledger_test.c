/* The protocol call by call: what moves R, what moves C, and what each refusal leaves behind. */
#include "tidemark/pipeline/ledger.h"

#include "support/solo.h"

static stage s;
static solo a;

static void set_up(void)
{
    stage_init(&s, 1, feed_rules);
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_buy(&s, 30, "3");
    solo_open(&a, &s, "a");
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(ledger, .init = set_up, .fini = tear_down);

static void claim_live(solo *o)
{
    tm_error error;
    cr_assert_eq(solo_claim(o, &error), TM_OK, "%s", error.what);
    cr_assert_eq(o->holding->state, TM_HOLDING_LIVE, "%s: %s", tm_holding_state_name(o->holding->state),
                 o->holding->halted.what);
}

Test(ledger, init_and_done)
{
    tm_ledger ledger;
    tm_ledger_init(&ledger, &a.store, &a.publisher, &a.source, &a.log, &a.clock);
    cr_assert_eq(ledger.store, &a.store);
    cr_assert_eq(ledger.publisher, &a.publisher);
    cr_assert_eq(ledger.source, &a.source);
    cr_assert(ledger.must_initialise, "older producers of this id are fenced first");
    tm_ledger_done(&ledger);
    cr_assert_null(ledger.store);
    cr_assert_null(ledger.writes);
}

Test(ledger, a_first_claim_is_clean)
{
    claim_live(&a);
    cr_assert_eq(a.holding->stored.commit, 0);
    cr_assert_eq(a.holding->published.commit, 0);
    cr_assert_eq(a.holding->stored.next[0], 0, "at the log's begin");
    cr_assert_eq(a.holding->stored.next[1], 0);
    cr_assert_gt(a.holding->epoch, 0);
    cr_assert_eq(tm_shard_account_count(a.holding->shard), 0);
    cr_assert_eq(a.holding->counting_start, FEED_START);
    cr_assert_not(a.ledger.must_initialise);
    cr_assert_eq(a.halts, 0);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "a claim writes no commit");
}

Test(ledger, a_commit_moves_r_and_a_publication_c)
{
    claim_live(&a);
    tm_error error;
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 3);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
    cr_assert_not(a.holding->open);
    tm_shard_meta meta;
    tm_position r = stage_position(&s, 0, &meta);
    cr_assert_eq(r.commit, 1);
    cr_assert_eq(r.next[0], 3);
    cr_assert(tm_position_equal(r, a.holding->stored));
    cr_assert_eq(meta.time, SOLO_WALL - s.settings.grace, "T after the advance");
    cr_assert_eq(solo_committed(&a).commit, 0, "C stands until the publication");
    cr_assert_eq(solo_signals(&s), 0);
    cr_assert_gt(a.holding->outbox.count, 0);

    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    cr_assert(tm_position_equal(solo_committed(&a), r));
    cr_assert(tm_position_equal(a.holding->published, r));
    cr_assert_eq(a.holding->outbox.count, 0);
    cr_assert_eq(solo_signals(&s), 3, "held_back raised, spend raised and updated");
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0), 2, "the configuration and the commit");

    cr_assert_eq(solo_publish(&a, &error), TM_OK, "nothing is behind");
    cr_assert_eq(solo_signals(&s), 3);
    solo_buy(&s, 62, "4");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + 5 * TM_MINUTE), 1);
    cr_assert_eq(solo_commit(&a, SOLO_WALL + 5 * TM_MINUTE, &error), TM_OK);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 2);
    cr_assert_eq(solo_committed(&a).commit, 1);
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0), 3, "the configuration is told once");
}

Test(ledger, a_commit_that_the_store_did_not_answer_is_tried_again)
{
    claim_live(&a);
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_RETRY);
    cr_assert(a.holding->sealed, "its end is decided");
    cr_assert_eq(a.holding->stored.commit, 0);
    uint32_t outputs = a.holding->outbox.count;
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_RETRY);
    tm_memory_state_set_reachable(s.state, true);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "nothing was written");
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 1, "the same n");
    cr_assert_eq(a.holding->outbox.count, outputs, "no output is made twice");
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    cr_assert_eq(solo_signals(&s), 3);
}

/* The write is done and the answer lost: the store's own word settles it, and nothing is written twice. */
static tm_status (*real_commit)(void *context, const tm_store_commit *commit, tm_error *error);

static tm_status commit_unanswered(void *context, const tm_store_commit *commit, tm_error *error)
{
    cr_assert_eq(real_commit(context, commit, error), TM_OK);
    return tm_fail(error, TM_RETRY, "the answer was lost");
}

Test(ledger, a_commit_whose_answer_was_lost_is_settled)
{
    claim_live(&a);
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    real_commit = a.store.commit;
    a.store.commit = commit_unanswered;
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK);
    a.store.commit = real_commit;
    cr_assert_eq(a.holding->stored.commit, 1);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 1);
}

Test(ledger, a_publication_in_doubt_is_not_repeated)
{
    claim_live(&a);
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK);
    tm_world_lose_answer(s.world);
    cr_assert_eq(solo_publish(&a, &error), TM_RETRY);
    cr_assert(a.ledger.must_initialise);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->published.commit, 1);
    cr_assert_eq(a.holding->outbox.count, 0);
    cr_assert_eq(solo_signals(&s), 3, "once, though it was asked for twice");
}

Test(ledger, what_another_claimed_is_refused_and_published_by_it)
{
    claim_live(&a);
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK);
    solo_buy(&s, 62, "4");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + 5 * TM_MINUTE), 1);

    tm_world_expel(s.world, &a.source);
    solo b;
    solo_open(&b, &s, "b");
    claim_live(&b);
    cr_assert_gt(b.holding->epoch, a.holding->epoch);
    cr_assert_eq(b.holding->stored.commit, 1);
    cr_assert_eq(b.holding->published.commit, 0);
    cr_assert_eq(tm_shard_account_count(b.holding->shard), 1);
    cr_assert_gt(b.holding->outbox.count, 0, "what the first left unpublished");

    cr_assert_eq(solo_commit(&a, SOLO_WALL + 5 * TM_MINUTE, &error), TM_REJECT);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 1, "nothing of it was written");
    cr_assert_eq(solo_publish(&a, &error), TM_REJECT);
    cr_assert_eq(solo_signals(&s), 0);
    cr_assert_eq(solo_publish(&b, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_signals(&s), 3);
    cr_assert_eq(solo_committed(&b).commit, 1);
    solo_close(&b);
}

Test(ledger, offsets_without_a_commit_number_halt_by_name)
{
    tm_world_set_committed(s.world, 0, (tm_position){{2, 0}, -1});
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "halting is this shard's answer, not the worker's failure");
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_not_null(strstr(a.holding->halted.what, "name no commit"), "%s", a.holding->halted.what);
    cr_assert_str_eq(a.holding->halted.where, "shard 0");
    cr_assert(a.holding->halted.hint[0]);
    cr_assert_eq(a.halts, 1);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "a halted holding has nothing to publish");
    cr_assert_eq(solo_committed(&a).commit, -1, "and its offsets are left alone");
}

Test(ledger, a_claim_waits_for_both_ledgers)
{
    tm_error error;
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    tm_memory_state_set_reachable(s.state, true);
    tm_world_set_reachable(s.world, false);
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.holding->state, TM_HOLDING_CLAIMING);
    tm_world_set_reachable(s.world, true);
    claim_live(&a);
}

Test(ledger, an_install_writes_the_whole_shard_and_publishes_nothing)
{
    claim_live(&a);
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    tm_outbox_forget(&a.holding->outbox, 1); /* a rebuild has none */
    cr_assert_eq(tm_shard_touch_all(a.holding->shard), TM_OK);
    tm_position position = {{3, 0}, 7};
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(tm_ledger_install(&a.ledger, a.holding, position, &error), TM_RETRY);
    tm_memory_state_set_reachable(s.state, true);
    cr_assert_eq(tm_ledger_install(&a.ledger, a.holding, position, &error), TM_OK, "%s", error.what);
    cr_assert(tm_position_equal(stage_position(&s, 0, NULL), position));
    cr_assert(tm_position_equal(a.holding->stored, position));
    cr_assert_eq(a.holding->outbox.count, 0, "no journal line either");
    feed_out kept = {0};
    stage_kept(&s, 0, SOLO_WALL, &kept);
    cr_assert_eq(kept.count, 1);
    feed_out_done(&kept);
}
