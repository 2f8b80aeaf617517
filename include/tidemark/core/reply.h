/* What people answer to signals, by events of the input: that they have seen an episode, or want to hear nothing of a
   rule for a while (docs/semantics.md, Replies). */
#ifndef TIDEMARK_CORE_REPLY_H
#define TIDEMARK_CORE_REPLY_H

#include "tidemark/core/account.h"

/* Whether an event of that name is a reply: said by those who look after the customer, so that a pattern with `*` does
   not count it as the customer's doing. */
bool tm_reply_is(tm_slice event_name);

/* Notes a reply, accepted at `now`, at the rule it is to. One that names no rule of the pack, no open episode where it
   needs one, or no time, does nothing. TM_OK or TM_FATAL without memory. */
tm_status tm_reply_apply(tm_account *account, tm_heap *heap, const tm_pack *pack, const tm_event *event, tm_time now);

#endif
