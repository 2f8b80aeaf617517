/* Numbers for texts, from 0 in the order in which they are first met. */
#ifndef TIDEMARK_INSIGHT_NAMES_H
#define TIDEMARK_INSIGHT_NAMES_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/table.h"

#define TM_NAMES_NONE UINT32_MAX

typedef struct tm_names {
    tm_heap *heap;
    tm_table table;
    tm_slice *items; /* an absent text is one of its own */
    uint32_t count;
    size_t room;
} tm_names;

/* All memory comes from `heap` and goes with it. TM_OK or TM_FATAL. */
tm_status tm_names_init(tm_names *names, tm_heap *heap);
/* The text's number, a new one for a new text; TM_NAMES_NONE without memory. */
uint32_t tm_names_number(tm_names *names, tm_slice text);
/* The text's number, TM_NAMES_NONE when it was never met. */
uint32_t tm_names_find(const tm_names *names, tm_slice text);

#endif
