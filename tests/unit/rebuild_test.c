/* A shard whose store was emptied: the journal and the log bring it back, or it halts and says why.
   Long because: what a journal may say is told line by line, over one scripted journal. */
#include "tidemark/pipeline/rebuild.h"

#include "support/solo.h"

static stage s;
static solo a;
static tm_memory_journal lines;
static tm_journal_source journal;

static void set_up(void)
{
    stage_init(&s, 1, feed_rules);
    journal = tm_memory_journal_port(&lines, s.world);
    solo_append(&s, TM_INPUT_ACCOUNTS, SOLO_MORNING, "{\"account\":\"a0\",\"seats\":5}");
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_open(&a, &s, "a");
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(rebuild, .init = set_up, .fini = tear_down);

static void commit_and_publish(tm_time wall)
{
    tm_error error;
    (void)solo_apply(&a, wall);
    cr_assert_eq(solo_commit(&a, wall, &error), TM_OK, "%s", error.what);
    cr_assert_eq(solo_publish(&a, &error), TM_OK, "%s", error.what);
}

/* Two commits, published; then the store is emptied and the shard is claimed again. `ret_kept`: what it had. */
static void lose(feed_out *ret_kept)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    commit_and_publish(SOLO_MORNING + 20 * TM_MINUTE);
    solo_buy(&s, 30, "3");
    commit_and_publish(SOLO_WALL);
    stage_kept(&s, 0, SOLO_WALL, ret_kept);
    cr_assert_eq(ret_kept->count, 1);
    cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
}

static void claim_replaying(void)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING);
}

/* Steps with what arrives in between, until it is live or says something else than TM_OK. */
static tm_status run(tm_rebuild *rebuild, tm_error *error)
{
    for (int i = 0; i < 100; i++) {
        bool waiting;
        tm_status status = tm_rebuild_step(rebuild, &waiting, error);
        if (status != TM_OK || a.holding->state != TM_HOLDING_REPLAYING)
            return status;
        if (waiting)
            solo_poll(&a);
    }
    cr_assert_fail("the rebuild did not come to its end");
    return TM_FATAL;
}

Test(rebuild, an_emptied_store_comes_back_as_it_was)
{
    feed_out before = {0}, after = {0};
    lose(&before);
    uint32_t signals = solo_signals(&s);
    int64_t told = tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0);
    tm_position c = solo_committed(&a);
    cr_assert_eq(c.commit, 2);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_not_null(rebuild);
    cr_assert_not(a.holding->publishing, "what was published is not published again");
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    cr_assert(waiting, "nothing has arrived yet");
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    tm_rebuild_free(rebuild);

    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s", a.holding->halted.what);
    cr_assert_eq(a.rebuilt, 1);
    cr_assert_eq(a.differs, 0);
    cr_assert(a.holding->publishing);
    cr_assert(tm_position_equal(a.holding->stored, c));
    cr_assert(tm_position_equal(a.holding->published, c));
    cr_assert(tm_position_equal(stage_position(&s, 0, NULL), c));
    stage_kept(&s, 0, SOLO_WALL, &after);
    feed_out_same(&before, &after, "kept accounts");
    feed_out_done(&before), feed_out_done(&after);
    cr_assert_eq(solo_publish(&a, &error), TM_OK);
    cr_assert_eq(solo_signals(&s), signals);
    cr_assert_eq(tm_world_output_count(s.world, TM_TOPIC_JOURNAL, 0), told);

    /* It goes on where it was: a duplicate is still known, a new event counts. */
    solo_buy(&s, 61, "3");
    solo_buy(&s, 62, "4");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + 5 * TM_MINUTE), 2);
    cr_assert_eq(tm_shard_accepted_count(a.holding->shard), 1);
    cr_assert_eq(solo_commit(&a, SOLO_WALL + 5 * TM_MINUTE, &error), TM_OK, "%s", error.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 3);
}

Test(rebuild, a_journal_that_does_not_answer_is_waited_for)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    tm_world_set_reachable(s.world, false);
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_RETRY);
    cr_assert_null(rebuild);
    tm_world_set_reachable(s.world, true);
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    tm_world_set_reachable(s.world, false);
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_RETRY);
    tm_world_set_reachable(s.world, true);
    tm_memory_state_set_reachable(s.state, false);
    cr_assert_eq(run(rebuild, &error), TM_RETRY, "the store is asked at the end");
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING);
    tm_memory_state_set_reachable(s.state, true);
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE);
    tm_rebuild_free(rebuild);
}

