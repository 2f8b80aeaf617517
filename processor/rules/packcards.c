/* Scorecards of a rules file: each factor, card and score becomes nodes of the program, so that what two of them ask
   for is found once, and what they wait for is known. Part of the room `packfile`. */
#include "packroom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_NODES = 1 + 2 * TM_MAP_POINTS_MAX, FACTOR_NODES = 2 * TM_FACTORS_MAX, CARD_NODES = 2 * TM_CARDS_MAX };
#define MAP_MAX 1e9
#define WEIGHT_MAX 1000.0
#define MARGIN_MAX 50.0
#define VERSION_MAX 1e6

static uint32_t add(tm_pack_reader *r, const tm_yaml_node *at, tm_op op, tm_type type, tm_slice text,
                    const uint32_t *arguments, uint32_t count)
{
    uint32_t node = TM_NODE_NONE;
    tm_node made = {.op = (uint8_t)op, .type = (uint8_t)type, .argument_count = (uint16_t)count, .text = text};
    tm_status status = tm_program_add(&r->pack->program, &made, arguments, &node);
    r->out_of_memory |= status == TM_FATAL;
    if (status == TM_REJECT) {
        ERROR_AT(r, at, "the rules file holds more than %d different sub-expressions", TM_PROGRAM_NODES_MAX);
    }
    return status == TM_OK ? node : TM_NODE_NONE;
}

static uint32_t add_constant(tm_pack_reader *r, const tm_yaml_node *at, tm_value value)
{
    uint32_t node = TM_NODE_NONE;
    tm_node made = {.op = TM_OP_CONSTANT, .type = value.type, .constant = value};
    tm_status status = tm_program_add(&r->pack->program, &made, NULL, &node);
    r->out_of_memory |= status == TM_FATAL;
    if (status == TM_REJECT) {
        ERROR_AT(r, at, "the rules file holds more than %d different sub-expressions", TM_PROGRAM_NODES_MAX);
    }
    return status == TM_OK ? node : TM_NODE_NONE;
}

static bool read_figure(tm_pack_reader *r, const tm_yaml_node *node, const char *what, double least, double most,
                        double *ret_number)
{
    tm_slice text = tm_packroom_text_of(r, node, TM_NAME_MAX);
    if (!text.data) {
        return false;
    }
    char *end = NULL;
    char first = text.data[text.data[0] == '-' && text.length > 1];
    double number = strtod(text.data, &end);
    bool digits =
        first >= '0' && first <= '9' && !memchr(text.data, 'x', text.length) && !memchr(text.data, 'X', text.length);
    if (!digits || end != text.data + text.length || !(number >= least && number <= most)) {
        ERROR_AT(r, node, "'%.*s' is no %s from %.10g to %.10g", tm_packroom_shown(text), text.data, what, least, most);
        return false;
    }
    *ret_number = number + 0.0;
    return true;
}

/* One point [x, y] of a map; x is a duration where the factor's value is one. */
static bool read_point(tm_pack_reader *r, const tm_yaml_node *node, bool duration, double *ret_x, double *ret_y)
{
    if (node->kind != TM_YAML_LIST || node->count != 2) {
        ERROR_AT(r, node, "a point of a map is a list of two: [value, points]");
        return false;
    }
    bool fine;
    if (duration) {
        int64_t ms = 0;
        fine = tm_packroom_read_duration(r, node->first, &ms);
        *ret_x = (double)ms;
    } else {
        fine = read_figure(r, node->first, "value", -MAP_MAX, MAP_MAX, ret_x);
    }
    return fine && read_figure(r, node->first->next, "number of points", 0, 100, ret_y);
}

