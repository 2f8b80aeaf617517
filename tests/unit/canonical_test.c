#include "tidemark/rules/canonical.h"

#include <criterion/criterion.h>

/* The arguments: what they are decides where brackets must stand. */
enum { NAME, NUMBER, NEGATIVE, NEGATION, PRODUCT, SUM, LESS, IS_NULL, NOT, AND, OR, CALL, MINUS_STRING, NODES };

#define NODE(operation, written)                                                                                       \
    {                                                                                                                  \
        .op = (operation), .text = {(written), sizeof(written) - 1 }                                                   \
    }

static tm_node nodes[NODES] = {
    [NAME] = NODE(TM_OP_FACT, "seats"),
    [NUMBER] = NODE(TM_OP_CONSTANT, "2"),
    [NEGATIVE] = NODE(TM_OP_CONSTANT, "-2"),
    [NEGATION] = NODE(TM_OP_NEGATE, "-seats"),
    [PRODUCT] = NODE(TM_OP_MULTIPLY, "a * b"),
    [SUM] = NODE(TM_OP_ADD, "a + b"),
    [LESS] = NODE(TM_OP_LESS, "a < b"),
    [IS_NULL] = NODE(TM_OP_IS_NULL, "a == null"),
    [NOT] = NODE(TM_OP_NOT, "not a"),
    [AND] = NODE(TM_OP_AND, "a and b"),
    [OR] = NODE(TM_OP_OR, "a or b"),
    [CALL] = NODE(TM_OP_MINIMUM, "min(a, b)"),
    [MINUS_STRING] = NODE(TM_OP_CONSTANT, "'-x'"),
};

static const tm_program program = {.nodes = nodes, .node_count = NODES};

Test(canonical, brackets_only_where_they_change_something)
{
    static const struct {
        tm_op op;
        uint32_t count;
        uint32_t arguments[3];
        const char *text;
    } table[] = {
        {TM_OP_ADD, 2, {NAME, NUMBER}, "seats + 2"},
        {TM_OP_ADD, 2, {SUM, PRODUCT}, "a + b + a * b"},
        {TM_OP_ADD, 2, {NAME, SUM}, "seats + (a + b)"},
        {TM_OP_SUBTRACT, 2, {SUM, SUM}, "a + b - (a + b)"},
        {TM_OP_SUBTRACT, 2, {NAME, NEGATIVE}, "seats - -2"},
        {TM_OP_MULTIPLY, 2, {SUM, NEGATION}, "(a + b) * -seats"},
        {TM_OP_DIVIDE, 2, {PRODUCT, PRODUCT}, "a * b / (a * b)"},
        {TM_OP_DIVIDE, 2, {CALL, NUMBER}, "min(a, b) / 2"},
        {TM_OP_NEGATE, 1, {NAME}, "-seats"},
        {TM_OP_NEGATE, 1, {NEGATION}, "--seats"},
        {TM_OP_NEGATE, 1, {NEGATIVE}, "--2"},
        {TM_OP_NEGATE, 1, {PRODUCT}, "-(a * b)"},
        {TM_OP_NEGATE, 1, {CALL}, "-min(a, b)"},
        {TM_OP_LESS, 2, {SUM, PRODUCT}, "a + b < a * b"},
        {TM_OP_LESS_EQUAL, 2, {NAME, NUMBER}, "seats <= 2"},
        {TM_OP_GREATER, 2, {NAME, NEGATIVE}, "seats > -2"},
        {TM_OP_GREATER_EQUAL, 2, {CALL, NUMBER}, "min(a, b) >= 2"},
        {TM_OP_EQUAL, 2, {LESS, IS_NULL}, "(a < b) == (a == null)"}, /* comparisons do not chain */
        {TM_OP_NOT_EQUAL, 2, {NOT, NAME}, "(not a) != seats"},
        {TM_OP_IS_NULL, 1, {NAME}, "seats == null"},
        {TM_OP_IS_NOT_NULL, 1, {SUM}, "a + b != null"},
        {TM_OP_IS_NULL, 1, {LESS}, "(a < b) == null"},
        {TM_OP_NOT, 1, {NAME}, "not seats"},
        {TM_OP_NOT, 1, {LESS}, "not a < b"},
        {TM_OP_NOT, 1, {NOT}, "not not a"},
        {TM_OP_NOT, 1, {AND}, "not (a and b)"},
        {TM_OP_AND, 3, {LESS, NOT, OR}, "a < b and not a and (a or b)"},
        {TM_OP_OR, 3, {AND, LESS, NAME}, "a and b or a < b or seats"},
        {TM_OP_EQUAL, 2, {NAME, MINUS_STRING}, "seats == '-x'"},
        {TM_OP_MINIMUM, 3, {SUM, OR, NUMBER}, "min(a + b, a or b, 2)"},
        {TM_OP_IF, 3, {AND, NEGATIVE, CALL}, "if(a and b, -2, min(a, b))"},
        {TM_OP_ABSOLUTE, 1, {NEGATIVE}, "abs(-2)"},
        {TM_OP_RATIO, 2, {NAME, NUMBER}, "ratio(seats, 2)"},
    };
    tm_buffer text;
    tm_buffer_init(&text, 256);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tm_buffer_reset(&text);
        tm_canonical_operation(&text, &program, table[i].op, table[i].arguments, table[i].count);
        cr_assert_str_eq(tm_buffer_text(&text), table[i].text);
    }
    tm_buffer_done(&text);
}

