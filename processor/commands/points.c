#include "tidemark/commands/points.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/file/lines.h"
#include "tidemark/codec/csv.h"
#include "tidemark/commands/setup.h"

tm_status tm_points_add(tm_points *points, tm_slice account, tm_time at)
{
    if (points->count == points->room) {
        size_t wanted = points->room ? points->room * 2 : 64;
        tm_point *bigger = realloc(points->items, wanted * sizeof *bigger);
        if (!bigger)
            return TM_FATAL;
        points->items = bigger;
        points->room = wanted;
    }
    char *copy = strndup(account.data, account.length);
    if (!copy)
        return TM_FATAL;
    points->items[points->count] = (tm_point){copy, at, points->count};
    points->count++;
    return TM_OK;
}

void tm_points_done(tm_points *points)
{
    for (size_t i = 0; i < points->count; i++)
        free(points->items[i].account);
    free(points->items);
    *points = (tm_points){0};
}

static int by_time(const void *a, const void *b)
{
    const tm_point *x = a;
    const tm_point *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void tm_points_sort(tm_points *points)
{
    if (points->count)
        qsort(points->items, points->count, sizeof *points->items, by_time);
}

static tm_status at_fault(tm_lines *lines, const tm_line *line, tm_error *error, const char *what)
{
    (void)tm_fail(error, TM_REJECT, "%s", what);
    tm_error_where(error, "%s:%llu", tm_lines_name(lines), (unsigned long long)line->number);
    tm_error_hint(error, "the file is a header with the columns account and at, then a row for each point");
    return TM_REJECT;
}

static tm_status read_row(tm_points *points, tm_lines *lines, const tm_line *line, int account_column, int at_column,
                          tm_error *error)
{
    tm_slice row = line->text;
    bool ended = false;
    char cell[TM_CSV_CELL_MAX];
    char account[TM_CSV_CELL_MAX] = "";
    tm_time at = TM_TIME_NONE;
    int column = 0;
    for (; tm_csv_cell(&row, &ended, cell); column++) {
        if (column == account_column)
            memcpy(account, cell, strlen(cell) + 1);
        if (column == at_column && tm_setup_time(cell, &at) != TM_OK)
            return at_fault(lines, line, error, "`at` is no time such as 2026-01-31T08:00:00Z");
    }
    if (!ended)
        return at_fault(lines, line, error, "the row cannot be read: a quote has no end, or a cell is too long");
    if (!account[0])
        return at_fault(lines, line, error, "the row has no account");
    if (at == TM_TIME_NONE)
        return at_fault(lines, line, error, "the row has no time");
    return tm_points_add(points, tm_slice_of(account), at) == TM_OK ? TM_OK : tm_fail(error, TM_FATAL, "out of memory");
}

tm_status tm_points_read(tm_points *points, const char *path, tm_error *error)
{
    tm_lines *lines;
    tm_status status = tm_lines_open(path, &lines, error);
    if (status != TM_OK)
        return status;
    int account_column = -1;
    int at_column = -1;
    tm_line line;
    bool end;
    status = tm_lines_next(lines, &line, &end, error);
    if (status == TM_OK && !end) {
        tm_slice row = line.text;
        bool ended = false;
        char cell[TM_CSV_CELL_MAX];
        for (int column = 0; column < TM_CSV_COLUMNS_MAX && tm_csv_cell(&row, &ended, cell); column++) {
            if (strcmp(cell, "account") == 0 && account_column < 0)
                account_column = column;
            if (strcmp(cell, "at") == 0 && at_column < 0)
                at_column = column;
        }
    }
    if (status == TM_OK && (end || account_column < 0 || at_column < 0))
        status = at_fault(lines, &(tm_line){.number = 1}, error, "there is no header with the columns account and at");
    while (status == TM_OK) {
        status = tm_lines_next(lines, &line, &end, error);
        if (status != TM_OK || end)
            break;
        if (line.text.length)
            status = read_row(points, lines, &line, account_column, at_column, error);
    }
    tm_lines_close(lines);
    return status;
}
