#include "tidemark/base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *tm_status_name(tm_status status)
{
    switch (status) {
    case TM_OK:
        return "ok";
    case TM_RETRY:
        return "retry";
    case TM_REJECT:
        return "reject";
    case TM_FATAL:
        return "fatal";
    case TM_BROKEN:
        return "broken";
    }
    return "fatal"; /* a value out of the enumeration is itself a broken invariant */
}

void tm_error_clear(tm_error *error)
{
    if (error == NULL) {
        return;
    }
    error->what[0] = '\0';
    error->where[0] = '\0';
    error->hint[0] = '\0';
}

tm_status tm_fail(tm_error *error, tm_status status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        tm_error_clear(error);
        va_start(arguments, format);
        (void)vsnprintf(error->what, sizeof(error->what), format, arguments);
        va_end(arguments);
    }
    return status;
}

void tm_error_where(tm_error *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->where, sizeof(error->where), format, arguments);
        va_end(arguments);
    }
}

void tm_error_hint(tm_error *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->hint, sizeof(error->hint), format, arguments);
        va_end(arguments);
    }
}

void tm_error_text(const tm_error *error, char *text, size_t size)
{
    if (size == 0) {
        return;
    }
    if (error == NULL) {
        text[0] = '\0';
        return;
    }
    (void)snprintf(text, size, "%s%s%s%s%s%s", error->where, error->where[0] != '\0' ? ": " : "", error->what,
                   error->hint[0] != '\0' ? " (" : "", error->hint, error->hint[0] != '\0' ? ")" : "");
}
