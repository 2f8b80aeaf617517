#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/examples.h"
#include "tidemark/codec/accountrecord.h"

static tm_account_record_reader *reader;
static tm_account_record record;
static tm_dead_reason reason;
static char detail[TM_DEAD_DETAIL];
static const tm_user_key user_key = {{7, 1, 2}};

static void begin(void)
{
    reader = tm_account_record_reader_new(&user_key);
}

static void end(void)
{
    tm_account_record_reader_free(reader);
}

TestSuite(accountrecord, .init = begin, .fini = end);

static tm_status read_slice(tm_slice value, const char *key, bool files)
{
    return tm_account_record_read(reader, value, tm_slice_of(key), files, &record, &reason, detail);
}

static tm_status read_text(const char *value)
{
    return read_slice(tm_slice_of(value), "acme", false);
}

static void expect_refused(const char *value, tm_dead_reason expected, const char *words)
{
    cr_expect_eq(read_text(value), TM_REJECT, "%s", value);
    cr_expect_eq(reason, expected, "%s: %s", value, tm_dead_reason_name(reason));
    cr_expect_str_eq(detail, words, "%s: %s", value, detail);
}

#define EXPECT_TEXT(slice, text) cr_expect(tm_slice_equal_text(slice, text), "%.*s", (int)(slice).length, (slice).data)

Test(accountrecord, every_field)
{
    cr_assert_eq(
        read_text("{\"account\":\"acme\",\"at\":\"2024-01-15T00:00:00Z\",\"name\":\"Acme Ltd\",\"plan\":\"team\","
                  "\"seats\":40,\"mrr\":1960.5,\"currency\":\"EUR\",\"contract_start\":\"2023-07-01\","
                  "\"renewal_at\":\"2024-07-01T00:00:00+02:00\",\"term_months\":12,\"tier\":\"high\","
                  "\"status\":\"active\",\"success_plan\":\"growth\",\"owners\":{\"csm\":\"mina\",\"sales\":null,"
                  "\"support\":\"\"},\"champions\":[\"u-17\",null,\"u-23\"],\"products\":[{\"name\":\"core\","
                  "\"seats\":40,\"mrr\":-1.25,\"x\":[]},null,{\"name\":\"analytics\",\"seats\":null}],"
                  "\"goals\":{\"reports\":-1200.0000005},\"attributes\":{\"region\":\"emea\",\"pilot\":false,"
                  "\"employees\":310,\"none\":null},\"unknown\":{\"a\":[1]},\"erase\":true}"),
        TM_OK, "%s", detail);
    const tm_facts_draft *facts = &record.facts;
    EXPECT_TEXT(record.account, "acme");
    cr_expect_not(record.erase, "from Kafka the member erase means nothing");
    cr_expect_eq(facts->at, INT64_C(1705276800000));
    EXPECT_TEXT(facts->name, "Acme Ltd");
    EXPECT_TEXT(facts->plan, "team");
    EXPECT_TEXT(facts->currency, "EUR");
    EXPECT_TEXT(facts->tier, "high");
    EXPECT_TEXT(facts->status, "active");
    EXPECT_TEXT(facts->success_plan, "growth");
    cr_expect_eq(facts->seats, 40 * TM_FIXED_ONE);
    cr_expect_eq(facts->mrr, INT64_C(1960500000));
    cr_expect_eq(facts->term_months, 12 * TM_FIXED_ONE);
    EXPECT_TEXT(facts->contract_start.text, "2023-07-01");
    cr_expect_not(facts->contract_start.is_instant);
    cr_expect_eq(facts->contract_start.day, 19539);
    EXPECT_TEXT(facts->renewal_at.text, "2024-07-01T00:00:00+02:00");
    cr_expect(facts->renewal_at.is_instant);
    cr_expect_eq(facts->renewal_at.instant, INT64_C(1719784800000));
    cr_assert_eq(facts->owner_count, 2);
    EXPECT_TEXT(facts->owners[0].name, "csm");
    EXPECT_TEXT(facts->owners[0].value.as.string, "mina");
    EXPECT_TEXT(facts->owners[1].name, "support");
    cr_assert_eq(facts->champion_count, 2);
    cr_expect_eq(facts->champions[0], tm_hash_user(tm_slice_of("u-17"), &user_key));
    cr_expect_eq(facts->champions[1], tm_hash_user(tm_slice_of("u-23"), &user_key));
    cr_assert_eq(facts->product_count, 2);
    EXPECT_TEXT(facts->products[0].name, "core");
    cr_expect_eq(facts->products[0].seats, 40 * TM_FIXED_ONE);
    cr_expect_eq(facts->products[0].mrr, -1250000);
    EXPECT_TEXT(facts->products[1].name, "analytics");
    cr_expect_eq(facts->products[1].seats, TM_FIXED_NONE);
    cr_expect_eq(facts->products[1].mrr, TM_FIXED_NONE);
    cr_assert_eq(facts->goal_count, 1);
    cr_expect_eq(facts->goals[0].value.as.number, -1200.0);
    cr_assert_eq(facts->attribute_count, 3);
    EXPECT_TEXT(facts->attributes[0].value.as.string, "emea");
    cr_expect_eq(facts->attributes[1].value.type, TM_TYPE_BOOLEAN);
    cr_expect_not(facts->attributes[1].value.as.boolean);
    cr_expect_eq(facts->attributes[2].value.as.number, 310.0);
}

