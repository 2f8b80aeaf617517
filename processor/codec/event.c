#include "tidemark/codec/event.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tidemark/codec/jsontext.h"
#include "tidemark/codec/rawevent.h"

struct tm_event_reader {
    tm_event_options options;
    tm_raw_reader *raw_reader;
    tm_raw_event raw;
};

/* Everything one record is judged by. */
typedef struct judge {
    const tm_event_options *options;
    const tm_mapping *mapping;
    const tm_mapping_plan *plan;
    const tm_raw_event *raw;
    const tm_headers *headers;
    tm_slice key;
    char *detail;
    tm_dead_reason reason;
} judge;

static tm_event_reader *reader_new(const tm_event_options *options, tm_raw_reader *raw_reader)
{
    tm_event_reader *reader = raw_reader != NULL ? calloc(1, sizeof *reader) : NULL;
    if (reader == NULL) {
        if (raw_reader != NULL)
            raw_reader->free(raw_reader);
        return NULL;
    }
    reader->options = *options;
    reader->raw_reader = raw_reader;
    return reader;
}

tm_event_reader *tm_event_reader_simdjson_new(const tm_event_options *options)
{
    return reader_new(options, tm_raw_reader_simdjson_new());
}

tm_event_reader *tm_event_reader_jansson_new(const tm_event_options *options)
{
    return reader_new(options, tm_raw_reader_jansson_new());
}

tm_event_reader *tm_event_reader_new(const tm_event_options *options)
{
#ifdef TIDEMARK_EVENT_READER_JANSSON
    return tm_event_reader_jansson_new(options);
#else
    return tm_event_reader_simdjson_new(options);
#endif
}

void tm_event_reader_free(tm_event_reader *reader)
{
    if (reader == NULL)
        return;
    reader->raw_reader->free(reader->raw_reader);
    explicit_bzero(&reader->options.user_key, sizeof reader->options.user_key);
    free(reader);
}

const char *tm_event_reader_name(const tm_event_reader *reader)
{
    return reader->raw_reader->name;
}

/* The length of the longest prefix of at most `maximum` bytes that does not end inside a UTF-8 sequence. */
static int cut(tm_slice text, size_t maximum)
{
    size_t length = text.length < maximum ? text.length : maximum;
    if (length < text.length)
        while (length > 0 && ((unsigned char)text.data[length] & 0xC0) == 0x80)
            length--;
    return (int)length;
}

__attribute__((format(printf, 3, 4))) static bool refuse(judge *j, tm_dead_reason reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(j->detail, TM_DEAD_DETAIL, format, arguments);
    va_end(arguments);
    j->reason = reason;
    return false;
}

/* "account" or, where the producer calls it something else, "account (subject)". */
typedef struct label {
    char text[160];
} label;

static label label_of(const judge *j, const tm_mapping_choice *choice)
{
    static const char *const names[TM_TARGET_PROPERTY] = {"id",   "account", "event", "at",
                                                          "user", "source",  "value", "properties"};
    label result;
    char property[96];
    const char *name = property;
    if (choice->target < TM_TARGET_PROPERTY) {
        name = names[choice->target];
    } else {
        tm_slice given = j->mapping->property_names[choice->target - TM_TARGET_PROPERTY];
        snprintf(property, sizeof property, "properties.%.*s", cut(given, TM_PROPERTY_NAME_MAX), given.data);
    }
    if (choice->origin == TM_ORIGIN_CONSTANT || tm_slice_equal_text(choice->text, name))
        snprintf(result.text, sizeof result.text, "%s", name);
    else
        snprintf(result.text, sizeof result.text, "%s (%.*s)", name, cut(choice->text, TM_PROPERTY_NAME_MAX),
                 choice->text.data);
    return result;
}

static bool name_equal_ignoring_case(tm_slice name, const char *lower)
{
    size_t length = strlen(lower);
    return name.data != NULL && name.length == length && strncasecmp(name.data, lower, length) == 0;
}

/* The header of that name, NULL when there is none. *ret_count: how many there are. */
static const tm_header *find_header(const tm_headers *headers, const char *name, size_t *ret_count)
{
    const tm_header *found = NULL;
    *ret_count = 0;
    for (size_t i = 0; headers != NULL && i < headers->count; i++)
        if (name_equal_ignoring_case(headers->items[i].name, name) && headers->items[i].value.data != NULL) {
            if (found == NULL)
                found = &headers->items[i];
            ++*ret_count;
        }
    return found;
}

