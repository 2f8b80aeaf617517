#include "tidemark/pipeline/meta.h"

#include <criterion/criterion.h>
#include <string.h>

static tm_buffer bytes;

static void set_up(void)
{
    tm_buffer_init(&bytes, 1 << 20);
}

static void tear_down(void)
{
    tm_buffer_done(&bytes);
}

TestSuite(meta, .init = set_up, .fini = tear_down);

static tm_shard_meta sample(void)
{
    tm_shard_meta meta = {.time = INT64_C(1710028800123),
                          .judged = true,
                          .partitions = 4096,
                          .rules_version = 7,
                          .pack_hash = UINT64_MAX,
                          .configuration_hash = 3,
                          .counting_start = TM_TIME_NONE,
                          .marks = {{41, INT64_C(1710028800000), 5}, {-1, TM_TIME_NONE, 0}},
                          .passed = {43, -1},
                          .evaluate_every = 60000,
                          .max_skew = -1,
                          .dedup_window = 3600000,
                          .dedup_entries = 1000,
                          .reading_hash = 77,
                          .claim = INT64_MAX,
                          .published = 20,
                          .published_claim = 21,
                          .fingerprints_from = 12,
                          .counting_count = TM_METRICS_MAX};
    for (uint32_t i = 0; i < TM_METRICS_MAX; i++)
        meta.counting[i] = (tm_counting){UINT64_C(0x9e3779b97f4a7c15) * i, i % 2 ? (tm_time)i : TM_TIME_NONE,
                                         (int32_t)i, 2 * (int32_t)i};
    return meta;
}

Test(meta, gives_back_what_it_was_given)
{
    static tm_shard_meta in, out;
    tm_error error;
    in = sample();
    tm_meta_encode(&in, &bytes);
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &out, &error), TM_OK, "%s", error.what);
    cr_assert(out.time == in.time && out.judged && out.partitions == 4096 && out.rules_version == 7 &&
              out.pack_hash == in.pack_hash && out.configuration_hash == 3 && out.counting_start == TM_TIME_NONE &&
              out.evaluate_every == 60000 && out.max_skew == -1 && out.dedup_window == 3600000 &&
              out.dedup_entries == 1000 && out.reading_hash == 77 && out.claim == INT64_MAX && out.published == 20 &&
              out.published_claim == 21 && out.fingerprints_from == 12 && out.counting_count == TM_METRICS_MAX);
    for (int i = 0; i < TM_INPUTS; i++)
        cr_assert(out.marks[i].offset == in.marks[i].offset && out.marks[i].timestamp == in.marks[i].timestamp &&
                  out.marks[i].key_hash == in.marks[i].key_hash && out.passed[i] == in.passed[i]);
    for (uint32_t i = 0; i < TM_METRICS_MAX; i++)
        cr_assert(out.counting[i].identity == in.counting[i].identity &&
                  out.counting[i].start == in.counting[i].start &&
                  out.counting[i].reach_days == in.counting[i].reach_days &&
                  out.counting[i].reach_hours == in.counting[i].reach_hours);
}

Test(meta, every_damaged_byte_and_every_cut_is_refused)
{
    static tm_shard_meta in, out;
    tm_error error;
    in = sample();
    in.counting_count = 3;
    tm_meta_encode(&in, &bytes);
    for (size_t i = 0; i < bytes.length; i++) {
        cr_assert_eq(tm_meta_decode((tm_slice){bytes.data, i}, &out, &error), TM_REJECT, "cut at %zu", i);
        cr_assert(error.what[0] && error.hint[0]);
        bytes.data[i] ^= 0x10;
        cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &out, &error), TM_REJECT, "byte %zu", i);
        bytes.data[i] ^= 0x10;
    }
    tm_buffer_put_u8(&bytes, 0);
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &out, &error), TM_REJECT, "a byte too many");
}

Test(meta, a_later_form_says_which)
{
    static tm_shard_meta out;
    tm_error error;
    cr_assert_eq(tm_meta_decode(TM_SLICE_LITERAL("\5rest"), &out, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "form 4"));
    cr_assert_not_null(strstr(error.hint, "version"));
}

typedef struct seen {
    int count, stop_at;
    tm_time last;
} seen;

static tm_status see(void *context, tm_fingerprint fingerprint, tm_time at)
{
    seen *s = context;
    (void)fingerprint;
    s->last = at;
    return ++s->count == s->stop_at ? TM_FATAL : TM_OK;
}

