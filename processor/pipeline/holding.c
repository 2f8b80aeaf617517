#include "tidemark/pipeline/holding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/crashpoint.h"
#include "tidemark/codec/deadletter.h"
#include "tidemark/codec/healthrecord.h"
#include "tidemark/codec/signal.h"
#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/proof.h"

/* Outputs that may wait between the ledgers; beyond it the commit is ended and published before more is read. */
#define OUTBOX_MAX ((size_t)256 << 20)
#define OUTBOX_FULL ((size_t)32 << 20)
#define ARENA_MAX ((size_t)256 << 20)

static const char *const state_names[] = {"claiming", "replaying", "live", "halted", "lost"};

const char *tm_holding_state_name(tm_holding_state state)
{
    return state_names[state];
}

tm_status tm_reading_init(tm_reading *reading, const tm_event_options *options)
{
    *reading = (tm_reading){0};
    tm_buffer_init(&reading->text, OUTBOX_MAX);
    reading->events = tm_event_reader_new(options);
    reading->accounts = tm_account_record_reader_new(&options->user_key);
    reading->record = calloc(1, sizeof *reading->record);
    reading->event = calloc(1, sizeof *reading->event);
    if (reading->events && reading->accounts && reading->record && reading->event)
        return TM_OK;
    tm_reading_done(reading);
    return TM_FATAL;
}

void tm_reading_done(tm_reading *reading)
{
    tm_event_reader_free(reading->events);
    tm_account_record_reader_free(reading->accounts);
    free(reading->record);
    free(reading->event);
    tm_buffer_done(&reading->text);
    *reading = (tm_reading){0};
}

/* Nothing was read of the inputs yet, and nothing is expected of them. */
static void forget_marks(tm_holding *holding)
{
    for (int i = 0; i < TM_INPUTS; i++)
        holding->marks[i] = holding->expected[i] = (tm_record_mark){.offset = -1, .timestamp = TM_TIME_NONE};
}

tm_holding *tm_holding_new(const tm_pipeline_settings *settings, tm_reading *reading, const tm_source *source,
                           int32_t partition)
{
    tm_holding *holding = calloc(1, sizeof *holding);
    if (!holding)
        return NULL;
    holding->settings = settings;
    holding->pack = settings->pack;
    holding->semantics = settings->shard;
    holding->reading = reading;
    holding->partition = partition;
    holding->state = TM_HOLDING_CLAIMING;
    holding->publishing = true;
    forget_marks(holding);
    tm_intake_init(&holding->intake, source, partition, settings->accounts_on);
    tm_outbox_init(&holding->outbox, OUTBOX_MAX);
    holding->arena = tm_arena_new(ARENA_MAX);
    if (!holding->arena) {
        tm_holding_free(holding);
        return NULL;
    }
    return holding;
}

void tm_holding_free(tm_holding *holding)
{
    if (!holding)
        return;
    tm_intake_done(&holding->intake);
    tm_outbox_done(&holding->outbox);
    tm_shard_free(holding->shard);
    tm_arena_free_all(holding->arena);
    free(holding->signals);
    free(holding->erasures);
    free(holding->skips);
    free(holding->spans);
    free(holding);
}

void tm_holding_drop(tm_holding *holding)
{
    tm_intake_done(&holding->intake);
    tm_intake_init(&holding->intake, holding->intake.source, holding->partition, holding->settings->accounts_on);
    tm_outbox_done(&holding->outbox);
    tm_outbox_init(&holding->outbox, OUTBOX_MAX);
    tm_shard_free(holding->shard);
    holding->shard = NULL;
    tm_arena_reset(holding->arena);
    holding->signal_count = holding->erasure_count = holding->span_count = 0;
    holding->letter_count = holding->health_count = holding->skip_count = holding->told_count = 0;
    holding->open = holding->done = holding->sealed = holding->apart = false;
    holding->records = 0;
    holding->publishing = true;
    holding->configuration_told = holding->gap = false;
    holding->count_from = 0;
    holding->semantics = holding->settings->shard;
    forget_marks(holding);
    if (holding->state != TM_HOLDING_HALTED)
        holding->state = TM_HOLDING_CLAIMING;
}

