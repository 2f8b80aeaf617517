#include "tidemark/adapters/kafka/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tidemark/adapters/kafka/edges.h"
#include "tidemark/adapters/kafka/reader.h"

enum {
    CREATED_POLL_MS = 50,          /* between looks whether a created topic is there */
    REQUEST_MS = 15000,            /* an admin request */
    UNWELCOME_MS = 2000,           /* how long it is tried on once a broker did not accept us, or we not it */
    SCRAM_RIGHT_SINCE = 0x020601ff /* librdkafka's version from which it sends the nonce that RFC 5802 wants */
};

struct tm_kafka_admin {
    tm_kafka_connection connection;
};

tm_status tm_kafka_admin_new(const tm_kafka_config *config, tm_kafka_admin **ret_admin, tm_error *error)
{
    tm_kafka_admin *admin = calloc(1, sizeof(*admin));
    tm_status status;
    if (admin == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    admin->connection.config = config;
    admin->connection.role = "admin";
    status = tm_kafka_reader_connect(&admin->connection, error);
    if (status != TM_OK) {
        free(admin);
        return status;
    }
    *ret_admin = admin;
    return TM_OK;
}

void tm_kafka_admin_free(tm_kafka_admin *admin)
{
    if (admin != NULL && tm_kafka_connection_close(&admin->connection, TM_KAFKA_LEAVE_MS)) {
        free(admin);
    }
}

tm_status tm_kafka_admin_connect(tm_kafka_admin *admin, int64_t timeout_ms, tm_error *error)
{
    int64_t until = tm_kafka_steady(&admin->connection) + timeout_ms;
    rd_kafka_resp_err_t code;
    bool cut = false;
    do { /* in pieces, so that what librdkafka has to say about it is heard */
        const struct rd_kafka_metadata *metadata = NULL;
        int64_t left = until - tm_kafka_steady(&admin->connection);
        code = rd_kafka_metadata(admin->connection.handle, 0, NULL, &metadata,
                                 left < 1     ? 1
                                 : left < 500 ? (int)left
                                              : 500);
        if (metadata != NULL) {
            rd_kafka_metadata_destroy(metadata);
        }
        (void)rd_kafka_poll(admin->connection.handle, 0);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return TM_OK;
        }
        if (admin->connection.unwelcome && !cut) { /* it will hardly be right in a moment: not the whole time */
            int64_t soon = tm_kafka_steady(&admin->connection) + UNWELCOME_MS;
            until = soon < until ? soon : until;
            cut = true;
        }
    } while (tm_kafka_steady(&admin->connection) < until);
    (void)tm_fail(error, TM_RETRY, "no Kafka broker answers: %s",
                  admin->connection.reason[0] != '\0' ? admin->connection.reason : rd_kafka_err2str(code));
    tm_error_where(error, "%s", admin->connection.config->brokers);
    if (strstr(admin->connection.reason, "SCRAM") != NULL && rd_kafka_version() < SCRAM_RIGHT_SINCE) {
        tm_error_hint(
            error,
            "librdkafka %s computes SCRAM in a way that Kafka 4.0 and later refuse, whatever the password: use "
            "2.6.1 or later, sasl.mechanism PLAIN over TLS, or a client certificate",
            rd_kafka_version_str());
    } else {
        tm_error_hint(error, "check kafka.brokers, and the security settings under kafka.properties");
    }
    return TM_RETRY;
}

/* ---- Requests ---- */

/* Waits for the answer of a request that `queue` was given to. NULL, and the error, without one. */
static tm_status wait_answer(rd_kafka_queue_t *queue, const char *what, rd_kafka_event_t **ret_event, tm_error *error)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, REQUEST_MS + 1000);
    tm_status status = TM_OK;
    *ret_event = event;
    if (event == NULL) {
        return tm_fail(error, TM_RETRY, "%s: no answer", what);
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_resp_err_t code = rd_kafka_event_error(event);
        bool refused = code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
                       code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE || code == RD_KAFKA_RESP_ERR__INVALID_ARG;
        status = tm_fail(error, refused ? TM_REJECT : TM_RETRY, "%s: %s", what, rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        *ret_event = NULL;
    }
    return status;
}

