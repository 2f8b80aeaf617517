/* One card: the design, the rolling origin, the fit. Part of the room `tuning`. */
#include "tuningroom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMS = 3, PENALTIES = 6, FOLD_LOST_MIN = 10 };
static const uint32_t segments_of[FORMS] = {1, 2, 4};
/* From next to nothing learned to next to nothing held back. */
static const double penalties[PENALTIES] = {0.3, 0.1, 0.03, 0.01, 0.003, 0.001};
/* A case has to be watched so long at least, and a factor answered by such a share of the cases. */
static const int64_t WATCHED_MIN = 7 * TM_DAY;
static const double ANSWERED_MIN = 0.1;

typedef const tm_tuning_item *item_at;

/* Cases of a card between two instants, with what was known of them at a third. */
typedef struct sample {
    item_at *items;
    uint8_t *came;
    double *offsets;
    size_t count;
    uint64_t lost; /* accounts */
} sample;

/* A sample's rows: ramps of each factor's shape; what has no answer stands at their mean. */
typedef struct design {
    tm_shape shapes[TM_FACTORS_MAX];
    uint32_t first[TM_FACTORS_MAX + 1]; /* column */
    double means[TM_LOGISTIC_WIDTH_MAX];
    double *rows;
} design;

static void sample_done(sample *s)
{
    free(s->items);
    free(s->came);
    free(s->offsets);
    *s = (sample){0};
}

static tm_status take_sample(const tm_tuning_view *v, uint32_t card, tm_time from, tm_time to, tm_time known,
                             sample *ret_sample)
{
    int64_t horizon = v->settings->horizon;
    int64_t least = horizon < WATCHED_MIN ? horizon : WATCHED_MIN;
    size_t all = v->tuning->count;
    sample s = {.items = calloc(all + 1, sizeof(item_at)),
                .came = calloc(all + 1, sizeof *s.came),
                .offsets = calloc(all + 1, sizeof *s.offsets)};
    uint8_t *seen = calloc((size_t)v->account_count + 1, 1);
    if (!s.items || !s.came || !s.offsets || !seen) {
        free(seen);
        sample_done(&s);
        return TM_FATAL;
    }
    for (size_t i = 0; i < all; i++) {
        const tm_tuning_item *item = &v->tuning->cases[i];
        int64_t watched = known - item->t;
        if (item->card != card || item->t < from || item->t >= to || watched < least || !tm_tuningroom_counts(v, item))
            continue;
        watched = watched < horizon ? watched : horizon;
        bool came = v->accounts[item->account].lost <= item->t + watched;
        s.lost += came && !seen[item->account];
        seen[item->account] |= came;
        s.items[s.count] = item;
        s.came[s.count] = came;
        s.offsets[s.count++] = log((double)watched / (double)horizon);
    }
    free(seen);
    *ret_sample = s;
    return TM_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double value_of(const tm_tuning_view *v, const tm_tuning_item *item, uint32_t factor)
{
    return v->tuning->values[item->values + factor];
}

/* A factor's values in the sample, sorted. */
static size_t collect(const tm_tuning_view *v, const sample *s, uint32_t factor, double *values)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        double value = value_of(v, s->items[i], factor);
        if (!isnan(value))
            values[count++] = value;
    }
    if (count)
        qsort(values, count, sizeof *values, ascending);
    return count;
}

static void fill_row(const tm_tuning_view *v, const design *d, const tm_tuning_item *item, uint32_t factors,
                     double *row)
{
    for (uint32_t f = 0; f < factors; f++) {
        double value = value_of(v, item, f);
        if (!isnan(value))
            tm_shape_ramps(&d->shapes[f], value, row + d->first[f]);
        else
            for (uint32_t k = d->first[f]; k < d->first[f + 1]; k++)
                row[k] = d->means[k];
    }
}

