/* The loop where a whole life does not lead by itself: rules that change under it, words of the group that come at odd
   moments, ends of runs, and answers of ports that end a worker.
   Long because: all of it is one loop on one stage. */
#include "tidemark/pipeline/worker.h"

#include "support/stage.h"

static feed f;
static stage s;
static _Atomic(const tm_pack *) reloaded;

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
    }
}

static void tear_down(void)
{
    stage_done(&s);
    feed_done(&f);
}

TestSuite(worker, .init = set_up, .fini = tear_down);

static void steps(actor *a, int count)
{
    while (count-- > 0)
        stage_step(&s, a);
}

static void first_life(void)
{
    actor *a = stage_hire(&s, "first");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
    cr_assert_eq(stage_position(&s, 1, NULL).next[0], f.ends[0][1]);
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

static int64_t journal_with(int32_t partition, const char *word)
{
    int64_t found = 0, count = tm_world_output_count(s.world, TM_TOPIC_JOURNAL, partition);
    for (int64_t i = 0; i < count; i++) {
        tm_world_record record;
        cr_assert(tm_world_output(s.world, TM_TOPIC_JOURNAL, partition, i, &record));
        found += memmem(record.value.data, record.value.length, word, strlen(word)) != NULL;
    }
    return found;
}

/* --- the group's word at odd moments --- */

static const tm_source_listener *listener;
static int polls;
static void (*on_poll)(void);
static tm_status poll_answer;
static int64_t compacted = -1; /* the offset of partition 0 of usage that is never delivered */

static tm_status join_noted(void *context, const tm_source_listener *given, tm_error *error)
{
    static tm_source_listener kept;
    kept = *given;
    listener = &kept;
    return actor_join(context, given, error);
}

static tm_status poll_noted(void *context, int64_t wait, tm_source_record *records, uint32_t capacity, uint32_t *count,
                            tm_error *error)
{
    tm_status status = actor_poll(context, wait, records, capacity, count, error);
    polls++;
    if (poll_answer != TM_OK) {
        *count = 0;
        return tm_fail(error, poll_answer, "fenced, for a test");
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (records[i].input == TM_INPUT_USAGE && records[i].partition == 0 && records[i].offset == compacted)
            actor_release(context, &records[i]);
        else
            records[kept++] = records[i];
    }
    *count = kept;
    if (on_poll)
        on_poll();
    return status;
}

static actor *hire(const char *instance)
{
    actor *a = stage_hire(&s, instance);
    a->ports.source.join = join_noted;
    a->ports.source.poll = poll_noted;
    return a;
}

static void assign_again(void)
{
    static const int32_t both[] = {0, 1};
    on_poll = NULL;
    listener->assigned(listener->context, both, 2);
}

Test(worker, a_shard_that_is_assigned_twice_is_held_once)
{
    actor *a = hire("only");
    steps(a, 60);
    cr_assert_eq(a->gauges.shards, 2);
    int64_t commit = stage_position(&s, 0, NULL).commit;
    cr_assert_gt(commit, 0);
    on_poll = assign_again;
    event(0, 61, "x");
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(a->gauges.shards, 2);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0], "it went on as it was");
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(a->gauges.records, 5, "nothing was read again");
}

Test(worker, more_shards_and_halts_than_are_named_are_counted)
{
    enum { MANY = 40 };
    stage_done(&s);
    stage_init(&s, MANY, feed_rules);
    for (int32_t p = 0; p < MANY; p++)
        tm_world_set_committed(s.world, p, (tm_position){{1, 0}, -1});
    actor *a = stage_hire(&s, "only");
    steps(a, 200);
    cr_assert_eq(a->gauges.halted, MANY);
    for (int i = 0; i < TM_WORKER_HALTS; i++)
        cr_assert_eq(a->gauges.halts[i].halt, TM_HALT_OFFSETS_FOREIGN, "%d", i);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
    cr_assert_not_null(strstr(a->error.what, "did not write"), "%s", a->error.what);
}

Test(worker, without_a_generation_it_claims_all_the_same)
{
    actor *a = stage_hire(&s, "only");
    a->ports.generation = NULL;
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
}

/* While a publication is tried, a shard goes; then it turns out that the membership is gone, too. */
static tm_publisher real_publisher;
static tm_status publish_answers[4];
static int publishes;

