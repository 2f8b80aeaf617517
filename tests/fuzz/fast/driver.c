/* Runs a fuzz target in one process for as many executions as are asked for: inputs are changed copies of a corpus, and
   one that reaches an edge that none reached before joins it. Much less is looked at than libFuzzer does, so that an
   execution costs little more than the code under test; docs/fuzzing.md says how the two share the work.

   An input ends where the next page cannot be read, so that reading past it is found without a sanitizer; memory.c sees
   writing past a block and leaks. A fault, a failed assertion, an input that takes seconds and a leak are written to
   the folder of failures and end the run with status 77.

   fast_NAME [--runs N] [--seconds N] [--seed N] [--max-len N] [--dict FILE] [--new DIR] [--failures PREFIX]
             [--sketch FILE] CORPUS... */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Of its own: the code under test is instrumented, and its edges shall be reached by the target alone. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "driver.h"
#include "mutator.h"

enum {
    INPUT_MAX = 1 << 16,
    STATUS_FOUND = 77,
    TICK_SECONDS = 5,     /* an input that is still there after two ticks hangs */
    LOOK_EVERY = 1 << 12, /* executions between looks at the clock */
    LEAKS_SURE = 8,
    SKETCH_BITS = 14,
    SKETCH_SIZE = 1 << SKETCH_BITS
};

typedef struct options {
    uint64_t runs, seed;
    double seconds;
    size_t max_length;
    const char *dictionary, *found, *failures, *sketch;
} options;

uint64_t fuzz_judged;

static struct {
    uint64_t done;
    fuzz_corpus corpus;
    uint32_t fresh;
    uint8_t *edges, *edges_end; /* one byte an edge, set once it was reached */
    uint8_t *seen;
    uint8_t *page_end;
    const uint8_t *input;
    size_t length;
    uint8_t sketch[SKETCH_SIZE];
    const options *options;
} run;

/* --- what the compiler's instrumentation calls --- */

void __sanitizer_cov_bool_flag_init(uint8_t *start, uint8_t *end);

void __sanitizer_cov_bool_flag_init(uint8_t *start, uint8_t *end)
{
    run.edges = start;
    run.edges_end = end;
}

static size_t edge_count(void)
{
    size_t count = 0;
    for (const uint8_t *edge = run.edges; edge < run.edges_end; edge++)
        count += *edge;
    return count;
}

/* --- what ends a run --- */

static void write_failure(const char *why)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s-%016" PRIx64, run.options->failures, why,
                   XXH3_64bits(run.input, run.length));
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool written = file >= 0 && write(file, run.input, run.length) == (ssize_t)run.length;
    (void)fprintf(stderr, "FOUND %s after %" PRIu64 " executions: %s%s\n", why, run.done, path,
                  written ? "" : " (not written)");
    if (file >= 0)
        (void)close(file);
}

static void on_fault(int number)
{
    write_failure(number == SIGABRT  ? "abort"
                  : number == SIGILL ? "undefined"
                  : number == SIGFPE ? "arithmetic"
                                     : "memory");
    _exit(STATUS_FOUND);
}

static void on_tick(int number)
{
    static uint64_t before = UINT64_MAX;
    (void)number;
    if (before == run.done) {
        write_failure("slow");
        _exit(STATUS_FOUND);
    }
    before = run.done;
}

static void watch(void)
{
    static char stack[1 << 16];
    const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
    (void)sigaltstack(&other, NULL);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        (void)sigaction(faults[i], &action, NULL);
    struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval every = {{TICK_SECONDS, 0}, {TICK_SECONDS, 0}};
    (void)sigaction(SIGPROF, &tick, NULL);
    (void)setitimer(ITIMER_PROF, &every, NULL); /* of this process' own time: a busy machine is no hang */
}

static void die(const char *what)
{
    (void)fprintf(stderr, "driver: %s\n", what);
    exit(64);
}

/* --- the corpus --- */

static bool add(const uint8_t *bytes, size_t size)
{
    fuzz_corpus *corpus = &run.corpus;
    if (corpus->count == corpus->capacity) {
        uint32_t capacity = corpus->capacity ? corpus->capacity * 2 : 1024;
        fuzz_entry *entries = realloc(corpus->entries, capacity * sizeof *entries);
        if (!entries)
            return false;
        corpus->entries = entries;
        corpus->capacity = capacity;
    }
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return false;
    memcpy(copy, bytes, size);
    corpus->entries[corpus->count++] = (fuzz_entry){copy, (uint32_t)size};
    return true;
}

static void load(const char *folder)
{
    static uint8_t bytes[INPUT_MAX];
    DIR *open_folder = opendir(folder);
    struct dirent *entry;
    if (!open_folder)
        return; /* nothing was saved yet */
    while ((entry = readdir(open_folder)) != NULL) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        size_t size = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        if (size <= run.options->max_length && !add(bytes, size))
            die("out of memory");
    }
    (void)closedir(open_folder);
}

static void keep(void)
{
    char path[1024];
    run.fresh++;
    if (!add(run.input, run.length) || !run.options->found)
        return;
    (void)snprintf(path, sizeof path, "%s/%016" PRIx64, run.options->found, XXH3_64bits(run.input, run.length));
    FILE *file = fopen(path, "wb");
    if (!file)
        die("the folder for new inputs cannot be written");
    (void)fwrite(run.input, 1, run.length, file);
    (void)fclose(file);
}

/* An edge that was not reached before. Flags are only ever set. */
static bool is_new(void)
{
    size_t size = (size_t)(run.edges_end - run.edges);
    if (memcmp(run.edges, run.seen, size) == 0)
        return false;
    memcpy(run.seen, run.edges, size);
    return true;
}

/* --- how many inputs were different ones: HyperLogLog --- */

