/* Which accounts a shard has, and what a commit changed. Part of the room `shard`. */
#include "shardroom.h"

#include <string.h>

tm_status tm_shard_grow(tm_heap *heap, void **list, size_t element, uint32_t count, uint32_t *capacity)
{
    if (count < *capacity)
        return TM_OK;
    uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *bigger = tm_heap_resize(heap, *list, element * *capacity, element * wanted);
    if (!bigger)
        return TM_FATAL;
    *list = bigger;
    *capacity = wanted;
    return TM_OK;
}

uint32_t tm_shard_index_of(const tm_shard *shard, uint64_t hash, tm_slice key)
{
    uint32_t index = tm_table_find(&shard->by_hash, hash);
    if (index >= shard->account_count) /* TM_TABLE_NONE, or what the caller has to look at */
        return index;
    if (tm_slice_equal(shard->accounts[index]->key, key))
        return index;
    for (uint32_t i = 0; shard->collided && i < shard->account_count; i++) {
        if (shard->accounts[i]->hash == hash && tm_slice_equal(shard->accounts[i]->key, key))
            return i;
    }
    return TM_TABLE_NONE;
}

const tm_account *tm_shard_account(const tm_shard *shard, tm_slice key)
{
    uint32_t index = tm_shard_index_of(shard, tm_hash(key), key);
    return index >= shard->account_count ? NULL : shard->accounts[index];
}

tm_status tm_shard_take_in(tm_shard *shard, tm_account *account)
{
    tm_status status = tm_shard_grow(shard->heap, (void **)&shard->accounts, sizeof(tm_account *), shard->account_count,
                                     &shard->account_capacity);
    if (status != TM_OK)
        return status;
    bool collides = tm_table_find(&shard->by_hash, account->hash) != TM_TABLE_NONE;
    if (!collides) {
        status = tm_table_put(&shard->by_hash, account->hash, shard->account_count);
        if (status != TM_OK)
            return status;
    } else {
        shard->collided++;
    }
    account->judge_at = account->later_at = TM_TIME_NEVER;
    shard->accounts[shard->account_count++] = account;
    return TM_OK;
}

void tm_shard_release(tm_shard *shard, uint32_t index)
{
    tm_account *account = shard->accounts[index];
    tm_account *last = shard->accounts[--shard->account_count];
    shard->accounts[index] = last;
    if (last != account && tm_table_find(&shard->by_hash, last->hash) == shard->account_count)
        (void)tm_table_put(&shard->by_hash, last->hash, index); /* the key is there: nothing to grow */
    if (tm_table_find(&shard->by_hash, account->hash) != (last == account ? shard->account_count : index)) {
        shard->collided--; /* it was one that the table could not find */
    } else {
        (void)tm_table_remove(&shard->by_hash, account->hash);
        for (uint32_t i = 0; shard->collided && i < shard->account_count; i++) {
            if (shard->accounts[i]->hash != account->hash)
                continue;
            /* The next of the same hash takes its place in the table. A removal has just made room for it. */
            (void)tm_table_put(&shard->by_hash, account->hash, i);
            shard->collided--;
            break;
        }
    }
    tm_agenda_forget(shard->agenda, account);
    tm_account_free(shard->heap, account);
}

tm_status tm_shard_note_changed(tm_shard *shard, tm_account *account)
{
    TM_CHECK(shard->heap, shard->changed_count < shard->account_count, "changed_accounts");
    tm_status status = tm_shard_grow(shard->heap, (void **)&shard->changed, sizeof(tm_account *), shard->changed_count,
                                     &shard->changed_capacity);
    if (status == TM_OK) {
        account->changed = true;
        shard->changed[shard->changed_count++] = account;
    }
    return status;
}

void tm_shard_forget_erased(tm_shard *shard, tm_slice key)
{
    for (uint32_t i = 0; i < shard->erased_count; i++) {
        erased_key *erased = &shard->erased[i];
        if (!tm_slice_equal((tm_slice){erased->key, erased->length}, key))
            continue;
        tm_heap_give(shard->heap, erased->key, erased->length);
        *erased = shard->erased[--shard->erased_count];
        return;
    }
}

tm_status tm_shard_account_for_change(tm_shard *shard, tm_slice key, tm_account **ret_account)
{
    uint64_t hash = tm_hash(key);
    uint32_t index = tm_shard_index_of(shard, hash, key);
    tm_account *account;
    TM_CHECK(shard->heap, index == TM_TABLE_NONE || index < shard->account_count, "account_index");
    if (index != TM_TABLE_NONE) {
        account = shard->accounts[index];
        TM_CHECK(shard->heap, account->hash == hash, "account_hash");
    } else {
        account = tm_account_new(shard->heap, shard->pack, key);
        if (!account)
            return TM_FATAL;
        tm_status status = tm_shard_take_in(shard, account);
        if (status != TM_OK) {
            tm_account_free(shard->heap, account);
            return status;
        }
        tm_shard_forget_erased(shard, key);
    }
    *ret_account = account;
    return account->changed ? TM_OK : tm_shard_note_changed(shard, account);
}

void tm_shard_prefetch(const tm_shard *shard, uint64_t hash, bool near)
{
    if (!near) {
        tm_table_prefetch(&shard->by_hash, hash);
        return;
    }
    uint32_t index = tm_table_find(&shard->by_hash, hash);
    if (index == TM_TABLE_NONE)
        return;
    const char *account = (const char *)shard->accounts[index];
    __builtin_prefetch(account);
    __builtin_prefetch(account + 64);
}

uint32_t tm_shard_changed_count(const tm_shard *shard)
{
    return shard->changed_count;
}

const tm_account *tm_shard_changed(const tm_shard *shard, uint32_t index)
{
    return shard->changed[index];
}

uint32_t tm_shard_erased_count(const tm_shard *shard)
{
    return shard->erased_count;
}

tm_slice tm_shard_erased(const tm_shard *shard, uint32_t index)
{
    return (tm_slice){shard->erased[index].key, shard->erased[index].length};
}

uint32_t tm_shard_accepted_count(const tm_shard *shard)
{
    return shard->accepted_count;
}

void tm_shard_accepted(const tm_shard *shard, uint32_t index, tm_fingerprint *ret_fingerprint, tm_time *ret_at)
{
    *ret_fingerprint = shard->accepted[index].fingerprint;
    *ret_at = shard->accepted[index].at;
}

void tm_shard_settled(tm_shard *shard)
{
    for (uint32_t i = 0; i < shard->changed_count; i++)
        shard->changed[i]->changed = false;
    shard->changed_count = 0;
    for (uint32_t i = 0; i < shard->erased_count; i++)
        tm_heap_give(shard->heap, shard->erased[i].key, shard->erased[i].length);
    shard->erased_count = 0;
    shard->accepted_count = 0;
}
