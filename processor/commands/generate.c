#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "tidemark/adapters/file/writer.h"
#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/kafka/loader.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/signals.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/population.h"

enum { CONNECT_MS = 15000 };

/* Where the records go: files, Kafka, or both. */
typedef struct sink {
    tm_writer *files[TM_INPUTS];
    tm_kafka_loader *loader;
    tm_time latest[TM_INPUTS]; /* the greatest `at` of each so far: the record timestamps, as `replay` sees the files */
    uint64_t counts[TM_INPUTS];
    tm_error *error;
} sink;

static tm_status emit(void *context, const tm_generated *generated)
{
    sink *s = context;
    tm_input input = generated->account_record ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE;
    s->counts[input]++;
    if (generated->at > s->latest[input])
        s->latest[input] = generated->at;
    tm_status status = TM_OK;
    if (s->files[input])
        status = tm_writer_line(s->files[input], generated->text, s->error);
    if (status == TM_OK && s->loader) {
        tm_slice value = generated->erase ? (tm_slice){0} : generated->text;
        status = tm_kafka_loader_send(s->loader, input, generated->account, value, s->latest[input], s->error);
    }
    return status;
}

static tm_status open_file(const char *directory, const char *name, const char *suffix, tm_writer **ret_writer,
                           tm_error *error)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    if (length < 0 || (size_t)length >= sizeof path)
        return tm_fail(error, TM_REJECT, "the path of %s is too long", name);
    return tm_writer_open(path, ret_writer, error);
}

/* Into `path`; without one beside the files, and where only Kafka is written to, in the current folder. */
static tm_status write_truth(const tm_population *population, uint32_t accounts, const char *path,
                             const char *directory, tm_error *error)
{
    tm_writer *writer = NULL;
    tm_status status = path ? tm_writer_open(path, &writer, error)
                            : open_file(directory ? directory : ".", "truth", ".csv", &writer, error);
    if (status != TM_OK)
        return status;
    status = tm_writer_line(writer, TM_SLICE_LITERAL("account,kind,onset"), error);
    for (uint32_t i = 0; i < accounts && status == TM_OK; i++) {
        char account[32], onset[TM_TIME_TEXT] = "", line[128];
        tm_time at;
        tm_fate fate = tm_population_truth(population, i, account, &at);
        if (at != TM_TIME_NONE)
            tm_time_format(at, onset);
        snprintf(line, sizeof line, "%s,%s,%s", account, tm_fate_name(fate), onset);
        status = tm_writer_line(writer, tm_slice_of(line), error);
    }
    tm_error closing;
    tm_status closed = tm_writer_close(writer, status == TM_OK ? error : &closing);
    return status == TM_OK ? closed : status;
}

static tm_status generate(tm_population *population, const tm_population_options *options, sink *s)
{
    for (uint32_t day = 0; day < options->days; day++) {
        tm_status status = tm_population_day(population, day, emit, s);
        if (status != TM_OK)
            return status;
        tm_cli_progress("days", day + 1, options->days);
        if (tm_signals_stopping())
            break;
    }
    tm_cli_progress_end();
    return s->loader ? tm_kafka_loader_flush(s->loader, s->error) : TM_OK;
}

/* Is anybody there? Without asking first, the first record would wait for a minute. */
static tm_status reach(const tm_kafka_config *kafka, tm_error *error)
{
    tm_kafka_config asking = *kafka;
    asking.group = "tidemark";
    asking.instance = "generate";
    tm_kafka_admin *admin = NULL;
    tm_status status = tm_kafka_admin_new(&asking, &admin, error);
    if (status == TM_OK)
        status = tm_kafka_admin_connect(admin, CONNECT_MS, error);
    tm_kafka_admin_free(admin);
    return status;
}

