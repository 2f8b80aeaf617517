#include "tidemark/adapters/memory/source.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "inside.h"

typedef struct source {
    tm_world *world;
    tm_world_member *member; /* the world's */
    tm_source_listener listener;
    bool joined;
    uint32_t cursor; /* the lane that is read first next time, so that none starves */
    int32_t *told;   /* partitions, for the listener */
} source;

tm_world_member *tm_memory_source_member(const tm_source *port)
{
    const source *self = port->context;
    return self != NULL ? self->member : NULL;
}

int64_t tm_memory_source_generation(const tm_source *port)
{
    const source *self = port->context;
    pthread_mutex_lock(&self->world->mutex);
    int64_t generation = self->member->inside ? self->member->generation : -1;
    pthread_mutex_unlock(&self->world->mutex);
    return generation;
}

static tm_status not_reachable(tm_error *error)
{
    return tm_fail(error, TM_RETRY, "the world in memory is set not to be reachable");
}

static tm_lane *lane_of(const source *self, tm_input input, int32_t partition)
{
    return &self->member->lanes[(size_t)input * self->world->partitions + (size_t)partition];
}

static bool owns(const source *self, int32_t partition)
{
    const tm_world_member *member = self->member;
    return self->joined && partition >= 0 && (uint32_t)partition >= member->owned_from &&
           (uint32_t)partition - member->owned_from < member->owned_count;
}

static tm_status source_join(void *context, const tm_source_listener *listener, tm_error *error)
{
    source *self = context;
    tm_world *world = self->world;
    pthread_mutex_lock(&world->mutex);
    if (!world->reachable) {
        pthread_mutex_unlock(&world->mutex);
        return not_reachable(error);
    }
    if (!self->joined) {
        self->joined = true;
        self->listener = *listener;
        tm_group_join(world, self->member);
    }
    pthread_mutex_unlock(&world->mutex);
    return TM_OK;
}

/* Tells the listener that its partitions go, without the mutex, which is held again on return. */
static void tell_revoked(source *self, bool lost)
{
    tm_world_member *member = self->member;
    uint32_t count = member->owned_count;
    for (uint32_t i = 0; i < count; i++) {
        self->told[i] = (int32_t)(member->owned_from + i);
    }
    if (self->joined) {
        pthread_mutex_unlock(&self->world->mutex);
        self->listener.revoked(self->listener.context, self->told, count, lost);
        pthread_mutex_lock(&self->world->mutex);
    }
    member->owned_count = 0;
}

static void tell_assigned(source *self)
{
    tm_world_member *member = self->member;
    member->untold = false;
    member->generation = self->world->generation;
    member->owned_from = member->from;
    member->owned_count = member->count;
    for (size_t i = 0; i < (size_t)TM_INPUTS * self->world->partitions; i++) {
        member->lanes[i] = (tm_lane){.next = -1};
    }
    uint32_t count = member->owned_count;
    for (uint32_t i = 0; i < count; i++) {
        self->told[i] = (int32_t)(member->owned_from + i);
    }
    pthread_mutex_unlock(&self->world->mutex);
    self->listener.assigned(self->listener.context, self->told, count);
    pthread_mutex_lock(&self->world->mutex);
}

/* What the group wants of this member; TM_FATAL once it was fenced. */
static tm_status follow_group(source *self, tm_error *error)
{
    tm_world *world = self->world;
    tm_world_member *member = self->member;
    if (member->fenced) {
        tell_revoked(self, true);
        return tm_fail(error, TM_FATAL, "another member joined as instance '%s'",
                       member->instance != NULL ? member->instance : "");
    }
    if (!member->inside) { /* expelled */
        tell_revoked(self, true);
        tm_group_join(world, member);
    }
    if (world->rebalancing && !member->waiting) {
        tell_revoked(self, false);
        if (member->inside && world->rebalancing) { /* as it still is after the listener */
            tm_group_wait(world, member);
        }
    }
    if (member->untold && !world->rebalancing) {
        tell_assigned(self);
    }
    return TM_OK;
}

