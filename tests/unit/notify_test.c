#include "tidemark/adapters/system/notify.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A datagram socket under this name, where '@' begins an abstract one. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert_lt(strlen(name), sizeof address.sun_path);
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

/* A datagram is there as soon as it was sent: nothing is waited for. */
static void expect(int fd, const char *text)
{
    char bytes[64];
    ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    cr_assert_eq(length, text ? (ssize_t)strlen(text) : -1);
    if (text)
        cr_assert_eq(memcmp(bytes, text, strlen(text)), 0);
}

Test(notify, reaches_the_socket_that_is_named)
{
    char directory[] = "/tmp/tidemark-notify-XXXXXX", path[64], abstract[64];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(abstract, sizeof abstract, "@%s/socket", directory);
    int fd = listen_at(path), abstract_fd = listen_at(abstract);
    setenv("NOTIFY_SOCKET", path, 1);
    tm_notify("READY=1");
    tm_notify("STOPPING=1");
    expect(fd, "READY=1");
    expect(fd, "STOPPING=1");
    expect(fd, NULL);
    expect(abstract_fd, NULL);
    setenv("NOTIFY_SOCKET", abstract, 1);
    tm_notify("WATCHDOG=1");
    expect(abstract_fd, "WATCHDOG=1");
    expect(fd, NULL);
    unsetenv("NOTIFY_SOCKET");
    tm_notify("READY=1");
    expect(fd, NULL);
    expect(abstract_fd, NULL);
    close(fd);
    close(abstract_fd);
    setenv("NOTIFY_SOCKET", path, 1);
    tm_notify("READY=1"); /* nobody listens */
    unlink(path);
    tm_notify("READY=1"); /* nothing is there */
    rmdir(directory);
}

Test(notify, passes_over_names_that_cannot_be)
{
    char directory[] = "/tmp/tidemark-notify-XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    int fd = listen_at("relative");
    char *const far = malloc(300);
    memset(far, '/', 299);
    far[299] = 0;
    const char *const names[] = {"relative", "", "/", "@", far};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        tm_notify("READY=1");
        expect(fd, NULL);
    }
    free(far);
    close(fd);
    unlink("relative");
    cr_assert_eq(chdir("/"), 0);
    rmdir(directory);
}
