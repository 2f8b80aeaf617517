/* Take-over row by row: what goes on, what halts with which word while the other shard goes on, and how runs end.
   Long because: the rows share one stage and read best as one table. */
#include "support/stage.h"

static feed f;
static stage s;

static void event(int32_t partition, int64_t minute, const char *id)
{
    stage_buy(&s, &f, partition, minute, id, "");
}

static void set_up(void)
{
    f = (feed){.partitions = 2, .greatest = FEED_START};
    stage_init(&s, 2, feed_rules);
    s.base = STAGE_MORNING + TM_HOUR;
    for (int32_t p = 0; p < 2; p++) {
        event(p, 1, "1");
        event(p, 2, "2");
        event(p, 30, "3");
    }
}

static void tear_down(void)
{
    stage_done(&s);
    feed_done(&f);
}

TestSuite(takeover, .init = set_up, .fini = tear_down);

static void steps(actor *a, int count)
{
    while (count-- > 0)
        stage_step(&s, a);
}

/* A first worker that takes everything, publishes it and leaves. */
static void first_life(void)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
}

static uint32_t published(void)
{
    feed_out out = {0};
    int64_t tombstones, letters;
    stage_signals(&s, &out, &tombstones, &letters);
    feed_out_sort(&out, "published");
    uint32_t count = out.count;
    feed_out_done(&out);
    return count;
}

/* A later worker halts partition 0 with this word, and takes a new record of partition 1 all the same. */
static void halts(const char *code, const char *word)
{
    event(1, 50, "later");
    actor *a = stage_hire(&s, "later");
    steps(a, 80);
    cr_assert_not_null(strstr(s.halted[0], word), "halted with: %s", s.halted[0]);
    cr_assert_not_null(strstr(s.halted[0], "0"), "names its shard: %s", s.halted[0]);
    cr_assert_not_null(strstr(s.halted[0], "tidemark"), "names the command: %s", s.halted[0]);
    cr_assert_str_eq(s.codes[0], code);
    cr_assert_str_empty(s.halted[1]);
    cr_assert_eq(stage_position(&s, 1, NULL).next[0], f.ends[0][1]);
    cr_assert_eq(a->gauges.halted, 1);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL, "the run says that a shard is halted");
    cr_assert_not_null(strstr(a->error.what, word));
    cr_assert(a->error.hint[0], "an operator is told what to do");
}

Test(takeover, clean_goes_on)
{
    first_life();
    uint32_t before = published();
    cr_assert_eq(before, 6, "of both accounts: held_back raised, spend raised and updated");
    actor *a = stage_hire(&s, "second");
    steps(a, 60);
    event(0, 60 + 5, "new");
    s.now += 6 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    cr_assert_str_empty(s.halted[0]);
    (void)published();
}

Test(takeover, what_the_store_has_beyond_the_offsets_is_published)
{
    actor *a = stage_hire(&s, "first");
    while (stage_position(&s, 0, NULL).commit == 0 || stage_position(&s, 1, NULL).commit == 0) {
        stage_step(&s, a);
        if (a->gauges.commits == 0 && s.now > 900)
            tm_world_set_reachable(s.world, false); /* the records are here; the publication will not be */
    }
    atomic_store(&a->stop, true);
    cr_assert_eq(stage_finish(&s, a), TM_RETRY, "%d %s", a->status, a->error.what);
    cr_assert_eq(published(), 0);
    cr_assert(stage_position(&s, 0, NULL).commit > 0);
    tm_world_set_reachable(s.world, true);
    a = stage_hire(&s, "second");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(published(), 6);
}

/* The store as it was before the tail of one life: C is ahead of it. */
static void lose_the_tail(void)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    tm_memory_state *old = tm_memory_state_copy(s.state);
    s.now += 10 * TM_MINUTE;
    event(0, 64, "tail");
    event(0, 65, "end");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK);
    int64_t lost = stage_position(&s, 0, NULL).commit;
    cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
    cr_assert_gt(lost, stage_position(&s, 0, NULL).commit);
    tm_memory_state_free(old);
}

