#include "bookroom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

tm_book *tm_book_new(const tm_book_settings *settings)
{
    tm_heap *heap = tm_heap_new(0);
    tm_book *b = heap ? tm_heap_take(heap, sizeof *b) : NULL;
    if (b) {
        b->settings = *settings;
        b->heap = heap;
        if (tm_names_init(&b->accounts, heap) == TM_OK && tm_names_init(&b->currencies, heap) == TM_OK &&
            tm_names_init(&b->products, heap) == TM_OK && tm_names_init(&b->reasons, heap) == TM_OK)
            return b;
    }
    tm_heap_free_all(heap);
    return NULL;
}

void tm_book_free(tm_book *book)
{
    if (book)
        tm_heap_free_all(book->heap);
}

/* --- telling --- */

uint32_t tm_book_account(tm_book *book, tm_slice key)
{
    uint32_t before = book->accounts.count;
    uint32_t number = tm_names_number(&book->accounts, key);
    if (number == NONE || number < before)
        return number;
    if (!tm_heap_grow(book->heap, &book->people, number, &book->people_room, sizeof *book->people))
        return NONE;
    book->people[number] = (customer){.currency = NONE, .erased_at = TM_TIME_NONE};
    return number;
}

uint32_t tm_book_find(const tm_book *book, tm_slice key)
{
    return tm_names_find(&book->accounts, key);
}

static entry *add(tm_book *b, uint32_t account, tm_time t, kind what)
{
    if (b->entry_count >= UINT32_MAX ||
        !tm_heap_grow(b->heap, &b->entries, b->entry_count, &b->entry_room, sizeof *b->entries))
        return NULL;
    entry *e = &b->entries[b->entry_count];
    *e = (entry){.account = account, .order = (uint32_t)b->entry_count, .t = t, .kind = what, .reason = NONE};
    b->entry_count++;
    return e;
}

static tm_fixed amount(tm_fixed told)
{
    return told == TM_FIXED_NONE ? 0 : told;
}

tm_status tm_book_record(tm_book *book, uint32_t account, tm_time t, const tm_book_terms *terms)
{
    if (t > book->settings.at)
        return TM_OK;
    entry *e = add(book, account, t, RECORD);
    if (!e)
        return TM_FATAL;
    book->people[account].told = true;
    e->customer = terms->customer;
    e->first_term = terms->first_term;
    e->has_mrr = terms->mrr != TM_FIXED_NONE;
    e->mrr = amount(terms->mrr);
    e->seats = amount(terms->seats);
    e->renewal = terms->renewal;
    e->currency = tm_names_number(&book->currencies, terms->currency);
    e->reason = terms->reason.data ? tm_names_number(&book->reasons, terms->reason) : NONE;
    e->product_count = terms->product_count + 1; /* and the rest */
    e->products = tm_heap_take(book->heap, e->product_count * sizeof *e->products);
    uint32_t rest = tm_names_number(&book->products, (tm_slice){0});
    if (e->currency == NONE || (terms->reason.data && e->reason == NONE) || !e->products || rest == NONE)
        return TM_FATAL;
    e->products[0] = (owned){rest, e->mrr};
    for (uint32_t i = 0; i < terms->product_count; i++) {
        uint32_t product = tm_names_number(&book->products, terms->products[i].name);
        if (product == NONE)
            return TM_FATAL;
        e->products[i + 1] = (owned){product, amount(terms->products[i].mrr)};
        e->products[0].mrr -= e->products[i + 1].mrr;
    }
    if (terms->product_count && e->products[0].mrr == 0)
        e->products[0] = e->products[--e->product_count];
    return TM_OK;
}

tm_status tm_book_churned(tm_book *book, uint32_t account, tm_time t, tm_slice reason)
{
    if (t > book->settings.at)
        return TM_OK;
    entry *e = add(book, account, t, CHURNED);
    if (!e)
        return TM_FATAL;
    if (reason.data)
        e->reason = tm_names_number(&book->reasons, reason);
    return reason.data && e->reason == NONE ? TM_FATAL : TM_OK;
}