static tm_status make_design(const tm_tuning_view *v, uint32_t card, const sample *s, uint32_t segments,
                             design *ret_design)
{
    const tm_tuning_deck *deck = &v->tuning->cards[card];
    double *values = calloc(s->count + 1, sizeof *values);
    if (!values)
        return TM_FATAL;
    *ret_design = (design){0};
    design *d = ret_design;
    uint32_t width = 0;
    for (uint32_t f = 0; f < deck->count; f++) {
        size_t answered = collect(v, s, f, values);
        if ((double)answered >= ANSWERED_MIN * (double)s->count)
            d->shapes[f] = tm_shape_of(values, answered, segments, deck->factors[f].duration);
        d->first[f] = width;
        width += d->shapes[f].points ? d->shapes[f].points - 1 : 0;
        /* Means of what is answered, in the order of the cases. */
        double ramps[TM_SHAPE_POINTS_MAX];
        for (size_t i = 0; i < s->count && d->shapes[f].points; i++) {
            double value = value_of(v, s->items[i], f);
            if (isnan(value))
                continue;
            tm_shape_ramps(&d->shapes[f], value, ramps);
            for (uint32_t k = d->first[f]; k < width; k++)
                d->means[k] += ramps[k - d->first[f]] / (double)answered;
        }
    }
    d->first[deck->count] = width;
    free(values);
    d->rows = calloc(s->count * width + 1, sizeof *d->rows);
    if (!d->rows)
        return TM_FATAL;
    for (size_t i = 0; i < s->count; i++)
        fill_row(v, d, s->items[i], deck->count, d->rows + i * width);
    return TM_OK;
}

/* 1 for a map that rises, -1 for one that falls, 0 for neither. */
static int direction_of(const tm_tuning_map *map)
{
    bool rises = false;
    bool falls = false;
    for (uint32_t i = 1; i < map->points; i++) {
        rises |= map->y[i] > map->y[i - 1];
        falls |= map->y[i] < map->y[i - 1];
    }
    return (int)rises - (int)falls;
}

/* Which way each factor goes: as its map does, or as the straight fit says. `straight` has one segment a factor. */
static tm_status find_signs(const tm_tuning_view *v, uint32_t card, const sample *s, const design *straight,
                            double penalty, int8_t *signs)
{
    const tm_tuning_deck *deck = &v->tuning->cards[card];
    int8_t fixed[TM_FACTORS_MAX] = {0};
    double b[TM_LOGISTIC_WIDTH_MAX + 1] = {0};
    for (uint32_t f = 0; f < deck->count; f++) {
        signs[f] = 0;
        if (v->settings->keep_directions)
            signs[f] = (int8_t)-direction_of(&deck->factors[f].map);
        if (straight->first[f] < straight->first[f + 1])
            fixed[straight->first[f]] = signs[f];
    }
    tm_status status = tm_logistic_fit(
        &(tm_logistic){straight->rows, s->offsets, s->came, s->count, straight->first[deck->count], fixed, penalty}, b);
    for (uint32_t f = 0; status == TM_OK && f < deck->count; f++)
        if (signs[f] == 0 && straight->first[f] < straight->first[f + 1])
            signs[f] = b[straight->first[f] + 1] > 0 ? 1 : -1;
    return status;
}

static tm_status fit_design(const tm_tuning_view *v, uint32_t card, const sample *s, const design *straight,
                            const design *d, double penalty, double *b)
{
    uint32_t factors = v->tuning->cards[card].count;
    int8_t signs[TM_FACTORS_MAX] = {0};
    int8_t columns[TM_LOGISTIC_WIDTH_MAX] = {0};
    if (d == straight && !v->settings->keep_directions) /* nothing binds it: this is the straight fit */
        return tm_logistic_fit(&(tm_logistic){d->rows, s->offsets, s->came, s->count, d->first[factors], NULL, penalty},
                               b);
    tm_status status = find_signs(v, card, s, straight, penalty, signs);
    for (uint32_t f = 0; f < factors; f++)
        for (uint32_t k = d->first[f]; k < d->first[f + 1]; k++)
            columns[k] = signs[f];
    return status == TM_OK
               ? tm_logistic_fit(
                     &(tm_logistic){d->rows, s->offsets, s->came, s->count, d->first[factors], columns, penalty}, b)
               : status;
}

/* A span foretold from what was known at its beginning. */
typedef struct fold {
    sample before, after;
    design designs[FORMS];
} fold;

