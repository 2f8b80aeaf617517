#include <criterion/criterion.h>

#include "tidemark/adapters/redis/store.h"

/* The values are those of CLUSTER KEYSLOT of Redis 7.0. */
Test(redis_slot, is_that_of_the_hash_tag)
{
    static const struct {
        const char *key;
        uint32_t slot;
    } cases[] = {
        {"", 0},
        {"a", 15495},
        {"123456789", 12739},
        {"{a}", 15495},
        {"tm:{g/0}:meta", 15984},
        {"tm:{g/0}:a:255", 15984},
        {"tm:{tidemark/11}:out", 577},
        {"tm:{tidemark}:counting_start", 15228},
        {"{}", 15257},
        {"{}x", 10595},
        {"x{}y{z}", 15453},
        {"{{a}}", 10276},
        {"a{b}c{d}", 3300},
        {"{a", 10276},
        {"}a{", 11710},
        {"a}{b}", 3300},
        {"é", 10180},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(tm_redis_slot(tm_slice_of(cases[i].key)), cases[i].slot, "%s", cases[i].key);
    }
    cr_assert_eq(tm_redis_slot((tm_slice){"a\0{b}", 5}), tm_redis_slot(TM_SLICE_LITERAL("b")));
}
