#include "tidemark/commands/reportcollect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"

static const int32_t looks[TM_REPORT_LOOKS] = {120, 90, 60, 30};
static const tm_moment nowhen; /* for facts that do not depend on the instant */

/* An account to be looked at, some days before what became of it. */
typedef struct look {
    uint32_t account, number, which;
    tm_time t;
} look;

typedef struct collecting {
    tm_report *report;
    const tm_report_request *asked;
    const tm_setup *setup;
    tm_feed_options files;
    tm_error *error;
    tm_shard *shard;
    uint32_t *factor_nodes;
    look *looks;
    size_t look_count, seen_room, items_room;
    tm_table users, met_metrics; /* pairs met */
} collecting;

static tm_status out_of_memory(const collecting *c)
{
    return tm_fail(c->error, TM_FATAL, "out of memory");
}

static double number_of(tm_value value)
{
    return value.type == TM_TYPE_NUMBER || value.type == TM_TYPE_DURATION ? value.as.number : NAN;
}

uint64_t tm_report_pair(uint64_t account, uint64_t feature)
{
    const uint64_t both[2] = {account, feature};
    return tm_hash((tm_slice){(const char *)both, sizeof both});
}

/* True the first time two numbers come together; *ret_failed without memory. */
static bool first_meeting(tm_table *pairs, uint64_t a, uint64_t b, bool *ret_failed)
{
    uint64_t hash = tm_report_pair(a, b);
    if (tm_table_find(pairs, hash) != TM_TABLE_NONE)
        return false;
    *ret_failed = *ret_failed || tm_table_put(pairs, hash, 0) != TM_OK;
    return true;
}

/* --- first: what the account records say --- */

static int32_t day_of(const tm_setup *setup, const tm_contract_date *date)
{
    if (!date->text.data)
        return TM_BOOK_NO_DAY;
    return date->is_instant ? tm_zone_day(setup->zone, date->instant) : date->day;
}

static tm_status tell_record(const collecting *c, uint32_t account, const tm_record *record)
{
    const tm_facts_draft *draft = record->facts;
    tm_facts *facts = tm_facts_new(c->report->heap, draft);
    if (!facts)
        return TM_FATAL;
    const tm_moment moment = {.t = record->timestamp, .zone = c->setup->zone};
    tm_value first = tm_facts_value(facts, TM_FACT_FIRST_TERM, (tm_slice){0}, &moment);
    tm_value reason = tm_facts_value(facts, TM_FACT_ATTRIBUTE, TM_SLICE_LITERAL("churn_reason"), &nowhen);
    tm_book_product products[TM_FACT_LIST_MAX];
    for (uint32_t i = 0; i < draft->product_count; i++)
        products[i] = (tm_book_product){draft->products[i].name, draft->products[i].mrr};
    tm_book_terms terms = {.customer = !draft->status.data || tm_slice_equal_text(draft->status, "active"),
                           .first_term = tm_value_is_true(first),
                           .mrr = draft->mrr,
                           .seats = draft->seats,
                           .currency = draft->currency,
                           .reason = reason.type == TM_TYPE_STRING ? reason.as.string : (tm_slice){0},
                           .renewal = day_of(c->setup, &draft->renewal_at),
                           .products = products,
                           .product_count = draft->product_count};
    tm_status status = tm_book_record(c->report->book, account, record->timestamp, &terms);
    tm_facts_free(c->report->heap, facts);
    return status;
}

static tm_status tell_book(collecting *c)
{
    tm_feed_options only = c->files;
    only.events = NULL;
    tm_feed *feed = NULL;
    tm_status status = tm_feed_open(&only, &feed, c->error);
    while (status == TM_OK) {
        tm_record record;
        bool end;
        status = tm_feed_next(feed, &record, &end, c->error);
        if (status != TM_OK || end)
            break;
        if (record.kind != TM_RECORD_FACTS && record.kind != TM_RECORD_ERASE)
            continue;
        uint32_t account = tm_book_account(c->report->book, record.account);
        if (account == UINT32_MAX)
            status = TM_FATAL;
        else if (record.kind == TM_RECORD_ERASE)
            tm_book_erase(c->report->book, account, record.timestamp);
        else
            status = tell_record(c, account, &record);
    }
    (void)tm_feed_close(feed, NULL);
    return status;
}

