/* A holding without its ledgers: what one record does to the shard, the outbox and the commit under way. */
#include "tidemark/pipeline/holding.h"

#include "support/solo.h"

static stage s;
static solo a;
static tm_holding *h;

static void set_up(void)
{
    stage_init(&s, 1, feed_rules);
    solo_open(&a, &s, "a");
    h = a.holding;
}

static void tear_down(void)
{
    solo_close(&a);
    stage_done(&s);
}

TestSuite(holding, .init = set_up, .fini = tear_down);

/* A shard without accounts that reads both inputs from their begin, as after a first claim. */
static void make_live(void)
{
    tm_error error;
    cr_assert_eq(tm_holding_make_shard(h, h->pack, FEED_START, NULL), TM_OK);
    for (int i = 0; i < TM_INPUTS; i++) {
        h->intake.lanes[i].next = 0;
        cr_assert_eq(a.source.start(a.source.context, (tm_input)i, 0, 0, &error), TM_OK, "%s", error.what);
    }
    h->state = TM_HOLDING_LIVE;
}

static tm_source_record record_of(tm_input input, int64_t offset, const char *value)
{
    return (tm_source_record){.input = input,
                              .offset = offset,
                              .timestamp = SOLO_MORNING,
                              .key = TM_SLICE_LITERAL("a0"),
                              .value = value ? tm_slice_of(value) : (tm_slice){0}};
}

static void apply_one(tm_input input, int64_t offset, const char *value)
{
    tm_error error;
    tm_source_record record = record_of(input, offset, value);
    cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_OK, "%s", error.what);
}

/* How many outputs for this topic wait, all of them under commit `commit`. */
static uint32_t waiting(tm_topic topic, int64_t commit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < h->outbox.count; i++) {
        tm_output output;
        cr_assert_eq(h->outbox.entries[i].commit, commit);
        cr_assert_eq(tm_outbox_read(&h->outbox, i, &output), TM_OK);
        count += output.topic == topic;
    }
    return count;
}

Test(holding, every_state_has_its_name)
{
    cr_assert_str_eq(tm_holding_state_name(TM_HOLDING_CLAIMING), "claiming");
    cr_assert_str_eq(tm_holding_state_name(TM_HOLDING_REPLAYING), "replaying");
    cr_assert_str_eq(tm_holding_state_name(TM_HOLDING_LIVE), "live");
    cr_assert_str_eq(tm_holding_state_name(TM_HOLDING_HALTED), "halted");
    cr_assert_str_eq(tm_holding_state_name(TM_HOLDING_LOST), "lost");
}

Test(holding, a_new_one_is_to_be_claimed)
{
    cr_assert_eq(h->state, TM_HOLDING_CLAIMING);
    cr_assert_eq(h->partition, 0);
    cr_assert_eq(h->pack, s.pack);
    cr_assert(h->publishing);
    cr_assert_not(h->open || h->sealed || h->done || h->configuration_told);
    cr_assert_null(h->shard);
    for (int i = 0; i < TM_INPUTS; i++) {
        cr_assert(h->intake.lanes[i].on);
        cr_assert_eq(h->marks[i].offset, -1);
        cr_assert_eq(h->expected[i].offset, -1);
    }
    s.settings.accounts_on = false;
    tm_holding *without = tm_holding_new(&s.settings, &a.reading, &a.source, 0);
    cr_assert_not_null(without);
    cr_assert_not(without->intake.lanes[TM_INPUT_ACCOUNTS].on);
    tm_holding_free(without);
    tm_holding_free(NULL);
}

Test(holding, a_commit_begins_once)
{
    make_live();
    h->intake.lanes[TM_INPUT_USAGE].next = 4;
    tm_holding_begin(h, SOLO_WALL);
    cr_assert(h->open);
    cr_assert_eq(h->clock_begin, SOLO_WALL);
    cr_assert_eq(h->t_before, TM_TIME_NONE);
    cr_assert_eq(h->from[TM_INPUT_USAGE], 4);
    cr_assert_eq(h->from[TM_INPUT_ACCOUNTS], 0);
    h->intake.lanes[TM_INPUT_USAGE].next = 9;
    h->records = 5;
    tm_holding_begin(h, SOLO_WALL + TM_MINUTE);
    cr_assert_eq(h->clock_begin, SOLO_WALL, "it was open already");
    cr_assert_eq(h->from[TM_INPUT_USAGE], 4);
    cr_assert_eq(h->records, 5);
    h->open = false;
    tm_holding_begin(h, SOLO_WALL + TM_MINUTE);
    cr_assert_eq(h->clock_begin, SOLO_WALL + TM_MINUTE);
    cr_assert_eq(h->records, 0);
}

