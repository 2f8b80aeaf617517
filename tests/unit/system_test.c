#include <criterion/criterion.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tidemark/adapters/system/clock.h"
#include "tidemark/adapters/system/files.h"
#include "tidemark/adapters/system/log.h"
#include "tidemark/adapters/system/process.h"
#include "tidemark/adapters/system/random.h"
#include "tidemark/adapters/system/signals.h"
#include "tidemark/adapters/system/zone.h"

/* ---- Log ---- */

static tm_time fixed_wall(void *context)
{
    (void)context;
    return INT64_C(1714660641500);
}

static char *logged(tm_log_format format, tm_log_level least, void (*write)(tm_log *))
{
    char *text = NULL;
    size_t length = 0;
    tm_log log;
    tm_error error = {0};
    FILE *stream = open_memstream(&text, &length);
    cr_assert_eq(tm_system_log_init(stream, format, least, (tm_clock){.wall = fixed_wall}, &log, &error), TM_OK);
    write(&log);
    tm_system_log_done(&log);
    tm_system_log_done(&log);
    fclose(stream);
    return text;
}

static void write_one(tm_log *log)
{
    const tm_log_field fields[] = {tm_log_integer("shard", 3),
                                   tm_log_integer("least", INT64_MIN),
                                   tm_log_number("rate", 0.1),
                                   tm_log_number("none", NAN),
                                   tm_log_text("plain", "a/b:c,d"),
                                   tm_log_text("blank", "two words"),
                                   tm_log_text("empty", ""),
                                   tm_log_text("absent", NULL),
                                   tm_log_text("odd", "a=b \"q\" \\ \n\x01 \xC3\xA4 \xFF"),
                                   tm_log_slice("nul", (tm_slice){"a\0b", 3})};
    log->write(log->context, TM_LOG_INFO, "shard_claimed", "Shard 3 is ours", fields, 10);
}

Test(system, log_as_key_and_value)
{
    char *text = logged(TM_LOG_KEY_VALUE, TM_LOG_DEBUG, write_one);
    cr_assert_str_eq(text,
                     "time=2024-05-02T14:37:21.500Z level=info event=shard_claimed message=\"Shard 3 is ours\" shard=3 "
                     "least=-9223372036854775808 rate=0.1 none=null plain=a/b:c,d blank=\"two words\" empty=\"\" "
                     "absent=null odd=\"a=b \\\"q\\\" \\\\ \\n\\u0001 \xC3\xA4 \xEF\xBF\xBD\" nul=\"a\\u0000b\"\n");
    free(text);
}

Test(system, log_as_json_is_json)
{
    json_error_t error;
    char *text = logged(TM_LOG_JSON, TM_LOG_DEBUG, write_one);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line");
    json_t *line = json_loads(text, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(line, "%s: %s", error.text, text);
    cr_assert_str_eq(json_string_value(json_object_get(line, "time")), "2024-05-02T14:37:21.500Z");
    cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
    cr_assert_str_eq(json_string_value(json_object_get(line, "event")), "shard_claimed");
    cr_assert_str_eq(json_string_value(json_object_get(line, "message")), "Shard 3 is ours");
    cr_assert_eq(json_integer_value(json_object_get(line, "least")), INT64_MIN);
    cr_assert_eq(json_real_value(json_object_get(line, "rate")), 0.1);
    cr_assert(json_is_null(json_object_get(line, "none")));
    cr_assert(json_is_null(json_object_get(line, "absent")));
    cr_assert_str_eq(json_string_value(json_object_get(line, "odd")), "a=b \"q\" \\ \n\x01 \xC3\xA4 \xEF\xBF\xBD");
    cr_assert_eq(json_string_length(json_object_get(line, "nul")), 3);
    json_decref(line);
    free(text);
}

static void write_levels(tm_log *log)
{
    log->write(log->context, TM_LOG_DEBUG, "d", NULL, NULL, 0);
    log->write(log->context, TM_LOG_INFO, "i", NULL, NULL, 0);
    log->write(log->context, TM_LOG_WARNING, "w", NULL, NULL, 0);
    log->write(log->context, TM_LOG_ERROR, "e", NULL, NULL, 0);
}

static void write_far(tm_log *log)
{
    char *far = malloc(100000);
    memset(far, 'x', 100000);
    const tm_log_field field = tm_log_slice("far", (tm_slice){far, 100000});
    log->write(log->context, TM_LOG_ERROR, "big", "a message", &field, 1);
    log->write(log->context, TM_LOG_ERROR, "next", NULL, NULL, 0);
    free(far);
}

Test(system, log_levels_and_lines_too_long)
{
    char *text = logged(TM_LOG_KEY_VALUE, TM_LOG_WARNING, write_levels);
    cr_assert_str_eq(text, "time=2024-05-02T14:37:21.500Z level=warning event=w\n"
                           "time=2024-05-02T14:37:21.500Z level=error event=e\n");
    free(text);
    text = logged(TM_LOG_JSON, TM_LOG_DEBUG, write_far);
    cr_assert_str_eq(text, "{\"time\":\"2024-05-02T14:37:21.500Z\",\"level\":\"error\",\"event\":\"big\",\"message\":"
                           "\"the fields of this event are too long for a line\"}\n"
                           "{\"time\":\"2024-05-02T14:37:21.500Z\",\"level\":\"error\",\"event\":\"next\"}\n");
    free(text);
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++) {
        tm_log_level level = TM_LOG_DEBUG;
        cr_assert_eq(tm_log_level_parse(tm_slice_of(names[i]), &level), TM_OK);
        cr_assert_eq((int)level, i);
        cr_assert_str_eq(tm_log_level_name(level), names[i]);
    }
    tm_log_level level;
    cr_assert_eq(tm_log_level_parse(TM_SLICE_LITERAL("Info"), &level), TM_REJECT);
    cr_assert_eq(tm_log_level_parse((tm_slice){NULL, 0}, &level), TM_REJECT);
}

