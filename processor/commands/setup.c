#include "tidemark/commands/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/adapters/http/server.h"
#include "tidemark/adapters/kafka/config.h"
#include "tidemark/adapters/system/files.h"
#include "tidemark/adapters/system/process.h"
#include "tidemark/adapters/system/zone.h"

enum { PATH_BYTES = 4096, SECRET_MAX = 65536 };

/* What stands in when the configuration gives no user key. Known to everyone who reads this: it only makes that states
   without a key agree with each other. */
static const tm_slice default_user_key = TM_SLICE_LITERAL("tidemark: no user_key was configured");

/* --- files --- */

/* `name` as seen from the folder in which `beside` lies. */
static bool path_beside(const char *beside, const char *name, char path[static PATH_BYTES])
{
    const char *slash = beside && name[0] != '/' ? strrchr(beside, '/') : NULL;
    int folder = slash ? (int)(slash - beside + 1) : 0;
    int length = snprintf(path, PATH_BYTES, "%.*s%s", folder, folder ? beside : "", name);
    return length >= 0 && length < PATH_BYTES;
}

static const char *variable(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

static void mind_public(tm_setup *setup, const char *path)
{
    if (tm_file_is_public(path))
        tm_buffer_append_format(&setup->advice, "%s\n", path);
}

static tm_status secret_file(void *context, const char *path, tm_buffer *out, tm_error *error)
{
    tm_setup *setup = context;
    char place[PATH_BYTES];
    if (!path_beside(setup->configuration_path, path, place))
        return tm_fail(error, TM_REJECT, "the path of the file is too long");
    mind_public(setup, place);
    char *bytes;
    size_t length;
    tm_status status = tm_file_read(place, SECRET_MAX, &bytes, &length, error);
    if (status != TM_OK)
        return status;
    tm_buffer_append(out, bytes, length);
    explicit_bzero(bytes, length);
    free(bytes);
    return TM_OK;
}

static int read_text(const tm_command *command, const char *path, char **ret_text, size_t *ret_length)
{
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_file_read(path, TM_PACK_FILE_MAX, ret_text, ret_length, &error);
    if (status == TM_OK)
        return EX_OK;
    (void)tm_cli_fail(command, status, &error);
    return status == TM_FATAL ? EX_OSERR : EX_NOINPUT;
}

/* --- diagnostics --- */

/* Shows the errors of one file, or hands them on. */
static void report(const tm_setup_options *options, const tm_diagnostics *found)
{
    if (options->diagnostics) {
        for (uint32_t i = 0; i < found->count; i++) {
            if (options->diagnostics->count < TM_DIAGNOSTICS_MAX)
                options->diagnostics->items[options->diagnostics->count++] = found->items[i];
            else
                options->diagnostics->dropped++;
        }
        options->diagnostics->dropped += found->dropped;
        return;
    }
    tm_buffer text;
    tm_buffer_init(&text, 1 << 20);
    tm_diagnostics_print(found, &text);
    fputs(text.overflowed ? "out of memory: what is wrong cannot be told\n" : tm_buffer_text(&text), stderr);
    tm_buffer_done(&text);
}

/* --- parts --- */

static int load_configuration(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    size_t length = 0;
    if (options->configuration) {
        int failed = read_text(command, options->configuration, &setup->configuration_text, &length);
        if (failed)
            return failed;
        setup->configuration_length = length;
        setup->configuration_path = strdup(options->configuration);
        if (!setup->configuration_path)
            return tm_cli_say(command, EX_OSERR, "out of memory");
    }
    tm_diagnostics *found = calloc(1, sizeof *found);
    if (!found)
        return tm_cli_say(command, EX_OSERR, "out of memory");
    tm_configfile_options reading = {setup, variable, secret_file, found};
    const char *name = options->configuration ? options->configuration : "(no configuration)";
    tm_slice text = {setup->configuration_text ? setup->configuration_text : "", length};
    bool partial = options->offline || !options->configuration;
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_configfile_parse(text, name, partial, &reading, &setup->configuration, &error);
    int failed = EX_OK;
    if (status != TM_OK) {
        if (found->count)
            report(options, found);
        else
            (void)tm_cli_fail(command, status, &error);
        failed = status == TM_FATAL ? EX_OSERR : EX_CONFIG;
    }
    free(found);
    return failed;
}

static int load_rules(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    char path[PATH_BYTES];
    const char *name = options->rules;
    tm_slice text = TM_SLICE_LITERAL("version: 1\n");
    if (!name && options->without_rules) {
        name = "(no rules)";
    } else {
        if (!name) {
            if (!setup->configuration)
                return EX_OK; /* nobody knows where they are */
            if (!path_beside(setup->configuration_path, setup->configuration->rules, path))
                return tm_cli_say(command, EX_CONFIG, "the path of the rules file is too long");
            name = path;
        }
        size_t length;
        int failed = read_text(command, name, &setup->rules_text, &length);
        if (failed)
            return failed;
        text = (tm_slice){setup->rules_text, length};
    }
    tm_diagnostics *found = calloc(1, sizeof *found);
    if (!found)
        return tm_cli_say(command, EX_OSERR, "out of memory");
    tm_packfile_options reading = {options->expressions, options->expression_count, options->ret_nodes, found};
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_packfile_parse(text, name, &reading, &setup->pack, &error);
    int failed = EX_OK;
    if (status != TM_OK) {
        if (found->count)
            report(options, found);
        else
            (void)tm_cli_fail(command, status, &error);
        failed = status == TM_FATAL ? EX_OSERR : EX_CONFIG;
    }
    free(found);
    if (!failed && options->values_only)
        setup->pack->rule_count = 0;
    return failed;
}

/* An error that was found behind the reader of the configuration, shown as the reader's own are. */
static int point(const tm_setup_options *options, const tm_setup *setup, size_t at, const tm_error *error,
                 const tm_nearest *nearest)
{
    tm_diagnostics *found = calloc(1, sizeof *found);
    if (!found) {
        fprintf(stderr, "out of memory: what is wrong cannot be told\n");
        return EX_OSERR;
    }
    tm_document source = {setup->configuration_path, tm_slice_of(setup->configuration_text), true};
    tm_diagnostics_add(found, &source, at, "%s", error->what);
    tm_diagnostics_hint(found, "%s", error->hint);
    if (nearest)
        tm_diagnostics_suggest(found, nearest);
    report(options, found);
    free(found);
    return EX_CONFIG;
}

static int load_zone(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    const tm_configuration *c = setup->configuration;
    const char *name = options->timezone ? options->timezone : c->timezone;
    tm_error error;
    tm_error_clear(&error);
    tm_status status = tm_zone_load(tm_slice_of(name), &setup->zone, &error);
    if (status == TM_OK)
        return EX_OK;
    if (status == TM_REJECT && !options->timezone && c->timezone_at)
        return point(options, setup, c->timezone_at, &error, NULL);
    (void)tm_cli_fail(command, status, &error);
    return status == TM_FATAL ? EX_OSERR : options->timezone ? EX_USAGE : EX_CONFIG;
}

static int load_mapping(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    static const char *const fields[] = {"id", "account", "event", "at", "user", "source", "value", "properties"};
    const tm_configuration *c = setup->configuration;
    tm_error error;
    tm_error_clear(&error);
    tm_status status;
    if (strcmp(c->mapping, "custom") != 0) {
        status = tm_mapping_named(tm_slice_of(c->mapping), &setup->mapping, &error);
        if (status == TM_OK)
            return EX_OK;
        (void)tm_cli_fail(command, status, &error);
        return status == TM_FATAL ? EX_OSERR : EX_CONFIG;
    }
    tm_mapping_pair pairs[TM_MAPPING_PAIRS_MAX];
    uint32_t count = c->mapping_field_count;
    if (count > TM_MAPPING_PAIRS_MAX) {
        (void)tm_fail(&error, TM_REJECT, "'mapping' has %u fields, at most %d are allowed", count,
                      TM_MAPPING_PAIRS_MAX);
        return point(options, setup, c->mapping_at, &error, NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *value = c->mapping_fields[i].value;
        pairs[i] = (tm_mapping_pair){.target = tm_slice_of(c->mapping_fields[i].name)};
        if (value[0] == '=')
            pairs[i].constant = tm_slice_of(value + 1);
        else
            pairs[i].path = tm_slice_of(value);
    }
    size_t at = count;
    status = tm_mapping_custom(pairs, count, &setup->mapping, &at, &error);
    if (status == TM_OK)
        return EX_OK;
    if (status != TM_REJECT) {
        (void)tm_cli_fail(command, status, &error);
        return EX_OSERR;
    }
    if (at >= count)
        return point(options, setup, c->mapping_at, &error, NULL);
    /* Is it the name that is wrong, or what stands behind it? */
    bool known = tm_slice_has_prefix(pairs[at].target, tm_slice_of("properties."));
    tm_nearest nearest;
    tm_nearest_init(&nearest, pairs[at].target);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        known |= tm_slice_equal_text(pairs[at].target, fields[i]);
        tm_nearest_offer(&nearest, tm_slice_of(fields[i]));
    }
    const tm_config_pair *wrong = &c->mapping_fields[at];
    return point(options, setup, known ? wrong->value_at : wrong->name_at, &error, known ? NULL : &nearest);
}

static int resolve(const tm_command *command, const tm_setup *setup, const char *name, char **ret_path)
{
    char path[PATH_BYTES];
    if (!name)
        return EX_OK;
    if (!path_beside(setup->configuration_path, name, path))
        return tm_cli_say(command, EX_CONFIG, "the path '%.100s…' is too long", name);
    *ret_path = strdup(path);
    return *ret_path ? EX_OK : tm_cli_say(command, EX_OSERR, "out of memory");
}

/* The files that TLS needs, and what is wrong with those that hold a key. */
static int load_files(const tm_command *command, tm_setup *setup)
{
    const tm_configuration *c = setup->configuration;
    int failed = resolve(command, setup, c->redis_ca_file, &setup->redis_ca_file);
    if (!failed)
        failed = resolve(command, setup, c->redis_cert_file, &setup->redis_cert_file);
    if (!failed)
        failed = resolve(command, setup, c->redis_key_file, &setup->redis_key_file);
    if (setup->redis_key_file)
        mind_public(setup, setup->redis_key_file);
    for (uint32_t i = 0; i < c->property_count; i++) {
        if (strcmp(c->properties[i].name, "ssl.key.location") == 0 ||
            strcmp(c->properties[i].name, "ssl.keystore.location") == 0)
            mind_public(setup, c->properties[i].value);
    }
    return failed;
}

tm_redis_store_options tm_setup_store(const tm_setup *setup)
{
    const tm_configuration *c = setup->configuration;
    return (tm_redis_store_options){.redis = {.url = c->redis_url,
                                              .user = c->redis_username,
                                              .password = c->redis_password,
                                              .ca_file = setup->redis_ca_file,
                                              .cert_file = setup->redis_cert_file,
                                              .key_file = setup->redis_key_file},
                                    .prefix = c->redis_prefix,
                                    .group = c->group};
}

void tm_setup_advice(const tm_setup *setup, void (*visit)(void *context, const tm_error *advice), void *context)
{
    tm_slice rest = tm_buffer_slice(&setup->advice);
    while (rest.length) {
        const char *end = memchr(rest.data, '\n', rest.length);
        size_t length = end ? (size_t)(end - rest.data) : rest.length;
        tm_error advice;
        (void)tm_fail(&advice, TM_OK, "everybody on this machine may read %.*s, which holds a secret", (int)length,
                      rest.data);
        tm_error_hint(&advice, "chmod 600 it, and chown it to the user that runs tidemark");
        visit(context, &advice);
        rest = (tm_slice){rest.data + length + (end ? 1 : 0), rest.length - length - (end ? 1 : 0)};
    }
    if (setup->http_is_open) {
        tm_error advice;
        (void)tm_fail(&advice, TM_OK, "other machines may read /metrics at %s, without a token",
                      setup->configuration->http_listen);
        tm_error_hint(&advice, "set http.token, or let http.listen be an address of this machine alone: 127.0.0.1");
        visit(context, &advice);
    }
}

/* Each property by itself, so that the error can point at it. */
static int check_properties(const tm_setup_options *options, const tm_setup *setup)
{
    const tm_configuration *c = setup->configuration;
    for (uint32_t i = 0; i < c->property_count; i++) {
        const tm_config_pair *pair = &c->properties[i];
        tm_kafka_property property = {pair->name, pair->value};
        tm_error error;
        tm_error_clear(&error);
        if (tm_kafka_property_check(&property, &error) != TM_OK)
            return point(options, setup, pair->name_at, &error, NULL);
    }
    return EX_OK;
}

/* What the command line says goes over what the file says. */
static int override(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    tm_configuration *c = setup->configuration;
    if (options->history) {
        if (strcmp(options->history, "first-record") == 0)
            c->history = TM_HISTORY_FIRST_RECORD;
        else if (strcmp(options->history, "complete") == 0)
            c->history = TM_HISTORY_COMPLETE;
        else if (tm_day_parse(tm_slice_of(options->history), &c->history_day) == TM_OK)
            c->history = TM_HISTORY_DATE;
        else
            return tm_cli_say(command, EX_USAGE,
                              "--history takes first-record, complete or a date such as 2026-01-31, not '%s'",
                              options->history);
    }
    if (options->evaluate_every) {
        int64_t ms;
        if (tm_duration_parse(tm_slice_of(options->evaluate_every), &ms) != TM_OK || ms <= 0 || TM_HOUR % ms != 0)
            return tm_cli_say(command, EX_USAGE,
                              "--evaluate-every takes a duration that divides one hour, such as 1m, not '%s'",
                              options->evaluate_every);
        c->evaluate_every = ms;
    }
    if (options->dedup_window) {
        int64_t ms;
        if (tm_duration_parse(tm_slice_of(options->dedup_window), &ms) != TM_OK || ms < 0)
            return tm_cli_say(command, EX_USAGE, "--dedup-window takes a duration such as 1h, not '%s'",
                              options->dedup_window);
        c->dedup_window = ms;
    }
    return EX_OK;
}

/* What can be said of the way to Redis without going it. */
static int check_store(const tm_command *command, const tm_setup_options *options, const tm_setup *setup)
{
    tm_redis_store_options store = tm_setup_store(setup);
    tm_redis_connection *connection;
    tm_error error;
    tm_error_clear(&error);
    tm_status status = store.redis.url ? tm_redis_connection_new(&store.redis, &connection, &error) : TM_OK;
    if (status == TM_OK && store.redis.url)
        tm_redis_connection_free(connection);
    if (status == TM_OK)
        return EX_OK;
    if (status == TM_REJECT && setup->configuration->redis_url_at)
        return point(options, setup, setup->configuration->redis_url_at, &error, NULL);
    (void)tm_cli_fail(command, status, &error);
    return status == TM_FATAL ? EX_OSERR : EX_CONFIG;
}

/* Who may read what the service tells of itself. */
static int check_http(const tm_command *command, const tm_setup_options *options, tm_setup *setup)
{
    const tm_configuration *c = setup->configuration;
    bool loopback = true;
    tm_error error;
    size_t at = c->http_listen_at;
    tm_status status = c->http_listen ? tm_http_address_check(c->http_listen, &loopback, &error) : TM_OK;
    if (status == TM_OK && c->http_token.data) {
        at = c->http_token_at;
        status = tm_http_token_check(c->http_token, &error);
    }
    if (status == TM_OK && !loopback && !c->http_token.data)
        setup->http_is_open = true;
    if (status == TM_OK)
        return EX_OK;
    if (at)
        return point(options, setup, at, &error, NULL);
    (void)tm_cli_fail(command, status, &error);
    return EX_CONFIG;
}

int tm_setup_load(const tm_command *command, const tm_setup_options *options, tm_setup *ret_setup)
{
    memset(ret_setup, 0, sizeof *ret_setup);
    tm_buffer_init(&ret_setup->advice, 1 << 20);
    int failed = load_configuration(command, options, ret_setup);
    /* The rules are looked at even when the configuration is wrong: people want all errors at once. */
    int rules_failed = EX_OK;
    if (!failed || options->rules)
        rules_failed = load_rules(command, options, ret_setup);
    if (!failed)
        failed = override(command, options, ret_setup);
    if (!failed)
        failed = load_zone(command, options, ret_setup);
    if (!failed)
        failed = load_mapping(command, options, ret_setup);
    if (!failed)
        failed = check_properties(options, ret_setup);
    if (!failed)
        failed = load_files(command, ret_setup);
    if (!failed)
        failed = check_store(command, options, ret_setup);
    if (!failed)
        failed = check_http(command, options, ret_setup);
    if (!failed)
        failed = rules_failed;
    if (!failed && ret_setup->advice.overflowed)
        failed = tm_cli_say(command, EX_OSERR, "out of memory");
    if (failed) {
        tm_setup_done(ret_setup);
        return failed;
    }
    const tm_configuration *c = ret_setup->configuration;
    ret_setup->user_key_is_default = !c->user_key.data;
    ret_setup->user_key = tm_user_key_from(c->user_key.data ? c->user_key : default_user_key);
    ret_setup->shard = (tm_shard_settings){.zone = ret_setup->zone,
                                           .evaluate_every = c->evaluate_every,
                                           .max_skew = c->max_skew,
                                           .dedup_window = c->dedup_window,
                                           .dedup_entries = (uint32_t)c->dedup_entries,
                                           .memory_limit = (size_t)c->memory_limit};
    return EX_OK;
}

void tm_setup_done(tm_setup *setup)
{
    tm_mapping_free(setup->mapping);
    tm_zone_unload(setup->zone);
    tm_pack_free(setup->pack);
    tm_configuration_free(setup->configuration);
    if (setup->configuration_text)
        explicit_bzero(setup->configuration_text, setup->configuration_length);
    free(setup->configuration_text);
    free(setup->rules_text);
    free(setup->configuration_path);
    free(setup->redis_ca_file);
    free(setup->redis_cert_file);
    free(setup->redis_key_file);
    tm_buffer_done(&setup->advice);
    explicit_bzero(setup, sizeof *setup); /* the user key among it */
}

uint64_t tm_setup_configuration_hash(const tm_setup *setup)
{
    tm_slice key = {(const char *)setup->user_key.bytes, TM_USER_KEY_SIZE};
    return tm_hash_seeded(tm_slice_of(setup->configuration->timezone), tm_hash(key));
}

tm_event_options tm_setup_reading(const tm_setup *setup, bool files)
{
    bool ignore = files || strcmp(setup->configuration->key_mismatch, "ignore") == 0;
    return (tm_event_options){
        .mapping = setup->mapping, .user_key = setup->user_key, .key_policy = ignore ? TM_KEY_IGNORE : TM_KEY_REFUSE};
}

tm_status tm_setup_time(const char *text, tm_time *ret_time)
{
    char *end;
    errno = 0;
    long long ms = strtoll(text, &end, 10);
    if (end != text && !*end && errno == 0 && ms >= 0 && ms <= TM_TIME_MAX) {
        *ret_time = ms;
        return TM_OK;
    }
    return tm_time_parse(tm_slice_of(text), ret_time);
}

/* --- counting start --- */

tm_time tm_setup_counting_start(const tm_setup *setup, tm_time first_record, tm_time now)
{
    switch (setup->configuration->history) {
    case TM_HISTORY_FIRST_RECORD:
        return first_record == TM_TIME_NONE ? now : first_record;
    case TM_HISTORY_COMPLETE:
        break;
    case TM_HISTORY_DATE:
        return tm_zone_day_start(setup->zone, setup->configuration->history_day);
    }
    return TM_TIME_NONE;
}

/* The longest look back of any window below a node, one number a unit: buckets before the current one. */
typedef struct look_back {
    int32_t days, hours;
    bool any;
} look_back;

static void look_into(const tm_pack *pack, uint32_t index, uint8_t *seen, look_back *back)
{
    const tm_program *program = &pack->program;
    if (index == TM_NODE_NONE || seen[index])
        return;
    seen[index] = 1;
    const tm_node *node = &program->nodes[index];
    bool baseline = tm_baseline_is(node->op);
    if (node->op == TM_OP_WINDOW || baseline) {
        int32_t before = baseline ? tm_baseline_wait(node) : node->window.offset + node->window.length - 1;
        int32_t *longest = node->window.unit == TM_WINDOW_DAYS ? &back->days : &back->hours;
        *longest = before > *longest ? before : *longest;
        back->any = true;
    }
    for (uint32_t i = 0; i < node->argument_count; i++)
        look_into(pack, program->argument_list[node->arguments + i], seen, back);
    /* Which stage an account is in can be said when its conditions can. */
    for (uint32_t i = 0; i < pack->stage_count && tm_pack_of_stage((tm_op)node->op); i++)
        look_into(pack, pack->stages[i].enter, seen, back);
    /* And what is kept of a score, when the score can. */
    if (node->op == TM_OP_BAND || tm_pack_of_days((tm_op)node->op))
        look_into(pack, pack->scores[node->metric].value, seen, back);
}

static look_back look_back_of(const tm_setup *setup, uint32_t node)
{
    look_back back = {0};
    const tm_program *program = &setup->pack->program;
    uint8_t seen[TM_PROGRAM_NODES_MAX] = {0};
    if (program->node_count)
        look_into(setup->pack, node, seen, &back);
    return back;
}

tm_time tm_setup_answers_from(const tm_setup *setup, uint32_t node, tm_time counting_start)
{
    look_back back = look_back_of(setup, node);
    if (counting_start == TM_TIME_NONE || !back.any)
        return TM_TIME_NONE;
    int32_t day = tm_zone_day(setup->zone, counting_start);
    tm_time by_days = tm_zone_day_start(setup->zone, day + back.days);
    tm_time by_hours = tm_time_ceil(tm_zone_day_start(setup->zone, day), TM_HOUR) + back.hours * TM_HOUR;
    return back.hours && by_hours > by_days ? by_hours : by_days;
}

int32_t tm_setup_answers_after_days(const tm_setup *setup, uint32_t node)
{
    look_back back = look_back_of(setup, node);
    int32_t by_hours = (back.hours + 23) / 24;
    return by_hours > back.days ? by_hours : back.days;
}

void tm_setup_print_answers(const tm_setup *setup, tm_time counting_start, FILE *stream)
{
    for (uint32_t i = 0; i < setup->pack->rule_count; i++) {
        const tm_rule *rule = &setup->pack->rules[i];
        fprintf(stream, "  %-28.*s ", (int)rule->name.length, rule->name.data);
        if (counting_start == TM_TIME_NEVER) {
            int32_t days = tm_setup_answers_after_days(setup, rule->when);
            if (days)
                fprintf(stream, "can answer %d day%s after counting began\n", days, days == 1 ? "" : "s");
            else
                fprintf(stream, "can answer at once\n");
            continue;
        }
        tm_time from = tm_setup_answers_from(setup, rule->when, counting_start);
        char day[TM_TIME_TEXT];
        if (from == TM_TIME_NONE) {
            fprintf(stream, "can answer at once\n");
            continue;
        }
        tm_day_format(tm_zone_day(setup->zone, from), day);
        fprintf(stream, "can answer from %s\n", day);
    }
}
