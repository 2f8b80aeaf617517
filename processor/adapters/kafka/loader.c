#include "tidemark/adapters/kafka/loader.h"

#include <stdlib.h>

#include "tidemark/adapters/kafka/connection.h"

enum { PATIENCE_MS = 60000 };

struct tm_kafka_loader {
    tm_kafka_connection connection;
    tm_kafka_config config;
    uint64_t refused;
    char reason[256];
};

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    (void)opaque;
    tm_kafka_loader *loader = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (loader->refused++ == 0) {
        tm_error told;
        tm_fail(&told, TM_FATAL, "%s", rd_kafka_err2str(message->err));
        tm_error_text(&told, loader->reason, sizeof loader->reason);
    }
}

tm_status tm_kafka_loader_new(const tm_kafka_config *config, tm_kafka_loader **ret_loader, tm_error *error)
{
    tm_kafka_loader *loader = calloc(1, sizeof *loader);
    if (!loader)
        return tm_fail(error, TM_FATAL, "no memory for a producer");
    loader->config = *config;
    loader->connection = (tm_kafka_connection){.config = &loader->config, .role = "loader"};
    const tm_kafka_setting defaults[] = {{"linger.ms", "20", false},
                                         {"queue.buffering.max.messages", "200000", false},
                                         {"batch.num.messages", "20000", false},
                                         {NULL, NULL, false}};
    const tm_kafka_setting fixed[] = {
        {"enable.idempotence", "true", false}, {"partitioner", "murmur2_random", false}, {NULL, NULL, false}};
    rd_kafka_conf_t *conf = NULL;
    tm_status status = tm_kafka_conf_new(&loader->connection, defaults, fixed, &conf, error);
    if (status == TM_OK) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        status = tm_kafka_connection_open(&loader->connection, RD_KAFKA_PRODUCER, conf, error);
    }
    if (status != TM_OK) {
        free(loader);
        return status;
    }
    *ret_loader = loader;
    return TM_OK;
}

static tm_status refused(const tm_kafka_loader *loader, tm_error *error)
{
    return tm_fail(error, TM_FATAL, "%llu records were not taken: %s", (unsigned long long)loader->refused,
                   loader->reason);
}

tm_status tm_kafka_loader_send(tm_kafka_loader *loader, tm_input input, tm_slice key, tm_slice value, tm_time timestamp,
                               tm_error *error)
{
    rd_kafka_t *handle = loader->connection.handle;
    const char *topic = loader->config.inputs[input];
    int64_t until = tm_kafka_steady(&loader->connection) + PATIENCE_MS;
    for (;;) {
        rd_kafka_resp_err_t code =
            rd_kafka_producev(handle, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.length),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.length),
                              RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_OPAQUE(loader), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)rd_kafka_poll(handle, 0);
            return loader->refused ? refused(loader, error) : TM_OK;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return tm_fail(error, TM_REJECT, "a record for '%s' cannot be sent: %s", topic, rd_kafka_err2str(code));
        if (tm_kafka_steady(&loader->connection) > until)
            return tm_fail(error, TM_RETRY, "the brokers take nothing");
        (void)rd_kafka_poll(handle, 50);
    }
}

tm_status tm_kafka_loader_flush(tm_kafka_loader *loader, tm_error *error)
{
    if (rd_kafka_flush(loader->connection.handle, PATIENCE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return tm_fail(error, TM_RETRY, "the brokers did not acknowledge everything within a minute");
    return loader->refused ? refused(loader, error) : TM_OK;
}

void tm_kafka_loader_free(tm_kafka_loader *loader)
{
    if (!loader)
        return;
    if (!loader->connection.handle || tm_kafka_connection_close(&loader->connection, TM_KAFKA_LEAVE_MS))
        free(loader);
}
