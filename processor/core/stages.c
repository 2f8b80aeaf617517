#include "tidemark/core/stages.h"

#include <string.h>

static uint32_t stage_index(const tm_pack *pack, uint64_t identity)
{
    for (uint32_t i = 0; i < pack->stage_count; i++) {
        if (pack->stages[i].identity == identity)
            return i;
    }
    return UINT32_MAX;
}

tm_slice tm_stage_name(const tm_pack *pack, const tm_stage_change *change)
{
    uint32_t index = change ? stage_index(pack, change->stage) : UINT32_MAX;
    return index == UINT32_MAX ? (tm_slice){0} : pack->stages[index].name;
}

tm_status tm_stage_path_add(tm_stage_path *path, tm_heap *heap, uint64_t stage, tm_time at)
{
    if (path->changes && path->count == TM_STAGE_CHANGES_MAX) {
        memmove(path->changes, path->changes + 1, (TM_STAGE_CHANGES_MAX - 1) * sizeof *path->changes);
        path->count--;
    }
    if (!path->changes || path->count == path->capacity) {
        uint32_t capacity = path->capacity ? path->capacity * 2 : 2;
        tm_stage_change *changes =
            tm_heap_resize(heap, path->changes, path->capacity * sizeof *changes, capacity * sizeof *changes);
        if (!changes)
            return TM_FATAL;
        path->changes = changes;
        path->capacity = capacity;
    }
    path->changes[path->count++] = (tm_stage_change){stage, at};
    return TM_OK;
}

void tm_stage_path_free(tm_stage_path *path, tm_heap *heap)
{
    tm_heap_give(heap, path->changes, path->capacity * sizeof *path->changes);
    *path = (tm_stage_path){0};
}

size_t tm_stage_path_memory(const tm_stage_path *path)
{
    return path->capacity * sizeof *path->changes;
}

tm_status tm_stage_step(tm_stage_path *path, tm_heap *heap, const tm_pack *pack, tm_time now, tm_evaluator *evaluator,
                        tm_time *ret_due, bool *ret_changed)
{
    const tm_stage_change *present = tm_stage_present(path);
    uint64_t former = present ? present->stage : 0;
    uint32_t index = former ? stage_index(pack, former) : UINT32_MAX;
    *ret_due = TM_TIME_NEVER;
    *ret_changed = false;
    if (index != UINT32_MAX && now - present->at < pack->stages[index].stay_ms) {
        *ret_due = present->at + pack->stages[index].stay_ms;
        return TM_OK;
    }
    uint32_t entered = pack->stage_count;
    while (entered-- > 0) {
        if (tm_value_is_true(tm_evaluator_value(evaluator, pack->stages[entered].enter)))
            break;
    }
    /* Of nothing entered the present stage remains, unless the pack no longer has it. */
    uint64_t next = entered != UINT32_MAX ? pack->stages[entered].identity : index != UINT32_MAX ? former : 0;
    if (next == former)
        return TM_OK;
    *ret_changed = true;
    return tm_stage_path_add(path, heap, next, now);
}
