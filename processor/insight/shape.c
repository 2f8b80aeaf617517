#include "tidemark/insight/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/base/calendar.h"
#include "tidemark/base/statistics.h"

double tm_shape_round(double number, bool duration, int digits)
{
    if (duration) {
        double unit = fabs(number) < 2 * (double)TM_DAY ? (double)TM_HOUR : (double)TM_DAY;
        return rint(number / unit) * unit;
    }
    /* By way of its text: exactly what a person would write. */
    char text[40];
    (void)snprintf(text, sizeof text, "%.*e", digits - 1, number);
    return strtod(text, NULL) + 0.0;
}

static void rounded(const double *ends, uint32_t count, bool duration, tm_shape *shape)
{
    uint32_t wanted = 1;
    for (uint32_t i = 1; i < count; i++)
        wanted += ends[i] > ends[i - 1];
    for (int digits = 2; digits <= 9; digits++) {
        shape->points = 0;
        for (uint32_t i = 0; i < count; i++) {
            double x = tm_shape_round(ends[i], duration, digits);
            if (shape->points == 0 || x > shape->x[shape->points - 1])
                shape->x[shape->points++] = x;
        }
        if (shape->points == wanted || duration)
            break;
    }
}

tm_shape tm_shape_of(const double *sorted, size_t count, uint32_t segments, bool duration)
{
    tm_shape shape = {0};
    double ends[TM_SHAPE_POINTS_MAX];
    if (count == 0 || segments == 0 || segments >= TM_SHAPE_POINTS_MAX)
        return shape;
    for (uint32_t i = 0; i <= segments; i++)
        ends[i] = tm_quantile(sorted, count, 0.05 + 0.9 * (double)i / (double)segments);
    rounded(ends, segments + 1, duration, &shape);
    if (shape.points < 2) {
        double both[2] = {sorted[0], sorted[count - 1]};
        rounded(both, 2, duration, &shape);
    }
    if (shape.points < 2)
        shape.points = 0;
    return shape;
}

void tm_shape_ramps(const tm_shape *shape, double value, double *ret_ramps)
{
    for (uint32_t k = 0; k + 1 < shape->points; k++) {
        double way = (value - shape->x[k]) / (shape->x[k + 1] - shape->x[k]);
        ret_ramps[k] = way < 0 ? 0 : way > 1 ? 1 : way;
    }
}
