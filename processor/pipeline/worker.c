/* Long because: the loop, the group's word and what a turn does share one struct and are read together. */
#include "workerroom.h"

#include <stdlib.h>

#include "tidemark/pipeline/verdict.h"

/* --- small things --- */

void tm_worker_say(worker *w, tm_log_level level, const char *event, const char *message, int32_t partition,
                   const tm_error *error)
{
    char text[1200];
    tm_error_text(error, text, sizeof text);
    tm_log_field fields[] = {tm_log_text("error", text), tm_log_integer("partition", partition)};
    w->ports->log.write(w->ports->log.context, level, event, message, fields, partition < 0 ? 1 : 2);
}

static int64_t jittered(worker *w, int64_t backoff)
{
    w->random = w->random * 1664525u + 1013904223u;
    return backoff / 2 + (int64_t)(w->random >> 8) % (backoff / 2 + 1);
}

static bool stopping(worker *w)
{
    if (!atomic_load(w->stop))
        return false;
    if (w->stop_since == 0)
        w->stop_since = steady(w) | 1; /* a millisecond more or less; 0 is 'not yet' */
    return true;
}

static bool out_of_time(worker *w)
{
    return stopping(w) && steady(w) - w->stop_since > STOP_DEADLINE;
}

static held *find(worker *w, int32_t partition)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->shards[i]->holding->partition == partition)
            return w->shards[i];
    }
    return NULL;
}

static void free_shard(held *h)
{
    tm_holding_free(h->holding); /* first: while it is rebuilt its shard may stand under a pack of the journal's */
    tm_rebuild_free(h->rebuild);
    free(h);
}

static void remove_shard(worker *w, held *h)
{
    uint32_t i = 0;
    while (w->shards[i] != h)
        i++;
    w->shards[i] = w->shards[--w->count];
    free_shard(h);
}

void tm_worker_fail(worker *w, const tm_error *error)
{
    if (!w->failed)
        w->fatal = *error;
    w->failed = true;
}

void tm_worker_sweep(worker *w)
{
    TM_CRASH_POINT("worker_sweep");
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->shards[i]->holding->state == TM_HOLDING_LOST)
            free_shard(w->shards[i]);
        else
            w->shards[kept++] = w->shards[i];
    }
    w->count = kept;
}

void tm_worker_claim_again(worker *w, held *h)
{
    TM_CRASH_POINT("worker_claim_again");
    tm_rebuild_free(h->rebuild);
    h->rebuild = NULL;
    tm_holding_drop(h->holding);
    h->backoff = doubled(h->backoff);
    h->claim_at = steady(w) + jittered(w, h->backoff);
}

/* --- records --- */

/* The first record read again after a take-over is the one at R - 1: it has to be the one the state remembers. */
static bool recognised(worker *w, held *h, const tm_source_record *record)
{
    tm_record_mark *expected = &h->holding->expected[record->input];
    if (expected->offset < 0)
        return true;
    tm_record_mark mark = *expected;
    expected->offset = -1;
    if (record->offset > mark.offset)
        return true; /* compacted or cut meanwhile */
    if (record->timestamp == mark.timestamp && tm_hash(record->key) == mark.key_hash)
        return true;
    tm_error why;
    tm_slice topic = w->settings->topics[record->input];
    tm_fail(&why, TM_REJECT,
            "the record at offset %lld is another than the one the state was made from: the topic was recreated",
            (long long)record->offset);
    tm_error_where(&why, "%.*s:%d:%lld", (int)topic.length, topic.data, (int)record->partition,
                   (long long)record->offset);
    tm_halt_hint(TM_HALT_TOPIC_RECREATED, record->partition, &why);
    tm_ledger_halt(&w->ledger, h->holding, TM_HALT_TOPIC_RECREATED, &why);
    tm_rebuild_free(h->rebuild); /* the next shard has its turn */
    h->rebuild = NULL;
    return false;
}

