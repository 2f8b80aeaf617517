/* Pages of reports: a file that the program carries, with the figures in it. */
#ifndef TIDEMARK_COMMANDS_PAGE_H
#define TIDEMARK_COMMANDS_PAGE_H

#include "tidemark/base/bytes.h"
#include "tidemark/commands/cli.h"

/* Writes the embedded page `name` ("processor/pages/backtest.html") to `path`, with `json` in its element `data`.
   Returns the exit status, after saying why it is not 0. */
int tm_page_write(const tm_command *command, const char *path, const char *name, tm_slice json);

#endif