static tm_raw text_raw(tm_slice text)
{
    return (tm_raw){.kind = TM_RAW_STRING, .text = text};
}

/* What a choice finds: absent when there is nothing or null. false: refused. */
static bool choice_value(judge *j, const tm_mapping_choice *choice, tm_raw *ret_raw)
{
    *ret_raw = (tm_raw){.kind = TM_RAW_ABSENT};
    if (choice->origin == TM_ORIGIN_PATH) {
        const tm_raw *found = &j->raw->found[choice->node];
        if (found->kind != TM_RAW_NULL)
            *ret_raw = *found;
        return true;
    }
    if (choice->origin == TM_ORIGIN_CONSTANT) {
        *ret_raw = text_raw(choice->text);
        return true;
    }
    tm_slice text = j->key;
    if (choice->origin == TM_ORIGIN_HEADER) {
        char name[TM_FACT_TEXT_MAX + 1];
        size_t length = choice->text.length < TM_FACT_TEXT_MAX ? choice->text.length : TM_FACT_TEXT_MAX;
        memcpy(name, choice->text.data, length);
        name[length] = '\0';
        size_t count;
        const tm_header *header = find_header(j->headers, name, &count);
        if (count > 1)
            return refuse(j, TM_DEAD_DUPLICATE_KEY, "%s: the header stands %zu times", label_of(j, choice).text, count);
        text = header != NULL ? header->value : (tm_slice){NULL, 0};
    }
    if (text.data == NULL)
        return true;
    if (!tm_utf8_valid(text))
        return refuse(j, TM_DEAD_INVALID_UTF8, "%s: not UTF-8", label_of(j, choice).text);
    *ret_raw = text_raw(text);
    return true;
}

/* The first choice of a target that has a value of a kind from `low` to `high` (or of any kind, where it is strict).
 *ret_choice is NULL when there is none. */
static bool resolve(judge *j, tm_target target, tm_raw_kind low, tm_raw_kind high, const tm_mapping_choice **ret_choice,
                    tm_raw *ret_raw)
{
    const tm_mapping_plan *plan = j->plan;
    *ret_choice = NULL;
    for (uint16_t i = plan->first[target]; i < plan->first[target + 1]; i++) {
        const tm_mapping_choice *choice = &plan->choices[i];
        if (!choice_value(j, choice, ret_raw))
            return false;
        if (ret_raw->kind == TM_RAW_ABSENT || (choice->lenient && (ret_raw->kind < low || ret_raw->kind > high)))
            continue;
        *ret_choice = choice;
        return true;
    }
    return true;
}

static bool missing(judge *j, tm_target target)
{
    return refuse(j, TM_DEAD_MISSING_FIELD, "%s: not there",
                  label_of(j, &j->plan->choices[j->plan->first[target]]).text);
}

static bool has_nul(const judge *j, const tm_mapping_choice *choice, tm_slice text)
{
    bool possible = j->raw->escaped_nul || choice->origin != TM_ORIGIN_PATH;
    return possible && memchr(text.data, '\0', text.length) != NULL;
}

static bool judge_text(judge *j, tm_target target, size_t maximum, bool required, tm_slice *ret_text)
{
    const tm_mapping_choice *choice;
    tm_raw raw;
    *ret_text = (tm_slice){NULL, 0};
    if (!resolve(j, target, TM_RAW_STRING, TM_RAW_STRING, &choice, &raw))
        return false;
    if (choice == NULL)
        return required ? missing(j, target) : true;
    if (raw.kind != TM_RAW_STRING)
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a string", label_of(j, choice).text);
    if (has_nul(j, choice, raw.text))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: holds the character U+0000", label_of(j, choice).text);
    if (raw.text.length > maximum)
        return refuse(j, TM_DEAD_STRING_TOO_LONG, "%s: %zu bytes, at most %zu are allowed", label_of(j, choice).text,
                      raw.text.length, maximum);
    if (raw.text.length == 0) {
        if (required)
            return refuse(j, TM_DEAD_STRING_EMPTY, "%s: is empty", label_of(j, choice).text);
        return true; /* nobody, and no source: as if it were absent */
    }
    *ret_text = raw.text;
    return true;
}

