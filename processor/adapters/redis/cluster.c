/* A cluster: which node holds a shard, and a connection to each node that is needed.

   All keys of a shard share a hash tag and so a slot, so every call of the port belongs to one node: tm_redis_route
   makes that node's connection the store's. The map of slots is asked for when it is first needed, and again after
   whatever failed; a MOVED mends one entry of it at once.

   ASK is never followed. While a slot is on its way from one node to another, the shard's keys lie on both. Without the
   ASKING flag only the slot's owner answers, and a key that the owner does not have gives ASK or TRYAGAIN, never
   "nothing there": so a missing meta is believed only of an owner whose slot lies still. With ASKING the other node
   would answer for a key that has not come yet, or has gone back again, as if it had never been; and a transaction
   might write to a copy that a broken move left there. What a shard does during a move touches more keys than one node
   has anyway. So it waits for the end of the move, which takes as long as its keys are large. Part of the room `store`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"

enum {
    SLOTS = 16384,
    NODES_MAX = 4096,
    NOBODY = UINT16_MAX,
};

typedef struct node {
    char *host;
    int port;
    tm_redis_connection *connection; /* NULL: none yet */
} node;

struct tm_redis_cluster {
    node *nodes;
    uint32_t count;
    uint32_t asked_from;   /* where the next search for one who answers begins */
    bool known;            /* the map was read, and nothing has failed since */
    uint16_t owner[SLOTS]; /* an index of `nodes`, or NOBODY */
};

/* CRC-16/XMODEM of the key's hash tag, as the cluster specification has it. */
uint32_t tm_redis_slot(tm_slice key)
{
    const char *open = memchr(key.data, '{', key.length);
    if (open != NULL) {
        size_t rest = key.length - (size_t)(open + 1 - key.data);
        const char *close = memchr(open + 1, '}', rest);
        if (close != NULL && close > open + 1) {
            key = (tm_slice){open + 1, (size_t)(close - open - 1)};
        }
    }
    uint32_t crc = 0;
    for (size_t i = 0; i < key.length; i++) {
        crc ^= (uint32_t)(unsigned char)key.data[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
        }
        crc &= 0xffffu;
    }
    return crc % SLOTS;
}

static void free_nodes(node *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        tm_redis_connection_free(nodes[i].connection);
        free(nodes[i].host);
    }
    free(nodes);
}

tm_status tm_redis_cluster_new(tm_redis_store *store, tm_error *error)
{
    tm_redis_cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    memset(cluster->owner, 0xff, sizeof(cluster->owner));
    store->cluster = cluster;
    return TM_OK;
}

void tm_redis_cluster_free(tm_redis_cluster *cluster)
{
    if (cluster != NULL) {
        free_nodes(cluster->nodes, cluster->count);
        free(cluster);
    }
}

/* The index of a node in an array with room for one more; it is put there. NOBODY without memory. */
static uint16_t place_node(node *nodes, uint32_t *count, tm_slice host, int port)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (nodes[i].port == port && tm_slice_equal_text(host, nodes[i].host)) {
            return (uint16_t)i;
        }
    }
    char *copy = strndup(host.data, host.length);
    if (copy == NULL) {
        return NOBODY;
    }
    nodes[*count] = (node){copy, port, NULL};
    return (uint16_t)(*count)++;
}

/* ---- The map ---- */

/* One entry of CLUSTER SLOTS: [first, last, [host, port, …], replicas…]. A host that is not told is that of the server
   asked. */
static bool read_range(const tm_redis_reply *entry, tm_slice asked, int64_t *ret_first, int64_t *ret_last,
                       tm_slice *ret_host, int64_t *ret_port)
{
    if (entry == NULL || tm_redis_reply_count(entry) < 3) {
        return false;
    }
    const tm_redis_reply *primary = tm_redis_reply_at(entry, 2);
    if (tm_redis_reply_type(tm_redis_reply_at(entry, 0)) != TM_REDIS_INTEGER ||
        tm_redis_reply_type(tm_redis_reply_at(entry, 1)) != TM_REDIS_INTEGER || tm_redis_reply_count(primary) < 2) {
        return false;
    }
    *ret_first = tm_redis_reply_integer(tm_redis_reply_at(entry, 0));
    *ret_last = tm_redis_reply_integer(tm_redis_reply_at(entry, 1));
    *ret_host = tm_redis_reply_text(tm_redis_reply_at(primary, 0));
    *ret_port = tm_redis_reply_integer(tm_redis_reply_at(primary, 1));
    if (ret_host->data == NULL || ret_host->length == 0 || tm_slice_equal_text(*ret_host, "?")) {
        *ret_host = asked;
    }
    return *ret_first >= 0 && *ret_first <= *ret_last && *ret_last<SLOTS && * ret_port> 0 && *ret_port <= 65535 &&
           ret_host->length < 256 && memchr(ret_host->data, '\0', ret_host->length) == NULL;
}

