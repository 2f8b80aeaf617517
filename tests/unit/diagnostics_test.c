#include "tidemark/rules/diagnostics.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_diagnostics all;

static const char *printed(void)
{
    static tm_buffer out = {.maximum = 1 << 20};
    tm_buffer_reset(&out);
    tm_diagnostics_print(&all, &out);
    return tm_buffer_text(&out);
}

static tm_document source_of(const char *text)
{
    return (tm_document){.name = "rules.yaml", .text = tm_slice_of(text)};
}

Test(diagnostics, shows_line_caret_and_hint)
{
    tm_document source = source_of("version: 1\n  when: evnts[7d] > 1\r\nlast\n");
    tm_diagnostics_add(&all, &source, 19, "unknown metric '%s'", "evnts");
    tm_diagnostics_hint(&all, "did you mean '%s'?", "events");
    cr_assert_str_eq(printed(), "rules.yaml:2:9: unknown metric 'evnts'\n"
                                "    when: evnts[7d] > 1\n"
                                "          ^\n"
                                "  did you mean 'events'?\n");
}

Test(diagnostics, counts_characters_not_bytes)
{
    tm_document source = source_of("n: 'h\xc3\xa9llo \xe2\x82\xac' x");
    tm_diagnostics_add(&all, &source, strlen(source.text.data) - 1, "here");
    cr_assert_str_eq(printed(), "rules.yaml:1:14: here\n    n: 'h\xc3\xa9llo \xe2\x82\xac' x\n                 ^\n");
    cr_assert_eq(tm_document_offset(&source, 1, 14), strlen(source.text.data) - 1);
    cr_assert_eq(tm_document_offset(&source, 1, 99), strlen(source.text.data));
    cr_assert_eq(tm_document_offset(&source, 9, 1), strlen(source.text.data));
    tm_document lines = source_of("ab\ncd\n");
    cr_assert_eq(tm_document_offset(&lines, 2, 2), 4);
    cr_assert_eq(tm_document_offset(&lines, 1, 9), 2);
}

Test(diagnostics, ends_and_empty_texts)
{
    tm_document source = source_of("");
    tm_diagnostics_hint(&all, "of nothing");
    tm_diagnostics_add(&all, &source, 0, "empty");
    source = source_of("a\nbc");
    tm_diagnostics_add(&all, &source, 999, "beyond");
    cr_assert_str_eq(printed(), "rules.yaml:1:1: empty\nrules.yaml:2:3: beyond\n    bc\n      ^\n");
}

