#include "tidemark/rules/expression.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { METRICS = 3 };

static tm_arena *arena;
static tm_program program;
static tm_metric metrics[METRICS];
static tm_expression_scope scope;
static tm_expression_error error;
static tm_expression_outline outline;

static void setup(void)
{
    arena = tm_arena_new(0);
    tm_program_init(&program, arena);
    metrics[0] = (tm_metric){.name = TM_SLICE_LITERAL("events"), .kind = TM_METRIC_COUNT};
    metrics[1] = (tm_metric){.name = TM_SLICE_LITERAL("users"), .kind = TM_METRIC_DISTINCT};
    metrics[2] = (tm_metric){.name = TM_SLICE_LITERAL("nps"), .kind = TM_METRIC_LAST};
    scope = (tm_expression_scope){.metrics = metrics, .metric_count = METRICS};
}

static void teardown(void)
{
    tm_arena_free_all(arena);
}

TestSuite(expression, .init = setup, .fini = teardown);

static uint32_t compiled(const char *text)
{
    uint32_t node = TM_NODE_NONE;
    tm_status status = tm_expression_compile(&program, &scope, tm_slice_of(text), TM_TYPE_ANY, &node, &outline, &error);
    cr_assert_eq(status, TM_OK, "%s\n%s at %zu", text, error.message, error.offset);
    return node;
}

static const char *canonical(uint32_t node)
{
    static char text[4096];
    if (node == TM_NODE_NONE) {
        return "none";
    }
    snprintf(text, sizeof text, "%.*s", (int)program.nodes[node].text.length, program.nodes[node].text.data);
    return text;
}

static void reads(const char *text, const char *expected)
{
    uint32_t node = compiled(text);
    cr_assert_str_eq(canonical(node), expected);
    cr_assert_eq(compiled(expected), node, "%s does not read as %s", expected, text);
}

Test(expression, has_one_written_form)
{
    reads("  events [ 7d ]>1 ", "events[7d] > 1");
    reads("events[1w offset 2w]", "events[7d offset 14d]");
    reads("events[7d offset 0d]", "events[7d]");
    reads("events[24h offset 24h]", "events[24h offset 24h]");
    reads("(((nps)))", "nps");
    reads("(seats + mrr) + 1", "seats + mrr + 1");
    reads("seats + (mrr + 1)", "seats + (mrr + 1)");
    reads("seats - (mrr - 1)", "seats - (mrr - 1)");
    reads("(seats * 2) + mrr", "seats * 2 + mrr");
    reads("seats * (2 + mrr)", "seats * (2 + mrr)");
    reads("seats / (2 * mrr)", "seats / (2 * mrr)");
    reads("-(seats + 1) * 2", "-(seats + 1) * 2");
    reads("-(-seats)", "--seats");
    reads("-(seats * 2)", "-(seats * 2)");
    reads("seats - -2", "seats - -2");
    reads("(seats>1)and((mrr>1)and(seats<9))", "seats > 1 and mrr > 1 and seats < 9");
    reads("seats > 1 and (mrr > 1 or first_term)", "seats > 1 and (mrr > 1 or first_term)");
    reads("(seats > 1 and mrr > 1) or first_term", "seats > 1 and mrr > 1 or first_term");
    reads("not (seats > 1)", "not seats > 1");
    reads("not (seats > 1 and first_term)", "not (seats > 1 and first_term)");
    reads("not not first_term", "not not first_term");
    reads("(not first_term) == (seats > 1)", "(not first_term) == (seats > 1)");
    reads("null == seats", "seats == null");
    reads("seats != null", "seats != null");
    reads("null == null", "true");
    reads("plan in [\"a\", 'b']", "plan == 'a' or plan == 'b'");
    reads("plan in ['a']", "plan == 'a'");
    reads("not plan in ['a','b']", "not (plan == 'a' or plan == 'b')");
    reads("if ( first_term , 1d , null )", "if(first_term, 1d, null)");
    reads("coalesce(age(events),first( nps ))", "coalesce(age(events), first(nps))");
    reads("zscore( events[2w offset 1d],8 )<=-2", "zscore(events[14d offset 1d], 8) <= -2");
    reads("growth(users[7d],3)", "growth(users[7d], 3)");
    reads("median_weekday(events,56d)", "median_weekday(events, 8w)");
    reads("median_weekday(events, 8w offset 1w)", "median_weekday(events, 8w offset 7d)");
    reads("cusum(events, 8w, 0.50)", "cusum(events, 8w)");
    reads("cusum(events, 8w,1)", "cusum(events, 8w, 1)");
    reads("gap(events,95)*2", "gap(events, 95) * 2");
    reads("owners['csm'] == 'x'", "owners.csm == 'x'");
    reads("attributes['x-y'] == 'it\\'s'", "attributes['x-y'] == 'it\\'s'");
    reads("attributes['it\\'s\\n\\t']", "attributes['it\\'s\\n\\t']");
    reads("products . core . seats", "products.core.seats");
    reads("products['Big Plan'].mrr > goals.x", "products['Big Plan'].mrr > goals.x");
    reads("1e3 + 1.5h / 1h", "1001.5");
    reads("2w == 14d", "true");
    reads("'a\\\\b' == \"a\\\\b\"", "true");
    reads("1/0 == null", "1 / 0 == null");
    reads("min(1, 2) + max(1, seats, 3) + abs(-2) + clamp(5, 1, 3) + log(1) + ratio(1, 2)",
          "1 + max(1, seats, 3) + 2 + 3 + 0 + 0.5");
    scope.where = true;
    reads("user in champions and event == 'x'", "user in champions and event == 'x'");
    reads("properties['a b'] == true or value > 1 or source == 's'",
          "properties['a b'] == true or value > 1 or source == 's'");
}

