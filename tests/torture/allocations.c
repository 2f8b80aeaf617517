/* The allocator of the whole process, of every library in it too: counts, refuses when asked to, and hands on. */
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

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

static _Thread_local bool armed, looking;
static _Atomic bool all_armed;
static _Atomic uint64_t counted, refused;
static _Atomic int64_t live;
static uint64_t refuse_at;
static bool refuse_rest, shown;
static const void **told_caller;

void torture_arm(bool on)
{
    armed = on;
}

void torture_arm_all(bool on)
{
    atomic_store(&all_armed, on);
}

bool torture_armed(void)
{
    return armed || atomic_load(&all_armed);
}

/* --- who may not be refused --- */

typedef struct range {
    uintptr_t from, to;
} range;

/* Where a library lies that does not outlive a refusal, and where this program; nothing: none is spared. */
static range spared_library, program;

/* One look at a stack, from the caller outwards: whose is the first frame that is of either? */
typedef struct look {
    const void *caller;
    bool begun, spared;
} look;

static bool within(range r, uintptr_t at)
{
    return at >= r.from && at < r.to;
}

static int find(struct dl_phdr_info *object, size_t size, void *name)
{
    (void)size;
    bool ours = object->dlpi_name[0] == 0 && program.to == 0;
    if (!ours && !strstr(object->dlpi_name, name))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t from = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X))
            *(ours ? &program : &spared_library) = (range){from, from + part->p_memsz};
    }
    return 0;
}

static _Unwind_Reason_Code at_frame(struct _Unwind_Context *frame, void *context)
{
    look *l = context;
    uintptr_t at = _Unwind_GetIP(frame);
    l->begun |= at == (uintptr_t)l->caller;
    l->spared = l->begun && within(spared_library, at);
    return l->spared || (l->begun && within(program, at)) ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* Whether the spared library asks, or another for it; what it calls back is not spared. */
static bool spared(const void *caller)
{
    if (spared_library.to == 0 || looking)
        return looking;
    look l = {.caller = caller};
    looking = true; /* the unwinder may allocate */
    (void)_Unwind_Backtrace(at_frame, &l);
    looking = false;
    return l.spared;
}

void torture_spare(const char *library)
{
    spared_library = program = (range){0, 0};
    if (library)
        (void)dl_iterate_phdr(find, (void *)(uintptr_t)library);
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

bool torture_refusing(void)
{
    return refuse_rest && torture_armed() && torture_refused() > 0;
}

int64_t torture_live(void)
{
    return atomic_load(&live);
}

static bool refuses(const void *caller)
{
    if (!torture_armed() || spared(caller))
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
    if ((size && count > SIZE_MAX / size) || refuses(__builtin_return_address(0)))
        return NULL;
    void *bigger = REAL(realloc)(block, count * size);
    return block ? bigger : taken(bigger);
}

void free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    REAL(free)(block);
}

static char *copied(const char *text, size_t kept, const void *caller)
{
    char *copy = refuses(caller) ? NULL : taken(REAL(malloc)(kept + 1));
    if (copy) {
        memcpy(copy, text, kept);
        copy[kept] = 0;
    }
    return copy;
}

char *strndup(const char *text, size_t length)
{
    return copied(text, strnlen(text, length), __builtin_return_address(0));
}

char *strdup(const char *text)
{
    return copied(text, strlen(text), __builtin_return_address(0));
}
