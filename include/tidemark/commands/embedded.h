/* Files of the source tree that the program carries: the schemas, the default pack and its tests, pages of reports. */
#ifndef TIDEMARK_COMMANDS_EMBEDDED_H
#define TIDEMARK_COMMANDS_EMBEDDED_H

#include "tidemark/base/bytes.h"

typedef struct tm_embedded {
    const char *name; /* path in the source tree, e.g. "schemas/signal.schema.json", "deploy/rules.yaml" */
    tm_slice text;
} tm_embedded;

/* The index-th file, NULL beyond the last. */
const tm_embedded *tm_embedded_at(uint32_t index);

#endif
