/* The broker: inputs with their last stable offsets, the group with its generations, producers with their transactions.
   What it does was seen of real ones; only what the ports promise is relied on. */
#include <string.h>

#include "sim.h"

/* ---- Inputs ---- */

sim_log *sim_input(sim *s, tm_input input, int32_t partition)
{
    return &s->inputs[input][partition];
}

int64_t sim_stable_end(const sim_log *log)
{
    return log->held >= 0 ? log->held : log->count;
}

int64_t sim_visible_end(const sim_log *log)
{
    int64_t end = sim_stable_end(log);
    while (end > 0 && log->items[end - 1]->kind == SIM_HIDDEN)
        end--;
    return end;
}

static void wake_owners(sim *s, int32_t partition)
{
    for (uint32_t p = 0; p < s->process_count; p++) {
        for (int i = 0; i < SIM_EACH; i++) {
            sim_life *life = s->processes[p].life[i];
            if (life && !life->finished && (life->member.owned >> partition & 1))
                sim_wake(s, life);
        }
    }
}

static void wake_all(sim *s)
{
    for (uint32_t p = 0; p < s->process_count; p++) {
        for (int i = 0; i < SIM_EACH; i++)
            sim_wake(s, s->processes[p].life[i]);
    }
}

void sim_append(sim *s, sim_record *record)
{
    sim_log *log = sim_input(s, record->input, record->partition);
    if (log->count == log->capacity) {
        int64_t capacity = log->capacity ? log->capacity * 2 : 64;
        sim_record **items = sim_take(s, sizeof *items * (size_t)capacity);
        if (log->count)
            memcpy(items, log->items, sizeof *items * (size_t)log->count);
        log->items = items;
        log->capacity = capacity;
    }
    record->offset = log->count;
    record->arrived = s->now;
    log->items[log->count++] = record;
    s->records++;
    wake_owners(s, record->partition);
}

void sim_hold(sim *s, tm_input input, int32_t partition, int64_t until)
{
    sim_log *log = sim_input(s, input, partition);
    if (log->held >= 0)
        return;
    sim_record *hidden = sim_take(s, sizeof *hidden);
    *hidden = (sim_record){.input = input, .partition = partition, .kind = SIM_HIDDEN, .account = -1};
    hidden->value = TM_SLICE_LITERAL("of a transaction that will be aborted");
    hidden->timestamp = sim_wall(s, NULL);
    int64_t at = log->count;
    sim_append(s, hidden);
    log->held = at;
    log->hold = ++s->serials;
    if (until >= 0)
        sim_at(s, until, SIM_HAPPENS_RELEASE, input, partition, NULL);
}

void sim_release_hold(sim *s, tm_input input, int32_t partition)
{
    sim_input(s, input, partition)->held = -1;
    wake_owners(s, partition);
}

bool sim_reaches_broker(const sim *s, const sim_life *life)
{
    return s->now >= s->broker_down_until && (!life || s->now >= life->process->cut_until);
}

/* ---- The group: eager, `range`, static members ---- */

static bool comes_before(const sim_member *a, const sim_member *b)
{
    return a->instance < b->instance;
}

static void begin_generation_if_all_wait(sim *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->life_count; i++) {
        const sim_member *member = &s->lives[i]->member;
        if (member->inside && !member->waiting)
            return;
        count += member->inside;
    }
    s->rebalancing = false;
    if (count == 0)
        return;
    s->generation++;
    uint32_t each = s->partitions / count, rest = s->partitions % count;
    for (uint32_t i = 0; i < s->life_count; i++) {
        sim_member *member = &s->lives[i]->member;
        if (!member->inside)
            continue;
        uint32_t place = 0;
        for (uint32_t k = 0; k < s->life_count; k++) {
            const sim_member *other = &s->lives[k]->member;
            place += other->inside && comes_before(other, member);
        }
        uint32_t from = place * each + (place < rest ? place : rest);
        uint32_t width = each + (place < rest);
        member->assignment = ((1u << width) - 1) << from;
        member->waiting = false;
        member->untold = true;
    }
    sim_note(s, "generation %lld of %u members", (long long)s->generation, count);
    wake_all(s);
}

