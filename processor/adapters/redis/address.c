#include "tidemark/adapters/redis/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/bytes.h"

enum { PORT_DEFAULT = 6379, SENTINEL_PORT_DEFAULT = 26379, DATABASE_MAX = 1 << 20 };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* What is said to be wrong with a URL that could not be read for want of memory. */
static const char no_memory[] = "out of memory";

/* A terminated copy with %xx decoded. Returns NULL; otherwise *ret_text is NULL, and it is `malformed` for a malformed
   escape or a NUL, or no_memory. */
static const char *decode(tm_slice text, char **ret_text, const char *malformed)
{
    char *out = malloc(text.length + 1);
    size_t length = 0;
    *ret_text = out;
    if (out == NULL) {
        return no_memory;
    }
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.length ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.length ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                goto malformed;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            goto malformed;
        }
        out[length++] = c;
    }
    out[length] = '\0';
    return NULL;
malformed:
    explicit_bzero(out, length);
    free(out);
    *ret_text = NULL;
    return malformed;
}

/* Decimal digits only, 0 to `maximum`. */
static bool parse_small(tm_slice text, int maximum, int *ret_value)
{
    int value = 0;
    if (text.length == 0 || text.length > 9) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *ret_value = value;
    return value <= maximum;
}

static tm_slice slice_between(const char *from, const char *to)
{
    return (tm_slice){from, (size_t)(to - from)};
}

/* "user:password" before the '@'. Returns what is wrong with it, or NULL. */
static const char *parse_user(tm_redis_address *address, tm_slice text)
{
    const char *colon = memchr(text.data, ':', text.length);
    const char *end = text.data + text.length;
    const char *user_end = colon != NULL ? colon : end;
    static const char malformed[] = "the user or password holds a malformed %xx";
    const char *wrong =
        user_end > text.data ? decode(slice_between(text.data, user_end), &address->user, malformed) : NULL;
    if (wrong != NULL || colon == NULL || colon + 1 == end) {
        return wrong;
    }
    return decode(slice_between(colon + 1, end), &address->password, malformed);
}

/* "host", "host:port", "[v6]:port" or nothing. Returns what is wrong with it, or NULL. */
static const char *parse_host(tm_slice text, int port, char **ret_host, int *ret_port)
{
    const char *end = text.data + text.length;
    const char *host_end;
    tm_slice host;
    if (text.length > 0 && text.data[0] == '[') {
        host_end = memchr(text.data, ']', text.length);
        if (host_end == NULL) {
            return "the address has no closing ']'";
        }
        host = slice_between(text.data + 1, host_end);
        host_end++;
    } else {
        host_end = memchr(text.data, ':', text.length);
        host_end = host_end != NULL ? host_end : end;
        host = slice_between(text.data, host_end);
    }
    *ret_port = port;
    if (host_end < end &&
        (*host_end != ':' || !parse_small(slice_between(host_end + 1, end), 65535, ret_port) || *ret_port == 0)) {
        return "the port is no number from 1 to 65535";
    }
    if (host.length == 0) {
        host = TM_SLICE_LITERAL("127.0.0.1");
    }
    return decode(host, ret_host, "the host is malformed");
}

/* "host:port,host:port,…", each of them there. */
static const char *parse_hosts(tm_redis_address *address, tm_slice text)
{
    int port = address->kind == TM_REDIS_SENTINEL ? SENTINEL_PORT_DEFAULT : PORT_DEFAULT;
    const char *end = text.data + text.length;
    for (const char *at = text.data; at <= end;) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const char *stop = comma != NULL ? comma : end;
        if (stop == at || *at == ':') {
            return "it names a server without a host";
        }
        if (address->host_count == TM_REDIS_HOSTS_MAX) {
            return "it names more than 16 servers";
        }
        tm_redis_host *host = &address->hosts[address->host_count++];
        const char *wrong = parse_host(slice_between(at, stop), port, &host->host, &host->port);
        if (wrong != NULL) {
            return wrong;
        }
        at = stop + 1;
    }
    return NULL;
}

/* "MASTER" or "MASTER/db", without the slash before. */
static const char *parse_master(tm_redis_address *address, tm_slice text, tm_slice *ret_database)
{
    const char *end = text.data + text.length;
    const char *slash = memchr(text.data, '/', text.length);
    tm_slice name = slice_between(text.data, slash != NULL ? slash : end);
    if (name.length == 0) {
        return "it does not name the master after the sentinels, as in redis+sentinel://host:26379/mymaster";
    }
    if (slash != NULL && slash + 1 < end) {
        *ret_database = slice_between(slash + 1, end);
    }
    return decode(name, &address->master, "the name of the master is malformed");
}

