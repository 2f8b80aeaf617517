#include "tidemark/commands/commands.h"

/* One line each, in the order of the help, which is what a newcomer needs first. */
/* clang-format off */
const tm_command *const tm_commands[] = {
    &tm_command_demo,
    &tm_command_init,
    &tm_command_check,
    &tm_command_run,
    &tm_command_doctor,
    &tm_command_shard,
    &tm_command_accounts,
    &tm_command_replay,
    &tm_command_backtest,
    &tm_command_report,
    &tm_command_tune,
    &tm_command_eval,
    &tm_command_explain,
    &tm_command_generate,
    &tm_command_test,
    &tm_command_schema,
    &tm_command_version,
    NULL,
};
/* clang-format on */
