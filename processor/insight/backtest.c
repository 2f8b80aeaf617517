#include "tidemark/insight/backtest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/base/table.h"
#include "tidemark/insight/names.h"

enum { NONE = TM_TABLE_NONE };

typedef struct warning {
    uint32_t account, rule, owner;
    tm_severity severity;
    tm_time raised, cleared; /* TM_TIME_NEVER: still open */
} warning;

typedef struct snapshot {
    uint32_t account;
    tm_time t;
    double score, mrr;
} snapshot;

typedef struct customer { /* an account, as far as it concerns us */
    tm_time met;          /* TM_TIME_NONE: its first record was not told */
    tm_time over;         /* when it churned; TM_TIME_NEVER */
} customer;

typedef struct ended {
    uint32_t account, first_rule;
    tm_ending ending;
    tm_time t;
    tm_slice reason;
    double mrr;
} ended;

/* The outcomes of one kind by account, in order of time: the first of each, and the next of the same account. */
typedef struct chain_index {
    size_t begin;
    uint32_t *firsts, *following;
} chain_index;

struct tm_backtest {
    tm_backtest_settings settings;
    tm_heap *heap;
    tm_names accounts, rules, owners;
    tm_kind *kinds;   /* a rule */
    customer *people; /* an account */
    tm_table open;    /* (account, rule) to its open alarm */
    warning *alarms;  /* in order of time */
    snapshot *snapshots;
    ended *endings; /* after judge: by kind, then time */
    size_t alarm_count, alarm_room, snapshot_count, snapshot_room, ending_count, ending_room, kinds_room, people_room;
    tm_time until;
    size_t first_ending[TM_ENDINGS + 1];
    chain_index chains[TM_ENDINGS]; /* after judge, as the chances */
    double chances[TM_ENDINGS];
};

const char *tm_ending_name(tm_ending ending)
{
    static const char *const names[TM_ENDINGS] = {"churned", "renewed", "expanded", "contracted"};
    return ending < TM_ENDINGS ? names[ending] : "unknown";
}

tm_backtest *tm_backtest_new(const tm_backtest_settings *settings)
{
    tm_heap *heap = tm_heap_new(0);
    tm_backtest *b = heap ? tm_heap_take(heap, sizeof *b) : NULL;
    if (!b) {
        tm_heap_free_all(heap);
        return NULL;
    }
    b->settings = *settings;
    b->heap = heap;
    b->until = TM_TIME_NONE;
    if (tm_names_init(&b->accounts, heap) != TM_OK || tm_names_init(&b->rules, heap) != TM_OK ||
        tm_names_init(&b->owners, heap) != TM_OK || tm_table_init(&b->open, heap, 64) != TM_OK) {
        tm_heap_free_all(heap);
        return NULL;
    }
    return b;
}

void tm_backtest_free(tm_backtest *backtest)
{
    if (backtest)
        tm_heap_free_all(backtest->heap);
}

uint32_t tm_backtest_account(tm_backtest *backtest, tm_slice account)
{
    uint32_t before = backtest->accounts.count;
    uint32_t number = tm_names_number(&backtest->accounts, account);
    if (number != before)
        return number;
    if (!tm_heap_grow(backtest->heap, &backtest->people, number, &backtest->people_room, sizeof *backtest->people))
        return NONE;
    backtest->people[number] = (customer){TM_TIME_NONE, TM_TIME_NEVER};
    return number;
}

uint32_t tm_backtest_rule(tm_backtest *backtest, tm_slice rule, tm_kind kind)
{
    uint32_t before = backtest->rules.count;
    uint32_t number = tm_names_number(&backtest->rules, rule);
    if (number != before)
        return number;
    if (!tm_heap_grow(backtest->heap, &backtest->kinds, number, &backtest->kinds_room, sizeof *backtest->kinds))
        return NONE;
    backtest->kinds[number] = kind;
    return number;
}

uint32_t tm_backtest_owner(tm_backtest *backtest, tm_slice owner)
{
    return tm_names_number(&backtest->owners, owner);
}

void tm_backtest_met(tm_backtest *backtest, uint32_t account, tm_time t)
{
    if (backtest->people[account].met == TM_TIME_NONE)
        backtest->people[account].met = t;
}

static uint64_t open_key(uint32_t account, uint32_t rule)
{
    uint64_t both[2] = {account, rule};
    return tm_hash((tm_slice){(const char *)both, sizeof both});
}

static warning *open_alarm(const tm_backtest *backtest, uint32_t account, uint32_t rule)
{
    uint32_t index = tm_table_find(&backtest->open, open_key(account, rule));
    return index == NONE ? NULL : &backtest->alarms[index];
}