static bool judge_time(judge *j, tm_time *ret_at)
{
    const tm_mapping_choice *choice;
    tm_raw raw;
    if (!resolve(j, TM_TARGET_AT, TM_RAW_NUMBER, TM_RAW_STRING, &choice, &raw))
        return false;
    if (choice == NULL)
        return missing(j, TM_TARGET_AT);
    if (raw.kind == TM_RAW_NUMBER) {
        if (!(raw.number >= 0) || raw.number > (double)TM_TIME_MAX || raw.number != floor(raw.number))
            return refuse(j, TM_DEAD_INVALID_TIME, "%s: no whole number of milliseconds from 1970 to 9999",
                          label_of(j, choice).text);
        *ret_at = (tm_time)raw.number;
        return true;
    }
    if (raw.kind != TM_RAW_STRING)
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a time as text, or milliseconds as a number",
                      label_of(j, choice).text);
    if (tm_time_parse(raw.text, ret_at) != TM_OK)
        return refuse(j, TM_DEAD_INVALID_TIME, "%s: not RFC 3339 with a zone, from 1970 to 9999",
                      label_of(j, choice).text);
    return true;
}

static bool judge_value(judge *j, tm_fixed *ret_value)
{
    const tm_mapping_choice *choice;
    tm_raw raw;
    *ret_value = TM_FIXED_NONE;
    if (!resolve(j, TM_TARGET_VALUE, TM_RAW_NUMBER, TM_RAW_NUMBER, &choice, &raw))
        return false;
    if (choice == NULL)
        return true;
    if (raw.kind != TM_RAW_NUMBER)
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a number or null", label_of(j, choice).text);
    if (tm_fixed_from(raw.number, ret_value) != TM_OK)
        return refuse(j, TM_DEAD_NUMBER_OUT_OF_RANGE, "%s: beyond 9e9", label_of(j, choice).text);
    return true;
}

/* One property, from an object's member or by its own choice (`where` names it). */
static bool add_property(judge *j, tm_event *event, tm_slice name, const tm_raw *raw, bool may_hold_nul)
{
    int shown = cut(name, TM_PROPERTY_NAME_MAX);
    tm_property *property = &event->properties[event->property_count];
    if (event->property_count == TM_PROPERTIES_MAX)
        return refuse(j, TM_DEAD_TOO_LARGE, "properties: more than %d", (int)TM_PROPERTIES_MAX);
    if (name.length > TM_PROPERTY_NAME_MAX)
        return refuse(j, TM_DEAD_STRING_TOO_LONG, "properties.%.*s…: a name of %zu bytes, at most %d are allowed",
                      shown, name.data, name.length, (int)TM_PROPERTY_NAME_MAX);
    switch (raw->kind) {
    case TM_RAW_FALSE:
    case TM_RAW_TRUE:
        property->value = tm_value_boolean(raw->kind == TM_RAW_TRUE);
        break;
    case TM_RAW_NUMBER: {
        tm_fixed fixed;
        if (tm_fixed_from(raw->number, &fixed) != TM_OK)
            return refuse(j, TM_DEAD_NUMBER_OUT_OF_RANGE, "properties.%.*s: beyond 9e9", shown, name.data);
        property->value = tm_value_number(tm_fixed_number(fixed));
        break;
    }
    case TM_RAW_STRING:
        if (may_hold_nul && memchr(raw->text.data, '\0', raw->text.length) != NULL)
            return refuse(j, TM_DEAD_WRONG_TYPE, "properties.%.*s: holds the character U+0000", shown, name.data);
        if (raw->text.length > TM_PROPERTY_TEXT_MAX)
            return refuse(j, TM_DEAD_STRING_TOO_LONG, "properties.%.*s: %zu bytes, at most %d are allowed", shown,
                          name.data, raw->text.length, (int)TM_PROPERTY_TEXT_MAX);
        property->value = tm_value_string(raw->text);
        break;
    default:
        return refuse(j, TM_DEAD_WRONG_TYPE, "properties.%.*s: must be a string, a number or a boolean", shown,
                      name.data);
    }
    property->name = name;
    event->property_count++;
    return true;
}

static bool mapped_property(const tm_event *event, uint32_t count, tm_slice name)
{
    for (uint32_t i = 0; i < count; i++)
        if (tm_slice_equal(event->properties[i].name, name))
            return true;
    return false;
}

