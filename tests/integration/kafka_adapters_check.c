/* Runs the contracts of `source` and `publisher` and the Kafka adapters' own checks against a real broker:

     kafka_adapters_check BROKERS [PART OF A NAME]

   The check named "kafka outlives its broker" runs only when it is asked for: it prints "? kill", "? start", "? freeze"
   or "? thaw" and waits for a line once that was done to the broker.

   Prints "ok NAME" or "not ok NAME: why" a line, exits 1 when one failed. Driven by test_kafka_adapters.py. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "contract/publisher_contract.h"
#include "contract/source_contract.h"
#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/kafka/publisher.h"
#include "tidemark/adapters/kafka/source.h"

#define OUTAGE "kafka outlives its broker"

enum { NAME = 64, MEMBERS = 2, ASK_MS = 10000 };

typedef struct kafka_world {
    const char *brokers;
    unsigned run; /* counts resets */
    char names[TM_INPUTS + TM_TOPICS][NAME];
    char group[NAME];
    tm_kafka_config configs[MEMBERS];
    tm_clock clock;
    tm_log log;
    tm_kafka_source *sources[MEMBERS];
    rd_kafka_t *producer; /* for `append` */
    rd_kafka_t *holder;   /* for `hold` */
} kafka_world;

static int64_t steady(void *context)
{
    struct timespec now;
    (void)context;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lines of the log go to standard error with TM_TEST_LOG set. */
static void write_log(void *context, tm_log_level level, const char *event, const char *message,
                      const tm_log_field *fields, uint32_t count)
{
    (void)context;
    (void)fields;
    (void)count;
    if (getenv("TM_TEST_LOG") != NULL) {
        (void)fprintf(stderr, "[%d] %s: %s\n", (int)level, event, message);
    }
}

static rd_kafka_t *open_producer(const kafka_world *world, const char *transactional_id)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *handle;
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", world->brokers, text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof(text));
    if (transactional_id != NULL) {
        (void)rd_kafka_conf_set(conf, "transactional.id", transactional_id, text, sizeof(text));
        (void)rd_kafka_conf_set(conf, "transaction.timeout.ms", "60000", text, sizeof(text));
    }
    handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (handle == NULL) {
        (void)fprintf(stderr, "%s\n", text);
        exit(2);
    }
    return handle;
}

static bool create_topics(kafka_world *world, uint32_t usage, uint32_t accounts)
{
    tm_kafka_topic_plan plans[TM_INPUTS + TM_TOPICS];
    tm_kafka_admin *admin = NULL;
    tm_error error;
    bool made;
    for (int i = 0; i < TM_INPUTS + TM_TOPICS; i++) {
        plans[i] = (tm_kafka_topic_plan){.name = world->names[i],
                                         .partitions = i == TM_INPUT_ACCOUNTS ? accounts : usage,
                                         .replication = 1,
                                         .compacted = i == TM_INPUT_ACCOUNTS || i == TM_INPUTS + TM_TOPIC_HEALTH,
                                         .retention_ms = -1,
                                         .message_max =
                                             i == TM_INPUTS + TM_TOPIC_JOURNAL ? TM_JOURNAL_LINE_MAX : TM_KAFKA_UNSAID,
                                         .min_compaction_lag_ms = i == TM_INPUT_ACCOUNTS ? 86400000 : TM_KAFKA_UNSAID};
    }
    made = tm_kafka_admin_new(&world->configs[0], &admin, &error) == TM_OK &&
           tm_kafka_admin_create(admin, plans, TM_INPUTS + TM_TOPICS, &error) == TM_OK;
    if (!made) {
        (void)fprintf(stderr, "topics: %s\n", error.what);
    }
    tm_kafka_admin_free(admin);
    return made;
}

