#include "tidemark/adapters/memory/journal.h"

#include "inside.h"

static tm_status ask(tm_world *world, tm_error *error)
{
    pthread_mutex_lock(&world->mutex);
    bool reachable = world->reachable;
    pthread_mutex_unlock(&world->mutex);
    return reachable ? TM_OK : tm_fail(error, TM_RETRY, "the journal cannot be reached");
}

static tm_status journal_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    tm_memory_journal *self = context;
    tm_status status = ask(self->world, error);
    if (status != TM_OK)
        return status;
    self->partition = partition;
    self->end = tm_world_output_count(self->world, TM_TOPIC_JOURNAL, partition);
    self->next = back < 0 || back > self->end ? 0 : self->end - back;
    *ret_whole = self->next == 0;
    return TM_OK;
}

static tm_status journal_next(void *context, tm_slice *ret_line, tm_error *error)
{
    tm_memory_journal *self = context;
    *ret_line = (tm_slice){0};
    tm_status status = ask(self->world, error);
    if (status != TM_OK || self->next >= self->end)
        return status;
    tm_world_record record;
    if (tm_world_output(self->world, TM_TOPIC_JOURNAL, self->partition, self->next++, &record))
        *ret_line = record.value;
    return TM_OK;
}

static void journal_close(void *context)
{
    tm_memory_journal *self = context;
    self->next = self->end = 0;
}

tm_journal_source tm_memory_journal_port(tm_memory_journal *journal, tm_world *world)
{
    *journal = (tm_memory_journal){.world = world};
    return (tm_journal_source){journal, journal_open, journal_next, journal_close};
}