tm_status tm_backtest_raised(tm_backtest *backtest, uint32_t account, uint32_t rule, uint32_t owner,
                             tm_severity severity, tm_time t)
{
    if (!tm_heap_grow(backtest->heap, &backtest->alarms, backtest->alarm_count, &backtest->alarm_room,
                      sizeof(warning)) ||
        tm_table_put(&backtest->open, open_key(account, rule), (uint32_t)backtest->alarm_count) != TM_OK)
        return TM_FATAL;
    backtest->alarms[backtest->alarm_count++] = (warning){account, rule, owner, severity, t, TM_TIME_NEVER};
    return TM_OK;
}

void tm_backtest_updated(tm_backtest *backtest, uint32_t account, uint32_t rule, tm_severity severity)
{
    warning *open = open_alarm(backtest, account, rule);
    if (open && severity > open->severity)
        open->severity = severity;
}

void tm_backtest_cleared(tm_backtest *backtest, uint32_t account, uint32_t rule, tm_time t)
{
    warning *open = open_alarm(backtest, account, rule);
    if (!open)
        return;
    open->cleared = t;
    (void)tm_table_remove(&backtest->open, open_key(account, rule));
}

tm_status tm_backtest_snapshot(tm_backtest *backtest, uint32_t account, tm_time t, double score, double mrr)
{
    if (!tm_heap_grow(backtest->heap, &backtest->snapshots, backtest->snapshot_count, &backtest->snapshot_room,
                      sizeof(snapshot)))
        return TM_FATAL;
    backtest->snapshots[backtest->snapshot_count++] = (snapshot){account, t, score, mrr};
    return TM_OK;
}

/* --- what happened --- */

void tm_backtest_seen_until(tm_backtest *backtest, tm_time until)
{
    backtest->until = until;
}

tm_time tm_backtest_until(const tm_backtest *backtest)
{
    return backtest->until;
}

tm_status tm_backtest_ended(tm_backtest *backtest, tm_slice account, tm_ending ending, tm_time t, tm_slice reason)
{
    uint32_t number = tm_names_find(&backtest->accounts, account);
    if (number == NONE)
        return TM_REJECT;
    if (!tm_heap_grow(backtest->heap, &backtest->endings, backtest->ending_count, &backtest->ending_room,
                      sizeof(ended)))
        return TM_FATAL;
    tm_slice kept = {NULL, 0};
    if (reason.length) {
        char *copy = tm_heap_take(backtest->heap, reason.length);
        if (!copy)
            return TM_FATAL;
        memcpy(copy, reason.data, reason.length);
        kept = (tm_slice){copy, reason.length};
    }
    customer *person = &backtest->people[number];
    backtest->endings[backtest->ending_count++] = (ended){number, NONE, ending, t, kept, NAN};
    if (ending == TM_ENDING_CHURNED && t < person->over)
        person->over = t;
    return TM_OK;
}

static int order_endings(const void *a, const void *b)
{
    const ended *x = a;
    const ended *y = b;
    if (x->ending != y->ending)
        return x->ending < y->ending ? -1 : 1;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return x->account < y->account ? -1 : x->account > y->account;
}

/* What a kind of signal foretells; TM_ENDINGS: nothing. */
static tm_ending foretold(tm_kind kind)
{
    return kind == TM_KIND_CHURN_RISK ? TM_ENDING_CHURNED : kind == TM_KIND_EXPANSION ? TM_ENDING_EXPANDED : TM_ENDINGS;
}

/* An alarm that belongs to an outcome at `t`: it was open at a moment of the time before, and the account not over. */
static bool foresees(const tm_backtest *b, const warning *alarm, tm_time t)
{
    return alarm->raised < t && alarm->cleared > t - b->settings.within &&
           alarm->raised < b->people[alarm->account].over;
}

static bool chosen(const tm_backtest *b, const warning *alarm, const tm_backtest_choice *choice)
{
    if (choice->rule != NONE)
        return alarm->rule == choice->rule;
    return b->kinds[alarm->rule] == choice->kind && alarm->severity >= choice->severity;
}

static bool outcome_counts(const tm_backtest *b, const ended *outcome)
{
    const customer *person = &b->people[outcome->account];
    return person->met != TM_TIME_NONE && outcome->t - person->met >= b->settings.tenure && outcome->t <= b->until &&
           outcome->t >= b->settings.since && (outcome->ending == TM_ENDING_CHURNED || outcome->t <= person->over);
}

