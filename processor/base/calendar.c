#include "tidemark/base/calendar.h"

#include <string.h>

enum { DAYS_TO_1970 = 719468 }; /* from 0000-03-01, counting from March so that a leap day ends its year */

/* Days since 1970 of a date of the proleptic Gregorian calendar, year 0 or later. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    /* Days before a month in a year that begins in March. */
    static const uint16_t before[13] = {0, 306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275};
    int64_t y = month < 3 ? year - 1 : year;
    int64_t leaps = y >= 0 ? y / 4 - y / 100 + y / 400 : -1; /* January and February of year 0 */
    return y * 365 + leaps + before[month] + day - 1 - DAYS_TO_1970;
}

typedef struct date {
    int year;
    unsigned month;
    unsigned day;
} date;

/* The other way; `days` lies in year 0 to 9999. */
static date date_of(int64_t days)
{
    enum { DAYS_400 = 146097, DAYS_100 = 36524, DAYS_4 = 1461 };
    date found;
    int64_t left = days + DAYS_TO_1970 + DAYS_400; /* one cycle more: never negative */
    int64_t cycles = left / DAYS_400;
    int64_t centuries;
    int64_t fours;
    int64_t years;
    unsigned month = 3;
    left %= DAYS_400;
    centuries = left / DAYS_100 < 3 ? left / DAYS_100 : 3;
    left -= centuries * DAYS_100;
    fours = left / DAYS_4;
    left -= fours * DAYS_4;
    years = left / 365 < 3 ? left / 365 : 3;
    left -= years * 365;
    found.year = (int)((cycles - 1) * 400 + centuries * 100 + fours * 4 + years);
    /* Five months from March, and again from August, have 153 days: 31 30 31 30 31. */
    month = (unsigned)((5 * left + 2) / 153);
    found.day = (unsigned)(left - (153 * (int64_t)month + 2) / 5 + 1);
    found.month = month < 10 ? month + 3 : month - 9;
    found.year += month < 10 ? 0 : 1;
    return found;
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t floor_divide(int64_t number, int64_t by)
{
    int64_t quotient = number / by;
    return quotient - (number % by < 0);
}

int64_t tm_hour_of(tm_time t)
{
    return floor_divide(t, TM_HOUR);
}

tm_time tm_time_floor(tm_time t, int64_t step)
{
    int64_t over = t % step;
    if (over < 0) {
        over += step;
    }
    return t >= INT64_MIN + over && t != TM_TIME_NEVER ? t - over : t;
}

tm_time tm_time_ceil(tm_time t, int64_t step)
{
    int64_t over = t % step;
    if (over == 0 || t == TM_TIME_NONE) {
        return t;
    }
    if (over < 0) {
        over += step;
    }
    return t <= INT64_MAX - (step - over) ? t + (step - over) : TM_TIME_NEVER;
}

/* ---- RFC 3339 ---- */

/* `count` digits at `text` as a number; what is no digit sets `bad`. */
static inline unsigned digits(const char *text, unsigned count, unsigned *bad)
{
    unsigned number = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        *bad |= (unsigned)(digit > 9);
        number = number * 10 + digit;
    }
    return number;
}

