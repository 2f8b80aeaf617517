/* What an account keeps of its scores, as bytes and back. Part of the room `state`. */
#include "stateroom.h"

/* A day and what lies before it, with room for days that were not trimmed yet. */
enum { SCORE_RUNS_MAX = 2 * TM_REACH_DAYS_MAX, FORM_BANDS = 2, FORM_TOLD = 4 };

static void put_runs(tm_buffer *out, const tm_track *track)
{
    int32_t tenths = 0;
    tm_buffer_put_varint(out, track->run_count);
    if (track->run_count)
        tm_buffer_put_signed(out, track->origin + track->runs[0].after);
    for (uint32_t i = 0; i < track->run_count; i++) {
        const tm_score_run *run = &track->runs[i];
        int32_t step = run->tenths - tenths, days = i ? run->after - track->runs[i - 1].after : 1;
        uint32_t zigzag = (uint32_t)step << 1 ^ (step < 0 ? UINT32_MAX : 0);
        tm_buffer_put_varint(out, (uint64_t)zigzag << 1 | (days > 1));
        if (days > 1)
            tm_buffer_put_varint(out, (uint64_t)(days - 2));
        tenths = run->tenths;
    }
}

void tm_stateroom_put_scores(tm_buffer *out, const tm_tracks *tracks)
{
    tm_buffer_put_varint(out, tracks->count);
    for (uint32_t i = 0; i < tracks->count; i++) {
        const tm_track *track = &tracks->list[i];
        int32_t day = 0;
        tm_stateroom_put_identity(out, track->score);
        tm_buffer_put_u8(out, track->band);
        tm_buffer_put_varint(out, track->reach);
        tm_buffer_put_varint(out, track->tenure_count);
        for (uint32_t k = 0; k < track->tenure_count; k++) {
            const tm_tenure *tenure = &track->tenures[k];
            tm_buffer_put_signed(out, tenure->day - day);
            day = tenure->day;
            tm_stateroom_put_identity(out, tenure->stage);
            tm_buffer_put_varint(out, tenure->version);
            if (tenure->version)
                tm_stateroom_put_identity(out, tenure->card);
        }
        put_runs(out, track);
        tm_buffer_put_varint(out, (uint64_t)(track->told - TM_SCORE_UNTOLD));
        if (track->told != TM_SCORE_UNTOLD)
            tm_buffer_put_signed(out, track->told_day - day);
    }
}

static tm_status get_tenures(tm_track *track, tm_heap *heap, tm_reader *in)
{
    uint32_t count = tm_stateroom_get_count(in, TM_TENURES_MAX);
    int64_t day = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t step = tm_reader_signed(in);
        tm_tenure tenure = {.stage = tm_stateroom_get_identity(in)};
        uint64_t version = tm_reader_varint(in);
        tenure.card = version ? tm_stateroom_get_identity(in) : 0;
        if (in->failed || step < DAY_MIN || step > DAY_MAX || (i > 0 && step <= 0) || version > UINT32_MAX)
            return TM_REJECT;
        day += step;
        tenure.version = (uint32_t)version;
        tenure.day = (int32_t)day;
        bool kept = false;
        if (day > DAY_MAX)
            return TM_REJECT;
        if (tm_track_tenure(track, heap, &tenure, &kept) != TM_OK)
            return TM_FATAL;
        if (!kept || track->tenure_count != i + 1)
            return TM_REJECT;
    }
    return in->failed ? TM_REJECT : TM_OK;
}

static tm_status get_runs(tm_track *track, tm_heap *heap, tm_reader *in)
{
    uint32_t count = tm_stateroom_get_count(in, track->reach ? SCORE_RUNS_MAX : 0);
    int64_t first = count ? tm_reader_signed(in) : 0, day = first, tenths = 0;
    if (in->failed || first < DAY_MIN || first > DAY_MAX)
        return TM_REJECT;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t code = tm_reader_varint(in), zigzag = code >> 1;
        uint64_t days = code & 1 ? tm_reader_varint(in) + 2 : 1;
        if (in->failed || zigzag > 4000 || days < 1 || days > UINT16_MAX || (i == 0 && days != 1))
            return TM_REJECT;
        tenths += (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
        day += i ? (int64_t)days : 0;
        if (tenths < TM_SCORE_NULL || tenths > 1000 || day - first > UINT16_MAX)
            return TM_REJECT;
        bool kept = false;
        uint16_t reach = track->reach;
        track->reach = UINT16_MAX; /* nothing is forgotten in between */
        tm_status status = tm_track_put(track, heap, (int32_t)day, (int16_t)tenths, &kept);
        track->reach = reach;
        if (status != TM_OK)
            return status;
        if (!kept)
            return TM_REJECT;
    }
    return TM_OK;
}

/* After the tenures, of which it has the last one's day. */
static tm_status get_told(tm_track *track, tm_reader *in)
{
    uint64_t told = tm_reader_varint(in);
    if (in->failed || told > (uint64_t)(1000 - TM_SCORE_UNTOLD))
        return TM_REJECT;
    if (told == 0)
        return TM_OK;
    int64_t after = tm_reader_signed(in), day = track->tenure_count ? track->tenures[track->tenure_count - 1].day : 0;
    if (in->failed || after < DAY_MIN - DAY_MAX || after > DAY_MAX - DAY_MIN || day + after < DAY_MIN ||
        day + after > DAY_MAX)
        return TM_REJECT;
    track->told = (int16_t)((int64_t)told + TM_SCORE_UNTOLD);
    track->told_day = (int32_t)(day + after);
    return TM_OK;
}

tm_status tm_stateroom_get_scores(tm_tracks *tracks, tm_heap *heap, unsigned form, tm_reader *in)
{
    uint32_t count = tm_stateroom_get_count(in, TM_CARDS_MAX);
    if (in->failed || count == 0)
        return TM_REJECT;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t score = tm_stateroom_get_identity(in);
        if (form == FORM_BANDS) {
            (void)tm_reader_u8(in);
            if (tm_reader_varint(in))
                (void)tm_stateroom_get_identity(in);
            if (in->failed)
                return TM_REJECT;
            continue;
        }
        if (in->failed || tm_tracks_find(tracks, score))
            return TM_REJECT;
        tm_track *track = tm_tracks_make(tracks, heap, score);
        if (!track)
            return TM_FATAL;
        track->band = tm_reader_u8(in);
        track->reach = (uint16_t)tm_stateroom_get_count(in, TM_REACH_DAYS_MAX);
        if (in->failed || track->band >= TM_BANDS)
            return TM_REJECT;
        tm_status status = get_tenures(track, heap, in);
        if (status == TM_OK)
            status = get_runs(track, heap, in);
        if (status == TM_OK && form >= FORM_TOLD)
            status = get_told(track, in);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}
