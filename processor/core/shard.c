#include "shardroom.h"

#include <string.h>

#include "tidemark/core/reply.h"

tm_shard *tm_shard_new(const tm_shard_settings *settings, const tm_pack *pack, tm_time counting_start,
                       const tm_counting *counting, uint32_t counting_count)
{
    tm_heap *heap = tm_heap_new(settings->memory_limit);
    if (!heap)
        return NULL;
    tm_shard *shard = tm_heap_take(heap, sizeof *shard);
    if (!shard)
        goto out;
    shard->heap = heap;
    shard->settings = *settings;
    shard->now = TM_TIME_NONE;
    shard->wall = TM_TIME_NEVER;
    shard->counting_start = counting_start;
    shard->duplicates = tm_duplicates_new(heap, settings->dedup_window, settings->dedup_entries);
    shard->agenda = tm_agenda_new(heap);
    shard->selector = tm_selector_new(heap, pack);
    shard->judge = (tm_judge){.pack = pack, .heap = heap, .evaluator = tm_evaluator_new(heap, &pack->program)};
    if (!shard->duplicates || !shard->agenda || !shard->selector || !shard->judge.evaluator ||
        tm_table_init(&shard->by_hash, heap, 1024) != TM_OK ||
        tm_shard_set_counting(shard, pack, counting_start, counting, counting_count) != TM_OK) {
        tm_selector_free(shard->selector);
        goto out;
    }
    shard->pack = pack;
    shard->judge.signals = shard->counts.signals;
    return shard;
out:
    tm_heap_free_all(heap);
    return NULL;
}

void tm_shard_free(tm_shard *shard)
{
    if (!shard)
        return;
    tm_heap *heap = shard->heap;
    tm_selector_free(shard->selector);
    tm_heap_free_all(heap); /* everything else was taken from it */
}

void tm_shard_set_sink(tm_shard *shard, tm_signal_sink sink, void *context)
{
    shard->judge.sink = sink;
    shard->judge.sink_context = context;
}

void tm_shard_set_health_sink(tm_shard *shard, tm_health_sink sink)
{
    shard->judge.health_sink = sink;
}

tm_heap *tm_shard_heap(tm_shard *shard)
{
    return shard->heap;
}

/* --- stream time --- */

tm_time tm_shard_next_instant(const tm_shard *shard)
{
    return tm_time_ceil(shard->judged ? shard->now + 1 : shard->now, shard->settings.evaluate_every);
}

tm_time tm_shard_time(const tm_shard *shard)
{
    return shard->now;
}

bool tm_shard_judged(const tm_shard *shard)
{
    return shard->judged;
}

void tm_shard_start(tm_shard *shard, tm_time t)
{
    if (shard->started)
        return;
    shard->started = true;
    shard->judged = false;
    shard->now = t;
}

tm_time tm_shard_effective(const tm_shard *shard, tm_time timestamp)
{
    tm_time least = shard->judged ? shard->now + 1 : shard->now;
    tm_time t = timestamp;
    if (t != TM_TIME_NONE && t > shard->wall)
        t = shard->wall;
    return t == TM_TIME_NONE || t < least ? least : t;
}

tm_time tm_shard_next_due(const tm_shard *shard)
{
    return tm_agenda_next(shard->agenda);
}

static tm_status judge_one(tm_shard *shard, tm_account *account, tm_time instant)
{
    tm_moment moment;
    tm_moment_at(&moment, shard->settings.zone, instant, &shard->now_span);
    tm_environment environment = {shard->pack, &moment, shard->counting_days};
    bool was_changed = account->changed;
    if (shard->settings.every_instant) {
        account->stands_until = TM_TIME_NONE;
        tm_account_forget_derived(account);
    }
    tm_time due;
    tm_status status = tm_judge_account(&shard->judge, &environment, account, shard->settings.evaluate_every, &due);
    shard->counts.judged++;
    if (status != TM_OK)
        return status;
    if (account->changed && !was_changed) {
        status = tm_shard_note_changed(shard, account);
        if (status != TM_OK)
            return status;
    }
    if (shard->settings.every_instant)
        due = instant + shard->settings.evaluate_every;
    return due == TM_TIME_NEVER ? TM_OK : tm_agenda_put(shard->agenda, account, due);
}

