/* The solver against what its answer has to fulfil, computed another way, and against cases with a closed solution. */
#include "tidemark/insight/logistic.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static uint64_t state = 1;

static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 11) * 0x1p-53;
}

enum { N = 400, P = 6 };
static double rows[N * P];
static double offsets[N];
static uint8_t came[N];

static void draw(double strength)
{
    for (int i = 0; i < N; i++) {
        double h = -1;
        for (int k = 0; k < P; k++) {
            rows[i * P + k] = (uniform() - 0.5) * (k + 1) + (k ? rows[i * P] * 0.5 : 0);
            h += strength * (k % 3 - 1) * rows[i * P + k];
        }
        offsets[i] = log(0.1 + uniform());
        came[i] = uniform() < 1 / (1 + exp(-h - offsets[i]));
    }
}

/* Its slope at the answer, by two differences of the objective itself. */
static double objective(const tm_logistic *p, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        double h = b[0] + (p->offsets ? p->offsets[i] : 0);
        for (uint32_t k = 0; k < p->width; k++)
            h += b[k + 1] * p->rows[i * p->width + k];
        sum += log(1 + exp(h)) - p->came[i] * h;
    }
    sum /= (double)p->count;
    for (uint32_t k = 0; k < p->width; k++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < p->count; i++)
            mean += p->rows[i * p->width + k] / (double)p->count;
        for (size_t i = 0; i < p->count; i++)
            square += pow(p->rows[i * p->width + k] - mean, 2) / (double)p->count;
        sum += p->penalty / 2 * square * b[k + 1] * b[k + 1];
    }
    return sum;
}

/* It is convex: no slope inside the bounds, none that leads inwards at a bound, and it is the least. */
Test(logistic, answers_are_the_least)
{
    static const double penalties[] = {0, 1e-4, 0.01, 1};
    for (int round = 0; round < 40; round++) {
        int8_t signs[P];
        draw(round % 4 * 0.4);
        for (int k = 0; k < P; k++)
            signs[k] = round % 2 ? (int8_t)((int)(uniform() * 3) - 1) : 0;
        tm_logistic p = {rows, round % 3 ? offsets : NULL, came, N, P, round % 2 ? signs : NULL, penalties[round % 4]};
        double b[P + 1];
        cr_assert_eq(tm_logistic_fit(&p, b), TM_OK);
        for (int k = 0; k <= P; k++) {
            double there[P + 1], step = 1e-5;
            memcpy(there, b, sizeof b);
            there[k] = b[k] + step;
            double up = objective(&p, there);
            there[k] = b[k] - step;
            double slope = (up - objective(&p, there)) / (2 * step);
            int sign = k && p.signs ? p.signs[k - 1] : 0;
            cr_assert(sign == 0 || sign * b[k] >= 0, "round %d, %d: %g", round, k, b[k]);
            if (sign != 0 && b[k] == 0)
                cr_assert(sign * slope > -1e-8, "round %d, %d: slope %g at the bound", round, k, slope);
            else
                cr_assert(fabs(slope) < 1e-8, "round %d, %d: slope %g", round, k, slope);
        }
    }
}

/* One column of 0 and 1: the odds of each side are its own share. */
Test(logistic, two_groups_are_their_shares)
{
    double column[100];
    uint8_t word[100];
    for (int i = 0; i < 100; i++) {
        column[i] = i >= 60;
        word[i] = i < 15 || i >= 70; /* 15 of 60, 30 of 40 */
    }
    double b[2];
    tm_logistic p = {.rows = column, .came = word, .count = 100, .width = 1};
    cr_assert_eq(tm_logistic_fit(&p, b), TM_OK);
    cr_assert(fabs(b[0] - log(15.0 / 45)) < 1e-9 && fabs(b[0] + b[1] - log(30.0 / 10)) < 1e-9, "%.12g %.12g", b[0],
              b[1]);
    cr_assert(fabs(tm_logistic_of(b, &column[99], 1) - log(3)) < 1e-9);
    cr_assert(fabs(tm_logistic_deviance(log(3), 1) + 2 * log(0.75)) < 1e-12);
    cr_assert(fabs(tm_logistic_deviance(log(3), 0) + 2 * log(0.25)) < 1e-12);
    cr_assert(tm_logistic_deviance(800, 0) == 1600 && tm_logistic_deviance(800, 1) == 0);
}

Test(logistic, same_bits_again_and_refusals)
{
    double b[P + 1], again[P + 1];
    draw(1);
    for (int i = 0; i < N; i++)
        rows[i * P + 3] = 7; /* the same everywhere */
    tm_logistic p = {rows, NULL, came, N, P, NULL, 0.01};
    cr_assert_eq(tm_logistic_fit(&p, b), TM_OK);
    cr_assert_eq(tm_logistic_fit(&p, again), TM_OK);
    cr_assert_eq(memcmp(b, again, sizeof b), 0);
    cr_assert_eq(b[4], 0);
    memset(came, 0, sizeof came);
    cr_assert_eq(tm_logistic_fit(&p, b), TM_REJECT, "nobody came");
    memset(came, 1, sizeof came);
    cr_assert_eq(tm_logistic_fit(&p, b), TM_REJECT, "all came");
    p.count = 0;
    cr_assert_eq(tm_logistic_fit(&p, b), TM_REJECT);
    p.count = N;
    p.width = TM_LOGISTIC_WIDTH_MAX + 1;
    cr_assert_eq(tm_logistic_fit(&p, b), TM_REJECT);
}