static bool reset_with(kafka_world *world, uint32_t usage, uint32_t accounts)
{
    static const char *const roles[] = {"usage",      "accounts", "churn-risk", "expansion",
                                        "advisories", "health",   "dlq",        "journal"};
    unsigned run = ++world->run;
    for (int i = 0; i < TM_INPUTS + TM_TOPICS; i++) {
        (void)snprintf(world->names[i], NAME, "k%ld-%u-%s", (long)getpid(), run, roles[i]);
    }
    (void)snprintf(world->group, NAME, "k%ld-%u", (long)getpid(), run);
    for (uint32_t m = 0; m < MEMBERS; m++) {
        tm_kafka_config *config = &world->configs[m];
        *config = (tm_kafka_config){.brokers = world->brokers, .group = world->group, .instance = "one", .worker = m};
        config->clock = &world->clock;
        config->log = &world->log;
        for (int i = 0; i < TM_INPUTS; i++) {
            config->inputs[i] = world->names[i];
        }
        for (int i = 0; i < TM_TOPICS; i++) {
            config->outputs[i] = world->names[TM_INPUTS + i];
        }
        world->sources[m] = NULL;
    }
    if (world->holder != NULL) {
        rd_kafka_destroy(world->holder);
        world->holder = NULL;
    }
    return create_topics(world, usage, accounts);
}

static bool reset(void *context)
{
    return reset_with(context, CONTRACT_PARTITIONS, CONTRACT_PARTITIONS);
}

static tm_source make_source(void *context, uint32_t member)
{
    kafka_world *world = context;
    tm_error error;
    if (tm_kafka_source_new(&world->configs[member], &world->sources[member], &error) != TM_OK) {
        (void)fprintf(stderr, "source: %s\n", error.what);
        exit(2);
    }
    return tm_kafka_source_port(world->sources[member]);
}

static tm_publisher make_publisher(void *context, uint32_t member, const tm_source *source)
{
    kafka_world *world = context;
    tm_kafka_publisher *publisher = NULL;
    tm_error error;
    (void)source;
    if (tm_kafka_publisher_new(&world->configs[member], world->sources[member], &publisher, &error) != TM_OK) {
        (void)fprintf(stderr, "publisher: %s\n", error.what);
        exit(2);
    }
    return tm_kafka_publisher_port(publisher);
}

static rd_kafka_resp_err_t produce(rd_kafka_t *producer, const char *topic, int32_t partition, const char *key,
                                   const char *value, tm_time timestamp)
{
    const rd_kafka_vu_t words[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = timestamp},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key, key != NULL ? strlen(key) : 0}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value, value != NULL ? strlen(value) : 0}},
    };
    rd_kafka_error_t *failure = rd_kafka_produceva(producer, words, sizeof(words) / sizeof(words[0]));
    rd_kafka_resp_err_t code = failure != NULL ? rd_kafka_error_code(failure) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_destroy(failure);
    return code;
}

/* The offset is that of a plain log: the number of records before it. */
static int64_t append(void *context, tm_input input, int32_t partition, const char *key, const char *value,
                      tm_time timestamp)
{
    static int64_t counts[TM_INPUTS][CONTRACT_PARTITIONS];
    static unsigned run;
    kafka_world *world = context;
    rd_kafka_resp_err_t code;
    if (run != world->run) {
        memset(counts, 0, sizeof(counts));
        run = world->run;
    }
    do {
        code = produce(world->producer, world->names[input], partition, key, value, timestamp);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && rd_kafka_poll(world->producer, 10) >= 0);
    (void)rd_kafka_poll(world->producer, 0);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? counts[input][partition]++ : -1;
}

static bool hold(void *context, tm_input input, int32_t partition, bool open)
{
    kafka_world *world = context;
    rd_kafka_error_t *failure = NULL;
    bool done;
    (void)rd_kafka_flush(world->producer, ASK_MS);
    if (world->holder == NULL) {
        world->holder = open_producer(world, world->group);
        failure = rd_kafka_init_transactions(world->holder, ASK_MS);
    }
    if (failure == NULL && open) {
        failure = rd_kafka_begin_transaction(world->holder);
        if (failure == NULL) {
            (void)produce(world->holder, world->names[input], partition, NULL, "held", 1);
            (void)rd_kafka_flush(world->holder, ASK_MS);
        }
    } else if (failure == NULL) {
        failure = rd_kafka_abort_transaction(world->holder, ASK_MS);
    }
    done = failure == NULL;
    rd_kafka_error_destroy(failure);
    return done;
}

