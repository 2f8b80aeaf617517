/* Zones: the second half of the calendar room. A TZif file (RFC 8536) becomes one sorted list of changes. Its footer,
   the rule for all later times, is unrolled over 400 years, after which the Gregorian calendar (146,097 days, whole
   weeks) repeats; later instants are folded back into them. So every look-up is one binary search. */
#include "tidemark/base/calendar.h"

#include <stdlib.h>
#include <string.h>

enum {
    OFFSET_MIN = -89999, /* seconds; RFC 8536, 3.2 */
    OFFSET_MAX = 93599,
    CHANGES_MAX = 20000, /* of a file; real ones have under 300 */
    RULE_YEARS = 400 + 8 /* a cycle, and some years around it */
};

#define CYCLE (INT64_C(146097) * TM_DAY)
/* Changes before this are history that no instant can reach. */
#define EARLIEST (-INT64_C(10000) * 366 * TM_DAY)

typedef struct change {
    tm_time at;     /* from here on … */
    int64_t offset; /* … so many ms east of UTC */
} change;

struct tm_zone {
    char *name;
    int64_t first_offset; /* ms, before the first change */
    size_t count;
    tm_time fold; /* from fold + CYCLE on, times are folded back; TM_TIME_NEVER without a rule */
    change changes[];
};

static const tm_zone utc = {.name = (char[]){"UTC"}, .fold = TM_TIME_NEVER};

const tm_zone *tm_zone_utc(void)
{
    return &utc;
}

void tm_zone_free(tm_zone *zone)
{
    if (zone != NULL && zone != &utc) {
        free(zone->name);
        free(zone);
    }
}

const char *tm_zone_name(const tm_zone *zone)
{
    return zone->name;
}

/* ---- The footer: a POSIX TZ text with the extensions of RFC 8536, 3.3.1 ---- */

typedef enum rule_form { RULE_MONTH, RULE_JULIAN, RULE_DAY } rule_form;

typedef struct rule_date {
    rule_form form;
    int day; /* Jn: 1 … 365 without leap days; n: 0 … 365; M: day of the week, 0 Sunday */
    int month;
    int week;     /* 1 … 5, 5 the last */
    int32_t time; /* seconds after local midnight, may be negative or beyond a day */
} rule_date;

