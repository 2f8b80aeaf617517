/* What came out of a run, compared with what the records mean. The journal as published gives the schedule: which
   records each commit took, what the clock said, how far T went. Everything else is computed anew: signals by the
   brute-force model, the state by one machine that nothing disturbs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "tidemark/codec/state.h"
#include "tidemark/pipeline/holding.h"

/* ---- Is everything read, published and well? ---- */

bool sim_settled(sim *s)
{
    char *why = s->unsettled;
    size_t size = sizeof s->unsettled;
    int64_t least = 0;
    for (uint32_t p = 0; p < s->process_count; p++) {
        if (s->processes[p].offset < least)
            least = s->processes[p].offset;
    }
    for (uint32_t p = 0; p < s->partitions; p++) {
        const sim_shard *shard = &s->store.shards[p];
        for (int i = 0; i < TM_INPUTS; i++) {
            int64_t end = sim_visible_end(&s->inputs[i][p]);
            if (!shard->present || shard->position.next[i] != end) {
                snprintf(why, size, "shard %u has read input %d up to %" PRId64 " of %" PRId64, p, i,
                         shard->position.next[i], end);
                return false;
            }
        }
        if (shard->returned) {
            snprintf(why, size, "shard %u came back with the store, and nobody noticed", p);
            return false;
        }
        if (!tm_position_equal(shard->position, s->known[p])) {
            snprintf(why, size, "shard %u is at commit %" PRId64 ", published is %" PRId64, p, shard->position.commit,
                     s->known[p].commit);
            return false;
        }
        if (shard->time != TM_TIME_NONE && shard->time < s->base + s->length + least - s->settings.grace - s->grain) {
            snprintf(why, size, "shard %u: T stays behind, at %" PRId64, p, shard->time - s->base);
            return false;
        }
    }
    for (uint32_t i = 0; i < s->life_count; i++) {
        const sim_life *life = s->lives[i];
        if (!life->finished && !life->dead && life->halts > 0) {
            snprintf(why, size, "a shard of worker %u is halted", i);
            return false;
        }
    }
    for (int i = 0; i < SIM_LIVES; i++) {
        if (s->producers[i].open) {
            snprintf(why, size, "a transaction of producer %d is open", i);
            return false;
        }
    }
    return true;
}

/* ---- One shard's schedule, walked once ---- */

typedef struct letter {
    int input;
    int32_t partition;
    int64_t offset;
    bool found;
} letter;

typedef struct tombstone {
    int account;
    tm_time at;
    bool found;
} tombstone;

typedef struct accepted {
    tm_fingerprint fingerprint;
    tm_time at;
    int account, id;
} accepted;

typedef struct expected {
    sim *s;
    model m;
    letter letters[512];
    uint32_t letter_count;
    tombstone tombstones[256];
    uint32_t tombstone_count;
    /* of the shard under way */
    accepted accepted[1024];
    uint32_t accepted_count;
    tm_time t;
    bool judged;
    tm_shard *shadow;
    const tm_pack *pack; /* the shadow's */
    tm_reading *reading;
} expected;

static tm_reading reading;
static bool reading_made;
static expected *room;

static void judge_until(expected *x, int32_t partition, tm_time until)
{
    if (x->t == TM_TIME_NONE)
        return;
    tm_time g = tm_time_ceil(x->judged ? x->t + 1 : x->t, x->m.grid);
    for (; g <= until; g += x->m.grid)
        model_instant(&x->m, partition, g);
}

static tm_time effective(const expected *x, const sim_record *record, tm_time wall)
{
    tm_time least = x->judged ? x->t + 1 : x->t;
    tm_time t = record->timestamp;
    if (t != TM_TIME_NONE && t > wall)
        t = wall;
    return t == TM_TIME_NONE || t < least ? least : t;
}

static void add_letter(expected *x, const sim_record *record)
{
    x->letters[x->letter_count++] = (letter){record->input, record->partition, record->offset, false};
}

