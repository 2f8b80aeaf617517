#include "tidemark/rules/lexer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 63 };

void tm_lexer_init(tm_lexer *lexer, tm_slice text)
{
    lexer->text = text;
    lexer->at = 0;
    lexer->room_used = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const tm_lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->text.length ? lexer->text.data[at] : '\0';
}

static tm_token finish(const tm_lexer *lexer, tm_token token)
{
    token.end = lexer->at;
    token.text = (tm_slice){lexer->text.data + token.start, token.end - token.start};
    return token;
}

static tm_token bad(const tm_lexer *lexer, tm_token token, const char *problem, const char *hint)
{
    token.kind = TM_TOKEN_BAD;
    token.problem = problem;
    token.hint = hint;
    return finish(lexer, token);
}

static void skip_digits(tm_lexer *lexer)
{
    while (is_digit(peek(lexer, 0))) {
        lexer->at++;
    }
}

/* Digits, perhaps a fraction; then an exponent makes a number, a unit makes a duration. */
static tm_token number_token(tm_lexer *lexer, tm_token token)
{
    skip_digits(lexer);
    if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) {
        lexer->at++;
        skip_digits(lexer);
    }
    char c = peek(lexer, 0);
    if (c == 'e' || c == 'E') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-' ? 1 : 0;
        if (is_digit(peek(lexer, 1 + sign))) {
            lexer->at += 1 + sign;
            skip_digits(lexer);
        }
    }
    if (is_letter(peek(lexer, 0))) {
        while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) {
            lexer->at++;
        }
        token.kind = TM_TOKEN_DURATION;
        return finish(lexer, token);
    }
    token.kind = TM_TOKEN_NUMBER;
    token = finish(lexer, token);
    char copy[NUMBER_MAX + 1];
    if (token.text.length > NUMBER_MAX) {
        return bad(lexer, token, "a number of too many digits", NULL);
    }
    memcpy(copy, token.text.data, token.text.length);
    copy[token.text.length] = '\0';
    token.number = strtod(copy, NULL);
    if (!isfinite(token.number)) {
        return bad(lexer, token, "a number too great", NULL);
    }
    return token;
}

static char unescaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case '\\':
    case '\'':
    case '"':
        return c;
    default:
        return '\0';
    }
}

static tm_token string_token(tm_lexer *lexer, tm_token token)
{
    char quote = peek(lexer, 0);
    char *into = lexer->room + lexer->room_used;
    size_t length = 0;
    lexer->at++;
    while (lexer->at < lexer->text.length && peek(lexer, 0) != quote) {
        char c = peek(lexer, 0);
        if (c == '\\') {
            lexer->at++;
            c = unescaped(peek(lexer, 0));
            if (c == '\0') {
                token.start = lexer->at - 1;
                return bad(lexer, token, "an unknown escape in a string", "\\\\, \\', \\\", \\n and \\t are known");
            }
        }
        into[length++] = c;
        lexer->at++;
    }
    if (lexer->at >= lexer->text.length) {
        return bad(lexer, token, "a string without its closing quote", NULL);
    }
    lexer->at++;
    lexer->room_used += length;
    token.kind = TM_TOKEN_STRING;
    token.string = (tm_slice){into, length};
    return finish(lexer, token);
}

tm_token tm_lexer_next(tm_lexer *lexer)
{
    while (peek(lexer, 0) == ' ' || peek(lexer, 0) == '\t' || peek(lexer, 0) == '\n' || peek(lexer, 0) == '\r') {
        lexer->at++;
    }
    tm_token token = {.kind = TM_TOKEN_END, .start = lexer->at};
    if (lexer->at >= lexer->text.length) {
        return finish(lexer, token);
    }
    char c = peek(lexer, 0);
    if (is_digit(c)) {
        return number_token(lexer, token);
    }
    if (c == '\'' || c == '"') {
        return string_token(lexer, token);
    }
    if (is_letter(c)) {
        token.kind = TM_TOKEN_NAME;
        while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) {
            lexer->at++;
        }
        return finish(lexer, token);
    }
    token.kind = TM_TOKEN_SIGN;
    bool equals = peek(lexer, 1) == '=';
    lexer->at++;
    if ((c == '=' || c == '!' || c == '<' || c == '>') && equals) {
        lexer->at++;
        return finish(lexer, token);
    }
    if (c == '=') {
        return bad(lexer, token, "a single '='", "write '==' to compare");
    }
    if (c == '!') {
        return bad(lexer, token, "an unknown sign '!'", "write 'not'");
    }
    if (c == '&' || c == '|') {
        return bad(lexer, token, c == '&' ? "an unknown sign '&'" : "an unknown sign '|'",
                   c == '&' ? "write 'and'" : "write 'or'");
    }
    if (c == '\0' || !strchr("()[],.+-*/<>", c)) {
        while (((unsigned char)peek(lexer, 0) & 0xC0) == 0x80) {
            lexer->at++;
        }
        return bad(lexer, token, "an unknown character", NULL);
    }
    return finish(lexer, token);
}