void tm_holding_halt(tm_holding *holding, tm_halt halt, const tm_error *why)
{
    holding->state = TM_HOLDING_HALTED;
    holding->halt = halt;
    holding->halted = *why;
    tm_holding_drop(holding);
}

/* --- outputs of the commit under way --- */

static tm_status add_output(tm_holding *holding, const tm_output *output)
{
    return holding->publishing ? tm_outbox_add(&holding->outbox, holding->stored.commit + 1, output) : TM_OK;
}

static tm_slice keep_text(tm_holding *holding, tm_slice text)
{
    return (tm_slice){tm_arena_copy(holding->arena, text.data, text.length), text.length};
}

/* The list with room for one more element, `first` at the beginning; NULL without memory, and it stays as it was. */
static void *room_for_one(void *list, size_t element, uint32_t count, uint32_t *capacity, uint32_t first)
{
    if (count < *capacity)
        return list;
    uint32_t wanted = *capacity ? *capacity * 2 : first;
    void *bigger = realloc(list, element * wanted);
    if (bigger)
        *capacity = wanted;
    return bigger;
}

static tm_status note_signal(tm_holding *holding, const tm_signal *signal)
{
    tm_journal_signal *signals =
        room_for_one(holding->signals, sizeof *signals, holding->signal_count, &holding->signal_capacity, 64);
    if (!signals)
        return TM_FATAL;
    holding->signals = signals;
    tm_journal_signal noted = {.account = keep_text(holding, signal->account->key),
                               .rule = keep_text(holding, signal->rule_name),
                               .raised_at = signal->raised_at,
                               .state = signal->state,
                               .sequence = signal->sequence,
                               .kind = signal->kind,
                               .severity = signal->severity,
                               .time = signal->time};
    if (!noted.account.data || !noted.rule.data)
        return TM_FATAL;
    holding->signals[holding->signal_count++] = noted;
    return TM_OK;
}

static tm_status note_erasure(tm_holding *holding, tm_slice account, tm_time at)
{
    tm_journal_erasure *erasures =
        room_for_one(holding->erasures, sizeof *erasures, holding->erasure_count, &holding->erasure_capacity, 16);
    if (!erasures)
        return TM_FATAL;
    holding->erasures = erasures;
    tm_slice kept = keep_text(holding, account);
    if (!kept.data)
        return TM_FATAL;
    holding->erasures[holding->erasure_count++] = (tm_journal_erasure){kept, at};
    return TM_OK;
}

static tm_status take_signal(void *context, const tm_signal *signal)
{
    static const tm_topic topics[TM_KINDS] = {TM_TOPIC_CHURN_RISK, TM_TOPIC_EXPANSION, TM_TOPIC_ADVISORIES};
    tm_holding *holding = context;
    const tm_pipeline_settings *settings = holding->settings;
    tm_signal_origin origin = {settings->group, holding->partition, {settings->topics[0], settings->topics[1]}};
    tm_buffer *text = &holding->reading->text;
    tm_buffer_reset(text);
    tm_signal_encode(signal, &origin, text);
    if (text->overflowed)
        return TM_FATAL;
    tm_output output = {.topic = topics[signal->kind],
                        .partition = -1,
                        .key = signal->account->key,
                        .value = tm_buffer_slice(text),
                        .timestamp = signal->time,
                        .headers = {{"tidemark-kind", tm_slice_of(tm_kind_name(signal->kind))},
                                    {"tidemark-rule", signal->rule_name},
                                    {"tidemark-state", tm_slice_of(tm_signal_state_name(signal->state))},
                                    {"tidemark-severity", tm_slice_of(tm_severity_name(signal->severity))},
                                    {"content-type", TM_SLICE_LITERAL("application/cloudevents+json")}},
                        .header_count = 5};
    TM_CRASH_POINT("signal_made");
    tm_status status = add_output(holding, &output);
    return status == TM_OK ? note_signal(holding, signal) : status;
}