Test(holding, apply_waits_for_both_inputs_and_keeps_to_its_limit)
{
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_buy(&s, 30, "3");
    make_live();
    solo_poll(&a);
    tm_holding_begin(h, SOLO_WALL);
    uint32_t count = 99;
    tm_intake_answer answer;
    tm_error error;
    cr_assert_eq(tm_holding_apply(h, 10, &count, &answer, &error), TM_OK);
    cr_assert_eq(answer, TM_INTAKE_UNKNOWN, "the accounts may have an earlier record");
    cr_assert_eq(count, 0);
    cr_assert_eq(tm_shard_time(h->shard), TM_TIME_NONE);
    cr_assert_eq(tm_intake_confirm(&h->intake, &error), TM_OK);
    cr_assert_eq(tm_holding_apply(h, 2, &count, &answer, &error), TM_OK);
    cr_assert_eq(answer, TM_INTAKE_RECORD, "the limit");
    cr_assert_eq(count, 2);
    cr_assert_eq(tm_shard_time(h->shard), SOLO_MORNING + 2 * TM_MINUTE);
    cr_assert_eq(h->intake.lanes[TM_INPUT_USAGE].next, 2);
    cr_assert_eq(h->marks[TM_INPUT_USAGE].offset, 1);
    cr_assert_eq(h->marks[TM_INPUT_USAGE].timestamp, SOLO_MORNING + 2 * TM_MINUTE);
    cr_assert_eq(h->marks[TM_INPUT_USAGE].key_hash, tm_hash(TM_SLICE_LITERAL("a0")));
    cr_assert_eq(tm_holding_apply(h, 10, &count, &answer, &error), TM_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(h->records, 3);
    cr_assert_gt(h->signal_count, 0);
    cr_assert_eq(h->outbox.count, h->signal_count, "each signal of the commit waits, under its number");
    cr_assert_eq(waiting(TM_TOPIC_EXPANSION, 1) + waiting(TM_TOPIC_ADVISORIES, 1), h->signal_count);
    cr_assert(tm_slice_equal(h->signals[0].account, TM_SLICE_LITERAL("a0")));
}

Test(holding, stream_time_begins_no_later_than_the_clock)
{
    solo_append(&s, TM_INPUT_USAGE, SOLO_WALL + TM_DAY, "{}");
    make_live();
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 1);
    cr_assert_eq(tm_shard_time(h->shard), SOLO_WALL, "a record of tomorrow counts as of now");
}

Test(holding, an_unusable_record_becomes_a_dead_letter)
{
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    apply_one(TM_INPUT_USAGE, 0, "{\"no\": event");
    cr_assert_eq(h->records, 1, "it counts and is passed over");
    cr_assert_eq(h->marks[TM_INPUT_USAGE].offset, 0);
    cr_assert_eq(waiting(TM_TOPIC_DEAD_LETTERS, 1), 1);
    cr_assert_eq(h->outbox.count, 1);
    cr_assert_eq(tm_shard_account_count(h->shard), 0);
    h->publishing = false;
    apply_one(TM_INPUT_USAGE, 1, "nor this");
    cr_assert_eq(h->outbox.count, 1, "a replayed commit said it before");
}

Test(holding, an_event_of_the_future_is_a_dead_letter_too)
{
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    char value[160];
    snprintf(value, sizeof value, "{\"id\":\"1\",\"account\":\"a0\",\"event\":\"buy\",\"at\":%" PRId64 "}",
             SOLO_MORNING + TM_HOUR);
    apply_one(TM_INPUT_USAGE, 0, value);
    tm_output output;
    cr_assert_eq(h->outbox.count, 1);
    cr_assert_eq(tm_outbox_read(&h->outbox, 0, &output), TM_OK);
    cr_assert_eq(output.topic, TM_TOPIC_DEAD_LETTERS);
    cr_assert_not_null(memmem(output.value.data, output.value.length, "max_skew", 8));
    cr_assert_eq(tm_shard_counted(h->shard)->future, 1);
}

