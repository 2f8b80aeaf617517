#include "tidemark/rules/configfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tm_configuration *c;
static tm_error error;
static tm_diagnostics found;

static const char *variable(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOST_1") == 0 ? "web-1" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static tm_status file(void *context, const char *path, tm_buffer *out, tm_error *problem)
{
    (void)context;
    if (strcmp(path, "user.key") == 0)
        tm_buffer_append_text(out, "0123456789abcdef\r\n\n");
    else if (strcmp(path, "web-1.key") == 0)
        tm_buffer_append_text(out, "the secret of web-1, long enough");
    else if (strcmp(path, "short") == 0)
        tm_buffer_append_text(out, "short\n");
    else if (strcmp(path, "nul") == 0)
        tm_buffer_append(out, "ab\0cd", 5);
    else if (strcmp(path, "endless") == 0)
        for (int i = 0; i < 70000; i++)
            tm_buffer_append_char(out, 'x');
    else
        return tm_fail(problem, TM_REJECT, "no such file");
    return TM_OK;
}

static tm_status parse(const char *text, bool partial)
{
    tm_configfile_options options = {NULL, variable, file, &found};
    found = (tm_diagnostics){0};
    return tm_configfile_parse(tm_slice_of(text), "t.yaml", partial, &options, &c, &error);
}

static void good(const char *text)
{
    cr_assert_eq(parse(text, true), TM_OK, "%s: %s in\n%s", error.where, error.what, text);
    cr_assert_eq(found.count, 0);
}

/* `text` has exactly one error, there and so. */
static void bad(const char *text, uint32_t line, uint32_t column, const char *message, const char *hint)
{
    cr_assert_eq(parse(text, true), TM_REJECT, "taken: %s", text);
    cr_assert_null(c);
    const tm_diagnostic *d = &found.items[0];
    cr_assert_eq(found.count, 1, "%u errors, the first: %s in\n%s", found.count, d->message, text);
    cr_assert(d->line == line && d->column == column, "at %u:%u (%s) in\n%s", d->line, d->column, d->message, text);
    cr_assert_not_null(strstr(d->message, message), "%s in\n%s", d->message, text);
    cr_assert(hint ? strstr(d->hint, hint) != NULL : d->hint[0] == 0, "hint '%s' in\n%s", d->hint, text);
    cr_assert(strstr(error.where, "t.yaml") && strstr(error.what, message), "%s: %s", error.where, error.what);
}

Test(configfile, defaults)
{
    good("");
    cr_assert_str_eq(c->group, "tidemark");
    cr_assert_str_eq(c->instance, "local");
    cr_assert_str_eq(c->timezone, "UTC");
    cr_assert_str_eq(c->rules, "rules.yaml");
    cr_assert(c->workers == 1 && c->history == TM_HISTORY_FIRST_RECORD);
    cr_assert(!c->redis_username && !c->redis_password && !c->redis_ca_file && !c->redis_cert_file &&
              !c->redis_key_file);
    cr_assert(!c->brokers && !c->redis_url && !c->user_key.data && c->property_count == 0);
    cr_assert_str_eq(c->usage, "usage");
    cr_assert_str_eq(c->accounts, "accounts");
    cr_assert_str_eq(c->churn_risk, "churn-risk");
    cr_assert_str_eq(c->expansion, "expansion");
    cr_assert_str_eq(c->advisories, "advisories");
    cr_assert_str_eq(c->health, "health");
    cr_assert_str_eq(c->dead_letters, "usage-dlq");
    cr_assert_str_eq(c->journal, "tidemark-journal");
    cr_assert_str_eq(c->redis_prefix, "tm");
    cr_assert(c->commit_interval == TM_SECOND && c->evaluate_every == TM_MINUTE && c->grace == 10 * TM_SECOND);
    cr_assert(c->max_skew == 5 * TM_MINUTE && c->dedup_window == TM_HOUR && c->dedup_entries == 4000000);
    cr_assert_str_eq(c->key_mismatch, "refuse");
    cr_assert_str_eq(c->mapping, "auto");
    cr_assert(c->memory_limit == 0 && c->mapping_field_count == 0);
    cr_assert_str_eq(c->log_format, "text");
    cr_assert_str_eq(c->log_level, "info");
    tm_configuration_free(c);
    tm_configuration_free(NULL);
}

Test(configfile, every_key)
{
    good("group: g\n"
         "instance: ${HOST_1}\n"
         "workers: 4\n"
         "timezone: Europe/Berlin\n"
         "history: 2026-01-31\n"
         "rules: my.yaml\n"
         "kafka:\n"
         "  brokers: a:9092,b:9092\n"
         "  properties: {security.protocol: ssl, ssl.key.password: !file short, client.id: 'x$$y${NONE:-z}'}\n"
         "topics: {usage: u, accounts: off, churn_risk: c, expansion: e, advisories: a, health: h, dead_letters: d.1,\n"
         "         journal: j_2}\n"
         "redis: {url: 'redis://h:1/2', prefix: p, username: u, password: !file short, ca_file: ca.pem,\n"
         "        cert_file: c.pem, key_file: k.pem}\n"
         "commit_interval: 500ms\n"
         "evaluate_every: 5m\n"
         "grace: 1s\n"
         "max_skew: 0s\n"
         "dedup: {window: 2d, max_entries: 1000}\n"
         "key_mismatch: ignore\n"
         "mapping: {account: data.tenant, source: [meta.app, '=web']}\n"
         "user_key: !file ${HOST_1}.key\n"
         "memory_limit: 2GiB\n"
         "log: {format: json, level: debug}\n");
    cr_assert_str_eq(c->group, "g");
    cr_assert_str_eq(c->instance, "web-1");
    cr_assert_str_eq(c->timezone, "Europe/Berlin");
    cr_assert(c->workers == 4 && c->history == TM_HISTORY_DATE && c->history_day == 20484);
    cr_assert_str_eq(c->rules, "my.yaml");
    cr_assert_str_eq(c->brokers, "a:9092,b:9092");
    cr_assert_eq(c->property_count, 3);
    cr_assert_str_eq(c->properties[0].name, "security.protocol");
    cr_assert_str_eq(c->properties[1].value, "short");
    cr_assert_str_eq(c->properties[2].value, "x$yz");
    cr_assert_str_eq(c->usage, "u");
    cr_assert_null(c->accounts);
    cr_assert_str_eq(c->dead_letters, "d.1");
    cr_assert_str_eq(c->journal, "j_2");
    cr_assert_str_eq(c->redis_url, "redis://h:1/2");
    cr_assert_str_eq(c->redis_prefix, "p");
    cr_assert_str_eq(c->redis_username, "u");
    cr_assert_str_eq(c->redis_password, "short");
    cr_assert_str_eq(c->redis_ca_file, "ca.pem");
    cr_assert_str_eq(c->redis_cert_file, "c.pem");
    cr_assert_str_eq(c->redis_key_file, "k.pem");
    cr_assert(c->commit_interval == 500 && c->evaluate_every == 5 * TM_MINUTE && c->grace == 1000 && c->max_skew == 0);
    cr_assert(c->dedup_window == 2 * TM_DAY && c->dedup_entries == 1000);
    cr_assert_str_eq(c->key_mismatch, "ignore");
    cr_assert_str_eq(c->mapping, "custom");
    cr_assert_eq(c->mapping_field_count, 3);
    cr_assert_str_eq(c->mapping_fields[0].name, "account");
    cr_assert_str_eq(c->mapping_fields[1].name, "source");
    cr_assert_str_eq(c->mapping_fields[1].value, "meta.app");
    cr_assert_str_eq(c->mapping_fields[2].name, "source");
    cr_assert_str_eq(c->mapping_fields[2].value, "=web");
    cr_assert(tm_slice_equal_text(c->user_key, "the secret of web-1, long enough"));
    cr_assert_eq(c->memory_limit, INT64_C(2) << 30);
    cr_assert_str_eq(c->log_format, "json");
    cr_assert_str_eq(c->log_level, "debug");
    tm_configuration_free(c);
}

Test(configfile, spellings)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"0", 0},           {"7", 7},
                 {"7B", 7},          {"7 B", 7},
                 {"3kB", 3000},      {"3KB", 3000},
                 {"3KiB", 3072},     {"2MB", 2000000},
                 {"2MiB", 2 << 20},  {"1GB", 1000000000},
                 {"1 GiB", 1 << 30}, {"1024GiB", INT64_C(1) << 40}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[64];
        snprintf(text, sizeof text, "memory_limit: %s", sizes[i].text);
        good(text);
        cr_assert_eq(c->memory_limit, sizes[i].bytes, "%s", text);
        tm_configuration_free(c);
    }
    static const char *const off[] = {"topics: {accounts: off}", "topics: {accounts: false}", "topics: {accounts: }",
                                      "topics: {accounts: ~}"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        good(off[i]);
        cr_assert_null(c->accounts, "%s", off[i]);
        tm_configuration_free(c);
    }
    /* Absent values and absent groups are the defaults; a quoted name is a name. */
    good("topics:\nworkers:\ngrace: ~\nkafka: {properties: }\nhistory: complete\nmapping: segment\ndedup: null\n");
    cr_assert(c->workers == 1 && c->grace == 10 * TM_SECOND && c->history == TM_HISTORY_COMPLETE);
    cr_assert_str_eq(c->accounts, "accounts");
    cr_assert_str_eq(c->mapping, "segment");
    tm_configuration_free(c);
    good("topics: {accounts: 'off'}\nhistory: first-record\ninstance: ${EMPTY:-x}${HOST_1:-y}$z$$\n");
    cr_assert_str_eq(c->accounts, "off");
    cr_assert_str_eq(c->instance, "xweb-1$z$");
    tm_configuration_free(c);
}

