#include "tidemark/pipeline/intake.h"

#include <stdlib.h>

/* Records ahead whose account is asked for: its place in the table, then itself. */
enum { FAR_AHEAD = 12, NEAR_AHEAD = 6 };
/* How much of one input may wait for the other before it is paused, and when it goes on. */
enum { AHEAD_RECORDS = 20000, RESUME_RECORDS = 5000 };
#define AHEAD_BYTES ((size_t)32 << 20)
#define RESUME_BYTES ((size_t)8 << 20)

void tm_intake_init(tm_intake *intake, const tm_source *source, int32_t partition, bool accounts_on)
{
    *intake = (tm_intake){.source = source, .partition = partition};
    for (int i = 0; i < TM_INPUTS; i++) {
        intake->lanes[i].on = i == TM_INPUT_USAGE || accounts_on;
        intake->lanes[i].end = INT64_MAX;
        intake->lanes[i].until = TM_TIME_NEVER;
    }
}

static tm_source_record *head_of(const tm_lane *lane)
{
    return lane->count ? &lane->ring[lane->head] : NULL;
}

static void drop_head(tm_lane *lane)
{
    lane->bytes -= lane->ring[lane->head].value.length;
    lane->head = (lane->head + 1) & (lane->capacity - 1);
    lane->count--;
}

void tm_intake_done(tm_intake *intake)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &intake->lanes[i];
        while (lane->count) {
            intake->source->release(intake->source->context, head_of(lane));
            drop_head(lane);
        }
        free(lane->ring);
        free(lane->hashes);
    }
    *intake = (tm_intake){.source = intake->source, .partition = intake->partition};
}

tm_status tm_intake_push(tm_intake *intake, const tm_source_record *record)
{
    tm_lane *lane = &intake->lanes[record->input];
    if (lane->count == lane->capacity) {
        uint32_t capacity = lane->capacity ? lane->capacity * 2 : 256;
        tm_source_record *ring = malloc(sizeof *ring * capacity);
        uint64_t *hashes = malloc(sizeof *hashes * capacity);
        if (!ring || !hashes) {
            free(ring);
            free(hashes);
            return TM_FATAL;
        }
        for (uint32_t i = 0; i < lane->count; i++) {
            ring[i] = lane->ring[(lane->head + i) & (lane->capacity - 1)];
            hashes[i] = lane->hashes[(lane->head + i) & (lane->capacity - 1)];
        }
        free(lane->ring);
        free(lane->hashes);
        lane->ring = ring;
        lane->hashes = hashes;
        lane->capacity = capacity;
        lane->head = 0;
    }
    uint32_t place = (lane->head + lane->count++) & (lane->capacity - 1);
    lane->ring[place] = *record;
    lane->hashes[place] = record->key.data ? tm_hash(record->key) : 0;
    lane->bytes += record->value.length;
    lane->drained = false;
    if (!lane->paused && (lane->count >= AHEAD_RECORDS || lane->bytes >= AHEAD_BYTES)) {
        tm_error error;
        lane->paused =
            intake->source->pause(intake->source->context, record->input, intake->partition, true, &error) == TM_OK;
    }
    return TM_OK;
}

void tm_intake_skip(tm_intake *intake, tm_input input, int64_t offset)
{
    tm_lane *lane = &intake->lanes[input];
    while (lane->count && head_of(lane)->offset < offset) {
        intake->source->release(intake->source->context, head_of(lane));
        drop_head(lane);
    }
    if (lane->next < offset)
        lane->next = offset;
}

void tm_intake_begin(tm_intake *intake)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        intake->lanes[i].closed = false;
        intake->lanes[i].drained = false;
    }
}

tm_status tm_intake_confirm(tm_intake *intake, tm_error *error)
{
    tm_status result = TM_OK;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &intake->lanes[i];
        if (!lane->on || lane->count > 0 || lane->finished)
            continue;
        if (lane->paused && /* going on failed when it was emptied */
            intake->source->pause(intake->source->context, (tm_input)i, intake->partition, false, error) == TM_OK)
            lane->paused = false;
        int64_t first, end, reached;
        tm_status status = intake->source->bounds(intake->source->context, (tm_input)i, intake->partition, &first, &end,
                                                  &reached, error);
        lane->drained = status == TM_OK && reached >= end;
        lane->cut = status == TM_OK && reached < 0 && lane->next < first && lane->passed < first;
        if (status == TM_OK && reached > lane->passed)
            lane->passed = reached;
        if (status == TM_OK && reached >= lane->end)
            lane->finished = true;
        if (status != TM_OK)
            result = TM_RETRY;
    }
    return result;
}

