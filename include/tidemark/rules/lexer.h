/* An expression's text cut into words, numbers and signs. */
#ifndef TIDEMARK_RULES_LEXER_H
#define TIDEMARK_RULES_LEXER_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/limits.h"

typedef enum tm_token_kind {
    TM_TOKEN_END,
    TM_TOKEN_NUMBER,   /* `number` */
    TM_TOKEN_DURATION, /* digits and letters, not yet looked into */
    TM_TOKEN_STRING,   /* `string`, unescaped */
    TM_TOKEN_NAME,
    TM_TOKEN_SIGN, /* ( ) [ ] , . + - * / == != < <= > >= */
    TM_TOKEN_BAD   /* `problem` says why */
} tm_token_kind;

typedef struct tm_token {
    tm_token_kind kind;
    size_t start, end; /* bytes of the text */
    tm_slice text;     /* text[start..end) */
    double number;
    tm_slice string; /* in the text, or in the lexer's own room */
    const char *problem;
    const char *hint; /* NULL: none */
} tm_token;

typedef struct tm_lexer {
    tm_slice text;
    size_t at;
    size_t room_used;
    char room[TM_EXPRESSION_MAX]; /* strings without their escapes; never longer than the text they came from */
} tm_lexer;

/* `text` has at most TM_EXPRESSION_MAX bytes. */
void tm_lexer_init(tm_lexer *lexer, tm_slice text);
tm_token tm_lexer_next(tm_lexer *lexer);

#endif
