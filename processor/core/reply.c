#include "tidemark/core/reply.h"

#include <string.h>

#define ACKNOWLEDGED TM_SLICE_LITERAL("signal_acknowledged")
#define SNOOZED TM_SLICE_LITERAL("signal_snoozed")
/* Whoever mistypes a year shall not silence a rule for ever. */
#define SNOOZE_MAX (400 * TM_DAY)

bool tm_reply_is(tm_slice event_name)
{
    return tm_slice_equal(event_name, ACKNOWLEDGED) || tm_slice_equal(event_name, SNOOZED);
}

static tm_slice text_of(const tm_event *event, tm_slice name)
{
    tm_value value = tm_event_property(event, name);
    return value.type == TM_TYPE_STRING ? value.as.string : (tm_slice){0};
}

/* Takes `tail` and the '/' before it off the end of `text`. */
static bool take_tail(tm_slice *text, tm_slice tail)
{
    size_t length = tail.length + 1;
    if (text->length < length || text->data[text->length - length] != '/' ||
        memcmp(text->data + text->length - tail.length, tail.data, tail.length) != 0)
        return false;
    text->length -= length;
    return true;
}

/* account/rule/raised_at, the key of an open episode. */
static bool is_key_of(tm_slice key, const tm_account *account, const tm_episode *episode, const tm_rule *rule)
{
    char digits[20];
    size_t first = sizeof digits;
    tm_time left = episode->raised_at; /* never negative */
    do {
        digits[--first] = "0123456789"[left % 10];
        left /= 10;
    } while (left > 0);
    return take_tail(&key, (tm_slice){digits + first, sizeof digits - first}) && take_tail(&key, rule->name) &&
           tm_slice_equal(key, account->key);
}

/* The rule that the reply is to; NULL: none. */
static const tm_rule *rule_of(const tm_account *account, const tm_pack *pack, const tm_event *event)
{
    tm_slice key = text_of(event, TM_SLICE_LITERAL("episode"));
    if (!key.data) {
        tm_slice name = text_of(event, TM_SLICE_LITERAL("rule"));
        uint32_t index = name.data ? tm_pack_rule(pack, name) : UINT32_MAX;
        return index == UINT32_MAX ? NULL : &pack->rules[index];
    }
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        const tm_episode *episode = tm_account_episode(account, pack->rules[i].identity);
        if (episode && tm_episode_open(episode) && is_key_of(key, account, episode, &pack->rules[i]))
            return &pack->rules[i];
    }
    return NULL;
}

/* Until when the reply wants silence; TM_TIME_NONE: it does not say. */
static tm_time until_of(const tm_event *event, tm_time now)
{
    tm_time until;
    int64_t length;
    tm_slice text = text_of(event, TM_SLICE_LITERAL("until"));
    if (text.data) {
        if (tm_time_parse(text, &until) != TM_OK)
            return TM_TIME_NONE;
    } else {
        text = text_of(event, TM_SLICE_LITERAL("for"));
        if (text.data && tm_slice_equal_text(text, "0"))
            length = 0;
        else if (!text.data || tm_duration_parse(text, &length) != TM_OK)
            return TM_TIME_NONE;
        until = event->at + length;
    }
    return until > now + SNOOZE_MAX ? now + SNOOZE_MAX : until;
}

static tm_status acknowledge(tm_account *account, tm_heap *heap, const tm_rule *rule, const tm_event *event)
{
    tm_episode *episode = tm_account_episode(account, rule->identity);
    if (!episode || !tm_episode_open(episode))
        return TM_OK;
    tm_episode_notes *notes = tm_episode_notes_make(episode, heap);
    if (!notes ||
        tm_episode_set_acknowledged(episode, heap, event->at, text_of(event, TM_SLICE_LITERAL("by"))) != TM_OK)
        return TM_FATAL;
    account->changed = true;
    return TM_OK;
}

static tm_status snooze(tm_account *account, tm_heap *heap, const tm_rule *rule, tm_time until, tm_time now)
{
    if (until == TM_TIME_NONE || (until <= now && !tm_account_episode(account, rule->identity)))
        return TM_OK;
    tm_episode *episode = tm_account_episode_make(account, heap, rule->identity);
    tm_episode_notes *notes = episode ? tm_episode_notes_make(episode, heap) : NULL;
    if (!notes)
        return TM_FATAL;
    notes->snoozed_until = until > now ? until : TM_TIME_NONE;
    account->changed = true;
    account->stands_until = TM_TIME_NONE; /* what was held back, or is from now on, is to be looked at */
    return TM_OK;
}

tm_status tm_reply_apply(tm_account *account, tm_heap *heap, const tm_pack *pack, const tm_event *event, tm_time now)
{
    const tm_rule *rule = rule_of(account, pack, event);
    if (!rule)
        return TM_OK;
    if (tm_slice_equal(event->name, ACKNOWLEDGED))
        return acknowledge(account, heap, rule, event);
    return snooze(account, heap, rule, until_of(event, now), now);
}
