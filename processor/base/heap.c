#include "tidemark/base/heap.h"

#include "tidemark/base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TM_HEAP_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TM_HEAP_ASAN 1
#endif
#if defined(TM_HEAP_ASAN)
#include <sanitizer/asan_interface.h>
/* Under AddressSanitizer every block has a poisoned tail, and what is free is poisoned, so that overruns and uses after
   a give are found although the blocks lie side by side. */
enum { GUARD = 16 };
#define POISON(at, size) ASAN_POISON_MEMORY_REGION((at), (size))
#define UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION((at), (size))
#else
enum { GUARD = 0 };
#define POISON(at, size) ((void)(at), (void)(size))
#define UNPOISON(at, size) ((void)(at), (void)(size))
#endif

enum {
    ALIGNMENT = 16,
    SMALL_MAX = 4096,    /* greater blocks come from malloc */
    CLASSES = 8 + 5 * 8, /* 16 … 128 by 16, then eight steps to each doubling up to 4096 */
    CHUNK_FIRST = 16384, /* a small shard stays small */
    CHUNK_LAST = 1024 * 1024,
    ARENA_CHUNK_FIRST = 16384
};

/* Stands before a chunk's blocks; also before a block that malloc gave. */
typedef struct chunk {
    struct chunk *next;
    struct chunk *previous;
    size_t size; /* bytes behind this header */
    size_t unused;
} chunk;
_Static_assert(sizeof(chunk) % ALIGNMENT == 0, "blocks behind the header are aligned");

typedef struct free_block {
    struct free_block *next;
} free_block;

struct tm_heap {
    size_t limit;
    size_t used;
    size_t reserved;
    char *bump; /* untouched and therefore zero, up to bump_end */
    char *bump_end;
    size_t chunk_size;
    chunk *chunks;
    chunk *large; /* doubly linked, so that one can leave */
    free_block *free[CLASSES];
    const tm_check *tripped; /* the first check that did */
};

static unsigned class_of(size_t size)
{
    size_t last = size > 0 ? size - 1 : 0;
    unsigned exponent;
    if (size <= 128) {
        return (unsigned)(last / 16);
    }
    exponent = 63u - (unsigned)__builtin_clzll(last);
    return 8 + (exponent - 7) * 8 + (unsigned)((last >> (exponent - 3)) & 7);
}

/* Bytes of each class: what class_of inverts. */
static const uint16_t class_sizes[CLASSES] = {16,   32,   48,   64,   80,   96,   112,  128,  144,  160,  176,  192,
                                              208,  224,  240,  256,  288,  320,  352,  384,  416,  448,  480,  512,
                                              576,  640,  704,  768,  832,  896,  960,  1024, 1152, 1280, 1408, 1536,
                                              1664, 1792, 1920, 2048, 2304, 2560, 2816, 3072, 3328, 3584, 3840, 4096};

static size_t class_size(unsigned class)
{
    return class_sizes[class];
}

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* What `size` counts for in `used`: without the guard, so that a limit means the same in every build. */
static size_t charge_of(size_t size)
{
    return size <= SMALL_MAX ? class_size(class_of(size)) : round_up(size);
}

static bool is_small(size_t size)
{
    return size + GUARD <= SMALL_MAX;
}

tm_heap *tm_heap_new(size_t limit)
{
    tm_heap *heap = calloc(1, sizeof(*heap));
    if (heap != NULL) {
        heap->limit = limit > 0 ? limit : SIZE_MAX;
        heap->chunk_size = CHUNK_FIRST;
    }
    return heap;
}

static void free_chunks(chunk *first)
{
    while (first != NULL) {
        chunk *next = first->next;
        UNPOISON(first + 1, first->size);
        free(first);
        first = next;
    }
}

void tm_heap_free_all(tm_heap *heap)
{
    if (heap != NULL) {
        free_chunks(heap->chunks);
        free_chunks(heap->large);
        free(heap);
    }
}

static void push_free(tm_heap *heap, void *block, unsigned class)
{
    free_block *freed = block;
    freed->next = heap->free[class];
    heap->free[class] = freed;
    POISON(block, class_size(class));
}

/* What is left of a chunk too small for the block wanted goes to the classes it fills. */
static void retire_bump(tm_heap *heap)
{
    while (heap->bump_end - heap->bump >= ALIGNMENT) {
        size_t left = (size_t)(heap->bump_end - heap->bump);
        unsigned class = class_of(left < SMALL_MAX ? left : SMALL_MAX);
        if (class_size(class) > left) {
            class --;
        }
        UNPOISON(heap->bump, class_size(class));
        push_free(heap, heap->bump, class);
        heap->bump += class_size(class);
    }
}

