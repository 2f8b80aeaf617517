#include <jansson.h>
#include <libfyaml.h>
#include <sysexits.h>

#include "tidemark/adapters/http/server.h"
#include "tidemark/adapters/kafka/config.h"
#include "tidemark/adapters/redis/connection.h"
#include "tidemark/codec/event.h"
#include "tidemark/commands/commands.h"

static int run(const tm_command *command, int argc, char **argv)
{
    bool json = false;
    const tm_option table[] = {{"json", NULL, "as a JSON object", TM_OPTION_FLAG, &json}};
    int status;
    if (!tm_options_parse(command, table, 1, argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here", argv[1]);
    tm_mapping *mapping = tm_mapping_native();
    tm_event_options options = {.mapping = mapping};
    tm_event_reader *reader = mapping ? tm_event_reader_new(&options) : NULL;
    if (!reader) {
        tm_mapping_free(mapping);
        return tm_cli_say(command, EX_OSERR, "out of memory");
    }
    const struct {
        const char *name, *text;
    } lines[] = {
        {"tidemark", TIDEMARK_VERSION},
        {"event_reader", tm_event_reader_name(reader)},
        {"simdjson", TIDEMARK_SIMDJSON_VERSION},
        {"jansson", jansson_version_str()},
        {"librdkafka", tm_kafka_library_version()},
        {"redis_client", tm_redis_build()},
        {"libfyaml", fy_library_version()},
        {"libmicrohttpd", tm_http_library_version()},
        {"compiler", __VERSION__},
    };
    if (json)
        printf("{");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (json)
            printf("%s\"%s\":\"%s\"", i ? "," : "", lines[i].name, lines[i].text);
        else
            printf("%-14s %s\n", lines[i].name, lines[i].text);
    }
    if (json)
        printf("}\n");
    tm_event_reader_free(reader);
    tm_mapping_free(mapping);
    return EX_OK;
}

const tm_command tm_command_version = {
    .name = "version",
    .summary = "versions of tidemark and of what it is built with",
    .arguments = "",
    .text = "Prints the version of tidemark and of every library it runs with.",
    .run = run,
};
