/* torture [--every K | --runs R] [--offset O] [--rest] [--slow] [--at N [--way W]] [SCENARIO…]

   Runs the scenarios with each K-th refusal, or some R of them, beginning with the O-th; --rest refuses all allocations
   from the n-th on; --slow: those too that take seconds a run.
   --at N runs one, in this process, and shows where the refused allocation was asked for. The last line counts. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99:detect_leaks=0:allocator_may_return_null=1";
}

#ifdef TORTURE_COVERAGE
void __gcov_dump(void);
#endif

enum { WAYS = 6, SYSTEM_WAYS = 8 };

/* What a run tells the process that started it. */
typedef struct answer {
    uint64_t counted, refused;
    int64_t leaked;
    bool told, nothing_refused;
    char call[80], wrong[400];
    const void *caller; /* who asked for what was refused first */
} answer;

static answer *shared;
static char folder[] = "/tmp/tidemark-torture-XXXXXX";
static uint64_t every = 1, wanted_runs, offset = 1, only, runs, problems, foreign_leaks, foreign_ends;
static uint32_t only_way;
static bool rest, slow;

const char *torture_say(const char *format, ...)
{
    static char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

const char *torture_folder(void)
{
    return folder;
}

static bool is_of_calls(const torture_scenario *scenario)
{
    return (scenario->kind & (TORTURE_PORTS | TORTURE_SYSTEM)) != 0;
}

static void run_one(const torture_scenario *scenario, uint64_t n, uint32_t way)
{
    int64_t before = torture_live();
    bool ports = scenario->kind & TORTURE_PORTS, calls = scenario->kind & TORTURE_SYSTEM;
    torture_refuse_call(ports ? n : 0, way / 2, way % 2 ? 5 : 1);
    torture_refuse_system(calls ? n : 0, way / 2, way % 2 ? 5 : 1);
    torture_refuse(is_of_calls(scenario) ? 0 : n, rest, only > 0);
    const char *wrong = scenario->run();
    const char *call = ports ? torture_call_refused() : calls ? torture_system_refused() : NULL;
    shared->counted = ports ? torture_calls() : calls ? torture_system_calls() : torture_counted();
    shared->refused = is_of_calls(scenario) ? call != NULL : torture_refused();
    shared->leaked = torture_live() - before;
    snprintf(shared->call, sizeof shared->call, "%s", call ? call : "");
    snprintf(shared->wrong, sizeof shared->wrong, "%s", wrong ? wrong : "");
    shared->told = true;
}

/* Whether it was a library that was refused memory. */
static bool foreign(void)
{
    Dl_info info;
    const char *slash = shared->caller && dladdr(shared->caller, &info) ? strrchr(info.dli_fname, '/') : NULL;
    return slash && strncmp(slash, "/lib", 4) == 0;
}

static void problem(const torture_scenario *scenario, uint64_t n, uint32_t way, const char *what)
{
    problems++;
    printf("%s --at %llu --way %u: %s%s%s\n", scenario->name, (unsigned long long)n, way, shared->call,
           shared->call[0] ? ": " : "", what);
}

/* One refusal in a process of its own. Returns false when there is nothing left to refuse; `all`: so many there are
   when nothing is refused. */
static bool refuse_one(const torture_scenario *scenario, uint64_t n, uint32_t way, uint64_t all)
{
    fflush(stdout);
    *shared = (answer){0};
    torture_tell_caller(&shared->caller);
    pid_t child = fork();
    if (child == 0) {
        alarm(300); /* a hang; a busy machine may keep it from running for long */
        run_one(scenario, n, way);
#ifdef TORTURE_COVERAGE /* what a process that leaves like this has counted would be lost */
        __gcov_dump();
#endif
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    runs++;
    if ((WIFSIGNALED(status) || !shared->told) && foreign()) {
        foreign_ends++;
        return true;
    }
    if (WIFSIGNALED(status) || !shared->told) {
        problem(scenario, n, way,
                WIFSIGNALED(status) ? torture_say("killed by signal %d", WTERMSIG(status))
                                    : torture_say("ended with status %d", WEXITSTATUS(status)));
        return true;
    }
    if (shared->wrong[0])
        problem(scenario, n, way, shared->wrong);
    /* What a library loses of its own when it is refused memory is its own matter, and counted. */
    if (shared->leaked != 0 && foreign())
        foreign_leaks++;
    else if (shared->leaked != 0)
        problem(scenario, n, way, torture_say("%lld blocks were not freed", (long long)shared->leaked));
    return is_of_calls(scenario) ? n < shared->counted || n < all : shared->refused > 0;
}

static void torture(const torture_scenario *scenario)
{
    struct timespec begun, ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    uint64_t before = problems, runs_before = runs, leaks_before = foreign_leaks, ends_before = foreign_ends;
    if (scenario->prepare)
        scenario->prepare();
    /* Twice whole: what libraries keep for ever is there afterwards, and a leak would show. */
    for (int i = 0; i < 2; i++) {
        run_one(scenario, 0, 0);
        if (shared->wrong[0] || (i == 1 && shared->leaked != 0)) {
            problem(scenario, 0, 0,
                    shared->wrong[0] ? shared->wrong : torture_say("leaks %lld by itself", (long long)shared->leaked));
            return;
        }
    }
    uint64_t all = shared->counted;
    if (only > 0) {
        run_one(scenario, only, only_way);
        printf("%s --at %llu: %s%s%s; %lld blocks were not freed\n", scenario->name, (unsigned long long)only,
               shared->call, shared->wrong[0] ? " WRONG: " : " good", shared->wrong, (long long)shared->leaked);
        problems += shared->wrong[0] != 0 || shared->leaked != 0;
        return;
    }
    bool more = true;
    uint64_t step = wanted_runs ? all / wanted_runs + 1 : every;
    for (uint64_t n = offset; more && problems - before < 20; n += step) {
        if (!is_of_calls(scenario)) {
            more = refuse_one(scenario, n, 0, all);
            continue;
        }
        more = false;
        uint32_t ways = scenario->kind & TORTURE_SYSTEM ? SYSTEM_WAYS : WAYS;
        for (uint32_t way = 0; way < ways; way++) {
            /* Of some runs, each has every other way. */
            if (wanted_runs == 0 || (n / step + way) % 2 == 0)
                more |= refuse_one(scenario, n, way, all);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%-16s %6llu %s, %6llu runs, %llu problems, %llu leaks and %llu ends inside libraries, %.1f s: %s\n",
           scenario->name, (unsigned long long)all, is_of_calls(scenario) ? "calls" : "allocations",
           (unsigned long long)(runs - runs_before), (unsigned long long)(problems - before),
           (unsigned long long)(foreign_leaks - leaks_before), (unsigned long long)(foreign_ends - ends_before),
           (double)(ended.tv_sec - begun.tv_sec) + 1e-9 * (double)(ended.tv_nsec - begun.tv_nsec), scenario->what);
}

static bool wanted(const torture_scenario *scenario, int argc, char **argv)
{
    if (rest && scenario->kind & TORTURE_RECOVER)
        return false;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], scenario->name) == 0)
            return true;
    return argc == 0 && (slow || !(scenario->kind & TORTURE_SLOW));
}

