/* Any bytes as a shard's meta record, or as the fingerprints of a commit: refused, or read the same again after they
   were written. The first byte chooses; the meta's checksum is made right, so that the bytes behind it are reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/pipeline/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static tm_status look(void *context, tm_fingerprint fingerprint, tm_time at)
{
    (void)fingerprint;
    uint32_t *seen = context;
    check(at >= 0 && at <= TM_TIME_MAX);
    return ++*seen < 100000 ? TM_OK : TM_RETRY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    tm_slice bytes = {(const char *)data + 1, size - 1};
    if (data[0] & 1) {
        uint32_t seen = 0;
        tm_status status = tm_fingerprints_decode(bytes, look, &seen);
        check(status == TM_OK || status == TM_REJECT || (status == TM_RETRY && seen == 100000));
        return 0;
    }
    static tm_shard_meta meta, again;
    tm_error error;
    tm_buffer raw, first, second;
    tm_buffer_init(&raw, (size_t)1 << 24);
    tm_buffer_init(&first, (size_t)1 << 24);
    tm_buffer_init(&second, (size_t)1 << 24);
    tm_buffer_append_slice(&raw, bytes);
    tm_buffer_put_u32(&raw, tm_checksum(bytes));
    tm_status status = tm_meta_decode(tm_buffer_slice(&raw), &meta, &error);
    check(status == TM_OK || status == TM_REJECT);
    if (status == TM_OK) {
        tm_meta_encode(&meta, &first);
        check(tm_meta_decode(tm_buffer_slice(&first), &again, &error) == TM_OK);
        tm_meta_encode(&again, &second);
        check(!first.overflowed && tm_slice_equal(tm_buffer_slice(&first), tm_buffer_slice(&second)));
    }
    tm_buffer_done(&raw);
    tm_buffer_done(&first);
    tm_buffer_done(&second);
    return 0;
}