/* Moves a lane over what is never delivered. */
static void pass_hidden(const tm_log_of_records *log, tm_lane *lane)
{
    int64_t end = tm_log_stable_end(log);
    while (lane->next >= log->first && lane->next < end && log->items[lane->next]->hidden) {
        lane->next++;
    }
}

/* Takes what is waiting, lane by lane. */
static uint32_t collect(source *self, tm_source_record *records, uint32_t capacity)
{
    const tm_world_member *member = self->member;
    uint32_t lanes = TM_INPUTS * member->owned_count;
    uint32_t count = 0;
    for (uint32_t k = 0; k < lanes && count < capacity; k++) {
        uint32_t which = (self->cursor + k) % lanes;
        tm_input input = which % TM_INPUTS == 0 ? TM_INPUT_USAGE : TM_INPUT_ACCOUNTS;
        int32_t partition = (int32_t)(member->owned_from + which / TM_INPUTS);
        const tm_log_of_records *log = tm_world_input_log(self->world, input, partition);
        tm_lane *lane = lane_of(self, input, partition);
        if (lane->next < log->first || lane->paused) { /* not started, cut off by retention, or paused */
            continue;
        }
        pass_hidden(log, lane);
        while (count < capacity && lane->next < tm_log_stable_end(log)) {
            tm_stored *stored = log->items[lane->next];
            records[count++] = (tm_source_record){.input = input,
                                                  .partition = partition,
                                                  .offset = lane->next,
                                                  .timestamp = stored->view.timestamp,
                                                  .key = stored->view.key,
                                                  .value = stored->view.value,
                                                  .handle = stored};
            lane->next++;
            pass_hidden(log, lane);
        }
    }
    self->cursor = lanes > 0 ? (self->cursor + 1) % lanes : 0;
    return count;
}

/* Waits, without the mutex, until something in the world changed. A wake-up for another member's sake ends the wait as
   well: `poll` may return early, and without a clock here it could not know how long is left. */
static void wait_for_change(source *self, int64_t wait_ms)
{
    struct pollfd changed = {.fd = self->member->wake, .events = POLLIN};
    pthread_mutex_unlock(&self->world->mutex);
    (void)poll(&changed, 1, wait_ms < 60000 ? (int)wait_ms : 60000);
    pthread_mutex_lock(&self->world->mutex);
}

static tm_status source_poll(void *context, int64_t wait_ms, tm_source_record *records, uint32_t capacity,
                             uint32_t *ret_count, tm_error *error)
{
    source *self = context;
    tm_world *world = self->world;
    tm_status status = TM_OK;
    bool waited = wait_ms <= 0;
    *ret_count = 0;
    if (!self->joined) {
        return tm_fail(error, TM_FATAL, "poll before join");
    }
    pthread_mutex_lock(&world->mutex);
    for (;;) {
        tm_member_awake(self->member);
        if (!world->reachable) {
            status = not_reachable(error);
            break;
        }
        status = follow_group(self, error);
        if (status != TM_OK) {
            break;
        }
        *ret_count = collect(self, records, capacity);
        if (*ret_count > 0 || waited) {
            break;
        }
        wait_for_change(self, wait_ms);
        waited = true;
    }
    pthread_mutex_unlock(&world->mutex);
    return status;
}

static void source_release(void *context, tm_source_record *record)
{
    (void)context; /* records are the world's */
    record->handle = NULL;
}

static uint32_t source_headers(void *context, const tm_source_record *record,
                               tm_source_header headers[TM_SOURCE_HEADERS_MAX])
{
    const tm_stored *stored = record->handle;
    (void)context;
    for (uint32_t i = 0; i < stored->view.header_count; i++) {
        headers[i] = stored->view.headers[i];
    }
    return stored->view.header_count;
}

static tm_status not_owned(tm_error *error, int32_t partition)
{
    return tm_fail(error, TM_REJECT, "partition %" PRId32 " is not this member's", partition);
}

