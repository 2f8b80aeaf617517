#include "tidemark/pipeline/outbox.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_outbox outbox;

static void set_up(void)
{
    tm_outbox_init(&outbox, 1 << 20);
}

static void tear_down(void)
{
    tm_outbox_done(&outbox);
}

TestSuite(outbox, .init = set_up, .fini = tear_down);

static void add(int64_t commit, const char *key)
{
    tm_output output = {.topic = TM_TOPIC_EXPANSION, .partition = -1, .key = tm_slice_of(key), .timestamp = commit};
    cr_assert_eq(tm_outbox_add(&outbox, commit, &output), TM_OK);
}

Test(outbox, gives_back_what_it_was_given)
{
    tm_output output = {.topic = TM_TOPIC_JOURNAL,
                        .partition = 7,
                        .key = TM_SLICE_LITERAL("key"),
                        .value = TM_SLICE_LITERAL("value\0with a nul"),
                        .timestamp = INT64_C(-5),
                        .headers = {{"tidemark-kind", TM_SLICE_LITERAL("churn_risk")},
                                    {"content-type", TM_SLICE_LITERAL("")},
                                    {"tidemark-severity", {NULL, 0}}},
                        .header_count = 3};
    cr_assert_eq(tm_outbox_add(&outbox, 3, &output), TM_OK);
    tm_output tombstone = {.topic = TM_TOPIC_HEALTH, .partition = -1, .key = TM_SLICE_LITERAL("k"), .timestamp = 1};
    cr_assert_eq(tm_outbox_add(&outbox, 3, &tombstone), TM_OK);
    tm_output read;
    cr_assert_eq(tm_outbox_read(&outbox, 0, &read), TM_OK);
    cr_assert(read.topic == TM_TOPIC_JOURNAL && read.partition == 7 && read.timestamp == -5 && read.header_count == 3);
    cr_assert(tm_slice_equal(read.key, output.key) && tm_slice_equal(read.value, output.value));
    cr_assert_str_eq(read.headers[1].name, "content-type");
    cr_assert(read.headers[1].value.data && read.headers[1].value.length == 0);
    cr_assert_null(read.headers[2].value.data);
    cr_assert_eq(tm_outbox_read(&outbox, 1, &read), TM_OK);
    cr_assert_null(read.value.data, "a tombstone stays one");
    cr_assert_eq(read.partition, -1);
}

Test(outbox, forgets_up_to_a_commit)
{
    tm_output read;
    add(1, "a");
    add(1, "b");
    add(2, "c");
    add(4, "d");
    tm_outbox_forget(&outbox, 0);
    cr_assert_eq(outbox.count, 4);
    tm_outbox_forget(&outbox, 1);
    cr_assert_eq(outbox.count, 2);
    cr_assert_eq(tm_outbox_read(&outbox, 0, &read), TM_OK);
    cr_assert(tm_slice_equal_text(read.key, "c"));
    add(5, "e");
    tm_outbox_forget(&outbox, 3);
    cr_assert_eq(outbox.count, 2);
    cr_assert_eq(tm_outbox_read(&outbox, 1, &read), TM_OK);
    cr_assert(tm_slice_equal_text(read.key, "e"));
    tm_outbox_forget(&outbox, 9);
    cr_assert(outbox.count == 0 && outbox.bytes.length == 0);
}

Test(outbox, what_the_store_kept_is_read_or_refused)
{
    add(1, "a");
    tm_slice bytes = tm_outbox_bytes(&outbox, 0);
    char copy[64];
    tm_output read;
    memcpy(copy, bytes.data, bytes.length);
    cr_assert_eq(tm_outbox_add_bytes(&outbox, 2, (tm_slice){copy, bytes.length}), TM_OK);
    cr_assert_eq(tm_outbox_read(&outbox, 1, &read), TM_OK);
    cr_assert(tm_slice_equal_text(read.key, "a"));
    for (size_t cut = 0; cut < bytes.length; cut++) {
        cr_assert_eq(tm_outbox_add_bytes(&outbox, 3, (tm_slice){copy, cut}), TM_OK);
        cr_assert_eq(tm_outbox_read(&outbox, outbox.count - 1, &read), TM_REJECT, "cut at %zu", cut);
    }
    copy[0] = TM_TOPICS;
    cr_assert_eq(tm_outbox_add_bytes(&outbox, 3, (tm_slice){copy, bytes.length}), TM_OK);
    cr_assert_eq(tm_outbox_read(&outbox, outbox.count - 1, &read), TM_REJECT);
}

