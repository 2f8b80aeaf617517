/* What can be said about JSON text without reading it, and the one way in which jansson is asked. */
#ifndef TIDEMARK_CODEC_JSONTEXT_H
#define TIDEMARK_CODEC_JSONTEXT_H

#include <stdbool.h>

#include "tidemark/base/bytes.h"
#include "tidemark/codec/deadreason.h"

struct json_t;
struct json_error_t;

/* Facts that hold for any bytes, valid JSON or not. A string runs from one quote to the next; a backslash, wherever it
   stands, takes away the meaning of the byte after it. */
typedef struct tm_json_scan {
    bool too_deep;    /* more than TM_JSON_DEPTH_MAX brackets open at once outside strings */
    bool bad_string;  /* a string without an end, or with a bare control character in it */
    size_t first_end; /* just after the bracket that closes the first one opened; the length when there is none */
} tm_json_scan;

void tm_json_scan_text(tm_slice text, tm_json_scan *ret_scan);

/* The first byte that is no JSON blank at or after `from`; the length when there is none. */
size_t tm_json_skip_blanks(tm_slice text, size_t from);

/* Whether the first byte that is no blank opens an object. */
bool tm_json_is_object(tm_slice text);

/* What a reason of tm_json_load or of the event readers means, for people; static storage. */
const char *tm_json_reason_text(tm_dead_reason reason);

/* Whether the text is one JSON number by the grammar. */
bool tm_json_number_valid(tm_slice text);

/* json_loadb, which tells the want of memory from a wrong text: *ret_exhausted. The tree is freed by the thread that
   read it. */
struct json_t *tm_json_parse(tm_slice text, size_t flags, struct json_error_t *ret_error, bool *ret_exhausted);

/* The judgement over a whole text that begins with '{', in the order of tm_dead_reason: TM_DEAD_NONE and a tree to be
   freed with json_decref, or the reason. Numbers are doubles; a \u0000 is allowed in values; lone surrogate escapes are
   TM_DEAD_INVALID_UTF8, numbers beyond a double TM_DEAD_NUMBER_OUT_OF_RANGE. `unique`: any repeated key is
   TM_DEAD_DUPLICATE_KEY, without it the last one wins. TM_FATAL without memory, else TM_OK or TM_REJECT. */
tm_status tm_json_load(tm_slice text, bool unique, struct json_t **ret_root, tm_dead_reason *ret_reason);

#endif
