/* Calls of the system by which libraries reach others: the n-th of an armed thread fails, in each way that a network
   has. Only sockets count. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "torture.h"

typedef enum way {
    REFUSED, /* at once */
    LATE,    /* nothing came, or could go, in time */
    CUT,     /* half of it went, or the other end closed */
    LOST     /* carried out, and then it broke */
} way;

static const char *const way_names[] = {"refused", "too late", "cut", "broken after it was done"};

static _Atomic uint64_t calls, refused_so_far;
static uint64_t refuse_at, times_wanted;
static way way_wanted;
static char refused[64];

void torture_refuse_system(uint64_t n, uint32_t wanted, uint32_t times)
{
    atomic_store(&calls, 0);
    atomic_store(&refused_so_far, 0);
    refuse_at = n;
    way_wanted = (way)wanted;
    times_wanted = times;
    refused[0] = 0;
}

uint64_t torture_system_calls(void)
{
    return atomic_load(&calls);
}

const char *torture_system_refused(void)
{
    return refused[0] ? refused : NULL;
}

static bool fails(const char *name, int descriptor)
{
    struct stat what;
    if (!torture_armed() || (descriptor >= 0 && (fstat(descriptor, &what) != 0 || !S_ISSOCK(what.st_mode))))
        return false;
    uint64_t n = atomic_fetch_add(&calls, 1) + 1;
    if (refuse_at == 0 || way_wanted > LOST || n < refuse_at || n >= refuse_at + times_wanted)
        return false;
    if (n == refuse_at) {
        const char *texts[] = {name, " ", way_names[way_wanted], times_wanted > 1 ? ", and the next ones" : ""};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            strncat(refused, texts[i], sizeof refused - strlen(refused) - 1);
    }
    return true;
}

static long failed(int code)
{
    errno = code;
    return -1;
}

int socket(int domain, int type, int protocol)
{
    return (int)(fails("socket", -1) ? failed(EMFILE) : syscall(SYS_socket, domain, type, protocol));
}

int connect(int descriptor, const struct sockaddr *address, socklen_t length)
{
    if (!fails("connect", descriptor))
        return (int)syscall(SYS_connect, descriptor, address, length);
    if (way_wanted == LOST)
        (void)syscall(SYS_connect, descriptor, address, length);
    return (int)failed(way_wanted == REFUSED ? ECONNREFUSED : ETIMEDOUT);
}

int accept4(int descriptor, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    return (int)(fails("accept", descriptor) ? failed(way_wanted == LATE ? EAGAIN : EMFILE)
                                             : syscall(SYS_accept4, descriptor, address, length, flags));
}

/* A sending that fails: bytes are those of `parts`. */
static ssize_t send_failing(int descriptor, const struct iovec *parts, size_t count)
{
    struct iovec half[8];
    struct msghdr message = {.msg_iov = half};
    for (; message.msg_iovlen < count && message.msg_iovlen < 8; message.msg_iovlen++) {
        half[message.msg_iovlen] = parts[message.msg_iovlen];
        if (way_wanted == CUT)
            half[message.msg_iovlen].iov_len /= 2;
    }
    if (way_wanted >= CUT)
        (void)syscall(SYS_sendmsg, descriptor, &message, MSG_NOSIGNAL);
    if (way_wanted == CUT)
        (void)shutdown(descriptor, SHUT_WR);
    return failed(way_wanted == LATE ? EAGAIN : EPIPE);
}

ssize_t send(int descriptor, const void *bytes, size_t length, int flags)
{
    struct iovec part = {(void *)(uintptr_t)bytes, length};
    return fails("send", descriptor) ? send_failing(descriptor, &part, 1)
                                     : syscall(SYS_sendto, descriptor, bytes, length, flags, NULL, 0);
}

ssize_t write(int descriptor, const void *bytes, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)bytes, length};
    return fails("write", descriptor) ? send_failing(descriptor, &part, 1)
                                      : syscall(SYS_write, descriptor, bytes, length);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    return fails("sendmsg", descriptor) ? send_failing(descriptor, message->msg_iov, message->msg_iovlen)
                                        : syscall(SYS_sendmsg, descriptor, message, flags);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    return fails("writev", descriptor) ? send_failing(descriptor, parts, (size_t)count)
                                       : syscall(SYS_writev, descriptor, parts, count);
}

static ssize_t receive(const char *name, int descriptor, void *bytes, size_t length, int flags)
{
    bool fail = fails(name, descriptor);
    if (fail && way_wanted == CUT)
        return 0;
    if (!fail || way_wanted == LOST) {
        ssize_t got = syscall(SYS_recvfrom, descriptor, bytes, length, flags, NULL, NULL);
        if (!fail)
            return got;
    }
    return failed(way_wanted == LATE ? EAGAIN : ECONNRESET);
}

ssize_t recv(int descriptor, void *bytes, size_t length, int flags)
{
    return receive("recv", descriptor, bytes, length, flags);
}

ssize_t read(int descriptor, void *bytes, size_t length)
{
    struct stat what;
    bool is_socket = torture_armed() && fstat(descriptor, &what) == 0 && S_ISSOCK(what.st_mode);
    return is_socket ? receive("read", descriptor, bytes, length, 0) : syscall(SYS_read, descriptor, bytes, length);
}
