/* Take-over call by call: what the store or the group may answer, and what that leaves of the claim. The rows of the
   table are in tests/property/takeover_test.c, with whole workers.
   Long because: every answer of a claim's calls is one small test over the same stage. */
#include "support/solo.h"

#include "tidemark/pipeline/meta.h"

static stage s;
static solo a;
static tm_store real;
static tm_source real_source;
static tm_buffer meta_room;

static void set_up(void)
{
    stage_init(&s, 1, feed_rules);
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_open(&a, &s, "a");
    real = a.store;
    real_source = a.source;
}

static void tear_down(void)
{
    a.store = real;
    a.source = real_source;
    solo_close(&a);
    stage_done(&s);
    tm_buffer_done(&meta_room);
}

TestSuite(claim, .init = set_up, .fini = tear_down);

static void claim_live(void)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s: %s", tm_holding_state_name(a.holding->state),
                 a.holding->halted.what);
}

static void commit(void)
{
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL);
    cr_assert_eq(solo_commit(&a, SOLO_WALL, &error), TM_OK, "%s", error.what);
}

static void live_once(void)
{
    tm_error error;
    claim_live();
    commit();
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

static void halts(tm_halt halt, const char *word)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "halting is this shard's answer: %s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED, "%s", tm_holding_state_name(a.holding->state));
    cr_assert_str_eq(tm_halt_code(a.holding->halt), tm_halt_code(halt));
    cr_assert_not_null(strstr(a.holding->halted.what, word), "%s", a.holding->halted.what);
    cr_assert(a.holding->halted.hint[0], "an operator is told what to do");
    cr_assert_null(a.holding->shard);
    cr_assert_eq(a.halts, 1);
}

/* --- what the scans bring --- */

static tm_slice scanned;

static tm_status scan_one(void *context, int32_t partition, tm_store_visit visit, void *visited, tm_error *error)
{
    (void)context, (void)partition, (void)error;
    return visit(visited, 1, TM_SLICE_LITERAL("a0"), scanned);
}

static tm_status scan_twice(void *context, int32_t partition, tm_store_visit visit, void *visited, tm_error *error)
{
    tm_status status = real.scan_accounts(context, partition, visit, visited, error);
    return status == TM_OK ? real.scan_accounts(context, partition, visit, visited, error) : status;
}

Test(claim, an_account_that_cannot_be_read_halts)
{
    live_once();
    a.store.scan_accounts = scan_one;
    scanned = TM_SLICE_LITERAL("nonsense");
    halts(TM_HALT_STATE_DAMAGED, "state");
}

Test(claim, an_account_that_a_scan_shows_twice_is_there_once)
{
    live_once();
    a.store.scan_accounts = scan_twice;
    claim_live();
    cr_assert_eq(tm_shard_account_count(a.holding->shard), 1);
}

Test(claim, fingerprints_that_cannot_be_read_halt)
{
    live_once();
    a.store.scan_fingerprints = scan_one;
    scanned = TM_SLICE_LITERAL("x");
    halts(TM_HALT_STATE_DAMAGED, "fingerprints of commit 1");
}

