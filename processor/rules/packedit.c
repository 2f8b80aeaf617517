#include "tidemark/rules/packedit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/calendar.h"
#include "tidemark/base/limits.h"
#include "tidemark/rules/packfile.h"
#include "tidemark/rules/yaml.h"

#define MARK "# tuned: "
enum { CHANGE_ROOM = 256 * 1024 };

/* Bytes start..end give way to a text. */
typedef struct change {
    size_t start, end, from, length; /* from, length: in `texts` */
} change;

typedef struct editor {
    tm_slice text;
    const tm_yaml_node *root;
    change *changes;
    size_t count, room;
    tm_buffer texts;
    tm_error *error;
} editor;

static tm_status refuse(const editor *e, const char *what, tm_slice name)
{
    int shown = name.length > TM_NAME_MAX ? TM_NAME_MAX : (int)name.length;
    return tm_fail(e->error, TM_REJECT, "the rules cannot be edited: %s '%.*s'", what, shown, name.data);
}

/* Everything written into `texts` since `from` takes the place of start..end. */
static tm_status put(editor *e, size_t start, size_t end, size_t from)
{
    if (e->count == e->room || e->texts.overflowed)
        return tm_fail(e->error, TM_FATAL, "out of memory");
    e->changes[e->count++] = (change){start, end, from, e->texts.length - from};
    return TM_OK;
}

static size_t line_of(const editor *e, size_t at)
{
    while (at > 0 && e->text.data[at - 1] != '\n')
        at--;
    return at;
}

static bool only_blanks(const editor *e, size_t from, size_t to)
{
    while (from < to && (e->text.data[from] == ' ' || e->text.data[from] == '-'))
        from++;
    return from == to;
}

/* A remark above the line of `at`, in its column; in place of earlier ones there. */
static tm_status remark(editor *e, size_t at, tm_slice text)
{
    size_t line = line_of(e, at);
    if (!text.data || !only_blanks(e, line, at))
        return TM_OK; /* inside a line, it could come to stand in a text */
    size_t first = line;
    while (first > 0) {
        size_t before = line_of(e, first - 1);
        size_t mark = before;
        while (mark < first && e->text.data[mark] == ' ')
            mark++;
        if (first - mark < sizeof MARK - 1 || memcmp(e->text.data + mark, MARK, sizeof MARK - 1) != 0)
            break;
        first = before;
    }
    size_t from = e->texts.length;
    for (size_t i = line; i < at; i++)
        tm_buffer_append_char(&e->texts, ' ');
    tm_buffer_append_text(&e->texts, MARK);
    tm_buffer_append_slice(&e->texts, text);
    tm_buffer_append_char(&e->texts, '\n');
    return put(e, first, line, from);
}

static bool is_quoted(const tm_yaml_node *node)
{
    return node->style == TM_YAML_SINGLE_QUOTED || node->style == TM_YAML_DOUBLE_QUOTED;
}

/* The last scalar of a node. */
static const tm_yaml_node *last_scalar(const tm_yaml_node *node)
{
    while (node->kind != TM_YAML_SCALAR && node->first) {
        node = node->first;
        while (node->next)
            node = node->next;
    }
    return node;
}

/* Where a list that begins behind `start` ends: behind its last number, and the brackets that are open there. */
static size_t end_of_list(const editor *e, size_t start, const tm_yaml_node *list)
{
    const tm_yaml_node *last = last_scalar(list);
    size_t inside = last->end + is_quoted(last);
    size_t end = inside;
    int open = 0;
    for (size_t i = start; i < e->text.length; i++) {
        char c = e->text.data[i];
        if (i >= inside && open == 0)
            break;
        if (c == '#' && i > start && (e->text.data[i - 1] == ' ' || e->text.data[i - 1] == '\n')) {
            while (i < e->text.length && e->text.data[i] != '\n')
                i++;
            continue;
        }
        open += (c == '[') - (c == ']');
        end = i >= inside ? i + 1 : end;
    }
    return end;
}

