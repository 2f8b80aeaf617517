#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/commands.h"
#include "tidemark/commands/embedded.h"
#include "tidemark/rules/diagnostics.h"

/* "signal" of "schemas/signal.schema.json"; absent for a file that is no schema. */
static tm_slice schema_name(tm_slice path)
{
    static const tm_slice folder = TM_SLICE_LITERAL("schemas/");
    static const tm_slice ending = TM_SLICE_LITERAL(".schema.json");
    size_t around = folder.length + ending.length;
    if (path.length <= around || !tm_slice_has_prefix(path, folder) ||
        memcmp(path.data + path.length - ending.length, ending.data, ending.length) != 0)
        return (tm_slice){0};
    return (tm_slice){path.data + folder.length, path.length - around};
}

static int run(const tm_command *command, int argc, char **argv)
{
    bool json = false;
    const tm_option table[] = {
        {"json", NULL, "the names as a JSON list; a schema is JSON anyway", TM_OPTION_FLAG, &json},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof *table, argc, argv, &argc, &status))
        return status;
    if (argc > 2)
        return tm_cli_say(command, EX_USAGE, "one name at a time");
    const char *wanted = argc > 1 ? argv[1] : NULL;
    tm_nearest nearest;
    tm_nearest_init(&nearest, tm_slice_of(wanted ? wanted : ""));
    const tm_embedded *file;
    uint32_t listed = 0;
    for (uint32_t i = 0; (file = tm_embedded_at(i)) != NULL; i++) {
        tm_slice name = schema_name(tm_slice_of(file->name));
        if (!name.data)
            continue;
        if (!wanted && json) {
            printf("%s\"%.*s\"", listed++ ? "," : "[", (int)name.length, name.data);
        } else if (!wanted) {
            printf("%.*s\n", (int)name.length, name.data);
        } else if (tm_slice_equal_text(name, wanted)) {
            fwrite(file->text.data, 1, file->text.length, stdout);
            return fflush(stdout) == 0 ? EX_OK : tm_cli_say(command, EX_IOERR, "standard output cannot be written");
        } else {
            tm_nearest_offer(&nearest, name);
        }
    }
    if (!wanted) {
        if (json)
            printf("]\n");
        return EX_OK;
    }
    tm_slice found = tm_nearest_found(&nearest);
    if (found.data)
        return tm_cli_say(command, EX_USAGE, "there is no schema '%s': did you mean '%.*s'?", wanted, (int)found.length,
                          found.data);
    return tm_cli_say(command, EX_USAGE, "there is no schema '%s'; 'tidemark schema' lists them", wanted);
}

const tm_command tm_command_schema = {
    .name = "schema",
    .summary = "the JSON schemas of everything read and written",
    .arguments = "[NAME]",
    .text = "Prints a schema (JSON Schema 2020-12), or without a name their names.\n\n"
            "  tidemark schema signal > signal.schema.json",
    .run = run,
};
