#include "tidemark/core/pack.h"

#include "tidemark/base/hash.h"
#include "tidemark/core/baseline.h"
#include "tidemark/core/scores.h"

/* Of a stage's, a score's and a card's hash so much is kept: state writes no more. */
#define SHORT_BITS ((UINT64_C(1) << 40) - 1)

static const char *const kind_names[TM_KINDS] = {"churn_risk", "expansion", "advisory"};
static const char *const band_names[TM_BANDS] = {NULL, "red", "yellow", "green"};
static const char *const severity_names[TM_SEVERITIES] = {"info", "warn", "high", "critical"};

const char *tm_kind_name(tm_kind kind)
{
    return (unsigned)kind < TM_KINDS ? kind_names[kind] : "unknown";
}

const char *tm_severity_name(tm_severity severity)
{
    return (unsigned)severity < TM_SEVERITIES ? severity_names[severity] : "unknown";
}

const char *tm_band_name(tm_band band)
{
    return (unsigned)band < TM_BANDS ? band_names[band] : NULL;
}

bool tm_severity_parse(tm_slice text, tm_severity *ret_severity)
{
    for (unsigned i = 0; i < TM_SEVERITIES; i++) {
        if (tm_slice_equal_text(text, severity_names[i])) {
            *ret_severity = (tm_severity)i;
            return true;
        }
    }
    return false;
}

bool tm_kind_parse(tm_slice text, tm_kind *ret_kind)
{
    for (unsigned i = 0; i < TM_KINDS; i++) {
        if (tm_slice_equal_text(text, kind_names[i])) {
            *ret_kind = (tm_kind)i;
            return true;
        }
    }
    return false;
}