static void put_number(tm_buffer *out, double number, bool duration)
{
    char text[TM_TIME_TEXT];
    if (duration) {
        tm_duration_format((int64_t)number, text);
        tm_buffer_append_text(out, text);
    } else {
        tm_buffer_append_json_number(out, number);
    }
}

static tm_status edit_map(editor *e, const tm_packedit_factor *factor, const tm_yaml_node *map)
{
    size_t start = map->key->end + is_quoted(map->key);
    while (start < e->text.length && e->text.data[start] != ':')
        start++;
    start++;
    size_t from = e->texts.length;
    tm_buffer_append_text(&e->texts, " [");
    for (uint32_t i = 0; i < factor->points; i++) {
        tm_buffer_append_text(&e->texts, i ? ", [" : "[");
        put_number(&e->texts, factor->x[i], factor->duration);
        tm_buffer_append_text(&e->texts, ", ");
        put_number(&e->texts, factor->y[i], false);
        tm_buffer_append_char(&e->texts, ']');
    }
    tm_buffer_append_char(&e->texts, ']');
    return put(e, start, end_of_list(e, start, map), from);
}

static const tm_yaml_node *entry(const tm_yaml_node *map, tm_slice name)
{
    const tm_yaml_node *found = map && map->kind == TM_YAML_MAP ? map->first : NULL;
    while (found && !tm_slice_equal(found->key->text, name))
        found = found->next;
    return found;
}

static tm_status edit_factor(editor *e, const tm_packedit_factor *factor)
{
    const tm_yaml_node *card = entry(tm_yaml_get(e->root, "scorecards"), factor->card);
    const tm_yaml_node *node = entry(card, factor->name);
    const tm_yaml_node *map = tm_yaml_get(node, "map");
    const tm_yaml_node *weight = tm_yaml_get(node, "weight");
    if (!map || !weight || map->kind != TM_YAML_LIST || weight->kind != TM_YAML_SCALAR)
        return refuse(e, "there is no such factor,", factor->name);
    tm_status status = remark(e, node->key->start - is_quoted(node->key), factor->remark);
    if (status == TM_OK && factor->x)
        status = edit_map(e, factor, map);
    if (status == TM_OK && factor->weight > 0) {
        size_t from = e->texts.length;
        put_number(&e->texts, factor->weight, false);
        status = put(e, weight->start, weight->end, from);
    }
    return status;
}

static tm_status edit_limit(editor *e, const tm_document *source, const tm_packedit_limit *limit)
{
    const tm_yaml_node *rules = tm_yaml_get(e->root, "rules");
    const tm_yaml_node *rule = rules ? rules->first : NULL;
    while (rule && (!tm_yaml_get(rule, "name") || !tm_slice_equal(tm_yaml_get(rule, "name")->text, limit->rule)))
        rule = rule->next;
    const tm_yaml_node *when = tm_yaml_get(rule, "when");
    if (!when || limit->end > when->text.length)
        return refuse(e, "there is no such rule,", limit->rule);
    size_t start = tm_yaml_offset(source, when, limit->start);
    size_t length = limit->end - limit->start;
    if (start + length > e->text.length || memcmp(e->text.data + start, when->text.data + limit->start, length) != 0)
        return refuse(e, "its condition is not written as it reads, rule", limit->rule);
    tm_status status = remark(e, when->key->start - is_quoted(when->key), limit->remark);
    size_t from = e->texts.length;
    tm_buffer_append_slice(&e->texts, limit->number);
    return status == TM_OK ? put(e, start, start + length, from) : status;
}