Test(takeover, a_store_that_lost_its_tail_is_brought_up_to_date)
{
    lose_the_tail();
    uint32_t before = published();
    actor *a = stage_hire(&s, "second");
    steps(a, 80);
    cr_assert_str_empty(s.halted[0]);
    cr_assert_eq(s.replayed, 2, "both shards had gone on");
    cr_assert_eq(s.rebuilt + s.differs, 0);
    cr_assert_eq(published(), before, "nothing is published again");
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    event(0, 66, "tail"); /* replayed, it is known as a duplicate */
    s.now += 10 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(a->gauges.duplicates, 1);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

Test(takeover, a_lost_tail_whose_records_are_gone_keeps_episodes_and_counts_anew)
{
    lose_the_tail();
    uint32_t before = published();
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 5); /* the last two of partition 0 */
    actor *a = stage_hire(&s, "second");
    steps(a, 80);
    cr_assert_str_empty(s.halted[0]);
    cr_assert_eq(s.replayed, 2);
    cr_assert_eq(published(), before, "nothing is published again");
    tm_shard_meta meta;
    cr_assert_eq(stage_position(&s, 0, &meta).next[0], 5);
    cr_assert_gt(meta.counting[0].start, STAGE_MORNING, "what is missing is not taken for silence");
    (void)stage_position(&s, 1, &meta);
    cr_assert_lt(meta.counting[0].start, STAGE_MORNING, "the other shard has everything");
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

Test(takeover, a_lost_tail_of_another_topic_halts)
{
    lose_the_tail();
    tm_position c[2] = {{{5, 0}, 0}, {{3, 0}, 0}};
    for (int p = 0; p < 2; p++)
        c[p].commit = stage_position(&s, p, NULL).commit + 3;
    tm_world_free(s.world);
    s.world = tm_world_new(2);
    for (int32_t p = 0; p < 2; p++)
        tm_world_set_committed(s.world, p, c[p]);
    for (uint32_t i = 0; i < f.count; i++) {
        feed_record other = f.records[i];
        other.timestamp += 1;
        stage_append(&s, &other);
    }
    actor *a = stage_hire(&s, "second");
    steps(a, 200);
    for (int p = 0; p < 2; p++)
        cr_assert_str_eq(s.codes[p], "topic_recreated", "%d: %s", p, s.halted[p]);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}

Test(takeover, a_lost_tail_that_the_journal_does_not_have_halts)
{
    lose_the_tail();
    tm_position c = stage_position(&s, 0, NULL);
    c.commit += 500;
    tm_world_set_committed(s.world, 0, c);
    actor *a = stage_hire(&s, "second");
    steps(a, 200);
    cr_assert_str_eq(s.codes[0], "journal_short", "%s", s.halted[0]);
    cr_assert_eq(s.replayed, 1, "the other shard's turn comes");
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}

/* The state was written under rules that are not in force any more, and they changed within what was lost. */
Test(takeover, a_lost_tail_is_replayed_under_the_rules_of_its_time)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    tm_memory_state *old = tm_memory_state_copy(s.state);
    s.now += 10 * TM_MINUTE;
    event(0, 64, "tail");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK);
    static char text[sizeof feed_rules];
    snprintf(text, sizeof text, "%s", feed_rules);
    text[strlen("version: ")] = '2';
    char *busy = strstr(text, "events[2h] >= 4");
    busy[strlen("events[2h] >= ")] = '2';
    tm_pack *newer = feed_pack(text);
    s.settings.pack = newer;
    a = stage_hire(&s, "second");
    s.now += 10 * TM_MINUTE;
    event(0, 75, "after");
    steps(a, 60);
    s.now += TM_HOUR;
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    feed_out before = {0}, after = {0};
    uint32_t told = published();
    tm_shard_meta was, is;
    tm_position c = stage_position(&s, 0, &was);
    tm_pack *first = s.pack;
    s.pack = newer; /* what stage_kept reads blobs with */
    stage_kept(&s, 0, s.base + s.now, &before);
    cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
    tm_memory_state_free(old);
    s.settings.commit_interval = INT64_C(1) << 40;
    a = stage_hire(&s, "third");
    steps(a, 100);
    cr_assert_eq(s.replayed, 2, "%s", s.halted[0]);
    cr_assert_eq(s.differs, 0);
    cr_assert(tm_position_equal(stage_position(&s, 0, &is), c));
    cr_assert_eq(is.rules_version, 2);
    cr_assert_eq(is.time, was.time);
    stage_kept(&s, 0, s.base + s.now, &after);
    feed_out_same(&before, &after, "under the rules of its time");
    cr_assert_eq(published(), told);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    feed_out_done(&before), feed_out_done(&after);
    s.pack = first;
    tm_pack_free(newer);
}

