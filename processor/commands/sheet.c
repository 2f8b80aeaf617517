#include "tidemark/commands/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

tm_status tm_sheet_init(tm_sheet *sheet, const char *name, const char *title, const tm_sheet_column *columns,
                        uint32_t column_count)
{
    *sheet = (tm_sheet){.name = name, .title = title, .columns = columns, .column_count = column_count};
    sheet->arena = tm_arena_new(0);
    return sheet->arena ? TM_OK : TM_FATAL;
}

void tm_sheet_done(tm_sheet *sheet)
{
    tm_arena_free_all(sheet->arena);
    free(sheet->cells);
    *sheet = (tm_sheet){0};
}

static tm_sheet_cell *next(tm_sheet *sheet)
{
    if (sheet->failed)
        return NULL;
    if (sheet->count == sheet->capacity) {
        size_t capacity = sheet->capacity ? sheet->capacity * 2 : 64;
        tm_sheet_cell *cells = reallocarray(sheet->cells, capacity, sizeof *cells);
        if (!cells) {
            sheet->failed = true;
            return NULL;
        }
        sheet->cells = cells;
        sheet->capacity = capacity;
    }
    tm_sheet_cell *cell = &sheet->cells[sheet->count++];
    *cell = (tm_sheet_cell){.estimate = {NAN, NAN, NAN, 0}};
    return cell;
}

static tm_slice copy(tm_sheet *sheet, tm_slice text)
{
    char *made = text.data ? tm_arena_copy(sheet->arena, text.data, text.length) : NULL;
    if (text.data && !made)
        sheet->failed = true;
    return (tm_slice){made, made ? text.length : 0};
}

void tm_sheet_told(tm_sheet *sheet, tm_slice text, tm_slice json)
{
    tm_sheet_cell *cell = next(sheet);
    if (!cell)
        return;
    cell->text = copy(sheet, text);
    cell->json = copy(sheet, json);
}

void tm_sheet_text(tm_sheet *sheet, tm_slice text)
{
    tm_sheet_told(sheet, text, (tm_slice){0});
}

void tm_sheet_estimate(tm_sheet *sheet, tm_estimate estimate)
{
    tm_sheet_cell *cell = next(sheet);
    if (cell)
        cell->estimate = estimate;
}

void tm_sheet_number(tm_sheet *sheet, double number)
{
    tm_sheet_estimate(sheet, (tm_estimate){number, NAN, NAN, 0});
}

size_t tm_sheet_rows(const tm_sheet *sheet)
{
    return sheet->column_count ? sheet->count / sheet->column_count : 0;
}

/* --- for people --- */

/* How many columns of a terminal a text takes, a character each. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Without what moves a cursor: control characters of ASCII, and those of Latin 1, which are C2 80 to C2 9F. */
static void shown_text(tm_slice text, tm_buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == 0xc2 && i + 1 < text.length && (unsigned char)text.data[i + 1] < 0xa0) {
            i++;
            c = 0;
        }
        tm_buffer_append_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void shown_number(tm_sheet_kind kind, double number, tm_buffer *out)
{
    if (kind == TM_SHEET_COUNT)
        tm_buffer_append_format(out, "%.0f", number);
    else if (kind == TM_SHEET_SHARE)
        tm_buffer_append_format(out, "%.1f%%", 100 * number);
    else if (kind == TM_SHEET_AMOUNT)
        tm_buffer_append_format(out, "%.2f", number);
    else
        tm_buffer_append_format(out, kind == TM_SHEET_NUMBER ? "%.1f" : "%.2f", number);
}

static void shown(const tm_sheet_cell *cell, tm_sheet_kind kind, tm_buffer *out)
{
    tm_buffer_reset(out);
    const tm_estimate *e = &cell->estimate;
    if (kind == TM_SHEET_TEXT) {
        shown_text(cell->text.data ? cell->text : TM_SLICE_LITERAL("-"), out);
    } else if (isnan(e->value)) {
        tm_buffer_append_char(out, '-');
    } else {
        shown_number(kind, e->value, out);
        if (!isnan(e->low) && !isnan(e->high)) {
            tm_buffer_append_text(out, " (");
            shown_number(kind, e->low, out);
            tm_buffer_append_char(out, '-');
            shown_number(kind, e->high, out);
            tm_buffer_append_char(out, ')');
        }
        if (kind == TM_SHEET_SHARE || kind == TM_SHEET_ESTIMATE)
            tm_buffer_append_format(out, " n=%llu", (unsigned long long)e->of);
    }
}

static void put_cell(FILE *stream, const char *text, int width, bool left, bool last)
{
    int blanks = width - width_of(text);
    if (left && last)
        fprintf(stream, "%s", text);
    else if (left)
        fprintf(stream, "%s%*s", text, blanks + GAP, "");
    else
        fprintf(stream, "%*s%s%*s", blanks, "", text, last ? 0 : GAP, "");
}

