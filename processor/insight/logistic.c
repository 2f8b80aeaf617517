#include "tidemark/insight/logistic.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 100, SWEEPS_MAX = 2000, HALVINGS_MAX = 40 };
static const double STEP_END = 1e-10;  /* of the greatest step, in standard deviations */
static const double SWEEP_END = 1e-13; /* likewise */

/* Columns are centred and divided by their standard deviation; `size` counts the intercept. */
typedef struct work {
    const tm_logistic *problem;
    uint32_t size;
    double *means, *spreads;              /* a column; spread 0: the same everywhere */
    double *gradient, *step, *trial, *at; /* `size` each */
    double *hessian;                      /* size × size */
    double *rows;                         /* count × size: 1, then the standardised columns */
} work;

double tm_logistic_of(const double *coefficients, const double *row, uint32_t width)
{
    double sum = coefficients[0];
    for (uint32_t k = 0; k < width; k++)
        sum += coefficients[k + 1] * row[k];
    return sum;
}

/* log(1 + exp(x)) where exp(x) would overflow, too. */
static double soft(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double tm_logistic_deviance(double logit, int came)
{
    return 2 * (soft(logit) - (came ? logit : 0));
}

static void standardise(work *w)
{
    const tm_logistic *p = w->problem;
    double n = (double)p->count;
    for (uint32_t k = 0; k < p->width; k++) {
        double sum = 0;
        for (size_t i = 0; i < p->count; i++)
            sum += p->rows[i * p->width + k];
        w->means[k] = sum / n;
        double squares = 0;
        for (size_t i = 0; i < p->count; i++) {
            double d = p->rows[i * p->width + k] - w->means[k];
            squares += d * d;
        }
        double spread = sqrt(squares / n);
        w->spreads[k] = spread > 1e-9 * (1 + fabs(w->means[k])) ? spread : 0;
    }
}

static void standardise_rows(work *w)
{
    const tm_logistic *p = w->problem;
    for (size_t i = 0; i < p->count; i++) {
        const double *from = p->rows + i * p->width;
        double *row = w->rows + i * w->size;
        row[0] = 1;
        for (uint32_t k = 0; k < p->width; k++)
            row[k + 1] = w->spreads[k] > 0 ? (from[k] - w->means[k]) / w->spreads[k] : 0;
    }
}

static double logit_at(const work *w, const double *b, const double *row, size_t i)
{
    double sum = w->problem->offsets ? w->problem->offsets[i] : 0;
    for (uint32_t k = 0; k < w->size; k++)
        sum += b[k] * row[k];
    return sum;
}

static double objective(const work *w, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < w->problem->count; i++) {
        const double *row = w->rows + i * w->size;
        double h = logit_at(w, b, row, i);
        sum += soft(h) - (w->problem->came[i] ? h : 0);
    }
    double squares = 0;
    for (uint32_t k = 1; k < w->size; k++)
        squares += b[k] * b[k];
    return sum / (double)w->problem->count + w->problem->penalty / 2 * squares;
}

/* First and second derivatives of the objective. */
static void derive(work *w)
{
    uint32_t size = w->size;
    memset(w->gradient, 0, size * sizeof *w->gradient);
    memset(w->hessian, 0, (size_t)size * size * sizeof *w->hessian);
    for (size_t i = 0; i < w->problem->count; i++) {
        const double *row = w->rows + i * w->size;
        double chance = 1 / (1 + exp(-logit_at(w, w->at, row, i)));
        double off = chance - w->problem->came[i];
        double weight = chance * (1 - chance);
        for (uint32_t k = 0; k < size; k++) {
            w->gradient[k] += off * row[k];
            double part = weight * row[k];
            for (uint32_t j = 0; j <= k; j++)
                w->hessian[(size_t)k * size + j] += part * row[j];
        }
    }
    double n = (double)w->problem->count;
    for (uint32_t k = 0; k < size; k++) {
        w->gradient[k] = w->gradient[k] / n + (k ? w->problem->penalty * w->at[k] : 0);
        for (uint32_t j = 0; j <= k; j++)
            w->hessian[(size_t)k * size + j] /= n;
        w->hessian[(size_t)k * size + k] += k ? w->problem->penalty : 0;
        for (uint32_t j = 0; j < k; j++)
            w->hessian[(size_t)j * size + k] = w->hessian[(size_t)k * size + j];
    }
}