static void *write_many(void *context)
{
    tm_log *log = context;
    for (int i = 0; i < 500; i++) {
        const tm_log_field field = tm_log_integer("i", i);
        log->write(log->context, TM_LOG_INFO, "tick", "some words to write", &field, 1);
    }
    return NULL;
}

static void write_in_threads(tm_log *log)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, write_many, log);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

Test(system, log_lines_of_threads_do_not_mix)
{
    char *text = logged(TM_LOG_JSON, TM_LOG_DEBUG, write_in_threads);
    int count = 0;
    for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        json_t *line = json_loads(at, 0, NULL);
        cr_assert_not_null(line, "%s", at);
        json_decref(line);
        count++;
    }
    cr_assert_eq(count, 2000);
    free(text);
}

/* ---- Clock, signals ---- */

Test(system, clock_tells_the_time)
{
    tm_clock clock = tm_system_clock();
    tm_time before = (tm_time)time(NULL) * 1000;
    tm_time now = clock.wall(clock.context);
    tm_time after = ((tm_time)time(NULL) + 1) * 1000;
    cr_assert(before <= now && now <= after);
    int64_t first = clock.steady(clock.context);
    clock.pause(clock.context, 3);
    cr_assert_geq(clock.steady(clock.context), first + 3, "a pause without a stop lasts");
    clock.pause(clock.context, 0);
    clock.pause(clock.context, -5);
}

static void *pause_for_long(void *context)
{
    tm_clock clock = tm_system_clock();
    (void)context;
    clock.pause(clock.context, 3600000);
    return NULL;
}

Test(system, a_stop_ends_every_pause)
{
    pthread_t threads[2];
    tm_error error = {0};
    cr_assert_eq(tm_signals_descriptor(), -1);
    cr_assert_eq(tm_signals_install(&error), TM_OK);
    cr_assert_eq(tm_signals_install(&error), TM_OK, "twice is once");
    cr_assert_not(tm_signals_stopping());
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, pause_for_long, NULL);
    }
    raise(SIGHUP);
    cr_assert_not(tm_signals_stopping());
    cr_assert(tm_signals_take_reload());
    cr_assert_not(tm_signals_take_reload());
    raise(SIGPIPE); /* is nothing */
    raise(SIGTERM);
    cr_assert(tm_signals_stopping());
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    struct pollfd stop = {.fd = tm_signals_descriptor(), .events = POLLIN};
    cr_assert_eq(poll(&stop, 1, 0), 1);
    cr_assert(tm_signals_wait(3600000));
    raise(SIGTERM); /* again is no harm */
    tm_signals_restore();
    cr_assert_not(tm_signals_stopping());
    cr_assert_eq(tm_signals_descriptor(), -1);
    tm_signals_restore();
    cr_assert_not(tm_signals_wait(1));
    tm_signals_stop();
    cr_assert(tm_signals_wait(3600000), "without handlers too");
}

Test(system, a_second_interrupt_ends_the_process)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        tm_signals_install(NULL);
        raise(SIGINT);
        if (!tm_signals_stopping()) {
            _exit(1);
        }
        raise(SIGINT);
        _exit(2);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "%d", status);
}

/* ---- Random ---- */

Test(system, random_numbers_stay_below_their_bound)
{
    unsigned char a[600] = {0}, b[600] = {0};
    int seen[5] = {0};
    cr_assert_eq(tm_random_bytes(a, sizeof(a), NULL), TM_OK);
    cr_assert_eq(tm_random_bytes(b, sizeof(b), NULL), TM_OK);
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    cr_assert_eq(tm_random_bytes(a, 0, NULL), TM_OK);
    for (int i = 0; i < 2000; i++) {
        uint64_t value = tm_random_below(5);
        cr_assert_lt(value, 5);
        seen[value]++;
    }
    for (int i = 0; i < 5; i++) {
        cr_assert_gt(seen[i], 200); /* 400 expected; 200 is eleven deviations off */
    }
    cr_assert_eq(tm_random_below(1), 0);
    cr_assert_eq(tm_random_below(0), 0);
    cr_assert_lt(tm_random_below(UINT64_MAX), UINT64_MAX);
}

