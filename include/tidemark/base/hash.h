/* Fingerprints and keyed hashes. XXH3 (xxHash) where speed counts and the key is not secret; SipHash-2-4 (libsodium)
   for user ids, so that who has the state but not the key cannot test whether a person is in it. */
#ifndef TIDEMARK_BASE_HASH_H
#define TIDEMARK_BASE_HASH_H

#include <stdint.h>

#include "tidemark/base/bytes.h"

enum { TM_USER_KEY_SIZE = 16 };

typedef struct tm_user_key {
    unsigned char bytes[TM_USER_KEY_SIZE];
} tm_user_key;

typedef struct tm_fingerprint {
    uint64_t low;
    uint64_t high;
} tm_fingerprint;

/* XXH3-64 of the bytes, seed 0: account hashes, member keys that are no persons, file and pack identities. */
uint64_t tm_hash(tm_slice bytes);
uint64_t tm_hash_seeded(tm_slice bytes, uint64_t seed);

/* A key of any length (a secret's text) to the 16 bytes SipHash wants: the first 16 bytes of BLAKE2b. */
tm_user_key tm_user_key_from(tm_slice secret);
/* SipHash-2-4 of a user id under the key; never 0. */
uint64_t tm_hash_user(tm_slice user, const tm_user_key *key);

/* XXH3-128 over the three texts with their lengths mixed in, so that ("a","bc") and ("ab","c") differ. An absent source
   counts as ''. */
tm_fingerprint tm_fingerprint_of(tm_slice account, tm_slice source, tm_slice id);

/* XXH3-64 over a state blob: its checksum. */
uint32_t tm_checksum(tm_slice bytes);

#endif
