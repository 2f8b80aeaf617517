/* What the rules of packs.c mean, written by hand over lists of records. */
#include "model.h"

/* ---- What records say, each time from the first to the last ---- */

typedef bool (*filter)(const sim_record *record);

static bool any(const sim_record *r)
{
    return r->kind == SIM_EVENT;
}
static bool is_login(const sim_record *r)
{
    return r->kind == SIM_EVENT && r->name == 0;
}
static bool is_buy(const sim_record *r)
{
    return r->kind == SIM_EVENT && r->name == 1;
}
static bool is_mood(const sim_record *r)
{
    return r->kind == SIM_EVENT && r->name == 2;
}
static bool is_move(const sim_record *r)
{
    return r->kind == SIM_EVENT && (r->name == 1 || r->name == 3);
}
static bool is_big(const sim_record *r)
{
    return r->kind == SIM_EVENT && r->value_of >= 10;
}

static int64_t hour_of(tm_time t)
{
    return t / TM_HOUR;
}

/* Whether an event at `at` lies in the window of the last `hours` clock hours, or of today (0). */
static bool within(tm_time at, tm_time t, int hours)
{
    if (hours == 0)
        return at / TM_DAY == t / TM_DAY;
    return hour_of(at) <= hour_of(t) && hour_of(at) > hour_of(t) - hours;
}

static bool too_early(tm_time t, int hours)
{
    return hours > 0 && (hour_of(t) - hours + 1) * TM_HOUR < SIM_START;
}

static const model_value nothing = {true, 0};

static model_value number(double v)
{
    return (model_value){false, v};
}

static model_value count_in(const model_account *a, tm_time t, int hours, filter takes)
{
    if (too_early(t, hours))
        return nothing;
    int64_t count = 0;
    for (uint32_t i = 0; i < a->count; i++)
        count += takes(a->seen[i].record) && within(a->seen[i].record->at, t, hours);
    return number((double)count);
}

static model_value sum_in(const model_account *a, tm_time t, int hours, filter takes)
{
    if (too_early(t, hours))
        return nothing;
    int64_t sum = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (takes(r) && within(r->at, t, hours) && r->value_of >= 0)
            sum += r->value_of;
    }
    return number((double)sum);
}

static model_value max_in(const model_account *a, tm_time t, int hours, filter takes)
{
    if (too_early(t, hours))
        return nothing;
    int most = -1;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (takes(r) && within(r->at, t, hours) && r->value_of > most)
            most = r->value_of;
    }
    return most < 0 ? nothing : number(most);
}

static model_value users_in(const model_account *a, tm_time t, int hours)
{
    if (too_early(t, hours))
        return nothing;
    uint32_t bits = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (any(r) && within(r->at, t, hours) && r->user >= 0)
            bits |= 1u << r->user;
    }
    return number(__builtin_popcount(bits));
}

static model_value kinds_in(const model_account *a, tm_time t, int hours)
{
    if (too_early(t, hours))
        return nothing;
    uint32_t bits = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (any(r) && within(r->at, t, hours))
            bits |= 1u << r->name;
    }
    return number(__builtin_popcount(bits));
}

static model_value last_of(const model_account *a, filter takes)
{
    const sim_record *last = NULL;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (takes(r) && r->value_of >= 0 && (!last || r->at >= last->at))
            last = r;
    }
    return last ? number(last->value_of) : nothing;
}

static model_value age_of(const model_account *a, tm_time t, filter takes)
{
    tm_time greatest = TM_TIME_NONE;
    for (uint32_t i = 0; i < a->count; i++) {
        const sim_record *r = a->seen[i].record;
        if (takes(r) && (greatest == TM_TIME_NONE || r->at > greatest))
            greatest = r->at;
    }
    if (greatest == TM_TIME_NONE)
        return nothing;
    int64_t hours = hour_of(t) - hour_of(greatest);
    return number((double)((hours > 0 ? hours : 0) * TM_HOUR));
}

static const sim_record *facts_of(const model_account *a)
{
    const sim_record *last = NULL;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->seen[i].record->kind == SIM_FACTS)
            last = a->seen[i].record;
    }
    return last;
}

static model_value seats_of(const model_account *a)
{
    const sim_record *facts = facts_of(a);
    return facts && facts->seats >= 0 ? number(facts->seats) : nothing;
}

static int tier_of(const model_account *a)
{
    const sim_record *facts = facts_of(a);
    return facts ? facts->tier : -1;
}

/* ---- Three values ---- */

static int at_least(model_value a, double b)
{
    return a.null ? -1 : a.v >= b;
}
static int below(model_value a, double b)
{
    return a.null ? -1 : a.v < b;
}
static int both(int a, int b)
{
    if (a == 0 || b == 0)
        return 0;
    return a < 0 || b < 0 ? -1 : 1;
}

/* ---- The rules, by hand ---- */

static int in_business(const model_account *a, tm_time t)
{
    (void)t;
    const sim_record *facts = facts_of(a);
    return !facts || facts->status != 1;
}

