/* Long because: the tree walker, its own semantics, stands beside what it judges.
   Random expressions over a random account: the compiled program against a tree walker that shares nothing with it, and
   the horizon against every instant before it. */
#include "tidemark/rules/expression.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/core/account.h"
#include "tidemark/core/pack.h"

/* --- the account, and what the walker knows of it --- */

enum { METRICS = 6, EVENTS_MAX = 60, DEPTH = 5 };

static const char *const metric_names[METRICS] = {"c", "s", "d", "l", "x", "f"};
static const tm_metric_kind metric_kinds[METRICS] = {TM_METRIC_COUNT, TM_METRIC_SUM, TM_METRIC_DISTINCT,
                                                     TM_METRIC_LAST,  TM_METRIC_MAX, TM_METRIC_FIRST};

typedef struct fact {
    int metric;
    tm_time at;
    double value;
    uint64_t member;
} fact;

static fact events[EVENTS_MAX];
static int event_count;
static tm_moment now;
static int32_t counting;
static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* --- the walker --- */

typedef struct v {
    char t; /* 0 null, n number, d duration, b boolean, s string */
    double n;
    const char *s;
} v;

typedef struct tree {
    char text[32]; /* operator, function, or the leaf's text */
    int kind;      /* 0 leaf constant, 1 window, 2 value, 3 age, 4 first, 5 operator, 6 call, 7 attribute */
    v constant;
    int metric;
    int hours, length, offset;
    int count;
    struct tree *parts[3];
} tree;

static v null_v(void)
{
    return (v){0};
}

static v walk_window(const tree *t)
{
    int64_t current = t->hours ? now.hour : now.day;
    int64_t last = current - t->offset;
    int64_t first = last - t->length + 1;
    int64_t first_day = t->hours ? (int64_t)floor((double)first / 24.0) : first;
    if (counting != INT32_MIN && first_day < counting) {
        return null_v();
    }
    double sum = 0;
    double best = 0;
    int seen = 0;
    tm_time best_at = 0;
    uint64_t members[EVENTS_MAX];
    int member_count = 0;
    for (int i = 0; i < event_count; i++) {
        const fact *e = &events[i];
        int64_t bucket = t->hours ? e->at / TM_HOUR : e->at / TM_DAY;
        if (e->metric != t->metric || bucket < first || bucket > last) {
            continue;
        }
        sum += metric_kinds[t->metric] == TM_METRIC_COUNT ? 1 : e->value;
        bool known = false;
        for (int k = 0; k < member_count; k++) {
            known = known || members[k] == e->member;
        }
        if (!known) {
            members[member_count++] = e->member;
        }
        bool better = seen == 0;
        switch (metric_kinds[t->metric]) {
        case TM_METRIC_MAX:
            better = better || e->value > best;
            break;
        case TM_METRIC_LAST:
            better = better || e->at >= best_at;
            break;
        default:
            better = better || e->at < best_at;
        }
        if (better) {
            best = e->value;
            best_at = e->at;
        }
        seen++;
    }
    switch (metric_kinds[t->metric]) {
    case TM_METRIC_COUNT:
    case TM_METRIC_SUM:
        return (v){'n', sum, NULL};
    case TM_METRIC_DISTINCT:
        return (v){'n', member_count, NULL};
    default:
        return seen > 0 ? (v){'n', best, NULL} : null_v();
    }
}

static v walk_age(const tree *t)
{
    tm_time found = -1;
    for (int i = 0; i < event_count; i++) {
        if (events[i].metric == t->metric &&
            (found < 0 || (t->kind == 3 ? events[i].at > found : events[i].at < found))) {
            found = events[i].at;
        }
    }
    if (found < 0) {
        return null_v();
    }
    double hours = floor((double)now.t / 3600000.0) - floor((double)found / 3600000.0);
    return (v){'d', (hours > 0 ? hours : 0) * 3600000.0, NULL};
}

static v walk_value(const tree *t)
{
    const fact *found = NULL;
    for (int i = 0; i < event_count; i++) {
        const fact *e = &events[i];
        if (e->metric == t->metric && (!found || (t->metric == 3   ? e->at >= found->at
                                                  : t->metric == 4 ? e->value > found->value
                                                                   : e->at < found->at))) {
            found = e;
        }
    }
    return found ? (v){'n', found->value, NULL} : null_v();
}

