#include "tidemark/commands/reportsheets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/page.h"

#define KEYS                                                                                                           \
    {"by", "by", TM_SHEET_TEXT},                                                                                       \
    {                                                                                                                  \
        "group", "group", TM_SHEET_TEXT                                                                                \
    }
#define CURRENCY                                                                                                       \
    {                                                                                                                  \
        "currency", "", TM_SHEET_TEXT                                                                                  \
    }

static const tm_sheet_column customers[] = {KEYS,
                                            {"opening", "opening", TM_SHEET_COUNT},
                                            {"new", "new", TM_SHEET_COUNT},
                                            {"returned", "back", TM_SHEET_COUNT},
                                            {"churned", "churned", TM_SHEET_COUNT},
                                            {"closing", "closing", TM_SHEET_COUNT},
                                            {"retention", "retention", TM_SHEET_SHARE},
                                            {"churn", "churn", TM_SHEET_SHARE},
                                            {"seats", "seats", TM_SHEET_COUNT},
                                            {"without_mrr", "no MRR", TM_SHEET_COUNT}};
static const tm_sheet_column revenue[] = {KEYS,
                                          CURRENCY,
                                          {"mrr", "MRR", TM_SHEET_AMOUNT},
                                          {"arr", "ARR", TM_SHEET_AMOUNT},
                                          {"opening", "opening", TM_SHEET_AMOUNT},
                                          {"new", "new", TM_SHEET_AMOUNT},
                                          {"returned", "back", TM_SHEET_AMOUNT},
                                          {"expansion", "expansion", TM_SHEET_AMOUNT},
                                          {"contraction", "contraction", TM_SHEET_AMOUNT},
                                          {"churned", "churned", TM_SHEET_AMOUNT},
                                          {"moved", NULL, TM_SHEET_AMOUNT},
                                          {"net_new_existing", "net new, existing", TM_SHEET_AMOUNT},
                                          {"gross_retention", "gross", TM_SHEET_SHARE},
                                          {"net_retention", "net", TM_SHEET_SHARE}};
static const tm_sheet_column renewals[] = {KEYS,
                                           {"due", "due", TM_SHEET_COUNT},
                                           {"renewed", "renewed", TM_SHEET_COUNT},
                                           {"lost", "lost", TM_SHEET_COUNT},
                                           {"open", "open", TM_SHEET_COUNT},
                                           {"rate", "renewed of due", TM_SHEET_SHARE}};
static const tm_sheet_column renewed_money[] = {KEYS,
                                                CURRENCY,
                                                {"due", "due", TM_SHEET_AMOUNT},
                                                {"renewed", "renewed", TM_SHEET_AMOUNT},
                                                {"rate", "renewed of due", TM_SHEET_SHARE}};
static const tm_sheet_column value[] = {KEYS,
                                        CURRENCY,
                                        {"customers", "customers", TM_SHEET_COUNT},
                                        {"average_mrr", "average MRR", TM_SHEET_AMOUNT},
                                        {"customer_months", NULL, TM_SHEET_NUMBER},
                                        {"monthly_churn", "churn a month", TM_SHEET_SHARE},
                                        {"lifetime_value", "lifetime value", TM_SHEET_ESTIMATE}};
static const tm_sheet_column reasons[] = {KEYS,
                                          CURRENCY,
                                          {"item", "reason", TM_SHEET_TEXT},
                                          {"churned", "churned", TM_SHEET_COUNT},
                                          {"amount", "MRR", TM_SHEET_AMOUNT},
                                          {"share", "of those churned", TM_SHEET_SHARE}};
static const tm_sheet_column first_value[] = {KEYS,
                                              {"started", "started", TM_SHEET_COUNT},
                                              {"reached", "reached", TM_SHEET_SHARE},
                                              {"days", "days, median", TM_SHEET_ESTIMATE}};