Test(expression, types_its_nodes)
{
    static const struct {
        const char *text;
        tm_type type;
    } table[] = {{"1", TM_TYPE_NUMBER},
                 {"7d", TM_TYPE_DURATION},
                 {"age(events)", TM_TYPE_DURATION},
                 {"age(events) / 1d", TM_TYPE_NUMBER},
                 {"age(events) / 2", TM_TYPE_DURATION},
                 {"age(events) * 2", TM_TYPE_DURATION},
                 {"2 * age(events)", TM_TYPE_DURATION},
                 {"attributes.x", TM_TYPE_ANY},
                 {"attributes.x + 1", TM_TYPE_NUMBER},
                 {"1d - attributes.x", TM_TYPE_DURATION},
                 {"attributes.x * 2", TM_TYPE_ANY},
                 {"attributes.x * 2d", TM_TYPE_DURATION},
                 {"attributes.x / 2", TM_TYPE_ANY},
                 {"attributes.x / 2d", TM_TYPE_NUMBER},
                 {"2 / attributes.x", TM_TYPE_NUMBER},
                 {"2d / attributes.x", TM_TYPE_ANY},
                 {"-attributes.x", TM_TYPE_ANY},
                 {"min(attributes.x, 1)", TM_TYPE_NUMBER},
                 {"min(attributes.x, attributes.y)", TM_TYPE_ANY},
                 {"coalesce(attributes.x, 1)", TM_TYPE_ANY},
                 {"coalesce(null, seats)", TM_TYPE_NUMBER},
                 {"coalesce(null, null)", TM_TYPE_ANY},
                 {"if(attributes.x, 'a', null)", TM_TYPE_STRING},
                 {"ratio(age(events), 1d)", TM_TYPE_NUMBER},
                 {"log(attributes.x)", TM_TYPE_NUMBER},
                 {"attributes.x and null", TM_TYPE_BOOLEAN},
                 {"attributes.x == 'a'", TM_TYPE_BOOLEAN},
                 {"attributes.x < 2", TM_TYPE_BOOLEAN},
                 {"plan", TM_TYPE_STRING},
                 {"first_term", TM_TYPE_BOOLEAN},
                 {"contract_age > 1d", TM_TYPE_BOOLEAN},
                 {"zscore(events[7d], 3)", TM_TYPE_NUMBER},
                 {"growth(events[7d], 3)", TM_TYPE_NUMBER},
                 {"median_weekday(events, 4w)", TM_TYPE_NUMBER},
                 {"cusum(events, 4w, 0)", TM_TYPE_NUMBER},
                 {"gap(events, 100)", TM_TYPE_DURATION},
                 {"days_to_renewal", TM_TYPE_NUMBER}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint32_t node = compiled(table[i].text);
        cr_assert_eq(program.nodes[node].type, table[i].type, "%s", table[i].text);
    }
}