static uint32_t read_map(tm_pack_reader *r, const tm_yaml_node *node, uint32_t value)
{
    uint32_t arguments[MAP_NODES] = {value};
    uint32_t count = 1;
    if (node->kind == TM_YAML_SCALAR) {
        ERROR_AT(r, node, "'map' must be a list of points: [[0, 0], [0.7, 100]]");
        HINT(r, "comparing an account with others (percentile) is not there yet");
        return TM_NODE_NONE;
    }
    if (node->kind != TM_YAML_LIST || node->count < 2 || node->count > TM_MAP_POINTS_MAX) {
        ERROR_AT(r, node, "'map' must be a list of 2 to %d points: [[0, 0], [0.7, 100]]", TM_MAP_POINTS_MAX);
        return TM_NODE_NONE;
    }
    bool duration = r->pack->program.nodes[value].type == TM_TYPE_DURATION;
    double before = -INFINITY;
    tm_buffer text;
    tm_buffer_init(&text, (size_t)8 * TM_EXPRESSION_MAX);
    tm_buffer_append_text(&text, "map(");
    tm_buffer_append_slice(&text, r->pack->program.nodes[value].text);
    uint32_t made = TM_NODE_NONE;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        double x = 0, y = 0;
        if (!read_point(r, entry, duration, &x, &y)) {
            goto out;
        }
        if (x <= before) {
            ERROR_AT(r, entry, "the values of a map must rise from point to point");
            goto out;
        }
        before = x;
        uint32_t ends[2] = {add_constant(r, entry, duration ? tm_value_duration(x) : tm_value_number(x)),
                            add_constant(r, entry, tm_value_number(y))};
        for (int i = 0; i < 2; i++) {
            if (ends[i] == TM_NODE_NONE) {
                goto out;
            }
            tm_buffer_append_text(&text, i ? ": " : ", ");
            tm_buffer_append_slice(&text, r->pack->program.nodes[ends[i]].text);
            arguments[count++] = ends[i];
        }
    }
    tm_buffer_append_char(&text, ')');
    if (text.overflowed) {
        r->out_of_memory |= text.exhausted;
        ERROR_AT(r, node, "the factor is too long when written out");
    } else {
        made = add(r, node, TM_OP_PIECEWISE, TM_TYPE_NUMBER, tm_buffer_slice(&text), arguments, count);
    }
out:
    tm_buffer_done(&text);
    return made;
}

static void read_factor(tm_pack_reader *r, const tm_yaml_node *node, tm_factor *factor)
{
    static const char *const keys[] = {"value", "map", "weight"};
    *factor = (tm_factor){.name = node->key->text, .value = TM_NODE_NONE, .points = TM_NODE_NONE, .weight = 1};
    if (!tm_packroom_is_key(factor->name)) {
        ERROR_AT(r, node->key, "a factor's name is lower-case letters, digits and '_', a letter first, at most %d",
                 TM_NAME_MAX);
    }
    if (!tm_packroom_need_map(r, node, "a factor")) {
        return;
    }
    tm_packroom_check_keys(r, node, keys, sizeof keys / sizeof *keys);
    const tm_yaml_node *parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = tm_yaml_get(node, keys[i]);
        if (!parts[i]) {
            ERROR_AT(r, node, "a factor needs '%s'", keys[i]);
            return;
        }
    }
    r->scope.place = TM_PLACE_FACTOR;
    factor->value = tm_packroom_compile(r, parts[0], false, TM_TYPE_ANY, NULL);
    r->scope.place = TM_PLACE_CARD;
    if (factor->value != TM_NODE_NONE) {
        tm_type type = (tm_type)r->pack->program.nodes[factor->value].type;
        if (type != TM_TYPE_NUMBER && type != TM_TYPE_DURATION && type != TM_TYPE_ANY) {
            ERROR_AT(r, parts[0], "a factor's value must be a number or a duration");
        } else {
            factor->points = read_map(r, parts[1], factor->value);
        }
    }
    if (read_figure(r, parts[2], "weight", 0, WEIGHT_MAX, &factor->weight) && factor->weight <= 0) {
        ERROR_AT(r, parts[2], "a weight must be above 0");
    }
}

/* A number of points with at most one decimal, in tenths. */
static bool read_tenths(tm_pack_reader *r, const tm_yaml_node *node, const char *what, double most, int16_t *ret_tenths)
{
    double points = 0;
    if (!read_figure(r, node, what, 0, most, &points)) {
        return false;
    }
    double tenths = rint(points * 10);
    if (fabs(points * 10 - tenths) > 1e-6) {
        ERROR_AT(r, node, "scores have one decimal, and so has where a band begins");
        return false;
    }
    *ret_tenths = (int16_t)tenths;
    return true;
}

