/* The thread sanitizer of GCC 12 knows POSIX threads, not those of C11, which librdkafka uses: a thread it has not seen
   begin crashes inside it, and a lock it has not seen taken orders nothing. Linked into the thread sanitizer's build
   only, these take the place of the C library's, and call what the sanitizer knows. The types are glibc's: its C11
   objects are its POSIX ones. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex has room for a POSIX one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition has room for a POSIX one");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thread is a POSIX one");
_Static_assert(sizeof(once_flag) == sizeof(pthread_once_t), "a flag is a POSIX one");

typedef struct beginning {
    thrd_start_t function;
    void *argument;
} beginning;

static void *begin(void *given)
{
    beginning b = *(beginning *)given;
    free(given);
    return (void *)(intptr_t)b.function(b.argument);
}

static int outcome(int error)
{
    return error == 0           ? thrd_success
           : error == EBUSY     ? thrd_busy
           : error == ETIMEDOUT ? thrd_timedout
           : error == ENOMEM    ? thrd_nomem
                                : thrd_error;
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    beginning *b = malloc(sizeof *b);
    if (!b)
        return thrd_nomem;
    *b = (beginning){function, argument};
    int error = pthread_create(thread, NULL, begin, b);
    if (error)
        free(b);
    return outcome(error);
}

int thrd_join(thrd_t thread, int *result)
{
    void *value;
    int error = pthread_join(thread, &value);
    if (error == 0 && result)
        *result = (int)(intptr_t)value;
    return outcome(error);
}

int thrd_detach(thrd_t thread)
{
    return outcome(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error == 0 && (type & mtx_recursive))
        error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    if (error == 0)
        error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return outcome(error);
}

int mtx_lock(mtx_t *mutex)
{
    return outcome(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    return outcome(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return outcome(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

void mtx_destroy(mtx_t *mutex)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int cnd_init(cnd_t *condition)
{
    return outcome(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return outcome(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    return outcome(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

int cnd_signal(cnd_t *condition)
{
    return outcome(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return outcome(pthread_cond_broadcast((pthread_cond_t *)condition));
}

void cnd_destroy(cnd_t *condition)
{
    (void)pthread_cond_destroy((pthread_cond_t *)condition);
}

void call_once(once_flag *flag, void (*function)(void))
{
    (void)pthread_once((pthread_once_t *)flag, function);
}
