#include "tidemark/rules/lexer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static tm_lexer lexer;

/* The text in memory of exactly its size, so that the sanitizer sees a read behind its end. */
static char *exact(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    cr_assert_not_null(copy);
    memcpy(copy, text, length);
    tm_lexer_init(&lexer, (tm_slice){copy, length});
    return copy;
}

static void check_place(const tm_token *token)
{
    cr_assert_leq(token->start, token->end);
    cr_assert_leq(token->end, lexer.text.length);
    cr_assert_eq(token->text.data, lexer.text.data + token->start);
    cr_assert_eq(token->text.length, token->end - token->start);
}

Test(lexer, cuts_a_text_into_tokens)
{
    static const struct {
        const char *text;
        tm_token_kind kind;
    } expected[] = {
        {"not", TM_TOKEN_NAME},    {"events", TM_TOKEN_NAME},    {"[", TM_TOKEN_SIGN}, {"7d", TM_TOKEN_DURATION},
        {"offset", TM_TOKEN_NAME}, {"1.5w", TM_TOKEN_DURATION},  {"]", TM_TOKEN_SIGN}, {">=", TM_TOKEN_SIGN},
        {"(", TM_TOKEN_SIGN},      {"1e3", TM_TOKEN_NUMBER},     {"+", TM_TOKEN_SIGN}, {"_a1", TM_TOKEN_NAME},
        {")", TM_TOKEN_SIGN},      {"'a b'", TM_TOKEN_STRING},   {",", TM_TOKEN_SIGN}, {"==", TM_TOKEN_SIGN},
        {"!=", TM_TOKEN_SIGN},     {"<=", TM_TOKEN_SIGN},        {"<", TM_TOKEN_SIGN}, {">", TM_TOKEN_SIGN},
        {"-", TM_TOKEN_SIGN},      {"*", TM_TOKEN_SIGN},         {"/", TM_TOKEN_SIGN}, {".", TM_TOKEN_SIGN},
        {"x", TM_TOKEN_NAME},      {"\"it's\"", TM_TOKEN_STRING}};
    const char *text = "not events[7d offset\t1.5w]>=(1e3+_a1)'a b',== !=<= < >\n-*\r\n/.x \"it's\"  ";
    char *copy = exact(text, strlen(text));
    size_t before = 0;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        tm_token token = tm_lexer_next(&lexer);
        check_place(&token);
        cr_assert_eq(token.kind, expected[i].kind, "token %zu: kind %d", i, (int)token.kind);
        cr_assert(tm_slice_equal_text(token.text, expected[i].text), "token %zu: %.*s, not %s", i,
                  (int)token.text.length, token.text.data, expected[i].text);
        cr_assert_geq(token.start, before);
        before = token.end;
    }
    for (int i = 0; i < 3; i++) { /* the end stays the end */
        tm_token end = tm_lexer_next(&lexer);
        check_place(&end);
        cr_assert_eq(end.kind, TM_TOKEN_END);
        cr_assert_eq(end.start, strlen(text));
        cr_assert_eq(end.text.length, 0);
    }
    free(copy);
}

Test(lexer, an_empty_or_blank_text_is_only_its_end)
{
    static const char *const texts[] = {"", " ", " \t\r\n "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *copy = exact(texts[i], strlen(texts[i]));
        tm_token token = tm_lexer_next(&lexer);
        cr_assert_eq(token.kind, TM_TOKEN_END);
        cr_assert_eq(token.start, strlen(texts[i]));
        free(copy);
    }
}