/* ---- Files, zones ---- */

Test(system, files_are_read_whole_and_bounded)
{
    char path[] = "/tmp/tidemark-file-XXXXXX";
    int fd = mkstemp(path);
    char *bytes = NULL;
    size_t length = 0;
    tm_error error = {0};
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};
    static char content[100000];
    memset(content, 'x', sizeof(content));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert_eq(ftruncate(fd, 0), 0);
        cr_assert_eq(pwrite(fd, content, sizes[i], 0), (ssize_t)sizes[i]);
        for (int more = 0; more < 2; more++) { /* as long as allowed, and less */
            cr_assert_eq(tm_file_read(path, sizes[i] + (size_t)more * 5000, &bytes, &length, &error), TM_OK, "%s",
                         error.what);
            cr_assert_eq(length, sizes[i]);
            cr_assert_eq(strlen(bytes), sizes[i]);
            free(bytes);
        }
        if (sizes[i] > 0) {
            cr_assert_eq(tm_file_read(path, sizes[i] - 1, &bytes, &length, &error), TM_REJECT);
            cr_assert_null(bytes);
        }
    }
    close(fd);
    unlink(path);
    cr_assert_eq(tm_file_read(path, 10, &bytes, &length, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, path), "%s", error.what);
    cr_assert_eq(tm_file_read("/tmp", 10, &bytes, &length, &error), TM_REJECT);
    cr_assert_eq(tm_file_read("/dev/zero", 100000, &bytes, &length, &error), TM_REJECT, "endless");
}

Test(system, zones_come_from_their_directory_only)
{
    const tm_zone *zone = NULL;
    tm_error error = {0};
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("Europe/Berlin"), &zone, &error), TM_OK, "%s", error.what);
    cr_assert_str_eq(tm_zone_name(zone), "Europe/Berlin");
    cr_assert_eq(tm_zone_offset(zone, INT64_C(1720000000000)), 7200);
    cr_assert_eq(tm_zone_offset(zone, INT64_C(1705000000000)), 3600);
    tm_zone_unload(zone);
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("Etc/GMT+12"), &zone, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_zone_offset(zone, 0), -43200);
    tm_zone_unload(zone);
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("UTC"), &zone, &error), TM_OK);
    cr_assert_eq(zone, tm_zone_utc());
    tm_zone_unload(zone);
    tm_zone_unload(NULL);
    static const char *const wrong[] = {"",
                                        "/etc/passwd",
                                        "../passwd",
                                        "Europe/../Europe/Berlin",
                                        "Europe//Berlin",
                                        "Europe/",
                                        "/Europe",
                                        "Europe/Berlin ",
                                        "Europe/B\xC3\xA9rlin",
                                        ".",
                                        "Europe.x",
                                        "No/Such",
                                        "Europe",
                                        "zone1970.tab"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(tm_zone_load(tm_slice_of(wrong[i]), &zone, &error), TM_REJECT, "%s", wrong[i]);
        cr_assert_null(zone);
        cr_assert_not_null(strstr(error.hint, "IANA"), "%s: %s", wrong[i], error.hint);
    }
    cr_assert_eq(tm_zone_load((tm_slice){"UTC\0", 4}, &zone, &error), TM_REJECT);
    cr_assert_eq(tm_zone_load((tm_slice){NULL, 0}, &zone, &error), TM_REJECT);
    /* another directory, with a file that is none, and without any */
    char directory[] = "/tmp/tidemark-zone-XXXXXX";
    char path[64];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/Bad", directory);
    FILE *file = fopen(path, "w");
    fputs("no zone", file);
    fclose(file);
    setenv("TZDIR", directory, 1);
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("Bad"), &zone, &error), TM_REJECT);
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("Europe/Berlin"), &zone, &error), TM_REJECT);
    unlink(path);
    rmdir(directory);
    cr_assert_eq(tm_zone_load(TM_SLICE_LITERAL("Europe/Berlin"), &zone, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.hint, "tzdata"), "%s", error.hint);
    unsetenv("TZDIR");
}

/* ---- The process ---- */

Test(system, files_that_everybody_may_read)
{
    char path[] = "/tmp/tidemark-public-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fchmod(fd, 0644), 0);
    cr_assert(tm_file_is_public(path));
    cr_assert_eq(fchmod(fd, 0640), 0);
    cr_assert_not(tm_file_is_public(path));
    close(fd);
    unlink(path);
    cr_assert_not(tm_file_is_public(path));
}