Test(rebuild, offsets_beyond_the_input_halt_at_once)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    claim_replaying();
    a.holding->published.next[0] = 9; /* the topic was cut after the claim */
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    cr_assert_null(rebuild);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_eq(a.holding->halt, TM_HALT_TOPIC_CUT);
    cr_assert_not_null(strstr(a.holding->halted.what, "beyond the end"), "%s", a.holding->halted.what);
    cr_assert_eq(a.halts, 1);
}

Test(rebuild, a_journal_that_leads_elsewhere_halts)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
    tm_position c = solo_committed(&a);
    c.commit = 50;
    tm_world_set_committed(s.world, 0, c);
    claim_replaying();
    tm_rebuild *rebuild;
    tm_error error;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK);
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_not_null(strstr(a.holding->halted.what, "does not lead to the commit"), "%s", a.holding->halted.what);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "nothing was written");
    tm_rebuild_free(rebuild);
}

Test(rebuild, free_takes_null)
{
    tm_rebuild_free(NULL);
}

/* --- a journal that says what the test wants --- */

enum { SCRIPT_MAX = 16 };
static tm_buffer script[SCRIPT_MAX];
static uint32_t script_count, script_at, opened;
static int64_t opened_back[8];
static bool not_whole;
static tm_status next_answer;

static tm_status on_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    (void)context, (void)partition, (void)error;
    if (opened < 8)
        opened_back[opened] = back;
    opened++;
    script_at = 0;
    *ret_whole = !not_whole || back < 0;
    return TM_OK;
}

static tm_status on_next(void *context, tm_slice *ret_line, tm_error *error)
{
    (void)context;
    if (next_answer != TM_OK)
        return tm_fail(error, next_answer, "for a test");
    *ret_line = script_at < script_count ? tm_buffer_slice(&script[script_at]) : (tm_slice){0};
    script_at++;
    return TM_OK;
}

static void on_close(void *context)
{
    (void)context;
}

static tm_journal_source scripted = {NULL, on_open, on_next, on_close};

static tm_buffer *add_line(void)
{
    cr_assert_lt(script_count, SCRIPT_MAX);
    tm_buffer *line = &script[script_count++];
    tm_buffer_init(line, 1 << 20);
    return line;
}

/* A line that the world's journal has, to be changed. */
static tm_journal_line *read_line(int64_t number)
{
    tm_world_record record;
    tm_error error;
    tm_journal_line *line;
    cr_assert(tm_world_output(s.world, TM_TOPIC_JOURNAL, 0, number, &record));
    cr_assert_eq(tm_journal_decode(record.value, &line, &error), TM_OK, "%s", error.what);
    return line;
}

static void add_copy(int64_t number)
{
    tm_world_record record;
    cr_assert(tm_world_output(s.world, TM_TOPIC_JOURNAL, 0, number, &record));
    tm_buffer_append_slice(add_line(), record.value);
}

/* After lose(): the configuration, and the commits 1 and 2. */
enum { CONFIGURATION, FIRST, SECOND };

static tm_rebuild *begin(void)
{
    tm_error error;
    tm_rebuild *rebuild;
    claim_replaying();
    cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_not_null(rebuild);
    return rebuild;
}

static void end_script(void)
{
    while (script_count > 0)
        tm_buffer_done(&script[--script_count]);
}

/* The rebuild under the scripted journal comes to its end, live. */
static void comes_back(void)
{
    tm_error error;
    tm_rebuild *rebuild = begin();
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s", a.holding->halted.what);
    tm_rebuild_free(rebuild);
    end_script();
}

static void ends_halted(tm_halt halt, const char *word)
{
    tm_error error;
    tm_rebuild *rebuild = begin();
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
    cr_assert_str_eq(tm_halt_code(a.holding->halt), tm_halt_code(halt));
    cr_assert_not_null(strstr(a.holding->halted.what, word), "%s", a.holding->halted.what);
    cr_assert(a.holding->halted.hint[0]);
    cr_assert_eq(a.halts, 1);
    cr_assert_eq(stage_position(&s, 0, NULL).commit, 0, "nothing was written");
    tm_rebuild_free(rebuild);
    end_script();
}

static void lose_all(void)
{
    feed_out kept = {0};
    lose(&kept);
    feed_out_done(&kept);
}

/* The store as it was after the first of the two commits. */
static void lose_the_second(void)
{
    tm_error error;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    commit_and_publish(SOLO_MORNING + 20 * TM_MINUTE);
    tm_memory_state *old = tm_memory_state_copy(s.state);
    solo_buy(&s, 30, "3");
    commit_and_publish(SOLO_WALL);
    cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
    tm_memory_state_free(old);
}