static void apply_to_shadow(expected *x, const sim_record *record)
{
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    tm_reading *r = x->reading;
    tm_record out = {.input = record->input, .offset = record->offset, .timestamp = record->timestamp};
    if (record->input == TM_INPUT_USAGE) {
        out.kind = TM_RECORD_EVENT;
        out.event = r->event;
        if (tm_event_read(r->events, record->value, NULL, record->key, r->event, &reason, detail) != TM_OK)
            out.kind = TM_RECORD_UNUSABLE;
    } else if (!record->value.data) {
        out.kind = TM_RECORD_ERASE;
        out.account = record->key;
    } else {
        out.kind = TM_RECORD_FACTS;
        out.facts = &r->record->facts;
        if (tm_account_record_read(r->accounts, record->value, record->key, false, r->record, &reason, detail) != TM_OK)
            out.kind = TM_RECORD_UNUSABLE;
        out.account = r->record->account;
    }
    tm_outcome outcome;
    if (tm_shard_apply(x->shadow, &out, &outcome) != TM_OK)
        sim_fail(x->s, "no memory for the judge");
}

static void take(expected *x, const sim_record *record, tm_time wall)
{
    sim *s = x->s;
    tm_time at = effective(x, record, wall);
    judge_until(x, record->partition, at - 1);
    x->t = at;
    x->judged = false;
    sim_note(s,
             "taken: input %d, partition %d, offset %" PRId64 " kind %d account %d at %" PRId64 ": event %d of %" PRId64
             ", value %d, user %d, id %d; seats %d, tier %d, status %d",
             record->input, record->partition, record->offset, (int)record->kind, record->account, at - s->base,
             record->name, record->at - s->base, record->value_of, record->user, record->id, record->seats,
             record->tier, record->status);
    apply_to_shadow(x, record);
    switch (record->kind) {
    case SIM_BROKEN:
        add_letter(x, record);
        return;
    case SIM_FACTS:
        model_accept(&x->m, record, at);
        return;
    case SIM_ERASE:
        model_erase(&x->m, record, at);
        if (x->tombstone_count < 256)
            x->tombstones[x->tombstone_count++] = (tombstone){record->account, at, false};
        return;
    default:
        break;
    }
    if (record->at > at + s->settings.shard.max_skew) {
        add_letter(x, record);
        return;
    }
    for (uint32_t i = 0; i < x->accepted_count; i++) {
        const accepted *a = &x->accepted[i];
        if (a->account == record->account && a->id == record->id && a->at > at - s->settings.shard.dedup_window)
            return; /* a duplicate */
    }
    char id[16];
    int length = snprintf(id, sizeof id, "%d", record->id);
    x->accepted[x->accepted_count++] = (accepted){
        tm_fingerprint_of(record->key, (tm_slice){0}, (tm_slice){id, (size_t)length}), at, record->account, record->id};
    model_accept(&x->m, record, at);
}

static const sim_record *head(const sim *s, int input, int32_t p, int64_t *at, int64_t to)
{
    const sim_log *log = &s->inputs[input][p];
    while (*at < to && *at < log->count && log->items[*at]->kind == SIM_HIDDEN)
        ++*at;
    return *at < to && *at < log->count ? log->items[*at] : NULL;
}