static tm_status tell_outcome(void *context, tm_slice account, tm_ending ending, tm_time t, tm_slice reason)
{
    tm_book *book = context;
    uint32_t number = tm_book_find(book, account);
    if (number == UINT32_MAX || !tm_book_known(book, number))
        return TM_REJECT;
    if (ending == TM_ENDING_CHURNED)
        return tm_book_churned(book, number, t, reason.length ? reason : (tm_slice){0});
    return ending == TM_ENDING_RENEWED ? tm_book_renewed(book, number, t) : TM_OK;
}

/* --- the moments before it is decided --- */

static int by_time(const void *a, const void *b)
{
    const look *x = a;
    const look *y = b;
    return x->t != y->t ? (x->t < y->t ? -1 : 1) : (x->account > y->account) - (x->account < y->account);
}

static tm_status plan_looks(collecting *c)
{
    tm_report *r = c->report;
    uint32_t count = tm_book_account_count(r->book);
    c->looks = calloc((size_t)count * TM_REPORT_LOOKS + 1, sizeof *c->looks);
    r->separation = r->factor_count ? tm_separation_new(r->factor_count, TM_REPORT_LOOKS) : NULL;
    if (!c->looks || (r->factor_count && !r->separation))
        return TM_FATAL;
    for (uint32_t a = 0; r->separation && a < count; a++) {
        bool lost;
        tm_time decided;
        if (!tm_book_decision(r->book, a, &lost, &decided))
            continue;
        uint32_t number = tm_separation_case(r->separation, a, lost);
        if (number == UINT32_MAX)
            return TM_FATAL;
        for (uint32_t i = 0; i < TM_REPORT_LOOKS; i++)
            c->looks[c->look_count++] = (look){a, number, i, decided - looks[i] * TM_DAY};
    }
    if (c->look_count)
        qsort(c->looks, c->look_count, sizeof *c->looks, by_time);
    return TM_OK;
}

static tm_status look_at(collecting *c, const look *l)
{
    tm_status status = tm_shard_advance(c->shard, l->t);
    tm_slice key = tm_book_account_key(c->report->book, l->account);
    if (status != TM_OK || !tm_shard_account(c->shard, key))
        return tm_feed_refused(c->shard, NULL, status, c->error);
    for (uint32_t i = 0; i < c->report->factor_count; i++)
        tm_separation_value(c->report->separation, l->number, l->which, i,
                            number_of(tm_shard_evaluate(c->shard, key, l->t, c->factor_nodes[i])));
    return TM_OK;
}

/* --- then: everything, through the shard --- */

static tm_report_seen *seen_of(collecting *c, uint32_t account)
{
    tm_report *r = c->report;
    if (account >= c->seen_room) {
        size_t room = c->seen_room ? c->seen_room * 2 : 256;
        while (room <= account)
            room *= 2;
        tm_report_seen *seen = reallocarray(r->seen, room, sizeof *seen);
        if (!seen)
            return NULL;
        for (size_t i = c->seen_room; i < room; i++)
            seen[i] = (tm_report_seen){.value = NAN};
        r->seen = seen;
        c->seen_room = room;
    }
    return &r->seen[account];
}

static bool plain_count(const tm_metric *metric)
{
    return metric->kind == TM_METRIC_COUNT && metric->where == TM_NODE_NONE;
}

static tm_report_item *feature_of(collecting *c, tm_value feature, uint32_t *ret_number)
{
    tm_report *r = c->report;
    *ret_number = tm_names_number(&r->features, feature.as.string);
    if (*ret_number == TM_NAMES_NONE)
        return NULL;
    if (*ret_number >= c->items_room) {
        size_t room = c->items_room ? c->items_room * 2 : 32;
        tm_report_item *items = reallocarray(r->items, room, sizeof *items);
        if (!items)
            return NULL;
        memset(items + c->items_room, 0, (room - c->items_room) * sizeof *items);
        r->items = items;
        c->items_room = room;
    }
    return &r->items[*ret_number];
}

