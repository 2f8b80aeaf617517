#include "tidemark/core/scores.h"

#include <math.h>
#include <string.h>

#include "tidemark/base/check.h"

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
    track->told = TM_SCORE_UNTOLD;
    return track;
}

static void forget_days(tm_track *track, tm_heap *heap)
{
    tm_heap_give(heap, track->runs, track->run_capacity * sizeof *track->runs);
    track->runs = NULL;
    track->run_count = track->run_capacity = 0;
}

static void forget(tm_track *track, tm_heap *heap)
{
    forget_days(track, heap);
    tm_heap_give(heap, track->tenures, track->tenure_capacity * sizeof *track->tenures);
}

void tm_tracks_free(tm_tracks *tracks, tm_heap *heap)
{
    for (uint32_t i = 0; i < tracks->count; i++)
        forget(&tracks->list[i], heap);
    (void)resize(tracks, heap, 0);
}

size_t tm_tracks_memory(const tm_tracks *tracks)
{
    size_t size = tracks->count * sizeof *tracks->list;
    for (uint32_t i = 0; i < tracks->count; i++)
        size +=
            tracks->list[i].run_capacity * sizeof(tm_score_run) + tracks->list[i].tenure_capacity * sizeof(tm_tenure);
    return size;
}

/* --- tenures --- */

static bool same_tenure(const tm_tenure *a, const tm_tenure *b)
{
    return a->card == b->card && a->stage == b->stage && a->version == b->version;
}

static void drop_tenures(tm_track *track, uint32_t count)
{
    if (count == 0 || !track->tenures)
        return;
    track->tenure_count = (uint8_t)(track->tenure_count - count);
    memmove(track->tenures, track->tenures + count, track->tenure_count * sizeof *track->tenures);
}

tm_status tm_track_tenure(tm_track *track, tm_heap *heap, const tm_tenure *tenure, bool *ret_changed)
{
    const tm_tenure *last = track->tenure_count ? &track->tenures[track->tenure_count - 1] : NULL;
    if (last && same_tenure(last, tenure))
        return TM_OK;
    *ret_changed = true;
    tm_tenure next = *tenure;
    next.day = last && last->day > next.day ? last->day : next.day;
    /* What gave the score in the course of a day is nothing to remember of it: its last instant counts. Nor is anything
       of the past where no days are kept. */
    if (last && (track->reach == 0 || last->day == next.day)) {
        track->tenure_count--;
        if (track->tenure_count && same_tenure(&track->tenures[track->tenure_count - 1], tenure)) {
            track->tenures[track->tenure_count - 1].day = next.day; /* back to what was, and comparable from now on */
            return TM_OK;
        }
    }
    if (track->tenure_count == TM_TENURES_MAX)
        drop_tenures(track, 1);
    if (!track->tenures || track->tenure_count == track->tenure_capacity) {
        uint32_t capacity = track->tenure_capacity * 2U + 1U;
        tm_tenure *tenures =
            tm_heap_resize(heap, track->tenures, track->tenure_capacity * sizeof *tenures, capacity * sizeof *tenures);
        if (!tenures)
            return TM_FATAL;
        track->tenures = tenures;
        track->tenure_capacity = (uint8_t)capacity;
    }
    track->tenures[track->tenure_count++] = next;
    return TM_OK;
}

/* --- days --- */

static int32_t day_of(const tm_track *track, int32_t run)
{
    return track->origin + track->runs[run].after;
}

int32_t tm_track_at(const tm_track *track, int32_t day)
{
    int32_t low = 0, high = track->run_count;
    while (low < high) {
        int32_t half = (low + high) / 2;
        if (day_of(track, half) <= day)
            low = half + 1;
        else
            high = half;
    }
    return low - 1;
}

int32_t tm_track_since(const tm_track *track)
{
    if (!track->run_count || !track->tenure_count)
        return INT32_MAX;
    int32_t tenure = track->tenures[track->tenure_count - 1].day;
    return tenure > day_of(track, 0) ? tenure : day_of(track, 0);
}

/* Forgets what lies before day − reach. What this leaves depends on the greatest such day alone, not on how often it
   was asked for. */
