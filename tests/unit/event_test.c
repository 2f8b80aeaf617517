/* The law of an event, judged with both readers at once: whatever one is asked, the other must answer the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/eventcase.h"
#include "support/examples.h"

static void native(void)
{
    reader_pair_init(&pair, tm_mapping_native(), TM_KEY_REFUSE);
}

static void done(void)
{
    reader_pair_done(&pair);
}

TestSuite(event, .init = native, .fini = done);

Test(event, every_field)
{
    cr_assert_eq(read_text(" {\"id\":\"01H\\u0058\",\"source\":\"web\",\"account\":\"acme\",\"user\":\"u-17\","
                           "\"event\":\"purchase\",\"at\":\"2024-05-02T14:37:21.5009+02:00\",\"value\":129.9,"
                           "\"properties\":{\"ok\":true,\"sku\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\","
                           "\"none\":null,\"quantity\":5,\"no\":false,\"\":-0.00000149},\"later\":[{\"x\":1}]}\n"),
                 TM_OK, "%s", pair.details[0]);
    EXPECT_TEXT(event->id, "01HX");
    EXPECT_TEXT(event->account, "acme");
    EXPECT_TEXT(event->name, "purchase");
    EXPECT_TEXT(event->user, "u-17");
    EXPECT_TEXT(event->source, "web");
    cr_expect_eq(event->at, INT64_C(1714653441500));
    cr_expect_eq(event->value, INT64_C(129900000));
    tm_user_key key;
    memcpy(key.bytes, "0123456789abcdef", TM_USER_KEY_SIZE);
    cr_expect_eq(event->user_key, tm_hash_user(tm_slice_of("u-17"), &key));
    cr_assert_eq(event->property_count, 5);
    EXPECT_TEXT(event->properties[0].name, "ok");
    cr_expect(tm_value_is_true(event->properties[0].value));
    EXPECT_TEXT(event->properties[1].value.as.string, "a\"\\/\b\f\n\r\té😀");
    EXPECT_TEXT(event->properties[2].name, "quantity");
    cr_expect_eq(event->properties[2].value.as.number, 5.0);
    cr_expect_eq(event->properties[3].value.type, TM_TYPE_BOOLEAN);
    cr_expect_not(event->properties[3].value.as.boolean);
    EXPECT_TEXT(event->properties[4].name, "");
    cr_expect_eq(event->properties[4].value.as.number, -0.000001);
    cr_expect_eq(reason, TM_DEAD_NONE);
    cr_expect_str_eq(pair.details[0], "");
}

Test(event, absent_and_null_are_the_same)
{
    static const char *const records[] = {HEAD "}",
                                          HEAD ",\"user\":null,\"source\":null,\"value\":null,\"properties\":null}",
                                          HEAD ",\"user\":\"\",\"source\":\"\",\"properties\":{}}"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(read_text(records[i]), TM_OK, "%s", pair.details[0]);
        cr_expect_null(event->user.data);
        cr_expect_null(event->source.data);
        cr_expect_eq(event->user_key, 0);
        cr_expect_eq(event->value, TM_FIXED_NONE);
        cr_expect_eq(event->property_count, 0);
    }
}

Test(event, known_keys_may_be_written_with_escapes)
{
    cr_assert_eq(read_text("{\"\\u0069d\":\"e\",\"acc\\u006funt\":\"acme\",\"event\":\"x\",\"at\":0}"), TM_OK, "%s",
                 pair.details[0]);
    EXPECT_TEXT(event->id, "e");
    expect_refused(HEAD ",\"\\u0069d\":1}", TM_DEAD_DUPLICATE_KEY, "id: stands twice");
}

Test(event, times)
{
    static const struct {
        const char *at;
        tm_time expected; /* TM_TIME_NONE: refused */
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"1.5e12", INT64_C(1500000000000)},
        {"1714660641500.0", INT64_C(1714660641500)},
        {"253402300799999", TM_TIME_MAX},
        {"253402300800000", TM_TIME_NONE},
        {"-1", TM_TIME_NONE},
        {"0.5", TM_TIME_NONE},
        {"\"2016-12-31T23:59:60Z\"", INT64_C(1483228799999)},
        {"\"1970-01-01t00:00:00z\"", 0},
        {"\"2024-05-02T14:37:21\"", TM_TIME_NONE},
        {"\"2023-02-29T00:00:00Z\"", TM_TIME_NONE},
        {"\"\"", TM_TIME_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"id\":\"e\",\"account\":\"acme\",\"event\":\"x\",\"at\":%s}", cases[i].at);
        if (cases[i].expected == TM_TIME_NONE) {
            cr_expect_eq(read_text(text), TM_REJECT, "%s", text);
            cr_expect_eq(reason, TM_DEAD_INVALID_TIME, "%s", text);
        } else {
            cr_expect_eq(read_text(text), TM_OK, "%s", text);
            cr_expect_eq(event->at, cases[i].expected, "%s", text);
        }
    }
}

