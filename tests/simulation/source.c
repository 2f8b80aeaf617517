/* The port `source` over the broker, as hostile as the port allows: few records at a time, words that were true when
   they were asked for, revocations in which everything may happen. */
#include <string.h>

#include "sim.h"

static tm_status fails(sim_life *life, tm_error *error, const char *what)
{
    life->trouble_at = life->s->now;
    return tm_fail(error, TM_RETRY, "%s: no answer", what);
}

static tm_status source_join(void *context, const tm_source_listener *listener, tm_error *error)
{
    sim_life *life = context;
    sim_fate fate = sim_call(life, SIM_JOIN, -1, NULL);
    if (fate == SIM_DEAD)
        return tm_fail(error, TM_FATAL, "gone");
    if (fate != SIM_FINE)
        return fails(life, error, "join");
    life->listener = *listener;
    life->joined = true;
    life->member.silent = -1;
    sim_group_join(life);
    return TM_OK;
}

static void stop_lanes(sim_member *member)
{
    memset(member->next, 0xff, sizeof member->next);
    memset(member->paused, 0, sizeof member->paused);
}

static uint32_t list_of(uint32_t bits, int32_t *ret_list)
{
    uint32_t count = 0;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
        if (bits >> p & 1)
            ret_list[count++] = p;
    }
    return count;
}

/* Where nothing failed for a while, a revocation leaves both ledgers at the same commit. */
static void check_settled(sim_life *life, int64_t begun, const int32_t *list, uint32_t count)
{
    sim *s = life->s;
    if (life->dead || life->trouble_at > begun - TM_MINUTE)
        return;
    for (uint32_t i = 0; i < count; i++) {
        tm_position r = s->store.shards[list[i]].position, c = s->known[list[i]];
        if (life->wrote[list[i]] && c.commit < r.commit)
            sim_fail(s, "shard %d: let go at commit %lld with %lld published", list[i], (long long)r.commit,
                     (long long)c.commit);
    }
}

static void revoke(sim_life *life, bool lost)
{
    sim_member *member = &life->member;
    int32_t list[SIM_PARTITIONS];
    uint32_t count = list_of(member->owned, list);
    if (member->told) {
        sim_note(life->s, "revoked%s: %u partitions", lost ? ", lost" : "", count);
        int64_t begun = life->s->now;
        life->listener.revoked(life->listener.context, list, count, lost);
        if (!lost && member->inside && life->judged)
            check_settled(life, begun, list, count);
    }
    member->told = false;
    member->owned = 0;
    memset(life->wrote, 0, sizeof life->wrote);
    stop_lanes(member);
}

/* Serves what the group has to say. False: this member is fenced. */
static bool serve_group(sim_life *life)
{
    sim *s = life->s;
    sim_member *member = &life->member;
    if (member->fenced)
        return false;
    if (!member->inside) {
        revoke(life, true);
        if (life->dead || member->fenced)
            return !member->fenced;
        if (sim_reaches_broker(s, life))
            sim_group_join(life);
        return true;
    }
    if (s->rebalancing && !member->waiting) {
        revoke(life, false);
        if (life->dead || member->fenced)
            return !member->fenced;
        if (member->inside) /* it may have been left out meanwhile */
            sim_group_wait(life);
        return true;
    }
    if (member->untold) {
        int32_t list[SIM_PARTITIONS];
        if (member->told) /* a new generation of the same member: it is told to let go first */
            revoke(life, false);
        member->untold = false;
        member->told = true;
        member->generation = s->generation;
        member->owned = member->assignment;
        stop_lanes(member);
        uint32_t count = list_of(member->owned, list);
        sim_note(s, "assigned: %x", member->owned);
        life->listener.assigned(life->listener.context, list, count);
    }
    return true;
}

static bool group_speaks(const sim_life *life)
{
    const sim_member *member = &life->member;
    if (!sim_reaches_broker(life->s, life)) /* that its session is over, a member knows by itself */
        return !member->inside && member->told;
    return member->fenced || !member->inside || member->untold || (life->s->rebalancing && !member->waiting);
}

/* The next visible record of a lane; NULL: none below the last stable offset. */
static sim_record *peek(sim_life *life, int input, int32_t partition)
{
    sim_member *member = &life->member;
    int64_t *next = &member->next[input][partition];
    if (*next < 0 || member->paused[input][partition] || !(member->owned >> partition & 1))
        return NULL;
    const sim_log *log = sim_input(life->s, (tm_input)input, partition);
    int64_t end = sim_stable_end(log);
    while (*next < end && log->items[*next]->kind == SIM_HIDDEN)
        ++*next;
    return *next < end ? log->items[*next] : NULL;
}

static bool something_waits(sim_life *life)
{
    for (int i = 0; i < TM_INPUTS; i++) {
        for (int32_t p = 0; p < (int32_t)life->s->partitions; p++) {
            if (peek(life, i, p))
                return true;
        }
    }
    return false;
}

static uint32_t deliver(sim_life *life, tm_source_record *records, uint32_t capacity)
{
    sim *s = life->s;
    uint32_t count = 0, lanes = TM_INPUTS * s->partitions;
    /* Few at a time, from a few lanes: the merge has to live with what it is given. */
    uint32_t most = sim_once_in(&s->schedule, 2) ? capacity : (uint32_t)sim_between(&s->schedule, 1, 6);
    uint32_t first = (uint32_t)sim_below(&s->schedule, lanes);
    for (uint32_t l = 0; l < lanes && count < most && count < capacity; l++) {
        uint32_t lane = (first + l) % lanes;
        int input = (int)(lane % TM_INPUTS);
        int32_t partition = (int32_t)(lane / TM_INPUTS);
        sim_record *record;
        while (count < most && count < capacity && (record = peek(life, input, partition)) != NULL) {
            records[count++] = (tm_source_record){.input = record->input,
                                                  .partition = partition,
                                                  .offset = record->offset,
                                                  .timestamp = record->timestamp,
                                                  .key = record->key,
                                                  .value = record->value};
            life->member.next[input][partition] = record->offset + 1;
            if (sim_once_in(&s->schedule, 16))
                break;
        }
    }
    return count;
}

