#include "tidemark/base/calendar.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ZONES "/usr/share/zoneinfo"

/* The bytes of a file of the zone data base; an empty slice when it is not there. Freed by the caller. */
static tm_slice file_of(const char *name)
{
    char path[512];
    char *bytes = malloc(1 << 20);
    size_t length = 0;
    snprintf(path, sizeof(path), "%s/%s", ZONES, name);
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        length = fread(bytes, 1, 1 << 20, file);
        fclose(file);
    }
    return (tm_slice){bytes, length};
}

static tm_zone *zone_of(const char *name)
{
    tm_zone *zone = NULL;
    tm_error error;
    tm_slice bytes = file_of(name);
    tm_status status = tm_zone_parse(bytes, name, &zone, &error);
    cr_assert_eq(status, TM_OK, "%s: %s", name, status != TM_OK ? error.what : "");
    free((void *)(uintptr_t)bytes.data);
    return zone;
}

static void put_big(unsigned char **at, unsigned bytes, uint64_t value)
{
    while (bytes > 0) {
        *(*at)++ = (unsigned char)(value >> (8 * --bytes));
    }
}

/* A version 2 file: `count` changes at `times` (seconds), taking turns between two types, then the footer. */
static size_t build_file(unsigned char *file, const int64_t *times, unsigned count, int32_t first, int32_t second,
                         const char *footer)
{
    unsigned char *at = file;
    for (int block = 0; block < 2; block++) {
        unsigned here = block == 0 ? 0 : count;
        memcpy(at, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        at += 20;
        put_big(&at, 4, 0);
        put_big(&at, 4, 0);
        put_big(&at, 4, 0);
        put_big(&at, 4, here);
        put_big(&at, 4, 2);
        put_big(&at, 4, 4);
        for (unsigned i = 0; i < here; i++) {
            put_big(&at, 8, (uint64_t)times[i]);
        }
        for (unsigned i = 0; i < here; i++) {
            put_big(&at, 1, (i + 1) % 2);
        }
        put_big(&at, 4, (uint32_t)first);
        put_big(&at, 2, 0);
        put_big(&at, 4, (uint32_t)second);
        put_big(&at, 2, 0);
        memcpy(at, "AAA", 4);
        at += 4;
    }
    return (size_t)(at - file) + (size_t)snprintf((char *)at, 64, "\n%s\n", footer);
}

static tm_status parse_built(const int64_t *times, unsigned count, int32_t first, int32_t second, const char *footer,
                             tm_zone **ret_zone)
{
    unsigned char file[2048];
    tm_error error;
    size_t length = build_file(file, times, count, first, second, footer);
    *ret_zone = NULL;
    return tm_zone_parse((tm_slice){(const char *)file, length}, "built", ret_zone, &error);
}

Test(calendar, utc)
{
    const tm_zone *utc = tm_zone_utc();
    cr_assert_str_eq(tm_zone_name(utc), "UTC");
    cr_assert_eq(tm_zone_offset(utc, 0), 0);
    cr_assert_eq(tm_zone_day(utc, TM_DAY - 1), 0);
    cr_assert_eq(tm_zone_day(utc, TM_DAY), 1);
    cr_assert_eq(tm_zone_day(utc, -1), -1);
    cr_assert_eq(tm_zone_day_start(utc, 19845), 19845 * TM_DAY);
    tm_zone_free(NULL);
}

/* Everything Python's zoneinfo says about the same files and rules: offsets, days and day starts around all changes. */
Test(calendar, agrees_with_pythons_zoneinfo)
{
    char line[256];
    tm_zone *zone = NULL;
    tm_day_span span = {0};
    long compared = 0;
    int zones = 0;
    FILE *judge = popen("python3 " TIDEMARK_SOURCE_DIR "/tests/support/zone_table.py " ZONES, "r");
    cr_assert_not_null(judge);
    while (fgets(line, sizeof(line), judge) != NULL) {
        char about[200];
        int64_t a;
        int64_t b;
        if (sscanf(line, "zone %199s", about) == 1) {
            tm_zone_free(zone);
            zone = zone_of(about);
            span = (tm_day_span){0};
            zones++;
            cr_assert_str_eq(tm_zone_name(zone), about);
        } else if (sscanf(line, "footer %199s", about) == 1) {
            tm_zone_free(zone);
            span = (tm_day_span){0};
            cr_assert_eq(parse_built(NULL, 0, 0, 0, about, &zone), TM_OK, "%s", about);
        } else if (sscanf(line, "o %" SCNd64 " %" SCNd64, &a, &b) == 2) {
            cr_assert_eq(tm_zone_offset(zone, a * 1000), b, "%s: %s", tm_zone_name(zone), line);
            cr_assert_eq(tm_zone_offset(zone, a * 1000 + 999), b, "%s: %s", tm_zone_name(zone), line);
        } else if (sscanf(line, "d %" SCNd64 " %" SCNd64, &a, &b) == 2) {
            cr_assert_eq(tm_zone_day(zone, a * 1000), b, "%s: %s", tm_zone_name(zone), line);
            cr_assert_eq(tm_zone_day_cached(zone, a * 1000, &span), b, "%s: %s", tm_zone_name(zone), line);
            cr_assert(span.start <= a * 1000 && a * 1000 < span.end && span.day == b);
        } else if (sscanf(line, "s %" SCNd64 " %" SCNd64, &a, &b) == 2) {
            cr_assert_eq(tm_zone_day_start(zone, (int32_t)a), b * 1000, "%s: %s is %" PRId64, tm_zone_name(zone), line,
                         tm_zone_day_start(zone, (int32_t)a) / 1000);
        } else {
            cr_assert_fail("what is '%s'?", line);
        }
        compared++;
    }
    cr_assert_eq(pclose(judge), 0, "python3 with zoneinfo (3.9 or later) is needed");
    cr_assert_geq(zones, 14);
    cr_assert_gt(compared, 20000);
    tm_zone_free(zone);
}

/* The form n counts from 0 with leap days. Several versions of Python's zoneinfo are a day off here, so the C library
   is the judge. */
Test(calendar, agrees_with_the_c_library_on_days_from_zero)
{
    static const char *const rules[] = {"AAA-3BBB-4:30,59/2,300", "AAA5BBB,10/0,364/1", "AAA0BBB,J59/1,J60/2",
                                        "AAA0BBB,58,60"};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tm_zone *zone;
        cr_assert_eq(parse_built(NULL, 0, 0, 0, rules[i], &zone), TM_OK);
        cr_assert_eq(setenv("TZ", rules[i], 1), 0);
        tzset();
        for (time_t t = 1577836800; t < 1577836800 + 6 * 365 * 86400; t += 1800) {
            struct tm parts;
            localtime_r(&t, &parts);
            cr_assert_eq(tm_zone_offset(zone, (tm_time)t * 1000), parts.tm_gmtoff, "%s at %ld", rules[i], (long)t);
        }
        tm_zone_free(zone);
    }
}