/* The lane whose head comes next in merged order, in *ret_best. */
static tm_intake_answer choose(tm_intake *intake, const tm_shard *shard, int *ret_best)
{
    int best = -1;
    bool unknown = false;
    tm_time best_time = 0;
    /* Accounts last, so that on a tie they win. */
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &intake->lanes[i];
        if (!lane->on || lane->closed || lane->finished)
            continue;
        const tm_source_record *head = head_of(lane);
        if (!head) {
            unknown |= !lane->drained;
            continue;
        }
        tm_time time = tm_shard_effective(shard, head->timestamp);
        if (head->offset >= lane->end || time > lane->until) {
            lane->finished = true;
            continue;
        }
        if (best < 0 || time <= best_time) {
            best = i;
            best_time = time;
        }
    }
    if (unknown)
        return TM_INTAKE_UNKNOWN;
    if (best < 0)
        return TM_INTAKE_EMPTY;
    *ret_best = best;
    return TM_INTAKE_RECORD;
}

bool tm_intake_next(tm_intake *intake, const tm_shard *shard, tm_input *ret_input, int64_t *ret_offset)
{
    int best;
    if (choose(intake, shard, &best) != TM_INTAKE_RECORD)
        return false;
    *ret_input = (tm_input)best;
    *ret_offset = head_of(&intake->lanes[best])->offset;
    return true;
}

tm_intake_answer tm_intake_take(tm_intake *intake, const tm_shard *shard, tm_source_record *ret_record)
{
    int best;
    tm_intake_answer answer = choose(intake, shard, &best);
    if (answer != TM_INTAKE_RECORD)
        return answer;
    tm_lane *lane = &intake->lanes[best];
    *ret_record = *head_of(lane);
    if (lane->count > FAR_AHEAD) {
        tm_shard_prefetch(shard, lane->hashes[(lane->head + FAR_AHEAD) & (lane->capacity - 1)], false);
        tm_shard_prefetch(shard, lane->hashes[(lane->head + NEAR_AHEAD) & (lane->capacity - 1)], true);
    }
    drop_head(lane);
    lane->next = ret_record->offset + 1;
    if (lane->paused && lane->count <= RESUME_RECORDS && lane->bytes <= RESUME_BYTES) {
        tm_error error;
        lane->paused =
            intake->source->pause(intake->source->context, (tm_input)best, intake->partition, false, &error) != TM_OK;
    }
    /* From here on this commit has relied on what it was told of an empty input. */
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *other = &intake->lanes[i];
        if (i != best && other->on && !other->finished && other->count == 0)
            other->closed = true;
    }
    return TM_INTAKE_RECORD;
}

tm_time tm_intake_first_time(const tm_intake *intake)
{
    tm_time least = TM_TIME_NONE;
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_lane *lane = &intake->lanes[i];
        for (uint32_t k = 0; k < lane->count && !lane->finished; k++) {
            const tm_source_record *record = &lane->ring[(lane->head + k) & (lane->capacity - 1)];
            tm_time t = record->timestamp;
            if (record->offset >= lane->end || (t != TM_TIME_NONE && t > lane->until))
                break; /* it is never taken */
            if (t == TM_TIME_NONE)
                continue;
            if (least == TM_TIME_NONE || t < least)
                least = t;
            break;
        }
    }
    return least;
}

bool tm_intake_waiting(const tm_intake *intake, const tm_shard *shard)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_lane *lane = &intake->lanes[i];
        const tm_source_record *head = head_of(lane);
        if (lane->on && !lane->finished && head && head->offset < lane->end &&
            tm_shard_effective(shard, head->timestamp) <= lane->until)
            return true;
    }
    return false;
}

bool tm_intake_drained(const tm_intake *intake)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_lane *lane = &intake->lanes[i];
        if (lane->on && !lane->finished && (lane->count > 0 || !lane->drained))
            return false;
    }
    return true;
}

bool tm_intake_cut(const tm_intake *intake)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        if (intake->lanes[i].on && !intake->lanes[i].finished && intake->lanes[i].cut)
            return true;
    }
    return false;
}

bool tm_intake_finished(const tm_intake *intake)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        if (intake->lanes[i].on && !intake->lanes[i].finished)
            return false;
    }
    return true;
}
