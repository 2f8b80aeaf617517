/* A shard whose invariant broke: what is known of it, for whoever looks for the cause, and then the halt. */
#ifndef TIDEMARK_PIPELINE_REPORT_H
#define TIDEMARK_PIPELINE_REPORT_H

#include "tidemark/pipeline/ledger.h"

/* Logs `shard_broken`: the check and where it stands, T when it tripped, and of what the store has: R, n, C.n, T, the
   number of accounts and the hash of their state; and the last journal line of the commits made here. Then halts the
   shard. Reads the shard's accounts from the store once; what it does not answer is left out. `why` is what
   tm_poison_tripped or tm_poison_blame filled in. */
void tm_report_broken(tm_ledger *ledger, tm_holding *holding, const tm_error *why);

/* The hash of a shard's accounts: the sum (mod 2^64) of tm_hash over key, a zero byte and the state encoded at T, so
   that the order in which they are kept does not matter. TM_OK; TM_RETRY: the store did not answer; TM_REJECT: an
   account cannot be read, or there is no shard. */
tm_status tm_report_hash(const tm_store *store, const tm_holding *holding, uint64_t *ret_hash, uint64_t *ret_accounts,
                         tm_shard_meta *ret_meta, tm_error *error);

#endif
