/* Commits and publications, with retries. Part of the room `worker`. */
#include "workerroom.h"

#include <stdlib.h>

#include "tidemark/pipeline/verdict.h"

static uint32_t holdings_of(worker *w, tm_holding **ret_holdings)
{
    for (uint32_t i = 0; i < w->count; i++)
        ret_holdings[i] = w->shards[i]->holding;
    return w->count;
}

bool tm_worker_owes(const tm_holding *holding)
{
    return !holding->open && tm_shard_changed_count(holding->shard) >= holding->settings->commit_accounts;
}

/* Where T moves at the end of this commit; TM_TIME_NONE: nowhere. */
static tm_time advance_for(worker *w, held *h, tm_time clock_end)
{
    const tm_pipeline_settings *settings = w->settings;
    tm_holding *holding = h->holding;
    tm_time t = tm_shard_time(holding->shard);
    bool ends = settings->once || settings->until != TM_TIME_NEVER;
    if (holding->gap)
        return TM_TIME_NONE;
    if (ends && tm_intake_finished(&holding->intake)) {
        tm_time end = settings->until != TM_TIME_NEVER ? settings->until : settings->final_time;
        if (settings->until != TM_TIME_NEVER && settings->once && settings->final_time != TM_TIME_NONE &&
            settings->final_time < end)
            end = settings->final_time;
        return end == TM_TIME_NONE ? t : end;
    }
    if (settings->once || !tm_intake_drained(&holding->intake))
        return TM_TIME_NONE;
    tm_time target = clock_end - settings->grace;
    if (target > settings->until)
        target = settings->until;
    if (t != TM_TIME_NONE && target <= t)
        return TM_TIME_NONE;
    bool worthwhile = holding->records > 0 || t == TM_TIME_NONE || tm_shard_next_due(holding->shard) <= target ||
                      target - t >= IDLE_COMMIT || target == settings->until;
    return worthwhile ? target : TM_TIME_NONE;
}

static bool at_end(worker *w, const tm_holding *holding)
{
    const tm_pipeline_settings *settings = w->settings;
    if (holding->gap)
        return false;
    if (settings->until != TM_TIME_NEVER && tm_shard_time(holding->shard) != TM_TIME_NONE &&
        tm_shard_time(holding->shard) >= settings->until && tm_intake_drained(&holding->intake))
        return true;
    return (settings->once || settings->until != TM_TIME_NEVER) && tm_intake_finished(&holding->intake);
}

static void note_duration(tm_durations *durations, int64_t ms)
{
    static const int64_t bounds[TM_DURATION_BUCKETS - 1] = TM_DURATION_BOUNDS;
    int bucket = 0;
    while (bucket < TM_DURATION_BUCKETS - 1 && ms > bounds[bucket])
        bucket++;
    atomic_fetch_add(&durations->buckets[bucket], 1);
    atomic_fetch_add(&durations->sum, ms > 0 ? (uint64_t)ms : 0);
}

/* Ends the open commit of a shard, with retries. False when it was dropped, lost or halted: none is left half-way. */
static bool commit_shard(worker *w, held *h)
{
    tm_holding *holding = h->holding;
    tm_error error;
    /* An old word that nothing waits is none: the broker, or we, may have been away since. */
    if (!tm_intake_drained(&holding->intake) || steady(w) - h->confirmed_at > 2 * w->settings->commit_interval)
        (void)tm_worker_confirm(w, h);
    TM_CRASH_POINT("commit_confirmed");
    tm_time clock_end = wall(w);
    tm_time advance = advance_for(w, h, clock_end);
    bool owed = tm_shard_changed_count(holding->shard) >= w->settings->commit_accounts;
    if (holding->records == 0 && advance == TM_TIME_NONE && !owed) {
        holding->open = false; /* nothing happened: the next commit reads the clock anew */
        holding->done = at_end(w, holding);
        return true;
    }
    int64_t backoff = 0, begun = steady(w);
    w->inside = true;
    tm_status status;
    for (;;) {
        status = tm_ledger_commit(&w->ledger, holding, clock_end, advance, &error);
        if (status == TM_RETRY)
            tm_worker_lack(w, h, w->ledger.asked, &error);
        if (status != TM_RETRY || !tm_worker_wait(w, &backoff) || holding->state == TM_HOLDING_LOST)
            break;
    }
    w->inside = false;
    if (holding->state == TM_HOLDING_LOST)
        return false;
    if (status == TM_OK) {
        atomic_fetch_add(&w->gauges->commits, 1);
        TM_CRASH_POINT("commit_ended");
        note_duration(&w->gauges->commit_times, steady(w) - begun);
        tm_worker_count(w, h);
        tm_worker_answered(w, h, TM_WAITING_STORE);
        h->backoff = 0;
        if (at_end(w, holding))
            holding->done = true;
        return true;
    }
    if (status == TM_BROKEN) {
        tm_worker_broken(w, h, &error);
    } else if (status == TM_FATAL) {
        /* Sealed: the end of the commit was decided, and the store is what refused. */
        tm_ledger_halt(&w->ledger, holding, holding->sealed ? TM_HALT_WRITE_FAILED : TM_HALT_MEMORY, &error);
    } else {
        w->unsettled |= status == TM_RETRY && atomic_load(w->stop); /* otherwise somebody goes on with it */
        TM_CRASH_POINT("commit_dropped");
        tm_worker_say(w, TM_LOG_WARNING, "commit_refused", "The shard is claimed again", holding->partition, &error);
        tm_worker_claim_again(w, h);
    }
    return false;
}