tm_status tm_book_renewed(tm_book *book, uint32_t account, tm_time t)
{
    return t > book->settings.at || add(book, account, t, RENEWED) ? TM_OK : TM_FATAL;
}

void tm_book_erase(tm_book *book, uint32_t account, tm_time t)
{
    customer *who = &book->people[account];
    if (t > book->settings.at)
        return;
    *who = (customer){.currency = NONE, .erased_at = t, .erased_before = (uint32_t)book->entry_count};
}

/* --- one account's life --- */

typedef struct life {
    tm_book *book;
    uint32_t account;
    customer *who;
    const entry *now;  /* what is in force; NULL: no customer */
    bool ever;         /* was a customer before */
    bool inside;       /* the period has begun */
    tm_time since;     /* as a customer */
    size_t term;       /* the one that runs; SIZE_MAX: none */
    size_t last_churn; /* its index; SIZE_MAX: none */
} life;

static line *line_of(life *l, uint32_t currency, uint32_t product)
{
    tm_book *b = l->book;
    for (size_t i = l->who->first_line; i < l->who->first_line + l->who->line_count; i++)
        if (b->lines[i].currency == currency && b->lines[i].product == product)
            return &b->lines[i];
    if (!tm_heap_grow(b->heap, &b->lines, b->line_count, &b->line_room, sizeof *b->lines))
        return NULL;
    line *made = &b->lines[b->line_count++];
    *made = (line){.account = l->account, .currency = currency, .product = product};
    l->who->line_count++;
    return made;
}

/* What `product` (NONE: everything) costs under an entry; false: it is not part of it. */
static bool cost(const entry *e, uint32_t product, tm_fixed *ret_mrr)
{
    *ret_mrr = 0;
    if (!e)
        return false;
    if (product == NONE) {
        *ret_mrr = e->mrr;
        return true;
    }
    for (uint32_t i = 0; i < e->product_count; i++)
        if (e->products[i].product == product) {
            *ret_mrr = e->products[i].mrr;
            return true;
        }
    return false;
}

/* The money of one product (or all) from one entry to the next; either may be NULL: no customer. */
static bool move_one(life *l, const entry *before, const entry *after, uint32_t product)
{
    tm_fixed old;
    tm_fixed new;
    (void)cost(before, product, &old);
    (void)cost(after, product, &new);
    line *from = before ? line_of(l, before->currency, product) : NULL;
    if (before && !from)
        return false;
    bool same = before && after && before->currency == after->currency;
    if (same) {
        if (new > old)
            from->expansion += new - old;
        else
            from->contraction += old - new;
        return true;
    }
    if (before && !after)
        from->churned += old;
    if (before && after)
        from->moved -= old;
    if (!after)
        return true;
    line *to = line_of(l, after->currency, product);
    if (!to)
        return false;
    if (before)
        to->moved += new;
    else if (l->ever)
        to->returned += new;
    else
        to->fresh += new;
    return true;
}

static bool move(life *l, const entry *before, const entry *after)
{
    if (!l->inside)
        return true;
    bool moved = move_one(l, before, after, NONE);
    for (uint32_t i = 0; moved && before && i < before->product_count; i++)
        moved = move_one(l, before, after, before->products[i].product);
    for (uint32_t i = 0; moved && after && i < after->product_count; i++) {
        tm_fixed old;
        if (!cost(before, after->products[i].product, &old))
            moved = move_one(l, before, after, after->products[i].product);
    }
    return moved;
}

/* What stands at an end of the period: `closing` or else opening. */
static bool stand(life *l, bool closing)
{
    if (!l->now)
        return true;
    for (uint32_t i = 0; i <= l->now->product_count; i++) {
        uint32_t product = i ? l->now->products[i - 1].product : NONE;
        tm_fixed mrr;
        (void)cost(l->now, product, &mrr);
        line *at = line_of(l, l->now->currency, product);
        if (!at)
            return false;
        if (closing) {
            at->closing += mrr;
            at->closing_customer = true;
        } else {
            at->opening += mrr;
            at->opening_customer = true;
        }
    }
    if (closing) {
        l->who->closing = true;
        l->who->has_mrr = l->now->has_mrr;
        l->who->seats = l->now->seats;
    } else {
        l->who->opening = true;
    }
    return true;
}

