#include "packroom.h"

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
