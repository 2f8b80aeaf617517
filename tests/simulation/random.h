/* Numbers from a seed: splitmix64, the same on every machine. */
#ifndef TIDEMARK_TESTS_SIMULATION_RANDOM_H
#define TIDEMARK_TESTS_SIMULATION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sim_random {
    uint64_t state;
} sim_random;

static inline uint64_t sim_next(sim_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline sim_random sim_stream(uint64_t seed, uint64_t number)
{
    sim_random r = {seed * UINT64_C(0xd1342543de82ef95) + number};
    (void)sim_next(&r);
    return r;
}

/* 0 … n - 1; 0 for n below 1. */
static inline int64_t sim_below(sim_random *r, int64_t n)
{
    uint64_t z = sim_next(r);
    return n > 1 ? (int64_t)(z % (uint64_t)n) : 0;
}

static inline int64_t sim_between(sim_random *r, int64_t least, int64_t most)
{
    return least + sim_below(r, most - least + 1);
}

/* True once in n. */
static inline bool sim_once_in(sim_random *r, int64_t n)
{
    return sim_below(r, n) == 0;
}

#endif
