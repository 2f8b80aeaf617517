/* malloc for the fast driver, in the place of the C library's: one thread, lists by size. It counts what is taken, so
   that a leak shows after the very input; behind every block stands a mark that giving it back looks for; what was
   given back is written over, and giving it back twice is seen. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"

enum {
    ALIGNMENT = 16,
    STEPS = 64, /* classes of 16 bytes each */
    DOUBLINGS = 20,
    CLASSES = STEPS + 4 * DOUBLINGS, /* then four to each doubling */
    SPOILED = 64                     /* bytes of a block that is given back, and thereby written over */
};

static const size_t arena_size = (size_t)2 << 30;
static const uint64_t mark = UINT64_C(0xa7c3915ed20b4f68);
static const uint32_t taken = 0x7a6b5c4d, given = 0x1f2e3d4c;

typedef struct head {
    size_t size; /* as asked for */
    uint32_t class;
    uint32_t state;
} head;

typedef struct idle {
    head h;
    struct idle *next;
} idle;

static struct {
    uint8_t *at, *end;
    idle *lists[CLASSES];
    size_t live, count;
} memory;

static size_t class_capacity(uint32_t class)
{
    if (class < STEPS)
        return (size_t)ALIGNMENT * (class + 1);
    uint32_t above = class - STEPS;
    return ((size_t)1024 << (above / 4)) / 4 * (5 + above % 4);
}

static uint32_t class_of(size_t size)
{
    if (size <= STEPS * ALIGNMENT)
        return size ? (uint32_t)((size - 1) / ALIGNMENT) : 0;
    uint32_t doubling = 63 - (uint32_t)__builtin_clzll(size - 1); /* 10 and more */
    return STEPS + 4 * (doubling - 10) + (uint32_t)(((size - 1) >> (doubling - 2)) & 3);
}

size_t fuzz_memory_live(void)
{
    return memory.live;
}

static void *fresh(uint32_t class)
{
    size_t capacity = sizeof(head) + class_capacity(class);
    if (!memory.at) {
        memory.at = mmap(NULL, arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory.at == MAP_FAILED)
            _exit(70);
        memory.end = memory.at + arena_size;
    }
    if ((size_t)(memory.end - memory.at) < capacity)
        return NULL;
    head *h = (head *)(void *)memory.at;
    memory.at += capacity;
    return h;
}

static void finish(head *h, size_t size)
{
    h->size = size;
    h->state = taken;
    memcpy((uint8_t *)(h + 1) + size, &mark, sizeof mark);
    memory.live += size;
    memory.count++;
}

static void *take(size_t size, bool zero)
{
    uint32_t class = size < arena_size ? class_of(size + sizeof mark) : CLASSES;
    if (class >= CLASSES) {
        errno = ENOMEM;
        return NULL;
    }
    head *h = &memory.lists[class]->h;
    if (h) {
        memory.lists[class] = memory.lists[class]->next;
        if (zero)
            memset(h + 1, 0, size);
    } else if ((h = fresh(class)) == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    h->class = class;
    finish(h, size);
    return h + 1;
}

/* The block's head, after a look at whether it is whole. Behind an aligned block's place stands where it begins. */
static head *head_of(void *block)
{
    head *h = (head *)block - 1;
    if (h->state != taken || memcmp((uint8_t *)block + h->size, &mark, sizeof mark) != 0)
        abort(); /* given back twice, never taken, or written past its end */
    return h;
}

void *malloc(size_t size)
{
    return take(size, false);
}

void *calloc(size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return take(all, true);
}

void free(void *block)
{
    if (!block)
        return;
    head *h = head_of(block);
    memory.live -= h->size;
    memory.count--;
    h->state = given;
    memset(block, 0xdd, h->size < SPOILED ? h->size : SPOILED);
    idle *i = (idle *)h;
    i->next = memory.lists[h->class];
    memory.lists[h->class] = i;
}

void *realloc(void *block, size_t size)
{
    if (!block)
        return malloc(size);
    head *h = head_of(block);
    if (size + sizeof mark <= class_capacity(h->class) && size + sizeof mark >= size) {
        memory.live -= h->size;
        memory.count--;
        finish(h, size);
        return block;
    }
    void *other = malloc(size);
    if (other) {
        memcpy(other, block, h->size < size ? h->size : size);
        free(block);
    }
    return other;
}

/* Blocks that need more than 16 are few: they begin inside another one, behind a head of their own. */
void *aligned_alloc(size_t alignment, size_t size)
{
    if (alignment <= ALIGNMENT)
        return malloc(size);
    uint8_t *block = malloc(size + alignment);
    if (!block)
        return NULL;
    head *whole = (head *)(void *)block - 1;
    uint8_t *at = block + alignment - (uintptr_t)block % alignment;
    head *h = (head *)(void *)at - 1;
    memory.live -= whole->size;
    memory.count--;
    h->class = class_of(size + sizeof mark);
    while (h->class > 0 && class_capacity(h->class) > class_capacity(whole->class) - (size_t)(at - block))
        h->class --;
    finish(h, size);
    return at;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    *ret_block = aligned_alloc(alignment, size);
    return *ret_block ? 0 : ENOMEM;
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, all);
}