static v number_v(char type, double n)
{
    return isfinite(n) ? (v){type, n, NULL} : null_v();
}

static bool numeric(v x)
{
    return x.t == 'n' || x.t == 'd';
}

static v boolean_v(bool b)
{
    return (v){'b', b, NULL};
}

static v walk(const tree *t);

static v walk_compare(const char *op, v a, v b)
{
    if (a.t == 0 || b.t == 0 || a.t != b.t) {
        return null_v();
    }
    double order = a.t == 's' ? strcmp(a.s, b.s) : (a.n > b.n) - (a.n < b.n);
    if (!strcmp(op, "==")) {
        return boolean_v(order == 0);
    }
    if (!strcmp(op, "!=")) {
        return boolean_v(order != 0);
    }
    if (!numeric(a)) {
        return null_v();
    }
    bool less = op[0] == '<';
    bool orequal = op[1] == '=';
    return boolean_v((less ? order < 0 : order > 0) || (orequal && order == 0));
}

static v walk_operator(const tree *t)
{
    const char *op = t->text;
    v a = walk(t->parts[0]);
    if (!strcmp(op, "not")) {
        return a.t == 'b' ? boolean_v(a.n == 0) : null_v();
    }
    if (!strcmp(op, "neg")) {
        return numeric(a) ? number_v(a.t, -a.n) : null_v();
    }
    if (!strcmp(op, "isnull")) {
        return boolean_v(a.t == 0);
    }
    if (!strcmp(op, "notnull")) {
        return boolean_v(a.t != 0);
    }
    v b = walk(t->parts[1]);
    if (!strcmp(op, "and")) {
        if ((a.t == 'b' && a.n == 0) || (b.t == 'b' && b.n == 0)) {
            return boolean_v(false);
        }
        return a.t == 'b' && b.t == 'b' ? boolean_v(true) : null_v();
    }
    if (!strcmp(op, "or")) {
        if ((a.t == 'b' && a.n != 0) || (b.t == 'b' && b.n != 0)) {
            return boolean_v(true);
        }
        return a.t == 'b' && b.t == 'b' ? boolean_v(false) : null_v();
    }
    if (strchr("=!<>", op[0])) {
        return walk_compare(op, a, b);
    }
    if (!numeric(a) || !numeric(b)) {
        return null_v();
    }
    switch (op[0]) {
    case '+':
        return a.t == b.t ? number_v(a.t, a.n + b.n) : null_v();
    case '-':
        return a.t == b.t ? number_v(a.t, a.n - b.n) : null_v();
    case '*':
        return a.t == 'd' && b.t == 'd' ? null_v() : number_v(a.t == 'd' ? 'd' : b.t, a.n * b.n);
    default:
        if (b.n == 0 || (a.t == 'n' && b.t == 'd')) {
            return null_v();
        }
        return number_v(a.t == b.t ? 'n' : 'd', a.n / b.n);
    }
}

static v walk_call(const tree *t)
{
    v x[3] = {{0}, {0}, {0}};
    for (int i = 0; i < t->count; i++) {
        x[i] = walk(t->parts[i]);
    }
    if (!strcmp(t->text, "coalesce")) {
        return x[0].t ? x[0] : x[1];
    }
    if (!strcmp(t->text, "if")) {
        return x[0].t != 'b' ? null_v() : x[0].n != 0 ? x[1] : x[2];
    }
    for (int i = 0; i < t->count; i++) {
        if (!numeric(x[i]) || x[i].t != x[0].t) {
            return null_v();
        }
    }
    if (!strcmp(t->text, "ratio")) {
        return x[1].n == 0 ? null_v() : number_v('n', x[0].n / x[1].n);
    }
    if (!strcmp(t->text, "min")) {
        return x[0].n <= x[1].n ? x[0] : x[1];
    }
    if (!strcmp(t->text, "max")) {
        return x[0].n >= x[1].n ? x[0] : x[1];
    }
    if (!strcmp(t->text, "abs")) {
        return number_v(x[0].t, fabs(x[0].n));
    }
    if (!strcmp(t->text, "log")) {
        return x[0].t == 'n' && x[0].n > 0 ? number_v('n', log(x[0].n)) : null_v();
    }
    double raised = x[0].n >= x[1].n ? x[0].n : x[1].n; /* clamp */
    return number_v(x[0].t, raised <= x[2].n ? raised : x[2].n);
}

