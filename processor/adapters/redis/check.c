/* What has to be true of a Redis server before anything is entrusted to it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shape.h"

enum { VERSION_MAJOR_LEAST = 6, VERSION_MINOR_LEAST = 2 }; /* XTRIM MINID, exclusive ranges of XRANGE */

/* "name:value" of INFO's text; absent when it is not there. */
static tm_slice info_value(tm_slice info, const char *name)
{
    if (info.data == NULL) /* the server answered with something else than a text */
        return (tm_slice){NULL, 0};
    size_t length = strlen(name);
    const char *at = info.data;
    const char *end = info.data + info.length;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end != NULL ? line_end : end;
        size_t size = (size_t)(line_end - at);
        if (size > length && memcmp(at, name, length) == 0 && at[length] == ':') {
            size_t value = size - length - 1;
            if (value > 0 && at[size - 1] == '\r') {
                value--;
            }
            return (tm_slice){at + length + 1, value};
        }
        at = line_end + 1;
    }
    return (tm_slice){NULL, 0};
}

static bool version_suffices(tm_slice version)
{
    if (version.data == NULL)
        return false;
    int64_t part[2] = {0, 0};
    const char *at = version.data;
    const char *end = version.data + version.length;
    for (int i = 0; i < 2 && at < end; i++) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        dot = dot != NULL ? dot : end;
        if (!tm_redis_integer((tm_slice){at, (size_t)(dot - at)}, &part[i])) {
            return false;
        }
        at = dot + 1;
    }
    return part[0] > VERSION_MAJOR_LEAST || (part[0] == VERSION_MAJOR_LEAST && part[1] >= VERSION_MINOR_LEAST);
}

static void note(tm_buffer *list, const char *separator, const char *format, tm_slice value)
{
    if (list->length > 0) {
        tm_buffer_append_text(list, separator);
    }
    char text[512];
    /* The formats are this file's own, each with at most one %.*s. */
    snprintf(text, sizeof(text), "%s", format);
    char *place = strstr(text, "%s");
    if (place == NULL) {
        tm_buffer_append_text(list, text);
        return;
    }
    tm_buffer_append(list, text, (size_t)(place - text));
    tm_buffer_append(list, value.data, value.length < 100 ? value.length : 100);
    tm_buffer_append_text(list, place + 2);
}

static void problem(tm_buffer *problems, const char *text, tm_slice value)
{
    note(problems, "; ", text, value);
}

static void warn(tm_redis_store *store, const char *text, tm_slice value)
{
    if (store->warnings.length > 0 && strstr(tm_buffer_text(&store->warnings), text) != NULL) {
        return; /* another node of the cluster has said so */
    }
    note(&store->warnings, "\n", text, value);
}

static void judge_info(tm_redis_store *store, tm_slice info, tm_buffer *problems)
{
    tm_slice version = info_value(info, "redis_version");
    if (version.data == NULL) {
        warn(store, "INFO tells no redis_version: whether this server is 6.2 or newer could not be checked", version);
    } else if (!version_suffices(version)) {
        problem(problems, "its version is %s, 6.2 or newer is needed", version);
    }
    if (tm_slice_equal_text(info_value(info, "aof_enabled"), "0")) {
        warn(store, "appendonly is off: after a crash of Redis, what came since its last save is replayed from Kafka",
             version);
    }
}

static void judge_role(tm_redis_store *store, const tm_redis_reply *role, tm_slice info, tm_buffer *problems)
{
    tm_slice name = tm_redis_reply_count(role) > 0 ? tm_redis_reply_text(tm_redis_reply_at(role, 0))
                                                   : info_value(info, "role"); /* ROLE is not permitted */
    if (name.data == NULL) {
        warn(store, "neither ROLE nor INFO may be asked: whether this server is a primary could not be checked", name);
    } else if (!tm_slice_equal_text(name, "master")) {
        problem(problems, "it is a %s, and state has to be written to the primary", name);
    }
}

