#include "tuningroom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCALE = 100, STRAIGHT = 2 };

tm_tuning *tm_tuning_new(void)
{
    return calloc(1, sizeof(tm_tuning));
}

void tm_tuning_free(tm_tuning *tuning)
{
    if (!tuning)
        return;
    free(tuning->cases);
    free(tuning->values);
    free(tuning->cards);
    free(tuning);
}

static bool grow(void *items, size_t count, size_t *room, size_t size)
{
    void **array = items;
    if (count <= *room)
        return true;
    size_t wanted = *room ? *room * 2 : 64;
    wanted = wanted < count ? count : wanted;
    void *bigger = reallocarray(*array, wanted, size);
    if (!bigger)
        return false;
    *array = bigger;
    *room = wanted;
    return true;
}

uint32_t tm_tuning_card(tm_tuning *tuning, const tm_tuning_factor *factors, uint32_t count)
{
    size_t room = tuning->card_room;
    if (!grow(&tuning->cards, (size_t)tuning->card_count + 1, &room, sizeof *tuning->cards))
        return UINT32_MAX;
    tuning->card_room = (uint32_t)room;
    tm_tuning_deck *deck = &tuning->cards[tuning->card_count];
    deck->count = count < TM_FACTORS_MAX ? count : TM_FACTORS_MAX;
    memcpy(deck->factors, factors, deck->count * sizeof *factors);
    return tuning->card_count++;
}

tm_status tm_tuning_case(tm_tuning *tuning, uint32_t account, tm_time t, uint32_t card, const double *values)
{
    uint32_t factors = tuning->cards[card].count;
    if (!grow(&tuning->cases, tuning->count + 1, &tuning->room, sizeof *tuning->cases) ||
        !grow(&tuning->values, tuning->value_count + factors, &tuning->value_room, sizeof *tuning->values))
        return TM_FATAL;
    tuning->cases[tuning->count++] = (tm_tuning_item){account, card, t, tuning->value_count};
    memcpy(tuning->values + tuning->value_count, values, factors * sizeof *values);
    tuning->value_count += factors;
    return TM_OK;
}

/* --- scores --- */

double tm_tuning_points(const tm_tuning_map *map, double value)
{
    uint32_t at = 0;
    if (isnan(value))
        return NAN;
    while (at + 1 < map->points && value > map->x[at])
        at++;
    double y = map->y[at];
    if (at > 0 && value < map->x[at])
        y = map->y[at - 1] + (y - map->y[at - 1]) * ((value - map->x[at - 1]) / (map->x[at] - map->x[at - 1]));
    return y;
}

double tm_tuningroom_score(const tm_tuning_deck *card, const tm_tuned_card *tuned, const double *values)
{
    double sum = 0;
    double present = 0;
    for (uint32_t f = 0; f < card->count; f++) {
        double points = tm_tuning_points(tuned ? &tuned->factors[f].map : &card->factors[f].map, values[f]);
        double weight = tuned ? tuned->factors[f].weight : card->factors[f].weight;
        if (isnan(points))
            continue;
        sum += weight * points;
        present += weight;
    }
    return present > 0 ? rint(sum / present * 10) / 10 : NAN;
}

bool tm_tuningroom_counts(const tm_tuning_view *view, const tm_tuning_item *item)
{
    const tm_tuning_account *account = &view->accounts[item->account];
    return account->met != TM_TIME_NONE && item->t - account->met >= view->settings->tenure && item->t < account->lost;
}

/* --- order --- */

static int by_name(const void *a, const void *b, void *context)
{
    const tm_tuning_account *accounts = context;
    const uint32_t *x = a;
    const uint32_t *y = b;
    return tm_slice_compare(accounts[*x].name, accounts[*y].name);
}

static int by_time(const void *a, const void *b, void *context)
{
    const uint32_t *ranks = context;
    const tm_tuning_item *x = a;
    const tm_tuning_item *y = b;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return (ranks[x->account] > ranks[y->account]) - (ranks[x->account] < ranks[y->account]);
}

/* The place of each account among all by name. NULL without memory. */
static uint32_t *rank(const tm_tuning_account *accounts, uint32_t count)
{
    uint32_t *order = calloc((size_t)count + 1, sizeof *order);
    uint32_t *ranks = calloc((size_t)count + 1, sizeof *ranks);
    for (uint32_t i = 0; order && ranks && i < count; i++)
        order[i] = i;
    if (order && ranks && count) {
        union {
            const tm_tuning_account *in;
            void *out;
        } context = {accounts}; /* qsort_r knows no const */
        qsort_r(order, count, sizeof *order, by_name, context.out);
        for (uint32_t i = 0; i < count; i++)
            ranks[order[i]] = i;
    }
    free(order);
    return order ? ranks : (free(ranks), NULL);
}

/* --- from contributions to maps and weights --- */

typedef struct span {
    double low, high;
} span;