/* 2011-12-30 never was in Apia: its start is the next day's. */
Test(calendar, a_skipped_day_is_empty)
{
    tm_zone *apia = zone_of("Pacific/Apia");
    int32_t skipped;
    tm_time change;
    cr_assert_eq(tm_day_parse(TM_SLICE_LITERAL("2011-12-30"), &skipped), TM_OK);
    cr_assert_eq(tm_time_parse(TM_SLICE_LITERAL("2011-12-30T10:00:00Z"), &change), TM_OK);
    cr_assert_eq(tm_zone_day_start(apia, skipped), change);
    cr_assert_eq(tm_zone_day_start(apia, skipped + 1), change);
    cr_assert_eq(tm_zone_day(apia, change - 1), skipped - 1);
    cr_assert_eq(tm_zone_day(apia, change), skipped + 1);
    tm_zone_free(apia);
}

/* The clock falls back over midnight: the evening's day comes twice, and the remembered span must not hide it. */
Test(calendar, a_day_may_come_back)
{
    const int64_t back =
        INT64_C(1000000) * 86400 / 1000000 * 86400 / 86400 + 20000 * INT64_C(86400); /* local 00:01 of day 20001 */
    const int64_t change[] = {back + 60};
    tm_zone *zone;
    tm_day_span span = {0};
    cr_assert_eq(parse_built(change, 1, 0, -3600, "", &zone), TM_OK);
    int32_t day = tm_zone_day(zone, back * 1000);
    cr_assert_eq(tm_zone_day_cached(zone, (back - 1) * 1000, &span), day - 1);
    cr_assert_eq(tm_zone_day_cached(zone, back * 1000, &span), day);
    cr_assert_eq(tm_zone_day_cached(zone, (back + 59) * 1000, &span), day);
    cr_assert_eq(tm_zone_day_cached(zone, (back + 60) * 1000, &span), day - 1);
    cr_assert_eq(tm_zone_day_cached(zone, (back + 3599) * 1000, &span), day - 1);
    cr_assert_eq(tm_zone_day_cached(zone, (back + 3600) * 1000, &span), day);
    cr_assert_eq(tm_zone_day_cached(zone, (back + 3599) * 1000, &span), day - 1); /* and backwards */
    cr_assert_eq(tm_zone_day_cached(zone, (back + 59) * 1000, &span), day);
    cr_assert_eq(tm_zone_day_cached(zone, (back - 1) * 1000, &span), day - 1);
    cr_assert_eq(tm_zone_day_start(zone, day), back * 1000);
    tm_zone_free(zone);
}