static v walk(const tree *t)
{
    switch (t->kind) {
    case 1:
        return walk_window(t);
    case 2:
        return walk_value(t);
    case 3:
    case 4:
        return walk_age(t);
    case 5:
        return walk_operator(t);
    case 6:
        return walk_call(t);
    default:
        return t->constant;
    }
}

/* --- making trees and writing them down, with more brackets and blanks than needed --- */

static tree *grow(char type, int depth);

static tree *leaf(int kind)
{
    tree *t = calloc(1, sizeof *t);
    t->kind = kind;
    return t;
}

static tree *branch(int kind, const char *text, char a, char b, char c, int depth)
{
    tree *t = leaf(kind);
    snprintf(t->text, sizeof t->text, "%s", text);
    char types[3] = {a, b, c};
    while (t->count < 3 && types[t->count]) {
        t->parts[t->count] = grow(types[t->count], depth - 1);
        t->count++;
    }
    return t;
}

static tree *constant(char type)
{
    static const double numbers[] = {0, 1, 2, 3, 0.5, 7, 10, 100, 1e3};
    static const struct {
        const char *text;
        double ms;
    } durations[] = {{"1h", 3.6e6},   {"24h", 8.64e7}, {"3d", 2.592e8}, {"90m", 5.4e6},
                     {"1.5h", 5.4e6}, {"0s", 0},       {"1w", 6.048e8}, {"500ms", 500}};
    static const char *const strings[] = {"a", "b", "it's", ""};
    tree *t = leaf(0);
    uint32_t i;
    switch (type) {
    case 'n':
        i = draw(9);
        snprintf(t->text, sizeof t->text, "%g", numbers[i]);
        t->constant = (v){'n', numbers[i], NULL};
        break;
    case 'd':
        i = draw(8);
        snprintf(t->text, sizeof t->text, "%s", durations[i].text);
        t->constant = (v){'d', durations[i].ms, NULL};
        break;
    case 's':
        i = draw(4);
        snprintf(t->text, sizeof t->text, "\"%s\"", strings[i]);
        t->constant = (v){'s', 0, strings[i]};
        break;
    default:
        i = draw(2);
        snprintf(t->text, sizeof t->text, "%s", i ? "true" : "false");
        t->constant = (v){'b', i, NULL};
    }
    return t;
}

/* Attributes are of a type that only the account knows: one of each kind, and one that is not there. */
static tree *attribute(void)
{
    static const v values[] = {{'n', 4, NULL}, {'s', 0, "a"}, {'b', 1, NULL}, {0, 0, NULL}};
    static const char *const names[] = {"attributes.number", "attributes['text']", "attributes.flag",
                                        "attributes.none"};
    tree *t = leaf(0);
    uint32_t i = draw(4);
    snprintf(t->text, sizeof t->text, "%s", names[i]);
    t->constant = values[i];
    return t;
}

static tree *metric_leaf(char type)
{
    tree *t = leaf(type == 'd' ? 3 + (int)draw(2) : 1);
    t->metric = (int)draw(METRICS);
    if (t->kind >= 3) {
        snprintf(t->text, sizeof t->text, "%s( %s)", t->kind == 3 ? "age" : "first", metric_names[t->metric]);
        return t;
    }
    if (t->metric >= 3 && draw(2)) {
        t->kind = 2;
        snprintf(t->text, sizeof t->text, "%s", metric_names[t->metric]);
        return t;
    }
    t->hours = (int)draw(2);
    t->length = 1 + (int)draw(t->hours ? 48 : 20);
    t->offset = draw(2) ? (int)draw(t->hours ? 30 : 10) : 0;
    snprintf(t->text, sizeof t->text, draw(2) || t->offset ? "%s[%d%c offset %d%c]" : "%s[ %d%c]",
             metric_names[t->metric], t->length, t->hours ? 'h' : 'd', t->offset, t->hours ? 'h' : 'd');
    return t;
}