Test(claim, accounts_beyond_the_memory_halt)
{
    static char keys[4000][16];
    s.settings.commit_accounts = 10000;
    live_once();
    for (int i = 0; i < 4000; i++) {
        char value[160];
        snprintf(keys[i], sizeof keys[i], "b%d", i);
        snprintf(value, sizeof value, "{\"id\":\"%d\",\"account\":\"%s\",\"event\":\"buy\",\"at\":%" PRId64 "}", i,
                 keys[i], SOLO_WALL);
        tm_world_record record = {
            .key = tm_slice_of(keys[i]), .value = tm_slice_of(value), .timestamp = SOLO_WALL + TM_MINUTE};
        cr_assert_eq(tm_world_append(s.world, TM_INPUT_USAGE, 0, &record, NULL), TM_OK);
    }
    tm_error error;
    (void)solo_apply(&a, SOLO_WALL + TM_HOUR);
    cr_assert_eq(solo_commit(&a, SOLO_WALL + TM_HOUR, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    s.settings.shard.memory_limit = (size_t)1 << 20;
    halts(TM_HALT_MEMORY, "memory");
    cr_assert_not_null(strstr(a.holding->halted.hint, "memory_limit"));
}

/* Whatever of the shard there is no room for: it halts with that word, or it is live with everything. */
Test(claim, whatever_the_memory_is_enough_for)
{
    live_once();
    size_t limit = 1024;
    int halted = 0;
    for (;; limit += 96) {
        tm_error error;
        s.settings.shard.memory_limit = limit;
        a.holding->state = TM_HOLDING_CLAIMING;
        tm_status status = solo_claim(&a, &error);
        if (status == TM_OK && a.holding->state == TM_HOLDING_LIVE)
            break;
        cr_assert_lt(limit, 1 << 22);
        cr_assert(status == TM_FATAL || a.holding->halt == TM_HALT_MEMORY, "%zu: %s", limit, error.what);
        halted += status == TM_OK;
    }
    cr_assert_gt(halted, 0);
    cr_assert_eq(tm_shard_account_count(a.holding->shard), 1);
}

Test(claim, a_shard_whose_time_never_began_is_taken_over)
{
    tm_error error;
    claim_live();
    tm_holding_begin(a.holding, SOLO_WALL);
    cr_assert_eq(tm_ledger_commit(&a.ledger, a.holding, SOLO_WALL, TM_TIME_NONE, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
    claim_live();
    cr_assert_eq(a.holding->stored.commit, 1);
    cr_assert_eq(tm_shard_time(a.holding->shard), TM_TIME_NONE);
    cr_assert_eq(tm_shard_counting(a.holding->shard, 0).start, FEED_START);
}

/* It was read in several calls: it is one state only if nothing moved meanwhile. */
static int reads;
static tm_store_state moved_to;
static tm_status read_answer;

static tm_status read_moved(void *context, int32_t partition, tm_store_state *state, tm_error *error)
{
    tm_status status = real.read(context, partition, state, error);
    reads++;
    if (read_answer != TM_OK)
        return tm_fail(error, read_answer, "for a test");
    state->present = moved_to.present;
    state->epoch += moved_to.epoch;
    state->position.commit += moved_to.position.commit;
    return status;
}

Test(claim, what_moved_while_it_was_read_is_claimed_again)
{
    tm_error error;
    live_once();
    a.store.read = read_moved;
    static const tm_store_state ways[] = {
        {.present = false}, {.present = true, .epoch = 1}, {.present = true, .position = {.commit = 1}}};
    for (int i = 0; i < 3; i++) {
        moved_to = ways[i];
        cr_assert_eq(solo_claim(&a, &error), TM_RETRY, "%d", i);
        cr_assert_not_null(strstr(error.what, "no longer where this worker claimed it"), "%s", error.what);
        cr_assert_neq(a.holding->state, TM_HOLDING_LIVE);
    }
    moved_to = (tm_store_state){.present = true};
    read_answer = TM_RETRY;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_STORE);
    read_answer = TM_OK;
    claim_live();
    cr_assert_eq(reads, 5, "once a claim");
}

static tm_status outbox_answer;

static tm_status scan_outbox_answers(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                                     void *visited, tm_error *error)
{
    (void)context, (void)partition, (void)published, (void)visit, (void)visited;
    return tm_fail(error, outbox_answer, "for a test");
}

Test(claim, a_scan_that_is_not_answered_is_waited_for)
{
    tm_error error;
    live_once();
    a.store.scan_outbox = scan_outbox_answers;
    outbox_answer = TM_RETRY;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_STORE);
    outbox_answer = TM_FATAL;
    halts(TM_HALT_MEMORY, "for a test");
}

/* A check that trips while the kept state is taken in: no record is to blame. */
static tm_status scan_tripped(void *context, int32_t partition, tm_store_visit visit, void *visited, tm_error *error)
{
    static const tm_check check = {"planted", "takeover_test.c", 1};
    if (!a.holding->shard) /* the report looks once more */
        return real.scan_accounts(context, partition, visit, visited, error);
    return tm_heap_trip(tm_shard_heap(a.holding->shard), &check);
}

Test(claim, kept_state_that_trips_a_check_halts_with_a_report)
{
    live_once();
    a.store.scan_accounts = scan_tripped;
    halts(TM_HALT_INVARIANT, "planted");
    cr_assert_not_null(strstr(a.holding->halted.what, "what the store keeps was taken in"));
}

static tm_slice meta_bytes;
static tm_shard_meta meta_wanted;

static tm_status claim_meta(void *context, int32_t partition, int64_t generation, int64_t raise, tm_store_state *state,
                            tm_error *error)
{
    tm_status status = real.claim(context, partition, generation, raise, state, error);
    state->meta = meta_bytes;
    return status;
}

static tm_status read_meta(void *context, int32_t partition, tm_store_state *state, tm_error *error)
{
    tm_status status = real.read(context, partition, state, error);
    state->meta = meta_bytes;
    return status;
}

Test(claim, a_meta_that_cannot_be_read_halts)
{
    live_once();
    a.store.claim = claim_meta;
    meta_bytes = TM_SLICE_LITERAL("nonsense");
    halts(TM_HALT_STATE_DAMAGED, "form");
    cr_assert_str_eq(a.holding->halted.where, "shard 0");
}

/* A meta that says something else than the store's own; from then on both claim and read give it. */
static void put_meta(void)
{
    meta_room.maximum = 1 << 20;
    tm_buffer_reset(&meta_room);
    tm_meta_encode(&meta_wanted, &meta_room);
    meta_bytes = tm_buffer_slice(&meta_room);
    a.store.claim = claim_meta;
    a.store.read = read_meta;
}

Test(claim, an_older_meta_tells_the_configuration_again)
{
    live_once();
    (void)stage_position(&s, 0, &meta_wanted);
    put_meta();
    claim_live();
    cr_assert(a.holding->configuration_told);
    meta_wanted.evaluate_every = 0; /* its form did not keep the settings */
    put_meta();
    claim_live();
    cr_assert_not(a.holding->configuration_told, "they may have been others");
    cr_assert_eq(a.holding->semantics.evaluate_every, s.settings.shard.evaluate_every);
    (void)stage_position(&s, 0, &meta_wanted);
    meta_wanted.reading_hash++; /* another mapping */
    put_meta();
    claim_live();
    cr_assert_not(a.holding->configuration_told);
}

/* --- where reading begins --- */

static int64_t started[TM_INPUTS];
static tm_status start_answer;

static tm_status start_noted(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    started[input] = offset;
    return start_answer == TM_OK ? real_source.start(context, input, partition, offset, error)
                                 : tm_fail(error, start_answer, "for a test");
}

Test(claim, the_record_before_r_is_read_again_where_it_is_the_one_remembered)
{
    tm_error error;
    live_once();
    a.source.start = start_noted;
    claim_live();
    cr_assert_eq(started[TM_INPUT_USAGE], 1, "R is 2");
    cr_assert_eq(a.holding->expected[TM_INPUT_USAGE].offset, 1);
    cr_assert_eq(a.holding->intake.lanes[TM_INPUT_USAGE].next, 2);
    cr_assert_eq(started[TM_INPUT_ACCOUNTS], 0);
    cr_assert_eq(a.holding->expected[TM_INPUT_ACCOUNTS].offset, -1, "none was read of it");

    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 2);
    claim_live();
    cr_assert_eq(started[TM_INPUT_USAGE], 2, "the log no longer has it");
    cr_assert_eq(a.holding->expected[TM_INPUT_USAGE].offset, -1);

    /* The one remembered lies further back: what follows it was no record (a transaction's marker). */
    (void)stage_position(&s, 0, &meta_wanted);
    meta_wanted.marks[TM_INPUT_USAGE].offset = 0;
    put_meta();
    claim_live();
    cr_assert_eq(started[TM_INPUT_USAGE], 2);
    cr_assert_eq(a.holding->expected[TM_INPUT_USAGE].offset, -1);

    start_answer = TM_RETRY;
    a.store = real;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_INPUT);
    cr_assert_neq(a.holding->state, TM_HOLDING_LIVE);
}