/* Of an account's health the topic keeps the last record alone, so the journal needs no word of it. */
static tm_status take_health(void *context, const tm_health_record *record)
{
    tm_holding *holding = context;
    tm_buffer *text = &holding->reading->text;
    tm_buffer_reset(text);
    tm_health_record_encode(record, text);
    if (text->overflowed)
        return TM_FATAL;
    tm_output output = {.topic = TM_TOPIC_HEALTH,
                        .partition = -1,
                        .key = record->account,
                        .value = tm_buffer_slice(text),
                        .timestamp = record->at,
                        .headers = {{"content-type", TM_SLICE_LITERAL("application/json")}},
                        .header_count = 1};
    holding->health_count++;
    return add_output(holding, &output);
}

static tm_status add_dead_letter(tm_holding *holding, const tm_source_record *record, tm_dead_reason reason,
                                 const char *detail)
{
    tm_dead_letter letter = {.reason = reason,
                             .detail = tm_slice_of(detail),
                             .topic = holding->settings->topics[record->input],
                             .partition = record->partition,
                             .offset = record->offset,
                             .timestamp = record->timestamp,
                             .key = record->key,
                             .value = record->value};
    tm_buffer *text = &holding->reading->text;
    tm_buffer_reset(text);
    tm_dead_letter_encode(&letter, holding->settings->message_max, text);
    if (text->overflowed)
        return TM_FATAL;
    /* A key too long for an account is in the letter; as the record's own it would only take the room twice. */
    bool keyed = record->key.data && record->key.length <= TM_ACCOUNT_ID_MAX;
    tm_output output = {.topic = TM_TOPIC_DEAD_LETTERS,
                        .partition = -1,
                        .key = keyed ? record->key : (tm_slice){0},
                        .value = tm_buffer_slice(text),
                        .timestamp = tm_shard_time(holding->shard)};
    holding->letter_count++;
    return add_output(holding, &output);
}

/* --- the shard --- */

tm_status tm_holding_make_shard(tm_holding *holding, const tm_pack *pack, tm_time counting_start,
                                const tm_shard_meta *meta)
{
    tm_shard_free(holding->shard);
    holding->counting_start = counting_start;
    /* A metric that the kept state does not know counts from now on, that is from the T at which it was kept. */
    tm_time others = meta && meta->time != TM_TIME_NONE ? meta->time : counting_start;
    holding->shard =
        tm_shard_new(&holding->semantics, pack, others, meta ? meta->counting : NULL, meta ? meta->counting_count : 0);
    if (!holding->shard)
        return TM_FATAL;
    tm_shard_set_sink(holding->shard, take_signal, holding);
    tm_shard_set_health_sink(holding->shard, take_health);
    if (meta)
        tm_shard_restore_time(holding->shard, meta->time, meta->judged);
    return TM_OK;
}

tm_status tm_holding_semantics(tm_holding *holding, int64_t evaluate_every, int64_t max_skew, int64_t dedup_window,
                               int64_t dedup_entries)
{
    tm_shard_settings *now = &holding->semantics;
    if (now->evaluate_every == evaluate_every && now->max_skew == max_skew && now->dedup_window == dedup_window &&
        now->dedup_entries == (uint32_t)dedup_entries)
        return TM_OK;
    now->evaluate_every = evaluate_every;
    now->max_skew = max_skew;
    now->dedup_window = dedup_window;
    now->dedup_entries = (uint32_t)dedup_entries;
    return holding->shard ? tm_shard_reconfigure(holding->shard, now) : TM_OK;
}

