#include "tidemark/core/agenda.h"

#include "tidemark/base/check.h"
#include "tidemark/base/table.h"

/* Instants are few and accounts many: one list an instant, sorted when its time comes, and a heap of the instants.

   An account that is to be judged earlier than before gets an entry in an earlier list and keeps the later one,
   remembered in later_at: judged early, it is mostly due at the later instant again, and then nothing has to be put in.
   An entry counts only while account->judge_at names its instant; dead ones are passed over when they come up. */
typedef struct entry {
    uint64_t hash;
    tm_account *account;
} entry;

typedef struct instant {
    tm_time when;
    entry *entries;
    uint32_t count, capacity;
    uint32_t next; /* the first that was not taken */
    uint32_t slot; /* where `slots` has it */
    bool sorted;
} instant;

/* Ranges this short are sorted by insertion. */
enum { SHORT_RANGE = 16 };
/* So many entries ahead an account is asked for before its turn. */
enum { LOOK_AHEAD = 4 };

struct tm_agenda {
    tm_heap *heap;
    instant **instants; /* a binary heap by `when` */
    uint32_t count, capacity;
    tm_table known;  /* instant, mixed → its slot */
    instant **slots; /* as many as `capacity`; those from `count` on hold nothing, their places are in free order */
    uint32_t *free_slots;
    uint32_t free_count;
    instant *last; /* found without a search: neighbours in a stream are due together */
};

/* --- the heap of instants --- */

static void sift_up(tm_agenda *agenda, uint32_t i)
{
    instant *moving = agenda->instants[i];
    while (i > 0 && moving->when < agenda->instants[(i - 1) / 2]->when) {
        agenda->instants[i] = agenda->instants[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    agenda->instants[i] = moving;
}

static void sift_down(tm_agenda *agenda)
{
    instant *moving = agenda->instants[0];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= agenda->count)
            break;
        if (child + 1 < agenda->count && agenda->instants[child + 1]->when < agenda->instants[child]->when)
            child++;
        if (agenda->instants[child]->when >= moving->when)
            break;
        agenda->instants[i] = agenda->instants[child];
        i = child;
    }
    agenda->instants[i] = moving;
}

tm_agenda *tm_agenda_new(tm_heap *heap)
{
    tm_agenda *agenda = tm_heap_take(heap, sizeof *agenda);
    if (!agenda)
        return NULL;
    agenda->heap = heap;
    if (tm_table_init(&agenda->known, heap, 64) == TM_OK)
        return agenda;
    tm_heap_give(heap, agenda, sizeof *agenda);
    return NULL;
}

static void free_instant(tm_agenda *agenda, instant *at)
{
    tm_heap_give(agenda->heap, at->entries, sizeof *at->entries * at->capacity);
    tm_heap_give(agenda->heap, at, sizeof *at);
}

void tm_agenda_free(tm_agenda *agenda)
{
    if (!agenda)
        return;
    for (uint32_t i = 0; i < agenda->count; i++)
        free_instant(agenda, agenda->instants[i]);
    tm_heap_give(agenda->heap, agenda->instants, sizeof(instant *) * agenda->capacity);
    tm_heap_give(agenda->heap, agenda->slots, sizeof(instant *) * agenda->capacity);
    tm_heap_give(agenda->heap, agenda->free_slots, sizeof(uint32_t) * agenda->capacity);
    tm_table_done(&agenda->known);
    tm_heap_give(agenda->heap, agenda, sizeof *agenda);
}

/* --- finding and making instants --- */

/* Instants are multiples of the grid: multiplied by an odd number (one to one) they spread over the table. */
static uint64_t key_of(tm_time when)
{
    uint64_t mixed = (uint64_t)when * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ (mixed >> 32);
}

static instant *find(tm_agenda *agenda, tm_time when)
{
    if (agenda->last && agenda->last->when == when)
        return agenda->last;
    uint32_t slot = tm_table_find(&agenda->known, key_of(when));
    if (slot == TM_TABLE_NONE)
        return NULL;
    agenda->last = agenda->slots[slot];
    return agenda->last;
}

/* Makes room for one more instant; what cannot be had leaves everything as it was. */
static bool grow(tm_agenda *agenda)
{
    uint32_t before = agenda->capacity, capacity = before ? before * 2 : 64;
    instant **instants = tm_heap_take(agenda->heap, sizeof(instant *) * capacity);
    instant **slots = tm_heap_take(agenda->heap, sizeof(instant *) * capacity);
    uint32_t *free_slots = tm_heap_take(agenda->heap, sizeof(uint32_t) * capacity);
    if (!instants || !slots || !free_slots) {
        tm_heap_give(agenda->heap, instants, sizeof(instant *) * capacity);
        tm_heap_give(agenda->heap, slots, sizeof(instant *) * capacity);
        tm_heap_give(agenda->heap, free_slots, sizeof(uint32_t) * capacity);
        return false;
    }
    for (uint32_t i = 0; i < before; i++) {
        instants[i] = agenda->instants[i];
        slots[i] = agenda->slots[i];
    }
    /* Growth happens when no slot is free: all new ones are. */
    for (uint32_t i = before; i < capacity; i++)
        free_slots[agenda->free_count++] = i;
    tm_heap_give(agenda->heap, agenda->instants, sizeof(instant *) * before);
    tm_heap_give(agenda->heap, agenda->slots, sizeof(instant *) * before);
    tm_heap_give(agenda->heap, agenda->free_slots, sizeof(uint32_t) * before);
    agenda->instants = instants;
    agenda->slots = slots;
    agenda->free_slots = free_slots;
    agenda->capacity = capacity;
    return true;
}

