/* Long because: the table of keys, the shapes it names and the walk over the tree are one thing to read. */
#include "tidemark/rules/configfile.h"

#include <stddef.h>
#include <string.h>

#include "tidemark/base/limits.h"
#include "tidemark/rules/yaml.h"

#define ARENA_MAX ((size_t)64 << 20)
enum { VALUE_MAX = 64 * 1024, PAIRS_MAX = 256, NAME_SHOWN = 80 };

typedef enum shape {
    SHAPE_TEXT,
    SHAPE_TOPIC, /* a topic's name */
    SHAPE_TOPIC_OR_OFF,
    SHAPE_CHOICE,
    SHAPE_COUNT,
    SHAPE_SIZE,
    SHAPE_DURATION,
    SHAPE_HISTORY,
    SHAPE_SECRET,
    SHAPE_ADDRESS_OR_OFF,
    SHAPE_PAIRS,
    SHAPE_MAPPING
} shape;

typedef struct key_entry {
    tm_configuration_key shown;
    shape shape;
    uint32_t offset;
    int64_t least, most; /* of counts, sizes and durations */
    const char *choices; /* separated by blanks */
    bool required;
} key_entry;

#define AT(member) offsetof(tm_configuration, member)

static const key_entry keys[] = {
    {{"group", "tidemark", "consumer group, and prefix of every id"}, SHAPE_TEXT, AT(group), 0, 0, NULL, false},
    {{"instance", "${HOSTNAME:-local}", "unique and stable name of this process"},
     SHAPE_TEXT,
     AT(instance),
     0,
     0,
     NULL,
     false},
    {{"workers", "1", "threads; each is a member of the group and holds shards of its own"},
     SHAPE_COUNT,
     AT(workers),
     1,
     256,
     NULL,
     false},
    {{"timezone", "UTC", "IANA zone of calendar days; the machine's own is never used"},
     SHAPE_TEXT,
     AT(timezone),
     0,
     0,
     NULL,
     false},
    {{"history", "first-record", "since when events are complete: first-record, complete, or a date"},
     SHAPE_HISTORY,
     AT(history),
     0,
     0,
     NULL,
     false},
    {{"rules", "rules.yaml", "the rules file, relative to this one"}, SHAPE_TEXT, AT(rules), 0, 0, NULL, false},
    {{"kafka.brokers", "", "host:port of one or more brokers, separated by commas"},
     SHAPE_TEXT,
     AT(brokers),
     0,
     0,
     NULL,
     true},
    {{"kafka.properties", "{}", "any other librdkafka property"}, SHAPE_PAIRS, AT(properties), 0, 0, NULL, false},
    {{"topics.usage", "usage", "input: usage events"}, SHAPE_TOPIC, AT(usage), 0, 0, NULL, false},
    {{"topics.accounts", "accounts", "input: account records, compacted; off switches it off"},
     SHAPE_TOPIC_OR_OFF,
     AT(accounts),
     0,
     0,
     NULL,
     false},
    {{"topics.churn_risk", "churn-risk", "output: churn-risk signals"}, SHAPE_TOPIC, AT(churn_risk), 0, 0, NULL, false},
    {{"topics.expansion", "expansion", "output: expansion signals"}, SHAPE_TOPIC, AT(expansion), 0, 0, NULL, false},
    {{"topics.advisories", "advisories", "output: advisory signals"}, SHAPE_TOPIC, AT(advisories), 0, 0, NULL, false},
    {{"topics.health", "health", "output: one score record per account, compacted"},
     SHAPE_TOPIC,
     AT(health),
     0,
     0,
     NULL,
     false},
    {{"topics.dead_letters", "usage-dlq", "output: records that could not be used"},
     SHAPE_TOPIC,
     AT(dead_letters),
     0,
     0,
     NULL,
     false},
    {{"topics.journal", "tidemark-journal", "what every commit depended on; made by tidemark"},
     SHAPE_TOPIC,
     AT(journal),
     0,
     0,
     NULL,
     false},
    {{"redis.url", "",
      "redis://[user:password@]host:port/db, unix:///path, redis+sentinel://… or redis+cluster://…; rediss with TLS"},
     SHAPE_TEXT,
     AT(redis_url),
     0,
     0,
     NULL,
     true},
    {{"redis.username", "", "ACL user; goes over the one in redis.url"},
     SHAPE_TEXT,
     AT(redis_username),
     0,
     0,
     NULL,
     false},
    {{"redis.password", "", "its password, best as !file; goes over the one in redis.url"},
     SHAPE_TEXT,
     AT(redis_password),
     0,
     0,
     NULL,
     false},
    {{"redis.ca_file", "", "rediss://: certificates that sign the server's; without it the system's"},
     SHAPE_TEXT,
     AT(redis_ca_file),
     0,
     0,
     NULL,
     false},
    {{"redis.cert_file", "", "rediss://: our own certificate, where the server asks for one"},
     SHAPE_TEXT,
     AT(redis_cert_file),
     0,
     0,
     NULL,
     false},
    {{"redis.key_file", "", "rediss://: the key of cert_file, without a passphrase"},
     SHAPE_TEXT,
     AT(redis_key_file),
     0,
     0,
     NULL,
     false},
    {{"redis.prefix", "tm", "first part of every key"}, SHAPE_TEXT, AT(redis_prefix), 0, 0, NULL, false},
    {{"commit_interval", "1s", "how often state and signals become durable together"},
     SHAPE_DURATION,
     AT(commit_interval),
     10,
     TM_MINUTE,
     NULL,
     false},
    {{"evaluate_every", "1m", "the grid on which accounts are judged; divides one hour"},
     SHAPE_DURATION,
     AT(evaluate_every),
     TM_SECOND,
     TM_HOUR,
     NULL,
     false},
    {{"grace", "10s",
      "how far stream time stays behind the clock when nothing arrives; at most `400d`, for feeding old records: then "
      "they alone move it"},
     SHAPE_DURATION,
     AT(grace),
     0,
     400 * TM_DAY, /* as long as a replay of old records takes: then only they move stream time */
     NULL,
     false},
    {{"max_skew", "5m", "how far an event may lie in the future"},
     SHAPE_DURATION,
     AT(max_skew),
     0,
     TM_HOUR,
     NULL,
     false},
    {{"dedup.window", "1h", "how long an event id is remembered, in stream time"},
     SHAPE_DURATION,
     AT(dedup_window),
     0,
     62 * TM_DAY,
     NULL,
     false},
    {{"dedup.max_entries", "4000000", "ids a shard remembers at most, 32 bytes each; reaching it is reported"},
     SHAPE_COUNT,
     AT(dedup_entries),
     1000,
     1000000000,
     NULL,
     false},
    {{"key_mismatch", "refuse", "what to do with an event whose key is not its account: refuse or ignore"},
     SHAPE_CHOICE,
     AT(key_mismatch),
     0,
     0,
     "refuse ignore",
     false},
    {{"mapping", "auto", "form of the events: auto, native, cloudevents, segment, or a map of field: path"},
     SHAPE_MAPPING,
     AT(mapping),
     0,
     0,
     "auto native cloudevents segment",
     false},
    {{"user_key", "", "secret that keys the hash of user ids"}, SHAPE_SECRET, AT(user_key), 0, 0, NULL, false},
    {{"memory_limit", "0", "bytes a shard may use, such as 2GiB; 0: no limit"},
     SHAPE_SIZE,
     AT(memory_limit),
     0,
     INT64_C(1) << 40,
     NULL,
     false},
    {{"http.listen", "off", "address and port for /livez, /readyz and /metrics, such as 127.0.0.1:9464; off: none"},
     SHAPE_ADDRESS_OR_OFF,
     AT(http_listen),
     0,
     0,
     NULL,
     false},
    {{"http.token", "", "secret that a reader of /metrics has to show as bearer token"},
     SHAPE_SECRET,
     AT(http_token),
     0,
     0,
     NULL,
     false},
    {{"log.format", "text", "text (key=value) or json"}, SHAPE_CHOICE, AT(log_format), 0, 0, "text json", false},
    {{"log.level", "info", "debug, info, warning or error"},
     SHAPE_CHOICE,
     AT(log_level),
     0,
     0,
     "debug info warning error",
     false},
};
enum { KEYS = sizeof keys / sizeof *keys };

