/* The Kafka adapters against librdkafka's broker in this process. librdkafka ends the process when it is refused memory
   (rd_malloc and its kin assert), so what it asks for itself, or another library for it, does not count and is not
   refused; what the adapters ask for is, also where librdkafka calls them. A life from the topics to the end of the
   group: each call succeeds, or says why not and succeeds when it is made again. */
#include <stdio.h>
#include <string.h>

#include "torture.h"

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/kafka/edges.h"
#include "tidemark/adapters/kafka/journal.h"
#include "tidemark/adapters/kafka/loader.h"
#include "tidemark/adapters/kafka/mock.h"
#include "tidemark/adapters/kafka/publisher.h"
#include "tidemark/adapters/kafka/tap.h"
#include "tidemark/adapters/system/clock.h"

enum { PARTITIONS = 2, RECORDS = 6, TRIES = 400 };

static const char *const topics[] = {"usage",      "accounts", "churn-risk", "expansion",
                                     "advisories", "health",   "dlq",        "journal"};

typedef struct life {
    tm_kafka_mock *mock;
    tm_clock clock;
    tm_kafka_config config;
    tm_kafka_loader *loader;
    tm_kafka_admin *admin;
    tm_kafka_source *from;
    tm_kafka_publisher *to;
    tm_kafka_journal *lines;
    tm_kafka_tap *tap;
    tm_source source;
    tm_publisher publisher;
    int32_t assigned;
    uint32_t got;
    tm_error error;
    const char *wrong;
} life;

/* Whether a call is to be made once more; what it did not do, it has to say. */
static bool again(life *l, tm_status status)
{
    torture_arm(false);
    if (l->wrong || status == TM_OK)
        return false;
    if (!l->error.what[0])
        l->wrong = torture_say("%s without a word", tm_status_name(status));
    else if (status == TM_REJECT || (status == TM_FATAL && !torture_refused()))
        l->wrong = torture_say("%s: %s", tm_status_name(status), l->error.what);
    return !l->wrong;
}

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        bool more_ = !l->wrong;                                                                                        \
        for (int i_ = 0; more_ && i_ < TRIES; i_++) {                                                                  \
            l->error = (tm_error){0};                                                                                  \
            torture_arm(true);                                                                                         \
            more_ = again(l, (call));                                                                                  \
        }                                                                                                              \
        if (more_)                                                                                                     \
            l->wrong = torture_say("it does not recover: %s", l->error.what);                                          \
    } while (0)

static void assigned(void *context, const int32_t *partitions, uint32_t count)
{
    (void)partitions;
    ((life *)context)->assigned = (int32_t)count;
}

static void revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    (void)context, (void)partitions, (void)count, (void)lost;
}

static tm_status feed_all(life *l)
{
    for (int i = 0; i < RECORDS; i++) {
        char key[8], value[16];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "value %d", i);
        tm_status status = tm_kafka_loader_send(l->loader, i % 2 ? TM_INPUT_USAGE : TM_INPUT_ACCOUNTS, tm_slice_of(key),
                                                tm_slice_of(value), 1000 + i, &l->error);
        if (status != TM_OK)
            return status;
    }
    return tm_kafka_loader_flush(l->loader, &l->error);
}

/* Polls until everything is there; each partition's records come in order, once. */
static tm_status poll_all(life *l)
{
    tm_source_record records[16];
    static int64_t next[TM_INPUTS][PARTITIONS];
    uint32_t count = 0;
    if (l->got == 0)
        memset(next, 0, sizeof next);
    tm_status status = l->source.poll(l->source.context, 100, records, 16, &count, &l->error);
    for (uint32_t i = 0; i < count; i++) {
        tm_source_header headers[TM_SOURCE_HEADERS_MAX];
        (void)l->source.headers(l->source.context, &records[i], headers);
        if (records[i].offset != next[records[i].input][records[i].partition]++)
            l->wrong = torture_say("offset %d", (int)records[i].offset);
        l->got++;
        l->source.release(l->source.context, &records[i]);
    }
    if (status == TM_OK && l->got < RECORDS)
        return tm_fail(&l->error, TM_RETRY, "%u of %d records came", l->got, (int)RECORDS);
    return status;
}

static tm_status join_and_wait(life *l)
{
    tm_source_record none;
    uint32_t count;
    tm_status status = l->source.poll(l->source.context, 100, &none, 1, &count, &l->error);
    return status == TM_OK && l->assigned != PARTITIONS ? tm_fail(&l->error, TM_RETRY, "nothing is assigned") : status;
}

static tm_status start_all(life *l)
{
    tm_status status = TM_OK;
    for (int i = 0; i < TM_INPUTS * PARTITIONS && status == TM_OK; i++)
        status = l->source.start(l->source.context, (tm_input)(i % TM_INPUTS), i / TM_INPUTS, 0, &l->error);
    return status;
}

