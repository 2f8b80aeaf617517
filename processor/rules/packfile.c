/* Long because: the keys of a rules file, one function each, are read best in one place. */
#include "tidemark/rules/packfile.h"

#include "packroom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/rules/expression.h"
#include "tidemark/rules/template.h"
#include "tidemark/rules/yaml.h"

enum {
    ARENA_MAX = 512 << 20, /* hostile files end here; real packs take a few hundred KiB */
    TEXT_SHOWN = 80,
    UPDATE_CHANGE_MAX = 1000000
};

#define DEFAULT_SCOPE "coalesce(status, 'active') == 'active'"
#define DEFAULT_UPDATE_CHANGE 0.2

/* --- errors and small values --- */

int tm_packroom_shown(tm_slice text)
{
    return text.length > TEXT_SHOWN ? TEXT_SHOWN : (int)text.length;
}

void *tm_packroom_take(tm_pack_reader *r, size_t size)
{
    void *block = tm_arena_take(r->arena, size);
    if (!block) {
        r->out_of_memory = true;
    }
    return block;
}

/* The text of an entry that must be a scalar, without a tag and not empty; absent, with an error, otherwise. */
tm_slice tm_packroom_text_of(tm_pack_reader *r, const tm_yaml_node *node, size_t maximum)
{
    tm_slice key = node->key ? node->key->text : TM_SLICE_LITERAL("an entry");
    if (node->kind != TM_YAML_SCALAR) {
        ERROR_AT(r, node, "'%.*s' must be one text, not a %s", tm_packroom_shown(key), key.data,
                 node->kind == TM_YAML_LIST ? "list" : "map");
    } else if (node->tag.data) {
        ERROR_AT(r, node, "a rules file knows no tags");
    } else if (node->text.length == 0) {
        ERROR_AT(r, node, "'%.*s' is empty", tm_packroom_shown(key), key.data);
    } else if (node->text.length > maximum) {
        ERROR_AT(r, node, "'%.*s' has %zu bytes, at most %zu are taken", tm_packroom_shown(key), key.data,
                 node->text.length, maximum);
    } else {
        return node->text;
    }
    return (tm_slice){0};
}

bool tm_packroom_need_map(tm_pack_reader *r, const tm_yaml_node *node, const char *what)
{
    if (node->kind == TM_YAML_MAP) {
        return true;
    }
    ERROR_AT(r, node, "%s must be a map of keys and values", what);
    return false;
}

void tm_packroom_check_keys(tm_pack_reader *r, const tm_yaml_node *map, const char *const *known, size_t count)
{
    for (const tm_yaml_node *entry = map->first; entry; entry = entry->next) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, entry->key->text);
        bool found = false;
        for (size_t i = 0; i < count && !found; i++) {
            found = tm_slice_equal_text(entry->key->text, known[i]);
            tm_nearest_offer(&nearest, tm_slice_of(known[i]));
        }
        if (!found) {
            ERROR_AT(r, entry->key, "unknown key '%.*s'", tm_packroom_shown(entry->key->text), entry->key->text.data);
            tm_diagnostics_suggest(r->diagnostics, &nearest);
        }
    }
}

bool tm_packroom_read_duration(tm_pack_reader *r, const tm_yaml_node *node, int64_t *ret_ms)
{
    tm_slice text = tm_packroom_text_of(r, node, TM_NAME_MAX);
    if (!text.data) {
        return false;
    }
    if (tm_slice_equal_text(text, "0")) {
        *ret_ms = 0;
        return true;
    }
    if (tm_duration_parse(text, ret_ms) != TM_OK || *ret_ms < 0) {
        ERROR_AT(r, node, "'%.*s' is no duration", tm_packroom_shown(text), text.data);
        HINT(r, "a duration is a number and one of ms, s, m, h, d, w, at most 10000d: 24h, 7d");
        return false;
    }
    return true;
}

bool tm_packroom_read_number(tm_pack_reader *r, const tm_yaml_node *node, double *ret_number)
{
    tm_slice text = tm_packroom_text_of(r, node, TM_NAME_MAX);
    if (!text.data) {
        return false;
    }
    char *end = NULL;
    double number = strtod(text.data, &end);
    bool digits = text.data[0] >= '0' && text.data[0] <= '9' && !memchr(text.data, 'x', text.length) &&
                  !memchr(text.data, 'X', text.length);
    if (!digits || end != text.data + text.length || number > (double)UPDATE_CHANGE_MAX) {
        ERROR_AT(r, node, "'%.*s' is no number from 0 to %d", tm_packroom_shown(text), text.data, UPDATE_CHANGE_MAX);
        return false;
    }
    *ret_number = number;
    return true;
}

