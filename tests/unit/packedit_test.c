#include "tidemark/rules/packedit.h"

#include <criterion/criterion.h>
#include <string.h>

static const double x[] = {0.16, 1}, y[] = {100, 0};
static const double days[] = {36e5, 2 * 864e5}, points[] = {90, 10};

static const tm_packedit_factor edits[] = {
    {.card = {"a", 1}, .name = {"seats", 5}, .x = x, .y = y, .points = 2, .weight = 43, .remark = {"seen", 4}},
    {.card = {"a", 1}, .name = {"quiet", 5}, .x = days, .y = points, .points = 2, .duration = true, .weight = 7}};

static const tm_packedit_bands edges[] = {{{"a", 1}, 61.5, 40}};

static const tm_packedit edit = {
    .heading = {"one\ntwo", 7}, .raise = true, .factors = edits, .factor_count = 2, .bands = edges, .bands_count = 1};

static void becomes(const char *text, const char *wanted)
{
    tm_buffer out;
    tm_error error;
    tm_buffer_init(&out, 1 << 20);
    tm_status status = tm_packedit_apply(tm_slice_of(text), "rules.yaml", &edit, &out, &error);
    cr_assert_eq(status, TM_OK, "%s", error.what);
    cr_assert_str_eq(tm_buffer_text(&out), wanted);
    /* Once more: the remarks are not piled up. */
    tm_buffer twice;
    tm_buffer_init(&twice, 1 << 20);
    cr_assert_eq(tm_packedit_apply(tm_buffer_slice(&out), "rules.yaml", &edit, &twice, &error), TM_OK, "%s",
                 error.what);
    cr_assert_leq(twice.length, out.length + 1); /* 9 to 10 */
    tm_buffer_done(&twice);
    tm_buffer_done(&out);
}

#define METRICS "metrics: {login: {count: login}} # kept\n"

Test(packedit, leaves_all_but_the_numbers)
{
    becomes("# mine\nversion: 4 # raise it\n" METRICS "scorecards:\n  a:\n"
            "    seats: {value: seats, map: [[0, 0], [0.7, 100]], weight: 40} # why\n"
            "    quiet: {value: age(login), map: [[1h, 100], [\"2d\", 0]], weight: 1.5}\n",
            "# tuned: one\n# tuned: two\n# mine\nversion: 5 # raise it\n" METRICS
            "scorecards:\n  a:\n    card: {version: 2, bands: {green: 61.5, yellow: 40}}\n"
            "    # tuned: seen\n"
            "    seats: {value: seats, map: [[0.16, 100], [1, 0]], weight: 43} # why\n"
            "    quiet: {value: age(login), map: [[1h, 90], [2d, 10]], weight: 7}\n");
}

Test(packedit, any_layout)
{
    becomes("version: 1\n" METRICS "scorecards:\n  a:\n    card:\n      when: mrr > 1 # rich\n"
            "    seats:\n      weight: 40\n      value: seats\n      map:\n      - [0, 0] # no ] here\n      - [0.7,\n "
            "        100]\n"
            "    quiet:\n      map: [ [1h, 100],\n             [2d, 0] # or so\n           ]\n      value: age(login)\n"
            "      weight: 1\nrules: []\n",
            "# tuned: one\n# tuned: two\nversion: 2\n" METRICS
            "scorecards:\n  a:\n    card:\n      version: 2\n      bands: {green: 61.5, yellow: 40}\n      when: mrr > "
            "1 # rich\n"
            "    # tuned: seen\n"
            "    seats:\n      weight: 43\n      value: seats\n      map: [[0.16, 100], [1, 0]]\n"
            "    quiet:\n      map: [[1h, 90], [2d, 10]]\n      value: age(login)\n"
            "      weight: 7\nrules: []\n");
    becomes("version: 1\n" METRICS "scorecards: {a: {card: {version: 8, bands: {yellow: 30, margin: 2}}, seats: "
            "{value: seats, map: [[0, 0], [1, 1]], weight: 1}, quiet: "
            "{value: age(login), map: [[1h, 0], [2h, 1]], weight: 1}}}",
            "# tuned: one\n# tuned: two\nversion: 2\n" METRICS
            "scorecards: {a: {card: {version: 9, bands: {green: 61.5, yellow: 40, margin: 2}}, seats: {value: seats, "
            "map: [[0.16, 100], [1, 0]], weight: 43}, quiet: "
            "{value: age(login), map: [[1h, 90], [2d, 10]], weight: 7}}}");
}

Test(packedit, flow_cards)
{
    becomes("version: 1\n" METRICS "scorecards: {a: {seats: {value: seats, map: [[0, 0], [1, 1]], weight: 1}, quiet: "
            "{value: age(login), map: [[1h, 0], [2h, 1]], weight: 1}}}",
            "# tuned: one\n# tuned: two\nversion: 2\n" METRICS
            "scorecards: {a: {card: {version: 2, bands: {green: 61.5, yellow: 40}}, seats: {value: seats, map: [[0.16, "
            "100], [1, 0]], weight: 43}, quiet: "
            "{value: age(login), map: [[1h, 90], [2d, 10]], weight: 7}}}");
}

Test(packedit, a_limit_of_a_rule)
{
    static const char text[] =
        "version: 1\n" METRICS "rules:\n"
        "  - name: few\n    kind: churn_risk\n    when: >-\n      login[7d] <= 5\n      and seats > 3\n";
    tm_packedit_limit limit = {.rule = TM_SLICE_LITERAL("few"),
                               .start = strlen("login[7d] <= "),
                               .end = strlen("login[7d] <= 5"),
                               .number = TM_SLICE_LITERAL("12"),
                               .remark = TM_SLICE_LITERAL("was 5")};
    tm_packedit one = {.limits = &limit, .limit_count = 1};
    tm_buffer out;
    tm_error error;
    tm_buffer_init(&out, 1 << 20);
    cr_assert_eq(tm_packedit_apply(tm_slice_of(text), "rules.yaml", &one, &out, &error), TM_OK, "%s", error.what);
    cr_assert_str_eq(tm_buffer_text(&out),
                     "version: 1\n" METRICS "rules:\n  - name: few\n    kind: churn_risk\n    # tuned: was 5\n"
                     "    when: >-\n      login[7d] <= 12\n      and seats > 3\n");
    limit.rule = TM_SLICE_LITERAL("many");
    cr_assert_eq(tm_packedit_apply(tm_slice_of(text), "rules.yaml", &one, &out, &error), TM_REJECT);
    tm_buffer_done(&out);
}

Test(packedit, refuses_what_is_not_there)
{
    static const char *const texts[] = {"version: 1\n", "scorecards: {a: {}}\n", "[",
                                        "version: 1\n" METRICS
                                        "scorecards: {a: {seats: {value: seats, map: [[0, 0], [1, 1]], weight: 1}}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tm_buffer out;
        tm_error error;
        tm_buffer_init(&out, 1 << 20);
        cr_assert_eq(tm_packedit_apply(tm_slice_of(texts[i]), "rules.yaml", &edit, &out, &error), TM_REJECT, "%zu", i);
        cr_assert_neq(error.what[0], '\0');
        tm_buffer_done(&out);
    }
}