static tm_status publish_scripted(void *context, const int32_t *partitions, const tm_position *positions,
                                  uint32_t count, tm_error *error)
{
    tm_status status = publishes < 4 ? publish_answers[publishes] : TM_OK;
    publishes++;
    if (status == TM_OK)
        return real_publisher.commit(context, partitions, positions, count, error);
    (void)real_publisher.abort(context, error);
    return tm_fail(error, status, "for a test");
}

static void lose_the_first(void)
{
    static const int32_t first[] = {0};
    if (publishes == 0)
        return;
    on_poll = NULL;
    listener->revoked(listener->context, first, 1, true);
}

static void assign_the_first(void)
{
    static const int32_t first[] = {0};
    on_poll = NULL;
    listener->assigned(listener->context, first, 1);
}

Test(worker, a_refused_publication_lets_go_of_what_is_anothers_and_claims_the_rest_again)
{
    actor *a = hire("only");
    real_publisher = a->ports.publisher;
    a->ports.publisher.commit = publish_scripted;
    publish_answers[0] = TM_RETRY;
    publish_answers[1] = TM_REJECT;
    on_poll = lose_the_first;
    for (int i = 0; i < 3000 && publishes < 3; i++)
        stage_step(&s, a);
    cr_assert_geq(publishes, 3);
    steps(a, 60);
    cr_assert_eq(a->gauges.shards, 1, "the other is another's");
    uint32_t held = published();
    cr_assert_gt(held, 0, "of the shard that is held");
    on_poll = assign_the_first;
    steps(a, 100);
    cr_assert_eq(a->gauges.shards, 2);
    cr_assert_eq(published(), 2 * held, "each once");
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
}

/* --- ends --- */

static tm_store real_store;
static int commits_unanswered;

static tm_status commit_unanswered(void *context, const tm_store_commit *commit, tm_error *error)
{
    if (commits_unanswered-- > 0) {
        poll_answer = TM_FATAL; /* what it hears while it waits */
        return tm_fail(error, TM_RETRY, "for a test");
    }
    return real_store.commit(context, commit, error);
}

Test(worker, fenced_while_it_settles_it_ends_with_that_word)
{
    actor *a = hire("only");
    real_store = a->ports.store;
    steps(a, 60);
    event(0, 60, "x");
    steps(a, 1); /* taken, and its commit is still open */
    a->ports.store.commit = commit_unanswered;
    commits_unanswered = 1;
    atomic_store(&a->stop, true);
    cr_assert_eq(stage_finish(&s, a), TM_FATAL);
    cr_assert_not_null(strstr(a->error.what, "fenced"), "%s", a->error.what);
    poll_answer = TM_OK;
    actor *b = stage_hire(&s, "next");
    steps(b, 80);
    cr_assert_eq(stage_stop(&s, b), TM_OK, "%s", b->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0], "nothing was lost");
    (void)published();
}

Test(worker, fenced_by_its_own_publication_it_leaves)
{
    actor *a = hire("only");
    real_publisher = a->ports.publisher;
    a->ports.publisher.commit = publish_scripted;
    publish_answers[0] = TM_FATAL;
    cr_assert_eq(stage_finish(&s, a), TM_FATAL);
    cr_assert_not_null(strstr(a->error.what, "for a test"), "%s", a->error.what);
    cr_assert_eq(published(), 0);
}

static tm_time ends_at(int32_t partition)
{
    actor *a = stage_hire(&s, "ending");
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    tm_shard_meta meta;
    (void)stage_position(&s, partition, &meta);
    return meta.time;
}

#define AT(minute) (STAGE_MORNING + (minute)*TM_MINUTE)

/* T at the end of a run, by what the run was told. */
Test(worker, a_run_with_an_end_ends_where_it_was_told)
{
    static const struct {
        bool once;
        tm_time until, final, ends;
        const char *what;
    } cases[] = {
        {true, TM_TIME_NEVER, TM_TIME_NONE, AT(2), "no time is told: T stays at the last record"},
        {true, TM_TIME_NEVER, AT(30), AT(30), "the input's last time"},
        {true, AT(40), AT(30), AT(30), "the input's last time comes first"},
        {true, AT(20), AT(30), AT(20), "until comes first"},
        {true, AT(20), TM_TIME_NONE, AT(20), "until alone"},
        {false, AT(20), AT(30), AT(20), "reading on until then"},
        {false, AT(2), TM_TIME_NONE, AT(2), "the time of the last record itself"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i > 0) {
            tear_down();
            set_up();
        }
        if (cases[i].once)
            stage_once(&s, &f);
        s.settings.until = cases[i].until;
        s.settings.final_time = cases[i].final;
        for (int32_t p = 0; p < 2; p++)
            cr_assert_eq(p == 0 ? ends_at(p) : ends_at(p), cases[i].ends, "%s", cases[i].what);
    }
}