Test(holding, an_erasure_is_noted_and_passed_on)
{
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    apply_one(TM_INPUT_ACCOUNTS, 0, "{\"account\":\"a0\",\"seats\":5}");
    cr_assert_eq(tm_shard_account_count(h->shard), 1);
    cr_assert_eq(h->erasure_count, 0);
    apply_one(TM_INPUT_ACCOUNTS, 1, NULL);
    cr_assert_eq(tm_shard_account_count(h->shard), 0);
    cr_assert_eq(h->erasure_count, 1);
    cr_assert(tm_slice_equal(h->erasures[0].account, TM_SLICE_LITERAL("a0")));
    cr_assert_eq(h->erasures[0].at, SOLO_MORNING);
    cr_assert_eq(waiting(TM_TOPIC_HEALTH, 1), 1);
    tm_output output;
    cr_assert_eq(tm_outbox_read(&h->outbox, h->outbox.count - 1, &output), TM_OK);
    cr_assert_null(output.value.data, "a tombstone");
    cr_assert(tm_slice_equal(output.key, TM_SLICE_LITERAL("a0")));
}

Test(holding, a_commit_is_full_by_records_or_by_accounts)
{
    s.settings.commit_records = 2;
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    apply_one(TM_INPUT_USAGE, 0, "x");
    cr_assert_not(tm_holding_full(h));
    apply_one(TM_INPUT_USAGE, 1, "x");
    cr_assert(tm_holding_full(h));
    h->publishing = false;
    cr_assert_not(tm_holding_full(h), "a past commit is as large as it was");
    h->publishing = true;
    s.settings.commit_records = 1000;
    cr_assert_not(tm_holding_full(h));
    s.settings.commit_accounts = 1;
    cr_assert_not(tm_holding_full(h), "no account has changed");
    apply_one(TM_INPUT_ACCOUNTS, 0, "{\"account\":\"a0\",\"seats\":5}");
    cr_assert(tm_holding_full(h));
}

Test(holding, a_full_commit_takes_no_more)
{
    s.settings.commit_records = 2;
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    solo_buy(&s, 3, "3");
    make_live();
    solo_poll(&a);
    tm_holding_begin(h, SOLO_WALL);
    uint32_t count;
    tm_intake_answer answer;
    tm_error error;
    cr_assert_eq(tm_intake_confirm(&h->intake, &error), TM_OK);
    cr_assert_eq(tm_holding_apply(h, 10, &count, &answer, &error), TM_OK);
    cr_assert_eq(count, 2);
    cr_assert_eq(tm_holding_apply(h, 10, &count, &answer, &error), TM_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(answer, TM_INTAKE_RECORD);
}

Test(holding, meta_says_what_a_later_holder_needs)
{
    solo_buy(&s, 1, "1");
    make_live();
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 1);
    cr_assert_eq(tm_holding_note_span(h, 6, SOLO_MORNING), TM_OK);
    cr_assert_eq(tm_holding_note_span(h, 8, SOLO_MORNING + 1), TM_OK);
    tm_shard_meta meta;
    tm_holding_meta(h, &meta);
    cr_assert_eq(meta.time, SOLO_MORNING + TM_MINUTE);
    cr_assert_eq(meta.judged, tm_shard_judged(h->shard));
    cr_assert_eq(meta.partitions, 1);
    cr_assert_eq(meta.rules_version, 1);
    cr_assert_eq(meta.pack_hash, s.pack->hash);
    cr_assert_eq(meta.configuration_hash, 7);
    cr_assert_eq(meta.counting_start, FEED_START);
    cr_assert_eq(meta.marks[TM_INPUT_USAGE].offset, 0);
    cr_assert_eq(meta.marks[TM_INPUT_ACCOUNTS].offset, -1);
    cr_assert_eq(meta.fingerprints_from, 6, "the oldest commit whose fingerprints count");
    cr_assert_eq(meta.counting_count, 4, "one a metric");

    /* A shard made of it stands at the same T. */
    cr_assert_eq(tm_holding_make_shard(h, h->pack, meta.counting_start, &meta), TM_OK);
    cr_assert_eq(tm_shard_time(h->shard), meta.time);
    cr_assert_eq(tm_shard_account_count(h->shard), 0);
    tm_shard_meta again;
    tm_holding_meta(h, &again);
    cr_assert_eq(again.counting_count, meta.counting_count);
    for (uint32_t i = 0; i < meta.counting_count; i++)
        cr_assert_eq(again.counting[i].start, meta.counting[i].start);
}