Test(takeover, offsets_without_a_commit_number_halt)
{
    first_life();
    tm_world_set_committed(s.world, 0, (tm_position){{3, 0}, -1});
    halts("offsets_foreign", "did not write");
}

Test(takeover, offsets_moved_by_hand_halt)
{
    first_life();
    tm_position position = stage_position(&s, 0, NULL);
    position.next[0] = 1;
    tm_world_set_committed(s.world, 0, position);
    halts("offsets_moved", "moved by hand");
}

/* The group forgets its offsets. A later worker goes on all the same, and publishes nothing twice. */
static void goes_on_without_offsets(void)
{
    uint32_t before = published();
    tm_world_set_committed(s.world, 0, (tm_position){{-1, -1}, 0});
    actor *a = stage_hire(&s, "later");
    steps(a, 80);
    cr_assert_str_empty(s.codes[0], "%s", s.halted[0]);
    cr_assert_eq(published(), before);
    event(0, 90, "after");
    s.now += TM_HOUR;
    steps(a, 80);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    (void)published();
}

Test(takeover, offsets_that_expired_are_where_the_journal_ends)
{
    first_life();
    event(0, 40, "more"); /* its commit forgets what was published */
    s.now += TM_HOUR;
    first_life();
    goes_on_without_offsets();
}

Test(takeover, offsets_that_expired_after_one_commit_are_too)
{
    actor *a = stage_hire(&s, "first");
    while (published() == 0)
        stage_step(&s, a);
    s.base -= TM_HOUR; /* nothing more to commit */
    cr_assert_eq(stage_stop(&s, a), TM_OK);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 1);
    s.base += TM_HOUR;
    goes_on_without_offsets();
}

/* Offsets at the beginning, as a reset leaves them, are offsets: then it is not known what waits in the outbox. */
Test(takeover, offsets_at_the_beginning_halt_while_outputs_wait)
{
    first_life();
    event(0, 40, "more");
    s.now += TM_HOUR;
    first_life();
    tm_world_set_committed(s.world, 0, (tm_position){{0, 0}, 0});
    halts("offsets_expired", "offsets expired");
}

/* Another world in the place of the first; committed offsets are as they were. */
static void recreate(uint32_t partitions)
{
    tm_world_free(s.world);
    s.world = tm_world_new(partitions);
    for (int32_t p = 0; p < 2; p++)
        tm_world_set_committed(s.world, p, stage_position(&s, p, NULL));
}

Test(takeover, another_record_in_its_place_halts)
{
    first_life();
    recreate(2);
    for (uint32_t i = 0; i < f.count; i++) {
        feed_record other = f.records[i];
        if (other.partition == 0)
            other.timestamp += 1;
        stage_append(&s, &other);
    }
    halts("topic_recreated", "topic was recreated");
}

Test(takeover, a_topic_that_ends_before_the_state_halts)
{
    first_life();
    recreate(2);
    for (uint32_t i = 0; i < f.count; i++) {
        if (f.records[i].partition == 1 || f.records[i].offset == 0)
            stage_append(&s, &f.records[i]);
    }
    halts("topic_cut", "recreated or cut");
}

Test(takeover, more_partitions_halt_every_shard)
{
    first_life();
    recreate(3);
    for (uint32_t i = 0; i < f.count; i++)
        stage_append(&s, &f.records[i]);
    s.settings.partitions = 3;
    actor *a = stage_hire(&s, "later");
    steps(a, 60);
    for (int p = 0; p < 3; p++)
        cr_assert_not_null(strstr(s.halted[p], "number of partitions changed"), "%d: %s", p, s.halted[p]);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}