/* The configuration of the journal, but for what `change` makes of it. */
static void add_configuration(void (*change)(tm_journal_configuration *line))
{
    tm_journal_line *line = read_line(CONFIGURATION);
    tm_journal_configuration changed = *line->configuration;
    change(&changed);
    tm_journal_encode_configuration(&changed, add_line());
    tm_journal_line_free(line);
}

static void add_commit(int64_t number, void (*change)(tm_journal_commit *line))
{
    tm_journal_line *line = read_line(number);
    tm_journal_commit changed = *line->commit;
    change(&changed);
    tm_journal_encode_commit(&changed, add_line());
    tm_journal_line_free(line);
}

static void other_zone(tm_journal_configuration *line)
{
    line->timezone = TM_SLICE_LITERAL("Asia/Tokyo");
}

static void other_rules(tm_journal_configuration *line)
{
    line->pack_hash++;
    line->rules = TM_SLICE_LITERAL("version: 1\nrules: [{name: x, when: '('}]\n");
}

static void no_number(tm_journal_configuration *line)
{
    line->dedup_entries = INT64_C(1) << 32;
}

static void other_mapping(tm_journal_configuration *line)
{
    line->mapping = TM_SLICE_LITERAL("segment");
}

static void other_mismatch(tm_journal_configuration *line)
{
    line->key_mismatch = TM_SLICE_LITERAL("accept");
}

static void other_group(tm_journal_configuration *line)
{
    line->group = TM_SLICE_LITERAL("another");
    line->timezone = TM_SLICE_LITERAL("Asia/Tokyo");
}

static void other_groups_commit(tm_journal_commit *line)
{
    line->group = TM_SLICE_LITERAL("another");
    line->commit = 900;
}

Test(rebuild, another_time_zone_halts)
{
    lose_all();
    add_configuration(other_zone);
    ends_halted(TM_HALT_JOURNAL_CONFIGURATION, "time zone");
}

Test(rebuild, rules_that_cannot_be_compiled_any_more_halt)
{
    lose_all();
    add_configuration(other_rules);
    ends_halted(TM_HALT_RULES_LOST, "compiled");
}

Test(rebuild, a_number_that_cannot_be_halts)
{
    lose_all();
    add_configuration(no_number);
    ends_halted(TM_HALT_JOURNAL_DAMAGED, "cannot be");
}

Test(rebuild, a_line_that_cannot_be_read_halts)
{
    lose_all();
    add_copy(CONFIGURATION);
    tm_buffer_append_text(add_line(), "{\"v\":1}");
    ends_halted(TM_HALT_JOURNAL_DAMAGED, "cannot be read");
}

Test(rebuild, a_journal_without_a_configuration_halts)
{
    lose_all();
    add_copy(FIRST);
    ends_halted(TM_HALT_JOURNAL_SHORT, "no configuration before its first commit");
}

Test(rebuild, an_empty_journal_halts)
{
    lose_all();
    ends_halted(TM_HALT_JOURNAL_SHORT, "does not lead to the commit");
    cr_assert_gt(opened, 2, "the broker may show the lines a little later");
}

Test(rebuild, lines_of_another_group_are_not_ours)
{
    lose_all();
    add_configuration(other_group);
    add_copy(CONFIGURATION);
    add_commit(FIRST, other_groups_commit);
    add_copy(FIRST);
    add_copy(SECOND);
    comes_back();
    cr_assert_eq(a.differs, 0);
    cr_assert(a.holding->configuration_told);
    cr_assert_eq(a.holding->stored.commit, 2);
}

Test(rebuild, another_way_of_reading_is_told_and_so_is_the_one_in_force)
{
    void (*const ways[])(tm_journal_configuration *) = {other_mapping, other_mismatch};
    lose_all();
    for (int i = 0; i < 2; i++) {
        tm_error error;
        add_configuration(ways[i]);
        add_copy(FIRST);
        add_copy(SECOND);
        a.differs = 0;
        comes_back();
        cr_assert_eq(a.differs, 1, "rebuild_differs: %d", i);
        cr_assert_not(a.holding->configuration_told, "the next commit tells it");
        cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
    }
}

/* --- lines that are missing, and what the others say of episodes --- */

static tm_journal_signal impose_signals[8];
static uint32_t impose_count;
static tm_journal_erasure impose_erasures[4];
static uint32_t impose_erased;

