/* Seeds one by one, in batches of forked processes, or one seed made small.

     simulation --from SEED --count N [--jobs J]   many seeds; stops at the first that fails (--go-on: does not)
     simulation --seed SEED [--trace]              one, with what happened
     simulation --shrink SEED                      one that fails, with the fewest faults that still do
     simulation --hash SEED...                     the hash of each seed's trace

   --only KIND,KIND before any of them: faults of these kinds alone, as "emptied,stale,reload,clock,quit". */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

enum { JOBS_MAX = 64, FAILURES_MAX = 32, CHUNK = 64, SECONDS_A_SEED = 60 };

typedef struct failure {
    uint64_t seed;
    char text[1600];
} failure;

/* Shared by all jobs. */
typedef struct board {
    _Atomic uint64_t next, done, calls, commits, publications, records, signals, crashes, rebuilt, failed;
    _Atomic uint64_t current[JOBS_MAX];
    _Atomic bool stop;
    failure failures[FAILURES_MAX];
} board;

static board *shared;

/* Runs a seed to its verdict. */
static sim *run(uint64_t seed, uint64_t dropped, FILE *trace)
{
    sim *s = sim_new(seed, dropped, trace);
    sim_run(s);
    if (!s->failed)
        sim_judge(s);
    sim_mix(s, s->failed);
    return s;
}

static void note_failure(uint64_t seed, const char *text)
{
    uint64_t number = atomic_fetch_add(&shared->failed, 1);
    if (number < FAILURES_MAX) {
        shared->failures[number].seed = seed;
        snprintf(shared->failures[number].text, sizeof shared->failures[number].text, "%s", text);
    }
}

static void work(int job, uint64_t end, bool go_on)
{
    while (!atomic_load(&shared->stop)) {
        uint64_t from = atomic_fetch_add(&shared->next, CHUNK);
        for (uint64_t seed = from; seed < from + CHUNK && seed < end && !atomic_load(&shared->stop); seed++) {
            atomic_store(&shared->current[job], seed);
            alarm(SECONDS_A_SEED);
            const sim *s = run(seed, 0, NULL);
            atomic_fetch_add(&shared->done, 1);
            atomic_fetch_add(&shared->calls, s->calls);
            atomic_fetch_add(&shared->commits, s->commits);
            atomic_fetch_add(&shared->publications, s->publications);
            atomic_fetch_add(&shared->records, s->records);
            atomic_fetch_add(&shared->signals, s->signals);
            atomic_fetch_add(&shared->crashes, s->crashes);
            atomic_fetch_add(&shared->rebuilt, s->rebuilt);
            if (s->failed) {
                note_failure(seed, s->failure);
                if (!go_on)
                    atomic_store(&shared->stop, true);
            }
        }
        if (from + CHUNK >= end)
            break;
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static pid_t start_job(int job, uint64_t end, bool go_on)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        work(job, end, go_on);
        sim_judge_end();
        sim_end();
        exit(0);
    }
    return pid;
}

static int campaign(uint64_t from, uint64_t count, int jobs, bool go_on)
{
    double begun = seconds();
    uint64_t end = from + count;
    pid_t pids[JOBS_MAX] = {0};
    int running = 0;
    atomic_store(&shared->next, from);
    for (int job = 0; job < jobs; job++) {
        pids[job] = start_job(job, end, go_on);
        running++;
    }
    while (running > 0) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            break;
        int job = 0;
        while (job < jobs && pids[job] != pid)
            job++;
        if (job == jobs)
            continue;
        running--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        char text[160];
        int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        if (signal == SIGALRM)
            snprintf(text, sizeof text, "no end within %d s of real time", SECONDS_A_SEED);
        else
            snprintf(text, sizeof text, "the program itself died: signal %d, status %d", signal, WEXITSTATUS(status));
        note_failure(atomic_load(&shared->current[job]), text);
        atomic_fetch_add(&shared->done, 1);
        if (go_on) {
            pids[job] = start_job(job, end, go_on);
            running++;
        } else {
            atomic_store(&shared->stop, true);
        }
    }
    uint64_t failed = atomic_load(&shared->failed), done = atomic_load(&shared->done);
    for (uint64_t i = 0; i < failed && i < FAILURES_MAX; i++)
        printf("seed %" PRIu64 ": %s\n", shared->failures[i].seed, shared->failures[i].text);
    double took = seconds() - begun;
    printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " run in %.1f s; %" PRIu64 " port calls, %" PRIu64
           " store commits, %" PRIu64 " transactions, %" PRIu64 " records, %" PRIu64 " signals, %" PRIu64
           " crashes, %" PRIu64 " rebuilds\n",
           from, end - 1, done, took, atomic_load(&shared->calls), atomic_load(&shared->commits),
           atomic_load(&shared->publications), atomic_load(&shared->records), atomic_load(&shared->signals),
           atomic_load(&shared->crashes), atomic_load(&shared->rebuilt));
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", done > failed ? done - failed : 0, failed);
    return failed || done == 0 ? 1 : 0;
}