/* --- expressions --- */

static void expression_error(tm_pack_reader *r, const tm_document *source, size_t offset,
                             const tm_expression_error *error)
{
    tm_diagnostics_add(r->diagnostics, source, offset, "%s", error->message);
    tm_diagnostics_hint(r->diagnostics, "%s", error->hint);
}

/* Compiles the expression of an entry; TM_NODE_NONE with an error when it is none. */
uint32_t tm_packroom_compile(tm_pack_reader *r, const tm_yaml_node *node, bool where, tm_type wanted,
                             tm_expression_outline *ret_outline)
{
    uint32_t compiled = TM_NODE_NONE;
    tm_expression_scope scope = r->scope;
    tm_expression_error error;
    scope.where = where;
    tm_slice text = tm_packroom_text_of(r, node, TM_EXPRESSION_MAX);
    if (!text.data) {
        return TM_NODE_NONE;
    }
    tm_status status = tm_expression_compile(&r->pack->program, &scope, text, wanted, &compiled, ret_outline, &error);
    if (status == TM_FATAL) {
        r->out_of_memory = true;
    } else if (status != TM_OK) {
        expression_error(r, &r->source, tm_yaml_offset(&r->source, node, error.offset), &error);
    }
    return status == TM_OK ? compiled : TM_NODE_NONE;
}

uint32_t tm_packroom_compile_text(tm_pack_reader *r, const char *name, tm_slice text, tm_type wanted)
{
    uint32_t compiled = TM_NODE_NONE;
    tm_expression_error error;
    tm_document source = {.name = name, .text = text};
    tm_status status = tm_expression_compile(&r->pack->program, &r->scope, text, wanted, &compiled, NULL, &error);
    if (status == TM_FATAL) {
        r->out_of_memory = true;
    } else if (status != TM_OK) {
        expression_error(r, &source, error.offset, &error);
    }
    return compiled;
}

/* --- metrics --- */

static const char *const metric_kinds[] = {"count", "sum", "distinct", "last", "max", "first"};
static const char *const metric_keys[] = {"count", "sum", "distinct", "last", "max", "first", "event", "where", "keep"};
enum { METRIC_KINDS = 6, METRIC_KEYS = 9 };

static bool read_pattern(tm_pack_reader *r, const tm_yaml_node *node, tm_pattern *ret_pattern)
{
    tm_slice text = tm_packroom_text_of(r, node, TM_EVENT_NAME_MAX);
    if (!text.data) {
        return false;
    }
    const char *star = memchr(text.data, '*', text.length);
    if (star && star != text.data + text.length - 1) {
        ERROR_AT(r, node, "a '*' stands only at the end of an event pattern");
        return false;
    }
    ret_pattern->prefix = star != NULL;
    ret_pattern->text = (tm_slice){text.data, text.length - (star ? 1 : 0)};
    return true;
}

/* One pattern or a list of them; NULL: every event. */
static void read_patterns(tm_pack_reader *r, const tm_yaml_node *node, tm_metric *metric)
{
    bool list = node && node->kind == TM_YAML_LIST;
    uint32_t count = list ? node->count : 1;
    if (list && (count == 0 || count > TM_PATTERNS_MAX)) {
        ERROR_AT(r, node, "a metric takes 1 to %d event patterns, this has %u", TM_PATTERNS_MAX, count);
        return;
    }
    metric->patterns = tm_packroom_take(r, count * sizeof *metric->patterns);
    if (!metric->patterns) {
        return;
    }
    metric->pattern_count = 1;
    if (!node) {
        metric->patterns[0] = (tm_pattern){.text = TM_SLICE_LITERAL(""), .prefix = true};
    } else if (!list) {
        read_pattern(r, node, &metric->patterns[0]);
    } else {
        metric->pattern_count = 0;
        for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
            if (read_pattern(r, entry, &metric->patterns[metric->pattern_count])) {
                metric->pattern_count++;
            }
        }
    }
}

static void read_of(tm_pack_reader *r, const tm_yaml_node *node, tm_metric *metric)
{
    static const char *const prefix = "properties.";
    tm_slice text = tm_packroom_text_of(r, node, strlen(prefix) + TM_PROPERTY_NAME_MAX);
    if (!text.data) {
        return;
    }
    bool distinct = metric->kind == TM_METRIC_DISTINCT;
    if (tm_slice_has_prefix(text, tm_slice_of(prefix)) && text.length > strlen(prefix)) {
        metric->of = TM_OF_PROPERTY;
        metric->property = (tm_slice){text.data + strlen(prefix), text.length - strlen(prefix)};
    } else if (!distinct && tm_slice_equal_text(text, "value")) {
        metric->of = TM_OF_VALUE;
    } else if (distinct && tm_slice_equal_text(text, "user")) {
        metric->of = TM_OF_USER;
    } else if (distinct && tm_slice_equal_text(text, "event")) {
        metric->of = TM_OF_EVENT;
    } else if (distinct && tm_slice_equal_text(text, "day")) {
        metric->of = TM_OF_DAY;
    } else {
        ERROR_AT(r, node, "'%s' cannot be taken of '%.*s'", metric_kinds[metric->kind], tm_packroom_shown(text),
                 text.data);
        HINT(r, distinct ? "one of user, event, day, properties.NAME" : "one of value, properties.NAME");
    }
}

