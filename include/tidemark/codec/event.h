/* The event reader: bytes of a usage record → event, without building a tree and without allocation once warm. Two
   implementations give the same answer to every input: simdjson On-Demand (fast) and jansson (the reference). */
#ifndef TIDEMARK_CODEC_EVENT_H
#define TIDEMARK_CODEC_EVENT_H

#include "tidemark/base/hash.h"
#include "tidemark/codec/deadreason.h"
#include "tidemark/codec/mapping.h"
#include "tidemark/core/event.h"

typedef struct tm_header {
    tm_slice name, value; /* value absent: data == NULL */
} tm_header;

typedef struct tm_headers {
    const tm_header *items;
    size_t count;
} tm_headers;

typedef enum tm_key_policy {
    TM_KEY_REFUSE = 0, /* a record without a key, or whose key is not its account, is refused */
    TM_KEY_IGNORE      /* the key is not looked at: files, or a producer that keys otherwise */
} tm_key_policy;

typedef struct tm_event_options {
    const tm_mapping *mapping; /* must outlive the reader */
    tm_user_key user_key;      /* keys the hash of user ids */
    tm_key_policy key_policy;
    bool refuse_prefix; /* the Confluent wire prefix (byte 0, four bytes of schema id) is skipped unless this is set;
                           then it is refused as unsupported_encoding */
} tm_event_options;

typedef struct tm_event_reader tm_event_reader;

/* The reader chosen when tidemark was configured; NULL without memory. */
tm_event_reader *tm_event_reader_new(const tm_event_options *options);
tm_event_reader *tm_event_reader_simdjson_new(const tm_event_options *options);
tm_event_reader *tm_event_reader_jansson_new(const tm_event_options *options);
void tm_event_reader_free(tm_event_reader *reader); /* NULL is allowed */
/* "simdjson" or "jansson"; static storage. */
const char *tm_event_reader_name(const tm_event_reader *reader);

/* Reads one record. `value` absent (data == NULL) is a null value; `key` absent is no key; `headers` may be NULL when
   the mapping does not need them (tm_mapping.needs_headers).
   TM_OK: *ret_event is filled; its slices are valid until the next call and as long as the arguments' bytes.
   TM_REJECT: *ret_reason and `detail` (always terminated, UTF-8) say why; the caller makes a dead letter and goes on.
   TM_FATAL: out of memory; nothing was read. */
tm_status tm_event_read(tm_event_reader *reader, tm_slice value, const tm_headers *headers, tm_slice key,
                        tm_event *ret_event, tm_dead_reason *ret_reason, char detail[TM_DEAD_DETAIL]);

#endif
