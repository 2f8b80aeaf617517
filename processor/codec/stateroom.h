/* What the sources of the room `state` share: state.c (the account), statescores.c (its scores). */
#ifndef TIDEMARK_PROCESSOR_CODEC_STATEROOM_H
#define TIDEMARK_PROCESSOR_CODEC_STATEROOM_H

#include "tidemark/codec/state.h"

/* Days of the years 0 to 9999, and the instants in them. */
enum { DAY_MIN = -719528, DAY_MAX = 2932896 };

static inline uint32_t tm_stateroom_get_count(tm_reader *in, uint32_t most)
{
    uint64_t count = tm_reader_varint(in);
    in->failed = in->failed || count > most;
    return in->failed ? 0 : (uint32_t)count;
}

static inline void tm_stateroom_put_identity(tm_buffer *out, uint64_t identity)
{
    tm_buffer_put_u32(out, (uint32_t)identity);
    tm_buffer_put_u8(out, (uint8_t)(identity >> 32));
}

static inline uint64_t tm_stateroom_get_identity(tm_reader *in)
{
    uint64_t low = tm_reader_u32(in);
    return low | (uint64_t)tm_reader_u8(in) << 32;
}

/* --- statescores.c --- */
void tm_stateroom_put_scores(tm_buffer *out, const tm_tracks *tracks);
/* `form` is that of the blob. TM_OK, TM_REJECT or TM_FATAL. */
tm_status tm_stateroom_get_scores(tm_tracks *tracks, tm_heap *heap, unsigned form, tm_reader *in);

#endif