/* An event of the period that was taken, not a duplicate. */
static tm_status note_event(collecting *c, const tm_event *event)
{
    tm_report *r = c->report;
    bool failed = false;
    uint32_t account = tm_book_account(r->book, event->account);
    tm_report_seen *seen = account == UINT32_MAX ? NULL : seen_of(c, account);
    if (!seen)
        return out_of_memory(c);
    seen->events++;
    uint64_t who = (uint64_t)seen->life << 32 | account;
    if (event->user_key && first_meeting(&c->users, who, event->user_key, &failed))
        seen->users++;
    for (uint32_t m = 0; m < r->pack->metric_count; m++) {
        if (!plain_count(&r->pack->metrics[m]) || !tm_metric_selects(&r->pack->metrics[m], event->name))
            continue;
        r->metrics[m].events++;
        r->metrics[m].accounts += first_meeting(&c->met_metrics, account, m, &failed);
    }
    tm_value feature = tm_event_property(event, tm_slice_of(r->feature));
    if (tm_slice_has_prefix(event->name, TM_SLICE_LITERAL("ticket")) && feature.type == TM_TYPE_STRING) {
        uint32_t number;
        tm_report_item *item = feature_of(c, feature, &number);
        if (!item)
            return out_of_memory(c);
        item->events++;
        item->accounts += first_meeting(&r->about, account, number, &failed);
    }
    return failed ? out_of_memory(c) : TM_OK;
}

/* An account that was erased begins anew, its users too. */
static void forget(collecting *c, uint32_t account)
{
    if (account != UINT32_MAX && account < c->seen_room)
        c->report->seen[account] = (tm_report_seen){.value = NAN, .life = c->report->seen[account].life + 1};
}

static tm_status feed_all(collecting *c, tm_feed *feed)
{
    size_t next = 0;
    for (;;) {
        tm_record record;
        bool end;
        tm_status status = tm_feed_next(feed, &record, &end, c->error);
        tm_time reached = end ? TM_TIME_NEVER : record.timestamp;
        for (; status == TM_OK && next < c->look_count && c->looks[next].t < reached; next++)
            if (c->looks[next].t >= tm_shard_time(c->shard))
                status = look_at(c, &c->looks[next]);
        if (status != TM_OK)
            return status;
        if (end)
            return tm_feed_refused(c->shard, NULL, tm_shard_advance(c->shard, c->report->at), c->error);
        uint64_t applied = tm_shard_counted(c->shard)->applied;
        status = tm_feed_apply(feed, c->shard, &record, "report, bytes", c->error);
        if (status == TM_OK && record.kind == TM_RECORD_ERASE)
            forget(c, tm_book_find(c->report->book, record.account));
        if (status == TM_OK && record.kind == TM_RECORD_EVENT && tm_shard_counted(c->shard)->applied > applied &&
            record.event->at > c->report->from && record.event->at <= c->report->at)
            status = note_event(c, record.event);
        if (status != TM_OK)
            return status;
    }
}

/* --- at the end: which groups, and since when --- */

static tm_value fact(const tm_facts *facts, tm_fact_field field, tm_slice name)
{
    return tm_facts_value(facts, field, name, &nowhen);
}

static tm_value label_value(const collecting *c, const tm_account *account, const char *name)
{
    static const struct {
        const char *name;
        tm_fact_field field;
    } fields[] = {{"plan", TM_FACT_PLAN},     {"tier", TM_FACT_TIER},
                  {"status", TM_FACT_STATUS}, {"success_plan", TM_FACT_SUCCESS_PLAN},
                  {"name", TM_FACT_NAME},     {"currency", TM_FACT_CURRENCY}};
    const tm_facts *facts = account->facts;
    if (strcmp(name, "stage") == 0) {
        tm_slice stage = tm_stage_name(c->setup->pack, tm_stage_present(&account->stages));
        return stage.data ? tm_value_string(stage) : tm_value_null();
    }
    if (strcmp(name, "owner") == 0)
        return fact(facts, TM_FACT_OWNER, tm_slice_of(c->asked->owner_role));
    if (strncmp(name, "owners.", 7) == 0)
        return fact(facts, TM_FACT_OWNER, tm_slice_of(name + 7));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(name, fields[i].name) == 0)
            return fact(facts, fields[i].field, (tm_slice){0});
    return fact(facts, TM_FACT_ATTRIBUTE, tm_slice_of(strncmp(name, "attributes.", 11) == 0 ? name + 11 : name));
}