static tree *grow(char type, int depth)
{
    static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
    static const char quantities[] = {'n', 'd'};
    char q;
    if (type == 'n' || type == 'd') {
        if (depth <= 0 || draw(4) == 0) {
            return draw(3) ? metric_leaf(type) : draw(8) || type == 'd' ? constant(type) : attribute();
        }
        char o = quantities[draw(2)];
        switch (draw(12)) {
        case 0:
            return branch(5, "+", type, type, 0, depth);
        case 1:
            return branch(5, "-", type, type, 0, depth);
        case 2:
            return type == 'n' ? branch(5, "*", 'n', 'n', 0, depth)
                   : draw(2)   ? branch(5, "*", 'n', 'd', 0, depth)
                               : branch(5, "*", 'd', 'n', 0, depth);
        case 3:
            return type == 'n' ? branch(5, "/", o, o, 0, depth) : branch(5, "/", 'd', 'n', 0, depth);
        case 4:
            return branch(5, "neg", type, 0, 0, depth);
        case 5:
            return branch(6, "min", type, type, 0, depth);
        case 6:
            return branch(6, "max", type, type, 0, depth);
        case 7:
            return branch(6, "clamp", type, type, type, depth);
        case 8:
            return branch(6, "coalesce", type, type, 0, depth);
        case 9:
            return branch(6, "if", 'b', type, type, depth);
        case 10:
            return branch(6, "abs", type, 0, 0, depth);
        default:
            return type == 'd' ? metric_leaf('d')
                   : draw(2)   ? branch(6, "ratio", o, o, 0, depth)
                               : branch(6, "log", 'n', 0, 0, depth);
        }
    }
    if (type == 's') {
        return depth <= 0 || draw(3) ? constant('s') : branch(6, "if", 'b', 's', 's', depth);
    }
    if (depth <= 0) {
        return draw(4) ? constant('b') : attribute();
    }
    q = quantities[draw(2)];
    switch (draw(8)) {
    case 0:
        return branch(5, "and", 'b', 'b', 0, depth);
    case 1:
        return branch(5, "or", 'b', 'b', 0, depth);
    case 2:
        return branch(5, "not", 'b', 0, 0, depth);
    case 3:
        return branch(5, draw(2) ? "isnull" : "notnull", q, 0, 0, depth);
    case 4:
        return branch(5, comparisons[draw(2)], 's', 's', 0, depth);
    case 5: { /* the shape whose crossing the evaluator knows */
        tree *t = branch(5, comparisons[draw(6)], 0, 0, 0, depth);
        bool swapped = draw(2);
        t->parts[swapped] = metric_leaf('d');
        t->parts[!swapped] = draw(4) ? constant('d') : metric_leaf('d');
        t->count = 2;
        return t;
    }
    default:
        return branch(5, comparisons[draw(6)], q, q, 0, depth);
    }
}

static void drop(tree *t)
{
    for (int i = 0; t && i < t->count; i++) {
        drop(t->parts[i]);
    }
    free(t);
}

static void write_tree(const tree *t, tm_buffer *out)
{
    bool brackets = t->kind == 5 || draw(6) == 0;
    tm_buffer_append_text(out, brackets ? "(" : "");
    if (t->kind < 5) {
        tm_buffer_append_text(out, t->text);
    } else if (t->kind == 6) {
        tm_buffer_append_format(out, "%s(", t->text);
        for (int i = 0; i < t->count; i++) {
            tm_buffer_append_text(out, i ? "," : "");
            write_tree(t->parts[i], out);
        }
        tm_buffer_append_char(out, ')');
    } else if (!strcmp(t->text, "not") || !strcmp(t->text, "neg")) {
        tm_buffer_append_text(out, t->text[1] == 'o' ? "not " : "-");
        write_tree(t->parts[0], out);
    } else {
        write_tree(t->parts[0], out);
        if (t->count == 1) {
            tm_buffer_append_text(out, !strcmp(t->text, "isnull") ? "==null" : " != null");
        } else {
            tm_buffer_append_format(out, draw(2) ? " %s " : "  %s\n", t->text);
            write_tree(t->parts[1], out);
        }
    }
    tm_buffer_append_text(out, brackets ? ")" : "");
}

