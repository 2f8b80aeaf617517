/* Workers that come and go, ledgers that do not answer, members thrown out: what is published, and what is kept, is
   what one plain shard says. */
#include "support/stage.h"

enum { SEEDS = 25 };

/* What a plain shard says to the whole feed, partition by partition. */
static void compare_with_plain(stage *s, const feed *f, const char *what)
{
    feed_reading r;
    feed_reading_init(&r);
    feed_out expected = {0}, published = {0};
    int64_t erasures = 0, dead = 0, tombstones, letters;
    tm_shard_settings settings = feed_settings();
    for (int32_t p = 0; p < (int32_t)f->partitions; p++) {
        feed_out plain = {0}, kept = {0};
        tm_shard *shard = feed_run(f, &r, &settings, s->pack, p, f->greatest, &expected);
        const tm_shard_counts *counts = tm_shard_counted(shard);
        erasures += (int64_t)counts->erasures;
        dead += (int64_t)(counts->unusable + counts->future);
        feed_shard_lines(shard, s->pack, f->greatest, &plain);
        stage_kept(s, p, f->greatest, &kept);
        feed_out_same(&plain, &kept, what);
        tm_shard_meta meta;
        tm_position position = stage_position(s, p, &meta);
        cr_assert_eq(position.next[0], f->ends[0][p], "%s", what);
        cr_assert_eq(position.next[1], f->ends[1][p], "%s", what);
        cr_assert_eq(meta.time, f->greatest, "%s", what);
        feed_out_done(&plain), feed_out_done(&kept);
        tm_shard_free(shard);
    }
    for (uint32_t i = 0; i < expected.count; i++)
        expected.lines[i][36] = 0; /* the id alone */
    stage_signals(s, &published, &tombstones, &letters);
    feed_out_same(&expected, &published, what);
    cr_assert_eq(tombstones, erasures, "%s", what);
    cr_assert_eq(letters, dead, "%s: %d dead letters for %d records", what, (int)letters, (int)dead);
    feed_out_done(&expected), feed_out_done(&published);
    feed_reading_done(&r);
}

static int running(stage *s, actor **ret_actors)
{
    int n = 0;
    for (int i = 0; i < s->count; i++) {
        if (!s->actors[i]->finished)
            ret_actors[n++] = s->actors[i];
    }
    return n;
}

Test(pipeline, faults_neither_lose_nor_double)
{
    uint64_t only = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (only && seed != only)
            continue;
        feed_random r = {seed * 1000003};
        char what[64];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        feed f;
        stage s;
        uint32_t partitions = 1 + (uint32_t)feed_below(&r, 4);
        feed_make(&f, seed + 300, partitions, 4 + (uint32_t)feed_below(&r, 6), 300, 2);
        stage_init(&s, partitions, feed_rules);
        for (uint32_t i = 0; i < f.count; i++)
            stage_append(&s, &f.records[i]);
        stage_once(&s, &f);
        s.settings.commit_records = 1 + (uint32_t)feed_below(&r, 30);
        s.settings.commit_interval = 20 + feed_below(&r, 1000);
        int crew = 1 + (int)feed_below(&r, 3);
        bool store_up = true, world_up = true;
        for (int turn = 0; turn < 3000; turn++) {
            actor *actors[STAGE_WORKERS];
            int n = running(&s, actors);
            if (n < crew && s.count < STAGE_WORKERS - 2 && (n == 0 || feed_below(&r, 10) == 0)) {
                char instance[16];
                snprintf(instance, sizeof instance, "w%d", s.count);
                actors[n++] = stage_hire(&s, instance);
            }
            if (n == 0)
                break;
            actor *a = actors[feed_below(&r, n)];
            switch (feed_below(&r, 150)) {
            case 0:
                atomic_store(&a->stop, true);
                break;
            case 1:
                tm_world_expel(s.world, &a->inner);
                break;
            case 2:
            case 3:
                tm_memory_state_set_reachable(s.state, store_up = !store_up);
                break;
            case 4:
            case 5:
                tm_world_set_reachable(s.world, world_up = !world_up);
                break;
            case 6:
            case 7:
                tm_world_lose_answer(s.world);
                break;
            default:
                break;
            }
            if (!store_up && feed_below(&r, 30) == 0)
                tm_memory_state_set_reachable(s.state, store_up = true);
            if (!world_up && feed_below(&r, 30) == 0)
                tm_world_set_reachable(s.world, world_up = true);
            stage_step(&s, a);
        }
        tm_memory_state_set_reachable(s.state, true);
        tm_world_set_reachable(s.world, true);
        actor *actors[STAGE_WORKERS];
        for (int n = running(&s, actors), k = 0; n > 0 && k < 200000; n = running(&s, actors), k++)
            stage_step(&s, actors[feed_below(&r, n)]);
        for (int i = 0; i < s.count; i++)
            cr_assert(s.actors[i]->finished && s.actors[i]->status != TM_FATAL,
                      "%s: worker %d: %s (%u shards, %d commits, at %d of %d)", what, i, s.actors[i]->error.what,
                      (unsigned)s.actors[i]->gauges.shards, (int)s.actors[i]->gauges.commits,
                      (int)s.actors[i]->gauges.records, (int)f.count);
        actor *last = stage_hire(&s, "last");
        cr_assert_eq(stage_finish(&s, last), TM_OK, "%s: %s", what, last->error.what);
        compare_with_plain(&s, &f, what);
        stage_done(&s);
        feed_done(&f);
    }
}