Test(outbox, a_header_that_nobody_knows_is_refused_when_read)
{
    tm_output output = {
        .key = TM_SLICE_LITERAL("k"), .headers = {{"x-other", TM_SLICE_LITERAL("1")}}, .header_count = 1};
    tm_output read;
    cr_assert_eq(tm_outbox_add(&outbox, 1, &output), TM_OK);
    cr_assert_eq(tm_outbox_read(&outbox, 0, &read), TM_REJECT);
}

Test(outbox, its_maximum_is_told)
{
    tm_outbox small;
    tm_outbox_init(&small, 64);
    tm_output output = {.key = TM_SLICE_LITERAL("key"), .value = TM_SLICE_LITERAL("0123456789")};
    tm_status status = TM_OK;
    int added = 0;
    while (status == TM_OK && added < 100) {
        status = tm_outbox_add(&small, 1, &output);
        added++;
    }
    cr_assert_eq(status, TM_FATAL);
    cr_assert_lt(added, 10);
    tm_outbox_done(&small);
}

Test(outbox, an_empty_entry_is_refused_when_read)
{
    tm_output read;
    cr_assert_eq(tm_outbox_add_bytes(&outbox, 1, TM_SLICE_LITERAL("")), TM_OK);
    cr_assert_eq(tm_outbox_read(&outbox, 0, &read), TM_REJECT);
    tm_outbox_forget(&outbox, 1);
    cr_assert_eq(outbox.count, 0);
}

static tm_status read_of(const tm_buffer *bytes)
{
    tm_output read;
    cr_assert_eq(tm_outbox_add_bytes(&outbox, 9, tm_buffer_slice(bytes)), TM_OK);
    return tm_outbox_read(&outbox, outbox.count - 1, &read);
}

/* An entry's bytes up to its headers. */
static void begin_entry(tm_buffer *bytes, uint8_t topic, int64_t partition, uint8_t headers)
{
    tm_buffer_reset(bytes);
    tm_buffer_put_u8(bytes, topic);
    tm_buffer_put_signed(bytes, partition);
    tm_buffer_put_signed(bytes, 0);
    tm_buffer_put_slice(bytes, TM_SLICE_LITERAL("k"));
    tm_buffer_put_slice(bytes, TM_SLICE_LITERAL("v"));
    tm_buffer_put_u8(bytes, headers);
}

Test(outbox, numbers_that_cannot_be_are_refused_when_read)
{
    tm_buffer bytes;
    tm_buffer_init(&bytes, 1 << 10);
    begin_entry(&bytes, TM_TOPIC_JOURNAL, INT32_MAX, 0);
    cr_assert_eq(read_of(&bytes), TM_OK);
    begin_entry(&bytes, TM_TOPICS, 0, 0);
    cr_assert_eq(read_of(&bytes), TM_REJECT, "no such topic");
    begin_entry(&bytes, TM_TOPIC_JOURNAL, -2, 0);
    cr_assert_eq(read_of(&bytes), TM_REJECT, "no such partition");
    begin_entry(&bytes, TM_TOPIC_JOURNAL, INT64_C(1) << 31, 0);
    cr_assert_eq(read_of(&bytes), TM_REJECT);
    begin_entry(&bytes, TM_TOPIC_JOURNAL, 0, 9);
    cr_assert_eq(read_of(&bytes), TM_REJECT, "more headers than an output has room for");
    begin_entry(&bytes, TM_TOPIC_JOURNAL, 0, 1);
    tm_buffer_put_u8(&bytes, 200);
    tm_buffer_put_slice(&bytes, TM_SLICE_LITERAL(""));
    cr_assert_eq(read_of(&bytes), TM_REJECT, "no such header");
    begin_entry(&bytes, TM_TOPIC_JOURNAL, 0, 1);
    tm_buffer_put_u8(&bytes, 0);
    cr_assert_eq(read_of(&bytes), TM_REJECT, "cut before its value");
    begin_entry(&bytes, TM_TOPIC_JOURNAL, 0, 0);
    tm_buffer_put_u8(&bytes, 0);
    cr_assert_eq(read_of(&bytes), TM_REJECT, "a byte too many");
    tm_buffer_done(&bytes);
}