/* --- the account under test --- */

static tm_heap *heap;
static tm_arena *arena;
static tm_metric metrics[METRICS];
static tm_pack pack;
static tm_series *series[METRICS];
static tm_account account;
static int32_t counting_days[METRICS];
static tm_environment environment;

static void make_account(void)
{
    heap = tm_heap_new(0);
    arena = tm_arena_new(0);
    memset(series, 0, sizeof series);
    for (int i = 0; i < METRICS; i++) {
        metrics[i] = (tm_metric){.name = tm_slice_of(metric_names[i]),
                                 .kind = metric_kinds[i],
                                 .of = TM_OF_VALUE,
                                 .where = TM_NODE_NONE,
                                 .reach_days = 40,
                                 .reach_hours = 100};
    }
    pack = (tm_pack){.arena = arena, .metrics = metrics, .metric_count = METRICS};
    tm_program_init(&pack.program, arena);
    tm_day_span span = {0};
    /* Two minutes to the hour, so that a skewed clock is an hour ahead. */
    tm_time t = 19000 * TM_DAY + draw(24) * TM_HOUR + 58 * TM_MINUTE;
    event_count = (int)draw(EVENTS_MAX);
    for (int i = 0; i < event_count; i++) {
        t += draw(3) ? draw(5) * TM_HOUR / 2 : draw(4) * TM_DAY;
        fact *e = &events[i];
        /* now and then late, or ahead by clock skew */
        *e = (fact){(int)draw(METRICS), t - (draw(5) ? 0 : draw(60) * TM_HOUR) + draw(2) * 4 * TM_MINUTE,
                    (double)draw(50), 1 + draw(4)};
        tm_moment applied;
        tm_moment_at(&applied, tm_zone_utc(), t, &span);
        tm_sample sample = {.at = e->at,
                            .hour = tm_hour_of(e->at),
                            .day = (int32_t)(e->at / TM_DAY),
                            .value = (tm_fixed)e->value * TM_FIXED_ONE,
                            .member = e->member};
        tm_counted counted;
        cr_assert_eq(tm_series_apply(&series[e->metric], heap, &metrics[e->metric], &applied, &sample, &counted, NULL),
                     TM_OK);
    }
    tm_moment_at(&now, tm_zone_utc(), t + draw(2) * (draw(20) * TM_HOUR / 3 + draw(2) * draw(30) * TM_DAY), &span);
    counting = draw(2) ? INT32_MIN : 19000 + (int32_t)draw(30);
    for (int i = 0; i < METRICS; i++) {
        counting_days[i] = counting;
    }
    tm_facts_draft *draft = calloc(1, sizeof *draft);
    tm_facts_draft_init(draft);
    draft->attribute_count = 3;
    draft->attributes[0] = (tm_fact_entry){TM_SLICE_LITERAL("number"), tm_value_number(4)};
    draft->attributes[1] = (tm_fact_entry){TM_SLICE_LITERAL("text"), tm_value_string(TM_SLICE_LITERAL("a"))};
    draft->attributes[2] = (tm_fact_entry){TM_SLICE_LITERAL("flag"), tm_value_boolean(true)};
    account = (tm_account){.series = series, .series_count = METRICS, .facts = tm_facts_new(heap, draft)};
    free(draft);
    environment = (tm_environment){.pack = &pack, .now = &now, .counting_days = counting_days};
}

static void drop_account(void)
{
    tm_heap_free_all(heap);
    tm_arena_free_all(arena);
}

static bool agrees(tm_value value, v expected)
{
    switch (expected.t) {
    case 0:
        return value.type == TM_TYPE_NULL;
    case 'n':
        return value.type == TM_TYPE_NUMBER && value.as.number == expected.n;
    case 'd':
        return value.type == TM_TYPE_DURATION && value.as.number == expected.n;
    case 'b':
        return value.type == TM_TYPE_BOOLEAN && value.as.boolean == (expected.n != 0);
    default:
        return value.type == TM_TYPE_STRING && tm_slice_equal_text(value.as.string, expected.s);
    }
}

