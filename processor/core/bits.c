#include "tidemark/core/bits.h"

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