static void read_keep(tm_pack_reader *r, const tm_yaml_node *node, tm_metric *metric)
{
    int64_t ms;
    if (!tm_packroom_read_duration(r, node, &ms)) {
        return;
    }
    /* The unit written decides: 48h keeps hours, 2d keeps days. */
    bool hours = node->text.data[node->text.length - 1] == 'h';
    int64_t unit = hours ? TM_HOUR : TM_DAY;
    int32_t limit = tm_metric_reach_limit(metric->kind, hours ? TM_WINDOW_HOURS : TM_WINDOW_DAYS);
    if (ms == 0 || ms % unit != 0) {
        ERROR_AT(r, node, "'keep' must be whole days or hours");
    } else if (ms / unit > limit) {
        ERROR_AT(r, node, "'keep' is at most %d%s for this metric", limit, hours ? "h" : "d");
    } else if (hours) {
        metric->reach_hours = (int32_t)(ms / unit);
    } else {
        metric->reach_days = (int32_t)(ms / unit);
    }
}

/* Which of the six keys says what the metric is; its entry, or NULL with an error. */
static const tm_yaml_node *find_kind(tm_pack_reader *r, const tm_yaml_node *node, tm_metric *metric)
{
    const tm_yaml_node *found = NULL;
    for (int i = 0; i < METRIC_KINDS; i++) {
        const tm_yaml_node *entry = tm_yaml_get(node, metric_kinds[i]);
        if (entry && found) {
            ERROR_AT(r, entry->key,
                     "a metric is one of count, sum, distinct, last, max, first: '%s' and '%s' are both given",
                     metric_kinds[metric->kind], metric_kinds[i]);
            return NULL;
        }
        if (entry) {
            found = entry;
            metric->kind = (tm_metric_kind)i;
        }
    }
    if (!found) {
        ERROR_AT(r, node, "a metric needs one of count, sum, distinct, last, max, first");
    }
    return found;
}

static void read_metric(tm_pack_reader *r, const tm_yaml_node *node, tm_metric *metric)
{
    if (!tm_packroom_need_map(r, node, "a metric")) {
        return;
    }
    tm_packroom_check_keys(r, node, metric_keys, METRIC_KEYS);
    const tm_yaml_node *kind = find_kind(r, node, metric);
    const tm_yaml_node *event = tm_yaml_get(node, "event");
    const tm_yaml_node *where = tm_yaml_get(node, "where");
    const tm_yaml_node *keep = tm_yaml_get(node, "keep");
    if (!kind) {
        return;
    }
    if (metric->kind == TM_METRIC_COUNT) {
        if (event) {
            ERROR_AT(r, event->key, "'count' names its events itself");
            HINT(r, "count: [name, other_name]");
        }
        read_patterns(r, kind, metric);
    } else {
        read_of(r, kind, metric);
        read_patterns(r, event, metric);
    }
    if (where) {
        metric->where = tm_packroom_compile(r, where, true, TM_TYPE_BOOLEAN, NULL);
    }
    if (keep) {
        read_keep(r, keep, metric);
    }
}

/* Kinds and names first, so that expressions see every metric, then everything else. */
static void read_metrics(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_pack *pack = r->pack;
    if (tm_yaml_is_null(node) || !tm_packroom_need_map(r, node, "'metrics'")) {
        return;
    }
    if (node->count > TM_METRICS_MAX) {
        ERROR_AT(r, node, "%u metrics, at most %d are taken", node->count, TM_METRICS_MAX);
        return;
    }
    if (node->count > 0 && !(pack->metrics = tm_packroom_take(r, node->count * sizeof *pack->metrics))) {
        return;
    }
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        tm_metric *metric = &pack->metrics[pack->metric_count++];
        *metric = (tm_metric){.name = entry->key->text, .where = TM_NODE_NONE};
        if (!tm_expression_is_name(metric->name) || metric->name.length > TM_NAME_MAX) {
            ERROR_AT(r, entry->key, "a metric's name is letters, digits and '_', at most %d", TM_NAME_MAX);
        } else if (tm_expression_reserved(metric->name)) {
            ERROR_AT(r, entry->key, "'%.*s' is a word of the expression language or a fact",
                     tm_packroom_shown(metric->name), metric->name.data);
            HINT(r, "give the metric another name");
        }
    }
    r->scope.metrics = pack->metrics;
    r->scope.metric_count = pack->metric_count;
    tm_metric *metric = pack->metrics;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        read_metric(r, entry, metric++);
    }
}

