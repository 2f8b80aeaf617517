#include "tidemark/codec/mapping.h"

#include <stdlib.h>
#include <string.h>

static int16_t add_node(tm_mapping *mapping, tm_slice name)
{
    int16_t node = (int16_t)mapping->node_count++;
    mapping->nodes[node] = (tm_mapping_node){.name = name, .child = -1, .next = node, .object = -1};
    return node;
}

/* The child of that name, made at the end of the ring when it was not there. `child` of a node is its first child; the
   ring is closed by the last one. */
static int16_t child_node(tm_mapping *mapping, int16_t parent, tm_slice name)
{
    int16_t first = mapping->nodes[parent].child;
    int16_t last = first;
    for (int16_t at = first; at >= 0;) {
        if (tm_slice_equal(mapping->nodes[at].name, name))
            return at;
        last = at;
        at = mapping->nodes[at].next;
        if (at == first)
            break;
    }
    int16_t node = add_node(mapping, name);
    if (first < 0) {
        mapping->nodes[parent].child = node;
    } else {
        mapping->nodes[last].next = node;
        mapping->nodes[node].next = first;
    }
    return node;
}

/* The node of a path a.b.c below `root`; -1 when a name is empty or there are too many. */
static int16_t path_node(tm_mapping *mapping, int16_t root, tm_slice path)
{
    int16_t node = root;
    size_t start = 0;
    int depth = 0;
    for (size_t i = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '.')
            continue;
        if (i == start || ++depth > TM_MAPPING_DEPTH_MAX)
            return -1;
        node = child_node(mapping, node, (tm_slice){path.data + start, i - start});
        start = i + 1;
    }
    return node;
}

static void add_choice(tm_mapping *mapping, tm_mapping_plan *plan, uint8_t target, tm_origin origin, tm_slice text,
                       bool lenient)
{
    tm_mapping_choice choice = {
        .target = target, .origin = (uint8_t)origin, .lenient = lenient, .node = -1, .object = -1, .text = text};
    if (origin == TM_ORIGIN_PATH)
        choice.node = path_node(mapping, plan->root, text);
    if (origin == TM_ORIGIN_HEADER)
        mapping->needs_headers = true;
    if (target == TM_TARGET_PROPERTIES && choice.node >= 0) {
        tm_mapping_node *node = &mapping->nodes[choice.node];
        if (node->object < 0)
            node->object = (int16_t)mapping->object_count++;
        choice.object = node->object;
    }
    plan->choices[plan->choice_count++] = choice;
}

/* Sorts the choices by target, keeping their order within one, and notes where each target begins. */
static void finish_plan(tm_mapping_plan *plan)
{
    for (uint16_t i = 1; i < plan->choice_count; i++) {
        tm_mapping_choice choice = plan->choices[i];
        uint16_t at = i;
        for (; at > 0 && plan->choices[at - 1].target > choice.target; at--)
            plan->choices[at] = plan->choices[at - 1];
        plan->choices[at] = choice;
    }
    uint16_t at = 0;
    for (int target = 0; target < TM_TARGET_PROPERTY; target++) {
        plan->first[target] = at;
        while (at < plan->choice_count && plan->choices[at].target == target)
            at++;
    }
    plan->first[TM_TARGET_PROPERTY] = at;
    plan->first[TM_TARGET_PROPERTY + 1] = plan->choice_count;
}

static tm_mapping *new_mapping(tm_mapping_kind kind, const char *name)
{
    tm_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL)
        return NULL;
    mapping->kind = kind;
    mapping->name = name;
    for (size_t i = 0; i < sizeof mapping->plans / sizeof mapping->plans[0]; i++) {
        mapping->plans[i].root = -1;
        mapping->plans[i].version = -1;
        mapping->plans[i].base64 = -1;
    }
    add_node(mapping, (tm_slice){"", 0});
    mapping->plans[0].root = 0;
    return mapping;
}

typedef struct line {
    tm_target target;
    const char *path;
} line;

static void add_lines(tm_mapping *mapping, tm_mapping_plan *plan, const line *lines, size_t count, tm_origin origin,
                      bool lenient)
{
    for (size_t i = 0; i < count; i++)
        add_choice(mapping, plan, (uint8_t)lines[i].target, origin, tm_slice_of(lines[i].path), lenient);
}