static void fold_done(fold *f)
{
    sample_done(&f->before);
    sample_done(&f->after);
    for (int i = 0; i < FORMS; i++)
        free(f->designs[i].rows);
}

static tm_status make_fold(const tm_tuning_view *v, uint32_t card, tm_time from, tm_time to, uint32_t forms, fold *f)
{
    tm_status status = take_sample(v, card, TM_TIME_NONE, from, from, &f->before);
    if (status == TM_OK)
        status = take_sample(v, card, from, to, v->settings->cut, &f->after);
    if (f->before.lost < FOLD_LOST_MIN)
        f->after.count = 0; /* nothing to foretell it from */
    for (uint32_t i = 0; status == TM_OK && i < forms && i < FORMS && f->after.count; i++)
        status = make_design(v, card, &f->before, segments_of[i], &f->designs[i]);
    return status;
}

/* The logits of the span's cases; TM_REJECT where nothing can be fitted. */
static tm_status foretell(const tm_tuning_view *v, uint32_t card, const fold *f, uint32_t form, double penalty,
                          double *logits)
{
    const design *d = &f->designs[form];
    uint32_t factors = v->tuning->cards[card].count;
    double b[TM_LOGISTIC_WIDTH_MAX + 1] = {0};
    double row[TM_LOGISTIC_WIDTH_MAX] = {0};
    tm_status status = fit_design(v, card, &f->before, &f->designs[0], d, penalty, b);
    for (size_t i = 0; status == TM_OK && i < f->after.count; i++) {
        fill_row(v, d, f->after.items[i], factors, row);
        logits[i] = tm_logistic_of(b, row, d->first[factors]);
    }
    return status;
}

/* --- how the score so far and the foretold risk rank the same cases --- */

typedef struct placed {
    double score;
    size_t at;
} placed;

