/* Any bytes as YAML: a tree whose places lie inside the text, or errors that do. */
#include <stdint.h>
#include <stdlib.h>

#include "tidemark/rules/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint32_t walk(const tm_document *source, const tm_yaml_node *node, uint32_t depth)
{
    check(depth <= TM_YAML_DEPTH_MAX + 1);
    check(node->start <= node->end && node->end <= source->text.length);
    uint32_t entries = 0, nodes = 1;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        check(node->kind != TM_YAML_SCALAR);
        check((node->kind == TM_YAML_MAP) == (entry->key != NULL));
        if (entry->key)
            nodes += walk(source, entry->key, depth + 1);
        nodes += walk(source, entry, depth + 1);
        entries++;
    }
    check(entries == node->count);
    if (node->kind == TM_YAML_SCALAR) {
        check(tm_yaml_offset(source, node, 0) <= source->text.length);
        check(tm_yaml_offset(source, node, node->text.length) <= source->text.length);
    }
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_arena *arena = tm_arena_new((size_t)64 << 20);
    tm_diagnostics *found = calloc(1, sizeof *found);
    check(arena && found);
    tm_document source = {.name = "f", .text = {(const char *)data, size}};
    tm_yaml_node *root = NULL;
    tm_status status = tm_yaml_parse(arena, &source, found, &root);
    if (status == TM_OK) {
        check(found->count == 0);
        if (root)
            check(walk(&source, root, 0) <= TM_YAML_NODES_MAX);
    } else {
        check(status == TM_REJECT && found->count > 0);
        tm_buffer out;
        tm_buffer_init(&out, (size_t)1 << 20);
        tm_diagnostics_print(found, &out);
        check(!out.overflowed);
        tm_buffer_done(&out);
    }
    free(found);
    tm_arena_free_all(arena);
    return 0;
}
