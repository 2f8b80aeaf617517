/* Records that trip a check inside: passed over once and for all, as if they had been unusable; and checks that no
   record is to blame for, which halt one shard with a report while the other goes on. The build has the hook that makes
   a record trip (TIDEMARK_CRASH_POINTS); without it there is nothing to test here. */
#include "support/stage.h"

#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/report.h"

#ifdef TIDEMARK_CRASH_POINTS

static stage s;
static feed f;

static void tear_down(void)
{
    stage_done(&s);
    feed_done(&f);
}

TestSuite(poison, .fini = tear_down);

static void event(int32_t partition, int64_t minute, const char *id, const char *trip)
{
    char properties[80] = "";
    if (trip)
        snprintf(properties, sizeof properties, ",\"properties\":{\"tidemark.trip\":\"%s\"}", trip);
    stage_buy(&s, &f, partition, minute, id, properties);
}

static void two_shards(void)
{
    f = (feed){.partitions = 2, .greatest = FEED_START};
    stage_init(&s, 2, feed_rules);
    s.base = STAGE_MORNING + TM_HOUR;
    for (int32_t p = 0; p < 2; p++) {
        event(p, 1, "1", NULL);
        event(p, 2, "2", NULL);
    }
}

static void steps(actor *a, int count)
{
    while (count-- > 0)
        stage_step(&s, a);
}

/* What a run of the feed to its end publishes and keeps. */
typedef struct outcome {
    feed_out signals, kept;
    int64_t tombstones, letters;
} outcome;

static void look(stage *on, outcome *ret)
{
    *ret = (outcome){0};
    stage_signals(on, &ret->signals, &ret->tombstones, &ret->letters);
    for (uint32_t p = 0; p < tm_world_partitions(on->world); p++)
        stage_kept(on, (int32_t)p, f.greatest, &ret->kept);
}

static void run_once(stage *on, const feed *of, outcome *ret)
{
    stage_init(on, of->partitions, feed_rules);
    on->settings.commit_records = 40;
    for (uint32_t i = 0; i < of->count; i++)
        stage_append(on, &of->records[i]);
    stage_once(on, of);
    actor *a = stage_hire(on, "one");
    cr_assert_eq(stage_finish(on, a), TM_OK, "%s", a->error.what);
    look(on, ret);
}

static void done(outcome *o)
{
    feed_out_done(&o->signals);
    feed_out_done(&o->kept);
}

static void same(outcome *a, outcome *b, const char *what)
{
    feed_out_same(&a->signals, &b->signals, what);
    feed_out_same(&a->kept, &b->kept, what);
    cr_assert_eq(a->tombstones, b->tombstones, "%s: tombstones", what);
    cr_assert_eq(a->letters, b->letters, "%s: %d and %d dead letters", what, (int)a->letters, (int)b->letters);
}

/* Appends `,"properties":{"tidemark.trip":"HOW"}` to every n-th event's object. Returns how many. */
static uint32_t plant(feed *in, uint32_t each, const char *how)
{
    uint32_t planted = 0, seen = 0;
    for (uint32_t i = 0; i < in->count; i++) {
        feed_record *record = &in->records[i];
        size_t length = strlen(record->value);
        if (record->input != TM_INPUT_USAGE || length < 40 || ++seen % each)
            continue;
        snprintf(record->value + length - 1, sizeof record->value - length + 1,
                 ",\"properties\":{\"tidemark.trip\":\"%s\"}}", how);
        planted++;
    }
    return planted;
}

static int64_t letters_with(stage *on, const char *word)
{
    int64_t found = 0;
    for (int32_t p = 0; p < (int32_t)tm_world_partitions(on->world); p++) {
        int64_t count = tm_world_output_count(on->world, TM_TOPIC_DEAD_LETTERS, p);
        for (int64_t i = 0; i < count; i++) {
            tm_world_record record;
            cr_assert(tm_world_output(on->world, TM_TOPIC_DEAD_LETTERS, p, i, &record));
            found += memmem(record.value.data, record.value.length, word, strlen(word)) != NULL;
        }
    }
    return found;
}

/* The judge: the same feed with the poison's bytes replaced by what no reader can use. */
Test(poison, is_as_if_the_record_had_been_unusable)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        feed plain;
        feed_make(&f, seed, 2, 7, 300, 3);
        uint32_t planted = plant(&f, 23, "record");
        plain = f;
        plain.records = malloc(sizeof *f.records * f.count);
        memcpy(plain.records, f.records, sizeof *f.records * f.count);
        for (uint32_t i = 0; i < f.count; i++) {
            if (strstr(f.records[i].value, "tidemark.trip"))
                snprintf(plain.records[i].value, sizeof plain.records[i].value, "{");
        }
        stage judge;
        outcome expected, found;
        run_once(&judge, &plain, &expected);
        run_once(&s, &f, &found);
        same(&expected, &found, "poison");
        /* One that T - window has as a duplicate of an accepted id never comes to be applied: it trips nothing. */
        int64_t letters = letters_with(&s, "internal_check");
        cr_assert(letters > 0 && letters <= planted, "%d of %u", (int)letters, planted);
        cr_assert_eq((int64_t)s.poison, letters);
        cr_assert_eq(s.suspected, s.poison, "each was suspected once");
        cr_assert_eq(s.broken, 0);
        done(&expected), done(&found);
        free(plain.records);
        stage_done(&judge);
        if (seed < 6) {
            stage_done(&s);
            feed_done(&f);
        }
    }
}

