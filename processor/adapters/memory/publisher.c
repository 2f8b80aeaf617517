#include "tidemark/adapters/memory/publisher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"
#include "tidemark/base/limits.h"

enum { RECORD_MAX = TM_RECORD_MAX + 4096, HEADERS_MAX = 8 }; /* as a broker's message.max.bytes */

typedef struct pending {
    tm_topic topic;
    int32_t partition;
    tm_stored *stored;
} pending;

typedef struct publisher {
    tm_world *world;
    const tm_world_member *member; /* NULL: offsets are committed unchecked */
    tm_world_producer *producer;
    int64_t epoch; /* 0: not initialised */
    bool open;
    pending *items;
    size_t count, capacity;
} publisher;

static void drop_pending(publisher *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].stored);
    }
    self->count = 0;
    self->open = false;
}

/* Whether a newer producer of this id was initialised; with the mutex held. */
static bool is_fenced(const publisher *self)
{
    return self->epoch != 0 && self->epoch != self->producer->epoch;
}

static tm_status fenced(publisher *self, tm_error *error)
{
    drop_pending(self);
    return tm_fail(error, TM_FATAL, "another producer was initialised as '%s'", self->producer->id);
}

static tm_status publisher_initialise(void *context, tm_error *error)
{
    publisher *self = context;
    tm_status status = TM_OK;
    pthread_mutex_lock(&self->world->mutex);
    drop_pending(self);
    if (!self->world->reachable) {
        status = tm_fail(error, TM_RETRY, "the world in memory is set not to be reachable");
    } else {
        self->epoch = ++self->producer->epoch;
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static tm_status publisher_begin(void *context, tm_error *error)
{
    publisher *self = context;
    tm_status status = TM_OK;
    pthread_mutex_lock(&self->world->mutex);
    if (is_fenced(self)) {
        status = fenced(self, error);
    } else if (self->epoch == 0 || self->open) {
        status = tm_fail(error, TM_RETRY, self->open ? "a transaction is open already" : "begin before initialise");
    } else {
        self->open = true;
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static tm_status publisher_send(void *context, const tm_output *output, tm_error *error)
{
    publisher *self = context;
    tm_source_header headers[HEADERS_MAX];
    size_t size = output->key.length + output->value.length;
    if (!self->open) {
        return tm_fail(error, TM_RETRY, "no transaction is open");
    }
    if ((unsigned)output->topic >= TM_TOPICS || output->partition < -1 ||
        output->partition >= (int32_t)self->world->partitions || output->header_count > HEADERS_MAX) {
        return tm_fail(error, TM_REJECT, "there is no partition %" PRId32 " of this topic, or too many headers",
                       output->partition);
    }
    for (uint32_t i = 0; i < output->header_count; i++) {
        headers[i].name = tm_slice_of(output->headers[i].name);
        headers[i].value = output->headers[i].value;
        size += headers[i].name.length + headers[i].value.length;
    }
    if (size > RECORD_MAX) {
        return tm_fail(error, TM_REJECT, "a record of %zu bytes is beyond %d", size, RECORD_MAX);
    }
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 64 : self->capacity * 2;
        pending *items = reallocarray(self->items, capacity, sizeof(*items));
        if (items == NULL) {
            return tm_fail(error, TM_FATAL, "out of memory");
        }
        self->items = items;
        self->capacity = capacity;
    }
    const tm_world_record record = {.key = output->key,
                                    .value = output->value,
                                    .timestamp = output->timestamp,
                                    .headers = headers,
                                    .header_count = output->header_count};
    int32_t partition = output->partition >= 0 ? output->partition : tm_world_partition_of(self->world, output->key);
    tm_stored *stored = tm_stored_new(&record);
    if (stored == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    self->items[self->count++] = (pending){.topic = output->topic, .partition = partition, .stored = stored};
    return TM_OK;
}

/* Membership is judged as KIP-447 does: by the generation, not by the partitions. With the mutex held. */
static bool is_member(const publisher *self)
{
    return self->member == NULL ||
           (self->member->inside && !self->member->untold && self->member->generation == self->world->generation);
}

static tm_log_of_records *log_of(const publisher *self, const pending *item)
{
    return &self->world->outputs[(size_t)item->topic * self->world->partitions + (size_t)item->partition];
}

/* Makes everything visible, or nothing; with the mutex held. */
static tm_status apply(publisher *self, const int32_t *partitions, const tm_position *positions, uint32_t count,
                       tm_error *error)
{
    tm_world *world = self->world;
    for (uint32_t i = 0; i < count; i++) {
        if (partitions[i] < 0 || (uint32_t)partitions[i] >= world->partitions) {
            return tm_fail(error, TM_FATAL, "there is no partition %" PRId32, partitions[i]);
        }
    }
    size_t done = 0;
    while (done < self->count && tm_log_append(log_of(self, &self->items[done]), self->items[done].stored)) {
        done++;
    }
    if (done < self->count) {
        while (done > 0) { /* nobody has seen them */
            log_of(self, &self->items[--done])->count--;
        }
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    for (size_t i = 0; i < self->count; i++) {
        self->items[i].stored = NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        world->committed[partitions[i]] = positions[i];
    }
    return TM_OK;
}

static tm_status publisher_commit(void *context, const int32_t *partitions, const tm_position *positions,
                                  uint32_t count, tm_error *error)
{
    publisher *self = context;
    tm_world *world = self->world;
    tm_status status = TM_OK;
    pthread_mutex_lock(&world->mutex);
    if (is_fenced(self)) {
        status = fenced(self, error);
    } else if (!self->open) {
        status = tm_fail(error, TM_RETRY, "no transaction is open");
    } else if (!world->reachable) {
        status = tm_fail(error, TM_RETRY, "the world in memory is set not to be reachable");
    } else if (count > 0 && !is_member(self)) {
        status =
            tm_fail(error, TM_REJECT, "this member is not of generation %" PRId64 " of the group", world->generation);
    } else {
        status = apply(self, partitions, positions, count, error);
        if (status == TM_OK && world->lose_answer) {
            world->lose_answer = false;
            status = tm_fail(error, TM_RETRY, "the answer to the commit was lost");
        }
    }
    drop_pending(self);
    pthread_mutex_unlock(&world->mutex);
    return status;
}

static tm_status publisher_abort(void *context, tm_error *error)
{
    publisher *self = context;
    (void)error;
    drop_pending(self);
    return TM_OK;
}

static void publisher_close(void *context)
{
    publisher *self = context;
    if (self != NULL) {
        drop_pending(self);
        free(self->items);
        free(self);
    }
}

/* The transactional id's record in the world, made at its first use; with the mutex held. NULL without memory. */
static tm_world_producer *producer_of(tm_world *world, const char *id)
{
    tm_world_producer *found = world->producers;
    while (found != NULL && strcmp(found->id, id) != 0) {
        found = found->following;
    }
    if (found == NULL) {
        size_t size = strlen(id) + 1;
        found = calloc(1, sizeof(*found) + size);
        if (found != NULL) {
            memcpy(found->id, id, size);
            found->following = world->producers;
            world->producers = found;
        }
    }
    return found;
}

tm_status tm_memory_publisher_new(tm_world *world, const char *transactional_id, const tm_source *member,
                                  tm_publisher *ret_publisher, tm_error *error)
{
    publisher *self = calloc(1, sizeof(*self));
    *ret_publisher = (tm_publisher){0};
    if (self != NULL) {
        self->world = world;
        pthread_mutex_lock(&world->mutex);
        self->producer = producer_of(world, transactional_id);
        pthread_mutex_unlock(&world->mutex);
        self->member = member != NULL ? tm_memory_source_member(member) : NULL;
    }
    if (self == NULL || self->producer == NULL) {
        free(self);
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    *ret_publisher = (tm_publisher){.context = self,
                                    .initialise = publisher_initialise,
                                    .begin = publisher_begin,
                                    .send = publisher_send,
                                    .commit = publisher_commit,
                                    .abort = publisher_abort,
                                    .close = publisher_close};
    return TM_OK;
}
