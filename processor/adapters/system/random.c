#include "tidemark/adapters/system/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

tm_status tm_random_bytes(void *bytes, size_t length, tm_error *error)
{
    char *at = bytes;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return tm_fail(error, TM_FATAL, "the system gives no random bytes: %s", strerror(errno));
        }
        at += got;
        length -= (size_t)got;
    }
    return TM_OK;
}

uint64_t tm_random_below(uint64_t bound)
{
    uint64_t value = 0;
    if (bound < 2) {
        return 0;
    }
    /* Values below 2^64 mod bound are drawn again: what is left divides evenly. */
    uint64_t least = (0 - bound) % bound;
    do {
        if (tm_random_bytes(&value, sizeof(value), NULL) != TM_OK) {
            return 0;
        }
    } while (value < least);
    return value % bound;
}