Test(claim, records_that_retention_took_are_passed_over_with_a_word)
{
    live_once();
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "x%d", i);
        solo_buy(&s, 70 + i, id);
    }
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 5);
    a.source.start = start_noted;
    claim_live();
    cr_assert_eq(started[TM_INPUT_USAGE], 5);
    cr_assert_eq(a.holding->intake.lanes[TM_INPUT_USAGE].next, 5);
    cr_assert_eq(a.gone, 1, "records_gone");
}

/* The journal's last line. */
static tm_journal_line *last_line(void)
{
    tm_world_record record;
    tm_journal_line *line = NULL;
    tm_error error;
    int64_t count = tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0);
    cr_assert(tm_world_output(s.world, TM_TOPIC_JOURNAL, 0, count - 1, &record));
    cr_assert_eq(tm_journal_decode(record.value, &line, &error), TM_OK, "%s", error.what);
    return line;
}

static void commit_at(tm_time wall)
{
    tm_error error;
    (void)solo_apply(&a, wall);
    cr_assert_eq(solo_commit(&a, wall, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

Test(claim, what_retention_took_is_not_taken_for_silence)
{
    live_once();
    tm_time had = tm_shard_counting(a.holding->shard, 0).start;
    solo_buy(&s, 70, "lost");
    solo_buy(&s, 24 * 60 + 5, "there");
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 3);
    claim_live();
    cr_assert_eq(a.gone, 1);
    cr_assert(a.holding->gap);
    uint32_t count;
    tm_intake_answer answer;
    tm_error error;
    tm_holding_begin(a.holding, SOLO_WALL + TM_DAY);
    cr_assert_eq(tm_holding_apply(a.holding, 10, &count, &answer, &error), TM_OK);
    cr_assert(count == 0 && answer == TM_INTAKE_UNKNOWN, "whether there is a record has to be known first");
    cr_assert_eq(tm_shard_counting(a.holding->shard, 0).start, had);
    commit_at(SOLO_WALL + TM_DAY);
    cr_assert_not(a.holding->gap);
    tm_shard_meta meta;
    cr_assert_eq(stage_position(&s, 0, &meta).next[TM_INPUT_USAGE], 4);
    cr_assert_eq(meta.counting[0].start, FEED_START + 2 * TM_DAY, "the first whole day after the first record left");
    tm_journal_line *line = last_line();
    cr_assert_eq(line->commit->count_from, SOLO_MORNING + (24 * 60 + 5) * TM_MINUTE);
    cr_assert_eq(line->commit->from[TM_INPUT_USAGE], 3);
    tm_journal_line_free(line);
    /* Once told, it is nothing new. */
    solo_buy(&s, 24 * 60 + 70, "next");
    commit_at(SOLO_WALL + TM_DAY + 20 * TM_MINUTE);
    line = last_line();
    cr_assert_eq(line->commit->count_from, 0);
    tm_journal_line_free(line);
}

Test(claim, where_nothing_is_left_it_counts_from_now_on)
{
    live_once();
    solo_buy(&s, 70, "lost");
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 3);
    claim_live();
    commit_at(SOLO_WALL + 3 * TM_DAY);
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    cr_assert_eq(meta.counting[0].start, FEED_START + 4 * TM_DAY);
    tm_journal_line *line = last_line();
    cr_assert_eq(line->commit->count_from, SOLO_WALL + 3 * TM_DAY);
    tm_journal_line_free(line);
}

Test(claim, a_run_whose_end_was_reached_has_nothing_to_wait_for)
{
    live_once();
    solo_buy(&s, 70, "lost");
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 3);
    claim_live();
    cr_assert(a.holding->gap);
    a.holding->intake.lanes[TM_INPUT_USAGE].finished = true;
    uint32_t count;
    tm_intake_answer answer;
    tm_error error;
    tm_holding_begin(a.holding, SOLO_WALL + TM_DAY);
    cr_assert_eq(tm_holding_apply(a.holding, 10, &count, &answer, &error), TM_OK);
    cr_assert_not(a.holding->gap);
    cr_assert_eq(a.holding->count_from, SOLO_WALL + TM_DAY);
}