Test(poison, a_rebuild_passes_over_what_the_journal_names)
{
    feed_make(&f, 11, 2, 7, 300, 3);
    plant(&f, 31, "record");
    outcome before, after;
    run_once(&s, &f, &before);
    cr_assert_gt(s.poison, 0);
    uint32_t found = s.poison;
    /* The store is empty: everything comes from the journal and the inputs. */
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    actor *a = stage_hire(&s, "two");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(s.rebuilt, 2);
    cr_assert_eq(s.differs, 0);
    cr_assert_eq(s.poison, found, "nothing tripped again");
    look(&s, &after);
    same(&before, &after, "rebuilt");
    done(&before), done(&after);
}

Test(poison, what_trips_only_in_company_counts)
{
    feed plain;
    feed_make(&f, 5, 2, 7, 300, 3);
    plain = f;
    plain.records = malloc(sizeof *f.records * f.count);
    memcpy(plain.records, f.records, sizeof *f.records * f.count);
    cr_assert_gt(plant(&f, 40, "company"), 0);
    stage judge;
    outcome expected, found;
    run_once(&judge, &plain, &expected);
    run_once(&s, &f, &found);
    same(&expected, &found, "acquitted");
    cr_assert_gt(s.acquitted, 0);
    cr_assert_eq(s.acquitted, s.suspected);
    cr_assert_eq(s.poison, 0);
    done(&expected), done(&found);
    free(plain.records);
    stage_done(&judge);
}

Test(poison, another_worker_finds_it_again)
{
    two_shards();
    event(0, 3, "bad", "record");
    event(0, 4, "4", NULL);
    actor *a = stage_hire(&s, "first");
    while (s.suspected == 0)
        stage_step(&s, a);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(letters_with(&s, "internal_check"), 0);
    a = stage_hire(&s, "second");
    steps(a, 100);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(letters_with(&s, "internal_check"), 1);
    cr_assert_eq(letters_with(&s, "tripped_by_record"), 1, "the letter names the check");
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    a = stage_hire(&s, "third");
    event(0, 90, "later", NULL);
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK);
    cr_assert_eq(letters_with(&s, "internal_check"), 1, "once");
}

/* The value of a field of the report; static storage. */
static const char *reported(const char *name)
{
    static char value[2048];
    char start[40];
    snprintf(start, sizeof start, "%s=", name);
    const char *at = s.report;
    while (at && strncmp(at, start, strlen(start)) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    cr_assert_not_null(at, "%s is not in the report:\n%s", name, s.report);
    at += strlen(start);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
    return value;
}

static void breaks(const char *how, const char *check)
{
    two_shards();
    actor *a = stage_hire(&s, "one");
    steps(a, 60);
    tm_position before = stage_position(&s, 0, NULL);
    cr_assert_gt(before.commit, 0);
    event(0, 50, "bad", how);
    event(1, 50, "good", NULL);
    s.now += 10 * TM_MINUTE;
    steps(a, 100);
    cr_assert_eq(s.broken, 1, "%u", s.broken);
    cr_assert_str_eq(s.codes[0], "invariant");
    cr_assert_not_null(strstr(s.halted[0], check), "%s", s.halted[0]);
    cr_assert_str_empty(s.halted[1]);
    cr_assert_str_eq(reported("check"), check);
    cr_assert_not_null(strstr(reported("at"), ".c:"));
    cr_assert_str_eq(reported("partition"), "0");
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, before.commit);
    tm_shard_meta meta;
    tm_position now = stage_position(&s, 0, &meta);
    snprintf(number, sizeof number, "%" PRId64, now.commit);
    cr_assert_str_eq(reported("commit"), number, "R is where the store has it");
    snprintf(number, sizeof number, "%" PRId64, now.next[0]);
    cr_assert_str_eq(reported("next_usage"), number);
    cr_assert_str_eq(reported("accounts"), "1");
    char expected[24];
    tm_store store;
    tm_error error;
    uint64_t hash, accounts;
    tm_holding holding = {.settings = &s.settings, .pack = s.pack, .partition = 0};
    cr_assert_eq(tm_memory_store_open(s.state, &store, &error), TM_OK);
    cr_assert_eq(tm_report_hash(&store, &holding, &hash, &accounts, &meta, &error), TM_OK);
    store.close(store.context);
    snprintf(expected, sizeof expected, "%016" PRIx64, hash);
    cr_assert_str_eq(reported("state_hash"), expected);
    snprintf(number, sizeof number, "\"n\":%" PRId64 ",", now.commit);
    cr_assert_not_null(strstr(reported("journal"), number), "the line of the last commit: %s", reported("journal"));
    cr_assert_eq(stage_position(&s, 1, NULL).next[0], f.ends[0][1], "the other shard goes on");
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
    cr_assert_not_null(strstr(a->error.what, check));
}

Test(poison, a_judgement_that_trips_halts_with_a_report)
{
    breaks("judge", "open_episodes");
}

Test(poison, a_commit_that_trips_halts_with_a_report)
{
    breaks("commit", "changed_accounts");
}

Test(poison, too_many_are_no_records_fault)
{
    two_shards();
    for (int i = 0; i < TM_POISON_MAX + 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "bad%d", i);
        event(0, 3 + i, id, "record");
    }
    actor *a = stage_hire(&s, "one");
    steps(a, 4000);
    cr_assert_eq(s.poison, TM_POISON_MAX);
    cr_assert_str_eq(s.codes[0], "invariant");
    cr_assert_str_empty(s.halted[1]);
    cr_assert_eq(letters_with(&s, "internal_check"), TM_POISON_MAX);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}

#endif
