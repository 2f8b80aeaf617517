/* What the sources of the room `tuning` share: tuning.c (cases, scales, the judgement), tuningfit.c (one card). */
#ifndef TIDEMARK_PROCESSOR_INSIGHT_TUNINGROOM_H
#define TIDEMARK_PROCESSOR_INSIGHT_TUNINGROOM_H

#include "tidemark/insight/logistic.h"
#include "tidemark/insight/shape.h"
#include "tidemark/insight/tuning.h"

typedef struct tm_tuning_item {
    uint32_t account, card;
    tm_time t;
    size_t values; /* index of the first */
} tm_tuning_item;

typedef struct tm_tuning_deck { /* a card as it is */
    tm_tuning_factor factors[TM_FACTORS_MAX];
    uint32_t count;
} tm_tuning_deck;

struct tm_tuning {
    tm_tuning_item *cases;
    double *values;
    tm_tuning_deck *cards;
    size_t count, room, value_count, value_room;
    uint32_t card_count, card_room;
};

/* What fitting works on: the cases in order of time, then of the account's name, and who they are. */
typedef struct tm_tuning_view {
    const tm_tuning *tuning;
    const tm_tuning_settings *settings;
    const tm_tuning_account *accounts;
    uint32_t account_count;
    const uint32_t *ranks; /* of accounts by name */
} tm_tuning_view;

/* A fitted card: contributions to the logit. */
typedef struct tm_tuning_fit {
    tm_shape shapes[TM_FACTORS_MAX];
    double at[TM_FACTORS_MAX][TM_SHAPE_POINTS_MAX]; /* the contribution at each point */
    double intercept;
} tm_tuning_fit;

/* Whether the account of the case is one that counts then. */
bool tm_tuningroom_counts(const tm_tuning_view *view, const tm_tuning_item *item);
/* A card's score as the rules have it; `tuned` NULL: with the maps and weights as they were. NaN: none. */
double tm_tuningroom_score(const tm_tuning_deck *card, const tm_tuned_card *tuned, const double *values);
/* Fits one card and fills everything but the factors' maps and weights. */
tm_status tm_tuningroom_fit(const tm_tuning_view *view, uint32_t card, tm_tuned_card *ret_card, tm_tuning_fit *ret_fit);

#endif
