#include "tidemark/adapters/redis/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/bytes.h"

enum { PORT_DEFAULT = 6379, DATABASE_MAX = 1 << 20 };

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

/* A terminated copy with %xx decoded. False, and NULL in *ret_text, for a malformed escape or a NUL, or without memory.
 */
static bool decode(tm_slice text, char **ret_text)
{
    char *out = malloc(text.length + 1);
    size_t length = 0;
    *ret_text = out;
    if (out == NULL) {
        return false;
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
    return true;
malformed:
    explicit_bzero(out, length);
    free(out);
    *ret_text = NULL;
    return false;
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

/* "user:password" before the '@'. */
static bool parse_user(tm_redis_address *address, tm_slice text)
{
    const char *colon = memchr(text.data, ':', text.length);
    const char *end = text.data + text.length;
    const char *user_end = colon != NULL ? colon : end;
    if (user_end > text.data && !decode(slice_between(text.data, user_end), &address->user)) {
        return false;
    }
    return colon == NULL || colon + 1 == end || decode(slice_between(colon + 1, end), &address->password);
}

/* "host", "host:port", "[v6]:port" or nothing. */
static const char *parse_host(tm_redis_address *address, tm_slice text)
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
    address->port = PORT_DEFAULT;
    if (host_end < end && (*host_end != ':' || !parse_small(slice_between(host_end + 1, end), 65535, &address->port) ||
                           address->port == 0)) {
        return "the port is no number from 1 to 65535";
    }
    if (host.length == 0) {
        host = TM_SLICE_LITERAL("127.0.0.1");
    }
    return decode(host, &address->host) ? NULL : "the host is malformed";
}

/* Takes the URL apart. Returns what is wrong with it, without any part of it, or NULL. */
static const char *parse_url(tm_redis_address *address, const char *url)
{
    static const char unix_scheme[] = "unix://", plain_scheme[] = "redis://", tls_scheme[] = "rediss://";
    const char *rest;
    if (strlen(url) > TM_REDIS_URL_MAX) {
        return "it is too long";
    }
    if (strncmp(url, unix_scheme, sizeof(unix_scheme) - 1) == 0) {
        rest = url + sizeof(unix_scheme) - 1;
        address->unix_socket = true;
    } else if (strncmp(url, plain_scheme, sizeof(plain_scheme) - 1) == 0) {
        rest = url + sizeof(plain_scheme) - 1;
    } else if (strncmp(url, tls_scheme, sizeof(tls_scheme) - 1) == 0) {
        rest = url + sizeof(tls_scheme) - 1;
        address->tls = true;
    } else {
        return "it begins with none of redis://, rediss://, unix://";
    }
    const char *authority_end = rest + strcspn(rest, "/?#");
    const char *query = rest + strcspn(rest, "?#");
    const char *at = memrchr(rest, '@', (size_t)(authority_end - rest));
    const char *path = authority_end;
    if (at == NULL && strchr(authority_end, '@') != NULL && !address->unix_socket) {
        return "a '/', '?' or '#' in a user or password has to be written %2F, %3F, %23";
    }
    if (at != NULL && !parse_user(address, slice_between(rest, at))) {
        return "the user or password holds a malformed %xx";
    }
    tm_slice host = slice_between(at != NULL ? at + 1 : rest, authority_end);
    tm_slice database = {NULL, 0};
    if (*query == '#') {
        return "it has a fragment ('#')";
    }
    if (*query == '?') {
        if (strncmp(query, "?db=", 4) != 0) {
            return "the only parameter it may have is ?db=";
        }
        database = tm_slice_of(query + 4);
    }
    if (address->unix_socket) {
        if (host.length > 0 || path == query) {
            return "it has to be unix:///path/of/the/socket";
        }
        if (!decode(slice_between(path, query), &address->host)) {
            return "the path is malformed";
        }
    } else {
        const char *wrong = parse_host(address, host);
        if (wrong != NULL) {
            return wrong;
        }
        if (query > path + 1) {
            database = slice_between(path + 1, query);
        }
    }
    if (database.data != NULL && !parse_small(database, DATABASE_MAX, &address->database)) {
        return "the database is no number";
    }
    return NULL;
}

static char *name_of(const tm_redis_address *address)
{
    char *name = NULL;
    bool brackets = !address->unix_socket && strchr(address->host, ':') != NULL;
    int length = address->unix_socket
                     ? asprintf(&name, "unix://%s?db=%d", address->host, address->database)
                     : asprintf(&name, "%s://%s%s%s:%d/%d", address->tls ? "rediss" : "redis", brackets ? "[" : "",
                                address->host, brackets ? "]" : "", address->port, address->database);
    return length < 0 ? NULL : name;
}

tm_status tm_redis_address_parse(const char *url, tm_redis_address *ret_address, tm_error *error)
{
    tm_status status = TM_OK;
    tm_redis_address address = {0};
    const char *wrong = url != NULL ? parse_url(&address, url) : "there is none";
    if (wrong != NULL) {
        status = tm_fail(error, TM_REJECT, "the Redis URL cannot be used: %s", wrong);
        tm_error_hint(error, "write redis://[[user]:password@]host[:port][/db] or unix:///path/of/the/socket");
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

void tm_redis_address_done(tm_redis_address *address)
{
    if (address->password != NULL) {
        explicit_bzero(address->password, strlen(address->password));
    }
    free(address->host);
    free(address->user);
    free(address->password);
    free(address->name);
    *address = (tm_redis_address){0};
}
