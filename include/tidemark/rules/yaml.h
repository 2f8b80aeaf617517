/* YAML as configuration uses it: a small tree of scalars, lists and maps in which every piece knows where it stands.
   What hostile files live on is refused: anchors, aliases, merge keys, keys that are no text, keys given twice, several
   documents, more than TM_YAML_DEPTH_MAX levels. */
#ifndef TIDEMARK_RULES_YAML_H
#define TIDEMARK_RULES_YAML_H

#include "tidemark/base/heap.h"
#include "tidemark/rules/diagnostics.h"

enum { TM_YAML_DEPTH_MAX = 16, TM_YAML_ENTRIES_MAX = 4096, TM_YAML_NODES_MAX = 65536 };

typedef enum tm_yaml_kind { TM_YAML_SCALAR, TM_YAML_LIST, TM_YAML_MAP } tm_yaml_kind;
typedef enum tm_yaml_style {
    TM_YAML_PLAIN,
    TM_YAML_SINGLE_QUOTED,
    TM_YAML_DOUBLE_QUOTED,
    TM_YAML_BLOCK /* | or > */
} tm_yaml_style;

typedef struct tm_yaml_node {
    tm_yaml_kind kind;
    tm_yaml_style style;
    tm_slice text;     /* of a scalar, after unquoting and folding; a copy in the arena */
    tm_slice tag;      /* as written ("!file"); absent: none */
    size_t start, end; /* bytes of the source: a scalar's content without quotes; elsewhere its first character */
    struct tm_yaml_node *key;   /* of an entry in a map: its key */
    struct tm_yaml_node *first; /* entries of a list or map, in the order written */
    struct tm_yaml_node *next;
    uint32_t count;
} tm_yaml_node;

/* Parses one document. `source->text` must be UTF-8 without NUL, at most TM_PACK_FILE_MAX bytes. TM_OK (*ret_root is
   NULL for an empty document); TM_REJECT with what was found in `diagnostics`; TM_FATAL without memory. */
tm_status tm_yaml_parse(tm_arena *arena, const tm_document *source, tm_diagnostics *diagnostics,
                        tm_yaml_node **ret_root);

/* The entry of a map under a key, or NULL (also when `map` is NULL or no map). */
tm_yaml_node *tm_yaml_get(const tm_yaml_node *map, const char *key);
/* A plain empty scalar, ~ or null; NULL counts as one. */
bool tm_yaml_is_null(const tm_yaml_node *node);
/* Where in the source byte `offset` of a scalar's text stands: exact for plain, quoted and block scalars, lines folded
   or not; where source and text cannot be aligned, the scalar's beginning. */
size_t tm_yaml_offset(const tm_document *source, const tm_yaml_node *node, size_t offset);

#endif
