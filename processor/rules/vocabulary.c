#include "tidemark/rules/vocabulary.h"

static const tm_fact_word facts[] = {
    {"name", TM_FACT_NAME},
    {"plan", TM_FACT_PLAN},
    {"currency", TM_FACT_CURRENCY},
    {"tier", TM_FACT_TIER},
    {"status", TM_FACT_STATUS},
    {"success_plan", TM_FACT_SUCCESS_PLAN},
    {"seats", TM_FACT_SEATS},
    {"mrr", TM_FACT_MRR},
    {"term_months", TM_FACT_TERM_MONTHS},
    {"contract_start", TM_FACT_CONTRACT_START},
    {"renewal_at", TM_FACT_RENEWAL_AT},
    {"first_term", TM_FACT_FIRST_TERM},
    {"contract_age", TM_FACT_CONTRACT_AGE},
    {"days_to_renewal", TM_FACT_DAYS_TO_RENEWAL},
    {"owners", TM_FACT_OWNER},
    {"goals", TM_FACT_GOAL},
    {"attributes", TM_FACT_ATTRIBUTE},
    {"products", TM_FACT_PRODUCT_SEATS},
};

static const tm_function_word functions[] = {
    {"ratio", TM_OP_RATIO, 2, 2},
    {"min", TM_OP_MINIMUM, 2, TM_ARGUMENTS_MAX},
    {"max", TM_OP_MAXIMUM, 2, TM_ARGUMENTS_MAX},
    {"abs", TM_OP_ABSOLUTE, 1, 1},
    {"clamp", TM_OP_CLAMP, 3, 3},
    {"coalesce", TM_OP_COALESCE, 1, TM_ARGUMENTS_MAX},
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

static const tm_event_word event_fields[] = {
    {"event", TM_OP_EVENT_NAME, TM_TYPE_STRING},       {"user", TM_OP_EVENT_USER, TM_TYPE_STRING},
    {"source", TM_OP_EVENT_SOURCE, TM_TYPE_STRING},    {"value", TM_OP_EVENT_VALUE, TM_TYPE_NUMBER},
    {"properties", TM_OP_EVENT_PROPERTY, TM_TYPE_ANY},
};

static const tm_standing_word standing_words[] = {
    {"stage", TM_OP_STAGE, TM_TYPE_STRING},
    {"stage_age", TM_OP_STAGE_AGE, TM_TYPE_DURATION},
    {"previous_stage", TM_OP_PREVIOUS_STAGE, TM_TYPE_STRING},
    {"previous_stage_time", TM_OP_PREVIOUS_STAGE_TIME, TM_TYPE_DURATION},
    {"time_to_first_value", TM_OP_FIRST_VALUE, TM_TYPE_DURATION},
};

static const char *const grammar_words[] = {"and", "or", "not", "in", "true", "false", "null", "offset"};

static const struct {
    tm_op op;
    const char *word;
} operators[] = {
    {TM_OP_NOT, "not"},    {TM_OP_NEGATE, "-"},         {TM_OP_AND, "and"}, {TM_OP_OR, "or"},
    {TM_OP_EQUAL, "=="},   {TM_OP_NOT_EQUAL, "!="},     {TM_OP_LESS, "<"},  {TM_OP_LESS_EQUAL, "<="},
    {TM_OP_GREATER, ">"},  {TM_OP_GREATER_EQUAL, ">="}, {TM_OP_ADD, "+"},   {TM_OP_SUBTRACT, "-"},
    {TM_OP_MULTIPLY, "*"}, {TM_OP_DIVIDE, "/"},
};

enum {
    FACTS = sizeof facts / sizeof *facts,
    FUNCTIONS = sizeof functions / sizeof *functions,
    STANDING_WORDS = sizeof standing_words / sizeof *standing_words,
    EVENT_FIELDS = sizeof event_fields / sizeof *event_fields,
    GRAMMAR_WORDS = sizeof grammar_words / sizeof *grammar_words,
    OPERATORS = sizeof operators / sizeof *operators
};

const tm_fact_word *tm_fact_word_at(size_t i)
{
    return i < FACTS ? &facts[i] : NULL;
}

const tm_function_word *tm_function_word_at(size_t i)
{
    return i < FUNCTIONS ? &functions[i] : NULL;
}

const tm_event_word *tm_event_word_at(size_t i)
{
    return i < EVENT_FIELDS ? &event_fields[i] : NULL;
}

const tm_standing_word *tm_standing_word_at(size_t i)
{
    return i < STANDING_WORDS ? &standing_words[i] : NULL;
}

const tm_standing_word *tm_standing_word_find(tm_slice name)
{
    for (size_t i = 0; i < STANDING_WORDS; i++) {
        if (tm_slice_equal_text(name, standing_words[i].name)) {
            return &standing_words[i];
        }
    }
    return NULL;
}

const tm_fact_word *tm_fact_word_find(tm_slice name)
{
    for (size_t i = 0; i < FACTS; i++) {
        if (tm_slice_equal_text(name, facts[i].name)) {
            return &facts[i];
        }
    }
    return NULL;
}

const tm_function_word *tm_function_word_find(tm_slice name)
{
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (tm_slice_equal_text(name, functions[i].name)) {
            return &functions[i];
        }
    }
    return NULL;
}

const tm_event_word *tm_event_word_find(tm_slice name)
{
    for (size_t i = 0; i < EVENT_FIELDS; i++) {
        if (tm_slice_equal_text(name, event_fields[i].name)) {
            return &event_fields[i];
        }
    }
    return NULL;
}

bool tm_grammar_word(tm_slice name)
{
    for (size_t i = 0; i < GRAMMAR_WORDS; i++) {
        if (tm_slice_equal_text(name, grammar_words[i])) {
            return true;
        }
    }
    return false;
}

const char *tm_operation_word(tm_op op)
{
    for (size_t i = 0; i < OPERATORS; i++) {
        if (operators[i].op == op) {
            return operators[i].word;
        }
    }
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (functions[i].op == op) {
            return functions[i].name;
        }
    }
    return "";
}
