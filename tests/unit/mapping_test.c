#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/codec/mapping.h"

#define TEXT(literal) TM_SLICE_LITERAL(literal)
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }

Test(mapping, named)
{
    static const char *const names[] = {"native", "auto", "cloudevents", "segment"};
    tm_mapping *mapping;
    tm_error error;
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(tm_mapping_named(tm_slice_of(names[i]), &mapping, &error), TM_OK);
        cr_expect_str_eq(mapping->name, names[i]);
        cr_expect_eq(mapping->needs_headers, i == 1 || i == 2, "%s", names[i]);
        cr_expect_leq(mapping->object_count, TM_MAPPING_OBJECTS_MAX);
        tm_mapping_free(mapping);
    }
    cr_expect_eq(tm_mapping_named(tm_slice_of("avro"), &mapping, &error), TM_REJECT);
    cr_expect_null(mapping);
    cr_expect_str_eq(error.what, "there is no mapping 'avro'");
    cr_expect_str_neq(error.hint, "");
    cr_expect_eq(tm_mapping_named(tm_slice_of(NULL), &mapping, NULL), TM_REJECT);
    tm_mapping_free(NULL);
}

/* The four lines every mapping needs, then the one under test. */
static tm_status with_line(tm_mapping_pair line, tm_error *error, size_t *ret_pair)
{
    tm_mapping_pair pairs[] = {{TEXT("id"), TEXT("i"), NOTHING},
                               {TEXT("account"), TEXT("c"), NOTHING},
                               {TEXT("event"), TEXT("e"), NOTHING},
                               {TEXT("at"), TEXT("t"), NOTHING},
                               line};
    tm_mapping *mapping;
    tm_status status = tm_mapping_custom(pairs, 5, &mapping, ret_pair, error);
    cr_expect_eq(mapping != NULL, status == TM_OK);
    tm_mapping_free(mapping);
    return status;
}

Test(mapping, lines_that_cannot_be)
{
    static const struct {
        tm_mapping_pair line;
        const char *what;
    } cases[] = {
        {{TEXT("team"), TEXT("x"), NOTHING}, "there is no field 'team'"},
        {{NOTHING, TEXT("x"), NOTHING}, "there is no field ''"},
        {{TEXT("properties."), TEXT("x"), NOTHING}, "there is no field"},
        {{TEXT("properties.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), TEXT("x"), NOTHING},
         "there is no field"},
        {{TEXT("user"), NOTHING, NOTHING}, "neither a path nor a constant"},
        {{TEXT("user"), TEXT("$key"), NOTHING}, "only account"},
        {{TEXT("user"), TEXT("$kex"), NOTHING}, "neither $key nor $header.NAME"},
        {{TEXT("user"), TEXT("$header."), NOTHING}, "neither $key nor $header.NAME"},
        {{TEXT("value"), TEXT("$header.x"), NOTHING}, "a header is text"},
        {{TEXT("properties"), TEXT("$header.x"), NOTHING}, "a header is text"},
        {{TEXT("user"), TEXT(""), NOTHING}, "no path"},
        {{TEXT("user"), TEXT("a..b"), NOTHING}, "no path"},
        {{TEXT("user"), TEXT("a."), NOTHING}, "no path"},
        {{TEXT("user"), TEXT("a.b.c.d.e"), NOTHING}, "no path"},
        {{TEXT("user"), TEXT("u"), TEXT("x")}, "a constant user makes no sense"},
        {{TEXT("source"), NOTHING, TEXT("\xff")}, "no text"},
        {{TEXT("event"), NOTHING, TEXT("a\0b")}, "no text"},
        {{TEXT("event"), NOTHING, TEXT("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")},
         "no text"},
    };
    tm_error error;
    size_t pair;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(with_line(cases[i].line, &error, &pair), TM_REJECT, "case %zu", i);
        cr_expect_not_null(strstr(error.what, cases[i].what), "case %zu: %s", i, error.what);
        cr_expect_eq(pair, 4);
    }
}

Test(mapping, lines_that_can_be)
{
    static const tm_mapping_pair lines[] = {
        {TEXT("user"), TEXT("a.b.c.d"), NOTHING},       {TEXT("account"), TEXT("$key"), NOTHING},
        {TEXT("source"), TEXT("$header.x"), TEXT("y")}, {TEXT("properties.plan"), NOTHING, TEXT("")},
        {TEXT("event"), TEXT("e2"), TEXT("thing")},     {TEXT("value"), TEXT("i"), NOTHING},
    };
    tm_error error;
    size_t pair;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        cr_expect_eq(with_line(lines[i], &error, &pair), TM_OK, "line %zu: %s", i, error.what);
        cr_expect_eq(pair, 5);
    }
}

Test(mapping, needed_lines_and_limits)
{
    tm_mapping_pair pairs[TM_MAPPING_PAIRS_MAX + 1];
    tm_mapping *mapping;
    tm_error error;
    size_t pair;
    cr_expect_eq(tm_mapping_custom(NULL, 0, &mapping, &pair, &error), TM_REJECT);
    cr_expect_str_eq(error.what, "no line says where id comes from");
    cr_expect_eq(pair, 0);

    static const char *const needed[] = {"id", "account", "event", "at"};
    char paths[TM_MAPPING_PAIRS_MAX + 1][32];
    char targets[TM_MAPPING_PAIRS_MAX + 1][32];
    for (int i = 0; i <= TM_MAPPING_PAIRS_MAX; i++) {
        snprintf(paths[i], sizeof paths[i], "a%d.b%d.c%d.d%d", i, i, i, i);
        if (i < 4)
            snprintf(targets[i], sizeof targets[i], "%s", needed[i]);
        else
            snprintf(targets[i], sizeof targets[i], "properties.p%d", i);
        pairs[i] = (tm_mapping_pair){tm_slice_of(targets[i]), tm_slice_of(paths[i]), NOTHING};
    }
    cr_expect_eq(tm_mapping_custom(pairs, 3, &mapping, &pair, &error), TM_REJECT);
    cr_expect_str_eq(error.what, "no line says where at comes from");
    cr_assert_eq(tm_mapping_custom(pairs, TM_MAPPING_PAIRS_MAX, &mapping, &pair, &error), TM_OK, "%s", error.what);
    cr_expect_leq(mapping->node_count, TM_MAPPING_NODES_MAX);
    cr_expect_eq(mapping->property_count, TM_MAPPING_PAIRS_MAX - 4);
    cr_expect_not(mapping->needs_headers);
    tm_mapping_free(mapping);
    cr_expect_eq(tm_mapping_custom(pairs, TM_MAPPING_PAIRS_MAX + 1, &mapping, &pair, &error), TM_REJECT);

    for (int i = 4; i < 8; i++)
        pairs[i].target = tm_slice_of("properties");
    cr_expect_eq(tm_mapping_custom(pairs, 8, &mapping, &pair, &error), TM_REJECT);
    cr_expect_eq(pair, 7);
    cr_expect_not_null(strstr(error.what, "at most 3 paths"));
}