/* --- rules --- */

static const char *const rule_keys[] = {
    "name",     "kind",         "severity",     "when",        "for",   "clear",     "clear_for",
    "cooldown", "inhibited_by", "inhibit_tail", "scope",       "value", "threshold", "update_change",
    "summary",  "play",         "route",        "description", "on",    "stages",    "tiers"};
enum { RULE_KEYS = sizeof rule_keys / sizeof *rule_keys };

bool tm_packroom_is_key(tm_slice name)
{
    bool fine = name.length > 0 && name.length <= TM_NAME_MAX && name.data[0] >= 'a' && name.data[0] <= 'z';
    for (size_t i = 0; i < name.length && fine; i++) {
        char c = name.data[i];
        fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return fine;
}

static void read_name(tm_pack_reader *r, const tm_yaml_node *node, uint32_t index)
{
    const tm_yaml_node *entry = tm_yaml_get(node, "name");
    tm_rule *rule = &r->pack->rules[index];
    if (!entry) {
        ERROR_AT(r, node, "a rule needs a 'name'");
        return;
    }
    tm_slice name = tm_packroom_text_of(r, entry, SIZE_MAX);
    if (!name.data) {
        return;
    }
    if (!tm_packroom_is_key(name)) {
        ERROR_AT(r, entry, "a rule's name is lower-case letters, digits and '_', a letter first, at most %d",
                 TM_NAME_MAX);
        return;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (tm_slice_equal(r->pack->rules[i].name, name)) {
            ERROR_AT(r, entry, "two rules are named '%.*s'", tm_packroom_shown(name), name.data);
            return;
        }
    }
    rule->name = name;
}

static void read_kind(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    const tm_yaml_node *entry = tm_yaml_get(node, "kind");
    if (!entry) {
        ERROR_AT(r, node, "a rule needs a 'kind': churn_risk, expansion or advisory");
        return;
    }
    tm_slice text = tm_packroom_text_of(r, entry, TM_NAME_MAX);
    if (text.data && !tm_kind_parse(text, &rule->kind)) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, text);
        for (int i = 0; i < TM_KINDS; i++) {
            tm_nearest_offer(&nearest, tm_slice_of(tm_kind_name((tm_kind)i)));
        }
        ERROR_AT(r, entry, "unknown kind '%.*s': churn_risk, expansion and advisory are known", tm_packroom_shown(text),
                 text.data);
        tm_diagnostics_suggest(r->diagnostics, &nearest);
    }
}

/* A map by tier with an optional `default`. */
bool tm_packroom_read_by_tier(tm_pack_reader *r, const tm_yaml_node *node, size_t maximum, tm_by_tier *ret_texts)
{
    uint32_t room = sizeof ret_texts->choices / sizeof *ret_texts->choices;
    bool fine = true;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        tm_slice text = tm_packroom_text_of(r, entry, maximum);
        fine = fine && text.data;
        if (tm_slice_equal_text(entry->key->text, "default")) {
            ret_texts->otherwise = text;
        } else if (entry->key->text.length > TM_FACT_TEXT_MAX) {
            ERROR_AT(r, entry->key, "a tier has at most %d bytes", TM_FACT_TEXT_MAX);
        } else if (ret_texts->choice_count == room) {
            ERROR_AT(r, entry->key, "at most %u tiers are taken", room);
            return false;
        } else {
            ret_texts->choices[ret_texts->choice_count].tier = entry->key->text;
            ret_texts->choices[ret_texts->choice_count++].text = text;
        }
    }
    return fine;
}

static void unknown_severity(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_nearest nearest;
    tm_nearest_init(&nearest, node->text);
    for (int i = 0; i < TM_SEVERITIES; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(tm_severity_name((tm_severity)i)));
    }
    ERROR_AT(r, node, "unknown severity '%.*s': info, warn, high and critical are known", tm_packroom_shown(node->text),
             node->text.data);
    tm_diagnostics_suggest(r->diagnostics, &nearest);
}

