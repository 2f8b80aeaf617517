#include "tidemark/rules/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <string.h>

#include "tidemark/base/limits.h"

typedef struct builder {
    tm_arena *arena;
    const tm_document *source;
    tm_diagnostics *diagnostics;
    struct fy_parser *parser;
    uint32_t nodes;
    size_t last; /* end of the scalar read last: where an absent value stands */
    tm_status status;
} builder;

static void refuse(builder *b, size_t offset, const char *message, const char *hint)
{
    tm_diagnostics_add(b->diagnostics, b->source, offset, "%s", message);
    tm_diagnostics_hint(b->diagnostics, "%s", hint);
    b->status = TM_REJECT;
}

static tm_yaml_node *new_node(builder *b, tm_yaml_kind kind, size_t start)
{
    if (++b->nodes > TM_YAML_NODES_MAX) {
        refuse(b, start, "the file has too many entries", "");
        return NULL;
    }
    tm_yaml_node *node = tm_arena_take(b->arena, sizeof *node);
    if (!node) {
        b->status = TM_FATAL;
        return NULL;
    }
    node->kind = kind;
    node->start = node->end = start;
    return node;
}

/* A tag's or scalar's text. The library's own call for it loses memory on scalars of many escapes or lines, so the
   pieces are collected here. */
static bool copy_text(builder *b, struct fy_token *token, tm_slice *ret_text)
{
    tm_buffer text;
    tm_buffer_init(&text, TM_PACK_FILE_MAX);
    struct fy_token_iter *iterator = fy_token_iter_create(token);
    const struct fy_iter_chunk *chunk = NULL;
    int failed = 0;
    while (iterator && (chunk = fy_token_iter_chunk_next(iterator, chunk, &failed))) {
        tm_buffer_append(&text, chunk->str, chunk->len);
    }
    fy_token_iter_destroy(iterator);
    tm_slice joined = tm_buffer_slice(&text);
    char *copy = tm_arena_copy(b->arena, joined.length > 0 ? joined.data : "", joined.length);
    *ret_text = (tm_slice){copy, joined.length};
    bool complete = iterator && !text.overflowed && copy;
    tm_buffer_done(&text);
    if (failed && errno != ENOMEM) {
        refuse(b, b->last, "not YAML: a text that cannot be read", "");
    } else if (!complete || failed) {
        b->status = TM_FATAL;
    }
    return b->status == TM_OK;
}

static size_t mark_of(const builder *b, const struct fy_mark *mark)
{
    /* What is not in the text (an absent value) has a mark without a line. */
    if (!mark || mark->line < 0 || mark->input_pos > b->source->text.length) {
        return b->last;
    }
    return mark->input_pos;
}

static tm_yaml_style style_of(struct fy_token *token)
{
    switch (fy_token_scalar_style(token)) {
    case FYSS_SINGLE_QUOTED:
        return TM_YAML_SINGLE_QUOTED;
    case FYSS_DOUBLE_QUOTED:
        return TM_YAML_DOUBLE_QUOTED;
    case FYSS_LITERAL:
    case FYSS_FOLDED:
        return TM_YAML_BLOCK;
    default:
        return TM_YAML_PLAIN;
    }
}

static tm_yaml_node *build_scalar(builder *b, struct fy_event *event)
{
    struct fy_token *token = event->scalar.value;
    tm_yaml_node *node = new_node(b, TM_YAML_SCALAR, mark_of(b, fy_event_start_mark(event)));
    if (!node || !copy_text(b, token, &node->text)) {
        return NULL;
    }
    node->style = style_of(token);
    node->end = mark_of(b, fy_event_end_mark(event));
    if (node->end < node->start) {
        node->end = node->start;
    }
    b->last = node->end;
    if (event->scalar.tag && !copy_text(b, event->scalar.tag, &node->tag)) {
        return NULL;
    }
    return node;
}

static tm_yaml_node *build(builder *b, struct fy_event *event, uint32_t depth);

