#include "tidemark/insight/shape.h"

#include <criterion/criterion.h>

#include "tidemark/base/calendar.h"

Test(shape, rounds_as_people_write)
{
    cr_assert_eq(tm_shape_round(0.1579, false, 2), 0.16);
    cr_assert_eq(tm_shape_round(12345, false, 2), 12000);
    cr_assert_eq(tm_shape_round(-0.0951, false, 1), -0.1);
    cr_assert_eq(tm_shape_round(0, false, 2), 0);
    cr_assert_eq(tm_shape_round(90.0 * TM_MINUTE, true, 2), 2 * TM_HOUR);
    cr_assert_eq(tm_shape_round(47.0 * TM_HOUR, true, 2), 47 * TM_HOUR);
    cr_assert_eq(tm_shape_round(61.0 * TM_HOUR, true, 2), 3 * TM_DAY);
}

Test(shape, bends_at_quantiles)
{
    double values[1000];
    for (int i = 0; i < 1000; i++)
        values[i] = i + 1;
    tm_shape shape = tm_shape_of(values, 1000, 2, false);
    cr_assert(shape.points == 3 && shape.x[0] == 50 && shape.x[1] == 500 && shape.x[2] == 950);
    double ramps[2];
    tm_shape_ramps(&shape, 275, ramps);
    cr_assert(ramps[0] == 0.5 && ramps[1] == 0);
    tm_shape_ramps(&shape, 1e9, ramps);
    cr_assert(ramps[0] == 1 && ramps[1] == 1);
    tm_shape_ramps(&shape, -5, ramps);
    cr_assert(ramps[0] == 0 && ramps[1] == 0);
}

Test(shape, keeps_apart_what_is_apart)
{
    double close[100];
    for (int i = 0; i < 100; i++)
        close[i] = 1000 + i / 100.0;
    tm_shape shape = tm_shape_of(close, 100, 4, false);
    cr_assert_eq(shape.points, 5);
    for (uint32_t i = 1; i < shape.points; i++)
        cr_assert(shape.x[i] > shape.x[i - 1]);

    double few[100] = {0};
    few[99] = 8;
    shape = tm_shape_of(few, 100, 4, false);
    cr_assert(shape.points == 2 && shape.x[0] == 0 && shape.x[1] == 8, "the ends where nearly all are alike");
    few[99] = 0;
    cr_assert_eq(tm_shape_of(few, 100, 4, false).points, 0);
    cr_assert_eq(tm_shape_of(few, 0, 4, false).points, 0);
    double hours[2] = {1.1 * TM_HOUR, 1.2 * TM_HOUR};
    cr_assert_eq(tm_shape_of(hours, 2, 1, true).points, 0, "no bend within an hour");
}
