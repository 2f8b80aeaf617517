/* Long because: one grammar, top to bottom. A recursive-descent parser that types and emits as it reads: every
   sub-expression is a node of the program as soon as it is complete, its text written from the texts of its arguments.
 */
#include "tidemark/rules/expression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/core/baseline.h"
#include "tidemark/core/pack.h"
#include "tidemark/rules/canonical.h"
#include "tidemark/rules/lexer.h"
#include "tidemark/rules/typing.h"
#include "tidemark/rules/vocabulary.h"

enum {
    TEXT_MAX = 4 * TM_EXPRESSION_MAX, /* bytes of one canonical text: `in` writes its left side once an element */
    TERMS_MAX = 512,                  /* candidates for evidence; only the first of them can be shown */
    OPERANDS_MAX = TM_EXPRESSION_MAX
};

typedef struct operand {
    uint32_t node;
    uint32_t height; /* levels of nodes below and with it */
    tm_type type;    /* TM_TYPE_NULL only for the literal null */
    size_t start, end;
} operand;

typedef struct term {
    size_t start, end;
    uint32_t node;
} term;

typedef struct parser {
    tm_program *program;
    const tm_expression_scope *scope;
    tm_expression_error *error;
    tm_status status;
    tm_token token; /* the next one, not yet taken */
    size_t last_end;
    uint32_t depth;
    tm_buffer text;
    tm_lexer lexer;
    size_t compared_at; /* of the first comparison's operator */
    uint32_t compared_left, compared_right;
    term terms[TERMS_MAX];
    uint32_t term_count;
    operand operands[OPERANDS_MAX]; /* of the connectives being read */
    uint32_t operand_count;
} parser;

bool tm_expression_is_name(tm_slice name)
{
    return tm_canonical_is_name(name);
}

bool tm_expression_reserved(tm_slice name)
{
    return tm_grammar_word(name) || tm_fact_word_find(name) != NULL || tm_standing_word_find(name) != NULL ||
           tm_slice_equal_text(name, "band");
}

/* --- errors --- */

