/* Which metrics an event name selects, remembered a name. */
#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/base/table.h"
#include "tidemark/core/pack.h"

enum { NAMES_MAX = 4096, NAMES_FIRST = 16 };

typedef struct name_entry {
    char *name; /* owned; NULL for the empty name */
    uint16_t *metrics;
    uint32_t length, count;
} name_entry;

struct tm_selector {
    tm_heap *heap;
    const tm_pack *pack;
    tm_table names;      /* hash of the name -> index into entries */
    name_entry *entries; /* NAMES_MAX at most */
    uint32_t count, capacity;
    uint16_t *scratch; /* room for the indices of all metrics: the answer when a name can not be remembered */
};

static size_t scratch_size(const tm_pack *pack)
{
    return (pack->metric_count ? pack->metric_count : 1) * sizeof(uint16_t);
}

tm_selector *tm_selector_new(tm_heap *heap, const tm_pack *pack)
{
    tm_selector *selector = tm_heap_take(heap, sizeof *selector);
    if (!selector)
        return NULL;
    selector->heap = heap;
    selector->pack = pack;
    selector->scratch = tm_heap_take(heap, scratch_size(pack));
    if (!selector->scratch || tm_table_init(&selector->names, heap, NAMES_FIRST) != TM_OK) {
        tm_heap_give(heap, selector->scratch, scratch_size(pack));
        tm_heap_give(heap, selector, sizeof *selector);
        return NULL;
    }
    return selector;
}

static void forget(tm_selector *selector)
{
    for (uint32_t i = 0; i < selector->count; i++) {
        name_entry *entry = &selector->entries[i];
        tm_heap_give(selector->heap, entry->name, entry->length);
        tm_heap_give(selector->heap, entry->metrics, entry->count * sizeof *entry->metrics);
    }
    selector->count = 0;
    tm_table_clear(&selector->names);
}

void tm_selector_free(tm_selector *selector)
{
    if (!selector)
        return;
    forget(selector);
    tm_table_done(&selector->names);
    tm_heap_give(selector->heap, selector->entries, selector->capacity * sizeof *selector->entries);
    tm_heap_give(selector->heap, selector->scratch, scratch_size(selector->pack));
    tm_heap_give(selector->heap, selector, sizeof *selector);
}

static bool room_for_entry(tm_selector *selector)
{
    if (selector->count < selector->capacity)
        return true;
    uint32_t capacity = selector->capacity ? selector->capacity * 2 : NAMES_FIRST;
    name_entry *entries =
        tm_heap_resize(selector->heap, selector->entries, selector->capacity * sizeof *selector->entries,
                       capacity * sizeof *selector->entries);
    if (!entries)
        return false;
    selector->entries = entries;
    selector->capacity = capacity;
    return true;
}

/* Remembers the answer in `scratch`; without memory, or beside a name of the same hash, it is simply computed again. */
static void remember(tm_selector *selector, tm_slice name, uint64_t hash, uint32_t count)
{
    if (selector->count >= NAMES_MAX)
        forget(selector);
    if (!room_for_entry(selector))
        return;
    name_entry entry = {.length = (uint32_t)name.length, .count = count};
    size_t bytes = count * sizeof *entry.metrics;
    entry.name = tm_heap_take(selector->heap, name.length);
    entry.metrics = tm_heap_take(selector->heap, bytes);
    if ((name.length && !entry.name) || (count && !entry.metrics) ||
        tm_table_put(&selector->names, hash, selector->count) != TM_OK) {
        tm_heap_give(selector->heap, entry.name, name.length);
        tm_heap_give(selector->heap, entry.metrics, bytes);
        return;
    }
    if (name.length)
        memcpy(entry.name, name.data, name.length);
    if (count)
        memcpy(entry.metrics, selector->scratch, bytes);
    selector->entries[selector->count++] = entry;
}

const uint16_t *tm_selector_find(tm_selector *selector, tm_slice event_name, uint32_t *ret_count)
{
    uint64_t hash = tm_hash(event_name);
    uint32_t index = tm_table_find(&selector->names, hash);
    if (index != TM_TABLE_NONE) {
        const name_entry *entry = &selector->entries[index];
        if (entry->length == event_name.length &&
            (!entry->length || memcmp(entry->name, event_name.data, entry->length) == 0)) {
            *ret_count = entry->count;
            return entry->metrics;
        }
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < selector->pack->metric_count; i++)
        if (tm_metric_selects(&selector->pack->metrics[i], event_name))
            selector->scratch[count++] = (uint16_t)i;
    if (index == TM_TABLE_NONE)
        remember(selector, event_name, hash, count);
    *ret_count = count;
    return selector->scratch;
}
