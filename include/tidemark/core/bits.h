/* Numbers of a few bits each, lowest first: how state blobs stay small. */
#ifndef TIDEMARK_CORE_BITS_H
#define TIDEMARK_CORE_BITS_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/fixed.h"

typedef struct tm_bit_writer {
    tm_buffer *out;
    uint64_t pending; /* begun, not yet appended */
    unsigned filled;  /* bits of it */
} tm_bit_writer;

/* Appends the lowest `bits` (0 to 128) of `value`. */
void tm_bits_put(tm_bit_writer *writer, unsigned __int128 value, unsigned bits);
/* Fills the last byte up with zeros. */
void tm_bits_end(tm_bit_writer *writer);
/* `bits` (0 to 128) from bit `position` of `bytes`; the caller knows that they are there. */
unsigned __int128 tm_bits_get(const uint8_t *bytes, size_t position, unsigned bits);
/* How many bits a value needs; 0 for 0. */
unsigned tm_bits_of(unsigned __int128 value);

/* A fixed-point number as a varint: whole ones, which most are, without their six decimal zeros. TM_FIXED_NONE is kept
   too. Reading fails the reader beyond ± TM_NUMBER_MAX. */
void tm_fixed_put(tm_buffer *out, tm_fixed value);
tm_fixed tm_fixed_get(tm_reader *in);

#endif
