#include "tidemark/core/bits.h"

#include "tidemark/base/limits.h"

void tm_bits_put(tm_bit_writer *writer, unsigned __int128 value, unsigned bits)
{
    while (bits) {
        unsigned take = 8 - writer->filled < bits ? 8 - writer->filled : bits;
        writer->byte |= ((unsigned)value & ((1U << take) - 1)) << writer->filled;
        value >>= take;
        bits -= take;
        writer->filled += take;
        if (writer->filled == 8)
            tm_bits_end(writer);
    }
}

void tm_bits_end(tm_bit_writer *writer)
{
    if (writer->filled)
        tm_buffer_put_u8(writer->out, (uint8_t)writer->byte);
    writer->byte = writer->filled = 0;
}

unsigned __int128 tm_bits_get(const uint8_t *bytes, size_t position, unsigned bits)
{
    unsigned __int128 value = 0;
    for (unsigned got = 0; got < bits;) {
        size_t at = position + got;
        unsigned in_byte = 8 - (unsigned)(at % 8);
        unsigned take = in_byte < bits - got ? in_byte : bits - got;
        value |= (unsigned __int128)((unsigned)bytes[at / 8] >> at % 8 & ((1U << take) - 1)) << got;
        got += take;
    }
    return value;
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