static void read_severity(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    tm_severity ignored;
    if (node->kind == TM_YAML_MAP) {
        rule->has_severity_by_tier = true;
        if (tm_packroom_read_by_tier(r, node, TM_NAME_MAX, &rule->severity_by_tier)) {
            for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
                if (!tm_severity_parse(entry->text, &ignored)) {
                    unknown_severity(r, entry);
                }
            }
        }
        return;
    }
    tm_slice text = tm_packroom_text_of(r, node, TM_EXPRESSION_MAX);
    if (!text.data || tm_severity_parse(text, &rule->severity)) {
        return;
    }
    if (tm_expression_is_name(text) && !tm_expression_reserved(text)) {
        unknown_severity(r, node);
        return;
    }
    rule->severity_node = tm_packroom_compile(r, node, false, TM_TYPE_STRING, NULL);
}

static void read_summary(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    tm_expression_error error;
    tm_slice text = tm_packroom_text_of(r, node, TM_EXPRESSION_MAX);
    if (!text.data) {
        return;
    }
    tm_status status =
        tm_template_parse(&r->pack->program, &r->scope, r->arena, text, &rule->summary, &rule->summary_count, &error);
    if (status == TM_FATAL) {
        r->out_of_memory = true;
    } else if (status != TM_OK) {
        expression_error(r, &r->source, tm_yaml_offset(&r->source, node, error.offset), &error);
    }
}

static void read_cooldown(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    if (node->kind == TM_YAML_SCALAR && tm_slice_equal_text(node->text, "once")) {
        rule->cooldown_once = true;
    } else {
        tm_packroom_read_duration(r, node, &rule->cooldown_ms);
    }
}

static void add_inhibitor(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    tm_slice name = tm_packroom_text_of(r, node, TM_NAME_MAX);
    if (!name.data) {
        return;
    }
    uint32_t index = tm_pack_rule(r->pack, name);
    if (index == UINT32_MAX) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, name);
        for (uint32_t i = 0; i < r->pack->rule_count; i++) {
            tm_nearest_offer(&nearest, r->pack->rules[i].name);
        }
        ERROR_AT(r, node, "unknown rule '%.*s'", tm_packroom_shown(name), name.data);
        tm_diagnostics_suggest(r->diagnostics, &nearest);
        return;
    }
    for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
        if (rule->inhibitors[i] == index) {
            ERROR_AT(r, node, "'%.*s' is named twice", tm_packroom_shown(name), name.data);
            return;
        }
    }
    rule->inhibitors[rule->inhibitor_count++] = (uint16_t)index;
}

static void read_inhibitors(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    bool list = node->kind == TM_YAML_LIST;
    uint32_t count = list ? node->count : 1;
    if (count == 0) {
        return;
    }
    if (count > TM_INHIBITORS_MAX) {
        ERROR_AT(r, node, "at most %d inhibitors are taken", TM_INHIBITORS_MAX);
        return;
    }
    rule->inhibitors = tm_packroom_take(r, count * sizeof *rule->inhibitors);
    if (!rule->inhibitors) {
        return;
    }
    if (!list) {
        add_inhibitor(r, node, rule);
        return;
    }
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        add_inhibitor(r, entry, rule);
    }
}

/* What moves is on one side of a comparison, its threshold on the other: where just one side is a constant, that is the
   threshold, else the right one. */
static void split_sides(const tm_program *program, const tm_expression_outline *outline, uint32_t *ret_value,
                        uint32_t *ret_threshold)
{
    *ret_value = outline->left;
    *ret_threshold = outline->right;
    bool left_constant = outline->left != TM_NODE_NONE && program->nodes[outline->left].op == TM_OP_CONSTANT;
    bool right_constant = outline->right != TM_NODE_NONE && program->nodes[outline->right].op == TM_OP_CONSTANT;
    if (outline->left == TM_NODE_NONE || (left_constant && outline->right != TM_NODE_NONE && !right_constant)) {
        *ret_value = outline->right;
        *ret_threshold = outline->left;
    }
}

static void read_clear(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    const tm_yaml_node *clear = tm_yaml_get(node, "clear");
    rule->clear_threshold = rule->threshold;
    if (!clear) {
        tm_status status =
            rule->when == TM_NODE_NONE ? TM_OK : tm_expression_not(&r->pack->program, rule->when, &rule->clear);
        r->out_of_memory |= status == TM_FATAL;
        if (status == TM_REJECT) {
            ERROR_AT(r, node, "the rules file holds more than %d different sub-expressions", TM_PROGRAM_NODES_MAX);
        }
        return;
    }
    tm_expression_outline outline;
    rule->clear = tm_packroom_compile(r, clear, false, TM_TYPE_BOOLEAN, &outline);
    if (rule->clear != TM_NODE_NONE) {
        uint32_t value;
        split_sides(&r->pack->program, &outline, &value, &rule->clear_threshold);
    }
}

