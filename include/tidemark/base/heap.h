/* Memory with a limit. The pure core takes every byte from a heap handed to it, so that a shard's memory is counted and
   bounded, and freed as a whole. Not thread-safe: one heap a shard or command. */
#ifndef TIDEMARK_BASE_HEAP_H
#define TIDEMARK_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Blocks up to 4 KiB come from size classes (spaced by at most 1/8th, 16-byte aligned) carved from chunks; greater ones
   from malloc. Freed blocks are kept in their class for the next allocation. */
typedef struct tm_heap tm_heap;

/* A heap that gives out at most `limit` bytes (0 = no limit). NULL when out of memory. */
tm_heap *tm_heap_new(size_t limit);
/* Frees the heap and everything ever taken from it. NULL is allowed. */
void tm_heap_free_all(tm_heap *heap);

/* `size` bytes, zeroed, 16-byte aligned; NULL when the limit or the machine's memory is reached (the caller returns
   TM_FATAL, or sheds load). size 0 gives NULL. */
void *tm_heap_take(tm_heap *heap, size_t size);
/* Gives back a block taken with exactly this `size`; its bytes are cleared. NULL is allowed. */
void tm_heap_give(tm_heap *heap, void *block, size_t size);
/* A block of `new_size` with the first min(old, new) bytes kept and the rest zeroed; NULL when it cannot be had (the
   old block stays valid). May return the same block. */
void *tm_heap_resize(tm_heap *heap, void *block, size_t old_size, size_t new_size);
/* Room for one more item of `size` bytes behind the first `count`: `items` is the address of the array's pointer (NULL
   when *room is 0), `*room` how many it has room for. false without memory; the array is as it was then. */
bool tm_heap_grow(tm_heap *heap, void *items, size_t count, size_t *room, size_t size);

/* Bytes given out now (rounded up to their classes), and bytes reserved from the system. */
size_t tm_heap_used(const tm_heap *heap);
size_t tm_heap_reserved(const tm_heap *heap);

/* An arena: bump allocation, freed at once. `tm_arena_take` gives zeroed, 16-byte aligned memory or NULL. */
typedef struct tm_arena tm_arena;
tm_arena *tm_arena_new(size_t limit);
void tm_arena_free_all(tm_arena *arena);
/* The same for what held secrets: the bytes are overwritten first. NULL is allowed. */
void tm_arena_wipe_all(tm_arena *arena);
void tm_arena_reset(tm_arena *arena); /* forgets everything, keeps the chunks: no system call in steady state */
void *tm_arena_take(tm_arena *arena, size_t size);
/* A terminated copy of `length` bytes; NULL when out of memory. */
char *tm_arena_copy(tm_arena *arena, const char *text, size_t length);

#endif
