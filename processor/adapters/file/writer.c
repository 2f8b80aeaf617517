#include "tidemark/adapters/file/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    TEXT_SIZE = 128 << 10, /* gathered before it is compressed or written */
    RAW_SIZE = 128 << 10,
    GZIP_WINDOW = 15 + 16,
    ZSTD_LEVEL = 3
};

typedef enum kind { PLAIN, GZIP, ZSTD } kind;

struct tm_writer {
    char *name;
    int fd;
    bool standard;
    kind kind;
    bool failed;
    tm_error failure; /* told again by every call after the first */
    char *text;
    size_t length;
    char *raw;
    bool stream_made;
    z_stream gzip;
    ZSTD_CStream *zstd;
};

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text);
    size_t b = strlen(end);
    return a > b && strcmp(text + a - b, end) == 0;
}

static void free_writer(tm_writer *writer)
{
    if (writer->stream_made) {
        deflateEnd(&writer->gzip);
    }
    ZSTD_freeCStream(writer->zstd);
    free(writer->raw);
    free(writer->text);
    free(writer->name);
    free(writer);
}

tm_status tm_writer_open(const char *path, tm_writer **ret_writer, tm_error *error)
{
    tm_writer *writer = calloc(1, sizeof(*writer));
    *ret_writer = NULL;
    if (writer == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    writer->standard = strcmp(path, "-") == 0;
    writer->name = strdup(writer->standard ? "standard output" : path);
    writer->kind = ends_with(path, ".gz") ? GZIP : ends_with(path, ".zst") ? ZSTD : PLAIN;
    writer->text = malloc(TEXT_SIZE);
    writer->raw = writer->kind != PLAIN ? malloc(RAW_SIZE) : NULL;
    if (writer->kind == GZIP) {
        writer->stream_made =
            deflateInit2(&writer->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    }
    if (writer->kind == ZSTD) {
        writer->zstd = ZSTD_createCStream();
        writer->stream_made = false;
    }
    bool whole =
        writer->name != NULL && writer->text != NULL && (writer->kind == PLAIN || writer->raw != NULL) &&
        (writer->kind != GZIP || writer->stream_made) &&
        (writer->kind != ZSTD || (writer->zstd != NULL && !ZSTD_isError(ZSTD_initCStream(writer->zstd, ZSTD_LEVEL))));
    if (!whole) {
        free_writer(writer);
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    writer->fd = writer->standard ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        tm_fail(error, TM_REJECT, "cannot create %s: %s", path, strerror(errno));
        free_writer(writer);
        return TM_REJECT;
    }
    *ret_writer = writer;
    return TM_OK;
}

static tm_status fail(tm_writer *writer, const char *why)
{
    writer->failed = true;
    return tm_fail(&writer->failure, TM_REJECT, "cannot write to %s: %s", writer->name, why);
}

static tm_status write_file(tm_writer *writer, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(writer->fd, bytes, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return fail(writer, strerror(errno));
        }
        bytes += written;
        length -= (size_t)written;
    }
    return TM_OK;
}

typedef enum extent { MORE, FLUSH, FINISH } extent;

static tm_status write_gzip(tm_writer *writer, extent how)
{
    static const int flushes[] = {[MORE] = Z_NO_FLUSH, [FLUSH] = Z_SYNC_FLUSH, [FINISH] = Z_FINISH};
    tm_status status = TM_OK;
    bool more = true;
    writer->gzip.next_in = (Bytef *)writer->text;
    writer->gzip.avail_in = (uInt)writer->length;
    while (more && status == TM_OK) {
        writer->gzip.next_out = (Bytef *)writer->raw;
        writer->gzip.avail_out = RAW_SIZE;
        if (deflate(&writer->gzip, flushes[how]) == Z_STREAM_ERROR) {
            return fail(writer, "compression failed");
        }
        status = write_file(writer, writer->raw, RAW_SIZE - writer->gzip.avail_out);
        more = writer->gzip.avail_out == 0;
    }
    return status;
}

static tm_status write_zstd(tm_writer *writer, extent how)
{
    static const ZSTD_EndDirective ends[] = {[MORE] = ZSTD_e_continue, [FLUSH] = ZSTD_e_flush, [FINISH] = ZSTD_e_end};
    ZSTD_inBuffer in = {.src = writer->text, .size = writer->length};
    tm_status status = TM_OK;
    bool more = true;
    while (more && status == TM_OK) {
        ZSTD_outBuffer out = {.dst = writer->raw, .size = RAW_SIZE};
        size_t left = ZSTD_compressStream2(writer->zstd, &out, &in, ends[how]);
        if (ZSTD_isError(left)) {
            return fail(writer, ZSTD_getErrorName(left));
        }
        status = write_file(writer, writer->raw, out.pos);
        more = how == MORE ? in.pos < in.size : left > 0;
    }
    return status;
}

/* Hands on what was gathered. */
static tm_status drain(tm_writer *writer, extent how)
{
    tm_status status;
    switch (writer->kind) {
    case GZIP:
        status = write_gzip(writer, how);
        break;
    case ZSTD:
        status = write_zstd(writer, how);
        break;
    case PLAIN:
    default:
        status = write_file(writer, writer->text, writer->length);
        break;
    }
    writer->length = 0;
    return status;
}

static tm_status failed_before(const tm_writer *writer, tm_error *error)
{
    if (error != NULL) {
        *error = writer->failure;
    }
    return TM_REJECT;
}

static tm_status append(tm_writer *writer, const char *bytes, size_t length)
{
    tm_status status = TM_OK;
    while (length > 0 && status == TM_OK) {
        size_t room = TEXT_SIZE - writer->length;
        size_t part = length < room ? length : room;
        memcpy(writer->text + writer->length, bytes, part);
        writer->length += part;
        bytes += part;
        length -= part;
        if (writer->length == TEXT_SIZE) {
            status = drain(writer, MORE);
        }
    }
    return status;
}

tm_status tm_writer_line(tm_writer *writer, tm_slice line, tm_error *error)
{
    if (!writer->failed && line.length > 0 && memchr(line.data, '\n', line.length) != NULL) {
        fail(writer, "a line that holds a line end");
    }
    if (!writer->failed && append(writer, line.data, line.length) == TM_OK) {
        (void)append(writer, "\n", 1);
    }
    return writer->failed ? failed_before(writer, error) : TM_OK;
}

tm_status tm_writer_flush(tm_writer *writer, tm_error *error)
{
    if (!writer->failed) {
        (void)drain(writer, FLUSH);
    }
    return writer->failed ? failed_before(writer, error) : TM_OK;
}

tm_status tm_writer_close(tm_writer *writer, tm_error *error)
{
    tm_status status = TM_OK;
    if (writer == NULL) {
        return TM_OK;
    }
    if (!writer->failed) {
        (void)drain(writer, FINISH);
    }
    if (!writer->standard && close(writer->fd) != 0 && !writer->failed) {
        fail(writer, strerror(errno)); /* some file systems tell only now that the disk is full */
    }
    if (writer->failed) {
        status = failed_before(writer, error);
    }
    free_writer(writer);
    return status;
}
