#include "tidemark/base/hash.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* From the xxHash specification's test vectors (XXH3, seed 0): the empty text. */
Test(hash, xxh3_is_xxh3)
{
    cr_assert_eq(tm_hash(TM_SLICE_LITERAL("")), 0x2D06800538D394C2u);
    cr_assert_eq(tm_hash((tm_slice){NULL, 0}), 0x2D06800538D394C2u);
    cr_assert_eq(tm_hash_seeded(TM_SLICE_LITERAL("acme"), 0), tm_hash(TM_SLICE_LITERAL("acme")));
    cr_assert_neq(tm_hash_seeded(TM_SLICE_LITERAL("acme"), 1), tm_hash(TM_SLICE_LITERAL("acme")));
    cr_assert_eq(tm_checksum(TM_SLICE_LITERAL("acme")), (uint32_t)tm_hash(TM_SLICE_LITERAL("acme")));
}

/* SipHash-2-4 with key 00 … 0f, the vectors of the paper's appendix and reference implementation: texts 00 01 02 … */
Test(hash, users_are_hashed_with_siphash)
{
    tm_user_key key;
    unsigned char text[15];
    for (unsigned i = 0; i < sizeof(key.bytes); i++) {
        key.bytes[i] = (unsigned char)i;
    }
    for (unsigned i = 0; i < sizeof(text); i++) {
        text[i] = (unsigned char)i;
    }
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 15}, &key), 0xa129ca6149be45e5u);
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 0}, &key), 0x726fdb47dd0e0e31u);
    cr_assert_eq(tm_hash_user((tm_slice){NULL, 0}, &key), 0x726fdb47dd0e0e31u);
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 1}, &key), 0x74f839c593dc67fdu);
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 3}, &key), 0x85676696d7fb7e2du);
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 4}, &key), 0xcf2794e0277187b7u);
    cr_assert_eq(tm_hash_user((tm_slice){(const char *)text, 6}, &key), 0xcbc9466e58fee3ceu);
    key.bytes[0] = 1;
    cr_assert_neq(tm_hash_user((tm_slice){(const char *)text, 15}, &key), 0xa129ca6149be45e5u);
}

/* BLAKE2b-512("abc") begins so (RFC 7693, appendix A); of the empty text as its authors list it. */
Test(hash, user_key_is_blake2b)
{
    tm_user_key key = tm_user_key_from(TM_SLICE_LITERAL("abc"));
    cr_assert_eq(memcmp(key.bytes, "\xBA\x80\xA5\x3F\x98\x1C\x4D\x0D\x6A\x27\x97\xB6\x9F\x12\xF6\xE9", 16), 0);
    key = tm_user_key_from((tm_slice){NULL, 0});
    cr_assert_eq(memcmp(key.bytes, "\x78\x6A\x02\xF7\x42\x01\x59\x03\xC6\xC6\xFD\x85\x25\x52\xD2\x72", 16), 0);
}

static bool same(tm_fingerprint a, tm_fingerprint b)
{
    return a.low == b.low && a.high == b.high;
}

Test(hash, fingerprints_know_where_a_text_ends)
{
    tm_slice a = TM_SLICE_LITERAL("a");
    tm_slice ab = TM_SLICE_LITERAL("ab");
    tm_slice bc = TM_SLICE_LITERAL("bc");
    tm_slice c = TM_SLICE_LITERAL("c");
    tm_slice absent = {NULL, 0};
    cr_assert(same(tm_fingerprint_of(a, bc, c), tm_fingerprint_of(a, bc, c)));
    cr_assert_not(same(tm_fingerprint_of(a, bc, c), tm_fingerprint_of(ab, c, c)));
    cr_assert_not(same(tm_fingerprint_of(a, absent, bc), tm_fingerprint_of(ab, absent, c)));
    cr_assert(same(tm_fingerprint_of(a, absent, bc), tm_fingerprint_of(a, TM_SLICE_LITERAL(""), bc)));
    cr_assert_not(same(tm_fingerprint_of(a, bc, absent), tm_fingerprint_of(a, absent, bc)));
}

/* Texts too long for the fast path give what one pass over lengths and texts gives: the two ways meet at its edge. */
Test(hash, fingerprints_of_long_texts)
{
    char *text = malloc(5000);
    memset(text, 'x', 5000);
    for (size_t length = 900; length < 1100; length++) {
        tm_slice id = {text, length};
        tm_fingerprint one = tm_fingerprint_of(TM_SLICE_LITERAL("acct"), TM_SLICE_LITERAL("src"), id);
        text[length - 1] = 'y';
        tm_fingerprint other = tm_fingerprint_of(TM_SLICE_LITERAL("acct"), TM_SLICE_LITERAL("src"), id);
        text[length - 1] = 'x';
        cr_assert_not(same(one, other));
    }
    tm_slice long_text = {text, 5000};
    cr_assert_not(same(tm_fingerprint_of(long_text, long_text, long_text),
                       tm_fingerprint_of(long_text, long_text, (tm_slice){text, 4999})));
    free(text);
}
