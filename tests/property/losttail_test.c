/* The store falls back by some commits, as after a fail-over to a replica that lagged or a file cut short: the journal
   brings back what was published, bit for bit, and nothing is published twice. */
#include "support/stage.h"

enum { SNAPSHOTS = 12 };

static void *bytes_of(tm_slice slice, char line[320], const char *what)
{
    tm_fingerprint f = tm_fingerprint_of(slice, (tm_slice){0}, TM_SLICE_LITERAL("b"));
    snprintf(line, 320, "%s %zu bytes %016" PRIx64 "%016" PRIx64, what, slice.length, f.high, f.low);
    return line;
}

/* Everything of a shard but its epoch and whose commits it names: accounts as stage_kept says them, position, meta, and
   what is remembered of events within the window. */
static void snapshot(stage *s, int32_t p, tm_time end, feed_out *lines)
{
    tm_shard_meta meta;
    tm_position position = stage_position(s, p, &meta);
    char line[320];
    snprintf(line, sizeof line, "shard %d at %" PRId64 " %" PRId64 " n %" PRId64, (int)p, position.next[0],
             position.next[1], position.commit);
    feed_out_add(lines, line);
    meta.fingerprints_from = 0; /* one write instead of several */
    meta.claim = meta.published = meta.published_claim = 0;
    tm_buffer bytes;
    tm_buffer_init(&bytes, 1 << 20);
    tm_meta_encode(&meta, &bytes);
    feed_out_add(lines, bytes_of(tm_buffer_slice(&bytes), line, "meta"));
    tm_buffer_done(&bytes);
    stage_kept(s, p, end, lines);
}

static void run_on(stage *s, actor *a, const feed *f, uint32_t *from, uint32_t to, feed_random *r)
{
    for (; *from < to; ++*from) {
        const feed_record *record = &f->records[*from];
        while (record->timestamp != TM_TIME_NONE && s->base + s->now < record->timestamp) {
            int64_t left = record->timestamp - s->base - s->now;
            s->now += left > 20000 ? 1 + feed_below(r, 20000) : left;
            stage_step(s, a);
        }
        stage_append(s, record);
        stage_step(s, a);
    }
}

/* Grid, skew and dedup window may be others at every start. */
static void settle_otherwise(stage *s, feed_random *r)
{
    static const int64_t grids[] = {TM_MINUTE, 2 * TM_MINUTE, 5 * TM_MINUTE, 30 * TM_SECOND};
    s->settings.shard.evaluate_every = grids[feed_below(r, 4)];
    s->settings.shard.max_skew = feed_below(r, 2) ? 5 * TM_MINUTE : 2 * TM_HOUR;
    s->settings.shard.dedup_window = (1 + feed_below(r, 8)) * 30 * TM_MINUTE;
    s->settings.shard.dedup_entries = feed_below(r, 2) ? 1000 : 5 + (uint32_t)feed_below(r, 20);
}

/* Lives one after the other. After each the store goes back to a random earlier moment of that life, and the next has
   to bring it to exactly where it was before anything else is done. */
Test(losttail, what_was_lost_comes_back_bit_for_bit)
{
    uint64_t only = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 0;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        if (only && seed != only)
            continue;
        feed_random r = {seed * 424243};
        char what[64];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        feed f;
        stage s;
        uint32_t partitions = 1 + (uint32_t)feed_below(&r, 3);
        feed_make(&f, seed + 900, partitions, 6, 240, 1);
        stage_init(&s, partitions, feed_rules);
        s.base = FEED_START;
        s.settings.commit_records = 1 + (uint32_t)feed_below(&r, 20);
        s.settings.commit_accounts = 1 + (uint32_t)feed_below(&r, 8); /* a replay is written in pieces too */
        uint32_t at = 0;
        tm_memory_state *kept[SNAPSHOTS], *empty = tm_memory_state_copy(s.state), *former = tm_memory_state_copy(empty);
        for (int life = 0; life < 4; life++) {
            uint32_t begin = at, end = (uint32_t)((life + 1) * f.count / 4);
            s.settings.commit_interval = 20 + feed_below(&r, 3000);
            if (feed_below(&r, 2))
                settle_otherwise(&s, &r);
            actor *a = stage_hire(&s, "w");
            for (int k = 0; k < SNAPSHOTS; k++) {
                kept[k] = tm_memory_state_copy(s.state);
                run_on(&s, a, &f, &at, begin + (end - begin) * (uint32_t)(k + 1) / SNAPSHOTS, &r);
            }
            cr_assert_eq(stage_stop(&s, a), TM_OK, "%s: %s", what, a->error.what);
            tm_time horizon = s.base + s.now + TM_DAY;
            feed_out before = {0}, after = {0}, published = {0}, again = {0};
            int64_t tombstones, letters, tombstones_again, letters_again;
            uint32_t behind = 0;
            /* Of this life, or of the one before, or nothing at all. */
            tm_memory_state *old = feed_below(&r, 4) == 0   ? empty
                                   : feed_below(&r, 3) == 0 ? former
                                                            : kept[feed_below(&r, SNAPSHOTS)];
            for (int32_t p = 0; p < (int32_t)partitions; p++)
                snapshot(&s, p, horizon, &before);
            stage_signals(&s, &published, &tombstones, &letters);
            tm_position ends[8];
            for (int32_t p = 0; p < (int32_t)partitions; p++)
                ends[p] = stage_position(&s, p, NULL);
            cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
            for (int32_t p = 0; p < (int32_t)partitions; p++)
                behind += stage_position(&s, p, NULL).commit < ends[p].commit;
            lost += behind;
            s.settings.commit_interval = INT64_C(1) << 40; /* replayed, and nothing more */
            s.replayed = s.rebuilt = 0;
            a = stage_hire(&s, "w");
            for (int i = 0; i < 600 && s.replayed + s.rebuilt < behind; i++)
                stage_step(&s, a);
            cr_assert_eq(s.replayed + s.rebuilt, behind, "%s: %u of %u came back: %s", what, s.replayed, behind,
                         s.halted[0]);
            cr_assert_eq(s.differs, 0, "%s", what);
            for (int32_t p = 0; p < (int32_t)partitions; p++)
                snapshot(&s, p, horizon, &after);
            feed_out_same(&before, &after, what);
            stage_signals(&s, &again, &tombstones_again, &letters_again);
            feed_out_same(&published, &again, what);
            cr_assert_eq(tombstones, tombstones_again, "%s", what);
            cr_assert_eq(letters, letters_again, "%s", what);
            /* This life ends as by kill -9 would: what it did after the replay is of no interest here. */
            cr_assert_eq(stage_stop(&s, a), TM_OK, "%s: %s", what, a->error.what);
            feed_out_done(&before), feed_out_done(&after), feed_out_done(&published), feed_out_done(&again);
            tm_memory_state_free(former);
            former = kept[feed_below(&r, SNAPSHOTS)];
            for (int k = 0; k < SNAPSHOTS; k++) {
                if (kept[k] != former)
                    tm_memory_state_free(kept[k]);
            }
        }
        tm_memory_state_free(former);
        tm_memory_state_free(empty);
        stage_done(&s);
        feed_done(&f);
    }
    cr_assert(only || lost > 40, "%u shards lost something", lost);
}

