#include "tidemark/core/moment.h"

#include <criterion/criterion.h>

Test(moment, knows_hour_day_and_their_ends)
{
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), 3 * TM_DAY + 5 * TM_HOUR + 1, &span);
    cr_assert_eq(now.t, 3 * TM_DAY + 5 * TM_HOUR + 1);
    cr_assert_eq(now.hour, 3 * 24 + 5);
    cr_assert_eq(now.day, 3);
    cr_assert_eq(now.next_hour, 3 * TM_DAY + 6 * TM_HOUR);
    cr_assert_eq(now.next_midnight, 4 * TM_DAY);
    cr_assert_eq(now.zone, tm_zone_utc());
    tm_moment_at(&now, tm_zone_utc(), 4 * TM_DAY, &span);
    cr_assert_eq(now.day, 4);
    cr_assert_eq(now.next_midnight, 5 * TM_DAY);
    tm_moment_at(&now, tm_zone_utc(), 4 * TM_DAY - 1, &span);
    cr_assert_eq(now.day, 3);
    cr_assert_eq(now.next_midnight, 4 * TM_DAY);
}
