/* The edges of docs/semantics.md, Replies: to what a reply is not, and until when it holds. The rest is in
   reply_test.c. */
#include "tidemark/core/reply.h"

#include "support/feed.h"

#define NOW (FEED_START + 10 * TM_DAY)
#define RAISED (FEED_START + TM_DAY)

static tm_pack *pack;
static tm_heap *heap;
static tm_account *account;
static tm_event event;

static void set_up(void)
{
    pack = feed_pack(feed_rules);
    heap = tm_heap_new(0);
    account = tm_account_new(heap, pack, TM_SLICE_LITERAL("a/1"));
    cr_assert_not_null(account);
    account->stands_until = TM_TIME_NEVER;
}

static void tear_down(void)
{
    tm_heap_free_all(heap);
    tm_pack_free(pack);
}

TestSuite(replies, .init = set_up, .fini = tear_down);

static const tm_rule *rule(const char *name)
{
    uint32_t index = tm_pack_rule(pack, tm_slice_of(name));
    cr_assert_neq(index, UINT32_MAX);
    return &pack->rules[index];
}

static tm_episode *raised(const char *name)
{
    tm_episode *episode = tm_account_episode_make(account, heap, rule(name)->identity);
    episode->state = TM_EPISODE_RAISED;
    episode->raised_at = RAISED;
    return episode;
}

static tm_episode *episode_of(const char *name)
{
    return tm_account_episode(account, rule(name)->identity);
}

/* A reply with properties, name and text by turns, up to NULL. */
static void begin(const char *name)
{
    event = (tm_event){.id = TM_SLICE_LITERAL("1"),
                       .account = TM_SLICE_LITERAL("a/1"),
                       .name = tm_slice_of(name),
                       .at = NOW - TM_HOUR,
                       .value = TM_FIXED_NONE};
}

static void with(const char *name, const char *text)
{
    event.properties[event.property_count++] = (tm_property){tm_slice_of(name), tm_value_string(tm_slice_of(text))};
}

static void apply(bool changes)
{
    account->changed = false;
    cr_assert_eq(tm_reply_apply(account, heap, pack, &event, NOW), TM_OK);
    cr_assert_eq(account->changed, changes);
}

Test(replies, an_open_episode_is_acknowledged_by_its_key_or_its_rule)
{
    tm_episode *episode = raised("spend");
    begin("signal_acknowledged");
    with("rule", "spend");
    with("by", "kim");
    apply(true);
    cr_assert_eq(episode->notes->acknowledged_at, NOW - TM_HOUR, "the reply's at");
    cr_assert(tm_slice_equal_text(episode->notes->acknowledged_by, "kim"));
    cr_assert_eq(episode->notes->snoozed_until, TM_TIME_NONE);
    cr_assert_eq(account->stands_until, TM_TIME_NEVER, "nothing has to be judged for it");

    char key[64];
    snprintf(key, sizeof key, "a/1/spend/%lld", (long long)RAISED);
    begin("signal_acknowledged");
    event.at = NOW;
    with("episode", key);
    with("rule", "busy"); /* the key decides */
    apply(true);
    cr_assert_eq(episode->notes->acknowledged_at, NOW, "a later one takes the place");
    cr_assert_null(episode->notes->acknowledged_by.data, "and nobody said who");
    cr_assert_null(episode_of("busy"));

    begin("signal_acknowledged");
    with("rule", "spend");
    with("by", "");
    apply(true);
    cr_assert(episode->notes->acknowledged_by.data && episode->notes->acknowledged_by.length == 0);
    episode->state = TM_EPISODE_CLEARING; /* is open too */
    apply(true);
}

Test(replies, what_is_to_nothing_does_nothing)
{
    tm_episode *episode = raised("spend");
    char keys[6][64];
    snprintf(keys[0], sizeof keys[0], "a/1/spend/%lld", (long long)RAISED + 1); /* another episode */
    snprintf(keys[1], sizeof keys[1], "a/2/spend/%lld", (long long)RAISED);     /* another account */
    snprintf(keys[2], sizeof keys[2], "a/1/busy/%lld", (long long)RAISED);      /* another rule */
    snprintf(keys[3], sizeof keys[3], "a/1/spend/0%lld", (long long)RAISED);
    snprintf(keys[4], sizeof keys[4], "xa/1/spend/%lld", (long long)RAISED);
    snprintf(keys[5], sizeof keys[5], "%lld", (long long)RAISED);
    static const char *const names[] = {"signal_acknowledged", "signal_snoozed"};
    for (int n = 0; n < 2; n++) {
        for (size_t i = 0; i < 6; i++) {
            begin(names[n]);
            with("episode", keys[i]);
            with("rule", "spend");
            with("for", "1d");
            apply(false);
        }
        begin(names[n]);
        with("rule", "nobody's");
        with("for", "1d");
        apply(false);
        begin(names[n]); /* to nothing at all */
        with("for", "1d");
        apply(false);
        begin(names[n]); /* a rule that is no text */
        event.properties[event.property_count++] = (tm_property){TM_SLICE_LITERAL("rule"), tm_value_number(1)};
        with("for", "1d");
        apply(false);
    }
    cr_assert_null(episode->notes);
    episode->state = TM_EPISODE_PENDING;
    begin("signal_acknowledged");
    with("rule", "spend");
    apply(false);
    with("rule", "quiet");
    begin("signal_acknowledged");
    with("rule", "quiet");
    apply(false);
    cr_assert_null(episode_of("quiet"), "nothing is made for what was never raised");
}