bool tm_worker_publish(worker *w, uint32_t tries)
{
    int64_t backoff = 0, begun = steady(w);
    tm_error error;
    tm_status status = TM_OK;
    w->inside = true;
    for (uint32_t attempt = 1;; attempt++) {
        /* While it was waited for, shards may have come and gone. */
        tm_holding **holdings = malloc(sizeof(tm_holding *) * (w->count + 1));
        w->ledger.asked = TM_WAITING_NOTHING;
        status = holdings ? tm_ledger_publish(&w->ledger, holdings, holdings_of(w, holdings), &error)
                          : tm_fail(&error, TM_FATAL, "no memory to publish");
        free(holdings);
        if (status == TM_RETRY)
            tm_worker_lack(w, NULL, TM_WAITING_PUBLISHER, &error);
        if (status != TM_RETRY || (tries && attempt >= tries) || !tm_worker_wait(w, &backoff))
            break;
    }
    w->inside = false;
    if (status == TM_OK) {
        if (w->ledger.asked == TM_WAITING_PUBLISHER) {
            atomic_fetch_add(&w->gauges->publications, 1);
            note_duration(&w->gauges->publish_times, steady(w) - begun);
        }
        tm_worker_answered(w, NULL, TM_WAITING_PUBLISHER);
        return true;
    }
    if (status == TM_FATAL) {
        tm_worker_fail(w, &error);
    } else if (status == TM_REJECT) {
        TM_CRASH_POINT("membership_gone");
        tm_worker_answered(w, NULL, TM_WAITING_PUBLISHER);
        tm_worker_say(w, TM_LOG_WARNING, "membership_lost", "The shards are claimed again when they are assigned", -1,
                      &error);
        for (uint32_t i = 0; i < w->count; i++) {
            if (w->shards[i]->holding->state != TM_HOLDING_LOST) /* that one is another's now */
                tm_worker_claim_again(w, w->shards[i]);
        }
    }
    return false;
}

void tm_worker_commit_all(worker *w, bool full_only)
{
    for (uint32_t i = 0; i < w->count; i++) {
        held *h = w->shards[i];
        if (h->holding->state == TM_HOLDING_LIVE && h->holding->open && (!full_only || tm_holding_full(h->holding)))
            (void)commit_shard(w, h);
    }
    tm_worker_sweep(w);
}

bool tm_worker_moved(worker *w, held *h)
{
    tm_holding *holding = h->holding;
    uint32_t known = w->settings->partitions;
    if (known > 0 && holding->partition >= (int32_t)known)
        w->partitions = (uint32_t)holding->partition + 1; /* at least: the group knows it before we asked */
    if (known == 0 || w->partitions == known)
        return false;
    tm_verdict verdict;
    tm_evidence evidence = {.partitions = w->partitions, .partitions_kept = known};
    tm_verdict_of(&evidence, holding->partition, &verdict);
    tm_ledger_halt(&w->ledger, holding, verdict.halt, &verdict.why);
    tm_rebuild_free(h->rebuild);
    h->rebuild = NULL;
    return true;
}

void tm_worker_look_at_partitions(worker *w)
{
    const tm_source *source = &w->ports->source;
    if (!source->partitions || steady(w) < w->lag_at)
        return;
    uint32_t now = source->partitions(source->context);
    if (now == 0 || now == w->partitions)
        return;
    w->partitions = now;
    for (uint32_t i = 0; i < w->count; i++) {
        tm_holding_state state = w->shards[i]->holding->state;
        if (state != TM_HOLDING_HALTED && state != TM_HOLDING_LOST)
            (void)tm_worker_moved(w, w->shards[i]);
    }
}

void tm_worker_retry_halted(worker *w)
{
    uint32_t asked = w->settings->retries ? atomic_load(w->settings->retries) : 0;
    if (asked == w->retried)
        return;
    w->retried = asked;
    for (uint32_t i = 0; i < w->count; i++) {
        held *h = w->shards[i];
        /* One whose invariant broke is left for a new process, which begins with clean memory. */
        if (h->holding->state != TM_HOLDING_HALTED || h->holding->halt == TM_HALT_INVARIANT)
            continue;
        h->holding->state = TM_HOLDING_CLAIMING;
        h->claim_at = 0;
    }
}