Test(configfile, what_is_missing)
{
    cr_assert_eq(parse("", false), TM_REJECT);
    cr_assert_eq(found.count, 2);
    cr_assert_not_null(strstr(found.items[0].message, "'kafka.brokers' is missing: host:port"));
    cr_assert_not_null(strstr(found.items[1].message, "'redis.url' is missing"));
    cr_assert_eq(parse("kafka: {brokers: }\nredis: {url: u}", false), TM_REJECT);
    cr_assert_eq(found.count, 1);
    cr_assert_eq(parse("kafka: {brokers: b}\nredis: {url: u}", false), TM_OK);
    tm_configuration_free(c);
    /* Without anything to ask: files and variables are not there. */
    cr_assert_eq(tm_configfile_parse(TM_SLICE_LITERAL("user_key: !file user.key\ngroup: ${HOST_1}"), "t", true, NULL,
                                     &c, &error),
                 TM_REJECT);
    cr_assert_not_null(strstr(error.what, "user.key"), "%s", error.what);
    cr_assert_eq(tm_configfile_parse(TM_SLICE_LITERAL("group: g"), "t", true, NULL, &c, NULL), TM_OK);
    tm_configuration_free(c);
}

Test(configfile, errors_point)
{
    bad("- a\n", 1, 1, "a configuration is a map", NULL);
    bad("group: [a\n", 2, 1, "not YAML", NULL);
    bad("grup: x\n", 1, 1, "unknown key 'grup'", "'group'");
    bad("kafka:\n  broker: x\n", 2, 3, "unknown key 'broker'", "'brokers'");
    bad("kafka.brokers: x\n", 1, 1, "unknown key 'kafka.brokers'", "write 'brokers:' under 'kafka:'");
    bad("brokers: x\n", 1, 1, "unknown key 'brokers'", "write 'brokers:' under 'kafka:'");
    bad("kafka: b:9092\n", 1, 8, "'kafka' must be a map", NULL);
    bad("log:\n- a\n", 2, 1, "'log' must be a map", NULL);
    bad("group: {a: b}\n", 1, 9, "'group' must be one value, not a map", NULL);
    bad("workers: [1]\n", 1, 10, "'workers' must be one value, not a list", NULL);
    bad("group: ''\n", 1, 9, "'group' is empty", NULL);
    bad("group: ${EMPTY}\n", 1, 8, "'group' is empty", NULL);
    bad("group: !file nul\n", 1, 14, "has a NUL", NULL);
    bad("workers: 0\n", 1, 10, "'workers' is a whole number from 1 to 256", NULL);
    bad("workers: 257\n", 1, 10, "from 1 to 256", NULL);
    bad("workers: 1.5\n", 1, 10, "whole number", NULL);
    bad("workers: -1\n", 1, 10, "whole number", NULL);
    bad("workers: 1000000000000000000\n", 1, 10, "whole number", NULL);
    bad("memory_limit: 2TiB\n", 1, 15, "'memory_limit' is a whole number", NULL);
    bad("memory_limit: 1025GiB\n", 1, 15, "'memory_limit' is a whole number", NULL);
    bad("memory_limit: 999999999999999999GiB\n", 1, 15, "'memory_limit' is a whole number", NULL);
    bad("memory_limit: GiB\n", 1, 15, "'memory_limit' is a whole number", NULL);
    bad("grace: soon\n", 1, 8, "'grace' is a duration from 0s to 400d", NULL);
    bad("grace: 9601h\n", 1, 8, "'grace' is a duration", NULL);
    bad("commit_interval: 5ms\n", 1, 18, "from 10ms to 1m", NULL);
    bad("evaluate_every: 7m\n", 1, 17, "has to divide one hour", "15m");
    bad("history: yesterday\n", 1, 10, "first-record, complete, or a date", NULL);
    bad("key_mismatch: ignor\n", 1, 15, "'key_mismatch' is one of: refuse ignore", "'ignore'");
    bad("mapping: cloudevent\n", 1, 10, "'mapping' is one of", "'cloudevents'");
    bad("mapping: {id: [a, [b]]}\n", 1, 19, "'id' must be one value, not a list", NULL);
    bad("kafka: {properties: {a: [b]}}\n", 1, 25, "'a' must be one value, not a list", NULL);
    bad("mapping: [a]\n", 1, 10, "'mapping' must be one value", NULL);
    bad("topics: {usage: a b}\n", 1, 17, "'topics.usage' is no topic name", "at most 249");
    bad("topics: {usage: .}\n", 1, 17, "no topic name", "letters");
    bad("topics: {accounts: ..}\n", 1, 20, "no topic name", "letters");
    bad("topics: {usage: ''}\n", 1, 18, "no topic name", "letters");
    bad("http: {token: short}\n", 1, 15, "'http.token' has fewer than 16 bytes", "then token: !file http.token");
    bad("http: {listen: ''}\n", 1, 17, "'http.listen' is empty", NULL);
    bad("http: 127.0.0.1:80\n", 1, 7, "'http' must be a map", NULL);
    bad("user_key: short\n", 1, 11, "'user_key' has fewer than 16 bytes", "/dev/urandom");
    bad("user_key: !file short\n", 1, 17, "fewer than 16 bytes", "/dev/urandom");
    bad("user_key: !file absent\n", 1, 17, "the file 'absent' cannot be read: no such file", NULL);
    bad("user_key: !file endless\n", 1, 17, "longer than", NULL);
    bad("group: !include x\n", 1, 17, "the tag '!include' is not known", "!file path");
    bad("group: ${NONE}\n", 1, 8, "the environment variable NONE is not set", "${NONE:-default}");
    bad("group: a${HOST_1\n", 1, 8, "'${'", "${NAME}");
    bad("group: a${HOST_1:-x\n", 1, 8, "'${HOST_1' is not closed", NULL);
    bad("group: a${HOST_1-x}\n", 1, 8, "'${HOST_1' is not closed", NULL);
    bad("group: ${}\n", 1, 8, "'${' without a name", "$$");
    bad("kafka: {properties: [a]}\n", 1, 21, "'kafka.properties' must be a map", NULL);
    bad("kafka: {properties: {a: [b]}}\n", 1, 25, "'a' must be one value", NULL);
}

