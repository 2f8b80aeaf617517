/* The fast reader: simdjson's index of tokens (its first stage, which On-Demand walks too; it also judges UTF-8, quotes
   and control characters with vector instructions), and one pass over it without a tree. On-Demand itself does not
   validate what it skips, and made to visit everything it took 1.7 times as long as this walk: here strings are judged
   for their escapes, numbers for their grammar, brackets for their partners, wanted or not. What is refused is read
   again by slow means to find the reason; what is accepted never is. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

extern "C" {
#include "tidemark/codec/jsontext.h"
#include "tidemark/codec/rawevent.h"
}

namespace
{

struct reader {
    tm_raw_reader base; /* first: the C side holds a pointer to it */
    std::unique_ptr<simdjson::internal::dom_parser_implementation> index;
    char *text = nullptr;    /* the record, with SIMDJSON_PADDING bytes behind it */
    char *decoded = nullptr; /* strings that had escapes, and keys: never longer than the text */
    size_t capacity = 0;

    ~reader()
    {
        std::free(text);
        std::free(decoded);
    }
};

/* One pass over one record. */
struct pass {
    const tm_mapping *mapping;
    tm_raw_event *raw;
    const char *text = nullptr;
    const uint32_t *at = nullptr; /* where the next token begins in the text */
    char *decoded = nullptr;      /* the next free byte */
    bool escapes = false; /* there is a backslash somewhere: mostly there is none, and no text need be searched */
    bool lone_surrogate = false;
    bool overflow = false;
};

inline tm_slice slice(const char *data, size_t length)
{
    tm_slice result;
    result.data = data;
    result.length = length;
    return result;
}

/* Room for a text of `length` bytes; grows by doubling, so that a stream soon allocates no more. */
bool reserve(reader &self, size_t length)
{
    if (length <= self.capacity)
        return true;
    size_t capacity = self.capacity != 0 ? self.capacity : 4096;
    while (capacity < length)
        capacity *= 2;
    std::free(self.text);
    std::free(self.decoded);
    self.capacity = 0;
    self.text = static_cast<char *>(std::malloc(capacity + simdjson::SIMDJSON_PADDING));
    self.decoded = static_cast<char *>(std::malloc(capacity));
    if (self.text == nullptr || self.decoded == nullptr)
        return false;
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, TM_JSON_DEPTH_MAX,
                                                                                self.index) != simdjson::SUCCESS)
        return false;
    self.capacity = capacity;
    return true;
}

/* The four hexadecimal digits at `at`, or -1. */
int hexadecimal(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int code = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = static_cast<char>(code);
    } else if (code < 0x800) {
        *to++ = static_cast<char>(0xC0 | (code >> 6));
        *to++ = static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = static_cast<char>(0xE0 | (code >> 12));
        *to++ = static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        *to++ = static_cast<char>(0x80 | (code & 0x3F));
    } else {
        *to++ = static_cast<char>(0xF0 | (code >> 18));
        *to++ = static_cast<char>(0x80 | ((code >> 12) & 0x3F));
        *to++ = static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        *to++ = static_cast<char>(0x80 | (code & 0x3F));
    }
    return to;
}

/* Unescapes the inside of a string to `to`, which has room for as many bytes. Half a surrogate pair is noted and
   replaced. *ret_nul is set when a U+0000 was written. nullptr: no JSON escape; else the end of what was written. */
char *unescape(pass &p, const char *at, size_t length, char *to, bool *ret_nul)
{
    const char *end = at + length;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        if (++at == end)
            return nullptr;
        switch (*at++) {
        case '"':
            *to++ = '"';
            break;
        case '\\':
            *to++ = '\\';
            break;
        case '/':
            *to++ = '/';
            break;
        case 'b':
            *to++ = '\b';
            break;
        case 'f':
            *to++ = '\f';
            break;
        case 'n':
            *to++ = '\n';
            break;
        case 'r':
            *to++ = '\r';
            break;
        case 't':
            *to++ = '\t';
            break;
        case 'u': {
            int code = hexadecimal(at, end);
            if (code < 0)
                return nullptr;
            at += 4;
            if (code >= 0xD800 && code <= 0xDFFF) {
                int low =
                    code <= 0xDBFF && end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hexadecimal(at + 2, end) : -1;
                if (low >= 0xDC00 && low <= 0xDFFF) {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                } else {
                    p.lone_surrogate = true;
                    code = 0xFFFD;
                }
            }
            if (code == 0)
                *ret_nul = true;
            to = put_utf8(to, static_cast<unsigned>(code));
            break;
        }
        default:
            return nullptr;
        }
    }
    return to;
}

inline bool has_backslash(const pass &p, const char *data, size_t length)
{
    return p.escapes && std::memchr(data, '\\', length) != nullptr;
}

inline bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A scalar's token at p.at, without the blanks behind it: it ends where the next token begins. */
inline tm_slice token_at(const pass &p)
{
    size_t length = p.at[1] - p.at[0];
    const char *data = p.text + p.at[0];
    while (length > 0 && blank(data[length - 1]))
        length--;
    return slice(data, length);
}

