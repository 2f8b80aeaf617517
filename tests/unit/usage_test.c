#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tidemark/adapters/system/usage.h"

Test(usage, descriptors)
{
    tm_usage before, after;
    tm_usage_look(&before);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(file, 0);
    tm_usage_look(&after);
    cr_assert_eq(after.open_descriptors, before.open_descriptors + 1);
    close(file);
    tm_usage_look(&after);
    cr_assert_eq(after.open_descriptors, before.open_descriptors);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq((rlim_t)after.most_descriptors, limit.rlim_cur);
}

static pthread_barrier_t barrier;

static void *stay(void *context)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return context;
}

Test(usage, threads_memory_and_time)
{
    enum { SIZE = 64 << 20 };
    tm_usage before, after;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    tm_usage_look(&before);
    cr_assert_geq(before.threads, 1);
    cr_assert_eq(pthread_create(&thread, NULL, stay, NULL), 0);
    pthread_barrier_wait(&barrier);
    char *room = malloc(SIZE);
    cr_assert_not_null(room);
    memset(room, 1, SIZE);
    tm_usage_look(&after);
    cr_assert_eq(after.threads, before.threads + 1);
    cr_assert_geq(after.resident_bytes, before.resident_bytes + SIZE / 2);
    cr_assert_gt(after.virtual_bytes, after.resident_bytes);
    cr_assert_geq(after.cpu_seconds, before.cpu_seconds);
    cr_assert_gt(after.cpu_seconds, 0);
    free(room);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
}
