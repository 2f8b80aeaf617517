/* Scorecards learned from outcomes. Weekly cases come in with the values of the factors of the account's card; then,
   and only then, who was lost and when. What is learned depends on nothing that was not known at `cut`; the weeks after
   it judge.

   A card's logit of being lost within `horizon` is a sum of monotone piecewise-linear functions of its factors, fitted
   by logistic regression (logistic.h). A case that `cut` overtakes counts for as long as it was watched: the logarithm
   of that part of the horizon is added to its logit, which for rare losses is the likelihood of what was seen. How many
   bends a map has, and the penalty, are chosen by a rolling origin (L. J. Tashman, Out-of-sample tests of forecasting
   accuracy, 2000): the training time is cut into folds + 1 spans, and each but the first is foretold from what was
   known at its beginning. */
#ifndef TIDEMARK_INSIGHT_TUNING_H
#define TIDEMARK_INSIGHT_TUNING_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/calendar.h"
#include "tidemark/base/limits.h"
#include "tidemark/base/statistics.h"

enum {
    TM_TUNING_LOST_MIN = 50, /* accounts lost in the training time, under which a card is left as it is */
    /* … and so many for each coefficient (P. Peduzzi et al., A simulation study of the number of events per variable in
       logistic regression analysis, 1996). */
    TM_TUNING_LOST_EACH = 10
};

typedef struct tm_tuning_map {
    double x[TM_MAP_POINTS_MAX], y[TM_MAP_POINTS_MAX]; /* x rising; y from 0 to 100 */
    uint32_t points;
} tm_tuning_map;

/* A factor as the card has it. */
typedef struct tm_tuning_factor {
    bool duration; /* its values are ms */
    double weight;
    tm_tuning_map map;
} tm_tuning_factor;

typedef struct tm_tuning_settings {
    int64_t horizon; /* ms in which a loss counts */
    int64_t tenure;  /* ms since an account's first record before which it is no case */
    tm_time cut;     /* nothing later is known to what is learned */
    uint32_t folds;
    uint32_t only;        /* the card to learn; UINT32_MAX: all */
    bool keep_directions; /* a factor whose map rises keeps rising, one that falls, falling */
} tm_tuning_settings;

/* Who stands behind a number. */
typedef struct tm_tuning_account {
    tm_slice name;
    tm_time met;  /* first record; TM_TIME_NONE: none */
    tm_time lost; /* TM_TIME_NEVER: not */
} tm_tuning_account;

typedef struct tm_tuning tm_tuning;

/* Empty. NULL without memory. */
tm_tuning *tm_tuning_new(void);
void tm_tuning_free(tm_tuning *tuning); /* NULL is allowed */
/* The next card: its number, from 0; UINT32_MAX without memory. `count`: at most TM_FACTORS_MAX. */
uint32_t tm_tuning_card(tm_tuning *tuning, const tm_tuning_factor *factors, uint32_t count);
/* How an account stands at `t`: a value a factor of its card, NaN where there is none. TM_OK or TM_FATAL without
   memory. */
tm_status tm_tuning_case(tm_tuning *tuning, uint32_t account, tm_time t, uint32_t card, const double *values);

/* What became of a factor. */
typedef enum tm_tuning_lesson {
    TM_LESSON_LEARNED, /* map and weight are from the outcomes */
    TM_LESSON_TURNED,  /* likewise, and the map goes the other way than before */
    TM_LESSON_NOTHING, /* it makes no difference: the least weight, the map as it was */
    TM_LESSON_KEPT     /* no answer, or the same one everywhere: weight and map as they were */
} tm_tuning_lesson;

/* What became of a card. */
typedef enum tm_tuning_verdict {
    TM_VERDICT_CHANGED,
    TM_VERDICT_TOO_FEW, /* losses; see `lost` and `needed` */
    TM_VERDICT_SAME,    /* no factor differs between its cases */
    TM_VERDICT_NOT_ASKED,
    TM_VERDICT_NO_GAIN /* the rolling origin shows no gain that could not be chance */
} tm_tuning_verdict;

typedef struct tm_tuned_factor {
    tm_tuning_lesson lesson;
    tm_tuning_map map;
    double weight;
    /* Of the third of the training cases with the lowest and with the highest values: how many were lost. */
    tm_estimate low, high;
} tm_tuned_factor;

typedef struct tm_tuned_card {
    tm_tuning_verdict verdict;
    uint64_t cases, lost, needed; /* of the training time; lost are accounts */
    uint32_t coefficients, segments;
    double penalty;
    /* In the training time, each span foretold from the ones before: scores as percentiles of their week. NaN: the
       card was not fitted. */
    tm_gain validation;
    tm_tuned_factor factors[TM_FACTORS_MAX];
} tm_tuned_card;

/* Learns. `accounts`: one a number that cases have; the order of cases and of accounts does not matter. `ret_cards`:
   one a card; one that was not changed has its factors as they were. The points of all cards that were changed are on
   one scale: the same score is about the same risk. TM_OK or TM_FATAL without memory. */
tm_status tm_tuning_learn(tm_tuning *tuning, const tm_tuning_settings *settings, const tm_tuning_account *accounts,
                          uint32_t account_count, tm_tuned_card *ret_cards);

/* How well both scores rank the cases from `cut` on whose horizon is over at `until`. TM_OK or TM_FATAL. */
tm_status tm_tuning_judge(const tm_tuning *tuning, const tm_tuning_settings *settings,
                          const tm_tuning_account *accounts, uint32_t account_count, const tm_tuned_card *cards,
                          tm_time until, tm_gain *ret_gain);

/* Where an edge of a band has to lie among the tuned scores of a card that was changed, so that as many of its cases of
   the training time stand below it as stood below `edge` before; one decimal. NaN without a case, or without memory. */
double tm_tuning_edge(const tm_tuning *tuning, const tm_tuning_settings *settings, const tm_tuning_account *accounts,
                      uint32_t account_count, uint32_t card, const tm_tuned_card *tuned, double edge);

/* The points of a value on a map, and the score of a card as the rules have it (one decimal); NaN for none. */
double tm_tuning_points(const tm_tuning_map *map, double value);

#endif
