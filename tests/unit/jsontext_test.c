#include <criterion/criterion.h>
#include <jansson.h>

#include "tidemark/codec/jsontext.h"

static tm_dead_reason load(const char *text, bool unique)
{
    json_t *root;
    tm_dead_reason reason;
    tm_status status = tm_json_load(tm_slice_of(text), unique, &root, &reason);
    cr_expect_eq(status, reason == TM_DEAD_NONE ? TM_OK : TM_REJECT, "%s", text);
    cr_expect_eq(root != NULL, status == TM_OK, "%s", text);
    json_decref(root);
    return reason;
}

Test(jsontext, scan)
{
    static const struct {
        const char *text;
        bool too_deep, bad_string;
        size_t first_end;
    } cases[] = {
        {"{}", false, false, 2},
        {" {\"}\":[1]} x", false, false, 10},
        {"{\"a", false, true, 3},
        {"{\"a\n\"}", false, true, 6},
        {"{\"\\\n\"}", false, true, 6},
        {"{\"\\\"}", false, true, 5},
        {"{\"[[[[[[[[[[[[[[[[[[[[[[[[\"}", false, false, 28},
        {"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", false, false, 32},
        {"[[[[[[[[[[[[[[[[[", true, false, 17},
        {"]]}{}", false, false, 5},
        {"{}{}", false, false, 2},
        {"\\", false, false, 1},
        {"", false, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tm_json_scan scan;
        tm_json_scan_text(tm_slice_of(cases[i].text), &scan);
        cr_expect_eq(scan.too_deep, cases[i].too_deep, "%s", cases[i].text);
        cr_expect_eq(scan.bad_string, cases[i].bad_string, "%s", cases[i].text);
        cr_expect_eq(scan.first_end, cases[i].first_end, "%s: %zu", cases[i].text, scan.first_end);
    }
}

Test(jsontext, numbers_by_the_grammar)
{
    static const char *const good[] = {"0", "-0", "10", "1.5", "-12.25e+3", "1E0", "0e-1", "1e400"};
    static const char *const bad[] = {"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1 ", "1x", "--1", "0x1", "1.e3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(tm_json_number_valid(tm_slice_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(tm_json_number_valid(tm_slice_of(bad[i])), "%s", bad[i]);
}

Test(jsontext, reasons_in_their_order)
{
    static const struct {
        const char *text;
        tm_dead_reason reason;
    } cases[] = {
        {"{\"a\":1, \"b\":[true,null,\"\\u0000\"]} \n", TM_DEAD_NONE},
        {"{\"a\":\"\xff\",", TM_DEAD_INVALID_UTF8},
        {"{[[[[[[[[[[[[[[[[[", TM_DEAD_TOO_DEEP},
        {"{\"a\":1", TM_DEAD_INVALID_JSON},
        {"{\"a\":\"\n\"}", TM_DEAD_INVALID_JSON},
        {"{\"a\":01}", TM_DEAD_INVALID_JSON},
        {"{\"\\u0000\":1}", TM_DEAD_INVALID_JSON},
        {"{} x", TM_DEAD_TRAILING_BYTES},
        {"{\"a\":\"\\ud800\"} x", TM_DEAD_TRAILING_BYTES},
        {"{\"a\":\"\\ud800\"}", TM_DEAD_INVALID_UTF8},
        {"{\"a\":\"\\udc00 \\ud83d\\ude00\"}", TM_DEAD_INVALID_UTF8},
        {"{\"a\":\"\\uD83D\\uDE00 \\uda\"}", TM_DEAD_INVALID_JSON},
        {"{\"a\":\"\\ud8zz\"}", TM_DEAD_INVALID_JSON},
        {"{\"a\":\"\\ud800\",}", TM_DEAD_INVALID_JSON},
        {"{\"a\":1e400,\"b\":\"\\uDBFF\"}", TM_DEAD_INVALID_UTF8},
        {"{\"a\":[1e400,-1E999]}", TM_DEAD_NUMBER_OUT_OF_RANGE},
        {"{\"a\":[1e400,-01e400]}", TM_DEAD_INVALID_JSON},
        {"{\"a\":123456789012345678901234567890}", TM_DEAD_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(load(cases[i].text, false), cases[i].reason, "%s: %s", cases[i].text,
                     tm_dead_reason_name(load(cases[i].text, false)));
    cr_expect_eq(load("{\"a\":1,\"\\u0061\":2}", false), TM_DEAD_NONE);
    cr_expect_eq(load("{\"a\":1,\"\\u0061\":2}", true), TM_DEAD_DUPLICATE_KEY);
    cr_expect_eq(load("{\"a\":{\"b\":1,\"b\":1}}", true), TM_DEAD_DUPLICATE_KEY);
}

Test(jsontext, every_reason_has_words)
{
    static const tm_dead_reason reasons[] = {TM_DEAD_INVALID_UTF8,        TM_DEAD_TOO_DEEP,      TM_DEAD_TRAILING_BYTES,
                                             TM_DEAD_NUMBER_OUT_OF_RANGE, TM_DEAD_DUPLICATE_KEY, TM_DEAD_INVALID_JSON};
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < i; k++)
            cr_expect_str_neq(tm_json_reason_text(reasons[i]), tm_json_reason_text(reasons[k]));
    cr_expect(tm_json_is_object(tm_slice_of(" \t\r\n{")));
    cr_expect_not(tm_json_is_object(tm_slice_of(" ")));
    cr_expect_not(tm_json_is_object(tm_slice_of("[{")));
}

Test(jsontext, blanks_are_four)
{
    tm_slice text = TM_SLICE_LITERAL(" \t\r\n{ \n");
    for (size_t from = 0; from <= 4; from++)
        cr_expect_eq(tm_json_skip_blanks(text, from), 4, "from %zu", from);
    cr_expect_eq(tm_json_skip_blanks(text, 5), text.length);
    cr_expect_eq(tm_json_skip_blanks(text, text.length), text.length);
    cr_expect_eq(tm_json_skip_blanks((tm_slice){NULL, 0}, 0), 0);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        cr_expect_eq(tm_json_skip_blanks((tm_slice){&byte, 1}, 0), blank, "byte %d", c);
    }
}

Test(jsontext, a_wrong_text_is_told_from_want_of_memory)
{
    json_error_t error;
    bool exhausted = true;
    json_t *root = tm_json_parse(TM_SLICE_LITERAL("{\"a\": [1, \"\\u0000\"]} "), JSON_ALLOW_NUL, &error, &exhausted);
    cr_assert_not_null(root);
    cr_assert_not(exhausted);
    cr_assert_eq(json_integer_value(json_array_get(json_object_get(root, "a"), 0)), 1);
    json_t *second = tm_json_parse(TM_SLICE_LITERAL("[]"), 0, &error, &exhausted);
    cr_assert(json_is_array(second), "two trees at a time");
    json_decref(root);
    json_decref(second);

    static const struct {
        const char *text;
        size_t flags;
        enum json_error_code code;
    } wrong[] = {{"{\"a\": 1", 0, json_error_premature_end_of_input},
                 {"{\"a\": 1, \"a\": 2}", JSON_REJECT_DUPLICATES, json_error_duplicate_key},
                 {"[\"\\u0000\"]", 0, json_error_null_character},
                 {"[1] x", 0, json_error_end_of_input_expected},
                 {"7", 0, json_error_invalid_syntax},
                 {"", 0, json_error_premature_end_of_input}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        exhausted = true;
        root = tm_json_parse(tm_slice_of(wrong[i].text), wrong[i].flags, &error, &exhausted);
        cr_assert_null(root, "%s", wrong[i].text);
        cr_assert_not(exhausted, "%s", wrong[i].text);
        cr_assert_eq(json_error_code(&error), wrong[i].code, "%s: %s", wrong[i].text, error.text);
    }
    /* Exactly these bytes, whatever stands behind them. */
    root = tm_json_parse((tm_slice){"[1]]", 3}, 0, &error, &exhausted);
    cr_assert_not_null(root);
    json_decref(root);
}
