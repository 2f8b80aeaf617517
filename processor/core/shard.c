#include "tidemark/core/shard.h"

#include <string.h>

#include "tidemark/base/table.h"
#include "tidemark/core/agenda.h"

/* A list of pointers or small things that grows and is emptied once a commit. */
typedef struct accepted_event {
    tm_fingerprint fingerprint;
    tm_time at;
} accepted_event;

typedef struct erased_key {
    char *key;
    size_t length;
} erased_key;

struct tm_shard {
    tm_shard_settings settings;
    tm_heap *heap;
    const tm_pack *pack;
    tm_judge judge;
    tm_selector *selector;
    tm_duplicates *duplicates;
    tm_agenda *agenda;

    tm_time *counting_starts; /* one a metric of the pack */
    int32_t *counting_days;   /* the same as local days, as evaluation wants them */
    tm_time counting_start;   /* of metrics the shard was created with */

    tm_account **accounts;
    uint32_t account_count, account_capacity;
    tm_table by_hash;  /* account hash → index; when two keys share a hash, the first */
    uint32_t collided; /* accounts that by_hash cannot find because another has their hash */

    bool started, judged, muted;
    tm_time now;  /* T */
    tm_time wall; /* of the commit; TM_TIME_NEVER: none */
    tm_day_span now_span, at_span, any_span;
    tm_moment moment; /* of T when moment.t == now */

    tm_account **changed;
    uint32_t changed_count, changed_capacity;
    erased_key *erased;
    uint32_t erased_count, erased_capacity;
    accepted_event *accepted;
    uint32_t accepted_count, accepted_capacity;

    tm_shard_counts counts;
};

/* Makes room for one more element of a list in the shard's heap. */
static tm_status grow(tm_heap *heap, void **list, size_t element, uint32_t count, uint32_t *capacity)
{
    if (count < *capacity)
        return TM_OK;
    uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *bigger = tm_heap_resize(heap, *list, element * *capacity, element * wanted);
    if (!bigger)
        return TM_FATAL;
    *list = bigger;
    *capacity = wanted;
    return TM_OK;
}