/* What `on: stage_changed` shows beside the terms of its `when`. */
static void add_stage_evidence(tm_pack_reader *r, tm_rule *rule)
{
    static const char *const texts[] = {"previous_stage", "previous_stage_time", "stage"};
    enum { TEXTS = sizeof texts / sizeof *texts };
    uint32_t *evidence = tm_packroom_take(r, TM_EVIDENCE_MAX * sizeof *evidence);
    uint32_t count = 0;
    for (; evidence && count < TEXTS; count++) {
        evidence[count] = tm_packroom_compile_text(r, "on", tm_slice_of(texts[count]), TM_TYPE_ANY);
    }
    for (uint32_t i = 0; evidence && i < rule->evidence_count && count < TM_EVIDENCE_MAX; i++) {
        bool there = false;
        for (uint32_t k = 0; k < TEXTS; k++) {
            there = there || evidence[k] == rule->evidence[i];
        }
        if (!there) {
            evidence[count++] = rule->evidence[i];
        }
    }
    rule->evidence = evidence;
    rule->evidence_count = evidence ? count : 0;
}

/* A rule that waits for nothing has no use for what says how it waits and ends. */
static void read_on(tm_pack_reader *r, const tm_yaml_node *node, const tm_yaml_node *on, tm_rule *rule)
{
    static const char *const useless[] = {"for", "clear", "clear_for", "update_change"};
    tm_slice text = tm_packroom_text_of(r, on, TM_NAME_MAX);
    if (text.data && !tm_slice_equal_text(text, "stage_changed")) {
        ERROR_AT(r, on, "'on' knows nothing but stage_changed, not '%.*s'", tm_packroom_shown(text), text.data);
        return;
    }
    if (r->pack->stage_count == 0) {
        ERROR_AT(r, on, "the file has no 'stages' that could change");
        return;
    }
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        const tm_yaml_node *entry = tm_yaml_get(node, useless[i]);
        if (entry) {
            ERROR_AT(r, entry->key, "'%s' means nothing beside 'on': the episode ends as it begins", useless[i]);
        }
    }
    rule->on_stage = true;
}

static void read_condition(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    const tm_yaml_node *when = tm_yaml_get(node, "when");
    const tm_yaml_node *value = tm_yaml_get(node, "value");
    const tm_yaml_node *threshold = tm_yaml_get(node, "threshold");
    tm_expression_outline outline = {.left = TM_NODE_NONE, .right = TM_NODE_NONE};
    const tm_yaml_node *on = tm_yaml_get(node, "on");
    if (on) {
        read_on(r, node, on, rule);
    }
    if (!when && !on) {
        ERROR_AT(r, node, "a rule needs a 'when'");
        return;
    }
    if (when) {
        rule->when = tm_packroom_compile(r, when, false, TM_TYPE_BOOLEAN, &outline);
    } else {
        outline.evidence_count = 0;
        rule->when = tm_packroom_compile_text(r, "when", TM_SLICE_LITERAL("true"), TM_TYPE_BOOLEAN);
    }
    split_sides(&r->pack->program, &outline, &rule->value, &rule->threshold);
    if (value) {
        rule->value = tm_packroom_compile(r, value, false, TM_TYPE_ANY, NULL);
    }
    if (threshold) {
        rule->threshold = tm_packroom_compile(r, threshold, false, TM_TYPE_ANY, NULL);
    }
    rule->evidence_count = outline.evidence_count;
    if (outline.evidence_count > 0) {
        size_t size = outline.evidence_count * sizeof *rule->evidence;
        rule->evidence = tm_packroom_take(r, size);
        if (rule->evidence) {
            memcpy(rule->evidence, outline.evidence, size);
        }
    }
    if (rule->on_stage) {
        add_stage_evidence(r, rule);
    }
    read_clear(r, node, rule);
}

static void read_times(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    static const char *const keys[] = {"for", "clear_for", "inhibit_tail"};
    int64_t *times[] = {&rule->for_ms, &rule->clear_for_ms, &rule->inhibit_tail_ms};
    for (int i = 0; i < 3; i++) {
        const tm_yaml_node *entry = tm_yaml_get(node, keys[i]);
        if (entry) {
            tm_packroom_read_duration(r, entry, times[i]);
        }
    }
    const tm_yaml_node *cooldown = tm_yaml_get(node, "cooldown");
    if (cooldown) {
        read_cooldown(r, cooldown, rule);
    }
    const tm_yaml_node *change = tm_yaml_get(node, "update_change");
    if (change) {
        tm_packroom_read_number(r, change, &rule->update_change);
    }
}