/* Takes the answer as the map; connections to nodes that are still there are kept. */
static tm_status take_map(tm_redis_store *store, const tm_redis_reply *reply, tm_slice asked, tm_error *error)
{
    tm_redis_cluster *cluster = store->cluster;
    uint32_t ranges = tm_redis_reply_count(reply);
    uint32_t count = 0;
    tm_status status = TM_OK;
    uint16_t *owner = malloc(sizeof(cluster->owner));
    node *nodes = calloc((size_t)(ranges < NODES_MAX ? ranges : NODES_MAX) + 1, sizeof(*nodes));
    if (owner == NULL || nodes == NULL) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    memset(owner, 0xff, sizeof(cluster->owner));
    for (uint32_t i = 0; i < ranges; i++) {
        int64_t first, last, port;
        tm_slice host;
        if (!read_range(tm_redis_reply_at(reply, i), asked, &first, &last, &host, &port) || count == NODES_MAX) {
            status = tm_fail(error, TM_RETRY, "CLUSTER SLOTS is answered with something that it never answers");
            goto out;
        }
        uint16_t index = place_node(nodes, &count, host, (int)port);
        if (index == NOBODY) {
            status = tm_fail(error, TM_FATAL, "out of memory");
            goto out;
        }
        for (int64_t slot = first; slot <= last; slot++) {
            owner[slot] = index;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < cluster->count; k++) {
            if (nodes[i].port == cluster->nodes[k].port && strcmp(nodes[i].host, cluster->nodes[k].host) == 0) {
                nodes[i].connection = cluster->nodes[k].connection;
                cluster->nodes[k].connection = NULL;
            }
        }
    }
    free_nodes(cluster->nodes, cluster->count);
    store->connection = store->home; /* the one in use may just have been closed */
    cluster->nodes = nodes;
    cluster->count = count;
    nodes = NULL;
    memcpy(cluster->owner, owner, sizeof(cluster->owner));
    cluster->known = count > 0;
    if (!cluster->known) {
        status = tm_fail(error, TM_RETRY, "no slot of the cluster belongs to a node");
    }
out:
    if (nodes != NULL) {
        free_nodes(nodes, count);
    }
    free(owner);
    return status;
}

static tm_status ask_map(tm_redis_store *store, tm_slice host, int port, tm_error *error)
{
    tm_redis_connection *connection = NULL;
    tm_redis_reply *reply = NULL;
    tm_status status = tm_redis_connection_beside(store->home, TM_REDIS_TO_GUIDE, host, port, &connection, error);
    if (status != TM_OK) {
        return status;
    }
    tm_redis_begin(connection);
    tm_redis_command(connection, 2);
    tm_redis_argument_text(connection, "CLUSTER");
    tm_redis_argument_text(connection, "SLOTS");
    status = tm_redis_send(connection, error);
    if (status == TM_OK) {
        status = tm_redis_receive(connection, &reply, error);
    }
    if (status == TM_OK && tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        tm_slice text = tm_redis_reply_text(reply);
        status = tm_fail(error, TM_RETRY, "Redis at %s answers CLUSTER SLOTS with: %.*s",
                         tm_redis_connection_name(connection), (int)(text.length < 160 ? text.length : 160), text.data);
        if (tm_slice_has_prefix(text, TM_SLICE_LITERAL("NOPERM"))) {
            tm_error_hint(error, "`tidemark check --permissions` prints what the Redis user has to be allowed");
        }
    } else if (status == TM_OK) {
        status = take_map(store, reply, host, error);
    }
    tm_redis_reply_free(reply);
    tm_redis_connection_free(connection);
    return status;
}

