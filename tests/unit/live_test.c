#include <criterion/criterion.h>

#include "tidemark/commands/live.h"

/* What Kafka's own tests expect of Utils.murmur2, its sign taken away as the partitioner does. */
Test(live, a_key_lies_where_kafka_puts_it)
{
    const struct {
        tm_slice key;
        int32_t hash;
    } known[] = {{TM_SLICE_LITERAL("21"), -973932308},
                 {TM_SLICE_LITERAL("foobar"), -790332482},
                 {TM_SLICE_LITERAL("a-little-bit-long-string"), -985981536},
                 {TM_SLICE_LITERAL("a-little-bit-longer-string"), -1486304829},
                 {TM_SLICE_LITERAL("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971},
                 {TM_SLICE_LITERAL("abc"), 479470107}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t positive = (uint32_t)known[i].hash & 0x7fffffffu;
        cr_assert_eq((uint32_t)tm_live_partition(known[i].key, UINT32_MAX), positive, "%.*s", (int)known[i].key.length,
                     known[i].key.data);
        cr_assert_eq((uint32_t)tm_live_partition(known[i].key, 6), positive % 6);
    }
}