static tm_status judge_until(tm_shard *shard, tm_time until)
{
    while (!shard->muted) {
        tm_time instant;
        tm_account *account = tm_agenda_take(shard->agenda, until, &instant);
        if (!account)
            return TM_OK;
        TM_CHECK(shard->heap, instant <= until && instant >= shard->now && (instant > shard->now || !shard->judged),
                 "instant_in_order");
        TM_CHECK(shard->heap, instant % shard->settings.evaluate_every == 0, "instant_on_grid");
        tm_status status = judge_one(shard, account, instant);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

/* Moves T to `t`, having judged every grid instant before it. */
static tm_status move_to(tm_shard *shard, tm_time t)
{
    TM_CHECK(shard->heap, t >= shard->now && (t > shard->now || !shard->judged), "time_forward");
    if (t == shard->now)
        return TM_OK;
    tm_status status = judge_until(shard, t - 1);
    if (status != TM_OK)
        return status;
    shard->now = t;
    shard->judged = false;
    return TM_OK;
}

/* --- a commit --- */

void tm_shard_begin(tm_shard *shard, tm_time wall)
{
    shard->wall = wall;
}

#ifdef TIDEMARK_CRASH_POINTS
/* What the tests of poison ask for in an event's property `tidemark.trip`; in no build that is shipped. */
static tm_status trip_when_asked(tm_shard *shard, const tm_event *event, tm_account *account)
{
    tm_value asked = tm_event_property(event, TM_SLICE_LITERAL("tidemark.trip"));
    if (asked.type != TM_TYPE_STRING)
        return TM_OK;
    TM_CHECK(shard->heap, !tm_slice_equal_text(asked.as.string, "record"), "tripped_by_record");
    TM_CHECK(shard->heap, !tm_slice_equal_text(asked.as.string, "company") || shard->accepted_count == 1,
             "tripped_in_company");
    if (tm_slice_equal_text(asked.as.string, "judge"))
        shard->judge.open[TM_KIND_CHURN_RISK] = shard->judge.open[TM_KIND_EXPANSION] =
            shard->judge.open[TM_KIND_ADVISORY] = -1000;
    if (tm_slice_equal_text(asked.as.string, "commit"))
        account->changed = false;
    return TM_OK;
}
#else
static tm_status trip_when_asked(const tm_shard *shard, const tm_event *event, const tm_account *account)
{
    (void)shard;
    (void)event;
    (void)account;
    return TM_OK;
}
#endif

static tm_status accept_event(tm_shard *shard, const tm_record *record, const tm_environment *environment,
                              tm_outcome *ret_outcome)
{
    const tm_event *event = record->event;
    TM_CHECK(shard->heap,
             event->account.length - 1 < TM_ACCOUNT_ID_MAX && event->id.length - 1 < TM_EVENT_ID_MAX &&
                 event->name.length - 1 < TM_EVENT_NAME_MAX,
             "event_names");
    TM_CHECK(shard->heap,
             event->at >= -TM_TIME_MAX && event->at <= TM_TIME_MAX && event->property_count <= TM_PROPERTIES_MAX,
             "event_values");
    if (shard->settings.max_skew >= 0 && event->at > shard->now + shard->settings.max_skew) {
        shard->counts.future++;
        *ret_outcome = TM_OUTCOME_FUTURE;
        return TM_OK;
    }
    tm_fingerprint fingerprint = tm_fingerprint_of(event->account, event->source, event->id);
    if (tm_duplicates_seen(shard->duplicates, fingerprint, shard->now)) {
        shard->counts.duplicates++;
        *ret_outcome = TM_OUTCOME_DUPLICATE;
        return TM_OK;
    }
    tm_account *account;
    tm_status status = tm_shard_account_for_change(shard, event->account, &account);
    if (status != TM_OK)
        return status;
    status = tm_shard_grow(shard->heap, (void **)&shard->accepted, sizeof *shard->accepted, shard->accepted_count,
                           &shard->accepted_capacity);
    if (status != TM_OK)
        return status;
    bool shed;
    status = tm_duplicates_add(shard->duplicates, fingerprint, shard->now, &shed);
    if (status != TM_OK)
        return status;
    shard->accepted[shard->accepted_count++] = (accepted_event){fingerprint, shard->now};
    shard->counts.shed += shed;

    TM_CHECK(shard->heap, account->episode_count <= account->episode_capacity, "account_episodes");
    uint8_t verdicts[TM_RULES_MAX];
    bool late = !shard->muted && tm_judge_concerned(account, event->at);
    if (late)
        tm_judge_verdicts(&shard->judge, environment, account, event->at, verdicts);
    tm_applied applied = {0};
    int32_t day = tm_zone_day_cached(shard->settings.zone, event->at, &shard->at_span);
    status = tm_account_apply(account, shard->heap, event, day, environment, shard->selector, shard->judge.evaluator,
                              &applied);
    if (status != TM_OK)
        return status;
    if (late)
        tm_judge_revise(&shard->judge, environment, account, event->at, verdicts);
    if (tm_reply_is(event->name)) {
        status = tm_reply_apply(account, shard->heap, shard->pack, event, shard->now);
        if (status != TM_OK)
            return status;
    }
    account->input = (uint8_t)record->input;
    account->input_offset = record->offset;
    shard->counts.applied++;
    shard->counts.late += applied.late > 0;
    shard->counts.beyond += applied.beyond > 0;
    status = trip_when_asked(shard, event, account);
    if (status != TM_OK)
        return status;
    return tm_agenda_put(shard->agenda, account, tm_shard_next_instant(shard));
}

static tm_status replace_facts(tm_shard *shard, const tm_record *record)
{
    TM_CHECK(shard->heap, record->facts && record->account.length - 1 < TM_ACCOUNT_ID_MAX, "facts_given");
    tm_account *account;
    tm_status status = tm_shard_account_for_change(shard, record->account, &account);
    if (status != TM_OK)
        return status;
    status = tm_account_set_facts(account, shard->heap, record->facts);
    if (status != TM_OK)
        return status;
    account->input = (uint8_t)record->input;
    account->input_offset = record->offset;
    shard->counts.facts++;
    return tm_agenda_put(shard->agenda, account, tm_shard_next_instant(shard));
}

static tm_status erase(tm_shard *shard, const tm_record *record, const tm_environment *environment)
{
    shard->counts.erasures++;
    /* Named to the store even when nothing is known here: an erasure must leave nothing behind. */
    tm_shard_forget_erased(shard, record->account);
    tm_status status = tm_shard_grow(shard->heap, (void **)&shard->erased, sizeof *shard->erased, shard->erased_count,
                                     &shard->erased_capacity);
    if (status != TM_OK)
        return status;
    char *key = tm_heap_take(shard->heap, record->account.length);
    if (!key)
        return TM_FATAL;
    memcpy(key, record->account.data, record->account.length);
    shard->erased[shard->erased_count++] = (erased_key){key, record->account.length};

    uint32_t index = tm_shard_index_of(shard, tm_hash(record->account), record->account);
    if (index == TM_TABLE_NONE)
        return TM_OK;
    TM_CHECK(shard->heap, index < shard->account_count, "erased_index");
    tm_account *account = shard->accounts[index];
    account->input = (uint8_t)record->input;
    account->input_offset = record->offset;
    status = tm_judge_erase(&shard->judge, environment, account);
    if (status != TM_OK)
        return status;
    for (uint32_t i = 0; account->changed && i < shard->changed_count; i++) {
        if (shard->changed[i] != account)
            continue;
        shard->changed[i] = shard->changed[--shard->changed_count];
        break;
    }
    tm_shard_release(shard, index);
    return TM_OK;
}

/* What the record does once T is there: whatever trips here is put down to the record. */
static tm_status apply_record(tm_shard *shard, const tm_record *record, tm_outcome *ret_outcome)
{
    if (shard->moment.t != shard->now || !shard->moment.zone)
        tm_moment_at(&shard->moment, shard->settings.zone, shard->now, &shard->now_span);
    tm_environment environment = {shard->pack, &shard->moment, shard->counting_days};
    switch (record->kind) {
    case TM_RECORD_EVENT:
        return accept_event(shard, record, &environment, ret_outcome);
    case TM_RECORD_FACTS:
        return replace_facts(shard, record);
    case TM_RECORD_ERASE:
        return erase(shard, record, &environment);
    case TM_RECORD_UNUSABLE:
        break;
    }
    shard->counts.unusable++;
    *ret_outcome = TM_OUTCOME_UNUSABLE;
    return TM_OK;
}

tm_status tm_shard_apply(tm_shard *shard, const tm_record *record, tm_outcome *ret_outcome)
{
    if (!shard->started)
        tm_shard_start(shard, record->timestamp == TM_TIME_NONE ? 0 : record->timestamp);
    *ret_outcome = TM_OUTCOME_APPLIED;
    if (tm_heap_tripped(shard->heap))
        return TM_BROKEN;
    tm_status status = move_to(shard, tm_shard_effective(shard, record->timestamp));
    if (status != TM_OK)
        return status;
    shard->counts.records++;
    status = apply_record(shard, record, ret_outcome);
    if (status == TM_BROKEN)
        *ret_outcome = TM_OUTCOME_BROKEN;
    return status;
}

tm_status tm_shard_advance(tm_shard *shard, tm_time t)
{
    tm_shard_start(shard, t);
    if (tm_heap_tripped(shard->heap))
        return TM_BROKEN;
    if (t < shard->now)
        t = shard->now;
    if (t == shard->now && shard->judged)
        return TM_OK;
    tm_status status = judge_until(shard, t);
    if (status != TM_OK)
        return status;
    shard->now = t;
    shard->judged = t % shard->settings.evaluate_every == 0;
    return TM_OK;
}

/* --- looking --- */

const tm_shard_counts *tm_shard_counted(const tm_shard *shard)
{
    return &shard->counts;
}

int64_t tm_shard_open(const tm_shard *shard, tm_kind kind)
{
    return shard->judge.open[kind];
}

uint32_t tm_shard_account_count(const tm_shard *shard)
{
    return shard->account_count;
}

const tm_account *tm_shard_account_at(const tm_shard *shard, uint32_t index)
{
    return shard->accounts[index];
}

tm_value tm_shard_evaluate(tm_shard *shard, tm_slice account, tm_time t, uint32_t node)
{
    tm_moment moment;
    tm_moment_at(&moment, shard->settings.zone, t, &shard->any_span);
    tm_environment environment = {shard->pack, &moment, shard->counting_days};
    uint32_t index = tm_shard_index_of(shard, tm_hash(account), account);
    tm_account *asked = index < shard->account_count ? shard->accounts[index] : NULL;
    tm_evaluator_begin(shard->judge.evaluator, &environment, asked, NULL);
    tm_value value = tm_evaluator_value(shard->judge.evaluator, node);
    if (asked)
        tm_account_forget_derived(asked); /* before t more records may come */
    return value;
}

uint32_t tm_shard_counting_count(const tm_shard *shard)
{
    return shard->pack->metric_count;
}

tm_counting tm_shard_counting(const tm_shard *shard, uint32_t index)
{
    const tm_metric *metric = &shard->pack->metrics[index];
    return (tm_counting){metric->identity, shard->counting_starts[index], metric->reach_days, metric->reach_hours};
}

size_t tm_shard_memory(const tm_shard *shard)
{
    return tm_heap_reserved(shard->heap);
}