Test(holding, spans_stay_in_order_as_they_grow)
{
    for (int64_t n = 1; n <= 1000; n++)
        cr_assert_eq(tm_holding_note_span(h, n, FEED_START + n), TM_OK);
    cr_assert_eq(h->span_count, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(h->spans[i].commit, i + 1);
        cr_assert_eq(h->spans[i].last, FEED_START + i + 1);
    }
}

/* Nothing of what was resident is left, and it is to be claimed. */
static void assert_dropped(void)
{
    cr_assert_null(h->shard);
    cr_assert_eq(h->outbox.count, 0);
    cr_assert_eq(h->intake.lanes[TM_INPUT_USAGE].count, 0);
    cr_assert_eq(h->span_count + h->signal_count + h->erasure_count + h->records, 0);
    cr_assert_not(h->open || h->sealed || h->done || h->configuration_told);
    cr_assert(h->publishing);
    cr_assert_eq(h->marks[TM_INPUT_USAGE].offset, -1);
}

static void fill(void)
{
    solo_buy(&s, 1, "1");
    solo_buy(&s, 2, "2");
    make_live();
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 2);
    cr_assert_gt(h->outbox.count, 0);
    cr_assert_eq(tm_holding_note_span(h, 1, SOLO_MORNING), TM_OK);
    solo_buy(&s, 3, "3");
    solo_poll(&a);
    cr_assert_eq(h->intake.lanes[TM_INPUT_USAGE].count, 1);
    h->publishing = false;
    h->configuration_told = h->sealed = true;
}

Test(holding, drop_leaves_nothing_resident)
{
    fill();
    tm_holding_drop(h);
    assert_dropped();
    cr_assert_eq(h->state, TM_HOLDING_CLAIMING);
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 3, "it can be used again");
}

Test(holding, halt_keeps_the_reason_and_stays)
{
    fill();
    tm_error why;
    tm_fail(&why, TM_FATAL, "for a reason");
    tm_error_where(&why, "shard 0");
    tm_error_hint(&why, "do this");
    tm_holding_halt(h, TM_HALT_MEMORY, &why);
    assert_dropped();
    cr_assert_eq(h->state, TM_HOLDING_HALTED);
    cr_assert_str_eq(h->halted.what, "for a reason");
    cr_assert_str_eq(h->halted.where, "shard 0");
    cr_assert_str_eq(h->halted.hint, "do this");
    tm_holding_drop(h);
    cr_assert_eq(h->state, TM_HOLDING_HALTED, "until an operator chooses");
}

Test(holding, account_records_without_a_value_erase_only_whom_they_name)
{
    static char long_key[TM_ACCOUNT_ID_MAX + 1];
    memset(long_key, 'k', sizeof long_key);
    const tm_slice keys[] = {{NULL, 0}, {"", 0}, {long_key, sizeof long_key}, TM_SLICE_LITERAL("\xff")};
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    for (int64_t i = 0; i < 4; i++) {
        tm_error error;
        tm_source_record record = record_of(TM_INPUT_ACCOUNTS, i, NULL);
        record.key = keys[i];
        cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_OK, "%s", error.what);
        cr_assert_eq(waiting(TM_TOPIC_DEAD_LETTERS, 1), i + 1, "key %d", (int)i);
    }
    cr_assert_eq(h->erasure_count, 0);
    cr_assert_eq(waiting(TM_TOPIC_HEALTH, 1), 0);
    for (uint32_t i = 0; i < h->outbox.count; i++) {
        tm_output output;
        cr_assert_eq(tm_outbox_read(&h->outbox, i, &output), TM_OK);
        bool keyed = i == 1 || i == 3; /* one that is too long would take the room twice */
        cr_assert_eq(output.key.data != NULL, keyed, "letter %u", i);
    }
}

