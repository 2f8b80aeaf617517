/* Port: what happened, as an event name and fields. An adapter writes it as key=value or JSON lines. No field ever
   holds a secret or a raw user id. */
#ifndef TIDEMARK_PORTS_LOG_H
#define TIDEMARK_PORTS_LOG_H

#include <stdint.h>

#include "tidemark/base/bytes.h"

typedef enum tm_log_level { TM_LOG_DEBUG, TM_LOG_INFO, TM_LOG_WARNING, TM_LOG_ERROR } tm_log_level;

typedef struct tm_log_field {
    const char *name;
    enum { TM_LOG_TEXT, TM_LOG_INTEGER, TM_LOG_NUMBER } type;
    tm_slice text;
    int64_t integer;
    double number;
} tm_log_field;

typedef struct tm_log {
    void *context;
    /* Thread-safe. `event` is a short fixed name ("commit", "shard_claimed"), `message` a sentence for people. */
    void (*write)(void *context, tm_log_level level, const char *event, const char *message, const tm_log_field *fields,
                  uint32_t field_count);
} tm_log;

static inline tm_log_field tm_log_text(const char *name, const char *text)
{
    return (tm_log_field){.name = name, .type = TM_LOG_TEXT, .text = tm_slice_of(text)};
}
static inline tm_log_field tm_log_slice(const char *name, tm_slice text)
{
    return (tm_log_field){.name = name, .type = TM_LOG_TEXT, .text = text};
}
static inline tm_log_field tm_log_integer(const char *name, int64_t integer)
{
    return (tm_log_field){.name = name, .type = TM_LOG_INTEGER, .integer = integer};
}
static inline tm_log_field tm_log_number(const char *name, double number)
{
    return (tm_log_field){.name = name, .type = TM_LOG_NUMBER, .number = number};
}

#endif