static void *carve(tm_heap *heap, size_t size)
{
    char *block;
    if ((size_t)(heap->bump_end - heap->bump) < size) {
        chunk *fresh = calloc(1, heap->chunk_size);
        if (fresh == NULL) {
            return NULL;
        }
        retire_bump(heap);
        fresh->size = heap->chunk_size - sizeof(*fresh);
        fresh->next = heap->chunks;
        heap->chunks = fresh;
        heap->reserved += heap->chunk_size;
        heap->bump = (char *)(fresh + 1);
        heap->bump_end = heap->bump + fresh->size;
        POISON(heap->bump, fresh->size);
        if (heap->chunk_size < CHUNK_LAST) {
            heap->chunk_size *= 2;
        }
    }
    block = heap->bump;
    heap->bump += size;
    return block;
}

static void *take_large(tm_heap *heap, size_t size)
{
    chunk *fresh = calloc(1, sizeof(*fresh) + round_up(size));
    if (fresh == NULL) {
        return NULL;
    }
    fresh->size = round_up(size);
    fresh->next = heap->large;
    if (heap->large != NULL) {
        heap->large->previous = fresh;
    }
    heap->large = fresh;
    heap->reserved += sizeof(*fresh) + fresh->size;
    POISON((char *)(fresh + 1) + size, fresh->size - size);
    return fresh + 1;
}

void *tm_heap_take(tm_heap *heap, size_t size)
{
    void *block;
    size_t charge;
    if (size == 0 || size > SIZE_MAX / 4) {
        return NULL;
    }
    charge = charge_of(size);
    if (charge > heap->limit - heap->used) {
        return NULL;
    }
    if (is_small(size)) {
        unsigned class = class_of(size + GUARD);
        free_block *freed = heap->free[class];
        if (freed != NULL) {
            UNPOISON(freed, sizeof(*freed));
            heap->free[class] = freed->next;
            UNPOISON(freed, size);
            block = memset(freed, 0, size);
        } else {
            block = carve(heap, class_size(class));
            if (block == NULL) {
                return NULL;
            }
            UNPOISON(block, size);
        }
    } else {
        block = take_large(heap, size);
        if (block == NULL) {
            return NULL;
        }
    }
    heap->used += charge;
    return block;
}

void tm_heap_give(tm_heap *heap, void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    heap->used -= charge_of(size);
    if (is_small(size)) {
        unsigned class = class_of(size + GUARD);
#if defined(TM_HEAP_ASAN)
        *(volatile char *)block = 0; /* given twice, or never taken: reported here */
        ((volatile char *)block)[size - 1] = 0;
#endif
        UNPOISON(block, class_size(class));
        memset(block, 0, size); /* an erased account leaves no text behind */
        push_free(heap, block, class);
    } else {
        chunk *header = (chunk *)block - 1;
        if (header->previous != NULL) {
            header->previous->next = header->next;
        } else {
            heap->large = header->next;
        }
        if (header->next != NULL) {
            header->next->previous = header->previous;
        }
        heap->reserved -= sizeof(*header) + header->size;
        UNPOISON(block, header->size);
        explicit_bzero(block, size);
        free(header);
    }
}

/* Both sizes large: the system may move pages instead of bytes. */
static void *resize_large(tm_heap *heap, void *block, size_t old_size, size_t new_size)
{
    chunk *header = (chunk *)block - 1;
    size_t before = header->size;
    chunk *moved;
    UNPOISON(block, before);
    moved = realloc(header, sizeof(*header) + round_up(new_size));
    if (moved == NULL) {
        POISON((char *)block + old_size, before - old_size);
        return NULL;
    }
    moved->size = round_up(new_size);
    if (moved->previous != NULL) {
        moved->previous->next = moved;
    } else {
        heap->large = moved;
    }
    if (moved->next != NULL) {
        moved->next->previous = moved;
    }
    heap->reserved = heap->reserved - before + moved->size;
    if (new_size > old_size) {
        memset((char *)(moved + 1) + old_size, 0, new_size - old_size);
    }
    POISON((char *)(moved + 1) + new_size, moved->size - new_size);
    return moved + 1;
}

void *tm_heap_resize(tm_heap *heap, void *block, size_t old_size, size_t new_size)
{
    size_t before;
    size_t after;
    void *moved;
    if (block == NULL || old_size == 0) {
        return tm_heap_take(heap, new_size);
    }
    if (new_size == 0 || new_size > SIZE_MAX / 4) {
        return NULL;
    }
    before = charge_of(old_size);
    after = charge_of(new_size);
    if (after > before && after - before > heap->limit - heap->used) {
        return NULL;
    }
    if (is_small(old_size) && is_small(new_size) && class_of(old_size + GUARD) == class_of(new_size + GUARD)) {
        if (new_size > old_size) {
            UNPOISON(block, new_size);
            memset((char *)block + old_size, 0, new_size - old_size);
        } else {
            POISON((char *)block + new_size, old_size - new_size);
        }
        heap->used = heap->used - before + after;
        return block;
    }
    if (!is_small(old_size) && !is_small(new_size)) {
        moved = resize_large(heap, block, old_size, new_size);
        if (moved != NULL) {
            heap->used = heap->used - before + after;
        }
        return moved;
    }
    /* Both blocks stand for a moment; only the difference counts against the limit, as it was checked above. */
    heap->used -= before;
    moved = tm_heap_take(heap, new_size);
    heap->used += before;
    if (moved != NULL) {
        memcpy(moved, block, old_size < new_size ? old_size : new_size);
        tm_heap_give(heap, block, old_size);
    }
    return moved;
}