/* pack 0 */
static model_value v_events3(const model_account *a, tm_time t)
{
    return count_in(a, t, 3, any);
}
static int w_held_back(const model_account *a, tm_time t)
{
    return at_least(v_events3(a, t), 2);
}
static model_value v_events2(const model_account *a, tm_time t)
{
    return count_in(a, t, 2, any);
}
static int w_busy(const model_account *a, tm_time t)
{
    return at_least(v_events2(a, t), 4);
}
static int c_busy(const model_account *a, tm_time t)
{
    model_value v = v_events2(a, t);
    return v.null ? -1 : v.v <= 1;
}
static model_value v_quiet(const model_account *a, tm_time t)
{
    return age_of(a, t, any);
}
static int w_quiet(const model_account *a, tm_time t)
{
    return at_least(v_quiet(a, t), (double)TM_HOUR);
}
static int s_quiet(const model_account *a, tm_time t, int former)
{
    model_value age = v_quiet(a, t);
    return age.null ? former : age.v >= (double)(3 * TM_HOUR) ? CRITICAL : WARN;
}
static model_value v_spend(const model_account *a, tm_time t)
{
    return sum_in(a, t, 6, is_buy);
}
static int w_spend(const model_account *a, tm_time t)
{
    return at_least(v_spend(a, t), 20);
}
static int s_spend(const model_account *a, tm_time t, int former)
{
    model_value v = v_spend(a, t);
    return !v.null && v.v > 60 ? HIGH : former;
}
static model_value v_thin(const model_account *a, tm_time t)
{
    return users_in(a, t, 0);
}
static int w_thin(const model_account *a, tm_time t)
{
    return both(below(v_thin(a, t), 2), at_least(seats_of(a), 3));
}
static model_value v_sad(const model_account *a, tm_time t)
{
    (void)t;
    return last_of(a, is_mood);
}
static int w_sad(const model_account *a, tm_time t)
{
    return below(v_sad(a, t), 4);
}
static int s_sad(const model_account *a, tm_time t, int former)
{
    (void)t, (void)former;
    int tier = tier_of(a);
    return tier == 0 ? CRITICAL : tier == 1 ? INFO : WARN;
}

/* pack 1 */
static model_value v_gone(const model_account *a, tm_time t)
{
    return count_in(a, t, 1, is_login);
}
static int w_gone(const model_account *a, tm_time t)
{
    model_value v = v_gone(a, t);
    return v.null ? -1 : v.v == 0;
}
static int c_gone(const model_account *a, tm_time t)
{
    return at_least(v_gone(a, t), 1);
}
static model_value v_rich(const model_account *a, tm_time t)
{
    return max_in(a, t, 4, is_buy);
}
static int w_rich(const model_account *a, tm_time t)
{
    return at_least(v_rich(a, t), 12);
}
static model_value v_many(const model_account *a, tm_time t)
{
    return count_in(a, t, 1, is_big);
}
static int w_many(const model_account *a, tm_time t)
{
    return at_least(v_many(a, t), 2);
}
static model_value v_broad(const model_account *a, tm_time t)
{
    return kinds_in(a, t, 2);
}
static int w_broad(const model_account *a, tm_time t)
{
    return at_least(v_broad(a, t), 3);
}

/* pack 2 */
static model_value v_small(const model_account *a, tm_time t)
{
    (void)t;
    return seats_of(a);
}
static int w_small(const model_account *a, tm_time t)
{
    return below(v_small(a, t), 4);
}
static model_value v_unused(const model_account *a, tm_time t)
{
    model_value users = users_in(a, t, 6), seats = seats_of(a);
    return users.null || seats.null || seats.v == 0 ? nothing : number(users.v / seats.v);
}
static int w_unused(const model_account *a, tm_time t)
{
    return below(v_unused(a, t), 0.5);
}
static int c_unused(const model_account *a, tm_time t)
{
    return at_least(v_unused(a, t), 0.5);
}
static int x_gold(const model_account *a, tm_time t)
{
    (void)t;
    int tier = tier_of(a);
    return tier < 0 ? -1 : tier == 0;
}
static model_value v_gold(const model_account *a, tm_time t)
{
    return sum_in(a, t, 3, is_buy);
}
static int w_gold(const model_account *a, tm_time t)
{
    return at_least(v_gold(a, t), 10);
}
static model_value v_still(const model_account *a, tm_time t)
{
    return count_in(a, t, 2, is_move);
}
static int w_still(const model_account *a, tm_time t)
{
    model_value v = v_still(a, t);
    return both(v.null ? -1 : v.v == 0, !seats_of(a).null);
}

/* what the second versions add */
static int w_busy_soon(const model_account *a, tm_time t)
{
    return at_least(v_events2(a, t), 3);
}
static int w_fresh(const model_account *a, tm_time t)
{
    return at_least(v_thin(a, t), 2);
}
static int w_wide(const model_account *a, tm_time t)
{
    return at_least(v_broad(a, t), 2);
}
static int w_smaller(const model_account *a, tm_time t)
{
    return below(v_small(a, t), 2);
}
static int w_brisk(const model_account *a, tm_time t)
{
    return at_least(v_still(a, t), 2);
}

