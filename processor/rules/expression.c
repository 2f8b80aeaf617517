/* A recursive-descent parser that types and emits as it reads: every sub-expression is a node of the program as soon as
   it is complete, its canonical text written from the texts of its arguments. One file of more than 600 lines, since
   grammar, types and texts of an operator are one thing. */
#include "tidemark/rules/expression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/core/pack.h"
#include "tidemark/rules/lexer.h"

enum {
    TEXT_MAX = 4 * TM_EXPRESSION_MAX, /* bytes of one canonical text: `in` writes its left side once an element */
    TERMS_MAX = 512,                  /* candidates for evidence; only the first of them can be shown */
    OPERANDS_MAX = TM_EXPRESSION_MAX
};

/* How tightly an operation binds, loosest first. */
enum { BIND_OR = 1, BIND_AND, BIND_NOT, BIND_COMPARE, BIND_SUM, BIND_PRODUCT, BIND_UNARY, BIND_PRIMARY };

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

static const struct {
    const char *name;
    tm_fact_field field;
} facts[] = {
    {"name", TM_FACT_NAME},
    {"plan", TM_FACT_PLAN},
    {"currency", TM_FACT_CURRENCY},
    {"tier", TM_FACT_TIER},
    {"status", TM_FACT_STATUS},
    {"success_plan", TM_FACT_SUCCESS_PLAN},
    {"seats", TM_FACT_SEATS},
    {"mrr", TM_FACT_MRR},
    {"term_months", TM_FACT_TERM_MONTHS},
    {"contract_start", TM_FACT_CONTRACT_START},
    {"renewal_at", TM_FACT_RENEWAL_AT},
    {"first_term", TM_FACT_FIRST_TERM},
    {"contract_age", TM_FACT_CONTRACT_AGE},
    {"days_to_renewal", TM_FACT_DAYS_TO_RENEWAL},
    {"owners", TM_FACT_OWNER},
    {"goals", TM_FACT_GOAL},
    {"attributes", TM_FACT_ATTRIBUTE},
    {"products", TM_FACT_PRODUCT_SEATS},
};

static const struct {
    const char *name;
    tm_op op;
    uint32_t least, most;
} functions[] = {
    {"ratio", TM_OP_RATIO, 2, 2},  {"min", TM_OP_MINIMUM, 2, TM_ARGUMENTS_MAX},
    {"abs", TM_OP_ABSOLUTE, 1, 1}, {"max", TM_OP_MAXIMUM, 2, TM_ARGUMENTS_MAX},
    {"clamp", TM_OP_CLAMP, 3, 3},  {"coalesce", TM_OP_COALESCE, 1, TM_ARGUMENTS_MAX},
    {"if", TM_OP_IF, 3, 3},        {"log", TM_OP_LOG, 1, 1},
    {"age", TM_OP_AGE, 1, 1},      {"first", TM_OP_FIRST, 1, 1},
};

static const struct {
    const char *name;
    tm_op op;
    tm_type type;
} event_fields[] = {
    {"event", TM_OP_EVENT_NAME, TM_TYPE_STRING},       {"user", TM_OP_EVENT_USER, TM_TYPE_STRING},
    {"source", TM_OP_EVENT_SOURCE, TM_TYPE_STRING},    {"value", TM_OP_EVENT_VALUE, TM_TYPE_NUMBER},
    {"properties", TM_OP_EVENT_PROPERTY, TM_TYPE_ANY},
};

static const char *const words[] = {"and", "or", "not", "in", "true", "false", "null", "offset"};

enum {
    FACTS = sizeof facts / sizeof *facts,
    FUNCTIONS = sizeof functions / sizeof *functions,
    EVENT_FIELDS = sizeof event_fields / sizeof *event_fields,
    WORDS = sizeof words / sizeof *words
};

bool tm_expression_is_name(tm_slice name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.length > 0;
}