static rd_kafka_AdminOptions_t *new_options(rd_kafka_t *handle, rd_kafka_admin_op_t operation)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, operation);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof(text));
    return options;
}

/* ---- Topics as they are ---- */

static int64_t read_integer(const char *text)
{
    char *end = NULL;
    long long number;
    errno = 0;
    number = strtoll(text, &end, 10);
    return errno == 0 && end != text ? (int64_t)number : 0;
}

static void read_setting(const rd_kafka_ConfigEntry_t *entry, tm_kafka_topic *topic)
{
    const char *name = rd_kafka_ConfigEntry_name(entry);
    const char *value = rd_kafka_ConfigEntry_value(entry);
    if (value == NULL) {
        return;
    }
    if (strcmp(name, "cleanup.policy") == 0) {
        topic->compacted = strstr(value, "compact") != NULL;
        topic->deleted = strstr(value, "delete") != NULL;
    } else if (strcmp(name, "retention.ms") == 0) {
        topic->retention_ms = read_integer(value);
    } else if (strcmp(name, "retention.bytes") == 0) {
        topic->retention_bytes = read_integer(value);
    } else if (strcmp(name, "min.compaction.lag.ms") == 0) {
        topic->min_compaction_lag_ms = read_integer(value);
    } else if (strcmp(name, "max.message.bytes") == 0) {
        topic->message_max = read_integer(value);
    }
}

/* Settings of the topics that are there. One that may not be read stays unconfigured. */
static tm_status describe_settings(tm_kafka_admin *admin, const char *const *names, uint32_t count,
                                   tm_kafka_topic *topics, tm_error *error)
{
    rd_kafka_t *handle = admin->connection.handle;
    rd_kafka_ConfigResource_t **resources = calloc(count > 0 ? count : 1, sizeof(rd_kafka_ConfigResource_t *));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = new_options(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_event_t *event = NULL;
    const rd_kafka_ConfigResource_t **answers;
    size_t present = 0;
    size_t answer_count = 0;
    tm_status status = TM_OK;
    if (resources == NULL) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool named = false; /* twice in one request is an error */
        for (uint32_t t = 0; t < i; t++) {
            named = named || strcmp(names[t], names[i]) == 0;
        }
        if (topics[i].present && !named) {
            resources[present++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[i]);
        }
    }
    if (present == 0) {
        goto out;
    }
    rd_kafka_DescribeConfigs(handle, resources, present, options, queue);
    status = wait_answer(queue, "describing topics", &event, error);
    if (status != TM_OK) {
        /* Without the right to ask, or on a broker that knows no such request, the settings are unknown. */
        status = status == TM_REJECT ? TM_OK : status;
        goto out;
    }
    answers = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &answer_count);
    for (size_t i = 0; i < answer_count; i++) {
        size_t entry_count = 0;
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(answers[i], &entry_count);
        for (uint32_t t = 0; t < count; t++) {
            if (strcmp(names[t], rd_kafka_ConfigResource_name(answers[i])) != 0 ||
                rd_kafka_ConfigResource_error(answers[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
                continue;
            }
            topics[t].configured = entry_count > 0;
            for (size_t e = 0; e < entry_count; e++) {
                read_setting(entries[e], &topics[t]);
            }
        }
    }
out:
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    for (size_t i = 0; i < present; i++) {
        rd_kafka_ConfigResource_destroy(resources[i]);
    }
    free(resources);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

tm_status tm_kafka_admin_describe(tm_kafka_admin *admin, const char *const *names, uint32_t count,
                                  tm_kafka_topic *ret_topics, tm_error *error)
{
    memset(ret_topics, 0, count * sizeof(*ret_topics));
    for (uint32_t i = 0; i < count; i++) {
        tm_status status =
            tm_kafka_partitions(admin->connection.handle, names[i], TM_KAFKA_ASK_MS, &ret_topics[i].partitions, error);
        if (status != TM_OK) {
            return status;
        }
        ret_topics[i].present = ret_topics[i].partitions > 0;
    }
    return describe_settings(admin, names, count, ret_topics, error);
}

/* ---- Topics to be made ---- */

static tm_status new_topic(const tm_kafka_topic_plan *plan, rd_kafka_NewTopic_t **ret_topic, tm_error *error)
{
    char text[256] = "";
    char number[32];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        plan->name, plan->partitions <= INT32_MAX ? (int)plan->partitions : -2, plan->replication, text, sizeof(text));
    if (topic == NULL) {
        return tm_fail(error, TM_REJECT, "topic '%s' cannot be created: %s", plan->name, text);
    }
    (void)rd_kafka_NewTopic_set_config(topic, "cleanup.policy", plan->compacted ? "compact" : "delete");
    if (plan->retention_ms != TM_KAFKA_UNSAID) {
        (void)snprintf(number, sizeof(number), "%" PRId64, plan->retention_ms);
        (void)rd_kafka_NewTopic_set_config(topic, "retention.ms", number);
        if (plan->retention_ms < 0) { /* unlimited in size as well as in time */
            (void)rd_kafka_NewTopic_set_config(topic, "retention.bytes", "-1");
        }
    }
    if (plan->min_compaction_lag_ms != TM_KAFKA_UNSAID) {
        (void)snprintf(number, sizeof(number), "%" PRId64, plan->min_compaction_lag_ms);
        (void)rd_kafka_NewTopic_set_config(topic, "min.compaction.lag.ms", number);
    }
    if (plan->message_max > 0) {
        (void)snprintf(number, sizeof(number), "%" PRId64, plan->message_max);
        (void)rd_kafka_NewTopic_set_config(topic, "max.message.bytes", number);
    }
    *ret_topic = topic;
    return TM_OK;
}

/* Creating is done when every broker asked knows the partitions, not yet when it was answered. */
static tm_status wait_created(tm_kafka_admin *admin, const tm_kafka_topic_plan *plans, uint32_t count, tm_error *error)
{
    int64_t until = tm_kafka_steady(&admin->connection) + REQUEST_MS;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t partitions = 0;
        for (;;) {
            const struct timespec pause = {0, CREATED_POLL_MS * 1000000L};
            tm_status status =
                tm_kafka_partitions(admin->connection.handle, plans[i].name, TM_KAFKA_ASK_MS, &partitions, error);
            if (status == TM_REJECT) {
                return status;
            }
            if (status == TM_OK && partitions > 0) {
                break;
            }
            if (tm_kafka_steady(&admin->connection) >= until) {
                return tm_fail(error, TM_RETRY, "topic '%s' was created, but is not there yet", plans[i].name);
            }
            (void)nanosleep(&pause, NULL);
        }
    }
    return TM_OK;
}

