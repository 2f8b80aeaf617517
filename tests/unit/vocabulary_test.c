#include "tidemark/rules/vocabulary.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The words of docs/expressions.md, in no order that matters. */
Test(vocabulary, finds_every_fact)
{
    static const tm_fact_word table[] = {
        {"name", TM_FACT_NAME},
        {"plan", TM_FACT_PLAN},
        {"currency", TM_FACT_CURRENCY},
        {"tier", TM_FACT_TIER},
        {"status", TM_FACT_STATUS},
        {"success_plan", TM_FACT_SUCCESS_PLAN},
        {"contract_start", TM_FACT_CONTRACT_START},
        {"renewal_at", TM_FACT_RENEWAL_AT},
        {"seats", TM_FACT_SEATS},
        {"mrr", TM_FACT_MRR},
        {"term_months", TM_FACT_TERM_MONTHS},
        {"first_term", TM_FACT_FIRST_TERM},
        {"contract_age", TM_FACT_CONTRACT_AGE},
        {"days_to_renewal", TM_FACT_DAYS_TO_RENEWAL},
        {"owners", TM_FACT_OWNER},
        {"goals", TM_FACT_GOAL},
        {"attributes", TM_FACT_ATTRIBUTE},
        {"products", TM_FACT_PRODUCT_SEATS},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const tm_fact_word *word = tm_fact_word_find(tm_slice_of(table[i].name));
        cr_assert_not_null(word, "%s", table[i].name);
        cr_assert_str_eq(word->name, table[i].name);
        cr_assert_eq(word->field, table[i].field, "%s", table[i].name);
    }
    bool seen[TM_FACT_FIELDS] = {false};
    size_t i = 0;
    for (const tm_fact_word *word; (word = tm_fact_word_at(i)) != NULL; i++) {
        cr_assert_eq(tm_fact_word_find(tm_slice_of(word->name)), word, "%s is there twice", word->name);
        cr_assert_not(seen[word->field], "%s has a second word", word->name);
        cr_assert_not(tm_grammar_word(tm_slice_of(word->name)), "%s", word->name);
        seen[word->field] = true;
    }
    cr_assert_eq(i, COUNT(table));
    cr_assert_null(tm_fact_word_at(i + 1));
    cr_assert_null(tm_fact_word_at(SIZE_MAX));
    for (int field = 0; field < TM_FACT_FIELDS; field++) {
        cr_assert_eq(seen[field], field != TM_FACT_PRODUCT_MRR, "field %d: products stand for seats", field);
    }
}

Test(vocabulary, finds_every_function)
{
    static const tm_function_word table[] = {
        {"ratio", TM_OP_RATIO, 2, 2},
        {"min", TM_OP_MINIMUM, 2, 16},
        {"max", TM_OP_MAXIMUM, 2, 16},
        {"abs", TM_OP_ABSOLUTE, 1, 1},
        {"clamp", TM_OP_CLAMP, 3, 3},
        {"coalesce", TM_OP_COALESCE, 1, 16},
        {"if", TM_OP_IF, 3, 3},
        {"log", TM_OP_LOG, 1, 1},
        {"age", TM_OP_AGE, 1, 1},
        {"first", TM_OP_FIRST, 1, 1},
        {"zscore", TM_OP_ZSCORE, 2, 2},
        {"growth", TM_OP_GROWTH, 2, 2},
        {"median_weekday", TM_OP_MEDIAN_WEEKDAY, 2, 2},
        {"cusum", TM_OP_CUSUM, 2, 3},
        {"gap", TM_OP_GAP, 2, 2},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const tm_function_word *word = tm_function_word_find(tm_slice_of(table[i].name));
        cr_assert_not_null(word, "%s", table[i].name);
        cr_assert_str_eq(word->name, table[i].name);
        cr_assert_eq(word->op, table[i].op, "%s", table[i].name);
        cr_assert_eq(word->least, table[i].least, "%s", table[i].name);
        cr_assert_eq(word->most, table[i].most, "%s", table[i].name);
    }
    size_t i = 0;
    for (const tm_function_word *word; (word = tm_function_word_at(i)) != NULL; i++) {
        cr_assert_eq(tm_function_word_find(tm_slice_of(word->name)), word, "%s is there twice", word->name);
        cr_assert_leq(word->most, TM_ARGUMENTS_MAX);
    }
    cr_assert_eq(i, COUNT(table));
    cr_assert_null(tm_function_word_at(i + 1));
    cr_assert_null(tm_function_word_at(SIZE_MAX));
}

Test(vocabulary, finds_every_field_of_an_event)
{
    static const tm_event_word table[] = {
        {"event", TM_OP_EVENT_NAME, TM_TYPE_STRING},       {"user", TM_OP_EVENT_USER, TM_TYPE_STRING},
        {"source", TM_OP_EVENT_SOURCE, TM_TYPE_STRING},    {"value", TM_OP_EVENT_VALUE, TM_TYPE_NUMBER},
        {"properties", TM_OP_EVENT_PROPERTY, TM_TYPE_ANY},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const tm_event_word *word = tm_event_word_find(tm_slice_of(table[i].name));
        cr_assert_not_null(word, "%s", table[i].name);
        cr_assert_str_eq(word->name, table[i].name);
        cr_assert_eq(word->op, table[i].op, "%s", table[i].name);
        cr_assert_eq(word->type, table[i].type, "%s", table[i].name);
    }
    size_t i = 0;
    for (const tm_event_word *word; (word = tm_event_word_at(i)) != NULL; i++) {
        cr_assert_eq(tm_event_word_find(tm_slice_of(word->name)), word, "%s is there twice", word->name);
    }
    cr_assert_eq(i, COUNT(table));
    cr_assert_null(tm_event_word_at(i + 1));
    cr_assert_null(tm_event_word_at(SIZE_MAX));
}

