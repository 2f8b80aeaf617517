/* Which lifecycle stage an account is in, since when, and where it was before. */
#ifndef TIDEMARK_CORE_STAGES_H
#define TIDEMARK_CORE_STAGES_H

#include "tidemark/core/pack.h"

/* A stage as state knows it: the hash of its name, so that a stage taken out of the pack is nobody's. */
typedef struct tm_stage_change {
    uint64_t stage; /* tm_stage.identity; 0: none any more */
    tm_time at;     /* the instant it was entered */
} tm_stage_change;

/* The last TM_STAGE_CHANGES_MAX changes, oldest first; the last of them is the present stage. Zero-initialised: the
   account has not entered any. */
typedef struct tm_stage_path {
    tm_stage_change *changes;
    uint32_t count, capacity;
} tm_stage_path;

/* The present stage's entry, or NULL when no stage was ever entered. */
static inline const tm_stage_change *tm_stage_present(const tm_stage_path *path)
{
    return path->count > 0 ? &path->changes[path->count - 1] : NULL;
}
/* The one before it, or NULL. */
static inline const tm_stage_change *tm_stage_previous(const tm_stage_path *path)
{
    return path->count > 1 ? &path->changes[path->count - 2] : NULL;
}

/* The name of a stage as the pack has it; absent for none, and for one that the pack does not have. */
tm_slice tm_stage_name(const tm_pack *pack, const tm_stage_change *change);

/* Appends a change; the oldest goes when there are too many. TM_OK, or TM_FATAL without memory (nothing changed). */
tm_status tm_stage_path_add(tm_stage_path *path, tm_heap *heap, uint64_t stage, tm_time at);
void tm_stage_path_free(tm_stage_path *path, tm_heap *heap);
size_t tm_stage_path_memory(const tm_stage_path *path); /* bytes of heap it holds */

/* Looks at the stages at `now` (docs/semantics.md, Stages): the evaluator has begun for the account and this instant.
   *ret_due is the end of the present stage's minimum stay while it lasts, else TM_TIME_NEVER; what the conditions ask
   for is in the evaluator's horizon. *ret_changed: the account is in another stage than before. TM_OK or TM_FATAL. */
tm_status tm_stage_step(tm_stage_path *path, tm_heap *heap, const tm_pack *pack, tm_time now, tm_evaluator *evaluator,
                        tm_time *ret_due, bool *ret_changed);

#endif