tm_status tm_kafka_admin_create(tm_kafka_admin *admin, const tm_kafka_topic_plan *plans, uint32_t count,
                                tm_error *error)
{
    rd_kafka_t *handle = admin->connection.handle;
    rd_kafka_NewTopic_t **topics = calloc(count > 0 ? count : 1, sizeof(rd_kafka_NewTopic_t *));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = new_options(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_event_t *event = NULL;
    const rd_kafka_topic_result_t **results;
    size_t made = 0;
    size_t result_count = 0;
    char text[128];
    tm_status status = TM_OK;
    if (topics == NULL) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    while (status == TM_OK && made < count) {
        status = new_topic(&plans[made], &topics[made], error);
        made += status == TM_OK ? 1 : 0;
    }
    if (status != TM_OK || count == 0) {
        goto out;
    }
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, REQUEST_MS, text, sizeof(text));
    rd_kafka_CreateTopics(handle, topics, made, options, queue);
    status = wait_answer(queue, "creating topics", &event, error);
    if (status != TM_OK) {
        goto out;
    }
    results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &result_count);
    for (size_t i = 0; i < result_count && status == TM_OK; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        const char *reason = rd_kafka_topic_result_error_string(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            bool later = code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || code == RD_KAFKA_RESP_ERR_NOT_CONTROLLER;
            status = tm_fail(error, later ? TM_RETRY : TM_REJECT, "topic '%s' was not created: %s",
                             rd_kafka_topic_result_name(results[i]), reason != NULL ? reason : rd_kafka_err2str(code));
        }
    }
    if (status == TM_OK) {
        status = wait_created(admin, plans, count, error);
    }
out:
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    if (made > 0) {
        rd_kafka_NewTopic_destroy_array(topics, made);
    }
    free(topics);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