typedef struct rule {
    int32_t standard; /* seconds east */
    int32_t summer;
    bool has_summer;
    rule_date start;
    rule_date end;
} rule;

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static bool take_char(cursor *text, char c)
{
    if (text->at < text->end && *text->at == c) {
        text->at++;
        return true;
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_number(cursor *text, int most, int *ret_number)
{
    int number = 0;
    const char *first = text->at;
    while (text->at < text->end && is_digit(*text->at) && number <= most) {
        number = number * 10 + (*text->at - '0');
        text->at++;
    }
    *ret_number = number;
    return text->at > first && number <= most;
}

static bool take_name(cursor *text)
{
    const char *first = text->at;
    if (take_char(text, '<')) {
        first = text->at;
        while (text->at < text->end &&
               (is_letter(*text->at) || is_digit(*text->at) || *text->at == '+' || *text->at == '-')) {
            text->at++;
        }
        return text->at - first >= 3 && take_char(text, '>');
    }
    while (text->at < text->end && is_letter(*text->at)) {
        text->at++;
    }
    return text->at - first >= 3;
}

/* [+-]h[hh][:mm[:ss]] in seconds. */
static bool take_time(cursor *text, int most_hours, int32_t *ret_seconds)
{
    int sign = 1;
    int hours;
    int minutes = 0;
    int seconds = 0;
    if (take_char(text, '-')) {
        sign = -1;
    } else {
        (void)take_char(text, '+');
    }
    if (!take_number(text, most_hours, &hours)) {
        return false;
    }
    if (take_char(text, ':')) {
        if (!take_number(text, 59, &minutes) || (take_char(text, ':') && !take_number(text, 59, &seconds))) {
            return false;
        }
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool take_rule_date(cursor *text, rule_date *ret_date)
{
    *ret_date = (rule_date){.time = 2 * 3600};
    if (!take_char(text, ',')) {
        return false;
    }
    if (take_char(text, 'M')) {
        ret_date->form = RULE_MONTH;
        if (!take_number(text, 12, &ret_date->month) || ret_date->month < 1 || !take_char(text, '.') ||
            !take_number(text, 5, &ret_date->week) || ret_date->week < 1 || !take_char(text, '.') ||
            !take_number(text, 6, &ret_date->day)) {
            return false;
        }
    } else if (take_char(text, 'J')) {
        ret_date->form = RULE_JULIAN;
        if (!take_number(text, 365, &ret_date->day) || ret_date->day < 1) {
            return false;
        }
    } else {
        ret_date->form = RULE_DAY;
        if (!take_number(text, 365, &ret_date->day)) {
            return false;
        }
    }
    return !take_char(text, '/') || take_time(text, 167, &ret_date->time);
}

static bool parse_rule(cursor text, rule *ret_rule)
{
    int32_t west;
    *ret_rule = (rule){0};
    if (!take_name(&text) || !take_time(&text, 24, &west)) {
        return false;
    }
    ret_rule->standard = -west;
    if (text.at == text.end) {
        return true;
    }
    ret_rule->has_summer = true;
    ret_rule->summer = ret_rule->standard + 3600;
    if (!take_name(&text)) {
        return false;
    }
    if (text.at < text.end && *text.at != ',') {
        if (!take_time(&text, 24, &west)) {
            return false;
        }
        ret_rule->summer = -west;
    }
    return take_rule_date(&text, &ret_rule->start) && take_rule_date(&text, &ret_rule->end) && text.at == text.end;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days since 1970 of January 1st; year 1 or later. */
static int64_t year_start(int year)
{
    int64_t before = year - 1;
    return before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

/* The local midnight (days since 1970) on which a rule's date falls in a year. */
static int64_t rule_day(const rule_date *date, int year)
{
    static const int16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    static const int8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t start = year_start(year);
    int64_t first;
    int64_t day;
    int leap = is_leap(year) ? 1 : 0;
    switch (date->form) {
    case RULE_JULIAN:
        return start + date->day - 1 + (date->day > 59 ? leap : 0);
    case RULE_DAY:
        return start + date->day;
    case RULE_MONTH:
        break;
    }
    first = start + before[date->month - 1] + (date->month > 2 ? leap : 0);
    /* 1970-01-01 was a Thursday (4). Years before 1968 do not come here, so the sum is positive with 7 × 10^5 added. */
    day = first + (date->day - (first + 4 + 700000) % 7 + 7) % 7 + (int64_t)(date->week - 1) * 7;
    if (day >= first + lengths[date->month - 1] + (date->month == 2 ? leap : 0)) {
        day -= 7;
    }
    return day;
}

/* Appends a change, keeping the list sorted; of two at one instant the later one is in force. */
static void insert_change(tm_zone *zone, size_t floor, tm_time at, int64_t offset)
{
    size_t slot = zone->count;
    while (slot > floor && zone->changes[slot - 1].at > at) {
        slot--;
    }
    if (slot > floor && zone->changes[slot - 1].at == at) {
        zone->changes[slot - 1].offset = offset;
        return;
    }
    memmove(&zone->changes[slot + 1], &zone->changes[slot], (zone->count - slot) * sizeof(change));
    zone->changes[slot] = (change){at, offset};
    zone->count++;
}

static int year_of(tm_time t)
{
    int year = 1970 + (int)(t / (INT64_C(31556952) * TM_SECOND)); /* the mean year: at most one off */
    while (year_start(year + 1) * TM_DAY <= t) {
        year++;
    }
    while (year_start(year) * TM_DAY > t) {
        year--;
    }
    return year;
}

static void unroll_rule(tm_zone *zone, const rule *footer)
{
    size_t floor = zone->count;
    tm_time last = zone->count > 0 ? zone->changes[zone->count - 1].at : EARLIEST;
    int year = last < 0 ? 1969 : year_of(last);
    if (!footer->has_summer) {
        if (zone->count == 0) {
            zone->first_offset = (int64_t)footer->standard * TM_SECOND;
        }
        return; /* otherwise the last change says it already */
    }
    if (floor == 0) {
        zone->first_offset = (int64_t)footer->standard * TM_SECOND;
    }
    for (int y = year - 1; y < year - 1 + RULE_YEARS; y++) {
        tm_time start = (rule_day(&footer->start, y) * 86400 + footer->start.time - footer->standard) * TM_SECOND;
        tm_time end = (rule_day(&footer->end, y) * 86400 + footer->end.time - footer->summer) * TM_SECOND;
        bool start_first = start < end;
        for (int i = 0; i < 2; i++) {
            bool is_start = (i == 0) == start_first;
            tm_time at = is_start ? start : end;
            if (at > last) {
                insert_change(zone, floor, at, (int64_t)(is_start ? footer->summer : footer->standard) * TM_SECOND);
            }
        }
    }
    zone->fold = year_start(year + 3) * TM_DAY;
}

/* ---- The file ---- */

typedef struct header {
    char version;
    uint32_t isut, isstd, leap, times, types, chars;
} header;

static uint32_t big32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t big64(const unsigned char *at)
{
    return (int64_t)((uint64_t)big32(at) << 32 | big32(at + 4));
}

static bool read_header(tm_reader *file, header *ret_header)
{
    tm_slice bytes = tm_reader_bytes(file, 44);
    const unsigned char *at = (const unsigned char *)bytes.data;
    if (at == NULL || memcmp(at, "TZif", 4) != 0) {
        return false;
    }
    *ret_header = (header){(char)at[4],    big32(at + 20), big32(at + 24), big32(at + 28),
                           big32(at + 32), big32(at + 36), big32(at + 40)};
    return true;
}

/* Bytes of a data block whose times have `width` bytes; at most 2^32 × 20, so 64 bits hold it. */
static uint64_t block_size(const header *counts, uint64_t width)
{
    return counts->times * (width + 1) + counts->types * UINT64_C(6) + counts->chars + counts->leap * (width + 4) +
           counts->isstd + counts->isut;
}

static tm_status read_changes(tm_zone *zone, const header *counts, const unsigned char *block, tm_error *error)
{
    const unsigned char *indexes = block + (size_t)counts->times * 8;
    const unsigned char *types = indexes + counts->times;
    int64_t previous = INT64_MIN;
    for (uint32_t i = 0; i < counts->types; i++) {
        int32_t offset = (int32_t)big32(types + (size_t)i * 6);
        if (offset < OFFSET_MIN || offset > OFFSET_MAX) {
            return tm_fail(error, TM_REJECT, "an offset of %d s from UTC", offset);
        }
    }
    zone->first_offset = (int32_t)big32(types) * TM_SECOND;
    for (uint32_t i = 0; i < counts->times; i++) {
        int64_t at = big64(block + (size_t)i * 8);
        int64_t offset;
        if (indexes[i] >= counts->types || (i > 0 && at <= previous)) {
            return tm_fail(error, TM_REJECT, "the changes are out of order or of no type");
        }
        previous = at;
        offset = (int32_t)big32(types + (size_t)indexes[i] * 6) * TM_SECOND;
        if (at < EARLIEST / TM_SECOND) {
            zone->first_offset = offset;
        } else if (at <= TM_TIME_MAX / TM_SECOND) {
            zone->changes[zone->count++] = (change){at * TM_SECOND, offset};
        }
    }
    return TM_OK;
}

tm_status tm_zone_parse(tm_slice tzif, const char *name, tm_zone **ret_zone, tm_error *error)
{
    tm_reader file;
    header counts;
    tm_slice block;
    tm_slice footer;
    const char *stop = NULL;
    rule later = {0};
    tm_zone *zone = NULL;
    tm_status status = TM_REJECT;
    tm_reader_init(&file, tzif);
    if (!read_header(&file, &counts) || counts.version < '2') {
        (void)tm_fail(error, TM_REJECT, "no TZif file of version 2 or later");
        goto out;
    }
    (void)tm_reader_bytes(&file, (size_t)block_size(&counts, 4));
    if (file.failed || !read_header(&file, &counts)) {
        (void)tm_fail(error, TM_REJECT, "the TZif file is cut short");
        goto out;
    }
    block = tm_reader_bytes(&file, (size_t)block_size(&counts, 8));
    if (file.failed) {
        (void)tm_fail(error, TM_REJECT, "the TZif file is cut short");
        goto out;
    }
    if (counts.types == 0 || counts.types > 256 || counts.times > CHANGES_MAX) {
        (void)tm_fail(error, TM_REJECT, "%u types and %u changes of local time", counts.types, counts.times);
        goto out;
    }
    if (counts.leap > 0) {
        (void)tm_fail(error, TM_REJECT, "the zone counts leap seconds");
        tm_error_hint(error, "use the file of the same name outside the folder 'right'");
        goto out;
    }
    footer = tm_reader_bytes(&file, (size_t)(file.end - file.at));
    if (footer.length < 2 || footer.data[0] != '\n' ||
        (stop = memchr(footer.data + 1, '\n', footer.length - 1)) == NULL) {
        (void)tm_fail(error, TM_REJECT, "the TZif file has no footer");
        goto out;
    }
    if (stop > footer.data + 1 && !parse_rule((cursor){footer.data + 1, stop}, &later)) {
        (void)tm_fail(error, TM_REJECT, "the TZif file's rule for later times cannot be read");
        goto out;
    }
    zone = calloc(1, sizeof(*zone) + (counts.times + (size_t)2 * RULE_YEARS) * sizeof(change));
    if (zone == NULL || (zone->name = strdup(name)) == NULL) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    zone->fold = TM_TIME_NEVER;
    status = read_changes(zone, &counts, (const unsigned char *)block.data, error);
    if (status == TM_OK) {
        if (stop > footer.data + 1) {
            unroll_rule(zone, &later);
        }
        *ret_zone = zone;
        zone = NULL;
    }
out:
    if (status != TM_OK) {
        tm_error_where(error, "%s", name);
    }
    tm_zone_free(zone);
    return status;
}

/* ---- Look-ups ---- */

/* `t` as a time within the list, and by how much it was moved. */
static tm_time folded(const tm_zone *zone, tm_time t, int64_t *ret_moved)
{
    *ret_moved = 0;
    if (zone->fold != TM_TIME_NEVER && t >= zone->fold + CYCLE) {
        *ret_moved = (t - zone->fold) / CYCLE * CYCLE;
    }
    return t - *ret_moved;
}

/* How many changes are at or before `t`. */
static size_t segment_of(const tm_zone *zone, tm_time t)
{
    size_t low = 0;
    size_t high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int64_t segment_offset(const tm_zone *zone, size_t segment)
{
    return segment > 0 ? zone->changes[segment - 1].offset : zone->first_offset;
}

int32_t tm_zone_offset(const tm_zone *zone, tm_time t)
{
    int64_t moved;
    tm_time within = folded(zone, t, &moved);
    return (int32_t)(segment_offset(zone, segment_of(zone, within)) / TM_SECOND);
}

/* Keeps sums with an offset inside 64 bits, and days inside 32: beyond the valid instants nothing is promised but that.
 */
static tm_time clamped(tm_time t)
{
    const tm_time bound = (INT64_MAX / TM_DAY / 64) * TM_DAY;
    if (t > bound) {
        return bound;
    }
    return t < -bound ? -bound : t;
}

int32_t tm_zone_day(const tm_zone *zone, tm_time t)
{
    tm_day_span span = {0};
    return tm_zone_day_cached(zone, t, &span);
}

int32_t tm_zone_day_cached(const tm_zone *zone, tm_time t, tm_day_span *span)
{
    int64_t moved;
    tm_time within;
    size_t segment;
    int64_t offset;
    tm_time midnight;
    if (t >= span->start && t < span->end) {
        return span->day;
    }
    within = folded(zone, clamped(t), &moved);
    segment = segment_of(zone, within);
    offset = segment_offset(zone, segment);
    midnight = tm_time_floor(within + offset, TM_DAY) - offset;
    /* The span never reaches over a change: beyond it the day may be another, even an earlier one. */
    span->start = midnight;
    if (segment > 0 && zone->changes[segment - 1].at > midnight) {
        span->start = zone->changes[segment - 1].at;
    }
    span->end = midnight + TM_DAY;
    if (segment < zone->count && zone->changes[segment].at < span->end) {
        span->end = zone->changes[segment].at;
    }
    span->start += moved;
    span->end += moved;
    span->day = (int32_t)((midnight + offset + moved) / TM_DAY);
    return span->day;
}

tm_time tm_zone_day_start(const tm_zone *zone, int32_t day)
{
    int64_t moved;
    tm_time midnight = (tm_time)day * TM_DAY; /* as if local time were UTC */
    tm_time from = folded(zone, midnight - OFFSET_MAX * TM_SECOND, &moved);
    midnight -= moved;
    for (size_t segment = segment_of(zone, from);; segment++) {
        tm_time at = midnight - segment_offset(zone, segment);
        if (segment > 0 && zone->changes[segment - 1].at > at) {
            at = zone->changes[segment - 1].at; /* the change skipped the midnight */
        }
        if (segment == zone->count || at < zone->changes[segment].at) {
            return at + moved;
        }
    }
}
