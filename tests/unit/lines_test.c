#include "tidemark/adapters/file/lines.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "tidemark/adapters/file/writer.h"

static char directory[64];

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/tidemark-lines-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    cr_assert_eq(rmdir(directory), 0, "every test removes its files");
}

TestSuite(lines, .init = make_directory, .fini = remove_directory);

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void put_file(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(path_of(name), "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* The same bytes as plain file, gzip and zstd, made by the libraries' simple calls. */
static void put_all(const char *bytes, size_t length)
{
    size_t bound = ZSTD_compressBound(length);
    char *compressed = malloc(bound);
    size_t size = ZSTD_compress(compressed, bound, bytes, length, 3);
    put_file("t", bytes, length);
    put_file("t.zst", compressed, size);
    free(compressed);
    gzFile gzip = gzopen(path_of("t.gz"), "wb");
    cr_assert_eq(gzwrite(gzip, bytes, (unsigned)length), (int)length);
    gzclose(gzip);
}

static void remove_all(void)
{
    static const char *const names[] = {"t", "t.gz", "t.zst"};
    for (int i = 0; i < 3; i++) {
        unlink(path_of(names[i]));
    }
}

/* Lines joined with '|', too long ones as "!", each preceded by its number. */
static tm_status read_all(const char *name, tm_buffer *ret_text, tm_error *error)
{
    tm_lines *lines = NULL;
    tm_line line;
    bool end = false;
    uint64_t done, size;
    tm_status status = tm_lines_open(path_of(name), &lines, error);
    tm_buffer_reset(ret_text);
    while (status == TM_OK) {
        status = tm_lines_next(lines, &line, &end, error);
        if (status != TM_OK || end) {
            break;
        }
        volatile char padding = 0;
        for (int i = 0; i < TM_LINES_PADDING; i++) { /* readable: the sanitizer is the judge */
            padding = line.text.data[line.text.length + (size_t)i];
        }
        (void)padding;
        tm_buffer_append_format(ret_text, "%llu:", (unsigned long long)line.number);
        if (line.too_long) {
            cr_assert_eq(line.text.length, 0);
            tm_buffer_append_char(ret_text, '!');
        } else if (line.text.length > 100) {
            tm_buffer_append_format(ret_text, "%zu", line.text.length);
        } else {
            tm_buffer_append_slice(ret_text, line.text);
        }
        tm_buffer_append_char(ret_text, '|');
    }
    if (status == TM_OK) {
        tm_lines_progress(lines, &done, &size);
        cr_assert_eq(done, size);
        cr_assert_eq(tm_lines_next(lines, &line, &end, error), TM_OK);
        cr_assert(end, "the end stays the end");
        cr_assert_str_eq(tm_lines_name(lines), path_of(name));
    }
    tm_lines_close(lines);
    return status;
}

Test(lines, come_one_by_one_however_compressed)
{
    static const struct {
        const char *bytes, *lines;
    } cases[] = {
        {"", ""},
        {"\n", "1:|"},
        {"a", "1:a|"},
        {"a\n", "1:a|"},
        {"a\nb", "1:a|2:b|"},
        {"a\n\nb\n\n", "1:a|2:|3:b|4:|"},
        {"a\r\nb\r\n", "1:a|2:b|"},
        {"\r", "1:|"},
        {"a\rb\n", "1:a\rb|"},
        {"\xEF\xBB\xBF{}\n", "1:{}|"},
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBB", "1:\xEF\xBB|"},
        {"\xEF\xBB\n", "1:\xEF\xBB|"},
        {"a\n\xEF\xBB\xBFz", "1:a|2:\xEF\xBB\xBFz|"},
    };
    static const char *const names[] = {"t", "t.gz", "t.zst"};
    tm_buffer text;
    tm_buffer_init(&text, 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_all(cases[i].bytes, strlen(cases[i].bytes));
        for (int k = 0; k < 3; k++) {
            tm_error error = {0};
            cr_assert_eq(read_all(names[k], &text, &error), TM_OK, "%s", error.what);
            cr_assert_str_eq(tm_buffer_text(&text), cases[i].lines, "case %zu of %s", i, names[k]);
        }
    }
    remove_all();
    tm_buffer_done(&text);
}

Test(lines, too_long_ones_are_skipped_and_told)
{
    static const char *const names[] = {"t", "t.gz", "t.zst"};
    tm_buffer text, bytes;
    char wanted[256];
    tm_buffer_init(&text, 1 << 20);
    tm_buffer_init(&bytes, 64 << 20);
    const size_t lengths[] = {TM_RECORD_MAX - 1, TM_RECORD_MAX,     TM_RECORD_MAX + 1,
                              TM_RECORD_MAX + 2, 3 * TM_RECORD_MAX, 5,
                              TM_RECORD_MAX + 7, TM_RECORD_MAX};
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < lengths[i]; k++) {
            tm_buffer_append_char(&bytes, 'x');
        }
        tm_buffer_append_text(&bytes, i % 2 == 0 ? "\n" : "\r\n");
    }
    tm_buffer_append_text(&bytes, "short");
    snprintf(wanted, sizeof(wanted), "1:%d|2:%d|3:!|4:!|5:!|6:xxxxx|7:!|8:%d|9:short|", TM_RECORD_MAX - 1,
             TM_RECORD_MAX, TM_RECORD_MAX);
    put_all(bytes.data, bytes.length);
    for (int k = 0; k < 3; k++) {
        tm_error error = {0};
        cr_assert_eq(read_all(names[k], &text, &error), TM_OK, "%s", error.what);
        cr_assert_str_eq(tm_buffer_text(&text), wanted, "%s", names[k]);
    }
    /* the last line may be one */
    bytes.length -= 7 + TM_RECORD_MAX;
    tm_buffer_append_text(&bytes, "xxxxxxx");
    for (size_t k = 0; k < TM_RECORD_MAX; k++) {
        tm_buffer_append_char(&bytes, 'x');
    }
    put_file("t", bytes.data, bytes.length);
    tm_error error = {0};
    cr_assert_eq(read_all("t", &text, &error), TM_OK);
    cr_assert_not_null(strstr(tm_buffer_text(&text), "|7:!|8:!|"), "%s", tm_buffer_text(&text));
    remove_all();
    tm_buffer_done(&text);
    tm_buffer_done(&bytes);
}

