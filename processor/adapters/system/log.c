#include "tidemark/adapters/system/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct system_log {
    FILE *stream;
    tm_log_format format;
    tm_log_level least;
    tm_clock clock;
    pthread_mutex_t mutex;
    tm_buffer line; /* guarded by the mutex */
} system_log;

const char *tm_log_level_name(tm_log_level level)
{
    switch (level) {
    case TM_LOG_DEBUG:
        return "debug";
    case TM_LOG_INFO:
        return "info";
    case TM_LOG_WARNING:
        return "warning";
    case TM_LOG_ERROR:
    default:
        return "error";
    }
}

tm_status tm_log_level_parse(tm_slice name, tm_log_level *ret_level)
{
    static const tm_log_level levels[] = {TM_LOG_DEBUG, TM_LOG_INFO, TM_LOG_WARNING, TM_LOG_ERROR};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (tm_slice_equal_text(name, tm_log_level_name(levels[i]))) {
            *ret_level = levels[i];
            return TM_OK;
        }
    }
    return TM_REJECT;
}

/* A value stands without quotes when a reader who splits at blanks and '=' gets it whole. */
static bool is_plain(tm_slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F) {
            return false;
        }
    }
    return text.length > 0;
}

static void put_name(system_log *self, const char *name)
{
    if (self->format == TM_LOG_JSON) {
        tm_buffer_append_char(&self->line, self->line.length == 0 ? '{' : ',');
        tm_buffer_append_json_string(&self->line, tm_slice_of(name));
        tm_buffer_append_char(&self->line, ':');
        return;
    }
    if (self->line.length > 0) {
        tm_buffer_append_char(&self->line, ' ');
    }
    tm_buffer_append_text(&self->line, name);
    tm_buffer_append_char(&self->line, '=');
}

static void put_text(system_log *self, tm_slice text)
{
    if (self->format == TM_LOG_JSON) {
        tm_buffer_append_json_string(&self->line, text);
    } else if (text.data == NULL) {
        tm_buffer_append_text(&self->line, "null");
    } else if (is_plain(text)) {
        tm_buffer_append_slice(&self->line, text);
    } else {
        tm_buffer_append_json_string(&self->line, text);
    }
}

static void put_head(system_log *self, const char *time, tm_log_level level, const char *event)
{
    tm_buffer_reset(&self->line);
    put_name(self, "time");
    put_text(self, tm_slice_of(time));
    put_name(self, "level");
    put_text(self, tm_slice_of(tm_log_level_name(level)));
    put_name(self, "event");
    put_text(self, tm_slice_of(event));
}

static void put_end(system_log *self)
{
    tm_buffer_append_text(&self->line, self->format == TM_LOG_JSON ? "}\n" : "\n");
}

static void log_write(void *context, tm_log_level level, const char *event, const char *message,
                      const tm_log_field *fields, uint32_t field_count)
{
    system_log *self = context;
    char time[TM_TIME_TEXT];
    if (level < self->least) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    tm_time_format(self->clock.wall(self->clock.context), time); /* inside, so that lines are in order of time */
    put_head(self, time, level, event);
    if (message != NULL) {
        put_name(self, "message");
        put_text(self, tm_slice_of(message));
    }
    for (uint32_t i = 0; i < field_count; i++) {
        put_name(self, fields[i].name);
        switch (fields[i].type) {
        case TM_LOG_INTEGER:
            tm_buffer_append_format(&self->line, "%" PRId64, fields[i].integer);
            break;
        case TM_LOG_NUMBER:
            tm_buffer_append_json_number(&self->line, fields[i].number);
            break;
        case TM_LOG_TEXT:
        default:
            put_text(self, fields[i].text);
            break;
        }
    }
    put_end(self);
    if (self->line.overflowed) {
        put_head(self, time, level, event);
        put_name(self, "message");
        put_text(self, TM_SLICE_LITERAL("the fields of this event are too long for a line"));
        put_end(self);
    }
    if (!self->line.overflowed) {
        /* a log that cannot be written has nobody to tell */
        (void)fwrite(self->line.data, 1, self->line.length, self->stream);
        (void)fflush(self->stream);
    }
    pthread_mutex_unlock(&self->mutex);
}

tm_status tm_system_log_init(FILE *stream, tm_log_format format, tm_log_level least, tm_clock clock, tm_log *ret_log,
                             tm_error *error)
{
    system_log *self = calloc(1, sizeof(*self));
    *ret_log = (tm_log){0};
    if (self == NULL || pthread_mutex_init(&self->mutex, NULL) != 0) {
        free(self);
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    self->stream = stream;
    self->format = format;
    self->least = least;
    self->clock = clock;
    tm_buffer_init(&self->line, TM_LOG_LINE_MAX);
    *ret_log = (tm_log){.context = self, .write = log_write};
    return TM_OK;
}

void tm_system_log_done(tm_log *log)
{
    system_log *self = log->context;
    if (self != NULL) {
        tm_buffer_done(&self->line);
        pthread_mutex_destroy(&self->mutex);
        free(self);
    }
    *log = (tm_log){0};
}