/* Between what the contribution of a factor lies. */
static span reach(const tm_tuning_fit *fit, uint32_t factor)
{
    uint32_t points = fit->shapes[factor].points;
    double end = points ? fit->at[factor][points - 1] : 0;
    return (span){end < 0 ? end : 0, end > 0 ? end : 0};
}

static span risk_of(const tm_tuning_fit *fit, uint32_t factors)
{
    span risk = {fit->intercept, fit->intercept};
    for (uint32_t f = 0; f < factors; f++) {
        risk.low += reach(fit, f).low;
        risk.high += reach(fit, f).high;
    }
    return risk;
}

/* Points of a factor's bends: the least risk has `best`, the greatest `worst`. Bends that one would not see go. */
static void draw_map(const tm_tuning_fit *fit, uint32_t factor, double worst, double best, tm_tuning_map *map)
{
    const tm_shape *shape = &fit->shapes[factor];
    span all = reach(fit, factor);
    map->points = shape->points;
    for (uint32_t k = 0; k < shape->points; k++) {
        map->x[k] = shape->x[k];
        map->y[k] = rint(worst + (best - worst) * (all.high - fit->at[factor][k]) / (all.high - all.low));
    }
    for (uint32_t k = 1; k + 1 < map->points;) {
        double way = (map->x[k] - map->x[k - 1]) / (map->x[k + 1] - map->x[k - 1]);
        if (fabs(map->y[k - 1] + way * (map->y[k + 1] - map->y[k - 1]) - map->y[k]) >= STRAIGHT) {
            k++;
            continue;
        }
        memmove(map->x + k, map->x + k + 1, (map->points - k - 1) * sizeof *map->x);
        memmove(map->y + k, map->y + k + 1, (map->points - k - 1) * sizeof *map->y);
        map->points--;
    }
}

/* Whole weights above 0 that sum to 100 and are nearest to the shares (largest remainders). */
static void share_out(double *shares, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += shares[i];
    double rests[TM_FACTORS_MAX] = {0};
    int given = 0;
    for (uint32_t i = 0; i < count; i++) {
        double exact = SCALE * shares[i] / sum;
        shares[i] = exact < 1 ? 1 : floor(exact);
        rests[i] = exact - shares[i];
        given += (int)shares[i];
    }
    while (given != SCALE) {
        bool more = given < SCALE;
        uint32_t at = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++)
            if (more ? at == UINT32_MAX || rests[i] > rests[at]
                     : shares[i] > 1 && (at == UINT32_MAX || rests[i] < rests[at]))
                at = i;
        if (at == UINT32_MAX)
            break; /* more factors than points, which a card cannot have */
        shares[at] += more ? 1 : -1;
        rests[at] -= more ? 1 : -1;
        given += more ? 1 : -1;
    }
}

/* What is kept keeps its share of the weight; the learned factors divide the rest by their reach. */
static void weigh(const tm_tuning_deck *deck, const tm_tuning_fit *fit, tm_tuned_card *card)
{
    double kept = 0;
    double all = 0;
    double reached = 0;
    double shares[TM_FACTORS_MAX];
    for (uint32_t f = 0; f < deck->count; f++) {
        all += deck->factors[f].weight;
        kept += card->factors[f].lesson == TM_LESSON_KEPT ? deck->factors[f].weight : 0;
        reached += reach(fit, f).high - reach(fit, f).low;
    }
    for (uint32_t f = 0; f < deck->count; f++) {
        span own = reach(fit, f);
        shares[f] = card->factors[f].lesson == TM_LESSON_KEPT ? deck->factors[f].weight / all
                                                              : (1 - kept / all) * (own.high - own.low) / reached;
    }
    share_out(shares, deck->count);
    for (uint32_t f = 0; f < deck->count; f++)
        card->factors[f].weight = shares[f];
}

static void draw_card(const tm_tuning_deck *deck, const tm_tuning_fit *fit, span scale, tm_tuned_card *card)
{
    span risk = risk_of(fit, deck->count);
    double width = scale.high - scale.low;
    double best = SCALE * (scale.high - risk.low) / width;
    double worst = SCALE * (scale.high - risk.high) / width;
    for (uint32_t f = 0; f < deck->count; f++)
        if (card->factors[f].lesson == TM_LESSON_LEARNED || card->factors[f].lesson == TM_LESSON_TURNED)
            draw_map(fit, f, worst, best, &card->factors[f].map);
    weigh(deck, fit, card);
}

