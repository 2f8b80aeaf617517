/* SHA-1 (FIPS 180-4), which version 5 UUIDs are made of and nothing secret is. Here because it then needs no memory and
   cannot fail: a library's may, and the id of a signal must not depend on that. */
#ifndef TIDEMARK_BASE_SHA1_H
#define TIDEMARK_BASE_SHA1_H

#include <stddef.h>

enum { TM_SHA1_BYTES = 20 };

void tm_sha1(const void *bytes, size_t length, unsigned char ret_digest[TM_SHA1_BYTES]);

#endif