Test(worker, a_run_reads_on_until_a_record_is_later)
{
    for (int32_t p = 0; p < 2; p++)
        event(p, 30, "late");
    s.settings.until = AT(20);
    s.settings.final_time = AT(10); /* of no run that does not end with the input */
    cr_assert_eq(ends_at(0), AT(20));
    cr_assert_eq(stage_position(&s, 1, NULL).next[0], 2, "the later one is left");
}

/* Less than what an idle shard commits for by itself. */
Test(worker, the_last_seconds_before_an_end_are_gone)
{
    s.settings.until = s.base - 3000;
    cr_assert_eq(ends_at(0), s.settings.until);
}

/* The brokers of usage say nothing of its end, but at the claim. */
static int64_t silent_from;

static tm_status bounds_silent(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                               int64_t *reached, tm_error *error)
{
    static int asked[2];
    if (input == TM_INPUT_USAGE && asked[partition]++ > 0 && s.now < silent_from)
        return tm_fail(error, TM_RETRY, "no answer, for a test");
    return actor_bounds(context, input, partition, first, end, reached, error);
}

/* A record of the very instant of the end may not be the last of it. */
Test(worker, an_end_that_a_record_came_to_waits_for_the_brokers_word)
{
    s.settings.until = AT(2);
    actor *a = stage_hire(&s, "only");
    a->ports.source.bounds = bounds_silent;
    silent_from = INT64_MAX;
    steps(a, 200);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], 2);
    cr_assert_not(a->finished, "nobody said that nothing is to come");
    silent_from = 0;
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    cr_assert_eq(meta.time, AT(2));
}

Test(worker, an_end_without_any_record_waits_for_the_brokers_word_too)
{
    tm_world_free(s.world);
    s.world = tm_world_new(2);
    s.settings.until = AT(2);
    actor *a = stage_hire(&s, "only");
    a->ports.source.bounds = bounds_silent;
    silent_from = INT64_MAX;
    steps(a, 200);
    cr_assert_not(a->finished);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "T has not begun");
    silent_from = 0;
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    cr_assert_eq(meta.time, AT(2));
}

/* --- outputs that wait --- */

Test(worker, no_more_is_taken_while_too_much_waits_to_be_published)
{
    enum { LETTERS = 50, SIZE = 1 << 20 };
    char *value = malloc(SIZE);
    memset(value, 'x', SIZE);
    tm_world_record record = {.key = TM_SLICE_LITERAL("a0"), .value = {value, SIZE}, .timestamp = AT(3)};
    for (int i = 0; i < LETTERS; i++)
        cr_assert_eq(tm_world_append(s.world, TM_INPUT_USAGE, 0, &record, NULL), TM_OK);
    free(value);
    s.settings.commit_interval = INT64_C(1) << 40;
    actor *a = stage_hire(&s, "only");
    steps(a, 100);
    int64_t taken = stage_position(&s, 0, NULL).next[0];
    cr_assert(taken > 25 && taken < 40, "%d: one commit, and then it waits", (int)taken);
    steps(a, 100);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], taken);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    s.settings.commit_interval = 1000;
    a = stage_hire(&s, "other");
    steps(a, 200);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], LETTERS + 2);
    feed_out out = {0};
    int64_t tombstones, letters;
    stage_signals(&s, &out, &tombstones, &letters);
    cr_assert_eq(letters, LETTERS, "each once");
    feed_out_done(&out);
}

/* Nothing comes any more, and the clock goes on: the run ends when it has come to the end. */
Test(worker, an_end_that_is_yet_to_come_is_waited_for)
{
    s.settings.until = s.base + 5 * TM_MINUTE + 7;
    actor *a = stage_hire(&s, "waiting");
    steps(a, 100);
    cr_assert_not(a->finished);
    s.now += 4 * TM_MINUTE;
    steps(a, 100);
    cr_assert_not(a->finished);
    s.now += 2 * TM_MINUTE;
    cr_assert_eq(stage_finish(&s, a), TM_OK, "%s", a->error.what);
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    cr_assert_eq(meta.time, s.settings.until, "exactly");
}

/* --- rules that change --- */

