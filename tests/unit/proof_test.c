/* What must hold of a commit: each piece of nonsense planted in a holding stops it before it is written. */
#include "tidemark/pipeline/proof.h"

#include "support/solo.h"
#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/report.h"

static stage s;
static solo a;
static tm_holding *h;

static void set_up(void)
{
    tm_error error;
    stage_init(&s, 1, feed_rules);
    solo_open(&a, &s, "a");
    h = a.holding;
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 2);
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(proof, .init = set_up, .fini = tear_down);

static void commits(void)
{
    tm_error error;
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
}

/* The commit is refused with that check, and nothing of it is in the store. */
static void breaks(const char *check)
{
    tm_error error;
    int64_t before = stage_position(&s, 0, NULL).commit;
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_BROKEN, "%s did not trip", check);
    cr_assert_str_eq(h->broken->name, check);
    cr_assert_not_null(strstr(error.what, check), "%s", error.what);
    cr_assert_not(tm_poison_decide(h), "no record is to blame");
    cr_assert_eq(stage_position(&s, 0, NULL).commit, before);
    tm_report_broken(&a.ledger, h, &error);
    cr_assert_eq(h->state, TM_HOLDING_HALTED);
    cr_assert_eq(h->halt, TM_HALT_INVARIANT);
    cr_assert_eq(a.halts, 1);
}

Test(proof, a_sound_commit_is_written)
{
    commits();
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 1);
    cr_assert_not_null(strstr(h->last_line, "\"n\":1,"), "%s", h->last_line);
}

Test(proof, an_output_too_few)
{
    h->signal_count++;
    h->signals[h->signal_count - 1] = h->signals[0];
    breaks("outbox_count");
}

Test(proof, a_letter_that_was_not_written)
{
    h->letter_count++;
    breaks("outbox_count");
}

Test(proof, a_time_that_went_back)
{
    h->t_before = SOLO_WALL + TM_DAY;
    breaks("commit_time");
}

Test(proof, a_position_that_went_back)
{
    commits();
    solo_buy(&s, 3, "3");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + TM_MINUTE), 1);
    h->intake.lanes[TM_INPUT_USAGE].next = 1;
    breaks("commit_position");
}

Test(proof, an_interval_that_begins_beyond_its_end)
{
    h->from[TM_INPUT_USAGE] = 99;
    breaks("commit_interval");
}

Test(proof, an_output_of_a_later_commit)
{
    tm_output output = {.topic = TM_TOPIC_HEALTH, .partition = -1, .key = TM_SLICE_LITERAL("k")};
    cr_assert_eq(tm_outbox_add(&h->outbox, 7, &output), TM_OK);
    breaks("outbox_commit");
}

Test(proof, a_skip_without_its_letter)
{
    tm_source_record record = {.input = TM_INPUT_USAGE, .offset = 1};
    cr_assert_eq(tm_poison_note(h, &record, TM_SLICE_LITERAL("any")), TM_OK);
    breaks("skips_told");
}

Test(proof, fingerprints_of_a_later_commit)
{
    cr_assert_eq(tm_holding_note_span(h, 9, SOLO_WALL), TM_OK);
    breaks("fingerprint_commits");
}

Test(proof, an_account_whose_input_is_none)
{
    ((tm_account *)(uintptr_t)tm_shard_changed(h->shard, 0))->input = 5;
    breaks("judged_input");
}

Test(proof, a_changed_account_without_its_mark)
{
    tm_error error;
    commits();
    solo_buy(&s, 3, "3");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + TM_MINUTE), 1);
    ((tm_account *)(uintptr_t)tm_shard_changed(h->shard, 0))->changed = false;
    cr_assert_eq(tm_ledger_commit(&a.ledger, h, SOLO_WALL, TM_TIME_NONE, &error), TM_BROKEN);
    cr_assert_str_eq(h->broken->name, "write_account");
}

