/* The fast reader: simdjson On-Demand, one pass, no tree. On-Demand does not validate what it skips, so every value is
   visited: strings for their escapes, numbers for their grammar, brackets for their partners. What is refused is read
   again by slow means to find the reason; what is accepted never is. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" {
#include "tidemark/codec/jsontext.h"
#include "tidemark/codec/rawevent.h"
}

namespace
{

namespace ondemand = simdjson::ondemand;

struct reader {
    tm_raw_reader base; /* first: the C side holds a pointer to it */
    ondemand::parser parser;
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
    char *decoded; /* the next free byte */
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
    if (self.text == nullptr || self.decoded == nullptr || self.parser.allocate(capacity) != simdjson::SUCCESS)
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

inline bool has_backslash(const char *data, size_t length)
{
    return std::memchr(data, '\\', length) != nullptr;
}

inline bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A scalar's token without the blanks behind it. simdjson ends a token where the next one begins. */
inline tm_slice trim(std::string_view token)
{
    size_t length = token.size();
    while (length > 0 && blank(token[length - 1]))
        length--;
    return slice(token.data(), length);
}

/* Reads a string's token, with quotes. `keep`: the text is wanted, else only judged. */
bool read_string(pass &p, tm_slice token, bool keep, tm_raw *ret_raw)
{
    if (token.length < 2 || token.data[token.length - 1] != '"')
        return false;
    const char *inside = token.data + 1;
    size_t length = token.length - 2;
    ret_raw->kind = TM_RAW_STRING;
    ret_raw->text = slice(inside, length);
    if (has_backslash(inside, length)) {
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

/* Whole numbers of up to 15 digits are exact in a double; the rest is simdjson's. */
inline bool read_number(pass &p, ondemand::value value, tm_slice token, tm_raw *ret_raw)
{
    ret_raw->kind = TM_RAW_NUMBER;
    if (token.length <= 15 && token.data[0] != '-' && (token.data[0] != '0' || token.length == 1)) {
        uint64_t number = 0;
        size_t i = 0;
        for (; i < token.length; i++) {
            unsigned digit = static_cast<unsigned>(token.data[i]) - '0';
            if (digit > 9)
                break;
            number = number * 10 + digit;
        }
        if (i == token.length) {
            ret_raw->number = static_cast<double>(number);
            return true;
        }
    }
    /* simdjson lets a NUL end a number; and it refuses exponents that are far too great or too small, which the C
       library turns into infinity and 0. */
    if (!tm_json_number_valid(token))
        return false;
    if (value.get_double().get(ret_raw->number) != simdjson::SUCCESS)
        ret_raw->number = std::strtod(token.data, nullptr);
    if (std::isinf(ret_raw->number))
        p.overflow = true;
    return true;
}

bool read_scalar(pass &p, ondemand::value value, std::string_view full_token, bool keep, tm_raw *ret_raw)
{
    tm_slice token = trim(full_token);
    switch (token.data[0]) {
    case '"':
        /* Consumed by hand: On-Demand skips an unread string before a colon as if it were a key. */
        if (value.get_raw_json_string().error() != simdjson::SUCCESS)
            return false;
        return read_string(p, token, keep, ret_raw);
    case 't':
        ret_raw->kind = TM_RAW_TRUE;
        return token.length == 4 && std::memcmp(token.data, "true", 4) == 0;
    case 'f':
        ret_raw->kind = TM_RAW_FALSE;
        return token.length == 5 && std::memcmp(token.data, "false", 5) == 0;
    case 'n':
        ret_raw->kind = TM_RAW_NULL;
        return token.length == 4 && std::memcmp(token.data, "null", 4) == 0;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(p, value, token, ret_raw);
    default:
        return false;
    }
}

/* A key as it stands in the text, from just after its first quote. On-Demand gives no length; the value's token begins
   after the colon, and going back from there over blanks and colon leads to the last quote. */
inline tm_slice raw_key(const char *start, const char *value)
{
    const char *end = value - 1;
    while (*end != '"')
        end--;
    return slice(start, static_cast<size_t>(end - start));
}

bool read_object(pass &p, ondemand::object &object, int16_t node, int depth);

/* Reads or, with node -1 and no use for the text, judges one value. */
bool read_value(pass &p, ondemand::value value, int16_t node, bool keep, int depth, tm_raw *ret_raw)
{
    std::string_view token = value.raw_json_token();
    if (token.empty())
        return false;
    if (token[0] == '{') {
        ret_raw->kind = TM_RAW_OBJECT;
        ondemand::object object;
        if (depth == TM_JSON_DEPTH_MAX || value.get_object().get(object) != simdjson::SUCCESS)
            return false;
        return read_object(p, object, node, depth + 1);
    }
    if (token[0] == '[') {
        ret_raw->kind = TM_RAW_ARRAY;
        ondemand::array array;
        if (depth == TM_JSON_DEPTH_MAX || value.get_array().get(array) != simdjson::SUCCESS)
            return false;
        for (auto element : array) {
            ondemand::value item;
            tm_raw ignored;
            if (std::move(element).get(item) != simdjson::SUCCESS ||
                !read_value(p, item, -1, false, depth + 1, &ignored))
                return false;
        }
        return true;
    }
    return read_scalar(p, value, token, keep, ret_raw);
}

bool read_object(pass &p, ondemand::object &object, int16_t node, int depth)
{
    const tm_mapping_node *here = node >= 0 ? &p.mapping->nodes[node] : nullptr;
    int16_t next = here != nullptr ? here->child : static_cast<int16_t>(-1);
    int16_t collected = here != nullptr ? here->object : static_cast<int16_t>(-1);
    for (auto result : object) {
        ondemand::field field;
        if (std::move(result).get(field) != simdjson::SUCCESS)
            return false;
        std::string_view token = field.value().raw_json_token();
        tm_slice key = raw_key(field.key().raw(), token.data());
        if (has_backslash(key.data, key.length)) {
            bool nul = false;
            char *end = unescape(p, key.data, key.length, p.decoded, &nul);
            /* A NUL in a key is no valid input: the reference reader's library does not take it either. */
            if (end == nullptr || nul)
                return false;
            key = slice(p.decoded, static_cast<size_t>(end - p.decoded));
            p.decoded = end;
        }
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
        if (!read_value(p, field.value(), child, child >= 0 || member != nullptr, depth, to))
            return false;
        if (member != nullptr)
            member->value = *to;
    }
    return true;
}

enum class outcome { good, bad, not_alone, fatal };

/* Reads self.text[0 … length). not_alone: something follows the object. */
outcome read_text(reader &self, pass &p, int16_t root, size_t length)
{
    std::memset(self.text + length, 0, simdjson::SIMDJSON_PADDING);
    p.decoded = self.decoded;
    tm_raw_event_begin(p.raw, p.mapping);
    ondemand::document document;
    simdjson::error_code error =
        self.parser.iterate(self.text, length, length + simdjson::SIMDJSON_PADDING).get(document);
    if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY)
        return outcome::fatal;
    if (error != simdjson::SUCCESS)
        return outcome::bad;
    ondemand::object object;
    if (document.get_object().get(object) != simdjson::SUCCESS || !read_object(p, object, root, 1))
        return outcome::bad;
    return document.current_location().error() == simdjson::OUT_OF_BOUNDS ? outcome::good : outcome::not_alone;
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
    outcome first = read_text(self, p, root, scan.first_end);
    if (first == outcome::good)
        *ret_reason = TM_DEAD_TRAILING_BYTES;
    return first == outcome::fatal ? TM_FATAL : TM_REJECT;
}

tm_status collect(tm_raw_reader *base, const tm_mapping *mapping, int16_t root, tm_slice text, tm_raw_event *ret_raw,
                  tm_dead_reason *ret_reason)
{
    reader &self = *reinterpret_cast<reader *>(base);
    if (!reserve(self, text.length))
        return TM_FATAL;
    std::memcpy(self.text, text.data, text.length);
    pass p{mapping, ret_raw, nullptr};
    switch (read_text(self, p, root, text.length)) {
    case outcome::good:
        break;
    case outcome::fatal:
        return TM_FATAL;
    default:
        return find_reason(self, p, root, text.length, ret_reason);
    }
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