const tm_configuration_key *tm_configuration_key_at(uint32_t index)
{
    return index < KEYS ? &keys[index].shown : NULL;
}

typedef struct reader {
    tm_configuration *configuration;
    const tm_configfile_options *options;
    tm_document source;
    tm_diagnostics *diagnostics;
    tm_buffer text; /* of the value being expanded */
    bool out_of_memory;
} reader;

#define ERROR_AT(r, node, ...)                                                                                         \
    tm_diagnostics_add((r)->diagnostics, &(r)->source, (node) ? (node)->start : 0, __VA_ARGS__)

static int shown(tm_slice text)
{
    return text.length > NAME_SHOWN ? NAME_SHOWN : (int)text.length;
}

static char *keep(reader *r, tm_slice text)
{
    char *copy = tm_arena_copy(r->configuration->arena, text.data ? text.data : "", text.length);
    r->out_of_memory |= !copy;
    return copy;
}

/* --- the value of a scalar: ${VAR}, ${VAR:-default}, $$ for a dollar, and !file --- */

static bool name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool expand_one(reader *r, const tm_yaml_node *node, tm_slice text, size_t *at)
{
    size_t begin = *at + 2, end = begin;
    while (end < text.length && name_char(text.data[end]))
        end++;
    char name[128];
    if (end == begin || end - begin >= sizeof name || end == text.length) {
        ERROR_AT(r, node, "'${' without a name and '}'");
        tm_diagnostics_hint(r->diagnostics, "write ${NAME} or ${NAME:-default}, and $$ for a dollar");
        return false;
    }
    memcpy(name, text.data + begin, end - begin);
    name[end - begin] = 0;
    const char *value = r->options && r->options->variable ? r->options->variable(r->options->context, name) : NULL;
    bool has_default = end + 1 < text.length && text.data[end] == ':' && text.data[end + 1] == '-';
    size_t default_at = end + 2;
    size_t close = has_default ? default_at : end;
    while (close < text.length && text.data[close] != '}')
        close++;
    if (close == text.length || (!has_default && text.data[end] != '}')) {
        ERROR_AT(r, node, "'${%s' is not closed", name);
        return false;
    }
    if (value && *value)
        tm_buffer_append_text(&r->text, value);
    else if (has_default)
        tm_buffer_append(&r->text, text.data + default_at, close - default_at);
    else if (!value) {
        ERROR_AT(r, node, "the environment variable %s is not set", name);
        tm_diagnostics_hint(r->diagnostics, "set it, or write ${%s:-default}", name);
        return false;
    }
    *at = close + 1;
    return true;
}