Test(meta, fingerprints_one_by_one)
{
    seen s = {0};
    cr_assert_eq(tm_fingerprints_decode((tm_slice){"", 0}, see, &s), TM_OK);
    tm_buffer_put_signed(&bytes, 1000);
    tm_buffer_put_u64(&bytes, 1);
    tm_buffer_put_u64(&bytes, 2);
    size_t one = bytes.length;
    tm_buffer_put_signed(&bytes, 5);
    tm_buffer_put_u64(&bytes, 3);
    tm_buffer_put_u64(&bytes, 4);
    cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&bytes), see, &s), TM_OK);
    cr_assert(s.count == 2 && s.last == 1005);
    for (size_t cut = one + 1; cut < bytes.length; cut++)
        cr_assert_eq(tm_fingerprints_decode((tm_slice){bytes.data, cut}, see, &s), TM_REJECT);
    s = (seen){.stop_at = 1};
    cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&bytes), see, &s), TM_FATAL, "the visit's word ends it");
    tm_buffer_reset(&bytes);
    tm_buffer_put_signed(&bytes, -1);
    tm_buffer_put_u64(&bytes, 1);
    tm_buffer_put_u64(&bytes, 2);
    cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&bytes), see, &s), TM_REJECT, "no such time");
}

/* Bytes as tm_meta_encode would have made them, so that only what they say is at fault. */
static void sign(void)
{
    tm_buffer_put_u32(&bytes, tm_checksum((tm_slice){bytes.data, bytes.length}));
}

Test(meta, a_form_before_the_first_and_more_metrics_than_there_can_be_are_refused)
{
    static tm_shard_meta in, out;
    tm_error error;
    cr_assert_eq(tm_meta_decode((tm_slice){"\0rest", 5}, &out, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "form 0"), "%s", error.what);
    in = sample();
    in.counting_count = 0;
    tm_meta_encode(&in, &bytes);
    bytes.length -= 4 + 1; /* the checksum, and the number of metrics */
    tm_buffer_put_varint(&bytes, TM_METRICS_MAX + 1);
    sign();
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &out, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, "damaged"), "%s", error.what);
    cr_assert_eq(out.counting_count, 0, "nothing was read beyond the room for it");
}

Test(meta, the_form_before_says_nothing_of_what_was_passed)
{
    static tm_shard_meta in, out;
    tm_error error;
    in = sample();
    in.counting_count = 0;
    in.passed[0] = in.passed[1] = 0; /* a byte each */
    tm_meta_encode(&in, &bytes);
    bytes.length -= 4 + 1 + 2; /* the checksum, the number of metrics, and those two */
    bytes.data[0] = 3;
    tm_buffer_put_varint(&bytes, 0);
    sign();
    cr_assert_eq(tm_meta_decode(tm_buffer_slice(&bytes), &out, &error), TM_OK, "%s", error.what);
    cr_assert(out.passed[0] == -1 && out.passed[1] == -1 && out.published_claim == 21);
}

Test(meta, what_does_not_fit_is_not_signed)
{
    static tm_shard_meta in;
    tm_buffer small;
    in = sample();
    tm_buffer_init(&small, 16);
    tm_meta_encode(&in, &small);
    cr_assert(small.overflowed);
    tm_buffer_done(&small);
}

/* One fingerprint so many ms after the one before. */
static void step(int64_t ms)
{
    tm_buffer_put_signed(&bytes, ms);
    tm_buffer_put_u64(&bytes, 1);
    tm_buffer_put_u64(&bytes, 2);
}

Test(meta, fingerprints_of_no_possible_time_are_refused)
{
    static const int64_t steps[][2] = {{INT64_MIN, 0},       {INT64_MAX, 0},   {-TM_TIME_MAX - 1, 0},
                                       {TM_TIME_MAX + 1, 0}, {TM_TIME_MAX, 1}, {5, -6}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        seen s = {0};
        tm_buffer_reset(&bytes);
        step(steps[i][0]);
        step(steps[i][1]);
        cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&bytes), see, &s), TM_REJECT, "%zu", i);
        cr_assert_leq(s.count, 1);
    }
    seen s = {0};
    tm_buffer_reset(&bytes);
    step(TM_TIME_MAX);
    step(-TM_TIME_MAX);
    cr_assert_eq(tm_fingerprints_decode(tm_buffer_slice(&bytes), see, &s), TM_OK);
    cr_assert(s.count == 2 && s.last == 0);
}
