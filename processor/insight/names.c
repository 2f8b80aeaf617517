#include "tidemark/insight/names.h"

#include <string.h>

#include "tidemark/base/hash.h"

tm_status tm_names_init(tm_names *names, tm_heap *heap)
{
    *names = (tm_names){.heap = heap};
    return tm_table_init(&names->table, heap, 64);
}

/* Two texts of one hash: the later looks on at the next hashes. */
static uint32_t find(const tm_names *names, tm_slice text, uint64_t *ret_hash)
{
    uint64_t hash = text.data ? tm_hash(text) : 1;
    for (;; hash++) {
        uint32_t index = tm_table_find(&names->table, hash);
        *ret_hash = hash;
        if (index == TM_TABLE_NONE)
            return TM_NAMES_NONE;
        if (!names->items[index].data == !text.data && tm_slice_equal(names->items[index], text))
            return index;
    }
}

uint32_t tm_names_find(const tm_names *names, tm_slice text)
{
    uint64_t hash;
    return find(names, text, &hash);
}

uint32_t tm_names_number(tm_names *names, tm_slice text)
{
    uint64_t hash;
    uint32_t index = find(names, text, &hash);
    if (index != TM_NAMES_NONE)
        return index;
    if (!tm_heap_grow(names->heap, &names->items, names->count, &names->room, sizeof *names->items))
        return TM_NAMES_NONE;
    char *copy = text.data ? tm_heap_take(names->heap, text.length + 1) : NULL;
    if ((text.data && !copy) || tm_table_put(&names->table, hash, names->count) != TM_OK)
        return TM_NAMES_NONE;
    if (copy)
        memcpy(copy, text.data, text.length);
    names->items[names->count] = (tm_slice){copy, text.length};
    return names->count++;
}
