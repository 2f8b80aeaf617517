#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/system/process.h"
#include "tidemark/commands/cli.h"
#include "tidemark/rules/diagnostics.h"

static void print_commands(FILE *stream)
{
    fprintf(stream,
            "tidemark %s: product-usage events in, churn-risk and expansion signals out\n\nusage: tidemark COMMAND "
            "[options]\n\nCommands:\n",
            TIDEMARK_VERSION);
    for (const tm_command *const *command = tm_commands; *command; command++)
        fprintf(stream, "  %-12s %s\n", (*command)->name, (*command)->summary);
    fprintf(stream, "\n'tidemark COMMAND --help' explains each.\n");
}

int main(int argc, char **argv)
{
    if (!getenv("TIDEMARK_ALLOW_CORE"))
        tm_process_protect();
    if (argc < 2) {
        print_commands(stderr);
        return EX_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_commands(stdout);
        return EX_OK;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    tm_nearest nearest;
    tm_nearest_init(&nearest, tm_slice_of(name));
    for (const tm_command *const *command = tm_commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return (*command)->run(*command, argc - 1, argv + 1);
        tm_nearest_offer(&nearest, tm_slice_of((*command)->name));
    }
    tm_slice found = tm_nearest_found(&nearest);
    fprintf(stderr, "tidemark: there is no command '%s'", name);
    if (found.data)
        fprintf(stderr, ": did you mean '%.*s'?", (int)found.length, found.data);
    fprintf(stderr, "\n  'tidemark --help' lists them\n");
    return EX_USAGE;
}