static void refuses(const char *text, size_t offset, size_t length, const char *message, const char *hint)
{
    uint32_t node;
    tm_status status = tm_expression_compile(&program, &scope, tm_slice_of(text), TM_TYPE_ANY, &node, NULL, &error);
    cr_assert_eq(status, TM_REJECT, "%s is taken", text);
    cr_assert(strstr(error.message, message), "%s: %s", text, error.message);
    cr_assert_eq(error.offset, offset, "%s: %s at %zu", text, error.message, error.offset);
    cr_assert_eq(error.length, length, "%s: %s, length %zu", text, error.message, error.length);
    cr_assert_str_eq(error.hint, hint, "%s: %s", text, error.hint);
}

Test(expression, points_at_what_is_wrong)
{
    refuses("evnts[7d] > 1", 0, 5, "unknown metric 'evnts'", "did you mean 'events'?");
    refuses("1 + seets", 4, 5, "unknown name 'seets'", "did you mean 'seats'?");
    refuses("rato(1, 2)", 0, 4, "unknown function 'rato'", "did you mean 'ratio'?");
    refuses("contract_age() > 1d", 0, 12, "unknown function", "'contract_age' is written without brackets");
    refuses("xyzzyxyzzy", 0, 10, "unknown name", "");
    refuses("", 0, 0, "ends where a value should follow", "");
    refuses("1 +", 3, 0, "ends where a value should follow", "");
    refuses("(1", 2, 0, "ends where ')' should follow", "");
    refuses("1 2", 2, 1, "'2' stands where an operator or the end should", "");
    refuses("1 + and", 4, 3, "'and' stands where a value should", "");
    refuses("offset", 0, 6, "'offset' stands where a value should", "");
    refuses("events", 0, 6, "needs a window", "for example events[7d]");
    refuses("events[7]", 7, 1, "'7' stands where a number of days or hours", "");
    refuses("events[1.5d]", 7, 4, "no window", "windows are whole days or hours: 7d, 24h, 2w");
    refuses("events[30m]", 7, 3, "no window", "windows are whole days or hours: 7d, 24h, 2w");
    refuses("events[0d]", 7, 2, "too short", "");
    refuses("events[99999999999d]", 7, 12, "too long", "");
    refuses("events[7d 8d]", 10, 2, "'offset' or ']'", "");
    refuses("events[7d offset 8d", 19, 0, "']'", "");
    refuses("events[7d offset 24h]", 17, 3, "a window of days needs an offset in days",
            "days are local calendar days, hours are UTC clock hours: they do not mix");
    refuses("events[24h offset 1d]", 18, 2, "a window of hours needs an offset in hours",
            "days are local calendar days, hours are UTC clock hours: they do not mix");
    refuses("1 < users[62d offset 1d]", 4, 20, "metric 'users' reaches back at most 62 days, this needs 63", "");
    refuses("events[401d]", 0, 12, "at most 400 days", "");
    refuses("events[1489h]", 0, 13, "at most 1488 hours", "");
    refuses("age(seats)", 4, 5, "unknown metric 'seats'", "");
    refuses("age(events[7d])", 10, 1, "takes a metric without a window", "age(events)");
    refuses("age(7)", 4, 1, "the name of a metric", "");
    refuses("age(events", 10, 0, "')'", "");
    refuses("owners", 0, 6, "'owners' needs a name", "owners.x or owners['x y']");
    refuses("owners.1", 7, 1, "'1' stands where a name should", "");
    refuses("owners['x'", 10, 0, "']'", "");
    refuses("owners[x]", 7, 1, "a name in quotes", "");
    refuses("products.a", 10, 0, "'.seats' or '.mrr'", "");
    refuses("products.a.x", 11, 1, "'.seats' or '.mrr'", "");
    refuses("products.a mrr", 11, 3, "'.seats' or '.mrr'", "");
    refuses("plan = 'x'", 5, 1, "a single '='", "write '==' to compare");
    refuses("!first_term", 0, 1, "'!'", "write 'not'");
    refuses("first_term && true", 11, 1, "'&'", "write 'and'");
    refuses("first_term | true", 11, 1, "'|'", "write 'or'");
    refuses("seats # 1", 6, 1, "an unknown character", "");
    refuses("seats \xc3\xa9", 6, 2, "an unknown character", "");
    refuses("plan == 'x", 8, 2, "without its closing quote", "");
    refuses("plan == 'x\\q'", 10, 1, "unknown escape", "\\\\, \\', \\\", \\n and \\t are known");
    refuses("7q", 0, 2, "'7q' is no duration", "a duration is a number and one of ms, s, m, h, d, w, at most 10000d");
    refuses("10001d", 0, 6, "is no duration", "a duration is a number and one of ms, s, m, h, d, w, at most 10000d");
    refuses("1e999", 0, 5, "a number too great", "");
    refuses("0.00000000000000000000000000000000000000000000000000000000000000001", 0, 67, "too many digits", "");
    refuses("seats < 7d", 8, 2, "'<': a number and a duration do not go together",
            "a duration has a unit: 7d, 24h, 90m");
    refuses("plan == 3", 8, 1, "'==': a string and a number do not go together", "");
    refuses("plan < 'x'", 0, 4, "'<' needs numbers or durations, this is a string", "");
    refuses("seats < null", 8, 4, "null has no order", "test for it with '== null' or '!= null'");
    refuses("null + 1", 0, 4, "'+' needs numbers or durations, this is null", "null makes the whole null");
    refuses("1 + 1d", 4, 2, "'+': a number and a duration", "a duration has a unit: 7d, 24h, 90m");
    refuses("1d * 1d", 5, 2, "'*': a duration and a duration", "");
    refuses("1 / 1d", 4, 2, "'/': a number and a duration", "a duration has a unit: 7d, 24h, 90m");
    refuses("-plan", 1, 4, "'-' needs numbers", "");
    refuses("seats and true", 0, 5, "'and' needs a condition, this is a number", "compare it with something");
    refuses("true or plan", 8, 4, "'or' needs a condition, this is a string", "compare it with something");
    refuses("not 1d", 4, 2, "'not' needs a condition", "compare it with something");
    refuses("if(1, 2, 3)", 3, 1, "'if' needs a condition", "compare it with something");
    refuses("if(true, 2, 'a')", 12, 3, "'if': a number and a string", "");
    refuses("coalesce(1, 1d)", 12, 2, "'coalesce': a number and a duration", "a duration has a unit: 7d, 24h, 90m");
    refuses("min(1, plan)", 7, 4, "'min' needs numbers or durations", "");
    refuses("min(1)", 0, 6, "min takes at least 2 arguments, this has 1", "");
    refuses("ratio(1, 2, 3)", 12, 1, "ratio takes at most 2 arguments", "");
    refuses("ratio(1, 2d)", 9, 2, "'ratio': a number and a duration", "a duration has a unit: 7d, 24h, 90m");
    refuses("abs(1, 2)", 7, 1, "abs takes at most 1 argument", "");
    refuses("log(1d)", 4, 2, "'log' needs a number, this is a duration", "divide it by a duration first");
    refuses("log(plan)", 4, 4, "'log' needs numbers", "");
    refuses("min(1, 2", 8, 0, "',' or ')'", "");
    refuses("1 < 2 < 3", 6, 1, "comparisons do not chain", "join two with 'and', or use brackets");
    refuses("plan in 'a'", 8, 3, "a list such as", "");
    refuses("plan in []", 9, 1, "a value", "");
    refuses("plan in ['a' 'b']", 13, 3, "',' or ']'", "");
    refuses("plan in ['a', null]", 14, 4, "null is in no list", "test for it with '== null'");
    refuses("null in ['a']", 0, 4, "null is in no list", "test for it with '== null'");
    refuses("plan in ['a', 1]", 14, 1, "a string and a number", "");
    refuses("plan in champions", 8, 9, "only 'user in champions' can be asked, and only in 'where'", "");
    refuses("user in champions", 0, 4, "unknown name 'user'", "did you mean 'users'?");
    refuses("event == 'x'", 0, 5, "unknown name 'event'", "did you mean 'events'?");
    scope.where = true;
    refuses("events[7d] > 1", 0, 6, "a metric cannot be read in 'where'", "");
    refuses("age(events) > 1d", 4, 6, "a metric cannot be read in 'where'", "");
    refuses("proprties.x", 0, 9, "unknown name", "did you mean 'properties'?");
    refuses("properties == 1", 0, 10, "'properties' needs a name", "properties.x or properties['x y']");
    refuses("source in champions", 10, 9, "only 'user in champions'", "");
}

