#include "tidemark/core/episode.h"

/* An update that does not raise the severity waits until the episode's last signal is this old (semantics: Rules). */
#define UPDATE_HOLD TM_DAY

static const char *const signal_states[] = {"none", "raised", "updated", "cleared"};
static const char *const reasons[] = {NULL,     "condition", "rule_removed", "out_of_scope",
                                      "erased", "revised",   "flapping"};

const char *tm_signal_state_name(tm_signal_state state)
{
    return signal_states[state];
}

const char *tm_reason_name(tm_reason reason)
{
    return reasons[reason];
}

typedef struct judgement {
    tm_episode *episode;
    const tm_rule *rule;
    tm_time now;
    const tm_questions *questions;
    tm_step *step;
} judgement;

static tm_value ask(const judgement *j, uint32_t node)
{
    return node == TM_NODE_NONE ? tm_value_null() : j->questions->value(j->questions->context, node);
}

static tm_time after(tm_time start, int64_t length)
{
    return start > TM_TIME_NEVER - length ? TM_TIME_NEVER : start + length;
}

/* The severity now; `former` where the rule's answer is null or no severity. */
static tm_severity severity_now(const judgement *j, tm_severity former)
{
    const tm_rule *rule = j->rule;
    tm_severity severity = former;
    if (rule->severity_node != TM_NODE_NONE) {
        tm_value value = ask(j, rule->severity_node);
        if (value.type == TM_TYPE_STRING)
            (void)tm_severity_parse(value.as.string, &severity);
        return severity;
    }
    if (!rule->has_severity_by_tier)
        return rule->severity;
    tm_slice tier = j->questions->tier(j->questions->context);
    tm_slice text = rule->severity_by_tier.otherwise;
    for (uint32_t i = 0; tier.data && i < rule->severity_by_tier.choice_count; i++) {
        if (tm_slice_equal(rule->severity_by_tier.choices[i].tier, tier))
            text = rule->severity_by_tier.choices[i].text;
    }
    if (text.data)
        (void)tm_severity_parse(text, &severity);
    return severity;
}

static bool is_figure(uint8_t type)
{
    return type == TM_TYPE_NUMBER || type == TM_TYPE_DURATION;
}

static void publish(const judgement *j, tm_signal_state state, tm_reason reason, tm_value value)
{
    tm_episode *e = j->episode;
    e->sequence++;
    e->signalled_at = j->now;
    e->published_severity = e->severity;
    e->published_type = is_figure(value.type) ? value.type : (uint8_t)TM_TYPE_NULL;
    e->published_value = is_figure(value.type) ? value.as.number : 0;
    j->step->signal = state;
    j->step->reason = reason;
    j->step->value = value;
    j->step->changed = true;
}

static void close_episode(const judgement *j, tm_reason reason, tm_value value)
{
    /* Who asked for signals of one severity must see the end of what they saw begin. */
    j->episode->severity = j->episode->published_severity;
    publish(j, TM_SIGNAL_CLEARED, reason, value);
    j->episode->state = TM_EPISODE_INACTIVE;
    j->episode->marks = 0;
    if (reason != TM_REASON_REVISED) /* else as if it had not been raised: no cooldown, no tail */
        j->episode->cleared_at = j->now;
}

bool tm_episode_comes_and_goes(const tm_episode *episode, const tm_rule *rule, tm_time t)
{
    const tm_episode_notes *notes = episode->notes;
    unsigned recent = 0;
    for (unsigned i = 0; notes && i < notes->raise_count; i++)
        recent += notes->raises[i] > t - rule->flapping_ms;
    return rule->flapping_episodes && recent + 1 >= rule->flapping_episodes;
}

/* How long nothing may happen before a flapping episode goes on like any other. */
static int64_t calm(const judgement *j)
{
    return j->episode->marks & TM_EPISODE_FLAPPING ? j->rule->calm_ms : 0;
}

/* Until when nothing but its end is to be heard of the episode. */
static tm_time silent_until(const tm_episode *episode)
{
    return episode->notes ? episode->notes->snoozed_until : TM_TIME_NONE;
}

