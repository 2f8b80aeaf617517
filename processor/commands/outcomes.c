#include "tidemark/commands/outcomes.h"

#include <string.h>

#include "tidemark/adapters/file/lines.h"
#include "tidemark/codec/csv.h"
#include "tidemark/commands/setup.h"

enum { ACCOUNT, OUTCOME, AT, REASON, COLUMNS };

static const struct {
    const char *word;
    tm_ending ending;
} words[] = {
    {"churned", TM_ENDING_CHURNED},     {"renewed", TM_ENDING_RENEWED},       {"expanded", TM_ENDING_EXPANDED},
    {"upsold", TM_ENDING_EXPANDED},     {"upgraded", TM_ENDING_EXPANDED},     {"contracted", TM_ENDING_CONTRACTED},
    {"downsold", TM_ENDING_CONTRACTED}, {"downgraded", TM_ENDING_CONTRACTED},
};

static tm_status at_fault(const tm_lines *lines, uint64_t number, tm_error *error, const char *what)
{
    (void)tm_fail(error, TM_REJECT, "%s", what);
    tm_error_where(error, "%s:%llu", tm_lines_name(lines), (unsigned long long)number);
    tm_error_hint(error,
                  "the file is a header with the columns account, outcome and at, perhaps reason, then a row for "
                  "each outcome");
    return TM_REJECT;
}

static void read_header(tm_slice row, int columns[static COLUMNS])
{
    static const struct {
        const char *name;
        int column;
    } names[] = {{"account", ACCOUNT}, {"outcome", OUTCOME}, {"at", AT},
                 {"date", AT},         {"reason", REASON},   {"churn_kind", REASON}};
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = -1;
    bool ended = false;
    char cell[TM_CSV_CELL_MAX];
    for (int column = 0; column < TM_CSV_COLUMNS_MAX && tm_csv_cell(&row, &ended, cell); column++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(cell, names[i].name) == 0 && columns[names[i].column] < 0)
                columns[names[i].column] = column;
}

static bool read_time(const char *text, const tm_zone *zone, tm_time *ret_time)
{
    int32_t day;
    if (tm_day_parse(tm_slice_of(text), &day) == TM_OK) {
        *ret_time = tm_zone_day_start(zone, day);
        return true;
    }
    return tm_setup_time(text, ret_time) == TM_OK;
}

static tm_status read_row(const tm_lines *lines, const tm_line *line, const int columns[static COLUMNS],
                          const tm_zone *zone, tm_outcome_take take, void *context, tm_outcomes_read *read,
                          tm_error *error)
{
    char cells[COLUMNS][TM_CSV_CELL_MAX] = {0};
    char cell[TM_CSV_CELL_MAX];
    tm_slice row = line->text;
    bool ended = false;
    for (int column = 0; tm_csv_cell(&row, &ended, cell); column++)
        for (int i = 0; i < COLUMNS; i++)
            if (columns[i] == column)
                memcpy(cells[i], cell, strlen(cell) + 1);
    if (!ended)
        return at_fault(lines, line->number, error,
                        "the row cannot be read: a quote has no end, or a cell is too long");
    size_t word = 0;
    while (word < sizeof words / sizeof words[0] && strcmp(words[word].word, cells[OUTCOME]) != 0)
        word++;
    if (word == sizeof words / sizeof words[0]) {
        read->other++;
        return TM_OK;
    }
    tm_time t;
    if (!cells[ACCOUNT][0])
        return at_fault(lines, line->number, error, "the row has no account");
    if (!read_time(cells[AT], zone, &t))
        return at_fault(lines, line->number, error, "`at` is no time such as 2026-01-31T08:00:00Z, and no day");
    tm_status status = take(context, tm_slice_of(cells[ACCOUNT]), words[word].ending, t, tm_slice_of(cells[REASON]));
    read->strange += status == TM_REJECT;
    read->taken += status == TM_OK;
    return status == TM_FATAL ? tm_fail(error, TM_FATAL, "out of memory") : TM_OK;
}

tm_status tm_outcomes_each(const char *path, const tm_zone *zone, tm_outcome_take take, void *context,
                           tm_outcomes_read *ret_read, tm_error *error)
{
    *ret_read = (tm_outcomes_read){0};
    tm_lines *lines;
    tm_status status = tm_lines_open(path, &lines, error);
    if (status != TM_OK)
        return status;
    int columns[COLUMNS] = {-1, -1, -1, -1};
    tm_line line;
    bool end;
    status = tm_lines_next(lines, &line, &end, error);
    if (status == TM_OK && !end)
        read_header(line.text, columns);
    if (status == TM_OK && (columns[ACCOUNT] < 0 || columns[OUTCOME] < 0 || columns[AT] < 0))
        status = at_fault(lines, 1, error, "there is no header with the columns account, outcome and at");
    while (status == TM_OK) {
        status = tm_lines_next(lines, &line, &end, error);
        if (status != TM_OK || end)
            break;
        if (line.text.length)
            status = read_row(lines, &line, columns, zone, take, context, ret_read, error);
    }
    tm_lines_close(lines);
    return status;
}

static tm_status take_into(void *context, tm_slice account, tm_ending ending, tm_time t, tm_slice reason)
{
    return tm_backtest_ended(context, account, ending, t, reason);
}

tm_status tm_outcomes_read_file(const char *path, const tm_zone *zone, tm_backtest *backtest,
                                tm_outcomes_read *ret_read, tm_error *error)
{
    return tm_outcomes_each(path, zone, take_into, backtest, ret_read, error);
}