static tm_status label(collecting *c, tm_report_dimension *d, uint32_t number, const tm_account *account)
{
    tm_value value = label_value(c, account, d->name);
    tm_buffer text;
    tm_buffer_init(&text, TM_FACT_TEXT_MAX + 64);
    if (value.type == TM_TYPE_STRING)
        tm_buffer_append_slice(&text, value.as.string);
    else if (value.type == TM_TYPE_NUMBER)
        tm_buffer_append_json_number(&text, value.as.number);
    else if (value.type == TM_TYPE_BOOLEAN)
        tm_buffer_append_text(&text, value.as.boolean ? "true" : "false");
    const bool null = tm_value_is_null(value);
    tm_slice shown = null ? (tm_slice){0} : (tm_slice){tm_buffer_text(&text), text.length};
    uint32_t group = text.overflowed || !d->group_of ? TM_NAMES_NONE : tm_names_number(&d->labels, shown);
    tm_buffer_done(&text);
    if (group == TM_NAMES_NONE)
        return out_of_memory(c);
    d->group_of[number] = group;
    return TM_OK;
}

static tm_status note_value(collecting *c, tm_report_seen *seen, const tm_account *account, tm_facts_draft *draft)
{
    tm_report *r = c->report;
    if (!account->facts)
        return TM_OK;
    tm_facts_read(account->facts, draft);
    int32_t day = day_of(c->setup, &draft->contract_start);
    tm_time start = day == TM_BOOK_NO_DAY ? TM_TIME_NONE : tm_zone_day_start(c->setup->zone, day);
    seen->started = start != TM_TIME_NONE && start > r->from && start <= r->at;
    if (c->asked->value_node != TM_NODE_NONE)
        seen->value =
            number_of(tm_shard_evaluate(c->shard, account->key, r->at, c->asked->value_node)) / (double)TM_DAY;
    return TM_OK;
}

static int by_label(const void *a, const void *b, void *context)
{
    const tm_slice *items = context;
    tm_slice x = items[*(const uint32_t *)a];
    tm_slice y = items[*(const uint32_t *)b];
    return !x.data != !y.data ? (x.data ? -1 : 1) : x.data ? tm_slice_compare(x, y) : 0;
}

/* Numbers the labels anew in their order, the absent one last; by text they are not found any more. */
static tm_status order_labels(const collecting *c, tm_report_dimension *d)
{
    uint32_t count = d->labels.count;
    uint32_t *order = calloc((size_t)count * 2 + 1, sizeof *order);
    tm_slice *items = tm_heap_take(c->report->heap, ((size_t)count + 1) * sizeof *items);
    if (!order || !items) {
        free(order);
        return out_of_memory(c);
    }
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    if (count)
        qsort_r(order, count, sizeof *order, by_label, d->labels.items);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = d->labels.items[order[i]];
        order[count + order[i]] = i;
    }
    for (uint32_t a = 0; a < tm_book_account_count(c->report->book); a++)
        if (d->group_of[a] != UINT32_MAX)
            d->group_of[a] = order[count + d->group_of[a]];
    if (count)
        memcpy(d->labels.items, items, count * sizeof *items);
    free(order);
    return TM_OK;
}

static tm_status label_all(collecting *c)
{
    tm_report *r = c->report;
    uint32_t shown = tm_shard_account_count(c->shard);
    for (uint32_t i = 0; i < shown; i++) /* those of which there are only events too */
        if (tm_book_account(r->book, tm_shard_account_at(c->shard, i)->key) == UINT32_MAX)
            return out_of_memory(c);
    uint32_t count = tm_book_account_count(r->book);
    tm_facts_draft *draft = calloc(1, sizeof *draft);
    tm_status status = draft && (count == 0 || seen_of(c, count - 1)) ? TM_OK : out_of_memory(c);
    for (uint32_t d = 0; status == TM_OK && d < r->dimension_count; d++) {
        r->dimensions[d].group_of = tm_heap_take(r->heap, ((size_t)count + 1) * sizeof(uint32_t));
        if (!r->dimensions[d].group_of)
            status = out_of_memory(c);
        else
            memset(r->dimensions[d].group_of, 0xff, ((size_t)count + 1) * sizeof(uint32_t));
    }
    for (uint32_t i = 0; status == TM_OK && i < shown; i++) {
        const tm_account *account = tm_shard_account_at(c->shard, i);
        uint32_t number = tm_book_find(r->book, account->key);
        tm_report_seen *seen = seen_of(c, number);
        for (uint32_t d = 0; status == TM_OK && d < r->dimension_count; d++)
            status = r->dimensions[d].product ? TM_OK : label(c, &r->dimensions[d], number, account);
        if (status == TM_OK)
            status = seen ? note_value(c, seen, account, draft) : out_of_memory(c);
    }
    for (uint32_t d = 0; status == TM_OK && d < r->dimension_count; d++)
        status = order_labels(c, &r->dimensions[d]);
    free(draft);
    return status;
}

