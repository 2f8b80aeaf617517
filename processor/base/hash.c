#include "tidemark/base/hash.h"

#include <sodium/crypto_generichash_blake2b.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>

/* Inlined: most texts are short, and a call costs as much as their hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(crypto_shorthash_siphash24_KEYBYTES == TM_USER_KEY_SIZE, "SipHash's key");

uint64_t tm_hash(tm_slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.length);
}

uint64_t tm_hash_seeded(tm_slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.length, seed);
}

tm_user_key tm_user_key_from(tm_slice secret)
{
    unsigned char digest[crypto_generichash_blake2b_BYTES_MAX];
    tm_user_key key;
    (void)crypto_generichash_blake2b(digest, sizeof(digest), (const unsigned char *)secret.data, secret.length, NULL,
                                     0);
    memcpy(key.bytes, digest, sizeof(key.bytes));
    return key;
}

uint64_t tm_hash_user(tm_slice user, const tm_user_key *key)
{
    unsigned char digest[crypto_shorthash_siphash24_BYTES];
    uint64_t hash = 0;
    (void)crypto_shorthash_siphash24(digest, (const unsigned char *)(user.data != NULL ? user.data : ""), user.length,
                                     key->bytes);
    for (unsigned i = 0; i < sizeof(digest); i++) {
        hash |= (uint64_t)digest[i] << (8 * i);
    }
    return hash != 0 ? hash : 1;
}

static void put_length(unsigned char *at, size_t length)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (unsigned char)((uint64_t)length >> (8 * i));
    }
}

tm_fingerprint tm_fingerprint_of(tm_slice account, tm_slice source, tm_slice id)
{
    enum { LENGTHS = 3 * 8, WHOLE = 1024 };
    const tm_slice parts[3] = {account, source, id};
    unsigned char bytes[WHOLE]; /* three lengths, little-endian, then the texts */
    size_t length = LENGTHS;
    XXH128_hash_t hash;
    for (unsigned i = 0; i < 3; i++) {
        put_length(bytes + (size_t)i * 8, parts[i].length);
    }
    if (account.length < WHOLE && source.length < WHOLE && id.length < WHOLE &&
        LENGTHS + account.length + source.length + id.length <= WHOLE) {
        for (unsigned i = 0; i < 3; i++) {
            if (parts[i].length > 0) {
                memcpy(bytes + length, parts[i].data, parts[i].length);
                length += parts[i].length;
            }
        }
        hash = XXH3_128bits(bytes, length);
    } else {
        XXH3_state_t state;
        (void)XXH3_128bits_reset(&state);
        (void)XXH3_128bits_update(&state, bytes, LENGTHS);
        for (unsigned i = 0; i < 3; i++) {
            (void)XXH3_128bits_update(&state, parts[i].data, parts[i].length);
        }
        hash = XXH3_128bits_digest(&state);
    }
    return (tm_fingerprint){hash.low64, hash.high64};
}

uint32_t tm_checksum(tm_slice bytes)
{
    return (uint32_t)XXH3_64bits(bytes.data, bytes.length);
}
