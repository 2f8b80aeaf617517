/* Any bytes as an output kept between the ledgers: refused, or an output that, kept again, has the same bytes' meaning
   and stays so however often it is kept. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/pipeline/outbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool alike(const tm_output *a, const tm_output *b)
{
    bool same = a->topic == b->topic && a->partition == b->partition && a->timestamp == b->timestamp &&
                a->header_count == b->header_count && tm_slice_equal(a->key, b->key) &&
                tm_slice_equal(a->value, b->value);
    for (uint32_t i = 0; same && i < a->header_count; i++)
        same = strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
               tm_slice_equal(a->headers[i].value, b->headers[i].value);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_outbox outbox;
    tm_output output, again;
    tm_outbox_init(&outbox, (size_t)1 << 24);
    check(tm_outbox_add_bytes(&outbox, 1, (tm_slice){(const char *)data, size}) == TM_OK);
    tm_status status = tm_outbox_read(&outbox, 0, &output);
    check(status == TM_OK || status == TM_REJECT);
    if (status == TM_OK) {
        /* Adding may move the bytes that the slices point at: into another one. */
        tm_outbox other;
        tm_outbox_init(&other, (size_t)1 << 24);
        check(tm_outbox_add(&other, 1, &output) == TM_OK && tm_outbox_add(&other, 2, &output) == TM_OK);
        check(tm_outbox_read(&other, 1, &again) == TM_OK && alike(&output, &again));
        check(tm_slice_equal(tm_outbox_bytes(&other, 0), tm_outbox_bytes(&other, 1)));
        tm_outbox_forget(&other, 1);
        check(other.count == 1 && tm_outbox_read(&other, 0, &again) == TM_OK && alike(&output, &again));
        tm_outbox_done(&other);
    }
    tm_outbox_done(&outbox);
    return 0;
}
