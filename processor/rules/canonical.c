#include "tidemark/rules/canonical.h"

#include "tidemark/rules/vocabulary.h"

/* How tightly an operation binds, loosest first. */
enum { BIND_OR = 1, BIND_AND, BIND_NOT, BIND_COMPARE, BIND_SUM, BIND_PRODUCT, BIND_UNARY, BIND_PRIMARY };

static int binding_of(tm_op op)
{
    switch (op) {
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
    default:
        return BIND_PRIMARY;
    }
}

/* A negative constant reads like a negation. */
static int binding(const tm_node *node)
{
    bool negative = node->op == TM_OP_CONSTANT && node->text.length > 0 && node->text.data[0] == '-';
    return negative ? BIND_UNARY : binding_of((tm_op)node->op);
}

static void put_argument(tm_buffer *text, const tm_program *program, uint32_t node, int least)
{
    bool brackets = binding(&program->nodes[node]) < least;
    tm_buffer_append_text(text, brackets ? "(" : "");
    tm_buffer_append_slice(text, program->nodes[node].text);
    tm_buffer_append_text(text, brackets ? ")" : "");
}

static void put_call(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments, uint32_t count)
{
    tm_buffer_append_text(text, tm_operation_word(op));
    tm_buffer_append_char(text, '(');
    for (uint32_t i = 0; i < count; i++) {
        tm_buffer_append_text(text, i > 0 ? ", " : "");
        tm_buffer_append_slice(text, program->nodes[arguments[i]].text);
    }
    tm_buffer_append_char(text, ')');
}

/* Comparisons do not chain; sums and products group to the left; connectives have no groups of their own. */
static void put_infix(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments, uint32_t count)
{
    int own = binding_of(op);
    put_argument(text, program, arguments[0], own == BIND_COMPARE ? own + 1 : own);
    if (op == TM_OP_IS_NULL || op == TM_OP_IS_NOT_NULL) {
        tm_buffer_append_text(text, op == TM_OP_IS_NULL ? " == null" : " != null");
    }
    for (uint32_t i = 1; i < count; i++) {
        tm_buffer_append_char(text, ' ');
        tm_buffer_append_text(text, tm_operation_word(op));
        tm_buffer_append_char(text, ' ');
        put_argument(text, program, arguments[i], own + 1);
    }
}

void tm_canonical_operation(tm_buffer *text, const tm_program *program, tm_op op, const uint32_t *arguments,
                            uint32_t count)
{
    switch (binding_of(op)) {
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
        put_infix(text, program, op, arguments, count);
    }
}

bool tm_canonical_is_name(tm_slice name)
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

void tm_canonical_quoted(tm_buffer *text, tm_slice string)
{
    tm_buffer_append_char(text, '\'');
    for (size_t i = 0; i < string.length; i++) {
        char c = string.data[i];
        if (c == '\'' || c == '\\') {
            tm_buffer_append_char(text, '\\');
        }
        if (c == '\n' || c == '\t') {
            tm_buffer_append_text(text, c == '\n' ? "\\n" : "\\t");
        } else {
            tm_buffer_append_char(text, c);
        }
    }
    tm_buffer_append_char(text, '\'');
}

void tm_canonical_member(tm_buffer *text, tm_slice name)
{
    if (tm_canonical_is_name(name)) {
        tm_buffer_append_char(text, '.');
        tm_buffer_append_slice(text, name);
        return;
    }
    tm_buffer_append_char(text, '[');
    tm_canonical_quoted(text, name);
    tm_buffer_append_char(text, ']');
}

void tm_canonical_window(tm_buffer *text, tm_slice metric, const tm_window *window)
{
    char unit = window->unit == TM_WINDOW_DAYS ? 'd' : 'h';
    tm_buffer_append_slice(text, metric);
    tm_buffer_append_format(text, "[%d%c", window->length, unit);
    if (window->offset > 0) {
        tm_buffer_append_format(text, " offset %d%c", window->offset, unit);
    }
    tm_buffer_append_char(text, ']');
}

void tm_canonical_baseline(tm_buffer *text, tm_slice metric, const tm_node *node)
{
    tm_op op = (tm_op)node->op;
    tm_buffer_append_format(text, "%s(", tm_operation_word(op));
    if (op == TM_OP_ZSCORE || op == TM_OP_GROWTH) {
        tm_canonical_window(text, metric, &node->window);
    } else {
        tm_buffer_append_slice(text, metric);
    }
    bool weeks = op == TM_OP_MEDIAN_WEEKDAY || op == TM_OP_CUSUM;
    tm_buffer_append_format(text, ", %d%s", node->periods, weeks ? "w" : "");
    if (op == TM_OP_MEDIAN_WEEKDAY && node->window.offset > 0) {
        tm_buffer_append_format(text, " offset %dd", node->window.offset);
    }
    if (op == TM_OP_CUSUM && node->parameter != TM_CUSUM_ALLOWANCE) {
        tm_buffer_append_text(text, ", ");
        tm_buffer_append_json_number(text, node->parameter);
    }
    tm_buffer_append_char(text, ')');
}