static void walk_line(expected *x, int32_t p, const sim_line *line)
{
    sim *s = x->s;
    int64_t at[TM_INPUTS] = {line->from[0], line->from[1]};
    int version = line->rules == 2;
    if (s->rules[version] != x->m.rules) { /* in force from the next instant on */
        if (tm_shard_adopt(x->shadow, s->packs[version]) != TM_OK)
            sim_fail(s, "no memory for the judge");
        x->m.rules = s->rules[version];
        x->pack = s->packs[version];
    }
    if (line->t_before != x->t)
        sim_fail(s, "shard %d: line %" PRId64 " begins with T %" PRId64 " instead of %" PRId64, p, line->n,
                 line->t_before, x->t);
    tm_shard_begin(x->shadow, line->clock_begin);
    for (;;) {
        const sim_record *usage = head(s, TM_INPUT_USAGE, p, &at[0], line->to[0]);
        const sim_record *accounts = head(s, TM_INPUT_ACCOUNTS, p, &at[1], line->to[1]);
        if (!usage && !accounts)
            break;
        if (x->t == TM_TIME_NONE) {
            tm_time first = line->clock_begin;
            if (usage && usage->timestamp != TM_TIME_NONE && usage->timestamp < first)
                first = usage->timestamp;
            if (accounts && accounts->timestamp != TM_TIME_NONE && accounts->timestamp < first)
                first = accounts->timestamp;
            x->t = first;
            tm_shard_start(x->shadow, first);
        }
        bool of_accounts =
            accounts && (!usage || effective(x, accounts, line->clock_begin) <= effective(x, usage, line->clock_begin));
        take(x, of_accounts ? accounts : usage, line->clock_begin);
        at[of_accounts ? 1 : 0]++;
    }
    if (line->drained) {
        tm_time target = line->clock_end - s->settings.grace;
        if (line->t_after != target || (x->t != TM_TIME_NONE && target <= x->t))
            sim_fail(s, "shard %d: line %" PRId64 " advances T to %" PRId64 ", the clock says %" PRId64, p, line->n,
                     line->t_after, target);
        if (x->t == TM_TIME_NONE)
            x->t = line->t_after;
        judge_until(x, p, line->t_after);
        x->t = line->t_after;
        x->judged = line->t_after % x->m.grid == 0;
        if (tm_shard_advance(x->shadow, line->t_after) != TM_OK)
            sim_fail(s, "no memory for the judge");
    }
    if (line->t_after != x->t || line->judged != x->judged)
        sim_fail(s, "shard %d: line %" PRId64 " ends with T %" PRId64 "%s instead of %" PRId64 "%s", p, line->n,
                 line->t_after, line->judged ? ", judged" : "", x->t, x->judged ? ", judged" : "");
    tm_shard_settled(x->shadow);
}

/* ---- The store at the end ---- */

typedef struct kept_prints {
    tm_fingerprint list[2048];
    uint32_t count;
} kept_prints;

static tm_status note_print(void *context, tm_fingerprint fingerprint, tm_time at)
{
    (void)at;
    kept_prints *kept = context;
    if (kept->count < 2048)
        kept->list[kept->count++] = fingerprint;
    return TM_OK;
}

static void compare_prints(expected *x, int32_t p, const sim_shard *shard)
{
    static kept_prints kept;
    kept.count = 0;
    for (uint32_t i = shard->fingerprints.first; i < shard->fingerprints.count; i++) {
        if (tm_fingerprints_decode(shard->fingerprints.items[i].bytes, note_print, &kept) != TM_OK)
            sim_fail(x->s, "shard %d: fingerprints that cannot be read", p);
    }
    for (uint32_t i = 0; i < x->accepted_count; i++) {
        const accepted *a = &x->accepted[i];
        if (a->at <= x->t - x->s->settings.shard.dedup_window)
            continue;
        uint32_t k = 0;
        while (k < kept.count && (kept.list[k].low != a->fingerprint.low || kept.list[k].high != a->fingerprint.high))
            k++;
        if (k == kept.count)
            sim_fail(x->s, "shard %d: the fingerprint of event %d of account %d is not kept", p, a->id, a->account);
    }
}

