#include "tidemark/commands/points.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tm_error error;

static tm_status read_text(const char *text, tm_points *points)
{
    char path[] = "/tmp/tidemark-points-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    tm_error_clear(&error);
    *points = (tm_points){0};
    tm_status status = tm_points_read(points, path, &error);
    unlink(path);
    return status;
}

Test(points, columns_are_found_by_name)
{
    tm_points points;
    cr_assert_eq(read_text("note,at,account\n"
                           "\"a, \"\"b\"\"\",2026-01-31T08:00:00Z,\"north, \"\"ltd\"\"\"\n"
                           "\n"
                           ",1500, plain \n",
                           &points),
                 TM_OK, "%s", error.what);
    cr_assert_eq(points.count, 2);
    cr_assert_str_eq(points.items[0].account, "north, \"ltd\"");
    cr_assert_eq(points.items[0].at, INT64_C(1769846400000));
    cr_assert_eq(points.items[0].order, 0);
    cr_assert_str_eq(points.items[1].account, "plain");
    cr_assert_eq(points.items[1].at, 1500);
    cr_assert_eq(points.items[1].order, 1);
    tm_points_done(&points);
    cr_assert_eq(points.count, 0);
    cr_assert_null(points.items);
}

Test(points, a_bad_file_is_refused_with_its_line)
{
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"", 1},
        {"account,when\na,1\n", 1},
        {"account\na\n", 1},
        {"account,at\na,yesterday\n", 2},
        {"account,at\na,1\n\nb,2026-02-30T00:00:00Z\n", 4},
        {"account,at\na,-1\n", 2},
        {"account,at\na,\n", 2},
        {"account,at\na\n", 2},
        {"account,at\n,1\n", 2},
        {"account,at\n\"a,1\n", 2},
        {"account,at\n\"a\"b,1\n", 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tm_points points;
        cr_assert_eq(read_text(bad[i].text, &points), TM_REJECT, "%s", bad[i].text);
        const char *colon = strrchr(error.where, ':');
        cr_assert(colon && strtoul(colon + 1, NULL, 10) == bad[i].line, "%s: at %s", bad[i].text, error.where);
        cr_assert_neq(error.what[0], 0);
        tm_points_done(&points);
    }
}

Test(points, a_cell_without_measure_is_refused)
{
    enum { LENGTH = 5000 };
    char *text = calloc(1, LENGTH + 64);
    size_t used = (size_t)snprintf(text, 64, "account,at\n");
    memset(text + used, 'a', LENGTH);
    memcpy(text + used + LENGTH, ",1\n", 3);
    tm_points points;
    cr_assert_eq(read_text(text, &points), TM_REJECT);
    cr_assert_eq(points.count, 0);
    tm_points_done(&points);
    free(text);
}

Test(points, no_file_is_refused)
{
    tm_points points = {0};
    tm_error_clear(&error);
    cr_assert_eq(tm_points_read(&points, "/nonexistent/points.csv", &error), TM_REJECT);
    cr_assert_neq(error.what[0], 0);
    tm_points_done(&points);
}

/* More than the first room of the list, in an order that has many ties. */
Test(points, sorted_by_time_and_as_given)
{
    tm_points points = {0};
    tm_points_sort(&points);
    for (int i = 0; i < 500; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "a%dxx", i);
        tm_time at = i == 250 ? TM_TIME_NONE : (i * 7919) % 13;
        cr_assert_eq(tm_points_add(&points, (tm_slice){name, (size_t)length - 2}, at), TM_OK);
    }
    tm_points_sort(&points);
    cr_assert_eq(points.count, 500);
    cr_assert_eq(points.items[0].at, TM_TIME_NONE);
    for (size_t i = 0; i < points.count; i++) {
        const tm_point *p = &points.items[i];
        char name[16];
        snprintf(name, sizeof name, "a%d", (int)p->order);
        cr_assert_str_eq(p->account, name);
        cr_assert(i == 0 || p[-1].at < p->at || (p[-1].at == p->at && p[-1].order < p->order));
    }
    tm_points_done(&points);
}