static instant *make(tm_agenda *agenda, tm_time when)
{
    if (agenda->free_count == 0 && !grow(agenda))
        return NULL;
    uint32_t slot = agenda->free_slots[agenda->free_count - 1];
    instant *made = tm_heap_take(agenda->heap, sizeof *made);
    if (!made || tm_table_put(&agenda->known, key_of(when), slot) != TM_OK) {
        tm_heap_give(agenda->heap, made, sizeof *made);
        return NULL;
    }
    agenda->free_count--;
    made->when = when;
    made->slot = slot;
    agenda->slots[slot] = made;
    agenda->instants[agenda->count] = made;
    sift_up(agenda, agenda->count++);
    agenda->last = made;
    return made;
}

static void drop_first(tm_agenda *agenda)
{
    instant *gone = agenda->instants[0];
    agenda->instants[0] = agenda->instants[--agenda->count];
    if (agenda->count > 0)
        sift_down(agenda);
    if (agenda->last == gone)
        agenda->last = NULL;
    (void)tm_table_remove(&agenda->known, key_of(gone->when));
    agenda->free_slots[agenda->free_count++] = gone->slot;
    free_instant(agenda, gone);
}

/* --- entries --- */

tm_status tm_agenda_put(tm_agenda *agenda, tm_account *account, tm_time when)
{
    if (when >= account->judge_at)
        return TM_OK;
    if (account->judge_at != TM_TIME_NEVER)
        account->later_at = account->judge_at;
    if (when == account->later_at) {
        account->judge_at = when; /* its entry is there already */
        return TM_OK;
    }
    instant *at = find(agenda, when);
    if (!at)
        at = make(agenda, when);
    if (!at)
        return TM_FATAL;
    TM_CHECK(agenda->heap, at->when == when && at->next <= at->count && at->count <= at->capacity, "agenda_instant");
    if (at->count == at->capacity) {
        uint32_t capacity = at->capacity ? at->capacity * 2 : 4;
        entry *entries =
            tm_heap_resize(agenda->heap, at->entries, sizeof *entries * at->capacity, sizeof *entries * capacity);
        if (!entries)
            return TM_FATAL;
        at->entries = entries;
        at->capacity = capacity;
    }
    at->entries[at->count++] = (entry){account->hash, account};
    at->sorted = false;
    account->judge_at = when;
    return TM_OK;
}

void tm_agenda_forget(tm_agenda *agenda, tm_account *account)
{
    account->judge_at = account->later_at = TM_TIME_NEVER;
    for (uint32_t i = 0; i < agenda->count; i++) {
        instant *at = agenda->instants[i];
        uint32_t kept = at->next;
        for (uint32_t k = at->next; k < at->count; k++) {
            if (at->entries[k].account != account)
                at->entries[kept++] = at->entries[k];
        }
        at->count = kept;
    }
}

void tm_agenda_clear(tm_agenda *agenda)
{
    while (agenda->count > 0)
        drop_first(agenda);
}

/* --- the order of judgement: by hash, then by key --- */

static bool before(entry a, entry b)
{
    if (a.hash != b.hash)
        return a.hash < b.hash;
    return a.account != b.account && tm_slice_compare(a.account->key, b.account->key) < 0;
}

static void sort_short(entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        entry moving = entries[i];
        uint32_t at = i;
        for (; at > 0 && before(moving, entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = moving;
    }
}

/* Radix exchange from bit `bit` down: in place, no worse for hashes that somebody chose (at most 64 rounds). */
static void sort_entries(entry *entries, uint32_t count, int bit)
{
    while (count > SHORT_RANGE && bit >= 0) {
        uint32_t low = 0, high = count;
        while (low < high) {
            if (entries[low].hash >> bit & 1) {
                entry moving = entries[--high];
                entries[high] = entries[low];
                entries[low] = moving;
            } else {
                low++;
            }
        }
        bit--;
        sort_entries(entries, low, bit);
        entries += low;
        count -= low;
    }
    sort_short(entries, count);
}

/* The first live entry, or NULL; dead ones before it are passed over. */
static entry *first_live(tm_agenda *agenda, tm_time until)
{
    while (agenda->count > 0 && agenda->instants[0]->when <= until) {
        instant *at = agenda->instants[0];
        if (!at->sorted) {
            sort_entries(at->entries + at->next, at->count - at->next, 63);
            at->sorted = true;
        }
        for (; at->next < at->count; at->next++) {
            tm_account *account = at->entries[at->next].account;
            if (at->next + LOOK_AHEAD < at->count)
                __builtin_prefetch(at->entries[at->next + LOOK_AHEAD].account);
            if (account->judge_at == at->when)
                return &at->entries[at->next];
            if (account->later_at == at->when)
                account->later_at = TM_TIME_NEVER;
        }
        drop_first(agenda);
    }
    return NULL;
}

tm_time tm_agenda_next(tm_agenda *agenda)
{
    return first_live(agenda, TM_TIME_NEVER) ? agenda->instants[0]->when : TM_TIME_NEVER;
}

tm_account *tm_agenda_take(tm_agenda *agenda, tm_time until, tm_time *ret_when)
{
    entry *found = first_live(agenda, until);
    if (!found)
        return NULL;
    instant *at = agenda->instants[0];
    tm_account *account = found->account;
    at->next++;
    account->judge_at = TM_TIME_NEVER;
    if (account->later_at == at->when)
        account->later_at = TM_TIME_NEVER;
    *ret_when = at->when;
    return account;
}
