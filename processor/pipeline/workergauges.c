/* What a worker shows: whom it waits for, and what it counted. Part of the room `worker`. */
#include "workerroom.h"

/* --- waiting --- */

static void say_wait(worker *w, tm_log_level level, const char *event, const char *message, tm_waiting what)
{
    tm_worker_gauges *g = w->gauges;
    char why[TM_NOTE_MAX];
    int64_t partition;
    (void)tm_note_read(&g->waiting_why[what], &partition, why);
    tm_log_field fields[4] = {tm_log_text("what", tm_waiting_name(what)),
                              tm_log_integer("seconds", (steady(w) - atomic_load(&g->waiting_since[what])) / 1000)};
    uint32_t count = 2;
    if (level != TM_LOG_INFO && why[0])
        fields[count++] = tm_log_text("error", why);
    if (level != TM_LOG_INFO && partition >= 0)
        fields[count++] = tm_log_integer("partition", partition);
    w->ports->log.write(w->ports->log.context, level, event, message, fields, count);
}

void tm_worker_lack(worker *w, held *h, tm_waiting what, const tm_error *error)
{
    tm_worker_gauges *g = w->gauges;
    if (h)
        h->waits_for = what;
    else
        w->lacks |= 1u << what;
    bool begins = !(atomic_load(&g->waiting) & 1u << what);
    if (begins) {
        w->said_at[what] = 0;
        atomic_store(&g->waiting_since[what], steady(w));
    }
    char why[TM_NOTE_MAX] = "";
    if (error)
        tm_error_text(error, why, sizeof why);
    if (error || begins)
        tm_note_write(&g->waiting_why[what], h ? h->holding->partition : -1, tm_slice_of(why));
    atomic_fetch_or(&g->waiting, 1u << what);
    int64_t now = steady(w) | 1; /* 0 is 'not said' */
    if (error && (w->said_at[what] == 0 || now - w->said_at[what] >= SAY_EVERY)) {
        say_wait(w, TM_LOG_WARNING, "waiting", "Something outside does not answer; it is tried again", what);
        w->said_at[what] = now;
    }
}

void tm_worker_answered(worker *w, held *h, tm_waiting what)
{
    if (h && h->waits_for == what)
        h->waits_for = TM_WAITING_NOTHING;
    else if (!h)
        w->lacks &= ~(1u << what);
}

void tm_worker_look_at_waits(worker *w)
{
    tm_worker_gauges *g = w->gauges;
    uint32_t now = w->lacks;
    if (w->count == 0) /* there is nothing to read, and nothing to publish */
        now = w->lacks &= 1u << TM_WAITING_GROUP;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->shards[i]->holding->state != TM_HOLDING_HALTED) /* for that one nothing is tried any more */
            now |= 1u << w->shards[i]->waits_for;
    }
    now &= ~(1u << TM_WAITING_NOTHING);
    uint32_t ended = atomic_load(&g->waiting) & ~now;
    for (int what = 1; what < TM_WAITINGS; what++) {
        if (ended & 1u << what && w->said_at[what] != 0)
            say_wait(w, TM_LOG_INFO, "going_on", "It answers again", (tm_waiting)what);
    }
    atomic_store(&g->waiting, now);
    if (now & 1u << TM_WAITING_GROUP && w->said_at[TM_WAITING_GROUP] == 0 &&
        steady(w) - atomic_load(&g->waiting_since[TM_WAITING_GROUP]) >= SAY_EVERY) {
        say_wait(w, TM_LOG_WARNING, "waiting", "The group gives no assignment", TM_WAITING_GROUP);
        w->said_at[TM_WAITING_GROUP] = steady(w);
    }
}

tm_status tm_worker_confirm(worker *w, held *h)
{
    uint32_t asked = 0;
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_lane *lane = &h->holding->intake.lanes[i];
        if (lane->on && lane->count == 0 && !lane->finished)
            asked |= 1u << i;
    }
    tm_error error;
    tm_status status = tm_intake_confirm(&h->holding->intake, &error);
    if (status == TM_RETRY) {
        h->silent = 0;
        for (int i = 0; i < TM_INPUTS; i++) {
            if (asked & 1u << i && !h->holding->intake.lanes[i].drained)
                h->silent |= 1u << i;
        }
        tm_worker_lack(w, h, TM_WAITING_INPUT, &error);
    } else if (asked) {
        tm_worker_answered(w, h, TM_WAITING_INPUT);
        tm_worker_answered(w, NULL, TM_WAITING_INPUT);
    }
    return status;
}