Test(canonical, appends_to_what_is_there)
{
    tm_buffer text;
    tm_buffer_init(&text, 64);
    tm_buffer_append_text(&text, "x: ");
    tm_canonical_operation(&text, &program, TM_OP_ADD, (const uint32_t[]){NAME, NUMBER}, 2);
    tm_canonical_member(&text, TM_SLICE_LITERAL("y"));
    cr_assert_str_eq(tm_buffer_text(&text), "x: seats + 2.y");
    tm_buffer_done(&text);
}

Test(canonical, a_text_too_long_for_its_buffer_is_marked)
{
    tm_buffer text;
    tm_buffer_init(&text, 8);
    tm_canonical_operation(&text, &program, TM_OP_ADD, (const uint32_t[]){NAME, NUMBER}, 2);
    cr_assert(text.overflowed);
    tm_buffer_done(&text);
}

Test(canonical, quotes_members_that_are_no_names)
{
    static const struct {
        tm_slice name;
        const char *text;
        bool is_name;
    } table[] = {
        {TM_SLICE_LITERAL("csm"), ".csm", true},
        {TM_SLICE_LITERAL("_"), "._", true},
        {TM_SLICE_LITERAL("aZ_09"), ".aZ_09", true},
        {TM_SLICE_LITERAL("and"), ".and", true},
        {TM_SLICE_LITERAL(""), "['']", false},
        {TM_SLICE_LITERAL("9lives"), "['9lives']", false},
        {TM_SLICE_LITERAL("x-y"), "['x-y']", false},
        {TM_SLICE_LITERAL("Big Plan"), "['Big Plan']", false},
        {TM_SLICE_LITERAL("a."), "['a.']", false},
        {TM_SLICE_LITERAL("h\xc3\xa9"), "['h\xc3\xa9']", false},
        {TM_SLICE_LITERAL("it's"), "['it\\'s']", false},
        {TM_SLICE_LITERAL("a\\b"), "['a\\\\b']", false},
        {TM_SLICE_LITERAL("say \"x\""), "['say \"x\"']", false},
        {TM_SLICE_LITERAL("l\nt\t"), "['l\\nt\\t']", false},
    };
    tm_buffer text;
    tm_buffer_init(&text, 64);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tm_buffer_reset(&text);
        tm_canonical_member(&text, table[i].name);
        cr_assert_str_eq(tm_buffer_text(&text), table[i].text);
        cr_assert_eq(tm_canonical_is_name(table[i].name), table[i].is_name, "%s", table[i].text);
    }
    tm_buffer_done(&text);
}

