/* Replies to signals, one by one: what they are to, what they leave noted, and what does nothing. */
#include "tidemark/core/reply.h"

#include "support/feed.h"

static const char rules[] = "version: 1\n"
                            "metrics:\n"
                            "  events: {count: '*'}\n"
                            "rules:\n"
                            "  - {name: a, kind: churn_risk, when: 'events[1h] >= 1'}\n"
                            "  - {name: other, kind: churn_risk, when: 'events[1h] >= 2'}\n";

#define NOW FEED_START
#define RAISED INT64_C(1710028800120)

static tm_pack *pack;
static tm_heap *heap;
static tm_account *account;
static tm_event event;

static void set_up(void)
{
    pack = feed_pack(rules);
    heap = tm_heap_new(0);
    account = tm_account_new(heap, pack, TM_SLICE_LITERAL("acme"));
    cr_assert_not_null(account);
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
    tm_pack_free(pack);
}

TestSuite(reply, .init = set_up, .fini = tear_down);

/* An episode of a rule of the pack, open since RAISED or not. */
static tm_episode *episode_of(uint32_t rule, bool open)
{
    tm_episode *episode = tm_account_episode_make(account, heap, pack->rules[rule].identity);
    episode->state = open ? TM_EPISODE_RAISED : TM_EPISODE_INACTIVE;
    episode->raised_at = RAISED;
    return episode;
}

static void property(const char *name, const char *text)
{
    event.properties[event.property_count++] =
        (tm_property){tm_slice_of(name), {.type = TM_TYPE_STRING, .as.string = tm_slice_of(text)}};
}

static void about(const char *name)
{
    event = (tm_event){.name = tm_slice_of(name), .at = NOW - TM_MINUTE};
}

/* Applies it, and returns whether it changed anything. */
static bool changes(void)
{
    account->changed = false;
    cr_assert_eq(tm_reply_apply(account, heap, pack, &event, NOW), TM_OK);
    return account->changed;
}

Test(reply, is_known_by_its_name)
{
    cr_assert(tm_reply_is(TM_SLICE_LITERAL("signal_acknowledged")));
    cr_assert(tm_reply_is(TM_SLICE_LITERAL("signal_snoozed")));
    cr_assert_not(tm_reply_is(TM_SLICE_LITERAL("signal_")));
}

Test(reply, an_open_episode_is_acknowledged_by_its_key)
{
    static const char *const others[] = {
        "",
        "0",
        "/1710028800120",
        "a/1710028800120",
        "acme/a/1710028800121",
        "acme/a 1710028800120",
        "acme/b/1710028800120",
        "acme a/1710028800120",
        "acmf/a/1710028800120",
        "x/acme/a/1710028800120",
        "acme/other/1710028800120",
    };
    tm_episode *episode = episode_of(0, true);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        about("signal_acknowledged");
        property("episode", others[i]);
        cr_assert_not(changes(), "%s", others[i]);
        cr_assert_null(episode->notes);
    }
    (void)episode_of(1, false);
    about("signal_acknowledged");
    property("episode", "acme/other/1710028800120");
    cr_assert_not(changes(), "it is not open");
    about("signal_acknowledged");
    property("episode", "acme/a/1710028800120");
    property("by", "jo");
    cr_assert(changes());
    episode = tm_account_episode(account, pack->rules[0].identity);
    cr_assert_eq(episode->notes->acknowledged_at, NOW - TM_MINUTE);
    cr_assert(tm_slice_equal_text(episode->notes->acknowledged_by, "jo"));
    /* Once more, by nobody in particular; and of an instant of one digit. */
    episode->raised_at = 7;
    about("signal_acknowledged");
    property("episode", "acme/a/7");
    cr_assert(changes());
    cr_assert_null(episode->notes->acknowledged_by.data);
    cr_assert_gt(tm_account_memory(account), 0);
}

Test(reply, a_rule_is_named_instead)
{
    about("signal_acknowledged");
    cr_assert_not(changes(), "neither is named");
    property("rule", "nobody");
    cr_assert_not(changes(), "no such rule");
    about("signal_acknowledged");
    property("rule", "a");
    cr_assert_not(changes(), "it was never raised");
    (void)episode_of(0, false);
    cr_assert_not(changes(), "it is not open");
    (void)episode_of(0, true);
    cr_assert(changes());
    about("signal_acknowledged");
    event.properties[event.property_count++] =
        (tm_property){TM_SLICE_LITERAL("rule"), {.type = TM_TYPE_NUMBER, .as.number = 1}};
    cr_assert_not(changes(), "a number names nothing");
}

static tm_time snoozed(const char *what, const char *text)
{
    about("signal_snoozed");
    property("rule", "a");
    if (what)
        property(what, text);
    if (!changes())
        return TM_TIME_NONE;
    const tm_episode *episode = tm_account_episode(account, pack->rules[0].identity);
    return episode->notes->snoozed_until;
}

Test(reply, a_rule_is_snoozed_until_a_time_or_for_a_while)
{
    cr_assert_eq(snoozed(NULL, NULL), TM_TIME_NONE, "it does not say for how long");
    cr_assert_eq(snoozed("until", "soon"), TM_TIME_NONE);
    cr_assert_eq(snoozed("for", "a while"), TM_TIME_NONE);
    cr_assert_eq(snoozed("until", "2020-01-01T00:00:00Z"), TM_TIME_NONE, "past, and nothing is to be ended");
    cr_assert_null(tm_account_episode(account, pack->rules[0].identity));
    cr_assert_eq(snoozed("for", "2h"), NOW - TM_MINUTE + 2 * TM_HOUR, "from when it was said");
    cr_assert_eq(snoozed("until", "2999-01-01T00:00:00Z"), NOW + 400 * TM_DAY, "and no longer than that");
    account->stands_until = 5;
    cr_assert_eq(snoozed("until", "2020-01-01T00:00:00Z"), TM_TIME_NONE);
    cr_assert(account->changed, "a time that is past ends it");
    cr_assert_eq(account->stands_until, TM_TIME_NONE);
    (void)snoozed("for", "2h");
    cr_assert_eq(snoozed("for", "0"), TM_TIME_NONE);
    cr_assert(account->changed, "so does no time at all");
}

/* Whatever the memory is enough for: all of it is noted, or the word is that there is none. */
Test(reply, memory_at_its_end_is_said)
{
    int refused = 0;
    for (int kind = 0; kind < 2; kind++) {
        bool noted = false;
        for (size_t limit = 256; !noted; limit += 16) {
            cr_assert_lt(limit, 1 << 20);
            tm_heap_free_all(heap);
            heap = tm_heap_new(limit);
            account = tm_account_new(heap, pack, TM_SLICE_LITERAL("acme"));
            tm_episode *episode =
                account && kind == 0 ? tm_account_episode_make(account, heap, pack->rules[0].identity) : NULL;
            if (!account || (kind == 0 && !episode))
                continue;
            if (episode)
                episode->state = TM_EPISODE_RAISED;
            about(kind == 0 ? "signal_acknowledged" : "signal_snoozed");
            property("rule", "a");
            property(kind == 0 ? "by" : "for", kind == 0 ? "somebody with a name that needs a block of its own" : "1h");
            tm_status status = tm_reply_apply(account, heap, pack, &event, NOW);
            cr_assert(status == TM_OK || status == TM_FATAL);
            refused += status == TM_FATAL;
            noted = status == TM_OK;
        }
    }
    cr_assert_gt(refused, 2);
}
