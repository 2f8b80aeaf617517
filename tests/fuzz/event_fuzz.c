/* Both event readers over the same bytes, under every mapping: any difference ends the run. The first byte of an input
   chooses the mapping, the key and whether there are headers. The fast build asks the slow reader about one input in
   eight. */
#include <stdlib.h>

#include "support/eventreaders.h"
#ifdef TIDEMARK_FUZZ_FAST
#include "fast/driver.h"
#include "tidemark/base/hash.h"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_mapping *custom(void)
{
    static const tm_mapping_pair pairs[] = {
        {TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("a.id"), {NULL, 0}},
        {TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("id"), {NULL, 0}},
        {TM_SLICE_LITERAL("account"), TM_SLICE_LITERAL("$key"), {NULL, 0}},
        {TM_SLICE_LITERAL("event"), TM_SLICE_LITERAL("event"), TM_SLICE_LITERAL("thing")},
        {TM_SLICE_LITERAL("at"), TM_SLICE_LITERAL("at"), {NULL, 0}},
        {TM_SLICE_LITERAL("value"), TM_SLICE_LITERAL("a.value"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties"), TM_SLICE_LITERAL("a"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties"), TM_SLICE_LITERAL("properties"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties.p"), TM_SLICE_LITERAL("a.b.c.d"), TM_SLICE_LITERAL("none")},
    };
    tm_mapping *mapping = NULL;
    size_t at;
    tm_error error;
    if (tm_mapping_custom(pairs, sizeof pairs / sizeof pairs[0], &mapping, &at, &error) != TM_OK)
        abort();
    return mapping;
}

#ifdef TIDEMARK_FUZZ_FAST
/* The fast reader's answer, with the other's where it is asked. */
static const char *answer(reader_pair *pair, tm_slice value, const tm_headers *headers, tm_status *ret_status,
                          tm_dead_reason *ret_reason)
{
    if (tm_hash(value) % 8 == 0) {
        fuzz_judged++;
        return readers_differ(pair, value, headers, tm_slice_of("acme"), ret_status, ret_reason);
    }
    *ret_status = tm_event_read(pair->simdjson, value, headers, tm_slice_of("acme"), &pair->events[0], ret_reason,
                                pair->details[0]);
    return NULL;
}
#else
static const char *answer(reader_pair *pair, tm_slice value, const tm_headers *headers, tm_status *ret_status,
                          tm_dead_reason *ret_reason)
{
    return readers_differ(pair, value, headers, tm_slice_of("acme"), ret_status, ret_reason);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tm_header binary[] = {{TM_SLICE_LITERAL("ce_specversion"), TM_SLICE_LITERAL("1.0")},
                                       {TM_SLICE_LITERAL("ce_id"), TM_SLICE_LITERAL("e-1")},
                                       {TM_SLICE_LITERAL("ce_type"), TM_SLICE_LITERAL("login")},
                                       {TM_SLICE_LITERAL("ce_subject"), TM_SLICE_LITERAL("acme")},
                                       {TM_SLICE_LITERAL("ce_time"), TM_SLICE_LITERAL("2024-05-02T14:37:21Z")}};
    static const tm_headers headers = {binary, sizeof binary / sizeof binary[0]};
    static reader_pair pairs[5];
    static bool ready;
    if (!ready) {
        reader_pair_init(&pairs[0], tm_mapping_native(), TM_KEY_IGNORE);
        reader_pair_init(&pairs[1], tm_mapping_cloudevents(), TM_KEY_IGNORE);
        reader_pair_init(&pairs[2], tm_mapping_segment(), TM_KEY_IGNORE);
        reader_pair_init(&pairs[3], tm_mapping_auto(), TM_KEY_REFUSE);
        reader_pair_init(&pairs[4], custom(), TM_KEY_IGNORE);
        ready = true;
    }
    if (size == 0)
        return 0;
    tm_slice value = {(const char *)data + 1, size - 1};
    tm_status status;
    tm_dead_reason reason;
    const char *difference = answer(&pairs[data[0] % 5], value, data[0] & 0x40 ? &headers : NULL, &status, &reason);
    if (difference != NULL) {
        fprintf(stderr, "%s\n", difference);
        abort();
    }
    if (status == TM_FATAL || (status == TM_REJECT) != (reason != TM_DEAD_NONE))
        abort();
    return 0;
}