Test(expression, gives_the_type_wanted)
{
    uint32_t node;
    tm_slice number = TM_SLICE_LITERAL("seats + 1");
    cr_assert_eq(tm_expression_compile(&program, &scope, number, TM_TYPE_BOOLEAN, &node, NULL, &error), TM_REJECT);
    cr_assert_str_eq(error.message, "this should be true or false, it is a number");
    cr_assert_eq(tm_expression_compile(&program, &scope, number, TM_TYPE_NUMBER, &node, NULL, &error), TM_OK);
    tm_slice any = TM_SLICE_LITERAL("attributes.x");
    cr_assert_eq(tm_expression_compile(&program, &scope, any, TM_TYPE_STRING, &node, NULL, &error), TM_OK);
    tm_slice null = TM_SLICE_LITERAL("null");
    cr_assert_eq(tm_expression_compile(&program, &scope, null, TM_TYPE_STRING, &node, NULL, &error), TM_OK);
}

Test(expression, points_at_what_is_wrong_with_a_baseline)
{
    refuses("zscor(events[7d], 8)", 0, 5, "unknown function 'zscor'", "did you mean 'zscore'?");
    refuses("cusm(events, 8w)", 0, 4, "unknown function 'cusm'", "did you mean 'cusum'?");
    refuses("zscore(evnts[7d], 8)", 7, 5, "unknown metric 'evnts'", "did you mean 'events'?");
    refuses("zscore(7, 8)", 7, 1, "the name of a metric", "");
    refuses("zscore(events, 8)", 13, 1, "zscore takes a metric with a window", "for example zscore(events[14d], 8)");
    refuses("growth(events)", 13, 1, "growth takes a metric with a window", "for example growth(events[14d], 8)");
    refuses("gap(events[7d], 95)", 10, 1, "gap takes a metric without a window", "the name alone: gap(events, ...)");
    refuses("zscore(events[24h], 8)", 13, 5, "zscore compares windows of days",
            "hours of the day differ by themselves: count days, such as [7d]");
    refuses("zscore(events[7d offset 1h], 8)", 24, 2, "a window of days needs an offset in days",
            "days are local calendar days, hours are UTC clock hours: they do not mix");
    refuses("zscore(events[x], 8)", 14, 1, "a number of days or hours", "");
    refuses("zscore(events[7d])", 17, 1, "',' and the number of earlier windows", "");
    refuses("gap(events)", 10, 1, "','", "");
    refuses("zscore(events[7d], 2)", 19, 1, "the number of earlier windows goes from 3 to 400 and is whole", "");
    refuses("zscore(events[7d], 3.5)", 19, 3, "goes from 3 to 400 and is whole", "");
    refuses("zscore(events[7d], 401)", 19, 3, "goes from 3 to 400 and is whole", "");
    refuses("zscore(events[7d], 8w)", 19, 2, "the number of earlier windows", "");
    refuses("zscore(events[7d], 8, 1)", 20, 1, "')'", "");
    refuses("gap(events, 0)", 12, 1, "the percentile goes from 1 to 100 and is whole", "");
    refuses("gap(events, 101)", 12, 3, "the percentile goes from 1 to 100 and is whole", "");
    refuses("cusum(events, 8)", 14, 1, "a number of days or hours", "");
    refuses("cusum(events, 3w)", 14, 2, "'3w' is no number of weeks", "whole weeks from 4w on, such as 8w");
    refuses("cusum(events, 30d)", 14, 3, "'30d' is no number of weeks", "whole weeks from 4w on, such as 8w");
    refuses("cusum(events, 672h)", 14, 4, "'672h' is no number of weeks", "whole weeks from 4w on, such as 8w");
    refuses("cusum(events, 58w)", 14, 3, "'58w' is no number of weeks", "whole weeks from 4w on, such as 8w");
    refuses("cusum(events, 54w)", 0, 18, "metric 'events' reaches back at most 400 days, this needs 407", "");
    refuses("cusum(events, 8w offset 1d)", 17, 6, "')'", "");
    refuses("cusum(events, 8w, k)", 18, 1, "the allowance, a number such as 0.5,", "");
    refuses("cusum(events, 8w, 11)", 18, 2, "the allowance goes from 0 to 10", "");
    refuses("median_weekday(events, 8w offset 1h)", 33, 2, "a window of days needs an offset in days",
            "days are local calendar days, hours are UTC clock hours: they do not mix");
    refuses("median_weekday(events, 8w", 25, 0, "')'", "");
    refuses("zscore(nps[7d], 8)", 7, 3, "zscore needs a metric that is a count, a sum or distinct", "");
    refuses("1 < zscore(users[14d], 4)", 4, 21, "metric 'users' reaches back at most 62 days, this needs 70", "");
    refuses("gap(users, 95)", 0, 14, "metric 'users' reaches back at most 62 days, this needs 91", "");
    refuses("gap(events, 95) > 3", 18, 1, "a duration and a number do not go together",
            "a duration has a unit: 7d, 24h, 90m");
    scope.where = true;
    refuses("gap(events, 95) > 3d", 4, 6, "a metric cannot be read in 'where'", "");
}

