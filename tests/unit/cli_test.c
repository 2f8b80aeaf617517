#include "tidemark/commands/cli.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const tm_command command = {.name = "probe", .summary = "s", .arguments = "FILE", .text = "What it does."};

static bool flag;
static const char *text;
static tm_option_list many;
static int64_t number;
static const tm_option options[] = {{"flag", NULL, "a flag", TM_OPTION_FLAG, &flag},
                                    {"text", "TEXT", "a text", TM_OPTION_TEXT, &text},
                                    {"many", "ITEM", "many", TM_OPTION_MANY, &many},
                                    {"number", "N", "a number", TM_OPTION_COUNT, &number}};

static char *arguments[2 * TM_OPTION_MANY_MAX + 8];
static int kept, status;
static char shown[8192];

/* Parses what stands in `arguments` up to NULL; what is written to `fd` ends in `shown`. */
static bool parse_showing(int fd)
{
    flag = false;
    text = NULL;
    many.count = 0;
    number = -1;
    kept = status = -1;
    int count = 0;
    while (arguments[count])
        count++;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    fflush(NULL);
    int saved = dup(fd);
    dup2(fileno(file), fd);
    bool go_on = tm_options_parse(&command, options, 4, count, arguments, &kept, &status);
    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(file);
    shown[fread(shown, 1, sizeof shown - 1, file)] = 0;
    fclose(file);
    return go_on;
}

#define PARSE(fd, ...)                                                                                                 \
    (memcpy(arguments, (const char *[]){"probe", __VA_ARGS__, NULL},                                                   \
            sizeof((const char *[]){"probe", __VA_ARGS__, NULL})),                                                     \
     parse_showing(fd))

Test(cli, values_stand_apart_or_behind_equals)
{
    cr_assert(PARSE(STDERR_FILENO, "--flag", "--text", "one", "--number=12", "--many", "a", "--many=b=c", "--many="));
    cr_assert(flag);
    cr_assert_str_eq(text, "one");
    cr_assert_eq(number, 12);
    cr_assert_eq(many.count, 3);
    cr_assert_str_eq(many.items[0], "a");
    cr_assert_str_eq(many.items[1], "b=c");
    cr_assert_str_eq(many.items[2], "");
    cr_assert_eq(kept, 1);
    cr_assert_str_eq(shown, "");
    cr_assert(PARSE(STDERR_FILENO, "--text", "--flag")); /* a value may look like an option */
    cr_assert_str_eq(text, "--flag");
    cr_assert_not(flag);
    cr_assert(PARSE(STDERR_FILENO, "--text=one", "--text=two"));
    cr_assert_str_eq(text, "two");
}

Test(cli, positionals_stand_anywhere)
{
    cr_assert(PARSE(STDERR_FILENO, "x", "--flag", "-", "--text", "t", "y", "--", "--flag", "--", "-z"));
    const char *const expected[] = {"probe", "x", "-", "y", "--flag", "--", "-z"};
    cr_assert_eq(kept, 7);
    for (int i = 0; i < 7; i++)
        cr_assert_str_eq(arguments[i], expected[i]);
    cr_assert(flag);
    cr_assert_str_eq(text, "t");
}

Test(cli, mistakes_are_named_and_are_usage)
{
    static const struct {
        const char *first, *second, *named;
    } wrong[] = {
        {"--txt", NULL, "did you mean '--text'?"},
        {"--wholly-unknown", NULL, "unknown option '--wholly-unknown'"},
        {"--wholly-unknown=1", NULL, "unknown option"},
        {"-f", NULL, "unknown option '-f'"},
        {"-f=1", NULL, "unknown option '-f=1'"},
        {"--=1", NULL, "unknown option '--=1'"},
        {"--text", NULL, "--text needs a value: TEXT"},
        {"--many", NULL, "--many needs a value"},
        {"--flag=yes", NULL, "--flag takes no value"},
        {"--number", "-1", "not '-1'"},
        {"--number", "1x", "not '1x'"},
        {"--number=", NULL, "not ''"},
        {"--number", "1.5", "whole number"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_not(PARSE(STDERR_FILENO, wrong[i].first, wrong[i].second), "%s", wrong[i].first);
        cr_assert_eq(status, EX_USAGE);
        cr_assert_eq(status, 64);
        cr_assert_not_null(strstr(shown, wrong[i].named), "%s: %s", wrong[i].first, shown);
        cr_assert_not_null(strstr(shown, "tidemark probe: "));
        cr_assert_not_null(strstr(shown, "tidemark probe --help"));
    }
}

Test(cli, a_list_has_an_end)
{
    const char *given[TM_OPTION_MANY_MAX + 3] = {"probe"};
    for (int i = 1; i <= TM_OPTION_MANY_MAX; i++)
        given[i] = "--many=a";
    memcpy(arguments, given, sizeof given);
    cr_assert(parse_showing(STDERR_FILENO));
    cr_assert_eq(many.count, TM_OPTION_MANY_MAX);
    given[TM_OPTION_MANY_MAX + 1] = "--many=b";
    memcpy(arguments, given, sizeof given);
    cr_assert_not(parse_showing(STDERR_FILENO));
    cr_assert_eq(status, EX_USAGE);
    cr_assert_not_null(strstr(shown, "more than 64 times"), "%s", shown);
}

Test(cli, help_is_made_from_the_table)
{
    static const char *const ways[] = {"--help", "-h"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_not(PARSE(STDOUT_FILENO, ways[i], "--unknown"));
        cr_assert_eq(status, EX_OK);
        static const char *const parts[] = {
            "usage: tidemark probe [options] FILE", "What it does.", "--flag", "--text TEXT", "--number N", "--help"};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            cr_assert_not_null(strstr(shown, parts[k]), "no '%s' in %s", parts[k], shown);
    }
}
