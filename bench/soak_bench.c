/* A stream of events that is the same at every run, for hours: into a topic, so many a second, or onto standard output.

     bench_soak BROKERS TOPIC FIRST_MS DAYS EVENTS PER_SECOND ACCOUNTS      into Kafka
     bench_soak -       -     FIRST_MS DAYS EVENTS 0          ACCOUNTS      as lines

   Event i of EVENTS has the i-th of as many even steps from FIRST_MS (ms since 1970) over DAYS days, whenever it is
   sent; record timestamps are the events' own. In each week some accounts do little and some nothing, so that rules
   have something to say. The producer is idempotent and never gives up: what a broker's death delays is neither lost,
   doubled nor put out of order. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tidemark/base/calendar.h"

static const char *const names[] = {"session_started", "record_created", "record_edited",    "report_viewed",
                                    "search_run",      "export_run",     "dashboard_viewed", "comment_added"};

typedef struct stream {
    tm_time first;
    uint64_t span, events, accounts; /* span: ms from the first event to the end */
} stream;

typedef struct line {
    char key[32], value[512];
    int key_length, value_length;
    tm_time at;
} line;

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Of 100 events that would be this account's in this week, how many are. */
static uint64_t liveliness(uint64_t account, uint64_t week)
{
    uint64_t z = mixed(account * UINT64_C(1000003) + week + 1) % 10;
    return z == 0 ? 0 : z == 1 ? 20 : 100;
}

static void make(const stream *s, uint64_t i, line *ret_line)
{
    uint64_t offset = (uint64_t)((unsigned __int128)i * s->span / s->events), week = offset / (7 * (uint64_t)TM_DAY);
    uint64_t z = mixed(i + 1), account = z % s->accounts;
    for (uint64_t k = 1; (z >> 24) % 100 >= liveliness(account, week) && k < 8; k++)
        account = mixed(z + k) % s->accounts;
    ret_line->at = s->first + (tm_time)offset;
    char when[TM_TIME_TEXT];
    tm_time_format(ret_line->at, when);
    ret_line->key_length = snprintf(ret_line->key, sizeof ret_line->key, "account-%07llu", (unsigned long long)account);
    ret_line->value_length = snprintf(
        ret_line->value, sizeof ret_line->value,
        "{\"id\":\"%012llx\",\"account\":\"%s\",\"event\":\"%s\",\"at\":\"%s\",\"user\":\"u%llu@%s.example.com\","
        "\"source\":\"web\",\"properties\":{\"ok\":true,\"ms\":%llu,\"page\":\"/app/reports/%llu\"}}",
        (unsigned long long)i, ret_line->key, names[(z >> 20) % 8], when, (unsigned long long)(z >> 32) % 12,
        ret_line->key, (unsigned long long)(z >> 44) % 900, (unsigned long long)(z >> 50));
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static rd_kafka_t *connect_to(const char *brokers)
{
    const char *settings[][2] = {{"bootstrap.servers", brokers},
                                 {"partitioner", "murmur2_random"},
                                 {"enable.idempotence", "true"},
                                 {"message.timeout.ms", "0"},
                                 {"compression.type", "lz4"},
                                 {"linger.ms", "20"},
                                 {"batch.size", "500000"},
                                 {"queue.buffering.max.messages", "2000000"},
                                 {"queue.buffering.max.kbytes", "1000000"},
                                 {"log_level", "0"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", why);
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!producer)
        fprintf(stderr, "%s\n", why);
    return producer;
}

static int send_all(const stream *s, const char *brokers, const char *topic_name, uint64_t per_second)
{
    static line l;
    rd_kafka_t *producer = connect_to(brokers);
    rd_kafka_topic_t *topic = producer ? rd_kafka_topic_new(producer, topic_name, NULL) : NULL;
    if (!topic)
        return 70;
    double begun = seconds();
    for (uint64_t i = 0; i < s->events; i++) {
        make(s, i, &l);
        while (rd_kafka_producev(producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(l.key, (size_t)l.key_length),
                                 RD_KAFKA_V_VALUE(l.value, (size_t)l.value_length), RD_KAFKA_V_TIMESTAMP(l.at),
                                 RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer, 20);
        if (i % 256 != 0)
            continue;
        rd_kafka_poll(producer, 0);
        for (double due = begun + (double)i / (double)per_second; seconds() < due;)
            rd_kafka_poll(producer, 2);
    }
    double sent = seconds() - begun;
    while (rd_kafka_outq_len(producer) > 0)
        rd_kafka_flush(producer, 1000);
    printf("{\"events\":%llu,\"seconds\":%.1f}\n", (unsigned long long)s->events, sent);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: bench_soak BROKERS TOPIC FIRST_MS DAYS EVENTS PER_SECOND ACCOUNTS\n"
                        "       bench_soak - - FIRST_MS DAYS EVENTS 0 ACCOUNTS\n");
        return 64;
    }
    stream s = {.first = strtoll(argv[3], NULL, 10),
                .span = strtoull(argv[4], NULL, 10) * (uint64_t)TM_DAY,
                .events = strtoull(argv[5], NULL, 10),
                .accounts = strtoull(argv[7], NULL, 10)};
    if (strcmp(argv[1], "-") != 0)
        return send_all(&s, argv[1], argv[2], strtoull(argv[6], NULL, 10));
    static line l;
    for (uint64_t i = 0; i < s.events; i++) {
        make(&s, i, &l);
        if (printf("%.*s\n", l.value_length, l.value) < 0)
            return 74;
    }
    return fflush(stdout) == 0 ? 0 : 74;
}
