#include "tidemark/core/judge.h"

#include <string.h>

#include "tidemark/base/check.h"

typedef struct questions_context {
    tm_judge *judge;
    const tm_environment *environment;
    tm_account *account;
} questions_context;

static tm_value answer_value(void *context, uint32_t node)
{
    questions_context *q = context;
    return tm_evaluator_value(q->judge->evaluator, node);
}

static tm_time answer_held_until(void *context, const tm_rule *rule)
{
    questions_context *q = context;
    tm_time until = TM_TIME_NONE;
    for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
        const tm_rule *inhibitor = &q->judge->pack->rules[rule->inhibitors[i]];
        const tm_episode *episode = tm_account_episode(q->account, inhibitor->identity);
        if (!episode)
            continue;
        if (tm_episode_open(episode))
            return TM_TIME_NEVER;
        if (episode->cleared_at != TM_TIME_NONE && rule->inhibit_tail_ms > 0) {
            tm_time end = episode->cleared_at + rule->inhibit_tail_ms;
            until = end > until ? end : until;
        }
    }
    return until;
}

static tm_slice tier_of(const tm_account *account, const tm_moment *now)
{
    tm_value tier = tm_facts_value(account->facts, TM_FACT_TIER, (tm_slice){0}, now);
    return tier.type == TM_TYPE_STRING ? tier.as.string : (tm_slice){0};
}

static tm_slice answer_tier(void *context)
{
    questions_context *q = context;
    return tier_of(q->account, q->environment->now);
}

static bool applies(tm_evaluator *evaluator, uint32_t when)
{
    return when == TM_NODE_NONE || tm_value_is_true(tm_evaluator_value(evaluator, when));
}

static const tm_by_tier *play_of(tm_evaluator *evaluator, const tm_rule *rule)
{
    for (uint32_t i = 0; i < rule->play_count; i++) {
        if (applies(evaluator, rule->plays[i].when))
            return &rule->plays[i].text;
    }
    return NULL;
}

static const tm_route *route_of(tm_evaluator *evaluator, const tm_rule *rule)
{
    for (uint32_t i = 0; i < rule->route_count; i++) {
        if (applies(evaluator, rule->routes[i].when))
            return &rule->routes[i];
    }
    return NULL;
}

/* Fills in a signal and hands it to the sink. Without a rule (removed) or with `bare` (erased) there is nothing to
 * evaluate. */
static tm_status hand_over(tm_judge *judge, const tm_environment *environment, const tm_account *account,
                           const tm_episode *episode, const tm_rule *rule, const tm_step *step, bool bare)
{
    TM_CHECK(judge->heap, episode->sequence > 0 && episode->raised_at <= environment->now->t, "signal_sequence");
    TM_CHECK(judge->heap, rule || episode->rule_name.data, "signal_rule");
    tm_signal signal = {.account = account,
                        .facts = bare ? NULL : account->facts,
                        .pack = judge->pack,
                        .rule = rule,
                        .rule_name = rule ? rule->name : episode->rule_name,
                        .kind = (tm_kind)episode->kind,
                        .state = step->signal,
                        .reason = step->reason,
                        .severity = (tm_severity)episode->published_severity,
                        .time = environment->now->t,
                        .raised_at = episode->raised_at,
                        .sequence = episode->sequence,
                        .value = step->value,
                        .rules_version = judge->pack->version,
                        .acknowledged_at = TM_TIME_NONE,
                        .stage = bare ? (tm_slice){0} : tm_stage_name(judge->pack, tm_stage_present(&account->stages)),
                        .zone = environment->now->zone};
    if (episode->notes && !bare) {
        signal.acknowledged_at = episode->notes->acknowledged_at;
        signal.acknowledged_by = episode->notes->acknowledged_by;
    }
    if (!bare)
        tm_health_find(&signal.health, &account->tracks, judge->pack, environment->now, judge->evaluator);
    if (rule && !bare) {
        tm_evaluator *evaluator = judge->evaluator;
        signal.tier = tier_of(account, environment->now);
        signal.play = play_of(evaluator, rule);
        signal.route = route_of(evaluator, rule);
        if (rule->threshold != TM_NODE_NONE)
            signal.threshold = tm_evaluator_value(evaluator, rule->threshold);
        if (rule->clear_threshold != TM_NODE_NONE)
            signal.clear_threshold = tm_evaluator_value(evaluator, rule->clear_threshold);
        for (uint32_t i = 0; i < rule->evidence_count; i++)
            signal.evidence[i] = tm_evaluator_value(evaluator, rule->evidence[i]);
        for (uint32_t i = 0; i < rule->summary_count; i++) {
            if (rule->summary[i].node != TM_NODE_NONE)
                signal.summary[i] = tm_evaluator_value(evaluator, rule->summary[i].node);
        }
    }
    if (judge->signals)
        judge->signals[signal.kind][step->signal]++;
    if (step->signal == TM_SIGNAL_RAISED && tm_episode_open(episode)) /* or over already */
        judge->open[signal.kind]++;
    else if (step->signal == TM_SIGNAL_CLEARED)
        judge->open[signal.kind]--;
    TM_CHECK(judge->heap, judge->open[signal.kind] >= 0, "open_episodes");
    return judge->sink ? judge->sink(judge->sink_context, &signal) : TM_OK;
}

