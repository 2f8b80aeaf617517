#include "tidemark/base/fixed.h"

#include <criterion/criterion.h>
#include <math.h>

#include "tidemark/base/limits.h"

Test(fixed, rounds_half_to_even)
{
    static const struct {
        double number;
        tm_fixed fixed;
    } cases[] = {
        {0, 0},
        {-0.0, 0},
        {1, 1000000},
        {0.1, 100000},
        {-0.1, -100000},
        {0.0000005, 0},
        {0.0000015, 2},
        {0.0000025, 2},
        {-0.0000015, -2},
        {-0.0000025, -2},
        {1.0000004, 1000000},
        {123.456789, 123456789},
        {1e-9, 0},
        {TM_NUMBER_MAX, INT64_C(9000000000000000)},
        {-TM_NUMBER_MAX, INT64_C(-9000000000000000)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_fixed fixed = TM_FIXED_NONE;
        cr_assert_eq(tm_fixed_from(cases[i].number, &fixed), TM_OK);
        cr_assert_eq(fixed, cases[i].fixed, "case %zu", i);
    }
}

Test(fixed, refuses_what_is_out_of_range)
{
    const double bad[] = {
        NAN, INFINITY, -INFINITY, nextafter(TM_NUMBER_MAX, INFINITY), nextafter(-TM_NUMBER_MAX, -INFINITY), 1e300};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tm_fixed fixed = 42;
        cr_assert_eq(tm_fixed_from(bad[i], &fixed), TM_REJECT);
        cr_assert_eq(fixed, 42);
    }
}

Test(fixed, reads_back)
{
    cr_assert_eq(tm_fixed_number(0), 0.0);
    cr_assert_eq(tm_fixed_number(100000), 0.1);
    cr_assert_eq(tm_fixed_number(-1), -1e-6);
    cr_assert_eq(tm_fixed_number(123456789), 123.456789);
    cr_assert_eq(tm_fixed_sum_number(300000), 0.3);
    /* beyond 64 bits: 2^80 millionths */
    cr_assert_eq(tm_fixed_sum_number((__int128)1 << 80), ldexp(1, 80) / 1e6);
    cr_assert_eq(tm_fixed_sum_number(-((__int128)1 << 80) + 1), ldexp(-1, 80) / 1e6);
}