/* Random instants in random order: with and without the remembered span. */
Test(calendar, remembering_changes_nothing)
{
    static const char *const names[] = {"Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"};
    uint64_t state = 99;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        tm_zone *zone = zone_of(names[i]);
        tm_day_span span = {0};
        tm_time t = 0;
        for (int round = 0; round < 50000; round++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            t = round % 40 == 0 ? (tm_time)(state >> 12) % TM_TIME_MAX : t + (tm_time)(state >> 40) % (3 * TM_HOUR);
            cr_assert_eq(tm_zone_day_cached(zone, t, &span), tm_zone_day(zone, t));
            cr_assert_leq(tm_zone_day_start(zone, tm_zone_day(zone, t)), t);
        }
        tm_zone_free(zone);
    }
}

Test(calendar, extremes_do_no_harm)
{
    tm_zone *zone = zone_of("America/New_York");
    tm_day_span span = {0};
    cr_assert_eq(tm_zone_offset(zone, TM_TIME_NONE), -17762); /* local mean time */
    (void)tm_zone_offset(zone, TM_TIME_NEVER);
    cr_assert_gt(tm_zone_day(zone, TM_TIME_NEVER), 1000000);
    cr_assert_lt(tm_zone_day_cached(zone, TM_TIME_NONE, &span), -1000000);
    (void)tm_zone_day_start(zone, INT32_MAX);
    (void)tm_zone_day_start(zone, INT32_MIN);
    tm_zone_free(zone);
}

Test(calendar, changes_far_outside_are_dropped)
{
    const int64_t times[] = {INT64_MIN, -(INT64_C(1) << 59), 0, INT64_C(253402300800), INT64_MAX};
    tm_zone *zone;
    cr_assert_eq(parse_built(times, 5, 100, 200, "AAA0BBB,M3.5.0,M10.5.0", &zone), TM_OK);
    cr_assert_eq(tm_zone_offset(zone, -TM_DAY), 100);
    cr_assert_eq(tm_zone_offset(zone, 0), 200);
    tm_zone_free(zone);
}

/* The last change of the file lies at a year's beginning: the rule takes over at once. */
Test(calendar, the_rule_follows_the_last_change)
{
    const int64_t times[] = {INT64_C(365) * 86400}; /* 1971-01-01 */
    tm_zone *zone;
    cr_assert_eq(parse_built(times, 1, 3600, 0, "AAA0BBB,J91/0,J274/0", &zone), TM_OK);
    cr_assert_eq(tm_zone_offset(zone, 365 * TM_DAY - 1), 3600);
    cr_assert_eq(tm_zone_offset(zone, 365 * TM_DAY), 0);
    cr_assert_eq(tm_zone_offset(zone, (365 + 90) * TM_DAY - 1), 0); /* 1971-04-01 */
    cr_assert_eq(tm_zone_offset(zone, (365 + 90) * TM_DAY), 3600);
    cr_assert_eq(tm_zone_offset(zone, (365 + 273) * TM_DAY - TM_HOUR - 1), 3600); /* 1971-10-01 */
    cr_assert_eq(tm_zone_offset(zone, (365 + 273) * TM_DAY - TM_HOUR), 0);
    tm_zone_free(zone);
}

