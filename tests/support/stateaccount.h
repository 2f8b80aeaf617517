/* A pack with every kind of metric and random accounts of it, for the tests of state. */
#ifndef TIDEMARK_TESTS_STATEACCOUNT_H
#define TIDEMARK_TESTS_STATEACCOUNT_H

#include <string.h>

#include "tidemark/core/account.h"

enum { STATE_METRICS = 12 };

typedef struct state_world {
    tm_metric metrics[STATE_METRICS];
    tm_pack pack;
    tm_moment now;
    tm_day_span span;
    uint64_t random;
} state_world;

static inline uint64_t state_random(state_world *w)
{
    uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline int64_t state_below(state_world *w, int64_t n)
{
    return (int64_t)(state_random(w) % (uint64_t)n);
}

static inline void state_world_init(state_world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->random = seed;
    for (int i = 0; i < STATE_METRICS; i++) {
        tm_metric *metric = &w->metrics[i];
        metric->kind = (tm_metric_kind)(i % 6);
        metric->of = metric->kind == TM_METRIC_DISTINCT ? TM_OF_USER : TM_OF_VALUE;
        metric->reach_days = i == 11 ? 0 : 7 + 5 * i;
        metric->reach_hours = i < 6 ? 0 : 24 + i;
        metric->where = TM_NODE_NONE;
        metric->identity = UINT64_C(0x123456789abcdef) * (uint64_t)(i + 1);
    }
    w->pack.metrics = w->metrics;
    w->pack.metric_count = STATE_METRICS;
    tm_moment_at(&w->now, tm_zone_utc(), INT64_C(1700000000000), &w->span);
}

static inline tm_value state_value(state_world *w)
{
    static const char text[] = "a text that is long enough";
    switch (state_below(w, 5)) {
    case 0:
        return tm_value_number((double)state_below(w, 1000));
    case 1:
        return tm_value_number((double)state_random(w) * 1e-3 - 1e12);
    case 2:
        return tm_value_boolean(state_below(w, 2));
    case 3:
        return tm_value_number(state_below(w, 2) ? -0.0 : 0.1);
    default:
        return tm_value_string((tm_slice){text, (size_t)state_below(w, 20)});
    }
}

static inline tm_slice state_text(state_world *w)
{
    static const char text[] = "gold silver bronze lead and tin";
    if (state_below(w, 3) == 0)
        return (tm_slice){NULL, 0};
    size_t from = (size_t)state_below(w, 10);
    return (tm_slice){text + from, (size_t)state_below(w, 20)};
}

static inline tm_fixed state_fixed(state_world *w)
{
    switch (state_below(w, 4)) {
    case 0:
        return TM_FIXED_NONE;
    case 1:
        return state_below(w, 2) ? INT64_C(9000000000000000) : -INT64_C(9000000000000000);
    case 2:
        return (state_below(w, 200) - 100) * TM_FIXED_ONE;
    default:
        return state_below(w, 100000000) - 50000000;
    }
}

static inline tm_contract_date state_date(state_world *w)
{
    switch (state_below(w, 4)) {
    case 0:
        return (tm_contract_date){.text = {NULL, 0}};
    case 1:
        return (tm_contract_date){.text = TM_SLICE_LITERAL("2024-02-29"), .day = 19782};
    case 2:
        return (tm_contract_date){.text = TM_SLICE_LITERAL("2024-2-29"), .day = 19782};
    default:
        return (tm_contract_date){
            .text = TM_SLICE_LITERAL("2024-02-29T00:00:00Z"), .is_instant = true, .instant = 19782 * TM_DAY};
    }
}

static inline void state_entries(state_world *w, tm_fact_entry *entries, uint32_t *count)
{
    *count = (uint32_t)state_below(w, 5);
    for (uint32_t i = 0; i < *count; i++)
        entries[i] = (tm_fact_entry){state_text(w), state_value(w)};
}

static inline void state_facts(state_world *w, tm_account *account, tm_heap *heap)
{
    static tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.at = state_below(w, 2) ? TM_TIME_NONE : w->now.t;
    draft.name = state_text(w);
    draft.plan = state_text(w);
    draft.tier = state_text(w);
    draft.status = state_text(w);
    draft.seats = state_fixed(w);
    draft.mrr = state_fixed(w);
    draft.term_months = state_fixed(w);
    draft.contract_start = state_date(w);
    draft.renewal_at = state_date(w);
    state_entries(w, draft.owners, &draft.owner_count);
    state_entries(w, draft.goals, &draft.goal_count);
    state_entries(w, draft.attributes, &draft.attribute_count);
    draft.product_count = (uint32_t)state_below(w, 3);
    for (uint32_t i = 0; i < draft.product_count; i++)
        draft.products[i] = (tm_product){state_text(w), state_fixed(w), state_fixed(w)};
    draft.champion_count = (uint32_t)state_below(w, 4);
    for (uint32_t i = 0; i < draft.champion_count; i++)
        draft.champions[i] = state_random(w);
    (void)tm_account_set_facts(account, heap, &draft);
}

static inline void state_episodes(state_world *w, tm_account *account, tm_heap *heap)
{
    for (int64_t i = state_below(w, 6); i > 0; i--) {
        tm_episode *episode = tm_account_episode_make(account, heap, state_random(w));
        if (!episode)
            return;
        episode->state = (uint8_t)state_below(w, 4);
        episode->kind = (uint8_t)state_below(w, TM_KINDS);
        episode->severity = (uint8_t)state_below(w, TM_SEVERITIES);
        episode->published_severity = (uint8_t)state_below(w, TM_SEVERITIES);
        episode->severity_known = state_below(w, 2);
        episode->since = state_below(w, 2) ? TM_TIME_NONE : w->now.t;
        episode->raised_at = w->now.t - state_below(w, TM_DAY);
        episode->cleared_at = state_below(w, 2) ? TM_TIME_NONE : state_below(w, 2) ? TM_TIME_NEVER : 0;
        episode->sequence = (uint32_t)state_random(w);
        episode->published_type = (uint8_t)state_below(w, 3);
        if (episode->published_type)
            episode->published_value = state_below(w, 2) ? 0.5 : 1.0 / 3;
        episode->marks = (uint8_t)state_below(w, TM_EPISODE_MARKS + 1);
        tm_episode_notes *notes = state_below(w, 3) ? NULL : tm_episode_notes_make(episode, heap);
        if (notes && state_below(w, 2))
            notes->snoozed_until = w->now.t + state_below(w, TM_DAY);
        if (notes && state_below(w, 2))
            (void)tm_episode_set_acknowledged(episode, heap, w->now.t,
                                              state_below(w, 2) ? state_text(w) : (tm_slice){NULL, 0});
        for (int64_t k = notes ? state_below(w, TM_FLAPPING_MAX) : 0; k > 0; k--)
            notes->raises[notes->raise_count++] = w->now.t - k * state_below(w, TM_DAY);
        if (state_below(w, 2))
            (void)tm_episode_set_name(episode, heap, TM_SLICE_LITERAL("usage_drop"));
    }
}

/* Some samples for some metrics, facts or none, episodes or none. NULL without memory. */
static inline tm_account *state_account(state_world *w, tm_heap *heap)
{
    tm_account *account = tm_account_new(heap, &w->pack, TM_SLICE_LITERAL("acme"));
    for (int64_t i = account ? state_below(w, 400) : 0; i > 0; i--) {
        tm_moment_at(&w->now, tm_zone_utc(), w->now.t + state_below(w, 5 * TM_HOUR), &w->span);
        tm_sample sample = {.at = w->now.t + 5 * TM_MINUTE - state_below(w, state_below(w, 5) ? TM_HOUR : 60 * TM_DAY),
                            .value = state_fixed(w),
                            .member = state_random(w) % 90};
        sample.hour = tm_hour_of(sample.at);
        sample.day = tm_zone_day(tm_zone_utc(), sample.at);
        tm_counted counted;
        int64_t metric = state_below(w, STATE_METRICS);
        if (metric == 4) /* one that stays as it was */
            continue;
        (void)tm_series_apply(&account->series[metric], heap, &w->metrics[metric], &w->now, &sample, &counted, NULL);
    }
    if (account && state_below(w, 2))
        state_facts(w, account, heap);
    if (account)
        state_episodes(w, account, heap);
    for (int64_t i = account && state_below(w, 2) ? state_below(w, 20) : 0; i > 0; i--)
        (void)tm_stage_path_add(&account->stages, heap, state_random(w) & 0xffffffffff, w->now.t - i * TM_HOUR);
    for (uint64_t i = account && state_below(w, 2) ? (uint64_t)state_below(w, 4) : 0; i > 0; i--) {
        tm_track *track = tm_tracks_make(&account->tracks, heap, i << 32 | i);
        if (!track)
            break;
        bool changed;
        track->reach = state_below(w, 3) ? 400 : 0;
        track->band = (uint8_t)state_below(w, TM_BANDS);
        int32_t day = w->now.day - (int32_t)state_below(w, 900);
        if (state_below(w, 2)) {
            track->told = (int16_t)(state_below(w, 1002) - 1);
            track->told_day = w->now.day - (int32_t)state_below(w, 100);
        }
        for (int64_t k = 0; k < (track->reach ? 300 : 1); k++) {
            day += (int32_t)(state_below(w, 3) ? 1 : state_below(w, 20));
            /* Few of them, so that one comes back, at times within the day. */
            tm_tenure tenure = {
                .stage = (uint64_t)state_below(w, 2), .version = (uint32_t)state_below(w, 3), .day = day};
            tenure.card = tenure.version ? (uint64_t)state_below(w, 2) + 1 : 0;
            if ((k == 0 || state_below(w, 20) == 0) && tm_track_tenure(track, heap, &tenure, &changed) != TM_OK)
                break;
            tenure.version++;
            tm_tenure back = track->tenure_count ? track->tenures[track->tenure_count - 1] : tenure;
            back.day = tenure.day;
            if (state_below(w, 20) == 0 && (tm_track_tenure(track, heap, &tenure, &changed) != TM_OK ||
                                            tm_track_tenure(track, heap, &back, &changed) != TM_OK))
                break;
            int16_t tenths = (int16_t)(state_below(w, 9) ? 500 + state_below(w, 90) : state_below(w, 1002) - 1);
            if (track->reach && tm_track_put(track, heap, day, tenths, &changed) != TM_OK)
                break;
        }
    }
    if (account && state_below(w, 2)) {
        account->input = TM_INPUT_ACCOUNTS;
        account->input_offset = state_below(w, INT64_C(1) << 40);
    }
    return account;
}

#endif
