/* Rows of a CSV file as spreadsheets and databases write them. */
#ifndef TIDEMARK_CODEC_CSV_H
#define TIDEMARK_CODEC_CSV_H

#include "tidemark/base/bytes.h"

enum { TM_CSV_CELL_MAX = 1024, TM_CSV_COLUMNS_MAX = 1024 };

/* Takes the next cell off a row (one line, without its end): quotes as in RFC 4180 undone, blanks around an unquoted
   cell dropped, terminated. `*ended` begins false and is set when the row's last cell was taken. False when there is
   none, or when it is too long or its quotes do not end (then `*ended` is still false). */
bool tm_csv_cell(tm_slice *row, bool *ended, char cell[static TM_CSV_CELL_MAX]);

#endif
