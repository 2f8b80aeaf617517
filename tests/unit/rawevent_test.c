/* The two readers of JSON text answer alike; what becomes of the answers is in event_test.c. */
#include "tidemark/codec/rawevent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static tm_raw_reader *readers[2];
static tm_mapping *mapping;
static tm_raw_event *raws[2];
static tm_status statuses[2];
static tm_dead_reason reasons[2];

static void set_up(void)
{
    readers[0] = tm_raw_reader_simdjson_new();
    readers[1] = tm_raw_reader_jansson_new();
    mapping = tm_mapping_native();
    for (int i = 0; i < 2; i++) {
        raws[i] = calloc(1, sizeof *raws[i]);
        cr_assert(readers[i] && raws[i] && mapping);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < 2; i++) {
        readers[i]->free(readers[i]);
        free(raws[i]);
    }
    tm_mapping_free(mapping);
}

TestSuite(rawevent, .init = set_up, .fini = tear_down);

/* In a block of exactly its size, so that nobody reads beyond it unseen. The caller frees it. */
static char *collect(const char *text)
{
    size_t length = strlen(text);
    char *exact = malloc(length);
    memcpy(exact, text, length);
    for (int i = 0; i < 2; i++) {
        reasons[i] = TM_DEAD_NONE;
        statuses[i] = readers[i]->collect(readers[i], mapping, mapping->plans[0].root, (tm_slice){exact, length},
                                          raws[i], &reasons[i]);
    }
    return exact;
}

static const tm_raw *found(int i, const char *name)
{
    int16_t node = tm_mapping_find(mapping, mapping->nodes[mapping->plans[0].root].child, tm_slice_of(name));
    cr_assert_geq(node, 0, "%s", name);
    return &raws[i]->found[node];
}

static void same_value(const tm_raw *a, const tm_raw *b)
{
    cr_assert_eq(a->kind, b->kind);
    if (a->kind == TM_RAW_STRING)
        cr_assert(tm_slice_equal(a->text, b->text));
    if (a->kind == TM_RAW_NUMBER)
        cr_assert_eq(memcmp(&a->number, &b->number, sizeof a->number), 0);
}

static void same(void)
{
    cr_assert_eq(raws[0]->escaped_nul, raws[1]->escaped_nul);
    for (uint16_t n = 0; n < mapping->node_count; n++)
        same_value(&raws[0]->found[n], &raws[1]->found[n]);
    for (uint16_t o = 0; o < mapping->object_count; o++) {
        cr_assert_eq(raws[0]->member_counts[o], raws[1]->member_counts[o]);
        for (uint32_t m = 0; m < raws[0]->member_counts[o] && m < TM_PROPERTIES_MAX; m++) {
            cr_assert(tm_slice_equal(raws[0]->members[o][m].name, raws[1]->members[o][m].name));
            same_value(&raws[0]->members[o][m].value, &raws[1]->members[o][m].value);
        }
    }
}

Test(rawevent, both_find_the_same_members)
{
    cr_assert_str_neq(readers[0]->name, readers[1]->name);
    char *text = collect(" {\"id\":\"a\\u00e4\\n\",\"value\":-12.5e1,\"user\":null,\"account\":true,\"event\":false,"
                         "\"at\":[1],\"else\":{\"id\":2},\"properties\":{\"x\":1,\"y\":\"z\",\"\":{},\"n\":null}} ");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(statuses[i], TM_OK);
        cr_assert_eq(found(i, "id")->kind, TM_RAW_STRING);
        cr_assert(tm_slice_equal_text(found(i, "id")->text, "a\xC3\xA4\n"));
        cr_assert_eq(found(i, "value")->kind, TM_RAW_NUMBER);
        cr_assert_eq(found(i, "value")->number, -125);
        cr_assert_eq(found(i, "user")->kind, TM_RAW_NULL);
        cr_assert_eq(found(i, "account")->kind, TM_RAW_TRUE);
        cr_assert_eq(found(i, "event")->kind, TM_RAW_FALSE);
        cr_assert_eq(found(i, "at")->kind, TM_RAW_ARRAY);
        cr_assert_eq(found(i, "source")->kind, TM_RAW_ABSENT);
        cr_assert_eq(found(i, "properties")->kind, TM_RAW_OBJECT);
        int16_t object = mapping->nodes[found(i, "properties") - raws[i]->found].object;
        cr_assert_geq(object, 0);
        cr_assert_eq(raws[i]->member_counts[object], 4);
        cr_assert(tm_slice_equal_text(raws[i]->members[object][1].name, "y"));
        cr_assert(tm_slice_equal_text(raws[i]->members[object][1].value.text, "z"));
        cr_assert_eq(raws[i]->members[object][2].value.kind, TM_RAW_OBJECT);
        cr_assert(!raws[i]->duplicate && !raws[i]->escaped_nul);
    }
    same();
    free(text);
}

Test(rawevent, both_keep_the_first_64_and_count_all)
{
    char text[2000];
    int length = snprintf(text, sizeof text, "{\"properties\":{");
    for (int i = 0; i < 70; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s\"p%d\":%d", i ? "," : "", i, i);
    snprintf(text + length, sizeof text - (size_t)length, "}}");
    char *exact = collect(text);
    for (int i = 0; i < 2; i++) {
        int16_t object = mapping->nodes[found(i, "properties") - raws[i]->found].object;
        cr_assert_eq(statuses[i], TM_OK);
        cr_assert_eq(raws[i]->member_counts[object], 70);
        cr_assert_eq(raws[i]->members[object][63].value.number, 63);
    }
    same();
    free(exact);
}

