/* The one place with state of the whole process: signals belong to the process and to no object. The pipe is written
   by the handler and never read, so that every waiting thread sees it readable from the stop on. */
#include "tidemark/adapters/system/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_bool stopping;
static atomic_bool reload;
static atomic_int wake_read = -1;
static atomic_int wake_write = -1;

enum { SIGNALS = 4 };
static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
static struct sigaction former[SIGNALS];
static bool installed;

void tm_signals_stop(void)
{
    int fd = atomic_load(&wake_write);
    atomic_store(&stopping, true);
    if (fd >= 0) {
        ssize_t written = write(fd, "", 1); /* a full pipe is readable all the same */
        (void)written;
    }
}

static void on_signal(int number)
{
    int kept = errno;
    if (number == SIGHUP) {
        atomic_store(&reload, true);
    } else {
        tm_signals_stop();
    }
    errno = kept;
}

tm_status tm_signals_install(tm_error *error)
{
    int ends[2];
    if (installed) {
        return TM_OK;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return tm_fail(error, TM_FATAL, "cannot make a pipe for signals: %s", strerror(errno));
    }
    atomic_store(&stopping, false);
    atomic_store(&reload, false);
    atomic_store(&wake_read, ends[0]);
    atomic_store(&wake_write, ends[1]);
    installed = true;
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction wanted;
        memset(&wanted, 0, sizeof(wanted));
        sigemptyset(&wanted.sa_mask);
        wanted.sa_handler = numbers[i] == SIGPIPE ? SIG_IGN : on_signal;
        /* a second SIGINT meets the default: the end, at once */
        wanted.sa_flags = SA_RESTART | (numbers[i] == SIGINT ? (int)SA_RESETHAND : 0);
        if (sigaction(numbers[i], &wanted, &former[i]) != 0) {
            tm_fail(error, TM_FATAL, "cannot handle signal %d: %s", numbers[i], strerror(errno));
            while (i-- > 0) {
                sigaction(numbers[i], &former[i], NULL);
            }
            atomic_store(&wake_read, -1);
            atomic_store(&wake_write, -1);
            close(ends[0]);
            close(ends[1]);
            installed = false;
            return TM_FATAL;
        }
    }
    return TM_OK;
}

void tm_signals_restore(void)
{
    if (installed) {
        for (int i = 0; i < SIGNALS; i++) {
            sigaction(numbers[i], &former[i], NULL);
        }
        close(atomic_exchange(&wake_write, -1));
        close(atomic_exchange(&wake_read, -1));
        installed = false;
    }
    atomic_store(&stopping, false);
    atomic_store(&reload, false);
}

bool tm_signals_stopping(void)
{
    return atomic_load(&stopping);
}

bool tm_signals_take_reload(void)
{
    return atomic_exchange(&reload, false);
}

int tm_signals_descriptor(void)
{
    return atomic_load(&wake_read);
}

static int64_t steady_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool tm_signals_wait(int64_t ms)
{
    int64_t end = steady_ms() + (ms > 0 ? ms : 0);
    for (int64_t left = ms; left > 0 && !tm_signals_stopping(); left = end - steady_ms()) {
        struct pollfd stop = {.fd = tm_signals_descriptor(), .events = POLLIN}; /* -1 is passed over */
        /* A SIGHUP ends the poll early, a length beyond int is waited in parts: hence the loop. */
        poll(&stop, 1, left < 60000 ? (int)left : 60000);
    }
    return tm_signals_stopping();
}