/* --- counting --- */

static uint64_t grown(uint64_t now, uint64_t *before)
{
    uint64_t difference = now - *before;
    *before = now;
    return difference;
}

void tm_worker_count(worker *w, held *h)
{
    tm_worker_gauges *g = w->gauges;
    tm_shard_counts *b = &h->counted;
    const tm_shard_counts *n = tm_shard_counted(h->holding->shard);
    atomic_fetch_add(&g->records, grown(n->records, &b->records));
    atomic_fetch_add(&g->applied, grown(n->applied, &b->applied));
    atomic_fetch_add(&g->duplicates, grown(n->duplicates, &b->duplicates));
    atomic_fetch_add(&g->late, grown(n->late, &b->late));
    atomic_fetch_add(&g->dead_letters, grown(n->unusable, &b->unusable) + grown(n->future, &b->future));
    atomic_fetch_add(&g->erasures, grown(n->erasures, &b->erasures));
    atomic_fetch_add(&g->judged, grown(n->judged, &b->judged));
    for (int k = 0; k < TM_KINDS; k++) {
        for (int s = 1; s < 4; s++)
            atomic_fetch_add(&g->signals[k][s], grown(n->signals[k][s], &b->signals[k][s]));
    }
    uint64_t shed = grown(n->shed, &b->shed);
    if (shed > 0) {
        tm_log_field field = tm_log_integer("forgotten", (int64_t)(atomic_fetch_add(&g->shed, shed) + shed));
        w->ports->log.write(
            w->ports->log.context, TM_LOG_WARNING, "dedup_full",
            "Event ids were forgotten before their time: raise dedup.max_entries, or shorten dedup.window", &field, 1);
    }
}

/* --- as it stands --- */

void tm_worker_look_at_lag(worker *w)
{
    if (steady(w) < w->lag_at)
        return;
    w->lag_at = steady(w) + LAG_EVERY;
    const tm_source *source = &w->ports->source;
    int64_t lag = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const tm_holding *holding = w->shards[i]->holding;
        for (int k = 0; k < TM_INPUTS && holding->state == TM_HOLDING_LIVE; k++) {
            const tm_lane *lane = &holding->intake.lanes[k];
            int64_t first, end, reached;
            tm_error error;
            if (!lane->on)
                continue;
            if (source->bounds(source->context, (tm_input)k, holding->partition, &first, &end, &reached, &error) !=
                TM_OK) {
                atomic_store(&w->gauges->lag, -1);
                return;
            }
            lag += end > lane->next && reached < end ? end - lane->next : (int64_t)lane->count;
        }
    }
    atomic_store(&w->gauges->lag, lag);
}

void tm_worker_show(worker *w)
{
    tm_worker_gauges *g = w->gauges;
    int64_t accounts = 0, memory = 0, time = TM_TIME_NEVER;
    uint32_t shards = 0, halted = 0;
    int64_t open[TM_KINDS] = {0};
    for (uint32_t i = 0; i < w->count; i++) {
        const tm_holding *holding = w->shards[i]->holding;
        if (holding->state == TM_HOLDING_HALTED) {
            if (halted < TM_WORKER_HALTS) {
                char why[TM_NOTE_MAX];
                tm_error_text(&holding->halted, why, sizeof why);
                atomic_store(&g->halts[halted].partition, holding->partition);
                atomic_store(&g->halts[halted].halt, (int)holding->halt);
                tm_note_write(&g->halts[halted].why, holding->partition, tm_slice_of(why));
            }
            halted++;
        }
        if (!holding->shard)
            continue;
        shards++;
        for (int k = 0; k < TM_KINDS; k++)
            open[k] += tm_shard_open(holding->shard, (tm_kind)k);
        accounts += tm_shard_account_count(holding->shard);
        memory += (int64_t)tm_shard_memory(holding->shard);
        tm_time t = tm_shard_time(holding->shard);
        time = t != TM_TIME_NONE && t < time ? t : time;
    }
    for (int k = 0; k < TM_KINDS; k++)
        atomic_store(&g->open[k], open[k]);
    atomic_store(&g->accounts, accounts);
    atomic_store(&g->memory, memory);
    atomic_store(&g->time, time == TM_TIME_NEVER ? TM_TIME_NONE : time);
    atomic_store(&g->shards, shards);
    atomic_store(&g->halted, halted);
}