static void trim(tm_track *track, int32_t day)
{
    int32_t oldest = day - track->reach;
    int32_t first = tm_track_at(track, oldest);
    if (first < 0 || !track->runs || (first == 0 && day_of(track, 0) == oldest))
        return;
    track->run_count = (uint16_t)(track->run_count - first);
    memmove(track->runs, track->runs + first, track->run_count * sizeof *track->runs);
    int32_t moved = oldest - track->origin;
    track->origin = oldest;
    track->runs[0].after = 0;
    for (uint32_t i = 1; i < track->run_count; i++)
        track->runs[i].after = (uint16_t)(track->runs[i].after - moved);
    uint32_t gone = 0;
    while (track->tenures && gone + 1U < track->tenure_count && track->tenures[gone + 1].day <= oldest)
        gone++;
    drop_tenures(track, gone);
}

static tm_status make_room(tm_track *track, tm_heap *heap)
{
    if (track->run_count < track->run_capacity)
        return TM_OK;
    uint32_t capacity = track->run_capacity + track->run_capacity / 8U + 2U;
    tm_score_run *runs = tm_heap_resize(heap, track->runs, track->run_capacity * sizeof *runs, capacity * sizeof *runs);
    if (!runs)
        return TM_FATAL;
    track->runs = runs;
    track->run_capacity = (uint16_t)capacity;
    return TM_OK;
}

tm_status tm_track_put(tm_track *track, tm_heap *heap, int32_t day, int16_t tenths, bool *ret_changed)
{
    TM_CHECK(heap, track->run_count <= track->run_capacity, "score_runs");
    tm_score_run *last = track->run_count ? &track->runs[track->run_count - 1] : NULL;
    if (last && last->tenths == tenths)
        return TM_OK;
    *ret_changed = true;
    int32_t latest = last ? day_of(track, track->run_count - 1) : day;
    day = latest > day ? latest : day;
    if (last && latest == day) {
        last->tenths = tenths;
        if (track->run_count > 1 && last[-1].tenths == tenths)
            track->run_count--;
        return TM_OK;
    }
    if (last)
        trim(track, day);
    else
        track->origin = day;
    tm_status status = make_room(track, heap);
    if (status != TM_OK)
        return status;
    track->runs[track->run_count++] = (tm_score_run){(uint16_t)(day - track->origin), tenths};
    return TM_OK;
}

static tm_value tenths_value(int16_t tenths)
{
    return tenths == TM_SCORE_NULL ? tm_value_null() : tm_value_number((double)tenths / 10);
}

/* Least, greatest or mean of the days from `first` to `today`; `run` holds on the first. */
static tm_value over_days(const tm_track *track, tm_op op, int32_t run, int32_t first, int32_t today)
{
    int16_t least = INT16_MAX, greatest = TM_SCORE_NULL;
    int64_t sum = 0, count = 0;
    for (; run < track->run_count; run++) {
        int32_t begins = day_of(track, run);
        int32_t ends = run + 1 < track->run_count ? day_of(track, run + 1) : today + 1;
        int32_t days = (ends > today ? today + 1 : ends) - (begins < first ? first : begins);
        int16_t tenths = track->runs[run].tenths;
        if (tenths == TM_SCORE_NULL || days <= 0)
            continue;
        least = tenths < least ? tenths : least;
        greatest = tenths > greatest ? tenths : greatest;
        sum += (int64_t)tenths * days;
        count += days;
    }
    if (count == 0)
        return tm_value_null();
    if (op == TM_OP_SCORE_MEAN)
        return tm_value_number((double)sum / (10 * (double)count));
    return tenths_value(op == TM_OP_SCORE_LEAST ? least : greatest);
}

tm_value tm_track_value(const tm_track *track, const tm_node *node, int32_t today, bool *ret_moves)
{
    bool ago = node->op == TM_OP_SCORE_AGO;
    int32_t since = tm_track_since(track);
    int32_t first = ago ? today - node->window.length : today - node->window.length + 1;
    *ret_moves = since != INT32_MAX && first < since;
    if (first < since)
        return tm_value_null();
    int32_t run = tm_track_at(track, first);
    *ret_moves = run + 1 < track->run_count;
    return ago ? tenths_value(track->runs[run].tenths) : over_days(track, (tm_op)node->op, run, first, today);
}

/* Another pack may keep more days, or fewer: of those that were to be forgotten under the former nothing is left. */
static void fit(tm_track *track, tm_heap *heap, const tm_score *score, int32_t day)
{
    if (track->reach == score->reach_days)
        return;
    if (track->run_count)
        trim(track, day);
    track->reach = (uint16_t)score->reach_days;
    if (!track->reach)
        forget_days(track, heap);
    if (!track->reach && track->tenure_count > 1)
        drop_tenures(track, track->tenure_count - 1U);
}