/* The ten bytes YYYY-MM-DD at `text`. */
static bool parse_date(const char *text, int64_t *ret_days)
{
    static const unsigned char lengths[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned bad = (unsigned)(text[4] != '-') | (unsigned)(text[7] != '-');
    unsigned year = digits(text, 4, &bad);
    unsigned month = digits(text + 5, 2, &bad);
    unsigned day = digits(text + 8, 2, &bad);
    if (bad != 0 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    if (day > lengths[month] && !(month == 2 && day == 29 && is_leap(year))) {
        return false;
    }
    *ret_days = days_of(year, month, day);
    return true;
}

tm_status tm_time_parse(tm_slice text, tm_time *ret_time)
{
    const char *at = text.data;
    const char *end;
    unsigned bad;
    unsigned hour;
    unsigned minute;
    unsigned second;
    int64_t days;
    int64_t milliseconds = 0;
    int64_t offset = 0; /* ms east of UTC */
    tm_time minutes;
    if (text.length < sizeof("2024-05-02T14:37:21Z") - 1 || !parse_date(at, &days)) {
        return TM_REJECT;
    }
    end = at + text.length;
    bad = (unsigned)(at[10] != 'T' && at[10] != 't' && at[10] != ' ') | (unsigned)(at[13] != ':') |
          (unsigned)(at[16] != ':');
    hour = digits(at + 11, 2, &bad);
    minute = digits(at + 14, 2, &bad);
    second = digits(at + 17, 2, &bad);
    if (bad != 0 || hour > 23 || minute > 59 || second > 60) {
        return TM_REJECT;
    }
    at += 19;
    if (*at == '.') {
        int64_t weight = 100;
        const char *first = ++at;
        while (at < end && *at >= '0' && *at <= '9') {
            milliseconds += (*at - '0') * weight;
            weight /= 10; /* 0 from the fourth digit on: cut */
            at++;
        }
        if (at == first || at == end) {
            return TM_REJECT;
        }
    }
    if (*at == 'Z' || *at == 'z') {
        at++;
    } else {
        unsigned east_hours;
        unsigned east_minutes;
        if ((*at != '+' && *at != '-') || end - at != 6) {
            return TM_REJECT;
        }
        bad = (unsigned)(at[3] != ':');
        east_hours = digits(at + 1, 2, &bad);
        east_minutes = digits(at + 4, 2, &bad);
        if (bad != 0 || east_hours > 23 || east_minutes > 59) {
            return TM_REJECT;
        }
        offset = (east_hours * TM_HOUR + east_minutes * TM_MINUTE) * (*at == '-' ? -1 : 1);
        at += 6;
    }
    if (at != end) {
        return TM_REJECT;
    }
    minutes = days * TM_DAY + hour * TM_HOUR + minute * TM_MINUTE - offset;
    if (second == 60) { /* a leap second is the last of a UTC day; it shares its minute's last millisecond */
        if (tm_time_floor(minutes, TM_DAY) + TM_DAY - TM_MINUTE != minutes) {
            return TM_REJECT;
        }
        second = 59;
        milliseconds = 999;
    }
    minutes += second * TM_SECOND + milliseconds;
    if (minutes < 0 || minutes > TM_TIME_MAX) {
        return TM_REJECT;
    }
    *ret_time = minutes;
    return TM_OK;
}

tm_status tm_day_parse(tm_slice text, int32_t *ret_day)
{
    int64_t days;
    if (text.length != sizeof("2024-05-02") - 1 || !parse_date(text.data, &days) || days < 0) {
        return TM_REJECT;
    }
    *ret_day = (int32_t)days;
    return TM_OK;
}

static void put_digits(char *text, unsigned count, unsigned number)
{
    while (count > 0) {
        text[--count] = "0123456789"[number % 10];
        number /= 10;
    }
}

static void put_date(char *text, int64_t days)
{
    date on = date_of(days);
    put_digits(text, 4, (unsigned)on.year);
    text[4] = '-';
    put_digits(text + 5, 2, on.month);
    text[7] = '-';
    put_digits(text + 8, 2, on.day);
}

void tm_time_format(tm_time t, char text[static TM_TIME_TEXT])
{
    tm_time within = t < 0 ? 0 : t;
    unsigned of_day;
    within = within > TM_TIME_MAX ? TM_TIME_MAX : within;
    of_day = (unsigned)(within % TM_DAY);
    put_date(text, within / TM_DAY);
    text[10] = 'T';
    put_digits(text + 11, 2, of_day / 3600000);
    text[13] = ':';
    put_digits(text + 14, 2, of_day / 60000 % 60);
    text[16] = ':';
    put_digits(text + 17, 2, of_day / 1000 % 60);
    text[19] = '.';
    put_digits(text + 20, 3, of_day % 1000);
    text[23] = 'Z';
    text[24] = '\0';
}

void tm_day_format(int32_t day, char text[static TM_TIME_TEXT])
{
    int64_t last = TM_TIME_MAX / TM_DAY;
    int64_t within = day < 0 ? 0 : day;
    put_date(text, within > last ? last : within);
    text[10] = '\0';
}

/* ---- Durations ---- */

typedef struct unit {
    char name[3];
    int64_t ms;
} unit;

tm_status tm_duration_parse(tm_slice text, int64_t *ret_ms)
{
    static const unit units[] = {{"ms", 1},      {"s", TM_SECOND}, {"m", TM_MINUTE},
                                 {"h", TM_HOUR}, {"d", TM_DAY},    {"w", 7 * TM_DAY}};
    const int64_t most = 10000 * TM_DAY;
    size_t at = 0;
    size_t first;
    int64_t whole = 0;
    int64_t part = 0; /* the decimals, over `scale` */
    int64_t scale = 1;
    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9') {
        whole = whole * 10 + (text.data[at] - '0');
        at++;
        if (whole > most) {
            return TM_REJECT;
        }
    }
    if (at == 0) {
        return TM_REJECT;
    }
    if (at < text.length && text.data[at] == '.') {
        size_t kept;
        first = ++at;
        while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9') {
            at++;
        }
        kept = at;
        while (kept > first && text.data[kept - 1] == '0') {
            kept--;
        }
        if (at == first || kept - first > 17) {
            return TM_REJECT;
        }
        for (size_t i = first; i < kept; i++) {
            part = part * 10 + (text.data[i] - '0');
            scale *= 10;
        }
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (tm_slice_equal_text((tm_slice){text.data + at, text.length - at}, units[i].name)) {
            __int128 thin = (__int128)part * units[i].ms;
            if (whole > most / units[i].ms || thin % scale != 0) {
                return TM_REJECT; /* too long, or no whole number of milliseconds */
            }
            whole = whole * units[i].ms + (int64_t)(thin / scale);
            if (whole > most) {
                return TM_REJECT;
            }
            *ret_ms = whole;
            return TM_OK;
        }
    }
    return TM_REJECT;
}

void tm_duration_format(int64_t ms, char text[static TM_TIME_TEXT])
{
    static const unit units[] = {{"d", TM_DAY}, {"h", TM_HOUR}, {"m", TM_MINUTE}, {"s", TM_SECOND}, {"ms", 1}};
    uint64_t magnitude = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    char number[24];
    size_t at = sizeof(number);
    size_t length = 0;
    size_t i = magnitude == 0 ? 3 : 0; /* "0s" */
    while (magnitude % (uint64_t)units[i].ms != 0) {
        i++;
    }
    magnitude /= (uint64_t)units[i].ms;
    do {
        number[--at] = "0123456789"[magnitude % 10];
        magnitude /= 10;
    } while (magnitude > 0);
    if (ms < 0) {
        text[length++] = '-';
    }
    memcpy(text + length, number + at, sizeof(number) - at);
    length += sizeof(number) - at;
    memcpy(text + length, units[i].name, strlen(units[i].name) + 1);
}