static const tm_sheet_column use[] = {KEYS,
                                      {"accounts", "active accounts", TM_SHEET_COUNT},
                                      {"users", "active users", TM_SHEET_COUNT},
                                      {"events", "events", TM_SHEET_COUNT},
                                      {"of_customers", "of customers", TM_SHEET_SHARE}};
static const tm_sheet_column metrics[] = {
    {"item", "metric", TM_SHEET_TEXT}, {"events", "events", TM_SHEET_COUNT}, {"accounts", "accounts", TM_SHEET_COUNT}};
static const tm_sheet_column features[] = {{"item", "feature", TM_SHEET_TEXT},
                                           {"tickets", "tickets", TM_SHEET_COUNT},
                                           {"accounts", "accounts", TM_SHEET_COUNT},
                                           {"churned", "of these churned", TM_SHEET_SHARE}};
static const tm_sheet_column channels[] = {
    {"group", "channel", TM_SHEET_TEXT}, {"closing", "customers", TM_SHEET_COUNT},
    {"new", "new", TM_SHEET_COUNT},      {"first_terms", "first terms ended", TM_SHEET_COUNT},
    {"lost", "lost", TM_SHEET_COUNT},    {"churn", "churn", TM_SHEET_SHARE}};
static const tm_sheet_column factors[] = {KEYS,
                                          {"item", "figure", TM_SHEET_TEXT},
                                          {"earliest", "tells from, days", TM_SHEET_COUNT},
                                          {"auc_120", "120 days before", TM_SHEET_ESTIMATE},
                                          {"auc_90", "90", TM_SHEET_ESTIMATE},
                                          {"auc_60", "60", TM_SHEET_ESTIMATE},
                                          {"auc_30", "30", TM_SHEET_ESTIMATE}};

enum section {
    CUSTOMERS,
    REVENUE,
    RENEWALS,
    RENEWED_MONEY,
    VALUE,
    REASONS,
    FIRST_VALUE,
    USE,
    METRICS,
    FEATURES,
    CHANNELS,
    FACTORS,
    SECTIONS
};
#define COLUMNS(list) list, sizeof(list) / sizeof((list)[0])
static const struct {
    const char *name, *title;
    const tm_sheet_column *columns;
    size_t count;
} sections[SECTIONS] = {
    [CUSTOMERS] = {"customers", "Customers", COLUMNS(customers)},
    [REVENUE] = {"revenue", "Recurring revenue", COLUMNS(revenue)},
    [RENEWALS] = {"renewals", "Renewals", COLUMNS(renewals)},
    [RENEWED_MONEY] = {"renewed_revenue", "Renewals, in money", COLUMNS(renewed_money)},
    [VALUE] = {"lifetime_value", "Lifetime value", COLUMNS(value)},
    [REASONS] = {"churn_reasons", "Churn by reason", COLUMNS(reasons)},
    [FIRST_VALUE] = {"first_value", "Time to first value", COLUMNS(first_value)},
    [USE] = {"use", "Use", COLUMNS(use)},
    [METRICS] = {"metrics", "Events by metric of the rules", COLUMNS(metrics)},
    [FEATURES] = {"features", "Tickets by feature", COLUMNS(features)},
    [CHANNELS] = {"channels", "Churn in the first term by channel", COLUMNS(channels)},
    [FACTORS] = {"factors", "Figures that told lost customers from renewed ones", COLUMNS(factors)},
};

typedef struct sheets {
    const tm_report *report;
    tm_sheet list[SECTIONS];
    bool failed;
} sheets;

/* Some accounts, as rows have them: all, or those of one label of a dimension. */
typedef struct cut {
    const char *by;
    const tm_report_dimension *dimension; /* NULL: all */
    const uint32_t *group_of;
    uint32_t groups;
} cut;

static void put_key(tm_sheet *sheet, const cut *c, uint32_t group)
{
    tm_sheet_text(sheet, tm_slice_of(c->by));
    tm_sheet_text(sheet, c->dimension ? c->dimension->labels.items[group] : (tm_slice){0});
}

