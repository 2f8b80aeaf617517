/* The faults of a run: a list drawn from the seed, each with its place and nothing else to do with the others, so that
   any of them can be left out. */
#include <inttypes.h>
#include <string.h>

#include "sim.h"

static const struct {
    const char *name;
    int weight; /* how often it is drawn, among the others */
} kinds[SIM_FAULT_KINDS] = {
    [SIM_CRASH] = {"crash", 30},
    [SIM_HANG] = {"hang", 10},
    [SIM_LOST] = {"lost", 10},
    [SIM_UNANSWERED] = {"unanswered", 12},
    [SIM_LATE] = {"late", 10},
    [SIM_DOUBLED] = {"doubled", 4},
    [SIM_STORE_DOWN] = {"store down", 5},
    [SIM_BROKER_DOWN] = {"broker down", 5},
    [SIM_CUT] = {"cut from broker", 4},
    [SIM_CUT_STORE] = {"cut from store", 4},
    [SIM_SLOW] = {"slow", 3},
    [SIM_ENTER] = {"enter", 6},
    [SIM_QUIT] = {"quit", 6},
    [SIM_EXPEL] = {"expel", 5},
    [SIM_CLOCK] = {"clock", 4},
    [SIM_STALE] = {"stale", 4},
    [SIM_EMPTIED] = {"emptied", 4},
    [SIM_EXPIRED] = {"expired", 2},
    [SIM_TWIN] = {"twin", 5},
    [SIM_RELOAD] = {"reload", 5},
    [SIM_UPSTREAM] = {"upstream", 5},
    [SIM_NODE_DOWN] = {"node down", 5},
    [SIM_FOREIGN] = {"foreign", 3},
};

static bool at_a_call(sim_fault_kind kind)
{
    return kind <= SIM_DOUBLED;
}

void sim_fault_text(const sim_fault *f, char *text, size_t size)
{
    if (at_a_call(f->kind))
        snprintf(text, size,
                 "%s%s at the %d. call of %s after %" PRId64 " ms (process %d, partition %d, %" PRId64 " ms%s)",
                 kinds[f->kind].name, f->kind == SIM_CRASH && f->after ? " after its effect" : "", f->skip + 1,
                 sim_op_name(f->op), f->at, f->process, f->partition, f->kind == SIM_CRASH ? f->back : f->length,
                 f->renamed ? ", comes back under another name" : "");
    else
        snprintf(text, size,
                 "%s at %" PRId64 " ms (process %d, input %d, partition %d, %" PRId64 " ms, by %" PRId64 ")",
                 kinds[f->kind].name, f->at, f->process, f->input, f->partition, f->length, f->delta);
}

/* Short mostly, now and then far beyond every patience. */
static int64_t draw_length(sim_random *r)
{
    static const int64_t bounds[] = {50, 1000, 8000, 15000, 40000, 300000};
    return sim_between(r, 1, bounds[sim_below(r, 6)]);
}

static uint32_t only; /* bits of kinds; 0: all of them */

bool sim_faults_only(const char *names)
{
    only = 0;
    for (const char *at = names; *at;) {
        size_t length = strcspn(at, ",");
        int kind = 0;
        while (kind < SIM_FAULT_KINDS &&
               (strlen(kinds[kind].name) != length || strncmp(kinds[kind].name, at, length) != 0))
            kind++;
        if (kind == SIM_FAULT_KINDS)
            return false;
        only |= 1u << kind;
        at += length + (at[length] == ',');
    }
    return only != 0;
}

static sim_fault_kind draw_kind(sim_random *r)
{
    int64_t all = 0;
    for (int i = 0; i < SIM_FAULT_KINDS; i++)
        all += !only || only >> i & 1 ? kinds[i].weight : 0;
    int64_t drawn = sim_below(r, all);
    for (int i = 0;; i++) {
        int64_t weight = !only || only >> i & 1 ? kinds[i].weight : 0;
        if (drawn < weight)
            return (sim_fault_kind)i;
        drawn -= weight;
    }
}

/* The calls at which something may be lost or come late. */
static int draw_op(sim_random *r, sim_fault_kind kind)
{
    static const sim_op late[] = {SIM_EXECUTE, SIM_END};
    static const sim_op often[] = {SIM_EXECUTE, SIM_END,       SIM_OFFSETS,    SIM_CLAIM,        SIM_INITIALISE,
                                   SIM_COMMIT,  SIM_COMMITTED, SIM_BOUNDS,     SIM_READ,         SIM_SCAN,
                                   SIM_SEND,    SIM_POLL,      SIM_START_LANE, SIM_JOURNAL_NEXT, SIM_ABORT};
    if (kind == SIM_LATE || kind == SIM_DOUBLED)
        return late[sim_below(r, 2)];
    if (kind == SIM_CRASH && sim_once_in(r, 3))
        return -1;
    return sim_once_in(r, 2) ? (int)often[sim_below(r, 3)] : (int)often[sim_below(r, 15)];
}

