#include "tidemark/adapters/file/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    RAW_SIZE = 256 << 10,                /* read from the file at once */
    TEXT_SIZE = 4 * (TM_RECORD_MAX / 2), /* holds the longest line and what follows it */
    GZIP_WINDOW = 15 + 16                /* zlib: the largest window, with a gzip header */
};

typedef enum kind { PLAIN, GZIP, ZSTD } kind;

struct tm_lines {
    char *name;
    int fd; /* closed by us unless it is standard input */
    kind kind;
    uint64_t size, consumed;
    uint64_t number; /* of the last line */
    char *text;      /* TEXT_SIZE + padding: decoded bytes */
    size_t from, to; /* what of text is not yet handed out */
    bool ended;      /* nothing comes behind `to` */
    bool skipping;   /* inside a line that is too long */
    bool begun;      /* the byte order mark was looked for */
    char *raw;       /* compressed bytes */
    size_t raw_from, raw_to;
    bool raw_ended;
    bool inside; /* inside a gzip member or zstd frame */
    bool stream_made;
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text);
    size_t b = strlen(end);
    return a > b && strcmp(text + a - b, end) == 0;
}

tm_status tm_lines_open(const char *path, tm_lines **ret_lines, tm_error *error)
{
    tm_status status = TM_OK;
    struct stat about;
    bool standard = strcmp(path, "-") == 0;
    tm_lines *lines = calloc(1, sizeof(*lines));
    *ret_lines = NULL;
    if (lines == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    lines->fd = -1;
    lines->name = strdup(standard ? "standard input" : path);
    lines->kind = ends_with(path, ".gz") ? GZIP : ends_with(path, ".zst") ? ZSTD : PLAIN;
    lines->text = malloc(TEXT_SIZE + TM_LINES_PADDING);
    lines->raw = lines->kind != PLAIN ? malloc(RAW_SIZE) : NULL;
    lines->zstd = lines->kind == ZSTD ? ZSTD_createDStream() : NULL;
    if (lines->kind == GZIP) {
        lines->stream_made = inflateInit2(&lines->gzip, GZIP_WINDOW) == Z_OK;
    }
    if (lines->name == NULL || lines->text == NULL || (lines->kind != PLAIN && lines->raw == NULL) ||
        (lines->kind == ZSTD && lines->zstd == NULL) || (lines->kind == GZIP && !lines->stream_made)) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    memset(lines->text, 0, TEXT_SIZE + TM_LINES_PADDING);
    lines->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (lines->fd < 0 || fstat(lines->fd, &about) != 0) {
        status = tm_fail(error, TM_REJECT, "cannot open %s: %s", lines->name, strerror(errno));
        goto out;
    }
    if (S_ISDIR(about.st_mode)) {
        status = tm_fail(error, TM_REJECT, "%s is a directory", lines->name);
        goto out;
    }
    lines->size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
    *ret_lines = lines;
    lines = NULL;
out:
    tm_lines_close(lines);
    return status;
}

void tm_lines_close(tm_lines *lines)
{
    if (lines == NULL) {
        return;
    }
    if (lines->fd > STDIN_FILENO) {
        close(lines->fd);
    }
    if (lines->stream_made) {
        inflateEnd(&lines->gzip);
    }
    ZSTD_freeDStream(lines->zstd);
    free(lines->raw);
    free(lines->text);
    free(lines->name);
    free(lines);
}

void tm_lines_progress(const tm_lines *lines, uint64_t *ret_done, uint64_t *ret_size)
{
    *ret_done = lines->consumed;
    *ret_size = lines->size;
}

const char *tm_lines_name(const tm_lines *lines)
{
    return lines->name;
}

/* ---- Bytes ---- */

static tm_status damaged(const tm_lines *lines, const char *why, tm_error *error)
{
    tm_fail(error, TM_REJECT, "the compressed file cannot be read on: %s", why);
    tm_error_where(error, "%s:%" PRIu64, lines->name, lines->number + 1);
    return TM_REJECT;
}

/* Reads from the file into `bytes`; 0 at its end. */
static tm_status read_file(tm_lines *lines, char *bytes, size_t size, size_t *ret_length, tm_error *error)
{
    ssize_t got;
    do {
        got = read(lines->fd, bytes, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        tm_fail(error, TM_REJECT, "cannot be read: %s", strerror(errno));
        tm_error_where(error, "%s:%" PRIu64, lines->name, lines->number + 1);
        return TM_REJECT;
    }
    *ret_length = (size_t)got;
    lines->consumed += (uint64_t)got;
    return TM_OK;
}

/* Decodes from raw to the free part of text. *ret_length may be 0 although more will come. */
static tm_status inflate_some(tm_lines *lines, size_t *ret_length, tm_error *error)
{
    z_stream *gzip = &lines->gzip;
    gzip->next_in = (Bytef *)lines->raw + lines->raw_from;
    gzip->avail_in = (uInt)(lines->raw_to - lines->raw_from);
    gzip->next_out = (Bytef *)lines->text + lines->to;
    gzip->avail_out = (uInt)(TEXT_SIZE - lines->to);
    lines->inside = true;
    int result = inflate(gzip, Z_NO_FLUSH);
    *ret_length = TEXT_SIZE - lines->to - gzip->avail_out;
    lines->raw_from = lines->raw_to - gzip->avail_in;
    if (result == Z_STREAM_END) { /* another member may follow */
        lines->inside = false;
        result = inflateReset(gzip);
    }
    if (result != Z_OK && result != Z_BUF_ERROR) {
        return damaged(lines, gzip->msg != NULL ? gzip->msg : "not gzip", error);
    }
    return TM_OK;
}

static tm_status unzstd_some(tm_lines *lines, size_t *ret_length, tm_error *error)
{
    ZSTD_inBuffer in = {.src = lines->raw + lines->raw_from, .size = lines->raw_to - lines->raw_from};
    ZSTD_outBuffer out = {.dst = lines->text + lines->to, .size = TEXT_SIZE - lines->to};
    size_t result = ZSTD_decompressStream(lines->zstd, &out, &in);
    if (ZSTD_isError(result)) {
        return damaged(lines, ZSTD_getErrorName(result), error);
    }
    lines->inside = result != 0;
    lines->raw_from += in.pos;
    *ret_length = out.pos;
    return TM_OK;
}

static tm_status decode_some(tm_lines *lines, tm_error *error)
{
    size_t length = 0;
    tm_status status = TM_OK;
    while (status == TM_OK && length == 0 && !lines->ended) {
        if (lines->raw_from == lines->raw_to && !lines->raw_ended) {
            lines->raw_from = lines->raw_to = 0;
            status = read_file(lines, lines->raw, RAW_SIZE, &lines->raw_to, error);
            lines->raw_ended = status == TM_OK && lines->raw_to == 0;
        }
        if (status != TM_OK) {
            break;
        }
        if (lines->raw_ended && !lines->inside) {
            lines->ended = true;
            break;
        }
        bool fed = lines->raw_from < lines->raw_to;
        status = lines->kind == GZIP ? inflate_some(lines, &length, error) : unzstd_some(lines, &length, error);
        if (status == TM_OK && length == 0 && !fed && lines->inside) {
            status = damaged(lines, "it ends in the middle", error);
        }
    }
    lines->to += length;
    return status;
}

/* Makes room and adds what comes next to text; sets `ended` when there is nothing. */
static tm_status fill(tm_lines *lines, tm_error *error)
{
    if (lines->from > 0) {
        memmove(lines->text, lines->text + lines->from, lines->to - lines->from);
        lines->to -= lines->from;
        lines->from = 0;
    }
    if (lines->kind != PLAIN) {
        return decode_some(lines, error);
    }
    size_t length = 0;
    size_t room = TEXT_SIZE - lines->to;
    tm_status status = read_file(lines, lines->text + lines->to, room < RAW_SIZE ? room : RAW_SIZE, &length, error);
    lines->ended = status == TM_OK && length == 0;
    lines->to += length;
    return status;
}

/* ---- Lines ---- */

static void skip_mark(tm_lines *lines)
{
    static const char mark[] = "\xEF\xBB\xBF";
    lines->begun = true;
    if (lines->to - lines->from >= 3 && memcmp(lines->text + lines->from, mark, 3) == 0) {
        lines->from += 3;
    }
}

/* Hands out text[from, end), the line's end not included; `after` is where the next one begins. */
static void take(tm_lines *lines, size_t end, size_t after, tm_line *ret_line)
{
    size_t stop = end > lines->from && lines->text[end - 1] == '\r' ? end - 1 : end;
    bool too_long = lines->skipping || stop - lines->from > TM_RECORD_MAX;
    lines->number++;
    *ret_line = (tm_line){.text = {lines->text + lines->from, too_long ? 0 : stop - lines->from},
                          .number = lines->number,
                          .too_long = too_long};
    lines->skipping = false;
    lines->from = after;
}

tm_status tm_lines_next(tm_lines *lines, tm_line *ret_line, bool *ret_end, tm_error *error)
{
    size_t searched = 0; /* bytes behind `from` that hold no line end */
    *ret_end = false;
    *ret_line = (tm_line){.text = {lines->text, 0}, .number = lines->number};
    for (;;) {
        if (!lines->begun && (lines->to - lines->from >= 3 || lines->ended)) {
            skip_mark(lines);
        }
        const char *start = lines->text + lines->from;
        size_t length = lines->to - lines->from;
        const char *found = lines->begun ? memchr(start + searched, '\n', length - searched) : NULL;
        if (found != NULL) {
            size_t end = (size_t)(found - lines->text);
            take(lines, end, end + 1, ret_line);
            return TM_OK;
        }
        if (lines->ended) {
            if (length == 0 && !lines->skipping) {
                *ret_end = true;
                return TM_OK;
            }
            take(lines, lines->to, lines->to, ret_line);
            return TM_OK;
        }
        searched = lines->begun ? length : 0;
        if (length > TM_RECORD_MAX + 1) { /* longer than the longest line and its '\r': forget it, look for its end */
            lines->skipping = true;
            lines->from = lines->to;
            searched = 0;
        }
        tm_status status = fill(lines, error);
        if (status != TM_OK) {
            return status;
        }
    }
}
