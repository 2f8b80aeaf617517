#include "tidemark/adapters/kafka/connection.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CLOSE_STEP_MS = 2,
    PROBE_EVERY_MS = 1000, /* how often an unreachable broker is asked again */
    PROBE_MS = 500
};

int64_t tm_kafka_steady(const tm_kafka_connection *connection)
{
    const tm_clock *clock = connection->config->clock;
    return clock->steady(clock->context);
}

/* ---- Secrets and log lines ---- */

static bool is_secret(const char *name)
{
    static const char *const parts[] = {"password", "secret", ".pem", "oauthbearer.config", "jwt", "token"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

void tm_kafka_redact(const tm_kafka_config *config, char *text)
{
    for (uint32_t i = 0; i < config->property_count; i++) {
        const tm_kafka_property *property = &config->properties[i];
        size_t length;
        char *at = text;
        if (!is_secret(property->name) || property->value == NULL || property->value[0] == '\0') {
            continue;
        }
        length = strlen(property->value);
        while ((at = strstr(at, property->value)) != NULL) {
            memset(at, '*', length);
            at += length;
        }
    }
}

void tm_kafka_log(const tm_kafka_connection *connection, tm_log_level level, const char *event, const char *message)
{
    const tm_log *log = connection->config->log;
    if (log != NULL) {
        tm_log_field fields[] = {tm_log_text("role", connection->role),
                                 tm_log_integer("worker", (int64_t)connection->config->worker)};
        log->write(log->context, level, event, message, fields, 2);
    }
}

static void note_trouble(tm_kafka_connection *connection)
{
    int64_t now = tm_kafka_steady(connection);
    atomic_store(&connection->trouble_at, now > 0 ? now : 1);
}

/* Called in librdkafka's threads too. */
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    tm_kafka_connection *connection = rd_kafka_opaque(handle);
    char line[1024];
    if (connection != NULL && strcmp(facility, "SESSTMOUT") == 0) {
        /* The session ran out here, as on a machine that stood still: librdkafka joins anew under another member id,
           and a heartbeat under the old one, late, fences this very process. No other word of it comes. */
        note_trouble(connection);
    }
    if (connection == NULL || connection->config->log == NULL) {
        return;
    }
    if (strcmp(facility, "CONFWARN") == 0 && strstr(text, "will be ignored by this") != NULL) {
        return; /* one list of properties serves consumer and producer: each is told of the other's */
    }
    (void)snprintf(line, sizeof(line), "%s: %s", facility, text);
    tm_kafka_redact(connection->config, line);
    tm_kafka_log(connection,
                 level <= 3   ? TM_LOG_ERROR
                 : level == 4 ? TM_LOG_WARNING
                 : level <= 6 ? TM_LOG_INFO
                              : TM_LOG_DEBUG,
                 "librdkafka", line);
}

/* Called while the worker's own thread polls. Repeats are held back by librdkafka for 30 s: an error that is told is
   true, silence says nothing. */
static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    tm_kafka_connection *connection = opaque;
    (void)handle;
    bool refusal = code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL;
    bool says_more = refusal || (!connection->unwelcome && code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
    if (says_more || connection->reason[0] == '\0') {
        (void)snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
        tm_kafka_redact(connection->config, connection->reason);
    }
    connection->unwelcome = connection->unwelcome || refusal;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !connection->down) {
        connection->down = true;
        tm_kafka_log(connection, TM_LOG_WARNING, "kafka_unreachable", connection->reason);
    }
}

static int on_close_socket(int socket, void *opaque)
{
    tm_kafka_connection *connection = opaque;
    (void)atomic_fetch_add_explicit(&connection->sockets_closed, 1, memory_order_seq_cst);
    if (!atomic_load(&connection->closing)) {
        note_trouble(connection);
    }
    return close(socket);
}

bool tm_kafka_troubled(const tm_kafka_connection *connection)
{
    int64_t at = atomic_load(&connection->trouble_at);
    return at != 0 && tm_kafka_steady(connection) - at <= TM_KAFKA_TROUBLE_MS;
}

/* ---- Settings ---- */

/* True when this librdkafka has the property. */
static bool is_known(const rd_kafka_conf_t *conf, const char *name)
{
    size_t size = 0;
    return rd_kafka_conf_get(conf, name, NULL, &size) != RD_KAFKA_CONF_UNKNOWN;
}