static void signal_of(const char *account, const char *rule, tm_signal_state state, int64_t minute)
{
    impose_signals[impose_count++] = (tm_journal_signal){.account = tm_slice_of(account),
                                                         .rule = tm_slice_of(rule),
                                                         .raised_at = SOLO_MORNING + 5 * TM_MINUTE,
                                                         .state = state,
                                                         .sequence = 1,
                                                         .kind = TM_KIND_EXPANSION,
                                                         .severity = TM_SEVERITY_WARN,
                                                         .time = SOLO_MORNING + minute * TM_MINUTE};
}

static void erasure_of(const char *account, int64_t minute)
{
    impose_erasures[impose_erased++] = (tm_journal_erasure){tm_slice_of(account), SOLO_MORNING + minute * TM_MINUTE};
}

static void tells_more(tm_journal_commit *line)
{
    line->signals = impose_signals;
    line->signal_count = impose_count;
    line->erasures = impose_erasures;
    line->erasure_count = impose_erased;
}

static bool stands(const char *account, const char *rule)
{
    const tm_account *found = tm_shard_account(a.holding->shard, tm_slice_of(account));
    const tm_episode *episode = found ? tm_account_episode(found, tm_hash(tm_slice_of(rule))) : NULL;
    return episode && tm_episode_open(episode);
}

/* Commit 1 is missing: of it nothing is known, and episodes are what the line of commit 2 says. */
Test(rebuild, where_lines_are_missing_episodes_are_those_that_the_lines_tell)
{
    lose_all();
    signal_of("b", "busy", TM_SIGNAL_RAISED, 30);
    signal_of("c", "busy", TM_SIGNAL_RAISED, 30);  /* erased later */
    signal_of("d", "busy", TM_SIGNAL_RAISED, 30);  /* erased before: it came back */
    signal_of("e", "busy", TM_SIGNAL_CLEARED, 40); /* cleared by the erasure itself */
    signal_of("f", "busy", TM_SIGNAL_RAISED, 40);  /* of the erasure's own instant, and so after it */
    signal_of("b", "spend", TM_SIGNAL_CLEARED, 30);
    erasure_of("c", 35);
    erasure_of("d", 20);
    erasure_of("e", 40);
    erasure_of("f", 40);
    add_copy(CONFIGURATION);
    add_commit(SECOND, tells_more);
    comes_back();
    cr_assert(stands("b", "busy"));
    cr_assert_not(stands("b", "spend"));
    cr_assert_null(tm_shard_account(a.holding->shard, TM_SLICE_LITERAL("c")), "nothing is left of who was erased");
    cr_assert(stands("d", "busy"));
    cr_assert_null(tm_shard_account(a.holding->shard, TM_SLICE_LITERAL("e")));
    cr_assert(stands("f", "busy"));
    cr_assert_eq(tm_shard_open(a.holding->shard, TM_KIND_EXPANSION), 3);
    cr_assert(tm_position_equal(a.holding->stored, solo_committed(&a)));
    cr_assert_geq(tm_shard_counting(a.holding->shard, 0).start, SOLO_MORNING, "what is missing is not counted as zero");
    impose_count = impose_erased = 0;
}

static void without_a_time(tm_journal_commit *line)
{
    line->t_before = line->t_after = TM_TIME_NONE;
    line->signal_count = 0;
    line->drained = line->judged = false;
    line->commit = 2;
    for (int i = 0; i < TM_INPUTS; i++)
        line->from[i] = line->to[i] = 0;
}

Test(rebuild, a_shard_whose_time_never_began_comes_back_without_one)
{
    lose_all();
    tm_world_set_committed(s.world, 0, (tm_position){{0, 0}, 2});
    add_copy(CONFIGURATION);
    add_commit(SECOND, without_a_time); /* and the line of commit 1 is missing */
    comes_back();
    cr_assert_eq(tm_shard_time(a.holding->shard), TM_TIME_NONE);
    cr_assert_eq(tm_shard_counting(a.holding->shard, 0).start, FEED_START, "there was nothing to miss");
}

static void a_signal_less(tm_journal_commit *line)
{
    line->signal_count--;
}

static void ended_later(tm_journal_commit *line)
{
    line->drained = false;
    line->t_after += TM_MINUTE;
}

