/* The speed of light: a librdkafka consumer that only counts bytes, from the beginning of a topic to its end.

     bench_raw BROKERS TOPIC PARTITIONS */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_raw BROKERS TOPIC PARTITIONS\n");
        return 64;
    }
    int partitions = (int)strtol(argv[3], NULL, 10);
    const char *settings[][2] = {{"bootstrap.servers", argv[1]},   {"group.id", "raw"},
                                 {"enable.auto.commit", "false"},  {"enable.auto.offset.store", "false"},
                                 {"enable.partition.eof", "true"}, {"isolation.level", "read_committed"},
                                 {"auto.offset.reset", "earliest"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", why);
            return 70;
        }
    }
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!consumer) {
        fprintf(stderr, "%s\n", why);
        return 70;
    }
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, argv[2], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    struct timespec first = {0}, last = {0};
    unsigned long long count = 0, bytes = 0;
    int ended = 0;
    rd_kafka_message_t *batch[1000];
    while (ended < partitions) {
        rd_kafka_message_t *one = rd_kafka_consumer_poll(consumer, 100);
        ssize_t more = one ? rd_kafka_consume_batch_queue(queue, 0, batch + 1, 999) : 0;
        batch[0] = one;
        for (ssize_t i = 0; one && i <= more; i++) {
            if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                ended++;
            else if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                if (count++ == 0)
                    clock_gettime(CLOCK_MONOTONIC, &first);
                bytes += batch[i]->len;
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &last);
    double seconds = (double)(last.tv_sec - first.tv_sec) + 1e-9 * (double)(last.tv_nsec - first.tv_nsec);
    printf("{\"events\":%llu,\"bytes\":%llu,\"seconds\":%.3f,\"events_per_second\":%.0f}\n", count, bytes, seconds,
           (double)count / seconds);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}