static void outlined(const char *text, const char *left, const char *right, const char *evidence)
{
    compiled(text);
    cr_assert_str_eq(canonical(outline.left), left);
    cr_assert_str_eq(canonical(outline.right), right);
    char all[2048] = "";
    for (uint32_t i = 0; i < outline.evidence_count; i++) {
        strncat(all, i ? " | " : "", sizeof all - strlen(all) - 1);
        strncat(all, canonical(outline.evidence[i]), sizeof all - strlen(all) - 1);
    }
    cr_assert_str_eq(all, evidence, "%s: %s", text, all);
}

Test(expression, outlines_what_a_signal_shows)
{
    outlined("ratio(events[7d offset 1d], events[7d offset 8d]) <= 0.5 and events[7d offset 8d] >= 50",
             "ratio(events[7d offset 1d], events[7d offset 8d])", "0.5",
             "ratio(events[7d offset 1d], events[7d offset 8d]) | events[7d offset 1d] | events[7d offset 8d]");
    outlined("zscore(events[7d], 3) <= -2 and age(events) >= 2 * gap(events, 95)", "zscore(events[7d], 3)", "-2",
             "zscore(events[7d], 3) | age(events) | 2 * gap(events, 95) | gap(events, 95)");
    outlined("3d <= age(events) or plan == 'x'", "3d", "age(events)", "age(events) | plan");
    outlined("age(events) == null", "age(events)", "none", "age(events)");
    outlined("null != nps", "none", "nps", "nps");
    outlined("tier in ['a', 'b'] and seats > 1", "tier", "none", "tier | seats");
    outlined("first_term", "none", "none", "first_term");
    outlined("not (users[7d] + 1 > seats * 2)", "users[7d] + 1", "seats * 2",
             "users[7d] + 1 | users[7d] | seats * 2 | seats");
    outlined("(seats < mrr) == (nps < 6)", "seats", "mrr", "seats < mrr | seats | mrr | nps < 6 | nps");
    outlined("true", "none", "none", "");
}