/* Single properties of the mapping first; they win over members of the same name. */
static bool judge_properties(judge *j, tm_event *event)
{
    const tm_mapping_plan *plan = j->plan;
    tm_raw raw;
    event->property_count = 0;
    int done = -1;
    for (uint16_t i = plan->first[TM_TARGET_PROPERTY]; i < plan->choice_count; i++) {
        const tm_mapping_choice *choice = &plan->choices[i];
        if (choice->target == done)
            continue;
        if (!choice_value(j, choice, &raw))
            return false;
        if (raw.kind == TM_RAW_ABSENT)
            continue;
        if (!add_property(j, event, j->mapping->property_names[choice->target - TM_TARGET_PROPERTY], &raw, true))
            return false;
        done = choice->target;
    }
    const tm_mapping_choice *choice;
    if (!resolve(j, TM_TARGET_PROPERTIES, TM_RAW_OBJECT, TM_RAW_OBJECT, &choice, &raw))
        return false;
    if (choice == NULL)
        return true;
    if (raw.kind != TM_RAW_OBJECT)
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be an object", label_of(j, choice).text);
    uint32_t count = j->raw->member_counts[choice->object];
    if (count > TM_PROPERTIES_MAX)
        return refuse(j, TM_DEAD_TOO_LARGE, "%s: %u members, at most %d are allowed", label_of(j, choice).text, count,
                      (int)TM_PROPERTIES_MAX);
    uint32_t mapped = event->property_count;
    const tm_raw_member *members = j->raw->members[choice->object];
    for (uint32_t i = 0; i < count; i++) {
        const tm_raw_member *member = &members[i];
        if (member->value.kind == TM_RAW_NULL || mapped_property(event, mapped, member->name))
            continue;
        if (choice->lenient && member->value.kind >= TM_RAW_ARRAY)
            continue;
        if (!add_property(j, event, member->name, &member->value, j->raw->escaped_nul))
            return false;
    }
    return true;
}

static bool judge_cloudevents(judge *j)
{
    const tm_mapping_plan *plan = j->plan;
    tm_raw raw;
    if (plan->version >= 0) {
        raw = j->raw->found[plan->version];
    } else {
        size_t count;
        raw = text_raw(find_header(j->headers, "ce_specversion", &count)->value);
    }
    if (raw.kind == TM_RAW_ABSENT || raw.kind == TM_RAW_NULL)
        return refuse(j, TM_DEAD_MISSING_FIELD, "specversion: not there, so this is no CloudEvent");
    if (raw.kind != TM_RAW_STRING)
        return refuse(j, TM_DEAD_WRONG_TYPE, "specversion: must be a string");
    if (!tm_slice_has_prefix(raw.text, tm_slice_of("1.")))
        return refuse(j, TM_DEAD_UNSUPPORTED_ENCODING, "specversion: only CloudEvents 1.x can be read");
    if (plan->base64 >= 0 && j->raw->found[plan->base64].kind > TM_RAW_NULL)
        return refuse(j, TM_DEAD_UNSUPPORTED_ENCODING, "data_base64: only data as JSON can be read");
    return true;
}

static bool judge_fields(judge *j, tm_event *event)
{
    if (j->raw->duplicate)
        return refuse(j, TM_DEAD_DUPLICATE_KEY, "%.*s: stands twice", cut(j->raw->repeated, TM_PROPERTY_NAME_MAX),
                      j->raw->repeated.data);
    if (j->plan->cloudevents && !judge_cloudevents(j))
        return false;
    if (!judge_text(j, TM_TARGET_ID, TM_EVENT_ID_MAX, true, &event->id) ||
        !judge_text(j, TM_TARGET_ACCOUNT, TM_ACCOUNT_ID_MAX, true, &event->account) ||
        !judge_text(j, TM_TARGET_EVENT, TM_EVENT_NAME_MAX, true, &event->name) || !judge_time(j, &event->at) ||
        !judge_text(j, TM_TARGET_USER, TM_USER_ID_MAX, false, &event->user) ||
        !judge_text(j, TM_TARGET_SOURCE, TM_SOURCE_MAX, false, &event->source) || !judge_value(j, &event->value) ||
        !judge_properties(j, event))
        return false;
    if (j->options->key_policy == TM_KEY_REFUSE) {
        if (j->key.data == NULL)
            return refuse(j, TM_DEAD_NO_KEY, "a usage record without a key");
        if (!tm_slice_equal(j->key, event->account))
            return refuse(j, TM_DEAD_KEY_MISMATCH, "account: is '%.*s', which is not the record's key",
                          cut(event->account, TM_ACCOUNT_ID_MAX), event->account.data);
    }
    event->user_key = event->user.data != NULL ? tm_hash_user(event->user, &j->options->user_key) : 0;
    return true;
}

