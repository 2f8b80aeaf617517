/* Changes inputs of fuzz targets: bytes, and what JSON, YAML, expressions and protocols are made of. */
#ifndef TIDEMARK_TESTS_FUZZ_MUTATOR_H
#define TIDEMARK_TESTS_FUZZ_MUTATOR_H

#include <stddef.h>
#include <stdint.h>

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