Test(configfile, many_errors_and_many_pairs)
{
    cr_assert_eq(parse("workers: 0\ngrup: x\ngrace: soon\n", true), TM_REJECT);
    cr_assert_eq(found.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(found.items[i].line, i + 1, "errors stand in the order of the file");
    tm_buffer text;
    tm_buffer_init(&text, 1 << 20);
    tm_buffer_append_text(&text, "kafka:\n  properties:\n");
    for (int i = 0; i < 257; i++)
        tm_buffer_append_format(&text, "    p%d: v\n", i);
    bad(tm_buffer_text(&text), 3, 5, "'kafka.properties' has more than 256 entries", NULL);
    tm_buffer_done(&text);
    char topic[300] = "topics: {usage: ";
    memset(topic + 16, 'a', 250);
    memcpy(topic + 266, "}", 2);
    bad(topic, 1, 17, "no topic name", "249");
    memcpy(topic + 265, "}", 2);
    good(topic);
    tm_configuration_free(c);
}

Test(configfile, where_http_is_answered)
{
    static const struct {
        const char *text, *listen;
    } cases[] = {{"group: g\n", NULL},
                 {"http: {listen: off}\n", NULL},
                 {"http: {listen: false}\n", NULL},
                 {"http: {listen: }\n", NULL},
                 {"http: {listen: 127.0.0.1:9464}\n", "127.0.0.1:9464"},
                 {"http: {listen: '[::1]:9464'}\n", "[::1]:9464"},
                 {"http: {listen: '${HOST_1}:1'}\n", "web-1:1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        good(cases[i].text);
        cr_assert_eq(c->http_listen == NULL, cases[i].listen == NULL, "%s", cases[i].text);
        if (cases[i].listen)
            cr_assert_str_eq(c->http_listen, cases[i].listen);
        cr_assert_null(c->http_token.data);
        tm_configuration_free(c);
    }
    good("http: {listen: 127.0.0.1:1, token: 0123456789abcdef}\n");
    cr_assert(tm_slice_equal_text(c->http_token, "0123456789abcdef"));
    tm_configuration_free(c);
}

/* docs/configuration.md has a row for each key, with its default and meaning, and for no other. */
Test(configfile, the_documentation_has_every_key)
{
    FILE *doc = fopen(TIDEMARK_SOURCE_DIR "/docs/configuration.md", "rb");
    cr_assert_not_null(doc);
    static char text[1 << 18];
    text[fread(text, 1, sizeof text - 1, doc)] = 0;
    fclose(doc);
    uint32_t keys = 0, rows = 0;
    const char *at = text;
    for (const tm_configuration_key *key; (key = tm_configuration_key_at(keys)); keys++) {
        char row[512];
        if (key->standard[0])
            snprintf(row, sizeof row, "\n| `%s` | `%s` | %s |\n", key->key, key->standard, key->meaning);
        else
            snprintf(row, sizeof row, "\n| `%s` | – | %s |\n", key->key, key->meaning);
        at = strstr(at, row);
        cr_assert_not_null(at, "this row is not there, or not in the table's order: %s", row);
    }
    for (at = text; (at = strstr(at, "\n| `")); at++)
        rows++;
    cr_assert_eq(rows, keys, "the page has %u rows for %u keys", rows, keys);
    cr_assert_null(tm_configuration_key_at(keys));
    cr_assert_null(tm_configuration_key_at(UINT32_MAX));
}