static tm_estimate rest_of(tm_estimate share)
{
    return (tm_estimate){1 - share.value, 1 - share.high, 1 - share.low, share.of};
}

static void put_customers(sheets *s, const cut *c, uint32_t group, const tm_book_customers *f)
{
    tm_sheet *sheet = &s->list[CUSTOMERS];
    put_key(sheet, c, group);
    const uint64_t counts[] = {f->opening, f->fresh, f->returned, f->churned, f->closing};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        tm_sheet_number(sheet, (double)counts[i]);
    tm_sheet_estimate(sheet, f->retention);
    tm_sheet_estimate(sheet, rest_of(f->retention));
    tm_sheet_number(sheet, f->seats);
    tm_sheet_number(sheet, (double)f->without_mrr);
    sheet = &s->list[RENEWALS];
    put_key(sheet, c, group);
    const uint64_t terms[] = {f->due, f->renewed, f->lost, f->due - f->renewed - f->lost};
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++)
        tm_sheet_number(sheet, (double)terms[i]);
    tm_sheet_estimate(sheet, f->renewal);
}

static void put_money(sheets *s, const cut *c, uint32_t group, uint32_t currency, const tm_book_money *m)
{
    tm_slice name = tm_book_currency(s->report->book, currency);
    if (!m->any)
        return;
    tm_sheet *sheet = &s->list[REVENUE];
    put_key(sheet, c, group);
    tm_sheet_text(sheet, name);
    const double amounts[] = {m->closing,   12 * m->closing, m->opening, m->fresh, m->returned,
                              m->expansion, m->contraction,  m->churned, m->moved, m->net_new_existing};
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        tm_sheet_number(sheet, amounts[i]);
    tm_sheet_estimate(sheet, m->gross);
    tm_sheet_estimate(sheet, m->net);
    if (c->dimension && c->dimension->product)
        return;
    sheet = &s->list[RENEWED_MONEY];
    put_key(sheet, c, group);
    tm_sheet_text(sheet, name);
    tm_sheet_number(sheet, m->due);
    tm_sheet_number(sheet, m->renewed);
    tm_sheet_estimate(sheet, m->renewal);
    sheet = &s->list[VALUE];
    put_key(sheet, c, group);
    tm_sheet_text(sheet, name);
    tm_sheet_number(sheet, (double)m->customers);
    tm_sheet_number(sheet, m->average);
    tm_sheet_number(sheet, m->months);
    tm_sheet_estimate(sheet, m->monthly_churn);
    tm_sheet_estimate(sheet, m->lifetime_value);
}

/* --- churn by reason --- */

typedef struct loss {
    uint32_t group, currency;
    tm_slice reason;
    double mrr;
} loss;

static int by_reason(const void *a, const void *b)
{
    const loss *x = a;
    const loss *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (!x->reason.data != !y->reason.data)
        return x->reason.data ? -1 : 1;
    int order = x->reason.data ? tm_slice_compare(x->reason, y->reason) : 0;
    return order ? order : (x->currency > y->currency) - (x->currency < y->currency);
}

static bool put_reasons(sheets *s, const cut *c)
{
    const tm_book *book = s->report->book;
    size_t count = tm_book_churn_count(book);
    loss *losses = calloc(count + 1, sizeof *losses);
    uint64_t *all = calloc((size_t)c->groups + 1, sizeof *all);
    size_t kept = 0;
    for (size_t i = 0; losses && all && i < count; i++) {
        tm_book_churn churn = tm_book_churn_at(book, i);
        uint32_t group = c->group_of ? c->group_of[churn.account] : 0;
        if (group == UINT32_MAX)
            continue;
        losses[kept++] = (loss){group, churn.currency, churn.reason, churn.mrr};
        all[group]++;
    }
    if (kept)
        qsort(losses, kept, sizeof *losses, by_reason);
    for (size_t i = 0; i < kept;) {
        size_t next = i;
        double amount = 0;
        for (; next < kept && by_reason(&losses[i], &losses[next]) == 0; next++)
            amount += losses[next].mrr;
        tm_sheet *sheet = &s->list[REASONS];
        put_key(sheet, c, losses[i].group);
        tm_sheet_text(sheet, tm_book_currency(book, losses[i].currency));
        tm_sheet_text(sheet, losses[i].reason);
        tm_sheet_number(sheet, (double)(next - i));
        tm_sheet_number(sheet, amount);
        tm_sheet_estimate(sheet, tm_estimate_proportion(next - i, all[losses[i].group]));
        i = next;
    }
    bool whole = losses && all;
    free(losses);
    free(all);
    return whole;
}

