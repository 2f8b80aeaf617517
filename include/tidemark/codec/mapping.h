/* Which member of a record, header or key stands for which field of an event. Compiled once, immutable, shared by
   readers of any thread. */
#ifndef TIDEMARK_CODEC_MAPPING_H
#define TIDEMARK_CODEC_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/limits.h"

enum {
    TM_MAPPING_DEPTH_MAX = 4,  /* names of a path a.b.c.d */
    TM_MAPPING_PAIRS_MAX = 64, /* of a custom mapping */
    TM_MAPPING_NODES_MAX = TM_MAPPING_PAIRS_MAX * TM_MAPPING_DEPTH_MAX + 2,
    TM_MAPPING_CHOICES_MAX = 2 * TM_MAPPING_PAIRS_MAX,
    TM_MAPPING_OBJECTS_MAX = 3 /* paths whose members become properties; the built-in auto has three */
};

/* The fields of an event, in the order in which they are judged. Values from TM_TARGET_PROPERTY on are single
   properties: TM_TARGET_PROPERTY + n is the n-th of `property_names`. */
typedef enum tm_target {
    TM_TARGET_ID,
    TM_TARGET_ACCOUNT,
    TM_TARGET_EVENT,
    TM_TARGET_AT,
    TM_TARGET_USER,
    TM_TARGET_SOURCE,
    TM_TARGET_VALUE,
    TM_TARGET_PROPERTIES,
    TM_TARGET_PROPERTY
} tm_target;

/* A name that a reader looks for at one level of nesting, or a root (no name). The children of a node form a ring
   through `next`, in the order in which producers usually write them. */
typedef struct tm_mapping_node {
    tm_slice name;
    int16_t child;  /* any of the ring of children; -1: none, what is inside does not matter */
    int16_t next;   /* the next sibling */
    int16_t object; /* its members are collected as this object's; -1: not */
} tm_mapping_node;

typedef enum tm_origin { TM_ORIGIN_PATH, TM_ORIGIN_HEADER, TM_ORIGIN_KEY, TM_ORIGIN_CONSTANT } tm_origin;

/* One way to fill a field; the first of a field's choices that is there and not null is taken. */
typedef struct tm_mapping_choice {
    uint8_t target;
    uint8_t origin; /* tm_origin */
    bool lenient;   /* passed over when its type is wrong; as properties: nested members are ignored, not refused */
    int16_t node;   /* of a path */
    int16_t object; /* of properties */
    tm_slice text;  /* the path, header name or constant */
} tm_mapping_choice;

/* One naming: its choices, ordered by target. */
typedef struct tm_mapping_plan {
    int16_t root;
    bool cloudevents;   /* the version is judged, and bytes in base64 are refused */
    int16_t version;    /* node of specversion, -1: header ce_specversion */
    int16_t base64;     /* node of data_base64, or -1 */
    uint16_t first[10]; /* choices of target t: first[t] … first[t + 1]; the last are all single properties */
    uint16_t choice_count;
    tm_mapping_choice choices[TM_MAPPING_CHOICES_MAX];
} tm_mapping_plan;

typedef enum tm_mapping_kind {
    TM_MAPPING_PLAIN,       /* always plans[0] */
    TM_MAPPING_CLOUDEVENTS, /* plans[1] when a header ce_specversion says binary mode, else plans[0] */
    TM_MAPPING_AUTO         /* as CloudEvents, and plans[2] (native) when nothing says CloudEvents */
} tm_mapping_kind;

typedef struct tm_mapping {
    tm_mapping_kind kind;
    const char *name; /* "native", "cloudevents", "segment", "auto" or "custom" */
    bool needs_headers;
    uint16_t node_count, object_count, property_count;
    tm_slice property_names[TM_MAPPING_PAIRS_MAX];
    tm_mapping_node nodes[TM_MAPPING_NODES_MAX];
    tm_mapping_plan plans[3];
    char *texts; /* what the slices of a custom mapping point at */
} tm_mapping;

/* The built-in mappings, described in docs/events.md. NULL without memory; freed with tm_mapping_free.
   native: the field names of the native form. cloudevents: 1.0, structured and binary mode. segment: `track` calls.
   auto: CloudEvents where a header or the member specversion says so, else native. */
tm_mapping *tm_mapping_native(void);
tm_mapping *tm_mapping_cloudevents(void);
tm_mapping *tm_mapping_segment(void);
tm_mapping *tm_mapping_auto(void);
/* The built-in mapping of that name. TM_OK; TM_REJECT when there is none; TM_FATAL without memory. */
tm_status tm_mapping_named(tm_slice name, tm_mapping **ret_mapping, tm_error *error);

/* One line of a custom mapping. `target`: id, account, event, at, user, source, value, properties or properties.NAME.
   `path`: names separated by dots, at most four deep; "$key" (account only) or "$header.NAME" (not properties) take the
   record's key or a header. `constant` is used when no path of the target gave a value; only for event, source and
   properties.NAME. Either may be absent. Several lines of one target are tried in their order. */
typedef struct tm_mapping_pair {
    tm_slice target, path, constant;
} tm_mapping_pair;

/* Compiles a custom mapping; the texts are copied. Each of id, account, event and at needs a line. TM_OK; TM_REJECT
   with an error whose ret_pair is the index of the line at fault (count when a line is missing); TM_FATAL without
   memory. */
tm_status tm_mapping_custom(const tm_mapping_pair *pairs, size_t count, tm_mapping **ret_mapping, size_t *ret_pair,
                            tm_error *error);
void tm_mapping_free(tm_mapping *mapping); /* NULL is allowed */

#endif
