/* The two event readers give the same answer to generated, damaged and malicious records: events field for field,
   refusals reason for reason and word for word. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "support/eventreaders.h"

static uint64_t state;

static uint32_t next(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

#define PICK(list) (list)[next(sizeof(list) / sizeof((list)[0]))]

static const char *const keys[] = {"id",
                                   "account",
                                   "event",
                                   "at",
                                   "user",
                                   "source",
                                   "value",
                                   "properties",
                                   "extra",
                                   "a",
                                   "",
                                   "data",
                                   "type",
                                   "subject",
                                   "time",
                                   "specversion",
                                   "messageId",
                                   "userId",
                                   "groupId",
                                   "timestamp",
                                   "context",
                                   "revenue",
                                   "data_base64",
                                   "i\\u0064",
                                   "\\u0061t",
                                   "n\\u0000l",
                                   "\\ud800",
                                   "key:x",
                                   "k\\\"q",
                                   "zwölf",
                                   "\\u00e9",
                                   "é",
                                   "prop\\u0065rties",
                                   "type",
                                   "\\q",
                                   " id"};
static const char *const strings[] = {"",
                                      "e-1",
                                      "acme",
                                      "login",
                                      "2024-05-02T14:37:21.5+02:00",
                                      "2016-12-31T23:59:60Z",
                                      "1.0",
                                      "0.3",
                                      "track",
                                      "\\n\\t",
                                      "\\u0041",
                                      "\\ud83d\\ude00",
                                      "\\ud83d",
                                      "\\ude00\\ud83d",
                                      "\\u0000",
                                      "a\\u0000b",
                                      "\\x",
                                      "\\u12g4",
                                      "\\",
                                      "é",
                                      "日本",
                                      "\\u00E9\\/",
                                      "{}[],:",
                                      "2024-13-01T00:00:00Z",
                                      "\\ud83d\\n",
                                      "\\uD83D\\uDE0",
                                      "\\udbff\\udfff",
                                      "\x01",
                                      "tab\t"};
static const char *const numbers[] = {"0",
                                      "-0",
                                      "1",
                                      "12.5",
                                      "-3",
                                      "1e3",
                                      "1E+2",
                                      "1e-400",
                                      "1e400",
                                      "-1e999",
                                      "9000000000",
                                      "9.1e9",
                                      "-9e9",
                                      "01",
                                      "-",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1714660641500",
                                      "1.5e12",
                                      "253402300799999",
                                      "253402300800000",
                                      "-1",
                                      "0.0000005",
                                      "1.0000015",
                                      "0.1",
                                      "12345678901234567890",
                                      "1e400x",
                                      "-01e400",
                                      "0x10",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "1_0",
                                      "9007199254740993",
                                      "179769313486231580793728971405301e277",
                                      "2.2250738585072011e-308",
                                      "0.30000000000000004",
                                      "123456789012345",
                                      "1234567890123456",
                                      "5e-324",
                                      "1e+",
                                      "0e0",
                                      "-0.0",
                                      "00",
                                      "1e0001"};

typedef struct text {
    char bytes[1 << 16];
    size_t length;
} text;

static void put(text *t, const char *bytes)
{
    size_t length = strlen(bytes);
    if (t->length + length < sizeof t->bytes) {
        memcpy(t->bytes + t->length, bytes, length);
        t->length += length;
    }
}

static void put_blank(text *t)
{
    static const char *const blanks[] = {" ", "\n", "\t", "\r", "  \n "};
    if (next(12) == 0)
        put(t, PICK(blanks));
}

static void put_value(text *t, int depth);

static void put_string(text *t, const char *inside)
{
    put(t, "\"");
    put(t, inside);
    put(t, "\"");
}

static void put_object(text *t, int depth, int members)
{
    put(t, "{");
    for (int i = 0; i < members; i++) {
        if (i > 0)
            put(t, ",");
        put_blank(t);
        put_string(t, PICK(keys));
        put_blank(t);
        put(t, ":");
        put_blank(t);
        put_value(t, depth + 1);
        put_blank(t);
    }
    put(t, "}");
}

static void put_repeated(text *t, const char *bytes, uint32_t count)
{
    while (count-- > 0)
        put(t, bytes);
}

/* At and just beyond a limit: depth, length of a text. */
static void put_extreme(text *t, int depth)
{
    static const uint32_t lengths[] = {64, 65, 128, 129, 256, 257, 512, 513};
    if (next(2) == 0) {
        int levels = TM_JSON_DEPTH_MAX - depth + (int)next(3) - 1;
        put_repeated(t, "[", levels > 0 ? (uint32_t)levels : 0);
        put(t, "0");
        put_repeated(t, "]", levels > 0 ? (uint32_t)levels : 0);
    } else {
        uint32_t length = PICK(lengths);
        put(t, "\"");
        put_repeated(t, next(2) == 0 ? "x" : "\\u0041", length);
        put(t, "\"");
    }
}

