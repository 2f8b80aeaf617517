/* Only builds for the crash tests, this one among them, have points at all. */
#include "tidemark/base/crashpoint.h"

#include <criterion/criterion.h>

#ifdef TIDEMARK_CRASH_POINTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that passes red, green, red, green, red under that environment, and ends with 7. */
static pid_t walk(const char *variable, const char *value)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child > 0)
        return child;
    if (variable)
        (void)setenv(variable, value, 1);
    char second[] = "green"; /* a name is known by its text, too */
    TM_CRASH_POINT("red");
    TM_CRASH_POINT("green");
    tm_crash_pass("red");
    tm_crash_pass(second);
    TM_CRASH_POINT("red");
    _exit(7);
}

static int end_of(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) { /* nobody is left behind, whatever becomes of the test */
        int last;
        cr_assert_eq(kill(child, SIGCONT), 0);
        cr_assert_eq(waitpid(child, &last, WUNTRACED), child);
        (void)kill(child, SIGKILL);
        cr_assert(WIFEXITED(last) && WEXITSTATUS(last) == 7, "it goes on, and to its end");
    }
    return status;
}

/* How often a point was passed before the end, by the list. */
static void listed(const char *order, const char *wanted)
{
    char path[] = "/tmp/tidemark-points-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    setenv("TIDEMARK_CRASH_LIST", path, 1);
    int status = end_of(walk("TIDEMARK_CRASH", order));
    cr_assert(strchr(order, '!') ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                                 : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
              "%s", order);
    FILE *list = fopen(path, "r");
    cr_assert_not_null(list);
    char found[128] = "";
    char name[64];
    unsigned long long count;
    while (fscanf(list, "%63s %llu", name, &count) == 2)
        (void)snprintf(found + strlen(found), sizeof found - strlen(found), "%s %llu;", name, count);
    fclose(list);
    unlink(path);
    unsetenv("TIDEMARK_CRASH_LIST");
    cr_assert_str_eq(found, wanted, "%s", order);
}

Test(crashpoint, without_an_order_nothing_happens)
{
    int status = end_of(walk(NULL, NULL));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = end_of(walk("TIDEMARK_CRASH", "blue"));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = end_of(walk("TIDEMARK_CRASH", "red:4"));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = end_of(walk("TIDEMARK_STOP", "re"));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

Test(crashpoint, the_process_dies_at_that_passing_of_that_point)
{
    listed("red", "red 1;");
    listed("green", "red 1;green 1;");
    listed("red:2", "red 2;green 1;");
    listed("green:2", "red 2;green 2;");
    listed("red:3", "red 3;green 2;");
    listed("green:3!", "red 3;green 2;");
}

Test(crashpoint, a_stopped_process_goes_on)
{
    int status = end_of(walk("TIDEMARK_STOP", "green:2"));
    cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}
#else
Test(crashpoint, is_an_empty_expression)
{
    TM_CRASH_POINT("nowhere");
    cr_assert(true);
}
#endif