bool tm_heap_grow(tm_heap *heap, void *items, size_t count, size_t *room, size_t size)
{
    void **array = items;
    size_t wanted = *room ? *room * 2 : 64;
    if (count < *room) {
        return true;
    }
    void *bigger = tm_heap_resize(heap, *array, *room * size, wanted * size);
    if (bigger == NULL) {
        return false;
    }
    *array = bigger;
    *room = wanted;
    return true;
}

tm_status tm_heap_trip(tm_heap *heap, const tm_check *check)
{
    if (heap->tripped == NULL) {
        heap->tripped = check;
    }
    return TM_BROKEN;
}

const tm_check *tm_heap_tripped(const tm_heap *heap)
{
    return heap->tripped;
}

size_t tm_heap_used(const tm_heap *heap)
{
    return heap->used;
}

size_t tm_heap_reserved(const tm_heap *heap)
{
    return heap->reserved;
}

/* ---- The arena: a list of chunks, `current` the one being filled; those behind it in the list are empty. ---- */

struct tm_arena {
    size_t limit;
    size_t used;
    size_t chunk_size;
    chunk *first;
    chunk *current;
    char *bump;
    char *bump_end;
};

tm_arena *tm_arena_new(size_t limit)
{
    tm_arena *arena = calloc(1, sizeof(*arena));
    if (arena != NULL) {
        arena->limit = limit > 0 ? limit : SIZE_MAX;
        arena->chunk_size = ARENA_CHUNK_FIRST;
    }
    return arena;
}

void tm_arena_free_all(tm_arena *arena)
{
    if (arena != NULL) {
        free_chunks(arena->first);
        free(arena);
    }
}

void tm_arena_wipe_all(tm_arena *arena)
{
    for (chunk *at = arena != NULL ? arena->first : NULL; at != NULL; at = at->next) {
        UNPOISON(at + 1, at->size);
        explicit_bzero(at + 1, at->size);
    }
    tm_arena_free_all(arena);
}

static void arena_enter(tm_arena *arena, chunk *entered)
{
    arena->current = entered;
    arena->bump = entered != NULL ? (char *)(entered + 1) : NULL;
    arena->bump_end = entered != NULL ? arena->bump + entered->size : NULL;
}

void tm_arena_reset(tm_arena *arena)
{
    for (chunk *at = arena->first; at != NULL; at = at->next) {
        POISON(at + 1, at->size);
    }
    arena->used = 0;
    arena_enter(arena, arena->first);
}

/* Makes the next chunk one with `size` bytes of room: an empty one from further down the list, or a new one. */
static bool arena_advance(tm_arena *arena, size_t size)
{
    chunk **link = arena->current != NULL ? &arena->current->next : &arena->first;
    chunk **found = link;
    chunk *next;
    while (*found != NULL && (*found)->size < size) {
        found = &(*found)->next;
    }
    next = *found;
    if (next != NULL) {
        *found = next->next;
    } else {
        size_t room = size > arena->chunk_size - sizeof(chunk) ? size : arena->chunk_size - sizeof(chunk);
        next = malloc(sizeof(chunk) + room);
        if (next == NULL) {
            return false;
        }
        *next = (chunk){.size = room};
        POISON(next + 1, room);
        if (arena->chunk_size < CHUNK_LAST) {
            arena->chunk_size *= 2;
        }
    }
    next->next = *link;
    *link = next;
    arena_enter(arena, next);
    return true;
}

void *tm_arena_take(tm_arena *arena, size_t size)
{
    size_t charge = round_up(size);
    size_t step = charge + GUARD;
    char *block;
    if (size == 0 || size > SIZE_MAX / 4 || charge > arena->limit - arena->used) {
        return NULL;
    }
    if ((size_t)(arena->bump_end - arena->bump) < step && !arena_advance(arena, step)) {
        return NULL;
    }
    block = arena->bump;
    arena->bump += step;
    arena->used += charge;
    UNPOISON(block, size);
    return memset(block, 0, size);
}

char *tm_arena_copy(tm_arena *arena, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX / 4 ? tm_arena_take(arena, length + 1) : NULL;
    if (copy != NULL && length > 0) {
        memcpy(copy, text, length);
    }
    return copy;
}