#define ADD(mapping, plan, lines, origin, lenient)                                                                     \
    add_lines(mapping, plan, lines, sizeof(lines) / sizeof((lines)[0]), origin, lenient)

static const line native_lines[] = {
    {TM_TARGET_ID, "id"},       {TM_TARGET_SOURCE, "source"},         {TM_TARGET_ACCOUNT, "account"},
    {TM_TARGET_USER, "user"},   {TM_TARGET_EVENT, "event"},           {TM_TARGET_AT, "at"},
    {TM_TARGET_VALUE, "value"}, {TM_TARGET_PROPERTIES, "properties"},
};

tm_mapping *tm_mapping_native(void)
{
    tm_mapping *mapping = new_mapping(TM_MAPPING_PLAIN, "native");
    if (mapping == NULL)
        return NULL;
    ADD(mapping, &mapping->plans[0], native_lines, TM_ORIGIN_PATH, false);
    finish_plan(&mapping->plans[0]);
    return mapping;
}

static void add_structured(tm_mapping *mapping, tm_mapping_plan *plan)
{
    static const line lines[] = {
        {TM_TARGET_ID, "id"},
        {TM_TARGET_SOURCE, "source"},
        {TM_TARGET_EVENT, "type"},
        {TM_TARGET_ACCOUNT, "subject"},
        {TM_TARGET_AT, "time"},
        {TM_TARGET_USER, "data.user"},
        {TM_TARGET_VALUE, "data.value"},
        {TM_TARGET_PROPERTIES, "data.properties"},
    };
    plan->root = 0;
    plan->cloudevents = true;
    plan->version = path_node(mapping, 0, tm_slice_of("specversion"));
    ADD(mapping, plan, lines, TM_ORIGIN_PATH, false);
    plan->base64 = path_node(mapping, 0, tm_slice_of("data_base64"));
    finish_plan(plan);
}

static void add_binary(tm_mapping *mapping, tm_mapping_plan *plan)
{
    static const line headers[] = {
        {TM_TARGET_ID, "ce_id"},           {TM_TARGET_SOURCE, "ce_source"}, {TM_TARGET_EVENT, "ce_type"},
        {TM_TARGET_ACCOUNT, "ce_subject"}, {TM_TARGET_AT, "ce_time"},
    };
    static const line lines[] = {
        {TM_TARGET_USER, "user"}, {TM_TARGET_VALUE, "value"}, {TM_TARGET_PROPERTIES, "properties"}};
    plan->root = add_node(mapping, (tm_slice){"", 0});
    plan->cloudevents = true;
    ADD(mapping, plan, headers, TM_ORIGIN_HEADER, false);
    ADD(mapping, plan, lines, TM_ORIGIN_PATH, false);
    finish_plan(plan);
}

tm_mapping *tm_mapping_cloudevents(void)
{
    tm_mapping *mapping = new_mapping(TM_MAPPING_CLOUDEVENTS, "cloudevents");
    if (mapping == NULL)
        return NULL;
    add_structured(mapping, &mapping->plans[0]);
    add_binary(mapping, &mapping->plans[1]);
    return mapping;
}

tm_mapping *tm_mapping_auto(void)
{
    tm_mapping *mapping = new_mapping(TM_MAPPING_AUTO, "auto");
    if (mapping == NULL)
        return NULL;
    /* One tree of names for both forms, since a record shows its form only once it is read; native names first. */
    mapping->plans[2].root = 0;
    ADD(mapping, &mapping->plans[2], native_lines, TM_ORIGIN_PATH, false);
    finish_plan(&mapping->plans[2]);
    add_structured(mapping, &mapping->plans[0]);
    add_binary(mapping, &mapping->plans[1]);
    return mapping;
}