void sim_faults_draw(sim *s, sim_random *r)
{
    uint32_t count = 0;
    int64_t lost_at = -1; /* when the store lost something */
    while (count < SIM_FAULTS - 1 && !sim_once_in(r, 7))
        count++;
    for (uint32_t i = 0; i < count; i++) {
        sim_fault *f = &s->faults[s->fault_count++];
        *f = (sim_fault){.kind = draw_kind(r)};
        f->at = sim_below(r, s->length);
        if (i > 0 && sim_once_in(r, 3)) /* one trouble seldom comes alone */
            f->at = f[-1].at + sim_below(r, 30000);
        f->length = draw_length(r);
        f->back = sim_once_in(r, 3) ? sim_below(r, 100) : sim_once_in(r, 2) ? sim_below(r, 5000) : sim_below(r, 60000);
        f->op = draw_op(r, f->kind);
        f->skip = sim_once_in(r, 2) ? 0 : (int)sim_below(r, f->op < 0 ? 200 : 8);
        f->process = sim_once_in(r, 2) ? -1 : (int)sim_below(r, 2);
        f->partition = (int)sim_below(r, (int64_t)s->partitions);
        f->input = (int)sim_below(r, TM_INPUTS);
        f->delta = sim_between(r, -1, 1) * sim_below(r, sim_once_in(r, 2) ? 20000 : 2 * TM_HOUR);
        f->after = sim_once_in(r, 2);
        f->renamed = sim_once_in(r, 4);
        if (at_a_call(f->kind)) {
            f->partition = sim_once_in(r, 4) ? f->partition : -1;
        } else if (f->kind == SIM_STALE) {
            f->length = sim_once_in(r, 2) ? f->length : sim_below(r, 30 * TM_MINUTE);
            if (lost_at >= 0 && sim_once_in(r, 2)) { /* an image of before the last loss: of another history */
                f->at = lost_at + sim_below(r, 30 * TM_MINUTE);
                f->length += f->at - lost_at;
            }
        }
        if (f->kind == SIM_STALE || f->kind == SIM_EMPTIED)
            lost_at = f->at;
        f->over = s->dropped >> i & 1;
        if (!f->over && !at_a_call(f->kind))
            sim_at(s, f->at, SIM_HAPPENS_FAULT, i, 0, NULL);
        if (!f->over && f->kind == SIM_STALE)
            sim_at(s, f->at > f->length ? f->at - f->length : 0, SIM_HAPPENS_SNAPSHOT, i, 0, NULL);
    }
}

sim_fault *sim_fault_at_call(sim *s, const sim_life *life, sim_op op, int64_t partition)
{
    for (uint32_t i = 0; i < s->fault_count; i++) {
        sim_fault *f = &s->faults[i];
        if (f->over || !at_a_call(f->kind) || f->at > s->now || (f->op >= 0 && f->op != (int)op))
            continue;
        if ((f->process >= 0 && f->process != life->process->number) ||
            (f->partition >= 0 && partition >= 0 && f->partition != partition))
            continue;
        if (f->skip-- > 0)
            continue;
        return f;
    }
    return NULL;
}

static int64_t end_of(const sim *s, const sim_fault *f)
{
    return s->now + f->length;
}

static sim_process *process_of(sim *s, const sim_fault *f)
{
    return &s->processes[f->process < 0 ? 0 : f->process];
}

static void quit(sim *s, sim_process *process, int64_t back)
{
    if (!process->up)
        return;
    if (process->back >= 0) /* otherwise another has its name by now */
        process->back = back;
    atomic_store(&process->stop, true);
    for (int i = 0; i < SIM_EACH; i++)
        sim_wake(s, process->life[i]);
}

static void enter(sim *s)
{
    for (uint32_t p = 0; p < s->process_count; p++) {
        sim_process *process = &s->processes[p];
        if (process->up || process->back >= 0)
            continue;
        process->back = 1000;
        sim_start_process(s, process);
        return;
    }
}