Test(replies, a_rule_is_snoozed_for_a_while_or_until_a_time)
{
    begin("signal_snoozed");
    with("rule", "quiet");
    with("for", "2d");
    apply(true);
    cr_assert_eq(episode_of("quiet")->state, TM_EPISODE_INACTIVE, "of a rule that never was raised, too");
    cr_assert_eq(episode_of("quiet")->notes->snoozed_until, NOW - TM_HOUR + 2 * TM_DAY, "from its at on");
    cr_assert_eq(episode_of("quiet")->notes->acknowledged_at, TM_TIME_NONE);
    cr_assert_eq(account->stands_until, TM_TIME_NONE, "it has to be judged anew");

    begin("signal_snoozed");
    with("rule", "quiet");
    with("until", "2024-03-21T00:00:00Z"); /* eleven days after FEED_START */
    with("for", "9d");                     /* the time decides */
    apply(true);
    cr_assert_eq(episode_of("quiet")->notes->snoozed_until, FEED_START + 11 * TM_DAY);

    begin("signal_snoozed");
    with("rule", "quiet");
    with("until", "2999-01-01T00:00:00Z");
    apply(true);
    cr_assert_eq(episode_of("quiet")->notes->snoozed_until, NOW + 400 * TM_DAY, "a year mistyped");

    static const char *const lengths[] = {"400d", "401d"};
    for (int i = 0; i < 2; i++) {
        begin("signal_snoozed");
        with("rule", "quiet");
        with("for", lengths[i]); /* of an event an hour ago */
        apply(true);
        cr_assert_eq(episode_of("quiet")->notes->snoozed_until, NOW + 400 * TM_DAY - (i ? 0 : TM_HOUR));
    }

    begin("signal_snoozed");
    with("rule", "quiet");
    with("for", "30m"); /* over by now: the rule is snoozed no longer */
    apply(true);
    cr_assert_eq(episode_of("quiet")->notes->snoozed_until, TM_TIME_NONE);
}

Test(replies, a_snooze_without_a_time_is_none)
{
    static const char *const times[][2] = {{"for", "soon"}, {"for", ""},       {"for", "20000d"}, {"until", "tomorrow"},
                                           {"until", ""},   {"because", "2d"}, {"for", "30m"},    {"for", "59m"}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        begin("signal_snoozed");
        with("rule", "quiet");
        with(times[i][0], times[i][1]);
        apply(false);
        cr_assert_null(episode_of("quiet"), "%s %s", times[i][0], times[i][1]);
    }
    begin("signal_snoozed"); /* an until that cannot be read is not made up for */
    with("rule", "quiet");
    with("until", "tomorrow");
    with("for", "2d");
    apply(false);
}

/* --- what it is noted with --- */

Test(replies, who_acknowledged_is_the_accounts_own_text)
{
    tm_episode *episode = raised("spend");
    size_t before = tm_heap_used(heap);
    cr_assert_not_null(tm_episode_notes_make(episode, heap));
    size_t with_notes = tm_heap_used(heap);
    cr_assert_gt(with_notes, before);
    char name[] = "kim";
    cr_assert_eq(tm_episode_set_acknowledged(episode, heap, NOW, tm_slice_of(name)), TM_OK);
    name[0] = 'x';
    cr_assert(tm_slice_equal_text(episode->notes->acknowledged_by, "kim"));
    cr_assert_eq(episode->notes->acknowledged_at, NOW);
    cr_assert_eq(tm_episode_set_acknowledged(episode, heap, TM_TIME_NONE, (tm_slice){0}), TM_OK);
    cr_assert_eq(episode->notes->acknowledged_at, TM_TIME_NONE);
    cr_assert_null(episode->notes->acknowledged_by.data);
    cr_assert_eq(tm_heap_used(heap), with_notes, "the former text was given back");

    cr_assert_eq(tm_episode_set_acknowledged(episode, heap, NOW, TM_SLICE_LITERAL("kim")), TM_OK);
    tm_heap *none = tm_heap_new(1);
    cr_assert_eq(tm_episode_set_acknowledged(episode, none, NOW + 1, TM_SLICE_LITERAL("lou")), TM_FATAL);
    cr_assert_eq(episode->notes->acknowledged_at, NOW, "as it was");
    cr_assert(tm_slice_equal_text(episode->notes->acknowledged_by, "kim"));
    tm_heap_free_all(none);
}