Test(accountrecord, a_record_replaces_what_the_one_before_said)
{
    cr_assert_eq(read_text("{\"account\":\"acme\",\"plan\":\"team\",\"seats\":1,\"at\":1,\"owners\":{\"csm\":\"m\"},"
                           "\"contract_start\":86400000}"),
                 TM_OK);
    EXPECT_TEXT(record.facts.contract_start.text, "1970-01-02T00:00:00.000Z");
    cr_expect(record.facts.contract_start.is_instant);
    cr_expect_eq(record.facts.contract_start.instant, TM_DAY);
    cr_expect_eq(record.facts.at, 1);
    cr_assert_eq(read_text("{\"account\":\"acme\",\"plan\":null}"), TM_OK);
    cr_expect_null(record.facts.plan.data);
    cr_expect_eq(record.facts.seats, TM_FIXED_NONE);
    cr_expect_eq(record.facts.at, TM_TIME_NONE);
    cr_expect_eq(record.facts.owner_count, 0);
    cr_expect_null(record.facts.contract_start.text.data);
    cr_expect_eq(reason, TM_DEAD_NONE);
    cr_expect_str_eq(detail, "");
}

Test(accountrecord, erasure)
{
    const tm_slice nothing = {NULL, 0};
    cr_expect_eq(read_slice(nothing, "acme", false), TM_OK);
    cr_expect(record.erase);
    EXPECT_TEXT(record.account, "acme");
    cr_expect_eq(read_slice(nothing, NULL, false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_NO_KEY);
    cr_expect_eq(read_slice(nothing, "", false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_STRING_EMPTY);
    cr_expect_eq(read_slice(nothing, "\xff", false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_INVALID_UTF8);
    char long_key[TM_ACCOUNT_ID_MAX + 2];
    memset(long_key, 'x', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    cr_expect_eq(read_slice(nothing, long_key, false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_STRING_TOO_LONG);
    cr_expect_eq(read_slice(nothing, NULL, true), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_NO_VALUE);

    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\",\"at\":5,\"erase\":true,\"seats\":\"x\"}"), NULL, true),
                 TM_OK);
    cr_expect(record.erase);
    cr_expect_eq(record.facts.at, 5);
    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\",\"erase\":true}"), NULL, true), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_MISSING_FIELD);
    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\",\"at\":5,\"erase\":false}"), NULL, true), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_WRONG_TYPE);
    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\",\"at\":5,\"erase\":null}"), NULL, true), TM_OK);
    cr_expect_not(record.erase);
}

