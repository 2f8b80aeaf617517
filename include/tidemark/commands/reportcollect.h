/* From files to what `report` shows: the account records make the book, then everything passes through a shard. */
#ifndef TIDEMARK_COMMANDS_REPORTCOLLECT_H
#define TIDEMARK_COMMANDS_REPORTCOLLECT_H

#include "tidemark/commands/feed.h"
#include "tidemark/commands/reportsheets.h"
#include "tidemark/commands/setup.h"

typedef struct tm_report_request {
    const tm_setup *setup;
    tm_feed_options files;
    const char *owner_role;
    const char *outcomes; /* NULL: none */
    uint32_t value_node;  /* time_to_first_value; TM_NODE_NONE: the rules do not say what that is */
    bool at_is_known;     /* else `at` becomes where the files end */
} tm_report_request;

/* Fills in `report`, whose period (`from` TM_TIME_NONE: a year, or as long as there are records), margin, feature and
   dimensions are set. `asked` is needed only here, its setup as long as the report. TM_OK; TM_REJECT: a file cannot be
   read, or the period makes no sense; TM_FATAL. Ended with tm_report_done, whatever it returned. */
tm_status tm_report_collect(tm_report *report, const tm_report_request *asked, tm_error *error);
void tm_report_done(tm_report *report);

#endif
