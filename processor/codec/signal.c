#include "tidemark/codec/signal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/base/sha1.h"
#include "tidemark/codec/healthrecord.h"

/* A literal appended without measuring it. */
#define PUT(out, literal) tm_buffer_append((out), "" literal, sizeof(literal) - 1)

/* ---- Identities ---- */

void tm_episode_key(tm_slice account, tm_slice rule, tm_time raised_at, tm_buffer *out)
{
    tm_buffer_append_slice(out, account);
    tm_buffer_append_char(out, '/');
    tm_buffer_append_slice(out, rule);
    tm_buffer_append_char(out, '/');
    tm_buffer_append_integer(out, raised_at);
}

/* Copies what fits below `end` and returns the place behind it. */
static char *put_bytes(char *at, const char *end, const void *bytes, size_t length)
{
    size_t room = (size_t)(end - at);
    if (length > room)
        length = room;
    if (length > 0)
        memcpy(at, bytes, length);
    return at + length;
}

void tm_signal_id(tm_slice episode_key, tm_signal_state state, uint32_t sequence, char ret_id[static TM_SIGNAL_ID_TEXT])
{
    /* RFC 9562, appendix A: the namespace for URLs. */
    static const unsigned char url[16] = {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1,
                                          0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    static const char hex[] = "0123456789abcdef";
    enum { TAIL = 32 }; /* "/updated/4294967295" fits */
    char name[sizeof(url) + 9 + TM_EPISODE_KEY_MAX + TAIL];
    unsigned char digest[TM_SHA1_BYTES];
    const char *end = name + sizeof(name);
    const char *state_name = tm_signal_state_name(state);
    char digits[10];
    size_t first = sizeof(digits);
    char *at = put_bytes(name, end, url, sizeof(url));
    at = put_bytes(at, end, "tidemark:", 9);
    at = put_bytes(at, end - TAIL, episode_key.data, episode_key.length);
    at = put_bytes(at, end, "/", 1);
    at = put_bytes(at, end, state_name, strlen(state_name));
    at = put_bytes(at, end, "/", 1);
    do {
        digits[--first] = "0123456789"[sequence % 10];
        sequence /= 10;
    } while (sequence > 0);
    at = put_bytes(at, end, digits + first, sizeof(digits) - first);
    tm_sha1(name, (size_t)(at - name), digest);
    digest[6] = (unsigned char)((digest[6] & 0x0F) | 0x50);
    digest[8] = (unsigned char)((digest[8] & 0x3F) | 0x80);
    at = ret_id;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
    *at = '\0';
}

/* ---- Values for people ---- */

/* A figure to `decimals` places without trailing zeros; "-0" is "0". */
static void show_rounded(tm_buffer *out, double number, int decimals)
{
    char text[400]; /* the largest double has 309 digits */
    int length;
    if (fabs(number) <= 1e15 && (decimals == 0 || number == nearbyint(number))) {
        tm_buffer_append_integer(out, (int64_t)nearbyint(number));
        return;
    }
    length = snprintf(text, sizeof(text), "%.*f", decimals, number);
    if (decimals > 0) {
        while (text[length - 1] == '0')
            length--;
        if (text[length - 1] == '.')
            length--;
    }
    if (length == 2 && text[0] == '-' && text[1] == '0')
        tm_buffer_append_char(out, '0');
    else
        tm_buffer_append(out, text, (size_t)length);
}

/* The greatest unit that is not 0, and the one below it where it is not 0 either. */
static void show_duration(tm_buffer *out, double ms)
{
    static const struct {
        double seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    double seconds = floor(fabs(ms) / 1000);
    unsigned shown = 0;
    for (unsigned i = 0; i < 4 && shown < 2; i++) {
        double count = floor(seconds / units[i].seconds);
        seconds -= count * units[i].seconds;
        if (count > 0) {
            if (shown > 0)
                tm_buffer_append_char(out, ' ');
            else if (ms < 0)
                tm_buffer_append_char(out, '-');
            show_rounded(out, count, 0);
            tm_buffer_append_char(out, units[i].name);
        }
        if (count > 0 || shown > 0)
            shown++;
    }
    if (shown == 0)
        PUT(out, "0s");
}

static void show_day(tm_buffer *out, tm_time t, const tm_zone *zone)
{
    char text[TM_TIME_TEXT];
    tm_day_format(tm_zone_day(zone != NULL ? zone : tm_zone_utc(), t), text);
    tm_buffer_append_text(out, text);
}

static void show_text(tm_buffer *out, tm_slice text, tm_format format, const tm_zone *zone)
{
    tm_time t;
    if (format == TM_FORMAT_DATE && tm_time_parse(text, &t) == TM_OK)
        show_day(out, t, zone);
    else
        tm_buffer_append_slice(out, text);
}

void tm_format_value(tm_value value, tm_format format, const tm_zone *zone, tm_buffer *out)
{
    double number = value.as.number;
    switch (value.type) {
    case TM_TYPE_STRING:
        show_text(out, value.as.string, format, zone);
        return;
    case TM_TYPE_BOOLEAN:
        tm_buffer_append_text(out, value.as.boolean ? "true" : "false");
        return;
    case TM_TYPE_NUMBER:
    case TM_TYPE_DURATION:
        break;
    default:
        PUT(out, "n/a");
        return;
    }
    if (!isfinite(number)) {
        PUT(out, "n/a");
        return;
    }
    if (format == TM_FORMAT_PERCENT) {
        double points = number * 100;
        show_rounded(out, points, fabs(points) >= 10 ? 0 : 1);
        tm_buffer_append_char(out, '%');
    } else if (format == TM_FORMAT_DURATION || (format == TM_FORMAT_PLAIN && value.type == TM_TYPE_DURATION)) {
        show_duration(out, number);
    } else if (format == TM_FORMAT_DATE && number >= 0 && number <= (double)TM_TIME_MAX) {
        show_day(out, (tm_time)number, zone);
    } else {
        show_rounded(out, number, 2);
    }
}

/* Nothing is known of an erased account, nor of what a rule no longer there would say. */
static const tm_rule *speaking_rule(const tm_signal *signal)
{
    return signal->reason == TM_REASON_ERASED ? NULL : signal->rule;
}

/* Cuts what stands behind `start` to `maximum` bytes, at the end of a character. */
static void cut_text(tm_buffer *out, size_t start, size_t maximum)
{
    size_t length = maximum;
    if (out->overflowed || out->length - start <= maximum)
        return;
    while (length > 0 && ((unsigned char)out->data[start + length] & 0xC0) == 0x80)
        length--;
    out->length = start + length;
}

void tm_summary_render(const tm_signal *signal, tm_buffer *out)
{
    const tm_rule *rule = speaking_rule(signal);
    size_t start = out->length;
    for (uint32_t i = 0; rule != NULL && i < rule->summary_count; i++) {
        tm_buffer_append_slice(out, rule->summary[i].text);
        if (rule->summary[i].node != TM_NODE_NONE)
            tm_format_value(signal->summary[i], rule->summary[i].format, signal->zone, out);
    }
    cut_text(out, start, TM_SUMMARY_MAX);
}

/* ---- JSON ---- */

void tm_value_encode(tm_value value, tm_buffer *out)
{
    switch (value.type) {
    case TM_TYPE_NUMBER:
        tm_buffer_append_json_number(out, value.as.number);
        return;
    case TM_TYPE_DURATION:
        tm_buffer_append_json_number(out, nearbyint(value.as.number));
        return;
    case TM_TYPE_BOOLEAN:
        tm_buffer_append_text(out, value.as.boolean ? "true" : "false");
        return;
    case TM_TYPE_STRING:
        tm_buffer_append_json_string(out, value.as.string);
        return;
    default:
        PUT(out, "null");
    }
}

static void put_time(tm_buffer *out, tm_time t)
{
    char text[TM_TIME_TEXT];
    tm_time_format(t, text);
    tm_buffer_append_char(out, '"');
    tm_buffer_append_text(out, text);
    tm_buffer_append_char(out, '"');
}

/* `source` is a URI reference: whatever is not unreserved (RFC 3986, section 2.3) in a group's name is escaped. */
static void put_source(tm_buffer *out, const tm_signal_origin *origin)
{
    static const char hex[] = "0123456789ABCDEF";
    if (origin->group.data == NULL) {
        PUT(out, "\"tidemark/replay\"");
        return;
    }
    PUT(out, "\"tidemark/");
    for (size_t i = 0; i < origin->group.length; i++) {
        unsigned char c = (unsigned char)origin->group.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        if (plain) {
            tm_buffer_append_char(out, (char)c);
        } else {
            const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
            tm_buffer_append(out, escaped, sizeof(escaped));
        }
    }
    tm_buffer_append_char(out, '/');
    tm_buffer_append_integer(out, origin->partition);
    tm_buffer_append_char(out, '"');
}

/* Through a room on the stack, since what is in `out` already must not be escaped again. */
static void put_summary(tm_buffer *out, const tm_signal *signal)
{
    char room[TM_SUMMARY_MAX];
    const tm_rule *rule = speaking_rule(signal);
    size_t start;
    size_t length;
    tm_buffer_append_char(out, '"');
    if (rule != NULL && rule->summary_count > 0) {
        start = out->length;
        tm_summary_render(signal, out);
        if (!out->overflowed) {
            length = out->length - start;
            memcpy(room, out->data + start, length);
            out->length = start;
            tm_buffer_append_json_text(out, (tm_slice){room, length});
        }
    }
    tm_buffer_append_char(out, '"');
}

static void put_evidence(tm_buffer *out, const tm_signal *signal)
{
    const tm_rule *rule = speaking_rule(signal);
    tm_buffer_append_char(out, '[');
    for (uint32_t i = 0; rule != NULL && i < rule->evidence_count; i++) {
        if (i > 0)
            tm_buffer_append_char(out, ',');
        PUT(out, "{\"expression\":");
        tm_buffer_append_json_string(out, signal->pack->program.nodes[rule->evidence[i]].text);
        PUT(out, ",\"value\":");
        tm_value_encode(signal->evidence[i], out);
        if (signal->evidence[i].approximate)
            PUT(out, ",\"approximate\":true");
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_char(out, ']');
}

static void put_fact(tm_buffer *out, const tm_signal *signal, tm_fact_field field)
{
    tm_moment now = {.t = signal->time, .zone = signal->zone}; /* none of the fields below moves with time */
    tm_value_encode(tm_facts_value(signal->facts, field, (tm_slice){NULL, 0}, &now), out);
}

/* A living account that never had a record has an object of nulls: null says that it was erased. */
static void put_facts(tm_buffer *out, const tm_signal *signal)
{
    if (signal->reason == TM_REASON_ERASED) {
        PUT(out, "null");
        return;
    }
    PUT(out, "{\"plan\":");
    put_fact(out, signal, TM_FACT_PLAN);
    PUT(out, ",\"seats\":");
    put_fact(out, signal, TM_FACT_SEATS);
    PUT(out, ",\"mrr\":");
    put_fact(out, signal, TM_FACT_MRR);
    PUT(out, ",\"renewal_at\":");
    put_fact(out, signal, TM_FACT_RENEWAL_AT);
    PUT(out, ",\"tier\":");
    put_fact(out, signal, TM_FACT_TIER);
    PUT(out, ",\"stage\":");
    tm_buffer_append_json_string(out, signal->stage);
    tm_buffer_append_char(out, '}');
}

static void put_health(tm_buffer *out, const tm_health *health)
{
    if (!health->card) {
        PUT(out, "null");
        return;
    }
    tm_buffer_append_char(out, '{');
    tm_health_members_encode(health, out);
    tm_buffer_append_char(out, '}');
}

static tm_slice by_tier(const tm_by_tier *texts, tm_slice tier)
{
    for (uint32_t i = 0; tier.data != NULL && i < texts->choice_count; i++)
        if (tm_slice_equal(texts->choices[i].tier, tier))
            return texts->choices[i].text;
    return texts->otherwise;
}

/* A role of the rule as the owner who has it for the account; null where nobody does. */
static void put_owner(tm_buffer *out, const tm_signal *signal, tm_slice role)
{
    tm_moment now = {.t = signal->time, .zone = signal->zone};
    tm_value owner = role.data != NULL ? tm_facts_value(signal->facts, TM_FACT_OWNER, role, &now) : tm_value_null();
    tm_value_encode(owner, out);
}

static void put_route(tm_buffer *out, const tm_signal *signal)
{
    const tm_route *route = speaking_rule(signal) != NULL ? signal->route : NULL;
    if (route == NULL ||
        (route->queue.data == NULL && route->responsible.data == NULL && route->informed.data == NULL)) {
        PUT(out, "null");
        return;
    }
    PUT(out, "{\"queue\":");
    tm_buffer_append_json_string(out, route->queue);
    PUT(out, ",\"responsible\":");
    put_owner(out, signal, route->responsible);
    PUT(out, ",\"informed\":");
    put_owner(out, signal, route->informed);
    tm_buffer_append_char(out, '}');
}

static void put_input(tm_buffer *out, const tm_signal *signal, const tm_signal_origin *origin)
{
    const tm_account *account = signal->account;
    tm_slice topic = origin->topics[account->input];
    if (account->input_offset < 0 || topic.length == 0) {
        PUT(out, "null");
        return;
    }
    PUT(out, "{\"topic\":");
    tm_buffer_append_json_string(out, topic);
    PUT(out, ",\"partition\":");
    tm_buffer_append_integer(out, origin->partition);
    PUT(out, ",\"offset\":");
    tm_buffer_append_integer(out, account->input_offset);
    tm_buffer_append_char(out, '}');
}

/* The members of `data` before those that the rule says. */
static void put_identity(tm_buffer *out, const tm_signal *signal, tm_slice episode)
{
    PUT(out, "{\"account\":");
    tm_buffer_append_json_string(out, signal->account->key);
    PUT(out, ",\"rule\":");
    tm_buffer_append_json_string(out, signal->rule_name);
    PUT(out, ",\"kind\":\"");
    tm_buffer_append_text(out, tm_kind_name(signal->kind));
    PUT(out, "\",\"state\":\"");
    tm_buffer_append_text(out, tm_signal_state_name(signal->state));
    PUT(out, "\",\"severity\":\"");
    tm_buffer_append_text(out, tm_severity_name(signal->severity));
    PUT(out, "\",\"episode\":");
    tm_buffer_append_json_string(out, episode);
    PUT(out, ",\"sequence\":");
    tm_buffer_append_integer(out, signal->sequence);
    PUT(out, ",\"raised_at\":");
    put_time(out, signal->raised_at);
}

static void put_data(tm_buffer *out, const tm_signal *signal, const tm_signal_origin *origin, tm_slice episode)
{
    const tm_rule *rule = speaking_rule(signal);
    put_identity(out, signal, episode);
    PUT(out, ",\"summary\":");
    put_summary(out, signal);
    PUT(out, ",\"value\":");
    tm_value_encode(signal->value, out);
    PUT(out, ",\"threshold\":");
    tm_value_encode(signal->threshold, out);
    PUT(out, ",\"clear_threshold\":");
    tm_value_encode(signal->clear_threshold, out);
    PUT(out, ",\"evidence\":");
    put_evidence(out, signal);
    PUT(out, ",\"health\":");
    put_health(out, &signal->health);
    PUT(out, ",\"facts\":");
    put_facts(out, signal);
    PUT(out, ",\"play\":");
    tm_buffer_append_json_string(out, rule != NULL && signal->play != NULL ? by_tier(signal->play, signal->tier)
                                                                           : (tm_slice){NULL, 0});
    PUT(out, ",\"route\":");
    put_route(out, signal);
    PUT(out, ",\"rules_version\":");
    tm_buffer_append_integer(out, signal->rules_version);
    if (signal->reason != TM_REASON_NONE) {
        PUT(out, ",\"reason\":\"");
        tm_buffer_append_text(out, tm_reason_name(signal->reason));
        tm_buffer_append_char(out, '"');
    }
    if (signal->acknowledged_at != TM_TIME_NONE) {
        PUT(out, ",\"acknowledged\":{\"at\":");
        put_time(out, signal->acknowledged_at);
        PUT(out, ",\"by\":");
        tm_buffer_append_json_string(out, signal->acknowledged_by);
        tm_buffer_append_char(out, '}');
    }
    PUT(out, ",\"input\":");
    put_input(out, signal, origin);
    tm_buffer_append_char(out, '}');
}

void tm_signal_encode(const tm_signal *signal, const tm_signal_origin *origin, tm_buffer *out)
{
    /* The key as bytes: it goes both into the hash and, escaped, into the text. */
    char key[TM_EPISODE_KEY_MAX];
    char id[TM_SIGNAL_ID_TEXT];
    size_t start = out->length;
    tm_slice episode;
    tm_episode_key(signal->account->key, signal->rule_name, signal->raised_at, out);
    if (out->overflowed)
        return;
    episode =
        (tm_slice){key, (size_t)(put_bytes(key, key + sizeof(key), out->data + start, out->length - start) - key)};
    out->length = start;
    tm_signal_id(episode, signal->state, signal->sequence, id);

    PUT(out, "{\"specversion\":\"1.0\",\"id\":\"");
    tm_buffer_append(out, id, TM_SIGNAL_ID_TEXT - 1);
    PUT(out, "\",\"source\":");
    put_source(out, origin);
    PUT(out, ",\"type\":\"tidemark.");
    tm_buffer_append_text(out, tm_kind_name(signal->kind));
    tm_buffer_append_char(out, '.');
    tm_buffer_append_text(out, tm_signal_state_name(signal->state));
    PUT(out, ".v1\",\"subject\":");
    tm_buffer_append_json_string(out, signal->account->key);
    PUT(out, ",\"time\":");
    put_time(out, signal->time);
    PUT(out, ",\"datacontenttype\":\"application/json\",\"dataschema\":\"urn:tidemark:schema:signal:v1\",\"data\":");
    put_data(out, signal, origin, episode);
    tm_buffer_append_char(out, '}');
}