static void of(const torture_scenario *scenarios, uint32_t count, int argc, char **argv)
{
    for (uint32_t i = 0; i < count; i++)
        if (wanted(&scenarios[i], argc, argv))
            torture(&scenarios[i]);
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--rest") == 0)
            rest = true;
        else if (strcmp(argv[at], "--slow") == 0)
            slow = true;
        else if (at + 1 < argc && strcmp(argv[at], "--every") == 0)
            every = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--runs") == 0)
            wanted_runs = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--offset") == 0)
            offset = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--at") == 0)
            only = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--way") == 0)
            only_way = (uint32_t)strtoul(argv[++at], NULL, 10);
        else {
            fprintf(stderr, "usage: torture [--every K | --runs R] [--offset O] [--rest] [--slow] [--at N [--way W]] "
                            "[SCENARIO...]\n");
            return 64;
        }
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (every == 0 || shared == MAP_FAILED || !mkdtemp(folder))
        return 64;
    of(torture_library, torture_library_count, argc - at, argv + at);
    of(torture_commands, torture_commands_count, argc - at, argv + at);
    of(torture_workers, torture_workers_count, argc - at, argv + at);
    of(torture_adapters, torture_adapters_count, argc - at, argv + at);
    of(torture_kafka, torture_kafka_count, argc - at, argv + at);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -rf %s", folder);
    if (system(remove) != 0)
        fprintf(stderr, "%s stays\n", folder);
    printf("%llu passed, %llu failed\n", (unsigned long long)(runs > problems ? runs - problems : 0),
           (unsigned long long)problems);
    return problems > 0;
}
