#include "tidemark/rules/template.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static tm_arena *arena;
static tm_program program;
static tm_metric metrics[2];
static tm_expression_scope scope;
static tm_expression_error error;
static tm_summary_part *parts;
static uint32_t count;

static void setup(void)
{
    arena = tm_arena_new(0);
    tm_program_init(&program, arena);
    metrics[0] = (tm_metric){.name = TM_SLICE_LITERAL("events"), .kind = TM_METRIC_COUNT};
    metrics[1] = (tm_metric){.name = TM_SLICE_LITERAL("nps"), .kind = TM_METRIC_LAST};
    scope = (tm_expression_scope){.metrics = metrics, .metric_count = 2};
}

static void teardown(void)
{
    tm_arena_free_all(arena);
}

TestSuite(template, .init = setup, .fini = teardown);

static tm_status parse(const char *text, size_t length)
{
    error = (tm_expression_error){.message = ""};
    return tm_template_parse(&program, &scope, arena, (tm_slice){text, length}, &parts, &count, &error);
}

/* The parts as text<node;format>, so that a row of a table can hold them. */
static const char *shown(void)
{
    static char out[1024];
    size_t length = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const tm_summary_part *part = &parts[i];
        tm_slice node = part->node == TM_NODE_NONE ? TM_SLICE_LITERAL("none") : program.nodes[part->node].text;
        length += (size_t)snprintf(out + length, sizeof out - length, "%.*s<%.*s;%d>", (int)part->text.length,
                                   part->text.data, (int)node.length, node.data, (int)part->format);
        cr_assert_lt(length, sizeof out);
    }
    return out;
}

Test(template, splits_text_and_values)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        {"", ""},
        {"no value at all", "no value at all<none;0>"},
        {"{{seats}}", "<seats;0>"},
        {"a {{ seats }} b", "a <seats;0> b<none;0>"},
        {"{{seats}}{{mrr}}", "<seats;0><mrr;0>"},
        {"{{seats | percent}}", "<seats;1>"},
        {"{{seats|number}}!", "<seats;2>!<none;0>"},
        {"{{age(nps) |   duration  }}", "<age(nps);3>"},
        {"until {{renewal_at | date}}", "until <renewal_at;4>"},
        {"{{attributes.x | date}}{{attributes.x | percent}}", "<attributes.x;4><attributes.x;1>"},
        {"fell to {{ratio(events[7d offset 1d],events[7d offset 8d])|percent}} of it",
         "fell to <ratio(events[7d offset 1d], events[7d offset 8d]);1> of it<none;0>"},
        /* Quotes hide bars and closing braces, escaped quotes do not end them. */
        {"{{attributes['a|b']}}", "<attributes['a|b'];0>"},
        {"{{attributes['}}'] | number}}", "<attributes['}}'];2>"},
        {"{{attributes[\"it's}}\"]}}", "<attributes['it\\'s}}'];0>"},
        {"{{attributes['\\'}}']}}", "<attributes['\\'}}'];0>"},
        /* Single braces, bars and closing pairs outside a value are text. */
        {"{a} | }} b", "{a} | }} b<none;0>"},
        {"x{", "x{<none;0>"},
        {"h\xc3\xa9 {{plan}}", "h\xc3\xa9 <plan;0>"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        tm_status status = parse(table[i].text, strlen(table[i].text));
        cr_assert_eq(status, TM_OK, "%s: %s", table[i].text, error.message);
        cr_assert_str_eq(shown(), table[i].expected);
    }
}

Test(template, an_empty_summary_has_no_parts)
{
    count = 7;
    cr_assert_eq(parse("", 0), TM_OK);
    cr_assert_eq(count, 0);
}

Test(template, keeps_its_own_copy_of_the_text)
{
    char text[] = "used {{seats}} of them";
    cr_assert_eq(parse(text, strlen(text)), TM_OK);
    memset(text, '#', sizeof text - 1);
    cr_assert_str_eq(shown(), "used <seats;0> of them<none;0>");
}

