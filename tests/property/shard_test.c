/* A shard's signals are a function of records and times: not of when it looks, of how commits are cut, or of where it
   was stopped and restored. */
#include "support/feed.h"
#include "tidemark/pipeline/meta.h"

enum { SEEDS = 30, RECORDS = 260 };

static void describe(char what[64], const char *name, uint64_t seed)
{
    snprintf(what, 64, "%s, seed %d", name, (int)seed);
}

/* Judged when due, and at every instant of the grid: the same signals and states. */
static void skips_nothing(const char *rules, uint32_t seen[4])
{
    feed_reading r;
    feed_reading_init(&r);
    tm_pack *pack = feed_pack(rules);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char what[64];
        describe(what, "every instant", seed);
        feed f;
        feed_make(&f, seed, 1, 4, RECORDS, 3);
        feed_out due = {0}, every = {0}, lines = {0}, every_lines = {0};
        tm_shard_settings settings = feed_settings();
        tm_time end = f.greatest + 14 * TM_HOUR;
        tm_shard *a = feed_run(&f, &r, &settings, pack, 0, end, &due);
        settings.every_instant = true;
        tm_shard *b = feed_run(&f, &r, &settings, pack, 0, end, &every);
        cr_assert(tm_shard_counted(a)->judged * 3 < tm_shard_counted(b)->judged, "due times spare most judgements");
        for (int k = 0; k < TM_KINDS; k++) {
            cr_assert_eq(tm_shard_open(a, (tm_kind)k), tm_shard_open(b, (tm_kind)k));
            for (int s = 1; s < 4; s++)
                seen[s] += (uint32_t)tm_shard_counted(a)->signals[k][s];
        }
        feed_shard_lines(a, pack, end, &lines);
        feed_shard_lines(b, pack, end, &every_lines);
        feed_out_same(&due, &every, what);
        feed_out_same(&lines, &every_lines, what);
        feed_out_done(&due), feed_out_done(&every), feed_out_done(&lines), feed_out_done(&every_lines);
        tm_shard_free(a);
        tm_shard_free(b);
        feed_done(&f);
    }
    tm_pack_free(pack);
    feed_reading_done(&r);
}

Test(shard, due_times_skip_nothing)
{
    uint32_t seen[4] = {0};
    skips_nothing(feed_rules, seen);
    cr_assert(seen[1] > 200 && seen[2] > 20 && seen[3] > 150, "the records move every row: %u %u %u", seen[1], seen[2],
              seen[3]);
}

/* Each rule waits for one thing that hardly anything else has it judged for: a bucket that midnight makes older, a late
   event, the last or the first hour, a value, what only `clear`, `value`, `severity` or `scope` looks at, an inhibitor.
 */
static const char apart_rules[] =
    "version: 1\n"
    "metrics:\n"
    "  exports: {count: export}\n"
    "  buys:    {count: buy}\n"
    "  logins:  {count: login}\n"
    "  people:  {distinct: user, event: login}\n"
    "  mood:    {last: value, event: mood}\n"
    "  best:    {max: value, event: buy}\n"
    "rules:\n"
    "  - {name: yesterday, kind: advisory, when: 'exports[1d offset 1d] >= 3', clear: 'exports[1d offset 1d] < 2'}\n"
    "  - {name: before, kind: advisory, when: 'people[1d offset 1d] >= 2'}\n"
    "  - {name: none, kind: advisory, when: 'people[1d] == 0'}\n"
    "  - {name: all, kind: advisory, when: 'people[2d] >= 3'}\n"
    "  - {name: hours, kind: advisory, when: 'buys[2h offset 1h] >= 2'}\n"
    "  - {name: stops, kind: churn_risk, when: 'age(buys) >= 7h'}\n"
    "  - {name: begins, kind: expansion, when: 'first(logins) >= 5h', clear: 'first(logins) == null'}\n"
    "  - {name: glad, kind: expansion, when: 'mood >= 12', clear: 'mood < 6'}\n"
    "  - {name: muted, kind: advisory, when: 'seats >= 2', inhibited_by: [glad]}\n"
    "  - {name: muted_again, kind: advisory, when: 'seats >= 2', inhibited_by: [muted], inhibit_tail: 1h}\n"
    "  - {name: ends, kind: advisory, when: 'seats >= 3', clear: 'mood >= 15', cooldown: 1h}\n"
    "  - {name: shows, kind: advisory, when: 'seats >= 1', clear: 'seats == 0', value: mood, update_change: 0.1}\n"
    "  - {name: grave, kind: advisory, when: 'seats >= 3', severity: \"if(best > 17, 'critical', 'warn')\"}\n"
    "  - {name: within, kind: advisory, when: 'seats >= 3', scope: 'logins[1d] >= 2'}\n";

