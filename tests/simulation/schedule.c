/* Time, stacks, processes. One life of a worker runs until a call of a port makes it wait; then whoever is next in
   simulated time goes on, drawn from the seed where several are. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK = 512 << 10, STACKS = 32, CALLS_MAX = 600000 };
#define PATIENCE (4 * TM_HOUR) /* from the last fault to the end: everything has to be well */

static const char *const op_names[SIM_OPS] = {
    "join", "poll",  "start", "pause", "bounds", "committed", "leave", "claim", "read",    "commit", "exec",
    "scan", "group", "init",  "begin", "send",   "offsets",   "end",   "abort", "journal", "line",   "sleep"};

const char *sim_op_name(int op)
{
    return op >= 0 && op < SIM_OPS ? op_names[op] : "any";
}

/* ---- Memory: one run, one block, used again by the next ---- */

void *sim_take(sim *s, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(s->arena_end - s->arena_at) < size) {
        fprintf(stderr, "seed %llu: the simulation's own memory is used up\n", (unsigned long long)s->seed);
        abort();
    }
    void *taken = s->arena_at;
    s->arena_at += size;
    memset(taken, 0, size);
    return taken;
}

tm_slice sim_copy(sim *s, tm_slice bytes)
{
    if (!bytes.data)
        return bytes;
    char *copy = sim_take(s, bytes.length + 1);
    memcpy(copy, bytes.data, bytes.length);
    return (tm_slice){copy, bytes.length};
}

/* ---- What is said of a run ---- */