bool tm_expression_reserved(tm_slice name)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (tm_slice_equal_text(name, words[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < FACTS; i++) {
        if (tm_slice_equal_text(name, facts[i].name)) {
            return true;
        }
    }
    return false;
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

/* --- canonical text --- */

static int binding(const tm_node *node)
{
    switch ((tm_op)node->op) {
    case TM_OP_OR:
        return BIND_OR;
    case TM_OP_AND:
        return BIND_AND;
    case TM_OP_NOT:
        return BIND_NOT;
    case TM_OP_EQUAL:
    case TM_OP_NOT_EQUAL:
    case TM_OP_LESS:
    case TM_OP_LESS_EQUAL:
    case TM_OP_GREATER:
    case TM_OP_GREATER_EQUAL:
    case TM_OP_IS_NULL:
    case TM_OP_IS_NOT_NULL:
    case TM_OP_USER_IS_CHAMPION:
        return BIND_COMPARE;
    case TM_OP_ADD:
    case TM_OP_SUBTRACT:
        return BIND_SUM;
    case TM_OP_MULTIPLY:
    case TM_OP_DIVIDE:
        return BIND_PRODUCT;
    case TM_OP_NEGATE:
        return BIND_UNARY;
    case TM_OP_CONSTANT:
        return node->text.length > 0 && node->text.data[0] == '-' ? BIND_UNARY : BIND_PRIMARY;
    default:
        return BIND_PRIMARY;
    }
}

static void put_argument(tm_buffer *text, const tm_program *program, uint32_t node, int least)
{
    bool brackets = binding(&program->nodes[node]) < least;
    tm_buffer_append_text(text, brackets ? "(" : "");
    tm_buffer_append_slice(text, program->nodes[node].text);
    tm_buffer_append_text(text, brackets ? ")" : "");
}

static const char *infix(tm_op op)
{
    switch (op) {
    case TM_OP_AND:
        return " and ";
    case TM_OP_OR:
        return " or ";
    case TM_OP_EQUAL:
        return " == ";
    case TM_OP_NOT_EQUAL:
        return " != ";
    case TM_OP_LESS:
        return " < ";
    case TM_OP_LESS_EQUAL:
        return " <= ";
    case TM_OP_GREATER:
        return " > ";
    case TM_OP_GREATER_EQUAL:
        return " >= ";
    case TM_OP_ADD:
        return " + ";
    case TM_OP_SUBTRACT:
        return " - ";
    case TM_OP_MULTIPLY:
        return " * ";
    default:
        return " / ";
    }
}

static void put_call(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments, uint32_t count)
{
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (functions[i].op == op) {
            tm_buffer_append_text(text, functions[i].name);
        }
    }
    tm_buffer_append_char(text, '(');
    for (uint32_t i = 0; i < count; i++) {
        tm_buffer_append_text(text, i > 0 ? ", " : "");
        tm_buffer_append_slice(text, program->nodes[arguments[i]].text);
    }
    tm_buffer_append_char(text, ')');
}

static void put_operation(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments,
                          uint32_t count)
{
    int own = binding(&(tm_node){.op = (uint8_t)op});
    switch (own) {
    case BIND_NOT:
        tm_buffer_append_text(text, "not ");
        put_argument(text, program, arguments[0], BIND_NOT);
        break;
    case BIND_UNARY:
        tm_buffer_append_char(text, '-');
        put_argument(text, program, arguments[0], BIND_UNARY);
        break;
    case BIND_PRIMARY:
        put_call(text, program, op, arguments, count);
        break;
    default:
        /* Comparisons do not chain; sums and products group to the left; connectives have no groups of their own. */
        put_argument(text, program, arguments[0], own == BIND_COMPARE ? own + 1 : own);
        if (op == TM_OP_IS_NULL || op == TM_OP_IS_NOT_NULL) {
            tm_buffer_append_text(text, op == TM_OP_IS_NULL ? " == null" : " != null");
        }
        for (uint32_t i = 1; i < count; i++) {
            tm_buffer_append_text(text, infix(op));
            put_argument(text, program, arguments[i], own + 1);
        }
    }
}

/* --- emitting --- */

static bool add_node(parser *p, const tm_node *node, const uint32_t *arguments, operand *out)
{
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
    put_operation(&p->text, p->program, op, nodes, count);
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

/* --- types --- */

static bool is_boolean(tm_type type)
{
    return type == TM_TYPE_BOOLEAN || type == TM_TYPE_ANY || type == TM_TYPE_NULL;
}

static bool is_quantity(tm_type type)
{
    return type == TM_TYPE_NUMBER || type == TM_TYPE_DURATION || type == TM_TYPE_ANY;
}

static const char *phrase(tm_type type)
{
    switch (type) {
    case TM_TYPE_NUMBER:
        return "a number";
    case TM_TYPE_DURATION:
        return "a duration";
    case TM_TYPE_STRING:
        return "a string";
    case TM_TYPE_BOOLEAN:
        return "true or false";
    case TM_TYPE_NULL:
        return "null";
    default:
        return "of a type not known before it is read";
    }
}

static bool need_boolean(parser *p, const operand *o, const char *where)
{
    if (is_boolean(o->type)) {
        return true;
    }
    fail(p, o->start, o->end, "%s needs a condition, this is %s", where, phrase(o->type));
    return hint(p, "compare it with something");
}

static bool need_quantity(parser *p, const operand *o, const char *where)
{
    if (is_quantity(o->type)) {
        return true;
    }
    return fail(p, o->start, o->end, "%s needs numbers or durations, this is %s", where, phrase(o->type));
}

static bool mismatch(parser *p, const char *what, const operand *a, const operand *b)
{
    fail(p, b->start, b->end, "%s: %s and %s do not go together", what, phrase(a->type), phrase(b->type));
    if ((a->type == TM_TYPE_NUMBER && b->type == TM_TYPE_DURATION) ||
        (a->type == TM_TYPE_DURATION && b->type == TM_TYPE_NUMBER)) {
        return hint(p, "a duration has a unit: 7d, 24h, 90m");
    }
    return false;
}

/* One type for all of them: null fits any; what is not known before it is read fits too and leaves `loose` the type. */
static bool unify(parser *p, const char *what, const operand *arguments, uint32_t count, bool quantities,
                  tm_type *ret_type)
{
    const operand *known = NULL;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        const operand *o = &arguments[i];
        if (o->type == TM_TYPE_NULL) {
            continue;
        }
        if (quantities && !need_quantity(p, o, what)) {
            return false;
        }
        if (o->type == TM_TYPE_ANY) {
            any = true;
        } else if (!known) {
            known = o;
        } else if (known->type != o->type) {
            return mismatch(p, what, known, o);
        }
    }
    *ret_type = known && !(any && !quantities) ? known->type : TM_TYPE_ANY;
    return true;
}

static bool arithmetic_type(parser *p, tm_op op, const operand *a, const operand *b, tm_type *ret_type)
{
    static const char *const names[] = {"'+'", "'-'", "'*'", "'/'"};
    const char *what = names[op - TM_OP_ADD];
    if (!need_quantity(p, a, what) || !need_quantity(p, b, what)) {
        return false;
    }
    bool any = a->type == TM_TYPE_ANY || b->type == TM_TYPE_ANY;
    bool same = a->type == b->type;
    tm_type other = a->type == TM_TYPE_ANY ? b->type : a->type;
    switch (op) {
    case TM_OP_ADD:
    case TM_OP_SUBTRACT:
        *ret_type = other;
        return same || any || mismatch(p, what, a, b);
    case TM_OP_MULTIPLY:
        if (same && a->type == TM_TYPE_DURATION) {
            return mismatch(p, what, a, b);
        }
        if (a->type == TM_TYPE_DURATION || b->type == TM_TYPE_DURATION) {
            *ret_type = TM_TYPE_DURATION;
        } else {
            *ret_type = any ? TM_TYPE_ANY : TM_TYPE_NUMBER;
        }
        return true;
    default:
        if (a->type == TM_TYPE_NUMBER && b->type == TM_TYPE_DURATION) {
            return mismatch(p, what, a, b);
        }
        if (b->type == TM_TYPE_DURATION || (same && !any)) {
            *ret_type = TM_TYPE_NUMBER;
        } else {
            *ret_type = any ? (a->type == TM_TYPE_NUMBER ? TM_TYPE_NUMBER : TM_TYPE_ANY) : TM_TYPE_DURATION;
        }
        return true;
    }
}

static bool call_type(parser *p, tm_op op, const char *name, const operand *arguments, uint32_t count,
                      tm_type *ret_type)
{
    switch (op) {
    case TM_OP_RATIO:
        *ret_type = TM_TYPE_NUMBER;
        tm_type pair;
        return unify(p, name, arguments, count, true, &pair);
    case TM_OP_IF:
        return need_boolean(p, &arguments[0], "the first argument of 'if'") &&
               unify(p, name, arguments + 1, count - 1, false, ret_type);
    case TM_OP_COALESCE:
        return unify(p, name, arguments, count, false, ret_type);
    case TM_OP_LOG:
        *ret_type = TM_TYPE_NUMBER;
        if (arguments[0].type == TM_TYPE_NUMBER || arguments[0].type == TM_TYPE_ANY) {
            return true;
        }
        return fail(p, arguments[0].start, arguments[0].end, "log needs a number, this is %s",
                    phrase(arguments[0].type));
    default:
        return unify(p, name, arguments, count, true, ret_type);
    }
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
    for (size_t i = 0; i < EVENT_FIELDS && p->scope->where; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(event_fields[i].name));
    }
    for (size_t i = 0; i < FACTS && !metrics_only; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(facts[i].name));
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

static bool parse_window(parser *p, uint32_t metric, operand *out)
{
    const tm_metric *m = &p->scope->metrics[metric];
    tm_window window = {0};
    advance(p);
    if (!parse_span(p, 1, &window.unit, &window.length)) {
        return false;
    }
    if (at_word(p, "offset")) {
        advance(p);
        tm_window_unit unit;
        size_t start = p->token.start;
        if (!parse_span(p, 0, &unit, &window.offset)) {
            return false;
        }
        if (unit != window.unit) {
            fail(p, start, p->last_end, "a window of %s needs an offset in %s",
                 window.unit == TM_WINDOW_DAYS ? "days" : "hours", window.unit == TM_WINDOW_DAYS ? "days" : "hours");
            return hint(p, "days are local calendar days, hours are UTC clock hours: they do not mix");
        }
    }
    if (!expect_sign(p, "]", window.offset > 0 ? "']'" : "'offset' or ']'")) {
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
    tm_buffer_append_slice(&p->text, m->name);
    tm_buffer_append_format(&p->text, "[%d%c", window.length, days ? 'd' : 'h');
    if (window.offset > 0) {
        tm_buffer_append_format(&p->text, " offset %d%c", window.offset, days ? 'd' : 'h');
    }
    tm_buffer_append_char(&p->text, ']');
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

/* age(m) and first(m), after the opening bracket. */
static bool parse_age(parser *p, tm_op op, const char *function, operand *out)
{
    tm_token name = p->token;
    if (name.kind != TM_TOKEN_NAME) {
        return fail_token(p, "the name of a metric");
    }
    uint32_t metric = find_metric(p, name.text);
    if (p->scope->where) {
        return fail(p, name.start, name.end, "a metric cannot be read in 'where': an event is all it sees");
    }
    if (metric == UINT32_MAX) {
        return unknown_name(p, &name, "metric", true);
    }
    advance(p);
    if (at_sign(p, "[")) {
        fail(p, p->token.start, p->token.end, "%s takes a metric without a window", function);
        return hint(p, "%s(%.*s)", function, shown(name.text), name.text.data);
    }
    if (!expect_sign(p, ")", "')'")) {
        return false;
    }
    out->end = p->last_end;
    tm_buffer_reset(&p->text);
    tm_buffer_append_format(&p->text, "%s(%.*s)", function, shown(name.text), name.text.data);
    if (!emit_leaf(p, &(tm_node){.op = (uint8_t)op, .type = TM_TYPE_DURATION, .metric = metric}, out)) {
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
    for (size_t i = 0; i < FUNCTIONS; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(functions[i].name));
    }
    return suggest(p, &nearest);
}

static bool parse_call(parser *p, const tm_token *name, operand *out)
{
    size_t f = 0;
    while (f < FUNCTIONS && !tm_slice_equal_text(name->text, functions[f].name)) {
        f++;
    }
    if (f == FUNCTIONS) {
        return unknown_function(p, name);
    }
    advance(p);
    tm_op op = functions[f].op;
    if (op == TM_OP_AGE || op == TM_OP_FIRST) {
        return parse_age(p, op, functions[f].name, out);
    }
    operand arguments[TM_ARGUMENTS_MAX];
    uint32_t count = 0;
    while (count == 0 || take_sign(p, ",")) {
        if (count == functions[f].most) {
            return fail(p, p->token.start, p->token.end, "%s takes at most %u argument%s", functions[f].name,
                        functions[f].most, functions[f].most == 1 ? "" : "s");
        }
        if (!parse_or(p, &arguments[count++])) {
            return false;
        }
    }
    if (!expect_sign(p, ")", "',' or ')'")) {
        return false;
    }
    out->end = p->last_end;
    if (count < functions[f].least) {
        return fail(p, out->start, out->end, "%s takes %s%u argument%s, this has %u", functions[f].name,
                    functions[f].least == functions[f].most ? "" : "at least ", functions[f].least,
                    functions[f].least == 1 ? "" : "s", count);
    }
    tm_type type;
    return call_type(p, op, functions[f].name, arguments, count, &type) && emit(p, op, type, arguments, count, out);
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

static void put_member(tm_buffer *text, tm_slice name)
{
    if (tm_expression_is_name(name)) {
        tm_buffer_append_char(text, '.');
        tm_buffer_append_slice(text, name);
        return;
    }
    tm_buffer_append_text(text, "['");
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        if (c == '\'' || c == '\\') {
            tm_buffer_append_char(text, '\\');
        }
        if (c == '\n' || c == '\t') {
            tm_buffer_append_text(text, c == '\n' ? "\\n" : "\\t");
        } else {
            tm_buffer_append_char(text, c);
        }
    }
    tm_buffer_append_text(text, "']");
}

static bool parse_fact(parser *p, size_t fact, const tm_token *name, operand *out)
{
    tm_node node = {.op = TM_OP_FACT, .field = facts[fact].field};
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
        put_member(&p->text, node.name);
    }
    tm_buffer_append_text(&p->text, ending);
    if (!emit_leaf(p, &node, out)) {
        return false;
    }
    note_term(p, out);
    return true;
}

static bool parse_event_field(parser *p, size_t field, const tm_token *name, operand *out)
{
    tm_node node = {.op = (uint8_t)event_fields[field].op, .type = (uint8_t)event_fields[field].type};
    bool property = node.op == TM_OP_EVENT_PROPERTY;
    if (property && !parse_member(p, name, &node.name)) {
        return false;
    }
    out->end = p->last_end;
    tm_buffer_reset(&p->text);
    tm_buffer_append_slice(&p->text, name->text);
    if (property) {
        put_member(&p->text, node.name);
    }
    return emit_leaf(p, &node, out);
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
    for (size_t i = 0; i < EVENT_FIELDS && p->scope->where; i++) {
        if (tm_slice_equal_text(name.text, event_fields[i].name)) {
            return parse_event_field(p, i, &name, out);
        }
    }
    for (size_t i = 0; i < FACTS; i++) {
        if (tm_slice_equal_text(name.text, facts[i].name)) {
            return parse_fact(p, i, &name, out);
        }
    }
    uint32_t metric = find_metric(p, name.text);
    if (metric != UINT32_MAX) {
        return parse_metric(p, metric, &name, out);
    }
    for (size_t i = 0; i < WORDS; i++) {
        if (tm_slice_equal_text(name.text, words[i])) {
            return fail(p, name.start, name.end, "'%s' stands where a value should", words[i]);
        }
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
    operand inner;
    *out = (operand){.start = p->token.start};
    advance(p);
    if (!enter(p) || !parse_unary(p, &inner)) {
        return false;
    }
    p->depth--;
    out->end = inner.end;
    return need_quantity(p, &inner, "'-'") && emit(p, TM_OP_NEGATE, inner.type, &inner, 1, out);
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
        tm_type type;
        if (!next(p, &sides[1]) || !arithmetic_type(p, op, &sides[0], &sides[1], &type)) {
            return false;
        }
        *out = (operand){.start = sides[0].start, .end = sides[1].end};
        if (!emit(p, op, type, sides, 2, out)) {
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
    if (sides[0].type != sides[1].type && sides[0].type != TM_TYPE_ANY && sides[1].type != TM_TYPE_ANY) {
        return mismatch(p, "a comparison", &sides[0], &sides[1]);
    }
    return emit(p, op, TM_TYPE_BOOLEAN, sides, 2, out);
}

static bool emit_ordering(parser *p, tm_op op, const operand *sides, operand *out)
{
    for (int i = 0; i < 2; i++) {
        if (sides[i].type == TM_TYPE_NULL) {
            fail(p, sides[i].start, sides[i].end, "null has no order");
            return hint(p, "test for it with '== null' or '!= null'");
        }
        if (!is_quantity(sides[i].type)) {
            return fail(p, sides[i].start, sides[i].end, "'<' and '>' need numbers or durations, this is %s",
                        phrase(sides[i].type));
        }
    }
    if (sides[0].type != sides[1].type && sides[0].type != TM_TYPE_ANY && sides[1].type != TM_TYPE_ANY) {
        return mismatch(p, "a comparison", &sides[0], &sides[1]);
    }
    return emit(p, op, TM_TYPE_BOOLEAN, sides, 2, out);
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
    bool emitted = emit(p, op, TM_TYPE_BOOLEAN, p->operands + base, p->operand_count - base, out);
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
        if (!(equality ? emit_equality(p, op, sides, out) : emit_ordering(p, op, sides, out))) {
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
    operand inner;
    *out = (operand){.start = p->token.start};
    advance(p);
    if (!enter(p) || !parse_not(p, &inner)) {
        return false;
    }
    p->depth--;
    out->end = inner.end;
    return need_boolean(p, &inner, "'not'") && emit(p, TM_OP_NOT, TM_TYPE_BOOLEAN, &inner, 1, out);
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
    char quoted[8];
    snprintf(quoted, sizeof quoted, "'%s'", word);
    uint32_t base = p->operand_count;
    size_t start = out->start;
    operand part = *out;
    for (;;) {
        if (!need_boolean(p, &part, quoted) || !push_flattened(p, op, &part)) {
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
        return fail(p, out->start, out->end, "this should be %s, it is %s", phrase(wanted), phrase(out->type));
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
    tm_buffer_init(&text, 2 * TEXT_MAX);
    put_operation(&text, program, TM_OP_NOT, &node, 1);
    tm_node negation = {.op = TM_OP_NOT, .type = TM_TYPE_BOOLEAN, .argument_count = 1, .text = tm_buffer_slice(&text)};
    tm_status status = text.overflowed ? TM_FATAL : tm_program_add(program, &negation, &node, ret_node);
    tm_buffer_done(&text);
    return status;
}
