/* The commands, one a file. */
#ifndef TIDEMARK_COMMANDS_COMMANDS_H
#define TIDEMARK_COMMANDS_COMMANDS_H

#include "tidemark/commands/cli.h"

extern const tm_command tm_command_accounts;
extern const tm_command tm_command_backtest;
extern const tm_command tm_command_demo;
extern const tm_command tm_command_check;
extern const tm_command tm_command_doctor;
extern const tm_command tm_command_eval;
extern const tm_command tm_command_explain;
extern const tm_command tm_command_generate;
extern const tm_command tm_command_init;
extern const tm_command tm_command_replay;
extern const tm_command tm_command_report;
extern const tm_command tm_command_run;
extern const tm_command tm_command_schema;
extern const tm_command tm_command_shard;
extern const tm_command tm_command_test;
extern const tm_command tm_command_tune;
extern const tm_command tm_command_version;

#endif
