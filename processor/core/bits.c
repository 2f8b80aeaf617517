#include "tidemark/core/bits.h"

#include "tidemark/base/limits.h"

static void put_up_to_64(tm_bit_writer *writer, uint64_t value, unsigned bits)
{
    if (bits < 64)
        value &= (UINT64_C(1) << bits) - 1;
    writer->pending |= value << writer->filled;
    if (writer->filled + bits < 64) {
        writer->filled += bits;
        return;
    }
    tm_buffer_put_u64(writer->out, writer->pending);
    unsigned written = 64 - writer->filled;
    writer->filled = bits - written;
    writer->pending = writer->filled ? value >> written : 0;
}

void tm_bits_put(tm_bit_writer *writer, unsigned __int128 value, unsigned bits)
{
    if (bits > 64) {
        put_up_to_64(writer, (uint64_t)value, 64);
        value >>= 64;
        bits -= 64;
    }
    if (bits)
        put_up_to_64(writer, (uint64_t)value, bits);
}

void tm_bits_end(tm_bit_writer *writer)
{
    for (unsigned put = 0; put < writer->filled; put += 8)
        tm_buffer_put_u8(writer->out, (uint8_t)(writer->pending >> put));
    writer->pending = 0;
    writer->filled = 0;
}

static uint64_t get_up_to_64(const uint8_t *bytes, size_t position, unsigned bits)
{
    uint64_t value = 0;
    const uint8_t *at = bytes + position / 8;
    unsigned skip = (unsigned)(position % 8), got = 0;
    while (got < bits) {
        value |= (uint64_t)(*at++ >> skip) << got;
        got += 8 - skip;
        skip = 0;
    }
    return bits < 64 ? value & ((UINT64_C(1) << bits) - 1) : value;
}

unsigned __int128 tm_bits_get(const uint8_t *bytes, size_t position, unsigned bits)
{
    if (bits <= 64)
        return get_up_to_64(bytes, position, bits);
    return get_up_to_64(bytes, position, 64) | (unsigned __int128)get_up_to_64(bytes, position + 64, bits - 64) << 64;
}

unsigned tm_bits_of(unsigned __int128 value)
{
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    if (high)
        return 128 - (unsigned)__builtin_clzll(high);
    return low ? 64 - (unsigned)__builtin_clzll(low) : 0;
}

/* Read from the lowest bit: 1: whole; the rest zigzag, one further up; 0 as a whole is no number. */
void tm_fixed_put(tm_buffer *out, tm_fixed value)
{
    if (value == TM_FIXED_NONE) {
        tm_buffer_put_varint(out, 0);
        return;
    }
    bool whole = value % TM_FIXED_ONE == 0;
    int64_t units = whole ? value / TM_FIXED_ONE : value;
    uint64_t zigzag = ((uint64_t)units << 1) ^ (uint64_t)(units >> 63);
    tm_buffer_put_varint(out, ((zigzag << 1) | whole) + 1);
}

tm_fixed tm_fixed_get(tm_reader *in)
{
    const int64_t most = (int64_t)TM_NUMBER_MAX * TM_FIXED_ONE;
    uint64_t raw = tm_reader_varint(in);
    if (raw == 0)
        return TM_FIXED_NONE;
    bool whole = (raw - 1) & 1;
    uint64_t zigzag = (raw - 1) >> 1;
    int64_t units = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1))), limit = whole ? most / TM_FIXED_ONE : most;
    if (units > limit || units < -limit) {
        in->failed = true;
        return 0;
    }
    return whole ? units * TM_FIXED_ONE : units;
}
