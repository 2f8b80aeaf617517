/* What a back-test found, for people and for programs. */
#ifndef TIDEMARK_COMMANDS_BACKTESTREPORT_H
#define TIDEMARK_COMMANDS_BACKTESTREPORT_H

#include "tidemark/commands/cli.h"
#include "tidemark/commands/outcomes.h"
#include "tidemark/insight/plays.h"

/* One pack's trial. */
typedef struct tm_report_part {
    tm_backtest *backtest; /* judged, as the plays; both owned by the caller */
    tm_plays *plays;
    const tm_pack *rules;
    tm_outcomes_read read;
    bool ranked; /* it has what ranks accounts */
} tm_report_part;

typedef struct tm_report_options {
    tm_backtest_settings settings;
    tm_slice score; /* absent: nothing was ranked */
    bool json;
    const char *page; /* an HTML file to write besides; NULL: none */
} tm_report_options;

/* Prints one or two parts (the rules, and those they are held against) to standard output. Returns the exit status. */
int tm_report_backtest(const tm_command *command, const tm_report_options *options, const tm_report_part *parts,
                       uint32_t count);

#endif
