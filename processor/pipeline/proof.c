#include "tidemark/pipeline/proof.h"

#include <string.h>

#include "tidemark/codec/state.h"

static tm_heap *heap_of(const tm_holding *holding)
{
    return tm_shard_heap(holding->shard);
}

tm_status tm_proof_record(const tm_holding *holding, const tm_source_record *record, tm_time t, uint64_t records)
{
    tm_heap *heap = heap_of(holding);
    TM_CHECK(heap, record->partition == holding->partition, "record_partition");
    TM_CHECK(heap, record->offset > holding->marks[record->input].offset, "record_order");
    TM_CHECK(heap, tm_shard_time(holding->shard) >= t, "record_time");
    TM_CHECK(heap, tm_shard_counted(holding->shard)->records == records + 1, "record_counted");
    return TM_OK;
}

tm_status tm_proof_seal(const tm_holding *holding, bool configuration)
{
    tm_heap *heap = heap_of(holding);
    TM_CHECK(heap, holding->next.commit == holding->stored.commit + 1, "commit_number");
    TM_CHECK(heap, tm_shard_time(holding->shard) >= holding->t_before, "commit_time");
    for (int i = 0; i < TM_INPUTS; i++) {
        TM_CHECK(heap, holding->next.next[i] >= holding->stored.next[i], "commit_position");
        TM_CHECK(heap, !holding->intake.lanes[i].on || holding->next.next[i] >= holding->from[i], "commit_interval");
    }
    const tm_outbox *outbox = &holding->outbox;
    uint32_t told = 0;
    for (uint32_t i = outbox->count; i-- > 0 && outbox->entries[i].commit >= holding->next.commit; told++)
        TM_CHECK(heap, outbox->entries[i].commit == holding->next.commit, "outbox_commit");
    uint32_t expected = holding->signal_count + holding->health_count + holding->erasure_count + holding->letter_count +
                        1 + configuration;
    TM_CHECK(heap, !holding->publishing || told == expected, "outbox_count");
    TM_CHECK(heap, holding->skip_count <= holding->letter_count, "skips_told");
    for (uint32_t i = 1; i < holding->span_count; i++)
        TM_CHECK(heap, holding->spans[i - 1].commit < holding->spans[i].commit, "fingerprint_commits");
    TM_CHECK(heap, holding->span_count == 0 || holding->spans[holding->span_count - 1].commit <= holding->next.commit,
             "fingerprint_newest");
    return TM_OK;
}

tm_status tm_proof_writes(const tm_holding *holding, const tm_store_write *writes, uint32_t changed,
                          const tm_moment *now, tm_buffer *scratch)
{
    tm_heap *heap = heap_of(holding);
    TM_CHECK(heap, changed <= tm_shard_account_count(holding->shard), "writes_count");
    for (uint32_t i = 0; i < changed; i++) {
        const tm_account *account = tm_shard_changed(holding->shard, i);
        TM_CHECK(heap, account->changed && account->input < TM_INPUTS, "write_account");
        TM_CHECK(heap, writes[i].account.length - 1 < TM_ACCOUNT_ID_MAX && writes[i].blob.length > 0, "write_blob");
    }
    if (changed == 0)
        return TM_OK;
    const tm_store_write *write = &writes[(uint64_t)holding->next.commit % changed];
    tm_heap *apart = tm_heap_new(0);
    if (!apart)
        return TM_OK; /* without memory nothing can be proved, and nothing is wrong */
    tm_account *account;
    tm_error error;
    tm_status status = tm_state_decode(apart, holding->pack, write->account, write->blob, &account, &error);
    bool same = status == TM_FATAL;
    if (status == TM_OK) {
        tm_buffer_reset(scratch);
        tm_state_encode(account, holding->pack, now, scratch);
        same = scratch->overflowed || tm_slice_equal(tm_buffer_slice(scratch), write->blob);
    }
    tm_heap_free_all(apart);
    TM_CHECK(heap, same, "blob_reads_back");
    return TM_OK;
}

tm_status tm_proof_meta(const tm_holding *holding, const tm_shard_meta *meta, tm_slice bytes)
{
    tm_heap *heap = heap_of(holding);
    tm_shard_meta read;
    tm_error error;
    tm_status status = tm_meta_decode(bytes, &read, &error);
    TM_CHECK(heap,
             status == TM_OK && read.time == meta->time && read.judged == meta->judged &&
                 read.partitions == meta->partitions && read.rules_version == meta->rules_version &&
                 read.pack_hash == meta->pack_hash && read.configuration_hash == meta->configuration_hash &&
                 read.claim == meta->claim && read.counting_count == meta->counting_count &&
                 read.fingerprints_from == meta->fingerprints_from,
             "meta_reads_back");
    for (int i = 0; i < TM_INPUTS; i++)
        TM_CHECK(heap,
                 read.marks[i].offset == meta->marks[i].offset && read.marks[i].key_hash == meta->marks[i].key_hash,
                 "marks_read_back");
    return TM_OK;
}

tm_status tm_proof_settled(const tm_holding *holding)
{
    tm_heap *heap = heap_of(holding);
    TM_CHECK(heap, tm_shard_changed_count(holding->shard) == 0, "settled_accounts");
    TM_CHECK(heap, tm_shard_erased_count(holding->shard) == 0 && tm_shard_accepted_count(holding->shard) == 0,
             "settled_lists");
    TM_CHECK(heap, !holding->publishing || holding->published.commit <= holding->stored.commit, "published_order");
    return TM_OK;
}
