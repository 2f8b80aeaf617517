#include "tidemark/commands/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/adapters/system/clock.h"
#include "tidemark/base/calendar.h"
#include "tidemark/rules/diagnostics.h"

enum { OPTION_COLUMN = 26, PROGRESS_EVERY = 100 };

static void print_help(const tm_command *command, const tm_option *options, uint32_t count)
{
    printf("usage: tidemark %s%s%s%s\n\n%s\n", command->name, count ? " [options]" : "",
           command->arguments[0] ? " " : "", command->arguments, command->text);
    printf("\nOptions:\n");
    for (uint32_t i = 0; i < count; i++) {
        char left[128];
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].argument ? " " : "",
                 options[i].argument ? options[i].argument : "");
        printf("  %-*s %s\n", OPTION_COLUMN, left, options[i].help);
    }
    printf("  %-*s %s\n", OPTION_COLUMN, "--help", "this text");
}

static int mistake(const tm_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int mistake(const tm_command *command, const char *format, ...)
{
    fprintf(stderr, "tidemark %s: ", command->name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  try 'tidemark %s --help'\n", command->name);
    return EX_USAGE;
}

static const tm_option *find_option(const tm_option *options, uint32_t count, tm_slice name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tm_slice_equal_text(name, options[i].name))
            return &options[i];
    }
    return NULL;
}

static bool set_option(const tm_command *command, const tm_option *option, const char *value, int *ret_status)
{
    tm_option_list *list = option->target;
    switch (option->kind) {
    case TM_OPTION_FLAG:
        *(bool *)option->target = true;
        return true;
    case TM_OPTION_TEXT:
        *(const char **)option->target = value;
        return true;
    case TM_OPTION_MANY:
        if (list->count == TM_OPTION_MANY_MAX) {
            *ret_status = mistake(command, "--%s was given more than %d times", option->name, TM_OPTION_MANY_MAX);
            return false;
        }
        list->items[list->count++] = value;
        return true;
    case TM_OPTION_COUNT: {
        char *end;
        errno = 0;
        long long number = strtoll(value, &end, 10);
        if (end == value || *end || number < 0 || errno == ERANGE) {
            *ret_status = mistake(command, "--%s takes a whole number, not '%s'", option->name, value);
            return false;
        }
        *(int64_t *)option->target = number;
        return true;
    }
    }
    return false;
}

bool tm_options_parse(const tm_command *command, const tm_option *options, uint32_t count, int argc, char **argv,
                      int *ret_argc, int *ret_status)
{
    int i = 1;
    int kept = 1; /* positional arguments move to the front, so that options may stand anywhere */
    bool ended = false;
    for (; i < argc; i++) {
        const char *text = argv[i];
        if (ended || text[0] != '-' || !text[1]) {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(text, "--") == 0) {
            ended = true;
            continue;
        }
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            print_help(command, options, count);
            *ret_status = EX_OK;
            return false;
        }
        const char *equals = strchr(text, '=');
        tm_slice name = {text + 2, equals ? (size_t)(equals - text - 2) : strlen(text) - (text[1] == '-' ? 2 : 1)};
        if (text[1] != '-')
            name.data = text + 1;
        const tm_option *option = text[1] == '-' ? find_option(options, count, name) : NULL;
        if (!option) {
            tm_nearest nearest;
            tm_nearest_init(&nearest, name);
            for (uint32_t k = 0; k < count; k++)
                tm_nearest_offer(&nearest, tm_slice_of(options[k].name));
            tm_slice found = tm_nearest_found(&nearest);
            *ret_status = found.data ? mistake(command, "unknown option '%s': did you mean '--%.*s'?", text,
                                               (int)found.length, found.data)
                                     : mistake(command, "unknown option '%s'", text);
            return false;
        }
        const char *value = equals ? equals + 1 : NULL;
        if (option->kind == TM_OPTION_FLAG && value) {
            *ret_status = mistake(command, "--%s takes no value", option->name);
            return false;
        }
        if (option->kind != TM_OPTION_FLAG && !value) {
            if (i + 1 == argc) {
                *ret_status = mistake(command, "--%s needs a value: %s", option->name, option->argument);
                return false;
            }
            value = argv[++i];
        }
        if (!set_option(command, option, value, ret_status))
            return false;
    }
    *ret_argc = kept;
    return true;
}

int tm_cli_fail(const tm_command *command, tm_status status, const tm_error *error)
{
    fprintf(stderr, "tidemark %s: %s%s%s\n", command->name, error->where, error->where[0] ? ": " : "", error->what);
    if (error->hint[0])
        fprintf(stderr, "  %s\n", error->hint);
    switch (status) {
    case TM_OK:
        return EX_OK;
    case TM_RETRY:
        return EX_TEMPFAIL;
    case TM_REJECT:
        return EX_DATAERR;
    case TM_FATAL:
    case TM_BROKEN:
        break;
    }
    return EX_SOFTWARE;
}

int tm_cli_say(const tm_command *command, int exit_status, const char *format, ...)
{
    fprintf(stderr, "tidemark %s: ", command->name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return exit_status;
}

bool tm_cli_colour(FILE *stream)
{
    const char *forbidden = getenv("NO_COLOR");
    return isatty(fileno(stream)) && !(forbidden && forbidden[0]);
}

static int64_t shown_at;
static bool showing;

void tm_cli_progress(const char *what, uint64_t done, uint64_t all)
{
    tm_clock clock = tm_system_clock();
    int64_t now = clock.steady(clock.context);
    if (!isatty(STDERR_FILENO) || (showing && now - shown_at < PROGRESS_EVERY))
        return;
    shown_at = now;
    showing = true;
    if (all)
        fprintf(stderr, "\r%s: %llu of %llu (%d %%)\033[K", what, (unsigned long long)done, (unsigned long long)all,
                (int)(100.0 * (double)done / (double)all));
    else
        fprintf(stderr, "\r%s: %llu\033[K", what, (unsigned long long)done);
    fflush(stderr);
}

void tm_cli_progress_end(void)
{
    if (showing)
        fprintf(stderr, "\r\033[K");
    showing = false;
}