static void decide(life *l, fate became, tm_time t)
{
    if (l->term == SIZE_MAX)
        return;
    term *running = &l->book->terms[l->term];
    if (running->fate != OPEN)
        return;
    running->fate = became;
    running->decided = t;
}

/* The terms of `e` run from now on. */
static bool run_term(life *l, const entry *e)
{
    tm_book *b = l->book;
    tm_time due = e->renewal == TM_BOOK_NO_DAY ? TM_TIME_NEVER : tm_zone_day_start(b->settings.zone, e->renewal);
    if (l->term != SIZE_MAX && b->terms[l->term].fate == VOID)
        l->term = SIZE_MAX;
    if (l->term != SIZE_MAX && due > b->terms[l->term].due && due != TM_TIME_NEVER) {
        decide(l, WAS_RENEWED, e->t);
        l->term = SIZE_MAX;
    }
    if (l->term == SIZE_MAX && due == TM_TIME_NEVER)
        return true;
    if (l->term == SIZE_MAX) {
        if (!tm_heap_grow(b->heap, &b->terms, b->term_count, &b->term_room, sizeof *b->terms))
            return false;
        l->term = b->term_count++;
        b->terms[l->term] = (term){.account = l->account};
    }
    term *running = &b->terms[l->term];
    if (running->fate != OPEN)
        return true;
    running->due = due; /* an end that was corrected */
    if (due == TM_TIME_NEVER)
        running->fate = VOID;
    running->mrr = e->mrr;
    running->currency = e->currency;
    running->first = e->first_term;
    return true;
}

static void live_until(life *l, tm_time t)
{
    tm_time from = l->since > l->book->settings.from ? l->since : l->book->settings.from;
    if (t > from)
        l->who->lived += t - from;
}

static bool end(life *l, const entry *e)
{
    tm_book *b = l->book;
    const entry *before = l->now;
    if (!move(l, before, NULL))
        return false;
    decide(l, WAS_LOST, e->t);
    live_until(l, e->t);
    l->now = NULL;
    l->term = SIZE_MAX;
    if (!l->inside)
        return true;
    if (!tm_heap_grow(b->heap, &b->churns, b->churn_count, &b->churn_room, sizeof *b->churns))
        return false;
    l->last_churn = b->churn_count++;
    b->churns[l->last_churn] = (churn){l->account, before->currency, e->reason, e->t, before->mrr, before->first_term};
    l->who->churned++;
    return true;
}

static bool go_on(life *l, const entry *e)
{
    if (e->kind == RENEWED) {
        decide(l, WAS_RENEWED, e->t);
        return true;
    }
    if (e->kind == CHURNED || !e->customer) {
        if (l->now)
            return end(l, e);
        if (l->last_churn != SIZE_MAX && e->reason != NONE &&
            (e->kind == CHURNED || l->book->churns[l->last_churn].reason == NONE))
            l->book->churns[l->last_churn].reason = e->reason;
        return true;
    }
    if (!move(l, l->now, e))
        return false;
    if (!l->now) {
        l->since = e->t;
        if (l->inside && l->ever)
            l->who->returned++;
        else if (l->inside)
            l->who->fresh = true;
        l->ever = true;
    }
    l->now = e;
    l->who->currency = e->currency;
    return run_term(l, e);
}

