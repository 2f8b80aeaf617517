#include "tidemark/base/bytes.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(bytes, slices)
{
    tm_slice absent = tm_slice_of(NULL);
    tm_slice empty = TM_SLICE_LITERAL("");
    tm_slice abc = TM_SLICE_LITERAL("abc");
    cr_assert_null(absent.data);
    cr_assert_eq(tm_slice_of("four").length, 4);
    cr_assert(tm_slice_equal(absent, absent));
    cr_assert_not(tm_slice_equal(absent, empty));
    cr_assert_not(tm_slice_equal(abc, TM_SLICE_LITERAL("abd")));
    cr_assert_not(tm_slice_equal(abc, TM_SLICE_LITERAL("ab")));
    cr_assert(tm_slice_equal_text(abc, "abc"));
    cr_assert_not(tm_slice_equal_text(abc, NULL));
    cr_assert_eq(tm_slice_compare(abc, abc), 0);
    cr_assert_lt(tm_slice_compare(abc, TM_SLICE_LITERAL("abd")), 0);
    cr_assert_lt(tm_slice_compare(TM_SLICE_LITERAL("ab"), abc), 0);
    cr_assert_gt(tm_slice_compare(abc, TM_SLICE_LITERAL("ab")), 0);
    cr_assert_gt(tm_slice_compare(TM_SLICE_LITERAL("\xff"), TM_SLICE_LITERAL("a")), 0);
    cr_assert_eq(tm_slice_compare(absent, empty), 0);
    cr_assert(tm_slice_has_prefix(abc, TM_SLICE_LITERAL("ab")));
    cr_assert(tm_slice_has_prefix(abc, empty));
    cr_assert_not(tm_slice_has_prefix(abc, TM_SLICE_LITERAL("b")));
    cr_assert_not(tm_slice_has_prefix(abc, TM_SLICE_LITERAL("abcd")));
}

