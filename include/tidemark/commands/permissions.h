/* What an administrator of Kafka and Redis has to allow. */
#ifndef TIDEMARK_COMMANDS_PERMISSIONS_H
#define TIDEMARK_COMMANDS_PERMISSIONS_H

#include "tidemark/commands/setup.h"

/* Appends what this configuration needs: as commands for redis-cli and kafka-acls.sh, or as one JSON object. Neither
   holds a secret. The Kafka principal is that of sasl.username, or "User:tidemark" in its place. */
void tm_permissions_print(const tm_setup *setup, bool json, tm_buffer *out);

#endif