static void put_value(text *t, int depth)
{
    if (next(60) == 0) {
        put_extreme(t, depth);
        return;
    }
    switch (next(depth > 18 ? 8 : 11)) {
    case 0:
        put(t, "null");
        break;
    case 1:
        put(t, "true");
        break;
    case 2:
        put(t, next(8) == 0 ? "truex" : "false");
        break;
    case 3:
    case 4:
        put(t, PICK(numbers));
        break;
    case 8:
        put(t, "[");
        for (int i = 0, n = (int)next(4); i < n; i++) {
            if (i > 0)
                put(t, ",");
            put_blank(t);
            put_value(t, depth + 1);
        }
        put_blank(t);
        put(t, "]");
        break;
    case 9:
    case 10:
        put_object(t, depth, (int)next(5));
        break;
    default:
        put_string(t, PICK(strings));
    }
}

/* A record that is mostly right: the fields of one form, some of them replaced, repeated or left out. */
static void put_record(text *t)
{
    static const char *const native[] = {"\"id\":\"e-1\"", "\"account\":\"acme\"", "\"event\":\"login\"",
                                         "\"at\":1714660641500"};
    static const char *const cloudevents[] = {"\"specversion\":\"1.0\"",
                                              "\"id\":\"e-1\"",
                                              "\"source\":\"/web\"",
                                              "\"type\":\"com.x.login\"",
                                              "\"subject\":\"acme\"",
                                              "\"time\":\"2024-05-02T14:37:21Z\"",
                                              "\"data\":{\"user\":\"u\",\"value\":1.5,\"properties\":{\"a\":1}}"};
    static const char *const segment[] = {"\"messageId\":\"m\"",
                                          "\"type\":\"track\"",
                                          "\"userId\":\"u\"",
                                          "\"event\":\"Order\"",
                                          "\"context\":{\"groupId\":\"acme\"}",
                                          "\"timestamp\":\"2024-05-02T14:37:21Z\"",
                                          "\"properties\":{\"revenue\":3,\"a\":[1],\"b\":{\"c\":\"\\u00e9\"}}"};
    const char *const *fields = native;
    size_t count = 4;
    switch (next(3)) {
    case 0:
        fields = cloudevents;
        count = 7;
        break;
    case 1:
        fields = segment;
        count = 7;
        break;
    default:
        break;
    }
    put_blank(t);
    put(t, "{");
    bool first = true;
    for (size_t i = 0; i < count + next(4); i++) {
        if (!first)
            put(t, ",");
        first = false;
        put_blank(t);
        if (i < count && next(40) != 0) {
            put(t, fields[i]);
        } else if (next(20) == 0) {
            static const uint32_t counts[] = {2, 63, 64, 65};
            uint32_t members = PICK(counts);
            put(t, "\"properties\":{");
            for (uint32_t m = 0; m < members; m++) {
                char member[32];
                snprintf(member, sizeof member, "%s\"p%u\":%u", m > 0 ? "," : "", next(200) == 0 ? 1 : m, m);
                put(t, member);
            }
            put(t, "}");
        } else if (next(2) == 0) {
            put(t, "\"properties\":");
            put_object(t, 2, (int)next(7));
        } else {
            put_string(t, PICK(keys));
            put(t, ":");
            put_value(t, 2);
        }
    }
    put(t, "}");
    put_blank(t);
}

static void damage(text *t)
{
    static const char *const pieces[] = {"\"",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\\",
                                         "\\u",
                                         "\xff",
                                         "\xc3",
                                         "\xed\xa0\x80",
                                         "\xf4\x90\x80\x80",
                                         "\x1f",
                                         "0",
                                         "e",
                                         "-",
                                         " ",
                                         "{}",
                                         "\\\"",
                                         "\\ud800",
                                         "1e999",
                                         "" /* a NUL */};
    for (uint32_t n = next(3); n > 0 && t->length > 0; n--) {
        size_t at = next((uint32_t)t->length);
        const char *piece = PICK(pieces);
        size_t length = piece[0] != '\0' ? strlen(piece) : 1;
        switch (next(4)) {
        case 0: /* replace */
            if (at + length <= t->length)
                memcpy(t->bytes + at, piece, length);
            break;
        case 1: /* insert */
            memmove(t->bytes + at + length, t->bytes + at, t->length - at);
            memcpy(t->bytes + at, piece, length);
            t->length += length;
            break;
        case 2: /* cut out */
            length = 1 + next(4);
            if (at + length < t->length) {
                memmove(t->bytes + at, t->bytes + at + length, t->length - at - length);
                t->length -= length;
            }
            break;
        default: /* cut off, or add at the end */
            if (next(2) == 0) {
                t->length = at;
            } else {
                memcpy(t->bytes + t->length, piece, length);
                t->length += length;
            }
        }
    }
}

