#include "packroom.h"

#include <string.h>

enum { PLAY_MAX = 1024 }; /* bytes of a play or of a name in a route */

/* A whole number of at most two digits. */
static bool read_count(tm_pack_reader *r, const tm_yaml_node *node, unsigned least, unsigned most, uint8_t *ret_count)
{
    tm_slice text = tm_packroom_text_of(r, node, TM_NAME_MAX);
    unsigned count = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        count = digit && count < 100 ? count * 10 + (unsigned)(text.data[i] - '0') : 100;
    }
    if (text.data && (count < least || count > most)) {
        ERROR_AT(r, node, "'%.*s' is a whole number from %u to %u", tm_packroom_shown(node->key->text),
                 node->key->text.data, least, most);
        return false;
    }
    *ret_count = (uint8_t)count;
    return text.data != NULL;
}

void tm_packroom_read_flapping(tm_pack_reader *r, const tm_yaml_node *node)
{
    static const char *const keys[] = {"episodes", "within"};
    if (!node || tm_yaml_is_null(node) || !tm_packroom_need_map(r, node, "'flapping'") || node->count == 0) {
        return;
    }
    tm_packroom_check_keys(r, node, keys, 2);
    const tm_yaml_node *episodes = tm_yaml_get(node, "episodes"), *within = tm_yaml_get(node, "within");
    uint8_t count;
    int64_t ms;
    if (!episodes || !within) {
        ERROR_AT(r, node->key, "'flapping' needs both 'episodes' and 'within'");
        HINT(r, "flapping: {episodes: 4, within: 21d}");
        return;
    }
    if (!read_count(r, episodes, 2, TM_FLAPPING_MAX, &count) || !tm_packroom_read_duration(r, within, &ms)) {
        return;
    }
    if (ms == 0) {
        ERROR_AT(r, within, "'within' must be longer than 0");
        return;
    }
    for (uint32_t i = 0; i < r->pack->rule_count; i++) {
        tm_rule *rule = &r->pack->rules[i];
        if (rule->on_stage) { /* over as soon as it began */
            continue;
        }
        rule->flapping_episodes = count;
        rule->flapping_ms = ms;
        rule->calm_ms = ms / (count - 1);
    }
}

/* The condition of a case; an entry that is not in a list has none. */
static uint32_t read_when(tm_pack_reader *r, const tm_yaml_node *node)
{
    const tm_yaml_node *when = tm_yaml_get(node, "when");
    return when ? tm_packroom_compile(r, when, false, TM_TYPE_BOOLEAN, NULL) : TM_NODE_NONE;
}

/* How many cases `node` is: a list of them, or one. 0 with an error where the list is empty or too long. */
static uint32_t case_count(tm_pack_reader *r, const tm_yaml_node *node, const char *what)
{
    if (node->kind != TM_YAML_LIST) {
        return 1;
    }
    if (node->count == 0 || node->count > TM_CASES_MAX) {
        ERROR_AT(r, node, "%s takes 1 to %d cases, this has %u", what, TM_CASES_MAX, node->count);
        return 0;
    }
    return node->count;
}

static void read_text(tm_pack_reader *r, const tm_yaml_node *node, tm_by_tier *ret_texts)
{
    if (node->kind == TM_YAML_MAP) {
        tm_packroom_read_by_tier(r, node, PLAY_MAX, ret_texts);
    } else {
        ret_texts->otherwise = tm_packroom_text_of(r, node, PLAY_MAX);
    }
}

static void read_play_case(tm_pack_reader *r, const tm_yaml_node *node, tm_play *play)
{
    static const char *const keys[] = {"when", "play"};
    if (!tm_packroom_need_map(r, node, "a case of 'play'")) {
        return;
    }
    tm_packroom_check_keys(r, node, keys, 2);
    const tm_yaml_node *text = tm_yaml_get(node, "play");
    if (!text) {
        ERROR_AT(r, node, "a case needs a 'play'");
        return;
    }
    play->when = read_when(r, node);
    read_text(r, text, &play->text);
}

void tm_packroom_read_play(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    uint32_t count = case_count(r, node, "'play'");
    rule->plays = count > 0 ? tm_packroom_take(r, count * sizeof *rule->plays) : NULL;
    if (!rule->plays) {
        return;
    }
    rule->play_count = count;
    if (node->kind != TM_YAML_LIST) {
        rule->plays[0].when = TM_NODE_NONE;
        read_text(r, node, &rule->plays[0].text);
        return;
    }
    tm_play *play = rule->plays;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next, play++) {
        play->when = TM_NODE_NONE;
        read_play_case(r, entry, play);
    }
}

static void read_route_case(tm_pack_reader *r, const tm_yaml_node *node, bool conditional, tm_route *route)
{
    static const char *const keys[] = {"queue", "responsible", "informed", "when"};
    tm_slice *texts[] = {&route->queue, &route->responsible, &route->informed};
    *route = (tm_route){.when = TM_NODE_NONE};
    if (!tm_packroom_need_map(r, node, conditional ? "a case of a route" : "'route'")) {
        return;
    }
    tm_packroom_check_keys(r, node, keys, conditional ? 4 : 3);
    for (int i = 0; i < 3; i++) {
        const tm_yaml_node *entry = tm_yaml_get(node, keys[i]);
        if (entry) {
            *texts[i] = tm_packroom_text_of(r, entry, PLAY_MAX);
        }
    }
    if (conditional) {
        route->when = read_when(r, node);
    }
}

/* Room for `more` routes behind those read. */
static uint32_t read_cases(tm_pack_reader *r, const tm_yaml_node *node, uint32_t more, tm_route **ret_routes)
{
    uint32_t count = case_count(r, node, "a route");
    tm_route *routes = count > 0 ? tm_packroom_take(r, (count + more) * sizeof *routes) : NULL;
    *ret_routes = routes;
    if (!routes) {
        return 0;
    }
    if (node->kind != TM_YAML_LIST) {
        read_route_case(r, node, false, routes);
        return 1;
    }
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        read_route_case(r, entry, true, routes++);
    }
    return count;
}

void tm_packroom_read_route(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule)
{
    rule->route_count = read_cases(r, node, r->route_count, &rule->routes);
}

void tm_packroom_read_routes(tm_pack_reader *r, const tm_yaml_node *node)
{
    if (node && !tm_yaml_is_null(node)) {
        r->route_count = read_cases(r, node, 0, &r->routes);
    }
}

void tm_packroom_add_routes(tm_pack_reader *r, tm_rule *rule)
{
    if (rule->route_count == 0) {
        rule->routes = r->routes;
    } else if (r->route_count > 0) {
        memcpy(rule->routes + rule->route_count, r->routes, r->route_count * sizeof *r->routes);
    }
    rule->route_count += r->route_count;
}