/* Which of the accounts with tickets about a feature were lost. */
static tm_status count_lost(collecting *c)
{
    tm_report *r = c->report;
    tm_table lost;
    if (tm_table_init(&lost, r->heap, 64) != TM_OK)
        return out_of_memory(c);
    for (size_t i = 0; i < tm_book_churn_count(r->book); i++) {
        uint32_t account = tm_book_churn_at(r->book, i).account;
        bool failed = false;
        if (!first_meeting(&lost, account, 0, &failed))
            continue;
        if (failed)
            return out_of_memory(c);
        for (uint32_t f = 0; f < r->features.count; f++) {
            r->items[f].churned += tm_table_find(&r->about, tm_report_pair(account, f)) != TM_TABLE_NONE;
        }
    }
    return TM_OK;
}

static tm_status pass_through(collecting *c)
{
    tm_report *r = c->report;
    tm_feed *feed = NULL;
    tm_status status = tm_feed_open(&c->files, &feed, c->error);
    if (status != TM_OK)
        return status;
    tm_time first = tm_feed_first(feed);
    tm_time counting = tm_setup_counting_start(c->setup, tm_feed_first_usage(feed), TM_TIME_MAX);
    c->shard = tm_shard_new(&c->setup->shard, c->setup->pack, counting, NULL, 0);
    if (!c->shard)
        status = out_of_memory(c);
    if (status == TM_OK && first != TM_TIME_NONE && first <= r->at) {
        tm_shard_begin(c->shard, TM_TIME_NEVER);
        tm_shard_start(c->shard, first);
        status = feed_all(c, feed);
    }
    tm_cli_progress_end();
    if (status == TM_OK && tm_feed_dead_all(feed))
        fprintf(stderr, "tidemark report: %llu records could not be used\n",
                (unsigned long long)tm_feed_dead_all(feed));
    if (status == TM_OK)
        status = label_all(c);
    if (status == TM_OK)
        status = count_lost(c);
    tm_shard_free(c->shard);
    (void)tm_feed_close(feed, NULL);
    return status;
}

/* --- the period --- */

/* Where the files begin and end: only for what was not said. */
static tm_status find_period(collecting *c)
{
    const bool at_is_known = c->asked->at_is_known;
    tm_report *r = c->report;
    tm_feed *feed = NULL;
    tm_feed_options all = c->files;
    all.until = at_is_known ? r->at : TM_TIME_NEVER;
    tm_status status = tm_feed_open(&all, &feed, c->error);
    if (status != TM_OK)
        return status;
    tm_time first = tm_feed_first(feed);
    tm_time last = first;
    while (status == TM_OK && !at_is_known) {
        tm_record record;
        bool end;
        status = tm_feed_next(feed, &record, &end, c->error);
        if (end)
            break;
        last = record.timestamp;
    }
    (void)tm_feed_close(feed, NULL);
    if (status != TM_OK)
        return status;
    if (!at_is_known && last == TM_TIME_NONE)
        return tm_fail(c->error, TM_REJECT, "no record of the files has a time: --at is needed");
    if (!at_is_known)
        r->at = last;
    if (r->from == TM_TIME_NONE) { /* a year, or as long as there are records */
        r->from = r->at - 365 * TM_DAY;
        if (first != TM_TIME_NONE && first <= r->at && first > r->from)
            r->from = first;
    }
    return TM_OK;
}