/* --- bands --- */

tm_band tm_band_next(const tm_card *card, tm_band former, int32_t tenths)
{
    int32_t low = former == TM_BAND_GREEN ? card->green : former == TM_BAND_YELLOW ? card->yellow : INT16_MIN;
    int32_t high = former == TM_BAND_RED ? card->yellow : former == TM_BAND_YELLOW ? card->green : INT16_MAX;
    if (former != TM_BAND_NONE && tenths >= low - card->margin && tenths < high + card->margin)
        return former;
    return tenths >= card->green ? TM_BAND_GREEN : tenths >= card->yellow ? TM_BAND_YELLOW : TM_BAND_RED;
}

/* --- all of it --- */

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
        if (score_of(pack, tracks->list[i].score)) {
            tm_track track = tracks->list[i];
            tracks->list[i] = tracks->list[kept];
            tracks->list[kept++] = track;
        }
    }
    if (kept == tracks->count)
        return TM_OK;
    *changed = true;
    for (uint32_t i = kept; i < tracks->count; i++) {
        forget(&tracks->list[i], heap);
        memset(&tracks->list[i], 0, sizeof *tracks->list);
    }
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

/* Who gives the score at this instant: before any score is found, since a card may look at the days of another. */
static tm_status step_tenure(tm_track *track, tm_heap *heap, const tm_score *score, uint64_t stage, int32_t day,
                             tm_evaluator *evaluator, uint64_t *stirred, bool *changed)
{
    const tm_card *card = card_of(score, evaluator);
    const tm_tenure *last = track->tenure_count ? &track->tenures[track->tenure_count - 1] : NULL;
    tm_tenure next = {card ? card->identity : 0, stage, card ? card->version : 0, day};
    bool other_card = last && (last->card != next.card || last->version != next.version);
    bool other = false;
    fit(track, heap, score, day);
    tm_status status = tm_track_tenure(track, heap, &next, &other);
    if (status == TM_OK && other) {
        *stirred |= score->day_stirs;
        *changed = true;
        if (track->told != TM_SCORE_UNTOLD)
            track->told = TM_SCORE_OUTDATED;
    }
    if (other_card && track->band) {
        track->band = TM_BAND_NONE;
        *stirred |= score->stirs;
    }
    return status;
}

/* Whether the score is as far from what was told that it is told again. */
static bool has_moved(const tm_track *track, int16_t tenths)
{
    if (track->told == TM_SCORE_NULL || tenths == TM_SCORE_NULL)
        return track->told != tenths;
    return track->told - tenths >= TM_SCORE_TELL_TENTHS || tenths - track->told >= TM_SCORE_TELL_TENTHS;
}

/* Whether the score is to be told at this instant; *ret_later: not any more today, but at midnight if it stays. */
static bool tell(tm_track *track, bool has_card, bool band_moved, int16_t tenths, int32_t day, bool *ret_later)
{
    *ret_later = false;
    if (track->told == TM_SCORE_UNTOLD ? !has_card : track->told != TM_SCORE_OUTDATED && !band_moved) {
        if (track->told == TM_SCORE_UNTOLD || !has_moved(track, tenths))
            return false;
        *ret_later = track->told_day == day;
        if (*ret_later)
            return false;
    }
    track->told = tenths;
    track->told_day = day;
    return true;
}

typedef struct scored {
    bool moved; /* the day's score is another */
    bool told, told_later;
} scored;

static tm_status step_score(tm_track *track, tm_heap *heap, const tm_score *score, bool tells, int32_t day,
                            tm_evaluator *evaluator, uint64_t *stirred, scored *ret_scored, bool *changed)
{
    const tm_card *card = card_of(score, evaluator);
    tm_value value = card ? tm_evaluator_value(evaluator, card->score) : tm_value_null();
    int16_t tenths = tm_value_is_null(value) ? TM_SCORE_NULL : (int16_t)rint(value.as.number * 10);
    tm_band band = card && tenths != TM_SCORE_NULL ? tm_band_next(card, (tm_band)track->band, tenths) : TM_BAND_NONE;
    bool band_moved = band != track->band;
    if (band_moved) {
        track->band = (uint8_t)band;
        *stirred |= score->stirs;
        *changed = true;
    }
    ret_scored->told = tells && tell(track, card != NULL, band_moved, tenths, day, &ret_scored->told_later);
    *changed = *changed || ret_scored->told;
    if (!track->reach)
        return TM_OK;
    tm_status status = tm_track_put(track, heap, day, tenths, &ret_scored->moved);
    if (ret_scored->moved) {
        *stirred |= score->day_stirs;
        *changed = true;
    }
    return status;
}

