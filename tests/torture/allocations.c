/* The allocator of the whole process, of every library in it too: counts, refuses when asked to, and hands on. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#ifdef TORTURE_ASAN /* this file itself is compiled without, since it runs before the sanitizer has begun */
#define REAL(name) __interceptor_##name
void __sanitizer_print_stack_trace(void);
#else
#define REAL(name) __libc_##name
static void __sanitizer_print_stack_trace(void) {}
#endif
extern void *REAL(malloc)(size_t);
extern void *REAL(calloc)(size_t, size_t);
extern void *REAL(realloc)(void *, size_t);
extern void REAL(free)(void *);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *reallocarray(void *block, size_t count, size_t size);
void free(void *block);
char *strdup(const char *text);
char *strndup(const char *text, size_t length);

static _Thread_local bool armed;
static _Atomic uint64_t counted, refused;
static _Atomic int64_t live;
static uint64_t refuse_at;
static bool refuse_rest, shown;
static const void **told_caller;

void torture_arm(bool on)
{
    armed = on;
}

void torture_refuse(uint64_t n, bool all_after, bool show)
{
    refuse_at = n;
    refuse_rest = all_after;
    shown = show;
    atomic_store(&counted, 0);
    atomic_store(&refused, 0);
}

uint64_t torture_counted(void)
{
    return atomic_load(&counted);
}

uint64_t torture_refused(void)
{
    return atomic_load(&refused);
}

int64_t torture_live(void)
{
    return atomic_load(&live);
}

static bool refuses(const void *caller)
{
    if (!armed)
        return false;
    uint64_t n = atomic_fetch_add(&counted, 1) + 1;
    if (refuse_at == 0 || (refuse_rest ? n < refuse_at : n != refuse_at))
        return false;
    if (shown && n == refuse_at) {
        armed = false;
        __sanitizer_print_stack_trace();
        armed = true;
    }
    if (atomic_fetch_add(&refused, 1) == 0 && told_caller)
        *told_caller = caller;
    errno = ENOMEM;
    return true;
}

static void *taken(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void torture_tell_caller(const void **where)
{
    told_caller = where;
}

void *malloc(size_t size)
{
    return refuses(__builtin_return_address(0)) ? NULL : taken(REAL(malloc)(size));
}

void *calloc(size_t count, size_t size)
{
    return refuses(__builtin_return_address(0)) ? NULL : taken(REAL(calloc)(count, size));
}

void *realloc(void *block, size_t size)
{
    if (refuses(__builtin_return_address(0)))
        return NULL;
    void *bigger = REAL(realloc)(block, size);
    return block ? bigger : taken(bigger);
}

void *reallocarray(void *block, size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : realloc(block, count * size);
}

void free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    REAL(free)(block);
}

char *strndup(const char *text, size_t length)
{
    size_t kept = strnlen(text, length);
    char *copy = malloc(kept + 1);
    if (copy) {
        memcpy(copy, text, kept);
        copy[kept] = 0;
    }
    return copy;
}

char *strdup(const char *text)
{
    return strndup(text, strlen(text));
}