static void rebalance(sim *s)
{
    if (!s->rebalancing)
        sim_at(s, s->now + s->rebalance_timeout, SIM_HAPPENS_REBALANCE, 0, s->generation, NULL);
    s->rebalancing = true;
    begin_generation_if_all_wait(s);
    wake_all(s);
}

/* What has not come back by now is left out. */
void sim_group_deadline(sim *s, int64_t generation)
{
    if (!s->rebalancing || s->generation != generation)
        return;
    for (uint32_t i = 0; i < s->life_count; i++) {
        sim_member *member = &s->lives[i]->member;
        if (member->inside && !member->waiting) {
            sim_note(s, "worker %u is left out of the group", i);
            member->inside = false;
        }
    }
    begin_generation_if_all_wait(s);
}

void sim_group_join(sim_life *life)
{
    sim *s = life->s;
    sim_member *member = &life->member;
    for (uint32_t i = 0; i < s->life_count; i++) {
        sim_member *other = &s->lives[i]->member;
        if (other == member || !other->inside || other->instance != member->instance)
            continue;
        other->inside = false;
        other->fenced = true;
        sim_wake(s, other->life);
        if (!s->rebalancing) { /* takes the place as it is: the same generation, no rebalance */
            member->inside = member->untold = true;
            member->waiting = false;
            member->assignment = other->assignment;
            return;
        }
    }
    member->inside = member->waiting = true;
    member->untold = false;
    rebalance(s);
}

void sim_group_expel(sim *s, sim_member *member)
{
    if (!member->inside)
        return;
    sim_note(s, "worker %d is thrown out of the group", member->life->number);
    member->inside = member->waiting = member->untold = false;
    rebalance(s);
    sim_wake(s, member->life);
}

void sim_group_wait(sim_life *life)
{
    life->member.waiting = true;
    life->member.untold = false; /* what it was not told of is void */
    life->member.owned = 0;
    begin_generation_if_all_wait(life->s);
}

void sim_silent(sim *s, sim_member *member)
{
    if (member->silent >= 0)
        return;
    member->silent = s->now;
    sim_at(s, s->now + SIM_SESSION, SIM_HAPPENS_SILENCE, member->life->number, s->now, NULL);
}

void sim_group_silence(sim *s, sim_life *life, int64_t since)
{
    if (life->member.silent == since)
        sim_group_expel(s, &life->member);
}

/* ---- Transactions ---- */

void sim_outputs_add(sim *s, sim_outputs *list, const sim_output *output)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 32;
        sim_output *items = sim_take(s, sizeof *items * capacity);
        if (list->count)
            memcpy(items, list->items, sizeof *items * list->count);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *output;
}

static void end_transaction(sim_producer *producer)
{
    producer->open = false;
    producer->staged.count = 0;
    memset(producer->has_offsets, 0, sizeof producer->has_offsets);
}

void sim_transaction_abort(sim *s, sim_producer *producer)
{
    if (producer->open)
        sim_note(s, "transaction %llu is aborted", (unsigned long long)producer->serial);
    end_transaction(producer);
}

