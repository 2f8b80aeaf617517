/* What a Redis server says when it refuses, and what that means here: one table. */
#ifndef TIDEMARK_ADAPTERS_REDIS_CONDITION_H
#define TIDEMARK_ADAPTERS_REDIS_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

typedef struct tm_redis_condition {
    const char *word;   /* the first word of the answer */
    const char *text;   /* and what stands further in it; NULL: anything */
    tm_status status;   /* TM_RETRY: wait, it passes or can be mended; TM_FATAL: it never does by itself */
    tm_status greeting; /* the same while a connection is made; TM_REJECT: a start should fail, rather than wait */
    bool leave;         /* drop the connection: the next one may lead elsewhere, or be greeted otherwise */
    const char *hint;   /* what to do; NULL: nothing, it passes */
} tm_redis_condition;

/* The condition of an error answer (without '-'). An answer that only says that a transaction was discarded because of
   another is taken as that other. Never NULL: what is not in the table is TM_RETRY without a hint. Static storage. */
const tm_redis_condition *tm_redis_condition_of(tm_slice answer);
/* The table, for tests and documents; NULL at its end. */
const tm_redis_condition *tm_redis_condition_at(uint32_t index);

#endif