static double within(const work *w, uint32_t k, double b)
{
    int sign = k && w->problem->signs ? w->problem->signs[k - 1] : 0;
    return (sign > 0 && b < 0) || (sign < 0 && b > 0) ? 0 : b;
}

/* The step that makes the quadratic least, one coordinate after the other. */
static void solve(work *w)
{
    uint32_t size = w->size;
    memset(w->step, 0, size * sizeof *w->step);
    for (int sweep = 0; sweep < SWEEPS_MAX; sweep++) {
        double greatest = 0;
        for (uint32_t k = 0; k < size; k++) {
            const double *column = w->hessian + (size_t)k * size;
            if (column[k] < 1e-15 || (k && w->spreads[k - 1] <= 0))
                continue;
            double slope = w->gradient[k];
            for (uint32_t j = 0; j < size; j++)
                slope += column[j] * w->step[j];
            double to = within(w, k, w->at[k] + w->step[k] - slope / column[k]);
            double moved = to - w->at[k] - w->step[k];
            w->step[k] += moved;
            greatest = fabs(moved) > greatest ? fabs(moved) : greatest;
        }
        if (greatest < SWEEP_END)
            break;
    }
}

/* Goes along the step as far as the objective falls; the greatest part of it. */
static double go(work *w, double *value)
{
    double part = 1;
    for (int halving = 0; halving < HALVINGS_MAX; halving++) {
        double greatest = 0;
        for (uint32_t k = 0; k < w->size; k++) {
            w->trial[k] = w->at[k] + part * w->step[k];
            greatest = fabs(part * w->step[k]) > greatest ? fabs(part * w->step[k]) : greatest;
        }
        double there = objective(w, w->trial);
        if (there <= *value) {
            memcpy(w->at, w->trial, w->size * sizeof *w->at);
            *value = there;
            return greatest;
        }
        part /= 2;
    }
    return 0;
}

tm_status tm_logistic_fit(const tm_logistic *problem, double *coefficients)
{
    size_t came = 0;
    for (size_t i = 0; i < problem->count; i++)
        came += problem->came[i];
    if (problem->width > TM_LOGISTIC_WIDTH_MAX || came == 0 || came == problem->count)
        return TM_REJECT;
    size_t size = (size_t)problem->width + 1;
    double *room = calloc(6 * size + size * size + problem->count * size, sizeof *room);
    if (!room)
        return TM_FATAL;
    work w = {.problem = problem,
              .size = (uint32_t)size,
              .means = room,
              .spreads = room + size,
              .gradient = room + 2 * size,
              .step = room + 3 * size,
              .trial = room + 4 * size,
              .at = room + 5 * size,
              .hessian = room + 6 * size,
              .rows = room + 6 * size + size * size};
    standardise(&w);
    standardise_rows(&w);
    w.at[0] = log((double)came / (double)(problem->count - came));
    double value = objective(&w, w.at);
    for (int i = 0; i < STEPS_MAX; i++) {
        derive(&w);
        solve(&w);
        if (go(&w, &value) < STEP_END)
            break;
    }
    coefficients[0] = w.at[0];
    for (size_t k = 1; k < size; k++) {
        coefficients[k] = w.spreads[k - 1] > 0 ? w.at[k] / w.spreads[k - 1] : 0;
        coefficients[0] -= coefficients[k] * w.means[k - 1];
    }
    free(room);
    return TM_OK;
}
