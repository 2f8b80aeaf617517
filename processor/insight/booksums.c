#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bookroom.h"

static const double MONTH = 365.25 / 12 * (double)TM_DAY;

typedef struct sum {
    bool any;
    uint64_t before, customers, churns, terms;
    __int128 opening, closing, fresh, returned, expansion, contraction, churned, moved, base, gross, net, due, renewed;
    tm_time lived;
} sum;

static void add_line(sum *s, const line *l)
{
    s->any = s->any || l->opening_customer || l->closing_customer || l->opening || l->closing || l->fresh ||
             l->returned || l->expansion || l->contraction || l->churned || l->moved;
    s->opening += l->opening;
    s->closing += l->closing;
    s->fresh += l->fresh;
    s->returned += l->returned;
    s->expansion += l->expansion;
    s->contraction += l->contraction;
    s->churned += l->churned;
    s->moved += l->moved;
    s->before += l->opening_customer;
    s->customers += l->closing_customer;
    if (l->opening > 0) { /* the money that was there at the beginning: what of it is there at the end */
        s->base += l->opening;
        s->net += l->closing;
        s->gross += l->closing < l->opening ? l->closing : l->opening;
    }
}

static double money(__int128 millionths)
{
    return tm_fixed_sum_number(millionths);
}

/* One sum as a share of another, which is of so many; of money there is no interval. */
static tm_estimate part(__int128 some, __int128 all, uint64_t of)
{
    return (tm_estimate){all > 0 ? money(some) / money(all) : NAN, NAN, NAN, of};
}

static tm_book_money told(const sum *s, double margin)
{
    double months = (double)s->lived / MONTH;
    tm_book_money m = {.any = s->any || s->churns || s->due,
                       .opening = money(s->opening),
                       .closing = money(s->closing),
                       .fresh = money(s->fresh),
                       .returned = money(s->returned),
                       .expansion = money(s->expansion),
                       .contraction = money(s->contraction),
                       .churned = money(s->churned),
                       .moved = money(s->moved),
                       .net_new_existing = money(s->expansion - s->contraction - s->churned),
                       .gross = part(s->gross, s->base, s->before),
                       .net = part(s->net, s->base, s->before),
                       .renewal = part(s->renewed, s->due, s->terms),
                       .due = money(s->due),
                       .renewed = money(s->renewed),
                       .customers = s->customers,
                       .churns = s->churns,
                       .months = months,
                       .average = s->customers ? money(s->closing) / (double)s->customers : NAN,
                       .monthly_churn = tm_estimate_rate(s->churns, months),
                       .lifetime_value = {NAN, NAN, NAN, s->churns}};
    if (s->churns && months > 0) {
        m.lifetime_value.value = m.average * margin / m.monthly_churn.value;
        m.lifetime_value.low = m.average * margin / m.monthly_churn.high;
        m.lifetime_value.high = m.average * margin / m.monthly_churn.low;
    }
    return m;
}

static uint32_t group_at(const uint32_t *group_of, uint32_t account)
{
    return group_of ? group_of[account] : 0;
}

static void count_customers(const tm_book *b, const uint32_t *group_of, tm_book_customers *out)
{
    for (uint32_t a = 0; a < b->accounts.count; a++) {
        const customer *who = &b->people[a];
        uint32_t group = group_at(group_of, a);
        if (!who->told || group == UINT32_MAX)
            continue;
        tm_book_customers *c = &out[group];
        c->opening += who->opening;
        c->closing += who->closing;
        c->fresh += who->fresh;
        c->returned += who->returned;
        c->churned += who->churned;
        c->kept += who->opening && who->closing;
        c->without_mrr += who->closing && !who->has_mrr;
        c->seats += who->closing ? tm_fixed_number(who->seats) : 0;
        c->months += (double)who->lived / MONTH;
    }
    for (size_t i = 0; i < b->term_count; i++) {
        const term *t = &b->terms[i];
        uint32_t group = group_at(group_of, t->account);
        if (group == UINT32_MAX || t->fate == VOID)
            continue;
        if (within(b, t->due)) {
            out[group].due++;
            out[group].renewed += t->fate == WAS_RENEWED;
            out[group].lost += t->fate == WAS_LOST;
        }
        if (t->first && t->fate != OPEN && within(b, t->decided)) {
            out[group].first_decided++;
            out[group].first_lost += t->fate == WAS_LOST;
        }
    }
}

tm_status tm_book_figures(const tm_book *book, const uint32_t *group_of, uint32_t groups, double margin,
                          tm_book_customers *ret_customers, tm_book_money *ret_money)
{
    size_t currencies = book->currencies.count;
    sum *sums = calloc((size_t)groups * currencies + 1, sizeof *sums);
    if (!sums)
        return TM_FATAL;
    memset(ret_customers, 0, groups * sizeof *ret_customers);
    count_customers(book, group_of, ret_customers);
    for (uint32_t g = 0; g < groups; g++) {
        tm_book_customers *c = &ret_customers[g];
        c->retention = tm_estimate_proportion(c->kept, c->opening);
        c->renewal = tm_estimate_proportion(c->renewed, c->due);
        c->first_churn = tm_estimate_proportion(c->first_lost, c->first_decided);
    }
    for (size_t i = 0; i < book->line_count; i++) {
        uint32_t group = group_at(group_of, book->lines[i].account);
        if (group != UINT32_MAX && book->lines[i].product == NONE)
            add_line(&sums[group * currencies + book->lines[i].currency], &book->lines[i]);
    }
    for (size_t i = 0; i < book->term_count; i++) {
        const term *t = &book->terms[i];
        uint32_t group = group_at(group_of, t->account);
        if (group == UINT32_MAX || t->fate == VOID || !within(book, t->due))
            continue;
        sum *s = &sums[group * currencies + t->currency];
        s->terms++;
        s->due += t->mrr;
        s->renewed += t->fate == WAS_RENEWED ? t->mrr : 0;
    }
    for (size_t i = 0; i < book->churn_count; i++) {
        uint32_t group = group_at(group_of, book->churns[i].account);
        if (group != UINT32_MAX)
            sums[group * currencies + book->churns[i].currency].churns++;
    }
    for (uint32_t a = 0; a < book->accounts.count; a++) {
        uint32_t group = group_at(group_of, a);
        if (group != UINT32_MAX && book->people[a].told && book->people[a].currency != NONE)
            sums[group * currencies + book->people[a].currency].lived += book->people[a].lived;
    }
    for (size_t i = 0; i < groups * currencies; i++)
        ret_money[i] = told(&sums[i], margin);
    free(sums);
    return TM_OK;
}

tm_status tm_book_products(const tm_book *book, tm_book_money *ret_money)
{
    size_t currencies = book->currencies.count;
    sum *sums = calloc(book->products.count * currencies + 1, sizeof *sums);
    if (!sums)
        return TM_FATAL;
    for (size_t i = 0; i < book->line_count; i++)
        if (book->lines[i].product != NONE)
            add_line(&sums[book->lines[i].product * currencies + book->lines[i].currency], &book->lines[i]);
    for (size_t i = 0; i < book->products.count * currencies; i++)
        ret_money[i] = told(&sums[i], NAN);
    free(sums);
    return TM_OK;
}