Test(claim, facts_that_retention_took_leave_what_is_counted_as_it_is)
{
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING, "{\"account\":\"a0\",\"seats\":5}");
    live_once();
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING + TM_HOUR, "{\"account\":\"a0\",\"seats\":6}");
    tm_world_trim(s.world, TM_INPUT_ACCOUNTS, 0, 2);
    claim_live();
    cr_assert_eq(a.gone, 1, "it is said");
    cr_assert_not(a.holding->gap);
}

/* Before the first answer to a fetch a source does not know how far it came. */
static tm_status bounds_unread(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                               int64_t *ret_reached, tm_error *error)
{
    tm_status status = real_source.bounds(context, input, partition, ret_first, ret_end, ret_reached, error);
    *ret_reached = -1;
    return status;
}

/* Beyond the last record there may be what is none: the markers of transactions. */
Test(claim, what_was_known_to_be_no_record_is_not_missed)
{
    tm_error error;
    live_once();
    (void)stage_position(&s, 0, &meta_wanted);
    cr_assert_eq(meta_wanted.passed[TM_INPUT_USAGE], 2);
    meta_wanted.passed[TM_INPUT_USAGE] = 4;
    put_meta();
    solo_buy(&s, 70, "3");
    solo_buy(&s, 71, "4");
    solo_buy(&s, 72, "5");
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 4);
    a.source.start = start_noted;
    claim_live();
    cr_assert_eq(started[TM_INPUT_USAGE], 4);
    cr_assert_eq(a.gone, 0);
    cr_assert_not(a.holding->gap);
    cr_assert_eq(a.holding->intake.lanes[TM_INPUT_USAGE].next, 2, "R stays where it was");
    a.source.bounds = bounds_unread;
    cr_assert_eq(tm_intake_confirm(&a.holding->intake, &error), TM_OK);
    cr_assert_not(tm_intake_cut(&a.holding->intake), "it reads on from there");
    a.source.bounds = real_source.bounds;
    cr_assert_eq(solo_apply(&a, SOLO_WALL + TM_HOUR), 1);
    /* A record more is one that was missed. */
    meta_wanted.passed[TM_INPUT_USAGE] = 3;
    put_meta();
    claim_live();
    cr_assert_eq(a.gone, 1);
    cr_assert(a.holding->gap);
}