/* Ends and forgets the episodes of rules that the pack no longer has. */
static tm_status end_removed(tm_judge *judge, const tm_environment *environment, tm_account *account)
{
    for (uint32_t i = 0; i < account->episode_count;) {
        tm_episode *episode = &account->episodes[i];
        bool known = false;
        /* What waits for nothing has no open episode: this one is of a rule that the name stood for before. */
        for (uint32_t r = 0; r < judge->pack->rule_count && !known; r++)
            known = judge->pack->rules[r].identity == episode->rule &&
                    !(judge->pack->rules[r].on_stage && episode->state != TM_EPISODE_INACTIVE);
        if (known) {
            i++;
            continue;
        }
        tm_step step;
        tm_episode_end(episode, environment->now->t, TM_REASON_RULE_REMOVED, &step);
        if (step.signal != TM_SIGNAL_NONE) {
            tm_status status = hand_over(judge, environment, account, episode, NULL, &step, false);
            if (status != TM_OK)
                return status;
        }
        tm_account_episode_drop(account, judge->heap, episode->rule);
        account->changed = true;
    }
    return TM_OK;
}

/* Keeps the outcome of a step: makes the account's episode when there was none, forgets one that says nothing any more.
 */
static tm_status keep(tm_judge *judge, tm_account *account, const tm_rule *rule, tm_episode *stepped, bool was_there,
                      bool raised)
{
    account->changed = true;
    bool noted = stepped->notes && (stepped->notes->snoozed_until != TM_TIME_NONE || stepped->notes->raise_count > 0);
    if (stepped->state == TM_EPISODE_INACTIVE && stepped->cleared_at == TM_TIME_NONE && !noted) {
        if (was_there)
            tm_account_episode_drop(account, judge->heap, rule->identity);
        return TM_OK;
    }
    tm_episode *kept = stepped;
    if (!was_there) {
        kept = tm_account_episode_make(account, judge->heap, rule->identity);
        if (!kept)
            return TM_FATAL;
        *kept = *stepped;
    }
    if (raised && tm_episode_note_raise(kept, judge->heap, rule, kept->raised_at) != TM_OK)
        return TM_FATAL;
    if (!tm_episode_open(kept) && kept->notes)
        (void)tm_episode_set_acknowledged(kept, judge->heap, TM_TIME_NONE, (tm_slice){0}); /* nothing to copy */
    if (tm_episode_open(kept) && !kept->rule_name.data)
        return tm_episode_set_name(kept, judge->heap, rule->name);
    if (!tm_episode_open(kept) && kept->rule_name.data)
        return tm_episode_set_name(kept, judge->heap, (tm_slice){0});
    return TM_OK;
}

/* Whether every field is of its range: the episode is used as an index below. */
static bool episode_sound(const tm_episode *episode)
{
    return episode->state <= TM_EPISODE_CLEARING && episode->kind < TM_KINDS &&
           episode->severity <= TM_SEVERITY_CRITICAL && episode->published_severity <= TM_SEVERITY_CRITICAL;
}

