#include "tidemark/codec/signal.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/signal_fixture.h"

#define S(text) TM_SLICE_LITERAL(text)

static signal_fixture f;
static tm_buffer out;

static void set_up(void)
{
    signal_fixture_init(&f);
    tm_buffer_init(&out, TM_SIGNAL_BYTES_MAX);
}

static void tear_down(void)
{
    tm_buffer_done(&out);
    signal_fixture_done(&f);
}

TestSuite(signal, .init = set_up, .fini = tear_down);

static const char *encode(void)
{
    tm_buffer_reset(&out);
    tm_signal_encode(&f.signal, &f.origin, &out);
    cr_assert(!out.overflowed);
    return tm_buffer_text(&out);
}

/* The encoded signal as another library reads it; freed by the caller. */
static json_t *encoded(void)
{
    json_error_t error;
    const char *text = encode();
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(root, "%s in %s", error.text, text);
    return root;
}

static json_t *data_of(json_t *root)
{
    return json_object_get(root, "data");
}

/* Python: uuid.uuid5(uuid.NAMESPACE_URL, 'tidemark:' + …) */
Test(signal, ids_are_those_of_pythons_uuid5)
{
    static const struct {
        const char *episode;
        tm_signal_state state;
        uint32_t sequence;
        const char *id;
    } cases[] = {
        {"acme/usage_drop/1714660680000", TM_SIGNAL_RAISED, 1, "a0f25429-9ad9-5055-b2a0-523760687cdb"},
        {"acme/usage_drop/1714660680000", TM_SIGNAL_CLEARED, 3, "97fa6b47-b0dd-5900-966e-70dcafcf0a5e"},
        {"kündin/a/b/low_nps/0", TM_SIGNAL_UPDATED, UINT32_MAX, "0a6829b3-76fd-51df-b20f-04886bb36153"},
        {"a/r/253402300799999", TM_SIGNAL_RAISED, 1, "2a2a6cde-832e-5ff4-89d8-f5d72a2e4ab0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char id[TM_SIGNAL_ID_TEXT];
        tm_signal_id(tm_slice_of(cases[i].episode), cases[i].state, cases[i].sequence, id);
        cr_assert_str_eq(id, cases[i].id);
    }
}

Test(signal, an_id_of_a_key_beyond_its_limit_stays_in_its_room)
{
    char key[2 * TM_EPISODE_KEY_MAX];
    char id[TM_SIGNAL_ID_TEXT];
    char cut[TM_SIGNAL_ID_TEXT];
    memset(key, 'k', sizeof(key));
    tm_signal_id((tm_slice){key, sizeof(key)}, TM_SIGNAL_UPDATED, UINT32_MAX, id);
    tm_signal_id((tm_slice){key, TM_EPISODE_KEY_MAX}, TM_SIGNAL_UPDATED, UINT32_MAX, cut);
    cr_assert_str_eq(id, cut);
}

Test(signal, an_episode_is_account_rule_and_time)
{
    tm_episode_key(S("a/b"), S("low_nps"), INT64_C(1714660680000), &out);
    cr_assert_str_eq(tm_buffer_text(&out), "a/b/low_nps/1714660680000");
}

Test(signal, formats)
{
    const double minute = 60e3, hour = 3600e3, day = 86400e3;
    const struct {
        tm_value value;
        tm_format format;
        const char *text;
    } cases[] = {
        {tm_value_number(0.5), TM_FORMAT_PERCENT, "50%"},
        {tm_value_number(0.099), TM_FORMAT_PERCENT, "9.9%"},
        {tm_value_number(0.0996), TM_FORMAT_PERCENT, "10%"},
        {tm_value_number(0.05), TM_FORMAT_PERCENT, "5%"},
        {tm_value_number(0.125), TM_FORMAT_PERCENT, "12%"}, /* halves to even */
        {tm_value_number(0.135), TM_FORMAT_PERCENT, "14%"},
        {tm_value_number(0.0025), TM_FORMAT_PERCENT, "0.2%"},
        {tm_value_number(-0.123), TM_FORMAT_PERCENT, "-12%"},
        {tm_value_number(0), TM_FORMAT_PERCENT, "0%"},
        {tm_value_number(-0.0), TM_FORMAT_PERCENT, "0%"},
        {tm_value_number(-0.0001), TM_FORMAT_PERCENT, "0%"},
        {tm_value_number(12), TM_FORMAT_PERCENT, "1200%"},
        {tm_value_number(3), TM_FORMAT_PLAIN, "3"},
        {tm_value_number(-3), TM_FORMAT_PLAIN, "-3"},
        {tm_value_number(3.14159), TM_FORMAT_NUMBER, "3.14"},
        {tm_value_number(3.1), TM_FORMAT_NUMBER, "3.1"},
        {tm_value_number(2.999), TM_FORMAT_NUMBER, "3"},
        {tm_value_number(0.125), TM_FORMAT_NUMBER, "0.12"},
        {tm_value_number(1.005), TM_FORMAT_NUMBER, "1"}, /* the double is below the half */
        {tm_value_number(1e9), TM_FORMAT_PLAIN, "1000000000"},
        {tm_value_number(1e22), TM_FORMAT_PLAIN, "10000000000000000000000"},
        {tm_value_number(-0.001), TM_FORMAT_PLAIN, "0"},
        {tm_value_number(-0.0), TM_FORMAT_PLAIN, "0"},
        {tm_value_number(NAN), TM_FORMAT_NUMBER, "n/a"},
        {tm_value_number(INFINITY), TM_FORMAT_DURATION, "n/a"},
        {tm_value_duration(3 * day + 4 * hour + 5 * minute), TM_FORMAT_PLAIN, "3d 4h"},
        {tm_value_duration(3 * day + 5 * minute), TM_FORMAT_DURATION, "3d"},
        {tm_value_duration(0), TM_FORMAT_DURATION, "0s"},
        {tm_value_duration(-999), TM_FORMAT_DURATION, "0s"},
        {tm_value_duration(-90 * minute), TM_FORMAT_PLAIN, "-1h 30m"},
        {tm_value_duration(65999), TM_FORMAT_PLAIN, "1m 5s"},
        {tm_value_duration(59999), TM_FORMAT_PLAIN, "59s"},
        {tm_value_duration(400 * day), TM_FORMAT_PLAIN, "400d"},
        {tm_value_duration(day + 5), TM_FORMAT_NUMBER, "86400005"},
        {tm_value_number(7200e3), TM_FORMAT_DURATION, "2h"},
        {tm_value_null(), TM_FORMAT_PERCENT, "n/a"},
        {tm_value_string(S("pro")), TM_FORMAT_PERCENT, "pro"},
        {tm_value_boolean(true), TM_FORMAT_NUMBER, "true"},
        {tm_value_boolean(false), TM_FORMAT_PLAIN, "false"},
        {tm_value_string(S("2024-05-16")), TM_FORMAT_DATE, "2024-05-16"},
        {tm_value_string(S("2024-05-16T23:30:00+02:00")), TM_FORMAT_DATE, "2024-05-16"},
        {tm_value_string(S("2024-05-16T23:30:00-02:00")), TM_FORMAT_DATE, "2024-05-17"},
        {tm_value_string(S("2024-05-16T23:30:00Z")), TM_FORMAT_PLAIN, "2024-05-16T23:30:00Z"},
        {tm_value_string(S("soon")), TM_FORMAT_DATE, "soon"},
        {tm_value_number(1715900000000), TM_FORMAT_DATE, "2024-05-16"},
        {tm_value_number(-1), TM_FORMAT_DATE, "-1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        tm_buffer_reset(&out);
        tm_format_value(cases[i].value, cases[i].format, i % 2 ? tm_zone_utc() : NULL, &out);
        cr_assert_str_eq(tm_buffer_text(&out), cases[i].text, "case %zu: %s, not %s", i, tm_buffer_text(&out),
                         cases[i].text);
    }
}

Test(signal, a_date_is_the_local_day)
{
    char bytes[8192];
    tm_zone *tokyo = NULL;
    FILE *file = fopen("/usr/share/zoneinfo/Asia/Tokyo", "rb");
    cr_assert_not_null(file);
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    cr_assert_eq(tm_zone_parse((tm_slice){bytes, length}, "Asia/Tokyo", &tokyo, NULL), TM_OK);
    tm_format_value(tm_value_string(S("2024-05-16T15:00:00Z")), TM_FORMAT_DATE, tokyo, &out);
    cr_assert_str_eq(tm_buffer_text(&out), "2024-05-17");
    tm_zone_free(tokyo);
}

/* Against the C library: the same decision written another way. */
Test(signal, numbers_agree_with_printf)
{
    srand(7);
    for (int i = 0; i < 20000; i++) {
        double number = (rand() % 2000001 - 1000000) / (double)(1 << rand() % 24);
        char text[64];
        int length = snprintf(text, sizeof(text), "%.2f", number);
        while (text[length - 1] == '0')
            length--;
        if (text[length - 1] == '.')
            length--;
        text[length] = '\0';
        tm_buffer_reset(&out);
        tm_format_value(tm_value_number(number), TM_FORMAT_NUMBER, NULL, &out);
        cr_assert_str_eq(tm_buffer_text(&out), strcmp(text, "-0") == 0 ? "0" : text);
    }
}

Test(signal, values)
{
    const struct {
        tm_value value;
        const char *json;
    } cases[] = {
        {tm_value_null(), "null"},
        {tm_value_number(0.1), "0.1"},
        {tm_value_number(NAN), "null"},
        {tm_value_number(-0.0), "0"},
        {tm_value_duration(259200000), "259200000"},
        {tm_value_duration(2.5), "2"},
        {tm_value_boolean(true), "true"},
        {tm_value_boolean(false), "false"},
        {tm_value_string(S("a\"b")), "\"a\\\"b\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        tm_buffer_reset(&out);
        tm_value_encode(cases[i].value, &out);
        cr_assert_str_eq(tm_buffer_text(&out), cases[i].json);
    }
}

Test(signal, a_raised_signal_to_the_byte)
{
    cr_assert_str_eq(
        encode(),
        "{\"specversion\":\"1.0\",\"id\":\"a0f25429-9ad9-5055-b2a0-523760687cdb\",\"source\":\"tidemark/tidemark/3\","
        "\"type\":\"tidemark.churn_risk.raised.v1\",\"subject\":\"acme\",\"time\":\"2024-05-02T14:38:00.000Z\","
        "\"datacontenttype\":\"application/json\",\"dataschema\":\"urn:tidemark:schema:signal:v1\",\"data\":{"
        "\"account\":\"acme\",\"rule\":\"usage_drop\",\"kind\":\"churn_risk\",\"state\":\"raised\","
        "\"severity\":\"high\",\"episode\":\"acme/usage_drop/1714660680000\",\"sequence\":1,"
        "\"raised_at\":\"2024-05-02T14:38:00.000Z\",\"summary\":\"Usage fell to 44% of the week before\","
        "\"value\":0.44,\"threshold\":0.5,\"clear_threshold\":0.8,\"evidence\":["
        "{\"expression\":\"ratio(events[7d offset 1d], events[7d offset 8d])\",\"value\":0.44},"
        "{\"expression\":\"events[7d offset 1d]\",\"value\":88},"
        "{\"expression\":\"events[7d offset 8d]\",\"value\":200}],\"health\":null,"
        "\"facts\":{\"plan\":\"team\",\"seats\":40,\"mrr\":1960.5,\"renewal_at\":\"2024-07-01\",\"tier\":\"high\","
        "\"stage\":null},\"play\":\"Call the champion\","
        "\"route\":{\"queue\":\"cs-emea\",\"responsible\":\"mina\",\"informed\":\"jo\"},\"rules_version\":7,"
        "\"input\":{\"topic\":\"usage\",\"partition\":3,\"offset\":81234}}}");
}

Test(signal, every_kind_state_severity_and_reason)
{
    for (int kind = 0; kind < TM_KINDS; kind++)
        for (int state = TM_SIGNAL_RAISED; state <= TM_SIGNAL_CLEARED; state++)
            for (int severity = 0; severity < TM_SEVERITIES; severity++)
                for (int reason = 0; reason < TM_REASONS; reason++) {
                    f.signal.kind = (tm_kind)kind;
                    f.signal.state = (tm_signal_state)state;
                    f.signal.severity = (tm_severity)severity;
                    f.signal.reason = (tm_reason)reason;
                    json_t *root = encoded();
                    json_t *data = data_of(root);
                    char type[64];
                    snprintf(type, sizeof(type), "tidemark.%s.%s.v1", tm_kind_name(f.signal.kind),
                             tm_signal_state_name(f.signal.state));
                    cr_assert_str_eq(json_string_value(json_object_get(root, "type")), type);
                    cr_assert_str_eq(json_string_value(json_object_get(data, "severity")),
                                     tm_severity_name(f.signal.severity));
                    const char *written = json_string_value(json_object_get(data, "reason"));
                    const char *expected = tm_reason_name(f.signal.reason);
                    cr_assert((written == NULL) == (expected == NULL));
                    cr_assert(written == NULL || strcmp(written, expected) == 0);
                    json_decref(root);
                }
}

Test(signal, nothing_is_said_of_an_erased_account)
{
    f.signal.state = TM_SIGNAL_CLEARED;
    f.signal.reason = TM_REASON_ERASED;
    json_t *root = encoded();
    json_t *data = data_of(root);
    cr_assert(json_is_null(json_object_get(data, "facts")));
    cr_assert(json_is_null(json_object_get(data, "play")));
    cr_assert(json_is_null(json_object_get(data, "route")));
    cr_assert(json_is_array(json_object_get(data, "evidence")));
    cr_assert_eq(json_array_size(json_object_get(data, "evidence")), 0);
    cr_assert_str_eq(json_string_value(json_object_get(data, "summary")), "");
    json_decref(root);
}

Test(signal, a_living_account_without_a_record_has_facts_of_null)
{
    f.signal.facts = NULL;
    f.signal.tier = (tm_slice){NULL, 0};
    for (int removed = 0; removed < 2; removed++) {
        json_t *root = encoded();
        json_t *data = data_of(root);
        json_t *facts = json_object_get(data, "facts");
        const char *name;
        json_t *value;
        cr_assert_eq(json_object_size(facts), 6);
        json_object_foreach(facts, name, value) cr_assert(json_is_null(value), "%s", name);
        if (removed) { /* no rule: nothing it would say */
            cr_assert(json_is_null(json_object_get(data, "play")));
            cr_assert(json_is_null(json_object_get(data, "route")));
            cr_assert_eq(json_array_size(json_object_get(data, "evidence")), 0);
            cr_assert_str_eq(json_string_value(json_object_get(data, "rule")), "usage_drop");
        } else {
            cr_assert_str_eq(json_string_value(json_object_get(data, "play")), "Send the re-engagement sequence");
            cr_assert(json_is_null(json_object_get(json_object_get(data, "route"), "responsible")));
            cr_assert_str_eq(json_string_value(json_object_get(json_object_get(data, "route"), "queue")), "cs-emea");
        }
        json_decref(root);
        f.signal.rule = NULL;
        f.signal.reason = TM_REASON_RULE_REMOVED;
        f.signal.state = TM_SIGNAL_CLEARED;
    }
}

Test(signal, a_rule_without_play_route_or_summary)
{
    f.play = (tm_by_tier){0};
    f.rule.summary_count = 0;
    f.route.queue = f.route.informed = (tm_slice){NULL, 0};
    json_t *root = encoded();
    json_t *route = json_object_get(data_of(root), "route");
    cr_assert(json_is_null(json_object_get(data_of(root), "play")));
    cr_assert_str_eq(json_string_value(json_object_get(data_of(root), "summary")), "");
    cr_assert(json_is_null(json_object_get(route, "queue")));
    cr_assert_str_eq(json_string_value(json_object_get(route, "responsible")), "mina");
    cr_assert(json_is_null(json_object_get(route, "informed")));
    json_decref(root);
    f.route.responsible = (tm_slice){NULL, 0};
    root = encoded();
    cr_assert(json_is_null(json_object_get(data_of(root), "route")));
    json_decref(root);
}

Test(signal, approximate_values_say_so)
{
    f.signal.evidence[1].approximate = true;
    json_t *root = encoded();
    json_t *evidence = json_object_get(data_of(root), "evidence");
    cr_assert_null(json_object_get(json_array_get(evidence, 0), "approximate"));
    cr_assert(json_is_true(json_object_get(json_array_get(evidence, 1), "approximate")));
    json_decref(root);
}

Test(signal, input_is_null_where_there_is_none)
{
    f.account.input = TM_INPUT_ACCOUNTS;
    f.account.input_offset = INT64_MAX;
    json_t *root = encoded();
    json_t *input = json_object_get(data_of(root), "input");
    cr_assert_str_eq(json_string_value(json_object_get(input, "topic")), "accounts");
    cr_assert_eq(json_integer_value(json_object_get(input, "offset")), INT64_MAX);
    json_decref(root);
    f.account.input_offset = -1;
    root = encoded();
    cr_assert(json_is_null(json_object_get(data_of(root), "input")));
    json_decref(root);
    f.account.input_offset = 0;
    f.origin = (tm_signal_origin){0};
    root = encoded();
    cr_assert(json_is_null(json_object_get(data_of(root), "input")));
    cr_assert_str_eq(json_string_value(json_object_get(root, "source")), "tidemark/replay");
    json_decref(root);
}

Test(signal, a_source_is_a_uri_reference)
{
    f.origin.group = S("CS-a_b.c~1 %/ü");
    json_t *root = encoded();
    cr_assert_str_eq(json_string_value(json_object_get(root, "source")), "tidemark/CS-a_b.c~1%20%25%2F%C3%BC/3");
    json_decref(root);
}

Test(signal, texts_come_back_as_they_were)
{
    f.account.key = S("a\"\\\n\x01/ü😀");
    f.summary[1].text = S(" \"quoted\"\t\x1f");
    json_t *root = encoded();
    cr_assert_str_eq(json_string_value(json_object_get(root, "subject")), f.account.key.data);
    cr_assert_str_eq(json_string_value(json_object_get(data_of(root), "account")), f.account.key.data);
    cr_assert_str_eq(json_string_value(json_object_get(data_of(root), "episode")),
                     "a\"\\\n\x01/ü😀/usage_drop/1714660680000");
    cr_assert_str_eq(json_string_value(json_object_get(data_of(root), "summary")),
                     "Usage fell to 44% \"quoted\"\t\x1f");
    json_decref(root);
}

Test(signal, a_summary_is_cut_at_a_characters_end)
{
    static char text[3 * TM_SUMMARY_MAX];
    for (size_t i = 0; i < sizeof(text) / 3; i++)
        memcpy(text + 3 * i, "漢", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        f.summary[0] = (tm_summary_part){{"ab", shift}, TM_NODE_NONE, TM_FORMAT_PLAIN};
        f.summary[1].text = (tm_slice){text, sizeof(text)};
        json_t *root = encoded();
        json_t *summary = json_object_get(data_of(root), "summary");
        size_t length = json_string_length(summary);
        cr_assert(length <= TM_SUMMARY_MAX && length > TM_SUMMARY_MAX - 3);
        cr_assert_eq((length - shift) % 3, 0);
        json_decref(root);
        tm_buffer_reset(&out);
        tm_buffer_append_text(&out, "before ");
        tm_summary_render(&f.signal, &out);
        cr_assert_eq(out.length, length + 7);
    }
}

Test(signal, the_longest_names_keep_their_key)
{
    char account[TM_ACCOUNT_ID_MAX];
    char rule[TM_NAME_MAX];
    memset(account, '"', sizeof(account));
    memset(rule, 'r', sizeof(rule));
    f.account.key = (tm_slice){account, sizeof(account)};
    f.signal.rule_name = (tm_slice){rule, sizeof(rule)};
    f.signal.raised_at = f.signal.time = TM_TIME_MAX;
    json_t *root = encoded();
    json_t *episode = json_object_get(data_of(root), "episode");
    char id[TM_SIGNAL_ID_TEXT];
    cr_assert_eq(json_string_length(episode), TM_ACCOUNT_ID_MAX + TM_NAME_MAX + 2 + 15);
    tm_signal_id((tm_slice){json_string_value(episode), json_string_length(episode)}, TM_SIGNAL_RAISED, 1, id);
    cr_assert_str_eq(json_string_value(json_object_get(root, "id")), id);
    json_decref(root);
}

Test(signal, the_greatest_signal_has_room)
{
    static char text[TM_EXPRESSION_MAX];
    static uint32_t evidence[TM_EVIDENCE_MAX];
    memset(text, '\x01', sizeof(text));
    f.nodes[0].text = (tm_slice){text, sizeof(text)};
    f.rule.evidence = evidence;
    f.rule.evidence_count = TM_EVIDENCE_MAX;
    for (size_t i = 0; i < TM_EVIDENCE_MAX; i++)
        f.signal.evidence[i] = tm_value_string((tm_slice){text, TM_PROPERTY_TEXT_MAX});
    json_decref(encoded());
}

Test(signal, a_buffer_too_small_overflows_at_every_size)
{
    size_t whole = strlen(encode());
    for (size_t maximum = 0; maximum <= whole; maximum++) {
        tm_buffer small;
        tm_buffer_init(&small, maximum);
        tm_signal_encode(&f.signal, &f.origin, &small);
        cr_assert_eq(small.overflowed, maximum < whole);
        tm_buffer_done(&small);
    }
}