static bool live(tm_book *b, uint32_t account, const entry *entries, size_t count)
{
    life l = {.book = b, .account = account, .who = &b->people[account], .term = SIZE_MAX, .last_churn = SIZE_MAX};
    l.who->first_line = b->line_count;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].kind == RECORD ? entries[i].order < l.who->erased_before : entries[i].t <= l.who->erased_at)
            continue;
        if (!l.inside && entries[i].t > b->settings.from) {
            if (!stand(&l, false))
                return false;
            l.inside = true;
        }
        if (!go_on(&l, &entries[i]))
            return false;
    }
    if (!l.inside && !stand(&l, false))
        return false;
    if (l.now)
        live_until(&l, b->settings.at);
    return stand(&l, true);
}

static int in_order(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    if (x->account != y->account)
        return x->account < y->account ? -1 : 1;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* FNV-1a (G. Fowler, L. C. Noll, P. Vo): any spread would do that others can compute. */
static uint32_t spread(tm_slice key)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * 16777619U;
    return hash;
}

/* A loss counts before any renewal; of several the last. Of several renewals one by the account's key: the last would
   all be at the end of the period, where losses are not, and what changes with the season or with age would seem to
   tell them apart. Terms are in order of account and time. */
static void note_decisions(tm_book *b)
{
    for (size_t i = 0; i < b->term_count;) {
        size_t next = i;
        uint32_t renewals = 0;
        for (; next < b->term_count && b->terms[next].account == b->terms[i].account; next++)
            renewals += b->terms[next].fate == WAS_RENEWED && within(b, b->terms[next].due);
        uint32_t chosen = renewals ? spread(b->accounts.items[b->terms[i].account]) % renewals : 0;
        for (; i < next; i++) {
            const term *t = &b->terms[i];
            if (t->fate != WAS_RENEWED || !within(b, t->due) || chosen-- != 0)
                continue;
            b->people[t->account].decided = true;
            b->people[t->account].decided_at = t->due;
        }
    }
    for (size_t i = 0; i < b->churn_count; i++) {
        customer *who = &b->people[b->churns[i].account];
        who->decided = who->lost = true;
        who->decided_at = b->churns[i].t;
    }
}

tm_status tm_book_close(tm_book *book)
{
    if (book->entry_count)
        qsort(book->entries, book->entry_count, sizeof *book->entries, in_order);
    for (size_t i = 0; i < book->entry_count;) {
        uint32_t account = book->entries[i].account;
        size_t next = i;
        while (next < book->entry_count && book->entries[next].account == account)
            next++;
        if (!live(book, account, &book->entries[i], next - i))
            return TM_FATAL;
        i = next;
    }
    note_decisions(book);
    return TM_OK;
}

/* --- asking --- */

uint32_t tm_book_account_count(const tm_book *book)
{
    return book->accounts.count;
}

tm_slice tm_book_account_key(const tm_book *book, uint32_t account)
{
    return book->accounts.items[account];
}

bool tm_book_known(const tm_book *book, uint32_t account)
{
    return book->people[account].told;
}

bool tm_book_customer(const tm_book *book, uint32_t account)
{
    return book->people[account].closing;
}

uint32_t tm_book_currency_count(const tm_book *book)
{
    return book->currencies.count;
}

tm_slice tm_book_currency(const tm_book *book, uint32_t index)
{
    return book->currencies.items[index];
}

uint32_t tm_book_product_count(const tm_book *book)
{
    return book->products.count;
}

tm_slice tm_book_product_name(const tm_book *book, uint32_t index)
{
    return book->products.items[index];
}

size_t tm_book_churn_count(const tm_book *book)
{
    return book->churn_count;
}

tm_book_churn tm_book_churn_at(const tm_book *book, size_t index)
{
    const churn *c = &book->churns[index];
    return (tm_book_churn){c->account,
                           c->currency,
                           c->t,
                           tm_fixed_number(c->mrr),
                           c->reason == NONE ? (tm_slice){0} : book->reasons.items[c->reason],
                           c->first_term};
}

bool tm_book_decision(const tm_book *book, uint32_t account, bool *ret_lost, tm_time *ret_t)
{
    const customer *who = &book->people[account];
    *ret_lost = who->lost;
    *ret_t = who->decided_at;
    return who->decided;
}
