#include "tidemark/core/metric.h"

#include <criterion/criterion.h>

#include "tidemark/base/hash.h"

static tm_event an_event(void)
{
    tm_event event = {.name = TM_SLICE_LITERAL("export_run"),
                      .at = 5 * TM_DAY + 3 * TM_HOUR + 7,
                      .value = 2 * TM_FIXED_ONE,
                      .user_key = 99,
                      .property_count = 3};
    event.properties[0] = (tm_property){TM_SLICE_LITERAL("pages"), tm_value_number(2.5)};
    event.properties[1] = (tm_property){TM_SLICE_LITERAL("format"), tm_value_string(TM_SLICE_LITERAL("pdf"))};
    event.properties[2] = (tm_property){TM_SLICE_LITERAL("ok"), tm_value_boolean(true)};
    return event;
}

static tm_sample sample_of(tm_metric_kind kind, tm_metric_of of, const char *property, const tm_event *event)
{
    tm_metric metric = {.kind = kind, .of = of, .property = tm_slice_of(property)};
    tm_sample sample;
    tm_metric_sample(&metric, event, 6, &sample);
    return sample;
}

Test(metric, patterns_select_exact_names_and_prefixes)
{
    tm_pattern patterns[] = {{TM_SLICE_LITERAL("login"), false}, {TM_SLICE_LITERAL("report_"), true}};
    tm_metric metric = {.patterns = patterns, .pattern_count = 2};
    cr_assert(tm_metric_selects(&metric, TM_SLICE_LITERAL("login")));
    cr_assert(!tm_metric_selects(&metric, TM_SLICE_LITERAL("login2")));
    cr_assert(!tm_metric_selects(&metric, TM_SLICE_LITERAL("report")));
    cr_assert(tm_metric_selects(&metric, TM_SLICE_LITERAL("report_")));
    cr_assert(tm_metric_selects(&metric, TM_SLICE_LITERAL("report_viewed")));
    tm_pattern all = {TM_SLICE_LITERAL(""), true};
    metric.patterns = &all;
    metric.pattern_count = 1;
    cr_assert(tm_metric_selects(&metric, TM_SLICE_LITERAL("anything")));
}

Test(metric, samples_carry_instant_hour_and_day)
{
    tm_event event = an_event();
    tm_sample sample = sample_of(TM_METRIC_COUNT, TM_OF_NOTHING, NULL, &event);
    cr_assert_eq(sample.at, event.at);
    cr_assert_eq(sample.hour, 5 * 24 + 3);
    cr_assert_eq(sample.day, 6);
    cr_assert_eq(sample.value, TM_FIXED_NONE);
    cr_assert_eq(sample.member, 0);
}

Test(metric, numbers_come_from_the_value_or_a_numeric_property)
{
    tm_event event = an_event();
    cr_assert_eq(sample_of(TM_METRIC_SUM, TM_OF_VALUE, NULL, &event).value, 2 * TM_FIXED_ONE);
    cr_assert_eq(sample_of(TM_METRIC_SUM, TM_OF_PROPERTY, "pages", &event).value, 2500000);
    cr_assert_eq(sample_of(TM_METRIC_LAST, TM_OF_PROPERTY, "format", &event).value, TM_FIXED_NONE);
    cr_assert_eq(sample_of(TM_METRIC_MAX, TM_OF_PROPERTY, "ok", &event).value, TM_FIXED_NONE);
    cr_assert_eq(sample_of(TM_METRIC_MAX, TM_OF_PROPERTY, "absent", &event).value, TM_FIXED_NONE);
    event.value = TM_FIXED_NONE;
    cr_assert_eq(sample_of(TM_METRIC_FIRST, TM_OF_VALUE, NULL, &event).value, TM_FIXED_NONE);
    event.properties[0].value = tm_value_number(1e300);
    cr_assert_eq(sample_of(TM_METRIC_SUM, TM_OF_PROPERTY, "pages", &event).value, TM_FIXED_NONE);
}

Test(metric, members_differ_by_type_and_content)
{
    tm_event event = an_event();
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_USER, NULL, &event).member, 99);
    uint64_t name = sample_of(TM_METRIC_DISTINCT, TM_OF_EVENT, NULL, &event).member;
    uint64_t text = sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "format", &event).member;
    uint64_t truth = sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "ok", &event).member;
    uint64_t value = sample_of(TM_METRIC_DISTINCT, TM_OF_VALUE, NULL, &event).member;
    uint64_t day = sample_of(TM_METRIC_DISTINCT, TM_OF_DAY, NULL, &event).member;
    cr_assert(name && text && truth && value && day);
    cr_assert_eq(name, tm_hash_seeded(event.name, TM_TYPE_STRING));
    event.properties[0].value = tm_value_number(2);
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "pages", &event).member, value);
    event.properties[1].value = tm_value_string(TM_SLICE_LITERAL("true"));
    cr_assert_neq(sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "format", &event).member, truth);
    event.properties[2].value = tm_value_boolean(false);
    cr_assert_neq(sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "ok", &event).member, truth);
    event.properties[0].value = tm_value_number(-0.0);
    uint64_t minus = sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "pages", &event).member;
    event.properties[0].value = tm_value_number(0.0);
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "pages", &event).member, minus);
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_PROPERTY, "absent", &event).member, 0);
    event.value = TM_FIXED_NONE;
    event.user_key = 0;
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_VALUE, NULL, &event).member, 0);
    cr_assert_eq(sample_of(TM_METRIC_DISTINCT, TM_OF_USER, NULL, &event).member, 0);
}