static struct fy_event *next_event(builder *b)
{
    struct fy_event *event = fy_parser_parse(b->parser);
    if (!event && b->status == TM_OK) {
        /* What was wrong is in the parser's own list; that it wants memory, only the allocator says. */
        b->status = errno == ENOMEM ? TM_FATAL : TM_REJECT;
    }
    return event;
}

/* Reads the next event and builds what it begins; NULL at the end of the collection, or when b->status is set. */
static tm_yaml_node *build_next(builder *b, uint32_t depth)
{
    struct fy_event *event = next_event(b);
    if (!event) {
        return NULL;
    }
    tm_yaml_node *node = NULL;
    if (event->type != FYET_SEQUENCE_END && event->type != FYET_MAPPING_END) {
        node = build(b, event, depth);
    }
    fy_parser_event_free(b->parser, event);
    return node;
}

static bool key_is_fine(builder *b, const tm_yaml_node *map, const tm_yaml_node *key)
{
    if (key->kind != TM_YAML_SCALAR || key->text.length == 0) {
        refuse(b, key->start, "a key must be a plain text", "");
        return false;
    }
    if (key->style == TM_YAML_PLAIN && tm_slice_equal_text(key->text, "<<")) {
        refuse(b, key->start, "merge keys are not supported", "write the entries out");
        return false;
    }
    for (const tm_yaml_node *entry = map->first; entry; entry = entry->next) {
        if (tm_slice_equal(entry->key->text, key->text)) {
            int length = key->text.length > 64 ? 64 : (int)key->text.length;
            tm_diagnostics_add(b->diagnostics, b->source, key->start, "'%.*s' is given twice", length, key->text.data);
            b->status = TM_REJECT;
            return false;
        }
    }
    return true;
}

static tm_yaml_node *build_collection(builder *b, tm_yaml_kind kind, size_t start, uint32_t depth)
{
    tm_yaml_node *collection = new_node(b, kind, start);
    if (!collection) {
        return NULL;
    }
    if (depth >= TM_YAML_DEPTH_MAX) {
        refuse(b, start, "nested too deeply", "");
        return NULL;
    }
    tm_yaml_node **tail = &collection->first;
    for (;;) {
        tm_yaml_node *entry = build_next(b, depth + 1);
        if (entry && kind == TM_YAML_MAP) {
            tm_yaml_node *key = entry;
            entry = key_is_fine(b, collection, key) ? build_next(b, depth + 1) : NULL;
            if (entry) {
                entry->key = key;
            }
        }
        if (!entry) {
            return b->status == TM_OK ? collection : NULL;
        }
        if (collection->count == 0 && depth > 0) {
            collection->start = collection->end = entry->key ? entry->key->start : collection->start;
        }
        if (++collection->count > TM_YAML_ENTRIES_MAX) {
            refuse(b, entry->start, "too many entries in one list or map", "");
            return NULL;
        }
        *tail = entry;
        tail = &entry->next;
    }
}

static tm_yaml_node *build(builder *b, struct fy_event *event, uint32_t depth)
{
    size_t start = mark_of(b, fy_event_start_mark(event));
    struct fy_token *anchor = NULL;
    struct fy_token *tag = NULL;
    tm_yaml_kind kind = TM_YAML_MAP;
    switch (event->type) {
    case FYET_SCALAR:
        anchor = event->scalar.anchor;
        kind = TM_YAML_SCALAR;
        break;
    case FYET_SEQUENCE_START:
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
        kind = TM_YAML_LIST;
        break;
    case FYET_MAPPING_START:
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
        break;
    default: /* FYET_ALIAS, whose mark is behind its '*' */
        start -= start > 0 && b->source->text.data[start - 1] == '*' ? 1 : 0;
        refuse(b, start, "anchors and aliases are not supported", "write the text out where it is used");
        return NULL;
    }
    if (anchor) {
        refuse(b, start, "anchors and aliases are not supported", "write the text out where it is used");
        return NULL;
    }
    if (tag) {
        refuse(b, start, "a list or map takes no tag", "");
        return NULL;
    }
    return kind == TM_YAML_SCALAR ? build_scalar(b, event) : build_collection(b, kind, start, depth);
}

