#include "tidemark/adapters/kafka/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/adapters/kafka/membership.h"
#include "tidemark/adapters/kafka/reader.h"
#include "tidemark/base/hash.h"

enum { REQUEST_MS = 15000 };

struct tm_kafka_group {
    tm_kafka_connection connection; /* knows the group, is no member of it */
    tm_kafka_connection reading;    /* knows no group */
};

tm_status tm_kafka_group_new(const tm_kafka_config *config, tm_kafka_group **ret_group, tm_error *error)
{
    const tm_kafka_setting defaults[] = {{"socket.timeout.ms", "10000", false}, {NULL, NULL, false}};
    const tm_kafka_setting
        fixed[] =
            {
                {"group.id", config->group, false},
                {"isolation.level", "read_committed", false}, /* offsets of an open transaction are waited for */
                {"enable.auto.commit", "false", false},
                {"enable.auto.offset.store", "false", false},
                {NULL, NULL, false},
            };
    tm_kafka_group *group = calloc(1, sizeof *group);
    if (!group)
        return tm_fail(error, TM_FATAL, "out of memory");
    group->connection = (tm_kafka_connection){.config = config, .role = "group"};
    group->reading = (tm_kafka_connection){.config = config, .role = "admin"};
    rd_kafka_conf_t *conf = NULL;
    tm_status status = tm_kafka_conf_new(&group->connection, defaults, fixed, &conf, error);
    if (status == TM_OK)
        status = tm_kafka_connection_open(&group->connection, RD_KAFKA_CONSUMER, conf, error);
    if (status == TM_OK)
        status = tm_kafka_reader_connect(&group->reading, error);
    if (status != TM_OK) {
        tm_kafka_group_free(group);
        return status;
    }
    *ret_group = group;
    return TM_OK;
}

void tm_kafka_group_free(tm_kafka_group *group)
{
    if (!group)
        return;
    /* A handle that hangs still points at its connection: it keeps its memory. */
    bool closed = !group->connection.handle || tm_kafka_connection_close(&group->connection, TM_KAFKA_LEAVE_MS);
    closed &= !group->reading.handle || tm_kafka_connection_close(&group->reading, TM_KAFKA_LEAVE_MS);
    if (closed)
        free(group);
}

/* ---- Requests ---- */

static tm_status refusal(rd_kafka_resp_err_t code, const char *what, const char *reason, tm_error *error)
{
    bool later = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
                 code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                 code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
                 code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__WAIT_COORD;
    return tm_fail(error, later ? TM_RETRY : TM_REJECT, "%s: %s", what, reason ? reason : rd_kafka_err2str(code));
}

static rd_kafka_AdminOptions_t *options_for(rd_kafka_t *handle, rd_kafka_admin_op_t operation)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, operation);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof text);
    return options;
}

