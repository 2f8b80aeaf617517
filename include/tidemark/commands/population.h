/* A made population: accounts with daily and weekly rhythm, onboarding, growth, decline and sudden silence. The same
   options give the same bytes, on every machine. Used by `generate`, `demo` and the benchmarks. */
#ifndef TIDEMARK_COMMANDS_POPULATION_H
#define TIDEMARK_COMMANDS_POPULATION_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/calendar.h"

typedef enum tm_fate {
    TM_FATE_STEADY,     /* nothing happens */
    TM_FATE_ONBOARDING, /* starts within the time, reaches first value, grows into its seats */
    TM_FATE_STUCK,      /* starts within the time, never reaches first value */
    TM_FATE_GROWTH,     /* users and use rise from the onset on, past the seats */
    TM_FATE_DECLINE,    /* use fades over four weeks from the onset on */
    TM_FATE_SILENCE,    /* stops at the onset */
    TM_FATE_BREADTH,    /* users leave one by one from the onset on */
    TM_FATE_CHAMPION,   /* its champion stops at the onset */
    TM_FATE_ERASED, /* asked to be forgotten: its record becomes an erasure at the onset, and nothing is done after it
                       (a late line may still arrive) */
    TM_FATES
} tm_fate;

const char *tm_fate_name(tm_fate fate);

typedef struct tm_population_options {
    uint64_t seed;
    uint32_t accounts;
    uint32_t largest; /* users of an account at most; 0: as drawn, up to 200 */
    uint32_t days;
    tm_time start;       /* a UTC midnight */
    double intensity;    /* events an active user and working day, on average */
    uint32_t disorder;   /* of 1,000 events, so many stand up to some hours later in the stream than their `at` */
    uint32_t duplicates; /* of 1,000 events, so many are there twice, within the hour */
    bool erasures;       /* some accounts are erased */
} tm_population_options;

typedef struct tm_generated {
    bool account_record; /* of `accounts`; else of `usage` */
    bool erase;          /* an erasure: the text is the line of a file, Kafka gets a null value */
    tm_time at;
    tm_slice account;
    tm_slice text; /* one JSON object, no newline */
} tm_generated;

typedef struct tm_population tm_population;

/* NULL without memory. */
tm_population *tm_population_new(const tm_population_options *options);
void tm_population_free(tm_population *population); /* NULL is allowed */

/* Hands over the records of day 0 … days - 1 in the order of the stream (account records of a moment first). Days are
   asked for in order. Slices live during the call. TM_OK, what `emit` returned, or TM_FATAL without memory. */
typedef tm_status (*tm_population_emit)(void *context, const tm_generated *generated);
tm_status tm_population_day(tm_population *population, uint32_t day, tm_population_emit emit, void *context);

/* The truth: what happens to the index-th account, and when (TM_TIME_NONE for steady ones). `ret_account` holds 32
 * bytes at least. */
tm_fate tm_population_truth(const tm_population *population, uint32_t index, char ret_account[static 32],
                            tm_time *ret_onset);

#endif