tm_status tm_holding_settle_semantics(tm_holding *holding, bool *ret_changed)
{
    const tm_shard_settings *wanted = &holding->settings->shard;
    tm_shard_settings before = holding->semantics;
    tm_status status = tm_holding_semantics(holding, wanted->evaluate_every, wanted->max_skew, wanted->dedup_window,
                                            wanted->dedup_entries);
    *ret_changed = before.evaluate_every != wanted->evaluate_every || before.max_skew != wanted->max_skew ||
                   before.dedup_window != wanted->dedup_window || before.dedup_entries != wanted->dedup_entries;
    return status;
}

uint64_t tm_holding_reading_hash(const tm_holding *holding)
{
    return tm_hash_seeded(holding->settings->mapping, tm_hash(holding->settings->key_mismatch));
}

void tm_holding_begin(tm_holding *holding, tm_time wall)
{
    if (holding->open)
        return;
    TM_CRASH_POINT("holding_begin");
    holding->open = true;
    holding->clock_begin = wall;
    holding->t_before = tm_shard_time(holding->shard);
    holding->records = 0;
    holding->signal_count = holding->erasure_count = holding->letter_count = holding->skip_count = 0;
    holding->health_count = 0;
    holding->apart = false;
    tm_arena_reset(holding->arena);
    for (int i = 0; i < TM_INPUTS; i++)
        holding->from[i] = holding->intake.lanes[i].next;
    if (holding->publishing && holding->suspect.offset < holding->intake.lanes[holding->suspect.input].next)
        holding->suspect.state = TM_SUSPECT_NONE; /* what it came to was committed */
    tm_shard_begin(holding->shard, wall == TM_TIME_NONE ? TM_TIME_NEVER : wall);
    tm_intake_begin(&holding->intake);
}

bool tm_holding_full(const tm_holding *holding)
{
    if (!holding->publishing)
        return false; /* a past commit is as large as it was */
    return holding->records >= holding->settings->commit_records || (holding->apart && holding->records > 0) ||
           tm_shard_changed_count(holding->shard) >= holding->settings->commit_accounts ||
           holding->outbox.bytes.length >= OUTBOX_FULL;
}

/* Decodes a record; TM_REJECT: it is unusable, with a reason. */
static tm_status decode(tm_holding *holding, const tm_source_record *record, tm_record *ret_record,
                        tm_dead_reason *ret_reason, char detail[TM_DEAD_DETAIL])
{
    tm_reading *reading = holding->reading;
    if (record->input == TM_INPUT_USAGE) {
        tm_header items[TM_SOURCE_HEADERS_MAX];
        tm_headers headers = {items, 0};
        if (holding->settings->reading.mapping->needs_headers) {
            tm_source_header found[TM_SOURCE_HEADERS_MAX];
            const tm_source *source = holding->intake.source;
            headers.count = source->headers(source->context, record, found);
            for (size_t i = 0; i < headers.count; i++)
                items[i] = (tm_header){found[i].name, found[i].value};
        }
        ret_record->kind = TM_RECORD_EVENT;
        ret_record->event = reading->event;
        return tm_event_read(reading->events, record->value, &headers, record->key, reading->event, ret_reason, detail);
    }
    if (!record->value.data && record->key.data && record->key.length > 0 && record->key.length <= TM_ACCOUNT_ID_MAX &&
        tm_utf8_valid(record->key)) {
        ret_record->kind = TM_RECORD_ERASE;
        ret_record->account = record->key;
        return TM_OK;
    }
    tm_status status = tm_account_record_read(reading->accounts, record->value, record->key, false, reading->record,
                                              ret_reason, detail);
    ret_record->kind = TM_RECORD_FACTS;
    ret_record->facts = &reading->record->facts;
    ret_record->account = reading->record->account;
    return status;
}

