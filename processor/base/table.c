#include "tidemark/base/table.h"

#include <string.h>

enum { CAPACITY_MIN = 16 };

static tm_status take_slots(tm_heap *heap, size_t capacity, uint64_t **ret_keys, uint32_t **ret_values)
{
    uint64_t *keys = tm_heap_take(heap, capacity * sizeof(*keys));
    uint32_t *values = tm_heap_take(heap, capacity * sizeof(*values));
    if (keys == NULL || values == NULL) {
        tm_heap_give(heap, keys, capacity * sizeof(*keys));
        tm_heap_give(heap, values, capacity * sizeof(*values));
        return TM_FATAL;
    }
    memset(values, 0xFF, capacity * sizeof(*values)); /* TM_TABLE_NONE everywhere */
    *ret_keys = keys;
    *ret_values = values;
    return TM_OK;
}

/* At most three slots of four are used, so that probes stay short. */
static size_t room_of(size_t capacity)
{
    return capacity / 4 * 3;
}

tm_status tm_table_init(tm_table *table, tm_heap *heap, size_t expected)
{
    size_t capacity = CAPACITY_MIN;
    *table = (tm_table){.heap = heap};
    while (room_of(capacity) < expected) {
        if (capacity > UINT32_MAX) {
            return TM_FATAL; /* values are 32 bits: more keys than that cannot have been meant */
        }
        capacity *= 2;
    }
    if (take_slots(heap, capacity, &table->keys, &table->values) != TM_OK) {
        return TM_FATAL;
    }
    table->capacity = capacity;
    return TM_OK;
}

void tm_table_done(tm_table *table)
{
    if (table->capacity > 0) {
        tm_heap_give(table->heap, table->keys, table->capacity * sizeof(*table->keys));
        tm_heap_give(table->heap, table->values, table->capacity * sizeof(*table->values));
    }
    *table = (tm_table){.heap = table->heap};
}

/* The slot that holds `key`, or the empty one where it would go. The table has at least one empty slot. */
static size_t slot_of(const uint64_t *keys, const uint32_t *values, size_t mask, uint64_t key)
{
    size_t slot = (size_t)key & mask;
    while (values[slot] != TM_TABLE_NONE && keys[slot] != key) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

uint32_t tm_table_find(const tm_table *table, uint64_t key)
{
    if (table->count == 0) {
        return TM_TABLE_NONE;
    }
    return table->values[slot_of(table->keys, table->values, table->capacity - 1, key)];
}

void tm_table_prefetch(const tm_table *table, uint64_t key)
{
    if (table->capacity > 0) {
        size_t slot = (size_t)key & (table->capacity - 1);
        __builtin_prefetch(&table->keys[slot]);
        __builtin_prefetch(&table->values[slot]);
    }
}

static tm_status grow(tm_table *table)
{
    size_t capacity = table->capacity > 0 ? table->capacity * 2 : CAPACITY_MIN;
    uint64_t *keys;
    uint32_t *values;
    if (take_slots(table->heap, capacity, &keys, &values) != TM_OK) {
        return TM_FATAL;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->values[i] != TM_TABLE_NONE) {
            size_t slot = slot_of(keys, values, capacity - 1, table->keys[i]);
            keys[slot] = table->keys[i];
            values[slot] = table->values[i];
        }
    }
    size_t count = table->count;
    tm_table_done(table);
    table->keys = keys;
    table->values = values;
    table->capacity = capacity;
    table->count = count;
    return TM_OK;
}

tm_status tm_table_put(tm_table *table, uint64_t key, uint32_t value)
{
    size_t slot;
    if (table->capacity > 0) {
        slot = slot_of(table->keys, table->values, table->capacity - 1, key);
        if (table->values[slot] != TM_TABLE_NONE) {
            table->values[slot] = value;
            return TM_OK;
        }
    }
    if (table->count >= room_of(table->capacity) && grow(table) != TM_OK) {
        return TM_FATAL;
    }
    slot = slot_of(table->keys, table->values, table->capacity - 1, key);
    table->keys[slot] = key;
    table->values[slot] = value;
    table->count++;
    return TM_OK;
}

bool tm_table_remove(tm_table *table, uint64_t key)
{
    size_t mask = table->capacity - 1;
    size_t hole;
    size_t slot;
    if (table->count == 0) {
        return false;
    }
    hole = slot_of(table->keys, table->values, mask, key);
    if (table->values[hole] == TM_TABLE_NONE) {
        return false;
    }
    /* Whoever probed past the hole moves back into it, or would no longer be found. */
    for (slot = (hole + 1) & mask; table->values[slot] != TM_TABLE_NONE; slot = (slot + 1) & mask) {
        size_t home = (size_t)table->keys[slot] & mask;
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            table->keys[hole] = table->keys[slot];
            table->values[hole] = table->values[slot];
            hole = slot;
        }
    }
    table->values[hole] = TM_TABLE_NONE;
    table->count--;
    return true;
}

void tm_table_clear(tm_table *table)
{
    if (table->capacity > 0) {
        memset(table->values, 0xFF, table->capacity * sizeof(*table->values));
    }
    table->count = 0;
}