/* Finds the account's stage and the rules that a change of it is one for. */
static tm_status step_stage(tm_judge *judge, tm_account *account, tm_time now, tm_time *due, uint64_t *stirred,
                            bool *ret_changed)
{
    tm_time stays;
    tm_status status =
        tm_stage_step(&account->stages, judge->heap, judge->pack, now, judge->evaluator, &stays, ret_changed);
    *due = stays < *due ? stays : *due;
    if (status == TM_OK && *ret_changed) {
        account->changed = true;
        *stirred |= judge->pack->stage_stirs;
    }
    return status;
}

/* Finds what is kept of the account's scores and the rules that a change of it is one for. */
static tm_status step_scores(tm_judge *judge, const tm_moment *now, tm_account *account, tm_time *due,
                             uint64_t *stirred)
{
    bool changed, told;
    tm_time moves;
    const tm_stage_change *stage = tm_stage_present(&account->stages);
    tm_status status = tm_tracks_step(&account->tracks, judge->heap, judge->pack, stage ? stage->stage : 0, now,
                                      judge->evaluator, stirred, &moves, &told, &changed);
    account->changed = account->changed || changed;
    *due = moves < *due ? moves : *due;
    if (status != TM_OK || !told || !judge->health_sink)
        return status;
    tm_health health;
    tm_health_find(&health, &account->tracks, judge->pack, now, judge->evaluator);
    tm_health_record record = {.account = account->key,
                               .at = now->t,
                               .stage = tm_stage_name(judge->pack, stage),
                               .health = &health,
                               .rules_version = judge->pack->version};
    return judge->health_sink(judge->sink_context, &record);
}

/* The first grid instant after now at which `due` has come. */
static tm_time on_grid(tm_time due, tm_time now, int64_t grid)
{
    return due == TM_TIME_NEVER ? TM_TIME_NEVER : tm_time_ceil(due > now ? due : now + 1, grid);
}

tm_status tm_judge_account(tm_judge *judge, const tm_environment *environment, tm_account *account, int64_t grid,
                           tm_time *ret_due)
{
    tm_time now = environment->now->t;
    TM_CHECK(judge->heap, account->series_count == judge->pack->metric_count, "judged_series");
    TM_CHECK(judge->heap, account->input < TM_INPUTS, "judged_input");
    bool all = now >= account->stands_until;
    uint64_t stirred = all ? UINT64_MAX : account->stirred;
    tm_time due = all ? TM_TIME_NEVER : account->stands_until;
    bool stage_moved = false;
    bool standing = all || account->standing_stirred;
    bool scored = all || account->scores_stirred;
    account->stirred = 0;
    account->standing_stirred = account->scores_stirred = false;
    if (!stirred && !standing && !scored) {
        *ret_due = account->stands_until = on_grid(due, now, grid);
        return TM_OK;
    }
    account->stands_until = TM_TIME_NONE; /* a judgement that fails half-way is to be made anew as a whole */
    questions_context q = {judge, environment, account};
    tm_questions questions = {&q, answer_value, answer_held_until, answer_tier};

    tm_evaluator_begin(judge->evaluator, environment, account, NULL);
    if (standing) {
        tm_status status = step_stage(judge, account, now, &due, &stirred, &stage_moved);
        if (status != TM_OK)
            return status;
    }
    if (scored || stage_moved) {
        tm_status status = step_scores(judge, environment->now, account, &due, &stirred);
        if (status != TM_OK)
            return status;
    }
    if (all && account->episode_count > 0) {
        tm_status status = end_removed(judge, environment, account);
        if (status != TM_OK)
            return status;
    }
    for (uint32_t i = 0; i < judge->pack->rule_count; i++) {
        uint16_t index = judge->pack->order[i];
        TM_CHECK(judge->heap, index < judge->pack->rule_count, "judged_rule");
        if (!(stirred >> (index & 63) & 1))
            continue;
        const tm_rule *rule = &judge->pack->rules[index];
        tm_episode fresh = {.rule = rule->identity, .cleared_at = TM_TIME_NONE};
        tm_episode *episode = account->episode_count ? tm_account_episode(account, rule->identity) : NULL;
        bool was_there = episode != NULL;
        TM_CHECK(judge->heap, !episode || episode_sound(episode), "episode_state");
        if (!episode)
            episode = &fresh;
        tm_step step;
        if (!rule->on_stage)
            tm_episode_step(episode, rule, now, &questions, &step);
        else if (stage_moved)
            tm_episode_moment(episode, rule, now, &questions, &step);
        else
            continue;
        due = step.due < due ? step.due : due;
        if (step.signal != TM_SIGNAL_NONE) {
            tm_status status = hand_over(judge, environment, account, episode, rule, &step, false);
            if (status != TM_OK)
                return status;
        }
        if (step.changed) {
            stirred |= rule->stirs;
            tm_status status = keep(judge, account, rule, episode, was_there, step.signal == TM_SIGNAL_RAISED);
            if (status != TM_OK)
                return status;
        }
    }
    tm_time horizon = tm_evaluator_horizon(judge->evaluator);
    due = horizon < due ? horizon : due;
    *ret_due = account->stands_until = on_grid(due, now, grid);
    TM_CHECK(judge->heap, *ret_due > now, "judged_due");
    return TM_OK;
}