static void compare_state(expected *x, int32_t p)
{
    sim *s = x->s;
    const sim_shard *shard = &s->store.shards[p];
    tm_shard_meta meta;
    tm_error error;
    if (tm_meta_decode(shard->meta, &meta, &error) != TM_OK) {
        sim_fail(s, "shard %d: %s", p, error.what);
        return;
    }
    if (meta.time != x->t || meta.judged != x->judged)
        sim_fail(s, "shard %d: the store has T %" PRId64 ", the journal leads to %" PRId64, p, meta.time, x->t);
    if (shard->account_count != tm_shard_account_count(x->shadow))
        sim_fail(s, "shard %d: the store keeps %u accounts instead of %u", p, shard->account_count,
                 tm_shard_account_count(x->shadow));
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, s->settings.shard.zone, x->t == TM_TIME_NONE ? 0 : x->t, &span);
    tm_buffer ours, theirs;
    tm_buffer_init(&ours, 1 << 20);
    tm_buffer_init(&theirs, 1 << 20);
    for (uint32_t i = 0; i < shard->account_count && !s->failed; i++) {
        tm_slice key = shard->accounts[i].key;
        const tm_account *plain = tm_shard_account(x->shadow, key);
        tm_account *kept;
        if (!plain) {
            sim_fail(s, "shard %d: account %.*s should not be there", p, (int)key.length, key.data);
            break;
        }
        tm_heap *heap = tm_shard_heap(x->shadow);
        if (tm_state_decode(heap, x->pack, key, shard->accounts[i].blob, &kept, &error) != TM_OK) {
            sim_fail(s, "shard %d: account %.*s: %s", p, (int)key.length, key.data, error.what);
            break;
        }
        tm_buffer_reset(&ours);
        tm_buffer_reset(&theirs);
        tm_state_encode(plain, x->pack, &now, &ours);
        tm_state_encode(kept, x->pack, &now, &theirs);
        if (!tm_slice_equal(tm_buffer_slice(&ours), tm_buffer_slice(&theirs)))
            sim_fail(s, "shard %d: the state of account %.*s is another than that of its records", p, (int)key.length,
                     key.data);
        tm_account_free(heap, kept);
    }
    tm_buffer_done(&ours);
    tm_buffer_done(&theirs);
    compare_prints(x, p, shard);
}

static void walk_shard(expected *x, int32_t p)
{
    sim *s = x->s;
    const sim_outputs *journal = &s->outputs[TM_TOPIC_JOURNAL];
    int64_t n = 0, to[TM_INPUTS] = {0, 0};
    x->t = TM_TIME_NONE;
    x->judged = false;
    x->accepted_count = 0;
    x->pack = s->packs[0];
    x->m.rules = s->rules[0];
    x->shadow = tm_shard_new(&s->settings.shard, x->pack, SIM_START, NULL, 0);
    for (uint32_t i = 0; i < journal->count && !s->failed; i++) {
        sim_line line;
        if (journal->items[i].partition != p || !sim_line_read(journal->items[i].value, &line))
            continue;
        if (line.n != n + 1 || line.from[0] != to[0] || line.from[1] != to[1])
            sim_fail(s,
                     "shard %d: line %" PRId64 " from [%" PRId64 ", %" PRId64 "] follows line %" PRId64 " to [%" PRId64
                     ", %" PRId64 "]",
                     p, line.n, line.from[0], line.from[1], n, to[0], to[1]);
        n = line.n;
        to[0] = line.to[0];
        to[1] = line.to[1];
        walk_line(x, p, &line);
    }
    if (!s->failed && n != s->store.shards[p].position.commit)
        sim_fail(s, "shard %d: the journal ends with %" PRId64 ", the store has %" PRId64, p, n,
                 s->store.shards[p].position.commit);
    if (!s->failed)
        compare_state(x, p);
    tm_shard_free(x->shadow);
    x->shadow = NULL;
}

/* ---- What was published ---- */

static tm_slice text_after(tm_slice json, const char *name)
{
    size_t length = strlen(name);
    const char *found = memmem(json.data, json.length, name, length);
    if (!found)
        return (tm_slice){0};
    const char *begin = found + length, *end = memchr(begin, '"', (size_t)(json.data + json.length - begin));
    return end ? (tm_slice){begin, (size_t)(end - begin)} : (tm_slice){0};
}

static int number_of(tm_slice text, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (tm_slice_equal_text(text, names[i]))
            return i;
    }
    return -1;
}

static tm_time time_after(tm_slice json, const char *name)
{
    tm_slice text = text_after(json, name);
    tm_time t;
    return text.data && tm_time_parse(text, &t) == TM_OK ? t : TM_TIME_NONE;
}

