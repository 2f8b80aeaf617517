/* One observed fact about an account, as the readers hand it over and metrics take it. */
#ifndef TIDEMARK_CORE_EVENT_H
#define TIDEMARK_CORE_EVENT_H

#include "tidemark/base/calendar.h"
#include "tidemark/base/fixed.h"
#include "tidemark/base/limits.h"
#include "tidemark/core/value.h"

typedef struct tm_property {
    tm_slice name;
    tm_value value; /* number (already rounded to millionths), string or boolean; never null */
} tm_property;

/* All slices point into the record's bytes or the reader's scratch: valid until the next record is read. */
typedef struct tm_event {
    tm_slice id;      /* 1..128 bytes */
    tm_slice account; /* 1..128 bytes */
    tm_slice name;    /* the field `event`, 1..64 bytes */
    tm_slice user;    /* absent: data == NULL */
    tm_slice source;  /* absent counts as '' */
    tm_time at;
    tm_fixed value;    /* TM_FIXED_NONE when absent or null */
    uint64_t user_key; /* keyed hash of `user`, 0 when absent; the only form of it that is ever stored */
    uint32_t property_count;
    tm_property properties[TM_PROPERTIES_MAX]; /* in the record's order, names distinct */
} tm_event;

/* The property of that name, or null. */
tm_value tm_event_property(const tm_event *event, tm_slice name);

#endif