static tm_slice media_type(tm_slice text)
{
    size_t length = 0;
    while (length < text.length && text.data[length] != ';' && text.data[length] != ' ')
        length++;
    return (tm_slice){text.data, length};
}

static bool ends_with(tm_slice text, const char *lower)
{
    size_t length = strlen(lower);
    return text.length >= length && strncasecmp(text.data + text.length - length, lower, length) == 0;
}

static bool begins_with(tm_slice text, const char *lower)
{
    size_t length = strlen(lower);
    return text.length >= length && strncasecmp(text.data, lower, length) == 0;
}

/* Chooses the plan as far as the headers can say: plans[0] structured (*ret_sure) or perhaps, plans[1] binary. */
static bool choose_by_headers(judge *j, bool *ret_sure)
{
    *ret_sure = j->mapping->kind == TM_MAPPING_CLOUDEVENTS;
    j->plan = &j->mapping->plans[0];
    if (j->mapping->kind == TM_MAPPING_PLAIN || j->headers == NULL)
        return true;
    size_t count;
    const tm_header *header = find_header(j->headers, "content-type", &count);
    tm_slice type = header != NULL ? media_type(header->value) : (tm_slice){NULL, 0};
    if (type.data != NULL && begins_with(type, "application/cloudevents")) {
        *ret_sure = true;
        return name_equal_ignoring_case(type, "application/cloudevents+json")
                   ? true
                   : refuse(j, TM_DEAD_UNSUPPORTED_ENCODING, "content-type: of CloudEvents only %s can be read",
                            "application/cloudevents+json");
    }
    if (find_header(j->headers, "ce_specversion", &count) == NULL)
        return true;
    *ret_sure = true;
    j->plan = &j->mapping->plans[1];
    return type.data == NULL || ends_with(type, "/json") || ends_with(type, "+json")
               ? true
               : refuse(j, TM_DEAD_UNSUPPORTED_ENCODING, "content-type: only JSON can be read");
}

tm_status tm_event_read(tm_event_reader *reader, tm_slice value, const tm_headers *headers, tm_slice key,
                        tm_event *ret_event, tm_dead_reason *ret_reason, char detail[TM_DEAD_DETAIL])
{
    const tm_mapping *mapping = reader->options.mapping;
    judge j = {.options = &reader->options,
               .mapping = mapping,
               .raw = &reader->raw,
               .headers = headers,
               .key = key,
               .detail = detail};
    tm_status status = TM_REJECT;
    bool sure = true;

    detail[0] = '\0';
    if (value.data == NULL) {
        refuse(&j, TM_DEAD_NO_VALUE, "a usage record without a value");
        goto out;
    }
    if (!choose_by_headers(&j, &sure))
        goto out;
    if (value.length >= 5 && value.data[0] == '\0') {
        if (reader->options.refuse_prefix) {
            refuse(&j, TM_DEAD_UNSUPPORTED_ENCODING, "the value begins with a schema registry's prefix");
            goto out;
        }
        value = (tm_slice){value.data + 5, value.length - 5};
    }
    if (value.length > TM_RECORD_MAX) {
        refuse(&j, TM_DEAD_TOO_LARGE, "%zu bytes, at most %d are allowed", value.length, (int)TM_RECORD_MAX);
        goto out;
    }
    if (!tm_json_is_object(value)) {
        bool valid = tm_utf8_valid(value);
        refuse(&j, valid ? TM_DEAD_INVALID_JSON : TM_DEAD_INVALID_UTF8,
               valid ? "the value is not a JSON object" : "the value is not UTF-8");
        goto out;
    }
    status = reader->raw_reader->collect(reader->raw_reader, mapping, j.plan->root, value, &reader->raw, &j.reason);
    if (status == TM_REJECT)
        refuse(&j, j.reason, "%s", tm_json_reason_text(j.reason));
    if (status != TM_OK)
        goto out;
    if (!sure && mapping->kind == TM_MAPPING_AUTO && reader->raw.found[mapping->plans[0].version].kind <= TM_RAW_NULL)
        j.plan = &mapping->plans[2];
    if (!judge_fields(&j, ret_event))
        status = TM_REJECT;
out:
    *ret_reason = j.reason;
    return status;
}
