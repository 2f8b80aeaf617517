#include "tidemark/base/bytes.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Slices ---- */

tm_slice tm_slice_of(const char *text)
{
    return (tm_slice){text, text != NULL ? strlen(text) : 0};
}

bool tm_slice_equal(tm_slice a, tm_slice b)
{
    if (a.length != b.length || (a.data == NULL) != (b.data == NULL)) {
        return false;
    }
    /* Most that differ do so at once: a name is looked for among others. */
    return a.length == 0 || (a.data[0] == b.data[0] && memcmp(a.data, b.data, a.length) == 0);
}

bool tm_slice_equal_text(tm_slice a, const char *text)
{
    return tm_slice_equal(a, tm_slice_of(text));
}

int tm_slice_compare(tm_slice a, tm_slice b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order == 0) {
        order = (a.length > b.length) - (a.length < b.length);
    }
    return order;
}

bool tm_slice_has_prefix(tm_slice text, tm_slice prefix)
{
    return text.length >= prefix.length && (prefix.length == 0 || memcmp(text.data, prefix.data, prefix.length) == 0);
}

/* ---- UTF-8 ---- */

/* Length of the well-formed sequence at `at`, or 0; then `ret_bad` is the number of bytes that one U+FFFD stands for
   (the longest part that could have begun a sequence: Unicode 15, section 3.9, table 3-7 and the practice below it). */