Test(claim, a_first_start_knows_nothing_of_an_input_that_is_off)
{
    tm_holding_free(a.holding);
    s.settings.accounts_on = false;
    a.holding = tm_holding_new(&s.settings, &a.reading, &a.source, 0);
    claim_live();
    cr_assert_eq(a.holding->stored.next[TM_INPUT_USAGE], 0);
    cr_assert_eq(a.holding->stored.next[TM_INPUT_ACCOUNTS], -1);
    cr_assert(tm_position_equal(a.holding->published, a.holding->stored));
    commit();
    cr_assert_eq(stage_position(&s, 0, NULL).next[TM_INPUT_ACCOUNTS], -1);
}

Test(claim, a_first_start_behind_a_reset_counts_from_tomorrow)
{
    tm_world_set_committed(s.world, 0, (tm_position){{1, 0}, 0});
    claim_live();
    cr_assert_eq(a.holding->stored.next[TM_INPUT_USAGE], 1);
    cr_assert_gt(a.holding->counting_start, SOLO_WALL, "what was left out is not counted as if it were nothing");
    cr_assert_eq(a.holding->counting_start, tm_shard_counting(a.holding->shard, 0).start);
    tm_pack *without = feed_pack("version: 1\n");
    a.holding->pack = without;
    claim_live();
    cr_assert_eq(a.holding->counting_start, s.settings.counting_start, "no metric counts");
    a.holding->pack = s.pack;
    tm_holding_drop(a.holding);
    tm_pack_free(without);
}