Test(rebuild, a_commit_that_comes_out_otherwise_is_told)
{
    tm_error error;
    lose_all();
    add_copy(CONFIGURATION);
    add_copy(FIRST);
    add_commit(SECOND, a_signal_less);
    comes_back();
    cr_assert_eq(a.differs, 1);
    cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
    add_copy(CONFIGURATION);
    add_copy(FIRST);
    add_commit(SECOND, ended_later);
    comes_back();
    cr_assert_eq(a.differs, 2);
}

static void of_first_use(tm_journal_configuration *line)
{
    line->commit = 0;
}

static void without_accounts(tm_journal_commit *line)
{
    line->from[TM_INPUT_ACCOUNTS] = line->to[TM_INPUT_ACCOUNTS] = 0;
}

Test(rebuild, an_interval_without_records_misses_none)
{
    lose_all();
    tm_world_trim(s.world, TM_INPUT_ACCOUNTS, 0, 1);
    add_configuration(of_first_use);
    add_commit(FIRST, without_accounts);
    add_copy(SECOND);
    comes_back();
    cr_assert_eq(tm_shard_counting(a.holding->shard, 0).start, FEED_START, "nothing of what is counted is missing");
}

static void one_further(tm_journal_commit *line)
{
    line->to[TM_INPUT_USAGE]++;
}

/* What an aborted transaction left at the end of an interval is never delivered. */
Test(rebuild, an_interval_may_end_beyond_its_last_record)
{
    lose_all();
    cr_assert_eq(tm_world_hold(s.world, TM_INPUT_USAGE, 0, true), TM_OK);
    cr_assert_eq(tm_world_hold(s.world, TM_INPUT_USAGE, 0, false), TM_OK);
    tm_position c = solo_committed(&a);
    c.next[TM_INPUT_USAGE]++;
    tm_world_set_committed(s.world, 0, c);
    add_copy(CONFIGURATION);
    add_copy(FIRST);
    add_commit(SECOND, one_further);
    comes_back();
    cr_assert_eq(a.differs, 0);
    cr_assert_eq(a.holding->intake.lanes[TM_INPUT_USAGE].next, c.next[TM_INPUT_USAGE]);
    cr_assert(tm_position_equal(stage_position(&s, 0, NULL), c));
}

/* --- a tail --- */

Test(rebuild, a_journal_not_begun_far_enough_back_is_begun_further_back)
{
    lose_the_second();
    not_whole = true;
    tm_world_set_committed(s.world, 0, (tm_position){{3, 1}, 3});
    add_commit(SECOND, other_groups_commit);
    tm_journal_line *line = read_line(SECOND);
    tm_journal_commit third = *line->commit;
    third.commit = 3;
    tm_journal_encode_commit(&third, add_line());
    tm_journal_line_free(line);
    comes_back();
    cr_assert_eq(opened_back[0], 2 * 4 + 64, "room for the commits that are missing, and then some");
    for (uint32_t i = 1; i < opened && i < 8; i++)
        cr_assert_eq(opened_back[i], opened_back[i - 1] * 8, "%u", i);
    cr_assert_eq(opened_back[7] < 0 || opened > 8, true, "in the end from the first line kept");
    cr_assert_eq(a.holding->stored.commit, 3);
}

Test(rebuild, as_far_back_as_there_may_be_is_from_the_beginning)
{
    lose_the_second();
    tm_world_set_committed(s.world, 0, (tm_position){{3, 1}, INT64_MAX - 1});
    tm_rebuild *rebuild = begin();
    cr_assert_lt(opened_back[0], 0);
    tm_rebuild_free(rebuild);
}

Test(rebuild, a_tail_that_moved_since_the_claim_is_claimed_again)
{
    tm_error error;
    lose_the_second();
    tm_rebuild *rebuild;
    claim_replaying();
    a.holding->stored.commit++;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_REJECT);
    cr_assert_null(rebuild);
}

/* The rules that the kept state was written under are no longer in the journal: they cannot be replayed. */
Test(rebuild, a_tail_whose_rules_the_journal_lost_keeps_what_the_lines_tell)
{
    lose_the_second();
    tm_pack *newer = feed_pack("version: 2\nmetrics: {events: {count: '*'}}\nrules:\n"
                               "  - {name: busy, kind: expansion, when: 'events[2h] >= 4'}\n");
    s.settings.pack = newer;
    a.holding->pack = newer;
    signal_of("b", "busy", TM_SIGNAL_RAISED, 30);
    add_configuration(other_rules); /* still others, before the kept state: of no interest */
    add_commit(SECOND, tells_more);
    comes_back();
    cr_assert_lt(opened_back[0], 0, "the rules may be anywhere in it");
    cr_assert(stands("b", "busy"));
    cr_assert_not(a.holding->configuration_told, "the next commit tells the newer rules");
    impose_count = 0;
    tm_holding_drop(a.holding);
    a.holding->pack = s.settings.pack = s.pack;
    tm_pack_free(newer);
}

