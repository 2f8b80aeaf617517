/* Checks of what must hold inside: cheap looks at what a call is about to touch. One that trips ends the call with
   TM_BROKEN instead of the process, and is noted in the heap that everything touched was taken from: whoever holds the
   heap asks it which check it was, drops what it holds and starts again from what was kept. */
#ifndef TIDEMARK_BASE_CHECK_H
#define TIDEMARK_BASE_CHECK_H

#include "tidemark/base/heap.h"
#include "tidemark/base/status.h"

/* Where a check stands; static storage. */
typedef struct tm_check {
    const char *name; /* a short fixed name: "ring_shape" */
    const char *file; /* without its folder */
    int line;
} tm_check;

/* Notes the first check that tripped over memory of this heap. Returns TM_BROKEN. */
tm_status tm_heap_trip(tm_heap *heap, const tm_check *check);
/* The first that tripped; NULL: none. */
const tm_check *tm_heap_tripped(const tm_heap *heap);

/* In a function that returns tm_status: goes on when `condition` holds, else returns TM_BROKEN. */
#define TM_CHECK(heap, condition, check_name)                                                                          \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0)) {                                                                       \
            static const tm_check here = {(check_name), __FILE_NAME__, __LINE__};                                      \
            return tm_heap_trip((heap), &here);                                                                        \
        }                                                                                                              \
    } while (0)

#endif
