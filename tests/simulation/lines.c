/* What passes by, read without the program's own readers. */
#include <string.h>

#include "sim.h"

bool sim_read_number(const char **at, const char *end, const char *name, int64_t *ret_value)
{
    size_t length = strlen(name);
    const char *found = *at < end ? memmem(*at, (size_t)(end - *at), name, length) : NULL;
    if (!found)
        return false;
    const char *c = found + length;
    int64_t value = 0;
    bool negative = c < end && *c == '-';
    c += negative;
    if (end - c >= 4 && memcmp(c, "null", 4) == 0) {
        *ret_value = TM_TIME_NONE;
        *at = c + 4;
        return true;
    }
    const char *digits = c;
    while (c < end && *c >= '0' && *c <= '9')
        value = value * 10 + (*c++ - '0');
    *ret_value = negative ? -value : value;
    *at = c;
    return c > digits;
}

static uint32_t count_of(const char *at, const char *end, const char *text)
{
    uint32_t count = 0;
    size_t length = strlen(text);
    while (at < end && (at = memmem(at, (size_t)(end - at), text, length)) != NULL) {
        count++;
        at += length;
    }
    return count;
}

bool sim_line_read(tm_slice text, sim_line *ret_line)
{
    const char *at = text.data, *end = text.data + text.length;
    sim_line *l = ret_line;
    *l = (sim_line){0};
    if (text.length < 30 || memmem(text.data, 30, "\"kind\":\"commit\"", 15) == NULL)
        return false;
    if (!sim_read_number(&at, end, "\"n\":", &l->n) || !sim_read_number(&at, end, "\"epoch\":", &l->epoch) ||
        !sim_read_number(&at, end, "\"usage\":[", &l->from[0]) || !sim_read_number(&at, end, ",", &l->to[0]) ||
        !sim_read_number(&at, end, "\"accounts\":[", &l->from[1]) || !sim_read_number(&at, end, ",", &l->to[1]) ||
        !sim_read_number(&at, end, "\"clock_begin\":", &l->clock_begin) ||
        !sim_read_number(&at, end, "\"clock_end\":", &l->clock_end))
        return false;
    l->drained = memmem(at, (size_t)(end - at), "\"drained\":true", 14) != NULL;
    if (!sim_read_number(&at, end, "\"t_before\":", &l->t_before) ||
        !sim_read_number(&at, end, "\"t_after\":", &l->t_after))
        return false;
    l->judged = memmem(at, (size_t)(end - at), "\"judged_at_t\":true", 18) != NULL;
    if (!sim_read_number(&at, end, "\"rules_version\":", &l->rules))
        return false;
    const char *erasures = memmem(at, (size_t)(end - at), "\"erasures\":[", 12);
    if (!erasures)
        return false;
    l->signals = count_of(at, erasures, "\"episode\":");
    l->erasures = count_of(erasures, end, "\"at\":");
    return true;
}

bool sim_outbox_journal(tm_slice bytes, tm_slice *ret_value)
{
    tm_reader in;
    tm_reader_init(&in, bytes);
    uint8_t topic = tm_reader_u8(&in);
    (void)tm_reader_signed(&in);
    (void)tm_reader_signed(&in);
    (void)tm_reader_slice(&in, bytes.length);
    *ret_value = tm_reader_slice(&in, bytes.length);
    return !in.failed && topic == TM_TOPIC_JOURNAL;
}
