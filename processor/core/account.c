#include "tidemark/core/account.h"

#include <string.h>

#include "tidemark/base/check.h"
#include "tidemark/base/hash.h"

static tm_slice copy_text(tm_heap *heap, tm_slice text)
{
    char *copy = tm_heap_take(heap, text.length ? text.length : 1);
    if (copy && text.length)
        memcpy(copy, text.data, text.length);
    return (tm_slice){copy, text.length};
}

static void free_text(tm_heap *heap, tm_slice text)
{
    tm_heap_give(heap, (void *)(uintptr_t)text.data, text.length ? text.length : 1);
}

static size_t text_memory(tm_slice text)
{
    return !text.data ? 0 : text.length ? text.length : 1;
}

tm_account *tm_account_new(tm_heap *heap, const tm_pack *pack, tm_slice key)
{
    tm_account *account = tm_heap_take(heap, sizeof *account);
    if (!account)
        return NULL;
    account->hash = tm_hash(key);
    account->key = copy_text(heap, key);
    account->series_count = pack->metric_count;
    account->series = tm_heap_take(heap, account->series_count * sizeof(tm_series *));
    account->derived_count = pack->derived_count;
    account->derived = tm_heap_take(heap, account->derived_count * sizeof *account->derived);
    account->input_offset = -1;
    account->judge_at = account->later_at = TM_TIME_NEVER;
    account->stands_until = TM_TIME_NONE;
    if (account->key.data && (account->series || !account->series_count) &&
        (account->derived || !account->derived_count))
        return account;
    if (!account->series)
        account->series_count = 0;
    if (!account->derived)
        account->derived_count = 0;
    tm_account_free(heap, account);
    return NULL;
}

static void free_episode(tm_heap *heap, tm_episode *episode)
{
    free_text(heap, episode->rule_name);
    if (episode->notes)
        free_text(heap, episode->notes->acknowledged_by);
    tm_heap_give(heap, episode->notes, sizeof *episode->notes);
}

void tm_account_free(tm_heap *heap, tm_account *account)
{
    if (!account)
        return;
    for (uint32_t i = 0; i < account->series_count; i++)
        tm_series_free(heap, account->series[i]);
    for (uint32_t i = 0; i < account->episode_count; i++)
        free_episode(heap, &account->episodes[i]);
    tm_heap_give(heap, account->series, account->series_count * sizeof(tm_series *));
    tm_heap_give(heap, account->derived, account->derived_count * sizeof *account->derived);
    tm_heap_give(heap, account->episodes, account->episode_capacity * sizeof(tm_episode));
    tm_facts_free(heap, account->facts);
    tm_stage_path_free(&account->stages, heap);
    tm_tracks_free(&account->tracks, heap);
    free_text(heap, account->key);
    tm_heap_give(heap, account, sizeof *account);
}

size_t tm_account_memory(const tm_account *account)
{
    size_t size = sizeof *account + text_memory(account->key) + account->series_count * sizeof(tm_series *) +
                  account->derived_count * sizeof *account->derived + account->episode_capacity * sizeof(tm_episode) +
                  tm_facts_memory(account->facts) + tm_stage_path_memory(&account->stages) +
                  tm_tracks_memory(&account->tracks);
    for (uint32_t i = 0; i < account->series_count; i++)
        size += tm_series_memory(account->series[i]);
    for (uint32_t i = 0; i < account->episode_count; i++) {
        const tm_episode_notes *notes = account->episodes[i].notes;
        size += text_memory(account->episodes[i].rule_name);
        size += notes ? sizeof *notes + text_memory(notes->acknowledged_by) : 0;
    }
    return size;
}

void tm_account_forget_derived(tm_account *account)
{
    if (account->derived_count)
        memset(account->derived, 0, account->derived_count * sizeof *account->derived);
}

/* Notes what the next judgement has to look at. What a window of earlier days does not see today it may see from
   midnight on, even if it was empty and nobody waits for that midnight. Windows of hours and all others are asked
   again at once. */
static void stir(tm_account *account, const tm_metric *metric, uint8_t aspects, const tm_moment *now)
{
    for (unsigned aspect = 0; aspect < TM_ASPECTS; aspect++) {
        if (aspects & TM_ASPECT_BIT(aspect))
            account->stirred |= metric->stirs[aspect];
    }
    account->standing_stirred |= (aspects & metric->standing_aspects) != 0;
    account->scores_stirred |= (aspects & metric->score_aspects) != 0;
    if (metric->read_daily && aspects && now->next_midnight < account->stands_until)
        account->stands_until = now->next_midnight;
    if (metric->read_derived && aspects & (TM_ASPECT_BIT(TM_ASPECT_PAST) | TM_ASPECT_BIT(TM_ASPECT_FIRST)))
        tm_account_forget_derived(account);
}