static void rules_of_the_tail_broken(tm_journal_configuration *line)
{
    line->rules = TM_SLICE_LITERAL("version: 1\nrules: [{name: x, when: '('}]\n");
}

Test(rebuild, a_tail_whose_rules_cannot_be_compiled_halts)
{
    tm_error error;
    lose_the_second();
    tm_pack *newer = feed_pack("version: 2\nmetrics: {events: {count: '*'}}\n");
    s.settings.pack = newer;
    a.holding->pack = newer;
    add_configuration(rules_of_the_tail_broken);
    add_copy(FIRST);
    tm_rebuild *rebuild = begin();
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->halt, TM_HALT_RULES_LOST);
    tm_rebuild_free(rebuild);
    end_script();
    a.holding->pack = s.settings.pack = s.pack;
    tm_pack_free(newer);
}

/* --- what the ports answer --- */

static tm_store real_store;
static tm_source real_source;
static tm_status answer;
static int64_t shown_end = -1;

static tm_status commit_answers(void *context, const tm_store_commit *commit, tm_error *error)
{
    (void)context, (void)commit;
    return tm_fail(error, answer, "for a test");
}

static tm_status bounds_answers(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                                int64_t *reached, tm_error *error)
{
    if (answer != TM_OK)
        return tm_fail(error, answer, "for a test");
    tm_status status = real_source.bounds(context, input, partition, first, end, reached, error);
    if (shown_end >= 0 && input == TM_INPUT_USAGE)
        *end = shown_end;
    return status;
}

static void add_all(void)
{
    add_copy(CONFIGURATION);
    add_copy(FIRST);
    add_copy(SECOND);
}

Test(rebuild, a_store_that_will_not_take_it_halts)
{
    lose_all();
    add_all();
    real_store = a.store;
    a.store.commit = commit_answers;
    answer = TM_FATAL;
    ends_halted(TM_HALT_WRITE_FAILED, "for a test");
    a.store = real_store;
}

Test(rebuild, a_store_that_is_anothers_now_is_let_go)
{
    tm_error error;
    lose_all();
    add_all();
    real_store = a.store;
    a.store.commit = commit_answers;
    answer = TM_REJECT;
    tm_rebuild *rebuild = begin();
    cr_assert_eq(run(rebuild, &error), TM_OK);
    cr_assert_eq(a.holding->state, TM_HOLDING_CLAIMING, "to be claimed again");
    cr_assert_null(a.holding->shard);
    tm_rebuild_free(rebuild);
    a.store = real_store;
    comes_back();
}

Test(rebuild, an_input_that_does_not_answer_is_waited_for)
{
    tm_error error;
    tm_rebuild *rebuild;
    lose_all();
    add_all();
    claim_replaying();
    real_source = a.source;
    a.source.bounds = bounds_answers;
    answer = TM_RETRY;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_RETRY);
    cr_assert_null(rebuild);
    cr_assert_eq(a.ledger.asked, TM_WAITING_INPUT);
    answer = TM_OK;
    cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_OK);
    answer = TM_RETRY;
    bool waiting = false;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK);
    cr_assert(waiting, "it goes on when there is an answer");
    answer = TM_OK;
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE);
    tm_rebuild_free(rebuild);
    a.source = real_source;
    end_script();
}

Test(rebuild, an_input_cut_before_r_is_not_read)
{
    tm_error error;
    tm_rebuild *rebuild;
    lose_the_second();
    claim_replaying();
    real_source = a.source;
    a.source.bounds = bounds_answers;
    shown_end = 0; /* cut since the claim */
    cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_OK);
    cr_assert_null(rebuild);
    cr_assert_eq(a.holding->halt, TM_HALT_TOPIC_CUT);
    a.source = real_source;
}

Test(rebuild, without_memory_for_the_shard_it_halts)
{
    tm_error error;
    lose_all();
    add_all();
    tm_rebuild *rebuild = begin();
    a.holding->semantics.memory_limit = 512;
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->halt, TM_HALT_MEMORY);
    tm_rebuild_free(rebuild);
    end_script();
}

/* Whatever of the past there is no room for: it halts with that word and writes nothing, or all is there again. Both
   with every line, and with one missing, after which episodes are told. */