__attribute__((format(printf, 4, 5))) static bool fail(parser *p, size_t start, size_t end, const char *format, ...)
{
    if (p->status == TM_OK) {
        p->status = TM_REJECT;
        p->error->offset = start;
        p->error->length = end - start;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(p->error->message, sizeof p->error->message, format, arguments);
        va_end(arguments);
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static bool hint(parser *p, const char *format, ...)
{
    if (p->status == TM_REJECT && p->error->hint[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(p->error->hint, sizeof p->error->hint, format, arguments);
        va_end(arguments);
    }
    return false;
}

static int shown(tm_slice text)
{
    return text.length > TM_NAME_MAX ? TM_NAME_MAX : (int)text.length;
}

static bool suggest(parser *p, const tm_nearest *nearest)
{
    tm_slice found = tm_nearest_found(nearest);
    if (found.data) {
        hint(p, "did you mean '%.*s'?", (int)found.length, found.data);
    }
    return false;
}

static bool fail_token(parser *p, const char *expected)
{
    const tm_token *token = &p->token;
    if (token->kind == TM_TOKEN_BAD) {
        fail(p, token->start, token->end, "%s", token->problem);
        return token->hint ? hint(p, "%s", token->hint) : false;
    }
    if (token->kind == TM_TOKEN_END) {
        return fail(p, token->start, token->end, "the expression ends where %s should follow", expected);
    }
    return fail(p, token->start, token->end, "'%.*s' stands where %s should", shown(token->text), token->text.data,
                expected);
}

/* --- tokens --- */

static void advance(parser *p)
{
    p->last_end = p->token.end;
    p->token = tm_lexer_next(&p->lexer);
}

static bool at_sign(const parser *p, const char *sign)
{
    return p->token.kind == TM_TOKEN_SIGN && tm_slice_equal_text(p->token.text, sign);
}

static bool at_word(const parser *p, const char *word)
{
    return p->token.kind == TM_TOKEN_NAME && tm_slice_equal_text(p->token.text, word);
}

static bool take_sign(parser *p, const char *sign)
{
    if (at_sign(p, sign)) {
        advance(p);
        return true;
    }
    return false;
}

static bool expect_sign(parser *p, const char *sign, const char *expected)
{
    return take_sign(p, sign) || fail_token(p, expected);
}

/* --- emitting --- */

static bool add_node(parser *p, const tm_node *node, const uint32_t *arguments, operand *out)
{
    if (p->text.exhausted) {
        p->status = TM_FATAL;
        return false;
    }
    if (p->text.overflowed) {
        return fail(p, out->start, out->end, "the expression is too long when written out");
    }
    tm_node copy = *node;
    copy.text = tm_buffer_slice(&p->text);
    tm_status status = tm_program_add(p->program, &copy, arguments, &out->node);
    if (status == TM_REJECT) {
        return fail(p, out->start, out->end, "the rules file holds more than %d different sub-expressions",
                    TM_PROGRAM_NODES_MAX);
    }
    if (status != TM_OK) {
        p->status = status;
        return false;
    }
    return true;
}

static bool emit(parser *p, tm_op op, tm_type type, const operand *arguments, uint32_t count, operand *out)
{
    uint32_t nodes[OPERANDS_MAX];
    out->type = type;
    out->height = 1;
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = arguments[i].node;
        out->height = arguments[i].height >= out->height ? arguments[i].height + 1 : out->height;
    }
    if (out->height > TM_EXPRESSION_DEPTH_MAX) {
        return fail(p, out->start, out->end, "the expression is nested more than %d deep", TM_EXPRESSION_DEPTH_MAX);
    }
    tm_buffer_reset(&p->text);
    tm_canonical_operation(&p->text, p->program, op, nodes, count);
    return add_node(p, &(tm_node){.op = (uint8_t)op, .type = (uint8_t)type, .argument_count = (uint16_t)count}, nodes,
                    out);
}

static bool emit_constant(parser *p, tm_value value, operand *out)
{
    out->type = value.type;
    out->height = 1;
    tm_buffer_reset(&p->text);
    return add_node(p, &(tm_node){.op = TM_OP_CONSTANT, .type = value.type, .constant = value}, NULL, out);
}

/* A leaf whose text is in p->text already. */
static bool emit_leaf(parser *p, const tm_node *node, operand *out)
{
    out->type = node->type;
    out->height = 1;
    return add_node(p, node, NULL, out);
}

static bool is_constant(const parser *p, const operand *o)
{
    return p->program->nodes[o->node].op == TM_OP_CONSTANT;
}

static void note_term(parser *p, const operand *o)
{
    if (!is_constant(p, o) && p->term_count < TERMS_MAX) {
        p->terms[p->term_count++] = (term){o->start, o->end, o->node};
    }
}

static void note_comparison(parser *p, size_t at, const operand *left, const operand *right)
{
    if (left->type != TM_TYPE_NULL) {
        note_term(p, left);
    }
    if (right && right->type != TM_TYPE_NULL) {
        note_term(p, right);
    }
    if (at < p->compared_at) {
        p->compared_at = at;
        p->compared_left = left->type == TM_TYPE_NULL ? TM_NODE_NONE : left->node;
        p->compared_right = !right || right->type == TM_TYPE_NULL ? TM_NODE_NONE : right->node;
    }
}

/* Types the operation, then emits it. */
static bool emit_typed(parser *p, tm_op op, const operand *arguments, uint32_t count, operand *out)
{
    tm_type types[OPERANDS_MAX] = {0}; /* the optimiser cannot see that count covers what is read */
    tm_type type;
    tm_typing_problem problem;
    for (uint32_t i = 0; i < count; i++) {
        types[i] = arguments[i].type;
    }
    if (tm_typing_operation(op, types, count, &type, &problem)) {
        return emit(p, op, type, arguments, count, out);
    }
    const operand *faulty = &arguments[problem.argument];
    fail(p, faulty->start, faulty->end, "%s", problem.message);
    return problem.hint ? hint(p, "%s", problem.hint) : false;
}

/* --- grammar --- */

static bool parse_or(parser *p, operand *out);
static bool parse_sum(parser *p, operand *out);

static bool enter(parser *p)
{
    if (++p->depth > TM_EXPRESSION_DEPTH_MAX) {
        return fail(p, p->token.start, p->token.end, "the expression is nested more than %d deep",
                    TM_EXPRESSION_DEPTH_MAX);
    }
    return true;
}

static uint32_t find_metric(const parser *p, tm_slice name)
{
    for (uint32_t i = 0; i < p->scope->metric_count; i++) {
        if (tm_slice_equal(p->scope->metrics[i].name, name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static bool unknown_name(parser *p, const tm_token *name, const char *what, bool metrics_only)
{
    fail(p, name->start, name->end, "unknown %s '%.*s'", what, shown(name->text), name->text.data);
    tm_nearest nearest;
    tm_nearest_init(&nearest, name->text);
    for (uint32_t i = 0; i < p->scope->metric_count && !p->scope->where; i++) {
        tm_nearest_offer(&nearest, p->scope->metrics[i].name);
    }
    for (uint32_t i = 0; i < p->scope->score_count && !metrics_only && !p->scope->where; i++) {
        tm_nearest_offer(&nearest, p->scope->scores[i].name);
    }
    for (size_t i = 0; tm_event_word_at(i) && p->scope->where; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(tm_event_word_at(i)->name));
    }
    for (size_t i = 0; tm_fact_word_at(i) && !metrics_only; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(tm_fact_word_at(i)->name));
    }
    for (size_t i = 0; tm_standing_word_at(i) && !metrics_only && !p->scope->where && p->scope->stage_count > 0; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(tm_standing_word_at(i)->name));
    }
    return suggest(p, &nearest);
}

/* One length or offset of a window: whole days, weeks or hours. */
static bool parse_span(parser *p, int64_t least, tm_window_unit *ret_unit, int32_t *ret_length)
{
    tm_token token = p->token;
    if (token.kind != TM_TOKEN_DURATION) {
        return fail_token(p, "a number of days or hours such as 7d or 24h");
    }
    int64_t length = 0;
    size_t i = 0;
    for (; i < token.text.length && token.text.data[i] >= '0' && token.text.data[i] <= '9'; i++) {
        length = length > 1000000 ? length : length * 10 + (token.text.data[i] - '0');
    }
    tm_slice unit = {token.text.data + i, token.text.length - i};
    if (!tm_slice_equal_text(unit, "d") && !tm_slice_equal_text(unit, "h") && !tm_slice_equal_text(unit, "w")) {
        fail(p, token.start, token.end, "'%.*s' is no window", shown(token.text), token.text.data);
        return hint(p, "windows are whole days or hours: 7d, 24h, 2w");
    }
    length *= tm_slice_equal_text(unit, "w") ? 7 : 1;
    if (length < least || length > 1000000) {
        return fail(p, token.start, token.end, "a window of '%.*s' is too %s", shown(token.text), token.text.data,
                    length < least ? "short" : "long");
    }
    *ret_unit = tm_slice_equal_text(unit, "h") ? TM_WINDOW_HOURS : TM_WINDOW_DAYS;
    *ret_length = (int32_t)length;
    advance(p);
    return true;
}

/* `offset 3d` after a span of that unit, if it is there. */
static bool parse_offset(parser *p, tm_window *window)
{
    if (!at_word(p, "offset")) {
        return true;
    }
    advance(p);
    tm_window_unit unit = window->unit;
    size_t start = p->token.start;
    if (!parse_span(p, 0, &unit, &window->offset)) {
        return false;
    }
    if (unit != window->unit) {
        fail(p, start, p->last_end, "a window of %s needs an offset in %s",
             window->unit == TM_WINDOW_DAYS ? "days" : "hours", window->unit == TM_WINDOW_DAYS ? "days" : "hours");
        return hint(p, "days are local calendar days, hours are UTC clock hours: they do not mix");
    }
    return true;
}

/* `[7d offset 1d]` */
static bool parse_brackets(parser *p, tm_window *window)
{
    advance(p);
    return parse_span(p, 1, &window->unit, &window->length) && parse_offset(p, window) &&
           expect_sign(p, "]", window->offset > 0 ? "']'" : "'offset' or ']'");
}

static bool parse_window(parser *p, uint32_t metric, operand *out)
{
    const tm_metric *m = &p->scope->metrics[metric];
    tm_window window = {0};
    if (!parse_brackets(p, &window)) {
        return false;
    }
    out->end = p->last_end;
    int32_t limit = tm_metric_reach_limit(m->kind, window.unit);
    bool days = window.unit == TM_WINDOW_DAYS;
    if (window.length + window.offset > limit) {
        return fail(p, out->start, out->end, "metric '%.*s' reaches back at most %d %s, this needs %d", shown(m->name),
                    m->name.data, limit, days ? "days" : "hours", window.length + window.offset);
    }
    tm_buffer_reset(&p->text);
    tm_canonical_window(&p->text, m->name, &window);
    return emit_leaf(p, &(tm_node){.op = TM_OP_WINDOW, .type = TM_TYPE_NUMBER, .metric = metric, .window = window},
                     out);
}

static bool parse_metric(parser *p, uint32_t metric, const tm_token *name, operand *out)
{
    const tm_metric *m = &p->scope->metrics[metric];
    if (p->scope->where) {
        return fail(p, name->start, name->end, "a metric cannot be read in 'where': an event is all it sees");
    }
    if (at_sign(p, "[")) {
        if (!parse_window(p, metric, out)) {
            return false;
        }
    } else {
        if (m->kind == TM_METRIC_COUNT || m->kind == TM_METRIC_SUM || m->kind == TM_METRIC_DISTINCT) {
            fail(p, name->start, name->end, "metric '%.*s' needs a window", shown(m->name), m->name.data);
            return hint(p, "for example %.*s[7d]", shown(m->name), m->name.data);
        }
        tm_buffer_reset(&p->text);
        tm_buffer_append_slice(&p->text, m->name);
        if (!emit_leaf(p, &(tm_node){.op = TM_OP_VALUE, .type = TM_TYPE_NUMBER, .metric = metric}, out)) {
            return false;
        }
    }
    note_term(p, out);
    return true;
}

/* The metric that a function reads as a whole. */
static bool parse_metric_name(parser *p, uint32_t *ret_metric)
{
    tm_token name = p->token;
    if (name.kind != TM_TOKEN_NAME) {
        return fail_token(p, "the name of a metric");
    }
    if (p->scope->where) {
        return fail(p, name.start, name.end, "a metric cannot be read in 'where': an event is all it sees");
    }
    *ret_metric = find_metric(p, name.text);
    if (*ret_metric == UINT32_MAX) {
        return unknown_name(p, &name, "metric", true);
    }
    advance(p);
    return true;
}

/* age(m) and first(m), after the opening bracket. */
static bool parse_age(parser *p, const tm_function_word *function, operand *out)
{
    tm_token name = p->token;
    uint32_t metric;
    if (!parse_metric_name(p, &metric)) {
        return false;
    }
    if (at_sign(p, "[")) {
        fail(p, p->token.start, p->token.end, "%s takes a metric without a window", function->name);
        return hint(p, "%s(%.*s)", function->name, shown(name.text), name.text.data);
    }
    if (!expect_sign(p, ")", "')'")) {
        return false;
    }
    out->end = p->last_end;
    tm_buffer_reset(&p->text);
    tm_buffer_append_format(&p->text, "%s(%.*s)", function->name, shown(name.text), name.text.data);
    if (!emit_leaf(p, &(tm_node){.op = (uint8_t)function->op, .type = TM_TYPE_DURATION, .metric = metric}, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

/* A whole number written out, within bounds. */
static bool parse_whole(parser *p, const char *what, double least, double most, uint16_t *ret_number)
{
    tm_token token = p->token;
    if (token.kind != TM_TOKEN_NUMBER) {
        return fail_token(p, what);
    }
    /* The bounds first: beyond 64 bits there is no whole number to compare with. */
    if (token.number < least || token.number > most || token.number != (double)(int64_t)token.number) {
        return fail(p, token.start, token.end, "%s goes from %.0f to %.0f and is whole", what, least, most);
    }
    *ret_number = (uint16_t)token.number;
    advance(p);
    return true;
}

/* `8w offset 3d`: whole weeks. */
static bool parse_weeks(parser *p, tm_node *node)
{
    tm_token token = p->token;
    tm_window weeks = {0};
    if (!parse_span(p, 1, &weeks.unit, &weeks.length)) {
        return false;
    }
    if (weeks.unit != TM_WINDOW_DAYS || weeks.length % 7 != 0 || weeks.length < 7 * TM_BASELINE_WEEKS_MIN ||
        weeks.length > TM_REACH_DAYS_MAX) {
        fail(p, token.start, token.end, "'%.*s' is no number of weeks", shown(token.text), token.text.data);
        return hint(p, "whole weeks from %dw on, such as 8w", TM_BASELINE_WEEKS_MIN);
    }
    node->periods = (uint16_t)(weeks.length / 7);
    if (node->op == TM_OP_MEDIAN_WEEKDAY && !parse_offset(p, &weeks)) {
        return false;
    }
    node->window.offset = weeks.offset;
    return true;
}

/* `, 0.5`, the allowance of a CUSUM, if it is there. */
static bool parse_allowance(parser *p, tm_node *node)
{
    node->parameter = TM_CUSUM_ALLOWANCE;
    if (!take_sign(p, ",")) {
        return true;
    }
    if (p->token.kind != TM_TOKEN_NUMBER) {
        return fail_token(p, "the allowance, a number such as 0.5,");
    }
    if (p->token.number > TM_BASELINE_PARAMETER_MAX) {
        return fail(p, p->token.start, p->token.end, "the allowance goes from 0 to %d", TM_BASELINE_PARAMETER_MAX);
    }
    node->parameter = p->token.number;
    advance(p);
    return true;
}

/* What stands between a baseline's metric and its closing bracket. */
static bool parse_baseline_rest(parser *p, const tm_function_word *function, const tm_metric *m, tm_node *node)
{
    bool windowed = function->op == TM_OP_ZSCORE || function->op == TM_OP_GROWTH;
    size_t start = p->token.start;
    if (windowed != at_sign(p, "[")) {
        fail(p, p->token.start, p->token.end, "%s takes a metric with%s a window", function->name,
             windowed ? "" : "out");
        return hint(p, windowed ? "for example %s(%.*s[14d], 8)" : "the name alone: %s(%.*s, ...)", function->name,
                    shown(m->name), m->name.data);
    }
    if (windowed && !parse_brackets(p, &node->window)) {
        return false;
    }
    if (node->window.unit != TM_WINDOW_DAYS) {
        fail(p, start, p->last_end, "%s compares windows of days", function->name);
        return hint(p, "hours of the day differ by themselves: count days, such as [7d]");
    }
    if (!expect_sign(p, ",", windowed ? "',' and the number of earlier windows" : "','")) {
        return false;
    }
    switch (function->op) {
    case TM_OP_GAP:
        return parse_whole(p, "the percentile", 1, 100, &node->periods);
    case TM_OP_MEDIAN_WEEKDAY:
        return parse_weeks(p, node);
    case TM_OP_CUSUM:
        return parse_weeks(p, node) && parse_allowance(p, node);
    default:
        return parse_whole(p, "the number of earlier windows", TM_BASELINE_WINDOWS_MIN, TM_REACH_DAYS_MAX,
                           &node->periods);
    }
}

/* zscore, growth, median_weekday, cusum and gap, after the opening bracket. */
static bool parse_baseline(parser *p, const tm_function_word *function, operand *out)
{
    tm_token name = p->token;
    tm_node node = {.op = (uint8_t)function->op, .type = TM_TYPE_NUMBER, .window = {.length = 1}};
    if (!parse_metric_name(p, &node.metric)) {
        return false;
    }
    const tm_metric *m = &p->scope->metrics[node.metric];
    if (m->kind != TM_METRIC_COUNT && m->kind != TM_METRIC_SUM && m->kind != TM_METRIC_DISTINCT) {
        return fail(p, name.start, name.end, "%s needs a metric that is a count, a sum or distinct", function->name);
    }
    if (!parse_baseline_rest(p, function, m, &node) || !expect_sign(p, ")", "')'")) {
        return false;
    }
    out->end = p->last_end;
    int32_t limit = tm_metric_reach_limit(m->kind, TM_WINDOW_DAYS);
    int64_t reach = tm_baseline_reach(&node);
    if (reach > limit) {
        return fail(p, out->start, out->end, "metric '%.*s' reaches back at most %d days, this needs %lld",
                    shown(m->name), m->name.data, limit, (long long)reach);
    }
    node.type = function->op == TM_OP_GAP ? TM_TYPE_DURATION : TM_TYPE_NUMBER;
    tm_buffer_reset(&p->text);
    tm_canonical_baseline(&p->text, m->name, &node);
    if (!emit_leaf(p, &node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

static bool unknown_function(parser *p, const tm_token *name)
{
    fail(p, name->start, name->end, "unknown function '%.*s'", shown(name->text), name->text.data);
    if (tm_expression_reserved(name->text)) {
        return hint(p, "'%.*s' is written without brackets", shown(name->text), name->text.data);
    }
    tm_nearest nearest;
    tm_nearest_init(&nearest, name->text);
    for (size_t i = 0; tm_function_word_at(i); i++) {
        tm_nearest_offer(&nearest, tm_slice_of(tm_function_word_at(i)->name));
    }
    return suggest(p, &nearest);
}

static const tm_score *find_score(const parser *p, tm_slice name)
{
    for (uint32_t i = 0; i < p->scope->score_count; i++) {
        if (tm_slice_equal(p->scope->scores[i].name, name)) {
            return &p->scope->scores[i];
        }
    }
    return NULL;
}

static bool may_read_scores(parser *p, const tm_token *name)
{
    if (p->scope->where || p->scope->place != TM_PLACE_RULE) {
        return fail(p, name->start, name->end, "'%.*s' is a score, and cannot be read in %s", shown(name->text),
                    name->text.data, p->scope->where ? "'where'" : "a stage or a scorecard");
    }
    return true;
}

/* A score's value, coverage or card: nodes that its cards were compiled to. */
static bool parse_score(parser *p, const tm_token *name, uint32_t node, operand *out)
{
    if (!may_read_scores(p, name)) {
        return false;
    }
    out->end = p->last_end;
    out->node = node;
    out->type = (tm_type)p->program->nodes[node].type;
    out->height = 1; /* what is below it holds no scores, so that depth stays bounded */
    note_term(p, out);
    return true;
}

/* The band of a score; `name` is what names it. */
static bool parse_band(parser *p, const tm_token *name, const tm_score *score, operand *out)
{
    if (!may_read_scores(p, name)) {
        return false;
    }
    out->end = p->last_end;
    tm_buffer_reset(&p->text);
    tm_buffer_append_format(&p->text, "band(%.*s)", shown(score->name), score->name.data);
    tm_node node = {.op = TM_OP_BAND, .type = TM_TYPE_STRING, .metric = (uint32_t)(score - p->scope->scores)};
    if (!emit_leaf(p, &node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

/* The days of `[14d ago]` or `[90d]`, after the opening bracket of it. */
static bool parse_days(parser *p, const tm_token *name, const tm_score *score, tm_node *node, operand *out)
{
    static const struct {
        tm_op op;
        const char *before, *behind;
    } forms[] = {{TM_OP_SCORE_AGO, "", " ago]"},
                 {TM_OP_SCORE_LEAST, "min(", "])"},
                 {TM_OP_SCORE_GREATEST, "max(", "])"},
                 {TM_OP_SCORE_MEAN, "mean(", "])"}};
    tm_token span = p->token;
    tm_window days = {0};
    bool ago = node->op == TM_OP_SCORE_AGO;
    if (!(ago && p->scope->place == TM_PLACE_FACTOR) && !may_read_scores(p, name)) {
        return false;
    }
    if (!parse_span(p, 1, &days.unit, &days.length)) {
        return false;
    }
    if (days.unit != TM_WINDOW_DAYS || days.length > TM_REACH_DAYS_MAX) {
        fail(p, span.start, span.end, "'%.*s' is no number of days up to %d", shown(span.text), span.text.data,
             TM_REACH_DAYS_MAX);
        return hint(p, "scores are kept by local days: %.*s[14d ago]", shown(score->name), score->name.data);
    }
    if (ago) {
        advance(p); /* it is `ago` */
    }
    if (!expect_sign(p, "]", "']'") || (!ago && !expect_sign(p, ")", "')'"))) {
        return false;
    }
    out->end = p->last_end;
    node->window = days;
    node->type = TM_TYPE_NUMBER;
    node->metric = (uint32_t)(score - p->scope->scores);
    tm_buffer_reset(&p->text);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (forms[i].op == (tm_op)node->op) {
            tm_buffer_append_format(&p->text, "%s%.*s[%dd%s", forms[i].before, shown(score->name), score->name.data,
                                    (int)days.length, forms[i].behind);
        }
    }
    if (!emit_leaf(p, node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

/* `health[14d ago]`, at its bracket. */
static bool parse_ago(parser *p, const tm_token *name, const tm_score *score, operand *out)
{
    tm_lexer before = p->lexer;
    tm_token span = tm_lexer_next(&p->lexer);
    tm_token word = tm_lexer_next(&p->lexer);
    p->lexer = before;
    if (span.kind == TM_TOKEN_DURATION && !(word.kind == TM_TOKEN_NAME && tm_slice_equal_text(word.text, "ago"))) {
        fail(p, name->start, span.end, "a score over days needs min(), max() or mean()");
        return hint(p, "min(%.*s[90d]); the score of one day is %.*s[90d ago]", shown(score->name), score->name.data,
                    shown(score->name), score->name.data);
    }
    advance(p);
    tm_node node = {.op = TM_OP_SCORE_AGO};
    return parse_days(p, name, score, &node, out);
}

/* Whether `score[90d]` stands here, so that a function is one of days; then it is taken up to the span. */
static const tm_score *take_score_window(parser *p)
{
    const tm_score *score = p->token.kind == TM_TOKEN_NAME ? find_score(p, p->token.text) : NULL;
    tm_lexer before = p->lexer;
    tm_token bracket = tm_lexer_next(&p->lexer);
    tm_token span = tm_lexer_next(&p->lexer);
    tm_token close = tm_lexer_next(&p->lexer);
    p->lexer = before;
    if (!score || bracket.kind != TM_TOKEN_SIGN || !tm_slice_equal_text(bracket.text, "[") ||
        span.kind != TM_TOKEN_DURATION || close.kind != TM_TOKEN_SIGN || !tm_slice_equal_text(close.text, "]")) {
        return NULL;
    }
    advance(p);
    advance(p);
    return score;
}

/* min, max and mean of a score's days, after the opening bracket; *ret_taken false: it is something else. */
static bool parse_over_days(parser *p, const tm_token *function, operand *out, bool *ret_taken)
{
    tm_token name = p->token;
    bool mean = tm_slice_equal_text(function->text, "mean");
    bool least = tm_slice_equal_text(function->text, "min");
    const tm_score *score = take_score_window(p);
    *ret_taken = mean || score;
    if (!score) {
        return mean && fail(p, name.start, name.end, "mean takes the days of a score, such as mean(health[28d])");
    }
    tm_node node = {.op = mean ? TM_OP_SCORE_MEAN : least ? TM_OP_SCORE_LEAST : TM_OP_SCORE_GREATEST};
    return parse_days(p, &name, score, &node, out);
}

/* band(s), coverage(s) and card(s), after the opening bracket. */
static bool parse_of_score(parser *p, const tm_token *function, operand *out)
{
    tm_token name = p->token;
    if (name.kind != TM_TOKEN_NAME) {
        return fail_token(p, "the name of a score");
    }
    const tm_score *score = find_score(p, name.text);
    if (!score) {
        fail(p, name.start, name.end, "there is no score '%.*s'", shown(name.text), name.text.data);
        tm_nearest nearest;
        tm_nearest_init(&nearest, name.text);
        for (uint32_t i = 0; i < p->scope->score_count; i++) {
            tm_nearest_offer(&nearest, p->scope->scores[i].name);
        }
        return suggest(p, &nearest);
    }
    advance(p);
    if (!expect_sign(p, ")", "')'")) {
        return false;
    }
    if (tm_slice_equal_text(function->text, "band")) {
        return parse_band(p, &name, score, out);
    }
    return parse_score(p, &name, tm_slice_equal_text(function->text, "card") ? score->card : score->coverage, out);
}

static bool parse_call(parser *p, const tm_token *name, operand *out)
{
    if (tm_slice_equal_text(name->text, "coverage") || tm_slice_equal_text(name->text, "card") ||
        tm_slice_equal_text(name->text, "band")) {
        advance(p);
        return parse_of_score(p, name, out);
    }
    const tm_function_word *function = tm_function_word_find(name->text);
    bool mean = tm_slice_equal_text(name->text, "mean");
    if (!function && !mean) {
        return unknown_function(p, name);
    }
    advance(p);
    if (mean || function->op == TM_OP_MINIMUM || function->op == TM_OP_MAXIMUM) {
        bool taken;
        bool fine = parse_over_days(p, name, out, &taken);
        if (taken || !function) {
            return fine;
        }
    }
    if (function->op == TM_OP_AGE || function->op == TM_OP_FIRST) {
        return parse_age(p, function, out);
    }
    if (tm_baseline_is((uint8_t)function->op)) {
        return parse_baseline(p, function, out);
    }
    operand arguments[TM_ARGUMENTS_MAX];
    uint32_t count = 0;
    while (count == 0 || take_sign(p, ",")) {
        if (count == function->most) {
            return fail(p, p->token.start, p->token.end, "%s takes at most %u argument%s", function->name,
                        function->most, function->most == 1 ? "" : "s");
        }
        if (!parse_or(p, &arguments[count++])) {
            return false;
        }
    }
    if (!expect_sign(p, ")", "',' or ')'")) {
        return false;
    }
    out->end = p->last_end;
    if (count < function->least) {
        return fail(p, out->start, out->end, "%s takes %s%u arguments, this has %u", function->name,
                    function->least == function->most ? "" : "at least ", function->least, count);
    }
    return emit_typed(p, function->op, arguments, count, out);
}

/* `.name` or `['any text']` after owners, goals, attributes, products or properties. */
static bool parse_member(parser *p, const tm_token *of, tm_slice *ret_name)
{
    if (take_sign(p, ".")) {
        if (p->token.kind != TM_TOKEN_NAME) {
            return fail_token(p, "a name");
        }
        *ret_name = p->token.text;
        advance(p);
        return true;
    }
    if (take_sign(p, "[")) {
        if (p->token.kind != TM_TOKEN_STRING) {
            return fail_token(p, "a name in quotes");
        }
        *ret_name = p->token.string;
        advance(p);
        return expect_sign(p, "]", "']'");
    }
    fail(p, of->start, of->end, "'%.*s' needs a name", shown(of->text), of->text.data);
    return hint(p, "%.*s.x or %.*s['x y']", shown(of->text), of->text.data, shown(of->text), of->text.data);
}

static bool parse_fact(parser *p, const tm_fact_word *fact, const tm_token *name, operand *out)
{
    tm_node node = {.op = TM_OP_FACT, .field = fact->field};
    bool member = node.field >= TM_FACT_OWNER;
    if (member && !parse_member(p, name, &node.name)) {
        return false;
    }
    const char *ending = "";
    if (node.field == TM_FACT_PRODUCT_SEATS) {
        bool dot = take_sign(p, ".");
        bool seats = at_word(p, "seats");
        if (!dot || (!seats && !at_word(p, "mrr"))) {
            return fail_token(p, "'.seats' or '.mrr'");
        }
        advance(p);
        node.field = seats ? TM_FACT_PRODUCT_SEATS : TM_FACT_PRODUCT_MRR;
        ending = seats ? ".seats" : ".mrr";
    }
    out->end = p->last_end;
    node.type = (uint8_t)tm_fact_type(node.field);
    tm_buffer_reset(&p->text);
    tm_buffer_append_slice(&p->text, name->text);
    if (member) {
        tm_canonical_member(&p->text, node.name);
    }
    tm_buffer_append_text(&p->text, ending);
    if (!emit_leaf(p, &node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

static bool parse_event_field(parser *p, const tm_event_word *field, const tm_token *name, operand *out)
{
    tm_node node = {.op = (uint8_t)field->op, .type = (uint8_t)field->type};
    bool property = node.op == TM_OP_EVENT_PROPERTY;
    if (property && !parse_member(p, name, &node.name)) {
        return false;
    }
    out->end = p->last_end;
    tm_buffer_reset(&p->text);
    tm_buffer_append_slice(&p->text, name->text);
    if (property) {
        tm_canonical_member(&p->text, node.name);
    }
    return emit_leaf(p, &node, out);
}

/* What follows from an account's stages, and the time to its first value. */
static bool parse_standing(parser *p, const tm_standing_word *word, const tm_token *name, operand *out)
{
    tm_node node = {.op = (uint8_t)word->op, .type = (uint8_t)word->type};
    if (p->scope->where) {
        return fail(p, name->start, name->end, "'%s' cannot be read in 'where': an event is all it sees", word->name);
    }
    if (word->op == TM_OP_FIRST_VALUE) {
        if (!p->scope->has_first_value) {
            fail(p, name->start, name->end, "the file does not say what the first value is");
            return hint(p, "first_value: METRIC at the file's top names the metric whose first event it is");
        }
        node.metric = p->scope->first_value;
    } else if (p->scope->place == TM_PLACE_ENTER) {
        fail(p, name->start, name->end, "'%s' cannot decide about a stage: it follows from the stages", word->name);
        return hint(p, "metrics, facts and durations can; 'stay' keeps an account in a stage for a time");
    } else if (p->scope->stage_count == 0) {
        fail(p, name->start, name->end, "'%s' means nothing: the file has no stages", word->name);
        return hint(p, "stages: [{name: ..., enter: ...}]");
    }
    tm_buffer_reset(&p->text);
    tm_buffer_append_text(&p->text, word->name);
    if (!emit_leaf(p, &node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

static bool parse_name(parser *p, operand *out)
{
    tm_token name = p->token;
    advance(p);
    out->end = name.end;
    if (at_sign(p, "(")) {
        return parse_call(p, &name, out);
    }
    if (tm_slice_equal_text(name.text, "true") || tm_slice_equal_text(name.text, "false")) {
        return emit_constant(p, tm_value_boolean(name.text.length == 4), out);
    }
    if (tm_slice_equal_text(name.text, "null")) {
        return emit_constant(p, tm_value_null(), out);
    }
    const tm_event_word *field = p->scope->where ? tm_event_word_find(name.text) : NULL;
    if (field) {
        return parse_event_field(p, field, &name, out);
    }
    const tm_fact_word *fact = tm_fact_word_find(name.text);
    if (fact) {
        return parse_fact(p, fact, &name, out);
    }
    const tm_score *score = find_score(p, name.text);
    if (score) {
        return at_sign(p, "[") ? parse_ago(p, &name, score, out) : parse_score(p, &name, score->value, out);
    }
    if (tm_slice_equal_text(name.text, "band")) {
        score = find_score(p, TM_SLICE_LITERAL("health"));
        if (score || !may_read_scores(p, &name)) {
            return score && parse_band(p, &name, score, out);
        }
        fail(p, name.start, name.end, "'band' is that of the score 'health', and the file has no such score");
        return p->scope->score_count > 0 ? hint(p, "name the score: band(%.*s)", shown(p->scope->scores[0].name),
                                                p->scope->scores[0].name.data)
                                         : hint(p, "scorecards: {NAME: {FACTOR: {value: ..., map: ..., weight: ...}}}");
    }
    const tm_standing_word *standing = tm_standing_word_find(name.text);
    if (standing) {
        return parse_standing(p, standing, &name, out);
    }
    uint32_t metric = find_metric(p, name.text);
    if (metric != UINT32_MAX) {
        return parse_metric(p, metric, &name, out);
    }
    if (tm_grammar_word(name.text)) {
        return fail(p, name.start, name.end, "'%.*s' stands where a value should", shown(name.text), name.text.data);
    }
    return unknown_name(p, &name, at_sign(p, "[") ? "metric" : "name", at_sign(p, "["));
}

static bool parse_primary(parser *p, operand *out)
{
    *out = (operand){.start = p->token.start, .end = p->token.end};
    tm_token token = p->token;
    switch (token.kind) {
    case TM_TOKEN_NUMBER:
        advance(p);
        return emit_constant(p, tm_value_number(token.number), out);
    case TM_TOKEN_DURATION: {
        int64_t ms;
        if (tm_duration_parse(token.text, &ms) != TM_OK) {
            fail(p, token.start, token.end, "'%.*s' is no duration", shown(token.text), token.text.data);
            return hint(p, "a duration is a number and one of ms, s, m, h, d, w, at most 10000d");
        }
        advance(p);
        return emit_constant(p, tm_value_duration((double)ms), out);
    }
    case TM_TOKEN_STRING:
        advance(p);
        return emit_constant(p, tm_value_string(token.string), out);
    case TM_TOKEN_NAME:
        return parse_name(p, out);
    default:
        break;
    }
    if (!take_sign(p, "(")) {
        return fail_token(p, "a value");
    }
    size_t start = out->start;
    if (!parse_or(p, out) || !expect_sign(p, ")", "')'")) {
        return false;
    }
    out->start = start;
    out->end = p->last_end;
    return true;
}

static bool parse_unary(parser *p, operand *out)
{
    if (!at_sign(p, "-")) {
        return parse_primary(p, out);
    }
    operand inner = {0};
    *out = (operand){.start = p->token.start};
    advance(p);
    if (!enter(p) || !parse_unary(p, &inner)) {
        return false;
    }
    p->depth--;
    out->end = inner.end;
    return emit_typed(p, TM_OP_NEGATE, &inner, 1, out);
}

/* A run of operators of one strength, grouped to the left. */
static bool parse_run(parser *p, bool (*next)(parser *, operand *), const char *first, tm_op first_op,
                      const char *second, tm_op second_op, operand *out)
{
    if (!next(p, out)) {
        return false;
    }
    while (at_sign(p, first) || at_sign(p, second)) {
        tm_op op = at_sign(p, first) ? first_op : second_op;
        operand sides[2] = {*out};
        advance(p);
        if (!next(p, &sides[1])) {
            return false;
        }
        *out = (operand){.start = sides[0].start, .end = sides[1].end};
        if (!emit_typed(p, op, sides, 2, out)) {
            return false;
        }
    }
    return true;
}

static bool parse_product(parser *p, operand *out)
{
    return parse_run(p, parse_unary, "*", TM_OP_MULTIPLY, "/", TM_OP_DIVIDE, out);
}

static bool parse_sum(parser *p, operand *out)
{
    return parse_run(p, parse_product, "+", TM_OP_ADD, "-", TM_OP_SUBTRACT, out);
}

static bool emit_equality(parser *p, tm_op op, const operand *sides, operand *out)
{
    if (sides[0].type == TM_TYPE_NULL || sides[1].type == TM_TYPE_NULL) {
        const operand *tested = sides[1].type == TM_TYPE_NULL ? &sides[0] : &sides[1];
        return emit(p, op == TM_OP_EQUAL ? TM_OP_IS_NULL : TM_OP_IS_NOT_NULL, TM_TYPE_BOOLEAN, tested, 1, out);
    }
    return emit_typed(p, op, sides, 2, out);
}

static bool push_operand(parser *p, const operand *o)
{
    if (p->operand_count == OPERANDS_MAX) {
        return fail(p, o->start, o->end, "the expression has too many parts");
    }
    p->operands[p->operand_count++] = *o;
    return true;
}

/* Joins the operands pushed since `base` into one node and takes them off again. */
static bool emit_connective(parser *p, tm_op op, uint32_t base, operand *out)
{
    bool emitted = emit_typed(p, op, p->operands + base, p->operand_count - base, out);
    p->operand_count = base;
    return emitted;
}

/* `x in ['a', 'b']`, after `in`: equalities joined by or. */
static bool parse_list(parser *p, const operand *left, operand *out)
{
    uint32_t base = p->operand_count;
    do {
        operand sides[2] = {*left};
        operand equality;
        if (!parse_sum(p, &sides[1])) {
            return false;
        }
        if (sides[1].type == TM_TYPE_NULL) {
            fail(p, sides[1].start, sides[1].end, "null is in no list");
            return hint(p, "test for it with '== null'");
        }
        equality = (operand){.start = left->start, .end = sides[1].end};
        if (!emit_equality(p, TM_OP_EQUAL, sides, &equality) || !push_operand(p, &equality)) {
            return false;
        }
    } while (take_sign(p, ","));
    if (!expect_sign(p, "]", "',' or ']'")) {
        return false;
    }
    *out = (operand){.start = left->start, .end = p->last_end};
    if (p->operand_count - base == 1) {
        operand only = p->operands[base];
        p->operand_count = base;
        only.end = out->end;
        *out = only;
        return true;
    }
    return emit_connective(p, TM_OP_OR, base, out);
}

static bool parse_in(parser *p, const operand *left, size_t at, operand *out)
{
    if (at_word(p, "champions")) {
        size_t start = p->token.start;
        advance(p);
        if (!p->scope->where || p->program->nodes[left->node].op != TM_OP_EVENT_USER) {
            return fail(p, start, p->last_end, "only 'user in champions' can be asked, and only in 'where'");
        }
        *out = (operand){.start = left->start, .end = p->last_end};
        tm_buffer_reset(&p->text);
        tm_buffer_append_text(&p->text, "user in champions");
        return emit_leaf(p, &(tm_node){.op = TM_OP_USER_IS_CHAMPION, .type = TM_TYPE_BOOLEAN}, out);
    }
    if (!expect_sign(p, "[", "a list such as ['a', 'b']")) {
        return false;
    }
    if (left->type == TM_TYPE_NULL) {
        fail(p, left->start, left->end, "null is in no list");
        return hint(p, "test for it with '== null'");
    }
    note_comparison(p, at, left, NULL);
    return parse_list(p, left, out);
}

static bool comparison_operator(const parser *p, tm_op *ret_op)
{
    static const struct {
        const char *sign;
        tm_op op;
    } operators[] = {{"==", TM_OP_EQUAL},      {"!=", TM_OP_NOT_EQUAL}, {"<", TM_OP_LESS},
                     {"<=", TM_OP_LESS_EQUAL}, {">", TM_OP_GREATER},    {">=", TM_OP_GREATER_EQUAL}};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (at_sign(p, operators[i].sign)) {
            *ret_op = operators[i].op;
            return true;
        }
    }
    return false;
}

static bool parse_comparison(parser *p, operand *out)
{
    operand sides[2];
    if (!parse_sum(p, &sides[0])) {
        return false;
    }
    tm_op op;
    size_t at = p->token.start;
    if (at_word(p, "in")) {
        advance(p);
        if (!parse_in(p, &sides[0], at, out)) {
            return false;
        }
    } else if (comparison_operator(p, &op)) {
        advance(p);
        if (!parse_sum(p, &sides[1])) {
            return false;
        }
        *out = (operand){.start = sides[0].start, .end = sides[1].end};
        bool equality = op == TM_OP_EQUAL || op == TM_OP_NOT_EQUAL;
        if (!(equality ? emit_equality(p, op, sides, out) : emit_typed(p, op, sides, 2, out))) {
            return false;
        }
        note_comparison(p, at, &sides[0], &sides[1]);
    } else {
        *out = sides[0];
        return true;
    }
    if (comparison_operator(p, &op) || at_word(p, "in")) {
        fail(p, p->token.start, p->token.end, "comparisons do not chain");
        return hint(p, "join two with 'and', or use brackets");
    }
    return true;
}

static bool parse_not(parser *p, operand *out)
{
    if (!at_word(p, "not")) {
        return parse_comparison(p, out);
    }
    operand inner = {0};
    *out = (operand){.start = p->token.start};
    advance(p);
    if (!enter(p) || !parse_not(p, &inner)) {
        return false;
    }
    p->depth--;
    out->end = inner.end;
    return emit_typed(p, TM_OP_NOT, &inner, 1, out);
}

/* An operand of `and` that is itself an `and` gives its own operands: grouping means nothing to them. */
static bool push_flattened(parser *p, tm_op op, const operand *o)
{
    const tm_node *node = &p->program->nodes[o->node];
    if (node->op != op) {
        return push_operand(p, o);
    }
    for (uint32_t i = 0; i < node->argument_count; i++) {
        operand part = *o;
        part.node = p->program->argument_list[node->arguments + i];
        part.height = o->height - 1;
        if (!push_operand(p, &part)) {
            return false;
        }
    }
    return true;
}

static bool parse_connective(parser *p, tm_op op, const char *word, bool (*next)(parser *, operand *), operand *out)
{
    if (!next(p, out)) {
        return false;
    }
    if (!at_word(p, word)) {
        return true;
    }
    uint32_t base = p->operand_count;
    size_t start = out->start;
    operand part = *out;
    for (;;) {
        if (!push_flattened(p, op, &part)) {
            return false;
        }
        if (!at_word(p, word)) {
            break;
        }
        advance(p);
        if (!next(p, &part)) {
            return false;
        }
    }
    *out = (operand){.start = start, .end = part.end};
    return emit_connective(p, op, base, out);
}

static bool parse_and(parser *p, operand *out)
{
    return parse_connective(p, TM_OP_AND, "and", parse_not, out);
}

static bool parse_or(parser *p, operand *out)
{
    if (!enter(p) || !parse_connective(p, TM_OP_OR, "or", parse_and, out)) {
        return false;
    }
    p->depth--;
    return true;
}

/* --- the whole --- */

static int by_place(const void *a, const void *b)
{
    const term *x = a;
    const term *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return x->end == y->end ? 0 : (x->end > y->end ? -1 : 1);
}

static void make_outline(parser *p, tm_expression_outline *outline)
{
    *outline = (tm_expression_outline){.left = p->compared_left, .right = p->compared_right};
    qsort(p->terms, p->term_count, sizeof *p->terms, by_place);
    for (uint32_t i = 0; i < p->term_count && outline->evidence_count < TM_EVIDENCE_MAX; i++) {
        bool seen = false;
        for (uint32_t k = 0; k < outline->evidence_count; k++) {
            seen = seen || outline->evidence[k] == p->terms[i].node;
        }
        if (!seen) {
            outline->evidence[outline->evidence_count++] = p->terms[i].node;
        }
    }
}

static bool parse_all(parser *p, tm_type wanted, operand *out)
{
    if (!parse_or(p, out)) {
        return false;
    }
    if (p->token.kind != TM_TOKEN_END) {
        return fail_token(p, "an operator or the end");
    }
    if (wanted != TM_TYPE_ANY && out->type != TM_TYPE_ANY && out->type != TM_TYPE_NULL && out->type != wanted) {
        return fail(p, out->start, out->end, "this should be %s, it is %s", tm_type_phrase(wanted),
                    tm_type_phrase(out->type));
    }
    return true;
}

tm_status tm_expression_compile(tm_program *program, const tm_expression_scope *scope, tm_slice text, tm_type wanted,
                                uint32_t *ret_node, tm_expression_outline *ret_outline, tm_expression_error *ret_error)
{
    *ret_error = (tm_expression_error){0};
    if (text.length > TM_EXPRESSION_MAX) {
        ret_error->length = text.length;
        snprintf(ret_error->message, sizeof ret_error->message, "the expression has %zu bytes, at most %d are read",
                 text.length, TM_EXPRESSION_MAX);
        return TM_REJECT;
    }
    parser *p = malloc(sizeof *p);
    if (!p) {
        return TM_FATAL;
    }
    p->program = program;
    p->scope = scope;
    p->error = ret_error;
    p->status = TM_OK;
    p->last_end = 0;
    p->depth = 0;
    p->compared_at = SIZE_MAX;
    p->compared_left = p->compared_right = TM_NODE_NONE;
    p->term_count = p->operand_count = 0;
    p->token = (tm_token){0};
    tm_buffer_init(&p->text, TEXT_MAX);
    tm_lexer_init(&p->lexer, text);
    advance(p);
    operand whole;
    if (parse_all(p, wanted, &whole)) {
        *ret_node = whole.node;
        if (ret_outline) {
            make_outline(p, ret_outline);
        }
    }
    tm_status status = p->status;
    tm_buffer_done(&p->text);
    free(p);
    return status;
}

tm_status tm_expression_not(tm_program *program, uint32_t node, uint32_t *ret_node)
{
    tm_buffer text;
    tm_buffer_init(&text, (size_t)2 * TEXT_MAX);
    tm_canonical_operation(&text, program, TM_OP_NOT, &node, 1);
    tm_node negation = {.op = TM_OP_NOT, .type = TM_TYPE_BOOLEAN, .argument_count = 1, .text = tm_buffer_slice(&text)};
    tm_status status = text.overflowed ? TM_FATAL : tm_program_add(program, &negation, &node, ret_node);
    tm_buffer_done(&text);
    return status;
}