tm_status tm_tracks_step(tm_tracks *tracks, tm_heap *heap, const tm_pack *pack, uint64_t stage, const tm_moment *now,
                         tm_evaluator *evaluator, uint64_t *stirred, tm_time *ret_due, bool *ret_told,
                         bool *ret_changed)
{
    *ret_changed = *ret_told = false;
    *ret_due = TM_TIME_NEVER;
    if (tracks->count && drop_others(tracks, heap, pack, ret_changed) != TM_OK)
        return TM_FATAL;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < pack->score_count; i++) {
            const tm_score *score = &pack->scores[i];
            tm_track *track = score->tracked ? tm_tracks_make(tracks, heap, score->identity) : NULL;
            scored found = {0};
            bool tells = score == pack->health;
            if (!score->tracked)
                continue;
            if (!track)
                return TM_FATAL;
            tm_status status =
                pass == 0 ? step_tenure(track, heap, score, stage, now->day, evaluator, stirred, ret_changed)
                          : step_score(track, heap, score, tells, now->day, evaluator, stirred, &found, ret_changed);
            if (status != TM_OK)
                return status;
            *ret_told = *ret_told || found.told;
            if ((found.moved && score->days_read) || found.told_later)
                *ret_due = now->next_midnight;
        }
    }
    return TM_OK;
}

/* --- health --- */

static tm_value change_since(const tm_track *track, int32_t today, int32_t days, tm_value score)
{
    tm_node node = {.op = TM_OP_SCORE_AGO, .window = {.length = days}};
    bool moves;
    tm_value before = tm_track_value(track, &node, today, &moves);
    if (tm_value_is_null(score) || tm_value_is_null(before))
        return tm_value_null();
    return tm_value_number((rint(score.as.number * 10) - rint(before.as.number * 10)) / 10);
}

/* Weight × the points that are missing; without points below everything. */
static double cost_of(const tm_health_factor *factor)
{
    return tm_value_is_null(factor->points) ? -1 : factor->factor->weight * (100 - factor->points.as.number);
}

static void find_factors(tm_health *health, tm_evaluator *evaluator)
{
    double present = 0;
    for (uint32_t i = 0; i < health->card->factor_count; i++) {
        const tm_factor *factor = &health->card->factors[i];
        tm_value points = tm_evaluator_value(evaluator, factor->points);
        tm_health_factor found = {factor, tm_evaluator_value(evaluator, factor->value), points, 0, 0};
        uint32_t at = health->factor_count++;
        for (; at > 0 && cost_of(&health->factors[at - 1]) < cost_of(&found); at--)
            health->factors[at] = health->factors[at - 1];
        health->factors[at] = found;
        present += tm_value_is_null(points) ? 0 : factor->weight;
    }
    for (uint32_t i = 0; i < health->factor_count; i++) {
        tm_health_factor *found = &health->factors[i];
        if (tm_value_is_null(found->points))
            continue;
        double share = 100 * found->factor->weight / present;
        found->weight = rint(share * 10) / 10;
        found->contribution = rint(share * found->points.as.number / 10) / 10;
    }
}

void tm_health_find(tm_health *ret_health, const tm_tracks *tracks, const tm_pack *pack, const tm_moment *now,
                    tm_evaluator *evaluator)
{
    *ret_health = (tm_health){0};
    const tm_track *track = pack->health ? tm_tracks_find(tracks, pack->health->identity) : NULL;
    const tm_card *card = track ? card_of(pack->health, evaluator) : NULL;
    if (!card)
        return;
    ret_health->card = card;
    ret_health->score = tm_evaluator_value(evaluator, card->score);
    ret_health->coverage = tm_evaluator_value(evaluator, card->coverage).as.number;
    ret_health->band = (tm_band)track->band;
    ret_health->change_week = change_since(track, now->day, TM_HEALTH_WEEK, ret_health->score);
    ret_health->change_month = change_since(track, now->day, TM_HEALTH_MONTH, ret_health->score);
    find_factors(ret_health, evaluator);
}
