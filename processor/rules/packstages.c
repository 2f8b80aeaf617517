/* Lifecycle stages of a rules file, and what limits a rule to some of them. Part of the room `packfile`. */
#include "packroom.h"

#include <stdio.h>

#include "tidemark/rules/canonical.h"
#include "tidemark/rules/diagnostics.h"

static void read_stage_name(tm_pack_reader *r, const tm_yaml_node *node, tm_stage *stage)
{
    const tm_yaml_node *entry = tm_yaml_get(node, "name");
    if (!entry) {
        ERROR_AT(r, node, "a stage needs a 'name'");
        return;
    }
    tm_slice name = tm_packroom_text_of(r, entry, SIZE_MAX);
    if (!name.data) {
        return;
    }
    if (!tm_packroom_is_key(name)) {
        ERROR_AT(r, entry, "a stage's name is lower-case letters, digits and '_', a letter first, at most %d",
                 TM_NAME_MAX);
        return;
    }
    for (const tm_stage *other = r->pack->stages; other < stage; other++) {
        if (tm_slice_equal(other->name, name)) {
            ERROR_AT(r, entry, "two stages are named '%.*s'", tm_packroom_shown(name), name.data);
            return;
        }
    }
    stage->name = name;
}

static void read_stage(tm_pack_reader *r, const tm_yaml_node *node, tm_stage *stage)
{
    static const char *const keys[] = {"name", "enter", "stay"};
    tm_packroom_check_keys(r, node, keys, sizeof keys / sizeof *keys);
    const tm_yaml_node *enter = tm_yaml_get(node, "enter");
    const tm_yaml_node *stay = tm_yaml_get(node, "stay");
    if (!enter) {
        ERROR_AT(r, node, "a stage needs 'enter': the condition under which an account is in it");
        return;
    }
    r->scope.place = TM_PLACE_ENTER;
    stage->enter = tm_packroom_compile(r, enter, false, TM_TYPE_BOOLEAN, NULL);
    r->scope.place = TM_PLACE_RULE;
    if (stay) {
        tm_packroom_read_duration(r, stay, &stage->stay_ms);
    }
}

void tm_packroom_read_stages(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_pack *pack = r->pack;
    if (tm_yaml_is_null(node)) {
        return;
    }
    if (node->kind != TM_YAML_LIST) {
        ERROR_AT(r, node, "'stages' must be a list, in the order of a customer's life");
        HINT(r, "begin each stage with '- name: ...'");
        return;
    }
    if (node->count > TM_STAGES_MAX) {
        ERROR_AT(r, node, "%u stages, at most %d are taken", node->count, TM_STAGES_MAX);
        return;
    }
    if (node->count > 0 && !(pack->stages = tm_packroom_take(r, node->count * sizeof *pack->stages))) {
        return;
    }
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        tm_stage *stage = &pack->stages[pack->stage_count++];
        *stage = (tm_stage){.enter = TM_NODE_NONE};
        if (tm_packroom_need_map(r, entry, "a stage")) {
            read_stage_name(r, entry, stage);
            read_stage(r, entry, stage);
        }
    }
    r->scope.stages = pack->stages;
    r->scope.stage_count = pack->stage_count;
}

void tm_packroom_read_first_value(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_slice name = tm_packroom_text_of(r, node, TM_NAME_MAX);
    if (!name.data) {
        return;
    }
    uint32_t metric = tm_pack_metric(r->pack, name);
    if (metric == UINT32_MAX) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, name);
        for (uint32_t i = 0; i < r->pack->metric_count; i++) {
            tm_nearest_offer(&nearest, r->pack->metrics[i].name);
        }
        ERROR_AT(r, node, "'first_value' names no metric: '%.*s'", tm_packroom_shown(name), name.data);
        tm_diagnostics_suggest(r->diagnostics, &nearest);
        return;
    }
    r->scope.has_first_value = true;
    r->scope.first_value = metric;
}

static bool known_stage(tm_pack_reader *r, const tm_yaml_node *node, tm_slice name)
{
    tm_nearest nearest;
    tm_nearest_init(&nearest, name);
    for (uint32_t i = 0; i < r->pack->stage_count; i++) {
        if (tm_slice_equal(r->pack->stages[i].name, name)) {
            return true;
        }
        tm_nearest_offer(&nearest, r->pack->stages[i].name);
    }
    ERROR_AT(r, node, "unknown stage '%.*s'", tm_packroom_shown(name), name.data);
    tm_diagnostics_suggest(r->diagnostics, &nearest);
    return false;
}

/* ` and WORD in [...]` of an entry that is one text or a list of them. */
static bool put_list(tm_pack_reader *r, tm_buffer *text, const tm_yaml_node *node, const char *word, bool stages)
{
    bool list = node->kind == TM_YAML_LIST;
    if (list && node->count == 0) {
        ERROR_AT(r, node, "an empty list allows nothing: leave '%s' out to allow all", word);
        return false;
    }
    tm_buffer_append_format(text, " and %s in [", word);
    for (const tm_yaml_node *entry = list ? node->first : node; entry; entry = list ? entry->next : NULL) {
        tm_slice name = tm_packroom_text_of(r, entry, TM_FACT_TEXT_MAX);
        if (!name.data || (stages && !known_stage(r, entry, name))) {
            return false;
        }
        tm_buffer_append_text(text, entry != node && entry != node->first ? ", " : "");
        tm_canonical_quoted(text, name);
    }
    tm_buffer_append_char(text, ']');
    return true;
}

uint32_t tm_packroom_limit(tm_pack_reader *r, uint32_t base, const tm_yaml_node *stages, const tm_yaml_node *tiers)
{
    if (base == TM_NODE_NONE || (!stages && !tiers)) {
        return base;
    }
    tm_buffer text;
    tm_buffer_init(&text, (size_t)8 * TM_EXPRESSION_MAX);
    tm_buffer_append_char(&text, '(');
    tm_buffer_append_slice(&text, r->pack->program.nodes[base].text);
    tm_buffer_append_char(&text, ')');
    bool fine =
        (!stages || put_list(r, &text, stages, "stage", true)) && (!tiers || put_list(r, &text, tiers, "tier", false));
    uint32_t limited = base;
    if (fine && !text.overflowed) {
        limited = tm_packroom_compile_text(r, "stages and tiers", tm_buffer_slice(&text), TM_TYPE_BOOLEAN);
    }
    r->out_of_memory |= text.exhausted;
    tm_buffer_done(&text);
    return limited;
}