Test(accountrecord, refused)
{
    static const struct {
        const char *value;
        tm_dead_reason reason;
        const char *detail;
    } cases[] = {
        {"", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"[]", TM_DEAD_INVALID_JSON, "the value is not a JSON object"},
        {"\xff", TM_DEAD_INVALID_UTF8, "the value is not UTF-8"},
        {"{\"account\":\"acme\"", TM_DEAD_INVALID_JSON, "the value is not valid JSON"},
        {"{\"account\":\"acme\"}}", TM_DEAD_TRAILING_BYTES, "something follows the JSON object"},
        {"{\"account\":\"acme\",\"account\":\"acme\"}", TM_DEAD_DUPLICATE_KEY, "a member stands twice"},
        {"{\"account\":\"acme\",\"goals\":{\"a\":1,\"a\":1}}", TM_DEAD_DUPLICATE_KEY, "a member stands twice"},
        {"{\"account\":\"acme\",\"x\":1e999}", TM_DEAD_NUMBER_OUT_OF_RANGE,
         "the value holds a number that no double can hold"},
        {"{}", TM_DEAD_MISSING_FIELD, "account: not there"},
        {"{\"account\":null}", TM_DEAD_MISSING_FIELD, "account: not there"},
        {"{\"account\":7}", TM_DEAD_WRONG_TYPE, "account: must be a string"},
        {"{\"account\":\"\"}", TM_DEAD_STRING_EMPTY, "account: is empty"},
        {"{\"account\":\"a\\u0000\"}", TM_DEAD_WRONG_TYPE, "account: holds the character U+0000"},
        {"{\"account\":\"other\"}", TM_DEAD_ACCOUNT_MISMATCH, "account: is 'other', which is not the record's key"},
        {"{\"account\":\"acme\",\"at\":-1}", TM_DEAD_INVALID_TIME,
         "at: no whole number of milliseconds from 1970 to 9999"},
        {"{\"account\":\"acme\",\"at\":1.5}", TM_DEAD_INVALID_TIME,
         "at: no whole number of milliseconds from 1970 to 9999"},
        {"{\"account\":\"acme\",\"at\":\"2024-01-15\"}", TM_DEAD_INVALID_TIME,
         "at: not RFC 3339 with a zone, from 1970 to 9999"},
        {"{\"account\":\"acme\",\"at\":[]}", TM_DEAD_WRONG_TYPE,
         "at: must be a time as text, or milliseconds as a number"},
        {"{\"account\":\"acme\",\"plan\":1}", TM_DEAD_WRONG_TYPE, "plan: must be a string"},
        {"{\"account\":\"acme\",\"seats\":\"40\"}", TM_DEAD_WRONG_TYPE, "seats: must be a number"},
        {"{\"account\":\"acme\",\"seats\":-1}", TM_DEAD_NUMBER_OUT_OF_RANGE, "seats: must not be negative"},
        {"{\"account\":\"acme\",\"term_months\":-1}", TM_DEAD_NUMBER_OUT_OF_RANGE, "term_months: must not be negative"},
        {"{\"account\":\"acme\",\"mrr\":9000000001}", TM_DEAD_NUMBER_OUT_OF_RANGE, "mrr: beyond 9e9"},
        {"{\"account\":\"acme\",\"renewal_at\":\"2023-02-29\"}", TM_DEAD_INVALID_TIME,
         "renewal_at: neither YYYY-MM-DD nor RFC 3339 with a zone, from 1970 to 9999"},
        {"{\"account\":\"acme\",\"renewal_at\":1e300}", TM_DEAD_INVALID_TIME,
         "renewal_at: no whole number of milliseconds from 1970 to 9999"},
        {"{\"account\":\"acme\",\"renewal_at\":true}", TM_DEAD_WRONG_TYPE,
         "renewal_at: must be a date or a time as text, or milliseconds as a number"},
        {"{\"account\":\"acme\",\"owners\":[]}", TM_DEAD_WRONG_TYPE, "owners: must be an object"},
        {"{\"account\":\"acme\",\"owners\":{\"csm\":{}}}", TM_DEAD_WRONG_TYPE, "owners.csm: must be a string"},
        {"{\"account\":\"acme\",\"champions\":\"u\"}", TM_DEAD_WRONG_TYPE, "champions: must be a list"},
        {"{\"account\":\"acme\",\"champions\":[\"a\",7]}", TM_DEAD_WRONG_TYPE, "champions[1]: must be a string"},
        {"{\"account\":\"acme\",\"champions\":[\"\"]}", TM_DEAD_STRING_EMPTY, "champions[0]: is empty"},
        {"{\"account\":\"acme\",\"products\":{}}", TM_DEAD_WRONG_TYPE, "products: must be a list"},
        {"{\"account\":\"acme\",\"products\":[1]}", TM_DEAD_WRONG_TYPE, "products[0]: must be an object"},
        {"{\"account\":\"acme\",\"products\":[{\"seats\":1}]}", TM_DEAD_MISSING_FIELD, "products[0].name: not there"},
        {"{\"account\":\"acme\",\"products\":[{\"name\":\"a\",\"seats\":-1}]}", TM_DEAD_NUMBER_OUT_OF_RANGE,
         "products[0].seats: must not be negative"},
        {"{\"account\":\"acme\",\"products\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", TM_DEAD_DUPLICATE_KEY,
         "products[1].name: a product of that name stands before it"},
        {"{\"account\":\"acme\",\"goals\":{\"x\":\"1\"}}", TM_DEAD_WRONG_TYPE, "goals.x: must be a number"},
        {"{\"account\":\"acme\",\"attributes\":{\"x\":[1]}}", TM_DEAD_WRONG_TYPE,
         "attributes.x: must be a string, a number or a boolean"},
        {"{\"account\":\"acme\",\"attributes\":{\"x\":1e10}}", TM_DEAD_NUMBER_OUT_OF_RANGE, "attributes.x: beyond 9e9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].value, cases[i].reason, cases[i].detail);
    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\"}"), NULL, false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_NO_KEY);
    cr_expect_eq(read_slice(tm_slice_of("{\"account\":\"acme\"}"), NULL, true), TM_OK);
}

