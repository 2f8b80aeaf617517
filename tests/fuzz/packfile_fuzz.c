/* Any bytes as a rules file: a pack that hangs together, or errors at places inside the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/rules/packfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void check_pack(const tm_pack *pack)
{
    uint32_t nodes = pack->program.node_count;
    for (uint32_t i = 0; i < pack->metric_count; i++) {
        const tm_metric *metric = &pack->metrics[i];
        require(metric->pattern_count > 0, "a metric without patterns");
        require(metric->where == TM_NODE_NONE || metric->where < nodes, "a condition outside the program");
        require(metric->reach_days <= TM_REACH_DAYS_MAX && metric->reach_hours <= TM_REACH_HOURS_MAX, "reach");
    }
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        const tm_rule *rule = &pack->rules[pack->order[i]];
        require(rule->when < nodes && rule->clear < nodes && rule->scope < nodes, "a rule without its conditions");
        for (uint32_t k = 0; k < rule->inhibitor_count; k++) {
            require(rule->inhibitors[k] < pack->rule_count, "an inhibitor that is no rule");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_diagnostics *diagnostics = calloc(1, sizeof *diagnostics);
    tm_packfile_options options = {.diagnostics = diagnostics};
    tm_pack *pack;
    tm_error error;
    tm_status status = tm_packfile_parse((tm_slice){(const char *)data, size}, "f", &options, &pack, &error);
    if (status == TM_OK) {
        require(diagnostics->count == 0, "taken with errors");
        check_pack(pack);
        tm_pack_free(pack);
    } else {
        require(status == TM_REJECT && diagnostics->count > 0, "refused without an error");
        tm_buffer out;
        tm_buffer_init(&out, 1 << 20);
        tm_diagnostics_print(diagnostics, &out);
        require(!out.overflowed, "errors without end");
        tm_buffer_done(&out);
    }
    free(diagnostics);
    return 0;
}
