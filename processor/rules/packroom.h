/* What the sources of the room `packfile` share: packfile.c (the file, metrics, rules), packstages.c (stages, and what
   limits a rule to some of them), packsignals.c (what becomes of signals beyond their rule), packcards.c (scorecards).
 */
#ifndef TIDEMARK_PROCESSOR_RULES_PACKROOM_H
#define TIDEMARK_PROCESSOR_RULES_PACKROOM_H

#include "tidemark/core/pack.h"
#include "tidemark/rules/expression.h"
#include "tidemark/rules/yaml.h"

typedef struct tm_pack_reader {
    tm_arena *arena;
    tm_pack *pack;
    tm_document source;
    tm_diagnostics *diagnostics;
    tm_expression_scope scope;
    uint32_t default_scope;
    tm_route *routes; /* the file's */
    uint32_t route_count;
    bool out_of_memory;
    const tm_yaml_node *rules[TM_RULES_MAX];
} tm_pack_reader;

#define ERROR_AT(r, node, ...) tm_diagnostics_add((r)->diagnostics, &(r)->source, (node)->start, __VA_ARGS__)
#define HINT(r, ...) tm_diagnostics_hint((r)->diagnostics, __VA_ARGS__)

/* So many bytes of a text are shown in an error. */
int tm_packroom_shown(tm_slice text);
/* Zeroed memory of the pack; NULL, and noted, without. */
void *tm_packroom_take(tm_pack_reader *r, size_t size);
/* The text of an entry that must be a scalar, without a tag and not empty; absent, with an error, otherwise. */
tm_slice tm_packroom_text_of(tm_pack_reader *r, const tm_yaml_node *node, size_t maximum);
bool tm_packroom_need_map(tm_pack_reader *r, const tm_yaml_node *node, const char *what);
void tm_packroom_check_keys(tm_pack_reader *r, const tm_yaml_node *map, const char *const *known, size_t count);
bool tm_packroom_read_duration(tm_pack_reader *r, const tm_yaml_node *node, int64_t *ret_ms);
bool tm_packroom_read_number(tm_pack_reader *r, const tm_yaml_node *node, double *ret_number);
/* Compiles the expression of an entry; TM_NODE_NONE with an error when it is none. `ret_outline` may be NULL. */
uint32_t tm_packroom_compile(tm_pack_reader *r, const tm_yaml_node *node, bool where, tm_type wanted,
                             tm_expression_outline *ret_outline);
/* The same for a text that is not in the file; errors call it `name`. */
uint32_t tm_packroom_compile_text(tm_pack_reader *r, const char *name, tm_slice text, tm_type wanted);
/* Lower-case letters, digits and '_', a letter first, at most TM_NAME_MAX. */
bool tm_packroom_is_key(tm_slice name);

/* --- packstages.c --- */
/* `stages`: names first, then their conditions. */
void tm_packroom_read_stages(tm_pack_reader *r, const tm_yaml_node *node);
/* `first_value`: the metric whose first event is a customer's first value. */
void tm_packroom_read_first_value(tm_pack_reader *r, const tm_yaml_node *node);
/* The condition `base` and that stage and tier are among those of a rule's or card's lists (either may be NULL). */
uint32_t tm_packroom_limit(tm_pack_reader *r, uint32_t base, const tm_yaml_node *stages, const tm_yaml_node *tiers);

/* --- packsignals.c --- */
/* A map by tier with an optional `default` (packfile.c). */
bool tm_packroom_read_by_tier(tm_pack_reader *r, const tm_yaml_node *node, size_t maximum, tm_by_tier *ret_texts);
/* `play` and `route` of a rule: one, or a list of cases. */
void tm_packroom_read_play(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule);
void tm_packroom_read_route(tm_pack_reader *r, const tm_yaml_node *node, tm_rule *rule);
/* `routes` of the file, and their place behind a rule's own. NULL: none. */
void tm_packroom_read_routes(tm_pack_reader *r, const tm_yaml_node *node);
void tm_packroom_add_routes(tm_pack_reader *r, tm_rule *rule);
/* `flapping`: how many episodes in what time, for every rule that can be open. */
void tm_packroom_read_flapping(tm_pack_reader *r, const tm_yaml_node *node);

/* --- packcards.c --- */
/* `scorecards`: cards, joined to scores, as nodes of the program. */
void tm_packroom_read_cards(tm_pack_reader *r, const tm_yaml_node *node);

#endif
