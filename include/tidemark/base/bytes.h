/* Slices that point at bytes somebody else owns, and writers that know their maximum. Nothing overflows. */
#ifndef TIDEMARK_BASE_BYTES_H
#define TIDEMARK_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tidemark/base/status.h"

/* `length` bytes at `data`, not terminated, not owned. An absent text has data == NULL; an empty one has not. */
typedef struct tm_slice {
    const char *data;
    size_t length;
} tm_slice;

#define TM_SLICE_LITERAL(text) ((tm_slice){(text), sizeof(text) - 1})

tm_slice tm_slice_of(const char *text); /* a terminated string, or NULL for an absent slice */
bool tm_slice_equal(tm_slice a, tm_slice b);
bool tm_slice_equal_text(tm_slice a, const char *text);
int tm_slice_compare(tm_slice a, tm_slice b); /* bytewise, the shorter first; <0, 0, >0 */
bool tm_slice_has_prefix(tm_slice text, tm_slice prefix);

/* True when `text` is well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool tm_utf8_valid(tm_slice text);

/* A growing byte buffer with a hard maximum. Once a write did not fit, `overflowed` stays set, later writes do nothing,
   and what is in it must not be used. */
typedef struct tm_buffer {
    char *data;
    size_t length;
    size_t capacity;
    size_t maximum;
    bool overflowed;
    bool exhausted; /* … for want of memory, not because of the maximum */
    bool secret;    /* see tm_buffer_init_secret */
} tm_buffer;

void tm_buffer_init(tm_buffer *buffer, size_t maximum);
/* One whose bytes are overwritten before its memory is given back, when it grows too. */
void tm_buffer_init_secret(tm_buffer *buffer, size_t maximum);
void tm_buffer_done(tm_buffer *buffer);  /* frees; the buffer may be initialised again */
void tm_buffer_reset(tm_buffer *buffer); /* empties, keeps the memory */
void tm_buffer_append(tm_buffer *buffer, const void *bytes, size_t length);
void tm_buffer_append_slice(tm_buffer *buffer, tm_slice slice);
void tm_buffer_append_text(tm_buffer *buffer, const char *text);
void tm_buffer_append_char(tm_buffer *buffer, char c);
void tm_buffer_append_format(tm_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tm_buffer_append_integer(tm_buffer *buffer, int64_t number); /* decimal digits, '-' before them where negative */
/* The bytes escaped as the inside of a JSON string (no quotes added); bytes that are not UTF-8 become U+FFFD. */
void tm_buffer_append_json_text(tm_buffer *buffer, tm_slice text);
/* A quoted JSON string, or null for an absent slice. */
void tm_buffer_append_json_string(tm_buffer *buffer, tm_slice text);
/* The shortest decimal that reads back as the same number: plain digits from 1e-6 to below 1e16, beyond "1e22",
   "2.5e-7"; -0 is "0"; null for a value that is not finite. */
void tm_buffer_append_json_number(tm_buffer *buffer, double number);
void tm_buffer_append_base64(tm_buffer *buffer, const void *bytes, size_t length);
/* Terminates with a NUL that is not counted and returns the text; "" when overflowed or out of memory. */
const char *tm_buffer_text(tm_buffer *buffer);
tm_slice tm_buffer_slice(const tm_buffer *buffer); /* absent when overflowed */

/* Little-endian fixed and variable-length integers for state blobs. Unsigned LEB128; signed values are zigzag-coded. */
void tm_buffer_put_u8(tm_buffer *buffer, uint8_t value);
void tm_buffer_put_u32(tm_buffer *buffer, uint32_t value);
void tm_buffer_put_u64(tm_buffer *buffer, uint64_t value);
void tm_buffer_put_varint(tm_buffer *buffer, uint64_t value);
void tm_buffer_put_signed(tm_buffer *buffer, int64_t value);
void tm_buffer_put_slice(tm_buffer *buffer, tm_slice slice); /* varint length + 1 (0 = absent), then the bytes */

/* A reader over bytes that may be anything. After the first read that does not fit, `failed` stays set and every read
   gives 0 or an absent slice; check it once at the end and wherever a length decides an allocation. */
typedef struct tm_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
} tm_reader;

void tm_reader_init(tm_reader *reader, tm_slice bytes);
uint8_t tm_reader_u8(tm_reader *reader);
uint32_t tm_reader_u32(tm_reader *reader);
uint64_t tm_reader_u64(tm_reader *reader);
uint64_t tm_reader_varint(tm_reader *reader); /* refuses more than 10 bytes and bits beyond 64 */
int64_t tm_reader_signed(tm_reader *reader);
tm_slice tm_reader_slice(tm_reader *reader,
                         size_t maximum); /* points into the bytes read; longer than `maximum` fails */
tm_slice tm_reader_bytes(tm_reader *reader, size_t length);
bool tm_reader_at_end(const tm_reader *reader); /* all read and nothing failed */

#endif
