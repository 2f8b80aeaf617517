/* Plays and routes by cases, and flapping, as the rules file has them. */
#include <criterion/criterion.h>

#include "tidemark/rules/packfile.h"

#define RULE "rules:\n - name: r\n   kind: advisory\n   when: seats > 1\n"

static tm_pack *parsed(const char *text, tm_error *error)
{
    tm_pack *pack;
    (void)tm_packfile_parse(tm_slice_of(text), "rules.yaml", NULL, &pack, error);
    return pack;
}

Test(routes, own_cases_come_before_those_of_the_file)
{
    tm_error error;
    tm_pack *pack = parsed("version: 1\n"
                           "routes:\n - {when: first_term, queue: new}\n - {queue: all, responsible: csm}\n" RULE
                           "   route:\n    - {when: tier == 'high', queue: key, informed: boss}\n"
                           "   play:\n    - {when: mrr > 5, play: {high: Visit, default: Call}}\n    - {play: Write}\n"
                           " - {name: s, kind: advisory, when: seats > 2}\n"
                           " - {name: t, kind: advisory, when: seats > 3, route: {queue: own}, play: {high: Go}}\n",
                           &error);
    cr_assert_not_null(pack, "%s", error.what);
    const tm_rule *r = &pack->rules[0], *s = &pack->rules[1], *t = &pack->rules[2];
    cr_assert(r->route_count == 3 && s->route_count == 2 && t->route_count == 3);
    cr_assert(tm_slice_equal_text(r->routes[0].queue, "key") && r->routes[0].when != TM_NODE_NONE);
    cr_assert(tm_slice_equal_text(r->routes[0].informed, "boss") && !r->routes[0].responsible.data);
    cr_assert(tm_slice_equal_text(r->routes[1].queue, "new") && r->routes[1].when == s->routes[0].when);
    cr_assert(tm_slice_equal_text(r->routes[2].responsible, "csm") && r->routes[2].when == TM_NODE_NONE);
    cr_assert(tm_slice_equal_text(t->routes[0].queue, "own") && t->routes[0].when == TM_NODE_NONE);
    cr_assert(r->play_count == 2 && s->play_count == 0 && t->play_count == 1);
    cr_assert(r->plays[0].when != TM_NODE_NONE && tm_slice_equal_text(r->plays[0].text.otherwise, "Call"));
    cr_assert(r->plays[1].when == TM_NODE_NONE && tm_slice_equal_text(r->plays[1].text.otherwise, "Write"));
    cr_assert(t->plays[0].when == TM_NODE_NONE && !t->plays[0].text.otherwise.data);
    tm_pack_free(pack);
}

Test(routes, what_is_wrong_is_told)
{
    static const struct {
        const char *text, *what;
    } wrong[] = {
        {"version: 1\nroutes: [x]\n", "a case of a route must be a map"},
        {"version: 1\nroutes: x\n", "'route' must be a map"},
        {"version: 1\nroutes: []\n", "a route takes 1 to 64 cases"},
        {"version: 1\nroutes: {when: seats > 1, queue: x}\n", "unknown key 'when'"},
        {"version: 1\nroutes: [{when: seats, queue: x}]\n", "true or false"},
        {"version: 1\n" RULE "   play: [{when: seats > 1}]\n", "a case needs a 'play'"},
        {"version: 1\n" RULE "   play: []\n", "'play' takes 1 to 64 cases"},
        {"version: 1\n" RULE "   play: [{play: x, who: y}]\n", "unknown key 'who'"},
        {"version: 1\nflapping: {episodes: 9, within: 1d}\n", "whole number from 2 to 8"},
        {"version: 1\nflapping: {episodes: 104, within: 1d}\n", "whole number from 2 to 8"},
        {"version: 1\nflapping: {episodes: 4x, within: 1d}\n", "whole number from 2 to 8"},
        {"version: 1\nflapping: {episodes: 4, within: soon}\n", "no duration"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tm_error error;
        cr_expect_null(parsed(wrong[i].text, &error));
        cr_expect(strstr(error.what, wrong[i].what), "%s: %s", wrong[i].text, error.what);
    }
}

Test(routes, calm_is_as_long_as_episodes_that_far_apart_are_too_few)
{
    tm_error error;
    tm_pack *pack = parsed("version: 1\nflapping: {episodes: 4, within: 21d}\n" RULE, &error);
    cr_assert_not_null(pack, "%s", error.what);
    cr_assert(pack->rules[0].flapping_episodes == 4 && pack->rules[0].flapping_ms == 21 * TM_DAY);
    cr_assert_eq(pack->rules[0].calm_ms, 7 * TM_DAY);
    tm_pack_free(pack);
    pack = parsed("version: 1\nflapping: {}\n" RULE, &error);
    cr_assert_eq(pack->rules[0].flapping_episodes, 0);
    tm_pack_free(pack);
}