tm_status tm_account_apply(tm_account *account, tm_heap *heap, const tm_event *event, int32_t at_day,
                           const tm_environment *environment, tm_selector *selector, tm_evaluator *evaluator,
                           tm_applied *ret_applied)
{
    const tm_pack *pack = environment->pack;
    uint32_t count;
    bool begun = false;
    const uint16_t *selected = tm_selector_find(selector, event->name, &count);
    *ret_applied = (tm_applied){0};
    TM_CHECK(heap, account->series_count == pack->metric_count, "account_series");
    for (uint32_t i = 0; i < count; i++) {
        TM_CHECK(heap, selected[i] < pack->metric_count, "selected_metric");
        const tm_metric *metric = &pack->metrics[selected[i]];
        /* Before the metric's counting start: no window will show it, and values without a window begin there too. */
        int32_t start = environment->counting_days[selected[i]];
        if (environment->now->day < start && at_day < start)
            continue;
        if (metric->where != TM_NODE_NONE) {
            if (!begun)
                tm_evaluator_begin(evaluator, environment, account, event);
            begun = true;
            if (!tm_value_is_true(tm_evaluator_value(evaluator, metric->where)))
                continue;
        }
        tm_sample sample;
        tm_counted counted;
        uint8_t aspects;
        tm_metric_sample(metric, event, at_day, &sample);
        tm_status status =
            tm_series_apply(&account->series[selected[i]], heap, metric, environment->now, &sample, &counted, &aspects);
        if (status != TM_OK)
            return status;
        account->changed = true;
        stir(account, metric, aspects, environment->now);
        ret_applied->counted += counted == TM_COUNTED || counted == TM_COUNTED_LATE;
        ret_applied->late += counted == TM_COUNTED_LATE;
        ret_applied->beyond += counted == TM_COUNTED_BEYOND;
    }
    return TM_OK;
}

tm_status tm_account_set_facts(tm_account *account, tm_heap *heap, const tm_facts_draft *draft)
{
    tm_facts *facts = tm_facts_new(heap, draft);
    if (!facts)
        return TM_FATAL;
    tm_facts_free(heap, account->facts);
    account->facts = facts;
    account->changed = true;
    account->stands_until = TM_TIME_NONE;
    return TM_OK;
}

/* Index of the first episode whose rule is not below. */
static uint32_t episode_index(const tm_account *account, uint64_t rule)
{
    uint32_t at = 0, count = account->episode_count;
    while (count) {
        uint32_t half = count / 2;
        bool below = account->episodes[at + half].rule < rule;
        at = below ? at + half + 1 : at;
        count = below ? count - half - 1 : half;
    }
    return at;
}

tm_episode *tm_account_episode(const tm_account *account, uint64_t rule_identity)
{
    uint32_t at = episode_index(account, rule_identity);
    return at < account->episode_count && account->episodes[at].rule == rule_identity ? &account->episodes[at] : NULL;
}

tm_episode *tm_account_episode_make(tm_account *account, tm_heap *heap, uint64_t rule_identity)
{
    uint32_t at = episode_index(account, rule_identity);
    if (at < account->episode_count && account->episodes[at].rule == rule_identity)
        return &account->episodes[at];
    if (account->episode_count == account->episode_capacity) {
        uint32_t capacity = account->episode_capacity + account->episode_capacity / 4 + 1;
        tm_episode *episodes = tm_heap_resize(heap, account->episodes, account->episode_capacity * sizeof *episodes,
                                              capacity * sizeof *episodes);
        if (!episodes)
            return NULL;
        account->episodes = episodes;
        account->episode_capacity = capacity;
    }
    tm_episode *episode = account->episodes + at;
    memmove(episode + 1, episode, (account->episode_count - at) * sizeof *episode);
    memset(episode, 0, sizeof *episode); /* with its padding: episodes are compared as bytes */
    episode->rule = rule_identity;
    episode->state = TM_EPISODE_INACTIVE;
    episode->severity = episode->published_severity = TM_SEVERITY_WARN;
    episode->since = episode->raised_at = episode->signalled_at = episode->cleared_at = TM_TIME_NONE;
    account->episode_count++;
    account->changed = true;
    return episode;
}

