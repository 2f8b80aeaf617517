/* From files to parts: configuration, rules, zone and secrets as the commands need them. */
#ifndef TIDEMARK_COMMANDS_SETUP_H
#define TIDEMARK_COMMANDS_SETUP_H

#include "tidemark/codec/event.h"
#include "tidemark/commands/cli.h"
#include "tidemark/core/shard.h"
#include "tidemark/rules/configfile.h"
#include "tidemark/rules/packfile.h"

typedef struct tm_setup {
    char *configuration_path; /* NULL: none was read, all defaults */
    char *configuration_text, *rules_text;
    tm_configuration *configuration;
    tm_pack *pack;
    const tm_zone *zone;
    tm_mapping *mapping;
    tm_user_key user_key;
    tm_shard_settings shard;
} tm_setup;

typedef struct tm_setup_options {
    const char *configuration; /* path; NULL: defaults, nothing is required */
    const char *rules;         /* path that overrides the configuration's; NULL: the configuration's */
    bool without_rules;
    const tm_slice *expressions; /* compiled into the pack: what eval asks */
    uint32_t expression_count;
    uint32_t *ret_nodes;
} tm_setup_options;

/* Reads and checks everything; errors are printed with line, caret and hint. Returns 0, or the exit status: EX_CONFIG
   for a bad file, EX_NOINPUT for one that is not there. */
int tm_setup_load(const tm_command *command, const tm_setup_options *options, tm_setup *ret_setup);
void tm_setup_done(tm_setup *setup);

/* Where a group counts from, by the configuration's `history`, when its first record is at `first_record`
 * (TM_TIME_NONE: empty, then `now`). TM_TIME_NONE: complete. */
tm_time tm_setup_counting_start(const tm_setup *setup, tm_time first_record, tm_time now);
/* The date from which each rule can answer, printed for people. */
void tm_setup_print_answers(const tm_setup *setup, tm_time counting_start, FILE *stream);

#endif