static const char newer_rules[] = "version: 2\n"
                                  "metrics:\n"
                                  "  events: {count: '*'}\n"
                                  "  amount: {sum: value, event: buy}\n"
                                  "rules:\n"
                                  "  - {name: lively, kind: advisory, when: 'events[3h] >= 3'}\n";

Test(worker, newer_rules_act_from_the_next_commit_on_and_are_told)
{
    s.settings.reloaded = &reloaded;
    tm_pack *newer = feed_pack(newer_rules);
    tm_world_set_committed(s.world, 1, (tm_position){{1, 0}, -1}); /* and one shard is halted */
    actor *a = stage_hire(&s, "only");
    steps(a, 60);
    cr_assert_eq(journal_with(0, "\"version: 2"), 0);
    atomic_store(&reloaded, newer);
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    event(0, 63, "3");
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(journal_with(0, "\"rules\":\"version: 2"), 1, "told once");
    tm_shard_meta meta;
    (void)stage_position(&s, 0, &meta);
    cr_assert_eq(meta.rules_version, 2);
    cr_assert_eq(a->gauges.open[TM_KIND_ADVISORY], 1, "lively");
    /* Who comes later begins with them, though its settings name the first. */
    cr_assert_eq(stage_stop(&s, a), TM_FATAL, "one is halted");
    tm_world_set_committed(s.world, 1, (tm_position){{-1, -1}, 0});
    a = stage_hire(&s, "later");
    steps(a, 60);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(journal_with(0, "\"rules\":\"version: 2"), 1);
    cr_assert_eq(journal_with(1, "\"rules\":\"version: 2"), 1);
    cr_assert_eq(journal_with(1, "\"rules\":\"version: 1"), 0);
    atomic_store(&reloaded, NULL);
    tm_pack_free(newer);
}

/* As many accounts as a commit takes are changed by the rules alone: they are written, and records go on. */
Test(worker, newer_rules_that_change_all_accounts_are_written_first)
{
    s.settings.reloaded = &reloaded;
    s.settings.commit_accounts = 1;
    tm_pack *newer = feed_pack(newer_rules);
    actor *a = stage_hire(&s, "only");
    steps(a, 60);
    atomic_store(&reloaded, newer);
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    event(0, 63, "3");
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0], "the record was taken");
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    atomic_store(&reloaded, NULL);
    tm_pack_free(newer);
}

/* The least memory that a shard of the first rules lives in is too little for rules with many metrics. */
Test(worker, newer_rules_without_memory_for_them_halt)
{
    static char text[1 << 15];
    size_t at = (size_t)snprintf(text, sizeof text, "version: 2\nmetrics:\n");
    for (int i = 0; i < 200; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "  m%d: {count: e%d}\n", i, i);
    at += (size_t)snprintf(text + at, sizeof text - at, "rules:\n");
    for (int i = 0; i < 200; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "  - {name: r%d, kind: advisory, when: 'm%d[1d] > %d'}\n",
                               i, i, i);
    tm_pack *newer = feed_pack(text);
    s.settings.reloaded = &reloaded;
    tm_shard *shard = tm_shard_new(&s.settings.shard, s.pack, FEED_START, NULL, 0);
    s.settings.shard.memory_limit = tm_shard_memory(shard) + ((size_t)8 << 10);
    tm_shard_free(shard);
    actor *a = stage_hire(&s, "only");
    steps(a, 60);
    cr_assert_str_empty(s.halted[0], "%s", s.halted[0]);
    atomic_store(&reloaded, newer);
    s.now += 2 * TM_MINUTE;
    for (int i = 0; i < 40; i++) /* what the state takes may come a little later */
        steps(a, 10);
    cr_assert_str_eq(s.codes[0], "memory", "%s", s.halted[0]);
    cr_assert_not_null(strstr(s.halted[0], "new rules"), "%s", s.halted[0]);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
    atomic_store(&reloaded, NULL);
    tm_pack_free(newer);
}

/* --- halts and retries --- */

#ifdef TIDEMARK_CRASH_POINTS
Test(worker, one_whose_invariant_broke_is_not_claimed_again_in_this_process)
{
    static _Atomic uint32_t retries;
    s.settings.retries = &retries;
    actor *a = stage_hire(&s, "only");
    steps(a, 60);
    stage_buy(&s, &f, 0, 50, "bad", ",\"properties\":{\"tidemark.trip\":\"judge\"}");
    s.now += 10 * TM_MINUTE;
    steps(a, 100);
    cr_assert_str_eq(s.codes[0], "invariant");
    atomic_fetch_add(&retries, 1);
    steps(a, 100);
    cr_assert_eq(a->gauges.halted, 1, "its memory is not to be relied on");
    cr_assert_eq(s.broken, 1);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}
