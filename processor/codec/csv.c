#include "tidemark/codec/csv.h"

#include <string.h>

bool tm_csv_cell(tm_slice *row, bool *ended, char cell[static TM_CSV_CELL_MAX])
{
    size_t length = 0;
    size_t i = 0;
    if (*ended)
        return false;
    bool quoted = row->length && row->data[0] == '"';
    if (quoted) {
        for (i = 1;; i++) {
            if (i >= row->length)
                return false;
            if (row->data[i] == '"' && (i + 1 >= row->length || row->data[i + 1] != '"'))
                break;
            if (row->data[i] == '"')
                i++;
            if (length + 1 >= TM_CSV_CELL_MAX)
                return false;
            cell[length++] = row->data[i];
        }
        i++;
        if (i < row->length && row->data[i] != ',')
            return false;
    } else {
        for (; i < row->length && row->data[i] != ','; i++) {
            if (length + 1 >= TM_CSV_CELL_MAX)
                return false;
            cell[length++] = row->data[i];
        }
    }
    *ended = i >= row->length;
    size_t used = *ended ? i : i + 1;
    *row = (tm_slice){row->data + used, row->length - used};
    size_t blanks = 0;
    while (!quoted && blanks < length && cell[blanks] == ' ')
        blanks++;
    while (!quoted && length > blanks && cell[length - 1] == ' ')
        length--;
    memmove(cell, cell + blanks, length - blanks);
    cell[length - blanks] = '\0';
    return true;
}
