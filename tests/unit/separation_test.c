#include "tidemark/insight/separation.h"

#include <criterion/criterion.h>
#include <math.h>

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-6;
}

static uint32_t add(tm_separation *s, uint32_t account, bool lost, double value)
{
    uint32_t number = tm_separation_case(s, account, lost);
    cr_assert_neq(number, UINT32_MAX);
    tm_separation_value(s, number, 0, 0, value);
    return number;
}

static tm_estimate area_of(const tm_separation *s, const uint32_t *group_of, uint32_t group)
{
    tm_estimate area;
    cr_assert_eq(tm_separation_area(s, group_of, group, 0, 0, &area), TM_OK);
    return area;
}

Test(separation, nothing_tells_nothing)
{
    tm_separation *s = tm_separation_new(3, 2);
    tm_estimate area = area_of(s, NULL, 0);
    cr_assert(isnan(area.value) && isnan(area.low) && isnan(area.high));
    cr_assert_eq(area.of, 0);
    cr_assert_not(tm_separation_tells(area));
    add(s, 0, true, 1); /* of one kind alone */
    area = area_of(s, NULL, 0);
    cr_assert(isnan(area.value));
    cr_assert_eq(area.of, 1);
    tm_separation_free(s);
    tm_separation_free(NULL);
}

/* Lost 1 3 3 5 8, renewed 2 3 6 7 9: of 25 pairs the lost one is lower in 5+2×(3+½)+3+1 = 16. */
Test(separation, the_chance_that_a_lost_customer_has_the_lower_figure)
{
    static const double lost[] = {1, 3, 3, 5, 8};
    static const double renewed[] = {2, 3, 6, 7, 9};
    tm_separation *s = tm_separation_new(1, 1);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(add(s, 2 * i, true, lost[i]), 2 * i);
        cr_assert_eq(add(s, 2 * i + 1, false, renewed[i]), 2 * i + 1);
    }
    tm_estimate area = area_of(s, NULL, 0);
    cr_assert_eq(area.of, 10);
    cr_assert(near(area.value, 16.0 / 25));
    /* Hanley and McNeil: Q1 = A/(2-A) = 0.470588, Q2 = 2A²/(1+A) = 0.499512,
       SE² = (A(1-A) + 4 (Q1-A²) + 4 (Q2-A²)) / 25 = (0.2304 + 0.243953 + 0.359649) / 25. */
    cr_assert(near(area.low, 0.64 - 1.959963984540054 * sqrt(0.834002 / 25)), "%.9f", area.low);
    cr_assert(near(area.high, 0.64 + 1.959963984540054 * sqrt(0.834002 / 25)), "%.9f", area.high);
    cr_assert_not(tm_separation_tells(area));
    tm_separation_free(s);
}

Test(separation, with_fewer_than_five_of_either_the_interval_cannot_be_told)
{
    for (int few = 0; few < 2; few++) {
        tm_separation *s = tm_separation_new(1, 1);
        for (uint32_t i = 0; i < 10; i++)
            add(s, i, few, few ? 1 : 2);
        for (uint32_t i = 0; i < TM_SEPARATION_LEAST - 1; i++)
            add(s, 10 + i, !few, few ? 2 : 1);
        tm_estimate area = area_of(s, NULL, 0);
        cr_assert_eq(area.value, 1);
        cr_assert(isnan(area.low) && isnan(area.high));
        cr_assert_not(tm_separation_tells(area));
        add(s, 14, !few, few ? 2 : 1);
        area = area_of(s, NULL, 0);
        cr_assert_eq(area.low, 1);
        cr_assert_eq(area.high, 1);
        cr_assert(tm_separation_tells(area));
        tm_separation_free(s);
    }
}

