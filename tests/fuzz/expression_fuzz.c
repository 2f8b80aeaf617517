/* Any text as an expression: refused with a place inside it, or compiled, evaluated and read back from its own text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/core/account.h"
#include "tidemark/core/pack.h"
#include "tidemark/rules/expression.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void evaluate(const tm_pack *pack, uint32_t node, bool where)
{
    static const int32_t counting_days[3] = {INT32_MIN, 19000, 20000};
    tm_event event = {.name = TM_SLICE_LITERAL("login"), .value = TM_FIXED_NONE};
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), INT64_C(1709288400000), &span);
    tm_environment environment = {.pack = pack, .now = &now, .counting_days = counting_days};
    tm_heap *heap = tm_heap_new(0);
    tm_evaluator *evaluator = tm_evaluator_new(heap, &pack->program);
    tm_evaluator_begin(evaluator, &environment, NULL, where ? &event : NULL);
    tm_value value = tm_evaluator_value(evaluator, node);
    tm_type type = (tm_type)pack->program.nodes[node].type;
    require(value.type == TM_TYPE_NULL || type == TM_TYPE_ANY || value.type == type, "a value of another type");
    require(tm_evaluator_horizon(evaluator) > now.t, "a horizon that is past");
    tm_heap_free_all(heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_metric metrics[3] = {{.name = TM_SLICE_LITERAL("c"), .kind = TM_METRIC_COUNT, .reach_days = 400},
                            {.name = TM_SLICE_LITERAL("d"), .kind = TM_METRIC_DISTINCT, .reach_days = 62},
                            {.name = TM_SLICE_LITERAL("l"), .kind = TM_METRIC_LAST, .reach_hours = 62 * 24}};
    if (size == 0) {
        return 0;
    }
    tm_expression_scope scope = {.metrics = metrics, .metric_count = 3, .where = data[0] == '?'};
    tm_slice text = {(const char *)data + 1, size - 1};
    tm_pack pack = {.arena = tm_arena_new(0), .metrics = metrics, .metric_count = 3};
    tm_program_init(&pack.program, pack.arena);
    tm_expression_outline outline;
    tm_expression_error error;
    uint32_t node;
    tm_status status = tm_expression_compile(&pack.program, &scope, text, TM_TYPE_ANY, &node, &outline, &error);
    if (status == TM_REJECT) {
        require(error.message[0] != '\0', "refused without a word");
        require(error.offset <= text.length && error.offset + error.length <= text.length, "a place outside the text");
    } else {
        require(status == TM_OK && node < pack.program.node_count, "no node");
        evaluate(&pack, node, scope.where);
        uint32_t again;
        tm_slice canonical = pack.program.nodes[node].text;
        status = tm_expression_compile(&pack.program, &scope, canonical, TM_TYPE_ANY, &again, NULL, &error);
        /* Written out it may be longer, or deeper, than what is read. */
        require(status == TM_REJECT ? canonical.length > TM_EXPRESSION_MAX : again == node, "reads back differently");
    }
    tm_arena_free_all(pack.arena);
    return 0;
}
