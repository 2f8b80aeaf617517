/* Commands as a user runs them: without memory they end with a word and a status that blames no file; what they print
   when they end well is whole. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tidemark/base/hash.h"
#include "tidemark/commands/commands.h"
#include "torture.h"

enum { ARGUMENTS = 24, OUTPUT = 1 << 21 };

typedef struct command_run {
    const tm_command *command;
    const char *arguments[ARGUMENTS]; /* @ stands for the folder */
    uint64_t expected;                /* hash of what it prints */
    bool known, varies;               /* varies: prints a time or so */
} command_run;

static char *captured(int file, size_t *ret_length)
{
    static char text[OUTPUT];
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    *ret_length = length > 0 ? (size_t)length : 0;
    text[*ret_length] = 0;
    return text;
}

static const char *run(command_run *r)
{
    char texts[ARGUMENTS][256];
    char *argv[ARGUMENTS + 1] = {NULL};
    int argc = 0;
    for (; argc < ARGUMENTS && r->arguments[argc]; argc++) {
        const char *word = r->arguments[argc];
        snprintf(texts[argc], sizeof *texts, "%s%s", word[0] == '@' ? torture_folder() : "", word + (word[0] == '@'));
        argv[argc] = texts[argc];
    }
    char names[2][300];
    int files[2], kept[2];
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        snprintf(names[i], sizeof names[i], "%s/output-%d-%d", torture_folder(), i, (int)getpid());
        files[i] = open(names[i], O_RDWR | O_CREAT | O_TRUNC, 0600);
        kept[i] = dup(i + 1);
        dup2(files[i], i + 1);
        unlink(names[i]);
    }
    torture_arm(true);
    int status = r->command->run(r->command, argc, argv);
    fflush(stdout);
    torture_arm(false);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], i + 1);
        close(kept[i]);
    }
    size_t length;
    const char *text = captured(files[0], &length);
    uint64_t hash = tm_hash((tm_slice){text, length});
    const char *wrong = NULL;
    if (!torture_refused()) {
        if (status != EX_OK || (length == 0 && !r->varies))
            wrong = torture_say("status %d: %.200s", status, captured(files[1], &length));
        else if (r->known && !r->varies && hash != r->expected)
            wrong = "prints something else each time";
        r->expected = hash;
        r->known = true;
    } else if (status == EX_OK) {
        if (hash != r->expected && !r->varies)
            wrong = "ended well with another output";
    } else {
        const char *said = captured(files[1], &length);
        if (length == 0)
            wrong = torture_say("status %d without a word", status);
        else if (status != EX_SOFTWARE && status != EX_OSERR && status != EX_IOERR && status != EX_TEMPFAIL)
            wrong = torture_say("status %d: %.250s", status, said);
    }
    close(files[0]);
    close(files[1]);
    return wrong;
}

#define DEPLOY TIDEMARK_SOURCE_DIR "/deploy/"

#define EVENTS "--events", "@/data/usage.ndjson", "--accounts", "@/data/accounts.ndjson", "--rules", "@/rules.yaml"

static const char rules[] =
    "version: 1\n"
    "metrics:\n"
    "  events: {count: '*'}\n"
    "  users: {distinct: user}\n"
    "rules:\n"
    "  - {name: busy, kind: expansion, when: 'events[1d] >= 3', clear: 'events[1d] < 1', summary: 'Seen "
    "{{events[1d]}} times'}\n"
    "  - {name: quiet, kind: churn_risk, when: 'age(events) >= 9h and users[7d] >= 0', cooldown: 1h}\n";