static void take_in(worker *w, tm_source_record *record)
{
    const tm_source *source = &w->ports->source;
    held *h = find(w, record->partition);
    /* Until a replay begins, what arrives is of the place where the shard was read before. */
    bool wanted =
        h && (h->holding->state == TM_HOLDING_LIVE || (h->holding->state == TM_HOLDING_REPLAYING && h->rebuild));
    if (wanted)
        wanted = recognised(w, h, record) && record->offset >= h->holding->intake.lanes[record->input].next;
    if (!wanted) {
        source->release(source->context, record);
        return;
    }
    if (h->silent) { /* while records come, the brokers answer: a backlog leaves no time for questions */
        h->silent &= ~(1u << record->input);
        if (!h->silent)
            tm_worker_answered(w, h, TM_WAITING_INPUT);
    }
    if (tm_intake_push(&h->holding->intake, record) != TM_OK) {
        tm_error error;
        tm_fail(&error, TM_FATAL, "no memory for records that wait");
        source->release(source->context, record);
        tm_ledger_halt(&w->ledger, h->holding, TM_HALT_MEMORY, &error);
    }
}

/* Polls once; keeps the membership alive whatever else is going on. */
static void poll_source(worker *w, int64_t wait)
{
    const tm_source *source = &w->ports->source;
    uint32_t count = 0;
    tm_error error;
    tm_status status = source->poll(source->context, wait, w->batch, POLL_RECORDS, &count, &error);
    TM_CRASH_POINT("worker_polled");
    for (uint32_t i = 0; i < count; i++)
        take_in(w, &w->batch[i]);
    if (status == TM_FATAL)
        tm_worker_fail(w, &error);
    else if (status == TM_RETRY)
        tm_worker_lack(w, NULL, TM_WAITING_INPUT, &error);
    else if (count > 0) /* without records it is no word of the brokers: tm_worker_confirm asks for one */
        tm_worker_answered(w, NULL, TM_WAITING_INPUT);
}

bool tm_worker_wait(worker *w, int64_t *backoff)
{
    *backoff = doubled(*backoff);
    TM_CRASH_POINT("worker_pauses");
    if (out_of_time(w))
        return false;
    int64_t pause = jittered(w, *backoff);
    if (w->in_callback) {
        w->ports->clock.pause(w->ports->clock.context, pause);
        return *backoff < BACKOFF_FIRST << SETTLE_TRIES;
    }
    int64_t until = steady(w) + pause;
    do {
        tm_worker_beat(w);
        poll_source(w, 20);
        w->ports->clock.pause(w->ports->clock.context, 10);
    } while (steady(w) < until && !w->failed && !out_of_time(w));
    return !w->failed && !out_of_time(w);
}

/* --- the group's word --- */

/* A shard that is this member's and is not worked on would stand still unnoticed: another member is to have it. */
static void cannot_hold(worker *w, int32_t partition)
{
    tm_error error;
    tm_fail(&error, TM_FATAL, "no memory is left to take over shard %d", (int)partition);
    tm_worker_fail(w, &error);
}

static void on_assigned(void *context, const int32_t *partitions, uint32_t count)
{
    worker *w = context;
    w->assigned = true;
    TM_CRASH_POINT("worker_assigned");
    tm_worker_answered(w, NULL, TM_WAITING_GROUP);
    for (uint32_t i = 0; i < count; i++) {
        held *h = find(w, partitions[i]);
        if (h && h->holding->state == TM_HOLDING_LOST)
            h->holding->partition = -1; /* swept later; the new one takes its place */
        else if (h)
            continue;
        if (w->count == w->capacity) {
            uint32_t capacity = w->capacity ? w->capacity * 2 : 16;
            held **shards = realloc(w->shards, sizeof(held *) * capacity);
            if (!shards) {
                cannot_hold(w, partitions[i]);
                return;
            }
            w->shards = shards;
            w->capacity = capacity;
        }
        held *added = calloc(1, sizeof *added);
        tm_holding *holding = tm_holding_new(w->settings, &w->reading, &w->ports->source, partitions[i]);
        const tm_pack *reloaded = w->settings->reloaded ? atomic_load(w->settings->reloaded) : NULL;
        if (holding && reloaded)
            holding->pack = reloaded;
        if (!added || !holding) {
            free(added);
            tm_holding_free(holding);
            cannot_hold(w, partitions[i]);
            return;
        }
        added->holding = holding;
        w->shards[w->count++] = added;
    }
}