/* Reads an output partition to its last stable offset with a plain consumer that shares no code with the adapters. */
static int64_t read_output(kafka_world *world, tm_topic topic, int32_t partition, int64_t wanted, char *text,
                           size_t size)
{
    char message_text[256];
    const char *name = world->names[TM_INPUTS + topic];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *consumer;
    rd_kafka_topic_t *handle;
    int64_t count = 0;
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", world->brokers, message_text, sizeof(message_text));
    (void)rd_kafka_conf_set(conf, "enable.partition.eof", "true", message_text, sizeof(message_text));
    (void)rd_kafka_conf_set(conf, "isolation.level", "read_committed", message_text, sizeof(message_text));
    consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, message_text, sizeof(message_text));
    handle = rd_kafka_topic_new(consumer, name, NULL);
    (void)rd_kafka_consume_start(handle, partition, RD_KAFKA_OFFSET_BEGINNING);
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consume(handle, partition, ASK_MS);
        rd_kafka_resp_err_t code = message != NULL ? message->err : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count++ == wanted) {
            rd_kafka_headers_t *headers = NULL;
            int used = snprintf(text, size, "%.*s|%.*s|%" PRId64 "|", message->key != NULL ? (int)message->key_len : 1,
                                message->key != NULL ? (const char *)message->key : "-",
                                message->payload != NULL ? (int)message->len : 1,
                                message->payload != NULL ? (const char *)message->payload : "-",
                                rd_kafka_message_timestamp(message, NULL));
            if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
                const char *header;
                const void *value;
                size_t length;
                for (size_t i = 0; rd_kafka_header_get_all(headers, i, &header, &value, &length) == 0; i++) {
                    used += snprintf(text + used, size - (size_t)used, "%s%s=%.*s", i > 0 ? "," : "", header,
                                     (int)length, (const char *)value);
                }
            }
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            count = code == RD_KAFKA_RESP_ERR__PARTITION_EOF ? count : -1;
            break;
        }
    }
    (void)rd_kafka_consume_stop(handle, partition);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(consumer);
    return count;
}

static int64_t output_count(void *context, tm_topic topic, int32_t partition)
{
    return read_output(context, topic, partition, -1, NULL, 0);
}

static bool output(void *context, tm_topic topic, int32_t partition, int64_t number, char *text, size_t size)
{
    return read_output(context, topic, partition, number, text, size) > number;
}

#include "kafka_checks.h"

int main(int count, char **arguments)
{
    kafka_world world = {
        .brokers = count > 1 ? arguments[1] : "", .clock = {.steady = steady}, .log = {NULL, write_log}};
    const contract_world port = {.context = &world,
                                 .reset = reset,
                                 .source = make_source,
                                 .publisher = make_publisher,
                                 .append = append,
                                 .hold = hold,
                                 .output_count = output_count,
                                 .output = output};
    const struct {
        const contract_entry *entries;
        size_t count;
    } lists[] = {
        {source_contract, sizeof(source_contract) / sizeof(source_contract[0])},
        {publisher_contract, sizeof(publisher_contract) / sizeof(publisher_contract[0])},
        {kafka_checks, sizeof(kafka_checks) / sizeof(kafka_checks[0])},
    };
    int failed = 0;
    if (count < 2) {
        (void)fprintf(stderr, "usage: kafka_adapters_check BROKERS [PART OF A NAME]\n");
        return 64;
    }
    world.producer = open_producer(&world, NULL);
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        for (size_t i = 0; i < lists[l].count; i++) {
            const contract_entry *entry = &lists[l].entries[i];
            contract_report report = {""};
            struct timespec begun;
            struct timespec ended;
            bool passed;
            if (count > 2 ? strstr(entry->name, arguments[2]) == NULL : strcmp(entry->name, OUTAGE) == 0) {
                continue;
            }
            (void)clock_gettime(CLOCK_MONOTONIC, &begun);
            passed = reset(&world) && entry->test(&port, &report);
            (void)clock_gettime(CLOCK_MONOTONIC, &ended);
            failed += passed ? 0 : 1;
            (void)printf("%s %s%s%s (%.1f s)\n", passed ? "ok" : "not ok", entry->name, passed ? "" : ": ", report.text,
                         (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
            (void)fflush(stdout);
        }
    }
    if (world.holder != NULL) {
        rd_kafka_destroy(world.holder);
    }
    rd_kafka_destroy(world.producer);
    return failed > 0 ? 1 : 0;
}
