/* What `report` found, as sheets: one a section, the same for people, JSON, CSV and the page. */
#ifndef TIDEMARK_COMMANDS_REPORTSHEETS_H
#define TIDEMARK_COMMANDS_REPORTSHEETS_H

#include "tidemark/commands/cli.h"
#include "tidemark/commands/outcomes.h"
#include "tidemark/commands/sheet.h"
#include "tidemark/core/pack.h"
#include "tidemark/insight/book.h"
#include "tidemark/insight/separation.h"

enum { TM_REPORT_DIMENSIONS_MAX = 16, TM_REPORT_LOOKS = 4 };

/* By what accounts are grouped: every account has one value, perhaps none (an absent text). */
typedef struct tm_report_dimension {
    const char *name;
    bool product; /* not of accounts but of what they have: money only */
    tm_names labels;
    uint32_t *group_of; /* an account of the book; UINT32_MAX: not known at the end */
} tm_report_dimension;

/* What was seen of an account beside its records. */
typedef struct tm_report_seen {
    uint64_t events; /* in the period, by their `at`, duplicates not */
    uint32_t users;  /* distinct ones of these */
    bool started;    /* its contract began in the period */
    uint32_t life;   /* how often it was erased */
    double value;    /* days to first value; NaN: none yet */
} tm_report_seen;

/* A metric of the rules, or a feature that tickets name. */
typedef struct tm_report_item {
    uint64_t events, accounts;
    uint64_t churned; /* of the accounts, in the period */
} tm_report_item;

typedef struct tm_report {
    tm_time from, at;
    double margin;
    const tm_pack *pack;
    tm_book *book;
    tm_heap *heap;
    tm_report_dimension dimensions[TM_REPORT_DIMENSIONS_MAX]; /* channel and tier are first */
    uint32_t dimension_count;
    tm_report_seen *seen;    /* an account of the book */
    bool with_value;         /* the rules say what first value is */
    tm_report_item *metrics; /* a metric of the pack; only counts without `where` */
    tm_names features;
    tm_report_item *items;     /* a feature */
    tm_table about;            /* pairs of account and feature: it had a ticket about it */
    const char *feature;       /* the property of tickets that names it */
    tm_separation *separation; /* NULL: the rules have no scorecards, or nothing was decided */
    const char **factors;      /* their names */
    uint32_t factor_count;
    const int32_t *looks; /* days before */
    tm_outcomes_read read;
    bool has_outcomes;
} tm_report;

/* The key in `about`. */
uint64_t tm_report_pair(uint64_t account, uint64_t feature);

enum { TM_REPORT_CHANNEL, TM_REPORT_TIER, TM_REPORT_GROUPED }; /* dimensions: from the third on as asked for */

typedef enum tm_report_form { TM_REPORT_TABLES, TM_REPORT_JSON, TM_REPORT_CSV } tm_report_form;

/* Prints it to standard output, and writes the page where one is asked for (NULL: none). Returns the exit status. */
int tm_report_print(const tm_command *command, const tm_report *report, tm_report_form form, const char *page);

#endif
