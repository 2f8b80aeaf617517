/* Rows of named columns, for people as an aligned table, for programs as JSON or CSV. */
#ifndef TIDEMARK_COMMANDS_SHEET_H
#define TIDEMARK_COMMANDS_SHEET_H

#include <stdio.h>

#include "tidemark/base/calendar.h"
#include "tidemark/base/heap.h"
#include "tidemark/base/statistics.h"

enum { TM_SHEET_COLUMNS_MAX = 24 };

typedef enum tm_sheet_kind {
    TM_SHEET_TEXT,     /* names what the row is about, or says something; null where absent */
    TM_SHEET_COUNT,    /* a whole number */
    TM_SHEET_AMOUNT,   /* money, of the row's currency */
    TM_SHEET_NUMBER,   /* any other number */
    TM_SHEET_ESTIMATE, /* a number with its interval and how many it is of */
    TM_SHEET_SHARE     /* the same of a share, 0 to 1: people see it in percent */
} tm_sheet_kind;

typedef struct tm_sheet_column {
    const char *name;  /* for programs */
    const char *title; /* for people; NULL: only programs get it */
    tm_sheet_kind kind;
} tm_sheet_column;

typedef struct tm_sheet_cell {
    tm_slice text; /* TM_SHEET_TEXT */
    tm_slice json; /* what JSON has instead of the text; absent: nothing else */
    tm_estimate estimate;
} tm_sheet_cell;

/* In place. Cells are put one by one, row by row; what cannot be had sets `failed`, and later ones do nothing. */
typedef struct tm_sheet {
    const char *name;  /* for programs */
    const char *title; /* for people */
    const tm_sheet_column *columns;
    uint32_t column_count;
    tm_sheet_cell *cells;
    size_t count, capacity; /* cells */
    tm_arena *arena;        /* the cells' texts */
    bool failed;
} tm_sheet;

/* `columns` outlives the sheet. TM_OK or TM_FATAL. */
tm_status tm_sheet_init(tm_sheet *sheet, const char *name, const char *title, const tm_sheet_column *columns,
                        uint32_t column_count);
void tm_sheet_done(tm_sheet *sheet);
/* The next cell of the row. Texts are copied; NaN stands for null. */
void tm_sheet_text(tm_sheet *sheet, tm_slice text);
void tm_sheet_told(tm_sheet *sheet, tm_slice text, tm_slice json);
void tm_sheet_number(tm_sheet *sheet, double number);
void tm_sheet_estimate(tm_sheet *sheet, tm_estimate estimate);
size_t tm_sheet_rows(const tm_sheet *sheet);

/* An aligned table. What a terminal would take for a command is shown as '?'. */
void tm_sheet_print(const tm_sheet *sheet, FILE *stream);
/* One JSON object for a row, with the columns' names. */
void tm_sheet_json(const tm_sheet *sheet, size_t row, tm_buffer *out);
/* CSV of RFC 4180 with '\n': the columns' names, then the rows; estimates have columns NAME, NAME_low, NAME_high and
   NAME_of. */
void tm_sheet_csv(const tm_sheet *sheet, tm_buffer *out);
/* A cell of CSV, quoted where it has to be. */
void tm_sheet_csv_text(tm_slice text, tm_buffer *out);

#endif