tm_status tm_holding_apply_record(tm_holding *holding, const tm_source_record *record, tm_error *error)
{
    char detail[TM_DEAD_DETAIL];
    tm_dead_reason reason = TM_DEAD_NONE;
    tm_record decoded = {.input = record->input, .offset = record->offset, .timestamp = record->timestamp};
    tm_slice check = {NULL, 0};
    tm_status status;
    if ((holding->suspect.state != TM_SUSPECT_NONE || holding->told_count > 0) &&
        tm_poison_passes(holding, record, &check)) {
        reason = TM_DEAD_INTERNAL_CHECK;
        (void)snprintf(detail, sizeof detail,
                       "applying it trips the internal check %.*s: a mistake of tidemark's, please report it",
                       (int)check.length, check.data);
        status = TM_REJECT;
    } else {
        status = decode(holding, record, &decoded, &reason, detail);
    }
    if (status == TM_FATAL)
        return tm_fail(error, TM_FATAL, "no memory to read a record of %zu bytes", record->value.length);
    TM_CRASH_POINT("record_decoded");
    if (status == TM_REJECT)
        decoded.kind = TM_RECORD_UNUSABLE;
    tm_outcome outcome;
    tm_time t = tm_shard_time(holding->shard);
    uint64_t records = tm_shard_counted(holding->shard)->records;
    status = tm_shard_apply(holding->shard, &decoded, &outcome);
    if (status == TM_OK)
        status = tm_proof_record(holding, record, t, records);
    if (status == TM_BROKEN)
        return tm_poison_blame(holding, record, outcome == TM_OUTCOME_BROKEN, error);
    TM_CRASH_POINT("record_applied");
    if (status == TM_OK && outcome == TM_OUTCOME_FUTURE && decoded.event) {
        reason = TM_DEAD_FUTURE;
        char at[TM_TIME_TEXT], now[TM_TIME_TEXT];
        tm_time_format(decoded.event->at, at);
        tm_time_format(tm_shard_time(holding->shard), now);
        tm_buffer *text = &holding->reading->text;
        tm_buffer_reset(text);
        tm_buffer_append_format(text, "at %s is later than stream time %s by more than max_skew", at, now);
        size_t length = text->length < sizeof detail ? text->length : sizeof detail - 1;
        memcpy(detail, text->data, length);
        detail[length] = 0;
    }
    if (status == TM_OK && reason != TM_DEAD_NONE)
        status = add_dead_letter(holding, record, reason, detail);
    if (status == TM_OK && reason == TM_DEAD_INTERNAL_CHECK)
        status = tm_poison_note(holding, record, check);
    TM_CRASH_POINT("record_told");
    if (status == TM_OK && decoded.kind == TM_RECORD_ERASE) {
        TM_CRASH_POINT("record_erasure");
        status = note_erasure(holding, decoded.account, tm_shard_time(holding->shard));
        /* What subscribers of the compacted health topic keep of the account goes with it. */
        tm_output tombstone = {.topic = TM_TOPIC_HEALTH,
                               .partition = -1,
                               .key = decoded.account,
                               .timestamp = tm_shard_time(holding->shard)};
        if (status == TM_OK)
            status = add_output(holding, &tombstone);
    }
    if (status != TM_OK) {
        tm_fail(error, TM_FATAL, "a record could not be applied: no memory is left for this shard");
        tm_error_where(error, "%.*s:%d:%lld", (int)holding->settings->topics[record->input].length,
                       holding->settings->topics[record->input].data, (int)record->partition,
                       (long long)record->offset);
        tm_error_hint(error, "raise memory_limit, or spread the partitions over more processes");
        return TM_FATAL;
    }
    holding->marks[record->input] = (tm_record_mark){record->offset, record->timestamp, tm_hash(record->key)};
    holding->records++;
    if (holding->suspect.state != TM_SUSPECT_NONE)
        tm_poison_applied(holding, record);
    return TM_OK;
}

/* Records of usage are lost: what was counted is complete again from the first one on that is there, or, when there is
   none, from now on. False: it is not known yet whether there is one. */
static bool close_gap(tm_holding *holding)
{
    const tm_lane *lane = &holding->intake.lanes[TM_INPUT_USAGE];
    if (lane->count == 0 && !lane->drained && !lane->finished)
        return false;
    tm_time first = lane->count ? lane->ring[lane->head].timestamp : holding->clock_begin;
    holding->count_from = tm_shard_effective(holding->shard, first);
    tm_shard_count_from(holding->shard, holding->count_from); /* everybody is judged at the next instant anyway */
    holding->gap = false;
    return true;
}