/* Nothing but a midnight makes what was counted show, and nobody waits for midnights before. */
static const char lone_rule[] = "version: 1\n"
                                "metrics: {exports: {count: export}}\n"
                                "rules: [{name: yesterday, kind: advisory, when: 'exports[1d offset 1d] >= 1'}]\n";

Test(shard, what_was_not_stirred_stands)
{
    uint32_t seen[4] = {0};
    skips_nothing(lone_rule, seen);
    cr_assert(seen[1] > 100 && seen[3] > 100, "%u %u", seen[1], seen[3]);
    skips_nothing(apart_rules, seen);
    cr_assert(seen[1] > 1000 && seen[2] > 50 && seen[3] > 1000, "the records move every rule: %u %u %u", seen[1],
              seen[2], seen[3]);
}

/* Stages that move with events, hours, facts and the end of a stay, and rules that follow from them alone. */
static const char stage_rules[] =
    "version: 1\n"
    "first_value: exports\n"
    "metrics:\n"
    "  exports: {count: export}\n"
    "  buys:    {count: buy}\n"
    "  logins:  {count: login}\n"
    "stages:\n"
    "  - {name: begun, enter: 'logins[2h] >= 1'}\n"
    "  - {name: going, enter: 'exports[1d offset 1d] >= 2', stay: 100m}\n"
    "  - {name: buying, enter: 'buys[3h] >= 2', stay: 3h}\n"
    "  - {name: grown, enter: 'seats >= 3 and age(logins) > 4h'}\n"
    "rules:\n"
    "  - {name: moved, kind: advisory, on: stage_changed, when: previous_stage != null, cooldown: 2h}\n"
    "  - {name: any, kind: advisory, on: stage_changed, inhibited_by: [long], inhibit_tail: 1h}\n"
    "  - {name: long, kind: churn_risk, when: stage_age >= 5h, value: stage_age, inhibited_by: [moved], "
    "inhibit_tail: 7h}\n"
    "  - {name: bought, kind: expansion, when: \"stage == 'buying'\", clear_for: 30m}\n"
    "  - {name: back, kind: advisory, when: previous_stage_time < 3h, stages: [begun, grown]}\n"
    "  - {name: slow, kind: advisory, when: time_to_first_value >= 1d, stages: going}\n";

Test(shard, stages_skip_nothing)
{
    uint32_t seen[4] = {0};
    skips_nothing(stage_rules, seen);
    cr_assert(seen[1] > 500 && seen[2] > 2 && seen[3] > 200, "%u %u %u", seen[1], seen[2], seen[3]);
}