/* The expanded text of a scalar; absent, with an error, when it is none. Valid until the next call. */
static tm_slice value_of(reader *r, const tm_yaml_node *node, tm_slice name)
{
    if (node->kind != TM_YAML_SCALAR) {
        ERROR_AT(r, node, "'%.*s' must be one value, not a %s", shown(name), name.data,
                 node->kind == TM_YAML_LIST ? "list" : "map");
        return (tm_slice){0};
    }
    tm_buffer_reset(&r->text);
    tm_slice text = node->text;
    for (size_t i = 0; i < text.length;) {
        if (text.data[i] == '$' && i + 1 < text.length && text.data[i + 1] == '$') {
            tm_buffer_append_char(&r->text, '$');
            i += 2;
        } else if (text.data[i] == '$' && i + 1 < text.length && text.data[i + 1] == '{') {
            if (!expand_one(r, node, text, &i))
                return (tm_slice){0};
        } else {
            tm_buffer_append_char(&r->text, text.data[i++]);
        }
    }
    if (node->tag.data) {
        if (!tm_slice_equal_text(node->tag, "!file")) {
            ERROR_AT(r, node, "the tag '%.*s' is not known", shown(node->tag), node->tag.data);
            tm_diagnostics_hint(r->diagnostics, "only '!file path' is");
            return (tm_slice){0};
        }
        char *path = keep(r, tm_buffer_slice(&r->text));
        tm_error error;
        tm_error_clear(&error);
        tm_buffer_reset(&r->text);
        if (!path || !r->options || !r->options->file ||
            r->options->file(r->options->context, path, &r->text, &error) != TM_OK) {
            ERROR_AT(r, node, "the file '%s' cannot be read: %s", path ? path : "", error.what);
            return (tm_slice){0};
        }
        while (r->text.length > 0 &&
               (r->text.data[r->text.length - 1] == '\n' || r->text.data[r->text.length - 1] == '\r'))
            r->text.length--;
    }
    if (r->text.exhausted) {
        r->out_of_memory = true;
        return (tm_slice){0};
    }
    if (r->text.overflowed) {
        ERROR_AT(r, node, "'%.*s' is longer than %d bytes", shown(name), name.data, VALUE_MAX);
        return (tm_slice){0};
    }
    return (tm_slice){r->text.data ? r->text.data : "", r->text.length};
}