#endif

/* --- the record at R - 1 --- */

Test(worker, a_record_that_was_compacted_since_says_nothing)
{
    first_life();
    actor *a = hire("second");
    compacted = 1; /* R is 2 */
    event(0, 61, "x");
    s.now += 2 * TM_MINUTE;
    steps(a, 80);
    cr_assert_str_empty(s.halted[0], "%s", s.halted[0]);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).next[0], f.ends[0][0]);
}

static tm_buffer tampered;

/* The store remembers a record of another key at R - 1. */
static tm_status claim_tampered(void *context, int32_t partition, int64_t generation, int64_t raise,
                                tm_store_state *state, tm_error *error)
{
    tm_shard_meta meta;
    tm_status status = real_store.claim(context, partition, generation, raise, state, error);
    if (status != TM_OK || partition != 0 || !state->present)
        return status;
    cr_assert_eq(tm_meta_decode(state->meta, &meta, error), TM_OK);
    meta.marks[TM_INPUT_USAGE].key_hash++;
    tm_buffer_reset(&tampered);
    tm_meta_encode(&meta, &tampered);
    state->meta = tm_buffer_slice(&tampered);
    return TM_OK;
}

Test(worker, a_record_of_another_key_in_its_place_halts)
{
    first_life();
    tm_buffer_init(&tampered, 1 << 20);
    actor *a = stage_hire(&s, "second");
    real_store = a->ports.store;
    a->ports.store.claim = claim_tampered;
    steps(a, 80);
    cr_assert_str_eq(s.codes[0], "topic_recreated", "%s", s.halted[0]);
    cr_assert_str_empty(s.halted[1]);
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
    tm_buffer_done(&tampered);
}

/* --- rebuilding --- */

static int bounds_asked, cut_after;

static tm_status bounds_cut(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                            int64_t *reached, tm_error *error)
{
    tm_status status = actor_bounds(context, input, partition, first, end, reached, error);
    if (partition == 0 && input == TM_INPUT_USAGE && bounds_asked++ >= cut_after)
        *end = 0;
    return status;
}

Test(worker, an_input_cut_between_claim_and_rebuild_halts)
{
    first_life();
    tm_memory_state_free(s.state);
    s.state = tm_memory_state_new();
    actor *a = stage_hire(&s, "second");
    a->ports.source.bounds = bounds_cut;
    cut_after = 1; /* the claim sees it whole */
    steps(a, 100);
    cr_assert_str_eq(s.codes[0], "topic_cut", "%s", s.halted[0]);
    cr_assert_eq(s.rebuilt, 1, "the other shard's turn comes");
    cr_assert_eq(stage_stop(&s, a), TM_FATAL);
}

static tm_journal_source real_journal;
static int lines_held_back;

static tm_status next_held_back(void *context, tm_slice *ret_line, tm_error *error)
{
    if (lines_held_back-- > 0)
        return tm_fail(error, TM_RETRY, "for a test");
    return real_journal.next(context, ret_line, error);
}

/* A store that falls back under a worker: both shards are claimed again and replayed, one after the other, while
   records come that are of neither place. */
Test(worker, what_arrives_for_a_shard_that_waits_to_be_replayed_is_read_again)
{
    actor *a = hire("only");
    real_journal = a->ports.journal;
    a->ports.journal.next = next_held_back;
    steps(a, 60);
    lines_held_back = 20;
    tm_memory_state *old = tm_memory_state_copy(s.state);
    for (int32_t p = 0; p < 2; p++)
        event(p, 61, "3");
    s.now += 2 * TM_MINUTE;
    steps(a, 60);
    cr_assert_gt(stage_position(&s, 0, NULL).commit, 1);
    cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
    tm_memory_state_free(old);
    char id[16];
    for (int i = 0; i < 400 && s.replayed < 2; i++) {
        snprintf(id, sizeof id, "n%d", i);
        if (i < 60) {
            event(0, 63, id);
            event(1, 63, id);
        }
        s.now += 200;
        stage_step(&s, a);
    }
    cr_assert_eq(s.replayed, 2);
    steps(a, 100);
    cr_assert_eq(stage_stop(&s, a), TM_OK, "%s", a->error.what);
    for (int32_t p = 0; p < 2; p++)
        cr_assert_eq(stage_position(&s, p, NULL).next[0], f.ends[0][p]);
    (void)published();
}