static void read_rule(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    static const struct {
        const char *key;
        void (*read)(tm_pack_reader *, const tm_yaml_node *, tm_rule *);
    } parts[] = {{"severity", read_severity},
                 {"summary", read_summary},
                 {"play", tm_packroom_read_play},
                 {"route", tm_packroom_read_route},
                 {"inhibited_by", read_inhibitors}};
    tm_packroom_check_keys(r, node, rule_keys, RULE_KEYS);
    read_kind(r, node, rule);
    read_condition(r, node, rule);
    read_times(r, node, rule);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const tm_yaml_node *entry = tm_yaml_get(node, parts[i].key);
        if (entry) {
            parts[i].read(r, entry, rule);
        }
    }
    const tm_yaml_node *scope = tm_yaml_get(node, "scope");
    if (scope) {
        rule->scope = tm_packroom_compile(r, scope, false, TM_TYPE_BOOLEAN, NULL);
    }
    tm_packroom_add_routes(r, rule);
    rule->scope = tm_packroom_limit(r, rule->scope, tm_yaml_get(node, "stages"), tm_yaml_get(node, "tiers"));
    const tm_yaml_node *description = tm_yaml_get(node, "description");
    if (description) {
        tm_packroom_text_of(r, description, SIZE_MAX);
    }
}

/* All names first, so that inhibitors may be defined further down. */
static void read_rules(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_pack *pack = r->pack;
    if (tm_yaml_is_null(node)) {
        return;
    }
    if (node->kind != TM_YAML_LIST) {
        ERROR_AT(r, node, "'rules' must be a list");
        HINT(r, "begin each rule with '- name: ...'");
        return;
    }
    if (node->count > TM_RULES_MAX) {
        ERROR_AT(r, node, "%u rules, at most %d are taken", node->count, TM_RULES_MAX);
        return;
    }
    if (node->count > 0 && !(pack->rules = tm_packroom_take(r, node->count * sizeof *pack->rules))) {
        return;
    }
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        uint32_t index = pack->rule_count++;
        r->rules[index] = entry;
        pack->rules[index] = (tm_rule){.severity = TM_SEVERITY_WARN,
                                       .severity_node = TM_NODE_NONE,
                                       .when = TM_NODE_NONE,
                                       .clear = TM_NODE_NONE,
                                       .scope = r->default_scope,
                                       .value = TM_NODE_NONE,
                                       .threshold = TM_NODE_NONE,
                                       .clear_threshold = TM_NODE_NONE,
                                       .update_change = DEFAULT_UPDATE_CHANGE};
        if (tm_packroom_need_map(r, entry, "a rule")) {
            read_name(r, entry, index);
        }
    }
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        if (r->rules[i]->kind == TM_YAML_MAP) {
            read_rule(r, r->rules[i], &pack->rules[i]);
        }
    }
}

/* --- the file --- */

static void read_version(tm_pack_reader *r, const tm_yaml_node *root)
{
    const tm_yaml_node *node = tm_yaml_get(root, "version");
    if (!node) {
        ERROR_AT(r, root, "a rules file needs a 'version'");
        HINT(r, "version: 1, raised with every change");
        return;
    }
    tm_slice text = tm_packroom_text_of(r, node, SIZE_MAX);
    int64_t version = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        version = digit && i < 15 && version >= 0 ? version * 10 + (text.data[i] - '0') : -1;
    }
    if (text.data && version < 1) {
        ERROR_AT(r, node, "'version' is a whole number from 1");
    }
    r->pack->version = version;
}

static void refuse_later(tm_pack_reader *r, const tm_yaml_node *root)
{
    const tm_yaml_node *node = tm_yaml_get(root, "budget");
    if (node && !tm_yaml_is_null(node) && (node->kind == TM_YAML_SCALAR || node->count > 0)) {
        ERROR_AT(r, node->key, "'budget' is not supported by this version");
    }
}

static void read_extra(tm_pack_reader *r, const tm_packfile_options *options)
{
    for (uint32_t i = 0; i < options->expression_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "expression %u", i + 1);
        options->ret_nodes[i] = tm_packroom_compile_text(r, name, options->expressions[i], TM_TYPE_ANY);
    }
}

