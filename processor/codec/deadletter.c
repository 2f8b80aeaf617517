#include "tidemark/codec/deadletter.h"

#include <string.h>

#include "tidemark/base/limits.h"

/* A literal appended without measuring it. */
#define PUT(out, literal) tm_buffer_append((out), "" literal, sizeof(literal) - 1)

/* Bytes around the value, at their most. */
enum { AROUND_VALUE = sizeof(",\"value_base64\":\"\",\"truncated\":false}") - 1 };

/* Bytes a character takes inside a JSON string: its own, 2 or 6 where it is escaped. */
static size_t escaped_length(unsigned char c)
{
    if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
        return 2;
    return c < 0x20 ? 6 : 1;
}

/* As much of well-formed UTF-8 as fits into `room` bytes of a JSON string, whole characters. */
static tm_slice text_within(tm_slice text, size_t room)
{
    size_t used = 0;
    size_t whole = 0; /* behind the last character that fits */
    for (size_t i = 0; text.data != NULL && i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c & 0xC0) != 0x80)
            whole = i;
        used += escaped_length(c);
        if (used > room)
            return (tm_slice){text.data, whole};
    }
    return text;
}

static tm_slice bytes_within(tm_slice bytes, size_t room)
{
    size_t fit = room / 4 * 3;
    return (tm_slice){bytes.data, bytes.length < fit ? bytes.length : fit};
}

/* True when the key was cut. */
static bool put_key(tm_buffer *out, tm_slice key, size_t room)
{
    tm_slice shown;
    if (key.data != NULL && !tm_utf8_valid(key)) {
        shown = bytes_within(key, room);
        PUT(out, "null,\"key_base64\":\"");
        tm_buffer_append_base64(out, shown.data, shown.length);
        tm_buffer_append_char(out, '"');
    } else {
        shown = text_within(key, room);
        tm_buffer_append_json_string(out, shown);
    }
    return shown.length < key.length;
}

static void put_detail(tm_buffer *out, tm_slice detail)
{
    size_t length = detail.length;
    if (length > TM_DEAD_DETAIL) {
        length = TM_DEAD_DETAIL;
        while (length > 0 && ((unsigned char)detail.data[length] & 0xC0) == 0x80)
            length--;
    }
    tm_buffer_append_char(out, '"');
    tm_buffer_append_json_text(out, (tm_slice){detail.data, length});
    tm_buffer_append_char(out, '"');
}

void tm_dead_letter_encode(const tm_dead_letter *letter, size_t maximum, tm_buffer *out)
{
    char time[TM_TIME_TEXT];
    size_t start = out->length;
    size_t room = maximum < TM_DEAD_LETTER_MIN ? TM_DEAD_LETTER_MIN : maximum;
    size_t used;
    bool cut;

    PUT(out, "{\"reason\":\"");
    tm_buffer_append_text(out, tm_dead_reason_name(letter->reason));
    PUT(out, "\",\"detail\":");
    put_detail(out, letter->detail);
    PUT(out, ",\"topic\":");
    tm_buffer_append_json_string(out, letter->topic);
    PUT(out, ",\"partition\":");
    tm_buffer_append_integer(out, letter->partition);
    PUT(out, ",\"offset\":");
    tm_buffer_append_integer(out, letter->offset);
    PUT(out, ",\"timestamp\":");
    if (letter->timestamp == TM_TIME_NONE) {
        PUT(out, "null");
    } else {
        tm_time_format(letter->timestamp, time);
        tm_buffer_append_char(out, '"');
        tm_buffer_append_text(out, time);
        tm_buffer_append_char(out, '"');
    }
    PUT(out, ",\"key\":");
    cut = put_key(out, letter->key, room / 4);

    used = out->length - start + AROUND_VALUE;
    if (letter->value.data == NULL) {
        PUT(out, ",\"value_base64\":null");
    } else {
        tm_slice shown = bytes_within(letter->value, used < room ? room - used : 0);
        PUT(out, ",\"value_base64\":\"");
        tm_buffer_append_base64(out, shown.data, shown.length);
        tm_buffer_append_char(out, '"');
        cut = cut || shown.length < letter->value.length;
    }
    tm_buffer_append_text(out, cut ? ",\"truncated\":true}" : ",\"truncated\":false}");
}

bool tm_dead_letter_cut(tm_slice letter, size_t maximum, tm_buffer *out)
{
    static const char opening[] = ",\"value_base64\":\"";
    static const char closing[] = "\",\"truncated\":true}";
    const size_t around = sizeof(opening) - 1 + sizeof(closing) - 1;
    /* The value is the last but one member, and base64 has no quotes: the last place where it can begin. */
    size_t start = letter.length;
    size_t length = 0;
    while (start > 0 &&
           (letter.length - start < around || memcmp(letter.data + start, opening, sizeof(opening) - 1) != 0))
        start--;
    if (start == 0)
        return false;
    start += sizeof(opening) - 1;
    while (start + length < letter.length && letter.data[start + length] != '"')
        length++;
    if (start + length == letter.length || length == 0)
        return false;
    size_t fixed = start + sizeof(closing) - 1;
    size_t room = maximum > fixed ? (maximum - fixed) / 4 * 4 : 0;
    tm_buffer_append(out, letter.data, start + (length < room ? length : room));
    tm_buffer_append_text(out, closing);
    return true;
}