/* `bands:` of a card's settings: where green and yellow begin, and how far beyond its edge a band is left. */
static void read_bands(tm_pack_reader *r, const tm_yaml_node *node, tm_card *card)
{
    static const char *const keys[] = {"green", "yellow", "margin"};
    if (!tm_packroom_need_map(r, node, "'bands'")) {
        return;
    }
    tm_packroom_check_keys(r, node, keys, sizeof keys / sizeof *keys);
    const tm_yaml_node *green = tm_yaml_get(node, "green"), *yellow = tm_yaml_get(node, "yellow");
    const tm_yaml_node *margin = tm_yaml_get(node, "margin");
    bool fine = (!green || read_tenths(r, green, "score", 100, &card->green)) &&
                (!yellow || read_tenths(r, yellow, "score", 100, &card->yellow)) &&
                (!margin || read_tenths(r, margin, "margin", MARGIN_MAX, &card->margin));
    if (fine && card->yellow >= card->green) {
        ERROR_AT(r, node, "'yellow' must begin below 'green'");
        HINT(r, "without a key it is green: 75, yellow: 50, margin: 3");
    }
}

static void read_version(tm_pack_reader *r, const tm_yaml_node *node, tm_card *card)
{
    double version = 0;
    if (!read_figure(r, node, "version", 1, VERSION_MAX, &version)) {
        return;
    }
    if (version != rint(version)) {
        ERROR_AT(r, node, "a card's version is a whole number");
        return;
    }
    card->version = (uint32_t)version;
}

/* `keep:`: how many days of the score are kept at least. */
static void read_keep(tm_pack_reader *r, const tm_yaml_node *node, int32_t *ret_keep)
{
    int64_t ms = 0;
    if (!tm_packroom_read_duration(r, node, &ms)) {
        return;
    }
    if (ms % TM_DAY != 0 || ms < TM_DAY || ms / TM_DAY > TM_REACH_DAYS_MAX) {
        ERROR_AT(r, node, "'keep' of a score is whole days, from 1d to %dd", TM_REACH_DAYS_MAX);
        return;
    }
    *ret_keep = (int32_t)(ms / TM_DAY);
}

/* `card:` inside a card: its settings. */
static void read_settings(tm_pack_reader *r, const tm_yaml_node *node, tm_card *card, tm_slice *ret_score,
                          int32_t *ret_keep)
{
    static const char *const keys[] = {"score", "version", "bands", "keep", "when", "stages", "tiers"};
    const tm_yaml_node *when = NULL, *stages = NULL, *tiers = NULL;
    if (node && tm_packroom_need_map(r, node, "'card'")) {
        tm_packroom_check_keys(r, node, keys, sizeof keys / sizeof *keys);
        const tm_yaml_node *score = tm_yaml_get(node, "score");
        const tm_yaml_node *version = tm_yaml_get(node, "version"), *bands = tm_yaml_get(node, "bands");
        if (version) {
            read_version(r, version, card);
        }
        if (bands) {
            read_bands(r, bands, card);
        }
        if (tm_yaml_get(node, "keep")) {
            read_keep(r, tm_yaml_get(node, "keep"), ret_keep);
        }
        when = tm_yaml_get(node, "when");
        stages = tm_yaml_get(node, "stages");
        tiers = tm_yaml_get(node, "tiers");
        tm_slice name = score ? tm_packroom_text_of(r, score, SIZE_MAX) : (tm_slice){0};
        if (name.data && !tm_packroom_is_key(name)) {
            ERROR_AT(r, score, "a score's name is lower-case letters, digits and '_', a letter first, at most %d",
                     TM_NAME_MAX);
        } else if (name.data && (tm_expression_reserved(name) || tm_pack_metric(r->pack, name) != UINT32_MAX)) {
            ERROR_AT(r, score, "'%.*s' is a word of the expression language, a fact or a metric",
                     tm_packroom_shown(name), name.data);
        } else if (name.data) {
            *ret_score = name;
        }
    }
    bool staged = false;
    for (uint32_t i = 0; i < r->pack->stage_count; i++) {
        staged = staged || tm_slice_equal(r->pack->stages[i].name, card->name);
    }
    if (when) {
        card->when = tm_packroom_compile(r, when, false, TM_TYPE_BOOLEAN, NULL);
    } else if (staged && !stages && tm_packroom_is_key(card->name)) {
        char text[2 * TM_NAME_MAX];
        int length = snprintf(text, sizeof text, "stage == '%.*s'", (int)card->name.length, card->name.data);
        card->when = tm_packroom_compile_text(r, "card", (tm_slice){text, (size_t)length}, TM_TYPE_BOOLEAN);
    } else {
        card->when = tm_packroom_compile_text(r, "card", TM_SLICE_LITERAL("true"), TM_TYPE_BOOLEAN);
    }
    card->when = tm_packroom_limit(r, card->when, stages, tiers);
}

