#include "tidemark/commands/init.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/rules/configfile.h"

static tm_buffer written;
static tm_error error;

static tm_status secret(void *context, const char *path, tm_buffer *out, tm_error *problem)
{
    (void)context;
    (void)problem;
    cr_assert_str_eq(path, "user.key");
    tm_buffer_append_text(out, "a secret of sixteen bytes and more");
    return TM_OK;
}

static tm_configuration *parse(const char *text)
{
    tm_configfile_options options = {.file = secret};
    tm_configuration *configuration;
    tm_status status = tm_configfile_parse(tm_slice_of(text), "tidemark.yaml", false, &options, &configuration, &error);
    cr_assert_eq(status, TM_OK, "%s: %s", error.where, error.what);
    return configuration;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    char *text = calloc(1, 1 << 20);
    text[fread(text, 1, (1 << 20) - 1, file)] = 0;
    fclose(file);
    return text;
}

Test(init, the_example_of_deploy_is_what_init_writes)
{
    tm_buffer_init(&written, 1 << 20);
    tm_init_configuration("127.0.0.1:9092", "redis://127.0.0.1:6379/0", &written);
    char *example = read_file(TIDEMARK_SOURCE_DIR "/deploy/tidemark.yaml");
    cr_assert_str_eq(tm_buffer_text(&written), example,
                     "write it again: tidemark init in an empty folder, then copy its tidemark.yaml to deploy/");
    free(example);
    tm_buffer_done(&written);
}

/* What is behind '#' is the default: taking the signs away changes nothing. */
Test(init, comments_show_the_defaults)
{
    tm_buffer_init(&written, 1 << 20);
    tm_init_configuration("a:1,b:2", "redis://:p w@h:1/2", &written);
    tm_configuration *one = parse(tm_buffer_text(&written));
    char *all = strdup(tm_buffer_text(&written));
    char *to = all;
    for (const char *from = all; *from; from++) {
        bool key = *from == '#' && from[1] >= 'a' && from[1] <= 'z';
        if (!key)
            *to++ = *from;
    }
    *to = 0;
    for (uint32_t i = 0; tm_configuration_key_at(i); i++) {
        const char *dot = strchr(tm_configuration_key_at(i)->key, '.');
        char line[128];
        snprintf(line, sizeof line, "\n%s%s:", dot ? "  " : "", dot ? dot + 1 : tm_configuration_key_at(i)->key);
        cr_assert_not_null(strstr(all, line), "no line for %s", tm_configuration_key_at(i)->key);
    }
    tm_configuration *other = parse(all);
    cr_assert_str_eq(one->brokers, "a:1,b:2");
    cr_assert_str_eq(one->redis_url, "redis://:p w@h:1/2");
    cr_assert_eq(one->user_key.length, strlen("a secret of sixteen bytes and more"));
    cr_assert_str_eq(one->group, other->group);
    cr_assert_str_eq(one->instance, other->instance);
    cr_assert_str_eq(one->accounts, other->accounts);
    cr_assert_str_eq(one->journal, other->journal);
    cr_assert_str_eq(one->mapping, other->mapping);
    cr_assert_str_eq(one->log_level, other->log_level);
    cr_assert_eq(one->commit_interval, other->commit_interval);
    cr_assert_eq(one->dedup_entries, other->dedup_entries);
    cr_assert_eq(one->memory_limit, other->memory_limit);
    cr_assert_eq(other->property_count, 0);
    tm_configuration_free(one);
    tm_configuration_free(other);
    free(all);
    tm_buffer_done(&written);
}
