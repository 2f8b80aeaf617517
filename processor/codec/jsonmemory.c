/* Memory for jansson. Refused memory, it returns trees that lack what did not fit, or reads through null pointers: so a
   reading that is refused is left at once, and what it had taken is freed. Part of the room `jsontext`. */
#include <setjmp.h>
#include <stdlib.h>

#include <jansson.h>

#include "tidemark/codec/jsontext.h"

/* Before every block; the blocks of one reading are linked until they are freed. */
typedef struct block {
    _Alignas(16) struct block *before;
    struct block *after;
} block;

static _Thread_local block *taken; /* the last taken by the reading under way */
static _Thread_local jmp_buf *way_out;

static void *take(size_t size)
{
    block *made = size <= SIZE_MAX - sizeof *made ? malloc(sizeof *made + size) : NULL;
    if (!made && way_out)
        longjmp(*way_out, 1);
    if (!made)
        return NULL;
    made->before = way_out ? taken : NULL;
    made->after = NULL;
    if (way_out) {
        if (taken)
            taken->after = made;
        taken = made;
    }
    return made + 1;
}

static void give(void *bytes)
{
    if (!bytes)
        return;
    block *gone = (block *)bytes - 1;
    if (gone->before)
        gone->before->after = gone->after;
    if (gone->after)
        gone->after->before = gone->before;
    if (gone == taken)
        taken = gone->before;
    free(gone);
}

/* Before anybody takes memory from jansson: what was taken by other means could not be given back. */
__attribute__((constructor)) static void prepare(void)
{
    json_set_alloc_funcs(take, give);
}

json_t *tm_json_parse(tm_slice text, size_t flags, json_error_t *ret_error, bool *ret_exhausted)
{
    jmp_buf here;
    *ret_exhausted = false;
    if (setjmp(here) != 0) {
        way_out = NULL;
        while (taken) {
            block *before = taken->before;
            free(taken);
            taken = before;
        }
        *ret_exhausted = true;
        return NULL;
    }
    way_out = &here;
    json_t *root = json_loadb(text.data, text.length, flags, ret_error);
    way_out = NULL;
    taken = NULL; /* what is left is the tree's */
    return root;
}