/* Byte by byte, against the ranges of the grammar. */
Test(canonical, knows_which_bytes_make_a_name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char digits[] = "0123456789";
    for (int byte = 0; byte < 256; byte++) {
        bool letter = false;
        bool digit = false;
        for (size_t i = 0; i + 1 < sizeof letters; i++) {
            letter = letter || letters[i] == (char)byte;
        }
        for (size_t i = 0; i + 1 < sizeof digits; i++) {
            digit = digit || digits[i] == (char)byte;
        }
        const char first[1] = {(char)byte};
        const char second[2] = {'a', (char)byte};
        cr_assert_eq(tm_canonical_is_name((tm_slice){first, 1}), letter, "byte %d", byte);
        cr_assert_eq(tm_canonical_is_name((tm_slice){second, 2}), letter || digit, "byte %d", byte);
    }
    cr_assert_not(tm_canonical_is_name((tm_slice){NULL, 0}));
}

Test(canonical, quotes_what_an_expression_escapes)
{
    static const struct {
        tm_slice string;
        const char *text;
    } table[] = {
        {TM_SLICE_LITERAL(""), "''"},
        {TM_SLICE_LITERAL("plain"), "'plain'"},
        {TM_SLICE_LITERAL("it's a \\"), "'it\\'s a \\\\'"},
        {TM_SLICE_LITERAL("\"\n\t\""), "'\"\\n\\t\"'"},
        {TM_SLICE_LITERAL("\xc3\xa9"), "'\xc3\xa9'"},
        {{NULL, 0}, "''"},
    };
    tm_buffer text;
    tm_buffer_init(&text, 64);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tm_buffer_reset(&text);
        tm_canonical_quoted(&text, table[i].string);
        cr_assert_str_eq(tm_buffer_text(&text), table[i].text);
    }
    tm_buffer_done(&text);
}

Test(canonical, windows_in_days_or_hours)
{
    static const struct {
        tm_window window;
        const char *text;
    } table[] = {
        {{TM_WINDOW_DAYS, 7, 0}, "m[7d]"},
        {{TM_WINDOW_DAYS, 1, 8}, "m[1d offset 8d]"},
        {{TM_WINDOW_HOURS, 24, 0}, "m[24h]"},
        {{TM_WINDOW_HOURS, 1488, 1}, "m[1488h offset 1h]"},
    };
    tm_buffer text;
    tm_buffer_init(&text, 64);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tm_buffer_reset(&text);
        tm_canonical_window(&text, TM_SLICE_LITERAL("m"), &table[i].window);
        cr_assert_str_eq(tm_buffer_text(&text), table[i].text);
    }
    tm_buffer_done(&text);
}

/* As the grammar of docs/expressions.md has them. */
Test(canonical, baselines)
{
    static const struct {
        tm_node node;
        const char *text;
    } table[] = {
        {{.op = TM_OP_ZSCORE, .window = {TM_WINDOW_DAYS, 14, 0}, .periods = 8}, "zscore(m[14d], 8)"},
        {{.op = TM_OP_GROWTH, .window = {TM_WINDOW_DAYS, 7, 1}, .periods = 4}, "growth(m[7d offset 1d], 4)"},
        {{.op = TM_OP_MEDIAN_WEEKDAY, .periods = 8}, "median_weekday(m, 8w)"},
        {{.op = TM_OP_MEDIAN_WEEKDAY, .window = {TM_WINDOW_DAYS, 1, 3}, .periods = 8},
         "median_weekday(m, 8w offset 3d)"},
        {{.op = TM_OP_CUSUM, .periods = 6, .parameter = TM_CUSUM_ALLOWANCE}, "cusum(m, 6w)"},
        {{.op = TM_OP_CUSUM, .periods = 6, .parameter = 1.25}, "cusum(m, 6w, 1.25)"},
        {{.op = TM_OP_CUSUM, .periods = 6, .parameter = 0}, "cusum(m, 6w, 0)"},
        {{.op = TM_OP_GAP, .periods = 90}, "gap(m, 90)"},
    };
    tm_buffer text;
    tm_buffer_init(&text, 64);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tm_buffer_reset(&text);
        tm_canonical_baseline(&text, TM_SLICE_LITERAL("m"), &table[i].node);
        cr_assert_str_eq(tm_buffer_text(&text), table[i].text);
    }
    tm_buffer_done(&text);
}