static tm_mapping *custom(void)
{
    static const tm_mapping_pair pairs[] = {
        {TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("id"), {NULL, 0}},
        {TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("data.id"), {NULL, 0}},
        {TM_SLICE_LITERAL("account"), TM_SLICE_LITERAL("$key"), {NULL, 0}},
        {TM_SLICE_LITERAL("event"), TM_SLICE_LITERAL("type"), TM_SLICE_LITERAL("thing")},
        {TM_SLICE_LITERAL("at"), TM_SLICE_LITERAL("at"), {NULL, 0}},
        {TM_SLICE_LITERAL("at"), TM_SLICE_LITERAL("time"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties"), TM_SLICE_LITERAL("data.properties"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties"), TM_SLICE_LITERAL("properties"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties.a"), TM_SLICE_LITERAL("extra"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties.deep"), TM_SLICE_LITERAL("properties.a.a.a"), TM_SLICE_LITERAL("none")},
    };
    tm_mapping *mapping = NULL;
    size_t at;
    tm_error error;
    cr_assert_eq(tm_mapping_custom(pairs, sizeof pairs / sizeof pairs[0], &mapping, &at, &error), TM_OK, "%s",
                 error.what);
    return mapping;
}

Test(eventreader, both_readers_answer_alike)
{
    static const tm_header binary[] = {{TM_SLICE_LITERAL("ce_specversion"), TM_SLICE_LITERAL("1.0")},
                                       {TM_SLICE_LITERAL("ce_id"), TM_SLICE_LITERAL("e-1")},
                                       {TM_SLICE_LITERAL("ce_type"), TM_SLICE_LITERAL("login")},
                                       {TM_SLICE_LITERAL("ce_subject"), TM_SLICE_LITERAL("acme")},
                                       {TM_SLICE_LITERAL("ce_time"), TM_SLICE_LITERAL("2024-05-02T14:37:21Z")}};
    const tm_headers headers = {binary, 5};
    static reader_pair pairs[5];
    reader_pair_init(&pairs[0], tm_mapping_native(), TM_KEY_REFUSE);
    reader_pair_init(&pairs[1], tm_mapping_cloudevents(), TM_KEY_REFUSE);
    reader_pair_init(&pairs[2], tm_mapping_segment(), TM_KEY_IGNORE);
    reader_pair_init(&pairs[3], tm_mapping_auto(), TM_KEY_REFUSE);
    reader_pair_init(&pairs[4], custom(), TM_KEY_REFUSE);
    static text t;
    uint32_t seen[TM_DEAD_REASONS] = {0};
    const char *asked = getenv("TIDEMARK_PROPERTY_ROUNDS");
    uint32_t rounds = asked != NULL ? (uint32_t)strtoul(asked, NULL, 10) : 30000;
    for (uint32_t round = 0; round < rounds; round++) {
        state = 0x9E3779B97F4A7C15u ^ ((uint64_t)round * 0xD1B54A32D192ED03u + 1);
        t.length = 0;
        if (next(4) == 0)
            put_value(&t, 0);
        else
            put_record(&t);
        if (next(2) == 0)
            damage(&t);
        /* a copy of exactly its size, so that a sanitizer sees every step beyond it */
        char *exact = malloc(t.length + 1);
        memcpy(exact, t.bytes, t.length);
        exact[t.length] = '\0';
        char *record = realloc(exact, t.length > 0 ? t.length : 1);
        reader_pair *pair = &pairs[next(5)];
        tm_slice key = next(30) == 0 ? (tm_slice){NULL, 0} : tm_slice_of("acme");
        tm_status status;
        tm_dead_reason reason;
        const char *difference =
            readers_differ(pair, (tm_slice){record, t.length}, next(5) == 0 ? &headers : NULL, key, &status, &reason);
        cr_assert_null(difference, "round %u, %s: %s\n%.*s", round, pair->mapping->name, difference, (int)t.length,
                       t.bytes);
        cr_assert_neq(status, TM_FATAL);
        seen[reason]++;
        free(record);
    }
    /* The generator reaches what it is meant to reach; no_value, future, account_mismatch and internal_check are not of
     * JSON. */
    for (int i = 0; i < TM_DEAD_REASONS; i++) {
        if (getenv("TIDEMARK_PROPERTY_ROUNDS") != NULL)
            fprintf(stderr, "%8u %s\n", seen[i], tm_dead_reason_name((tm_dead_reason)i));
        if (i != TM_DEAD_NO_VALUE && i != TM_DEAD_FUTURE && i != TM_DEAD_INTERNAL_CHECK &&
            i != TM_DEAD_ACCOUNT_MISMATCH)
            cr_expect_gt(seen[i], 0, "%s never came up", tm_dead_reason_name((tm_dead_reason)i));
    }
    for (size_t i = 0; i < 5; i++)
        reader_pair_done(&pairs[i]);
}
