#include "tidemark/codec/deadletter.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/limits.h"

#define S(text) TM_SLICE_LITERAL(text)

static tm_dead_letter sample(void)
{
    return (tm_dead_letter){.reason = TM_DEAD_MISSING_FIELD,
                            .detail = S("account: not there"),
                            .topic = S("usage"),
                            .partition = 3,
                            .offset = 81234,
                            .timestamp = INT64_C(1714660641500),
                            .key = S("acme"),
                            .value = S("{\"id\":\"e-1\",\"event\":\"login\",\"at\":1714660641500}")};
}

/* The dead letter as another library reads it; *ret_size its bytes. */
static json_t *encoded(const tm_dead_letter *letter, size_t maximum, size_t *ret_size)
{
    tm_buffer out;
    json_error_t error;
    tm_buffer_init(&out, SIZE_MAX);
    tm_dead_letter_encode(letter, maximum, &out);
    cr_assert(!out.overflowed);
    json_t *root = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(root, "%s in %.*s", error.text, (int)out.length, out.data);
    *ret_size = out.length;
    tm_buffer_done(&out);
    return root;
}

/* Written apart from the encoder: -1 for what is no digit of base64. */
static int digit(char c)
{
    const char *all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(all, c) : NULL;
    return at != NULL ? (int)(at - all) : -1;
}

static size_t decode(const char *text, unsigned char *ret_bytes)
{
    size_t length = 0;
    for (; *text != '\0'; text += 4) {
        int d[4] = {digit(text[0]), digit(text[1]), digit(text[2]), digit(text[3])};
        ret_bytes[length++] = (unsigned char)(d[0] << 2 | d[1] >> 4);
        if (d[2] >= 0)
            ret_bytes[length++] = (unsigned char)(d[1] << 4 | d[2] >> 2);
        if (d[3] >= 0)
            ret_bytes[length++] = (unsigned char)(d[2] << 6 | d[3]);
    }
    return length;
}

Test(deadletter, a_whole_one_to_the_byte)
{
    tm_dead_letter letter = sample();
    tm_buffer out;
    tm_buffer_init(&out, 1 << 16);
    tm_dead_letter_encode(&letter, 1 << 16, &out);
    cr_assert_str_eq(tm_buffer_text(&out),
                     "{\"reason\":\"missing_field\",\"detail\":\"account: not there\",\"topic\":\"usage\","
                     "\"partition\":3,\"offset\":81234,\"timestamp\":\"2024-05-02T14:37:21.500Z\",\"key\":\"acme\","
                     "\"value_base64\":\"eyJpZCI6ImUtMSIsImV2ZW50IjoibG9naW4iLCJhdCI6MTcxNDY2MDY0MTUwMH0=\","
                     "\"truncated\":false}");
    tm_buffer_done(&out);
}

Test(deadletter, what_is_absent_is_null)
{
    tm_dead_letter letter = sample();
    size_t size;
    letter.key = letter.value = letter.detail = (tm_slice){NULL, 0};
    letter.timestamp = TM_TIME_NONE;
    json_t *root = encoded(&letter, 1 << 16, &size);
    cr_assert(json_is_null(json_object_get(root, "key")));
    cr_assert(json_is_null(json_object_get(root, "value_base64")));
    cr_assert(json_is_null(json_object_get(root, "timestamp")));
    cr_assert(json_is_false(json_object_get(root, "truncated")));
    cr_assert_null(json_object_get(root, "key_base64"));
    cr_assert_str_eq(json_string_value(json_object_get(root, "detail")), "");
    json_decref(root);
    letter.key = letter.value = S("");
    root = encoded(&letter, 1 << 16, &size);
    cr_assert_str_eq(json_string_value(json_object_get(root, "key")), "");
    cr_assert_str_eq(json_string_value(json_object_get(root, "value_base64")), "");
    json_decref(root);
}

Test(deadletter, a_key_that_is_no_text_stands_in_base64)
{
    tm_dead_letter letter = sample();
    size_t size;
    letter.key = S("\xff\xfe\x00");
    json_t *root = encoded(&letter, 1 << 16, &size);
    cr_assert(json_is_null(json_object_get(root, "key")));
    cr_assert_str_eq(json_string_value(json_object_get(root, "key_base64")), "//4A");
    json_decref(root);
}

/* At every maximum: fits, holds a prefix of the value, and could not have held three bytes more. */
Test(deadletter, the_value_is_cut_to_what_fits)
{
    tm_dead_letter letter = sample();
    static char value[9000];
    static unsigned char back[9000];
    size_t size;
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * 31 + i / 256);
    letter.value = (tm_slice){value, sizeof(value)};
    for (size_t maximum = TM_DEAD_LETTER_MIN; maximum < 13000; maximum += 7) {
        json_t *root = encoded(&letter, maximum, &size);
        size_t length = decode(json_string_value(json_object_get(root, "value_base64")), back);
        bool cut = json_is_true(json_object_get(root, "truncated"));
        cr_assert(size <= maximum);
        cr_assert_eq(cut, length < sizeof(value));
        cr_assert(!cut || size + 4 + 1 > maximum, "%zu of %zu", size, maximum); /* 1: "true" is shorter than "false" */
        cr_assert_arr_eq(back, value, length);
        json_decref(root);
    }
}