static void print_faults(const sim *s)
{
    for (uint32_t i = 0; i < s->fault_count; i++) {
        char text[200];
        if (s->dropped >> i & 1)
            continue;
        sim_fault_text(&s->faults[i], text, sizeof text);
        printf("  fault %u: %s\n", i, text);
    }
}

static int verdict(const sim *s)
{
    printf("seed %" PRIu64 ": %s; %u faults, %" PRIu64 " calls, %" PRIu64 " commits, %" PRIu64
           " transactions, hash %016" PRIx64 "\n",
           s->seed, s->failed ? s->failure : "good", s->fault_count, s->calls, s->commits, s->publications, s->hash);
    return s->failed;
}

static int one(uint64_t seed, bool trace)
{
    const sim *s = run(seed, 0, trace ? stdout : NULL);
    print_faults(s);
    return verdict(s);
}

/* Whether the seed fails without some of its faults; in a process of its own, since it may be the program that dies. */
static bool still_fails(uint64_t seed, uint64_t dropped)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(SECONDS_A_SEED);
        _exit(run(seed, dropped, NULL)->failed ? 1 : 0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int shrink(uint64_t seed)
{
    if (!still_fails(seed, 0)) {
        printf("seed %" PRIu64 " does not fail\n", seed);
        return 0;
    }
    uint64_t dropped = 0;
    const sim *s = sim_new(seed, 0, NULL);
    uint32_t count = s->fault_count;
    for (bool less = true; less;) {
        less = false;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t without = dropped | UINT64_C(1) << i;
            if (without != dropped && still_fails(seed, without)) {
                dropped = without;
                less = true;
            }
        }
    }
    s = run(seed, dropped, stdout);
    printf("the fewest faults that still fail:\n");
    print_faults(s);
    return verdict(s);
}

static bool read_number(const char *text, uint64_t *ret_value)
{
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: simulation --from SEED --count N [--jobs J] [--go-on] | --seed SEED [--trace] | "
                    "--shrink SEED | --hash SEED... [--only KIND,KIND...]\n");
    return 64;
}

int main(int argc, char **argv)
{
    uint64_t from = 1, count = 0, jobs = 1, value = 0;
    bool go_on = false, trace = false;
    const char *mode = "campaign";
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 71;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--go-on") == 0) {
            go_on = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--hash") == 0) {
            for (i++; i < argc; i++) {
                if (!read_number(argv[i], &value))
                    return usage();
                const sim *s = run(value, 0, NULL);
                printf("%" PRIu64 " %016" PRIx64 "\n", value, s->hash);
            }
            mode = "";
        } else if (i + 1 < argc && strcmp(argv[i], "--only") == 0) {
            if (!sim_faults_only(argv[++i]))
                return usage();
        } else if (i + 1 < argc && read_number(argv[i + 1], &value)) {
            if (strcmp(argv[i], "--from") == 0)
                from = value;
            else if (strcmp(argv[i], "--count") == 0)
                count = value;
            else if (strcmp(argv[i], "--jobs") == 0)
                jobs = value;
            else if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--shrink") == 0)
                mode = argv[i];
            else
                return usage();
            if (mode == argv[i])
                from = value;
            i++;
        } else {
            return usage();
        }
    }
    int result = 0;
    if (strcmp(mode, "--seed") == 0)
        result = one(from, trace);
    else if (strcmp(mode, "--shrink") == 0)
        result = shrink(from);
    else if (strcmp(mode, "campaign") == 0)
        result = count && jobs && jobs <= JOBS_MAX ? campaign(from, count, (int)jobs, go_on) : usage();
    sim_judge_end();
    sim_end();
    return result;
}
