#include "tidemark/commands/population.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/accountrecord.h"
#include "tidemark/codec/event.h"

enum { ACCOUNTS = 400, DAYS = 20, LARGEST = 3, NUMBERS = 1 << 20 };

static const tm_population_options calm = {.seed = 7,
                                           .accounts = ACCOUNTS,
                                           .largest = LARGEST,
                                           .days = DAYS,
                                           .start = 20000 * TM_DAY,
                                           .intensity = 0.5,
                                           .erasures = true};

/* What one run of a population showed. */
typedef struct seen {
    const tm_population *population;
    tm_event_reader *events;
    tm_account_record_reader *records;
    uint64_t hash, usage, accounts, late, repeated;
    tm_time latest, day_end;
    bool usage_at_latest;
    bool erased[ACCOUNTS];
    bool known[ACCOUNTS];
    uint8_t numbers[NUMBERS];
} seen;

static void see_usage(seen *s, const tm_generated *g, uint32_t index)
{
    tm_event event;
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    tm_status status = tm_event_read(s->events, g->text, NULL, (tm_slice){0}, &event, &reason, detail);
    cr_assert_eq(status, TM_OK, "%.*s: %s", (int)g->text.length, g->text.data, detail);
    cr_assert(tm_slice_equal(event.account, g->account));
    cr_assert_eq(event.at, g->at);
    char id[32];
    cr_assert_lt(event.id.length, sizeof id);
    memcpy(id, event.id.data, event.id.length);
    id[event.id.length] = 0;
    unsigned long number = strtoul(strchr(id, '-') + 1, NULL, 10);
    cr_assert_lt(number, (unsigned long)NUMBERS);
    s->repeated += s->numbers[number];
    s->numbers[number] = 1;

    char account[32];
    tm_time onset;
    tm_fate fate = tm_population_truth(s->population, index, account, &onset);
    if (fate == TM_FATE_SILENCE || fate == TM_FATE_ERASED)
        cr_assert_lt(g->at, onset, "%s: an event after the onset of %s", account, tm_fate_name(fate));
    if (fate == TM_FATE_ONBOARDING || fate == TM_FATE_STUCK)
        cr_assert_geq(g->at, onset, "%s: an event before it began", account);
    if (fate == TM_FATE_STUCK)
        cr_assert_not(tm_slice_equal_text(event.name, "report_viewed") ||
                      tm_slice_equal_text(event.name, "export_run"));
    if (fate == TM_FATE_CHAMPION && g->at >= onset && tm_slice_has_prefix(event.user, tm_slice_of("u0@")))
        cr_assert_not(tm_slice_equal_text(event.name, "session_started"), "%s: its champion did not stop", account);
}

static void see_account(seen *s, const tm_generated *g, uint32_t index)
{
    tm_account_record record;
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    tm_status status = tm_account_record_read(s->records, g->text, (tm_slice){0}, true, &record, &reason, detail);
    cr_assert_eq(status, TM_OK, "%.*s: %s", (int)g->text.length, g->text.data, detail);
    cr_assert(tm_slice_equal(record.account, g->account));
    cr_assert_eq(record.erase, g->erase);
    cr_assert_not(s->erased[index], "a record after the erasure");
    s->known[index] = true;
    if (!g->erase) {
        cr_assert_eq(record.facts.at, g->at);
        return;
    }
    char account[32];
    tm_time onset;
    cr_assert_eq(tm_population_truth(s->population, index, account, &onset), TM_FATE_ERASED);
    cr_assert_eq(g->at, onset);
    s->erased[index] = true;
}

static tm_status see(void *context, const tm_generated *g)
{
    seen *s = context;
    for (size_t i = 0; i < g->text.length; i++)
        s->hash = (s->hash ^ (unsigned char)g->text.data[i]) * UINT64_C(0x100000001b3);
    cr_assert_null(memchr(g->text.data, '\n', g->text.length));
    char name[32];
    memcpy(name, g->account.data, g->account.length);
    name[g->account.length] = 0;
    uint32_t index = (uint32_t)strtoul(strchr(name, '-') + 1, NULL, 10);
    cr_assert_lt(index, ACCOUNTS);
    cr_assert_lt(g->at, s->day_end, "a record of a day to come");
    if (g->at < s->latest)
        s->late++;
    if (g->at > s->latest) {
        s->latest = g->at;
        s->usage_at_latest = false;
    }
    if (g->account_record) {
        cr_assert_not(g->at == s->latest && s->usage_at_latest, "usage before an account record of the same moment");
        s->accounts++;
        see_account(s, g, index);
    } else {
        s->usage_at_latest |= g->at == s->latest;
        s->usage++;
        cr_assert(s->known[index] || g->at < s->latest, "usage of an account without a record");
        see_usage(s, g, index);
    }
    return TM_OK;
}