Test(holding, a_letter_that_does_not_fit_ends_the_shard_with_a_word)
{
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    tm_shard_start(h->shard, SOLO_MORNING);
    a.reading.text.maximum = 64;
    tm_error error;
    tm_source_record record = record_of(TM_INPUT_USAGE, 0, "no event");
    cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_FATAL);
    cr_assert_str_eq(error.where, "usage:0:0");
    cr_assert_not_null(strstr(error.hint, "memory_limit"));
    cr_assert_eq(h->records, 0, "it was not taken");
}

Test(holding, what_waits_to_be_published_is_bounded)
{
    make_live();
    tm_holding_begin(h, SOLO_WALL);
    size_t size = (size_t)32 << 20;
    char *bytes = calloc(1, size);
    cr_assert_eq(tm_outbox_add_bytes(&h->outbox, 1, (tm_slice){bytes, size - 1}), TM_OK);
    cr_assert_not(tm_holding_full(h));
    cr_assert_eq(tm_outbox_add_bytes(&h->outbox, 1, (tm_slice){bytes, 1}), TM_OK);
    cr_assert(tm_holding_full(h));
    free(bytes);
}

Test(holding, a_commit_without_a_clock_knows_no_future)
{
    make_live();
    tm_holding_begin(h, TM_TIME_NONE);
    tm_shard_start(h->shard, SOLO_MORNING);
    tm_error error;
    tm_source_record record = record_of(TM_INPUT_USAGE, 0, "{}");
    record.timestamp = SOLO_MORNING + 1000 * TM_DAY;
    cr_assert_eq(tm_holding_apply_record(h, &record, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_shard_time(h->shard), record.timestamp, "as when files are replayed");
}

Test(holding, time_begins_with_the_clock_when_no_record_tells)
{
    solo_append(&s, TM_INPUT_USAGE, TM_TIME_NONE, "{}");
    make_live();
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 1);
    cr_assert_eq(tm_shard_time(h->shard), SOLO_WALL);
}

Test(holding, time_does_not_begin_when_nothing_is_taken)
{
    solo_append(&s, TM_INPUT_USAGE, SOLO_MORNING, "{}");
    make_live();
    h->intake.lanes[TM_INPUT_USAGE].end = 0;
    h->intake.lanes[TM_INPUT_ACCOUNTS].end = 0;
    h->intake.lanes[TM_INPUT_ACCOUNTS].finished = true;
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 0);
    cr_assert_eq(tm_shard_time(h->shard), TM_TIME_NONE);
}

Test(holding, each_setting_that_has_changed_is_noticed)
{
    make_live();
    tm_shard_settings *wanted = &s.settings.shard;
    const tm_shard_settings kept = *wanted;
    for (int i = 0; i < 5; i++) {
        *wanted = kept;
        wanted->evaluate_every = i == 0 ? 5 * TM_MINUTE : kept.evaluate_every;
        wanted->max_skew += i == 1;
        wanted->dedup_window += i == 2;
        wanted->dedup_entries += i == 3;
        bool changed;
        cr_assert_eq(tm_holding_settle_semantics(h, &changed), TM_OK);
        cr_assert(i == 4 || changed, "%d", i);
        cr_assert_eq(h->semantics.evaluate_every, wanted->evaluate_every);
        cr_assert_eq(h->semantics.max_skew, wanted->max_skew);
        cr_assert_eq(h->semantics.dedup_window, wanted->dedup_window);
        cr_assert_eq(h->semantics.dedup_entries, wanted->dedup_entries);
        cr_assert_eq(tm_holding_settle_semantics(h, &changed), TM_OK);
        cr_assert_not(changed, "%d", i);
    }
}

