#include "mutator.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef fuzz_mutator mutator;

/* An input while it is changed. */
typedef struct draft {
    uint8_t *bytes;
    size_t size, limit;
} draft;

enum { TINY = 16 };

typedef struct span {
    size_t start, end;
} span;

/* --- chance --- */

/* xorshift64*: Vigna, An experimental exploration of Marsaglia's xorshift generators, scrambled (2016). */
static uint64_t chance(mutator *m)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return m->random * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(mutator *m, size_t n)
{
    return (size_t)(((chance(m) >> 32) * n) >> 32);
}

static const fuzz_entry *other(mutator *m)
{
    /* What was found last is tried more often. */
    uint32_t count = m->corpus->count;
    uint32_t from = count > 64 && below(m, 4) == 0 ? count - 64 : 0;
    const fuzz_entry *a = &m->corpus->entries[from + below(m, count - from)];
    const fuzz_entry *b = &m->corpus->entries[from + below(m, count - from)];
    const fuzz_entry *shorter = a->size <= b->size ? a : b, *longer = a->size <= b->size ? b : a;
    /* Short ones are read quickly, and very short ones soon were all tried; each has its turn. */
    return (shorter->size < TINY) == (below(m, 8) == 0) ? shorter : longer;
}

/* --- changes of ranges --- */

/* Puts `size` bytes in the place of start..end; what does not fit is left out at the end. */
static void replace(draft *d, span s, const uint8_t *bytes, size_t size)
{
    if (s.start + size > d->limit)
        size = d->limit - s.start;
    size_t tail = d->size - s.end;
    if (s.start + size + tail > d->limit)
        tail = d->limit - s.start - size;
    memmove(d->bytes + s.start + size, d->bytes + s.end, tail);
    memcpy(d->bytes + s.start, bytes, size);
    d->size = s.start + size + tail;
}

static void replace_inside(draft *d, span s, span with)
{
    uint8_t copy[256];
    size_t size = with.end - with.start < sizeof copy ? with.end - with.start : sizeof copy;
    memcpy(copy, d->bytes + with.start, size);
    replace(d, s, copy, size);
}

static span some_range(mutator *m, size_t size, size_t most)
{
    span s;
    s.start = below(m, size + 1);
    size_t left = size - s.start < most ? size - s.start : most;
    s.end = s.start + below(m, left + 1);
    return s;
}

/* --- bytes --- */

static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 7,
                                 8,
                                 16,
                                 31,
                                 32,
                                 63,
                                 64,
                                 100,
                                 127,
                                 128,
                                 129,
                                 255,
                                 256,
                                 511,
                                 512,
                                 1000,
                                 1023,
                                 1024,
                                 4095,
                                 4096,
                                 32767,
                                 32768,
                                 65535,
                                 65536,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 0xffffffffffffffff,
                                 0xfffffffffffffffe};

static void change_bits(mutator *m, draft *d)
{
    if (d->size > 0)
        d->bytes[below(m, d->size)] ^= (uint8_t)(1u << below(m, 8));
}

static void change_byte(mutator *m, draft *d)
{
    if (d->size > 0)
        d->bytes[below(m, d->size)] = (uint8_t)chance(m);
}

static void insert_bytes(mutator *m, draft *d)
{
    uint8_t bytes[8];
    uint64_t all = chance(m);
    memcpy(bytes, &all, sizeof bytes);
    size_t at = below(m, d->size + 1);
    if (below(m, 4) == 0)
        memset(bytes, bytes[0], sizeof bytes);
    replace(d, (span){at, at}, bytes, 1 + below(m, 8));
}

static void repeat_byte(mutator *m, draft *d)
{
    uint8_t bytes[128];
    memset(bytes, below(m, 2) ? 0 : (int)(chance(m) & 0xff), sizeof bytes);
    size_t at = below(m, d->size + 1);
    replace(d, (span){at, at}, bytes, 1 + below(m, sizeof bytes));
}

static void remove_range(mutator *m, draft *d)
{
    replace(d, some_range(m, d->size, below(m, 4) ? 8 : d->size), (const uint8_t *)"", 0);
}