Test(vocabulary, finds_every_word_of_stages)
{
    static const tm_standing_word table[] = {
        {"stage", TM_OP_STAGE, TM_TYPE_STRING},
        {"stage_age", TM_OP_STAGE_AGE, TM_TYPE_DURATION},
        {"previous_stage", TM_OP_PREVIOUS_STAGE, TM_TYPE_STRING},
        {"previous_stage_time", TM_OP_PREVIOUS_STAGE_TIME, TM_TYPE_DURATION},
        {"time_to_first_value", TM_OP_FIRST_VALUE, TM_TYPE_DURATION},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const tm_standing_word *word = tm_standing_word_find(tm_slice_of(table[i].name));
        cr_assert_not_null(word, "%s", table[i].name);
        cr_assert_eq(word->op, table[i].op, "%s", table[i].name);
        cr_assert_eq(word->type, table[i].type, "%s", table[i].name);
    }
    size_t count = 0;
    for (const tm_standing_word *word; (word = tm_standing_word_at(count)) != NULL; count++)
        cr_assert_eq(tm_standing_word_find(tm_slice_of(word->name)), word, "%s", word->name);
    cr_assert_eq(count, COUNT(table));
    cr_assert_null(tm_standing_word_at(SIZE_MAX));
    static const char *const none[] = {"", "stag", "stage_", "Stage", "seats", "band"};
    for (size_t i = 0; i < COUNT(none); i++)
        cr_assert_null(tm_standing_word_find(tm_slice_of(none[i])), "%s", none[i]);
    cr_assert_null(tm_standing_word_find((tm_slice){0}));
}

Test(vocabulary, a_word_is_the_whole_name_in_small_letters)
{
    static const tm_slice table[] = {
        {NULL, 0},
        TM_SLICE_LITERAL(""),
        TM_SLICE_LITERAL("seat"),
        TM_SLICE_LITERAL("seatss"),
        TM_SLICE_LITERAL("Seats"),
        TM_SLICE_LITERAL("mi"),
        TM_SLICE_LITERAL("mins"),
        TM_SLICE_LITERAL("MIN"),
        TM_SLICE_LITERAL("users"),
        TM_SLICE_LITERAL("Event"),
        TM_SLICE_LITERAL("an"),
        TM_SLICE_LITERAL("nulls"),
        TM_SLICE_LITERAL("AND"),
        TM_SLICE_LITERAL("min\0"),
        TM_SLICE_LITERAL("and\0"),
        TM_SLICE_LITERAL("user\0"),
        TM_SLICE_LITERAL("plan\0"),
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_assert_null(tm_fact_word_find(table[i]), "row %zu", i);
        cr_assert_null(tm_function_word_find(table[i]), "row %zu", i);
        cr_assert_null(tm_event_word_find(table[i]), "row %zu", i);
        cr_assert_not(tm_grammar_word(table[i]), "row %zu", i);
    }
    /* Part of a longer text: the length counts, not what follows. */
    cr_assert_not_null(tm_fact_word_find((tm_slice){"seatsX", 5}));
    cr_assert_not_null(tm_function_word_find((tm_slice){"minX", 3}));
    cr_assert_not_null(tm_event_word_find((tm_slice){"userX", 4}));
    cr_assert(tm_grammar_word((tm_slice){"andX", 3}));
}

Test(vocabulary, knows_the_words_of_the_grammar)
{
    static const struct {
        const char *word;
        bool grammar;
    } table[] = {{"and", true},   {"or", true},   {"not", true},    {"in", true},         {"true", true},
                 {"false", true}, {"null", true}, {"offset", true}, {"champions", false}, {"seats", false},
                 {"min", false},  {"if", false},  {"user", false},  {"events", false}};
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_assert_eq(tm_grammar_word(tm_slice_of(table[i].word)), table[i].grammar, "%s", table[i].word);
    }
}

Test(vocabulary, writes_operations_as_they_are_read)
{
    static const struct {
        tm_op op;
        const char *word;
    } table[] = {{TM_OP_NOT, "not"},    {TM_OP_NEGATE, "-"},         {TM_OP_AND, "and"},   {TM_OP_OR, "or"},
                 {TM_OP_EQUAL, "=="},   {TM_OP_NOT_EQUAL, "!="},     {TM_OP_LESS, "<"},    {TM_OP_LESS_EQUAL, "<="},
                 {TM_OP_GREATER, ">"},  {TM_OP_GREATER_EQUAL, ">="}, {TM_OP_ADD, "+"},     {TM_OP_SUBTRACT, "-"},
                 {TM_OP_MULTIPLY, "*"}, {TM_OP_DIVIDE, "/"},         {TM_OP_CONSTANT, ""}, /* neither an operator nor a
                                                                                              function */
                 {TM_OP_FACT, ""}};
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_assert_str_eq(tm_operation_word(table[i].op), table[i].word);
    }
    size_t i = 0;
    for (const tm_function_word *word; (word = tm_function_word_at(i)) != NULL; i++) {
        cr_assert_str_eq(tm_operation_word(word->op), word->name);
    }
}