Test(deadletter, a_key_beyond_a_quarter_is_cut_at_a_characters_end)
{
    static const char *const parts[] = {"a", "ü", "漢", "😀", "\"", "\x01", "\t", "\xff"};
    static char key[TM_DEAD_LETTER_MIN * 2];
    static unsigned char back[TM_DEAD_LETTER_MIN * 2];
    tm_dead_letter letter = sample();
    size_t size;
    for (size_t p = 0; p < sizeof(parts) / sizeof(*parts); p++) {
        size_t length = strlen(parts[p]);
        size_t whole = sizeof(key) / length;
        for (size_t i = 0; i < whole; i++)
            memcpy(key + i * length, parts[p], length);
        letter.key = (tm_slice){key, whole * length};
        json_t *root = encoded(&letter, 0, &size); /* counts as the least */
        json_t *text = json_object_get(root, "key");
        cr_assert(size <= TM_DEAD_LETTER_MIN);
        cr_assert(json_is_true(json_object_get(root, "truncated")));
        if (json_is_null(text)) {
            cr_assert_eq(decode(json_string_value(json_object_get(root, "key_base64")), back),
                         TM_DEAD_LETTER_MIN / 4 / 4 * 3);
        } else {
            cr_assert_eq(json_string_length(text) % length, 0);
            cr_assert_gt(json_string_length(text), TM_DEAD_LETTER_MIN / 4 / 6 - 4);
            cr_assert_eq(memcmp(json_string_value(text), key, json_string_length(text)), 0);
        }
        json_decref(root);
    }
}

Test(deadletter, the_worst_fits_the_least_room)
{
    static char worst[1 << 16];
    static char topic[250];
    tm_dead_letter letter = sample();
    size_t size;
    memset(worst, 1, sizeof(worst));
    memset(topic, 't', sizeof(topic));
    letter.detail = letter.key = letter.value = (tm_slice){worst, sizeof(worst)};
    letter.topic = (tm_slice){topic, 249}; /* Kafka's limit */
    letter.partition = INT32_MAX;
    letter.offset = INT64_MAX;
    json_t *root = encoded(&letter, TM_DEAD_LETTER_MIN, &size);
    cr_assert(size <= TM_DEAD_LETTER_MIN);
    cr_assert_eq(json_string_length(json_object_get(root, "detail")), TM_DEAD_DETAIL);
    json_decref(root);
}

Test(deadletter, a_long_detail_is_cut_at_a_characters_end)
{
    char detail[TM_DEAD_DETAIL + 2];
    tm_dead_letter letter = sample();
    size_t size;
    memset(detail, 'd', sizeof(detail));
    memcpy(detail + TM_DEAD_DETAIL - 1, "漢", 3);
    letter.detail = (tm_slice){detail, sizeof(detail)};
    json_t *root = encoded(&letter, 1 << 16, &size);
    cr_assert_eq(json_string_length(json_object_get(root, "detail")), TM_DEAD_DETAIL - 1);
    json_decref(root);
}

Test(deadletter, every_reason_has_its_word)
{
    tm_dead_letter letter = sample();
    size_t size;
    for (int reason = TM_DEAD_NONE + 1; reason < TM_DEAD_REASONS; reason++) {
        letter.reason = (tm_dead_reason)reason;
        json_t *root = encoded(&letter, 1 << 16, &size);
        tm_dead_reason back = TM_DEAD_NONE;
        cr_assert(tm_dead_reason_find(tm_slice_of(json_string_value(json_object_get(root, "reason"))), &back));
        cr_assert_eq((int)back, reason);
        json_decref(root);
    }
}

Test(deadletter, a_letter_is_cut_again_where_its_topic_takes_less)
{
    static char value[30000];
    tm_dead_letter letter = sample();
    tm_buffer whole, cut;
    memset(value, 'v', sizeof(value));
    letter.value = (tm_slice){value, sizeof(value)};
    letter.key = TM_SLICE_LITERAL("a,\"value_base64\":\"key"); /* what looks like the member is escaped in a string */
    tm_buffer_init(&whole, 1 << 20);
    tm_buffer_init(&cut, 1 << 20);
    tm_dead_letter_encode(&letter, 1 << 20, &whole);
    for (size_t maximum = whole.length; maximum > 0; maximum = maximum * 3 / 4) {
        tm_buffer_reset(&cut);
        cr_assert(tm_dead_letter_cut(tm_buffer_slice(&whole), maximum, &cut));
        json_t *root = json_loadb(cut.data, cut.length, 0, NULL);
        cr_assert_not_null(root);
        size_t left = json_string_length(json_object_get(root, "value_base64"));
        cr_assert(cut.length <= maximum || left == 0, "%zu of %zu", cut.length, maximum);
        cr_assert_eq(left % 4, 0);
        cr_assert_str_eq(json_string_value(json_object_get(root, "key")), "a,\"value_base64\":\"key");
        cr_assert(json_is_true(json_object_get(root, "truncated")));
        json_decref(root);
    }
    /* the shortest there is cannot be cut, nor one without a value, nor what is no letter */
    tm_buffer again;
    tm_buffer_init(&again, 1 << 20);
    cr_assert_not(tm_dead_letter_cut(tm_buffer_slice(&cut), 10, &again));
    cr_assert_not(tm_dead_letter_cut(TM_SLICE_LITERAL("{}"), 10, &again));
    cr_assert_not(tm_dead_letter_cut((tm_slice){NULL, 0}, 10, &again));
    letter.value = (tm_slice){NULL, 0};
    tm_buffer_reset(&whole);
    tm_dead_letter_encode(&letter, 1 << 20, &whole);
    cr_assert_not(tm_dead_letter_cut(tm_buffer_slice(&whole), 10, &again));
    cr_assert_eq(again.length, 0);
    tm_buffer_done(&again);
    tm_buffer_done(&cut);
    tm_buffer_done(&whole);
}