static void sketch_add(void)
{
    uint64_t hash = XXH3_64bits(run.input, run.length);
    uint8_t rank = (uint8_t)(__builtin_clzll((hash << SKETCH_BITS) | (UINT64_C(1) << (SKETCH_BITS - 1))) + 1);
    uint8_t *slot = &run.sketch[hash >> (64 - SKETCH_BITS)];
    if (rank > *slot)
        *slot = rank;
}

/* The estimate of Flajolet et al. (2007), with their correction for small counts. */
static double sketch_count(void)
{
    double sum = 0, empty = 0, slots = SKETCH_SIZE;
    for (int i = 0; i < SKETCH_SIZE; i++) {
        sum += 1.0 / (double)(UINT64_C(1) << run.sketch[i]);
        empty += run.sketch[i] == 0;
    }
    double estimate = 0.7213 / (1 + 1.079 / slots) * slots * slots / sum;
    return estimate <= 2.5 * slots && empty > 0 ? slots * log(slots / empty) : estimate;
}

static void sketch_file(bool writing)
{
    FILE *file = run.options->sketch ? fopen(run.options->sketch, writing ? "wb" : "rb") : NULL;
    if (!file)
        return;
    if (writing ? fwrite(run.sketch, 1, SKETCH_SIZE, file) != SKETCH_SIZE
                : fread(run.sketch, 1, SKETCH_SIZE, file) != SKETCH_SIZE)
        die("the sketch is not whole");
    (void)fclose(file);
}

/* --- running --- */

/* What is kept for the next input is kept once; what leaks, leaks again. */
static void look_for_leak(size_t before)
{
    for (int i = 0; i < LEAKS_SURE; i++) {
        size_t last = fuzz_memory_live();
        (void)LLVMFuzzerTestOneInput(run.input, run.length);
        if (fuzz_memory_live() <= last)
            return;
    }
    (void)fprintf(stderr, "%zu bytes at the first time\n", fuzz_memory_live() - before);
    write_failure("leak");
    _exit(STATUS_FOUND);
}

static void execute(const uint8_t *bytes, size_t size)
{
    uint8_t *at = run.page_end - size;
    size_t before = fuzz_memory_live();
    memcpy(at, bytes, size);
    run.input = at;
    run.length = size;
    (void)LLVMFuzzerTestOneInput(at, size);
    run.done++;
    if (fuzz_memory_live() > before)
        look_for_leak(before);
}

static double seconds_now(int clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void prepare(char **folders)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, INPUT_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + INPUT_MAX, page, PROT_NONE) != 0)
        die("out of memory");
    run.page_end = map + INPUT_MAX;
    run.seen = calloc(1, (size_t)(run.edges_end - run.edges) + 1);
    for (; *folders; folders++)
        load(*folders);
    if (!run.seen || (run.corpus.count == 0 && !add((const uint8_t *)"{}", 2)))
        die("out of memory");
    sketch_file(false);
    watch();
    uint32_t given = run.corpus.count;
    for (uint32_t i = 0; i < given; i++)
        execute(run.corpus.entries[i].bytes, run.corpus.entries[i].size);
    (void)is_new();
    run.done = 0;
}

static void go(const options *o)
{
    static uint8_t scratch[INPUT_MAX];
    fuzz_mutator mutator;
    fuzz_mutator_init(&mutator, o->seed, o->max_length, &run.corpus);
    if (o->dictionary)
        fuzz_mutator_dictionary(&mutator, o->dictionary);
    double begin = seconds_now(CLOCK_MONOTONIC);
    while (run.done < o->runs) {
        size_t size = fuzz_mutate(&mutator, scratch);
        execute(scratch, size);
        sketch_add();
        if (is_new())
            keep();
        if (run.done % LOOK_EVERY == 0 && o->seconds > 0 && seconds_now(CLOCK_MONOTONIC) - begin > o->seconds)
            break;
    }
    double wall = seconds_now(CLOCK_MONOTONIC) - begin, cpu = seconds_now(CLOCK_PROCESS_CPUTIME_ID);
    printf("{\"executions\": %" PRIu64 ", \"wall_s\": %.1f, \"cpu_s\": %.1f, \"new\": %u, \"corpus\": %u, "
           "\"edges\": %zu, \"of\": %zu, \"distinct\": %.0f, \"judged\": %" PRIu64 ", \"seed\": %" PRIu64 "}\n",
           run.done, wall, cpu, run.fresh, run.corpus.count, edge_count(), (size_t)(run.edges_end - run.edges),
           sketch_count(), fuzz_judged, o->seed);
    sketch_file(true);
}

int main(int count, char **arguments)
{
    static options o = {.runs = UINT64_MAX, .seed = 1, .max_length = 512, .failures = ""};
    int i = 1;
    for (; i < count && arguments[i][0] == '-'; i += 2) {
        const char *name = arguments[i], *value = arguments[i + 1];
        if (!value)
            die("an option without its value");
        else if (strcmp(name, "--runs") == 0)
            o.runs = strtoull(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            o.seconds = strtod(value, NULL);
        else if (strcmp(name, "--seed") == 0)
            o.seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--max-len") == 0)
            o.max_length = (size_t)strtoull(value, NULL, 10);
        else if (strcmp(name, "--dict") == 0)
            o.dictionary = value;
        else if (strcmp(name, "--new") == 0)
            o.found = value;
        else if (strcmp(name, "--failures") == 0)
            o.failures = value;
        else if (strcmp(name, "--sketch") == 0)
            o.sketch = value;
        else
            die("an option that it does not know");
    }
    if (o.max_length < 16 || o.max_length > INPUT_MAX)
        die("--max-len takes 16 to 65536");
    run.options = &o;
    prepare(arguments + i);
    go(&o);
    return 0;
}
