#include "tidemark/rules/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SHOWN = TM_DIAGNOSTIC_LINE_MAX - 1, SHOWN_BEFORE = 80, NEAREST_MAX = 64 };

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static uint32_t characters(const char *from, const char *to)
{
    uint32_t count = 0;
    for (; from < to; from++) {
        count += starts_character(*from) ? 1 : 0;
    }
    return count;
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7F;
}

/* Copies what of the line is shown: without its indentation, and only the part around the place when it is long. */
static void show_line(tm_diagnostic *item, const char *line, const char *end, const char *place)
{
    while (line < place && is_blank(*line)) {
        line++;
    }
    if (end - line > LINE_SHOWN && place - line > SHOWN_BEFORE) {
        line = place - SHOWN_BEFORE;
        while (line < place && !starts_character(*line)) {
            line++;
        }
    }
    size_t length = (size_t)(end - line);
    if (length > LINE_SHOWN) {
        length = LINE_SHOWN;
        while (length > 0 && !starts_character(line[length])) {
            length--;
        }
    }
    for (size_t i = 0; i < length; i++) {
        item->line_text[i] = line[i];
        if (is_blank(line[i])) {
            item->line_text[i] = ' ';
        }
    }
    while (length > 0 && item->line_text[length - 1] == ' ') {
        length--;
    }
    item->line_text[length] = '\0';
    item->caret = characters(line, place);
}

/* Behind a key in which `name` occurs: its value. NULL when there is none. */
static char *value_behind(char *line, const char *name)
{
    static const char of_names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (char *at = strcasestr(line, name); at != NULL; at = strcasestr(at + 1, name)) {
        char *end = at + strspn(at, of_names);
        end += strspn(end, "\"' ");
        if (*end == ':' && strncmp(end, "://", 3) != 0) {
            return end + 1;
        }
    }
    return NULL;
}

/* Cuts the line behind the first key that promises a secret (slips of the pen included), and at what looks like an
   address with a password: better too much than too little, the place is named all the same. */
static void hide_secrets(char *line)
{
    static const char *const names[] = {"pass", "pasw", "pwd",  "secret", "token", "jwt",
                                        "pem",  "sasl", "ssl.", "url",    "oauth", "user_key"};
    char *from = strstr(line, "://");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *found = value_behind(line, names[i]);
        from = found != NULL && (from == NULL || found < from) ? found : from;
    }
    if (from != NULL) {
        explicit_bzero(from, strlen(from));
        snprintf(from, (size_t)(TM_DIAGNOSTIC_LINE_MAX - (from - line)), " ***");
    }
}

static void locate(tm_diagnostic *item, const tm_document *source, size_t offset)
{
    const char *text = source->text.data;
    size_t length = source->text.length;
    if (offset > length) {
        offset = length;
    }
    item->line = 1;
    size_t start = 0;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            item->line++;
            start = i + 1;
        }
    }
    size_t end = offset;
    while (end < length && text[end] != '\n') {
        end++;
    }
    if (length == 0) {
        item->column = 1;
        return;
    }
    item->column = characters(text + start, text + offset) + 1;
    show_line(item, text + start, text + end, text + offset);
    if (source->may_hold_secrets) {
        hide_secrets(item->line_text);
    }
}

void tm_diagnostics_add(tm_diagnostics *diagnostics, const tm_document *source, size_t offset, const char *format, ...)
{
    if (diagnostics->count == TM_DIAGNOSTICS_MAX) {
        diagnostics->dropped++;
        return;
    }
    tm_diagnostic *item = &diagnostics->items[diagnostics->count++];
    *item = (tm_diagnostic){0};
    snprintf(item->file, sizeof item->file, "%s", source->name);
    locate(item, source, offset);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item->message, sizeof item->message, format, arguments);
    va_end(arguments);
}

void tm_diagnostics_hint(tm_diagnostics *diagnostics, const char *format, ...)
{
    if (diagnostics->count == 0 || diagnostics->dropped > 0) {
        return;
    }
    tm_diagnostic *item = &diagnostics->items[diagnostics->count - 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item->hint, sizeof item->hint, format, arguments);
    va_end(arguments);
}

size_t tm_document_offset(const tm_document *source, uint32_t line, uint32_t column)
{
    const char *text = source->text.data;
    size_t length = source->text.length;
    size_t at = 0;
    for (uint32_t i = 1; i < line && at < length; at++) {
        i += text[at] == '\n' ? 1 : 0;
    }
    for (uint32_t i = 1; i < column && at < length && text[at] != '\n'; i++) {
        do {
            at++;
        } while (at < length && !starts_character(text[at]));
    }
    return at;
}

