/* A world from a seed. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim.h"

#define ARENA ((size_t)64 << 20)

static char *block; /* memory of one run, used again by the next */

static tm_pack *packs[SIM_PACKS][2];
static tm_mapping *mapping;

static void draw(sim *s)
{
    static const int64_t latencies[] = {0, 1, 1, 3, 20, 200};
    static const int64_t intervals[] = {200, 1000, 1000, 5000, 20000, 60000};
    static const int64_t grains[] = {1, 1, 1, 1000, 10000}; /* so that T stands on the grid now and then */
    static const int64_t grids[] = {TM_MINUTE, 5 * TM_MINUTE, 5 * TM_MINUTE, 15 * TM_MINUTE};
    sim_random r = sim_stream(s->seed, 1);
    int pack = (int)sim_below(&r, SIM_PACKS);
    s->schedule = sim_stream(s->seed, 2);
    for (int version = 0; version < 2; version++) {
        s->rules[version] = sim_pack(pack, version);
        s->packs[version] = packs[pack][version];
    }
    s->partitions = (uint32_t)sim_between(&r, 1, SIM_PARTITIONS);
    s->accounts = (int)sim_between(&r, (int64_t)s->partitions, 8);
    s->base = SIM_START + sim_between(&r, 6, 22) * TM_HOUR + sim_below(&r, TM_HOUR);
    s->length = sim_between(&r, 10, 240) * TM_MINUTE;
    s->latency = latencies[sim_below(&r, 6)];
    s->grain = grains[sim_below(&r, 5)];
    s->stretch = s->length / sim_between(&r, 15, 60);
    s->rebalance_timeout = sim_between(&r, 20, 120) * 1000;
    s->settings_workers = (int)sim_between(&r, 1, SIM_EACH);
    s->process_count = SIM_PROCESSES;
    int64_t first = sim_between(&r, 1, 2);
    for (uint32_t p = 0; p < s->process_count; p++) {
        s->processes[p].number = (int)p;
        s->processes[p].instance = s->instances++;
        s->processes[p].offset = sim_once_in(&r, 3) ? sim_between(&r, -3000, 3000) : 0;
        s->processes[p].back = p < first ? 1000 : -1;
        s->processes[p].born = sim_below(&r, 2000);
    }
    s->settings = (tm_pipeline_settings){
        .group = TM_SLICE_LITERAL("t"),
        .topics = {TM_SLICE_LITERAL("usage"), TM_SLICE_LITERAL("accounts")},
        .accounts_on = true,
        .partitions = s->partitions,
        .shard = {.zone = tm_zone_utc(),
                  .evaluate_every = grids[sim_below(&r, 4)],
                  .max_skew = 5 * TM_MINUTE,
                  .dedup_window = sim_once_in(&r, 2) ? TM_HOUR : 10 * TM_MINUTE,
                  .dedup_entries = 1000},
        .grace = 10000,
        .commit_interval = intervals[sim_below(&r, 6)],
        .commit_records = sim_once_in(&r, 3) ? 3 : 10000,
        .commit_accounts = sim_once_in(&r, 3) ? 2 : 1000,
        .message_max = 1 << 20,
        .counting_start = SIM_START,
        .reading = {.mapping = mapping, .user_key = tm_user_key_from(TM_SLICE_LITERAL("secret"))},
        .pack = s->packs[0],
        .reloaded = &s->reloaded,
        .configuration_hash = 7,
        .timezone = TM_SLICE_LITERAL("UTC"),
        .key_mismatch = TM_SLICE_LITERAL("reject"),
        .mapping = TM_SLICE_LITERAL("native"),
        .version = "0",
        .final_time = TM_TIME_NONE,
        .until = TM_TIME_NEVER};
    sim_random feeding = sim_stream(s->seed, 3);
    sim_feed(s, &feeding);
    sim_random striking = sim_stream(s->seed, 4);
    sim_faults_draw(s, &striking);
}

static sim world;

static sim *blank(void)
{
    if (!block) {
        block = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (block == MAP_FAILED)
            abort();
    }
    sim *s = &world;
    memset(s, 0, sizeof *s);
    s->arena_at = block;
    s->arena_end = block + ARENA;
    s->grain = 1;
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) {
        s->committed[p] = s->known[p] = (tm_position){{-1, -1}, 0};
        for (int i = 0; i < TM_INPUTS; i++)
            s->inputs[i][p].held = -1;
    }
    sim_store_emptied(s);
    s->store_lost = false;
    s->losses = 0;
    return s;
}

sim *sim_bare(uint32_t partitions)
{
    sim *s = blank();
    s->partitions = partitions;
    s->process_count = 1;
    s->base = SIM_START;
    s->stretch = 100;
    s->rebalance_timeout = 60000;
    s->quiet = true;
    return s;
}

sim *sim_new(uint64_t seed, uint64_t dropped, FILE *trace)
{
    if (!mapping) {
        mapping = tm_mapping_native();
        for (int i = 0; i < SIM_PACKS * 2; i++) {
            tm_error error;
            if (tm_packfile_parse(tm_slice_of(sim_pack_text(i / 2, i % 2)), "rules.yaml", NULL, &packs[i / 2][i % 2],
                                  &error) != TM_OK) {
                fprintf(stderr, "pack %d: %s %s\n", i, error.where, error.what);
                abort();
            }
        }
    }
    sim *s = blank();
    s->seed = seed;
    s->dropped = dropped;
    s->trace = trace;
    draw(s);
    return s;
}

void sim_end(void)
{
    for (int i = 0; i < SIM_PACKS * 2; i++) {
        tm_pack_free(packs[i / 2][i % 2]);
        packs[i / 2][i % 2] = NULL;
    }
    tm_mapping_free(mapping);
    mapping = NULL;
    if (block)
        munmap(block, ARENA);
    block = NULL;
}