static void read_root(tm_pack_reader *r, const tm_yaml_node *root, const tm_packfile_options *options)
{
    static const char *const keys[] = {"version",    "scope",    "metrics", "rules",       "stages",
                                       "scorecards", "flapping", "budget",  "first_value", "routes"};
    if (!root) {
        tm_diagnostics_add(r->diagnostics, &r->source, 0, "the file is empty");
        HINT(r, "the least is 'version: 1'");
        return;
    }
    if (!tm_packroom_need_map(r, root, "a rules file")) {
        return;
    }
    tm_packroom_check_keys(r, root, keys, sizeof keys / sizeof *keys);
    read_version(r, root);
    refuse_later(r, root);
    const tm_yaml_node *metrics = tm_yaml_get(root, "metrics");
    read_metrics(r, metrics);
    const tm_yaml_node *first_value = tm_yaml_get(root, "first_value");
    if (first_value) {
        tm_packroom_read_first_value(r, first_value);
    }
    tm_packroom_read_stages(r, tm_yaml_get(root, "stages"));
    tm_packroom_read_cards(r, tm_yaml_get(root, "scorecards"));
    const tm_yaml_node *scope = tm_yaml_get(root, "scope");
    if (scope) {
        r->default_scope = tm_packroom_compile(r, scope, false, TM_TYPE_BOOLEAN, NULL);
    } else {
        r->default_scope = tm_packroom_compile_text(r, "scope", TM_SLICE_LITERAL(DEFAULT_SCOPE), TM_TYPE_BOOLEAN);
    }
    tm_packroom_read_routes(r, tm_yaml_get(root, "routes"));
    read_rules(r, tm_yaml_get(root, "rules"));
    tm_packroom_read_flapping(r, tm_yaml_get(root, "flapping"));
    if (options) {
        read_extra(r, options);
    }
}

/* Points the pack's own error (a circle of inhibitors names one of its rules) at the file. */
static void place_error(tm_pack_reader *r, const tm_error *error)
{
    size_t offset = 0;
    uint32_t index = tm_pack_rule(r->pack, tm_slice_of(error->where));
    if (index != UINT32_MAX) {
        const tm_yaml_node *inhibitors = tm_yaml_get(r->rules[index], "inhibited_by");
        offset = inhibitors ? inhibitors->start : r->rules[index]->start;
    }
    tm_diagnostics_add(r->diagnostics, &r->source, offset, "%s", error->what);
    tm_diagnostics_hint(r->diagnostics, "%s", error->hint);
}

static tm_status read_pack(tm_pack_reader *r, const tm_packfile_options *options, tm_error *error)
{
    tm_yaml_node *root;
    tm_status status = tm_yaml_parse(r->arena, &r->source, r->diagnostics, &root);
    if (status == TM_OK) {
        read_root(r, root, options);
        status = r->out_of_memory ? TM_FATAL : TM_OK;
    }
    if (status == TM_OK && r->diagnostics->count == 0) {
        tm_error local;
        status = tm_pack_finish(r->pack, &local);
        if (status == TM_REJECT) {
            place_error(r, &local);
        }
    }
    if (status == TM_FATAL) {
        return tm_fail(error, TM_FATAL, "out of memory while reading %s", r->source.name);
    }
    tm_diagnostics_sort(r->diagnostics);
    return tm_diagnostics_status(r->diagnostics, error);
}

static tm_pack *new_pack(tm_slice text)
{
    tm_arena *arena = tm_arena_new(ARENA_MAX);
    tm_pack *pack = arena ? tm_arena_take(arena, sizeof *pack) : NULL;
    char *copy = pack ? tm_arena_copy(arena, text.data ? text.data : "", text.length) : NULL;
    if (!copy) {
        tm_arena_free_all(arena);
        return NULL;
    }
    pack->arena = arena;
    pack->text = (tm_slice){copy, text.length};
    pack->hash = tm_hash(pack->text);
    tm_program_init(&pack->program, arena);
    return pack;
}

tm_status tm_packfile_parse(tm_slice text, const char *file_name, const tm_packfile_options *options,
                            tm_pack **ret_pack, tm_error *error)
{
    *ret_pack = NULL;
    tm_error_clear(error);
    tm_pack_reader *r = calloc(1, sizeof *r);
    tm_diagnostics *own = options && options->diagnostics ? NULL : calloc(1, sizeof *own);
    /* A file too long is cut behind the limit: the reader of YAML then says that it is. */
    text.length = text.length > TM_PACK_FILE_MAX ? TM_PACK_FILE_MAX + 1 : text.length;
    tm_pack *pack = new_pack(text);
    tm_status status;
    if (!r || !pack || !(own || (options && options->diagnostics))) {
        status = tm_fail(error, TM_FATAL, "out of memory while reading %s", file_name);
        goto out;
    }
    r->arena = pack->arena;
    r->pack = pack;
    r->source = (tm_document){.name = file_name, .text = pack->text};
    r->diagnostics = own ? own : options->diagnostics;
    r->default_scope = TM_NODE_NONE;
    status = read_pack(r, options, error);
    if (status == TM_OK) {
        *ret_pack = pack;
        pack = NULL;
    }
out:
    tm_pack_free(pack);
    free(own);
    free(r);
    return status;
}