uint32_t tm_pack_metric(const tm_pack *pack, tm_slice name)
{
    for (uint32_t i = 0; i < pack->metric_count; i++) {
        if (tm_slice_equal(pack->metrics[i].name, name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

uint32_t tm_pack_rule(const tm_pack *pack, tm_slice name)
{
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        if (tm_slice_equal(pack->rules[i].name, name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Kind, source, property, patterns (their order does not matter) and the canonical text of `where`; so a definition
   written with other blanks or brackets is the same series. */
static uint64_t metric_identity(const tm_metric *metric, const tm_program *program)
{
    uint64_t identity = tm_hash_seeded(metric->property, 1 + (uint64_t)metric->kind * 16 + (uint64_t)metric->of);
    uint64_t patterns = 0;
    for (uint32_t i = 0; i < metric->pattern_count; i++) {
        patterns += tm_hash_seeded(metric->patterns[i].text, metric->patterns[i].prefix ? 3 : 2);
    }
    identity = tm_hash_seeded((tm_slice){(const char *)&patterns, sizeof patterns}, identity);
    if (metric->where != TM_NODE_NONE) {
        identity = tm_hash_seeded(program->nodes[metric->where].text, identity);
    }
    return identity;
}

int32_t tm_metric_reach_limit(tm_metric_kind kind, tm_window_unit unit)
{
    if (unit == TM_WINDOW_HOURS) {
        return TM_REACH_HOURS_MAX;
    }
    return kind == TM_METRIC_DISTINCT ? TM_REACH_DISTINCT_DAYS_MAX : TM_REACH_DAYS_MAX;
}

/* Lengthens the metric's reach to what one window reads. */
static tm_status extend_reach(tm_pack *pack, const tm_node *node, tm_error *error)
{
    tm_metric *metric = &pack->metrics[node->metric];
    int64_t reach =
        tm_baseline_is(node->op) ? tm_baseline_reach(node) : (int64_t)node->window.length + node->window.offset;
    int32_t limit = tm_metric_reach_limit(metric->kind, node->window.unit);
    bool days = node->window.unit == TM_WINDOW_DAYS;
    if (reach > limit) {
        tm_fail(error, TM_REJECT, "metric '%.*s': '%.*s' reaches back %lld %s, at most %d are kept",
                (int)metric->name.length, metric->name.data, (int)node->text.length, node->text.data, (long long)reach,
                days ? "days" : "hours", (int)limit);
        tm_error_hint(error, "shorten the window or its offset");
        return TM_REJECT;
    }
    int32_t *kept = days ? &metric->reach_days : &metric->reach_hours;
    if (reach > *kept) {
        *kept = (int32_t)reach;
    }
    return TM_OK;
}

/* Walks from a rule that waits for another until one comes round: every rule not placed waits for one not placed. */
static tm_status report_cycle(const tm_pack *pack, const bool *placed, tm_error *error)
{
    uint16_t path[TM_RULES_MAX + 1];
    uint32_t at_of[TM_RULES_MAX] = {0}; /* position in the path + 1 */
    uint32_t length = 0;
    uint16_t at = 0;
    while (placed[at]) {
        at++;
    }
    while (at_of[at] == 0) {
        path[length++] = at;
        at_of[at] = length;
        const tm_rule *rule = &pack->rules[at];
        for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
            if (!placed[rule->inhibitors[i]]) {
                at = rule->inhibitors[i];
                break;
            }
        }
    }
    path[length] = at;
    tm_buffer circle;
    tm_buffer_init(&circle, sizeof error->what);
    for (uint32_t i = at_of[at] - 1; i <= length; i++) {
        tm_buffer_append_text(&circle, circle.length > 0 ? " <- " : "");
        tm_buffer_append_slice(&circle, pack->rules[path[i]].name);
    }
    tm_fail(error, TM_REJECT, "rules inhibit one another in a circle: %s",
            circle.overflowed ? "(too long to show)" : tm_buffer_text(&circle));
    tm_buffer_done(&circle);
    tm_error_where(error, "%.*s", (int)pack->rules[at].name.length, pack->rules[at].name.data);
    tm_error_hint(error, "take one of them out of 'inhibited_by'");
    return TM_REJECT;
}

static bool is_ready(const tm_rule *rule, const bool *placed)
{
    for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
        if (!placed[rule->inhibitors[i]]) {
            return false;
        }
    }
    return true;
}

/* Always the first rule of the file whose inhibitors are all placed. */
static tm_status order_rules(tm_pack *pack, tm_error *error)
{
    bool placed[TM_RULES_MAX] = {false};
    if (pack->rule_count == 0) {
        return TM_OK;
    }
    pack->order = tm_arena_take(pack->arena, pack->rule_count * sizeof *pack->order);
    if (!pack->order) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    for (uint32_t done = 0; done < pack->rule_count; done++) {
        uint32_t next = 0;
        while (next < pack->rule_count && (placed[next] || !is_ready(&pack->rules[next], placed))) {
            next++;
        }
        if (next == pack->rule_count) {
            return report_cycle(pack, placed, error);
        }
        placed[next] = true;
        pack->order[done] = (uint16_t)next;
    }
    return TM_OK;
}

/* The aspects of a series that a node reads. A window of days that does not reach the present looks at older buckets
   alone; for the buckets that midnight makes older there is read_daily. */
static uint8_t aspects_read(const tm_node *node)
{
    switch ((tm_op)node->op) {
    case TM_OP_WINDOW:
        if (node->window.unit == TM_WINDOW_DAYS && node->window.offset > 0) {
            return TM_ASPECT_BIT(TM_ASPECT_PAST);
        }
        return TM_ASPECT_BIT(TM_ASPECT_PAST) | TM_ASPECT_BIT(TM_ASPECT_PRESENT);
    case TM_OP_ZSCORE:
    case TM_OP_GROWTH:
    case TM_OP_MEDIAN_WEEKDAY:
    case TM_OP_CUSUM:
    case TM_OP_GAP: {
        bool present = (node->op == TM_OP_ZSCORE || node->op == TM_OP_GROWTH) && node->window.offset == 0;
        return TM_ASPECT_BIT(TM_ASPECT_PAST) | TM_ASPECT_BIT(TM_ASPECT_FIRST) |
               (present ? TM_ASPECT_BIT(TM_ASPECT_PRESENT) : 0);
    }
    case TM_OP_AGE:
        return TM_ASPECT_BIT(TM_ASPECT_LAST);
    case TM_OP_FIRST:
    case TM_OP_FIRST_VALUE:
        return TM_ASPECT_BIT(TM_ASPECT_FIRST);
    case TM_OP_VALUE:
        return TM_ASPECT_BIT(TM_ASPECT_VALUE);
    default:
        return 0;
    }
}

/* Marks what the nodes marked are computed from. Arguments are added before what uses them: one pass from the last
   node down finds all. */
static void mark_arguments(const tm_program *program, bool *marked)
{
    for (uint32_t n = program->node_count; n-- > 0;) {
        const tm_node *node = &program->nodes[n];
        for (uint32_t a = 0; marked[n] && a < node->argument_count; a++) {
            marked[program->argument_list[node->arguments + a]] = true;
        }
    }
}

bool tm_pack_of_stage(tm_op op)
{
    return op >= TM_OP_STAGE && op <= TM_OP_PREVIOUS_STAGE_TIME;
}

bool tm_pack_of_days(tm_op op)
{
    return op >= TM_OP_SCORE_AGO && op <= TM_OP_SCORE_MEAN;
}

/* What the nodes marked are computed from, put down to the stages or the scores of an account. */
static void note_aspects(tm_pack *pack, bool *marked, bool scores)
{
    mark_arguments(&pack->program, marked);
    for (uint32_t n = 0; n < pack->program.node_count; n++) {
        const tm_node *node = &pack->program.nodes[n];
        uint8_t aspects = marked[n] ? aspects_read(node) : 0;
        if (!aspects)
            continue;
        tm_metric *metric = &pack->metrics[node->metric];
        if (scores)
            metric->score_aspects |= aspects;
        else
            metric->standing_aspects |= aspects;
        metric->read_daily = metric->read_daily || tm_baseline_is(node->op) ||
                             (node->op == TM_OP_WINDOW && node->window.unit == TM_WINDOW_DAYS);
    }
}

/* Everything that the stages are found with. */
static void note_standing(tm_pack *pack)
{
    bool marked[TM_PROGRAM_NODES_MAX] = {false};
    for (uint32_t i = 0; i < pack->stage_count; i++)
        marked[pack->stages[i].enter] = true;
    note_aspects(pack, marked, false);
}

/* Everything that tracked scores are found with. */
static void note_scores(tm_pack *pack)
{
    bool marked[TM_PROGRAM_NODES_MAX] = {false};
    for (uint32_t n = 0; n < pack->program.node_count; n++) {
        const tm_node *node = &pack->program.nodes[n];
        if (node->op == TM_OP_BAND)
            pack->scores[node->metric].tracked = true;
        if (!tm_pack_of_days((tm_op)node->op))
            continue;
        tm_score *score = &pack->scores[node->metric];
        score->days_read = true;
        score->reach_days = node->window.length > score->reach_days ? node->window.length : score->reach_days;
    }
    for (uint32_t i = 0; i < pack->score_count; i++) {
        tm_score *score = &pack->scores[i];
        if (tm_slice_equal_text(score->name, "health")) {
            pack->health = score;
            score->reach_days = score->reach_days > TM_HEALTH_MONTH ? score->reach_days : TM_HEALTH_MONTH;
        }
        score->tracked = score->tracked || score->reach_days > 0;
        for (uint32_t c = 0; c < score->card_count && score->tracked; c++)
            marked[score->cards[c].when] = marked[score->cards[c].score] = true;
    }
    note_aspects(pack, marked, true);
}

/* Everything that a rule's step asks for on its own account; what only a signal shows does not move an episode. */
static void note_stirs(tm_pack *pack, uint32_t index)
{
    bool marked[TM_PROGRAM_NODES_MAX] = {false};
    const tm_rule *rule = &pack->rules[index];
    const uint32_t roots[] = {rule->when, rule->clear, rule->scope, rule->severity_node, rule->value};
    uint64_t bit = UINT64_C(1) << (index & 63);
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (roots[i] != TM_NODE_NONE) {
            marked[roots[i]] = true;
        }
    }
    mark_arguments(&pack->program, marked);
    pack->stage_stirs |= rule->on_stage ? bit : 0;
    for (uint32_t n = 0; n < pack->program.node_count; n++) {
        const tm_node *node = &pack->program.nodes[n];
        uint8_t aspects = marked[n] ? aspects_read(node) : 0;
        if (marked[n] && tm_pack_of_stage((tm_op)node->op)) {
            pack->stage_stirs |= bit;
        }
        if (marked[n] && node->op == TM_OP_BAND) {
            pack->scores[node->metric].stirs |= bit;
        }
        if (marked[n] && tm_pack_of_days((tm_op)node->op)) {
            pack->scores[node->metric].day_stirs |= bit;
        }
        if (!aspects) {
            continue;
        }
        tm_metric *metric = &pack->metrics[node->metric];
        for (unsigned aspect = 0; aspect < TM_ASPECTS; aspect++) {
            metric->stirs[aspect] |= aspects & TM_ASPECT_BIT(aspect) ? bit : 0;
        }
        metric->read_daily = metric->read_daily || tm_baseline_is(node->op) ||
                             (node->op == TM_OP_WINDOW && node->window.unit == TM_WINDOW_DAYS);
    }
    for (uint32_t i = 0; i < rule->inhibitor_count; i++) {
        pack->rules[rule->inhibitors[i]].stirs |= bit;
    }
}

static uint64_t short_identity(tm_slice name)
{
    uint64_t identity = tm_hash(name) & SHORT_BITS;
    return identity ? identity : 1;
}

tm_status tm_pack_finish(tm_pack *pack, tm_error *error)
{
    if (pack->rule_count > TM_RULES_MAX || pack->metric_count > TM_METRICS_MAX) {
        return tm_fail(error, TM_REJECT, "%u metrics and %u rules; at most %d and %d are taken", pack->metric_count,
                       pack->rule_count, TM_METRICS_MAX, TM_RULES_MAX);
    }
    for (uint32_t i = 0; i < pack->metric_count; i++) {
        pack->metrics[i].identity = metric_identity(&pack->metrics[i], &pack->program);
    }
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        pack->rules[i].identity = tm_hash(pack->rules[i].name);
    }
    for (uint32_t i = 0; i < pack->stage_count; i++) {
        pack->stages[i].identity = short_identity(pack->stages[i].name);
    }
    for (uint32_t i = 0; i < pack->score_count; i++) {
        tm_score *score = &pack->scores[i];
        score->identity = short_identity(score->name);
        for (uint32_t c = 0; c < score->card_count; c++) {
            score->cards[c].identity = short_identity(score->cards[c].name);
        }
    }
    pack->derived_count = 0;
    for (uint32_t i = 0; i < pack->program.node_count; i++) {
        tm_node *node = &pack->program.nodes[i];
        if (tm_baseline_is(node->op)) {
            pack->metrics[node->metric].read_derived = true;
            node->slot = ++pack->derived_count;
        }
        if (node->op == TM_OP_WINDOW || tm_baseline_is(node->op)) {
            tm_status status = extend_reach(pack, node, error);
            if (status != TM_OK) {
                return status;
            }
        }
        pack->moves_hourly = pack->moves_hourly || node->op == TM_OP_AGE || node->op == TM_OP_FIRST ||
                             node->op == TM_OP_STAGE_AGE ||
                             (node->op == TM_OP_WINDOW && node->window.unit == TM_WINDOW_HOURS);
    }
    note_standing(pack);
    note_scores(pack);
    pack->has_standing = pack->stage_count > 0;
    for (uint32_t i = 0; i < pack->score_count; i++) {
        pack->has_standing = pack->has_standing || pack->scores[i].tracked;
    }
    for (uint32_t i = 0; i < pack->rule_count; i++) {
        note_stirs(pack, i);
    }
    return order_rules(pack, error);
}

void tm_pack_free(tm_pack *pack)
{
    if (pack) {
        tm_arena_free_all(pack->arena);
    }
}