/* --- the shapes --- */

static bool whole_number(tm_slice text, int64_t *ret_number)
{
    int64_t number = 0;
    if (text.length == 0 || text.length > 18)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool size_number(tm_slice text, int64_t *ret_number)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {{"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30},   {"kB", 1000},
                 {"KB", 1000},  {"MB", 1000000},  {"GB", 1000000000}, {"B", 1}};
    int64_t factor = 1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(units[i].unit);
        if (text.length > length && memcmp(text.data + text.length - length, units[i].unit, length) == 0) {
            factor = units[i].factor;
            text.length -= length;
            break;
        }
    }
    while (text.length > 0 && text.data[text.length - 1] == ' ')
        text.length--;
    if (!whole_number(text, ret_number) || *ret_number > INT64_MAX / factor)
        return false;
    *ret_number *= factor;
    return true;
}

static void read_choice(reader *r, const key_entry *entry, const tm_yaml_node *node, tm_slice text,
                        const char **ret_text)
{
    tm_nearest nearest;
    tm_nearest_init(&nearest, text);
    for (const char *choice = entry->choices; *choice;) {
        const char *end = strchr(choice, ' ');
        tm_slice one = {choice, end ? (size_t)(end - choice) : strlen(choice)};
        if (tm_slice_equal(one, text)) {
            *ret_text = keep(r, text);
            return;
        }
        tm_nearest_offer(&nearest, one);
        choice = end ? end + 1 : choice + one.length;
    }
    ERROR_AT(r, node, "'%s' is one of: %s", entry->shown.key, entry->choices);
    tm_diagnostics_suggest(r->diagnostics, &nearest);
}

static void read_topic(reader *r, const key_entry *entry, const tm_yaml_node *node, tm_slice text,
                       const char **ret_text)
{
    bool good =
        text.length > 0 && text.length <= 249 && !tm_slice_equal_text(text, ".") && !tm_slice_equal_text(text, "..");
    for (size_t i = 0; i < text.length && good; i++)
        good = name_char(text.data[i]) || text.data[i] == '.' || text.data[i] == '-';
    if (good)
        *ret_text = keep(r, text);
    else {
        ERROR_AT(r, node, "'%s' is no topic name", entry->shown.key);
        tm_diagnostics_hint(r->diagnostics, "letters, digits, '.', '_' and '-', at most 249");
    }
}

static void read_history(reader *r, const tm_yaml_node *node, tm_slice text)
{
    tm_configuration *c = r->configuration;
    if (tm_slice_equal_text(text, "first-record"))
        c->history = TM_HISTORY_FIRST_RECORD;
    else if (tm_slice_equal_text(text, "complete"))
        c->history = TM_HISTORY_COMPLETE;
    else if (tm_day_parse(text, &c->history_day) == TM_OK)
        c->history = TM_HISTORY_DATE;
    else
        ERROR_AT(r, node, "'history' is first-record, complete, or a date such as 2026-01-31");
}