static bool read_signal(const sim *s, tm_slice json, model_signal *ret_signal)
{
    static const char *const states[] = {"none", "raised", "updated", "cleared"};
    static const char *const reasons[] = {"none", "condition", "out_of_scope", "erased", "rule_removed", "revised"};
    static const char *const severities[] = {"info", "warn", "high", "critical"};
    static const char *const topics[] = {"usage", "accounts"};
    model_signal *g = ret_signal;
    *g = (model_signal){.rule = -1};
    const char *data = memmem(json.data, json.length, "\"data\":{", 8);
    if (!data)
        return false;
    g->time = time_after(json, "\"time\":\"");
    json.length -= (size_t)(data - json.data);
    json.data = data;
    const char *at = data, *end = data + json.length;
    int64_t value;
    tm_slice account = text_after(json, "\"account\":\"a");
    g->account = account.length == 1 ? account.data[0] - '0' : -1;
    tm_slice rule = text_after(json, "\"rule\":\"");
    for (int i = 0; i < s->rules[0]->count; i++) {
        if (tm_slice_equal_text(rule, s->rules[0]->rules[i].name))
            g->rule = i;
    }
    g->state = number_of(text_after(json, "\"state\":\""), states, 4);
    g->severity = number_of(text_after(json, "\"severity\":\""), severities, 4);
    tm_slice reason = text_after(json, "\"reason\":\"");
    g->reason = reason.data ? number_of(reason, reasons, 6) : MODEL_NONE;
    g->raised_at = time_after(json, "\"raised_at\":\"");
    if (!sim_read_number(&at, end, "\"sequence\":", &value))
        return false;
    g->sequence = (uint32_t)value;
    const char *figure = memmem(at, (size_t)(end - at), "\"value\":", 8);
    if (!figure)
        return false;
    g->has_value = figure[8] != 'n';
    g->value = g->has_value ? strtod(figure + 8, NULL) : 0;
    const char *input = memmem(at, (size_t)(end - at), "\"input\":{", 9);
    if (input) {
        tm_slice rest = {input, (size_t)(end - input)};
        g->input = number_of(text_after(rest, "\"topic\":\""), topics, 2);
        at = input;
        (void)sim_read_number(&at, end, "\"offset\":", &g->offset);
    } else {
        g->offset = -1;
    }
    return g->rule >= 0 && g->account >= 0;
}

static bool same_signal(const model_signal *a, const model_signal *b)
{
    double distance = a->value > b->value ? a->value - b->value : b->value - a->value;
    return a->account == b->account && a->rule == b->rule && a->state == b->state && a->sequence == b->sequence &&
           a->raised_at == b->raised_at && a->time == b->time && a->severity == b->severity && a->reason == b->reason &&
           a->has_value == b->has_value && distance < 1e-6 && a->input == b->input && a->offset == b->offset;
}

static void describe(const sim *s, const model_signal *g, char *text, size_t size)
{
    snprintf(text, size,
             "account a%d, rule %s, state %d, sequence %u, raised at %" PRId64 ", time %" PRId64
             ", severity %d, reason %d, value %s%g, input %d:%" PRId64,
             g->account, s->rules[0]->rules[g->rule].name, g->state, g->sequence, g->raised_at - s->base,
             g->time - s->base, g->severity, g->reason, g->has_value ? "" : "null ", g->value, g->input, g->offset);
}

