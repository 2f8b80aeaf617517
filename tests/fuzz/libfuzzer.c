/* Half of libFuzzer's mutations are its own, which know the dictionary and compared values, half those of mutator.c. */
#include <string.h>

#include "mutator.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

enum { INPUT_MAX = 1 << 16 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    static fuzz_mutator mutator;
    static uint8_t out[INPUT_MAX];
    fuzz_entry entry = {data, (uint32_t)size};
    const fuzz_corpus corpus = {&entry, 1, 1};
    if (size == 0 || most > sizeof out || seed % 2 == 0)
        return LLVMFuzzerMutate(data, size, most);
    fuzz_mutator_init(&mutator, seed, most, &corpus);
    size_t changed = fuzz_mutate(&mutator, out);
    memcpy(data, out, changed);
    return changed;
}
