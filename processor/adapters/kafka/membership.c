#include "tidemark/adapters/kafka/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Generation ---- */

enum { GENERATION_BYTES = 4 };

static tm_status write_membership(const rd_kafka_consumer_group_metadata_t *membership, void **ret_bytes,
                                  size_t *ret_size)
{
    rd_kafka_error_t *failure = rd_kafka_consumer_group_metadata_write(membership, ret_bytes, ret_size);
    if (failure != NULL) {
        rd_kafka_error_destroy(failure);
        return TM_FATAL;
    }
    return TM_OK;
}

/* librdkafka has no accessor for the generation, and the written form is its own affair: the place is found by writing
   two memberships that differ in the generation alone. -1 where that shows no plain 32-bit number. */
int64_t tm_kafka_generation_place(void)
{
    const int32_t numbers[2] = {0x01020304, 0x7A6B5C4D};
    rd_kafka_consumer_group_metadata_t *memberships[2] = {NULL, NULL};
    void *bytes[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    int64_t found = -1;
    bool written = true;
    for (int i = 0; i < 2; i++) {
        memberships[i] = rd_kafka_consumer_group_metadata_new_with_genid("group", numbers[i], "member", "instance");
        written = written && memberships[i] != NULL && write_membership(memberships[i], &bytes[i], &sizes[i]) == TM_OK;
    }
    if (written && sizes[0] == sizes[1]) {
        const char *a = bytes[0];
        const char *b = bytes[1];
        size_t at = 0;
        while (at < sizes[0] && a[at] == b[at]) {
            at++;
        }
        if (at + GENERATION_BYTES <= sizes[0] && memcmp(a + at, &numbers[0], GENERATION_BYTES) == 0 &&
            memcmp(b + at, &numbers[1], GENERATION_BYTES) == 0 &&
            memcmp(a + at + GENERATION_BYTES, b + at + GENERATION_BYTES, sizes[0] - at - GENERATION_BYTES) == 0) {
            found = (int64_t)at;
        }
    }
    for (int i = 0; i < 2; i++) {
        rd_kafka_mem_free(NULL, bytes[i]);
        if (memberships[i] != NULL) {
            rd_kafka_consumer_group_metadata_destroy(memberships[i]);
        }
    }
    return found;
}

int64_t tm_kafka_generation_read(const rd_kafka_consumer_group_metadata_t *membership, int64_t place)
{
    void *bytes = NULL;
    size_t size = 0;
    int64_t generation = -1;
    if (place >= 0 && write_membership(membership, &bytes, &size) == TM_OK &&
        (size_t)place + GENERATION_BYTES <= size) {
        int32_t number;
        memcpy(&number, (const char *)bytes + place, GENERATION_BYTES);
        generation = number >= 0 ? number : -1;
    }
    rd_kafka_mem_free(NULL, bytes);
    return generation;
}

/* ---- Positions ---- */

rd_kafka_topic_partition_list_t *tm_kafka_offsets_of(const tm_kafka_config *config, const int32_t *partitions,
                                                     const tm_position *positions, uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)(count * TM_INPUTS));
    for (uint32_t i = 0; i < count; i++) {
        char number[48];
        int length = positions[i].claim > 0 ? snprintf(number, sizeof(number), "%" PRId64 " %" PRId64,
                                                       positions[i].commit, positions[i].claim)
                                            : snprintf(number, sizeof(number), "%" PRId64, positions[i].commit);
        for (int input = 0; input < TM_INPUTS; input++) {
            rd_kafka_topic_partition_t *part;
            if (positions[i].next[input] < 0 || config->inputs[input] == NULL) {
                continue;
            }
            part = rd_kafka_topic_partition_list_add(list, config->inputs[input], partitions[i]);
            part->offset = positions[i].next[input];
            part->metadata = malloc((size_t)length + 1); /* freed with the list, by librdkafka, which uses free() */
            if (part->metadata == NULL) {
                rd_kafka_topic_partition_list_destroy(list);
                return NULL;
            }
            memcpy(part->metadata, number, (size_t)length + 1);
            part->metadata_size = (size_t)length;
        }
    }
    return list;
}

/* Plain decimal without leading zeros; -1 for anything else. */
static int64_t read_number(const char *text, size_t length)
{
    int64_t number = 0;
    if (length == 0 || length > 18 || text[0] == '0') {
        return length == 1 && text[0] == '0' ? 0 : -1;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* Adds what one partition of one input says to a position that starts as {-1, -1}, 0. */
static void merge_committed(const rd_kafka_topic_partition_t *part, uint32_t input, bool first, tm_position *position)
{
    const char *text = part->metadata != NULL ? part->metadata : "";
    size_t length = part->metadata != NULL ? part->metadata_size : 0;
    const char *space = memchr(text, ' ', length);
    size_t digits = space != NULL ? (size_t)(space - text) : length;
    int64_t commit = read_number(text, digits);
    int64_t claim = space != NULL ? read_number(space + 1, length - digits - 1) : 0;
    position->next[input] = part->offset;
    position->commit = claim >= 0 && (first || commit == position->commit) ? commit : -1;
    position->claim = first || claim == position->claim ? claim : 0;
}

tm_status tm_kafka_committed(const tm_kafka_connection *connection, const int32_t *partitions, uint32_t count,
                             tm_position *ret_positions, tm_error *error)
{
    const tm_kafka_config *config = connection->config;
    uint32_t inputs = config->inputs[TM_INPUT_ACCOUNTS] != NULL ? TM_INPUTS : 1;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    tm_status status = TM_OK;
    if (connection->handle == NULL) {
        return tm_fail(error, TM_FATAL, "committed before join");
    }
    list = rd_kafka_topic_partition_list_new((int)(count * inputs));
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t input = 0; input < inputs; input++) {
            (void)rd_kafka_topic_partition_list_add(list, config->inputs[input], partitions[i]);
        }
    }
    code = rd_kafka_committed(connection->handle, list, TM_KAFKA_SETTLE_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err; /* only an answer without any error says that there is no offset */
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = tm_fail(error, TM_RETRY, "the group's committed offsets are not settled: %s", rd_kafka_err2str(code));
        tm_error_where(error, "group %s", config->group);
    }
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        bool first = true;
        ret_positions[i] = (tm_position){.next = {-1, -1}, .commit = 0};
        for (uint32_t input = 0; input < inputs; input++) {
            const rd_kafka_topic_partition_t *part = &list->elems[i * inputs + input];
            if (part->offset >= 0) {
                merge_committed(part, input, first, &ret_positions[i]);
                first = false;
            }
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}
