/* The reference reader: a jansson tree for the values, and a walk over the text, once it is known to be valid, for what
   a tree cannot tell: repeated keys and how many members stood there. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/jsontext.h"
#include "tidemark/codec/rawevent.h"

typedef struct reader {
    tm_raw_reader base;
    json_t *root; /* of the last record: the slices point into it */
    json_t *keys; /* unescaped keys that slices may point into */
} reader;

typedef struct walk {
    const tm_mapping *mapping;
    tm_raw_event *raw;
    json_t *keys;
    const char *at; /* in valid JSON */
    const char *end;
    bool seen[TM_MAPPING_NODES_MAX];
    bool failed; /* out of memory */
} walk;

static void skip_blanks(walk *w)
{
    w->at += tm_json_skip_blanks((tm_slice){w->at, (size_t)(w->end - w->at)}, 0);
}

static void skip_string(walk *w)
{
    for (w->at++; *w->at != '"'; w->at++)
        if (*w->at == '\\')
            w->at++;
    w->at++;
}

/* The key at hand, unescaped by jansson. */
static tm_slice take_key(walk *w)
{
    const char *start = w->at;
    skip_string(w);
    bool exhausted;
    json_error_t error;
    tm_slice text = {start, (size_t)(w->at - start)};
    json_t *key = tm_json_parse(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error, &exhausted);
    if (key == NULL || json_array_append_new(w->keys, key) != 0) {
        w->failed = true;
        return (tm_slice){"", 0};
    }
    return (tm_slice){json_string_value(key), json_string_length(key)};
}

/* Walks one value; `node` is what the mapping looks for in it, or -1. */
static void walk_value(walk *w, int16_t node)
{
    skip_blanks(w);
    char opening = *w->at;
    if (opening == '"') {
        skip_string(w);
        return;
    }
    if (opening != '{' && opening != '[') {
        while (w->at < w->end && strchr(",]} \t\r\n", *w->at) == NULL)
            w->at++;
        return;
    }
    int16_t children = node >= 0 ? w->mapping->nodes[node].child : -1;
    int16_t object = node >= 0 ? w->mapping->nodes[node].object : -1;
    for (w->at++, skip_blanks(w); *w->at != '}' && *w->at != ']'; skip_blanks(w)) {
        int16_t child = -1;
        if (opening == '{') {
            tm_slice key = take_key(w);
            if (w->failed)
                return;
            skip_blanks(w);
            w->at++; /* the colon */
            child = tm_mapping_find(w->mapping, children, key);
            if (object >= 0)
                tm_raw_event_member(w->raw, object, key);
            if (child >= 0 && w->seen[child]) {
                tm_raw_event_repeated(w->raw, key);
                child = -1;
            } else if (child >= 0) {
                w->seen[child] = true;
            }
        }
        walk_value(w, child);
        if (w->failed)
            return;
        skip_blanks(w);
        if (*w->at == ',')
            w->at++;
    }
    w->at++;
}

static tm_raw raw_of(tm_raw_event *raw, const json_t *value)
{
    tm_raw result = {.kind = TM_RAW_NULL};
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        result.kind = TM_RAW_OBJECT;
        break;
    case JSON_ARRAY:
        result.kind = TM_RAW_ARRAY;
        break;
    case JSON_STRING:
        result.kind = TM_RAW_STRING;
        result.text = (tm_slice){json_string_value(value), json_string_length(value)};
        if (memchr(result.text.data, '\0', result.text.length) != NULL)
            raw->escaped_nul = true;
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        result.kind = TM_RAW_NUMBER;
        result.number = json_number_value(value);
        break;
    case JSON_TRUE:
        result.kind = TM_RAW_TRUE;
        break;
    case JSON_FALSE:
        result.kind = TM_RAW_FALSE;
        break;
    case JSON_NULL:
        break;
    }
    return result;
}

/* Puts what the tree holds at the mapping's places. Only for records without repeated keys: member names were put by
   the walk, and then they are the tree's. */
static void fill(const tm_mapping *mapping, int16_t node, json_t *object, tm_raw_event *raw)
{
    int16_t first = mapping->nodes[node].child;
    for (int16_t at = first; at >= 0;) {
        json_t *value = json_object_getn(object, mapping->nodes[at].name.data, mapping->nodes[at].name.length);
        if (value != NULL) {
            raw->found[at] = raw_of(raw, value);
            if (json_is_object(value))
                fill(mapping, at, value, raw);
        }
        at = mapping->nodes[at].next;
        if (at == first)
            break;
    }
    int16_t collected = mapping->nodes[node].object;
    if (collected < 0)
        return;
    for (uint32_t i = 0; i < raw->member_counts[collected] && i < TM_PROPERTIES_MAX; i++) {
        tm_raw_member *member = &raw->members[collected][i];
        member->value = raw_of(raw, json_object_getn(object, member->name.data, member->name.length));
    }
}

static tm_status collect(tm_raw_reader *base, const tm_mapping *mapping, int16_t root, tm_slice text,
                         tm_raw_event *ret_raw, tm_dead_reason *ret_reason)
{
    reader *self = (reader *)base;
    tm_raw_event_begin(ret_raw, mapping);
    json_decref(self->root);
    json_array_clear(self->keys);
    tm_status status = tm_json_load(text, false, &self->root, ret_reason);
    if (status != TM_OK)
        return status;
    walk w = {.mapping = mapping, .raw = ret_raw, .keys = self->keys, .at = text.data, .end = text.data + text.length};
    walk_value(&w, root);
    if (w.failed)
        return TM_FATAL;
    if (!ret_raw->duplicate)
        fill(mapping, root, self->root, ret_raw);
    return TM_OK;
}

static void reader_free(tm_raw_reader *base)
{
    reader *self = (reader *)base;
    json_decref(self->root);
    json_decref(self->keys);
    free(self);
}

tm_raw_reader *tm_raw_reader_jansson_new(void)
{
    reader *self = calloc(1, sizeof *self);
    json_t *keys = json_array();
    if (self == NULL || keys == NULL) {
        free(self);
        json_decref(keys);
        return NULL;
    }
    self->base = (tm_raw_reader){.name = "jansson", .collect = collect, .free = reader_free};
    self->keys = keys;
    return &self->base;
}
