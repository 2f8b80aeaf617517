/* Records in other producers' names, read through the mappings with both readers at once. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "support/eventcase.h"

static void done(void)
{
    reader_pair_done(&pair);
}

TestSuite(eventmapping, .fini = done);

static void use(tm_mapping *mapping)
{
    reader_pair_init(&pair, mapping, TM_KEY_REFUSE);
}

static const char structured[] =
    "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/web\",\"type\":\"com.x.login\",\"subject\":\"acme\","
    "\"time\":\"2024-05-02T14:37:21Z\",\"data\":{\"user\":\"u\",\"value\":2,\"properties\":{\"a\":1}}}";

static void expect_cloudevent(void)
{
    EXPECT_TEXT(event->id, "e-1");
    EXPECT_TEXT(event->source, "/web");
    EXPECT_TEXT(event->name, "com.x.login");
    EXPECT_TEXT(event->account, "acme");
    EXPECT_TEXT(event->user, "u");
    cr_expect_eq(event->at, INT64_C(1714660641000));
    cr_expect_eq(event->value, 2 * TM_FIXED_ONE);
    cr_expect_eq(event->property_count, 1);
}

static tm_header ce_headers[] = {{TEXT("ce_specversion"), TEXT("1.0")},
                                 {TEXT("ce_id"), TEXT("e-1")},
                                 {TEXT("ce_source"), TEXT("/web")},
                                 {TEXT("ce_type"), TEXT("com.x.login")},
                                 {TEXT("ce_subject"), TEXT("acme")},
                                 {TEXT("ce_time"), TEXT("2024-05-02T14:37:21Z")},
                                 {TEXT("content-type"), TEXT("application/json; charset=utf-8")},
                                 {TEXT("other"), {NULL, 0}}};

static tm_status read_with(const char *value, const tm_header *items, size_t count)
{
    const tm_headers headers = {items, count};
    return read_slice(tm_slice_of(value), &headers, tm_slice_of("acme"));
}

static const char binary[] = "{\"user\":\"u\",\"value\":2,\"properties\":{\"a\":1}}";

static void cloudevents_both_modes(void)
{
    cr_expect_eq(read_text(structured), TM_OK, "%s", pair.details[0]);
    expect_cloudevent();
    cr_expect_eq(read_with(binary, ce_headers, 8), TM_OK, "%s", pair.details[0]);
    expect_cloudevent();
    tm_header type = {TEXT("Content-Type"), TEXT("Application/CloudEvents+JSON; charset=utf-8")};
    cr_expect_eq(read_with(structured, &type, 1), TM_OK, "%s", pair.details[0]);
    expect_cloudevent();

    type.value = tm_slice_of("application/cloudevents+avro");
    cr_expect_eq(read_with(structured, &type, 1), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_UNSUPPORTED_ENCODING);
    type.value = tm_slice_of("application/cloudevents+json");
    cr_expect_eq(read_with(HEAD "}", &type, 1), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_MISSING_FIELD, "the content type says CloudEvents");

    tm_header headers[9];
    memcpy(headers, ce_headers, sizeof ce_headers);
    headers[6].value = tm_slice_of("application/avro");
    cr_expect_eq(read_with(binary, headers, 8), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_UNSUPPORTED_ENCODING);
    headers[6].value = tm_slice_of("application/vnd.x+json");
    cr_expect_eq(read_with(binary, headers, 8), TM_OK);
    headers[0].value = tm_slice_of("0.3");
    cr_expect_eq(read_with(binary, headers, 8), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_UNSUPPORTED_ENCODING);
    headers[0].value = tm_slice_of("1.0");
    headers[1].value = tm_slice_of("\xff");
    cr_expect_eq(read_with(binary, headers, 8), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_INVALID_UTF8);
    cr_expect_str_eq(pair.details[0], "id (ce_id): not UTF-8");
    headers[1].value = (tm_slice){"a\0b", 3};
    cr_expect_eq(read_with(binary, headers, 8), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_WRONG_TYPE);
    headers[1] = ce_headers[1];
    headers[8] = ce_headers[1];
    cr_expect_eq(read_with(binary, headers, 9), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_DUPLICATE_KEY);
    cr_expect_eq(read_with(binary, headers, 5), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_MISSING_FIELD);
    cr_expect_str_eq(pair.details[0], "at (ce_time): not there");

    expect_refused("{\"specversion\":1}", TM_DEAD_WRONG_TYPE, "specversion: must be a string");
    expect_refused("{\"specversion\":\"0.3\"}", TM_DEAD_UNSUPPORTED_ENCODING,
                   "specversion: only CloudEvents 1.x can be read");
    expect_refused("{\"specversion\":\"1.0\",\"data_base64\":\"e30=\"}", TM_DEAD_UNSUPPORTED_ENCODING,
                   "data_base64: only data as JSON can be read");
    expect_refused("{\"specversion\":\"1.0\",\"id\":\"a\",\"data\":1}", TM_DEAD_MISSING_FIELD,
                   "account (subject): not there");
    expect_refused("{\"specversion\":\"1.0\",\"data\":{\"user\":1},\"data\":{}}", TM_DEAD_DUPLICATE_KEY,
                   "data: stands twice");
}

Test(eventmapping, cloudevents)
{
    use(tm_mapping_cloudevents());
    cloudevents_both_modes();
    expect_refused(HEAD "}", TM_DEAD_MISSING_FIELD, "specversion: not there, so this is no CloudEvent");
}

Test(eventmapping, automatic)
{
    use(tm_mapping_auto());
    cloudevents_both_modes();
    cr_expect_eq(read_text(HEAD ",\"value\":3,\"properties\":{\"b\":2,\"c\":3},\"data\":{\"user\":\"no\"}}"), TM_OK);
    cr_expect_eq(event->value, 3 * TM_FIXED_ONE);
    cr_expect_eq(event->property_count, 2);
    cr_expect_null(event->user.data);
    cr_expect_eq(read_text(HEAD ",\"specversion\":null}"), TM_OK);
    tm_header other = {TEXT("content-type"), TEXT("application/json")};
    cr_expect_eq(read_with(HEAD "}", &other, 1), TM_OK);
}

Test(eventmapping, segment)
{
    use(tm_mapping_segment());
    cr_assert_eq(read_text("{\"messageId\":\"m-1\",\"type\":\"track\",\"userId\":\"u\",\"event\":\"Order Completed\","
                           "\"context\":{\"groupId\":\"acme\",\"ip\":\"::1\"},\"timestamp\":\"2024-05-02T14:37:21Z\","
                           "\"properties\":{\"revenue\":12.5,\"value\":\"a lot\",\"items\":[{\"a\":1}],\"ok\":true}}"),
                 TM_OK, "%s", pair.details[0]);
    EXPECT_TEXT(event->id, "m-1");
    EXPECT_TEXT(event->account, "acme");
    EXPECT_TEXT(event->name, "Order Completed");
    EXPECT_TEXT(event->user, "u");
    cr_expect_eq(event->value, INT64_C(12500000), "text is passed over, revenue counts");
    cr_expect_eq(event->property_count, 3);
    cr_assert_eq(read_text("{\"messageId\":\"m\",\"event\":\"e\",\"groupId\":\"acme\",\"context\":{\"groupId\":\"no\"},"
                           "\"timestamp\":5,\"properties\":[]}"),
                 TM_OK, "%s", pair.details[0]);
    cr_expect_eq(event->property_count, 0);
    cr_expect_eq(event->value, TM_FIXED_NONE);
    expect_refused("{\"messageId\":\"m\",\"type\":\"page\",\"groupId\":\"acme\",\"timestamp\":5}",
                   TM_DEAD_MISSING_FIELD, "event: not there");
    expect_refused("{\"messageId\":\"m\",\"event\":\"e\",\"timestamp\":5}", TM_DEAD_MISSING_FIELD,
                   "account (groupId): not there");
    expect_refused("{\"messageId\":\"m\",\"event\":\"e\",\"groupId\":7}", TM_DEAD_WRONG_TYPE,
                   "account (groupId): must be a string");
}

Test(eventmapping, custom)
{
    static const tm_mapping_pair pairs[] = {
        {TEXT("id"), TEXT("$header.trace"), {NULL, 0}},
        {TEXT("id"), TEXT("uuid"), {NULL, 0}},
        {TEXT("account"), TEXT("$key"), {NULL, 0}},
        {TEXT("event"), TEXT("what.kind"), TEXT("click")},
        {TEXT("at"), TEXT("ts"), {NULL, 0}},
        {TEXT("source"), {NULL, 0}, TEXT("app")},
        {TEXT("value"), TEXT("what.amount"), {NULL, 0}},
        {TEXT("properties"), TEXT("tags"), {NULL, 0}},
        {TEXT("properties.plan"), TEXT("what.plan"), {NULL, 0}},
        {TEXT("properties.plan"), TEXT("plan"), TEXT("free")},
        {TEXT("properties.n"), TEXT("n"), {NULL, 0}},
    };
    tm_mapping *mapping;
    size_t at;
    tm_error error;
    cr_assert_eq(tm_mapping_custom(pairs, sizeof pairs / sizeof pairs[0], &mapping, &at, &error), TM_OK, "%s",
                 error.what);
    cr_expect(mapping->needs_headers);
    use(mapping);
    cr_assert_eq(read_text("{\"uuid\":\"x\",\"ts\":5,\"what\":{\"amount\":7},\"tags\":{\"plan\":\"dear\",\"z\":1}}"),
                 TM_OK, "%s", pair.details[0]);
    EXPECT_TEXT(event->id, "x");
    EXPECT_TEXT(event->account, "acme");
    EXPECT_TEXT(event->name, "click");
    EXPECT_TEXT(event->source, "app");
    cr_expect_eq(event->value, 7 * TM_FIXED_ONE);
    cr_assert_eq(event->property_count, 2);
    EXPECT_TEXT(event->properties[0].name, "plan");
    EXPECT_TEXT(event->properties[0].value.as.string, "free");
    EXPECT_TEXT(event->properties[1].name, "z");
    tm_header trace = {TEXT("Trace"), TEXT("t-1")};
    cr_assert_eq(
        read_with("{\"uuid\":\"x\",\"ts\":5,\"what\":{\"kind\":\"k\",\"plan\":\"p\"},\"plan\":\"q\"}", &trace, 1),
        TM_OK);
    EXPECT_TEXT(event->id, "t-1");
    EXPECT_TEXT(event->name, "k");
    EXPECT_TEXT(event->properties[0].value.as.string, "p");

    expect_refused("{\"uuid\":\"x\",\"ts\":5,\"n\":[]}", TM_DEAD_WRONG_TYPE,
                   "properties.n: must be a string, a number or a boolean");
    expect_refused("{\"uuid\":\"x\",\"ts\":5,\"what\":{\"kind\":7}}", TM_DEAD_WRONG_TYPE,
                   "event (what.kind): must be a string");
    cr_expect_eq(read_slice(tm_slice_of("{\"uuid\":\"x\",\"ts\":5}"), NULL, (tm_slice){"\xff", 1}), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_INVALID_UTF8);
    cr_expect_eq(read_slice(tm_slice_of("{\"uuid\":\"x\",\"ts\":5}"), NULL, (tm_slice){NULL, 0}), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_MISSING_FIELD);
    cr_expect_str_eq(pair.details[0], "account ($key): not there");
    /* A single property and 64 members: one too many. */
    static char text[8192];
    int length = snprintf(text, sizeof text, "{\"uuid\":\"x\",\"ts\":5,\"tags\":{");
    for (int i = 0; i < TM_PROPERTIES_MAX; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s\"p%d\":%d", i > 0 ? "," : "", i, i);
    snprintf(text + length, sizeof text - (size_t)length, "}}");
    expect_refused(text, TM_DEAD_TOO_LARGE, "properties: more than 64");
    tm_header twice[] = {{TEXT("trace"), TEXT("a")}, {TEXT("trace"), TEXT("b")}};
    cr_expect_eq(read_with("{\"ts\":5}", twice, 2), TM_REJECT);
    cr_expect_eq(reason, TM_DEAD_DUPLICATE_KEY);
}

/* What the published schema shows as good is accepted, what it shows as bad is refused. */