bool tm_judge_concerned(const tm_account *account, tm_time at)
{
    for (uint32_t i = 0; i < account->episode_count; i++) {
        const tm_episode *episode = &account->episodes[i];
        if (tm_episode_open(episode) && at < episode->signalled_at)
            return true;
    }
    return false;
}

void tm_judge_verdicts(tm_judge *judge, const tm_environment *environment, tm_account *account, tm_time at,
                       uint8_t verdicts[static TM_RULES_MAX])
{
    questions_context q = {judge, environment, account};
    tm_questions questions = {&q, answer_value, answer_held_until, answer_tier};
    tm_evaluator_begin(judge->evaluator, environment, account, NULL);
    for (uint32_t i = 0; i < judge->pack->rule_count; i++) {
        const tm_rule *rule = &judge->pack->rules[i];
        const tm_episode *episode = tm_account_episode(account, rule->identity);
        verdicts[i] = 0;
        if (episode && tm_episode_open(episode) && at < episode->signalled_at && !rule->on_stage)
            verdicts[i] = (uint8_t)tm_episode_verdict(episode, rule, &questions);
    }
    tm_account_forget_derived(account); /* at this instant more records may come */
}

void tm_judge_revise(tm_judge *judge, const tm_environment *environment, tm_account *account, tm_time at,
                     const uint8_t before[static TM_RULES_MAX])
{
    uint8_t after[TM_RULES_MAX];
    tm_judge_verdicts(judge, environment, account, at, after);
    for (uint32_t i = 0; i < judge->pack->rule_count; i++) {
        if (before[i] == after[i])
            continue;
        tm_episode *episode = tm_account_episode(account, judge->pack->rules[i].identity);
        if (tm_episode_revise(episode, at, before[i], after[i])) {
            account->changed = true;
            account->stands_until = TM_TIME_NONE;
        }
    }
}

tm_status tm_judge_erase(tm_judge *judge, const tm_environment *environment, tm_account *account)
{
    for (uint32_t i = 0; i < account->episode_count; i++)
        TM_CHECK(judge->heap, episode_sound(&account->episodes[i]), "erased_episode_state");
    /* In the order of judgement; what belongs to rules no longer there comes last. */
    for (uint32_t i = 0; i < judge->pack->rule_count; i++) {
        const tm_rule *rule = &judge->pack->rules[judge->pack->order[i]];
        tm_episode *episode = tm_account_episode(account, rule->identity);
        if (!episode || !tm_episode_open(episode))
            continue;
        tm_step step;
        tm_episode_end(episode, environment->now->t, TM_REASON_ERASED, &step);
        tm_status status = hand_over(judge, environment, account, episode, rule, &step, true);
        if (status != TM_OK)
            return status;
    }
    for (uint32_t i = 0; i < account->episode_count; i++) {
        tm_episode *episode = &account->episodes[i];
        if (!tm_episode_open(episode))
            continue;
        tm_step step;
        tm_episode_end(episode, environment->now->t, TM_REASON_ERASED, &step);
        tm_status status = hand_over(judge, environment, account, episode, NULL, &step, true);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}