/* As when a deployment starts the new process before the old one ended. */
static void twin(sim *s, sim_process *process)
{
    for (uint32_t p = 0; p < s->process_count && process->up && s->instances < SIM_LIVES / SIM_EACH; p++) {
        sim_process *other = &s->processes[p];
        if (other->up || other->back >= 0)
            continue;
        other->instance = process->instance;
        other->offset = process->offset;
        other->back = process->back;
        process->back = -1;
        process->instance = s->instances++; /* should it ever be started again */
        sim_start_process(s, other);
        return;
    }
}

static void all_die(sim *s)
{
    for (uint32_t p = 0; p < s->process_count; p++)
        sim_crash(s, &s->processes[p], 2000 + (int64_t)p, false);
}

void sim_fault_happens(sim *s, sim_fault *f)
{
    char text[200];
    sim_fault_text(f, text, sizeof text);
    sim_note(s, "fault: %s", text);
    f->over = true;
    sim_process *process = process_of(s, f);
    switch (f->kind) {
    case SIM_STORE_DOWN:
        s->store_down_until = end_of(s, f);
        break;
    case SIM_BROKER_DOWN:
        s->broker_down_until = end_of(s, f);
        break;
    case SIM_CUT:
        process->cut_until = end_of(s, f);
        for (int i = 0; i < SIM_EACH && f->length > SIM_SESSION; i++) {
            if (process->life[i] && process->up)
                sim_group_expel(s, &process->life[i]->member);
        }
        break;
    case SIM_CUT_STORE:
        process->store_cut_until = end_of(s, f);
        break;
    case SIM_SLOW:
        s->slow_until = end_of(s, f);
        break;
    case SIM_ENTER:
        enter(s);
        break;
    case SIM_QUIT:
        quit(s, process, f->back);
        break;
    case SIM_EXPEL:
        if (process->life[0] && process->up)
            sim_group_expel(s, &process->life[0]->member);
        break;
    case SIM_CLOCK:
        for (uint32_t p = 0; p < s->process_count; p++) {
            if (f->process < 0 || (int)p == f->process)
                s->processes[p].offset += f->delta;
        }
        break;
    case SIM_STALE:
        if (s->snapshots[f - s->faults])
            sim_store_restore(s, s->snapshots[f - s->faults]);
        break;
    case SIM_EMPTIED:
        sim_store_emptied(s);
        break;
    case SIM_EXPIRED:
        all_die(s);
        for (uint32_t i = 0; i < s->life_count; i++)
            s->lives[i]->member.inside = s->lives[i]->member.waiting = false;
        for (uint32_t p = 0; p < s->partitions; p++)
            s->committed[p] = (tm_position){{-1, -1}, 0};
        for (int i = 0; i < SIM_LIVES; i++)
            sim_transaction_abort(s, &s->producers[i]);
        s->generation = 0;
        s->rebalancing = false;
        break;
    case SIM_TWIN:
        twin(s, process);
        break;
    case SIM_RELOAD:
        s->settings.pack = s->packs[1];
        atomic_store(&s->reloaded, s->packs[1]);
        break;
    case SIM_FOREIGN:
        s->to_give_up = true;
        break;
    case SIM_NODE_DOWN:
        s->node_down_until[f->partition] = end_of(s, f);
        break;
    case SIM_UPSTREAM:
        sim_hold(s, (tm_input)f->input, f->partition, end_of(s, f));
        break;
    default:
        break;
    }
}

/* The commit of this shard was written this moment. */
void sim_give_up(sim *s, int32_t partition)
{
    s->to_give_up = false;
    if (s->given_up || s->quiet)
        return;
    sim_note(s, "the store is given up, with commit %" PRId64 " of shard %d",
             s->store.shards[partition].position.commit, partition);
    s->given_up = sim_store_snapshot(s);
    s->given_up_shard = partition;
    s->given_up_at = s->store.shards[partition].position;
    all_die(s);
    sim_store_emptied(s);
}

void sim_return(sim *s)
{
    if (!s->given_up || s->quiet)
        return;
    sim_note(s, "the store that was given up comes back");
    sim_store_restore(s, s->given_up);
    s->given_up = NULL;
}

/* What docs/operations.md has an operator do about a shard halted by a foreign state: it is removed, and made again
   from the journal when the process starts again. */
void sim_operator(sim *s, int32_t partition, sim_life *life)
{
    sim_note(s, "an operator removes the state of shard %d, of commit %" PRId64, partition,
             s->store.shards[partition].position.commit);
    sim_store_remove(s, partition);
    if (!life->dead && !life->finished && !s->stopping)
        quit(s, life->process, 500);
}