Test(event, numbers)
{
    static const struct {
        const char *text;
        tm_fixed expected; /* TM_FIXED_NONE: out of range */
    } cases[] = {
        {"9000000000", INT64_C(9000000000000000)},
        {"-9e9", INT64_C(-9000000000000000)},
        {"9000000000.1", TM_FIXED_NONE},
        {"123456789012345678901", TM_FIXED_NONE},
        {"0.1", 100000},
        {"1e-400", 0},
        {"5e-324", 0},
        {"0.0000005", 0},
        {"0.0000015", 2},
        {"-0.0", 0},
        {"0", 0},
        {"123456.789", INT64_C(123456789000)},
        {"1E3", INT64_C(1000000000)},
        {"5e-99999999999999999999999", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, HEAD ",\"value\":%s}", cases[i].text);
        bool good = cases[i].expected != TM_FIXED_NONE;
        cr_expect_eq(read_text(text), good ? TM_OK : TM_REJECT, "%s", text);
        if (good)
            cr_expect_eq(event->value, cases[i].expected, "%s", text);
        else
            cr_expect_eq(reason, TM_DEAD_NUMBER_OUT_OF_RANGE, "%s", text);
    }
}

Test(event, refused)
{
    static const char json[] = "the value is not valid JSON";
    static const char utf8[] = "the value is not UTF-8, or an escape names half a surrogate pair";
    static const struct {
        const char *value;
        tm_dead_reason reason;
        const char *detail;
    } cases[] = {
        {"", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"  ", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"[1]", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"\xef\xbb\xbf{}", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"\xff{}", TM_DEAD_INVALID_UTF8, "the value is not UTF-8"},
        {HEAD, TM_DEAD_INVALID_JSON, json},
        {HEAD ",}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":[1,]}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":[1 2]}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":{\"a\"}}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":{\"a\":1}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":[}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"user\":1}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":truex}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":nul}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":fals}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":01}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":1.}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":NaN}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"\\q\"}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"\\u12g4\"}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"\\u12\"}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"\t\"}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"\\q\":1}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"a\\u0000b\":1}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",7:1}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":'a'}", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":\"\\ud800\"}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD ",\"x\":\"\\udc00\\ud800\"}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD ",\"\\ud800\\u0041\":1}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD ",\"x\":\"\xc3\"}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD ",\"x\":\"\xed\xa0\x80\"}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD "} {}", TM_DEAD_TRAILING_BYTES, "something follows the JSON object"},
        {HEAD "}}", TM_DEAD_TRAILING_BYTES, "something follows the JSON object"},
        {HEAD "} x", TM_DEAD_TRAILING_BYTES, "something follows the JSON object"},
        {HEAD "} \"", TM_DEAD_INVALID_JSON, json},
        {HEAD ",\"x\":1e400}", TM_DEAD_NUMBER_OUT_OF_RANGE, "the value holds a number that no double can hold"},
        {HEAD ",\"x\":1e400,\"y\":\"\\ud800\"}", TM_DEAD_INVALID_UTF8, utf8},
        {HEAD ",\"event\":\"x\"}", TM_DEAD_DUPLICATE_KEY, "event: stands twice"},
        {HEAD ",\"user\":null,\"user\":null}", TM_DEAD_DUPLICATE_KEY, "user: stands twice"},
        {HEAD ",\"properties\":{\"a\":1,\"b\":2,\"\\u0061\":3}}", TM_DEAD_DUPLICATE_KEY, "a: stands twice"},
        {HEAD ",\"properties\":{\"a\":1},\"properties\":{}}", TM_DEAD_DUPLICATE_KEY, "properties: stands twice"},
        {"{\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_DEAD_MISSING_FIELD, "id: not there"},
        {"{\"id\":null,\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_DEAD_MISSING_FIELD, "id: not there"},
        {"{\"id\":\"e\",\"event\":\"x\",\"at\":0}", TM_DEAD_MISSING_FIELD, "account: not there"},
        {"{\"id\":\"e\",\"account\":\"acme\",\"at\":0}", TM_DEAD_MISSING_FIELD, "event: not there"},
        {"{\"id\":\"e\",\"account\":\"acme\",\"event\":\"x\"}", TM_DEAD_MISSING_FIELD, "at: not there"},
        {"{\"id\":7,\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_DEAD_WRONG_TYPE, "id: must be a string"},
        {"{\"id\":\"a\\u0000\",\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_DEAD_WRONG_TYPE,
         "id: holds the character U+0000"},
        {"{\"id\":\"\",\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_DEAD_STRING_EMPTY, "id: is empty"},
        {"{\"id\":\"e\",\"account\":\"acme\",\"event\":\"x\",\"at\":true}", TM_DEAD_WRONG_TYPE,
         "at: must be a time as text, or milliseconds as a number"},
        {"{\"id\":\"e\",\"account\":\"acme\",\"event\":\"x\",\"at\":0.1}", TM_DEAD_INVALID_TIME,
         "at: no whole number of milliseconds from 1970 to 9999"},
        {"{\"id\":\"e\",\"account\":\"acme\",\"event\":\"x\",\"at\":\"now\"}", TM_DEAD_INVALID_TIME,
         "at: not RFC 3339 with a zone, from 1970 to 9999"},
        {HEAD ",\"user\":7}", TM_DEAD_WRONG_TYPE, "user: must be a string"},
        {HEAD ",\"source\":{}}", TM_DEAD_WRONG_TYPE, "source: must be a string"},
        {HEAD ",\"value\":\"1\"}", TM_DEAD_WRONG_TYPE, "value: must be a number or null"},
        {HEAD ",\"value\":1e10}", TM_DEAD_NUMBER_OUT_OF_RANGE, "value: beyond 9e9"},
        {HEAD ",\"properties\":[]}", TM_DEAD_WRONG_TYPE, "properties: must be an object"},
        {HEAD ",\"properties\":{\"a\":{}}}", TM_DEAD_WRONG_TYPE,
         "properties.a: must be a string, a number or a boolean"},
        {HEAD ",\"properties\":{\"a\":[1]}}", TM_DEAD_WRONG_TYPE,
         "properties.a: must be a string, a number or a boolean"},
        {HEAD ",\"properties\":{\"a\":-9.1e9}}", TM_DEAD_NUMBER_OUT_OF_RANGE, "properties.a: beyond 9e9"},
        {HEAD ",\"properties\":{\"a\":\"\\u0000\"}}", TM_DEAD_WRONG_TYPE, "properties.a: holds the character U+0000"},
        {"{\"id\":\"e\",\"account\":\"other\",\"event\":\"x\",\"at\":0}", TM_DEAD_KEY_MISMATCH,
         "account: is 'other', which is not the record's key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].value, cases[i].reason, cases[i].detail);
}

/* Both libraries overlook a NUL behind a number. */
Test(event, a_bare_nul_is_no_json)
{
    static const char behind_number[] = HEAD "\0}";
    static const char behind_literal[] = HEAD ",\"x\":[true\0]}";
    static const char inside_text[] = HEAD ",\"x\":\"\0\"}";
    static const char behind_all[] = HEAD "}\0";
    static const tm_slice cases[] = {TM_SLICE_LITERAL(behind_number), TM_SLICE_LITERAL(behind_literal),
                                     TM_SLICE_LITERAL(inside_text)};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(read_slice(cases[i], NULL, tm_slice_of("acme")), TM_REJECT);
        cr_expect_eq(reason, TM_DEAD_INVALID_JSON);
    }
    cr_expect_eq(read_slice((tm_slice){behind_all, sizeof behind_all - 1}, NULL, tm_slice_of("acme")), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_TRAILING_BYTES);
}

Test(event, unknown_members_may_be_anything_valid)
{
    cr_expect_eq(read_text(HEAD ",\"x\":1,\"x\":[{\"id\":1,\"id\":2},[],{},\"\\u0000\",-1e5,null]}"), TM_OK, "%s",
                 pair.details[0]);
}

Test(event, value_and_key_are_needed)
{
    const tm_slice nothing = {NULL, 0};
    cr_expect_eq(read_slice(nothing, NULL, tm_slice_of("acme")), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_NO_VALUE);
    cr_expect_eq(read_slice(tm_slice_of(HEAD "}"), NULL, nothing), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_NO_KEY);
}

Test(event, the_key_can_be_ignored)
{
    reader_pair_done(&pair);
    reader_pair_init(&pair, tm_mapping_native(), TM_KEY_IGNORE);
    cr_expect_eq(read_slice(tm_slice_of(HEAD "}"), NULL, (tm_slice){NULL, 0}), TM_OK);
    cr_expect_eq(read_slice(tm_slice_of(HEAD "}"), NULL, tm_slice_of("other")), TM_OK);
}

/* HEAD, then BEFORE xxx… AFTER. */
static tm_status read_long(const char *before, size_t length, const char *after)
{
    static char text[4096];
    int at = snprintf(text, sizeof text, "%s", before);
    memset(text + at, 'x', length);
    snprintf(text + at + length, sizeof text - (size_t)at - length, "%s", after);
    return read_text(text);
}

Test(event, lengths_at_their_limits)
{
    static const struct {
        const char *before, *after;
        size_t maximum;
    } cases[] = {
        {"{\"id\":\"", "\",\"account\":\"acme\",\"event\":\"x\",\"at\":0}", TM_EVENT_ID_MAX},
        {"{\"id\":\"e\",\"account\":\"acme\",\"at\":0,\"event\":\"", "\"}", TM_EVENT_NAME_MAX},
        {HEAD ",\"user\":\"", "\"}", TM_USER_ID_MAX},
        {HEAD ",\"source\":\"", "\"}", TM_SOURCE_MAX},
        {HEAD ",\"properties\":{\"", "\":1}}", TM_PROPERTY_NAME_MAX},
        {HEAD ",\"properties\":{\"a\":\"", "\"}}", TM_PROPERTY_TEXT_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(read_long(cases[i].before, cases[i].maximum, cases[i].after), TM_OK, "%s: %s", cases[i].before,
                     pair.details[0]);
        cr_expect_eq(read_long(cases[i].before, cases[i].maximum + 1, cases[i].after), TM_REJECT, "%s",
                     cases[i].before);
        cr_expect_eq(reason, TM_DEAD_STRING_TOO_LONG);
    }
    cr_expect_eq(read_long("{\"id\":\"e\",\"event\":\"x\",\"at\":0,\"account\":\"", TM_ACCOUNT_ID_MAX + 1, "\"}"),
                 TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_STRING_TOO_LONG);
    /* A name cut in the detail is cut between characters. */
    cr_expect_eq(read_text(HEAD ",\"properties\":{\"aééééééééééééééééééééééééééééééééééééééééééééé\":{}}}"), TM_REJECT);
    cr_expect(tm_utf8_valid(tm_slice_of(pair.details[0])), "%s", pair.details[0]);
}

Test(event, depth_at_its_limit)
{
    cr_expect_eq(read_text(HEAD ",\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"), TM_OK);
    expect_refused(HEAD ",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", TM_DEAD_TOO_DEEP,
                   "the value is nested deeper than 16");
    expect_refused(HEAD ",\"x\":[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]} ", TM_DEAD_TOO_DEEP,
                   "the value is nested deeper than 16");
}

Test(event, properties_at_their_limit)
{
    static char text[8192];
    for (int count = TM_PROPERTIES_MAX; count <= TM_PROPERTIES_MAX + 1; count++) {
        int at = snprintf(text, sizeof text, HEAD ",\"properties\":{");
        for (int i = 0; i < count; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "%s\"p%d\":%d", i > 0 ? "," : "", i, i);
        snprintf(text + at, sizeof text - (size_t)at, "}}");
        if (count == TM_PROPERTIES_MAX) {
            cr_expect_eq(read_text(text), TM_OK);
            cr_expect_eq(event->property_count, TM_PROPERTIES_MAX);
        } else {
            expect_refused(text, TM_DEAD_TOO_LARGE, "properties: 65 members, at most 64 are allowed");
        }
    }
}

Test(event, a_record_at_its_limit)
{
    char *text = malloc(TM_RECORD_MAX + 2);
    memset(text, ' ', TM_RECORD_MAX + 1);
    memcpy(text, HEAD "}", sizeof HEAD);
    cr_expect_eq(read_slice((tm_slice){text, TM_RECORD_MAX}, NULL, tm_slice_of("acme")), TM_OK);
    cr_expect_eq(read_slice((tm_slice){text, TM_RECORD_MAX + 1}, NULL, tm_slice_of("acme")), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_TOO_LARGE);
    free(text);
}

Test(event, confluent_prefix)
{
    static const char text[] = "\0\0\0\0\7" HEAD "}";
    tm_slice value = {text, sizeof text - 1};
    cr_expect_eq(read_slice(value, NULL, tm_slice_of("acme")), TM_OK);
    cr_expect_eq(read_slice((tm_slice){text, 4}, NULL, tm_slice_of("acme")), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_INVALID_JSON);
    tm_event_options options = {.mapping = pair.mapping, .refuse_prefix = true};
    tm_event_reader *reader = tm_event_reader_new(&options);
#ifdef TIDEMARK_EVENT_READER_JANSSON
    cr_expect_str_eq(tm_event_reader_name(reader), "jansson");
#else
    cr_expect_str_eq(tm_event_reader_name(reader), "simdjson");
#endif
    tm_event read;
    char detail[TM_DEAD_DETAIL];
    cr_expect_eq(tm_event_read(reader, value, NULL, tm_slice_of("acme"), &read, &reason, detail), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_UNSUPPORTED_ENCODING);
    tm_event_reader_free(reader);
    tm_event_reader_free(NULL);
}

static bool accepts(tm_slice text)
{
    return read_slice(text, NULL, (tm_slice){NULL, 0}) == TM_OK;
}

Test(event, agrees_with_the_schema)
{
    reader_pair_done(&pair);
    reader_pair_init(&pair, tm_mapping_native(), TM_KEY_IGNORE);
    cr_expect_gt(each_example("event", true, accepts), 5);
    cr_expect_gt(each_example("event/invalid", false, accepts), 20);
}

Test(event, each_reader_can_be_had_by_name)
{
    tm_event_options options = {.mapping = pair.mapping};
    tm_event_reader *readers[2] = {tm_event_reader_simdjson_new(&options), tm_event_reader_jansson_new(&options)};
    static const char *const names[2] = {"simdjson", "jansson"};
    for (int i = 0; i < 2; i++) {
        cr_assert_not_null(readers[i]);
        cr_expect_str_eq(tm_event_reader_name(readers[i]), names[i]);
        tm_event read;
        char detail[TM_DEAD_DETAIL];
        cr_expect_eq(
            tm_event_read(readers[i], TM_SLICE_LITERAL(HEAD "}"), NULL, tm_slice_of("acme"), &read, &reason, detail),
            TM_OK);
        cr_expect(tm_slice_equal_text(read.account, "acme"));
        cr_expect_eq(
            tm_event_read(readers[i], TM_SLICE_LITERAL(HEAD "}"), NULL, tm_slice_of("other"), &read, &reason, detail),
            TM_REJECT);
        tm_event_reader_free(readers[i]);
    }
}
