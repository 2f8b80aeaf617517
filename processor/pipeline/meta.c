#include "tidemark/pipeline/meta.h"

enum { META_FORM = 4, META_FORM_CLAIMS = 3, META_FORM_SEMANTICS = 2, META_FORM_FIRST = 1 };

void tm_meta_encode(const tm_shard_meta *meta, tm_buffer *out)
{
    size_t start = out->length;
    tm_buffer_put_u8(out, META_FORM);
    tm_buffer_put_signed(out, meta->time);
    tm_buffer_put_u8(out, meta->judged);
    tm_buffer_put_varint(out, meta->partitions);
    tm_buffer_put_signed(out, meta->rules_version);
    tm_buffer_put_u64(out, meta->pack_hash);
    tm_buffer_put_u64(out, meta->configuration_hash);
    tm_buffer_put_signed(out, meta->counting_start);
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_buffer_put_signed(out, meta->marks[i].offset);
        tm_buffer_put_signed(out, meta->marks[i].timestamp);
        tm_buffer_put_u64(out, meta->marks[i].key_hash);
    }
    tm_buffer_put_signed(out, meta->fingerprints_from);
    tm_buffer_put_signed(out, meta->evaluate_every);
    tm_buffer_put_signed(out, meta->max_skew);
    tm_buffer_put_signed(out, meta->dedup_window);
    tm_buffer_put_signed(out, meta->dedup_entries);
    tm_buffer_put_u64(out, meta->reading_hash);
    tm_buffer_put_signed(out, meta->claim);
    tm_buffer_put_signed(out, meta->published);
    tm_buffer_put_signed(out, meta->published_claim);
    for (int i = 0; i < TM_INPUTS; i++)
        tm_buffer_put_signed(out, meta->passed[i]);
    tm_buffer_put_varint(out, meta->counting_count);
    for (uint32_t i = 0; i < meta->counting_count; i++) {
        tm_buffer_put_u64(out, meta->counting[i].identity);
        tm_buffer_put_signed(out, meta->counting[i].start);
        tm_buffer_put_varint(out, (uint64_t)meta->counting[i].reach_days);
        tm_buffer_put_varint(out, (uint64_t)meta->counting[i].reach_hours);
    }
    if (!out->overflowed)
        tm_buffer_put_u32(out, tm_checksum((tm_slice){out->data + start, out->length - start}));
}

tm_status tm_meta_decode(tm_slice bytes, tm_shard_meta *ret_meta, tm_error *error)
{
    tm_reader in;
    tm_reader_init(&in, bytes);
    *ret_meta = (tm_shard_meta){0};
    uint8_t form = tm_reader_u8(&in);
    if (in.failed || form < META_FORM_FIRST || form > META_FORM) {
        tm_fail(error, TM_REJECT, "the shard's meta record has form %d, this program knows form %d", form, META_FORM);
        tm_error_hint(error, "it was written by another version of tidemark: run that one");
        return TM_REJECT;
    }
    ret_meta->time = tm_reader_signed(&in);
    ret_meta->judged = tm_reader_u8(&in) != 0;
    ret_meta->partitions = (uint32_t)tm_reader_varint(&in);
    ret_meta->rules_version = tm_reader_signed(&in);
    ret_meta->pack_hash = tm_reader_u64(&in);
    ret_meta->configuration_hash = tm_reader_u64(&in);
    ret_meta->counting_start = tm_reader_signed(&in);
    for (int i = 0; i < TM_INPUTS; i++) {
        ret_meta->marks[i].offset = tm_reader_signed(&in);
        ret_meta->marks[i].timestamp = tm_reader_signed(&in);
        ret_meta->marks[i].key_hash = tm_reader_u64(&in);
    }
    ret_meta->fingerprints_from = tm_reader_signed(&in);
    if (form >= META_FORM_SEMANTICS) {
        ret_meta->evaluate_every = tm_reader_signed(&in);
        ret_meta->max_skew = tm_reader_signed(&in);
        ret_meta->dedup_window = tm_reader_signed(&in);
        ret_meta->dedup_entries = tm_reader_signed(&in);
        ret_meta->reading_hash = tm_reader_u64(&in);
    }
    if (form >= META_FORM_CLAIMS) {
        ret_meta->claim = tm_reader_signed(&in);
        ret_meta->published = tm_reader_signed(&in);
        ret_meta->published_claim = tm_reader_signed(&in);
    }
    for (int i = 0; i < TM_INPUTS; i++)
        ret_meta->passed[i] = form > META_FORM_CLAIMS ? tm_reader_signed(&in) : -1;
    uint64_t count = tm_reader_varint(&in);
    if (!in.failed && count <= TM_METRICS_MAX) {
        ret_meta->counting_count = (uint32_t)count;
        for (uint32_t i = 0; i < count; i++) {
            ret_meta->counting[i].identity = tm_reader_u64(&in);
            ret_meta->counting[i].start = tm_reader_signed(&in);
            ret_meta->counting[i].reach_days = (int32_t)(tm_reader_varint(&in) & INT32_MAX);
            ret_meta->counting[i].reach_hours = (int32_t)(tm_reader_varint(&in) & INT32_MAX);
        }
        size_t covered = bytes.length - (size_t)(in.end - in.at);
        uint32_t checksum = tm_reader_u32(&in);
        if (tm_reader_at_end(&in) && checksum == tm_checksum((tm_slice){bytes.data, covered}))
            return TM_OK;
    }
    tm_fail(error, TM_REJECT, "the shard's meta record is damaged");
    tm_error_hint(error,
                  "restore the store from a backup, or remove the shard's keys so that it is rebuilt from the journal");
    return TM_REJECT;
}

void tm_fingerprints_encode(const tm_shard *shard, tm_buffer *out)
{
    uint32_t count = tm_shard_accepted_count(shard);
    tm_time before = 0;
    for (uint32_t i = 0; i < count; i++) {
        tm_fingerprint fingerprint;
        tm_time at;
        tm_shard_accepted(shard, i, &fingerprint, &at);
        tm_buffer_put_signed(out, at - before);
        tm_buffer_put_u64(out, fingerprint.low);
        tm_buffer_put_u64(out, fingerprint.high);
        before = at;
    }
}

tm_status tm_fingerprints_decode(tm_slice bytes, tm_fingerprint_visit visit, void *context)
{
    tm_reader in;
    tm_reader_init(&in, bytes);
    tm_time at = 0;
    while (!tm_reader_at_end(&in)) {
        int64_t step = tm_reader_signed(&in);
        tm_fingerprint fingerprint;
        fingerprint.low = tm_reader_u64(&in);
        fingerprint.high = tm_reader_u64(&in);
        if (in.failed || step < -TM_TIME_MAX || step > TM_TIME_MAX || at + step < 0 || at + step > TM_TIME_MAX)
            return TM_REJECT;
        at += step;
        tm_status status = visit(context, fingerprint, at);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}
