#include "tidemark/commands/embedded.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tm_embedded *find(const char *name)
{
    for (uint32_t i = 0; tm_embedded_at(i); i++) {
        if (strcmp(tm_embedded_at(i)->name, name) == 0)
            return tm_embedded_at(i);
    }
    return NULL;
}

static void check_files(const char *pattern)
{
    glob_t found;
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "%s", pattern);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        const tm_embedded *file = find(path + strlen(TIDEMARK_SOURCE_DIR) + 1);
        cr_assert_not_null(file, "%s is not carried", path);
        FILE *stream = fopen(path, "rb");
        cr_assert_not_null(stream, "%s", path);
        char *bytes = malloc(file->text.length + 2);
        size_t length = fread(bytes, 1, file->text.length + 2, stream);
        fclose(stream);
        cr_assert(tm_slice_equal((tm_slice){bytes, length}, file->text), "%s differs from the source tree", path);
        free(bytes);
    }
    globfree(&found);
}

Test(embedded, files_are_those_of_the_source_tree)
{
    check_files(TIDEMARK_SOURCE_DIR "/schemas/*.schema.json");
    check_files(TIDEMARK_SOURCE_DIR "/deploy/rules.yaml");
    check_files(TIDEMARK_SOURCE_DIR "/deploy/rules-tests/*.yaml");
}

Test(embedded, each_name_once_and_then_no_more)
{
    uint32_t count = 0;
    while (tm_embedded_at(count)) {
        cr_assert_eq(find(tm_embedded_at(count)->name), tm_embedded_at(count), "%s is there twice",
                     tm_embedded_at(count)->name);
        count++;
    }
    cr_assert_gt(count, 0);
    cr_assert_null(tm_embedded_at(count + 1));
    cr_assert_null(tm_embedded_at(UINT32_MAX));
}