/* Writes partition 0 once more with another meta record; C goes along. */
static void rewrite_meta(void (*change)(tm_shard_meta *meta))
{
    tm_store store;
    tm_error error;
    tm_store_state state;
    tm_shard_meta meta;
    tm_buffer bytes;
    tm_buffer_init(&bytes, 1 << 16);
    cr_assert_eq(tm_memory_store_open(s.state, &store, &error), TM_OK);
    cr_assert_eq(store.claim(store.context, 0, -1, 1, &state, &error), TM_OK);
    cr_assert_eq(tm_meta_decode(state.meta, &meta, &error), TM_OK);
    if (change) {
        change(&meta);
        tm_meta_encode(&meta, &bytes);
    } else {
        tm_buffer_append_text(&bytes, "\1what is this");
    }
    tm_position next = state.position;
    next.commit++;
    tm_store_commit commit = {.partition = 0,
                              .epoch = state.epoch,
                              .expected = state.position,
                              .position = next,
                              .meta = tm_buffer_slice(&bytes)};
    cr_assert_eq(store.commit(store.context, &commit, &error), TM_OK);
    tm_world_set_committed(s.world, 0, next);
    store.close(store.context);
    tm_buffer_done(&bytes);
}

static void newer_rules(tm_shard_meta *meta)
{
    meta->rules_version = 9;
}

static void other_zone(tm_shard_meta *meta)
{
    meta->configuration_hash++;
}

Test(takeover, a_state_of_newer_rules_halts)
{
    first_life();
    rewrite_meta(newer_rules);
    halts("rules_older", "rules version 9, this process has 1");
}

Test(takeover, a_state_of_another_zone_halts)
{
    first_life();
    rewrite_meta(other_zone);
    halts("configuration_changed", "time zone");
}

Test(takeover, a_damaged_state_halts)
{
    first_life();
    rewrite_meta(NULL);
    halts("state_damaged", "damaged");
}

static void given_up(tm_shard_meta *meta)
{
    meta->time++;
}

/* Commit n + 1 was written and not published, the store lost it, others followed, and then it comes back. */
Test(takeover, a_state_of_a_commit_that_was_given_up_halts)
{
    first_life();
    tm_position at = stage_position(&s, 0, NULL);
    tm_memory_state *before = tm_memory_state_copy(s.state);
    rewrite_meta(given_up);
    tm_memory_state *foreign = tm_memory_state_copy(s.state);
    cr_assert_eq(tm_memory_state_restore(s.state, before), TM_OK);
    tm_world_set_committed(s.world, 0, at);
    actor *a = stage_hire(&s, "second");
    for (int64_t minute = 40; minute < 46; minute += 2) {
        char id[8];
        snprintf(id, sizeof id, "m%d", (int)minute);
        event(0, minute, id);
        s.now += 2 * TM_MINUTE;
        steps(a, 40);
    }
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_gt(stage_position(&s, 0, NULL).commit, at.commit + 1);
    cr_assert_eq(tm_memory_state_restore(s.state, foreign), TM_OK);
    tm_memory_state_free(before);
    tm_memory_state_free(foreign);
    halts("state_foreign", "never published");
}