/* Waits for the one answer of a request that was given `queue`; with TM_OK the caller destroys the event. */
static tm_status answer_to(rd_kafka_queue_t *queue, const char *what, rd_kafka_event_t **ret_event, tm_error *error)
{
    *ret_event = rd_kafka_queue_poll(queue, REQUEST_MS + 1000);
    if (!*ret_event)
        return tm_fail(error, TM_RETRY, "%s: no answer", what);
    rd_kafka_resp_err_t code = rd_kafka_event_error(*ret_event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return TM_OK;
    tm_status status = refusal(code, what, rd_kafka_event_error_string(*ret_event), error);
    rd_kafka_event_destroy(*ret_event);
    *ret_event = NULL;
    return status;
}

static void name_member(const rd_kafka_MemberDescription_t *member, tm_kafka_member *ret_member)
{
    const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
    const char *host = rd_kafka_MemberDescription_host(member);
    (void)snprintf(ret_member->id, sizeof ret_member->id, "%s",
                   instance ? instance : rd_kafka_MemberDescription_consumer_id(member));
    (void)snprintf(ret_member->host, sizeof ret_member->host, "%s", host ? host : "");
}

tm_status tm_kafka_group_members(tm_kafka_group *group, tm_kafka_member *ret_members, uint32_t capacity,
                                 uint32_t *ret_count, tm_error *error)
{
    rd_kafka_t *handle = group->connection.handle;
    const char *name = group->connection.config->group;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = options_for(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_event_t *event = NULL;
    *ret_count = 0;
    rd_kafka_DescribeConsumerGroups(handle, &name, 1, options, queue);
    tm_status status = answer_to(queue, "asking for the group's members", &event, error);
    if (status == TM_OK) {
        size_t count = 0;
        const rd_kafka_ConsumerGroupDescription_t **groups =
            rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &count);
        const rd_kafka_error_t *failure = count ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
        /* A group that nobody made yet has no members. */
        if (failure && rd_kafka_error_code(failure) != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
            status = refusal(rd_kafka_error_code(failure), "asking for the group's members",
                             rd_kafka_error_string(failure), error);
        size_t members = count && !failure ? rd_kafka_ConsumerGroupDescription_member_count(groups[0]) : 0;
        for (size_t i = 0; i < members && i < capacity; i++)
            name_member(rd_kafka_ConsumerGroupDescription_member(groups[0], i), &ret_members[i]);
        *ret_count = (uint32_t)members;
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    if (status != TM_OK)
        tm_error_where(error, "group %s", name);
    return status;
}

tm_status tm_kafka_group_committed(tm_kafka_group *group, int32_t partition, tm_position *ret_position, tm_error *error)
{
    return tm_kafka_committed(&group->connection, &partition, 1, ret_position, error);
}

tm_status tm_kafka_group_set(tm_kafka_group *group, int32_t partition, tm_position position, tm_error *error)
{
    static const char what[] = "setting the group's offsets";
    rd_kafka_topic_partition_list_t *list = tm_kafka_offsets_of(group->connection.config, &partition, &position, 1);
    if (!list)
        return tm_fail(error, TM_FATAL, "out of memory");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(group->connection.handle);
    rd_kafka_event_t *event = NULL;
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(group->connection.handle, list, queue, NULL, NULL);
    tm_status status =
        code == RD_KAFKA_RESP_ERR_NO_ERROR ? answer_to(queue, what, &event, error) : refusal(code, what, NULL, error);
    const rd_kafka_topic_partition_list_t *done = event ? rd_kafka_event_topic_partition_list(event) : NULL;
    for (int i = 0; done && i < done->cnt && status == TM_OK; i++) {
        if (done->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = refusal(done->elems[i].err, what, NULL, error);
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    if (status != TM_OK)
        tm_error_where(error, "group %s, partition %" PRId32, group->connection.config->group, partition);
    return status;
}

tm_status tm_kafka_group_forget(tm_kafka_group *group, int32_t partition, tm_error *error)
{
    static const char what[] = "forgetting the group's offsets";
    rd_kafka_t *handle = group->connection.handle;
    const tm_kafka_config *config = group->connection.config;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TM_INPUTS);
    for (int i = 0; i < TM_INPUTS; i++) {
        if (config->inputs[i])
            (void)rd_kafka_topic_partition_list_add(list, config->inputs[i], partition);
    }
    rd_kafka_DeleteConsumerGroupOffsets_t *request = rd_kafka_DeleteConsumerGroupOffsets_new(config->group, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = options_for(handle, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS);
    rd_kafka_event_t *event = NULL;
    rd_kafka_DeleteConsumerGroupOffsets(handle, &request, 1, options, queue);
    tm_status status = answer_to(queue, what, &event, error);
    if (status == TM_OK) {
        size_t count = 0;
        const rd_kafka_group_result_t **results = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &count);
        const rd_kafka_error_t *failure = count ? rd_kafka_group_result_error(results[0]) : NULL;
        const rd_kafka_topic_partition_list_t *parts = count ? rd_kafka_group_result_partitions(results[0]) : NULL;
        rd_kafka_resp_err_t code = failure ? rd_kafka_error_code(failure) : RD_KAFKA_RESP_ERR_NO_ERROR;
        for (int i = 0; parts && i < parts->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
            code = parts->elems[i].err;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
            status = refusal(code, what, failure ? rd_kafka_error_string(failure) : NULL, error);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    if (status != TM_OK)
        tm_error_where(error, "group %s, partition %" PRId32, config->group, partition);
    return status;
}

tm_status tm_kafka_group_cut_journal(tm_kafka_group *group, int32_t partition, tm_error *error)
{
    static const char what[] = "deleting the shard's journal";
    rd_kafka_t *handle = group->reading.handle;
    const char *journal = group->connection.config->outputs[TM_TOPIC_JOURNAL];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, journal, partition)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = options_for(handle, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    rd_kafka_event_t *event = NULL;
    rd_kafka_DeleteRecords(handle, &request, 1, options, queue);
    tm_status status = answer_to(queue, what, &event, error);
    if (status == TM_OK) {
        const rd_kafka_topic_partition_list_t *parts =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        for (int i = 0; parts && i < parts->cnt && status == TM_OK; i++) {
            rd_kafka_resp_err_t code = parts->elems[i].err;
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
                status = refusal(code, what, NULL, error);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    if (status != TM_OK) {
        tm_error_where(error, "%s:%" PRId32, journal, partition);
        tm_error_hint(error, "it needs the operation Delete on the journal topic");
    }
    return status;
}

/* ---- The log ---- */

tm_status tm_kafka_group_bounds(tm_kafka_group *group, tm_input input, int32_t partition, int64_t *ret_first,
                                int64_t *ret_end, tm_error *error)
{
    return tm_kafka_reader_bounds(&group->reading, group->connection.config->inputs[input], partition, TM_KAFKA_ASK_MS,
                                  ret_first, ret_end, error);
}

tm_status tm_kafka_group_record(tm_kafka_group *group, tm_input input, int32_t partition, int64_t offset,
                                int64_t *ret_offset, tm_time *ret_timestamp, uint64_t *ret_key_hash, tm_error *error)
{
    int64_t first, end;
    *ret_offset = -1;
    tm_status status = tm_kafka_group_bounds(group, input, partition, &first, &end, error);
    if (status != TM_OK || offset < first || offset >= end)
        return status;
    tm_kafka_reader reader = {0};
    status = tm_kafka_reader_begin(&reader, &group->reading, group->connection.config->inputs[input], partition, offset,
                                   end, error);
    if (status != TM_OK)
        return status;
    const rd_kafka_message_t *message = NULL;
    status = tm_kafka_reader_next(&reader, TM_KAFKA_ASK_MS, &message, error);
    if (status == TM_OK && message) {
        *ret_offset = message->offset;
        *ret_timestamp = tm_kafka_message_time(message);
        *ret_key_hash = tm_hash((tm_slice){message->key, message->key_len});
    }
    tm_kafka_reader_end(&reader);
    return status;
}