static tm_status set(tm_kafka_connection *connection, rd_kafka_conf_t *conf, const char *name, const char *value,
                     tm_error *error)
{
    char text[512] = "";
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof(text));
    tm_status status;
    if (result == RD_KAFKA_CONF_OK) {
        return TM_OK;
    }
    tm_kafka_redact(connection->config, text);
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        status = tm_fail(error, TM_REJECT, "librdkafka %s has no property '%s'", rd_kafka_version_str(), name);
    } else {
        status = tm_fail(error, TM_REJECT, "property '%s': %s", name, is_secret(name) ? "value not accepted" : text);
    }
    tm_error_where(error, "kafka.properties");
    return status;
}

static tm_status set_list(tm_kafka_connection *connection, rd_kafka_conf_t *conf, const tm_kafka_setting *list,
                          tm_error *error)
{
    for (; list->name != NULL; list++) {
        if (!list->optional || is_known(conf, list->name)) {
            tm_status status = set(connection, conf, list->name, list->value, error);
            if (status != TM_OK) {
                return status;
            }
        }
    }
    return TM_OK;
}

static tm_status set_properties(tm_kafka_connection *connection, rd_kafka_conf_t *conf, tm_error *error)
{
    const tm_kafka_config *config = connection->config;
    for (uint32_t i = 0; i < config->property_count; i++) {
        const tm_kafka_property *property = &config->properties[i];
        tm_status status;
        if (tm_kafka_property_reserved(property->name)) {
            status = tm_fail(error, TM_REJECT, "property '%s' cannot be set here", property->name);
            tm_error_where(error, "kafka.properties");
            tm_error_hint(error, "remove it: exactly-once rests on it, or it has a key of its own in the "
                                 "configuration");
            return status;
        }
        status = set(connection, conf, property->name, property->value, error);
        if (status != TM_OK) {
            return status;
        }
    }
    return TM_OK;
}