static void compare_signals(expected *x)
{
    sim *s = x->s;
    char text[400];
    for (int topic = TM_TOPIC_CHURN_RISK; topic <= TM_TOPIC_ADVISORIES; topic++) {
        const sim_outputs *list = &s->outputs[topic];
        tm_time last[SIM_ACCOUNTS] = {0};
        for (uint32_t i = 0; i < list->count && !s->failed; i++) {
            model_signal g;
            if (!read_signal(s, list->items[i].value, &g)) {
                sim_fail(s, "a signal that cannot be read: %.*s", (int)list->items[i].value.length,
                         list->items[i].value.data);
                return;
            }
            describe(s, &g, text, sizeof text);
            sim_note(s, "published: %s", text);
            s->signals++;
            uint32_t k = 0;
            bool twice = false;
            for (; k < x->m.count; k++) {
                if (!same_signal(&g, &x->m.signals[k]))
                    continue;
                twice = x->m.signals[k].found;
                if (!twice)
                    break;
            }
            if (k == x->m.count) {
                sim_fail(s, "%s: %s", twice ? "published twice" : "published, and not to be", text);
                return;
            }
            x->m.signals[k].found = true;
            if (g.time < last[g.account])
                sim_fail(s, "published out of order: %s", text);
            last[g.account] = g.time;
        }
    }
    for (uint32_t k = 0; k < x->m.count && !s->failed; k++) {
        if (x->m.signals[k].found)
            continue;
        describe(s, &x->m.signals[k], text, sizeof text);
        sim_fail(s, "not published: %s", text);
    }
}

static void compare_letters(expected *x)
{
    static const char *const topics[] = {"usage", "accounts"};
    sim *s = x->s;
    const sim_outputs *list = &s->outputs[TM_TOPIC_DEAD_LETTERS];
    for (uint32_t i = 0; i < list->count && !s->failed; i++) {
        tm_slice json = list->items[i].value;
        const char *at = json.data, *end = json.data + json.length;
        int64_t partition = -1, offset = -1;
        int input = number_of(text_after(json, "\"topic\":\""), topics, 2);
        (void)sim_read_number(&at, end, "\"partition\":", &partition);
        (void)sim_read_number(&at, end, "\"offset\":", &offset);
        uint32_t k = 0;
        while (k < x->letter_count && (x->letters[k].found || x->letters[k].input != input ||
                                       x->letters[k].partition != partition || x->letters[k].offset != offset))
            k++;
        if (k == x->letter_count)
            sim_fail(s,
                     "a dead letter of input %d, partition %" PRId64 ", offset %" PRId64
                     " that is not to be, or is there twice",
                     input, partition, offset);
        else
            x->letters[k].found = true;
    }
    for (uint32_t k = 0; k < x->letter_count && !s->failed; k++) {
        if (!x->letters[k].found)
            sim_fail(s, "no dead letter of input %d, partition %d, offset %" PRId64, x->letters[k].input,
                     x->letters[k].partition, x->letters[k].offset);
    }
}

static void compare_tombstones(expected *x)
{
    sim *s = x->s;
    const sim_outputs *list = &s->outputs[TM_TOPIC_HEALTH];
    for (uint32_t i = 0; i < list->count && !s->failed; i++) {
        const sim_output *output = &list->items[i];
        int account = output->key.length == 2 ? output->key.data[1] - '0' : -1;
        uint32_t k = 0;
        while (k < x->tombstone_count && (x->tombstones[k].found || x->tombstones[k].account != account ||
                                          x->tombstones[k].at != output->timestamp))
            k++;
        if (k == x->tombstone_count || output->value.data)
            sim_fail(s, "a tombstone of account %d that is not to be, or is there twice", account);
        else
            x->tombstones[k].found = true;
    }
    for (uint32_t k = 0; k < x->tombstone_count && !s->failed; k++) {
        if (!x->tombstones[k].found)
            sim_fail(s, "no tombstone of account %d", x->tombstones[k].account);
    }
}

void sim_judge(sim *s)
{
    if (!room)
        room = malloc(sizeof *room);
    if (!reading_made)
        reading_made = tm_reading_init(&reading, &s->settings.reading) == TM_OK;
    expected *x = room;
    x->s = s;
    x->letter_count = x->tombstone_count = x->accepted_count = 0;
    x->reading = &reading;
    model_init(&x->m, s);
    for (int32_t p = 0; p < (int32_t)s->partitions && !s->failed; p++)
        walk_shard(x, p);
    if (!s->failed)
        compare_signals(x);
    if (!s->failed)
        compare_letters(x);
    if (!s->failed)
        compare_tombstones(x);
}

void sim_judge_end(void)
{
    free(room);
    room = NULL;
    if (reading_made)
        tm_reading_done(&reading);
    reading_made = false;
}