static tm_status edit_heading(editor *e, tm_slice heading)
{
    size_t end = 0;
    while (e->text.length - end >= sizeof MARK - 1 && memcmp(e->text.data + end, MARK, sizeof MARK - 1) == 0)
        while (end < e->text.length && e->text.data[end++] != '\n') {
        }
    size_t from = e->texts.length;
    while (heading.length) {
        const char *cut = memchr(heading.data, '\n', heading.length);
        size_t length = cut ? (size_t)(cut - heading.data) : heading.length;
        tm_buffer_append_text(&e->texts, MARK);
        tm_buffer_append(&e->texts, heading.data, length);
        tm_buffer_append_char(&e->texts, '\n');
        length += cut != NULL;
        heading = (tm_slice){heading.data + length, heading.length - length};
    }
    return put(e, 0, end, from);
}

static tm_status raise_number(editor *e, const tm_yaml_node *version)
{
    size_t from = e->texts.length;
    tm_buffer_append_integer(&e->texts, strtoll(version->text.data, NULL, 10) + 1);
    return put(e, version->start, version->end, from);
}

/* A new entry before the first of a map, on a line of its own where that has one. */
static tm_status put_before(editor *e, const tm_yaml_node *map, const char *text)
{
    size_t at = map->first->key->start - is_quoted(map->first->key);
    size_t line = line_of(e, at);
    bool alone = only_blanks(e, line, at);
    size_t from = e->texts.length;
    for (size_t i = line; alone && i < at; i++)
        tm_buffer_append_char(&e->texts, ' ');
    tm_buffer_append_text(&e->texts, text);
    tm_buffer_append_text(&e->texts, alone ? "\n" : ", ");
    return put(e, alone ? line : at, alone ? line : at, from);
}

static tm_status put_edge(editor *e, const tm_yaml_node *bands, const char *name, double points)
{
    const tm_yaml_node *edge = tm_yaml_get(bands, name);
    size_t from = e->texts.length;
    if (edge) {
        put_number(&e->texts, points, false);
        return put(e, edge->start, edge->end, from);
    }
    char text[64];
    (void)snprintf(text, sizeof text, "%s: %.10g", name, points);
    return put_before(e, bands, text);
}

/* A card's version is 1 where it has none; `edges` is NULL where the bands stay. A card whose settings are written
   otherwise than as a map keeps them. */
static tm_status edit_card(editor *e, tm_slice name, const tm_packedit_bands *edges)
{
    const tm_yaml_node *card = entry(tm_yaml_get(e->root, "scorecards"), name);
    const tm_yaml_node *settings = tm_yaml_get(card, "card");
    const tm_yaml_node *version = tm_yaml_get(settings, "version");
    const tm_yaml_node *bands = tm_yaml_get(settings, "bands");
    tm_status status = TM_OK;
    char text[96] = "";
    char whole[160];
    if (!card || card->kind != TM_YAML_MAP || !card->first)
        return refuse(e, "there is no such card,", name);
    if (edges)
        (void)snprintf(text, sizeof text, "bands: {green: %.10g, yellow: %.10g}", edges->green, edges->yellow);
    if (!settings) {
        (void)snprintf(whole, sizeof whole, "card: {version: 2%s%s}", edges ? ", " : "", text);
        return put_before(e, card, whole);
    }
    if (settings->kind != TM_YAML_MAP || !settings->first)
        return TM_OK;
    if (!version)
        status = put_before(e, settings, "version: 2");
    else if (version->kind == TM_YAML_SCALAR)
        status = raise_number(e, version);
    if (status != TM_OK || !edges)
        return status;
    if (!bands)
        return put_before(e, settings, text);
    if (bands->kind == TM_YAML_MAP && bands->first) {
        status = put_edge(e, bands, "green", edges->green);
        status = status == TM_OK ? put_edge(e, bands, "yellow", edges->yellow) : status;
    }
    return status;
}