/* The factors of every card: "SCORE.CARD.FACTOR"; the score's name alone where it has one card. */
static bool name_factors(collecting *c)
{
    tm_report *r = c->report;
    const tm_pack *pack = r->pack;
    for (uint32_t s = 0; s < pack->score_count; s++)
        for (uint32_t i = 0; i < pack->scores[s].card_count; i++)
            r->factor_count += pack->scores[s].cards[i].factor_count + (i == 0);
    r->factors = tm_heap_take(r->heap, ((size_t)r->factor_count + 1) * sizeof *r->factors);
    c->factor_nodes = tm_heap_take(r->heap, ((size_t)r->factor_count + 1) * sizeof *c->factor_nodes);
    uint32_t count = 0;
    for (uint32_t s = 0; r->factors && c->factor_nodes && s < pack->score_count; s++) {
        const tm_score *score = &pack->scores[s];
        for (uint32_t i = 0; i < score->card_count; i++) {
            const tm_card *card = &score->cards[i];
            for (uint32_t f = 0; f <= card->factor_count; f++) {
                bool whole = f == card->factor_count; /* the score itself, once */
                if (whole && i > 0)
                    continue;
                enum { ROOM = 3 * TM_NAME_MAX + 3 };
                char *name = tm_heap_take(r->heap, ROOM);
                if (!name)
                    return false;
                if (whole)
                    (void)snprintf(name, ROOM, "%.*s", (int)score->name.length, score->name.data);
                else
                    (void)snprintf(name, ROOM, "%.*s.%.*s", (int)card->name.length, card->name.data,
                                   (int)card->factors[f].name.length, card->factors[f].name.data);
                r->factors[count] = name;
                c->factor_nodes[count++] = whole ? score->value : card->factors[f].value;
            }
        }
    }
    return r->factors && c->factor_nodes && count == r->factor_count;
}

static tm_status collect(collecting *c)
{
    tm_report *r = c->report;
    tm_status status = find_period(c);
    if (status != TM_OK)
        return status;
    if (r->from > r->at)
        return tm_fail(c->error, TM_REJECT, "--from is later than --at, or than the end of the files");
    c->files.until = r->at;
    r->book = tm_book_new(&(tm_book_settings){r->from, r->at, c->setup->zone});
    r->metrics = tm_heap_take(r->heap, ((size_t)r->pack->metric_count + 1) * sizeof *r->metrics);
    if (!r->book || !r->metrics || tm_names_init(&r->features, r->heap) != TM_OK ||
        tm_table_init(&c->users, r->heap, 1024) != TM_OK || tm_table_init(&r->about, r->heap, 64) != TM_OK ||
        tm_table_init(&c->met_metrics, r->heap, 1024) != TM_OK)
        return out_of_memory(c);
    for (uint32_t d = 0; d < r->dimension_count; d++)
        if (tm_names_init(&r->dimensions[d].labels, r->heap) != TM_OK)
            return out_of_memory(c);
    status = tell_book(c);
    if (status == TM_OK && c->asked->outcomes)
        status = tm_outcomes_each(c->asked->outcomes, c->setup->zone, tell_outcome, r->book, &r->read, c->error);
    if (status == TM_OK)
        status = tm_book_close(r->book);
    if (status == TM_OK)
        status = plan_looks(c);
    return status == TM_OK ? pass_through(c) : status;
}

tm_status tm_report_collect(tm_report *report, const tm_report_request *asked, tm_error *error)
{
    collecting c = {.report = report, .asked = asked, .setup = asked->setup, .files = asked->files, .error = error};
    report->pack = asked->setup->pack;
    report->looks = looks;
    report->with_value = asked->value_node != TM_NODE_NONE;
    report->has_outcomes = asked->outcomes != NULL;
    report->heap = tm_heap_new(0);
    tm_status status = report->heap && name_factors(&c) ? collect(&c) : TM_FATAL;
    free(c.looks);
    return status == TM_OK || error->what[0] ? status : tm_fail(error, status, "out of memory");
}

void tm_report_done(tm_report *report)
{
    tm_separation_free(report->separation);
    tm_book_free(report->book);
    tm_heap_free_all(report->heap);
    free(report->seen);
    free(report->items);
}
