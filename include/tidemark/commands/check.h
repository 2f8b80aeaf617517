/* What `check` finds, for commands that look at more. */
#ifndef TIDEMARK_COMMANDS_CHECK_H
#define TIDEMARK_COMMANDS_CHECK_H

#include "tidemark/commands/setup.h"

/* Looks at the rules, Kafka and Redis as `check` does and appends what is not good to `out`: lines for people, or JSON
   objects with commas between. Returns 0; EX_UNAVAILABLE: something does not answer; EX_CONFIG: something is not as it
   has to be. */
int tm_check_look(const tm_command *command, const tm_setup *setup, bool json, tm_buffer *out);

#endif