static tm_status raise_versions(editor *e, const tm_packedit *edit)
{
    const tm_yaml_node *version = tm_yaml_get(e->root, "version");
    if (!version || version->kind != TM_YAML_SCALAR)
        return refuse(e, "there is no", TM_SLICE_LITERAL("version"));
    tm_status status = raise_number(e, version);
    for (uint32_t i = 0; status == TM_OK && i < edit->factor_count; i++) {
        bool again = false;
        const tm_packedit_bands *edges = NULL;
        for (uint32_t j = 0; j < i; j++)
            again |= tm_slice_equal(edit->factors[i].card, edit->factors[j].card);
        for (uint32_t j = 0; j < edit->bands_count; j++)
            edges = tm_slice_equal(edit->factors[i].card, edit->bands[j].card) ? &edit->bands[j] : edges;
        if (!again)
            status = edit_card(e, edit->factors[i].card, edges);
    }
    return status;
}

static int by_place(const void *a, const void *b)
{
    const change *x = a;
    const change *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

/* Whatever was made has to be a rules file again: layouts that this does not foresee are told, not spoiled. */
static tm_status check(const editor *e, tm_slice made, const char *file_name)
{
    tm_pack *pack;
    tm_error inner;
    tm_status status = tm_packfile_parse(made, file_name, NULL, &pack, &inner);
    if (status == TM_OK)
        tm_pack_free(pack);
    if (status == TM_REJECT) {
        (void)tm_fail(e->error, TM_REJECT, "the rules cannot be edited as they are written: %s", inner.what);
        tm_error_hint(e->error, "write each factor as {value: …, map: [[0, 0], [1, 100]], weight: 1}");
    }
    return status;
}

tm_status tm_packedit_apply(tm_slice text, const char *file_name, const tm_packedit *edit, tm_buffer *out,
                            tm_error *error)
{
    editor e = {
        .text = text, .error = error, .room = 4 + 7 * (size_t)edit->factor_count + 2 * (size_t)edit->limit_count};
    tm_document source = {.name = file_name, .text = text};
    tm_arena *arena = tm_arena_new(0);
    tm_diagnostics *diagnostics = calloc(1, sizeof *diagnostics);
    tm_yaml_node *root = NULL;
    size_t begin = out->length;
    size_t at = 0;
    e.changes = calloc(e.room, sizeof *e.changes);
    tm_buffer_init(&e.texts, CHANGE_ROOM);
    tm_status status = arena && diagnostics && e.changes ? tm_yaml_parse(arena, &source, diagnostics, &root) : TM_FATAL;
    if (status == TM_REJECT)
        status = tm_diagnostics_status(diagnostics, error);
    e.root = root;
    if (status == TM_OK && edit->heading.data)
        status = edit_heading(&e, edit->heading);
    if (status == TM_OK && edit->raise)
        status = raise_versions(&e, edit);
    for (uint32_t i = 0; status == TM_OK && i < edit->factor_count; i++)
        status = edit_factor(&e, &edit->factors[i]);
    for (uint32_t i = 0; status == TM_OK && i < edit->limit_count; i++)
        status = edit_limit(&e, &source, &edit->limits[i]);
    if (status == TM_OK && e.texts.overflowed)
        status = tm_fail(error, TM_FATAL, "out of memory");
    if (status != TM_OK)
        goto out;
    if (e.count)
        qsort(e.changes, e.count, sizeof *e.changes, by_place);
    for (size_t i = 0; i < e.count; i++) {
        const change *c = &e.changes[i];
        if (c->start < at) {
            status = refuse(&e, "two changes meet at", (tm_slice){text.data + c->start, c->end - c->start});
            goto out;
        }
        tm_buffer_append(out, text.data + at, c->start - at);
        tm_buffer_append(out, e.texts.data + c->from, c->length);
        at = c->end;
    }
    tm_buffer_append(out, text.data + at, text.length - at);
    status = out->overflowed ? tm_fail(error, TM_FATAL, "out of memory")
                             : check(&e, (tm_slice){out->data + begin, out->length - begin}, file_name);
out:
    tm_buffer_done(&e.texts);
    free(e.changes);
    free(diagnostics);
    tm_arena_free_all(arena);
    return status;
}