/* --- the group --- */

static tm_position told;
static tm_status told_status;
static int64_t refused_generation;
static int anew;

static tm_status committed_told(void *context, const int32_t *partitions, uint32_t count, tm_position *positions,
                                tm_error *error)
{
    (void)context, (void)partitions, (void)count, (void)error;
    *positions = told;
    return told_status;
}

static tm_status claim_refused(void *context, int32_t partition, int64_t generation, int64_t raise,
                               tm_store_state *state, tm_error *error)
{
    anew += generation == TM_GENERATION_ANEW;
    if (generation == refused_generation)
        return tm_fail(error, TM_REJECT, "a newer generation raised it");
    return real.claim(context, partition, generation, raise, state, error);
}

Test(claim, a_group_made_anew_counts_its_generations_from_the_beginning)
{
    tm_error error;
    live_once();
    a.store.claim = claim_refused;
    a.source.committed = committed_told;
    refused_generation = tm_memory_source_generation(&a.source);
    static const struct {
        tm_position position;
        tm_status status;
        int anew;
    } cases[] = {
        {{{-1, -1}, 0}, TM_RETRY, 0}, /* not known */
        {{{2, 0}, 1}, TM_OK, 0},      {{{2, -1}, 0}, TM_OK, 0}, {{{-1, 2}, 0}, TM_OK, 0}, {{{-1, -1}, 0}, TM_OK, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        told = cases[i].position;
        told_status = cases[i].status;
        anew = 0;
        tm_status status = solo_claim(&a, &error);
        cr_assert_eq(anew, cases[i].anew, "%zu", i);
        if (!cases[i].anew)
            cr_assert_eq(status, TM_REJECT, "%zu: somebody has it since", i);
    }
    refused_generation = -1;
    told = (tm_position){{-1, -1}, 0};
    anew = 0;
    cr_assert_eq(tm_ledger_claim(&a.ledger, a.holding, -1, &error), TM_REJECT);
    cr_assert_eq(anew, 0, "one that knows no generation cannot say so");
    /* The store fell back to a group before: nobody has the shard, and the group has offsets. */
    told = (tm_position){{0, 0}, 1};
    refused_generation = tm_memory_source_generation(&a.source);
    a.holding->refused = 0;
    for (int i = 1; i <= 10; i++)
        cr_assert(solo_claim(&a, &error) != TM_RETRY && anew == (i == 10), "%d", i);
}

static tm_status initialise_answer;

static tm_status initialise_answers(void *context, tm_error *error)
{
    (void)context;
    return tm_fail(error, initialise_answer, "for a test");
}

static tm_status settle_answers(void *context, const char *name, int64_t proposal, int64_t *ret_value, tm_error *error)
{
    (void)context, (void)name, (void)proposal, (void)ret_value;
    return tm_fail(error, TM_RETRY, "for a test");
}

Test(claim, it_waits_for_whoever_does_not_answer)
{
    tm_error error;
    tm_publisher publisher = a.publisher;
    initialise_answer = TM_RETRY;
    a.publisher.initialise = initialise_answers;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_PUBLISHER);
    cr_assert(a.ledger.must_initialise);
    a.publisher = publisher;
    told_status = TM_RETRY;
    a.source.committed = committed_told;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_GROUP);
    a.source = real_source;
    a.store.settle_group = settle_answers;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_STORE);
    a.store = real;
    claim_live();
}

/* --- before the first publication, or after the group forgot it --- */

static tm_slice journal_lines[4];
static uint32_t journal_count, journal_at;
static int journal_opened, journal_closed;
static tm_status journal_answer;