/* --- what was seen --- */

static bool put_seen(sheets *s, const cut *c, uint32_t group, uint64_t customers_now)
{
    const tm_report *r = s->report;
    uint32_t count = tm_book_account_count(r->book);
    double *days = calloc((size_t)count + 1, sizeof *days);
    if (!days)
        return false;
    uint64_t started = 0, reached = 0, accounts = 0, users = 0, events = 0, active = 0;
    for (uint32_t a = 0; a < count; a++) {
        const tm_report_seen *seen = &r->seen[a];
        if (c->group_of && c->group_of[a] != group)
            continue;
        accounts += seen->events > 0;
        users += seen->users;
        events += seen->events;
        active += seen->events > 0 && tm_book_customer(r->book, a);
        started += seen->started;
        if (seen->started && !isnan(seen->value))
            days[reached++] = seen->value;
    }
    tm_sheet *sheet = &s->list[USE];
    put_key(sheet, c, group);
    tm_sheet_number(sheet, (double)accounts);
    tm_sheet_number(sheet, (double)users);
    tm_sheet_number(sheet, (double)events);
    tm_sheet_estimate(sheet, tm_estimate_proportion(active, customers_now));
    if (r->with_value) {
        sheet = &s->list[FIRST_VALUE];
        put_key(sheet, c, group);
        tm_sheet_number(sheet, (double)started);
        tm_sheet_estimate(sheet, tm_estimate_proportion(reached, started));
        tm_sheet_estimate(sheet, tm_estimate_median(days, reached));
    }
    free(days);
    return true;
}

static bool put_cut(sheets *s, const cut *c)
{
    const tm_report *r = s->report;
    uint32_t currencies = tm_book_currency_count(r->book);
    bool product = c->dimension && c->dimension->product;
    uint32_t groups = product ? tm_book_product_count(r->book) : c->groups;
    tm_book_customers *counts = calloc((size_t)groups + 1, sizeof *counts);
    tm_book_money *sums = calloc((size_t)groups * currencies + 1, sizeof *sums);
    bool whole = counts && sums;
    if (whole)
        whole = (product ? tm_book_products(r->book, sums)
                         : tm_book_figures(r->book, c->group_of, groups, r->margin, counts, sums)) == TM_OK;
    for (uint32_t g = 0; whole && g < groups; g++) {
        for (uint32_t i = 0; i < currencies; i++)
            put_money(s, c, g, i, &sums[g * currencies + i]);
        if (product)
            continue;
        put_customers(s, c, g, &counts[g]);
        whole = put_seen(s, c, g, counts[g].closing);
    }
    if (whole && !product)
        whole = put_reasons(s, c);
    free(counts);
    free(sums);
    return whole;
}

/* The reasons of those lost that had tickets about a feature, a feature at a time: an account may have had them about
   several. */
static bool put_feature_reasons(sheets *s)
{
    const tm_report *r = s->report;
    uint32_t count = tm_book_account_count(r->book);
    uint32_t *group_of = calloc((size_t)count + 1, sizeof *group_of);
    bool whole = group_of != NULL;
    for (uint32_t f = 0; whole && f < r->features.count; f++) {
        tm_report_dimension one = {.name = "feature", .labels = {.items = &r->features.items[f], .count = 1}};
        for (uint32_t a = 0; a < count; a++)
            group_of[a] = tm_table_find(&r->about, tm_report_pair(a, f)) == TM_TABLE_NONE ? UINT32_MAX : 0;
        whole = put_reasons(s, &(cut){one.name, &one, group_of, 1});
    }
    free(group_of);
    return whole;
}

