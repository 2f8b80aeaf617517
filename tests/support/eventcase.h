/* One record asked of both readers at once, and what is expected of it: whatever one answers, the other must answer the
   same. Included by one test program at a time. */
#ifndef TESTS_SUPPORT_EVENTCASE_H
#define TESTS_SUPPORT_EVENTCASE_H

#include <criterion/criterion.h>

#include "support/eventreaders.h"

#define TEXT(literal) TM_SLICE_LITERAL(literal)
#define EXPECT_TEXT(slice, text) cr_expect(tm_slice_equal_text(slice, text), "%.*s", (int)(slice).length, (slice).data)

/* A whole native record but for its last brace. */
#define HEAD "{\"id\":\"e-1\",\"account\":\"acme\",\"event\":\"login\",\"at\":1714660641500"

static reader_pair pair;
static const tm_event *const event = &pair.events[0];
static tm_dead_reason reason;

static inline tm_status read_slice(tm_slice value, const tm_headers *headers, tm_slice key)
{
    tm_status status;
    const char *difference = readers_differ(&pair, value, headers, key, &status, &reason);
    cr_expect_null(difference, "%s\n%.*s", difference, (int)value.length, value.data);
    return status;
}

static inline tm_status read_text(const char *value)
{
    return read_slice(tm_slice_of(value), NULL, tm_slice_of("acme"));
}

static inline void expect_refused(const char *value, tm_dead_reason expected, const char *words)
{
    cr_expect_eq(read_text(value), TM_REJECT, "%s", value);
    cr_expect_eq(reason, expected, "%s: %s", value, tm_dead_reason_name(reason));
    cr_expect_str_eq(pair.details[0], words, "%s: %s", value, pair.details[0]);
}

#endif