/* Bands that events, hours and stages move, and rules that follow from them alone. */
static const char band_rules[] =
    "version: 1\n"
    "metrics:\n"
    "  exports: {count: export}\n"
    "  logins:  {count: login}\n"
    "stages:\n"
    "  - {name: begun, enter: 'logins[2h] >= 1'}\n"
    "  - {name: going, enter: 'exports[1d offset 1d] >= 2', stay: 100m}\n"
    "scorecards:\n"
    "  going: {f: {value: 'exports[5h]', map: [[0, 0], [9, 100]], weight: 2}, g: {value: seats, map: [[0, 0], [9, "
    "90]], "
    "weight: 1}}\n"
    "  rest: {card: {version: 3, bands: {margin: 9}}, f: {value: 'logins[1d offset 1d]', map: [[0, 90], [9, 10]], "
    "weight: 1}, g: {value: age(logins), map: [[1h, 100], [30h, 0]], weight: 3}}\n"
    "  apart: {card: {score: approach, bands: {green: 30, yellow: 10, margin: 0}}, f: {value: 'logins[3h]', map: [[0, "
    "0], [8, 100]], weight: 1}}\n"
    "rules:\n"
    "  - {name: red, kind: churn_risk, when: band == 'red', value: health, clear: band == 'green'}\n"
    "  - {name: up, kind: expansion, when: \"band(approach) == 'green'\", clear_for: 40m}\n"
    "  - {name: unlike, kind: advisory, when: band != band(approach), for: 20m}\n"
    "  - {name: warm, kind: advisory, when: \"band in ['yellow', 'green']\", inhibited_by: [up], inhibit_tail: 1h}\n"
    "  - {name: fell, kind: churn_risk, when: 'health - health[1d ago] <= -5', clear: 'health >= health[1d ago]', for: "
    "30m}\n"
    "  - {name: low, kind: churn_risk, when: 'min(health[2d]) < 40 or mean(approach[3d]) > 50'}\n";

Test(shard, bands_skip_nothing)
{
    uint32_t seen[4] = {0};
    skips_nothing(band_rules, seen);
    cr_assert(seen[1] > 500 && seen[3] > 200, "%u %u %u", seen[1], seen[2], seen[3]);
}

/* --- saved and restored between commits --- */

typedef struct kept_account {
    char key[16];
    char blob[4096];
    size_t length;
} kept_account;

typedef struct kept {
    kept_account accounts[32];
    uint32_t count;
    tm_buffer fingerprints[512]; /* one a commit */
    uint32_t commits;
    tm_buffer meta;
} kept;

static void keep_account(kept *k, tm_slice key, tm_slice blob)
{
    uint32_t i = 0;
    while (i < k->count && !tm_slice_equal_text(key, k->accounts[i].key))
        i++;
    if (!blob.data) {
        if (i < k->count)
            k->accounts[i] = k->accounts[--k->count];
        return;
    }
    cr_assert(i < 32 && blob.length <= sizeof k->accounts[i].blob);
    snprintf(k->accounts[i].key, sizeof k->accounts[i].key, "%.*s", (int)key.length, key.data);
    memcpy(k->accounts[i].blob, blob.data, blob.length);
    k->accounts[i].length = blob.length;
    k->count += i == k->count;
}

/* What a commit writes, and nothing more. */
static void save(kept *k, tm_shard *shard, const tm_pack *pack)
{
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), tm_shard_time(shard), &span);
    tm_buffer blob;
    tm_buffer_init(&blob, 1 << 20);
    for (uint32_t i = 0; i < tm_shard_erased_count(shard); i++)
        keep_account(k, tm_shard_erased(shard, i), (tm_slice){0});
    for (uint32_t i = 0; i < tm_shard_changed_count(shard); i++) {
        const tm_account *account = tm_shard_changed(shard, i);
        tm_buffer_reset(&blob);
        tm_state_encode(account, pack, &now, &blob);
        keep_account(k, account->key, tm_buffer_slice(&blob));
    }
    tm_buffer_done(&blob);
    cr_assert(k->commits < 512);
    tm_buffer *fingerprints = &k->fingerprints[k->commits++];
    tm_buffer_init(fingerprints, 1 << 20);
    tm_fingerprints_encode(shard, fingerprints);
    tm_shard_meta meta = {.time = tm_shard_time(shard),
                          .judged = tm_shard_judged(shard),
                          .counting_count = tm_shard_counting_count(shard)};
    for (uint32_t i = 0; i < meta.counting_count; i++)
        meta.counting[i] = tm_shard_counting(shard, i);
    tm_buffer_reset(&k->meta);
    tm_meta_encode(&meta, &k->meta);
    tm_shard_settled(shard);
}

static tm_status give_fingerprint(void *context, tm_fingerprint fingerprint, tm_time at)
{
    return tm_shard_restore_fingerprint(context, fingerprint, at);
}