Test(bytes, utf8_edges)
{
    static const char *const good[] = {"",
                                       "abcdefghij\xC3\xA4 ",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xC3(",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "abcdefghij\xFF",
                                      "\xF0\x90\x80",
                                      "abcdefgh\xC3"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(tm_utf8_valid(tm_slice_of(good[i])), "good %zu", i);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(tm_utf8_valid(tm_slice_of(bad[i])), "bad %zu", i);
    }
    cr_assert(tm_utf8_valid((tm_slice){NULL, 0}));
}

/* jansson checks UTF-8 by itself: random short texts of tricky bytes must be judged alike. */
Test(bytes, utf8_agrees_with_jansson)
{
    static const unsigned char tricky[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                                           0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        char text[12];
        size_t length = random_next(&state) % sizeof(text);
        for (size_t i = 0; i < length; i++) {
            text[i] = (char)tricky[random_next(&state) % sizeof(tricky)];
        }
        json_t *judge = json_stringn(text, length);
        cr_assert_eq(tm_utf8_valid((tm_slice){text, length}), judge != NULL);
        json_decref(judge);
    }
}

Test(bytes, buffer_grows_to_its_maximum_and_no_further)
{
    tm_buffer buffer;
    tm_buffer_init(&buffer, 100);
    cr_assert_str_eq(tm_buffer_text(&buffer), "");
    cr_assert_not_null(tm_buffer_slice(&buffer).data);
    for (int i = 0; i < 100; i++) {
        tm_buffer_append_char(&buffer, 'x');
    }
    cr_assert_not(buffer.overflowed);
    cr_assert_eq(strlen(tm_buffer_text(&buffer)), 100);
    cr_assert_leq(buffer.capacity, 101);
    tm_buffer_append(&buffer, "", 0);
    cr_assert_not(buffer.overflowed);
    tm_buffer_append_char(&buffer, 'y');
    cr_assert(buffer.overflowed);
    cr_assert_str_eq(tm_buffer_text(&buffer), "");
    cr_assert_null(tm_buffer_slice(&buffer).data);
    tm_buffer_append_format(&buffer, "%d", 1);
    cr_assert_eq(buffer.length, 100);
    tm_buffer_reset(&buffer);
    tm_buffer_append_text(&buffer, "again ");
    tm_buffer_append_slice(&buffer, TM_SLICE_LITERAL("here"));
    cr_assert_str_eq(tm_buffer_text(&buffer), "again here");
    tm_buffer_append(&buffer, "x", SIZE_MAX);
    cr_assert(buffer.overflowed);
    tm_buffer_done(&buffer);
    tm_buffer_append_text(&buffer, "after done");
    cr_assert(tm_slice_equal_text(tm_buffer_slice(&buffer), "after done"));
    tm_buffer_done(&buffer);
    tm_buffer_init(&buffer, 0);
    cr_assert_str_eq(tm_buffer_text(&buffer), "");
    tm_buffer_append_char(&buffer, 'x');
    cr_assert(buffer.overflowed);
    tm_buffer_done(&buffer);
}

Test(bytes, formats_long_and_short)
{
    tm_buffer buffer;
    char big[500];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    tm_buffer_init(&buffer, 1000);
    tm_buffer_append_format(&buffer, "%s-%d", "a", 7);
    cr_assert_str_eq(tm_buffer_text(&buffer), "a-7");
    tm_buffer_append_format(&buffer, "%s", big);
    cr_assert_eq(buffer.length, 3 + strlen(big));
    cr_assert_str_eq(tm_buffer_text(&buffer) + 3, big);
    tm_buffer_append_format(&buffer, "%s", big);
    cr_assert(buffer.overflowed);
    tm_buffer_done(&buffer);
}

Test(bytes, json_text_reads_back)
{
    tm_buffer buffer;
    char all[256];
    json_error_t error;
    tm_buffer_init(&buffer, 10000);
    for (int i = 0; i < 128; i++) {
        all[i] = (char)i;
    }
    memcpy(all + 128, "\xC3\xA4\xF0\x9F\x98\x80", 6);
    tm_buffer_append_json_string(&buffer, (tm_slice){all, 134});
    json_t *read = json_loadb(buffer.data, buffer.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(read, "%s", error.text);
    cr_assert_eq(json_string_length(read), 134);
    cr_assert_eq(memcmp(json_string_value(read), all, 134), 0);
    json_decref(read);
    tm_buffer_reset(&buffer);
    tm_buffer_append_json_string(&buffer, (tm_slice){NULL, 0});
    tm_buffer_append_json_string(&buffer, TM_SLICE_LITERAL(""));
    tm_buffer_append_json_text(&buffer, TM_SLICE_LITERAL("\b\f\n\r\t\"\\\x01\x1f/"));
    cr_assert_str_eq(tm_buffer_text(&buffer), "null\"\"\\b\\f\\n\\r\\t\\\"\\\\\\u0001\\u001f/");
    tm_buffer_done(&buffer);
}

/* One U+FFFD for the longest part that could have begun a sequence, as Python's errors="replace" writes it. */
Test(bytes, json_text_replaces_what_is_no_utf8)
{
    static const struct {
        const char *bytes;
        const char *text;
    } cases[] = {
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xE2\x82z", "\xEF\xBF\xBDz"},
        {"\xF0\x90\x80\xC3\xA4", "\xEF\xBF\xBD\xC3\xA4"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC3", "\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tm_buffer buffer;
        tm_buffer_init(&buffer, 100);
        tm_buffer_append_json_text(&buffer, tm_slice_of(cases[i].bytes));
        cr_assert_str_eq(tm_buffer_text(&buffer), cases[i].text, "case %zu", i);
        tm_buffer_done(&buffer);
    }
}

static const char *number_text(tm_buffer *buffer, double number)
{
    tm_buffer_reset(buffer);
    tm_buffer_append_json_number(buffer, number);
    return tm_buffer_text(buffer);
}

Test(bytes, json_numbers_known)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {3, "3"},
        {-3, "-3"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {0.05, "0.05"},
        {1.000001, "1.000001"},
        {0.000001, "0.000001"},
        {1e15, "1000000000000000"},
        {123456789012345, "123456789012345"},
        {1e16, "1e16"},
        {2e15, "2000000000000000"},
        {1e22, "1e22"},
        {1.5e300, "1.5e300"},
        {-1e-7, "-1e-7"},
        {1.25e-7, "1.25e-7"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {1.0 / 300000, "0.0000033333333333333333"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
        {NAN, "null"},
    };
    tm_buffer buffer;
    tm_buffer_init(&buffer, 100);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_str_eq(number_text(&buffer, cases[i].number), cases[i].text);
    }
    tm_buffer_done(&buffer);
}

/* Every text reads back as the same double, and no text with one digit less does. */
Test(bytes, json_numbers_read_back)
{
    tm_buffer buffer;
    uint64_t state = 0x9E3779B97F4A7C15u;
    tm_buffer_init(&buffer, 100);
    for (int round = 0; round < 100000; round++) {
        uint64_t bits = random_next(&state);
        double number;
        if (round % 3 == 0) {
            memcpy(&number, &bits, sizeof(number));
        } else if (round % 3 == 1) {
            number = (double)(int64_t)(bits % 18000000000000000u - 9000000000000000u) / 1e6;
        } else {
            number = (double)(bits >> 11) / 9007199254740992.0 * pow(10, (double)(bits % 12));
        }
        if (!isfinite(number)) {
            continue;
        }
        const char *text = number_text(&buffer, number);
        cr_assert_eq(strtod(text, NULL), number, "%s is not %.17g", text, number);
        int digits = 0;
        int trailing = 0;
        for (const char *at = text; *at != '\0' && *at != 'e'; at++) {
            if (*at >= '0' && *at <= '9' && (digits > 0 || *at != '0')) {
                digits++;
                trailing = *at == '0' ? trailing + 1 : 0;
            }
        }
        digits -= trailing;
        if (digits > 1) {
            char shorter[64];
            snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, number);
            cr_assert_neq(strtod(shorter, NULL), number, "%s could be %s", text, shorter);
        }
    }
    tm_buffer_done(&buffer);
}

Test(bytes, base64_rfc4648_vectors)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xff\xef\xbe", "/+++"}};
    tm_buffer buffer;
    tm_buffer_init(&buffer, 8);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        tm_buffer_reset(&buffer);
        tm_buffer_append_base64(&buffer, vectors[i][0], strlen(vectors[i][0]));
        cr_assert_str_eq(tm_buffer_text(&buffer), vectors[i][1]);
    }
    tm_buffer_reset(&buffer);
    tm_buffer_append_base64(&buffer, "foobarx", 7);
    cr_assert(buffer.overflowed);
    tm_buffer_done(&buffer);
}

