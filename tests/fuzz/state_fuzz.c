/* Any bytes as an account's state: never a crash or a leak; what is read encodes, and what was encoded is read again
   and gives the same bytes. The checksum is made right, so that the bytes behind it are reached. */
#include <stdlib.h>

#include "support/stateaccount.h"
#include "tidemark/base/hash.h"
#include "tidemark/codec/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tm_slice key = TM_SLICE_LITERAL("acme");
    state_world w;
    tm_heap *heap = tm_heap_new(64 << 20);
    tm_buffer blob, first, second;
    tm_account *account, *again;
    tm_error error;
    state_world_init(&w, 1);
    tm_buffer_init(&blob, 1 << 24);
    tm_buffer_init(&first, 1 << 24);
    tm_buffer_init(&second, 1 << 24);
    tm_buffer_append(&blob, data, size < 4 ? 0 : size - 4);
    tm_buffer_put_u32(&blob, tm_checksum(tm_buffer_slice(&blob)));
    check(heap != NULL);
    if (tm_state_decode(heap, &w.pack, key, tm_buffer_slice(&blob), &account, &error) == TM_OK) {
        /* A moment before everything: nothing is out of reach. */
        tm_moment before = {.day = INT32_MIN / 2, .hour = INT32_MIN / 2, .zone = tm_zone_utc()};
        tm_state_encode(account, &w.pack, &before, &first);
        check(tm_state_decode(heap, &w.pack, key, tm_buffer_slice(&first), &again, &error) == TM_OK);
        tm_state_encode(again, &w.pack, &before, &second);
        check(tm_slice_equal(tm_buffer_slice(&first), tm_buffer_slice(&second)));
        for (int i = 0; i < STATE_METRICS; i++) {
            tm_window window = {TM_WINDOW_DAYS, 5, 0};
            tm_sample sample = {.at = w.now.t, .hour = w.now.hour, .day = w.now.day, .value = 1, .member = 1};
            tm_counted counted;
            bool quiet;
            (void)tm_series_window(account->series[i], &w.metrics[i], &window, &w.now, &quiet);
            check(tm_series_apply(&account->series[i], heap, &w.metrics[i], &w.now, &sample, &counted, NULL) !=
                  TM_REJECT);
        }
        tm_account_free(heap, account);
        tm_account_free(heap, again);
    }
    check(tm_heap_used(heap) == 0);
    tm_heap_free_all(heap);
    tm_buffer_done(&blob);
    tm_buffer_done(&first);
    tm_buffer_done(&second);
    return 0;
}
