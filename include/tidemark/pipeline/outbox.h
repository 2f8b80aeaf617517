/* Outputs between the two ledgers: kept under their commit number until the other ledger has them. */
#ifndef TIDEMARK_PIPELINE_OUTBOX_H
#define TIDEMARK_PIPELINE_OUTBOX_H

#include "tidemark/ports/publisher.h"

typedef struct tm_outbox_entry {
    int64_t commit; /* n */
    size_t offset, length;
} tm_outbox_entry;

typedef struct tm_outbox {
    tm_buffer bytes;
    tm_outbox_entry *entries; /* ascending by commit */
    uint32_t count, capacity;
} tm_outbox;

void tm_outbox_init(tm_outbox *outbox, size_t maximum);
void tm_outbox_done(tm_outbox *outbox);
/* Adds an output of commit `commit`. TM_OK, or TM_FATAL: no memory, or the maximum is reached. */
tm_status tm_outbox_add(tm_outbox *outbox, int64_t commit, const tm_output *output);
/* The same with bytes that tm_outbox_bytes gave before (what the store kept). */
tm_status tm_outbox_add_bytes(tm_outbox *outbox, int64_t commit, tm_slice bytes);
tm_slice tm_outbox_bytes(const tm_outbox *outbox, uint32_t index);
/* TM_OK, or TM_REJECT for bytes that are no output. Slices point into the outbox; header names are the outbox's own. */
tm_status tm_outbox_read(const tm_outbox *outbox, uint32_t index, tm_output *ret_output);
/* Forgets outputs of commits up to and including `commit`. */
void tm_outbox_forget(tm_outbox *outbox, int64_t commit);

#endif