Test(lines, several_members_and_frames_are_one_file)
{
    tm_buffer text;
    tm_error error = {0};
    char frames[256];
    tm_buffer_init(&text, 4096);
    for (int i = 0; i < 2; i++) {
        gzFile gzip = gzopen(path_of("t.gz"), i == 0 ? "wb" : "ab");
        gzputs(gzip, i == 0 ? "one\ntw" : "o\nthree\n");
        gzclose(gzip);
    }
    cr_assert_eq(read_all("t.gz", &text, &error), TM_OK, "%s", error.what);
    cr_assert_str_eq(tm_buffer_text(&text), "1:one|2:two|3:three|");
    size_t length = ZSTD_compress(frames, sizeof(frames), "one\ntw", 6, 1);
    length += ZSTD_compress(frames + length, sizeof(frames) - length, "o\nthree\n", 8, 1);
    put_file("t.zst", frames, length);
    cr_assert_eq(read_all("t.zst", &text, &error), TM_OK, "%s", error.what);
    cr_assert_str_eq(tm_buffer_text(&text), "1:one|2:two|3:three|");
    remove_all();
    tm_buffer_done(&text);
}

Test(lines, damage_is_told_with_file_and_line)
{
    static const char *const names[] = {"t.gz", "t.zst"};
    tm_buffer text;
    char bytes[8192];
    char compressed[16384];
    tm_buffer_init(&text, 1 << 20);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i % 50 == 49 ? '\n' : 'a' + (int)((i * 7919) % 26));
    }
    for (int k = 0; k < 2; k++) {
        put_all(bytes, sizeof(bytes));
        FILE *file = fopen(path_of(names[k]), "rb");
        size_t length = fread(compressed, 1, sizeof(compressed), file);
        fclose(file);
        /* cut anywhere: never taken for the end */
        for (size_t cut = 1; cut < length; cut += 1 + length / 60) {
            tm_error error = {0};
            put_file(names[k], compressed, cut);
            cr_assert_eq(read_all(names[k], &text, &error), TM_REJECT, "%s cut at %zu", names[k], cut);
            cr_assert_not_null(strstr(error.where, names[k]), "%s", error.where);
            cr_assert_neq(error.what[0], '\0');
        }
        /* changed anywhere: an answer, no crash */
        for (size_t at = 0; at < length; at += 1 + length / 60) {
            tm_error error = {0};
            compressed[at] ^= 0x55;
            put_file(names[k], compressed, length);
            compressed[at] ^= 0x55;
            (void)read_all(names[k], &text, &error);
        }
        put_file(names[k], "plain text\n", 11);
        tm_error error = {0};
        cr_assert_eq(read_all(names[k], &text, &error), TM_REJECT);
        cr_assert_not_null(strstr(error.where, ":1"), "%s", error.where);
    }
    remove_all();
    tm_buffer_done(&text);
}

