#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/random.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/embedded.h"
#include "tidemark/commands/init.h"
#include "tidemark/commands/setup.h"

enum { PATH_BYTES = 4096, KEY_BYTES = 32, CONNECT_MS = 15000, PARTITIONS_MAX = 10000, REPLICATION_MAX = 100 };
#define COMPACTION_LAG TM_DAY

typedef struct init {
    const tm_command *command;
    const char *folder, *brokers, *redis;
    bool force, topics;
    int64_t partitions, replication;
} init;

/* --- tidemark.yaml --- */

/* Plain where YAML reads it as written, else quoted. */
static void append_scalar(tm_buffer *out, const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/,@-";
    size_t length = strlen(text);
    bool plain =
        length > 0 && strspn(text, safe) == length && strchr("._:/,@-", text[0]) == NULL && text[length - 1] != ':';
    if (plain)
        tm_buffer_append_text(out, text);
    else
        tm_buffer_append_json_string(out, tm_slice_of(text));
}

void tm_init_configuration(const char *brokers, const char *redis, tm_buffer *out)
{
    const struct {
        const char *key, *value;
        bool as_it_is;
    } set[] = {{"kafka.brokers", brokers, false},
               {"redis.url", redis, false},
               {"http.listen", TM_INIT_LISTEN, false},
               {"user_key", "!file user.key", true}};
    tm_buffer_append_text(out,
                          "# How tidemark reaches Kafka and Redis, and what it reads. Every key stands here with its "
                          "meaning; behind '#' its\n# default. ${NAME} and ${NAME:-default} take from the "
                          "environment, `!file path` reads a secret. docs/configuration.md.\n");
    tm_slice group = {0};
    const tm_configuration_key *key;
    for (uint32_t i = 0; (key = tm_configuration_key_at(i)) != NULL; i++) {
        const char *dot = strchr(key->key, '.');
        tm_slice of = dot ? (tm_slice){key->key, (size_t)(dot - key->key)} : (tm_slice){0};
        const char *indent = dot ? "  " : "";
        if (!tm_slice_equal(of, group) || !dot)
            tm_buffer_append_char(out, '\n');
        if (dot && !tm_slice_equal(of, group))
            tm_buffer_append_format(out, "%.*s:\n", (int)of.length, of.data);
        group = of;
        tm_buffer_append_format(out, "%s# %s\n", indent, key->meaning);
        size_t s = 0;
        while (s < sizeof set / sizeof *set && strcmp(set[s].key, key->key) != 0)
            s++;
        bool is_set = s < sizeof set / sizeof *set;
        tm_buffer_append_format(out, "%s%s%s:", indent, is_set ? "" : "#", dot ? dot + 1 : key->key);
        const char *as_it_is = is_set ? set[s].value : key->standard;
        if (!is_set || set[s].as_it_is)
            tm_buffer_append_format(out, "%s%s", as_it_is[0] ? " " : "", as_it_is);
        else {
            tm_buffer_append_char(out, ' ');
            append_scalar(out, set[s].value);
        }
        tm_buffer_append_char(out, '\n');
    }
}

/* --- files --- */

static bool path_of(const init *in, const char *name, char path[static PATH_BYTES])
{
    int length = strcmp(in->folder, ".") == 0 ? snprintf(path, PATH_BYTES, "%s", name)
                                              : snprintf(path, PATH_BYTES, "%s/%s", in->folder, name);
    return length > 0 && length < PATH_BYTES;
}

static int write_all(int file, tm_slice bytes)
{
    while (bytes.length > 0) {
        ssize_t written = write(file, bytes.data, bytes.length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        bytes.data += written;
        bytes.length -= (size_t)written;
    }
    return 0;
}

/* What is there already is replaced in one step, so that nobody reads half a file. */
static int write_file(const init *in, const char *name, tm_slice bytes, mode_t mode)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];
    int length = path_of(in, name, path) ? snprintf(fresh, sizeof fresh, "%s.new", path) : -1;
    if (length < 0 || length >= PATH_BYTES)
        return tm_cli_say(in->command, EX_CANTCREAT, "%s: the path is too long", name);
    int file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    int failed = file < 0 ? -1 : write_all(file, bytes);
    if (file >= 0 && close(file) != 0)
        failed = -1;
    if (failed || rename(fresh, path) != 0) {
        int why = errno;
        (void)unlink(fresh);
        return tm_cli_say(in->command, EX_CANTCREAT, "%s: %s", path, strerror(why));
    }
    printf("  %s\n", path);
    return EX_OK;
}