static tm_status source_start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    source *self = context;
    tm_status status = TM_OK;
    pthread_mutex_lock(&self->world->mutex);
    if (!owns(self, partition) || offset < 0) {
        status = not_owned(error, partition);
    } else {
        *lane_of(self, input, partition) = (tm_lane){.next = offset};
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static tm_status source_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    source *self = context;
    tm_status status = TM_OK;
    pthread_mutex_lock(&self->world->mutex);
    if (!owns(self, partition)) {
        status = not_owned(error, partition);
    } else {
        lane_of(self, input, partition)->paused = paused;
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static tm_status source_bounds(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                               int64_t *ret_reached, tm_error *error)
{
    source *self = context;
    const tm_log_of_records *log = tm_world_input_log(self->world, input, partition);
    tm_status status = TM_OK;
    *ret_first = *ret_end = *ret_reached = -1;
    if (log == NULL) {
        return tm_fail(error, TM_REJECT, "there is no partition %" PRId32, partition);
    }
    pthread_mutex_lock(&self->world->mutex);
    if (!self->world->reachable) {
        status = not_reachable(error);
    } else {
        *ret_first = log->first;
        *ret_end = log->count; /* beyond the stable end while a transaction holds records back: not drained */
        if (owns(self, partition)) {
            tm_lane *lane = lane_of(self, input, partition);
            pass_hidden(log, lane);
            *ret_reached = lane->next < log->first ? -1 : lane->next; /* cut off by retention: it stands */
        }
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static tm_status source_committed(void *context, const int32_t *partitions, uint32_t count, tm_position *ret_positions,
                                  tm_error *error)
{
    source *self = context;
    tm_status status = TM_OK;
    pthread_mutex_lock(&self->world->mutex);
    if (!self->world->reachable) {
        status = not_reachable(error);
    }
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        if (partitions[i] < 0 || (uint32_t)partitions[i] >= self->world->partitions) {
            status = tm_fail(error, TM_REJECT, "there is no partition %" PRId32, partitions[i]);
        } else {
            ret_positions[i] = self->world->committed[partitions[i]];
        }
    }
    pthread_mutex_unlock(&self->world->mutex);
    return status;
}

static void source_leave(void *context)
{
    source *self = context;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->world->mutex);
    tell_revoked(self, !self->member->inside);
    tm_group_leave(self->world, self->member);
    close(self->member->wake);
    self->member->wake = -1;
    pthread_mutex_unlock(&self->world->mutex);
    free(self->told);
    free(self);
}

tm_status tm_memory_source_new(tm_world *world, const char *instance, tm_source *ret_source, tm_error *error)
{
    source *self = calloc(1, sizeof(*self));
    tm_world_member *member = calloc(1, sizeof(*member));
    *ret_source = (tm_source){0};
    if (self != NULL && member != NULL) {
        self->world = world;
        self->member = member;
        self->told = calloc(world->partitions, sizeof(*self->told));
        member->lanes = calloc((size_t)TM_INPUTS * world->partitions, sizeof(*member->lanes));
        member->instance = instance != NULL ? strdup(instance) : NULL;
        member->generation = -1;
        member->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (self == NULL || member == NULL || self->told == NULL || member->lanes == NULL ||
        (instance != NULL && member->instance == NULL) || member->wake < 0) {
        if (member != NULL) {
            if (member->wake > 0) {
                close(member->wake);
            }
            free(member->lanes);
            free(member->instance);
        }
        if (self != NULL) {
            free(self->told);
        }
        free(member);
        free(self);
        return tm_fail(error, TM_FATAL, "out of memory or descriptors");
    }
    pthread_mutex_lock(&world->mutex);
    tm_world_member **last = &world->members;
    while (*last != NULL) {
        last = &(*last)->following;
    }
    *last = member;
    pthread_mutex_unlock(&world->mutex);
    *ret_source = (tm_source){.context = self,
                              .join = source_join,
                              .poll = source_poll,
                              .release = source_release,
                              .headers = source_headers,
                              .start = source_start,
                              .pause = source_pause,
                              .bounds = source_bounds,
                              .committed = source_committed,
                              .leave = source_leave};
    return TM_OK;
}