void tm_account_episode_drop(tm_account *account, tm_heap *heap, uint64_t rule_identity)
{
    tm_episode *episode = tm_account_episode(account, rule_identity);
    if (!episode)
        return;
    free_episode(heap, episode);
    uint32_t after = account->episode_count - (uint32_t)(episode - account->episodes) - 1;
    memmove(episode, episode + 1, after * sizeof *episode);
    account->episode_count--;
    account->changed = true;
}

tm_status tm_episode_set_name(tm_episode *episode, tm_heap *heap, tm_slice name)
{
    tm_slice copy = {NULL, 0};
    if (name.data) {
        copy = copy_text(heap, name);
        if (!copy.data)
            return TM_FATAL;
    }
    free_text(heap, episode->rule_name);
    episode->rule_name = copy;
    return TM_OK;
}

tm_episode_notes *tm_episode_notes_make(tm_episode *episode, tm_heap *heap)
{
    if (!episode->notes) {
        episode->notes = tm_heap_take(heap, sizeof *episode->notes);
        if (episode->notes)
            episode->notes->snoozed_until = episode->notes->acknowledged_at = TM_TIME_NONE;
    }
    return episode->notes;
}

tm_status tm_episode_set_acknowledged(tm_episode *episode, tm_heap *heap, tm_time at, tm_slice by)
{
    tm_slice copy = {NULL, 0};
    if (by.data) {
        copy = copy_text(heap, by);
        if (!copy.data)
            return TM_FATAL;
    }
    free_text(heap, episode->notes->acknowledged_by);
    episode->notes->acknowledged_by = copy;
    episode->notes->acknowledged_at = at;
    return TM_OK;
}

tm_status tm_episode_note_raise(tm_episode *episode, tm_heap *heap, const tm_rule *rule, tm_time t)
{
    if (!rule->flapping_episodes)
        return TM_OK;
    tm_episode_notes *notes = tm_episode_notes_make(episode, heap);
    if (!notes)
        return TM_FATAL;
    /* Only what may still count: those before are further back, and more are never asked for. */
    unsigned first = 0, most = rule->flapping_episodes - 1U;
    while (first < notes->raise_count &&
           (notes->raises[first] <= t - rule->flapping_ms || notes->raise_count - first >= most))
        first++;
    notes->raise_count = (uint8_t)(notes->raise_count - first);
    memmove(notes->raises, notes->raises + first, notes->raise_count * sizeof *notes->raises);
    notes->raises[notes->raise_count++] = t;
    return TM_OK;
}

/* Where the series of a metric stood before: the same place, most of the time. */
static uint32_t former_place(const tm_pack *from, uint64_t identity, uint32_t guess, const bool *moved)
{
    if (guess < from->metric_count && from->metrics[guess].identity == identity && !moved[guess])
        return guess;
    for (uint32_t i = 0; i < from->metric_count; i++)
        if (from->metrics[i].identity == identity && !moved[i])
            return i;
    return UINT32_MAX;
}

tm_status tm_account_adopt(tm_account *account, tm_heap *heap, const tm_pack *from, const tm_pack *to)
{
    bool moved[TM_METRICS_MAX] = {false};
    tm_series **series = NULL;
    TM_CHECK(heap, account->series_count == from->metric_count, "account_series_before");
    tm_derived *derived = tm_heap_take(heap, to->derived_count * sizeof *derived);
    if (!derived && to->derived_count)
        return TM_FATAL;
    tm_heap_give(heap, account->derived, account->derived_count * sizeof *derived);
    account->derived = derived;
    account->derived_count = to->derived_count;
    if (to->metric_count) {
        series = tm_heap_take(heap, to->metric_count * sizeof(tm_series *));
        if (!series)
            return TM_FATAL;
    }
    for (uint32_t i = 0; i < to->metric_count; i++) {
        uint32_t place = former_place(from, to->metrics[i].identity, i, moved);
        if (place == UINT32_MAX)
            continue;
        if (tm_series_fit(&account->series[place], heap, &to->metrics[i]) != TM_OK) {
            tm_heap_give(heap, series, to->metric_count * sizeof(tm_series *));
            return TM_FATAL;
        }
        moved[place] = true;
        series[i] = account->series[place];
    }
    for (uint32_t i = 0; i < account->series_count; i++) {
        account->changed = account->changed || (!moved[i] && account->series[i]);
        if (!moved[i])
            tm_series_free(heap, account->series[i]);
    }
    tm_heap_give(heap, account->series, account->series_count * sizeof(tm_series *));
    account->series = series;
    account->series_count = to->metric_count;
    account->stands_until = TM_TIME_NONE;
    return TM_OK;
}