static void copy_range(mutator *m, draft *d)
{
    span from = some_range(m, d->size, 64);
    size_t at = below(m, d->size + 1);
    span to = {at, at};
    if (below(m, 2) && at + (from.end - from.start) <= d->size)
        to.end = at + (from.end - from.start);
    replace_inside(d, to, from);
}

static void put_integer(mutator *m, draft *d)
{
    uint64_t value = edges[below(m, sizeof edges / sizeof *edges)];
    size_t width = (size_t)1 << below(m, 4);
    uint8_t bytes[8];
    if (d->size < width)
        return;
    bool big = below(m, 2);
    for (size_t i = 0; i < width; i++)
        bytes[big ? width - 1 - i : i] = (uint8_t)(value >> (8 * i));
    memcpy(d->bytes + below(m, d->size - width + 1), bytes, width);
}

/* The same in seven bits a byte, as lengths and counts are often written. */
static void put_varint(mutator *m, draft *d)
{
    uint64_t value = edges[below(m, sizeof edges / sizeof *edges)] + below(m, 3);
    uint8_t bytes[10];
    size_t size = 0;
    do {
        bytes[size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    size_t at = below(m, d->size + 1);
    span s = {at, at};
    while (s.end < d->size && d->bytes[s.end] & 0x80 && s.end - s.start < 9)
        s.end++;
    if (s.end < d->size)
        s.end++;
    replace(d, s, bytes, size);
}

static void add_small(mutator *m, draft *d)
{
    if (d->size > 0)
        d->bytes[below(m, d->size)] += (uint8_t)(1 + below(m, 16) - 8 * below(m, 3));
}

static void put_word(mutator *m, draft *d)
{
    if (m->word_count == 0)
        return;
    uint32_t word = (uint32_t)below(m, m->word_count);
    size_t at = below(m, d->size + 1), size = m->words[word].size;
    span s = {at, below(m, 2) && at + size <= d->size ? at + size : at};
    replace(d, s, m->words[word].bytes, size);
}

static void put_part(mutator *m, draft *d)
{
    const fuzz_entry *from = other(m);
    span part = some_range(m, from->size, 128);
    size_t at = below(m, d->size + 1);
    span to = {at, at};
    if (below(m, 2))
        to.end = at + below(m, d->size - at + 1);
    replace(d, to, from->bytes + part.start, part.end - part.start);
}

static void cross(mutator *m, draft *d)
{
    const fuzz_entry *from = other(m);
    size_t at = below(m, d->size + 1), tail = below(m, from->size + 1);
    replace(d, (span){at, d->size}, from->bytes + tail, from->size - tail);
}

static void change_first(mutator *m, draft *d)
{
    if (d->size > 0)
        d->bytes[0] = (uint8_t)chance(m);
}

/* --- text --- */

static bool is_word_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '.' || c == '+' || c >= 0x80;
}

static size_t end_of_quoted(const uint8_t *bytes, size_t size, size_t at)
{
    uint8_t quote = bytes[at++];
    for (; at < size; at++) {
        if (bytes[at] == '\\')
            at++;
        else if (bytes[at] == quote)
            return at + 1;
    }
    return size;
}

/* To behind the bracket that closes the one at `at`. */
static size_t end_of_bracket(const uint8_t *bytes, size_t size, size_t at)
{
    int depth = 0;
    while (at < size) {
        uint8_t c = bytes[at];
        if (c == '"') {
            at = end_of_quoted(bytes, size, at);
            continue;
        }
        depth += (c == '{' || c == '[' || c == '(') - (c == '}' || c == ']' || c == ')');
        at++;
        if (depth <= 0)
            return at;
    }
    return size;
}

/* The next word, number, quoted text or bracket from a place on; empty at the end when there is none. */
static span piece_from(const uint8_t *bytes, size_t size, size_t at)
{
    for (; at < size; at++) {
        uint8_t c = bytes[at];
        if (c == '"')
            return (span){at, end_of_quoted(bytes, size, at)};
        if (c == '{' || c == '[' || c == '(')
            return (span){at, end_of_bracket(bytes, size, at)};
        if (is_word_byte(c)) {
            span s = {at, at + 1};
            while (s.end < size && is_word_byte(bytes[s.end]))
                s.end++;
            return s;
        }
    }
    return (span){size, size};
}

static span some_piece(mutator *m, const uint8_t *bytes, size_t size)
{
    return piece_from(bytes, size, below(m, size + 1));
}

static void swap_piece(mutator *m, draft *d)
{
    const fuzz_entry *from = below(m, 4) ? other(m) : NULL;
    span to = some_piece(m, d->bytes, d->size);
    if (!from) {
        replace_inside(d, to, some_piece(m, d->bytes, d->size));
        return;
    }
    span part = some_piece(m, from->bytes, from->size);
    replace(d, to, from->bytes + part.start, part.end - part.start);
}

/* A piece goes, with the comma or blank behind it. */
static void drop_piece(mutator *m, draft *d)
{
    span s = some_piece(m, d->bytes, d->size);
    while (s.end < d->size && (d->bytes[s.end] == ':' || d->bytes[s.end] == ',' || d->bytes[s.end] == ' '))
        s.end++;
    replace(d, s, (const uint8_t *)"", 0);
}

static void word_for_piece(mutator *m, draft *d)
{
    if (m->word_count == 0)
        return;
    uint32_t word = (uint32_t)below(m, m->word_count);
    replace(d, some_piece(m, d->bytes, d->size), m->words[word].bytes, m->words[word].size);
}

static void number_for_piece(mutator *m, draft *d)
{
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "1",
                                          "-1",
                                          "2",
                                          "0.5",
                                          "1e3",
                                          "1E-3",
                                          "1e400",
                                          "-1e-400",
                                          "9000000000",
                                          "9000000001",
                                          "-9000000000.0000005",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "-9223372036854775808",
                                          "18446744073709551615",
                                          "18446744073709551616",
                                          "4294967296",
                                          "2147483648",
                                          "0.0000005",
                                          "1.5e0",
                                          "01",
                                          "1.",
                                          ".5",
                                          "1e",
                                          "253402300799999",
                                          "253402300800000",
                                          "1714660641000",
                                          "3.4028235e38",
                                          "1.7976931348623157e308",
                                          "5e-324",
                                          "00",
                                          "0x1",
                                          "NaN",
                                          "65536",
                                          "123456789012345678901234567890",
                                          "0.1000000000000000055511151231257827"};
    const char *number = numbers[below(m, sizeof numbers / sizeof *numbers)];
    char made[24];
    if (below(m, 3) == 0) {
        uint64_t value = chance(m) >> below(m, 64);
        bool negative = below(m, 4) == 0;
        int length = snprintf(made, sizeof made, "%s%llu", negative ? "-" : "", (unsigned long long)value);
        replace(d, some_piece(m, d->bytes, d->size), (const uint8_t *)made, (size_t)length);
        return;
    }
    replace(d, some_piece(m, d->bytes, d->size), (const uint8_t *)number, strlen(number));
}