Test(lexer, reads_numbers)
{
    static const struct {
        const char *text;
        double number;
        size_t length; /* of the token */
    } table[] = {{"0", 0, 1},       {"007", 7, 3},          {"12.25", 12.25, 5},
                 {"1e3", 1000, 3},  {"2.5E-1", 0.25, 6},    {"1e+2", 100, 4},
                 {"1.", 1, 1},      {"1.x", 1, 1},          {"1..2", 1, 1},
                 {"1e-400", 0, 6},  {"3-4", 3, 1},          {"9007199254740993", 9007199254740992., 16},
                 {"1.5.2", 1.5, 3}, {"1.7e308", 1.7e308, 7}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *copy = exact(table[i].text, strlen(table[i].text));
        tm_token token = tm_lexer_next(&lexer);
        check_place(&token);
        cr_assert_eq(token.kind, TM_TOKEN_NUMBER, "%s: kind %d", table[i].text, (int)token.kind);
        cr_assert_eq(token.number, table[i].number, "%s: %.17g", table[i].text, token.number);
        cr_assert_eq(token.end, table[i].length, "%s: %zu bytes", table[i].text, token.end);
        free(copy);
    }
}

/* Whatever has letters at its end is a duration to be looked into later, an exponent without digits too. */
Test(lexer, keeps_digits_and_letters_together_as_a_duration)
{
    static const char *const table[] = {"7d", "1.5h", "250ms", "1e", "2e3d", "3x4y", "1_000", "5E"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *copy = exact(table[i], strlen(table[i]));
        tm_token token = tm_lexer_next(&lexer);
        check_place(&token);
        cr_assert_eq(token.kind, TM_TOKEN_DURATION, "%s: kind %d", table[i], (int)token.kind);
        cr_assert_eq(token.end, strlen(table[i]), "%s", table[i]);
        free(copy);
    }
}

Test(lexer, a_number_has_at_most_63_bytes)
{
    char digits[64];
    memset(digits, '0', sizeof digits);
    digits[62] = '7';
    char *copy = exact(digits, 63);
    tm_token token = tm_lexer_next(&lexer);
    cr_assert_eq(token.kind, TM_TOKEN_NUMBER);
    cr_assert_eq(token.number, 7);
    free(copy);
    copy = exact(digits, 64);
    token = tm_lexer_next(&lexer);
    cr_assert_eq(token.kind, TM_TOKEN_BAD);
    cr_assert_str_eq(token.problem, "a number of too many digits");
    check_place(&token);
    free(copy);
}