static void on_revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    worker *w = context;
    w->assigned = false;
    TM_CRASH_POINT("worker_revoked");
    tm_worker_lack(w, NULL, TM_WAITING_GROUP, NULL);
    if (count == 0)
        return;
    if (!w->inside && !lost && !w->failed) {
        /* Settle inside the revocation: afterwards the shards are another's. */
        w->in_callback = true;
        tm_worker_commit_all(w, false);
        TM_CRASH_POINT("worker_revoked_committed");
        (void)tm_worker_publish(w, SETTLE_TRIES);
        TM_CRASH_POINT("worker_revoked_published");
        w->in_callback = false;
    }
    for (uint32_t i = 0; i < count; i++) {
        held *h = find(w, partitions[i]);
        if (!h)
            continue;
        if (w->inside)
            h->holding->state = TM_HOLDING_LOST; /* whoever is using it sees this and lets go */
        else
            remove_shard(w, h);
    }
}

/* --- one turn --- */

static void claim_one(worker *w, held *h)
{
    tm_error error;
    int64_t generation = w->ports->generation ? w->ports->generation(w->ports->generation_context) : -1;
    tm_holding *holding = h->holding;
    TM_CRASH_POINT("worker_claim");
    if (tm_worker_moved(w, h))
        return;
    w->ledger.journal_taken = rebuilding(w);
    if (w->settings->reloaded && atomic_load(w->settings->reloaded))
        holding->pack = atomic_load(w->settings->reloaded); /* the shard may be under them already */
    tm_status status = tm_ledger_claim(&w->ledger, holding, generation, &error);
    if (status == TM_RETRY) {
        tm_worker_lack(w, h, w->ledger.asked, &error);
        tm_worker_claim_again(w, h);
        return;
    }
    if (status != TM_OK) {
        tm_worker_say(w, TM_LOG_WARNING, "claim_waiting", "The shard could not be taken over yet", holding->partition,
                      &error);
        tm_worker_claim_again(w, h);
        return;
    }
    tm_worker_answered(w, h, h->waits_for);
    if (holding->state == TM_HOLDING_HALTED)
        return;
    h->counted = (tm_shard_counts){0};
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_text("state", tm_holding_state_name(holding->state)),
                             tm_log_integer("commit", holding->stored.commit),
                             tm_log_integer("published", holding->published.commit),
                             tm_log_integer("epoch", holding->epoch),
                             tm_log_integer("accounts", holding->shard ? tm_shard_account_count(holding->shard) : 0)};
    w->ports->log.write(w->ports->log.context, TM_LOG_INFO, "shard_claimed", "A shard was taken over", fields, 6);
    TM_CRASH_POINT("worker_claimed");
    h->backoff = 0;
}

static void claim_all(worker *w)
{
    bool claimed = false;
    for (uint32_t i = 0; i < w->count; i++) {
        held *h = w->shards[i];
        if (h->holding->state != TM_HOLDING_CLAIMING || steady(w) < h->claim_at)
            continue;
        if (w->ledger.must_initialise && !tm_worker_publish(w, 1))
            return; /* what was uncertain is settled first */
        tm_worker_beat(w);
        claim_one(w, h);
        claimed = true;
    }
    if (claimed)
        (void)tm_worker_publish(w, 1); /* what take-over found, of all shards in one transaction */
    tm_worker_sweep(w);
    TM_CRASH_POINT("worker_claims_published");
}