/* Asks the nodes known, then those of the URL, until one tells the map. */
static tm_status read_map(tm_redis_store *store, tm_error *error)
{
    tm_redis_cluster *cluster = store->cluster;
    const tm_redis_address *address = tm_redis_connection_address(store->home);
    const tm_redis_host single = {address->host, address->port};
    const tm_redis_host *named = address->kind == TM_REDIS_CLUSTER ? address->hosts : &single;
    uint32_t named_count = address->kind == TM_REDIS_CLUSTER ? address->host_count : 1;
    uint32_t known = cluster->count;
    uint32_t from = known > 0 ? cluster->asked_from++ % known : 0; /* another one each time: this one may be cut off */
    tm_status status = TM_RETRY;
    tm_error last;
    tm_error_clear(&last);
    if (address->unix_socket) { /* the others have no socket here */
        tm_fail(error, TM_RETRY, "the socket of %s is that of a node of a cluster", address->name);
        tm_error_hint(error, "write redis.url: redis+cluster://host:port,…");
        return TM_RETRY;
    }
    for (uint32_t i = 0; i < known + named_count && status == TM_RETRY; i++) {
        char host[256];
        const node *one = i < known ? &cluster->nodes[(from + i) % known] : NULL;
        /* a copy: the node's own goes with the old map */
        snprintf(host, sizeof(host), "%s", one != NULL ? one->host : named[i - known].host);
        status = ask_map(store, tm_slice_of(host), one != NULL ? one->port : named[i - known].port, &last);
    }
    if (status == TM_RETRY) {
        tm_fail(error, TM_RETRY, "no node of %s tells its slots; the last one: %.400s", address->name, last.what);
        if (last.hint[0] != '\0') {
            tm_error_hint(error, "%s", last.hint);
        }
    } else if (status != TM_OK && error != NULL) {
        *error = last;
    }
    return status;
}

/* ---- The way to a node ---- */

static tm_status node_connection(tm_redis_store *store, uint16_t index, tm_error *error)
{
    node *found = &store->cluster->nodes[index];
    if (found->connection == NULL) {
        tm_status status = tm_redis_connection_beside(store->home, TM_REDIS_TO_NODE, tm_slice_of(found->host),
                                                      found->port, &found->connection, error);
        if (status != TM_OK) {
            return status;
        }
    }
    store->connection = found->connection;
    return TM_OK;
}

static uint32_t slot_of(const tm_redis_store *store, int32_t partition)
{
    char key[TM_REDIS_KEY_MAX];
    int length = partition < 0 ? snprintf(key, sizeof(key), "{%s}", store->group)
                               : snprintf(key, sizeof(key), "{%s/%" PRId32 "}", store->group, partition);
    return tm_redis_slot((tm_slice){key, (size_t)length});
}

tm_status tm_redis_route(tm_redis_store *store, int32_t partition, tm_error *error)
{
    tm_redis_cluster *cluster = store->cluster;
    store->moved = false;
    if (cluster == NULL) {
        return TM_OK;
    }
    if (!cluster->known) {
        tm_status status = read_map(store, error);
        if (status != TM_OK) {
            return status;
        }
    }
    uint32_t slot = slot_of(store, partition);
    if (cluster->owner[slot] == NOBODY) {
        cluster->known = false;
        tm_fail(error, TM_RETRY, "slot %" PRIu32 " of the cluster belongs to no node", slot);
        tm_error_hint(error, "redis-cli --cluster check names what is missing");
        return TM_RETRY;
    }
    return node_connection(store, cluster->owner[slot], error);
}

void tm_redis_cluster_doubt(tm_redis_store *store)
{
    if (store->cluster != NULL) {
        store->cluster->known = false;
    }
}

/* "MOVED slot host:port", the host possibly empty or an IPv6 address. */
static bool parse_moved(tm_slice answer, int64_t *ret_slot, tm_slice *ret_host, int64_t *ret_port)
{
    const char *end = answer.data + answer.length;
    const char *slot = answer.data + strlen("MOVED ");
    const char *space = slot < end ? memchr(slot, ' ', (size_t)(end - slot)) : NULL;
    const char *colon = space != NULL ? memrchr(space, ':', (size_t)(end - space)) : NULL;
    if (colon == NULL || !tm_redis_integer((tm_slice){slot, (size_t)(space - slot)}, ret_slot) ||
        !tm_redis_integer((tm_slice){colon + 1, (size_t)(end - colon - 1)}, ret_port)) {
        return false;
    }
    *ret_host = (tm_slice){space + 1, (size_t)(colon - space - 1)};
    return *ret_slot >= 0 && *ret_slot<SLOTS && * ret_port> 0 && *ret_port <= 65535;
}