static bool put_channels(sheets *s)
{
    const tm_report *r = s->report;
    const tm_report_dimension *d = &r->dimensions[TM_REPORT_CHANNEL];
    tm_book_customers *counts = calloc((size_t)d->labels.count + 1, sizeof *counts);
    tm_book_money *sums = calloc((size_t)d->labels.count * tm_book_currency_count(r->book) + 1, sizeof *sums);
    bool whole =
        counts && sums && tm_book_figures(r->book, d->group_of, d->labels.count, r->margin, counts, sums) == TM_OK;
    for (uint32_t g = 0; whole && g < d->labels.count; g++) {
        tm_sheet *sheet = &s->list[CHANNELS];
        tm_sheet_text(sheet, d->labels.items[g]);
        tm_sheet_number(sheet, (double)counts[g].closing);
        tm_sheet_number(sheet, (double)counts[g].fresh);
        tm_sheet_number(sheet, (double)counts[g].first_decided);
        tm_sheet_number(sheet, (double)counts[g].first_lost);
        tm_sheet_estimate(sheet, counts[g].first_churn);
    }
    free(counts);
    free(sums);
    return whole;
}

static void put_items(sheets *s)
{
    const tm_report *r = s->report;
    for (uint32_t m = 0; m < r->pack->metric_count; m++) {
        const tm_metric *metric = &r->pack->metrics[m];
        if (metric->kind != TM_METRIC_COUNT || metric->where != TM_NODE_NONE)
            continue;
        tm_sheet_text(&s->list[METRICS], metric->name);
        tm_sheet_number(&s->list[METRICS], (double)r->metrics[m].events);
        tm_sheet_number(&s->list[METRICS], (double)r->metrics[m].accounts);
    }
    for (uint32_t f = 0; f < r->features.count; f++) {
        tm_sheet_text(&s->list[FEATURES], r->features.items[f]);
        tm_sheet_number(&s->list[FEATURES], (double)r->items[f].events);
        tm_sheet_number(&s->list[FEATURES], (double)r->items[f].accounts);
        tm_sheet_estimate(&s->list[FEATURES], tm_estimate_proportion(r->items[f].churned, r->items[f].accounts));
    }
}

/* --- what told them apart --- */

typedef struct teller {
    uint32_t factor;
    int32_t earliest; /* days; 0: never */
    double strength;  /* how far from 1/2 it was then, or at most */
    tm_estimate areas[TM_REPORT_LOOKS];
} teller;

static int best_first(const void *a, const void *b)
{
    const teller *x = a;
    const teller *y = b;
    if (x->earliest != y->earliest)
        return x->earliest > y->earliest ? -1 : 1;
    if (x->strength != y->strength)
        return x->strength > y->strength ? -1 : 1;
    return (x->factor > y->factor) - (x->factor < y->factor);
}