/* Escapes, and UTF-8 that is whole, cut, overlong or beyond the end. */
static void strange_text(mutator *m, draft *d)
{
    static const char *const texts[] = {"\\u0000",
                                        "\\u0041",
                                        "\\ud83d\\ude00",
                                        "\\ud800",
                                        "\\udc00",
                                        "\\\"",
                                        "\\\\",
                                        "\\/",
                                        "\\n",
                                        "\\t",
                                        "\\x",
                                        "\\u12",
                                        "\xc3\xa9",
                                        "\xf0\x9f\x98\x80",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xff",
                                        "\x7f",
                                        "\x01",
                                        "\n",
                                        "\r\n",
                                        "\t",
                                        "  ",
                                        "#",
                                        ": ",
                                        "- ",
                                        ", ",
                                        "\"",
                                        "'",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        "(",
                                        ")",
                                        "\xef\xbb\xbf",
                                        "\xe2\x80\xa8",
                                        "\xcc\x81",
                                        "\\uFFFF",
                                        "\\ud83d"};
    const char *text = texts[below(m, sizeof texts / sizeof *texts)];
    size_t at = below(m, d->size + 1);
    replace(d, (span){at, at}, (const uint8_t *)text, strlen(text));
}

static span line_from(const draft *d, size_t at)
{
    span s = {at, at};
    while (s.start > 0 && d->bytes[s.start - 1] != '\n')
        s.start--;
    while (s.end < d->size && d->bytes[s.end] != '\n')
        s.end++;
    if (s.end < d->size)
        s.end++;
    return s;
}

