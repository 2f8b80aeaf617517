/* Nanoseconds of processor time and allocations an event, for both readers on the same records. The rounds of the
   readers alternate and the median counts, since the machine is shared. Usage: bench_reader [rounds] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tidemark/codec/event.h"

enum { RECORDS = 4096, ROUNDS_MAX = 101, JANSSON_SHARE = 8 };

static char *records[RECORDS];
static size_t lengths[RECORDS];

/* Every allocation of the process is counted, the libraries' too: glibc lets a program bring its own. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
static uint64_t allocations;

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    allocations++;
    return __libc_realloc(block, size);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A usage event as producers write it: fields of the native form, some properties, a nested context that is ignored. */
static void make(int i)
{
    static const char *const names[] = {"report_viewed", "login", "record_saved", "export_run", "dashboard_opened"};
    char text[1024];
    int length = snprintf(
        text, sizeof text,
        "{\"id\":\"01HWX3Z5M2-%08d\",\"source\":\"web\",\"account\":\"acc-%06d\",\"user\":\"user-%04d@example.com\","
        "\"event\":\"%s\",\"at\":\"2024-05-%02dT14:%02d:21.%03dZ\",\"value\":%d.%d,\"properties\":{\"ok\":%s,"
        "\"plan\":\"team\",\"page\":\"/reports/%d/overview\",\"duration_ms\":%d,\"items\":%d},\"context\":{\"ip\":"
        "\"203.0.113.%d\",\"locale\":\"de-DE\",\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"screen\":{\"w\":1920,"
        "\"h\":1080}}}",
        i, i % 1000, i % 300, names[i % 5], 1 + i % 28, i % 60, i % 1000, i % 500, i % 10, i % 3 ? "true" : "false", i,
        i * 7 % 30000, i % 40, i % 250);
    lengths[i] = (size_t)length;
    records[i] = malloc(lengths[i]);
    if (records[i] == NULL)
        exit(70);
    memcpy(records[i], text, lengths[i]);
}

static double round_of(tm_event_reader *reader, int count, uint64_t *sum)
{
    tm_event event;
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    double start = now();
    for (int i = 0; i < count; i++) {
        if (tm_event_read(reader, (tm_slice){records[i], lengths[i]}, NULL, (tm_slice){NULL, 0}, &event, &reason,
                          detail) != TM_OK) {
            fprintf(stderr, "%s: %s\n", tm_dead_reason_name(reason), detail);
            exit(70);
        }
        *sum += event.user_key + (uint64_t)event.at;
    }
    return (now() - start) / count;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 31;
    int rounds = asked > 0 && asked <= ROUNDS_MAX ? (int)asked : 31;
    double fast[ROUNDS_MAX];
    double reference[ROUNDS_MAX];
    size_t bytes = 0;
    uint64_t sum = 0;
    for (int i = 0; i < RECORDS; i++) {
        make(i);
        bytes += lengths[i];
    }
    const char *const names[] = {"native", "auto"};
    for (int m = 0; m < 2; m++) {
        tm_mapping *mapping = NULL;
        if (tm_mapping_named(tm_slice_of(names[m]), &mapping, NULL) != TM_OK)
            return 70;
        tm_event_options options = {.mapping = mapping, .key_policy = TM_KEY_IGNORE};
        tm_event_reader *simdjson = tm_event_reader_simdjson_new(&options);
        tm_event_reader *jansson = tm_event_reader_jansson_new(&options);
        if (simdjson == NULL || jansson == NULL)
            return 70;
        uint64_t taken[2] = {0, 0};
        for (int r = 0; r < rounds; r++) {
            uint64_t before = allocations;
            fast[r] = round_of(simdjson, RECORDS, &sum);
            taken[0] += allocations - before;
            before = allocations;
            reference[r] = round_of(jansson, RECORDS / JANSSON_SHARE, &sum);
            taken[1] += allocations - before;
        }
        qsort(fast, (size_t)rounds, sizeof fast[0], ascending);
        qsort(reference, (size_t)rounds, sizeof reference[0], ascending);
        printf("mapping %-7s %zu bytes an event: simdjson %.0f ns (least %.0f), %" PRIu64
               " allocations in all; jansson "
               "%.0f ns, %.1f allocations an event\n",
               names[m], bytes / RECORDS, fast[rounds / 2], fast[0], taken[0], reference[rounds / 2],
               (double)taken[1] / (rounds * (RECORDS / JANSSON_SHARE)));
        tm_event_reader_free(simdjson);
        tm_event_reader_free(jansson);
        tm_mapping_free(mapping);
    }
    for (int i = 0; i < RECORDS; i++)
        free(records[i]);
    fprintf(stderr, "(%" PRIu64 ")\n", sum); /* what was read is used */
    return 0;
}
