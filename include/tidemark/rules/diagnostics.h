/* Errors that point: file, line and column, the line itself with a caret, and what was probably meant. Shared by every
   reader of a text that people write. */
#ifndef TIDEMARK_RULES_DIAGNOSTICS_H
#define TIDEMARK_RULES_DIAGNOSTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

enum { TM_DIAGNOSTICS_MAX = 20, TM_DIAGNOSTIC_LINE_MAX = 160 };

/* A text and the name under which people know it; neither is owned. */
typedef struct tm_document {
    const char *name;
    tm_slice text;
    bool may_hold_secrets; /* values beside names like password, token or url are not shown */
} tm_document;

typedef struct tm_diagnostic {
    char file[256];
    uint32_t line, column; /* from 1; columns count characters, not bytes */
    char message[512];
    char hint[256];                         /* empty: none */
    char line_text[TM_DIAGNOSTIC_LINE_MAX]; /* the line, or the part of a long one around the place; control characters
                                               are blanks */
    uint32_t caret;                         /* characters of line_text before the place */
} tm_diagnostic;

/* Self-contained: nothing in it points into the text. Zero-initialise. */
typedef struct tm_diagnostics {
    tm_diagnostic items[TM_DIAGNOSTICS_MAX];
    uint32_t count;
    uint32_t dropped; /* found beyond the room above */
} tm_diagnostics;

/* Adds an error at byte `offset` of the text (its end is allowed). */
void tm_diagnostics_add(tm_diagnostics *diagnostics, const tm_document *source, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Sets the hint of the error added last. An empty one removes it. */
void tm_diagnostics_hint(tm_diagnostics *diagnostics, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Byte offset of a line and column (from 1, as other parsers report them), within the text. */
size_t tm_document_offset(const tm_document *source, uint32_t line, uint32_t column);
/* Puts the errors in the order of the text; ones at the same place stay as they were added. */
void tm_diagnostics_sort(tm_diagnostics *diagnostics);
/* Appends all of them as text for people, each three or four lines. */
void tm_diagnostics_print(const tm_diagnostics *diagnostics, tm_buffer *out);
/* Fills `error` (may be NULL) from the first one and counts the rest. Returns TM_REJECT if there is any, else TM_OK. */
tm_status tm_diagnostics_status(const tm_diagnostics *diagnostics, tm_error *error);

/* Finds the known name nearest to one that is unknown: fewest insertions, deletions, replacements and swaps of
   neighbours (optimal string alignment), ASCII letters compared without case. */
typedef struct tm_nearest {
    tm_slice wanted;
    tm_slice best;
    uint32_t distance;
} tm_nearest;

void tm_nearest_init(tm_nearest *nearest, tm_slice wanted);
void tm_nearest_offer(tm_nearest *nearest, tm_slice candidate); /* must live as long as `nearest` */
/* The best one, or an absent slice when nothing is near enough to be a slip: a third of the letters, rounded up. */
tm_slice tm_nearest_found(const tm_nearest *nearest);
/* "did you mean 'x'?" as the hint of the last error, when something was near enough. */
void tm_diagnostics_suggest(tm_diagnostics *diagnostics, const tm_nearest *nearest);

#endif