#define MINUTES(n) ((n)*TM_MINUTE)
#define RULE(text, severe, who) .name = text, .severity = severe, .scope = who

#define GONE(text) .name = text, .absent = true

/* Each pack, and the version that a reload brings: a rule less, a rule more, others changed. */
static const sim_rules packs[SIM_PACKS][2] = {
    {{7,
      {{RULE("busy", WARN, in_business), .when = w_busy, .clear = c_busy, .value = v_events2, .for_ms = MINUTES(30),
        .clear_for = MINUTES(60), .cooldown = MINUTES(120)},
       {RULE("held_back", WARN, in_business), .when = w_held_back, .value = v_events3, .inhibited = true,
        .tail = MINUTES(90), .clear_for = MINUTES(20)},
       {RULE("quiet", WARN, in_business), .when = w_quiet, .value = v_quiet, .severity_now = s_quiet,
        .cooldown = MINUTES(60)},
       {RULE("spend", WARN, in_business), .when = w_spend, .value = v_spend, .severity_now = s_spend,
        .update_change = 0.1},
       {RULE("thin", WARN, in_business), .when = w_thin, .value = v_thin, .for_ms = MINUTES(60)},
       {RULE("sad", WARN, in_business), .when = w_sad, .value = v_sad, .severity_now = s_sad, .cooldown = -1},
       {GONE("fresh")}}},
     {7,
      {{RULE("busy", HIGH, in_business), .when = w_busy_soon, .clear = c_busy, .value = v_events2,
        .clear_for = MINUTES(10), .cooldown = MINUTES(20)},
       {RULE("held_back", WARN, in_business), .when = w_held_back, .value = v_events3, .inhibited = true,
        .tail = MINUTES(10), .clear_for = MINUTES(20)},
       {GONE("quiet")},
       {RULE("spend", WARN, in_business), .when = w_spend, .value = v_spend, .severity_now = s_spend,
        .update_change = 0.1},
       {RULE("thin", INFO, in_business), .when = w_thin, .value = v_thin, .for_ms = MINUTES(20)},
       {RULE("sad", WARN, in_business), .when = w_sad, .value = v_sad, .severity_now = s_sad, .cooldown = MINUTES(10)},
       {RULE("fresh", WARN, in_business), .when = w_fresh, .value = v_thin}}}},
    {{5,
      {{RULE("gone", HIGH, in_business), .when = w_gone, .clear = c_gone, .value = v_gone, .for_ms = MINUTES(10)},
       {RULE("rich", WARN, in_business), .when = w_rich, .value = v_rich, .cooldown = MINUTES(30),
        .clear_for = MINUTES(15)},
       {RULE("many", WARN, in_business), .when = w_many, .value = v_many, .inhibited = true},
       {RULE("broad", WARN, in_business), .when = w_broad, .value = v_broad, .for_ms = MINUTES(15),
        .clear_for = MINUTES(30)},
       {GONE("wide")}}},
     {5,
      {{RULE("gone", CRITICAL, in_business), .when = w_gone, .clear = c_gone, .value = v_gone, .for_ms = MINUTES(30)},
       {GONE("rich")},
       {RULE("many", WARN, in_business), .when = w_many, .value = v_many},
       {RULE("broad", WARN, in_business), .when = w_broad, .value = v_broad, .for_ms = MINUTES(15),
        .clear_for = MINUTES(5)},
       {RULE("wide", WARN, in_business), .when = w_wide, .value = v_broad, .cooldown = -1}}}},
    {{5,
      {{RULE("small", INFO, in_business), .when = w_small, .value = v_small, .for_ms = MINUTES(20),
        .cooldown = MINUTES(10)},
       {RULE("unused", WARN, in_business), .when = w_unused, .clear = c_unused, .value = v_unused,
        .for_ms = MINUTES(45), .inhibited = true, .tail = MINUTES(30)},
       {RULE("gold", WARN, x_gold), .when = w_gold, .value = v_gold, .clear_for = MINUTES(10)},
       {RULE("still", CRITICAL, in_business), .when = w_still, .value = v_still, .for_ms = MINUTES(30), .cooldown = -1},
       {GONE("brisk")}}},
     {5,
      {{RULE("small", INFO, in_business), .when = w_smaller, .value = v_small, .for_ms = MINUTES(20),
        .cooldown = MINUTES(10)},
       {RULE("unused", WARN, in_business), .when = w_unused, .clear = c_unused, .value = v_unused,
        .for_ms = MINUTES(10), .inhibited = true},
       {RULE("gold", WARN, in_business), .when = w_gold, .value = v_gold, .clear_for = MINUTES(10)},
       {GONE("still")},
       {RULE("brisk", HIGH, in_business), .when = w_brisk, .value = v_still}}}},
};

const sim_rules *sim_pack(int number, int version)
{
    return &packs[number][version];
}