/* Headers say what CloudEvents in binary mode has outside of the value. */
Test(holding, headers_are_read_where_the_mapping_needs_them)
{
    tm_mapping *mapping = tm_mapping_cloudevents();
    tm_event_options options = feed_options(mapping);
    tm_reading_done(&a.reading);
    cr_assert_eq(tm_reading_init(&a.reading, &options), TM_OK);
    s.settings.reading.mapping = mapping;
    char at[TM_TIME_TEXT];
    tm_time_format(SOLO_MORNING, at);
    const tm_source_header headers[] = {{TM_SLICE_LITERAL("ce_specversion"), TM_SLICE_LITERAL("1.0")},
                                        {TM_SLICE_LITERAL("ce_id"), TM_SLICE_LITERAL("7")},
                                        {TM_SLICE_LITERAL("ce_source"), TM_SLICE_LITERAL("test")},
                                        {TM_SLICE_LITERAL("ce_type"), TM_SLICE_LITERAL("buy")},
                                        {TM_SLICE_LITERAL("ce_subject"), TM_SLICE_LITERAL("a0")},
                                        {TM_SLICE_LITERAL("ce_time"), tm_slice_of(at)}};
    tm_world_record record = {.key = TM_SLICE_LITERAL("a0"),
                              .value = TM_SLICE_LITERAL("{}"),
                              .timestamp = SOLO_MORNING,
                              .headers = headers,
                              .header_count = 6};
    cr_assert_eq(tm_world_append(s.world, TM_INPUT_USAGE, 0, &record, NULL), TM_OK);
    make_live();
    cr_assert_eq(solo_apply(&a, SOLO_WALL), 1);
    cr_assert_eq(tm_shard_counted(h->shard)->applied, 1);
    cr_assert_eq(tm_shard_account_count(h->shard), 1);
    s.settings.reading.mapping = s.mapping;
    tm_reading_done(&a.reading);
    cr_assert_eq(tm_reading_init(&a.reading, &s.settings.reading), TM_OK);
    tm_mapping_free(mapping);
}

Test(holding, how_records_are_read_has_a_hash)
{
    uint64_t before = tm_holding_reading_hash(h);
    cr_assert_eq(tm_holding_reading_hash(h), before);
    s.settings.mapping = TM_SLICE_LITERAL("other");
    uint64_t mapped = tm_holding_reading_hash(h);
    cr_assert_neq(mapped, before);
    s.settings.key_mismatch = TM_SLICE_LITERAL("ignore");
    cr_assert_neq(tm_holding_reading_hash(h), mapped);
    s.settings.mapping = TM_SLICE_LITERAL("native");
    s.settings.key_mismatch = TM_SLICE_LITERAL("reject");
    cr_assert_eq(tm_holding_reading_hash(h), before, "of these two, and of nothing else");
}

Test(holding, other_semantics_are_taken_on_and_laid_down)
{
    const tm_shard_settings *wanted = &s.settings.shard;
    bool changed = true;
    cr_assert_eq(tm_holding_settle_semantics(h, &changed), TM_OK);
    cr_assert_not(changed);
    /* Before there is a shard: it will be made under them. */
    cr_assert_eq(tm_holding_semantics(h, 10 * TM_MINUTE, TM_MINUTE, 2 * TM_HOUR, 77), TM_OK);
    cr_assert_eq(h->semantics.evaluate_every, 10 * TM_MINUTE);
    cr_assert_eq(h->semantics.max_skew, TM_MINUTE);
    cr_assert_eq(h->semantics.dedup_window, 2 * TM_HOUR);
    cr_assert_eq(h->semantics.dedup_entries, 77);
    cr_assert_eq(h->semantics.zone, wanted->zone, "the rest stays");
    make_live();
    cr_assert_eq(tm_holding_settle_semantics(h, &changed), TM_OK);
    cr_assert(changed);
    cr_assert_eq(h->semantics.evaluate_every, wanted->evaluate_every);
    cr_assert_eq(h->semantics.dedup_entries, wanted->dedup_entries);
    cr_assert_eq(tm_holding_semantics(h, wanted->evaluate_every, wanted->max_skew + 1, wanted->dedup_window,
                                      wanted->dedup_entries),
                 TM_OK, "and of a shard that lives");
    cr_assert_eq(tm_holding_settle_semantics(h, &changed), TM_OK);
    cr_assert(changed);
}