Test(diagnostics, cuts_long_lines_around_the_place)
{
    char text[2001];
    memset(text, 'x', 2000);
    text[2000] = '\0';
    for (int i = 0; i + 1 < 2000; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    tm_document source = source_of(text);
    tm_diagnostics_add(&all, &source, 1000, "middle");
    cr_assert_eq(all.items[0].column, 501);
    cr_assert_eq(all.items[0].caret, 40);
    cr_assert_leq(strlen(all.items[0].line_text), TM_DIAGNOSTIC_LINE_MAX - 1);
    cr_assert(tm_utf8_valid(tm_slice_of(all.items[0].line_text)));
    tm_diagnostics_add(&all, &source, 0, "start");
    cr_assert_eq(all.items[1].caret, 0);
    tm_diagnostics_add(&all, &source, 1001, "inside a character");
    cr_assert(tm_utf8_valid(tm_slice_of(all.items[2].line_text)));
    source = source_of("\ta\x01\x1b[31m\tb");
    tm_diagnostics_add(&all, &source, 2, "control characters are blanks");
    cr_assert_str_eq(all.items[3].line_text, "a  [31m b");
}

Test(diagnostics, is_bounded_sorted_and_summed_up)
{
    tm_document source = source_of("a\nb\nc d\n");
    tm_error error;
    cr_assert_eq(tm_diagnostics_status(&all, &error), TM_OK);
    tm_diagnostics_add(&all, &source, 6, "third");
    cr_assert_eq(tm_diagnostics_status(&all, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "third");
    tm_diagnostics_add(&all, &source, 0, "first");
    tm_diagnostics_hint(&all, "do this");
    tm_document other = {.name = "other", .text = TM_SLICE_LITERAL("x")};
    tm_diagnostics_add(&all, &source, 4, "second");
    for (int i = 0; i < 20; i++) {
        tm_diagnostics_add(&all, &other, 0, "n%d", i);
    }
    tm_diagnostics_hint(&all, "of one that found no room");
    cr_assert_eq(all.count, TM_DIAGNOSTICS_MAX);
    cr_assert_eq(all.dropped, 3);
    tm_diagnostics_sort(&all);
    cr_assert_str_eq(all.items[0].message, "first");
    cr_assert_str_eq(all.items[1].message, "second");
    cr_assert_str_eq(all.items[2].message, "third");
    cr_assert_str_eq(all.items[3].message, "n0");
    cr_assert_str_eq(all.items[19].hint, "");
    cr_assert_eq(tm_diagnostics_status(&all, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "first (and 22 more)");
    cr_assert_str_eq(error.where, "rules.yaml:1:1");
    cr_assert_str_eq(error.hint, "do this");
    cr_assert(strstr(printed(), "and 3 more\n"));
}

static const char *nearest_to(const char *wanted)
{
    static char text[80];
    static const char *const known[] = {"when", "where", "clear", "clear_for", "cooldown", "", "for"};
    tm_nearest nearest;
    tm_nearest_init(&nearest, tm_slice_of(wanted));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        tm_nearest_offer(&nearest, tm_slice_of(known[i]));
    }
    tm_slice found = tm_nearest_found(&nearest);
    memcpy(text, found.data ? found.data : "", found.length);
    text[found.length] = '\0';
    return text;
}

Test(diagnostics, finds_the_nearest_name)
{
    cr_assert_str_eq(nearest_to("wehn"), "when");
    cr_assert_str_eq(nearest_to("wher"), "when"); /* as near as where, which comes later */
    cr_assert_str_eq(nearest_to("CLEAR_FRO"), "clear_for");
    cr_assert_str_eq(nearest_to("cooldwn"), "cooldown");
    cr_assert_str_eq(nearest_to("fo"), "for");
    cr_assert_str_eq(nearest_to("xyz"), "");
    cr_assert_str_eq(nearest_to(""), "");
    cr_assert_str_eq(nearest_to("a_name_much_longer_than_any_name_could_ever_be_allowed_to_be_in_here"), "");
    tm_document source = source_of("wehn: 1");
    tm_diagnostics_add(&all, &source, 0, "unknown");
    tm_nearest nearest;
    tm_nearest_init(&nearest, TM_SLICE_LITERAL("wehn"));
    tm_diagnostics_suggest(&all, &nearest);
    cr_assert_str_eq(all.items[0].hint, "");
    tm_nearest_offer(&nearest, TM_SLICE_LITERAL("when"));
    tm_diagnostics_suggest(&all, &nearest);
    cr_assert_str_eq(all.items[0].hint, "did you mean 'when'?");
}

Test(diagnostics, values_that_may_be_secrets_are_not_shown)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"redis: {url: redis://u:hunter2@h, prefx: p}", "redis: {url: ***"},
        {"sasl.password: hunter2", "sasl.password: ***"},
        {"properties: {sasl.pasword: hunter2, security.protocol: ssl}", "properties: {sasl.pasword: ***"},
        {"\"ssl.key.PASSWORD\" : hunter2", "\"ssl.key.PASSWORD\" : ***"},
        {"user_key: hunter2hunter2", "user_key: ***"},
        {"acess_token: hunter2", "acess_token: ***"},
        {"uri: redis://:hunter2@h", "uri: redis ***"},
        {"security.protocol: SASL_SSL", "security.protocol: SASL_SSL"},
        {"key_mismatch: refuze", "key_mismatch: refuze"},
        {"log: {format: jsn}", "log: {format: jsn}"},
        {"password", "password"}, /* no value there */
        {"password:", "password: ***"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_document source = {"t.yaml", tm_slice_of(cases[i].text), true};
        all = (tm_diagnostics){0};
        tm_diagnostics_add(&all, &source, 0, "here");
        cr_assert_str_eq(all.items[0].line_text, cases[i].shown);
        cr_assert_null(strstr(printed(), "hunter2"));
        source.may_hold_secrets = false;
        tm_diagnostics_add(&all, &source, 0, "here");
        cr_assert_str_eq(all.items[1].line_text, cases[i].text);
    }
    /* the longest line that is shown, cut at its very end */
    char text[TM_DIAGNOSTIC_LINE_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text + TM_DIAGNOSTIC_LINE_MAX - 7, "pwd:xy", 7);
    tm_document source = {"t.yaml", tm_slice_of(text), true};
    all = (tm_diagnostics){0};
    tm_diagnostics_add(&all, &source, 0, "here");
    cr_assert_null(strstr(all.items[0].line_text, "xy"));
}