static int make_folder(const init *in, const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return EX_OK;
    return tm_cli_say(in->command, EX_CANTCREAT, "%s: %s", path, strerror(errno));
}

static bool is_there(const init *in, const char *name)
{
    char path[PATH_BYTES];
    struct stat what;
    return path_of(in, name, path) && lstat(path, &what) == 0;
}

/* The name an embedded file gets: "rules.yaml" of "deploy/rules.yaml"; NULL for the others. */
static const char *target_of(const tm_embedded *file)
{
    static const char folder[] = "deploy/";
    return strncmp(file->name, folder, sizeof folder - 1) == 0 ? file->name + sizeof folder - 1 : NULL;
}

/* Names every file that stands in the way. */
static uint32_t count_obstacles(const init *in, bool tell)
{
    uint32_t count = 0;
    const tm_embedded *file;
    for (uint32_t i = 0; (file = tm_embedded_at(i)) != NULL; i++) {
        const char *name = target_of(file);
        if (!name || !is_there(in, name))
            continue;
        count++;
        if (tell)
            (void)tm_cli_say(in->command, EX_CANTCREAT, "%s is there already", name);
    }
    if (is_there(in, "tidemark.yaml")) {
        count++;
        if (tell)
            (void)tm_cli_say(in->command, EX_CANTCREAT, "tidemark.yaml is there already");
    }
    return count;
}

/* The secret is never replaced: what was counted with it would be lost. */
static int write_key(const init *in)
{
    unsigned char bytes[KEY_BYTES];
    tm_error error;
    if (is_there(in, "user.key")) {
        printf("  user.key is kept: the people of the state are known by it\n");
        return EX_OK;
    }
    tm_status status = tm_random_bytes(bytes, sizeof bytes, &error);
    if (status != TM_OK)
        return tm_cli_fail(in->command, status, &error);
    tm_buffer text;
    tm_buffer_init(&text, 256);
    tm_buffer_append_base64(&text, bytes, sizeof bytes);
    tm_buffer_append_char(&text, '\n');
    int failed = text.overflowed ? tm_cli_say(in->command, EX_OSERR, "out of memory")
                                 : write_file(in, "user.key", tm_buffer_slice(&text), 0600);
    tm_buffer_done(&text);
    return failed;
}

static int write_files(const init *in)
{
    char tests[PATH_BYTES];
    if (!path_of(in, "rules-tests", tests))
        return tm_cli_say(in->command, EX_CANTCREAT, "the path of the folder is too long");
    int failed = make_folder(in, in->folder);
    if (!failed)
        failed = make_folder(in, tests);
    if (failed)
        return failed;
    printf("written:\n");
    tm_buffer text;
    tm_buffer_init(&text, 1 << 20);
    tm_init_configuration(in->brokers, in->redis, &text);
    /* A URL with a password makes the file a secret. */
    failed = text.overflowed
                 ? tm_cli_say(in->command, EX_OSERR, "out of memory")
                 : write_file(in, "tidemark.yaml", tm_buffer_slice(&text), strchr(in->redis, '@') ? 0600 : 0666);
    tm_buffer_done(&text);
    const tm_embedded *file;
    for (uint32_t i = 0; !failed && (file = tm_embedded_at(i)) != NULL; i++) {
        const char *name = target_of(file);
        if (name)
            failed = write_file(in, name, file->text, 0666);
    }
    return failed ? failed : write_key(in);
}

/* --- topics --- */

typedef struct planned {
    tm_kafka_topic_plan plans[8];
    uint32_t count;
} planned;