/* With `lists`, a list under a name stands for as many pairs of that name, in its order. */
static void read_pairs(reader *r, const key_entry *entry, const tm_yaml_node *map, bool lists,
                       tm_config_pair **ret_pairs, uint32_t *ret_count)
{
    if (map->kind != TM_YAML_MAP && !tm_yaml_is_null(map)) {
        ERROR_AT(r, map, "'%s' must be a map of names and values", entry->shown.key);
        return;
    }
    uint32_t most = 0;
    for (const tm_yaml_node *node = map->kind == TM_YAML_MAP ? map->first : NULL; node; node = node->next)
        most += lists && node->kind == TM_YAML_LIST ? node->count : 1;
    if (most > PAIRS_MAX) {
        ERROR_AT(r, map, "'%s' has more than %d entries", entry->shown.key, PAIRS_MAX);
        return;
    }
    tm_config_pair *pairs = tm_arena_take(r->configuration->arena, sizeof *pairs * (most + 1));
    if (!pairs) {
        r->out_of_memory = true;
        return;
    }
    uint32_t count = 0;
    for (const tm_yaml_node *node = map->kind == TM_YAML_MAP ? map->first : NULL; node; node = node->next) {
        bool list = lists && node->kind == TM_YAML_LIST;
        for (const tm_yaml_node *item = list ? node->first : node; item; item = list ? item->next : NULL) {
            tm_slice value = value_of(r, item, node->key->text);
            if (value.data)
                pairs[count++] =
                    (tm_config_pair){keep(r, node->key->text), keep(r, value), node->key->start, item->start};
        }
    }
    *ret_pairs = pairs;
    *ret_count = count;
}

static void read_key(reader *r, const key_entry *entry, const tm_yaml_node *node)
{
    tm_configuration *c = r->configuration;
    void *place = (char *)c + entry->offset;
    if (entry->shape == SHAPE_PAIRS) {
        read_pairs(r, entry, node, false, &c->properties, &c->property_count);
        return;
    }
    if (entry->shape == SHAPE_MAPPING && node->kind == TM_YAML_MAP) {
        c->mapping = "custom";
        c->mapping_at = node->key ? node->key->start : node->start;
        read_pairs(r, entry, node, true, &c->mapping_fields, &c->mapping_field_count);
        return;
    }
    if ((entry->shape == SHAPE_TOPIC_OR_OFF || entry->shape == SHAPE_ADDRESS_OR_OFF) &&
        (tm_yaml_is_null(node) ||
         (node->kind == TM_YAML_SCALAR && node->style == TM_YAML_PLAIN &&
          (tm_slice_equal_text(node->text, "off") || tm_slice_equal_text(node->text, "false"))))) {
        *(const char **)place = NULL;
        return;
    }
    tm_slice text = value_of(r, node, tm_slice_of(entry->shown.key));
    if (!text.data)
        return;
    if (place == (void *)&c->timezone)
        c->timezone_at = node->start;
    if (place == (void *)&c->http_listen)
        c->http_listen_at = node->start;
    if (place == (void *)&c->http_token)
        c->http_token_at = node->start;
    if (place == (void *)&c->redis_url)
        c->redis_url_at = node->start;
    int64_t number;
    switch (entry->shape) {
    case SHAPE_TEXT:
    case SHAPE_ADDRESS_OR_OFF:
        if (text.length == 0)
            ERROR_AT(r, node, "'%s' is empty", entry->shown.key);
        else if (memchr(text.data, 0, text.length))
            ERROR_AT(r, node, "'%s' has a NUL in it", entry->shown.key);
        else
            *(const char **)place = keep(r, text);
        return;
    case SHAPE_TOPIC:
    case SHAPE_TOPIC_OR_OFF:
        read_topic(r, entry, node, text, place);
        return;
    case SHAPE_CHOICE:
    case SHAPE_MAPPING:
        read_choice(r, entry, node, text, place);
        return;
    case SHAPE_COUNT:
    case SHAPE_SIZE:
        if (!(entry->shape == SHAPE_SIZE ? size_number(text, &number) : whole_number(text, &number)) ||
            number < entry->least || number > entry->most)
            ERROR_AT(r, node, "'%s' is a whole number from %lld to %lld", entry->shown.key, (long long)entry->least,
                     (long long)entry->most);
        else
            *(int64_t *)place = number;
        return;
    case SHAPE_DURATION:
        if (tm_duration_parse(text, &number) != TM_OK || number < entry->least || number > entry->most) {
            char least[TM_TIME_TEXT], most[TM_TIME_TEXT];
            tm_duration_format(entry->least, least);
            tm_duration_format(entry->most, most);
            ERROR_AT(r, node, "'%s' is a duration from %s to %s", entry->shown.key, least, most);
        } else {
            *(int64_t *)place = number;
        }
        return;
    case SHAPE_HISTORY:
        read_history(r, node, text);
        return;
    case SHAPE_SECRET:
        if (text.length < 16) {
            ERROR_AT(r, node, "'%s' has fewer than 16 bytes", entry->shown.key);
            const char *dot = strchr(entry->shown.key, '.'), *key = dot ? dot + 1 : entry->shown.key;
            tm_diagnostics_hint(r->diagnostics, "make one: head -c 32 /dev/urandom | base64 > %s, then %s: !file %s",
                                dot ? "http.token" : "user.key", key, dot ? "http.token" : "user.key");
        } else {
            *(tm_slice *)place = (tm_slice){keep(r, text), text.length};
        }
        return;
    case SHAPE_PAIRS:
        return;
    }
}

