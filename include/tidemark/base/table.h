/* An open-addressing table from 64-bit keys to 32-bit values, for indices into arrays. Keys are hashes already: they
   are used as they are (low bits choose the slot). Deletion shifts back, so there are no tombstones and look-ups stay
   short. */
#ifndef TIDEMARK_BASE_TABLE_H
#define TIDEMARK_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tidemark/base/heap.h"
#include "tidemark/base/status.h"

typedef struct tm_table {
    tm_heap *heap;
    uint64_t *keys;   /* meaningful where used[] says so */
    uint32_t *values; /* TM_TABLE_NONE marks an empty slot */
    size_t capacity;  /* a power of two */
    size_t count;
} tm_table;

#define TM_TABLE_NONE UINT32_MAX

/* Room for `expected` keys before the first growth. TM_OK, or TM_FATAL without memory. */
tm_status tm_table_init(tm_table *table, tm_heap *heap, size_t expected);
void tm_table_done(tm_table *table);
/* The value of `key`, or TM_TABLE_NONE. */
uint32_t tm_table_find(const tm_table *table, uint64_t key);
/* Asks the processor to load the slot of `key`; a later find then does not wait for memory. */
void tm_table_prefetch(const tm_table *table, uint64_t key);
/* Sets the value of `key`, new or not. `value` is not TM_TABLE_NONE. TM_OK, or TM_FATAL without memory (the table is
 * unchanged). */
tm_status tm_table_put(tm_table *table, uint64_t key, uint32_t value);
/* Removes `key`; false when it was not there. */
bool tm_table_remove(tm_table *table, uint64_t key);
void tm_table_clear(tm_table *table);

#endif
