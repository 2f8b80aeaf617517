#include "tidemark/adapters/memory/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"
#include "tidemark/base/hash.h"

/* ---- Records and logs ---- */

static char *put_bytes(char *at, tm_slice from, tm_slice *ret_slice)
{
    *ret_slice = (tm_slice){NULL, 0};
    if (from.data != NULL) {
        *ret_slice = (tm_slice){at, from.length};
        memcpy(at, from.data, from.length);
        at += from.length;
    }
    return at;
}

tm_stored *tm_stored_new(const tm_world_record *record)
{
    size_t size = sizeof(tm_stored) + record->header_count * sizeof(tm_source_header) + record->key.length +
                  record->value.length + 1;
    for (uint32_t i = 0; i < record->header_count; i++) {
        size += record->headers[i].name.length + record->headers[i].value.length;
    }
    tm_stored *stored = malloc(size);
    if (stored == NULL) {
        return NULL;
    }
    tm_source_header *headers = (tm_source_header *)(void *)(stored + 1);
    char *at = (char *)(headers + record->header_count);
    stored->hidden = false;
    stored->view = (tm_world_record){.timestamp = record->timestamp, .header_count = record->header_count};
    stored->view.headers = headers;
    at = put_bytes(at, record->key, &stored->view.key);
    at = put_bytes(at, record->value, &stored->view.value);
    for (uint32_t i = 0; i < record->header_count; i++) {
        at = put_bytes(at, record->headers[i].name, &headers[i].name);
        at = put_bytes(at, record->headers[i].value, &headers[i].value);
    }
    return stored;
}

bool tm_log_append(tm_log_of_records *log, tm_stored *stored)
{
    if (log->count == log->capacity) {
        int64_t capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        tm_stored **items = reallocarray(log->items, (size_t)capacity, sizeof(void *));
        if (items == NULL) {
            return false;
        }
        log->items = items;
        log->capacity = capacity;
    }
    log->items[log->count++] = stored;
    return true;
}

int64_t tm_log_stable_end(const tm_log_of_records *log)
{
    return log->held >= 0 ? log->held : log->count;
}

tm_log_of_records *tm_world_input_log(tm_world *world, tm_input input, int32_t partition)
{
    if ((unsigned)input >= TM_INPUTS || partition < 0 || (uint32_t)partition >= world->partitions) {
        return NULL;
    }
    return &world->inputs[(size_t)input * world->partitions + (size_t)partition];
}

static tm_log_of_records *output_log(tm_world *world, tm_topic topic, int32_t partition)
{
    if ((unsigned)topic >= TM_TOPICS || partition < 0 || (uint32_t)partition >= world->partitions) {
        return NULL;
    }
    return &world->outputs[(size_t)topic * world->partitions + (size_t)partition];
}

/* ---- Waking ---- */

void tm_world_changed(const tm_world *world)
{
    const uint64_t one = 1;
    for (const tm_world_member *member = world->members; member != NULL; member = member->following) {
        if (member->wake >= 0) {
            ssize_t written = write(member->wake, &one, sizeof(one));
            (void)written; /* full is awake */
        }
    }
}

void tm_member_awake(const tm_world_member *member)
{
    uint64_t count = 0;
    ssize_t got = read(member->wake, &count, sizeof(count));
    (void)got; /* nothing to take back is as well */
}

/* ---- The world ---- */

tm_world *tm_world_new(uint32_t partitions)
{
    if (partitions == 0 || partitions > TM_WORLD_PARTITIONS_MAX) {
        return NULL;
    }
    tm_world *world = calloc(1, sizeof(*world));
    if (world == NULL) {
        return NULL;
    }
    world->partitions = partitions;
    world->reachable = true;
    world->inputs = calloc((size_t)TM_INPUTS * partitions, sizeof(*world->inputs));
    world->outputs = calloc((size_t)TM_TOPICS * partitions, sizeof(*world->outputs));
    world->committed = calloc(partitions, sizeof(*world->committed));
    pthread_mutex_init(&world->mutex, NULL);
    if (world->inputs == NULL || world->outputs == NULL || world->committed == NULL) {
        tm_world_free(world);
        return NULL;
    }
    for (size_t i = 0; i < (size_t)TM_INPUTS * partitions; i++) {
        world->inputs[i].held = -1;
    }
    for (size_t i = 0; i < (size_t)TM_TOPICS * partitions; i++) {
        world->outputs[i].held = -1;
    }
    for (uint32_t p = 0; p < partitions; p++) {
        world->committed[p] = (tm_position){.next = {-1, -1}};
    }
    return world;
}