static bool put_factors(sheets *s, const cut *c, uint32_t group)
{
    const tm_report *r = s->report;
    teller *tellers = calloc((size_t)r->factor_count + 1, sizeof *tellers);
    bool whole = tellers != NULL;
    uint32_t count = 0;
    for (uint32_t f = 0; whole && f < r->factor_count; f++) {
        teller *t = &tellers[count];
        *t = (teller){.factor = f};
        bool known = false;
        for (uint32_t i = TM_REPORT_LOOKS; whole && i-- > 0;) {
            whole = tm_separation_area(r->separation, c->group_of, group, i, f, &t->areas[i]) == TM_OK;
            known = known || !isnan(t->areas[i].value);
            double strength = fabs(t->areas[i].value - 0.5);
            if (tm_separation_tells(t->areas[i])) {
                t->earliest = r->looks[i];
                t->strength = strength;
            } else if (t->earliest == 0 && strength > t->strength) {
                t->strength = strength;
            }
        }
        count += known;
    }
    if (count)
        qsort(tellers, count, sizeof *tellers, best_first);
    for (uint32_t i = 0; whole && i < count; i++) {
        tm_sheet *sheet = &s->list[FACTORS];
        put_key(sheet, c, group);
        tm_sheet_text(sheet, tm_slice_of(r->factors[tellers[i].factor]));
        tm_sheet_number(sheet, tellers[i].earliest ? (double)tellers[i].earliest : NAN);
        for (uint32_t l = 0; l < TM_REPORT_LOOKS; l++)
            tm_sheet_estimate(sheet, tellers[i].areas[l]);
    }
    free(tellers);
    return whole;
}

static bool fill(sheets *s)
{
    const tm_report *r = s->report;
    for (int i = 0; i < SECTIONS; i++)
        if (tm_sheet_init(&s->list[i], sections[i].name, sections[i].title, sections[i].columns,
                          (uint32_t)sections[i].count) != TM_OK)
            return false;
    const cut all = {"all", NULL, NULL, 1};
    bool whole = put_cut(s, &all);
    for (uint32_t d = TM_REPORT_GROUPED; whole && d < r->dimension_count; d++) {
        tm_report_dimension by = r->dimensions[d];
        if (by.product) { /* its labels are the book's */
            by.labels.count = tm_book_product_count(r->book);
            by.labels.items = calloc((size_t)by.labels.count + 1, sizeof *by.labels.items);
            for (uint32_t i = 0; by.labels.items && i < by.labels.count; i++)
                by.labels.items[i] = tm_book_product_name(r->book, i);
        }
        whole =
            (by.labels.items || by.labels.count == 0) && put_cut(s, &(cut){by.name, &by, by.group_of, by.labels.count});
        if (by.product)
            free(by.labels.items);
    }
    whole = whole && put_feature_reasons(s) && put_channels(s);
    put_items(s);
    if (r->separation && whole) {
        const tm_report_dimension *tier = &r->dimensions[TM_REPORT_TIER];
        whole = put_factors(s, &all, 0);
        for (uint32_t g = 0; whole && tier->labels.count > 1 && g < tier->labels.count; g++)
            whole = put_factors(s, &(cut){"tier", tier, tier->group_of, tier->labels.count}, g);
    }
    for (int i = 0; i < SECTIONS; i++)
        whole = whole && !s->list[i].failed;
    return whole;
}

/* --- forms --- */

static void put_json(const sheets *s, tm_buffer *out)
{
    const tm_report *r = s->report;
    char from[TM_TIME_TEXT];
    char at[TM_TIME_TEXT];
    tm_time_format(r->from, from);
    tm_time_format(r->at, at);
    tm_buffer_append_format(out, "{\"from\":\"%s\",\"at\":\"%s\",\"margin\":", from, at);
    tm_buffer_append_json_number(out, r->margin);
    tm_buffer_append_text(out, ",\"outcomes\":");
    if (r->has_outcomes)
        tm_buffer_append_format(out, "{\"taken\":%llu,\"unknown_accounts\":%llu,\"other_words\":%llu}",
                                (unsigned long long)r->read.taken, (unsigned long long)r->read.strange,
                                (unsigned long long)r->read.other);
    else
        tm_buffer_append_text(out, "null");
    for (int i = 0; i < SECTIONS; i++) {
        tm_buffer_append_format(out, ",\"%s\":[", sections[i].name);
        for (size_t row = 0; row < tm_sheet_rows(&s->list[i]); row++) {
            if (row)
                tm_buffer_append_char(out, ',');
            tm_sheet_json(&s->list[i], row, out);
        }
        tm_buffer_append_char(out, ']');
    }
    tm_buffer_append_text(out, "}\n");
}

