#include "tidemark/codec/csv.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char cell[TM_CSV_CELL_MAX];

/* Takes all cells of a row: each as expected, then none. `wanted` ends with NULL. */
static void row_is(const char *text, const char *const *wanted)
{
    size_t length = strlen(text);
    char *exact = malloc(length + 1); /* nobody reads behind the row */
    memcpy(exact, text, length);
    tm_slice row = {exact, length};
    bool ended = false;
    for (; *wanted; wanted++) {
        cr_assert_not(ended, "%s", text);
        cr_assert(tm_csv_cell(&row, &ended, cell), "%s: %s", text, *wanted);
        cr_assert_str_eq(cell, *wanted, "%s", text);
    }
    cr_assert(ended, "%s", text);
    cr_assert_not(tm_csv_cell(&row, &ended, cell), "%s", text);
    cr_assert(ended);
    free(exact);
}

#define ROW(text, ...) row_is(text, (const char *const[]){__VA_ARGS__, NULL})

Test(csv, cells_of_rows)
{
    ROW("a,b,c", "a", "b", "c");
    ROW("", "");
    ROW(",", "", "");
    ROW("a,", "a", "");
    ROW(",,a", "", "", "a");
    ROW(" a b  ,  c", "a b", "c");
    ROW("   ", "");
    ROW("\"a,b\",c", "a,b", "c");
    ROW("\"\"", "");
    ROW("\"\",\"\"", "", "");
    ROW("\" a \"", " a ");
    ROW("\"say \"\"hi\"\"\",x", "say \"hi\"", "x");
    ROW("\"\"\"\"", "\"");
    ROW("a\"b,c\"", "a\"b", "c\"");
    ROW(" \"a\" ", "\"a\"");
    ROW("caf\xc3\xa9,\xff", "caf\xc3\xa9", "\xff");
    ROW("a\tb,c;d", "a\tb", "c;d");
}

Test(csv, what_cannot_be_read_is_refused_and_the_row_not_ended)
{
    static const char *const texts[] = {"\"a", "\"", "\"a\"\"", "\"a\"b", "\"a\" ,b", "\"a\"\"b"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tm_slice row = tm_slice_of(texts[i]);
        bool ended = false;
        cr_assert_not(tm_csv_cell(&row, &ended, cell), "%s", texts[i]);
        cr_assert_not(ended, "%s", texts[i]);
    }
    tm_slice row = TM_SLICE_LITERAL("fine,\"not");
    bool ended = false;
    cr_assert(tm_csv_cell(&row, &ended, cell));
    cr_assert_not(tm_csv_cell(&row, &ended, cell));
    cr_assert_not(ended);
}

/* TM_CSV_CELL_MAX bytes with the terminator. */
Test(csv, cells_have_a_greatest_length)
{
    static char text[TM_CSV_CELL_MAX + 8];
    for (int quoted = 0; quoted < 2; quoted++)
        for (size_t length = TM_CSV_CELL_MAX - 2; length <= TM_CSV_CELL_MAX + 1; length++) {
            size_t at = 0;
            if (quoted)
                text[at++] = '"';
            memset(text + at, 'x', length);
            at += length;
            if (quoted)
                text[at++] = '"';
            text[at++] = ',';
            tm_slice row = {text, at};
            bool ended = false;
            bool taken = tm_csv_cell(&row, &ended, cell);
            cr_assert_eq(taken, length < TM_CSV_CELL_MAX, "%zu", length);
            cr_assert_not(ended);
            if (taken) {
                cr_assert_eq(strlen(cell), length);
                cr_assert_eq(row.length, 0);
                cr_assert(tm_csv_cell(&row, &ended, cell), "the empty one behind the comma");
                cr_assert(ended);
            }
        }
}

/* Random cells, written as RFC 4180 wants them, come back. */
Test(csv, what_is_written_by_the_book_is_read_back)
{
    uint64_t state = 7;
    for (int round = 0; round < 2000; round++) {
        static const char letters[] = "ab ,\"'\t;";
        char cells[6][9];
        char text[256];
        size_t length = 0;
        size_t count = 1 + round % 6;
        for (size_t i = 0; i < count; i++) {
            state = state * UINT64_C(6364136223846793005) + 1;
            size_t letters_in = (state >> 60) % 9;
            if (i > 0)
                text[length++] = ',';
            text[length++] = '"';
            for (size_t k = 0; k < letters_in; k++) {
                cells[i][k] = letters[(state >> (4 * k + 8)) & 7];
                if (cells[i][k] == '"')
                    text[length++] = '"';
                text[length++] = cells[i][k];
            }
            cells[i][letters_in] = '\0';
            text[length++] = '"';
        }
        text[length] = '\0';
        const char *wanted[7] = {NULL};
        for (size_t i = 0; i < count; i++)
            wanted[i] = cells[i];
        row_is(text, wanted);
    }
}
