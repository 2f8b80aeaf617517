/* Sockets without a kernel: in the place of the C library's calls, for targets whose bytes come over a connection.
 * Whatever is read on one are the bytes given last, then the end; whatever is written is heard. */
#ifndef TIDEMARK_TESTS_FUZZ_SOCKETS_H
#define TIDEMARK_TESTS_FUZZ_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

/* What the other side of every socket says from now on (not copied). Forgets what was heard. */
void memory_sockets_say(const uint8_t *bytes, size_t size);
/* A connected socket. */
int memory_sockets_open(void);
/* What was written since. */
const char *memory_sockets_heard(size_t *ret_size);
/* Sockets that are open. */
int memory_sockets_count(void);

#endif
