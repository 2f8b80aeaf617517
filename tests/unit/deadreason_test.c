#include <criterion/criterion.h>

#include "tidemark/codec/deadreason.h"

Test(deadreason, names_are_distinct_and_found_again)
{
    for (int i = TM_DEAD_NONE + 1; i < TM_DEAD_REASONS; i++) {
        tm_dead_reason found = TM_DEAD_NONE;
        const char *name = tm_dead_reason_name((tm_dead_reason)i);
        cr_expect(tm_dead_reason_find(tm_slice_of(name), &found), "%s", name);
        cr_expect_eq((int)found, i, "%s", name);
    }
    cr_expect_eq(TM_DEAD_REASONS, 20,
                 "nineteen reasons and none: a new one belongs into the schema and docs/events.md");
}

Test(deadreason, what_is_no_reason_is_none)
{
    tm_dead_reason found;
    cr_expect_not(tm_dead_reason_find(tm_slice_of("none"), &found));
    cr_expect_not(tm_dead_reason_find(tm_slice_of("invalid"), &found));
    cr_expect_not(tm_dead_reason_find(tm_slice_of(NULL), &found));
    cr_expect_str_eq(tm_dead_reason_name(TM_DEAD_NONE), "none");
    cr_expect_str_eq(tm_dead_reason_name(TM_DEAD_REASONS), "none");
    cr_expect_str_eq(tm_dead_reason_name(TM_DEAD_FUTURE), "future");
    cr_expect_str_eq(tm_dead_reason_name(TM_DEAD_INVALID_JSON), "invalid_json");
}
