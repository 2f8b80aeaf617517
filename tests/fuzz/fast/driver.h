/* What the parts of the fast driver share with one another, and with targets. */
#ifndef TIDEMARK_TESTS_FUZZ_DRIVER_H
#define TIDEMARK_TESTS_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that has a slow judge counts here the inputs that it was asked about. */
extern uint64_t fuzz_judged;

/* Bytes taken from malloc and not given back. */
size_t fuzz_memory_live(void);

#endif
