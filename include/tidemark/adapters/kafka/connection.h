/* What source, publisher and admin have in common inside this adapter: one librdkafka handle with its settings, its log
   lines without secrets, and what it has noticed about its sockets and brokers. Not for use outside adapters/kafka. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_CONNECTION_H
#define TIDEMARK_ADAPTERS_KAFKA_CONNECTION_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "tidemark/adapters/kafka/config.h"

/* Calls that wait, each with its own end. */
enum {
    TM_KAFKA_ASK_MS = 5000,          /* a question to a broker: metadata, offsets */
    TM_KAFKA_SETTLE_MS = 10000,      /* committed offsets, init_transactions, flush, send_offsets */
    TM_KAFKA_FINISH_MS = 8000,       /* commit and abort of a transaction */
    TM_KAFKA_LEAVE_MS = 10000,       /* leaving the group and freeing the handle, together */
    TM_KAFKA_BACKOFF_MS = 100,       /* retry.backoff.ms: after this long librdkafka repeats a request by itself */
    TM_KAFKA_TRANSACTION_MS = 10000, /* transaction.timeout.ms */
    TM_KAFKA_TROUBLE_MS = 60000      /* so long after a socket was closed, what is late may be one's own */
};

typedef struct tm_kafka_connection {
    const tm_kafka_config *config;
    const char *role; /* "source", "publisher" or "admin"; in log lines */
    char id[TM_KAFKA_ID_MAX + 1];
    rd_kafka_t *handle; /* NULL while closed */
    atomic_ullong sockets_closed;
    atomic_llong trouble_at; /* a socket was closed, or the session ran out: steady ms; 0: never */
    atomic_bool closing;     /* the handle is being destroyed: its sockets are closed by ourselves */
    int64_t probed_at;       /* when that was last asked */
    bool down;               /* no broker answers, as far as this handle was told */
    bool unwelcome;          /* one refused who we are, or is not who it should be */
    char reason[256];        /* the last error it was told of */
} tm_kafka_connection;

/* `optional`: left out where the librdkafka in use has no such property. */
typedef struct tm_kafka_setting {
    const char *name;
    const char *value;
    bool optional;
} tm_kafka_setting;

/* Makes a configuration: `defaults`, over them the user's properties, over them `fixed`. Each list ends with a NULL
   name. The connection is the opaque of its callbacks. TM_OK, or TM_REJECT naming the property. The caller owns
   ret_conf until it has given it to rd_kafka_new. */
tm_status tm_kafka_conf_new(tm_kafka_connection *connection, const tm_kafka_setting *defaults,
                            const tm_kafka_setting *fixed, rd_kafka_conf_t **ret_conf, tm_error *error);

/* Takes `conf` (freed when it fails) and opens connection->handle. TM_OK, or TM_REJECT (librdkafka refuses the
   combination of settings). */
tm_status tm_kafka_connection_open(tm_kafka_connection *connection, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                   tm_error *error);

/* Destroys the handle in a thread of its own, since that may hang; waits at most `wait_ms`. False: it still hangs, and
   what the connection points at, itself too, must be left in memory for it. */
bool tm_kafka_connection_close(tm_kafka_connection *connection, int64_t wait_ms);

/* Lets go of the membership: closes the consumer, until the steady time `until` at most. */
void tm_kafka_consumer_close(const tm_kafka_connection *connection, int64_t until);

/* While no broker is known to answer, asks again now and then. TM_OK, TM_RETRY. */
tm_status tm_kafka_reachable(tm_kafka_connection *connection, tm_error *error);

/* Number of partitions of a topic, 0 when there is no such topic. TM_OK; TM_RETRY: no answer; TM_REJECT: refused. */
tm_status tm_kafka_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms, uint32_t *ret_count,
                              tm_error *error);

/* Least offset kept and last stable offset of a partition, as the broker tells them now, within `timeout_ms` each. Not
   by rd_kafka_query_watermark_offsets: in 2.0.2 that waits for ever, whatever its time-out, while its broker is away.
 */
rd_kafka_resp_err_t tm_kafka_bounds(rd_kafka_t *handle, const char *topic, int32_t partition, int timeout_ms,
                                    int64_t *ret_first, int64_t *ret_end);

/* A log line through the port; a NULL log is silent. */
void tm_kafka_log(const tm_kafka_connection *connection, tm_log_level level, const char *event, const char *message);

/* True when a socket of this connection was closed lately, or the group's session ran out without one: what fences it
   then may be a late request of its own, a join or an initialisation whose answer was lost and that was sent again, or
   a heartbeat under a former member id. Without that it is another process. */
bool tm_kafka_troubled(const tm_kafka_connection *connection);

/* Overwrites the values of secret properties in a text with stars. */
void tm_kafka_redact(const tm_kafka_config *config, char *text);

/* Milliseconds of the configured clock, which never goes backwards. */
int64_t tm_kafka_steady(const tm_kafka_connection *connection);

#endif