static void put_number(double number, tm_buffer *out)
{
    if (!isnan(number))
        tm_buffer_append_json_number(out, number);
}

/* A figure a line. */
static void put_csv(const sheets *s, tm_buffer *out)
{
    static const char *const keys[] = {"by", "group", "currency", "item"};
    enum { KEY_COUNT = sizeof keys / sizeof keys[0] };
    tm_buffer_append_text(out, "section,by,group,currency,item,figure,value,low,high,of\n");
    for (int i = 0; i < SECTIONS; i++) {
        const tm_sheet *sheet = &s->list[i];
        for (size_t n = 0; n < sheet->count; n++) {
            const tm_sheet_column *column = &sheet->columns[n % sheet->column_count];
            const tm_sheet_cell *row = &sheet->cells[n - n % sheet->column_count];
            const tm_estimate *e = &sheet->cells[n].estimate;
            if (column->kind == TM_SHEET_TEXT)
                continue;
            tm_buffer_append_text(out, sheet->name);
            for (size_t k = 0; k < KEY_COUNT; k++) {
                tm_buffer_append_char(out, ',');
                for (uint32_t c = 0; c < sheet->column_count; c++)
                    if (strcmp(sheet->columns[c].name, keys[k]) == 0)
                        tm_sheet_csv_text(row[c].text, out);
            }
            tm_buffer_append_format(out, ",%s,", column->name);
            put_number(e->value, out);
            tm_buffer_append_char(out, ',');
            put_number(e->low, out);
            tm_buffer_append_char(out, ',');
            put_number(e->high, out);
            if (column->kind == TM_SHEET_SHARE || column->kind == TM_SHEET_ESTIMATE)
                tm_buffer_append_format(out, ",%llu\n", (unsigned long long)e->of);
            else
                tm_buffer_append_text(out, ",\n");
        }
    }
}

static void print_tables(const sheets *s)
{
    char from[TM_TIME_TEXT];
    char at[TM_TIME_TEXT];
    tm_time_format(s->report->from, from);
    tm_time_format(s->report->at, at);
    printf("From %s to %s", from, at);
    if (s->report->has_outcomes)
        printf("; %llu outcomes (and %llu of accounts without a record, %llu of other words)",
               (unsigned long long)s->report->read.taken, (unsigned long long)s->report->read.strange,
               (unsigned long long)s->report->read.other);
    printf("\nShares with intervals of 95 %%, n: of how many.\n");
    for (int i = 0; i < SECTIONS; i++) {
        if (tm_sheet_rows(&s->list[i]) == 0)
            continue;
        printf("\n%s\n", sections[i].title);
        tm_sheet_print(&s->list[i], stdout);
    }
}

int tm_report_print(const tm_command *command, const tm_report *report, tm_report_form form, const char *page)
{
    sheets s = {.report = report};
    tm_buffer out;
    tm_buffer_init(&out, SIZE_MAX / 4);
    int status = fill(&s) ? EX_OK : tm_cli_say(command, EX_OSERR, "out of memory");
    if (!status && (page || form == TM_REPORT_JSON))
        put_json(&s, &out);
    if (!status && page)
        status = tm_page_write(command, page, "processor/pages/report.html", tm_buffer_slice(&out));
    if (!status && form == TM_REPORT_CSV) {
        tm_buffer_reset(&out);
        put_csv(&s, &out);
    }
    if (!status && form == TM_REPORT_TABLES)
        print_tables(&s);
    else if (!status && out.overflowed)
        status = tm_cli_say(command, EX_OSERR, "out of memory");
    else if (!status)
        (void)fwrite(out.data, 1, out.length, stdout);
    if (!status && (fflush(stdout) != 0 || ferror(stdout)))
        status = tm_cli_say(command, EX_IOERR, "standard output cannot be written");
    for (int i = 0; i < SECTIONS; i++)
        if (s.list[i].arena)
            tm_sheet_done(&s.list[i]);
    tm_buffer_done(&out);
    return status;
}