tm_status tm_holding_apply(tm_holding *holding, uint32_t limit, uint32_t *ret_count, tm_intake_answer *ret_answer,
                           tm_error *error)
{
    const tm_source *source = holding->intake.source;
    *ret_count = 0;
    *ret_answer = TM_INTAKE_RECORD;
    if (tm_shard_time(holding->shard) == TM_TIME_NONE) {
        /* T begins at the least timestamp of the first records of both inputs: both have to show one, or be empty. */
        for (int i = 0; i < TM_INPUTS; i++) {
            const tm_lane *lane = &holding->intake.lanes[i];
            if (lane->on && lane->count == 0 && !lane->drained && !lane->finished) {
                *ret_answer = TM_INTAKE_UNKNOWN;
                return TM_OK;
            }
        }
        tm_time first = tm_intake_first_time(&holding->intake);
        /* Of records without any timestamp the clock has to tell; when no record may be taken at all, T stays unset. */
        if (first == TM_TIME_NONE && tm_intake_waiting(&holding->intake, holding->shard))
            first = holding->clock_begin;
        if (first != TM_TIME_NONE)
            tm_shard_start(holding->shard, first < holding->clock_begin ? first : holding->clock_begin);
    }
    if (holding->gap && !close_gap(holding)) {
        *ret_answer = TM_INTAKE_UNKNOWN;
        return TM_OK;
    }
    while (*ret_count < limit && !tm_holding_full(holding)) {
        if (holding->suspect.state != TM_SUSPECT_NONE && tm_poison_apart(holding))
            return TM_OK;
        tm_source_record record;
        tm_intake_answer answer = tm_intake_take(&holding->intake, holding->shard, &record);
        if (answer != TM_INTAKE_RECORD) {
            *ret_answer = answer;
            return TM_OK;
        }
        tm_status status = tm_holding_apply_record(holding, &record, error);
        source->release(source->context, &record);
        if (status != TM_OK)
            return status;
        ++*ret_count;
    }
    return TM_OK;
}

tm_status tm_holding_note_span(tm_holding *holding, int64_t commit, tm_time last)
{
    tm_fingerprint_span *spans =
        room_for_one(holding->spans, sizeof *spans, holding->span_count, &holding->span_capacity, 256);
    if (!spans)
        return TM_FATAL;
    holding->spans = spans;
    holding->spans[holding->span_count++] = (tm_fingerprint_span){commit, last};
    return TM_OK;
}

void tm_holding_meta(const tm_holding *holding, tm_shard_meta *ret_meta)
{
    const tm_pipeline_settings *settings = holding->settings;
    *ret_meta = (tm_shard_meta){.time = tm_shard_time(holding->shard),
                                .judged = tm_shard_judged(holding->shard),
                                .partitions = settings->partitions,
                                .rules_version = holding->pack->version,
                                .pack_hash = holding->pack->hash,
                                .configuration_hash = settings->configuration_hash,
                                .counting_start = holding->counting_start,
                                .evaluate_every = holding->semantics.evaluate_every,
                                .max_skew = holding->semantics.max_skew,
                                .dedup_window = holding->semantics.dedup_window,
                                .dedup_entries = holding->semantics.dedup_entries,
                                .reading_hash = tm_holding_reading_hash(holding),
                                .marks = {holding->marks[0], holding->marks[1]},
                                .fingerprints_from = holding->span_count ? holding->spans[0].commit : 0,
                                .counting_count = tm_shard_counting_count(holding->shard)};
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_lane *lane = &holding->intake.lanes[i];
        ret_meta->passed[i] = lane->passed > lane->next ? lane->passed : lane->next;
    }
    for (uint32_t i = 0; i < ret_meta->counting_count; i++)
        ret_meta->counting[i] = tm_shard_counting(holding->shard, i);
}