/* The earliest instant from `earliest` on at which neither cooldown, snooze nor inhibitors hold a raise back. */
static tm_time free_from(const judgement *j, tm_time earliest)
{
    const tm_episode *e = j->episode;
    const tm_rule *rule = j->rule;
    if (e->cleared_at != TM_TIME_NONE) {
        tm_time cooled = rule->cooldown_once ? TM_TIME_NEVER : after(e->cleared_at, rule->cooldown_ms);
        earliest = cooled > earliest ? cooled : earliest;
    }
    earliest = silent_until(e) > earliest ? silent_until(e) : earliest;
    /* Asked only when nothing else holds the raise back, but the due time must know of all three. */
    tm_time held = rule->inhibitor_count ? j->questions->held_until(j->questions->context, rule) : TM_TIME_NONE;
    return held > earliest ? held : earliest;
}

static void raise_episode(const judgement *j)
{
    tm_episode *e = j->episode;
    bool flapping = tm_episode_comes_and_goes(e, j->rule, j->now);
    e->state = TM_EPISODE_RAISED;
    e->raised_at = e->since = j->now;
    e->marks = flapping ? TM_EPISODE_FLAPPING : 0;
    e->sequence = 0;
    e->kind = (uint8_t)j->rule->kind;
    e->severity = (uint8_t)severity_now(j, TM_SEVERITY_WARN);
    e->severity_known = true;
    publish(j, TM_SIGNAL_RAISED, flapping ? TM_REASON_FLAPPING : TM_REASON_NONE, ask(j, j->rule->value));
}

static void judge_pending(const judgement *j)
{
    tm_time earliest = free_from(j, after(j->episode->since, j->rule->for_ms));
    if (earliest > j->now) {
        j->step->due = earliest;
        return;
    }
    raise_episode(j);
    j->step->due = j->now + 1;
}

/* Whether what would be published now differs enough from what was. */
static bool has_moved(const judgement *j, tm_severity *ret_severity, tm_value *ret_value)
{
    const tm_episode *e = j->episode;
    /* "null keeps the former": what was published. A change that is held leaves no trace until it is judged again. */
    *ret_severity = severity_now(j, (tm_severity)e->published_severity);
    *ret_value = ask(j, j->rule->value);
    bool moved = *ret_severity != (tm_severity)e->published_severity;
    if (is_figure(ret_value->type) && ret_value->type == e->published_type &&
        ret_value->as.number != e->published_value) {
        double from = e->published_value;
        double distance = ret_value->as.number > from ? ret_value->as.number - from : from - ret_value->as.number;
        moved = moved || distance >= j->rule->update_change * (from < 0 ? -from : from);
    }
    return moved;
}

static void unmark(const judgement *j, uint8_t mark)
{
    j->step->changed = j->step->changed || j->episode->marks & mark;
    j->episode->marks &= (uint8_t)~mark;
}

static void judge_raised(const judgement *j)
{
    tm_episode *e = j->episode;
    tm_severity severity;
    tm_value value;
    if (!has_moved(j, &severity, &value)) {
        unmark(j, TM_EPISODE_REVISED_VALUE);
        return;
    }
    tm_time free = after(e->signalled_at, UPDATE_HOLD), calmed = after(e->since, calm(j));
    free = calmed > free ? calmed : free;
    if (severity > (tm_severity)e->published_severity)
        free = j->now;
    free = silent_until(e) > free ? silent_until(e) : free;
    if (j->now >= free) {
        e->severity = (uint8_t)severity;
        publish(j, TM_SIGNAL_UPDATED, e->marks & TM_EPISODE_REVISED_VALUE ? TM_REASON_REVISED : TM_REASON_NONE, value);
        unmark(j, TM_EPISODE_REVISED_VALUE);
        j->step->due = j->now + 1;
    } else {
        j->step->due = free;
    }
}

