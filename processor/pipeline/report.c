#include "tidemark/pipeline/report.h"

#include <stdio.h>

#include "tidemark/codec/state.h"

/* Bytes of one account's state; of the meta's, and of what is hashed. */
#define BLOB_MAX ((size_t)64 << 20)

typedef struct hashing {
    const tm_holding *holding;
    tm_moment now;
    tm_buffer text;
    uint64_t hash, accounts;
    tm_error *error;
} hashing;

static tm_status hash_account(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)commit;
    hashing *h = context;
    /* Decoded and encoded at T: the same state gives the same bytes whenever it was written. */
    tm_heap *heap = tm_heap_new(0);
    if (!heap)
        return tm_fail(h->error, TM_FATAL, "no memory to read an account");
    tm_account *account;
    tm_status status = tm_state_decode(heap, h->holding->pack, key, bytes, &account, h->error);
    if (status == TM_OK) {
        tm_buffer_reset(&h->text);
        tm_buffer_append_slice(&h->text, key);
        tm_buffer_append_char(&h->text, 0);
        tm_state_encode(account, h->holding->pack, &h->now, &h->text);
        h->hash += tm_hash(tm_buffer_slice(&h->text));
        h->accounts++;
        if (h->text.overflowed)
            status = tm_fail(h->error, TM_FATAL, "no memory to read an account");
    }
    tm_heap_free_all(heap);
    return status;
}

tm_status tm_report_hash(const tm_store *store, const tm_holding *holding, uint64_t *ret_hash, uint64_t *ret_accounts,
                         tm_shard_meta *ret_meta, tm_error *error)
{
    tm_store_state state;
    *ret_hash = *ret_accounts = 0;
    *ret_meta = (tm_shard_meta){.time = TM_TIME_NONE};
    tm_status status = store->read(store->context, holding->partition, &state, error);
    if (status != TM_OK)
        return status;
    if (!state.present)
        return tm_fail(error, TM_REJECT, "nothing is kept of the shard");
    if (tm_meta_decode(state.meta, ret_meta, error) != TM_OK)
        return TM_REJECT;
    hashing h = {.holding = holding, .error = error};
    tm_day_span span = {0};
    tm_moment_at(&h.now, holding->settings->shard.zone, ret_meta->time == TM_TIME_NONE ? 0 : ret_meta->time, &span);
    tm_buffer_init(&h.text, BLOB_MAX);
    status = store->scan_accounts(store->context, holding->partition, hash_account, &h, error);
    tm_buffer_done(&h.text);
    *ret_hash = h.hash;
    *ret_accounts = h.accounts;
    return status == TM_OK || status == TM_RETRY ? status : TM_REJECT;
}

static void format_time(tm_time t, char text[TM_TIME_TEXT])
{
    text[0] = 0;
    if (t != TM_TIME_NONE)
        tm_time_format(t, text);
}

void tm_report_broken(tm_ledger *ledger, tm_holding *holding, const tm_error *why)
{
    tm_error kept = *why, reading;
    char text[1200], at[80], broke[TM_TIME_TEXT], time[TM_TIME_TEXT], hash[24] = "";
    tm_error_text(&kept, text, sizeof text);
    (void)snprintf(at, sizeof at, "%s:%d", holding->broken->file, holding->broken->line);
    format_time(tm_shard_time(holding->shard), broke);
    const char *check = holding->broken->name;
    tm_position stored = holding->stored;
    int64_t published = holding->published.commit;
    tm_holding_drop(holding); /* what broke is not looked at: what is kept is what counts */

    uint64_t sum = 0, accounts = 0;
    tm_shard_meta meta;
    tm_status status = tm_report_hash(ledger->store, holding, &sum, &accounts, &meta, &reading);
    if (status == TM_OK)
        (void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sum);
    format_time(meta.time, time);
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_text("check", check),
                             tm_log_text("at", at),
                             tm_log_text("error", text),
                             tm_log_text("time_broken", broke),
                             tm_log_text("time", time),
                             tm_log_integer("commit", stored.commit),
                             tm_log_integer("published", published),
                             tm_log_integer("next_usage", stored.next[TM_INPUT_USAGE]),
                             tm_log_integer("next_accounts", stored.next[TM_INPUT_ACCOUNTS]),
                             tm_log_integer("accounts", (int64_t)accounts),
                             tm_log_text("state_hash", hash),
                             tm_log_text("journal", holding->last_line)};
    ledger->log->write(ledger->log->context, TM_LOG_ERROR, "shard_broken",
                       "What must hold inside does not: this is what is known", fields, sizeof fields / sizeof *fields);
    tm_ledger_halt(ledger, holding, TM_HALT_INVARIANT, &kept);
}