void tm_redis_cluster_moved(tm_redis_store *store, tm_slice answer)
{
    int64_t slot, port;
    tm_slice host;
    tm_redis_cluster *cluster = store->cluster;
    if (cluster == NULL) { /* redis:// led to a node of a cluster: followed from here on */
        store->moved = tm_redis_cluster_new(store, NULL) == TM_OK;
        return;
    }
    store->moved = true;
    if (!parse_moved(answer, &slot, &host, &port) || host.length == 0 || tm_slice_equal_text(host, "?") ||
        cluster->count >= NODES_MAX) {
        cluster->known = false;
        return;
    }
    node *nodes = reallocarray(cluster->nodes, (size_t)cluster->count + 1, sizeof(*nodes));
    uint16_t index = NOBODY;
    if (nodes != NULL) {
        cluster->nodes = nodes;
        index = place_node(nodes, &cluster->count, host, (int)port);
    }
    cluster->owner[slot] = index;
    cluster->known = index != NOBODY;
}

tm_status tm_redis_cluster_each(tm_redis_store *store, tm_redis_node_visit visit, void *context, tm_error *error)
{
    uint32_t missing = 0;
    tm_status status = read_map(store, error);
    if (status != TM_OK) {
        return status;
    }
    tm_redis_cluster *cluster = store->cluster;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        missing += cluster->owner[slot] == NOBODY ? 1 : 0;
    }
    if (missing > 0) {
        tm_fail(error, TM_RETRY, "%" PRIu32 " of the 16384 slots of %s belong to no node", missing,
                tm_redis_connection_address(store->home)->name);
        tm_error_hint(error, "redis-cli --cluster check names what is missing");
        return TM_RETRY;
    }
    for (uint32_t i = 0; i < cluster->count && status == TM_OK; i++) {
        status = node_connection(store, (uint16_t)i, error);
        if (status == TM_OK) {
            status = visit(store, context, error);
        }
    }
    return status;
}

/* ---- Nobody else has keys of it ---- */

/* CLUSTER NODES' line "id host:port@bus[,name] flags …" of a primary that can be asked and is not the one that wrote
 * it. */
static bool read_primary(tm_slice line, bool by_name, tm_slice *ret_host, int *ret_port)
{
    tm_slice word[3];
    const char *at = line.data;
    const char *end = line.data + line.length;
    for (int i = 0; i < 3; i++) {
        const char *space = at < end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
        if (space == NULL) {
            return false;
        }
        word[i] = (tm_slice){at, (size_t)(space - at)};
        at = space + 1;
    }
    static const char *const others[] = {"myself", "slave", "fail", "handshake", "noaddr"};
    bool asked = memmem(word[2].data, word[2].length, "master", 6) != NULL;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const char *found = memmem(word[2].data, word[2].length, others[i], strlen(others[i]));
        /* "fail?" is one node's suspicion: it is asked, and does not answer if it is right */
        asked = asked && (found == NULL || found[strlen(others[i])] == '?');
    }
    const char *bus = memchr(word[1].data, '@', word[1].length);
    const char *address_end = bus != NULL ? bus : word[1].data + word[1].length;
    const char *colon = memrchr(word[1].data, ':', (size_t)(address_end - word[1].data));
    int64_t port = 0;
    if (!asked || colon == NULL || !tm_redis_integer((tm_slice){colon + 1, (size_t)(address_end - colon - 1)}, &port) ||
        port <= 0 || port > 65535) {
        return false;
    }
    *ret_host = (tm_slice){word[1].data, (size_t)(colon - word[1].data)};
    *ret_port = (int)port;
    const char *comma = bus != NULL ? memchr(bus, ',', (size_t)(word[1].data + word[1].length - bus)) : NULL;
    if (by_name && comma != NULL) {
        const char *name_end = word[1].data + word[1].length;
        const char *next = memchr(comma + 1, ',', (size_t)(name_end - comma - 1));
        *ret_host = (tm_slice){comma + 1, (size_t)((next != NULL ? next : name_end) - comma - 1)};
    }
    return ret_host->length > 0 && ret_host->length < 256;
}