/* What halts may be put right while the process runs: asked again, it claims again. */
Test(takeover, a_halted_shard_is_claimed_again_when_asked)
{
    first_life();
    tm_position right = stage_position(&s, 0, NULL), wrong = right;
    wrong.next[0] = 1;
    tm_world_set_committed(s.world, 0, wrong);
    static _Atomic uint32_t retries;
    s.settings.retries = &retries;
    actor *a = stage_hire(&s, "later");
    steps(a, 60);
    cr_assert_str_eq(s.codes[0], "offsets_moved");
    tm_world_set_committed(s.world, 0, right);
    event(0, 50, "more");
    s.now += 5 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(a->gauges.halted, 1, "nobody asked");
    atomic_fetch_add(&retries, 1);
    steps(a, 60);
    cr_assert_eq(a->gauges.halted, 0);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

/* --- another number of partitions --- */

static uint32_t told_partitions;

static uint32_t partitions_now(void *context)
{
    (void)context;
    return told_partitions;
}

Test(takeover, another_number_of_partitions_halts_every_shard_until_it_is_the_former)
{
    static _Atomic uint32_t retries;
    s.settings.retries = &retries;
    told_partitions = 2;
    actor *a = stage_hire(&s, "first");
    a->ports.source.partitions = partitions_now;
    steps(a, 60);
    told_partitions = 0; /* nobody says */
    s.now += TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(a->gauges.halted, 0);
    told_partitions = 3;
    s.now += TM_MINUTE;
    steps(a, 60);
    for (int p = 0; p < 2; p++) {
        cr_assert_str_eq(s.codes[p], "partitions_changed");
        cr_assert_not_null(strstr(s.halted[p], "from 2 to 3"), "%s", s.halted[p]);
    }
    /* Asked again, they say so again; one that is halted is not halted once more. */
    atomic_fetch_add(&retries, 1);
    s.codes[0][0] = s.codes[1][0] = 0;
    steps(a, 60);
    cr_assert_str_eq(s.codes[1], "partitions_changed");
    told_partitions = 4;
    s.codes[0][0] = 0;
    s.now += TM_MINUTE;
    steps(a, 60);
    cr_assert_str_empty(s.codes[0]);
    /* The former number, and the word to try again. */
    told_partitions = 2;
    s.now += TM_MINUTE;
    steps(a, 60);
    atomic_fetch_add(&retries, 1);
    steps(a, 60);
    event(0, 31, "again");
    s.now += 5 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(a->gauges.halted, 0);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

/* --- records that the log lost before they were read --- */

/* Retention overtakes a worker that is behind: it goes on by itself, where the log begins. */
Test(takeover, a_worker_that_retention_overtakes_goes_on_where_the_log_begins)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    tm_position before = stage_position(&s, 0, NULL);
    cr_assert_eq(before.next[0], 3);
    event(0, 31, "lost");
    event(0, 32, "lost too");
    event(0, 33, "there");
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 5);
    event(1, 31, "other");
    s.now += 5 * TM_MINUTE;
    steps(a, 120);
    cr_assert_str_empty(s.halted[0]);
    tm_shard_meta meta;
    cr_assert_eq(stage_position(&s, 0, &meta).next[0], 6);
    cr_assert_gt(meta.counting[0].start, STAGE_MORNING, "what is missing is not taken for silence");
    cr_assert_eq(stage_position(&s, 1, &meta).next[0], 4);
    cr_assert_lt(meta.counting[0].start, STAGE_MORNING, "the other shard has everything");
    /* The journal says so too: both shards come back as they were. */
    feed_out kept = {0}, again = {0};
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    stage_kept(&s, 1, s.base + s.now, &kept);
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    uint32_t told = published();
    a = stage_hire(&s, "second");
    steps(a, 120);
    cr_assert_eq(s.rebuilt, 2, "%s", s.halted[0]);
    cr_assert_eq(s.differs, 0);
    stage_kept(&s, 1, s.base + s.now, &again);
    feed_out_same(&kept, &again, "kept accounts");
    cr_assert_eq(published(), told);
    (void)stage_position(&s, 0, &meta);
    cr_assert_gt(meta.counting[0].start, STAGE_MORNING);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    feed_out_done(&kept), feed_out_done(&again);
}

/* --- rebuilding where the log no longer has everything --- */

Test(takeover, a_rebuild_without_the_oldest_records_keeps_episodes_and_judges_on)
{
    s.settings.commit_records = 1;
    first_life();
    uint32_t before = published();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    tm_world_trim(s.world, TM_INPUT_USAGE, 0, 3); /* all of partition 0 */
    tm_world_trim(s.world, TM_INPUT_USAGE, 1, 2); /* the first of partition 1 */
    actor *a = stage_hire(&s, "second");
    steps(a, 100);
    cr_assert_eq(s.rebuilt, 2, "%s %s", s.halted[0], s.halted[1]);
    cr_assert_eq(published(), before, "nothing is published again");
    cr_assert_eq(a->gauges.open[TM_KIND_ADVISORY], 2, "%d", (int)a->gauges.open[TM_KIND_ADVISORY]);
    cr_assert_eq(a->gauges.open[TM_KIND_EXPANSION], 2);
    /* Nothing was in the way of judging on: what is counted now raises. */
    feed_out out = {0};
    s.now += 30 * TM_HOUR;
    event(0, 31 * 60, "again");
    event(1, 31 * 60, "again");
    steps(a, 100);
    s.now += 30 * TM_HOUR;
    steps(a, 100);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert(published() > before, "silence is noticed again");
    feed_out_done(&out);
}

