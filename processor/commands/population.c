#include "tidemark/commands/population.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERS_MAX = 200, MONTH_DAYS = 30, FADE_DAYS = 28, LEAVE_DAYS = 21, LATE_HOURS = 6 };

static const char *const fates[] = {"steady",  "onboarding", "stuck",    "growth", "decline",
                                    "silence", "breadth",    "champion", "erased"};
/* Of 100 accounts; the rest is steady. Erasures are drawn apart. */
static const uint8_t shares[TM_FATES] = {0, 9, 3, 10, 9, 7, 5, 5, 0};

const char *tm_fate_name(tm_fate fate)
{
    return fates[fate];
}

/* Names by how often they occur, out of 100; the first ones are what everybody does. */
static const struct {
    const char *name;
    uint8_t share;
    bool key_action; /* counts as value for the customer */
} actions[] = {{"session_started", 22, false}, {"record_created", 24, false}, {"record_edited", 14, false},
               {"search_run", 12, false},      {"report_viewed", 10, true},   {"dashboard_viewed", 8, false},
               {"export_run", 5, true},        {"comment_added", 3, false},   {"invite_sent", 2, false}};
enum { ACTIONS = sizeof actions / sizeof *actions };

typedef struct account {
    tm_fate fate;
    int32_t onset;  /* day */
    int32_t begins; /* day of the contract's start; negative: before the population's time */
    uint32_t users, seats;
    uint32_t term_months;
    double level; /* of this account's use */
    int32_t offset_hours;
    bool integration;
} account;

typedef struct line {
    int64_t order; /* ms in the stream */
    tm_time at;
    uint32_t account;
    bool account_record, erase;
    size_t text, length;
    uint32_t number;
} line;

struct tm_population {
    tm_population_options options;
    account *accounts;
    tm_buffer text;
    line *lines, *later; /* of the day; of the next */
    uint32_t count, capacity, later_count, later_capacity;
    uint64_t number; /* of events, for their ids */
};

/* splitmix64 (Steele, Lea, Flood 2014): a stream for each purpose, so that no draw depends on another's order. */
typedef struct dice {
    uint64_t state;
} dice;