static tm_status source_poll(void *context, int64_t wait, tm_source_record *records, uint32_t capacity,
                             uint32_t *ret_count, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    *ret_count = 0;
    sim_fate fate = sim_call(life, SIM_POLL, -1, NULL);
    if (fate == SIM_DEAD)
        return tm_fail(error, TM_FATAL, "gone");
    bool reachable = sim_reaches_broker(s, life);
    if (!group_speaks(life) && !(reachable && something_waits(life))) {
        /* A thread that waits may be woken late: that keeps hours of silence cheap. */
        int64_t most = wait >= 100 && reachable ? sim_between(&s->schedule, 100, s->stretch) : wait;
        int64_t least = reachable ? sim_below(&s->schedule, 2) : sim_between(&s->schedule, 1, 1000);
        sim_sleep_polling(life, s->now + (most > least ? most : least));
        if (life->dead)
            return tm_fail(error, TM_FATAL, "gone");
    } else if (!sim_pass(life, sim_below(&s->schedule, s->latency + 1))) {
        return tm_fail(error, TM_FATAL, "gone");
    }
    if (!serve_group(life))
        return tm_fail(error, TM_FATAL, "another process has this instance name");
    if (life->dead)
        return tm_fail(error, TM_FATAL, "gone");
    if (!sim_reaches_broker(s, life))
        return fails(life, error, "poll");
    if (fate != SIM_FINE)
        return fails(life, error, "poll");
    *ret_count = deliver(life, records, capacity);
    return TM_OK;
}

static void source_release(void *context, tm_source_record *record)
{
    (void)context;
    record->handle = NULL;
}

static uint32_t source_headers(void *context, const tm_source_record *record, tm_source_header *headers)
{
    (void)context, (void)record, (void)headers;
    return 0;
}

static bool owns(const sim_life *life, int32_t partition)
{
    return partition >= 0 && partition < SIM_PARTITIONS && (life->member.owned >> partition & 1);
}

static tm_status source_start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    sim_life *life = context;
    if (sim_call(life, SIM_START_LANE, partition, NULL) != SIM_FINE)
        return fails(life, error, "start");
    if (!owns(life, partition))
        return tm_fail(error, TM_REJECT, "partition %d is not this member's", partition);
    life->member.next[input][partition] = offset;
    life->member.paused[input][partition] = false;
    return TM_OK;
}

static tm_status source_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    sim_life *life = context;
    if (sim_call(life, SIM_PAUSE_LANE, partition, NULL) != SIM_FINE)
        return fails(life, error, "pause");
    if (!owns(life, partition))
        return tm_fail(error, TM_REJECT, "partition %d is not this member's", partition);
    life->member.paused[input][partition] = paused;
    return TM_OK;
}

static tm_status source_bounds(void *context, tm_input input, int32_t partition, int64_t *ret_first, int64_t *ret_end,
                               int64_t *ret_reached, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_BOUNDS, partition, NULL);
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return fails(life, error, "bounds");
    const sim_log *log = sim_input(s, input, partition);
    (void)peek(life, (int)input, partition); /* goes over what is hidden */
    *ret_first = 0;
    *ret_end = log->held >= 0 ? log->held + 1 : log->count;
    *ret_reached = life->member.next[input][partition];
    /* The answer takes its time, too: what it says was true when it was given. */
    if (!sim_pass(life, sim_below(&s->schedule, s->latency + 1)) || fate != SIM_FINE)
        return fails(life, error, "bounds");
    return TM_OK;
}

static bool pending(const sim *s, int32_t partition)
{
    for (int i = 0; i < SIM_LIVES; i++) {
        if (s->producers[i].open && s->producers[i].has_offsets[partition])
            return true;
    }
    return false;
}

static tm_status source_committed(void *context, const int32_t *partitions, uint32_t count, tm_position *ret_positions,
                                  tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_COMMITTED, partitions[0], NULL);
    if (fate != SIM_FINE)
        return fails(life, error, "committed");
    for (uint32_t i = 0; i < count; i++) {
        for (int waited = 0; pending(s, partitions[i]); waited++) {
            if (waited == 8 || !sim_pass(life, 500))
                return fails(life, error, "committed: offsets are pending");
        }
        ret_positions[i] = s->committed[partitions[i]];
    }
    return sim_pass(life, sim_below(&s->schedule, s->latency + 1)) ? TM_OK : fails(life, error, "committed");
}

static void source_leave(void *context)
{
    sim_life *life = context;
    if (sim_call(life, SIM_LEAVE, -1, NULL) == SIM_DEAD || !life->joined)
        return;
    revoke(life, false);
    if (life->dead)
        return;
    sim_silent(life->s, &life->member); /* a static member says nothing: the group waits for its session */
}

int64_t sim_source_generation(void *context)
{
    const sim_life *life = context;
    return life->member.inside ? life->member.generation : -1;
}

tm_source sim_source_port(sim_life *life)
{
    return (tm_source){life,         source_join,  source_poll,   source_release,   source_headers,
                       source_start, source_pause, source_bounds, source_committed, source_leave,
                       NULL};
}