/* A step of a shard's rebuild. Returns true when it went on. */
static bool rebuild_one(worker *w, held *h)
{
    tm_holding *holding = h->holding;
    tm_error error;
    if (!h->rebuild) {
        if (rebuilding(w))
            return false;
        TM_CRASH_POINT("worker_rebuild");
        tm_status status = tm_rebuild_new(&w->ledger, &w->ports->journal, holding, &h->rebuild, &error);
        if (status == TM_RETRY)
            tm_worker_lack(w, h, w->ledger.asked, &error);
        else if (status != TM_OK)
            tm_worker_say(w, TM_LOG_WARNING, "rebuild_waiting", "The rebuild waits", holding->partition, &error);
        if (status != TM_OK) {
            tm_worker_claim_again(w, h);
            return false;
        }
        if (!h->rebuild)
            return false; /* halted */
    }
    bool waiting = true;
    tm_status status = tm_rebuild_step(h->rebuild, &waiting, &error);
    if (holding->state != TM_HOLDING_REPLAYING) {
        tm_rebuild_free(h->rebuild);
        h->rebuild = NULL;
        if (holding->shard) /* what was replayed was counted when it was committed first */
            h->counted = *tm_shard_counted(holding->shard);
    } else if (status != TM_OK) {
        tm_worker_lack(w, h, w->ledger.asked, &error);
        return false;
    }
    if (!waiting)
        tm_worker_answered(w, h, h->waits_for);
    return !waiting;
}

void tm_worker_broken(worker *w, held *h, const tm_error *why)
{
    tm_holding *holding = h->holding;
    if (!tm_poison_decide(holding)) {
        tm_report_broken(&w->ledger, holding, why);
        return;
    }
    /* Half changed: what is kept is whole. */
    if (holding->suspect.state == TM_SUSPECT_POISON)
        tm_worker_say(w, TM_LOG_ERROR, "record_poison",
                      "A record trips an internal check each time: it goes to the dead letters and is passed over",
                      holding->partition, why);
    else
        tm_worker_say(w, TM_LOG_WARNING, "record_suspected",
                      "A record tripped an internal check: the shard is claimed again and the record applied alone",
                      holding->partition, why);
    tm_worker_claim_again(w, h);
}

static void tell_acquitted(worker *w, tm_holding *holding)
{
    const tm_check *check = holding->suspect.check;
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_slice("topic", w->settings->topics[holding->suspect.input]),
                             tm_log_integer("offset", holding->suspect.offset), tm_log_text("check", check->name)};
    w->ports->log.write(w->ports->log.context, TM_LOG_WARNING, "record_acquitted",
                        "Applied again, alone, the record tripped nothing: it counts", fields, 4);
    holding->suspect.state = TM_SUSPECT_NONE;
}