static void free_logs(tm_log_of_records *logs, size_t count)
{
    for (size_t i = 0; logs != NULL && i < count; i++) {
        for (int64_t k = 0; k < logs[i].count; k++) {
            free(logs[i].items[k]);
        }
        free(logs[i].items);
    }
    free(logs);
}

void tm_world_free(tm_world *world)
{
    if (world == NULL) {
        return;
    }
    free_logs(world->inputs, (size_t)TM_INPUTS * world->partitions);
    free_logs(world->outputs, (size_t)TM_TOPICS * world->partitions);
    while (world->members != NULL) {
        tm_world_member *member = world->members;
        world->members = member->following;
        free(member->instance);
        free(member->lanes);
        free(member);
    }
    while (world->producers != NULL) {
        tm_world_producer *producer = world->producers;
        world->producers = producer->following;
        free(producer);
    }
    free(world->committed);
    pthread_mutex_destroy(&world->mutex);
    free(world);
}

uint32_t tm_world_partitions(const tm_world *world)
{
    return world->partitions;
}

int32_t tm_world_partition_of(const tm_world *world, tm_slice key)
{
    return (int32_t)(tm_hash(key) % world->partitions);
}

tm_status tm_world_append(tm_world *world, tm_input input, int32_t partition, const tm_world_record *record,
                          int64_t *ret_offset)
{
    tm_log_of_records *log = tm_world_input_log(world, input, partition);
    if (log == NULL || record->header_count > TM_SOURCE_HEADERS_MAX) {
        return TM_REJECT;
    }
    tm_stored *stored = tm_stored_new(record);
    if (stored == NULL) {
        return TM_FATAL;
    }
    pthread_mutex_lock(&world->mutex);
    bool appended = tm_log_append(log, stored);
    if (appended && ret_offset != NULL) {
        *ret_offset = log->count - 1;
    }
    tm_world_changed(world);
    pthread_mutex_unlock(&world->mutex);
    if (!appended) {
        free(stored);
        return TM_FATAL;
    }
    return TM_OK;
}

int64_t tm_world_output_count(tm_world *world, tm_topic topic, int32_t partition)
{
    const tm_log_of_records *log = output_log(world, topic, partition);
    if (log == NULL) {
        return 0;
    }
    pthread_mutex_lock(&world->mutex);
    int64_t count = log->count;
    pthread_mutex_unlock(&world->mutex);
    return count;
}

bool tm_world_output(tm_world *world, tm_topic topic, int32_t partition, int64_t offset, tm_world_record *ret_record)
{
    const tm_log_of_records *log = output_log(world, topic, partition);
    if (log == NULL) {
        return false;
    }
    pthread_mutex_lock(&world->mutex);
    bool there = offset >= 0 && offset < log->count;
    if (there) {
        *ret_record = log->items[offset]->view;
    }
    pthread_mutex_unlock(&world->mutex);
    return there;
}

/* ---- What a test does to a broker ---- */

tm_status tm_world_hold(tm_world *world, tm_input input, int32_t partition, bool open)
{
    tm_log_of_records *log = tm_world_input_log(world, input, partition);
    tm_status status = TM_REJECT;
    if (log == NULL) {
        return status;
    }
    pthread_mutex_lock(&world->mutex);
    if (open && log->held < 0) {
        const tm_world_record record = {.value = TM_SLICE_LITERAL("aborted"), .timestamp = TM_TIME_NONE};
        tm_stored *stored = tm_stored_new(&record);
        status = TM_FATAL;
        if (stored != NULL) {
            stored->hidden = true;
            if (tm_log_append(log, stored)) {
                log->held = log->count - 1;
                status = TM_OK;
            } else {
                free(stored);
            }
        }
    } else if (!open && log->held >= 0) {
        log->held = -1;
        status = TM_OK;
    }
    tm_world_changed(world);
    pthread_mutex_unlock(&world->mutex);
    return status;
}