tm_mapping *tm_mapping_segment(void)
{
    static const line lines[] = {
        {TM_TARGET_ID, "messageId"},
        {TM_TARGET_USER, "userId"},
        {TM_TARGET_EVENT, "event"},
        {TM_TARGET_ACCOUNT, "groupId"},
        {TM_TARGET_ACCOUNT, "context.groupId"},
        {TM_TARGET_AT, "timestamp"},
    };
    static const line lenient[] = {{TM_TARGET_PROPERTIES, "properties"},
                                   {TM_TARGET_VALUE, "properties.value"},
                                   {TM_TARGET_VALUE, "properties.revenue"}};
    tm_mapping *mapping = new_mapping(TM_MAPPING_PLAIN, "segment");
    if (mapping == NULL)
        return NULL;
    ADD(mapping, &mapping->plans[0], lines, TM_ORIGIN_PATH, false);
    ADD(mapping, &mapping->plans[0], lenient, TM_ORIGIN_PATH, true);
    finish_plan(&mapping->plans[0]);
    return mapping;
}

tm_status tm_mapping_named(tm_slice name, tm_mapping **ret_mapping, tm_error *error)
{
    static const struct {
        const char *name;
        tm_mapping *(*make)(void);
    } all[] = {{"native", tm_mapping_native},
               {"auto", tm_mapping_auto},
               {"cloudevents", tm_mapping_cloudevents},
               {"segment", tm_mapping_segment}};
    *ret_mapping = NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (tm_slice_equal_text(name, all[i].name)) {
            *ret_mapping = all[i].make();
            return *ret_mapping != NULL ? TM_OK : tm_fail(error, TM_FATAL, "out of memory");
        }
    tm_fail(error, TM_REJECT, "there is no mapping '%.*s'", (int)(name.length < 64 ? name.length : 64),
            name.data != NULL ? name.data : "");
    tm_error_hint(error, "native, auto, cloudevents, segment, or a list of fields and paths");
    return TM_REJECT;
}

static const char *const target_names[TM_TARGET_PROPERTY] = {"id",   "account", "event", "at",
                                                             "user", "source",  "value", "properties"};

static int shown(tm_slice text)
{
    return text.length < 100 ? (int)text.length : 100;
}

static tm_slice after(tm_slice text, size_t from)
{
    return (tm_slice){text.data + from, text.length - from};
}

/* The target of a name; single properties are numbered as they come. -1: no such field. */
static int find_target(tm_mapping *mapping, tm_slice name)
{
    for (int i = 0; i < TM_TARGET_PROPERTY; i++)
        if (tm_slice_equal_text(name, target_names[i]))
            return i;
    static const char prefix[] = "properties.";
    size_t skip = sizeof prefix - 1;
    if (!tm_slice_has_prefix(name, tm_slice_of(prefix)) || name.length == skip ||
        name.length - skip > TM_PROPERTY_NAME_MAX)
        return -1;
    tm_slice property = after(name, skip);
    for (int i = 0; i < mapping->property_count; i++)
        if (tm_slice_equal(mapping->property_names[i], property))
            return TM_TARGET_PROPERTY + i;
    mapping->property_names[mapping->property_count] = property;
    return TM_TARGET_PROPERTY + mapping->property_count++;
}