void tm_sheet_print(const tm_sheet *sheet, FILE *stream)
{
    int widths[TM_SHEET_COLUMNS_MAX] = {0};
    size_t rows = tm_sheet_rows(sheet);
    uint32_t last = 0;
    tm_buffer text;
    tm_buffer_init(&text, SIZE_MAX / 4);
    for (uint32_t c = 0; c < sheet->column_count; c++) {
        if (!sheet->columns[c].title)
            continue;
        last = c;
        widths[c] = width_of(sheet->columns[c].title);
        for (size_t r = 0; r < rows; r++) {
            shown(&sheet->cells[r * sheet->column_count + c], sheet->columns[c].kind, &text);
            int width = width_of(tm_buffer_text(&text));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t r = 0; r <= rows; r++) {
        for (uint32_t c = 0; c < sheet->column_count; c++) {
            const tm_sheet_column *column = &sheet->columns[c];
            if (!column->title)
                continue;
            if (r > 0)
                shown(&sheet->cells[(r - 1) * sheet->column_count + c], column->kind, &text);
            put_cell(stream, r == 0 ? column->title : tm_buffer_text(&text), widths[c], column->kind == TM_SHEET_TEXT,
                     c == last);
        }
        fputc('\n', stream);
    }
    tm_buffer_done(&text);
}

/* --- for programs --- */

static bool has_interval(tm_sheet_kind kind)
{
    return kind == TM_SHEET_ESTIMATE || kind == TM_SHEET_SHARE;
}

void tm_sheet_json(const tm_sheet *sheet, size_t row, tm_buffer *out)
{
    const tm_sheet_cell *cells = &sheet->cells[row * sheet->column_count];
    for (uint32_t c = 0; c < sheet->column_count; c++) {
        const tm_sheet_column *column = &sheet->columns[c];
        const tm_estimate *e = &cells[c].estimate;
        tm_buffer_append_format(out, "%c\"%s\":", c ? ',' : '{', column->name);
        if (column->kind == TM_SHEET_TEXT && cells[c].json.data) {
            tm_buffer_append_slice(out, cells[c].json);
        } else if (column->kind == TM_SHEET_TEXT) {
            tm_buffer_append_json_string(out, cells[c].text);
        } else if (!has_interval(column->kind)) {
            tm_buffer_append_json_number(out, e->value);
        } else {
            tm_buffer_append_text(out, "{\"value\":");
            tm_buffer_append_json_number(out, e->value);
            tm_buffer_append_text(out, ",\"low\":");
            tm_buffer_append_json_number(out, e->low);
            tm_buffer_append_text(out, ",\"high\":");
            tm_buffer_append_json_number(out, e->high);
            tm_buffer_append_format(out, ",\"of\":%llu}", (unsigned long long)e->of);
        }
    }
    tm_buffer_append_char(out, '}');
}

void tm_sheet_csv_text(tm_slice text, tm_buffer *out)
{
    bool quoted = false;
    for (size_t i = 0; i < text.length; i++) /* blanks, which some readers drop, are quoted too */
        quoted = quoted || (text.data[i] && strchr(",\"\r\n \t", text.data[i]));
    if (quoted)
        tm_buffer_append_char(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '"')
            tm_buffer_append_char(out, '"');
        tm_buffer_append_char(out, text.data[i]);
    }
    if (quoted)
        tm_buffer_append_char(out, '"');
}

static void csv_number(double number, tm_buffer *out)
{
    if (!isnan(number))
        tm_buffer_append_json_number(out, number);
}

void tm_sheet_csv(const tm_sheet *sheet, tm_buffer *out)
{
    size_t rows = tm_sheet_rows(sheet);
    for (uint32_t c = 0; c < sheet->column_count; c++) {
        const char *name = sheet->columns[c].name;
        tm_buffer_append_format(out, "%s%s", c ? "," : "", name);
        if (has_interval(sheet->columns[c].kind))
            tm_buffer_append_format(out, ",%s_low,%s_high,%s_of", name, name, name);
    }
    tm_buffer_append_char(out, '\n');
    for (size_t i = 0; i < rows * sheet->column_count; i++) {
        uint32_t c = (uint32_t)(i % sheet->column_count);
        const tm_sheet_cell *cell = &sheet->cells[i];
        if (c)
            tm_buffer_append_char(out, ',');
        if (sheet->columns[c].kind == TM_SHEET_TEXT)
            tm_sheet_csv_text(cell->text, out);
        else
            csv_number(cell->estimate.value, out);
        if (has_interval(sheet->columns[c].kind)) {
            tm_buffer_append_char(out, ',');
            csv_number(cell->estimate.low, out);
            tm_buffer_append_char(out, ',');
            csv_number(cell->estimate.high, out);
            tm_buffer_append_format(out, ",%llu", (unsigned long long)cell->estimate.of);
        }
        if (c + 1 == sheet->column_count)
            tm_buffer_append_char(out, '\n');
    }
}