static int by_score(const void *a, const void *b)
{
    const placed *x = a;
    const placed *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Scores of one week to the share of its cases below, ties half. */
static void to_percentiles(tm_ranked *cases, size_t count, placed *room)
{
    for (size_t i = 0; i < count; i++)
        room[i] = (placed){cases[i].score, i};
    if (count)
        qsort(room, count, sizeof *room, by_score);
    for (size_t i = 0; i < count;) {
        size_t j = i;
        while (j < count && room[j].score == room[i].score)
            j++;
        for (size_t k = i; k < j; k++)
            cases[room[k].at].score = ((double)i + (double)j) / (2 * (double)count);
        i = j;
    }
}

static tm_status compare(const tm_tuning_view *v, uint32_t card, const fold *folds, double *const *logits,
                         tm_gain *ret_gain)
{
    size_t all = 0;
    for (uint32_t f = 0; f < v->settings->folds; f++)
        all += folds[f].after.count;
    tm_ranked *before = calloc(all + 1, sizeof *before);
    tm_ranked *after = calloc(all + 1, sizeof *after);
    placed *room = calloc(all + 1, sizeof *room);
    uint32_t *weights = calloc((size_t)v->account_count + 1, sizeof *weights);
    tm_status status = before && after && room && weights ? TM_OK : TM_FATAL;
    size_t count = 0;
    for (uint32_t f = 0; status == TM_OK && f < v->settings->folds; f++) {
        const sample *s = &folds[f].after;
        size_t week = count;
        for (size_t i = 0; i < s->count; i++) {
            const tm_tuning_item *item = s->items[i];
            double score = tm_tuningroom_score(&v->tuning->cards[card], NULL, v->tuning->values + item->values);
            if (!isnan(score)) {
                before[count] = (tm_ranked){score, v->ranks[item->account], s->came[i]};
                after[count++] = (tm_ranked){-logits[f][i], v->ranks[item->account], s->came[i]};
            }
            if (i + 1 == s->count || s->items[i + 1]->t != item->t) {
                to_percentiles(before + week, count - week, room);
                to_percentiles(after + week, count - week, room);
                week = count;
            }
        }
    }
    if (status == TM_OK)
        *ret_gain = tm_estimate_gain(before, after, count, v->account_count, weights);
    free(before);
    free(after);
    free(room);
    free(weights);
    return status;
}

/* Tries every form with every penalty over the folds; the least deviance wins, the simpler where two are as good. */
static tm_status choose(const tm_tuning_view *v, uint32_t card, const fold *folds, uint32_t forms, double **logits,
                        uint32_t *ret_form, double *ret_penalty)
{
    double best = INFINITY;
    for (uint32_t form = 0; form < forms; form++)
        for (int p = 0; p < PENALTIES; p++) {
            double deviance = 0;
            for (uint32_t f = 0; f < v->settings->folds; f++) {
                const sample *s = &folds[f].after;
                tm_status status = s->count ? foretell(v, card, &folds[f], form, penalties[p], logits[f]) : TM_OK;
                if (status != TM_OK)
                    return status;
                for (size_t i = 0; i < s->count; i++)
                    deviance += tm_logistic_deviance(logits[f][i] + s->offsets[i], s->came[i]);
            }
            if (deviance < best * (1 - 1e-9) || isinf(best)) {
                best = deviance;
                *ret_form = form;
                *ret_penalty = penalties[p];
            }
        }
    for (uint32_t f = 0; f < v->settings->folds; f++)
        if (folds[f].after.count) {
            tm_status status = foretell(v, card, &folds[f], *ret_form, *ret_penalty, logits[f]);
            if (status != TM_OK)
                return status;
        }
    return TM_OK;
}

static tm_status validate(const tm_tuning_view *v, uint32_t card, tm_time first, uint32_t forms, uint32_t *ret_form,
                          tm_tuned_card *tuned)
{
    uint32_t count = v->settings->folds;
    tm_time span = (v->settings->cut - first) / (count + 1);
    fold *folds = calloc(count, sizeof *folds);
    double **logits = calloc(count, sizeof *logits);
    tm_status status = folds && logits ? TM_OK : TM_FATAL;
    size_t judged = 0;
    for (uint32_t f = 0; status == TM_OK && f < count; f++) {
        tm_time from = first + span * (f + 1);
        tm_time to = f + 1 == count ? v->settings->cut : from + span;
        status = make_fold(v, card, from, to, forms, &folds[f]);
        logits[f] = calloc(folds[f].after.count + 1, sizeof **logits);
        status = logits[f] ? status : TM_FATAL;
        judged += folds[f].after.count;
    }
    if (status == TM_OK && judged == 0)
        status = TM_REJECT;
    if (status == TM_OK)
        status = choose(v, card, folds, forms, logits, ret_form, &tuned->penalty);
    if (status == TM_OK)
        status = compare(v, card, folds, logits, &tuned->validation);
    for (uint32_t f = 0; f < count; f++) {
        if (folds)
            fold_done(&folds[f]);
        if (logits)
            free(logits[f]);
    }
    free(logits);
    free(folds);
    return status;
}

/* --- the card itself --- */

/* Of the thirds with the lowest and the highest values, among cases whose horizon was over: how many were lost. */
static tm_status weigh_thirds(const tm_tuning_view *v, const sample *s, uint32_t factor, tm_tuned_factor *tuned)
{
    double *values = calloc(s->count + 1, sizeof *values);
    if (!values)
        return TM_FATAL;
    size_t count = collect(v, s, factor, values);
    double low = tm_quantile(values, count, 1.0 / 3);
    double high = tm_quantile(values, count, 2.0 / 3);
    free(values);
    uint64_t lost[2] = {0};
    uint64_t all[2] = {0};
    for (size_t i = 0; i < s->count; i++) {
        double value = value_of(v, s->items[i], factor);
        if (s->offsets[i] < 0 || isnan(value))
            continue;
        for (int end = 0; end < 2; end++)
            if (end ? value >= high : value <= low) {
                all[end]++;
                lost[end] += s->came[i];
            }
    }
    tuned->low = tm_estimate_proportion(lost[0], all[0]);
    tuned->high = tm_estimate_proportion(lost[1], all[1]);
    return TM_OK;
}

static tm_status fit_whole(const tm_tuning_view *v, uint32_t card, const sample *s, const design *straight,
                           const design *d, double penalty, tm_tuning_fit *ret_fit)
{
    const tm_tuning_deck *deck = &v->tuning->cards[card];
    double b[TM_LOGISTIC_WIDTH_MAX + 1] = {0};
    tm_status status = fit_design(v, card, s, straight, d, penalty, b);
    if (status != TM_OK)
        return status;
    ret_fit->intercept = b[0];
    for (uint32_t f = 0; f < deck->count; f++) {
        ret_fit->shapes[f] = d->shapes[f];
        double sum = 0;
        for (uint32_t k = 0; k < d->shapes[f].points; k++) {
            ret_fit->at[f][k] = sum;
            sum += k + 1 < d->shapes[f].points ? b[d->first[f] + k + 1] : 0;
        }
    }
    return TM_OK;
}

static void find_lessons(const tm_tuning_view *v, uint32_t card, const tm_tuning_fit *fit, tm_tuned_card *tuned)
{
    const tm_tuning_deck *deck = &v->tuning->cards[card];
    for (uint32_t f = 0; f < deck->count; f++) {
        uint32_t points = fit->shapes[f].points;
        double change = points ? fit->at[f][points - 1] : 0; /* of the logit of being lost */
        int was = direction_of(&deck->factors[f].map);
        tuned->factors[f].lesson = points == 0                             ? TM_LESSON_KEPT
                                   : fabs(change) < 1e-6                   ? TM_LESSON_NOTHING
                                   : was != 0 && (change < 0) != (was > 0) ? TM_LESSON_TURNED
                                                                           : TM_LESSON_LEARNED;
    }
}

tm_status tm_tuningroom_fit(const tm_tuning_view *view, uint32_t card, tm_tuned_card *ret_card, tm_tuning_fit *ret_fit)
{
    const tm_tuning_deck *deck = &view->tuning->cards[card];
    sample s = {0};
    design designs[FORMS] = {0};
    uint32_t forms = 0;
    uint32_t form = 0;
    tm_status status = take_sample(view, card, TM_TIME_NONE, view->settings->cut, view->settings->cut, &s);
    for (uint32_t i = 0; status == TM_OK && i < FORMS; i++)
        status = make_design(view, card, &s, segments_of[i], &designs[i]);
    for (uint32_t f = 0; status == TM_OK && f < deck->count; f++)
        status = weigh_thirds(view, &s, f, &ret_card->factors[f]);
    if (status != TM_OK)
        goto out;
    ret_card->cases = s.count;
    ret_card->lost = s.lost;
    ret_card->coefficients = designs[0].first[deck->count];
    ret_card->needed = (uint64_t)TM_TUNING_LOST_EACH * ret_card->coefficients;
    ret_card->needed = ret_card->needed < TM_TUNING_LOST_MIN ? TM_TUNING_LOST_MIN : ret_card->needed;
    if (s.lost < ret_card->needed || s.count == 0) {
        ret_card->verdict = TM_VERDICT_TOO_FEW;
        goto out;
    }
    if (ret_card->coefficients == 0) {
        ret_card->verdict = TM_VERDICT_SAME;
        goto out;
    }
    while (forms < FORMS && s.lost >= (uint64_t)TM_TUNING_LOST_EACH * designs[forms].first[deck->count])
        forms++;
    status = validate(view, card, s.items[0]->t, forms, &form, ret_card);
    if (status == TM_REJECT) { /* no span has enough before it */
        ret_card->verdict = TM_VERDICT_TOO_FEW;
        status = TM_OK;
        goto out;
    }
    if (status == TM_OK)
        status = fit_whole(view, card, &s, &designs[0], &designs[form], ret_card->penalty, ret_fit);
    ret_card->segments = segments_of[form];
    ret_card->coefficients = designs[form].first[deck->count];
    ret_card->verdict = ret_card->validation.gain.low > 0 ? TM_VERDICT_CHANGED : TM_VERDICT_NO_GAIN;
    find_lessons(view, card, ret_fit, ret_card);
out:
    for (int i = 0; i < FORMS; i++)
        free(designs[i].rows);
    sample_done(&s);
    return status;
}
