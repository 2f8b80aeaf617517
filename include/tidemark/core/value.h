/* Typed values with null: what expressions compute and signals show. */
#ifndef TIDEMARK_CORE_VALUE_H
#define TIDEMARK_CORE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"

typedef enum tm_type {
    TM_TYPE_NULL = 0, /* as a static type: only ever null */
    TM_TYPE_NUMBER,
    TM_TYPE_DURATION, /* milliseconds, in `number` */
    TM_TYPE_STRING,
    TM_TYPE_BOOLEAN,
    TM_TYPE_ANY /* as a static type only: an attribute or property, known when it is read */
} tm_type;

/* A value of one of the first five types. Strings point at bytes of the account, the event or the pack: valid as long
   as these are unchanged. */
typedef struct tm_value {
    uint8_t type;     /* tm_type */
    bool approximate; /* a distinct count beyond the exact cap went into it */
    union {
        double number; /* number, or milliseconds of a duration */
        bool boolean;
        tm_slice string;
    } as;
} tm_value;

static inline tm_value tm_value_null(void)
{
    return (tm_value){.type = TM_TYPE_NULL};
}
static inline tm_value tm_value_number(double number)
{
    return (tm_value){.type = TM_TYPE_NUMBER, .as.number = number};
}
static inline tm_value tm_value_duration(double ms)
{
    return (tm_value){.type = TM_TYPE_DURATION, .as.number = ms};
}
static inline tm_value tm_value_boolean(bool boolean)
{
    return (tm_value){.type = TM_TYPE_BOOLEAN, .as.boolean = boolean};
}
static inline tm_value tm_value_string(tm_slice string)
{
    return (tm_value){.type = TM_TYPE_STRING, .as.string = string};
}
static inline bool tm_value_is_null(tm_value value)
{
    return value.type == TM_TYPE_NULL;
}
/* True only for the boolean true: null and false are both "not true". */
static inline bool tm_value_is_true(tm_value value)
{
    return value.type == TM_TYPE_BOOLEAN && value.as.boolean;
}

/* Same type and same content; two nulls are the same. */
bool tm_value_same(tm_value a, tm_value b);
/* "null", "number", "duration", "string", "boolean", "any"; static storage. */
const char *tm_type_name(tm_type type);

#endif