tm_status tm_kafka_conf_new(tm_kafka_connection *connection, const tm_kafka_setting *defaults,
                            const tm_kafka_setting *fixed, rd_kafka_conf_t **ret_conf, tm_error *error)
{
    /* Reaching a broker again soon after it came back is worth more than sparing it a few connections. */
    const tm_kafka_setting common[] = {
        {"client.id", connection->id[0] != '\0' ? connection->id : "tidemark", false},
        {"reconnect.backoff.max.ms", "2000", false},
        {"enable.metrics.push", "false", true}, /* librdkafka issue 5577 */
        {NULL, NULL, false},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    tm_status status;
    if (conf == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    status = set_list(connection, conf, common, error);
    if (status == TM_OK) {
        status = set_list(connection, conf, defaults, error);
    }
    if (status == TM_OK) {
        status = set_properties(connection, conf, error);
    }
    if (status == TM_OK) {
        status = set(connection, conf, "bootstrap.servers", connection->config->brokers, error);
    }
    if (status == TM_OK) {
        status = set_list(connection, conf, fixed, error);
    }
    if (status != TM_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_opaque(conf, connection);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_closesocket_cb(conf, on_close_socket);
    *ret_conf = conf;
    return TM_OK;
}

tm_status tm_kafka_connection_open(tm_kafka_connection *connection, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                   tm_error *error)
{
    char text[512] = "";
    connection->down = connection->unwelcome = false;
    connection->reason[0] = '\0';
    atomic_store(&connection->closing, false);
    connection->handle = rd_kafka_new(type, conf, text, sizeof(text));
    if (connection->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        tm_kafka_redact(connection->config, text);
        return tm_fail(error, TM_REJECT, "librdkafka refuses the settings of the %s: %s", connection->role, text);
    }
    return TM_OK;
}

static void *destroy_handle(void *handle)
{
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

bool tm_kafka_connection_close(tm_kafka_connection *connection, int64_t wait_ms)
{
    pthread_t thread;
    rd_kafka_t *handle = connection->handle;
    if (handle == NULL) {
        return true;
    }
    connection->handle = NULL;
    atomic_store(&connection->closing, true);
    if (pthread_create(&thread, NULL, destroy_handle, handle) != 0) {
        (void)destroy_handle(handle);
        return true;
    }
    for (int64_t waited = 0; waited <= wait_ms; waited += CLOSE_STEP_MS) {
        if (pthread_tryjoin_np(thread, NULL) == 0) {
            return true;
        }
        (void)poll(NULL, 0, CLOSE_STEP_MS);
    }
    (void)pthread_detach(thread);
    tm_kafka_log(connection, TM_LOG_WARNING, "kafka_close_hangs", "librdkafka did not end in time; it is left behind");
    return false;
}

/* Closing can hang inside librdkafka, so it is started and watched rather than called. */
void tm_kafka_consumer_close(const tm_kafka_connection *connection, int64_t until)
{
    rd_kafka_queue_t *events = rd_kafka_queue_new(connection->handle);
    rd_kafka_error_t *failure = rd_kafka_consumer_close_queue(connection->handle, events);
    if (failure != NULL) {
        rd_kafka_error_destroy(failure);
    } else {
        while (!rd_kafka_consumer_closed(connection->handle) && tm_kafka_steady(connection) < until) {
            rd_kafka_event_t *event = rd_kafka_queue_poll(events, 20);
            if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
                (void)rd_kafka_assign(connection->handle, NULL);
            }
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_queue_destroy(events);
}

/* ---- Questions ---- */

tm_status tm_kafka_reachable(tm_kafka_connection *connection, tm_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    int64_t now = tm_kafka_steady(connection);
    if (!connection->down)
        return TM_OK;
    if (now - connection->probed_at >= PROBE_EVERY_MS) {
        rd_kafka_resp_err_t code = rd_kafka_metadata(connection->handle, 0, NULL, &metadata, PROBE_MS);
        connection->probed_at = tm_kafka_steady(connection);
        if (metadata != NULL) {
            rd_kafka_metadata_destroy(metadata);
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            connection->down = connection->unwelcome = false;
            tm_kafka_log(connection, TM_LOG_INFO, "kafka_reachable", "a broker answers again");
            return TM_OK;
        }
    }
    (void)tm_fail(error, TM_RETRY, "no Kafka broker answers: %s", connection->reason);
    tm_error_where(error, "%s", connection->config->brokers);
    return TM_RETRY;
}

tm_status tm_kafka_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms, uint32_t *ret_count,
                              tm_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *of = rd_kafka_topic_new(handle, topic, NULL);
    rd_kafka_resp_err_t code;
    tm_status status = TM_OK;
    *ret_count = 0;
    if (of == NULL) {
        code = rd_kafka_last_error();
        status = tm_fail(error, TM_REJECT, "topic '%s': %s", topic, rd_kafka_err2str(code));
        return status;
    }
    code = rd_kafka_metadata(handle, 0, of, &metadata, timeout_ms);
    rd_kafka_topic_destroy(of);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        *ret_count = metadata->topics[0].partition_cnt > 0 ? (uint32_t)metadata->topics[0].partition_cnt : 0;
        code = metadata->topics[0].err;
    }
    if (metadata != NULL) {
        rd_kafka_metadata_destroy(metadata);
    }
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        *ret_count = 0;
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        status = tm_fail(error, TM_REJECT, "topic '%s': %s", topic, rd_kafka_err2str(code));
        tm_error_hint(error,
                      "check the name, and that this user is allowed Read (inputs) or Write (outputs) on the topic; "
                      "`tidemark check --permissions` lists what it needs");
        break;
    default:
        status = tm_fail(error, TM_RETRY, "no answer about topic '%s': %s", topic, rd_kafka_err2str(code));
        tm_error_hint(error, "are the brokers reachable?");
        break;
    }
    return status;
}

/* ListOffsets with one of the two special timestamps. */
static rd_kafka_resp_err_t ask_offset(rd_kafka_t *handle, const char *topic, int32_t partition, int64_t which,
                                      int timeout_ms, int64_t *ret_offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *part = rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t code;
    part->offset = which;
    code = rd_kafka_offsets_for_times(handle, list, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = list->elems[0].err;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[0].offset < 0) {
        code = RD_KAFKA_RESP_ERR__NO_OFFSET;
    }
    *ret_offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

rd_kafka_resp_err_t tm_kafka_bounds(rd_kafka_t *handle, const char *topic, int32_t partition, int timeout_ms,
                                    int64_t *ret_first, int64_t *ret_end)
{
    rd_kafka_resp_err_t code = ask_offset(handle, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, ret_first);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = ask_offset(handle, topic, partition, RD_KAFKA_OFFSET_END, timeout_ms, ret_end);
    }
    return code;
}