static void plan(const init *in, const tm_configuration *c, planned *ret_planned)
{
    const struct {
        const char *name;
        bool compacted;
        int64_t retention, lag, message_max;
    } topics[] = {{c->usage, false, -1, TM_KAFKA_UNSAID, 0},
                  {c->accounts, true, TM_KAFKA_UNSAID, COMPACTION_LAG, 0},
                  {c->churn_risk, false, TM_KAFKA_UNSAID, TM_KAFKA_UNSAID, 0},
                  {c->expansion, false, TM_KAFKA_UNSAID, TM_KAFKA_UNSAID, 0},
                  {c->advisories, false, TM_KAFKA_UNSAID, TM_KAFKA_UNSAID, 0},
                  {c->health, true, TM_KAFKA_UNSAID, TM_KAFKA_UNSAID, 0},
                  {c->dead_letters, false, TM_KAFKA_UNSAID, TM_KAFKA_UNSAID, 0},
                  {c->journal, false, -1, TM_KAFKA_UNSAID, TM_JOURNAL_LINE_MAX}};
    ret_planned->count = 0;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        if (!topics[i].name)
            continue;
        ret_planned->plans[ret_planned->count++] = (tm_kafka_topic_plan){.name = topics[i].name,
                                                                         .partitions = (uint32_t)in->partitions,
                                                                         .replication = (int32_t)in->replication,
                                                                         .compacted = topics[i].compacted,
                                                                         .retention_ms = topics[i].retention,
                                                                         .min_compaction_lag_ms = topics[i].lag,
                                                                         .message_max = topics[i].message_max};
    }
}

static void print_plan(const init *in, const tm_configuration *c)
{
    planned all;
    plan(in, c, &all);
    for (uint32_t i = 0; i < all.count; i++) {
        const tm_kafka_topic_plan *one = &all.plans[i];
        printf("    kafka-topics.sh --bootstrap-server %s --create --if-not-exists --topic %s --partitions %u%s",
               c->brokers, one->name, one->partitions, one->compacted ? " --config cleanup.policy=compact" : "");
        if (one->min_compaction_lag_ms != TM_KAFKA_UNSAID)
            printf(" --config min.compaction.lag.ms=%lld", (long long)one->min_compaction_lag_ms);
        if (one->retention_ms != TM_KAFKA_UNSAID)
            printf(" --config retention.ms=%lld%s", (long long)one->retention_ms,
                   one->retention_ms < 0 ? " --config retention.bytes=-1" : "");
        if (one->message_max > 0)
            printf(" --config max.message.bytes=%lld", (long long)one->message_max);
        putchar('\n');
    }
}

static int make_topics(const init *in, const tm_configuration *c)
{
    planned all;
    tm_kafka_admin *admin = NULL;
    tm_error error;
    tm_clock clock = tm_system_clock();
    tm_kafka_property *properties = calloc(c->property_count + 1, sizeof *properties);
    if (!properties)
        return tm_cli_say(in->command, EX_OSERR, "out of memory");
    for (uint32_t i = 0; i < c->property_count; i++)
        properties[i] = (tm_kafka_property){c->properties[i].name, c->properties[i].value};
    tm_kafka_config kafka = {
        .brokers = c->brokers,
        .group = c->group,
        .instance = c->instance,
        .inputs = {c->usage, c->accounts},
        .outputs = {c->churn_risk, c->expansion, c->advisories, c->health, c->dead_letters, c->journal},
        .properties = properties,
        .property_count = c->property_count,
        .clock = &clock};
    plan(in, c, &all);
    tm_error_clear(&error);
    tm_status status = tm_kafka_admin_new(&kafka, &admin, &error);
    if (status == TM_OK)
        status = tm_kafka_admin_connect(admin, CONNECT_MS, &error);
    if (status == TM_OK)
        status = tm_kafka_admin_create(admin, all.plans, all.count, &error);
    tm_kafka_admin_free(admin);
    free(properties);
    if (status != TM_OK) {
        int exit_status = tm_cli_fail(in->command, status, &error);
        return status == TM_RETRY ? EX_UNAVAILABLE : exit_status;
    }
    printf("topics at %s (what was there stays as it was):", c->brokers);
    for (uint32_t i = 0; i < all.count; i++)
        printf(" %s", all.plans[i].name);
    printf("\n");
    return EX_OK;
}

