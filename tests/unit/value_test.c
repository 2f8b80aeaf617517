#include "tidemark/core/value.h"

#include <criterion/criterion.h>

#include "tidemark/core/event.h"

Test(value, sameness_looks_at_type_and_content)
{
    tm_slice a = TM_SLICE_LITERAL("a"), other_a = {"ab", 1}, b = TM_SLICE_LITERAL("b");
    cr_assert(tm_value_same(tm_value_null(), tm_value_null()));
    cr_assert(!tm_value_same(tm_value_null(), tm_value_number(0)));
    cr_assert(tm_value_same(tm_value_number(1.5), tm_value_number(1.5)));
    cr_assert(!tm_value_same(tm_value_number(1.5), tm_value_number(2)));
    cr_assert(!tm_value_same(tm_value_number(1), tm_value_duration(1)));
    cr_assert(tm_value_same(tm_value_duration(7), tm_value_duration(7)));
    cr_assert(tm_value_same(tm_value_string(a), tm_value_string(other_a)));
    cr_assert(!tm_value_same(tm_value_string(a), tm_value_string(b)));
    cr_assert(tm_value_same(tm_value_boolean(true), tm_value_boolean(true)));
    cr_assert(!tm_value_same(tm_value_boolean(true), tm_value_boolean(false)));
}

Test(value, only_true_is_true)
{
    cr_assert(tm_value_is_true(tm_value_boolean(true)));
    cr_assert(!tm_value_is_true(tm_value_boolean(false)));
    cr_assert(!tm_value_is_true(tm_value_null()));
    cr_assert(!tm_value_is_true(tm_value_number(1)));
    cr_assert(tm_value_is_null(tm_value_null()));
}

Test(value, types_have_names)
{
    const char *names[] = {"null", "number", "duration", "string", "boolean", "any"};
    for (int i = 0; i < 6; i++)
        cr_assert_str_eq(tm_type_name((tm_type)i), names[i]);
}

Test(event, properties_are_found_by_name)
{
    tm_event event = {.property_count = 2};
    event.properties[0] = (tm_property){TM_SLICE_LITERAL("pages"), tm_value_number(3)};
    event.properties[1] = (tm_property){TM_SLICE_LITERAL("ok"), tm_value_boolean(true)};
    cr_assert(tm_value_same(tm_event_property(&event, TM_SLICE_LITERAL("pages")), tm_value_number(3)));
    cr_assert(tm_value_is_true(tm_event_property(&event, TM_SLICE_LITERAL("ok"))));
    cr_assert(tm_value_is_null(tm_event_property(&event, TM_SLICE_LITERAL("page"))));
}
