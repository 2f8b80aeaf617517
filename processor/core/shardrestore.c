/* What was kept comes back; a journal is followed; other rules are taken over. Part of the room `shard`. */
#include "shardroom.h"

#include <string.h>

void tm_shard_restore_time(tm_shard *shard, tm_time t, bool judged)
{
    shard->started = t != TM_TIME_NONE;
    shard->now = t;
    shard->judged = judged;
}

tm_status tm_shard_restore_account(tm_shard *shard, tm_account *account)
{
    uint32_t index = tm_shard_index_of(shard, account->hash, account->key);
    if (index != TM_TABLE_NONE)
        return TM_REJECT;
    TM_CHECK(shard->heap, account->series_count == shard->pack->metric_count, "restored_series");
    tm_status status = tm_shard_take_in(shard, account);
    if (status != TM_OK)
        return status;
    for (uint32_t i = 0; i < account->episode_count; i++) {
        if (tm_episode_open(&account->episodes[i]))
            shard->judge.open[account->episodes[i].kind]++;
    }
    account->changed = false;
    account->stands_until = TM_TIME_NONE;
    return tm_agenda_put(shard->agenda, account, tm_shard_next_instant(shard));
}

tm_status tm_shard_restore_fingerprint(tm_shard *shard, tm_fingerprint fingerprint, tm_time at)
{
    bool shed;
    return tm_duplicates_add(shard->duplicates, fingerprint, at, &shed);
}

/* From when a metric counts that was kept before: where its reach grows, from the oldest bucket kept at `now`. */
static tm_time counting_since(const tm_shard *shard, const tm_counting *kept, const tm_metric *metric, tm_time now)
{
    tm_time since = kept->start;
    if (now == TM_TIME_NONE)
        return since;
    if (metric->reach_days > kept->reach_days) {
        const tm_zone *zone = shard->settings.zone;
        tm_time oldest =
            kept->reach_days ? tm_zone_day_start(zone, tm_zone_day(zone, now) - kept->reach_days + 1) : now;
        since = oldest > since ? oldest : since;
    }
    if (metric->reach_hours > kept->reach_hours) {
        tm_time oldest = kept->reach_hours ? (tm_hour_of(now) - kept->reach_hours + 1) * TM_HOUR : now;
        since = oldest > since ? oldest : since;
    }
    return since;
}

tm_status tm_shard_set_counting(tm_shard *shard, const tm_pack *pack, tm_time others, const tm_counting *counting,
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
                starts[m] = counting_since(shard, &counting[i], &pack->metrics[m], others);
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
        status = tm_shard_set_counting(shard, pack, others, counting, from->metric_count);
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
            status = tm_shard_note_changed(shard, account); /* a mark alone would keep it from ever being written */
        if (status == TM_OK)
            status = tm_agenda_put(shard->agenda, shard->accounts[i], tm_shard_next_instant(shard));
    }
    return status;
}

/* --- rebuilding --- */

/* Whoever is due is forgotten, and everybody is at the next instant. */
static tm_status judge_all_anew(tm_shard *shard)
{
    tm_agenda_clear(shard->agenda);
    for (uint32_t i = 0; i < shard->account_count; i++) {
        shard->accounts[i]->judge_at = shard->accounts[i]->later_at = TM_TIME_NEVER;
        shard->accounts[i]->stands_until = TM_TIME_NONE;
        tm_status status = tm_agenda_put(shard->agenda, shard->accounts[i], tm_shard_next_instant(shard));
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

tm_status tm_shard_reconfigure(tm_shard *shard, const tm_shard_settings *settings)
{
    shard->settings.evaluate_every = settings->evaluate_every;
    shard->settings.max_skew = settings->max_skew;
    shard->settings.dedup_window = settings->dedup_window;
    shard->settings.dedup_entries = settings->dedup_entries;
    tm_duplicates_change(shard->duplicates, settings->dedup_window, settings->dedup_entries, shard->now);
    return judge_all_anew(shard);
}

tm_status tm_shard_mute(tm_shard *shard, bool muted)
{
    bool was_muted = shard->muted;
    shard->muted = muted;
    if (muted || !was_muted)
        return TM_OK;
    /* Entries that came due meanwhile would be judged at instants that are past. */
    return judge_all_anew(shard);
}

tm_status tm_shard_impose(tm_shard *shard, tm_slice key, tm_slice rule, tm_kind kind, tm_severity severity,
                          tm_signal_state state, tm_time raised_at, tm_time time, uint32_t sequence)
{
    tm_account *account;
    tm_status status = tm_shard_account_for_change(shard, key, &account);
    if (status != TM_OK)
        return status;
    uint64_t identity = tm_hash(rule);
    uint32_t index = tm_pack_rule(shard->pack, rule);
    bool moment = index != UINT32_MAX && shard->pack->rules[index].on_stage; /* over as soon as it began */
    bool opens = state != TM_SIGNAL_CLEARED && !moment;
    tm_episode *episode = tm_account_episode_make(account, shard->heap, identity);
    if (!episode)
        return TM_FATAL;
    account->stands_until = TM_TIME_NONE;
    shard->judge.open[kind] += opens - tm_episode_open(episode);
    episode->kind = (uint8_t)kind;
    episode->severity = episode->published_severity = (uint8_t)severity;
    episode->severity_known = true;
    episode->published_type = TM_TYPE_NULL; /* the journal does not keep it: the next update waits for the severity */
    episode->raised_at = raised_at;
    episode->since = raised_at;
    episode->signalled_at = time;
    episode->sequence = sequence;
    episode->state = opens ? TM_EPISODE_RAISED : TM_EPISODE_INACTIVE;
    if (!opens) {
        episode->cleared_at = time;
        episode->marks = 0;
        if (episode->notes)
            (void)tm_episode_set_acknowledged(episode, shard->heap, TM_TIME_NONE, (tm_slice){0});
    }
    if (opens && state == TM_SIGNAL_RAISED && index != UINT32_MAX) {
        const tm_rule *known = &shard->pack->rules[index];
        episode->marks = tm_episode_comes_and_goes(episode, known, time) ? TM_EPISODE_FLAPPING : 0;
        status = tm_episode_note_raise(episode, shard->heap, known, time);
        if (status != TM_OK)
            return status;
    }
    status = tm_episode_set_name(episode, shard->heap, opens ? rule : (tm_slice){0});
    return status == TM_OK ? tm_agenda_put(shard->agenda, account, tm_shard_next_instant(shard)) : status;
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
    for (uint32_t i = 0; i < shard->account_count; i++) {
        shard->accounts[i]->stands_until = TM_TIME_NONE;
        tm_account_forget_derived(shard->accounts[i]);
    }
}

tm_status tm_shard_touch_all(tm_shard *shard)
{
    for (uint32_t i = 0; i < shard->account_count; i++) {
        tm_status status = shard->accounts[i]->changed ? TM_OK : tm_shard_note_changed(shard, shard->accounts[i]);
        if (status != TM_OK)
            return status;
    }
    shard->accepted_count = 0;
    uint32_t count = tm_duplicates_count(shard->duplicates);
    for (uint32_t i = 0; i < count; i++) {
        tm_status status = tm_shard_grow(shard->heap, (void **)&shard->accepted, sizeof *shard->accepted, i,
                                         &shard->accepted_capacity);
        if (status != TM_OK)
            return status;
        tm_duplicates_at(shard->duplicates, i, &shard->accepted[i].fingerprint, &shard->accepted[i].at);
        shard->accepted_count++;
    }
    return TM_OK;
}
