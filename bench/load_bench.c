/* Fills a topic with usage events of about 342 bytes, as fast as a broker takes them:

     bench_load BROKERS TOPIC EVENTS ACCOUNTS DAYS

   Events are spread over the days in order of time; record timestamps are the events' own. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/calendar.h"

static const char *const names[] = {"session_started", "record_created", "record_edited",    "report_viewed",
                                    "search_run",      "export_run",     "dashboard_viewed", "comment_added"};

static unsigned long long failures;

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    (void)opaque;
    failures += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bench_load BROKERS TOPIC EVENTS ACCOUNTS DAYS\n");
        return 64;
    }
    uint64_t events = strtoull(argv[3], NULL, 10), accounts = strtoull(argv[4], NULL, 10),
             days = strtoull(argv[5], NULL, 10);
    const char *settings[][2] = {{"bootstrap.servers", argv[1]},
                                 {"partitioner", "murmur2_random"},
                                 {"linger.ms", "50"},
                                 {"batch.size", "1000000"},
                                 {"queue.buffering.max.messages", "1000000"},
                                 {"queue.buffering.max.kbytes", "400000"},
                                 {"acks", "1"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", why);
            return 70;
        }
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_topic_t *topic = producer ? rd_kafka_topic_new(producer, argv[2], NULL) : NULL;
    if (!topic) {
        fprintf(stderr, "%s\n", why);
        return 70;
    }
    tm_time start = INT64_C(1767225600000); /* 2026-01-01T00:00:00Z */
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < events; i++) {
        uint64_t z = mixed(i + 1);
        uint64_t account = z % accounts, user = (z >> 32) % 12;
        tm_time at = start + (tm_time)((double)i / (double)events * (double)days * (double)TM_DAY);
        char key[32], value[512], when[TM_TIME_TEXT];
        tm_time_format(at, when);
        int key_length = snprintf(key, sizeof key, "account-%07llu", (unsigned long long)account);
        int length =
            snprintf(value, sizeof value,
                     "{\"id\":\"0190c3a2-%012llx\",\"account\":\"%s\",\"event\":\"%s\",\"at\":\"%s\",\"user\":\"u%llu@%"
                     "s.example.com\","
                     "\"source\":\"web\",\"properties\":{\"ok\":true,\"feature\":\"insight\",\"ms\":%llu,\"page\":\"/"
                     "app/reports/%llu\","
                     "\"browser\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"session\":\"%016llx\",\"plan\":\"business\"}}",
                     (unsigned long long)i, key, names[(z >> 20) % 8], when, (unsigned long long)user, key,
                     (unsigned long long)(z >> 44) % 900, (unsigned long long)(z >> 50), (unsigned long long)z);
        bytes += (uint64_t)length;
        while (rd_kafka_producev(producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(key, (size_t)key_length), RD_KAFKA_V_VALUE(value, (size_t)length),
                                 RD_KAFKA_V_TIMESTAMP(at), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer, 20);
        if (i % 1000 == 0)
            rd_kafka_poll(producer, 0);
    }
    rd_kafka_flush(producer, 120000);
    printf("{\"events\":%llu,\"bytes_per_event\":%.1f,\"failures\":%llu}\n", (unsigned long long)events,
           (double)bytes / (double)events, failures);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return failures ? 1 : 0;
}
