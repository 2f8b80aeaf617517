#include "tidemark/adapters/kafka/lanes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/crashpoint.h"

/* An answer about all lanes serves the others for so many ms. */
enum { ANSWER_MS = 30 };

void tm_kafka_lanes_init(tm_kafka_lanes *lanes, tm_kafka_connection *connection)
{
    *lanes = (tm_kafka_lanes){
        .connection = connection,
        .inputs = connection->config->inputs[TM_INPUT_ACCOUNTS] != NULL ? TM_INPUTS : 1,
    };
}

void tm_kafka_lanes_done(tm_kafka_lanes *lanes)
{
    for (int input = 0; input < TM_INPUTS; input++) {
        free(lanes->of[input]);
    }
    free(lanes->owned_flags);
    free(lanes->owned);
    *lanes = (tm_kafka_lanes){.inputs = lanes->inputs};
}

/* *ret_block with room for `after` elements, those beyond `before` zeroed. */
static bool widen(void **ret_block, size_t size, uint32_t before, uint32_t after)
{
    char *block = realloc(*ret_block, after * size);
    if (block == NULL) {
        return false;
    }
    memset(block + before * size, 0, (after - before) * size);
    *ret_block = block;
    return true;
}

tm_status tm_kafka_lanes_grow(tm_kafka_lanes *lanes, uint32_t partitions, tm_error *error)
{
    void *blocks[] = {lanes->of[0], lanes->of[1], lanes->owned_flags, lanes->owned};
    const size_t sizes[] = {sizeof(*lanes->of[0]), sizeof(*lanes->of[1]), sizeof(bool), sizeof(int32_t)};
    bool widened = true;
    if (partitions <= lanes->capacity) {
        return TM_OK;
    }
    for (int i = 0; i < 4; i++) {
        widened = widened && widen(&blocks[i], sizes[i], lanes->capacity, partitions);
    }
    lanes->of[0] = blocks[0];
    lanes->of[1] = blocks[1];
    lanes->owned_flags = blocks[2];
    lanes->owned = blocks[3];
    if (!widened) {
        return tm_fail(error, TM_FATAL, "out of memory for %u partitions", partitions);
    }
    lanes->capacity = partitions;
    return TM_OK;
}

tm_kafka_lane *tm_kafka_lanes_find(const tm_kafka_lanes *lanes, tm_input input, int32_t partition)
{
    if ((uint32_t)input >= lanes->inputs || partition < 0 || (uint32_t)partition >= lanes->capacity ||
        !lanes->owned_flags[partition]) {
        return NULL;
    }
    return &lanes->of[input][partition];
}

static rd_kafka_topic_partition_t *list_lane(const tm_kafka_lanes *lanes, rd_kafka_topic_partition_list_t *list,
                                             uint32_t input, int32_t partition)
{
    return rd_kafka_topic_partition_list_add(list, lanes->connection->config->inputs[input], partition);
}

static void log_code(const tm_kafka_lanes *lanes, tm_log_level level, const char *event, const char *what,
                     rd_kafka_resp_err_t code)
{
    char line[256];
    (void)snprintf(line, sizeof(line), "%s: %s", what, rd_kafka_err2str(code));
    tm_kafka_log(lanes->connection, level, event, line);
}

/* Lets go of what is paused inside librdkafka, so that a partition outside its assignment is never paused there. */
static void let_go(tm_kafka_lanes *lanes)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (uint32_t input = 0; input < lanes->inputs; input++) {
        for (uint32_t i = 0; i < lanes->owned_count; i++) {
            tm_kafka_lane *at = &lanes->of[input][lanes->owned[i]];
            if (at->held) {
                at->held = false;
                (void)list_lane(lanes, list, input, lanes->owned[i]);
            }
        }
    }
    if (list->cnt > 0) {
        (void)rd_kafka_resume_partitions(lanes->connection->handle, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* The only way to give librdkafka an assignment. Where one replaces another while librdkafka still stops what the one
   before had fetched, it stops a partition twice, and its own assertion ends the process (all versions up to 2.15:
   confluentinc/librdkafka#5573). Its main thread takes requests in order: the first question is answered after the
   partitions were told to stop, the second after it has heard that they did. */
static rd_kafka_resp_err_t give(rd_kafka_t *handle, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_partition_list_t *former = NULL;
        if (rd_kafka_assignment(handle, &former) == RD_KAFKA_RESP_ERR_NO_ERROR && former != NULL) {
            rd_kafka_topic_partition_list_destroy(former);
        }
    }
    return rd_kafka_assign(handle, list);
}

void tm_kafka_lanes_assign(tm_kafka_lanes *lanes)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)(lanes->owned_count * TM_INPUTS));
    rd_kafka_resp_err_t code;
    let_go(lanes);
    for (uint32_t input = 0; input < lanes->inputs; input++) {
        for (uint32_t i = 0; i < lanes->owned_count; i++) {
            tm_kafka_lane *at = &lanes->of[input][lanes->owned[i]];
            at->fetching = at->started && !at->paused;
            at->seek = false;
            if (at->fetching) {
                list_lane(lanes, list, input, lanes->owned[i])->offset = at->next;
            }
        }
    }
    code = give(lanes->connection->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    lanes->reassign = code != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (lanes->reassign) {
        log_code(lanes, TM_LOG_WARNING, "assign_failed", "the assignment was not taken; trying again", code);
    }
}

