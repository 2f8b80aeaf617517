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
    tm_ledger_init(&ledger, &a.store, &a.publisher, &a.source, &a.log, &a.clock, 1);
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
    a.holding->publishing = false;
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

/* --- what must not be guessed, and what there is no room for --- */

static void committed_one(void)
{
    tm_error error;
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
}

static tm_store_state settled;

static tm_status read_settled(void *context, int32_t partition, tm_store_state *state, tm_error *error)
{
    (void)context, (void)partition, (void)error;
    *state = settled;
    return TM_OK;
}

static tm_status commit_retry(void *context, const tm_store_commit *commit, tm_error *error)
{
    (void)context, (void)commit;
    return tm_fail(error, TM_RETRY, "no answer");
}

Test(ledger, what_became_of_a_commit_is_the_stores_own_word)
{
    tm_error error;
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    tm_store real = a.store;
    a.store.commit = commit_retry;
    a.store.read = read_settled;
    settled = (tm_store_state){.epoch = a.holding->epoch};
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_RETRY, "as before: not there yet");
    tm_position next = a.holding->next;
    settled = (tm_store_state){.present = true, .position = next, .epoch = a.holding->epoch + 1};
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_REJECT, "this position, but another's epoch");
    cr_assert_not_null(strstr(error.what, "epoch"), "%s", error.what);
    settled = (tm_store_state){.epoch = a.holding->epoch + 1};
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_REJECT);
    settled = (tm_store_state){.present = true, .position = {{9, 9}, 4}, .epoch = a.holding->epoch};
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_REJECT);
    settled = (tm_store_state){.present = true, .position = next, .epoch = a.holding->epoch};
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "it was written");
    cr_assert(tm_position_equal(a.holding->stored, next));
    a.store = real;
}

Test(ledger, a_commit_that_does_not_fit_is_not_written)
{
    tm_error error;
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    tm_buffer *rooms[] = {&a.ledger.blobs, &a.ledger.meta, &a.ledger.fingerprints};
    for (int i = 0; i < 3; i++) {
        size_t maximum = rooms[i]->maximum;
        tm_buffer_done(rooms[i]);
        tm_buffer_init(rooms[i], 4);
        cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_FATAL, "%d", i);
        cr_assert_not_null(strstr(error.what, "no memory"), "%s", error.what);
        cr_assert_eq(stage_position(&s, 0, NULL).commit, 0);
        tm_buffer_done(rooms[i]);
        tm_buffer_init(rooms[i], maximum);
    }
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
}

Test(ledger, a_journal_line_that_does_not_fit_ends_the_commit_with_a_word)
{
    tm_error error;
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    a.reading.text.maximum = 4;
    cr_assert_eq(tm_ledger_commit(&a.ledger, a.holding, SOLO_WALL, TM_TIME_NONE, &error), TM_FATAL);
    cr_assert_not_null(strstr(error.what, "no memory"), "%s", error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0);
}

Test(ledger, a_written_commit_whose_ledgers_are_in_disorder_is_told)
{
    tm_error error;
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    a.holding->published.commit = 9;
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_BROKEN);
    cr_assert_str_eq(a.holding->broken->name, "published_order");
}

Test(ledger, offsets_that_this_worker_cannot_have_left_are_refused)
{
    tm_error error;
    committed_one();
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    static const int64_t commits[] = {0, 7};
    for (int i = 0; i < 2; i++) {
        a.ledger.must_initialise = true;
        tm_world_set_committed(s.world, 0, (tm_position){{3, 0}, commits[i]});
        cr_assert_eq(solo_publish(&a, &error), TM_REJECT, "%d", i);
        cr_assert_not_null(strstr(error.what, "published up to 1 of 1"), "%s", error.what);
        cr_assert(a.ledger.must_initialise);
    }
    tm_world_set_committed(s.world, 0, a.holding->stored);
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    cr_assert_not(a.ledger.must_initialise);
}

/* A publisher that takes no record above some size, and refuses or fails as it is told. */
static tm_publisher real_publisher;
static size_t takes;
static tm_status send_answer, abort_answer;
static tm_topic refuses;
static int aborts, sends;
static size_t sent_letter;

static tm_status send_small(void *context, const tm_output *output, tm_error *error)
{
    sends++;
    if (output->topic == refuses && output->value.length > takes)
        return tm_fail(error, send_answer, "for a test");
    if (output->topic == TM_TOPIC_DEAD_LETTERS)
        sent_letter = output->value.length;
    return real_publisher.send(context, output, error);
}

static tm_status abort_counted(void *context, tm_error *error)
{
    aborts++;
    (void)real_publisher.abort(context, error);
    return abort_answer;
}

static void publish_small(tm_topic topic, size_t most, tm_status otherwise)
{
    real_publisher = a.publisher;
    a.publisher.send = send_small;
    a.publisher.abort = abort_counted;
    refuses = topic;
    takes = most;
    send_answer = otherwise;
}

