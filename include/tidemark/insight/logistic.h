/* Logistic regression with a quadratic penalty and, where wanted, coefficients that keep to one side of zero. */
#ifndef TIDEMARK_INSIGHT_LOGISTIC_H
#define TIDEMARK_INSIGHT_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

#include "tidemark/base/status.h"

enum { TM_LOGISTIC_WIDTH_MAX = 160 };

/* `count` observations; everything is borrowed. */
typedef struct tm_logistic {
    const double *rows;    /* count × width numbers, one observation after the other */
    const double *offsets; /* one an observation, added to its logit; NULL: none */
    const uint8_t *came;   /* one an observation, 0 or 1 */
    size_t count;
    uint32_t width;      /* at most TM_LOGISTIC_WIDTH_MAX */
    const int8_t *signs; /* a column: 1 not below 0, -1 not above, 0 either; NULL: either everywhere */
    double penalty;      /* λ, not below 0 */
} tm_logistic;

/* The coefficients b (the intercept first, then one a column) that make least
       the mean over the observations of log(1 + exp(h)) - came · h, where h = b0 + Σ b·row + offset,
       + λ/2 Σ (b · standard deviation of its column)²
   within `signs`: maximum likelihood with a ridge on standardised columns (S. le Cessie, J. C. van Houwelingen, Ridge
   Estimators in Logistic Regression, 1992). Newton's method, its quadratic solved by cyclic coordinate descent with the
   bounds (J. Friedman, T. Hastie, R. Tibshirani, Regularization Paths for Generalized Linear Models via Coordinate
   Descent, 2010), halved steps where the sum does not fall. Sums run over the observations in their order, so the same
   ones in the same order give the same bits. A column that is the same everywhere gets 0.
   `coefficients`: width + 1, overwritten. TM_OK; TM_REJECT: there is no observation, all came or none did, or the width
   is too great; TM_FATAL without memory. */
tm_status tm_logistic_fit(const tm_logistic *problem, double *coefficients);

/* The logit of a row, without its offset. */
double tm_logistic_of(const double *coefficients, const double *row, uint32_t width);
/* -2 log likelihood of one observation with this logit. */
double tm_logistic_deviance(double logit, int came);

#endif
