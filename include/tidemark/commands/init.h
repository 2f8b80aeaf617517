/* The configuration that `init` writes: every key of the table, explained. */
#ifndef TIDEMARK_COMMANDS_INIT_H
#define TIDEMARK_COMMANDS_INIT_H

#include "tidemark/base/bytes.h"

/* Where the service that `init` configures tells of itself. */
#define TM_INIT_LISTEN "127.0.0.1:9464"

/* Appends tidemark.yaml: brokers, Redis, http.listen and `user_key: !file user.key` set, every other key commented out
   with its default. */
void tm_init_configuration(const char *brokers, const char *redis, tm_buffer *out);

#endif
