#include "tidemark/core/agenda.h"

/* A binary heap. An account that is to be judged earlier than before gets a second entry, and the later one is passed
   over when it comes up: an entry counts only while it says what account->judge_at says. Before an account is freed
   `forget` removes all of its entries. */
typedef struct entry {
    tm_time when;
    tm_account *account;
} entry;

struct tm_agenda {
    tm_heap *heap;
    entry *entries;
    uint32_t count, capacity;
};

static bool before(entry a, entry b)
{
    if (a.when != b.when)
        return a.when < b.when;
    if (a.account->hash != b.account->hash)
        return a.account->hash < b.account->hash;
    return tm_slice_compare(a.account->key, b.account->key) < 0;
}

static void sift_up(tm_agenda *agenda, uint32_t i)
{
    entry moving = agenda->entries[i];
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!before(moving, agenda->entries[parent]))
            break;
        agenda->entries[i] = agenda->entries[parent];
        i = parent;
    }
    agenda->entries[i] = moving;
}

static void sift_down(tm_agenda *agenda, uint32_t i)
{
    entry moving = agenda->entries[i];
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= agenda->count)
            break;
        if (child + 1 < agenda->count && before(agenda->entries[child + 1], agenda->entries[child]))
            child++;
        if (!before(agenda->entries[child], moving))
            break;
        agenda->entries[i] = agenda->entries[child];
        i = child;
    }
    agenda->entries[i] = moving;
}

static void remove_at(tm_agenda *agenda, uint32_t i)
{
    agenda->count--;
    if (i == agenda->count)
        return;
    agenda->entries[i] = agenda->entries[agenda->count];
    sift_down(agenda, i);
    sift_up(agenda, i);
}

tm_agenda *tm_agenda_new(tm_heap *heap)
{
    tm_agenda *agenda = tm_heap_take(heap, sizeof *agenda);
    if (agenda)
        agenda->heap = heap;
    return agenda;
}

void tm_agenda_free(tm_agenda *agenda)
{
    if (!agenda)
        return;
    tm_heap_give(agenda->heap, agenda->entries, sizeof *agenda->entries * agenda->capacity);
    tm_heap_give(agenda->heap, agenda, sizeof *agenda);
}

tm_status tm_agenda_put(tm_agenda *agenda, tm_account *account, tm_time when)
{
    if (when >= account->judge_at)
        return TM_OK;
    if (agenda->count == agenda->capacity) {
        uint32_t capacity = agenda->capacity ? agenda->capacity * 2 : 64;
        entry *entries = tm_heap_resize(agenda->heap, agenda->entries, sizeof *entries * agenda->capacity,
                                        sizeof *entries * capacity);
        if (!entries)
            return TM_FATAL;
        agenda->entries = entries;
        agenda->capacity = capacity;
    }
    account->judge_at = when;
    agenda->entries[agenda->count] = (entry){when, account};
    sift_up(agenda, agenda->count++);
    return TM_OK;
}

void tm_agenda_forget(tm_agenda *agenda, tm_account *account)
{
    account->judge_at = TM_TIME_NEVER;
    for (uint32_t i = 0; i < agenda->count;) {
        if (agenda->entries[i].account != account) {
            i++;
            continue;
        }
        remove_at(agenda, i);
        i = 0; /* sifting may have moved another entry of the account to a place already passed */
    }
}

void tm_agenda_clear(tm_agenda *agenda)
{
    agenda->count = 0;
}

/* Drops dead entries from the top. */
static void clean(tm_agenda *agenda)
{
    while (agenda->count > 0 && agenda->entries[0].when != agenda->entries[0].account->judge_at)
        remove_at(agenda, 0);
}

tm_time tm_agenda_next(tm_agenda *agenda)
{
    clean(agenda);
    return agenda->count ? agenda->entries[0].when : TM_TIME_NEVER;
}

tm_account *tm_agenda_take(tm_agenda *agenda, tm_time until, tm_time *ret_when)
{
    clean(agenda);
    if (agenda->count == 0 || agenda->entries[0].when > until)
        return NULL;
    tm_account *account = agenda->entries[0].account;
    *ret_when = agenda->entries[0].when;
    remove_at(agenda, 0);
    account->judge_at = TM_TIME_NEVER;
    return account;
}
