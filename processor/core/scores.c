#include "tidemark/core/scores.h"

#include <math.h>
#include <string.h>

const tm_track *tm_tracks_find(const tm_tracks *tracks, uint64_t score)
{
    for (uint32_t i = 0; i < tracks->count; i++) {
        if (tracks->list[i].score == score)
            return &tracks->list[i];
    }
    return NULL;
}

static tm_status resize(tm_tracks *tracks, tm_heap *heap, uint32_t count)
{
    size_t size = sizeof *tracks->list;
    tm_track *list = count ? tm_heap_resize(heap, tracks->list, tracks->count * size, count * size) : NULL;
    if (count && !list)
        return TM_FATAL;
    if (!count)
        tm_heap_give(heap, tracks->list, tracks->count * size);
    tracks->list = list;
    tracks->count = count;
    return TM_OK;
}

tm_track *tm_tracks_make(tm_tracks *tracks, tm_heap *heap, uint64_t score)
{
    for (uint32_t i = 0; i < tracks->count; i++) {
        if (tracks->list[i].score == score)
            return &tracks->list[i];
    }
    if (resize(tracks, heap, tracks->count + 1) != TM_OK)
        return NULL;
    tm_track *track = &tracks->list[tracks->count - 1];
    memset(track, 0, sizeof *track);
    track->score = score;
    return track;
}

void tm_tracks_free(tm_tracks *tracks, tm_heap *heap)
{
    (void)resize(tracks, heap, 0);
}

size_t tm_tracks_memory(const tm_tracks *tracks)
{
    return tracks->count * sizeof *tracks->list;
}

tm_band tm_band_next(const tm_card *card, tm_band former, int32_t tenths)
{
    int32_t low = former == TM_BAND_GREEN ? card->green : former == TM_BAND_YELLOW ? card->yellow : INT16_MIN;
    int32_t high = former == TM_BAND_RED ? card->yellow : former == TM_BAND_YELLOW ? card->green : INT16_MAX;
    if (former != TM_BAND_NONE && tenths >= low - card->margin && tenths < high + card->margin)
        return former;
    return tenths >= card->green ? TM_BAND_GREEN : tenths >= card->yellow ? TM_BAND_YELLOW : TM_BAND_RED;
}

static const tm_score *score_of(const tm_pack *pack, uint64_t identity)
{
    for (uint32_t i = 0; i < pack->score_count; i++) {
        if (pack->scores[i].identity == identity && pack->scores[i].tracked)
            return &pack->scores[i];
    }
    return NULL;
}

/* Forgets what the pack does not track. */
static tm_status drop_others(tm_tracks *tracks, tm_heap *heap, const tm_pack *pack, bool *changed)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < tracks->count; i++) {
        if (score_of(pack, tracks->list[i].score))
            tracks->list[kept++] = tracks->list[i];
    }
    if (kept == tracks->count)
        return TM_OK;
    *changed = true;
    return resize(tracks, heap, kept);
}

static const tm_card *card_of(const tm_score *score, tm_evaluator *evaluator)
{
    for (uint32_t i = 0; i < score->card_count; i++) {
        if (tm_value_is_true(tm_evaluator_value(evaluator, score->cards[i].when)))
            return &score->cards[i];
    }
    return NULL;
}

/* One score at this instant. */
static void step(tm_track *track, const tm_score *score, tm_evaluator *evaluator, uint64_t *stirred, bool *changed)
{
    const tm_card *card = card_of(score, evaluator);
    tm_value value = card ? tm_evaluator_value(evaluator, card->score) : tm_value_null();
    uint64_t identity = card ? card->identity : 0;
    uint32_t version = card ? card->version : 0;
    bool same_card = track->card == identity && track->version == version;
    tm_band band = TM_BAND_NONE;
    if (card && !tm_value_is_null(value))
        band = tm_band_next(card, same_card ? (tm_band)track->band : TM_BAND_NONE, (int32_t)rint(value.as.number * 10));
    if (same_card && track->band == band)
        return;
    if (track->band != band)
        *stirred |= score->stirs;
    track->card = identity;
    track->version = version;
    track->band = (uint8_t)band;
    *changed = true;
}

tm_status tm_tracks_step(tm_tracks *tracks, tm_heap *heap, const tm_pack *pack, tm_evaluator *evaluator,
                         uint64_t *stirred, bool *ret_changed)
{
    *ret_changed = false;
    if (tracks->count && drop_others(tracks, heap, pack, ret_changed) != TM_OK)
        return TM_FATAL;
    for (uint32_t i = 0; i < pack->score_count; i++) {
        if (!pack->scores[i].tracked)
            continue;
        tm_track *track = tm_tracks_make(tracks, heap, pack->scores[i].identity);
        if (!track)
            return TM_FATAL;
        step(track, &pack->scores[i], evaluator, stirred, ret_changed);
    }
    return TM_OK;
}