static uint32_t compile(tm_slice text)
{
    tm_expression_scope scope = {.metrics = metrics, .metric_count = METRICS};
    tm_expression_error error;
    uint32_t node = UINT32_MAX;
    tm_status status = tm_expression_compile(&pack.program, &scope, text, TM_TYPE_ANY, &node, NULL, &error);
    cr_assert_eq(status, TM_OK, "%.*s\n%s at %zu", (int)text.length, text.data, error.message, error.offset);
    return node;
}

/* The value now stays the value at every instant before the horizon. */
static void check_horizon(tm_evaluator *evaluator, uint32_t node, tm_value value, const char *text)
{
    tm_time horizon = tm_evaluator_horizon(evaluator);
    cr_assert_gt(horizon, now.t);
    tm_moment first = now;
    tm_day_span span = {0};
    tm_time end = horizon < now.t + 60 * TM_DAY ? horizon : now.t + 60 * TM_DAY;
    for (int i = 0; i < 4 && end - 1 > first.t; i++) {
        tm_time t = i == 0 ? end - 1 : first.t + 1 + (tm_time)(draw(1000000) * 1e-6 * (double)(end - 1 - first.t));
        tm_moment_at(&now, tm_zone_utc(), t, &span);
        tm_evaluator_begin(evaluator, &environment, &account, NULL);
        cr_assert(tm_value_same(tm_evaluator_value(evaluator, node), value),
                  "%s\nchanges %lld ms before its horizon, %lld ms from now", text, (long long)(horizon - t),
                  (long long)(t - first.t));
    }
    now = first;
}

Test(expression, agrees_with_a_tree_walker_and_keeps_its_horizon)
{
    tm_buffer text;
    tm_buffer_init(&text, TM_EXPRESSION_MAX);
    int ended = 0, never = 0, nulls = 0, total = 0;
    for (int round = 0; round < 150; round++) {
        seed = 7919u * (uint64_t)(round + 1);
        make_account();
        for (int i = 0; i < 25; i++) {
            static const char types[] = {'b', 'b', 'n', 'd', 's'};
            tree *t = grow(types[draw(5)], DEPTH);
            tm_buffer_reset(&text);
            write_tree(t, &text);
            if (text.overflowed) {
                tm_buffer_done(&text);
                tm_buffer_init(&text, TM_EXPRESSION_MAX);
                drop(t);
                continue;
            }
            uint32_t node = compile(tm_buffer_slice(&text));
            /* Its canonical text is the same expression. */
            cr_assert_eq(compile(pack.program.nodes[node].text), node, "%s\n%.*s", tm_buffer_text(&text),
                         (int)pack.program.nodes[node].text.length, pack.program.nodes[node].text.data);
            tm_evaluator *evaluator = tm_evaluator_new(heap, &pack.program);
            tm_evaluator_begin(evaluator, &environment, &account, NULL);
            tm_value value = tm_evaluator_value(evaluator, node);
            v expected = walk(t);
            cr_assert(agrees(value, expected), "round %d: %s\nis type %d %.17g, the walker says '%c' %.17g", round,
                      tm_buffer_text(&text), value.type, value.as.number, expected.t ? expected.t : '0', expected.n);
            total++;
            nulls += expected.t == 0;
            never += tm_evaluator_horizon(evaluator) == TM_TIME_NEVER;
            ended +=
                tm_evaluator_horizon(evaluator) > now.next_midnight && tm_evaluator_horizon(evaluator) != TM_TIME_NEVER;
            check_horizon(evaluator, node, value, tm_buffer_text(&text));
            tm_evaluator_free(heap, evaluator);
            drop(t);
        }
        drop_account();
    }
    tm_buffer_done(&text);
    /* The sample is worth something only if it is varied. */
    cr_assert(nulls > total / 10 && nulls < total * 8 / 10, "%d of %d are null", nulls, total);
    cr_assert(never > 20 && ended > 20, "%d never, %d far", never, ended);
}
