/* What the fast driver of the fuzz targets and its mutator share. */
#ifndef TIDEMARK_TESTS_FUZZ_DRIVER_H
#define TIDEMARK_TESTS_FUZZ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that has a slow judge counts here the inputs that it was asked about. */
extern uint64_t fuzz_judged;

/* Bytes taken from malloc and not given back. */
size_t fuzz_memory_live(void);

typedef struct fuzz_entry {
    uint8_t *bytes;
    uint32_t size;
} fuzz_entry;

typedef struct fuzz_corpus {
    fuzz_entry *entries;
    uint32_t count, capacity;
} fuzz_corpus;

enum { FUZZ_WORDS = 512, FUZZ_WORD_MAX = 128 };

typedef struct fuzz_mutator {
    uint64_t random;
    size_t max_length;
    const fuzz_corpus *corpus;
    struct {
        uint8_t bytes[FUZZ_WORD_MAX];
        size_t size;
    } words[FUZZ_WORDS];
    uint32_t word_count;
} fuzz_mutator;

/* The corpus may grow while it is used, and is never empty. */
void fuzz_mutator_init(fuzz_mutator *mutator, uint64_t seed, size_t max_length, const fuzz_corpus *corpus);
/* Reads a dictionary of libFuzzer's form; ends the program when it cannot. */
void fuzz_mutator_dictionary(fuzz_mutator *mutator, const char *path);
/* A changed copy of some entry into `out` (room for max_length); returns its size. Changes are those of bytes and those
   of text: words, numbers, quoted texts, and what brackets enclose, which keep more of the form of JSON, YAML,
   expressions and protocols. */
size_t fuzz_mutate(fuzz_mutator *mutator, uint8_t *out);

#endif