static void population(void)
{
    static bool made;
    char out[200];
    if (made)
        return;
    made = true;
    snprintf(out, sizeof out, "%s/data", torture_folder());
    char words[][16] = {"generate", "--out", "", "--accounts", "4", "--days", "20"};
    char *argv[] = {words[0], words[1], out, words[3], words[4], words[5], words[6], NULL};
    char name[200];
    snprintf(name, sizeof name, "%s/rules.yaml", torture_folder());
    FILE *file = fopen(name, "w");
    if (!file || fputs(rules, file) < 0 || fclose(file) != 0)
        exit(70);
    snprintf(name, sizeof name, "%s/points.csv", torture_folder());
    file = fopen(name, "w");
    if (!file || fputs("account,at\na0001,2024-01-15T00:00:00Z\na0002,2024-01-16T00:00:00Z\n", file) < 0 ||
        fclose(file) != 0)
        exit(70);
    snprintf(name, sizeof name, "%s/tidemark.yaml", torture_folder());
    file = fopen(name, "w");
    if (!file ||
        fputs("group: t\nrules: rules.yaml\nkafka: {brokers: 'localhost:9092'}\nredis: {url: "
              "'redis://localhost'}\nuser_key: a key of the tests only\n",
              file) < 0 ||
        fclose(file) != 0)
        exit(70);
    fflush(stdout);
    int kept = dup(1), null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    int status = tm_command_generate.run(&tm_command_generate, 7, argv);
    fflush(stdout);
    dup2(kept, 1);
    close(kept);
    close(null);
    if (status != EX_OK)
        exit(70);
}

static const char *run_replay(void)
{
    static command_run r = {&tm_command_replay, {"replay", EVENTS}, 0, false, false};
    return run(&r);
}

static const char *run_eval(void)
{
    static command_run r = {&tm_command_eval,
                            {"eval", EVENTS, "--account", "a0001", "--at", "2024-01-15T00:00:00Z", "--json",
                             "events[7d]", "ratio(users[7d], seats)"},
                            0,
                            false,
                            false};
    return run(&r);
}

static const char *run_explain(void)
{
    static command_run r = {&tm_command_explain, {"explain", EVENTS, "--account", "acct-0001"}, 0, false, false};
    return run(&r);
}

static const char *run_table(void)
{
    static command_run r = {&tm_command_eval,
                            {"eval", EVENTS, "--points", "@/points.csv", "events[7d]", "ratio(users[7d], 3)"},
                            0,
                            false,
                            false};
    return run(&r);
}

static const char *run_explain_json(void)
{
    static command_run r = {
        &tm_command_explain, {"explain", EVENTS, "--account", "acct-0001", "--json"}, 0, false, false};
    return run(&r);
}

static const char *run_check_json(void)
{
    static command_run r = {
        &tm_command_check, {"check", "--offline", "--json", "--rules", DEPLOY "rules.yaml"}, 0, false, false};
    return run(&r);
}

static const char *run_permissions(void)
{
    static command_run r = {
        &tm_command_check, {"check", "--permissions", "--json", "--config", "@/tidemark.yaml"}, 0, false, false};
    return run(&r);
}

static const char *run_test(void)
{
    static command_run r = {
        &tm_command_test, {"test", "--run", "silent", DEPLOY "rules-tests/churn.yaml"}, 0, false, true};
    return run(&r);
}

static const char *run_check(void)
{
    static command_run r = {&tm_command_check, {"check", "--offline", "--rules", DEPLOY "rules.yaml"}, 0, false, false};
    return run(&r);
}

static const char *run_schema(void)
{
    static command_run r = {&tm_command_schema, {"schema", "signal"}, 0, false, false};
    return run(&r);
}

static const char *run_version(void)
{
    static command_run r = {&tm_command_version, {"version", "--json"}, 0, false, false};
    return run(&r);
}

static const char *run_generate(void)
{
    static command_run r = {
        &tm_command_generate, {"generate", "--out", "@/again", "--accounts", "2", "--days", "5"}, 0, false, true};
    return run(&r);
}

const torture_scenario torture_commands[] = {
    {"replay", "files replayed", 0, population, run_replay},
    {"eval", "expressions out of files", 0, population, run_eval},
    {"eval-table", "the same as a table", 0, population, run_table},
    {"explain", "an account out of files", 0, population, run_explain},
    {"explain-json", "the same as JSON", 0, population, run_explain_json},
    {"test", "rule tests", 0, NULL, run_test},
    {"check", "the rules checked", 0, NULL, run_check},
    {"check-json", "the same as JSON", 0, NULL, run_check_json},
    {"permissions", "what has to be allowed, as JSON", 0, population, run_permissions},
    {"schema", "a schema printed", 0, NULL, run_schema},
    {"version", "versions as JSON", 0, NULL, run_version},
    {"generate", "a population made", 0, NULL, run_generate},
};
const uint32_t torture_commands_count = sizeof torture_commands / sizeof *torture_commands;