static tm_status on_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    (void)context, (void)partition;
    journal_at = back < 0 || back >= 1000 ? 0 : journal_count; /* what is kept lies further back than the first look */
    journal_opened++;
    *ret_whole = journal_at == 0;
    return journal_answer == TM_OK ? TM_OK : tm_fail(error, journal_answer, "for a test");
}

static tm_status next_answer;

static tm_status on_next(void *context, tm_slice *ret_line, tm_error *error)
{
    (void)context;
    if (next_answer != TM_OK)
        return tm_fail(error, next_answer, "for a test");
    *ret_line = journal_at < journal_count ? journal_lines[journal_at] : (tm_slice){0};
    journal_at++;
    return TM_OK;
}

static void on_close(void *context)
{
    (void)context;
    journal_closed++;
}

static tm_slice own_line(char *room)
{
    tm_output last;
    cr_assert_eq(tm_outbox_read(&a.holding->outbox, a.holding->outbox.count - 1, &last), TM_OK);
    cr_assert_eq(last.topic, TM_TOPIC_JOURNAL);
    memcpy(room, last.value.data, last.value.length);
    return (tm_slice){room, last.value.length};
}

Test(claim, without_offsets_what_was_published_is_what_the_journal_has)
{
    tm_error error;
    const tm_journal_source journal = {NULL, on_open, on_next, on_close};
    static char lines[2][1 << 16];
    claim_live();
    commit();
    tm_slice first = own_line(lines[0]);

    a.ledger.journal = &journal;
    a.ledger.journal_taken = true;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY, "a replay is reading it");
    cr_assert_eq(a.ledger.asked, TM_WAITING_JOURNAL);
    a.ledger.journal_taken = false;
    journal_answer = TM_RETRY;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_JOURNAL);
    journal_answer = TM_OK;
    next_answer = TM_RETRY;
    cr_assert_eq(solo_claim(&a, &error), TM_RETRY);
    cr_assert_eq(a.ledger.asked, TM_WAITING_JOURNAL);
    next_answer = TM_OK;

    /* None of this group's, so nothing was published. */
    claim_live();
    cr_assert_eq(a.holding->published.commit, 0);
    cr_assert_gt(a.holding->outbox.count, 0, "it was never published");
    journal_lines[0] = TM_SLICE_LITERAL("{\"v\":1}");
    journal_count = 1;
    halts(TM_HALT_JOURNAL_DAMAGED, "");
    a.holding->state = TM_HOLDING_CLAIMING; /* as when an operator asks for it */
    journal_lines[0] = first;
    int opened = journal_opened;
    claim_live();
    cr_assert_eq(a.holding->published.commit, 1);
    cr_assert(tm_position_equal(a.holding->published, a.holding->stored));
    cr_assert_eq(a.holding->outbox.count, 0, "all of it was published");
    cr_assert_eq(journal_opened, opened + 2, "further back, until there is one");
    cr_assert_eq(journal_opened, journal_closed, "nothing stays open");

    /* The store is behind what was published: as if the group had known. */
    solo_buy(&s, 40, "3");
    commit();
    journal_lines[1] = own_line(lines[1]);
    journal_count = 2;
    claim_live();
    cr_assert_eq(a.holding->published.commit, 2);
    cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING, "nothing is kept: rebuilt up to where the journal ends");
    cr_assert_eq(a.holding->published.commit, 2);
}

/* An outbox whose first commit has no line that can be read. */
static tm_status scan_outbox_odd(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                                 void *visited, tm_error *error)
{
    (void)context, (void)partition, (void)published, (void)error;
    return visit(visited, 1, (tm_slice){0}, TM_SLICE_LITERAL("nonsense"));
}

Test(claim, an_output_that_cannot_be_read_is_not_published)
{
    tm_error error;
    claim_live();
    commit();
    a.store.scan_outbox = scan_outbox_odd;
    claim_live();
    cr_assert_eq(solo_publish(&a, &error), TM_FATAL);
    cr_assert_not_null(strstr(error.what, "cannot be read"), "%s", error.what);
}