/* Offsets count in the summary's text, not in the expression's. */
Test(template, says_what_is_wrong_and_where)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *message, *hint; /* the message, or how it begins */
    } table[] = {
        {"ab {{seats", 3, "'{{' without its '}}'", ""},
        {"{{", 0, "'{{' without its '}}'", ""},
        {"ab {{seats}", 3, "'{{' without its '}}'", ""},
        {"{{attributes['x}}", 0, "'{{' without its '}}'", ""},
        {"{{'a\\", 0, "'{{' without its '}}'", ""},
        {"{{seats}} {{ mrr", 10, "'{{' without its '}}'", ""},
        {"{{seats |  percnt }}", 11, "unknown format: percent, number, duration and date are known",
         "did you mean 'percent'?"},
        {"{{seats | Number}}", 10, "unknown format: percent, number, duration and date are known",
         "did you mean 'number'?"},
        {"{{seats | zzzzzzzzzz}}", 10, "unknown format: percent, number, duration and date are known", ""},
        {"{{seats | number | date}}", 10, "unknown format: percent, number, duration and date are known", ""},
        {"a {{evnts[7d]}}", 4, "unknown ", "did you mean 'events'?"},
        {"a {{ seats $ }}", 11, "an unknown character", ""},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_assert_eq(parse(table[i].text, strlen(table[i].text)), TM_REJECT, "%s", table[i].text);
        cr_assert_eq(strncmp(error.message, table[i].message, strlen(table[i].message)), 0, "%s: %s", table[i].text,
                     error.message);
        cr_assert_eq(error.offset, table[i].offset, "%s: at %zu", table[i].text, error.offset);
        cr_assert_geq(error.length, 1, "%s", table[i].text);
        cr_assert_str_eq(error.hint, table[i].hint);
    }
}

Test(template, a_format_must_fit_its_value)
{
    static const char *const values[] = {"seats", "age(nps)", "plan", "first_term", "attributes.x", "null"};
    static const struct {
        const char *format;
        bool fits[COUNT(values)];
    } table[] = {{"percent", {true, false, false, false, true, true}},
                 {"number", {true, false, false, false, true, true}},
                 {"duration", {false, true, false, false, true, true}},
                 {"date", {false, false, true, false, true, true}}};
    for (size_t i = 0; i < COUNT(table); i++) {
        for (size_t j = 0; j < COUNT(values); j++) {
            char text[64];
            snprintf(text, sizeof text, "is {{%s | %s}}", values[j], table[i].format);
            tm_status expected = table[i].fits[j] ? TM_OK : TM_REJECT;
            cr_assert_eq(parse(text, strlen(text)), expected, "%s: %s", text, error.message);
            if (expected == TM_REJECT) {
                cr_assert_eq(error.offset, 5, "%s: at %zu", text, error.offset);
                cr_assert_neq(error.message[0], '\0');
            }
        }
    }
    for (size_t j = 0; j < COUNT(values); j++) { /* without a format whatever there is */
        char text[64];
        snprintf(text, sizeof text, "{{%s}}", values[j]);
        cr_assert_eq(parse(text, strlen(text)), TM_OK, "%s: %s", text, error.message);
    }
}

Test(template, bounds_the_fixed_text)
{
    char text[TM_SUMMARY_MAX + 10];
    memset(text, 'x', sizeof text);
    cr_assert_eq(parse(text, TM_SUMMARY_MAX), TM_OK);
    cr_assert_eq(parts[0].text.length, TM_SUMMARY_MAX);
    cr_assert_eq(parse(text, TM_SUMMARY_MAX + 1), TM_REJECT);
    cr_assert_str_eq(error.message, "the summary is too long");
    memcpy(text + 100, "{{seats}}", 9); /* a value does not count, all text around it does */
    cr_assert_eq(parse(text, TM_SUMMARY_MAX + 9), TM_OK);
    cr_assert_eq(parse(text, TM_SUMMARY_MAX + 10), TM_REJECT);
    cr_assert_str_eq(error.message, "the summary is too long");
    cr_assert_eq(error.offset, 109);
}

Test(template, bounds_the_number_of_values)
{
    char text[9 * (TM_SUMMARY_PARTS_MAX + 1)];
    for (size_t i = 0; i <= TM_SUMMARY_PARTS_MAX; i++) {
        memcpy(text + 9 * i, "{{seats}}", 9);
    }
    cr_assert_eq(parse(text, 9 * TM_SUMMARY_PARTS_MAX), TM_OK);
    cr_assert_eq(count, TM_SUMMARY_PARTS_MAX);
    cr_assert_eq(parse(text, sizeof text), TM_REJECT);
    cr_assert_str_eq(error.message, "the summary has too many values");
    cr_assert_eq(error.offset, 9 * TM_SUMMARY_PARTS_MAX);
}

/* Cut anywhere, in memory of exactly its size: an answer, never a read behind the end. */
Test(template, any_cut_of_a_text_is_answered)
{
    const char *text = "x{{attributes['a\\'}}|'] | percent}}y{{\"q\\\"\" | date}}{{ nps|}}";
    for (size_t length = 0; length <= strlen(text); length++) {
        char *copy = malloc(length > 0 ? length : 1);
        cr_assert_not_null(copy);
        memcpy(copy, text, length);
        tm_status status = parse(copy, length);
        cr_assert(status == TM_OK || status == TM_REJECT, "cut at %zu", length);
        cr_assert(status == TM_OK || error.offset <= length, "cut at %zu", length);
        free(copy);
    }
}
