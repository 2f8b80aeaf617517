#include "tidemark/base/crashpoint.h"

#ifdef TIDEMARK_CRASH_POINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    POINTS_MAX = 256,
    LINE = 64, /* a point's place in the list */
    COUNT_AT = 44,
};

typedef struct point {
    const char *name;
    unsigned long long count;
} point;

typedef struct order {
    char name[COUNT_AT];
    unsigned long long at; /* 0: no order */
    int signal;
} order;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static bool ready;
static point points[POINTS_MAX];
static unsigned point_count;
static order orders[2];
static char *list; /* the file, mapped: what is written stays when the process dies */

static void read_order(const char *variable, int signal, order *ret_order)
{
    const char *text = getenv(variable);
    if (!text || !*text)
        return;
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    if (length >= sizeof ret_order->name)
        return;
    memcpy(ret_order->name, text, length);
    ret_order->at = colon ? strtoull(colon + 1, NULL, 10) : 1;
    ret_order->signal = signal;
}

static void open_list(void)
{
    const char *path = getenv("TIDEMARK_CRASH_LIST");
    int file = path && *path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return;
    if (ftruncate(file, (off_t)POINTS_MAX * LINE) == 0) {
        void *mapped = mmap(NULL, (size_t)POINTS_MAX * LINE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        list = mapped == MAP_FAILED ? NULL : mapped;
    }
    close(file);
}

static point *point_of(const char *name)
{
    for (unsigned i = 0; i < point_count; i++) {
        if (points[i].name == name || strcmp(points[i].name, name) == 0)
            return &points[i];
    }
    if (point_count == POINTS_MAX)
        return NULL;
    points[point_count].name = name;
    return &points[point_count++];
}

void tm_crash_pass(const char *name)
{
    pthread_mutex_lock(&guard);
    if (!ready) {
        read_order("TIDEMARK_CRASH", SIGKILL, &orders[0]);
        read_order("TIDEMARK_STOP", SIGSTOP, &orders[1]);
        open_list();
        ready = true;
    }
    point *p = point_of(name);
    if (p) {
        p->count++;
        if (list) {
            char line[LINE + 1];
            int length = snprintf(line, sizeof line, "%-*s %18llu\n", COUNT_AT, name, p->count);
            if (length == LINE)
                memcpy(list + (size_t)(p - points) * LINE, line, LINE);
        }
    }
    int signal = 0;
    for (int i = 0; p && i < 2; i++) {
        if (orders[i].at == p->count && strcmp(orders[i].name, name) == 0)
            signal = orders[i].signal;
    }
    /* A stopped process is not to hold the others' lock when it goes on; one that is killed passes nothing else. */
    if (signal == SIGKILL)
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&guard);
    if (signal == SIGSTOP)
        kill(getpid(), SIGSTOP);
}

#else

/* An empty source is no C. */
typedef int tm_crash_points_are_off;

#endif