/* Applies what may be applied. Returns true when something was. */
static bool apply_all(worker *w)
{
    bool progress = false;
    for (uint32_t i = 0; i < w->count; i++) {
        held *h = w->shards[i];
        tm_holding *holding = h->holding;
        tm_error error;
        tm_worker_beat(w);
        if (h->rebuild && holding->state != TM_HOLDING_REPLAYING) {
            tm_rebuild_free(h->rebuild); /* halted meanwhile: the next has its turn at the journal */
            h->rebuild = NULL;
        }
        if (holding->state == TM_HOLDING_REPLAYING) {
            progress |= rebuild_one(w, h);
            continue;
        }
        if (holding->state != TM_HOLDING_LIVE || holding->done)
            continue;
        if (tm_worker_owes(holding))
            tm_holding_begin(holding, wall(w)); /* to be committed; nothing more is taken before */
        if (tm_holding_full(holding))
            continue;
        TM_CRASH_POINT("worker_apply");
        tm_holding_begin(holding, wall(w));
        uint32_t count = 0;
        tm_intake_answer answer;
        tm_status status = tm_holding_apply(holding, APPLY_RECORDS, &count, &answer, &error);
        if (status == TM_OK && answer == TM_INTAKE_UNKNOWN && count == 0 &&
            steady(w) - h->confirmed_at >= CONFIRM_EVERY) {
            h->confirmed_at = steady(w);
            (void)tm_worker_confirm(w, h);
            if (tm_intake_cut(&holding->intake) && holding->records == 0) {
                tm_worker_claim_again(w, h); /* which says what is gone, and goes on where the log begins */
                continue;
            }
            status = tm_holding_apply(holding, APPLY_RECORDS, &count, &answer, &error);
        }
        if (status == TM_BROKEN) {
            tm_worker_broken(w, h, &error);
            continue;
        }
        if (status != TM_OK) {
            tm_ledger_halt(&w->ledger, holding, TM_HALT_MEMORY, &error);
            continue;
        }
        if (holding->suspect.state == TM_SUSPECT_ACQUITTED)
            tell_acquitted(w, holding);
        progress |= count > 0;
    }
    return progress;
}

static bool all_done(const worker *w)
{
    if (!w->assigned || !(w->settings->once || w->settings->until != TM_TIME_NEVER))
        return false;
    for (uint32_t i = 0; i < w->count; i++) {
        const tm_holding *holding = w->shards[i]->holding;
        if (holding->state == TM_HOLDING_HALTED)
            continue;
        if (!holding->done || holding->published.commit != holding->stored.commit)
            return false;
    }
    return true;
}

static bool any_finished(worker *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const tm_holding *holding = w->shards[i]->holding;
        if (holding->state == TM_HOLDING_LIVE && !holding->done && tm_intake_finished(&holding->intake))
            return true;
    }
    return false;
}

static void turn(worker *w, bool busy)
{
    tm_worker_beat(w);
    tm_worker_look_at_waits(w);
    int64_t now = steady(w);
    int64_t wait = busy || now >= w->next_round ? 0 : w->next_round - now;
    poll_source(w, wait > 100 ? 100 : wait);
    if (w->failed)
        return;
    claim_all(w);
}

/* Between two commits newer rules take the place of the old ones; the next commit tells the journal. */
static void take_reloaded(worker *w)
{
    const tm_pack *pack = w->settings->reloaded ? atomic_load(w->settings->reloaded) : NULL;
    for (uint32_t i = 0; pack && i < w->count; i++) {
        tm_holding *holding = w->shards[i]->holding;
        if (holding->pack == pack)
            continue;
        if (holding->state == TM_HOLDING_LIVE) {
            TM_CRASH_POINT("worker_adopt");
            tm_status status = tm_shard_adopt(holding->shard, pack);
            tm_error error;
            if (status == TM_BROKEN) {
                (void)tm_poison_tripped(holding, "new rules were taken over", &error);
                tm_report_broken(&w->ledger, holding, &error);
            } else if (status != TM_OK) {
                tm_fail(&error, TM_FATAL, "no memory is left to take over new rules");
                tm_error_hint(&error, "raise memory_limit, or spread the partitions over more processes");
                tm_ledger_halt(&w->ledger, holding, TM_HALT_MEMORY, &error);
            }
            holding->configuration_told = false;
        }
        holding->pack = pack;
        TM_CRASH_POINT("worker_adopted");
    }
}

static void round_of_commits(worker *w)
{
    TM_CRASH_POINT("worker_round");
    tm_worker_commit_all(w, false);
    if (!w->failed)
        (void)tm_worker_publish(w, 0);
    tm_worker_retry_halted(w);
    take_reloaded(w);
    TM_CRASH_POINT("worker_round_published");
    if (!w->failed) {
        tm_worker_look_at_partitions(w);
        tm_worker_look_at_lag(w);
    }
    tm_worker_show(w);
    w->next_round = steady(w) + w->settings->commit_interval;
}