Test(lexer, unescapes_strings)
{
    static const struct {
        const char *text, *string;
    } table[] = {{"''", ""},
                 {"\"\"", ""},
                 {"'plain'", "plain"},
                 {"'say \"hi\"'", "say \"hi\""},
                 {"\"it's\"", "it's"},
                 {"'it\\'s'", "it's"},
                 {"\"a\\\"b\"", "a\"b"},
                 {"'\\\\'", "\\"},
                 {"'l\\nt\\t'", "l\nt\t"},
                 {"'h\xc3\xa9'", "h\xc3\xa9"},
                 {"'and 7d'", "and 7d"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *copy = exact(table[i].text, strlen(table[i].text));
        tm_token token = tm_lexer_next(&lexer);
        check_place(&token);
        cr_assert_eq(token.kind, TM_TOKEN_STRING, "%s", table[i].text);
        cr_assert(tm_slice_equal_text(token.string, table[i].string), "%s: '%.*s'", table[i].text,
                  (int)token.string.length, token.string.data);
        cr_assert_eq(token.end, strlen(table[i].text), "the quotes belong to %s", table[i].text);
        cr_assert_eq(tm_lexer_next(&lexer).kind, TM_TOKEN_END);
        free(copy);
    }
}

/* A parser may hold several tokens at once. */
Test(lexer, later_strings_leave_earlier_ones_alone)
{
    const char *text = "'a\\nb' 'second' \"\" 'd'";
    char *copy = exact(text, strlen(text));
    tm_token tokens[4];
    for (size_t i = 0; i < 4; i++) {
        tokens[i] = tm_lexer_next(&lexer);
    }
    cr_assert(tm_slice_equal_text(tokens[0].string, "a\nb"));
    cr_assert(tm_slice_equal_text(tokens[1].string, "second"));
    cr_assert_eq(tokens[2].string.length, 0);
    cr_assert_not_null(tokens[2].string.data, "empty is not absent");
    cr_assert(tm_slice_equal_text(tokens[3].string, "d"));
    tm_lexer_init(&lexer, lexer.text); /* starts over, room and all */
    cr_assert(tm_slice_equal_text(tm_lexer_next(&lexer).string, "a\nb"));
    free(copy);
}

Test(lexer, a_string_may_fill_the_longest_text)
{
    char *text = malloc(TM_EXPRESSION_MAX);
    cr_assert_not_null(text);
    memset(text, 'x', TM_EXPRESSION_MAX);
    text[0] = text[TM_EXPRESSION_MAX - 1] = '\'';
    tm_lexer_init(&lexer, (tm_slice){text, TM_EXPRESSION_MAX});
    tm_token token = tm_lexer_next(&lexer);
    cr_assert_eq(token.kind, TM_TOKEN_STRING);
    cr_assert_eq(token.string.length, TM_EXPRESSION_MAX - 2);
    text[TM_EXPRESSION_MAX - 1] = 'x';
    tm_lexer_init(&lexer, (tm_slice){text, TM_EXPRESSION_MAX});
    cr_assert_eq(tm_lexer_next(&lexer).kind, TM_TOKEN_BAD);
    free(text);
}

Test(lexer, says_what_is_bad_and_where)
{
    static const struct {
        const char *text;
        size_t length, start, end;
        const char *problem, *hint;
    } table[] = {
        {"=", 1, 0, 1, "a single '='", "write '==' to compare"},
        {" = 1", 4, 1, 2, "a single '='", "write '==' to compare"},
        {"!", 1, 0, 1, "an unknown sign '!'", "write 'not'"},
        {"&&", 2, 0, 1, "an unknown sign '&'", "write 'and'"},
        {"||", 2, 0, 1, "an unknown sign '|'", "write 'or'"},
        {"$", 1, 0, 1, "an unknown character", NULL},
        {"\0", 1, 0, 1, "an unknown character", NULL},
        {"\xe2\x82\xac 1", 5, 0, 3, "an unknown character", NULL}, /* one character, not its first byte */
        {"\xe2\x82", 2, 0, 2, "an unknown character", NULL},
        {"'open", 5, 0, 5, "a string without its closing quote", NULL},
        {"'open\"", 6, 0, 6, "a string without its closing quote", NULL},
        {"'", 1, 0, 1, "a string without its closing quote", NULL},
        {"'a\\'", 4, 0, 4, "a string without its closing quote", NULL},
        {"'a\\q'", 5, 2, 3, "an unknown escape in a string", "\\\\, \\', \\\", \\n and \\t are known"},
        {"'a\\", 3, 2, 3, "an unknown escape in a string", "\\\\, \\', \\\", \\n and \\t are known"},
        {"1e400", 5, 0, 5, "a number too great", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *copy = exact(table[i].text, table[i].length);
        tm_token token = tm_lexer_next(&lexer);
        check_place(&token);
        cr_assert_eq(token.kind, TM_TOKEN_BAD, "row %zu: kind %d", i, (int)token.kind);
        cr_assert_str_eq(token.problem, table[i].problem);
        cr_assert_eq(token.start, table[i].start, "row %zu: starts at %zu", i, token.start);
        cr_assert_eq(token.end, table[i].end, "row %zu: ends at %zu", i, token.end);
        if (table[i].hint) {
            cr_assert_str_eq(token.hint, table[i].hint);
        } else {
            cr_assert_null(token.hint);
        }
        free(copy);
    }
}

/* Two of any bytes: it always gets to the end, forwards, inside the text. */
Test(lexer, any_bytes_come_to_an_end)
{
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char text[2] = {(char)(pair >> 8), (char)(pair & 255)};
        tm_lexer_init(&lexer, (tm_slice){text, sizeof text});
        size_t steps = 0;
        tm_token token;
        do {
            token = tm_lexer_next(&lexer);
            check_place(&token);
            steps++;
        } while (token.kind != TM_TOKEN_END && steps < 4);
        cr_assert_eq(token.kind, TM_TOKEN_END, "bytes %04x", pair);
    }
}