/* --- an empty store is rebuilt from the journal --- */

/* Live, with the clock and the records going on together and time passing without records; then the store is emptied.
   The rebuilt state is the one that was lost, nothing is published again, and both go on alike. */
Test(pipeline, an_empty_store_is_rebuilt)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        feed_random r = {seed * 77777};
        char what[64];
        snprintf(what, sizeof what, "rebuild, seed %d", (int)seed);
        feed f;
        stage s;
        uint32_t partitions = 1 + (uint32_t)feed_below(&r, 3);
        feed_make(&f, seed + 500, partitions, 6, 200, 1);
        stage_init(&s, partitions, feed_rules);
        s.base = FEED_START;
        s.settings.commit_records = 1 + (uint32_t)feed_below(&r, 20);
        actor *a = stage_hire(&s, "first");
        for (uint32_t i = 0; i < f.count; i++) {
            tm_time t = f.records[i].timestamp;
            while (t != TM_TIME_NONE && s.base + s.now < t) { /* minutes pass as one step */
                int64_t left = t - s.base - s.now;
                s.now += left > 20000 ? 1 + feed_below(&r, 20000) : left;
                stage_step(&s, a);
            }
            stage_append(&s, &f.records[i]);
            stage_step(&s, a);
        }
        cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
        feed_out before = {0}, after = {0}, published = {0}, again = {0};
        int64_t tombstones, letters, tombstones_again, letters_again;
        stage_signals(&s, &published, &tombstones, &letters);
        cr_assert(published.count > 20, "%s: %u", what, published.count);
        tm_shard_meta meta[4], rebuilt[4];
        tm_position positions[4];
        tm_time end = s.base + s.now + TM_DAY;
        for (int32_t p = 0; p < (int32_t)partitions; p++) {
            positions[p] = stage_position(&s, p, &meta[p]);
            stage_kept(&s, p, end, &before);
        }
        tm_memory_state_free(s.state);
        s.state = tm_memory_state_new();
        s.settings.commit_interval = INT64_C(1) << 40; /* rebuilt, and nothing more */
        a = stage_hire(&s, "second");
        for (int i = 0; i < 400 && s.rebuilt < partitions; i++)
            stage_step(&s, a);
        cr_assert_eq(s.rebuilt, partitions, "%s: %s", what, s.halted[0]);
        cr_assert_eq(s.differs, 0, "%s", what);
        for (int32_t p = 0; p < (int32_t)partitions; p++) {
            cr_assert(tm_position_equal(stage_position(&s, p, &rebuilt[p]), positions[p]), "%s", what);
            stage_kept(&s, p, end, &after);
            cr_assert_eq(rebuilt[p].time, meta[p].time);
            cr_assert_eq(rebuilt[p].judged, meta[p].judged);
            cr_assert_eq(memcmp(rebuilt[p].marks, meta[p].marks, sizeof meta[p].marks), 0);
        }
        feed_out_same(&before, &after, what);
        stage_signals(&s, &again, &tombstones_again, &letters_again);
        feed_out_same(&published, &again, what);
        cr_assert_eq(tombstones, tombstones_again);
        cr_assert_eq(letters, letters_again);
        feed_out_done(&before), feed_out_done(&after), feed_out_done(&published), feed_out_done(&again);
        stage_done(&s);
        feed_done(&f);
    }
}