static bool comes_after(const tm_diagnostic *a, const tm_diagnostic *b)
{
    if (strcmp(a->file, b->file) != 0) {
        return false;
    }
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

void tm_diagnostics_sort(tm_diagnostics *diagnostics)
{
    for (uint32_t i = 1; i < diagnostics->count; i++) {
        for (uint32_t j = i; j > 0 && comes_after(&diagnostics->items[j - 1], &diagnostics->items[j]); j--) {
            tm_diagnostic swapped = diagnostics->items[j];
            diagnostics->items[j] = diagnostics->items[j - 1];
            diagnostics->items[j - 1] = swapped;
        }
    }
}

void tm_diagnostics_print(const tm_diagnostics *diagnostics, tm_buffer *out)
{
    for (uint32_t i = 0; i < diagnostics->count; i++) {
        const tm_diagnostic *item = &diagnostics->items[i];
        tm_buffer_append_format(out, "%s:%u:%u: %s\n", item->file, item->line, item->column, item->message);
        if (item->line_text[0] != '\0') {
            tm_buffer_append_format(out, "    %s\n    ", item->line_text);
            for (uint32_t k = 0; k < item->caret; k++) {
                tm_buffer_append_char(out, ' ');
            }
            tm_buffer_append_text(out, "^\n");
        }
        if (item->hint[0] != '\0') {
            tm_buffer_append_format(out, "  %s\n", item->hint);
        }
    }
    if (diagnostics->dropped > 0) {
        tm_buffer_append_format(out, "and %u more\n", diagnostics->dropped);
    }
}

tm_status tm_diagnostics_status(const tm_diagnostics *diagnostics, tm_error *error)
{
    if (diagnostics->count == 0) {
        return TM_OK;
    }
    const tm_diagnostic *first = &diagnostics->items[0];
    uint32_t more = diagnostics->count - 1 + diagnostics->dropped;
    if (more > 0) {
        tm_fail(error, TM_REJECT, "%s (and %u more)", first->message, more);
    } else {
        tm_fail(error, TM_REJECT, "%s", first->message);
    }
    tm_error_where(error, "%s:%u:%u", first->file, first->line, first->column);
    tm_error_hint(error, "%s", first->hint);
    return TM_REJECT;
}

void tm_nearest_init(tm_nearest *nearest, tm_slice wanted)
{
    *nearest = (tm_nearest){.wanted = wanted, .distance = UINT32_MAX};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t distance_between(tm_slice a, tm_slice b)
{
    uint32_t rows[3][NEAREST_MAX + 1];
    for (uint32_t k = 0; k <= b.length; k++) {
        rows[0][k] = k;
    }
    for (size_t i = 1; i <= a.length; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3];
        row[0] = (uint32_t)i;
        for (size_t k = 1; k <= b.length; k++) {
            char x = lower(a.data[i - 1]);
            char y = lower(b.data[k - 1]);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (x == y ? 0 : 1));
            if (i > 1 && k > 1 && x == lower(b.data[k - 2]) && lower(a.data[i - 2]) == y) {
                row[k] = least(row[k], rows[(i + 1) % 3][k - 2] + 1);
            }
        }
    }
    return rows[a.length % 3][b.length];
}

/* The greatest distance that is taken for a slip. */
static size_t near_enough(tm_slice wanted)
{
    return (wanted.length + 2) / 3;
}

void tm_nearest_offer(tm_nearest *nearest, tm_slice candidate)
{
    if (nearest->wanted.length > NEAREST_MAX || candidate.length > NEAREST_MAX || candidate.length == 0) {
        return;
    }
    /* As far away as the lengths differ, at least: too far for a suggestion, or no nearer than what there is. */
    size_t apart = nearest->wanted.length > candidate.length ? nearest->wanted.length - candidate.length
                                                             : candidate.length - nearest->wanted.length;
    if (apart > near_enough(nearest->wanted) || apart >= nearest->distance) {
        return;
    }
    uint32_t distance = distance_between(nearest->wanted, candidate);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

tm_slice tm_nearest_found(const tm_nearest *nearest)
{
    bool near = nearest->best.data && nearest->distance <= near_enough(nearest->wanted) &&
                nearest->distance < nearest->best.length;
    return near ? nearest->best : (tm_slice){0};
}

void tm_diagnostics_suggest(tm_diagnostics *diagnostics, const tm_nearest *nearest)
{
    tm_slice found = tm_nearest_found(nearest);
    if (found.data) {
        tm_diagnostics_hint(diagnostics, "did you mean '%.*s'?", (int)found.length, found.data);
    }
}