Test(lines, what_cannot_be_opened)
{
    tm_lines *lines = NULL;
    tm_error error = {0};
    cr_assert_eq(tm_lines_open(path_of("nothing"), &lines, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "nothing"), "%s", error.what);
    cr_assert_null(lines);
    cr_assert_eq(tm_lines_open(directory, &lines, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "is a directory"), "%s", error.what);
    tm_lines_close(NULL);
}

/* ---- The writer ---- */

Test(lines, what_is_written_is_read_again)
{
    static const char *const names[] = {"t", "t.gz", "t.zst"};
    for (int k = 0; k < 3; k++) {
        tm_error error = {0};
        tm_writer *writer = NULL;
        tm_lines *lines = NULL;
        tm_line line;
        bool end = false;
        char expected[400];
        cr_assert_eq(tm_writer_open(path_of(names[k]), &writer, &error), TM_OK, "%s", error.what);
        for (int i = 0; i < 5000; i++) {
            int length = snprintf(expected, sizeof(expected), "{\"line\": %d, \"text\": \"%0*d\"}", i, 1 + i % 97, i);
            cr_assert_eq(tm_writer_line(writer, (tm_slice){expected, (size_t)length}, &error), TM_OK);
            if (i % 1000 == 0) { /* visible at once */
                cr_assert_eq(tm_writer_flush(writer, &error), TM_OK);
                cr_assert_eq(tm_lines_open(path_of(names[k]), &lines, &error), TM_OK);
                for (int j = 0; j <= i; j++) {
                    cr_assert_eq(tm_lines_next(lines, &line, &end, &error), TM_OK, "%s %s", error.where, error.what);
                    cr_assert_not(end);
                }
                cr_assert(tm_slice_equal_text(line.text, expected));
                tm_lines_close(lines);
            }
        }
        cr_assert_eq(tm_writer_line(writer, (tm_slice){NULL, 0}, &error), TM_OK);
        cr_assert_eq(tm_writer_close(writer, &error), TM_OK);
        cr_assert_eq(tm_lines_open(path_of(names[k]), &lines, &error), TM_OK);
        for (int i = 0; i < 5000; i++) {
            snprintf(expected, sizeof(expected), "{\"line\": %d, \"text\": \"%0*d\"}", i, 1 + i % 97, i);
            cr_assert_eq(tm_lines_next(lines, &line, &end, &error), TM_OK);
            cr_assert(!end && tm_slice_equal_text(line.text, expected), "%s: %d", names[k], i);
        }
        cr_assert_eq(tm_lines_next(lines, &line, &end, &error), TM_OK);
        cr_assert(!end && line.text.length == 0 && line.number == 5001);
        cr_assert_eq(tm_lines_next(lines, &line, &end, &error), TM_OK);
        cr_assert(end);
        tm_lines_close(lines);
    }
    remove_all();
}

Test(lines, what_cannot_be_written_is_told)
{
    tm_error error = {0};
    tm_writer *writer = NULL;
    char path[128];
    snprintf(path, sizeof(path), "%s/no/such", directory);
    cr_assert_eq(tm_writer_open(path, &writer, &error), TM_REJECT);
    cr_assert_null(writer);
    cr_assert_not_null(strstr(error.what, "no/such"));
    /* a full device: told at the latest when closed, and by every call after the first that failed */
    cr_assert_eq(tm_writer_open("/dev/full", &writer, &error), TM_OK);
    cr_assert_eq(tm_writer_line(writer, TM_SLICE_LITERAL("x"), &error), TM_OK);
    cr_assert_eq(tm_writer_flush(writer, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "No space"), "%s", error.what);
    tm_error_clear(&error);
    cr_assert_eq(tm_writer_line(writer, TM_SLICE_LITERAL("x"), &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "No space"), "%s", error.what);
    cr_assert_eq(tm_writer_close(writer, &error), TM_REJECT);
    cr_assert_eq(tm_writer_open("/dev/full", &writer, &error), TM_OK);
    cr_assert_eq(tm_writer_line(writer, TM_SLICE_LITERAL("x"), &error), TM_OK);
    cr_assert_eq(tm_writer_close(writer, &error), TM_REJECT);
    cr_assert_eq(tm_writer_open(path_of("t"), &writer, &error), TM_OK);
    cr_assert_eq(tm_writer_line(writer, TM_SLICE_LITERAL("a\nb"), &error), TM_REJECT);
    cr_assert_eq(tm_writer_close(writer, NULL), TM_REJECT);
    cr_assert_eq(tm_writer_close(NULL, NULL), TM_OK);
    remove_all();
}
