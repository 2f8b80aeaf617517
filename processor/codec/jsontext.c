#include "tidemark/codec/jsontext.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/limits.h"

void tm_json_scan_text(tm_slice text, tm_json_scan *ret_scan)
{
    *ret_scan = (tm_json_scan){.first_end = text.length};
    bool in_string = false;
    bool ended = false;
    int depth = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (in_string && (unsigned char)c < 0x20)
            ret_scan->bad_string = true;
        if (c == '\\') {
            if (in_string && i + 1 < text.length && (unsigned char)text.data[i + 1] < 0x20)
                ret_scan->bad_string = true;
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            if (++depth > TM_JSON_DEPTH_MAX)
                ret_scan->too_deep = true;
        } else if (!in_string && (c == '}' || c == ']') && depth > 0 && --depth == 0 && !ended) {
            ended = true;
            ret_scan->first_end = i + 1;
        }
    }
    if (in_string)
        ret_scan->bad_string = true;
}

size_t tm_json_skip_blanks(tm_slice text, size_t from)
{
    while (from < text.length &&
           (text.data[from] == ' ' || text.data[from] == '\t' || text.data[from] == '\n' || text.data[from] == '\r'))
        from++;
    return from;
}

bool tm_json_is_object(tm_slice text)
{
    size_t start = tm_json_skip_blanks(text, 0);
    return start < text.length && text.data[start] == '{';
}

_Static_assert(TM_JSON_DEPTH_MAX == 16, "the text below says 16");

const char *tm_json_reason_text(tm_dead_reason reason)
{
    switch (reason) {
    case TM_DEAD_INVALID_UTF8:
        return "the value is not UTF-8, or an escape names half a surrogate pair";
    case TM_DEAD_TOO_DEEP:
        return "the value is nested deeper than 16";
    case TM_DEAD_TRAILING_BYTES:
        return "something follows the JSON object";
    case TM_DEAD_NUMBER_OUT_OF_RANGE:
        return "the value holds a number that no double can hold";
    case TM_DEAD_DUPLICATE_KEY:
        return "a member stands twice";
    default:
        return "the value is not valid JSON";
    }
}

static size_t skip_digits(tm_slice text, size_t at)
{
    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at;
}

bool tm_json_number_valid(tm_slice text)
{
    size_t at = text.length > 0 && text.data[0] == '-' ? 1 : 0;
    size_t end = skip_digits(text, at);
    if (end == at || (end > at + 1 && text.data[at] == '0'))
        return false;
    at = end;
    if (at < text.length && text.data[at] == '.') {
        end = skip_digits(text, at + 1);
        if (end == at + 1)
            return false;
        at = end;
    }
    if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.length && (text.data[at] == '+' || text.data[at] == '-'))
            at++;
        end = skip_digits(text, at);
        if (end == at)
            return false;
        at = end;
    }
    return at == text.length;
}

/* The four hexadecimal digits of an escape "\uXXXX" that begins at `at`; -1 when there is none. */
static int unicode_escape(const char *text, size_t length, size_t at)
{
    if (length < 6 || at > length - 6 || text[at] != '\\' || text[at + 1] != 'u')
        return -1;
    int code = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static bool number_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

enum { REPAIRED_SURROGATE = 1, REPAIRED_NUMBER = 2 };

/* jansson stops at lone surrogates and at numbers beyond a double, and cannot say whether the rest is JSON. This
   replaces both by something harmless in place (`text` is terminated) and tells what it found. */
static unsigned repair(char *text, size_t length)
{
    unsigned found = 0;
    bool in_string = false;
    for (size_t i = 0; i < length;) {
        char c = text[i];
        if (in_string && c == '\\') {
            int code = unicode_escape(text, length, i);
            int second = code >= 0xD800 && code <= 0xDBFF ? unicode_escape(text, length, i + 6) : -1;
            if (second >= 0xDC00 && second <= 0xDFFF) {
                i += 12;
                continue;
            }
            if (code >= 0xD800 && code <= 0xDFFF) {
                memset(text + i + 2, '0', 4);
                text[i + 4] = '2';
                found |= REPAIRED_SURROGATE;
            }
            i += 2;
        } else if (c == '"') {
            in_string = !in_string;
            i++;
        } else if (!in_string && number_byte(c)) {
            size_t end = i;
            while (end < length && number_byte(text[end]))
                end++;
            if (tm_json_number_valid((tm_slice){text + i, end - i}) && isinf(strtod(text + i, NULL))) {
                memset(text + i, ' ', end - i);
                text[i] = '0';
                found |= REPAIRED_NUMBER;
            }
            i = end;
        } else {
            i++;
        }
    }
    return found;
}

tm_status tm_json_load(tm_slice text, bool unique, json_t **ret_root, tm_dead_reason *ret_reason)
{
    size_t flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    if (unique)
        flags |= JSON_REJECT_DUPLICATES;
    tm_json_scan scan;
    json_error_t error;
    json_t *root = NULL;
    char *copy = NULL;
    tm_status status = TM_REJECT;
    unsigned repaired = 0;
    bool exhausted;

    *ret_root = NULL;
    *ret_reason = TM_DEAD_INVALID_UTF8;
    if (!tm_utf8_valid(text))
        goto out;
    tm_json_scan_text(text, &scan);
    *ret_reason = scan.too_deep ? TM_DEAD_TOO_DEEP : TM_DEAD_INVALID_JSON;
    /* jansson overlooks a NUL behind a number or literal. */
    if (scan.too_deep || scan.bad_string || memchr(text.data, '\0', scan.first_end) != NULL)
        goto out;
    root = tm_json_parse(text, flags, &error, &exhausted);
    if (root == NULL && !exhausted) {
        copy = malloc(text.length + 1);
        if (copy == NULL) {
            status = TM_FATAL;
            goto out;
        }
        memcpy(copy, text.data, text.length);
        copy[text.length] = '\0';
        repaired = repair(copy, text.length);
        if (repaired != 0)
            root = tm_json_parse((tm_slice){copy, text.length}, flags, &error, &exhausted);
    }
    if (root == NULL) {
        if (exhausted)
            status = TM_FATAL;
        else if (json_error_code(&error) == json_error_duplicate_key)
            *ret_reason = TM_DEAD_DUPLICATE_KEY;
        goto out;
    }
    if (tm_json_skip_blanks(text, (size_t)error.position) < text.length)
        *ret_reason = TM_DEAD_TRAILING_BYTES;
    else if (repaired & REPAIRED_SURROGATE)
        *ret_reason = TM_DEAD_INVALID_UTF8;
    else if (repaired & REPAIRED_NUMBER)
        *ret_reason = TM_DEAD_NUMBER_OUT_OF_RANGE;
    else {
        *ret_reason = TM_DEAD_NONE;
        status = TM_OK;
        *ret_root = root;
        root = NULL;
    }
out:
    json_decref(root);
    free(copy);
    return status;
}