Test(expression, shows_the_first_terms_of_many)
{
    char text[TM_EXPRESSION_MAX] = "attributes.a0 == 1";
    for (int i = 1; i < 100; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, " or attributes.a%d == 1", i);
    }
    compiled(text);
    cr_assert_eq(outline.evidence_count, TM_EVIDENCE_MAX);
    cr_assert_str_eq(canonical(outline.evidence[TM_EVIDENCE_MAX - 1]), "attributes.a31");
}

static tm_status repeated(const char *before, const char *part, const char *middle, const char *after, int times)
{
    tm_buffer text;
    uint32_t node;
    tm_buffer_init(&text, 1 << 20);
    for (int i = 0; i < times; i++) {
        tm_buffer_append_text(&text, before);
    }
    tm_buffer_append_text(&text, part);
    for (int i = 0; i < times; i++) {
        tm_buffer_append_text(&text, middle);
    }
    tm_buffer_append_text(&text, after);
    tm_status status =
        tm_expression_compile(&program, &scope, tm_buffer_slice(&text), TM_TYPE_ANY, &node, NULL, &error);
    tm_buffer_done(&text);
    return status;
}

Test(expression, is_bounded)
{
    cr_assert_eq(repeated("(", "seats", ")", "", 60), TM_OK);
    cr_assert_eq(repeated("(", "seats", ")", "", 64), TM_REJECT);
    cr_assert_eq(repeated("-", "seats", "", "", 1000), TM_REJECT);
    cr_assert_eq(repeated("not ", "first_term", "", "", 1000), TM_REJECT);
    cr_assert_eq(repeated("", "seats", " + 1", "", 63), TM_OK);
    cr_assert_eq(repeated("", "seats", " + 1", "", 64), TM_REJECT);
    cr_assert(strstr(error.message, "nested more than 64 deep"));
    cr_assert_eq(repeated("", "first_term", " or first_term", "", 250), TM_OK, "connectives are one level");
    cr_assert_eq(repeated(" ", "1", "", "", TM_EXPRESSION_MAX), TM_REJECT);
    cr_assert(strstr(error.message, "at most 4096"));
    /* Each list doubles what is written out. */
    cr_assert_eq(repeated("(", "first_term", ") in [true, false]", "", 30), TM_REJECT);
    cr_assert(strstr(error.message, "too long when written out"), "%s", error.message);
    for (int i = 0; i < 200; i++) {
        char text[4000] = "0 * seats";
        for (int k = 0; k < 100; k++) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, " %s %d == seats", k ? "or" : "== 1 or", i * 100 + k);
        }
        uint32_t node;
        if (tm_expression_compile(&program, &scope, tm_slice_of(text), TM_TYPE_ANY, &node, NULL, &error) != TM_OK) {
            break;
        }
    }
    cr_assert(strstr(error.message, "different sub-expressions"), "%s", error.message);
}