/* "a=b&c=d" behind the '?'. */
static const char *parse_parameters(tm_redis_address *address, const char *text, tm_slice *ret_database)
{
    static const char database[] = "db=", user[] = "sentinel_user=", password[] = "sentinel_password=";
    for (const char *at = text; *at != '\0';) {
        const char *end = at + strcspn(at, "&");
        static const char malformed[] = "a parameter is malformed, or there twice";
        const char *wrong = NULL;
        if (strncmp(at, database, sizeof(database) - 1) == 0) {
            *ret_database = slice_between(at + sizeof(database) - 1, end);
        } else if (address->kind == TM_REDIS_SENTINEL && strncmp(at, user, sizeof(user) - 1) == 0) {
            wrong = address->sentinel_user != NULL
                        ? malformed
                        : decode(slice_between(at + sizeof(user) - 1, end), &address->sentinel_user, malformed);
        } else if (address->kind == TM_REDIS_SENTINEL && strncmp(at, password, sizeof(password) - 1) == 0) {
            wrong = address->sentinel_password != NULL
                        ? malformed
                        : decode(slice_between(at + sizeof(password) - 1, end), &address->sentinel_password, malformed);
        } else {
            return address->kind == TM_REDIS_SENTINEL
                       ? "the only parameters it may have are db, sentinel_user and sentinel_password"
                       : "the only parameter it may have is ?db=";
        }
        if (wrong != NULL) {
            return wrong;
        }
        at = *end == '&' ? end + 1 : end;
    }
    return NULL;
}