static tm_slice named(char text[static 2 * TM_NAME_MAX], const char *function, tm_slice name)
{
    int length = snprintf(text, (size_t)2 * TM_NAME_MAX, "%s%.*s)", function, (int)name.length, name.data);
    return (tm_slice){text, (size_t)length};
}

static void read_card(tm_pack_reader *r, const tm_yaml_node *node, tm_card *card, tm_slice *ret_score,
                      int32_t *ret_keep)
{
    const tm_yaml_node *settings = tm_yaml_get(node, "card");
    uint32_t arguments[FACTOR_NODES];
    uint32_t room = node->count - (settings != NULL);
    *card = (tm_card){.name = node->key->text,
                      .version = 1,
                      .green = TM_BAND_GREEN_TENTHS,
                      .yellow = TM_BAND_YELLOW_TENTHS,
                      .margin = TM_BAND_MARGIN_TENTHS,
                      .when = TM_NODE_NONE,
                      .score = TM_NODE_NONE,
                      .coverage = TM_NODE_NONE};
    if (!tm_packroom_is_key(card->name)) {
        ERROR_AT(r, node->key, "a scorecard's name is lower-case letters, digits and '_', a letter first, at most %d",
                 TM_NAME_MAX);
    }
    read_settings(r, settings, card, ret_score, ret_keep);
    if (room == 0 || room > TM_FACTORS_MAX) {
        ERROR_AT(r, node, "a scorecard takes 1 to %d factors, this has %u", TM_FACTORS_MAX, room);
        return;
    }
    if (!(card->factors = tm_packroom_take(r, room * sizeof *card->factors))) {
        return;
    }
    bool fine = true;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        if (entry == settings) {
            continue;
        }
        tm_factor *factor = &card->factors[card->factor_count];
        read_factor(r, entry, factor);
        arguments[(size_t)2 * card->factor_count] = factor->points;
        arguments[(size_t)2 * card->factor_count + 1] = add_constant(r, entry, tm_value_number(factor->weight));
        fine = fine && factor->points != TM_NODE_NONE && arguments[(size_t)2 * card->factor_count + 1] != TM_NODE_NONE;
        card->factor_count++;
    }
    if (fine && card->name.length <= TM_NAME_MAX) {
        char text[2 * TM_NAME_MAX];
        card->score = add(r, node, TM_OP_SCORE, TM_TYPE_NUMBER, named(text, "score(", card->name), arguments, 2 * room);
        card->coverage =
            add(r, node, TM_OP_COVERAGE, TM_TYPE_NUMBER, named(text, "coverage(", card->name), arguments, 2 * room);
    }
}

