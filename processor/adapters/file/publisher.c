#include "tidemark/adapters/file/publisher.h"

#include <stdlib.h>

#include "tidemark/adapters/file/writer.h"

/* Lines of the open transaction. */
#define PENDING_MAX ((size_t)1 << 30)

typedef struct file_publisher {
    tm_writer *writer;
    tm_buffer pending; /* lines with their ends */
} file_publisher;

static tm_status initialise(void *context, tm_error *error)
{
    (void)context;
    (void)error;
    return TM_OK;
}

static tm_status begin(void *context, tm_error *error)
{
    file_publisher *p = context;
    (void)error;
    tm_buffer_reset(&p->pending);
    return TM_OK;
}

static tm_status send(void *context, const tm_output *output, tm_error *error)
{
    file_publisher *p = context;
    bool is_signal = output->topic == TM_TOPIC_CHURN_RISK || output->topic == TM_TOPIC_EXPANSION ||
                     output->topic == TM_TOPIC_ADVISORIES;
    if (!is_signal || !output->value.data)
        return TM_OK;
    tm_buffer_append_slice(&p->pending, output->value);
    tm_buffer_append_char(&p->pending, '\n');
    return p->pending.overflowed ? tm_fail(error, TM_FATAL, "no memory for the signals of a transaction") : TM_OK;
}

static tm_status commit(void *context, const int32_t *partitions, const tm_position *positions, uint32_t count,
                        tm_error *error)
{
    file_publisher *p = context;
    (void)partitions;
    (void)positions;
    (void)count;
    const char *at = p->pending.data;
    const char *end = at + p->pending.length;
    tm_status status = TM_OK;
    for (const char *c = at; c < end && status == TM_OK; c++) {
        if (*c != '\n')
            continue;
        status = tm_writer_line(p->writer, (tm_slice){at, (size_t)(c - at)}, error);
        at = c + 1;
    }
    tm_buffer_reset(&p->pending);
    if (status == TM_OK)
        status = tm_writer_flush(p->writer, error);
    return status == TM_OK ? TM_OK : TM_FATAL; /* nobody reads any more: there is no point in going on */
}

static tm_status abort_transaction(void *context, tm_error *error)
{
    return begin(context, error);
}

static void close_publisher(void *context)
{
    file_publisher *p = context;
    tm_error error;
    (void)tm_writer_close(p->writer, &error);
    tm_buffer_done(&p->pending);
    free(p);
}

tm_status tm_file_publisher_new(const char *path, tm_publisher *ret_publisher, tm_error *error)
{
    file_publisher *p = calloc(1, sizeof *p);
    if (!p)
        return tm_fail(error, TM_FATAL, "no memory for a publisher");
    tm_buffer_init(&p->pending, PENDING_MAX);
    tm_status status = tm_writer_open(path, &p->writer, error);
    if (status != TM_OK) {
        free(p);
        return status;
    }
    *ret_publisher = (tm_publisher){p, initialise, begin, send, commit, abort_transaction, close_publisher};
    return TM_OK;
}