tm_status tm_kafka_admin_edges(tm_kafka_admin *admin, const char *topic, uint32_t count, int64_t timeout_ms,
                               tm_kafka_edge *ret_edges, tm_error *error)
{
    return tm_kafka_edges(&admin->connection, topic, count, timeout_ms, ret_edges, error);
}

/* ---- The checks at start ---- */

typedef struct checking {
    tm_kafka_finding report;
    void *context;
    bool failed;
} checking;

static void find(checking *to, bool fatal, const char *topic, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void find(checking *to, bool fatal, const char *topic, const char *hint, const char *format, ...)
{
    tm_error finding;
    va_list arguments;
    tm_error_clear(&finding);
    va_start(arguments, format);
    (void)vsnprintf(finding.what, sizeof(finding.what), format, arguments);
    va_end(arguments);
    tm_error_where(&finding, "topic %s", topic);
    tm_error_hint(&finding, "%s", hint);
    to->failed = to->failed || fatal;
    to->report(to->context, fatal, &finding);
}

static void check_inputs(checking *to, const tm_kafka_config *config, const tm_kafka_topic *inputs,
                         int64_t compaction_lag_ms)
{
    const tm_kafka_topic *usage = &inputs[TM_INPUT_USAGE];
    const tm_kafka_topic *accounts = &inputs[TM_INPUT_ACCOUNTS];
    const char *name = config->inputs[TM_INPUT_ACCOUNTS];
    if (!usage->present) {
        find(to, true, config->inputs[TM_INPUT_USAGE], "create it, or correct topics.usage", "it is not there");
    }
    if (name == NULL) {
        return;
    }
    if (!accounts->present) {
        find(to, true, name, "create it compacted, correct topics.accounts, or switch accounts off", "it is not there");
        return;
    }
    if (usage->present && usage->partitions != accounts->partitions) {
        find(to, true, name, "an account's usage and record must lie in the same partition number of both topics",
             "it has %u partitions, '%s' has %u", accounts->partitions, config->inputs[TM_INPUT_USAGE],
             usage->partitions);
    }
    if (accounts->configured && !accounts->compacted) {
        find(to, true, name, "set cleanup.policy=compact: otherwise contract facts run out by their age",
             "it is not compacted");
    } else if (accounts->configured && accounts->min_compaction_lag_ms < compaction_lag_ms) {
        find(to, false, name,
             "raise it: what is rebuilt after Redis lost its tail may otherwise see newer facts than the run before",
             "min.compaction.lag.ms is %" PRId64 ", at least %" PRId64 " is wanted", accounts->min_compaction_lag_ms,
             compaction_lag_ms);
    }
}

static void check_journal(checking *to, const char *name, const tm_kafka_topic *journal, const tm_kafka_topic *usage)
{
    bool kept = journal->retention_ms < 0 || (usage->configured && usage->retention_ms >= 0 && usage->deleted &&
                                              journal->retention_ms >= usage->retention_ms);
    if (usage->present && journal->partitions != usage->partitions) {
        find(to, true, name, "every shard journals to the partition of its own number",
             "it has %u partitions, the inputs have %u", journal->partitions, usage->partitions);
    }
    if (!journal->configured) {
        return;
    }
    if (journal->compacted || !journal->deleted) {
        find(to, true, name, "set cleanup.policy=delete: compaction would remove lines that a rebuild needs",
             "it is compacted");
    }
    if (journal->message_max < TM_JOURNAL_LINE_MAX) {
        find(to, false, name,
             "set max.message.bytes=33554432: a line holds the rules' text, or all signals of a commit",
             "it takes lines of at most %" PRId64 " bytes", journal->message_max);
    }
    if (!kept || (journal->deleted && journal->retention_bytes >= 0)) {
        find(to, true, name, "set retention.ms=-1 and retention.bytes=-1, or keep it at least as long as usage",
             "it keeps records for %" PRId64 " ms and %" PRId64 " bytes only", journal->retention_ms,
             journal->retention_bytes);
    }
}

static void check_outputs(checking *to, const tm_kafka_config *config, const tm_kafka_topic *outputs)
{
    for (int i = 0; i < TM_TOPICS; i++) {
        const char *name = config->outputs[i];
        if (name == NULL || i == TM_TOPIC_JOURNAL) {
            continue;
        }
        if (!outputs[i].present) {
            find(to, true, name, "create it (`tidemark init` does), or correct its name under topics",
                 "it is not there");
        } else if (i == TM_TOPIC_HEALTH && outputs[i].configured && !outputs[i].compacted) {
            find(to, false, name, "set cleanup.policy=compact: it holds one record an account", "it is not compacted");
        }
    }
}

/* What could not be looked at is not known to be right. */
static void check_looked_at(checking *to, const char *const *names, const tm_kafka_topic *topics, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (topics[i].present && !topics[i].configured) {
            find(to, false, names[i],
                 "allow DescribeConfigs on it (`tidemark check --permissions`), or compare them "
                 "with docs/operations.md yourself",
                 "its settings could not be looked at");
        }
    }
}