Test(separation, what_is_not_known_is_left_out_at_that_look_alone)
{
    tm_separation *s = tm_separation_new(2, 3);
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t number = tm_separation_case(s, i, i < 6);
        tm_separation_value(s, number, 2, 1, i < 6 ? 1 : 0); /* the wrong way round */
        tm_separation_value(s, number, 1, 1, i == 0 ? NAN : i);
        tm_separation_value(s, number, 2, 0, 7);
        if (i != 11)
            tm_separation_value(s, number, 0, 0, i);
    }
    tm_estimate area;
    cr_assert_eq(tm_separation_area(s, NULL, 0, 2, 1, &area), TM_OK);
    cr_assert_eq(area.of, 12);
    cr_assert_eq(area.value, 0);
    cr_assert(tm_separation_tells(area), "on the other side of 1/2");
    cr_assert_eq(tm_separation_area(s, NULL, 0, 1, 1, &area), TM_OK);
    cr_assert_eq(area.of, 11, "NaN");
    cr_assert_eq(area.value, 1);
    cr_assert_eq(tm_separation_area(s, NULL, 0, 2, 0, &area), TM_OK);
    cr_assert_eq(area.value, 0.5);
    cr_assert_not(tm_separation_tells(area));
    cr_assert_eq(tm_separation_area(s, NULL, 0, 0, 0, &area), TM_OK);
    cr_assert_eq(area.of, 11, "never told");
    cr_assert_eq(tm_separation_area(s, NULL, 0, 0, 1, &area), TM_OK);
    cr_assert_eq(area.of, 0);
    cr_assert(isnan(area.value));
    tm_separation_free(s);
}

Test(separation, a_group_is_asked_for_by_the_account_and_not_by_the_case)
{
    /* Accounts 100 … 119, the even ones in group 7. */
    uint32_t group_of[120] = {0};
    tm_separation *s = tm_separation_new(1, 1);
    for (uint32_t i = 0; i < 20; i++) {
        bool even = i % 2 == 0;
        group_of[100 + i] = even ? 7 : UINT32_MAX;
        bool lost = i >= 10;
        add(s, 100 + i, lost, even == lost ? 0 : 1); /* lost are lower in group 7, higher elsewhere */
    }
    tm_estimate area = area_of(s, group_of, 7);
    cr_assert_eq(area.of, 10);
    cr_assert_eq(area.value, 1);
    area = area_of(s, group_of, UINT32_MAX);
    cr_assert_eq(area.of, 10);
    cr_assert_eq(area.value, 0);
    area = area_of(s, group_of, 3);
    cr_assert_eq(area.of, 0);
    area = area_of(s, NULL, 3);
    cr_assert_eq(area.of, 20, "without groups all are asked, whatever the number");
    cr_assert_eq(area.value, 0.5);
    tm_separation_free(s);
}

Test(separation, many_cases_each_with_all_its_figures)
{
    enum { FACTORS = 5, LOOKS = TM_SEPARATION_LOOKS_MAX, CASES = 1000 };
    tm_separation *s = tm_separation_new(FACTORS, LOOKS);
    for (uint32_t i = 0; i < CASES; i++) {
        uint32_t number = tm_separation_case(s, i, i % 2);
        cr_assert_eq(number, i);
        /* Only one figure at one look tells them apart; all others are the same. */
        for (uint32_t look = 0; look < LOOKS; look++)
            for (uint32_t factor = 0; factor < FACTORS; factor++)
                tm_separation_value(s, number, look, factor, look == 6 && factor == 3 ? !(i % 2) : look * 10 + factor);
    }
    for (uint32_t look = 0; look < LOOKS; look++)
        for (uint32_t factor = 0; factor < FACTORS; factor++) {
            tm_estimate area;
            cr_assert_eq(tm_separation_area(s, NULL, 0, look, factor, &area), TM_OK);
            cr_assert_eq(area.of, CASES);
            cr_assert_eq(area.value, look == 6 && factor == 3 ? 1 : 0.5);
        }
    tm_separation_free(s);
}

Test(separation, figures_beyond_what_single_precision_holds_have_an_order_too)
{
    tm_separation *s = tm_separation_new(1, 1);
    for (uint32_t i = 0; i < 5; i++) {
        add(s, i, true, -1e300);
        add(s, 5 + i, false, 1e300);
    }
    cr_assert_eq(area_of(s, NULL, 0).value, 1);
    tm_separation_free(s);
}

/* Single precision is kept: seven digits tell figures apart, an eighth does not. */
Test(separation, figures_are_told_apart_by_seven_digits)
{
    for (int close = 0; close < 2; close++) {
        tm_separation *s = tm_separation_new(1, 1);
        for (uint32_t i = 0; i < 5; i++) {
            add(s, i, true, 9000000);
            add(s, 5 + i, false, close ? 9000000.1 : 9000001);
        }
        cr_assert_eq(area_of(s, NULL, 0).value, close ? 0.5 : 1);
        tm_separation_free(s);
    }
}