static tm_shard *restore(const kept *k, const tm_shard_settings *settings, const tm_pack *pack, feed_out *out)
{
    tm_shard_meta meta;
    tm_error error;
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&k->meta), &meta, &error), TM_OK, "%s", error.what);
    tm_shard *shard = tm_shard_new(settings, pack, meta.time, meta.counting, meta.counting_count);
    tm_shard_set_sink(shard, feed_sink, out);
    tm_shard_restore_time(shard, meta.time, meta.judged);
    for (uint32_t i = 0; i < k->count; i++) {
        tm_account *account;
        tm_slice blob = {k->accounts[i].blob, k->accounts[i].length};
        cr_assert_eq(
            tm_state_decode(tm_shard_heap(shard), pack, tm_slice_of(k->accounts[i].key), blob, &account, &error), TM_OK,
            "%s", error.what);
        cr_assert_eq(tm_shard_restore_account(shard, account), TM_OK);
    }
    for (uint32_t i = 0; i < k->commits; i++)
        cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&k->fingerprints[i]), give_fingerprint, shard), TM_OK);
    return shard;
}

static void forget(kept *k)
{
    for (uint32_t i = 0; i < k->commits; i++)
        tm_buffer_done(&k->fingerprints[i]);
    tm_buffer_done(&k->meta);
    free(k);
}

/* `other`: the rules from the middle on, adopted or found at a restore; NULL: the same throughout. */
static tm_shard *run_in_pieces(const feed *f, feed_reading *r, const tm_shard_settings *settings, const tm_pack *pack,
                               const tm_pack *other, bool restoring, uint64_t seed, tm_time end, feed_out *out)
{
    feed_random random = {seed * 77}, stops = {seed * 99}; /* its own, so that both ways are cut alike */
    kept *k = calloc(1, sizeof *k);
    tm_buffer_init(&k->meta, 1 << 16);
    tm_shard *shard = tm_shard_new(settings, pack, FEED_START, NULL, 0);
    tm_shard_set_sink(shard, feed_sink, out);
    uint32_t count;
    tm_time start;
    uint32_t *order = feed_merge(f, 0, &count, &start);
    tm_shard_start(shard, start);
    for (uint32_t i = 0; i < count;) {
        tm_shard_begin(shard, TM_TIME_NEVER);
        uint32_t piece = 1 + (uint32_t)feed_below(&random, 12);
        uint32_t before = i;
        for (; i < count && piece > 0; i++, piece--)
            feed_apply(r, shard, &f->records[order[i]]);
        /* Time may pass up to what comes next, but not onto it: T would be judged without that record. */
        if (i < count && feed_below(&random, 2)) {
            tm_time next = f->records[order[i]].timestamp;
            tm_time now = tm_shard_time(shard);
            if (next != TM_TIME_NONE && next - 1 > now) {
                tm_time to = now + 1 + feed_below(&random, next - 1 - now);
                if (feed_below(&random, 2) && tm_time_floor(to, TM_MINUTE) > now)
                    to = tm_time_floor(to, TM_MINUTE);
                cr_assert_eq(tm_shard_advance(shard, to), TM_OK);
                cr_assert_eq(tm_shard_time(shard), to);
                cr_assert_eq(tm_shard_judged(shard), to % TM_MINUTE == 0);
            }
        }
        bool change = other && before < count / 2 && i >= count / 2;
        if (restoring) {
            save(k, shard, pack);
            if (change || feed_below(&stops, 3) == 0) {
                pack = change ? other : pack;
                tm_shard_free(shard);
                shard = restore(k, settings, pack, out);
            }
        } else if (change) {
            pack = other;
            cr_assert_eq(tm_shard_adopt(shard, other), TM_OK);
        }
    }
    cr_assert_eq(tm_shard_advance(shard, end), TM_OK);
    free(order);
    forget(k);
    return shard;
}