/* Creates the journal as it has to be and describes it anew. */
static tm_status make_journal(tm_kafka_admin *admin, const char *name, uint32_t partitions, tm_kafka_topic *ret_topic,
                              tm_error *error)
{
    const tm_kafka_topic_plan plan = {.name = name,
                                      .partitions = partitions,
                                      .replication = -1,
                                      .retention_ms = -1,
                                      .min_compaction_lag_ms = TM_KAFKA_UNSAID,
                                      .message_max = TM_JOURNAL_LINE_MAX};
    tm_status status = tm_kafka_admin_create(admin, &plan, 1, error);
    if (status == TM_OK) {
        tm_kafka_log(&admin->connection, TM_LOG_INFO, "journal_created", name);
        status = tm_kafka_admin_describe(admin, &name, 1, ret_topic, error);
    }
    return status;
}

tm_status tm_kafka_admin_check(tm_kafka_admin *admin, int64_t compaction_lag_ms, bool create_journal,
                               tm_kafka_finding report, void *report_context, uint32_t *ret_partitions, tm_error *error)
{
    enum { ALL = (int)TM_INPUTS + (int)TM_TOPICS };
    const tm_kafka_config *config = admin->connection.config;
    tm_error own;
    checking state = {report, report_context, false};
    tm_kafka_topic topics[ALL] = {{0}};
    tm_kafka_topic *outputs = topics + TM_INPUTS;
    const char *names[ALL];
    tm_kafka_topic found[ALL];
    int places[ALL];
    const char *journal = config->outputs[TM_TOPIC_JOURNAL];
    uint32_t count = 0;
    tm_status status;
    error = error != NULL ? error : &own;
    for (int i = 0; i < ALL; i++) {
        const char *name = i < TM_INPUTS ? config->inputs[i] : config->outputs[i - TM_INPUTS];
        if (name != NULL) {
            places[count] = i;
            names[count++] = name;
        }
    }
    status = tm_kafka_admin_describe(admin, names, count, found, error);
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        topics[places[i]] = found[i];
    }
    if (status == TM_REJECT) { /* a topic that we may not see, or that has a name that none can have */
        report(report_context, true, error);
        return tm_fail(error, TM_REJECT, "the topics are not as tidemark needs them");
    }
    if (status != TM_OK) {
        return status;
    }
    *ret_partitions = topics[TM_INPUT_USAGE].partitions;
    check_looked_at(&state, names, found, count);
    check_inputs(&state, config, topics, compaction_lag_ms);
    check_outputs(&state, config, outputs);
    if (journal != NULL && !outputs[TM_TOPIC_JOURNAL].present && create_journal && *ret_partitions > 0 &&
        !state.failed) {
        status = make_journal(admin, journal, *ret_partitions, &outputs[TM_TOPIC_JOURNAL], error);
        if (status == TM_RETRY) {
            return status;
        }
        if (status == TM_REJECT) {
            find(&state, true, journal, "let this user create it (Create on this topic), or create it yourself", "%s",
                 error->what);
        }
    } else if (journal != NULL && !outputs[TM_TOPIC_JOURNAL].present) {
        /* Nothing has to be put right before a start. */
        find(&state, false, journal, "`tidemark run` creates it", "it is not there");
    }
    if (journal != NULL && outputs[TM_TOPIC_JOURNAL].present) {
        check_journal(&state, journal, &outputs[TM_TOPIC_JOURNAL], &topics[TM_INPUT_USAGE]);
    }
    return state.failed ? tm_fail(error, TM_REJECT, "the topics are not as tidemark needs them") : TM_OK;
}