/* One transaction, as the ledger makes it. */
static tm_status publish(life *l)
{
    static const int32_t partitions[] = {0, 1};
    static const tm_position positions[] = {{{2, 1}, 1}, {{1, 2}, 1}};
    const tm_publisher *p = &l->publisher;
    tm_output outputs[] = {
        {.topic = TM_TOPIC_CHURN_RISK, .partition = -1, .key = TM_SLICE_LITERAL("a"), .value = TM_SLICE_LITERAL("s")},
        {.topic = TM_TOPIC_JOURNAL, .partition = 1, .value = TM_SLICE_LITERAL("a line")}};
    outputs[0].headers[0].name = "content-type";
    outputs[0].headers[0].value = TM_SLICE_LITERAL("application/json");
    outputs[0].header_count = 1;
    tm_status status = p->initialise(p->context, &l->error);
    if (status == TM_OK)
        status = p->begin(p->context, &l->error);
    for (int i = 0; i < 2 && status == TM_OK; i++) {
        outputs[i].timestamp = 5000;
        status = p->send(p->context, &outputs[i], &l->error);
    }
    return status == TM_OK ? p->commit(p->context, partitions, positions, 2, &l->error) : status;
}

static tm_status read_journal(life *l)
{
    tm_journal_source journal = tm_kafka_journal_port(l->lines);
    tm_slice line = {0};
    bool whole;
    tm_status status = journal.open(journal.context, 1, -1, &whole, &l->error);
    if (status == TM_OK)
        status = journal.next(journal.context, &line, &l->error);
    if (status == TM_OK && !tm_slice_equal_text(line, "a line"))
        l->wrong = "the journal has another line";
    journal.close(journal.context);
    return status;
}

static tm_status look(life *l)
{
    tm_kafka_edge edges[PARTITIONS];
    tm_status status = tm_kafka_admin_edges(l->admin, "usage", PARTITIONS, 5000, edges, &l->error);
    if (status == TM_OK && edges[0].end + edges[1].end != RECORDS / 2)
        l->wrong = "the topic ends elsewhere";
    return status;
}

static tm_status ask_bounds(life *l)
{
    int64_t first, end, reached;
    int32_t partition = 0;
    tm_position committed;
    tm_status status = l->source.bounds(l->source.context, TM_INPUT_USAGE, 0, &first, &end, &reached, &l->error);
    if (status == TM_OK)
        status = l->source.pause(l->source.context, TM_INPUT_USAGE, 0, true, &l->error);
    return status == TM_OK ? l->source.committed(l->source.context, &partition, 1, &committed, &l->error) : status;
}

static const char *run_kafka(void)
{
    static const tm_topic tapped[] = {TM_TOPIC_CHURN_RISK};
    life it = {.clock = tm_system_clock()}, *l = &it;
    torture_spare("librdkafka");
    it.config = (tm_kafka_config){.group = "t", .instance = "one", .clock = &it.clock};
    for (int i = 0; i < TM_INPUTS; i++)
        it.config.inputs[i] = topics[i];
    for (int i = 0; i < TM_TOPICS; i++)
        it.config.outputs[i] = topics[TM_INPUTS + i];
    TRY(tm_kafka_mock_new(topics, sizeof topics / sizeof *topics, PARTITIONS, &it.mock, &it.error));
    if (it.wrong)
        goto out;
    it.config.brokers = tm_kafka_mock_brokers(it.mock);
    TRY(tm_kafka_config_check(&it.config, &it.error));
    TRY(tm_kafka_loader_new(&it.config, &it.loader, &it.error));
    TRY(feed_all(l));
    TRY(tm_kafka_admin_new(&it.config, &it.admin, &it.error));
    TRY(tm_kafka_admin_connect(it.admin, 5000, &it.error));
    TRY(look(l));
    TRY(tm_kafka_source_new(&it.config, &it.from, &it.error));
    if (it.wrong)
        goto out;
    it.source = tm_kafka_source_port(it.from);
    TRY(tm_kafka_publisher_new(&it.config, it.from, &it.to, &it.error));
    if (it.wrong)
        goto out;
    it.publisher = tm_kafka_publisher_port(it.to);
    const tm_source_listener listener = {l, assigned, revoked};
    TRY(it.source.join(it.source.context, &listener, &it.error));
    TRY(join_and_wait(l));
    TRY(start_all(l));
    TRY(poll_all(l));
    TRY(publish(l));
    TRY(ask_bounds(l));
    TRY(tm_kafka_journal_new(&it.config, &it.lines, &it.error));
    TRY(read_journal(l));
    TRY(tm_kafka_tap_new(&it.config, tapped, 1, &it.tap, &it.error));
    tm_tapped record;
    torture_arm(true);
    bool found = !it.wrong && tm_kafka_tap_next(it.tap, 5000, &record);
    torture_arm(false);
    if (!it.wrong && (!found || !tm_slice_equal_text(record.value, "s")))
        it.wrong = "what was published is not found";
out:
    torture_arm(true);
    tm_kafka_tap_free(it.tap);
    tm_kafka_journal_free(it.lines);
    if (it.from)
        it.source.leave(it.source.context);
    if (it.to)
        it.publisher.close(it.publisher.context);
    tm_kafka_admin_free(it.admin);
    tm_kafka_loader_free(it.loader);
    torture_arm(false);
    tm_kafka_mock_free(it.mock);
    torture_spare(NULL);
    return it.wrong;
}

const torture_scenario torture_kafka[] = {
    {"kafka", "the Kafka adapters on librdkafka's own broker", TORTURE_SLOW | TORTURE_RECOVER, NULL, run_kafka},
};
const uint32_t torture_kafka_count = sizeof torture_kafka / sizeof *torture_kafka;