tm_status tm_tuning_learn(tm_tuning *tuning, const tm_tuning_settings *settings, const tm_tuning_account *accounts,
                          uint32_t account_count, tm_tuned_card *ret_cards)
{
    uint32_t *ranks = rank(accounts, account_count);
    tm_tuning_fit *fits = calloc((size_t)tuning->card_count + 1, sizeof *fits);
    tm_status status = ranks && fits ? TM_OK : TM_FATAL;
    if (status == TM_OK && tuning->count)
        qsort_r(tuning->cases, tuning->count, sizeof *tuning->cases, by_time, ranks);
    tm_tuning_view view = {tuning, settings, accounts, account_count, ranks};
    span scale = {INFINITY, -INFINITY};
    for (uint32_t c = 0; status == TM_OK && c < tuning->card_count; c++) {
        const tm_tuning_deck *deck = &tuning->cards[c];
        ret_cards[c] = (tm_tuned_card){.validation = tm_estimate_gain(NULL, NULL, 0, 0, NULL)};
        for (uint32_t f = 0; f < deck->count; f++) {
            ret_cards[c].factors[f].map = deck->factors[f].map;
            ret_cards[c].factors[f].weight = deck->factors[f].weight;
            ret_cards[c].factors[f].lesson = TM_LESSON_KEPT;
        }
        ret_cards[c].verdict = TM_VERDICT_NOT_ASKED;
        if (settings->only != UINT32_MAX && settings->only != c)
            continue;
        status = tm_tuningroom_fit(&view, c, &ret_cards[c], &fits[c]);
        span risk = risk_of(&fits[c], deck->count);
        if (ret_cards[c].verdict == TM_VERDICT_CHANGED && !(risk.high - risk.low > 1e-6))
            ret_cards[c].verdict = TM_VERDICT_NO_GAIN;
        if (ret_cards[c].verdict == TM_VERDICT_CHANGED) {
            scale.low = risk.low < scale.low ? risk.low : scale.low;
            scale.high = risk.high > scale.high ? risk.high : scale.high;
        }
    }
    for (uint32_t c = 0; status == TM_OK && c < tuning->card_count; c++)
        if (ret_cards[c].verdict == TM_VERDICT_CHANGED)
            draw_card(&tuning->cards[c], &fits[c], scale, &ret_cards[c]);
    free(fits);
    free(ranks);
    return status;
}

tm_status tm_tuning_judge(const tm_tuning *tuning, const tm_tuning_settings *settings,
                          const tm_tuning_account *accounts, uint32_t account_count, const tm_tuned_card *cards,
                          tm_time until, tm_gain *ret_gain)
{
    uint32_t *ranks = rank(accounts, account_count);
    tm_ranked *before = calloc(tuning->count + 1, sizeof *before);
    tm_ranked *after = calloc(tuning->count + 1, sizeof *after);
    uint32_t *weights = calloc((size_t)account_count + 1, sizeof *weights);
    tm_status status = ranks && before && after && weights ? TM_OK : TM_FATAL;
    tm_tuning_view view = {tuning, settings, accounts, account_count, ranks};
    size_t count = 0;
    for (size_t i = 0; status == TM_OK && i < tuning->count; i++) {
        const tm_tuning_item *item = &tuning->cases[i];
        const tm_tuning_deck *deck = &tuning->cards[item->card];
        if (item->t < settings->cut || until - item->t < settings->horizon || !tm_tuningroom_counts(&view, item))
            continue;
        const double *values = tuning->values + item->values;
        double score = tm_tuningroom_score(deck, NULL, values);
        if (isnan(score))
            continue;
        uint32_t came = accounts[item->account].lost - item->t <= settings->horizon;
        before[count] = (tm_ranked){score, ranks[item->account], came};
        after[count++] = (tm_ranked){tm_tuningroom_score(deck, &cards[item->card], values), ranks[item->account], came};
    }
    if (status == TM_OK)
        *ret_gain = tm_estimate_gain(before, after, count, account_count, weights);
    free(weights);
    free(after);
    free(before);
    free(ranks);
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double tm_tuning_edge(const tm_tuning *tuning, const tm_tuning_settings *settings, const tm_tuning_account *accounts,
                      uint32_t account_count, uint32_t card, const tm_tuned_card *tuned, double edge)
{
    tm_tuning_view view = {tuning, settings, accounts, account_count, NULL};
    const tm_tuning_deck *deck = &tuning->cards[card];
    double *scores = calloc(tuning->count + 1, sizeof *scores);
    size_t count = 0;
    size_t below = 0;
    for (size_t i = 0; scores && i < tuning->count; i++) {
        const tm_tuning_item *item = &tuning->cases[i];
        if (item->card != card || item->t >= settings->cut || !tm_tuningroom_counts(&view, item))
            continue;
        double before = tm_tuningroom_score(deck, NULL, tuning->values + item->values);
        if (isnan(before))
            continue;
        below += before < edge;
        scores[count++] = tm_tuningroom_score(deck, tuned, tuning->values + item->values);
    }
    double found = NAN;
    if (count) {
        qsort(scores, count, sizeof *scores, ascending);
        /* A score at the edge is above it. Where all are on one side the edge need not come nearer than it was. */
        found = below == 0       ? fmin(edge, scores[0])
                : below == count ? fmin(fmax(edge, scores[count - 1] + 0.1), SCALE)
                                 : scores[below];
        found = rint(found * 10) / 10;
    }
    free(scores);
    return found;
}