static void whatever_the_memory_is_enough_for(void)
{
    int halted = 0;
    for (size_t limit = 1024;; limit += 96) {
        tm_error error;
        tm_rebuild *rebuild;
        bool waiting;
        cr_assert_lt(limit, 1 << 22);
        s.settings.shard.memory_limit = limit;
        a.holding->state = TM_HOLDING_CLAIMING;
        claim_replaying();
        cr_assert_eq(tm_rebuild_new(&a.ledger, &scripted, a.holding, &rebuild, &error), TM_OK, "%s", error.what);
        tm_status status = TM_OK;
        for (int i = 0; i < 100 && status == TM_OK && a.holding->state == TM_HOLDING_REPLAYING; i++) {
            status = tm_rebuild_step(rebuild, &waiting, &error);
            if (waiting)
                solo_poll(&a);
        }
        tm_rebuild_free(rebuild);
        if (a.holding->state == TM_HOLDING_LIVE)
            break;
        cr_assert_eq(status, TM_FATAL);
        cr_assert_eq(a.holding->state, TM_HOLDING_HALTED);
        cr_assert(a.holding->halt == TM_HALT_MEMORY || a.holding->halt == TM_HALT_WRITE_FAILED, "%zu: %s", limit,
                  a.holding->halted.what);
        cr_assert_eq(stage_position(&s, 0, NULL).commit, 0);
        halted++;
    }
    cr_assert_gt(halted, 10);
    end_script();
}

Test(rebuild, whatever_the_memory_is_enough_for)
{
    lose_all();
    add_all();
    whatever_the_memory_is_enough_for();
    cr_assert_eq(tm_shard_account_count(a.holding->shard), 1);
}

Test(rebuild, whatever_the_memory_is_enough_for_where_lines_are_missing)
{
    lose_all();
    signal_of("b", "busy", TM_SIGNAL_RAISED, 30);
    signal_of("c", "busy", TM_SIGNAL_RAISED, 30);
    erasure_of("a0", 20);
    add_copy(CONFIGURATION);
    add_commit(SECOND, tells_more);
    whatever_the_memory_is_enough_for();
    cr_assert(stands("b", "busy") && stands("c", "busy"));
    impose_count = impose_erased = 0;
}

Test(rebuild, an_input_that_is_off_is_left_alone)
{
    tm_error error;
    tm_holding_free(a.holding);
    s.settings.accounts_on = false;
    a.holding = tm_holding_new(&s.settings, &a.reading, &a.source, 0);
    lose_all();
    add_all();
    comes_back();
    cr_assert_eq(a.holding->stored.next[TM_INPUT_ACCOUNTS], -1);
    cr_assert_eq(a.holding->stored.next[TM_INPUT_USAGE], 3);
    solo_buy(&s, 62, "4");
    cr_assert_eq(solo_apply(&a, SOLO_WALL + 5 * TM_MINUTE), 1);
    cr_assert_eq(solo_commit(&a, SOLO_WALL + 5 * TM_MINUTE, &error), TM_OK, "%s", error.what);
}

/* --- checks that trip --- */

Test(rebuild, a_check_that_trips_on_the_way_halts_with_a_report)
{
    static const tm_check check = {"planted", "rebuild_test.c", 1};
    tm_error error;
    bool waiting;
    lose_all();
    add_all();
    tm_rebuild *rebuild = begin();
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    cr_assert_not_null(a.holding->shard);
    (void)tm_heap_trip(tm_shard_heap(a.holding->shard), &check);
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->halt, TM_HALT_INVARIANT);
    cr_assert_not_null(strstr(a.holding->halted.what, "planted"), "%s", a.holding->halted.what);
    tm_rebuild_free(rebuild);
    end_script();
}

static void erases_one(tm_journal_commit *line)
{
    line->signal_count = 0;
    line->erasures = impose_erasures;
    line->erasure_count = impose_erased;
    for (int i = 0; i < TM_INPUTS; i++)
        line->from[i] = line->to[i];
}

Test(rebuild, a_check_that_trips_without_a_record_halts_with_a_report)
{
    static const tm_check check = {"planted", "rebuild_test.c", 1};
    tm_error error;
    lose_all();
    erasure_of("b", 30);
    add_copy(CONFIGURATION);
    add_commit(SECOND, erases_one);
    tm_rebuild *rebuild = begin();
    next_answer = TM_OK;
    /* The configuration alone, then the line whose erasures are told: no record is read for it. */
    script_count = 1;
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    script_count = 2;
    cr_assert_not_null(a.holding->shard);
    (void)tm_heap_trip(tm_shard_heap(a.holding->shard), &check);
    cr_assert_eq(run(rebuild, &error), TM_FATAL);
    cr_assert_eq(a.holding->halt, TM_HALT_INVARIANT);
    cr_assert_not_null(strstr(a.holding->halted.what, "the journal was replayed"), "%s", a.holding->halted.what);
    tm_rebuild_free(rebuild);
    end_script();
    impose_erased = 0;
}