Test(bytes, binary_round_trip)
{
    static const uint64_t values[] = {
        0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    tm_buffer buffer;
    tm_reader reader;
    tm_buffer_init(&buffer, 1000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        tm_buffer_put_u8(&buffer, (uint8_t)values[i]);
        tm_buffer_put_u32(&buffer, (uint32_t)values[i]);
        tm_buffer_put_u64(&buffer, values[i]);
        tm_buffer_put_varint(&buffer, values[i]);
        tm_buffer_put_signed(&buffer, (int64_t)values[i]);
    }
    tm_buffer_put_slice(&buffer, TM_SLICE_LITERAL("text"));
    tm_buffer_put_slice(&buffer, TM_SLICE_LITERAL(""));
    tm_buffer_put_slice(&buffer, (tm_slice){NULL, 0});
    tm_reader_init(&reader, tm_buffer_slice(&buffer));
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        cr_assert_eq(tm_reader_u8(&reader), (uint8_t)values[i]);
        cr_assert_eq(tm_reader_u32(&reader), (uint32_t)values[i]);
        cr_assert_eq(tm_reader_u64(&reader), values[i]);
        cr_assert_eq(tm_reader_varint(&reader), values[i]);
        cr_assert_eq(tm_reader_signed(&reader), (int64_t)values[i]);
    }
    cr_assert_not(tm_reader_at_end(&reader));
    cr_assert(tm_slice_equal_text(tm_reader_slice(&reader, 4), "text"));
    tm_slice empty = tm_reader_slice(&reader, 4);
    cr_assert(empty.data != NULL && empty.length == 0);
    cr_assert_null(tm_reader_slice(&reader, 4).data);
    cr_assert(tm_reader_at_end(&reader));
    cr_assert_eq(tm_reader_u8(&reader), 0);
    cr_assert(reader.failed);
    cr_assert_not(tm_reader_at_end(&reader));
    tm_buffer_done(&buffer);
}