/* A record of so many bytes that no reader can use, committed. */
static void commit_letter(size_t length)
{
    tm_error error;
    char *value = malloc(length);
    memset(value, 'x', length);
    tm_world_record record = {
        .key = TM_SLICE_LITERAL("a0"), .value = {value, length}, .timestamp = SOLO_MORNING + 40 * TM_MINUTE};
    cr_assert_eq(tm_world_append(s.world, TM_INPUT_USAGE, 0, &record, NULL), TM_OK);
    free(value);
    claim_live(&a);
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
}

Test(ledger, a_letter_is_cut_until_its_topic_takes_it)
{
    tm_error error;
    commit_letter(20000);
    publish_small(TM_TOPIC_DEAD_LETTERS, 3000, TM_REJECT);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    cr_assert(sent_letter > 300 && sent_letter <= 3000, "%zu", sent_letter);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_DEAD_LETTERS, 0), 1);
    tm_world_record letter;
    cr_assert(tm_world_output(s.world, TM_TOPIC_DEAD_LETTERS, 0, 0, &letter));
    cr_assert_not_null(memmem(letter.value.data, letter.value.length, "\"truncated\":true", 16));
    cr_assert_eq(aborts, 0);
}

Test(ledger, a_letter_that_no_cut_makes_small_enough_is_waited_for)
{
    tm_error error;
    commit_letter(20000);
    publish_small(TM_TOPIC_DEAD_LETTERS, 10, TM_REJECT);
    cr_assert_eq(solo_publish(&a, &error), TM_RETRY, "never left out");
    cr_assert_eq(aborts, 1);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_DEAD_LETTERS, 0), 0);
    a.publisher = real_publisher;
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_DEAD_LETTERS, 0), 1);
    cr_assert_eq(solo_signals(&s), 3);
}

Test(ledger, a_letter_without_anything_to_cut_is_waited_for)
{
    tm_error error;
    claim_live(&a);
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING, "");
    tm_world_record record = {.timestamp = SOLO_MORNING};
    cr_assert_eq(tm_world_append(s.world, TM_INPUT_ACCOUNTS, 0, &record, NULL), TM_OK);
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
    publish_small(TM_TOPIC_DEAD_LETTERS, 10, TM_REJECT);
    cr_assert_eq(solo_publish(&a, &error), TM_RETRY);
    cr_assert_eq(aborts, 1);
    a.publisher = real_publisher;
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

Test(ledger, without_room_to_cut_a_letter_it_is_waited_for)
{
    tm_error error;
    commit_letter(20000);
    publish_small(TM_TOPIC_DEAD_LETTERS, 3000, TM_REJECT);
    a.ledger.letter.maximum = 100;
    cr_assert_eq(solo_publish(&a, &error), TM_RETRY);
    a.ledger.letter.maximum = 1 << 20;
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

Test(ledger, any_other_output_that_its_topic_does_not_take_is_waited_for)
{
    tm_error error;
    commit_letter(100);
    publish_small(TM_TOPIC_EXPANSION, 10, TM_REJECT);
    abort_answer = TM_RETRY;
    cr_assert_eq(solo_publish(&a, &error), TM_RETRY);
    cr_assert_eq(aborts, 1, "the transaction does not stay open");
    cr_assert(a.ledger.must_initialise);
    cr_assert_eq(solo_signals(&s), 0, "nothing of it is visible");
    cr_assert_eq(solo_committed(&a).commit, 0);
    a.publisher = real_publisher;
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_signals(&s), 3, "each once");
}

Test(ledger, a_send_that_cannot_succeed_ends_the_publication_without_a_try_to_abort)
{
    tm_error error;
    commit_letter(100);
    publish_small(TM_TOPIC_DEAD_LETTERS, 10, TM_FATAL);
    cr_assert_eq(solo_publish(&a, &error), TM_FATAL);
    cr_assert_eq(aborts, 0, "the producer is at its end");
    cr_assert(a.ledger.must_initialise);
    a.publisher = real_publisher;
    (void)real_publisher.abort(real_publisher.context, &error);
}

Test(ledger, a_halt_stops_the_shard_and_is_said_once_for_all)
{
    claim_live(&a);
    tm_error why;
    (void)tm_fail(&why, TM_FATAL, "the disc is full");
    tm_ledger_halt(&a.ledger, a.holding, TM_HALT_INVARIANT, &why);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_eq(a.holding->halt, TM_HALT_INVARIANT);
    cr_assert_str_eq(a.holding->halted.what, "the disc is full");
    cr_assert_eq(a.halts, 1, "shard_halted");
    cr_assert_null(a.holding->shard, "its memory is freed");
}

Test(ledger, a_publication_of_nothing_is_none)
{
    tm_error error;
    cr_assert_eq(tm_ledger_publish(&a.ledger, NULL, 0, &error), TM_OK);
    claim_live(&a);
    tm_holding *holdings[] = {a.holding};
    cr_assert_eq(tm_ledger_publish(&a.ledger, holdings, 1, &error), TM_OK);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0), 0);
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK);
    cr_assert_eq(tm_ledger_publish(&a.ledger, holdings, 1, &error), TM_OK);
    cr_assert_eq(a.holding->published.commit, 1);
}