/* Joins the cards of one score; every card is there in full. */
static void join_cards(tm_pack_reader *r, const tm_yaml_node *node, tm_score *score)
{
    uint32_t values[CARD_NODES], coverages[CARD_NODES], names[CARD_NODES];
    char text[2 * TM_NAME_MAX];
    for (uint32_t i = 0; i < score->card_count; i++) {
        const tm_card *card = &score->cards[i];
        uint32_t name = add_constant(r, node, tm_value_string(card->name));
        if (name == TM_NODE_NONE) {
            return;
        }
        size_t at = (size_t)2 * i;
        values[at] = coverages[at] = names[at] = card->when;
        values[at + 1] = card->score;
        coverages[at + 1] = card->coverage;
        names[at + 1] = name;
    }
    uint32_t count = 2 * score->card_count;
    score->value = add(r, node, TM_OP_PICK, TM_TYPE_NUMBER, score->name, values, count);
    score->coverage = add(r, node, TM_OP_PICK, TM_TYPE_NUMBER, named(text, "coverage(", score->name), coverages, count);
    score->card = add(r, node, TM_OP_PICK, TM_TYPE_STRING, named(text, "card(", score->name), names, count);
}

static tm_score *score_named(tm_pack *pack, tm_slice name, uint32_t cards, tm_pack_reader *r)
{
    for (uint32_t i = 0; i < pack->score_count; i++) {
        if (tm_slice_equal(pack->scores[i].name, name)) {
            return &pack->scores[i];
        }
    }
    tm_score *score = &pack->scores[pack->score_count];
    *score = (tm_score){.name = name, .value = TM_NODE_NONE, .coverage = TM_NODE_NONE, .card = TM_NODE_NONE};
    score->cards = tm_packroom_take(r, cards * sizeof *score->cards);
    pack->score_count += score->cards != NULL;
    return score->cards ? score : NULL;
}

/* Finds the names of all scores, since a card may look at the days of any. */
static void name_scores(tm_pack_reader *r, const tm_yaml_node *node)
{
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        const tm_yaml_node *card = entry->kind == TM_YAML_MAP ? tm_yaml_get(entry, "card") : NULL;
        const tm_yaml_node *score = card && card->kind == TM_YAML_MAP ? tm_yaml_get(card, "score") : NULL;
        bool named = score && score->kind == TM_YAML_SCALAR && tm_packroom_is_key(score->text);
        if (score && !named) {
            continue; /* read_settings says what is wrong with it */
        }
        (void)score_named(r->pack, named ? score->text : TM_SLICE_LITERAL("health"), node->count, r);
    }
    r->scope.scores = r->pack->scores;
    r->scope.score_count = r->pack->score_count;
}

void tm_packroom_read_cards(tm_pack_reader *r, const tm_yaml_node *node)
{
    tm_pack *pack = r->pack;
    if (tm_yaml_is_null(node) || !tm_packroom_need_map(r, node, "'scorecards'")) {
        return;
    }
    if (node->count > TM_CARDS_MAX) {
        ERROR_AT(r, node, "%u scorecards, at most %d are taken", node->count, TM_CARDS_MAX);
        return;
    }
    /* One more than cards: where a score's name is refused, its card passes for one of health. */
    if (node->count > 0 && !(pack->scores = tm_packroom_take(r, (node->count + 1) * sizeof *pack->scores))) {
        return;
    }
    uint32_t errors = r->diagnostics->count;
    name_scores(r, node);
    r->scope.place = TM_PLACE_CARD;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        tm_slice name = TM_SLICE_LITERAL("health");
        tm_card card;
        int32_t keep = 0;
        if (!tm_packroom_need_map(r, entry, "a scorecard")) {
            continue;
        }
        read_card(r, entry, &card, &name, &keep);
        tm_score *score = score_named(pack, name, node->count, r);
        if (score) {
            score->reach_days = keep > score->reach_days ? keep : score->reach_days;
            score->cards[score->card_count++] = card;
        }
    }
    r->scope.place = TM_PLACE_RULE;
    if (tm_pack_metric(pack, TM_SLICE_LITERAL("health")) != UINT32_MAX && node->count > 0) {
        ERROR_AT(r, node->key, "a metric is named 'health', as the score is");
    }
    /* Wrong cards have no nodes: their score is no name then. */
    if (r->out_of_memory || r->diagnostics->count > errors) {
        pack->score_count = r->scope.score_count = 0;
        return;
    }
    for (uint32_t i = 0; i < pack->score_count; i++) {
        join_cards(r, node, &pack->scores[i]);
    }
}
