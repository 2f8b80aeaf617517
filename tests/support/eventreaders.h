/* Both event readers over one record, compared answer for answer. Shared by the property test and the fuzz target. */
#ifndef TESTS_SUPPORT_EVENTREADERS_H
#define TESTS_SUPPORT_EVENTREADERS_H

#include <stdio.h>
#include <string.h>

#include "tidemark/codec/event.h"

typedef struct reader_pair {
    tm_mapping *mapping;
    tm_event_reader *simdjson, *jansson;
    tm_event events[2];
    char details[2][TM_DEAD_DETAIL];
} reader_pair;

static inline void reader_pair_init(reader_pair *pair, tm_mapping *mapping, tm_key_policy policy)
{
    memset(pair, 0, sizeof *pair);
    tm_event_options options = {.mapping = mapping, .key_policy = policy};
    memcpy(options.user_key.bytes, "0123456789abcdef", TM_USER_KEY_SIZE);
    pair->mapping = mapping;
    pair->simdjson = tm_event_reader_simdjson_new(&options);
    pair->jansson = tm_event_reader_jansson_new(&options);
}

static inline void reader_pair_done(reader_pair *pair)
{
    tm_event_reader_free(pair->simdjson);
    tm_event_reader_free(pair->jansson);
    tm_mapping_free(pair->mapping);
}

static inline bool same_text(tm_slice a, tm_slice b)
{
    return (a.data == NULL) == (b.data == NULL) && a.length == b.length &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool same_events(const tm_event *a, const tm_event *b)
{
    if (!same_text(a->id, b->id) || !same_text(a->account, b->account) || !same_text(a->name, b->name) ||
        !same_text(a->user, b->user) || !same_text(a->source, b->source) || a->at != b->at || a->value != b->value ||
        a->user_key != b->user_key || a->property_count != b->property_count)
        return false;
    for (uint32_t i = 0; i < a->property_count; i++) {
        const tm_value *v = &a->properties[i].value;
        const tm_value *w = &b->properties[i].value;
        if (!same_text(a->properties[i].name, b->properties[i].name) || v->type != w->type ||
            v->approximate != w->approximate)
            return false;
        if (v->type == TM_TYPE_STRING    ? !same_text(v->as.string, w->as.string)
            : v->type == TM_TYPE_BOOLEAN ? v->as.boolean != w->as.boolean
                                         : memcmp(&v->as.number, &w->as.number, sizeof(double)) != 0)
            return false;
    }
    return true;
}

/* NULL when both readers agree on everything, else what they disagree on (static storage). */
static inline const char *readers_differ(reader_pair *pair, tm_slice value, const tm_headers *headers, tm_slice key,
                                         tm_status *ret_status, tm_dead_reason *ret_reason)
{
    static char text[700];
    tm_event *events = pair->events;
    char(*details)[TM_DEAD_DETAIL] = pair->details;
    tm_dead_reason reasons[2];
    tm_status fast = tm_event_read(pair->simdjson, value, headers, key, &events[0], &reasons[0], details[0]);
    tm_status reference = tm_event_read(pair->jansson, value, headers, key, &events[1], &reasons[1], details[1]);
    *ret_status = fast;
    *ret_reason = reasons[0];
    bool same = fast == reference && reasons[0] == reasons[1] && strcmp(details[0], details[1]) == 0;
    if (same && fast == TM_OK)
        same = same_events(&events[0], &events[1]);
    if (same)
        return NULL;
    snprintf(text, sizeof text, "simdjson %s %s (%s), jansson %s %s (%s)", tm_status_name(fast),
             tm_dead_reason_name(reasons[0]), details[0], tm_status_name(reference), tm_dead_reason_name(reasons[1]),
             details[1]);
    return text;
}

#endif