Test(takeover, a_rebuild_beyond_the_end_of_the_input_halts)
{
    first_life();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    tm_position position = {{9, 0}, 5};
    tm_world_set_committed(s.world, 0, position);
    actor *a = stage_hire(&s, "second");
    steps(a, 100);
    cr_assert_str_eq(s.codes[0], "topic_cut", "%s", s.halted[0]);
    cr_assert_eq(s.rebuilt, 1, "the other shard's turn comes");
}

Test(takeover, a_journal_that_does_not_lead_there_halts)
{
    first_life();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    tm_position position = {{f.ends[0][0], 0}, 500};
    tm_world_set_committed(s.world, 0, position);
    actor *a = stage_hire(&s, "second");
    steps(a, 100);
    cr_assert_not_null(strstr(s.halted[0], "does not lead to the commit"), "%s", s.halted[0]);
    cr_assert_eq(s.rebuilt, 1);
}

/* The journal keeps the text of the rules: a rebuild runs under the rules of that time, then takes over the ones in
 * force. */
Test(takeover, a_rebuild_runs_under_the_rules_of_its_time)
{
    first_life();
    uint32_t before = published();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    tm_pack *other = feed_pack("version: 1\n");
    s.settings.pack = other;
    actor *a = stage_hire(&s, "second");
    steps(a, 100);
    cr_assert_eq(s.rebuilt, 2, "%s %s", s.halted[0], s.halted[1]);
    s.now += TM_HOUR;
    steps(a, 100);
    uint32_t after = published();
    cr_assert_gt(after, before, "what stood open under the old rules is cleared: its rules are gone");
    for (int k = 0; k < TM_KINDS; k++)
        cr_assert_eq(a->gauges.open[k], 0);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);

    /* Once more, with the change of rules in the middle of the journal. */
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    s.rebuilt = 0;
    actor *b = stage_hire(&s, "third");
    steps(b, 100);
    cr_assert_eq(s.rebuilt, 2, "%s %s", s.halted[0], s.halted[1]);
    for (int k = 0; k < TM_KINDS; k++)
        cr_assert_eq(b->gauges.open[k], 0);
    s.now += TM_HOUR;
    steps(b, 100);
    cr_assert_eq(published(), after, "cleared once");
    cr_assert_eq(stage_stop(&s, b), TM_OK, "%s", b->error.what);
    tm_pack_free(other);
}

Test(takeover, a_rebuild_waits_for_the_journal)
{
    first_life();
    uint32_t before = published();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    actor *a = stage_hire(&s, "second");
    steps(a, 2);
    tm_world_set_reachable(s.world, false);
    steps(a, 100);
    cr_assert_eq(s.rebuilt, 0);
    tm_world_set_reachable(s.world, true);
    steps(a, 200);
    cr_assert_eq(s.rebuilt, 2, "%s", s.halted[0]);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(published(), before);
}

/* --- how runs end --- */

Test(takeover, a_run_over_nothing_ends)
{
    tm_world_free(s.world);
    s.world = tm_world_new(2);
    static const int64_t nothing[2] = {0, 0};
    s.settings.once = true;
    s.settings.ends[0] = s.settings.ends[1] = nothing;
    actor *a = stage_hire(&s, "only");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0);
}

Test(takeover, a_run_once_leaves_what_came_later)
{
    feed_record kept = {0};
    int64_t ends[2][2] = {{3, 3}, {0, 0}};
    s.settings.once = true;
    s.settings.ends[0] = ends[0];
    s.settings.ends[1] = ends[1];
    s.settings.final_time = STAGE_MORNING + 30 * TM_MINUTE;
    event(0, 31, "later");
    (void)kept;
    actor *a = stage_hire(&s, "only");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    for (int32_t p = 0; p < 2; p++) {
        tm_shard_meta meta;
        cr_assert_eq(stage_position(&s, p, &meta).next[0], 3);
        cr_assert_eq(meta.time, s.settings.final_time);
        cr_assert(meta.judged);
    }
    /* Once more: nothing is left, and it ends again. */
    uint32_t before = published();
    a = stage_hire(&s, "again");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(published(), before);
}

