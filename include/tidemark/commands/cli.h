/* What every command shares: its options as a table, help made from it, and exit statuses of sysexits.h. */
#ifndef TIDEMARK_COMMANDS_CLI_H
#define TIDEMARK_COMMANDS_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tidemark/base/status.h"

typedef enum tm_option_kind {
    TM_OPTION_FLAG, /* bool */
    TM_OPTION_TEXT, /* const char * */
    TM_OPTION_MANY, /* tm_option_list: may be given several times */
    TM_OPTION_COUNT /* int64_t, a whole number not below 0 */
} tm_option_kind;

enum { TM_OPTION_MANY_MAX = 64 };
typedef struct tm_option_list {
    const char *items[TM_OPTION_MANY_MAX];
    uint32_t count;
} tm_option_list;

typedef struct tm_option {
    const char *name;     /* long name without dashes */
    const char *argument; /* what stands for it in the help; NULL for flags */
    const char *help;
    tm_option_kind kind;
    void *target;
} tm_option;

typedef struct tm_command {
    const char *name;
    const char *summary;   /* one line, for the list of commands */
    const char *arguments; /* after the options in the usage line, e.g. "FILE…"; "" when there are none */
    const char *text;      /* further help: what it does, examples, exit statuses */
    /* argv[0] is the command's name. Returns the exit status. */
    int (*run)(const struct tm_command *command, int argc, char **argv);
} tm_command;

/* All commands, ended by NULL; in the order of the help. */
extern const tm_command *const tm_commands[];

/* Parses options (--name value, --name=value; `--` ends them). `--help` prints the help and sets *ret_status to 0; a
   mistake is printed with the nearest known option and sets it to EX_USAGE. Returns true when the command should go on;
   positional arguments are then argv[1] … argv[*ret_argc - 1], wherever they stood. */
bool tm_options_parse(const tm_command *command, const tm_option *options, uint32_t count, int argc, char **argv,
                      int *ret_argc, int *ret_status);

/* "tidemark COMMAND: where: what" and the hint on standard error. Returns the exit status for a status of this kind:
   TM_REJECT EX_DATAERR, TM_RETRY EX_TEMPFAIL, TM_FATAL EX_SOFTWARE. */
int tm_cli_fail(const tm_command *command, tm_status status, const tm_error *error);
/* The same with a sentence and a given exit status. */
int tm_cli_say(const tm_command *command, int exit_status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True when people look at the stream and NO_COLOR does not forbid colour. */
bool tm_cli_colour(FILE *stream);
/* A progress line on a terminal, redrawn at most ten times a second; nothing elsewhere. `done` of `all` (0: unknown).
 */
void tm_cli_progress(const char *what, uint64_t done, uint64_t all);
void tm_cli_progress_end(void);

#endif