static tm_status chain(tm_backtest *b, tm_ending ending)
{
    size_t begin = b->first_ending[ending];
    size_t count = b->first_ending[ending + 1] - begin;
    size_t accounts = b->accounts.count;
    uint32_t *firsts = tm_heap_take(b->heap, (accounts + count + 1) * sizeof *firsts);
    if (!firsts)
        return TM_FATAL;
    for (size_t i = 0; i < accounts + count; i++)
        firsts[i] = NONE;
    uint32_t *following = firsts + accounts;
    for (size_t i = count; i-- > 0;) {
        uint32_t account = b->endings[begin + i].account;
        following[i] = firsts[account];
        firsts[account] = (uint32_t)i;
    }
    b->chains[ending] = (chain_index){begin, firsts, following};
    return TM_OK;
}

static tm_time next_outcome(const tm_backtest *b, const chain_index *chains, uint32_t account, tm_time after)
{
    uint32_t i = chains->firsts[account];
    while (i != NONE && b->endings[chains->begin + i].t <= after)
        i = chains->following[i];
    return i == NONE ? TM_TIME_NEVER : b->endings[chains->begin + i].t;
}

/* Whether what is foretold came within `span` after `t`: 1 yes, 0 no, -1 not known yet. */
static int came_within(const tm_backtest *b, const chain_index *chains, uint32_t account, tm_time t, int64_t span)
{
    tm_time outcome = next_outcome(b, chains, account, t);
    if (outcome != TM_TIME_NEVER && outcome - t <= span && outcome <= b->until)
        return 1;
    bool over = b->people[account].over <= b->until && b->people[account].over - t <= span;
    return over || b->until - t >= span ? 0 : -1;
}

/* How often a moment at random is followed by the outcome: from the snapshots of accounts not yet over. */
static double chance_of(const tm_backtest *b, const chain_index *chains)
{
    uint64_t came = 0;
    uint64_t all = 0;
    for (size_t i = 0; i < b->snapshot_count; i++) {
        const snapshot *s = &b->snapshots[i];
        int word = s->t >= b->settings.since && s->t < b->people[s->account].over
                       ? came_within(b, chains, s->account, s->t, b->settings.within)
                       : -1;
        came += word == 1;
        all += word >= 0;
    }
    return all ? (double)came / (double)all : NAN;
}

/* What the account of each outcome of a kind paid last before it: snapshots and outcomes are both in order of time. */
static void find_revenue(tm_backtest *b, tm_ending kind, double *mrr)
{
    for (uint32_t a = 0; a < b->accounts.count; a++)
        mrr[a] = NAN;
    size_t s = 0;
    for (size_t i = b->first_ending[kind]; i < b->first_ending[kind + 1]; i++) {
        for (; s < b->snapshot_count && b->snapshots[s].t < b->endings[i].t; s++)
            if (!isnan(b->snapshots[s].mrr))
                mrr[b->snapshots[s].account] = b->snapshots[s].mrr;
        b->endings[i].mrr = mrr[b->endings[i].account];
    }
}

tm_status tm_backtest_judge(tm_backtest *backtest)
{
    if (backtest->ending_count)
        qsort(backtest->endings, backtest->ending_count, sizeof(ended), order_endings);
    size_t next = 0;
    for (int kind = 0; kind <= TM_ENDINGS; kind++) {
        while (next < backtest->ending_count && (int)backtest->endings[next].ending < kind)
            next++;
        backtest->first_ending[kind] = next;
    }
    size_t accounts = backtest->accounts.count;
    size_t alarms = backtest->alarm_count;
    double *mrr = malloc((accounts + 1) * sizeof *mrr);
    uint32_t *by_account = malloc((accounts + alarms + 1) * sizeof *by_account); /* its first alarm, then `following` */
    if (!mrr || !by_account) {
        free(mrr);
        free(by_account);
        return TM_FATAL;
    }
    for (int kind = 0; kind < TM_ENDINGS; kind++)
        find_revenue(backtest, (tm_ending)kind, mrr);
    free(mrr);
    uint32_t *following = by_account + accounts;
    for (size_t i = 0; i < accounts + alarms; i++)
        by_account[i] = NONE;
    for (size_t i = alarms; i-- > 0;) {
        following[i] = by_account[backtest->alarms[i].account];
        by_account[backtest->alarms[i].account] = (uint32_t)i;
    }
    for (size_t i = 0; i < backtest->ending_count; i++) {
        ended *outcome = &backtest->endings[i];
        for (uint32_t a = by_account[outcome->account]; a != NONE && outcome->first_rule == NONE; a = following[a])
            if (foretold(backtest->kinds[backtest->alarms[a].rule]) == outcome->ending &&
                foresees(backtest, &backtest->alarms[a], outcome->t))
                outcome->first_rule = backtest->alarms[a].rule;
    }
    free(by_account);
    for (int kind = 0; kind < TM_ENDINGS; kind++) {
        if (chain(backtest, (tm_ending)kind) != TM_OK)
            return TM_FATAL;
        backtest->chances[kind] = chance_of(backtest, &backtest->chains[kind]);
    }
    return TM_OK;
}