/* Of one commit's accounts one blob is read back, another each time: here there is one. */
Test(proof, a_blob_that_does_not_read_back)
{
    tm_moment now;
    tm_day_span span = {0};
    tm_buffer scratch, bytes;
    tm_moment_at(&now, tm_zone_utc(), tm_shard_time(h->shard), &span);
    tm_buffer_init(&scratch, 1 << 20);
    tm_buffer_init(&bytes, 1 << 20);
    const tm_account *account = tm_shard_changed(h->shard, 0);
    tm_state_encode(account, h->pack, &now, &bytes);
    tm_store_write write = {account->key, tm_buffer_slice(&bytes)};
    cr_assert_eq(tm_proof_writes(h, &write, 1, &now, &scratch), TM_OK);
    ((char *)(uintptr_t)write.blob.data)[bytes.length / 2] ^= 1;
    cr_assert_eq(tm_proof_writes(h, &write, 1, &now, &scratch), TM_BROKEN);
    cr_assert_str_eq(tm_heap_tripped(tm_shard_heap(h->shard))->name, "blob_reads_back");
    tm_buffer_done(&scratch);
    tm_buffer_done(&bytes);
}

Test(proof, a_meta_that_does_not_read_back)
{
    tm_shard_meta meta;
    tm_buffer bytes;
    tm_buffer_init(&bytes, 1 << 16);
    tm_holding_meta(h, &meta);
    tm_meta_encode(&meta, &bytes);
    cr_assert_eq(tm_proof_meta(h, &meta, tm_buffer_slice(&bytes)), TM_OK);
    meta.time++;
    cr_assert_eq(tm_proof_meta(h, &meta, tm_buffer_slice(&bytes)), TM_BROKEN);
    cr_assert_str_eq(tm_heap_tripped(tm_shard_heap(h->shard))->name, "meta_reads_back");
    tm_buffer_done(&bytes);
}

Test(proof, a_record_out_of_order)
{
    tm_error error;
    tm_source_record record = {.input = TM_INPUT_USAGE,
                               .offset = 1,
                               .timestamp = SOLO_MORNING,
                               .key = TM_SLICE_LITERAL("a0"),
                               .value = TM_SLICE_LITERAL("{")};
    cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_BROKEN, "it was applied before");
    cr_assert_str_eq(h->broken->name, "record_order");
    cr_assert_not(h->blamed);
    cr_assert_not_null(strstr(error.where, "usage:0:1"), "%s", error.where);
}

Test(proof, a_record_of_another_shard)
{
    tm_error error;
    tm_source_record record = {.input = TM_INPUT_USAGE,
                               .partition = 4,
                               .offset = 5,
                               .timestamp = SOLO_MORNING,
                               .key = TM_SLICE_LITERAL("a0"),
                               .value = TM_SLICE_LITERAL("{")};
    cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_BROKEN);
    cr_assert_str_eq(h->broken->name, "record_partition");
}

/* Without room or memory nothing can be proved, and nothing is wrong. */
Test(proof, a_proof_without_room_is_none)
{
    tm_moment now;
    tm_day_span span = {0};
    tm_buffer scratch, bytes;
    tm_moment_at(&now, tm_zone_utc(), tm_shard_time(h->shard), &span);
    tm_buffer_init(&scratch, 4);
    tm_buffer_init(&bytes, 1 << 20);
    const tm_account *account = tm_shard_changed(h->shard, 0);
    tm_state_encode(account, h->pack, &now, &bytes);
    tm_store_write write = {account->key, tm_buffer_slice(&bytes)};
    cr_assert_eq(tm_proof_writes(h, &write, 1, &now, &scratch), TM_OK);
    cr_assert_null(tm_heap_tripped(tm_shard_heap(h->shard)));
    tm_buffer_done(&scratch);
    tm_buffer_done(&bytes);
}

