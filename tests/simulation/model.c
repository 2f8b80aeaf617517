#include "model.h"

#include <string.h>

enum { INACTIVE, PENDING, RAISED, CLEARING };

static const model_value nothing = {true, 0};

/* ---- A rule's life ---- */

typedef struct judging {
    model *m;
    int number; /* of the account */
    model_account *account;
    const model_rule *rule;
    int rule_number;
    model_episode *e;
    tm_time t;
} judging;

static void say(const judging *j, int state, int reason, model_value value)
{
    model *m = j->m;
    if (m->count == m->capacity) {
        uint32_t capacity = m->capacity ? m->capacity * 2 : 64;
        model_signal *signals = sim_take(m->s, sizeof *signals * capacity);
        if (m->count)
            memcpy(signals, m->signals, sizeof *signals * m->count);
        m->signals = signals;
        m->capacity = capacity;
    }
    model_episode *e = j->e;
    e->sequence++;
    e->signalled_at = j->t;
    e->has_value = !value.null;
    e->value = value.v;
    m->signals[m->count++] = (model_signal){.account = j->number,
                                            .rule = j->rule_number,
                                            .state = state,
                                            .reason = reason,
                                            .severity = e->severity,
                                            .sequence = e->sequence,
                                            .raised_at = e->raised_at,
                                            .time = j->t,
                                            .has_value = !value.null,
                                            .value = value.v,
                                            .input = j->account->input,
                                            .offset = j->account->offset};
}

static void clear_episode(const judging *j, int reason, model_value value)
{
    say(j, MODEL_CLEARED, reason, value);
    j->e->state = INACTIVE;
    j->e->revised_raise = j->e->revised_value = false;
    if (reason != MODEL_REVISED)
        j->e->cleared_at = j->t;
}

static int severity_now(const judging *j, int former)
{
    return j->rule->severity_now ? j->rule->severity_now(j->account, j->t, former) : j->rule->severity;
}

static bool held_back(const judging *j)
{
    const model_rule *rule = j->rule;
    if (!rule->inhibited)
        return false;
    const model_episode *other = &j->account->episodes[0];
    if (other->state == RAISED || other->state == CLEARING)
        return true;
    return other->cleared_at != TM_TIME_NONE && rule->tail > 0 && j->t < other->cleared_at + rule->tail;
}

static void pending(const judging *j)
{
    model_episode *e = j->e;
    const model_rule *rule = j->rule;
    if (j->t < e->since + rule->for_ms)
        return;
    if (e->cleared_at != TM_TIME_NONE && (rule->cooldown < 0 || j->t < e->cleared_at + rule->cooldown))
        return;
    if (held_back(j))
        return;
    e->state = RAISED;
    e->raised_at = j->t;
    e->sequence = 0;
    e->severity = severity_now(j, WARN);
    say(j, MODEL_RAISED, MODEL_NONE, rule->value(j->account, j->t));
}

static bool differs(const judging *j, int severity, model_value value)
{
    const model_episode *e = j->e;
    bool moved = false;
    if (!value.null && e->has_value && value.v != e->value) {
        double distance = value.v > e->value ? value.v - e->value : e->value - value.v;
        double change = j->rule->update_change > 0 ? j->rule->update_change : 0.2;
        moved = distance >= change * (e->value < 0 ? -e->value : e->value);
    }
    return severity != e->severity || moved;
}

static void raised(const judging *j)
{
    model_episode *e = j->e;
    int severity = severity_now(j, e->severity);
    model_value value = j->rule->value(j->account, j->t);
    if (!differs(j, severity, value)) {
        e->revised_value = false;
        return;
    }
    if (severity > e->severity || j->t - e->signalled_at >= TM_DAY) {
        e->severity = severity;
        say(j, MODEL_UPDATED, e->revised_value ? MODEL_REVISED : MODEL_NONE, value);
        e->revised_value = false;
    }
}

static void judge_rule(const judging *j)
{
    model_episode *e = j->e;
    const model_rule *rule = j->rule;
    if (rule->scope(j->account, j->t) != 1) {
        if (e->state == RAISED || e->state == CLEARING)
            clear_episode(j, MODEL_OUT_OF_SCOPE, rule->value(j->account, j->t));
        e->state = INACTIVE;
        return;
    }
    int when = rule->when(j->account, j->t);
    if (e->revised_raise && when != 1) {
        clear_episode(j, MODEL_REVISED, rule->value(j->account, j->t));
        return;
    }
    e->revised_raise = false;
    int clear = rule->clear ? rule->clear(j->account, j->t) : when < 0 ? -1 : !when;
    switch (e->state) {
    case INACTIVE:
        if (when != 1)
            return;
        e->state = PENDING;
        e->since = j->t;
        pending(j);
        return;
    case PENDING:
        if (when == 1)
            pending(j);
        else
            e->state = INACTIVE;
        return;
    case RAISED:
        if (clear != 1) {
            raised(j);
            return;
        }
        e->state = CLEARING;
        e->revised_value = false;
        e->since = j->t;
        break;
    default:
        if (clear != 1) {
            e->state = RAISED;
            return;
        }
        break;
    }
    if (j->t >= e->since + rule->clear_for)
        clear_episode(j, MODEL_CONDITION, rule->value(j->account, j->t));
}