inline bool is_literal(tm_slice token, const char *text, size_t length)
{
    return token.length == length && std::memcmp(token.data, text, length) == 0;
}

/* Reads a string's token, with quotes. `keep`: the text is wanted, else only judged. */
inline bool read_string(pass &p, tm_slice token, bool keep, tm_raw *ret_raw)
{
    if (token.length < 2 || token.data[token.length - 1] != '"')
        return false;
    const char *inside = token.data + 1;
    size_t length = token.length - 2;
    ret_raw->kind = TM_RAW_STRING;
    ret_raw->text = slice(inside, length);
    if (has_backslash(p, inside, length)) {
        bool nul = false;
        char *end = unescape(p, inside, length, p.decoded, &nul);
        if (end == nullptr)
            return false;
        ret_raw->text = slice(p.decoded, static_cast<size_t>(end - p.decoded));
        p.raw->escaped_nul |= nul;
        if (keep)
            p.decoded = end;
    }
    return true;
}

/* Digits with at most one point among them, 15 digits at most: digits / 10^k has an exact numerator and denominator, so
   one division gives the nearest double. false: not of that form, which says nothing about whether it is a number. */
inline bool read_plain_number(tm_slice token, double *ret_number)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (token.length > 16 || token.data[0] == '-' || (token.data[0] == '0' && token.length > 1 && token.data[1] != '.'))
        return false;
    uint64_t digits = 0;
    size_t point = token.length;
    for (size_t i = 0; i < token.length; i++) {
        unsigned digit = static_cast<unsigned>(token.data[i]) - '0';
        if (digit <= 9)
            digits = digits * 10 + digit;
        else if (token.data[i] == '.' && point == token.length && i > 0)
            point = i;
        else
            return false;
    }
    size_t decimals = point < token.length ? token.length - point - 1 : 0;
    if (point + decimals > 15 || (point < token.length && decimals == 0))
        return false;
    *ret_number = static_cast<double>(digits) / powers[decimals];
    return true;
}

inline bool read_number(pass &p, tm_slice token, tm_raw *ret_raw)
{
    ret_raw->kind = TM_RAW_NUMBER;
    if (read_plain_number(token, &ret_raw->number))
        return true;
    if (!tm_json_number_valid(token))
        return false;
    /* What stands behind the token ends the number for strtod too. The program keeps the locale "C". */
    ret_raw->number = std::strtod(token.data, nullptr);
    if (std::isinf(ret_raw->number))
        p.overflow = true;
    return true;
}

bool read_object(pass &p, int16_t node, int depth);
bool read_array(pass &p, int depth);

/* Reads or, with node -1 and no use for the text, judges the value at p.at, and moves behind it. */
inline bool read_value(pass &p, int16_t node, bool keep, int depth, tm_raw *ret_raw)
{
    char first = p.text[*p.at];
    if (first == '{' || first == '[') {
        p.at++;
        ret_raw->kind = first == '{' ? TM_RAW_OBJECT : TM_RAW_ARRAY;
        if (depth == TM_JSON_DEPTH_MAX)
            return false;
        return first == '{' ? read_object(p, node, depth + 1) : read_array(p, depth + 1);
    }
    tm_slice token = token_at(p);
    p.at++;
    switch (first) {
    case '"':
        return read_string(p, token, keep, ret_raw);
    case 't':
        ret_raw->kind = TM_RAW_TRUE;
        return is_literal(token, "true", 4);
    case 'f':
        ret_raw->kind = TM_RAW_FALSE;
        return is_literal(token, "false", 5);
    case 'n':
        ret_raw->kind = TM_RAW_NULL;
        return is_literal(token, "null", 4);
    default:
        /* A comma, colon or bracket in a value's place, the end (a NUL), or garbage: no number either. */
        return (first == '-' || (first >= '0' && first <= '9')) && read_number(p, token, ret_raw);
    }
}

bool read_array(pass &p, int depth)
{
    if (p.text[*p.at] == ']') {
        p.at++;
        return true;
    }
    for (;;) {
        tm_raw ignored;
        if (!read_value(p, -1, false, depth, &ignored))
            return false;
        char c = p.text[*p.at];
        if (c != ',' && c != ']')
            return false;
        p.at++;
        if (c == ']')
            return true;
    }
}

/* The key at p.at, unescaped; moves behind the colon. */
inline bool read_key(pass &p, tm_slice *ret_key)
{
    const char *start = p.text + p.at[0] + 1;
    const char *end = p.text + p.at[1] - 1;
    if (start[-1] != '"' || end[1] != ':')
        return false;
    while (*end != '"') /* blanks before the colon */
        end--;
    p.at += 2;
    *ret_key = slice(start, static_cast<size_t>(end - start));
    if (has_backslash(p, start, ret_key->length)) {
        bool nul = false;
        char *decoded_end = unescape(p, start, ret_key->length, p.decoded, &nul);
        /* A NUL in a key is no valid input: the reference reader's library does not take it either. */
        if (decoded_end == nullptr || nul)
            return false;
        *ret_key = slice(p.decoded, static_cast<size_t>(decoded_end - p.decoded));
        p.decoded = decoded_end;
    }
    return true;
}