/* It decodes, and is not what would be written now. */
Test(proof, a_blob_of_another_moment)
{
    tm_moment now, then;
    tm_day_span span = {0};
    tm_buffer scratch, bytes;
    tm_moment_at(&now, tm_zone_utc(), tm_shard_time(h->shard), &span);
    tm_moment_at(&then, tm_zone_utc(), tm_shard_time(h->shard) + 40 * TM_DAY, &span);
    tm_buffer_init(&scratch, 1 << 20);
    tm_buffer_init(&bytes, 1 << 20);
    const tm_account *account = tm_shard_changed(h->shard, 0);
    tm_state_encode(account, h->pack, &now, &bytes);
    tm_store_write write = {account->key, tm_buffer_slice(&bytes)};
    cr_assert_eq(tm_proof_writes(h, &write, 1, &then, &scratch), TM_BROKEN);
    cr_assert_str_eq(tm_heap_tripped(tm_shard_heap(h->shard))->name, "blob_reads_back");
    tm_buffer_done(&scratch);
    tm_buffer_done(&bytes);
}

Test(proof, a_mark_that_does_not_read_back)
{
    tm_shard_meta meta;
    tm_buffer bytes;
    tm_buffer_init(&bytes, 1 << 16);
    tm_holding_meta(h, &meta);
    tm_meta_encode(&meta, &bytes);
    meta.marks[TM_INPUT_USAGE].key_hash++;
    cr_assert_eq(tm_proof_meta(h, &meta, tm_buffer_slice(&bytes)), TM_BROKEN);
    cr_assert_str_eq(tm_heap_tripped(tm_shard_heap(h->shard))->name, "marks_read_back");
    tm_buffer_done(&bytes);
}

/* --- each proof by itself; a heap remembers the first check that tripped --- */

static void trips(tm_status status, const char *check)
{
    cr_assert_eq(status, TM_BROKEN, "%s", check);
    cr_assert_str_eq(tm_heap_tripped(tm_shard_heap(h->shard))->name, check);
}

static tm_status prove_record(int64_t further, int32_t partition, tm_time t, uint64_t records)
{
    tm_source_record record = {
        .input = TM_INPUT_USAGE, .partition = partition, .offset = h->marks[TM_INPUT_USAGE].offset + further};
    return tm_proof_record(h, &record, tm_shard_time(h->shard) + t, tm_shard_counted(h->shard)->records - 1 + records);
}

Test(proof, a_record_that_was_applied)
{
    cr_assert_eq(prove_record(1, 0, 0, 0), TM_OK);
    cr_assert_eq(prove_record(100, 0, -1, 0), TM_OK, "offsets have gaps");
    trips(prove_record(0, 0, 0, 0), "record_order");
    cr_assert_eq(prove_record(1, 0, 0, 0), TM_OK);
}

Test(proof, a_record_that_took_time_back)
{
    trips(prove_record(1, 0, 1, 0), "record_time");
}

Test(proof, a_record_that_was_not_counted)
{
    trips(prove_record(1, 0, 0, 1), "record_counted");
}

Test(proof, a_record_that_another_shard_has)
{
    trips(prove_record(1, 1, 0, 0), "record_partition");
}

Test(proof, an_end_whose_number_is_taken)
{
    commits();
    trips(tm_proof_seal(h, true), "commit_number");
}

Test(proof, a_commit_is_settled_when_nothing_of_it_is_left)
{
    trips(tm_proof_settled(h), "settled_accounts");
    tm_shard_settled(h->shard);
    cr_assert_eq(tm_proof_settled(h), TM_OK);
}

Test(proof, nothing_is_published_that_is_not_written)
{
    commits();
    cr_assert_eq(tm_proof_settled(h), TM_OK);
    h->published.commit = h->stored.commit + 1;
    h->publishing = false;
    cr_assert_eq(tm_proof_settled(h), TM_OK, "a past commit that is replayed publishes nothing");
    h->publishing = true;
    trips(tm_proof_settled(h), "published_order");
}