tm_status tm_worker_run(const tm_pipeline_settings *settings, tm_worker_ports *ports, const atomic_bool *stop,
                        tm_worker_gauges *gauges, tm_error *error)
{
    worker w = {.settings = settings, .ports = ports, .stop = stop, .gauges = gauges};
    w.partitions = settings->partitions;
    w.retried = settings->retries ? atomic_load(settings->retries) : 0;
    w.random = 1 + (uint32_t)(ports->seed ^ ports->seed >> 32);
    tm_ledger_init(&w.ledger, &ports->store, &ports->publisher, &ports->source, &ports->log, &ports->clock,
                   ports->seed);
    w.ledger.journal = &ports->journal;
    w.batch = calloc(POLL_RECORDS, sizeof *w.batch);
    tm_status status = w.batch ? tm_reading_init(&w.reading, &settings->reading) : TM_FATAL;
    if (status != TM_OK) {
        tm_fail(error, TM_FATAL, "no memory for a worker");
        goto out;
    }
    TM_CRASH_POINT("worker_join");
    tm_source_listener listener = {&w, on_assigned, on_revoked};
    int64_t backoff = 0;
    tm_worker_beat(&w);
    tm_worker_lack(&w, NULL, TM_WAITING_GROUP, NULL);
    while ((status = ports->source.join(ports->source.context, &listener, error)) == TM_RETRY && !stopping(&w)) {
        tm_worker_lack(&w, NULL, TM_WAITING_GROUP, error);
        tm_worker_beat(&w);
        backoff = doubled(backoff);
        ports->clock.pause(ports->clock.context, jittered(&w, backoff));
    }
    if (status == TM_RETRY) { /* stopped before it was a member: it held nothing */
        status = TM_OK;
        goto out;
    }
    if (status != TM_OK)
        goto out;
    TM_CRASH_POINT("worker_joined");
    w.next_round = steady(&w) + settings->commit_interval;
    bool busy = false;
    while (!stopping(&w) && !w.failed && !all_done(&w)) {
        turn(&w, busy);
        if (w.failed)
            break;
        busy = apply_all(&w);
        if (steady(&w) >= w.next_round || any_finished(&w))
            round_of_commits(&w);
        else
            tm_worker_commit_all(&w, true);
    }
    if (!w.failed) {
        /* Settle: what was applied is committed and published before the shards are let go. */
        TM_CRASH_POINT("worker_settle");
        tm_worker_commit_all(&w, false);
        TM_CRASH_POINT("worker_settled_store");
        if (!tm_worker_publish(&w, 0) || w.unsettled)
            status = TM_RETRY;
        w.lag_at = 0; /* the last word is of now */
        if (status == TM_OK)
            tm_worker_look_at_lag(&w);
        tm_worker_show(&w);
    }
    if (w.failed) {
        *error = w.fatal;
        status = TM_FATAL;
    } else if (status == TM_RETRY) {
        tm_fail(error, TM_RETRY, "stopped while something outside did not answer");
        tm_error_hint(error, "nothing is lost: what was not committed is read again at the next start");
    } else {
        uint32_t halted = 0;
        for (uint32_t i = 0; i < w.count; i++) {
            if (w.shards[i]->holding->state == TM_HOLDING_HALTED) {
                halted++;
                *error = w.shards[i]->holding->halted;
            }
        }
        if (halted > 0)
            status = TM_FATAL;
    }
out:
    while (w.count > 0)
        remove_shard(&w, w.shards[0]);
    TM_CRASH_POINT("worker_leave");
    ports->source.leave(ports->source.context);
    TM_CRASH_POINT("worker_left");
    ports->publisher.close(ports->publisher.context);
    ports->store.close(ports->store.context);
    ports->journal.close(ports->journal.context);
    free(w.shards);
    free(w.batch);
    tm_reading_done(&w.reading);
    tm_ledger_done(&w.ledger);
    return status;
}