static seen *run(const tm_population_options *options)
{
    tm_population *population = tm_population_new(options);
    cr_assert_not_null(population);
    tm_mapping *mapping = tm_mapping_native();
    tm_event_options reading = {.mapping = mapping, .key_policy = TM_KEY_IGNORE};
    seen *s = calloc(1, sizeof *s);
    s->population = population;
    s->events = tm_event_reader_new(&reading);
    s->records = tm_account_record_reader_new(&reading.user_key);
    for (uint32_t day = 0; day < options->days; day++) {
        s->day_end = options->start + (tm_time)(day + 1) * TM_DAY;
        cr_assert_eq(tm_population_day(population, day, see, s), TM_OK);
    }
    for (uint32_t i = 0; i < options->accounts; i++) {
        char account[32];
        tm_time onset;
        bool erased = tm_population_truth(population, i, account, &onset) == TM_FATE_ERASED;
        cr_assert_eq(s->erased[i], erased, "%s", account);
    }
    tm_event_reader_free(s->events);
    tm_account_record_reader_free(s->records);
    tm_mapping_free(mapping);
    tm_population_free(population);
    return s;
}

Test(population, calm_is_in_order_and_nothing_twice)
{
    seen *s = run(&calm);
    cr_assert_gt(s->usage, 10000);
    cr_assert_geq(s->accounts, ACCOUNTS);
    cr_assert_eq(s->late, 0);
    cr_assert_eq(s->repeated, 0);
    free(s);
}

Test(population, disorder_and_duplicates_are_as_many_as_asked_for)
{
    tm_population_options options = calm;
    options.disorder = 100;
    seen *s = run(&options);
    cr_assert(s->late > s->usage / 20 && s->late < s->usage / 5, "%d of %d", (int)s->late, (int)s->usage);
    cr_assert_eq(s->repeated, 0);
    free(s);
    options.disorder = 0;
    options.duplicates = 100;
    s = run(&options);
    cr_assert(s->repeated > s->usage / 20 && s->repeated < s->usage / 5, "%d of %d", (int)s->repeated, (int)s->usage);
    free(s);
}

Test(population, the_seed_is_everything)
{
    tm_population_options options = calm;
    options.accounts = 60;
    options.disorder = options.duplicates = 50;
    seen *one = run(&options), *same = run(&options);
    options.seed++;
    seen *other = run(&options);
    cr_assert_eq(one->hash, same->hash);
    cr_assert_eq(one->usage, same->usage);
    cr_assert_neq(one->hash, other->hash);
    free(one);
    free(same);
    free(other);
}

Test(population, truth_lies_within_the_days)
{
    static const uint32_t lengths[] = {1, 2, 7, 90, 365};
    uint32_t met[TM_FATES] = {0};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        tm_population_options options = calm;
        options.days = lengths[k];
        tm_population *population = tm_population_new(&options);
        for (uint32_t i = 0; i < ACCOUNTS; i++) {
            char account[32], expected[32];
            tm_time onset;
            tm_fate fate = tm_population_truth(population, i, account, &onset);
            snprintf(expected, sizeof expected, "acme-%05u", (unsigned)i);
            cr_assert_str_eq(account, expected);
            cr_assert_lt(fate, TM_FATES);
            met[fate]++;
            cr_assert_eq(onset == TM_TIME_NONE, fate == TM_FATE_STEADY);
            if (fate == TM_FATE_STEADY)
                continue;
            cr_assert_geq(onset, options.start);
            cr_assert_lt(onset, options.start + options.days * TM_DAY);
            cr_assert_eq(onset % TM_DAY, 0);
        }
        tm_population_free(population);
    }
    for (int fate = 0; fate < TM_FATES; fate++) {
        cr_assert_gt(met[fate], 0, "nobody is %s", tm_fate_name((tm_fate)fate));
        for (int other = 0; other < fate; other++)
            cr_assert_str_neq(tm_fate_name((tm_fate)fate), tm_fate_name((tm_fate)other));
    }
    cr_assert_gt(met[TM_FATE_STEADY], met[TM_FATE_GROWTH]);
    cr_assert_str_eq(tm_fate_name(TM_FATE_STEADY), "steady");
    cr_assert_str_eq(tm_fate_name(TM_FATE_ERASED), "erased");
}

Test(population, erasures_only_when_asked_for)
{
    tm_population_options options = calm;
    options.erasures = false;
    tm_population *population = tm_population_new(&options);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        char account[32];
        tm_time onset;
        cr_assert_neq(tm_population_truth(population, i, account, &onset), TM_FATE_ERASED);
    }
    tm_population_free(population);
}

static tm_status stop(void *context, const tm_generated *g)
{
    (void)g;
    return --*(int *)context ? TM_OK : TM_RETRY;
}

Test(population, what_emit_returns_ends_the_day)
{
    tm_population *population = tm_population_new(&calm);
    int left = 5;
    cr_assert_eq(tm_population_day(population, 0, stop, &left), TM_RETRY);
    cr_assert_eq(left, 0);
    tm_population_free(population);
    tm_population_free(NULL);
}
