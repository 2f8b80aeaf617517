/* Between the two JSON readers and the one judge of fields: what a record holds at the places a mapping names, as typed
   but unjudged values. What a reader must do alike lives here, what an event is lives in `event`. */
#ifndef TIDEMARK_CODEC_RAWEVENT_H
#define TIDEMARK_CODEC_RAWEVENT_H

#include <string.h>

#include "tidemark/codec/deadreason.h"
#include "tidemark/codec/mapping.h"

typedef enum tm_raw_kind {
    TM_RAW_ABSENT = 0,
    TM_RAW_NULL,
    TM_RAW_FALSE,
    TM_RAW_TRUE,
    TM_RAW_NUMBER,
    TM_RAW_STRING,
    TM_RAW_ARRAY,
    TM_RAW_OBJECT
} tm_raw_kind;

typedef struct tm_raw {
    tm_slice text; /* of a string, unescaped */
    double number; /* the double nearest to the number's text */
    uint8_t kind;  /* tm_raw_kind */
} tm_raw;

typedef struct tm_raw_member {
    tm_slice name;
    tm_raw value;
} tm_raw_member;

/* A reader begins with tm_raw_event_begin. */
typedef struct tm_raw_event {
    bool escaped_nul;  /* a string that is looked at holds U+0000 (written as an escape); of others a reader may not
                          tell: a hint */
    bool duplicate;    /* some key that the mapping knows, or one of the first 64 properties, stands twice: nothing else
                          counts */
    tm_slice repeated; /* the first such key in the order of the text */
    uint32_t member_counts[TM_MAPPING_OBJECTS_MAX]; /* all that stand there; the first 64 are kept */
    tm_raw found[TM_MAPPING_NODES_MAX]; /* by node of the mapping; TM_RAW_OBJECT alone for nodes on the way */
    tm_raw_member members[TM_MAPPING_OBJECTS_MAX][TM_PROPERTIES_MAX];
} tm_raw_event;

/* A reader of JSON text; its implementations begin with this. */
typedef struct tm_raw_reader {
    const char *name;
    /* Fills *ret_raw from `text` (it begins with '{' after blanks) for the names below `root`. TM_OK; TM_REJECT with a
       reason up to TM_DEAD_NUMBER_OUT_OF_RANGE; TM_FATAL without memory. Slices are valid until the next call. */
    tm_status (*collect)(struct tm_raw_reader *reader, const tm_mapping *mapping, int16_t root, tm_slice text,
                         tm_raw_event *ret_raw, tm_dead_reason *ret_reason);
    void (*free)(struct tm_raw_reader *reader);
} tm_raw_reader;

tm_raw_reader *tm_raw_reader_simdjson_new(void); /* NULL without memory, like the next */
tm_raw_reader *tm_raw_reader_jansson_new(void);

static inline void tm_raw_event_begin(tm_raw_event *raw, const tm_mapping *mapping)
{
    raw->escaped_nul = false;
    raw->duplicate = false;
    for (uint32_t i = 0; i < TM_MAPPING_OBJECTS_MAX; i++)
        raw->member_counts[i] = 0;
    for (uint32_t i = 0; i < mapping->node_count; i++)
        raw->found[i].kind = TM_RAW_ABSENT;
}

static inline void tm_raw_event_repeated(tm_raw_event *raw, tm_slice name)
{
    if (!raw->duplicate) {
        raw->duplicate = true;
        raw->repeated = name;
    }
}

/* The node of that name in the ring that `from` belongs to, or -1. Beginning behind the last match makes the first
   comparison the right one for producers that keep to an order. */
static inline int16_t tm_mapping_find(const tm_mapping *mapping, int16_t from, tm_slice name)
{
    if (from < 0)
        return -1;
    int16_t at = from;
    do {
        const tm_mapping_node *node = &mapping->nodes[at];
        if (node->name.length == name.length && memcmp(node->name.data, name.data, name.length) == 0)
            return at;
        at = node->next;
    } while (at != from);
    return -1;
}

/* Counts a member of a collected object and notes its name when it is a repetition among the first 64. Returns where
   the value is to be put, or NULL for the 65th and later. */
static inline tm_raw_member *tm_raw_event_member(tm_raw_event *raw, int16_t object, tm_slice name)
{
    uint32_t count = raw->member_counts[object]++;
    if (count >= TM_PROPERTIES_MAX)
        return NULL;
    tm_raw_member *members = raw->members[object];
    for (uint32_t i = 0; i < count; i++)
        if (members[i].name.length == name.length && memcmp(members[i].name.data, name.data, name.length) == 0) {
            tm_raw_event_repeated(raw, name);
            break;
        }
    members[count].name = name;
    return &members[count];
}

#endif