/* --- the command --- */

static int finish(const init *in)
{
    char path[PATH_BYTES], tests[PATH_BYTES];
    if (!path_of(in, "tidemark.yaml", path) || !path_of(in, "rules-tests", tests))
        return tm_cli_say(in->command, EX_CANTCREAT, "the path of the folder is too long");
    tm_setup setup;
    tm_setup_options options = {.configuration = path};
    int failed = tm_setup_load(in->command, &options, &setup);
    if (failed)
        return failed;
    if (in->topics)
        failed = make_topics(in, setup.configuration);
    if (!failed) {
        printf("next:\n");
        printf("  tidemark test %s/*.yaml\n", tests);
        if (!in->topics) {
            printf("  tidemark init --topics %s     creates the topics that are not there, as these would:\n",
                   in->folder);
            print_plan(in, setup.configuration);
        }
        printf("  tidemark check --config %s\n  tidemark run --config %s\n", path, path);
    }
    tm_setup_done(&setup);
    return failed;
}

static int run(const tm_command *command, int argc, char **argv)
{
    init in = {.command = command,
               .folder = ".",
               .brokers = "127.0.0.1:9092",
               .redis = "redis://127.0.0.1:6379/0",
               .partitions = 6,
               .replication = 0};
    const tm_option options[] = {
        {"brokers", "LIST", "kafka.brokers (default 127.0.0.1:9092)", TM_OPTION_TEXT, &in.brokers},
        {"redis", "URL", "redis.url (default redis://127.0.0.1:6379/0)", TM_OPTION_TEXT, &in.redis},
        {"topics", NULL, "create the topics too; files that are there are kept", TM_OPTION_FLAG, &in.topics},
        {"partitions", "N", "partitions of each topic (default 6)", TM_OPTION_COUNT, &in.partitions},
        {"replication", "N", "copies of each topic (default: the broker's)", TM_OPTION_COUNT, &in.replication},
        {"force", NULL, "replace files that are there; never user.key", TM_OPTION_FLAG, &in.force},
    };
    int status, count;
    if (!tm_options_parse(command, options, sizeof options / sizeof *options, argc, argv, &count, &status))
        return status;
    if (count > 2)
        return tm_cli_say(command, EX_USAGE, "one folder at a time");
    if (in.partitions < 1 || in.partitions > PARTITIONS_MAX || in.replication > REPLICATION_MAX)
        return tm_cli_say(command, EX_USAGE, "--partitions is from 1 to %d, --replication at most %d", PARTITIONS_MAX,
                          REPLICATION_MAX);
    in.replication = in.replication ? in.replication : -1;
    in.folder = count > 1 ? argv[1] : ".";
    bool keep = in.topics && !in.force && is_there(&in, "tidemark.yaml");
    if (!keep && !in.force && count_obstacles(&in, true) > 0)
        return tm_cli_say(command, EX_CANTCREAT,
                          "nothing was written; --force replaces them (user.key is always kept)");
    int failed = keep ? EX_OK : write_files(&in);
    return failed ? failed : finish(&in);
}

const tm_command tm_command_init = {
    .name = "init",
    .summary = "write a configuration, the default rules and their tests",
    .arguments = "[DIR]",
    .text = "Writes tidemark.yaml with every key explained, rules.yaml, rules-tests/ and a secret user.key into DIR "
            "(default:\n"
            "here) and says what to do next. With --topics it also creates the topics that tidemark.yaml names.\n\n"
            "  tidemark init --brokers kafka-1:9092,kafka-2:9092 --redis redis://redis:6379/0 tidemark\n"
            "  tidemark init --topics tidemark\n\n"
            "Exit status: 0 done, 69 no broker answers, 73 a file is there already or cannot be written.",
    .run = run,
};