/* ---- Accounts ---- */

static void begin_account(model_account *account)
{
    account->exists = false;
    account->count = 0;
    memset(account->episodes, 0, sizeof account->episodes);
    for (int i = 0; i < SIM_REACH; i++)
        account->episodes[i].cleared_at = TM_TIME_NONE;
}

void model_init(model *m, sim *s)
{
    *m = (model){.s = s, .rules = s->rules[0], .counting_start = SIM_START, .grid = s->settings.shard.evaluate_every};
    for (int i = 0; i < SIM_ACCOUNTS; i++)
        begin_account(&m->accounts[i]);
}

static void keep(model *m, const sim_record *record, tm_time at)
{
    model_account *account = &m->accounts[record->account];
    if (account->count == account->capacity) {
        uint32_t capacity = account->capacity ? account->capacity * 2 : 32;
        model_seen *seen = sim_take(m->s, sizeof *seen * capacity);
        if (account->count)
            memcpy(seen, account->seen, sizeof *seen * account->count);
        account->seen = seen;
        account->capacity = capacity;
    }
    account->exists = true;
    account->seen[account->count++] = (model_seen){record, at};
    account->input = record->input;
    account->offset = record->offset;
}

/* Of an open episode that spoke after `record` happened: whether its condition holds, and whether it has moved. */
static void look(model *m, const sim_record *record, tm_time at, bool holds[SIM_REACH], bool moved[SIM_REACH])
{
    model_account *account = &m->accounts[record->account];
    for (int i = 0; i < m->rules->count; i++) {
        model_episode *e = &account->episodes[i];
        judging j = {m, record->account, account, &m->rules->rules[i], i, e, at};
        bool open = e->state == RAISED || e->state == CLEARING;
        holds[i] = moved[i] = false;
        if (!open || record->kind != SIM_EVENT || record->at >= e->signalled_at || j.rule->absent)
            continue;
        holds[i] = j.rule->when(account, at) == 1;
        moved[i] = differs(&j, severity_now(&j, e->severity), j.rule->value(account, at));
    }
}

void model_accept(model *m, const sim_record *record, tm_time at)
{
    bool held[SIM_REACH], had_moved[SIM_REACH], holds[SIM_REACH], moved[SIM_REACH];
    look(m, record, at, held, had_moved);
    keep(m, record, at);
    look(m, record, at, holds, moved);
    for (int i = 0; i < m->rules->count; i++) {
        model_episode *e = &m->accounts[record->account].episodes[i];
        if (held[i] && !holds[i] && record->at < e->raised_at)
            e->revised_raise = true;
        if (moved[i] && !had_moved[i])
            e->revised_value = true;
    }
}

void model_erase(model *m, const sim_record *record, tm_time at)
{
    model_account *account = &m->accounts[record->account];
    account->input = record->input;
    account->offset = record->offset;
    for (int i = 0; i < m->rules->count && account->exists; i++) {
        model_episode *e = &account->episodes[i];
        judging j = {m, record->account, account, &m->rules->rules[i], i, e, at};
        if (e->state == RAISED || e->state == CLEARING)
            clear_episode(&j, MODEL_ERASED, nothing);
    }
    begin_account(account);
}

/* At the first judgement under rules that do not have it any more: its open episode ends, and nothing of it is kept. */
static void end_removed(model *m, int number, int rule, tm_time t)
{
    model_account *account = &m->accounts[number];
    model_episode *e = &account->episodes[rule];
    judging j = {m, number, account, &m->rules->rules[rule], rule, e, t};
    if (e->state == RAISED || e->state == CLEARING)
        clear_episode(&j, MODEL_RULE_REMOVED, nothing);
    *e = (model_episode){.cleared_at = TM_TIME_NONE};
}

void model_instant(model *m, int32_t partition, tm_time t)
{
    for (int a = partition; a < m->s->accounts; a += (int)m->s->partitions) {
        model_account *account = &m->accounts[a];
        for (int i = 0; i < m->rules->count && account->exists; i++) {
            if (m->rules->rules[i].absent)
                end_removed(m, a, i, t);
        }
        for (int i = 0; i < m->rules->count && account->exists; i++) {
            if (m->rules->rules[i].absent)
                continue;
            judging j = {m, a, account, &m->rules->rules[i], i, &account->episodes[i], t};
            judge_rule(&j);
        }
    }
}