static void restarts_change_nothing(const char *rules)
{
    feed_reading r;
    feed_reading_init(&r);
    tm_pack *pack = feed_pack(rules);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char what[64];
        describe(what, "in pieces", seed);
        feed f;
        feed_make(&f, seed + 100, 1, 5, RECORDS, 3);
        tm_shard_settings settings = feed_settings();
        if (seed % 3 == 0)
            settings.dedup_entries = 7; /* shed early, and the same ones after a restore */
        feed_out whole = {0}, pieces = {0}, lines = {0}, piece_lines = {0};
        tm_time end = f.greatest + 14 * TM_HOUR;
        tm_shard *a = feed_run(&f, &r, &settings, pack, 0, end, &whole);
        tm_shard *b = run_in_pieces(&f, &r, &settings, pack, NULL, true, seed, end, &pieces);
        cr_assert_eq(tm_shard_time(a), tm_shard_time(b));
        for (int k = 0; k < TM_KINDS; k++)
            cr_assert_eq(tm_shard_open(a, (tm_kind)k), tm_shard_open(b, (tm_kind)k));
        feed_shard_lines(a, pack, end, &lines);
        feed_shard_lines(b, pack, end, &piece_lines);
        feed_out_same(&whole, &pieces, what);
        feed_out_same(&lines, &piece_lines, what);
        feed_out_done(&whole), feed_out_done(&pieces), feed_out_done(&lines), feed_out_done(&piece_lines);
        tm_shard_free(a);
        tm_shard_free(b);
        feed_done(&f);
    }
    tm_pack_free(pack);
    feed_reading_done(&r);
}

Test(shard, commits_and_restarts_change_nothing)
{
    restarts_change_nothing(feed_rules);
    restarts_change_nothing(stage_rules);
}

/* Rules of the second half: one went, one came, a metric went, one came, another threshold. */
static const char later_rules[] =
    "version: 2\n"
    "metrics:\n"
    "  fresh:  {count: export}\n"
    "  users:  {distinct: user}\n"
    "  events: {count: '*'}\n"
    "  amount: {sum: value, event: buy}\n"
    "rules:\n"
    "  - {name: busy, kind: expansion, when: 'events[2h] >= 3', for: 30m, clear: 'events[2h] <= 1', clear_for: 1h}\n"
    "  - {name: quiet, kind: churn_risk, when: 'age(events) >= 3h', cooldown: 1h}\n"
    "  - {name: fresh, kind: expansion, when: 'fresh[1d] >= 1'}\n"
    "  - {name: spend, kind: expansion, when: 'amount[6h] >= 20'}\n";

Test(shard, other_rules_adopted_or_found_at_a_restore_are_the_same)
{
    feed_reading r;
    feed_reading_init(&r);
    tm_pack *pack = feed_pack(feed_rules);
    tm_pack *later = feed_pack(later_rules);
    uint32_t removed = 0, kept_open = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char what[64];
        describe(what, "adopt", seed);
        feed f;
        feed_make(&f, seed + 200, 1, 5, RECORDS, 3);
        tm_shard_settings settings = feed_settings();
        feed_out adopted = {0}, restored = {0}, lines = {0}, restored_lines = {0};
        tm_time end = f.greatest + 5 * TM_HOUR;
        tm_shard *a = run_in_pieces(&f, &r, &settings, pack, later, false, seed, end, &adopted);
        tm_shard *b = run_in_pieces(&f, &r, &settings, pack, later, true, seed, end, &restored);
        feed_shard_lines(a, later, end, &lines);
        feed_shard_lines(b, later, end, &restored_lines);
        for (uint32_t i = 0; i < adopted.count; i++)
            removed += strstr(adopted.lines[i], "reason 2") != NULL;
        for (uint32_t i = 0; i < tm_shard_account_count(a); i++)
            kept_open += tm_shard_account_at(a, i)->episode_count > 0;
        feed_out_same(&adopted, &restored, what);
        feed_out_same(&lines, &restored_lines, what);
        feed_out_done(&adopted), feed_out_done(&restored), feed_out_done(&lines), feed_out_done(&restored_lines);
        tm_shard_free(a);
        tm_shard_free(b);
        feed_done(&f);
    }
    cr_assert(removed > 5 && kept_open > 5, "%u %u", removed, kept_open);
    tm_pack_free(pack);
    tm_pack_free(later);
    feed_reading_done(&r);
}
