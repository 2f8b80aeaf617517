/* Where the journal ends. A shard's lines are published in the transaction that moves the group's offsets: the last one
   names the offsets that the group has, or had before it forgot them. */
#ifndef TIDEMARK_PIPELINE_JOURNALEND_H
#define TIDEMARK_PIPELINE_JOURNALEND_H

#include "tidemark/ports/journal.h"
#include "tidemark/ports/position.h"

/* True when the group knows no offsets of the shard: it never had any, or they expired. */
bool tm_position_unknown(tm_position committed);

/* Reads the journal from its end backwards, until a commit of this group is found. on: which inputs are read; the
   others have no position, as in the group's offsets. *ret_published: the next offsets and the number of the last
   commit that was published; where no line is kept, that of a group without offsets. TM_OK; TM_RETRY: the journal does
   not answer; TM_REJECT: a line cannot be read; TM_FATAL without memory. Nothing stays open. */
tm_status tm_journal_end(const tm_journal_source *journal, tm_slice group, int32_t partition, const bool on[TM_INPUTS],
                         tm_position *ret_published, tm_error *error);

#endif