void sim_mix(sim *s, uint64_t value)
{
    uint64_t z = (s->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    s->hash = (z ^ (z >> 29)) + UINT64_C(0x632be59bd9b4e019);
}

void sim_note(sim *s, const char *format, ...)
{
    if (!s->trace)
        return;
    va_list rest;
    va_start(rest, format);
    fprintf(s->trace, "%9lld %3d  ", (long long)s->now, s->current ? s->current->number : -1);
    vfprintf(s->trace, format, rest);
    fputc('\n', s->trace);
    va_end(rest);
}

void sim_fail(sim *s, const char *format, ...)
{
    if (s->failed)
        return;
    s->failed = true;
    va_list rest;
    va_start(rest, format);
    vsnprintf(s->failure, sizeof s->failure, format, rest);
    va_end(rest);
    sim_note(s, "FAILED: %s", s->failure);
}

/* ---- Events ---- */

static bool earlier(const sim_event *a, const sim_event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

sim_event *sim_at(sim *s, int64_t at, sim_event_kind kind, int64_t a, int64_t b, void *with)
{
    if (s->event_count == s->event_capacity) {
        uint32_t capacity = s->event_capacity ? s->event_capacity * 2 : 512;
        sim_event *events = sim_take(s, sizeof *events * capacity);
        if (s->event_count)
            memcpy(events, s->events, sizeof *events * s->event_count);
        s->events = events;
        s->event_capacity = capacity;
    }
    uint32_t i = s->event_count++;
    sim_event event = {at, s->event_order++, kind, a, b, with};
    while (i > 0 && earlier(&event, &s->events[(i - 1) / 2])) {
        s->events[i] = s->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->events[i] = event;
    return &s->events[i];
}

sim_event sim_pop_event(sim *s)
{
    sim_event first = s->events[0];
    sim_event last = s->events[--s->event_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= s->event_count)
            break;
        if (child + 1 < s->event_count && earlier(&s->events[child + 1], &s->events[child]))
            child++;
        if (!earlier(&s->events[child], &last))
            break;
        s->events[i] = s->events[child];
        i = child;
    }
    s->events[i] = last;
    return first;
}

/* ---- Stacks ---- */

static char *stacks[STACKS];
static bool stack_used[STACKS];
static sim_life *starting;

static int take_stack(void)
{
    for (int i = 0; i < STACKS; i++) {
        if (stack_used[i])
            continue;
        if (!stacks[i]) {
            char *made = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
            if (made == MAP_FAILED)
                abort();
            (void)mprotect(made, 4096, PROT_NONE); /* a stack that is too small is seen */
            stacks[i] = made;
        }
        stack_used[i] = true;
        return i;
    }
    abort();
}

static void begin_switch(void **fake, const void *bottom, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake, bottom, size);
#else
    (void)fake, (void)bottom, (void)size;
#endif
}

static const void *main_bottom;
static size_t main_size;

static void end_switch(void *fake, bool learn)
{
#ifdef __SANITIZE_ADDRESS__
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
    if (learn) {
        main_bottom = bottom;
        main_size = size;
    }
#else
    (void)fake, (void)learn;
#endif
}

static int stack_of[SIM_LIVES];

static void to_main(sim_life *life)
{
    void *fake = NULL;
    begin_switch(life->finished ? NULL : &fake, main_bottom, main_size);
    life->s->current = NULL;
    if (swapcontext(&life->context, &life->s->main) != 0)
        abort();
    end_switch(fake, true);
}

static void live(void)
{
    sim_life *life = starting;
    end_switch(NULL, true);
    life->status = tm_worker_run(&life->settings, &life->ports, &life->process->stop, &life->gauges, &life->error);
    life->finished = true;
    to_main(life);
    abort();
}

void sim_to_life(sim *s, sim_life *life)
{
    void *fake = NULL;
    s->current = life;
    if (!life->started) {
        life->started = true;
        int stack = take_stack();
        stack_of[life->number] = stack;
        if (getcontext(&life->context) != 0)
            abort();
        life->context.uc_stack.ss_sp = stacks[stack];
        life->context.uc_stack.ss_size = STACK;
        life->context.uc_link = NULL;
        makecontext(&life->context, live, 0);
        starting = life;
    }
    begin_switch(&fake, stacks[stack_of[life->number]], STACK);
    if (swapcontext(&s->main, &life->context) != 0)
        abort();
    end_switch(fake, false);
    s->current = NULL;
    if (life->finished)
        stack_used[stack_of[life->number]] = false;
}

/* ---- Time ---- */

tm_time sim_wall(const sim *s, const sim_process *process)
{
    tm_time t = s->base + s->now + (process ? process->offset : 0);
    return t - t % s->grain;
}

/* Whether somebody else has something to do before `at`. */
static bool others_before(sim *s, const sim_life *life, int64_t at)
{
    int64_t least = s->event_count ? s->events[0].at : INT64_MAX;
    for (uint32_t p = 0; p < s->process_count; p++) {
        for (int i = 0; i < SIM_EACH; i++) {
            const sim_life *other = s->processes[p].life[i];
            if (other && other != life && !other->finished && other->wake < least)
                least = other->wake;
        }
    }
    return least < at || (least == at && sim_once_in(&s->schedule, 2));
}

bool sim_pass(sim_life *life, int64_t ms)
{
    sim *s = life->s;
    if (life->dead)
        return false;
    int64_t until = s->now + ms;
    if (until < life->process->frozen_until)
        until = life->process->frozen_until;
    if (s->current != life || s->failed || others_before(s, life, until)) {
        life->wake = until;
        if (s->current == life) {
            to_main(life);
        } else { /* no stack of its own: a bare world */
            for (s->now = until; s->event_count > 0 && s->events[0].at <= until;)
                sim_happen(s, sim_pop_event(s));
        }
    } else {
        s->now = until;
    }
    return !life->dead;
}

void sim_sleep_polling(sim_life *life, int64_t until)
{
    sim *s = life->s;
    life->polling = true;
    (void)sim_pass(life, until > s->now ? until - s->now : 0);
    life->polling = false;
}

void sim_wake(sim *s, sim_life *life)
{
    if (life && life->polling && !life->finished && life->wake > s->now) {
        int64_t at = s->now + sim_below(&s->schedule, s->latency + 1);
        if (at < life->process->frozen_until)
            at = life->process->frozen_until;
        if (at < life->wake)
            life->wake = at;
    }
}

static int64_t draw_latency(sim *s)
{
    int64_t ms = sim_below(&s->schedule, s->latency + 1);
    if (sim_once_in(&s->schedule, 64))
        ms *= 20;
    if (s->now < s->slow_until)
        ms = sim_below(&s->schedule, 100 * (s->latency + 1));
    return ms;
}

static bool of_store(sim_op op)
{
    return op == SIM_CLAIM || op == SIM_READ || op == SIM_COMMIT || op == SIM_EXECUTE || op == SIM_SCAN ||
           op == SIM_SETTLE_GROUP;
}

static sim_fate call(sim_life *life, sim_op op, int64_t partition, int64_t *ret_length)
{
    sim *s = life->s;
    s->calls++;
    if (ret_length)
        *ret_length = 0;
    if (life->dead)
        return SIM_DEAD;
    if (s->calls > CALLS_MAX)
        sim_fail(s, "no end: %d calls of ports", CALLS_MAX);
    sim_mix(s, (uint64_t)op << 32 | (uint64_t)(uint32_t)life->number << 8 | (uint64_t)(partition + 1));
    sim_mix(s, (uint64_t)s->now);
    if (op != SIM_SEND && op != SIM_SLEEP && op != SIM_POLL && !sim_pass(life, draw_latency(s)))
        return SIM_DEAD;
    sim_fault *fault = s->quiet ? NULL : sim_fault_at_call(s, life, op, partition);
    if (fault) {
        char text[200];
        sim_fault_text(fault, text, sizeof text);
        sim_note(s, "fault at %s: %s", sim_op_name(op), text);
        fault->over = true;
        if (ret_length)
            *ret_length = fault->length;
        switch (fault->kind) {
        case SIM_CRASH:
            if (fault->after)
                return SIM_DIES;
            sim_crash(s, life->process, fault->back, fault->renamed);
            return SIM_DEAD;
        case SIM_HANG:
            sim_freeze(s, life->process, fault->length);
            if (!sim_pass(life, 0))
                return SIM_DEAD;
            break;
        case SIM_LOST:
            return sim_pass(life, sim_below(&s->schedule, 3000)) ? SIM_FAILS : SIM_DEAD;
        case SIM_UNANSWERED:
            return SIM_NO_ANSWER;
        case SIM_LATE:
            return SIM_COMES_LATE;
        case SIM_DOUBLED:
            return SIM_TWICE;
        default:
            break;
        }
    }
    if (of_store(op)) {
        bool down = partition >= 0 && partition < SIM_PARTITIONS && s->now < s->node_down_until[partition];
        if (down || s->now < s->store_down_until || s->now < life->process->store_cut_until)
            return sim_pass(life, sim_below(&s->schedule, 1000)) ? SIM_FAILS : SIM_DEAD;
    } else if (op != SIM_SLEEP && op != SIM_POLL && op != SIM_LEAVE && op != SIM_START_LANE && op != SIM_PAUSE_LANE &&
               op != SIM_BEGIN && !sim_reaches_broker(s, life)) {
        return sim_pass(life, sim_below(&s->schedule, 5000)) ? SIM_FAILS : SIM_DEAD;
    }
    return SIM_FINE;
}

sim_fate sim_call(sim_life *life, sim_op op, int64_t partition, int64_t *ret_length)
{
    sim_fate fate = call(life, op, partition, ret_length);
    if (fate != SIM_FINE)
        life->trouble_at = life->s->now;
    return fate;
}

/* ---- The run ---- */

void sim_happen(sim *s, sim_event event)
{
    switch (event.kind) {
    case SIM_HAPPENS_FAULT:
        if (!s->quiet)
            sim_fault_happens(s, &s->faults[event.a]);
        break;
    case SIM_HAPPENS_RECORD:
        sim_append(s, event.with);
        break;
    case SIM_HAPPENS_BIRTH:
        if (!s->processes[event.a].up && s->processes[event.a].back >= 0 && !s->stopping)
            sim_start_process(s, &s->processes[event.a]);
        break;
    case SIM_HAPPENS_SILENCE:
        sim_group_silence(s, s->lives[event.a], event.b);
        break;
    case SIM_HAPPENS_REBALANCE:
        sim_group_deadline(s, event.b);
        break;
    case SIM_HAPPENS_TIMEOUT:
        sim_transaction_timeout(s, (int)event.a, (uint64_t)event.b);
        break;
    case SIM_HAPPENS_GHOST:
        if (s->producers[event.a].open && s->producers[event.a].epoch == event.b) {
            sim_note(s, "a late EndTxn of producer %d commits", (int)event.a);
            sim_transaction_commit(s, (int)event.a);
        }
        break;
    case SIM_HAPPENS_EXECUTE:
        sim_store_late(s, event.with);
        break;
    case SIM_HAPPENS_RELEASE:
        sim_release_hold(s, (tm_input)event.a, (int32_t)event.b);
        break;
    case SIM_HAPPENS_SNAPSHOT:
        s->snapshots[event.a] = sim_store_snapshot(s);
        break;
    case SIM_HAPPENS_RETURN:
        sim_return(s);
        break;
    case SIM_HAPPENS_OPERATOR:
        sim_operator(s, (int32_t)event.a, event.with);
        break;
    case SIM_HAPPENS_THAW:
        sim_thaw(s, &s->processes[event.a], event.b);
        break;
    }
}

/* Lives whose process is gone, and all of them once the run failed, come to their end at once. */
static void bury(sim *s)
{
    for (uint32_t i = 0; i < s->life_count; i++) {
        sim_life *life = s->lives[i];
        if (s->failed)
            life->dead = true;
        if (!life->dead || life->finished)
            continue;
        if (life->started)
            sim_to_life(s, life);
        life->finished = true;
    }
}

/* Whoever is next in time; drawn where several are. False: nothing will ever happen again. */
static bool next(sim *s)
{
    int64_t at = s->event_count ? s->events[0].at : INT64_MAX;
    sim_life *ready[SIM_PROCESSES * SIM_EACH];
    int count = 0;
    bool event = s->event_count > 0;
    for (uint32_t p = 0; p < s->process_count; p++) {
        for (int i = 0; i < SIM_EACH; i++) {
            sim_life *life = s->processes[p].life[i];
            if (!life || life->finished || life->wake > at)
                continue;
            if (life->wake < at) {
                at = life->wake;
                count = 0;
                event = false;
            }
            ready[count++] = life;
        }
    }
    if (at == INT64_MAX)
        return false;
    if (at > s->now)
        s->now = at;
    int64_t chosen = count + event > 1 ? sim_below(&s->schedule, count + event) : 0;
    if (chosen == count) {
        sim_happen(s, sim_pop_event(s));
        return true;
    }
    sim_life *life = ready[chosen];
    sim_to_life(s, life);
    if (life->finished)
        sim_ended(s, life);
    return true;
}

static void calm_down(sim *s)
{
    s->quiet = true;
    s->broker_down_until = s->store_down_until = s->slow_until = 0;
    memset(s->node_down_until, 0, sizeof s->node_down_until);
    for (uint32_t p = 0; p < s->process_count; p++) {
        sim_process *process = &s->processes[p];
        process->cut_until = process->store_cut_until = 0;
        if (s->now < process->frozen_until) {
            process->frozen_until = s->now;
            for (int i = 0; i < SIM_EACH; i++) {
                sim_life *life = process->life[i];
                if (life && !life->finished)
                    life->wake = s->now;
            }
            sim_thaw(s, process, process->born);
        }
    }
    sim_note(s, "no more faults");
}

void sim_run(sim *s)
{
    int64_t look_at = 0;
    for (uint32_t p = 0; p < s->process_count; p++) {
        if (s->processes[p].back >= 0)
            sim_at(s, s->processes[p].born, SIM_HAPPENS_BIRTH, p, 0, NULL);
    }
    while (!s->failed && next(s)) {
        bury(s);
        if (!s->quiet && s->now >= s->length) {
            calm_down(s);
            look_at = s->now + TM_MINUTE; /* what hung until now comes back first, and finds out what became of it */
        }
        if (s->quiet && !s->stopping && s->now >= look_at) {
            look_at = s->now + 1000;
            if (sim_settled(s)) {
                s->stopping = true;
                for (uint32_t p = 0; p < s->process_count; p++) {
                    atomic_store(&s->processes[p].stop, true);
                    for (int i = 0; i < SIM_EACH; i++)
                        sim_wake(s, s->processes[p].life[i]);
                }
            }
        }
        bool living = false;
        for (uint32_t p = 0; p < s->process_count; p++)
            living |= s->processes[p].up;
        if (s->stopping && !living)
            break;
        if (s->now > s->length + PATIENCE)
            sim_fail(s, "no peace %lld minutes after the last fault: %s", (long long)(PATIENCE / TM_MINUTE),
                     s->unsettled);
    }
    bury(s);
    if (!s->failed && !s->stopping)
        sim_fail(s, "everything stands still");
    for (uint32_t p = 0; p < s->process_count && !s->failed; p++) {
        for (int i = 0; i < SIM_EACH; i++) {
            const sim_life *life = s->processes[p].life[i];
            if (life && !life->dead && s->processes[p].back >= 0 && life->status != TM_OK)
                sim_fail(s, "a worker that was stopped in peace ends with %s: %s", tm_status_name(life->status),
                         life->error.what);
        }
    }
}
