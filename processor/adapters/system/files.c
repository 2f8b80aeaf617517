#include "tidemark/adapters/system/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tidemark/base/bytes.h"

tm_status tm_file_read(const char *path, size_t maximum, char **ret_bytes, size_t *ret_length, tm_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    tm_status status = TM_OK;
    char *bytes = NULL;
    size_t length = 0;
    size_t capacity = 0;
    struct stat about = {0};
    *ret_bytes = NULL;
    *ret_length = 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        status = tm_fail(error, TM_REJECT, "cannot open %s: %s", name, strerror(errno));
        goto out;
    }
    if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) {
        status = tm_fail(error, TM_REJECT, "%s is a directory", name);
        goto out;
    }
    /* At once as large as the file: growing would leave copies of what may be a secret behind. */
    size_t first = S_ISREG(about.st_mode) && about.st_size >= 4096 ? (size_t)about.st_size + 1 : 4096;
    for (;;) {
        if (length == capacity) {
            if (length > maximum) {
                status = tm_fail(error, TM_REJECT, "%s is longer than the %zu bytes it may have", name, maximum);
                goto out;
            }
            /* one byte more than allowed, so that too much is seen, and one for the NUL */
            capacity = capacity == 0 ? first : capacity * 2;
            capacity = capacity > maximum ? maximum + 1 : capacity;
            char *grown = realloc(bytes, capacity + 1);
            if (grown == NULL) {
                status = tm_fail(error, TM_FATAL, "out of memory");
                goto out;
            }
            bytes = grown;
        }
        ssize_t got = read(fd, bytes + length, capacity - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = tm_fail(error, TM_REJECT, "cannot read %s: %s", name, strerror(errno));
            goto out;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    if (length > maximum) {
        status = tm_fail(error, TM_REJECT, "%s is longer than the %zu bytes it may have", name, maximum);
        goto out;
    }
    bytes[length] = '\0';
    *ret_bytes = bytes;
    *ret_length = length;
    bytes = NULL;
out:
    if (fd >= 0 && !standard) {
        close(fd);
    }
    free(bytes);
    return status;
}