/* What the journal says of a partition has to go on where the group's offsets stood. */
static void check_publication(sim *s, const sim_producer *producer, int32_t partition)
{
    int64_t n = s->known[partition].commit, claim = s->known[partition].claim;
    tm_position next = n > 0 ? s->known[partition] : (tm_position){{0, 0}, 0};
    bool moved = producer->has_offsets[partition];
    for (uint32_t i = 0; i < producer->staged.count; i++) {
        const sim_output *output = &producer->staged.items[i];
        sim_line line;
        if (output->topic != TM_TOPIC_JOURNAL || output->partition != partition || !sim_line_read(output->value, &line))
            continue;
        if (!moved)
            sim_fail(s, "shard %d: line %lld is published without the group's offsets", partition, (long long)line.n);
        if (line.n != n + 1)
            sim_fail(s, "shard %d: line %lld of the journal is published after %lld", partition, (long long)line.n,
                     (long long)n);
        if (n > 0 && (line.from[0] != next.next[0] || line.from[1] != next.next[1]))
            sim_fail(s, "shard %d: line %lld begins at [%lld, %lld], the one before ended at [%lld, %lld]", partition,
                     (long long)line.n, (long long)line.from[0], (long long)line.from[1], (long long)next.next[0],
                     (long long)next.next[1]);
        sim_note(s, "line %d:%lld [%lld, %lld) [%lld, %lld) clocks %lld %lld%s T %lld %lld%s, rules %lld, %u signals",
                 partition, (long long)line.n, (long long)line.from[0], (long long)line.to[0], (long long)line.from[1],
                 (long long)line.to[1], (long long)(line.clock_begin - s->base), (long long)(line.clock_end - s->base),
                 line.drained ? ", drained," : ",",
                 (long long)(line.t_before == TM_TIME_NONE ? -1 : line.t_before - s->base),
                 (long long)(line.t_after - s->base), line.judged ? ", judged" : "", (long long)line.rules,
                 line.signals);
        n = line.n;
        claim = line.epoch;
        next = (tm_position){{line.to[0], line.to[1]}, n};
    }
    if (!moved)
        return;
    tm_position c = producer->offsets[partition];
    if (!tm_position_equal(c, next))
        sim_fail(s, "shard %d: the offsets move to commit %lld at [%lld, %lld], the journal to %lld", partition,
                 (long long)c.commit, (long long)c.next[0], (long long)c.next[1], (long long)n);
    if (n > 0 && c.claim != claim)
        sim_fail(s, "shard %d: the offsets say that commit %lld is of claim %lld, the journal of %lld", partition,
                 (long long)n, (long long)c.claim, (long long)claim);
    if (s->given_up && partition == s->given_up_shard && c.commit >= s->given_up_at.commit)
        sim_at(s, s->now + sim_below(&s->schedule, 2000), SIM_HAPPENS_RETURN, 0, 0, NULL);
    const sim_shard *shard = &s->store.shards[partition];
    if (!s->store_lost && (!shard->present || c.commit > shard->position.commit))
        sim_fail(s, "shard %d: published up to commit %lld, the store has %lld", partition, (long long)c.commit,
                 (long long)shard->position.commit);
    s->committed[partition] = s->known[partition] = c;
}

/* A transaction has the signals of its lines, no more and no less. */
static void check_whole(sim *s, const sim_producer *producer)
{
    uint32_t told = 0, signals = 0;
    for (uint32_t i = 0; i < producer->staged.count; i++) {
        const sim_output *output = &producer->staged.items[i];
        sim_line line;
        signals += output->topic <= TM_TOPIC_ADVISORIES;
        if (output->topic == TM_TOPIC_JOURNAL && sim_line_read(output->value, &line))
            told += line.signals;
    }
    if (told != signals)
        sim_fail(s, "a transaction has %u signals, its lines of the journal tell of %u", signals, told);
}

void sim_transaction_commit(sim *s, int number)
{
    sim_producer *producer = &s->producers[number];
    if (s->length > 0)
        check_whole(s, producer);
    for (int32_t p = 0; p < (int32_t)s->partitions; p++)
        check_publication(s, producer, p);
    for (uint32_t i = 0; i < producer->staged.count; i++) {
        sim_outputs_add(s, &s->outputs[producer->staged.items[i].topic], &producer->staged.items[i]);
        sim_mix(s, tm_hash(producer->staged.items[i].value));
    }
    s->publications++;
    sim_note(s, "transaction %llu is committed: %u outputs", (unsigned long long)producer->serial,
             producer->staged.count);
    end_transaction(producer);
}

void sim_transaction_timeout(sim *s, int number, uint64_t serial)
{
    sim_producer *producer = &s->producers[number];
    if (!producer->open || producer->serial != serial)
        return;
    sim_transaction_abort(s, producer);
    producer->epoch++; /* whoever comes late is refused */
    producer->timed_out = true;
}