/* Reads what follows a '{'. */
bool read_object(pass &p, int16_t node, int depth)
{
    const tm_mapping_node *here = node >= 0 ? &p.mapping->nodes[node] : nullptr;
    int16_t next = here != nullptr ? here->child : static_cast<int16_t>(-1);
    int16_t collected = here != nullptr ? here->object : static_cast<int16_t>(-1);
    if (p.text[*p.at] == '}') {
        p.at++;
        return true;
    }
    for (;;) {
        tm_slice key;
        if (!read_key(p, &key))
            return false;
        tm_raw value;
        tm_raw *to = &value;
        int16_t child = tm_mapping_find(p.mapping, next, key);
        tm_raw_member *member = collected >= 0 ? tm_raw_event_member(p.raw, collected, key) : nullptr;
        if (child >= 0) {
            next = p.mapping->nodes[child].next;
            if (p.raw->found[child].kind != TM_RAW_ABSENT) {
                tm_raw_event_repeated(p.raw, key);
                child = -1;
            } else {
                to = &p.raw->found[child];
                to->kind = TM_RAW_OBJECT;
            }
        }
        if (!read_value(p, child, child >= 0 || member != nullptr, depth, to))
            return false;
        if (member != nullptr)
            member->value = *to;
        char c = p.text[*p.at];
        if (c != ',' && c != '}')
            return false;
        p.at++;
        if (c == '}')
            return true;
    }
}

enum class outcome { good, bad, not_alone };

/* Reads self.text[0 … length), which begins with '{' after blanks. not_alone: something follows the object. */
outcome read_text(reader &self, pass &p, int16_t root, size_t length)
{
    /* The index ends with places at and behind the text's end: there a NUL is found, which no rule accepts. */
    std::memset(self.text + length, 0, simdjson::SIMDJSON_PADDING);
    p.text = self.text;
    p.decoded = self.decoded;
    p.escapes = std::memchr(self.text, '\\', length) != nullptr;
    tm_raw_event_begin(p.raw, p.mapping);
    if (self.index->stage1(reinterpret_cast<const uint8_t *>(self.text), length, simdjson::stage1_mode::regular) !=
        simdjson::SUCCESS)
        return outcome::bad;
    p.at = self.index->structural_indexes.get();
    const uint32_t *end = p.at + self.index->n_structural_indexes;
    p.at++; /* the '{' */
    if (!read_object(p, root, 1))
        return outcome::bad;
    return p.at == end ? outcome::good : outcome::not_alone;
}

/* Why self.text was refused, in the order of tm_dead_reason. */
tm_status find_reason(reader &self, pass &p, int16_t root, size_t length, tm_dead_reason *ret_reason)
{
    tm_slice text = slice(self.text, length);
    tm_json_scan scan;
    *ret_reason = TM_DEAD_INVALID_UTF8;
    if (!simdjson::validate_utf8(self.text, length))
        return TM_REJECT;
    tm_json_scan_text(text, &scan);
    *ret_reason = scan.too_deep ? TM_DEAD_TOO_DEEP : TM_DEAD_INVALID_JSON;
    if (scan.too_deep || scan.bad_string || tm_json_skip_blanks(text, scan.first_end) == length)
        return TM_REJECT;
    /* Is what comes first a whole object? This overwrites what follows, which nobody needs any more. */
    if (read_text(self, p, root, scan.first_end) == outcome::good)
        *ret_reason = TM_DEAD_TRAILING_BYTES;
    return TM_REJECT;
}

tm_status collect(tm_raw_reader *base, const tm_mapping *mapping, int16_t root, tm_slice text, tm_raw_event *ret_raw,
                  tm_dead_reason *ret_reason)
{
    reader &self = *reinterpret_cast<reader *>(base);
    if (!reserve(self, text.length))
        return TM_FATAL;
    std::memcpy(self.text, text.data, text.length);
    pass p{mapping, ret_raw};
    if (read_text(self, p, root, text.length) != outcome::good)
        return find_reason(self, p, root, text.length, ret_reason);
    *ret_reason = p.lone_surrogate ? TM_DEAD_INVALID_UTF8 : p.overflow ? TM_DEAD_NUMBER_OUT_OF_RANGE : TM_DEAD_NONE;
    return *ret_reason == TM_DEAD_NONE ? TM_OK : TM_REJECT;
}

void reader_free(tm_raw_reader *base)
{
    delete reinterpret_cast<reader *>(base);
}

} // namespace

extern "C" tm_raw_reader *tm_raw_reader_simdjson_new(void)
{
    reader *self = new (std::nothrow) reader;
    if (self == nullptr)
        return nullptr;
    self->base.name = "simdjson";
    self->base.collect = collect;
    self->base.free = reader_free;
    if (!reserve(*self, 4096)) {
        delete self;
        return nullptr;
    }
    return &self->base;
}