/* A year's end that falls after the next year's start: the changes are still in order. */
Test(calendar, a_rule_may_reach_over_the_new_year)
{
    tm_zone *zone;
    cr_assert_eq(parse_built(NULL, 0, 0, 0, "AAA0BBB,M1.1.1/-160,M12.5.6/160", &zone), TM_OK);
    static const struct {
        const char *at;
        int32_t offset;
    } cases[] = {
        {"2024-01-05T14:59:59Z", 3600}, /* 2024's start was 2023-12-25T08:00Z, */
        {"2024-01-05T15:00:00Z", 0},    /* 2023's end comes after it */
        {"2024-12-30T07:59:59Z", 0},
        {"2024-12-30T08:00:00Z", 3600},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_time t;
        cr_assert_eq(tm_time_parse(tm_slice_of(cases[i].at), &t), TM_OK);
        cr_assert_eq(tm_zone_offset(zone, t), cases[i].offset, "%s", cases[i].at);
    }
    for (tm_time t = 0; t < 4000 * TM_DAY; t += TM_HOUR) {
        int32_t day = tm_zone_day(zone, t);
        cr_assert_leq(tm_zone_day_start(zone, day), t);
        cr_assert_geq(tm_zone_day(zone, tm_zone_day_start(zone, day)), day);
    }
    tm_zone_free(zone);
}

