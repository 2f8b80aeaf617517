#include "tidemark/core/program.h"

#include <math.h>
#include <string.h>

#include "tidemark/core/operation.h"

enum { FIRST_NODES = 64, CONSTANT_TEXT_MAX = 4 * TM_EXPRESSION_MAX + 16 };

void tm_program_init(tm_program *program, tm_arena *arena)
{
    *program = (tm_program){.arena = arena};
}

static bool copy_slice(tm_arena *arena, tm_slice *slice)
{
    if (!slice->data) {
        return true;
    }
    const char *copy = tm_arena_copy(arena, slice->data, slice->length);
    slice->data = copy;
    return copy != NULL;
}

/* A grown array; the old one stays in the arena, which is freed as a whole. */
static void *grown(tm_arena *arena, const void *old, size_t element, uint32_t count, uint32_t capacity)
{
    void *block = tm_arena_take(arena, element * capacity);
    if (block && count > 0) {
        memcpy(block, old, element * count);
    }
    return block;
}

static bool same_slice(tm_slice a, tm_slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool same_constant(tm_value a, tm_value b)
{
    if (a.type != b.type) {
        return false;
    }
    switch (a.type) {
    case TM_TYPE_NUMBER:
    case TM_TYPE_DURATION:
        return a.as.number == b.as.number;
    case TM_TYPE_BOOLEAN:
        return a.as.boolean == b.as.boolean;
    case TM_TYPE_STRING:
        return same_slice(a.as.string, b.as.string);
    default:
        return true;
    }
}

static bool same_node(const tm_program *program, const tm_node *a, const tm_node *b, const uint32_t *arguments)
{
    if (a->op != b->op || a->argument_count != b->argument_count) {
        return false;
    }
    switch ((tm_op)a->op) {
    case TM_OP_CONSTANT:
        return same_constant(a->constant, b->constant);
    case TM_OP_WINDOW:
        return a->metric == b->metric && a->window.unit == b->window.unit && a->window.length == b->window.length &&
               a->window.offset == b->window.offset;
    case TM_OP_ZSCORE:
    case TM_OP_GROWTH:
    case TM_OP_MEDIAN_WEEKDAY:
    case TM_OP_CUSUM:
    case TM_OP_GAP:
        return a->metric == b->metric && a->window.length == b->window.length && a->window.offset == b->window.offset &&
               a->periods == b->periods && a->parameter == b->parameter;
    case TM_OP_VALUE:
    case TM_OP_AGE:
    case TM_OP_FIRST:
    case TM_OP_FIRST_VALUE:
    case TM_OP_BAND:
        return a->metric == b->metric;
    case TM_OP_SCORE_AGO:
    case TM_OP_SCORE_LEAST:
    case TM_OP_SCORE_GREATEST:
    case TM_OP_SCORE_MEAN:
        return a->metric == b->metric && a->window.length == b->window.length;
    case TM_OP_FACT:
        return a->field == b->field && same_slice(a->name, b->name);
    case TM_OP_EVENT_PROPERTY:
        return same_slice(a->name, b->name);
    default:
        return a->argument_count == 0 ||
               memcmp(program->argument_list + a->arguments, arguments, a->argument_count * sizeof *arguments) == 0;
    }
}

static void put_string_constant(tm_buffer *text, tm_slice string)
{
    tm_buffer_append_char(text, '\'');
    for (size_t i = 0; i < string.length; i++) {
        char c = string.data[i];
        if (c == '\'' || c == '\\') {
            tm_buffer_append_char(text, '\\');
            tm_buffer_append_char(text, c);
        } else if (c == '\n') {
            tm_buffer_append_text(text, "\\n");
        } else if (c == '\t') {
            tm_buffer_append_text(text, "\\t");
        } else {
            tm_buffer_append_char(text, c);
        }
    }
    tm_buffer_append_char(text, '\'');
}

static void put_constant(tm_buffer *text, tm_value constant)
{
    switch (constant.type) {
    case TM_TYPE_NUMBER:
        tm_buffer_append_json_number(text, constant.as.number);
        break;
    case TM_TYPE_DURATION: {
        char duration[TM_TIME_TEXT];
        double ms = constant.as.number;
        if (ms < 0) {
            tm_buffer_append_char(text, '-');
        }
        tm_duration_format((int64_t)fabs(ms), duration);
        tm_buffer_append_text(text, duration);
        break;
    }
    case TM_TYPE_STRING:
        put_string_constant(text, constant.as.string);
        break;
    case TM_TYPE_BOOLEAN:
        tm_buffer_append_text(text, constant.as.boolean ? "true" : "false");
        break;
    default:
        tm_buffer_append_text(text, "null");
    }
}

/* Whether a folded value can be written down again as a literal: null cannot (its type would be forgotten), nor a
   duration with a part of a millisecond. */
static bool has_literal(tm_value value)
{
    if (value.type == TM_TYPE_DURATION) {
        return value.as.number == trunc(value.as.number) && fabs(value.as.number) <= 1e4 * TM_DAY;
    }
    return value.type != TM_TYPE_NULL;
}

static bool fold(const tm_program *program, const tm_node *node, const uint32_t *arguments, tm_node *ret_node)
{
    tm_value values[TM_ARGUMENTS_MAX];
    if (node->op < TM_OP_NOT || node->argument_count == 0 || node->argument_count > TM_ARGUMENTS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < node->argument_count; i++) {
        const tm_node *argument = &program->nodes[arguments[i]];
        if (argument->op != TM_OP_CONSTANT) {
            return false;
        }
        values[i] = argument->constant;
    }
    tm_value value = tm_operation_apply((tm_op)node->op, values, node->argument_count);
    if (!has_literal(value)) {
        return false;
    }
    *ret_node = (tm_node){.op = TM_OP_CONSTANT, .type = value.type, .constant = value};
    return true;
}

/* Copies everything a new node points at; a constant writes its own text, so that equal constants read alike whatever
   they were folded from. */
static bool own(tm_program *program, tm_node *node)
{
    if (!copy_slice(program->arena, &node->name)) {
        return false;
    }
    if (node->op != TM_OP_CONSTANT) {
        return copy_slice(program->arena, &node->text);
    }
    if (node->constant.type == TM_TYPE_STRING && !copy_slice(program->arena, &node->constant.as.string)) {
        return false;
    }
    tm_buffer text;
    tm_buffer_init(&text, CONSTANT_TEXT_MAX);
    put_constant(&text, node->constant);
    node->text = tm_buffer_slice(&text);
    bool copied = !text.overflowed && copy_slice(program->arena, &node->text);
    tm_buffer_done(&text);
    return copied;
}

static bool reserve(tm_program *program, uint32_t arguments)
{
    if (program->node_count == program->node_capacity) {
        uint32_t capacity = program->node_capacity ? 2 * program->node_capacity : FIRST_NODES;
        tm_node *nodes = grown(program->arena, program->nodes, sizeof *nodes, program->node_count, capacity);
        if (!nodes) {
            return false;
        }
        program->nodes = nodes;
        program->node_capacity = capacity;
    }
    if (arguments > program->argument_capacity - program->argument_count) {
        uint32_t capacity = 2 * program->argument_capacity + FIRST_NODES + arguments;
        uint32_t *list = grown(program->arena, program->argument_list, sizeof *list, program->argument_count, capacity);
        if (!list) {
            return false;
        }
        program->argument_list = list;
        program->argument_capacity = capacity;
    }
    return true;
}

tm_status tm_program_add(tm_program *program, const tm_node *node, const uint32_t *arguments, uint32_t *ret_node)
{
    tm_node added = *node;
    if (fold(program, node, arguments, &added)) {
        arguments = NULL;
    }
    if (added.op == TM_OP_CONSTANT && (added.type == TM_TYPE_NUMBER || added.type == TM_TYPE_DURATION)) {
        added.constant.as.number += 0.0;
    }
    for (uint32_t i = 0; i < program->node_count; i++) {
        if (same_node(program, &program->nodes[i], &added, arguments)) {
            *ret_node = i;
            return TM_OK;
        }
    }
    if (program->node_count >= TM_PROGRAM_NODES_MAX) {
        return TM_REJECT;
    }
    if (!reserve(program, added.argument_count) || !own(program, &added)) {
        return TM_FATAL;
    }
    added.arguments = program->argument_count;
    if (added.argument_count > 0) {
        memcpy(program->argument_list + program->argument_count, arguments,
               added.argument_count * sizeof *program->argument_list);
        program->argument_count += added.argument_count;
    }
    *ret_node = program->node_count;
    program->nodes[program->node_count++] = added;
    return TM_OK;
}