/* Sorts the marks into what is to be done; reassign when a seek cannot do it. */
static void sort_marks(tm_kafka_lanes *lanes, rd_kafka_topic_partition_list_t *pause,
                       rd_kafka_topic_partition_list_t *resume, rd_kafka_topic_partition_list_t *seek)
{
    for (uint32_t input = 0; input < lanes->inputs && !lanes->reassign; input++) {
        for (uint32_t i = 0; i < lanes->owned_count; i++) {
            int32_t partition = lanes->owned[i];
            tm_kafka_lane *at = &lanes->of[input][partition];
            if (!at->fetching) {
                lanes->reassign = lanes->reassign || (at->started && !at->paused);
                continue;
            }
            if (at->paused) {
                if (!at->held) {
                    at->held = true;
                    (void)list_lane(lanes, pause, input, partition);
                }
                continue;
            }
            if (at->held) { /* a resume alone may skip what was fetched before the pause: always with a seek */
                at->held = false;
                at->seek = true;
                (void)list_lane(lanes, resume, input, partition);
            }
            if (at->seek) {
                at->seek = false;
                list_lane(lanes, seek, input, partition)->offset = at->next;
            }
        }
    }
}

void tm_kafka_lanes_arrange(tm_kafka_lanes *lanes)
{
    rd_kafka_t *handle = lanes->connection->handle;
    if (lanes->changed && !lanes->reassign) {
        rd_kafka_topic_partition_list_t *pause = rd_kafka_topic_partition_list_new(8);
        rd_kafka_topic_partition_list_t *resume = rd_kafka_topic_partition_list_new(8);
        rd_kafka_topic_partition_list_t *seek = rd_kafka_topic_partition_list_new(8);
        sort_marks(lanes, pause, resume, seek);
        if (pause->cnt > 0 && rd_kafka_pause_partitions(handle, pause) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            lanes->reassign = true;
        }
        if (resume->cnt > 0 && rd_kafka_resume_partitions(handle, resume) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            lanes->reassign = true;
        }
        if (seek->cnt > 0 && !lanes->reassign) {
            rd_kafka_error_t *failure = rd_kafka_seek_partitions(handle, seek, TM_KAFKA_ASK_MS);
            TM_CRASH_POINT("kafka_sought");
            lanes->reassign = failure != NULL;
            rd_kafka_error_destroy(failure);
            for (int i = 0; i < seek->cnt; i++) {
                lanes->reassign = lanes->reassign || seek->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR;
            }
        }
        rd_kafka_topic_partition_list_destroy(pause);
        rd_kafka_topic_partition_list_destroy(resume);
        rd_kafka_topic_partition_list_destroy(seek);
    }
    lanes->changed = false;
    if (lanes->reassign) {
        tm_kafka_lanes_assign(lanes);
    }
}

void tm_kafka_lanes_drop(tm_kafka_lanes *lanes)
{
    let_go(lanes);
    if (lanes->capacity > 0) {
        memset(lanes->owned_flags, 0, lanes->capacity * sizeof(*lanes->owned_flags));
        for (int input = 0; input < TM_INPUTS; input++) {
            memset(lanes->of[input], 0, lanes->capacity * sizeof(tm_kafka_lane));
        }
    }
    lanes->owned_count = 0;
    lanes->reassign = false;
    lanes->changed = false;
    (void)give(lanes->connection->handle, NULL);
}

static int compare_partitions(const void *a, const void *b)
{
    const int32_t *left = a;
    const int32_t *right = b;
    return (*left > *right) - (*left < *right);
}