void tm_episode_step(tm_episode *episode, const tm_rule *rule, tm_time now, const tm_questions *questions,
                     tm_step *ret_step)
{
    *ret_step = (tm_step){.due = TM_TIME_NEVER};
    judgement j = {episode, rule, now, questions, ret_step};

    if (silent_until(episode) != TM_TIME_NONE && silent_until(episode) <= now) {
        episode->notes->snoozed_until = TM_TIME_NONE;
        ret_step->changed = true;
    }
    if (!tm_value_is_true(ask(&j, rule->scope))) {
        if (tm_episode_open(episode)) {
            close_episode(&j, TM_REASON_OUT_OF_SCOPE, ask(&j, rule->value));
            ret_step->due = now + 1;
        } else if (episode->state == TM_EPISODE_PENDING) {
            episode->state = TM_EPISODE_INACTIVE;
            ret_step->changed = true;
        }
        return;
    }
    if (episode->marks & TM_EPISODE_REVISED_RAISE) {
        if (!tm_value_is_true(ask(&j, rule->when))) {
            close_episode(&j, TM_REASON_REVISED, ask(&j, rule->value));
            ret_step->due = now + 1;
            return;
        }
        unmark(&j, TM_EPISODE_REVISED_RAISE);
    }
    switch ((tm_episode_state)episode->state) {
    case TM_EPISODE_INACTIVE:
        if (!tm_value_is_true(ask(&j, rule->when)))
            return;
        episode->state = TM_EPISODE_PENDING;
        episode->since = now;
        ret_step->changed = true;
        judge_pending(&j);
        return;
    case TM_EPISODE_PENDING:
        if (!tm_value_is_true(ask(&j, rule->when))) {
            episode->state = TM_EPISODE_INACTIVE;
            ret_step->changed = true;
            return;
        }
        judge_pending(&j);
        return;
    case TM_EPISODE_RAISED:
        if (!tm_value_is_true(ask(&j, rule->clear))) {
            judge_raised(&j);
            return;
        }
        unmark(&j, TM_EPISODE_REVISED_VALUE);
        episode->state = TM_EPISODE_CLEARING;
        episode->since = now;
        ret_step->changed = true;
        break;
    case TM_EPISODE_CLEARING:
        if (!tm_value_is_true(ask(&j, rule->clear))) {
            episode->state = TM_EPISODE_RAISED;
            episode->since = now;
            ret_step->changed = true;
            ret_step->due = now + 1;
            return;
        }
        break;
    }
    tm_time cleared = after(episode->since, rule->clear_for_ms > calm(&j) ? rule->clear_for_ms : calm(&j));
    if (now >= cleared) {
        close_episode(&j, TM_REASON_CONDITION, ask(&j, rule->value));
        ret_step->due = now + 1;
    } else {
        ret_step->due = cleared;
    }
}

unsigned tm_episode_verdict(const tm_episode *episode, const tm_rule *rule, const tm_questions *questions)
{
    tm_episode copy = *episode;
    judgement j = {.episode = &copy, .rule = rule, .questions = questions};
    tm_severity severity;
    tm_value value;
    return (tm_value_is_true(ask(&j, rule->when)) ? TM_VERDICT_HOLDS : 0U) |
           (has_moved(&j, &severity, &value) ? TM_VERDICT_MOVED : 0U);
}

bool tm_episode_revise(tm_episode *episode, tm_time at, unsigned before, unsigned after)
{
    uint8_t marks = episode->marks;
    if (at < episode->raised_at && before & TM_VERDICT_HOLDS && !(after & TM_VERDICT_HOLDS))
        episode->marks |= TM_EPISODE_REVISED_RAISE;
    if (at < episode->signalled_at && after & TM_VERDICT_MOVED && !(before & TM_VERDICT_MOVED))
        episode->marks |= TM_EPISODE_REVISED_VALUE;
    return episode->marks != marks;
}

void tm_episode_moment(tm_episode *episode, const tm_rule *rule, tm_time now, const tm_questions *questions,
                       tm_step *ret_step)
{
    *ret_step = (tm_step){.due = TM_TIME_NEVER};
    judgement j = {episode, rule, now, questions, ret_step};
    if (!tm_value_is_true(ask(&j, rule->scope)) || !tm_value_is_true(ask(&j, rule->when)) || free_from(&j, now) > now)
        return;
    raise_episode(&j);
    episode->state = TM_EPISODE_INACTIVE;
    episode->cleared_at = now;
}

void tm_episode_end(tm_episode *episode, tm_time now, tm_reason reason, tm_step *ret_step)
{
    *ret_step = (tm_step){.due = TM_TIME_NEVER};
    judgement j = {.episode = episode, .now = now, .step = ret_step};
    if (tm_episode_open(episode)) {
        close_episode(&j, reason, tm_value_null());
    } else if (episode->state == TM_EPISODE_PENDING) {
        episode->state = TM_EPISODE_INACTIVE;
        ret_step->changed = true;
    }
}
