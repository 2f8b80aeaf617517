#include "tidemark/rules/template.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    tm_format format;
    tm_type type;
} formats[] = {
    {"percent", TM_FORMAT_PERCENT, TM_TYPE_NUMBER},
    {"number", TM_FORMAT_NUMBER, TM_TYPE_NUMBER},
    {"duration", TM_FORMAT_DURATION, TM_TYPE_DURATION},
    {"date", TM_FORMAT_DATE, TM_TYPE_STRING},
};

enum { FORMATS = sizeof formats / sizeof *formats };

static tm_status fail(tm_expression_error *error, size_t offset, const char *message, const char *hint)
{
    *error = (tm_expression_error){.offset = offset, .length = 1};
    snprintf(error->message, sizeof error->message, "%s", message);
    snprintf(error->hint, sizeof error->hint, "%s", hint);
    return TM_REJECT;
}

static bool at_pair(tm_slice text, size_t at, char c)
{
    return at + 1 < text.length && text.data[at] == c && text.data[at + 1] == c;
}

/* Where the expression that begins at `from` ends ("}}") and where its format begins ('|'), quotes respected. */
static bool find_end(tm_slice text, size_t from, size_t *ret_bar, size_t *ret_end)
{
    char quote = '\0';
    *ret_bar = SIZE_MAX;
    for (size_t i = from; i < text.length; i++) {
        char c = text.data[i];
        if (quote) {
            i += c == '\\' ? 1 : 0;
            quote = c == quote ? '\0' : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (at_pair(text, i, '}')) {
            *ret_end = i;
            return true;
        } else if (c == '|' && *ret_bar == SIZE_MAX) {
            *ret_bar = i;
        }
    }
    return false;
}

static tm_slice trimmed(tm_slice text)
{
    while (text.length > 0 && text.data[0] == ' ') {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && text.data[text.length - 1] == ' ') {
        text.length--;
    }
    return text;
}

static tm_status read_format(tm_slice text, size_t from, size_t end, tm_summary_part *part, tm_type *ret_wanted,
                             tm_expression_error *error)
{
    tm_slice name = trimmed((tm_slice){text.data + from, end - from});
    tm_nearest nearest;
    tm_nearest_init(&nearest, name);
    for (size_t i = 0; i < FORMATS; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(formats[i].name));
        if (tm_slice_equal_text(name, formats[i].name)) {
            part->format = formats[i].format;
            *ret_wanted = formats[i].type;
            return TM_OK;
        }
    }
    tm_slice found = tm_nearest_found(&nearest);
    fail(error, (size_t)(name.data - text.data), "unknown format: percent, number, duration and date are known", "");
    if (found.data) {
        snprintf(error->hint, sizeof error->hint, "did you mean '%.*s'?", (int)found.length, found.data);
    }
    return TM_REJECT;
}

/* The value that begins at `*at`, just behind "{{"; leaves `*at` behind its "}}". */
static tm_status read_value(tm_program *program, const tm_expression_scope *scope, tm_slice text, size_t *at,
                            tm_summary_part *part, tm_expression_error *error)
{
    size_t bar;
    size_t end;
    size_t from = *at;
    if (!find_end(text, from, &bar, &end)) {
        return fail(error, from - 2, "'{{' without its '}}'", "");
    }
    tm_type wanted = TM_TYPE_ANY;
    size_t expression_end = end;
    if (bar != SIZE_MAX) {
        tm_status status = read_format(text, bar + 1, end, part, &wanted, error);
        if (status != TM_OK) {
            return status;
        }
        expression_end = bar;
    }
    tm_status status = tm_expression_compile(program, scope, (tm_slice){text.data + from, expression_end - from},
                                             wanted, &part->node, NULL, error);
    error->offset += from;
    *at = end + 2;
    return status;
}

tm_status tm_template_parse(tm_program *program, const tm_expression_scope *scope, tm_arena *arena, tm_slice text,
                            tm_summary_part **ret_parts, uint32_t *ret_count, tm_expression_error *ret_error)
{
    tm_summary_part parts[TM_SUMMARY_PARTS_MAX];
    uint32_t count = 0;
    size_t fixed = 0;
    size_t at = 0;
    while (at < text.length) {
        size_t from = at;
        while (at < text.length && !at_pair(text, at, '{')) {
            at++;
        }
        fixed += at - from;
        if (fixed > TM_SUMMARY_MAX) {
            return fail(ret_error, from, "the summary is too long", "");
        }
        if (count == TM_SUMMARY_PARTS_MAX) {
            return fail(ret_error, from, "the summary has too many values", "");
        }
        tm_summary_part *part = &parts[count++];
        *part = (tm_summary_part){.node = TM_NODE_NONE};
        part->text.data = tm_arena_copy(arena, text.data + from, at - from);
        part->text.length = at - from;
        if (!part->text.data) {
            return TM_FATAL;
        }
        if (at < text.length) {
            at += 2;
            tm_status status = read_value(program, scope, text, &at, part, ret_error);
            if (status != TM_OK) {
                return status;
            }
        }
    }
    *ret_count = count;
    *ret_parts = count > 0 ? tm_arena_take(arena, count * sizeof *parts) : NULL;
    if (count > 0) {
        if (!*ret_parts) {
            return TM_FATAL;
        }
        memcpy(*ret_parts, parts, count * sizeof *parts);
    }
    return TM_OK;
}