Test(expression, negates)
{
    uint32_t node = compiled("seats > 1 and first_term");
    uint32_t negated;
    cr_assert_eq(tm_expression_not(&program, node, &negated), TM_OK);
    cr_assert_str_eq(canonical(negated), "not (seats > 1 and first_term)");
    cr_assert_eq(compiled("not (seats > 1 and first_term)"), negated);
}

Test(expression, says_when_memory_is_out)
{
    tm_arena *small = tm_arena_new(1);
    uint32_t node;
    tm_program_init(&program, small);
    tm_slice text = TM_SLICE_LITERAL("seats > 1");
    cr_assert_eq(tm_expression_compile(&program, &scope, text, TM_TYPE_ANY, &node, NULL, &error), TM_FATAL);
    tm_arena_free_all(small);
}

Test(expression, reserves_its_words)
{
    cr_assert(tm_expression_reserved(TM_SLICE_LITERAL("plan")));
    cr_assert(tm_expression_reserved(TM_SLICE_LITERAL("and")));
    cr_assert_not(tm_expression_reserved(TM_SLICE_LITERAL("events")));
    cr_assert(tm_expression_is_name(TM_SLICE_LITERAL("_a1")));
    cr_assert_not(tm_expression_is_name(TM_SLICE_LITERAL("1a")));
    cr_assert_not(tm_expression_is_name(TM_SLICE_LITERAL("a-b")));
    cr_assert_not(tm_expression_is_name(TM_SLICE_LITERAL("")));
}