/* The same while workers run, come and go: whatever the store falls back to, what is published and kept at the end is
   what one plain shard says. */
Test(losttail, a_store_that_falls_back_under_workers_neither_loses_nor_doubles)
{
    uint64_t only = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 0;
    uint32_t replayed = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        if (only && seed != only)
            continue;
        feed_random r = {seed * 5000011};
        char what[64];
        snprintf(what, sizeof what, "falling back, seed %d", (int)seed);
        feed f;
        stage s;
        uint32_t partitions = 1 + (uint32_t)feed_below(&r, 3);
        feed_make(&f, seed + 700, partitions, 4 + (uint32_t)feed_below(&r, 6), 300, 2);
        stage_init(&s, partitions, feed_rules);
        for (uint32_t i = 0; i < f.count; i++)
            stage_append(&s, &f.records[i]);
        stage_once(&s, &f);
        s.settings.commit_records = 1 + (uint32_t)feed_below(&r, 20);
        s.settings.commit_interval = 20 + feed_below(&r, 200);
        tm_memory_state *old = tm_memory_state_copy(s.state);
        int falls = 0;
        actor *a = stage_hire(&s, "w");
        for (int turn = 0; turn < 4000 && s.count < STAGE_WORKERS - 2; turn++) {
            if (a->finished)
                a = stage_hire(&s, "w");
            switch (feed_below(&r, 40)) {
            case 0:
                tm_memory_state_free(old);
                old = tm_memory_state_copy(s.state);
                break;
            case 1:
                if (falls++ < 12)
                    cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
                break;
            case 2:
                if (feed_below(&r, 8) == 0)
                    atomic_store(&a->stop, true);
                break;
            case 3:
                if (feed_below(&r, 4) == 0)
                    tm_world_lose_answer(s.world);
                break;
            default:
                break;
            }
            stage_step(&s, a);
        }
        tm_memory_state_free(old);
        if (!a->finished)
            (void)stage_stop(&s, a);
        for (int i = 0; i < s.count; i++)
            cr_assert(s.actors[i]->status != TM_FATAL, "%s: worker %d: %s", what, i, s.actors[i]->error.what);
        actor *last = stage_hire(&s, "last");
        cr_assert_eq(stage_finish(&s, last), TM_OK, "%s: %s", what, last->error.what);
        replayed += s.replayed + s.rebuilt;
        cr_assert_eq(s.differs, 0, "%s", what);

        feed_reading reading;
        feed_reading_init(&reading);
        feed_out expected = {0}, published = {0};
        int64_t tombstones, letters;
        tm_shard_settings settings = feed_settings();
        for (int32_t p = 0; p < (int32_t)partitions; p++) {
            feed_out plain = {0}, kept = {0};
            tm_shard *shard = feed_run(&f, &reading, &settings, s.pack, p, f.greatest, &expected);
            feed_shard_lines(shard, s.pack, f.greatest, &plain);
            stage_kept(&s, p, f.greatest, &kept);
            feed_out_same(&plain, &kept, what);
            feed_out_done(&plain), feed_out_done(&kept);
            tm_shard_free(shard);
        }
        for (uint32_t i = 0; i < expected.count; i++)
            expected.lines[i][36] = 0; /* the id alone */
        stage_signals(&s, &published, &tombstones, &letters);
        feed_out_same(&expected, &published, what);
        feed_out_done(&expected), feed_out_done(&published);
        feed_reading_done(&reading);
        stage_done(&s);
        feed_done(&f);
    }
    cr_assert(only || replayed > 20, "%u replays", replayed);
}