static const struct scheme {
    const char *text;
    tm_redis_kind kind;
    bool unix_socket, tls;
} schemes[] = {
    {"unix://", TM_REDIS_SINGLE, true, false},
    {"redis://", TM_REDIS_SINGLE, false, false},
    {"rediss://", TM_REDIS_SINGLE, false, true},
    {"redis+sentinel://", TM_REDIS_SENTINEL, false, false},
    {"rediss+sentinel://", TM_REDIS_SENTINEL, false, true},
    {"redis+cluster://", TM_REDIS_CLUSTER, false, false},
    {"rediss+cluster://", TM_REDIS_CLUSTER, false, true},
};
enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < SCHEMES; i++) {
        if (strncmp(url, schemes[i].text, strlen(schemes[i].text)) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

/* Where the servers are: what stands between user and path. `path` begins with '/' or is empty. */
static const char *parse_place(tm_redis_address *address, tm_slice servers, tm_slice path, tm_slice *ret_database)
{
    const char *wrong;
    if (address->unix_socket) {
        if (servers.length > 0 || path.length == 0) {
            return "it has to be unix:///path/of/the/socket";
        }
        return decode(path, &address->host, "the path is malformed");
    }
    tm_slice rest = path.length > 0 ? slice_between(path.data + 1, path.data + path.length) : path;
    if (address->kind == TM_REDIS_SINGLE) {
        wrong = memchr(servers.data, ',', servers.length) != NULL
                    ? "several servers are a redis+cluster:// or redis+sentinel://"
                    : parse_host(servers, PORT_DEFAULT, &address->host, &address->port);
    } else {
        wrong = parse_hosts(address, servers);
    }
    if (wrong == NULL && address->kind == TM_REDIS_SENTINEL) {
        return parse_master(address, rest, ret_database);
    }
    if (rest.length > 0) {
        *ret_database = rest;
    }
    return wrong;
}

/* Takes the URL apart. Returns what is wrong with it, without any part of it, or NULL. */
static const char *parse_url(tm_redis_address *address, const char *url)
{
    if (strlen(url) > TM_REDIS_URL_MAX) {
        return "it is too long";
    }
    const struct scheme *scheme = scheme_of(url);
    if (scheme == NULL) {
        return "it begins with none of redis://, rediss://, unix://, redis+sentinel://, redis+cluster://";
    }
    address->kind = scheme->kind;
    address->unix_socket = scheme->unix_socket;
    address->tls = scheme->tls;
    const char *rest = url + strlen(scheme->text);
    const char *authority_end = rest + strcspn(rest, "/?#");
    const char *query = rest + strcspn(rest, "?#");
    const char *at = memrchr(rest, '@', (size_t)(authority_end - rest));
    if (at == NULL && memchr(authority_end, '@', (size_t)(query - authority_end)) != NULL && !address->unix_socket) {
        return "a '/', '?' or '#' in a user or password has to be written %2F, %3F, %23";
    }
    if (at == NULL && strchr(query, '@') != NULL && address->kind != TM_REDIS_SENTINEL) {
        return "a '/', '?' or '#' in a user or password has to be written %2F, %3F, %23";
    }
    const char *wrong = at != NULL ? parse_user(address, slice_between(rest, at)) : NULL;
    if (wrong != NULL) {
        return wrong;
    }
    if (strchr(query, '#') != NULL) {
        return "it has a fragment ('#')";
    }
    tm_slice database = {NULL, 0};
    wrong = parse_place(address, slice_between(at != NULL ? at + 1 : rest, authority_end),
                        slice_between(authority_end, query), &database);
    if (wrong == NULL && *query == '?') {
        wrong = parse_parameters(address, query + 1, &database);
    }
    if (wrong == NULL && database.data != NULL && !parse_small(database, DATABASE_MAX, &address->database)) {
        wrong = "the database is no number";
    }
    if (wrong == NULL && address->kind == TM_REDIS_CLUSTER && address->database != 0) {
        wrong = "a cluster has the database 0 alone";
    }
    return wrong;
}

/* The URL without users and passwords. */
static char *name_of(const tm_redis_address *address)
{
    tm_buffer text;
    tm_buffer_init(&text, (size_t)8 * TM_REDIS_URL_MAX);
    for (size_t i = 0; i < SCHEMES; i++) {
        if (schemes[i].kind == address->kind && schemes[i].unix_socket == address->unix_socket &&
            schemes[i].tls == address->tls) {
            tm_buffer_append_text(&text, schemes[i].text);
        }
    }
    const tm_redis_host single = {address->host, address->port};
    uint32_t count = address->kind == TM_REDIS_SINGLE ? 1 : address->host_count;
    for (uint32_t i = 0; i < count && !address->unix_socket; i++) {
        const tm_redis_host *host = address->kind == TM_REDIS_SINGLE ? &single : &address->hosts[i];
        bool brackets = strchr(host->host, ':') != NULL;
        tm_buffer_append_format(&text, "%s%s%s%s:%d", i > 0 ? "," : "", brackets ? "[" : "", host->host,
                                brackets ? "]" : "", host->port);
    }
    if (address->unix_socket) {
        tm_buffer_append_format(&text, "%s?db=%d", address->host, address->database);
    } else if (address->kind == TM_REDIS_SENTINEL) {
        tm_buffer_append_format(&text, "/%s/%d", address->master, address->database);
    } else if (address->kind == TM_REDIS_SINGLE) {
        tm_buffer_append_format(&text, "/%d", address->database);
    }
    char *name = text.overflowed ? NULL : strdup(tm_buffer_text(&text));
    tm_buffer_done(&text);
    return name;
}

tm_status tm_redis_address_parse(const char *url, tm_redis_address *ret_address, tm_error *error)
{
    tm_status status = TM_OK;
    tm_redis_address address = {0};
    const char *wrong = url != NULL ? parse_url(&address, url) : "there is none";
    if (wrong == no_memory) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    if (wrong != NULL) {
        status = tm_fail(error, TM_REJECT, "the Redis URL cannot be used: %s", wrong);
        tm_error_hint(error, "write redis://[[user]:password@]host[:port][/db], unix:///path/of/the/socket, "
                             "redis+sentinel://host[:port],…/MASTER[/db] or redis+cluster://host[:port],…");
        goto out;
    }
    address.name = name_of(&address);
    if (address.name == NULL) {
        status = tm_fail(error, TM_FATAL, "out of memory");
    }
out:
    if (status != TM_OK) {
        tm_redis_address_done(&address);
    }
    *ret_address = address;
    return status;
}

static void wipe(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void tm_redis_address_done(tm_redis_address *address)
{
    for (uint32_t i = 0; i < address->host_count; i++) {
        free(address->hosts[i].host);
    }
    wipe(address->password);
    wipe(address->sentinel_password);
    free(address->host);
    free(address->user);
    free(address->sentinel_user);
    free(address->master);
    free(address->name);
    *address = (tm_redis_address){0};
}
