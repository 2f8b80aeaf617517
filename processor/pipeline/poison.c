#include "tidemark/pipeline/poison.h"

#include <stdlib.h>

#define REPORT_IT "this is a mistake of tidemark's: please report it with this line"

tm_status tm_poison_tripped(tm_holding *holding, const char *doing, tm_error *error)
{
    static const tm_check unknown = {"unnamed", "", 0};
    const tm_check *check = tm_heap_tripped(tm_shard_heap(holding->shard));
    holding->broken = check ? check : &unknown;
    holding->blamed = false;
    tm_fail(error, TM_BROKEN, "the internal check %s (%s:%d) tripped while %s", holding->broken->name,
            holding->broken->file, holding->broken->line, doing);
    tm_error_where(error, "shard %d", (int)holding->partition);
    tm_error_hint(error, REPORT_IT);
    return TM_BROKEN;
}

tm_status tm_poison_blame(tm_holding *holding, const tm_source_record *record, bool own, tm_error *error)
{
    (void)tm_poison_tripped(holding, own ? "the record was applied" : "accounts were judged before the record", error);
    tm_slice topic = holding->settings->topics[record->input];
    tm_error_where(error, "%.*s:%d:%lld", (int)topic.length, topic.data, (int)record->partition,
                   (long long)record->offset);
    holding->blamed = own;
    if (!own)
        return TM_BROKEN;
    bool again = holding->suspect.state == TM_SUSPECT_TRIPPED && holding->suspect.input == record->input &&
                 holding->suspect.offset == record->offset && holding->records == 0;
    holding->suspect = (tm_suspect){.state = again ? TM_SUSPECT_POISON : TM_SUSPECT_TRIPPED,
                                    .input = record->input,
                                    .offset = record->offset,
                                    .check = holding->broken};
    return TM_BROKEN;
}

bool tm_poison_decide(tm_holding *holding)
{
    if (!holding->blamed || !holding->publishing)
        return false; /* of the past only the journal says what was passed over */
    if (holding->suspect.state == TM_SUSPECT_POISON)
        return ++holding->poisoned <= TM_POISON_MAX;
    return ++holding->trips <= TM_TRIPS_MAX;
}

bool tm_poison_apart(tm_holding *holding)
{
    tm_input input;
    int64_t offset;
    if (holding->apart)
        return true;
    holding->apart = holding->publishing && holding->records > 0 &&
                     tm_intake_next(&holding->intake, holding->shard, &input, &offset) &&
                     input == holding->suspect.input && offset == holding->suspect.offset;
    return holding->apart;
}

bool tm_poison_passes(const tm_holding *holding, const tm_source_record *record, tm_slice *ret_check)
{
    const tm_suspect *suspect = &holding->suspect;
    if (suspect->state == TM_SUSPECT_POISON && suspect->input == record->input && suspect->offset == record->offset) {
        *ret_check = tm_slice_of(suspect->check->name);
        return true;
    }
    for (uint32_t i = 0; i < holding->told_count; i++) {
        if (holding->told[i].input == record->input && holding->told[i].offset == record->offset) {
            *ret_check = holding->told[i].check;
            return true;
        }
    }
    return false;
}

void tm_poison_applied(tm_holding *holding, const tm_source_record *record)
{
    if (holding->suspect.input != record->input || holding->suspect.offset != record->offset)
        return;
    if (holding->suspect.state == TM_SUSPECT_TRIPPED)
        holding->suspect.state = TM_SUSPECT_ACQUITTED;
    /* Kept at once: the next one that trips must not make this one a suspect again. */
    holding->apart = holding->publishing;
}

tm_status tm_poison_note(tm_holding *holding, const tm_source_record *record, tm_slice check)
{
    if (holding->skip_count == holding->skip_capacity) {
        uint32_t capacity = holding->skip_capacity ? holding->skip_capacity * 2 : 4;
        tm_journal_skip *skips = realloc(holding->skips, sizeof *skips * capacity);
        if (!skips)
            return TM_FATAL;
        holding->skips = skips;
        holding->skip_capacity = capacity;
    }
    tm_slice kept = {tm_arena_copy(holding->arena, check.data, check.length), check.length};
    if (!kept.data)
        return TM_FATAL;
    holding->skips[holding->skip_count++] = (tm_journal_skip){record->input, record->offset, kept};
    return TM_OK;
}