static tm_status set_counting(tm_shard *shard, const tm_pack *pack, tm_time others, const tm_counting *counting,
                              uint32_t counting_count)
{
    uint32_t n = pack->metric_count ? pack->metric_count : 1;
    tm_time *starts = tm_heap_take(shard->heap, sizeof *starts * n);
    int32_t *days = tm_heap_take(shard->heap, sizeof *days * n);
    if (!starts || !days) {
        tm_heap_give(shard->heap, starts, sizeof *starts * n);
        tm_heap_give(shard->heap, days, sizeof *days * n);
        return TM_FATAL;
    }
    for (uint32_t m = 0; m < pack->metric_count; m++) {
        starts[m] = others;
        for (uint32_t i = 0; i < counting_count; i++) {
            if (counting[i].identity == pack->metrics[m].identity)
                starts[m] = counting[i].start;
        }
        days[m] = starts[m] == TM_TIME_NONE ? INT32_MIN : tm_zone_day(shard->settings.zone, starts[m]);
    }
    uint32_t before = shard->pack && shard->pack->metric_count ? shard->pack->metric_count : 1;
    tm_heap_give(shard->heap, shard->counting_starts, sizeof *starts * before);
    tm_heap_give(shard->heap, shard->counting_days, sizeof *days * before);
    shard->counting_starts = starts;
    shard->counting_days = days;
    return TM_OK;
}

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
        set_counting(shard, pack, counting_start, counting, counting_count) != TM_OK) {
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

tm_heap *tm_shard_heap(tm_shard *shard)
{
    return shard->heap;
}

/* --- accounts --- */

static uint32_t index_of(const tm_shard *shard, uint64_t hash, tm_slice key)
{
    uint32_t index = tm_table_find(&shard->by_hash, hash);
    if (index == TM_TABLE_NONE)
        return TM_TABLE_NONE;
    if (tm_slice_equal(shard->accounts[index]->key, key))
        return index;
    for (uint32_t i = 0; shard->collided && i < shard->account_count; i++) {
        if (shard->accounts[i]->hash == hash && tm_slice_equal(shard->accounts[i]->key, key))
            return i;
    }
    return TM_TABLE_NONE;
}

const tm_account *tm_shard_account(const tm_shard *shard, tm_slice key)
{
    uint32_t index = index_of(shard, tm_hash(key), key);
    return index == TM_TABLE_NONE ? NULL : shard->accounts[index];
}

static tm_status adopt_account(tm_shard *shard, tm_account *account)
{
    tm_status status = grow(shard->heap, (void **)&shard->accounts, sizeof *shard->accounts, shard->account_count,
                            &shard->account_capacity);
    if (status != TM_OK)
        return status;
    bool collides = tm_table_find(&shard->by_hash, account->hash) != TM_TABLE_NONE;
    if (!collides) {
        status = tm_table_put(&shard->by_hash, account->hash, shard->account_count);
        if (status != TM_OK)
            return status;
    } else {
        shard->collided++;
    }
    account->judge_at = account->later_at = TM_TIME_NEVER;
    shard->accounts[shard->account_count++] = account;
    return TM_OK;
}

static void release_account(tm_shard *shard, uint32_t index)
{
    tm_account *account = shard->accounts[index];
    tm_account *last = shard->accounts[--shard->account_count];
    shard->accounts[index] = last;
    if (last != account && tm_table_find(&shard->by_hash, last->hash) == shard->account_count)
        (void)tm_table_put(&shard->by_hash, last->hash, index); /* the key is there: nothing to grow */
    if (tm_table_find(&shard->by_hash, account->hash) != (last == account ? shard->account_count : index)) {
        shard->collided--; /* it was one that the table could not find */
    } else {
        (void)tm_table_remove(&shard->by_hash, account->hash);
        for (uint32_t i = 0; shard->collided && i < shard->account_count; i++) {
            if (shard->accounts[i]->hash != account->hash)
                continue;
            /* The next of the same hash takes its place in the table. A removal has just made room for it. */
            (void)tm_table_put(&shard->by_hash, account->hash, i);
            shard->collided--;
            break;
        }
    }
    tm_agenda_forget(shard->agenda, account);
    tm_account_free(shard->heap, account);
}

static tm_status note_changed(tm_shard *shard, tm_account *account)
{
    tm_status status = grow(shard->heap, (void **)&shard->changed, sizeof *shard->changed, shard->changed_count,
                            &shard->changed_capacity);
    if (status == TM_OK) {
        account->changed = true;
        shard->changed[shard->changed_count++] = account;
    }
    return status;
}

static void forget_erased(tm_shard *shard, tm_slice key)
{
    for (uint32_t i = 0; i < shard->erased_count; i++) {
        erased_key *erased = &shard->erased[i];
        if (!tm_slice_equal((tm_slice){erased->key, erased->length}, key))
            continue;
        tm_heap_give(shard->heap, erased->key, erased->length);
        *erased = shard->erased[--shard->erased_count];
        return;
    }
}

/* Finds or makes the account, marked as changed. */
static tm_status account_for_change(tm_shard *shard, tm_slice key, tm_account **ret_account)
{
    uint64_t hash = tm_hash(key);
    uint32_t index = index_of(shard, hash, key);
    tm_account *account;
    if (index != TM_TABLE_NONE) {
        account = shard->accounts[index];
    } else {
        account = tm_account_new(shard->heap, shard->pack, key);
        if (!account)
            return TM_FATAL;
        tm_status status = adopt_account(shard, account);
        if (status != TM_OK) {
            tm_account_free(shard->heap, account);
            return status;
        }
        forget_erased(shard, key);
    }
    *ret_account = account;
    return account->changed ? TM_OK : note_changed(shard, account);
}

/* --- restoring --- */

void tm_shard_restore_time(tm_shard *shard, tm_time t, bool judged)
{
    shard->started = t != TM_TIME_NONE;
    shard->now = t;
    shard->judged = judged;
}

/* The first grid instant that is still to be judged. */
static tm_time next_instant(const tm_shard *shard)
{
    return tm_time_ceil(shard->judged ? shard->now + 1 : shard->now, shard->settings.evaluate_every);
}

tm_status tm_shard_restore_account(tm_shard *shard, tm_account *account)
{
    if (index_of(shard, account->hash, account->key) != TM_TABLE_NONE)
        return TM_REJECT;
    tm_status status = adopt_account(shard, account);
    if (status != TM_OK)
        return status;
    for (uint32_t i = 0; i < account->episode_count; i++) {
        if (tm_episode_open(&account->episodes[i]))
            shard->judge.open[account->episodes[i].kind]++;
    }
    account->changed = false;
    return tm_agenda_put(shard->agenda, account, next_instant(shard));
}

tm_status tm_shard_restore_fingerprint(tm_shard *shard, tm_fingerprint fingerprint, tm_time at)
{
    bool shed;
    return tm_duplicates_add(shard->duplicates, fingerprint, at, &shed);
}

/* --- stream time --- */

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
    tm_time due;
    tm_status status = tm_judge_account(&shard->judge, &environment, account, shard->settings.evaluate_every, &due);
    shard->counts.judged++;
    if (status != TM_OK)
        return status;
    if (account->changed && !was_changed) {
        status = note_changed(shard, account);
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
        tm_status status = judge_one(shard, account, instant);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

/* Moves T to `t`, having judged every grid instant before it. */
static tm_status move_to(tm_shard *shard, tm_time t)
{
    if (t <= shard->now && !(t == shard->now && shard->judged))
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

static tm_status accept_event(tm_shard *shard, const tm_record *record, const tm_environment *environment,
                              tm_outcome *ret_outcome)
{
    const tm_event *event = record->event;
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
    tm_status status = account_for_change(shard, event->account, &account);
    if (status != TM_OK)
        return status;
    status = grow(shard->heap, (void **)&shard->accepted, sizeof *shard->accepted, shard->accepted_count,
                  &shard->accepted_capacity);
    if (status != TM_OK)
        return status;
    bool shed;
    status = tm_duplicates_add(shard->duplicates, fingerprint, shard->now, &shed);
    if (status != TM_OK)
        return status;
    shard->accepted[shard->accepted_count++] = (accepted_event){fingerprint, shard->now};
    shard->counts.shed += shed;

    tm_applied applied = {0};
    int32_t day = tm_zone_day_cached(shard->settings.zone, event->at, &shard->at_span);
    status = tm_account_apply(account, shard->heap, event, day, environment, shard->selector, shard->judge.evaluator,
                              &applied);
    if (status != TM_OK)
        return status;
    account->input = (uint8_t)record->input;
    account->input_offset = record->offset;
    shard->counts.applied++;
    shard->counts.late += applied.late > 0;
    shard->counts.beyond += applied.beyond > 0;
    return tm_agenda_put(shard->agenda, account, next_instant(shard));
}

static tm_status replace_facts(tm_shard *shard, const tm_record *record)
{
    tm_account *account;
    tm_status status = account_for_change(shard, record->account, &account);
    if (status != TM_OK)
        return status;
    status = tm_account_set_facts(account, shard->heap, record->facts);
    if (status != TM_OK)
        return status;
    account->input = (uint8_t)record->input;
    account->input_offset = record->offset;
    shard->counts.facts++;
    return tm_agenda_put(shard->agenda, account, next_instant(shard));
}

static tm_status erase(tm_shard *shard, const tm_record *record, const tm_environment *environment)
{
    shard->counts.erasures++;
    /* Named to the store even when nothing is known here: an erasure must leave nothing behind. */
    forget_erased(shard, record->account);
    tm_status status =
        grow(shard->heap, (void **)&shard->erased, sizeof *shard->erased, shard->erased_count, &shard->erased_capacity);
    if (status != TM_OK)
        return status;
    char *key = tm_heap_take(shard->heap, record->account.length);
    if (!key)
        return TM_FATAL;
    memcpy(key, record->account.data, record->account.length);
    shard->erased[shard->erased_count++] = (erased_key){key, record->account.length};

    uint32_t index = index_of(shard, tm_hash(record->account), record->account);
    if (index == TM_TABLE_NONE)
        return TM_OK;
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
    release_account(shard, index);
    return TM_OK;
}

tm_status tm_shard_apply(tm_shard *shard, const tm_record *record, tm_outcome *ret_outcome)
{
    if (!shard->started)
        tm_shard_start(shard, record->timestamp == TM_TIME_NONE ? 0 : record->timestamp);
    *ret_outcome = TM_OUTCOME_APPLIED;
    tm_status status = move_to(shard, tm_shard_effective(shard, record->timestamp));
    if (status != TM_OK)
        return status;
    shard->counts.records++;
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

tm_status tm_shard_advance(tm_shard *shard, tm_time t)
{
    tm_shard_start(shard, t);
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

uint32_t tm_shard_changed_count(const tm_shard *shard)
{
    return shard->changed_count;
}

const tm_account *tm_shard_changed(const tm_shard *shard, uint32_t index)
{
    return shard->changed[index];
}

uint32_t tm_shard_erased_count(const tm_shard *shard)
{
    return shard->erased_count;
}

tm_slice tm_shard_erased(const tm_shard *shard, uint32_t index)
{
    return (tm_slice){shard->erased[index].key, shard->erased[index].length};
}

uint32_t tm_shard_accepted_count(const tm_shard *shard)
{
    return shard->accepted_count;
}

void tm_shard_accepted(const tm_shard *shard, uint32_t index, tm_fingerprint *ret_fingerprint, tm_time *ret_at)
{
    *ret_fingerprint = shard->accepted[index].fingerprint;
    *ret_at = shard->accepted[index].at;
}

void tm_shard_settled(tm_shard *shard)
{
    for (uint32_t i = 0; i < shard->changed_count; i++)
        shard->changed[i]->changed = false;
    shard->changed_count = 0;
    for (uint32_t i = 0; i < shard->erased_count; i++)
        tm_heap_give(shard->heap, shard->erased[i].key, shard->erased[i].length);
    shard->erased_count = 0;
    shard->accepted_count = 0;
}

/* --- rebuilding --- */

tm_status tm_shard_mute(tm_shard *shard, bool muted)
{
    bool was_muted = shard->muted;
    shard->muted = muted;
    if (muted || !was_muted)
        return TM_OK;
    /* Entries that came due meanwhile would be judged at instants that are past. */
    tm_agenda_clear(shard->agenda);
    for (uint32_t i = 0; i < shard->account_count; i++) {
        shard->accounts[i]->judge_at = shard->accounts[i]->later_at = TM_TIME_NEVER;
        tm_status status = tm_agenda_put(shard->agenda, shard->accounts[i], next_instant(shard));
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

tm_status tm_shard_impose(tm_shard *shard, tm_slice key, tm_slice rule, tm_kind kind, tm_severity severity,
                          tm_signal_state state, tm_time raised_at, tm_time time, uint32_t sequence)
{
    tm_account *account;
    tm_status status = account_for_change(shard, key, &account);
    if (status != TM_OK)
        return status;
    uint64_t identity = tm_hash(rule);
    tm_episode *episode = tm_account_episode_make(account, shard->heap, identity);
    if (!episode)
        return TM_FATAL;
    shard->judge.open[kind] += (state != TM_SIGNAL_CLEARED) - tm_episode_open(episode);
    episode->kind = (uint8_t)kind;
    episode->severity = episode->published_severity = (uint8_t)severity;
    episode->severity_known = true;
    episode->published_type = TM_TYPE_NULL; /* the journal does not keep it: the next update waits for the severity */
    episode->raised_at = raised_at;
    episode->signalled_at = time;
    episode->sequence = sequence;
    episode->state = state == TM_SIGNAL_CLEARED ? TM_EPISODE_INACTIVE : TM_EPISODE_RAISED;
    if (state == TM_SIGNAL_CLEARED)
        episode->cleared_at = time;
    status = tm_episode_set_name(episode, shard->heap, state == TM_SIGNAL_CLEARED ? (tm_slice){0} : rule);
    return status == TM_OK ? tm_agenda_put(shard->agenda, account, next_instant(shard)) : status;
}

void tm_shard_count_from(tm_shard *shard, tm_time t)
{
    /* Windows are told by the day they begin on, and of this day only the rest is known. */
    int32_t day = tm_zone_day(shard->settings.zone, t);
    if (t > tm_zone_day_start(shard->settings.zone, day))
        t = tm_zone_day_start(shard->settings.zone, ++day);
    for (uint32_t m = 0; m < shard->pack->metric_count; m++) {
        if (shard->counting_starts[m] != TM_TIME_NONE && shard->counting_starts[m] >= t)
            continue;
        shard->counting_starts[m] = t;
        shard->counting_days[m] = day;
    }
}

tm_status tm_shard_touch_all(tm_shard *shard)
{
    for (uint32_t i = 0; i < shard->account_count; i++) {
        tm_status status = shard->accounts[i]->changed ? TM_OK : note_changed(shard, shard->accounts[i]);
        if (status != TM_OK)
            return status;
    }
    shard->accepted_count = 0;
    uint32_t count = tm_duplicates_count(shard->duplicates);
    for (uint32_t i = 0; i < count; i++) {
        tm_status status =
            grow(shard->heap, (void **)&shard->accepted, sizeof *shard->accepted, i, &shard->accepted_capacity);
        if (status != TM_OK)
            return status;
        tm_duplicates_at(shard->duplicates, i, &shard->accepted[i].fingerprint, &shard->accepted[i].at);
        shard->accepted_count++;
    }
    return TM_OK;
}

void tm_shard_prefetch(const tm_shard *shard, uint64_t hash, bool near)
{
    if (!near) {
        tm_table_prefetch(&shard->by_hash, hash);
        return;
    }
    uint32_t index = tm_table_find(&shard->by_hash, hash);
    if (index == TM_TABLE_NONE)
        return;
    const char *account = (const char *)shard->accounts[index];
    __builtin_prefetch(account);
    __builtin_prefetch(account + 64);
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
    tm_evaluator_begin(shard->judge.evaluator, &environment, tm_shard_account(shard, account), NULL);
    return tm_evaluator_value(shard->judge.evaluator, node);
}

uint32_t tm_shard_counting_count(const tm_shard *shard)
{
    return shard->pack->metric_count;
}

tm_counting tm_shard_counting(const tm_shard *shard, uint32_t index)
{
    return (tm_counting){shard->pack->metrics[index].identity, shard->counting_starts[index]};
}

size_t tm_shard_memory(const tm_shard *shard)
{
    return tm_heap_reserved(shard->heap);
}

tm_status tm_shard_adopt(tm_shard *shard, const tm_pack *pack)
{
    const tm_pack *from = shard->pack;
    uint32_t known = from->metric_count ? from->metric_count : 1;
    tm_counting *counting = tm_heap_take(shard->heap, sizeof *counting * known);
    tm_selector *selector = tm_selector_new(shard->heap, pack);
    tm_evaluator *evaluator = tm_evaluator_new(shard->heap, &pack->program);
    tm_status status = counting && selector && evaluator ? TM_OK : TM_FATAL;
    if (status == TM_OK) {
        for (uint32_t m = 0; m < from->metric_count; m++)
            counting[m] = tm_shard_counting(shard, m);
        tm_time others = shard->started ? shard->now : shard->counting_start;
        status = set_counting(shard, pack, others, counting, from->metric_count);
    }
    tm_heap_give(shard->heap, counting, sizeof *counting * known);
    if (status != TM_OK) {
        tm_selector_free(selector);
        return status;
    }
    tm_evaluator_free(shard->heap, shard->judge.evaluator);
    tm_selector_free(shard->selector);
    shard->selector = selector;
    shard->judge.evaluator = evaluator;
    shard->judge.pack = pack;
    shard->pack = pack;
    for (uint32_t i = 0; i < shard->account_count && status == TM_OK; i++) {
        tm_account *account = shard->accounts[i];
        bool was_changed = account->changed;
        status = tm_account_adopt(account, shard->heap, from, pack);
        if (status == TM_OK && account->changed && !was_changed)
            status = note_changed(shard, account); /* a mark alone would keep it from ever being written */
        if (status == TM_OK)
            status = tm_agenda_put(shard->agenda, shard->accounts[i], next_instant(shard));
    }
    return status;
}
