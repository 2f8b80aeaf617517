/* Why an input record could not be used: a closed list, the same words in dead letters, schemas and documentation. */
#ifndef TIDEMARK_CODEC_DEADREASON_H
#define TIDEMARK_CODEC_DEADREASON_H

#include <stdbool.h>

#include "tidemark/base/bytes.h"

/* The first nine are judged over the whole text, in this order where several hold, before any field is looked at. */
typedef enum tm_dead_reason {
    TM_DEAD_NONE = 0, /* usable */
    TM_DEAD_NO_VALUE,
    TM_DEAD_UNSUPPORTED_ENCODING,
    TM_DEAD_TOO_LARGE, /* the record; later also a list or object with too many members */
    TM_DEAD_INVALID_UTF8,
    TM_DEAD_TOO_DEEP,
    TM_DEAD_INVALID_JSON,
    TM_DEAD_TRAILING_BYTES,
    TM_DEAD_NUMBER_OUT_OF_RANGE,
    TM_DEAD_DUPLICATE_KEY,
    TM_DEAD_MISSING_FIELD,
    TM_DEAD_WRONG_TYPE,
    TM_DEAD_STRING_TOO_LONG,
    TM_DEAD_STRING_EMPTY,
    TM_DEAD_INVALID_TIME,
    TM_DEAD_NO_KEY,
    TM_DEAD_KEY_MISMATCH,
    TM_DEAD_ACCOUNT_MISMATCH,
    TM_DEAD_FUTURE,         /* judged by the shard, which knows stream time */
    TM_DEAD_INTERNAL_CHECK, /* usable, but applying it trips a check inside: a mistake of the program's */
    TM_DEAD_REASONS
} tm_dead_reason;

/* Bytes of a detail text with its terminator. */
enum { TM_DEAD_DETAIL = 256 };

/* "invalid_json" …; "none" for TM_DEAD_NONE and for what is no reason. Static storage. */
const char *tm_dead_reason_name(tm_dead_reason reason);
/* The reason of that name; false when there is none ("none" is none). */
bool tm_dead_reason_find(tm_slice name, tm_dead_reason *ret_reason);

#endif