/* Reads up to the one document's root; everything after it must be the end. */
static tm_yaml_node *build_document(builder *b)
{
    tm_yaml_node *root = NULL;
    bool started = false;
    for (;;) {
        struct fy_event *event = next_event(b);
        if (!event) {
            return NULL;
        }
        enum fy_event_type type = event->type;
        if (type == FYET_DOCUMENT_START) {
            if (started) {
                refuse(b, mark_of(b, fy_event_start_mark(event)), "the file holds more than one document",
                       "remove the '---' between them");
            }
            started = true;
        } else if (type != FYET_STREAM_START && type != FYET_DOCUMENT_END && type != FYET_STREAM_END) {
            root = build(b, event, 0);
        }
        fy_parser_event_free(b->parser, event);
        if (b->status != TM_OK || type == FYET_STREAM_END) {
            return root;
        }
    }
}

static void take_parser_errors(builder *b, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *error;
    while ((error = fy_diag_errors_iterate(diag, &at))) {
        uint32_t line = error->line > 0 ? (uint32_t)error->line : 1;
        uint32_t column = error->column > 0 ? (uint32_t)error->column : 1;
        tm_diagnostics_add(b->diagnostics, b->source, tm_document_offset(b->source, line, column), "not YAML: %s",
                           error->msg ? error->msg : "unknown");
    }
    if (b->diagnostics->count == 0) {
        tm_diagnostics_add(b->diagnostics, b->source, b->last, "not YAML");
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where libfyaml 0.7 frees what it has freed: behind a '?' that stands alone (a key of its own line), at a tab that
   follows a ':'. Every text of eight characters that it fell over had both (checked over the characters that mean
   something to it). SIZE_MAX: nowhere. */
static size_t fatal_tab(tm_slice text)
{
    bool alone = false;
    for (size_t i = 0; i < text.length; i++) {
        alone = alone || (text.data[i] == '?' && (i == 0 || is_space(text.data[i - 1])) &&
                          (i + 1 == text.length || is_space(text.data[i + 1])));
        size_t at = i + 1;
        while (alone && text.data[i] == ':' && at < text.length && text.data[at] == ' ')
            at++;
        if (alone && text.data[i] == ':' && at < text.length && text.data[at] == '\t')
            return at;
    }
    return SIZE_MAX;
}

static bool text_is_fine(builder *b)
{
    tm_slice text = b->source->text;
    if (text.length > TM_PACK_FILE_MAX) {
        tm_diagnostics_add(b->diagnostics, b->source, 0, "the file has more than %d bytes", TM_PACK_FILE_MAX);
        return false;
    }
    const char *nul = text.length > 0 ? memchr(text.data, '\0', text.length) : NULL;
    if (nul) {
        tm_diagnostics_add(b->diagnostics, b->source, (size_t)(nul - text.data), "the file holds a NUL byte");
        return false;
    }
    if (text.length > 0 && !tm_utf8_valid(text)) {
        tm_diagnostics_add(b->diagnostics, b->source, 0, "the file is not UTF-8");
        return false;
    }
    size_t tab = fatal_tab(text);
    if (tab != SIZE_MAX) {
        refuse(b, tab, "a tab after ':', in a file with a '?' that stands alone before it", "write blanks for the tab");
        return false;
    }
    return true;
}

tm_status tm_yaml_parse(tm_arena *arena, const tm_document *source, tm_diagnostics *diagnostics,
                        tm_yaml_node **ret_root)
{
    builder b = {.arena = arena, .source = source, .diagnostics = diagnostics};
    *ret_root = NULL;
    if (!text_is_fine(&b)) {
        return TM_REJECT;
    }
    if (source->text.length == 0) {
        return TM_OK;
    }
    errno = 0;
    struct fy_diag_cfg diag_configuration;
    fy_diag_cfg_default(&diag_configuration);
    diag_configuration.fp = NULL;
    diag_configuration.output_fn = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_configuration);
    if (!diag) {
        return TM_FATAL;
    }
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg configuration = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
    b.parser = fy_parser_create(&configuration);
    tm_yaml_node *root = NULL;
    if (!b.parser || fy_parser_set_string(b.parser, source->text.data, source->text.length) != 0) {
        b.status = TM_FATAL;
    } else {
        root = build_document(&b);
        if (b.status == TM_REJECT && diagnostics->count == 0) {
            take_parser_errors(&b, diag);
        }
    }
    if (errno == ENOMEM) { /* what the parser gave may lack what it could not hold */
        b.status = TM_FATAL;
    }
    fy_parser_destroy(b.parser);
    fy_diag_destroy(diag);
    *ret_root = b.status == TM_OK ? root : NULL;
    return b.status;
}

tm_yaml_node *tm_yaml_get(const tm_yaml_node *map, const char *key)
{
    if (!map || map->kind != TM_YAML_MAP) {
        return NULL;
    }
    for (tm_yaml_node *entry = map->first; entry; entry = entry->next) {
        if (tm_slice_equal_text(entry->key->text, key)) {
            return entry;
        }
    }
    return NULL;
}

bool tm_yaml_is_null(const tm_yaml_node *node)
{
    if (!node) {
        return true;
    }
    return node->kind == TM_YAML_SCALAR && node->style == TM_YAML_PLAIN &&
           (node->text.length == 0 || tm_slice_equal_text(node->text, "~") || tm_slice_equal_text(node->text, "null"));
}

/* Bytes of source that one escape of a double-quoted scalar takes. */
static size_t escape_length(char kind)
{
    switch (kind) {
    case 'x':
        return 4;
    case 'u':
        return 6;
    case 'U':
        return 10;
    default:
        return 2;
    }
}

/* A line continued with a backslash: nothing of it is in the text. */
static bool continues(const tm_document *source, const tm_yaml_node *node, size_t at)
{
    const char *from = source->text.data;
    return node->style == TM_YAML_DOUBLE_QUOTED && at + 1 < node->end && from[at] == '\\' &&
           (from[at + 1] == '\n' || from[at + 1] == '\r');
}

/* Walks text and source side by side. Runs of white space are matched as wholes, since folding and indentation change
   them; everything else is byte for byte, but for the escapes of quoted styles. */
size_t tm_yaml_offset(const tm_document *source, const tm_yaml_node *node, size_t offset)
{
    const char *from = source->text.data;
    size_t at = node->start;
    size_t i = 0;
    bool leading = node->style == TM_YAML_BLOCK;
    while (at < node->end && (i < offset || leading || continues(source, node, at))) {
        bool text_space = i < node->text.length && is_space(node->text.data[i]);
        if (continues(source, node, at)) {
            do {
                at++;
            } while (at < node->end && is_space(from[at]));
        } else if (is_space(from[at]) && (text_space || leading)) {
            size_t run = 0;
            while (i + run < node->text.length && is_space(node->text.data[i + run])) {
                run++;
            }
            if (offset < i + run) {
                return at + (offset - i) < node->end ? at + (offset - i) : at;
            }
            i += run;
            while (at < node->end && is_space(from[at])) {
                at++;
            }
        } else if (node->style == TM_YAML_DOUBLE_QUOTED && from[at] == '\\' && at + 1 < node->end) {
            at += escape_length(from[at + 1]);
            i++;
            while (i < node->text.length && ((unsigned char)node->text.data[i] & 0xC0) == 0x80) {
                i++;
            }
        } else if (node->style == TM_YAML_SINGLE_QUOTED && from[at] == '\'') {
            at += 2;
            i++;
        } else if (i < node->text.length && from[at] == node->text.data[i]) {
            at++;
            i++;
        } else {
            return node->start;
        }
        leading = false;
    }
    return at < node->end ? at : node->end;
}