Test(takeover, until_reads_nothing_later_and_ends_exactly_there)
{
    s.settings.until = STAGE_MORNING + 10 * TM_MINUTE;
    actor *a = stage_hire(&s, "only");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    for (int32_t p = 0; p < 2; p++) {
        tm_shard_meta meta;
        cr_assert_eq(stage_position(&s, p, &meta).next[0], 2);
        cr_assert_eq(meta.time, s.settings.until);
        cr_assert(meta.judged);
    }
}

Test(takeover, until_before_every_record_ends_there_too)
{
    s.settings.until = STAGE_MORNING + 30 * TM_SECOND;
    actor *a = stage_hire(&s, "only");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    tm_shard_meta meta;
    cr_assert_eq(stage_position(&s, 0, &meta).next[0], 0);
    cr_assert_eq(meta.time, s.settings.until);
    cr_assert(!meta.judged, "not on the grid");
}

Test(takeover, accounts_may_be_switched_off_and_on)
{
    feed_add(&f, TM_INPUT_ACCOUNTS, 0, FEED_START, "a0", "{\"account\":\"a0\",\"seats\":5}");
    stage_append(&s, &f.records[f.count - 1]);
    first_life();
    s.settings.accounts_on = false;
    event(0, 40, "off");
    actor *a = stage_hire(&s, "off");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[1], 1, "where it was");
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    s.settings.accounts_on = true;
    event(0, 41, "on");
    a = stage_hire(&s, "on");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_str_empty(s.halted[0]);
    cr_assert_eq(stage_position(&s, 0, NULL).next[1], 1);
    cr_assert_eq(a->gauges.records, 1, "the account record is not read again");
}

/* --- silence of the broker is not the customers' --- */

Test(takeover, time_stands_while_the_broker_is_away)
{
    actor *a = stage_hire(&s, "only");
    steps(a, 60);
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    tm_time before = meta.time;
    tm_world_set_reachable(s.world, false);
    uint32_t seen = published();
    s.now += 12 * TM_HOUR;
    steps(a, 100);
    (void)stage_position(&s, 0, &meta);
    cr_assert(meta.time - before < 2 * TM_MINUTE, "T went on by %d s", (int)((meta.time - before) / 1000));
    tm_world_set_reachable(s.world, true);
    cr_assert_eq(published(), seen);
}

/* While the publisher waits, the group gives the shards to another and takes one back: what was lost stays lost. */
Test(takeover, what_is_lost_during_a_wait_is_not_claimed_back)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    event(0, 61, "x");
    event(1, 61, "x");
    s.now += 2 * TM_MINUTE;
    for (int i = 0; i < 60 && a->gauges.waiting == false; i++) {
        tm_world_lose_answer(s.world); /* in doubt: it waits, then makes a new producer */
        stage_step(&s, a);
    }
    cr_assert(a->gauges.waiting, "the publication is being tried again");
    tm_world_expel(s.world, &a->inner);
    actor *b = stage_hire(&s, "second");
    for (int i = 0; i < 300; i++) {
        stage_step(&s, b);
        stage_step(&s, a);
    }
    cr_assert_eq(a->gauges.shards + b->gauges.shards, 2, "%u and %u", a->gauges.shards, b->gauges.shards);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_stop(&s, b), TM_OK, "%s", b->error.what);
    (void)published();
}

Test(takeover, fingerprints_are_kept_for_the_whole_window)
{
    first_life(); /* id 3 at minute 30 */
    event(0, 62, "n1");
    s.now += 3 * TM_MINUTE;
    first_life(); /* its commit forgets what is older than an hour */
    event(0, 64, "3");
    s.now += 3 * TM_MINUTE;
    actor *a = stage_hire(&s, "third");
    steps(a, 60);
    cr_assert_eq(a->gauges.duplicates, 1);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}