static void judge_policy(tm_redis_store *store, const tm_redis_reply *policy, tm_slice info, tm_buffer *problems)
{
    tm_slice name = tm_redis_reply_count(policy) == 2 ? tm_redis_reply_text(tm_redis_reply_at(policy, 1))
                                                      : info_value(info, "maxmemory_policy");
    if (name.data == NULL) {
        warn(store,
             "neither CONFIG nor INFO may be asked: whether maxmemory-policy is noeviction could not be checked; "
             "with any other, Redis deletes accounts when memory is short",
             name);
    } else if (!tm_slice_equal_text(name, "noeviction")) {
        problem(problems, "its maxmemory-policy is %s, and has to be noeviction: state must never be evicted", name);
    }
}

/* One server: the store's connection of the moment. `context`: bool, set when it is a node of a cluster. */
static tm_status check_server(tm_redis_store *store, void *context, tm_error *error)
{
    bool *ret_node = context;
    tm_redis_connection *connection = store->connection;
    enum { PING, INFO, ROLE, POLICY, QUESTIONS };
    static const char *const names[QUESTIONS] = {"PING", "INFO", "ROLE", "CONFIG GET"};
    tm_redis_reply *answers[QUESTIONS] = {NULL, NULL, NULL, NULL};
    tm_buffer problems;
    tm_buffer_init(&problems, 4096);
    tm_redis_begin(connection);
    for (int i = 0; i < POLICY; i++) {
        tm_redis_command(connection, 1);
        tm_redis_argument_text(connection, names[i]);
    }
    tm_redis_command(connection, 3);
    tm_redis_argument_text(connection, "CONFIG");
    tm_redis_argument_text(connection, "GET");
    tm_redis_argument_text(connection, "maxmemory-policy");
    tm_status status = tm_redis_send(connection, error);
    for (int i = 0; i < QUESTIONS && status == TM_OK; i++) {
        status = tm_redis_receive(connection, &answers[i], error);
        tm_slice refusal = status == TM_OK && tm_redis_reply_type(answers[i]) == TM_REDIS_ERROR
                               ? tm_redis_reply_text(answers[i])
                               : (tm_slice){NULL, 0};
        /* Not being permitted to ask, or a provider's server without CONFIG, is no answer; all else is a failure. */
        if (refusal.data != NULL && !tm_slice_has_prefix(refusal, TM_SLICE_LITERAL("NOPERM")) &&
            !tm_slice_has_prefix(refusal, TM_SLICE_LITERAL("ERR"))) {
            status = tm_redis_refused(store, tm_redis_reply_text(answers[i]), names[i], error);
            tm_redis_disconnect(connection);
        }
    }
    if (status != TM_OK) {
        goto out;
    }
    tm_slice info =
        tm_redis_reply_type(answers[INFO]) == TM_REDIS_TEXT ? tm_redis_reply_text(answers[INFO]) : (tm_slice){NULL, 0};
    *ret_node = tm_slice_equal_text(info_value(info, "cluster_enabled"), "1");
    judge_info(store, info, &problems);
    if (!*ret_node || store->cluster != NULL) { /* a replica of a cluster still tells where the slots are */
        judge_role(store, answers[ROLE], info, &problems);
    }
    judge_policy(store, answers[POLICY], info, &problems);
    if (problems.length > 0) {
        status = tm_fail(error, TM_REJECT, "Redis at %s cannot be used: %s", tm_redis_connection_name(connection),
                         tm_buffer_text(&problems));
        tm_error_hint(error, "a primary of version 6.2 or newer with maxmemory-policy noeviction is needed");
    }
out:
    for (int i = 0; i < QUESTIONS; i++) {
        tm_redis_reply_free(answers[i]);
    }
    tm_buffer_done(&problems);
    return status;
}

tm_status tm_redis_check(void *context, tm_error *error)
{
    tm_redis_store *store = context;
    bool node = false;
    tm_status status = TM_OK;
    tm_buffer_reset(&store->warnings);
    if (store->cluster == NULL) {
        status = check_server(store, &node, error);
        if (status != TM_OK || !node) {
            return status;
        }
        status = tm_redis_cluster_new(store, error);
        tm_buffer_reset(&store->warnings);
    }
    return status == TM_OK ? tm_redis_cluster_each(store, check_server, &node, error) : status;
}
