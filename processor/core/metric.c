#include "tidemark/core/metric.h"

#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/core/reply.h"

bool tm_metric_selects(const tm_metric *metric, tm_slice event_name)
{
    for (uint32_t i = 0; i < metric->pattern_count; i++) {
        const tm_pattern *pattern = &metric->patterns[i];
        if (pattern->prefix ? tm_slice_has_prefix(event_name, pattern->text) && !tm_reply_is(event_name)
                            : tm_slice_equal(event_name, pattern->text))
            return true;
    }
    return false;
}

/* 0 means "no member"; the one content in 2^64 that hashes to it is moved aside. */
static uint64_t member_of(uint64_t hash)
{
    return hash ? hash : 1;
}

/* The type takes part, so that the number 1, the text "1" and true are three members. */
static uint64_t value_member(tm_value value)
{
    switch (value.type) {
    case TM_TYPE_NUMBER: {
        double number = value.as.number == 0 ? 0 : value.as.number; /* -0 is 0 */
        char bytes[sizeof number];
        memcpy(bytes, &number, sizeof number);
        return member_of(tm_hash_seeded((tm_slice){bytes, sizeof bytes}, TM_TYPE_NUMBER));
    }
    case TM_TYPE_STRING:
        return member_of(tm_hash_seeded(value.as.string, TM_TYPE_STRING));
    case TM_TYPE_BOOLEAN:
        return member_of(
            tm_hash_seeded(value.as.boolean ? TM_SLICE_LITERAL("true") : TM_SLICE_LITERAL("false"), TM_TYPE_BOOLEAN));
    default:
        return 0;
    }
}

static uint64_t day_member(int32_t day)
{
    char bytes[sizeof day];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)((uint32_t)day >> (8 * i) & 0xff);
    return member_of(tm_hash_seeded((tm_slice){bytes, sizeof bytes}, TM_TYPE_ANY));
}

void tm_metric_sample(const tm_metric *metric, const tm_event *event, int32_t at_day, tm_sample *ret_sample)
{
    ret_sample->at = event->at;
    ret_sample->hour = tm_hour_of(event->at);
    ret_sample->day = at_day;
    ret_sample->value = TM_FIXED_NONE;
    ret_sample->member = 0;
    bool distinct = metric->kind == TM_METRIC_DISTINCT;
    switch (metric->of) {
    case TM_OF_NOTHING:
        break;
    case TM_OF_VALUE:
        if (!distinct)
            ret_sample->value = event->value;
        else if (event->value != TM_FIXED_NONE)
            ret_sample->member = value_member(tm_value_number(tm_fixed_number(event->value)));
        break;
    case TM_OF_USER:
        ret_sample->member = event->user_key;
        break;
    case TM_OF_EVENT:
        ret_sample->member = value_member(tm_value_string(event->name));
        break;
    case TM_OF_DAY:
        ret_sample->member = day_member(at_day);
        break;
    case TM_OF_PROPERTY: {
        tm_value value = tm_event_property(event, metric->property);
        if (distinct)
            ret_sample->member = value_member(value);
        else if (value.type != TM_TYPE_NUMBER || tm_fixed_from(value.as.number, &ret_sample->value) != TM_OK)
            ret_sample->value = TM_FIXED_NONE;
        break;
    }
    }
}