void tm_world_trim(tm_world *world, tm_input input, int32_t partition, int64_t first)
{
    tm_log_of_records *log = tm_world_input_log(world, input, partition);
    if (log == NULL) {
        return;
    }
    pthread_mutex_lock(&world->mutex);
    if (first > log->first) {
        log->first = first < log->count ? first : log->count;
    }
    pthread_mutex_unlock(&world->mutex);
}

void tm_world_set_reachable(tm_world *world, bool reachable)
{
    pthread_mutex_lock(&world->mutex);
    world->reachable = reachable;
    tm_world_changed(world);
    pthread_mutex_unlock(&world->mutex);
}

void tm_world_lose_answer(tm_world *world)
{
    pthread_mutex_lock(&world->mutex);
    world->lose_answer = true;
    pthread_mutex_unlock(&world->mutex);
}

void tm_world_expel(tm_world *world, const tm_source *source)
{
    pthread_mutex_lock(&world->mutex);
    tm_world_member *member = tm_memory_source_member(source);
    if (member != NULL) {
        tm_group_leave(world, member);
    }
    pthread_mutex_unlock(&world->mutex);
}

void tm_world_set_committed(tm_world *world, int32_t partition, tm_position position)
{
    pthread_mutex_lock(&world->mutex);
    if (partition >= 0 && (uint32_t)partition < world->partitions) {
        world->committed[partition] = position;
    }
    pthread_mutex_unlock(&world->mutex);
}

/* ---- The group ---- */

/* Orders members as the assignor does: by static instance, others by their joining. */
static bool comes_before(const tm_world_member *a, const tm_world_member *b)
{
    if (a->instance != NULL && b->instance != NULL) {
        return strcmp(a->instance, b->instance) < 0;
    }
    return false;
}

/* When all members wait, the next generation begins: `range` gives each a run of neighbouring partitions, the first
   ones one more where they do not divide. */
static void begin_generation_if_all_wait(tm_world *world)
{
    uint32_t count = 0;
    for (const tm_world_member *member = world->members; member != NULL; member = member->following) {
        if (member->inside && !member->waiting) {
            return;
        }
        count += member->inside ? 1 : 0;
    }
    if (count == 0) {
        world->rebalancing = false; /* an empty group keeps its generation */
        return;
    }
    world->generation++;
    world->rebalancing = false;
    uint32_t each = world->partitions / count;
    uint32_t rest = world->partitions % count;
    for (tm_world_member *member = world->members; member != NULL; member = member->following) {
        uint32_t place = 0;
        bool passed = false;
        if (!member->inside) {
            continue;
        }
        for (const tm_world_member *other = world->members; other != NULL; other = other->following) {
            passed = passed || other == member;
            if (other->inside && other != member) {
                bool ordered = other->instance != NULL && member->instance != NULL;
                place += (ordered ? comes_before(other, member) : !passed) ? 1 : 0;
            }
        }
        member->from = place * each + (place < rest ? place : rest);
        member->count = each + (place < rest ? 1 : 0);
        member->waiting = false;
        member->untold = true;
    }
    tm_world_changed(world);
}

static void start_rebalance(tm_world *world)
{
    world->rebalancing = true;
    begin_generation_if_all_wait(world);
    tm_world_changed(world);
}

void tm_group_join(tm_world *world, tm_world_member *member)
{
    for (tm_world_member *other = world->members; other != NULL && member->instance != NULL; other = other->following) {
        if (other == member || !other->inside || other->instance == NULL ||
            strcmp(other->instance, member->instance) != 0) {
            continue;
        }
        other->inside = false;
        other->fenced = true;
        if (!world->rebalancing) { /* takes the place as it is: no rebalance, the same generation */
            member->inside = true;
            member->untold = true;
            member->from = other->from;
            member->count = other->count;
            tm_world_changed(world);
            return;
        }
    }
    member->inside = true;
    member->waiting = true;
    start_rebalance(world);
}

void tm_group_leave(tm_world *world, tm_world_member *member)
{
    bool counted = member->inside;
    member->inside = false;
    member->waiting = false;
    member->untold = false;
    if (counted) {
        start_rebalance(world);
    }
}

void tm_group_wait(tm_world *world, tm_world_member *member)
{
    member->waiting = true;
    begin_generation_if_all_wait(world);
}