/* {"account":"acme",FIELD:[1…count]} in its several forms. */
static tm_status read_many(const char *open, const char *item, int count, const char *close)
{
    static char text[1 << 16];
    int length = snprintf(text, sizeof text, "{\"account\":\"acme\",%s", open);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            text[length++] = ',';
        /* every item has one %d */
        const char *mark = strstr(item, "%d");
        length +=
            snprintf(text + length, sizeof text - (size_t)length, "%.*s%d%s", (int)(mark - item), item, i, mark + 2);
    }
    snprintf(text + length, sizeof text - (size_t)length, "%s}", close);
    return read_text(text);
}

Test(accountrecord, counts_at_their_limits)
{
    static const struct {
        const char *open, *item, *close;
        int maximum;
    } cases[] = {
        {"\"owners\":{", "\"o%d\":\"x\"", "}", TM_FACT_LIST_MAX},
        {"\"goals\":{", "\"g%d\":1", "}", TM_FACT_LIST_MAX},
        {"\"attributes\":{", "\"a%d\":true", "}", TM_FACT_LIST_MAX},
        {"\"products\":[", "{\"name\":\"p%d\"}", "]", TM_FACT_LIST_MAX},
        {"\"champions\":[", "\"u%d\"", "]", TM_CHAMPIONS_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(read_many(cases[i].open, cases[i].item, cases[i].maximum, cases[i].close), TM_OK, "%s %s",
                     cases[i].open, detail);
        cr_expect_eq(read_many(cases[i].open, cases[i].item, cases[i].maximum + 1, cases[i].close), TM_REJECT, "%s",
                     cases[i].open);
        cr_expect_eq(reason, TM_DEAD_TOO_LARGE);
    }
}

/* {"account":"acme",BEFORE xxxx… AFTER} */
static tm_status read_long(const char *before, size_t length, const char *after)
{
    static char text[4096];
    int at = snprintf(text, sizeof text, "{\"account\":\"acme\",%s", before);
    memset(text + at, 'x', length);
    snprintf(text + at + length, sizeof text - (size_t)at - length, "%s}", after);
    return read_text(text);
}

Test(accountrecord, lengths_at_their_limits)
{
    static const struct {
        const char *before, *after;
        size_t maximum;
    } cases[] = {
        {"\"plan\":\"", "\"", TM_FACT_TEXT_MAX},
        {"\"owners\":{\"csm\":\"", "\"}", TM_FACT_TEXT_MAX},
        {"\"owners\":{\"", "\":\"m\"}", TM_FACT_TEXT_MAX},
        {"\"attributes\":{\"a\":\"", "\"}", TM_FACT_TEXT_MAX},
        {"\"products\":[{\"name\":\"", "\"}]", TM_FACT_TEXT_MAX},
        {"\"champions\":[\"", "\"]", TM_USER_ID_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(read_long(cases[i].before, cases[i].maximum, cases[i].after), TM_OK, "%s %s", cases[i].before,
                     detail);
        cr_expect_eq(read_long(cases[i].before, cases[i].maximum + 1, cases[i].after), TM_REJECT, "%s",
                     cases[i].before);
        cr_expect_eq(reason, TM_DEAD_STRING_TOO_LONG);
        cr_expect(tm_utf8_valid(tm_slice_of(detail)));
    }
    cr_expect_eq(read_long("\"renewal_at\":\"", 300, "\""), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_STRING_TOO_LONG);
}

Test(accountrecord, a_record_at_its_limit)
{
    char *text = malloc(TM_RECORD_MAX + 2);
    memset(text, ' ', TM_RECORD_MAX + 1);
    static const char record_text[] = "{\"account\":\"acme\"}";
    memcpy(text, record_text, sizeof record_text - 1);
    cr_expect_eq(read_slice((tm_slice){text, TM_RECORD_MAX}, "acme", false), TM_OK);
    cr_expect_eq(read_slice((tm_slice){text, TM_RECORD_MAX + 1}, "acme", false), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_TOO_LARGE);
    free(text);
}

Test(accountrecord, a_detail_is_cut_between_characters)
{
    cr_expect_eq(read_text("{\"account\":\"acme\",\"goals\":{\"aééééééééééééééééééééééééééééééééééééééééééé\":true}}"),
                 TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_WRONG_TYPE);
    cr_expect(tm_utf8_valid(tm_slice_of(detail)), "%s", detail);
}

/* What the published schema shows as good is accepted, what it shows as bad is refused. */
static bool accepts(tm_slice text)
{
    return read_slice(text, NULL, true) == TM_OK;
}

Test(accountrecord, agrees_with_the_schema)
{
    cr_expect_gt(each_example("account-record", true, accepts), 3);
    cr_expect_gt(each_example("account-record/invalid", false, accepts), 10);
    tm_account_record_reader_free(NULL);
}