/* --- questions --- */

/* Without `chains` (of a kind that foretells nothing): how many, and of how many accounts. */
static tm_status count_alarms(const tm_backtest *b, const tm_backtest_choice *choice, const chain_index *chains,
                              tm_backtest_figures *figures)
{
    uint32_t accounts = b->accounts.count;
    uint8_t *warned = calloc((size_t)accounts + 1, 1);
    if (!warned)
        return TM_FATAL;
    uint64_t steady_misses = 0;
    for (size_t i = 0; i < b->alarm_count; i++) {
        const warning *alarm = &b->alarms[i];
        if (!chosen(b, alarm, choice) || alarm->raised >= b->people[alarm->account].over ||
            alarm->raised < b->settings.since)
            continue;
        figures->alarms++;
        figures->accounts += !warned[alarm->account];
        warned[alarm->account] = 1;
        if (!chains)
            continue;
        int word = came_within(b, chains, alarm->account, alarm->raised, b->settings.within);
        figures->hits += word == 1;
        figures->misses += word == 0;
        figures->undecided += word < 0;
        steady_misses += word == 0 && chains->firsts[alarm->account] == NONE;
    }
    free(warned);
    if (!chains)
        return TM_OK;
    double months = 0;
    for (uint32_t a = 0; a < accounts; a++)
        if (chains->firsts[a] == NONE && b->people[a].met != TM_TIME_NONE) {
            tm_time end = b->people[a].over < b->until ? b->people[a].over : b->until;
            tm_time begin = b->people[a].met > b->settings.since ? b->people[a].met : b->settings.since;
            months += end > begin ? (double)(end - begin) / (30.0 * (double)TM_DAY) : 0;
        }
    figures->false_per_month = months > 0 ? (double)steady_misses / months : NAN;
    return TM_OK;
}

static tm_status count_outcomes(const tm_backtest *b, const tm_backtest_choice *choice, tm_ending ending,
                                const chain_index *chains, tm_backtest_figures *figures)
{
    size_t begin = b->first_ending[ending];
    size_t count = b->first_ending[ending + 1] - begin;
    double *leads = malloc((count + 1) * sizeof *leads);
    tm_time *earliest = malloc((count + 1) * sizeof *earliest);
    if (!leads || !earliest) {
        free(earliest);
        free(leads);
        return TM_FATAL;
    }
    for (size_t i = 0; i < count; i++)
        earliest[i] = TM_TIME_NEVER;
    for (size_t i = 0; i < b->alarm_count; i++) {
        const warning *alarm = &b->alarms[i];
        if (!chosen(b, alarm, choice))
            continue;
        for (uint32_t o = chains->firsts[alarm->account]; o != NONE; o = chains->following[o]) {
            tm_time t = b->endings[begin + o].t;
            tm_time from = alarm->raised > t - b->settings.within ? alarm->raised : t - b->settings.within;
            if (foresees(b, alarm, t) && from < earliest[o])
                earliest[o] = from;
        }
    }
    size_t foreseen = 0;
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) {
        const ended *outcome = &b->endings[begin + i];
        if (!outcome_counts(b, outcome))
            continue;
        all++;
        if (earliest[i] != TM_TIME_NEVER)
            leads[foreseen++] = (double)(outcome->t - earliest[i]);
    }
    figures->recall = tm_estimate_proportion(foreseen, all);
    figures->lead = tm_estimate_median(leads, foreseen);
    free(earliest);
    free(leads);
    return TM_OK;
}

tm_status tm_backtest_figures_of(const tm_backtest *backtest, const tm_backtest_choice *choice,
                                 tm_backtest_figures *ret_figures)
{
    *ret_figures = (tm_backtest_figures){.precision = tm_estimate_proportion(0, 0),
                                         .recall = tm_estimate_proportion(0, 0),
                                         .lead = tm_estimate_proportion(0, 0),
                                         .chance = NAN,
                                         .false_per_month = NAN};
    tm_ending ending = foretold(choice->rule == NONE ? choice->kind : backtest->kinds[choice->rule]);
    if (ending == TM_ENDINGS)
        return count_alarms(backtest, choice, NULL, ret_figures);
    const chain_index *chains = &backtest->chains[ending];
    ret_figures->chance = backtest->chances[ending];
    tm_status status = count_alarms(backtest, choice, chains, ret_figures);
    ret_figures->precision = tm_estimate_proportion(ret_figures->hits, ret_figures->hits + ret_figures->misses);
    return status == TM_OK ? count_outcomes(backtest, choice, ending, chains, ret_figures) : status;
}