static tm_status add_pair(tm_mapping *mapping, const tm_mapping_pair *pair, tm_error *error)
{
    static const char header[] = "$header.";
    tm_mapping_plan *plan = &mapping->plans[0];
    int target = find_target(mapping, pair->target);
    if (target < 0) {
        tm_fail(error, TM_REJECT, "there is no field '%.*s' to map to", shown(pair->target), pair->target.data);
        tm_error_hint(error, "id, account, event, at, user, source, value, properties or properties.NAME");
        return TM_REJECT;
    }
    tm_slice path = pair->path;
    if (path.data == NULL && pair->constant.data == NULL)
        return tm_fail(error, TM_REJECT, "field '%.*s' has neither a path nor a constant", shown(pair->target),
                       pair->target.data);
    if (path.data == NULL) {
        /* a constant alone */
    } else if (tm_slice_equal_text(path, "$key")) {
        if (target != TM_TARGET_ACCOUNT)
            return tm_fail(error, TM_REJECT, "only account can be taken from the key");
        add_choice(mapping, plan, (uint8_t)target, TM_ORIGIN_KEY, path, false);
    } else if (tm_slice_has_prefix(path, tm_slice_of(header)) && path.length > sizeof header - 1) {
        if (target == TM_TARGET_PROPERTIES || target == TM_TARGET_VALUE)
            return tm_fail(error, TM_REJECT, "a header is text: it can give no %s", target_names[target]);
        add_choice(mapping, plan, (uint8_t)target, TM_ORIGIN_HEADER, after(path, sizeof header - 1), false);
    } else {
        if (path.length > 0 && path.data[0] == '$')
            return tm_fail(error, TM_REJECT, "'%.*s' is neither $key nor $header.NAME", shown(path), path.data);
        if (target == TM_TARGET_PROPERTIES && mapping->object_count == TM_MAPPING_OBJECTS_MAX)
            return tm_fail(error, TM_REJECT, "at most %d paths can give properties", (int)TM_MAPPING_OBJECTS_MAX);
        if (path_node(mapping, plan->root, path) < 0)
            return tm_fail(error, TM_REJECT, "'%.*s' is no path of one to %d names separated by dots", shown(path),
                           path.data, (int)TM_MAPPING_DEPTH_MAX);
        add_choice(mapping, plan, (uint8_t)target, TM_ORIGIN_PATH, path, false);
    }
    if (pair->constant.data != NULL) {
        if (target != TM_TARGET_EVENT && target != TM_TARGET_SOURCE && target < TM_TARGET_PROPERTY)
            return tm_fail(error, TM_REJECT, "a constant %s makes no sense", target_names[target]);
        size_t maximum = target == TM_TARGET_EVENT    ? TM_EVENT_NAME_MAX
                         : target == TM_TARGET_SOURCE ? TM_SOURCE_MAX
                                                      : TM_PROPERTY_TEXT_MAX;
        if (pair->constant.length > maximum || !tm_utf8_valid(pair->constant) ||
            memchr(pair->constant.data, '\0', pair->constant.length) != NULL)
            return tm_fail(error, TM_REJECT, "the constant is no text of at most %zu bytes", maximum);
        add_choice(mapping, plan, (uint8_t)target, TM_ORIGIN_CONSTANT, pair->constant, false);
    }
    return TM_OK;
}

tm_status tm_mapping_custom(const tm_mapping_pair *pairs, size_t count, tm_mapping **ret_mapping, size_t *ret_pair,
                            tm_error *error)
{
    *ret_mapping = NULL;
    *ret_pair = count < TM_MAPPING_PAIRS_MAX ? count : TM_MAPPING_PAIRS_MAX;
    if (count > TM_MAPPING_PAIRS_MAX)
        return tm_fail(error, TM_REJECT, "a mapping has at most %d lines", (int)TM_MAPPING_PAIRS_MAX);
    tm_mapping *mapping = new_mapping(TM_MAPPING_PLAIN, "custom");
    size_t length = 1;
    for (size_t i = 0; i < count; i++)
        length += pairs[i].target.length + pairs[i].path.length + pairs[i].constant.length;
    tm_status status = TM_FATAL;
    if (mapping == NULL || (mapping->texts = malloc(length)) == NULL) {
        tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    char *free_text = mapping->texts;
    for (size_t i = 0; i < count; i++) {
        tm_mapping_pair copy = pairs[i];
        tm_slice *parts[] = {&copy.target, &copy.path, &copy.constant};
        for (size_t part = 0; part < 3; part++)
            if (parts[part]->data != NULL) {
                memcpy(free_text, parts[part]->data, parts[part]->length);
                parts[part]->data = free_text;
                free_text += parts[part]->length;
            }
        *ret_pair = i;
        status = add_pair(mapping, &copy, error);
        if (status != TM_OK)
            goto out;
    }
    *ret_pair = count;
    tm_mapping_plan *plan = &mapping->plans[0];
    finish_plan(plan);
    for (int target = TM_TARGET_ID; target <= TM_TARGET_AT; target++)
        if (plan->first[target] == plan->first[target + 1]) {
            status = tm_fail(error, TM_REJECT, "no line says where %s comes from", target_names[target]);
            tm_error_hint(error, "id, account, event and at are needed");
            goto out;
        }
    *ret_mapping = mapping;
    mapping = NULL;
out:
    tm_mapping_free(mapping);
    return status;
}

void tm_mapping_free(tm_mapping *mapping)
{
    if (mapping == NULL)
        return;
    free(mapping->texts);
    free(mapping);
}