Test(rawevent, both_see_what_stands_twice_and_the_zero_character)
{
    static const char *const texts[] = {"{\"id\":1,\"at\":2,\"\\u0069d\":3,\"at\":4}",
                                        "{\"properties\":{\"id\":1,\"b\":2,\"id\":3}}"};
    for (int t = 0; t < 2; t++) {
        char *text = collect(texts[t]);
        for (int i = 0; i < 2; i++) {
            cr_assert_eq(statuses[i], TM_OK);
            cr_assert(raws[i]->duplicate, "%s", texts[t]);
            cr_assert(tm_slice_equal_text(raws[i]->repeated, "id"), "%s", texts[t]);
        }
        free(text);
    }
    char *text = collect("{\"else\":1,\"else\":2,\"id\":\"\\u0000\"}");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(statuses[i], TM_OK);
        cr_assert(raws[i]->escaped_nul);
        cr_assert(!raws[i]->duplicate, "a key that nobody asks for");
    }
    free(text);
}

Test(rawevent, both_refuse_for_the_same_reason)
{
    static const struct {
        const char *text;
        tm_dead_reason reason;
    } cases[] = {{"{\"id\":\"\\ud800\"}", TM_DEAD_INVALID_UTF8},
                 {"{\"id\":\"\xff\"}", TM_DEAD_INVALID_UTF8},
                 {"{[[[[[[[[[[[[[[[[[", TM_DEAD_TOO_DEEP},
                 {"{\"id\":01}", TM_DEAD_INVALID_JSON},
                 {"{\"id\":1", TM_DEAD_INVALID_JSON},
                 {"{} x", TM_DEAD_TRAILING_BYTES},
                 {"{\"value\":1e400}", TM_DEAD_NUMBER_OUT_OF_RANGE}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = collect(cases[c].text);
        for (int i = 0; i < 2; i++) {
            cr_assert_eq(statuses[i], TM_REJECT, "%s: %s", readers[i]->name, cases[c].text);
            cr_assert_eq(reasons[i], cases[c].reason, "%s: %s", readers[i]->name, cases[c].text);
        }
        free(text);
    }
}

/* What both readers are made of. */
Test(rawevent, a_beginning_forgets_all_but_room)
{
    tm_raw_event *raw = raws[0];
    memset(raw, 0x5a, sizeof *raw);
    tm_raw_event_begin(raw, mapping);
    cr_assert_not(raw->escaped_nul);
    cr_assert_not(raw->duplicate);
    for (uint32_t i = 0; i < TM_MAPPING_OBJECTS_MAX; i++)
        cr_assert_eq(raw->member_counts[i], 0);
    for (uint32_t i = 0; i < mapping->node_count; i++)
        cr_assert_eq(raw->found[i].kind, TM_RAW_ABSENT);
}

Test(rawevent, the_first_key_that_stands_twice_is_named)
{
    tm_raw_event *raw = raws[0];
    tm_raw_event_begin(raw, mapping);
    tm_raw_event_repeated(raw, TM_SLICE_LITERAL("first"));
    tm_raw_event_repeated(raw, TM_SLICE_LITERAL("second"));
    cr_assert(raw->duplicate);
    cr_assert(tm_slice_equal_text(raw->repeated, "first"));
}

Test(rawevent, members_are_counted_and_the_first_64_kept)
{
    tm_raw_event *raw = raws[0];
    tm_raw_event_begin(raw, mapping);
    static char names[100][4];
    for (uint32_t i = 0; i < 100; i++) {
        tm_slice name = {names[i], (size_t)snprintf(names[i], sizeof names[i], "%u", i)};
        tm_raw_member *member = tm_raw_event_member(raw, 1, name);
        cr_assert_eq(member, i < TM_PROPERTIES_MAX ? &raw->members[1][i] : NULL, "%u", i);
        if (member)
            cr_assert(tm_slice_equal(member->name, name));
    }
    cr_assert_eq(raw->member_counts[1], 100);
    cr_assert_eq(raw->member_counts[0], 0);
    cr_assert_not(raw->duplicate);
    cr_assert_null(tm_raw_event_member(raw, 1, TM_SLICE_LITERAL("99")), "beyond the 64 nobody looks for repetitions");
    cr_assert_null(tm_raw_event_member(raw, 1, TM_SLICE_LITERAL("7")));
    cr_assert_not(raw->duplicate);
    cr_assert_not_null(tm_raw_event_member(raw, 0, TM_SLICE_LITERAL("7")), "another object");
    cr_assert_not_null(tm_raw_event_member(raw, 0, TM_SLICE_LITERAL("77")));
    cr_assert_not(raw->duplicate);
    tm_raw_member *again = tm_raw_event_member(raw, 0, TM_SLICE_LITERAL("7"));
    cr_assert_eq(again, &raw->members[0][2]);
    cr_assert(raw->duplicate);
    cr_assert(tm_slice_equal_text(raw->repeated, "7"));
}