tm_status tm_kafka_lanes_take(tm_kafka_lanes *lanes, const rd_kafka_topic_partition_list_t *list, tm_error *error)
{
    uint32_t counts[TM_INPUTS] = {0, 0};
    const tm_kafka_config *config = lanes->connection->config;
    int32_t greatest = -1;
    tm_status status = TM_OK;
    for (int i = 0; i < list->cnt; i++) {
        greatest = list->elems[i].partition > greatest ? list->elems[i].partition : greatest;
    }
    if (tm_kafka_lanes_grow(lanes, (uint32_t)(greatest + 1), error) != TM_OK) {
        return TM_FATAL;
    }
    for (int i = 0; i < list->cnt; i++) {
        if (strcmp(list->elems[i].topic, config->inputs[TM_INPUT_USAGE]) == 0) {
            lanes->owned[counts[TM_INPUT_USAGE]++] = list->elems[i].partition;
            lanes->owned_flags[list->elems[i].partition] = true;
        }
    }
    for (int i = 0; i < list->cnt && lanes->inputs == TM_INPUTS; i++) {
        if (strcmp(list->elems[i].topic, config->inputs[TM_INPUT_ACCOUNTS]) == 0) {
            counts[TM_INPUT_ACCOUNTS]++;
            if (!lanes->owned_flags[list->elems[i].partition]) {
                status = TM_FATAL;
            }
        }
    }
    if (status != TM_OK || (lanes->inputs == TM_INPUTS && counts[0] != counts[1])) {
        if (lanes->capacity > 0) {
            memset(lanes->owned_flags, 0, lanes->capacity * sizeof(*lanes->owned_flags));
        }
        (void)tm_fail(error, TM_FATAL, "the group gave this member %u partitions of '%s' and %u others of '%s'",
                      counts[0], config->inputs[TM_INPUT_USAGE], counts[1], config->inputs[TM_INPUT_ACCOUNTS]);
        tm_error_hint(error,
                      "both topics need as many partitions as each other, and every member of group '%s' the "
                      "assignor 'range' and the same topics",
                      config->group);
        return TM_FATAL;
    }
    lanes->owned_count = counts[TM_INPUT_USAGE];
    if (lanes->owned_count > 1) {
        qsort(lanes->owned, lanes->owned_count, sizeof(*lanes->owned), compare_partitions);
    }
    for (int input = 0; input < TM_INPUTS && lanes->capacity > 0; input++) {
        memset(lanes->of[input], 0, lanes->capacity * sizeof(tm_kafka_lane));
    }
    return TM_OK;
}

/* ---- Where they end ---- */

/* Asks for the ends of all started lanes in one request: a question waits behind the fetch under way, so twelve would
   wait twelve times. Each lane's answer is given out once. */
static rd_kafka_resp_err_t ask_ends(tm_kafka_lanes *lanes)
{
    const tm_kafka_config *config = lanes->connection->config;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)lanes->owned_count * TM_INPUTS);
    for (uint32_t input = 0; input < lanes->inputs; input++) {
        for (uint32_t i = 0; i < lanes->owned_count; i++) {
            int32_t partition = lanes->owned[i];
            const tm_kafka_lane *lane = tm_kafka_lanes_find(lanes, (tm_input)input, partition);
            if (lane && lane->started)
                rd_kafka_topic_partition_list_add(list, config->inputs[input], partition)->offset = RD_KAFKA_OFFSET_END;
        }
    }
    int64_t now = tm_kafka_steady(lanes->connection);
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(lanes->connection->handle, list, TM_KAFKA_ASK_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *part = &list->elems[i];
        tm_input input = strcmp(part->topic, config->inputs[TM_INPUT_USAGE]) == 0 ? TM_INPUT_USAGE : TM_INPUT_ACCOUNTS;
        tm_kafka_lane *lane = tm_kafka_lanes_find(lanes, input, part->partition);
        if (!lane || part->err != RD_KAFKA_RESP_ERR_NO_ERROR || part->offset < 0)
            continue;
        lane->end = part->offset;
        lane->end_at = now ? now : 1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

rd_kafka_resp_err_t tm_kafka_lanes_bounds(tm_kafka_lanes *lanes, tm_input input, int32_t partition, int64_t *ret_first,
                                          int64_t *ret_end, int64_t *ret_reached)
{
    tm_kafka_lane *lane = tm_kafka_lanes_find(lanes, input, partition);
    rd_kafka_t *handle = lanes->connection->handle;
    const char *topic = lanes->connection->config->inputs[input];
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int64_t low = -1, high = -1;
    bool fetched =
        rd_kafka_get_watermark_offsets(handle, topic, partition, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        high >= 0;
    bool started = lane != NULL && lane->started;
    *ret_reached = started && fetched ? lane->next : -1;
    if (!started || !fetched || low < 0) {
        code = tm_kafka_bounds(handle, topic, partition, TM_KAFKA_ASK_MS, ret_first, ret_end);
    } else if (high > lane->next) {
        /* What the last fetch showed beyond our position needs no question: there is more to read. */
        *ret_first = low;
        *ret_end = high;
    } else {
        if (lane->end_at == 0 || tm_kafka_steady(lanes->connection) - lane->end_at > ANSWER_MS) {
            lane->end_at = 0;
            code = ask_ends(lanes);
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && lane->end_at == 0)
            code = RD_KAFKA_RESP_ERR__NO_OFFSET;
        *ret_first = low;
        *ret_end = lane->end;
        lane->end_at = 0;
    }
    /* Where the last fetch showed records behind the last stable offset, a producer's transaction is open: the input
       goes on, and a reader who stands at that offset has not drained it. Before the first fetch nobody has come
       anywhere. */
    if (fetched && high > *ret_end)
        *ret_end = high;
    return code;
}
