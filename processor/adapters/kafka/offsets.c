#include "tidemark/adapters/kafka/offsets.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { GRACE_MS = 1000 };

struct tm_kafka_sending {
    rd_kafka_t *handle;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_consumer_group_metadata_t *membership;
    int timeout_ms;
    rd_kafka_error_t *failure;
    pthread_t thread;
    int event; /* readable once the call has come back */
};

static void *run(void *context)
{
    tm_kafka_sending *s = context;
    s->failure = rd_kafka_send_offsets_to_transaction(s->handle, s->list, s->membership, s->timeout_ms);
    (void)eventfd_write(s->event, 1);
    return NULL;
}

static bool came_back(const tm_kafka_sending *s, int wait_ms)
{
    struct pollfd wanted = {.fd = s->event, .events = POLLIN};
    int found;
    do {
        found = poll(&wanted, 1, wait_ms);
    } while (found < 0 && errno == EINTR);
    return found > 0;
}

static void sending_free(tm_kafka_sending *s)
{
    if (s->event >= 0)
        close(s->event);
    rd_kafka_topic_partition_list_destroy(s->list);
    rd_kafka_consumer_group_metadata_destroy(s->membership);
    free(s);
}

/* What its thread returned; there is none any more. */
static rd_kafka_error_t *take(tm_kafka_sending *s)
{
    (void)pthread_join(s->thread, NULL);
    rd_kafka_error_t *failure = s->failure;
    sending_free(s);
    return failure;
}

rd_kafka_error_t *tm_kafka_send_offsets(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list,
                                        rd_kafka_consumer_group_metadata_t *membership, int timeout_ms,
                                        tm_kafka_sending **ret_left)
{
    *ret_left = NULL;
    tm_kafka_sending *s = calloc(1, sizeof *s);
    if (!s) {
        rd_kafka_topic_partition_list_destroy(list);
        rd_kafka_consumer_group_metadata_destroy(membership);
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR__FAIL, "no memory to send offsets");
    }
    *s = (tm_kafka_sending){.handle = handle,
                            .list = list,
                            .membership = membership,
                            .timeout_ms = timeout_ms,
                            .event = eventfd(0, EFD_CLOEXEC)};
    if (s->event < 0 || pthread_create(&s->thread, NULL, run, s) != 0) {
        sending_free(s);
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR__FAIL, "no thread to send offsets");
    }
    if (came_back(s, timeout_ms + GRACE_MS))
        return take(s);
    *ret_left = s;
    return rd_kafka_error_new(RD_KAFKA_RESP_ERR__TIMED_OUT, "the coordinator of the group does not answer");
}

bool tm_kafka_sending_over(tm_kafka_sending *sending)
{
    if (!sending)
        return true;
    if (!came_back(sending, 0))
        return false;
    rd_kafka_error_destroy(take(sending));
    return true;
}