tm_status tm_backtest_load_of(const tm_backtest *backtest, tm_backtest_load *ret_load)
{
    *ret_load = (tm_backtest_load){NAN, NAN, NAN, NAN, backtest->owners.count, 0};
    tm_time first = TM_TIME_NEVER;
    for (uint32_t a = 0; a < backtest->accounts.count; a++)
        if (backtest->people[a].met != TM_TIME_NONE && backtest->people[a].met < first)
            first = backtest->people[a].met;
    first = first < backtest->settings.since ? backtest->settings.since : first;
    if (first == TM_TIME_NEVER || backtest->until - first < 7 * TM_DAY || backtest->owners.count == 0)
        return TM_OK;
    uint32_t weeks = (uint32_t)((backtest->until - first) / (7 * TM_DAY));
    size_t cells = (size_t)weeks * backtest->owners.count;
    double *counts = calloc(cells, sizeof *counts);
    if (!counts)
        return TM_FATAL;
    double sum = 0;
    for (size_t i = 0; i < backtest->alarm_count; i++) {
        tm_time since = backtest->alarms[i].raised - first;
        if (since < 0 || since / (7 * TM_DAY) >= weeks)
            continue;
        counts[(size_t)backtest->alarms[i].owner * weeks + (size_t)(since / (7 * TM_DAY))]++;
        sum++;
    }
    tm_estimate median = tm_estimate_median(counts, cells); /* sorts */
    *ret_load = (tm_backtest_load){sum / (double)cells, median.value,           tm_quantile(counts, cells, 0.95),
                                   counts[cells - 1],   backtest->owners.count, weeks};
    free(counts);
    return TM_OK;
}

tm_status tm_backtest_ranking_of(const tm_backtest *backtest, tm_ranking *ret_ranking, uint64_t *ret_without_score)
{
    const chain_index *chains = &backtest->chains[TM_ENDING_CHURNED];
    tm_status status = TM_OK;
    *ret_without_score = 0;
    tm_ranked *cases = malloc((backtest->snapshot_count + 1) * sizeof *cases);
    uint32_t *weights = malloc(((size_t)backtest->accounts.count + 1) * sizeof *weights);
    size_t count = 0;
    for (size_t i = 0; cases && weights && i < backtest->snapshot_count; i++) {
        const snapshot *s = &backtest->snapshots[i];
        const customer *person = &backtest->people[s->account];
        if (s->t >= person->over || person->met == TM_TIME_NONE || s->t - person->met < backtest->settings.tenure ||
            s->t < backtest->settings.since || backtest->until - s->t < backtest->settings.loss)
            continue;
        int word = came_within(backtest, chains, s->account, s->t, backtest->settings.loss);
        if (word < 0)
            continue;
        if (isnan(s->score))
            (*ret_without_score)++;
        else
            cases[count++] = (tm_ranked){s->score, s->account, (uint32_t)word};
    }
    if (cases && weights)
        *ret_ranking = tm_estimate_ranking(cases, count, backtest->accounts.count, weights);
    else
        status = TM_FATAL;
    free(weights);
    free(cases);
    return status;
}

size_t tm_backtest_outcome_count(const tm_backtest *backtest, tm_ending ending)
{
    return backtest->first_ending[ending + 1] - backtest->first_ending[ending];
}

tm_backtest_outcome tm_backtest_outcome_at(const tm_backtest *backtest, tm_ending ending, size_t index)
{
    const ended *outcome = &backtest->endings[backtest->first_ending[ending] + index];
    return (tm_backtest_outcome){.account = backtest->accounts.items[outcome->account],
                                 .reason = outcome->reason,
                                 .t = outcome->t,
                                 .mrr = outcome->mrr,
                                 .first_rule = outcome->first_rule,
                                 .counts = outcome_counts(backtest, outcome)};
}

uint32_t tm_backtest_rule_count(const tm_backtest *backtest)
{
    return backtest->rules.count;
}
tm_slice tm_backtest_rule_name(const tm_backtest *backtest, uint32_t rule)
{
    return backtest->rules.items[rule];
}
tm_kind tm_backtest_rule_kind(const tm_backtest *backtest, uint32_t rule)
{
    return backtest->kinds[rule];
}
uint32_t tm_backtest_account_count(const tm_backtest *backtest)
{
    return backtest->accounts.count;
}