static tm_status count_keys(tm_redis_store *store, tm_redis_connection *connection, uint32_t slot, tm_error *error)
{
    tm_redis_reply *reply = NULL;
    tm_status status;
    tm_redis_begin(connection);
    tm_redis_command(connection, 3);
    tm_redis_argument_text(connection, "CLUSTER");
    tm_redis_argument_text(connection, "COUNTKEYSINSLOT");
    tm_redis_argument_integer(connection, slot);
    status = tm_redis_patient(tm_redis_send(connection, error));
    if (status == TM_OK) {
        status = tm_redis_receive(connection, &reply, error);
    }
    if (status == TM_OK && tm_redis_reply_type(reply) != TM_REDIS_INTEGER) {
        tm_slice text = tm_redis_reply_text(reply);
        status = tm_fail(error, TM_RETRY, "Redis at %s answers CLUSTER COUNTKEYSINSLOT with: %.*s",
                         tm_redis_connection_name(connection), (int)(text.length < 160 ? text.length : 160),
                         text.data != NULL ? text.data : "");
        tm_error_hint(error, "`tidemark check --permissions` prints what the Redis user has to be allowed");
    } else if (status == TM_OK && tm_redis_reply_integer(reply) != 0) {
        status =
            tm_fail(error, TM_RETRY,
                    "Redis at %s has keys of slot %" PRIu32 ", which belongs to %s: a move of the slot was broken off",
                    tm_redis_connection_name(connection), slot, tm_redis_connection_name(store->connection));
        tm_error_hint(error,
                      "bring the keys to where their slot is: redis-cli --cluster fix; nothing is taken for lost "
                      "before that");
    }
    tm_redis_reply_free(reply);
    return status;
}

/* A primary that has no slots (yet) is asked over a connection of the moment. */
static tm_status ask_primary(tm_redis_store *store, tm_slice host, int port, uint32_t slot, tm_error *error)
{
    tm_redis_cluster *cluster = store->cluster;
    tm_redis_connection *connection = NULL;
    tm_status status = TM_OK;
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].port == port && tm_slice_equal_text(host, cluster->nodes[i].host)) {
            tm_redis_connection *ours = store->connection;
            status = node_connection(store, (uint16_t)i, error);
            connection = store->connection;
            store->connection = ours;
            return status == TM_OK ? count_keys(store, connection, slot, error) : status;
        }
    }
    status = tm_redis_connection_beside(store->home, TM_REDIS_TO_GUIDE, host, port, &connection, error);
    if (status == TM_OK) {
        status = count_keys(store, connection, slot, error);
    }
    tm_redis_connection_free(connection);
    return status;
}

/* Whether the map names nodes by the names they announce, rather than by their addresses. */
static bool named_by_name(const tm_redis_cluster *cluster, tm_slice nodes)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        char text[300];
        snprintf(text, sizeof(text), ",%s", cluster->nodes[i].host);
        if (memmem(nodes.data, nodes.length, text, strlen(text)) != NULL) {
            return true;
        }
    }
    return false;
}

tm_status tm_redis_cluster_alone(tm_redis_store *store, int32_t partition, tm_error *error)
{
    tm_redis_reply *reply = NULL;
    if (store->cluster == NULL) {
        return TM_OK;
    }
    tm_redis_begin(store->connection);
    tm_redis_command(store->connection, 2);
    tm_redis_argument_text(store->connection, "CLUSTER");
    tm_redis_argument_text(store->connection, "NODES");
    tm_status status = tm_redis_send_more(store->connection, error);
    if (status == TM_OK) {
        status = tm_redis_receive(store->connection, &reply, error);
    }
    if (status == TM_OK && tm_redis_reply_type(reply) == TM_REDIS_ERROR) {
        status = tm_redis_refused(store, tm_redis_reply_text(reply), "CLUSTER NODES", error);
        tm_error_hint(error, "`tidemark check --permissions` prints what the Redis user has to be allowed");
    }
    tm_slice nodes = status == TM_OK ? tm_redis_reply_text(reply) : (tm_slice){NULL, 0};
    if (status == TM_OK && (nodes.data == NULL || memmem(nodes.data, nodes.length, "myself", 6) == NULL)) {
        status = tm_redis_strange(store, "CLUSTER NODES", error);
    }
    bool by_name = nodes.data != NULL && named_by_name(store->cluster, nodes);
    for (const char *at = nodes.data, *end = at + nodes.length; nodes.data != NULL && at < end && status == TM_OK;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        tm_slice host;
        int port = 0;
        if (read_primary((tm_slice){at, (size_t)(stop - at)}, by_name, &host, &port)) {
            status = ask_primary(store, host, port, slot_of(store, partition), error);
        }
        at = stop + 1;
    }
    tm_redis_reply_free(reply);
    return status;
}
