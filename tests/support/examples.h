/* The published schemas' examples, one file after the other. */
#ifndef TESTS_SUPPORT_EXAMPLES_H
#define TESTS_SUPPORT_EXAMPLES_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/base/bytes.h"

/* Calls `accepts` for every example of schemas/examples/FOLDER and expects `good` of it. Returns their number. */
static inline size_t each_example(const char *folder, bool good, bool (*accepts)(tm_slice text))
{
    char path[1024];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/schemas/examples/%s", TIDEMARK_SOURCE_DIR, folder);
    DIR *directory = opendir(path);
    cr_assert_not_null(directory, "%s", path);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (strstr(entry->d_name, ".json") == NULL)
            continue;
        char name[2048];
        static char text[1 << 16];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        FILE *file = fopen(name, "r");
        size_t length = fread(text, 1, sizeof text, file);
        fclose(file);
        cr_expect_eq(accepts((tm_slice){text, length}), good, "%s", name);
        count++;
    }
    closedir(directory);
    return count;
}

#endif