/* --- the tree --- */

static tm_slice group_of(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot ? (tm_slice){key, (size_t)(dot - key)} : (tm_slice){0};
}

/* A key that stands at the wrong depth, "brokers" or "kafka.brokers" outside `kafka:`, is named with its place. */
static bool suggest_group(reader *r, tm_slice name)
{
    for (size_t i = 0; i < KEYS; i++) {
        const char *key = keys[i].shown.key;
        tm_slice group = group_of(key);
        if (!group.data)
            continue;
        const char *member = key + group.length + 1;
        if (!tm_slice_equal_text(name, key) && !tm_slice_equal_text(name, member))
            continue;
        tm_diagnostics_hint(r->diagnostics, "write '%s:' under '%.*s:'", member, (int)group.length, group.data);
        return true;
    }
    return false;
}

/* Reports keys of `map` that are none; `group` is absent at the top. */
static void check_keys(reader *r, const tm_yaml_node *map, tm_slice group)
{
    for (const tm_yaml_node *entry = map->first; entry; entry = entry->next) {
        tm_slice name = entry->key->text;
        tm_nearest nearest;
        tm_nearest_init(&nearest, name);
        bool found = false;
        for (size_t i = 0; i < KEYS && !found; i++) {
            tm_slice of = group_of(keys[i].shown.key);
            tm_slice known = tm_slice_of(keys[i].shown.key);
            if (group.data) {
                if (!tm_slice_equal(of, group))
                    continue;
                known = (tm_slice){known.data + of.length + 1, known.length - of.length - 1};
            } else if (of.data) {
                known = of;
            }
            found = tm_slice_equal(known, name);
            tm_nearest_offer(&nearest, known);
        }
        if (!found) {
            ERROR_AT(r, entry->key, "unknown key '%.*s'", shown(name), name.data);
            if (!suggest_group(r, name))
                tm_diagnostics_suggest(r->diagnostics, &nearest);
        } else if (!group.data && entry->kind != TM_YAML_MAP && !tm_yaml_is_null(entry)) {
            for (size_t i = 0; i < KEYS; i++) {
                if (!tm_slice_equal(group_of(keys[i].shown.key), name))
                    continue;
                ERROR_AT(r, entry, "'%.*s' must be a map of keys and values", shown(name), name.data);
                break;
            }
        } else if (!group.data && entry->kind == TM_YAML_MAP) {
            bool is_group = false;
            for (size_t i = 0; i < KEYS; i++)
                is_group |= tm_slice_equal(group_of(keys[i].shown.key), name);
            if (is_group)
                check_keys(r, entry, name);
        }
    }
}