Test(calendar, refuses_what_is_no_zone)
{
    static const char *const footers[] = {"AA0",
                                          "AAA",
                                          "AAA25",
                                          "AAA0:60",
                                          "<AA>0",
                                          "<AAA0",
                                          "AAA0BBB",
                                          "AAA0BB,1,2",
                                          "AAA0BBB,M3.5.0",
                                          "AAA0BBB,M13.1.0,M3.1.0",
                                          "AAA0BBB,M0.1.0,M3.1.0",
                                          "AAA0BBB,M3.6.0,M4.1.0",
                                          "AAA0BBB,M3.0.0,M4.1.0",
                                          "AAA0BBB,M3.1.7,M4.1.0",
                                          "AAA0BBB,J0,J1",
                                          "AAA0BBB,J366,J1",
                                          "AAA0BBB,366,1",
                                          "AAA0BBB,1/168,2",
                                          "AAA0BBB,1,2x",
                                          "AAA0BBB,M3,M4.1.0",
                                          "AAA0BBB,M3.1,M4.1.0",
                                          "AAA0BBB,1,2,3",
                                          "AAA0x",
                                          "AAA0BBB-,1,2",
                                          "AAA0:0:60",
                                          "AAA0BBB,x,2"};
    const int64_t unordered[] = {5, 5};
    const int64_t one[] = {5};
    tm_zone *zone = NULL;
    tm_error error;
    for (size_t i = 0; i < sizeof(footers) / sizeof(footers[0]); i++) {
        cr_assert_eq(parse_built(NULL, 0, 0, 0, footers[i], &zone), TM_REJECT, "%s", footers[i]);
        cr_assert_null(zone);
    }
    cr_assert_eq(parse_built(unordered, 2, 0, 0, "", &zone), TM_REJECT);
    cr_assert_eq(parse_built(one, 1, 0, 93600, "", &zone), TM_REJECT);
    cr_assert_eq(parse_built(one, 1, -90000, 0, "", &zone), TM_REJECT);
    cr_assert_eq(tm_zone_parse(TM_SLICE_LITERAL("hello"), "greeting", &zone, &error), TM_REJECT);
    cr_assert_str_eq(error.where, "greeting");
    cr_assert_eq(tm_zone_parse((tm_slice){NULL, 0}, "nothing", &zone, NULL), TM_REJECT);
    unsigned char file[2048];
    size_t length = build_file(file, one, 1, 0, 3600, "");
    tm_slice slice = {(const char *)file, length};
    file[44 + 16 + 44 + 8] = 2; /* a type there is not */
    cr_assert_eq(tm_zone_parse(slice, "x", &zone, &error), TM_REJECT);
    length = build_file(file, one, 1, 0, 3600, "");
    file[44 + 16 + 39] = 0; /* no type at all; the twelve bytes are names then */
    file[44 + 16 + 43] = 16;
    cr_assert_eq(tm_zone_parse(slice, "no types", &zone, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "0 types and 1 changes of local time");
    length = build_file(file, one, 1, 0, 3600, "");
    file[4] = 0;
    cr_assert_eq(tm_zone_parse(slice, "version 1", &zone, &error), TM_REJECT);
    file[4] = '2';
    cr_assert_eq(tm_zone_parse(slice, "as it was", &zone, &error), TM_OK);
    tm_zone_free(zone);
    zone = NULL;
    slice = file_of("right/UTC");
    if (slice.length > 0) {
        cr_assert_eq(tm_zone_parse(slice, "right/UTC", &zone, &error), TM_REJECT);
        cr_assert_neq(error.hint[0], '\0');
    }
    free((void *)(uintptr_t)slice.data);
}

/* Cut anywhere, and with random bytes changed: refused or usable, never worse. */
Test(calendar, hostile_files)
{
    tm_slice good = file_of("Africa/Casablanca");
    uint64_t state = 1234567;
    tm_error error;
    for (size_t length = 0; length < good.length; length++) {
        tm_zone *zone = NULL;
        char *exact = malloc(length > 0 ? length : 1);
        memcpy(exact, good.data, length);
        cr_assert_eq(tm_zone_parse((tm_slice){exact, length}, "cut", &zone, &error), TM_REJECT, "at %zu", length);
        free(exact);
    }
    for (int round = 0; round < 20000; round++) {
        tm_zone *zone = NULL;
        char *bytes = malloc(good.length);
        memcpy(bytes, good.data, good.length);
        for (int i = 0; i < 1 + round % 4; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t where = round % 2 == 0 ? good.length - 1 - (state >> 33) % 40 : (state >> 33) % good.length;
            bytes[where] = (char)(state >> 25);
        }
        if (tm_zone_parse((tm_slice){bytes, good.length}, "changed", &zone, &error) == TM_OK) {
            for (tm_time t = -TM_DAY; t < TM_TIME_MAX; t = t * 2 + 5 * TM_DAY) {
                int32_t day = tm_zone_day(zone, t);
                cr_assert_leq(tm_zone_day_start(zone, day), t);
            }
            tm_zone_free(zone);
        }
        free(bytes);
    }
    free((void *)(uintptr_t)good.data);
}

Test(calendar, hours_floors_and_ceilings)
{
    cr_assert_eq(tm_hour_of(0), 0);
    cr_assert_eq(tm_hour_of(TM_HOUR - 1), 0);
    cr_assert_eq(tm_hour_of(TM_HOUR), 1);
    cr_assert_eq(tm_hour_of(-1), -1);
    cr_assert_eq(tm_hour_of(-TM_HOUR), -1);
    cr_assert_eq(tm_time_floor(61000, TM_MINUTE), 60000);
    cr_assert_eq(tm_time_floor(60000, TM_MINUTE), 60000);
    cr_assert_eq(tm_time_floor(-1, TM_MINUTE), -60000);
    cr_assert_eq(tm_time_ceil(60001, TM_MINUTE), 120000);
    cr_assert_eq(tm_time_ceil(60000, TM_MINUTE), 60000);
    cr_assert_eq(tm_time_ceil(-1, TM_MINUTE), 0);
    cr_assert_eq(tm_time_ceil(-60001, TM_MINUTE), -60000);
    cr_assert_eq(tm_time_floor(TM_TIME_NONE, TM_MINUTE), TM_TIME_NONE);
    cr_assert_eq(tm_time_ceil(TM_TIME_NONE, TM_MINUTE), TM_TIME_NONE);
    cr_assert_eq(tm_time_floor(TM_TIME_NEVER, TM_MINUTE), TM_TIME_NEVER);
    cr_assert_eq(tm_time_ceil(TM_TIME_NEVER, TM_MINUTE), TM_TIME_NEVER);
}

/* Every day of 1970 to 9999 there and back, its parts as the C library's gmtime has them for a sample. */
Test(calendar, every_date_reads_back)
{
    char text[TM_TIME_TEXT];
    int32_t last = (int32_t)(TM_TIME_MAX / TM_DAY);
    for (int32_t day = 0; day <= last; day++) {
        int32_t read = -1;
        tm_day_format(day, text);
        cr_assert_eq(tm_day_parse(tm_slice_of(text), &read), TM_OK);
        cr_assert_eq(read, day);
        if (day % 13 == 0 || day % 1461 < 3) {
            char judge[64];
            struct tm parts;
            time_t seconds = (time_t)day * 86400;
            gmtime_r(&seconds, &parts);
            snprintf(judge, sizeof(judge), "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
            cr_assert_str_eq(text, judge);
        }
    }
    tm_day_format(-1, text);
    cr_assert_str_eq(text, "1970-01-01");
    tm_day_format(INT32_MAX, text);
    cr_assert_str_eq(text, "9999-12-31");
}

Test(calendar, formats_times)
{
    char text[TM_TIME_TEXT];
    tm_time t;
    cr_assert_eq(tm_time_parse(TM_SLICE_LITERAL("2024-05-02T14:37:21.5Z"), &t), TM_OK);
    tm_time_format(t, text);
    cr_assert_str_eq(text, "2024-05-02T14:37:21.500Z");
    tm_time_format(TM_TIME_MAX, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    tm_time_format(TM_TIME_NEVER, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    tm_time_format(TM_TIME_NONE, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
}

Test(calendar, reads_rfc3339)
{
    static const struct {
        const char *text;
        tm_time time;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2024-05-02T14:37:21.5+02:00", 1714653441500},
        {"2024-05-02T12:37:21.5Z", 1714653441500},
        {"2024-05-02t12:37:21.500z", 1714653441500},
        {"2024-05-02 12:37:21.500999999999999999999999Z", 1714653441500},
        {"2024-05-02T12:37:21.4999Z", 1714653441499},
        {"2024-05-02T12:37:21-00:00", 1714653441000},
        {"2024-05-03T12:36:21+23:59", 1714653441000},
        {"2024-05-01T12:38:21-23:59", 1714653441000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2016-12-31T23:59:60Z", 1483228799999},
        {"2016-12-31T23:59:60.25Z", 1483228799999},
        {"2017-01-01T08:59:60+09:00", 1483228799999},
        {"1969-12-31T23:00:00-01:00", 0},
        {"9999-12-31T23:59:59.999Z", TM_TIME_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_time t = -1;
        cr_assert_eq(tm_time_parse(tm_slice_of(cases[i].text), &t), TM_OK, "%s", cases[i].text);
        cr_assert_eq(t, cases[i].time, "%s is %" PRId64, cases[i].text, t);
    }
}

Test(calendar, refuses_what_is_not_rfc3339)
{
    static const char *const cases[] = {"",
                                        "2024-05-02",
                                        "2024-05-02T14:37:21",
                                        "2024-05-02T14:37Z",
                                        "2024-05-02T14:37:21.Z",
                                        "2024-05-02T14:37:21.5",
                                        "2024-05-02T14:37:21,5Z",
                                        "2024-05-02T14:37:21Zx",
                                        "2024-05-02T14:37:21+2:00",
                                        "2024-05-02T14:37:21+0200",
                                        "2024-05-02T14:37:21+02:00x",
                                        "2024-05-02T14:37:21+24:00",
                                        "2024-05-02T14:37:21+02:60",
                                        "2024-05-02T14:37:21+0a:00",
                                        "2024-05-02T14:37:21*02:00",
                                        "2023-02-29T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2024-04-31T00:00:00Z",
                                        "2024-00-01T00:00:00Z",
                                        "2024-13-01T00:00:00Z",
                                        "2024-01-00T00:00:00Z",
                                        "2024-01-32T00:00:00Z",
                                        "2024-01-01T24:00:00Z",
                                        "2024-01-01T00:60:00Z",
                                        "2024-01-01T00:00:61Z",
                                        "2024-01-01T12:00:60Z",
                                        "2024-01-01T23:59:60+01:00",
                                        "1969-12-31T23:59:59Z",
                                        "1970-01-01T00:00:00+01:00",
                                        "9999-12-31T23:59:59-01:00",
                                        "2024-05-02_14:37:21Z",
                                        "2024/05/02T14:37:21Z",
                                        "2024-05-02T14-37-21Z",
                                        "20x4-05-02T14:37:21Z",
                                        " 2024-05-02T14:37:21Z",
                                        "+024-05-02T14:37:21Z",
                                        "0000-00-00T00:00:00Z"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_time t = 42;
        char *exact = strdup(cases[i]); /* so that a read beyond the end is seen */
        cr_assert_eq(tm_time_parse((tm_slice){exact, strlen(exact)}, &t), TM_REJECT, "%s", cases[i]);
        cr_assert_eq(t, 42);
        free(exact);
    }
    cr_assert_eq(tm_time_parse((tm_slice){NULL, 0}, &(tm_time){0}), TM_REJECT);
    static const char *const days[] = {"", "2024-5-2", "2024-05-02T", "1969-12-31", "2023-02-29", "2024-05-0x"};
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        int32_t day;
        cr_assert_eq(tm_day_parse(tm_slice_of(days[i]), &day), TM_REJECT, "%s", days[i]);
    }
}

Test(calendar, durations)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *shown;
    } cases[] = {
        {"0s", 0, "0s"},
        {"250ms", 250, "250ms"},
        {"1500ms", 1500, "1500ms"},
        {"1.5s", 1500, "1500ms"},
        {"90s", 90000, "90s"},
        {"60s", 60000, "1m"},
        {"36h", 36 * TM_HOUR, "36h"},
        {"1.5h", 90 * TM_MINUTE, "90m"},
        {"7d", 7 * TM_DAY, "7d"},
        {"2w", 14 * TM_DAY, "14d"},
        {"0.25d", 6 * TM_HOUR, "6h"},
        {"1.50000000000000000000h", 90 * TM_MINUTE, "90m"},
        {"10000d", 10000 * TM_DAY, "10000d"},
        {"0.001s", 1, "1ms"},
        {"007d", 7 * TM_DAY, "7d"},
        {"0.0009765625w", 590625, "590625ms"},
    };
    static const char *const bad[] = {"",
                                      "d",
                                      "7",
                                      "7x",
                                      "-7d",
                                      "7 d",
                                      " 7d",
                                      "1h30m",
                                      ".5h",
                                      "5.h",
                                      "1.5ms",
                                      "10001d",
                                      "0.0001s",
                                      "1.4286w5",
                                      "10000.1d",
                                      "1429w",
                                      "99999999999999999999999d",
                                      "7D",
                                      "0.1234567890123456789h",
                                      "7days"};
    char text[TM_TIME_TEXT];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        cr_assert_eq(tm_duration_parse(tm_slice_of(cases[i].text), &ms), TM_OK, "%s", cases[i].text);
        cr_assert_eq(ms, cases[i].ms, "%s", cases[i].text);
        tm_duration_format(ms, text);
        cr_assert_str_eq(text, cases[i].shown);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = 42;
        cr_assert_eq(tm_duration_parse(tm_slice_of(bad[i]), &ms), TM_REJECT, "%s", bad[i]);
        cr_assert_eq(ms, 42);
    }
    tm_duration_format(-36 * TM_HOUR, text);
    cr_assert_str_eq(text, "-36h");
    tm_duration_format(INT64_MIN, text);
    cr_assert_str_eq(text, "-9223372036854775808ms");
}
