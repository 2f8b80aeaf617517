#include "tidemark/insight/plays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TENTHS = 10 };

static const int64_t WEEK = 7 * TM_DAY;

typedef struct play_entry {
    char *name;
    size_t length;
    uint64_t done;
} play_entry;

typedef struct start {
    uint32_t account, play;
    tm_time t;
} start;

typedef struct standing { /* an account in a week */
    tm_time week;
    uint64_t alike;
    uint32_t account;
    uint32_t tenth; /* TENTHS: it has no score */
    double score, use;
    double change; /* log of its use `weeks` later over now; NaN: not known */
    int went_on;   /* 1, 0; -1: not known, or the account was over */
} standing;

struct tm_plays {
    tm_plays_settings settings;
    play_entry *plays;
    start *starts;
    standing *standings;
    tm_time *over; /* an account: when it churned; TM_TIME_NEVER */
    size_t play_count, play_room, start_count, start_room, standing_count, standing_room, over_room;
};

static bool grow(void *items, size_t wanted, size_t *room, size_t size)
{
    void **array = items;
    if (wanted <= *room)
        return true;
    size_t more = *room ? *room : 64;
    while (more < wanted)
        more *= 2;
    void *bigger = realloc(*array, more * size);
    if (!bigger)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

tm_plays *tm_plays_new(const tm_plays_settings *settings)
{
    tm_plays *p = calloc(1, sizeof *p);
    if (p)
        p->settings = *settings;
    return p;
}

void tm_plays_free(tm_plays *plays)
{
    if (!plays)
        return;
    for (size_t i = 0; i < plays->play_count; i++)
        free(plays->plays[i].name);
    free(plays->plays);
    free(plays->starts);
    free(plays->standings);
    free(plays->over);
    free(plays);
}

uint32_t tm_plays_number(tm_plays *plays, tm_slice name)
{
    for (uint32_t i = 0; i < plays->play_count; i++)
        if (tm_slice_equal(tm_plays_name(plays, i), name))
            return i;
    if (!grow(&plays->plays, plays->play_count + 1, &plays->play_room, sizeof *plays->plays))
        return UINT32_MAX;
    char *copy = malloc(name.length + 1);
    if (!copy)
        return UINT32_MAX;
    memcpy(copy, name.length ? name.data : "", name.length);
    plays->plays[plays->play_count] = (play_entry){copy, name.length, 0};
    return (uint32_t)plays->play_count++;
}

uint32_t tm_plays_count(const tm_plays *plays)
{
    return (uint32_t)plays->play_count;
}

tm_slice tm_plays_name(const tm_plays *plays, uint32_t play)
{
    return (tm_slice){plays->plays[play].name, plays->plays[play].length};
}

tm_status tm_plays_started(tm_plays *plays, uint32_t account, uint32_t play, tm_time t)
{
    if (!grow(&plays->starts, plays->start_count + 1, &plays->start_room, sizeof *plays->starts))
        return TM_FATAL;
    plays->starts[plays->start_count++] = (start){account, play, t};
    return TM_OK;
}

void tm_plays_done(tm_plays *plays, uint32_t play)
{
    plays->plays[play].done++;
}

static bool know(tm_plays *plays, uint32_t account)
{
    size_t known = plays->over_room;
    if (!grow(&plays->over, (size_t)account + 1, &plays->over_room, sizeof *plays->over))
        return false;
    for (; known < plays->over_room; known++)
        plays->over[known] = TM_TIME_NEVER;
    return true;
}

tm_status tm_plays_week(tm_plays *plays, uint32_t account, tm_time week, double score, double use, uint64_t alike)
{
    if (!know(plays, account) ||
        !grow(&plays->standings, plays->standing_count + 1, &plays->standing_room, sizeof *plays->standings))
        return TM_FATAL;
    plays->standings[plays->standing_count++] = (standing){.week = week,
                                                           .alike = alike,
                                                           .account = account,
                                                           .tenth = TENTHS,
                                                           .score = score,
                                                           .use = use,
                                                           .change = NAN,
                                                           .went_on = -1};
    return TM_OK;
}

tm_status tm_plays_churned(tm_plays *plays, uint32_t account, tm_time t)
{
    if (!know(plays, account))
        return TM_FATAL;
    if (t < plays->over[account])
        plays->over[account] = t;
    return TM_OK;
}

/* --- judging --- */

static int by_score(const void *a, const void *b)
{
    const standing *x = *(standing *const *)a;
    const standing *y = *(standing *const *)b;
    bool no_x = isnan(x->score);
    bool no_y = isnan(y->score);
    if (no_x != no_y)
        return no_x ? 1 : -1;
    if (!no_x && x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->account < y->account ? -1 : x->account > y->account;
}

/* The tenths of one week: by the rank of the score among accounts that are not over, equal scores in the same tenth. */
static void rank_week(const tm_plays *plays, standing *first, size_t count, standing **order)
{
    size_t scored = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(first[i].score) && first[i].week < plays->over[first[i].account])
            order[scored++] = &first[i];
    if (scored)
        qsort(order, scored, sizeof(standing *), by_score);
    for (size_t i = 0; i < scored; i++)
        order[i]->tenth =
            i && order[i]->score == order[i - 1]->score ? order[i - 1]->tenth : (uint32_t)(i * TENTHS / scored);
}

/* Use so many weeks later, by account: of the week that begins nearest to then (zones change their clocks). */
static void find_changes(const tm_plays *plays, double *later)
{
    int64_t span = (int64_t)plays->settings.weeks * WEEK;
    size_t ahead = 0;
    for (size_t i = 0; i < plays->standing_count;) {
        tm_time week = plays->standings[i].week;
        while (ahead < plays->standing_count && plays->standings[ahead].week < week + span - TM_DAY / 2)
            ahead++;
        size_t end = ahead;
        for (; end < plays->standing_count && plays->standings[end].week <= week + span + TM_DAY / 2; end++)
            later[plays->standings[end].account] = plays->standings[end].use;
        for (; i < plays->standing_count && plays->standings[i].week == week; i++) {
            standing *s = &plays->standings[i];
            s->change = log((1 + later[s->account]) / (1 + s->use));
        }
        for (size_t k = ahead; k < end; k++)
            later[plays->standings[k].account] = NAN;
    }
}

tm_status tm_plays_judge(tm_plays *plays, tm_time until)
{
    standing **order = malloc((plays->standing_count + 1) * sizeof(standing *));
    double *later = malloc((plays->over_room + 1) * sizeof *later);
    if (!order || !later) {
        free(order);
        free(later);
        return TM_FATAL;
    }
    for (size_t i = 0; i < plays->standing_count;) {
        size_t end = i;
        while (end < plays->standing_count && plays->standings[end].week == plays->standings[i].week)
            end++;
        rank_week(plays, &plays->standings[i], end - i, order);
        i = end;
    }
    for (size_t i = 0; i <= plays->over_room; i++)
        later[i] = NAN;
    find_changes(plays, later);
    for (size_t i = 0; i < plays->standing_count; i++) {
        standing *s = &plays->standings[i];
        tm_time over = plays->over[s->account];
        if (s->week >= over)
            continue;
        if (over <= until && over - s->week <= plays->settings.within)
            s->went_on = 0;
        else if (until - s->week >= plays->settings.within)
            s->went_on = 1;
    }
    free(later);
    free(order);
    return TM_OK;
}

/* --- figures --- */

static int by_stratum(const void *a, const void *b)
{
    const standing *x = *(standing *const *)a;
    const standing *y = *(standing *const *)b;
    if (x->week != y->week)
        return x->week < y->week ? -1 : 1;
    if (x->alike != y->alike)
        return x->alike < y->alike ? -1 : 1;
    return x->tenth < y->tenth ? -1 : x->tenth > y->tenth;
}

/* Each account's starts of one play, in order of time. */
static int by_account(const void *a, const void *b)
{
    const start *x = a;
    const start *y = b;
    if (x->account != y->account)
        return x->account < y->account ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t;
}

/* 1: started in the week; 0: neither then nor within the time before; -1: before. */
static int treated(const start *starts, size_t count, const standing *s, int64_t within)
{
    size_t low = 0;
    size_t high = count;
    start wanted = {s->account, 0, s->week};
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_account(&starts[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < count && starts[low].account == s->account && starts[low].t < s->week + WEEK)
        return 1;
    bool before = low && starts[low - 1].account == s->account && starts[low - 1].t >= s->week - within;
    return before ? -1 : 0;
}

/* Sums over one stratum, [0] without and [1] with the play. */
typedef struct stratum {
    double n[2], went_on[2];
    double used[2], change[2], squares[2]; /* of those whose change of use is known */
} stratum;

typedef struct sums {
    double weight, difference, p, q, share[2];
    double use_weight, use_difference, use_shares /* sum of W² (1/n1 + 1/n0) */, within, freedom;
    uint64_t n[2], used;
} sums;

static void add_stratum(sums *all, const stratum *s)
{
    if (s->n[0] > 0 && s->n[1] > 0) {
        double n0 = s->n[0];
        double n1 = s->n[1];
        double y0 = s->went_on[0];
        double y1 = s->went_on[1];
        double n = n0 + n1;
        double weight = n0 * n1 / n;
        all->weight += weight;
        all->difference += weight * (y1 / n1 - y0 / n0);
        /* Sato's two parts: their variance holds with many small strata, too. */
        all->p += (n1 * n1 * y0 - n0 * n0 * y1 + n1 * n0 * (n0 - n1) / 2) / (n * n);
        all->q += (y1 * (n0 - y0) + y0 * (n1 - y1)) / (2 * n);
        all->share[0] += weight * y0 / n0;
        all->share[1] += weight * y1 / n1;
        all->n[0] += (uint64_t)n0;
        all->n[1] += (uint64_t)n1;
    }
    if (s->used[0] > 0 && s->used[1] > 0) {
        double weight = s->used[0] * s->used[1] / (s->used[0] + s->used[1]);
        all->used += (uint64_t)s->used[1];
        all->use_weight += weight;
        all->use_difference += weight * (s->change[1] / s->used[1] - s->change[0] / s->used[0]);
        all->use_shares += weight * weight * (1 / s->used[1] + 1 / s->used[0]);
        for (int w = 0; w < 2; w++) {
            all->within += s->squares[w] - s->change[w] * s->change[w] / s->used[w];
            all->freedom += s->used[w] - 1;
        }
    }
}

static void conclude(const sums *all, tm_play_figures *figures)
{
    figures->with = all->n[1];
    figures->without = all->n[0];
    if (all->weight > 0) {
        double difference = all->difference / all->weight;
        double half = TM_NORMAL_975 * sqrt(fmax(0, difference * all->p + all->q)) / all->weight;
        figures->went_on = all->share[1] / all->weight;
        figures->went_on_else = all->share[0] / all->weight;
        figures->difference = (tm_estimate){difference, difference - half, difference + half, all->n[1]};
    }
    if (all->use_weight > 0) {
        double difference = all->use_difference / all->use_weight;
        figures->use = (tm_estimate){exp(difference), NAN, NAN, all->used};
        if (all->freedom > 0) { /* one spread for all strata */
            double half = TM_NORMAL_975 * sqrt(fmax(0, all->within / all->freedom) * all->use_shares) / all->use_weight;
            figures->use.low = exp(difference - half);
            figures->use.high = exp(difference + half);
        }
    }
}

tm_status tm_plays_figures_of(const tm_plays *plays, uint32_t play, tm_play_figures *ret_figures)
{
    *ret_figures = (tm_play_figures){.done = plays->plays[play].done,
                                     .went_on = NAN,
                                     .went_on_else = NAN,
                                     .difference = {NAN, NAN, NAN, 0},
                                     .use = {NAN, NAN, NAN, 0}};
    standing **order = malloc((plays->standing_count + 1) * sizeof(standing *));
    start *starts = malloc((plays->start_count + 1) * sizeof *starts);
    if (!order || !starts) {
        free(order);
        free(starts);
        return TM_FATAL;
    }
    size_t count = 0;
    for (size_t i = 0; i < plays->start_count; i++)
        if (plays->starts[i].play == play) {
            starts[count] = plays->starts[i];
            starts[count++].play = 0;
        }
    ret_figures->started = count;
    if (count)
        qsort(starts, count, sizeof *starts, by_account);
    for (size_t i = 0; i < plays->standing_count; i++)
        order[i] = &plays->standings[i];
    if (plays->standing_count)
        qsort(order, plays->standing_count, sizeof(standing *), by_stratum);
    sums all = {0};
    stratum here = {0};
    for (size_t i = 0; i < plays->standing_count; i++) {
        const standing *s = order[i];
        if (i && by_stratum(&order[i - 1], &order[i]) != 0) {
            add_stratum(&all, &here);
            here = (stratum){0};
        }
        int with = s->week < plays->over[s->account] ? treated(starts, count, s, plays->settings.within) : -1;
        if (with < 0)
            continue;
        if (s->went_on >= 0) {
            here.n[with]++;
            here.went_on[with] += s->went_on;
        }
        if (!isnan(s->change)) {
            here.used[with]++;
            here.change[with] += s->change;
            here.squares[with] += s->change * s->change;
        }
    }
    add_stratum(&all, &here);
    conclude(&all, ret_figures);
    free(starts);
    free(order);
    return TM_OK;
}
