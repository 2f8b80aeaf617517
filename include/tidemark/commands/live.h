/* Accounts out of Redis as the running workers left them, for looking: nothing is claimed and nothing is written. */
#ifndef TIDEMARK_COMMANDS_LIVE_H
#define TIDEMARK_COMMANDS_LIVE_H

#include "tidemark/commands/setup.h"
#include "tidemark/pipeline/meta.h"
#include "tidemark/ports/store.h"

typedef struct tm_live tm_live;

/* Finds the group of the configuration. `setup` outlives it. TM_OK: closed with tm_live_close. TM_RETRY: Redis does not
   answer. TM_REJECT: nothing is kept of the group. TM_FATAL without memory. */
tm_status tm_live_open(const tm_setup *setup, tm_live **ret_live, tm_error *error);
void tm_live_close(tm_live *live); /* NULL is allowed */

/* A shard that holds this account (if it is kept) and stands where the account's shard stands; valid until the next
   call. TM_OK, TM_RETRY, TM_REJECT (a state that cannot be read, or a metric of the rules that is not kept yet),
   TM_FATAL. */
tm_status tm_live_account(tm_live *live, tm_slice account, tm_shard **ret_shard, tm_error *error);
/* Every shard of the group in turn, with all accounts that are kept of it, as it stands; one of which nothing is kept
   is passed over. `visit` may keep nothing of it; a return other than TM_OK ends with it. TM_OK, or as tm_live_account.
 */
typedef tm_status (*tm_live_visit)(void *context, tm_shard *shard);
tm_status tm_live_each(tm_live *live, tm_live_visit visit, void *context, tm_error *error);
/* True when the rules of the setup are not those in force where the account was kept. */
bool tm_live_rules_differ(const tm_live *live);
/* Where the account's shard began to count. */
tm_time tm_live_counting_start(const tm_live *live);

/* The partition in which Kafka's default partitioner puts a key: murmur2, made positive, modulo the count (at least
   1). */
int32_t tm_live_partition(tm_slice key, uint32_t partitions);

#endif