static size_t utf8_sequence(const unsigned char *at, size_t left, size_t *ret_bad)
{
    unsigned char lead = at[0];
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t length;
    *ret_bad = 1;
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (i >= left || at[i] < low || at[i] > high) {
            *ret_bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

bool tm_utf8_valid(tm_slice text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    size_t left = text.length;
    while (left > 0) {
        size_t bad;
        size_t length;
        if (left >= 8) { /* most texts are ASCII: eight at a time */
            uint64_t word;
            memcpy(&word, at, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += 8;
                left -= 8;
                continue;
            }
        }
        length = utf8_sequence(at, left, &bad);
        if (length == 0) {
            return false;
        }
        at += length;
        left -= length;
    }
    return true;
}

/* ---- The buffer ---- */

void tm_buffer_init(tm_buffer *buffer, size_t maximum)
{
    *buffer = (tm_buffer){.maximum = maximum < SIZE_MAX / 2 ? maximum : SIZE_MAX / 2};
}

void tm_buffer_init_secret(tm_buffer *buffer, size_t maximum)
{
    *buffer = (tm_buffer){.maximum = maximum, .secret = true};
}

void tm_buffer_done(tm_buffer *buffer)
{
    if (buffer->secret && buffer->data != NULL) {
        explicit_bzero(buffer->data, buffer->capacity);
    }
    free(buffer->data);
    *buffer = (tm_buffer){.maximum = buffer->maximum, .secret = buffer->secret};
}

void tm_buffer_reset(tm_buffer *buffer)
{
    buffer->length = 0;
    buffer->overflowed = buffer->exhausted = false;
}

/* Room for `more` bytes and a terminator. False, and the buffer overflowed, when there is none. */
static bool buffer_reserve(tm_buffer *buffer, size_t more)
{
    size_t need;
    size_t capacity;
    char *data;
    if (buffer->overflowed) {
        return false;
    }
    if (more > buffer->maximum - buffer->length) {
        buffer->overflowed = true;
        return false;
    }
    need = buffer->length + more + 1;
    if (need <= buffer->capacity) {
        return true;
    }
    capacity = buffer->capacity < 64 ? 64 : buffer->capacity * 2;
    if (capacity > buffer->maximum + 1) {
        capacity = buffer->maximum + 1;
    }
    if (capacity < need) {
        capacity = need;
    }
    data = buffer->secret ? malloc(capacity) : realloc(buffer->data, capacity); /* realloc may leave a copy behind */
    if (data != NULL && buffer->secret && buffer->data != NULL) {
        memcpy(data, buffer->data, buffer->length);
        explicit_bzero(buffer->data, buffer->capacity);
        free(buffer->data);
    }
    if (data == NULL) {
        buffer->overflowed = buffer->exhausted = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void tm_buffer_append(tm_buffer *buffer, const void *bytes, size_t length)
{
    if (length > 0 && buffer_reserve(buffer, length)) {
        memcpy(buffer->data + buffer->length, bytes, length);
        buffer->length += length;
    }
}

void tm_buffer_append_slice(tm_buffer *buffer, tm_slice slice)
{
    tm_buffer_append(buffer, slice.data, slice.length);
}

void tm_buffer_append_text(tm_buffer *buffer, const char *text)
{
    tm_buffer_append(buffer, text, strlen(text));
}

void tm_buffer_append_char(tm_buffer *buffer, char c)
{
    if (buffer_reserve(buffer, 1)) {
        buffer->data[buffer->length++] = c;
    }
}

void tm_buffer_append_format(tm_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    int length;
    size_t room;
    if (!buffer_reserve(buffer, 0)) {
        return;
    }
    room = buffer->capacity - buffer->length;
    va_start(arguments, format);
    length = vsnprintf(buffer->data + buffer->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || !buffer_reserve(buffer, (size_t)length)) {
        buffer->overflowed = true;
        return;
    }
    if ((size_t)length >= room) { /* it was cut: once more, with room */
        va_start(arguments, format);
        (void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    buffer->length += (size_t)length;
}

const char *tm_buffer_text(tm_buffer *buffer)
{
    if (!buffer_reserve(buffer, 0)) {
        return "";
    }
    buffer->data[buffer->length] = '\0';
    return buffer->data;
}

tm_slice tm_buffer_slice(const tm_buffer *buffer)
{
    if (buffer->overflowed) {
        return (tm_slice){NULL, 0};
    }
    return (tm_slice){buffer->data != NULL ? buffer->data : "", buffer->length};
}

/* ---- Text forms ---- */

/* What a byte below 0x20, a quote or a backslash is written as. */
static void append_escape(tm_buffer *buffer, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', '0', '0'};
    char one = '\0';
    switch (c) {
    case '"':
    case '\\':
        one = (char)c;
        break;
    case '\b':
        one = 'b';
        break;
    case '\f':
        one = 'f';
        break;
    case '\n':
        one = 'n';
        break;
    case '\r':
        one = 'r';
        break;
    case '\t':
        one = 't';
        break;
    default:
        text[4] = hex[c >> 4];
        text[5] = hex[c & 15];
        tm_buffer_append(buffer, text, sizeof(text));
        return;
    }
    text[1] = one;
    tm_buffer_append(buffer, text, 2);
}

void tm_buffer_append_json_text(tm_buffer *buffer, tm_slice text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    size_t i = 0;
    size_t plain = 0; /* start of what can be copied as it is */
    while (i < text.length) {
        unsigned char c = at[i];
        size_t bad = 1; /* set whenever the sequence is none, which -O3 cannot see */
        size_t length;
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        length = c < 0x80 ? 0 : utf8_sequence(at + i, text.length - i, &bad);
        if (length > 0) {
            i += length;
            continue;
        }
        tm_buffer_append(buffer, at + plain, i - plain);
        if (c < 0x80) {
            append_escape(buffer, c);
            i++;
        } else {
            tm_buffer_append(buffer, "\xEF\xBF\xBD", 3);
            i += bad;
        }
        plain = i;
    }
    if (i > plain) {
        tm_buffer_append(buffer, at + plain, i - plain);
    }
}

void tm_buffer_append_json_string(tm_buffer *buffer, tm_slice text)
{
    if (text.data == NULL) {
        tm_buffer_append(buffer, "null", 4);
        return;
    }
    tm_buffer_append_char(buffer, '"');
    tm_buffer_append_json_text(buffer, text);
    tm_buffer_append_char(buffer, '"');
}

/* `value` / 10^decimals without trailing zeros. */
static void append_decimal(tm_buffer *buffer, bool negative, uint64_t value, unsigned decimals)
{
    char text[32];
    size_t at = sizeof(text);
    while (decimals > 0 && value % 10 == 0) {
        value /= 10;
        decimals--;
    }
    do {
        if (decimals > 0 && --decimals == 0) {
            text[--at] = "0123456789"[value % 10];
            text[--at] = '.';
        } else {
            text[--at] = "0123456789"[value % 10];
        }
        value /= 10;
    } while (value > 0 || decimals > 0 || text[at] == '.');
    if (negative) {
        text[--at] = '-';
    }
    tm_buffer_append(buffer, text + at, sizeof(text) - at);
}

/* The general case: the fewest significant digits that read back, laid out plainly from 1e-6 to below 1e16, else with
   an exponent. */
static void append_shortest(tm_buffer *buffer, double magnitude)
{
    char text[32]; /* d.ddddde-308 */
    char digits[20];
    size_t count = 0;
    int exponent = 0;
    char *mark = NULL;
    /* 15 digits always survive a normal double; subnormals may need fewer. */
    for (int precision = magnitude < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision - 1, magnitude);
        if (strtod(text, NULL) == magnitude) {
            break;
        }
    }
    mark = strchr(text, 'e');
    if (mark == NULL) {
        return;
    }
    exponent = (int)strtol(mark + 1, NULL, 10);
    for (const char *at = text; at < mark; at++) {
        if (*at >= '0' && *at <= '9') {
            digits[count++] = *at;
        }
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    if (exponent < -6 || exponent > 15) {
        tm_buffer_append(buffer, digits, 1);
        if (count > 1) {
            tm_buffer_append_char(buffer, '.');
            tm_buffer_append(buffer, digits + 1, count - 1);
        }
        tm_buffer_append_format(buffer, "e%d", exponent);
        return;
    }
    if (exponent < 0) {
        tm_buffer_append(buffer, "0.00000", (size_t)(1 - exponent));
        tm_buffer_append(buffer, digits, count);
        return;
    }
    for (size_t i = 0; i < count || i <= (size_t)exponent; i++) {
        if (i == (size_t)exponent + 1) {
            tm_buffer_append_char(buffer, '.');
        }
        if (i < count) {
            tm_buffer_append(buffer, &digits[i], 1);
        } else {
            tm_buffer_append_char(buffer, '0');
        }
    }
}

void tm_buffer_append_integer(tm_buffer *buffer, int64_t number)
{
    append_decimal(buffer, number < 0, number < 0 ? -(uint64_t)number : (uint64_t)number, 0);
}

void tm_buffer_append_json_number(tm_buffer *buffer, double number)
{
    double magnitude = fabs(number);
    bool negative = number < 0;
    if (!isfinite(number)) {
        tm_buffer_append(buffer, "null", 4);
        return;
    }
    if (magnitude <= 1e15 && magnitude == floor(magnitude)) {
        append_decimal(buffer, negative, (uint64_t)magnitude, 0);
        return;
    }
    if (magnitude < 1e9) {
        /* Most numbers here have at most six decimals. The quotient is the double nearest to that decimal, and decimals
           of up to 15 digits all read as different doubles, so it is the shortest. */
        double millionths = nearbyint(magnitude * 1e6);
        if (millionths / 1e6 == magnitude) {
            append_decimal(buffer, negative, (uint64_t)millionths, 6);
            return;
        }
    }
    if (negative) {
        tm_buffer_append_char(buffer, '-');
    }
    append_shortest(buffer, magnitude);
}

void tm_buffer_append_base64(tm_buffer *buffer, const void *bytes, size_t length)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="; /* the last one pads */
    const unsigned char *at = bytes;
    size_t groups = length / 3 + (length % 3 != 0);
    char *out;
    if (length == 0) {
        return;
    }
    if (groups > buffer->maximum / 4 || !buffer_reserve(buffer, groups * 4)) {
        buffer->overflowed = true;
        return;
    }
    out = buffer->data + buffer->length;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)at[i] << 16;
        group |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)at[i + 2] : 0;
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[(group >> 12) & 63];
        *out++ = alphabet[left > 1 ? (group >> 6) & 63 : 64];
        *out++ = alphabet[left > 2 ? group & 63 : 64];
    }
    buffer->length += groups * 4;
}

/* ---- Binary forms ---- */

void tm_buffer_put_u8(tm_buffer *buffer, uint8_t value)
{
    tm_buffer_append(buffer, &value, 1);
}

void tm_buffer_put_u32(tm_buffer *buffer, uint32_t value)
{
    unsigned char bytes[4];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(value >> (8 * i) & 0xFF);
    }
    tm_buffer_append(buffer, bytes, sizeof(bytes));
}

void tm_buffer_put_u64(tm_buffer *buffer, uint64_t value)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(value >> (8 * i) & 0xFF);
    }
    tm_buffer_append(buffer, bytes, sizeof(bytes));
}