/* A commit of more records than one step applies. */
Test(rebuild, a_great_commit_takes_several_steps)
{
    enum { MANY = 20500 };
    tm_error error;
    s.settings.commit_records = 4 * MANY;
    for (int i = 0; i < MANY; i++)
        solo_append(&s, TM_INPUT_USAGE, SOLO_MORNING + 3 * TM_MINUTE, "{}");
    lose_all();
    add_all();
    tm_rebuild *rebuild = begin();
    bool waiting;
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    solo_poll(&a);
    cr_assert_eq(tm_rebuild_step(rebuild, &waiting, &error), TM_OK, "%s", error.what);
    cr_assert_not(waiting, "it can go on at once");
    cr_assert_eq(a.holding->state, TM_HOLDING_REPLAYING);
    cr_assert_geq(tm_shard_counted(a.holding->shard)->records, 20000);
    cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s", a.holding->halted.what);
    cr_assert_eq(a.holding->stored.next[TM_INPUT_USAGE], MANY + 3);
    tm_rebuild_free(rebuild);
    end_script();
}

/* --- records that were gone before they were read --- */

static tm_source whole;

/* As if the log began at the third record, while it has everything still. */
static tm_status bounds_cut(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                            int64_t *ret_reached, tm_error *error)
{
    tm_status status = whole.bounds(context, input, partition, ret_first, ret_end, ret_reached, error);
    if (status == TM_OK && input == TM_INPUT_USAGE)
        *ret_first = 3;
    return status;
}

/* Both replays, of all and of the tail, count from when the worker did that found records missing. */
Test(rebuild, what_was_gone_then_is_gone_again)
{
    feed_out before = {0}, after = {0};
    tm_error error;
    tm_shard_meta was, is;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    commit_and_publish(SOLO_WALL);
    tm_memory_state *old = tm_memory_state_copy(s.state);
    solo_buy(&s, 70, "lost");
    solo_buy(&s, 24 * 60 + 5, "there");
    solo_buy(&s, 24 * 60 + 6, "too");
    whole = a.source;
    a.source.bounds = bounds_cut;
    cr_assert_eq(solo_claim(&a, &error), TM_OK, "%s", error.what);
    cr_assert_eq(a.gone, 1);
    commit_and_publish(SOLO_WALL + TM_DAY);
    solo_buy(&s, 3 * 24 * 60, "later");
    commit_and_publish(SOLO_WALL + 3 * TM_DAY);
    a.source = whole;
    tm_position c = stage_position(&s, 0, &was);
    cr_assert_eq(was.counting[0].start, FEED_START + 2 * TM_DAY);
    stage_kept(&s, 0, was.time, &before);
    uint32_t signals = solo_signals(&s);
    for (int tail = 0; tail < 2; tail++) {
        if (tail)
            cr_assert_eq(tm_memory_state_restore(s.state, old), TM_OK);
        else
            cr_assert_eq(a.store.remove(a.store.context, 0, &error), TM_OK);
        claim_replaying();
        tm_rebuild *rebuild;
        cr_assert_eq(tm_rebuild_new(&a.ledger, &journal, a.holding, &rebuild, &error), TM_OK, "%s", error.what);
        cr_assert_eq(run(rebuild, &error), TM_OK, "%s", error.what);
        tm_rebuild_free(rebuild);
        cr_assert_eq(a.holding->state, TM_HOLDING_LIVE, "%s", a.holding->halted.what);
        cr_assert_eq(a.differs, 0);
        cr_assert(tm_position_equal(stage_position(&s, 0, &is), c));
        cr_assert_eq(is.time, was.time);
        for (uint32_t i = 0; i < was.counting_count; i++)
            cr_assert_eq(is.counting[i].start, was.counting[i].start);
        after = (feed_out){0};
        stage_kept(&s, 0, was.time, &after);
        feed_out_same(&before, &after, "kept accounts");
        feed_out_done(&after);
    }
    feed_out_done(&before);
    cr_assert_eq(solo_signals(&s), signals);
    tm_memory_state_free(old);
}