static int run(const tm_command *command, int argc, char **argv)
{
    const char *out = NULL, *truth = NULL, *brokers = NULL, *start = "2026-01-05", *usage = "usage",
               *accounts_topic = "accounts", *suffix = "";
    bool zst = false, gz = false, plain = false, json = false, unopened = false;
    int64_t seed = 1, accounts = 2000, days = 60, disorder = 20, duplicates = 5, per_day = 4, largest = 0;
    tm_option_list properties = {0};
    const tm_option table[] = {
        {"out", "DIR", "write usage.ndjson, accounts.ndjson and truth.csv there", TM_OPTION_TEXT, &out},
        {"truth", "FILE", "where the truth goes (default truth.csv in DIR; without --out, here)", TM_OPTION_TEXT,
         &truth},
        {"brokers", "LIST", "write to Kafka: host:port, separated by commas", TM_OPTION_TEXT, &brokers},
        {"property", "NAME=VALUE", "a librdkafka property for --brokers; may be repeated", TM_OPTION_MANY, &properties},
        {"usage", "TOPIC", "topic of events (default usage)", TM_OPTION_TEXT, &usage},
        {"accounts-topic", "TOPIC", "topic of account records (default accounts)", TM_OPTION_TEXT, &accounts_topic},
        {"seed", "N", "the same seed gives the same bytes (default 1)", TM_OPTION_COUNT, &seed},
        {"accounts", "N", "accounts (default 2000)", TM_OPTION_COUNT, &accounts},
        {"days", "N", "days (default 60)", TM_OPTION_COUNT, &days},
        {"start", "DATE", "first day, UTC (default 2026-01-05)", TM_OPTION_TEXT, &start},
        {"intensity", "N", "events an active user and day, about (default 4)", TM_OPTION_COUNT, &per_day},
        {"largest", "N", "users of an account at most (default: none are left out, up to 200)", TM_OPTION_COUNT,
         &largest},
        {"disorder", "N", "of 1,000 events, so many arrive up to six hours late (default 20)", TM_OPTION_COUNT,
         &disorder},
        {"duplicates", "N", "of 1,000 events, so many are sent twice (default 5)", TM_OPTION_COUNT, &duplicates},
        {"zst", NULL, "compress the files with zstd", TM_OPTION_FLAG, &zst},
        {"gz", NULL, "compress the files with gzip", TM_OPTION_FLAG, &gz},
        {"no-erasures", NULL, "no account is erased", TM_OPTION_FLAG, &plain},
        {"json", NULL, "say how much it was as a JSON object", TM_OPTION_FLAG, &json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof *table, argc, argv, &argc, &status))
        return status;
    int32_t first_day;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "unexpected argument '%s'", argv[1]);
    if (!out && !brokers)
        return tm_cli_say(command, EX_USAGE, "say where to: --out DIR, --brokers LIST, or both");
    if (tm_day_parse(tm_slice_of(start), &first_day) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--start takes a date such as 2026-01-05, not '%s'", start);
    if (accounts < 1 || accounts > 1000000 || days < 1 || days > 3650 || disorder > 1000 || duplicates > 1000 ||
        per_day > 1000 || largest > 1000)
        return tm_cli_say(command, EX_USAGE, "--accounts is 1 to 1000000, --days 1 to 3650, the others at most 1000");
    tm_population_options options = {.seed = (uint64_t)seed,
                                     .accounts = (uint32_t)accounts,
                                     .days = (uint32_t)days,
                                     .start = (tm_time)first_day * TM_DAY,
                                     .largest = (uint32_t)largest,
                                     .intensity = (double)per_day,
                                     .disorder = (uint32_t)disorder,
                                     .duplicates = (uint32_t)duplicates,
                                     .erasures = !plain};
    suffix = zst ? ".ndjson.zst" : gz ? ".ndjson.gz" : ".ndjson";

    tm_error error;
    tm_error_clear(&error);
    sink s = {.error = &error, .latest = {TM_TIME_NONE, TM_TIME_NONE}};
    tm_clock clock = tm_system_clock();
    tm_kafka_property pairs[TM_OPTION_MANY_MAX];
    char *names[TM_OPTION_MANY_MAX] = {0};
    tm_kafka_config kafka = {
        .brokers = brokers, .inputs = {usage, accounts_topic}, .properties = pairs, .clock = &clock};
    tm_population *population = tm_population_new(&options);
    tm_status result =
        population ? tm_signals_install(&error) : tm_fail(&error, TM_FATAL, "no memory for the population");
    for (uint32_t i = 0; i < properties.count && result == TM_OK; i++) {
        names[i] = strdup(properties.items[i]);
        char *equals = names[i] ? strchr(names[i], '=') : NULL;
        if (!equals) {
            result = tm_fail(&error, TM_REJECT, "--property takes NAME=VALUE, not '%s'", properties.items[i]);
            break;
        }
        *equals = 0;
        pairs[kafka.property_count++] = (tm_kafka_property){names[i], equals + 1};
    }
    if (result == TM_OK && out) {
        (void)mkdir(out, 0777); /* one that is there is fine; any other trouble shows when the files are made */
        result = open_file(out, "usage", suffix, &s.files[TM_INPUT_USAGE], &error);
        if (result == TM_OK)
            result = open_file(out, "accounts", suffix, &s.files[TM_INPUT_ACCOUNTS], &error);
        unopened = result == TM_REJECT;
    }
    if (result == TM_OK && brokers)
        result = reach(&kafka, &error);
    if (result == TM_OK && brokers)
        result = tm_kafka_loader_new(&kafka, &s.loader, &error);
    if (result == TM_OK)
        result = generate(population, &options, &s);
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_error closing;
        tm_status closed = tm_writer_close(s.files[i], result == TM_OK ? &error : &closing);
        result = result == TM_OK ? closed : result;
    }
    if (result == TM_OK)
        result = write_truth(population, options.accounts, truth, out, &error);
    tm_kafka_loader_free(s.loader);
    tm_population_free(population);
    for (uint32_t i = 0; i < properties.count; i++)
        free(names[i]);
    if (result != TM_OK) {
        int failed = tm_cli_fail(command, result, &error);
        return unopened ? EX_CANTCREAT : result == TM_RETRY ? EX_UNAVAILABLE : failed;
    }
    unsigned long long events = s.counts[TM_INPUT_USAGE], records = s.counts[TM_INPUT_ACCOUNTS];
    if (json)
        printf("{\"events\":%llu,\"account_records\":%llu}\n", events, records);
    else
        fprintf(stderr, "%llu events, %llu account records\n", events, records);
    return EX_OK;
}

const tm_command tm_command_generate = {
    "generate", "make a population of accounts with known fates", "",
    "Makes usage events and account records of a seeded population: daily and weekly rhythm, onboarding, growth,\n"
    "decline, sudden silence, users and champions that leave, erasures; and the truth beside it. Writes files, or to\n"
    "Kafka with the timestamps that make 'run' and 'replay' agree (the topics need retention.ms=-1).\n\n"
    "Example: tidemark generate --out data --accounts 500 --days 90\n"
    "         tidemark replay --events data/usage.ndjson --accounts data/accounts.ndjson --rules rules.yaml\n\n"
    "Exit status: 0 done, 64 wrong usage, 69 no broker answers, 73 a file cannot be created, 74 it cannot be written.",
    run};