static const tm_yaml_node *node_of(const tm_yaml_node *root, const char *key)
{
    tm_slice group = group_of(key);
    if (!group.data)
        return tm_yaml_get(root, key);
    for (const tm_yaml_node *entry = root ? root->first : NULL; entry; entry = entry->next) {
        if (tm_slice_equal(entry->key->text, group))
            return tm_yaml_get(entry, key + group.length + 1);
    }
    return NULL;
}

static void read_tree(reader *r, const tm_yaml_node *root, bool partial)
{
    if (root && root->kind != TM_YAML_MAP) {
        ERROR_AT(r, root, "a configuration is a map of keys and values");
        return;
    }
    if (root)
        check_keys(r, root, (tm_slice){0});
    for (size_t i = 0; i < KEYS; i++) {
        const tm_yaml_node *node = root ? node_of(root, keys[i].shown.key) : NULL;
        if (node && (!tm_yaml_is_null(node) || keys[i].shape == SHAPE_TOPIC_OR_OFF || node->tag.data)) {
            read_key(r, &keys[i], node);
        } else if (keys[i].shown.standard[0] && keys[i].shape != SHAPE_PAIRS) {
            tm_yaml_node standard = {
                .kind = TM_YAML_SCALAR, .style = TM_YAML_PLAIN, .text = tm_slice_of(keys[i].shown.standard)};
            read_key(r, &keys[i], &standard);
        } else if (keys[i].required && !partial) {
            ERROR_AT(r, root, "'%s' is missing: %s", keys[i].shown.key, keys[i].shown.meaning);
        }
    }
    const tm_configuration *c = r->configuration;
    if (c->evaluate_every > 0 && TM_HOUR % c->evaluate_every != 0) {
        ERROR_AT(r, node_of(root, "evaluate_every"), "'evaluate_every' has to divide one hour");
        tm_diagnostics_hint(r->diagnostics, "1s, 10s, 1m, 5m, 15m or 1h, for example");
    }
}

tm_status tm_configfile_parse(tm_slice text, const char *file_name, bool partial, const tm_configfile_options *options,
                              tm_configuration **ret_configuration, tm_error *error)
{
    *ret_configuration = NULL;
    tm_arena *arena = tm_arena_new(ARENA_MAX);
    tm_configuration *c = arena ? tm_arena_take(arena, sizeof *c) : NULL;
    if (!c) {
        tm_arena_free_all(arena);
        return tm_fail(error, TM_FATAL, "no memory to read %s", file_name);
    }
    c->arena = arena;
    reader r = {.configuration = c, .options = options, .source = {file_name, text, true}};
    tm_buffer_init_secret(&r.text, VALUE_MAX);
    r.diagnostics = options ? options->diagnostics : NULL;
    if (!r.diagnostics)
        r.diagnostics = tm_arena_take(arena, sizeof *r.diagnostics);
    tm_status status = r.diagnostics ? TM_OK : TM_FATAL;
    tm_yaml_node *root = NULL;
    if (status == TM_OK)
        status = tm_yaml_parse(arena, &r.source, r.diagnostics, &root);
    if (status == TM_OK) {
        read_tree(&r, root, partial);
        tm_diagnostics_sort(r.diagnostics);
    }
    if (status != TM_FATAL)
        status = tm_diagnostics_status(r.diagnostics, error);
    if (r.out_of_memory || status == TM_FATAL)
        status = tm_fail(error, TM_FATAL, "no memory to read %s", file_name);
    tm_buffer_done(&r.text);
    if (status != TM_OK) {
        tm_arena_wipe_all(arena);
        return status;
    }
    *ret_configuration = c;
    return TM_OK;
}

void tm_configuration_free(tm_configuration *configuration)
{
    if (configuration)
        tm_arena_wipe_all(configuration->arena);
}