Test(bytes, integers_lie_little_endian)
{
    tm_buffer buffer;
    tm_buffer_init(&buffer, 100);
    tm_buffer_put_u32(&buffer, 0x04030201);
    tm_buffer_put_varint(&buffer, 300);
    tm_buffer_put_signed(&buffer, -1);
    tm_buffer_put_signed(&buffer, INT64_MIN);
    cr_assert_eq(buffer.length, 4 + 2 + 1 + 10);
    cr_assert_eq(memcmp(buffer.data, "\x01\x02\x03\x04\xAC\x02\x01\xFF\xFF", 9), 0);
    tm_buffer_done(&buffer);
}

Test(bytes, reader_survives_any_bytes)
{
    tm_reader reader;
    tm_reader_init(&reader, (tm_slice){NULL, 0});
    cr_assert(tm_reader_at_end(&reader));
    cr_assert_not_null(tm_reader_bytes(&reader, 0).data);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02")); /* bit 64 */
    cr_assert_eq(tm_reader_varint(&reader), 0);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00")); /* eleven bytes */
    cr_assert_eq(tm_reader_varint(&reader), 0);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\x80\x80")); /* no end */
    cr_assert_eq(tm_reader_varint(&reader), 0);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\x06hello")); /* longer than allowed */
    cr_assert_null(tm_reader_slice(&reader, 4).data);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\x07hello")); /* longer than there is */
    cr_assert_null(tm_reader_slice(&reader, 100).data);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"));
    cr_assert_null(tm_reader_slice(&reader, SIZE_MAX).data);
    cr_assert(reader.failed);
    tm_reader_init(&reader, TM_SLICE_LITERAL("abc"));
    cr_assert_eq(tm_reader_u32(&reader), 0);
    cr_assert(reader.failed);
    cr_assert_null(tm_reader_bytes(&reader, 1).data); /* stays failed */
}

Test(bytes, integers_to_both_ends)
{
    static const int64_t numbers[] = {0, 7, -7, 10, 1714660680000, -1714660680000, INT64_MAX, INT64_MIN};
    tm_buffer buffer;
    tm_buffer_init(&buffer, 64);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%" PRId64, numbers[i]);
        tm_buffer_reset(&buffer);
        tm_buffer_append_integer(&buffer, numbers[i]);
        cr_assert_str_eq(tm_buffer_text(&buffer), text);
    }
    tm_buffer_done(&buffer);
}

/* Whether a freed block was overwritten cannot be asked: so the growing is watched, and what is left after it. */
Test(bytes, a_secret_buffer_grows_without_losing_anything)
{
    tm_buffer buffer;
    tm_buffer_init_secret(&buffer, 5000);
    for (int i = 0; i < 5000; i++) {
        tm_buffer_append_char(&buffer, (char)('a' + i % 26));
    }
    cr_assert_eq(buffer.length, 5000);
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(buffer.data[i], 'a' + i % 26);
    }
    tm_buffer_append_char(&buffer, 'x');
    cr_assert(buffer.overflowed);
    tm_buffer_done(&buffer);
    cr_assert(buffer.secret);
    tm_buffer_append_text(&buffer, "again");
    cr_assert_str_eq(tm_buffer_text(&buffer), "again");
    tm_buffer_done(&buffer);
}
