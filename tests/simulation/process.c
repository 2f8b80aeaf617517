/* Processes: how they begin, hang, stop and die, and the ports of the system itself, clock and log. */
#include <string.h>

#include "sim.h"

/* ---- Ports of the system: clock and log ---- */

static tm_time clock_wall(void *context)
{
    const sim_life *life = context;
    return sim_wall(life->s, life->process);
}

static int64_t clock_steady(void *context)
{
    sim_life *life = context;
    if (life->dead)
        return life->fake += 60000; /* so that whatever waits comes to its end */
    return life->s->now + 1 + life->process->number * 1000003;
}

static void clock_pause(void *context, int64_t ms)
{
    sim_life *life = context;
    if (sim_call(life, SIM_SLEEP, -1, NULL) != SIM_DEAD && !atomic_load(&life->process->stop))
        (void)sim_pass(life, ms);
}

static void log_write(void *context, tm_log_level level, const char *event, const char *message,
                      const tm_log_field *fields, uint32_t count)
{
    (void)level, (void)message;
    sim_life *life = context;
    sim *s = life->s;
    if (life->dead)
        return;
    int64_t partition = -1;
    const char *reason = "";
    size_t reason_length = 0;
    tm_slice code = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, "partition") == 0)
            partition = fields[i].integer;
        if (strcmp(fields[i].name, "code") == 0)
            code = fields[i].text;
        if (strcmp(fields[i].name, "reason") == 0 || strcmp(fields[i].name, "error") == 0) {
            reason = fields[i].text.data;
            reason_length = fields[i].text.length;
        }
    }
    char more[200] = "";
    for (uint32_t i = 0; i < count; i++) {
        size_t used = strlen(more);
        if (fields[i].type == TM_LOG_INTEGER)
            snprintf(more + used, sizeof more - used, " %s=%lld", fields[i].name, (long long)fields[i].integer);
    }
    sim_note(s, "%s%s %.*s", event, more, (int)reason_length, reason);
    s->rebuilt += strcmp(event, "rebuilt") == 0;
    if (strcmp(event, "membership_lost") == 0) /* all shards are to be claimed again: nothing of them is in hand */
        memset(life->wrote, 0, sizeof life->wrote);
    if (strcmp(event, "rebuild_differs") == 0)
        sim_fail(s, "shard %lld: a replayed commit differs from the journal", (long long)partition);
    if (strcmp(event, "records_gone") == 0)
        sim_fail(s, "shard %lld: records are said to be gone", (long long)partition);
    if (strcmp(event, "shard_halted") != 0)
        return;
    life->halts++;
    /* A store that was given up, and then came back with a commit that was never published. */
    if (s->losses > 1 && (tm_slice_equal_text(code, "state_foreign") || tm_slice_equal_text(code, "offsets_moved")))
        sim_at(s, s->now + 3000 + sim_below(&s->schedule, 30000), SIM_HAPPENS_OPERATOR, partition, 0, life);
    else
        sim_fail(s, "shard %lld halted: %.*s", (long long)partition, (int)reason_length, reason);
}

/* ---- Processes ---- */

static sim_life *make_life(sim *s, sim_process *process, int instance)
{
    sim_life *life = sim_take(s, sizeof *life);
    life->s = s;
    life->number = (int)s->life_count;
    life->process = process;
    life->producer = instance;
    life->producer_epoch = -1;
    life->group_of = life;
    life->member.life = life;
    life->member.instance = instance;
    life->member.silent = -1;
    memset(life->member.next, 0xff, sizeof life->member.next);
    s->lives[s->life_count++] = life;
    return life;
}

sim_life *sim_bare_life(sim *s, int instance)
{
    return make_life(s, &s->processes[0], instance);
}

void sim_start_process(sim *s, sim_process *process)
{
    process->up = true;
    process->frozen_until = 0;
    process->back = 1000;
    process->born = s->now;
    atomic_store(&process->stop, false);
    process->lives = 0;
    for (int slot = 0; slot < SIM_EACH; slot++) {
        process->life[slot] = NULL;
        if (slot >= s->settings_workers)
            continue;
        if (s->life_count == SIM_LIVES) {
            sim_fail(s, "too many lives");
            return;
        }
        sim_life *life = make_life(s, process, process->instance * SIM_EACH + slot);
        life->slot = slot;
        life->wake = s->now + sim_below(&s->schedule, 50);
        life->judged = true;
        life->settings = s->settings;
        life->ports = (tm_worker_ports){.source = sim_source_port(life),
                                        .store = sim_store_port(life),
                                        .publisher = sim_publisher_port(life),
                                        .journal = sim_journal_port(life),
                                        .clock = {life, clock_wall, clock_steady, clock_pause},
                                        .log = {life, log_write},
                                        .generation = sim_source_generation,
                                        .generation_context = life,
                                        .seed = (uint64_t)life->number};
        process->life[slot] = life;
        process->lives++;
    }
    sim_note(s, "process %d starts as instance %d", process->number, process->instance);
}

void sim_crash(sim *s, sim_process *process, int64_t back, bool renamed)
{
    if (!process->up)
        return;
    sim_note(s, "process %d is gone", process->number);
    s->crashes++;
    process->up = false;
    process->frozen_until = 0;
    for (int i = 0; i < SIM_EACH; i++) {
        sim_life *life = process->life[i];
        if (!life || life->finished || life->dead)
            continue;
        life->dead = true;
        life->fake = s->now + 1000000;
        sim_silent(s, &life->member);
    }
    if (renamed && s->instances < SIM_LIVES / SIM_EACH)
        process->instance = s->instances++;
    if (back >= 0)
        sim_at(s, s->now + back, SIM_HAPPENS_BIRTH, process->number, 0, NULL);
}

void sim_freeze(sim *s, sim_process *process, int64_t ms)
{
    if (!process->up)
        return;
    process->frozen_until = s->now + ms;
    for (int i = 0; i < SIM_EACH; i++) {
        sim_life *life = process->life[i];
        if (!life || life->finished)
            continue;
        sim_silent(s, &life->member);
        if (life->wake < process->frozen_until)
            life->wake = process->frozen_until;
    }
    sim_at(s, process->frozen_until, SIM_HAPPENS_THAW, process->number, process->born, NULL);
}

void sim_thaw(sim *s, sim_process *process, int64_t born)
{
    if (!process->up || process->born != born || s->now < process->frozen_until)
        return;
    for (int i = 0; i < SIM_EACH; i++) {
        if (process->life[i])
            process->life[i]->member.silent = -1;
    }
}

void sim_ended(sim *s, sim_life *life)
{
    sim_process *process = life->process;
    if (life->dead)
        return;
    sim_note(s, "worker %d ends with %s: %s", life->number, tm_status_name(life->status),
             life->status == TM_OK ? "" : life->error.what);
    atomic_store(&process->stop, true); /* one worker that ends takes its process with it */
    for (int i = 0; i < SIM_EACH; i++) {
        sim_life *other = process->life[i];
        if (other && !other->finished)
            sim_wake(s, other);
    }
    if (--process->lives > 0)
        return;
    process->up = false;
    if (process->back >= 0 && !s->stopping)
        sim_at(s, s->now + process->back, SIM_HAPPENS_BIRTH, process->number, 0, NULL);
}
