#include <criterion/criterion.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/sha1.h"

static void hex(const void *bytes, size_t length, char ret_text[41])
{
    unsigned char digest[TM_SHA1_BYTES];
    tm_sha1(bytes, length, digest);
    for (int i = 0; i < TM_SHA1_BYTES; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

/* The examples of the standard. */
Test(sha1, known_answers)
{
    static const char *const cases[][2] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"}};
    char text[41];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hex(cases[i][0], strlen(cases[i][0]), text);
        cr_assert_str_eq(text, cases[i][1]);
    }
}

Test(sha1, every_length_as_another_implementation)
{
    unsigned char bytes[300], ours[TM_SHA1_BYTES], theirs[SHA_DIGEST_LENGTH];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        tm_sha1(bytes, length, ours);
        SHA1(bytes, length, theirs);
        cr_assert_arr_eq(ours, theirs, sizeof ours, "%zu bytes", length);
    }
}