static void change_lines(mutator *m, draft *d)
{
    span line = line_from(d, below(m, d->size + 1));
    span elsewhere = line_from(d, below(m, d->size + 1));
    if (below(m, 2))
        replace(d, line, (const uint8_t *)"", 0);
    else
        replace_inside(d, (span){elsewhere.start, below(m, 2) ? elsewhere.end : elsewhere.start}, line);
}

/* Digits are counted on, so that a date, a length or a time becomes one beside it. */
static void change_digit(mutator *m, draft *d)
{
    size_t at = below(m, d->size + 1);
    while (at < d->size && (d->bytes[at] < '0' || d->bytes[at] > '9'))
        at++;
    if (at < d->size)
        d->bytes[at] = (uint8_t)('0' + below(m, 10));
}

/* --- all together --- */

typedef void change(mutator *m, draft *d);

static change *const of_bytes[] = {change_bits, change_byte,  insert_bytes, remove_range, copy_range, put_integer,
                                   put_varint,  put_varint,   add_small,    put_word,     put_part,   put_part,
                                   cross,       change_first, repeat_byte,  add_small};
static change *const of_text[] = {swap_piece,       swap_piece,   swap_piece,   drop_piece,
                                  word_for_piece,   put_word,     put_word,     number_for_piece,
                                  number_for_piece, strange_text, strange_text, change_lines,
                                  change_digit,     change_digit, swap_piece,   word_for_piece};

static bool is_text(const fuzz_entry *entry)
{
    size_t plain = 0, looked = entry->size < 64 ? entry->size : 64;
    for (size_t i = 0; i < looked; i++)
        plain += entry->bytes[i] >= ' ' || entry->bytes[i] == '\n' || entry->bytes[i] == '\r';
    return plain * 16 >= looked * 15;
}

void fuzz_mutator_init(fuzz_mutator *m, uint64_t seed, size_t max_length, const fuzz_corpus *corpus)
{
    m->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    m->max_length = max_length;
    m->corpus = corpus;
    m->word_count = 0;
    for (int i = 0; i < 8; i++)
        (void)chance(m);
}

size_t fuzz_mutate(fuzz_mutator *m, uint8_t *out)
{
    for (;;) {
        const fuzz_entry *from = other(m);
        draft d = {out, from->size, m->max_length};
        memcpy(out, from->bytes, from->size);
        bool text = is_text(from);
        uint64_t dice = chance(m);
        do {
            size_t pick = (dice >> 8) & 15;
            if (text && (dice & 0xc0) != 0)
                of_text[pick](m, &d);
            else
                of_bytes[pick](m, &d);
            dice = chance(m);
        } while ((dice & 1) != 0);
        if (d.size != from->size || memcmp(out, from->bytes, d.size) != 0)
            return d.size;
    }
}

/* --- the dictionary: NAME="text with \xHH, \\ and \"" or only "text" --- */

static int hexadecimal(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void take_word(fuzz_mutator *m, const char *line)
{
    const char *at = strchr(line, '"');
    if (line[0] == '#' || !at || m->word_count == FUZZ_WORDS)
        return;
    size_t size = 0;
    for (at++; *at && *at != '"' && size < FUZZ_WORD_MAX; at++) {
        uint8_t c = (uint8_t)*at;
        if (c == '\\' && at[1] == 'x' && hexadecimal(at[2]) >= 0 && hexadecimal(at[3]) >= 0) {
            c = (uint8_t)(hexadecimal(at[2]) * 16 + hexadecimal(at[3]));
            at += 3;
        } else if (c == '\\' && at[1]) {
            c = (uint8_t) * ++at;
        }
        m->words[m->word_count].bytes[size++] = c;
    }
    m->words[m->word_count].size = size;
    m->word_count += size > 0;
}

void fuzz_mutator_dictionary(fuzz_mutator *m, const char *path)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    if (!file) {
        (void)fprintf(stderr, "driver: cannot read %s\n", path);
        exit(66);
    }
    while (fgets(line, sizeof line, file))
        take_word(m, line);
    (void)fclose(file);
}