void tm_buffer_put_varint(tm_buffer *buffer, uint64_t value)
{
    unsigned char bytes[10];
    size_t length = 0;
    while (value >= 0x80) {
        bytes[length++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    bytes[length++] = (unsigned char)value;
    tm_buffer_append(buffer, bytes, length);
}

void tm_buffer_put_signed(tm_buffer *buffer, int64_t value)
{
    tm_buffer_put_varint(buffer, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void tm_buffer_put_slice(tm_buffer *buffer, tm_slice slice)
{
    tm_buffer_put_varint(buffer, slice.data != NULL ? (uint64_t)slice.length + 1 : 0);
    tm_buffer_append_slice(buffer, slice);
}

/* ---- The reader ---- */

void tm_reader_init(tm_reader *reader, tm_slice bytes)
{
    const char *data = bytes.data != NULL ? bytes.data : "";
    reader->at = (const uint8_t *)data;
    reader->end = reader->at + (bytes.data != NULL ? bytes.length : 0);
    reader->failed = false;
}

tm_slice tm_reader_bytes(tm_reader *reader, size_t length)
{
    tm_slice bytes = {NULL, 0};
    if (reader->failed || length > (size_t)(reader->end - reader->at)) {
        reader->failed = true;
        return bytes;
    }
    bytes.data = (const char *)reader->at;
    bytes.length = length;
    reader->at += length;
    return bytes;
}

static uint64_t read_little_endian(tm_reader *reader, size_t length)
{
    tm_slice bytes = tm_reader_bytes(reader, length);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        value |= (uint64_t)(unsigned char)bytes.data[i] << (8 * i);
    }
    return value;
}

uint8_t tm_reader_u8(tm_reader *reader)
{
    return (uint8_t)read_little_endian(reader, 1);
}

uint32_t tm_reader_u32(tm_reader *reader)
{
    return (uint32_t)read_little_endian(reader, 4);
}

uint64_t tm_reader_u64(tm_reader *reader)
{
    return read_little_endian(reader, 8);
}

uint64_t tm_reader_varint(tm_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && !reader->failed && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

int64_t tm_reader_signed(tm_reader *reader)
{
    uint64_t value = tm_reader_varint(reader);
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

tm_slice tm_reader_slice(tm_reader *reader, size_t maximum)
{
    uint64_t length = tm_reader_varint(reader);
    if (length == 0) {
        return (tm_slice){NULL, 0};
    }
    if (length - 1 > maximum) {
        reader->failed = true;
        return (tm_slice){NULL, 0};
    }
    return tm_reader_bytes(reader, (size_t)(length - 1));
}

bool tm_reader_at_end(const tm_reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}
