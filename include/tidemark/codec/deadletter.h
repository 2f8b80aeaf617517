/* A record that could not be used, as JSON (schemas/dead-letter.schema.json). */
#ifndef TIDEMARK_CODEC_DEADLETTER_H
#define TIDEMARK_CODEC_DEADLETTER_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/calendar.h"
#include "tidemark/codec/deadreason.h"

typedef struct tm_dead_letter {
    tm_dead_reason reason;
    tm_slice detail; /* a sentence */
    tm_slice topic;
    int32_t partition;
    int64_t offset;
    tm_time timestamp; /* TM_TIME_NONE: null */
    tm_slice key;      /* absent: null; not UTF-8: key_base64 */
    tm_slice value;    /* absent: null */
} tm_dead_letter;

/* Appends the JSON object, at most `maximum` bytes of it (at least TM_DEAD_LETTER_MIN, whatever is asked): the value is
   cut where it does not fit, the key where it takes more than a quarter of the room. `truncated`
   tells that something was cut. The detail is cut to TM_DEAD_DETAIL bytes. */
void tm_dead_letter_encode(const tm_dead_letter *letter, size_t maximum, tm_buffer *out);

/* Appends a letter as encoded above, at most `maximum` bytes of it where cutting its value allows that: `truncated` is
   true then. False, and nothing appended, when `letter` is none, or has no value that could be cut. */
bool tm_dead_letter_cut(tm_slice letter, size_t maximum, tm_buffer *out);

#endif