static uint64_t roll(dice *d)
{
    uint64_t z = (d->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(dice *d, uint32_t bound)
{
    return (uint32_t)(((roll(d) >> 32) * bound) >> 32);
}

static double chance(dice *d)
{
    return (double)(roll(d) >> 11) * 0x1p-53;
}

static dice dice_for(const tm_population *p, uint64_t a, uint64_t b)
{
    dice d = {p->options.seed ^ (a * UINT64_C(0xd6e8feb86659fd93)) ^ (b * UINT64_C(0xa0761d6478bd642f))};
    (void)roll(&d);
    return d;
}

static void draw_account(tm_population *p, uint32_t index)
{
    account *a = &p->accounts[index];
    dice d = dice_for(p, index + 1, 0);
    int32_t days = (int32_t)p->options.days;
    uint32_t ticket = below(&d, 100);
    a->fate = TM_FATE_STEADY;
    for (uint32_t f = 0; f < TM_FATES; f++) {
        if (ticket < shares[f]) {
            a->fate = (tm_fate)f;
            break;
        }
        ticket -= shares[f];
    }
    if (p->options.erasures && below(&d, 200) == 0)
        a->fate = TM_FATE_ERASED;
    a->onset = days * 2 / 5 + (int32_t)below(&d, (uint32_t)(days / 4 + 1));
    a->begins = -(int32_t)below(&d, 700) - 1;
    if (a->fate == TM_FATE_ONBOARDING || a->fate == TM_FATE_STUCK) {
        a->begins = (int32_t)below(&d, (uint32_t)(days / 3 + 1));
        a->onset = a->begins;
    }
    /* Many small accounts, few large ones. */
    uint32_t size = below(&d, 100);
    a->users = size < 60 ? 2 + below(&d, 6) : size < 92 ? 8 + below(&d, 20) : 30 + below(&d, USERS_MAX - 40);
    if (p->options.largest && a->users > p->options.largest)
        a->users = p->options.largest;
    double fill = 0.45 + 0.35 * chance(&d);
    a->seats = (uint32_t)((double)a->users / fill) + 1;
    if (a->fate == TM_FATE_GROWTH)
        a->seats = a->users + a->users / 5 + 1;
    a->level = 0.5 + chance(&d);
    a->term_months = below(&d, 3) == 0 ? 1 : 12;
    a->offset_hours = (int32_t)below(&d, 3) * 6 - 6; /* three regions */
    a->integration = below(&d, 10) < 4;
}

tm_population *tm_population_new(const tm_population_options *options)
{
    tm_population *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->options = *options;
    tm_buffer_init(&p->text, (size_t)1 << 32);
    p->accounts = calloc(options->accounts ? options->accounts : 1, sizeof *p->accounts);
    if (!p->accounts) {
        tm_population_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < options->accounts; i++)
        draw_account(p, i);
    return p;
}

void tm_population_free(tm_population *p)
{
    if (!p)
        return;
    free(p->accounts);
    free(p->lines);
    free(p->later);
    tm_buffer_done(&p->text);
    free(p);
}

static void name_account(uint32_t index, char ret_name[static 32])
{
    snprintf(ret_name, 32, "acme-%05u", (unsigned)index);
}

tm_fate tm_population_truth(const tm_population *p, uint32_t index, char ret_account[static 32], tm_time *ret_onset)
{
    const account *a = &p->accounts[index];
    name_account(index, ret_account);
    *ret_onset = a->fate == TM_FATE_STEADY ? TM_TIME_NONE : p->options.start + (tm_time)a->onset * TM_DAY;
    return a->fate;
}

/* --- one line --- */

static bool room(line **lines, uint32_t count, uint32_t *capacity)
{
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity * 2 : 4096;
    line *bigger = realloc(*lines, sizeof **lines * wanted);
    if (!bigger)
        return false;
    *lines = bigger;
    *capacity = wanted;
    return true;
}

static tm_status add_line(tm_population *p, line added)
{
    added.number = p->count;
    if (!room(&p->lines, p->count, &p->capacity))
        return TM_FATAL;
    p->lines[p->count++] = added;
    return p->text.overflowed ? TM_FATAL : TM_OK;
}

static void begin_event(tm_population *p, uint32_t index, tm_time at, const char *name, int64_t user)
{
    char who[32], when[TM_TIME_TEXT];
    name_account(index, who);
    tm_time_format(at, when);
    tm_buffer_append_format(&p->text, "{\"id\":\"%llx-%llu\",\"account\":\"%s\",\"event\":\"%s\",\"at\":\"%s\"",
                            (unsigned long long)(p->options.seed & 0xffff), (unsigned long long)p->number++, who, name,
                            when);
    if (user >= 0)
        tm_buffer_append_format(&p->text, ",\"user\":\"u%lld@%s\"", (long long)user, who);
    tm_buffer_append_text(&p->text, ",\"source\":\"app\"");
}

/* Closes the event's text and places it, with its disorder and its double. */
static tm_status end_event(tm_population *p, dice *d, uint32_t index, tm_time at, size_t text)
{
    tm_buffer_append_char(&p->text, '}');
    line l = {.order = at, .at = at, .account = index, .text = text, .length = p->text.length - text};
    if (below(d, 1000) < p->options.disorder)
        l.order += (int64_t)below(d, LATE_HOURS * (uint32_t)TM_HOUR);
    tm_status status = add_line(p, l);
    if (status == TM_OK && below(d, 1000) < p->options.duplicates) {
        l.order += (int64_t)below(d, (uint32_t)TM_HOUR / 2);
        status = add_line(p, l);
    }
    return status;
}

static tm_status add_record(tm_population *p, uint32_t index, int32_t day, bool erase)
{
    const account *a = &p->accounts[index];
    dice d = dice_for(p, index + 1, 1);
    char who[32], when[TM_TIME_TEXT], start[TM_TIME_TEXT], renewal[TM_TIME_TEXT];
    name_account(index, who);
    int32_t first_day = (int32_t)(p->options.start / TM_DAY);
    tm_time at = p->options.start + (tm_time)day * TM_DAY;
    tm_time_format(at, when);
    size_t text = p->text.length;
    if (erase) {
        tm_buffer_append_format(&p->text, "{\"account\":\"%s\",\"at\":\"%s\",\"erase\":true}", who, when);
        return add_line(p, (line){.order = at,
                                  .at = at,
                                  .account = index,
                                  .account_record = true,
                                  .erase = true,
                                  .text = text,
                                  .length = p->text.length - text});
    }
    static const char *const plans[] = {"starter", "team", "business"};
    static const char *const regions[] = {"amer", "emea", "apac"};
    static const char *const industries[] = {"software", "retail", "finance", "health", "media"};
    static const char *const owners[] = {"kim", "ravi", "ana", "lee", "sam"};
    uint32_t plan = a->users < 8 ? 0 : a->users < 30 ? 1 : 2;
    static const char *const tiers[] = {"tech", "low", "high"};
    uint32_t seats = a->seats;
    if (a->fate == TM_FATE_GROWTH && day > a->onset + 40)
        seats += seats / 4; /* they bought */
    int32_t term = (int32_t)a->term_months * MONTH_DAYS;
    int32_t next = a->begins + term;
    while (next <= day)
        next += term;
    tm_day_format(first_day + a->begins, start);
    tm_day_format(first_day + next, renewal);
    tm_buffer_append_format(
        &p->text,
        "{\"account\":\"%s\",\"at\":\"%s\",\"name\":\"Acme "
        "%u\",\"plan\":\"%s\",\"seats\":%u,\"mrr\":%u,\"currency\":\"EUR\","
        "\"contract_start\":\"%s\",\"renewal_at\":\"%s\",\"term_months\":%u,\"tier\":\"%s\",\"status\":\"active\","
        "\"owners\":{\"csm\":\"%s\",\"sales\":\"%s\"},\"champions\":[\"u0@%s\"],"
        "\"products\":[{\"name\":\"core\",\"seats\":%u,\"mrr\":%u}],\"goals\":{\"records\":%u},"
        "\"attributes\":{\"region\":\"%s\",\"industry\":\"%s\",\"integration\":%s}}",
        who, when, (unsigned)index, plans[plan], (unsigned)seats, (unsigned)(seats * (plan + 1) * 12), start, renewal,
        (unsigned)a->term_months, tiers[plan], owners[below(&d, 5)], owners[below(&d, 5)], who, (unsigned)seats,
        (unsigned)(seats * (plan + 1) * 12), (unsigned)(a->users * 40), regions[(a->offset_hours + 6) / 6],
        industries[below(&d, 5)], a->integration ? "true" : "false");
    return add_line(p, (line){.order = at,
                              .at = at,
                              .account = index,
                              .account_record = true,
                              .text = text,
                              .length = p->text.length - text});
}

/* --- a day of an account --- */

/* How much of its usual use an account shows on a day, 0 … about 2. */
static double use_on(const account *a, int32_t day)
{
    double into = (double)(day - a->onset);
    switch (a->fate) {
    case TM_FATE_ONBOARDING:
        return into < 21 ? 0.2 + 0.8 * into / 21 : 1;
    case TM_FATE_STUCK:
        return into < 10 ? 0.25 : 0.1;
    case TM_FATE_GROWTH:
        return into < 0 ? 1 : into < 42 ? 1 + 0.6 * into / 42 : 1.6;
    case TM_FATE_DECLINE:
        return into < 0 ? 1 : into < (double)FADE_DAYS ? 1 - 0.9 * into / (double)FADE_DAYS : 0.1;
    case TM_FATE_SILENCE:
    case TM_FATE_ERASED:
        return into < 0 ? 1 : 0;
    default:
        return 1;
    }
}

static uint32_t users_on(const account *a, int32_t day)
{
    double into = (double)(day - a->onset), users = (double)a->users;
    if (a->fate == TM_FATE_BREADTH && into >= 0)
        users *= into < (double)LEAVE_DAYS ? 1 - 0.85 * into / (double)LEAVE_DAYS : 0.15;
    if (a->fate == TM_FATE_GROWTH && into >= 0)
        users *= into < 42 ? 1 + 0.7 * into / 42 : 1.7;
    if (a->fate == TM_FATE_ONBOARDING && into < 21)
        users *= 0.3 + 0.7 * into / 21;
    return users < 1 ? 1 : (uint32_t)users;
}

static tm_status add_actions(tm_population *p, uint32_t index, int32_t day, uint32_t user, uint32_t count, dice *d)
{
    const account *a = &p->accounts[index];
    tm_time midnight = p->options.start + (tm_time)day * TM_DAY;
    for (uint32_t i = 0; i < count; i++) {
        /* Office hours of the region, with a hill around the middle of the day. */
        double hour = 8 + 5 * (chance(d) + chance(d)) - a->offset_hours;
        hour = hour < 0 ? hour + 24 : hour >= 24 ? hour - 24 : hour;
        tm_time at = midnight + (tm_time)(hour * (double)TM_HOUR);
        uint32_t ticket = below(d, 100), action = 0;
        while (action + 1 < ACTIONS && ticket >= actions[action].share)
            ticket -= actions[action++].share;
        if (a->fate == TM_FATE_STUCK && actions[action].key_action)
            action = 0;
        if (i == 0)
            action = 0; /* a day begins with a log-in */
        size_t text = p->text.length;
        begin_event(p, index, at, actions[action].name, user);
        if (actions[action].key_action || action == 1)
            tm_buffer_append_format(&p->text, ",\"properties\":{\"ok\":%s,\"feature\":\"%s\",\"ms\":%u}",
                                    below(d, 50) ? "true" : "false", action == 1 ? "records" : "insight",
                                    (unsigned)(20 + below(d, 800)));
        tm_status status = end_event(p, d, index, at, text);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

static tm_status add_machines(tm_population *p, uint32_t index, int32_t day, double use, dice *d)
{
    const account *a = &p->accounts[index];
    tm_time midnight = p->options.start + (tm_time)day * TM_DAY;
    tm_status status = TM_OK;
    for (uint32_t i = 0; a->integration && use > 0 && i < 4 && status == TM_OK; i++) {
        tm_time at = midnight + (tm_time)i * 6 * TM_HOUR + (tm_time)below(d, (uint32_t)TM_HOUR);
        size_t text = p->text.length;
        begin_event(p, index, at, "integration_synced", -1);
        tm_buffer_append_format(&p->text, ",\"value\":%u", (unsigned)(10 + below(d, 500)));
        status = end_event(p, d, index, at, text);
    }
    /* A survey a month, answered by one person or two; unhappy accounts say so. */
    if (status == TM_OK && use > 0 && (day + (int32_t)index) % MONTH_DAYS == 0) {
        bool unhappy =
            a->fate == TM_FATE_DECLINE || a->fate == TM_FATE_BREADTH || a->fate == TM_FATE_STUCK || below(d, 12) == 0;
        tm_time at = midnight + 10 * TM_HOUR + (tm_time)below(d, 4 * (uint32_t)TM_HOUR);
        size_t text = p->text.length;
        begin_event(p, index, at, "nps_response", (int64_t)below(d, a->users));
        tm_buffer_append_format(&p->text, ",\"value\":%u", (unsigned)(unhappy ? below(d, 7) : 7 + below(d, 4)));
        status = end_event(p, d, index, at, text);
        if (status == TM_OK && unhappy && below(d, 2)) {
            at += 2 * TM_HOUR;
            text = p->text.length;
            begin_event(p, index, at, "nps_followed_up", -1);
            status = end_event(p, d, index, at, text);
        }
    }
    /* Metered use against a limit of the plan, as a gauge. */
    if (status == TM_OK && use > 0) {
        tm_time at = midnight + 23 * TM_HOUR + (tm_time)below(d, (uint32_t)TM_HOUR / 2);
        size_t text = p->text.length;
        begin_event(p, index, at, "storage_measured", -1);
        double used = 0.55 * use + 0.1 * chance(d);
        tm_buffer_append_format(&p->text, ",\"value\":%.3f", used);
        status = end_event(p, d, index, at, text);
    }
    return status;
}

static tm_status add_account_day(tm_population *p, uint32_t index, int32_t day)
{
    const account *a = &p->accounts[index];
    if (day < a->begins)
        return TM_OK;
    bool erased = a->fate == TM_FATE_ERASED && day >= a->onset;
    if (erased)
        return day == a->onset ? add_record(p, index, day, true) : TM_OK;
    int32_t term = (int32_t)a->term_months * MONTH_DAYS;
    bool renewed = day > 0 && (day - a->begins) % term == 0;
    bool bought = a->fate == TM_FATE_GROWTH && day == a->onset + 41;
    tm_status status = TM_OK;
    if (day == 0 || day == a->begins || renewed || bought)
        status = add_record(p, index, day, false);
    dice d = dice_for(p, index + 1, (uint64_t)day + 1000);
    int32_t weekday = (int32_t)((p->options.start / TM_DAY + day + 3) % 7); /* 1970-01-01 was a Thursday; 0 is Monday */
    double week = weekday >= 5 ? 0.12 : weekday == 4 ? 0.9 : 1;
    double use = use_on(a, day);
    uint32_t users = users_on(a, day);
    for (uint32_t u = 0; u < users && status == TM_OK; u++) {
        if (u == 0 && a->fate == TM_FATE_CHAMPION && day >= a->onset)
            continue;
        if (chance(&d) >= 0.75 * week * (use < 1 ? 0.3 + 0.7 * use : 1) * (use > 0))
            continue;
        double mean = p->options.intensity * a->level * use;
        uint32_t count = 1 + (uint32_t)(mean * -log(1 - chance(&d) * 0.98));
        status = add_actions(p, index, day, u, count, &d);
    }
    return status == TM_OK ? add_machines(p, index, day, use, &d) : status;
}

static int by_order(const void *left, const void *right)
{
    const line *a = left, *b = right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    if (a->account_record != b->account_record)
        return a->account_record ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

tm_status tm_population_day(tm_population *p, uint32_t day, tm_population_emit emit, void *context)
{
    /* What yesterday put off, then today. Its text was moved to the front of the buffer. */
    p->count = 0;
    for (uint32_t i = 0; i < p->later_count; i++) {
        tm_status status = add_line(p, p->later[i]);
        if (status != TM_OK)
            return status;
    }
    p->later_count = 0;
    for (uint32_t i = 0; i < p->options.accounts; i++) {
        tm_status status = add_account_day(p, i, (int32_t)day);
        if (status != TM_OK)
            return status;
    }
    qsort(p->lines, p->count, sizeof *p->lines, by_order);
    int64_t end = p->options.start + (tm_time)(day + 1) * TM_DAY;
    bool last = day + 1 == p->options.days;
    tm_buffer kept;
    tm_buffer_init(&kept, p->text.maximum);
    tm_status status = TM_OK;
    for (uint32_t i = 0; i < p->count && status == TM_OK; i++) {
        line l = p->lines[i];
        if (l.order >= end && !last) {
            if (!room(&p->later, p->later_count, &p->later_capacity)) {
                status = TM_FATAL;
                break;
            }
            size_t text = kept.length;
            tm_buffer_append(&kept, p->text.data + l.text, l.length);
            l.text = text;
            p->later[p->later_count++] = l;
            continue;
        }
        char who[32];
        name_account(l.account, who);
        tm_generated generated = {.account_record = l.account_record,
                                  .erase = l.erase,
                                  .at = l.at,
                                  .account = tm_slice_of(who),
                                  .text = {p->text.data + l.text, l.length}};
        status = emit(context, &generated);
    }
    tm_buffer_done(&p->text);
    p->text = kept;
    return kept.overflowed ? TM_FATAL : status;
}
